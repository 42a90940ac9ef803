"""One pilot: a rearrangement test with a stated bound on its noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.errors import InferenceError, is_number
from didkit.inference.arms import counted
from didkit.inference.by_term import breakdown_in_words, by_term
from didkit.inference.samples import TwoSamples, two_samples
from didkit.results import Estimate, Uncertainty

__all__ = ["Hagemann", "weight"]

Floats = NDArray[np.float64]

_WEIGHTS = np.linspace(0.0, 1.0, 401)[:-1]  #: where the bound is looked at before it is refined
_LARGEST = 1e9  #: a breakdown ratio beyond this is infinite
_FAR = 9.0  #: normal variables beyond this are certain


@dataclass(frozen=True)
class Hagemann:
    """One pilot: a rearrangement test with a stated bound on its noise.

    The pilot's distance Δ from the comparators' mean is entered twice, as ``(1 + w) Δ`` and
    ``(1 − w) Δ``, beside the comparators' own distances from their mean; reject where the mean of
    the first two less the mean of the rest is the largest of all rearrangements, that is where
    ``(1 − w) Δ`` exceeds every comparator's distance on that side (Hagemann 2025, Algorithm 3.3).
    Here both sides are tested, each at half the level.

    Parameters
    ----------
    ratio : float, default 1
        ρ: the pilot's standard deviation is at most ρ times that of the comparators.
    exempt : {1, 0}
        Of how many comparators this need not be true (one may have no noise at all).

    Notes
    -----
    The weight w is the least at which the paper's bound on the size of a one-sided test,

    ``2^(−q−1) + ∫₀^∞ Φ((1−w) ρ y)^(q−1) φ(y) dy + min_b [Φ(w √(q−1) b)^(q−1) + 2 Φ(−b q)]``

    is at most half of 1 − level, for q comparators (with ``exempt=0``: ``Φ(·)^q`` in the integral
    and ``Φ(w√q b)^q − Φ(−w√q b)^q`` in the bracket). The bound was taken from the code that the
    author publishes with the paper; it gives the numbers of comparators that Lau & Li (2025) quote
    (14 for ρ = 2 at 2.5 %, one-sided; 17 at 1 %). p, the interval and the breakdown ratio are
    worked out from it by didkit: p is twice the least one-sided level at which the test rejects,
    and ``facts["breakdown_ratio"]`` the largest ρ at which it rejects at the level (0 if at none;
    infinite beyond 10⁹).

    Needs independent normal numbers (large samples in every unit), of any variances that keep to
    the bound. Fails with few comparators: a two-sided test at 5 % needs 13 for ρ = 1, 14 for
    ρ = 2, 15 for ρ = 3; with fewer the interval is infinite. The interval is not symmetric: each
    end rests on one comparator. Rejections of a true null at 5 % with 20 comparators (200,000 data
    sets; reduced in ``tests/inference/test_hagemann.py``): all alike, ρ = 1, 4.4 %; the pilot twice
    as noisy, ρ = 2, 3.9 %; one comparator without any noise, ρ = 1, 4.8 %. It fails where ρ is too
    small: half of the comparators with a tenth of the pilot's standard deviation, ρ = 1, 11 %.
    Refused for several pilots.

    References
    ----------
    Hagemann (2025), Review of Economic Studies 92(6), arXiv:2010.04076.

    Examples
    --------
    >>> round(weight(20, 2.0, 0.025), 3) < round(weight(20, 3.0, 0.025), 3)
    True
    """

    ratio: float = 1.0
    exempt: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if not is_number(self.ratio) or not 0 < self.ratio < np.inf:
            raise InferenceError(
                needed="a ratio above 0: the pilot's standard deviation over the comparators'",
                found=repr(self.ratio),
                where="Hagemann(ratio=)",
                todo="1 says alike; the breakdown ratio is reported whatever is given",
            )
        if self.exempt not in (0, 1) or isinstance(self.exempt, bool):
            raise InferenceError(
                needed="exempt=1 or exempt=0",
                found=repr(self.exempt),
                where="Hagemann(exempt=)",
                todo="the paper's bound exists for all comparators, or for all but one",
            )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach p-values, intervals, and the ratio at which the conclusion changes.

        Raises
        ------
        InferenceError
            If no term compares the number of one pilot with those of three comparators or more.
        """
        taken, lost = by_term(estimate, _one_pilot, repr(self))
        alpha = round(1 - level, 12)
        k = estimate.n_terms
        made = {
            name: np.full(k, np.nan) for name in ("statistic", "p_value", "conf_low", "conf_high")
        }
        breakdown, least = np.full(k, np.nan), np.full(k, np.nan)
        few: list[int] = []
        notes = [
            f"assumes a pilot {_noisy(self.ratio)} as any comparator"
            + (" but one" if self.exempt else "")
            + ", and normal noise; there is no standard error",
            *lost,
        ]
        for m, both in taken.items():
            test = _Test(both, self.exempt)
            if test.flat:
                notes.append("no spread at all between comparators: no test")
                continue
            made["statistic"][m] = test.statistic
            made["p_value"][m] = test.p(self.ratio)
            made["conf_low"][m], made["conf_high"][m] = test.interval(self.ratio, alpha)
            least[m] = min(1.0, 2 * float(_bound(test.q, self.ratio, self.exempt).min()))
            breakdown[m] = test.breakdown(alpha)
            if not np.isfinite(made["conf_low"][m]):
                few.append(test.q)
        if few:
            notes.append(
                f"{min(few)} comparators are too few for a test at level {level:g} with ratio "
                f"{self.ratio:g}: the interval is infinite"
            )
        notes += breakdown_in_words(list(estimate.terms["term"]), breakdown, level)
        main = estimate.place_of(None, where=repr(self))
        return estimate.with_uncertainty(
            Uncertainty(
                inference=self,
                method=f"Hagemann, rearrangement test of one pilot, {_noisy(self.ratio)} as "
                + ("all comparators but one" if self.exempt else "all comparators"),
                level=level,
                std_error=np.full(k, np.nan),
                facts={
                    "ratio": self.ratio,
                    "breakdown_ratio": float(breakdown[main]),
                    "least_p": float(np.nanmin(least)) if np.isfinite(least).any() else np.nan,
                },
                notes=tuple(notes),
                statistic=made["statistic"],
                p_value=made["p_value"],
                conf_low=made["conf_low"],
                conf_high=made["conf_high"],
            )
        )


