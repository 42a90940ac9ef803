"""Against whom: a pool, a union of neighbours, each pilot's own neighbours, or given sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from didkit.design.ids import by_unit
from didkit.design.seen import late
from didkit.errors import DesignError, first_few, is_whole
from didkit.panel import unit_id

if TYPE_CHECKING:
    from didkit.design.neighbours import Neighbours
    from didkit.panel import Panel

__all__ = ["Against", "Aggregate", "Comparison", "MatchedSets", "PerPilot", "Pool", "Union"]

Aggregate = Literal["mean", "median"]


@dataclass(frozen=True)
class Comparison:
    """Who serves as comparator, as resolved for given pilots.

    ``sets`` is None when all pilots face one pool; otherwise pilot → comparator → weight, the
    weights of each pilot adding up to 1; a pilot without a set is left out of the design.
    ``distances``: pilot → comparator → distance, where the comparators were chosen by one.
    ``left_out``: unit → reason, of pilots and possible comparators that could not be used.
    ``until``: what they were chosen by → the last period that it has seen.
    """

    comparators: tuple[str, ...]
    sets: Mapping[str, Mapping[str, float]] | None
    aggregate: Aggregate
    absent: tuple[str, ...]
    distances: Mapping[str, Mapping[str, float]] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    until: Mapping[str, str] = field(default_factory=dict)


class Against:
    """What `Design` takes as ``against=``; resolved when the pilots are known."""

    def resolve(
        self, pilots: Sequence[str], units: Sequence[str], barred: frozenset[str]
    ) -> Comparison:
        """Name the comparators of `pilots` among `units`, none of them in `barred`."""
        raise TypeError("Against is resolved by its subclasses: Pool, Union, PerPilot, MatchedSets")

    def among(self, panel: Panel) -> Against:
        """Return the same comparison by the panel's units; one that names no unit as it is."""
        return self

    def check_before(self, panel: Panel, start: str) -> None:
        """Refuse a comparison that has seen the periods from the first start on."""

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        raise TypeError("Against is described by its subclasses")


@dataclass(frozen=True)
class Pool(Against):
    """Every other unit of the panel.

    Parameters
    ----------
    units : sequence of str, optional
        Only these.
    include_pilots : bool, default False
        Whether each pilot is also compared with the other pilots.
    """

    units: tuple[str, ...] | None = None
    include_pilots: bool = False

    def __post_init__(self) -> None:
        if self.units is not None:
            object.__setattr__(self, "units", tuple(unit_id(unit) for unit in self.units))

    def resolve(
        self, pilots: Sequence[str], units: Sequence[str], barred: frozenset[str]
    ) -> Comparison:
        """Name every unit that is neither pilot nor barred."""
        wanted = units if self.units is None else self.units
        return _one_pool(wanted, pilots, units, barred, self.include_pilots)

    def among(self, panel: Panel) -> Pool:
        """Return the same pool by the panel's units."""
        if self.units is None:
            return self
        units = tuple(dict.fromkeys(panel.canonical(unit) for unit in self.units))
        return self if units == self.units else replace(self, units=units)

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        who = "every other authority" if self.units is None else f"{len(self.units)} named units"
        return who + (", other pilots among them" if self.include_pilots else "")


