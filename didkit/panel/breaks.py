"""Breaks in recording: series of one unit that jump as practice does not.

The change of the logarithm is used, since authorities of every level change by like shares from
one year to the next (docs/breaks.md shows it), and it makes a count and its rate agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few, is_number
from didkit.panel.denominators import denominator_breaks, published_bounds
from didkit.panel.metric import Metric
from didkit.panel.status import Cells, Floats

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["denominator_breaks", "recording_breaks"]

Kind = Literal["step", "two-period step", "spike"]
_LEAST_UNITS = 10  # whose median is a period's own change
_LEAST_CHANGES = 30  # from which the scale of a panel is taken
_NORMAL_MEDIAN = 0.454936  # median of a squared standard normal
_SMALL = 0.25  # share of changes whose counts are called small
_MOST_DISPERSED = 3.0
_ZERO_COUNT = 0.5  # a count of zero, where a logarithm is needed
_LEAST_PERIODS = 3  # in two, a step is not told from a spike
_TEXT = ("unit", "name", "period", "kind", "since")
_COLUMNS = (  # what tells most comes first
    "unit",
    "name",
    "period",
    "kind",
    "from",
    "to",
    "percent",
    "statistic",
    "since",
    "back",
)


@dataclass(frozen=True)
class _Shape:
    """One way to change: weights of the cells at these places, counted from the first."""

    kind: Kind
    weights: tuple[float, ...]
    at: int  # place of the cell that is flagged


_SHAPES = (
    _Shape("step", (-1.0, 1.0), 1),
    _Shape("two-period step", (-1.0, 0.0, 1.0), 2),
    _Shape("spike", (-0.5, 1.0, -0.5), 1),
)


@dataclass(frozen=True)
class _Noise:
    """Variances of logarithms: from rounding, and from counting independent events."""

    rounding: Floats
    counting: Floats

    def of(self, shape: _Shape) -> tuple[Floats, Floats]:
        """Return the variances of every change of this shape."""
        squared = np.square(shape.weights)
        rounding, counting = (
            _windows(part, shape) @ squared for part in (self.rounding, self.counting)
        )
        return rounding, counting


@dataclass(frozen=True)
class _Jump:
    """One change that is larger than the threshold, and whether the series has its shape."""

    row: int
    first: int
    shape: _Shape
    statistic: float
    fits: bool

    @property
    def last(self) -> int:
        return self.first + len(self.shape.weights) - 1

    def overlaps(self, other: _Jump) -> bool:
        """Whether both are changes of one unit over the same two periods."""
        return self.row == other.row and self.first < other.last and other.first < self.last


def recording_breaks(
    panel: Panel,
    metric: str | Metric,
    *,
    threshold: float = 4.0,
    dispersion: float | None = None,
) -> pd.DataFrame:
    """List units whose series jumps as practice does not: what looks like a recording break.

    A flag is a measurement, and a reason to ask the authority what changed; nothing is edited.
    Three changes of the logarithm are looked at: from one period to the next ("step"), over two
    periods ("two-period step"), and away from the periods before and after ("spike"). Each is
    taken less the period's median over units, and divided by the spread that such a change has:
    that of the whole panel (robust: half of all changes are within 0.67 of it), the counting
    noise of numbers of this size, and the rounding of the published value. Of changes of one
    unit that overlap in time one is listed: a step only if the series stays where it went, a
    spike only if it comes back, and the largest of these.

    A change is judged only where every cell of its two or three periods has a value: a missing
    or suppressed cell is never crossed. How often this flags without a break, and how well it
    finds one, is in ``docs/breaks.md``.

    Parameters
    ----------
    panel : Panel
        With the metric. A rate's count is used for its counting noise if the panel has it;
        without it small units are flagged too easily.
    metric : str or Metric
        A count, a rate or anything else that is not negative.
    threshold : float, default 4.0
        Flag changes of more than this many times their spread.
    dispersion : float, optional
        Variance of the counting noise over that of independent events, one by one: above 1
        where brothers and sisters come together, below where most children of one period are
        there in the next. By default estimated, for each kind of change: that at which the
        quarter of changes with the smallest counts spreads like the others, from 0 to 3.

    Returns
    -------
    DataFrame
        One row a flag, largest first: ``unit, name, period, kind, from, to, percent, statistic,
        since, back``. ``from`` is the value in ``since``, ``to`` the one in ``period``,
        and ``back`` the one after a spike (NaN for steps); ``percent`` is the change as
        published (of a spike: from the geometric mean of both sides). A zero stands for half a
        count, or for the largest rate that rounds to it. ``attrs`` holds how many steps were
        ``judged``, how many were ``not_judged`` for want of a value, and the panel's ``spread``
        (of the logarithm) and ``dispersion`` by kind.

    Raises
    ------
    PanelError
        If the metric is unknown or has negative values, an option is out of range, the panel has
        fewer than three periods, or fewer than 30 steps between periods with at least 10 units
        remain.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import didkit as dk
    >>> y = 300 * np.exp(np.random.default_rng(1).normal(scale=0.05, size=(20, 6)))
    >>> y[4, 3:] *= 2  # one unit, from the fourth year on
    >>> unit, year = np.indices(y.shape)
    >>> frame = pd.DataFrame({"la": unit.ravel(), "year": 2015 + year.ravel(), "cin": y.ravel()})
    >>> panel = dk.Panel.from_frame(
    ...     frame, unit="la", period="year", metrics=["cin"], identity="any"
    ... )
    >>> panel.recording_breaks("cin")[["unit", "period"]].to_dict("records")
    [{'unit': '4', 'period': '2018'}]
    """
    _check_option("threshold", threshold, zero=False)
    if dispersion is not None:
        _check_option("dispersion", dispersion, zero=True)
    known = panel.metric(metric)
    if len(panel.periods) < _LEAST_PERIODS:
        raise PanelError(
            needed="at least three periods, since in two a step looks like a spike",
            found=f"{len(panel.periods)} ({', '.join(panel.periods)})",
            where=f"recording_breaks, metric {known.name!r}",
            todo="use a panel of more periods; compare() lists the changes between two releases",
        )
    level, noise = _levels(panel, known)
    jumps: list[_Jump] = []
    spread: dict[str, float] = {}
    dispersions: dict[str, float] = {}
    judged = 0
    for shape in _SHAPES:
        statistic, spread[shape.kind], dispersions[shape.kind] = _judge(
            level, noise, shape, dispersion
        )
        if shape.kind == "step":
            judged = int(np.isfinite(statistic).sum() + np.isinf(statistic).sum())
            if judged < _LEAST_CHANGES:
                raise _too_few(known.name, judged, level)
        for row, first in np.argwhere(np.abs(statistic) > threshold):
            size = float(statistic[row, first])
            fits = _fits(level[row], int(first), shape)
            jumps.append(_Jump(int(row), int(first), shape, size, fits))
    table = _table(panel, panel.cells(known).value, np.exp(level), _largest(jumps))
    steps = level.shape[0] * (level.shape[1] - 1)
    table.attrs = {"judged": judged, "not_judged": steps - judged}
    table.attrs |= {"spread": spread, "dispersion": dispersions}
    return table


def _levels(panel: Panel, metric: Metric) -> tuple[Floats, _Noise]:
    """Return logarithms of the values, and their variances from rounding and counting."""
    cells = panel.cells(metric)
    negative = cells.value < 0
    if negative.any():
        at = [
            f"{panel.unit_ids[i]} in {panel.periods[t]}: {cells.value[i, t]:g}"
            for i, t in np.argwhere(negative)
        ]
        raise PanelError(
            needed="a metric without negative values, since changes are taken as shares",
            found=first_few(at),
            where=f"recording_breaks, metric {metric.name!r}",
            todo="look at the count or the rate it was made from",
        )
    value = cells.value.copy()
    empty = value == 0
    lower, upper = published_bounds(metric, cells)
    value[empty] = _ZERO_COUNT if metric.kind == "count" else upper[empty]
    value[value == 0] = np.nan  # an exact zero that is no count has no logarithm
    width = np.where(np.isfinite(upper - lower), upper - lower, 0.0)
    rounding = (width / value) ** 2 / 12  # an error that is uniform over an interval of this width
    count = _count(panel, metric, cells)
    counting = np.zeros_like(value)
    if count is not None:
        seen = np.isfinite(count)
        counting[seen] = 1 / np.maximum(count[seen], _ZERO_COUNT)
    return np.log(value), _Noise(rounding, counting)


def _count(panel: Panel, metric: Metric, cells: Cells) -> Floats | None:
    """Return the count that a metric is, or is made of; None where the panel has none."""
    if metric.kind == "count":
        return cells.value
    if metric.numerator is not None and metric.numerator in panel.metrics:
        return panel.cells(metric.numerator).value
    return None


def _windows(values: Floats, shape: _Shape) -> Floats:
    """Return every run of as many periods as the shape has weights, on a last axis."""
    return np.lib.stride_tricks.sliding_window_view(values, len(shape.weights), axis=1)


def _judge(
    level: Floats, noise: _Noise, shape: _Shape, dispersion: float | None
) -> tuple[Floats, float, float]:
    """Return each change over its spread (NaN: not judged), the panel's spread, the dispersion."""
    if level.shape[1] < len(shape.weights):
        return np.full((len(level), 0), np.nan), np.nan, np.nan
    change = _windows(level, shape) @ np.array(
        shape.weights
    )  # NaN if a cell, also a middle one, is
    change[:, np.isfinite(change).sum(axis=0) < _LEAST_UNITS] = np.nan
    seen = np.isfinite(change)
    if not seen.any():
        return change, np.nan, np.nan
    held = seen.any(axis=0)
    change[:, held] -= np.nanmedian(change[:, held], axis=0)
    rounding, counting = noise.of(shape)
    if dispersion is None:
        dispersion = _dispersion(change[seen], rounding[seen], counting[seen])
    variance = rounding + dispersion * counting
    scale = _scale(change[seen], variance[seen])
    size = np.sqrt(scale**2 + variance)
    statistic = np.divide(change, size, out=np.full_like(change, np.nan), where=seen & (size > 0))
    exact = seen & (size == 0)  # most changes are exactly alike: any other is infinitely large
    statistic[exact] = np.where(change[exact] == 0, 0.0, np.copysign(np.inf, change[exact]))
    return statistic, scale, dispersion


