"""Tables of the Department for Education: recognised, read by their release's rules, joined."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike

from didkit.errors import DidkitWarning, ReadError, first_few
from didkit.panel import Panel
from didkit.read.agreement import check_rates
from didkit.read.fields import Fields
from didkit.read.files import Listing, digest, is_table, list_files
from didkit.read.grid import Grid, Texts, open_grid
from didkit.read.lait import LAIT, read_lait
from didkit.read.parts import Part, assemble
from didkit.read.recognise import Choice, choices, fits, nearly, no_period, unrecognised
from didkit.read.releases import LAIT_MEASURES, RELEASES
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
        seen = [name for name, one in RELEASES.items() if one.seen]
        near = difflib.get_close_matches(str(release), seen, n=2, cutoff=0.4)
        raise ReadError(
            needed="the name of a release: " + ", ".join(seen) + ", or another vintage of these",
            found=repr(release),
            where="release=",
            todo=f"did you mean {' or '.join(near)}?" if near else "choose one of them",
        )
    listing = list_files(path)
    opened: list[_Opened] = []
    log: list[tuple[str, str, int]] = []
    held: dict[str, str] = {}
    for file in listing.files:
        alone = listing.kind == "file"
        if not alone and not is_table(file.name):
            log.append((file.name, "file not used: not a table", 0))
            continue
        data = file.read()
        sha256 = digest(data)
        if sha256 in held:
            log.append((file.name, f"file not used: the same bytes as {held[sha256]}", 0))
            continue
        held[sha256] = file.name
        one = _open(file.name, data, sha256, release, alone=alone)
        if isinstance(one, _Opened):
            opened.append(one)
        else:
            log += one
    chosen = [_decide(one, opened, release) for one in opened]
    if release is None:
        _refuse_mixture(opened, chosen, listing)
    parts = [_read(one, choice) for one, choice in zip(opened, chosen, strict=True)]
    log += [line for part in parts for line in part.log]
    if not parts:
        raise ReadError(
            needed="at least one table of a known release" + (f" ({release})" if release else ""),
            found=first_few(f"{source}: {what}" for source, what, _ in log) if log else "no file",
            where=listing.name,
            todo="name the folder, zip or file that holds the published files",
        )
    panel = assemble(parts, log)
    if release is None:
        _warn(opened, chosen)
    check_rates(panel, listing.name)
    return panel


@dataclass(frozen=True)
class _Opened:
    """A file whose columns are those of a table: its grid or its bytes, and what it may be."""

    name: str
    data: bytes
    sha256: str
    grid: Grid | None = None
    columns: dict[str, Texts] = field(default_factory=dict)
    numbers: dict[str, Texts | Fields] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)


def _open(
    name: str, data: bytes, sha256: str, release: str | None, *, alone: bool
) -> _Opened | list[tuple[str, str, int]]:
    """Open one file; in a folder, what is not recognised is logged."""
    if data.startswith(b"PAR1"):
        if release not in (None, LAIT):
            return [(name, f"file not used: not {release}", 0)]
        return _Opened(name, data, sha256)
    grid = open_grid(data, name, published=True)
    fitting = fits(grid.header)
    if not fitting:
        if alone or (release is None and nearly(grid)):
            raise unrecognised(grid, release, fitting)
        return _not_used(grid, _FOREIGN)
    if release is not None and release not in {fit.release.name for fit in fitting}:
        if alone:
            raise unrecognised(grid, release, fitting)
        return _not_used(grid, f"not {release}")
    measured = {one.name for fit in fitting for one in fit.found}
    wanted = {name for fit in fitting for name in fit.names} - measured
    wanted |= {
        one
        for fit in fitting
        for rule in fit.table.filters
        for one in rule.spellings
        if one in grid.header
    }
    columns, numbers = grid.table(
        [one for one in grid.header if one in wanted],
        [one for one in grid.header if one in measured],
    )
    every = choices(fitting, columns, grid)
    made = _asked(every, release, alone=alone)
    if made:
        return _Opened(name, data, sha256, grid, columns, numbers, made)
    other = next((one for one in every if one.how == "exact"), None)
    if release is not None and not alone:
        called = f": it is {other.fit.release.name}" if other is not None else ""
        return _not_used(grid, f"not {release}{called}")
    if other is not None:
        raise ReadError(
            needed=f"a file of {release}",
            found=f"{other.fit.release.name} {other.fit.table.name}, by its columns and periods",
            where=name,
            todo="leave release= out, or name that release",
        )
    raise no_period(fitting, columns, grid)


def _asked(every: list[Choice], release: str | None, *, alone: bool) -> list[Choice]:
    """Return what a file may be: whole releases, or, by name, a part of one.

    A file that is just what another release published is not a part of the one that was named.
    """
    whole = [one for one in every if one.how != "part"]
    if release is None:
        return whole
    mine = [one for one in whole if one.fit.release.name == release]
    if mine or any(one.how == "exact" for one in whole) or (whole and not alone):
        return mine
    return [one for one in every if one.fit.release.name == release]


def _decide(one: _Opened, every: Sequence[_Opened], release: str | None) -> Choice | None:
    """Choose among vintages that fit: the folder's, or else the one that was seen."""
    if one.grid is None:
        return None
    if len(one.choices) == 1:
        return one.choices[0]
    beside = {
        other.choices[0].fit.release.name
        for other in every
        if other is not one and len(other.choices) == 1
    }
    mine = [choice for choice in one.choices if choice.fit.release.name in beside]
    if len(mine) == 1:
        return mine[0]
    mine = [choice for choice in one.choices if choice.how == "exact"]
    if len(mine) == 1:
        return replace(mine[0], sure=False)
    called = [f"{choice.fit.release.name} {choice.fit.table.name}" for choice in one.choices]
    raise ReadError(
        needed="a file that fits one release",
        found="the columns and periods of " + first_few(called),
        where=one.name,
        todo="read it beside the other tables of its release"
        + ("" if release else ", or say which: release='…'"),
    )


