"""The invariants of units and cells, held wherever they came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few
from didkit.panel.calendar import Calendar
from didkit.panel.identity import Identity, totals
from didkit.panel.metric import Metric
from didkit.panel.status import Cells

__all__ = ["check_cells", "check_units"]


def check_units(units: pd.DataFrame, identity: Identity) -> None:
    """Refuse units that hold others: England or a region among its authorities.

    Raises
    ------
    PanelError
        If there is one. It would be compared with pilots that it counts itself.
    """
    names = dict(zip(units.index, map(str, units["name"]), strict=True))
    found = totals(list(names), list(names.values()), identity=identity)
    if found:
        shown = [one if names[one] in ("", one) else f"{one}: {names[one]}" for one in found]
        only = "; a panel of regions only needs identity='any'" if identity == "la_code" else ""
        raise PanelError(
            needed="units of one level, such as authorities, and none that holds others",
            found=f"{first_few(shown)} that stand for England, a region or the like",
            where="the panel's units",
            todo="take these rows out of the frame before: as comparators they would count the "
            f"pilots too{only}",
        )


def check_cells(
    name: str,
    metric: Metric,
    cells: Cells,
    shape: tuple[int, int],
    ids: Sequence[str],
    calendar: Calendar,
) -> None:
    """Hold the invariants of cells, wherever they came from."""

    def refuse(bad: np.ndarray, needed: str, todo: str) -> None:
        if bad.any():
            at = [
                f"{ids[i]} in {calendar.labels[t]}: {cells.value[i, t]:g}"
                for i, t in np.argwhere(bad)
            ]
            raise PanelError(
                needed=needed, found=first_few(at) + " cells", where=f"metric {name!r}", todo=todo
            )

    for array in (cells.value, cells.status, cells.lower, cells.upper):
        if array.shape != shape:
            raise PanelError(
                needed=f"arrays of {shape[0]} units × {shape[1]} periods",
                found=f"shape {array.shape}",
                where=f"metric {name!r}",
                todo="make the arrays in the order of the panel's units and periods",
            )
    with np.errstate(invalid="ignore"):
        slack = 1e-9 * (1 + np.abs(cells.value))
        outside = (cells.value < cells.lower - slack) | (cells.value > cells.upper + slack)
        crossed = cells.lower > cells.upper + 1e-9 * (1 + np.abs(cells.upper))
        negative = cells.value < 0
        infinite = np.isinf(cells.value)
    if not (outside | crossed | infinite | negative).any():
        return
    refuse(infinite, "finite numbers", "mend the infinite cells")
    if metric.non_negative:
        refuse(
            negative,
            f"a {metric.kind} of zero or more",
            "a dashboard may code its symbols as negative numbers: give them a status instead",
        )
    refuse(outside, "values inside their bounds", "mend lower= and upper=")
    refuse(crossed, "a lower bound not above the upper", "mend lower= and upper=")
