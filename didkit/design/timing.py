"""The rollout on the window's periods: who is treated, partly treated, gone, or contaminated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from didkit.design.rollout import Dose
from didkit.errors import DesignError, PanelError, first_few
from didkit.panel import Period, nearest

if TYPE_CHECKING:
    from didkit.design.spec import Spec

__all__ = ["Treatment", "When", "check_prior", "check_treatment", "when_of"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Treatment = Literal["intention_to_treat", "as_treated"]


@dataclass(frozen=True)
class When:
    """Positions in a window of T periods.

    ``starts``: pilot → first treated period. ``exposed``: kind of metric → pilot → the period
    from which it counts as treated there. ``stops``: pilot → first period after it left; T where
    none. ``dose``: pilot → (T,), empty where no dose was given. ``since``: unit → first period
    with contamination; 0 where throughout.
    """

    n_periods: int
    starts: Mapping[str, int]
    exposed: Mapping[str, Mapping[str, int]]
    stops: Mapping[str, int]
    dose: Mapping[str, Floats]
    since: Mapping[str, int]

    def starts_of(self, timing: str) -> dict[str, int]:
        """Return the first period in which each pilot counts as treated, for a kind of metric."""
        return {**self.starts, **self.exposed.get(timing, {})}

    def treated(self, unit: str, timing: str | None = None) -> Bools:
        """Return the periods from the start on (T,); none for a comparator."""
        first = self.starts.get(unit, self.n_periods)
        if timing is not None:
            first = self.exposed.get(timing, {}).get(unit, first)
        made: Bools = np.arange(self.n_periods) >= first
        return made

    def partly(self, unit: str, timing: str) -> Bools:
        """Return the periods from the start up to the first exposure (T,)."""
        return self.treated(unit) & ~self.treated(unit, timing)

    def left(self, unit: str) -> Bools:
        """Return the periods after the unit left the programme (T,)."""
        made: Bools = np.arange(self.n_periods) >= self.stops.get(unit, self.n_periods)
        return made

    def contaminated(self, unit: str) -> Bools:
        """Return the periods with the practice outside the programme (T,)."""
        made: Bools = np.arange(self.n_periods) >= self.since.get(unit, self.n_periods)
        return made & ~self.treated(unit)

    def dose_of(self, unit: str) -> Floats:
        """Return a unit's dose by period (T,): NaN where it is not known, 0 for a comparator."""
        if unit in self.dose:
            return self.dose[unit]
        return np.where(self.treated(unit), np.nan, 0.0)


def check_treatment(given: object, where: str) -> None:
    """Refuse an unknown definition of treatment."""
    if given not in get_args(Treatment):
        raise DesignError(
            needed="treatment='intention_to_treat' or treatment='as_treated'",
            found=repr(given),
            where=where,
            todo="choose one: from the start on, or from the start until the pilot left",
        )


def when_of(spec: Spec, starts: Mapping[str, int]) -> When:
    """Place the rollout of a design in its window.

    Raises
    ------
    DesignError
        A period that the panel does not have; a stop that is not after the start; a first exposure
        before the start or after the window; a dose before the start or one that is missing; a
        contaminated unit that is not in the panel.
    """
    rollout, n = spec.rollout, len(spec.periods)
    stops = {}
    for unit, period in rollout.stops.items():
        stops[unit] = _place(spec, period, f"the stop of {unit!r}")
        if stops[unit] <= starts[unit]:
            raise DesignError(
                needed="a stop after the start",
                found=f"{unit!r} starts in {spec.periods[starts[unit]]} and stops in {period}",
                where="Design, rollout",
                todo="mend the rollout",
            )
    exposed = {
        kind: {unit: _exposure(spec, unit, kind, p, starts[unit]) for unit, p in periods.items()}
        for kind, periods in rollout.first_exposed.items()
    }
    dose = {
        unit: _dose(spec, unit, given, starts[unit], min(stops.get(unit, n), n))
        for unit, given in rollout.dose.items()
    }
    since = {}
    for unit, first in rollout.contaminated.items():
        if unit not in spec.panel:
            names = list(spec.panel.units["name"])
            raise DesignError(
                needed="contaminated units that are in the panel",
                found=f"{unit!r} is not",
                where="Design, rollout",
                todo=nearest(unit, list(spec.panel.unit_ids), names),
            )
        where = f"the contamination of {unit!r}"
        since[unit] = 0 if first is None else max(0, _place(spec, first, where))
    return When(n, dict(starts), exposed, stops, dose, since)


def check_prior(spec: Spec, when: When) -> None:
    """Refuse a pilot that is said to be contaminated from its start on: it is treated then."""
    late = [u for u in when.since if u in when.starts and when.since[u] >= when.starts[u]]
    if late:
        unit = late[0]
        raise DesignError(
            needed="for a pilot, contamination before its start: the programme that it had before",
            found=f"{unit!r} starts in {spec.periods[when.starts[unit]]} and is contaminated since "
            f"{spec.rollout.contaminated[unit]}",
            where="Design, rollout",
            todo="give the earlier period, or take it out of contaminated=: from its start on a "
            "pilot is treated",
        )


def _place(spec: Spec, period: Period, where: str) -> int:
    """Return the position of a period in the window: below 0 before it, T and more after it."""
    calendar = spec.panel.calendar
    try:
        return calendar.position(period, where=where) - calendar.position(spec.periods[0])
    except PanelError as error:
        raise DesignError(
            needed=error.needed, found=error.found, where=error.where, todo=error.todo
        ) from error


def _exposure(spec: Spec, unit: str, kind: str, period: Period, start: int) -> int:
    """Return the position of a first exposure: in the window, not before the start."""
    at = _place(spec, period, f"first_exposed of {unit!r}")
    if not start <= at < len(spec.periods):
        when = "before it starts" if at < start else "after the window"
        raise DesignError(
            needed="a first exposure in the window and not before the start",
            found=f"{unit!r} starts in {spec.periods[start]}, first exposed ({kind}) in {period}, "
            f"{when}",
            where="Design, rollout, first_exposed=",
            todo="widen periods=, or give this pilot a period of its own: "
            f"first_exposed={{{kind!r}: {{{unit!r}: …}}}}",
        )
    return at


def _dose(spec: Spec, unit: str, given: Dose, start: int, stop: int) -> Floats:
    """Return a pilot's dose in each period of the window (T,)."""
    made = np.zeros(len(spec.periods))
    if not isinstance(given, Mapping):
        made[start:stop] = given
        return made
    known: dict[int, float] = {}
    for period, number in given.items():
        at = _place(spec, period, f"the dose of {unit!r}")
        early = at < start and number != 0
        if early or at in known:
            raise DesignError(
                needed="one dose a period, and none before the start",
                found=f"{number:g} for {unit!r} in {period}, "
                + ("before it starts" if early else "which is there twice"),
                where="Design, rollout, dose=",
                todo="mend it; a pilot that had the programme before its start is told by "
                "contaminated=",
            )
        known[at] = float(number)
    lacking = [spec.periods[t] for t in range(start, stop) if t not in known]
    if lacking:
        raise DesignError(
            needed="a dose for every period from the start until the pilot left",
            found=f"none for {unit!r} in {first_few(lacking)}",
            where="Design, rollout, dose=",
            todo="give them (0 where it did nothing), one number for all periods, or leave this "
            "pilot's dose out: it is not known then",
        )
    for at, number in known.items():
        if 0 <= at < len(made):
            made[at] = number
    return made
