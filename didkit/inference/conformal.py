"""Conformal inference over time, for one unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from didkit.results import Estimate

__all__ = ["Conformal"]


@dataclass(frozen=True)
class Conformal:
    """Conformal inference over time, for one unit."""

    permutations: Literal["moving_block", "all"] = "moving_block"
    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
