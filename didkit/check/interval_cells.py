"""Cells as intervals: what hidden, rounded and missing cells can be, rung by rung."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design
from didkit.errors import InferenceError, first_few, is_number
from didkit.panel import Metric, Panel, Status

__all__ = ["Missing", "Rung", "checked_missing", "denominator", "ladder", "own_bounds", "places"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Range = tuple[float, float]
Missing = Literal["observed", "change"] | Range | Mapping[str, Range]

PUBLISHED = "as published"
HIDDEN = "hidden cells within their bounds"
TOTALS = "hidden cells, with totals"
ROUNDED = "rounded too"
MISSING = "missing too"


@dataclass(frozen=True, eq=False)
class Rung:
    """What is known of each cell on one rung.

    Parameters
    ----------
    name : str
        In words.
    lower, upper : array (units, periods)
        In the panel's order and the metric's unit; NaN where the cell stays empty, equal where it
        is taken as known.
    added : bool array (units, periods)
        Cells whose interval is this rung's own.
    linked : bool
        Whether the totals hold on this rung.
    """

    name: str
    lower: Floats
    upper: Floats
    added: Bools
    linked: bool = False

    @property
    def middle(self) -> Floats:
        """Middle of each interval."""
        made: Floats = np.where(
            self.lower == self.upper, self.lower, self.lower / 2 + self.upper / 2
        )
        return made


def places(design: Design) -> Bools:
    """Cells of the panel that belong to the design: its units, its periods."""
    panel = design.panel
    made = np.zeros((len(panel.unit_ids), len(panel.periods)), dtype=bool)
    ours = set(design.pilots) | set(design.comparators)
    rows = [i for i, unit in enumerate(panel.unit_ids) if unit in ours]
    cols = [panel.calendar.position(period) for period in design.periods]
    made[np.ix_(rows, cols)] = True
    return made


def denominator(panel: Panel, metric: Metric) -> str:
    """Name the population that a rate is over: its own, or ``population``."""
    own = metric.denominator
    return own if own is not None and own in panel.metrics else "population"


def own_bounds(design: Design, metric: Metric) -> tuple[Floats, Floats]:
    """Bounds of every cell, those of a rate completed by its count over its population."""
    panel = design.panel
    cells = panel.cells(metric.name)
    lower, upper = cells.lower.copy(), cells.upper.copy()
    base = denominator(panel, metric)
    if metric.numerator in panel.metrics and base in panel.metrics:
        count, people = panel.cells(str(metric.numerator)), panel.cells(base)
        with np.errstate(invalid="ignore", divide="ignore"):
            low = count.lower / people.upper * metric.per
            high = count.upper / np.where(people.lower > 0, people.lower, np.nan) * metric.per
        hidden = cells.status == Status.SUPPRESSED
        lower = np.where(hidden & np.isnan(lower), low, lower)
        upper = np.where(hidden & np.isnan(upper), high, upper)
    if metric.non_negative:
        secret = (cells.status == Status.SUPPRESSED) & np.isnan(lower)
        lower = np.where(secret, 0.0, lower)
    return lower, upper


def ladder(
    design: Design,
    metric: Metric,
    *,
    rounded: bool,
    missing: Missing | None,
    bounded: tuple[Floats, Floats] | None,
) -> tuple[list[Rung], list[str]]:
    """Lay out the rungs above what was published, each holding those before it.

    Parameters
    ----------
    design, metric
        Whose cells.
    rounded, missing
        As for `Bounds`.
    bounded : pair of array (units, periods), optional
        Bounds of hidden cells with the help of totals; NaN where these say nothing.

    Returns
    -------
    (list of Rung, list of str)
        Rungs that add a cell, and notes on those that cannot be bounded.
    """
    panel = design.panel
    cells = panel.cells(metric.name)
    inside = places(design)
    value, status = cells.value, cells.status
    known = np.isfinite(value)
    own_low, own_high = own_bounds(design, metric)
    hidden = inside & (status == Status.SUPPRESSED) & ~known
    low, high = value.copy(), value.copy()
    made: list[Rung] = []
    notes: list[str] = []

    def add(name: str, which: Bools, lower: Floats, upper: Floats, linked: bool) -> None:
        nonlocal low, high
        if which.any():
            low, high = np.where(which, lower, low), np.where(which, upper, high)
            made.append(Rung(name, low, high, which, linked))

    there = hidden & np.isfinite(own_low) & np.isfinite(own_high)
    add(HIDDEN, there, own_low, own_high, False)
    linked = bounded is not None
    if bounded is not None:
        more = hidden & np.isfinite(bounded[0]) & np.isfinite(bounded[1])
        add(TOTALS, more, bounded[0], bounded[1], True)
        there = there | more
    if rounded:
        wide = inside & known & (own_high > own_low)
        add(ROUNDED, wide, own_low, own_high, linked)
    if missing is not None:
        empty = (
            inside
            & ~known
            & ~there
            & (status != Status.NOT_APPLICABLE)
            & (status != Status.OBSERVED)
        )
        lower, upper = _ranges(design, metric, missing, np.where(inside, value, np.nan))
        # what is known of a hidden cell from below stays known
        lower = np.where(hidden & np.isfinite(own_low), np.fmax(lower, own_low), lower)
        upper = np.where(np.isfinite(lower), np.fmax(upper, lower), upper)
        can = empty & np.isfinite(lower) & np.isfinite(upper)
        add(MISSING, can, lower, upper, linked)
        there = there | can
        if (empty & ~can).any():
            notes.append(f"no range for {_named(design, empty & ~can)}: they stay left out")
    left = hidden & ~there
    if left.any():
        notes.append(
            f"nothing bounds {_named(design, left)} from above: they stay left out (totals= or "
            "missing= can bound them)"
        )
    return made, notes


def _named(design: Design, which: Bools) -> str:
    """Name cells: how many, and the first few."""
    panel = design.panel
    at = [f"{panel.unit_ids[i]} in {panel.periods[t]}" for i, t in np.argwhere(which)]
    return f"{first_few(at, 4)} cell{'s' * (len(at) != 1)}"


def _ranges(
    design: Design, metric: Metric, missing: Missing, value: Floats
) -> tuple[Floats, Floats]:
    """Say between what each cell without a value can be; NaN where nothing is said of it."""
    shape = value.shape
    low, high = np.full(shape, np.nan), np.full(shape, np.nan)
    if isinstance(missing, Mapping):
        panel = design.panel
        for unit, (least, most) in missing.items():
            code = panel.canonical(unit)
            if code not in set(design.pilots) | set(design.comparators):
                raise InferenceError(
                    needed="units of the design in missing=",
                    found=repr(unit),
                    where="Bounds(missing=)",
                    todo="see design.who()",
                )
            row = list(panel.unit_ids).index(code)
            low[row], high[row] = least, most
    elif isinstance(missing, str):
        seen = np.isfinite(value)
        some = seen.any(axis=1)
        if missing == "observed":
            low[some] = np.nanmin(value[some], axis=1)[:, None]
            high[some] = np.nanmax(value[some], axis=1)[:, None]
        else:
            step = _largest_step(value)
            near, apart = _nearest(value)
            low, high = near - step * apart, near + step * apart
    else:
        low[:], high[:] = missing
    if metric.non_negative:
        low = np.fmax(low, np.where(np.isfinite(low), 0.0, np.nan))
    if metric.kind == "percent" and not (value > 100).any():
        high = np.where(np.isfinite(high), np.fmin(high, 100.0), high)
    return low, high


def _largest_step(value: Floats) -> float:
    """Return the largest change of any unit from one period to the next."""
    steps = np.abs(np.diff(value, axis=1))
    return float(np.nanmax(steps)) if np.isfinite(steps).any() else float("nan")


def _nearest(value: Floats) -> tuple[Floats, Floats]:
    """Return each cell's nearest value of the same unit (the earlier of two), and how far it is."""
    when = np.arange(value.shape[1])
    apart = np.abs(when[:, None] - when).astype(float)  # (cell, other)
    far = np.where(np.isfinite(value)[:, None, :], apart, np.inf)
    at = far.argmin(axis=2)
    least = np.take_along_axis(far, at[:, :, None], axis=2)[:, :, 0]
    near = np.take_along_axis(value, at, axis=1)
    lost = ~np.isfinite(least)
    return np.where(lost, np.nan, near), np.where(lost, np.nan, least)


def checked_missing(given: object) -> Missing | None:
    """Return `missing=` as it is used, or refuse it.

    Raises
    ------
    InferenceError
        If it is no range, no mapping of units to ranges, and neither of the two words.
    """
    if given is None or given in ("observed", "change"):
        return cast("Missing | None", given)
    if isinstance(given, Mapping) and given and all(_is_range(one) for one in given.values()):
        return {str(unit): (float(one[0]), float(one[1])) for unit, one in given.items()}
    if _is_range(given):
        low, high = cast("Range", given)
        return float(low), float(high)
    raise InferenceError(
        needed="a lowest and a highest value in the metric's unit, such as (20, 90), a mapping of "
        "units to such pairs, 'observed' or 'change'",
        found=repr(given)[:80],
        where="Bounds(missing=)",
        todo="say what a missing cell could have been, or leave it out",
    )


def _is_range(given: object) -> bool:
    """Whether something is two finite numbers in order."""
    return (
        isinstance(given, tuple | list)
        and len(given) == 2
        and all(is_number(end) and np.isfinite(end) for end in given)
        and bool(given[0] <= given[1])
    )
