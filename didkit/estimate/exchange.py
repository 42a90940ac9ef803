"""Matched sets when units trade places: the roles stay, who plays them changes.

A role is a place in the sets: that of pilot k, or that of a comparator with its weight in every
set that it serves. A comparator that serves several pilots is one unit in one role, so its reuse
is part of every assignment. Nothing is matched again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.estimate.windows import Windows
from didkit.results import Draws, Exchange, Labels

__all__ = ["exchange"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CHUNK = 50_000  #: numbers in the largest array of a chunk of draws
TINY = 1e-9  #: weights below this are rounding
DECIMALS = 12  #: within which two roles are one


def exchange(
    sample: Sample, windows: Windows, cells: Floats, numbers: Floats, shares: Floats
) -> Exchange | None:
    """Return who may trade places with whom, and the estimate when they do.

    Parameters
    ----------
    sample : Sample
        With sets, aggregated by their mean.
    windows : Windows
        What each term compares.
    cells, numbers : array (J, G, k, T) and (J, G, k)
        Weight of each cell in each unit's number, and the numbers.
    shares : array (n, J, k)
        Weight of each comparator in each pilot's set, adding up to 1; all 0 for a pilot that does
        not carry the term.

    Returns
    -------
    Exchange or None
        None where a pilot is also a comparator: its number is then treated in one role and a
        comparison in the other.
    """
    if sample.sets is None or (sample.sets[:, sample.pilot] > 0).any():
        return None
    shares = shares * windows.compared
    needed = windows.carried & windows.compared
    whole = np.asarray(np.isfinite(numbers[:, needed]).all(axis=1))
    blocks = _blocks(sample, sample.sets, whole)
    contrast = np.round(_contrast(sample, shares), DECIMALS) + 0.0
    return Exchange(
        blocks=blocks,
        fixed=int((~whole).sum()),
        roles={
            "t": _codes(
                [(b, *role) for b, role in zip(blocks, _roles(sample, shares), strict=True)]
            ),
            "beta": _codes([(b, tuple(c)) for b, c in zip(blocks, contrast, strict=True)]),
        },
        mirrored={
            "t": _turnable(sample, shares, blocks),
            "beta": all(
                Counter(map(tuple, contrast[blocks == b]))
                == Counter(map(tuple, -contrast[blocks == b] + 0.0))
                for b in np.unique(blocks)
            ),
        },
        refit=_Refit(sample, windows, cells, numbers, shares),
    )


def _blocks(sample: Sample, sets: Floats, whole: Bools) -> Labels:
    """Number the blocks in order of their first unit; a unit that stays in its place is alone."""
    n = len(sample.units)
    graph = np.zeros((n, n), dtype=bool)
    graph[sample.pilot] = sets > 0
    linked = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    keys = [
        (int(c), int(s), -1 if moves else j)
        for j, (c, s, moves) in enumerate(zip(linked, sample.strata, whole, strict=True))
    ]
    return _codes(keys)


def _codes(keys: Sequence[tuple[object, ...]]) -> Labels:
    """Number different keys in order of appearance."""
    lookup = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([lookup[key] for key in keys], dtype=np.int64)


def _roles(sample: Sample, shares: Floats) -> list[tuple[object, ...]]:
    """Describe each place: two that are alike can be swapped and nothing changes."""
    rounded = np.round(shares, DECIMALS) + 0.0
    made: list[tuple[object, ...]] = [
        ("comparator", *column.ravel()) for column in rounded.swapaxes(0, 1)
    ]
    for row, j in enumerate(np.flatnonzero(sample.pilot)):
        made[j] = ("pilot", int(sample.cohort[j]), *rounded[row].ravel())
    return made


def _contrast(sample: Sample, shares: Floats) -> Floats:
    """Weight of each place's number, by cohort and term, (J, G × k)."""
    _, n_units, k = shares.shape
    made = np.zeros((n_units, len(sample.starts), k))
    there = np.asarray((shares > 0).any(axis=1))
    for row, j in enumerate(np.flatnonzero(sample.pilot)):
        made[:, sample.cohort[j]] -= shares[row]
        made[j, sample.cohort[j]] += there[row]
    return np.asarray((made / np.maximum(there.sum(axis=0), 1)).reshape(n_units, -1))


