"""Frames of other libraries (polars, pyarrow, DuckDB), in and out through narwhals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa

__all__ = [
    "Backend",
    "arrow_columns",
    "arrow_stream",
    "extra_missing",
    "pyarrow",
    "to_backend",
    "to_pandas",
]

Backend = Literal["pandas", "polars", "pyarrow", "duckdb"]

_MOST_ROWS = 20_000_000
_EXACT = 2**53  # up to here every whole number is a float
_ACCEPTED = (
    "a pandas DataFrame, a polars DataFrame or LazyFrame, a pyarrow Table or RecordBatchReader, "
    "a DuckDB relation, or another frame that narwhals knows"
)


def to_pandas(
    frame: Any,
    *,
    columns: Iterable[object] | None = None,
    by_metric: Iterable[object] = (),
) -> pd.DataFrame:
    """Return a frame of any library as a pandas DataFrame; a pandas one is returned as it is.

    Nulls become missing, categories text, and decimals numbers (whole ones exactly). pyarrow is
    needed only where the frame is pyarrow's or a stream. A lazy frame is run once, a stream is
    read once, and only the columns asked for are read.

    Parameters
    ----------
    frame : DataFrame
        Of pandas, polars (also lazy), pyarrow (also a RecordBatchReader), DuckDB, or any other
        library that narwhals knows; or anything else that is an Arrow stream of rows.
    columns : iterable, optional
        Columns to read: names, and collections of names; None among them says nothing. By
        default every column. Where one is missing the frame has every column, empty where it was
        not asked for, so that an error can say which there are.
    by_metric : iterable, optional
        More of them: names, or mappings of metric to name.

    Returns
    -------
    DataFrame
        Of pandas.

    Raises
    ------
    PanelError
        If it is no such frame, two columns have one name, a column asked for holds lists, times
        or the like, it has over 20 million rows, or it needs a package that is not installed.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"code": ["303", None], "n": [1, 2], "other": [3, 4]})
    >>> to_pandas(frame, columns=["code", ["n"]])["code"].isna().tolist()
    [False, True]
    """
    if isinstance(frame, pd.DataFrame):
        return frame
    import narwhals as nw

    if isinstance(frame, nw.DataFrame) and isinstance(frame.to_native(), pd.DataFrame):
        native: pd.DataFrame = frame.to_native()
        return native
    wanted = _names(columns, by_metric)
    made, schema = _opened(frame, wanted)
    there = list(schema)
    take = there if wanted is None else [name for name in there if name in wanted]
    out = _read(made, {name: schema[name] for name in take})
    if wanted is None or all(name in there for name in wanted):
        return out
    return out.reindex(columns=there)


def _names(
    columns: Iterable[object] | None, by_metric: Iterable[object] = ()
) -> list[object] | None:
    """Collect the columns named by arguments; None, for all, where one can be read only once."""
    if columns is None:
        return None
    names: list[object] = []
    for argument in (
        *columns,
        *(list(one.values()) if isinstance(one, Mapping) else one for one in by_metric),
    ):
        if isinstance(argument, str):
            names.append(argument)
        elif isinstance(argument, Collection):
            names.extend(argument)
        elif argument is not None:
            return None
    return names


# -- in ------------------------------------------------------------------------------------------


def _opened(
    frame: Any, wanted: list[object] | None
) -> tuple[nw.DataFrame[Any] | nw.LazyFrame[Any], Mapping[str, nw.dtypes.DType]]:
    """Return a frame and its columns' types, or refuse two columns of one name."""
    import narwhals as nw

    try:
        made = _narwhals(frame, wanted)
        return made, made.collect_schema()
    except nw.exceptions.DuplicateError as error:
        raise PanelError(
            needed="columns with a name each",
            found=" ".join(str(error).split()),
            where="the data frame",
            todo="rename one of them, or leave it out",
        ) from None


def _narwhals(frame: Any, wanted: list[object] | None) -> nw.DataFrame[Any] | nw.LazyFrame[Any]:
    """Wrap a frame, or refuse it; a stream is read here, of the columns wanted."""
    import narwhals as nw

    try:
        made: nw.DataFrame[Any] | nw.LazyFrame[Any] = nw.from_native(frame)
        return made
    except TypeError:
        if not hasattr(frame, "__arrow_c_stream__"):
            raise _not_a_frame(frame) from None
    table: nw.DataFrame[Any] = nw.from_native(_read_stream(frame, wanted))
    return table


def _not_a_frame(frame: object) -> PanelError:
    return PanelError(
        needed=_ACCEPTED,
        found=type(frame).__name__,
        where="the data frame",
        todo="make one, e.g. pandas.DataFrame(data)",
    )


