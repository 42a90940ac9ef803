"""The parts of a plan: each section of the file becomes one small frozen object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from didkit.design import Selection
from didkit.report.plan_checks import CHECKS, all_checks, checks
from didkit.report.plan_comparators import Comparators, comparators, sha256_of
from didkit.report.plan_file import Section, written
from didkit.report.plan_inference import METHODS, Inferences, inferences

__all__ = [
    "CHECKS",
    "METHODS",
    "PROTOCOL",
    "Comparators",
    "DataFile",
    "DataPart",
    "Inferences",
    "Measures",
    "Pilots",
    "Rate",
    "Variant",
    "Window",
    "all_checks",
    "checks",
    "inferences",
]

PROTOCOL = (
    "units",
    "missing",
    "balance",
    "icc",
    "detectable_effect",
    "pre_trends",
    "sensitivity",
    "few_clusters",
    "multiplicity",
    "deviations_allowed",
    "notes",
)
"""Keys of ``[protocol]``: what the plan says in words about each item of the protocol table."""

_PILOT_KEYS = (
    "starts",
    "stops",
    "units",
    "start",
    "selection",
    "reason",
    "treatment",
    "first_exposed",
    "contaminated",
)
TREATMENTS = ("intention_to_treat", "as_treated")


@dataclass(frozen=True)
class DataFile:
    """One source: a file, folder or zip of published tables, or a CSV of the evaluator's own."""

    path: str
    reader: Literal["published", "csv"] = "published"
    sha256: str = ""
    release: str = ""
    metrics: tuple[str, ...] = ()
    periods: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rate:
    """A rate to be computed from counts and a population."""

    metric: str
    denominator: str
    replace_published: bool = False


