"""Bounds: what hidden, rounded and missing cells can do to the estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.bounds_interval import bounded_interval
from didkit.check.bounds_p import LargestP, largest_p
from didkit.check.bounds_totals import Totals, checked_totals
from didkit.check.interval_cells import (
    HIDDEN,
    MISSING,
    PUBLISHED,
    ROUNDED,
    TOTALS,
    Missing,
    Rung,
    checked_missing,
    denominator,
    ladder,
    places,
)
from didkit.design.matched import Matched
from didkit.errors import DidkitError, InferenceError, is_number, is_whole
from didkit.inference.permutation import Permutation
from didkit.panel import Panel, Status
from didkit.progress import steps
from didkit.results import Estimate, Finding, Uncertainty
from didkit.results.tables import p_value, signed, unit_of

__all__ = ["Bounds"]

Floats = NDArray[np.float64]
_CLOSE = 1e-8  #: of the sum of |weight × cell|: the estimate is that sum, or it is not linear
_KIND = {HIDDEN: "hidden", TOTALS: "hidden", ROUNDED: "rounded", MISSING: "missing"}
_COLUMNS = [
    "rung", "term", "low", "high", "conf_low", "conf_high", "p_found", "p_upper_bound", "n_cells",
    "n_pilots", "n_comparators", "kind",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Ask how far hidden, rounded and missing cells could move the estimate.

    Parameters
    ----------
    rounded : bool, default True
        Whether every published number may lie anywhere within its rounding (half its last digit).
    missing : (low, high), mapping, "observed" or "change", optional
        What a cell may have been that is not available or has no row, in the metric's unit; also a
        hidden cell of which nothing else is known. One range for all; a mapping of units to
        ranges; ``"observed"``: from the lowest to the highest value of the same unit in the
        design's other periods; ``"change"``: the unit's nearest value, give or take the largest
        change from one period to the next of any unit of the design, for each period between.
        Cells that are not applicable stay empty. By default missing cells stay left out.
    totals : DataFrame, optional
        Known sums of the *count* behind the metric, one row a total: ``period``, ``units`` (a list
        of unit ids), ``lower, upper``. Cells of these units without a number may be anything from
        0 up, unless more is known of them.
    inference : bool, default True
        Whether intervals and p-values are taken to the ends as well, by the estimate's own
        inference.
    draws : int, optional
        Of a permutation; by default as many as the estimate's own inference asks for.
    search : int, default 0
        Where the estimate is not linear in its cells: how many completions to try. What they span
        is labelled a search, since the range is at least as wide.
    seed : int, default 0
        Of the completions that are drawn.
    level : float, optional
        Of the intervals; by default that of the estimate.

    Notes
    -----
    The estimate is made again with every hidden cell *present*, in the middle of its interval:
    units that were left out for such a cell come back, and weights are those of that sample. Where
    the estimate is Σ w × cell with weights that do not move with the outcome, each cell at the end
    that the sign of its weight says gives the least and the largest value: sharp bounds, for each
    term by itself. This is held against refits at both ends. With totals the ends solve a linear
    programme (for real numbers; whole numbers can only be narrower).

    It is refused where weights move with the outcome, or there are none: Poisson, logs, synthetic
    control, matching on the outcome inside the estimator. Comparators that a design has chosen stay
    chosen. Known denominators are supposed, and no break, error or revision of a cell: an interval
    says how a number was published, not whether it is right.

    **Intervals** cover the value that complete cells would give, not the whole range: with Δ the
    width of the bounds, c solves F(c + Δ / max(se_low, se_high)) − F(−c) = level (Imbens & Manski
    2004, equations 6 and 7, with standard errors at the two completions; F is the t distribution
    of the inference where it has degrees of freedom). At Δ = 0 it is the inference's own interval.
    Where the inference has no standard error the interval runs from the lower end at the one
    completion to the upper end at the other; a completion between could have a wider one.

    **p.** For an estimate with a permutation: ``p_upper_bound`` is never below the largest p that
    any completion gives; each assignment is counted if some completion could make it as large as
    the actual one, so that the bound may not be attained. ``p_found`` is the largest p of the
    completions looked at: all of them where hidden cells are whole numbers and few.

    References
    ----------
    Imbens & Manski (2004); Manski (2003).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(dk.Bounds())
    >>> bool(found.facts["lowest"] < found.facts["estimate"] < found.facts["highest"])
    True
    """

    rounded: bool = True
    missing: Missing | None = None
    totals: pd.DataFrame | None = None
    inference: bool = True
    draws: int | None = None
    search: int = 0
    seed: int = 0
    level: float | None = None

    __hash__ = None  # type: ignore[assignment]  # a frame has none

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bounds) and repr(self) == repr(other)

    def __repr__(self) -> str:
        plain = {"rounded": True, "missing": None, "inference": True, "draws": None, "search": 0,
                 "seed": 0, "level": None}  # fmt: skip
        said = [
            f"{name}={getattr(self, name)!r}"
            for name, usual in plain.items()
            if getattr(self, name) != usual
        ]
        if self.totals is not None:
            said.append(f"totals={len(self.totals)} rows")
        return f"Bounds({', '.join(said)})"

    def __post_init__(self) -> None:
        for name in ("rounded", "inference"):
            if not isinstance(getattr(self, name), bool):
                raise _refused(f"{name}=True or False", repr(getattr(self, name)), "choose one")
        if self.draws is not None and (not is_whole(self.draws) or self.draws < 1):
            raise _refused("draws= a whole number of at least 1", repr(self.draws), "999, say")
        for name in ("search", "seed"):
            if not is_whole(getattr(self, name)) or getattr(self, name) < 0:
                raise _refused(
                    f"{name}= a whole number, 0 or more", repr(getattr(self, name)), "give one"
                )
        if self.level is not None and not (is_number(self.level) and 0 < self.level < 1):
            raise _refused("a level between 0 and 1", repr(self.level), "0.95, say")
        object.__setattr__(self, "missing", checked_missing(self.missing))
        object.__setattr__(self, "totals", checked_totals(self.totals))

    def run(self, estimate: Estimate) -> Finding:
        """Bound every term, rung by rung: as published, hidden cells, rounding, missing cells.

        Returns
        -------
        Finding
            Table: one row a rung and term, ``rung, term, low, high, conf_low, conf_high`` (the
            metric's unit; intervals above the first rung are those of the main term),
            ``p_found, p_upper_bound, n_cells`` (whose interval is new on this rung, in the
            sample), ``n_pilots, n_comparators, kind`` ("published", "sharp" or "search"). Facts of
            the main term on the last rung: ``estimate, lowest, highest, conf_low, conf_high,
            p_published``, ``p_found`` (over the rungs above what was published),
            ``p_upper_bound`` (of the last rung that
            has one), and ``n_hidden, n_rounded, n_missing``, the
            cells of each kind.

        Raises
        ------
        InferenceError
            If the estimate is not linear in its cells and `search` is 0; if totals contradict the
            cells or one another, or name what the panel does not have.
        """
        design, metric = estimate.design, estimate.metric
        linked = None if self.totals is None else Totals.of(design, metric, self.totals)
        rungs, notes = ladder(
            design,
            metric,
            rounded=self.rounded,
            missing=self.missing,
            bounded=None if linked is None else linked.hidden(),
        )
        main = estimate.place_of(None, where="Bounds")
        by, level = self._inference(estimate)
        published = estimate if by is None else estimate.infer(by, level=level)
        rows = _published(published, sure=published.uncertainty if by is not None else None)
        made: _Climbed | None = None
        for rung in steps(rungs, "bounding"):
            made = _Climbed(self, estimate, rung, linked, by, level, made)
            rows += made.rows(main)
            notes += made.notes
        table = pd.DataFrame(rows, columns=_COLUMNS)
        return self._finding(estimate, table, rungs, list(dict.fromkeys(notes)))

    def _inference(self, estimate: Estimate) -> tuple[Any, float]:
        """Return the estimate's own inference and the level; None where there is none."""
        sure = estimate.uncertainty if self.inference else None
        level = self.level if self.level is not None else 0.95 if sure is None else sure.level
        by: Any = None if sure is None else sure.inference
        if isinstance(by, Permutation) and self.draws is not None:
            by = replace(by, draws=self.draws)
        return by, level

    def _finding(
        self, estimate: Estimate, table: pd.DataFrame, rungs: list[Rung], notes: list[str]
    ) -> Finding:
        """Say what was found."""
        mine = table[table["term"] == estimate.main_term]
        first, last = mine.iloc[0], mine.iloc[-1]
        value, low, high = (float(x) for x in (first["low"], last["low"], last["high"]))
        count = dict.fromkeys(("hidden", "rounded", "missing"), 0.0)
        for row in mine.iloc[1:].to_dict("records"):
            kind = _KIND[str(row["rung"])]
            count[kind] = max(count[kind], float(row["n_cells"]))
        outside = [
            str(row["rung"])
            for row in mine.iloc[1:].to_dict("records")
            if not row["low"] <= value <= row["high"]
        ]
        if outside:
            notes.append(
                f"the published estimate is outside the bounds of {outside[0]!r}: with those cells "
                "present the sample, and so the weights, are others"
            )
        if len(mine) > 1 and isinstance(estimate.design.against, Matched):
            notes.append(
                "comparators stay those that were chosen: had the cells been known, the matching "
                "might have chosen others"
            )
        own = np.isfinite(first["conf_low"])
        if own and len(mine) > 1 and estimate.n_terms > 1:
            notes.append(f"intervals of bounds are those of {estimate.main_term!r} only")
        facts = {
            "estimate": value,
            "lowest": low,
            "highest": high,
            "conf_low": float(last["conf_low"]),
            "conf_high": float(last["conf_high"]),
            "p_published": float(first["p_found"]),
            "p_found": float(mine["p_found"].iloc[1:].max()),
            "p_upper_bound": _last(mine["p_upper_bound"]),
            **{f"n_{name}": number for name, number in count.items()},
        }
        return Finding(
            check=self,
            estimate=estimate,
            question="What can cells that are hidden, rounded or missing do to the estimate?",
            headline=_headline(facts, unit_of(estimate.metric), count, mine),
            table=table,
            facts=facts,
            notes=tuple(notes),
            cannot_show="whether the numbers that were published are right, or recorded alike in "
            "all places and years",
            alternatives=(float(mine["low"].min()), float(mine["high"].max())),
        )


