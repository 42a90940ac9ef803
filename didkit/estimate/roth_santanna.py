"""Starts at random times: the estimate of least variance, and two others beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

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
)
from didkit.estimate.published import Published
from didkit.estimate.random_timing import (
    adjustment,
    carried_over,
    controls,
    fit,
    reassigned,
    tables,
)
from didkit.estimate.wording import counted
from didkit.panel import Metric
from didkit.results import Estimate
from didkit.results.tables import inside

__all__ = ["RothSantAnna"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Adjust = Literal["efficient", "callaway_santanna", "sun_abraham", "none"]
Compared = Literal["never", "not_yet", "last"]
_BETA: dict[str, float | None] = {
    "efficient": None,
    "callaway_santanna": 1.0,
    "sun_abraham": 1.0,
    "none": 0.0,
}


@dataclass(frozen=True)
class RothSantAnna:
    """Effects where the time of the start is as good as random, with the least variance.

    Difference-in-differences takes the whole gap before the start away. Where who starts when was
    drawn by lot, that gap is noise, and it is better to take a part β of it away: the part that
    gives the least variance (β is 1 where outcomes hardly move, 0 where the past says nothing).

    Parameters
    ----------
    adjust : {"efficient", "callaway_santanna", "sun_abraham", "none"}
        β of least variance, one a term; β = 1 (difference-in-differences against those that have
        not started, or against the last to start); β = 0, a plain difference of means.
    by : {"simple", "dynamic", "group", "calendar", "none"}
        Terms: one number; by periods since the start; by start; by period; every cohort and
        period. With ``overall=True`` one average over them.
    overall : bool
        One average of the terms from the start on ("dynamic", "calendar") or of the cohorts
        ("group").
    balance : int, optional
        ``by="dynamic"``: only cohorts that are seen so many periods after their start.
    comparison : {"not_yet", "never", "last"}, optional
        Who serves: all that have not started; units that never start; the last to start (those
        that never start, where there are some). By default "not_yet" if the design is against
        `NotYetTreated`, else "never"; "last" for ``adjust="sun_abraham"``.
    anticipation : int, default 0
        Periods before the start in which the programme may already act.
    aggregation : {"pilots", "cohorts"}
        Each pilot counts once, or each start.
    variance : {"neyman", "adjusted"}
        Of `influence`: the conservative variance, or (R's choice) that less what outcomes before
        the first start explain of the variance of effects. Both stand in the terms.

    Notes
    -----
    **Assumes** that the start is as good as random: every order of the starts among the units was
    as likely as the one that happened. That is more than parallel trends; it fails where places
    volunteer, or are chosen for their need or their readiness, and then β < 1 leaves a part of
    the gap that was there before in the estimate. Also no anticipation, and no gaps: a unit with
    one goes by name. A cohort of one unit has no variance within and is left out by name.

    **Variance.** Units' deviations from their cohort's mean, as in an experiment. `influence`
    with ``variance="adjusted"`` is the nearest (in least squares over units) to the conservative
    one whose cross-product is the adjusted covariance. Terms before the start are not adjusted.
    Where clusters lie above units, places were not drawn one by one: it is the conservative one
    there, added up by cluster. `ClusterRobust` ``("CR0", df="normal")`` gives the standard errors
    of R's staggered, ``se_neyman`` and ``se``. With few units the adjusted covariance may have a
    negative eigenvalue: the conservative one stands then, and a note says so. `Permutation` is
    Fisher's test of it, studentised by the conservative variance: β is found again in every draw;
    for effects other than zero each draw keeps its own β.

    With ``adjust="efficient"`` the estimate is not linear in the outcome, and publishes no
    weights.

    References
    ----------
    Roth & Sant'Anna (2023), Efficient estimation for staggered rollout designs, Journal of
    Political Economy: Microeconomics.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     [
    ...         (u, t, g, u % 3 + t + 5.0 * (t >= g))
    ...         for u, g in enumerate([2013, 2013, 2013, 2015, 2015, 2015])
    ...         for t in range(2011, 2016)
    ...     ],
    ...     columns=["unit", "year", "start", "y"],
    ... )
    >>> from didkit.design import NotYetTreated
    >>> design = Design.from_frame(
    ...     frame,
    ...     unit="unit",
    ...     period="year",
    ...     start="start",
    ...     metrics=["y"],
    ...     against=NotYetTreated(),
    ...     selection="random",
    ... )
    >>> RothSantAnna().fit(design, "y").values.round(10).tolist()
    [5.0]
    """

    adjust: Adjust = "efficient"
    by: By = field(default="simple", kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    comparison: Compared | None = field(default=None, kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    variance: Literal["neyman", "adjusted"] = field(default="neyman", kw_only=True)

    def __post_init__(self) -> None:
        check_by(self.by, self.balance, self.overall, "RothSantAnna")
        check_aggregation(self.aggregation, "RothSantAnna")
        for given, known, name in (
            (self.adjust, get_args(Adjust), "adjust"),
            (self.comparison, (None, *get_args(Compared)), "comparison"),
            (self.variance, ("adjusted", "neyman"), "variance"),
        ):
            if given not in known:
                raise EstimationError(
                    needed=f"{name}: " + ", ".join(map(repr, known)),
                    found=repr(given),
                    where=f"RothSantAnna({name}=)",
                    todo="choose one",
                )
        if self.adjust == "sun_abraham" and self.comparison == "not_yet":
            raise EstimationError(
                needed="comparison='last' or 'never' with adjust='sun_abraham'",
                found="comparison='not_yet'",
                where="RothSantAnna(comparison=)",
                todo="leave comparison= out, or use adjust='callaway_santanna'",
            )
        if not is_whole(self.anticipation) or self.anticipation < 0:
            raise EstimationError(
                needed="a whole number of periods, 0 or more",
                found=repr(self.anticipation),
                where="RothSantAnna(anticipation=)",
                todo="0 if the programme cannot act before it starts",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the terms.

        Raises
        ------
        PanelError
            If the metric is unknown.
        DesignError, EstimationError
            If the design matches sets, no cohort of two units has another to be compared with,
            a pilot starts in the periods of anticipation of the window's first, or units that
            never start are asked for and there are none.
        """
        sample = _usable(design.sample(metric))
        never = not sample.pilot.all()
        if self.comparison == "never" and not never:
            raise EstimationError(
                needed="units that never start, for comparison='never'",
                found=f"a start for each of the {len(sample.units)} units",
                where="RothSantAnna(comparison=)",
                todo="use comparison='not_yet' or 'last'",
            )
        n, ahead = len(sample.periods), int(self.anticipation)
        starts = np.array(sample.starts, dtype=np.intp)
        first = np.append(starts - ahead, [n] if never else []).astype(np.intp)
        if first.min() < 1:
            raise EstimationError(
                needed=f"a period before the {ahead} periods of anticipation",
                found=f"a first start in {sample.periods[starts[0]]}, the window from "
                f"{sample.periods[0]}",
                where="RothSantAnna(anticipation=)",
                todo="widen the window, or allow for less anticipation",
            )
        cohort = np.where(sample.pilot, sample.cohort, len(first) - 1).astype(np.intp)
        size = np.bincount(cohort, minlength=len(first)).astype(np.float64)
        last = self._compared(sample) != "not_yet"
        g, t = _cells(first, len(starts), n, last=last)
        combined = aggregate(
            sample,
            g,
            t,
            self.by,
            size=size if self.aggregation == "pilots" else np.ones(len(size)),
            anticipation=ahead,
            balance=self.balance,
            overall=self.overall,
        )
        made = tables(combined.matrix, g, t, first, size, n, last=last)
        beta = _BETA[self.adjust]
        fitted = fit(sample.y, cohort, made, size, beta)
        after = (combined.terms["phase"] == "after").to_numpy()
        less = adjustment(sample.y, cohort, made, first, size) * np.outer(after, after)
        neyman = fitted.influence
        adjusted = None
        if self.variance == "adjusted" and not sample.clustered_above:
            adjusted = carried_over(neyman, less)
        variance = (neyman**2).sum(axis=0)
        left = variance - np.diagonal(less)
        se = np.sqrt(np.where(left >= 0, left, np.nan))
        place = combined.terms["term"].tolist().index(_main(combined))
        serve = _serving(combined, first, t, last=last)
        unit = sample.metric.unit or "units of the metric"
        return Published(
            values=fitted.values,
            n_pilots=_count(combined, size),
            n_comparators=(serve @ size).astype(np.int64),
            weights=None if beta is None else (fitted.combined / size[:, None])[:, cohort],
            influence=neyman if adjusted is None else adjusted,
            reassigned=reassigned(
                sample.y, cohort, made, _acts(combined, fitted.combined, t), size, beta
            ),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"effect on {inside(sample.metric.label)} ({unit})"
            " of having started, if the "
            f"time of the start is as good as random; "
            + counted(sample, self.aggregation, self.by),
            terms=combined.terms.assign(
                beta=fitted.beta, se_neyman=np.sqrt(variance), se_adjusted=se
            ),
            reference=self._reference(sample, first, starts),
            facts={
                "beta": float(fitted.beta[place]),
                "se_neyman": float(np.sqrt(variance[place])),
                "se_adjusted": float(se[place]),
            },
            notes=self._notes(sample, adjusted is not None),
        )

    def _compared(self, sample: Sample) -> Compared:
        """Who serves."""
        if self.comparison is not None:
            return self.comparison
        if self.adjust == "sun_abraham":
            return "last"
        return "not_yet" if sample.not_yet else "never"

    def _reference(self, sample: Sample, first: Ints, starts: Ints) -> pd.DataFrame | None:
        """Return the row of the base, in an event study."""
        if self.by != "dynamic" or self.overall:
            return None
        e = -1 - int(self.anticipation)
        one = len(starts) == 1
        return pd.DataFrame(
            {
                "term": [event_name(e)],
                "position": [e],
                "event_time": [e],
                "period": [sample.periods[first[0] - 1] if one else ""],
                "phase": ["reference"],
            }
        )

    def _notes(self, sample: Sample, adjusted: bool) -> tuple[str, ...]:
        """Say what the estimate rests on, and which variance there is."""
        words = {
            "efficient": "the gap before the start is taken away in the part β that gives the "
            "least variance (terms, beta)",
            "callaway_santanna": "the whole gap before the start is taken away (β = 1)",
            "sun_abraham": "the whole gap before the start is taken away (β = 1), against the "
            "last to start",
            "none": "no gap before the start is taken away (β = 0)",
        }
        made = [
            "assumes that the time of the start is as good as random, which is more than parallel "
            f"trends; {words[self.adjust]}"
        ]
        if self.adjust == "efficient":
            made.append(
                "not linear in the outcome: no weights; a permutation finds β again in every draw "
                "of the outcome as it is, also where its interval takes an effect out"
            )
        if self.variance == "adjusted" and not adjusted:
            made.append(
                "the variance is the conservative one (Neyman): "
                + (
                    "clusters lie above units"
                    if sample.clustered_above
                    else "the adjusted covariance of these terms has a negative eigenvalue"
                )
            )
        return tuple(made)


