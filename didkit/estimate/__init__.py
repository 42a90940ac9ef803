"""Design in, estimate out: one module an estimator, and the two kernels that they share."""

from didkit.estimate.did import DiD
from didkit.estimate.event_study import EventStudy
from didkit.estimate.fgls import FGLS
from didkit.estimate.gap import Gap

__all__ = ["FGLS", "DiD", "EventStudy", "Gap"]
