"""Which comparisons group-time effects are made of: cohort, period, base period, comparators."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Base", "Comparators", "Pairs", "pairs_of"]

Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Base = Literal["universal", "varying"]
Comparators = Literal["never", "not_yet"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """C comparisons of two periods.

    Parameters
    ----------
    g, t, base : int array (C,)
        Cohort (index into the starts), period and base period (positions).
    serves : bool array (C, G + 1)
        Which cohorts serve as comparators; the last column stands for units that never start.
    """

    g: Ints
    t: Ints
    base: Ints
    serves: Bools

    def __len__(self) -> int:
        """Count the comparisons."""
        return len(self.g)

    def only(self, kept: Bools) -> Pairs:
        """Return some of the comparisons."""
        return Pairs(*(getattr(self, field.name)[kept] for field in fields(self)))


def pairs_of(
    starts: Ints,
    n_periods: int,
    *,
    base: Base,
    comparators: Comparators,
    anticipation: int,
    never: bool,
) -> Pairs:
    """List every comparison of a cohort that has comparators, in order of cohort and period.

    Parameters
    ----------
    starts : int array (G,)
        Positions of the starts, rising, each later than `anticipation`.
    n_periods : int
        T.
    base : {"universal", "varying"}
        The last period before start and anticipation for all periods; or, before that, each
        period's predecessor.
    comparators : {"never", "not_yet"}
        Units that never start; or also every other cohort that has not started, allowing for
        anticipation, by the later of the two periods.
    anticipation : int
        Periods before the start in which the programme may act.
    never : bool
        Whether there are units that never start. Without them the last cohort only serves.

    Examples
    --------
    >>> made = pairs_of(
    ...     np.array([2, 3]),
    ...     4,
    ...     base="universal",
    ...     comparators="not_yet",
    ...     anticipation=0,
    ...     never=False,
    ... )
    >>> list(zip(made.g.tolist(), made.t.tolist(), made.base.tolist()))
    [(0, 0, 1), (0, 2, 1)]
    """
    own = range(len(starts) if never else len(starts) - 1)
    rows: list[tuple[int, int, int]] = []
    for g in own:
        last = int(starts[g]) - 1 - anticipation
        for t in range(n_periods):
            at = t - 1 if base == "varying" and t <= last else last
            if at >= 0 and at != t:
                rows.append((g, t, at))
    found = np.array(rows, dtype=np.intp).reshape(-1, 3)
    serves = np.zeros((len(found), len(starts) + 1), dtype=bool)
    serves[:, -1] = never
    if comparators == "not_yet":
        later = found[:, 1:].max(axis=1) + anticipation
        serves[:, :-1] = starts > later[:, None]
        serves[np.arange(len(found)), found[:, 0]] = False
    made = Pairs(found[:, 0], found[:, 1], found[:, 2], serves)
    return made.only(np.asarray(serves.any(axis=1)))
