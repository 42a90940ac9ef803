"""Without breaks: the estimate with flagged units or periods left out."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["WithoutBreaks"]


@dataclass(frozen=True)
class WithoutBreaks:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="WithoutBreaks", todo="wait")
