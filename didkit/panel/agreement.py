"""What two panels must agree on to be joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few
from didkit.panel.calendar import Calendar
from didkit.panel.metric import Metric
from didkit.panel.status import Cells, Status

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["joined"]


def joined(mine: Panel, theirs: Panel, *, releases: Literal["same", "mixed"]) -> Panel:
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
    calendar = mine.calendar.union(theirs.calendar)
    ids = sorted(set(mine.unit_ids) | set(theirs.unit_ids))
    units = _join_units(mine.units, theirs.units, ids)
    cells: dict[str, Cells] = {}
    for key in dict.fromkeys((*mine.metrics, *theirs.metrics)):
        mine_cells = mine.spread(key, ids, calendar) if key in mine.metrics else None
        their_cells = theirs.spread(key, ids, calendar) if key in theirs.metrics else None
        if mine_cells is not None and their_cells is not None:
            _refuse_differing(mine.metrics[key], theirs.metrics[key])
            cells[key] = _agree(key, mine_cells, their_cells, ids, calendar)
        else:
            side = mine if mine_cells is not None else theirs
            cells[key] = side.spread(key, ids, calendar)
    sources = {
        key: tuple(dict.fromkeys((*mine.sources.get(key, ()), *theirs.sources.get(key, ()))))
        for key in cells
    }
    log = mine.log
    if not log.equals(theirs.log):
        log = pd.concat([log, theirs.log], ignore_index=True)
    return mine.replaced(
        units=units,
        calendar=calendar,
        metrics={key: (mine if key in mine.metrics else theirs).metrics[key] for key in cells},
        cells=cells,
        sources=sources,
        log=log,
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


def _agree(key: str, mine: Cells, theirs: Cells, ids: Sequence[str], calendar: Calendar) -> Cells:
    """Put together cells of which each is held by one side, or by both alike."""
    here, there = mine.status != Status.ABSENT, theirs.status != Status.ABSENT
    same = (mine.status == theirs.status) & (
        np.isclose(mine.value, theirs.value, rtol=1e-12, atol=0, equal_nan=True)
    )
    differ = here & there & ~same
    if differ.any():
        at = [
            f"{ids[i]} in {calendar.labels[t]}: {mine.value[i, t]:g} and {theirs.value[i, t]:g}"
            for i, t in np.argwhere(differ)
        ]
        raise PanelError(
            needed="cells that agree wherever both panels hold them",
            found=f"{first_few(at)} differ",
            where=f"metric {key!r}",
            todo="choose the periods of each with select(periods=…) before joining",
        )
    return Cells(
        np.where(here, mine.value, theirs.value),
        np.where(here, mine.status, theirs.status).astype(np.int8),
        np.where(here, mine.lower, theirs.lower),
        np.where(here, mine.upper, theirs.upper),
    )
