"""What imputation and the two-stage regression share: terms as averages of imputed effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError
from didkit.estimate.aggregation import Aggregation
from didkit.estimate.by_cohort import reassigned_by_cohort, without_own_effect
from didkit.estimate.refits import Kernel, refits
from didkit.estimate.untreated import Timing, Untreated, of_treatment
from didkit.results import Draws, Labels

__all__ = [
    "Terms",
    "effects_of",
    "learnt",
    "many",
    "over_cells",
    "over_periods",
    "residualised",
    "seen_on_both_sides",
    "try_to",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms as averages over pilots' cells, for any assignment of the pilots.

    Parameters
    ----------
    sample : Sample
        Its cells, starts, weights and covariates.
    anticipation : int
        Periods before the start that are treated too.
    inside : bool array (k, G, T)
        Cohorts and periods that enter a term.
    matrix : array (k, G, T) or None
        What the mean of each cohort and period counts for; None: as its cells (weighted) do.
    """

    sample: Sample
    anticipation: int
    inside: Bools
    matrix: Floats | None = None

    @classmethod
    def of(
        cls, sample: Sample, anticipation: int, made: Aggregation, t: Ints, *, by_cells: bool
    ) -> Terms:
        """Lay an aggregation of effects by cohort and period out."""
        shape = (len(made.matrix), len(sample.starts), len(sample.periods))
        inside, matrix = np.zeros(shape, dtype=bool), np.zeros(shape)
        inside[:, made.g, t] = made.members
        matrix[:, made.g, t] = made.matrix
        return cls(sample, anticipation, inside, None if by_cells else matrix)

    @property
    def w(self) -> Floats:
        """Weights of cells, 1 where the sample has none."""
        given = self.sample.w
        return np.ones(self.sample.y.shape) if given is None else given

    @property
    def starts(self) -> Ints:
        """Positions of the starts."""
        return np.array(self.sample.starts, dtype=np.intp)

    def acts(self, cohort: Ints) -> Bools:
        """Return where the treatment of each term acts, (k, J, T)."""
        made = np.zeros((len(self.inside), *self.sample.y.shape), dtype=bool)
        pilot = cohort >= 0
        made[:, pilot] = self.inside[:, cohort[pilot]]
        return made

    def averages(self, cohort: Ints, there: Bools) -> tuple[Floats, Bools]:
        """Return the weight of each cell in each term, (k, J, T), and which terms do not exist."""
        cells = self.acts(cohort) & there
        a = cells * self.w
        if self.matrix is None:
            total = a.sum(axis=(1, 2))
            lost = total <= 0
            return a / np.where(lost, 1.0, total)[:, None, None], lost
        lost = np.zeros(len(a), dtype=bool)
        for g in range(len(self.starts)):
            own = cohort == g
            total = a[:, own].sum(axis=1)  # (k, T)
            lost |= ((self.matrix[:, g] != 0) & (total <= 0)).any(axis=1)
            share = self.matrix[:, g] / np.where(total > 0, total, 1.0)
            a[:, own] *= share[:, None]
        return np.where(lost[:, None, None], 0.0, a), lost


def learnt(
    terms: Terms, cohort: Ints, outcomes: Floats
) -> tuple[Timing, Untreated, Floats, Floats]:
    """Fit the untreated cells; return y − ŷ0 (O, J, T) too, zero where there is none."""
    sample = terms.sample
    timing = of_treatment(cohort, terms.starts, sample.mask, terms.anticipation)
    model = Untreated(timing.untreated, terms.w, sample)
    hidden, slopes = model.fit(outcomes)
    there = sample.mask & model.imputable
    return timing, model, np.where(there, outcomes - hidden, 0.0), slopes


def residualised(model: Untreated, columns: Floats) -> tuple[Floats, Floats, bool]:
    """Return weights (L, J, T) of the coefficients of further columns on untreated cells.

    Frisch-Waugh-Lovell: columns (L, J, T) less what effects and covariates say of them. Then the
    residual columns, and whether they are collinear.
    """
    left = np.where(model.use, columns - model.fit(columns)[0], 0.0)
    weighted = left * model.w
    gram = np.einsum("ljt,mjt->lm", weighted, left)
    raw = np.sqrt(np.maximum(np.einsum("ljt,ljt->l", columns * model.w, columns), 1e-300))
    alike = np.linalg.eigvalsh(gram / np.outer(raw, raw))[0] < 1e-10
    if alike:
        return np.zeros_like(left), left, True
    return np.einsum("lm,mjt->ljt", np.linalg.inv(gram), weighted), left, False


def many(
    kernel: Kernel,
    actual: Floats,
    sample: Sample,
    weights: Floats,
    *,
    lost: Bools | None = None,
) -> Callable[[Labels], Draws]:
    """Return the refit for many assignments: at once where the panel allows it.

    `lost` (k,): terms of which a shift is no effect on the outcome, which have no placebo.
    """
    if sample.mask.all() and sample.w is None and sample.x is None:
        made = reassigned_by_cohort(kernel, sample.y, actual, weights, sample.cohort)
    else:
        made = refits(kernel, sample.y, actual)
    return made if lost is None else without_own_effect(made, lost)


def seen_on_both_sides(sample: Sample, anticipation: int) -> Bools:
    """Tell units that could have been pilots of every start, (J,)."""
    made = np.ones(len(sample.units), dtype=bool)
    for start in sample.starts:
        made &= sample.mask[:, : max(start - anticipation, 0)].any(axis=1)
        made &= sample.mask[:, start:].any(axis=1)
    return made | sample.pilot


def effects_of(sample: Sample, anticipation: int) -> tuple[Ints, Ints, Floats]:
    """Return cohort and period of each effect that pilots' cells show, and what its cells weigh."""
    starts = np.array(sample.starts, dtype=np.intp)
    timing = of_treatment(sample.cohort, starts, sample.mask, anticipation)
    w = np.ones(sample.y.shape) if sample.w is None else sample.w
    found = [
        (g, int(t), float(w[own, t][timing.acted[own, t]].sum()))
        for g in range(len(starts))
        for own in (sample.cohort == g,)
        for t in np.flatnonzero(timing.acted[own].any(axis=0))
    ]
    g, t, count = (np.array(column) for column in zip(*found, strict=True))
    return g.astype(np.intp), t.astype(np.intp), count.astype(np.float64)


def over_cells(weights: Floats, values: Floats) -> Floats:
    """Sum weights (k, J, T) × values (O, J, T) over cells: (O, k)."""
    return np.asarray(values.reshape(len(values), -1) @ weights.reshape(len(weights), -1).T)


def over_periods(weights: Floats, values: Floats) -> Floats:
    """Sum weights (k, J, T) × values (O, J, T) over periods: (O, J, k)."""
    made = weights.transpose(1, 0, 2) @ values.transpose(1, 2, 0)  # (J, k, O)
    return np.ascontiguousarray(made.transpose(2, 0, 1))


def try_to(
    fit: Callable[[Ints, Floats], tuple[Floats, Floats, Floats, Floats]],
    cohort: Ints,
    outcomes: Floats,
    k: int,
) -> tuple[Floats, Floats]:
    """Return values and influence under an assignment; NaN where a covariate is collinear there."""
    try:
        return fit(cohort, outcomes)[:2]
    except EstimationError:
        n, n_units = len(outcomes), len(cohort)
        return np.full((n, k), np.nan), np.full((n, n_units, k), np.nan)
