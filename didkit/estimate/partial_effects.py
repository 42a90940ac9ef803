"""Average partial effects of cohorts and periods in a Poisson or logit regression."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError, first_few
from didkit.estimate.aggregation import Aggregation
from didkit.estimate.cohort_cells import CohortCells
from didkit.estimate.cohort_regression import Built
from didkit.estimate.published import Published
from didkit.linear.roots import inverse_root

__all__ = ["Family", "partial_effects"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Family = Literal["linear", "poisson", "logit"]


def partial_effects(
    cells: CohortCells, aggregation: Aggregation, built: Built, family: Family
) -> tuple[Published, dict[str, float]]:
    """Fit by quasi-maximum likelihood, and average the partial effects of the treated cells.

    The effect of a cell is the mean over its observations of ``h(x'b) − h(x0'b)``, x0 being x
    without its columns of effects; its gradient the mean of ``h'(x'b) x − h'(x0'b) x0``
    (Wooldridge 2023). The influence of a unit is the gradient times the inverse information times
    its score.

    Returns
    -------
    Published
        Values and influence only: the terms are no combinations of the outcomes.
    dict
        ``parameters`` (K) and ``observations`` (N), for small-sample factors.

    Raises
    ------
    EstimationError
        An outcome outside the range of the family, or no finite estimate.
    """
    sample, rows = cells.sample, built.rows
    used = rows.weight > 0
    _in_range(cells, family)
    y, w = np.where(used, sample.y, 0.0)[used], rows.weight[used]
    x = rows.x.swapaxes(1, 2)[used]
    own = np.array([_of_effects(name, cells.names) for name in rows.names])
    beta = _fit(y, x, w, family, f"metric {sample.metric.name!r}")
    mean, slope = _response(x @ beta, family)
    root = inverse_root((x * (w * slope)[:, None]).T @ x)
    if root is None:
        raise _no_estimate(family, f"metric {sample.metric.name!r}", "no information is left")
    x0 = np.where(own, 0.0, x)
    mean0, slope0 = _response(x0 @ beta, family)
    inside = cells.inside(sample.cohort).swapaxes(1, 2)[used].astype(np.float64) * w[:, None]
    share = inside / inside.sum(axis=0)
    effects = share.T @ (mean - mean0)
    gradient = share.T @ (slope[:, None] * x - slope0[:, None] * x0)
    unit = np.broadcast_to(np.arange(len(used))[:, None], used.shape)[used]
    scores = np.zeros((len(used), x.shape[1]))
    np.add.at(scores, unit, x * (w * (y - mean))[:, None])
    n_pilots, n_comparators = cells.carried(aggregation.members)
    return (
        Published(
            values=aggregation.matrix @ effects,
            n_pilots=n_pilots,
            n_comparators=n_comparators,
            influence=scores @ (root @ root.T) @ (aggregation.matrix @ gradient).T,
        ),
        {"parameters": float(x.shape[1]), "observations": float(len(y))},
    )


def _of_effects(name: str, effects: tuple[str, ...]) -> bool:
    """Tell the columns of effects, alone or with a covariate."""
    return name in effects or any(name.startswith(f"{effect} × ") for effect in effects)


def _response(index: Floats, family: Family) -> tuple[Floats, Floats]:
    """Return the mean and its slope."""
    if family == "poisson":
        mean = np.exp(index)
        return mean, mean
    mean = 1 / (1 + np.exp(-index))
    return mean, mean * (1 - mean)


def _in_range(cells: CohortCells, family: Family) -> None:
    """Refuse outcomes outside the range, and effects without a finite estimate."""
    sample = cells.sample
    values = sample.y[sample.mask]
    low = bool((values < 0).any())
    if low or (family == "logit" and bool((values > 1).any())):
        raise EstimationError(
            needed="outcomes of 0 or more" if family == "poisson" else "outcomes from 0 to 1",
            found=f"values from {values.min():g} to {values.max():g}",
            where=f"ExtendedTwoWay(family={family!r}), metric {sample.metric.name!r}",
            todo="use family='linear'" + ("" if low else ", or give shares instead of per cent"),
        )
    inside = cells.inside(sample.cohort)
    y = np.where(sample.mask, sample.y, 0.0)
    n = inside.sum(axis=(0, 2))
    total = np.einsum("jct,jt->c", inside.astype(np.float64), y)
    edge = (total == 0) | ((total == n) if family == "logit" else False)
    if edge.any():
        named = [cells.names[c] for c in np.flatnonzero(edge)]
        raise _no_estimate(
            family,
            f"metric {sample.metric.name!r}",
            f"outcomes at the end of the range throughout {first_few(named)}",
        )


def _no_estimate(family: Family, where: str, found: str) -> EstimationError:
    return EstimationError(
        needed="a finite estimate of every effect",
        found=found,
        where=f"ExtendedTwoWay(family={family!r}), {where}",
        todo="use family='linear', or fewer covariates",
    )


def _fit(y: Floats, x: Floats, w: Floats, family: Family, where: str) -> Floats:
    """Maximise the quasi-likelihood; statsmodels starts, Newton's steps finish."""
    import statsmodels.api as sm

    kind = sm.families.Poisson() if family == "poisson" else sm.families.Binomial()
    fitted = sm.GLM(y, x, family=kind, var_weights=w).fit(maxiter=100, tol=1e-10)
    beta = np.asarray(fitted.params, dtype=np.float64)
    for _ in range(20):
        mean, slope = _response(x @ beta, family)
        root = inverse_root((x * (w * slope)[:, None]).T @ x) if np.isfinite(beta).all() else None
        if root is None:
            raise _no_estimate(family, where, "an index that grows without end")
        step = root @ (root.T @ (x.T @ (w * (y - mean))))
        beta = beta + step
        if np.abs(step).max() <= 1e-11 * max(1.0, np.abs(beta).max()):
            return beta
    raise _no_estimate(family, where, "no convergence")
