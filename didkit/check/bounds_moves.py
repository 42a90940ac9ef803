"""What cells that move do to a two-way estimate under each assignment, without refitting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.inference.permutation import Redrawn
from didkit.results import Estimate

__all__ = ["Moves", "two_way_moves"]

Floats = NDArray[np.float64]
_MOST = 16_000_000  #: assignments times cells held at once
_ALONE = 60  #: cells that move most, whose part in the standard error is computed by itself
_CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class Moves:
    """What the intervals do to the estimate under each of B assignments.

    Parameters
    ----------
    own : array (K,)
        What one unit of each of K quantities adds to the actual estimate.
    theirs : array (B, K)
        What it adds to that of each assignment.
    radius : array (B, K)
        How far each quantity can move from its middle.
    blur : array (B,)
        How far the standard error of each assignment can move.
    own_blur : float
        How far the actual one can.
    """

    own: Floats
    theirs: Floats
    radius: Floats
    blur: Floats
    own_blur: float


def two_way_moves(
    middle: Estimate, again: Redrawn, half: Floats, *, studentised: bool
) -> Moves | None:
    """Follow every cell of a two-way estimate of one term through all assignments.

    By Frisch, Waugh and Lovell the estimate under π is Σ d y / Σ d², with d the treatment of π
    less its unit and period effects, and its CR0 standard error is the norm over units of
    Σ_t d e / Σ d². One unit of cell i alone leaves the residual M e_i − d (d_i / Σ d²), and moves
    the standard error by no more than the norm it gives; all the other cells together by no more
    than max_j |d_j| × |r| / Σ d² (Cauchy and Schwarz; a residual is no longer than the outcome).

    Parameters
    ----------
    middle : Estimate
        With each cell in the middle of its interval.
    again : Redrawn
        Its assignments.
    half : array (J, T)
        How far each cell can move.
    studentised : bool
        Whether standard errors are asked for.

    Returns
    -------
    Moves or None
        None where the estimate is another: its weights, estimates under the assignments or
        variances are not these.
    """
    sample = middle.sample
    mask = sample.mask
    n_cells, n_draws = int(mask.sum()), len(again.chosen)
    plain = sample.sets is None and sample.x is None and sample.w is None and middle.n_terms == 1
    if not plain or middle.weights is None or n_cells * n_draws > _MOST:
        return None
    row, col = np.nonzero(mask)
    paths = np.concatenate(
        [np.zeros((1, n_cells)), (col >= np.array(sample.starts)[:, None]).astype(float)]
    )
    labels = np.concatenate([sample.cohort[None].astype(np.int64), again.chosen.labels])
    periods = np.zeros((n_cells, mask.shape[1]))
    periods[np.arange(n_cells), col] = 1.0
    first = np.concatenate([[0], np.flatnonzero(np.diff(row)) + 1])  # of each unit, row by row
    count = np.diff(np.append(first, n_cells))

    def within(x: Floats) -> Floats:
        mean = np.add.reduceat(x, first, axis=-1) / count
        return np.asarray(x - np.repeat(mean, count, axis=-1))

    swept = within(periods.T)  # (T, cells)
    inverse = np.linalg.pinv(swept @ swept.T, hermitian=True)

    def residual(x: Floats) -> Floats:
        inside = within(x)
        return np.asarray(inside - (inside @ swept.T) @ inverse @ swept)

    treated = within(paths)[labels[:, row] + 1, np.arange(n_cells)]
    d = treated - (treated @ swept.T) @ inverse @ swept
    size = (d**2).sum(axis=1)
    if not (size > _CLOSE).all():
        return None
    share = d / size[:, None]
    y = sample.y[mask]
    b = share @ y
    units = np.add.reduceat
    scale = 1.0 + float(np.abs(y).max())
    known = np.concatenate([again.actual.b[:, 0], again.drawn.b[:, 0]])
    if not np.isfinite(known).all() or np.abs(b - known).max() > _CLOSE * scale:
        return None
    if np.abs(share[0] - middle.weights[0][mask]).max() > _CLOSE:
        return None
    blur = np.zeros(len(d))
    r = half[mask]
    if studentised:
        left = residual(y) - b[:, None] * d
        spread = (units(share * left, first, axis=1) ** 2).sum(axis=1)
        variance = np.concatenate([again.actual.v0[:, 0], again.drawn.v0[:, 0]])
        if not np.allclose(spread, variance, rtol=_CLOSE, atol=_CLOSE * scale**2):
            return None
        alone = np.argsort(-r, kind="stable")[:_ALONE]
        alone = alone[r[alone] > 2 * np.median(r)]
        for i in alone:
            one = np.zeros(n_cells)
            one[i] = 1.0
            left = residual(one) - share[:, [i]] * d
            blur += r[i] * np.sqrt((units(share * left, first, axis=1) ** 2).sum(axis=1))
        rest = r.copy()
        rest[alone] = 0.0
        longest = np.sqrt(units(share**2, first, axis=1).max(axis=1))
        blur += longest * float(np.sqrt((rest**2).sum()))
    moving = r > 0
    theirs = share[1:, moving]
    radius = np.broadcast_to(r[moving], theirs.shape)
    return Moves(share[0, moving], theirs, radius, blur[1:], float(blur[0]))
