"""Extended two-way: an effect for each start and treated period; linear, Poisson or logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError
from didkit.estimate.aggregation import Aggregated, Aggregation, By, check_aggregation, check_by
from didkit.estimate.cells import covariate_notes
from didkit.estimate.cohort_cells import (
    CohortCells,
    cohort_cells,
    every_period,
    from_the_start,
    reference_rows,
    refuse_sets,
)
from didkit.estimate.cohort_regression import (
    Build,
    Built,
    blocks,
    cell_weights,
    check_anticipation,
    period_columns,
    regression,
)
from didkit.estimate.covariates import check_covariates, refuse_here
from didkit.estimate.partial_effects import Family, partial_effects
from didkit.estimate.published import Published
from didkit.estimate.saturated import Rows, refuse_dependent
from didkit.estimate.wording import come_and_go, counted, levels_left_in, plural
from didkit.linear.roots import inverse_root
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["ExtendedTwoWay"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_NEEDED = {
    "family": ("linear", "poisson", "logit"),
    "comparison": ("not_yet", "never"),
    "effects": (None, "cohort", "unit"),
}
_WORDS = {
    "family": "'poisson' for counts and other outcomes of 0 or more, 'logit' for shares",
    "comparison": "every unit until it starts, or units that never start",
    "effects": "an effect for each start, or for each unit",
}


@dataclass(frozen=True)
class ExtendedTwoWay:
    """Regression with an effect for each start and treated period, and averages of these.

    Parameters
    ----------
    family : {"linear", "poisson", "logit"}
        Poisson and logit take parallel trends to hold in the log or the log odds; terms are
        differences in the outcome's own unit all the same (average partial effects).
    comparison : {"not_yet", "never"}
        Against every unit until it starts, so that all periods before the start serve as base;
        or against units that never start, with an effect in every period but the last before the
        start, those before it as placebo effects.
    effects : {"cohort", "unit"}, optional
        Effects of starts or of units. On a balanced panel without covariates the estimates are
        the same; where units miss periods, "cohort" is moved by who is missing when, and the
        notes say so. By default "unit" where linear, some unit misses periods, and no more units
        have one value than have several; else "cohort", as R's etwfe does without ``ivar``.
        Poisson and logit take "cohort" only.
    by : {"simple", "dynamic", "group", "calendar", "none"}
        One number; an event study; one number a start; one a period; or every effect.
    anticipation : int, default 0
        Periods before the start in which the programme may act; they have effects of their own.
    covariates : sequence of str, optional
        Metrics of the panel. Each enters alone, by start, by period, and, less its mean in the
        start's cohort, with each effect. What others hold (a covariate that does not vary in a
        cohort or, with ``effects="unit"``, over time) is left out, and the notes say so.
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
    ``E[y_it] = h(α_g + λ_t + x'(β + β_g + β_t) + Σ_{s≥g} d_gs (δ_gs + (x − x̄_g)'γ_gs))`` for a
    unit that starts in g, h the identity, exp or the logistic function. The effect of a start and
    period is the mean, over its observations, of the fitted outcome less what it would be with
    ``d = 0``; its error is that of the parameters (delta method; means of covariates and shares
    are taken as given). Linear, without covariates and against not yet treated units, it is the
    imputation estimate (Borusyak, Jaravel & Spiess), on a balanced panel.

    In R: ``etwfe(..., cgroup="notyet" | "never", ivar=, family=)`` and ``emfx(type=)``, whose
    standard errors are the root of ``G/(G−1) (N−1)/(N−K)`` times these by cluster:
    ``ClusterRobust("CR1", factor="nested")``. For Poisson and logit no cross-products are
    published, and CR1 has the factor ``G/(G−1)`` only; K is in ``facts``.

    Fails where nobody is left untreated, where a cohort is too small for its covariates, and, for
    Poisson, where a start has an outcome of zero in all of a period.

    References
    ----------
    Wooldridge (2021); Wooldridge (2023) for Poisson and logit.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design, Sample
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
    >>> made = ExtendedTwoWay(by="group").fit(design, "cin")
    >>> dict(zip(made.terms["term"], made.values.round(6).tolist()))
    {'start 2018': 2.0, 'start 2019': 1.5}
    """

    family: Family = field(default="linear", kw_only=True)
    comparison: Literal["not_yet", "never"] = field(default="not_yet", kw_only=True)
    effects: Literal["cohort", "unit"] | None = field(default=None, kw_only=True)
    by: By = field(default="simple", kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    overall: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_by(self.by, self.balance, self.overall, "ExtendedTwoWay")
        check_aggregation(self.aggregation, "ExtendedTwoWay")
        check_anticipation(self.anticipation, "ExtendedTwoWay")
        names = check_covariates(self.covariates, "observed", "ExtendedTwoWay(covariates=)")
        object.__setattr__(self, "covariates", names)
        for option, known in _NEEDED.items():
            if getattr(self, option) not in known:
                raise EstimationError(
                    needed=f"{option}: " + ", ".join(map(repr, known)),
                    found=repr(getattr(self, option)),
                    where=f"ExtendedTwoWay({option}=)",
                    todo=_WORDS[option],
                )
        if self.family != "linear" and self.effects == "unit":
            raise EstimationError(
                needed="effects='cohort' with family='poisson' or 'logit'",
                found=f"family={self.family!r}, effects='unit'",
                where="ExtendedTwoWay(effects=)",
                todo="use effects='cohort'; with unit effects a logit is inconsistent over few "
                "periods, and for counts there is PoissonDiD",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects and their averages.

        Raises
        ------
        PanelError
            If the metric, a covariate or a weight is unknown.
        DesignError, EstimationError
            Matched sets; nobody to be compared with; a covariate of which nothing is left; an
            outcome outside the family's range, or no finite estimate.
        """
        sample = design.sample(
            metric,
            covariates=self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        refuse_sets(sample, "ExtendedTwoWay")
        refuse_here(sample.covariates, sample, "ExtendedTwoWay")
        if self.comparison == "never" and not (~sample.pilot).any():
            raise EstimationError(
                needed="units that never start",
                found="none",
                where="ExtendedTwoWay(comparison='never')",
                todo="use comparison='not_yet': every unit then serves until it starts",
            )
        absorb, chosen = self._absorb(sample)
        rule = (
            every_period(self.anticipation, last=False)
            if self.comparison == "never"
            else from_the_start(self.anticipation)
        )
        cells = cohort_cells(sample, rule, absorb=absorb, where="ExtendedTwoWay")
        sample = cells.sample
        aggregation = cells.aggregation(
            self.by,
            pilots=self.aggregation == "pilots",
            anticipation=self.anticipation,
            balance=self.balance,
            overall=self.overall,
        )
        build = _columns(cells, absorb=absorb)
        built = build(sample.cohort)
        left_out = _left_out(cells, built, absorb=absorb)
        parts, facts = self._parts(cells, aggregation, build)
        facing = (
            "those that never start"
            if self.comparison == "never"
            else "all that have not started yet"
        )
        how = {
            "linear": "",
            "poisson": ", trends parallel in the log",
            "logit": ", trends parallel in the log odds",
        }[self.family]
        unit = sample.metric.unit or "units of the metric"
        reference = None
        if self.comparison == "never" and not self.overall:
            reference = reference_rows(cells, self.by, self.anticipation)
        return parts.to_estimate(
            replace(self, effects="unit") if chosen and absorb else self,  # refits keep it
            design,
            sample,
            estimand=f"average effect on {tables.inside(sample.metric.label)} ({unit})"
            ", from an effect "
            f"for each start and period, pilots less {facing}{how}; "
            + counted(sample, self.aggregation, self.by),
            terms=aggregation.terms,
            reference=reference,
            facts=facts,
            notes=(
                *cells.notes,
                f"compared with {facing}; the shares of the starts are taken as given",
                *left_out,
                *chosen,
                *(() if absorb else _moving(sample, self.family)),
                *covariate_notes(sample),
            ),
        )

    def _absorb(self, sample: Sample) -> tuple[bool, tuple[str, ...]]:
        """Whether units have effects of their own, and a note where that is no option given."""
        moving = come_and_go(sample)
        if self.effects is not None or self.family != "linear" or not moving:
            return self.effects == "unit", ()
        n = sample.mask.sum(axis=1)
        if (n == 1).sum() > (n > 1).sum():
            return False, ("effects='cohort', as most units have one value only",)
        one = plural(len(moving), "unit misses", "units miss")
        return True, (
            f"effects='unit', as {one} periods that others have: effects of starts would leave "
            "their lasting levels in (R's etwfe: ivar=)",
        )

    def _parts(
        self, cells: CohortCells, aggregation: Aggregation, build: Build
    ) -> tuple[Published, dict[str, float]]:
        """Fit the family that was asked for."""
        if self.family == "linear":
            made = regression(
                cells,
                aggregation,
                build,
                pilots=self.aggregation == "pilots",
            )
            return made, {}
        return partial_effects(cells, aggregation, build(cells.sample.cohort), self.family)


def _moving(sample: Sample, family: Family) -> tuple[str, ...]:
    """Say that effects of starts do not take out the levels of units that come and go."""
    instead = "effects='unit', " if family == "linear" else ""
    return levels_left_in(come_and_go(sample), "effects='cohort'", f"{instead}Imputation(), DiD()")


def _columns(cells: CohortCells, *, absorb: bool) -> Build:
    """Return the regression of an assignment.

    Columns: effects, starts (unless units are swept out), periods; then each covariate alone, by
    start, by period and, centred by cohort, by effect. Of the latter those that others hold go.
    """
    sample = cells.sample
    weight, seen = cell_weights(cells), sample.mask[:, None]
    periods, period_names = period_columns(cells)
    n_periods, all_names = len(sample.periods), cells.names
    covariates = _about_the_mean(cells, weight)

    def build(cohort: Ints) -> Built:
        inside = cells.inside(cohort)
        there = np.flatnonzero(inside.any(axis=(0, 2)))
        own = inside[:, there].astype(np.float64)
        kinds = blocks(cohort, n_periods) * seen
        own_names = tuple(all_names[c] for c in there)
        start_names = tuple(
            f"start {sample.periods[sample.starts[g]]}" for g in np.unique(cohort)[1:].tolist()
        )
        columns, names = [own, periods], own_names + period_names
        if not absorb:
            columns = [own, seen.astype(np.float64), kinds, periods]
            names = (*own_names, "constant", *start_names, *period_names)
        sure, n_own = len(names), len(there)
        effects = np.zeros((len(cells.g), sure))
        effects[there, np.arange(n_own)] = 1.0
        for name, x in covariates.items():
            centred = x - _cohort_means(x, weight, cohort)[:, None]
            columns += [x[:, None], x[:, None] * kinds, x[:, None] * periods]
            columns.append(centred[:, None] * own)
            before = (name, *(f"{other} × {name}" for other in (*start_names, *period_names)))
            names = (*names, *before, *(f"{other} × {name}" for other in own_names))
            # the effect at the covariates of those treated there
            mean = np.einsum("jct,jt->c", own, centred * weight)
            mean /= np.einsum("jct,jt->c", own, weight)
            more = np.zeros((len(cells.g), len(before) + n_own))
            more[there, len(before) + np.arange(n_own)] = mean
            effects = np.concatenate([effects, more], axis=1)
        rows = Rows.of(np.concatenate(columns, axis=1), weight, names, absorb=absorb)
        held = covariates and inverse_root(rows.total) is None
        gone = rows.dependent() if held else np.zeros(0, dtype=np.intp)
        gone = gone[gone >= sure]
        return Built(rows.without(gone), np.delete(effects, gone, axis=1))

    return build


def _about_the_mean(cells: CohortCells, weight: Floats) -> dict[str, Floats]:
    """Return each covariate less its mean, (J, T): the same effects, with more digits."""
    sample = cells.sample
    if sample.x is None:
        return {}
    made = {}
    for c, name in enumerate(sample.covariates):
        values = np.where(sample.mask, sample.x[:, c], 0.0)
        mean = (values * weight).sum() / weight.sum()
        made[name] = np.where(sample.mask, values - mean, 0.0)
    return made


def _cohort_means(x: Floats, weight: Floats, cohort: Ints) -> Floats:
    """Return the mean of the unit's cohort, (J,)."""
    made = np.zeros(len(x))
    for g in np.unique(cohort).tolist():
        inside = cohort == g
        made[inside] = (x[inside] * weight[inside]).sum() / weight[inside].sum()
    return made


def _left_out(cells: CohortCells, built: Built, *, absorb: bool) -> tuple[str, ...]:
    """Say which interactions of covariates are left out; refuse what cannot be estimated."""
    sample = cells.sample
    refuse_dependent(built.rows, f"ExtendedTwoWay, metric {sample.metric.name!r}")
    notes = []
    for name in sample.covariates:
        left = [n for n in built.rows.names if n == name or n.endswith(f"× {name}")]
        n_starts, n_periods = len(np.unique(sample.cohort)), int(sample.mask.any(axis=0).sum())
        full = n_starts + n_periods - 1 + len(cells.g)
        if not left:
            raise EstimationError(
                needed="covariates that vary",
                found=f"{name!r}, of which the effects and other covariates hold everything",
                where=f"ExtendedTwoWay, metric {sample.metric.name!r}",
                todo="leave it out",
            )
        if len(left) < full:
            why = "units' effects, " if absorb else ""
            notes.append(
                f"{full - len(left)} of {full} columns of {name} left out: {why}other columns "
                "hold them (it does not vary there)"
            )
    return tuple(notes)
