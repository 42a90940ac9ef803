"""The plan: what an evaluator writes down before seeing the data, and what is then run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from didkit.errors import PanelError, PlanError
from didkit.panel import Calendar, unit_id
from didkit.report import plan_parts as parts
from didkit.report.plan_file import Section, dotted, read_toml
from didkit.results import Check

if TYPE_CHECKING:
    import pandas as pd

    from didkit.design import Design
    from didkit.report.record import Deviation

__all__ = ["VERSION", "Plan"]

VERSION = 1  #: of the format: the key ``didkit_plan``
MULTIPLICITY = ("none", "holm", "benjamini-hochberg")


@dataclass(frozen=True, eq=False)
class Plan:
    r"""A written plan of an evaluation, read from a TOML file.

    A plan names the question, the data, the pilots and their starts, the comparators, the metrics,
    the inference and the checks. `didkit.evaluate` runs it and lists every deviation. It reads the
    files that it names, so run only plans that you trust with your files.

    Parameters
    ----------
    title, question, estimand : str
        In words.
    data : DataPart
        Folder, files, rates.
    pilots : Pilots
        Starts, stops, how they were selected.
    comparators : Comparators
        Against whom, and who is left out.
    window : Window
        First and last period.
    metrics : Measures
        Primary, secondary, smallest effects of interest.
    inference : Inferences
        Method and level.
    checks : tuple of Check
        What is measured about the estimates.
    sensitivity : tuple of Variant
        Alternatives of which the change is estimated too: other samples, windows, starts.
    multiplicity : {"none", "holm", "benjamini-hochberg"}
        How p-values are adjusted, inside the primary metrics and inside the secondary ones.
    statements : mapping of str to str
        What the plan says in words about items of the protocol.
    source : Path
        The plan's file.

    Examples
    --------
    >>> import tempfile
    >>> text = '''
    ... didkit_plan = 1
    ... title = "A pilot"
    ... question = "Did the rate of child protection plans change?"
    ... estimand = "Average change in the pilots from the start on"
    ... [data]
    ... files = [{path = "cin_2020"}]
    ... [pilots]
    ... starts = {303 = 2018, 926 = 2018}
    ... selection = "bid"
    ... [comparators]
    ... against = "pool"
    ... [metrics]
    ... primary = ["cpp"]
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "plan.toml"
    ...     _ = file.write_text(text, encoding="utf-8")
    ...     Plan.read(file)
    Plan('A pilot': 2 pilots, against pool; primary: cpp)
    """

    title: str
    question: str
    estimand: str
    data: parts.DataPart
    pilots: parts.Pilots
    comparators: parts.Comparators
    window: parts.Window
    metrics: parts.Measures
    inference: parts.Inferences
    checks: tuple[Check, ...]
    sensitivity: tuple[parts.Variant, ...]
    multiplicity: str
    statements: Mapping[str, str]
    source: Path
    _file: Section = field(repr=False)
    _folder: Path | None = field(default=None, repr=False)

    # -- read ------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | PathLike[str], *, data: str | PathLike[str] | None = None) -> Plan:
        """Read a plan, or refuse it with the line that is wrong.

        Parameters
        ----------
        path : str or path
            A TOML file, at most 1 MB.
        data : str or path, optional
            Folder of the data files, instead of the one that the plan names.

        Raises
        ------
        PlanError
            No such file; not valid TOML; an unknown key (the nearest is named), a wrong type; what
            contradicts itself: a start outside the window, a stop before the start, a pilot that
            is excluded, a metric that is primary and secondary. Data files are looked for when
            they are needed: by `design`, `freeze` and `didkit.evaluate`.
        """
        source = Path(path)
        top = read_toml(source)
        _check_version(top)
        title, question = top.text("title"), top.text("question")
        estimand = top.text("estimand")
        inference = parts.inferences(top.table("inference"))
        multiplicity = top.table("multiplicity")
        said = top.table("protocol")
        pilots = parts.pilots(top.table("pilots"))
        made = cls(
            title=title,
            question=question,
            estimand=estimand,
            data=parts.data_part(top.table("data")),
            pilots=pilots,
            comparators=parts.comparators(top.table("comparators")),
            window=parts.window(top.table("window")),
            metrics=parts.measures(top.table("metrics")),
            inference=inference,
            checks=parts.checks(top.table("checks"), inference.level, named="checks" in top.raw),
            sensitivity=parts.variants(top.tables("sensitivity"), pilots.starts),
            multiplicity=multiplicity.one_of("method", MULTIPLICITY, "none"),
            statements={key: said.text(key) for key in parts.PROTOCOL if said.has(key)},
            source=source,
            _file=top,
            _folder=None if data is None else Path(data),
        )
        for section in (multiplicity, said, top):
            section.close()
        _check_units(made)
        _check_periods(made)
        return made

    # -- looked at -------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Folder of the data files: as given to `read`, or the plan's, from where the plan lies."""
        if self._folder is not None:
            return self._folder
        return self.source.parent / self.data.folder

    @property
    def frozen_path(self) -> Path:
        """Where `freeze` writes: beside the plan."""
        return self.source.with_name(f"{self.source.stem}.frozen.toml")

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """Primary metrics, then secondary ones."""
        return (*self.metrics.primary, *self.metrics.secondary)

    def content(self) -> dict[str, Any]:
        """Return what is planned, key by key, defaults included.

        Order and comments of the file play no part, nor does the folder of the data: where files
        lie may change, what is in them may not.
        """
        method = self.inference.method
        nested: dict[str, Any] = {
            "didkit_plan": VERSION,
            "title": self.title,
            "question": self.question,
            "estimand": self.estimand,
            "data": {k: v for k, v in _plain(self.data).items() if k != "folder"},
            "pilots": _plain(self.pilots),
            "comparators": _plain(self.comparators),
            "window": _plain(self.window),
            "metrics": _plain(self.metrics),
            "inference": {
                "method": "recommended" if method is None else type(method).__name__,
                **({} if method is None else _plain(method)),
                **{k: v for k, v in _plain(self.inference).items() if k != "method"},
            },
            "checks": {type(one).__name__: _plain(one) or True for one in self.checks},
            "sensitivity": self.sensitivity,
            "multiplicity": {"method": self.multiplicity},
            "protocol": dict(self.statements),
        }
        return _flat(nested)

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        text = json.dumps(self.content(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def where(self, *keys: str | int) -> str:
        """Name file, line and key, for errors."""
        return self._file.where(*keys)

    def protocol(self) -> pd.DataFrame:
        """Return the protocol table before the run.

        Returns
        -------
        DataFrame
            ``item, planned, done``: every item that an evaluation protocol asks for; ``done`` is
            empty, and an item on which the plan is silent says "not planned".
        """
        from didkit.report.protocol import planned_table

        return planned_table(self)

    def __repr__(self) -> str:
        return (
            f"Plan({self.title!r}: {len(self.pilots.starts)} pilots, against "
            f"{self.comparators.against}; primary: {', '.join(self.metrics.primary)})"
        )

    # -- used ------------------------------------------------------------------------------

    def design(self) -> Design:
        """Read the data and make the design.

        Raises
        ------
        PlanError
            A file that is missing or is not what it was taken for; a pilot, unit, metric or
            period that the data do not hold; the line is named.
        """
        from didkit.report.plan_data import load

        return load(self).design

    def freeze(
        self,
        path: str | PathLike[str] | None = None,
        *,
        replace: bool = False,
        before_data: bool = False,
    ) -> Path:
        """Write the frozen plan: its content, the hashes of its data, and whom it resolves to.

        A frozen plan shows later changes; it does not prove when it was written. For that, send
        its ``seal`` to somebody else, or register it.

        Parameters
        ----------
        path : str or path, optional
            By default ``PLAN.frozen.toml`` beside the plan, where `didkit.evaluate` looks for it.
        replace : bool, default False
            Whether an earlier frozen plan may be replaced; date and digest of that one are kept.
        before_data : bool, default False
            Freeze the plan alone, because its data are not published yet.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        PlanError
            It is frozen already, or, unless `before_data`, its data cannot be read.
        """
        from didkit.report.plan_freeze import write_frozen

        target = self.frozen_path if path is None else Path(path)
        return write_frozen(self, target, replace=replace, before_data=before_data)

    def deviations(self) -> tuple[Deviation, ...]:
        """Compare with the frozen plan: keys, files, values, pilots, starts, comparators.

        Returns
        -------
        tuple of Deviation
            Empty if all is as it was frozen. A plan that was not frozen is one deviation.

        Raises
        ------
        PlanError
            If the data or the frozen plan cannot be read.
        """
        from didkit.report.plan_data import load
        from didkit.report.plan_freeze import compare

        return compare(self, load(self)).deviations

    def without_pilot(self, unit: object, *, reason: str = "left out as a pilot") -> Plan:
        """Return the plan of the other pilots; the one left out is no comparator either.

        Raises
        ------
        PlanError
            If the unit is not a pilot, or is the only one.
        """
        code = unit_id(unit)
        others = {u: start for u, start in self.pilots.starts.items() if u != code}
        if code not in self.pilots.starts or not others:
            raise PlanError(
                needed="one of several pilots",
                found=repr(unit),
                where="Plan.without_pilot",
                todo="choose from: " + ", ".join(self.pilots.starts),
            )
        stops = {u: stop for u, stop in self.pilots.stops.items() if u != code}
        left_out = {**self.comparators.exclude, code: reason}
        variants = tuple(
            replace(one, without=tuple(unit for unit in one.without if unit != code))
            for one in self.sensitivity
        )
        return replace(
            self,
            sensitivity=tuple(one for one in variants if one != parts.Variant(one.name)),
            pilots=replace(self.pilots, starts=others, stops=stops),
            comparators=replace(self.comparators, exclude=dict(sorted(left_out.items()))),
        )


# -- what contradicts itself -------------------------------------------------------------------


def _check_version(top: Section) -> None:
    found = top.raw.get("didkit_plan") if top.has("didkit_plan") else None
    if found != VERSION or isinstance(found, bool):
        raise top.error(
            *(("didkit_plan",) if found is not None else ()),
            needed=f"didkit_plan = {VERSION}, the version of the format",
            found="none" if found is None else repr(found),
            todo=f"write didkit_plan = {VERSION} as the first line"
            if found is None
            else "use the didkit that knows this version",
        )


def _check_units(plan: Plan) -> None:
    """Refuse a unit that is on two sides."""
    top, who = plan._file, plan.comparators
    for unit in plan.pilots.starts:
        if unit in who.exclude:
            raise top.error(
                "comparators",
                "exclude",
                unit,
                needed="comparators to leave out",
                found=f"{unit!r}, a pilot ({top.where('pilots', 'starts', unit)})",
                todo="take it out of one of the two",
            )
        if unit in who.units and not who.include_pilots:
            raise top.error(
                "comparators",
                "units",
                who.units.index(unit),
                needed="units that are no pilots",
                found=f"{unit!r}, a pilot",
                todo="take it out, or say include_pilots = true",
            )
    for unit in who.units:
        if unit in who.exclude:
            raise top.error(
                "comparators",
                "exclude",
                unit,
                needed="a unit either named or left out",
                found=f"{unit!r} is both",
                todo="take it out of one of the two",
            )
    for unit in plan.pilots.stops:
        if unit not in plan.pilots.starts:
            raise top.error(
                "pilots",
                "stops",
                unit,
                needed="a start for every pilot that stopped",
                found=f"{unit!r} has none",
                todo="add its start, or take the stop out",
            )


def _check_periods(plan: Plan) -> None:
    """Refuse periods that contradict each other, as far as can be told without the data."""
    top, window = plan._file, plan.window
    first, last = _year(window.first), _year(window.last)
    if first is not None and last is not None and first >= last:
        raise top.error(
            "window",
            "first",
            needed="a first period before the last",
            found=f"{window.first} and {window.last}",
            todo="swap them, or widen the window",
        )
    for unit, start in plan.pilots.starts.items():
        year = _year(start)
        keys = ("pilots", "starts", unit) if "starts" in top.raw["pilots"] else ("pilots", "start")
        if year is None:
            continue
        if (first is not None and year <= first) or (last is not None and year > last):
            raise top.error(
                *keys,
                needed=f"a start inside the window, with a period before it: after {window.first}, "
                f"not after {window.last}",
                found=f"{unit!r} starts in {start}",
                todo="widen [window], mend the start, or leave this pilot out",
            )
        stop = plan.pilots.stops.get(unit)
        stopped = None if stop is None else _year(stop)
        if stopped is not None and stopped <= year:
            raise top.error(
                "pilots",
                "stops",
                unit,
                needed="a stop after the start",
                found=f"{unit!r} starts in {start} and stops in {stop}",
                todo="mend the one that is wrong",
            )
    ends = [_year(one) for one in window.between]
    outside = [
        given
        for given, year in zip(window.between, ends, strict=True)
        if year is not None
        and ((first is not None and year < first) or (last is not None and year > last))
    ]
    if outside or (len(ends) == 2 and None not in ends and ends[0] >= ends[1]):  # type: ignore[operator]
        raise top.error(
            "window",
            "between",
            needed="two periods inside the window, the earlier one first",
            found=", ".join(window.between),
            todo="mend them",
        )
    for n, file in enumerate(plan.data.files):
        years = [_year(one) for one in file.periods]
        if len(years) == 2 and None not in years and years[0] > years[1]:  # type: ignore[operator]
            raise top.error(
                "data",
                "files",
                n,
                "periods",
                needed="a first period not after the last",
                found=", ".join(file.periods),
                todo="swap them",
            )


def _year(period: str) -> int | None:
    """Return the year that a period ends in; None for a label that is no year."""
    try:
        return int(Calendar.of([period], kind="reporting year").labels[0])
    except PanelError:
        return None


# -- the content -------------------------------------------------------------------------------


def _plain(part: Any) -> dict[str, Any]:
    """Return the fields of a frozen object, without those that say nothing."""
    found = {one.name: getattr(part, one.name) for one in dataclasses.fields(part)}
    return {name: value for name, value in found.items() if value not in ("", None, (), {})}


def _flat(value: Any, path: tuple[str | int, ...] = ()) -> dict[str, Any]:
    """Lay nested parts out as dotted keys; arrays of plain values stay arrays."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = _plain(value)
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for key in sorted(value, key=str):
            made.update(_flat(value[key], (*path, str(key))))
        return made
    if isinstance(value, tuple) and any(dataclasses.is_dataclass(one) for one in value):
        made = {}
        for n, one in enumerate(value):
            made.update(_flat(one, (*path, n)))
        return made
    return {dotted(path): list(value) if isinstance(value, tuple) else value}
