"""The ordered rule behind ``.infer()``: the first case that matches names one primary method.

The cases and their numbers are those of the table of rejection rates in the documentation
(docs/inference_sizes.md). Where a case cannot be served (clusters above units, cells missing, an
estimator that publishes less) the next best is named, and the note says why.

Case 3 is matched sets. Where no comparator serves two pilots, six or more, and sets are small: sign
flips. They take differences to be symmetric, which those of skewed noise are not where one pilot
faces many comparators: nine sets, noise (χ²₂ − 2)/2: a true null is rejected at 5 % in 6.1 % of
data sets with three comparators each, 7.0 with five, 7.7 with seven, 8.2 with ten (15,000 data
sets), permutation of t within sets in 5.1 with three and with ten (3,000). So larger sets, and
shared ones: permutation of t within sets, from six pilots on with at
least as many effective comparators (``1 / Σ w̄²``, w̄ a comparator's weight averaged over pilots).
Nine pilots in eleven simulated cases (the table of `Permutation`): it rejects a true null at 5 % in
4.2 to 6.2 % of 2,000 data sets, the jackknife in 1.5 to 4.9 %; six pilots in 29 cases with 6 to 12
effective comparators, pilots or a comparator up to three times as noisy: 4.5 to 7.2 %. The
jackknife counts the noise of comparators twice, so its intervals are wider than they need be.

With fewer effective comparators t does not hold its size, and the jackknife is named: six pilots
that share one comparator with weight .9 (1.2 effective), pilots three times as noisy: 10.4 % (the
jackknife 4.7 %), the shared one three times as noisy: 8.8 % (2.6 %); five pilots on one triple,
three times as noisy, and a pair (3.9): 10.6 %. So with fewer pilots: four, twice as noisy as
comparators that they share, gave 6.5 and 7.8 % in two designs, the jackknife 4.3 and 5.3 %. Where
a set would be empty without some unit there is no jackknife (pairs): t is permuted all the same,
and the note says so. Permutation of the estimate does not hold its size (up to 30 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.inference.arms import (
    carried_by,
    counted,
    effective_comparators,
    not_dropped,
    not_traded,
    reuse_in_words,
)
from didkit.inference.assignments import least_of_assignments, least_of_orders
from didkit.inference.cluster import ClusterRobust
from didkit.inference.donald_lang import DonaldLang
from didkit.inference.ferman_pinto import FermanPinto
from didkit.inference.jackknife import Jackknife
from didkit.inference.permutation import Permutation
from didkit.inference.placebo_variance import PlaceboVariance
from didkit.inference.sign_flips import SignFlips
from didkit.results import Estimate, Inference, OneByOne

__all__ = ["Advice", "recommend"]

Floats = NDArray[np.float64]

_ENOUGH = 6  #: pilots with sets of their own from which t is permuted or signs are flipped
_MANY = 20  #: comparators from which their noise says what a pilot's may be
_ROUNDING = 1e-9  #: an effective number of comparators within this of the pilots is enough
_SMALL = 4 + 1e-9  #: effective comparators in a set up to which signs are flipped
_NEVER = 3  #: pilots up to which the restricted wild bootstrap rejects nothing
_TRIAL = 19  #: draws of a trial, to see whether a method serves
_VERY_MANY = 5_000  #: units above which nothing is permuted, or fitted again without each
_MANY_CLUSTERS = 100  #: clusters a side from which CR1 with G − 1 degrees of freedom holds its size
_REFITS = 500  #: clusters up to which an estimate is fitted again without each
_FITS = 999  #: draws of a permutation that runs the estimator once for each
_LEAST = 0.05  #: least attainable p above which a permutation decides nothing


@dataclass(frozen=True)
class Advice:
    """The inference recommended, the case that applied, and why, in words."""

    inference: Inference
    case: int
    notes: tuple[str, ...]


def recommend(estimate: Estimate) -> Advice:
    """Choose the primary inference for an estimate from its design.

    Parameters
    ----------
    estimate : Estimate
        n1 and n0 are the pilots and comparators of its best-carried term (one late joiner does
        not decide the method for the other nine); a term carried by one pilot is ranked by the
        estimate itself inside the permutation.

    Returns
    -------
    Advice
        Exactly one method; its notes say which case applied.

    Examples
    --------
    >>> from didkit.inference import recommend
    >>> recommend.__name__
    'recommend'
    """
    n1s, n0s = carried_by(estimate)
    n1, n0 = int(n1s.max()), int(n0s.max())
    who = f"{counted(n1, 'pilot')}, {counted(n0, 'comparator')}"
    sample = estimate.sample
    if estimate.placebos is not None and not sample.clustered_above and n0 > n1:
        case = 1 if n1 == 1 else 6
        why = "placebo variance, as weights are chosen by the outcome"
        return Advice(PlaceboVariance(), case, (f"inference by rule {case} ({who}): {why}",))
    if _many_on_both_sides(estimate, n1, n0):
        why = f"CR1, as {_MANY_CLUSTERS} or more clusters on both sides carry it"
        return Advice(ClusterRobust("CR1"), 6, (f"inference by rule 6 ({who}): {why}",))
    if estimate.reassigned is None or sample.clustered_above:
        return _without_permutation(estimate, n1, who)
    if n1 == 1:
        return _one_pilot(estimate, n0)
    if (n1 <= 3 and n0 <= 3) or n0 == 1:
        return _few_against_few(estimate, who)
    several = _several(n1, n0)
    if several is None:
        return _by_clusters(estimate, who, "")
    case, why = several
    chosen = Permutation("t")
    if isinstance(estimate.reassigned, OneByOne):
        chosen = Permutation("t", draws=_FITS)
        why += f"; {_FITS} draws, as each is a fit of its own"
    least = least_of_assignments(sample, draws=chosen.draws, assignable=estimate.assignable)
    if least > _LEAST:
        return _by_clusters(
            estimate, who, f"the least p by permutation inside strata is {least:.3f}"
        )
    return Advice(chosen, case, (f"inference by rule {case} ({who}): {why}",))


def _several(n1: int, n0: int) -> tuple[int, str] | None:
    """Return the case in which t is permuted, and why; None where it is not."""
    if n1 >= _ENOUGH and n0 >= 2 * n1:
        return 4, "permutation of t inside strata"
    if n1 < _ENOUGH and n0 >= _MANY:
        how = "never rejects" if n1 <= _NEVER else "is unreliable"
        return 5, f"permutation of t; the plain wild bootstrap {how} here"
    return None


def _one_pilot(estimate: Estimate, n0: int) -> Advice:
    """Rescale the comparators' noise to the pilot's size, or rank the pilot among them."""
    who = f"inference by rule 1 (one pilot, {n0} comparators)"
    why = _no_sizes(estimate, n0)
    if not why:
        return Advice(
            FermanPinto(),
            1,
            (
                f"{who}: Ferman–Pinto, comparators' noise at the pilot's size; no cluster-robust "
                "variance exists (LauLi(), on DiD('complete'), says how noisy the pilot may be)",
            ),
        )
    return Advice(
        Permutation("beta"),
        1,
        (f"{who}: rank among placebo pilots ({why}); no cluster-robust variance exists",),
    )


def _no_sizes(estimate: Estimate, n0: int) -> str:
    """Say why noise cannot be rescaled to sizes; empty where it can."""
    exposure = estimate.sample.exposure
    if n0 < _MANY:
        return f"fewer than {_MANY} comparators"
    if exposure is None:
        return "sizes are not known"
    try:  # it knows best what it needs: sizes, cells, spread
        FermanPinto(draws=_TRIAL).attach(estimate)
    except InferenceError as error:
        return f"Ferman–Pinto: {error.found}"
    return ""


def _few_against_few(estimate: Estimate, who: str) -> Advice:
    """Name the pooled t, with its condition; a rank where there are many pilots against one."""
    ranked = Permutation("beta")
    least = least_of_assignments(
        estimate.sample, draws=ranked.draws, assignable=estimate.assignable
    )
    if estimate.terms["n_comparators"].max() == 1 and least <= _LEAST:
        why = f"rank among all choices of the comparator, least p {least:.3f}"
        return Advice(ranked, 2, (f"inference by rule 2 ({who}): {why}",))
    said = f"inference by rule 2 ({who}): no distribution-free 5 % test exists"
    try:
        DonaldLang().attach(estimate)
    except InferenceError as error:
        why = f"the exact permutation is shown, as no pooled t exists: {error.found}"
        return Advice(Permutation("t"), 2, (f"{said}; {why}",))
    return Advice(
        DonaldLang(),
        2,
        (
            f"{said}; the pooled t is shown, which needs equal-variance normal site shocks: see "
            "the sites' own paths, and check(ContrastStudy())",
        ),
    )


def _without_permutation(estimate: Estimate, n1: int, who: str) -> Advice:
    """Choose where other pilots would have other comparators, or clusters are above units."""
    if estimate.normal is not None:
        return _by_clusters(estimate, who, "")
    exchange, sets = estimate.exchanged, estimate.sample.sets
    if sets is None:
        above = estimate.sample.clustered_above
        because = "clusters are above units" if above else _no_permutation(estimate)
        return _by_clusters(estimate, who, because)
    shared = reuse_in_words(estimate)
    who = f"{who}, matched sets; {shared or 'no comparator serves two pilots'}"
    apart = not shared and not (sets[:, estimate.sample.pilot] > 0).any()
    apart &= estimate.weights is not None and not estimate.sample.clustered_above
    if apart and n1 >= _ENOUGH and (exchange is None or _largest_set(sets) <= _SMALL):
        why = "sign flips of the sets' differences; permutation within sets stands beside it"
        return Advice(SignFlips(), 3, (f"inference by rule 3 ({who}): {why}",))
    if exchange is None or estimate.sample.clustered_above:
        because = _no_permutation(estimate) if exchange is None else "clusters are above units"
        return _jackknife(who, because)
    chosen = Permutation("t")
    least = least_of_orders(exchange, chosen.statistic, draws=chosen.draws)
    effective = effective_comparators(estimate)
    if n1 == 1:
        why = f"rank among placebo pilots from its set, least p {least:.3f}"
        return Advice(Permutation("beta"), 1, (f"inference by rule 1 ({who}): {why}",))
    if n1 < _ENOUGH:
        because = f"fewer than {_ENOUGH} pilots"
    elif effective < n1 - _ROUNDING:
        because = f"{effective:.1f} effective comparators, fewer than pilots"
    elif least > _LEAST:
        because = f"the least p by permutation is {least:.3f}"
    else:
        why = "permutation of t within sets; the jackknife stands beside it"
        return Advice(chosen, 3, (f"inference by rule 3 ({who}): {why}",))
    undropped = not_dropped(estimate)
    if not undropped:
        return _jackknife(who, because)
    why = (
        f"permutation of t within sets, least p {least:.3f}, though {because}: no jackknife "
        f"exists, as {undropped}"
    )
    return Advice(chosen, 6, (f"inference by rule 6 ({who}): {why}",))


def _many_on_both_sides(estimate: Estimate, n1: int, n0: int) -> bool:
    """Whether one pool has so many clusters on both sides that CR1 holds its size.

    Where least squares publishes cross-products, only with so many units that nothing is permuted.
    """
    sample = estimate.sample
    if sample.sets is not None or (estimate.influence is None and estimate.normal is None):
        return False
    if estimate.normal is not None and len(sample.units) < _VERY_MANY:
        return False
    others = np.ones_like(sample.pilot) if sample.not_yet else ~sample.pilot
    for n, arm in ((n1, sample.pilot), (n0, others)):
        if min(n, int(np.count_nonzero(np.bincount(sample.clusters[arm])))) < _MANY_CLUSTERS:
            return False
    return True


def _by_clusters(estimate: Estimate, who: str, because: str) -> Advice:
    """Choose CR2 where it exists; else the jackknife, or CR1 where there is too much to refit."""
    n = len(estimate.sample.cluster_labels)
    refitted = n <= _REFITS or (estimate.influence is None and n < _VERY_MANY)
    if estimate.normal is not None:
        why = "CR2 with Bell–McCaffrey degrees of freedom" + (f", as {because}" if because else "")
        return Advice(ClusterRobust("CR2"), 6, (f"inference by rule 6 ({who}): {why}",))
    if refitted:
        return _jackknife(who, because or "no cross-products by cluster are published")
    few = f"; with fewer than {_MANY_CLUSTERS} clusters on a side it rejects too often"
    why = f"CR1, as there are too many clusters ({n:,}) to refit without each"
    why += (f"; {because}" if because else "") + few
    return Advice(ClusterRobust("CR1"), 6, (f"inference by rule 6 ({who}): {why}",))


def _no_permutation(estimate: Estimate) -> str:
    """Say why there is no permutation, and what one needs."""
    return "{}; a permutation needs {}".format(*not_traded(estimate))


def _largest_set(sets: Floats | None) -> float:
    """Return the largest effective number of comparators in a set, ``1 / Σ w²``."""
    return 0.0 if sets is None else float((1 / (sets**2).sum(axis=1)).max())


def _jackknife(who: str, because: str) -> Advice:
    """Choose the jackknife, and say why not a permutation."""
    why = f"the cluster jackknife, by refitting: {because}"
    return Advice(Jackknife(), 6, (f"inference by rule 6 ({who}): {why}",))
