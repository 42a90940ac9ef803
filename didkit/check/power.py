"""Power: what a design can be expected to find, before the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["Power"]


@dataclass(frozen=True, eq=False)
class Power:
    """Stub: being written."""

    check: Any
    question: str
    headline: str
    table: pd.DataFrame
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
