"""Group-time effects without covariates: four means each, all from sums by cohort and period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.estimate.group_time_pairs import Pairs

__all__ = [
    "Coefficients",
    "coefficients",
    "counts",
    "effects_of",
    "influence_of",
    "sums",
    "weights_of",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_CHUNK = 8192


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What a cell of a unit of kind h (a cohort, or never treated: the last) in period t does.

    ``slope`` and ``centre`` (k, G + 1, T): unit j adds ``w_jt (slope y_jt − centre)`` to the
    influence on a term, and ``w_jt slope`` is the weight of its cell.
    """

    slope: Floats
    centre: Floats


def counts(kind: Ints, n_kinds: int, w: Floats | None, n_periods: int) -> Floats:
    """Add up the weights of cells by kind and period, (G + 1, T); None: each cell counts once."""
    if w is None:
        made = np.bincount(kind, minlength=n_kinds).astype(np.float64)
        return np.repeat(made[:, None], n_periods, axis=1)
    return sums(kind, n_kinds, w, None)


def sums(kind: Ints, n_kinds: int, y: Floats, w: Floats | None) -> Floats:
    """Add up weight × outcome by kind and period, (G + 1, T)."""
    made = np.zeros((n_kinds, y.shape[1]))
    for first in range(0, len(kind), _CHUNK):
        inside = slice(first, first + _CHUNK)
        member = (np.arange(n_kinds)[:, None] == kind[inside]).astype(np.float64)
        made += member @ (y[inside] if w is None else w[inside] * y[inside])
    return made


def effects_of(pairs: Pairs, count: Floats, total: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the effects (C,), and the means of pilots and comparators, (C, 2): period, base.

    Parameters
    ----------
    pairs : Pairs
        The comparisons.
    count, total : array (…, G + 1, T)
        Sums by kind and period of weights, and of weight × outcome; leading axes are kept.

    Returns
    -------
    tuple of array
        NaN where an arm has no cell.
    """
    when = np.stack([pairs.t, pairs.base], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        pilots = mean[..., pairs.g[:, None], when]
        served = pairs.serves.astype(np.float64)
        each = np.arange(len(pairs))[:, None]
        pooled = (served @ total) / (served @ count)
        others = pooled[..., each, when]
    gap = pilots - others
    return gap[..., 0] - gap[..., 1], pilots, others


def coefficients(
    pairs: Pairs, matrix: Floats, count: Floats, pilots: Floats, others: Floats
) -> Coefficients:
    """Combine the comparisons' coefficients into those of the terms.

    Parameters
    ----------
    pairs : Pairs
        The comparisons.
    matrix : array (k, C)
        Each term's weight on each.
    count : array (G + 1, T)
        Sums of weights.
    pilots, others : array (C, 2)
        Means, as `effects_of` returns them.
    """
    slope = np.zeros((len(matrix), *count.shape))
    centre = np.zeros_like(slope)
    served = pairs.serves.astype(np.float64)
    for side, (sign, when) in enumerate(((1.0, pairs.t), (-1.0, pairs.base))):
        for t in np.flatnonzero(np.bincount(when, minlength=count.shape[1])).tolist():
            at = np.flatnonzero(when == t)
            own, each, acts = pairs.g[at], np.arange(len(at)), sign * matrix[:, at]
            theirs = served[at] / (served[at] @ count[:, t])[:, None]
            part = -theirs
            part[each, own] += 1 / count[own, t]
            slope[:, :, t] += acts @ part
            part = theirs * -others[at, side, None]
            part[each, own] += pilots[at, side] / count[own, t]
            centre[:, :, t] += acts @ part
    return Coefficients(slope, centre)


def influence_of(
    made: Coefficients, kind: Ints, y: Floats, w: Floats | None, shift: Floats, weight: Floats
) -> Floats:
    """Return each unit's influence on each term, (J, k).

    ``shift`` (G + 1, k) times the unit's ``weight`` (J,) is added: what its cohort's share does.
    Some thousand units at a time, so that what is gathered stays in the processor's cache.
    """
    slope, centre = made.slope, made.centre
    found = np.empty((len(kind), len(slope)))
    alone = shift - centre.sum(axis=2).T
    for first in range(0, len(kind), _CHUNK):
        inside = slice(first, first + _CHUNK)
        part, here, own = found[inside], kind[inside], weight[inside]
        values, cells = y[inside], None if w is None else w[inside]
        for h in range(slope.shape[1]):
            rows = np.flatnonzero(here == h)
            if cells is None:
                part[rows] = np.take(values, rows, axis=0) @ slope[:, h].T + alone[h]
            else:
                mine = cells[rows]
                part[rows] = (mine * values[rows]) @ slope[:, h].T - mine @ centre[:, h].T
                part[rows] += own[rows, None] * shift[h]
    return found


def weights_of(made: Coefficients, kind: Ints, w: Floats | None) -> Floats:
    """Return each cell's weight in each term, (k, J, T)."""
    found: Floats = np.take(made.slope, kind, axis=1)
    if w is not None:
        found *= w
    return found
