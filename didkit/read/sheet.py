"""A table of Explore education statistics as text, with what its metadata say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from didkit.errors import ReadError, first_few
from didkit.read.files import digest, is_table, list_files, read_path
from didkit.read.grid import Texts, open_grid

__all__ = ["NUMBER", "STANDARD", "About", "Sheet", "nearest_of", "need", "open_sheet", "sheet_of"]

STANDARD = re.compile(
    r"time_period|time_identifier|geographic(?:al)?_level|(?:old_|new_)la_code|la_name"
    r"|(?:country|region|lad|ward|pcon|lsip|rsc_region_lead|opportunity_area|planning_area"
    r"|english_devolved_area|mayoral_combined_authority|local_enterprise_partnership|trust|sponsor"
    r"|provider|school|institution|police_force_area)_(?:code|name|id|urn|ukprn|laestab)",
    re.IGNORECASE,
)
"""Columns of place and time."""

NUMBER = re.compile(r"[-\N{MINUS SIGN}]?[0-9][0-9,]*(?:\.[0-9]+)?")
"""A number as it may be written, whatever the release allows."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What the metadata say of a column: filter or indicator, and for an indicator its unit."""

    name: str
    kind: str
    label: str = ""
    unit: str = ""
    grouping: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table as text, with what its metadata say.

    Parameters
    ----------
    name : str
        Of the file, for messages and provenance.
    columns : mapping of str to array of str
        By name, in the order of the file.
    about : mapping of str to About, optional
        Metadata by column; None where there are none.
    sha256 : str
        Of the bytes it was read from.
    note : str
        Anything else to remember of the source.
    """

    name: str
    columns: Mapping[str, Texts]
    about: Mapping[str, About] | None = None
    sha256: str = ""
    note: str = ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))


def open_sheet(path: str | PathLike[str], meta: str | PathLike[str] | None) -> Sheet:
    """Find a table and its metadata, and read both as text."""
    listing = list_files(path)
    tables = [one for one in listing.files if listing.kind == "file" or is_table(one.name)]
    if len(tables) != 1:
        raise ReadError(
            needed="one CSV table",
            found=first_few(one.name for one in tables) if tables else "none",
            where=listing.name,
            todo="name the file itself, or a zip with one table; join panels with |",
        )
    table = tables[0]
    wanted = Path(table.name).stem.casefold() + ".meta.csv"
    if meta is not None:
        beside, name = read_path(Path(meta)), Path(meta).name
    elif listing.kind == "file":
        near = [one for one in Path(path).parent.iterdir() if one.name.casefold() == wanted]
        beside, name = (read_path(near[0]), near[0].name) if near else (b"", "")
    else:
        packed = [one for one in listing.files if one.name.casefold() == wanted]
        beside, name = (packed[0].read(), packed[0].name) if packed else (b"", "")
    about = _about(beside, name) if name else None
    return sheet_of(table.read(), table.name, about=about)


def sheet_of(
    data: bytes, name: str, *, about: Mapping[str, About] | None = None, note: str = ""
) -> Sheet:
    """Read a table as text, and hold its metadata against its columns."""
    grid = open_grid(data, name)
    if grid.encoding != "utf-8-sig":
        raise ReadError(
            needed="text in UTF-8, as open data are published",
            found="bytes that are not UTF-8",
            where=name,
            todo="download it again: a spreadsheet may have saved it in another encoding",
        )
    columns = grid.columns(grid.header)
    absent = [one for one in about or () if one not in columns]
    if absent:
        raise ReadError(
            needed="metadata of this table",
            found=f"{first_few(map(repr, absent))} columns that the table does not have",
            where=name,
            todo="give the table's own .meta.csv with meta=",
        )
    return Sheet(name=name, columns=columns, about=about, sha256=digest(data), note=note)


def _about(data: bytes, name: str) -> dict[str, About]:
    """Read a metadata file: one row a column that is a filter or an indicator."""
    grid = open_grid(data, name)
    need(grid.header, ("col_name", "col_type"), name)
    columns = grid.columns(grid.header)
    blank = np.full(len(columns["col_name"]), "", dtype=object)
    made: dict[str, About] = {}
    for row, column in enumerate(columns["col_name"]):
        kind = columns["col_type"][row].casefold()
        if kind not in ("filter", "indicator"):
            raise ReadError(
                needed="Filter or Indicator in col_type",
                found=f"{columns['col_type'][row]!r} for {column!r}",
                where=name,
                todo="download the metadata again",
            )
        made[column] = About(
            name=column,
            kind=kind,
            label=columns.get("label", blank)[row],
            unit=columns.get("indicator_unit", blank)[row],
            grouping=columns.get("filter_grouping_column", blank)[row],
        )
    return made


def nearest_of(wanted: str, known: Sequence[str]) -> str:
    """Suggest names like one that is not there, whatever their case."""
    lower = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(wanted).casefold(), lower, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(lower[one]) for one in near)}?"
    return f"choose one of: {first_few(map(repr, known), 12)}"


def need(header: Sequence[str], names: Sequence[str], where: str) -> None:
    """Refuse a table without some columns, and suggest those that look like them."""
    for name in names:
        if name not in header:
            raise ReadError(
                needed=f"a column {name!r}",
                found=f"{first_few(map(repr, header), 12)} columns",
                where=where,
                todo=nearest_of(name, list(header)),
            )
