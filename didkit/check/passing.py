"""How a test of terms before the start lets a violation through, and what is left when it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

__all__ = ["ByDraws", "ByEach", "Jointly", "Noise", "Passing", "rectangle", "slope_at"]

Floats = NDArray[np.float64]
_PRIME, _KOROBOV = 8191, 1604  #: points of the lattice, and a good multiplier (P₂, 2 to 10 dims)
_POINTS = 2 * _PRIME
_ROOT_2PI = float(np.sqrt(2 * np.pi))
_FLAT = 1e-10  #: a standard deviation below this share of the largest is none
_NEAR = 1e-7  #: relative, of a slope that is looked for


@dataclass(frozen=True, eq=False)
class Passing:
    """What a violation does to the test, and to the terms when the test does not reject.

    Parameters
    ----------
    rejected : float
        Probability that the test rejects: its power.
    expected : array (k,)
        Mean of all k terms (effect left aside) given that it does not; NaN where it always does.
    """

    rejected: float
    expected: Floats


@lru_cache(maxsize=4)
def _lattice(k: int) -> Floats:
    """Return points of the unit cube (N, k), always the same: Korobov's rule, folded, mirrored."""
    step = np.array([pow(_KOROBOV, j, _PRIME) for j in range(k)], dtype=float)
    made = (np.arange(_PRIME)[:, None] + 0.5) * step % _PRIME / _PRIME
    folded = np.clip(1 - np.abs(2 * made - 1), 1e-12, 1 - 1e-12)
    both = np.concatenate([folded, 1 - folded])  # so that a symmetric mean is exactly that
    both.flags.writeable = False
    return both


def rectangle(mean: Floats, covariance: Floats, reach: Floats) -> tuple[float, Floats]:
    """Return the probability that normals are all within ±reach, and their mean when they are.

    Genz's (1992) sequential conditioning on a fixed lattice of 16,382 points: the points it draws
    are inside the box, and their weights average to the probability. The same input gives the same
    number, and it is smooth in the mean, so that roots can be found. Its error is below 1e-5.

    Parameters
    ----------
    mean : array (k,)
        Of the normals.
    covariance : array (k, k)
        Positive semi-definite, with a positive diagonal.
    reach : array (k,)
        Half widths of the box around zero.

    Returns
    -------
    (float, array (k,))
        The mean is NaN where the probability is zero.

    Examples
    --------
    >>> p, inside = rectangle(np.array([0.0, 1.0]), np.eye(2), np.array([1.96, 1.96]))
    >>> round(p, 3), round(float(inside[1]), 2)
    (0.788, 0.7)
    """
    k = len(mean)
    root, order = _root(covariance, reach)
    centre, limit = mean[order], reach[order]
    cube = _lattice(k)
    z = np.zeros((_POINTS, k))
    weight = np.ones(_POINTS)
    scale = np.sqrt(np.diag(covariance)[order])
    for j in range(k):
        at = centre[j] + z[:, :j] @ root[j, :j]
        sd = root[j, j]
        if sd <= _FLAT * scale[j]:  # what the terms before it leave open is nothing
            weight = np.where(np.abs(at) <= limit[j] * (1 + _FLAT), weight, 0.0)
            continue
        low = (-limit[j] - at) / sd
        high = (limit[j] - at) / sd
        turn = low > 0  # in the upper tail differences of probabilities lose digits
        low, high = np.where(turn, -high, low), np.where(turn, -low, high)
        start = scipy.special.ndtr(low)
        width = scipy.special.ndtr(high) - start
        weight = weight * width
        if j == k - 1:  # nothing hangs on the last: its mean will do
            tops = np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)
            drawn = np.divide(tops, width * _ROOT_2PI, out=np.zeros(_POINTS), where=width > 0)
        else:
            drawn = scipy.special.ndtri(start + cube[:, j] * width)
        drawn = np.clip(np.where(np.isfinite(drawn), drawn, high), low, high)
        z[:, j] = np.where(turn, -drawn, drawn)
    total = float(weight.sum())
    inside = np.full(k, np.nan)
    if total > 0:
        inside[order] = centre + root @ (weight @ z / total)
    return total / _POINTS, inside


