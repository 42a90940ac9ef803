"""Leave two out: the worst pair."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding

__all__ = ["LeaveTwoOut"]


@dataclass(frozen=True)
class LeaveTwoOut:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise InferenceError(needed="a check", found="a stub", where="LeaveTwoOut", todo="wait")
