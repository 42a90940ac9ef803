"""The distribution of an estimate's error when comparators stand in for the pilots.

Each draw puts a different comparator into each pilot's place; the mean over pilots of what the
comparators add there is one error that the estimate could have had. Conley & Taber (2011) take
the comparators' deviations as they are; Ferman & Pinto (2019) rescale them to the pilots' sizes.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.inference.arms import counted
from didkit.inference.bands import level_from_permutations
from didkit.inference.invert import TIES
from didkit.inference.samples import Placebos
from didkit.results import Estimate, Uncertainty

if TYPE_CHECKING:
    from didkit.results import Inference

__all__ = [
    "Errors",
    "attach_errors",
    "errors_of",
    "rejects_under_equal_noise",
    "too_few_comparators",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_COMPARATORS = 20  #: fewer do not show what the tail of the noise looks like
A_PILOT = 5  #: comparators a pilot; with fewer a 5 % test rejects more than 11 % of true nulls
_CHUNK = 2_000_000  #: numbers in the largest array of a chunk of draws
_NOTHING = 1e-13  #: relative to the outcome, deviations that are rounding


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors that one term's estimate could have had, and the test that they make.

    Parameters
    ----------
    sizes : array (B,)
        Absolute errors, in falling order.
    exact : bool
        Whether these are all the ways to put comparators into the pilots' places.
    """

    sizes: Floats
    exact: bool

    @property
    def least_p(self) -> float:
        """The least p: the actual estimate counts as one more draw."""
        return 1 / (1 + len(self.sizes))

    def p(self, estimate: float) -> float:
        """Return ``(1 + #{|error| ≥ |estimate|}) / (1 + B)``; ties count."""
        slack = TIES * self.sizes[0]
        count = np.searchsorted(-self.sizes, slack - abs(estimate), side="right")
        return float((1 + count) / (1 + len(self.sizes)))

    def reach(self, level: float) -> float:
        """Return half the width of the interval that inverts the test; ∞ if none is rejected."""
        allowed = math.floor(round((1 - level) * (1 + len(self.sizes)), 9)) - 1
        return float(self.sizes[allowed]) if 0 <= allowed < len(self.sizes) else np.inf


def too_few_comparators(found: Placebos, who: str) -> None:
    """Refuse fewer than 20 comparators, or fewer than five a pilot.

    The deviations of n0 comparators must show the tails of the noise. And a draw of n1 of n0
    without replacement has ``(1 − r) / (1 + r)`` of the variance of the estimate, ``r = n1 / n0``:
    see `rejects_under_equal_noise`. With as many comparators as pilots every draw takes them all,
    and their deviations sum to zero.

    Raises
    ------
    InferenceError
        With the number needed.
    """
    n1, n0 = len(found.pilot_at), len(found.comparator_at)
    least = max(LEAST_COMPARATORS, A_PILOT * n1)
    if n0 < least:
        raise InferenceError(
            needed=f"at least {least} comparators with the pilots' cells ({LEAST_COMPARATORS}, and "
            f"{A_PILOT} a pilot): their noise stands in for the pilots', and the error of their "
            "own mean is left out",
            found=f"{counted(n0, 'comparator')} for {counted(n1, 'pilot')}",
            where=who,
            todo="use Permutation()" + (", or ClusterRobust('CR2')" if n1 > 1 else ""),
        )


def rejects_under_equal_noise(n1: int, n0: int, level: float) -> float:
    """Return how often the test rejects a true null, with equal normal noise in every unit.

    The error has variance ``σ² (1/n1 + 1/n0)``, the draws ``σ² (1/n1 − 1/n0)``. Not counted: that
    a quantile of few comparators is itself uncertain, which adds up to one point.

    Examples
    --------
    >>> round(rejects_under_equal_noise(9, 141, 0.95), 3)
    0.066
    """
    reach = -scipy.special.ndtri((1 - level) / 2) * np.sqrt((n0 - n1) / (n0 + n1))
    return float(2 * scipy.special.ndtr(-reach))


