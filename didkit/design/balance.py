"""Balance: how alike pilots and comparators were before the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from didkit.design.covariates import Covariates

if TYPE_CHECKING:
    from didkit.design.design import Design

__all__ = ["Balance", "balance"]


@dataclass(frozen=True, eq=False)
class Balance:
    """Stub: being written."""

    design: Any
    table: pd.DataFrame
    overlap: pd.DataFrame
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def balance(
    design: Design,
    metrics: Sequence[str] | None = None,
    *,
    covariates: Covariates | None = None,
    standardise: Literal["pilots", "pooled"] = "pilots",
) -> Balance:
    """Stub: being written."""
    raise NotImplementedError
