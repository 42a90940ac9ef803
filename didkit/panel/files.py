"""A panel as a file: parquet without loss, CSV and Excel safe to open."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from didkit.errors import PanelError, first_few
from didkit.panel.described import Parts, describe, spoiled
from didkit.panel.frames import arrow_columns, pyarrow
from didkit.panel.safe import check_target, safe_csv, write_whole
from didkit.panel.status import Cells, Floats, Status
from didkit.panel.tables import tidy
from didkit.panel.workbook import Layout, workbook

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["LIMITS", "Limits", "from_parquet", "to_csv", "to_excel", "to_parquet"]

_KEY, _DIGEST = b"didkit", b"didkit-sha256"
_TEXTS, _NUMBERS = ("unit", "period", "metric", "status"), ("value", "lower", "upper")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a parquet file of a panel may be.

    Parameters
    ----------
    file_bytes : int
        Bytes of the file.
    described_bytes : int
        Bytes of what is said about the cells: units, metrics, sources, log.
    unpacked_bytes : int
        Bytes of the columns, unpacked.
    columns, rows : int
        Of the table.
    cells : int
        Units × periods × metrics.
    """

    file_bytes: int = 500_000_000
    described_bytes: int = 20_000_000
    unpacked_bytes: int = 2_000_000_000
    columns: int = 2_000
    rows: int = 20_000_000
    cells: int = 40_000_000


LIMITS = Limits()
"""The limits in force, for writing as for reading."""


# -- parquet -------------------------------------------------------------------------------------


def to_parquet(panel: Panel, path: str | PathLike[str]) -> None:
    """Write the panel to a parquet file, from which `from_parquet` makes the same panel.

    The table is that of `tidy`, for any tool that reads parquet; a missing number is a null.
    The rest (units, calendar, metrics, sources, log) is JSON in the file's metadata, under
    ``didkit``, beside a SHA-256 of everything. The same panel gives the same bytes.

    Parameters
    ----------
    path : str or path
        Its folder must exist. A file that is there is replaced, whole or not at all.

    Raises
    ------
    PanelError
        If the folder does not exist, pyarrow is not installed (extra ``parquet``), the panel is
        over a limit, or the table of units or the log holds what is neither text nor a number nor
        a truth value.
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame({"la": ["303"] * 2, "year": [2018, 2019], "cin": [310.0, 305.5]})
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     panel.to_parquet(Path(folder) / "panel.parquet")
    ...     Panel.from_parquet(Path(folder) / "panel.parquet")
    Panel(1 units × 2 periods (2018 to 2019); metrics: cin)
    """
    where = f"to_parquet({str(path)!r})"
    check_target(path, where)
    pa = pyarrow("to_parquet")
    import pyarrow.parquet as pq

    n_cells = len(panel.metrics) * len(panel.unit_ids) * len(panel.periods)
    _limit(n_cells, "cells", where)
    with _encodable(where):
        table = pa.table(_long(panel, pa))
    described = describe(panel, where)
    _limit(len(described), "described_bytes", where)
    cells = {key: panel.cells(key) for key in panel.metrics}
    made = io.BytesIO()
    texts = [one for one in table.column_names if one not in _NUMBERS]
    with pq.ParquetWriter(made, table.schema, use_dictionary=texts, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: described, _DIGEST: _digest(described, cells)})
    write_whole(path, made.getvalue())


def from_parquet(path: str | PathLike[str]) -> Panel:
    """Read a panel that `to_parquet` wrote: the same cells, bit for bit, and all about them.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Panel
        As it was written.

    Raises
    ------
    PanelError
        If the file is not there, not parquet, not of `to_parquet`, damaged or changed since,
        of a newer version or over a limit; or pyarrow is not installed (extra ``parquet``).
    """
    from didkit.panel.panel import Panel

    where = f"from_parquet({str(path)!r})"
    described, digest, table = _open(path, where)
    made = Parts.of(described, where)
    cells = _cells(table, made, where)
    if _digest(described, cells) != digest:
        raise spoiled("cells and description as they were written", "others", where)
    with np.errstate(over="ignore"):
        return Panel(
            units=made.units,
            calendar=made.calendar,
            metrics=made.metrics,
            cells=cells,
            sources=made.sources,
            log=made.log,
            identity=made.identity,
            parts=made.parts,
        )


def _limit(size: int, what: str, where: str) -> None:
    most = getattr(LIMITS, what)
    if size > most:
        raise PanelError(
            needed=f"at most {most:,} {what.replace('_', ' ')}",
            found=f"{size:,}",
            where=where,
            todo="keep fewer metrics, periods or units (Panel.select) in one file",
        )