def _dispersion(change: Floats, rounding: Floats, counting: Floats) -> float:
    """Return the dispersion at which changes of small and of large counts spread alike.

    The median of change² is 0.455 (s² + rounding + dispersion × counting). Two groups of
    changes, by how large the counting noise is, give two equations.
    """
    small = counting > np.quantile(counting, 1 - _SMALL)
    if not small.any() or small.all():
        return 0.0
    squared, noise = [], []
    for group in (small, ~small):
        squared.append(np.median(np.square(change[group]) / _NORMAL_MEDIAN - rounding[group]))
        noise.append(np.median(counting[group]))
    if noise[0] <= noise[1]:
        return 0.0
    estimate = (squared[0] - squared[1]) / (noise[0] - noise[1])
    return float(np.clip(estimate, 0.0, _MOST_DISPERSED))


def _scale(change: Floats, variance: Floats) -> float:
    """Return s at which the median of change² / (s² + variance) is that of a normal squared.

    With variances of zero it is the median absolute change over 0.6745; it is zero where
    counting and rounding alone explain as much.
    """
    square = np.square(change)
    low, high = 0.0, float(np.sqrt(np.median(square) / _NORMAL_MEDIAN)) + 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        if np.median(square / (middle**2 + variance)) > _NORMAL_MEDIAN:
            low = middle
        else:
            high = middle
    return low


