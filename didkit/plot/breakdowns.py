"""Stub: being written."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.results import Finding

__all__ = ["breakdown"]


def breakdown(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
