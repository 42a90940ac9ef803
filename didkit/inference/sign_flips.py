"""Sign flips of matched sets' differences."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.inference.bands import level_from_permutations
from didkit.inference.by_term import by_term
from didkit.inference.drawing import check_draws
from didkit.inference.invert import TIES
from didkit.inference.samples import set_differences
from didkit.results import Estimate, JointTest, Uncertainty

__all__ = ["SignFlips"]

Floats = NDArray[np.float64]
Taken = tuple[Floats, NDArray[np.intp]]

_ROWS = 8192  #: flips worked on at once
_MANY = 40  #: pilots beyond which 2^n need not be counted


@dataclass(frozen=True)
class SignFlips:
    """Flip the signs of matched sets' differences and see how often the mean is as large.

    Parameters
    ----------
    draws : int, default 9999
        If there are no more than this, all 2^n sign vectors are listed and p is exact.
    seed : int, default 0
        The same seed gives the same number.

    Notes
    -----
    One difference a pilot from its own set. The statistic is the mean; the t of the same
    differences orders the flips alike, since flips leave the sum of squares as it is. p counts
    the identity and ties: the share of all sign vectors when listed, ``(1 + #) / (1 + B)`` when
    drawn. The interval inverts the test in closed form: with I the sets flipped, the mean over I
    or over the others decides each flip, so the ends are order statistics of such means.

    Exact where the differences are independent and each is symmetric around the effect, whatever
    their variances; approximately so where each is normal in large samples (Canay, Romano & Shaikh
    2017). It fails where differences are skewed, or depend on each other: sets that share somebody
    are refused. Effects that differ between pilots must be symmetric too.
    The least p is 2 / 2^n: .0625 with five pilots, so a 5 % test needs six, and with fewer the
    interval is infinite. There is no standard error. Several terms, flipped together, have a
    uniform band, and a joint test.

    References
    ----------
    Canay, Romano & Shaikh (2017); Westfall & Young (1993) for the band.

    Examples
    --------
    >>> SignFlips(draws=999, seed=1)
    SignFlips(draws=999, seed=1)
    """

    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_draws(self.draws, self.seed, "SignFlips")

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach p-values and the intervals that invert them.

        Raises
        ------
        InferenceError
            Without matched sets, with sets that share somebody, or with one pilot.
        """
        taken, lost = by_term(estimate, _several, repr(self))
        flips, exact = self._flips(taken)
        k = estimate.n_terms
        made = {name: np.full(k, np.nan) for name in ("p_value", "conf_low", "conf_high")}
        null = np.full((len(flips), k), np.nan)
        alpha = round(1 - level, 12)
        notes = [
            "needs differences that are symmetric around the effect and independent between sets; "
            "there is no standard error and no covariance",
            *lost,
        ]
        inverted = {}
        for m, one in self._with_columns(taken).items():
            test = _Test(*one, flips, exact)
            inverted[m], null[:, m] = test, test.means
            made["p_value"][m] = test.p(0.0)
            made["conf_low"][m], made["conf_high"][m] = test.interval(alpha)
            if test.least_p > alpha:
                notes.append(
                    f"{estimate.terms['term'].iloc[m]}: nothing can be rejected at level "
                    f"{level:g}: the least p attainable with {test.n} sets is {test.least_p:.3f}"
                )
        statistic = np.full(k, np.nan)
        statistic[list(taken)] = estimate.values[list(taken)]
        low, high, said = _band(inverted, null, statistic, made, level, exact)
        p = made["p_value"]
        facts: dict[str, object] = {
            "least_p": min(test.least_p for test in inverted.values()),
            "draws": len(flips),
            "exact": exact,
            "seed": None if exact else self.seed,
        }
        if not exact:
            facts["mc_error"] = float(np.nanmax(np.sqrt(p * (1 - p) / len(flips))))
        how = f"all {len(flips):,}" if exact else f"{len(flips):,} draws, seed {self.seed}"
        return estimate.with_uncertainty(
            Uncertainty(
                inference=self,
                method=f"sign flips of matched sets' differences, {how}",
                level=level,
                std_error=np.full(k, np.nan),
                statistic=statistic,
                null=null,
                band_low=low,
                band_high=high,
                facts=facts,
                notes=(*notes, *said),
                p_value=made["p_value"],
                conf_low=made["conf_low"],
                conf_high=made["conf_high"],
            )
        )

    def joint(self, estimate: Estimate, terms: tuple[str, ...]) -> JointTest:
        """Test that several terms are zero together, with the same flips.

        The statistic is ``d̄' S⁻¹ d̄`` with S the covariance of the means over all sign vectors,
        ``Σ d d' / n²``, which flips leave as it is.

        Raises
        ------
        InferenceError
            As for `attach`; if a term has no differences, or there are as many terms as sets.
        """
        taken, _ = by_term(estimate, _several, repr(self))
        flips, exact = self._flips(taken)
        names = list(estimate.terms["term"])
        at = [names.index(term) for term in terms]
        columns = self._with_columns(taken)
        if not set(at) <= set(columns):
            raise InferenceError(
                needed="matched sets' differences for every term",
                found=f"none for {len(set(at) - set(columns))} of {len(at)} terms",
                where=repr(self),
                todo="test fewer terms together",
            )
        filled = np.zeros((flips.shape[1], len(at)))
        for i, m in enumerate(at):
            filled[columns[m][1], i] = columns[m][0] / len(columns[m][0])
        spread = filled.T @ filled
        rank = int(np.linalg.matrix_rank(filled))
        if rank >= np.count_nonzero(filled.any(axis=1)):
            raise InferenceError(
                needed="more sets than terms tested together",
                found=f"{flips.shape[1]} sets, {len(at)} terms",
                where=repr(self),
                todo="test fewer terms together: with so few sets every flip is as extreme",
            )
        inverse = np.linalg.pinv(spread, hermitian=True)
        sums = (1.0 - 2.0 * flips) @ filled
        size = np.einsum("bi,ij,bj->b", sums, inverse, sums)
        mine = filled.sum(axis=0)
        own = float(mine @ inverse @ mine)
        count = int((size >= own * (1 - TIES)).sum())
        p = count / len(flips) if exact else (1 + count) / (1 + len(flips))
        return JointTest(terms, own, p, f"joint sign flips of {len(at)} terms")

    def _flips(self, taken: dict[int, Taken]) -> tuple[NDArray[np.int8], bool]:
        """Return which of the pilots that carry any term are flipped: (B, n) of 0 and 1."""
        n = len(_pilots(taken))
        if n < _MANY and 2**n <= self.draws:
            listed = np.arange(2**n)[:, None] >> np.arange(n)
            return (listed & 1).astype(np.int8), True
        rng = np.random.default_rng(self.seed)
        return rng.integers(0, 2, size=(self.draws, n), dtype=np.int8), False

    def _with_columns(self, taken: dict[int, Taken]) -> dict[int, Taken]:
        """Return each term's differences and their columns among the flips."""
        everybody = _pilots(taken)
        return {m: (d, np.searchsorted(everybody, at)) for m, (d, at) in taken.items()}


def _pilots(taken: dict[int, Taken]) -> NDArray[np.intp]:
    """Return the places of all pilots that carry some term, in the order of the sample."""
    return np.unique(np.concatenate([at for _, at in taken.values()]))


def _several(estimate: Estimate, m: int, who: str) -> Taken:
    """Return the sets' differences, if there are several."""
    differences, at = set_differences(estimate, m, who)
    if len(differences) < 2:
        raise InferenceError(
            needed="at least two matched sets (six for a test at 5 %)",
            found=f"{len(differences)} matched set",
            where=who,
            todo="one difference has no flip that is less extreme; use a design with one pool of "
            "comparators and Permutation() or LauLi()",
        )
    return differences, at


class _Test:
    """The flips of one term: where each stops being as extreme as the data."""

    def __init__(
        self, d: Floats, columns: NDArray[np.intp], flips: NDArray[np.int8], exact: bool
    ) -> None:
        self.n, self.exact, self.draws = len(d), exact, len(flips)
        self.mean = float(d.mean())
        self.slack = TIES * float(np.abs(d).mean())
        flipped, count = np.empty(len(flips)), np.empty(len(flips))
        for first in range(0, len(flips), _ROWS):
            some = flips[first : first + _ROWS, columns].astype(float)
            flipped[first : first + _ROWS] = some @ d
            count[first : first + _ROWS] = some.sum(axis=1)
        total = d.sum()
        self.means = (total - 2 * flipped) / self.n
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = flipped / count, (total - flipped) / (self.n - count)
        whole = (count == 0) | (count == self.n)  # nothing or everything flipped: always as extreme
        self.low = np.sort(np.where(whole, -np.inf, np.minimum(one, other)))
        self.high = np.sort(np.where(whole, np.inf, np.maximum(one, other)))

    @property
    def least_p(self) -> float:
        """The least p: nothing and everything flipped are always as extreme."""
        least = 2.0 ** (1 - self.n)
        return least if self.exact else max(least, 1 / (1 + self.draws))

    def p(self, theta: float) -> float:
        """Return p of the effect theta: a flip is as extreme up to the mean that decides it."""
        if abs(self.mean - theta) <= self.slack:
            return 1.0
        if theta < self.mean:
            count = np.searchsorted(self.low, theta + self.slack, side="right")
        else:
            count = self.draws - np.searchsorted(self.high, theta - self.slack, side="left")
        return float(count / self.draws if self.exact else (1 + count) / (1 + self.draws))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the ends of the effects with p above alpha; ±∞ where none has p below."""
        own = 0 if self.exact else 1
        allowed = int(np.floor(round(alpha * (self.draws + own), 9))) - own
        if allowed < 0 or self.least_p > alpha:
            return -np.inf, np.inf
        allowed = min(allowed, self.draws - 1)
        low, high = float(self.low[allowed]), float(self.high[self.draws - 1 - allowed])
        if self.p(0.0) > alpha:  # an end within rounding of 0
            low, high = min(low, 0.0), max(high, 0.0)
        return low, high


def _band(
    tests: dict[int, _Test],
    null: Floats,
    statistic: Floats,
    made: dict[str, Floats],
    level: float,
    exact: bool,
) -> tuple[Floats | None, Floats | None, list[str]]:
    """Return the uniform band over the terms, where there are several."""
    at = list(tests)
    if len(at) < 2:
        return None, None, []
    low, high = np.full(len(statistic), np.nan), np.full(len(statistic), np.nan)
    within = level_from_permutations(null[:, at], statistic[at], level, exact=exact)
    if within is None:
        low[at], high[at] = -np.inf, np.inf
        return low, high, [f"too few sign vectors for a uniform band at level {level:g}"]
    for m in at:
        ends = tests[m].interval(round(1 - within, 12))
        low[m] = min(ends[0], made["conf_low"][m])
        high[m] = max(ends[1], made["conf_high"][m])
    return low, high, []
