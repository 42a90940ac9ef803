"""Stub: being written."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.errors import DidkitError
from didkit.results import Finding

__all__ = ["other_denominator", "without_breaks"]


def without_breaks(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")


def other_denominator(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")
