"""The cluster bootstrap: of each cluster's influence, or of the clusters themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.inference.arms import lost_in_words, with_variance
from didkit.inference.bands import level_from_permutations
from didkit.inference.drawing import check_draws
from didkit.inference.placebo_errors import Errors
from didkit.progress import steps
from didkit.results import Estimate, Uncertainty

__all__ = ["Bootstrap"]

Floats = NDArray[np.float64]
_CHUNK = 2_000_000  #: numbers in the largest array of a chunk of draws
_MAMMEN = (np.sqrt(5) + 1) / 2  # the golden ratio: 1 − it with probability it / √5, else it


@dataclass(frozen=True)
class Bootstrap:
    """Redraw the noise by clusters, many times, and see how far the estimate moves.

    Parameters
    ----------
    kind : {"multiplier", "resample"}
        ``"multiplier"``: each cluster's `influence` times a random number of mean 0 and variance
        1, no refitting; for every estimate that publishes its influence. ``"resample"``: pilots
        and comparators drawn with replacement, each arm for itself, and the estimate made again;
        for estimates that can be made again so (`SyntheticDiD` and its family).
    draws : int, default 999
    seed : int, default 0
    signs : {"mammen", "rademacher"}
        The random number of ``"multiplier"``: Mammen's two points (third moment 1), or a sign.

    Notes
    -----
    The test counts draws at least as far from the estimate as the hypothesis is (ties count,
    p = (1 + #) / (1 + draws)); the interval inverts it, and the uniform band holds all terms at
    once (Callaway & Sant'Anna 2021, algorithm 1). The standard error is the root of the influence's
    sum of squares (multiplier), or the standard deviation of the draws (resample).

    It needs many pilots and many comparators: with nine pilots it rejects some 9 % of true nulls at
    5 %, with three more than a fifth, as CR0 does, whose distribution it imitates
    (docs/estimators.md). Its use is the uniform band and estimates that nothing else serves. With
    one pilot it is refused.

    References
    ----------
    Callaway & Sant'Anna (2021), section 4.1; Mammen (1993); Arkhangelsky et al. (2021), algorithm 2
    for "resample".

    Examples
    --------
    >>> Bootstrap(draws=199, seed=1)
    Bootstrap(kind='multiplier', draws=199, seed=1, signs='mammen')
    """

    kind: Literal["multiplier", "resample"] = "multiplier"
    draws: int = field(default=999, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    signs: Literal["mammen", "rademacher"] = field(default="mammen", kw_only=True)

    #: for `inference_table`
    @property
    def assumes(self) -> str:
        """What it takes for granted."""
        return "many pilots and many comparators, none of which dominates"

    def __post_init__(self) -> None:
        check_draws(self.draws, self.seed, "Bootstrap")
        for name, given, known in (
            ("kind", self.kind, ("multiplier", "resample")),
            ("signs", self.signs, ("mammen", "rademacher")),
        ):
            if given not in known:
                raise InferenceError(
                    needed=f"{name}: " + " or ".join(map(repr, known)),
                    found=repr(given),
                    where="Bootstrap",
                    todo="choose one",
                )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach standard errors, tests and the intervals that invert them.

        Raises
        ------
        InferenceError
            With one pilot or one comparator in every term, or where the estimate publishes neither
            influence nor a way to make it again on resampled units.
        """
        exists = with_variance(estimate, repr(self))
        moved = self._influence(estimate) if self.kind == "multiplier" else self._again(estimate)
        moved[:, ~exists] = np.nan
        if self.kind == "multiplier":
            scores = _by_cluster(estimate)
            covariance = scores.T @ scores
        else:
            centred = moved - moved.mean(axis=0)
            covariance = centred.T @ centred / (len(moved) - 1)
        covariance[~exists] = np.nan
        covariance[:, ~exists] = np.nan
        return self._attached(estimate, moved, covariance, exists, level)

    def _influence(self, estimate: Estimate) -> Floats:
        """Return errors (B, k) of the multiplier bootstrap."""
        scores = _by_cluster(estimate)
        rng = np.random.default_rng(self.seed)
        size = max(1, _CHUNK // len(scores))
        parts = []
        for first in range(0, self.draws, size):
            n = min(size, self.draws - first)
            uniform = rng.random((n, len(scores)))
            if self.signs == "rademacher":
                drawn = np.where(uniform < 0.5, -1.0, 1.0)
            else:
                drawn = np.where(uniform < _MAMMEN / np.sqrt(5), 1 - _MAMMEN, _MAMMEN)
            parts.append(drawn @ scores)
        return np.concatenate(parts)

    def _again(self, estimate: Estimate) -> Floats:
        """Return errors (B, k) of the estimates on resampled units."""
        resampled = estimate.resampled
        if resampled is None:
            raise self._lacks(estimate, "an estimate that can be made again on resampled units")
        rng = np.random.default_rng(self.seed)
        sample = estimate.sample
        counts = np.zeros((self.draws, len(sample.units)), dtype=np.int64)
        arms = [np.unique(sample.clusters[sample.pilot])]
        arms.append(np.setdiff1d(np.unique(sample.clusters), arms[0]))
        for i in range(self.draws):
            times = np.zeros(len(sample.cluster_labels), dtype=np.int64)
            for arm in arms:
                np.add.at(times, rng.choice(arm, size=len(arm)), 1)
            counts[i] = times[sample.clusters]
        made = np.concatenate([resampled(row[None]) for row in steps(list(counts), "bootstrap")])
        gone = ~np.isfinite(made).all(axis=1)
        if gone.mean() > 0.1:
            raise InferenceError(
                needed="estimates on nearly all resampled units",
                found=f"none in {int(gone.sum())} of {self.draws} draws",
                where=repr(self),
                todo="use PlaceboVariance() or Permutation('beta')",
            )
        return np.asarray(made[~gone] - estimate.values)

    def _attached(
        self,
        estimate: Estimate,
        moved: Floats,
        covariance: Floats,
        exists: NDArray[np.bool_],
        level: float,
    ) -> Estimate:
        k, names = estimate.n_terms, list(estimate.terms["term"])
        p, low, high = (np.full(k, np.nan) for _ in range(3))
        band_low, band_high = np.full(k, np.nan), np.full(k, np.nan)
        error = np.sqrt(np.diagonal(covariance))
        scale = np.abs(estimate.sample.y[estimate.sample.mask]).max(initial=0.0)
        served = exists & (error > 1e-13 * scale)
        notes = list(lost_in_words(estimate, exists))
        if (exists & ~served).any():
            notes.append("no spread at all between units: a standard error of 0 is not printed")
        made = {
            m: Errors(np.sort(np.abs(moved[:, m]))[::-1], exact=False)
            for m in np.flatnonzero(served)
        }
        for m, errors in made.items():
            reach = errors.reach(level)
            p[m] = errors.p(float(estimate.values[m]))
            low[m], high[m] = estimate.values[m] - reach, estimate.values[m] + reach
            if np.isinf(reach):
                notes.append(
                    f"{names[m]}: no effect can be rejected at level {level:g} with so few draws"
                )
        at = sorted(made)
        if len(at) > 1:
            within = level_from_permutations(
                moved[:, at] / error[at], estimate.values[at] / error[at], level, exact=False
            )
            for m in at:
                wide = np.inf if within is None else made[m].reach(max(within, level))
                band_low[m], band_high[m] = estimate.values[m] - wide, estimate.values[m] + wide
        error = np.where(served, error, np.nan)
        drawn = {"multiplier": f"{self.signs} multipliers", "resample": "units resampled by arm"}
        return estimate.with_uncertainty(
            Uncertainty(
                inference=self,
                method=f"cluster bootstrap, {drawn[self.kind]}, {len(moved):,} draws, "
                f"seed {self.seed}",
                level=level,
                std_error=error,
                statistic=estimate.values / error,
                p_value=p,
                conf_low=low,
                conf_high=high,
                covariance=pd.DataFrame(covariance, index=names, columns=names),
                null=moved,
                band_low=band_low if len(at) > 1 else None,
                band_high=band_high if len(at) > 1 else None,
                facts={
                    "draws": len(moved),
                    "seed": self.seed,
                    "least_p": 1 / (1 + len(moved)),
                    "mc_error": float(np.sqrt(np.nanmax(p * (1 - p), initial=0.0) / len(moved))),
                },
                notes=tuple(notes),
            )
        )

    def _lacks(self, estimate: Estimate, what: str) -> InferenceError:
        return InferenceError(
            needed=what,
            found=f"{type(estimate.estimator).__name__} publishes none",
            where=repr(self),
            todo="use Bootstrap('multiplier') where there is influence, Jackknife(), which refits, "
            "or Permutation()",
        )


def _by_cluster(estimate: Estimate) -> Floats:
    """Return the influence summed by cluster, (G, k).

    Raises
    ------
    InferenceError
        If the estimate publishes none.
    """
    if estimate.influence is None:
        raise InferenceError(
            needed="each unit's influence",
            found=f"{type(estimate.estimator).__name__} against "
            f"{estimate.design.against.describe()} publishes none",
            where="Bootstrap('multiplier')",
            todo="use Jackknife(), which refits, or Permutation()",
        )
    labels = estimate.sample.cluster_labels
    made = np.zeros((len(labels), estimate.n_terms))
    np.add.at(made, estimate.sample.clusters, np.nan_to_num(estimate.influence))
    return made