def _fits(level: Floats, first: int, shape: _Shape) -> bool:
    """Tell whether a series goes and stays (a step), or goes and comes back (a spike).

    It comes back if the cell beyond is nearer to where it left than to where it went.
    """

    def back(start: float, peak: float, beyond: float) -> bool:
        return bool(abs(beyond - start) < abs(beyond - peak))

    last = first + len(shape.weights) - 1
    if shape.kind == "spike":
        before, peak, after = level[first : last + 1]
        return back(before, peak, after) and back(after, peak, before)
    earlier = level[first - 1] if first > 0 else np.nan  # a comparison with NaN is false
    later = level[last + 1] if last + 1 < len(level) else np.nan
    return not back(level[first], level[last], later) and not back(
        level[last], level[first], earlier
    )


def _largest(jumps: list[_Jump]) -> list[_Jump]:
    """Keep one of changes that overlap: of the series' shape before others, then the largest."""
    kept: list[_Jump] = []
    for jump in sorted(
        jumps, key=lambda jump: (not jump.fits, -abs(jump.statistic), jump.row, jump.first)
    ):
        if not any(jump.overlaps(other) for other in kept):
            kept.append(jump)
    return sorted(kept, key=lambda jump: (-abs(jump.statistic), jump.row, jump.first))


def _table(panel: Panel, value: Floats, level: Floats, jumps: list[_Jump]) -> pd.DataFrame:
    """Lay the flags out: values as published, changes from the values whose logarithm was used."""
    rows = []
    ids, names = panel.unit_ids, panel.units["name"].tolist()
    for jump in jumps:
        at = jump.first + jump.shape.at
        window = level[jump.row, jump.first : jump.last + 1]
        rows.append(
            {
                "unit": ids[jump.row],
                "name": names[jump.row],
                "kind": jump.shape.kind,
                "since": panel.periods[jump.first],
                "period": panel.periods[at],
                "from": value[jump.row, jump.first],
                "to": value[jump.row, at],
                "back": value[jump.row, jump.last] if jump.shape.kind == "spike" else np.nan,
                "percent": 100 * np.expm1(np.log(window) @ np.array(jump.shape.weights)),
                "statistic": jump.statistic,
            }
        )
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.astype({column: str if column in _TEXT else float for column in _COLUMNS})


def _too_few(name: str, judged: int, level: Floats) -> PanelError:
    return PanelError(
        needed=f"at least {_LEAST_CHANGES} steps from one period to the next, with "
        f"{_LEAST_UNITS} units in a period or more, to tell how much the series changes",
        found=f"{judged} steps among {level.shape[0]} units × {level.shape[1]} periods",
        where=f"recording_breaks, metric {name!r}",
        todo="use a panel of more units or periods",
    )


def _check_option(name: str, value: float, *, zero: bool) -> None:
    """Refuse an option that is no number, or negative, or zero where that makes no sense."""
    if not is_number(value) or not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise PanelError(
            needed="a number, 0 or more" if zero else "a number above 0",
            found=repr(value),
            where=f"recording_breaks({name}=)",
            todo="leave it out for the default",
        )
