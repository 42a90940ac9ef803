"""Old and new codes: everything that a design names becomes a unit of its panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from didkit.design.ids import by_unit
from didkit.design.rollout import Rollout
from didkit.errors import DesignError
from didkit.panel import Panel, Period

if TYPE_CHECKING:
    from didkit.design.neighbours import Neighbours

__all__ = ["labels_by_unit", "neighbours_by_unit", "reasons_by_unit", "rollout_by_unit"]


def rollout_by_unit(panel: Panel, rollout: Rollout) -> tuple[Rollout, tuple[str, ...]]:
    """Return the rollout of the panel's units, and which codes stand for which merged unit.

    Raises
    ------
    DesignError
        If two pilots are parts of one merged unit and started, or stopped, at different times.
    """
    renamed = {unit: panel.canonical(unit) for unit in rollout.pilots}
    renamed = {unit: whole for unit, whole in renamed.items() if unit != whole}
    if not renamed:
        return rollout, ()
    starts: dict[str, Period] = {}
    stops: dict[str, Period | None] = {}
    first: dict[str, str] = {}
    for unit in rollout.pilots:
        whole = renamed.get(unit, unit)
        start, stop = rollout.starts[unit], rollout.stops.get(unit)
        if whole not in starts:
            starts[whole], stops[whole], first[whole] = start, stop, unit
            continue
        for word, one, other in (("start", starts[whole], start), ("stop", stops[whole], stop)):
            if not _same_period(panel, one, other):
                raise DesignError(
                    needed=f"one {word} for each unit of the panel",
                    found=f"{first[whole]!r} with {word} {one}, {unit!r} with {word} {other}, both "
                    f"parts of {whole!r}",
                    where="Design, rollout",
                    todo="give both the same, leave both out, or use a panel in which they are "
                    "units of their own",
                )
    made = Rollout(starts, stops={unit: stop for unit, stop in stops.items() if stop is not None})
    return made, tuple(f"{unit} → {whole}" for unit, whole in renamed.items())


def _same_period(panel: Panel, one: Period | None, other: Period | None) -> bool:
    """Tell whether two periods are the same, however written."""
    if one is None or other is None:
        return one is other
    return panel.calendar.canonical(one) == panel.calendar.canonical(other)


def reasons_by_unit(panel: Panel, given: Mapping[Any, object], where: str) -> dict[str, str]:
    """Return the reasons why units are left out; those of two parts of a unit stand together."""
    made: dict[str, str] = {}
    for unit, reason in by_unit(given, "unit", where=where).items():
        whole, text = panel.canonical(unit), str(reason)
        known = made.get(whole, "")
        made[whole] = f"{known}; {text}" if known and text not in ("", known) else known or text
    return made


def labels_by_unit(panel: Panel, given: Mapping[str, str], argument: str) -> dict[str, str]:
    """Return unit → label, refusing a merged unit whose parts are labelled differently.

    Raises
    ------
    DesignError
        If they are.
    """
    made: dict[str, str] = {}
    first: dict[str, str] = {}
    for unit, label in given.items():
        whole = panel.canonical(unit)
        if made.setdefault(whole, label) != label:
            raise DesignError(
                needed=f"one label for each unit in {argument}=",
                found=f"{first[whole]!r} in {made[whole]!r} and {unit!r} in {label!r}, both parts "
                f"of {whole!r}",
                where="Design",
                todo=f"label {whole!r} as a whole",
            )
        first.setdefault(whole, unit)
    return made


def neighbours_by_unit(panel: Panel, neighbours: Neighbours) -> Neighbours:
    """Return the lists of the panel's units; see `Neighbours.among`."""
    if not panel.parts:
        return neighbours
    table = neighbours.table
    unit, neighbour = table["unit"].map(panel.canonical), table["neighbour"].map(panel.canonical)
    moved = {"unit": unit != table["unit"], "neighbour": neighbour != table["neighbour"]}
    if not (moved["unit"].any() or moved["neighbour"].any()):
        return neighbours
    made = table.assign(unit=unit, neighbour=neighbour, _part=table["unit"])
    for side, which in moved.items():
        if f"{side}_name" in made and which.any():
            names = [panel.name_of(one) for one in made.loc[which, side] if one in panel]
            made.loc[which, f"{side}_name"] = names
    made = made[made["unit"] != made["neighbour"]].sort_values(["unit", "rank", "_part"])
    made = made.drop_duplicates(["unit", "neighbour"]).drop(columns="_part")
    return type(neighbours)(made, neighbours.release, neighbours.file, neighbours.sha256)
