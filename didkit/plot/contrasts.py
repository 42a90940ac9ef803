"""Stub: being written."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.results import Finding

__all__ = ["contrast_study"]


def contrast_study(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
