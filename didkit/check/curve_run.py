"""Specifications fitted one after the other, or in several processes."""

from __future__ import annotations

import copyreg
import io
import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from didkit.check.choices_crossed import OWN, Choices
from didkit.check.curve_joint import Traded
from didkit.design import Design, Rollout, Sample
from didkit.errors import DesignError, EstimationError, InferenceError, PanelError, first_few
from didkit.progress import steps
from didkit.results import Estimate, Estimator, Inference, Uncertainty

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

__all__ = ["Fitted", "Inferred", "Task", "fits", "inferred", "main_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Names = Mapping[str, str]

FORM_UNITS = {"log": "log points", "rank": "percentile points"}
_CHUNKS = 16  #: a process, so that progress is seen
_LARGEST = 50  #: fits in a chunk
_SAME = 1e-8  #: relative difference up to which weights give the estimate


class Inferred(NamedTuple):
    """One inference of a fit: its name among the choices, its numbers, and why there are none."""

    name: str
    std_error: float
    p_value: float
    conf_low: float
    conf_high: float
    method: str
    note: str


@dataclass(frozen=True, eq=False)
class Fitted:
    """One specification but for its inference: the number, what it is made of, and its draws.

    ``weights``: those of its cells in the panel's order, flat, or None where the estimate is not
    linear in the outcome. ``values, statistic``: in every order of the units, or None.
    """

    names: Names
    estimate: float = np.nan
    n_pilots: int = 0
    n_comparators: int = 0
    estimator: str = ""
    refused: str = ""
    inferred: tuple[Inferred, ...] = ()
    weights: Floats | None = None
    values: Floats | None = None
    statistic: Floats | None = None
    studentised: bool = False


@dataclass(frozen=True, eq=False)
class Task:
    """How every specification is fitted; handed to each process once.

    Parameters
    ----------
    design, estimator, metric, inference, level
        Of the estimate as it is; `inference` None for a bare one.
    draws : int
        Most draws of an inference that draws.
    choices : mapping
        Kind → name → choice.
    cells : mapping of (metric, form) to array or str
        The panel's values in that form, NaN where no specification looks; or why there are none.
    traded : Traded, optional
        Who trades places; None for no permutation.
    """

    design: Design
    estimator: Estimator
    metric: str
    inference: Inference | None
    level: float
    draws: int
    choices: Choices
    cells: Mapping[tuple[str, str], Floats | str]
    traded: Traded | None
    _ready: dict[object, Any] = field(default_factory=dict, repr=False)

    def choice(self, kind: str, names: Names, own: Any) -> Any:
        """Return what a name stands for."""
        name = names.get(kind, OWN)
        return own if name == OWN else self.choices[kind][name]

    def outcome(self, names: Names) -> tuple[str, str]:
        """Return the metric and the form of a specification."""
        metric = self.choice("metrics", names, self.metric)
        return str(metric), str(self.choice("forms", names, "level"))

    def base(self, names: Names) -> Design:
        """Return the design with its pilots and comparators, over the whole window.

        Raises
        ------
        DesignError
            If there is no such design.
        """
        key = names.get("pilots", OWN), names.get("comparators", OWN)
        if self._ready.get("base") != key:
            design = with_pilots(self.design, self.choice("pilots", names, None))
            against = self.choice("comparators", names, None)
            design = design if against is None else design.compared_with(against)
            self._ready.update(base=key, made=design)
        made: Design = self._ready["made"]
        return made

    def design_of(self, names: Names, cells: Floats | None = None) -> Design:
        """Return the design of a specification, on other cells where they are given.

        Raises
        ------
        DesignError, PanelError
            If there is no such design.
        """
        design = self.base(names)
        window = self.choice("windows", names, None)
        design = design if window is None else design.within(*window)
        metric, form = self.outcome(names)
        if form == "level" and cells is None:
            return design
        held = self.cells[metric, form] if cells is None else cells
        if isinstance(held, str):
            raise EstimationError(
                needed="values in this form", found=held, where=metric, todo="use level or rank"
            )
        kind = design.panel.metric(metric)
        if form != "level":
            kind = replace(kind, kind="value", unit=FORM_UNITS[form], decimals=None)
        return design.on_panel(design.panel.refilled(kind, held))

    def estimator_of(self, names: Names) -> Estimator:
        """Return the estimator of a specification.

        Raises
        ------
        EstimationError
            If it has no such policy of cells.
        """
        estimator: Any = self.choice("estimators", names, self.estimator)
        cells = self.choice("cells", names, None)
        if cells is None:
            return estimator  # type: ignore[no-any-return]
        has = {one.name for one in fields(estimator)} if is_dataclass(estimator) else set[str]()
        if "cells" not in has:
            raise EstimationError(
                needed="an estimator with cells=",
                found=f"{type(estimator).__name__} has none",
                where=f"cells={cells!r}",
                todo="leave it out of the choices",
            )
        made: Estimator = replace(estimator, cells=cells)
        return made

    def fit(self, names: Names) -> Fitted:
        """Fit one specification; what is refused says why."""
        try:
            design = self.design_of(names)
            estimate = self.estimator_of(names).fit(design, self.outcome(names)[0])
            m = main_of(estimate)
            self._check_unit(estimate, names)
        except (DesignError, EstimationError, PanelError) as error:
            return Fitted(names, refused=f"{error.found}; {error.needed} needed")
        row = estimate.terms.iloc[m]
        made = Fitted(
            names,
            estimate=float(estimate.values[m]),
            n_pilots=int(row["n_pilots"]),
            n_comparators=int(row["n_comparators"]),
            estimator=type(estimate.estimator).__name__,
            inferred=tuple(self._infer(estimate, m, n) for n in (OWN, *self._others())),
        )
        return self._drawn(made, estimate, m)

    def unit(self, outcome: tuple[str, str]) -> str:
        """Return the unit of a metric in a form."""
        metric, form = outcome
        return FORM_UNITS.get(form) or self.design.panel.metric(metric).unit

    def _check_unit(self, estimate: Estimate, names: Names) -> None:
        wanted = self.unit(self.outcome(names))
        if estimate.metric.unit != wanted:
            raise EstimationError(
                needed=f"an estimate in the unit of the others ({wanted or 'the metric’s own'})",
                found=f"{type(estimate.estimator).__name__} in {estimate.metric.unit or 'none'}",
                where="SpecificationCurve",
                todo="leave this estimator out of the choices",
            )

    def _others(self) -> tuple[str, ...]:
        return tuple(self.choices.get("inferences", ()))

    def _infer(self, estimate: Estimate, m: int, name: str) -> Inferred:
        given: Any = self.inference if name == OWN else self.choices["inferences"][name]
        nan = float("nan")
        if given is None:
            return Inferred(name, nan, nan, nan, nan, "", "")
        many, less = getattr(given, "draws", 0), given
        if is_dataclass(given) and isinstance(many, int) and many > self.draws:
            given = replace(less, draws=self.draws)
        try:
            sure = estimate.infer(given, level=self.level).attached
        except InferenceError as error:
            return Inferred(name, nan, nan, nan, nan, "", f"no interval: {error.found}")
        return inferred(sure, m, name)

    def _drawn(self, made: Fitted, estimate: Estimate, m: int) -> Fitted:
        """Add the weights, and the estimate in every order of the units."""
        sample = estimate.sample
        if estimate.weights is None:
            return made
        weights = estimate.weights[m]
        known = np.where(weights != 0, weights * sample.y, 0.0)
        if not abs(known.sum() - made.estimate) <= _SAME * np.abs(known).sum():
            return made
        ids, periods = self._places()
        rows, columns = rows_of(ids, sample.units), rows_of(periods, sample.periods)
        laid = np.zeros((len(ids), len(periods)))
        laid[np.ix_(rows, columns)] = weights
        if self.traded is None:
            return replace(made, weights=laid.ravel())
        held = self.cells[self.outcome(made.names)]
        if isinstance(held, str):  # refused before
            return made
        trading = rows_of(ids, self.traded.units)
        inside = two_way(sample, weights)
        values, statistic = self.traded.estimates(
            weights, sample.units, sample.y, held[np.ix_(trading, columns)], inside
        )
        return replace(
            made,
            weights=laid.ravel(),
            values=values,
            statistic=statistic,
            studentised=inside is not None,
        )

    def _places(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return the places of the panel's units and periods."""
        if "places" not in self._ready:
            panel = self.design.panel
            self._ready["places"] = tuple(
                {label: i for i, label in enumerate(labels)}
                for labels in (panel.unit_ids, panel.periods)
            )
        made: tuple[Mapping[str, int], Mapping[str, int]] = self._ready["places"]
        return made

    def refitted(self, names: Names, order: Ints) -> float:
        """Return the estimate after the units have traded places; NaN where there is none."""
        held = self.cells[self.outcome(names)]
        if self.traded is None or isinstance(held, str):
            return float("nan")
        trading = rows_of(self._places()[0], self.traded.units)
        moved = held.copy()
        moved[trading] = held[trading[order]]
        try:
            design = self.design_of(names, moved)
            estimate = self.estimator_of(names).fit(design, self.outcome(names)[0])
            return float(estimate.values[main_of(estimate)])
        except (DesignError, EstimationError):
            return float("nan")


def inferred(sure: Uncertainty, m: int, name: str) -> Inferred:
    """Return the numbers of one term."""
    ends = float(sure.conf_low[m]), float(sure.conf_high[m])
    return Inferred(name, float(sure.std_error[m]), float(sure.p_value[m]), *ends, sure.method, "")


def main_of(estimate: Estimate) -> int:
    """Return the place of the one term that an estimate is about.

    Raises
    ------
    EstimationError
        If there are several from the start on, none of them the change.
    """
    names, phases = estimate.terms["term"].tolist(), estimate.terms["phase"].tolist()
    after = [name for name, phase in zip(names, phases, strict=True) if phase == "after"]
    if len(after) > 1 and "change" not in names:
        raise EstimationError(
            needed="one estimate from the start on",
            found=f"{type(estimate.estimator).__name__} has {first_few(after)}",
            where="SpecificationCurve",
            todo="use DiD() or GroupTime(), which average them",
        )
    if "change" in names:
        return names.index("change")
    return names.index(after[0]) if after else 0


def with_pilots(design: Design, choice: Any) -> Design:
    """Return the design with pilots left out, or with another rollout.

    Who is no pilot any more serves as comparator of nobody.
    """
    if choice is None:
        return design
    if not isinstance(choice, Rollout):
        for unit in choice:
            design = design.without_pilot(unit)
        return design
    before = design.pilots
    design = design.reassign(choice)
    for unit in before:
        if unit in design.comparators and unit not in design.pilots:
            design = design.drop(unit)
    return design


def rows_of(ids: Sequence[str] | Mapping[str, int], units: Sequence[str]) -> Ints:
    """Return the places of units, or periods, among all."""
    place = ids if isinstance(ids, Mapping) else {unit: i for i, unit in enumerate(ids)}
    return np.array([place[unit] for unit in units], dtype=np.intp)


def two_way(sample: Sample, weights: Floats) -> Floats | None:
    """Return the regressor without unit and period means, if the weights are that regression's."""
    if sample.sets is not None or sample.n_pilots < 2 or not sample.mask.all():
        return None
    d: Floats = sample.treated.astype(np.float64)
    d = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
    size = float((d**2).sum())
    if size <= 0 or not np.allclose(weights, d / size, rtol=_SAME, atol=_SAME / size):
        return None
    return d


# -- one after the other, or in several processes ------------------------------------------------


def fits(task: Task, groups: Sequence[Names], jobs: int) -> list[Fitted]:
    """Fit every specification, in order, whatever `jobs` is.

    Raises
    ------
    InferenceError
        If what is to be run cannot be handed to other processes.
    """
    if jobs == 1 or len(groups) < 2:
        return [task.fit(names) for names in steps(groups, "fitting specifications")]
    return [one for part in _parallel(task, groups, jobs) for one in part]


def _parallel(task: Task, groups: Sequence[Names], jobs: int) -> Iterator[list[Fitted]]:
    """Yield chunks of fits, in order."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    try:
        packed = _packed(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _not_handed(str(error)) from error
    size = min(_LARGEST, max(1, -(-len(groups) // (jobs * _CHUNKS))))
    parts = [tuple(groups[i : i + size]) for i in range(0, len(groups), size)]
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(jobs, len(parts)), mp_context=context, initializer=_begin, initargs=(packed, stop)
    )
    try:
        waiting = [pool.submit(_chunk, part) for part in parts]
        for future in steps(waiting, "fitting specifications", total=len(parts)):
            yield future.result()
    except BrokenProcessPool as error:
        raise _not_handed("a process ended as it began") from error
    finally:  # also when interrupted: what has not begun never does
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _Pickler(pickle.Pickler):
    """A pickler that takes the read-only mappings of a design too."""

    dispatch_table = {**copyreg.dispatch_table, MappingProxyType: lambda m: (_proxy, (dict(m),))}  # noqa: RUF012


def _proxy(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def _packed(task: Task) -> bytes:
    """Pickle a task."""
    made = io.BytesIO()
    _Pickler(made).dump(replace(task, _ready={}))
    return made.getvalue()


_AT_WORK: list[tuple[Task, Event]] = []  #: in a process that was begun: its task, and when to stop


def _begin(packed: bytes, stop: Event) -> None:
    """Begin a process: an interruption is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = pickle.loads(packed)  # noqa: S301, made by the process that began this one
    _AT_WORK[:] = [(task, stop)]


def _chunk(groups: tuple[Names, ...]) -> list[Fitted]:
    """Fit some specifications in a process that has begun, until it is told to stop."""
    ((task, stop),) = _AT_WORK
    return [task.fit(names) for names in groups if not stop.is_set()]


def _not_handed(found: str) -> InferenceError:
    return InferenceError(
        needed="estimators, inferences and comparators that other processes can import",
        found=found,
        where="SpecificationCurve(jobs=)",
        todo="use jobs=1, or put your class into a module; a script needs "
        "`if __name__ == '__main__':` around the call",
    )