@dataclass(frozen=True, eq=False)
class Union(Against):
    """Every unit that is a neighbour of at least one pilot.

    Parameters
    ----------
    neighbours : Neighbours
        A list for every pilot.
    include_pilots : bool, default False
        Whether a pilot may serve as comparator of the other pilots.
    most : int, optional
        Of each list, only so many of the closest that may serve: a pilot, an excluded unit or one
        without a row in the panel gives its place to the next on the list.
    """

    neighbours: Neighbours
    include_pilots: bool = False
    most: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_most(self.most)

    def resolve(
        self, pilots: Sequence[str], units: Sequence[str], barred: frozenset[str]
    ) -> Comparison:
        """Name the union of the pilots' neighbours."""
        _refuse_without_list(self.neighbours, pilots)
        keep_out = barred if self.include_pilots else barred | set(pilots)
        wanted: set[str] = set()
        for pilot in pilots:
            listed = self.neighbours.of(pilot)
            wanted.update(_first(listed, self.most, frozenset(units), keep_out))
        made = _one_pool(sorted(wanted), pilots, units, barred, self.include_pilots)
        return replace(made, notes=self.neighbours.notes, until=self.neighbours.until)

    def among(self, panel: Panel) -> Union:
        """Return the same comparison, the lists by the panel's units."""
        lists = self.neighbours.among(panel)
        return self if lists is self.neighbours else replace(self, neighbours=lists)

    def check_before(self, panel: Panel, start: str) -> None:
        """Refuse computed neighbours that have seen the periods from the first start on."""
        self.neighbours.check_before(panel, start)

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        return (
            f"the {_closest(self.most)}statistical neighbours of any pilot"
            + (", other pilots among them" if self.include_pilots else ", without the pilots")
            + _next_on_list(self.most)
            + _from(self.neighbours)
        )


@dataclass(frozen=True, eq=False)
class PerPilot(Against):
    """Each pilot's own neighbours.

    Parameters
    ----------
    neighbours : Neighbours
        A list for every pilot.
    aggregate : {"mean", "median", "weighted"}
        How a pilot's neighbours become one comparison; ``"weighted"`` is a weighted mean.
    include_pilots : bool, default False
        Whether other pilots among a pilot's neighbours stay in its set.
    most : int, optional
        As in `Union`.
    weights : mapping of closeness to number, "rank" or "distance", optional
        With ``aggregate="weighted"``, and only there; see `Neighbours.per_pilot`.
    """

    neighbours: Neighbours
    aggregate: Aggregate | Literal["weighted"]
    include_pilots: bool = False
    most: int | None = field(default=None, kw_only=True)
    weights: Mapping[str, float] | Literal["rank", "distance"] | None = field(
        default=None, kw_only=True
    )

    def __post_init__(self) -> None:
        if self.aggregate != "weighted":
            _check_aggregate(self.aggregate)
        _check_most(self.most)
        if (self.aggregate == "weighted") != (self.weights is not None):
            raise DesignError(
                needed="weights= with aggregate='weighted', and nowhere else",
                found=f"aggregate={self.aggregate!r}, weights={self.weights!r}",
                where="per_pilot",
                todo="write weights='rank', weights='distance' or weights={'Very close': 3, …}",
            )
        if self.weights is not None:
            self.neighbours.check_weights(self.weights)

    def resolve(
        self, pilots: Sequence[str], units: Sequence[str], barred: frozenset[str]
    ) -> Comparison:
        """Name each pilot's neighbours, with their weights."""
        _refuse_without_list(self.neighbours, pilots)
        there, keep_out = frozenset(units), barred
        if not self.include_pilots:
            keep_out |= set(pilots)
        sets: dict[str, dict[str, float]] = {}
        distances: dict[str, dict[str, float]] = {}
        absent: set[str] = set()
        for pilot in pilots:
            listed = self.neighbours.of(pilot)
            examined = _first(listed, self.most, there, keep_out)
            absent |= {other for other in examined if other not in there and other not in keep_out}
            kept = [other for other in examined if other in there and other not in keep_out]
            _refuse_empty(pilot, kept, len(listed))
            sets[pilot] = (
                {other: 1 / len(kept) for other in kept}
                if self.weights is None
                else self.neighbours.weights_of(pilot, kept, self.weights)
            )
            distances[pilot] = self.neighbours.distances_of(pilot, list(sets[pilot]))
        aggregate: Aggregate = "median" if self.aggregate == "median" else "mean"
        made = _from_sets(sets, aggregate, absent)
        known = all(distances.values())
        return replace(
            made,
            distances=distances if known else None,
            notes=self.neighbours.notes,
            until=self.neighbours.until,
        )

    def among(self, panel: Panel) -> PerPilot:
        """Return the same comparison, the lists by the panel's units."""
        lists = self.neighbours.among(panel)
        return self if lists is self.neighbours else replace(self, neighbours=lists)

    def check_before(self, panel: Panel, start: str) -> None:
        """Refuse computed neighbours that have seen the periods from the first start on."""
        self.neighbours.check_before(panel, start)

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        how = {"mean": "mean", "median": "median", "weighted": "weighted mean"}[self.aggregate]
        return (
            f"for each pilot the {how} of its own {_closest(self.most)}statistical neighbours"
            + (", other pilots among them" if self.include_pilots else ", without the pilots")
            + _next_on_list(self.most)
            + _weighted_by(self.weights)
            + _from(self.neighbours)
        )


