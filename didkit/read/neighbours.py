"""Statistical neighbours: the published workbook, or a tidy CSV of it."""

from __future__ import annotations

import re
import warnings
from os import PathLike

import pandas as pd

from didkit.design import Neighbours
from didkit.design.neighbours import CLOSENESS
from didkit.errors import DidkitWarning, ReadError, first_few
from didkit.panel import unit_ids
from didkit.read.files import as_path, digest, read_path
from didkit.read.grid import open_grid
from didkit.read.workbook import Row, sheets

__all__ = ["read_neighbours"]

_RANK = re.compile(r"SN([0-9]{1,2})")
# Authorities that a list must hold to be of a year: they did not exist before.
_GEOGRAPHIES = (
    ("2023", {"942", "943"}),
    ("2021", {"940", "941"}),
    ("2019", {"838", "839"}),
)
_TIDY = ("la_code", "rank", "sn_code", "closeness")
_COLUMNS = ["unit", "rank", "neighbour", "closeness", "unit_name", "neighbour_name"]


def read_neighbours(path: str | PathLike[str], *, release: str | None = None) -> Neighbours:
    r"""Read a list of statistical neighbours.

    Parameters
    ----------
    path : str or path
        The published workbook (.xlsx; needs the extra ``excel``), or a CSV with the columns
        ``la_code, rank, sn_code, closeness`` and, if there are names, ``la_name, sn_name``.
    release : str, optional
        What to call it. By default told from the newest authorities that have a list:
        ``"statistical neighbours (authorities of 2021)"``.

    Returns
    -------
    Neighbours
        By 3-digit code, rank 1 being the nearest; closeness in one spelling ("Very close").
        Former authorities that a workbook lists below the others are included; authorities that
        it lists without neighbours are not.

    Raises
    ------
    ReadError
        No such file, over a limit, not a workbook or CSV, a workbook with entities, columns
        missing, codes that are not 3 digits, ranks with a gap or twice, an unknown closeness, or
        one that only some have.
    DesignError
        An authority is its own neighbour, or a neighbour stands twice in one list.

    Warns
    -----
    DidkitWarning
        Some lists are shorter than the others: the file may be cut off.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> text = "la_code,rank,sn_code,closeness\n926,1,925,Very Close\n926,2,908,Close \n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "list.csv"
    ...     _ = file.write_text(text, encoding="utf-8")
    ...     neighbours = read_neighbours(file)
    >>> neighbours.of("926")
    ('925', '908')
    """
    place = as_path(path)
    data = read_path(place)
    workbook = data[:2] == b"PK"
    table = _from_workbook(data, place.name) if workbook else _from_csv(data, place.name)
    table = _checked(table, place.name)
    _warn_of_short(table, place.name)
    units = set(table["unit"])
    year = next((year for year, new in _GEOGRAPHIES if new <= units), None)
    told = "statistical neighbours" + (f" (authorities of {year})" if year else "")
    return Neighbours(
        table, release=told if release is None else release, file=place.name, sha256=digest(data)
    )


def _warn_of_short(table: pd.DataFrame, name: str) -> None:
    """Warn where lists differ in length: published ones never do."""
    each = table.groupby("unit").size()
    short = each.index[each < each.max()]
    if len(short):
        warnings.warn(
            f"{name}: {first_few(short)} authorities have fewer neighbours than the "
            f"{each.max()} of others. The file may be cut off; the lists are kept as they are.",
            DidkitWarning,
            stacklevel=3,
        )


def _from_csv(data: bytes, name: str) -> pd.DataFrame:
    grid = open_grid(data, name, published=True)
    missing = [column for column in _TIDY if column not in grid.header]
    if missing or grid.encoding != "utf-8-sig":
        raise ReadError(
            needed=f"a CSV in UTF-8 with the columns {', '.join(_TIDY)}",
            found=f"{first_few(grid.header, 8)} columns, decoded as {grid.encoding}; "
            f"missing: {first_few(missing)}",
            where=name,
            todo="name the columns so, or read the published workbook",
        )
    named = {"la_name": "unit_name", "sn_name": "neighbour_name"}
    columns = grid.columns([*_TIDY, *(column for column in named if column in grid.header)])
    table = pd.DataFrame(
        {
            "unit": columns["la_code"],
            "rank": columns["rank"],
            "neighbour": columns["sn_code"],
            "closeness": columns["closeness"],
        }
    )
    for column, called in named.items():
        table[called] = columns.get(column, "")
    return table


