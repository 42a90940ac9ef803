"""From a plan to its data: files and their hashes, the panel, the design."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from didkit.design import Against, Design, Pool, Rollout
from didkit.errors import DidkitError, PlanError, first_few
from didkit.panel import METRICS, Metric, Panel, nearest
from didkit.read import read_dfe, read_neighbours
from didkit.read.files import digest, list_files, read_path, refuse_binary
from didkit.report.plan_parts import DataFile, Variant

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = ["FileHash", "Loaded", "hashes", "load"]

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class FileHash:
    """A data file: its path as the plan has it, what is in it, and the hash that the plan names."""

    path: str
    sha256: str
    size: int
    planned: str = ""


@dataclass(frozen=True, eq=False)
class Loaded:
    """The data of a plan, read once."""

    panel: Panel
    design: Design
    files: tuple[FileHash, ...]
    variants: Mapping[str, Design]


def load(plan: Plan) -> Loaded:
    """Read the data of a plan and make its design.

    Raises
    ------
    PlanError
        Whatever is wrong, with the line of the plan that asked for it.
    """
    files = hashes(plan)
    panel = _panel(plan)
    _check(plan, panel)
    try:
        against = _against(plan)
    except DidkitError as error:
        raise _named(error, plan, ("comparators", "file")) from error
    try:
        design = _design(plan, panel, against, Variant("as planned"))
    except DidkitError as error:
        raise _named(error, plan, _section_of(error)) from error
    variants: dict[str, Design] = {}
    for n, one in enumerate(plan.sensitivity):
        try:
            variants[one.name] = _design(plan, panel, against, one)
        except DidkitError as error:
            raise _named(error, plan, ("sensitivity", n)) from error
    if hashes(plan) != files:
        raise PlanError(
            needed="data files that stay as they are while they are read",
            found="one that changed",
            where=str(plan.folder),
            todo="wait until nobody writes to them, and run it again",
        )
    return Loaded(panel, design, files, variants)


def _design(plan: Plan, panel: Panel, against: Against, other: Variant) -> Design:
    """Make the design of the plan, but for what an alternative changes."""
    starts = {u: other.start or p for u, p in plan.pilots.starts.items() if u not in other.without}
    stops = {u: p for u, p in plan.pilots.stops.items() if u in starts}
    first, last = other.first or plan.window.first, other.last or plan.window.last
    return Design(
        panel,
        Rollout(starts, stops=stops),
        against=against,
        selection=plan.pilots.selection,
        periods=(first, last) if first else None,
        exclude={
            **plan.comparators.exclude,
            **dict.fromkeys((*other.without, *other.exclude), other.name),
        },
        strata=plan.inference.strata or None,
        clusters=plan.inference.clusters or None,
    )


def hashes(plan: Plan) -> tuple[FileHash, ...]:
    """Hash every file that the plan names; of a folder, every table in it.

    Raises
    ------
    PlanError
        If one is missing or cannot be read; the line is named.
    """
    named: list[tuple[str, str, Keys]] = [
        (file.path, file.sha256, ("data", "files", n, "path"))
        for n, file in enumerate(plan.data.files)
    ]
    if plan.comparators.file:
        where = ("comparators", "file")
        named.append((plan.comparators.file, plan.comparators.sha256, where))
    made: dict[str, FileHash] = {}
    for path, planned, keys in named:
        place = plan.folder / path
        if not place.exists():
            raise PlanError(
                needed="a data file or folder that exists",
                found=f"nothing at {path}",
                where=f"{plan.where(*keys)}, in the folder {plan.folder}",
                todo="mend the path, or name the folder of the data: [data] folder, or --data",
            )
        if not place.is_dir():
            made[path] = _hashed(plan, place, path, planned, keys)
            continue
        if planned:
            raise PlanError(
                needed="a sha256 of a single file",
                found=f"one of the folder {path}",
                where=plan.where(*keys[:-1], "sha256"),
                todo="name its files one by one, or freeze the plan: that hashes every file",
            )
        try:
            list_files(place)  # refuses too many files
        except DidkitError as error:
            raise _named(error, plan, keys) from error
        for one in sorted(place.rglob("*")):
            if one.is_file() and one.suffix.lower() in (".csv", ".zip"):
                inner = f"{path.rstrip('/')}/{one.relative_to(place).as_posix()}"
                made[inner] = _hashed(plan, one, inner, "", keys)
    return tuple(made[path] for path in sorted(made))


def _hashed(plan: Plan, place: Path, path: str, planned: str, keys: Keys) -> FileHash:
    try:
        data = read_path(place)
    except DidkitError as error:
        raise _named(error, plan, keys) from error
    return FileHash(path, digest(data), len(data), planned)


def _named(error: DidkitError, plan: Plan, keys: Keys) -> PlanError:
    """Return the error with the line of the plan that led to it."""
    return PlanError(
        needed=error.needed,
        found=error.found,
        where=f"{plan.where(*keys)}: {error.where}",
        todo=error.todo,
    )


def _section_of(error: DidkitError) -> Keys:
    """Tell which section of the plan an error of the design is about."""
    for word, keys in (
        ("exclude", ("comparators", "exclude")),
        ("against", ("comparators",)),
        ("neighbours", ("comparators", "file")),
        ("set of", ("comparators",)),
        ("periods=", ("window",)),
        ("start", ("pilots",)),
        ("rollout", ("pilots",)),
    ):
        if word in error.where:
            return keys
    named = next((key for key in ("strata", "clusters") if f"{key}=" in error.needed), None)
    return () if named is None else ("inference", named)


# -- the panel ---------------------------------------------------------------------------------


def _panel(plan: Plan) -> Panel:
    panel: Panel | None = None
    for n, file in enumerate(plan.data.files):
        keys: Keys = ("data", "files", n)
        try:
            part = _read(file, plan.folder / file.path)
            part = _selected(file, part)
        except DidkitError as error:
            raise _named(error, plan, (*keys, "path")) from error
        try:
            panel = part if panel is None else _joined(panel, part, plan.data.mixed)
        except DidkitError as error:
            raise _named(error, plan, keys) from error
    if panel is None:  # a plan without data files does not exist
        raise TypeError("a plan has at least one data file")
    for n, rate in enumerate(plan.data.rates):
        try:
            panel = panel.compute_rate(
                rate.metric,
                denominator=rate.denominator,
                replace_published=rate.replace_published,
            )
        except DidkitError as error:
            raise _named(error, plan, ("data", "rates", n)) from error
    return panel


def _read(file: DataFile, place: Path) -> Panel:
    if file.reader == "published":
        return read_dfe(place, release=file.release or None)
    data = read_path(place)
    refuse_binary(data, place.name)
    columns = dict(file.columns)
    as_text = [columns[key] for key in ("unit", "period", "name") if key in columns]
    as_text += [str(one) for one in dict(columns.get("status", {})).values()]
    try:
        frame = pd.read_csv(
            io.BytesIO(data), encoding="utf-8-sig", dtype=dict.fromkeys(as_text, str)
        )
    except ValueError as error:  # also what is not UTF-8, and lines of unequal length
        raise PlanError(
            needed="a CSV in UTF-8 with one header and lines of equal length",
            found=str(error).strip(),
            where=place.name,
            todo="save it as 'CSV UTF-8' with the columns in the first line",
        ) from error
    values = columns.pop("values")
    panel = Panel.from_frame(
        frame,
        metrics={
            column: Metric.named(name) if name in METRICS else Metric(name=name)
            for column, name in values.items()
        },
        release=file.release or place.name,
        **columns,
    )
    sources = {
        metric: tuple(replace(one, file=place.name, sha256=digest(data)) for one in found)
        for metric, found in panel.sources.items()
    }
    return Panel(
        units=panel.units,
        calendar=panel.calendar,
        metrics=panel.metrics,
        cells={metric: panel.cells(metric) for metric in panel.metrics},
        sources=sources,
        log=panel.log,
        identity=panel.identity,
    )


def _selected(file: DataFile, part: Panel) -> Panel:
    if not file.metrics and not file.periods:
        return part
    periods = part.calendar.window(file.periods[0], file.periods[-1]) if file.periods else None
    return part.select(metrics=file.metrics or None, periods=periods)


def _joined(panel: Panel, part: Panel, mixed: tuple[str, ...]) -> Panel:
    """Join a part; releases are mixed only for metrics that the plan names."""
    both = [name for name in part.metrics if name in panel.metrics]
    if both and set(both) <= set(mixed):
        return panel.join(part, releases="mixed")
    return panel.join(part)


# -- held against the data ---------------------------------------------------------------------


def _check(plan: Plan, panel: Panel) -> None:
    """Refuse what the data do not hold, with the line that names it."""
    for role in ("primary", "secondary"):
        for n, metric in enumerate(getattr(plan.metrics, role)):
            if metric not in panel.metrics:
                raise PlanError(
                    needed="a metric that the data files deliver",
                    found=repr(metric),
                    where=plan.where("metrics", role, n),
                    todo="choose from: " + ", ".join(panel.metrics),
                )
    who = plan.comparators
    codes: list[tuple[str, Keys]] = [(u, ("pilots", "starts", u)) for u in plan.pilots.starts]
    codes += [(u, ("comparators", "exclude", u)) for u in who.exclude]
    codes += [(u, ("comparators", "units", n)) for n, u in enumerate(who.units)]
    known, names = list(panel.unit_ids), list(panel.units["name"])
    for unit, keys in codes:
        if unit not in panel:
            raise PlanError(
                needed="units that the data files hold",
                found=f"{unit!r}, which they do not",
                where=plan.where(*keys),
                todo=nearest(unit, known, names),
            )
    periods: list[tuple[str, Keys]] = [
        (start, ("pilots", "starts", unit)) for unit, start in plan.pilots.starts.items()
    ]
    periods += [(stop, ("pilots", "stops", unit)) for unit, stop in plan.pilots.stops.items()]
    for name in ("first", "last"):
        if given := getattr(plan.window, name):
            periods.append((given, ("window", name)))
    periods += [(one, ("window", "between", n)) for n, one in enumerate(plan.window.between)]
    for period, keys in periods:
        try:
            panel.calendar.position(period)
        except DidkitError as error:
            raise PlanError(
                needed=error.needed,
                found=error.found,
                where=plan.where(*keys),
                todo=f"the data hold {first_few(panel.periods, 20)}",
            ) from error


def _against(plan: Plan) -> Against:
    who = plan.comparators
    if who.against == "pool":
        return Pool(who.units or None, include_pilots=who.include_pilots)
    neighbours = read_neighbours(plan.folder / who.file)
    if who.against == "union":
        return neighbours.union(include_pilots=who.include_pilots)
    aggregate: Literal["mean", "median"] = "median" if who.aggregate == "median" else "mean"
    return neighbours.per_pilot(aggregate=aggregate, include_pilots=who.include_pilots)
