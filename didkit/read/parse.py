"""Published text → cells: numbers strictly, symbols by the release's rules, bounds of both."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from didkit.errors import ReadError, first_few
from didkit.panel import METRICS, Cells, Metric, Status
from didkit.panel.status import Floats
from didkit.read.fields import Fields
from didkit.read.grid import Texts
from didkit.read.rules import Column, Release

__all__ = ["parse"]

_NEGATIVE = re.compile(r"[-\N{MINUS SIGN}][0-9][0-9.,]*")
_THOUSANDS = r"[0-9]{1,3}(?:,[0-9]{3})+"
# 12-Mar, 12/03/2018, 1.2E+05, #N/A, #VALUE!
_SPREADSHEET = re.compile(
    r"[0-9]{1,2}-[A-Z][a-z]{2}(?:-[0-9]{2,4})?|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}"
    r"|[0-9](?:\.[0-9]+)?E\+[0-9]{2}|#[A-Z/0!?]+"
)
_NUMBER = re.compile(r"[0-9][0-9.,]*")


def parse(
    text: Texts | Fields,
    column: Column,
    release: Release,
    *,
    at: Callable[[int], str],
    where: str,
    metric: Metric | None = None,
) -> Cells:
    """Turn one column of text into cells, a row each.

    Parameters
    ----------
    text : array of str, or Fields
        As published, without blanks around; or places in the text of a table.
    column, release
        The rules.
    at : callable
        Says which unit and period row i is, for messages.
    where : str
        File and column, for messages.
    metric : Metric, optional
        What the numbers are; by default the column's metric in the registry.

    Returns
    -------
    Cells
        Of shape (rows, 1). A number of a column without decimals is exact: its bounds are itself,
        or half of what it was rounded to on either side. Others have bounds of half their last
        digit. A suppressed count lies in the release's primary interval, or, where secondary
        suppression is possible, is 0 or more; a suppressed rate or duration is 0 or more, a
        percentage 0 to 100.

    Raises
    ------
    ReadError
        For a negative number, a symbol that the release does not have, a blank, thousands
        separators or digits that the release does not use.
    """
    metric = METRICS[column.metric] if metric is None else metric
    signed = not metric.non_negative
    if isinstance(text, Fields):
        if release.thousands or signed:
            text = text.texts()
        else:
            value, odd = text.numbers(column.decimals or 0)
            if any(one != one.strip() for one in text[odd].tolist()):
                text = text.texts()
    if not isinstance(text, Fields):
        value, odd = _numbers(text, column, release, signed=signed)
    words = dict(zip(odd, text[odd].tolist(), strict=True))
    status = np.full(len(text), Status.OBSERVED, dtype=np.int8)
    half = column.rounded_to / 2 if column.decimals is None else 0.5 * 10.0**-column.decimals
    if column.decimals is None and column.rounded_to == 1:
        half = 0.0
    if column.rounded_to > 1:
        status[:] = Status.ROUNDED
    lower, upper = value - half, value + half
    if metric.non_negative:
        lower = np.maximum(lower, 0.0)
    unknown: list[int] = []
    for written in dict.fromkeys(words.values()):
        here = [i for i, word in words.items() if word == written]
        symbol = release.symbols.get(written)
        if symbol is None or (symbol.rounds_to_zero and column.decimals is None):
            unknown += here
            continue
        status[here] = symbol.status
        if symbol.rounds_to_zero:
            value[here], lower[here], upper[here] = 0.0, 0.0, half
        elif symbol.status == Status.SUPPRESSED:
            lower[here], upper[here] = _hidden(metric, release)
    if metric.kind == "percent":
        upper = np.where(value <= 100, np.minimum(upper, 100.0), upper)
    if unknown:
        _refuse(words, sorted(unknown), column, release, at, where)
    return Cells(value[:, None], status[:, None], lower[:, None], upper[:, None])


@lru_cache(maxsize=256)
def _pattern(digits: int, thousands: bool, signed: bool) -> tuple[re.Pattern[str], ...]:
    """Return the pattern of one number, and of a column of them."""
    whole = f"(?:[0-9]{{1,12}}|{_THOUSANDS})" if thousands else "[0-9]{1,12}"
    part = rf"(?:\.[0-9]{{1,{digits}}})?" if digits else ""
    one = f"{'-?' if signed else ''}{whole}{part}"
    return re.compile(one), re.compile(rf"(?:{one}\n)*+")


def _numbers(
    text: Texts, column: Column, release: Release, *, signed: bool
) -> tuple[Floats, list[int]]:
    """Return the numbers, NaN for other text, and the positions of that."""
    every = text.tolist()
    symbols = release.symbols
    odd: list[int] = []
    quick = _digits(every, column)
    if quick is not None:
        return quick, odd
    among = np.fromiter(map(symbols.__contains__, every), dtype=np.bool_, count=len(every))
    odd = np.flatnonzero(among).tolist()
    for i in odd:
        every[i] = "0"
    value = _digits(every, column)
    if value is None:
        one, column_of = _pattern(column.decimals or 0, release.thousands, signed)
        if not column_of.fullmatch("\n".join([*every, ""])):
            wrong = [i for i, part in enumerate(every) if not one.fullmatch(part)]
            for i in wrong:
                every[i] = "0"
            odd = sorted(odd + wrong)
        if release.thousands:
            every = [part.replace(",", "") for part in every]
        value = np.fromiter(map(float, every), dtype=np.float64, count=len(every))
    value[odd] = np.nan
    return value, odd


def _digits(every: list[str], column: Column) -> Floats | None:
    """Return whole numbers written in at most 12 ASCII digits; None if there is anything else."""
    joined = "".join(every)
    if column.decimals is not None or not (joined.isascii() and joined.isdigit()):
        return None
    try:
        value = np.fromiter(map(float, every), dtype=np.float64, count=len(every))
    except ValueError:  # a blank
        return None
    return value if value.max() < 1e12 else None


def _hidden(metric: Metric, release: Release) -> tuple[float, float]:
    """Bounds of a suppressed cell, from the release's rule alone."""
    if metric.kind == "count" and release.primary is not None and not release.secondary:
        return float(release.primary[0]), float(release.primary[1])
    low = 0.0 if metric.non_negative else np.nan
    return low, 100.0 if metric.kind == "percent" else np.nan


