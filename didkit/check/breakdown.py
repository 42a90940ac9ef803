"""Breakdown: how noisy the pilots, or how large one shock, for the conclusion to change."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate, Finding

__all__ = ["Breakdown"]


@dataclass(frozen=True)
class Breakdown:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise NotImplementedError
