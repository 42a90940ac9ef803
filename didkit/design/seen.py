"""Which periods were seen when comparators were chosen, and which of them come too late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from didkit.panel import Panel

__all__ = ["late"]


def late(panel: Panel, until: Mapping[str, str], start: str) -> list[str]:
    """Name what has seen a period from `start` on, with the last period that it has seen.

    Parameters
    ----------
    panel : Panel
        Whose calendar says what comes before what. Periods outside it are compared as labels.
    until : mapping of str to period label
        The last period seen; "" for none of the panel's.
    start : str
        A period of the panel.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import didkit as dk
    >>> panel, _ = dk.datasets.load_evaluation()
    >>> late(panel, {"cin 2017": "2017", "cin 2014": "2014", "imd": "2010", "area": ""}, "2016")
    ['cin 2017 (up to 2017)']
    """
    calendar = panel.calendar
    first = calendar.position(start)

    def is_late(period: str) -> bool:
        if period in calendar:
            return calendar.position(period) >= first
        return calendar.canonical(period) >= calendar.labels[first]

    return [f"{what} (up to {seen})" for what, seen in until.items() if seen and is_late(seen)]
