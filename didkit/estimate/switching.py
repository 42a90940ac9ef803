"""Treatments that switch on and off or have doses: an event study of first switches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_whole
from didkit.estimate.aggregation import event_name
from didkit.estimate.by_cohort import reassigned_by_cohort
from didkit.estimate.first_switches import Paths, Term, effect, paths_of
from didkit.estimate.published import Published
from didkit.estimate.wording import plural
from didkit.panel import Metric
from didkit.results import Draws, Estimate, Labels, tables

__all__ = ["Switching"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_OVERALL = "average total effect"


@dataclass(frozen=True)
class Switching:
    """Event study of first switches, for treatments that come, go, or have a dose.

    Each unit whose treatment changes is compared, from its first change on, with units that had
    the same treatment in the first period of the window and have not changed theirs yet. What
    becomes of the treatment after the first change is part of the effect: event time 2 is the
    effect of having switched two periods ago, whether the pilot stayed, left, or did more.

    Parameters
    ----------
    after, before : int, optional
        How many effects, from the first switch on (1: that period alone), and how many placebos,
        before the reference (0: none). By default all that exist. R's package calls them
        ``effects`` and ``placebo``.
    treatment : str, optional
        A metric of the panel that holds each cell's treatment. By default the design's: the dose
        where the rollout has one, else 1 from the start until the pilot left. Use
        ``Design(treatment="intention_to_treat")``, which keeps the cells after a pilot left; as
        treated they have no value, and later effects are those of pilots that stayed.
    normalized : bool
        Divide each effect by the treatment that switchers had since the switch above what they
        had at first: the effect of one unit of treatment, now or before. (As R's argument.)
    same_switchers : bool
        Only pilots for which all effects asked for exist, so that the composition does not change.
    trends_linear : bool
        Allow each unit a linear trend of its own: the same comparison of first differences,
        added up. Loses one period before the switch.
    overall : bool
        One term: the total of all effects per unit of treatment (*average total effect*).
    comparison : {"not_yet", "never"}, optional
        Whether units serve until they switch, or only those that never do. By default "not_yet"
        if the design is against `NotYetTreated`, else "never".
    sampling, population : str, optional
        Metrics that weigh cells and units.
    alone : {"pooled", "zero"}
        The variance of a cohort of one unit: about the mean of all that are compared with it, or
        none, as R's package (2.1.2) has it, which is too small with few pilots.

    Notes
    -----
    **Assumes** parallel trends among units with the same first treatment, and no anticipation. A
    placebo at −2 is the same comparison over the period before the reference, for units that the
    effect of the same distance exists for. Units that start lower and end higher count with sign
    1, those that reduce theirs with −1. Unequal gaps between doses make the effects mixtures:
    only their sum per unit of treatment (``overall=True``) has a meaning free of who had which.

    **Fails** where nobody with the same first treatment stays as he is (refused), where pilots
    switch because the outcome moved, and with matched sets (refused).

    **Variance.** Units' changes less their cohort's mean, times √(n/(n − 1)): conservative where
    effects differ between units. ``ClusterRobust("CR0", df="normal")`` gives the errors of R's
    DIDmultiplegtDYN 2.1.2 with ``alone="zero"``; its ``joint`` the tests of the effects and of
    the placebos. R's normalised placebos divide by the treatment in those periods only in which
    the placebo of the same row exists; here by all periods since the switch, as for effects.

    References
    ----------
    de Chaisemartin & D'Haultfœuille (2024), Difference-in-differences estimators of intertemporal
    treatment effects, Review of Economics and Statistics.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> estimate = Switching(after=2, before=1).fit(design, "cpp")
    >>> estimate.terms["term"].tolist()
    ['event time -2', 'event time 0', 'event time +1']
    """

    after: int | None = None
    before: int | None = None
    treatment: str | None = field(default=None, kw_only=True)
    normalized: bool = field(default=False, kw_only=True)
    same_switchers: bool = field(default=False, kw_only=True)
    trends_linear: bool = field(default=False, kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    comparison: Literal["not_yet", "never"] | None = field(default=None, kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    alone: Literal["pooled", "zero"] = field(default="pooled", kw_only=True)

    def __post_init__(self) -> None:
        for given, least, name in ((self.after, 1, "after"), (self.before, 0, "before")):
            if given is not None and (not is_whole(given) or given < least):
                raise EstimationError(
                    needed=f"{name}: a whole number, {least} or more, or None for all",
                    found=repr(given),
                    where=f"Switching({name}=)",
                    todo="write for example after=3, before=2",
                )
        for name in ("normalized", "same_switchers", "trends_linear", "overall"):
            if not isinstance(getattr(self, name), bool):
                raise EstimationError(
                    needed=f"{name}=True or {name}=False",
                    found=repr(getattr(self, name)),
                    where=f"Switching({name}=)",
                    todo="choose one",
                )
        for said, known, name in (
            (self.comparison, (None, "not_yet", "never"), "comparison"),
            (self.alone, ("pooled", "zero"), "alone"),
        ):
            if said not in known:
                raise EstimationError(
                    needed=f"{name}: " + ", ".join(map(repr, known)),
                    found=repr(said),
                    where=f"Switching({name}=)",
                    todo="choose one",
                )
        if self.overall and (self.normalized or self.trends_linear or self.before):
            raise EstimationError(
                needed="overall=True without normalized=, trends_linear= and before=",
                found=repr(self),
                where="Switching(overall=)",
                todo="the average total effect is per unit of treatment already, and has no "
                "placebo; with trends of their own effects do not add up to one",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects and placebos.

        Raises
        ------
        PanelError
            If the metric, the treatment or a weight is unknown.
        EstimationError
            If the design matches sets or has partly treated cells, if a pilot's first switch is
            not its start, if nobody can be compared, or fewer effects exist than asked for.
        """
        sample, level = self._laid_out(design, metric)
        paths = paths_of(level)
        _check_starts(sample, paths, self.treatment)
        names, terms = self._terms(sample.y, paths, sample)
        k = len(terms)
        weights = np.stack([term.weights for term in terms])
        unit = sample.metric.unit or "units of the metric"
        per = " per unit of treatment" if self.normalized or self.overall else ""
        each = "authority" if self.sampling is None and self.population is None else "person"
        table = _table(names, terms) if not self.overall else _single(terms[0])
        return Published(
            values=np.array([_applied(term.weights, sample.y) for term in terms]),
            n_pilots=np.array([term.switchers.sum() for term in terms], dtype=np.int64),
            n_comparators=np.array([term.others.sum() for term in terms], dtype=np.int64),
            weights=weights,
            influence=np.stack([term.influence for term in terms], axis=1).reshape(-1, k),
            reassigned=self._reassigned(sample, paths, names, weights),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"effect on {tables.inside(sample.metric.label)} ({unit}) of having switched"
            f"{per}; each {each} counts once",
            terms=table,
            reference=None if self.overall else _reference(sample, paths),
            facts={
                "switchers_up": float((paths.sign > 0).sum()),
                "switchers_down": float((paths.sign < 0).sum()),
            },
            notes=_notes(sample, paths, terms, self),
        )

    def _laid_out(self, design: Design, metric: str | Metric) -> tuple[Sample, Floats]:
        """Return the sample, and each cell's treatment (J, T)."""
        sample = design.sample(
            metric,
            covariates=() if self.treatment is None else (self.treatment,),
            sampling=self.sampling,
            population=self.population,
        )
        for wrong, found, todo in (
            (sample.sets is not None, "matched sets", "use against=Pool(), or DiD"),
            (
                bool(sample.partly.any()),
                "partly treated cells, just where the reference is",
                "give the rollout without first_exposed=, or use EventStudy(reference=-2)",
            ),
        ):
            if wrong:
                raise EstimationError(
                    needed="one pool of comparators, and a period before the switch",
                    found=found,
                    where=f"Switching, metric {sample.metric.name!r}",
                    todo=todo,
                )
        if self.treatment is not None and sample.x is not None:
            return sample, sample.x[:, 0]
        if sample.dose is not None:
            known = np.asarray(np.isfinite(sample.dose).all(axis=1))
            sample = sample.keep(known, "its dose is not known", advice="give it a dose")
            return sample, np.asarray(sample.dose)
        return sample, _on(sample, sample.cohort, sample.stops)

    def _terms(self, y: Floats, paths: Paths, sample: Sample) -> tuple[list[int], list[Term]]:
        """Return event times and terms, placebos first."""
        never = paths.switch >= y.shape[1]
        serves = never | (self._compared(sample) == "not_yet")
        everyone = np.ones(len(y), dtype=bool)
        if self.trends_linear:
            y = np.diff(y, axis=1, prepend=np.nan)

        def one(ahead: int, placebo: bool, allowed: Bools) -> Term | None:
            return effect(
                y,
                paths,
                ahead,
                placebo=placebo,
                w=sample.w,
                allowed=allowed,
                serves=serves,
                pooled=self.alone == "pooled",
            )

        def made(ahead: int, placebo: bool, allowed: Bools) -> Term | None:
            if not self.trends_linear:
                return one(ahead, placebo, allowed)
            last = one(ahead, False, allowed)
            if last is None:
                return None
            parts = [one(step, placebo, last.switchers) for step in range(1, ahead + 1)]
            return _added([part for part in parts if part], ahead)

        found = [made(ahead, False, everyone) for ahead in range(1, y.shape[1])]
        n_effects = _asked(found, self.after, "after")
        allowed = everyone
        if self.same_switchers:
            last = one(n_effects, False, everyone)
            allowed = everyone if last is None else last.switchers
            found = [made(ahead, False, allowed) for ahead in range(1, n_effects + 1)]
        before: list[Term | None] = []
        if not self.overall and self.before != 0:
            before = [made(ahead, True, allowed) for ahead in range(1, y.shape[1])]
            before = before[: _asked(before, self.before, "before")]
        after = [term for term in found[:n_effects] if term]
        if self.overall:
            return [0], [_total(after)]
        names = [*range(-len(before) - 1, -1), *range(n_effects)]
        terms = [*(term for term in reversed(before) if term), *after]
        if self.trends_linear:
            terms = [replace(term, weights=_undone(term.weights)) for term in terms]
        return names, [_per_unit(term) for term in terms] if self.normalized else terms

    def _compared(self, sample: Sample) -> str:
        return self.comparison or ("not_yet" if sample.not_yet else "never")

    def _reassigned(
        self, sample: Sample, paths: Paths, names: list[int], weights: Floats
    ) -> Callable[[Labels], Draws] | None:
        """Return the refit for other assignments, where all pilots of a start have one path."""
        plain = _on(sample, sample.cohort, np.full(len(sample.units), len(sample.periods)))
        if self.treatment is not None or not np.array_equal(plain, paths.level):
            return None
        if sample.w is not None or not sample.mask.all():  # one by one it would take minutes
            return None
        when = np.arange(len(sample.periods)) - paths.switch[:, None]
        acts = (
            np.stack([when >= 0 if self.overall else when == e for e in names])
            & sample.pilot[:, None]
        )
        value = np.array([_applied(w, a * 1.0) for w, a in zip(weights, acts, strict=True)])
        scale = np.where(np.abs(value) > 1e-9, value, np.nan)

        def kernel(cohort: NDArray[np.intp], outcomes: Floats) -> tuple[Floats, Floats]:
            other = paths_of(_on(sample, cohort, np.full(len(cohort), len(sample.periods))))
            k = len(names)
            values = np.full((len(outcomes), k), np.nan)
            influence = np.full((len(outcomes), len(cohort), k), np.nan)
            for o, y in enumerate(outcomes):
                for e, term in zip(*self._terms(y, other, sample), strict=True):
                    if e in names:
                        values[o, names.index(e)] = _applied(term.weights, y)
                        influence[o, :, names.index(e)] = term.influence
            return values, influence

        return reassigned_by_cohort(
            kernel, sample.y, acts / scale[:, None, None], weights, sample.cohort, rescaled=True
        )


def _on(sample: Sample, cohort: NDArray[np.intp], stops: NDArray[np.intp]) -> Floats:
    """Return 1 from the start until the unit left, else 0; (J, T)."""
    when = np.arange(len(sample.periods))
    start = np.array([*sample.starts, len(sample.periods)])[cohort]
    return ((when >= start[:, None]) & (when < stops[:, None])).astype(np.float64)


def _applied(weights: Floats, y: Floats) -> float:
    """Return Σ weights · y over the cells that count."""
    used = weights != 0
    return float(weights[used] @ y[used])


def _check_starts(sample: Sample, paths: Paths, treatment: str | None) -> None:
    """Refuse a treatment whose first switch is not the start that the design knows."""
    start = np.array([*sample.starts, len(sample.periods)])[sample.cohort]
    differ = np.flatnonzero(start != paths.switch)
    if not len(differ):
        return
    said = [
        f"{sample.units[j]} (start {_period(sample, start[j])}, switch "
        f"{_period(sample, paths.switch[j])})"
        for j in differ.tolist()
    ]
    raise EstimationError(
        needed="a start in the first period in which the treatment changes",
        found=first_few(said),
        where="Switching, " + (f"metric {treatment!r}" if treatment else "dose of the rollout"),
        todo="give that period as start, and no start to units whose treatment never changes",
    )


def _period(sample: Sample, t: int) -> str:
    return sample.periods[t] if t < len(sample.periods) else "none"


def _asked(found: list[Term | None], wanted: int | None, name: str) -> int:
    """Return how many of the terms exist without a gap; refuse more than that."""
    there = [term is not None for term in found]
    n = there.index(False) if False in there else len(there)
    if (n == 0 and name == "after") or (wanted is not None and wanted > n):
        raise EstimationError(
            needed=f"{wanted or 1} {'effects' if name == 'after' else 'placebos'}",
            found=f"{n} that can be compared with units of the same first treatment that have not "
            "switched",
            where=f"Switching({name}=)",
            todo="ask for fewer, widen the window, or use comparison='not_yet'",
        )
    return n if wanted is None else int(wanted)


def _added(parts: list[Term], ahead: int) -> Term | None:
    """Add first differences up to the effect on the level."""
    if len(parts) < ahead:
        return None
    return replace(
        parts[-1],
        weights=np.sum([part.weights for part in parts], axis=0),
        influence=np.sum([part.influence for part in parts], axis=0),
        others=np.any([part.others for part in parts], axis=0),
    )


def _undone(weights: Floats) -> Floats:
    """Turn weights on first differences into weights on levels."""
    return weights - np.pad(weights[:, 1:], ((0, 0), (0, 1)))


def _per_unit(term: Term) -> Term:
    """Divide by the treatment since the switch."""
    return replace(term, weights=term.weights / term.doses, influence=term.influence / term.doses)


def _total(terms: list[Term]) -> Term:
    """Return the sum of all effects per unit of treatment."""
    count = sum(term.total for term in terms)
    treated = sum(term.total * term.dose for term in terms)
    if not treated > 0:
        raise EstimationError(
            needed="switchers that have, on the whole, more treatment than at first",
            found=f"a total of {treated:g}",
            where="Switching(overall=)",
            todo="use overall=False, which does not divide",
        )
    return replace(
        terms[0],
        weights=np.sum([term.total * term.weights for term in terms], axis=0) / treated,
        influence=np.sum([term.total * term.influence for term in terms], axis=0) / treated,
        total=count,
        dose=treated / count,
        doses=treated / count,
        switchers=np.any([term.switchers for term in terms], axis=0),
        others=np.any([term.others for term in terms], axis=0),
    )


def _table(names: list[int], terms: list[Term]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": [event_name(e) for e in names],
            "position": names,
            "event_time": names,
            "phase": ["after" if e >= 0 else "before" for e in names],
            "dose": [term.dose for term in terms],
            "doses": [term.doses for term in terms],
            "cells": [term.cells for term in terms],
        }
    )


