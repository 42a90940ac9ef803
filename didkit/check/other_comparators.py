"""Other comparators: what each choice of whom to compare with does to the estimate."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate, Finding

__all__ = ["OtherComparators"]


@dataclass(frozen=True)
class OtherComparators:
    """Stub: being written."""

    def run(self, estimate: Estimate) -> Finding:
        """Measure."""
        raise NotImplementedError