@contextmanager
def _encodable(where: str) -> Iterator[None]:
    """Refuse text that is no Unicode: half of a pair, from a file read in the wrong encoding."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise PanelError(
            needed="text that can be written as UTF-8",
            found=ascii(error.object[:60]),
            where=where,
            todo="mend the names or attributes of the units, or what the sources are called",
        ) from None


def _digest(described: bytes, cells: Mapping[str, Cells]) -> bytes:
    """Return the SHA-256 of what is said and of every cell; a NaN is a NaN."""
    made = hashlib.sha256(described)
    for cell in cells.values():
        made.update(np.ascontiguousarray(cell.status, dtype=np.int8).tobytes())
        for array in (cell.value, cell.lower, cell.upper):
            plain = np.where(np.isnan(array), np.nan, array)
            made.update(plain.astype("<f8", order="C").tobytes())
    return made.hexdigest().encode("ascii")


def _long(panel: Panel, pa: Any) -> dict[str, Any]:
    """Lay out every cell that has a row in a source or anything known about it.

    The columns are those of `Panel.tidy`. An attribute called like one of them is left out; it is
    in the description.
    """
    places = {key: np.nonzero(_told(panel.cells(key))) for key in panel.metrics}
    i = np.concatenate([place[0] for place in places.values()])
    t = np.concatenate([place[1] for place in places.values()])
    m = np.repeat(np.arange(len(places)), [len(place[0]) for place in places.values()])

    def stacked(what: str) -> np.ndarray:
        return np.concatenate(
            [getattr(panel.cells(key), what)[place] for key, place in places.items()]
        )

    def spread(texts: Any, at: np.ndarray) -> Any:
        return pa.array([str(one) for one in texts], type=pa.string()).take(pa.array(at))

    units = panel.units
    releases = [
        " + ".join(dict.fromkeys(s.release for s in panel.sources[key])) for key in panel.metrics
    ]
    made = {
        "unit": spread(units.index, i),
        "name": spread(units["name"], i),
        "period": spread(panel.periods, t),
        "metric": spread(panel.metrics, m),
        "value": pa.array(stacked("value"), from_pandas=True, type=pa.float64()),
        "status": spread([s.label for s in Status], stacked("status").astype(np.int64)),
        "lower": pa.array(stacked("lower"), from_pandas=True, type=pa.float64()),
        "upper": pa.array(stacked("upper"), from_pandas=True, type=pa.float64()),
        "release": spread(releases, m),
    }
    more = arrow_columns(units[[one for one in units.columns if one not in made]])
    return {**made, **{name: column.take(pa.array(i)) for name, column in more.items()}}


def _told(cell: Cells) -> np.ndarray:
    """Where a source has a row, or anything is known."""
    known = ~(np.isnan(cell.value) & np.isnan(cell.lower) & np.isnan(cell.upper))
    told: np.ndarray = (cell.status != Status.ABSENT) | known
    return told


def _open(path: str | PathLike[str], where: str) -> tuple[bytes, bytes, Any]:
    """Open a file, hold it to the limits, and return what it says and its table of cells."""
    pa = pyarrow("from_parquet")
    import pyarrow.parquet as pq

    try:
        _limit(Path(path).stat().st_size, "file_bytes", where)
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, PanelError):
            raise
        raise PanelError(
            needed="a file that can be read",
            found=str(error),
            where=where,
            todo="check the path",
        ) from error
    damaged = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, OverflowError)
    try:
        metadata = pq.read_metadata(pa.BufferReader(content))
        said, names = metadata.metadata or {}, metadata.schema.names
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        unpacked = sum(group.total_byte_size for group in groups)
        rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
    except damaged as error:
        raise spoiled("a parquet file", f"{error}"[:200], where) from None
    if _KEY not in said or _DIGEST not in said:
        raise spoiled("a parquet file that Panel.to_parquet wrote", "another", where)
    _limit(len(said[_KEY]), "described_bytes", where)
    _limit(len(names), "columns", where)
    _limit(rows, "rows", where)
    _limit(unpacked, "unpacked_bytes", where)
    for name in (*_TEXTS, *_NUMBERS):
        if names.count(name) != 1:
            found = f"{names.count(name)} among {first_few(names, 10)}"
            raise spoiled(f"one column {name!r}", found, where)
    try:
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(_TEXTS))
        _check_types(file.schema_arrow, where)
        table = file.read(columns=[*_TEXTS, *_NUMBERS]).unify_dictionaries().combine_chunks()
        table.validate(full=True)
    except damaged as error:
        if isinstance(error, PanelError):
            raise
        raise spoiled("a parquet file that is whole", f"{error}"[:200], where) from None
    return said[_KEY], said[_DIGEST], table


def _check_types(schema: Any, where: str) -> None:
    """Refuse columns of other types; text is read as a dictionary, so that it stays small."""
    import pyarrow as pa

    for name in (*_TEXTS, *_NUMBERS):
        dtype = schema.field(name).type
        text = pa.types.is_dictionary(dtype) and pa.types.is_string(dtype.value_type)
        if not (text if name in _TEXTS else pa.types.is_float64(dtype)):
            raise spoiled("columns of text and float64", f"{name}: {dtype}", where)


def _cells(table: Any, made: Parts, where: str) -> dict[str, Cells]:
    """Put every row in its place: once, and where the description has one."""
    shape = (len(made.metrics), len(made.units), len(made.calendar))
    _limit(math.prod(shape), "cells", where)
    known = {
        "metric": list(made.metrics),
        "unit": made.units.index.tolist(),
        "period": list(made.calendar.labels),
        "status": [status.label for status in Status],
    }
    at = {name: _positions(table.column(name), known[name], name, where) for name in known}
    flat = np.ravel_multi_index((at["metric"], at["unit"], at["period"]), shape)
    if len(np.unique(flat)) < len(flat):
        found = f"{len(flat):,} rows for {len(np.unique(flat)):,} cells"
        raise spoiled("one row a unit, period and metric", found, where)
    status = np.full(shape, Status.ABSENT, dtype=np.int8)
    status.ravel()[flat] = at["status"]
    numbers: dict[str, Floats] = {}
    for name in _NUMBERS:
        numbers[name] = np.full(shape, np.nan)
        numbers[name].ravel()[flat] = table.column(name).to_numpy()
    return {
        key: Cells(status=status[m], **{name: array[m] for name, array in numbers.items()})
        for m, key in enumerate(made.metrics)
    }


def _positions(column: Any, known: list[str], name: str, where: str) -> np.ndarray:
    """Return the place of every text among the known ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(column) == 0:
        return np.empty(0, dtype=np.intp)
    one = column.combine_chunks()
    one = one.chunk(0) if isinstance(one, pa.ChunkedArray) else one
    at = pc.index_in(one.dictionary, value_set=pa.array(known, type=pa.string())).take(one.indices)
    if at.null_count:
        strange = one.filter(at.is_null()).unique().to_pylist()
        needed = f"a {name} that the description has in every row"
        raise spoiled(needed, first_few(strange), f"{where}, column {name!r}")
    placed: np.ndarray = at.to_numpy(zero_copy_only=False).astype(np.intp)
    return placed