class MatchedSets(Against):
    """Given comparators and weights for each pilot.

    Parameters
    ----------
    weights : mapping of pilot to mapping of comparator to weight
        Weights of each pilot are positive and add up to 1.
    aggregate : {"mean", "median"}
        ``"mean"`` is the weighted mean; ``"median"`` takes equal weights only.
    include_pilots : bool, default False
        Whether another pilot may stand in a set.
    distances : mapping of pilot to mapping of comparator to distance, optional
        How far apart they are, where they were chosen by a distance.
    unmatched : mapping of pilot to reason, optional
        Pilots that could not be matched and are to be left out of a design.
    notes : tuple of str
        What a reader must know of how the sets were made.
    until : mapping of str to period label, optional
        What the sets were chosen by, and the last period that it has seen. A design whose pilots
        start by then refuses them; without it nobody can. ``design.matched_sets()`` carries it.

    Raises
    ------
    DesignError
        An empty set, a pilot in its own set, weights that are not positive or do not add up to 1.

    Examples
    --------
    >>> MatchedSets({"303": {"304": 0.5, "305": 0.5}}).describe()
    'for each pilot the mean of a set given by weight (1 sets)'
    """

    def __init__(
        self,
        weights: Mapping[Any, Mapping[Any, float]],
        *,
        aggregate: Aggregate = "mean",
        include_pilots: bool = False,
        distances: Mapping[str, Mapping[str, float]] | None = None,
        unmatched: Mapping[str, str] | None = None,
        notes: tuple[str, ...] = (),
        until: Mapping[str, str] | None = None,
    ) -> None:
        _check_aggregate(aggregate)
        given: Any = weights
        if not isinstance(given, Mapping) or not all(
            isinstance(members, Mapping) for members in given.values()
        ):
            raise DesignError(
                needed="for each pilot a mapping of comparator to weight",
                found=repr(weights)[:80],
                where="MatchedSets",
                todo="write {'303': {'304': 0.5, '305': 0.5}}",
            )
        made = {
            pilot: {
                other: float(w)
                for other, w in by_unit(
                    members, "comparator", where=f"the set of {pilot!r}"
                ).items()
            }
            for pilot, members in by_unit(weights, "pilot", where="MatchedSets").items()
        }
        for pilot, members in made.items():
            _refuse_empty(pilot, list(members), 0)
            total = sum(members.values())
            if pilot in members:
                raise DesignError(
                    needed="comparators other than the pilot itself",
                    found=f"{pilot!r} in its own set",
                    where="MatchedSets",
                    todo="take it out",
                )
            if any(not w > 0 for w in members.values()) or abs(total - 1) > 1e-9:
                raise DesignError(
                    needed="positive weights that add up to 1",
                    found=f"weights that add up to {total:g}, the least {min(members.values()):g}",
                    where=f"the set of {pilot!r}",
                    todo="take out comparators of weight 0 and divide by the sum",
                )
            if aggregate == "median" and max(members.values()) - min(members.values()) > 1e-12:
                raise DesignError(
                    needed="equal weights when sets are aggregated by the median",
                    found="unequal ones",
                    where=f"the set of {pilot!r}",
                    todo="use aggregate='mean'",
                )
        self.weights = MappingProxyType({p: MappingProxyType(m) for p, m in made.items()})
        self.aggregate: Aggregate = aggregate
        self.include_pilots = include_pilots
        self.distances = distances
        self.unmatched = MappingProxyType(dict(unmatched or {}))
        self.notes = notes
        self.until = MappingProxyType({k: str(v) for k, v in (until or {}).items()})

    @property
    def table(self) -> pd.DataFrame:
        """One row a pilot and comparator: ``pilot, comparator, weight, distance``."""
        rows = [
            (pilot, other, weight, (self.distances or {}).get(pilot, {}).get(other, np.nan))
            for pilot, members in self.weights.items()
            for other, weight in members.items()
        ]
        return pd.DataFrame(rows, columns=["pilot", "comparator", "weight", "distance"])

    def resolve(
        self, pilots: Sequence[str], units: Sequence[str], barred: frozenset[str]
    ) -> Comparison:
        """Take the given sets; refuse comparators that are absent, pilots or barred."""
        without = [p for p in pilots if p not in self.weights and p not in self.unmatched]
        pilots = [pilot for pilot in pilots if pilot in self.weights]
        if without or not pilots:
            raise DesignError(
                needed="a set for every pilot",
                found=f"none for {first_few(without)}",
                where="MatchedSets",
                todo="add their sets",
            )
        there, keep_out = set(units), set(barred)
        if not self.include_pilots:
            keep_out |= set(pilots)
        wrong = sorted(
            {
                other
                for pilot in pilots
                for other in self.weights[pilot]
                if other not in there or other in keep_out
            }
        )
        if wrong:
            raise DesignError(
                needed="comparators that are in the panel, not excluded, and not pilots",
                found=first_few(wrong),
                where="MatchedSets",
                todo="rebuild the sets without them (include_pilots=True allows pilots by name)",
            )
        sets = {pilot: dict(self.weights[pilot]) for pilot in pilots}
        made = _from_sets(sets, self.aggregate, set())
        left_out = {unit: why for unit, why in self.unmatched.items() if unit not in pilots}
        return replace(
            made,
            distances=self.distances,
            left_out=left_out,
            notes=self.notes,
            until=self.until,
        )

    def check_before(self, panel: Panel, start: str) -> None:
        """Refuse sets that were chosen by periods from the first start on, where that is known."""
        found = late(panel, self.until, start)
        if found:
            raise DesignError(
                needed=f"sets chosen by what was known before the first start, {start}",
                found=first_few(found),
                where="MatchedSets",
                todo="choose them by earlier periods: what comes after the start may be an effect",
            )

    def among(self, panel: Panel) -> MatchedSets:
        """Return the same sets by the panel's units; weights of parts of one unit add.

        Of their distances the smallest is kept.

        Raises
        ------
        DesignError
            If two parts of one unit have different sets, or one stands in the other's.
        """
        if not panel.parts:
            return self
        made: dict[str, dict[str, float]] = {}
        distances: dict[str, dict[str, float]] = {}
        unmatched = {panel.canonical(unit): why for unit, why in self.unmatched.items()}
        for pilot, members in self.weights.items():
            weights: dict[str, float] = {}
            apart = distances.setdefault(panel.canonical(pilot), {})
            for other, weight in members.items():
                unit = panel.canonical(other)
                weights[unit] = weights.get(unit, 0.0) + weight
                given = (self.distances or {}).get(pilot, {})
                if other in given:
                    apart[unit] = min(given[other], apart.get(unit, np.inf))
            if self.aggregate == "median" and len(weights) < len(members):  # each unit once
                weights = dict.fromkeys(weights, 1 / len(weights))
            whole = panel.canonical(pilot)
            if made.setdefault(whole, weights) != weights or whole in unmatched:
                raise DesignError(
                    needed="one set for each unit of the panel",
                    found=f"different sets for the parts of {whole!r}, {pilot!r} among them",
                    where="MatchedSets",
                    todo=f"give {whole!r} one set",
                )
        return MatchedSets(
            made,
            aggregate=self.aggregate,
            include_pilots=self.include_pilots,
            distances=None if self.distances is None else distances,
            unmatched=unmatched,
            notes=self.notes,
            until=self.until,
        )

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        n = len(self.weights)
        return f"for each pilot the {self.aggregate} of a set given by weight ({n} sets)"


