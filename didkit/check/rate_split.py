"""Rate split: how much of the change of a rate is its count, how much its population."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["RateSplit"]


@dataclass(frozen=True)
class RateSplit:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="RateSplit", todo="wait")
