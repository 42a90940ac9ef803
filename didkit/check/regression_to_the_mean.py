"""Regression to the mean: what the way in which pilots were chosen would show by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.selected import (
    ESTIMATORS,
    Chosen,
    Scenario,
    biases,
    closed_forms,
    mean_of_highest,
)
from didkit.check.selection_words import (
    WAYS,
    advice,
    caveats,
    headline,
    in_use,
    of_reliability,
    stands_for,
)
from didkit.check.variation import Variation
from didkit.design import Pool, Sample
from didkit.errors import InferenceError, first_few, is_number, is_whole, kind_of
from didkit.results import Estimate, Finding, tables

__all__ = ["RegressionToTheMean", "matching_reduces_bias"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RegressionToTheMean:
    """What each way of comparing would show if the programme did nothing, given the selection.

    Estimates how much of the metric lasts from the years before the start (`Variation.of`), then
    draws panels of as many units and periods without any effect, chooses pilots as the design's
    ``selection`` says, and compares them in seven ways.

    Parameters
    ----------
    draws : int, default 2000
        Simulated panels.
    seed : int, default 0
        Of the generator.
    ratio : int, default 3
        Nearest comparators of each pilot, with replacement, where pilots are matched.
    worst : {"highest", "lowest"}, optional
        Which end was chosen. By default the side on which the pilots are before the start, in
        what they were chosen by; a note says which.
    variation : Variation, optional
        By default `Variation.of` the design and the metric.

    Notes
    -----
    Every selection by value stands in the table at two strengths: ``observed``, in which chance
    has as much part as it takes for the pilots to be as far from the comparators as they are, and
    ``rank``, the worst case, in which exactly the most extreme units are taken. Where the pilots
    are farther away than that, ``observed`` is ``rank``, and a note says so. ``permanent`` gives
    pilots chosen by chance the gap of the years before for good. For a bid or an unknown selection
    all are shown, since none is known to be right.

    The choice is simulated among all who could have been compared with the pilots, whatever the
    estimate compares them with: every unit of the panel with a value before the start that is
    neither a pilot nor left out. Variation, distances and numbers are theirs; neighbours and
    matched comparators are picked to be near, and would show neither how far out pilots were nor
    what lasts. The row in use is DiD, or DiD matched on the outcome where the
    design matches on levels of this metric: on the last year where it matches on one period, on
    the mean where on several.

    Read as a recommendation, the smallest bias among the four ways that are DiD is a statement
    about this process, not about the data: normal, stationary, one AR(1) for all units,
    parallel trends, and the selection as stated. With ``latest_value`` DiD without the last year
    has little bias only where the years kept before and after mirror each other about that year.

    **Ham & Miratrix (2024)** study matching before DiD where parallel trends do not hold. Their
    condition follows in two lines. Let the lasting part θ enter with b before and a after, pilots'
    θ be higher by Δ, and errors be independent over time. DiD is then biased by (a − b)Δ. Exact
    matching on the mean before leaves Δ(1 − r) of the difference in θ, r being the reliability of
    that mean, and no difference before: bias aΔ(1 − r). With ``s = b/a`` matching has the smaller
    bias if and only if ``r ≥ 1 − |1 − s|`` (`matching_reduces_bias`). r is estimated here
    (``reliability_mean``); s concerns years after the start and cannot be, so the finding gives
    ``least_change`` = 1 − r: the share of its size afterwards by which the pilots' lasting gap must
    have changed, without the programme, for matching to reduce the bias. ``s_before`` is the same
    ratio inside the years before (earlier half over later half): experimental, a hint, noisy, and
    itself moved by a selection on the latest value.

    **Daw & Hatfield (2018)**: where the arms come from populations with different levels,
    unmatched DiD has no bias and matching on levels before makes one, larger with a wider gap
    and weaker serial correlation; ``permanent`` shows it.

    It fails where a few recording breaks make most of the variation, and it is silent on
    differing trends.

    References
    ----------
    Daw & Hatfield (2018), Health Services Research 53(6); Ham & Miratrix (2024), arXiv:2205.08644.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(None)
    >>> found = did.check(dk.RegressionToTheMean(draws=200, seed=1))
    >>> 0 < found.facts["reliability_last"] < found.facts["reliability_mean"] < 1
    True
    """

    draws: int = field(default=2000, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    ratio: int = field(default=3, kw_only=True)
    worst: Literal["highest", "lowest"] | None = field(default=None, kw_only=True)
    variation: Variation | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        whole = is_whole(self.draws) and is_whole(self.seed) and is_whole(self.ratio)
        if not (whole and self.draws >= 100 and self.seed >= 0 and self.ratio >= 1):
            raise InferenceError(
                needed="whole numbers: draws= of 100 or more, seed= of 0 or more, ratio= of 1 or "
                "more",
                found=f"draws={self.draws!r}, seed={self.seed!r}, ratio={self.ratio!r}",
                where="RegressionToTheMean",
                todo="2000, 0 and 3 are usual",
            )
        if self.worst not in (None, "highest", "lowest"):
            raise InferenceError(
                needed="worst='highest', worst='lowest' or None",
                found=repr(self.worst),
                where="RegressionToTheMean(worst=)",
                todo="leave it out to go by where the pilots were before the start",
            )
        if not isinstance(self.variation, Variation | None):
            raise InferenceError(
                needed="a Variation, or None to estimate it",
                found=kind_of(self.variation),
                where="RegressionToTheMean(variation=)",
                todo="write Variation(between, within, ar1)",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Simulate the design without an effect.

        Returns
        -------
        Finding
            Table ``selection, strength, estimator, bias, mc_error, closed_form, percent`` (the
            metric's unit; percent of the level before of all who could have served;
            ``closed_form`` is the exact expectation where pilots are not matched, else NaN).
            Facts ``between, within, ar1, reliability_last, reliability_mean, least_change,
            s_before, distance_last, distance_mean`` (pilots less all others before), ``actual,
            bias, bias_lowest, bias_highest, seen_lowest, seen_highest`` (of the row in
            use, under the stated selection at the observed strength; over all rows shown; over
            those at the observed strength, or the worst case where none is observed).

        Raises
        ------
        InferenceError
            If the variation cannot be estimated, an arm has no value in the last year before the
            start, or fewer units than `ratio` could have served.
        """
        design = estimate.design
        n_before = design.periods.index(min(design.starts.values(), key=design.periods.index))
        wide = design.compared_with(Pool())
        arms = _arms(estimate, wide.sample(estimate.metric.name), n_before)
        size = {
            "n_pilots": len(arms.pilots),
            "n_comparators": len(arms.others),
            "n_before": n_before,
            "n_after": len(design.periods) - n_before,
        }
        if size["n_comparators"] < self.ratio:
            raise InferenceError(
                needed=f"at least ratio={self.ratio} comparators",
                found=f"{size['n_comparators']}",
                where="RegressionToTheMean(ratio=)",
                todo="use a smaller ratio=",
            )
        variation = self.variation or Variation.of(wide, estimate.metric.name)
        seen = _seen(arms, n_before)
        scenarios, notes = self._scenarios(design.selection, variation, seen, size)
        table = self._table(scenarios, variation, seen, size)
        used = in_use(estimate)
        stated = scenarios[0]
        mine = table[table["estimator"] == used]
        sizes = mine["closed_form"].fillna(mine["bias"])  # exact where it can be
        dots = sizes[~mine.duplicated("selection")]  # observed stands before rank
        here = mine[(mine["selection"] == stated.name) & (mine["strength"] == stated.strength)]
        open_ = design.selection in ("bid", "unknown")
        mean = variation.reliability(n_before)
        facts = {
            "between": variation.between,
            "within": variation.within,
            "ar1": variation.ar1,
            "reliability_last": variation.reliability(1),
            "reliability_mean": mean,
            "least_change": 1 - mean,
            "s_before": seen.ratio,
            "distance_last": seen.last,
            "distance_mean": seen.mean,
            "actual": float(estimate.values[estimate.place_of(None, where="the check")]),
            "bias": float("nan") if open_ else float(sizes[here.index[0]]),
            "bias_lowest": float(sizes.min()),
            "bias_highest": float(sizes.max()),
            "seen_lowest": float(dots.min()),
            "seen_highest": float(dots.max()),
        }
        said = advice(table, stated, open_)
        return Finding(
            check=self,
            estimate=estimate,
            question="What would the choice of the pilots show, if the programme did nothing?",
            headline=headline(estimate, facts, used, scenarios, said, open_),
            table=table,
            facts=facts,
            notes=(
                *stands_for(estimate, used, size["n_comparators"]),
                *notes,
                *said[1:],
                *caveats(estimate, said, arms.prior),
                *of_reliability(variation, n_before, design.selection, table),
                *variation.notes,
            ),
            cannot_show="how the pilots were in fact chosen, or that they differ from others in "
            "nothing but the values before the start",
            placebos=None
            if estimate.sample.sets is not None  # the number is that of a comparison with a pool
            else (facts["seen_lowest"], facts["seen_highest"]),
        )

    def _scenarios(
        self, selection: str, variation: Variation, seen: _Seen, size: Mapping[str, int]
    ) -> tuple[list[Scenario], tuple[str, ...]]:
        """Give the selections to show, the stated one first, at both strengths."""
        made: list[Scenario] = []
        notes: list[str] = []
        open_ = selection in ("bid", "unknown")
        n, of = size["n_pilots"], size["n_pilots"] + size["n_comparators"]
        if selection == "random" or open_:
            made.append(Scenario("random", "", Chosen("random"), 1))
        for name, distance, periods in (
            ("latest_value", seen.last, 1),
            ("average", seen.mean, size["n_before"]),
        ):
            if selection != name and not open_:
                continue
            spread = variation.variance_of(np.full(periods, 1 / periods)) ** 0.5
            farthest = spread * mean_of_highest(n, of) * of / size["n_comparators"]
            side = (1 if distance >= 0 else -1) if self.worst is None else _SIDE[self.worst]
            share = side * distance / farthest
            notes.append(
                f"chosen {WAYS[name]}: the {'highest' if side > 0 else 'lowest'} are taken"
                + (
                    ", since the pilots were "
                    f"{'above' if side > 0 else 'below'} the comparators in it"
                    if self.worst is None
                    else ""
                )
                + f"; their distance of {tables.signed(distance)} is {abs(share):.0%} of what "
                "taking the most extreme would give"
                + (
                    " (the observed strength is held at 100%: they differ for other reasons too)"
                    if share > 1
                    else ""
                )
            )
            if share >= 0:
                by = Chosen(name, strength=min(share, 1.0))
                made.append(Scenario(name, "observed", by, side))
            else:
                notes.append(
                    f"the pilots were not among the {self.worst} before: no strength is "
                    "observed, only the worst case is shown"
                )
            made.append(Scenario(name, "rank", Chosen(name), side))
        if open_:
            made.append(Scenario("permanent", "", Chosen("random", lift=seen.mean), 1))
        return made, tuple(notes)

    def _table(
        self,
        scenarios: list[Scenario],
        variation: Variation,
        seen: _Seen,
        size: Mapping[str, int],
    ) -> pd.DataFrame:
        """Simulate every scenario on the same panels."""
        drawn = biases(
            variation,
            {str(i): one.way for i, one in enumerate(scenarios)},
            **size,
            ratio=self.ratio,
            draws=self.draws,
            seed=self.seed,
        )
        rows = []
        for i, one in enumerate(scenarios):
            exact = closed_forms(variation, one.way, **size)
            for how in ESTIMATORS:
                values = drawn[str(i)][how]
                bias = one.side * float(values.mean())
                rows.append(
                    {
                        "selection": one.name,
                        "strength": one.strength,
                        "estimator": how,
                        "bias": bias,
                        "mc_error": float(values.std(ddof=1)) / self.draws**0.5,
                        "closed_form": one.side * exact[how] + 0.0,
                        "percent": 100 * bias / abs(seen.level) if seen.level else np.nan,
                    }
                )
        return pd.DataFrame(rows)


