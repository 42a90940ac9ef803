"""What selection alone would show."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.results import Finding

__all__ = ["regression_to_the_mean"]


def regression_to_the_mean(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