def _usable(sample: Sample) -> Sample:
    """Return the units without gaps, in cohorts of two at least.

    Raises
    ------
    EstimationError, DesignError
        The design matches sets, or too few units are left.
    """
    if sample.sets is not None:
        raise EstimationError(
            needed="one pool of comparators: starts at random times among all units",
            found="matched sets",
            where=f"RothSantAnna, metric {sample.metric.name!r}",
            todo="use against=NotYetTreated() or Pool(), or DiD, which serves sets",
        )
    where = "use Imputation(), which serves gaps and partly treated cells"
    sample = sample.keep(np.asarray(sample.mask.all(axis=1)), "a gap in the window", advice=where)
    size = np.bincount(sample.cohort + 1, minlength=len(sample.starts) + 1)
    alone = size[sample.cohort + 1] == 1
    if alone.all():
        raise EstimationError(
            needed="cohorts of two units or more: the variance within them is what it rests on",
            found=f"every start of one pilot: {first_few(sample.units)}",
            where=f"RothSantAnna, metric {sample.metric.name!r}",
            todo="use GroupTime",
        )
    return sample.keep(
        ~alone, "the only one of its start: no variance within a cohort", advice="use GroupTime"
    )


def _cells(first: Ints, n_starts: int, n: int, *, last: bool) -> tuple[Ints, Ints]:
    """Return cohort and period of each comparison that exists, but for the base."""
    found = [
        (g, t)
        for g in range(n_starts)
        for t in range(n)
        if t != first[g] - 1 and controls(first, g, t, last=last).any()
    ]
    g, t = np.array(found, dtype=np.intp).reshape(-1, 2).T
    return g, t


