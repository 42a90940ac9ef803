"""What a design is made from, and the checks that each part has to pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from didkit.design.against import Against, Comparison
from didkit.design.ids import by_unit
from didkit.design.parts import labels_by_unit, reasons_by_unit
from didkit.design.rollout import Rollout
from didkit.design.timing import Treatment
from didkit.errors import DesignError, PanelError, first_few
from didkit.panel import Panel, Period, nearest

__all__ = ["Selection", "Spec", "excluded", "labels_of", "start_of", "window"]

Selection = Literal["random", "latest_value", "average", "bid", "unknown"]


@dataclass(frozen=True)
class Spec:
    """Everything that a design was made from; an edit replaces one field."""

    panel: Panel
    rollout: Rollout
    against: Against
    selection: Selection
    periods: tuple[str, ...]
    exclude: Mapping[str, str]
    strata: Mapping[str, str] | None
    clusters: Mapping[str, str] | None
    barred: frozenset[str] = frozenset()
    dropped: tuple[str, ...] = ()
    fixed: Comparison | None = None
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    treatment: Treatment = "intention_to_treat"
    said: tuple[str, ...] = ()  # what the frame that it was made from must be known for


def window(panel: Panel, periods: Sequence[Period] | None) -> tuple[str, ...]:
    """Return the labels of the window; a gap in it is an error."""
    if periods is None:
        return panel.periods
    given: Any = periods
    if isinstance(given, str) or not isinstance(given, Iterable) or not list(given):
        raise DesignError(
            needed="the first and the last period, or all periods of the window",
            found=repr(periods),
            where="Design(periods=)",
            todo="write periods=(2013, 2020)",
        )
    at = [panel.calendar.position(p, where="Design(periods=)") for p in periods]
    if len(at) == 2 and at[1] > at[0]:
        return panel.periods[at[0] : at[1] + 1]
    if at != list(range(at[0], at[0] + len(at))) or len(at) < 2:
        raise DesignError(
            needed="at least two consecutive periods, in order",
            found=", ".join(map(str, periods)),
            where="Design(periods=)",
            todo="write the first and the last, or fill the gap",
        )
    return tuple(panel.periods[i] for i in at)


def excluded(
    panel: Panel, rollout: Rollout, exclude: Iterable[object] | Mapping[Any, str]
) -> dict[str, str]:
    """Return the units to leave out, with reasons; each must exist and be no pilot."""
    if isinstance(exclude, str) or not isinstance(exclude, Iterable):
        exclude = [exclude]
    given = exclude if isinstance(exclude, Mapping) else dict.fromkeys(exclude, "")
    made = reasons_by_unit(panel, given, "Design(exclude=)")
    for unit in made:
        if unit not in panel:
            raise DesignError(
                needed="units of the panel to leave out",
                found=f"{unit!r} is not in it",
                where="Design(exclude=)",
                todo=nearest(unit, list(panel.unit_ids), list(panel.units["name"])),
            )
        if unit in rollout.starts:
            raise DesignError(
                needed="comparators to leave out",
                found=f"{unit!r} is a pilot",
                where="Design(exclude=)",
                todo="take it out of the rollout, or use design.without_pilot",
            )
    return made


def labels_of(
    panel: Panel, given: str | Mapping[Any, str] | None, argument: str
) -> dict[str, str] | None:
    """Return unit → label, from a column of the panel's units or from a mapping."""
    if given is None:
        return None
    if isinstance(given, str):
        table = panel.units
        if given not in table.columns:
            raise DesignError(
                needed=f"a column of panel.units for {argument}=",
                found=repr(given),
                where="Design",
                todo="choose one of: " + ", ".join(table.columns),
            )
        given = table[given].to_dict()
    made = {
        unit: "" if pd.isna(label) else str(label).strip()
        for unit, label in by_unit(given, "unit", where=f"Design({argument}=)").items()
    }
    made = labels_by_unit(panel, made, argument)
    without = [unit for unit in panel.unit_ids if not made.get(unit)]
    if without:
        raise DesignError(
            needed=f"a label for every unit in {argument}=",
            found=f"none for {first_few(without)}",
            where="Design",
            todo="label them",
        )
    return made


def start_of(spec: Spec, unit: str, period: Period) -> int:
    """Return the position of a start in the window; it needs a before and an after."""
    calendar = spec.panel.calendar
    try:
        label = calendar.labels[calendar.position(period, where=f"the start of {unit!r}")]
    except PanelError as error:
        raise DesignError(
            needed=error.needed, found=error.found, where=error.where, todo=error.todo
        ) from error
    if label not in spec.periods or spec.periods.index(label) == 0:
        first = calendar.position(spec.periods[0])
        when = "in or before the first" if calendar.position(label) <= first else "after the last"
        raise DesignError(
            needed="a start with at least one period before it and one from it on",
            found=f"{unit!r} starts in {label}, {when} period of the window "
            f"({spec.periods[0]} to {spec.periods[-1]}): there is no before and after to compare",
            where="Design, rollout",
            todo="widen periods=, or leave this unit out: a unit that is treated in every period "
            "shows no change",
        )
    return spec.periods.index(label)
