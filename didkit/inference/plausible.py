"""Which other pilots are plausible: a list of units, and a caliper around the pilots' mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few, is_number
from didkit.inference.assignments import Accept
from didkit.panel import unit_id
from didkit.results import Estimate, Labels

__all__ = ["check_caliper", "check_units", "could_be_pilots", "within_caliper"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ROUNDING = 1e-9  #: of the caliper's width; a mean on its edge is inside


def check_units(among: Any, who: str) -> tuple[str, ...] | None:
    """Return the ids of `among` as text, in order.

    Raises
    ------
    InferenceError
        If it is not a sequence of unit ids.
    """
    if among is None:
        return None
    if isinstance(among, str | Mapping) or not hasattr(among, "__iter__"):
        raise InferenceError(
            needed="a sequence of unit ids",
            found=repr(among),
            where=f"{who}(among=)",
            todo="for example among=['303', '304'], or leave it out: any unit",
        )
    return tuple(sorted({unit_id(unit) for unit in among}))


def check_caliper(given: Any, who: str, argument: str, *, positive: bool) -> dict[str, float]:
    """Return a mapping of names to numbers; empty for None.

    Raises
    ------
    InferenceError
        If it is no mapping of names to finite (with `positive`, positive) numbers.
    """
    if given is None:
        return {}
    fits = isinstance(given, Mapping) and all(
        is_number(value) and np.isfinite(value) and (value > 0 or not positive)
        for value in given.values()
    )
    if not fits:
        kind = "positive widths, in standard deviations" if positive else "values, in its unit"
        raise InferenceError(
            needed=f"a mapping of metric or column to {kind}",
            found=repr(given),
            where=f"{who}({argument}=)",
            todo=f"for example {argument}={{'cla': 0.5}}",
        )
    return {str(name): float(value) for name, value in given.items()}


def could_be_pilots(estimate: Estimate, among: Sequence[str] | None, who: str) -> Bools:
    """Return who could have been a pilot (J,): those named and the pilots, with the cells for it.

    Raises
    ------
    InferenceError
        If an id is not a unit of the panel, or nobody but the pilots is left.
    """
    sample, panel = estimate.sample, estimate.design.panel
    could = estimate.assignable
    able = np.ones(len(sample.units), dtype=bool) if could is None else could | sample.pilot
    if among is None:
        return able
    codes = {unit: panel.canonical(unit) for unit in among}
    unknown = [unit for unit, code in codes.items() if code not in panel.unit_ids]
    if unknown:
        raise InferenceError(
            needed="units of the panel",
            found=f"none called {first_few(unknown)}",
            where=who,
            todo="give ids in among= as in panel.unit_ids",
        )
    named = np.isin(sample.units, list(codes.values()))
    able &= named | sample.pilot
    if not (able & ~sample.pilot).any():
        raise InferenceError(
            needed="units besides the pilots that could have been pilots",
            found=f"none of the {len(codes)} named that is a comparator of {sample.metric.name!r} "
            "with the cells of a pilot",
            where=who,
            todo="name more units, or leave among= out",
        )
    return able


def within_caliper(
    estimate: Estimate,
    caliper: Mapping[str, float],
    around: Mapping[str, float],
    able: Bools,
    who: str,
) -> Accept | None:
    """Return what tells plausible assignments: the pilots' mean is near that of the actual ones.

    Raises
    ------
    InferenceError
        If a name is no metric of the panel and no column of numbers of ``panel.units``, a unit
        that could be a pilot has no value, nothing varies, or the actual pilots are outside.
    """
    if not caliper:
        return None
    pilot = estimate.sample.pilot
    columns, centres, widths = [], [], []
    for name, width in caliper.items():
        values = _before(estimate, name, who)
        lost = able & ~np.isfinite(values)
        if lost.any():
            gone = [u for u, there in zip(estimate.sample.units, lost, strict=True) if there]
            raise InferenceError(
                needed=f"a value of {name!r} for every unit that could have been a pilot",
                found=f"none before the first start for {first_few(gone)}",
                where=who,
                todo="leave them out with among= or Design(exclude=…), or choose another metric",
            )
        known = values[np.isfinite(values)]
        sd = float(known.std(ddof=1)) if len(known) > 1 else 0.0
        if sd <= 1e-12 * np.abs(known).max(initial=0.0):
            raise InferenceError(
                needed=f"units that differ in {name!r}",
                found="no spread between units before the first start",
                where=who,
                todo="leave it out",
            )
        centre, mine = around.get(name, float(values[pilot].mean())), float(values[pilot].mean())
        if abs(mine - centre) > width * sd * (1 + _ROUNDING):
            raise InferenceError(
                needed=f"actual pilots within {width:g} SD ({width * sd:.4g}) of {centre:.4g} in "
                f"{name!r}",
                found=f"a mean of {mine:.4g}",
                where=who,
                todo="widen the caliper, or leave around= out: it is then around the pilots' mean",
            )
        columns.append(np.where(np.isfinite(values), values, 0.0))
        centres.append(centre)
        widths.append(width * sd * (1 + _ROUNDING))
    table, n1 = np.stack(columns, axis=1), int(pilot.sum())
    middle, reach = np.array(centres), np.array(widths)

    def accept(labels: Labels) -> Bools:
        means = (labels >= 0).astype(np.float64) @ table / n1
        return np.asarray((np.abs(means - middle) <= reach).all(axis=1))

    return accept


def _before(estimate: Estimate, name: str, who: str) -> Floats:
    """Return a metric's mean before the first start, or a column of the units, in sample order."""
    panel, sample = estimate.design.panel, estimate.sample
    place = {unit: row for row, unit in enumerate(panel.unit_ids)}
    rows = [place[unit] for unit in sample.units]
    if name in panel.metrics:
        at = [panel.periods.index(label) for label in sample.periods[: min(sample.starts)]]
        cells = panel.cells(panel.metric(name)).value[rows][:, at]
        seen = np.isfinite(cells)
        count = seen.sum(axis=1)
        total = np.where(seen, cells, 0.0).sum(axis=1)
        made: Floats = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)
        return made
    columns = {str(c): _numbers(panel.units[c]) for c in panel.units.columns}
    numbers = {c: values for c, values in columns.items() if values is not None}
    if name in numbers:
        return numbers[name][rows]
    raise InferenceError(
        needed="metrics of the panel, or columns of numbers of panel.units",
        found=repr(name),
        where=who,
        todo="choose from: " + ", ".join([*panel.metrics, *numbers]),
    )


def _numbers(column: pd.Series) -> Floats | None:
    """Return a column as numbers (panels hold attributes as text); None where it holds words."""
    made = pd.to_numeric(column, errors="coerce")
    words = made.isna() & column.notna() & (column.astype(str).str.strip() != "")
    if words.any() or made.isna().all():
        return None
    return made.to_numpy(dtype=np.float64, na_value=np.nan)
