"""Tables for spreadsheets: text that a spreadsheet would run is made text again."""

from __future__ import annotations

import pandas as pd

__all__ = ["safe_csv", "safe_text"]

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
