"""How likely a unit is a pilot, given its covariates: what both 2×2 kernels begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError, first_few
from didkit.linear.logit import LogitFit, logit, tilt

__all__ = ["TRIM", "Propensity", "propensity", "standardised"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: comparators at least so likely to be pilots are left out
TRIM = 0.995
_ALONE = 1e-11  # share of a column's variance that the columns before it leave


@dataclass(frozen=True, eq=False)
class Propensity:
    """The odds that weigh comparators, and what their estimation adds to the influence.

    Parameters
    ----------
    odds : array (n,)
        Odds of being a pilot; 0 for a comparator that is trimmed.
    whole : array (n,)
        The odds before trimming.
    score : array (n,)
        ``w (d − p)``: times X and `inverse`, the influence of the coefficients.
    inverse : array (p, p)
        Inverse Hessian of the logit.
    facts : dict
        ``largest_propensity`` (of a comparator), ``n_trimmed``, ``iterations``.
    """

    odds: Floats
    whole: Floats
    score: Floats
    inverse: Floats
    facts: dict[str, float]


def standardised(X: Floats, names: Sequence[str], where: str) -> Floats:
    """Return covariates centred and scaled, which changes no estimate; refuse collinear ones.

    The array lies column by column in memory: products with a weight a row are long loops then.

    Parameters
    ----------
    X : array (n, p)
        The first column is 1 in every row.
    names : sequence of str
        Names of the other columns, for errors.
    where : str
        For errors.

    Raises
    ------
    EstimationError
        If a column does not vary, or follows from those before it.
    """
    made = np.array(X, dtype=np.float64, order="F")
    if X.shape[1] == 1:
        return made
    rest = made[:, 1:]
    size = np.abs(rest).max(axis=0)
    rest -= rest.mean(axis=0)
    scale = np.array([np.sqrt(column @ column / len(X)) for column in rest.T])
    known = [str(name) for name in names] or [f"covariate {j + 1}" for j in range(rest.shape[1])]
    flat = [known[j] for j in np.flatnonzero(scale <= 1e-12 * size)]
    if flat:
        raise EstimationError(
            needed="covariates that differ between the units compared",
            found=f"one value for all: {first_few(flat)}",
            where=where,
            todo="leave it out",
        )
    rest /= scale
    refuse_collinear(made, known, where)
    return made


def refuse_collinear(X: Floats, known: Sequence[str], where: str) -> None:
    """Refuse a column that is a combination of those before it."""
    gram = X.T @ X
    size = np.diag(gram).copy()
    left = gram.copy()
    for j in range(len(gram)):  # pivots of Gauss: what the columns before leave of each
        if left[j, j] <= _ALONE * size[j]:
            raise EstimationError(
                needed="covariates of which none follows from the others",
                found=f"{known[j - 1]!r} is a combination of "
                f"{first_few(['a constant', *known[: j - 1]])}",
                where=where,
                todo="leave it out",
            )
        left = left - np.outer(left[:, j], left[j]) / left[j, j]


def propensity(
    X: Floats,
    treated: Bools,
    w: Floats,
    *,
    tilted: bool,
    names: Sequence[str],
    where: str,
) -> Propensity:
    """Fit the propensity to be a pilot: a logit, or the one that balances exactly.

    Parameters
    ----------
    X : array (n, p)
        As from `standardised`.
    treated : bool array (n,)
        Pilots.
    w : array (n,)
        Positive weights.
    tilted : bool
        Inverse probability tilting instead of maximum likelihood.
    names, where
        For errors.

    Raises
    ------
    EstimationError
        If covariates separate pilots from comparators, or no weights balance them.
    """
    fit = logit(X, treated, w)
    if not fit.converged:
        raise EstimationError(
            needed="pilots and comparators with covariates that overlap",
            found=f"the logit has no solution: {_who_separates(X, treated, names)} "
            f"({fit.iterations} steps)",
            where=where,
            todo="use fewer covariates, method='regression', or comparators that are more alike",
        )
    if tilted:
        fit = tilt(X, treated, w, fit.coefficients)
        if not fit.converged:
            raise EstimationError(
                needed="positive weights on the comparators that give them the pilots' means",
                found=f"none after {fit.iterations} steps: {_who_separates(X, treated, names)}",
                where=where,
                todo="use fewer covariates, method='dr', or comparators that are more alike",
            )
    made = _of(fit, treated, w)
    if not made.odds[~treated].any():
        raise EstimationError(
            needed=f"comparators with a propensity below {TRIM}",
            found=f"none of {int((~treated).sum())}",
            where=where,
            todo="use fewer covariates, method='regression', or more comparators",
        )
    return made


def _of(fit: LogitFit, treated: Bools, w: Floats) -> Propensity:
    """Trim, and say how much."""
    p, whole = fit.probability, fit.odds
    out = ~treated & (p >= TRIM)
    return Propensity(
        odds=np.where(out, 0.0, whole),
        whole=whole,
        score=w * (treated - p),
        inverse=fit.inverse,
        facts={
            "largest_propensity": float(p[~treated].max()),
            "n_trimmed": float(out.sum()),
            "iterations": float(fit.iterations),
        },
    )


def _who_separates(X: Floats, treated: Bools, names: Sequence[str]) -> str:
    """Name the covariates of which pilots and comparators share no range, if any does alone."""
    known = [str(name) for name in names] or [f"covariate {j}" for j in range(1, X.shape[1])]
    ones, zeros = X[treated, 1:], X[~treated, 1:]
    apart = (ones.min(axis=0) >= zeros.max(axis=0)) | (ones.max(axis=0) <= zeros.min(axis=0))
    narrow = (np.ptp(ones, axis=0) == 0) | (np.ptp(zeros, axis=0) == 0)
    told = [known[j] for j in np.flatnonzero(apart | narrow)]
    if told:
        return f"{first_few(told)} tells pilots from comparators"
    return f"{first_few(known)} together tell pilots from comparators"
