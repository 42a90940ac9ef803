"""What two panels must agree on to be joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import PanelError, first_few
from didkit.panel.calendar import Calendar, Gaps
from didkit.panel.comparison import plain
from didkit.panel.metric import Metric
from didkit.panel.source import Source
from didkit.panel.status import Cells, Status

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["joined"]

Releases = Literal["same", "mixed"]
_FEW = 5


def joined(mine: Panel, theirs: Panel, *, releases: Releases, gaps: Gaps) -> Panel:
    """Join two panels; see `Panel.join`."""
    if not isinstance(theirs, type(mine)):
        raise PanelError(
            needed="another Panel",
            found=f"a {type(theirs).__name__}",
            where="joining panels",
            todo="make one with Panel.from_frame or read_dfe first",
        )
    if releases not in ("same", "mixed"):
        raise PanelError(
            needed="releases='same' or releases='mixed'",
            found=repr(releases),
            where="Panel.join",
            todo="choose one",
        )
    if gaps not in ("refuse", "not available"):
        raise PanelError(
            needed="gaps='refuse' or gaps='not available'",
            found=repr(gaps),
            where="Panel.join",
            todo="choose one",
        )
    if mine.identity != theirs.identity:
        raise PanelError(
            needed="units identified in the same way on both sides",
            found=f"{mine.identity!r} and {theirs.identity!r}",
            where="joining panels",
            todo="give both panels 3-digit codes; never join on names",
        )
    _refuse_parts(mine, theirs)
    both = [key for key in mine.metrics if key in theirs.metrics]
    if releases == "same":
        for key in both:
            here = {s.release for s in mine.sources[key]}
            there = {s.release for s in theirs.sources[key]}
            if here != there:
                raise PanelError(
                    needed="each metric from one release, since releases revise the past",
                    found=f"{key!r} from {first_few(sorted(here | there))}",
                    where="joining panels",
                    todo="select the metrics you want from each, or ask for the mixture by "
                    "name: panel.join(other, releases='mixed')",
                )
    calendar = mine.calendar.union(theirs.calendar, gaps=gaps)
    ids = sorted(set(mine.unit_ids) | set(theirs.unit_ids))
    units = _join_units(mine.units, theirs.units, ids)
    cells: dict[str, Cells] = {}
    for key in dict.fromkeys((*mine.metrics, *theirs.metrics)):
        mine_cells = mine.spread(key, ids, calendar) if key in mine.metrics else None
        their_cells = theirs.spread(key, ids, calendar) if key in theirs.metrics else None
        if mine_cells is not None and their_cells is not None:
            _refuse_differing(mine.metrics[key], theirs.metrics[key])
            differ, cells[key] = _agree(mine_cells, their_cells)
            if differ.any():
                said = _said(mine_cells, their_cells, differ, ids, calendar)
                raise _disagreement(key, mine, theirs, said, releases)
        else:
            side = mine if mine_cells is not None else theirs
            cells[key] = side.spread(key, ids, calendar)
    sources = {
        key: tuple(dict.fromkeys((*mine.sources.get(key, ()), *theirs.sources.get(key, ()))))
        for key in cells
    }
    logs = [mine.log]
    if not mine.log.equals(theirs.log):
        logs.append(theirs.log)
    lacking = [one for one in calendar.labels if one not in mine.periods + theirs.periods]
    if lacking:
        what = [f"no source for period {one} when joined: its cells are absent" for one in lacking]
        logs.append(pd.DataFrame({"what": what, "source": "join", "rows": 0}))
    return mine.replaced(
        units=units,
        calendar=calendar,
        metrics={key: (mine if key in mine.metrics else theirs).metrics[key] for key in cells},
        cells=cells,
        sources=sources,
        log=pd.concat(logs, ignore_index=True),
        parts={**mine.parts, **theirs.parts},
    )


def _refuse_parts(mine: Panel, theirs: Panel) -> None:
    """Refuse a merged unit on one side beside one of its parts on the other."""
    split = [
        f"{part} beside {whole}"
        for one, other in ((mine, theirs), (theirs, mine))
        for whole, members in one.parts.items()
        for part in members
        if part != whole and part in other.unit_ids
    ]
    if split:
        raise PanelError(
            needed="the same merged authorities on both sides",
            found=first_few(split),
            where="joining panels",
            todo="join first and harmonise() then, or harmonise both to the same year",
        )


def _refuse_differing(mine: Metric, theirs: Metric) -> None:
    """Refuse one name for two things: a published and a computed rate, other units."""
    if replace(mine, direction=None) != replace(theirs, direction=None):
        raise PanelError(
            needed="one meaning for each metric name",
            found=f"{mine.name!r} is {mine.derivation} ({mine.unit or 'no unit'}) on one side and "
            f"{theirs.derivation} ({theirs.unit or 'no unit'}) on the other",
            where="joining panels",
            todo="make both the same way, or select the one you want",
        )


def _join_units(mine: pd.DataFrame, theirs: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    """Names and attributes of the units of two panels; the left one's where both have them."""
    columns = list(dict.fromkeys((*mine.columns, *theirs.columns)))
    left, right = mine.reindex(ids, columns=columns), theirs.reindex(ids, columns=columns)
    known = left.notna() & (left != "")
    return left.where(known, right).where(lambda frame: frame.notna(), "")


