"""Rate split: how much of the change of a rate is its count, how much its population."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.again import NUMBERS, again, own_cells, row_of
from didkit.errors import InferenceError, first_few
from didkit.panel.denominators import published_bounds
from didkit.results import Estimate, Finding
from didkit.results.tables import inside, number, signed, unit_of

__all__ = ["COUNT", "POPULATION", "ROUNDING", "TOTAL", "RateSplit"]

COUNT, POPULATION, ROUNDING, TOTAL = "count", "population", "rounding", "rate"
Floats = NDArray[np.float64]
_ADDS = 1e-7  # of the sizes of the parts
_EXACT = 1e-12  # of the largest rate: a rate computed from its parts has no rounding
_WORTH_SAYING = 0.01  # of the parts' sizes: rounding below it stands in the table only
_COLUMNS = ["scale", "part", "what", *NUMBERS, "percent", "method", "note"]


@dataclass(frozen=True)
class _Parts:
    """The count and the population of each cell of the sample, and the rate's base."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    count: Floats  # (J, T), NaN where the sample has no cell
    people: Floats
    names: tuple[str, str]  # of the two metrics
    per: float
    start: int

    def split(self) -> tuple[Floats, Floats]:
        """Return the count's part and the population's part of each cell's distance to its base.

        With N, P the cell's and n, p its unit's means before the start, N/P − n/p is
        (N − n)(1/p + 1/P)/2 + (N + n)(1/P − 1/p)/2: the mean of both orders of changing one
        after the other (Shapley's value of two parts).
        """
        before = np.arange(self.count.shape[1]) < self.start
        n = np.nanmean(np.where(before, self.count, np.nan), axis=1, keepdims=True)
        p = np.nanmean(np.where(before, self.people, np.nan), axis=1, keepdims=True)
        by_count = (self.count - n) * (1 / p + 1 / self.people) / 2
        by_people = (self.count + n) * (1 / self.people - 1 / p) / 2
        return self.per * by_count, self.per * by_people


