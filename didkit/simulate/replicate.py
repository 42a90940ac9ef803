"""Replications of a study: one seed after the other, or in several processes."""

from __future__ import annotations

import copyreg
import io
import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from didkit.design import Design
from didkit.errors import DidkitError, InferenceError, first_few, is_number
from didkit.inference import recommend
from didkit.progress import steps
from didkit.results import Estimate, Estimator, Inference
from didkit.results.asking import check_attached
from didkit.simulate.filled import Drawn, Process

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

__all__ = ["Row", "Task", "replications"]

_CHUNKS = 16  #: a process, so that progress is seen
_LARGEST = 50  #: seeds in a chunk


class Row(NamedTuple):
    """One seed, method and term."""

    seed: int
    method: str
    term: str
    truth: float
    estimate: float
    p_value: float
    conf_low: float
    conf_high: float
    inference: str
    reason: str


@dataclass(frozen=True)
class Task:
    """What is done with every seed; handed to each process once."""

    estimator: Estimator
    inferences: Mapping[str, Inference | None]
    process: Process
    level: float
    terms: tuple[str, ...] | None
    draws: int | None

    def run(self, seed: int) -> list[Row]:
        """Draw, fit once, and attach every inference; what is refused is a row with its reason."""
        drawn = self._drawn(seed)
        try:
            estimate = self.estimator.fit(drawn.design, drawn.metric)
        except DidkitError as error:
            return [_refused(seed, name, "", np.nan, np.nan, error) for name in self.inferences]
        truths = self._truths(drawn, estimate)
        rows = []
        for name, inference in self.inferences.items():
            rows += self._attached(seed, name, inference, estimate, truths)
        return rows

    def _drawn(self, seed: int) -> Drawn:
        """Draw, and refuse what is no draw: that is the process's mistake, and no refusal."""
        drawn: object = self.process.draw(seed)
        good = isinstance(drawn, Drawn) and isinstance(drawn.design, Design)
        if not isinstance(drawn, Drawn) or not good:
            what = f"Drawn({type(drawn.design).__name__}, …)" if isinstance(drawn, Drawn) else ""
            raise InferenceError(
                needed="a process whose draw(seed) returns Drawn(design, metric, truth)",
                found=what or f"{type(drawn).__name__}: {drawn!r}"[:80],
                where=f"study(process=): {type(self.process).__name__}.draw({seed})",
                todo="return didkit.simulate.Drawn(design, 'name of a metric', 0.0)",
            )
        drawn.design.panel.metric(drawn.metric)  # an unknown one is refused here, by the panel
        truths = drawn.truth.values() if isinstance(drawn.truth, Mapping) else (drawn.truth,)
        wrong = [one for one in truths if not is_number(one) or not np.isfinite(one)]
        if wrong:
            raise InferenceError(
                needed="the true effect: a finite number, or a mapping of term to number",
                found=first_few(map(repr, wrong)),
                where=f"study(process=): {type(self.process).__name__}.draw({seed})",
                todo="return Drawn(design, metric, 0.0) where the effect is zero",
            )
        return drawn

    def _truths(self, drawn: Drawn, estimate: Estimate) -> dict[str, float]:
        """Return the true effect of each term that is looked at."""
        truth = drawn.truth
        if isinstance(truth, Mapping):
            names = tuple(truth) if self.terms is None else self.terms
            unknown = [name for name in names if name not in truth]
            if unknown:
                raise InferenceError(
                    needed="the true effect of every term that is looked at",
                    found=f"none for {first_few(unknown)}",
                    where="study(terms=)",
                    todo="choose from " + ", ".join(truth) + ", or let the process tell it",
                )
            made = {name: float(truth[name]) for name in names}
        else:
            names = (estimate.main_term,) if self.terms is None else self.terms
            made = dict.fromkeys(names, float(truth))
        for name in made:
            estimate.place_of(name, where="study(terms=)")
        return made

    def _attached(
        self,
        seed: int,
        name: str,
        given: Inference | None,
        estimate: Estimate,
        truths: Mapping[str, float],
    ) -> list[Row]:
        at = {term: estimate.place_of(term, where="study") for term in truths}
        try:
            chosen = recommend(estimate).inference if given is None else given
            own = _own(chosen, seed, self.draws)
            made = own.attach(estimate, level=self.level)
        except DidkitError as error:
            return [
                _refused(seed, name, term, truth, float(estimate.values[at[term]]), error)
                for term, truth in truths.items()
            ]
        sure = check_attached(own, estimate, made).attached
        used = type(chosen).__name__
        return [
            Row(
                seed,
                name,
                term,
                truth,
                float(estimate.values[at[term]]),
                float(sure.p_value[at[term]]),
                float(sure.conf_low[at[term]]),
                float(sure.conf_high[at[term]]),
                used,
                "" if np.isfinite(sure.p_value[at[term]]) else f"no p-value for {term}",
            )
            for term, truth in truths.items()
        ]


