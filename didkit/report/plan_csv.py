"""A CSV of the evaluator's own, as ``reader = "csv"`` of a plan names its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from didkit.errors import PlanError, first_few
from didkit.panel import METRICS, Metric, Panel
from didkit.read.files import digest, read_path, refuse_binary
from didkit.report.plan_file import together
from didkit.report.plan_parts import DataFile

__all__ = ["read_csv"]

Where = Callable[..., str]

_BY_METRIC = ("status", "lower", "upper")


def read_csv(file: DataFile, place: Path, where: Where, *, plan: str) -> Panel:
    """Read a CSV in UTF-8 with one header and rows of equal length.

    Parameters
    ----------
    file : DataFile
        Its columns by their keys in the plan.
    place : Path
        The file.
    where : callable
        Names the line of a key of this file's section.
    plan : str
        Name of the plan's file.

    Raises
    ------
    PlanError
        Not such a file; a column that stands twice, or is named and not there.
    DidkitError
        It cannot be read, or its cells make no panel.
    """
    data = read_path(place)
    refuse_binary(data, place.name)
    header = _header(data, place, where)
    wrong = list(_problems(file, header, place, where))
    if wrong:
        raise together(wrong, plan)
    columns = dict(file.columns)
    as_text = [columns[key] for key in ("unit", "period", "name") if key in columns]
    as_text += [str(one) for one in dict(columns.get("status", {})).values()]
    kinds = dict.fromkeys(as_text, str)
    try:
        frame = pd.read_csv(io.BytesIO(data), encoding="utf-8-sig", dtype=kinds, index_col=False)
    except ValueError as error:  # a quote that is opened and never closed
        raise _no_csv(place, where, str(error).strip()) from error
    values = columns.pop("values")
    panel = Panel.from_frame(
        frame,
        metrics={
            column: Metric.named(name) if name in METRICS else Metric(name=name)
            for column, name in values.items()
        },
        release=file.release or place.name,
        **columns,
    )
    sources = {
        metric: tuple(replace(one, file=place.name, sha256=digest(data)) for one in found)
        for metric, found in panel.sources.items()
    }
    return Panel(
        units=panel.units,
        calendar=panel.calendar,
        metrics=panel.metrics,
        cells={metric: panel.cells(metric) for metric in panel.metrics},
        sources=sources,
        log=panel.log,
        identity=panel.identity,
    )


def _header(data: bytes, place: Path, where: Where) -> list[str]:
    """Return the first row, once every other row is known to be as long."""
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        header = next((row for row in rows if row), [])
        other = next((row for row in rows if row and len(row) != len(header)), None)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_csv(place, where, str(error).strip()) from error
    if other is not None:
        fields = f"{len(other)} field{'s' * (len(other) != 1)}"
        raise _no_csv(
            place, where, f"{fields} on line {rows.line_num}, {len(header)} in the header"
        )
    return header


def _no_csv(place: Path, where: Where, found: str) -> PlanError:
    return PlanError(
        needed="a CSV in UTF-8 with one header and lines of equal length",
        found=found,
        where=f"{where('path')}: {place.name}",
        todo="save it as 'CSV UTF-8' with the columns in the first line",
    )


def _problems(file: DataFile, header: list[str], place: Path, where: Where) -> Iterator[PlanError]:
    """Find columns that stand twice in the file, and those that the plan names in vain."""
    twice = list(dict.fromkeys(one for one in header if one and header.count(one) > 1))
    if twice:
        yield PlanError(
            needed="each column once",
            found=f"{', '.join(map(repr, twice))} more than once",
            where=f"{where('path')}: {place.name}",
            todo="rename or take out all but one in the file",
        )
    for keys, column in _named(file):
        if column not in header:
            yield PlanError(
                needed=f"columns of {place.name}",
                found=f"{column!r}, which it does not have",
                where=where(*keys),
                todo=f"its columns are {first_few(header, 20)}",
            )


def _named(file: DataFile) -> Iterator[tuple[tuple[str, ...], str]]:
    """Go through the columns that the plan names, each with its keys."""
    for key in ("unit", "period", "exposure", "name"):
        if key in file.columns:
            yield (key,), str(file.columns[key])
    for column in file.columns["values"]:
        yield ("values", column), str(column)
    for key in _BY_METRIC:
        for metric, column in dict(file.columns.get(key, {})).items():
            yield (key, metric), str(column)
