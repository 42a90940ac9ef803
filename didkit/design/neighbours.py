"""Published statistical neighbours: for each authority, others ranked by likeness."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from didkit.design.against import Aggregate, PerPilot, Union
from didkit.design.parts import neighbours_by_unit
from didkit.design.seen import late
from didkit.errors import DesignError, first_few, is_number, is_whole
from didkit.panel import Panel, unit_id

__all__ = ["CLOSENESS", "Neighbours"]

CLOSENESS = ("Extremely close", "Very close", "Close", "Somewhat close", "Not close")
"""Bands of closeness in the published lists, the closest first."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """A published or computed list of statistical neighbours, checked once.

    Parameters
    ----------
    table : DataFrame
        Columns ``unit, rank, neighbour``; optionally ``closeness, unit_name, neighbour_name,
        distance, part`` (of a merged unit: the code whose list it is). Neighbours of one rank
        stand in the order of their ids.
    release, file, sha256 : str
        Where it came from, and how it was cut.
    until : mapping of str to period label, optional
        Of computed neighbours: the last period that each covariate has seen. A design that starts
        by then refuses them.
    unlisted : mapping of unit to str, optional
        Why a unit has no list (any more).
    notes : tuple of str
        What a reader of a design must know of the lists.

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
    until: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    unlisted: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)

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
        order = ["unit", "rank", *(["part"] if "part" in known else []), "neighbour"]
        table = known.sort_values(order, ignore_index=True)
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
        object.__setattr__(self, "until", MappingProxyType(dict(self.until)))
        object.__setattr__(self, "unlisted", MappingProxyType(dict(self.unlisted)))

    def __repr__(self) -> str:
        units = self.table["unit"].nunique()
        return f"Neighbours({units} units, {len(self.table)} neighbours{_named(self.release)})"

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
        made = neighbours_by_unit(panel, self)
        why = {panel.canonical(unit): text for unit, text in made.unlisted.items()}
        return made if why == dict(made.unlisted) else replace(made, unlisted=why)

    # -- cut -----------------------------------------------------------------------------------

    def closest(self, k: int) -> Neighbours:
        """Return the lists cut to their first `k` neighbours, whoever these are.

        A pilot among them is not replaced: with ``union(most=k)`` and ``per_pilot(most=k)`` it is.

        Parameters
        ----------
        k : int
            At least 1.

        Raises
        ------
        DesignError
            If `k` is not a whole number of at least 1.

        Examples
        --------
        >>> table = pd.DataFrame({"unit": ["1"] * 3, "rank": [1, 2, 3], "neighbour": list("234")})
        >>> Neighbours(table, release="a list").closest(2).release
        'a list, the closest 2 of each list'
        """
        if not is_whole(k) or k < 1:
            raise DesignError(
                needed="a whole number of neighbours, at least 1",
                found=repr(k),
                where="Neighbours.closest",
                todo="write neighbours.closest(5)",
            )
        place = self.table.groupby("unit").cumcount()
        return self._cut((place < k).to_numpy(), f"the closest {k} of each list")

    def at_least(self, band: str) -> Neighbours:
        """Return the lists without the neighbours below a band of closeness.

        Parameters
        ----------
        band : str
            One of `CLOSENESS`, in any case: ``"Somewhat close"`` leaves out "Not close".

        Raises
        ------
        DesignError
            If there is no such band, the list has no closeness, or nobody is that close.
        """
        (chosen,) = _bands([band], "Neighbours.at_least")
        kept = CLOSENESS[: CLOSENESS.index(chosen) + 1]
        return self._cut(self._in(kept), f"at least {chosen!r}")

    def without(self, *bands: str) -> Neighbours:
        """Return the lists without the neighbours of some bands of closeness.

        Parameters
        ----------
        *bands : str
            Of `CLOSENESS`, in any case.

        Raises
        ------
        DesignError
            If there is no such band, the list has no closeness, or nobody is left.

        Examples
        --------
        >>> table = pd.DataFrame({"unit": ["1", "1"], "rank": [1, 2], "neighbour": ["2", "3"]})
        >>> made = Neighbours(table.assign(closeness=["Close", "Not close"]))
        >>> made.without("Not close").of("1")
        ('2',)
        """
        out = _bands(bands, "Neighbours.without")
        kept = [band for band in CLOSENESS if band not in out]
        return self._cut(self._in(kept), "without " + ", ".join(map(repr, out)))

    def _cut(self, keep: np.ndarray, how: str) -> Neighbours:
        """Keep some rows; remember which units lost all, and what they had."""
        if not keep.any():
            raise DesignError(
                needed="at least one neighbour",
                found=f"none of {len(keep)} left",
                where=f"the neighbours {self.file or self.release}, {how}",
                todo="keep more bands of closeness",
            )
        made = self.table[keep]
        gone = self.table[~self.table["unit"].isin(set(made["unit"]))]
        why = {
            str(unit): f"{len(rows)} listed, none left {how}: {_counted(rows['closeness'])}"
            for unit, rows in gone.groupby("unit")
        }
        release = ", ".join(one for one in (self.release, how) if one)
        return replace(self, table=made, release=release, unlisted={**self.unlisted, **why})

    def _in(self, bands: Collection[str]) -> np.ndarray:
        """Tell which rows are in these bands."""
        closeness = _written(self.table["closeness"])
        unknown = sorted(set(closeness) - set(CLOSENESS))
        if unknown:
            raise DesignError(
                needed="a closeness for every neighbour: " + ", ".join(CLOSENESS),
                found=first_few([repr(one) for one in unknown]),
                where=f"the neighbours {self.file or self.release}".strip(),
                todo="use closest(k), or a list with closeness",
            )
        return np.asarray(closeness.isin(list(bands)))

    # -- looked at -----------------------------------------------------------------------------

    def closeness(self, pilots: Iterable[object], panel: Panel | None = None) -> pd.DataFrame:
        """Count each pilot's neighbours by closeness, and those who may not serve.

        Parameters
        ----------
        pilots : iterable of unit
            For example ``design.pilots``.
        panel : Panel, optional
            Where comparators must come from; codes that are parts of a merged unit stand for it.

        Returns
        -------
        DataFrame
            One row a pilot, in the order given: ``pilot, name`` (if known), ``listed``, one column
            for each band that the list has, ``pilots`` (how many of the listed are pilots), and
            with a panel ``without_data``: how many have no row or no value in it.

        Raises
        ------
        DesignError
            If a pilot has no list, or `pilots` is no sequence of units.

        Examples
        --------
        >>> table = pd.DataFrame({"unit": ["1", "1"], "rank": [1, 2], "neighbour": ["2", "3"]})
        >>> made = Neighbours(table.assign(closeness=["Close", "Not close"]))
        >>> made.closeness(["1"]).to_dict("records")
        [{'pilot': '1', 'listed': 2, 'Close': 1, 'Not close': 1, 'pilots': 0}]
        """
        if isinstance(pilots, str) or not isinstance(pilots, Iterable):
            raise DesignError(
                needed="the pilots, such as design.pilots",
                found=repr(pilots),
                where="Neighbours.closeness",
                todo="write neighbours.closeness(design.pilots, design.panel)",
            )
        lists = self if panel is None else self.among(panel)
        chosen = list(
            dict.fromkeys(
                unit_id(unit) if panel is None else panel.canonical(unit) for unit in pilots
            )
        )
        without = [unit for unit in chosen if not lists.of(unit)]
        if without:
            raise DesignError(
                needed="a list of neighbours for every pilot",
                found=f"none for {first_few(without)}",
                where="Neighbours.closeness",
                todo="use the list of a year in which these authorities existed",
            )
        mine = lists.table[lists.table["unit"].isin(chosen)]
        written = _written(mine["closeness"])
        there = None if panel is None else _with_values(panel)
        rows = []
        for pilot in chosen:
            own = mine[mine["unit"] == pilot]
            row: dict[str, Any] = {"pilot": pilot}
            if "unit_name" in own:
                row["name"] = own["unit_name"].iloc[0]
            row["listed"] = len(own)
            bands = written[own.index]
            row |= {band: int((bands == band).sum()) for band in CLOSENESS if band in set(written)}
            row["pilots"] = int(own["neighbour"].isin(chosen).sum())
            if there is not None:
                row["without_data"] = int((~own["neighbour"].isin(there)).sum())
            rows.append(row)
        return pd.DataFrame(rows)

    # -- used ----------------------------------------------------------------------------------

    def union(self, *, include_pilots: bool = False, most: int | None = None) -> Union:
        """Compare all pilots with every unit that is a neighbour of any of them.

        Parameters
        ----------
        include_pilots : bool, default False
            Whether a pilot may serve as comparator of the other pilots.
        most : int, optional
            Of each list only so many of the closest that may serve: a pilot, an excluded unit or
            one without a row in the panel gives its place to the next on the list.
        """
        return Union(self, include_pilots=include_pilots, most=most)

    def per_pilot(
        self,
        *,
        aggregate: Aggregate | Literal["mean", "median", "weighted"],
        include_pilots: bool = False,
        most: int | None = None,
        weights: Mapping[str, float] | Literal["rank", "distance"] | None = None,
    ) -> PerPilot:
        """Compare each pilot with its own neighbours.

        Parameters
        ----------
        aggregate : {"mean", "median", "weighted"}
            How a pilot's neighbours become one comparison: official tools differ, so it is said.
        include_pilots : bool, default False
            Whether other pilots among a pilot's neighbours stay in its set.
        most : int, optional
            Only so many of the closest that may serve, as in `union`.
        weights : mapping of closeness to number, "rank" or "distance", optional
            With ``aggregate="weighted"``. A number for each band of closeness, 0 leaving a band
            out; ``"rank"``: 1/rank, the rank on the whole list; ``"distance"``: 1/distance, and
            where a distance is 0, the neighbours at distance 0 alone, equally. Then divided by
            their sum over the neighbours that serve.

        Raises
        ------
        DesignError
            If weights are given without ``aggregate="weighted"`` or the reverse, or the list has
            no closeness or distance to weigh by.

        Examples
        --------
        >>> table = pd.DataFrame({"unit": ["1", "1"], "rank": [1, 3], "neighbour": ["2", "3"]})
        >>> made = Neighbours(table).per_pilot(aggregate="weighted", weights="rank")
        >>> dict(made.resolve(["1"], ["1", "2", "3"], frozenset()).sets["1"])
        {'2': 0.75, '3': 0.25}
        """
        return PerPilot(
            self, aggregate=aggregate, include_pilots=include_pilots, most=most, weights=weights
        )

    def check_before(self, panel: Panel, start: str) -> None:
        """Refuse computed neighbours that have seen a period from `start` on.

        Raises
        ------
        DesignError
            If a covariate or the weights have.
        """
        found = late(panel, self.until, start)
        if found:
            raise DesignError(
                needed=f"neighbours computed from what was known before the first start, {start}",
                found=first_few(found),
                where=f"the neighbours {self.file or self.release}".strip(),
                todo="compute them from earlier periods: what comes after the start may be an "
                "effect",
            )

    def check_weights(self, weights: object) -> None:
        """Refuse weights by what the list does not have.

        Raises
        ------
        DesignError
            If they are neither "rank", "distance" with distances, nor numbers by closeness.
        """
        lacking = ""
        if isinstance(weights, Mapping):
            _bands(list(weights), "per_pilot(weights=)")
            self._in(())
            numbers = list(weights.values())
            if not numbers or any(not is_number(w) or not 0 <= w < np.inf for w in numbers):
                lacking = f"{dict(weights)!r}"
            elif not any(numbers):
                lacking = "weights that are all 0"
        elif not isinstance(weights, str) or weights not in ("rank", "distance"):
            lacking = repr(weights)
        elif weights == "distance" and "distance" not in self.table:
            lacking = "a list without distances"
        elif weights == "rank" and not (self.table["rank"] > 0).all():
            lacking = "ranks that do not begin at 1"
        if lacking:
            raise DesignError(
                needed="weights='rank', weights='distance' for a list with distances, or a number "
                "of at least 0 for each closeness",
                found=lacking,
                where="per_pilot(weights=)",
                todo="write for example weights={'Very close': 3, 'Close': 2}",
            )

    def weights_of(
        self,
        unit: str,
        kept: Sequence[str],
        weights: Mapping[str, float] | Literal["rank", "distance"],
    ) -> dict[str, float]:
        """Return the weights of some of a unit's neighbours; they add up to 1.

        Raises
        ------
        DesignError
            If a neighbour's band has no weight, or all that are kept have weight 0.
        """
        rows = self.table[self.table["unit"] == unit].set_index("neighbour").loc[list(kept)]
        if isinstance(weights, Mapping):
            of = dict(
                zip(_bands(list(weights), "per_pilot(weights=)"), weights.values(), strict=True)
            )
            bands = _written(rows["closeness"])
            unknown = [band for band in dict.fromkeys(bands) if band not in of]
            if unknown:
                raise DesignError(
                    needed="a weight for each closeness among the neighbours",
                    found=f"none for {first_few([repr(band) for band in unknown])}",
                    where=f"the neighbours of {unit!r}",
                    todo="add them; 0 leaves a band out",
                )
            raw = np.array([float(of[band]) for band in bands])
        elif weights == "rank":
            raw = 1 / rows["rank"].to_numpy(dtype=float)
        else:
            distance = rows["distance"].to_numpy(dtype=float)
            same = distance == 0
            raw = same.astype(float) if same.any() else 1 / np.where(same, 1.0, distance)
        if not raw.sum() > 0:
            raise DesignError(
                needed="at least one comparator with a weight above 0 for every pilot",
                found=f"none of {len(raw)}: {_counted(rows['closeness'])}",
                where=f"the set of {unit!r}",
                todo="give their closeness a weight, or leave this pilot out by name",
            )
        share = raw / raw.sum()
        return {other: float(w) for other, w in zip(kept, share, strict=True) if w > 0}

    def distances_of(self, unit: str, kept: Sequence[str]) -> dict[str, float]:
        """Return the distances of some of a unit's neighbours; empty where the list has none."""
        if "distance" not in self.table:
            return {}
        rows = self.table[self.table["unit"] == unit].set_index("neighbour")["distance"]
        return {other: float(rows[other]) for other in kept}


