"""Authorities that were reorganised: merged into units that are comparable throughout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["harmonise"]


def harmonise(panel: Panel, to: object, *, merge: Mapping[object, object] | None) -> Panel:
    """Merge reorganised authorities; see `Panel.harmonise`."""
    raise NotImplementedError
