"""Which cohorts and periods have an effect of their own in a regression, and against which cells.

Shared by the regressions that are saturated in cohort and period: interaction-weighted and
extended two-way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, first_few
from didkit.estimate.aggregation import Aggregation, By, aggregate, cohort_sizes

__all__ = [
    "CohortCells",
    "Rule",
    "cohort_cells",
    "every_period",
    "from_the_start",
    "recombined",
    "reference_rows",
    "refuse_sets",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

#: Sample → cells with an effect of their own (G, T), and units that the others face (J,)
Rule = Callable[[Sample], tuple[Bools, Bools]]


@dataclass(frozen=True, eq=False)
class CohortCells:
    """C effects of cohorts and periods, and the sample that identifies them.

    Parameters
    ----------
    sample : Sample
        Without the cells that no comparison reaches.
    own : bool array (G, T)
        Where a cohort has an effect of its own.
    facing : bool array (J,)
        Units that the others are compared with, where they have no effect of their own.
    g, t : int array (C,)
        Cohort and period of each effect: those of `own` in which a pilot has a value.
    notes : tuple of str
        What was left out.
    """

    sample: Sample
    own: Bools
    facing: Bools
    g: Ints
    t: Ints
    notes: tuple[str, ...]

    def inside(self, cohort: Ints) -> Bools:
        """Cells of each effect under an assignment, (J, C, T)."""
        made = np.zeros((len(cohort), len(self.g), self.sample.y.shape[1]), dtype=bool)
        at = np.arange(len(self.g))
        made[:, at, self.t] = cohort[:, None] == self.g
        return made & self.sample.mask[:, None]

    def size(self, cohort: Ints) -> Floats:
        """Observations in each effect, weighted where the sample is, (C,)."""
        sample = self.sample
        w = sample.mask.astype(np.float64) if sample.w is None else sample.w
        w = np.where(sample.mask, w, 0.0)
        member = cohort[:, None] == np.arange(len(self.own))
        made: Floats = (member.T @ w)[self.g, self.t]
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the effects."""
        s = self.sample
        return tuple(
            f"start {s.periods[s.starts[g]]}, period {s.periods[t]}"
            for g, t in zip(self.g.tolist(), self.t.tolist(), strict=True)
        )

    def aggregation(
        self, by: By, *, pilots: bool, anticipation: int, balance: int | None, overall: bool
    ) -> Aggregation:
        """Combine the effects: observations count alike, or (``pilots=False``) cohorts."""
        size, _ = cohort_sizes(self.sample, "pilots" if pilots else "cohorts")
        return aggregate(
            self.sample,
            self.g,
            self.t,
            by,
            size=size,
            anticipation=anticipation,
            balance=balance,
            overall=overall,
            cell_size=self.size(self.sample.cohort) if pilots else None,
        )

    def acts(self, members: Bools) -> Bools:
        """Cells of pilots that enter each term, (k, J, T)."""
        inside = self.inside(self.sample.cohort).astype(np.float64)
        return np.asarray(np.einsum("kc,jct->kjt", members.astype(np.float64), inside) > 0)

    def carried(self, members: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count each term's pilots, and those that they face in its periods, (k,)."""
        sample = self.sample
        acts = self.acts(members)
        covered = self.own[sample.cohort] & sample.pilot[:, None]
        free = sample.mask & ~covered & self.facing[:, None]
        n = len(sample.periods)
        when = np.stack([np.bincount(self.t[m], minlength=n) > 0 for m in members])
        pilots = acts.any(axis=2)
        others = (free[None] & when[:, None]).any(axis=2) & ~pilots
        return pilots.sum(axis=1), others.sum(axis=1)

    @property
    def assignable(self) -> Bools:
        """Units that could have been pilots of every start: seen on both sides of it, (J,)."""
        mask = self.sample.mask
        made = np.ones(len(mask), dtype=bool)
        for start in {self.sample.starts[g] for g in self.g.tolist()}:
            made &= mask[:, :start].any(axis=1) & mask[:, start:].any(axis=1)
        return made | self.sample.pilot


def every_period(anticipation: int, *, last: bool) -> Rule:
    """Give all cohorts an effect in every period but the last before the start and what leads it.

    They face the units that never start; or, with `last` or where there is none, the cohort that
    starts last, until it starts.
    """

    def rule(sample: Sample) -> tuple[Bools, Bools]:
        starts = np.array(sample.starts)
        when = np.arange(len(sample.periods))
        own = when != starts[:, None] - 1 - anticipation
        facing = ~sample.pilot
        if last or not facing.any():
            own[-1] = when >= starts[-1] - anticipation
            facing = facing if facing.any() and not last else sample.cohort == len(starts) - 1
        return own, facing

    return rule


def from_the_start(anticipation: int) -> Rule:
    """Give cohorts an effect from the start on; they face all that have not started yet."""

    def rule(sample: Sample) -> tuple[Bools, Bools]:
        own = np.arange(len(sample.periods)) >= np.array(sample.starts)[:, None] - anticipation
        return own, np.ones(len(sample.units), dtype=bool)

    return rule


def refuse_sets(sample: Sample, where: str) -> None:
    """Refuse matched sets: one regression has one pool.

    Raises
    ------
    EstimationError
        If the sample has sets.
    """
    if sample.sets is None:
        return
    raise EstimationError(
        needed="one pool of comparators",
        found="matched sets: each pilot faces others",
        where=where,
        todo="compare with one pool, against=Pool() or union(); or use DiD(cells='observed'), "
        "which fits a regression in each set",
    )


def cohort_cells(sample: Sample, rule: Rule, *, absorb: bool, where: str) -> CohortCells:
    """Leave out, by name, what no comparison reaches, and list the effects that are left.

    Parameters
    ----------
    sample : Sample
        Without matched sets.
    rule : callable
        Which cohorts have an effect of their own in which periods, and whom they face.
    absorb : bool
        Whether units have effects, so that one cell alone carries nothing.

    Raises
    ------
    DesignError
        If no pilot or no comparator is left.
    EstimationError
        If no cohort has anybody to be compared with.
    """
    notes: list[str] = []
    while True:
        own, facing = rule(sample)
        mask = sample.mask
        free = mask & ~(own[sample.cohort] & sample.pilot[:, None])
        dead = mask & ~(free & facing[:, None]).any(axis=0)
        if dead.all() or not (free & facing[:, None]).any():
            raise EstimationError(
                needed="units that have not started while others have",
                found=f"starts in {first_few([sample.periods[s] for s in sample.starts])}, "
                f"{sample.n_comparators} units that never start",
                where=f"{where}, metric {sample.metric.name!r}",
                todo="add units that never start, or pilots that start at another time",
            )
        if dead.any():
            periods = [sample.periods[t] for t in np.flatnonzero(dead.any(axis=0)).tolist()]
            notes.append(f"{first_few(periods)} left out: no comparison has a value there")
            sample = _blanked(sample, dead, "no comparison has a value in this period")
            continue
        enough = mask.sum(axis=1) > (1 if absorb else 0)
        if not enough.all():
            sample = sample.keep(enough, "too few cells with a value carry no change")
            continue
        has = np.array([free[sample.cohort == g].any() for g in range(len(sample.starts))])
        based = ~sample.pilot | has[sample.cohort]
        if not based.all():
            sample = sample.keep(
                based,
                "no pilot of this start has a value in a period that effects are measured from",
                advice="use a later start, a longer window or less anticipation; Imputation() "
                "where the reference is partly treated",
            )
            continue
        break
    seen = np.array([sample.mask[sample.cohort == g].any(axis=0) for g in range(len(own))])
    g, t = np.nonzero(own & seen)
    if len(g) == 0:
        raise EstimationError(
            needed="a pilot with a value from its start on, and somebody to compare it with",
            found="none",
            where=f"{where}, metric {sample.metric.name!r}",
            todo="widen the window, or see design.audit()",
        )
    return CohortCells(sample=sample, own=own, facing=facing, g=g, t=t, notes=tuple(notes))


def _blanked(sample: Sample, cells: Bools, reason: str) -> Sample:
    """Return the sample without some cells, which go to the log."""
    log = sample.log.copy()
    gone = dict(zip(sample.units, cells.sum(axis=1).tolist(), strict=True))
    used = log["reason"] == "used"
    log.loc[used, "cells"] -= log.loc[used, "unit"].map(gone).fillna(0).astype(np.int64)
    more = [("estimator", unit, reason, n) for unit, n in gone.items() if n]
    log = log[~used | (log["cells"] > 0)]
    added = pd.DataFrame(more, columns=["stage", "unit", "reason", "cells"])
    return replace(
        sample,
        y=np.where(cells, np.nan, sample.y),
        lower=np.where(cells, np.nan, sample.lower),
        upper=np.where(cells, np.nan, sample.upper),
        log=pd.concat([log, added], ignore_index=True),
    )


def recombined(aggregation: Aggregation, size: Floats) -> Floats:
    """Return the combination of the effects (k, C) for other sizes of the cells.

    NaN for a term of which nothing is there; the cohorts' shares of ``by="group",
    overall=True`` stay as they are.
    """
    if aggregation.parts is not None:
        return np.asarray(recombined(aggregation.parts, size).mean(axis=0, keepdims=True))
    if aggregation.nested:
        lost = (aggregation.matrix > 0) & (size == 0)
        return np.where(lost.any(axis=1, keepdims=True), np.nan, aggregation.matrix)
    made = np.where(aggregation.members, size, 0.0)
    total = made.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(made, total, out=np.full_like(made, np.nan), where=total > 0)
    return shares


def reference_rows(cells: CohortCells, by: By, anticipation: int) -> pd.DataFrame | None:
    """Return the reference of an event study: event time −1, or earlier with anticipation."""
    if by != "dynamic":
        return None
    e = -1 - anticipation
    used = np.unique(cells.g)
    one = len(used) == 1
    sample = cells.sample
    return pd.DataFrame(
        {
            "term": [f"event time {e:+d}"],
            "position": [e],
            "event_time": [e],
            "period": [sample.periods[sample.starts[used[0]] + e] if one else ""],
            "phase": ["reference"],
        }
    )
