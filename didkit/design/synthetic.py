"""Synthetic-control weights: a mix of comparators that follows each pilot before its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from didkit.design.against import MatchedSets
from didkit.design.covariates import Covariates
from didkit.design.matched import Matched, Missing

__all__ = ["SyntheticWeights"]


@dataclass(frozen=True, eq=False)
class SyntheticWeights(Matched):
    """Stub: being written."""

    on: Covariates
    pooled: bool = field(default=False, kw_only=True)
    ridge: float = field(default=0.0, kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Match."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        raise NotImplementedError
