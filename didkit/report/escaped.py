"""Text and tables in Markdown that act on nothing: no link, no picture, no HTML."""

from __future__ import annotations

import pandas as pd

from didkit.report.text import HEADS
from didkit.results import tables

__all__ = ["escaped", "escaped_table"]


def escaped_table(frame: pd.DataFrame) -> str:
    """Write a frame as a Markdown table in which a name cannot be a link either."""
    rows = [[HEADS.get(str(name), str(name)) for name in frame.columns], *tables.cells(frame)]
    lines = [f"| {' | '.join(map(escaped, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(frame.columns), *lines[1:]])


def escaped(text: str) -> str:
    r"""Escape what Markdown or HTML would act on.

    Examples
    --------
    >>> escaped("![x](http://a.example/p.png) <b>")
    '!\\[x\\](http://a.example/p.png) &lt;b&gt;'
    """
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    for letter in "\\`*_[]|#":
        safe = safe.replace(letter, f"\\{letter}")
    return safe
