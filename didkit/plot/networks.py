"""Who is compared with whom, without a map."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.design import Design

__all__ = ["neighbour_graph"]


def neighbour_graph(design: Design, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
