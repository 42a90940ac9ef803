"""Stub: being written."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate, Finding

__all__ = ["FunctionalForm"]


@dataclass(frozen=True)
class FunctionalForm:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Measure."""
        raise NotImplementedError
