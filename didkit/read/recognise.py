"""Which release and table a file is: told from its columns and periods, never from its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from didkit.errors import ReadError, first_few
from didkit.read.grid import Grid, Texts
from didkit.read.parts import Ints
from didkit.read.releases import RELEASES
from didkit.read.rules import Found, Release, Table

__all__ = ["Choice", "Fit", "choices", "fits", "nearly", "no_period", "unrecognised"]


_YEAR = re.compile(r"(?:19|20)[0-9]{2}")


How = Literal["exact", "unseen", "part"]


@dataclass(frozen=True)
class Fit:
    """A table of a release whose columns a file has."""

    release: Release
    table: Table
    found: tuple[Found, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the file that are read."""
        table = self.table
        period = () if table.period is None else (table.period,)
        kind = () if table.identifier is None else (table.identifier[0],)
        every = (*period, *kind, *table.geography.columns, *(one.name for one in self.found))
        return tuple(dict.fromkeys(every))


@dataclass(frozen=True)
class Choice:
    """A fit whose periods a file has too.

    Parameters
    ----------
    fit : Fit
        The table.
    years : array of int, optional
        Reporting year of each row; None where the columns say it.
    how : {"exact", "unseen", "part"}
        The periods of a vintage that was at hand; or those that another would have; or some of
        them.
    sure : bool
        Whether no other vintage fits as well.
    """

    fit: Fit
    years: Ints | None
    how: How = "exact"
    sure: bool = True


def fits(header: Collection[str]) -> list[Fit]:
    """Return every table of every release whose columns a header has."""
    names = frozenset(header)
    might: dict[int, bool] = {}
    made: list[Fit] = []
    for release, table in _tables():
        key = id(table)
        if key not in might:
            might[key] = all(name in names for name in table.geography.columns)
        if not might[key] or not _first(table, names, release.vintage):
            continue
        found, missing = table.find(names, release.vintage, seen=_seen(release, table))
        if not missing:
            made.append(Fit(release, table, tuple(found)))
    return made


def _tables() -> Iterator[tuple[Release, Table]]:
    return ((release, table) for release in RELEASES.values() for table in release.tables)


def _seen(release: Release, table: Table) -> bool:
    """Whether this table of this vintage was at hand: then it has all of its columns."""
    return release.vintage in table.windows if table.period is not None else release.seen


def _first(table: Table, names: Collection[str], vintage: int) -> bool:
    """Whether a header has the first column of a table; most tables end here."""
    column = next((one for one in table.columns if one.needed), table.columns[0])
    year = column.years[0] if column.years else vintage
    spelt = column.spelt(year) + (column.spelt(year - 1) if column.lags else ())
    return any(one in names for one in spelt)


def choices(fitting: Sequence[Fit], columns: dict[str, Texts], grid: Grid) -> list[Choice]:
    """Return the fits whose periods a file has, those of vintages that were at hand first.

    Parameters
    ----------
    fitting : sequence of Fit
        From `fits`.
    columns : dict of str to array of str
        Of the file.
    grid : Grid
        The file.

    Raises
    ------
    ReadError
        If a period does not parse.
    """
    made: dict[How, list[Choice]] = {"exact": [], "unseen": [], "part": []}
    known: dict[tuple[str | None, tuple[str, str] | None], tuple[Ints, list[int]]] = {}
    for fit in _of_their_kind(fitting, columns):
        table, vintage = fit.table, fit.release.vintage
        if table.period is None:
            named: How = "exact" if fit.release.seen else "unseen"
            made[named].append(Choice(fit, None, named))
            continue
        key = (table.period, table.identifier)
        if key not in known:
            years = _years(columns, table, grid.name)
            known[key] = years, sorted(set(years.tolist()))
        years, found = known[key]
        last = found[-1] + table.later
        window = table.windows.get(vintage)
        how: How | None = None
        if window is not None:
            whole = list(range(window[0], window[1] + 1))
            how = "exact" if found == whole else "part" if set(found) <= set(whole) else None
        elif last == vintage and len(found) == found[-1] - found[0] + 1:
            how = "unseen"
        elif last <= vintage:
            how = "part"
        if how is not None:
            made[how].append(Choice(fit, years + table.later, how))
    return [*made["exact"], *made["unseen"], *made["part"]]


def _of_their_kind(fitting: Sequence[Fit], columns: dict[str, Texts]) -> Sequence[Fit]:
    """Keep the tables whose category a file has; all where it has none, to be refused later."""
    asked = {name for fit in fitting for rule in fit.table.filters for name in rule.spellings}
    there = {name: set(columns[name].tolist()) for name in asked if name in columns}
    kept = [
        fit
        for fit in fitting
        if all(
            set(rule.kinds) & there[name]
            for rule in fit.table.filters
            for name in rule.spellings
            if name in there
        )
    ]
    return kept or fitting


