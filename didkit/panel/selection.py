"""A part of a panel: some metrics, periods or units, and a log of what was left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from didkit.errors import PanelError
from didkit.panel.calendar import Calendar
from didkit.panel.metric import Metric
from didkit.panel.status import Status

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["select"]


def select(
    panel: Panel,
    *,
    metrics: Iterable[str | Metric] | str | Metric | None = None,
    periods: Iterable[object] | str | int | None = None,
    units: Iterable[object] | str | int | None = None,
) -> Panel:
    """Keep some metrics, periods or units; what is left out is in the log.

    Parameters
    ----------
    panel : Panel
        With all of them.
    metrics : iterable of str or Metric, optional
        Names; also a single one. The metrics come in this order.
    periods : iterable of str or int, optional
        Labels or numbers as in the calendar, in any order; also a single one. They are taken one
        by one: ``range(2015, 2018)`` is 2015, 2016 and 2017, and
        ``panel.calendar.window(2015, 2017)`` the same three.
    units : iterable of str or int, optional
        Ids, in any order; also a single one.

    Returns
    -------
    Panel
        Units and periods in the order that they had.

    Raises
    ------
    PanelError
        If one of them is unknown, nothing is left, or the periods kept have a gap.

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> frame = pd.DataFrame({"la": ["303"] * 3, "year": [2017, 2018, 2019], "cin": [1.0, 2, 3]})
    >>> panel = dk.Panel.from_frame(
    ...     frame.assign(cpp=4.0), unit="la", period="year", metrics=["cin", "cpp"]
    ... )
    >>> panel.select(metrics="cin", periods=range(2017, 2019))
    Panel(1 units × 2 periods (2017 to 2018); metrics: cin)
    """
    wanted = None if metrics is None else _listed(metrics)
    names = list(panel.metrics)
    if wanted is not None:
        names = [panel.metric(one).name for one in wanted]  # type: ignore[arg-type]
    ids, calendar = panel.unit_ids, panel.calendar
    cols = list(range(len(calendar)))
    if periods is not None:
        cols = sorted({calendar.position(one, where="periods=") for one in _listed(periods)})
    rows = list(range(len(ids)))
    if units is not None:
        place = {code: i for i, code in enumerate(ids)}
        rows = sorted({place[panel.find(one, where="units=")] for one in _listed(units)})
    if not names or not cols or not rows:
        raise PanelError(
            needed="at least one metric, period and unit",
            found=f"{len(names)} metrics, {len(cols)} periods, {len(rows)} units",
            where="Panel.select",
            todo="select something",
        )
    at = np.array(rows, dtype=np.intp), np.array(cols, dtype=np.intp)
    logged = _left_out(panel, names, *at)
    return panel.replaced(
        units=panel.units.iloc[rows],
        calendar=Calendar(tuple(calendar.labels[t] for t in cols), calendar.kind),
        metrics={name: panel.metrics[name] for name in names},
        cells={name: panel.cells(name).take(*at) for name in names},
        sources={name: panel.sources[name] for name in names},
        log=pd.concat([panel.log, pd.DataFrame(logged)], ignore_index=True) if logged else None,
    )


def _listed(asked: object) -> list[object]:
    """Return what was asked for one by one; a text, a number or a metric is a single thing."""
    if isinstance(asked, Iterable) and not isinstance(asked, str):
        return list(asked)
    return [asked]


def _left_out(
    panel: Panel, names: list[str], rows: np.ndarray, cols: np.ndarray
) -> list[dict[str, object]]:
    """Count the cells that a source had a row for: of metrics kept, and of all the others."""

    def held(status: np.ndarray) -> int:
        return int((status != Status.ABSENT).sum())

    logged: list[dict[str, object]] = []
    for name in names:
        status = panel.cells(name).status
        gone = held(status) - held(status[np.ix_(rows, cols)])
        if gone:
            logged.append({"what": "cells left out by select", "source": name, "rows": gone})
    others = [name for name in panel.metrics if name not in names]
    if others:
        what = f"{len(others)} metric{'s' if len(others) > 1 else ''} not selected: "
        cells = sum(held(panel.cells(name).status) for name in others)
        logged.append({"what": what + ", ".join(others), "source": "select", "rows": cells})
    return logged