def _read_stream(stream: Any, wanted: list[object] | None) -> pa.Table:
    """Read the wanted columns of an Arrow stream, batch by batch."""
    pa = pyarrow("a stream of Arrow data")
    try:
        reader = (
            stream
            if isinstance(stream, pa.RecordBatchReader)
            else pa.RecordBatchReader.from_stream(stream)
        )
        names = reader.schema.names
    except pa.ArrowException:  # a stream of one column
        raise _not_a_frame(stream) from None
    complete = wanted is None or not all(name in names for name in wanted)
    keep = [i for i, name in enumerate(names) if complete or name in (wanted or ())]
    batches, rows = [], 0
    for batch in reader:
        rows += batch.num_rows
        _refuse_rows(rows)
        batches.append(batch.select(keep))
    schema = pa.schema([reader.schema.field(i) for i in keep])
    return pa.Table.from_batches(batches, schema)


def _refuse_rows(rows: int) -> None:
    if rows > _MOST_ROWS:
        raise PanelError(
            needed=f"at most {_MOST_ROWS:,} rows",
            found="more",
            where="the data frame",
            todo="filter the rows, or aggregate them to one for each unit and period, first",
        )


def _read(
    frame: nw.DataFrame[Any] | nw.LazyFrame[Any], schema: Mapping[str, nw.dtypes.DType]
) -> pd.DataFrame:
    """Read the columns of a schema, one by one."""
    import narwhals as nw

    _refuse_types(schema)
    if isinstance(frame, nw.LazyFrame):
        asked = frame.select(*schema).head(_MOST_ROWS + 1)
        casts = _casts(schema)
        asked = asked.with_columns(*casts) if casts else asked
        eager = asked.collect() if frame.implementation.is_polars() else asked.collect("pandas")
    else:
        eager = frame.select(*schema)
    _refuse_rows(len(eager))
    parts = {name: _series(eager[name], dtype) for name, dtype in schema.items()}
    return pd.DataFrame(parts, index=range(len(eager)))


def _casts(schema: Mapping[str, nw.dtypes.DType]) -> list[nw.Expr]:
    """Say what a lazy frame casts before pandas has it: it would make floats of large numbers.

    Moments lose their zone, for which DuckDB would need another package.
    """
    import narwhals as nw

    large = [nw.col(name).cast(nw.String) for name, dtype in schema.items() if _is_large(dtype)]
    moments = [name for name, dtype in schema.items() if dtype == nw.Datetime]
    return [*large, *(nw.col(name).cast(nw.Datetime) for name in moments)]


def _refuse_types(schema: Mapping[str, nw.dtypes.DType]) -> None:
    """Refuse the types that can be neither numbers nor labels."""
    import narwhals as nw

    fine = (nw.String, nw.Categorical, nw.Enum, nw.Boolean, nw.Date, nw.Datetime, nw.Unknown)
    wrong = [
        f"{name}: {dtype}"
        for name, dtype in schema.items()
        if not (dtype.is_numeric() or any(dtype == one for one in fine))
    ]
    if wrong:
        raise PanelError(
            needed="columns of numbers, text or categories",
            found=first_few(wrong),
            where="the data frame",
            todo="turn these columns into text or numbers first",
        )


def _is_large(dtype: nw.dtypes.DType) -> bool:
    """Whether numbers of a type may be neither floats nor integers of 64 bits."""
    import narwhals as nw

    return any(dtype == one for one in (nw.Decimal, nw.Int128, nw.UInt128))


def _series(column: nw.Series[Any], dtype: nw.dtypes.DType) -> pd.Series:
    """Return one column as pandas would have it."""
    import narwhals as nw

    if dtype.is_float():
        return pd.Series(np.asarray(column.to_numpy()))
    if dtype.is_integer() and not _is_large(dtype) and not column.is_null().any():
        return pd.Series(np.asarray(column.to_numpy()))
    values = [None if _is_missing(one) else one for one in column.to_list()]
    if dtype.is_numeric():
        return _numbers(values)
    if dtype == nw.Date:
        return pd.Series(np.array(values, dtype="datetime64[s]"))
    if all(one is None for one in values):
        return pd.Series(values, dtype=object)
    if dtype == nw.Unknown and not all(one is None or isinstance(one, str) for one in values):
        raise PanelError(
            needed="columns of numbers, text or categories",
            found=f"{column.name}: {type(next(x for x in values if x is not None)).__name__}",
            where="the data frame",
            todo="turn this column into text or numbers first",
        )
    return pd.Series(values)


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value


def _numbers(values: list[Any]) -> pd.Series:
    """Return whole numbers as such, without loss; others as floats."""
    exact = [None if one is None else Decimal(str(one)) for one in values]
    known = [one for one in exact if one is not None]
    if any(one != one.to_integral_value() for one in known):
        return pd.Series([np.nan if one is None else float(one) for one in exact], dtype=float)
    if len(known) == len(exact):
        return pd.Series([int(one) for one in known])
    if all(abs(one) <= _EXACT for one in known):
        return pd.Series([np.nan if one is None else float(one) for one in exact], dtype=float)
    return pd.Series([None if one is None else int(one) for one in exact], dtype=object)