def weight(q: int, ratio: float, alpha: float, *, exempt: int = 1) -> float:
    """Return the least weight at which the bound on a one-sided test's size is at most alpha.

    Parameters
    ----------
    q : int
        Comparators.
    ratio : float
        ρ.
    alpha : float
        Of the one-sided test.
    exempt : {1, 0}
        Comparators of which the ratio need not be true.

    Returns
    -------
    float
        Between 0 and 1; NaN where there is none: too few comparators.

    Examples
    --------
    >>> weight(13, 2.0, 0.025)
    nan
    >>> 0 < weight(14, 2.0, 0.025) < 1
    True
    """
    held = np.flatnonzero(_bound(q, ratio, exempt) <= alpha)
    if not len(held):
        return float("nan")
    if held[0] == 0:
        return 0.0
    from scipy.optimize import brentq

    low, high = _WEIGHTS[held[0] - 1], _WEIGHTS[held[0]]
    if _bound_at(high, q, ratio, exempt) >= alpha:  # by rounding
        return float(high)
    return float(brentq(lambda w: _bound_at(w, q, ratio, exempt) - alpha, low, high))


def _bound(q: int, ratio: float, exempt: int) -> Floats:
    """Return the bound on the size at every weight of the grid."""
    return np.asarray(
        2.0 ** (-q - 1) + _all_below((1 - _WEIGHTS) * ratio, q - exempt) + _grid(q, exempt)
    )


def _bound_at(w: float, q: int, ratio: float, exempt: int) -> float:
    """Return the bound on the size at one weight."""
    here = np.array([w])
    return float(
        2.0 ** (-q - 1)
        + _all_below((1 - here) * ratio, q - exempt)[0]
        + _of_the_mean(here, q, exempt)[0]
    )


def _all_below(s: Floats, n: int) -> Floats:
    """Return ``∫₀^∞ Φ(s y)^n φ(y) dy`` for every s, in y or in ``v = s y``, whichever is smooth."""
    points, steps = _quadrature()
    s = s[:, None]
    wide = np.maximum(s, 1.0)
    in_v = (scipy.special.ndtr(points) ** n * _density(points / wide) / wide) @ steps
    in_v += scipy.special.ndtr(-_FAR / wide[:, 0])
    narrow = np.minimum(s, 1.0)
    in_y = (scipy.special.ndtr(narrow * points) ** n * _density(points)) @ steps
    return np.asarray(np.where(s[:, 0] > 1, in_v, in_y))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Floats, Floats]:
    """Return Gauss and Legendre's points between 0 and `_FAR`, and their weights."""
    points, steps = np.polynomial.legendre.leggauss(160)
    return (points + 1) * _FAR / 2, steps * _FAR / 2


