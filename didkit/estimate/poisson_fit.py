"""Poisson quasi-maximum likelihood with unit effects, exactly: they are concentrated out.

Given the coefficients, a unit's effect is the log of its counts over its fitted ones without it,
so that what is left is the likelihood of how each unit's total falls on its cells (a conditional
multinomial). It is concave, and Newton's steps are weighted least squares with the unit effects
swept out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, first_few
from didkit.linear import Normal
from didkit.linear.roots import dependence
from didkit.results import Labels

__all__ = ["PoissonFit", "poisson_fit"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_STEPS = 100
#: what is left of a column's information where its coefficient runs off to infinity
_LOST = 1e-9


@dataclass(frozen=True, eq=False)
class PoissonFit:
    """A fit with P coefficients: terms, periods, covariates.

    Parameters
    ----------
    beta : array (P,)
        Coefficients, on the log scale.
    mean : array (J, T)
        Fitted counts; zero where a cell is not used.
    influence : array (J, P)
        Each unit's part in the error of each coefficient.
    normal : Normal
        The weighted least squares of the last step, by cluster: coefficients, sandwich and
        leverage are those of the fit.
    regroup : callable
        Codes (J, T) → the same by these groups of cells.
    dispersion : float
        Pearson's χ² over its degrees of freedom: 1 where counts are Poisson.
    """

    beta: Floats
    mean: Floats
    influence: Floats
    normal: Normal
    regroup: Callable[[Labels], Normal]
    dispersion: float


def poisson_fit(
    sample: Sample,
    counts: Floats,
    offset: Floats,
    x: Floats,
    names: tuple[str, ...],
) -> PoissonFit:
    """Maximise the likelihood of counts, given unit effects, P regressors and an offset.

    Parameters
    ----------
    sample : Sample
        Its mask says which cells are used, `w` what they count for.
    counts : array (J, T)
        Not negative; every unit has some.
    offset : array (J, T)
        Log of the exposure; 0 without one.
    x : array (J, P, T)
        Regressors.
    names : tuple of str
        Of the P columns, for errors.

    Raises
    ------
    EstimationError
        If a column is held by the others, or the likelihood has no maximum (separation).
    """
    mask = sample.mask
    w = np.where(mask, 1.0 if sample.w is None else sample.w, 0.0)
    y = np.where(mask, counts, 0.0)
    x = np.where(mask[:, None], x, 0.0)
    offset = np.where(mask, offset, 0.0)
    total = (w * y).sum(axis=1)

    def at(beta: Floats) -> tuple[float, Floats]:
        """Log-likelihood up to a constant, and the fitted counts."""
        eta = offset + np.einsum("p,jpt->jt", beta, x)
        top = np.where(mask, eta, -np.inf).max(axis=1, keepdims=True)
        raw = np.where(mask, np.exp(eta - top), 0.0)
        share = raw / (w * raw).sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            level = np.where(y > 0, np.log(np.where(y > 0, share, 1.0)), 0.0)
        return float((w * y * level).sum()), total[:, None] * share

    def swept(mean: Floats) -> tuple[Floats, Floats]:
        """Regressors less their weighted mean in each unit, and their cross-products by unit."""
        heavy = w * mean
        centre = np.einsum("jpt,jt->jp", x, heavy) / total[:, None]
        within = np.where(mask[:, None], x - centre[:, :, None], 0.0)
        return within, np.einsum("jpt,jt,jqt->jpq", within, heavy, within, optimize=True)

    beta = np.zeros(x.shape[1])
    value, mean = at(beta)
    within, by_unit = swept(mean)
    first = by_unit.sum(axis=0)
    _refuse_held(first, np.einsum("jpt,jt,jpt->p", x, w * mean, x), names, sample)
    for _ in range(_STEPS):
        score = np.einsum("jpt,jt->p", within, w * (y - mean))
        information = by_unit.sum(axis=0)
        lost = np.diagonal(information) < _LOST * np.diagonal(first)
        if lost.any():
            raise _separated(sample, [n for n, gone in zip(names, lost, strict=True) if gone])
        try:
            step = scipy.linalg.solve(information, score, assume_a="pos")
        except np.linalg.LinAlgError as error:
            raise _separated(sample, list(names)) from error
        size, found = 1.0, at(beta + step)
        while found[0] < value - 1e-12 * abs(value) and size > 1e-6:
            size /= 2
            found = at(beta + size * step)
        beta = beta + size * step
        value, mean = found
        within, by_unit = swept(mean)
        # the steps are quadratic: after one of 1e-7 the next is below rounding
        if np.abs(step).max() < 1e-11 or (np.abs(step).max() < 1e-7 and size == 1.0):
            break
    else:
        raise _separated(sample, list(names))
    residual = w * (y - mean)
    scores = np.einsum("jpt,jt->jp", within, residual)
    influence = scipy.linalg.solve(by_unit.sum(axis=0), scores.T, assume_a="pos").T
    rows = _Rows(sample, mask, within, w * mean, residual, beta, names)
    n, p = int(mask.sum()), len(beta) + len(y)
    pearson = float(np.where(mask & (mean > 0), residual * (y - mean) / np.maximum(mean, 1e-300), 0)
                    .sum())  # fmt: skip
    return PoissonFit(
        beta=beta,
        mean=mean,
        influence=influence,
        normal=rows.by_cluster(),
        regroup=rows.regroup,
        dispersion=pearson / (n - p) if n > p else float("nan"),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of the last weighted least squares: columns √m (x − x̄), outcome √m (xβ + (y − m)/m)."""

    sample: Sample
    mask: Bools
    within: Floats
    heavy: Floats
    residual: Floats
    beta: Floats
    names: tuple[str, ...]

    def _root(self) -> tuple[Floats, Floats]:
        """Return columns (J, P, T) and outcome (J, T)."""
        root = np.sqrt(self.heavy)
        columns = self.within * root[:, None]
        rest = np.where(root > 0, self.residual / np.where(root > 0, root, 1.0), 0.0)
        return columns, np.einsum("p,jpt->jt", self.beta, columns) + rest

    def by_cluster(self) -> Normal:
        """Sum over the sample's clusters."""
        columns, outcome = self._root()
        n = len(self.sample.cluster_labels)

        def summed(values: Floats) -> Floats:
            made = np.zeros((n, *values.shape[1:]))
            np.add.at(made, self.sample.clusters, values)
            return made

        return Normal(
            A=summed(np.einsum("jpt,jqt->jpq", columns, columns)),
            b=summed(np.einsum("jpt,jt->jp", columns, outcome)),
            yy=summed((outcome**2).sum(axis=1)),
            n_obs=int(self.mask.sum()),
            n_absorbed=len(self.mask),
            labels=self.sample.cluster_labels,
            names=self.names,
        )

    def regroup(self, codes: Labels) -> Normal:
        """Sum over groups of cells, codes (J, T)."""
        columns, outcome = self._root()
        labels, group = np.unique(codes[self.mask], return_inverse=True)
        unit = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)[self.mask]
        X, z = columns.swapaxes(1, 2)[self.mask], outcome[self.mask]
        n, p = len(labels), X.shape[1]
        A, b, zz = np.zeros((n, p, p)), np.zeros((n, p)), np.zeros(n)
        for a in range(p):  # one column of products at a time
            np.add.at(A[:, a], group, X[:, [a]] * X)
        np.add.at(b, group, X * z[:, None])
        np.add.at(zz, group, z**2)
        pairs = len(np.unique(unit * n + group))
        return Normal(
            A=(A + A.swapaxes(1, 2)) / 2,
            b=b,
            yy=zz,
            n_obs=len(z),
            n_absorbed=len(codes),
            nested=pairs == len(np.unique(unit)),
            labels=tuple(str(label) for label in labels),
            names=self.names,
        )


