"""Each pilot beside its own comparators, period by period."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.design import Design

__all__ = ["matched"]


def matched(design: Design, metric: str, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
