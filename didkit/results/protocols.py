"""What an estimator, an inference and a check must offer. Nothing else is asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from didkit.design import Design
    from didkit.panel import Metric
    from didkit.results.estimate import Estimate
    from didkit.results.finding import Finding

__all__ = ["Check", "Estimator", "Inference"]


@runtime_checkable
class Estimator(Protocol):
    """A frozen configuration that turns a design and a metric into an estimate."""

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate."""
        ...


@runtime_checkable
class Inference(Protocol):
    """A frozen configuration that says how sure an estimate is."""

    def attach(self, estimate: Estimate, *, level: float) -> Estimate:
        """Return the estimate with uncertainty, or refuse by name."""
        ...


@runtime_checkable
class Check(Protocol):
    """A frozen configuration that measures how fragile an estimate is."""

    def run(self, estimate: Estimate) -> Finding:
        """Return what was measured; never a verdict."""
        ...
