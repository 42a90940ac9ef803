"""Cardinality matching: as many comparators as can be balanced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from didkit.design.against import MatchedSets
from didkit.design.covariates import Covariates
from didkit.design.matched import Matched, Missing

__all__ = ["CardinalityMatching"]


@dataclass(frozen=True, eq=False)
class CardinalityMatching(Matched):
    """Stub: being written."""

    on: Covariates
    tolerance: float = field(default=0.1, kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Match."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        raise NotImplementedError
