"""What a release's rules are made of: symbols, places, columns, tables, vintages.

The rules themselves are in `didkit.read.releases`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from didkit.panel import Status

__all__ = ["Column", "Filter", "Found", "Geography", "Release", "Series", "Symbol", "Table"]

Level = Literal["local authority", "regional", "national"]
Span = tuple[int, int]
_ALWAYS: Span = (0, 9999)


@dataclass(frozen=True)
class Symbol:
    """What a release writes in place of a number.

    Parameters
    ----------
    status : Status
        What the cell becomes.
    meaning : str
        In the release's words, or how it is known.
    rounds_to_zero : bool
        The number is above zero and rounds to it; allowed only in rounded columns, where the
        cell has the value 0 and the bounds of a rounded zero.
    vintages : tuple of (int, int)
        First and last vintage of the series in which it has this meaning.
    """

    status: Status
    meaning: str
    rounds_to_zero: bool = False
    vintages: Span = _ALWAYS


@dataclass(frozen=True)
class Geography:
    """Columns that say where: level, 3-digit code, name and, if there are any, regions."""

    level: str
    levels: Mapping[str, Level]
    code: str
    name: str
    region: str | None = None
    region_code: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a table must have."""
        regions = tuple(one for one in (self.region, self.region_code) if one is not None)
        return (self.level, self.code, self.name, *regions)


@dataclass(frozen=True)
class Filter:
    """A column that tells kinds of rows apart.

    Parameters
    ----------
    spellings : tuple of str
        What the column is called, one way or another.
    kinds : mapping of str to str
        For each text in the column, the kind of row it is; a row of any other text is refused,
        since nobody knows what it would be.
    """

    spellings: tuple[str, ...]
    kinds: Mapping[str, str]


@dataclass(frozen=True)
class Column:
    """A column (or one a year) that holds a metric.

    Parameters
    ----------
    spellings : str or tuple of str
        As in the file, one way or another. ``{year}`` stands for the year, ``{yy}`` for its last
        two digits, ``{span}`` for the last two digits of it and of the year before, and
        ``{before}`` for the year before.
    metric : str
        Name in `didkit.panel.METRICS`.
    decimals : int, optional
        Digits after the point to which it was rounded: bounds are half of the last one. None for
        whole numbers that are exact for a local authority.
    rounded_to : int
        For whole numbers that are not exact: 100 for numbers rounded to hundreds.
    years : tuple of int
        Years in the names of the columns, where a file has a column for each.
    later : int
        Years from the one in the name to the reporting year it belongs to.
    vintages : tuple of (int, int)
        First and last vintage of the series that has it.
    needed : bool
        Whether a vintage that was not seen must have it too.
    extra : bool
        Whether any file may lack it; the log says so.
    lags : bool
        Whether the year in its name may be one behind the year of its numbers.
    kind : str
        Kind of rows that it is read from, where a filter tells several apart.
    of : str
        The count of which it is a part, in the same row: the parts add to it.
    """

    spellings: str | tuple[str, ...]
    metric: str
    decimals: int | None = None
    rounded_to: int = 1
    years: tuple[int, ...] = ()
    later: int = 0
    vintages: Span = _ALWAYS
    needed: bool = False
    extra: bool = False
    lags: bool = False
    kind: str = ""
    of: str = ""

    @property
    def name(self) -> str:
        """The column's first spelling."""
        return self.spellings if isinstance(self.spellings, str) else self.spellings[0]

    def spelt(self, year: int) -> tuple[str, ...]:
        """Return its spellings for a year."""
        texts = (self.spellings,) if isinstance(self.spellings, str) else self.spellings
        if "{" not in texts[0]:
            return texts
        words = {
            "year": f"{year}",
            "yy": f"{year % 100:02d}",
            "span": f"{(year - 1) % 100:02d}{year % 100:02d}",
            "before": f"{year - 1}",
        }
        return tuple(_filled(text, words) for text in texts)


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace("{" + word + "}", value)
    return text


