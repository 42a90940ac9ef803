"""Smallest removal: how few units or cells the conclusion rests on."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["SmallestRemoval"]


@dataclass(frozen=True)
class SmallestRemoval:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="SmallestRemoval", todo="wait")
