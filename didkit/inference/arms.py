"""How many pilots and comparators carry each term, and which terms have a variance at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from didkit.errors import DidkitError, InferenceError, first_few
from didkit.results import Estimate

if TYPE_CHECKING:
    from didkit.inference.groups import Groups
    from didkit.results import Inference

__all__ = [
    "carried_by",
    "closed_form_df",
    "clusters_by_term",
    "counted",
    "effective_comparators",
    "lost_in_words",
    "not_dropped",
    "not_traded",
    "reuse_in_words",
    "trading_in_words",
    "with_variance",
]

Ints = NDArray[np.int64]


def carried_by(estimate: Estimate) -> tuple[Ints, Ints]:
    """Return the pilots and comparators of each term; a term of pilots alone has 0 comparators."""
    return (
        estimate.terms["n_pilots"].to_numpy(dtype=np.int64),
        estimate.terms["n_comparators"].to_numpy(dtype=np.int64),
    )


def with_variance(
    estimate: Estimate, method: str, groups: Sequence[Groups] = ()
) -> NDArray[np.bool_]:
    """Return the terms that a cluster-robust variance exists for; refuse when there is none.

    A term carried by one pilot (or one comparator, or one cluster of either) has no variance that
    these methods could see: the number that a pseudo-inverse returns means nothing.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator.
    method : str
        Which method asks, for the message.
    groups : sequence of Groups
        The clusters, one or two ways; by default the design's.

    Raises
    ------
    InferenceError
        If no term has one; the text names what to use instead.
    """
    n1, n0 = carried_by(estimate)
    by_group = [_clusters(estimate, one) for one in groups] or [_clusters(estimate, None)]
    names = [one.name for one in groups] or ["cluster"]
    exists = np.ones(len(n1), dtype=bool)
    for g1, g0 in by_group:
        exists &= (np.minimum(n1, g1) >= 2) & ((n0 == 0) | (np.minimum(n0, g0) >= 2))
    if not exists.any():
        alone: dict[str, None] = {}
        for name, (g1, g0) in zip(names, by_group, strict=True):
            for arm, n, g in (("pilot", n1, g1), ("comparator", n0, g0)):
                if n.max() > 0 and np.minimum(n, g).max() < 2:
                    side = " on one side of the start" if name == "period" else ""
                    alone[arm if n.max() < 2 else f"{name} of {arm}s{side}"] = None
        who = " and 1 ".join(alone) or "pilot or comparator in each term"
        of = f"{counted(int(n1.max()), 'pilot')} and {counted(int(n0.max()), 'comparator')}"
        raise InferenceError(
            needed="at least two clusters of pilots and two of comparators",
            found=f"1 {who} (of {of})",
            where=f"{method} of {estimate.metric.name!r}",
            todo="no cluster-robust variance exists; " + _instead(estimate, groups),
        )
    return exists


def _instead(estimate: Estimate, groups: Sequence[Groups]) -> str:
    """Name the methods that serve this estimate where no variance exists; each is tried."""
    if estimate.sample.clustered_above:
        n_pilots = int(carried_by(estimate)[0].max())
        g1, g0 = clusters_by_term(estimate)
        # coarser clusters than the design's may have been asked for
        if groups and ((g1 >= 2) & ((g0 == 0) | (g0 >= 2))).any():
            return "leave by= out: the design's own clusters have one"
        what = counted(n_pilots, "pilot") + (" in one cluster" if int(g1.max()) < 2 else "")
        return (
            f"{what} cannot be told from what else happens in the cluster: only a design without "
            "clusters= can be tested, which takes units as independent"
        )
    from didkit.inference.conley_taber import ConleyTaber
    from didkit.inference.ferman_pinto import FermanPinto
    from didkit.inference.lau_li import LauLi
    from didkit.inference.permutation import Permutation

    few = _TRIAL
    ways = []
    if _serves(Permutation(draws=few), estimate):
        ways.append("Permutation(), which ranks the estimate among those of placebo pilots")
    if _serves(FermanPinto(draws=few), estimate):
        ways.append("FermanPinto(), which allows for the sizes of units")
    elif estimate.sample.exposure is None and _serves(ConleyTaber(draws=few), estimate):
        ways.append("FermanPinto(sizes={unit: number}), which allows for the sizes of units")
    if _serves(LauLi(), estimate):
        ways.append("LauLi(), for pilots that may be noisier than comparators by a stated ratio")
    n1, n0 = carried_by(estimate)
    own = bool(groups and ((n1 >= 2) & ((n0 == 0) | (n0 >= 2))).any())
    said = ["leave by= out (each unit is then a cluster)"] if own else []
    if ways:
        independent = " (they take units as independent)" if groups else ""
        said.append("use " + "; or ".join(ways) + independent)
    if said:
        return "; or ".join(said)
    return "use Permutation() with {1}: here {0}".format(*not_traded(estimate))


_TRIAL = 19  #: draws of a trial, to see whether a method serves


def _serves(inference: Inference, estimate: Estimate) -> bool:
    """Whether a method has a test for some term; tried, for a text must not send in circles."""
    try:
        made = inference.attach(estimate, level=0.95).attached
    except DidkitError:
        return False
    return bool(np.isfinite(made.p_value).any())


def counted(n: int, word: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> counted(1, "pilot"), counted(9, "pilot")
    ('1 pilot', '9 pilots')
    """
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def clusters_by_term(estimate: Estimate) -> tuple[Ints, Ints]:
    """Return how many of the design's clusters hold the pilots, and the comparators, of each term.

    Without clusters above units these are the pilots and comparators themselves.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> g1, g0 = clusters_by_term(dk.DiD().fit(design, "cpp"))
    >>> bool(g1[0] < g0[0])
    True
    """
    n1, n0 = carried_by(estimate)
    sample = estimate.sample
    if not sample.clustered_above:
        return n1, n0
    used: NDArray[np.bool_] = np.ones((len(sample.units), estimate.n_terms), dtype=bool)
    if estimate.weights is not None:
        used = np.asarray((np.abs(estimate.weights) > 0).any(axis=2).T)
    elif estimate.contributions is not None:
        used = np.isfinite(estimate.contributions)
    others = ~sample.pilot if sample.sets is None else (sample.sets > 0).any(axis=0)
    if sample.not_yet:  # pilots serve until they start
        others = np.ones_like(sample.pilot)
    g1, g0 = (
        np.array([len(np.unique(sample.clusters[arm & column])) for column in used.T])
        for arm in (sample.pilot, others)
    )
    return np.minimum(n1, g1), np.minimum(n0, g0)


