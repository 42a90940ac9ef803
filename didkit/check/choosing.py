"""Stub: being written."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from didkit.design import Design
from didkit.results import Estimator, Finding

__all__ = ["compare", "recommend_estimator"]


def recommend_estimator(design: Design) -> pd.DataFrame:
    """Stub: being written."""
    raise NotImplementedError


def compare(design: Design, metric: str, *, estimators: Sequence[Estimator]) -> Finding:
    """Stub: being written."""
    raise NotImplementedError
