"""One recognised table → its cells: rows told apart, numbers parsed, hidden counts bounded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from didkit.errors import ReadError, first_few
from didkit.panel import METRICS, Cells, Source, Status, unit_ids
from didkit.read.bounds import Bounds, Parent, tighten
from didkit.read.fields import Fields
from didkit.read.grid import Grid, Texts
from didkit.read.parse import parse
from didkit.read.parts import Ints, Part, Piece
from didkit.read.recognise import Choice
from didkit.read.releases import authorities
from didkit.read.rules import Found, Release, Table

__all__ = ["read_table"]

Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]  # positions in the file
_USED = "rows used: local authority"
_BOUNDING = "totals that bound hidden counts"
_FROM_ABOVE = "totals that bound hidden counts from above only, since rows are missing"
_CONTRADICTING = "totals that contradict their parts: not used"
_DAMAGED = re.compile(r"[0-9]{1,2}|[0-9]{1,3}\.0+")
_LEVELS = ("local authority", "regional", "national")
_OWN, _REGION, _NATION = range(3)


def read_table(
    grid: Grid,
    columns: dict[str, Texts],
    numbers: dict[str, Texts | Fields],
    choice: Choice,
    sha256: str,
) -> Part:
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
    own = level == _OWN
    if not own.any():
        raise ReadError(
            needed="rows of local authorities",
            found=f"none among {len(own)} rows",
            where=f"{file}, column {table.geography.level}",
            todo="download the table with the local-authority level",
        )
    rows = _Rows(columns, numbers, choice, level, _kinds(columns, table, file), file)
    pieces = rows.share([piece for one in choice.fit.found for piece in rows.read(one)])
    log = [("rows read", len(own)), (_USED, int(own.sum()))]
    log += [
        (f"rows not used: {one}", int((level == i).sum()))
        for i, one in enumerate(_LEVELS)
        if i != _OWN and (level == i).any()
    ]
    if table.unlabelled:
        blank = int((columns[table.geography.level] == "").sum())
        if blank:
            log.append(("the level is blank in the file; it is known from the code", blank))
    log += rows.said(grid, pieces)
    called = f"{release.name} {table.name} ({file})"
    return Part(source, rows.ids, rows.about(), pieces, [(called, what, n) for what, n in log])


def _levels(columns: dict[str, Texts], table: Table, file: str) -> Ints:
    """Return the level of each row, as a position in ``_LEVELS``."""
    places = table.geography
    text = columns[places.level]
    if table.unlabelled and "" in text:
        given = {level: text for text, level in places.levels.items()}
        text = text.copy()
        for i in np.flatnonzero(text == ""):
            level = table.unlabelled.get(columns[places.code][i])
            text[i] = given.get(level, "") if level else ""
    known = {written: _LEVELS.index(level) for written, level in places.levels.items()}
    return _coded(text, known, "geographic level", f"{file}, column {places.level}")


def _kinds(columns: dict[str, Texts], table: Table, file: str) -> tuple[Ints, list[str]] | None:
    """Tell kinds of rows apart, as positions in a list; None where the table has only one."""
    made: tuple[Ints, list[str]] | None = None
    for rule in table.filters:
        name = next(one for one in rule.spellings if one in columns)
        kinds = list(dict.fromkeys(rule.kinds.values()))
        known = {written: kinds.index(kind) for written, kind in rule.kinds.items()}
        codes = _coded(columns[name], known, "category", f"{file}, column {name}")
        if len(kinds) > 1:
            made = (codes, kinds)
    return made


def _refuse_spreadsheet_codes(codes: Sequence[str], where: str) -> None:
    """Refuse 201.0 and 1: what a spreadsheet makes of 201 and 001."""
    damaged = [one for one in codes if _DAMAGED.fullmatch(one)]
    if damaged:
        raise ReadError(
            needed="3-digit codes of authorities (926)",
            found=f"{first_few(damaged)} that a spreadsheet has changed",
            where=where,
            todo="download the CSV again, and do not save it from a spreadsheet",
        )


def _coded(values: Texts, known: Mapping[str, int], what: str, where: str) -> Ints:
    """Return a number for each text, and refuse one that is not known: who knows what it is."""
    codes = np.array([known.get(one, -1) for one in values.tolist()], dtype=np.int64)
    other = codes < 0
    if other.any():
        raise ReadError(
            needed=f"a {what} that the release has: {first_few(map(repr, known), 8)}",
            found=f"{int(other.sum())} rows with another: "
            f"{first_few(map(repr, sorted(set(values[other]))))}; the first is line "
            f"{int(np.flatnonzero(other)[0]) + 2}",
            where=where,
            todo="read the file as published, or take these rows out yourself",
        )
    return codes


class _Rows:
    """The rows of one table: where each stands, and what is read from them."""

    def __init__(
        self,
        columns: dict[str, Texts],
        numbers: dict[str, Texts | Fields],
        choice: Choice,
        level: Ints,
        kind: tuple[Ints, list[str]] | None,
        file: str,
    ) -> None:
        self.columns, self.numbers, self.choice, self.file = columns, numbers, choice, file
        self.level = level
        self.kind, self.kinds = kind if kind is not None else (np.zeros_like(level), [""])
        self.release: Release = choice.fit.release
        self.table: Table = choice.fit.table
        places = self.table.geography
        self.own = np.flatnonzero(level == _OWN)
        codes = columns[places.code][self.own].tolist()
        self.ids = list(dict.fromkeys(codes))
        _refuse_spreadsheet_codes(self.ids, f"{file}, column {places.code}")
        unit_ids(
            codes if "" in self.ids else self.ids,
            identity="la_code",
            where=f"{file}, column {places.code}",
        )
        place = {code: i for i, code in enumerate(self.ids)}
        # Number of the authority of each row; of no use in rows of regions and of England.
        self.unit = np.zeros(len(level), dtype=np.int64)
        self.unit[self.own] = [place[code] for code in codes]
        year = choice.years if choice.years is not None else np.zeros_like(level)
        self.year: Ints = year
        self._refuse_duplicates()
        self.regions: Ints | None = None
        self.mine: dict[tuple[str, int | None], tuple[Rows, Ints, Ints]] = {}
        self.above: dict[tuple[str, int | None], list[tuple[Rows, Ints]]] = {}
        self.whole: dict[tuple[str, int | None, int] | None, list[bool] | None] = {}
        self.totals: Counter[str] = Counter()

    def _refuse_duplicates(self) -> None:
        unit, year, kind = (one[self.own] for one in (self.unit, self.year, self.kind))
        keys = np.sort((unit * 10_000 + year) * len(self.kinds) + kind)
        if (np.diff(keys) > 0).all():
            return
        counted = Counter(zip(unit.tolist(), year.tolist(), kind.tolist(), strict=True))
        twice = {key: n for key, n in counted.items() if n > 1}
        cells = [self.ids[key[0]] + (f" in {key[1]}" if key[1] else "") for key in twice]
        raise ReadError(
            needed="one row for each authority and period",
            found=f"{sum(twice.values())} rows for {first_few(cells)} that stand more than once",
            where=self.file,
            todo="read the file as published: extracts may have been put together twice",
        )

    def about(self) -> dict[str, tuple[int, str, str]]:
        """Name and region of each authority, from the first of its newest rows."""
        places = self.table.geography
        year = self.year[self.own]
        # A stable sort, the oldest first and each year's rows backwards: the last one stays.
        order = self.own[::-1][np.argsort(year[::-1], kind="stable")]
        newest = dict(zip(self.unit[order].tolist(), order.tolist(), strict=True))
        names = self.columns[places.name]
        regions = None if places.region is None else self.columns[places.region]
        own = self.release.vintage if self.choice.years is None else 0
        return {
            self.ids[unit]: (
                own or int(self.year[i]),
                str(names[i]),
                "" if regions is None else str(regions[i]),
            )
            for unit, i in newest.items()
        }

    def read(self, found: Found) -> Iterator[tuple[str, Piece]]:
        """Read one column, and once more the year that serves another."""
        column = found.column
        rows, units, years = self._mine(found)
        if not len(rows):
            return
        cells = parse(
            self.numbers[found.name][rows],
            column,
            self.release,
            at=lambda i: f"{self.ids[units[i]]} in {years[i]}",
            where=f"{self.file}, column {found.name}",
        )
        if METRICS[column.metric].kind == "count":
            cells = self._bounded(cells, found)
        yield column.metric, Piece(units, years, cells)
        for start, end in self._carried():
            again = years == start
            picked = Cells(
                cells.value[again], cells.status[again], cells.lower[again], cells.upper[again]
            )
            yield column.metric, Piece(units[again], np.full(int(again.sum()), end), picked)

    def _mine(self, found: Found) -> tuple[Rows, Ints, Ints]:
        """Rows of authorities from which a column is read; worked out once for each kind."""
        key = (found.column.kind, found.year)
        if key not in self.mine:
            rows = self.own
            if len(self.kinds) > 1:
                rows = rows[self.kind[rows] == self.kinds.index(found.column.kind)]
            self.mine[key] = (rows, self.unit[rows], self._years(rows, found))
        return self.mine[key]

    def _years(self, rows: Rows, found: Found) -> Ints:
        if self.choice.years is not None:
            return self.year[rows]
        year = self.release.vintage if found.year is None else found.year
        return np.full(len(rows), year, dtype=np.int64)

    def _carried(self) -> list[tuple[int, int]]:
        """Reporting years whose numbers serve another reporting year too."""
        rule = self.table.carried.get(self.release.vintage) if self.choice.sure else None
        return [] if rule is None else [(rule[0] + self.table.later, rule[1])]

    # -- hidden counts -----------------------------------------------------------------------

    def _bounded(self, cells: Cells, found: Found) -> Cells:
        """Narrow the bounds of hidden counts by the totals that the file holds."""
        status = cells.status[:, 0]
        hidden = status == Status.SUPPRESSED
        if not hidden.any():
            return cells
        value = cells.value[:, 0]
        unknown = ~hidden & ~np.isfinite(value) & (status != Status.NOT_APPLICABLE)
        value = np.where(status == Status.NOT_APPLICABLE, 0.0, value)
        parents = self._totals(found, status != Status.NOT_APPLICABLE)
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
            whole = np.broadcast_to(np.asarray(parent.whole, dtype=np.bool_), wrong.shape)
            used = ~wrong[there]
            self.totals["totals of regions and England that bound hidden counts"] += int(
                (used & whole[there]).sum()
            )
            self.totals[
                "totals that bound hidden counts from above only, since rows are missing"
            ] += int((used & ~whole[there]).sum())
            self.totals["totals that contradict their parts: not used"] += int(wrong[there].sum())

    def _totals(self, found: Found, there: Bools) -> list[Parent]:
        """Totals of regions and of England in each period, rounded as the release says.

        Parameters
        ----------
        found : Found
            The column.
        there : array of bool
            Authorities that exist in the period. Only where every authority has a row in its
            region does a total say how much is hidden at least.
        """
        key = (found.column.kind, found.year)
        if key not in self.above:
            self.above[key] = list(self._above(found))
        half, text = self.release.totals_rounded_to / 2, self.numbers[found.name]
        _, _, years = self._mine(found)
        parents: list[Parent] = []
        for n, (above, group) in enumerate(self.above[key]):
            # Mostly all exist, and one answer serves every column.
            where = (*key, n) if there.all() else None
            whole = self.whole.get(where)
            if whole is None:
                whole = self._whole(years, there, group, self._years(above, found))
                self.whole[where] = whole if where else None
            totals = [_number(one, self.release) for one in text[above].tolist()]
            parents.append(Parent(group, totals, half, whole=whole))
        return parents

    def _whole(self, years: Ints, there: Bools, group: Ints, at: Ints) -> list[bool]:
        """Whether every authority of a total has a row, for totals of some years."""
        full = {}
        for year in set(years.tolist()):
            inside = there & (years == year)
            enough = int(inside.sum()) >= authorities(year)
            full[year] = enough and bool((group[inside] >= 0).all())
        return [full.get(year, False) for year in at.tolist()]

    def _above(self, found: Found) -> Iterator[tuple[Rows, Ints]]:
        """Yield rows of regions, then of England, and which of them each authority belongs to."""
        mine, _, years = self._mine(found)
        by = self.table.geography.region_code
        if by is not None and self.regions is None:
            place: dict[str, int] = {}
            text = self.columns[by].tolist()
            self.regions = np.array([place.setdefault(one, len(place)) for one in text])
        for level in (_REGION, _NATION):
            rows = np.flatnonzero(self.level == level)
            if len(self.kinds) > 1:
                rows = rows[self.kind[rows] == self.kinds.index(found.column.kind)]
            if not len(rows) or (level == _REGION and self.regions is None):
                continue
            keys, own = self._years(rows, found), years
            if level == _REGION and self.regions is not None:
                keys, own = keys + 10_000 * self.regions[rows], own + 10_000 * self.regions[mine]
            order = np.argsort(keys, kind="stable")
            if (np.diff(keys[order]) == 0).any():
                continue  # a total that stands twice is no total
            at = np.minimum(np.searchsorted(keys[order], own), len(keys) - 1)
            yield rows[order], np.where(keys[order][at] == own, at, -1)

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
        rest = [name for name in grid.header if name not in used]
        log.append(
            (f"columns not read: {', '.join(rest[:8])}{', …' if len(rest) > 8 else ''}", len(rest))
        )
        there = {one.column.metric for one in self.choice.fit.found}
        log += [
            (
                f"no metric {column.metric}: the file has no column "
                f"{column.spelt(release.vintage)[0]!r}",
                0,
            )
            for column in table.columns
            if column.vintages[0] <= release.vintage <= column.vintages[1]
            and column.metric not in there
        ]
        if self.choice.years is not None:
            n = len(self.ids) * len(set(self.year[self.own].tolist())) * len(self.kinds)
            log.append(("authorities and periods without a row", n - len(self.own)))
        log += [
            (
                f"the year in the column's name is not that of its numbers: {one.name}, read as "
                f"{one.year}",
                len(self.ids),
            )
            for one in self.choice.fit.found
            if one.stale
        ]
        log += [
            (
                f"values of {start} also used for {end}, as the release does",
                int(np.sum(self.year[self.own] == start)),
            )
            for start, end in self._carried()
        ]
        told = {
            "unseen": f"told to be {release.name}, which didkit had not seen before",
            "part": f"not all periods of {release.name}, which was named",
        }
        log += [(text, 0) for how, text in told.items() if how == self.choice.how]
        if not self.choice.sure:
            text = f"told from periods alone: of {release.name} or of a vintage near it"
            log.append((text, 0))
        return log


def _number(text: str, release: Release) -> float:
    """Return a published total; NaN for a symbol."""
    clean = text.replace(",", "") if release.thousands else text
    return float(clean) if clean.isdigit() and clean.isascii() and len(clean) <= 12 else np.nan
