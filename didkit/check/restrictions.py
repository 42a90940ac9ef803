"""Restrictions on how far trends may differ: polyhedra of paths."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RelativeMagnitudes", "Smoothness"]


@dataclass(frozen=True)
class RelativeMagnitudes:
    """Stub: being written."""


@dataclass(frozen=True)
class Smoothness:
    """Stub: being written."""
