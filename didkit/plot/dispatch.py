"""Which picture suits which result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from didkit.check import (
    Bounds,
    Breakdown,
    Checks,
    Contamination,
    ContrastStudy,
    DetectableEffect,
    DrivingCells,
    FunctionalForm,
    GoodmanBacon,
    LeaveOneOut,
    LeaveTwoOut,
    OtherComparators,
    OtherDenominator,
    PlaceboPilots,
    PlaceboStart,
    Power,
    PreTrendEquivalence,
    PreTrendPower,
    PreTrends,
    RateSplit,
    RegressionToTheMean,
    Sensitivity,
    SmallestRemoval,
    SpecificationCurve,
    TrendAdjusted,
    TwoWayWeights,
    UnaffectedOutcomes,
    WithoutBreaks,
)
from didkit.check.comparing import Comparison
from didkit.design import Balance, Design
from didkit.errors import DidkitError
from didkit.plot.bands import detectable_effect
from didkit.plot.before_trends import pre_trend_equivalence, pre_trend_power, trend_adjusted
from didkit.plot.breakdowns import breakdown
from didkit.plot.checks_together import all_checks
from didkit.plot.choices import other_comparators
from didkit.plot.contaminations import contamination
from didkit.plot.contrasts import contrast_study
from didkit.plot.decompositions import goodman_bacon, two_way_weights
from didkit.plot.dots import leave_one_out, placebo_start
from didkit.plot.driving import driving_cells
from didkit.plot.dumbbells import gap
from didkit.plot.estimators import comparison
from didkit.plot.events import event_study, pre_trends
from didkit.plot.forests import forest
from didkit.plot.functional_forms import functional_form
from didkit.plot.histogram import placebo_pilots
from didkit.plot.ladders import bounds
from didkit.plot.leverages import leverage
from didkit.plot.lines import trends
from didkit.plot.loves import love
from didkit.plot.matched_paths import matched
from didkit.plot.networks import neighbour_graph
from didkit.plot.overviews import Overview, overview
from didkit.plot.permutations import permutation
from didkit.plot.powers import power
from didkit.plot.records import other_denominator, without_breaks
from didkit.plot.regressions import regression_to_the_mean
from didkit.plot.removals import leave_two_out, smallest_removal
from didkit.plot.reuses import reuse
from didkit.plot.rollouts import rollout
from didkit.plot.sensitivities import sensitivity
from didkit.plot.specification_curves import specification_curve
from didkit.plot.splits import rate_split
from didkit.plot.statuses import missing
from didkit.plot.strips import long_differences
from didkit.plot.studies import study
from didkit.plot.synthetic import donor_weights, synthetic
from didkit.plot.terms import terms
from didkit.plot.unaffected import unaffected_outcomes
from didkit.results import Estimate, Finding
from didkit.simulate.studies import Study

__all__ = ["draw"]

_OF_CHECK: dict[type, Callable[[Finding, Axes | None], Axes]] = {
    Bounds: bounds,
    Breakdown: breakdown,
    Checks: all_checks,
    Comparison: comparison,
    Contamination: contamination,
    ContrastStudy: contrast_study,
    DetectableEffect: detectable_effect,
    DrivingCells: driving_cells,
    FunctionalForm: functional_form,
    GoodmanBacon: goodman_bacon,
    LeaveOneOut: leave_one_out,
    LeaveTwoOut: leave_two_out,
    OtherComparators: other_comparators,
    OtherDenominator: other_denominator,
    PlaceboPilots: placebo_pilots,
    PlaceboStart: placebo_start,
    PreTrendEquivalence: pre_trend_equivalence,
    PreTrendPower: pre_trend_power,
    PreTrends: pre_trends,
    RateSplit: rate_split,
    RegressionToTheMean: regression_to_the_mean,
    Sensitivity: sensitivity,
    SmallestRemoval: smallest_removal,
    SpecificationCurve: specification_curve,
    TrendAdjusted: trend_adjusted,
    TwoWayWeights: two_way_weights,
    UnaffectedOutcomes: unaffected_outcomes,
    WithoutBreaks: without_breaks,
}
_OF_ESTIMATE: dict[str, Callable[..., Axes]] = {
    "donor_weights": donor_weights,
    "event_study": event_study,
    "forest": forest,
    "gap": gap,
    "leverage": leverage,
    "long_differences": long_differences,
    "permutation": permutation,
    "synthetic": synthetic,
    "terms": terms,
    "trends": trends,
}
_OF_DESIGN: dict[str, Callable[..., Axes]] = {
    "neighbour_graph": neighbour_graph,
    "reuse": reuse,
    "rollout": rollout,
}
_OF_METRIC: dict[str, Callable[..., Axes]] = {
    "matched": matched,
    "missing": missing,
    "trends": trends,
}


def draw(
    result: Any,
    ax: Axes | None = None,
    *,
    kind: str | None = None,
    metric: str | None = None,
    table: pd.DataFrame | None = None,
) -> Axes:
    """Draw the picture that suits a result, or another one of it.

    Parameters
    ----------
    result : Estimate, Finding, Evaluation, Design, Balance, Power or Study
        Told apart by what they hold, so that a new estimator has a picture on its first day: the
        gap before and after; one term a period; one term (trends with the counterfactual); other
        terms (one row each). A design: how often its comparators serve.
    ax : Axes, optional
        Where to draw; by default a new figure.
    kind : str, optional
        Another picture of an estimate: "donor_weights", "event_study", "forest", "gap",
        "leverage", "long_differences", "permutation", "synthetic", "terms" or "trends". A
        design: "neighbour_graph" or "rollout",
        and "matched", "missing" or "trends", which need `metric`. All others have one.
    metric : str, optional
        For "matched", "missing" and "trends" of a design, and only there.
    table : DataFrame, optional
        For "forest", and only there: ``estimate.inference_table(…)``, where it exists already.

    Returns
    -------
    Axes
        With the frame behind it as ``ax.data``.

    Raises
    ------
    DidkitError
        If there is no picture for it, or none of that kind.

    Examples
    --------
    >>> from didkit.estimate import Gap
    >>> from didkit.simulate import EvaluationProcess, draw as draw_seed, evaluation_design
    >>> design = evaluation_design(draw_seed(EvaluationProcess(), seed=1))
    >>> draw(Gap().fit(design, "cpp")).get_title(loc="left")[:11]
    'Pilots had '
    """
    kinds, usual = _pictures(result)
    chosen: object = usual if kind is None else kind
    if not isinstance(chosen, str) or chosen not in kinds:
        raise _no_such_kind(result, kind, list(kinds))
    if table is not None:
        if chosen != "forest":
            raise DidkitError(
                needed="a table with kind='forest' only",
                found=f"kind={chosen!r}",
                where="plot(table=)",
                todo="leave table= out",
            )
        return forest(result, table, ax=ax)
    of_metric = isinstance(result, Design) and chosen in _OF_METRIC
    if of_metric == (metric is None):
        raise DidkitError(
            needed="a metric with "
            + " or ".join(f"kind={name!r}" for name in _OF_METRIC)
            + " of a design, and nowhere else",
            found=f"kind={chosen!r}, metric={metric!r}",
            where="plot(metric=)",
            todo="name a metric of the design's panel, or leave metric= out",
        )
    return kinds[chosen](result, metric, ax=ax) if of_metric else kinds[chosen](result, ax=ax)


def _pictures(result: Any) -> tuple[dict[str, Callable[..., Axes]], str]:
    """Return the pictures that a result may have, and the usual one ("" if there is none)."""
    if isinstance(result, Estimate):
        return _OF_ESTIMATE, _usual(result)
    if isinstance(result, Finding):
        check = type(result.check)
        if check not in _OF_CHECK:
            raise _unknown(f"the finding of {check.__name__}")
        picture = _OF_CHECK[check]
        return {picture.__name__: picture}, picture.__name__
    if isinstance(result, Design):
        return _OF_DESIGN | _OF_METRIC, "reuse"
    if isinstance(result, Balance):
        return {"love": love}, "love"
    if isinstance(result, Power):
        return {"power": power}, "power"
    if isinstance(result, Study):
        return {"study": study}, "study"
    if isinstance(result, Overview):
        return {"overview": overview}, "overview"
    raise _unknown(type(result).__name__)


def _usual(estimate: Estimate) -> str:
    """Name the picture that suits the terms of an estimate."""
    table = estimate.terms
    if {"gap_before", "gap_after"} <= set(table["term"]):
        return "gap"
    if "group" not in table.columns:  # an effect for each start and period is no path
        told = "event_time" in table.columns or (
            "period" in table.columns and (table["phase"] == "before").any()
        )
        if estimate.reference is not None or (told and estimate.n_terms > 1):
            return "event_study"
    if estimate.n_terms > 1:
        return "terms"
    return "trends" if estimate.synthetic is None else "synthetic"


def _no_such_kind(result: Any, kind: str | None, kinds: list[str]) -> DidkitError:
    """Say which pictures there are."""
    what = type(result).__name__
    if isinstance(result, Estimate):
        what = f"the {result.n_terms} terms of {type(result.estimator).__name__}"
    elif isinstance(result, Finding):
        what = f"the finding of {type(result.check).__name__}"
    listed = ", ".join(repr(name) for name in kinds)
    return DidkitError(
        needed=f"a kind of picture of {what}: {listed}",
        found="none chosen, and no usual one" if kind is None else f"kind={kind!r}",
        where="plot(kind=)",
        todo="choose one of them" + ("" if len(kinds) > 1 else ", or leave kind= out"),
    )


def _unknown(what: str) -> DidkitError:
    return DidkitError(
        needed="an estimate, a finding of a check, a design, or an evaluation",
        found=what,
        where="plot",
        todo="draw its tidy() with matplotlib, or use a function of didkit.plot",
    )
