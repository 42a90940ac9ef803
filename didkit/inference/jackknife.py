"""The cluster jackknife by refitting: for any estimator, linear or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from didkit.errors import DesignError, EstimationError, InferenceError
from didkit.inference.arms import (
    closed_form_df,
    clusters_by_term,
    lost_in_words,
    reuse_in_words,
    with_variance,
)
from didkit.inference.student import from_covariance
from didkit.progress import steps
from didkit.results import Estimate

__all__ = ["Jackknife"]


@dataclass(frozen=True)
class Jackknife:
    """Drop each cluster in turn, refit, and measure how far the estimate moves.

    Parameters
    ----------
    max_refits : int, default 500
        More than this many are refused rather than started.

    Notes
    -----
    Variance ``(G−1)/G Σ (θ(−g) − θ)²``, centred on the estimate (summclust's CRV3; the jackknife
    of MacKinnon, Nielsen & Webb 2023 centred on the mean of the deletions differs slightly); t
    with Bell and McCaffrey's degrees of freedom of a difference of two means of as many pilots
    and comparators; with clusters above units, of as many clusters with pilots and clusters with
    comparators, and at most one less than there are clusters. Comparators are not rebuilt when a
    pilot is dropped. Fails with one pilot (refused), and for matched sets it treats the
    comparators' weights as given. A comparator that serves several pilots is one cluster: it is
    dropped from all its sets at once.

    Examples
    --------
    >>> Jackknife()
    Jackknife(max_refits=500)
    """

    max_refits: int = 500

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach standard errors, tests and intervals.

        Raises
        ------
        InferenceError
            With one pilot, more refits than allowed, or a refit that does not exist.
        """
        exists = with_variance(estimate, repr(self))
        sample = estimate.sample
        n_clusters = len(sample.cluster_labels)
        if n_clusters > self.max_refits:
            raise InferenceError(
                needed=f"at most {self.max_refits} refits",
                found=f"{n_clusters} clusters",
                where=repr(self),
                todo="ask for them: Jackknife(max_refits=…)",
            )
        clusters = steps(range(n_clusters), "jackknife")
        deviations = np.stack([self._without(estimate, g) - estimate.values for g in clusters])
        covariance = (n_clusters - 1) / n_clusters * deviations.T @ deviations
        covariance[~exists] = np.nan
        covariance[:, ~exists] = np.nan
        g1, g0 = clusters_by_term(estimate)
        df = closed_form_df(g1.astype(float), g0.astype(float))
        if sample.clustered_above:  # a cluster may hold both
            df = np.minimum(df, n_clusters - 1.0)
        reuse = reuse_in_words(estimate)
        return from_covariance(
            estimate,
            self,
            covariance,
            df,
            level=level,
            method=f"cluster jackknife, {n_clusters} refits, Bell–McCaffrey degrees of freedom",
            notes=(
                *lost_in_words(estimate, exists),
                *_gone(estimate, covariance, exists),
                *((f"{reuse}: each is dropped from all its sets at once",) if reuse else ()),
            ),
        )

    def _without(self, estimate: Estimate, g: int) -> np.ndarray:
        """Return the estimates without one cluster, in the order of the terms."""
        sample = estimate.sample
        design = estimate.design
        label = sample.cluster_labels[g]
        try:
            for j in np.flatnonzero(sample.clusters == g):
                design = design.drop(sample.units[j])
            refitted = estimate.refit(design)
        except (DesignError, EstimationError) as error:
            raise InferenceError(
                needed="an estimate without each cluster in turn",
                found=f"none without {label!r}: {error.found}",
                where=repr(self),
                todo="widen the set that depends on it, or use another inference",
            ) from error
        found = dict(zip(refitted.terms["term"], refitted.values, strict=True))
        return np.array([found.get(term, np.nan) for term in estimate.terms["term"]])


def _gone(estimate: Estimate, covariance: np.ndarray, exists: np.ndarray) -> tuple[str, ...]:
    """Say which terms some deletion leaves without an estimate."""
    lost = exists & ~np.isfinite(np.diagonal(covariance))
    if not lost.any():
        return ()
    terms = [t for t, gone in zip(estimate.terms["term"], lost, strict=True) if gone]
    return (f"{', '.join(map(str, terms))}: gone without one of the clusters, so no jackknife",)
