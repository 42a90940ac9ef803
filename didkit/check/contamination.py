"""Contamination: comparators that use the practice, and pilots that had it before."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate, Finding

__all__ = ["Contamination"]


@dataclass(frozen=True)
class Contamination:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Measure."""
        raise NotImplementedError