def _turnable(sample: Sample, shares: Floats, blocks: Labels) -> bool:
    """Whether pilots and comparators can change sides in every block and t only turns its sign.

    So it is where each block has as many comparators as pilots, all weighted alike.
    """
    rows = np.cumsum(sample.pilot) - 1
    for b in np.unique(blocks):
        here = blocks == b
        pilots, others = here & sample.pilot, here & ~sample.pilot
        if not pilots.any() and not (shares[:, others] > 0).any():
            continue
        mine = shares[rows[pilots]]
        equal = np.zeros(mine.shape)
        equal[:, others] = 1 / max(others.sum(), 1)
        compared = (shares > 0).any(axis=(0, 1))
        if pilots.sum() != others.sum() or len(set(sample.cohort[pilots])) > 1:
            return False
        if not np.allclose(mine[..., compared], equal[..., compared], rtol=0, atol=TINY):
            return False
    return True


class _Refit:
    """Estimate and variance for many orders of the units.

    With ``d_k`` the number in the place of pilot k less the weighted mean ``m_k`` of those in the
    places of its set, the estimate is the mean of the n differences, and its variance

        ``V = [Σ (d_k − d̄)² + Σ_j o_j r_j²] / (n (n − 1))``,  ``o_j = Σ_{k≠l} w_kj w_lj``:

    that of a mean of independent differences, and what differences that share a comparator have in
    common. ``r_j²`` estimates the variance of the comparator in place j from its distance to the
    means of its sets, ``(x_j − m_k)² / (1 − 2 w_kj + Σ_i w_ki²)``, averaged with its weights in
    them; where it is alone in all its sets, from its distance to the mean of all comparators. V is
    unbiased where units are independent and the comparators of a set vary alike. Sets that share
    nothing: the paired t. One set for all: Welch's. With several starts a shared comparator's
    numbers in two windows are taken to move as one, which makes V too large rather than too small.
    """

    def __init__(
        self, sample: Sample, windows: Windows, cells: Floats, numbers: Floats, shares: Floats
    ) -> None:
        acts = np.zeros((len(sample.units), *windows.acts.shape[1:]))
        acts[sample.pilot] = windows.acts[sample.cohort[sample.pilot]]
        treated = np.einsum("jgmt,jmt->jgm", cells, acts)
        seen = np.isfinite(numbers)
        filled = np.where(seen, numbers, 0.0)
        # sets weigh to zero, so a common level changes nothing but the rounding
        level = filled.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        both = np.stack([numbers - level, treated])
        self.x = np.where(seen, np.nan_to_num(both), 0.0)  # (2, J, G, k)
        self.shares, self.places = shares, np.flatnonzero(sample.pilot)
        self.cohort = sample.cohort[sample.pilot]
        self.common = [self._in_common(m, seen) for m in range(shares.shape[2])]

    def _in_common(self, m: int, seen: Bools) -> tuple[Floats, Floats, Floats, Floats] | None:
        """Weights of squared distances: ``u`` for the sets (n, J), then for all comparators.

        Returns
        -------
        tuple or None
            ``u`` (n, J), and by cohort the mean of all comparators and its ``u`` (G, J), and how
            much of each there is; None where nothing shows how much a comparator varies.
        """
        w = self.shares[:, :, m]
        own = (w**2).sum(axis=1, keepdims=True)
        overlap = np.maximum(w.sum(axis=0) ** 2 - (w**2).sum(axis=0), 0.0)
        overlap[overlap < TINY**2] = 0.0
        apart = 1 - 2 * w + own
        usable = np.where((w > 0) & (apart > TINY), w, 0.0)
        total = usable.sum(axis=0)
        shown = (overlap > 0) & (total > 0)
        u = np.where(shown, overlap * usable / np.where(shown, total, 1.0), 0.0)
        u = u / np.where(apart > TINY, apart, 1.0)
        n_cohorts = self.x.shape[2]
        middle, rest = np.zeros((2, n_cohorts, w.shape[1]))
        alone = (overlap > 0) & ~shown
        for g in np.unique(self.cohort[w.any(axis=1)]) if alone.any() else ():
            all_of = np.where(seen[:, g, m], w.sum(axis=0), 0.0)
            middle[g] = all_of / all_of.sum()
            apart_g = 1 - 2 * middle[g] + (middle[g] ** 2).sum()
            if (apart_g[alone] <= TINY).any():
                return None
            here = w[self.cohort == g].sum(axis=0) / np.where(alone, w.sum(axis=0), 1.0)
            rest[g] = np.where(alone, overlap * here / np.where(alone, apart_g, 1.0), 0.0)
        return u, middle, rest, overlap

    def __call__(self, orders: Labels) -> Draws:
        """Return the draws for orders (B, J): which unit is in each place."""
        size = max(1, CHUNK // (2 * orders.shape[1]))
        return Draws.stack([self._chunk(orders[i : i + size]) for i in range(0, len(orders), size)])

    def _chunk(self, orders: Labels) -> Draws:
        k = self.shares.shape[2]
        b, a, v0, v1, v2 = np.full((5, len(orders), k), np.nan)
        for m in range(k):
            carries = np.asarray((self.shares[:, :, m] > 0).any(axis=1))
            n = int(carries.sum())
            if n == 0:
                continue
            differences, shared = self._term(orders, m, carries)
            mean = differences.mean(axis=2)
            b[:, m], a[:, m] = mean
            if n > 1 and self.common[m] is not None:
                e = differences - mean[:, :, None]
                spread = np.stack([(e[i] * e[j]).sum(axis=1) for i, j in ((0, 0), (0, 1), (1, 1))])
                v0[:, m], v1[:, m], v2[:, m] = (spread + shared) / (n * (n - 1))
        return Draws(b=b, a=a, v0=np.maximum(v0, 0.0), v1=v1, v2=np.maximum(v2, 0.0))

    def _term(self, orders: Labels, m: int, carries: Bools) -> tuple[Floats, Floats]:
        """Differences (2, B, n) of one term, and what they have in common (3, B)."""
        differences = np.zeros((2, len(orders), len(carries)))
        shared = np.zeros((3, len(orders)))
        common = self.common[m]
        for g in np.unique(self.cohort[carries]):
            rows = np.flatnonzero(carries & (self.cohort == g))
            x = self.x[:, :, g, m][:, orders]  # (2, B, J)
            w = self.shares[rows, :, m]
            mean = x @ w.T
            differences[:, :, rows] = x[:, :, self.places[rows]] - mean
            if common is not None and common[3].any():
                u = np.vstack([common[0][rows], common[2][[g]]])
                shared += _squared(x, np.dstack([mean, x @ common[1][g]]), u)
        return differences[:, :, carries], shared


def _squared(x: Floats, mean: Floats, u: Floats) -> Floats:
    """Σ u (x − mean)(x − mean) over sets and units, for yy, yD, DD: (3, B)."""
    weighted = x @ u.T  # (2, B, rows)
    total = u.sum(axis=1)
    each = u.sum(axis=0)
    return np.stack(
        [
            (x[i] * x[j]) @ each
            - (mean[i] * weighted[j]).sum(axis=1)
            - (mean[j] * weighted[i]).sum(axis=1)
            + (mean[i] * mean[j]) @ total
            for i, j in ((0, 0), (0, 1), (1, 1))
        ]
    )
