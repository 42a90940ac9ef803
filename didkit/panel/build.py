"""From a data frame to the cells of a panel: every check that a frame has to pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few
from didkit.panel.calendar import Calendar, Kind
from didkit.panel.identity import Identity, unit_ids
from didkit.panel.metric import METRICS, Metric
from didkit.panel.status import Cells, Floats, Status

__all__ = ["Built", "cells_from_long", "cells_from_wide"]

_SYMBOLS = {"c", "x", "z", "u", "k", "low", ":", "~", "..", ".", "-", "*", "#value!", "a", "p"}
MetricsArgument = Sequence[str] | Mapping[str, Metric | str] | str
ColumnsArgument = Mapping[str, str] | str | None
Place = Callable[[int], str]  # the unit and period of a row, in words


@dataclass(frozen=True)
class Built:
    """The parts of a panel made from a frame."""

    units: pd.DataFrame
    calendar: Calendar
    metrics: dict[str, Metric]
    cells: dict[str, Cells]


def _column(frame: pd.DataFrame, name: str, argument: str) -> pd.Series:
    """Return one column, or refuse and say which there are."""
    if not isinstance(frame, pd.DataFrame):
        raise PanelError(
            needed="a pandas DataFrame",
            found=type(frame).__name__,
            where="Panel.from_frame",
            todo="make one, e.g. pandas.DataFrame(data)",
        )
    if frame.empty:
        raise PanelError(
            needed="a data frame with at least one row",
            found="none",
            where="Panel.from_frame",
            todo="check the file or the filter that made it",
        )
    count = int((frame.columns == name).sum())
    if count != 1:
        raise PanelError(
            needed=f"one column {name!r}",
            found=f"{count} of that name; the columns are {first_few(frame.columns, 8)}",
            where=f"{argument}=",
            todo="years stand across the columns: make one row a unit and period first, with "
            "frame.melt(id_vars=…, var_name='year', value_name=…)"
            if argument == "period" and sum(map(_is_year, frame.columns)) > 1
            else "name a column of the frame",
        )
    return frame[name]


def _is_year(name: object) -> bool:
    """Whether a column is called like a period."""
    try:
        Calendar.of([name])
    except PanelError:
        return False
    return True


def numbers(column: pd.Series, *, at: Place, where: str) -> Floats:
    """Return a column as floats, or refuse text and suppression symbols by name and cell.

    Raises
    ------
    PanelError
        If a cell is text, a symbol, or a truth value.
    """
    if (
        pd.api.types.is_bool_dtype(column)
        or pd.api.types.is_datetime64_any_dtype(column)
        or pd.api.types.is_timedelta64_dtype(column)
        or pd.api.types.is_complex_dtype(column)
    ):
        raise PanelError(
            needed="numbers",
            found=f"a column of {column.dtype}",
            where=where,
            todo="choose the column with the numbers",
        )
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    text = column.astype(object)
    out = np.full(len(text), np.nan)
    bad: list[str] = []
    as_text: list[str] = []
    for i, raw in enumerate(text):
        if raw is None or raw is pd.NA or (isinstance(raw, float) and np.isnan(raw)):
            continue
        if isinstance(raw, (int, float, np.integer, np.floating)) and not isinstance(raw, bool):
            out[i] = float(raw)
        else:
            try:  # numbers written as text stand beside the ones that are not
                float(str(raw).strip())
                as_text.append(f"{at(i)}: {raw!s}")
            except ValueError:
                bad.append(f"{at(i)}: {raw!s}")
    if not bad and as_text:
        bad = as_text
    if bad:
        written = {str(raw).strip() for raw in text if isinstance(raw, str)}
        symbols = sorted(one for one in written if one.lower() in _SYMBOLS)
        raise PanelError(
            needed="numbers, with a status beside every cell that has none",
            found=f"text in {first_few(bad)} cells"
            + (f"; suppression symbols {', '.join(symbols)}" if symbols else ""),
            where=where,
            todo="read published files with didkit.read_dfe, which knows what each release's "
            "symbols mean; otherwise keep what a symbol means in a column of its own "
            "(status={metric: column}) and make numbers with "
            "pandas.to_numeric(column, errors='coerce')",
        )
    return out


def _refuse_duplicates(keys: pd.DataFrame, what: str) -> None:
    """Refuse two rows for one cell, naming the first five."""
    twice = keys[keys.duplicated(keep=False)]
    if len(twice):
        cells = [" ".join(map(str, row)) for row in twice.drop_duplicates().itertuples(index=False)]
        raise PanelError(
            needed=f"one row for each {what}",
            found=f"{len(twice)} rows for {first_few(cells)} that stand more than once",
            where="the data frame",
            todo="choose one row of each (look for overlapping extracts or filters left in)",
        )


def _calendar(periods: pd.Series, calendar: Kind | Sequence[object] | None) -> Calendar:
    """Make the calendar from the labels, or hold the labels against a declared one."""
    if periods.isna().any():
        raise PanelError(
            needed="a period in every row",
            found=f"{int(periods.isna().sum())} rows without one",
            where=f"column {periods.name!r}",
            todo="fill the periods, or take these rows out before",
        )
    if pd.api.types.is_datetime64_any_dtype(periods):
        raise PanelError(
            needed="period labels (2018, 2017-18)",
            found="dates",
            where=f"column {periods.name!r}",
            todo="turn each date into its reporting year first: which year a date belongs to "
            "is a decision that the data do not hold",
        )
    found = list(dict.fromkeys(periods.tolist()))
    if calendar is None or isinstance(calendar, str):
        return Calendar.of(found, kind=cast("Kind | None", calendar))
    declared = Calendar.of(calendar, kind="declared")
    labels = {declared.canonical(one) for one in found}
    outside = sorted(labels - set(declared.labels))
    without = [label for label in declared.labels if label not in labels]
    if outside or without:
        raise PanelError(
            needed="exactly the declared periods",
            found=(f"undeclared: {first_few(outside)}; " if outside else "")
            + (f"declared, without any row: {first_few(without)}" if without else ""),
            where=f"column {periods.name!r}",
            todo="mend calendar= or the labels",
        )
    return declared


def _units(
    frame: pd.DataFrame, ids: Sequence[str], name: str | None, attributes: Sequence[str]
) -> pd.DataFrame:
    """Name and attributes of each unit; an attribute that changes over time is refused."""
    parts: dict[str, pd.Series] = {}
    if name is not None:
        parts["name"] = _column(frame, name, "name").astype(str)
    for column in attributes:
        parts[column] = _column(frame, column, "attributes").astype(str)
    index = pd.Index(ids, name="unit")
    table = pd.DataFrame({key: part.to_numpy() for key, part in parts.items()}, index=index)
    for column in attributes:
        kinds = table.groupby(level=0)[column].nunique()
        if (kinds > 1).any():
            raise PanelError(
                needed=f"one {column!r} for each unit",
                found=f"more than one for {first_few(kinds.index[kinds > 1])} units",
                where=f"column {column!r}",
                todo="take the value of one period for each unit",
            )
    table = table[~table.index.duplicated(keep="last")].sort_index()
    if name is None:
        table.insert(0, "name", table.index)
    return table


def _metric(given: Metric | str, column: str) -> Metric:
    """Return the metric meant by a column: given, in the registry, or a plain value."""
    if isinstance(given, Metric):
        return given
    if given in METRICS:
        return METRICS[given]
    if given == column:
        return Metric(name=column)
    return Metric.named(given)  # raises, and suggests the nearest


def _by_metric(argument: ColumnsArgument, what: str, metrics: Sequence[str]) -> dict[str, str]:
    """Check a mapping of metric to column."""
    if argument is None:
        return {}
    if isinstance(argument, str):
        if len(metrics) != 1:
            raise PanelError(
                needed=f"{what}= as a mapping of metric to column when there are several metrics",
                found=repr(argument),
                where="Panel.from_frame",
                todo=f"write {what}={{{metrics[0]!r}: {argument!r}}}",
            )
        return {metrics[0]: argument}
    unknown = [key for key in argument if key not in metrics]
    if unknown:
        raise PanelError(
            needed=f"{what}= for metrics of this panel",
            found=first_few(unknown),
            where="Panel.from_frame",
            todo="choose from: " + ", ".join(metrics),
        )
    return dict(argument)


def _status(column: pd.Series, value: Floats, *, at: Place, where: str) -> np.ndarray:
    """Return status codes from labels, refusing labels that contradict the value."""
    codes = np.empty(len(column), dtype=np.int8)
    wrong: list[str] = []
    for i, raw in enumerate(column.astype(object)):
        try:
            codes[i] = Status.from_label(str(raw))
        except KeyError:
            wrong.append(str(raw))
    if wrong:
        raise PanelError(
            needed="a status: " + ", ".join(s.label for s in Status),
            found=f"{first_few(sorted(set(wrong)))}",
            where=f"column {column.name!r}",
            todo="translate the labels first",
        )
    valued = (Status.OBSERVED, Status.ROUNDED, Status.LOW_RELIABILITY)
    against = np.isin(codes, valued) & ~np.isfinite(value)
    if against.any():
        raise PanelError(
            needed="a value in every cell whose status says that it has one",
            found=f"no value in {first_few(map(at, np.flatnonzero(against).tolist()))} cells",
            where=f"{where}, status {column.name!r}",
            todo="look at what was typed there: pandas.to_numeric(errors='coerce') empties what "
            "it cannot read, such as '52,000' (read_csv has thousands=','); or give the cell "
            "the status 'not available'",
        )
    hidden = ~np.isin(codes, valued) & np.isfinite(value)
    if hidden.any():
        cells = [
            f"{at(i)}: {value[i]:g} is {Status(codes[i]).label}"
            for i in np.flatnonzero(hidden).tolist()
        ]
        raise PanelError(
            needed="no value in a cell whose status says that it has none",
            found=f"a value in {first_few(cells)} cells",
            where=f"{where}, status {column.name!r}",
            todo="empty the cell, or give it a status that has a value: "
            + ", ".join(Status(one).label for one in valued),
        )
    return codes


def _cells(
    frame: pd.DataFrame,
    value_column: str,
    where: tuple[np.ndarray, np.ndarray],
    names: tuple[Sequence[str], Sequence[str]],
    columns: Mapping[str, str | None],
) -> Cells:
    """Lay one column (and its status and bounds) out over units × periods, by their names."""

    def at(row: int) -> str:
        return f"{names[0][where[0][row]]} in {names[1][where[1][row]]}"

    at_column = f"column {value_column!r}"
    value = numbers(_column(frame, value_column, "metrics"), at=at, where=at_column)
    status_column = columns.get("status")
    if status_column is None:
        status = np.where(np.isfinite(value), Status.OBSERVED, Status.NOT_AVAILABLE).astype(np.int8)
        status[np.isinf(value)] = Status.OBSERVED
    else:
        status = _status(_column(frame, status_column, "status"), value, at=at, where=at_column)
    bounds = {}
    for side in ("lower", "upper"):
        name = columns.get(side)
        bounds[side] = (
            value.copy()
            if name is None
            else numbers(_column(frame, name, side), at=at, where=f"column {name!r}")
        )
        bounds[side] = np.where(np.isnan(bounds[side]), value, bounds[side])
    made = Cells.empty(len(names[0]), len(names[1]))
    made.value[where], made.status[where] = value, status
    made.lower[where], made.upper[where] = bounds["lower"], bounds["upper"]
    return made


def cells_from_wide(
    frame: pd.DataFrame,
    *,
    unit: str,
    period: str,
    metrics: MetricsArgument,
    exposure: str | None,
    status: ColumnsArgument,
    lower: ColumnsArgument,
    upper: ColumnsArgument,
    name: str | None,
    attributes: Sequence[str],
    identity: Identity,
    calendar: Kind | Sequence[object] | None,
) -> Built:
    """Build cells from one row a unit and period; see `Panel.from_frame`."""
    if isinstance(metrics, str):
        metrics = [metrics]
    objects = [] if isinstance(metrics, Mapping) else [m for m in metrics if isinstance(m, Metric)]
    if objects:
        raise PanelError(
            needed="the names of the columns, or a mapping of column to metric",
            found=f"{first_few(one.name for one in objects)} as Metric, without a column",
            where="metrics=",
            todo=f"write metrics={{'the column': Metric(name={objects[0].name!r}, …)}}",
        )
    given: dict[str, Metric | str] = (
        dict(metrics) if isinstance(metrics, Mapping) else {column: column for column in metrics}
    )
    if exposure is not None:
        column: object = exposure
        if not isinstance(column, str):
            raise PanelError(
                needed="the name of one column of children, the denominator of every rate",
                found=f"a {type(column).__name__}: {column!r}",
                where="exposure=",
                todo='write exposure="children"',
            )
        given = {**given, exposure: "population"}
    if not given:
        raise PanelError(
            needed="at least one metric",
            found="none",
            where="metrics=",
            todo="name the columns that hold numbers",
        )
    known = {column: _metric(one, column) for column, one in given.items()}
    names = [metric.name for metric in known.values()]
    if len(set(names)) != len(names):
        raise PanelError(
            needed="each metric from one column",
            found=first_few(sorted({n for n in names if names.count(n) > 1})),
            where="metrics=",
            todo="name each metric once",
        )
    ids = unit_ids(_column(frame, unit, "unit"), identity=identity, where=f"column {unit!r}")
    made = _calendar(_column(frame, period, "period"), calendar)
    labels = [made.canonical(raw) for raw in frame[period]]
    _refuse_duplicates(pd.DataFrame({"unit": ids, "period": labels}), "unit and period")
    units = _units(frame, ids, name, attributes)
    row = {code: i for i, code in enumerate(units.index)}
    position = {label: made.position(label) for label in dict.fromkeys(labels)}
    place = (
        np.array([row[code] for code in ids], dtype=np.intp),
        np.array([position[label] for label in labels], dtype=np.intp),
    )
    side = {
        what: _by_metric(argument, what, names)
        for what, argument in (("status", status), ("lower", lower), ("upper", upper))
    }
    axes = (list(units.index), made.labels)
    cells = {
        metric.name: _cells(frame, column, place, axes, {w: side[w].get(metric.name) for w in side})
        for column, metric in known.items()
    }
    return Built(units, made, {metric.name: metric for metric in known.values()}, cells)


def cells_from_long(
    frame: pd.DataFrame,
    *,
    unit: str,
    period: str,
    metrics: MetricsArgument,
    value: str | None,
    exposure: str | None,
    status: ColumnsArgument,
    lower: ColumnsArgument,
    upper: ColumnsArgument,
    name: str | None,
    attributes: Sequence[str],
    identity: Identity,
    calendar: Kind | Sequence[object] | None,
) -> Built:
    """Build cells from one row a unit, period and metric; see `Panel.from_frame`."""
    if not isinstance(metrics, str) or value is None:
        raise PanelError(
            needed="metrics= naming the column of metric names, and value= the column of numbers",
            found=f"metrics={metrics!r}, value={value!r}",
            where="Panel.from_frame(layout='long')",
            todo="name both columns",
        )
    if exposure is not None:
        raise PanelError(
            needed="a long frame in which the population is a metric of its own",
            found=f"exposure={exposure!r}",
            where="Panel.from_frame(layout='long')",
            todo="give the population rows of its own, with the metric name 'population'",
        )
    kinds = _column(frame, metrics, "metrics").astype(str)
    ids = unit_ids(_column(frame, unit, "unit"), identity=identity, where=f"column {unit!r}")
    made = _calendar(_column(frame, period, "period"), calendar)
    labels = [made.canonical(raw) for raw in frame[period]]
    keys = pd.DataFrame({"unit": ids, "period": labels, "metric": kinds.to_numpy()})
    _refuse_duplicates(keys, "unit, period and metric")
    units = _units(frame, ids, name, attributes)
    row = {code: i for i, code in enumerate(units.index)}
    i = np.array([row[code] for code in ids], dtype=np.intp)
    t = np.array([made.position(label) for label in labels], dtype=np.intp)
    columns: dict[str, str | None] = {}
    for what, argument in (("status", status), ("lower", lower), ("upper", upper)):
        if isinstance(argument, Mapping):
            raise PanelError(
                needed=f"{what}= as the name of one column when the frame is long",
                found="a mapping",
                where="Panel.from_frame(layout='long')",
                todo="name the column",
            )
        columns[what] = argument
    axes = (list(units.index), made.labels)
    known: dict[str, Metric] = {}
    cells: dict[str, Cells] = {}
    for kind in dict.fromkeys(kinds):
        mine = (kinds == kind).to_numpy()
        metric = METRICS.get(kind, Metric(name=kind))
        known[metric.name] = metric
        part = frame.loc[mine]
        cells[metric.name] = _cells(part, value, (i[mine], t[mine]), axes, columns)
    return Built(units, made, known, cells)
