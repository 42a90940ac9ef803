"""The contrast study: two sites against two, on scale scores of individuals."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate, Finding

__all__ = ["ContrastStudy"]


@dataclass(frozen=True)
class ContrastStudy:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Stub: being written."""
        raise NotImplementedError
