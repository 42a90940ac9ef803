"""WHO, WHEN, AGAINST WHOM: rollout, neighbours, comparators, and the sample they make."""

from didkit.design.against import Against, Comparison, MatchedSets, PerPilot, Pool, Union
from didkit.design.design import Design, Selection
from didkit.design.neighbours import Neighbours
from didkit.design.rollout import Rollout
from didkit.design.sample import Sample

__all__ = [
    "Against",
    "Comparison",
    "Design",
    "MatchedSets",
    "Neighbours",
    "PerPilot",
    "Pool",
    "Rollout",
    "Sample",
    "Selection",
    "Union",
]
