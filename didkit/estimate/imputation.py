"""Imputation: what pilots would have had, from effects learnt on untreated cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_whole
from didkit.estimate.aggregation import (
    Aggregated,
    By,
    aggregate,
    check_aggregation,
    check_by,
    cohort_sizes,
    event_name,
)
from didkit.estimate.cells import covariate_notes
from didkit.estimate.covariates import check_covariates, refuse_here
from didkit.estimate.imputed import (
    Terms,
    effects_of,
    learnt,
    many,
    over_cells,
    over_periods,
    residualised,
    seen_on_both_sides,
    try_to,
)
from didkit.estimate.published import Published
from didkit.estimate.untreated import check_anticipation, learnable
from didkit.estimate.wording import alone_in_start, counted
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["Imputation"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Imputation:
    """Pilots' outcomes less what unit and period effects of untreated cells say they would be.

    For staggered starts and effects that differ by pilot and grow with time.

    Parameters
    ----------
    by : {"simple", "dynamic", "group", "calendar", "none"}
        One number over all treated cells; by periods since the start; by start; by period; or
        every start and period.
    overall : bool
        One average of the terms of "dynamic", "group" or "calendar".
    balance : int, optional
        ``by="dynamic"``: only cohorts that are seen so many periods after their start.
    aggregation : {"pilots", "cohorts"}
        Each treated cell of a pilot counts once (or by its weight), or each start's mean does.
    covariates : sequence of str, optional
        Metrics of the panel that change over time; their coefficients are learnt on untreated
        cells, so that what the programme does to them stays in no coefficient, but still moves
        the imputed outcome.
    sampling, population : str, optional
        Names of metrics that weigh cells (in the regression and in the averages) and units.
    anticipation : int, default 0
        Periods before the start in which the programme may already act: treated too, with terms
        of their own by "dynamic" and "none", in no average.
    pretrends : int, default 0
        So many leads (event time −1, −2, …, before the anticipation) as further terms with the
        phase "before", for ``by="simple"`` and ``"dynamic"``: coefficients of a separate
        regression on untreated cells, against the periods before them and against comparators.

    Notes
    -----
    It is the effect if untreated outcomes follow unit and period effects (parallel trends in all
    periods, those before the start included) and nothing is anticipated. It uses all periods
    before a start alike, so that it is more precise than methods that use the last one where
    errors are independent, and more exposed where trends drift.

    The variance is the paper's conservative one: the spread of effects within a start and period
    counts as error, by cells weighted with the square of their weight. It takes weights and starts
    as given, and has CR0's form (no small-sample factor): with few pilots it is too small, and
    with one pilot it sees no error of the pilot after the start. Prefer `Permutation` then.

    Treated cells whose untreated outcome cannot be learnt (nobody is untreated in their period) are
    left out, and a note names them. Leads are estimated apart from the effects, so that a test on
    them does not distort the estimate under the usual assumptions.

    References
    ----------
    Borusyak, Jaravel & Spiess (2024), Review of Economic Studies 91(6).

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
    >>> round(Imputation().fit(design, "y").values.item(), 10)
    4.0
    """

    by: By = field(default="simple", kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    pretrends: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_by(self.by, self.balance, self.overall, "Imputation")
        check_aggregation(self.aggregation, "Imputation")
        names = check_covariates(self.covariates, "observed", "Imputation(covariates=)")
        object.__setattr__(self, "covariates", names)
        check_anticipation(self.anticipation, "Imputation")
        if not is_whole(self.pretrends) or self.pretrends < 0:
            raise EstimationError(
                needed="a whole number of leads, 0 or more",
                found=repr(self.pretrends),
                where="Imputation(pretrends=)",
                todo="pretrends=3 gives event times −3, −2 and −1",
            )
        if self.pretrends and self.by not in ("simple", "dynamic"):
            raise EstimationError(
                needed="pretrends= with by='simple' or by='dynamic'",
                found=f"pretrends={self.pretrends}, by={self.by!r}",
                where="Imputation(pretrends=)",
                todo="leads have event times: ask for them with by='dynamic'",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects.

        Raises
        ------
        PanelError
            If the metric, a covariate or a weight is unknown.
        DesignError, EstimationError
            Matched sets; no effect can be learnt; a covariate is collinear; leads that cannot be
            told apart.
        """
        sample = design.sample(
            metric,
            covariates=self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        refuse_here(sample.covariates, sample, repr(self))
        sample, notes = learnable(sample, self.anticipation, "Imputation")
        terms, frame = _terms(self, sample)
        leads, before = _leads(self, sample)
        kernel = _Kernel(terms, leads)
        cohort = sample.cohort
        values, influence, weights, slopes = kernel.fit(cohort, sample.y[None])
        if np.isnan(values).any():
            raise EstimationError(
                needed="leads that can be told from unit and period effects",
                found=f"{self.pretrends} leads, beside which no untreated period is left to "
                "compare them with",
                where=f"Imputation(pretrends=), metric {sample.metric.name!r}",
                todo="ask for fewer",
            )
        actual = kernel.acts(cohort)
        carries = (actual & sample.mask).any(axis=2)  # (k, J)
        served = (weights != 0).any(axis=2) & ~sample.pilot
        unit = sample.metric.unit or "units of the metric"
        return Published(
            values=values[0],
            n_pilots=carries.sum(axis=1),
            n_comparators=served.sum(axis=1),
            weights=weights,
            influence=influence[0],
            reassigned=many(kernel, actual.astype(np.float64), sample, weights),
            assignable=seen_on_both_sides(sample, self.anticipation),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"average effect on {tables.inside(sample.metric.label)} ({unit})"
            " in pilots from "
            "the start on, against what unit and period effects of untreated cells say; "
            + counted(sample, self.aggregation, self.by),
            terms=pd.concat([before, frame], ignore_index=True) if len(before) else frame,
            facts={
                f"coefficient_{name}": float(value)
                for name, value in zip(sample.covariates, slopes[0], strict=True)
            },
            notes=(
                *notes,
                *covariate_notes(sample),
                *alone_in_start(sample, range(len(sample.starts))),
            ),
        )


def _terms(estimator: Imputation, sample: Sample) -> tuple[Terms, pd.DataFrame]:
    """Say which cells each term averages."""
    starts = np.array(sample.starts, dtype=np.intp)
    g, t, count = effects_of(sample, estimator.anticipation)
    by_cells = estimator.aggregation == "pilots" and not estimator.overall
    made = aggregate(
        sample,
        g,
        t,
        estimator.by,
        size=cohort_sizes(sample, estimator.aggregation)[0],
        starts=starts,
        anticipation=estimator.anticipation,
        balance=estimator.balance,
        overall=estimator.overall,
        cell_size=count if estimator.aggregation == "pilots" else None,
    )
    return Terms.of(sample, estimator.anticipation, made, t, by_cells=by_cells), made.terms


def _leads(estimator: Imputation, sample: Sample) -> tuple[Bools, pd.DataFrame]:
    """Return the cohorts and periods of each lead, (L, G, T), and the rows of terms."""
    starts = np.array(sample.starts, dtype=np.intp)
    times = [-1 - estimator.anticipation - i for i in reversed(range(int(estimator.pretrends)))]
    inside = np.zeros((len(times), len(starts), len(sample.periods)), dtype=bool)
    for m, e in enumerate(times):
        for g, start in enumerate(starts.tolist()):
            if start + e >= 0:
                inside[m, g, start + e] = True
    one = len(starts) == 1
    seen = inside[:, sample.cohort[sample.pilot]] & sample.mask[sample.pilot]
    there = np.asarray(seen.any(axis=(1, 2)))
    none = [event_name(e) for e, some in zip(times, there, strict=True) if not some]
    if none:
        raise EstimationError(
            needed="for each lead a pilot with a value there",
            found=f"none for {first_few(none)}",
            where=f"Imputation(pretrends=), metric {sample.metric.name!r}",
            todo="ask for fewer",
        )
    rows = pd.DataFrame(
        {
            "term": [event_name(e) for e in times],
            "position": times,
            "event_time": times,
            "period": [sample.periods[int(starts[0]) + e] if one else "" for e in times],
            "phase": "before",
        }
    )
    return inside, rows


class _Kernel:
    """Values and influence of leads, then effects, for any assignment of the pilots."""

    def __init__(self, terms: Terms, leads: Bools) -> None:
        self.terms, self.leads = terms, leads

    def acts(self, cohort: Ints) -> Bools:
        """Return where the treatment of each term acts, (k, J, T)."""
        made = np.zeros((len(self.leads), *self.terms.sample.y.shape), dtype=bool)
        made[:, cohort >= 0] = self.leads[:, cohort[cohort >= 0]]
        return np.concatenate([made, self.terms.acts(cohort)])

    def fit(self, cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return values (O, k), influence (O, J, k), weights (k, J, T) and slopes (O, C).

        BJS (2024): the variance sums, by unit, v (y − ŷ0 − τ̃), with τ̃ the mean of a start's and
        period's effects weighted by v².
        """
        timing, model, gap, slopes = learnt(self.terms, cohort, outcomes)
        a, lost = self.terms.averages(cohort, timing.acted & model.imputable)
        v = a + model.weights(a)
        values = over_cells(a, gap)
        values[:, lost] = np.nan
        influence = over_periods(v, gap)
        for g in range(len(self.terms.starts)):
            own = np.flatnonzero(cohort == g)
            late = int(self.terms.starts[g]) - self.terms.anticipation
            mine = a[:, own, late:]
            square = mine**2
            total = square.sum(axis=1)  # (k, T)
            mean = np.einsum("kjt,ojt->okt", square, gap[:, own, late:])
            mean /= np.where(total > 0, total, 1.0)
            influence[:, own] -= np.einsum("kjt,okt->ojk", mine, mean)
        if not len(self.leads):
            return values, influence, v, slopes
        acts = self.acts(cohort)[: len(self.leads)] & model.use
        lead, columns, alike = residualised(model, acts.astype(np.float64))
        untreated = np.where(model.use, gap, 0.0)
        early = over_cells(lead, untreated)
        left = untreated - np.einsum("ol,ljt->ojt", early, columns)
        score = over_periods(lead, left)
        early = np.full_like(early, np.nan) if alike else early
        return (
            np.concatenate([early, values], axis=1),
            np.concatenate([score, influence], axis=2),
            np.concatenate([lead, v]),
            slopes,
        )

    def __call__(self, cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats]:
        """Return values and influence, for `refits`."""
        k = len(self.leads) + len(self.terms.inside)
        return try_to(self.fit, cohort, outcomes, k)