def _root(covariance: Floats, reach: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return a lower triangular root, tightest limits first; columns without variance are 0."""
    order = np.argsort(reach / np.sqrt(np.diag(covariance)), kind="stable")
    left = covariance[np.ix_(order, order)].astype(float).copy()
    k = len(left)
    root = np.zeros((k, k))
    least = (_FLAT * np.sqrt(np.diag(left))) ** 2
    for j in range(k):
        if left[j, j] > least[j]:
            root[j:, j] = left[j:, j] / np.sqrt(left[j, j])
            left -= np.outer(root[:, j], root[:, j])
    return root, order


@dataclass(frozen=True, eq=False)
class ByEach:
    """Normal noise; the test rejects where any tested term's own interval excludes zero.

    Parameters
    ----------
    covariance : array (k, k)
        Of all terms.
    tested : bool array (k,)
        Those that the test looks at.
    reach : float
        Critical value of |term| / standard error.

    Examples
    --------
    >>> test = ByEach(np.eye(3), np.array([True, True, False]), 1.959964)
    >>> round(test(np.zeros(3)).rejected, 4)
    0.0975
    """

    covariance: Floats
    tested: NDArray[np.bool_]
    reach: float

    def __call__(self, path: Floats) -> Passing:
        """Return what the test does to a path."""
        own = self.covariance[np.ix_(self.tested, self.tested)]
        reach = self.reach * np.sqrt(np.diag(own))
        passed, inside = rectangle(path[self.tested], own, reach)
        return Passing(1 - passed, path + self._follows @ (inside - path[self.tested]))

    @cached_property
    def _follows(self) -> Floats:
        """Regression of all terms on those tested."""
        return _follows(self.covariance, self.tested)


@dataclass(frozen=True, eq=False)
class Jointly:
    """Normal noise; the test is the χ² of the tested terms together.

    Parameters
    ----------
    covariance, tested
        As for `ByEach`.
    level : float
        1 − the size of the test.

    Notes
    -----
    With k tested terms and λ the path's squared length in units of its noise, the test does not
    reject with probability ``F(k, λ)`` of the noncentral χ², and the mean of the terms is then the
    path times ``F(k + 2, λ) / F(k, λ)``.

    Examples
    --------
    >>> test = Jointly(np.eye(3), np.array([True, True, False]), 0.95)
    >>> round(test(np.zeros(3)).rejected, 4)
    0.05
    """

    covariance: Floats
    tested: NDArray[np.bool_]
    level: float

    def __call__(self, path: Floats) -> Passing:
        """Return what the test does to a path."""
        own = self.covariance[np.ix_(self.tested, self.tested)]
        mine = path[self.tested]
        k = float(np.linalg.matrix_rank(own, hermitian=True))
        size = float(mine @ np.linalg.pinv(own, hermitian=True) @ mine)
        limit = scipy.special.chdtri(k, 1 - self.level)
        passed = float(scipy.special.chndtr(limit, k, size))
        more = float(scipy.special.chndtr(limit, k + 2, size))
        left = more / passed if passed > 0 else np.nan
        return Passing(
            1 - passed, path + _follows(self.covariance, self.tested) @ mine * (left - 1)
        )


@dataclass(frozen=True, eq=False)
class ByDraws:
    """Noise as drawn (permutations of the pilots), in either direction alike.

    Parameters
    ----------
    noise, error : array (B, k)
        Each draw's terms where there is no violation, and their standard errors (1 for a test of
        the terms themselves).
    tested : bool array (k,)
        Those that the test looks at.
    level : float
        1 − the size of the test of one term; of the joint one where `joint`.
    joint : bool
        Test ``t' S⁻¹ t`` with S the draws' covariance of t, instead of each |t|.

    Examples
    --------
    >>> noise = np.random.default_rng(1).standard_normal((999, 2))
    >>> test = ByDraws(noise, np.ones((999, 2)), np.array([True, False]), 0.95)
    >>> bool(0.04 < test(np.zeros(2)).rejected < 0.06)
    True
    """

    noise: Floats
    error: Floats
    tested: NDArray[np.bool_]
    level: float
    joint: bool = field(default=False, kw_only=True)

    @cached_property
    def _inverse(self) -> Floats:
        t = self.noise[:, self.tested] / self.error[:, self.tested]
        k = t.shape[1]
        spread = np.cov(t, rowvar=False).reshape(k, k)
        return np.asarray(np.linalg.pinv(spread, hermitian=True), dtype=float)

    @cached_property
    def _limits(self) -> Floats:
        """Critical values: the least that at most 1 − level of the draws exceed."""
        found: Floats = np.quantile(self._sizes(np.zeros(self.noise.shape[1]), 1), self.level, 0)
        return found

    def _sizes(self, path: Floats, sign: int) -> Floats:
        at = self.tested
        t = (sign * self.noise[:, at] + path[at]) / self.error[:, at]
        if self.joint:
            squared: Floats = np.einsum("bi,ij,bj->b", t, self._inverse, t)[:, None]
            return squared
        made: Floats = np.abs(t)
        return made

    def __call__(self, path: Floats) -> Passing:
        """Return what the test does to a path."""
        passed = [
            (self._sizes(path, sign) <= self._limits * (1 + 1e-9)).all(axis=1) for sign in (1, -1)
        ]
        count = sum(int(one.sum()) for one in passed)
        total = sum(
            sign * self.noise[one].sum(axis=0) for sign, one in zip((1, -1), passed, strict=True)
        )
        expected = path + total / count if count else np.full(len(path), np.nan)
        return Passing(1 - count / (2 * len(self.noise)), np.asarray(expected))


Noise = ByEach | Jointly | ByDraws


def _follows(covariance: Floats, tested: NDArray[np.bool_]) -> Floats:
    own = covariance[np.ix_(tested, tested)]
    made: Floats = covariance[:, tested] @ np.linalg.pinv(own, hermitian=True)
    return made


def slope_at(power: float, test: Callable[[Floats], Passing], path: Floats, scale: float) -> float:
    """Return the multiple of a path at which a test rejects with a given probability.

    Parameters
    ----------
    power : float
        Above the test's size.
    test : callable
        Path → `Passing`.
    path : array (k,)
        The violation of size 1, not zero at all tested terms.
    scale : float
        A multiple to begin the search with.

    Examples
    --------
    >>> test = ByEach(np.eye(1), np.array([True]), 1.959964)
    >>> round(slope_at(0.5, test, np.array([1.0]), 1.0), 2)
    1.96
    """
    from scipy.optimize import brentq  # slow to import

    def over(multiple: float) -> float:
        return test(multiple * path).rejected - power

    high = scale
    while over(high) <= 0:
        high *= 2
    return float(brentq(over, 0.0, high, xtol=_NEAR * high, rtol=_NEAR))
