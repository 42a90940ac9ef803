"""Tables of the Department for Education: recognised, read by their release's rules, joined."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike

import numpy as np
import pandas as pd

from didkit.errors import DidkitWarning, PanelError, ReadError, first_few
from didkit.panel import METRICS, Calendar, Cells, Panel, Source, unit_ids
from didkit.read.files import File, Listing, digest, is_table, list_files
from didkit.read.grid import Grid, Texts, open_grid
from didkit.read.parse import parse
from didkit.read.rules import RELEASES, Release, Table

__all__ = ["read_dfe"]

_USED = "rows used: local authority"
_FOREIGN = "columns of no known table"


def read_dfe(path: str | PathLike[str], *, release: str | None = None) -> Panel:
    r"""Read published tables of the Department for Education.

    Release and table are recognised from a file's columns and periods, not from its name. Rates,
    counts and populations are taken as published; `Panel.compute_rate` makes others.

    Parameters
    ----------
    path : str or path
        A CSV file, a folder, or a zip of CSV files (read in memory, with limits). In a folder
        or zip, files that are no table of a known release are not used, and the log says so.
    release : str, optional
        Name of a release in `didkit.read.RELEASES`. Needed only for a part of a release (fewer
        periods than published), or to take one release out of a folder that holds several.

    Returns
    -------
    Panel
        By 3-digit authority code and reporting year: 2018 is the year that ends on 31 March 2018,
        and a population is the mid-year estimate of the year before. Counts are in children (or
        referrals), rates per 10,000 children, re-referrals in per cent, durations in working
        days. ``sources`` hold release, table, file name and SHA-256; the log gives each file's
        rows read, used, and not used.

        Bounds: counts of authorities are exact; a rounded rate, percentage or median lies within
        half of its last digit; a suppressed cell is 0 or more, without a known upper bound, where
        the release also hides numbers to protect others (all of the present releases do), and 1
        to 5 where it does not. A cell that is not available or not applicable has no bounds.

    Raises
    ------
    ReadError
        No such file; empty, binary, not a CSV, over a limit; rows of unequal length; columns or
        periods of no known release (the nearest table is named); an unknown geographic level,
        category or symbol; a negative or malformed number; duplicate unit-period rows; a period
        that does not parse; releases of one metric mixed in a folder; published rates that
        contradict the counts.
    PanelError
        Codes that are not 3 digits, or files of one release that disagree.

    Warns
    -----
    DidkitWarning
        A few published rates do not agree with the counts they are made of.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> text = "geog_l,geog_c,geog_n,CLA_Mar2013\nNATIONAL,999,ENGLAND,100\nLA,926,Norfolk,95\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "any name.csv"
    ...     _ = file.write_text(text, encoding="utf-8")
    ...     panel = read_dfe(file)
    >>> panel.wide("cla_count").loc["926", "2013"].item()
    95.0
    >>> panel.sources["cla_count"][0].release
    'sfr_cla_2013'
    """
    if release is not None and release not in RELEASES:
        near = difflib.get_close_matches(str(release), RELEASES, n=2, cutoff=0.4)
        raise ReadError(
            needed="the name of a release: " + ", ".join(RELEASES),
            found=repr(release),
            where="release=",
            todo=f"did you mean {' or '.join(near)}?" if near else "choose one of them",
        )
    listing = list_files(path)
    read: list[_Read] = []
    log: list[tuple[str, str, int]] = []
    for file in listing.files:
        alone = listing.kind == "file"
        if not alone and not is_table(file.name):
            log.append((file.name, "file not used: not a CSV table", 0))
            continue
        made = _read_file(file, release, alone=alone)
        log += made.log
        if made.panel is not None:
            read.append(made)
    panels = [made.panel for made in read if made.panel is not None]
    if not panels:
        raise ReadError(
            needed="at least one table of a known release"
            + (f" ({release})" if release else ": " + ", ".join(RELEASES)),
            found=first_few(f"{source}: {what}" for source, what, _ in log) if log else "no file",
            where=listing.name,
            todo="name the folder, zip or file that holds the CSV files",
        )
    if release is None:
        _refuse_mixture(panels, listing)
    joined = panels[0]
    for panel in panels[1:]:
        joined = joined | panel
    panel = Panel(
        units=joined.units,
        calendar=joined.calendar,
        metrics=joined.metrics,
        cells={name: joined.cells(name) for name in joined.metrics},
        sources=joined.sources,
        log=pd.DataFrame(log, columns=["source", "what", "rows"]),
        identity=joined.identity,
    )
    _check_rates(panel, listing.name)
    return panel


@dataclass(frozen=True)
class _Read:
    """What became of one file."""

    panel: Panel | None = None
    log: list[tuple[str, str, int]] = field(default_factory=list)


def _read_file(file: File, release: str | None, *, alone: bool) -> _Read:
    """Recognise one file and read it; in a folder, what is not recognised is logged."""
    data = file.read()
    grid = open_grid(data, file.name)
    fitting = [
        (one, table)
        for one in RELEASES.values()
        for table in one.tables
        if set(table.signature) <= set(grid.header)
    ]
    asked = [pair for pair in fitting if release is None or pair[0].name == release]
    if not asked:
        if alone or (not fitting and _nearly(grid)):
            raise _unrecognised(grid, release, fitting)
        return _Read(log=_not_used(grid, f"not {release}" if fitting else _FOREIGN))
    wanted = {name for _, table in asked for name in table.signature}
    columns = grid.columns(name for name in grid.header if name in wanted)
    rules, table, periods = _recognise(grid, columns, asked, named=release is not None)
    if grid.encoding not in rules.encodings:
        raise ReadError(
            needed=f"text in {' or '.join(rules.encodings)}, as {rules.name} is published",
            found="bytes that are not UTF-8",
            where=file.name,
            todo="download it again: a spreadsheet may have saved it in another encoding",
        )
    source = f"{rules.name} {table.name} ({file.name})"
    n = len(columns[table.geography.code])
    if not table.columns:
        if alone:
            raise ReadError(
                needed="a table with a metric that didkit reads",
                found=f"table {table.name} of {rules.name}: {table.title}",
                where=file.name,
                todo="read another table of the release",
            )
        return _Read(log=[(source, "rows read", n), (source, "rows not used: no metric in it", n)])
    keep, log = _rows(columns, table, file.name)
    panel = _panel(
        {name: texts[keep] for name, texts in columns.items()},
        periods[keep] if periods is not None else None,
        rules,
        table,
        Source(
            rules.name,
            table.name,
            file.name,
            digest(data),
            "" if grid.encoding == "utf-8-sig" else f"decoded as {grid.encoding}",
        ),
    )
    return _Read(panel, [(source, what, rows) for what, rows in [("rows read", n), *log]])


def _not_used(grid: Grid, reason: str) -> list[tuple[str, str, int]]:
    """Log a file of a folder that is no table of a known release, whatever its rows are like."""
    try:
        n = len(grid.columns(grid.header[:1])[grid.header[0]])
    except ReadError as error:
        return [(grid.name, f"file not used: {reason}; {error.found}", 0)]
    return [(grid.name, "rows read", n), (grid.name, f"rows not used: {reason}", n)]


# -- recognised ----------------------------------------------------------------------------------


def _distance(grid: Grid, table: Table) -> tuple[int, int]:
    """How many of a table's columns are missing: of those measured, and of all."""
    header = set(grid.header)
    values = sum(name not in header for name in table.values)
    return values, sum(name not in header for name in table.signature)


