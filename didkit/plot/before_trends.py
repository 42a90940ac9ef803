"""Stub: being written."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.errors import DidkitError
from didkit.results import Finding

__all__ = ["pre_trend_equivalence", "pre_trend_power", "trend_adjusted"]


def pre_trend_power(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")


def pre_trend_equivalence(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")


def trend_adjusted(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")