def _clusters(estimate: Estimate, groups: Groups | None) -> tuple[Ints, Ints]:
    """Count the clusters of pilots and of comparators that carry each term.

    Where clusters split units (periods), those on the side of the start that has fewer.
    """
    sample = estimate.sample
    if groups is not None and not groups.whole and estimate.weights is not None:
        first, second = (_on_both_sides(estimate, groups, arm) for arm in (True, False))
        return first, second
    codes = sample.clusters if groups is None else groups.codes[:, 0]
    everyone = sample.sets is not None or sample.not_yet  # pilots serve other pilots too
    arms = (sample.pilot, np.ones_like(sample.pilot) if everyone else ~sample.pilot)
    if estimate.contributions is None:  # the same for every term: counted once
        alone = groups is None and not sample.clustered_above  # each unit is its own cluster
        first, second = (
            np.full(
                estimate.n_terms,
                np.count_nonzero(arm if alone else np.bincount(codes[arm])),
            )
            for arm in arms
        )
        return first, second
    used = np.isfinite(estimate.contributions)
    first, second = (
        np.array([len(np.unique(codes[arm & column])) for column in used.T]) for arm in arms
    )
    return first, second


def _on_both_sides(estimate: Estimate, groups: Groups, pilots: bool) -> Ints:
    """Count the groups of an arm's cells that have positive, and negative, weight; the fewer."""
    sample, found = estimate.sample, []
    arm = sample.pilot if pilots else ~sample.pilot
    for weights in np.asarray(estimate.weights):
        mine, codes = weights[arm], groups.codes[arm]
        floor = 1e-9 * np.abs(weights).max()
        found.append(min(len(np.unique(codes[side])) for side in (mine > floor, mine < -floor)))
    return np.array(found)


