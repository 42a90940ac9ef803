"""What an estimator may see: arrays of one metric, and a log of every cell left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.timing import Treatment
from didkit.errors import DesignError, first_few
from didkit.panel import Metric
from didkit.panel.status import Floats

__all__ = ["EVERY", "Sample"]

EVERY = "(every unit)"  #: in a log that counts cells over all units at once

Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
_OBSERVED = "use cells='observed'"


def _none() -> Ints:
    return np.zeros(0, dtype=np.intp)


def _nowhere() -> Bools:
    return np.zeros((0, 0), dtype=bool)


@dataclass(frozen=True, eq=False)
class Sample:
    """The units, periods and cells of one metric under one design.

    Parameters
    ----------
    metric : Metric
        What is measured.
    units, names : tuple of str
        Ids and names of the J units: pilots and comparators, in order of id.
    periods : tuple of str
        Labels of the T periods of the window.
    y, lower, upper : array (J, T)
        Values (NaN where none was published) and bounds, in the metric's unit.
    exposure : array (J, T) or None
        Children, where the panel holds them.
    pilot : bool array (J,)
        Who is a pilot.
    starts : tuple of int
        Positions of the distinct start periods, in order: the cohorts.
    cohort : int array (J,)
        Index into `starts` of each pilot; −1 for a comparator.
    sets : array (n_pilots, J) or None
        Weights of each pilot's comparators, rows in the order of the pilots; None: one pool.
    aggregate : str
        How sets are aggregated.
    strata, clusters : int array (J,)
        Codes; `clusters` is one a unit unless the design says otherwise.
    cluster_labels : tuple of str
        What each cluster's code stands for.
    log : DataFrame
        ``stage, unit, reason, cells``: every cell that the panel has for this metric, by what
        became of it; ``reason == "used"`` are those in the sample.
    notes : tuple of str
        What a reader must know.
    treatment : {"intention_to_treat", "as_treated"}
        Whether a pilot that left counts as treated from then on, or has no cells there.
    stops : int array (J,)
        Position of the first period after a unit left the programme; T where it did not.
    dose : array (J, T) or None
        How much of the programme a unit had; NaN where it is not known. None: no dose was given.
    contaminated : bool array (J, T)
        Cells of units that used the practice outside the programme.
    partly : bool array (J, T)
        Cells of pilots from their start up to the first exposure of this kind of metric, neither
        before nor after: they have no value here.
    covariates : tuple of str
        Names of the covariates that the estimator asked for; a cell that lacks one has no value.
    x : array (J, C, T) or None
        Their values, each in its metric's unit. None: none was asked for.
    sampling, population : str or None
        Names of the metrics that weigh cells and units.
    w : array (J, T) or None
        Their product, positive in every cell with a value: a cell's weight in least squares and
        means. None: all alike.
    not_yet : bool
        Whether pilots serve as comparators until they start, so that there may be no other.
    """

    metric: Metric
    units: tuple[str, ...]
    names: tuple[str, ...]
    periods: tuple[str, ...]
    y: Floats
    lower: Floats
    upper: Floats
    exposure: Floats | None
    pilot: NDArray[np.bool_]
    starts: tuple[int, ...]
    cohort: Ints
    sets: Floats | None
    aggregate: str
    strata: Ints
    clusters: Ints
    cluster_labels: tuple[str, ...]
    log: pd.DataFrame
    notes: tuple[str, ...]
    treatment: Treatment = "intention_to_treat"
    stops: Ints = field(default_factory=_none)
    dose: Floats | None = None
    contaminated: Bools = field(default_factory=_nowhere)
    partly: Bools = field(default_factory=_nowhere)
    covariates: tuple[str, ...] = ()
    x: Floats | None = None
    sampling: str | None = None
    population: str | None = None
    w: Floats | None = None
    not_yet: bool = False

    def __post_init__(self) -> None:
        n, t = self.y.shape
        if self.stops.shape != (n,):
            object.__setattr__(self, "stops", np.full(n, t, dtype=np.intp))
        for name in ("contaminated", "partly"):
            if getattr(self, name).shape != (n, t):
                object.__setattr__(self, name, np.zeros((n, t), dtype=bool))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Cells with a value (J, T)."""
        return np.isfinite(self.y)

    @property
    def treated(self) -> NDArray[np.bool_]:
        """Cells of a pilot from its start on (J, T); as treated, until it left."""
        start = np.array([*self.starts, len(self.periods)])[self.cohort]
        when = np.arange(len(self.periods))
        made: Bools = when >= start[:, None]
        return made & (when < self.stops[:, None]) if self.treatment == "as_treated" else made

    @property
    def left(self) -> Bools:
        """Pilots without cells from their stop on, because they count as treated until then (J,).

        Their windows after the start are shorter than those of units that stayed.
        """
        if self.treatment != "as_treated":
            return np.zeros(len(self.units), dtype=bool)
        return np.asarray(self.pilot & (self.stops < len(self.periods)))

    @property
    def set_aside(self) -> Bools:
        """Periods in which a pilot of a cohort is partly treated (G, T).

        A comparison of means over periods leaves them out for pilots and comparators alike.
        """
        made = np.zeros((len(self.starts), len(self.periods)), dtype=bool)
        if not self.partly.any():
            return made
        for g in range(len(self.starts)):
            made[g] = self.partly[self.cohort == g].any(axis=0)
        return made

    @property
    def n_pilots(self) -> int:
        """Number of pilots."""
        return int(self.pilot.sum())

    @property
    def n_comparators(self) -> int:
        """Number of units that serve as comparators only."""
        return int((~self.pilot).sum())

    @property
    def clustered_above(self) -> bool:
        """Whether clusters are coarser than units."""
        return len(self.cluster_labels) < len(self.units)

    def keep(self, units: NDArray[np.bool_], reason: str, *, advice: str | None = None) -> Sample:
        """Return the sample of some units only; the others go to the log and the notes.

        In matched sets the weights of a comparator that goes are shared by the others of its set,
        and comparators that served only pilots that go leave with them.

        Parameters
        ----------
        units : bool array (J,)
            Which to keep.
        reason : str
            Why the others go.
        advice : str, optional
            What to do if too few are left; by default to use cells="observed".

        Raises
        ------
        DesignError
            If no pilot, no comparator, or no comparator of some pilot is left.
        """
        if units.all():
            return self
        gone = _those(self.units, ~units)
        sets = self.sets
        if sets is not None:
            sets = sets[units[self.pilot]][:, units]
            total = sets.sum(axis=1)
            if len(total) == 0 or (total <= 0).any():
                raise DesignError(
                    needed="a comparator for every pilot",
                    found=f"a set is empty without {first_few(gone)}",
                    where=f"metric {self.metric.name!r}, {reason}",
                    todo=f"leave that pilot out with design.drop, or {advice or _OBSERVED}",
                )
            sets = sets / total[:, None]
        alone = self.sets is None and not (~self.pilot & units).any()
        if self.not_yet:  # the last to start serve the others
            alone &= len(set(self.cohort[self.pilot & units].tolist())) < 2
        if not (self.pilot & units).any() or alone:
            raise DesignError(
                needed="at least one pilot and one comparator",
                found=f"none left without {first_few(gone)}",
                where=f"metric {self.metric.name!r}, {reason}",
                todo=advice or f"{_OBSERVED}, or a window in which more units are observed",
            )
        log = self.log.copy()
        used = log["reason"] == "used"
        if (log["unit"] == EVERY).any():
            count = int(self.mask[~units].sum())
            log.loc[used, "cells"] -= count
            more = {"stage": "estimator", "unit": EVERY, "reason": reason, "cells": count}
            log = pd.concat([log, pd.DataFrame([more])], ignore_index=True)
        else:
            log.loc[used & log["unit"].isin(list(gone)), ["stage", "reason"]] = [
                "estimator",
                reason,
            ]
        kept_cohorts = sorted(set(self.cohort[units & self.pilot].tolist()))
        recode = np.full(len(self.starts) + 1, -1, dtype=np.intp)
        recode[kept_cohorts] = np.arange(len(kept_cohorts))
        codes, clusters = np.unique(self.clusters[units], return_inverse=True)
        made = replace(
            self,
            units=_those(self.units, units),
            names=_those(self.names, units),
            y=self.y[units],
            lower=self.lower[units],
            upper=self.upper[units],
            exposure=None if self.exposure is None else self.exposure[units],
            pilot=self.pilot[units],
            starts=tuple(self.starts[g] for g in kept_cohorts),
            cohort=recode[self.cohort[units]],
            sets=sets,
            strata=self.strata[units],
            clusters=clusters.astype(np.intp),
            cluster_labels=_those(self.cluster_labels, codes),
            log=log,
            stops=self.stops[units],
            dose=None if self.dose is None else self.dose[units],
            contaminated=self.contaminated[units],
            partly=self.partly[units],
            x=None if self.x is None else self.x[units],
            w=None if self.w is None else self.w[units],
            notes=(*self.notes, f"{first_few(gone)} left out: {reason}"),
        )
        if sets is None or self.sets is None:
            return made
        served = (self.sets[:, units] > 0).any(axis=0)
        idle = served & ~(sets > 0).any(axis=0) & ~made.pilot
        return made.keep(~idle, "comparator of nobody but a pilot that is left out")


def _those(ids: tuple[str, ...], which: Bools | Ints) -> tuple[str, ...]:
    """Return some ids; those of very many units stay unwritten (`Ids` of laid.py)."""
    quick = getattr(ids, "where", None)
    if quick is not None:
        return quick(which)  # type: ignore[no-any-return]
    if which.dtype == bool:
        return tuple(compress(ids, which.tolist()))
    return tuple(ids[i] for i in which.tolist())
