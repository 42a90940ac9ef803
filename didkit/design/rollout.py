"""When each pilot started, and when it left."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from didkit.design.ids import by_unit
from didkit.errors import DesignError, first_few
from didkit.panel import Period

__all__ = ["Rollout"]


class Rollout:
    """Pilots, the first period in which each is treated, and the period in which it left.

    Parameters
    ----------
    starts : mapping of unit to period
        The first treated period of each pilot. Periods are labels of the panel's calendar
        (2018, "2018", "2017-18").
    stops : mapping of unit to period, optional
        The first period in which a pilot that left was no longer in the programme. Estimates are
        by intention to treat: a pilot counts as treated from its start on, whether it left or not,
        and the notes name those that left.

    Raises
    ------
    DesignError
        No pilot, a pilot named twice, a start that is missing, a stop for a unit without a start.

    Examples
    --------
    >>> Rollout({"303": 2018, 926: "2017-18"}).pilots
    ('303', '926')
    """

    def __init__(
        self, starts: Mapping[Any, Period], *, stops: Mapping[Any, Period] | None = None
    ) -> None:
        self.starts = MappingProxyType(_by_unit(starts, "starts"))
        self.stops = MappingProxyType(_by_unit(stops or {}, "stops", empty=True))
        unknown = [unit for unit in self.stops if unit not in self.starts]
        if unknown:
            raise DesignError(
                needed="a start for every pilot that stopped",
                found=f"stops without a start: {first_few(unknown)}",
                where="Rollout(stops=)",
                todo="add their starts, or take the stops out",
            )

    @property
    def pilots(self) -> tuple[str, ...]:
        """Ids of the pilots, sorted."""
        return tuple(sorted(self.starts))

    def without(self, unit: str) -> Rollout:
        """Return the rollout without one pilot."""
        return Rollout(
            {u: p for u, p in self.starts.items() if u != unit},
            stops={u: p for u, p in self.stops.items() if u != unit},
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rollout):
            return NotImplemented
        return dict(self.starts) == dict(other.starts) and dict(self.stops) == dict(other.stops)

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.starts.items())), tuple(sorted(self.stops.items()))))

    def __repr__(self) -> str:
        stops = f", stops={dict(self.stops)}" if self.stops else ""
        return f"Rollout({dict(self.starts)}{stops})"


def _by_unit(
    given: Mapping[Any, Period], argument: str, *, empty: bool = False
) -> dict[str, Period]:
    """Return the mapping by unit id as text, refusing what is missing or stands twice."""
    if not isinstance(given, Mapping):
        raise DesignError(
            needed="a mapping of unit to period, such as {'303': 2018}",
            found=type(given).__name__,
            where=f"Rollout({argument}=)",
            todo="give each pilot its period",
        )
    if not given and not empty:
        raise DesignError(
            needed="at least one pilot",
            found="none",
            where=f"Rollout({argument}=)",
            todo="name the pilots and their starts",
        )
    made = by_unit(given, "pilot", where=f"Rollout({argument}=)")
    for unit, period in made.items():
        if pd.isna(period):
            raise DesignError(
                needed="a period for every pilot",
                found=f"none for {unit!r}",
                where=f"Rollout({argument}=)",
                todo="give the period, or leave the unit out: comparators are not in a rollout",
            )
    return made
