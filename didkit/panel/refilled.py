"""A panel with other numbers in the cells of one metric: what simulations need by the thousand."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from didkit.errors import PanelError
from didkit.panel.metric import Metric
from didkit.panel.status import Cells, Status

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["refilled"]


def refilled(panel: Panel, metric: Metric, values: ArrayLike) -> Panel:
    """Return the panel with other numbers in the cells of one metric, all else as it is.

    Quick, for simulation: the other metrics are shared, and the numbers are not held against the
    metric's kind.

    Parameters
    ----------
    metric : Metric
        One of the panel's, by name; it may be of another kind.
    values : array (J, T)
        Units × periods in the panel's order; NaN is not available, the others are known exactly.

    Raises
    ------
    PanelError
        If the metric is unknown or the shape another.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> zero = panel.refilled(panel.metric("cpp"), 0 * panel.cells("cpp").value)
    >>> float(zero.wide("cpp").max().max())
    0.0
    """
    name = panel.metric(metric.name).name
    made = np.asarray(values, dtype=float)
    shape = panel.cells(name).value.shape
    if made.shape != shape:
        raise PanelError(
            needed=f"{shape[0]} × {shape[1]} numbers: units × periods of the panel",
            found=f"an array of shape {made.shape}",
            where="Panel.refilled",
            todo="give one row a unit, in the order of panel.unit_ids",
        )
    status = np.where(np.isfinite(made), Status.OBSERVED, Status.NOT_AVAILABLE).astype(np.int8)
    other = copy.copy(panel)
    other._cells = {**panel._cells, name: Cells(made, status, made, made)}
    other.metrics = {**panel.metrics, name: metric}
    return other