def matching_reduces_bias(reliability: float, ratio: float) -> bool:
    """Whether matching on the outcome before leaves DiD with less bias: ``r ≥ 1 − |1 − s|``.

    Parameters
    ----------
    reliability : float
        r: share of the variance of what is matched on that lasts, given the arm.
    ratio : float
        s: the lasting part's coefficient before the start over that after it; 1 where trends are
        parallel.

    Returns
    -------
    bool
        Under a linear model, independent errors, and exact matching (Ham & Miratrix 2024; derived
        in `RegressionToTheMean`). With equal biases, True.

    Raises
    ------
    InferenceError
        If the reliability is not from 0 to 1, or the ratio is not a number.

    Examples
    --------
    >>> matching_reduces_bias(0.8, 1.0), matching_reduces_bias(0.8, 0.7)
    (False, True)
    """
    if not (is_number(reliability) and 0 <= reliability <= 1 and is_number(ratio)):
        raise InferenceError(
            needed="a reliability from 0 to 1, and a number as ratio",
            found=f"reliability={reliability!r}, ratio={ratio!r}",
            where="matching_reduces_bias",
            todo="facts['reliability_mean'] of RegressionToTheMean is one",
        )
    return bool(reliability >= 1 - abs(1 - ratio))


_SIDE = {"highest": 1, "lowest": -1}


