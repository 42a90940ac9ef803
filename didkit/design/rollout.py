"""When each pilot started and left, how much it did, and who used the practice besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import pandas as pd

from didkit.design.ids import by_unit
from didkit.errors import DesignError, first_few, is_number
from didkit.panel import Period, unit_id
from didkit.panel.metric import Timing

__all__ = ["Dose", "Rollout"]

Dose = float | Mapping[Period, float]

_KINDS: tuple[str, ...] = get_args(Timing)


class Rollout:
    """Pilots, the first period in which each is treated, and the period in which it left.

    Parameters
    ----------
    starts : mapping of unit to period
        The first treated period of each pilot. Periods are labels of the panel's calendar
        (2018, "2018", "2017-18").
    stops : mapping of unit to period, optional
        The first period in which a pilot that left was no longer in the programme. What becomes
        of the periods from then on is the design's choice: ``Design(treatment=)``.
    dose : mapping of unit to number, or to {period: number}, optional
        How much of the programme a pilot had (embeddedness), on any scale from 0 up. One number
        holds from the start until the pilot left. By period, each period of the window from the
        start on must be given; before the start and from the stop on, one that is not given is 0.
        The dose of a pilot that is not named is not known (NaN). Estimates do not use it.
    first_exposed : {"stock": …, "flow": …}, optional
        A programme that starts in mid-year treats the stock of that 31 March, but only part of
        that year's flow. For metrics of that kind (``Metric.timing``) a pilot counts as treated
        from this period on, one for all pilots or {unit: period}; its cells from the start up to
        it are partly treated, and are left out by name.
    contaminated : mapping of unit to period or None, optional
        Units that used the practice outside the programme, and since when (None: throughout). For
        a pilot: it had the programme before its start. Marked, and nothing is left out for it;
        ``Contamination`` (a check) says what it can do to an estimate.

    Raises
    ------
    DesignError
        No pilot, a unit named twice, a period that is missing, a stop, dose or first exposure of
        a unit without a start, a dose below zero, an unknown kind of metric.

    Examples
    --------
    >>> Rollout({"303": 2018, 926: "2017-18"}).pilots
    ('303', '926')
    >>> Rollout({"303": 2018}, first_exposed={"flow": 2019}).starts_of("flow")
    {'303': 2019}
    """

    def __init__(
        self,
        starts: Mapping[Any, Period],
        *,
        stops: Mapping[Any, Period] | None = None,
        dose: Mapping[Any, Dose] | None = None,
        first_exposed: Mapping[str, Period | Mapping[Any, Period]] | None = None,
        contaminated: Mapping[Any, Period | None] | None = None,
    ) -> None:
        self.starts = MappingProxyType(_by_unit(starts, "starts"))
        self.stops = MappingProxyType(_by_unit(stops or {}, "stops", empty=True))
        _of_pilots(self.stops, self.starts, "stops", "stopped")
        self.dose = MappingProxyType(_doses(dose))
        _of_pilots(self.dose, self.starts, "dose", "has a dose")
        self.first_exposed = MappingProxyType(_exposures(first_exposed, self.starts))
        self.contaminated = MappingProxyType(_since(contaminated))

    @property
    def pilots(self) -> tuple[str, ...]:
        """Ids of the pilots, sorted."""
        return tuple(sorted(self.starts))

    def starts_of(self, timing: Timing) -> dict[str, Period]:
        """Return the period from which each pilot counts as treated in one kind of metric.

        Parameters
        ----------
        timing : {"stock", "flow"}
            Of the metric.
        """
        return {**self.starts, **self.first_exposed.get(timing, {})}

    def without(self, unit: str) -> Rollout:
        """Return the rollout without one pilot."""
        return self._of({pilot: pilot for pilot in self.starts if pilot != unit})

    def moved(self, to: Mapping[Any, Any]) -> Rollout:
        """Return the same record for other units: the rollout of a placebo.

        Start, stop, dose and first exposure move. Contamination is a fact about a unit and stays
        where it is.

        Parameters
        ----------
        to : mapping of pilot to unit
            Pilots that are not named stay out.

        Raises
        ------
        DesignError
            If none or a unit that is no pilot is moved, or two go to the same unit.

        Examples
        --------
        >>> Rollout({"303": 2018}, stops={"303": 2020}).moved({"303": "304"})
        Rollout({'304': 2018}, stops={'304': 2020})
        """
        given = {
            old: unit_id(new) for old, new in by_unit(to, "pilot", where="Rollout.moved").items()
        }
        unknown = [old for old in given if old not in self.starts]
        twice = [new for new in dict.fromkeys(given.values()) if _count(given, new) > 1]
        if unknown or twice or not given:
            raise DesignError(
                needed="for each pilot to be moved another unit",
                found=f"no pilot: {first_few(unknown)}"
                if unknown
                else f"two pilots moved to {first_few(twice)}"
                if twice
                else "none",
                where="Rollout.moved",
                todo="choose pilots among: " + ", ".join(self.pilots) + ", each to a unit of its "
                "own",
            )
        return self._of(given)

    def _of(self, to: Mapping[str, str]) -> Rollout:
        """Return the record of some pilots under the ids given."""
        return Rollout(
            {new: self.starts[old] for old, new in to.items()},
            stops={new: self.stops[old] for old, new in to.items() if old in self.stops},
            dose={new: self.dose[old] for old, new in to.items() if old in self.dose},
            first_exposed={
                kind: {new: periods[old] for old, new in to.items() if old in periods}
                for kind, periods in self.first_exposed.items()
            },
            contaminated=self.contaminated,
        )

    def _parts(self) -> dict[str, dict[str, Any]]:
        """Return what the rollout says, as plain dictionaries; empty ones are left out."""
        made: dict[str, dict[str, Any]] = {
            "starts": dict(self.starts),
            "stops": dict(self.stops),
            "dose": {u: dict(d) if isinstance(d, Mapping) else d for u, d in self.dose.items()},
            "first_exposed": {kind: dict(p) for kind, p in self.first_exposed.items()},
            "contaminated": dict(self.contaminated),
        }
        return {name: part for name, part in made.items() if part}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rollout):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(_frozen(self._parts()))

    def __repr__(self) -> str:
        parts = self._parts()
        starts = parts.pop("starts")
        return f"Rollout({starts}{''.join(f', {name}={part}' for name, part in parts.items())})"


def _frozen(part: Any) -> Any:
    """Return nested dictionaries as a set of pairs, so that equal ones have one hash."""
    if isinstance(part, dict):
        return frozenset((key, _frozen(value)) for key, value in part.items())
    return part


def _count(given: Mapping[str, str], new: str) -> int:
    return sum(value == new for value in given.values())


def _mapping(given: object, argument: str, needed: str, todo: str) -> None:
    """Refuse what is no mapping."""
    if not isinstance(given, Mapping):
        raise DesignError(
            needed=needed,
            found=type(given).__name__,
            where=f"Rollout({argument}=)",
            todo=todo,
        )


def _by_unit(
    given: Mapping[Any, Period], argument: str, *, empty: bool = False
) -> dict[str, Period]:
    """Return the mapping by unit id as text, refusing what is missing or stands twice."""
    _mapping(
        given,
        argument,
        "a mapping of unit to period, such as {'303': 2018}",
        "give each pilot its period",
    )
    if not given and not empty:
        raise DesignError(
            needed="at least one pilot",
            found="none",
            where=f"Rollout({argument}=)",
            todo="name the pilots and their starts",
        )
    made = by_unit(given, "pilot", where=f"Rollout({argument}=)")
    _no_gap(
        made,
        argument,
        "give the period, or leave the unit out: comparators are not in a rollout",
        pd.isna,
    )
    return made


def _no_gap(
    made: Mapping[str, Any], argument: str, todo: str, missing: Callable[[Any], bool]
) -> None:
    """Refuse a period that is missing."""
    for unit, period in made.items():
        if missing(period):
            raise DesignError(
                needed="a period for every pilot",
                found=f"none for {unit!r}",
                where=f"Rollout({argument}=)",
                todo=todo,
            )


def _of_pilots(
    given: Mapping[str, Any], starts: Mapping[str, Period], argument: str, did: str
) -> None:
    """Refuse a unit without a start."""
    unknown = [unit for unit in given if unit not in starts]
    if unknown:
        raise DesignError(
            needed=f"a start for every pilot that {did}",
            found=f"{argument} without a start: {first_few(unknown)}",
            where=f"Rollout({argument}=)",
            todo="add their starts, or take the "
            + (argument if argument.endswith("s") else f"{argument}s")
            + " out",
        )


def _doses(given: Mapping[Any, Dose] | None) -> dict[str, Dose]:
    """Return doses by unit, each a number or numbers by period."""
    if given is None:
        return {}
    _mapping(
        given,
        "dose",
        "a mapping of pilot to number, or to {period: number}",
        "write {'303': 0.5} or {'303': {2018: 0.3, 2019: 0.8}}",
    )
    made: dict[str, Dose] = {}
    for unit, dose in by_unit(given, "pilot", where="Rollout(dose=)").items():
        parts = dose if isinstance(dose, Mapping) else {"": dose}
        for period, number in parts.items():
            if not is_number(number) or not np.isfinite(number) or number < 0:
                when = f" in {period}" if period != "" else ""
                raise DesignError(
                    needed="doses that are numbers of zero or more",
                    found=f"{number!r} for {unit!r}{when}",
                    where="Rollout(dose=)",
                    todo="give a number, or leave out a pilot whose dose is not known",
                )
        if not parts:
            raise DesignError(
                needed="a dose for every period from the start on",
                found=f"none for {unit!r}",
                where="Rollout(dose=)",
                todo="give the doses, or leave out a pilot whose dose is not known",
            )
        made[unit] = MappingProxyType(dict(dose)) if isinstance(dose, Mapping) else float(dose)
    return made


def _exposures(
    given: Mapping[str, Period | Mapping[Any, Period]] | None, starts: Mapping[str, Period]
) -> dict[str, Mapping[str, Period]]:
    """Return the first exposure of each pilot, by kind of metric."""
    if given is None:
        return {}
    _mapping(
        given,
        "first_exposed",
        "a mapping of kind of metric to period, such as {'flow': 2019}",
        "write first_exposed={'stock': 2018, 'flow': 2019}",
    )
    unknown = [kind for kind in given if kind not in _KINDS]
    if unknown:
        raise DesignError(
            needed="kinds of metric: " + " or ".join(map(repr, _KINDS)),
            found=", ".join(map(repr, unknown)),
            where="Rollout(first_exposed=)",
            todo="write first_exposed={'stock': 2018, 'flow': 2019}; see Metric.timing",
        )
    made: dict[str, Mapping[str, Period]] = {}
    for kind, periods in given.items():
        one = periods if isinstance(periods, Mapping) else dict.fromkeys(starts, periods)
        by = _by_unit(one, "first_exposed", empty=True)
        _of_pilots(by, starts, "first_exposed", "is exposed")
        if by:
            made[kind] = MappingProxyType(dict(by))
    return made


def _since(given: Mapping[Any, Period | None] | None) -> dict[str, Period | None]:
    """Return since when units used the practice outside the programme."""
    if given is None:
        return {}
    _mapping(
        given,
        "contaminated",
        "a mapping of unit to period, or to None for throughout",
        "write contaminated={'304': 2017, '305': None}",
    )
    made = by_unit(given, "unit", where="Rollout(contaminated=)")
    _no_gap(
        made,
        "contaminated",
        "give the period since when, or None for throughout",
        lambda period: period is not None and bool(pd.isna(period)),
    )
    return made