def _named(release: str) -> str:
    return f"; {release}" if release else ""


def _written(closeness: pd.Series[Any]) -> pd.Series[Any]:
    """Write bands as `CLOSENESS` does."""
    return closeness.astype(str).str.strip().str.capitalize()


def _counted(closeness: pd.Series[Any]) -> str:
    """Say how many of each band: "7 Not close, 3 Close"."""
    counts = _written(closeness).value_counts()
    order = [band for band in CLOSENESS if band in counts.index]
    return ", ".join(f"{counts[band]} {band}" for band in order) or "without closeness"


def _bands(names: Sequence[str], where: str) -> list[str]:
    """Return the bands of these names.

    Raises
    ------
    DesignError
        If none is given or one is unknown.
    """
    found = [str(name).strip().capitalize() for name in names]
    unknown = [repr(name) for name, band in zip(names, found, strict=True) if band not in CLOSENESS]
    if unknown or not found:
        raise DesignError(
            needed="bands of closeness: " + ", ".join(CLOSENESS),
            found=first_few(unknown) or "none",
            where=where,
            todo="choose from them",
        )
    return found


def _with_values(panel: Panel) -> set[str]:
    """Name the units that have at least one value in the panel."""
    seen = np.zeros(len(panel.unit_ids), dtype=bool)
    for metric in panel.metrics:
        seen |= np.isfinite(panel.cells(metric).value).any(axis=1)
    return {unit for unit, any_value in zip(panel.unit_ids, seen, strict=True) if any_value}
