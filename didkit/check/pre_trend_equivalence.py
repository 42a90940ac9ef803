"""Equivalence: whether movements before the start can be said to be small."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["PreTrendEquivalence"]


@dataclass(frozen=True)
class PreTrendEquivalence:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(
            needed="a check", found="a stub", where="PreTrendEquivalence", todo="wait"
        )
