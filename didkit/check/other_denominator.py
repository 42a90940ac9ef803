"""Other denominator: the estimate with another vintage of the population."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["OtherDenominator"]


@dataclass(frozen=True)
class OtherDenominator:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(
            needed="a check", found="a stub", where="OtherDenominator", todo="wait"
        )
