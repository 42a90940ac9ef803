"""One pilot, or few, that may be noisier than its comparators by a stated ratio."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy

from didkit.errors import InferenceError, is_number
from didkit.inference.by_term import breakdown_in_words, by_term, product_covariance
from didkit.inference.samples import TwoSamples, two_samples
from didkit.inference.student import from_covariance, t_quantile
from didkit.results import Estimate

__all__ = ["LauLi", "breakdown_ratio", "largest_level"]

_FEWEST = 4  #: comparators from which the closed form is known to hold for unequal ones


@dataclass(frozen=True)
class LauLi:
    """One pilot, or few, that may be noisier than its comparators by a stated ratio.

    ``T = (θ̂₁ − θ̄₀) / S₀`` with θ̂₁ the pilot's number, θ̄₀ and S₀ the mean and standard deviation
    of the m comparators' numbers; |T| is held against ``√(ρ² + 1/m) · t(m−1)`` (Lau & Li 2025,
    Algorithm 3.1, case 1). With ``ratio=1`` and one pilot this is `DonaldLang`.

    Parameters
    ----------
    ratio : float, default 1
        ρ: the pilot's standard deviation is at most ρ times that of *every* comparator (their
        Assumption 3.2 with k = 1), so against the least noisy of them, not the typical one.

    Notes
    -----
    ``facts["breakdown_ratio"]`` is ``ρ* = √max(0, (T/t)² − 1/m)`` of the main term, the ratio at
    which the conclusion at the level changes; 0 where nothing would be rejected even without noise
    in the pilot. A note gives it for every term.

    Exact for normal comparators of equal variance and a pilot exactly ρ times as noisy. For
    unequal comparators, none less noisy than the pilot's sd / ρ, it rejects a true null no more
    often than the level if that is at most `largest_level` (their Theorem 4.4 and eq. 17; four
    comparators or more): 5.4 % for 50 comparators at ρ = 1, but 4.8 % for 149, and below 5 % for
    ρ of .2. It fails badly where ρ holds against some comparators only: nine of ten with a tenth
    of the pilot's standard deviation and one alike, ``ratio=1``: 55 % of true nulls rejected at
    5 %; half of ten with a tenth, half alike: 16 % (200,000 data sets; reduced in
    ``tests/inference/test_lau_li.py``).

    **Several pilots** is our extension, not the paper's: ``√(ρ²/n1 + 1/m)``, breakdown
    ``√(n1 · max(0, (T/t)² − 1/m))``. Exact for independent normal pilots with one standard
    deviation, ρ times the comparators' common one. The pilots' own spread is not used, so no
    standard error is printed: it would not move when the pilots' numbers do.

    References
    ----------
    Lau & Li (2025), arXiv:2511.05710.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> one_start = design.drop("522")  # the late pilot
    >>> did = dk.DiD("complete").fit(one_start, "cpp")
    >>> noisier, alike = (did.infer(dk.LauLi(r))["att"] for r in (3, 1))
    >>> bool(noisier["p_value"] > alike["p_value"])
    True
    """

    ratio: float = 1.0

    def __post_init__(self) -> None:
        if not is_number(self.ratio) or not 0 < self.ratio < np.inf:
            raise InferenceError(
                needed="a ratio above 0: the pilot's standard deviation over the comparators'",
                found=repr(self.ratio),
                where="LauLi(ratio=)",
                todo="1 says alike; the breakdown ratio is reported whatever is given",
            )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach tests and intervals at the stated ratio, and the ratio that changes them.

        Raises
        ------
        InferenceError
            If no term compares one number a unit with that of two comparators or more.
        """
        taken, lost = by_term(estimate, _enough, repr(self))
        shape = (len(estimate.sample.units), estimate.n_terms)
        loadings, residuals = np.zeros(shape), np.zeros(shape)
        df = np.full(estimate.n_terms, np.nan)
        breakdown = np.full(estimate.n_terms, np.nan)
        several, proved = np.zeros(estimate.n_terms, dtype=bool), 1.0
        for m, both in taken.items():
            n1, n0 = len(both.pilots), len(both.comparators)
            loadings[both.pilot_at, m] = self.ratio / n1
            loadings[both.comparator_at, m] = 1 / n0
            residuals[both.comparator_at, m] = both.comparators - both.comparators.mean()
            df[m] = n0 - 1
            breakdown[m] = breakdown_ratio(both, level)
            several[m] = n1 > 1
            proved = min(proved, largest_level(n0, self.ratio))
        alike = self.ratio == 1
        noisy = "as noisy as" if alike else f"at most {self.ratio:g} times as noisy as"
        made = from_covariance(
            estimate,
            self,
            product_covariance(loadings, residuals, df),
            df,
            level=level,
            method=f"Lau–Li, t against the comparators' spread, pilots {noisy} comparators, m − 1 "
            "degrees of freedom",
            notes=(*self._notes(estimate, breakdown, bool(several.any()), proved, level), *lost),
        )
        main = estimate.place_of(None, where=repr(self))
        facts = {"ratio": self.ratio, "breakdown_ratio": float(breakdown[main])}
        sure = replace(made.attached, facts=facts)
        if several.any():  # assumed, not estimated: it does not move when the pilots' numbers do
            error = np.where(several, np.nan, sure.std_error)
            sure = replace(sure, std_error=error, covariance=None)
        return estimate.with_uncertainty(sure)

    def _notes(
        self,
        estimate: Estimate,
        breakdown: np.ndarray,
        several: bool,
        proved: float,
        level: float,
    ) -> list[str]:
        times = "" if self.ratio == 1 else f"{self.ratio:g} times "
        notes = [
            f"assumes pilots at most {times}as noisy as any comparator, and normal noise; with "
            "comparators less noisy than that it rejects far too often"
        ]
        notes += breakdown_in_words(list(estimate.terms["term"]), breakdown, level)
        if several:
            notes.append(
                "for several pilots the method is didkit's extension of Lau and Li's; their own "
                "spread is not used, so no standard error is printed"
            )
        elif round(1 - level, 12) > proved:
            limit = f"only up to {100 * proved:.1f} %" if proved > 0 else "for four or more only"
            notes.append(f"that unequal comparators do no harm at level {level:g} is known {limit}")
        return notes


