"""Two vintages of one series: which cells were revised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Cells of two vintages, held against each other."""

    summary: pd.DataFrame
    revised: pd.DataFrame


def compare(panel: Panel, other: Panel, *, metrics: Iterable[str] | None = None) -> Comparison:
    """Compare two panels; see `Panel.compare`."""
    raise NotImplementedError
