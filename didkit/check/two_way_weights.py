"""Stub: being written."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate, Finding

__all__ = ["TwoWayWeights"]


@dataclass(frozen=True)
class TwoWayWeights:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Measure."""
        raise NotImplementedError
