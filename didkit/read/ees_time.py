"""Periods of Explore education statistics: what `time_period` and `time_identifier` mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from didkit.errors import PanelError, ReadError, first_few
from didkit.panel import Calendar
from didkit.panel.calendar import Kind
from didkit.read.grid import Texts

__all__ = ["CODES", "Dated", "Gaps", "Span", "dated"]

Span = tuple[object, object]
Gaps = Literal["refuse", "not available"]

# Identifier of whole years: kind of calendar, and digits of the period (any of those).
_YEARS: dict[str, tuple[Kind, tuple[int, ...]]] = {
    "calendar year": ("year", (4,)),
    "reporting year": ("reporting year", (4, 6)),
    # The financial year ends on 31 March, so 201718 is the reporting year 2018.
    "financial year": ("reporting year", (6,)),
    "academic year": ("split year", (6,)),
    "tax year": ("split year", (6,)),
}
_TERMS = ("Autumn term", "Spring term", "Summer term")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_QUARTERS = {"academic": 6, "calendar": 4, "financial": 6, "tax": 6}


@dataclass(frozen=True)
class _Part:
    """A part of a year: of which family, its place in it (from 0), and how the year is written."""

    family: str
    place: int
    digits: int


def _parts() -> dict[str, _Part]:
    made = {name.casefold(): _Part("terms", i, 6) for i, name in enumerate(_TERMS)}
    made |= {name.casefold(): _Part("months", i, 4) for i, name in enumerate(_MONTHS)}
    made |= {f"week {i + 1}": _Part("weeks", i, 4) for i in range(53)}
    for kind, digits in _QUARTERS.items():
        for i in range(4):
            made[f"{kind} year q{i + 1}"] = _Part(f"quarters of the {kind} year", i, digits)
    return made


_PARTS = _parts()
# How a year of two is written: 201718 as published; a spreadsheet user writes 2017/18.
_WRITTEN = {4: "[0-9]{4}", 6: "[0-9]{6}|[0-9]{4}[-/–][0-9]{2}(?:[0-9]{2})?"}
_PER_YEAR = {"terms": 3, "months": 12, "weeks": 53}  # quarters: 4

CODES: dict[str, str] = {
    "CY": "Calendar year",
    "RY": "Reporting year",
    "FY": "Financial year",
    "AY": "Academic year",
    "TY": "Tax year",
    **{f"T{i + 1}": name for i, name in enumerate(_TERMS)},
    **{f"M{i + 1}": name for i, name in enumerate(_MONTHS)},
    **{f"W{i + 1}": f"Week {i + 1}" for i in range(53)},
    **{
        f"{kind[0].upper()}YQ{i + 1}": f"{kind.capitalize()} year Q{i + 1}"
        for kind in _QUARTERS
        for i in range(4)
    },
}
"""Identifiers of periods by their code in the API."""

_NAMES = {
    (part.family, part.place): name
    for name in CODES.values()
    if (part := _PARTS.get(name.casefold())) is not None
}


@dataclass(frozen=True)
class Dated:
    """Label of each row's period, the calendar of those kept, which rows they are, what lacks."""

    labels: Texts
    calendar: Calendar
    keep: np.ndarray
    filled: tuple[str, ...] = ()


def dated(
    periods: Texts,
    identifiers: Texts,
    *,
    within: Span | None,
    where: str,
    gaps: Gaps = "refuse",
) -> Dated:
    """Read periods, and make the calendar of those within a span.

    Whole years make a calendar of years; terms, months, weeks and quarters a declared one, in
    their order.

    Parameters
    ----------
    periods, identifiers : array of str
        Columns ``time_period`` and ``time_identifier``.
    within : (first, last), optional
        Keep only these periods, both included.
    where : str
        File, for messages.
    gaps : {"refuse", "not available"}, default "refuse"
        What to do about periods that lack between others: refuse them, or put them into the
        calendar.

    Raises
    ------
    ReadError
        If identifiers are mixed or unknown, a period does not parse, there is a gap that may not
        be filled, or `within` names periods that are not there.

    Examples
    --------
    >>> import numpy as np
    >>> made = dated(
    ...     np.array(["201920", "202021"], dtype=object),
    ...     np.array(["Academic year", "Academic year"], dtype=object),
    ...     within=None,
    ...     where="file.csv",
    ... )
    >>> made.calendar.labels
    ('2019-20', '2020-21')
    """
    if gaps not in ("refuse", "not available"):
        raise ReadError(
            needed="gaps='refuse' or gaps='not available'",
            found=repr(gaps),
            where="gaps=",
            todo="choose one: with 'not available' the periods that lack stand in the calendar",
        )
    names = {one: " ".join(one.casefold().split()) for one in dict.fromkeys(identifiers)}
    kinds = {_family(name) for name in names.values()}
    if len(kinds) > 1:
        raise ReadError(
            needed="periods of one kind, since event time counts positions",
            found=f"several: {first_few(map(repr, names))}",
            where=f"{where}, column time_identifier",
            todo="take the rows of other kinds of periods out before",
        )
    kind = kinds.pop()
    if kind is None:
        raise ReadError(
            needed="periods whose order is known: calendar, reporting, financial, academic and "
            "tax years, their quarters, terms, months and weeks",
            found=first_few(map(repr, names)),
            where=f"{where}, column time_identifier",
            todo="make a data frame with periods of your own and use Panel.from_frame",
        )
    pairs = dict.fromkeys(zip(periods, identifiers, strict=True))
    place = _places(list(pairs), names, where)
    order = sorted({key: label for label, key in place.values()}.items())
    labels = np.array([place[pair][0] for pair in zip(periods, identifiers, strict=True)], object)
    shown = [label for _, label in order]
    years = _YEARS.get(kind)
    if within is not None:
        shown = _within(shown, within, years[0] if years else "declared", where)
    keep = np.isin(labels, np.array(shown, dtype=object))
    kept = [(key, label) for key, label in order if label in set(shown)]
    alone = next(iter(names.values())) if len(set(names.values())) == 1 else None
    holes = _holes(kept, weekly=kind == "weeks" and alone is None)
    if holes and gaps == "refuse":
        raise _refused_gap(kept, holes, where)
    filled = {key: _named(key, kind, alone) for hole in holes.values() for key in hole}
    shown = [label for _, label in sorted([*kept, *filled.items()])]
    calendar = Calendar(tuple(shown), years[0] if years else "declared")
    return Dated(labels, calendar, keep, tuple(filled.values()))