def no_period(fitting: Sequence[Fit], columns: dict[str, Texts], grid: Grid) -> ReadError:
    """Say that the periods of a file are of no release, or which columns its release lacks."""
    table = fitting[0].table
    found = sorted(set(_years(columns, table, grid.name).tolist()))
    lacking = _lacking(grid.header, {fit.table.name for fit in fitting}, found)
    if lacking is not None:
        return _missing_columns(grid, *lacking)
    spans = [
        f"{fit.release.name} {fit.table.name}: {window[0]} to {window[1]}"
        for fit in fitting
        if (window := fit.table.windows.get(fit.release.vintage))
    ]
    part = next((one for one in choices(fitting, columns, grid) if one.how == "part"), None)
    return ReadError(
        needed=f"the periods of a release, without a gap up to its own year "
        f"({'; '.join(spans) or 'any vintage'})",
        found=f"{first_few(found, 12)} periods",
        where=f"{grid.name}, column {table.period}",
        todo=f"if this is a part of a release, name it: release={part.fit.release.name!r}"
        if part is not None
        else "the columns are known, the release is not: its symbols may differ, so it is not "
        "guessed",
    )


def _years(columns: dict[str, Texts], table: Table, file: str) -> Ints:
    """Year of each row; a label of two years in a row is not how a reporting year is written."""
    labels = columns[str(table.period)]
    years: dict[str, int] = {}
    bad: list[str] = []
    for label in dict.fromkeys(labels):
        if _YEAR.fullmatch(label):
            years[label] = int(label)
        else:
            bad.append(repr(label))
    where = f"{file}, column {table.period}"
    if bad:
        raise ReadError(
            needed="reporting years as periods (2018 for the year that ends in March 2018)",
            found=f"{first_few(bad)} that do not parse",
            where=where,
            todo="read the file as published",
        )
    if table.identifier is not None:
        column, value = table.identifier
        other = sorted(repr(one) for one in set(columns[column]) - {value})
        if other:
            raise ReadError(
                needed=f"{value!r} as the kind of every period",
                found=f"{first_few(other)} other",
                where=f"{file}, column {column}",
                todo="take the rows of other kinds of periods out before",
            )
    return np.array([years[label] for label in labels.tolist()], dtype=np.int64)


# -- not recognised ------------------------------------------------------------------------------


def _missing(header: Collection[str], release: Release, table: Table) -> list[str]:
    return table.find(header, release.vintage, seen=_seen(release, table))[1]


def nearly(grid: Grid) -> bool:
    """Whether just one column is missing of a table of which at least one value is there."""
    for release, table in _tables():
        if not _seen(release, table) or len(table.columns) < 2:
            continue
        found, missing = table.find(grid.header, release.vintage, seen=True)
        if len(missing) == 1 and found:
            return True
    return False


def unrecognised(grid: Grid, release: str | None, fitting: Sequence[Fit]) -> ReadError:
    """Say which table is nearest, and what it lacks."""
    if fitting:
        return ReadError(
            needed=f"a table of {release}",
            found="the columns of "
            + first_few(f"{fit.release.name} {fit.table.name}" for fit in fitting),
            where=grid.name,
            todo="leave release= out, or name the other release",
        )
    known = [(one, table) for one, table in _tables() if release is None or one.name == release]
    if not known:
        return ReadError(
            needed=f"a table of {release}",
            found="a CSV file",
            where=grid.name,
            todo="name the release's own files",
        )
    near, table = min(
        known,
        key=lambda pair: (
            len(_missing(grid.header, *pair)) / (len(pair[1].columns) + 3),
            not _seen(*pair),
        ),
    )
    return _missing_columns(grid, near, table)


def _lacking(
    header: Collection[str], names: Collection[str], years: Sequence[int]
) -> tuple[Release, Table] | None:
    """Return the table that a file has the periods of, and not all of the columns."""
    for release, table in _tables():
        window = table.windows.get(release.vintage)
        whole = window is not None and list(range(window[0], window[1] + 1)) == list(years)
        if table.name in names and whole and _missing(header, release, table):
            return release, table
    return None


def _missing_columns(grid: Grid, near: Release, table: Table) -> ReadError:
    missing = _missing(grid.header, near, table)
    return ReadError(
        needed=f"the columns of a table that is known; the nearest is {near.name} {table.name} "
        f"({table.title}), of which are missing: {first_few(map(repr, missing), 8)}",
        found=f"{first_few(map(repr, grid.header), 12)} columns",
        where=grid.name,
        todo="read the file as published, with its first line as the header; any other open-data "
        "CSV of Explore education statistics is read by didkit.read_ees_csv",
    )
