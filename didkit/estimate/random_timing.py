"""Sums by cohort: the kernel of the efficient estimator for starts at random times.

Everything is a function of what each cohort's periods count for in a term: ``a`` (k, G, T) in the
comparison itself, ``base`` (k, G, T) in the same comparison made in the last period before the
start. A unit then enters as two numbers a term, and cohorts as sums of them and of their products,
so that many assignments are one matrix product a cohort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError
from didkit.results import Draws, Labels

__all__ = ["Comparisons", "Fitted", "adjustment", "carried_over", "fit", "reassigned", "tables"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_SINGULAR = float(np.sqrt(np.finfo(float).eps))  #: of the largest singular value, as MASS::ginv


@dataclass(frozen=True, eq=False)
class Comparisons:
    """What the mean of cohort g in period t counts for in each of k terms, (k, G, T).

    ``a`` is the comparison at its own period, ``base`` the same in the last period before the
    start; both add up to 0 in every term.
    """

    a: Floats
    base: Floats


@dataclass(frozen=True, eq=False)
class Fitted:
    """Estimates (k,), what the base is multiplied by (k,), and each unit's influence (J, k)."""

    values: Floats
    beta: Floats
    influence: Floats
    combined: Floats  #: (k, G, T): a − β base


def tables(
    matrix: Floats, g: Ints, t: Ints, first: Ints, size: Floats, n_periods: int, *, last: bool
) -> Comparisons:
    """Return what each cohort's periods count for in each term.

    Parameters
    ----------
    matrix : array (k, C)
        Each term's weight on the effects of C cells.
    g, t : int array (C,)
        Cohort and period of each effect.
    first : int array (G,)
        The first period in which each cohort may be affected; T for one that never is.
    size : array (G,)
        Number of units.
    last : bool
        Whether only the last cohort to start serves.
    """
    a = np.zeros((len(matrix), len(first), n_periods))
    base = np.zeros_like(a)
    for c in range(len(g)):
        serves = controls(first, int(g[c]), int(t[c]), last=last)
        share = np.where(serves, size, 0.0)
        row = -share / share.sum()
        row[g[c]] += 1.0
        part = matrix[:, c, None] * row
        a[:, :, t[c]] += part
        base[:, :, first[g[c]] - 1] += part
    return Comparisons(a, base)


def controls(first: Ints, g: int, t: int, *, last: bool) -> NDArray[np.bool_]:
    """Return the cohorts that serve cohort g in period t (G,).

    From the start of g on those that start after t; before it those that start after g.
    """
    serves = first > max(t, int(first[g]))
    return serves & (first == first.max()) if last else serves