def _check_aggregate(aggregate: object) -> None:
    if aggregate not in ("mean", "median"):
        raise DesignError(
            needed="aggregate='mean' or aggregate='median', said aloud: official tools differ",
            found=repr(aggregate),
            where="the comparators",
            todo="choose one",
        )


def _from(neighbours: Neighbours) -> str:
    """Name the list, in words that can stand inside brackets or a sentence."""
    return f"; list: {neighbours.release}" if neighbours.release else ""


def _closest(most: int | None) -> str:
    return "" if most is None else f"{most} closest "


def _next_on_list(most: int | None) -> str:
    """Say by what rule a neighbour that may not serve is replaced."""
    return (
        "" if most is None else " (one that may not serve gives its place to the next on the list)"
    )


def _weighted_by(weights: Mapping[str, float] | str | None) -> str:
    if weights is None:
        return ""
    if isinstance(weights, str):
        return f", weights 1/{weights}"
    return ", weights " + ", ".join(f"{band} {number:g}" for band, number in weights.items())


def _check_most(most: Any) -> None:
    if most is not None and (not is_whole(most) or most < 1):
        raise DesignError(
            needed="most= as a whole number of at least 1, or nothing for the whole list",
            found=repr(most),
            where="the comparators",
            todo="write most=5",
        )


