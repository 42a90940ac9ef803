"""Data frames as Markdown, LaTeX and HTML: written once, escaped always."""

from __future__ import annotations

import html
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from didkit.markup import more, number, paragraph, shortened, table

if TYPE_CHECKING:
    from didkit.panel import Metric

__all__ = [
    "head_to_html",
    "inside",
    "number",
    "p_equals",
    "p_value",
    "signed",
    "to_html",
    "to_latex",
    "to_markdown",
    "unit_of",
    "with_sign",
    "with_unit",
]

_LONGEST = 60
_NOT_POINTS = ("log of a ratio", "ratio less 1", "number a treated cell")  # of Poisson
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def signed(value: float) -> str:
    """Write a number for readers with its sign, + included.

    Examples
    --------
    >>> signed(1.751), signed(-3.94), signed(0.0)
    ('+1.75', '−3.94', '0')
    """
    return with_sign(value, number(value))


def with_sign(value: float, text: str) -> str:
    """Put a + before the text of a number above zero, unless the text rounds it to zero.

    Examples
    --------
    >>> with_sign(1.8, "1.8"), with_sign(0.0001, "0.0")
    ('+1.8', '0.0')
    """
    return f"+{text}" if value > 0 and text.strip("0.") else text


def unit_of(metric: Metric) -> str:
    """Name the unit of differences in a metric: of shares, percentage points.

    Examples
    --------
    >>> from didkit.panel import Metric
    >>> unit_of(Metric(name="m", kind="percent", unit="% of referrals"))
    'percentage points'
    >>> unit_of(Metric(name="m", kind="value")), unit_of(Metric(name="m", unit="per 1,000"))
    ('units of the metric', 'per 1,000')
    """
    if metric.kind == "percent" and metric.unit not in _NOT_POINTS:
        return "percentage points"
    return metric.unit or "units of the metric"


def with_unit(text: str, metric: Metric) -> str:
    """Put the unit of a difference in a metric after its number.

    Examples
    --------
    >>> from didkit.panel import Metric
    >>> with_unit(signed(-18.0), Metric(name="m", unit="per 10,000 children"))
    '−18.0 per 10,000 children'
    """
    return f"{text} {unit_of(metric)}"


def inside(label: str) -> str:
    """Write a label as it stands inside a sentence.

    Examples
    --------
    >>> inside("Children in need"), inside("GCSE grade")
    ('children in need', 'GCSE grade')
    """
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def p_value(p: float) -> str:
    """Write a p-value with two significant digits; below .0001 as such.

    Examples
    --------
    >>> p_value(0.0374), p_value(0.41), p_value(0.00001)
    ('.037', '.41', '< .0001')
    """
    if np.isnan(p):
        return ""
    if p < 0.0001:
        return "< .0001"
    if p > 0.995:
        return "1.0"
    digits = 2 if p >= 0.1 else 3 if p >= 0.01 else 4
    return f"{p:.{digits}f}".lstrip("0")


def p_equals(p: float) -> str:
    """Write a p-value as it stands in a sentence.

    Examples
    --------
    >>> p_equals(0.0374), p_equals(0.00001), p_equals(1.0), p_equals(float("nan"))
    ('p = .037', 'p < .0001', 'p > .999', 'no p')
    """
    if np.isnan(p):
        return "no p"
    if p > 0.999:
        return "p > .999"
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _cell(value: object, column: str) -> str:
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else ""
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        if column.startswith("n_") and float(value).is_integer():
            return f"{float(value):,.0f}"  # a count beside an empty cell is a float
        return p_value(float(value)) if column.startswith("p_") else number(float(value))
    return str(value)


def cells(frame: pd.DataFrame) -> list[list[str]]:
    """Every cell of a frame as text for readers."""
    return [
        [_cell(value, str(column)) for column, value in zip(frame.columns, row, strict=True)]
        for row in frame.itertuples(index=False)
    ]


def to_markdown(frame: pd.DataFrame) -> str:
    """Write a frame as a Markdown table."""

    def line(row: list[str]) -> str:
        safe = [
            html.escape(cell, quote=False)
            .replace("\\", "\\\\")  # first: a backslash before a bar would free the bar
            .replace("|", "\\|")
            .replace("\n", " ")
            for cell in row
        ]
        return "| " + " | ".join(safe) + " |"

    head = [str(column) for column in frame.columns]
    return "\n".join([line(head), "|" + " --- |" * len(head), *map(line, cells(frame))])


def to_latex(frame: pd.DataFrame) -> str:
    """Write a frame as a LaTeX tabular (booktabs)."""

    def safe(text: str) -> str:
        return "".join(_LATEX.get(letter, letter) for letter in text)

    rows = [[str(column) for column in frame.columns], *cells(frame)]
    lines = [" & ".join(map(safe, row)) + r" \\" for row in rows]
    body = [
        r"\begin{tabular}{" + "l" * len(frame.columns) + "}",
        r"\toprule",
        lines[0],
        r"\midrule",
        *lines[1:],
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(body)


def to_html(frame: pd.DataFrame, *, caption: str = "") -> str:
    """Write a frame as an HTML table, every cell escaped."""
    numeric = {k for k, kind in enumerate(frame.dtypes) if pd.api.types.is_numeric_dtype(kind)}
    return table([str(c) for c in frame.columns], cells(frame), caption=caption, numeric=numeric)


def head_to_html(frame: pd.DataFrame, *, most: int, caption: str = "") -> str:
    """Write the first rows as HTML, long texts cut, and say how many rows follow.

    Examples
    --------
    >>> "… 2 more rows" in head_to_html(pd.DataFrame({"a": [1, 2, 3]}), most=1)
    True
    """
    shown = frame.head(most).map(_cut)
    return to_html(shown, caption=caption) + paragraph(more(len(frame) - len(shown), "row"))


def _cut(cell: object) -> object:
    return shortened(cell, _LONGEST) if isinstance(cell, str) else cell
