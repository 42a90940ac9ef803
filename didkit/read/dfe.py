"""Tables of the Department for Education: recognised, read by their release's rules, joined."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike

from didkit.errors import ReadError, first_few
from didkit.panel import Panel
from didkit.read.agreement import check_rates
from didkit.read.files import File, Listing, digest, is_table, list_files
from didkit.read.grid import Grid, Texts, open_grid
from didkit.read.lait import LAIT, read_lait
from didkit.read.parts import Part, assemble
from didkit.read.recognise import Choice, choices, fits, nearly, unrecognised
from didkit.read.releases import RELEASES
from didkit.read.table import read_table

__all__ = ["read_dfe"]

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
            needed="the name of a release: "
            + ", ".join(name for name, one in RELEASES.items() if one.seen)
            + ", or another vintage of these",
            found=repr(release),
            where="release=",
            todo=f"did you mean {' or '.join(near)}?" if near else "choose one of them",
        )
    listing = list_files(path)
    opened: list[_Opened] = []
    log: list[tuple[str, str, int]] = []
    for file in listing.files:
        alone = listing.kind == "file"
        if not alone and not is_table(file.name):
            log.append((file.name, "file not used: not a table", 0))
            continue
        one = _open(file, release, alone=alone)
        if isinstance(one, _Opened):
            opened.append(one)
        else:
            log += one
    parts = [_read(one, opened) for one in opened]
    log += [line for part in parts for line in part.log]
    if not parts:
        raise ReadError(
            needed="at least one table of a known release" + (f" ({release})" if release else ""),
            found=first_few(f"{source}: {what}" for source, what, _ in log) if log else "no file",
            where=listing.name,
            todo="name the folder, zip or file that holds the published files; releases that are "
            "known: " + ", ".join(name for name, one in RELEASES.items() if one.seen),
        )
    if release is None:
        _refuse_mixture(parts, listing)
    panel = assemble(parts, log)
    check_rates(panel, listing.name)
    return panel


@dataclass(frozen=True)
class _Opened:
    """A file whose columns are those of a table: its grid or its bytes, and what it may be."""

    name: str
    data: bytes
    grid: Grid | None = None
    columns: dict[str, Texts] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)


def _open(file: File, release: str | None, *, alone: bool) -> _Opened | list[tuple[str, str, int]]:
    """Open one file; in a folder, what is not recognised is logged."""
    data = file.read()
    if data.startswith(b"PAR1"):
        if release not in (None, LAIT):
            return [(file.name, f"file not used: not {release}", 0)]
        return _Opened(file.name, data)
    grid = open_grid(data, file.name, published=True)
    fitting = fits(grid.header)
    asked = [fit for fit in fitting if release is None or fit.release.name == release]
    if not asked:
        if alone or (not fitting and nearly(grid)):
            raise unrecognised(grid, release, fitting)
        return _not_used(grid, f"not {release}" if fitting else _FOREIGN)
    wanted = {name for fit in asked for name in fit.names}
    wanted |= {
        one
        for fit in asked
        for rule in fit.table.filters
        for one in rule.spellings
        if one in grid.header
    }
    columns = grid.columns(name for name in grid.header if name in wanted)
    made = choices(asked, columns, grid=grid, named=release is not None)
    return _Opened(file.name, data, grid, columns, made)


def _read(one: _Opened, every: Sequence[_Opened]) -> Part:
    """Read a file as the release that it is, with the other files of its folder to tell which."""
    if one.grid is None:
        return read_lait(one.data, one.name)
    choice = _decide(one, every)
    rules = choice.fit.release
    if one.grid.encoding not in rules.encodings:
        raise ReadError(
            needed=f"text in {' or '.join(rules.encodings)}, as {rules.name} is published",
            found="bytes that are not UTF-8",
            where=one.name,
            todo="download it again: a spreadsheet may have saved it in another encoding",
        )
    return read_table(one.grid, one.columns, choice, digest(one.data))


def _decide(one: _Opened, every: Sequence[_Opened]) -> Choice:
    """Choose among vintages that fit: the folder's, or else the one that was seen."""
    if len(one.choices) == 1:
        return one.choices[0]
    beside = {
        other.choices[0].fit.release.name
        for other in every
        if other is not one and len(other.choices) == 1
    }
    for mine in (
        [choice for choice in one.choices if choice.fit.release.name in beside],
        [choice for choice in one.choices if _was_seen(choice)],
    ):
        if len(mine) == 1:
            return mine[0]
    called = [f"{choice.fit.release.name} {choice.fit.table.name}" for choice in one.choices]
    raise ReadError(
        needed="a file that fits one release",
        found="the columns and periods of " + first_few(called),
        where=one.name,
        todo="say which: release='…'",
    )


def _was_seen(choice: Choice) -> bool:
    fit = choice.fit
    return fit.table.period is None or fit.release.vintage in fit.table.windows


def _not_used(grid: Grid, reason: str) -> list[tuple[str, str, int]]:
    """Log a file of a folder that is no table of a known release, whatever its rows are like."""
    try:
        n = len(grid.columns(grid.header[:1])[grid.header[0]])
    except ReadError as error:
        return [(grid.name, f"file not used: {reason}; {error.found}", 0)]
    return [(grid.name, "rows read", n), (grid.name, f"rows not used: {reason}", n)]


def _refuse_mixture(parts: Sequence[Part], listing: Listing) -> None:
    """Refuse a folder in which one metric comes from several releases."""
    held: dict[str, dict[str, str]] = {}
    for part in parts:
        for metric, _ in part.pieces:
            held.setdefault(metric, {})[part.source.release] = part.source.file
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