def largest_level(m: int, ratio: float) -> float:
    """Return the largest level at which unequal comparators are known to do no harm.

    Up to it, and for one pilot at most `ratio` times as noisy as each of m normal comparators, the
    worst case is that all are alike, and the critical value ``√(ρ² + 1/m) t`` holds (Lau & Li
    2025, Theorem 4.4 and eq. 17).

    Parameters
    ----------
    m : int
        Comparators; with fewer than four the closed form is not known to hold: 0.
    ratio : float
        ρ.

    Examples
    --------
    The paper's Table 2 has 9.456 % (on a grid that rounds down).

    >>> round(100 * largest_level(5, 1.0), 2)
    9.46
    """
    if m < _FEWEST:
        return 0.0

    def excess(c: float) -> float:
        kappa = m * c**2 / (m - 1)
        tau = (kappa + 1) / (m * kappa)
        wide = m * ratio**2
        z = 1 / (2 * max(wide + 1, kappa + 2))
        first = max(3 * (wide + 1) / (wide + kappa + 1), (2 * kappa + 3) / (kappa + 1))
        second = (1 - tau) / (1 - tau + min((1 - 2 * tau) * kappa * z - 0.5, 0.0))
        return float(first + second - m * kappa / (wide + kappa + 1) - 1)

    from scipy.optimize import brentq

    low = float(np.sqrt(3 * (m - 1) / (m * (m - 3)))) * (1 + 1e-9)
    high = 2 * low
    while excess(high) > 0:
        high *= 2
    c = low if excess(low) <= 0 else brentq(excess, low, high)
    return float(2 * scipy.special.stdtr(m - 1, -c / np.sqrt(ratio**2 + 1 / m)))


def _enough(estimate: Estimate, m: int, who: str) -> TwoSamples:
    """Return both arms' numbers, if the comparators' have a spread."""
    both = two_samples(estimate, m, who)
    if len(both.comparators) < 2:
        raise InferenceError(
            needed="at least two comparators, whose spread is the measure",
            found="1 comparator",
            where=who,
            todo="add comparators: one number has no spread",
        )
    return both


def breakdown_ratio(both: TwoSamples, level: float) -> float:
    """Return the ratio at which the test at this level stops rejecting, ρ*.

    Parameters
    ----------
    both : TwoSamples
        One number a unit.
    level : float
        Of the interval.

    Returns
    -------
    float
        0 where nothing would be rejected even without noise in the pilots; NaN with fewer than two
        comparators, or where they do not differ beyond rounding.

    Examples
    --------
    >>> at = np.arange(3)
    >>> far = TwoSamples(np.array([9.0]), np.array([-1.0, 0.0, 1.0]), at[:1], at)
    >>> round(breakdown_ratio(far, 0.95), 2)
    2.01
    """
    n1, n0 = len(both.pilots), len(both.comparators)
    if n0 < 2:
        return float("nan")
    spread = both.comparators.std(ddof=1)
    size = max(np.abs(both.comparators).max(), np.abs(both.pilots).max())
    if spread <= 1e-13 * size:
        return float("nan")
    statistic = (both.pilots.mean() - both.comparators.mean()) / spread
    t = t_quantile((1 + level) / 2, np.array(n0 - 1.0))
    return float(np.sqrt(n1 * max(0.0, float((statistic / t) ** 2) - 1 / n0)))
