"""Placebo variance: what the method finds when comparators stand in for the pilots."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few
from didkit.inference.arms import counted
from didkit.inference.assignments import Assignments, assignments
from didkit.inference.drawing import check_draws
from didkit.inference.invert import TIES
from didkit.inference.student import from_covariance
from didkit.progress import steps
from didkit.results import Estimate, Labels, Uncertainty

__all__ = ["PlaceboVariance"]

Floats = NDArray[np.float64]
Test = Literal["normal", "rank", "ratio"]
_STEP = 20  #: placebos between two signs of progress


@dataclass(frozen=True)
class PlaceboVariance:
    """Leave the pilots out, let comparators stand in for them, and take the spread of that.

    Parameters
    ----------
    draws : int, default 200
        Placebo designs; if there are no more than this they are all listed (one pilot: each
        comparator once).
    seed : int, default 0
        The same seed gives the same number.
    test : {"normal", "rank", "ratio"}
        What p is. ``"normal"``: estimate over the placebos' standard deviation, as a normal; the
        interval inverts it. ``"rank"``: the share of placebos, the actual pilots counted among
        them, whose estimate is as far from zero. ``"ratio"``: the same of the root mean squared
        gap after the start over that before, which does not count against a placebo that is
        followed badly (Abadie, Diamond & Hainmueller 2010); it is one number for all periods, so
        of one term only. The last two have no interval, as an effect that is taken out changes the
        weights too.

    Notes
    -----
    The standard deviation is taken about the placebos' own mean, divided by their number, and the
    ridge of `SyntheticDiD` is that of the actual pilots, as in R's ``synthdid``. It is valid if
    pilots are as noisy as comparators: with one pilot nothing in the data can tell (a pilot larger
    or smaller than comparators is noisier or less). With pilots that were not drawn at random p is
    a placebo rank, a description. Starts are handed out inside the design's strata.

    It serves estimators that choose weights by the outcome: `SyntheticControl`,
    `AugmentedSyntheticControl`, `SyntheticDiD` and `MatrixCompletion`. Refused with no more
    comparators than pilots, and where clusters are above units.

    References
    ----------
    Arkhangelsky, Athey, Hirshberg, Imbens & Wager (2021), algorithm 4; Abadie, Diamond &
    Hainmueller (2010) for ranks and ratios.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.SyntheticDiD().fit(design, "cpp").infer(dk.PlaceboVariance(draws=19))
    >>> bool(made["att"]["std_error"] > 0)
    True
    """

    draws: int = field(default=200, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    test: Test = field(default="normal", kw_only=True)

    #: for `inference_table`
    @property
    def assumes(self) -> str:
        """What it takes for granted."""
        return "pilots as noisy as comparators"

    def __post_init__(self) -> None:
        check_draws(self.draws, self.seed, "PlaceboVariance")
        if self.test not in get_args(Test):
            raise InferenceError(
                needed="test='normal', test='rank' or test='ratio'",
                found=repr(self.test),
                where="PlaceboVariance",
                todo="choose one",
            )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach standard errors, p-values and, for the normal, intervals.

        Raises
        ------
        InferenceError
            If the estimator cannot be refitted without its pilots, comparators are no more than
            pilots (in some stratum), clusters are above units, or a ratio is asked of several
            terms.
        """
        chosen, values, ratios = self._placebos(estimate)
        centred = values - values.mean(axis=0)
        covariance = centred.T @ centred / len(values)
        how = f"all {len(chosen):,}" if chosen.exact else f"{len(chosen):,} draws, seed {self.seed}"
        notes: tuple[str, ...] = ("placebo variance takes pilots to be as noisy as comparators",)
        could = estimate.assignable
        if could is not None and not could.all():
            gone = [u for u, c in zip(estimate.sample.units, could, strict=True) if not c]
            notes += (f"no stand-ins, as they lack a side of some start: {first_few(gone)}",)
        infinite = np.full(estimate.n_terms, np.inf)
        made = from_covariance(
            estimate,
            self,
            covariance,
            infinite,
            level=level,
            method=f"placebo variance, normal, {how}",
            notes=notes,
        ).attached
        facts: dict[str, object] = {
            "draws": len(chosen),
            "exact": chosen.exact,
            "seed": None if chosen.exact else self.seed,
        }
        if self.test != "normal":
            made = self._ranked(estimate, made, values, ratios, how)
            facts["least_p"] = 1 / (1 + len(values))
        return estimate.with_uncertainty(replace(made, null=values, facts=facts))

    def _ranked(
        self, estimate: Estimate, made: Uncertainty, values: Floats, ratios: Floats, how: str
    ) -> Uncertainty:
        """Replace the normal's p by the share of placebos that are as large; no interval."""
        if self.test == "rank":
            actual, drawn = np.abs(estimate.values), np.abs(values)
            what, statistic = "rank of the estimate", estimate.values.copy()
        else:
            actual = np.array([estimate.facts["rmspe_ratio"]])
            drawn, statistic = ratios[:, None], actual.copy()
            what = "rank of the ratio of root mean squared gaps after and before"
        p = (1 + (drawn >= actual * (1 - TIES)).sum(axis=0)) / (1 + len(values))
        none = np.full(estimate.n_terms, np.nan)
        why = "no interval: the rank tests no effect at all, and other effects change the weights"
        return replace(
            made,
            method=f"{what} among placebo pilots, {how}",
            statistic=statistic,
            p_value=p,
            conf_low=none,
            conf_high=none.copy(),
            df=None,
            band_low=None,
            band_high=None,
            notes=(
                "p is a placebo rank: a test where pilots were drawn at random, else a description",
                why,
                f"the least p attainable is {1 / (1 + len(values)):.3f}",
            ),
        )

    def _placebos(self, estimate: Estimate) -> tuple[Assignments, Floats, Floats]:
        """Return the placebo designs, and what each finds."""
        sample, refit = estimate.sample, estimate.placebos
        if refit is None:
            raise InferenceError(
                needed="an estimate whose weights are chosen by the outcome",
                found=f"{type(estimate.estimator).__name__}",
                where=repr(self),
                todo="use Permutation(), or check(PlaceboPilots())",
            )
        if sample.clustered_above:
            raise InferenceError(
                needed="units that are assigned one by one",
                found=f"{len(sample.cluster_labels)} clusters of {len(sample.units)} units",
                where=repr(self),
                todo="use a design without clusters=, which takes units as independent",
            )
        if self.test == "ratio" and estimate.n_terms > 1:
            raise InferenceError(
                needed="one term, for the ratio is one number for all periods",
                found=f"{estimate.n_terms} terms",
                where=repr(self),
                todo="use by='simple', or test='rank'",
            )
        chosen = _stand_ins(estimate, self.draws, self.seed, repr(self))
        parts = [
            refit(chosen.placed[first : first + _STEP])
            for first in steps(range(0, len(chosen.placed), _STEP), "placebos")
        ]
        values = np.concatenate([part[0] for part in parts])
        if not np.isfinite(values).all():
            gone = int((~np.isfinite(values)).any(axis=1).sum())
            raise InferenceError(
                needed="an estimate for every placebo",
                found=f"none for {gone} of {len(values)}",
                where=repr(self),
                todo="use fewer terms, by='simple', or a window in which all are observed",
            )
        return chosen.assigned, values, np.concatenate([part[1] for part in parts])


