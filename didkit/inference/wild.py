"""The wild cluster bootstrap, restricted or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from didkit.results import Estimate

__all__ = ["WildBootstrap"]


@dataclass(frozen=True)
class WildBootstrap:
    """The wild cluster bootstrap, restricted or not."""

    null: Literal["restricted", "unrestricted"] = "restricted"
    signs: Literal["rademacher", "webb", "mammen"] = field(default="rademacher", kw_only=True)
    statistic: Literal["CR1", "CR3"] = field(default="CR1", kw_only=True)
    scores: Literal["plain", "jackknife"] = field(default="plain", kw_only=True)
    subclusters: Literal["cells", "units"] | None = field(default=None, kw_only=True)
    ties: Literal["count", "strict"] = field(default="count", kw_only=True)
    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
