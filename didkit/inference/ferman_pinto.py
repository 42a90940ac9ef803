"""Comparators' noise, rescaled to the pilots' sizes."""

from __future__ import annotations

from dataclasses import dataclass, field

from didkit.results import Estimate

__all__ = ["FermanPinto"]


@dataclass(frozen=True)
class FermanPinto:
    """Comparators' noise, rescaled to the pilots' sizes."""

    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
