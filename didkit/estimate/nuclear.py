"""Matrix completion by nuclear norm: unit and period effects free, the rest of low rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError

__all__ = ["Completed", "complete", "largest_penalty", "two_way"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: How nearly the conditions of the optimum hold, as a share of the outcome's spread.
TOLERANCE = 1e-11
_ROUNDS = 50_000


@dataclass(frozen=True, eq=False)
class Completed:
    """The fit (J, T) of every cell, its part of low rank, and what keeps it from the optimum."""

    fit: Floats
    low: Floats
    rank: int
    miss: float
    rounds: int


def complete(
    y: Floats,
    seen: Bools,
    penalty: float,
    *,
    first: Floats | None = None,
    tolerance: float = TOLERANCE,
    quick: bool = False,
) -> Completed:
    """Minimise ``½ Σ_seen (y − γ_i − δ_t − L_it)² + penalty ‖L‖_*`` over γ, δ and L.

    Cells that are not seen are filled with the fit and the full matrix is fitted again
    (soft-impute, Mazumder, Hastie & Tibshirani 2010), with momentum that starts anew where the
    objective would rise. For a full matrix Z the minimum is exact: its two-way means, and the
    singular values of what they leave, less the penalty. At the optimum the residuals R (0 where
    not seen) add up to 0 in every row and column, ``‖R‖₂ ≤ penalty``, and
    ``⟨R, L⟩ = penalty ‖L‖_*``. The fit ends when another step moves no cell by more than
    `tolerance` times the outcome's spread; by how much the three then fail is returned.

    Parameters
    ----------
    y : array (J, T)
        Values where `seen`.
    seen : bool array (J, T)
        Cells to fit; each row and column has one at least.
    penalty : float
        Above zero, in the outcome's unit.
    first : array (J, T), optional
        A fit to begin with; by default two-way effects alone, which `penalty` = ∞ returns.
    tolerance : float
        As above.
    quick : bool
        Singular values from cross-products of periods: faster, with half of the digits.

    Raises
    ------
    EstimationError
        If it has not converged after 50,000 steps.
    """
    centre = float(y[seen].mean())
    spread = float(y[seen].std())
    values = np.where(seen, y, centre) - centre
    fit = two_way(values, seen) if first is None or np.isinf(penalty) else first - centre
    if np.isinf(penalty):
        return Completed(fit + centre, np.zeros(y.shape), 0, 0.0, 0)
    ahead, momentum = fit, 1.0
    for rounds in range(1, _ROUNDS + 1):
        made, low, sizes = _full(np.where(seen, values, ahead), penalty, quick)
        moved = made - ahead
        if float(np.abs(moved).max()) <= tolerance * spread:
            miss = _miss(np.where(seen, values - made, 0.0), low, sizes, penalty)
            return Completed(made + centre, low, len(sizes), miss, rounds)
        if float((moved * (made - fit)).sum()) < 0:  # the momentum goes uphill
            ahead, momentum, fit = made, 1.0, made
            continue
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = made + (momentum - 1) / after * (made - fit)
        fit, momentum = made, after
    raise EstimationError(
        needed="a matrix completion at its optimum",
        found=f"none after {_ROUNDS:,} steps, with penalty {penalty:.3g}",
        where="MatrixCompletion",
        todo="use a larger penalty=",
    )


def _full(filled: Floats, penalty: float, quick: bool) -> tuple[Floats, Floats, Floats]:
    """Return the exact minimum for a full matrix: fit, part of low rank, its singular values."""
    rows = filled.mean(axis=1, keepdims=True)
    columns = filled.mean(axis=0, keepdims=True)
    level = rows + columns - filled.mean()
    if quick:
        left = filled - level
        squares, v = np.linalg.eigh(left.T @ left)
        kept = squares > penalty**2
        sizes = np.sqrt(squares[kept])
        low = left @ (v[:, kept] * (1 - penalty / sizes)) @ v[:, kept].T
        return level + low, low, sizes - penalty
    u, s, v = np.linalg.svd(filled - level, full_matrices=False)
    kept = s > penalty
    sizes = s[kept] - penalty
    low = (u[:, kept] * sizes) @ v[kept]
    return level + low, low, sizes


def _miss(residual: Floats, low: Floats, sizes: Floats, penalty: float) -> float:
    """Return by how much the conditions of the optimum fail, in units of the outcome."""
    sums = max(float(np.abs(residual.sum(axis=0)).max()), float(np.abs(residual.sum(axis=1)).max()))
    over = max(float(np.linalg.norm(residual, 2)) - penalty, 0.0)
    nuclear = float(sizes.sum())
    inner = abs(float((residual * low).sum()) - penalty * nuclear) / max(nuclear, 1.0)
    return max(sums, over, inner if nuclear else 0.0)


def two_way(y: Floats, seen: Bools) -> Floats:
    """Return the least squares fit (J, T) of unit and period effects to the cells seen.

    Unit means are taken out; what is left are T equations for the periods, solved twice, the second
    time for what rounding left.
    """
    there = seen.astype(float)
    count = there.sum(axis=1)
    share = there / count[:, None]
    equations = np.diag(there.sum(axis=0)) - there.T @ share
    fit: Floats = np.zeros(y.shape)
    for _ in range(2):
        left = np.where(seen, y - fit, 0.0)
        mean = left.sum(axis=1) / count
        sums = (left - there * mean[:, None]).sum(axis=0)
        periods = np.linalg.lstsq(equations, sums, rcond=1e-12)[0]
        fit = fit + (mean - share @ periods)[:, None] + periods
    return fit


def largest_penalty(y: Floats, seen: Bools) -> float:
    """Return the least penalty at which nothing of low rank is left: two-way effects alone."""
    centred = np.where(seen, y, 0.0) - float(y[seen].mean())
    return float(np.linalg.norm(np.where(seen, centred - two_way(centred, seen), 0.0), 2))
