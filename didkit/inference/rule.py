"""The ordered rule behind ``.infer()``: the first case that matches names one primary method.

The cases and their numbers are those of the table of rejection rates in the documentation
(docs/inference_sizes.md). Where a case cannot be served (clusters above units, cells missing, an
estimator that publishes less) the next best is named, and the note says why.

Case 3 is matched sets. Where no comparator serves two pilots, six or more: sign flips. Where they
are shared: permutation of t within sets, from six pilots on with at
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

from didkit.inference.arms import (
    carried_by,
    effective_comparators,
    not_dropped,
    not_traded,
    reuse_in_words,
)
from didkit.inference.assignments import least_of_orders
from didkit.inference.cluster import ClusterRobust
from didkit.inference.donald_lang import DonaldLang
from didkit.inference.ferman_pinto import FermanPinto
from didkit.inference.jackknife import Jackknife
from didkit.inference.permutation import Permutation
from didkit.inference.samples import one_number
from didkit.inference.sign_flips import SignFlips
from didkit.results import Estimate, Inference

__all__ = ["Advice", "recommend"]

_ENOUGH = 6  #: pilots with sets of their own from which t is permuted or signs are flipped
_MANY = 20  #: comparators from which their noise says what a pilot's may be
_ROUNDING = 1e-9  #: an effective number of comparators within this of the pilots is enough
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
    who = f"{n1} pilots, {n0} comparators"
    sample = estimate.sample
    if estimate.reassigned is None or sample.clustered_above:
        return _without_permutation(estimate, n1, who)
    if n1 == 1:
        return _one_pilot(estimate, n0)
    if n1 <= 3 and n0 <= 3:
        return _few_against_few(estimate, who)
    if n1 >= 6 and n0 >= 2 * n1:
        return Advice(
            Permutation("t"),
            4,
            (f"inference by rule 4 ({who}): permutation of t inside strata",),
        )
    if n1 <= 5 and n0 >= 20:
        return Advice(
            Permutation("t"),
            5,
            (
                f"inference by rule 5 ({who}): permutation of t; the plain wild bootstrap never "
                "rejects here",
            ),
        )
    return Advice(
        ClusterRobust("CR2"),
        6,
        (f"inference by rule 6 ({who}): CR2 with Bell–McCaffrey degrees of freedom",),
    )


def _one_pilot(estimate: Estimate, n0: int) -> Advice:
    """Rescale the comparators' noise to the pilot's size, or rank the pilot among them."""
    who = f"inference by rule 1 (one pilot, {n0} comparators)"
    why = _no_sizes(estimate, n0)
    if not why:
        return Advice(
            FermanPinto(),
            1,
            (
                f"{who}: Ferman–Pinto, the comparators' noise at the pilot's size; no "
                "cluster-robust variance exists (LauLi() says how much noisier the pilot may be)",
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
    if estimate.weights is None or estimate.sample.left.any():
        return "an estimate without weights" if estimate.weights is None else "a pilot that left"
    seen = None if exposure is None else np.isfinite(exposure).any(axis=1)
    if exposure is None or seen is None or not seen.all():
        return "sizes are not known"
    with np.errstate(invalid="ignore"):
        size = np.nanmean(exposure, axis=1)
    return "" if np.ptp(size) > 1e-9 * size.max() else "all sizes are alike"


def _few_against_few(estimate: Estimate, who: str) -> Advice:
    """Name the pooled t, with its condition: nothing else can reject at 5 %."""
    said = f"inference by rule 2 ({who}): no distribution-free 5 % test exists"
    pooled = all(one_number(estimate, m) for m in range(estimate.n_terms))
    if not pooled or estimate.sample.left.any():
        return Advice(Permutation("t"), 2, (f"{said}; the exact permutation is shown",))
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
        return Advice(
            ClusterRobust("CR2"),
            6,
            (f"inference by rule 6 ({who}): CR2 with Bell–McCaffrey degrees of freedom",),
        )
    exchange = estimate.exchanged
    shared = reuse_in_words(estimate)
    who = f"{who}, matched sets; {shared or 'no comparator serves two pilots'}"
    sets = estimate.sample.sets
    apart = sets is not None and not shared and not (sets[:, estimate.sample.pilot] > 0).any()
    apart &= estimate.weights is not None and not estimate.sample.clustered_above
    if apart and n1 >= _ENOUGH:
        why = "sign flips of the sets' differences; permutation within sets stands beside it"
        return Advice(SignFlips(), 3, (f"inference by rule 3 ({who}): {why}",))
    if exchange is None or estimate.sample.clustered_above:
        because = (
            "{}; a permutation needs {}".format(*not_traded(estimate))
            if exchange is None
            else "clusters are above units"
        )
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


def _jackknife(who: str, because: str) -> Advice:
    """Choose the jackknife, and say why not a permutation."""
    why = f"the cluster jackknife, by refitting: {because}"
    return Advice(Jackknife(), 6, (f"inference by rule 6 ({who}): {why}",))
