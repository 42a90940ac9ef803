"""The plan: what an evaluator writes down before seeing the data, and what is then run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from didkit.check import SpecificationCurve
from didkit.errors import PlanError
from didkit.panel import unit_id
from didkit.report import plan_parts as parts
from didkit.report.multiplicity import JOINT, MULTIPLICITY
from didkit.report.plan_comparators import Comparators, comparators
from didkit.report.plan_content import digest_of, flat, plain
from didkit.report.plan_file import Section, path_of, read_toml, there
from didkit.report.plan_inference import JOINTLY
from didkit.report.plan_power import PowerPart, power
from didkit.report.plan_sound import design_problems, file_problems, period_problems, unit_problems
from didkit.report.plan_specifications import (
    Specifications,
    specification_problems,
    specifications,
)
from didkit.results import Check

if TYPE_CHECKING:
    import pandas as pd

    from didkit.design import Design
    from didkit.report.record import Deviation

__all__ = ["VERSION", "Plan"]

VERSION = 1  #: of the format: the key ``didkit_plan``


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
    multiplicity : {"none", "holm", "benjamini-hochberg", "romano-wolf", "max-t"}
        How p-values are adjusted, inside the primary metrics and inside the secondary ones.
    statements : mapping of str to str
        What the plan says in words about items of the protocol.
    source : Path
        The plan's file.
    power : PowerPart
        What could be found, from what is assumed before the data.
    specifications : Specifications
        Choices to cross in a specification curve; empty: none is made.

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
    comparators: Comparators
    window: parts.Window
    metrics: parts.Measures
    inference: parts.Inferences
    checks: tuple[Check, ...]
    sensitivity: tuple[parts.Variant, ...]
    multiplicity: str
    statements: Mapping[str, str]
    source: Path
    power: PowerPart
    specifications: Specifications
    _file: Section = field(repr=False)
    _folder: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.multiplicity not in MULTIPLICITY:
            raise PlanError(
                needed=f"one of: {', '.join(MULTIPLICITY)}",
                found=repr(self.multiplicity),
                where="Plan(multiplicity=)",
                todo="choose one of them",
            )

    # -- read ------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | PathLike[str], *, data: str | PathLike[str] | None = None) -> Plan:
        """Read a plan, or refuse it with every line that is wrong.

        Parameters
        ----------
        path : str or path
            A TOML file, its name ending in ``.toml``, at most 1 MB.
        data : str or path, optional
            Folder of the data files, instead of the one that the plan names.

        Raises
        ------
        PlanError
            No such file; not valid TOML; an unknown key (the nearest is named), a wrong type; what
            contradicts itself: a start outside the window, a stop before the start, a pilot that
            is excluded, a metric that is primary and secondary. Mistakes that do not hang
            together are told of in one error, the first ten with their lines. Data files are
            looked for when they are needed: by `design`, `freeze` and `didkit.evaluate`.
        """
        source = path_of(path, where="Plan.read")
        folder = None if data is None else path_of(data, where="Plan.read(data=)")
        _refuse_other_names(source)
        top = read_toml(source)
        _check_version(top)
        title, question = top.text("title"), top.text("question")
        estimand = top.text("estimand")
        multiplicity, said = top.table("multiplicity"), top.table("protocol")
        with top.gathered():
            data_part = parts.data_part(top.table("data"))
        marked = False
        with top.gathered():
            pilots = parts.pilots(top.table("pilots"))
            marked = bool(pilots.contaminated)
            sensitivity = parts.variants(top.tables("sensitivity"), pilots.starts)
        with top.gathered():
            against = comparators(top.table("comparators"))
        with top.gathered():
            window = parts.window(top.table("window"))
        with top.gathered():
            metrics = parts.measures(top.table("metrics"))
        inference = parts.Inferences()
        with top.gathered():
            inference = parts.inferences(top.table("inference"))
        with top.gathered():
            checks = parts.checks(
                top.table("checks"), inference.level, named="checks" in top.raw, marked=marked
            )
        with top.gathered():
            expected = power(top.table("power"))
        curve = Specifications()
        with top.gathered():
            crossed = "specifications" in top.raw
            curve = specifications(top.table("specifications"), named=crossed)
        method = multiplicity.one_of("method", MULTIPLICITY, "none")
        statements = {key: said.text(key) for key in parts.PROTOCOL if said.has(key)}
        top.has("sensitivity")  # not asked for where the pilots are wrong
        for section in (multiplicity, said, top):
            section.close()
        top.settle()
        made = cls(
            title=title,
            question=question,
            estimand=estimand,
            data=data_part,
            pilots=pilots,
            comparators=against,
            window=window,
            metrics=metrics,
            inference=inference,
            checks=checks,
            sensitivity=sensitivity,
            multiplicity=method,
            statements=statements,
            source=source,
            power=expected,
            specifications=curve,
            _file=top,
            _folder=folder,
        )
        for problems in (
            file_problems(made),
            unit_problems(made),
            period_problems(made),
            design_problems(made),
            specification_problems(made),
            _joint_problems(made),
        ):
            top.problems.extend(problems)
        top.settle()
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
        lie may change, what is in them may not. Data files are known by their paths, rates by
        their metrics and alternatives by their names: ``sensitivity['short window'].first``.
        """
        method = self.inference.method
        nested: dict[str, Any] = {
            "didkit_plan": VERSION,
            "title": self.title,
            "question": self.question,
            "estimand": self.estimand,
            "data": {k: v for k, v in plain(self.data).items() if k != "folder"},
            "pilots": plain(self.pilots),
            "comparators": plain(self.comparators),
            "window": plain(self.window),
            "metrics": plain(self.metrics),
            "inference": {
                "method": "recommended" if method is None else type(method).__name__,
                **({} if method is None else plain(method)),
                **{k: v for k, v in plain(self.inference).items() if k != "method"},
            },
            "checks": {type(one).__name__: plain(one) or True for one in self.checks},
            "sensitivity": self.sensitivity,
            "multiplicity": {"method": self.multiplicity},
            "power": plain(self.power) if self.power else {},
            "specifications": plain(self.specifications) if self.specifications else {},
            "protocol": dict(self.statements),
        }
        return flat(nested)

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return digest_of(self.content())

    def where(self, *keys: str | int) -> str:
        """Name file, line and key, for errors."""
        return self._file.where(*keys)

    def keys_of(self, pilot: str) -> tuple[str | int, ...]:
        """Return the keys below which the file names a pilot, for `where`."""
        if pilot in self._listed:
            return ("pilots", "units", self._listed[pilot])
        return ("pilots", "starts", pilot)

    @cached_property
    def _listed(self) -> dict[str, int]:
        """Where each pilot stands in ``units`` of ``[pilots]``."""
        units = self._file.raw["pilots"].get("units", ())
        return {unit_id(one): n for n, one in enumerate(units)}

    @property
    def named_checks(self) -> frozenset[str]:
        """Checks that the plan names: without ``[checks]`` none, though all are run."""
        usual = parts.all_checks(self.inference.level, marked=bool(self.pilots.contaminated))
        curve = frozenset({SpecificationCurve.__name__} if self.specifications else ())
        if "checks" in self._file.raw or self.checks != usual:
            return curve | {type(one).__name__ for one in self.checks}
        return curve

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
            Freeze the plan alone, because its data are not published yet: files, values and
            units are then never compared, and every run says so.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        PlanError
            It is frozen already; `path` is the plan, or with `replace` a file that is no frozen
            plan; or, unless `before_data`, its data cannot be read.
        """
        from didkit.report.plan_freeze import write_frozen

        target = self.frozen_path if path is None else path_of(path, where="Plan.freeze")
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
            specifications=self.specifications.without_pilot(code),
            pilots=replace(self.pilots, starts=others, stops=stops),
            comparators=replace(self.comparators, exclude=dict(sorted(left_out.items()))),
        )


def _refuse_other_names(source: Path) -> None:
    """Refuse a file that is no .toml: two plans must not share one frozen plan."""
    if source.suffix != ".toml" and there(source) and source.is_file():
        raise PlanError(
            needed="a plan: a file whose name ends in .toml",
            found=source.name,
            where=str(source.parent),
            todo=f"name the plan, or rename it to {source.stem}.toml",
        )


def _check_version(top: Section) -> None:
    if "didkit_frozen" in top.raw:
        raise top.error(
            needed="a plan",
            found="a frozen plan, which is compared with and not run",
            todo="name the plan that it was written from: it lies beside it",
        )
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


def _joint_problems(plan: Plan) -> Iterator[PlanError]:
    """Find p-values to be adjusted from joint draws by a method that has none."""
    method = plan.inference.method
    if plan.multiplicity in JOINT and method is not None and type(method) not in JOINTLY.values():
        named = next(name for name, kind in parts.METHODS.items() if kind is type(method))
        yield plan._file.error(
            "multiplicity",
            "method",
            needed=f"with {plan.multiplicity}, an inference that draws for all metrics together: "
            f"{', '.join(JOINTLY)} or recommended",
            found=f"method = {json.dumps(named)} ({plan.where('inference', 'method')})",
            todo='write method = "holm" or "benjamini-hochberg" here, or another method there',
        )
