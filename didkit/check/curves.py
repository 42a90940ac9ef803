"""What the four ways to power share: the designs asked about, the curve, and the words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError, is_number, is_whole
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.check.detectable_effect import DetectableEffect
    from didkit.design import Design
    from didkit.panel import Metric

__all__ = [
    "Counts",
    "Size",
    "check_effects",
    "check_seed",
    "curve_rows",
    "headline",
    "laid_out",
    "level_before",
    "sizes",
    "smallest",
    "summed_up",
    "window_of",
]

Floats = NDArray[np.float64]
Counts = int | float | Sequence[int | float] | NDArray[np.int64] | range
QUESTION = "What is the smallest effect that this design can be expected to find?"
_REACH = 2.0**40  # times the unit: beyond it no effect is found
_STEPS = 60
_POINTS = 16  # effects of the curve on each side of 0


class Size(NamedTuple):
    """How large a design is. Comparators may be a fraction: an effective number."""

    pilots: int
    comparators: float
    before: int
    after: int


def sizes(pilots: Counts, comparators: Counts, before: Counts, after: Counts) -> list[Size]:
    """Return every combination, the last quantity running fastest.

    Raises
    ------
    InferenceError
        If one is not a whole number of at least 1 (comparators: a number of at least 1).

    Examples
    --------
    >>> sizes([2, 3], 10, 4, 1)
    [Size(pilots=2, comparators=10, before=4, after=1),
     Size(pilots=3, comparators=10, before=4, after=1)]
    """
    listed = {
        name: [given] if isinstance(given, int | float | np.integer | str) else list(given)
        for name, given in zip(Size._fields, (pilots, comparators, before, after), strict=True)
    }
    for name, values in listed.items():
        whole = is_number if name == "comparators" else is_whole
        bad = [v for v in values if not whole(v) or not 1 <= float(v) < np.inf]
        if bad or not values:
            raise InferenceError(
                needed=f"{name}= of at least 1: a whole number, or several of them",
                found=f"{name}={bad[0]!r}" if bad else f"{name}= without any",
                where="DetectableEffect",
                todo="for example pilots=range(2, 21), comparators=100, before=4, after=2",
            )
    rows = itertools.product(*listed.values())
    return [Size(int(p), c if is_whole(c) else float(c), int(b), int(a)) for p, c, b, a in rows]


def check_effects(effects: Sequence[float] | None) -> Floats | None:
    """Return the sizes of effects to look at, sorted.

    Raises
    ------
    InferenceError
        If one is not a finite number of at least 0.
    """
    if effects is None:
        return None
    given = list(effects)
    if not given or not all(is_number(e) and 0 <= e < np.inf for e in given):
        raise InferenceError(
            needed="sizes of effects, finite numbers of at least 0 (both directions are tried)",
            found=repr(given),
            where="DetectableEffect, effects=",
            todo="for example effects=[0, 5, 10, 20], or leave it out",
        )
    return np.unique(np.array(given, dtype=float))


def check_seed(seed: object, number: object, *, name: str, least: int) -> None:
    """Refuse a seed or a number of draws that is none.

    Raises
    ------
    InferenceError
        If the seed is not a whole number of at least 0, or the number not one of at least `least`.
    """
    seeded = is_whole(seed) and int(str(seed)) >= 0
    if not (seeded and is_whole(number) and int(str(number)) >= least):
        raise InferenceError(
            needed=f"whole numbers: {name}= of at least {least}, seed= of at least 0",
            found=f"{name}={number!r}, seed={seed!r}",
            where="DetectableEffect",
            todo="leave them out for the usual ones",
        )


def smallest(found: Callable[[float], float], target: float, unit: float) -> float:
    """Return the size from which on ``found(size)`` is at least `target`; ∞ where it never is.

    Parameters
    ----------
    found : callable
        The probability of finding an effect of a size.
    target : float
        The power asked for.
    unit : float
        Where to begin: sizes are doubled from here until one is found.

    Examples
    --------
    >>> round(smallest(lambda size: size / 10, 0.8, 1.0), 6)
    8.0
    """
    high = unit
    while not found(high) >= target:
        high *= 2
        if high > _REACH * unit:
            return float("inf")
    low = high / 2 if high > unit else 0.0
    for _ in range(_STEPS):
        if high - low <= 1e-6 * high:
            break
        middle = (low + high) / 2
        if found(middle) >= target:
            high = middle
        else:
            low = middle
    return high


def window_of(design: Design) -> tuple[int, int, bool]:
    """Return periods before and from the start on that most pilots share, and if all do.

    Ties go to the earlier start.
    """
    at = [design.periods.index(start) for start in design.starts.values()]
    most = max(sorted(set(at)), key=at.count)
    return most, len(design.periods) - most, len(set(at)) == 1


def level_before(design: Design, metric: Metric) -> float:
    """Mean of the comparators' cells before the first start; NaN where there is none."""
    panel = design.panel
    first = min(design.periods.index(start) for start in design.starts.values())
    place = {unit: i for i, unit in enumerate(panel.unit_ids)}
    rows = [place[unit] for unit in design.comparators if unit not in design.starts]
    cols = [panel.calendar.position(p) for p in design.periods[:first]]
    cells = panel.cells(metric).value[np.ix_(rows, cols)]
    return float(np.nanmean(cells)) if np.isfinite(cells).any() else float("nan")


