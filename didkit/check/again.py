"""The same estimate on an edited design, by the same inference: a row of a check's table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design
from didkit.errors import DidkitError, InferenceError, first_few
from didkit.results import Estimate

__all__ = ["NUMBERS", "again", "own_cells", "row_of"]

NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")
Floats = NDArray[np.float64]


def own_cells(estimate: Estimate, where: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the sample's units and periods in the panel.

    Raises
    ------
    InferenceError
        If the estimate is not of the panel's own values of the metric.
    """
    panel, sample = estimate.design.panel, estimate.sample
    known = estimate.metric.name in panel.metrics
    if known:
        place = {unit: i for i, unit in enumerate(panel.unit_ids)}
        rows = np.array([place[unit] for unit in sample.units], dtype=np.intp)
        columns = np.array([panel.calendar.position(p) for p in sample.periods], dtype=np.intp)
        own = np.where(sample.mask, panel.cells(estimate.metric).value[np.ix_(rows, columns)], 0.0)
        if np.array_equal(own, np.where(sample.mask, sample.y, 0.0)):
            return rows, columns
    raise InferenceError(
        needed="an estimate of the metric as the panel holds it",
        found=f"{type(estimate.estimator).__name__} of {estimate.metric.name!r}, "
        + ("whose values are others" if known else "which the panel does not hold"),
        where=where,
        todo="run it on DiD or EventStudy of a metric of the panel",
    )


def row_of(estimate: Estimate, *, note: str = "") -> dict[str, Any]:
    """Lay out the main term: its numbers, who carries it, and by which method."""
    term = estimate.main_term
    found, sure = estimate[term], estimate.uncertainty
    method = "" if sure is None or sure.method == "none" else sure.method
    return {
        **{name: float(found[name]) for name in NUMBERS},
        "n_pilots": int(found["n_pilots"]),
        "n_comparators": int(found["n_comparators"]),
        "method": method,
        "note": note,
    }


def again(estimate: Estimate, design: Design) -> dict[str, Any]:
    """Refit on another design, infer as before, and lay out the same term.

    Parameters
    ----------
    estimate : Estimate
        Whose estimator, inference, level and main term are used.
    design : Design
        The edited design.

    Returns
    -------
    dict
        As `row_of`; NaN where there is no such estimate or interval, and ``note`` says why.
    """
    term = estimate.main_term
    try:
        refit = estimate.refit(design)
    except DidkitError as error:
        return _nothing(f"no estimate: {error.found}; {error.needed} needed")
    if refit.main_term != term:
        terms = first_few(refit.terms["term"])
        return _nothing(f"no estimate of {term!r}: {terms} instead")
    sure = estimate.uncertainty
    if sure is None or sure.method == "none":
        return row_of(refit.infer(None))
    try:
        return row_of(refit.infer(sure.inference, level=sure.level))
    except InferenceError as error:
        return row_of(refit.infer(None), note=f"no interval: {error.found}")


def _nothing(why: str) -> dict[str, Any]:
    return {
        **dict.fromkeys(NUMBERS, np.nan),
        "n_pilots": 0,
        "n_comparators": 0,
        "method": "",
        "note": why,
    }
