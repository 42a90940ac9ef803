"""Size, power, coverage and bias of any estimator with any inference, by simulation."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["Study", "study"]


@dataclass(frozen=True, eq=False)
class Study:
    """Stub: being written."""

    table: pd.DataFrame


def study() -> Study:
    """Stub: being written."""
    raise NotImplementedError
