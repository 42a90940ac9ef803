"""Matrix completion: treated cells predicted from a matrix of low rank beside two-way effects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_number
from didkit.estimate.aggregation import (
    Aggregated,
    By,
    aggregate,
    check_aggregation,
    check_by,
    cohort_sizes,
)
from didkit.estimate.donors import check_periods
from didkit.estimate.imputed import seen_on_both_sides
from didkit.estimate.nuclear import Completed, complete, largest_penalty
from didkit.estimate.published import Published
from didkit.estimate.wording import counted
from didkit.panel import Metric
from didkit.results import Estimate, Labels, tables

__all__ = ["MatrixCompletion"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_WHERE = "MatrixCompletion"
_FOLDS, _STEPS, _RANGE = 5, 12, 1e-3
_EXACT = 1e-9  #: what two-way effects leave is rounding, as a share of the outcome's spread
_ROUGH, _AGAIN = 1e-5, 1e-8  #: how exactly folds, and placebos, are fitted


@dataclass(frozen=True)
class MatrixCompletion:
    """What pilots' treated cells are beyond a matrix of low rank and unit and period effects.

    Parameters
    ----------
    penalty : float, optional
        Of the nuclear norm, in the metric's unit: singular values are reduced by so much. By
        default chosen by cross-validation; a large one gives two-way effects alone (`Imputation`).
    by, overall, balance, aggregation
        As for all staggered estimators: see `GroupTime`. With ``by="simple"`` each treated cell of
        a pilot counts once.
    anticipation : int, default 0
        Periods before the start that are not used to fit.

    Notes
    -----
    Over the untreated cells with a value, ``½ Σ (y − γ_i − δ_t − L_it)² + penalty ‖L‖_*`` is
    minimised over unit effects γ, period effects δ (neither penalised) and L, to convergence
    (`didkit.estimate.nuclear`; the fact ``off_optimum`` is by how much the conditions fail, in the
    metric's unit). The paper's λ is ``2 penalty / cells``. The effect of a cell is its value less
    the fit. Gaps need no full rows: a cell without a value is one that is not used.

    The penalty is, of 12 from the least that leaves two-way effects alone down to 1e-3 of it, the
    one that predicts untreated cells best in five folds. A fold takes every fifth period of a unit,
    moved by one from unit to unit, units in order of how much they vary beyond two-way effects:
    nothing is drawn, and neither ids nor order matter.

    It assumes that what pilots would have been is, but for noise, a few factors common to all
    units. It fails with few periods before the start, which do not show how pilots follow the
    factors; and the norm draws the fit towards two-way effects, so that some bias is left.
    Placebos and resamples keep the penalty. Standard errors: `PlaceboVariance`,
    ``Bootstrap("resample")``, `Jackknife`.

    References
    ----------
    Athey, Bayati, Doudchenko, Imbens & Khosravi (2021), Journal of the American Statistical
    Association 116(536); Mazumder, Hastie & Tibshirani (2010) for soft-impute.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.MatrixCompletion(penalty=100.0).fit(design, "cpp").infer(None)
    >>> made.facts["penalty"]
    100.0
    """

    penalty: float | None = field(default=None, kw_only=True)
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
                needed="penalty: a number above zero, in the metric's unit",
                found=repr(self.penalty),
                where=f"{_WHERE}(penalty=)",
                todo="leave it out to have it chosen by cross-validation",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Fit the matrix and estimate.

        Raises
        ------
        PanelError
            If the metric is unknown.
        DesignError, EstimationError
            Matched sets, or no effect that is identified: in no period from a start on is there an
            untreated unit.
        """
        sample = _sample(design, metric)
        sample = sample.keep(
            np.asarray(_untreated(sample, self.anticipation).any(axis=1)),
            "no untreated cell to learn the unit's level from",
            advice="allow for less anticipation, or use a longer window",
        )
        clean = _untreated(sample, self.anticipation)
        wide: Bools = np.asarray(clean.any(axis=0))
        penalty = self.penalty
        if penalty is None:
            penalty = _cross_validated(sample.y[:, wide], clean[:, wide])
        fitted = complete(sample.y[:, wide], clean[:, wide], penalty)
        starts = np.array(sample.starts)
        gaps = np.full(sample.y.shape, np.nan)
        gaps[:, wide] = sample.y[:, wide] - fitted.fit
        paths, count = _by_cohort(gaps, sample.cohort, len(starts))
        g, t = np.nonzero(count > 0)
        plan = aggregate(
            sample,
            g,
            t,
            self.by,
            size=cohort_sizes(sample, self.aggregation)[0],
            anticipation=self.anticipation,
            balance=self.balance,
            overall=self.overall,
            cell_size=count[g, t] if self.aggregation == "pilots" else None,
        )

        def values_of(labels: Labels, counts: Labels | None = None) -> tuple[Floats, float]:
            places = np.flatnonzero(labels >= -1)
            if counts is not None:
                places = np.repeat(places, counts[places])
            return self._again(sample, labels[places], places, wide, penalty, (g, t), plan.matrix)

        def placebos(labels: Labels) -> tuple[Floats, Floats]:
            each = [values_of(row) for row in labels]
            return np.stack([v for v, _ in each]), np.array([r for _, r in each])

        def resampled(counts: Labels) -> Floats:
            return np.stack([values_of(sample.cohort, row)[0] for row in counts])

        pilots = np.bincount(sample.cohort[sample.pilot], minlength=len(starts))
        carried = np.stack([np.bincount(g[row], minlength=len(starts)) > 0 for row in plan.members])
        unit = sample.metric.unit or "units of the metric"
        others = sample.n_comparators or len(sample.units) - int(pilots.min())
        return Published(
            values=plan.matrix @ paths[g, t],
            n_pilots=(carried * pilots).sum(axis=1).astype(np.int64),
            n_comparators=np.full(len(plan.terms), others, dtype=np.int64),
            placebos=placebos,
            resampled=resampled,
            assignable=seen_on_both_sides(sample, self.anticipation),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"average effect on the pilots' {tables.inside(sample.metric.label)} ({unit}) "
            "from the start on, against what a matrix of low rank predicts; "
            + counted(sample, self.aggregation, self.by),
            terms=plan.terms,
            facts=_facts(sample, fitted, clean[:, wide], gaps, penalty),
            notes=_notes(sample, wide, self.penalty),
        )

    def _again(
        self,
        sample: Sample,
        labels: Labels,
        places: Ints,
        wide: Bools,
        penalty: float,
        cells: tuple[Ints, Ints],
        matrix: Floats,
    ) -> tuple[Floats, float]:
        """Return the terms of other units or pilots, and the ratio of gaps after and before."""
        y = sample.y[places]
        start = np.array([*sample.starts, len(sample.periods)])[labels]
        when = np.arange(len(sample.periods))
        seen = np.isfinite(y) & (when < start[:, None] - self.anticipation * (labels >= 0)[:, None])
        nothing = np.full(len(matrix), np.nan), np.nan
        if not seen[:, wide].any(axis=0).all() or not seen.any(axis=1).all():
            return nothing
        made = complete(y[:, wide], seen[:, wide], penalty, tolerance=_AGAIN)
        gaps = np.full(y.shape, np.nan)
        gaps[:, wide] = y[:, wide] - made.fit
        paths, _ = _by_cohort(gaps, labels.astype(np.intp), len(sample.starts))
        own = labels >= 0
        return matrix @ paths[cells], _ratio(gaps[own], when >= start[own][:, None], seen[own])


def _sample(design: Design, metric: str | Metric) -> Sample:
    """Return the units, from one pool."""
    sample = design.sample(metric)
    if sample.sets is not None:
        raise EstimationError(
            needed="one pool of comparators, which the method weighs itself",
            found=f"matched sets: {design.against.describe()}",
            where=_WHERE,
            todo="use against=Pool(); to keep some out of the pool, design.exclude them",
        )
    return sample


def _untreated(sample: Sample, anticipation: int) -> Bools:
    """Return the cells that may be fitted: with a value, and before the start."""
    start = np.array([*sample.starts, len(sample.periods) + anticipation])[sample.cohort]
    made: Bools = sample.mask & (np.arange(len(sample.periods)) < start[:, None] - anticipation)
    return made


def _by_cohort(gaps: Floats, cohort: Ints, n: int) -> tuple[Floats, Floats]:
    """Return the mean gap of each cohort and period, and of how many pilots, (G, T) each."""
    there = np.isfinite(gaps)
    member = (cohort == np.arange(n)[:, None]).astype(float)
    count = member @ there
    total = member @ np.where(there, gaps, 0.0)
    paths: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return paths, count


def _ratio(gaps: Floats, after: Bools, seen: Bools) -> float:
    """Root mean square of the gaps after the start over that of the cells fitted before it."""
    top, low = gaps[after & np.isfinite(gaps)], gaps[seen]
    below = float(np.sqrt((low**2).mean())) if len(low) else 0.0
    return float(np.sqrt((top**2).mean())) / below if below > 0 and len(top) else float("inf")


def _folds(y: Floats, seen: Bools) -> list[Bools]:
    """Return the cells of each fold, with every unit and period left in some other fold."""
    left = np.where(seen, y - complete(y, seen, np.inf).fit, 0.0)
    rank = np.argsort(np.argsort((left**2).sum(axis=1), kind="stable"), kind="stable")
    code = (rank[:, None] + np.arange(y.shape[1])) % _FOLDS
    made = []
    for fold in range(_FOLDS):
        held = seen & (code == fold)
        rest = seen & ~held
        held &= rest.any(axis=1)[:, None] & rest.any(axis=0)
        if held.any():
            made.append(held)
    return made


def _cross_validated(y: Floats, seen: Bools) -> float:
    """Return the penalty that predicts cells held out best."""
    top = largest_penalty(y, seen)
    if top <= _EXACT * float(y[seen].std()) * np.sqrt(seen.sum()):  # two-way effects fit exactly
        return float("inf")
    grid = top * _RANGE ** (np.arange(_STEPS) / (_STEPS - 1))
    errors = np.zeros(_STEPS)
    for held in _folds(y, seen):
        first: Floats | None = None
        for k, penalty in enumerate(grid):
            made = complete(
                y, seen & ~held, float(penalty), first=first, tolerance=_ROUGH, quick=True
            )
            first = made.fit
            errors[k] += float(((y - made.fit)[held] ** 2).sum())
    return float(grid[int(np.argmin(errors))])


def _facts(
    sample: Sample, fitted: Completed, seen: Bools, gaps: Floats, penalty: float
) -> dict[str, float]:
    """Return the penalty, the rank, how near the optimum, and how well pilots are followed."""
    own = sample.pilot
    before = np.zeros(gaps.shape, dtype=bool)
    before[:, np.isfinite(gaps).any(axis=0)] = seen
    inside = gaps[own][before[own]]
    return {
        "penalty": penalty,
        "rank": float(fitted.rank),
        "steps": float(fitted.rounds),
        "off_optimum": fitted.miss,
        "pre_rmse": float(np.sqrt((inside**2).mean())) if len(inside) else float("nan"),
        "rmspe_ratio": _ratio(gaps[own], sample.treated[own], before[own]),
    }


def _notes(sample: Sample, wide: Bools, penalty: float | None) -> tuple[str, ...]:
    """Say what was left out, and how the penalty came about."""
    made = [] if penalty is not None else ["the penalty was chosen by cross-validation in 5 folds"]
    if not wide.all():
        gone = [p for p, there in zip(sample.periods, wide, strict=True) if not there]
        made.append(f"no untreated unit, so no effect: {first_few(gone)}")
    return (
        *made,
        "the fit is chosen by the outcome: the estimate is no fixed sum of cells, so permutation "
        "by weights and bounds do not apply; effects before the start are what the fit leaves",
    )
