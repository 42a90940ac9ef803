"""Pre-trends that a test would miss: how likely, and what they would do to the estimate."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["PreTrendPower"]


@dataclass(frozen=True)
class PreTrendPower:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="PreTrendPower", todo="wait")
