"""Frames of other libraries (polars, pyarrow, DuckDB), in and out through narwhals."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

__all__ = ["Backend", "to_backend", "to_pandas"]

Backend = Literal["pandas", "polars", "pyarrow", "duckdb"]


def to_pandas(frame: Any) -> Any:
    """Return a frame of any library as a pandas DataFrame."""
    return frame


def to_backend(frame: pd.DataFrame, backend: Backend) -> Any:
    """Return a pandas DataFrame as a frame of another library."""
    return frame
