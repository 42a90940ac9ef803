"""Who was treated when."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.design import Design

__all__ = ["rollout"]


def rollout(design: Design, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
