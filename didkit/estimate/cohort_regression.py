"""The linear regression with an effect for each cohort and period, and averages of its effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError, is_whole
from didkit.estimate.aggregation import Aggregation
from didkit.estimate.by_cohort import reassigned_by_cohort
from didkit.estimate.cohort_cells import CohortCells, recombined
from didkit.estimate.published import Published
from didkit.estimate.refits import refits
from didkit.estimate.saturated import Fitted, Rows, normal_by

__all__ = ["Built", "blocks", "cell_weights", "check_anticipation", "period_columns", "regression"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Built:
    """The regression under one assignment.

    Parameters
    ----------
    rows : Rows
        The columns, p.
    effects : array (C, p)
        Each effect as a combination of the parameters; zero for one that nobody carries.
    """

    rows: Rows
    effects: Floats


Build = Callable[[Ints], Built]


def check_anticipation(anticipation: object, where: str) -> None:
    """Refuse what is no number of periods.

    Raises
    ------
    EstimationError
        If it is not a whole number of 0 or more.
    """
    if not is_whole(anticipation) or int(str(anticipation)) < 0:
        raise EstimationError(
            needed="a whole number of periods, 0 or more",
            found=repr(anticipation),
            where=f"{where}(anticipation=)",
            todo="0 if the programme cannot act before it starts",
        )


def cell_weights(cells: CohortCells) -> Floats:
    """Return each cell's weight in least squares, (J, T); zero without a value."""
    sample = cells.sample
    if sample.w is None:
        return sample.mask.astype(np.float64)
    return np.where(sample.mask, sample.w, 0.0)


def blocks(kinds: Ints, n_periods: int) -> Floats:
    """Return one column for each kind of unit (J,) but the first, constant over T periods."""
    each = np.unique(kinds)[1:]
    made = (kinds[:, None] == each).astype(np.float64)
    return np.repeat(made[:, :, None], n_periods, axis=2)


def period_columns(cells: CohortCells) -> tuple[Floats, tuple[str, ...]]:
    """Return a column for each period with a value but the first, (J, S, T), and their names."""
    sample = cells.sample
    seen = np.flatnonzero(sample.mask.any(axis=0))[1:]
    made = np.zeros((len(seen), len(sample.periods)))
    made[np.arange(len(seen)), seen] = 1.0
    columns = made[None] * sample.mask[:, None]
    return columns, tuple(f"period {sample.periods[t]}" for t in seen)


def regression(
    cells: CohortCells, aggregation: Aggregation, build: Build, *, pilots: bool
) -> Published:
    """Fit, and publish the averages.

    Parameters
    ----------
    cells : CohortCells
        The effects and the sample.
    aggregation : Aggregation
        The averages.
    build : callable
        Cohort of each unit (J,) → the regression.
    pilots : bool
        Whether observations count alike in averages, or cohorts.

    Raises
    ------
    EstimationError
        If columns are collinear.
    """
    sample = cells.sample
    built = build(sample.cohort)
    y = np.where(sample.mask, sample.y, 0.0)
    fitted = Fitted.of(
        built.rows,
        y,
        aggregation.matrix @ built.effects,
        sample.clusters,
        sample.cluster_labels,
    )
    n_pilots, n_comparators = cells.carried(aggregation.members)
    actual = cells.acts(aggregation.members).astype(np.float64)

    def kernel(cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats]:
        there = cells.size(cohort)
        matrix = recombined(aggregation, there if pilots else (there > 0).astype(np.float64))
        lost = np.asarray(np.isnan(matrix).any(axis=1))
        again = build(cohort)
        made = again.rows.estimates(outcomes, np.where(lost[:, None], 0.0, matrix) @ again.effects)
        if made is None:
            shape = (len(outcomes), len(y), len(matrix))
            return np.full((shape[0], shape[2]), np.nan), np.full(shape, np.nan)
        values, influence = made
        return np.where(lost, np.nan, values), np.where(lost, np.nan, influence)

    live = sample.mask.any(axis=0)  # a period without any value has no weight
    whole = bool(sample.mask[:, live].all())
    alike = whole and sample.w is None and not sample.covariates
    reassigned = (
        reassigned_by_cohort(kernel, y, actual, fitted.weights, sample.cohort)
        if alike
        else refits(kernel, sample.y, actual)
    )
    return Published(
        values=fitted.values,
        n_pilots=n_pilots,
        n_comparators=n_comparators,
        weights=fitted.weights,
        influence=fitted.influence,
        normal=fitted.normal,
        contrast=fitted.contrast,
        regroup=lambda codes: normal_by(fitted.rows, y, codes),
        reassigned=reassigned,
        assignable=None if whole else cells.assignable,
    )
