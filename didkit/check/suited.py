"""Which checks suit an estimate: a list with a rule each, in words and as code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from didkit.check.breakdown import Breakdown
from didkit.check.contamination import Contamination
from didkit.check.detectable_effect import DetectableEffect
from didkit.check.leave_one_out import LeaveOneOut
from didkit.check.other_comparators import OtherComparators
from didkit.check.placebo_pilots import PlaceboPilots
from didkit.check.placebo_start import PlaceboStart
from didkit.check.pre_trends import PreTrends
from didkit.check.regression_to_the_mean import RegressionToTheMean
from didkit.design import Pool
from didkit.errors import DidkitError
from didkit.panel import Status
from didkit.results import Check, Estimate

__all__ = ["INTERVALS", "LABELS", "NEED", "SUITED", "Suited", "suits"]

NEED = {
    "PreTrendEquivalence": "a margin in the metric's unit",
    "UnaffectedOutcomes": "metrics that the programme cannot affect",
    "SpecificationCurve": "the choices to cross",
    "ContrastStudy": "a reference",
}
"""Checks that ask something of the user, and what."""

_REFITS = 300  #: above so many a check is run only where it is asked for
_WEIGHING = (
    "AugmentedSyntheticControl",
    "MatrixCompletion",
    "SyntheticControl",
    "SyntheticDiD",
)  #: fits by optimisation: a refit counts twice

INTERVALS = ("TrendAdjusted", "Sensitivity")
"""Checks whose range is an interval, with noise in it, and not other values of the estimate."""

LABELS = {
    "PreTrends": "Before the start",
    "PreTrendPower": "What that test would miss",
    "PreTrendEquivalence": "Alike, within a margin",
    "TrendAdjusted": "Less the trend before the start",
    "Sensitivity": "If trends jump as before",
    "Sensitivity, smoothness": "If trends bend",
    "PlaceboStart": "An earlier start",
    "PlaceboPilots": "Placebo pilots",
    "UnaffectedOutcomes": "Outcomes out of its reach",
    "LeaveOneOut": "Leaving one out",
    "LeaveOneOut of comparators": "Leaving out one comparator",
    "LeaveOneOut of periods": "Leaving out one period",
    "LeaveOneOut of regions": "Leaving out one region",
    "LeaveTwoOut": "Leaving two out",
    "SmallestRemoval": "Fewest removed to turn it",
    "DrivingCells": "The cells that drive it",
    "RateSplit": "Children or population",
    "Bounds": "Hidden and rounded cells",
    "WithoutBreaks": "Without recording breaks",
    "OtherDenominator": "Another population",
    "GoodmanBacon": "The comparisons it averages",
    "TwoWayWeights": "The weights of its average",
    "Contamination": "Practice outside the pilots",
    "RegressionToTheMean": "How the pilots were chosen",
    "FunctionalForm": "Level, logarithm or rank",
    "DetectableEffect": "What could have been found",
    "OtherComparators": "Other comparators",
    "SpecificationCurve": "Every choice crossed",
    "ContrastStudy": "What so few sites can say",
    "Breakdown": "What would change it",
    "Checks": "All of these on one scale",
}
"""Names of the checks for readers."""


@dataclass(frozen=True)
class Suited:
    """A check and the rule by which it suits an estimate.

    Parameters
    ----------
    name : str
        Of its row: the name of the class, and what it is asked of where it is asked twice.
    rule : str
        What it needs, in words that follow "needs".
    fits : callable
        Estimate → whether it has that.
    make : callable
        Estimate → the check.
    slow : callable
        Estimate → whether it refits so often that it is run only where it is asked for.
    """

    name: str
    rule: str
    fits: Callable[[Estimate], bool]
    make: Callable[[Estimate], Check]
    slow: Callable[[Estimate], bool] = lambda estimate: False


def suits(estimate: Estimate) -> tuple[list[Suited], list[Suited]]:
    """Part the checks into those whose rule the estimate fits, and the others.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> fit, unfit = suits(dk.DiD().fit(design, "cpp"))
    >>> [one.name for one in fit][:3], "Contamination" in [one.name for one in unfit]
    (['PreTrends', 'PreTrendPower', 'TrendAdjusted'], True)
    """
    fit = [one for one in SUITED if one.fits(estimate)]
    return fit, [one for one in SUITED if one not in fit]


def _later(name: str, **options: Any) -> Callable[[Estimate], Check]:
    """Make a check whose module is imported when it is first asked for."""

    def make(estimate: Estimate) -> Check:
        check: Check = getattr(importlib.import_module("didkit.check"), name)(**options)
        return check

    return make


def _smooth(estimate: Estimate) -> Check:
    from didkit.check.restrictions import Smoothness
    from didkit.check.sensitivity import Sensitivity

    return Sensitivity(Smoothness())


def _other_denominator(estimate: Estimate) -> Check:
    from didkit.check.other_denominator import OtherDenominator

    return OtherDenominator(_other_populations(estimate)[0])


def _detectable(estimate: Estimate) -> Check:
    sure = estimate.uncertainty
    return DetectableEffect() if sure is None else DetectableEffect(level=sure.level)


# -- rules -----------------------------------------------------------------------------------------


def _always(estimate: Estimate) -> bool:
    return True


def _two_before(estimate: Estimate) -> bool:
    return max(estimate.sample.starts, default=0) >= 2


def _pilots(least: int) -> Callable[[Estimate], bool]:
    return lambda estimate: estimate.sample.n_pilots >= least


def _comparators(least: int) -> Callable[[Estimate], bool]:
    return lambda estimate: estimate.sample.n_comparators >= least


def _periods(least: int) -> Callable[[Estimate], bool]:
    return lambda estimate: len(estimate.sample.periods) >= least


def _has_regions(estimate: Estimate) -> bool:
    units = estimate.design.panel.units
    if "region" not in units.columns:
        return False
    mine = units.loc[list(estimate.sample.units), "region"]
    return int(mine.nunique()) > 1


def _has_weights(estimate: Estimate) -> bool:
    return estimate.weights is not None


def _has_parts(estimate: Estimate) -> bool:
    metric, held = estimate.metric, estimate.design.panel.metrics
    return metric.kind == "rate" and metric.numerator in held and metric.denominator in held


def _other_populations(estimate: Estimate) -> list[str]:
    """Name the populations that the panel holds beside the metric's own."""
    held, metric = estimate.design.panel.metrics, estimate.metric
    known = {one.denominator for one in held.values() if one.kind == "rate"}
    return sorted(
        name
        for name in held
        if name != metric.denominator and (name in known or name.endswith("population"))
    )


