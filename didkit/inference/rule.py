"""The ordered rule behind ``.infer()``: the first case that matches names one primary method.

The cases and their numbers are those of the table of rejection rates in the documentation. Some
cases would prefer what this version does not have: Ferman–Pinto and Lau–Li (cases 1 and 5), the
pooled t of Donald and Lang (2), sign flips within sets (3), the subcluster wild bootstrap (5).

Case 3 is matched sets, shared or not: from six pilots on, permutation of t within sets. Nine
pilots in eleven simulated cases (the table of `Permutation`): it rejects a true null at 5 % in
4.2 to 6.2 % of 2,000 data sets, the jackknife in 1.5 to 4.9 %. Both hold their size; the
jackknife counts the noise of comparators twice, so its intervals are wider than they need be.
Permutation of the estimate does not hold it (up to 30 %). With fewer pilots the order turns:
four, twice as noisy as comparators that they share, gave 6.5 and 7.8 % in two designs, the
jackknife 4.3 and 5.3 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from didkit.inference.arms import carried_by, not_traded, reuse_in_words
from didkit.inference.assignments import least_of_orders
from didkit.inference.cluster import ClusterRobust
from didkit.inference.jackknife import Jackknife
from didkit.inference.permutation import Permutation
from didkit.results import Estimate, Inference

__all__ = ["Advice", "recommend"]

_ENOUGH = 6  #: pilots with sets of their own from which t is permuted
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
        return Advice(
            Permutation("beta"),
            1,
            (
                f"inference by rule 1 (one pilot, {n0} comparators): rank among placebo pilots; "
                "no cluster-robust variance exists",
            ),
        )
    if n1 <= 3 and n0 <= 3:
        return Advice(
            Permutation("t"),
            2,
            (
                f"inference by rule 2 ({who}): no distribution-free 5 % test exists; the exact "
                "permutation is shown",
            ),
        )
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


def _without_permutation(estimate: Estimate, n1: int, who: str) -> Advice:
    """Choose where other pilots would have other comparators, or clusters are above units."""
    if estimate.normal is not None:
        return Advice(
            ClusterRobust("CR2"),
            6,
            (f"inference by rule 6 ({who}): CR2 with Bell–McCaffrey degrees of freedom",),
        )
    exchange = estimate.exchanged
    reuse = reuse_in_words(estimate) or "no comparator serves two pilots"
    who = f"{who}, matched sets; {reuse}"
    if exchange is not None and not estimate.sample.clustered_above and n1 >= _ENOUGH:
        chosen = Permutation("t")
        least = least_of_orders(exchange, chosen.statistic, draws=chosen.draws)
        if least <= _LEAST:
            why = "permutation of t within sets; the jackknife stands beside it"
            return Advice(chosen, 3, (f"inference by rule 3 ({who}): {why}",))
        because = f"the least p by permutation is {least:.3f}"
    elif exchange is None:
        because = "{}; a permutation needs {}".format(*not_traded(estimate))
    elif estimate.sample.clustered_above:
        because = "clusters are above units"
    else:
        because = f"fewer than {_ENOUGH} pilots"
    why = f"the cluster jackknife, by refitting: {because}"
    return Advice(Jackknife(), 6, (f"inference by rule 6 ({who}): {why}",))
