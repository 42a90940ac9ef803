"""Stub: being written."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.design import Design
from didkit.panel import Metric
from didkit.results import Estimate

__all__ = ["DoseResponse"]


@dataclass(frozen=True)
class DoseResponse:
    """Stub: being written."""

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate."""
        raise NotImplementedError