def fit(y: Floats, cohort: Ints, made: Comparisons, size: Floats, beta: float | None) -> Fitted:
    """Estimate, with the β given or, if None, the one of least variance.

    Roth & Sant'Anna (2023), section 2: θ̂(β) = Σ_g (A_g − β A⁰_g) Ȳ_g, of variance
    Σ_g (A_g − β A⁰_g) S_g (A_g − β A⁰_g)′ / N_g less a part that is not identified; S_g is the
    covariance within the cohort. The influence of a unit is its deviation from its cohort's mean,
    over √(N_g (N_g − 1)), so that the squares add up to that variance.

    Parameters
    ----------
    y : array (J, T)
        Without gaps.
    cohort : int array (J,)
        0 to G − 1.
    """
    k, n_cohorts, _ = made.a.shape
    values, lead = np.zeros(k), np.zeros(k)
    out, before = np.zeros((len(y), k)), np.zeros((len(y), k))
    for g in range(n_cohorts):
        rows = np.flatnonzero(cohort == g)
        mean = y[rows].mean(axis=0)
        values += made.a[:, g] @ mean
        lead += made.base[:, g] @ mean
        within = (y[rows] - mean) / np.sqrt(size[g] * (size[g] - 1))
        out[rows] = within @ made.a[:, g].T
        before[rows] = within @ made.base[:, g].T
    best = _ratio((out * before).sum(axis=0), (before**2).sum(axis=0))
    used = best if beta is None else np.full(k, beta)
    return Fitted(
        values - used * lead,
        used,
        out - before * used,
        made.a - used[:, None, None] * made.base,
    )


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Divide; 0 where there is nothing to divide by: a base without variance adjusts nothing."""
    there = bottom > 0
    return np.where(there, top / np.where(there, bottom, 1.0), 0.0)


def adjustment(y: Floats, cohort: Ints, made: Comparisons, first: Ints, size: Floats) -> Floats:
    """Return what of the variance is explained by outcomes before the first start, (k, k).

    The variance of effects among units cannot be seen, but the part of it that goes with
    outcomes before anybody started can: Roth & Sant'Anna (2023). Regress each cohort's part of
    the comparison (the base adds up to nothing over cohorts) on those outcomes, add the
    coefficients up over cohorts, and take the variance of what they predict, over the number of
    units.

    Zero where there is one cohort only, or nothing before the first start.
    """
    k, n_cohorts, _ = made.a.shape
    before = int(first.min())
    slopes, spread = np.zeros((before, k)), np.zeros((before, before))
    for g in range(n_cohorts):
        rows = cohort == g
        within = (y[rows] - y[rows].mean(axis=0)) / np.sqrt(size[g] - 1)
        early = within[:, :before]
        cross = early.T @ early
        spread += cross / n_cohorts
        slopes += np.linalg.pinv(cross, rcond=_SINGULAR, hermitian=True) @ (
            early.T @ (within @ made.a[:, g].T)
        )
    return np.asarray(slopes.T @ spread @ slopes / size.sum())


def carried_over(influence: Floats, less: Floats) -> Floats | None:
    """Return the influence whose cross-product is the variance less an adjustment.

    Of all matrices with that cross-product that are linear in the influence it is the nearest to
    it (least squares over units); for one term it is the influence times a number below 1. None
    where the adjusted variance has a negative eigenvalue.
    """
    variance = influence.T @ influence
    scale = np.sqrt(np.diagonal(variance))
    scale = np.where(scale > 0, scale, 1.0)
    old, new = (part / scale / scale[:, None] for part in (variance, variance - less))
    value, vector = np.linalg.eigh(old)
    kept = value > 1e-12 * value.max(initial=0.0)
    vector, root = vector[:, kept], np.sqrt(value[kept])
    inner = root[:, None] * (vector.T @ new @ vector) * root
    squared, axes = np.linalg.eigh(inner)
    if squared.min(initial=0.0) < -1e-12 * squared.max(initial=0.0):
        return None
    middle = axes * np.sqrt(np.maximum(squared, 0.0)) @ axes.T
    moved = vector / root @ middle / root @ vector.T
    return np.asarray((influence / scale) @ moved * scale)


def reassigned(
    y: Floats,
    cohort: Ints,
    made: Comparisons,
    acts: Floats,
    size: Floats,
    beta: float | None,
) -> Callable[[Labels], Draws]:
    """Return what `Estimate.reassigned` asks for: sums by cohort, for all draws at once.

    β is found again in every draw, from the outcome as it is.

    Parameters
    ----------
    y : array (J, T)
        Without gaps.
    cohort : int array (J,)
        The actual assignment.
    made : Comparisons
        Of the k terms.
    acts : array (k, G, T)
        Where the treatment of each cohort acts in each term; its own estimate is 1 in the actual
        assignment.
    size : array (G,)
        Units in each cohort; the last may be those that never start (label −1).
    beta : float, optional
        As in `fit`.
    """
    k, n_cohorts, _ = made.a.shape
    centred = y - y.mean(axis=0)

    def products(g: int) -> Floats:
        """Return what is added up over the units of cohort g: (J, 14, k)."""
        p, q = centred @ made.a[:, g].T, centred @ made.base[:, g].T
        d = np.einsum("kt,kgt->gk", made.a[:, g], acts)[cohort]
        e = np.einsum("kt,kgt->gk", made.base[:, g], acts)[cohort]
        each = [p, q, d, e]
        return np.stack([*each, *(each[i] * each[j] for i in range(4) for j in range(i, 4))], 1)

    def draws(labels: Labels) -> Draws:
        means = np.zeros((4, len(labels), k))
        spread = np.zeros((4, 4, len(labels), k))
        for g in range(n_cohorts):
            code = g if g in labels or g < n_cohorts - 1 else -1
            member = (labels == code).astype(np.float64)
            n = size[g]
            if (member.sum(axis=1) != n).any():
                raise EstimationError(
                    needed=f"assignments with {n:g} units in each place of cohort {g}",
                    found="others",
                    where="RothSantAnna, reassigned",
                    todo="labels are the actual cohorts in another order",
                )
            sums = (member @ products(g).reshape(len(y), -1)).reshape(len(labels), 14, k)
            means += np.moveaxis(sums[:, :4], 1, 0) / n
            at = 4
            for i in range(4):
                for j in range(i, 4):
                    within = sums[:, at] - sums[:, i] * sums[:, j] / n
                    spread[i, j] += within / (n * (n - 1))
                    at += 1
        used = _ratio(spread[0, 1], spread[1, 1]) if beta is None else np.full_like(means[0], beta)
        return Draws(
            b=means[0] - used * means[1],
            a=means[2] - used * means[3],
            v0=spread[0, 0] - 2 * used * spread[0, 1] + used**2 * spread[1, 1],
            v1=spread[0, 2] - used * (spread[0, 3] + spread[1, 2]) + used**2 * spread[1, 3],
            v2=spread[2, 2] - 2 * used * spread[2, 3] + used**2 * spread[3, 3],
        )

    return draws
