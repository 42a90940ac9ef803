"""Pooled t: a difference of two means of one number a unit."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate

__all__ = ["DonaldLang"]


@dataclass(frozen=True)
class DonaldLang:
    """Pooled t: a difference of two means of one number a unit."""

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
