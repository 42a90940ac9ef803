"""Files that are whole, and that a spreadsheet opens without running anything."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import pandas as pd

__all__ = ["safe_csv", "safe_text", "write_whole"]

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_text(value: object) -> object:
    """Put an apostrophe before text that a spreadsheet would take for a formula.

    Numbers stay numbers.

    Examples
    --------
    >>> safe_text("=1+1"), safe_text("Kent"), safe_text(-3.5)
    ("'=1+1", 'Kent', -3.5)
    """
    if isinstance(value, str) and value.startswith(_STARTS):
        return f"'{value}"
    return value


def safe_csv(frame: pd.DataFrame) -> str:
    """Write a frame as CSV that is safe to open in a spreadsheet.

    Examples
    --------
    >>> safe_csv(pd.DataFrame({"name": ["=cmd()", "Kent"], "value": [-1.5, 2.0]})).splitlines()
    ['name,value', "'=cmd(),-1.5", 'Kent,2.0']
    """
    made = frame.astype(object).map(safe_text)
    made.columns = [str(safe_text(str(column))) for column in frame.columns]
    return made.to_csv(index=False, lineterminator="\r\n")


def write_whole(path: str | PathLike[str], content: str | bytes) -> Path:
    r"""Write to a file beside it, then put that in its place.

    A reader sees the old file or the new, never half of it.

    Parameters
    ----------
    path : str or path
        Its folder must exist.
    content : str or bytes
        Text is written as UTF-8 with ``\n`` at the ends of lines.

    Raises
    ------
    OSError
        If it cannot be written; the file that was there is as it was.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
