"""Any open-data CSV of Explore education statistics → panel: chosen filters, chosen indicators."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from didkit.errors import DidkitWarning, ReadError, first_few, is_whole
from didkit.panel import METRICS, Cells, Identity, Metric, Panel, Source, Status, unit_ids
from didkit.read.choose import (
    Kept,
    Metrics,
    choose_metrics,
    keep_filters,
    keep_level,
    leave_out,
    level_column,
)
from didkit.read.ees_time import Dated, Gaps, Span, dated
from didkit.read.grid import Texts
from didkit.read.parse import parse
from didkit.read.rules import Column, Release, Symbol
from didkit.read.sheet import NUMBER, Sheet, need, open_sheet

__all__ = ["Metrics", "Symbols", "read_ees_csv", "to_panel"]

Symbols = Mapping[str, str | Status | Symbol]

# The symbols of the Government Statistical Service, which the Department follows now. Older ones
# (':', '..', '~', '.') meant different things in different years, so nothing is assumed of them.
_SYMBOLS = {
    "c": Symbol(Status.SUPPRESSED, "confidential"),
    "z": Symbol(Status.NOT_APPLICABLE, "not applicable"),
    "x": Symbol(Status.NOT_AVAILABLE, "not available"),
    "u": Symbol(Status.NOT_AVAILABLE, "low reliability: no value is published"),
    "low": Symbol(Status.ROUNDED, "above zero, rounds to it", rounds_to_zero=True),
    "k": Symbol(Status.ROUNDED, "above zero, rounds to it", rounds_to_zero=True),
}
# Level: columns of code and name, and what the codes are.
_LEVELS: dict[str, tuple[str, str, Identity]] = {
    "local authority": ("old_la_code", "la_name", "la_code"),
    "regional": ("region_code", "region_name", "any"),
    "national": ("country_code", "country_name", "any"),
}


def read_ees_csv(
    path: str | PathLike[str],
    *,
    metrics: Metrics | None = None,
    filters: Mapping[str, str] | None = None,
    level: str = "Local authority",
    periods: Span | None = None,
    without: Sequence[str] = (),
    meta: str | PathLike[str] | None = None,
    symbols: Symbols | None = None,
    period: str = "time_period",
    unit: str | None = None,
    rounded_to: int | Mapping[str, int] = 1,
    release: str | None = None,
    gaps: Gaps = "refuse",
) -> Panel:
    r"""Read any open-data CSV of Explore education statistics: absence, exclusions, and others.

    Nothing is taken as total by its name: every filter with several values is chosen by the
    caller, or the error lists what there is. So call it first without `metrics`, then with
    `metrics` only: the errors list the indicators, then the filters to choose.

    Parameters
    ----------
    path : str or path
        A CSV file, or a zip or folder with one. Its ``.meta.csv`` is found beside it by name.
    metrics : str, sequence or mapping
        Columns of the indicators (without it, the error lists them), or a mapping of each to a
        `Metric`, a name in `didkit.METRICS`, or a new short name. A new name is of kind
        ``"percent"`` where the metadata give the unit %; otherwise a plain ``"value"``, since a
        whole number may be a count or a rounded rate: say which with a `Metric`.
    filters : mapping of str to str, optional
        Filter column to the value that is read.
    level : str
        Geographic level that is read: ``"Local authority"``, ``"Regional"``, ``"National"``, or
        another together with `unit`.
    periods : (first, last), optional
        Read only these periods, both included.
    without : sequence of str, optional
        Units to leave out, by the code or name in the file: joint rows ("942 / 943"), or units
        without a code.
    meta : str or path, optional
        Metadata file, where it does not stand beside the table.
    symbols : mapping of str to str, optional
        What further symbols mean: ``{":": "not available", "~": "rounded"}``; they go before the
        default ones: c, z, x, u, and low and k.
    period : str
        Column of the period.
    unit : str, optional
        Column of the units' codes. By default 3-digit codes of authorities (``old_la_code``), or
        the code of the region or country.
    rounded_to : int or mapping of str to int, default 1
        What counts and plain whole numbers at this level were rounded to, for all columns or by
        column: often 10 for regions and England.
    release : str, optional
        What to call the source. By default the name of the file.
    gaps : {"refuse", "not available"}, default "refuse"
        What to do about periods that lack between others. With ``"not available"`` they stand in
        the calendar with every cell absent, and the log names them.

    Returns
    -------
    Panel
        A published number with digits after the point lies within half of the last digit that
        the column uses; so does a whole number, unless its metric is a count. A suppressed
        number is 0 or more (a percentage at most 100; a ``"value"`` is unbounded). The log counts
        rows used, and rows not used by reason. Reporting and financial years are years that end
        on 31 March; academic and tax years are split years (2017-18).

    Raises
    ------
    ReadError
        No such file or columns; a filter that must be chosen; an unknown value, level or symbol;
        a negative count, rate or percentage; mixed kinds of periods or a gap; several rows for
        one unit and period; units without a code of their own.

    Warns
    -----
    DidkitWarning
        Whole numbers that are taken as they are look rounded.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> head = "time_period,time_identifier,geographic_level,old_la_code,la_name,sex,number\n"
    >>> rows = [
    ...     f"{year},Academic year,Local authority,926,Norfolk,{sex},{n}\n"
    ...     for year in (201718, 201819)
    ...     for sex, n in (("Total", 30), ("Female", 16))
    ... ]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "absence.csv"
    ...     _ = file.write_text(head + "".join(rows), encoding="utf-8")
    ...     panel = read_ees_csv(file, metrics=["number"], filters={"sex": "Female"})
    >>> panel.wide("number").loc["926", "2018-19"].item()
    16.0
    """
    sheet = open_sheet(path, meta)
    return to_panel(
        sheet,
        metrics=metrics,
        filters=filters,
        level=level,
        periods=periods,
        without=without,
        symbols=symbols,
        period=period,
        unit=unit,
        rounded_to=rounded_to,
        release=release,
        gaps=gaps,
    )


def to_panel(
    sheet: Sheet,
    *,
    metrics: Metrics | None = None,
    filters: Mapping[str, str] | None = None,
    level: str = "Local authority",
    periods: Span | None = None,
    without: Sequence[str] = (),
    symbols: Symbols | None = None,
    period: str = "time_period",
    unit: str | None = None,
    rounded_to: int | Mapping[str, int] = 1,
    release: str | None = None,
    gaps: Gaps = "refuse",
    log: Sequence[tuple[str, str, int]] = (),
) -> Panel:
    """Make a panel of a table that has been read as text; see `read_ees_csv`."""
    columns, header = sheet.columns, list(sheet.columns)
    known = _symbols(symbols)
    need(header, (period, "time_identifier"), sheet.name)
    levels = level_column(sheet)
    chosen = choose_metrics(sheet, metrics)
    steps = _rounded(rounded_to, list(chosen))
    kept = Kept(sheet.rows)
    keep_level(kept, columns[levels], level, f"{sheet.name}, column {levels}")
    code, name, identity = _unit_columns(sheet, level, unit)
    said = keep_filters(kept, sheet, dict(filters or {}), set(chosen), known)
    leave_out(kept, columns[code], columns[name], without, sheet.name)
    rows = np.flatnonzero(kept.keep)
    when = dated(
        columns[period][rows],
        columns["time_identifier"][rows],
        within=periods,
        where=sheet.name,
        gaps=gaps,
    )
    outside = np.zeros(sheet.rows, dtype=bool)
    outside[rows[~when.keep]] = True
    kept.drop(outside, "outside periods=")
    when = Dated(when.labels[when.keep], when.calendar, when.keep[when.keep], when.filled)
    rows = np.flatnonzero(kept.keep)
    kept.log.insert(1, (f"rows used: {level.casefold()}", len(rows)))

    codes = _codes(columns[code][rows], columns[name][rows], identity, f"{sheet.name}, {code}")
    _refuse_duplicates(sheet, rows, codes, when.labels, chosen)
    units, row = _units(sheet, rows, codes, name, when, identity)
    title = release or Path(sheet.name).stem
    rules = Release(name=title, title=title, symbols=known, tables=())
    into = (row, np.array([when.calendar.position(one) for one in when.labels], dtype=np.intp))
    called = columns[name][rows]

    def at(i: int) -> str:
        return f"{codes[i]} ({called[i]}) in {when.labels[i]}"

    cells: dict[str, Cells] = {}
    made: dict[str, Metric] = {}
    for column, metric in chosen.items():
        decimals = _decimals(columns[column], metric)
        where = f"{sheet.name}, {column}"
        texts = columns[column][rows]
        given = _parsed(texts, column, metric, decimals, steps[column], rules, at, where)
        laid = Cells.empty(len(units), len(when.calendar))
        laid.value[into], laid.status[into] = given.value[:, 0], given.status[:, 0]
        laid.lower[into], laid.upper[into] = given.lower[:, 0], given.upper[:, 0]
        cells[metric.name] = laid
        new = metric.name not in METRICS and not _given(metrics, column)
        made[metric.name] = replace(metric, decimals=decimals) if new else metric
    note = "; ".join(part for part in (said, sheet.note) if part)
    source = Source(title, level.casefold(), sheet.name, sheet.sha256, note)
    label = title if title == Path(sheet.name).stem else f"{title} ({sheet.name})"
    entries = [*log, *((label, what, n) for what, n in kept.log)]
    entries += [
        (label, f"no source for period {one}: its cells are absent", 0) for one in when.filled
    ]
    return Panel(
        units=units,
        calendar=when.calendar,
        metrics=made,
        cells=cells,
        sources=dict.fromkeys(cells, (source,)),
        log=pd.DataFrame(entries, columns=["source", "what", "rows"]),
        identity=identity,
    )


def _symbols(given: Symbols | None) -> dict[str, Symbol]:
    """Join the symbols that the caller explains to the default ones."""
    made = dict(given or {})
    explained: dict[str, Symbol] = {}
    for written, what in made.items():
        if isinstance(what, Symbol):
            explained[written] = what
            continue
        try:
            status = what if isinstance(what, Status) else Status.from_label(what)
        except (KeyError, AttributeError):
            status = Status.OBSERVED
        if status in (Status.OBSERVED, Status.ABSENT, Status.LOW_RELIABILITY):
            raise ReadError(
                needed="suppressed, rounded (above zero, rounds to it), not available or not "
                "applicable, as what a symbol means",
                found=f"{written!r}: {what!r}",
                where="symbols=",
                todo="choose one; a number that is withheld for low reliability is 'not available'",
            )
        zero = status == Status.ROUNDED
        meaning = "above zero, rounds to it" if zero else status.label
        explained[written] = Symbol(status, meaning, rounds_to_zero=zero)
    return {**_SYMBOLS, **explained}


def _given(metrics: Metrics | None, column: str) -> bool:
    return isinstance(metrics, Mapping) and isinstance(metrics[column], Metric)


def _rounded(given: int | Mapping[str, int], columns: list[str]) -> dict[str, int]:
    """What each column's whole numbers were rounded to."""
    made = dict.fromkeys(columns, 1)
    made |= given if isinstance(given, Mapping) else dict.fromkeys(columns, given)
    wrong = [f"{one}: {by!r}" for one, by in made.items() if not is_whole(by) or by < 1]
    wrong += [one for one in made if one not in columns]
    if wrong:
        raise ReadError(
            needed="rounded_to= as a whole number, 1 or more, for all metrics or by column",
            found=first_few(wrong),
            where="rounded_to=",
            todo="say 10 where numbers were rounded to 10; columns are " + ", ".join(columns),
        )
    return made


