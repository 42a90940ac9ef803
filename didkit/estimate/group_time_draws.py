"""Group-time effects for many assignments at once: units enter only through sums by cohort."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from didkit.estimate.aggregation import Aggregation
from didkit.estimate.group_time_means import coefficients, effects_of
from didkit.estimate.group_time_pairs import Pairs
from didkit.results import Draws, Labels

__all__ = ["drawn"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_CHUNK = 500


def drawn(
    pairs: Pairs,
    aggregation: Aggregation,
    kind: Ints,
    y: Floats,
    actual: Floats,
    shares: Floats,
) -> Callable[[Labels], Draws]:
    """Return the refit for many assignments, on complete cells that count alike.

    A term's estimate and the sum of squares of its influence are, draw by draw, sums over each
    cohort of numbers that a unit would have as a member of it. These numbers are the same in all
    draws, as cohorts keep their sizes; so all draws are matrix products.

    Parameters
    ----------
    pairs, aggregation : Pairs, Aggregation
        The comparisons, and the terms made of them.
    kind : int array (J,)
        Cohort of each unit; G for one that never starts.
    y : array (J, T)
        The outcome, a number in every cell.
    actual : array (k, J, T)
        Where each term's treatment acts, as 0 and 1.
    shares : array (G + 1, G)
        Part of a unit of each kind in each cohort's size, as for `Aggregation.share_influence`.
    """
    n_kinds = pairs.serves.shape[1]
    k, n_cells = aggregation.matrix.shape
    n = np.bincount(kind, minlength=n_kinds).astype(np.float64)
    count = np.repeat(n[:, None], y.shape[1], axis=1)
    none = np.zeros((n_cells, 2))
    slope = coefficients(pairs, aggregation.matrix, count, none, none).slope
    own, rest = _constants(pairs, aggregation, n)
    sized = np.stack(
        [aggregation.share_influence(unit, shares).T for unit in np.eye(n_cells)], axis=2
    )
    # as a member of kind h, unit j has z (J, H, k), of the outcome and of each term's treatment
    z = np.einsum("jt,kht->jhk", y, slope, optimize=True)
    x = np.einsum("kjt,kht->jhk", actual, slope, optimize=True)
    moving = np.concatenate([z, x, z * z, z * x, x * x], axis=2)
    paths = np.concatenate([y[None], actual])

    def part(labels: Labels) -> tuple[Floats, ...]:
        kinds = np.where(labels < 0, n_kinds - 1, labels)
        total = np.zeros((len(paths), len(labels), n_kinds, y.shape[1]))
        added = np.zeros((n_kinds, len(labels), 5, k))
        for h in range(n_kinds):
            inside = (kinds == h).astype(np.float64)
            total[:, :, h] = inside @ paths
            added[h] = (inside @ moving[:, h]).reshape(len(labels), 5, k)
        effects, pilots, others = effects_of(pairs, count, total)
        change1, change0 = pilots[..., 0] - pilots[..., 1], others[..., 0] - others[..., 1]

        def constant(o: int, m: int | slice) -> Floats:
            made: Floats = (
                np.einsum("khc,bc->hbk", sized[m], effects[o], optimize=True)
                - np.einsum("khc,bc->hbk", own[m], change1[o], optimize=True)
                - np.einsum("khc,bc->hbk", rest[m], change0[o], optimize=True)
            )
            return made

        e = constant(0, slice(None))
        f = np.concatenate([constant(1 + m, slice(m, m + 1)) for m in range(k)], axis=2)
        sz, sx, szz, szx, sxx = (added[:, :, i] for i in range(5))
        size = n[:, None, None]
        return (
            sz.sum(axis=0),
            sx.sum(axis=0),
            (szz + 2 * e * sz + size * e * e).sum(axis=0),
            (szx + e * sx + f * sz + size * e * f).sum(axis=0),
            (sxx + 2 * f * sx + size * f * f).sum(axis=0),
        )

    def reassigned(labels: Labels) -> Draws:
        chunks = [labels[i : i + _CHUNK] for i in range(0, len(labels), _CHUNK)]
        return Draws.stack([Draws(*part(chunk)) for chunk in chunks])

    return reassigned


def _constants(pairs: Pairs, aggregation: Aggregation, n: Floats) -> tuple[Floats, Floats]:
    """Return how the arms' mean changes centre the influence of a unit of each kind, (k, H, C)."""
    each = np.arange(len(pairs))
    own = np.zeros((len(n), len(pairs)))
    own[pairs.g, each] = 1 / n[pairs.g]
    rest = -(pairs.serves.T / (pairs.serves @ n))
    matrix = aggregation.matrix[:, None]
    return matrix * own, matrix * rest
