"""Where cells came from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Where cells came from: release, table, file and the file's SHA-256."""

    release: str
    table: str = ""
    file: str = ""
    sha256: str = ""
    note: str = ""
