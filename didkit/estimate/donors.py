"""What the synthetic control family shares: donors, weights of units and periods, and refits.

Every member says, for the pilots of one start, which mixture of donors (w) and of periods before
the start (λ) they are held against. Given these the effect of a period is a plain sum of cells: the
gap ``ȳ_t − Σ w_i y_it`` less the mean of the gaps before the start, weighted by λ (0: no such
mean).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_whole
from didkit.estimate.aggregation import Aggregated, Aggregation, By, aggregate, cohort_sizes
from didkit.estimate.published import Published
from didkit.panel import Metric
from didkit.results import Estimate, Estimator, Labels

__all__ = ["Family", "Fitted", "Mixture", "Rule", "check_periods", "donor_sample", "publish"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_ROUNDING = 1e-7  #: a fit is exact when it misses by less than this share of the donors' distance


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights for the pilots of one start.

    ``units`` (n1, n0), or (1, n0) where one mixture serves them all; ``periods`` (T,), which add up
    to 1, or are all 0 where levels are compared.
    """

    units: Floats
    periods: Floats


#: (cohort, positions of its pilots, positions of the donors) → weights; positions may repeat
Rule = Callable[[int, Ints, Ints], Mixture]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The mixtures of one assignment, and the effect of each cohort and period (G, T)."""

    own: tuple[Ints, ...]
    donors: Ints
    mixtures: tuple[Mixture, ...]
    paths: Floats


@dataclass(frozen=True, eq=False)
class Family:
    """A rule on outcomes (J, T) with the periods before and after each of G starts.

    Parameters
    ----------
    y : array (J, T)
        Outcomes.
    before, after : bool array (G, T)
        Periods that weights may see, and those from the start on; neither: anticipation, or a
        period set aside.
    rule : callable
        How weights are chosen.
    """

    y: Floats
    before: Bools
    after: Bools
    rule: Rule

    def fit(self, labels: Labels, counts: Labels | None = None) -> Fitted:
        """Choose weights for one assignment: cohort by unit, −1 for donors, −2 for those left out.

        `counts` says how often each unit stands in the sample: 1 unless it was drawn again.
        """
        places = np.arange(len(labels), dtype=np.intp)
        if counts is not None:
            places = np.repeat(places, counts)
        kinds = labels[places]
        donors = places[kinds == -1]
        own = tuple(places[kinds == g] for g in range(len(self.after)))
        paths = np.full(self.after.shape, np.nan)
        mixtures = []
        for g, pilots in enumerate(own):
            if not len(pilots) or not len(donors):
                mixtures.append(Mixture(np.zeros((0, len(donors))), np.zeros(self.y.shape[1])))
                continue
            mixture = self.rule(g, pilots, donors)
            paths[g] = _path(self.y[pilots], mixture.units @ self.y[donors], mixture.periods)
            mixtures.append(mixture)
        return Fitted(own, donors, tuple(mixtures), paths)

    def ratio(self, fitted: Fitted) -> float:
        """Root mean square of the effects after the start over that before, pilots alike."""
        size = np.array([len(one) for one in fitted.own], dtype=float)[:, None]
        squares = np.where(np.isfinite(fitted.paths), fitted.paths**2, 0.0) * size
        top = squares[self.after].sum() / (size * self.after).sum()
        low = squares[self.before].sum() / (size * self.before).sum()
        return float(np.sqrt(top / low)) if low > 0 else float("inf")


def _path(own: Floats, synthetic: Floats, periods: Floats) -> Floats:
    """Return the effect by period: the mean gap, less its weighted mean before the start."""
    gap = own.mean(axis=0) - synthetic.mean(axis=0)
    seen = periods != 0  # a period set aside has no gap, and no weight
    made: Floats = gap - periods[seen] @ gap[seen]
    return made


def check_periods(anticipation: object, where: str) -> None:
    """Refuse an anticipation that is no whole number of periods.

    Raises
    ------
    EstimationError
        If it is negative, or no whole number.
    """
    if not is_whole(anticipation) or int(str(anticipation)) < 0:
        raise EstimationError(
            needed="anticipation: a whole number of periods, 0 or more",
            found=repr(anticipation),
            where=f"{where}(anticipation=)",
            todo="1 lets weights see nothing of the last period before the start",
        )


def donor_sample(
    design: Design, metric: str | Metric, where: str, *, covariates: Sequence[str] = ()
) -> tuple[Sample, tuple[str, ...]]:
    """Return the sample of units with all their cells, and notes on who is no donor.

    Raises
    ------
    EstimationError
        Matched sets, pilots without cells from their stop on, or nobody who never starts.
    """
    sample = design.sample(metric, covariates=tuple(covariates))
    if sample.sets is not None:
        raise EstimationError(
            needed="one pool of comparators, of which the method makes its own mixture",
            found=f"matched sets: {design.against.describe()}",
            where=where,
            todo="use against=Pool(); to keep some out of the pool, design.exclude them",
        )
    if sample.left.any():
        gone = [u for u, out in zip(sample.units, sample.left, strict=True) if out]
        raise EstimationError(
            needed="pilots with a value in every period",
            found=f"no cells after they left, as treated: {first_few(gone)}",
            where=where,
            todo="use treatment='intention_to_treat', MatrixCompletion() or Imputation()",
        )
    refuse_no_donors(sample, where)
    excused = np.zeros(sample.y.shape, dtype=bool)
    excused[sample.pilot] = sample.set_aside[sample.cohort[sample.pilot]]
    whole: Bools = np.asarray((sample.mask | excused).all(axis=1))
    sample = sample.keep(
        whole,
        "no value in some period of the window",
        advice="use MatrixCompletion, which needs no full rows, or a window in which more units "
        "are observed",
    )
    notes: tuple[str, ...] = ()
    if sample.not_yet:
        refuse_no_donors(sample, where)
        notes = ("pilots that start later are no donors: only units that never start are",)
    return sample, notes


def refuse_no_donors(sample: Sample, where: str) -> None:
    """Refuse a sample in which everybody starts.

    Raises
    ------
    EstimationError
        With the estimators that serve instead.
    """
    if sample.n_comparators:
        return
    raise EstimationError(
        needed="units that never start, as donors",
        found=f"none: all {len(sample.units)} start",
        where=where,
        todo="use GroupTime, Imputation or another estimator that compares with later pilots",
    )


def windows_of(
    sample: Sample, anticipation: int, where: str, *, least: int = 2
) -> tuple[Bools, Bools]:
    """Return the periods before and from each start, (G, T) each.

    Raises
    ------
    EstimationError
        If a start has fewer than `least` periods before it.
    """
    when = np.arange(len(sample.periods))
    start = np.array(sample.starts)[:, None]
    kept = ~sample.set_aside
    before, after = (when < start - anticipation) & kept, (when >= start) & kept
    few = [
        sample.periods[s] for s, row in zip(sample.starts, before, strict=True) if row.sum() < least
    ]
    if few:
        raise EstimationError(
            needed=f"at least {least} periods before each start, for weights to follow",
            found=f"fewer before {first_few(few)}"
            + (f", with {anticipation} of anticipation" if anticipation else ""),
            where=where,
            todo="widen the window, or leave those pilots out with design.drop",
        )
    return before, after


def publish(
    estimator: Estimator,
    design: Design,
    sample: Sample,
    family: Family,
    *,
    by: By,
    overall: bool,
    balance: int | None,
    aggregation: Aggregated,
    anticipation: int,
    estimand: str,
    facts: Mapping[str, float],
    notes: tuple[str, ...],
) -> Estimate:
    """Fit, aggregate and publish: values, weights as a table, and refits for inference."""
    fitted = family.fit(sample.cohort)
    kept = ~sample.set_aside
    g, t = np.nonzero(kept)
    sizes = cohort_sizes(sample, aggregation)[0]

    def terms_of(size: Floats, there: Bools) -> Aggregation:
        cells = there[g]
        return aggregate(
            sample,
            g[cells],
            t[cells],
            by,
            size=size,
            anticipation=anticipation,
            balance=balance,
            overall=overall,
        )

    every = np.ones(len(sample.starts), dtype=bool)
    plan = terms_of(sizes, every)

    def values_of(paths: Floats, plan: Aggregation = plan, there: Bools = every) -> Floats:
        made: Floats = plan.matrix @ paths[g, t][there[g]]
        return made

    def placebos(labels: Labels) -> tuple[Floats, Floats]:
        each = [family.fit(row) for row in labels]
        return np.stack([values_of(one.paths) for one in each]), np.array(
            [family.ratio(one) for one in each]
        )

    names = list(plan.terms["term"])
    count = np.bincount(sample.cohort[sample.pilot], minlength=len(sample.starts))

    def again(paths: Floats, pilots: Floats) -> Floats:
        """Return the terms with so many pilots in each cohort, NaN where they are gone."""
        there = pilots > 0
        made = np.full(len(names), np.nan)
        if not there.any():
            return made
        size = np.ones(len(pilots)) if aggregation == "cohorts" else pilots
        new = plan if (pilots == count).all() else terms_of(size, there)
        found = dict(zip(new.terms["term"], values_of(paths, new, there), strict=True))
        return np.array([found.get(name, np.nan) for name in names])

    def resampled(counts: Labels) -> Floats:
        made = []
        for row in counts:
            one = family.fit(sample.cohort, row)
            made.append(again(one.paths, np.array([float(len(p)) for p in one.own])))
        return np.stack(made)

    carried = np.stack([np.bincount(g[row], minlength=len(count)) > 0 for row in plan.members])
    n_pilots = (carried * count).sum(axis=1)
    return Published(
        values=values_of(fitted.paths),
        n_pilots=n_pilots.astype(np.int64),
        n_comparators=np.full(len(names), sample.n_comparators, dtype=np.int64),
        influence=_fixed_weights(family, fitted, again, n_pilots, len(sample.units)),
        placebos=placebos,
        resampled=resampled,
    ).to_estimate(
        estimator,
        design,
        sample,
        estimand=estimand,
        terms=plan.terms,
        facts={**_fit_facts(sample, family, fitted), **facts},
        notes=(*notes, *_fit_notes(sample, family, fitted), *_NOTES),
        synthetic=_table(sample, fitted),
    )


_NOTES = (
    "weights of units and periods are chosen by the outcome before the start: the estimate is no "
    "fixed sum of cells, so permutation by weights and bounds do not apply; effects before the "
    "start are what the fit leaves, no test of it",
)


def _fixed_weights(
    family: Family,
    fitted: Fitted,
    again: Callable[[Floats, Floats], Floats],
    n_pilots: NDArray[np.int64],
    n_units: int,
) -> Floats | None:
    """Return the jackknife with weights held as they are, as each unit's influence (J, k).

    Arkhangelsky et al. (2021), algorithm 3: without a donor the others share its weight. The sum of
    squares is ``(n − 1)/n Σ (θ(−j) − mean)²``. None where no term has two pilots, or one donor has
    all the weight; NaN for terms with one pilot.
    """
    y, count = family.y, np.array([float(len(one)) for one in fitted.own])
    if n_pilots.max() < 2 or len(fitted.donors) < 2:
        return None
    if any((1 - m.units).min(initial=1.0) < 1e-12 for m in fitted.mixtures):
        return None
    made = np.tile(again(fitted.paths, count), (n_units, 1))
    used = np.any([(m.units != 0).any(axis=0) for m in fitted.mixtures], axis=0)
    for i in np.flatnonzero(used).tolist():
        paths = fitted.paths.copy()
        for g, mixture in enumerate(fitted.mixtures):
            rest = mixture.units.copy()
            rest[:, i] = 0.0
            rest /= rest.sum(axis=1, keepdims=True)
            paths[g] = _path(y[fitted.own[g]], rest @ y[fitted.donors], mixture.periods)
        made[fitted.donors[i]] = again(paths, count)
    for g, mixture in enumerate(fitted.mixtures):
        for i, pilot in enumerate(fitted.own[g].tolist()):
            paths, left = fitted.paths.copy(), count.copy()
            left[g] -= 1
            if left[g]:
                rest = mixture.units
                rest = np.delete(rest, i, axis=0) if len(rest) > 1 else rest
                others = np.delete(fitted.own[g], i)
                paths[g] = _path(y[others], rest @ y[fitted.donors], mixture.periods)
            made[pilot] = again(paths, left)
    made = np.sqrt((n_units - 1) / n_units) * (made.mean(axis=0) - made)
    made[:, n_pilots < 2] = np.nan
    return np.asarray(made, dtype=np.float64)


def _table(sample: Sample, fitted: Fitted) -> pd.DataFrame:
    """Lay the weights out: one row a start, pilot and donor, and a start and period."""
    rows: list[tuple[object, ...]] = []
    for g, mixture in enumerate(fitted.mixtures):
        start = sample.periods[sample.starts[g]]
        whose = [""] if len(mixture.units) == 1 else [sample.units[j] for j in fitted.own[g]]
        if len(fitted.own[g]) == 1:
            whose = [sample.units[fitted.own[g][0]]]
        for pilot, row in zip(whose, mixture.units, strict=True):
            for i in np.flatnonzero(row):
                j = fitted.donors[i]
                rows.append((start, "unit", pilot, sample.units[j], sample.names[j], row[i]))
        for t in np.flatnonzero(mixture.periods):
            rows.append(
                (start, "period", "", sample.periods[t], sample.periods[t], mixture.periods[t])
            )
    return pd.DataFrame(rows, columns=["start", "kind", "pilot", "label", "name", "weight"])


def _mean_weights(fitted: Fitted) -> Floats:
    """Return each donor's weight, averaged over pilots."""
    size = np.array([len(one) for one in fitted.own], dtype=float)
    made: Floats = (np.stack([m.units.mean(axis=0) for m in fitted.mixtures]) * size[:, None]).sum(
        axis=0
    ) / size.sum()
    return made


