"""Event study: the gap in each period less the gap in one fixed reference period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from didkit.design import Design, Sample
from didkit.errors import DesignError, EstimationError, is_whole
from didkit.estimate.cells import CellsUsed, change, check_cells
from didkit.estimate.covariates import check_covariates, shown
from didkit.estimate.effects import PeriodsBy, Trends, UnitEffects, check_effects, who_counts
from didkit.estimate.ends import Ends, check_ends, ended, trimmed
from didkit.estimate.windows import Windows
from didkit.panel import Metric, Period
from didkit.results import Estimate, tables

__all__ = ["EventStudy"]


@dataclass(frozen=True)
class EventStudy:
    """Period by period: pilots less comparators, less the same in the reference period.

    Parameters
    ----------
    reference : int or period, default −1
        The fixed base of every term. In event time a number of periods: −1 is the last period
        before the start. In calendar time a period, or −1 for the last before the first start.
    time : {"event", "calendar"}
        Terms by periods since each pilot's own start (0 is the first treated period, always), or
        by calendar period.
    cells : {"observed", "complete"}
        As for `DiD`.
    anticipation : int, default 0
        Periods before the start in which the programme may already act. The default reference
        moves to the last period before them, and a later reference is refused. Their terms have
        the phase "anticipation": neither before nor after, so that they are in no pre-trend test.
    covariates : sequence of str, optional
        As for `DiD`, with the same warning: one that the programme changes takes part of its
        effect away.
    ends : (kind, int, int), optional
        In event time. ``("bin", first, last)``: periods before `first` and after `last` since the
        start are one term each with them (the mean effect there). ``("trim", first, last)``:
        cells of pilots beyond are left out, and stand in the log. By default every event time has
        its term.
    sampling, population : str, optional
        Metrics of the panel that weigh cells (how many units or people a cell stands for) and
        units (people, as in the last period before the first start), by weighted least squares.
        With `population` each person counts once, not each authority.
    trends : {"none", "unit"}
        ``"unit"``: a straight line of its own for each unit, swept out on its observed cells;
        units with fewer than three cells are left out, and stand in the log.
    periods_by : str or mapping, optional
        Period effects by group, so that pilots are compared inside their group only: a column of
        ``panel.units`` such as ``"region"``, a mapping of unit to group, or ``"set"`` (a pilot
        and its matched set, in one regression). A group with pilots and nobody to compare them
        with is refused by name.
    effects : {"unit", "cohort"}
        ``"cohort"``: one effect for each start, and one for those that never start, instead of
        one a unit. For repeated cross-sections (``Design.from_frame(unit=None)``), in which a
        unit is seen once.

    Notes
    -----
    Terms before the start are placebo effects: away from zero they say that trends differed, at
    zero they do not prove that they would have stayed parallel. With one start and a balanced
    panel the mean of the terms from the start on less the mean of those before it (reference as
    0) is `DiD`. With staggered starts, ``cells="observed"`` in event time is the two-way event
    study, whose terms mix cohorts (Sun & Abraham 2021); ``"complete"`` averages each cohort's own
    comparison with units that never start, over the cohorts observed at that event time.

    References
    ----------
    Freyaldenhoven, Hansen & Shapiro (2019); Sun & Abraham (2021).

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Pool, Rollout
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame(
    ...     [
    ...         (unit, year, 10.0 * i + (i == 0) * (year >= 2019) * 4)
    ...         for i, unit in enumerate(["303", "304", "305"])
    ...         for year in range(2016, 2021)
    ...     ],
    ...     columns=["la", "year", "cin"],
    ... )
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> design = Design(panel, Rollout({"303": 2019}), against=Pool(), selection="unknown")
    >>> EventStudy().fit(design, "cin").values.round(10).tolist()[2:]
    [4.0, 4.0]
    """

    reference: int | str = -1
    time: Literal["event", "calendar"] = "event"
    cells: CellsUsed = "observed"
    anticipation: int = field(default=0, kw_only=True)
    ends: Ends | None = field(default=None, kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    trends: Trends = field(default="none", kw_only=True)
    periods_by: PeriodsBy = field(default=None, kw_only=True, hash=False)
    effects: UnitEffects = field(default="unit", kw_only=True)

    def __post_init__(self) -> None:
        check_cells(self.cells, "EventStudy(cells=)")
        names = check_covariates(self.covariates, self.cells, "EventStudy(covariates=)")
        object.__setattr__(self, "covariates", names)
        check_effects(
            "EventStudy",
            self.cells,
            sampling=self.sampling,
            population=self.population,
            trends=self.trends,
            periods_by=self.periods_by,
            effects=self.effects,
        )
        if self.time not in ("event", "calendar"):
            raise EstimationError(
                needed="time='event' or time='calendar'",
                found=repr(self.time),
                where="EventStudy",
                todo="choose one",
            )
        if self.time == "event" and (not is_whole(self.reference) or int(self.reference) >= 0):
            raise EstimationError(
                needed="a reference before the start: −1, −2, …",
                found=repr(self.reference),
                where="EventStudy(reference=)",
                todo="event time 0 is the first treated period; use −1, or time='calendar'",
            )
        if not is_whole(self.anticipation) or self.anticipation < 0:
            raise EstimationError(
                needed="a whole number of periods, 0 or more",
                found=repr(self.anticipation),
                where="EventStudy(anticipation=)",
                todo="0 if the programme cannot act before it starts",
            )
        if self.time == "event" and self._base > -1 - self.anticipation:
            raise EstimationError(
                needed=f"a reference before the {self.anticipation} periods of anticipation",
                found=f"reference={self.reference!r}",
                where="EventStudy(reference=)",
                todo=f"leave it out, or use {-1 - int(self.anticipation)} or earlier",
            )

        object.__setattr__(self, "ends", check_ends(self.ends, self.time, self._base, self.trends))

    def __repr__(self) -> str:
        """Show the covariates only where there are some."""
        return shown(self)

    @property
    def _base(self) -> int:
        """The reference in event time; the default steps back before the anticipation."""
        given = int(self.reference)
        return -1 - int(self.anticipation) if given == -1 else given

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the terms.

        Raises
        ------
        PanelError
            If the metric, a covariate or the reference period is unknown.
        DesignError, EstimationError
            If the reference is outside the window of a pilot, a term has no cells, or comparators
            were chosen by what they were in the periods of anticipation.
        """
        sample = design.sample(
            metric,
            covariates=self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        sample = trimmed(sample, self.ends)
        unit = sample.metric.unit or "units of the metric"
        if self.anticipation:
            _chosen_before(design, sample, int(self.anticipation))
        if self.time == "event":
            base = self._event_reference(sample)
            _seen_there(sample, np.array(sample.starts) + self._base)
            windows = partial(
                _by_event,
                reference=self._base,
                anticipation=self.anticipation,
                ends=self.ends,
            )
        else:
            at = _calendar_reference(design, sample, self.reference, self.anticipation)
            base = _row(sample, at, "reference")
            _seen_there(sample, np.full(len(sample.starts), at))
            windows = partial(_by_calendar, reference=at, anticipation=self.anticipation)
        return change(
            self,
            design,
            sample,
            windows,
            self.cells,
            estimand=f"gap in {tables.inside(sample.metric.label)} ({unit})"
            ", pilots less comparators, "
            f"less the gap in the reference {base['term'].iloc[0]}; {who_counts(sample)}",
            reference=base,
            options={
                "trends": self.trends,
                "periods_by": self.periods_by,
                "effects": self.effects,
            },
        )

    def _event_reference(self, sample: Sample) -> pd.DataFrame:
        reference = self._base
        short = [sample.periods[s] for s in sample.starts if s + reference < 0]
        if short:
            raise EstimationError(
                needed=f"{-reference} periods before every start",
                found=f"fewer before the start in {', '.join(short)}",
                where="EventStudy(reference=)",
                todo="choose a later reference, or a longer window",
            )
        period = sample.periods[sample.starts[0] + reference] if len(sample.starts) == 1 else ""
        return pd.DataFrame(
            {
                "term": [_event_name(reference)],
                "position": [reference],
                "event_time": [reference],
                "period": [period],
                "phase": ["reference"],
            }
        )


def _chosen_before(design: Design, sample: Sample, anticipation: int) -> None:
    """Refuse comparators chosen by periods in which the programme may already act."""
    first = sample.periods[max(min(sample.starts) - anticipation, 0)]
    try:
        design.against.check_before(design.panel, first)
    except DesignError as error:
        raise EstimationError(
            needed=f"comparators chosen by periods before the anticipation, from {first} on",
            found=error.found,
            where=f"EventStudy(anticipation={anticipation}), {error.where}",
            todo="choose them by earlier periods: what the programme may already have changed "
            "hides its effect; or allow for less anticipation",
        ) from error


def _seen_there(sample: Sample, at: np.ndarray) -> None:
    """Refuse a reference, one period a cohort, in which no pilot has a value."""
    where = np.flatnonzero(sample.pilot)
    cells = at[sample.cohort[where]]
    if sample.mask[where, cells].any():
        return
    periods = [sample.periods[t] for t in sorted(set(cells.tolist()))]
    partly = bool(sample.partly[where, cells].any())
    raise EstimationError(
        needed="a reference in which at least one pilot has a value",
        found=f"none in {', '.join(periods)}"
        + (", in which pilots are partly treated (first_exposed)" if partly else ""),
        where=f"EventStudy(reference=), metric {sample.metric.name!r}",
        todo="choose an earlier reference, such as reference=-2; see design.audit()",
    )


def _event_name(e: int) -> str:
    return f"event time {e:+d}" if e else "event time 0"


def _phase(position: int, anticipation: int) -> str:
    """Name the time of a period, counted from the (first) start."""
    if position >= 0:
        return "after"
    return "anticipation" if position >= -anticipation else "before"


def _by_event(
    sample: Sample, *, reference: int, anticipation: int, ends: Ends | None = None
) -> Windows:
    """One term for each time since the start that some pilot reaches."""
    n = len(sample.periods)
    starts = np.array(sample.starts)
    times = [e for e in range(-int(starts.max()), n - int(starts.min())) if e != reference]
    plus = np.zeros((len(starts), len(times), n), dtype=bool)
    minus = np.zeros_like(plus)
    for g, start in enumerate(starts):
        for m, e in enumerate(times):
            if 0 <= start + e < n:
                plus[g, m, start + e] = True
            minus[g, m, start + reference] = True
    one = len(starts) == 1
    made = Windows(
        plus=plus,
        minus=minus,
        acts=plus,
        compared=np.ones(len(times), dtype=bool),
        terms=pd.DataFrame(
            {
                "term": [_event_name(e) for e in times],
                "position": times,
                "event_time": times,
                "period": [sample.periods[starts[0] + e] if one else "" for e in times],
                "phase": [_phase(e, anticipation) for e in times],
            }
        ),
    )
    return ended(made, ends)


def _calendar_reference(
    design: Design, sample: Sample, reference: Period, anticipation: int
) -> int:
    """Position of the reference period; −1 is the last before the first start and what leads it."""
    first = min(sample.starts) - anticipation
    if first < 1:
        raise EstimationError(
            needed=f"a period before the {anticipation} periods of anticipation",
            found=f"a first start in {sample.periods[min(sample.starts)]}, the window from "
            f"{sample.periods[0]}",
            where="EventStudy(anticipation=)",
            todo="widen the window, or allow for less anticipation",
        )
    if reference == -1:
        return first - 1
    label = design.panel.calendar.labels[
        design.panel.calendar.position(reference, where="EventStudy(reference=)")
    ]
    if label not in sample.periods or sample.periods.index(label) >= first:
        raise EstimationError(
            needed="a reference in the window and before the first start"
            f"{' and its anticipation' if anticipation else ''} ({sample.periods[first]})",
            found=repr(reference),
            where="EventStudy(reference=)",
            todo="choose one of: " + ", ".join(sample.periods[:first]),
        )
    return sample.periods.index(label)


def _row(sample: Sample, t: int, phase: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": [f"period {sample.periods[t]}"],
            "position": [t],
            "period": [sample.periods[t]],
            "phase": [phase],
        }
    )


def _by_calendar(sample: Sample, *, reference: int, anticipation: int) -> Windows:
    """One term for each period but the reference."""
    n, first = len(sample.periods), min(sample.starts)
    others = [t for t in range(n) if t != reference]
    plus = np.repeat(np.eye(n, dtype=bool)[others][None], len(sample.starts), axis=0)
    minus = np.zeros_like(plus)
    minus[:, :, reference] = True
    return Windows(
        plus=plus,
        minus=minus,
        acts=plus,
        compared=np.ones(len(others), dtype=bool),
        terms=pd.concat(
            [_row(sample, t, _phase(t - first, anticipation)) for t in others],
            ignore_index=True,
        ),
    )