@dataclass(frozen=True)
class Found:
    """A column of the rules and where it is in a file.

    Parameters
    ----------
    column : Column
        The rule.
    name : str
        The column's name in the file.
    year : int, optional
        Reporting year of its numbers; None where the rows say it.
    stale : bool
        Whether its name says another year than its numbers are of.
    """

    column: Column
    name: str
    year: int | None = None
    stale: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a release.

    Parameters
    ----------
    name, title : str
        Short name in provenance, and what it holds.
    columns : tuple of Column
        What is read.
    geography : Geography
        Where.
    period : str, optional
        Column of the period; None where the years are in the names of the columns.
    identifier : tuple of (column, value), optional
        What kind of period it is, and the only kind that is understood.
    windows : mapping of int to (int, int)
        For each vintage that was seen, first and last year in the period column. Other vintages
        may begin in any year, and end as `later` says.
    later : int
        Years from the period column to the reporting year: 1 for a mid-year population, since
        the rate for the year that ends on 31 March t uses the middle of t − 1.
    carried : mapping of int to (int, int)
        For a vintage, a year in the period column that serves one more reporting year: the
        release of 2022 divides by the middle of 2020 twice.
    filters : tuple of Filter
        Columns that tell kinds of rows apart.
    also : tuple of str
        Further columns by which the table is told from others.
    only : str
        Pattern of names that a file of this table has no other columns of.
    unlabelled : mapping of str to str
        Codes of places whose level is blank in a published file, and what it is.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    geography: Geography
    period: str | None = None
    identifier: tuple[str, str] | None = None
    windows: Mapping[int, Span] = field(default_factory=dict)
    later: int = 0
    carried: Mapping[int, Span] = field(default_factory=dict)
    filters: tuple[Filter, ...] = ()
    also: tuple[str, ...] = ()
    only: str = ""
    unlabelled: Mapping[str, Level] = field(default_factory=dict)

    def spelt(self, header: Collection[str], spellings: tuple[str, ...]) -> str | None:
        """Return the spelling that a header has, if it has one and no other."""
        there = [one for one in spellings if one in header]
        return there[0] if len(there) == 1 else None

    def find(
        self, header: Collection[str], vintage: int, *, seen: bool
    ) -> tuple[list[Found], list[str]]:
        """Look for the table's columns in a header.

        Returns
        -------
        found : list of Found
            Columns with a metric that are there.
        missing : list of str
            Columns without which it is not this table of this vintage.
        """
        found: list[Found] = []
        missing = [name for name in self._places() if name not in header]
        missing += [
            rule.spellings[0] for rule in self.filters if self.spelt(header, rule.spellings) is None
        ]
        missing += [name for name in self.also if name not in header]
        for column in self.columns:
            if not column.vintages[0] <= vintage <= column.vintages[1]:
                continue
            for year in column.years or (vintage,):
                name, stale = self.spelt(header, column.spelt(year)), False
                if name is None and column.lags:
                    name, stale = self.spelt(header, column.spelt(year - 1)), True
                if name is not None:
                    own = None if self.period is not None else year + column.later
                    found.append(Found(column, name, own, stale))
                elif column.needed or (seen and not column.extra):
                    missing.append(column.spelt(year)[0])
        if self.only:
            used = {one.name for one in found}
            missing += [f"no {n}" for n in header if re.fullmatch(self.only, n) and n not in used]
        return found, missing

    def _places(self) -> tuple[str, ...]:
        period = () if self.period is None else (self.period,)
        kind = () if self.identifier is None else (self.identifier[0],)
        return (*period, *kind, *self.geography.columns)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One publication: its symbols, its rounding, its tables.

    Parameters
    ----------
    name, title : str
        Short name in calls, and the publication.
    symbols : mapping of str to Symbol
        Everything that may stand in place of a number.
    tables : tuple of Table
        Its tables.
    vintage : int
        Reporting year of its newest numbers.
    seen : bool
        Whether its files were at hand when these rules were written. Others of the series are
        read by the same rules, and the log says so.
    primary : tuple of (int, int), optional
        Counts hidden for themselves.
    secondary : bool
        Whether other counts are hidden to protect those. Then a hidden count may be anything from
        0 to what the totals leave.
    totals_rounded_to : int
        Rounding of national and regional counts; those of authorities are exact.
    thousands : bool
        Whether numbers may be written 2,093.
    encodings : tuple of str
        Tried in this order.
    """

    name: str
    title: str
    symbols: Mapping[str, Symbol]
    tables: tuple[Table, ...]
    vintage: int = 0
    seen: bool = True
    primary: Span | None = None
    secondary: bool = True
    totals_rounded_to: int = 10
    thousands: bool = False
    encodings: tuple[str, ...] = ("utf-8-sig",)


@dataclass(frozen=True, kw_only=True)
class Series:
    """Releases of one publication, year after year, by the same rules.

    Parameters
    ----------
    name, title : str
        With ``{year}`` (the vintage) and ``{before}``.
    vintages : tuple of (int, int)
        First and last.
    seen : tuple of int
        Vintages whose files were at hand.
    rules : Release
        What all have in common; a symbol stands in the vintages that it names.
    """

    name: str
    title: str
    vintages: Span
    seen: tuple[int, ...]
    rules: Release

    def releases(self) -> Iterator[Release]:
        """Yield the release of each vintage."""
        for vintage in range(self.vintages[0], self.vintages[1] + 1):
            words = {"year": f"{vintage}", "before": f"{vintage - 1}"}
            yield replace(
                self.rules,
                name=_filled(self.name, words),
                title=_filled(self.title, words),
                vintage=vintage,
                seen=vintage in self.seen,
                symbols={
                    text: one
                    for text, one in self.rules.symbols.items()
                    if one.vintages[0] <= vintage <= one.vintages[1]
                },
            )
