"""Answers of the API of Explore education statistics: every field that is used is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from didkit.errors import ReadError, first_few, is_whole
from didkit.read.http import plain
from didkit.read.sheet import nearest_of

__all__ = [
    "DataSet",
    "Filter",
    "Indicator",
    "Location",
    "Meta",
    "Option",
    "Page",
    "Period",
    "Publication",
    "Row",
    "data_set_of",
    "meta_of",
    "page_of",
    "publication_of",
    "row_of",
]

Json = Mapping[str, Any]
Named = TypeVar("Named", "Indicator", "Filter", "Option")


@dataclass(frozen=True)
class Publication:
    """A series of releases on one topic."""

    id: str
    title: str
    slug: str = ""
    summary: str = ""


@dataclass(frozen=True)
class DataSet:
    """A table that the API serves, and its latest version."""

    id: str
    title: str
    version: str
    rows: int
    first: str
    last: str
    levels: tuple[str, ...]
    status: str = ""
    summary: str = ""


@dataclass(frozen=True)
class Indicator:
    """A column with numbers."""

    id: str
    column: str
    label: str
    unit: str = ""
    decimals: int | None = None


@dataclass(frozen=True)
class Option:
    """A value of a filter."""

    id: str
    label: str


@dataclass(frozen=True)
class Filter:
    """A column that tells kinds of rows apart, and its values."""

    id: str
    column: str
    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Location:
    """A place: its level, id and codes (``old_code`` is the 3-digit one of an authority)."""

    level: str
    id: str
    label: str
    code: str = ""
    old_code: str = ""


@dataclass(frozen=True)
class Period:
    """A period: ``2022`` with code RY, or ``2020/2021`` with code AY."""

    period: str
    code: str
    label: str = ""


@dataclass(frozen=True)
class Meta:
    """What a version of a data set holds, by label and by id."""

    data_set: str
    version: str
    filters: tuple[Filter, ...]
    indicators: tuple[Indicator, ...]
    levels: Mapping[str, str]
    locations: tuple[Location, ...]
    periods: tuple[Period, ...]

    def indicator(self, name: str) -> Indicator:
        """Find an indicator by column, label or id, or refuse and suggest."""
        return _found(self.indicators, name, "an indicator", f"data set {self.data_set}")

    def filter(self, name: str) -> Filter:
        """Find a filter by column, label or id, or refuse and suggest."""
        return _found(self.filters, name, "a filter", f"data set {self.data_set}")

    def option(self, filter_: Filter, label: str) -> Option:
        """Find a value of a filter by label or id, or refuse and suggest."""
        return _found(filter_.options, label, f"a value of {filter_.column!r}", filter_.label)

    def level(self, name: str) -> str:
        """Find the code of a geographic level by label or code, or refuse and suggest."""
        for code, label in self.levels.items():
            if name.casefold() in (code.casefold(), label.casefold()):
                return code
        raise _unknown(
            name, list(self.levels.values()), "a geographic level", f"data set {self.data_set}"
        )

    def period(self, raw: object) -> Period:
        """Find a period by its label (2021/22, 2021-22, 202122 or 2022), or refuse and suggest."""
        asked = "".join(str(raw).split()).casefold()
        fits = [one for one in self.periods if asked in _spellings(one)]
        if len(fits) == 1:
            return fits[0]
        shown = [one.label or one.period for one in self.periods]
        raise ReadError(
            needed="one period of the data set",
            found=repr(raw) if not fits else f"{raw!r}, which fits {first_few(shown)}",
            where=f"data set {self.data_set}, periods=",
            todo=nearest_of(str(raw), shown),
        )

    def location(self, raw: str, level: str) -> Location:
        """Find a place of a level by code or label, or refuse and suggest."""
        here = [one for one in self.locations if one.level == level]
        for one in here:
            if raw and raw in (one.old_code, one.code, one.id, one.label):
                return one
        names = [one.label for one in here] + [one.old_code or one.code for one in here]
        raise _unknown(raw, names, "a place at this level", f"data set {self.data_set}")


@dataclass(frozen=True)
class Row:
    """One row of the answer to a query: ids of places, filters and indicators, as sent."""

    period: str
    code: str
    level: str
    locations: Mapping[str, str]
    filters: Mapping[str, str]
    values: Mapping[str, str]

    @property
    def key(self) -> tuple[object, ...]:
        """What no other row may share."""
        places, kinds = sorted(self.locations.items()), sorted(self.filters.items())
        return (self.period, self.code, self.level, tuple(places), tuple(kinds))


@dataclass(frozen=True)
class Page:
    """One page of results, and what it says of all of them."""

    number: int
    pages: int
    total: int
    results: tuple[Any, ...]
    warnings: str = ""


def _spellings(one: Period) -> set[str]:
    """Ways to write a period: 2020/2021, 2020/21, 2020-21, 202021; with its code, its label."""
    first, _, last = one.period.partition("/")
    made = {one.period, one.label.casefold().replace(" ", "")}
    if last:
        made |= {f"{first}{sign}{last[-2:]}" for sign in ("/", "-", "–", "")}
        made |= {f"{first}-{last}"}
    return made | {f"{text}|{one.code.casefold()}" for text in set(made)}


def _found(known: tuple[Named, ...], name: str, what: str, where: str) -> Named:
    for take in ("column", "label", "id"):
        fits = [one for one in known if getattr(one, take, None) == name]
        if len(fits) == 1:
            return fits[0]
    labels = [getattr(one, "column", one.label) for one in known] + [one.label for one in known]
    raise _unknown(name, list(dict.fromkeys(labels)), what, where)


def _unknown(name: object, known: list[str], what: str, where: str) -> ReadError:
    return ReadError(
        needed=f"{what} of the data set",
        found=repr(name),
        where=where,
        todo=nearest_of(str(name), known),
    )


# -- checked, field by field ---------------------------------------------------------------------


def _wrong(needed: str, found: object, where: str) -> ReadError:
    return ReadError(
        needed=needed,
        found=f"{type(found).__name__}: {plain(repr(found), 80)}",
        where=where,
        todo="the service answers otherwise than it is documented: try later, or download the "
        "CSV from its page and use didkit.read_ees_csv",
    )


def _object(raw: Any, where: str) -> Json:
    if not isinstance(raw, dict):
        raise _wrong("an object", raw, where)
    return raw


def _list(raw: Json, key: str, where: str) -> list[Any]:
    found = raw.get(key)
    if not isinstance(found, list):
        raise _wrong(f"a list as {key!r}", found, where)
    return found


def _text(raw: Json, key: str, where: str, *, optional: bool = False) -> str:
    found = raw.get(key)
    if optional and found is None:
        return ""
    if not isinstance(found, str) or (not found and not optional):
        raise _wrong(f"text as {key!r}", found, where)
    return found


def _whole(raw: Json, key: str, where: str) -> int:
    found = raw.get(key)
    if not is_whole(found) or not isinstance(found, int) or found < 0:
        raise _wrong(f"a whole number, 0 or more, as {key!r}", found, where)
    return found


def _texts(raw: Json, key: str, where: str) -> dict[str, str]:
    found = _object(raw.get(key), f"{where}, {key!r}")
    for name, one in found.items():
        if not isinstance(one, str):
            raise _wrong(f"text as {key!r}, {name!r}", one, where)
    return dict(found)


def page_of(raw: Any, where: str) -> Page:
    """Check a page of results."""
    answer = _object(raw, where)
    paging = _object(answer.get("paging"), f"{where}, 'paging'")
    warnings = answer.get("warnings") or []
    if not isinstance(warnings, list):
        raise _wrong("a list as 'warnings'", warnings, where)
    said = [str(one.get("message", "")) for one in warnings if isinstance(one, dict)]
    return Page(
        _whole(paging, "page", where),
        _whole(paging, "totalPages", where),
        _whole(paging, "totalResults", where),
        tuple(_list(answer, "results", where)),
        plain("; ".join(said)),
    )


def publication_of(raw: Any, where: str) -> Publication:
    """Check a publication."""
    one = _object(raw, where)
    return Publication(
        _text(one, "id", where),
        _text(one, "title", where),
        _text(one, "slug", where, optional=True),
        _text(one, "summary", where, optional=True),
    )


def data_set_of(raw: Any, where: str) -> DataSet:
    """Check the summary of a data set."""
    one = _object(raw, where)
    latest = _object(one.get("latestVersion"), f"{where}, 'latestVersion'")
    span = _object(latest.get("timePeriods"), f"{where}, 'timePeriods'")
    levels = _list(latest, "geographicLevels", where)
    for level in levels:
        if not isinstance(level, str):
            raise _wrong("texts as 'geographicLevels'", level, where)
    return DataSet(
        _text(one, "id", where),
        _text(one, "title", where),
        _text(latest, "version", where),
        _whole(latest, "totalResults", where),
        _text(span, "start", where),
        _text(span, "end", where),
        tuple(levels),
        _text(one, "status", where, optional=True),
        _text(one, "summary", where, optional=True),
    )


def meta_of(raw: Any, data_set: str, version: str, where: str) -> Meta:
    """Check the metadata of a version."""
    answer = _object(raw, where)
    filters, indicators, locations = [], [], []
    for item in _list(answer, "filters", where):
        one = _object(item, f"{where}, 'filters'")
        options = tuple(
            Option(_text(_object(each, where), "id", where), _text(each, "label", where))
            for each in _list(one, "options", f"{where}, 'filters'")
        )
        ids = _text(one, "id", where), _text(one, "column", where), _text(one, "label", where)
        filters.append(Filter(*ids, options))
    for item in _list(answer, "indicators", where):
        one = _object(item, f"{where}, 'indicators'")
        shown = one.get("decimalPlaces")
        indicators.append(
            Indicator(
                _text(one, "id", where),
                _text(one, "column", where),
                _text(one, "label", where),
                _text(one, "unit", where, optional=True),
                None if shown is None else _whole(one, "decimalPlaces", where),
            )
        )
    for item in _list(answer, "locations", where):
        group = _object(item, f"{where}, 'locations'")
        level = _text(_object(group.get("level"), f"{where}, 'level'"), "code", where)
        for each in _list(group, "options", f"{where}, 'locations'"):
            one = _object(each, f"{where}, 'locations'")
            locations.append(
                Location(
                    level,
                    _text(one, "id", where),
                    _text(one, "label", where),
                    _text(one, "code", where, optional=True),
                    _text(one, "oldCode", where, optional=True),
                )
            )
    levels = {
        _text(_object(one, where), "code", where): _text(one, "label", where)
        for one in _list(answer, "geographicLevels", where)
    }
    periods = tuple(
        Period(
            _text(_object(one, where), "period", where),
            _text(one, "code", where),
            _text(one, "label", where, optional=True),
        )
        for one in _list(answer, "timePeriods", where)
    )
    made = Meta(
        data_set, version, tuple(filters), tuple(indicators), levels, tuple(locations), periods
    )
    for what, keys in (
        ("indicators", [one.id for one in indicators]),
        ("filters", [one.id for one in filters]),
        ("filter options", [f"{one.id} {each.id}" for one in filters for each in one.options]),
        ("places", [f"{one.level} {one.id}" for one in locations]),
    ):
        if len(set(keys)) < len(keys):
            twice = next(key for i, key in enumerate(keys) if key in keys[:i])
            raise _wrong(f"{what} with ids of their own", twice, where)
    return made


def row_of(raw: Any, meta: Meta, indicators: tuple[Indicator, ...], where: str) -> Row:
    """Check a row of results, and that every id in it is in the metadata."""
    one = _object(raw, where)
    when = _object(one.get("timePeriod"), f"{where}, 'timePeriod'")
    row = Row(
        _text(when, "period", where),
        _text(when, "code", where),
        _text(one, "geographicLevel", where),
        _texts(one, "locations", where),
        _texts(one, "filters", where),
        _texts(one, "values", where),
    )
    missing = [each.column for each in indicators if each.id not in row.values]
    if missing:
        raise _wrong(f"a value of {missing[0]!r} in every row", sorted(row.values), where)
    if row.level not in meta.levels:
        raise _wrong("a geographic level of the metadata", row.level, where)
    return row