def _main(combined: Aggregation) -> str:
    """Return the first term from the start on."""
    names = combined.terms["term"]
    after = names[combined.terms["phase"] == "after"]
    return str((after if len(after) else names).iloc[0])


def _count(combined: Aggregation, size: Floats) -> NDArray[np.int64]:
    """Return how many pilots carry each term."""
    inside = np.zeros((len(combined.matrix), len(size)), dtype=bool)
    for m, members in enumerate(combined.members):
        inside[m, combined.g[members]] = True
    return (inside @ size).astype(np.int64)


def _serving(combined: Aggregation, first: Ints, t: Ints, *, last: bool) -> NDArray[np.bool_]:
    """Return which cohorts serve in each term (k, G)."""
    made = np.zeros((len(combined.matrix), len(first)), dtype=bool)
    for m, members in enumerate(combined.members):
        for c in np.flatnonzero(members):
            made[m] |= controls(first, int(combined.g[c]), int(t[c]), last=last)
    return made


def _acts(combined: Aggregation, weights: Floats, t: Ints) -> Floats:
    """Return where each term's effect acts (k, G, T), on the scale on which the term is 1.

    A term before the start may meet its own pattern in the base of other cohorts; the pattern is
    then scaled.
    """
    acts = np.zeros_like(weights)
    for m, members in enumerate(combined.members):
        acts[m, combined.g[members], t[members]] = 1.0
    value = (weights * acts).sum(axis=(1, 2))
    there = np.abs(value) > 1e-9
    return acts / np.where(there, value, np.nan)[:, None, None]
