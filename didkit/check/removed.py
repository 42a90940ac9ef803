"""An estimate without some of its units or cells: refits, and the same by algebra where it holds.

With ``A_g`` and ``b_g`` the cross-products of unit g, unit effects swept out (they are the unit's
own), least squares without the units S solves ``(A − Σ A_g) β = b − Σ b_g``: the estimate moves by
``−c'(A − Σ A_g)⁻¹ Σ s_g``, with ``s_g = b_g − A_g β``. So thousands of sets cost one small system
each. Whoever uses it holds what he reports against a refit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design
from didkit.errors import DesignError, EstimationError, InferenceError, first_few
from didkit.estimate import DiD, EventStudy
from didkit.panel import Metric, Panel, Status
from didkit.panel.status import Cells
from didkit.progress import steps
from didkit.results import Estimate, Inference

__all__ = [
    "EXACT",
    "Equations",
    "dropped",
    "equations",
    "main_value",
    "refit_without",
    "same",
    "without_cells",
    "without_units",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

EXACT = 1e-7  #: of the size of numbers: the algebra and a refit are the same number
_NEARLY_LOST = 1e-8  #: determinant of what is left (1 with nothing removed) below which one refits
_CHUNK = 4_000_000  #: numbers in the largest array at once


def dropped(design: Design, units: Iterable[str]) -> Design:
    """Return the design without several units, pilots first.

    Comparators of matched sets that served nobody else leave with their pilot.

    Raises
    ------
    DesignError
        If nothing is left to compare.
    """
    wanted = list(units)
    pilots = [unit for unit in wanted if unit in design.starts]
    made = design
    for unit in [*pilots, *(unit for unit in wanted if unit not in pilots)]:
        if unit in made.starts or unit in made.comparators:
            made = made.drop(unit)
    return made


def without_cells(
    panel: Panel, metric: Metric, units: Sequence[str], periods: Sequence[str], *, crossed: bool
) -> Panel:
    """Return the panel with some cells of one metric not available, all others as they are.

    Parameters
    ----------
    panel : Panel
        With all cells.
    metric : Metric
        Of the cells.
    units, periods : sequence of str
        Their labels: pairs, or with `crossed` every unit in every period.
    crossed : bool
        See above.
    """
    row = {unit: i for i, unit in enumerate(panel.unit_ids)}
    column = {period: i for i, period in enumerate(panel.periods)}
    at = (
        np.array([row[unit] for unit in units], dtype=np.intp),
        np.array([column[one] for one in periods], dtype=np.intp),
    )
    where = np.ix_(*at) if crossed else at
    old = panel.cells(metric.name)
    made = Cells(old.value.copy(), old.status.copy(), old.lower.copy(), old.upper.copy())
    for part in (made.value, made.lower, made.upper):
        part[where] = np.nan
    made.status[where] = Status.NOT_AVAILABLE
    other = copy.copy(panel)
    other._cells = {**panel._cells, metric.name: made}
    return other


def without_units(estimate: Estimate, units: Iterable[int]) -> Estimate:
    """Refit without the units at these places of the sample.

    Raises
    ------
    DesignError, EstimationError
        If there is no estimate without them.
    """
    return estimate.refit(dropped(estimate.design, [estimate.sample.units[j] for j in units]))


def main_value(estimate: Estimate, refit: Estimate) -> float:
    """Return the refit's value of the estimate's main term; NaN where it has none."""
    names = list(refit.terms["term"])
    term = estimate.main_term
    return float(refit.values[names.index(term)]) if term in names else float("nan")


def refit_without(
    estimate: Estimate,
    units: Iterable[int],
    inference: Inference | None = None,
    level: float = 0.95,
) -> tuple[float, float, float, float, str]:
    """Refit without some units: estimate, interval, p and, where something is missing, why.

    Returns
    -------
    tuple
        ``estimate, conf_low, conf_high, p_value, why``; NaN where there is none.
    """
    try:
        made = without_units(estimate, units)
    except (DesignError, EstimationError) as error:
        return np.nan, np.nan, np.nan, np.nan, f"no estimate: {error.found}"
    return with_interval(estimate, made, inference, level)


def with_interval(
    estimate: Estimate, made: Estimate, inference: Inference | None, level: float
) -> tuple[float, float, float, float, str]:
    """Return a refit's main term with its interval: ``estimate, low, high, p, why not``."""
    value = main_value(estimate, made)
    if inference is None or not np.isfinite(value):
        why = "" if np.isfinite(value) else f"no term {estimate.main_term!r}"
        return value, np.nan, np.nan, np.nan, why
    try:
        sure = made.infer(inference, level=level).attached
    except InferenceError as error:
        return value, np.nan, np.nan, np.nan, f"no interval: {error.found}"
    m = list(made.terms["term"]).index(estimate.main_term)
    return (
        value,
        float(sure.conf_low[m]),
        float(sure.conf_high[m]),
        float(sure.p_value[m]),
        "" if np.isfinite(sure.p_value[m]) else "no interval: " + first_few(sure.notes, 1),
    )


