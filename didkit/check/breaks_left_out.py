"""Which flags of a recording break touch an estimate, and which cells they make incomparable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design
from didkit.errors import InferenceError, PanelError
from didkit.panel import Cells, Panel, Status
from didkit.results import Estimate

__all__ = ["FLAGS", "cells_left_out", "flags_of", "without_cells"]

FLAGS = ["unit", "name", "arm", "period", "kind", "since", "percent", "statistic", "at_start"]
Bools = NDArray[np.bool_]
_KINDS = ("step", "two-period step", "spike")


def flags_of(
    estimate: Estimate, threshold: float, breaks: pd.DataFrame | None
) -> tuple[pd.DataFrame, int]:
    """Return the flags among the estimate's units and periods, and how many are elsewhere.

    A step touches the estimate if the unit has a period of the window on both sides of it, a spike
    if its period is in the window. `at_start` marks those of a pilot whose change runs into its
    first treated period.

    Raises
    ------
    InferenceError
        If the detector does not serve the metric, or the frame given is none.
    """
    panel, sample = estimate.design.panel, estimate.sample
    if breaks is None:
        try:
            found = panel.recording_breaks(estimate.metric.name, threshold=threshold)
        except PanelError as error:
            raise InferenceError(
                needed=f"a metric in which breaks can be sought: {error.needed}",
                found=error.found,
                where=error.where,
                todo="name the breaks that you know: WithoutBreaks(breaks=frame of unit, period)",
            ) from error
    else:
        found = _given(breaks, panel)
    place = {unit: j for j, unit in enumerate(sample.units)}
    window = [panel.calendar.position(period) for period in sample.periods]
    rows = []
    for flag in found.to_dict("records"):
        j = place.get(str(flag["unit"]))
        if j is None:
            continue
        since, at = (panel.calendar.position(flag[name]) for name in ("since", "period"))
        inside = (
            at in window
            if flag["kind"] == "spike"
            else min(window) <= since and at <= max(window) and bool(sample.mask[j].any())
        )
        if not inside:
            continue
        starts = False
        if sample.pilot[j]:
            start = window[sample.starts[int(sample.cohort[j])]]
            starts = since < start <= at
        rows.append(
            {
                **flag,
                "name": sample.names[j],
                "arm": "pilot" if sample.pilot[j] else "comparator",
                "at_start": starts,
            }
        )
    table = pd.DataFrame(rows, columns=FLAGS)
    return table.astype({"at_start": bool}), len(found) - len(table)


def _given(breaks: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Read a frame of breaks: ids and periods of the panel, and what each break is."""
    table = pd.DataFrame(breaks).reset_index(drop=True)
    kind = table["kind"] if "kind" in table else pd.Series("step", index=table.index)
    odd = sorted({str(one) for one in kind} - set(_KINDS))
    if odd:
        raise InferenceError(
            needed="kinds of break: step, two-period step or spike",
            found=", ".join(odd),
            where="WithoutBreaks(breaks=), column kind",
            todo="leave the column out for steps",
        )
    rows = []
    for i, (unit, period) in enumerate(zip(table["unit"], table["period"], strict=True)):
        where = "WithoutBreaks(breaks=)"
        at = panel.calendar.position(period, where=where)
        back = 2 if kind[i] == "two-period step" else 1
        since = (
            panel.calendar.position(table["since"][i], where=where)
            if "since" in table
            else max(at - back, 0)
        )
        if since >= at and kind[i] != "spike":
            raise InferenceError(
                needed="a break after the first period of the panel, and since= before period=",
                found=f"{unit!r}: since {panel.periods[since]}, period {panel.periods[at]}",
                where=where,
                todo="period is the first one recorded in the new way",
            )
        rows.append(
            {
                "unit": panel.find(unit, where=where),
                "period": panel.periods[at],
                "kind": str(kind[i]),
                "since": panel.periods[since],
                "percent": np.nan,
                "statistic": np.nan,
            }
        )
    return pd.DataFrame(rows, columns=["unit", "period", "kind", "since", "percent", "statistic"])


def cells_left_out(estimate: Estimate, flags: pd.DataFrame) -> Bools:
    """Return the cells (J, T) that cannot be compared with their unit's others.

    A spike leaves out its cell. Steps cut a unit's window into pieces: the piece that holds
    periods before and from the start on stays, and the others are left out, since the unit is not
    comparable across a break; where no piece holds both, the whole unit is. The start is a pilot's
    own, and the first one for comparators.
    """
    sample = estimate.sample
    place = {unit: j for j, unit in enumerate(sample.units)}
    when = {period: t for t, period in enumerate(sample.periods)}
    out = np.zeros(sample.y.shape, dtype=bool)
    steps: dict[int, list[tuple[int, int]]] = {}
    for flag in flags.to_dict("records"):
        j = place[str(flag["unit"])]
        if flag["kind"] == "spike":
            out[j, when[str(flag["period"])]] = True
        else:
            steps.setdefault(j, []).append((when[str(flag["since"])], when[str(flag["period"])]))
    for j, cuts in steps.items():
        g = int(sample.cohort[j])
        start = sample.starts[g] if g >= 0 else min(sample.starts)
        seen = sample.mask[j] & ~out[j]
        out[j] |= ~_whole_piece(seen, sorted(cuts), start)
    return out & sample.mask


def _whole_piece(seen: Bools, cuts: Sequence[tuple[int, int]], start: int) -> Bools:
    """Return the piece between cuts with cells on both sides of the start; else nothing."""
    t = len(seen)
    ends = [*(since for since, _ in cuts), t - 1]
    begins = [0, *(at for _, at in cuts)]
    for first, last in zip(begins, ends, strict=True):
        piece = np.zeros(t, dtype=bool)
        piece[first : last + 1] = True
        inside = piece & seen
        if inside[:start].any() and inside[start:].any():
            return piece
    return np.zeros(t, dtype=bool)


def without_cells(
    estimate: Estimate, rows: NDArray[np.intp], columns: NDArray[np.intp], out: Bools
) -> Design:
    """Return the design on a panel without these cells; every other keeps its value and bounds."""
    panel, name = estimate.design.panel, estimate.metric.name
    held = panel.cells(name)
    gone = np.zeros(held.value.shape, dtype=bool)
    gone[np.ix_(rows, columns)] = out
    value, lower, upper = (np.where(gone, np.nan, one) for one in
                           (held.value, held.lower, held.upper))  # fmt: skip
    status = np.where(gone, Status.NOT_AVAILABLE, held.status).astype(np.int8)
    cells = {key: panel.cells(key) for key in panel.metrics}
    cells[name] = Cells(value, status, lower, upper)
    return estimate.design.on_panel(panel.replaced(cells=cells))