def errors_of(numbers: Floats, *, draws: int, seed: int) -> Errors:
    """Return the errors of one term, all of them if there are no more than `draws`.

    Parameters
    ----------
    numbers : array (n1, n0)
        What each comparator adds in each pilot's place; the error is the mean over pilots.
    draws, seed : int
        Of the sampled errors.

    Examples
    --------
    One pilot: each comparator's own number.

    >>> made = errors_of(np.array([[3.0, -1.0, -2.0]]), draws=99, seed=0)
    >>> made.sizes, made.exact, made.p(2.5), made.p(4.0)
    (array([3., 2., 1.]), True, 0.5, 0.25)
    """
    n1, n0 = numbers.shape
    chosen, exact = _listed_or_chosen(n1, n0, draws, seed, alike=_alike(numbers))
    made = numbers[np.arange(n1), chosen].mean(axis=1)
    return Errors(-np.sort(-np.abs(made)), exact)


def _listed_or_chosen(n1: int, n0: int, draws: int, seed: int, *, alike: bool) -> tuple[Ints, bool]:
    """List who may take the pilots' places if there are no more ways than draws; else draw."""
    total = math.comb(n0, n1) if alike else math.perm(n0, n1)
    if total > draws:
        return _chosen(n1, n0, draws, seed), False
    list_all = itertools.combinations if alike else itertools.permutations
    return np.array(list(list_all(range(n0), n1)), dtype=np.intp), True


def _alike(numbers: Floats) -> bool:
    """Whether it does not matter which pilot's place a comparator takes."""
    return bool(np.ptp(numbers, axis=0).max() <= TIES * np.abs(numbers).max())


