"""Whom a plan compares with: its section, what it may say, and the comparison made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import pandas as pd

from didkit.design import (
    Against,
    CardinalityMatching,
    Covariates,
    EntropyBalancing,
    Matching,
    Neighbours,
    Pool,
    SyntheticWeights,
    compute_neighbours,
)
from didkit.design.neighbours import CLOSENESS
from didkit.errors import DidkitError
from didkit.panel import Panel
from didkit.read import read_neighbours
from didkit.report.plan_file import Section, written

__all__ = ["Comparators", "On", "against_of", "comparators", "in_words", "sha256_of"]

Kind = Literal[
    "pool", "union", "per_pilot", "matching", "entropy_balancing", "cardinality", "synthetic"
]

_SHA = re.compile(r"[0-9a-f]{64}")
_KEYS = (
    "against",
    "reason",
    "file",
    "sha256",
    "computed",
    "aggregate",
    "weights",
    "closest",
    "most",
    "at_least",
    "include_pilots",
    "units",
    "on",
    "exclude",
)
_NEIGHBOURS = ("file", "sha256", "computed", "closest", "most", "at_least")
_ALLOWED: dict[str, tuple[str, ...]] = {
    "pool": ("units", "include_pilots"),
    "union": (*_NEIGHBOURS, "include_pilots"),
    "per_pilot": (*_NEIGHBOURS, "include_pilots", "aggregate", "weights"),
    "matching": (),
    "entropy_balancing": (),
    "cardinality": (),
    "synthetic": (),
}
_REFUSE = ("refuse", "leave_out")
_OPTIONS: dict[str, dict[str, Any]] = {
    "matching": {
        "method": ("nearest", "optimal"),
        "distance": ("mahalanobis", "euclidean", "propensity"),
        "ratio": int,
        "replace": bool,
        "order": ("id", "largest", "smallest"),
        "caliper": float,
        "exact": list,
        "unmatched": _REFUSE,
        "missing": _REFUSE,
    },
    "entropy_balancing": {"moments": int, "missing": _REFUSE},
    "cardinality": {"tolerance": float, "exact": list, "missing": _REFUSE},
    "synthetic": {"pooled": bool, "ridge": float, "missing": _REFUSE},
    "computed": {"missing": _REFUSE},
}
_MATCHED: dict[str, Any] = {
    "matching": Matching,
    "entropy_balancing": EntropyBalancing,
    "cardinality": CardinalityMatching,
    "synthetic": SyntheticWeights,
}


@dataclass(frozen=True)
class On:
    """What comparators are matched or ranked by: metrics over periods, columns of the units."""

    means: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    slopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    periods: str = ""  # "": every period must have a value

    def __bool__(self) -> bool:
        return bool(self.means or self.values or self.slopes or self.columns)

    def covariates(self, panel: Panel) -> Covariates:
        """Take them from a panel."""
        return Covariates.from_panel(
            panel,
            means={metric: _window(span) for metric, span in self.means.items()},
            values={metric: _window(span) for metric, span in self.values.items()},
            slopes={metric: _window(span) for metric, span in self.slopes.items()},
            columns=self.columns,
            periods="present" if self.periods else "all",
        )

    def in_words(self) -> str:
        """Say what they are."""
        words = [
            f"{kind} of {metric} {' to '.join(span)}"
            for kind, found in (
                ("mean", self.means),
                ("value", self.values),
                ("slope", self.slopes),
            )
            for metric, span in found.items()
        ]
        gaps = (f"periods {self.periods}",) if self.periods else ()
        return ", ".join((*words, *self.columns, *gaps))


@dataclass(frozen=True)
class Comparators:
    """Against whom and why, and who is left out and why."""

    against: Kind
    file: str = ""
    sha256: str = ""
    aggregate: str = ""
    include_pilots: bool = False
    units: tuple[str, ...] = ()
    exclude: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    computed: bool | None = None  # None, not False: a plan frozen before it existed stays as it was
    weights: str = ""
    closest: int | None = None
    most: int | None = None
    at_least: str = ""
    on: On = field(default_factory=On)
    options: Mapping[str, Any] = field(default_factory=dict)


def comparators(section: Section) -> Comparators:
    """Read ``[comparators]``."""
    kind = section.one_of("against", get_args(Kind))
    known = "against" not in section.refused
    listed = kind in ("union", "per_pilot")
    allowed = _ALLOWED[kind]
    for key in dict.fromkeys(key for keys in _ALLOWED.values() for key in keys):
        if section.has(key) and key not in allowed and known:
            error = section.error(
                key,
                needed=f"keys that go with against = {kind!r}",
                found=f"the key {key}",
                todo="take it out, or choose another against =",
            )
            section.note(key, error)
    computed = section.truth("computed", False) if listed else False
    matched = kind in _MATCHED or computed
    if computed and section.has("file"):
        error = section.error(
            "file",
            needed="one list of neighbours: a published file, or a computed one",
            found="both",
            todo="take file out, or computed = true",
        )
        section.note("file", error)
    options = _options(section, _OPTIONS["computed" if computed else kind]) if matched else {}
    aggregates = ("mean", "median", "weighted")
    if matched and not section.refused:
        _check_options(section, kind, options)
    made = Comparators(
        against=cast(Kind, kind),
        file=section.text("file") if listed and not computed else "",
        sha256=sha256_of(section) if listed and not computed else "",
        aggregate=section.one_of("aggregate", aggregates) if "aggregate" in allowed else "",
        include_pilots=section.truth("include_pilots", False) if not _MATCHED.get(kind) else False,
        units=section.units("units") if "units" in allowed else (),
        exclude=dict(
            sorted(section.reasons("exclude", keys=(*_KEYS, *_OPTIONS["matching"])).items())
        ),
        reason=section.text("reason", ""),
        computed=computed or None,
        weights=section.one_of("weights", ("rank", "distance"))
        if "weights" in allowed and section.has("weights")
        else "",
        closest=(_count(section, "closest") or None) if listed else None,
        most=(_count(section, "most") or None) if listed else None,
        at_least=_band(section) if listed else "",
        on=_on(section, needed=matched, kind="computed = true" if computed else f"{kind!r}"),
        options=options,
    )
    if known:  # otherwise it is not known which keys there are
        section.close()
    if "units" in allowed and section.raw.get("units") == []:
        raise section.error(
            "units",
            needed="at least one comparator",
            found="an empty array, which would leave none",
            todo="name them, or take the line out: then every other unit is one",
        )
    if (made.aggregate == "weighted") != bool(made.weights) and not section.refused:
        raise section.error(
            *(("weights",) if made.weights else ("aggregate",)),
            needed='aggregate = "weighted" together with weights = "rank" or "distance"',
            found=f'aggregate = "{made.aggregate}", weights = "{made.weights}"',
            todo="write both, or neither",
        )
    return made


def sha256_of(section: Section) -> str:
    """Read ``sha256``: 64 hexadecimal digits, or none."""
    value = section.text("sha256", "").lower()
    if value and not _SHA.fullmatch(value):
        section.wrong(
            "sha256",
            needed="a SHA-256: 64 hexadecimal digits",
            value=value,
            todo="didkit freeze writes those of all files; leave it out if you have none",
        )
    return value


def _count(section: Section, key: str) -> int:
    """Read a whole number above zero; 0 where there is none."""
    value = section.number(key, 0.0, such_as=5)
    if section.has(key) and key not in section.refused and (value < 1 or value % 1):
        section.wrong(key, needed="a whole number above 0", value=value, todo=f"write {key} = 5")
    return int(value)


def _options(section: Section, allowed: Mapping[str, Any]) -> dict[str, Any]:
    """Read the options of a matching; those that are not there keep their defaults."""
    made: dict[str, Any] = {}
    for key, kind in allowed.items():
        if not section.has(key):
            continue
        if isinstance(kind, tuple):
            made[key] = section.one_of(key, kind)
        elif kind is bool:
            made[key] = section.truth(key, False)
        elif kind is int:
            made[key] = _count(section, key)
        elif kind is list:
            made[key] = section.texts(key)
        else:
            made[key] = section.number(key, 0.1)
    return made


def _band(section: Section) -> str:
    """Read ``at_least``: a band of closeness, however its letters are written; "" if none."""
    bands = {band.casefold(): band for band in CLOSENESS}
    found = section.text("at_least", "")
    if found and found.casefold() not in bands and "at_least" not in section.refused:
        section.wrong(
            "at_least",
            needed=f"a band of closeness: {', '.join(CLOSENESS)}",
            value=found,
            todo=f'write at_least = "{CLOSENESS[-2]}", or another of them',
        )
    return bands.get(found.casefold(), found)


def _check_options(section: Section, kind: str, options: Mapping[str, Any]) -> None:
    """Refuse at once what no data could mend: a caliper below zero, a moment that is none."""
    if kind not in _MATCHED:
        return
    columns = {"x": [0.0, 1.0], **{key: ["a", "b"] for key in options.get("exact", ())}}
    on = Covariates(pd.DataFrame(columns, index=["1", "2"]))
    try:
        _MATCHED[kind](on, **options)
    except DidkitError as error:
        key = _culprit(kind, on, options)
        made = section.error(
            *((key,) if key else ()), needed=error.needed, found=error.found, todo=error.todo
        )
        section.note(key or "against", made)


def _culprit(kind: str, on: Covariates, options: Mapping[str, Any]) -> str:
    """Find the option that is refused by itself; else the first one."""
    for key, value in options.items():
        try:
            _MATCHED[kind](on, **{key: value})
        except DidkitError:
            return key
    return [*options, ""][0]


def _on(section: Section, *, needed: bool, kind: str) -> On:
    """Read ``[comparators.on]``."""
    table = section.table("on")
    spans: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in ("means", "values", "slopes"):
        inner = table.table(name)
        spans[name] = {metric: inner.periods(metric) for metric in inner.raw}
        for metric, span in spans[name].items():
            if name == "slopes" and len(span) == 1:
                inner.wrong(
                    metric,
                    needed="the first and the last period of a slope",
                    value=list(span),
                    todo=f"write {written(metric)} = [2013, 2017]",
                )
    periods = table.one_of("periods", ("all", "present"), "all")
    made = On(
        spans["means"],
        spans["values"],
        spans["slopes"],
        table.texts("columns"),
        "" if periods == "all" else periods,
    )
    table.close()
    if bool(made) != needed and not (table.refused or section.refused):
        raise section.error(
            *(("on",) if made else ()),
            needed=f"[comparators.on], what units are matched by, with against = {kind}"
            if needed
            else "[comparators.on] only where comparators are matched or computed",
            found="nothing to match by" if needed else f"against = {kind}",
            todo="write [comparators.on] and below it means = {cin = [2013, 2014]}"
            if needed
            else "take it out, or choose another against =",
        )
    return made


def _window(span: tuple[str, ...]) -> Any:
    """One period, or the first and the last."""
    return span[0] if len(span) == 1 else span


# -- made --------------------------------------------------------------------------------------


def against_of(who: Comparators, folder: Path, panel: Panel) -> Against:
    """Make the comparison that a plan describes.

    Parameters
    ----------
    who : Comparators
        The section.
    folder : Path
        Of the data files.
    panel : Panel
        The data, for covariates.

    Raises
    ------
    DidkitError
        If the list cannot be read, a covariate is unknown, or nobody is left.
    """
    if who.against == "pool":
        return Pool(who.units or None, include_pilots=who.include_pilots)
    if who.against in _MATCHED:
        made: Against = _MATCHED[who.against](who.on.covariates(panel), **who.options)
        return made
    neighbours = _neighbours(who, folder, panel)
    most = who.most
    if who.against == "union":
        return neighbours.union(include_pilots=who.include_pilots, most=most)
    given: Any = {"weights": who.weights} if who.weights else {}
    aggregate: Any = who.aggregate
    return neighbours.per_pilot(
        aggregate=aggregate, include_pilots=who.include_pilots, most=most, **given
    )


def _neighbours(who: Comparators, folder: Path, panel: Panel) -> Neighbours:
    """Read or compute the list, and cut it."""
    if who.computed:
        made = compute_neighbours(who.on.covariates(panel), **who.options)
    else:
        made = read_neighbours(folder / who.file)
    if who.at_least:
        made = made.at_least(who.at_least)
    return made.closest(who.closest) if who.closest else made


def in_words(who: Comparators) -> str:
    """Say whom a plan compares with, before there are data.

    Examples
    --------
    >>> in_words(Comparators("per_pilot", file="list.csv", aggregate="mean", closest=5))
    "the mean of each pilot's own neighbours (list.csv; the closest 5 of each list)"
    """
    if who.against == "pool":
        return "every other authority" if not who.units else f"{len(who.units)} named units"
    options = ", ".join(f"{key} {_said(value)}" for key, value in who.options.items())
    if who.against in _MATCHED:
        called = _MATCHED[who.against].__name__
        return f"{called} on {who.on.in_words()}" + (f" ({options})" if options else "")
    cuts = [
        f"computed on {who.on.in_words()}" if who.computed else who.file,
        f"only {who.at_least} or closer" if who.at_least else "",
        f"the closest {who.closest} of each list" if who.closest else "",
        f"the closest {who.most} that may serve" if who.most else "",
    ]
    inside = "; ".join(one for one in cuts if one)
    if who.against == "union":
        return f"the neighbours of any pilot ({inside})"
    how = f"mean weighted by {who.weights}" if who.weights else who.aggregate
    return f"the {how} of each pilot's own neighbours ({inside})"


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else written(str(value))