def _unit_columns(sheet: Sheet, level: str, unit: str | None) -> tuple[str, str, Identity]:
    """Columns of code and name, and what the codes are."""
    code, name, identity = _LEVELS.get(level.casefold(), ("", "", "any"))
    if unit is not None:
        identity = "la_code" if unit == "old_la_code" else "any"
        near = re.sub("_(?:code|id|urn|ukprn|laestab)$", "_name", unit)
        name = name or (near if near in sheet.columns else unit)
        code = unit
    if not code:
        raise ReadError(
            needed="the column of the units' codes, for a level other than local authority, "
            "regional and national",
            found=f"level={level!r}",
            where="read_ees_csv",
            todo="say unit='…', for example unit='lad_code'",
        )
    need(list(sheet.columns), (code, name), sheet.name)
    return code, name, identity


# -- the units and cells -------------------------------------------------------------------------


def _codes(raw: Texts, names: Texts, identity: Identity, where: str) -> list[str]:
    """Write codes of units, or refuse those that are none, by the units' names."""
    fits = re.compile("[0-9]{3}" if identity == "la_code" else r"(?!(?:z|x|c)$).+")
    wrong = {
        f"{name} ({code or 'blank'})": name or code
        for code, name in zip(raw, names, strict=True)
        if not fits.fullmatch(code)
    }
    if wrong:
        raise ReadError(
            needed="a 3-digit code for every authority"
            if identity == "la_code"
            else "a code for every unit",
            found=f"{first_few(wrong)} without one",
            where=where,
            todo=f"leave them out by name: without={list(wrong.values())[:5]!r}; or take the "
            "units from another column: unit='new_la_code'",
        )
    return unit_ids(raw, identity=identity, where=where)


