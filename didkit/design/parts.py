"""Old and new codes: everything that a design names becomes a unit of its panel."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from didkit.design.ids import by_unit
from didkit.design.rollout import Rollout
from didkit.errors import DesignError, DidkitWarning
from didkit.panel import Panel, codes_by_era

if TYPE_CHECKING:
    from didkit.design.neighbours import Neighbours

__all__ = [
    "halves",
    "labels_by_unit",
    "neighbours_by_unit",
    "reasons_by_unit",
    "rollout_by_unit",
    "warn_of_halves",
]

_SILENT = object()  # nothing was said of a part


def rollout_by_unit(panel: Panel, rollout: Rollout) -> tuple[Rollout, dict[str, tuple[str, ...]]]:
    """Return the rollout of the panel's units, and for merged ones the codes they were named by.

    Raises
    ------
    DesignError
        If parts of one merged unit disagree: pilots on start, stop, dose or first exposure, any
        units on contamination.
    """
    renamed = {unit: panel.canonical(unit) for unit in rollout.pilots}
    renamed = {unit: whole for unit, whole in renamed.items() if unit != whole}
    if not renamed and all(panel.canonical(unit) == unit for unit in rollout.contaminated):
        return rollout, {}
    exposed = {
        kind: _joined(panel, rollout.pilots, f"first_exposed ({kind})", given)
        for kind, given in rollout.first_exposed.items()
    }
    made = Rollout(
        _joined(panel, rollout.pilots, "start", rollout.starts),
        stops=_joined(panel, rollout.pilots, "stop", rollout.stops),
        dose=_joined(panel, rollout.pilots, "dose", rollout.dose),
        first_exposed=exposed,
        contaminated=_joined(panel, None, "contamination", rollout.contaminated),
    )
    named = {
        whole: tuple(unit for unit in rollout.pilots if renamed.get(unit, unit) == whole)
        for whole in dict.fromkeys(renamed.values())
    }
    return made, named


def _joined(
    panel: Panel, units: tuple[str, ...] | None, word: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is given by the panel's units, refusing parts that disagree.

    Of `units` (None: those given) each must say the same, or nothing, as the other parts.
    """
    made: dict[str, Any] = {}
    first: dict[str, str] = {}
    for unit in given if units is None else units:
        whole, value = panel.canonical(unit), given.get(unit, _SILENT)
        if whole not in first:
            made[whole], first[whole] = value, unit
        elif not _same(panel, made[whole], value, periods=word != "dose"):
            one, other = (
                "none" if v is _SILENT else "throughout" if v is None else v
                for v in (made[whole], value)
            )
            raise DesignError(
                needed=f"one {word} for each unit of the panel",
                found=f"{first[whole]!r} with {word} {one}, {unit!r} with {word} {other}, both "
                f"parts of {whole!r}",
                where="Design, rollout",
                todo="give both the same, leave both out, or use a panel in which they are "
                "units of their own",
            )
    return {unit: value for unit, value in made.items() if value is not _SILENT}


def halves(panel: Panel, named: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Say which merged units are pilots though only a part of them was named.

    A unit is named as a whole by its own id, or by all the codes of one era.
    """
    found = []
    for whole, codes in named.items():
        eras = codes_by_era(panel.parts.get(whole, codes))
        if whole in codes or any(set(era) <= set(codes) for era in eras):
            continue
        rest = next((set(era) - set(codes) for era in reversed(eras) if set(era) & set(codes)), ())
        found.append(
            f"{', '.join(codes)} is only part of the pilot {whole}, of which the panel has no "
            f"separate numbers: {', '.join(sorted(rest))} counts as treated too"
        )
    return tuple(found)


def warn_of_halves(panel: Panel, named: Mapping[str, tuple[str, ...]], where: str) -> None:
    """Warn of pilots that are part of a merged unit, at the line that called `where`."""
    for half in halves(panel, named):
        warnings.warn(
            f"{where}: {half}. If it was treated, name it as a pilot as well; if not, leave the "
            "unit out, or use a panel in which its parts are units of their own.",
            DidkitWarning,
            stacklevel=3,
        )


def _same(panel: Panel, one: Any, other: Any, *, periods: bool) -> bool:
    """Tell whether two periods, or two doses, are the same, however written."""
    if one is None or other is None or one is _SILENT or other is _SILENT:
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {panel.calendar.canonical(p): d for p, d in one.items()} == {
            panel.calendar.canonical(p): d for p, d in other.items()
        }
    if not periods:
        return bool(one == other)
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
    made = table.assign(unit=unit, neighbour=neighbour, part=table["unit"])
    for side, which in moved.items():
        if f"{side}_name" in made and which.any():
            names = [panel.name_of(one) for one in made.loc[which, side] if one in panel]
            made.loc[which, f"{side}_name"] = names
    for whole in dict.fromkeys(unit[moved["unit"]]):
        used = _lists_of(panel, whole, set(table.loc[unit == whole, "unit"]))
        made = made[(made["unit"] != whole) | made["part"].isin(used)]
    made = made[made["unit"] != made["neighbour"]].sort_values(
        ["unit", "rank", "part", "neighbour"]
    )
    made = made.drop_duplicates(["unit", "neighbour"])
    return replace(neighbours, table=made)


def _lists_of(panel: Panel, whole: str, listed: set[str]) -> set[str]:
    """Choose among the codes of a merged unit that have lists; see `Neighbours.among`."""
    parts = panel.parts[whole]
    if whole in listed and whole not in parts:
        return {whole}
    eras = [set(era) for era in codes_by_era(parts)]
    complete = [era for era in reversed(eras) if era <= listed]
    partial = [era & listed for era in eras if era & listed]
    return next(iter([*complete, *partial]), listed)
