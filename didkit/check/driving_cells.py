"""Driving cells: which cells make the estimate what it is."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["DrivingCells"]


@dataclass(frozen=True)
class DrivingCells:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="DrivingCells", todo="wait")
