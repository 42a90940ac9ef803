"""What a parquet file says of a panel beside its cells: written as JSON, read with every check."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few
from didkit.panel.calendar import Calendar
from didkit.panel.identity import Identity
from didkit.panel.metric import Metric
from didkit.panel.source import Source

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["Parts", "describe", "spoiled"]

_FORMAT = 1
_KEYS = ("format", "identity", "calendar", "units", "metrics", "sources", "log", "parts")
_WHOLE = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_DTYPES = ("bool", *_WHOLE, "float32", "float64", "object", "text")


def spoiled(needed: str, found: str, where: str) -> PanelError:
    """Say that a file is not as it was written, or not of this kind."""
    return PanelError(
        needed=needed,
        found=found,
        where=where,
        todo="the file was changed or damaged: write it again with Panel.to_parquet; a table of "
        "another origin is read with pandas.read_parquet and Panel.from_frame",
    )


def describe(panel: Panel, where: str) -> bytes:
    """Say everything of a panel but its cells, as JSON.

    Raises
    ------
    PanelError
        If a table holds what is neither text nor a number nor a truth value.
    """
    said = {
        "format": _FORMAT,
        "identity": panel.identity,
        "calendar": {"kind": panel.calendar.kind, "labels": list(panel.periods)},
        "units": _table_out(panel.units, f"{where}, units"),
        "metrics": [_record_out(one, where) for one in panel.metrics.values()],
        "sources": {
            key: [_record_out(one, where) for one in panel.sources[key]] for key in panel.metrics
        },
        "log": _table_out(panel.log, f"{where}, log"),
        "parts": {code: list(members) for code, members in panel.parts.items()},
    }
    return json.dumps(said, allow_nan=False, separators=(",", ":")).encode("ascii")


def _record_out(one: Metric | Source, where: str) -> dict[str, object]:
    made = {name: _plain(value, where) for name, value in asdict(one).items()}
    _record_in(type(one), made, f"{where}, {one}")
    return made


def _plain(value: object, where: str) -> object:
    """Return a value as JSON can hold it; a number that JSON has not is named."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise PanelError(
        needed="text, numbers and truth values",
        found=f"{value!r} ({type(value).__name__})",
        where=where,
        todo="turn it into text first",
    )


def _table_out(frame: pd.DataFrame, where: str) -> dict[str, object]:
    """Return a table with its types and its index."""
    if not frame.columns.is_unique or not all(isinstance(one, str) for one in frame.columns):
        raise PanelError(
            needed="columns with a name each",
            found=first_few(frame.columns),
            where=where,
            todo="rename them",
        )
    plain = isinstance(frame.index, pd.RangeIndex) and frame.index.equals(pd.RangeIndex(len(frame)))
    ids = pd.Series(frame.index, dtype=frame.index.dtype, name=frame.index.name)
    return {
        "rows": len(frame),
        "index": None if plain else _column_out(ids, where),
        "columns": [_column_out(frame[name], where) for name in frame.columns],
    }


def _column_out(column: pd.Series, where: str) -> dict[str, object]:
    text = isinstance(column.dtype, pd.StringDtype)
    dtype = "text" if text else str(column.dtype)
    if dtype not in _DTYPES:
        raise PanelError(
            needed="text, numbers and truth values",
            found=f"a column of {column.dtype}",
            where=f"{where}, column {column.name!r}",
            todo="turn it into text first",
        )
    gone = column.isna().to_numpy() & text
    values = [None if no else one for one, no in zip(column.tolist(), gone, strict=True)]
    return {
        "name": _plain(column.name, where),
        "dtype": dtype,
        "values": [_plain(one, f"{where}, column {column.name!r}") for one in values],
    }


