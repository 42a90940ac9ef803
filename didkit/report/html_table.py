"""Data frames as accessible HTML tables, by great-tables, without colours of their own."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from didkit.report.text import HEADS
from didkit.results import tables

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["html_table"]


def html_table(
    frame: pd.DataFrame,
    caption: str,
    *,
    name: str,
    numeric: tuple[str, ...] = (),
    head: bool = False,
    breakable: bool = False,
    keep: bool = False,
    heads: Mapping[str, str] | None = None,
) -> Markup:
    """Write a frame as a table in a box that scrolls, its caption above the box.

    great-tables writes scopes, the heads that each cell belongs to, and escapes; its sheet of fixed
    colours is left behind, so that the page's own serves light, dark and print.

    Parameters
    ----------
    frame : DataFrame
        Numbers are written for readers, texts as they are.
    caption : str
        What the table shows; it wraps on a phone, since it stands outside the box.
    name : str
        Start of every id in the table: letters, digits and "-".
    numeric : tuple of str
        Columns of text that stand to the right like numbers.
    head : bool, default False
        Whether the first column names the rows.
    breakable : bool, default False
        Whether long words, such as hashes, may break anywhere.
    keep : bool, default False
        Whether it stays on one page in print.
    heads : mapping of str to str, optional
        What readers see in place of a column's name.

    Returns
    -------
    Markup
        Safe to put in a page.

    Examples
    --------
    >>> made = html_table(pd.DataFrame({"Name": ["<b>"]}), "Names", name="t1", head=True)
    >>> '<th scope="row"' in made, "<b>" in made
    (True, False)
    """
    from great_tables import GT
    from markupsafe import Markup

    said = html.escape(caption)
    if frame.empty:
        return Markup(f'<p class="soft">{said}: none.</p>')  # noqa: S704
    shown = {**HEADS, **(heads or {})}
    columns = [f"c{i}" for i in range(frame.shape[1])]  # ids are made of them: no name of others
    labels: dict[str, Any] = {
        c: shown.get(str(n), str(n)) for c, n in zip(columns, frame.columns, strict=True)
    }
    right = [
        c
        for i, (c, n) in enumerate(zip(columns, frame.columns, strict=True))
        if n in numeric or _is_numeric(frame.iloc[:, i])
    ]
    written = pd.DataFrame(tables.cells(frame), columns=pd.Index(columns), dtype=object)
    made = GT(written, id=name, rowname_col="c0" if head else None).cols_label(**labels)
    made = made.cols_align("left", columns=[c for c in columns if c not in right])
    if right:
        made = made.cols_align("right", columns=right)
    if head:
        made = made.tab_stubhead(labels["c0"])
    raw = made.as_raw_html()
    body = raw[raw.index("<table") : raw.rindex("</table>") + len("</table>")]
    body = body.replace("<table ", f'<table aria-labelledby="{name}-caption" ', 1)
    kind = "table" + " breakable" * breakable + " keep" * keep
    return Markup(  # noqa: S704
        f'<figure class="{kind}"><figcaption id="{name}-caption">{said}</figcaption>'
        f'<div class="wide" role="group" aria-labelledby="{name}-caption" tabindex="0">'
        f"{body}</div></figure>"
    )


def _is_numeric(column: pd.Series) -> bool:
    """Whether every value of a column is a number, or nothing."""
    if pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True
    known = [value for value in column if not (value is None or value is pd.NA)]
    return bool(known) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in known
    )
