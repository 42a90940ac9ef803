"""The Local Authority Interactive Tool: one long parquet file of hundreds of measures."""

from __future__ import annotations

import io
import re
from collections import Counter
from types import ModuleType
from typing import Any

import numpy as np

from didkit.errors import PanelError, ReadError, first_few
from didkit.panel import METRICS, Calendar, Cells, Source, Status, unit_id, unit_ids
from didkit.read import limits
from didkit.read.files import digest
from didkit.read.parts import Part, Piece
from didkit.read.releases import LAIT_MEASURES, RELEASES
from didkit.read.rules import Column

__all__ = ["LAIT", "read_lait"]

LAIT = "lait"
_COLUMNS = ("Short Desc", "Years", "LA and Regions", "Values", "LA Number", "Region")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?(?:[Ee]-[0-9]{1,2})?")
_NEGATIVE = re.compile(r"-[0-9.]+(?:[Ee]-?[0-9]+)?")
_NATION, _REGIONS = "970", frozenset(map(str, range(980, 991)))
# Spreadsheets write 313.4 as 313.39999999999998.
_NOISE = 1e-11


def read_lait(data: bytes, name: str) -> Part:
    """Read the measures of children's social care from LAIT's parquet file.

    One dash stands for everything that has no number, hidden or missing: such a cell is not
    available, without bounds. Rates are as LAIT has them, over populations of more than one
    vintage; `Panel.denominator_breaks` finds where they change.

    Raises
    ------
    ReadError
        If pyarrow is not installed, the file is damaged or too large, columns are missing, a
        number is malformed, or a cell stands twice.
    """
    frame = _frame(data, name)
    known = {column.name: column for column in LAIT_MEASURES}
    total, measures = frame
    names = measures["Short Desc"]
    codes = np.array([unit_id(one) for one in measures["LA Number"]], dtype=object)
    own = np.array([one != _NATION and one not in _REGIONS for one in codes])
    used = np.array([one in known for one in names]) & own
    unit_ids(dict.fromkeys(codes[used]), identity="la_code", where=f"{name}, column 'LA Number'")
    years = _years(measures["Years"][used], name)
    keys = Counter(zip(names[used], codes[used], years.tolist(), strict=True))
    twice = [" ".join(map(str, key)) for key, n in keys.items() if n > 1]
    if twice:
        raise ReadError(
            needed="one row for each measure, authority and year",
            found=f"{first_few(twice)} more than once",
            where=name,
            todo="read the file as published",
        )
    units: dict[str, tuple[int, str, str]] = {}
    for code, called, region in zip(
        codes[used],
        measures["LA and Regions"][used],
        measures["Region"][used],
        strict=True,
    ):
        units.setdefault(code, (int(years.max()), str(called).strip(), str(region).strip()))
    ids = list(units)
    place = {code: i for i, code in enumerate(ids)}
    pieces: list[tuple[str, Piece]] = []
    statuses: Counter[str] = Counter()
    text, short = measures["Values"][used], names[used]
    for column in LAIT_MEASURES:
        mine = short == column.name
        if not mine.any():
            continue
        at, when = codes[used][mine], years[mine]
        cells = _cells(text[mine], column, at, when, f"{name}, measure {column.name!r}")
        statuses.update(Status(one).label for one in cells.status[:, 0].tolist())
        at_unit = np.array([place[code] for code in at], dtype=np.int64)
        pieces.append((column.metric, Piece(at_unit, when, cells)))
    if not pieces:
        raise ReadError(
            needed="a measure that didkit reads: " + ", ".join(known),
            found="none of them",
            where=name,
            todo="read LAIT's own file of all measures",
        )
    called = f"{LAIT} ({name})"
    log = [
        (called, "rows read", total),
        (called, "rows used: local authority", int(used.sum())),
        (called, "rows not used: national and regional", int((~own).sum())),
        (called, "rows not used: other measures", total - int(used.sum()) - int((~own).sum())),
        *((called, f"cells {status}", n) for status, n in statuses.items()),
    ]
    note = RELEASES[LAIT].symbols["-"].meaning
    return Part(Source(LAIT, LAIT, name, digest(data), f"'-': {note}"), ids, units, pieces, log)


