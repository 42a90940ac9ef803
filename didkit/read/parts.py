"""What files hold, before it is one panel: put together once, however many files there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import PanelError, first_few
from didkit.panel import METRICS, Calendar, Cells, Panel, Source, Status
from didkit.panel.status import Floats
from didkit.read.agreement import bound_rates

__all__ = ["Part", "Piece", "assemble"]

Ints = NDArray[np.int64]


class Piece(NamedTuple):
    """Cells of one metric from one file: a row of each array is a unit and a reporting year.

    Units are positions in the part's ids.
    """

    units: Ints
    years: Ints
    cells: Cells


@dataclass(frozen=True)
class Part:
    """What one file holds.

    Parameters
    ----------
    source : Source
        Release, table, file.
    ids : list of str
        Codes of its authorities.
    about : mapping of str to (int, str, str)
        For each code the year of its newest row, and name and region in it.
    pieces : list of (str, Piece)
        Metrics and their cells.
    log : list of (str, str, int)
        Source, what, how many.
    """

    source: Source
    ids: list[str]
    about: dict[str, tuple[int, str, str]]
    pieces: list[tuple[str, Piece]]
    log: list[tuple[str, str, int]] = field(default_factory=list)


def assemble(parts: Sequence[Part], log: Sequence[tuple[str, str, int]]) -> Panel:
    """Put the cells of several files on one grid of units and periods.

    Raises
    ------
    PanelError
        If files differ in a cell that both hold, or the periods have a gap.
    """
    about: dict[str, tuple[int, str, str]] = {}
    for part in parts:
        for code, mine in part.about.items():
            old = about.get(code)
            # The first file's name and region, where two are of the same year.
            if old is None or mine[0] > old[0]:
                about[code] = (mine[0], mine[1], mine[2] or (old[2] if old else ""))
            elif not old[2] and mine[2]:
                about[code] = (old[0], old[1], mine[2])
    codes = sorted(about)
    row = {code: i for i, code in enumerate(codes)}
    every = sorted(
        {int(y) for part in parts for _, one in part.pieces for y in np.unique(one.years)}
    )
    calendar = Calendar.of(every, kind="reporting year")
    first, shape = int(calendar.labels[0]), (len(codes), len(calendar))

    cells: dict[str, Cells] = {}
    sources: dict[str, tuple[Source, ...]] = {}
    for part in parts:
        rows = np.array([row[code] for code in part.ids], dtype=np.intp)
        for metric, piece in part.pieces:
            i, t = rows[piece.units], piece.years - first
            if metric in cells:
                _refuse_differing(metric, cells[metric], piece, i, t, codes, calendar)
            made = cells.setdefault(metric, Cells.empty(*shape))
            made.value[i, t] = piece.cells.value[:, 0]
            made.status[i, t] = piece.cells.status[:, 0]
            # Where two tables hold a cell, both bound it, in whatever order they are read.
            made.lower[i, t] = np.fmax(made.lower[i, t], piece.cells.lower[:, 0])
            made.upper[i, t] = np.fmin(made.upper[i, t], piece.cells.upper[:, 0])
            sources[metric] = tuple(dict.fromkeys((*sources.get(metric, ()), part.source)))
    units = pd.DataFrame(
        {"name": [about[code][1] for code in codes]},
        index=pd.Index(codes, name="unit", dtype=object),
        dtype=object,
    )
    if any(place[2] for place in about.values()):
        units["region"] = np.array([about[code][2] for code in codes], dtype=object)
    return Panel(
        units=units,
        calendar=calendar,
        metrics={metric: METRICS[metric] for metric in cells},
        cells=bound_rates(cells, sources),
        sources=sources,
        log=pd.DataFrame(list(log), columns=["source", "what", "rows"]),
    )


def _refuse_differing(
    metric: str,
    held: Cells,
    piece: Piece,
    i: NDArray[np.intp],
    t: Ints,
    codes: Sequence[str],
    calendar: Calendar,
) -> None:
    """Refuse a cell that two files of one release hold and do not agree on."""
    there = held.status[i, t] != Status.ABSENT
    old: Floats = held.value[i, t]
    new: Floats = piece.cells.value[:, 0]
    same = (held.status[i, t] == piece.cells.status[:, 0]) & (
        (old == new) | (np.isnan(old) & np.isnan(new))
    )
    least = np.fmax(held.lower[i, t], piece.cells.lower[:, 0])
    most = np.fmin(held.upper[i, t], piece.cells.upper[:, 0])
    with np.errstate(invalid="ignore"):
        same &= ~(least > most + 1e-9)
    differ = np.flatnonzero(there & ~same)
    if len(differ):
        at = [
            f"{codes[i[k]]} in {calendar.labels[t[k]]}: {old[k]:g} and {new[k]:g}" for k in differ
        ]
        raise PanelError(
            needed="tables of one release that agree wherever both hold a cell",
            found=f"{first_few(at)} differ",
            where=f"metric {metric!r}",
            todo="download the release again, or read one of the tables",
        )
