"""Specification curve: every defensible choice, crossed, and tested together."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["SpecificationCurve"]


@dataclass(frozen=True)
class SpecificationCurve:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(
            needed="a check", found="a stub", where="SpecificationCurve", todo="wait"
        )
