"""Leverage as a table: which units carry an estimate, and whom they serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.linear import Normal, delete_one, leverage, partial_leverage

if TYPE_CHECKING:
    from didkit.results.estimate import Estimate

__all__ = ["leverage_table", "who_carries"]

Floats = NDArray[np.float64]


def leverage_table(estimate: Estimate, term: str | None = None) -> pd.DataFrame:
    """Say what share of the information on a term each cluster carries.

    Parameters
    ----------
    estimate : Estimate
        With ``normal`` and ``contrast`` against one pool, or with ``weights`` against sets.
    term : str, optional
        By default ``estimate.main_term``.

    Returns
    -------
    DataFrame
        One row a cluster, the largest share first, ties by the cluster's label: ``cluster, name,
        arm`` (pilot where it holds one, else comparator), ``share`` (they add up to 1),
        ``pilots_served`` (in whose sets, or pool, it stands by the design).

    Raises
    ------
    InferenceError
        If the estimate has neither: sets aggregated by their median are not linear.
    EstimationError
        If there is no such term.

    Notes
    -----
    Against one pool the share is the partial leverage (`didkit.linear.partial_leverage`).
    Against sets it is the cluster's part of the sum of squared weights,
    ``sum_{j in g, t} w_jt^2 / sum_{j,t} w_jt^2``: its part of the estimate's variance where cells
    are independent with one variance. For least squares on cells both are the same number; a
    comparator who serves four pilots has four times the weight of one who serves one in a set
    as large, and sixteen times its share.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> table = dk.DiD(cells="complete").fit(design, "cla").infer(None).leverage()
    >>> table["arm"].head(10).unique().tolist(), round(float(table["share"].sum()), 10)
    (['pilot'], 1.0)
    """
    m = estimate.place_of(term, where="leverage")
    sample, normal = estimate.sample, estimate.normal
    labels = list(sample.cluster_labels)
    if sample.sets is not None and estimate.weights is not None:
        share = _squared(estimate.weights[m], sample.clusters, len(labels))
    elif sample.sets is None and normal is not None and estimate.contrast is not None:
        share = partial_leverage(normal, estimate.contrast)[:, m]
        labels = list(normal.labels or labels)
    else:
        raise InferenceError(
            needed="an estimate with cross-products by cluster, or with weights against sets",
            found=f"{type(estimate.estimator).__name__} against "
            f"{estimate.design.against.describe()}, which publishes neither",
            where="leverage",
            todo="use an estimate against one pool or against means of sets; LeaveOneOut() shows "
            "who moves any estimate",
        )
    of_unit = np.array(sample.cluster_labels)[sample.clusters]
    names = dict(zip(sample.units, sample.names, strict=True))
    piloted = set(of_unit[sample.pilot])
    serves = _served(estimate, of_unit)
    made = pd.DataFrame(
        {
            "cluster": labels,
            "name": [names.get(label) or label for label in labels],
            "arm": ["pilot" if label in piloted else "comparator" for label in labels],
            "share": share,
            "pilots_served": [serves.get(label, 0) for label in labels],
        }
    )
    order = made.assign(size=made["share"].round(12)).sort_values(  # rounding breaks no tie
        ["size", "cluster"], ascending=[False, True]
    )
    return made.loc[order.index].reset_index(drop=True)


def who_carries(estimate: Estimate) -> dict[str, Any]:
    """Say which clusters carry the main term of an estimate most; no refits.

    Returns
    -------
    dict
        ``leverage`` (the largest of a cluster, all parameters together) and ``leverage_of``
        (whose), ``partial_leverage`` (the largest share of the information on `main_term`) and
        ``partial_leverage_of``, ``influence`` (how far `main_term` moves, in the metric's unit,
        without the cluster that moves it most) and ``influence_of``. NaN and "" where the estimate
        has no cross-products, one cluster alone identifies the term, or effects cross clusters.
        Ties by the cluster's label.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = who_carries(dk.DiD().fit(design, "cpp").infer(None))
    >>> found["partial_leverage_of"] in design.pilots
    True
    """
    names = ("leverage", "partial_leverage", "influence")
    made: dict[str, Any] = {}
    for name in names:
        made |= {name: float("nan"), f"{name}_of": ""}
    normal, contrast = estimate.normal, estimate.contrast
    if normal is None or contrast is None:
        return made
    row = contrast[[estimate.place_of(None, where="glance")]]
    whose = np.array(normal.labels or estimate.sample.cluster_labels)
    for name in names:
        try:
            found = _measured(name, normal, row, estimate)
        except InferenceError:  # the measure does not exist here: NaN says so
            continue
        size = np.round(np.abs(found) / max(np.abs(found).max(), 1e-300), 9)  # ties by label
        at = min(np.flatnonzero(size == size.max()), key=lambda g: str(whose[g]))
        made |= {name: float(found[at]), f"{name}_of": str(whose[at])}
    return made


def _measured(name: str, normal: Normal, row: Floats, estimate: Estimate) -> Floats:
    """Return one measure of every cluster, (G,)."""
    if name == "leverage":
        return leverage(normal)
    if name == "partial_leverage":
        return partial_leverage(normal, row)[:, 0]
    at = estimate.place_of(None, where="glance")
    return np.asarray(delete_one(normal, row)[:, 0] - estimate.values[at])


def _squared(
    weights: NDArray[np.float64], clusters: NDArray[np.intp], n: int
) -> NDArray[np.float64]:
    """Share of each cluster in the sum of squared weights of units × periods."""
    made = np.bincount(clusters, (weights**2).sum(axis=1), minlength=n)
    return np.asarray(made / made.sum())


def _served(estimate: Estimate, of_unit: NDArray[np.str_]) -> dict[str, int]:
    """Count the pilots in whose sets a cluster has a unit; all of them against one pool."""
    sample = estimate.sample
    sets = sample.sets
    if sets is None:
        return dict.fromkeys(of_unit[~sample.pilot].tolist(), sample.n_pilots)
    return {label: int((sets[:, of_unit == label] > 0).any(axis=1).sum()) for label in set(of_unit)}
