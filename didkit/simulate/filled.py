"""A design whose cells are filled anew in every replication: what a process hands to a study."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, MatchedSets, Pool, Rollout, Sample
from didkit.errors import DesignError, is_whole
from didkit.panel import Calendar, Cells, Metric, Panel, Source, Status

__all__ = [
    "Drawn",
    "Filled",
    "Process",
    "check_design",
    "check_seed",
    "filled",
    "laid_out",
    "rows_of_pilots",
]

Floats = NDArray[np.float64]

OUTCOME = Metric(name="outcome", label="Outcome", denominator="size")
SIZE = Metric(name="size", label="Size", kind="count")
_SETS_SEED = 0  #: of the sets that share comparators: part of the design, not of the noise


@dataclass(frozen=True, eq=False)
class Drawn:
    """One draw of a process: data, and the answer.

    Parameters
    ----------
    design : Design
        With a panel of drawn cells.
    metric : str
        Which metric of its panel.
    truth : float or mapping of term to float
        The true effect, in the metric's unit: one number for every term looked at, or one a term.

    Examples
    --------
    >>> from didkit.simulate import LongDifferences
    >>> LongDifferences(pilots=2, comparators=8, effect=1.5).draw(seed=1).truth
    1.5
    """

    design: Design
    metric: str
    truth: float | Mapping[str, float] = 0.0


@runtime_checkable
class Process(Protocol):
    """What `study` draws from: anything with this one method. Write your own.

    To be run in several processes it must be importable and picklable: a class in a module, not in
    a notebook.
    """

    def draw(self, seed: int) -> Drawn:
        """Return data and the true effect; the same seed gives the same data."""
        ...


class Filled(Design):
    """A design that remembers how its one metric is laid out, so that it is laid out once."""

    _ready: Sample | None = None

    @classmethod
    def like(cls, design: Design) -> Filled:
        """Return the design as one of this kind, comparators as they are."""
        made = cls.__new__(cls)
        made._make(replace(design._spec, fixed=design._comparison))
        return made

    def sample(
        self,
        metric: str | Metric,
        *,
        covariates: Sequence[str] = (),
        sampling: str | None = None,
        population: str | None = None,
    ) -> Sample:
        """Lay one metric out for an estimator; with nothing beside it, as it lies ready."""
        name = metric.name if isinstance(metric, Metric) else metric
        alone = not covariates and sampling is None and population is None
        if self._ready is not None and self._ready.metric.name == name and alone:
            return self._ready
        return super().sample(
            metric, covariates=covariates, sampling=sampling, population=population
        )


def check_design(design: object, metric: object, where: str) -> None:
    """Refuse what is no design and no metric, in this order.

    Raises
    ------
    DesignError
        If one of them is none.
    """
    if isinstance(design, Design) and isinstance(metric, (str, Metric)):
        return
    raise DesignError(
        needed="a design, then the name of a metric of its panel",
        found=f"{type(design).__name__}, then {type(metric).__name__}",
        where=where,
        todo=f"write {where}(design, 'cpp')",
    )


def check_seed(seed: int, where: str) -> None:
    """Refuse a seed that is none.

    Raises
    ------
    DesignError
        If it is not a whole number of 0 or more.
    """
    if not is_whole(seed) or seed < 0:
        raise DesignError(
            needed="a whole number of 0 or more as seed",
            found=repr(seed),
            where=where,
            todo="1, 2, 3, … are usual",
        )


def filled(
    design: Filled, metric: Metric, values: Floats, sample: Sample, *, sizes: Floats | None = None
) -> Design:
    """Return the design with other numbers in the cells of one metric, quickly.

    Parameters
    ----------
    design : Design
        Comparators stay as they are.
    metric : Metric
        One of the panel's, by name.
    values : array (J, T)
        Units × periods of the panel; NaN exactly where the metric has no value now.
    sample : Sample
        ``design.sample(metric)``: all of it but the numbers is used again.
    sizes : array (J,), optional
        New sizes of the units, constant over periods, where the panel has the metric "size".
    """
    panel = design.panel.refilled(metric, values)
    place = {unit: i for i, unit in enumerate(panel.unit_ids)}
    at = np.array([place[unit] for unit in sample.units], dtype=np.intp)
    first = panel.calendar.position(design.periods[0])
    y = values[at, first : first + len(design.periods)]
    y = np.where(sample.mask, y, np.nan)
    exposure = sample.exposure
    if sizes is not None:
        panel = panel.refilled(SIZE, np.repeat(sizes[:, None], len(panel.periods), axis=1))
        exposure = np.repeat(sizes[at, None], len(design.periods), axis=1)
    made = copy.copy(design)
    made._spec = replace(design._spec, panel=panel)
    made._ready = replace(
        sample, metric=panel.metric(metric), y=y, lower=y, upper=y, exposure=exposure
    )
    return made


def rows_of_pilots(pilots: int, units: int) -> NDArray[np.intp]:
    """Rows of the pilots among all units: spread out, so that order cannot stand for arm."""
    return (np.arange(pilots) * units // pilots + units // (2 * pilots)).astype(np.intp)


@lru_cache(maxsize=64)
def laid_out(
    pilots: int,
    comparators: int,
    periods: int,
    starts: tuple[int, ...],
    sets: int | None = None,
    shared: bool = False,
) -> tuple[Filled, Sample]:
    """Make a design with empty cells, once for all replications.

    Parameters
    ----------
    pilots, comparators, periods : int
        How many.
    starts : tuple of int
        Position of each pilot's start.
    sets : int, optional
        Comparators of each pilot; by default all are compared with one pool.
    shared : bool
        Whether a comparator may stand in several sets.
    """
    n = pilots + comparators
    units = [f"unit {i + 1:05d}" for i in range(n)]
    at = rows_of_pilots(pilots, n)
    others = [unit for i, unit in enumerate(units) if i not in set(at.tolist())]
    zero = np.zeros((n, periods))
    status = np.full(zero.shape, Status.OBSERVED, dtype=np.int8)
    panel = Panel(
        units=pd.DataFrame({"name": units}, index=pd.Index(units, name="unit")),
        calendar=Calendar(tuple(f"period {t + 1}" for t in range(periods)), "declared"),
        metrics={OUTCOME.name: OUTCOME, SIZE.name: SIZE},
        cells={
            OUTCOME.name: Cells(zero, status, zero, zero),
            SIZE.name: Cells(zero + 1, status, zero + 1, zero + 1),
        },
        sources={name: (Source("simulated"),) for name in (OUTCOME.name, SIZE.name)},
        identity="any",
    )
    rollout = Rollout(
        {units[i]: f"period {start + 1}" for i, start in zip(at, starts, strict=True)}
    )
    against = Pool() if sets is None else _sets([units[i] for i in at], others, sets, shared)
    design = Filled.like(Design(panel, rollout, against=against, selection="random"))
    return design, design.sample(OUTCOME.name)


def _sets(pilots: list[str], others: list[str], size: int, shared: bool) -> MatchedSets:
    """Hand each pilot `size` comparators: the next ones, or any."""
    rng = np.random.default_rng(_SETS_SEED)
    made = {}
    for k, pilot in enumerate(pilots):
        own = others[size * k : size * (k + 1)]
        if shared:
            own = [others[i] for i in rng.choice(len(others), size=size, replace=False)]
        made[pilot] = dict.fromkeys(own, 1 / size)
    return MatchedSets(made)
