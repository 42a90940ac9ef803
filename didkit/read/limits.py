"""Limits on what is read, so that a hostile or mistaken file is refused and not swallowed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIMITS", "Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a published file may be.

    Parameters
    ----------
    file_bytes : int
        Bytes of one file, unpacked.
    members : int
        Files in a folder or a zip.
    total_bytes : int
        Bytes of all members of a zip, unpacked.
    ratio : int
        How many times larger than packed a member may be; told only of members over 1 MB.
    columns : int
        Columns of one table.
    parquet_rows : int
        Rows of a parquet file.
    workbook_bytes : int
        Bytes of all parts of a workbook, unpacked.
    sheet_rows, sheet_columns : int
        Rows and columns of a sheet in a workbook.
    """

    file_bytes: int = 200_000_000
    members: int = 1_000
    total_bytes: int = 1_000_000_000
    ratio: int = 200
    columns: int = 5_000
    parquet_rows: int = 10_000_000
    workbook_bytes: int = 50_000_000
    sheet_rows: int = 20_000
    sheet_columns: int = 500


LIMITS = Limits()
"""The limits in force."""
