"""Published statistical neighbours: for each authority, others ranked by likeness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from didkit.design.against import Aggregate, PerPilot, Union
from didkit.design.parts import neighbours_by_unit
from didkit.errors import DesignError, first_few
from didkit.panel import Panel

__all__ = ["Neighbours"]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """A published list of statistical neighbours, checked once.

    Parameters
    ----------
    table : DataFrame
        Columns ``unit, rank, neighbour``; optionally ``closeness, unit_name, neighbour_name``.
    release, file, sha256 : str
        Where it came from.

    Raises
    ------
    DesignError
        A column is missing, a unit is its own neighbour, or a neighbour stands twice in one list.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {
    ...         "unit": ["303"] * 2,
    ...         "rank": [1, 2],
    ...         "neighbour": ["304", "305"],
    ...         "closeness": ["", ""],
    ...     }
    ... )
    >>> Neighbours(table).of("303")
    ('304', '305')
    """

    table: pd.DataFrame
    release: str = ""
    file: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        missing = [c for c in ("unit", "rank", "neighbour") if c not in self.table.columns]
        if missing or self.table.empty:
            raise DesignError(
                needed="columns unit, rank, neighbour and at least one row",
                found=f"without {first_few(missing)}" if missing else "no row",
                where=f"the neighbours {self.file or self.release}".strip(),
                todo="read the published list with didkit.read_neighbours",
            )
        known = self.table if "closeness" in self.table else self.table.assign(closeness="")
        table = known.sort_values(["unit", "rank"], kind="stable", ignore_index=True)
        own = table.loc[table["unit"] == table["neighbour"], "unit"]
        if len(own):
            raise DesignError(
                needed="neighbours other than the unit itself",
                found=f"{first_few(own)} is its own neighbour",
                where=f"the neighbours {self.file or self.release}".strip(),
                todo="mend the list: a pilot cannot be compared with itself",
            )
        twice = table[table.duplicated(["unit", "neighbour"])]
        if len(twice):
            pairs = [f"{u} → {n}" for u, n in zip(twice["unit"], twice["neighbour"], strict=True)]
            raise DesignError(
                needed="each neighbour once in a list",
                found=first_few(pairs),
                where=f"the neighbours {self.file or self.release}".strip(),
                todo="keep one row of each pair",
            )
        object.__setattr__(self, "table", table)

    def of(self, unit: str) -> tuple[str, ...]:
        """Return the neighbours of one unit, the nearest first; empty where it has no list."""
        return tuple(self.table.loc[self.table["unit"] == unit, "neighbour"])

    def among(self, panel: Panel) -> Neighbours:
        """Return the lists by the panel's units, where old or new codes are parts of merged ones.

        A merged unit has the lists of the codes of one era together, in order of rank (where two
        have one rank, that of the smaller code first): those of the newest era of which every
        code has a list (838 and 839 for ``"838+839"``), else those that the oldest era with a
        list has. Only where no era has any are the lists of all its codes put together. A list
        under the merged id itself comes before all of them. A merged unit is never its own
        neighbour, and stands once, at its best rank, in the lists of others.

        Parameters
        ----------
        panel : Panel
            The units.
        """
        return neighbours_by_unit(panel, self)

    def union(self, *, include_pilots: bool = False) -> Union:
        """Compare all pilots with every unit that is a neighbour of any of them.

        Parameters
        ----------
        include_pilots : bool, default False
            Whether a pilot may serve as comparator of the other pilots.
        """
        return Union(self, include_pilots=include_pilots)

    def per_pilot(
        self, *, aggregate: Aggregate | Literal["mean", "median"], include_pilots: bool = False
    ) -> PerPilot:
        """Compare each pilot with its own neighbours.

        Parameters
        ----------
        aggregate : {"mean", "median"}
            How a pilot's neighbours become one comparison: official tools differ, so it is said.
        include_pilots : bool, default False
            Whether other pilots among a pilot's neighbours stay in its set.
        """
        return PerPilot(self, aggregate=aggregate, include_pilots=include_pilots)
