"""How fragile: one module a question; each measures, none gives a verdict."""

from didkit.check.breakdown import Breakdown
from didkit.check.choosing import compare, recommend_estimator
from didkit.check.contamination import Contamination
from didkit.check.contrast import ContrastStudy
from didkit.check.detectable_effect import DetectableEffect
from didkit.check.functional_form import FunctionalForm
from didkit.check.goodman_bacon import GoodmanBacon
from didkit.check.leave_one_out import LeaveOneOut
from didkit.check.other_comparators import OtherComparators
from didkit.check.placebo_pilots import PlaceboPilots
from didkit.check.placebo_start import PlaceboStart
from didkit.check.power import Power
from didkit.check.pre_trends import PreTrends
from didkit.check.regression_to_the_mean import RegressionToTheMean, matching_reduces_bias
from didkit.check.two_way_weights import TwoWayWeights
from didkit.check.variation import Variation

__all__ = [
    "Breakdown",
    "Contamination",
    "ContrastStudy",
    "DetectableEffect",
    "FunctionalForm",
    "GoodmanBacon",
    "LeaveOneOut",
    "OtherComparators",
    "PlaceboPilots",
    "PlaceboStart",
    "Power",
    "PreTrends",
    "RegressionToTheMean",
    "TwoWayWeights",
    "Variation",
    "compare",
    "matching_reduces_bias",
    "recommend_estimator",
]
