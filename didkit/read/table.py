"""One recognised table → its cells: rows told apart, numbers parsed, hidden counts bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from didkit.errors import ReadError, first_few
from didkit.panel import METRICS, Cells, Source, Status, unit_ids
from didkit.read.bounds import Bounds, Parent, tighten
from didkit.read.grid import Grid, Texts
from didkit.read.parse import parse
from didkit.read.parts import Ints, Part, Piece
from didkit.read.recognise import Choice
from didkit.read.rules import Filter, Found, Release, Table

__all__ = ["read_table"]

Bools = NDArray[np.bool_]
_USED = "rows used: local authority"


def read_table(grid: Grid, columns: dict[str, Texts], choice: Choice, sha256: str) -> Part:
    """Read the rows of local authorities, and the totals where they bound what is hidden.

    Raises
    ------
    ReadError
        For a level, category or symbol that the release does not have, a bad number, a code that
        stands twice in a period, or no local authority at all.
    PanelError
        For a code that is not 3 digits.
    """
    release, table, file = choice.fit.release, choice.fit.table, grid.name
    note = "" if grid.encoding == "utf-8-sig" else f"decoded as {grid.encoding}"
    source = Source(release.name, table.name, file, sha256, note)
    level = _levels(columns, table, file)
    kind = _kinds(columns, table, file)
    own = level == "local authority"
    if not own.any():
        raise ReadError(
            needed="rows of local authorities",
            found=f"none among {len(own)} rows",
            where=f"{file}, column {table.geography.level}",
            todo="download the table with the local-authority level",
        )
    rows = _Rows(columns, choice, level, kind, own, file)
    pieces = rows.share([piece for one in choice.fit.found for piece in rows.read(one)])
    log = [("rows read", len(own)), (_USED, int(own.sum()))]
    log += [(f"rows not used: {one}", n) for one, n in Counter(level[~own].tolist()).items()]
    blank = int((columns[table.geography.level] == "").sum())
    if blank:
        log.append(("the level is blank in the file; it is known from the code", blank))
    log += rows.said(grid, pieces)
    called = f"{release.name} {table.name} ({file})"
    return Part(source, rows.units(), pieces, [(called, what, n) for what, n in log])


def _levels(columns: dict[str, Texts], table: Table, file: str) -> Texts:
    places = table.geography
    text = columns[places.level]
    if table.unlabelled and "" in text:
        given = {level: text for text, level in places.levels.items()}
        text = text.copy()
        for i in np.flatnonzero(text == ""):
            level = table.unlabelled.get(columns[places.code][i])
            text[i] = given.get(level, "") if level else ""
    _refuse_unknown(text, places.levels, "geographic level", f"{file}, column {places.level}")
    return np.array([places.levels[one] for one in text.tolist()], dtype=object)


def _kinds(columns: dict[str, Texts], table: Table, file: str) -> Texts | None:
    """Tell kinds of rows apart; None where the table has only one."""
    made: Texts | None = None
    for rule in table.filters:
        name = _spelt(rule, columns)
        _refuse_unknown(columns[name], rule.kinds, "category", f"{file}, column {name}")
        if any(rule.kinds.values()):
            made = np.array([rule.kinds[one] for one in columns[name]], dtype=object)
    return made


def _spelt(rule: Filter, columns: dict[str, Texts]) -> str:
    return next(one for one in rule.spellings if one in columns)


def _refuse_unknown(values: Texts, known: Iterable[str], what: str, where: str) -> None:
    """Refuse a level or category that the rules do not have: nobody knows what it would be."""
    other = set(values) - set(known)
    if other:
        n = sum(one in other for one in values)
        raise ReadError(
            needed=f"a {what} that the release has: {first_few(map(repr, known), 8)}",
            found=f"{n} rows with another: {first_few(map(repr, sorted(other)))}",
            where=where,
            todo="read the file as published, or take these rows out yourself",
        )


class _Rows:
    """The rows of one table: where each stands, and what is read from them."""

    def __init__(
        self,
        columns: dict[str, Texts],
        choice: Choice,
        level: Texts,
        kind: Texts | None,
        own: Bools,
        file: str,
    ) -> None:
        self.columns, self.choice, self.file = columns, choice, file
        self.level, self.kind, self.own = level, kind, own
        self.release: Release = choice.fit.release
        self.table: Table = choice.fit.table
        places = self.table.geography
        self.codes = columns[places.code][own]
        ids = list(dict.fromkeys(self.codes))
        unit_ids(
            self.codes if "" in ids else ids,
            identity="la_code",
            where=f"{file}, column {places.code}",
        )
        self.years: Ints | None = None if choice.years is None else choice.years[own]
        self.read_from: dict[tuple[str, int | None], tuple[Bools, Texts, Ints]] = {}
        self.above: dict[tuple[str, int | None], list[tuple[NDArray[np.intp], Ints]]] = {}
        self.totals: Counter[str] = Counter()
        self._refuse_duplicates()

    def _refuse_duplicates(self) -> None:
        parts = [self.codes.tolist()]
        if self.years is not None:
            parts.append(self.years.tolist())
        if self.kind is not None:
            parts.append(self.kind[self.own].tolist())
        keys = Counter(zip(*parts, strict=True))
        twice = {key: n for key, n in keys.items() if n > 1}
        if twice:
            cells = [" in ".join(str(one) for one in key[:2]) for key in twice]
            raise ReadError(
                needed="one row for each authority and period",
                found=f"{sum(twice.values())} rows for {first_few(cells)} that stand more than "
                "once",
                where=self.file,
                todo="read the file as published: extracts may have been put together twice",
            )

    def units(self) -> dict[str, tuple[int, str, str]]:
        """Name and region of each unit, from its newest row."""
        places = self.table.geography
        names = self.columns[places.name][self.own]
        regions = [""] * len(names)
        if places.region is not None:
            regions = self.columns[places.region][self.own].tolist()
        years = [self.release.vintage] * len(names) if self.years is None else self.years.tolist()
        made: dict[str, tuple[int, str, str]] = {}
        for code, year, name, region in zip(
            self.codes.tolist(), years, names.tolist(), regions, strict=True
        ):
            if code not in made or year > made[code][0]:
                made[code] = (year, name, region)
        return made

    def read(self, found: Found) -> Iterable[tuple[str, Piece]]:
        """Read one column, and once more the year that serves another."""
        column = found.column
        mine, codes, years = self._mine(found)
        if not len(codes):
            return
        cells = parse(
            self.columns[found.name][mine],
            column,
            self.release,
            at=_place(codes, years),
            where=f"{self.file}, column {found.name}",
        )
        if METRICS[column.metric].kind == "count":
            cells = self._bounded(cells, found, mine, years)
        yield column.metric, Piece(codes, years, cells)
        for start, end in self._carried():
            again = years == start
            picked = Cells(
                cells.value[again], cells.status[again], cells.lower[again], cells.upper[again]
            )
            yield column.metric, Piece(codes[again], np.full(int(again.sum()), end), picked)

    def _mine(self, found: Found) -> tuple[Bools, Texts, Ints]:
        """Rows of authorities from which a column is read; worked out once for each kind."""
        key = (found.column.kind, found.year)
        if key not in self.read_from:
            mine = self.own if self.kind is None else self.own & (self.kind == found.column.kind)
            self.read_from[key] = (mine, *self._at(mine, found))
        return self.read_from[key]

    def _at(self, rows: Bools, found: Found) -> tuple[Texts, Ints]:
        codes = self.columns[self.table.geography.code][rows]
        if self.choice.years is not None:
            return codes, self.choice.years[rows]
        year = self.release.vintage if found.year is None else found.year
        return codes, np.full(len(codes), year, dtype=np.int64)

    def _carried(self) -> list[tuple[int, int]]:
        """Reporting years whose numbers serve another reporting year too."""
        rule = self.table.carried.get(self.release.vintage)
        return [] if rule is None else [(rule[0] + self.table.later, rule[1])]

    # -- hidden counts -----------------------------------------------------------------------

    def _bounded(self, cells: Cells, found: Found, mine: Bools, years: Ints) -> Cells:
        """Narrow the bounds of hidden counts by the totals that the file holds."""
        status = cells.status[:, 0]
        hidden = status == Status.SUPPRESSED
        if not hidden.any():
            return cells
        value = cells.value[:, 0]
        unknown = ~hidden & ~np.isfinite(value) & (status != Status.NOT_APPLICABLE)
        value = np.where(status == Status.NOT_APPLICABLE, 0.0, value)
        parents = self._totals(found, mine, years)
        if not parents:
            return cells
        made = tighten(
            value,
            hidden,
            unknown,
            parents,
            lower=np.where(hidden, cells.lower[:, 0], 0.0),
            upper=cells.upper[:, 0],
        )
        self._note(parents, hidden, made)
        lower = np.where(hidden, made.lower, cells.lower[:, 0])
        upper = np.where(hidden, made.upper, cells.upper[:, 0])
        return Cells(cells.value, cells.status, lower[:, None], upper[:, None])

    def _note(self, parents: Sequence[Parent], hidden: Bools, made: Bounds) -> None:
        """Count the totals that bound hidden counts, and those that contradict their parts."""
        for parent, wrong in zip(parents, made.inconsistent, strict=True):
            group = np.asarray(parent.group).ravel()
            asked = np.unique(group[np.ravel(hidden) & (group >= 0)])
            there = asked[np.isfinite(np.asarray(parent.totals, dtype=np.float64)[asked])]
            self.totals["totals that bound hidden counts"] += int((~wrong[there]).sum())
            self.totals["totals that contradict their parts: not used"] += int(wrong[there].sum())

    def _totals(self, found: Found, mine: Bools, years: Ints) -> list[Parent]:
        """Totals of regions and of England in each period, rounded as the release says."""
        key = (found.column.kind, found.year)
        if key not in self.above:
            self.above[key] = list(self._above(found, mine, years))
        half, text = self.release.totals_rounded_to / 2, self.columns[found.name]
        return [
            Parent(group, [_number(one, self.release) for one in text[rows].tolist()], half)
            for rows, group in self.above[key]
        ]

    def _above(
        self, found: Found, mine: Bools, years: Ints
    ) -> Iterator[tuple[NDArray[np.intp], Ints]]:
        """Yield rows of regions, then of England, and which of them each authority belongs to."""
        code = self.table.geography.region_code
        for level, by in (("regional", code), ("national", None)):
            rows = self.level == level
            if self.kind is not None:
                rows &= self.kind == found.column.kind
            if not rows.any() or (level == "regional" and by is None):
                continue
            _, at = self._at(rows, found)
            region = self.columns[by][rows].tolist() if by else [""] * int(rows.sum())
            place = {key: i for i, key in enumerate(zip(region, at.tolist(), strict=True))}
            if len(place) != int(rows.sum()):
                continue  # a total that stands twice is no total
            units = self.columns[by][mine].tolist() if by else [""] * len(years)
            group = [place.get(key, -1) for key in zip(units, years.tolist(), strict=True)]
            yield np.flatnonzero(rows), np.array(group, dtype=np.int64)

    def share(self, pieces: list[tuple[str, Piece]]) -> list[tuple[str, Piece]]:
        """Narrow parts of a row's total by it and by the parts that are published."""
        held = {metric: i for i, (metric, _) in enumerate(pieces)}
        parts: dict[str, list[int]] = {}
        for one in self.choice.fit.found:
            if one.column.of and METRICS[one.column.metric].kind == "count":
                parts.setdefault(one.column.of, []).append(held[one.column.metric])
        for whole, mine in parts.items():
            total = pieces[held[whole]][1].cells.value[:, 0]
            stacked = [pieces[i][1].cells for i in mine]
            value, status, lower, upper = (
                np.hstack([getattr(one, what) for one in stacked])
                for what in ("value", "status", "lower", "upper")
            )
            hidden = status == Status.SUPPRESSED
            rows = np.repeat(np.arange(len(total))[:, None], len(mine), axis=1)
            made = tighten(
                value,
                hidden,
                ~hidden & ~np.isfinite(value),
                [Parent(rows, total)],
                lower=np.where(hidden, lower, 0.0),
                upper=upper,
            )
            self._note([Parent(rows, total)], hidden, made)
            lower, upper = np.where(hidden, made.lower, lower), np.where(hidden, made.upper, upper)
            for k, i in enumerate(mine):
                metric, piece = pieces[i]
                old = piece.cells
                cells = Cells(old.value, old.status, lower[:, [k]], upper[:, [k]])
                pieces[i] = (metric, piece._replace(cells=cells))
        return pieces

    # -- said ---------------------------------------------------------------------------------

    def said(self, grid: Grid, pieces: Sequence[tuple[str, Piece]]) -> list[tuple[str, int]]:
        """Say in the log what the numbers do not show by themselves."""
        release, table = self.release, self.table
        log: list[tuple[str, int]] = []
        statuses = np.concatenate([piece.cells.status[:, 0] for _, piece in pieces])
        log += [
            (f"cells {status.label}", n)
            for status in Status
            if (n := int((statuses == status).sum()))
        ]
        log += [(what, n) for what, n in self.totals.items() if n]
        used = set(self.choice.fit.names) | {
            one for rule in table.filters for one in rule.spellings
        }
        log.append(("columns not read", sum(name not in used for name in grid.header)))
        there = {one.column.metric for one in self.choice.fit.found}
        log += [
            (f"column not in the file: {column.spelt(release.vintage)[0]}", 0)
            for column in table.columns
            if column.vintages[0] <= release.vintage <= column.vintages[1]
            and column.metric not in there
        ]
        if self.years is not None:
            kinds = 1 if self.kind is None else len(set(self.kind))
            every = len(set(self.codes)) * len(set(self.years.tolist())) * kinds
            log.append(("no row: authority and period", every - len(self.codes)))
        log += [
            (
                f"the year in the column's name is not that of its numbers: {one.name}, read as "
                f"{one.year}",
                len(self.codes),
            )
            for one in self.choice.fit.found
            if one.stale
        ]
        log += [
            (
                f"values of {start} also used for {end}, as the release does",
                int(np.sum(self.years == start)),
            )
            for start, end in self._carried()
        ]
        seen = release.vintage in table.windows if table.period is not None else release.seen
        if not seen:
            log.append(
                (
                    f"a vintage that didkit had not seen: read by the rules of its series, "
                    f"as {release.name}",
                    0,
                )
            )
        return log


def _number(text: str, release: Release) -> float:
    """Return a published total; NaN for a symbol."""
    clean = text.replace(",", "") if release.thousands else text
    return float(clean) if clean.isdigit() and clean.isascii() and len(clean) <= 12 else np.nan


def _place(codes: Texts, years: Ints) -> Callable[[int], str]:
    return lambda i: f"{codes[i]} in {years[i]}"