def _agree(mine: Cells, theirs: Cells) -> tuple[NDArray[np.bool_], Cells]:
    """Say which cells both sides hold and differ in; put the others together."""
    here, there = mine.status != Status.ABSENT, theirs.status != Status.ABSENT
    same = (mine.status == theirs.status) & (
        np.isclose(mine.value, theirs.value, rtol=1e-12, atol=0, equal_nan=True)
    )
    cells = Cells(
        np.where(here, mine.value, theirs.value),
        np.where(here, mine.status, theirs.status).astype(np.int8),
        np.where(here, mine.lower, theirs.lower),
        np.where(here, mine.upper, theirs.upper),
    )
    return here & there & ~same, cells


def _said(
    mine: Cells, theirs: Cells, differ: NDArray[np.bool_], ids: list[str], calendar: Calendar
) -> list[tuple[str, str, str]]:
    """Return what the two sides say of each cell that differs, and which cell it is."""

    def written(cells: Cells, i: int, t: int) -> str:
        status = Status(int(cells.status[i, t]))
        if not np.isfinite(cells.value[i, t]):
            return status.label
        value = plain(float(cells.value[i, t]))
        return value if mine.value[i, t] != theirs.value[i, t] else f"{value} ({status.label})"

    return [
        (written(mine, i, t), written(theirs, i, t), f"{ids[i]} in {calendar.labels[t]}")
        for i, t in np.argwhere(differ)
    ]


def _disagreement(
    key: str, mine: Panel, theirs: Panel, said: list[tuple[str, str, str]], releases: Releases
) -> PanelError:
    """Say which side holds what, and how to take each period from one side."""
    one, other = (_release(panel.sources, key) for panel in (mine, theirs))
    if one == other:
        one, other = f"{one} on the left", f"{other} on the right"
    first, *more = said
    found = f"{one} says {first[0]}, {other} says {first[1]} for {first[2]}"
    found += "".join(f"; {a} and {b} for {cell}" for a, b, cell in more[: _FEW - 1])
    left = len(said) - _FEW
    common = [label for label in mine.periods if label in set(theirs.periods)]
    return PanelError(
        needed="cells that agree wherever both panels hold them",
        found=f"{found}; and {left:,} more" if left > 0 else found,
        where=f"metric {key!r}, {len(said):,} of the cells that both hold; periods that both have: "
        f"{common[0]}" + (f" to {common[-1]}" if len(common) > 1 else ""),
        todo=_ready(mine, theirs, releases),
    )


def _release(sources: Mapping[str, tuple[Source, ...]], key: str) -> str:
    return " + ".join(dict.fromkeys(source.release for source in sources[key]))


def _ready(mine: Panel, theirs: Panel, releases: Releases) -> str:
    """Write the line that takes the common periods from one side, where there is one."""
    option = ", releases='mixed'" if releases == "mixed" else ""
    runs = _runs(mine, theirs)
    if runs:
        line = f"a.select(periods={_argument(runs[0], mine)}).join(b{option})"
        for run in runs[1:]:
            line += f".join(a.select(periods={_argument(run, mine)}){option})"
        return f"take the periods of both from one side, e.g. {line}"
    runs = _runs(theirs, mine)
    if runs:
        line = "a" + "".join(
            f".join(b.select(periods={_argument(run, theirs)}){option})" for run in runs
        )
        return f"take the periods of both from one side, e.g. {line}"
    return "take each metric from one side: a.select(metrics=[…]) and b.select(metrics=[…])"


def _runs(panel: Panel, other: Panel) -> list[list[str]]:
    """Return the periods that the other panel lacks, in runs without a gap."""
    runs: list[list[str]] = []
    follows = False
    for label in panel.periods:
        lacks = label not in set(other.periods)
        if lacks and follows:
            runs[-1].append(label)
        elif lacks:
            runs.append([label])
        follows = lacks
    return runs


def _argument(labels: list[str], panel: Panel) -> str:
    """Write periods as they are given to select."""
    if panel.calendar.kind in ("year", "reporting year"):
        return f"range({labels[0]}, {int(labels[-1]) + 1})"
    return repr(labels)
