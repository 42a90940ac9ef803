"""Interaction-weighted: an effect for each start and time since it, then averages of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design
from didkit.errors import EstimationError
from didkit.estimate.aggregation import Aggregated, By, check_aggregation, check_by
from didkit.estimate.cells import coefficients, covariate_notes
from didkit.estimate.cohort_cells import (
    CohortCells,
    cohort_cells,
    every_period,
    reference_rows,
    refuse_sets,
)
from didkit.estimate.cohort_regression import (
    Build,
    Built,
    cell_weights,
    check_anticipation,
    period_columns,
    regression,
)
from didkit.estimate.covariates import check_covariates, refuse_here
from didkit.estimate.saturated import Rows, refuse_dependent
from didkit.estimate.wording import alone_in_start, counted
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["SunAbraham"]

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class SunAbraham:
    """Two-way regression with an effect for each start and period, averaged by cohorts' shares.

    Parameters
    ----------
    by : {"simple", "dynamic", "group", "calendar", "none"}
        One number; an event study; one number a start; one a period; or every effect.
    comparison : {"never", "last"}, optional
        Units that never start; or those that start last, until they do (all periods from then on
        are left out). By default the former, where there are some.
    anticipation : int, default 0
        Periods before the start in which the programme may act: the reference is the last period
        before them.
    covariates : sequence of str, optional
        Metrics of the panel that are held constant, with one coefficient each. What the programme
        changes in them is taken out of its effect.
    sampling, population : str, optional
        Metrics that weigh cells, see `Design.sample`.
    aggregation : {"pilots", "cohorts"}
        Whether each observation of a pilot counts alike in an average, or each start.
    balance : int, optional
        ``by="dynamic"``: only starts that are seen so many periods after.
    overall : bool
        One average of the terms of "dynamic", "group" or "calendar".

    Notes
    -----
    ``y_it = α_i + λ_t + Σ_g Σ_{e≠−1} δ_ge 1{g_i = g, t − g = e} + x_it'β + ε_it``; terms are
    averages of δ with the shares of the sample, by observations (fixest's ``sunab``: "att",
    "period" and "cohort" are ``by="simple"``, ``"dynamic"`` and ``"group"``). The standard errors
    take these shares as given. R's ``did`` adds the sampling error of the shares; where cohorts
    differ in their effects its standard errors of averages are larger.

    Without covariates on a balanced panel δ is the cohort's change since its reference less that
    of units that never start, so that it needs what a difference in differences needs, for each
    start: parallel trends and no anticipation. It fails where no unit is left untreated, and a
    start with one pilot has no cluster-robust variance of its own.

    References
    ----------
    Sun & Abraham (2021).

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design
    >>> starts = {1: 2018, 2: 2019, 3: 0, 4: 0}
    >>> frame = pd.DataFrame(
    ...     [
    ...         (unit, year, start, 10.0 * unit + year + (0 < start <= year) * (year - start + 1))
    ...         for unit, start in starts.items()
    ...         for year in range(2016, 2021)
    ...     ],
    ...     columns=["la", "year", "start", "cin"],
    ... )
    >>> design = Design.from_frame(
    ...     frame, unit="la", period="year", start="start", metrics=["cin"], selection="unknown"
    ... )
    >>> made = SunAbraham(by="dynamic").fit(design, "cin")
    >>> dict(zip(made.terms["event_time"], (made.values.round(6) + 0.0).tolist()))
    {-3: 0.0, -2: 0.0, 0: 1.0, 1: 2.0, 2: 3.0}
    """

    by: By = field(default="simple", kw_only=True)
    comparison: Literal["never", "last"] | None = field(default=None, kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    overall: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_by(self.by, self.balance, self.overall, "SunAbraham")
        check_aggregation(self.aggregation, "SunAbraham")
        check_anticipation(self.anticipation, "SunAbraham")
        names = check_covariates(self.covariates, "observed", "SunAbraham(covariates=)")
        object.__setattr__(self, "covariates", names)
        if self.comparison not in (None, "never", "last"):
            raise EstimationError(
                needed="comparison='never', 'last' or None",
                found=repr(self.comparison),
                where="SunAbraham(comparison=)",
                todo="those that never start, or those that start last; pilots that have not "
                "started yet serve in ExtendedTwoWay, GroupTime and Imputation",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects and their averages.

        Raises
        ------
        PanelError
            If the metric, a covariate or a weight is unknown.
        DesignError, EstimationError
            Matched sets; nobody to be compared with; a covariate that the effects hold.
        """
        sample = design.sample(
            metric,
            covariates=self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        refuse_sets(sample, "SunAbraham")
        refuse_here(sample.covariates, sample, "SunAbraham")
        alone = not (~sample.pilot).any()
        if alone and self.comparison == "never":
            raise EstimationError(
                needed="units that never start",
                found="none",
                where="SunAbraham(comparison='never')",
                todo="leave comparison= out: those that start last then serve, until they start",
            )
        rule = every_period(self.anticipation, last=self.comparison == "last")
        cells = cohort_cells(sample, rule, absorb=True, where="SunAbraham")
        sample = cells.sample
        aggregation = cells.aggregation(
            self.by,
            pilots=self.aggregation == "pilots",
            anticipation=self.anticipation,
            balance=self.balance,
            overall=self.overall,
        )
        last = alone or self.comparison == "last"
        facing = "those that start last" if last else "those that never start"
        build = _columns(cells)
        refuse_dependent(build(sample.cohort).rows, f"SunAbraham, metric {sample.metric.name!r}")
        parts = regression(
            cells,
            aggregation,
            build,
            pilots=self.aggregation == "pilots",
        )
        notes = [
            *cells.notes,
            f"compared with {facing}; the shares of the starts are taken as given",
            *covariate_notes(sample),
            *alone_in_start(sample, np.unique(cells.g).tolist()),
        ]
        unit = sample.metric.unit or "units of the metric"
        return parts.to_estimate(
            self,
            design,
            sample,
            estimand=f"average effect on {tables.inside(sample.metric.label)} ({unit})"
            ", from an effect "
            f"for each start and period, pilots less {facing}; "
            + counted(sample, self.aggregation, self.by),
            terms=aggregation.terms,
            reference=None if self.overall else reference_rows(cells, self.by, self.anticipation),
            facts=coefficients(sample, parts),
            notes=tuple(notes),
        )


def _columns(cells: CohortCells) -> Build:
    """Return the regression of an assignment: effects, periods, covariates; units swept out."""
    sample = cells.sample
    weight = cell_weights(cells)
    periods, names = period_columns(cells)
    own = cells.names
    beside = [periods]
    if sample.x is not None:
        seen = sample.mask[:, None]
        beside.append(np.where(seen, sample.x, 0.0))
        names = (*names, *sample.covariates)

    def build(cohort: Ints) -> Built:
        inside = cells.inside(cohort)
        there = np.flatnonzero(inside.any(axis=(0, 2)))
        x = np.concatenate([inside[:, there].astype(np.float64), *beside], axis=1)
        labels = (*(own[c] for c in there), *names)
        rows = Rows.of(x, weight, labels, absorb=True)
        effects = np.zeros((len(cells.g), len(labels)))
        effects[there, np.arange(len(there))] = 1.0
        return Built(rows, effects)

    return build
