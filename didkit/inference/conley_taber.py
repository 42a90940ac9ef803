"""Comparators' noise stands in for the pilots'."""

from __future__ import annotations

from dataclasses import dataclass, field

from didkit.results import Estimate

__all__ = ["ConleyTaber"]


@dataclass(frozen=True)
class ConleyTaber:
    """Comparators' noise stands in for the pilots'."""

    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
