"""Augmented synthetic control: what the mixture misses, mended by a ridge regression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design
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
from didkit.estimate.simplex import simplex
from didkit.estimate.wording import counted
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["AugmentedSyntheticControl"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_WHERE = "AugmentedSyntheticControl"
_RATIO, _STEPS = 1e-8, 20  #: the grid of λ: from the largest singular value squared down


@dataclass(frozen=True)
class AugmentedSyntheticControl:
    """A synthetic control, and a ridge regression for what it does not follow.

    Parameters
    ----------
    penalty : float, optional
        λ of the ridge regression, in squared units of the metric; by default chosen by
        cross-validation, for each pilot. A large one gives `SyntheticControl`.
    rule : {"1se", "min"}
        The largest λ whose error is within one standard error of the least, or that of the least.
    intercept : bool, default False
        Take values as distances from their own mean before the start (in cross-validation: over the
        periods that are not left out).
    by, overall, balance, aggregation
        As for `SyntheticControl`.
    anticipation : int, default 0
        Periods before the start which the weights do not see.

    Notes
    -----
    For each pilot with values x before its start, donors X (n × T0) and their mean taken out of
    both: the synthetic control's weights w are moved to
    ``w + X (X′X + λ I)⁻¹ (x − X′w)``. They add up to 1 and may be negative: the estimate
    extrapolates beyond the donors where the mixture alone would be biased, at the price of
    variance. λ is the one that predicts the pilot best in periods left out one at a time, of 21
    from the largest eigenvalue of X′X down to 1e-8 of it, evenly spaced in logarithms.

    It assumes that the path without the programme is, but for noise, linear in earlier outcomes,
    alike for pilots and donors. It fails where λ is small because periods are few: then it follows
    noise. Starts and pilots are fitted one by one and averaged. Placebos and resamples choose λ
    again.

    References
    ----------
    Ben-Michael, Feller & Rothstein (2021), Journal of the American Statistical Association
    116(536).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.AugmentedSyntheticControl().fit(design, "cpp").infer(None)
    >>> shares = made.synthetic.query("kind == 'unit'").groupby("pilot")["weight"].sum()
    >>> shares.round(9).unique().tolist()
    [1.0]
    """

    penalty: float | None = field(default=None, kw_only=True)
    rule: Literal["1se", "min"] = field(default="1se", kw_only=True)
    intercept: bool = field(default=False, kw_only=True)
    by: By = field(default="simple", kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    anticipation: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_by(self.by, self.balance, self.overall, _WHERE)
        check_aggregation(self.aggregation, _WHERE)
        check_periods(self.anticipation, _WHERE)
        if self.penalty is not None and (
            not is_number(self.penalty) or not 0 < self.penalty < np.inf
        ):
            raise EstimationError(
                needed="penalty: a number above zero",
                found=repr(self.penalty),
                where=f"{_WHERE}(penalty=)",
                todo="leave it out to have it chosen by cross-validation",
            )
        if self.rule not in ("1se", "min") or not isinstance(self.intercept, bool):
            raise EstimationError(
                needed="rule='1se' or rule='min', intercept=True or intercept=False",
                found=f"rule={self.rule!r}, intercept={self.intercept!r}",
                where=_WHERE,
                todo="choose one",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Choose the weights and estimate.

        Raises
        ------
        PanelError
            If the metric is unknown.
        DesignError, EstimationError
            Matched sets, no unit that never starts, fewer than three periods before a start, or
            pilots that left (as treated).
        """
        sample, notes = donor_sample(design, metric, _WHERE)
        before, after = windows_of(sample, self.anticipation, _WHERE, least=3)
        y = sample.y

        def mixture(g: int, own: Ints, donors: Ints) -> Mixture:
            values = y[:, before[g]]
            periods = np.zeros(y.shape[1])
            if self.intercept:
                periods[before[g]] = 1.0 / before[g].sum()
            theirs = values[donors]
            return Mixture(np.stack([self._weights(theirs, values[j])[0] for j in own]), periods)

        facts: dict[str, float] = {}
        if sample.n_pilots == 1:
            values = y[:, before[0]]
            facts["penalty"] = self._weights(values[~sample.pilot], values[sample.pilot][0])[1]
        unit = sample.metric.unit or "units of the metric"
        return publish(
            self,
            design,
            sample,
            Family(y, before, after, mixture),
            by=self.by,
            overall=self.overall,
            balance=self.balance,
            aggregation=self.aggregation,
            anticipation=self.anticipation,
            estimand=f"average effect on the pilots' {tables.inside(sample.metric.label)} ({unit}) "
            "from the start on, against a mixture of units that never start, augmented "
            "by a ridge regression; " + counted(sample, self.aggregation, self.by),
            facts=facts,
            notes=notes,
        )

    def _weights(self, theirs: Floats, own: Floats) -> tuple[Floats, float]:
        """Return one pilot's weights, and λ."""
        penalty = self.penalty
        if penalty is None:
            grid = _grid(_centred(theirs, self.intercept))
            penalty = _chosen(grid, _errors(theirs, own, grid, self.intercept), self.rule)
        made = _augmented(theirs, own, np.array([penalty]), self.intercept)
        return made[0], float(penalty)


def _centred(values: Floats, intercept: bool) -> Floats:
    """Return distances from the mean over periods, the last axis; values without an intercept."""
    return values - values.mean(axis=-1, keepdims=True) if intercept else values


def _grid(theirs: Floats) -> Floats:
    """Return the λ to choose from, the largest first; 1 where donors are all alike."""
    top = float(np.linalg.norm(theirs - theirs.mean(axis=0), 2)) ** 2 or 1.0
    made: Floats = top * _RATIO ** (np.arange(_STEPS + 1) / _STEPS)
    return made


def _augmented(theirs: Floats, own: Floats, penalties: Floats, intercept: bool) -> Floats:
    """Return weights (λ, n): the mixture, moved by the ridge regression on what it misses."""
    theirs, own = _centred(theirs, intercept), _centred(own, intercept)
    mixed = simplex((theirs - own).T)
    u, s, v = np.linalg.svd(theirs - theirs.mean(axis=0), full_matrices=False)
    missed = v @ (own - mixed @ theirs)
    made: Floats = mixed + (s / (s**2 + penalties[:, None]) * missed) @ u.T
    return made


def _errors(theirs: Floats, own: Floats, penalties: Floats, intercept: bool) -> Floats:
    """Return squared errors (λ, T0) of each period, predicted by the others."""
    made = []
    for t in range(len(own)):
        rest = np.arange(len(own)) != t
        weights = _augmented(theirs[:, rest], own[rest], penalties, intercept)
        gap = own - weights @ theirs
        level = gap[:, rest].mean(axis=1) if intercept else 0.0
        made.append((gap[:, t] - level) ** 2)
    return np.stack(made, axis=1)


def _chosen(grid: Floats, errors: Floats, rule: str) -> float:
    """Return the λ of least error, or the largest within one standard error of it."""
    mean = errors.mean(axis=1)
    best = int(np.argmin(mean))
    if rule == "min":
        return float(grid[best])
    near = float(errors[best].std(ddof=1) / np.sqrt(errors.shape[1]))
    return float(grid[mean <= mean[best] + near].max())
