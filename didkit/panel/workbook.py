"""A panel as a workbook: numbers are numbers, texts are texts, and nothing runs.

The package xlsxwriter makes the workbook with its heads; the rows are written here, since that
is several times as fast as cell by cell.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from didkit.errors import PanelError
from didkit.panel.frames import extra_missing
from didkit.panel.status import Status
from didkit.panel.tables import provenance, tidy

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["Layout", "workbook"]

Layout = Literal["long", "wide"]

_SHEET_ROWS = 1_048_575  # below the head
_LETTERS = 32_767  # in a cell
_AT_ONCE = 20_000  # rows
_CREATED = datetime(2000, 1, 1)
_YEAR = re.compile("[0-9]{4}")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_TABLES = {
    "metrics": "what each metric is, and how it was made",
    "units": "code, name and attributes of each unit",
    "sources": "what each metric was read from: release, table, file and the file's SHA-256",
    "log": "what was read, and what was not and why, in rows",
}
_COLUMNS = {
    "value": "the number as published or computed; blank where there is none",
    "status": "why the cell holds what it holds; see below",
    "lower, upper": "the true value lies between them, both included; blank where nothing is known",
    "release": "what the number was read from; see below, and the sheet sources",
}
_STATUSES = {
    Status.OBSERVED: "a value was published; a rate has bounds of half its last digit",
    Status.SUPPRESSED: "hidden to protect confidentiality; the bounds are what the rules imply",
    Status.ROUNDED: "published after rounding coarser than the unit, to 10 for example",
    Status.NOT_AVAILABLE: "not collected, not submitted, or withheld for quality",
    Status.NOT_APPLICABLE: "the cell has no meaning: the authority did not exist, for example",
    Status.LOW_RELIABILITY: "published, and marked as of low reliability",
    Status.ABSENT: "no source has a row; such cells are not listed",
}


def workbook(panel: Panel, where: str, layout: Layout) -> bytes:
    """Make the workbook of `Panel.to_excel`."""
    if layout not in ("long", "wide"):
        raise PanelError(
            needed="layout='long' or layout='wide'",
            found=repr(layout),
            where=where,
            todo="'long' has a row for every cell, 'wide' a sheet for every metric",
        )
    try:
        import xlsxwriter
    except ImportError as error:
        raise extra_missing("xlsxwriter", "excel", where, error) from error
    _refuse_too_many(panel, where, layout)
    sheets = _sheet_names(panel.metrics, ("read me", *_TABLES)) if layout == "wide" else {}
    values = (
        {name: _wide(panel, key) for key, name in sheets.items()}
        if layout == "wide"
        else {"cells": _long(panel)}
    )
    tables = {
        "read me": _read_me(panel, sheets),
        **values,
        "metrics": _metrics(panel, sheets),
        "units": panel.units.rename_axis("unit").reset_index(allow_duplicates=True),
        "sources": provenance(panel),
        "log": panel.log,
    }
    heads = io.BytesIO()
    with xlsxwriter.Workbook(heads, {"in_memory": True}) as book:
        book.set_properties({"created": _CREATED})
        style = book.add_format({"bold": True, "bottom": 1, "align": "left"})
        for name, frame in tables.items():
            sheet = book.add_worksheet(name)
            _head(sheet, frame, style, f"{where}, sheet {name!r}")
            sheet.freeze_panes(1, 2 if name in sheets.values() else 0)
            if len(frame) and name != "read me":
                sheet.autofilter(0, 0, len(frame), len(frame.columns) - 1)
    return _with_rows(heads, tables, where)


def _refuse_too_many(panel: Panel, where: str, layout: Layout) -> None:
    cells = sum(int((panel.cells(key).status != Status.ABSENT).sum()) for key in panel.metrics)
    sheets = {
        "cells": cells if layout == "long" else 0,
        "units": len(panel.unit_ids),
        "log": len(panel.log),
    }
    for name, n in sheets.items():
        if n > _SHEET_ROWS:
            raise PanelError(
                needed=f"at most {_SHEET_ROWS:,} rows, which is what a sheet holds",
                found=f"{n:,}",
                where=f"{where}, sheet {name!r}",
                todo="keep fewer metrics or periods (Panel.select), or use to_parquet or to_csv",
            )


# -- the tables ----------------------------------------------------------------------------------


def _years(panel: Panel) -> dict[str, int | str]:
    """Periods as a spreadsheet should have them: numbers where all are years of four digits."""
    numbers = all(_YEAR.fullmatch(one) for one in panel.periods)
    return {one: int(one) if numbers else one for one in panel.periods}


def _long(panel: Panel) -> pd.DataFrame:
    made = tidy(panel)
    return made.assign(period=made["period"].map(_years(panel)))


def _wide(panel: Panel, key: str) -> pd.DataFrame:
    made = panel.wide(key).set_axis(list(_years(panel).values()), axis=1)
    made.insert(0, "name", panel.units["name"].to_numpy(), allow_duplicates=True)
    made.insert(0, "unit", list(panel.unit_ids), allow_duplicates=True)
    return made


def _metrics(panel: Panel, sheets: Mapping[str, str]) -> pd.DataFrame:
    made = pd.DataFrame([asdict(metric) for metric in panel.metrics.values()])
    made = made.rename(columns={"name": "metric"})
    if sheets:
        made.insert(1, "sheet", list(sheets.values()))
    return made


def _sheet_names(metrics: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Name a sheet after each metric: 31 letters, none of those that Excel forbids, no two alike.

    Examples
    --------
    >>> _sheet_names(["cin", "Log", "a/b"], ["log"])
    {'cin': 'cin', 'Log': 'Log 2', 'a/b': 'a_b'}
    """
    used = {"history", *(one.casefold() for one in taken)}
    made: dict[str, str] = {}
    for metric in metrics:
        plain = re.sub(r"[\[\]:*?/\\\x00-\x1f]|^'|'$", "_", metric) or "metric"
        for n in count(1):
            end = f" {n}" if n > 1 else ""
            name = plain[: 31 - len(end)].rstrip("'") + end
            if name.casefold() not in used:
                break
        used.add(name.casefold())
        made[metric] = name
    return made


