"""Wild bootstrap randomisation inference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from didkit.results import Estimate

__all__ = ["WildRandomisation"]


@dataclass(frozen=True)
class WildRandomisation:
    """Wild bootstrap randomisation inference."""

    statistic: Literal["t", "beta"] = "t"
    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
