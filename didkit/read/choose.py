"""What of a table is read: indicators, level, filters, units; and why other rows are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from didkit.errors import ReadError, first_few
from didkit.panel import METRICS, Metric
from didkit.read.grid import Texts
from didkit.read.sheet import NUMBER, STANDARD, About, Sheet, nearest_of

__all__ = [
    "Kept",
    "Metrics",
    "choose_metrics",
    "keep_filters",
    "keep_level",
    "leave_out",
    "level_column",
]

Metrics = str | Sequence[str] | Mapping[str, Metric | str]

_LEVEL_COLUMNS = ("geographic_level", "geographical_level")
# What people call levels, by what the Department calls them.
_LEVELS = {
    "Local authority": ("la", "las", "authority", "authorities", "local authorities", "council"),
    "Local authority district": ("lad", "lads", "district", "districts"),
    "Regional": ("region", "regions"),
    "National": ("england", "country", "nation"),
}
_CODED = ("local authority", "regional", "national")  # levels whose column of codes is known

# Seen in place of numbers in some year: a column of these and of numbers is no filter.
_PLACEHOLDERS = frozenset(
    ("c", "z", "x", "u", "low", "k", ":", "..", ".", "~", "-", "*", "A", "P", "#VALUE!", "")
)


class Kept:
    """Which rows are still read, and why the others are not."""

    def __init__(self, rows: int) -> None:
        self.keep = np.ones(rows, dtype=bool)
        self.log: list[tuple[str, int]] = [("rows read", rows)]

    def drop(self, mask: np.ndarray, reason: str) -> None:
        """Read these rows no more, and count those that were still read."""
        n = int((self.keep & mask).sum())
        if n:
            self.log.append((f"rows not used: {reason}", n))
            self.keep = self.keep & ~mask


def level_column(sheet: Sheet) -> str:
    """Find the column of the geographic level; where another holds levels, say so."""
    for one in _LEVEL_COLUMNS:
        if one in sheet.columns:
            return one
    levels = {one.casefold() for one in _LEVELS}
    alike = [
        column
        for column, values in sheet.columns.items()
        if not levels.isdisjoint(one.casefold() for one in dict.fromkeys(values))
    ]
    raise ReadError(
        needed=f"a column {_LEVEL_COLUMNS[0]!r}",
        found=f"{first_few(map(repr, sheet.columns), 12)} columns",
        where=sheet.name,
        todo=f"rename {alike[0]!r} to {_LEVEL_COLUMNS[0]}"
        if alike
        else nearest_of(_LEVEL_COLUMNS[0], list(sheet.columns)),
    )


def keep_level(kept: Kept, levels: Texts, level: str, where: str) -> None:
    """Keep the rows of one geographic level, whatever its case."""
    there = {one: str(one).casefold() for one in dict.fromkeys(levels)}
    asked = str(level).casefold()
    if asked not in there.values():
        has = list(there)
        if asked == "local authority":
            raise ReadError(
                needed="rows of local authorities",
                found=f"no local-authority rows: this file has {', '.join(has)}",
                where=where,
                todo="say " + " or ".join(_told_level(one) for one in reversed(has)),
            )
        meant = [one for one in has if asked in _LEVELS.get(one.capitalize(), ())]
        raise ReadError(
            needed="a geographic level of the file",
            found=f"level={level!r}; the file has: {', '.join(has)}",
            where=where,
            todo=f"did you mean {meant[0]!r}?" if meant else nearest_of(str(level), has),
        )
    for one, lower in there.items():
        if lower != asked:
            kept.drop(levels == one, lower)


def _told_level(level: str) -> str:
    return f"level={level!r}" + ("" if level.casefold() in _CODED else " with unit='…'")


def _indicators(sheet: Sheet) -> list[str]:
    """Columns of indicators: from the metadata, else those of numbers."""
    about = sheet.about
    if about is not None:
        return [one for one in about if about[one].kind == "indicator"]
    return [
        column
        for column, values in sheet.columns.items()
        if not STANDARD.fullmatch(column) and _numeric(values, _PLACEHOLDERS)
    ]


def _numeric(values: Texts, placeholders: frozenset[str]) -> bool:
    return all(one in placeholders or NUMBER.fullmatch(one) for one in dict.fromkeys(values))


def choose_metrics(sheet: Sheet, metrics: Metrics | None) -> dict[str, Metric]:
    """Find the metric of each column that was asked for."""
    asked = _asked(sheet, metrics)
    about = sheet.about or {}
    may = [
        one
        for one in sheet.columns
        if not STANDARD.fullmatch(one) and not (one in about and about[one].kind == "filter")
    ]
    made: dict[str, Metric] = {}
    for column, what in asked.items():
        if column not in may:
            shown = repr(column.name if isinstance(column, Metric) else column)
            raise ReadError(
                needed="columns of indicators as metrics",
                found=f"{shown}, which is "
                + ("a filter, a place or a time" if column in sheet.columns else "not a column"),
                where=f"{sheet.name}, metrics=",
                todo=_meant(column, what, may, about),
            )
        told = about.get(column, About(name=column, kind="indicator"))
        made[column] = _metric(what, told, sheet.name)
    names = [metric.name for metric in made.values()]
    if len(set(names)) != len(names):
        raise ReadError(
            needed="metrics with a name of their own, each from one column",
            found=first_few(names),
            where="metrics=",
            todo="name the columns of indicators, each with a name of its own",
        )
    return made


def _asked(sheet: Sheet, metrics: Metrics | None) -> dict[str, Metric | str]:
    """Column of each metric and what it is to be; where none is named, list the indicators."""
    given: object = metrics
    if isinstance(metrics, str):
        return {metrics: metrics}
    if isinstance(metrics, Mapping) and metrics:
        return dict(metrics)
    if isinstance(given, Iterable) and not isinstance(given, Mapping):
        columns = list(given)
        if columns and all(isinstance(one, str) for one in columns):
            return {one: one for one in columns}
        given = columns or None
    about = sheet.about or {}
    labels = {one: about[one].label for one in about if about[one].label}
    shown = [one + (f" ({labels[one]})" if one in labels else "") for one in _indicators(sheet)]
    raise ReadError(
        needed="at least one metric: the columns of the indicators to read",
        found=f"metrics={given!r}" if given else "none",
        where=f"{sheet.name}, metrics=",
        todo=f"name the columns, or map each to a metric; there are {first_few(shown, 60)}",
    )


def _meant(column: object, what: object, may: list[str], about: Mapping[str, About]) -> str:
    """Say which column was meant by a label, a name like it, or a mapping the wrong way round."""
    if isinstance(what, str) and what in may and what != column:
        name = "Metric(…)" if isinstance(column, Metric) else repr(column)
        return f"the column stands left, the metric right: metrics={{{what!r}: {name}}}"
    labels = {about[one].label.casefold(): one for one in may if one in about}
    named = labels.get(str(column).strip().casefold())
    if named is not None:
        return f"that is its label; say the column: {named!r}"
    return nearest_of(str(column), may)


def _metric(what: Metric | str, told: About, where: str) -> Metric:
    """Take a metric as given, from the registry, or made of the metadata."""
    percent = told.unit.strip() == "%"
    if isinstance(what, Metric):
        metric = what
    elif what in METRICS:
        metric = METRICS[what]
    else:
        unit = told.unit.strip()
        metric = Metric(
            name=what,
            label=told.label or what,
            kind="percent" if percent else "value",
            unit=unit,
        )
    if percent and metric.kind not in ("percent", "value"):
        raise ReadError(
            needed=f"a metric that is a percentage, since the metadata give {told.name!r} in %",
            found=f"{metric.name!r}, a {metric.kind}",
            where=f"{where}, metrics=",
            todo="check that it is the column that you mean, or give Metric(kind='percent')",
        )
    return metric


def _filter_columns(
    kept: Kept, sheet: Sheet, chosen: set[str], symbols: Iterable[str]
) -> list[str]:
    """Columns that tell kinds of rows apart: from the metadata, else from what is in them."""
    about = sheet.about or {}
    groups = {one.grouping for one in about.values() if one.grouping}
    placeholders = _PLACEHOLDERS | set(symbols)
    found: list[str] = []
    for column, values in sheet.columns.items():
        if STANDARD.fullmatch(column) or column in chosen or column in groups:
            continue
        if column in about:
            if about[column].kind == "filter":
                found.append(column)
            continue
        if not _numeric(values[kept.keep], placeholders):
            found.append(column)
    return found


def keep_filters(
    kept: Kept,
    sheet: Sheet,
    filters: dict[str, str],
    chosen: set[str],
    symbols: Iterable[str],
) -> str:
    """Keep the rows of the filters' chosen values; say in words what was chosen."""
    columns = _filter_columns(kept, sheet, chosen, symbols)
    may = [one for one in sheet.columns if not STANDARD.fullmatch(one) and one not in chosen]
    for column in filters:
        if column not in may:
            raise ReadError(
                needed="a filter column of the table",
                found=repr(column),
                where=f"{sheet.name}, filters=",
                todo=nearest_of(column, columns or may),
            )
        if not isinstance(filters[column], str):
            raise ReadError(
                needed="one value per filter, as the text that stands in the table",
                found=f"{column}: {filters[column]!r}",
                where=f"{sheet.name}, filters=",
                todo="one value per filter; for two of them read twice, under two names, and "
                "join with |",
            )
    there = {
        one: list(dict.fromkeys(sheet.columns[one][kept.keep]))
        for one in dict.fromkeys([*columns, *filters])
    }
    open_ones = {one: there[one] for one in columns if len(there[one]) > 1 and one not in filters}
    if open_ones:
        totals = {one: "Total" if "Total" in has else "…" for one, has in open_ones.items()}
        raise ReadError(
            needed="a choice for every filter with several values",
            found="; ".join(
                f"{one}: {first_few(map(repr, has), 8)}" for one, has in open_ones.items()
            ),
            where=f"{sheet.name}, filters=",
            todo=f"say filters={ {**filters, **totals}!r}",
        )
    for column, value in filters.items():
        if value not in there[column]:
            raise ReadError(
                needed=f"a value of {column!r} at this level",
                found=repr(value),
                where=f"{sheet.name}, filters=",
                todo=nearest_of(value, there[column]),
            )
        for other in there[column]:
            if other != value:
                kept.drop(sheet.columns[column] == other, f"{column} = {other}")
        if not kept.keep.any():
            raise ReadError(
                needed="rows with every filter's chosen value",
                found=f"none left at {column!r}: {value!r}",
                where=f"{sheet.name}, filters=",
                todo="choose values that stand together in the table",
            )
    only = {one: has[0] for one, has in there.items() if one not in filters}
    return "; ".join(f"{one} = {value}" for one, value in {**filters, **only}.items())


def leave_out(kept: Kept, codes: Texts, names: Texts, without: Sequence[str], where: str) -> None:
    """Leave units out by code or name, each of which must be there."""
    for one in [without] if isinstance(without, str) else without:
        mask = (codes == one) | (names == one)
        if not (mask & kept.keep).any():
            here = list(dict.fromkeys([*codes[kept.keep], *names[kept.keep]]))
            raise ReadError(
                needed="units of the table, by code or name, to leave out",
                found=repr(one),
                where=f"{where}, without=",
                todo=nearest_of(str(one), here),
            )
        kept.drop(mask, f"{one}, left out by name")
