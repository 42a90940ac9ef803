"""A panel as a file: parquet without loss, CSV and Excel safe to open."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["from_parquet", "to_csv", "to_excel", "to_parquet"]


def to_parquet(panel: Panel, path: str | PathLike[str]) -> None:
    """Write a panel to parquet; see `Panel.to_parquet`."""
    raise NotImplementedError


def from_parquet(path: str | PathLike[str]) -> Panel:
    """Read a panel from parquet; see `Panel.from_parquet`."""
    raise NotImplementedError


def to_csv(panel: Panel, path: str | PathLike[str]) -> None:
    """Write every cell as CSV; see `Panel.to_csv`."""
    raise NotImplementedError


def to_excel(panel: Panel, path: str | PathLike[str]) -> None:
    """Write a panel as a workbook; see `Panel.to_excel`."""
    raise NotImplementedError
