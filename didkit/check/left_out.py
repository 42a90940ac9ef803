"""What leaving one out can leave out: a unit, a group of units, a set, or a period."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from didkit.check.removed import dropped, without_cells
from didkit.design import Design, Rollout
from didkit.errors import InferenceError, first_few
from didkit.estimate import DiD
from didkit.panel.calendar import Calendar
from didkit.results import Estimate

__all__ = ["ARMS", "KINDS", "Part", "groups", "periods", "sets", "units"]

ARMS = ("pilots", "comparators", "all")
KINDS = (*ARMS, "periods", "regions", "sets")


@dataclass(frozen=True, eq=False)
class Part:
    """One thing to leave out.

    ``label`` and ``name`` of it; ``arm``: pilot, comparator, period, region, set or group; how many
    ``pilots`` and ``comparators`` go; ``edited()``: the design without it.
    """

    label: str
    name: str
    arm: str
    pilots: int
    comparators: int
    edited: Callable[[], Design]


def units(estimate: Estimate, which: str, *, rebuilt: bool) -> list[Part]:
    """Return the units of an arm, or all, one by one."""
    sample, design = estimate.sample, estimate.design

    def part(j: int) -> Part:
        unit, pilot = sample.units[j], bool(sample.pilot[j])
        edit = design.without_pilot if rebuilt and pilot else design.drop
        arm = "pilot" if pilot else "comparator"
        return Part(unit, sample.names[j], arm, int(pilot), int(not pilot), lambda: edit(unit))

    pilot = sample.pilot.tolist()
    return [part(j) for j in range(len(pilot)) if which == "all" or pilot[j] == (which == "pilots")]


def groups(estimate: Estimate, by: str | Mapping[Any, Any], where: str) -> list[Part]:
    """Return the groups of units by a column of ``panel.units`` or a mapping.

    Raises
    ------
    InferenceError
        If there is no such column, a unit of the sample has no label, or there is one group.
    """
    sample = estimate.sample
    label = _labels(estimate, by, where)
    arm = "region" if by == "region" else "group"
    pilots = set(estimate.design.pilots)
    found = sorted(set(label.values()))
    if len(found) < 2:
        raise InferenceError(
            needed="at least two groups of units",
            found=first_few(found),
            where=where,
            todo="choose another grouping: without the only group nothing is left",
        )
    made = []
    for one in found:
        members = tuple(unit for unit in sample.units if label[unit] == one)
        n1 = sum(unit in pilots for unit in members)
        made.append(Part(one, one, arm, n1, len(members) - n1, _without(estimate.design, members)))
    return made


def _labels(estimate: Estimate, by: str | Mapping[Any, Any], where: str) -> dict[str, str]:
    """Return each unit's label."""
    panel = estimate.design.panel
    if isinstance(by, str):
        if by not in panel.units.columns:
            raise InferenceError(
                needed="a column of panel.units, or unit → label",
                found=repr(by),
                where=where,
                todo="choose one; the columns are: " + ", ".join(panel.units.columns),
            )
        given: dict[Any, Any] = panel.units[by].to_dict()
    else:
        given = {panel.canonical(unit): label for unit, label in by.items()}
    found = {unit: given.get(unit) for unit in estimate.sample.units}
    without = [unit for unit, label in found.items() if pd.isna(label) or not str(label).strip()]
    if without:
        raise InferenceError(
            needed="a label for every unit of the sample",
            found=f"none for {first_few(without)}",
            where=where,
            todo="label them, or leave them out of the design",
        )
    return {unit: str(label).strip() for unit, label in found.items()}


def sets(estimate: Estimate, where: str) -> list[Part]:
    """Return each pilot with its comparators, which leave every set that they serve in.

    Raises
    ------
    InferenceError
        If the design has no sets.
    """
    design, sample = estimate.design, estimate.sample
    if design.sets is None:
        raise InferenceError(
            needed="a design against matched sets",
            found=f"a design against {design.against.describe()}",
            where=where,
            todo="use units='pilots', or a design against neighbours.per_pilot()",
        )
    name = dict(zip(sample.units, sample.names, strict=True))
    made = []
    for pilot, members in design.sets.items():
        if pilot not in name:
            continue
        theirs = [one for one in members if one not in design.starts]
        made.append(
            Part(pilot, name[pilot], "set", 1, len(theirs), _without(design, (pilot, *theirs)))
        )
    return made


def _without(design: Design, members: tuple[str, ...]) -> Callable[[], Design]:
    return lambda: dropped(design, members)


def periods(estimate: Estimate) -> list[Part]:
    """Return the periods of the sample, each of which nobody then has a value in."""
    sample = estimate.sample
    n1, n0 = sample.n_pilots, sample.n_comparators
    return [
        Part(one, one, "period", n1, n0, _without_period(estimate, one)) for one in sample.periods
    ]


def _without_period(estimate: Estimate, period: str) -> Callable[[], Design]:
    """Return what makes the design without one period's cells.

    One number a unit asks for a value in every period of the window, so there the period leaves
    the calendar instead; mean after less mean before does not ask how far periods are apart.
    """
    design, maker = estimate.design, estimate.estimator

    def emptied() -> Design:
        units = [*design.pilots, *(u for u in design.comparators if u not in design.starts)]
        panel = without_cells(design.panel, estimate.metric, units, [period], crossed=True)
        return design.on_panel(panel)

    if isinstance(maker, DiD) and maker.cells == "complete":
        return lambda: _shorter(design, estimate.metric.name, period)
    return emptied


def _shorter(design: Design, metric: str, period: str) -> Design:
    """Return the design on a calendar without one period; a start in it moves to the next."""
    spec, old = design._spec, design.panel
    labels = old.calendar.labels
    after = dict(zip(labels, (*labels[1:], labels[-1]), strict=True))

    def moved(given: Mapping[Any, Any]) -> dict[Any, Any]:
        place = {u: None if s is None else old.calendar.position(s) for u, s in given.items()}
        named = {u: None if at is None else labels[at] for u, at in place.items()}
        return {u: after[s] if s == period else s for u, s in named.items()}

    keep = [i for i, label in enumerate(labels) if label != period]
    used = [name for name in old.metrics if name == metric]
    panel = old.replaced(
        calendar=Calendar(tuple(labels[i] for i in keep), "declared"),
        metrics={name: old.metrics[name] for name in used},
        cells={
            name: old.cells(name).take(np.arange(len(old.unit_ids)), np.array(keep))
            for name in used
        },
        sources={name: old.sources[name] for name in used},
    )
    told = design.rollout
    rollout = Rollout(
        moved(told.starts),
        stops=moved(told.stops),
        first_exposed={kind: moved(when) for kind, when in told.first_exposed.items()},
        contaminated=moved(told.contaminated),
    )
    return type(design)._from(
        replace(
            spec,
            panel=panel,
            rollout=rollout,
            periods=tuple(one for one in spec.periods if one != period),
            fixed=design._comparison,
        )
    )