def _nearly(grid: Grid) -> bool:
    """Whether just one column is missing of a table of which at least one value is there."""
    return any(
        _distance(grid, table)[1] == 1 and set(table.values) & set(grid.header)
        for release in RELEASES.values()
        for table in release.tables
        if len(table.values) > 1
    )


def _unrecognised(
    grid: Grid, release: str | None, fitting: Sequence[tuple[Release, Table]]
) -> ReadError:
    if fitting:
        return ReadError(
            needed=f"a table of {release}",
            found="the columns of " + first_few(f"{one.name} {tab.name}" for one, tab in fitting),
            where=grid.name,
            todo="leave release= out, or name the other release",
        )
    known = [
        (one, table)
        for one in RELEASES.values()
        for table in one.tables
        if release is None or one.name == release
    ]
    near, table = min(known, key=lambda pair: _share_missing(grid, pair[1]))
    missing = [name for name in table.signature if name not in grid.header]
    return ReadError(
        needed=f"the columns of a table that is known; the nearest is {near.name} {table.name} "
        f"({table.title}), of which are missing: {first_few(map(repr, missing), 8)}",
        found=f"{first_few(map(repr, grid.header), 12)} columns",
        where=grid.name,
        todo="read the file as published, with its first line as the header; releases that are "
        "known: " + ", ".join(RELEASES),
    )


def _share_missing(grid: Grid, table: Table) -> float:
    return _distance(grid, table)[1] / len(table.signature)


