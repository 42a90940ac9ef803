"""Breaks in the numbers that no child caused: other denominators, other recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from didkit.panel.metric import Metric

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["denominator_breaks", "recording_breaks"]


def denominator_breaks(panel: Panel, rate: str | Metric) -> pd.DataFrame:
    """Look for periods from which a rate is over another population."""
    raise NotImplementedError


def recording_breaks(panel: Panel, metric: str | Metric) -> pd.DataFrame:
    """Look for units whose series jumps as practice does not."""
    raise NotImplementedError