def _refuse_duplicates(
    sheet: Sheet, rows: np.ndarray, codes: list[str], labels: Texts, chosen: Mapping[str, Metric]
) -> None:
    """Refuse several rows for a cell, and name the columns by which they differ."""
    keys = pd.DataFrame({"unit": codes, "period": labels})
    again = keys.duplicated(keep=False).to_numpy()
    if not again.any():
        return
    which = keys.loc[again].drop_duplicates()
    first = again & (keys == which.iloc[0]).all(axis=1).to_numpy()
    differ = {
        column: list(dict.fromkeys(values[rows[first]]))
        for column, values in sheet.columns.items()
        if column not in chosen and len(set(values[rows[first]])) > 1
    }
    cells = [f"{unit} in {period}" for unit, period in which.itertuples(index=False)]
    raise ReadError(
        needed="one row for each unit and period",
        found=f"{int(again.sum())} rows for {first_few(cells)} that stand more than once"
        + "".join(
            f"; {one} differs: {first_few(map(repr, has), 4)}" for one, has in differ.items()
        ),
        where=sheet.name,
        todo="choose a value of the column that tells them apart, with filters="
        if differ
        else "take the rows that stand twice out: extracts may have been put together twice",
    )


def _units(
    sheet: Sheet, rows: np.ndarray, codes: list[str], name: str, when: Dated, identity: Identity
) -> tuple[pd.DataFrame, np.ndarray]:
    """Units with their latest name (and region), and the unit of each row."""
    order = [when.calendar.position(one) for one in when.labels]
    about = pd.DataFrame({"unit": codes, "name": sheet.columns[name][rows], "order": order})
    if identity == "la_code" and "region_name" in sheet.columns:
        about["region"] = sheet.columns["region_name"][rows]
    about = about.sort_values(["unit", "order"], kind="stable").drop_duplicates("unit", keep="last")
    units = about.set_index("unit").drop(columns="order")
    row = pd.Series(np.arange(len(units)), index=units.index).loc[codes].to_numpy()
    return units, row


