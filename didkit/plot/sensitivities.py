"""Stub: being written."""

from __future__ import annotations

from matplotlib.axes import Axes

from didkit.errors import DidkitError
from didkit.results import Finding

__all__ = ["sensitivity"]


def sensitivity(finding: Finding, ax: Axes | None = None) -> Axes:
    """Stub: being written."""
    raise DidkitError(needed="a picture", found="a stub", where="plot", todo="wait")