def _refuse(
    text: dict[int, str],
    bad: list[int],
    column: Column,
    release: Release,
    at: Callable[[int], str],
    where: str,
) -> None:
    """Say what is wrong with the cells that are neither a number nor a symbol."""
    negative = [i for i in bad if _NEGATIVE.fullmatch(text[i])]
    if negative:
        raise ReadError(
            needed=f"numbers of zero or more in {column.name}",
            found="negative: " + first_few(f"{text[i]} for {at(i)}" for i in negative),
            where=where,
            todo="read the file as published: a dashboard may code its symbols as negative numbers",
        )
    numeric = [i for i in bad if _NUMBER.fullmatch(text[i])]
    if numeric:
        kind = (
            "whole numbers"
            if column.decimals in (None, 0)
            else f"numbers with at most {column.decimals} digit(s) after the point"
        )
        raise ReadError(
            needed=f"{kind}, "
            + ("with or without" if release.thousands else "without")
            + f" a comma at the thousands, as {release.name} publishes them",
            found=first_few(f"{text[i]!r} for {at(i)}" for i in numeric),
            where=where,
            todo="read the file as published; a spreadsheet may have changed the numbers",
        )
    damaged = [i for i in bad if _SPREADSHEET.fullmatch(text[i])]
    if damaged:
        raise ReadError(
            needed=f"numbers, or the symbols of {release.name}",
            found="what a spreadsheet makes of them: "
            + first_few(f"{text[i]!r} for {at(i)}" for i in damaged),
            where=where,
            todo="download the CSV again, and do not save it from a spreadsheet",
        )
    symbols = ", ".join(f"{key!r} ({one.meaning})" for key, one in release.symbols.items())
    raise ReadError(
        needed=f"numbers, or the symbols of {release.name}: {symbols}",
        found="other text: "
        + first_few(f"{text[i]!r} for {at(i)}" if text[i] else f"a blank for {at(i)}" for i in bad),
        where=where,
        todo="check that the file is of this release and unchanged; symbols mean different things "
        "in different releases, so none is guessed",
    )
