"""What contradicts itself in a plan, as far as can be told without its data."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from didkit.errors import PanelError, PlanError
from didkit.panel import Calendar

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = ["design_problems", "file_problems", "period_problems", "unit_problems"]


def file_problems(plan: Plan) -> Iterator[PlanError]:
    """Find files that are named twice with two hashes."""
    top = plan._file
    named: list[tuple[str, str, tuple[str | int, ...]]] = [
        (one.path, one.sha256, ("data", "files", n, "sha256"))
        for n, one in enumerate(plan.data.files)
    ]
    who = plan.comparators
    named.append((who.file, who.sha256, ("comparators", "sha256")))
    for n, other in enumerate(plan.sensitivity):
        if other.comparators is not None:
            keys: tuple[str | int, ...] = ("sensitivity", n, "comparators", "sha256")
            named.append((other.comparators.file, other.comparators.sha256, keys))
    first: dict[str, tuple[str, tuple[str | int, ...]]] = {}
    for path, sha256, keys in named:
        if not sha256:
            continue
        known, where = first.setdefault(posixpath.normpath(path), (sha256, keys))
        if known != sha256:
            yield top.error(
                *keys,
                needed=f"one sha256 for {path}",
                found=f"{sha256[:12]}…, and {known[:12]}… at {top.where(*where)}",
                todo="keep the right one, or leave both out: didkit freeze writes it",
            )


def unit_problems(plan: Plan) -> Iterator[PlanError]:
    """Find units that are on two sides."""
    top, who = plan._file, plan.comparators
    listed = {unit: n for n, unit in enumerate(who.units)}
    for unit in plan.pilots.starts:
        if unit in who.exclude:
            yield top.error(
                "comparators",
                "exclude",
                unit,
                needed="comparators to leave out",
                found=f"{unit!r}, a pilot ({top.where(*plan.keys_of(unit))})",
                todo="take it out of one of the two",
            )
        if unit in listed and not who.include_pilots:
            yield top.error(
                "comparators",
                "units",
                listed[unit],
                needed="units that are no pilots",
                found=f"{unit!r}, a pilot",
                todo="take it out, or say include_pilots = true",
            )
    for unit in who.units:
        if unit in who.exclude:
            yield top.error(
                "comparators",
                "exclude",
                unit,
                needed="a unit either named or left out",
                found=f"{unit!r} is both",
                todo="take it out of one of the two",
            )
    for unit in plan.pilots.stops:
        if unit not in plan.pilots.starts:
            yield top.error(
                "pilots",
                "stops",
                unit,
                needed="a start for every pilot that stopped",
                found=f"{unit!r} has none",
                todo="add its start, or take the stop out",
            )


def design_problems(plan: Plan) -> Iterator[PlanError]:
    """Find checks that the comparators do not allow, and power for metrics that are not planned."""
    top, who = plan._file, plan.comparators
    sets = who.against not in ("pool", "union") or who.include_pilots
    if sets and "PlaceboPilots" in plan.named_checks and "checks" in top.raw:
        yield top.error(
            "checks",
            "PlaceboPilots",
            needed=f"checks that exist with against = {who.against!r}",
            found="PlaceboPilots, which needs one pool: other pilots would have other comparators",
            todo="take it out; PlaceboStart and LeaveOneOut exist for these comparators",
        )
    for metric in plan.power.assumed:
        if metric not in plan.all_metrics:
            yield top.error(
                "power",
                metric,
                needed="a metric that is primary or secondary",
                found=repr(metric),
                todo="choose from: " + ", ".join(plan.all_metrics),
            )


def period_problems(plan: Plan) -> Iterator[PlanError]:
    """Find periods that contradict each other, as far as can be told without the data."""
    top, window = plan._file, plan.window
    first, last = _year(window.first), _year(window.last)
    if first is not None and last is not None and first >= last:
        yield top.error(
            "window",
            "first",
            needed="a first period before the last",
            found=f"{window.first} and {window.last}",
            todo=f"write first = {window.last} and last = {window.first}"
            if first > last
            else "write a later last period",
        )
        return  # everything below would follow from it
    for unit, start in plan.pilots.starts.items():
        year = _year(start)
        keys = plan.keys_of(unit) if "starts" in top.raw["pilots"] else ("pilots", "start")
        if year is None:
            continue
        if (first is not None and year <= first) or (last is not None and year > last):
            yield top.error(
                *keys,
                needed=f"a start inside the window, with a period before it: after {window.first}, "
                f"not after {window.last}",
                found=f"{unit!r} starts in {start}",
                todo="write another start, widen [window], or leave this pilot out",
            )
        stop = plan.pilots.stops.get(unit)
        stopped = None if stop is None else _year(stop)
        if stopped is not None and stopped <= year:
            yield top.error(
                "pilots",
                "stops",
                unit,
                needed="a stop after the start",
                found=f"{unit!r} starts in {start} and stops in {stop}",
                todo=f"write a period after {start} as the stop of {unit}, or an earlier start",
            )
    ends = [_year(one) for one in window.between]
    outside = [
        given
        for given, year in zip(window.between, ends, strict=True)
        if year is not None
        and ((first is not None and year < first) or (last is not None and year > last))
    ]
    if outside or (len(ends) == 2 and None not in ends and ends[0] >= ends[1]):  # type: ignore[operator]
        yield top.error(
            "window",
            "between",
            needed="two periods inside the window, the earlier one first",
            found=", ".join(window.between),
            todo=f"write between = [{window.first or 2014}, {window.last or 2019}], or two periods "
            "between these",
        )
    for n, file in enumerate(plan.data.files):
        years = [_year(one) for one in file.periods]
        if len(years) == 2 and None not in years and years[0] > years[1]:  # type: ignore[operator]
            yield top.error(
                "data",
                "files",
                n,
                "periods",
                needed="a first period not after the last",
                found=", ".join(file.periods),
                todo=f"write periods = [{', '.join(reversed(file.periods))}]",
            )


def _year(period: str) -> int | None:
    """Return the year that a period ends in; None for a label that is no year."""
    try:
        return int(Calendar.of([period], kind="reporting year").labels[0])
    except PanelError:
        return None
