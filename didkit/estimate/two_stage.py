"""Two stages: take unit and period effects of untreated cells out, then regress on treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, is_whole
from didkit.estimate.aggregation import By, aggregate, check_by, cohort_sizes, event_name
from didkit.estimate.cells import covariate_notes
from didkit.estimate.covariates import check_covariates, refuse_here
from didkit.estimate.imputed import (
    Terms,
    effects_of,
    learnt,
    many,
    over_cells,
    over_periods,
    seen_on_both_sides,
    try_to,
)
from didkit.estimate.published import Published
from didkit.estimate.untreated import check_anticipation, learnable
from didkit.estimate.wording import alone_in_term, counted
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["TwoStage"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
_EARLY = (
    "terms before the start are residuals of cells that the first stage was fitted on: no contrast "
    "with a reference, and no permutation test (Imputation(pretrends=) has one)"
)


@dataclass(frozen=True)
class TwoStage:
    """Gardner's two-stage DiD: residuals from the untreated cells, regressed on treatment.

    For staggered starts and effects that differ by pilot and grow with time.

    Parameters
    ----------
    by : {"simple", "dynamic", "group", "calendar", "none"}
        The dummies of the second stage: one for all treated cells; one for each time since the
        start, those before it included; by start; by period; or for every start and period.
    covariates : sequence of str, optional
        Metrics of the panel that change over time, in the first stage.
    sampling, population : str, optional
        Names of metrics that weigh cells and units, in both stages.
    anticipation : int, default 0
        Periods before the start in which the programme may already act: treated too. By "simple",
        "group" and "calendar" they are in no average, and in no dummy.
    reference : int or None, default −1
        ``by="dynamic"``: the time since the start that has no dummy; with anticipation −1 steps
        back before it. None: every time has one, since no constant is in the second stage.

    Notes
    -----
    It is the effect if untreated outcomes follow unit and period effects and nothing is
    anticipated; the estimate of the periods from the start on is that of `Imputation`. The
    variance is that of the two stages as one method-of-moments problem, CR0 by unit: deviations
    of effects from their common mean count as error, and so does the first stage.

    Terms before the start are means of the first stage's own residuals, in which these cells were
    fitted: they are drawn towards zero, are no contrast with a reference, and have no placebo by
    permutation. `Imputation(pretrends=)` tests leads in a regression of their own.

    Treated cells whose untreated outcome cannot be learnt are left out, and a note names them.

    References
    ----------
    Gardner (2022), "Two-stage differences in differences", arXiv:2207.05943.

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
    >>> round(TwoStage().fit(design, "y").values.item(), 10)
    4.0
    """

    by: By = field(default="simple", kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    reference: int | None = field(default=-1, kw_only=True)

    def __post_init__(self) -> None:
        check_by(self.by, None, False, "TwoStage")
        names = check_covariates(self.covariates, "observed", "TwoStage(covariates=)")
        object.__setattr__(self, "covariates", names)
        check_anticipation(self.anticipation, "TwoStage")
        fits = is_whole(self.reference) and int(str(self.reference)) < 0
        if self.reference is not None and not fits:
            raise EstimationError(
                needed="a reference before the start (−1, −2, …), or None",
                found=repr(self.reference),
                where="TwoStage(reference=)",
                todo="event time 0 is the first treated period; use −1, or None for no reference",
            )

    @property
    def _base(self) -> int | None:
        """The time without a dummy; the default steps back before the anticipation."""
        return -1 - int(self.anticipation) if self.reference == -1 else self.reference

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate both stages.

        Raises
        ------
        PanelError
            If the metric, a covariate or a weight is unknown.
        DesignError, EstimationError
            Matched sets; no effect can be learnt; a covariate is collinear.
        """
        sample = design.sample(
            metric,
            covariates=self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        refuse_here(sample.covariates, sample, repr(self))
        sample, notes = learnable(sample, self.anticipation, "TwoStage")
        terms, frame = self._terms(sample)
        cohort = sample.cohort
        kernel = _Kernel(terms)
        values, influence, weights, slopes = kernel.fit(cohort, sample.y[None])
        actual = terms.acts(cohort)
        unit = sample.metric.unit or "units of the metric"
        n_pilots = (actual & sample.mask).any(axis=2).sum(axis=1)
        return Published(
            values=values[0],
            n_pilots=n_pilots,
            n_comparators=((weights != 0).any(axis=2) & ~sample.pilot).sum(axis=1),
            weights=weights,
            influence=influence[0],
            reassigned=many(
                kernel,
                actual.astype(np.float64),
                sample,
                weights,
                lost=(frame["phase"] == "before").to_numpy(),
            ),
            assignable=seen_on_both_sides(sample, self.anticipation),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"average in pilots of {tables.inside(sample.metric.label)} ({unit})"
            " less unit and "
            f"period effects of untreated cells; {counted(sample, 'pilots', self.by)}",
            terms=frame,
            reference=self._reference(sample) if self.by == "dynamic" else None,
            facts={
                f"coefficient_{name}": float(value)
                for name, value in zip(sample.covariates, slopes[0], strict=True)
            },
            notes=(
                *notes,
                *covariate_notes(sample),
                *alone_in_term(frame["term"], n_pilots.tolist()),
                *((_EARLY,) if (frame["phase"] == "before").any() else ()),
            ),
        )

    def _terms(self, sample: Sample) -> tuple[Terms, pd.DataFrame]:
        """Say which cells each dummy holds; those before the start too, by event time."""
        starts = np.array(sample.starts, dtype=np.intp)
        every = len(sample.periods) if self.by == "dynamic" else self.anticipation
        g, t, count = effects_of(sample, every)
        kept = np.ones(len(g), dtype=bool)
        if self.by == "dynamic" and self._base is not None:
            kept = t - starts[g] != self._base
        made = aggregate(
            sample,
            g[kept],
            t[kept],
            self.by,
            size=cohort_sizes(sample, "pilots")[0],
            starts=starts,
            anticipation=self.anticipation,
            cell_size=count[kept],
        )
        return Terms.of(sample, self.anticipation, made, t[kept], by_cells=True), made.terms

    def _reference(self, sample: Sample) -> pd.DataFrame | None:
        """Return the row of the time without a dummy, where pilots have it."""
        base = self._base
        starts = np.array(sample.starts)
        if base is None or (starts + base < 0).all():
            return None
        period = sample.periods[starts[0] + base] if len(starts) == 1 else ""
        return pd.DataFrame(
            {
                "term": [event_name(base)],
                "position": [base],
                "event_time": [base],
                "period": [period],
                "phase": ["reference"],
            }
        )


@dataclass(frozen=True, eq=False)
class _Kernel:
    """Both stages, for any assignment of the pilots."""

    terms: Terms

    def fit(self, cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return values (O, k), influence (O, J, k), weights (k, J, T) and slopes (O, C).

        Gardner (2022), section 3: with γ from the first stage's untreated rows z and β from the
        second stage's dummies x, the influence of a row is
        ``(Σ xx')⁻¹ (x u₂ − Σ x z' (Σ zz')⁻¹ z u₁)``, with u₁ zero in treated rows. Dummies are
        disjoint, so that Σ xx' is diagonal.
        """
        timing, model, gap, slopes = learnt(self.terms, cohort, outcomes)
        a, lost = self.terms.averages(cohort, self.terms.sample.mask & model.imputable)
        taken = model.weights(a)
        values = over_cells(a, gap)
        second = over_periods(a, gap) - a.sum(axis=2).T * values[:, None]
        first = over_periods(taken, np.where(timing.untreated, gap, 0.0))
        values[:, lost] = np.nan
        return values, second + first, a + taken, slopes

    def __call__(self, cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats]:
        """Return values and influence, for `refits`."""
        return try_to(self.fit, cohort, outcomes, len(self.terms.inside))
