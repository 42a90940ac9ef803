"""Trend-adjusted: the effect less what a trend from before the start would have brought."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["TrendAdjusted"]


@dataclass(frozen=True)
class TrendAdjusted:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="TrendAdjusted", todo="wait")