def _decimals(texts: Texts, metric: Metric) -> int | None:
    """Digits after the point: the metric's, or as many as the column uses; none for a count.

    The metadata's number of decimal places says how to show a number, not how it was rounded.
    """
    if metric.decimals is not None or metric.kind == "count":
        return metric.decimals
    return max((len(one.partition(".")[2]) for one in texts if NUMBER.fullmatch(one)), default=0)


def _parsed(
    texts: Texts,
    column: str,
    metric: Metric,
    decimals: int | None,
    rounded_to: int,
    rules: Release,
    at: Callable[[int], str],
    where: str,
) -> Cells:
    """Turn text into cells by the room's rules; only a plain value may be below zero."""
    _refuse_rounded_count(texts, metric, decimals, rules, at, where)
    whole = metric.kind in ("count", "value") and not decimals
    if whole and rounded_to > 1:
        told = Column(column, metric.name, None, rounded_to=rounded_to)
    else:
        told = Column(column, metric.name, decimals)
    if whole and rounded_to == 1:
        _warn_of_rounding(texts, where)
    return parse(texts, told, rules, at=at, where=where, metric=metric)


def _warn_of_rounding(texts: Texts, where: str) -> None:
    """Say so when whole numbers taken as they are are all multiples of 5 or more."""
    known = {int(one) for one in texts if one.isascii() and one.isdecimal()} - {0}
    step = math.gcd(*known)
    if len(known) >= 5 and step % 5 == 0:
        warnings.warn(
            f"{where}: {len(known)} different numbers are all multiples of {step}; if they were "
            f"rounded, say rounded_to={step}, so that their bounds do",
            DidkitWarning,
            stacklevel=5,
        )


def _refuse_rounded_count(
    texts: Texts,
    metric: Metric,
    decimals: int | None,
    rules: Release,
    at: Callable[[int], str],
    where: str,
) -> None:
    """A number that rounds to zero says that the column is rounded: then it is no exact count."""
    zero = [one for one, symbol in rules.symbols.items() if symbol.rounds_to_zero]
    if decimals is not None:
        return
    hit = [i for i, one in enumerate(texts) if one in zero]
    if hit:
        raise ReadError(
            needed=f"exact counts for {metric.name!r}",
            found="numbers that were rounded: "
            + first_few(f"{texts[i]!r} for {at(i)}" for i in hit),
            where=where,
            todo="give the metric as Metric(…, kind='value'), or with decimals=0 where it was "
            "rounded to whole numbers",
        )
