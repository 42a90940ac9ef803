"""Entropy balancing: one set of weights under which comparators look like the pilots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from didkit.design.against import MatchedSets
from didkit.design.covariates import Covariates
from didkit.design.matched import Matched, Missing

__all__ = ["EntropyBalancing"]


@dataclass(frozen=True, eq=False)
class EntropyBalancing(Matched):
    """Stub: being written."""

    on: Covariates
    moments: Literal[1, 2] = field(default=1, kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Match."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        raise NotImplementedError
