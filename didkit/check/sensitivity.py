"""Sensitivity: how far trends may differ before the conclusion goes."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["Sensitivity"]


@dataclass(frozen=True)
class Sensitivity:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="Sensitivity", todo="wait")