def _first(
    listed: Sequence[str], most: int | None, there: frozenset[str], keep_out: frozenset[str]
) -> list[str]:
    """Return the list up to the place where `most` that may serve are found; all without one."""
    if most is None:
        return list(listed)
    found = 0
    for place, other in enumerate(listed):
        found += other in there and other not in keep_out
        if found == most:
            return list(listed[: place + 1])
    return list(listed)


def _refuse_without_list(neighbours: Neighbours, pilots: Sequence[str]) -> None:
    known = set(neighbours.table["unit"])
    without = [pilot for pilot in pilots if pilot not in known]
    if without:
        why = [
            f"{unit} ({neighbours.unlisted[unit]})"
            for unit in without
            if unit in neighbours.unlisted
        ]
        raise DesignError(
            needed="a list of neighbours for every pilot",
            found=f"none for {first_few(why or without)}",
            where=f"the neighbours {neighbours.file or neighbours.release}".strip(),
            todo="allow more neighbours, or leave these pilots out by name"
            if why
            else "use the list of a year in which these authorities existed",
        )


def _refuse_empty(pilot: str, kept: Sequence[str], listed: int) -> None:
    if not kept:
        raise DesignError(
            needed="at least one comparator for every pilot",
            found=f"none left of {listed}",
            where=f"the set of {pilot!r}",
            todo="allow more neighbours, or leave this pilot out by name",
        )


def _one_pool(
    wanted: Sequence[str],
    pilots: Sequence[str],
    units: Sequence[str],
    barred: frozenset[str],
    include_pilots: bool,
) -> Comparison:
    """Resolve one pool for all pilots, or, with pilots in it, a set for each pilot."""
    there = set(units)
    absent = {unit for unit in wanted if unit not in there and unit not in barred}
    kept = [unit for unit in wanted if unit in there and unit not in barred]
    if include_pilots:
        sets: dict[str, dict[str, float]] = {}
        for pilot in pilots:
            members = [unit for unit in kept if unit != pilot]
            _refuse_empty(pilot, members, len(wanted))
            sets[pilot] = {unit: 1 / len(members) for unit in members}
        return _from_sets(sets, "mean", absent)
    comparators = tuple(sorted(set(kept) - set(pilots)))
    if not comparators:
        raise DesignError(
            needed="at least one comparator",
            found=f"none left of {len(list(wanted))} once pilots and excluded units are out",
            where="Design(against=)",
            todo="widen the pool, exclude fewer units, or name fewer pilots",
        )
    return Comparison(comparators, None, "mean", tuple(sorted(absent)))


def _from_sets(
    sets: Mapping[str, Mapping[str, float]], aggregate: Aggregate, absent: set[str]
) -> Comparison:
    comparators = tuple(sorted({other for members in sets.values() for other in members}))
    return Comparison(comparators, sets, aggregate, tuple(sorted(absent)))