def _from_workbook(data: bytes, name: str) -> pd.DataFrame:
    found = {
        title: (start, rows)
        for title, rows in sheets(data, name).items()
        if (start := _header(rows)) is not None
    }
    if len(found) != 1:
        raise ReadError(
            needed="one sheet with the columns 'LA num', 'SN1', 'SNP', 'SN2', 'SNP', …",
            found=f"{first_few(found)} sheets with them",
            where=name,
            todo="use the workbook of statistical neighbours as published",
        )
    ((title, (start, rows)),) = found.items()
    where = f"{name}, sheet {title!r}"
    header = [_text(cell) for cell in rows[start]]
    code, called = header.index("LA num"), header.index("LA Name")
    ranks = {int(m[1]): i for i, one in enumerate(header) if (m := _RANK.fullmatch(one))}
    if any(header[i + 1 : i + 2] != ["SNP"] for i in ranks.values()):
        raise ReadError(
            needed="a column 'SNP' with the closeness to the right of each 'SN'",
            found=f"the header {first_few(header, 30)}",
            where=where,
            todo="use the workbook as published",
        )
    records: list[tuple[str, str, str, str, str]] = []
    names: dict[str, str] = {}
    stray: list[str] = []
    for line, raw in enumerate(rows[start + 1 :], start=start + 2):
        row = [_text(cell) for cell in (*raw, *(None,) * (len(header) - len(raw)))]
        pairs = {rank: (row[i], row[i + 1]) for rank, i in ranks.items()}
        listed = {rank: pair for rank, pair in pairs.items() if pair[0] not in ("", "-")}
        half = [rank for rank, pair in pairs.items() if rank not in listed and len(pair[1]) > 1]
        if (listed and not row[code]) or half:
            stray.append(f"row {line}")
        if not row[code]:
            continue
        names[row[code]] = row[called]
        records += [(row[code], str(rank), *pair, row[called]) for rank, pair in listed.items()]
    if stray:
        raise ReadError(
            needed="rows with a code, and a neighbour beside each closeness",
            found=f"{first_few(stray)} without",
            where=where,
            todo="use the workbook as published",
        )
    table = pd.DataFrame(records, columns=_COLUMNS[:5], dtype=object)
    table["neighbour_name"] = table["neighbour"].map(names).fillna("")
    return table


def _header(rows: list[Row]) -> int | None:
    """Position of the header: other rows stand above it, and names stand in it twice."""
    for i, row in enumerate(rows[:20]):
        cells = {_text(cell) for cell in row}
        if {"LA num", "LA Name", "SN1"} <= cells:
            return i
    return None


def _text(cell: object) -> str:
    """Write a cell as text: blank for an empty one, 926 for 926.0."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Hold codes, ranks and labels against what a list must be."""
    for column, called in (("unit", "the authorities"), ("neighbour", "the neighbours")):
        table[column] = unit_ids(
            table[column], identity="la_code", where=f"{name}, codes of {called}"
        )
    rank = table["rank"].astype(str)
    wrong = ~rank.str.fullmatch("[0-9]{1,3}").to_numpy(dtype=bool)
    table["rank"] = rank.where(~wrong, "0").astype("int64")
    each = table.groupby("unit")["rank"]
    gaps = (each.nunique() != each.size()) | (each.max() != each.size()) | (each.min() != 1)
    if wrong.any() or gaps.any():
        raise ReadError(
            needed="ranks 1, 2, 3, … once each for every authority",
            found=f"otherwise for {first_few(gaps.index[gaps])} authorities",
            where=name,
            todo="mend the ranks, or use the list as published",
        )
    closeness = table["closeness"].astype(str).str.capitalize()
    blank = (closeness == "").to_numpy(dtype=bool)
    if blank.any() and not blank.all():
        raise ReadError(
            needed="a closeness for every neighbour, or for none",
            found=f"none for the neighbours of {first_few(dict.fromkeys(table['unit'][blank]))}",
            where=name,
            todo="use the list as published",
        )
    unknown = sorted(set(closeness) - {*CLOSENESS, ""})
    if unknown:
        raise ReadError(
            needed=f"closeness as one of: {', '.join(CLOSENESS)}",
            found=first_few(map(repr, unknown)),
            where=name,
            todo="use the list as published",
        )
    table["closeness"] = closeness
    made = table[_COLUMNS].sort_values(["unit", "rank"], kind="stable", ignore_index=True)
    return made.astype({column: object for column in _COLUMNS if column != "rank"})
