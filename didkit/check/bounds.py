"""Bounds: what hidden, rounded and missing cells can do to the estimate."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="Bounds", todo="wait")
