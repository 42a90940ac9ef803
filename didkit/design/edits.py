"""A design with one thing changed: a unit left out, other pilots, another start, others to compare.

Each function is a method of `Design` and returns a new one; placebos, permutations, leave-one-out
and the jackknife are made of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from didkit.design.against import Against, MatchedSets
from didkit.design.kinds import CHOICES, found_kind, todo_of
from didkit.design.parts import rollout_by_unit, warn_of_halves
from didkit.design.rollout import Rollout
from didkit.design.spec import window
from didkit.design.timing import Treatment, check_treatment
from didkit.errors import DesignError, first_few, is_whole, kind_of
from didkit.panel import Panel, Period

if TYPE_CHECKING:
    from didkit.design.design import Design

__all__ = [
    "compared_with",
    "drop",
    "on_panel",
    "reassign",
    "shift",
    "with_treatment",
    "within",
    "without_pilot",
]


def drop(design: Design, unit: object) -> Design:
    """Return the design without one unit, all the other units as they are.

    A dropped pilot is not a comparator either. In matched sets the weights of a dropped
    comparator go to the others of its set.

    Raises
    ------
    DesignError
        If the unit is not in the design, or nothing is left to compare.
    """
    code = design.panel.canonical(unit)
    comparison = design._comparison
    if code not in design._starts and code not in comparison.comparators:
        raise DesignError(
            needed="a unit of the design",
            found=repr(unit),
            where="Design.drop",
            todo="see design.who()",
        )
    if code in design._starts and len(design._starts) == 1:
        raise DesignError(
            needed="at least one pilot",
            found=f"{code!r} is the only one",
            where="Design.drop",
            todo="nothing can be estimated without it",
        )
    sets = comparison.sets
    if sets is not None:
        rebuilt: dict[str, dict[str, float]] = {}
        for pilot, members in sets.items():
            if pilot == code:
                continue
            kept = {other: w for other, w in members.items() if other != code}
            if not kept:
                raise DesignError(
                    needed="at least one comparator for every pilot",
                    found=f"{code!r} is the only comparator of {pilot!r}",
                    where="Design.drop",
                    todo="drop that pilot first",
                )
            total = sum(kept.values())
            rebuilt[pilot] = {other: w / total for other, w in kept.items()}
        comparators = tuple(sorted({o for members in rebuilt.values() for o in members}))
        fixed = replace(comparison, comparators=comparators, sets=rebuilt)
    else:
        fixed = replace(
            comparison, comparators=tuple(c for c in comparison.comparators if c != code)
        )
    rollout = design.rollout.without(code) if code in design._starts else design.rollout
    return type(design)._from(
        replace(
            design._spec,
            rollout=rollout,
            fixed=fixed,
            barred=design._spec.barred | {code},
            dropped=(*design._spec.dropped, code),
        )
    )


def without_pilot(design: Design, unit: object) -> Design:
    """Return the design of the other pilots, comparators rebuilt for them.

    The pilot left out is never a comparator.

    Raises
    ------
    DesignError
        If the unit is not a pilot, or is the only one.
    """
    code = design.panel.canonical(unit)
    if code not in design._starts or len(design._starts) == 1:
        raise DesignError(
            needed="one of several pilots",
            found=repr(unit),
            where="Design.without_pilot",
            todo="choose from: " + ", ".join(design.pilots),
        )
    if isinstance(design.against, MatchedSets):  # the sets are given: nothing to rebuild
        return design.drop(code)
    return type(design)._from(
        replace(
            design._spec,
            rollout=design.rollout.without(code),
            barred=design._spec.barred | {code},
            dropped=(*design._spec.dropped, code),
            fixed=None,
        )
    )


def reassign(design: Design, rollout: Rollout) -> Design:
    """Return the same units with other pilots: a placebo or a permutation.

    With one pool, every unit of the design that is not a pilot now is a comparator, former
    pilots among them. With sets, these are rebuilt for the new pilots.

    Raises
    ------
    DesignError
        If a new pilot is not in the panel, no comparator is left, or the comparators were chosen
        by periods from the new first start on.
    """
    if not isinstance(rollout, Rollout):
        raise DesignError(
            needed="a Rollout, such as Rollout({'303': 2018})",
            found=kind_of(rollout),
            where="Design.reassign",
            todo="write design.reassign(Rollout({…}))",
        )
    rollout, named = rollout_by_unit(design.panel, rollout)
    warn_of_halves(design.panel, named, "Design.reassign")
    spec = replace(design._spec, rollout=rollout, named=named)
    out = [u for u in rollout.pilots if u in spec.exclude or u in spec.barred]
    if out:
        raise DesignError(
            needed="pilots that were not left out of the design",
            found=f"{first_few(out)} excluded or dropped",
            where="Design.reassign",
            todo="choose other units",
        )
    if design._comparison.sets is not None:
        return type(design)._from(replace(spec, fixed=None))
    everyone = set(design.pilots) | set(design.comparators)
    comparators = tuple(sorted(everyone - set(rollout.pilots)))
    made = type(design)._from(
        replace(spec, fixed=replace(design._comparison, comparators=comparators))
    )
    first = min(made._starts.values())
    if first < min(design._starts.values()):
        spec.against.check_before(design.panel, design.periods[first])
    return made


def shift(design: Design, periods: int) -> Design:
    """Return the design with one earlier start for all pilots, on untreated periods only.

    Parameters
    ----------
    periods : int
        Negative: so many periods before the first real start, for every pilot, also those
        that started later. The periods from the first real start on are left out, so that
        nothing treated remains; stops, doses and first exposures, which come later, go with
        them. Contamination stays.

    Raises
    ------
    DesignError
        If `periods` is not negative, a start would leave no period before it, or the comparators
        were chosen by periods from the moved start on, which are its "after".
    """
    if not is_whole(periods) or periods >= 0:
        raise DesignError(
            needed="a negative whole number of periods: starts can be moved to untreated "
            "periods only",
            found=repr(periods),
            where="Design.shift",
            todo="use −1, −2, …",
        )
    first = min(design._starts.values())
    moved: dict[object, Period] = {}
    for unit, start in design._starts.items():
        position = min(start, first) + periods
        if position < 1:
            raise DesignError(
                needed="at least one period before the moved start",
                found=f"{unit!r} starts in {design.periods[start]}, moved by {periods}",
                where="Design.shift",
                todo=f"at most {first - 1} periods are possible here",
            )
        moved[unit] = design.periods[position]
    new = design.periods[first + periods]
    try:
        design.against.check_before(design.panel, new)
    except DesignError as error:
        raise DesignError(
            needed=f"comparators chosen from before the moved start, {new}",
            found=f"comparators chosen by {error.found}",
            where="Design.shift",
            todo="match on earlier periods, or on what does not change: comparators that were "
            "chosen to be like the pilots after the moved start show less difference than there is",
        ) from error
    return type(design)._from(
        replace(
            design._spec,
            rollout=Rollout(moved, contaminated=design.rollout.contaminated),
            periods=design.periods[:first],
            fixed=design._comparison,
        )
    )


def compared_with(design: Design, against: Against) -> Design:
    """Return the same pilots, window and exclusions, compared with others.

    Units left out by name or dropped stay out.

    Parameters
    ----------
    against : Against
        As for `Design`.

    Raises
    ------
    DesignError
        If no comparator is left, or `against` is none of the kinds that `Design` takes.
    """
    if not isinstance(against, Against):
        raise DesignError(
            needed=f"who the pilots are compared with: {CHOICES}",
            found=found_kind(against),
            where="Design.compared_with",
            todo=todo_of(against),
        )
    spec = replace(design._spec, against=against.among(design.panel), fixed=None)
    return type(design)._from(spec)


def with_treatment(design: Design, treatment: Treatment) -> Design:
    """Return the same design under another definition of treatment.

    Parameters
    ----------
    treatment : {"intention_to_treat", "as_treated"}
        As for `Design`.

    Raises
    ------
    DesignError
        If it is neither.
    """
    check_treatment(treatment, "Design.with_treatment")
    return type(design)._from(replace(design._spec, treatment=treatment, fixed=design._comparison))


def within(design: Design, first: Period, last: Period) -> Design:
    """Return the same pilots and comparators over another window of the panel.

    Comparators stay as they are: they are not chosen again.

    Parameters
    ----------
    first, last : period
        Ends of the window, both in it; periods of the panel.

    Raises
    ------
    PanelError
        If the panel has no such period.
    DesignError
        If `last` is not after `first`, or a pilot's start has no period before it and one from it
        on inside the window.
    """
    periods = window(design.panel, (first, last))
    return type(design)._from(replace(design._spec, periods=periods, fixed=design._comparison))


def on_panel(design: Design, panel: Panel) -> Design:
    """Return the same design on another panel of the same units and periods, for simulation.

    Comparators, and weights where there are sets, stay as they are: they are not chosen again.

    Parameters
    ----------
    panel : Panel
        Other cells of the same units and calendar.

    Raises
    ------
    DesignError
        If its units or periods are others.
    """
    mine = design.panel
    if panel.unit_ids != mine.unit_ids or panel.calendar.labels != mine.calendar.labels:
        raise DesignError(
            needed="a panel of the same units and periods",
            found=f"{len(panel.unit_ids)} units, {panel.periods[0]} to {panel.periods[-1]}, where "
            f"the design has {len(mine.unit_ids)}, {mine.periods[0]} to {mine.periods[-1]}",
            where="Design.on_panel",
            todo="make a Design of the other panel",
        )
    return type(design)._from(replace(design._spec, panel=panel, fixed=design._comparison))
