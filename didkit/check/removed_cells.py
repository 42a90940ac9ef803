"""An estimate without some of its cells: least squares without rows, by algebra and by refit.

With x the swept regressors of a cell, e its residual, ``q = c'A⁻¹x`` and
``h = x'A⁻¹x' + 1 / n`` between cells of one unit with n cells (the unit's own effect; 0 between
units), least squares without the cells C moves by ``−q_C (I − H_CC)⁻¹ e_C``. That is the deletion
of rows, exact for any number of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.check.removed import same, with_interval, without_cells
from didkit.errors import DesignError, EstimationError
from didkit.estimate import DiD, EventStudy
from didkit.results import Estimate, Inference

__all__ = ["CellEquations", "cell_equations", "cells_of", "refit_without_cells"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_NEARLY_LOST = 1e-8


def cells_of(estimate: Estimate) -> tuple[Ints, Ints]:
    """Return the unit and the period of each cell with a value, (N,) both."""
    unit, period = np.nonzero(estimate.sample.mask)
    return unit, period


def refit_without_cells(
    estimate: Estimate,
    at: tuple[Ints, Ints],
    cells: list[int],
    inference: Inference | None = None,
    level: float = 0.95,
) -> tuple[float, float, float, float, str]:
    """Refit without some cells: estimate, interval, p and, where something is missing, why."""
    sample = estimate.sample
    units = [sample.units[j] for j in at[0][cells]]
    periods = [sample.periods[t] for t in at[1][cells]]
    panel = without_cells(estimate.design.panel, sample.metric, units, periods, crossed=False)
    try:
        made = estimate.refit(estimate.design.on_panel(panel))
    except (DesignError, EstimationError) as error:
        return np.nan, np.nan, np.nan, np.nan, f"no estimate: {error.found}"
    return with_interval(estimate, made, inference, level)


@dataclass(frozen=True, eq=False)
class CellEquations:
    """The main term's least squares by cell.

    Parameters
    ----------
    value : float
        The estimate.
    x : array (N, p)
        Swept regressors of each cell, turned so that their cross-products add up to 1.
    residual : array (N,)
    reach : array (N,)
        What a unit of the residual, taken away, moves the estimate by: ``c'A⁻¹x``.
    unit : int array (N,)
    own : array (N,)
        One over the number of cells of the cell's unit.
    """

    value: float
    x: Floats
    residual: Floats
    reach: Floats
    unit: Ints
    own: Floats

    def between(self, cell: int) -> Floats:
        """Return h between one cell and every other, (N,)."""
        made: Floats = self.x @ self.x[cell] + np.where(
            self.unit == self.unit[cell], self.own[cell], 0.0
        )
        return made

    def without(self, sets: Ints) -> Floats:
        """Return the estimate without each set of cells (B, s) → (B,); NaN: a refit decides."""
        x, unit = self.x[sets], self.unit[sets]
        alike = unit[:, :, None] == unit[:, None, :]
        h = x @ x.swapaxes(1, 2) + np.where(alike, self.own[sets][:, :, None], 0.0)
        left = np.eye(sets.shape[1]) - h
        held = np.linalg.det(left) > _NEARLY_LOST
        made = np.full(len(sets), np.nan)
        moved = np.linalg.solve(left[held], self.residual[sets[held]][..., None])[..., 0]
        made[held] = self.value - (self.reach[sets[held]] * moved).sum(axis=1)
        return made

    def with_another(self, gone: list[int]) -> Floats:
        """Return the estimate without the cells `gone` and each other one, (N,)."""
        n = len(self.residual)
        if not gone:
            return self.without(np.arange(n, dtype=np.intp)[:, None])
        across = np.stack([self.between(c) for c in gone], axis=1)  # (N, s)
        left = np.eye(len(gone)) - across[gone]
        made = np.full(n, np.nan)
        if np.linalg.det(left) <= _NEARLY_LOST:
            return made
        turned = np.linalg.solve(left, across.T)  # (s, N)
        e = self.residual + turned.T @ self.residual[gone]
        q = self.reach + turned.T @ self.reach[gone]
        h = (self.x**2).sum(axis=1) + self.own + (across * turned.T).sum(axis=1)
        base = self.value - self.reach[gone] @ np.linalg.solve(left, self.residual[gone])
        free = h < 1 - _NEARLY_LOST
        made[free] = base - q[free] * e[free] / (1 - h[free])
        made[gone] = np.nan
        return made


def cell_equations(estimate: Estimate) -> CellEquations | None:
    """Return the equations where removing a cell is exact algebra; None where one has to refit.

    That is `DiD` and `EventStudy` on observed cells, without weights, against one pool. The cell
    that moves the estimate most is held against a refit.
    """
    sample, maker = estimate.sample, estimate.estimator
    plain = type(maker) in (DiD, EventStudy) and getattr(maker, "cells", "") == "observed"
    free = all(
        getattr(maker, name, usual) == usual
        for name, usual in (("trends", "none"), ("effects", "unit"), ("periods_by", None))
    )
    weighted = sample.w is not None or sample.sets is not None
    if not (plain and free) or weighted or estimate.regroup is None or estimate.contrast is None:
        return None
    unit, period = cells_of(estimate)
    codes = np.zeros(sample.y.shape, dtype=np.int64)
    codes[unit, period] = np.arange(len(unit))
    normal = estimate.regroup(codes)
    order = np.argsort([int(label) for label in normal.labels])
    A, b = normal.A[order], normal.b[order]
    score = b - A @ normal.beta
    largest = np.diagonal(A, axis1=1, axis2=2).argmax(axis=1)
    rows = np.arange(len(A))
    size = np.sqrt(A[rows, largest, largest])
    x = np.divide(A[rows, largest], size[:, None], out=np.zeros(b.shape), where=size[:, None] > 0)
    x *= _signs(x, normal.names, [f"period {sample.periods[t]}" for t in period])[:, None]
    length = (x**2).sum(axis=1)
    residual = np.divide((score * x).sum(axis=1), length, out=np.zeros(len(x)), where=length > 0)
    scale = np.sqrt(np.diagonal(normal.total))
    root = np.linalg.cholesky(normal.total / np.outer(scale, scale)) * scale[:, None]
    turn = np.linalg.inv(root)
    m = estimate.place_of(None, where="removals")
    x = x @ turn.T
    made = CellEquations(
        value=float(estimate.values[m]),
        x=x,
        residual=residual,
        reach=x @ (turn @ estimate.contrast[m]),
        unit=unit,
        own=1 / sample.mask.sum(axis=1)[unit],
    )
    alone = made.with_another([])
    if not np.isfinite(alone).any():
        return None
    cell = int(np.nanargmax(np.abs(alone - made.value)))
    size_of = max(abs(made.value), float(np.nanmax(np.abs(alone - made.value))))
    refit = refit_without_cells(estimate, (unit, period), [cell])[0]
    return made if same(float(alone[cell]), refit, size_of) else None


def _signs(x: Floats, names: tuple[str, ...], own: list[str]) -> Floats:
    """Return the sign that each cell's regressors have, which their squares have lost.

    Less its mean over the unit's cells, the dummy of the cell's own period is above zero; in the
    period that has none, all dummies are at or below it.
    """
    column = {name: i for i, name in enumerate(names)}
    dummies = sorted({column[name] for name in own if name in column})
    made = np.ones(len(x))
    for i, name in enumerate(own):
        seen = x[i, column[name]] if name in column else -x[i, dummies].sum()
        made[i] = -1.0 if seen < 0 else 1.0
    return made