class _Seen(NamedTuple):
    """Where the pilots were before the start, in the metric's unit."""

    last: float
    mean: float
    level: float
    ratio: float


class _Arms(NamedTuple):
    """Units × all periods of the estimate's pilots and of all who could have served."""

    pilots: Floats
    others: Floats
    prior: tuple[str, ...]  # pilots that had the programme before the start


def _arms(estimate: Estimate, sample: Sample, n_before: int) -> _Arms:
    """Take the pilots of the estimate, and of `sample` all others with a value before."""
    mine = estimate.sample
    wanted = {unit for unit, is_one in zip(mine.units, mine.pilot, strict=True) if is_one}
    pilots = sample.pilot & np.array([unit in wanted for unit in sample.units])
    others = ~sample.pilot & sample.mask[:, :n_before].any(axis=1)
    prior = pilots & sample.contaminated[:, :n_before].any(axis=1)
    return _Arms(
        sample.y[pilots],
        sample.y[others],
        tuple(sample.units[i] for i in np.flatnonzero(prior)),
    )


def _seen(given: _Arms, n_before: int) -> _Seen:
    """Measure the pilots against all others in the years before; each unit counts once."""
    arms = {"pilots": given.pilots[:, :n_before], "comparators": given.others[:, :n_before]}
    empty = [name for name, own in arms.items() if not np.isfinite(own[:, -1]).any()]
    if empty:
        raise InferenceError(
            needed="values of pilots and comparators in the last year before the start",
            found=f"none of {first_few(empty)}",
            where="RegressionToTheMean",
            todo="use a window in which it was published",
        )
    both = np.isfinite(arms["pilots"]).any(axis=0) & np.isfinite(arms["comparators"]).any(axis=0)
    gaps = np.full(n_before, np.nan)
    gaps[both] = np.nanmean(arms["pilots"][:, both], axis=0) - np.nanmean(
        arms["comparators"][:, both], axis=0
    )
    # years before the start, period effects out, so that a missing year does not move a unit
    level = np.nanmean(arms["comparators"][:, both], axis=0)
    means = {}
    for name, y in arms.items():
        left = y[:, both] - level
        means[name] = float(np.nanmean(left[np.isfinite(left).any(axis=1)], axis=1).mean())
    half = n_before // 2
    early, late = gaps[:half], gaps[n_before - half :]
    ratio = np.nan
    if np.isfinite(early).any() and np.isfinite(late).any() and np.nanmean(late) != 0:
        ratio = float(np.nanmean(early) / np.nanmean(late))
    return _Seen(
        last=float(gaps[-1]),
        mean=means["pilots"] - means["comparators"],
        level=float(np.nanmean(arms["comparators"][:, both])),
        ratio=ratio,
    )