def _recognise(
    grid: Grid,
    columns: dict[str, Texts],
    fitting: Sequence[tuple[Release, Table]],
    *,
    named: bool,
) -> tuple[Release, Table, Texts | None]:
    """Choose the release of which the file has the periods; years of each row, if it has any."""
    exact: list[tuple[Release, Table, Texts | None]] = []
    part: list[tuple[Release, Table, Texts | None]] = []
    found: set[int] = set()
    for release, table in fitting:
        if table.period is None:
            exact.append((release, table, None))
            continue
        years = _years(columns, table, grid.name)
        found = {int(year) for year in np.unique(years.astype(np.int64))}
        whole = set(range(table.first, table.last + 1))
        if found == whole:
            exact.append((release, table, years))
        elif found <= whole:
            part.append((release, table, years))
    choice = exact or (part if named else [])
    if len(choice) == 1:
        return choice[0]
    if choice:
        raise ReadError(
            needed="a file that fits one release",
            found="the columns of " + first_few(f"{one.name} {tab.name}" for one, tab, _ in choice),
            where=grid.name,
            todo="say which: release='…'",
        )
    spans = [f"{one.name} {tab.name}: {tab.first} to {tab.last}" for one, tab in fitting]
    raise ReadError(
        needed=f"the periods of a known release ({'; '.join(spans)})",
        found=f"{first_few(sorted(found), 12)} periods",
        where=f"{grid.name}, column {fitting[0][1].period}",
        todo=f"if this is a part of that release, name it: release={part[0][0].name!r}"
        if part
        else "the columns are known, the release is not: its symbols may differ, so it is not "
        "guessed",
    )


def _years(columns: dict[str, Texts], table: Table, file: str) -> Texts:
    """Year of each row, from labels such as 2018 or 201718."""
    labels = columns[str(table.period)]
    years: dict[str, int] = {}
    bad: list[str] = []
    for label in dict.fromkeys(labels):
        try:
            years[label] = int(Calendar.of([label], kind="reporting year").labels[0])
        except PanelError:
            bad.append(repr(label))
    where = f"{file}, column {table.period}"
    if bad:
        raise ReadError(
            needed="years (2018) or two years in a row (201718) as periods",
            found=f"{first_few(bad)} that do not parse",
            where=where,
            todo="read the file as published",
        )
    if table.identifier is not None:
        column, value = table.identifier
        other = sorted({repr(one) for one in columns[column] if one != value})
        if other:
            raise ReadError(
                needed=f"{value!r} as the kind of every period",
                found=f"{first_few(other)} other",
                where=f"{file}, column {column}",
                todo="take the rows of other kinds of periods out before",
            )
    return np.array([years[label] for label in labels], dtype=object)


# -- rows and cells ------------------------------------------------------------------------------


def _refuse_unknown(values: Texts, known: Iterable[str], what: str, where: str) -> None:
    """Refuse a level or category that the rules do not have: nobody knows what it would be."""
    known = list(known)
    other = ~np.isin(values, np.array(known, dtype=object))
    if other.any():
        kinds = [f"{one!r}" for one in dict.fromkeys(values[other])]
        raise ReadError(
            needed=f"a {what} that the release has: {first_few(map(repr, known), 8)}",
            found=f"{int(other.sum())} rows with another: {first_few(kinds)}",
            where=where,
            todo="read the file as published, or take these rows out yourself",
        )


def _rows(
    columns: dict[str, Texts], table: Table, file: str
) -> tuple[Texts, list[tuple[str, int]]]:
    """Tell the rows that are used from the others, and count both."""
    places = table.geography
    _refuse_unknown(
        columns[places.level], places.levels, "geographic level", f"{file}, column {places.level}"
    )
    level = pd.Series(columns[places.level]).map(dict(places.levels)).to_numpy(dtype=object)
    keep = level == "local authority"
    reason = np.where(keep, _USED, "rows not used: " + level.astype(object))
    for column, rule in table.filters.items():
        values = columns[column]
        _refuse_unknown(values, (rule.keep, *rule.others), "category", f"{file}, column {column}")
        drop = keep & (values != rule.keep)
        reason[drop] = "rows not used: " + values[drop]
        keep &= ~drop
    if not keep.any():
        raise ReadError(
            needed="rows of local authorities",
            found=f"none among {len(keep)} rows",
            where=f"{file}, column {places.level}",
            todo="download the table with the local-authority level",
        )
    counts = pd.Series(reason).value_counts(sort=False)
    return keep, [(str(what), int(n)) for what, n in counts.items()]


