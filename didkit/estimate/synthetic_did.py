"""Synthetic difference-in-differences: weights for units and for periods, and a constant gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, is_number
from didkit.estimate.aggregation import Aggregated, By, check_aggregation, check_by
from didkit.estimate.donors import (
    Family,
    Mixture,
    check_periods,
    donor_sample,
    publish,
    windows_of,
)
from didkit.estimate.projection import project_out
from didkit.estimate.simplex import simplex
from didkit.estimate.wording import counted
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["SyntheticDiD"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_WHERE = "SyntheticDiD"
_TIME = 1e-6  #: the ridge of the period weights, as a share of the noise
_FLOOR = 1e-9  #: the least share of the mean square that counts as noise


@dataclass(frozen=True)
class SyntheticDiD:
    """Difference-in-differences with comparators, and earlier periods, weighted to run alike.

    Parameters
    ----------
    zeta : float, optional
        The ridge of the unit weights, in the metric's unit; by default (n1 T1)^¼ times the noise,
        the standard deviation of the donors' period-to-period changes before the start.
    covariates : sequence of str, optional
        Metrics that change over time. Their coefficients are those of a two-way fixed effects
        regression on the untreated cells; what they explain is taken out of the outcome first.
    by : {"simple", "dynamic", "group", "calendar", "none"}
        One number; by periods since the start; by start; by period; every start and period.
    overall, balance, aggregation
        As for all staggered estimators: see `GroupTime`. With ``by="simple"`` a start counts by its
        pilots times the periods from the start on.
    anticipation : int, default 0
        Periods before the start which the weights do not see.

    Notes
    -----
    For the pilots of one start, with donors those that never start: unit weights w minimise
    ``mean_t (Σ w_i y_it − c − ȳ_t)² + ζ² Σ w²`` over periods before the start, period weights λ
    minimise ``mean_i (Σ λ_t y_it − c − ȳ_i,after)²`` over donors (with a ridge of 1e-6 of the
    noise); both are not negative and add up to 1. The effect is the pilots' gap from the mixture
    after the start less the gap before it, weighted by λ. With w and λ equal it is `DiD`.

    It assumes that what makes pilots differ from the mixture, beyond a constant, is noise: a pilot
    whose path no mixture of donors runs parallel to is followed badly, and what is left is bias
    (``pre_rmse``, and the notes). Weights are at the exact optimum (the conditions of `simplex` to
    1e-12), whereas R's ``synthdid`` stops early: on its California example it prints −15.604, the
    optimum is −15.605.

    Pilots of each start are fitted on their own and averaged. Covariates are projected out as by
    Kranz (2022), with coefficients held in placebos and the jackknife.

    `PlaceboVariance` gives the paper's placebo variance (algorithm 4), ``ClusterRobust("CR0")`` the
    jackknife with fixed weights (algorithm 3), ``Bootstrap("resample")`` the bootstrap (algorithm
    2, with pilots and donors drawn apart); `Jackknife` chooses the weights again without each unit.

    References
    ----------
    Arkhangelsky, Athey, Hirshberg, Imbens & Wager (2021), American Economic Review 111(12).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.SyntheticDiD().fit(design, "cpp").infer(None)
    >>> made.terms["term"].tolist()
    ['att']
    >>> made.synthetic["kind"].unique().tolist()
    ['unit', 'period']
    """

    zeta: float | None = field(default=None, kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    by: By = field(default="simple", kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    anticipation: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_by(self.by, self.balance, self.overall, _WHERE)
        check_aggregation(self.aggregation, _WHERE)
        check_periods(self.anticipation, _WHERE)
        if self.zeta is not None and (not is_number(self.zeta) or not 0 <= self.zeta < np.inf):
            raise EstimationError(
                needed="zeta: a number of zero or more, in the metric's unit",
                found=repr(self.zeta),
                where=f"{_WHERE}(zeta=)",
                todo="leave it out for the usual one",
            )
        if isinstance(self.covariates, str):
            object.__setattr__(self, "covariates", (self.covariates,))
        object.__setattr__(self, "covariates", tuple(self.covariates))

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Choose the weights and estimate.

        Raises
        ------
        PanelError
            If the metric or a covariate is unknown.
        DesignError, EstimationError
            Matched sets, no unit that never starts, fewer than two periods before a start, or
            pilots that left (as treated).
        """
        sample, notes = donor_sample(design, metric, _WHERE, covariates=self.covariates)
        before, after = windows_of(sample, self.anticipation, _WHERE)
        facts: dict[str, float] = {}
        y = sample.y
        if sample.x is not None:
            y, slopes = project_out(sample, _WHERE)
            facts = {f"coefficient {name}": slope for name, slope in slopes.items()}
            notes = (*notes, f"{', '.join(slopes)} taken out of the outcome first")
        noises = _noise(sample, y, before)
        zetas = [
            noise * (int((sample.cohort == g).sum()) * int(after[g].sum())) ** 0.25
            if self.zeta is None
            else float(self.zeta)
            for g, noise in enumerate(noises)
        ]
        if len(zetas) == 1:
            facts = {"noise": noises[0], "zeta": zetas[0], **facts}

        def rule(g: int, own: Ints, donors: Ints) -> Mixture:
            return _mixture(y, before[g], after[g], own, donors, zetas[g], noises[g])

        unit = sample.metric.unit or "units of the metric"
        return publish(
            self,
            design,
            sample,
            Family(y, before, after, rule),
            by=self.by,
            overall=self.overall,
            balance=self.balance,
            aggregation=self.aggregation,
            anticipation=self.anticipation,
            estimand=f"average effect on the pilots' {tables.inside(sample.metric.label)} ({unit}) "
            "from the start on, against a weighted mixture of units that never start; "
            + counted(sample, self.aggregation, self.by),
            facts=facts,
            notes=notes,
        )


def _noise(sample: Sample, y: Floats, before: Bools) -> list[float]:
    """Return the standard deviation of the donors' changes before each start."""
    others = y[~sample.pilot]
    made = []
    for row in before:
        changes = np.diff(others[:, row], axis=1)
        made.append(float(np.std(changes, ddof=1)) if changes.size > 1 else 0.0)
    return made


def _mixture(
    y: Floats, before: Bools, after: Bools, own: Ints, donors: Ints, zeta: float, noise: float
) -> Mixture:
    """Return the weights of one start: `simplex` twice, over periods and over donors."""
    theirs = y[donors][:, before]
    units = simplex(theirs.T - y[own][:, before].mean(axis=0)[:, None], zeta**2, intercept=True)
    target = y[donors][:, after].mean(axis=1)
    least = float(np.mean((theirs - target[:, None]) ** 2)) * _FLOOR**2
    chosen = simplex(theirs - target[:, None], max((_TIME * noise) ** 2, least), intercept=True)
    periods = np.zeros(y.shape[1])
    periods[before] = chosen
    return Mixture(units[None], periods)
