"""One pilot: a rearrangement test with a stated bound on its noise."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate

__all__ = ["Hagemann"]


@dataclass(frozen=True)
class Hagemann:
    """One pilot: a rearrangement test with a stated bound on its noise."""

    ratio: float = 1.0

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