def _single(term: Term) -> pd.DataFrame:
    return pd.DataFrame(
        {"term": [_OVERALL], "position": [0], "phase": ["after"], "dose": [term.dose]}
    )


def _reference(sample: Sample, paths: Paths) -> pd.DataFrame:
    first = np.unique(paths.switch[paths.switch < len(sample.periods)])
    return pd.DataFrame(
        {
            "term": [event_name(-1)],
            "position": [-1],
            "event_time": [-1],
            "period": [sample.periods[first[0] - 1] if len(first) == 1 else ""],
            "phase": ["reference"],
        }
    )


def _notes(sample: Sample, paths: Paths, terms: list[Term], asked: Switching) -> tuple[str, ...]:
    """Say who switches, who is in no term, and which cohorts have one unit."""
    up, down = int((paths.sign > 0).sum()), int((paths.sign < 0).sum())
    made = []
    if down:
        made.append(
            f"{plural(up, 'unit switches', 'units switch')} up and {down} down; changes of those "
            "that go down count with the opposite sign"
        )
    used = np.any([term.switchers for term in terms], axis=0)
    idle = [sample.units[j] for j in np.flatnonzero((paths.sign != 0) & ~used)]
    if idle:
        made.append(
            f"{plural(len(idle), 'pilot is', 'pilots are')} in no term: no unit of the same "
            f"first treatment to compare with, or no values ({first_few(idle)})"
        )
    there = np.minimum(paths.switch, paths.level.shape[1] - 1)
    cohort = pd.DataFrame(
        {
            "first": paths.at_first,
            "switch": paths.switch,
            "to": paths.level[np.arange(len(there)), there],
        }
    )[used]
    alone = int((cohort.groupby(["first", "switch", "to"]).size() == 1).sum())
    if alone:
        made.append(
            f"pilots that switch alone, {plural(alone, 'time')}: their spread is "
            + (
                "taken about the mean of all that they are compared with"
                if asked.alone == "pooled"
                else "not in the variance (alone='zero')"
            )
        )
    if sample.left.any():
        made.append("cells of pilots after they left have no value: later effects are of stayers")
    return tuple(made)
