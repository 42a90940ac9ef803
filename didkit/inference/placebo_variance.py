"""Stub: being written."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate

__all__ = ["PlaceboVariance"]


@dataclass(frozen=True)
class PlaceboVariance:
    """Stub: being written."""

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach."""
        raise NotImplementedError
