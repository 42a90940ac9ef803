"""How fragile: one module a question; each measures, none gives a verdict."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from didkit.check.breakdown import Breakdown
from didkit.check.contamination import Contamination
from didkit.check.contrast import ContrastStudy
from didkit.check.detectable_effect import DetectableEffect
from didkit.check.leave_one_out import LeaveOneOut
from didkit.check.other_comparators import OtherComparators
from didkit.check.placebo_pilots import PlaceboPilots
from didkit.check.placebo_start import PlaceboStart
from didkit.check.power import Power
from didkit.check.pre_trends import PreTrends
from didkit.check.regression_to_the_mean import RegressionToTheMean, matching_reduces_bias
from didkit.check.variation import Variation

if TYPE_CHECKING:
    from didkit.check.bounds import Bounds as Bounds
    from didkit.check.checks import Checks as Checks
    from didkit.check.choosing import compare as compare
    from didkit.check.choosing import recommend_estimator as recommend_estimator
    from didkit.check.driving_cells import DrivingCells as DrivingCells
    from didkit.check.event_terms import EventTerms as EventTerms
    from didkit.check.functional_form import FunctionalForm as FunctionalForm
    from didkit.check.goodman_bacon import GoodmanBacon as GoodmanBacon
    from didkit.check.leave_two_out import LeaveTwoOut as LeaveTwoOut
    from didkit.check.other_denominator import OtherDenominator as OtherDenominator
    from didkit.check.pre_trend_equivalence import PreTrendEquivalence as PreTrendEquivalence
    from didkit.check.pre_trend_power import PreTrendPower as PreTrendPower
    from didkit.check.rate_split import RateSplit as RateSplit
    from didkit.check.restrictions import RelativeMagnitudes as RelativeMagnitudes
    from didkit.check.restrictions import Smoothness as Smoothness
    from didkit.check.sensitivity import Sensitivity as Sensitivity
    from didkit.check.smallest_removal import SmallestRemoval as SmallestRemoval
    from didkit.check.specification_curve import SpecificationCurve as SpecificationCurve
    from didkit.check.trend_adjusted import TrendAdjusted as TrendAdjusted
    from didkit.check.two_way_weights import TwoWayWeights as TwoWayWeights
    from didkit.check.unaffected_outcomes import UnaffectedOutcomes as UnaffectedOutcomes
    from didkit.check.without_breaks import WithoutBreaks as WithoutBreaks

__all__ = [
    "Bounds",
    "Breakdown",
    "Checks",
    "Contamination",
    "ContrastStudy",
    "DetectableEffect",
    "DrivingCells",
    "EventTerms",
    "FunctionalForm",
    "GoodmanBacon",
    "LeaveOneOut",
    "LeaveTwoOut",
    "OtherComparators",
    "OtherDenominator",
    "PlaceboPilots",
    "PlaceboStart",
    "Power",
    "PreTrendEquivalence",
    "PreTrendPower",
    "PreTrends",
    "RateSplit",
    "RegressionToTheMean",
    "RelativeMagnitudes",
    "Sensitivity",
    "SmallestRemoval",
    "Smoothness",
    "SpecificationCurve",
    "TrendAdjusted",
    "TwoWayWeights",
    "UnaffectedOutcomes",
    "Variation",
    "WithoutBreaks",
    "compare",
    "matching_reduces_bias",
    "recommend_estimator",
]

_LATER = {
    "Bounds": "bounds",
    "Checks": "checks",
    "DrivingCells": "driving_cells",
    "EventTerms": "event_terms",
    "FunctionalForm": "functional_form",
    "GoodmanBacon": "goodman_bacon",
    "LeaveTwoOut": "leave_two_out",
    "OtherDenominator": "other_denominator",
    "PreTrendEquivalence": "pre_trend_equivalence",
    "PreTrendPower": "pre_trend_power",
    "RateSplit": "rate_split",
    "RelativeMagnitudes": "restrictions",
    "Sensitivity": "sensitivity",
    "SmallestRemoval": "smallest_removal",
    "Smoothness": "restrictions",
    "SpecificationCurve": "specification_curve",
    "TrendAdjusted": "trend_adjusted",
    "TwoWayWeights": "two_way_weights",
    "UnaffectedOutcomes": "unaffected_outcomes",
    "WithoutBreaks": "without_breaks",
    "compare": "choosing",
    "recommend_estimator": "choosing",
}


def __getattr__(name: str) -> Any:
    """Import a check when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'didkit.check' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"didkit.check.{_LATER[name]}"), name)
    globals()[name] = found
    return found