def _density(x: Floats) -> Floats:
    """Return the standard normal density."""
    return np.asarray(np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))


def _of_the_mean(w: Floats, q: int, exempt: int) -> Floats:
    """Return the part of the bound that comes from not knowing the comparators' mean."""
    n = q - exempt
    b = np.linspace(0.0, 10.0, 1001) / q
    inside = w[:, None] * np.sqrt(n) * b
    made = scipy.special.ndtr(inside) ** n + 2 * scipy.special.ndtr(-b * q)
    if not exempt:
        made -= scipy.special.ndtr(-inside) ** n
    return np.asarray(made.min(axis=1))


@lru_cache(maxsize=64)
def _grid(q: int, exempt: int) -> Floats:
    """Return `_of_the_mean` at every weight of the grid; it does not depend on the ratio."""
    return _of_the_mean(_WEIGHTS, q, exempt)


class _Test:
    """The pilot's distance from the comparators' mean, and the comparators' largest on each side.

    For an effect θ it rejects at weights below ``1 − largest / |Δ − θ|``.
    """

    def __init__(self, both: TwoSamples, exempt: int) -> None:
        mean = both.comparators.mean()
        self.q, self.exempt = len(both.comparators), exempt
        self.distance = float(both.pilots[0] - mean)
        self.above = float((both.comparators - mean).max())
        self.below = float((mean - both.comparators).max())
        size = max(np.abs(both.comparators).max(), np.abs(both.pilots).max())
        self.flat = bool(max(self.above, self.below) <= 1e-13 * size)

    @property
    def statistic(self) -> float:
        """The pilot's distance over the largest of the comparators' on that side."""
        return self.distance / (self.above if self.distance > 0 else self.below)

    def p(self, ratio: float) -> float:
        """Return twice the least one-sided level at which a zero effect is rejected."""
        if abs(self.statistic) <= 1:
            return 1.0
        most = 1 - 1 / abs(self.statistic)
        there = _bound(self.q, ratio, self.exempt)[most >= _WEIGHTS]
        least = min(float(there.min()), _bound_at(most, self.q, ratio, self.exempt))
        return min(1.0, 2 * least)

    def interval(self, ratio: float, alpha: float) -> tuple[float, float]:
        """Return the ends of the effects not rejected at alpha; ±∞ where no weight exists."""
        w = weight(self.q, ratio, alpha / 2, exempt=self.exempt)
        if np.isnan(w):
            return -np.inf, np.inf
        return self.distance - self.above / (1 - w), self.distance + self.below / (1 - w)

    def breakdown(self, alpha: float) -> float:
        """Return the largest ratio at which a zero effect is rejected at alpha; 0 if at none."""
        if self.p(0.0) > alpha:
            return 0.0
        from scipy.optimize import brentq

        high = 1.0
        while self.p(high) <= alpha:
            high *= 2
            if high > _LARGEST:
                return float("inf")
        return float(brentq(lambda ratio: self.p(ratio) - alpha, 0.0, high, xtol=1e-9))


def _noisy(ratio: float) -> str:
    """Say how noisy pilots may be, before the "as"."""
    return "at most as noisy" if ratio == 1 else f"at most {ratio:g} times as noisy"


def _one_pilot(estimate: Estimate, m: int, who: str) -> TwoSamples:
    """Return both arms' numbers, if there is one pilot and comparators enough for a largest."""
    both = two_samples(estimate, m, who)
    n1, n0 = len(both.pilots), len(both.comparators)
    if n1 != 1 or n0 < 3:
        raise InferenceError(
            needed="one pilot and at least three comparators",
            found=f"{counted(n1, 'pilot')} and {counted(n0, 'comparator')}",
            where=who,
            todo="use LauLi(), which takes several pilots and needs two comparators, or "
            "Permutation()"
            if n0 > 1
            else "use DonaldLang(), which takes the comparator to be as noisy as the pilots"
            if n1 > 1
            else "add comparators",
        )
    return both
