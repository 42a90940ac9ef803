"""Matching: each pilot with its nearest comparators, one by one or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from didkit.design.against import MatchedSets
from didkit.design.covariates import Covariates
from didkit.design.matched import Matched, Missing, Unmatched

__all__ = ["Matching"]


@dataclass(frozen=True, eq=False)
class Matching(Matched):
    """Stub: being written."""

    on: Covariates
    method: Literal["nearest", "optimal"] = field(default="nearest", kw_only=True)
    distance: Literal["mahalanobis", "euclidean", "propensity"] = field(
        default="mahalanobis", kw_only=True
    )
    ratio: int = field(default=1, kw_only=True)
    replace: bool = field(default=True, kw_only=True)
    order: Literal["id", "largest", "smallest"] = field(default="id", kw_only=True)
    caliper: float | None = field(default=None, kw_only=True)
    exact: tuple[str, ...] = field(default=(), kw_only=True)
    unmatched: Unmatched = field(default="refuse", kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Match."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        raise NotImplementedError
