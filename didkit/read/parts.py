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
        places: dict[tuple[int, int], NDArray[np.intp]] = {}  # most columns share one
        for metric, piece in part.pieces:
            key = (id(piece.units), id(piece.years))
            if key not in places:
                places[key] = rows[piece.units] * shape[1] + (piece.years - first)
            at, new = places[key], piece.cells
            if metric not in cells:
                cells[metric] = Cells.empty(*shape)
                for what in ("value", "status", "lower", "upper"):
                    getattr(cells[metric], what).ravel()[at] = getattr(new, what)[:, 0]
            else:
                _add(metric, cells[metric], new, at, codes, calendar)
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


def _add(
    metric: str,
    held: Cells,
    new: Cells,
    at: NDArray[np.intp],
    codes: Sequence[str],
    calendar: Calendar,
) -> None:
    """Add the cells of another table, or refuse one that both hold and do not agree on.

    Both bound a cell that both hold, in whatever order they are read.
    """
    value, status, lower, upper = (
        getattr(held, what).ravel() for what in ("value", "status", "lower", "upper")
    )
    there = status[at] != Status.ABSENT
    old, its = value[at], new.value[:, 0]
    least, most = np.fmax(lower[at], new.lower[:, 0]), np.fmin(upper[at], new.upper[:, 0])
    with np.errstate(invalid="ignore"):
        same = (status[at] == new.status[:, 0]) & ((old == its) | (np.isnan(old) & np.isnan(its)))
        same &= ~(least > most + 1e-9)
    differ = np.flatnonzero(there & ~same)
    if len(differ):
        cells = [
            f"{codes[i]} in {calendar.labels[t]}: {old[k]:g} and {its[k]:g}"
            for k, (i, t) in zip(
                differ, (divmod(int(at[k]), len(calendar)) for k in differ), strict=True
            )
        ]
        raise PanelError(
            needed="tables of one release that agree wherever both hold a cell",
            found=f"{first_few(cells)} differ",
            where=f"metric {metric!r}",
            todo="download the release again, or read one of the tables",
        )
    value[at], status[at], lower[at], upper[at] = its, new.status[:, 0], least, most
