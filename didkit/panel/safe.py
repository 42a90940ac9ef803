"""Files that are whole, and that a spreadsheet opens without running anything."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from didkit.errors import PanelError

__all__ = ["check_target", "safe_csv", "safe_text", "write_whole"]

_START = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
# A spreadsheet that splits at semicolons, tabs or bars knows no quotes after the first cell.
_SPLIT = re.compile(r"([;|\t\r\n])(?=[\s\"]*[=+\-@＝＋－＠])")
_NUMBER = (int, float, np.integer, np.floating, np.bool_, Decimal)


def safe_text(value: object) -> object:
    """Put an apostrophe before text that a spreadsheet would take for a formula.

    Also inside a text, where a spreadsheet may split it. Numbers stay numbers.

    Examples
    --------
    >>> safe_text("=1+1"), safe_text("Kent"), safe_text(-3.5)
    ("'=1+1", 'Kent', -3.5)
    >>> safe_text("Kent;=1+1")
    "Kent;'=1+1"
    """
    if not isinstance(value, str):
        return value
    inside = _SPLIT.sub(r"\1'", value)
    return f"'{inside}" if _START.match(value) else inside


def safe_csv(frame: pd.DataFrame) -> str:
    """Write a frame as CSV that is safe to open in a spreadsheet.

    Every text is quoted, numbers and what is missing are not.

    Examples
    --------
    >>> print(safe_csv(pd.DataFrame({"name": ["=cmd()", "Kent"], "value": [-1.5, 2.0]})))
    "name","value"
    "'=cmd()",-1.5
    "Kent",2.0
    <BLANKLINE>
    """
    columns = [map(_cell, frame.iloc[:, j].tolist()) for j in range(frame.shape[1])]
    head = [_quoted(str(column)) for column in frame.columns]
    return "".join(",".join(row) + "\r\n" for row in (head, *zip(*columns, strict=True)))


def _cell(value: object) -> str:
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return ""
    return str(value) if isinstance(value, _NUMBER) else _quoted(str(value))


def _quoted(text: str) -> str:
    return '"' + str(safe_text(text)).replace('"', '""') + '"'


def check_target(path: str | PathLike[str], where: str) -> None:
    """Refuse, before any work is done, what cannot be the name of a file in a folder.

    Raises
    ------
    PanelError
        If it is no path, it is a folder, or its folder does not exist.
    """
    given: object = path
    if not isinstance(given, str | PathLike):
        needed, found, todo = "the path of a file", f"a {type(given).__name__}", "give a path"
    elif not Path(path).name or Path(path).is_dir():
        needed, found = "the name of a file", f"a folder: {str(path)!r}"
        todo = "put the name of a file behind it"
    elif not Path(path).parent.is_dir():
        needed, found = "a folder that exists", f"no folder {str(Path(path).parent)!r}"
        todo = "make it first"
    else:
        return
    raise PanelError(needed=needed, found=found, where=where, todo=todo)


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
