"""The distribution that pilots would have had if trends were parallel on every scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, first_few

__all__ = ["bin_edges", "implied_shares", "lowest_p_value"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def bin_edges(sample: Sample, bins: int) -> Floats:
    """Return edges of bins that hold as many cells each; fewer where values tie."""
    inner = np.quantile(sample.y[sample.mask], np.arange(1, bins) / bins)
    return np.array([-np.inf, *np.unique(inner), np.inf])


def implied_shares(sample: Sample, edges: Floats) -> tuple[pd.DataFrame, Floats, tuple[str, ...]]:
    """Return the shares of each bin, the covariance of the implied ones, and notes.

    The implied share is ``F10 + F01 − F00``: pilots before, comparators after and before, each
    cohort by its own start, comparators as the design weighs them.

    Parameters
    ----------
    sample : Sample
        Units and cells.
    edges : array (B + 1,)
        In the metric's unit; a value on an edge is in the bin above it.

    Raises
    ------
    EstimationError
        If pilots or comparators have no values on both sides of a start.
    """
    n_bins = len(edges) - 1
    place = np.searchsorted(edges[1:-1], np.where(sample.mask, sample.y, 0.0), side="right")
    inside = (place[:, :, None] == np.arange(n_bins)) & sample.mask[:, :, None]  # (J, T, B)
    when = np.arange(len(sample.periods))
    before, after = (
        np.stack([_mean(inside, sample.mask, side(when, start)) for start in sample.starts])
        for side in (np.less, np.greater_equal)
    )  # (G, J, B)
    rows = np.arange(len(sample.units))
    own = sample.cohort[rows]
    ends = np.concatenate([before[own, rows], after[own, rows]], axis=1)
    pilots: Bools = sample.pilot & np.asarray(np.isfinite(ends).all(axis=1))
    both: Bools = np.asarray(np.isfinite(before + after).all(axis=2))  # (G, J)
    weights = _weights(sample, pilots, both)
    n1 = int(pilots.sum())
    total = weights.sum(axis=1)  # each cohort's share of the pilots
    if n1 == 0 or not np.isclose(total.sum(), 1.0):
        raise EstimationError(
            needed="pilots and comparators with values before and after each start",
            found=f"{n1} such pilots, comparators for {100 * total.sum():.0f}% of them",
            where=f"metric {sample.metric.name!r}",
            todo="run the check on a design with comparators that never start",
        )
    start = before[own, rows][pilots]  # (n1, B)
    change = np.where(both[:, :, None], after - before, 0.0)
    drift = np.einsum("gj,gjb->gb", weights, change)
    implied = start.mean(axis=0) + drift.sum(axis=0)
    influence = np.zeros((len(rows), n_bins))
    influence[pilots] = (start - start.mean(axis=0)) / n1
    mean = drift / np.where(total > 0, total, 1.0)[:, None]
    influence += np.einsum("gj,gjb->jb", weights, change - mean[:, None])
    by_cluster = np.zeros((len(sample.cluster_labels), n_bins))
    np.add.at(by_cluster, sample.clusters, influence)
    covariance = by_cluster.T @ by_cluster
    table = pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "pilots_before": start.mean(axis=0),
            "pilots_after": after[own, rows][pilots].mean(axis=0),
            "comparators_before": np.einsum("gj,gjb->b", weights, np.nan_to_num(before)),
            "comparators_after": np.einsum("gj,gjb->b", weights, np.nan_to_num(after)),
            "implied": implied,
            "std_error": np.sqrt(np.diagonal(covariance)),
        }
    )
    gone = (sample.pilot & ~pilots) | (~sample.pilot & ~both.any(axis=0))
    notes: tuple[str, ...] = ()
    if gone.any():
        notes = (
            f"{first_few(np.array(sample.units)[gone])} without values on both sides of a start: "
            "not in the implied distribution",
        )
    return table, covariance, notes


def lowest_p_value(implied: Floats, covariance: Floats, draws: int, seed: int) -> float:
    """Return how often the lowest of as many shares would be as low, were all of them zero.

    The statistic is the largest of −share / standard error; its distribution is that of the
    largest of normals with the shares' correlation. NaN where no share has a standard error.
    """
    error = np.sqrt(np.diagonal(covariance))
    known = error > 1e-12
    if not known.any():
        return float("nan")
    scaled = covariance[np.ix_(known, known)] / np.outer(error[known], error[known])
    values, vectors = np.linalg.eigh(scaled)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn = np.random.default_rng(seed).normal(size=(draws, len(root))) @ root.T
    statistic = float((-implied[known] / error[known]).max())
    return float((1 + (drawn.max(axis=1) >= statistic).sum()) / (1 + draws))


def _mean(inside: Bools, mask: Bools, side: Bools) -> Floats:
    """Average bins over a unit's cells on one side, (J, B); NaN without cells."""
    n = (mask & side).sum(axis=1)[:, None]
    total = (inside & side[None, :, None]).sum(axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _weights(sample: Sample, pilots: Bools, both: Bools) -> Floats:
    """Return each comparator's weight for each cohort, (G, J); a cohort's add up to its share."""
    n1 = max(int(pilots.sum()), 1)
    made = np.zeros(both.shape)
    for g in range(len(made)):
        mine = pilots & (sample.cohort == g)
        if sample.sets is None:
            serve = both[g] & ~sample.pilot
            if serve.any():
                made[g, serve] = mine.sum() / n1 / serve.sum()
            continue
        sets = sample.sets[mine[sample.pilot]] * both[g]
        whole = sets.sum(axis=1, keepdims=True)
        made[g] = (sets / np.where(whole > 0, whole, 1.0)).sum(axis=0) / n1
    return made
