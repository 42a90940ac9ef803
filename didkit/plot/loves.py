"""Standardised differences before and after."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.design import Balance

__all__ = ["love"]


def love(balance: Balance, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise NotImplementedError
