"""The effect if part of the comparison was contaminated."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.results import Finding

__all__ = ["contamination"]


def contamination(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