def _read_me(panel: Panel, sheets: Mapping[str, str]) -> pd.DataFrame:
    """Say what the sheets, columns and statuses are, and which releases were read."""
    rows: list[tuple[str, str, str]] = []
    if sheets:
        for key, name in sheets.items():
            metric = panel.metrics[key]
            told = ", ".join(one for one in (metric.label, metric.unit) if one)
            rows.append(("sheet", name, f"values by unit and period: {told}"))
    else:
        told = "a row for every unit, period and metric of which a source has a row"
        rows.append(("sheet", "cells", told))
    rows += [("sheet", name, told) for name, told in _TABLES.items()]
    if sheets:
        told = "there is no value; why, and its bounds, are in the long layout: to_excel(path)"
        rows.append(("cell", "blank", told))
    else:
        rows += [("column", name, told) for name, told in _COLUMNS.items()]
        rows += [("status", status.label, _STATUSES[status]) for status in Status]
    used = dict.fromkeys(
        (source.release, ", ".join(one for one in (source.table, source.file) if one))
        for key in panel.metrics
        for source in panel.sources[key]
    )
    rows += [("release", release, told) for release, told in used]
    return pd.DataFrame(rows, columns=["what", "name", "meaning"])


# -- the sheets ----------------------------------------------------------------------------------