def _chosen(n1: int, n0: int, draws: int, seed: int) -> Ints:
    """Draw n1 of n0 comparators without replacement, in random order, (draws, n1)."""
    rng = np.random.default_rng(seed)
    if n1 * (n1 - 1) <= n0:  # few repeat a comparator: draw these again
        made = rng.integers(n0, size=(draws, n1))
        again = np.arange(draws)
        while len(again):
            rising = np.sort(made[again], axis=1)
            again = again[(rising[:, 1:] == rising[:, :-1]).any(axis=1)]
            made[again] = rng.integers(n0, size=(len(again), n1))
        return made
    made = np.empty((draws, n1), dtype=np.intp)
    at_once = max(1, _CHUNK // n0)
    for first in range(0, draws, at_once):
        rows = made[first : first + at_once]
        keys = rng.random((len(rows), n0))
        lowest = np.argpartition(keys, n1 - 1, axis=1)[:, :n1]
        order = np.argsort(np.take_along_axis(keys, lowest, axis=1), axis=1)
        rows[:] = np.take_along_axis(lowest, order, axis=1)
    return made


def _arms(placebo: Placebos) -> tuple[int, int]:
    return len(placebo.pilot_at), len(placebo.comparator_at)


def _joint(
    found: dict[int, Placebos], numbers: dict[int, Floats], k: int, draws: int, seed: int
) -> Floats | None:
    """Return all terms' errors under the same draws, (draws, k); None if comparators differ."""
    first = next(iter(found.values()))
    if any(not np.array_equal(p.comparator_at, first.comparator_at) for p in found.values()):
        return None
    pilots = np.unique(np.concatenate([p.pilot_at for p in found.values()]))
    n0 = len(first.comparator_at)
    if len(pilots) > n0:
        return None
    alike = all(len(p.pilot_at) == len(pilots) and _alike(numbers[m]) for m, p in found.items())
    chosen, _ = _listed_or_chosen(len(pilots), n0, draws, seed, alike=alike)
    null = np.full((len(chosen), k), np.nan)
    for m, placebo in found.items():
        mine = chosen[:, np.searchsorted(pilots, placebo.pilot_at)]
        null[:, m] = numbers[m][np.arange(len(placebo.pilot_at)), mine].mean(axis=1)
    return null


def attach_errors(
    estimate: Estimate,
    inference: Inference,
    found: dict[int, Placebos],
    numbers: dict[int, Floats],
    *,
    draws: int,
    seed: int,
    level: float,
    method: str,
    facts: dict[str, object],
    notes: tuple[str, ...],
) -> Estimate:
    """Attach the tests of the terms in `found`, and a uniform band where there are several.

    Parameters
    ----------
    estimate, inference
        What is tested, and by what.
    found, numbers : mapping of term to Placebos and to array (n1, n0)
        Of the terms that can be served; the others stay NaN.
    draws, seed, level
        Of the errors and the intervals.
    method : str
        In words; how many draws is added.
    facts, notes
        Added to draws, seed, least p and Monte Carlo error.
    """
    k, names = estimate.n_terms, list(estimate.terms["term"])
    p, low, high = (np.full(k, np.nan) for _ in range(3))
    size = np.abs(estimate.sample.y[estimate.sample.mask]).max(initial=0.0)
    said = list(notes)
    made: dict[int, Errors] = {}
    for m in found:
        if np.abs(numbers[m]).max() <= _NOTHING * size:
            said.append(f"{names[m]}: no spread at all between comparators, so no test")
            continue
        errors = made[m] = errors_of(numbers[m], draws=draws, seed=seed)
        reach = errors.reach(level)
        p[m] = errors.p(float(estimate.values[m]))
        low[m], high[m] = estimate.values[m] - reach, estimate.values[m] + reach
        if np.isinf(reach):
            why = f"no effect can be rejected at level {level:g}"
            said.append(f"{names[m]}: {why}: the least p attainable is {errors.least_p:.3f}")
        elif errors.least_p > 0.01:
            said.append(f"{names[m]}: the least p attainable is {errors.least_p:.3f}")
    null = _joint({m: found[m] for m in made}, numbers, k, draws, seed) if made else None
    band_low = band_high = None
    if len(made) > 1 and null is None:
        said.append("comparators differ between the terms: no uniform band")
    elif len(made) > 1 and null is not None:
        at = sorted(made)
        within = level_from_permutations(null[:, at], estimate.values[at], level, exact=False)
        band_low, band_high = np.full(k, np.nan), np.full(k, np.nan)
        for m in at:
            wide = np.inf if within is None else made[m].reach(max(within, level))
            band_low[m], band_high[m] = estimate.values[m] - wide, estimate.values[m] + wide
        if np.isinf(band_high[at]).any():
            said.append(f"too few placebos for a uniform band at level {level:g} in every term")
    n1, n0 = max((_arms(found[m]) for m in found), key=lambda arms: arms[0] / arms[1])
    rate = rejects_under_equal_noise(n1, n0, level)
    arms = f"{counted(n1, 'pilot')} and {counted(n0, 'comparator')}"
    said.append(
        f"the error of the comparators' mean is left out: with {arms} of equal normal noise a "
        f"{1 - level:.3g} test rejects about {rate:.3f} of true nulls"
    )
    exact = all(errors.exact for errors in made.values())
    about: dict[str, object] = {
        "least_p": max((errors.least_p for errors in made.values()), default=np.nan),
        "draws": max((len(errors.sizes) for errors in made.values()), default=0),
        "exact": exact,
        "seed": None if exact else seed,
    }
    if not exact:
        error = [np.sqrt(p[m] * (1 - p[m]) / draws) for m in made if not made[m].exact]
        about["mc_error"] = float(max(error))
    how = f"all {about['draws']:,} placebos" if exact else f"{draws:,} draws, seed {seed}"
    return estimate.with_uncertainty(
        Uncertainty(
            inference=inference,
            method=f"{method}, {how}",
            level=level,
            std_error=np.full(k, np.nan),
            statistic=np.where(np.isfinite(p), estimate.values, np.nan),
            p_value=p,
            conf_low=low,
            conf_high=high,
            null=null,
            band_low=band_low,
            band_high=band_high,
            facts={**about, **facts},
            notes=("the test has no standard error and no covariance", *said),
        )
    )