def _panel(
    columns: dict[str, Texts], years: Texts | None, release: Release, table: Table, source: Source
) -> Panel:
    """Lay the rows of local authorities out over units × periods."""
    places = table.geography
    codes = unit_ids(
        columns[places.code], identity="la_code", where=f"{source.file}, column {places.code}"
    )
    names = columns[places.name]
    if years is None:
        order = np.zeros(len(codes), dtype=np.int64)
        keys = pd.DataFrame({"unit": codes})
    else:
        order = years.astype(np.int64) + table.later
        keys = pd.DataFrame({"unit": codes, "period": order})
    _refuse_duplicates(keys, source.file)

    about = pd.DataFrame({"unit": codes, "name": names, "order": order})
    if places.region is not None:
        about["region"] = columns[places.region]
    about = about.sort_values(["unit", "order"], kind="stable").drop_duplicates("unit", keep="last")
    units = about.set_index("unit").drop(columns="order")
    row = pd.Series(np.arange(len(units)), index=units.index).loc[codes].to_numpy()

    spans: list[int] = list(order) if years is not None else []
    spans += [
        year + column.later for column in table.columns for year in column.years if years is None
    ]
    calendar = Calendar.of(sorted(set(map(int, spans))), kind="reporting year")
    first = int(calendar.labels[0])

    cells: dict[str, Cells] = {}
    for column in table.columns:
        made = Cells.empty(len(units), len(calendar))
        for name, year in zip(column.names, column.years or (None,), strict=True):
            period = order if year is None else np.full(len(codes), year + column.later)
            where = f"{source.file}, column {name}"
            parsed = parse(columns[name], column, release, at=_place(codes, period), where=where)
            into = (row, period - first)
            made.value[into], made.status[into] = parsed.value[:, 0], parsed.status[:, 0]
            made.lower[into], made.upper[into] = parsed.lower[:, 0], parsed.upper[:, 0]
        cells[column.metric] = made
    return Panel(
        units=units,
        calendar=calendar,
        metrics={metric: METRICS[metric] for metric in cells},
        cells=cells,
        sources=dict.fromkeys(cells, (source,)),
        identity="la_code",
    )


def _place(codes: Sequence[str], period: np.ndarray) -> Callable[[int], str]:
    return lambda i: f"{codes[i]} in {period[i]}"


def _refuse_duplicates(keys: pd.DataFrame, file: str) -> None:
    again = keys.duplicated(keep=False)
    if again.any():
        cells = [
            " in ".join(map(str, one))
            for one in keys[again].drop_duplicates().itertuples(index=False)
        ]
        raise ReadError(
            needed="one row for each authority and period",
            found=f"{int(again.sum())} rows for {first_few(cells)} that stand more than once",
            where=file,
            todo="read the file as published: extracts may have been put together twice",
        )


# -- checked -------------------------------------------------------------------------------------


def _refuse_mixture(panels: Sequence[Panel], listing: Listing) -> None:
    """Refuse a folder in which one metric comes from several releases."""
    held: dict[str, dict[str, str]] = {}
    for panel in panels:
        for metric, sources in panel.sources.items():
            for source in sources:
                held.setdefault(metric, {})[source.release] = source.file
    for metric, releases in held.items():
        if len(releases) > 1:
            raise ReadError(
                needed="each metric from one release, since releases revise the past",
                found=f"{metric} from "
                + first_few(f"{release} ({file})" for release, file in releases.items()),
                where=listing.name,
                todo=f"take one: read_dfe(…, release={next(iter(releases))!r}); or read the files "
                "one by one, select what you want of each, and join them by name: "
                "panel.join(other, releases='mixed')",
            )


def _check_rates(panel: Panel, name: str) -> None:
    """Hold published rates against counts and denominator of the same release.

    A denominator of the wrong year (a stale year in a column's name) shows here: most rates then
    differ, and the file is refused. A few that differ are warned of.
    """
    for key, metric in panel.metrics.items():
        top, bottom = metric.numerator, metric.denominator
        if top is None or bottom is None or metric.decimals is None:
            continue
        if top not in panel.metrics or bottom not in panel.metrics:
            continue
        releases = {source.release for part in (key, top, bottom) for source in panel.sources[part]}
        if len(releases) > 1:
            continue
        rate, over = panel.cells(key), panel.cells(bottom).value
        with np.errstate(invalid="ignore", divide="ignore"):
            made = panel.cells(top).value / over * metric.per
        checked = np.isfinite(made) & np.isfinite(rate.value)
        half = 0.5 * 10.0**-metric.decimals
        differ = checked & (np.abs(made - rate.value) > half + 1e-9 * (1 + np.abs(rate.value)))
        if not differ.any():
            continue
        at = [
            f"{panel.unit_ids[i]} in {panel.periods[t]}: {rate.value[i, t]:g} published, "
            f"{made[i, t]:.{metric.decimals + 1}f} computed"
            for i, t in np.argwhere(differ)
        ]
        found = f"{int(differ.sum())} of {int(checked.sum())} differ: {first_few(at)}"
        if differ.sum() > 0.05 * checked.sum():
            raise ReadError(
                needed=f"published {key} that equals {top} / {bottom} × {metric.per:,}, rounded",
                found=found,
                where=name,
                todo="check that counts and denominators are of the years they are named after, "
                "and that the file is as published",
            )
        warnings.warn(
            f"{name}: published {key} and {top} / {bottom} × {metric.per:,} disagree. {found}. "
            "Both are kept as published.",
            DidkitWarning,
            stacklevel=3,
        )
