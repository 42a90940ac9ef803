"""Group-time effects: each cohort of starts, each period, then averages of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Literal, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_whole
from didkit.estimate.aggregation import (
    Aggregated,
    Aggregation,
    By,
    aggregate,
    check_aggregation,
    check_by,
    event_name,
    shares_by_kind,
    unit_weights,
)
from didkit.estimate.cells import CellsUsed, check_cells
from didkit.estimate.covariates import check_covariates
from didkit.estimate.group_time_draws import drawn
from didkit.estimate.group_time_fits import Cells, Fitted, fit_changes, fit_rows
from didkit.estimate.group_time_means import (
    coefficients,
    counts,
    effects_of,
    influence_of,
    sums,
    weights_of,
)
from didkit.estimate.group_time_pairs import Base, Comparators, Pairs, pairs_of
from didkit.estimate.published import Published
from didkit.estimate.refits import refits
from didkit.estimate.wording import alone_in_start, counted, levels_left_in
from didkit.panel import Metric
from didkit.results import Draws, Estimate, Labels, OneByOne, tables

__all__ = ["GroupTime"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Models = Literal["dr", "regression", "ipw"]
#: numbers up to which weights of cells (k × J × T) are laid out
LARGEST = 20_000_000


@dataclass(frozen=True)
class GroupTime:
    """Each cohort's change since its base period, less that of units not (yet) treated.

    The effect of cohort g in period t compares the cohort's change from a base period to t with
    the change of units that never start, or have not started by then. No pilot is ever compared
    with one that started earlier. `by` says which averages of these effects are the terms.

    Parameters
    ----------
    method : {"dr", "regression", "ipw"}
        With covariates: doubly robust (right if the model of the comparators' change or that of
        who is a pilot is right), outcome regression, or inverse probability weights. Without
        covariates all three are differences of means.
    comparison : {None, "never", "not_yet"}
        Who serves: units that never start, or also later pilots until they start (less
        `anticipation`). None: "not_yet" where the design says ``against=NotYetTreated()``.
    base : {"universal", "varying"}
        "universal": the last period before start and anticipation, for every period, so that
        terms before the start can be read as in `EventStudy`. "varying": for periods before the
        start the period before each, so that these terms are changes from period to period.
    anticipation : int, default 0
        Periods before the start in which the programme may already act. Cohorts without a period
        before these are left out.
    covariates : sequence of str
        Metrics of the panel. With ``cells="complete"`` as they are in the base period; with
        "observed" as they are in each row's own period.
    cells : {"complete", "observed"}
        "complete": units with a value in every period, each with its own change. "observed": means
        (or models) of the cells with a value in each of the two periods, whoever has them: for
        panels with gaps and for repeated cross-sections. It assumes that who is observed does not
        change with the outcome: levels of units that come and go do not cancel, as they do in
        `Imputation`, and a note says how many these are.
    by : {"simple", "dynamic", "group", "calendar", "none"}
        One number, over all cohorts and periods from the start on, so that early starts, treated
        for longer, count for more; by time since the start; by start; by period; or every effect.
        The average in which each pilot counts once is ``by="group", overall=True``.
    overall : bool
        With "dynamic", "group" or "calendar": the average of these terms from the start on, by
        cohort size for "group", all alike for the others.
    balance : int, optional
        With "dynamic": only cohorts seen so many periods after their start.
    horizon : int, optional
        Leave effects later than so many periods after the start out.
    aggregation : {"pilots", "cohorts"}
        What a cohort counts for in an average: its pilots, or each start once.
    sampling, population : str, optional
        Metrics that weigh units. With ``cells="complete"`` a unit's weight is the mean of its
        weights over the periods.

    Notes
    -----
    It is the effect on pilots if, without the programme, each cohort would have changed as its
    comparators did (among units alike in the covariates), and if the programme does not act before
    start less anticipation. It fails when pilots were chosen for their latest value, and with
    "not_yet" when units join because things have just turned. With covariates each cohort needs
    more pilots than there are covariates for "dr" and "ipw", and pilots and comparators must
    overlap; a cohort that is too small is refused by name. An error from one pilot alone shows no
    spread of its own: a note says where.

    The influence of a term includes that the cohorts' shares are estimated.

    References
    ----------
    Callaway & Sant'Anna (2021); Sant'Anna & Zhao (2020) for the comparisons with covariates.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design
    >>> frame = pd.DataFrame(
    ...     [
    ...         (unit, year, start, 10.0 * i + 3 * (0 < start <= year) * (year - start + 1))
    ...         for i, (unit, start) in enumerate([("a", 2012), ("b", 2013), ("c", 0), ("d", 0)])
    ...         for year in range(2010, 2014)
    ...     ],
    ...     columns=["unit", "year", "start", "y"],
    ... )
    >>> design = Design.from_frame(
    ...     frame, unit="unit", period="year", start="start", metrics=["y"], selection="unknown"
    ... )
    >>> made = GroupTime(by="dynamic").fit(design, "y")
    >>> dict(zip(made.terms["term"].tolist()[-2:], made.values.round(10).tolist()[-2:]))
    {'event time 0': 3.0, 'event time +1': 6.0}
    """

    method: Models = "dr"
    comparison: Comparators | None = field(default=None, kw_only=True)
    base: Base = field(default="universal", kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    cells: CellsUsed = field(default="complete", kw_only=True)
    by: By = field(default="simple", kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    horizon: int | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_cells(self.cells, "GroupTime(cells=)")
        check_by(self.by, self.balance, self.overall, "GroupTime")
        check_aggregation(self.aggregation, "GroupTime")
        names = check_covariates(self.covariates, "observed", "GroupTime(covariates=)")
        object.__setattr__(self, "covariates", names)
        for name, allowed in (
            ("method", get_args(Models)),
            ("base", get_args(Base)),
            ("comparison", (None, *get_args(Comparators))),
        ):
            if getattr(self, name) not in allowed:
                raise EstimationError(
                    needed=f"{name}: " + ", ".join(map(repr, allowed)),
                    found=repr(getattr(self, name)),
                    where=f"GroupTime({name}=)",
                    todo="choose one",
                )
        for name in ("anticipation", "horizon"):
            given = getattr(self, name)
            if given is None and name == "horizon":
                continue
            if not is_whole(given) or given < 0:
                raise EstimationError(
                    needed="a whole number of periods, 0 or more",
                    found=repr(given),
                    where=f"GroupTime({name}=)",
                    todo="0 if the programme cannot act before it starts"
                    if name == "anticipation"
                    else "leave it out to use every period from the start on",
                )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the terms.

        Raises
        ------
        PanelError
            If the metric, a covariate or a weight is unknown.
        DesignError, EstimationError
            Matched sets; no comparators; no period before the anticipation; no unit with every
            value; with covariates, a cohort that is too small, collinear covariates or no overlap.
        """
        sample, told = self._sample(design, metric)
        work = _Work.of(self, sample)
        size, shares = shares_by_kind(sample, self.aggregation)
        pairs, lost = work.usable(self._pairs(sample))
        terms = aggregate(
            sample,
            pairs.g,
            pairs.t,
            self.by,
            size=size,
            anticipation=self.anticipation,
            balance=self.balance,
            overall=self.overall,
        )
        used = np.asarray(terms.members.any(axis=0))
        pairs, terms = pairs.only(used), _only(terms, used)
        fitted = work.fit(pairs, terms, shares)
        table, reference = self._table(sample, terms, pairs)
        n_pilots, n_comparators = work.carriers(pairs, terms)
        unit = sample.metric.unit or "units of the metric"
        return Published(
            values=terms.matrix @ fitted.effects[0],
            n_pilots=n_pilots,
            n_comparators=n_comparators,
            laid_out=fitted.weights,
            influence=fitted.influence[0],
            reassigned=work.reassigned(pairs, terms, shares),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"average change in {tables.inside(sample.metric.label)} ({unit})"
            " of pilots since "
            f"the base period, less that of {self._who(sample)}; {_SAID[self.by]}; "
            + counted(sample, self.aggregation, self.by),
            terms=table,
            reference=reference,
            facts={"comparisons": len(pairs), **fitted.facts},
            notes=(*told, *lost, *self._notes(sample, pairs, fitted)),
        )

    # -- what is compared ----------------------------------------------------------------------

    def _comparators(self, sample: Sample) -> Comparators:
        if self.comparison is not None:
            return self.comparison
        return "not_yet" if sample.not_yet else "never"

    def _who(self, sample: Sample) -> str:
        if self._comparators(sample) == "never":
            return "units that never start"
        return "units that have not started yet"

    def _sample(self, design: Design, metric: str | Metric) -> tuple[Sample, tuple[str, ...]]:
        """Return the units that can serve, and notes on those that cannot."""
        sample = design.sample(
            metric,
            covariates=self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        if sample.sets is not None:
            raise EstimationError(
                needed="one pool of comparators",
                found="matched sets",
                where="GroupTime",
                todo="hold the matching variables constant with covariates=, compare with the "
                "sets' union: against.union(), or use DiD or EventStudy(cells='complete')",
            )
        if self.cells == "complete":
            sample = _complete(sample)
        else:
            sample = sample.keep(np.asarray(sample.mask.any(axis=1)), "no cell with a value")
        early = np.array(sample.starts) <= self.anticipation
        if early.any():
            names = ", ".join(sample.periods[s] for s in np.array(sample.starts)[early])
            stays = np.ones(len(sample.units), dtype=bool)
            stays[sample.pilot] = ~early[sample.cohort[sample.pilot]]
            sample = sample.keep(
                stays,
                f"start {names}: no period before the {self.anticipation} of anticipation",
                advice="allow for less anticipation, or use a longer window",
            )
        if sample.pilot.all() and self._comparators(sample) == "never":
            raise EstimationError(
                needed="units that never start",
                found="none",
                where="GroupTime(comparison='never')",
                todo="write comparison='not_yet': later pilots then serve until they start",
            )
        told: tuple[str, ...] = ()
        if sample.pilot.all():
            last = sample.periods[sample.starts[-1]]
            told = (f"nobody never starts: pilots of start {last} serve as comparators only",)
        return sample, told

    def _pairs(self, sample: Sample) -> Pairs:
        pairs = pairs_of(
            np.array(sample.starts, dtype=np.intp),
            len(sample.periods),
            base=self.base,
            comparators=self._comparators(sample),
            anticipation=int(self.anticipation),
            never=not sample.pilot.all(),
        )
        if self.horizon is None:
            return pairs
        return pairs.only(pairs.t - np.array(sample.starts)[pairs.g] <= self.horizon)

    # -- what is said --------------------------------------------------------------------------

    def _table(
        self, sample: Sample, terms: Aggregation, pairs: Pairs
    ) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Return the terms, and the base period as a reference where there is one for all."""
        table = terms.terms.reset_index(drop=True)
        n = len(sample.periods)
        starts = np.array(sample.starts)
        if self.by == "none":
            table["position"] = pairs.g * n + pairs.t
        if self.base == "varying" or self.by not in ("none", "dynamic") or self.overall:
            return table, None
        at = -1 - int(self.anticipation)
        if self.by == "dynamic":
            one = len(np.unique(pairs.g)) == 1
            row: dict[str, object] = {
                "term": event_name(at),
                "position": at,
                "event_time": at,
                "period": sample.periods[starts[pairs.g[0]] + at] if one else "",
                "phase": "reference",
            }
            return table, pd.DataFrame({name: [value] for name, value in row.items()})
        rows = []
        for g in np.unique(pairs.g).tolist():
            start, period = sample.periods[starts[g]], sample.periods[starts[g] + at]
            rows.append(
                {
                    "term": f"start {start}, period {period}",
                    "position": g * n + int(starts[g]) + at,
                    "event_time": at,
                    "group": start,
                    "period": period,
                    "phase": "reference",
                }
            )
        return table, pd.DataFrame(rows)

    def _notes(self, sample: Sample, pairs: Pairs, fitted: Fitted) -> tuple[str, ...]:
        notes = []
        if self._comparators(sample) == "not_yet" and pairs.serves[:, :-1].any():
            until = f" less {self.anticipation} of anticipation" if self.anticipation else ""
            notes.append(f"later pilots serve as comparators until their start{until}")
        if self.base == "varying" and self.by in ("dynamic", "none") and not self.overall:
            notes.append(
                "base='varying': a term before the start is the change from the period before it"
            )
        if self.covariates:
            when = "in the base period" if self.cells == "complete" else "in each row's period"
            notes.append(
                f"compared among units alike in {', '.join(self.covariates)} {when} ({self.method})"
            )
        trimmed = int(fitted.facts.get("n_trimmed", 0))
        if trimmed:
            notes.append(
                f"up to {trimmed} comparators of a cohort have no weight: they look like pilots "
                "(propensity 0.995 or more)"
            )
        notes += alone_in_start(sample, np.unique(pairs.g).tolist())
        if self.cells == "observed":
            how, instead = "cells='observed'", "Imputation(), DiD() or cells='complete'"
            notes += levels_left_in(_moving(sample, pairs), how, instead)
        if fitted.weights is None:
            notes.append(f"weights of cells are not laid out: more than {LARGEST:,} numbers")
        return tuple(notes)


_SAID = {
    "simple": "averaged over pilots and periods from the start on",
    "dynamic": "by time since the start",
    "group": "by start, averaged over the periods from it on",
    "calendar": "by period, averaged over the pilots that have started",
    "none": "by start and period",
}


def _moving(sample: Sample, pairs: Pairs) -> tuple[str, ...]:
    """Name units seen more than once that have a value in one of two periods compared only."""
    mask = sample.mask
    rows = np.flatnonzero((mask.sum(axis=1) > 1) & ~mask.all(axis=1))
    kind = np.where(sample.cohort < 0, len(sample.starts), sample.cohort)[rows]
    moves = np.zeros(len(rows), dtype=bool)
    for g, t, base, serves in zip(pairs.g, pairs.t, pairs.base, pairs.serves, strict=True):
        moves |= ((kind == g) | serves[kind]) & (mask[rows, t] != mask[rows, base])
    return tuple(sample.units[j] for j in rows[moves])


def _complete(sample: Sample) -> Sample:
    """Keep units observed in every period; partly treated ones are not asked of their pilots."""
    sample = sample.keep(
        ~sample.left, "left the programme, so not observed throughout (as treated)"
    )
    seen = sample.mask
    if sample.partly.any():
        seen[sample.pilot] |= sample.set_aside[sample.cohort[sample.pilot]]
    return sample.keep(np.asarray(seen.all(axis=1)), "not observed in every period of the window")


def _only(terms: Aggregation, used: Bools) -> Aggregation:
    """Return the combinations of those effects that some term uses."""
    parts = None if terms.parts is None else _only(terms.parts, used)
    return replace(
        terms,
        matrix=terms.matrix[:, used],
        members=terms.members[:, used],
        g=terms.g[used],
        parts=parts,
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """The arrays of one sample: outcome, kinds of units and weights of cells."""

    estimator: GroupTime
    sample: Sample
    kind: Ints
    #: weights of cells (J, T), 0 where there is no value; None: complete, and all alike
    w: Floats | None

    @classmethod
    def of(cls, estimator: GroupTime, sample: Sample) -> _Work:
        kind = np.where(sample.cohort < 0, len(sample.starts), sample.cohort)
        if estimator.cells == "observed":
            w = sample.mask.astype(np.float64)
            if sample.w is not None:
                w = np.where(sample.mask, sample.w, 0.0)
            return cls(estimator, sample, kind, w)
        if sample.w is None:
            return cls(estimator, sample, kind, None)
        mean = unit_weights(sample)[:, None]
        return cls(estimator, sample, kind, np.broadcast_to(mean, sample.y.shape))

    def usable(self, pairs: Pairs) -> tuple[Pairs, tuple[str, ...]]:
        """Leave out comparisons without a cell in some arm, with a note on them."""
        sample, starts = self.sample, np.array(self.sample.starts)
        kept = np.ones(len(pairs), dtype=bool)
        if sample.partly.any():
            aside = sample.set_aside
            kept = ~aside[pairs.g, pairs.t] & ~aside[pairs.g, pairs.base]
        if self.estimator.cells == "observed":
            count = counts(self.kind, pairs.serves.shape[1], self.w, len(sample.periods))
            kept &= np.isfinite(effects_of(pairs, count, np.zeros_like(count))[0])
        if kept.all():
            return pairs, ()
        gone = [
            f"start {sample.periods[starts[g]]} in {sample.periods[t]}"
            for g, t in zip(pairs.g[~kept].tolist(), pairs.t[~kept].tolist(), strict=True)
        ]
        return pairs.only(kept), (
            f"{first_few(gone)} left out: partly treated, or no pilot and comparator have values "
            "there and in the base period"
            + ("; Imputation() needs no one base period" if sample.partly.any() else ""),
        )

    def fit(self, pairs: Pairs, terms: Aggregation, shares: Floats) -> Fitted:
        """Estimate the effects, and their terms' influence and weights."""
        lay_out = len(terms.matrix) * self.sample.y.size <= LARGEST
        y = self.sample.y[None]
        return self._fit(self.kind, y, pairs, terms, shares, lay_out=lay_out)

    def _fit(
        self,
        kind: Ints,
        y: Floats,
        pairs: Pairs,
        terms: Aggregation,
        shares: Floats,
        *,
        lay_out: bool,
    ) -> Fitted:
        if not self.estimator.covariates:
            return self._means(kind, y, pairs, terms, shares, lay_out=lay_out)
        made = self._with_covariates(kind, y, pairs, terms.matrix, lay_out=lay_out)
        weight = unit_weights(self.sample)
        for o, effects in enumerate(made.effects):
            shift = terms.share_influence(effects, shares)
            for m in np.flatnonzero(shift.any(axis=0)):  # a column lies together
                own = shift[:, m][kind]
                made.influence[o][:, m] += own if self.sample.w is None else weight * own
        return made

    def _means(
        self,
        kind: Ints,
        y: Floats,
        pairs: Pairs,
        terms: Aggregation,
        shares: Floats,
        *,
        lay_out: bool,
    ) -> Fitted:
        n_kinds = pairs.serves.shape[1]
        count = counts(kind, n_kinds, self.w, y.shape[2])
        weight = unit_weights(self.sample)
        effects = np.full((len(y), len(pairs)), np.nan)
        influence: list[Floats] = []
        weights: Callable[[], Floats] | None = None
        for o in range(len(y)):
            there = np.isfinite(y[o])
            values = y[o] if there.all() else np.where(there, y[o], 0.0)
            total = sums(kind, n_kinds, values, self.w)
            effects[o], pilots, others = effects_of(pairs, count, total)
            made = coefficients(pairs, terms.matrix, count, pilots, others)
            shift = terms.share_influence(effects[o], shares)
            influence.append(influence_of(made, kind, values, self.w, shift, weight))
            if lay_out and o == 0:
                weights = partial(weights_of, made, kind, self.w)
        every = influence[0][None] if len(influence) == 1 else np.stack(influence)
        return Fitted(effects, every, weights, {})

    def _with_covariates(
        self, kind: Ints, y: Floats, pairs: Pairs, matrix: Floats, *, lay_out: bool
    ) -> Fitted:
        sample = self.sample
        cells = Cells(
            y=y,
            x=cast("Floats", sample.x),
            w=np.broadcast_to(1.0, sample.y.shape) if self.w is None else self.w,
            names=sample.covariates,
            starts=tuple(sample.periods[s] for s in sample.starts),
            periods=sample.periods,
        )
        fit = fit_changes if self.estimator.cells == "complete" else fit_rows
        return fit(cells, pairs, matrix, kind, self.estimator.method, lay_out=lay_out)

    def carriers(
        self, pairs: Pairs, terms: Aggregation
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count the pilots and the comparators that carry each term."""
        n_kinds = pairs.serves.shape[1]
        per_kind = np.bincount(self.kind, minlength=n_kinds)
        n_pilots, n_comparators = (np.zeros(len(terms.matrix), dtype=np.int64) for _ in range(2))
        if self.estimator.cells == "complete":  # whoever is in a cohort has every cell
            own = np.arange(n_kinds) == pairs.g[:, None]
            pilots, others = (terms.members @ acts > 0 for acts in (own, pairs.serves))
            return pilots @ per_kind, others @ per_kind
        mask = self.sample.mask
        for m, inside in enumerate(terms.members):
            for h in range(n_kinds):
                own, theirs = inside & (pairs.g == h), inside & pairs.serves[:, h]
                for there, count in ((own, n_pilots), (theirs, n_comparators)):
                    if there.any():
                        seen = mask[self.kind == h][:, np.unique(pairs.t[there])]
                        count[m] += int(seen.any(axis=1).sum())
        return n_pilots, n_comparators

    def reassigned(
        self, pairs: Pairs, terms: Aggregation, shares: Floats
    ) -> Callable[[Labels], Draws] | None:
        """Return the refit for many assignments; None where no unit is seen twice."""
        sample, observed = self.sample, self.estimator.cells == "observed"
        if observed and not (sample.mask.sum(axis=1) > 1).any():
            return None

        plain = self.w is None and bool(sample.mask.all()) and not self.estimator.covariates

        @cache
        def made() -> Callable[[Labels], Draws]:
            acts = np.zeros((len(terms.matrix), pairs.serves.shape[1], len(sample.periods)))
            for m, inside in enumerate(terms.members):
                acts[m, pairs.g[inside], pairs.t[inside]] = 1.0
            actual = acts[:, self.kind]
            if plain:
                return drawn(pairs, terms, self.kind, sample.y, actual, shares)

            def kernel(cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats]:
                kind = np.where(cohort < 0, len(sample.starts), cohort)
                fitted = self._fit(kind, outcomes, pairs, terms, shares, lay_out=False)
                return fitted.effects @ terms.matrix.T, fitted.influence

            return refits(kernel, sample.y, actual)

        def reassigned(labels: Labels) -> Draws:
            return made()(labels)

        return reassigned if plain else OneByOne(reassigned)