def _read(one: _Opened, choice: Choice | None) -> Part:
    """Read a file as the release that it is."""
    if one.grid is None or choice is None:
        return read_lait(one.data, one.name)
    rules = choice.fit.release
    if one.grid.encoding not in rules.encodings:
        raise ReadError(
            needed="text saved as UTF-8"
            + (" or Windows-1252" if "cp1252" in rules.encodings else "")
            + f", as {rules.name} is published",
            found="bytes that are not UTF-8",
            where=one.name,
            todo="download it again: a spreadsheet may have saved it in another encoding",
        )
    return read_table(one.grid, one.columns, one.numbers, choice, one.sha256)


def _warn(opened: Sequence[_Opened], chosen: Sequence[Choice | None]) -> None:
    """Warn of a release that is told from the last period alone."""
    guessed = {
        choice.fit.release.name: one.name
        for one, choice in zip(opened, chosen, strict=True)
        if choice is not None and choice.how == "unseen" and choice.years is not None
    }
    for release, name in guessed.items():
        warnings.warn(
            f"{name}: taken for {release}, since its last period is that year. didkit had not "
            "seen that release, and reads it by the rules of its series; if the file is another "
            "release without its last years, its numbers may have been revised in between.",
            DidkitWarning,
            stacklevel=3,
        )


def _not_used(grid: Grid, reason: str) -> list[tuple[str, str, int]]:
    """Log a file of a folder that is no table of a known release, whatever its rows are like."""
    try:
        n = len(grid.columns(grid.header[:1])[grid.header[0]])
    except ReadError as error:
        return [(grid.name, f"file not used: {reason}; {error.found}", 0)]
    return [(grid.name, "rows read", n), (grid.name, f"rows not used: {reason}", n)]


def _refuse_mixture(
    opened: Sequence[_Opened], chosen: Sequence[Choice | None], listing: Listing
) -> None:
    """Refuse a folder in which one metric comes from several releases."""
    held: dict[str, dict[str, None]] = {}
    for _, choice in zip(opened, chosen, strict=True):
        if choice is None:
            metrics, release = [column.metric for column in LAIT_MEASURES], LAIT
        else:
            metrics = [found.column.metric for found in choice.fit.found]
            release = choice.fit.release.name
        for metric in metrics:
            held.setdefault(metric, {})[release] = None
    for metric, releases in held.items():
        if len(releases) > 1:
            raise ReadError(
                needed="each metric from one release, since releases revise the past",
                found=f"{metric} from {len(releases)}: {', '.join(releases)}",
                where=listing.name,
                todo=f"take one: read_dfe(…, release={next(iter(releases))!r}); or read several, "
                "select what you want of each, and join them by name: "
                "panel.join(other, releases='mixed')",
            )
