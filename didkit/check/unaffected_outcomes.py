"""Unaffected outcomes: what the method finds where the programme cannot act."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["UnaffectedOutcomes"]


@dataclass(frozen=True)
class UnaffectedOutcomes:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(
            needed="a check", found="a stub", where="UnaffectedOutcomes", todo="wait"
        )