def _own(inference: Inference, seed: int, draws: int | None) -> Inference:
    """Return the inference with random numbers of its own for this replication."""
    given: Any = inference
    names = {one.name for one in fields(given)} if is_dataclass(given) else set[str]()
    other: dict[str, Any] = {}
    if "seed" in names:
        mixed = np.random.SeedSequence([int(given.seed), seed])
        other["seed"] = int(mixed.generate_state(1)[0])
    if draws is not None and "draws" in names:
        other["draws"] = draws
    made: Inference = replace(given, **other) if other else given
    return made


def _refused(
    seed: int, method: str, term: str, truth: float, estimate: float, error: DidkitError
) -> Row:
    nan = float("nan")
    why = f"needs {error.needed}"
    return Row(seed, method, term, truth, estimate, nan, nan, nan, "", why)


def replications(task: Task, seeds: Sequence[int], jobs: int) -> list[Row]:
    """Run the task for every seed; rows in the order of the seeds, whatever `jobs` is.

    Raises
    ------
    InferenceError
        If what is to be run cannot be handed to other processes.
    """
    if jobs == 1 or len(seeds) < 2:
        return [row for seed in steps(seeds, "simulating") for row in task.run(seed)]
    return [row for part in _parallel(task, seeds, jobs) for row in part]


def _parallel(task: Task, seeds: Sequence[int], jobs: int) -> Iterator[list[Row]]:
    """Yield the rows of chunks of seeds, in order."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    try:
        packed = _packed(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _not_handed(str(error)) from error
    size = min(_LARGEST, max(1, -(-len(seeds) // (jobs * _CHUNKS))))
    parts = [tuple(seeds[i : i + size]) for i in range(0, len(seeds), size)]
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(jobs, len(parts)),
        mp_context=context,
        initializer=_begin,
        initargs=(packed, stop),
    )
    try:
        waiting = [pool.submit(_chunk, part) for part in parts]
        for future in steps(waiting, "simulating", total=len(parts)):
            yield future.result()
    except BrokenProcessPool as error:
        raise _not_handed("a process ended as it began") from error
    finally:  # also when interrupted: seeds that have not begun never do
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
    _Pickler(made).dump(task)
    return made.getvalue()


_AT_WORK: list[tuple[Task, Event]] = []  #: in a process that was begun: its task, and when to stop


def _begin(packed: bytes, stop: Event) -> None:
    """Begin a process: an interruption is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = pickle.loads(packed)  # noqa: S301, made by the process that began this one
    _AT_WORK[:] = [(task, stop)]


def _chunk(seeds: tuple[int, ...]) -> list[Row]:
    """Run some seeds in a process that has begun, until it is told to stop."""
    ((task, stop),) = _AT_WORK
    return [row for seed in seeds if not stop.is_set() for row in task.run(seed)]


def _not_handed(found: str) -> InferenceError:
    return InferenceError(
        needed="an estimator, inferences and a process that other processes can import",
        found=found,
        where="study(jobs=)",
        todo="use jobs=1, or put your class into a module; a script needs "
        "`if __name__ == '__main__':` around the call",
    )
