"""What an estimator may see: arrays of one metric, and a log of every cell left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import DesignError, first_few
from didkit.panel import Metric
from didkit.panel.status import Floats

__all__ = ["Sample"]

Ints = NDArray[np.intp]


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

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Cells with a value (J, T)."""
        return np.isfinite(self.y)

    @property
    def treated(self) -> NDArray[np.bool_]:
        """Cells of a pilot from its start on (J, T): intention to treat."""
        start = np.array([*self.starts, len(self.periods)])[self.cohort]
        made: NDArray[np.bool_] = np.arange(len(self.periods)) >= start[:, None]
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

    def keep(self, units: NDArray[np.bool_], reason: str) -> Sample:
        """Return the sample of some units only; the others go to the log and the notes.

        In matched sets the weights of a comparator that goes are shared by the others of its set.

        Parameters
        ----------
        units : bool array (J,)
            Which to keep.
        reason : str
            Why the others go.

        Raises
        ------
        DesignError
            If no pilot, no comparator, or no comparator of some pilot is left.
        """
        if units.all():
            return self
        gone = [unit for unit, stays in zip(self.units, units, strict=True) if not stays]
        sets = self.sets
        if sets is not None:
            sets = sets[units[self.pilot]][:, units]
            total = sets.sum(axis=1)
            if len(total) == 0 or (total <= 0).any():
                raise DesignError(
                    needed="a comparator for every pilot",
                    found=f"a set is empty without {first_few(gone)}",
                    where=f"metric {self.metric.name!r}, {reason}",
                    todo="leave that pilot out with design.drop, or use cells='observed'",
                )
            sets = sets / total[:, None]
        if not (self.pilot & units).any() or (
            self.sets is None and not (~self.pilot & units).any()
        ):
            raise DesignError(
                needed="at least one pilot and one comparator",
                found=f"none left without {first_few(gone)}",
                where=f"metric {self.metric.name!r}, {reason}",
                todo="use cells='observed', or a window in which more units are observed",
            )
        log = self.log.copy()
        moved = (log["reason"] == "used") & log["unit"].isin(gone)
        log.loc[moved, ["stage", "reason"]] = ["estimator", reason]
        kept_cohorts = sorted(set(self.cohort[units & self.pilot].tolist()))
        recode = np.full(len(self.starts) + 1, -1, dtype=np.intp)
        recode[kept_cohorts] = np.arange(len(kept_cohorts))
        codes, clusters = np.unique(self.clusters[units], return_inverse=True)
        return replace(
            self,
            units=tuple(u for u, stays in zip(self.units, units, strict=True) if stays),
            names=tuple(n for n, stays in zip(self.names, units, strict=True) if stays),
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
            cluster_labels=tuple(self.cluster_labels[c] for c in codes),
            log=log,
            notes=(*self.notes, f"{first_few(gone)} left out: {reason}"),
        )