def headline(
    check: DetectableEffect,
    found: pd.DataFrame,
    metric: Metric | None,
    *,
    table: pd.DataFrame | None = None,
) -> str:
    """Say what is found, for one design or over several (`Power.designs`).

    With the `table` of one design falls and rises are told apart where they differ as written.
    """
    asked = f"with probability {check.power:.0%}"
    row, n = found.iloc[0], len(found)
    if not np.isfinite(found["detectable"]).any():
        return "No change, however large, would be found by this test."
    if n == 1:
        fall, rise = _directions(row, metric, table)
        if fall != rise:
            return (
                f"With {_design(row)}, a fall of {fall} or more and a rise of {rise} or more "
                f"would be found {asked}, smaller ones less often."
            )
        return (
            f"With {_design(row)}, a change of {_change(row, metric)} or more would be found "
            f"{asked}, a smaller one less often."
        )
    varied = [name for name in Size._fields if found[name].nunique() > 1]
    if "pilots" in varied and found.groupby("pilots")["comparators"].nunique().max() == 1:
        varied = [name for name in varied if name != "comparators"]  # all the others compare
    if len(varied) == 1:
        first, last = found.iloc[0], found.iloc[-1]
        return (
            f"The smallest change that would be found {asked} is {_change(first, metric)} with "
            f"{_count(first, varied[0])} and {_change(last, metric)} with "
            f"{_count(last, varied[0])}."
        )
    size = found["detectable"].to_numpy()
    low, high = found.iloc[int(np.argmin(size))], found.iloc[int(np.argmax(size))]
    return (
        f"Over {n} designs the smallest change that would be found {asked} goes from "
        f"{_change(low, metric)} with {_design(low)} to {_change(high, metric)} with "
        f"{_design(high)}."
    )


_ONE = {
    "pilots": ("pilot", "pilots"),
    "comparators": ("comparator", "comparators"),
    "before": ("period before", "periods before"),
    "after": ("period after", "periods after"),
}


def _count(row: pd.Series, name: str) -> str:
    n = float(row[name])
    return f"{tables.number(n) if n % 1 else f'{n:,.0f}'} {_ONE[name][n != 1]}"


def _design(row: pd.Series) -> str:
    after = f"{float(row['after']):,.0f} after"
    parts = [_count(row, name) for name in ("pilots", "comparators", "before")]
    return f"{', '.join(parts)} and {after}"


def _directions(
    row: pd.Series, metric: Metric | None, table: pd.DataFrame | None
) -> tuple[str, str]:
    """Write the smallest fall and rise that are found; the larger of them for both without both."""
    sizes_found = []
    for sign in (-1.0, 1.0):
        mine = None if table is None else table.loc[np.sign(table["effect"]) == sign, "detectable"]
        size = float(row["detectable"]) if mine is None or mine.empty else float(mine.iloc[0])
        scale = size / float(row["detectable"]) if np.isfinite(size) else 1.0
        one = row.copy()
        one["detectable"], one["percent"] = size, scale * row["percent"]
        sizes_found.append(_change(one, metric))
    return sizes_found[0], sizes_found[1]


def _change(row: pd.Series, metric: Metric | None) -> str:
    if not np.isfinite(row["detectable"]):
        return "none, however large,"
    unit = "" if metric is None else tables.unit_of(metric)
    percent = row["percent"]
    level = f" ({percent:.0f}% of the level)" if np.isfinite(percent) else ""
    return f"{tables.number(float(row['detectable']))} {unit}".strip() + level


def laid_out(parts: Sequence[pd.DataFrame], base: float) -> pd.DataFrame:
    """Put the designs' rows together, with the percentages of the level.

    Comparators are whole numbers where all of them are.
    """
    table = pd.concat(list(parts), ignore_index=True)
    table.insert(5, "percent", 100 * table["effect"] / abs(base) if base else np.nan)
    if not (table["comparators"] % 1).any():
        table["comparators"] = table["comparators"].astype("int64")
    return table


def summed_up(check: DetectableEffect, table: pd.DataFrame, base: float) -> dict[str, float]:
    """Return the facts that every way has: those of the first design."""
    first = table.iloc[0]
    mine = table[(table[list(Size._fields)] == first[list(Size._fields)]).all(axis=1)]
    detectable = float(mine["detectable"].max())
    return {
        "detectable": detectable,
        "percent": 100 * detectable / abs(base) if base else float("nan"),
        "power": float(check.power),
        "level": float(check.level),
        **{name: float(first[name]) for name in Size._fields},
        "base": base,
    }


def curve_rows(
    size: Size,
    detectable: dict[float, float],
    share: Callable[[float], float],
    n: float,
    given: Floats | None,
    unit: float,
) -> pd.DataFrame:
    """Lay the power curve of one design out: effects in both directions, rising.

    Parameters
    ----------
    size : Size
        The design.
    detectable : dict
        Smallest effect found in each direction, by its sign.
    share : callable
        Power at a signed effect.
    n : float
        Draws behind it; ∞ where nothing was drawn.
    given : array, optional
        Sizes of effects, to which 0 is added; by default up to 1.6 times the larger detectable one.
    unit : float
        A size of effects, where none is detectable.
    """
    reach = [x for x in detectable.values() if np.isfinite(x)]
    top = 1.6 * max(reach) if reach else 4 * unit
    right = np.linspace(0, top, _POINTS + 1) if given is None else np.append(given, 0.0)
    effect = np.unique(np.concatenate([-right, right]) + 0.0)  # −0 is 0
    power = np.array([share(float(x)) for x in effect])
    return pd.DataFrame(
        {
            **size._asdict(),
            "effect": effect,
            "power": power,
            "mc_error": np.sqrt(power * (1 - power) / n),
            "detectable": [detectable[1.0 if x >= 0 else -1.0] for x in effect],
        }
    )