def _has_other_population(estimate: Estimate) -> bool:
    metric, held = estimate.metric, estimate.design.panel.metrics
    return metric.kind == "rate" and metric.numerator in held and bool(_other_populations(estimate))


def _has_hidden(estimate: Estimate) -> bool:
    """Whether any cell of the units and periods is suppressed, or known within bounds only."""
    panel, sample = estimate.design.panel, estimate.sample
    if estimate.metric.name not in panel.metrics:
        return False
    cells = panel.cells(estimate.metric.name)
    place = {unit: i for i, unit in enumerate(panel.unit_ids)}
    rows = [place[panel.canonical(unit)] for unit in sample.units]
    columns = [panel.calendar.labels.index(period) for period in sample.periods]
    at = np.ix_(rows, columns)
    hidden = cells.status[at] == Status.SUPPRESSED
    return bool((hidden | (cells.lower[at] < cells.upper[at])).any())


def _staggered(estimate: Estimate) -> bool:
    sample = estimate.sample
    return len(set(sample.starts)) > 1 and sample.sets is None and estimate.weights is not None


def _staggered_two_way(estimate: Estimate) -> bool:
    two_way = type(estimate.estimator).__name__ == "DiD"
    return two_way and estimate.n_terms == 1 and _staggered(estimate)


def _is_marked(estimate: Estimate) -> bool:
    return bool(estimate.design.rollout.contaminated)


def _is_subset(estimate: Estimate) -> bool:
    """Whether other authorities could serve as well."""
    design = estimate.design
    if design.against == Pool():
        return False
    used = {*design.starts, *design.comparators}
    return any(unit not in used for unit in design.panel.unit_ids)


