"""What a design can find."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.check import Power

__all__ = ["power"]


def power(power: Power, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