def _misses(family: Family, fitted: Fitted) -> list[tuple[int, Floats, Floats]]:
    """Return for each start what each mixture misses its pilot by, and how far donors are.

    Root mean squares over the periods before the start, of gaps less their mean weighted by λ.
    """
    made = []
    for g, mixture in enumerate(fitted.mixtures):
        before, lam = family.before[g], mixture.periods
        own = family.y[fitted.own[g]]
        own = own.mean(axis=0, keepdims=True) if len(mixture.units) == 1 else own
        gap = own - mixture.units @ family.y[fitted.donors]
        gap = gap - (gap @ lam)[:, None]
        far = family.y[fitted.donors] - own.mean(axis=0)
        far = far - (far @ lam)[:, None]
        miss = np.sqrt((gap[:, before] ** 2).mean(axis=1))
        made.append((g, miss, np.sqrt((far[:, before] ** 2).mean())))
    return made


def _fit_facts(sample: Sample, family: Family, fitted: Fitted) -> dict[str, float]:
    """Return how well the pilots are followed, and by how many donors."""
    mean = _mean_weights(fitted)
    size = np.array([len(one) for one in fitted.own], dtype=float)[:, None]
    inside = family.before * size
    squares = float((np.where(inside > 0, fitted.paths**2, 0.0) * inside).sum() / inside.sum())
    missed = np.concatenate([miss > _ROUNDING * far for _, miss, far in _misses(family, fitted)])
    return {
        "pre_rmse": float(np.sqrt(squares)),
        "rmspe_ratio": family.ratio(fitted),
        "donors_with_weight": float((mean != 0).sum()),
        "effective_donors": float(mean.sum() ** 2 / (mean**2).sum()),
        "largest_donor_weight": float(np.abs(mean).max()),
        "share_not_reproduced": float(missed.mean()),
    }


def _fit_notes(sample: Sample, family: Family, fitted: Fitted) -> tuple[str, ...]:
    """Name the mixture that follows worst."""
    found = []
    for g, miss, _ in _misses(family, fitted):
        own = fitted.own[g]
        start = sample.periods[sample.starts[g]]
        whose = [f"the mean of the pilots of {start}"]
        if len(own) == len(miss):
            whose = [sample.units[j] for j in own]
        found += list(zip(miss.tolist(), whose, strict=True))
    worst, who = max(found, key=lambda pair: (pair[0], pair[1]))
    unit = sample.metric.unit or "units of the metric"
    what = "followed worst" if len(found) > 1 else "followed"
    return (f"{what}: {who}, {worst:.3g} {unit} away before the start (root mean square)",)
