"""The one shape of answer, and what an estimator, an inference and a check must offer."""

from didkit.results import hooks, tables
from didkit.results.draws import Draws, Exchange, Labels, OneByOne
from didkit.results.estimate import Estimate
from didkit.results.finding import Finding
from didkit.results.protocols import Check, Estimator, Inference
from didkit.results.uncertainty import JointTest, Uncertainty

__all__ = [
    "Check",
    "Draws",
    "Estimate",
    "Estimator",
    "Exchange",
    "Finding",
    "Inference",
    "JointTest",
    "Labels",
    "OneByOne",
    "Uncertainty",
    "hooks",
    "tables",
]