# -- out -----------------------------------------------------------------------------------------


def to_backend(frame: pd.DataFrame, backend: Backend, *, connection: Any = None) -> Any:
    """Return a pandas DataFrame as a frame of another library; missing becomes null.

    Parameters
    ----------
    frame : DataFrame
        Of text, numbers and truth values.
    backend : {"pandas", "polars", "pyarrow", "duckdb"}
        Whose frame to return.
    connection : duckdb.DuckDBPyConnection, optional
        For ``"duckdb"``: where the relation shall belong. By default a connection of its own, in
        memory, which lives as long as the relation.

    Returns
    -------
    DataFrame, Table or relation
        The same rows.

    Raises
    ------
    PanelError
        If the library is unknown or not installed, or a connection is given for another.

    Examples
    --------
    >>> frame = pd.DataFrame({"unit": ["303", "926"], "value": [1.5, float("nan")]})
    >>> to_backend(frame, "polars")["value"].to_list()
    [1.5, None]
    """
    if backend not in get_args(Backend):
        raise PanelError(
            needed="backend=" + ", ".join(map(repr, get_args(Backend))),
            found=repr(backend),
            where="Panel.tidy",
            todo="choose one",
        )
    if connection is not None and backend != "duckdb":
        raise PanelError(
            needed="connection= with backend='duckdb' only",
            found=f"backend={backend!r}",
            where="Panel.tidy",
            todo="leave connection= out, or say backend='duckdb'",
        )
    if backend == "pandas":
        return frame
    if backend == "polars":
        return _to_polars(frame)
    if backend == "pyarrow":
        return _to_arrow(frame)
    return _to_duckdb(frame, connection)


def arrow_stream(frame: pd.DataFrame, requested_schema: object | None = None) -> object:
    """Return a frame as an Arrow stream capsule, the way libraries hand tables to each other.

    Raises
    ------
    PanelError
        If pyarrow is not installed.
    """
    return _to_arrow(frame).__arrow_c_stream__(requested_schema)


def extra_missing(package: str, extra: str, what: str, error: ImportError) -> PanelError:
    """Say which extra of the distribution brings a package that is not installed.

    Examples
    --------
    >>> print(extra_missing("polars", "frames", "tidy()", ImportError()).todo)
    install the extra 'frames' of didkit-evaluation
    """
    made = PanelError(
        needed=f"the package {package}",
        found="not installed",
        where=what,
        todo=f"install the extra {extra!r} of didkit-evaluation",
    )
    made.__cause__ = error
    return made


def pyarrow(what: str) -> Any:
    """Import pyarrow, or say which extra brings it.

    Raises
    ------
    PanelError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise extra_missing("pyarrow", "parquet", what, error) from error
    return pa


def _values(column: pd.Series) -> tuple[str, list[Any]]:
    """Return a column's kind and its values, None where missing."""
    dtype, gone = column.dtype, column.isna().to_numpy()
    types = pd.api.types
    if types.is_bool_dtype(dtype):
        kind, values = "truth", column.tolist()
    elif types.is_signed_integer_dtype(dtype):
        kind, values = "whole", column.tolist()
    elif types.is_numeric_dtype(dtype):
        kind, values = "number", [float(one) for one in column.to_numpy(float, na_value=np.nan)]
    else:
        kind = "text"
        values = [one if isinstance(one, str) else str(one) for one in column.tolist()]
    return kind, [None if no else one for one, no in zip(values, gone, strict=True)]


def _to_polars(frame: pd.DataFrame) -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise extra_missing("polars", "frames", "tidy(backend='polars')", error) from error
    types = {"text": pl.String, "number": pl.Float64, "whole": pl.Int64, "truth": pl.Boolean}
    made = {str(name): _values(frame[name]) for name in frame.columns}
    return pl.DataFrame(
        {name: pl.Series(name, values, dtype=types[kind]) for name, (kind, values) in made.items()}
    )


def _to_arrow(frame: pd.DataFrame) -> Any:
    pa = pyarrow("tidy(backend='pyarrow') and the Arrow stream of a panel")
    return pa.table(arrow_columns(frame))


def arrow_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Return each column as an Arrow array: text, float64, int64 or bool, null where missing.

    Raises
    ------
    PanelError
        If pyarrow is not installed.
    """
    pa = pyarrow("Arrow columns")
    types = {"text": pa.string(), "number": pa.float64(), "whole": pa.int64(), "truth": pa.bool_()}
    made = {str(name): _values(frame[name]) for name in frame.columns}
    return {name: pa.array(values, type=types[kind]) for name, (kind, values) in made.items()}


def _to_duckdb(frame: pd.DataFrame, connection: Any) -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise extra_missing("duckdb", "frames", "tidy(backend='duckdb')", error) from error
    table = _to_arrow(frame)
    return (duckdb.connect() if connection is None else connection).from_arrow(table)