class _Climbed:
    """One rung: the estimate at the middle, the bounds, and refits at both ends."""

    kind: str
    middle: Estimate

    def __init__(
        self,
        check: Bounds,
        estimate: Estimate,
        rung: Rung,
        totals: Totals | None,
        by: Any,
        level: float,
        before: _Climbed | None,
    ) -> None:
        self.check, self.estimate, self.rung, self.by, self.level = check, estimate, rung, by, level
        self.totals = totals if rung.linked else None
        self.notes: list[str] = []
        self.panel = estimate.design.panel
        self.inside = places(estimate.design)
        same = before is not None and by is None and before.kind == "sharp"
        if same and before is not None and _alike(before.rung, rung, self.inside):
            self.middle = before.middle  # the same cells are there: the same weights
        else:
            self.middle = self._refit(rung.middle)
        sample = self.middle.sample
        row = {unit: i for i, unit in enumerate(self.panel.unit_ids)}
        self.at = np.ix_(
            [row[unit] for unit in sample.units],
            [self.panel.calendar.position(period) for period in sample.periods],
        )
        self.kind = "sharp"
        if self.middle.weights is None:
            why = "has no weights: it is not linear in the outcome"
            self.low, self.high, self.ends = self._searched(why)
        else:
            self.low, self.high, self.ends = self._sharp(self.middle.weights)

    def _refit(self, values: Floats) -> Estimate:
        """Refit with other numbers in the cells of the design."""
        return self.estimate.refit(self.estimate.design.on_panel(self._filled(values)))

    def _filled(self, values: Floats) -> Panel:
        metric = self.estimate.metric
        known = self.panel.cells(metric.name).value
        return self.panel.refilled(
            self.panel.metric(metric.name), np.where(self.inside, values, known)
        )

    def _sharp(self, weights: Floats) -> tuple[Floats, Floats, tuple[Estimate, Estimate]]:
        """Return the bounds of each term, and the estimates at both ends of the main one."""
        main = self.middle.place_of(None, where="Bounds")
        low, high = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        slack = np.full(len(weights), np.nan)
        corners = None
        for m, weight in enumerate(weights):
            down, up = self._corners(weight)
            low[m], high[m] = _sum(weight, down[self.at]), _sum(weight, up[self.at])
            slack[m] = _CLOSE * (
                1e-300 + np.abs(weight * _zeros(weight, self.middle.sample.y)).sum()
            )
            if m == main:
                corners = down, up
        at_middle = np.array([_sum(w, self.middle.sample.y) for w in weights])
        moved = np.abs(at_middle - self.middle.values) > slack
        down, up = cast("tuple[Floats, Floats]", corners)
        lower = self._refit(down)
        # one refit away from the middle tells whether weights move; intervals need both
        ends = lower, self._refit(up) if self.by is not None else lower
        wanted = (low[main], high[main] if self.by is not None else low[main])
        for end, value in zip(ends, wanted, strict=True):
            moved |= end.weights is None or abs(end.values[main] - value) > slack[main]
            moved |= bool(np.abs(cast("Floats", end.weights) - weights).max() > _CLOSE)
        if moved.any():
            return self._searched("has weights that move with the outcome")
        return low, high, ends

    def _corners(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return the cells (units × periods of the panel) at which a weighted sum is extreme."""
        spread = np.zeros(self.rung.lower.shape)
        spread[self.at] = weight
        if self.totals is not None:
            status = self.panel.cells(self.estimate.metric.name).status
            return self.totals.ends(spread, self.rung, status == Status.SUPPRESSED)
        low, high = self.rung.lower, self.rung.upper
        return np.where(spread > 0, low, high), np.where(spread > 0, high, low)

    def _searched(self, why: str) -> tuple[Floats, Floats, tuple[Estimate, Estimate]]:
        """Try completions: all low, all high, what a comparison would lean on, and random ones."""
        name = f"{type(self.estimate.estimator).__name__} of {self.estimate.metric.name!r}"
        if not self.check.search or self.totals is not None:
            raise InferenceError(
                needed="an estimate that is a weighted sum of its cells, with weights that do not "
                "depend on the outcome",
                found=f"{name} {why}",
                where="Bounds",
                todo="sharp bounds are not for Poisson, logs, synthetic control or matching on the "
                "outcome; Bounds(search=200), without totals=, tries so many completions and says "
                "at least how far the estimate can move",
            )
        self.kind = "search"
        self.notes.append(
            f"{name} {why}: {self.check.search} completions were tried, and the estimate can move "
            "at least so far"
        )
        low, high = self.rung.lower, self.rung.upper
        sample = self.middle.sample
        favour = np.zeros(low.shape, dtype=bool)
        favour[self.at] = sample.treated == sample.pilot[:, None]
        rng = np.random.default_rng(self.check.seed)
        tried = [low, high, np.where(favour, low, high), np.where(favour, high, low)]
        tried += [np.where(rng.random(low.shape) < 0.5, low, high)
                  for _ in range(self.check.search - len(tried))]  # fmt: skip
        fitted = [self.middle]
        for values in steps(tried[: self.check.search], "trying completions"):
            try:
                fitted.append(self._refit(values))
            except DidkitError as error:
                self.notes.append(f"a completion without an estimate: {error.found}")
        names = list(self.middle.terms["term"])
        values = np.full((len(fitted), len(names)), np.nan)
        for i, one in enumerate(fitted):
            theirs = dict(zip(one.terms["term"], one.values, strict=True))
            values[i] = [theirs.get(term, np.nan) for term in names]
        main = self.middle.place_of(None, where="Bounds")
        ends = (
            fitted[int(np.nanargmin(values[:, main]))],
            fitted[int(np.nanargmax(values[:, main]))],
        )
        return np.nanmin(values, axis=0), np.nanmax(values, axis=0), ends

    # -- told ---------------------------------------------------------------------------------

    def rows(self, main: int) -> list[dict[str, object]]:
        """Return one row a term of the estimate."""
        names = list(self.middle.terms["term"])
        n_cells = int((self.rung.added[self.at] & self.middle.sample.mask).sum())
        rows: list[dict[str, object]] = []
        for m, term in enumerate(self.estimate.terms["term"]):
            row: dict[str, object] = dict.fromkeys(_COLUMNS, float("nan"))
            row |= {"rung": self.rung.name, "term": term, "n_cells": n_cells, "kind": self.kind}
            if term in names:
                place = names.index(term)
                row |= {"low": float(self.low[place]), "high": float(self.high[place])}
                row |= {n: int(self.middle.terms[n].iloc[place])
                        for n in ("n_pilots", "n_comparators")}  # fmt: skip
                if m == main and self.by is not None:
                    row |= self._sure(place)
            rows.append(row)
        gone = set(names) - set(self.estimate.terms["term"])
        if gone:
            self.notes.append(f"with these cells there are {len(gone)} more terms, not shown")
        return rows

    def _sure(self, m: int) -> dict[str, object]:
        """Return the interval and the p-values of a term."""
        try:
            low, high = (
                end.infer(self.by, level=self.level).attached for end in self.ends
            )  # fmt: skip
        except InferenceError as error:
            self.notes.append(f"no interval at the ends of {self.rung.name!r}: {error.found}")
            return {}
        ends = bounded_interval(self.low[m], self.high[m], low, high, m, self.level)
        row: dict[str, object] = {"conf_low": ends[0], "conf_high": ends[1]}
        row["p_found"] = float(np.fmax(low.p_value[m], high.p_value[m]))
        if not isinstance(self.by, Permutation):
            return row
        if not np.isfinite(low.std_error[m]):
            self.notes.append(
                "a permutation has no standard error: the interval runs from the lower end at the "
                "completion with the least value to the upper end at the one with the largest"
            )
        try:
            found = self._largest_p(m)
        except InferenceError as error:
            self.notes.append(f"no upper bound of p for {self.rung.name!r}: {error.found}")
            return row
        row["p_found"], row["p_upper_bound"] = found.found, found.upper
        if found.exact:
            self.notes.append(
                f"p of {self.rung.name!r}: every completion in whole numbers was looked at, and "
                f"the largest p is {p_value(found.found)}"
            )
        return row

    def _largest_p(self, m: int) -> LargestP:
        if self.kind != "sharp":
            raise _refused("a bound of p", "the estimate is not linear in its cells", "none exists")
        return largest_p(
            self.middle,
            self.ends,
            self.rung.lower[self.at],
            self.rung.upper[self.at],
            inference=self.by,
            term=m,
            whole=self._whole() if self.rung.name == HIDDEN else None,
            linked=self.totals is not None,
            seed=self.check.seed,
        )

    def _whole(self) -> Floats | None:
        """Return the step between the numbers that a hidden cell can be; None if not known."""
        metric = self.estimate.metric
        if metric.kind == "count":
            return np.where(self.rung.added[self.at], 1.0, np.nan)
        base = denominator(self.panel, metric)
        if metric.numerator is None or base not in self.panel.metrics:
            return None
        people = self.panel.cells(base).value[self.at]
        with np.errstate(invalid="ignore", divide="ignore"):
            step = metric.per / np.where(people > 0, people, np.nan)
        return np.where(self.rung.added[self.at], step, np.nan)


def _published(estimate: Estimate, sure: Uncertainty | None) -> list[dict[str, object]]:
    """Return the rows of the estimate as it is: hidden cells are left out."""
    rows: list[dict[str, object]] = []
    for m, term in enumerate(estimate.terms["term"]):
        value = float(estimate.values[m])
        row: dict[str, object] = dict.fromkeys(_COLUMNS, float("nan"))
        row |= {"rung": PUBLISHED, "term": term, "low": value, "high": value, "n_cells": 0}
        row |= {n: int(estimate.terms[n].iloc[m]) for n in ("n_pilots", "n_comparators")}
        row["kind"] = "published"
        if sure is not None:
            row |= {"conf_low": float(sure.conf_low[m]), "conf_high": float(sure.conf_high[m])}
            row["p_found"] = float(sure.p_value[m])
        rows.append(row)
    return rows


def _alike(one: Rung, other: Rung, inside: NDArray[np.bool_]) -> bool:
    """Whether two rungs have numbers in the same cells of the design."""
    return bool((np.isfinite(one.lower) == np.isfinite(other.lower))[inside].all())


def _headline(
    facts: dict[str, float], unit: str, count: dict[str, float], mine: pd.DataFrame
) -> str:
    """Say how far the estimate can move, in numbers."""
    value, last = f"{signed(facts['estimate'])} {unit}", mine.iloc[-1]
    if len(mine) == 1:
        return f"No cell behind the estimate of {value} is known to be an interval."
    said = [f"{int(n):,} {name}" for name, n in count.items() if n]
    cells = " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else "".join(said)
    within = "at least " if last["kind"] == "search" else ""
    text = (
        f"With {cells} cell{'s' * (sum(count.values()) != 1)} anywhere in their intervals, the "
        f"estimate of {value} can be {within}from {signed(facts['lowest'])} to "
        f"{signed(facts['highest'])}"
    )
    if np.isfinite(facts["conf_low"]) and np.isfinite(facts["conf_high"]):
        text += f" (interval {signed(facts['conf_low'])} to {signed(facts['conf_high'])})"
    if np.isfinite(facts["p_upper_bound"]):
        bound = mine["p_upper_bound"]
        rung = str(mine["rung"][bound.last_valid_index()])
        where = "" if np.isfinite(bound.iloc[-1]) else f" ({rung})"
        text += (
            f"; p is {p_value(facts['p_published'])} as published, and at most "
            f"{p_value(facts['p_upper_bound'])} for any such numbers{where}"
        )
    return f"{text}."


def _last(column: pd.Series) -> float:
    """Return the last number of a column; NaN where there is none."""
    there = column[np.isfinite(column.to_numpy(dtype=float))]
    return float(there.iloc[-1]) if len(there) else float("nan")


def _sum(weight: Floats, values: Floats) -> float:
    """Return the weighted sum of cells; those without weight have no say."""
    return float((weight * _zeros(weight, values)).sum())


def _zeros(weight: Floats, values: Floats) -> Floats:
    """Return the values, 0 where there is no weight."""
    return np.where(weight != 0, values, 0.0)


def _refused(needed: str, found: str, todo: str) -> InferenceError:
    return InferenceError(needed=needed, found=found, where="Bounds", todo=todo)