# -- CSV and Excel -------------------------------------------------------------------------------


def to_csv(panel: Panel, path: str | PathLike[str]) -> None:
    """Write `tidy` as CSV (UTF-8) that is safe to open in a spreadsheet.

    Texts are quoted, numbers are not. Text that a spreadsheet would take for a formula, as a whole
    or where it may be split (``Kent;=1+1``), gets an apostrophe. To read the same cells
    back: ``pandas.read_csv(path, dtype={"unit": str, "period": str})`` (before pandas 3.1 with
    ``float_precision="round_trip"``), then `from_frame` with ``layout="long"``,
    ``metrics="metric"`` and each other column by its name. For the whole panel see
    `to_parquet`.

    Parameters
    ----------
    path : str or path
        Its folder must exist. A file that is there is replaced, whole or not at all.

    Raises
    ------
    PanelError
        If the folder does not exist, or a text is no Unicode.
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame({"la": ["303"] * 2, "year": [2018, 2019], "cin": [310.0, 305.5]})
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     panel.to_csv(Path(folder) / "panel.csv")
    ...     text = (Path(folder) / "panel.csv").read_text(encoding="utf-8")
    >>> text.splitlines()[1]
    '"303","303","2018","cin",310.0,"observed",310.0,310.0,"data frame"'
    """
    where = f"to_csv({str(path)!r})"
    check_target(path, where)
    with _encodable(where):
        write_whole(path, safe_csv(tidy(panel)))


def to_excel(panel: Panel, path: str | PathLike[str], *, layout: Layout = "long") -> None:
    """Write the panel as a workbook: read me, the numbers, metrics, units, sources and log.

    Numbers are numbers, and so are periods that are years; a text is never a formula or a link.
    The sheet ``read me`` says what the sheets, columns and statuses are and names the releases.
    The same panel gives the same bytes.

    Parameters
    ----------
    path : str or path
        Its folder must exist. A file that is there is replaced, whole or not at all.
    layout : {"long", "wide"}, default "long"
        ``"long"``: one sheet ``cells`` with a row for every cell, as in `tidy`. ``"wide"``: a
        sheet for every metric, units by periods, with the values only.

    Raises
    ------
    PanelError
        If the folder does not exist, there are more than 1,048,575 cells (or 16,382 periods, in a
        wide sheet), a text is longer than 32,767 letters, or xlsxwriter is not installed (extra
        ``excel``).
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame({"la": ["303"] * 2, "year": [2018, 2019], "cin": [310.0, 305.5]})
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "panel.xlsx"
    ...     panel.to_excel(file, layout="wide")
    ...     pd.read_excel(file, sheet_name="cin").values.tolist()
    [[303.0, 303.0, 310.0, 305.5]]
    """
    where = f"to_excel({str(path)!r})"
    check_target(path, where)
    with _encodable(where):
        made = workbook(panel, where, layout)
    write_whole(path, made)
