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
    from didkit.check.choosing import compare as compare
    from didkit.check.choosing import recommend_estimator as recommend_estimator
    from didkit.check.functional_form import FunctionalForm as FunctionalForm
    from didkit.check.goodman_bacon import GoodmanBacon as GoodmanBacon
    from didkit.check.two_way_weights import TwoWayWeights as TwoWayWeights

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

_LATER = {
    "FunctionalForm": "functional_form",
    "GoodmanBacon": "goodman_bacon",
    "TwoWayWeights": "two_way_weights",
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
