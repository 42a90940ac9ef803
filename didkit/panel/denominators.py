"""Breaks in a denominator: periods from which a rate is over another population.

A count over its published rate is the population that was divided by. Populations of authorities
change by about as much in one year as in the next, so a period in which many of them move at once
by differing amounts is one in which another vintage of the estimates was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few, is_number
from didkit.panel.metric import Metric
from didkit.panel.status import Cells, Floats

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["denominator_breaks", "published_bounds"]

_LEAST_UNITS = 10
_TO_SD = 1.4826  # median absolute deviation → standard deviation of a normal
_MAD_SD = 1.1664  # its own standard error, times the root of n, in standard deviations
_SHOWN = 5  # units in `moved_most`
_LEAST_PERIODS = 3  # in two there is no other transition to hold the one against
_NO_RATIO = 1e-9  # of a computed rate, the logarithm of its own population over itself
_COLUMNS = (  # what tells most comes first
    "period",
    "basis",
    "flagged",
    "statistic",
    "critical",
    "median",
    "spread",
    "rounding",
    "n",
    "since",
    "moved_most",
)


@dataclass(frozen=True)
class _Series:
    """Logarithms of a population, and the standard deviation that rounding gives them."""

    basis: str
    log: Floats
    rounding: Floats
    smooth: float


def denominator_breaks(
    panel: Panel,
    rate: str | Metric,
    *,
    smooth: float = 0.01,
    smooth_ratio: float = 0.005,
    false_alarms: float = 0.01,
) -> pd.DataFrame:
    """Find periods from which a published rate is over another vintage of the population.

    The population implied by a rate is count / rate × per, and an interval, since the rate is
    rounded. Its change from one period to the next, less the median over units, is divided by
    the spread it has without a break: that of populations (`smooth`) and of rounding. The
    robust spread of these quotients is the statistic. It is 1 at most where nothing but
    populations moved, whatever the size of the units; a new vintage moves many at once by
    differing amounts. If the panel has the rate's denominator, the ratio of the two is looked at
    as well, and stands in rows of its own: it sees smaller breaks, but not one that the
    denominator in the panel shares. A flag is a measurement: look at `moved_most`, then at where
    the rates come from. ``docs/breaks.md`` gives false alarms and power.

    Parameters
    ----------
    panel : Panel
        With the published rate and its count; periods without either are stepped over, as
        `since` shows.
    rate : str or Metric
        A rate with a numerator.
    smooth : float, default 0.01
        Standard deviation, between units, of a year's growth of population. In the published
        estimates for 2012 to 2024 it is 0.005 to 0.010.
    smooth_ratio : float, default 0.005
        The same of a year's growth of one vintage over another. In the published estimates it is
        0.002 to 0.003 between those of 2020 and 2025.
    false_alarms : float, default 0.01
        Probability that any transition of a basis is flagged where populations spread by
        `smooth`; smaller where they spread by less.

    Returns
    -------
    DataFrame
        One row a transition and basis: ``period``, the first after it; ``basis`` ("implied", or
        "implied / population"); ``flagged`` if the ``statistic`` is above ``critical``;
        ``median`` change and its robust ``spread`` over units in %; ``rounding``, the spread
        that rounding alone gives, in %; ``n`` units with a rate before and after; ``since``, the
        last period before; ``moved_most``: the units furthest from the median, with their
        distance in %. With fewer than 10 units the statistic is NaN and nothing is flagged. The
        ratio of a computed rate is left out where it is one by construction, and
        ``attrs["left_out"]`` says so.

    Raises
    ------
    PanelError
        If the metric is no rate, its count is not in the panel, an option is out of range, the
        panel has fewer than three periods, or no two periods have 10 units with a rate above its
        rounding and a count above zero.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import didkit as dk
    >>> random = np.random.default_rng(1)
    >>> children = 50_000 * np.exp(random.normal(scale=0.005, size=(40, 6)).cumsum(axis=1))
    >>> children[:, 3:] *= np.exp(random.normal(scale=0.04, size=(40, 1)))  # from the fourth on
    >>> count = np.rint(0.03 * children)
    >>> unit, year = np.indices(count.shape)
    >>> frame = pd.DataFrame({"la": unit.ravel(), "year": 2015 + year.ravel()})
    >>> frame["cin_count"], frame["cin"] = (
    ...     count.ravel(),
    ...     np.round(count / children * 1e4, 1).ravel(),
    ... )
    >>> panel = dk.Panel.from_frame(
    ...     frame, unit="la", period="year", metrics=["cin", "cin_count"], identity="any"
    ... )
    >>> found = panel.denominator_breaks("cin")
    >>> found.loc[found["flagged"], "period"].tolist()
    ['2018']
    """
    _check_options(smooth=smooth, smooth_ratio=smooth_ratio, false_alarms=false_alarms)
    metric = panel.metric(rate)
    implied = _implied(panel, metric, smooth)
    if len(panel.periods) < _LEAST_PERIODS:
        raise PanelError(
            needed="at least three periods",
            found=f"{len(panel.periods)} ({', '.join(panel.periods)})",
            where=f"denominator_breaks, metric {metric.name!r}",
            todo="use a panel of more periods; compare() lists the changes between two releases",
        )
    bases, left_out = [implied], []
    if metric.denominator is not None and metric.denominator in panel.metrics:
        ratio = _over(panel, metric.denominator, implied, smooth_ratio)
        if metric.derivation != "published" and _is_one(ratio):
            left_out.append(f"{ratio.basis}: the rate was {metric.derivation}, so it is always 1")
        else:
            bases.append(ratio)
    rows: list[dict[str, Any]] = []
    for series in bases:
        rows += _transitions(panel, series, false_alarms)
    if not any(np.isfinite(row["statistic"]) for row in rows if row["basis"] == "implied"):
        raise PanelError(
            needed=f"two periods with at least {_LEAST_UNITS} units that have a count above zero "
            "and a rate above its rounding",
            found=first_few(
                f"{label}: {n}"
                for label, n in zip(
                    panel.periods, np.isfinite(implied.log).sum(axis=0), strict=True
                )
            )
            + " units",
            where=f"denominator_breaks, metric {metric.name!r}",
            todo="use a panel of more units or periods",
        )
    found = pd.DataFrame(rows, columns=list(_COLUMNS))
    found.attrs = {"left_out": left_out}
    return found


def _is_one(ratio: _Series) -> bool:
    """Tell whether a ratio is one wherever it is known."""
    known = ratio.log[np.isfinite(ratio.log)]
    return bool(known.size and (np.abs(known) < _NO_RATIO).all())


def _no_rate(panel: Panel, metric: Metric) -> PanelError:
    """Say that there is no count to divide, and which rate is made of this count."""
    rates = [repr(one.name) for one in panel.metrics.values() if one.numerator == metric.name]
    lacking = "its count is not named" if metric.numerator is None else "which is not there"
    count = "" if metric.numerator is None else f" of {metric.numerator!r}, "
    return PanelError(
        needed="a rate, and in the same panel the count it is made of",
        found=f"{metric.name!r} is a {metric.kind}{count or '; '}{lacking}",
        where="denominator_breaks",
        todo=f"did you mean {' or '.join(rates)}?"
        if rates
        else "read the count too, or give the metric a numerator: Metric(numerator=…)",
    )


def _implied(panel: Panel, metric: Metric, smooth: float) -> _Series:
    """Return the population implied by a rate and its count, in logarithms."""
    if metric.numerator is None or metric.numerator not in panel.metrics:
        raise _no_rate(panel, metric)
    log = np.full((len(panel.unit_ids), len(panel.periods)), np.log(metric.per))
    variance = np.zeros_like(log)
    for part, sign in ((panel.metric(metric.numerator), 1), (metric, -1)):
        cells = panel.cells(part)
        lower, upper = published_bounds(part, cells)
        usable = (cells.value > 0) & (lower > 0)
        log += sign * np.log(np.where(usable, cells.value, np.nan))
        # an error that is uniform over an interval of this width
        variance += (
            np.square(np.log(np.where(usable, upper, np.nan) / np.where(usable, lower, np.nan)))
            / 12
        )
    return _Series("implied", log, np.sqrt(variance), smooth)


def published_bounds(metric: Metric, cells: Cells) -> tuple[Floats, Floats]:
    """Return the bounds of a metric, or those of its last digit where these are wider.

    A frame seldom says how its numbers were rounded. If every value of a published metric has
    no more digits than its ``decimals``, they were rounded so.
    """
    lower, upper = cells.lower, cells.upper
    if metric.decimals is None or metric.derivation != "published":
        return lower, upper
    value = cells.value[np.isfinite(cells.value)]
    if not np.allclose(value, np.round(value, metric.decimals), rtol=0, atol=1e-9):
        return lower, upper
    half = 0.5 * 10.0**-metric.decimals
    return np.fmin(lower, np.maximum(cells.value - half, 0.0)), np.fmax(upper, cells.value + half)


def _over(panel: Panel, denominator: str, implied: _Series, smooth: float) -> _Series:
    """Return the implied population over the one in the panel."""
    value = panel.cells(denominator).value
    log = implied.log - np.log(np.where(value > 0, value, np.nan))
    rounding = np.where(np.isfinite(log), implied.rounding, np.nan)
    return _Series(f"implied / {denominator}", log, rounding, smooth)


def _transitions(panel: Panel, series: _Series, false_alarms: float) -> list[dict[str, Any]]:
    """Measure the change into each period from the last one before it that has units."""
    held = np.flatnonzero(np.isfinite(series.log).sum(axis=0) >= _LEAST_UNITS)
    before = {int(t): int(s) for s, t in pairwise(held)}
    z = NormalDist().inv_cdf(1 - false_alarms / max(len(before), 1))
    return [
        _transition(panel, series, before.get(t, t - 1), t, z) for t in range(1, len(panel.periods))
    ]


def _transition(panel: Panel, series: _Series, before: int, after: int, z: float) -> dict[str, Any]:
    """Measure one change: how far units move from their median, beside what is expected."""
    change = series.log[:, after] - series.log[:, before]
    usable = np.flatnonzero(np.isfinite(change))
    n = len(usable)
    row: dict[str, Any] = {
        "basis": series.basis,
        "since": panel.periods[before],
        "period": panel.periods[after],
        "n": n,
        **dict.fromkeys(("median", "spread", "rounding", "statistic", "critical"), np.nan),
        "flagged": False,
        "moved_most": "",
    }
    if n < _LEAST_UNITS:
        return row
    median = float(np.median(change[usable]))
    moved = change[usable] - median
    rounding = np.hypot(series.rounding[usable, after], series.rounding[usable, before])
    statistic = _spread(moved / np.hypot(series.smooth * (after - before), rounding))
    critical = 1 + z * _MAD_SD / np.sqrt(n)
    ids = panel.unit_ids
    furthest = usable[np.argsort(-np.abs(moved), kind="stable")[:_SHOWN]]
    return row | {
        "median": 100 * median,
        "spread": 100 * _spread(moved),
        "rounding": 100 * float(np.sqrt(np.median(np.square(rounding)))),
        "statistic": statistic,
        "critical": float(critical),
        "flagged": bool(statistic > critical),
        "moved_most": ", ".join(
            f"{panel.name_of(ids[i])} {100 * np.expm1(change[i] - median):+.1f}".replace("-", "−")
            for i in furthest
        ),
    }


def _spread(values: Floats) -> float:
    """Return the standard deviation of a normal with this median absolute deviation."""
    return _TO_SD * float(np.median(np.abs(values - np.median(values))))


def _check_options(**options: float) -> None:
    """Refuse an option that is no number, or not between 0 and 1."""
    for name, value in options.items():
        if not is_number(value) or not 0 < value < 1:
            raise PanelError(
                needed="a number above 0 and below 1",
                found=repr(value),
                where=f"denominator_breaks({name}=)",
                todo="leave it out for the default",
            )
