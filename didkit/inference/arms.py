"""How many pilots and comparators carry each term, and which terms have a variance at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few
from didkit.results import Estimate

__all__ = ["carried_by", "closed_form_df", "with_variance"]

Ints = NDArray[np.int64]


def carried_by(estimate: Estimate) -> tuple[Ints, Ints]:
    """Return the pilots and comparators of each term; a term of pilots alone has 0 comparators."""
    return (
        estimate.terms["n_pilots"].to_numpy(dtype=np.int64),
        estimate.terms["n_comparators"].to_numpy(dtype=np.int64),
    )


def with_variance(estimate: Estimate, method: str) -> NDArray[np.bool_]:
    """Return the terms that a cluster-robust variance exists for; refuse when there is none.

    A term carried by one pilot (or one comparator, or one cluster of either) has no variance that
    these methods could see: the number that a pseudo-inverse returns means nothing.

    Raises
    ------
    InferenceError
        If no term has one; the text names what to use instead.
    """
    n1, n0 = carried_by(estimate)
    sample = estimate.sample
    arms = {
        "pilot": min(len(np.unique(sample.clusters[sample.pilot])), int(n1.max())),
        "comparator": len(np.unique(sample.clusters[~sample.pilot])),
    }
    alone = [arm for arm, count in arms.items() if count < 2]
    exists = np.asarray((n1 >= 2) & (n0 != 1))
    if (estimate.sample.sets is None and alone) or not exists.any():
        who = " and ".join(alone) or "pilot"
        raise InferenceError(
            needed="at least two clusters of pilots and two of comparators",
            found=f"1 {who} (of {int(n1.max())} pilots and {int(n0.max())} comparators)",
            where=f"{method} of {estimate.metric.name!r}",
            todo="no cluster-robust variance exists; use Permutation(), which ranks this pilot "
            "among placebo pilots (FermanPinto comes in a later version)",
        )
    return exists


def lost_in_words(estimate: Estimate, exists: NDArray[np.bool_]) -> tuple[str, ...]:
    """Say which terms have no variance."""
    if exists.all():
        return ()
    gone = [t for t, there in zip(estimate.terms["term"], exists, strict=True) if not there]
    return (
        f"{first_few(gone)} carried by one pilot or one comparator: no cluster-robust variance "
        "exists; use Permutation",
    )


def closed_form_df(n1: NDArray[np.float64], n0: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bell and McCaffrey's degrees of freedom of a difference of two means.

    ``(1/n1 + 1/n0)² / [1/(n1² (n1−1)) + 1/(n0² (n0−1))]``: known before the data
    (Imbens & Kolesár 2016, section 3). One group alone (n0 = 0): n1 − 1.

    Examples
    --------
    >>> closed_form_df(np.array([9.0]), np.array([141.0])).round(2).item()
    9.05
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        both = (1 / n1 + 1 / n0) ** 2 / (1 / (n1**2 * (n1 - 1)) + 1 / (n0**2 * (n0 - 1)))
    return np.asarray(np.where(n0 > 0, both, n1 - 1.0))