def _frame(data: bytes, name: str) -> tuple[int, dict[str, Any]]:
    """Return the number of rows, and the rows of measures that are read, by column."""
    pyarrow, parquet = _pyarrow(name)
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        about = file.metadata
        size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        if about.num_rows > limits.LIMITS.parquet_rows or size > limits.LIMITS.total_bytes:
            raise ReadError(
                needed=f"a table of at most {limits.LIMITS.parquet_rows:,} rows",
                found=f"{about.num_rows:,} rows, {size:,} bytes unpacked",
                where=name,
                todo="check that it is LAIT's own file",
            )
        header = list(file.schema_arrow.names)
        missing = [one for one in _COLUMNS if one not in header]
        if missing:
            raise ReadError(
                needed=f"the columns of the Local Authority Interactive Tool: "
                f"{', '.join(map(repr, _COLUMNS))}",
                found=f"{first_few(map(repr, header), 12)} columns; missing: "
                f"{first_few(map(repr, missing))}",
                where=name,
                todo="read LAIT's long file as published; a panel that didkit wrote is read by "
                "Panel.from_parquet",
            )
        table = file.read(columns=list(_COLUMNS))
        total = table.num_rows
        wanted = pyarrow.array([column.name for column in LAIT_MEASURES])
        import pyarrow.compute as compute

        table = table.filter(compute.is_in(table["Short Desc"], value_set=wanted))
        made = {one: np.array(table[one].to_pylist(), dtype=object) for one in _COLUMNS}
    except ReadError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise ReadError(
            needed="a parquet file that can be read",
            found=f"{type(error).__name__}: {str(error)[:200]}",
            where=name,
            todo="download it again",
        ) from error
    for one in ("Short Desc", "Years", "Values"):
        if not all(isinstance(text, str) for text in made[one]):
            raise ReadError(
                needed=f"text in every row of {one!r}",
                found="numbers or blanks among it",
                where=name,
                todo="read LAIT's long file as published",
            )
    return total, made


def _pyarrow(name: str) -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ReadError(
            needed="pyarrow, to read parquet",
            found="it is not installed",
            where=name,
            todo="install the extra: pip install 'didkit-evaluation[parquet]'",
        ) from error
    return pyarrow, pyarrow.parquet


def _years(labels: Any, name: str) -> Any:
    years: dict[str, int] = {}
    bad: list[str] = []
    for label in dict.fromkeys(labels):
        try:
            years[label] = int(Calendar.of([label], kind="reporting year").labels[0])
        except PanelError:
            bad.append(repr(label))
    if bad:
        raise ReadError(
            needed="years (2018) as periods of the measures that are read",
            found=f"{first_few(bad)} that do not parse",
            where=f"{name}, column 'Years'",
            todo="read the file as published",
        )
    return np.fromiter((years[label] for label in labels), dtype=np.int64)


def _cells(text: Any, column: Column, codes: Any, years: Any, where: str) -> Cells:
    """Turn LAIT's text into cells, a row each; digits that a spreadsheet added are taken off."""
    n = len(text)
    value = np.full(n, np.nan)
    status = np.full(n, Status.OBSERVED, dtype=np.int8)
    symbols = RELEASES[LAIT].symbols
    bad: list[str] = []
    digits = column.decimals or 0
    for i, raw in enumerate(text):
        one = raw.strip()
        if one in symbols:
            status[i] = symbols[one].status
        elif _NUMBER.fullmatch(one):
            value[i] = round(float(one), digits)
            if abs(float(one) - value[i]) > _NOISE * max(1.0, value[i]):
                bad.append(f"{raw!r} for {codes[i]} in {years[i]}")
        else:
            kind = "negative " if _NEGATIVE.fullmatch(one) else ""
            bad.append(f"{kind}{raw!r} for {codes[i]} in {years[i]}")
    if bad:
        raise ReadError(
            needed=f"numbers of zero or more with at most {digits} digits after the point, or '-'",
            found=first_few(bad),
            where=where,
            todo="read LAIT's long file as published",
        )
    half = 0.0 if column.decimals is None else 0.5 * 10.0**-digits
    upper = value + half
    if METRICS[column.metric].kind == "percent":
        upper = np.where(value <= 100, np.minimum(upper, 100.0), upper)
    return Cells(
        value[:, None], status[:, None], np.maximum(value - half, 0.0)[:, None], upper[:, None]
    )
