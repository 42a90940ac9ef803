"""Numbers and small tables as HTML for notebooks: everything escaped, no colours, no ids."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence

import numpy as np

__all__ = ["items", "more", "number", "page", "paragraph", "shortened", "table"]

_MOST_PLACES = 6
_LONGEST = 280
_RIGHT = ' style="text-align:right"'
_LEFT = ' style="text-align:left"'
_ABOVE = ' style="caption-side:top;text-align:left;padding:0.5em 0;font-weight:bold"'


def number(value: float, digits: int = 3) -> str:
    """Write a number for readers: about `digits` significant digits, never in powers of ten.

    Examples
    --------
    >>> number(-5.71828), number(-0.9), number(0.03704), number(1234.5), number(float("nan"))
    ('−5.72', '−0.900', '0.0370', '1,234', '')
    """
    if np.isnan(value):
        return ""
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(float(value))
    if round(size, _MOST_PLACES) == 0:
        return "0"
    first = int(f"{size:.{digits - 1}e}".partition("e")[2])  # as rounded: 9.996 is 10.0
    places = min(_MOST_PLACES, max(0, digits - 1 - first))
    return ("−" if value < 0 else "") + f"{size:,.{places}f}"


def shortened(text: str, most: int = _LONGEST) -> str:
    """Cut a text that is longer than `most` letters, and show that it was cut.

    Examples
    --------
    >>> shortened("Kingston upon Hull", 9)
    'Kingston…'
    """
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    numeric: Collection[int] = (),
    named: bool = False,
) -> str:
    """Write a table of texts, every one escaped.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : iterable of sequence of str
        The cells.
    caption : str, optional
        What the table shows.
    numeric : collection of int, optional
        Positions of the columns that stand to the right.
    named : bool, default False
        Whether the first cell of a row is its name.

    Examples
    --------
    >>> "<td" in table(["name"], [["<script>"]]), "<script>" in table(["name"], [["<script>"]])
    (True, False)
    """
    side = [_RIGHT if k in numeric else _LEFT for k in range(len(head))]

    def cell(k: int, text: str) -> str:
        tag = 'th scope="row"' if named and k == 0 else "td"
        return f"<{tag}{side[k]}>{html.escape(text)}</{tag[:2]}>"

    heads = "".join(
        f'<th scope="col"{where}>{html.escape(name)}</th>'
        for name, where in zip(head, side, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(cell(k, text) for k, text in enumerate(row)) + "</tr>" for row in rows
    )
    title = f"<caption{_ABOVE}>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def paragraph(text: str, *, strong: bool = False) -> str:
    """Write one paragraph, escaped; nothing for an empty text."""
    inner = html.escape(shortened(text))
    if not inner:
        return ""
    return f"<p><strong>{inner}</strong></p>" if strong else f"<p>{inner}</p>"


def more(n: int, what: str) -> str:
    """Say how many things are not shown; nothing where none is left.

    Examples
    --------
    >>> more(140, "row"), more(1, "row"), more(0, "row")
    ('… 140 more rows', '… 1 more row', '')
    """
    return f"… {n} more {what}{'s' if n > 1 else ''}" if n > 0 else ""


def items(texts: Sequence[str], *, most: int = 5, what: str = "note") -> str:
    """Write the first few texts as a list, and say how many more there are.

    Examples
    --------
    >>> items(["one", "two", "three"], most=2)
    '<ul><li>one</li><li>two</li><li>… 1 more note</li></ul>'
    """
    shown = [html.escape(shortened(text)) for text in texts[:most]]
    if len(texts) > most:
        shown.append(html.escape(more(len(texts) - most, what)))
    return f"<ul>{''.join(f'<li>{one}</li>' for one in shown)}</ul>" if shown else ""


def page(*parts: str) -> str:
    """Join the parts that are not empty to one block."""
    return f"<div>{''.join(part for part in parts if part)}</div>"
