"""One pilot, or few, that may be noisier than its comparators by a stated ratio."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate

__all__ = ["LauLi"]


@dataclass(frozen=True)
class LauLi:
    """One pilot, or few, that may be noisier than its comparators by a stated ratio."""

    ratio: float = 1.0

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
