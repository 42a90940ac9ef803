"""WHO, WHEN, AGAINST WHOM: rollout, neighbours, matching, balance, and the sample they make."""

from didkit.design.against import Against, Comparison, MatchedSets, PerPilot, Pool, Union
from didkit.design.balance import Balance
from didkit.design.cardinality import CardinalityMatching
from didkit.design.computed import compute_neighbours
from didkit.design.covariates import Covariates
from didkit.design.design import Design, Selection
from didkit.design.entropy import EntropyBalancing
from didkit.design.learnt import LearntWeights, learn_weights
from didkit.design.matched import Matched
from didkit.design.matching import Matching
from didkit.design.neighbours import Neighbours
from didkit.design.not_yet import NotYetTreated
from didkit.design.rollout import Rollout
from didkit.design.sample import Sample
from didkit.design.synthetic import SyntheticWeights

__all__ = [
    "Against",
    "Balance",
    "CardinalityMatching",
    "Comparison",
    "Covariates",
    "Design",
    "EntropyBalancing",
    "LearntWeights",
    "Matched",
    "MatchedSets",
    "Matching",
    "Neighbours",
    "NotYetTreated",
    "PerPilot",
    "Pool",
    "Rollout",
    "Sample",
    "Selection",
    "SyntheticWeights",
    "Union",
    "compute_neighbours",
    "learn_weights",
]
