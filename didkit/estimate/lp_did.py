"""Local projections: long differences of those who start against those who have not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_whole
from didkit.estimate.aggregation import event_name, phase_of
from didkit.estimate.imputed import many, seen_on_both_sides
from didkit.estimate.long_differences import Horizon, LongDifferences, Weighting
from didkit.estimate.published import Published
from didkit.estimate.untreated import check_anticipation
from didkit.estimate.wording import alone_in_term, counted
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["LPDiD"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Kind = Literal["simple", "dynamic", "pooled"]


@dataclass(frozen=True)
class LPDiD:
    """Local-projections DiD: for each horizon a regression of long differences on starting.

    For staggered starts and effects that differ by pilot and grow with time.

    Parameters
    ----------
    by : {"simple", "dynamic", "pooled"}
        ``"simple"``: the horizons' effects averaged, each by its pilots. ``"dynamic"``: every
        horizon, and the leads. ``"pooled"``: one regression of the mean over a window from the
        start on, less the base, on units that have all of it.
    weighting : {"variance", "equal"}
        How starts are averaged in a horizon: ``"variance"``, as least squares does, by
        n₁n₀/(n₁ + n₀), which is positive; ``"equal"``, by pilots, so that each counts once.
    base_periods : int or "all", default 1
        Periods before the start whose mean is the base: the last one, so many, or all of them
        (those with a value). More than one is more precise where errors are independent.
    window : int, optional
        Periods after the start that the terms reach; by default all that there are, and for
        "pooled" as many as every start has. 0 is the first treated period alone.
    comparison : {None, "never", "not_yet"}
        Controls: units that never start, or all that have not started by the horizon's end. None:
        "not_yet" where the design is against `NotYetTreated`, else "never".
    sampling, population : str, optional
        Names of metrics that weigh units: by the cell before the start; by people.
    anticipation : int, default 0
        Periods before the start in which the programme may already act: the base lies before
        them, and controls are not within them.

    Notes
    -----
    In each start's period t, units that start then are compared with controls that have not
    started by t + h, by ``y(t + h)`` less the base; leads take controls that have not started by t.
    The regression has an effect of each t. It is the effect if, from the base on, starters and
    controls would have changed alike.

    With ``weighting="variance"`` starts with more balanced numbers count for more: a convex average
    of effects, and no average over pilots. With ``"equal"``, ``base_periods=1`` and the same
    controls, the horizons are those of a group-time estimate averaged by pilots.

    Standard errors are by cluster, over all horizons and starts in which a unit serves (one
    stacked regression). Weights of "equal" are taken as given. A unit without the base or the
    outcome of a horizon is no part of it. Starts without controls at a horizon are left out of
    it, and a note names those that are in none.

    References
    ----------
    Dube, Girardi, Jordà & Taylor (2023), NBER working paper 31184.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design
    >>> frame = pd.DataFrame(
    ...     [
    ...         (u, t, g, 10.0 * u + t + 4.0 * (0 < g <= t))
    ...         for u, g in ((1, 2018), (2, 2019), (3, 0), (4, 0))
    ...         for t in range(2016, 2021)
    ...     ],
    ...     columns=["la", "year", "start", "y"],
    ... )
    >>> design = Design.from_frame(
    ...     frame, unit="la", period="year", start="start", metrics=["y"], selection="unknown"
    ... )
    >>> round(LPDiD(comparison="not_yet").fit(design, "y").values.item(), 10)
    4.0
    """

    by: Kind = field(default="simple", kw_only=True)
    weighting: Weighting = field(default="variance", kw_only=True)
    base_periods: int | Literal["all"] = field(default=1, kw_only=True)
    window: int | None = field(default=None, kw_only=True)
    comparison: Literal["never", "not_yet"] | None = field(default=None, kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    anticipation: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        for name, known in (
            ("by", get_args(Kind)),
            ("weighting", get_args(Weighting)),
            ("comparison", (None, "never", "not_yet")),
        ):
            given = getattr(self, name)
            if given not in known:
                raise EstimationError(
                    needed=f"{name}: " + ", ".join(map(repr, known)),
                    found=repr(given),
                    where=f"LPDiD({name}=)",
                    todo="choose one of them",
                )
        given = self.base_periods
        if given != "all" and (not is_whole(given) or int(given) < 1):
            raise EstimationError(
                needed="base_periods: a whole number of periods, 1 or more, or 'all'",
                found=repr(self.base_periods),
                where="LPDiD(base_periods=)",
                todo="1 is the last period before the start",
            )
        if self.window is not None and (not is_whole(self.window) or self.window < 0):
            raise EstimationError(
                needed="window: a whole number of periods after the start, 0 or more",
                found=repr(self.window),
                where="LPDiD(window=)",
                todo="window=2 reaches from event time 0 to +2",
            )
        check_anticipation(self.anticipation, "LPDiD")

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects.

        Raises
        ------
        PanelError
            If the metric or a weight is unknown.
        DesignError, EstimationError
            Matched sets; no start has controls; a window that no start has.
        """
        sample = design.sample(metric, sampling=self.sampling, population=self.population)
        if sample.sets is not None:
            raise EstimationError(
                needed="one pool of comparators",
                found="matched sets",
                where="LPDiD",
                todo="use against=NotYetTreated() or Pool(), or DiD, which serves matched sets",
            )
        sample = sample.keep(
            np.asarray(sample.mask.sum(axis=1) > 1),
            "fewer than two cells with a value carry no change",
            advice="use a window in which more units are observed",
        )
        made, terms, carried = self._model(sample)
        cohort = sample.cohort
        values, influence, weights = made.fit(cohort, sample.y[None])
        mix = made.terms(cohort)
        weights = np.einsum("kr,rjt->kjt", mix, weights)
        who, actual = self._acts(sample, made, carried)
        lost = (terms["phase"] == "before").to_numpy() & (len(sample.starts) > 1)
        normal = made.normal()
        unit = sample.metric.unit or "units of the metric"
        each = "starts count as least squares weighs them"
        if self.weighting == "equal":
            each = counted(sample, "pilots", self.by)
        return Published(
            values=values[0] @ mix.T,
            n_pilots=who.sum(axis=1),
            n_comparators=((weights != 0).any(axis=2) & ~sample.pilot).sum(axis=1),
            weights=weights,
            influence=influence[0] @ mix.T,
            normal=None if normal is None else normal[0],
            contrast=None if normal is None else normal[1],
            reassigned=many(made, actual.astype(np.float64), sample, weights, lost=lost),
            assignable=seen_on_both_sides(sample, self.anticipation),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"average change in {tables.inside(sample.metric.label)} ({unit}) from "
            f"{self._base_in_words} on, pilots that start less units that have not; {each}",
            terms=terms,
            reference=self._reference(sample) if self.by == "dynamic" else None,
            notes=(
                *_without(sample, carried[0]),
                *_no_placebo(lost),
                *alone_in_term(terms["term"], who.sum(axis=1).tolist()),
            ),
        )

    @property
    def _base_in_words(self) -> str:
        before = f" less {self.anticipation}" if self.anticipation else ""
        if self.base_periods == 1:
            return f"the period before the start{before}"
        many_ = "all" if self.base_periods == "all" else f"the last {self.base_periods}"
        return f"the mean of {many_} periods before the start{before}"

    def _model(self, sample: Sample) -> tuple[LongDifferences, pd.DataFrame, tuple[Floats, Bools]]:
        """Return the regressions that some start has controls in, the terms, and who starts."""
        comparison = self.comparison or ("not_yet" if sample.not_yet else "never")
        n, first = len(sample.periods), min(sample.starts)
        longest = n - 1 - first if self.window is None else int(self.window)
        edge = -1 - self.anticipation

        def model(times: Sequence[tuple[int, int]]) -> tuple[LongDifferences, Floats, Bools]:
            made = LongDifferences(
                sample=sample,
                horizons=tuple(Horizon(a, b, max(b, 0)) for a, b in times),
                mix=np.eye(len(times)),
                weighting=self.weighting,
                base=self.base_periods if self.base_periods == "all" else int(self.base_periods),
                anticipation=int(self.anticipation),
                never=comparison == "never",
            )
            return made, *made.carried(sample.cohort)

        times = [(e, e) for e in range(longest + 1)]
        if self.by == "dynamic":
            early = range(-max(sample.starts), 0)
            times = [(e, e) for e in early if e != edge or self.base_periods != 1] + times
        if self.by == "pooled":
            if self.window is None:
                longest = self._common(model(times)[1])
            times = [(0, longest)]
        made, weight, who = model(times)
        found = np.asarray(weight.sum(axis=1) > 0)
        after = np.array([b >= 0 for _, b in times])
        if not (found & after).any():
            raise EstimationError(
                needed="a start with a base, an outcome from it on, and controls for both",
                found="none",
                where=f"{self!r}, metric {sample.metric.name!r}",
                todo="widen the window, use a shorter window= or base_periods=, or "
                "comparison='not_yet'",
            )
        if not found.all():
            times = [time for time, there in zip(times, found, strict=True) if there]
            made, weight, who = model(times)
        if self.by != "dynamic":
            row = {"term": "att", "position": 0, "phase": "after"}
            return replace(made, mix=None), pd.DataFrame([row]), (weight, who)
        one = len(sample.starts) == 1
        terms = pd.DataFrame(
            {
                "term": [event_name(e) for e, _ in times],
                "position": [e for e, _ in times],
                "event_time": [e for e, _ in times],
                "period": [sample.periods[first + e] if one else "" for e, _ in times],
                "phase": [phase_of(e, int(self.anticipation)) for e, _ in times],
            }
        )
        return made, terms, (weight, who)

    @staticmethod
    def _common(weight: Floats) -> int:
        """Return the last horizon that every start with a first one has, of horizons 0, 1, …."""
        there = weight[:, weight[0] > 0] > 0
        if not there.shape[1]:
            return 0
        full = np.asarray(there.all(axis=1))
        return int(np.argmin(full)) - 1 if not full.all() else len(full) - 1

    def _acts(
        self, sample: Sample, made: LongDifferences, carried: tuple[Floats, Bools]
    ) -> tuple[Bools, Bools]:
        """Return who starts in each term (k, J), and where the treatment acts (k, J, T)."""
        weight, who = carried
        cells = np.zeros((len(made.horizons), *sample.y.shape), dtype=bool)
        starts = np.array(sample.starts)
        for r, horizon in enumerate(made.horizons):
            for g in np.flatnonzero(weight[r] > 0).tolist():
                begin = starts[g] + horizon.first
                cells[r, sample.cohort == g, begin : starts[g] + horizon.last + 1] = True
        used = made.terms(sample.cohort) != 0
        return (
            np.stack([who[row].any(axis=0) for row in used]),
            np.stack([cells[row].any(axis=0) for row in used]),
        )

    def _reference(self, sample: Sample) -> pd.DataFrame | None:
        """Return the row of the base, where it is one period."""
        if self.base_periods != 1:
            return None
        edge = -1 - int(self.anticipation)
        one = len(sample.starts) == 1
        return pd.DataFrame(
            {
                "term": [event_name(edge)],
                "position": [edge],
                "event_time": [edge],
                "period": [sample.periods[sample.starts[0] + edge] if one else ""],
                "phase": ["reference"],
            }
        )


def _no_placebo(lost: Bools) -> tuple[str, ...]:
    """Say why leads have no permutation test where starts are staggered."""
    if not lost.any():
        return ()
    return (
        "terms before the start have no permutation test: their periods also serve as the base of "
        "later starters among the controls",
    )


def _without(sample: Sample, weight: Floats) -> tuple[str, ...]:
    """Name the starts that are in no regression."""
    there = np.asarray(weight.any(axis=0))
    gone = [sample.periods[start] for g, start in enumerate(sample.starts) if not there[g]]
    if not gone:
        return ()
    partly = sample.partly.any()
    return (
        f"starts left out, without a base or controls: {first_few(gone)}"
        + ("; Imputation() serves partly treated cells" if partly else ""),
    )