def _refuse_held(total: Floats, raw: Floats, names: tuple[str, ...], sample: Sample) -> None:
    """Refuse columns that unit effects or other columns hold, by name."""
    held = np.diagonal(total) <= 1e-12 * np.maximum(raw, np.finfo(float).tiny)
    found = [f"{n!r} is held by the unit effects" for n, h in zip(names, held, strict=True) if h]
    kept = np.flatnonzero(~held)
    for j, others in dependence(total[np.ix_(kept, kept)]):
        by = first_few([names[kept[i]] for i in others])
        found.append(f"{names[kept[j]]!r} is held by {by} and the unit effects")
    if found:
        raise EstimationError(
            needed="terms, periods and covariates that can be told apart",
            found=first_few(found),
            where=f"PoissonDiD, metric {sample.metric.name!r}",
            todo="leave the covariate out, or choose a window in which pilots and comparators are "
            "seen on both sides of the start",
        )


def _separated(sample: Sample, names: list[str]) -> EstimationError:
    """Say that a coefficient runs off to infinity."""
    return EstimationError(
        needed="counts above zero on both sides of each comparison",
        found=f"a likelihood without a maximum (separation): {first_few(names)}",
        where=f"PoissonDiD, metric {sample.metric.name!r}",
        todo="a ratio to or from zero is no number: widen the window, use fewer terms, or take the "
        "rate with DiD",
    )
