"""Published text → cells: numbers strictly, symbols by the release's rules, bounds of both."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from didkit.errors import ReadError, first_few
from didkit.panel import METRICS, Cells, Metric, Status
from didkit.read.grid import Texts
from didkit.read.rules import Column, Release

__all__ = ["parse"]

_NEGATIVE = re.compile(r"[-\N{MINUS SIGN}][0-9][0-9.,]*")
_THOUSANDS = r"[0-9]{1,3}(?:,[0-9]{3})+"
_NUMBER = re.compile(r"[0-9][0-9.,]*")


def parse(
    text: Texts, column: Column, release: Release, *, at: Callable[[int], str], where: str
) -> Cells:
    """Turn one column of text into cells, a row each.

    Parameters
    ----------
    text : array of str
        As published, without blanks around.
    column, release
        The rules.
    at : callable
        Says which unit and period row i is, for messages.
    where : str
        File and column, for messages.

    Returns
    -------
    Cells
        Of shape (rows, 1). A number of a column without decimals is exact: its bounds are itself.
        Others have bounds of half their last digit. A suppressed count lies in the release's
        primary interval, or, where secondary suppression is possible, is 0 or more; a suppressed
        rate or duration is 0 or more, a percentage 0 to 100.

    Raises
    ------
    ReadError
        For a negative number, a symbol that the release does not have, a blank, thousands
        separators or digits that the release does not use.
    """
    metric = METRICS[column.metric]
    digits = column.decimals or 0
    whole = f"(?:[0-9]{{1,12}}|{_THOUSANDS})" if release.thousands else "[0-9]{1,12}"
    pattern = whole + (rf"(?:\.[0-9]{{1,{digits}}})?" if digits else "")
    number = pd.Series(text, dtype=object).str.fullmatch(pattern).to_numpy(dtype=bool)
    value = np.full(len(text), np.nan)
    status = np.full(len(text), Status.OBSERVED, dtype=np.int8)
    clean = text[number]
    if release.thousands:
        clean = np.array([one.replace(",", "") for one in clean], dtype=object)
    value[number] = clean.astype(np.float64)
    half = 0.0 if column.decimals is None else 0.5 * 10.0**-digits
    lower, upper = np.maximum(value - half, 0.0), value + half
    known = number.copy()
    for written, symbol in release.symbols.items():
        here = ~number & (text == written)
        if not here.any() or (symbol.rounds_to_zero and column.decimals is None):
            continue
        known |= here
        status[here] = symbol.status
        if symbol.rounds_to_zero:
            value[here], lower[here], upper[here] = 0.0, 0.0, half
        elif symbol.status == Status.SUPPRESSED:
            lower[here], upper[here] = _hidden(metric, release)
    if metric.kind == "percent":
        upper = np.where(value <= 100, np.minimum(upper, 100.0), upper)
    if not known.all():
        _refuse(text, np.flatnonzero(~known), column, release, at, where)
    return Cells(value[:, None], status[:, None], lower[:, None], upper[:, None])


def _hidden(metric: Metric, release: Release) -> tuple[float, float]:
    """Bounds of a suppressed cell, from the release's rule alone."""
    if metric.kind == "count" and release.primary is not None and not release.secondary:
        return float(release.primary[0]), float(release.primary[1])
    return 0.0, 100.0 if metric.kind == "percent" else np.nan


def _refuse(
    text: Texts,
    bad: np.ndarray,
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
    symbols = ", ".join(f"{key!r} ({one.meaning})" for key, one in release.symbols.items())
    raise ReadError(
        needed=f"numbers, or the symbols of {release.name}: {symbols}",
        found="other text: "
        + first_few(f"{text[i]!r} for {at(i)}" if text[i] else f"a blank for {at(i)}" for i in bad),
        where=where,
        todo="check that the file is of this release and unchanged; symbols mean different things "
        "in different releases, so none is guessed",
    )
