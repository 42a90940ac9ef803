"""What became of every cell: the log of a sample, its gaps in words, and who is missing when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from didkit.design.sample import Sample
from didkit.design.spec import Spec
from didkit.errors import DesignError, first_few
from didkit.panel import Cells, Panel, Status

__all__ = ["cell_log", "gaps_in_words", "hidden_in_words", "missing_by_arm", "one_sided"]

_NOTHING: Mapping[str, np.ndarray] = MappingProxyType({})


def cell_log(
    spec: Spec,
    cells: Cells,
    rows: np.ndarray,
    cols: np.ndarray,
    aside: Mapping[str, np.ndarray] = _NOTHING,
) -> pd.DataFrame:
    """Say what became of every cell for which the panel has a row.

    `aside`: reason → cells (rows × cols) with a value that the design leaves out for it.
    """
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
    for reason, which in aside.items():
        out = np.zeros_like(used)
        out[np.ix_(rows, cols)] = which
        out &= used
        used &= ~out
        for i, n in zip(*_counted(out.sum(axis=1), in_design), strict=True):
            entries.append(("sample", ids[i], reason, n))
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


def hidden_in_words(
    aside: Mapping[str, np.ndarray], taken: Cells, units: tuple[str, ...]
) -> tuple[str, ...]:
    """Say whose cells with a value the design leaves out, and why."""
    notes = []
    for reason, which in aside.items():
        counts = (which & np.isfinite(taken.value)).sum(axis=1)
        if counts.any():
            whose = [u for u, n in zip(units, counts, strict=True) if n]
            notes.append(f"{counts.sum()} cells of {first_few(whose)} left out: {reason}")
    return tuple(notes)


def one_sided(sample: Sample) -> tuple[str, ...]:
    """Say which pilots have values on one side of their start only.

    Raises
    ------
    DesignError
        If no pilot has a value before its start.
    """
    seen, after = sample.mask, sample.treated
    own = sample.pilot & seen.any(axis=1)
    sides = {
        "before its start": own & ~(seen & ~after).any(axis=1),
        "from its start on": own & ~(seen & after).any(axis=1),
    }
    name = sample.metric.name
    first = sides["before its start"]
    if own.any() and first[own].all():
        starts = [
            f"{unit} starts in {sample.periods[sample.starts[g]]}"
            for unit, g in zip(sample.units, sample.cohort, strict=True)
            if g >= 0
        ]
        raise DesignError(
            needed=f"a pilot with a value of {name!r} before its start",
            found=f"none: {first_few(starts)}",
            where=f"metric {name!r}",
            todo="see design.audit(); without a before there is a level to compare, not a change",
        )
    return tuple(
        f"{first_few(units)} of the pilots {'has' if len(units) == 1 else 'have'} no value of "
        f"{name} {when}: {'it' if len(units) == 1 else 'they'} can show a level, not a change"
        for when, which in sides.items()
        if (units := [u for u, lacks in zip(sample.units, which, strict=True) if lacks])
    )


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
