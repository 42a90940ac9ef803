"""From a plan to its data: files and their hashes, the panel, the design."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from didkit.design import Against, Design, Rollout
from didkit.errors import DidkitError, PlanError, first_few
from didkit.panel import Panel, nearest
from didkit.read import read_dfe
from didkit.read.files import digest, read_path, table_paths
from didkit.report.plan_comparators import Comparators, against_of
from didkit.report.plan_csv import read_csv
from didkit.report.plan_file import there, together
from didkit.report.plan_parts import DataFile, Variant

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = ["FileHash", "Loaded", "hashes", "load", "unit_problems"]

Keys = tuple[str | int, ...]

_CODE = re.compile(r"[0-9]{3}(?:\+[0-9]{3})*")
_ONS = re.compile(r"[EWSN][0-9]{8}")


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
    against = _against(plan, panel, plan.comparators, ("comparators",))
    try:
        design = _design(plan, panel, against, Variant("as planned"))
    except DidkitError as error:
        raise _named(error, plan, _section_of(error)) from error
    variants: dict[str, Design] = {}
    for n, one in enumerate(plan.sensitivity):
        other = against
        if one.comparators is not None:
            keys: Keys = ("sensitivity", n, "comparators")
            other = _against(plan, panel, one.comparators, keys)
        try:
            variants[one.name] = _design(plan, panel, other, one)
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


def _against(plan: Plan, panel: Panel, who: Comparators, keys: Keys) -> Against:
    """Make a comparison, or name the key of the plan that is wrong."""
    try:
        return against_of(who, plan.folder, panel)
    except DidkitError as error:
        key = "on" if who.on and "neighbours" not in error.where else "file" if who.file else ""
        raise _named(error, plan, (*keys, key) if key else keys) from error


def _design(plan: Plan, panel: Panel, against: Against, other: Variant) -> Design:
    """Make the design of the plan, but for what an alternative changes."""
    starts = {u: other.start or p for u, p in plan.pilots.starts.items() if u not in other.without}
    stops = {u: p for u, p in plan.pilots.stops.items() if u in starts}
    contaminated = {
        unit: since or None
        for unit, since in plan.pilots.contaminated.items()
        if unit not in other.without and not (other.start and unit in starts)
    }
    treatment: Any = other.treatment or plan.pilots.treatment or "intention_to_treat"
    first, last = other.first or plan.window.first, other.last or plan.window.last
    return Design(
        panel,
        Rollout(
            starts,
            stops=stops,
            first_exposed=None if other.start else plan.pilots.first_exposed,
            contaminated=contaminated,
        ),
        against=against,
        selection=plan.pilots.selection,
        treatment=treatment,
        periods=(first, last) if first else None,
        exclude={
            **plan.comparators.exclude,
            **dict.fromkeys((*other.without, *other.exclude), other.name),
        },
        strata=plan.inference.strata or None,
        clusters=plan.inference.clusters or None,
    )


def hashes(plan: Plan) -> tuple[FileHash, ...]:
    """Hash every file that the plan names; of a folder, what the reader takes for a table.

    Raises
    ------
    PlanError
        If one is missing or cannot be read; the line is named.
    """
    named: list[tuple[str, str, Keys]] = [
        (file.path, file.sha256, ("data", "files", n, "path"))
        for n, file in enumerate(plan.data.files)
    ]
    lists: list[tuple[Comparators | None, Keys]] = [(plan.comparators, ("comparators",))]
    for n, other in enumerate(plan.sensitivity):
        lists.append((other.comparators, ("sensitivity", n, "comparators")))
    for who, section in lists:
        if who is not None and who.file:
            named.append((who.file, who.sha256, (*section, "file")))
    lost = [
        PlanError(
            needed="a data file or folder that exists",
            found=f"nothing at {path}",
            where=f"{plan.where(*keys)}, in the folder {plan.folder}",
            todo="write its path from that folder, or name another folder: [data] folder, or "
            "--data; where it is not published yet, freeze with --before-data",
        )
        for path, _, keys in named
        if not there(plan.folder / path)
    ]
    if lost:
        raise together(lost, plan.source.name)
    made: dict[str, FileHash] = {}
    known = {path: planned for path, planned, _ in named if planned}  # a path may stand twice
    for path, planned, keys in named:
        place = plan.folder / path
        if not place.is_dir():
            made[path] = _hashed(plan, place, path, known.get(path, ""), keys)
            continue
        if planned:
            raise PlanError(
                needed="a sha256 of a single file",
                found=f"one of the folder {path}",
                where=plan.where(*keys[:-1], "sha256"),
                todo="name its files one by one, or freeze the plan: that hashes every file",
            )
        try:
            tables = table_paths(place)
        except DidkitError as error:
            raise _named(error, plan, keys) from error
        for one in tables:
            inner = f"{path.rstrip('/')}/{one.relative_to(place).as_posix()}"
            made[inner] = _hashed(plan, one, inner, known.get(inner, ""), keys)
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
        ("Matching", ("comparators",)),
        ("Balancing", ("comparators",)),
        ("SyntheticWeights", ("comparators",)),
        ("Covariates", ("comparators", "on")),
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
            place = plan.folder / file.path
            if file.reader == "csv":
                where = partial(plan.where, *keys)
                part = read_csv(file, place, where, plan=plan.source.name)
            else:
                part = read_dfe(place, release=file.release or None)
            part = _selected(file, part)
        except PlanError:  # it names its line already
            raise
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
    """Refuse what the data do not hold, with the lines that name it."""
    found = [
        *_metric_problems(plan, panel),
        *unit_problems(plan, panel),
        *_period_problems(plan, panel),
    ]
    if found:
        raise together(found, plan.source.name)


def _metric_problems(plan: Plan, panel: Panel) -> Iterator[PlanError]:
    for role in ("primary", "secondary"):
        for n, metric in enumerate(getattr(plan.metrics, role)):
            if metric not in panel.metrics:
                yield PlanError(
                    needed="a metric that the data files deliver",
                    found=repr(metric),
                    where=plan.where("metrics", role, n),
                    todo="choose from: " + ", ".join(panel.metrics),
                )


def unit_problems(plan: Plan, panel: Panel | None) -> Iterator[PlanError]:
    """Find units that the data do not hold; without data, those that are no codes."""
    who = plan.comparators
    codes: list[tuple[str, Keys]] = [(u, plan.keys_of(u)) for u in plan.pilots.starts]
    codes += [(u, ("comparators", "exclude", u)) for u in who.exclude]
    codes += [
        (u, ("pilots", "contaminated", u))
        for u in plan.pilots.contaminated
        if u not in plan.pilots.starts
    ]
    codes += [(u, ("comparators", "units", n)) for n, u in enumerate(who.units)]
    for n, other in enumerate(plan.sensitivity):
        codes += [(u, ("sensitivity", n, "exclude", k)) for k, u in enumerate(other.exclude)]
    by_code = all(file.columns.get("identity", "la_code") == "la_code" for file in plan.data.files)
    for unit, keys in codes:
        if panel is not None and unit in panel:
            continue
        near = "" if panel is None else _near(unit, panel)
        if by_code and not _CODE.fullmatch(unit):
            kind = "a code of the ONS" if _ONS.fullmatch(unit) else "which is none"
            yield PlanError(
                needed="3-digit codes of the Department, such as 350",
                found=f"{unit!r}, {kind}",
                where=plan.where(*keys),
                todo=near
                or "write the code that stands beside it in the published files (old_la_code)",
            )
        elif panel is not None:
            yield PlanError(
                needed="units that the data files hold",
                found=f"{unit!r}, which they do not",
                where=plan.where(*keys),
                todo=near or nearest(unit, list(panel.unit_ids), list(panel.units["name"])),
            )


def _near(unit: str, panel: Panel) -> str:
    """Suggest units that are called alike, or nothing."""
    found = nearest(unit, list(panel.unit_ids), list(panel.units["name"]))
    return found if found.startswith("did you mean") else ""


def _period_problems(plan: Plan, panel: Panel) -> Iterator[PlanError]:
    starts = plan.pilots.starts
    periods: list[tuple[str, Keys]] = [
        (start, plan.keys_of(unit)) for unit, start in starts.items()
    ]
    periods += [(stop, ("pilots", "stops", unit)) for unit, stop in plan.pilots.stops.items()]
    periods += [(p, ("pilots", "first_exposed", k)) for k, p in plan.pilots.first_exposed.items()]
    periods += [
        (p, ("pilots", "contaminated", u)) for u, p in plan.pilots.contaminated.items() if p
    ]
    for name in ("first", "last"):
        if given := getattr(plan.window, name):
            periods.append((given, ("window", name)))
    periods += [(one, ("window", "between", n)) for n, one in enumerate(plan.window.between)]
    for name, window in plan.specifications.windows.items():
        periods += [(p, ("specifications", "windows", name, n)) for n, p in enumerate(window)]
    for period, keys in periods:
        try:
            panel.calendar.position(period)
        except DidkitError as error:
            yield PlanError(
                needed=error.needed,
                found=error.found,
                where=plan.where(*keys),
                todo=f"the data hold {first_few(panel.periods, 20)}",
            )
