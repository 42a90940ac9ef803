"""``[specifications]`` of a plan: the choices to cross, read, held against the plan, and made."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from didkit.check import SpecificationCurve
from didkit.design import Design, Pool
from didkit.errors import InferenceError, PlanError, is_whole
from didkit.report.plan_file import Section
from didkit.report.plan_inference import METHODS

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = [
    "EVERY_OTHER",
    "Specifications",
    "curves",
    "in_words",
    "specification_problems",
    "specifications",
]

EVERY_OTHER = "every other"  #: comparators: everybody who is no pilot
_DRAWS, _SEED = 999, 0
_KINDS = ("pilots", "comparators", "windows", "forms", "estimators", "cells", "inferences")
_WORDS = {"forms": ("level", "log", "rank"), "cells": ("observed", "complete")}
_OWN = "as designed"
_ALREADY = {"forms": "level", "cells": "observed"}  #: what the plan's own estimate has


@dataclass(frozen=True)
class Specifications:
    """The choices to cross beside those of the plan itself; empty: no curve is made.

    Parameters
    ----------
    windows : mapping of name to (first, last)
        Other windows.
    pilots : mapping of name to units
        Pilots that are left out.
    comparators : tuple of str
        Alternatives of the plan whose comparators are taken, or "every other".
    estimators, inferences, forms, cells : tuple of str
        As `SpecificationCurve.named` knows them.
    metrics : tuple of str
        For which a curve is made; empty: the primary ones.
    draws, seed : int
        Of the permutations.
    standardise : bool
        Whether effects are divided by the spread of their outcome before the start.
    """

    windows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pilots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    comparators: tuple[str, ...] = ()
    estimators: tuple[str, ...] = ()
    inferences: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    draws: int = _DRAWS
    seed: int = _SEED
    standardise: bool = False

    def __bool__(self) -> bool:
        return any(_besides(self, kind) for kind in _KINDS)

    def without_pilot(self, unit: str) -> Specifications:
        """Return the choices of the other pilots; one that leaves out nobody else is dropped."""
        left = {name: tuple(u for u in units if u != unit) for name, units in self.pilots.items()}
        return replace(self, pilots={name: units for name, units in left.items() if units})

    def curve(self, designs: Mapping[str, Design] | None = None) -> SpecificationCurve:
        """Make the check.

        Parameters
        ----------
        designs : mapping of str to Design, optional
            Of the plan's alternatives, whose comparators are taken; without it everybody else
            stands for each, which is enough to see whether the choices are sound.

        Raises
        ------
        InferenceError
            If a choice is none.
        """
        others = {
            name: Pool() if designs is None or name == EVERY_OTHER else designs[name].against
            for name in self.comparators
        }
        given: dict[str, Any] = {kind: _besides(self, kind) for kind in _KINDS}
        choices = {kind: one for kind, one in {**given, "comparators": others}.items() if one}
        return SpecificationCurve.named(
            choices, draws=self.draws, seed=self.seed, standardise=self.standardise
        )


# -- read --------------------------------------------------------------------------------------


def specifications(section: Section, *, named: bool) -> Specifications:
    """Read ``[specifications]``; `named`: whether the plan has it. What is wrong is noted."""
    before = len(section.problems)
    lists = {kind: _listed(section, kind) for kind in ("estimators", "inferences", *_WORDS)}
    windows, left = section.table("windows"), section.table("pilots")
    made = Specifications(
        windows={name: _window(windows, name) for name in windows.raw if _called(windows, name)},
        pilots={name: _units(left, name) for name in left.raw if _called(left, name)},
        comparators=section.texts("comparators"),
        metrics=section.texts("metrics"),
        draws=_whole(section, "draws", _DRAWS, 1),
        seed=_whole(section, "seed", _SEED, 0),
        standardise=section.truth("standardise", False),
        **lists,
    )
    section.close()
    if len(section.problems) == before and named:
        _refuse_unsound(section, made)
    return made


def _refuse_unsound(section: Section, made: Specifications) -> None:
    """Refuse choices that are each right, and together are no curve."""
    if not made:
        raise section.error(
            needed=f"choices to cross beside the plan's own: {', '.join(_KINDS)}",
            found="none",
            todo='write for example estimators = ["GroupTime"], or take this section out',
        )
    if set(made.forms) - {"level"} and not made.standardise:
        raise section.error(
            "forms",
            needed="with forms beside the level, standardise = true: they are in other units",
            found="standardise = false",
            todo="write standardise = true: every effect is then in standard deviations of its "
            "outcome before the start",
        )
    try:
        curve = made.curve()
    except InferenceError as error:
        raise PlanError(
            needed=error.needed,
            found=error.found,
            where=f"{section.where()}: {error.where}",
            todo=error.todo,
        ) from error
    n = math.prod(1 + len(one) for one in curve.choices.values())
    if n > curve.most:
        raise section.error(
            needed=f"at most {curve.most:,} specifications",
            found=f"{n:,}",
            todo="give fewer choices",
        )


def _called(table: Section, name: str) -> bool:
    """Whether a choice may be called so; what is no name is noted."""
    table.has(name)
    good = bool(name.strip()) and name != _OWN
    if not good:
        error = table.error(
            name,
            needed=f"the name of a choice; {_OWN!r} is what the plan itself says",
            found=repr(name),
            todo="call it otherwise",
        )
        table.note(name, error)
    return good


def _window(table: Section, name: str) -> tuple[str, ...]:
    found = table.periods(name)
    if name not in table.refused and len(found) != 2:
        table.wrong(
            name,
            needed="the first and the last period",
            value=table.raw[name],
            todo="write [2015, 2019]",
        )
    return found


def _units(table: Section, name: str) -> tuple[str, ...]:
    found = table.units(name)
    if name not in table.refused and not found:
        table.wrong(name, needed="pilots to leave out", value=[], todo='write ["926"]')
    return found


def _whole(section: Section, key: str, default: int, least: int) -> int:
    """Return a whole number from `least` on."""
    if not section.has(key):
        return default
    value = section.raw[key]
    if not is_whole(value) or value < least:
        needed = f"a whole number of at least {least}"
        section.wrong(key, needed=needed, value=value, todo=f"write {key} = {default}")
        return default
    return int(value)


def _listed(section: Section, kind: str) -> tuple[str, ...]:
    """Return names of one kind; a name that is none is noted, with the nearest."""
    found = section.texts(kind)
    for n, name in enumerate(found):
        known: Sequence[str] = _WORDS.get(kind, ())
        needed = f"one of: {', '.join(known)}"
        if known:
            wrong = name not in known
        else:
            try:
                SpecificationCurve.named({kind: [name]})
                wrong = False
            except InferenceError as error:
                wrong, needed, known = True, error.needed, _known(kind)
        if not wrong:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        error_ = section.error(
            kind,
            n,
            needed=needed,
            found=repr(name),
            todo=f'did you mean {near[0]}? Write "{near[0]}"'
            if near
            else f"choose from: {', '.join(known)}",
        )
        section.note(kind, error_)
    return found


def _known(kind: str) -> tuple[str, ...]:
    """Name what can be written of a kind, to suggest the nearest."""
    if kind == "estimators":
        from didkit import estimate

        names = [one for one in estimate.__all__ if one[:1].isupper()]
        return (*(one for one in names if _stands("estimators", one)), "DiD complete")
    methods = [name.replace("_", " ") for name in METHODS if name != "cluster_robust"]
    return ("recommended", "permutation beta", "CR0", "CR1", "CR2", "CR3", *methods)


def _stands(kind: str, name: str) -> bool:
    try:
        SpecificationCurve.named({kind: [name]})
    except InferenceError:
        return False
    return True


# -- held against the rest of the plan ---------------------------------------------------------


def specification_problems(plan: Plan) -> Iterator[PlanError]:
    """Find pilots, comparators and metrics of the choices that the plan does not have."""
    top, made = plan._file, plan.specifications
    for n, metric in enumerate(made.metrics):
        if metric not in plan.all_metrics:
            yield top.error(
                "specifications",
                "metrics",
                n,
                needed="a metric that is primary or secondary",
                found=repr(metric),
                todo=_nearest(metric, plan.all_metrics),
            )
    for name, units in made.pilots.items():
        for n, unit in enumerate(units):
            if unit not in plan.pilots.starts:
                yield top.error(
                    "specifications",
                    "pilots",
                    name,
                    n,
                    needed="pilots to leave out",
                    found=f"{unit!r}, which is no pilot",
                    todo=_nearest(unit, tuple(plan.pilots.starts)),
                )
        if set(plan.pilots.starts) <= set(units):
            yield top.error(
                "specifications",
                "pilots",
                name,
                needed="a choice that leaves at least one pilot",
                found="all of them left out",
                todo="leave out fewer",
            )
    yield from _comparator_problems(plan)


def _comparator_problems(plan: Plan) -> Iterator[PlanError]:
    """Find comparators that no alternative of the plan says, or not alone."""
    top, made = plan._file, plan.specifications
    others = {one.name: one for one in plan.sensitivity}
    known = (*(name for name, one in others.items() if one.comparators), EVERY_OTHER)
    for n, name in enumerate(made.comparators):
        if name in known:
            other = others.get(name)
            if other is None or other == type(other)(name, comparators=other.comparators):
                continue
            found = f"{name!r}, which changes more than that"
        else:
            found = f"{name!r}, " + (
                "an alternative with the plan's own" if name in others else "which is none"
            )
        yield top.error(
            "specifications",
            "comparators",
            n,
            needed=f"the name of a [[sensitivity]] that changes its comparators and nothing else, "
            f"or {EVERY_OTHER!r}",
            found=found,
            todo=_nearest(name, tuple(one for one in known if one != name)),
        )


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"choose from: {', '.join(known)}"


# -- made, and said ----------------------------------------------------------------------------


def curves(plan: Plan, designs: Mapping[str, Design]) -> dict[str, SpecificationCurve]:
    """Return the check of each metric for which the plan asks for one; none without choices."""
    made = plan.specifications
    if not made:
        return {}
    return dict.fromkeys(made.metrics or plan.metrics.primary, made.curve(designs))


def in_words(plan: Plan) -> str:
    """Say what is crossed, before the run."""
    made = plan.specifications
    choices = made.curve().choices
    n = math.prod(1 + len(one) for one in choices.values())
    each = "; ".join(
        f"{kind}: {', '.join(_choices(made, kind))}" for kind in _KINDS if choices[kind]
    )
    scale = "; in standard deviations before the start" if made.standardise else ""
    return (
        f"{n:,} combinations, each choice beside the plan's own, crossed in full. {each}{scale}; "
        f"{made.draws:,} permutations, seed {made.seed}; "
        f"for {', '.join(made.metrics or plan.metrics.primary)}"
    )


def _choices(made: Specifications, kind: str) -> list[str]:
    """Name the choices of one kind, with what is behind a name."""
    given = _besides(made, kind)
    if kind == "windows":
        return [f"{name} ({first} to {last})" for name, (first, last) in given.items()]
    if kind == "pilots":
        return [f"{name} (left out: {', '.join(units)})" for name, units in given.items()]
    return list(given)


def _besides(made: Specifications, kind: str) -> Any:
    """Return the choices of a kind without what the plan's own estimate has."""
    given = getattr(made, kind)
    return tuple(one for one in given if one != _ALREADY[kind]) if kind in _ALREADY else given