# -- and read again ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything of a panel but its cells, as a file says it."""

    units: pd.DataFrame
    calendar: Calendar
    metrics: dict[str, Metric]
    sources: dict[str, tuple[Source, ...]]
    log: pd.DataFrame
    identity: Identity
    parts: dict[str, list[str]]

    @classmethod
    def of(cls, described: bytes, where: str) -> Parts:
        """Parse and check what a file says.

        Raises
        ------
        PanelError
            If it is no JSON, of another version, or not what a panel is made of.
        """
        try:
            read = json.loads(described.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise spoiled("a description in JSON", str(error)[:100], where) from None
        if isinstance(read, dict) and read.get("format") != _FORMAT:
            raise PanelError(
                needed=f"a file in format {_FORMAT} of a panel",
                found=f"format {read.get('format')!r}",
                where=where,
                todo="read it with the version of didkit that wrote it, or a newer one",
            )
        said = _mapping(read, _KEYS, where)
        identity = _typed(said["identity"], Identity, f"{where}, identity")
        calendar = _mapping(said["calendar"], ("kind", "labels"), f"{where}, calendar")
        metrics = [
            _record_in(Metric, one, f"{where}, metrics")
            for one in _list(said["metrics"], dict, f"{where}, metrics")
        ]
        named = {metric.name: metric for metric in metrics}
        sources = _mapping(said["sources"], tuple(named), f"{where}, sources")
        parts = _typed(said["parts"], dict, f"{where}, parts")
        units = _table_in(said["units"], f"{where}, units")
        if not metrics or len(named) < len(metrics):
            found = f"metrics {first_few(metric.name for metric in metrics)}"
            raise spoiled("metrics, each once", found, where)
        ids = units.index.tolist()
        if not all(isinstance(one, str) for one in ids) or len(set(ids)) < len(ids) or not ids:
            raise spoiled("ids of units, each once", first_few(ids), f"{where}, units")
        if "name" not in units.columns:
            raise spoiled("a column 'name'", first_few(units.columns), f"{where}, units")
        log = _table_in(said["log"], f"{where}, log")
        if not {"source", "what", "rows"} <= set(log.columns):
            raise spoiled("columns source, what and rows", first_few(log.columns), f"{where}, log")
        return cls(
            units=units,
            calendar=Calendar(
                tuple(_list(calendar["labels"], str, f"{where}, calendar")),
                _typed(calendar["kind"], str, f"{where}, calendar"),
            ),
            metrics=named,
            sources={
                key: tuple(
                    _record_in(Source, one, f"{where}, sources")
                    for one in _list(given, dict, f"{where}, sources")
                )
                for key, given in sources.items()
            },
            log=log,
            identity=identity,
            parts={key: _list(given, str, f"{where}, parts") for key, given in parts.items()},
        )


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def _mapping(value: object, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """Return an object with exactly these keys, in this order."""
    if not isinstance(value, dict) or set(value) != set(keys):
        found = first_few(value) if isinstance(value, dict) else type(value).__name__
        raise spoiled("the keys " + first_few(keys, 8), found, where)
    return {key: value[key] for key in keys}


def _typed(value: object, hint: Any, where: str) -> Any:
    if not _fits(value, hint):
        raise spoiled(f"a value of type {hint}", f"{value!r}"[:100], where)
    return value


def _list(value: object, kind: type, where: str) -> list[Any]:
    if not isinstance(value, list) or not all(_fits(one, kind) for one in value):
        raise spoiled(f"a list of {kind.__name__}", f"{value!r}"[:100], where)
    return value


def _fits(value: object, hint: Any) -> bool:
    """Whether a value read from JSON is of an annotated type; a truth value is no number."""
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    return value is None if hint is NoneType else type(value) is hint


def _record_in(kind: Any, value: dict[str, object], where: str) -> Any:
    """Make a frozen record from its fields, each of the type that the class declares."""
    said = _mapping(value, tuple(one.name for one in fields(kind)), where)
    hints = get_type_hints(kind)
    return kind(**{key: _typed(said[key], hints[key], f"{where}, {key}") for key in said})


def _table_in(value: object, where: str) -> pd.DataFrame:
    said = _mapping(value, ("rows", "index", "columns"), where)
    rows = _typed(said["rows"], int, where)
    columns = [_column_in(one, rows, where) for one in _list(said["columns"], dict, where)]
    if rows < 0 or (rows and not columns):
        raise spoiled("as many rows as the columns have", f"{rows}", where)
    names = [column.name for column in columns]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise spoiled("columns with a name each", first_few(names), where)
    made = pd.DataFrame({column.name: column for column in columns}, index=range(rows))
    if said["index"] is not None:
        index = _column_in(said["index"], rows, where)
        made.index = pd.Index(index, name=index.name, dtype=index.dtype)
    return made


def _column_in(value: object, rows: int, where: str) -> pd.Series:
    said = _mapping(value, ("name", "dtype", "values"), where)
    name = _typed(said["name"], str | None, where)
    dtype = said["dtype"]
    if dtype not in _DTYPES or not isinstance(said["values"], list) or len(said["values"]) != rows:
        raise spoiled(f"{rows} values of a known type", f"{dtype!r}"[:100], f"{where}, {name}")
    try:
        values = [float(one["float"]) if isinstance(one, dict) else one for one in said["values"]]
        if any(isinstance(one, list) for one in values):
            raise TypeError("a list")
        if dtype == "text":
            if not all(one is None or isinstance(one, str) for one in values):
                raise TypeError("not text")
            return pd.Series(values, dtype=pd.Series(["x"]).dtype, name=name)
        if dtype == "object":
            return pd.Series(values, dtype=object, name=name)
        made = np.array(values, dtype=dtype)
        if made.tolist() != values and not np.issubdtype(made.dtype, np.floating):
            raise ValueError("other numbers")
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"[:100]
        raise spoiled(f"values of type {dtype}", found, f"{where}, {name}") from None
    return pd.Series(made, name=name)
