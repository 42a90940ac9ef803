"""Which rows of a table are read: level, filters, units; and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from didkit.errors import ReadError, first_few
from didkit.read.grid import Texts
from didkit.read.sheet import NUMBER, STANDARD, Sheet, nearest_of

__all__ = ["Kept", "keep_filters", "keep_level", "leave_out"]

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


def keep_level(kept: Kept, levels: Texts, level: str, where: str) -> None:
    """Keep the rows of one geographic level, whatever its case."""
    there = {one: one.casefold() for one in dict.fromkeys(levels)}
    if level.casefold() not in there.values():
        raise ReadError(
            needed="a geographic level of the table",
            found=repr(level),
            where=where,
            todo=nearest_of(level, list(there)),
        )
    for one, lower in there.items():
        if lower != level.casefold():
            kept.drop(levels == one, lower)


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
        here = dict.fromkeys(values[kept.keep])
        if not all(one in placeholders or NUMBER.fullmatch(one) for one in here):
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
