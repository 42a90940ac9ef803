"""Checks: the set that suits an estimate, in one table."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["Checks"]


@dataclass(frozen=True)
class Checks:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="Checks", todo="wait")