def lost_in_words(estimate: Estimate, exists: NDArray[np.bool_]) -> tuple[str, ...]:
    """Say which terms have no variance."""
    if exists.all():
        return ()
    gone = [t for t, there in zip(estimate.terms["term"], exists, strict=True) if not there]
    above = estimate.sample.clustered_above
    alone = "one pilot or one comparator" + (", or one cluster of either" if above else "")
    instead = "" if above else "; use Permutation"  # with clusters nothing else serves
    return (f"{first_few(gone)} carried by {alone}: no cluster-robust variance exists{instead}",)


def reuse_in_words(estimate: Estimate) -> str:
    """Say how many comparators serve several pilots; empty where none does, or without sets."""
    sets = estimate.sample.sets
    served = np.zeros(0) if sets is None else (sets > 0).sum(axis=0)
    shared = served[served > 1]
    if not len(shared):
        return ""
    return f"{len(shared)} comparators serve more than one pilot (at most {int(shared.max())})"


def effective_comparators(estimate: Estimate) -> float:
    """Return how many comparators with equal weights would vary as much, ``1 / Σ w̄²``.

    ``w̄`` is a comparator's weight averaged over the pilots (Kish's effective number). NaN without
    sets.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> effective_comparators(dk.DiD().fit(design, "cpp"))
    nan
    """
    sets = estimate.sample.sets
    if sets is None:
        return float("nan")
    return float(1 / (sets.mean(axis=0) ** 2).sum())


def not_dropped(estimate: Estimate) -> str:
    """Say which cluster the jackknife cannot drop; empty where it can drop each, or without sets.

    It drops each in turn, so a set must have a comparator left without any of them.
    """
    sample = estimate.sample
    if sample.sets is None:
        return ""
    for g, label in enumerate(sample.cluster_labels):
        goes = sample.clusters == g
        left = sample.sets[~goes[sample.pilot]][:, ~goes]
        if not (left > 0).any(axis=1).all():
            return f"a set would be empty without {label}"
    return ""


def trading_in_words(estimate: Estimate) -> list[str]:
    """Say who trades places with whom in a permutation of matched sets."""
    exchange = estimate.exchanged
    found: list[str] = []
    if exchange is None:
        return found
    size = np.bincount(exchange.blocks)
    size = size[size > 1]
    linked = ": sets that share a comparator are one" if reuse_in_words(estimate) else ""
    if not len(size):
        return ["no two units may trade places inside the strata"]
    found.append(
        "units trade places inside "
        + (
            f"one block of {size[0]} units"
            if len(size) == 1
            else f"{len(size)} blocks; the largest has {size.max()} units"
        )
        + linked
    )
    if len(size) == 1 and estimate.sample.n_pilots > 1:
        found.append("that all units of the block are exchangeable is an assumption")
    if exchange.fixed:
        found.append(f"{exchange.fixed} units without the cells of some term keep their place")
    return found


def not_traded(estimate: Estimate) -> tuple[str, str]:
    """Say why no other assignment of an estimate exists, and what would let it exist."""
    sample = estimate.sample
    if sample.sets is not None and sample.aggregate == "median":
        return "a median is not linear, and is not estimated again in bulk", "aggregate='mean'"
    if sample.sets is not None and (sample.sets[:, sample.pilot] > 0).any():
        return "pilots are among the comparators of other pilots", "sets without pilots"
    if sample.sets is not None and not sample.mask.all():
        n = int((~sample.mask.all(axis=1)).sum())
        return f"cells='observed' with gaps in {n} units: places are not alike", "cells='complete'"
    if sample.sets is None and estimate.weights is None:
        return "its weights depend on the outcome", "DiD()"
    return "other pilots would have other comparators", "a design with one pool of comparators"


def closed_form_df(n1: NDArray[np.float64], n0: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bell and McCaffrey's degrees of freedom of a difference of two means.

    ``(1/n1 + 1/n0)² / [1/(n1² (n1−1)) + 1/(n0² (n0−1))]``: known before the data
    (Bell & McCaffrey 2002; Imbens & Kolesár 2016). One group alone (n0 = 0): n1 − 1.

    Examples
    --------
    >>> closed_form_df(np.array([9.0]), np.array([141.0])).round(2).item()
    9.05
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        both = (1 / n1 + 1 / n0) ** 2 / (1 / (n1**2 * (n1 - 1)) + 1 / (n0**2 * (n0 - 1)))
    return np.asarray(np.where(n0 > 0, both, n1 - 1.0))
