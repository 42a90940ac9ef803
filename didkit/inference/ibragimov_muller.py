"""t on one number a group, with few degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.results import Estimate

__all__ = ["IbragimovMuller"]


@dataclass(frozen=True)
class IbragimovMuller:
    """t on one number a group, with few degrees of freedom."""

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