@dataclass(frozen=True)
class DataPart:
    """Where the data lie, and what is taken from each source."""

    folder: str
    files: tuple[DataFile, ...]
    mixed: tuple[str, ...] = ()
    rates: tuple[Rate, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Pilots:
    """Pilots, starts, stops, and how they were selected."""

    starts: Mapping[str, str]
    stops: Mapping[str, str]
    selection: Selection
    reason: str = ""
    treatment: str = ""  # "": intention to treat
    first_exposed: Mapping[str, str] = field(default_factory=dict)
    contaminated: Mapping[str, str] = field(default_factory=dict)  # "": throughout


@dataclass(frozen=True)
class Window:
    """First and last period, and the two between which rising pilots are counted."""

    first: str = ""
    last: str = ""
    between: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measures:
    """Primary and secondary metrics, and the smallest effects of interest."""

    primary: tuple[str, ...]
    secondary: tuple[str, ...] = ()
    smallest_effect: Mapping[str, float] = field(default_factory=dict)
    smallest_effect_reason: str = ""
    direction: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """An alternative to hold the answer against: other pilots, comparators, window or start."""

    name: str
    without: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    first: str = ""
    last: str = ""
    start: str = ""
    treatment: str = ""
    comparators: Comparators | None = None


# -- read from the file ------------------------------------------------------------------------


def data_part(section: Section) -> DataPart:
    """Read ``[data]``."""
    files = section.tables("files")
    made: list[DataFile] = []
    for one in files:
        with one.gathered():
            made.append(_data_file(one))
    rates: list[Rate] = []
    for one in section.tables("rates"):
        with one.gathered():
            rates.append(_rate(one))
    part = DataPart(
        folder=section.text("folder", "."),
        files=tuple(made),
        mixed=section.texts("mixed"),
        rates=tuple(rates),
        description=section.text("description", ""),
    )
    section.close()
    if not files:
        raise section.error(
            "files",
            needed="at least one data file",
            found="none",
            todo='write a section [[data.files]] with path = "…"',
        )
    return part


def _data_file(section: Section) -> DataFile:
    reader = section.one_of("reader", ("published", "csv"), "published")
    columns: dict[str, Any] = {}
    if reader == "csv":
        columns = {name: section.text(name) for name in ("unit", "period")}
        columns["values"] = _columns(section)
        for name in ("exposure", "name", "calendar"):
            if section.has(name):
                columns[name] = section.text(name)
        columns["identity"] = section.one_of("identity", ("la_code", "any"), "la_code")
        for name in ("status", "lower", "upper"):
            if section.has(name):
                columns[name] = _beside(section, name, columns["values"])
    made = DataFile(
        path=section.text("path"),
        reader=cast(Literal["published", "csv"], reader),
        sha256=sha256_of(section),
        release=section.text("release", ""),
        metrics=section.texts("metrics"),
        periods=section.periods("periods"),
        columns=columns,
    )
    if "reader" not in section.refused:  # it says which keys there are
        section.close()
    return made


def _beside(section: Section, key: str, values: Mapping[str, str]) -> dict[str, str]:
    """Read which column holds the status or a bound of which metric: a table metric → column."""
    table = section.table(key)
    made = {name: table.text(name) for name in table.raw}
    metrics = list(values.values())
    for name, column in made.items():
        if name not in metrics and metrics:
            meant = values.get(name, metrics[0])
            error = table.error(
                name,
                needed=f"metrics that values names: {', '.join(metrics)}",
                found=f"{name!r}, a column" if name in values else repr(name),
                todo=f'write {key} = {{{written(meant)} = "{column}"}}: metric = "column"',
            )
            table.note(name, error)
    return made


def _columns(section: Section) -> dict[str, str]:
    """Read which column holds which metric: an array of names, or a table column → metric."""
    if isinstance(section.raw.get("values"), list):
        return {name: name for name in section.texts("values")}
    table = section.table("values")
    found = {name: table.text(name) for name in table.raw}
    if not found and "values" not in section.refused:
        error = section.error(
            "values",
            needed="the columns that hold numbers",
            found="none",
            todo='write values = {rate = "cla"}: column = "metric"',
        )
        section.note("values", error)
    return found


def _rate(section: Section) -> Rate:
    made = Rate(
        metric=section.text("metric"),
        denominator=section.text("denominator"),
        replace_published=section.truth("replace_published", False),
    )
    section.close()
    return made


def pilots(section: Section) -> Pilots:
    """Read ``[pilots]``."""
    starts = section.by_unit("starts", keys=_PILOT_KEYS)
    stops = section.by_unit("stops", keys=_PILOT_KEYS)
    listed, start = section.units("units"), section.period("start")
    selection = section.one_of("selection", get_args(Selection))
    reason = section.text("reason", "")
    treatment = section.one_of("treatment", TREATMENTS, TREATMENTS[0])
    exposed, contaminated = section.table("first_exposed"), section.table("contaminated")
    first = {key: str(exposed.period(key)) for key in ("stock", "flow") if exposed.has(key)}
    exposed.close()
    since = _since(contaminated)
    section.close()
    if starts and (listed or start):
        raise section.error(
            "units" if listed else "start",
            needed="the pilots once: a table of starts, or units and their one start",
            found="both",
            todo="keep [pilots.starts], or units = […] and start = …",
        )
    if not starts:
        if not listed or start is None:
            raise section.error(
                needed="the pilots and the first period in which each is treated",
                found="units without a start" if listed else "no pilot",
                todo="write [pilots.starts] with lines such as 303 = 2018, or units = […] and "
                "start = 2018",
            )
        starts = dict.fromkeys(listed, start)
    return Pilots(
        starts=dict(sorted(starts.items())),
        stops=dict(sorted(stops.items())),
        selection=cast(Selection, selection),
        reason=reason,
        treatment="" if treatment == TREATMENTS[0] else treatment,
        first_exposed=first,
        contaminated=dict(sorted(since.items())),
    )


def _since(section: Section) -> dict[str, str]:
    """Read since when units use the practice outside the programme: a period, or true."""
    return {
        unit: "" if section.raw[raw] is True else str(section.period(raw))
        for unit, raw in section._unit_keys(_PILOT_KEYS)
    }


def window(section: Section) -> Window:
    """Read ``[window]``."""
    first, last = section.period("first"), section.period("last")
    between = section.periods("between")
    section.close()
    _both(section, first, last)
    if len(between) == 1:
        raise section.error(
            "between",
            needed="two periods",
            found=f"one: {between[0]}",
            todo="write between = [2014, 2019]: the two that are compared",
        )
    return Window(first or "", last or "", between)


def _both(section: Section, first: str | None, last: str | None) -> None:
    """Refuse one end of a window without the other."""
    if (first is None) != (last is None):
        lacking = "first" if first is None else "last"
        raise section.error(
            needed="both the first and the last period, or neither",
            found="one of them",
            todo=f"write {lacking} = … as well",
        )


def measures(section: Section) -> Measures:
    """Read ``[metrics]``."""
    primary, secondary = section.texts("primary"), section.texts("secondary")
    smallest, direction = section.table("smallest_effect"), section.table("direction")
    made = Measures(
        primary=primary,
        secondary=secondary,
        smallest_effect={name: _size(smallest, name) for name in smallest.raw},
        smallest_effect_reason=section.text("smallest_effect_reason", ""),
        direction={name: direction.one_of(name, ("lower", "higher")) for name in direction.raw},
    )
    section.close()
    for n, name in enumerate(secondary):
        if name in primary:
            error = section.error(
                "secondary",
                n,
                needed="each metric either primary or secondary",
                found=f"{name!r} is both",
                todo="keep it in one of the two",
            )
            section.note("secondary", error)
    if not section.refused & {"primary", "secondary"}:
        for table in (smallest, direction):
            for name in table.raw:
                if primary and name not in (*primary, *secondary):
                    error = table.error(
                        name,
                        needed="a metric that is primary or secondary",
                        found=repr(name),
                        todo="choose from: " + ", ".join((*primary, *secondary)),
                    )
                    table.note(name, error)
    if not primary:
        raise section.error(
            "primary",
            needed="at least one primary metric",
            found="none",
            todo='write primary = ["cpp"]',
        )
    return made


def _size(section: Section, name: str) -> float:
    value = section.number(name, 0.0, such_as=5)
    if value <= 0 and name not in section.refused:
        error = section.error(
            name,
            needed="the size of an effect in the metric's unit, above 0",
            found=f"{value:g}",
            todo=f"write {written(name)} = {-value or 5:g} here, and the direction in [metrics] "
            "direction",
        )
        section.note(name, error)
    return value


def variants(sections: Sequence[Section], starts: Mapping[str, str]) -> tuple[Variant, ...]:
    """Read every ``[[sensitivity]]``."""
    made: list[Variant] = []
    for section in sections:
        with section.gathered():
            made.append(_variant(section, starts, [one.name for one in made]))
    return tuple(made)


def _variant(section: Section, starts: Mapping[str, str], taken: Sequence[str]) -> Variant:
    name = section.text("name")
    first, last, start = (section.period(key) for key in ("first", "last", "start"))
    without, exclude = section.units("without"), section.units("exclude")
    treatment = section.one_of("treatment", TREATMENTS) if section.has("treatment") else ""
    others = comparators(section.table("comparators")) if section.has("comparators") else None
    section.close()
    if name in taken:
        raise section.error(
            "name", needed="each alternative once", found=f"{name!r} twice", todo="rename one"
        )
    _both(section, first, last)
    for key, units, right in (("without", without, True), ("exclude", exclude, False)):
        for n, unit in enumerate(units):
            if (unit in starts) != right:
                error = section.error(
                    key,
                    n,
                    needed="pilots to leave out" if right else "comparators to leave out",
                    found=f"{unit!r}, which is {'no' if right else 'a'} pilot",
                    todo="pilots stand in without, comparators in exclude",
                )
                section.note(key, error)
    one = Variant(name, without, exclude, first or "", last or "", start or "", treatment, others)
    if one == Variant(name):
        raise section.error(
            needed="something that differs: without, exclude, first and last, start, treatment or "
            "comparators",
            found="nothing",
            todo="say what differs, or take this section out",
        )
    return one