def _head(sheet: Any, frame: pd.DataFrame, style: Any, where: str) -> None:
    """Write the names of the columns, and make the columns as wide as what they hold."""
    columns: list[Any] = list(frame.columns)
    for j, column in enumerate(columns):
        text = str(column)
        if text.startswith("<r>") and text.endswith("</r>"):
            raise PanelError(
                needed="names of columns that are plain text",
                found=repr(text[:60]),
                where=where,
                todo="rename the attribute: Excel would take it for markup",
            )
        if isinstance(column, int):
            refused = sheet.write_number(0, j, column, style)
        else:
            refused = sheet.write_string(0, j, text, style)
        if refused:
            raise _too_long(text, 0, j, where)
        values = frame.iloc[:, j]
        texts = [] if pd.api.types.is_numeric_dtype(values) else set(map(str, values.tolist()))
        sheet.set_column(j, j, min(60, max(9, *map(len, (text, *texts))) + 2))


def _with_rows(heads: io.BytesIO, tables: Mapping[str, pd.DataFrame], where: str) -> bytes:
    """Put the rows of every table below the head of its sheet."""
    parts = {f"xl/worksheets/sheet{i}.xml": one for i, one in enumerate(tables.items(), start=1)}
    made = io.BytesIO()
    with zipfile.ZipFile(heads) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            with new.open(info, "w") as file:
                if info.filename not in parts or not len(parts[info.filename][1]):
                    file.write(content)
                    continue
                name, frame = parts[info.filename]
                size = f'<dimension ref="A1:{_letters(len(frame.columns) - 1)}{len(frame) + 1}"/>'
                content = re.sub(b'<dimension ref="[A-Z0-9:]+"/>', size.encode("ascii"), content)
                before, end, after = content.rpartition(b"</sheetData>")
                file.write(before)
                for rows in _rows(frame, f"{where}, sheet {name!r}"):
                    file.write(rows.encode("utf-8"))
                file.write(end + after)
    return made.getvalue()


def _rows(frame: pd.DataFrame, where: str) -> Iterator[str]:
    """Write the rows as a sheet has them, some thousands at once."""
    known: dict[str, str] = {}
    for first in range(0, len(frame), _AT_ONCE):
        some = frame.iloc[first : first + _AT_ONCE]
        columns = [
            _column(some.iloc[:, j].tolist(), first + 2, j, known, where)
            for j in range(len(frame.columns))
        ]
        yield "".join(
            f'<row r="{i}">{"".join(cells)}</row>'
            for i, cells in enumerate(zip(*columns, strict=True), start=first + 2)
        )


def _column(values: list[Any], first: int, j: int, known: dict[str, str], where: str) -> list[str]:
    """Write finite numbers as numbers, all else as text, whatever it starts with."""
    letters = _letters(j)
    made: list[str] = []
    for i, value in enumerate(values, start=first):
        if value is None or value is pd.NA or value != value:
            made.append("")
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and math.isfinite(value):
            made.append(f'<c r="{letters}{i}"><v>{value}</v></c>')
            continue
        text = str(value)
        if text not in known:
            if len(text) > _LETTERS:
                raise _too_long(text, i - 1, j, where)
            known[text] = (
                f' t="inlineStr"><is><t xml:space="preserve">{_escaped(text)}</t></is></c>'
            )
        made.append(f'<c r="{letters}{i}"{known[text]}')
    return made


def _escaped(text: str) -> str:
    """Write text as a sheet has it: markup and control characters are no more than characters."""
    text = re.sub("(?=_x[0-9a-fA-F]{4}_)", "_x005F", text)
    text = _CONTROL.sub(lambda one: f"_x{ord(one[0]):04X}_", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _letters(j: int) -> str:
    """Letters of a column by its place from 0.

    Examples
    --------
    >>> _letters(0), _letters(25), _letters(26), _letters(16_383)
    ('A', 'Z', 'AA', 'XFD')
    """
    made = ""
    j += 1
    while j:
        j, place = divmod(j - 1, 26)
        made = chr(65 + place) + made
    return made


def _too_long(text: str, i: int, j: int, where: str) -> PanelError:
    return PanelError(
        needed=f"texts of at most {_LETTERS:,} letters, in at most 16,384 columns",
        found=f"{len(text):,} letters in row {i + 1}, column {j + 1}",
        where=where,
        todo="shorten it, or use to_parquet, which holds all of it",
    )
