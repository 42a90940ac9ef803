"""The estimate under each choice of comparators."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.results import Finding

__all__ = ["other_comparators"]


def other_comparators(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
