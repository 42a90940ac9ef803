"""Queries and pages of the API: labels to ids and back, and every page held against the first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from didkit.errors import ReadError, first_few
from didkit.progress import steps
from didkit.read.ees_answers import Indicator, Location, Meta, Page, Row, page_of
from didkit.read.ees_time import CODES
from didkit.read.grid import Texts
from didkit.read.sheet import About

__all__ = [
    "Moved",
    "about_of",
    "each_page",
    "packed",
    "part_of_path",
    "query_body",
    "query_columns",
    "refuse_twice",
]

_MOST_PAGES = 10_000
_MOST_ROWS = 5_000_000
# Level: columns of code and name, as in the open-data CSV.
_PLACES = {
    "NAT": ("country_code", "country_name"),
    "REG": ("region_code", "region_name"),
    "LA": ("new_la_code", "la_name"),
    "LAD": ("lad_code", "lad_name"),
}


class Moved(Exception):  # noqa: N818  (never leaves the room)
    """What is read changed while it was read."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(found)


# -- pages ---------------------------------------------------------------------------------------


def each_page(fetch: Callable[[int], Any], where: str) -> Iterator[Page]:
    """Read page after page, as many as the first says, and hold each against it."""
    first = page_of(fetch(1), where)
    if first.pages > _MOST_PAGES or first.total > _MOST_ROWS:
        raise ReadError(
            needed=f"at most {_MOST_PAGES:,} pages and {_MOST_ROWS:,} results",
            found=f"{first.pages:,} and {first.total:,}",
            where=where,
            todo="ask for less: one level, chosen filters",
        )
    seen = 0
    for number in steps(range(1, max(first.pages, 1) + 1), "reading pages", total=first.pages):
        page = first if number == 1 else page_of(fetch(number), where)
        if (page.pages, page.total) != (first.pages, first.total):
            raise Moved(
                f"{first.total:,} results on {first.pages:,} pages became {page.total:,} on "
                f"{page.pages:,}"
            )
        seen += len(page.results)
        if page.number != number or seen > page.total or (page.total and not page.results):
            raise _bad_paging(
                f"page {page.number} in place of {number}, with {len(page.results):,} results "
                f"({seen:,} of {page.total:,} so far)",
                where,
            )
        yield page
    if seen != first.total:
        raise _bad_paging(f"{seen:,} results of {first.total:,} announced", where)


def _bad_paging(found: str, where: str) -> ReadError:
    return ReadError(
        needed="pages that together hold every result once",
        found=found,
        where=where,
        todo="try later, or use the whole table: EES.csv_panel()",
    )


def refuse_twice(keys: Sequence[Any], where: str) -> None:
    """Refuse results that stand twice over the pages."""
    seen: set[Any] = set()
    twice: list[Any] = []
    for key in keys:
        if key in seen:
            twice.append(key)
        seen.add(key)
    if twice:
        raise ReadError(
            needed="every result once",
            found=f"{first_few(twice, 2)} that stand twice over the pages",
            where=where,
            todo="try later, or use the whole table: EES.csv_panel()",
        )


# -- queries ------------------------------------------------------------------------------------


def part_of_path(key: str) -> str:
    """Write an id as one part of a path."""
    if not key or key in (".", ".."):
        raise ReadError(
            needed="the id of a publication or data set",
            found=repr(key),
            where="EES",
            todo="take it from EES.publications() or EES.data_sets()",
        )
    return quote(key, safe="")


def packed(answer: Any) -> bytes:
    """Write an answer as bytes, the same for the same answer."""
    return json.dumps(answer, ensure_ascii=False, sort_keys=True).encode("utf-8")


def query_body(
    meta: Meta,
    indicators: tuple[Indicator, ...],
    filters: Mapping[str, str | Sequence[str]],
    levels: Sequence[str] | None,
    locations: Sequence[str] | None,
    periods: Sequence[object] | None,
) -> dict[str, Any]:
    """Write a query with ids: every part of it must hold."""
    parts: list[dict[str, Any]] = []
    codes = [meta.level(one) for one in levels or ()]
    if levels is not None:
        parts.append({"geographicLevels": {"in": codes}})
    for name, values in filters.items():
        column = meta.filter(name)
        labels = [values] if isinstance(values, str) else list(values)
        parts.append({"filters": {"in": [meta.option(column, one).id for one in labels]}})
    if locations is not None:
        if len(codes) != 1:
            raise ReadError(
                needed="one level of which the locations are",
                found=f"levels={levels!r}",
                where="EES.query",
                todo="say levels=['Local authority']",
            )
        ids = [meta.location(one, codes[0]).id for one in locations]
        parts.append({"locations": {"in": [{"level": codes[0], "id": one} for one in ids]}})
    if periods is not None:
        found = [meta.period(one) for one in periods]
        parts.append(
            {"timePeriods": {"in": [{"period": one.period, "code": one.code} for one in found]}}
        )
    body: dict[str, Any] = {"indicators": [one.id for one in indicators]}
    return {"criteria": {"and": parts}, **body} if parts else body


def query_columns(
    rows: Sequence[Row], meta: Meta, indicators: tuple[Indicator, ...], where: str
) -> dict[str, Texts]:
    """Write rows of ids as the columns of an open-data CSV."""
    places = {(one.level, one.id): one for one in meta.locations}
    options = {(one.id, each.id): each.label for one in meta.filters for each in one.options}
    called = {one.id: one.column for one in meta.filters}
    made: dict[str, list[str]] = {}

    def put(column: str, row: int, value: str) -> None:
        made.setdefault(column, [""] * len(rows))[row] = value

    for i, row in enumerate(rows):
        put("time_period", i, _time(row.period))
        put("time_identifier", i, CODES.get(row.code, row.code))
        put("geographic_level", i, meta.levels[row.level])
        for level, key in row.locations.items():
            place = places.get((level, key))
            if place is None:
                raise _not_in_meta(f"place {key!r} of level {level!r}", where)
            for column, text in _place(place):
                put(column, i, text)
        for key, option in row.filters.items():
            if (key, option) not in options:
                raise _not_in_meta(f"value {option!r} of filter {key!r}", where)
            put(called[key], i, options[key, option])
        for one in indicators:
            put(one.column, i, row.values[one.id].strip())
    return {column: np.array(texts, dtype=object) for column, texts in made.items()}


def _time(period: str) -> str:
    """Write 2020/2021 as 202021, as the CSV has it."""
    first, _, last = period.partition("/")
    return first + last[-2:]


def _place(one: Location) -> Iterator[tuple[str, str]]:
    lower = one.level.casefold()
    code, name = _PLACES.get(one.level, (f"{lower}_code", f"{lower}_name"))
    yield code, one.code
    yield name, one.label
    if one.level == "LA":
        yield "old_la_code", one.old_code


def _not_in_meta(found: str, where: str) -> ReadError:
    return ReadError(
        needed="ids that the metadata of this version explain",
        found=found,
        where=where,
        todo="try later, or use the whole table: EES.csv_panel()",
    )


def about_of(meta: Meta) -> dict[str, About]:
    """Write the metadata as those of an open-data CSV."""
    filters = {
        one.column: About(name=one.column, kind="filter", label=one.label) for one in meta.filters
    }
    return filters | {
        one.column: About(name=one.column, kind="indicator", label=one.label, unit=one.unit)
        for one in meta.indicators
    }
