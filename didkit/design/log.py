"""What became of every cell: the log of a sample, its gaps in words, and who is missing when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from didkit.design.spec import Spec
from didkit.errors import first_few
from didkit.panel import Cells, Panel, Status

__all__ = ["cell_log", "gaps_in_words", "missing_by_arm"]


def cell_log(spec: Spec, cells: Cells, rows: np.ndarray, cols: np.ndarray) -> pd.DataFrame:
    """Say what became of every cell for which the panel has a row."""
    ids = spec.panel.unit_ids
    there = cells.status != Status.ABSENT
    inwindow = np.zeros(there.shape[1], dtype=bool)
    inwindow[cols] = True
    in_design = np.zeros(there.shape[0], dtype=bool)
    in_design[rows] = True
    entries: list[tuple[str, str, str, int]] = []
    for i, n in zip(*_counted(there.sum(axis=1), ~in_design), strict=True):
        unit = ids[i]
        why = "neither pilot nor comparator"
        if unit in spec.exclude:
            why = f"excluded by name: {spec.exclude[unit] or 'no reason given'}"
        elif unit in spec.dropped:
            why = "dropped"
        elif unit in spec.left_out:
            why = spec.left_out[unit]
        entries.append(("design", unit, why, n))
    outside = (there & ~inwindow).sum(axis=1)
    for i, n in zip(*_counted(outside, in_design), strict=True):
        entries.append(("design", ids[i], "outside the window", n))
    inside = there & inwindow
    used = inside & np.isfinite(cells.value)
    for status in Status:
        missing = (inside & ~used & (cells.status == status)).sum(axis=1)
        for i, n in zip(*_counted(missing, in_design), strict=True):
            entries.append(("sample", ids[i], f"no value: {status.label}", n))
    for i, n in zip(*_counted(used.sum(axis=1), in_design), strict=True):
        entries.append(("sample", ids[i], "used", n))
    return pd.DataFrame(entries, columns=["stage", "unit", "reason", "cells"])


def _counted(counts: np.ndarray, among: np.ndarray) -> tuple[list[int], list[int]]:
    """Return positions and counts of the units of a group that have any."""
    at = np.flatnonzero(among & (counts > 0))
    return at.tolist(), counts[at].tolist()


def gaps_in_words(taken: Cells, units: tuple[str, ...]) -> tuple[str, ...]:
    """Say which units have no value, or hardly any, in the window."""
    seen = np.isfinite(taken.value)
    none = [u for u, n in zip(units, seen.sum(axis=1), strict=True) if n == 0]
    some = [u for u, n in zip(units, seen.sum(axis=1), strict=True) if 0 < n < seen.shape[1]]
    notes = []
    if none:
        notes.append(f"{first_few(none)} units have no value in the window")
    if some:
        notes.append(f"{first_few(some)} units miss at least one period")
    return tuple(notes)


def missing_by_arm(
    panel: Panel,
    periods: Sequence[str],
    arms: Mapping[str, Sequence[str]],
    metrics: Sequence[str],
) -> pd.DataFrame:
    """Count the cells with and without a value, by metric, period and arm; see `Design.audit`."""
    rows = []
    ids = np.array(panel.unit_ids)
    place = {unit: i for i, unit in enumerate(ids)}
    cols = [panel.calendar.position(p) for p in periods]
    for name in metrics:
        cells = panel.cells(name)
        for t, period in zip(cols, periods, strict=True):
            for arm, members in arms.items():
                at = np.array([place[unit] for unit in members], dtype=np.intp)
                seen = np.isfinite(cells.value[at, t])
                status = cells.status[at, t]
                rows.append(
                    {
                        "metric": panel.metric(name).name,
                        "period": period,
                        "arm": arm,
                        "units": len(members),
                        "with_value": int(seen.sum()),
                        **{
                            s.label: int((status[~seen] == s).sum())
                            for s in Status
                            if s is not Status.OBSERVED
                        },
                        "missing": ", ".join(ids[at[~seen]]),
                    }
                )
    return pd.DataFrame(rows)