def _removed_by_refits(estimate: Estimate) -> bool:
    """Whether the fewest units are sought by more than some hundred refits, not by algebra."""
    from didkit.check.removal_search import most_refits
    from didkit.check.removed import equations
    from didkit.check.smallest_removal import SmallestRemoval

    n = len(estimate.sample.units)
    cost = 2 if type(estimate.estimator).__name__ in _WEIGHING else 1
    if cost * most_refits(n, most=SmallestRemoval.most, largest=max(1, n // 2)) <= _REFITS:
        return False
    try:
        return equations(estimate) is None
    except DidkitError:  # the check itself refuses it, and says why
        return False


_BEFORE = "at least two periods before the start"

SUITED: tuple[Suited, ...] = (
    Suited("PreTrends", _BEFORE, _two_before, lambda estimate: PreTrends()),
    Suited("PreTrendPower", _BEFORE, _two_before, _later("PreTrendPower")),
    Suited("TrendAdjusted", _BEFORE, _two_before, _later("TrendAdjusted")),
    Suited("Sensitivity", _BEFORE, _two_before, _later("Sensitivity")),
    Suited("Sensitivity, smoothness", _BEFORE, _two_before, _smooth),
    Suited("PlaceboStart", _BEFORE, _two_before, lambda estimate: PlaceboStart()),
    Suited("PlaceboPilots", "comparators", _always, lambda estimate: PlaceboPilots()),
    Suited("LeaveOneOut", "at least two pilots", _pilots(2), lambda estimate: LeaveOneOut()),
    Suited(
        "LeaveOneOut of comparators",
        "at least two comparators",
        _comparators(2),
        lambda estimate: LeaveOneOut(units="comparators"),
    ),
    Suited(
        "LeaveOneOut of periods",
        "at least three periods",
        _periods(3),
        _later("LeaveOneOut", units="periods"),
    ),
    Suited(
        "LeaveOneOut of regions",
        "a column region of the panel's units, with more than one",
        _has_regions,
        _later("LeaveOneOut", units="regions"),
    ),
    Suited("LeaveTwoOut", "at least three pilots", _pilots(3), _later("LeaveTwoOut")),
    Suited(
        "SmallestRemoval",
        "at least two pilots",
        _pilots(2),
        _later("SmallestRemoval"),
        slow=_removed_by_refits,
    ),
    Suited(
        "DrivingCells",
        "an estimate that is linear in the outcome",
        _has_weights,
        _later("DrivingCells"),
    ),
    Suited(
        "RateSplit", "a rate whose count and population are held", _has_parts, _later("RateSplit")
    ),
    Suited("Bounds", "a hidden or rounded cell", _has_hidden, _later("Bounds")),
    Suited("WithoutBreaks", "at least four periods", _periods(4), _later("WithoutBreaks")),
    Suited(
        "OtherDenominator",
        "a rate whose count is held, and a second population",
        _has_other_population,
        _other_denominator,
    ),
    Suited(
        "GoodmanBacon",
        "a two-way estimate with several starts",
        _staggered_two_way,
        _later("GoodmanBacon"),
    ),
    Suited(
        "TwoWayWeights",
        "weights and several starts",
        _staggered,
        _later("TwoWayWeights"),
    ),
    Suited(
        "Contamination",
        "units marked as using the practice outside the programme",
        _is_marked,
        lambda estimate: Contamination(),
    ),
    Suited(
        "RegressionToTheMean",
        "a period before the start",
        _always,
        lambda estimate: RegressionToTheMean(),
    ),
    Suited("FunctionalForm", "a metric that the panel holds", _always, _later("FunctionalForm")),
    Suited("DetectableEffect", "a standard error", _always, _detectable),
    Suited(
        "OtherComparators",
        "other authorities that could serve",
        _is_subset,
        lambda estimate: OtherComparators(),
    ),
    Suited("Breakdown", "an interval", _always, lambda estimate: Breakdown(), slow=_always),
)
"""The checks that need nothing from the user, in the order in which they are run."""
