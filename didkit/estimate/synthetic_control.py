"""Synthetic control: for each pilot the mixture of comparators that follows it before its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_number
from didkit.estimate.aggregation import Aggregated, By, check_aggregation, check_by
from didkit.estimate.donors import (
    Family,
    Mixture,
    check_periods,
    donor_sample,
    publish,
    windows_of,
)
from didkit.estimate.simplex import simplex
from didkit.estimate.wording import counted
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["SyntheticControl"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_WHERE = "SyntheticControl"


@dataclass(frozen=True)
class SyntheticControl:
    """The pilots less a mixture of units that never start, weighted to follow them beforehand.

    Parameters
    ----------
    pooled : bool, default False
        One mixture for the mean of the pilots of a start, instead of one for each pilot.
    intercept : bool, default False
        Let a constant stand between pilot and mixture: values are taken as distances from their own
        mean before the start (the demeaned synthetic control).
    ridge : float, default 0
        Times Σ w², in squared units of the metric: draws weights towards equal ones.
    covariates : sequence of str, optional
        Metrics whose mean before the start the mixture shall match too. Each counts as one more
        period, on the scale of the outcome: times the donors' standard deviation of the outcome
        before the start (root mean square over periods) over that of the covariate.
    by : {"simple", "dynamic", "group", "calendar", "none"}
        One number; by periods since the start; by start; by period; every start and period.
    overall, balance, aggregation
        As for all staggered estimators: see `GroupTime`. With ``by="simple"`` a start counts by its
        pilots times the periods from the start on.
    anticipation : int, default 0
        Periods before the start which the weights do not see.

    Notes
    -----
    Weights w, not negative and adding up to 1, minimise ``mean_t (Σ w_i y_it − y_t)² + ridge Σ w²``
    over the periods before the start: outcomes of every period, all weighted alike; no matrix V is
    searched for. They are at the exact optimum. Where several mixtures fit equally well, the one
    with the least sum of squares is taken, which does not depend on the order of units.

    It compares levels: a pilot above or below all donors cannot be followed, and what is left is
    bias, not effect (``pre_rmse``, ``share_not_reproduced``: pilots outside the donors' hull); then
    ``intercept=True``, `SyntheticDiD` or `AugmentedSyntheticControl` may serve. With few periods
    and many donors it follows noise. Unlike difference-in-differences it moves when a constant is
    added to one unit (with ``intercept=True`` it does not).

    `PlaceboVariance` gives ranks among placebos, the ratio of gaps after and before, and a
    variance. R's ``synthdid::sc_estimate`` stops before the optimum: California −19.620, here
    −19.514.

    References
    ----------
    Abadie, Diamond & Hainmueller (2010), Journal of the American Statistical Association 105(490);
    Ferman & Pinto (2021) for the constant.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.SyntheticControl(pooled=True).fit(design, "cpp").infer(None)
    >>> made.synthetic.groupby("start")["weight"].sum().round(9).unique().tolist()
    [1.0]
    """

    pooled: bool = field(default=False, kw_only=True)
    intercept: bool = field(default=False, kw_only=True)
    ridge: float = field(default=0.0, kw_only=True)
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
        for name in ("pooled", "intercept"):
            if not isinstance(getattr(self, name), bool):
                raise EstimationError(
                    needed=f"{name}=True or {name}=False",
                    found=repr(getattr(self, name)),
                    where=_WHERE,
                    todo="choose one",
                )
        if not is_number(self.ridge) or not 0 <= self.ridge < np.inf:
            raise EstimationError(
                needed="ridge: a number of zero or more",
                found=repr(self.ridge),
                where=f"{_WHERE}(ridge=)",
                todo="0 is usual",
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
        extra = [_predictors(sample, row) for row in before]

        def rule(g: int, own: Ints, donors: Ints) -> Mixture:
            return self._mixture(sample.y, before[g], extra[g], own, donors)

        unit = sample.metric.unit or "units of the metric"
        return publish(
            self,
            design,
            sample,
            Family(sample.y, before, after, rule),
            by=self.by,
            overall=self.overall,
            balance=self.balance,
            aggregation=self.aggregation,
            anticipation=self.anticipation,
            estimand=f"average effect on the pilots' {tables.inside(sample.metric.label)} ({unit}) "
            "from the start on, against a mixture of units that never start; "
            + counted(sample, self.aggregation, self.by),
            facts={},
            notes=notes,
        )

    def _mixture(self, y: Floats, before: Bools, extra: Floats, own: Ints, donors: Ints) -> Mixture:
        """Return the weights of one start: `simplex` for each pilot, or for their mean."""
        values = y[:, before]
        periods = np.zeros(y.shape[1])
        if self.intercept:
            values = values - values.mean(axis=1, keepdims=True)
            periods[before] = 1.0 / before.sum()
        values = np.hstack([values, extra])
        targets = values[own]
        targets = targets.mean(axis=0, keepdims=True) if self.pooled else targets
        theirs = values[donors]
        return Mixture(
            np.stack([simplex((theirs - one).T, self.ridge) for one in targets]), periods
        )


def _predictors(sample: Sample, before: Bools) -> Floats:
    """Return covariates' means before the start on the outcome's scale, (J, C)."""
    if sample.x is None:
        return np.zeros((len(sample.units), 0))
    means = np.asarray(sample.x)[:, :, before].mean(axis=2)
    others = ~sample.pilot
    spread = means[others].std(axis=0)
    flat = [
        name
        for name, s, m in zip(sample.covariates, spread, means[others].T, strict=True)
        if s <= 1e-12 * np.abs(m).max()
    ]
    if flat:
        raise EstimationError(
            needed="covariates that differ between donors",
            found=f"all alike: {first_few(flat)}",
            where=f"{_WHERE}(covariates=)",
            todo="leave them out",
        )
    scale = np.sqrt((sample.y[others][:, before].std(axis=0) ** 2).mean())
    made: Floats = means / spread * scale
    return made