def same(one: float, other: float, scale: float) -> bool:
    """Whether two numbers differ by rounding only."""
    if np.isnan(one) or np.isnan(other):
        return bool(np.isnan(one) and np.isnan(other))
    return abs(one - other) <= EXACT * max(scale, abs(one), abs(other))


@dataclass(frozen=True, eq=False)
class Equations:
    """The main term's normal equations by unit, turned so that those of all units add up to 1.

    Parameters
    ----------
    value : float
        The estimate.
    share : array (J, p, p)
        Each unit's part of the cross-products; they add up to the identity.
    score : array (J, p)
        Each unit's cross-products with the residual; they add up to zero.
    term : array (p,)
        The combination of parameters that the main term is.
    shift : array (J,)
        What each unit's removal adds to the estimate; NaN where that is not known.
    """

    value: float
    share: Floats
    score: Floats
    term: Floats
    shift: Floats

    @property
    def scale(self) -> float:
        """Size of what is compared."""
        return max(abs(self.value), float(np.nanmax(np.abs(self.shift), initial=0.0)))

    def without(self, sets: Ints) -> Floats:
        """Return the estimate without each set of units (B, s) → (B,).

        NaN where the units left hardly hold the term: a refit says whether it exists.
        """
        n, p = len(sets), len(self.term)
        made = np.full(n, np.nan)
        size = max(1, _CHUNK // (p * p * max(1, sets.shape[1])))
        for first in range(0, n, size):
            part = sets[first : first + size]
            left = np.eye(p) - self.share[part].sum(axis=1)
            held = np.linalg.det(left) > _NEARLY_LOST
            moved = np.linalg.solve(left[held], self.score[part[held]].sum(axis=1)[..., None])
            inside = made[first : first + size]
            inside[held] = self.value - moved[..., 0] @ self.term
        return made

    def spread(self, sets: Ints) -> tuple[Floats, Floats]:
        """Return the estimate and its CR0 standard error without each set, (B,) both."""
        n, p = len(sets), len(self.term)
        values, errors = np.full(n, np.nan), np.full(n, np.nan)
        everyone = np.arange(len(self.share))
        for i, part in enumerate(sets):
            left = np.eye(p) - self.share[part].sum(axis=0)
            if np.linalg.det(left) <= _NEARLY_LOST:
                continue
            right = np.stack([-self.score[part].sum(axis=0), self.term], axis=1)
            moved, lead = np.linalg.solve(left, right).T
            kept = ~np.isin(everyone, part)
            scores = (self.score[kept] - self.share[kept] @ moved) @ lead
            values[i] = self.value + moved @ self.term
            errors[i] = np.sqrt(scores @ scores)
        return values, errors


def equations(estimate: Estimate) -> Equations | None:
    """Return the equations where a removal is exact algebra, and None where one has to refit.

    That is `DiD` and `EventStudy` against one pool: two-way least squares on every cell, and one
    number a unit with one start (with several, the shares of the starts change with the pilots).
    Two removals are held against refits.
    """
    sample, maker = estimate.sample, estimate.estimator
    plain = type(maker) in (DiD, EventStudy) and sample.sets is None
    if not plain or estimate.regroup is None or sample.population is not None:
        return None
    if getattr(maker, "cells", "") == "complete" and len(sample.starts) > 1:
        return None
    if estimate.contrast is None:
        return None
    n = len(sample.units)
    codes = np.broadcast_to(np.arange(n, dtype=np.int64)[:, None], sample.y.shape)
    normal = estimate.regroup(codes)
    at = np.array([int(label) for label in normal.labels])
    p = normal.n_params
    A, s = np.zeros((n, p, p)), np.zeros((n, p))
    A[at], s[at] = normal.A, normal.b - normal.A @ normal.beta
    size = np.sqrt(np.diagonal(normal.total))
    root = np.linalg.cholesky(normal.total / np.outer(size, size)) * size[:, None]
    turn = np.linalg.inv(root)
    m = estimate.place_of(None, where="removals")
    made = Equations(
        value=float(estimate.values[m]),
        share=turn @ A @ turn.T,
        score=s @ turn.T,
        term=turn @ estimate.contrast[m],
        shift=np.zeros(n),
    )
    shift = made.without(np.arange(n, dtype=np.intp)[:, None]) - made.value
    made = replace(made, shift=shift)
    for arm in (sample.pilot, ~sample.pilot):
        found = np.flatnonzero(arm & np.isfinite(shift))
        if not len(found):
            continue
        j = int(found[np.abs(shift[found]).argmax()])
        if not same(made.value + shift[j], refit_without(estimate, [j])[0], made.scale):
            return None
    return made


def each_without(
    estimate: Estimate, sets: Ints, quick: Equations | None, label: str
) -> tuple[Floats, int]:
    """Return the estimate without each set (B, s) → (B,), and how many refits that took."""
    made = np.full(len(sets), np.nan) if quick is None else quick.without(sets)
    open_ = np.flatnonzero(np.isnan(made))
    for i in steps(open_.tolist(), label):
        made[i] = refit_without(estimate, sets[i].tolist())[0]
    return made, len(open_)
