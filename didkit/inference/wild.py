"""The wild cluster bootstrap, restricted or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit import linear
from didkit.errors import InferenceError, first_few
from didkit.inference.arms import lost_in_words, with_variance
from didkit.inference.bands import level_from_permutations
from didkit.inference.drawing import check_draws
from didkit.linear import Normal, Parts, WildDraws
from didkit.linear.wild import Ties
from didkit.results import Estimate, JointTest, Uncertainty

__all__ = ["WildBootstrap", "joint_band"]

Floats = NDArray[np.float64]

FEW = 5  #: pilots up to which the plain wild bootstrap is not to be trusted among many comparators
HARDLY_ANY = 3  #: pilots up to which it fails outright there
_CHOICES: dict[str, tuple[object, ...]] = {
    "null": ("restricted", "unrestricted"),
    "signs": ("rademacher", "webb", "mammen"),
    "statistic": ("CR1", "CR3"),
    "scores": ("plain", "jackknife"),
    "subclusters": ("cells", "units", None),
    "ties": ("count", "strict"),
}


@dataclass(frozen=True)
class WildBootstrap:
    """Flip the signs of each cluster's residuals at random and see how often t is as large.

    Parameters
    ----------
    null : {"restricted", "unrestricted"}
        Whether residuals are those of the regression with the effect at its hypothesised value
        (by default) or at its estimate.
    signs : {"rademacher", "webb", "mammen"}
        ±1; Webb's six points, for fewer than about ten clusters; Mammen's two.
    statistic : {"CR1", "CR3"}
        The standard error under t, in the data and in each draw: with G/(G−1), or the cluster
        jackknife.
    scores : {"plain", "jackknife"}
        ``"jackknife"``: each cluster's residuals are those about the estimate without it.
    subclusters : {"cells", "units"}, optional
        Draw signs for each cell, or for each unit where the design's clusters are above units; the
        variance stays by cluster (MacKinnon & Webb 2018). With ``"cells"`` errors of one cluster
        are drawn as if independent.
    ties : {"count", "strict"}
        ``"strict"`` counts only draws that are larger, as fwildclusterboot does.
    draws : int, default 9999
        Where there are no more vectors of signs than this (Rademacher) all are listed.
    seed : int, default 0
        The same seed gives the same number.

    Notes
    -----
    p counts ties, and the data always count. With the null imposed two vectors (all signs equal)
    give the data's t: p is the share of all vectors when listed. Where none does (drawn; no null
    imposed; scores of the jackknife, unless all leverages are alike) it is ``(1 + #) / (1 + B)``.
    ``ties="strict"`` is the bare share, as in R, and can be 0. The interval inverts the test with
    the same draws: the residuals are linear in the hypothesised effect, each draw's t² is a ratio
    of quadratics in it, and one sweep over the roots of all draws gives every effect that is not
    rejected, however far. Where these are not one interval the hull is given, with a note.
    Several terms: the null is imposed on one at a time, all share their signs, and have a uniform
    band as with `Permutation`.

    Needs cross-products by cluster and two clusters of pilots; one pilot is refused. Fails with few
    pilots among many comparators (MacKinnon & Webb 2017), and a note says so. True nulls rejected
    at 5 % with 2, 3, 4, 5 and 6 pilots of 150 (normal noise, 199 draws, 800 data sets or more):
    restricted 0.0, 0.0, 3.9, 6.4 and 4.4 %, unrestricted 18, 10, 6.3, 6.2 and 4.9 %. Counting ties,
    2 v 2 is never rejected (least p 1/8), and 4 v 4 is 6.2 % of the time.

    References
    ----------
    Cameron, Gelbach & Miller (2008); MacKinnon & Webb (2017, 2018); MacKinnon, Nielsen & Webb
    (2023); the kernel is `didkit.linear.wild_draws`.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(WildBootstrap(draws=199, seed=1))
    >>> bool(did["att"]["conf_low"] < 0 < did["att"]["conf_high"])  # the true effect is zero
    True
    """

    null: Literal["restricted", "unrestricted"] = "restricted"
    signs: Literal["rademacher", "webb", "mammen"] = field(default="rademacher", kw_only=True)
    statistic: Literal["CR1", "CR3"] = field(default="CR1", kw_only=True)
    scores: Literal["plain", "jackknife"] = field(default="plain", kw_only=True)
    subclusters: Literal["cells", "units"] | None = field(default=None, kw_only=True)
    ties: Literal["count", "strict"] = field(default="count", kw_only=True)
    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InferenceError(
                    needed=f"{name}: " + ", ".join(str(c) for c in choices if c),
                    found=repr(getattr(self, name)),
                    where="WildBootstrap",
                    todo="choose one",
                )
        check_draws(self.draws, self.seed, "WildBootstrap")
        if self.subclusters is not None and self.scores != "plain":
            raise InferenceError(
                needed="scores='plain' with subclusters",
                found=f"scores={self.scores!r}, subclusters={self.subclusters!r}",
                where="WildBootstrap",
                todo="leave one of them out",
            )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach p-values and the intervals that invert them.

        Raises
        ------
        InferenceError
            Without cross-products by cluster, with one pilot or one comparator, or where the
            estimate has no cells or units to draw signs for.
        """
        normal, contrast = self._needed(estimate)
        exists = with_variance(estimate, repr(self))
        parts = self._parts(estimate, normal)
        drawn = linear.wild_draws(
            normal,
            contrast[exists],
            restricted=self.null == "restricted",
            signs=self.signs,
            variance="CR1" if self.statistic == "CR1" else "CR3J",
            scores=self.scores,
            draws=self.draws,
            seed=self.seed,
            parts=parts,
        )
        one = drawn[0]
        k, n_draws = estimate.n_terms, len(one.n0)
        made = {
            name: np.full(k, np.nan)
            for name in ("std_error", "statistic", "p_value", "conf_low", "conf_high")
        }
        null = np.full((n_draws, k), np.nan)
        notes = [*lost_in_words(estimate, exists), *self._few(estimate)]
        least_p = max(term.least_p for term in drawn)
        least_p = least_p if self.ties == "count" or not one.exact else 0.0
        size = np.abs(estimate.sample.y[estimate.sample.mask]).max(initial=0.0)
        by_term: dict[int, WildDraws] = {}
        for m, term in zip(np.flatnonzero(exists), drawn, strict=True):
            if term.variance <= (1e-13 * size) ** 2:
                notes.append("no spread at all between units: a standard error of 0 is not printed")
                continue
            by_term[int(m)] = term
            found = term.interval(level, ties=self.ties)
            error = np.sqrt(term.variance)
            made["std_error"][m], made["statistic"][m] = error, term.estimate / error
            made["p_value"][m] = term.p_value(ties=self.ties)
            made["conf_low"][m], made["conf_high"][m] = found.low, found.high
            null[:, m] = term.statistics()
            name = estimate.terms["term"].iloc[m]
            if not found.whole:
                why = "the effects not rejected are not one interval; its hull is given"
                notes.append(f"{name}: {why}")
            elif np.isinf([found.low, found.high]).any():
                why = f"no effect is rejected at level {level:g} on a side that is infinite"
                notes.append(f"{name}: {why}")
        holds = all(term.counted for term in drawn)  # the data are one of the draws
        band_low, band_high, said = joint_band(
            by_term, null, made, level, exact=holds, ties=self.ties
        )
        notes += said
        if least_p > 0.01:
            notes.append(f"the least p attainable is {least_p:.3f}")
        p = made["p_value"]
        facts: dict[str, object] = {
            "least_p": least_p,
            "draws": n_draws,
            "exact": one.exact,
            "seed": None if one.exact else self.seed,
        }
        if not one.exact and np.isfinite(p).any():
            facts["mc_error"] = float(np.nanmax(np.sqrt(p * (1 - p) / n_draws)))
        return estimate.with_uncertainty(
            Uncertainty(
                inference=self,
                method=self._method(one.exact, n_draws),
                level=level,
                null=null,
                band_low=band_low,
                band_high=band_high,
                facts=facts,
                notes=tuple(dict.fromkeys(notes)),
                std_error=made["std_error"],
                statistic=made["statistic"],
                p_value=p,
                conf_low=made["conf_low"],
                conf_high=made["conf_high"],
            )
        )

    def _method(self, exact: bool, n_draws: int) -> str:
        """Say the recipe."""
        below = {"cells": ", signs by cell", "units": ", signs by unit", None: ""}
        return (
            f"{self.null} wild cluster bootstrap of t ({self.statistic}"
            f"{', jackknife scores' if self.scores == 'jackknife' else ''}), {self.signs} signs"
            f"{below[self.subclusters]}, "
            + (f"all {n_draws:,} vectors" if exact else f"{n_draws:,} draws, seed {self.seed}")
            + (", ties not counted" if self.ties == "strict" else "")
        )

    def _few(self, estimate: Estimate) -> list[str]:
        """Say that with few pilots among many comparators the bootstrap fails."""
        sample = estimate.sample
        n1 = len(np.unique(sample.clusters[sample.pilot]))
        n0 = len(np.unique(sample.clusters[~sample.pilot]))
        n = len(np.unique(sample.clusters))  # fewer than both together where some have both
        few = min(n1, n0)
        if few > FEW or n - few < 2 * few or self.subclusters == "cells":
            return []
        arm = "pilots" if n1 < n0 else "comparators"
        if few > HARDLY_ANY or self.subclusters is not None:
            how = "is unreliable"
        elif self.null == "restricted":
            how = "hardly ever rejects, whatever the effect"
        else:
            how = "rejects true nulls far too often"
        below = " with signs by unit" if self.subclusters == "units" else ""
        permuted = "" if sample.clustered_above else "Permutation('t') or "
        return [
            f"with {few} clusters of {arm} among {n} the {self.null} wild bootstrap{below} {how} "
            f"(MacKinnon & Webb 2017): read {permuted}ClusterRobust('CR2') instead"
        ]

    def _needed(self, estimate: Estimate) -> tuple[Normal, Floats]:
        """Return cross-products and contrasts, or refuse."""
        if estimate.normal is None or estimate.contrast is None:
            permuted = estimate.reassigned is not None or estimate.exchanged is not None
            raise InferenceError(
                needed="cross-products by cluster: least squares against one pool",
                found=f"{type(estimate.estimator).__name__} against "
                f"{estimate.design.against.describe()} publishes none",
                where=repr(self),
                todo="use Permutation() or Jackknife()" if permuted else "use Jackknife()",
            )
        return estimate.normal, estimate.contrast

    def _parts(self, estimate: Estimate, normal: Normal) -> Parts | None:
        """Return the groups whose signs are drawn one by one, where they are not the clusters."""
        sample = estimate.sample
        if self.subclusters is None:
            return None
        if self.subclusters == "units" and not sample.clustered_above:
            raise InferenceError(
                needed="clusters above units, of which units are the parts",
                found=f"{normal.n_clusters} clusters of one unit each",
                where=repr(self),
                todo="leave subclusters= out, or use subclusters='cells'",
            )
        if estimate.regroup is None:
            raise InferenceError(
                needed="an estimate whose cross-products can be summed by other groups of cells",
                found=f"{type(estimate.estimator).__name__} against "
                f"{estimate.design.against.describe()} publishes none",
                where=repr(self),
                todo="leave subclusters= out, or use Permutation()",
            )
        n_units, n_periods = sample.y.shape
        units = np.arange(n_units)[:, None]
        if self.subclusters == "units":
            codes = np.broadcast_to(units, (n_units, n_periods)).copy()
            unit_of = np.arange(n_units)
        else:
            codes = units * n_periods + np.arange(n_periods)
            unit_of = np.repeat(np.arange(n_units), n_periods)
        below = estimate.regroup(codes.astype(np.int64))
        at = np.array([int(label) for label in below.labels])
        # by name: the cross-products may be in another order than the sample's clusters
        place = {label: g for g, label in enumerate(normal.labels)}
        own = [str(sample.cluster_labels[g]) for g in sample.clusters[unit_of[at]]]
        return Parts(below, np.array([place[label] for label in own]))

    def joint(self, estimate: Estimate, terms: tuple[str, ...]) -> JointTest:
        """Test that several terms are zero together: the Wald statistic under the same draws.

        The null is imposed on all of them at once.

        Raises
        ------
        InferenceError
            As for `attach`, if a term has no variance, or if the covariance has not full rank.
        """
        normal, contrast = self._needed(estimate)
        exists = with_variance(estimate, repr(self))
        at = [estimate.place_of(term, where="joint") for term in terms]
        if not exists[at].all():
            raise InferenceError(
                needed="a variance for every term tested together",
                found="carried by one pilot or one comparator: "
                + first_few([t for t, m in zip(terms, at, strict=True) if not exists[m]]),
                where=repr(self),
                todo="test fewer terms, or use Permutation",
            )
        found = linear.wild_joint(
            normal,
            contrast[at],
            restricted=self.null == "restricted",
            signs=self.signs,
            variance="CR1" if self.statistic == "CR1" else "CR3J",
            scores=self.scores,
            draws=self.draws,
            seed=self.seed,
            parts=self._parts(estimate, normal),
        )
        return JointTest(
            terms,
            found.statistic,
            found.p_value(ties=self.ties),
            f"Wald statistic of {len(at)} terms, " + self._method(found.exact, len(found.null)),
        )


def joint_band(
    drawn: Mapping[int, WildDraws],
    null: Floats,
    made: Mapping[str, Floats],
    level: float,
    *,
    exact: bool,
    ties: Ties = "count",
) -> tuple[Floats | None, Floats | None, list[str]]:
    """Return the uniform band over the terms that have a test, where there are several.

    Parameters
    ----------
    drawn : mapping of int to WildDraws
        By the position of the term; all from the same draws.
    null : array (B, k)
        Their statistics.
    made : mapping
        ``statistic``, ``conf_low`` and ``conf_high`` (k,): the band is never narrower.
    level : float
        Of the band.
    exact : bool
        Whether the draws are all there are, and the data one of them.
    ties : {"count", "strict"}
        As the intervals.

    Returns
    -------
    (array (k,) or None, array (k,) or None, list of str)
        Ends, NaN for a term without a test, and notes.

    Examples
    --------
    >>> joint_band({}, np.zeros((9, 1)), {}, 0.95, exact=False)
    (None, None, [])
    """
    tested = sorted(drawn)
    if len(tested) < 2:
        return None, None, []
    low, high = np.full(null.shape[1], np.nan), np.full(null.shape[1], np.nan)
    within = level_from_permutations(null[:, tested], made["statistic"][tested], level, exact=exact)
    if within is None:
        low[tested], high[tested] = -np.inf, np.inf
        return low, high, [f"too few draws for a uniform band at level {level:g}"]
    for m in tested:
        found = drawn[m].interval(within, ties=ties)
        low[m] = min(found.low, made["conf_low"][m])
        high[m] = max(found.high, made["conf_high"][m])
    return low, high, []
