"""Feasible generalised least squares with autoregressive errors, for few pilots."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.design import Design
from didkit.panel import Metric
from didkit.results import Estimate

__all__ = ["FGLS"]


@dataclass(frozen=True)
class FGLS:
    """Stub: being written."""

    lags: int = 1

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Stub: being written."""
        raise NotImplementedError
