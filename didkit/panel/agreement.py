"""What two panels must agree on to be joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few
from didkit.panel.calendar import Calendar
from didkit.panel.metric import Metric
from didkit.panel.status import Cells, Status

__all__ = ["agree", "join_units", "refuse_differing"]


def refuse_differing(mine: Metric, theirs: Metric) -> None:
    """Refuse one name for two things: a published and a computed rate, other units."""
    if replace(mine, direction=None) != replace(theirs, direction=None):
        raise PanelError(
            needed="one meaning for each metric name",
            found=f"{mine.name!r} is {mine.derivation} ({mine.unit or 'no unit'}) on one side and "
            f"{theirs.derivation} ({theirs.unit or 'no unit'}) on the other",
            where="joining panels",
            todo="make both the same way, or select the one you want",
        )


def join_units(mine: pd.DataFrame, theirs: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    """Names and attributes of the units of two panels; the left one's where both have them."""
    columns = list(dict.fromkeys((*mine.columns, *theirs.columns)))
    left, right = mine.reindex(ids, columns=columns), theirs.reindex(ids, columns=columns)
    known = left.notna() & (left != "")
    return left.where(known, right).where(lambda frame: frame.notna(), "")


def agree(key: str, mine: Cells, theirs: Cells, ids: Sequence[str], calendar: Calendar) -> Cells:
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
