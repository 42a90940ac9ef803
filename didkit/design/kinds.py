"""What a design is made of, in the words of its errors."""

from __future__ import annotations

from didkit.design.covariates import Covariates
from didkit.design.neighbours import Neighbours
from didkit.errors import kind_of

__all__ = ["CHOICES", "NEEDED", "found_kind", "todo_of"]

#: Ways to say who pilots are compared with.
CHOICES = (
    "Pool(), neighbours.union(), neighbours.per_pilot(aggregate='mean'), Matching(covariates) or "
    "EntropyBalancing, CardinalityMatching, SyntheticWeights, or MatchedSets(…)"
)
NEEDED = {
    "panel": "a Panel, from read_dfe(…) or Panel.from_frame(…)",
    "rollout": "a Rollout, such as Rollout({'303': 2018})",
    "against=": f"who the pilots are compared with: {CHOICES}",
}


def found_kind(given: object) -> str:
    """Say what was given instead: a class, nothing, or an object of some kind.

    Examples
    --------
    >>> found_kind(dict), found_kind({}), found_kind(None)
    ('the class dict', 'a dict', 'nothing')
    """
    if given is None:
        return "nothing"
    return f"the class {given.__name__}" if isinstance(given, type) else kind_of(given)


def todo_of(given: object) -> str:
    """Say what to write instead.

    Examples
    --------
    >>> todo_of(dict)
    'see help(didkit.Design)'
    """
    if isinstance(given, Neighbours):
        return "write neighbours.union(), or neighbours.per_pilot(aggregate='mean')"
    if isinstance(given, Covariates):
        return "write Matching(covariates), EntropyBalancing(covariates) or another matching"
    return "see help(didkit.Design)"
