"""Uniform bands: ends that hold all terms together, never narrower than the intervals.

Both calibrate one p-value, ``a``, at which the terms are tested one by one so that a true null in
every term is rejected somewhere with probability 1 − level; the band is the interval at 1 − a.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.inference.invert import TIES

__all__ = ["level_from_covariance", "level_from_permutations"]

Floats = NDArray[np.float64]
_DRAWS, _SEED = 50_000, 0
_KEPT = 32  #: terms up to which the draws are kept for the next band
_CHUNK = 4096  #: draws at a time, so that they stay in the processor's cache


def level_from_covariance(covariance: Floats, level: float) -> float:
    """Return the level at which intervals make a uniform band, from the terms' covariance.

    The sup-t band of Montiel Olea & Plagborg-Møller (2019): the quantile of the largest of
    correlated normals, here by 50,000 seeded draws, kept between the pointwise level and
    Bonferroni's. The same p-value is then used with each term's own degrees of freedom.

    Parameters
    ----------
    covariance : array (k, k)
        Finite, with positive diagonal.
    level : float
        Of the band.

    Examples
    --------
    >>> round(level_from_covariance(np.eye(1), 0.95), 3)
    0.95
    >>> 0.97 < level_from_covariance(np.eye(2), 0.95) <= 0.975
    True
    """
    k = len(covariance)
    if k == 1:
        return level
    error = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(error, error))
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    normal = _kept_draws(k) if k <= _KEPT else _draws(k)
    turned = np.ascontiguousarray(root.T)
    largest = np.empty(_DRAWS)
    for first in range(0, _DRAWS, _CHUNK):
        part = slice(first, first + _CHUNK)
        found = normal[part] @ turned
        size = np.abs(found, out=found).T
        np.maximum.reduce(np.ascontiguousarray(size), axis=0, out=largest[part])
    a = float(2 * scipy.special.ndtr(-np.quantile(largest, level)))
    alpha = 1 - level
    return 1 - min(max(a, alpha / k), alpha)


def _draws(k: int) -> Floats:
    """Return the seeded draws of k independent normals."""
    return np.random.default_rng(_SEED).standard_normal((_DRAWS, k))


@lru_cache(maxsize=2)
def _kept_draws(k: int) -> Floats:
    """Return the draws, made once for each number of terms."""
    made = _draws(k)
    made.flags.writeable = False
    return made


def level_from_permutations(
    null: Floats, actual: Floats, level: float, *, exact: bool
) -> float | None:
    """Return the level at which inverted tests make a uniform band, from joint permutations.

    Westfall & Young's (1993) smallest p: each draw has its own p-value in every term, among all
    draws; ``a`` is the largest value that at most 1 − level of the draws' smallest p reach.

    Parameters
    ----------
    null : array (B, k)
        The statistic of every term under the same draws; NaN counts as extreme.
    actual : array (k,)
        The statistic of the actual assignment.
    level : float
        Of the band.
    exact : bool
        Whether the draws are all the assignments, the actual one among them.

    Returns
    -------
    float or None
        None where no level exists: fewer draws than it takes to reject anything.

    Examples
    --------
    >>> null = np.random.default_rng(1).standard_normal((999, 3))
    >>> 0.95 < level_from_permutations(null, np.zeros(3), 0.95, exact=False) < 0.99
    True
    """
    size = np.abs(null if exact else np.vstack([null, actual]))
    size = np.where(np.isfinite(size), size, np.inf)
    n = len(size)
    smallest = np.full(n, np.inf)
    for column in size.T:
        rising = np.sort(column)
        # ties count: a draw is as large as those within rounding of it
        smaller = np.searchsorted(rising, column * (1 - TIES), side="left")
        smallest = np.minimum(smallest, (n - smaller) / n)
    ordered = np.sort(smallest)
    allowed = int(np.floor(round((1 - level) * n, 9)))  # draws that may be rejected somewhere
    if allowed >= n or allowed < 1:
        return None
    below = ordered[ordered < ordered[allowed] * (1 - TIES)]
    if not len(below):
        return None
    # between two attainable p-values, so that rounding decides nothing
    return 1 - min(float(below[-1]) + 0.5 / n, round(1 - level, 12))