@dataclass(frozen=True)
class RateSplit:
    """Split a rate's change into the part of its count and the part of its population.

    Parameters
    ----------
    population : str, optional
        Metric of the panel that the rate is over; by default the metric's own denominator, or
        ``population`` where the panel does not have that.

    Notes
    -----
    Each cell's distance to its unit's mean before the first start is (N − n)(1/p + 1/P)/2 from the
    count and (N + n)(1/P − 1/p)/2 from the population, times the rate's base: the mean of the two
    orders in which one can be changed after the other. Both are fitted like the rate itself, so
    that each is a difference in differences with its own interval. With an estimator that is
    linear in the outcome they sum to the estimate, but for the rounding of the published rate,
    which stands in a row of its own.

    Beside them: the same of logarithms, where log rate = log count − log population exactly, in
    any order and from any base. Both say where the change of a rate comes from, not whose doing it
    is: a programme works on neither by itself.

    It fails for a rate that is not count / population within its rounding (of another vintage of
    the population, say), which is refused with the cells; `OtherDenominator` serves there.

    References
    ----------
    Das Gupta (1993), standardisation and decomposition of rates, for two factors.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cin").infer(None)
    >>> facts = did.check(dk.RateSplit()).facts
    >>> parts = facts["count"] + facts["population"] + facts["rounding"]
    >>> bool(abs(parts - did.values[0]) < 1e-9)
    True
    """

    population: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        given: object = self.population
        if given is not None and (not isinstance(given, str) or not given):
            raise InferenceError(
                needed="the name of a metric of the panel, or None for the rate's own",
                found=repr(given)[:80],
                where="RateSplit(population=)",
                todo="for example population='population'",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Refit the parts of the rate.

        Returns
        -------
        Finding
            Table ``scale`` ("rate" or "log"), ``part`` (rate, count, population, rounding),
            ``what`` (in words), ``estimate, std_error, conf_low, conf_high`` (main term; in the
            metric's unit, or log points), ``percent`` (of a log row, the change in %), ``method,
            note``. Count, population and rounding sum to the rate; of logarithms, count −
            population is the rate. Facts: ``estimate, count, population, rounding, log_rate,
            log_count, log_population`` (NaN where a count is zero), ``share_population`` (of the
            sum of both parts in size).

        Raises
        ------
        InferenceError
            If the metric is not made of a count and a population of the panel, they do not give
            the rate, cells have a rate and lack one, or the estimate has no fixed weights.
        """
        where = f"RateSplit of {estimate.metric.name!r}"
        parts = self._parts(estimate, where)
        by_count, by_people = parts.split()
        rate = parts.per * parts.count / parts.people
        names = [_plainly(estimate.design.panel.metric(name).label) for name in parts.names]
        left = estimate.sample.y - rate
        rows = [_row("rate", TOTAL, "as estimated", row_of(estimate))]
        found = [(COUNT, f"number of {names[0]}", by_count)]
        found.append((POPULATION, f"number of {names[1]}", by_people))
        if np.nanmax(np.abs(left)) > _EXACT * np.nanmax(np.abs(rate)):
            found.append((ROUNDING, "published rate less count over population", left))
        for part, what, values in found:
            rows.append(_row("rate", part, what, self._fit(estimate, parts, values)))
        got = {ROUNDING: 0.0, **{row["part"]: float(row["estimate"]) for row in rows}}
        _check_sum(estimate, got, where)
        logs, notes = self._logs(estimate, parts, names)
        rows += logs
        both = abs(got[COUNT]) + abs(got[POPULATION])
        facts = {
            "estimate": got[TOTAL],
            "count": got[COUNT],
            "population": got[POPULATION],
            "rounding": got[ROUNDING],
            **{f"log_{row['part']}": float(row["estimate"]) for row in logs},
            "share_population": abs(got[POPULATION]) / both if both else float("nan"),
        }
        before = estimate.sample.periods[: parts.start]
        notes.append(
            f"both parts are measured from each authority's means of {before[0]} to {before[-1]}, "
            "before the first start; another base moves a little from one part to the other"
        )
        weighing = (estimate.sample.sampling, estimate.sample.population)
        if parts.names[1] in weighing:
            notes.append(
                f"{parts.names[1]!r} also weighs cells or authorities; those weights stay as they "
                "are in every row"
            )
        return Finding(
            check=self,
            estimate=estimate,
            question="How much of the change of the rate is its count, how much its population?",
            headline=_headline(facts, names, unit_of(estimate.metric)),
            table=pd.DataFrame(rows, columns=_COLUMNS),
            facts=facts,
            notes=tuple(notes),
            cannot_show="whether the programme moved either: a population that grew differently "
            "changes a rate without any change in practice, and may change the count as well",
        )

    def _parts(self, estimate: Estimate, where: str) -> _Parts:
        """Find count and population of every cell, and hold them against the rate."""
        if estimate.weights is None:
            raise InferenceError(
                needed="an estimate that is linear in the outcome, so that parts sum to the whole",
                found=f"{estimate.estimator!r} against {estimate.design.against.describe()}",
                where=where,
                todo="use DiD or EventStudy",
            )
        rows, columns = own_cells(estimate, "RateSplit")
        panel, metric, sample = estimate.design.panel, estimate.metric, estimate.sample
        top, bottom = made_of(estimate, self.population, where)
        at = np.ix_(rows, columns)
        mask = sample.mask
        values = {name: panel.cells(name).value[at] for name in (top, bottom)}
        for name, value in values.items():
            lacking = mask & ~(np.isfinite(value) & ((value > 0) | (name == top)))
            refuse_cells(
                estimate, lacking, f"a {name!r} in every cell that has a rate", where,
                "choose a window in which both are known, or leave those authorities out "
                "with design.drop",
            )  # fmt: skip
        _same_rate(estimate, top, bottom, at, where)
        count, people = (np.where(mask, values[name], np.nan) for name in (top, bottom))
        start = min(sample.starts)
        none = ~mask[:, :start].any(axis=1) & mask.any(axis=1)
        late = np.asarray(none)[:, None] & mask
        refuse_cells(
            estimate, late, "a cell before the first start for every authority", where,
            "leave those authorities out with design.drop, or widen the window",
        )  # fmt: skip
        return _Parts(rows, columns, count, people, (top, bottom), float(metric.per), start)

    def _fit(self, estimate: Estimate, parts: _Parts, values: Floats) -> dict[str, Any]:
        """Refit with other values in the cells of the sample."""
        panel, metric = estimate.design.panel, estimate.metric
        cells = panel.cells(metric).value.copy()
        cells[np.ix_(parts.rows, parts.columns)] = np.where(estimate.sample.mask, values, np.nan)
        plain = replace(panel.metric(metric), kind="value", decimals=None)
        return again(estimate, estimate.design.on_panel(panel.refilled(plain, cells)))

    def _logs(
        self, estimate: Estimate, parts: _Parts, names: list[str]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Refit the logarithms of the rate, the count and the population."""
        zero = int((parts.count == 0).sum())
        with np.errstate(divide="ignore"):
            count, people = np.log(parts.count), np.log(parts.people)
        rows = []
        for part, what, values in (
            (TOTAL, "logarithm of the rate", count - people),
            (COUNT, f"logarithm of the number of {names[0]}", count),
            (POPULATION, f"logarithm of the number of {names[1]}", people),
        ):
            if zero and part != POPULATION:
                why = f"{zero} cells have a count of zero, and no logarithm"
                made: dict[str, Any] = {**dict.fromkeys(NUMBERS, np.nan), "method": "", "note": why}
            else:
                made = self._fit(estimate, parts, values)
            rows.append(_row("log", part, what, made))
        why = f"no logarithms of the rate: {zero} cells have a count of zero"
        return rows, [why] if zero else []


def made_of(estimate: Estimate, population: str | None, where: str) -> tuple[str, str]:
    """Return the names of the count and of the population that a metric is made of.

    Raises
    ------
    InferenceError
        If the metric names no count, or the panel lacks one of them.
    """
    panel = estimate.design.panel
    metric = panel.metric(estimate.metric)
    if metric.kind not in ("rate", "percent") or metric.numerator is None:
        raise InferenceError(
            needed="a rate or a percentage that names the count it is made of",
            found=f"{metric.name!r}, a {metric.kind}"
            + ("" if metric.numerator else " without a numerator"),
            where=where,
            todo="give the metric a numerator: Metric(numerator=…, denominator=…, per=…)",
        )
    own = metric.denominator
    if own is None or own not in panel.metrics:
        own = "population"
    names = (metric.numerator, population or own)
    missing = [name for name in names if name not in panel.metrics]
    if missing:
        raise InferenceError(
            needed=f"the count and the population of {metric.name!r} in the panel",
            found=f"no {first_few([repr(name) for name in missing])}",
            where=where,
            todo="read them with the rate, join them to the panel, or name the population: "
            "population=",
        )
    return names


def refuse_cells(
    estimate: Estimate, bad: NDArray[np.bool_], needed: str, where: str, todo: str
) -> None:
    """Refuse cells of the sample by unit and period, where there are any."""
    if bad.any():
        sample = estimate.sample
        at = [f"{sample.units[j]} in {sample.periods[t]}" for j, t in np.argwhere(bad)]
        raise InferenceError(
            needed=needed, found=f"cells without one: {first_few(at)}", where=where, todo=todo
        )


def _same_rate(estimate: Estimate, top: str, bottom: str, at: Any, where: str) -> None:
    """Refuse a rate that is not count over population within what rounding allows."""
    panel, metric, sample = estimate.design.panel, estimate.metric, estimate.sample
    over, under = panel.cells(top), panel.cells(bottom)
    low, high = published_bounds(panel.metric(metric), panel.cells(metric))
    with np.errstate(divide="ignore", invalid="ignore"):
        least = metric.per * (over.lower / under.upper)[at]
        most = metric.per * (over.upper / under.lower)[at]
        rate = metric.per * (over.value / under.value)[at]
    slack = 1e-9 * np.abs(sample.y)
    outside = sample.mask & ((least > high[at] + slack) | (most < low[at] - slack))
    if not outside.any():
        return
    apart = np.where(outside, np.abs(rate - sample.y), 0.0)
    order = np.argsort(-apart, axis=None, kind="stable")[: int(outside.sum())]
    named = [
        f"{sample.names[j] or sample.units[j]} in {sample.periods[t]}: published "
        f"{number(float(sample.y[j, t]))}, computed {number(float(rate[j, t]))}"
        for j, t in zip(*np.unravel_index(order, apart.shape), strict=True)
    ]
    raise InferenceError(
        needed=f"a rate that is {top} / {bottom} × {metric.per:,} within its rounding",
        found=f"other cells, by up to {number(float(apart.max()))}: {first_few(named, 3)}",
        where=where,
        todo="the rate may be over another vintage of the population: compute_rate makes it over "
        "the panel's own, and OtherDenominator shows what that changes",
    )


def _row(scale: str, part: str, what: str, made: dict[str, Any]) -> dict[str, Any]:
    value = float(made["estimate"])
    percent = 100 * float(np.expm1(value)) if scale == "log" else float("nan")
    return {"scale": scale, "part": part, "what": what, "percent": percent, **made}


def _check_sum(estimate: Estimate, got: dict[str, float], where: str) -> None:
    """Demand that the parts sum to the estimate."""
    total = got[COUNT] + got[POPULATION] + got[ROUNDING]
    y = estimate.sample.y
    size = max(abs(got[COUNT]), abs(got[POPULATION]), 1e-3 * float(np.nanmax(np.abs(y))), 1e-300)
    if not abs(total - got[TOTAL]) <= _ADDS * size:
        raise InferenceError(
            needed="parts that sum to the estimate",
            found=f"{number(total)}, the estimate {number(got[TOTAL])}",
            where=where,
            todo="use DiD or EventStudy, whose weights do not hang on the outcome",
        )


def _headline(facts: dict[str, float], names: list[str], unit: str) -> str:
    """Say both parts in the metric's unit, and in which direction each went."""
    value = f"{signed(facts['estimate'])} {unit}"
    count, people, rest = facts["count"], facts["population"], facts["rounding"]
    told = (
        f"Of the estimate of {value}, {signed(count)} comes from the number of {names[0]} and "
        f"{signed(people)} from the number of {names[1]}"
    )
    if abs(rest) > _WORTH_SAYING * (abs(count) + abs(people)):
        told += f", {signed(rest)} from rounding"
    logs = [100 * float(np.expm1(facts[f"log_{part}"])) for part in (TOTAL, COUNT, POPULATION)]
    if not np.isfinite(logs).all():
        return f"{told}."
    return (
        f"{told}. In logarithms, against comparators: rate {signed(logs[0])}%, count "
        f"{signed(logs[1])}%, population {signed(logs[2])}%."
    )


def _plainly(label: str) -> str:
    """Write the label of a count inside a sentence, without what stands in brackets."""
    return inside(label.split(" (")[0])
