"""Computed neighbours: the nearest units by a weighted distance that is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from didkit.design.covariates import Covariates

if TYPE_CHECKING:
    from didkit.design.neighbours import Neighbours

__all__ = ["compute_neighbours"]


def compute_neighbours(
    on: Covariates, *, most: int = 10, weights: Mapping[str, float] | None = None
) -> Neighbours:
    """Stub: being written."""
    raise NotImplementedError