@dataclass(frozen=True, eq=False)
class _Chosen:
    assigned: Assignments
    placed: Labels


def _stand_ins(estimate: Estimate, draws: int, seed: int, where: str) -> _Chosen:
    """Hand the pilots' starts to comparators, inside strata; pilots are left out (−2)."""
    sample = estimate.sample
    free = ~sample.pilot
    able = free if estimate.assignable is None else free & estimate.assignable
    cohort = np.full(len(sample.units), -1, dtype=np.intp)
    for stratum in np.unique(sample.strata[sample.pilot]):
        starts = np.sort(sample.cohort[sample.pilot & (sample.strata == stratum)])
        who = np.flatnonzero(able & (sample.strata == stratum))
        if len(who) < len(starts) or able.sum() <= sample.n_pilots:
            raise InferenceError(
                needed="more comparators than pilots, and as many in every stratum, with values "
                "on both sides of every start",
                found=f"{counted(len(who), 'comparator')} to stand in for "
                f"{counted(len(starts), 'pilot')}",
                where=where,
                todo="widen the pool of comparators",
            )
        cohort[who[: len(starts)]] = starts
    units = tuple(u for u, stays in zip(sample.units, free, strict=True) if stays)
    placebo = replace(
        sample,
        units=units,
        y=sample.y[free],
        pilot=cohort[free] >= 0,
        cohort=cohort[free],
        strata=sample.strata[free],
        stops=sample.stops[free],
        contaminated=sample.contaminated[free],
        partly=sample.partly[free],
    )
    assigned = assignments(placebo, draws=draws, seed=seed, assignable=able[free])
    placed = np.full((len(assigned), len(free)), -2, dtype=np.int64)
    placed[:, free] = assigned.labels
    return _Chosen(assigned, placed)