def _family(name: str) -> str | None:
    """What may stand beside this identifier in one calendar, or None if it is not known."""
    if name in _YEARS:
        return name
    part = _PARTS.get(name)
    return part.family if part else None


def _places(
    pairs: list[tuple[str, str]], names: dict[str, str], where: str
) -> dict[tuple[str, str], tuple[str, int]]:
    """Label and place in time of each period."""
    made: dict[tuple[str, str], tuple[str, int]] = {}
    bad: list[str] = []
    alone = len({names[one] for _, one in pairs}) == 1
    for period, identifier in pairs:
        name = names[identifier]
        years = _YEARS.get(name)
        part = _PARTS.get(name)
        digits = years[1] if years else ((part.digits,) if part else ())
        kind: Kind = years[0] if years else ("split year" if digits == (6,) else "year")
        written = any(re.fullmatch(_WRITTEN[n], period) for n in digits)
        label = _label(period, kind) if written else None
        if label is None:
            bad.append(f"{period!r} ({identifier})")
            continue
        place = int(label[:4])
        if part is not None:
            label = f"{label} {identifier}"
            # One term, month or week of every year: its neighbours are a year away.
            place = place if alone else place * _PER_YEAR.get(part.family, 4) + part.place
        made[period, identifier] = (label, place)
    if bad:
        raise ReadError(
            needed="periods as published: 2018 for calendar and reporting years, months and "
            "weeks; 201718 (or 2017-18, 2017/18) for academic, financial and tax years and terms",
            found=f"{first_few(bad)} that are not",
            where=f"{where}, column time_period",
            todo="read the file as published; a spreadsheet may have changed the periods",
        )
    return made


def _label(period: str, kind: Kind) -> str | None:
    """Write a year as the calendar does, or give None where it is none."""
    try:
        return Calendar.of([period], kind=kind).labels[0]
    except PanelError:
        return None


def _within(labels: list[str], within: Span, kind: Kind, where: str) -> list[str]:
    """Labels from the first to the last that were asked for."""
    try:
        first, last = within
    except (TypeError, ValueError):
        raise ReadError(
            needed="periods=(first, last)",
            found=repr(within),
            where="periods=",
            todo="give two periods, such as ('2015-16', '2018-19')",
        ) from None
    asked: list[str] = []
    for raw in (first, last):
        try:
            label = Calendar((labels[0],), kind).canonical(raw)
        except PanelError:
            label = ""
        if label not in labels:
            raise ReadError(
                needed=f"periods of the file: {first_few(labels, 12)}",
                found=repr(raw),
                where=f"{where}, periods=",
                todo="choose two of them",
            )
        asked.append(label)
    i, j = labels.index(asked[0]), labels.index(asked[1])
    if i > j:
        raise ReadError(
            needed="a first period that is not after the last",
            found=f"{first!r} to {last!r}",
            where="periods=",
            todo="swap them",
        )
    return labels[i : j + 1]


def _holes(kept: list[tuple[int, str]], *, weekly: bool) -> dict[int, list[int]]:
    """Places in time that lack, by the one before them; a year has 52 or 53 weeks."""
    made: dict[int, list[int]] = {}
    for (before, _), (after, _) in pairwise(kept):
        lack = [key for key in range(before + 1, after) if not (weekly and key % 53 == 52)]
        if lack:
            made[before] = lack
    return made


def _refused_gap(kept: list[tuple[int, str]], holes: dict[int, list[int]], where: str) -> ReadError:
    shown = [f"{one} → {other}" for (key, one), (_, other) in pairwise(kept) if key in holes]
    return ReadError(
        needed="consecutive periods, since event time counts positions",
        found=f"a gap: {shown[0]}" if len(shown) == 1 else f"gaps: {first_few(shown)}",
        where=f"{where}, column time_period",
        todo="choose periods on one side of it: periods=(first, last); or say "
        "gaps='not available' (read_ees_csv), to have the periods that lack in the calendar, "
        "without any cell",
    )


def _named(key: int, kind: str, alone: str | None) -> str:
    """Label of a period that is not in the file, from its place in time."""
    years = _YEARS.get(kind)
    if years:
        return _year(key, split=years[0] == "split year")
    if alone is not None:
        part = _PARTS[alone]
        year, place = key, part.place
    else:
        year, place = divmod(key, _PER_YEAR.get(kind, 4))
    name = _NAMES[kind, place]
    return f"{_year(year, split=_PARTS[name.casefold()].digits == 6)} {name}"


def _year(year: int, *, split: bool) -> str:
    return f"{year}-{(year + 1) % 100:02d}" if split else str(year)
