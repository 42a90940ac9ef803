"""Regression to the mean: what the way in which pilots were chosen would show by itself."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate, Finding

__all__ = ["RegressionToTheMean"]


@dataclass(frozen=True)
class RegressionToTheMean:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Measure."""
        raise NotImplementedError
