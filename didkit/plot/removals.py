"""Stub: being written."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.errors import DidkitError
from didkit.results import Finding

__all__ = ["leave_two_out", "smallest_removal"]


def leave_two_out(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")


def smallest_removal(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")
