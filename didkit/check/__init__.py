"""How fragile: one module a question; each measures, none gives a verdict."""

from didkit.check.detectable_effect import DetectableEffect
from didkit.check.leave_one_out import LeaveOneOut
from didkit.check.placebo_pilots import PlaceboPilots
from didkit.check.placebo_start import PlaceboStart
from didkit.check.pre_trends import PreTrends

__all__ = ["DetectableEffect", "LeaveOneOut", "PlaceboPilots", "PlaceboStart", "PreTrends"]
