"""Leave two out: the worst pair."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from didkit.check.removed import (
    Equations,
    each_without,
    equations,
    main_value,
    refit_without,
    same,
)
from didkit.errors import DesignError, EstimationError, InferenceError, is_whole
from didkit.progress import steps
from didkit.results import Estimate, Finding
from didkit.results.tables import signed, unit_of

__all__ = ["LeaveTwoOut"]

_ARMS = ("pilots", "comparators", "all")
_WHAT = {"pilots": "pilots", "comparators": "comparators", "all": "authorities"}
_PAIRS = 2_000_000  #: pairs that algebra goes through


@dataclass(frozen=True)
class LeaveTwoOut:
    """Refit without every two pilots (or comparators, or both): the worst pair.

    Parameters
    ----------
    units : {"pilots", "comparators", "all"}
        Of whom the pairs are made.
    comparators : {"kept", "rebuilt"}
        When pilots are left out: keep all comparators, or rebuild them for the others.
    most : int, default 2000
        Pairs that may be refitted. Where a removal is exact algebra (`DiD` and `EventStudy`
        against one pool) there is no such limit, and only the worst pairs are refitted, to hold
        the algebra against.

    Notes
    -----
    Two units that pull the same way can hide each other when one is left out at a time; the
    column ``beyond`` is what the pair moves beyond the sum of its two single moves. The range is
    no interval: with more pairs it is wider, whether or not there is an effect
    (docs/removals.md).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(dk.LeaveTwoOut())
    >>> len(found.table)
    45
    """

    units: Literal["pilots", "comparators", "all"] = "pilots"
    comparators: Literal["kept", "rebuilt"] = field(default="kept", kw_only=True)
    most: int = field(default=2000, kw_only=True)

    def __post_init__(self) -> None:
        if self.units not in _ARMS or self.comparators not in ("kept", "rebuilt"):
            raise InferenceError(
                needed="units='pilots', 'comparators' or 'all', comparators='kept' or 'rebuilt'",
                found=f"{self.units!r}, {self.comparators!r}",
                where="LeaveTwoOut",
                todo="choose one of each",
            )
        if not is_whole(self.most) or self.most < 1:
            raise InferenceError(
                needed="a whole number of pairs, at least 1",
                found=repr(self.most),
                where="LeaveTwoOut(most=)",
                todo="for example most=2000",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Estimate the main term without each pair.

        Returns
        -------
        Finding
            Table, one row a pair: ``left_out, name, arm, left_out_2, name_2, arm_2, estimate,
            shift, beyond`` (the metric's unit); facts ``full, lowest, highest, pairs``. A pair
            without which there is no estimate is NaN.

        Raises
        ------
        InferenceError
            If fewer than three pilots are there to leave two out of, or there are more pairs than
            may be refitted.
        """
        sample = estimate.sample
        wanted = [
            j
            for j in range(len(sample.units))
            if self.units == "all" or sample.pilot[j] == (self.units == "pilots")
        ]
        self._check_size(estimate, len(wanted))
        sets = np.array(list(itertools.combinations(wanted, 2)), dtype=np.intp)
        rebuilt = self.comparators == "rebuilt" and self.units != "comparators"
        quick = None if rebuilt else equations(estimate)
        limit = self.most if quick is None else _PAIRS
        if len(sets) > limit:
            raise InferenceError(
                needed=f"at most {limit:,} pairs",
                found=f"{len(sets):,} pairs of {len(wanted)} {_WHAT[self.units]}",
                where=repr(self),
                todo=f"units='pilots', or ask for them: most={len(sets)}",
            )
        alone = np.array(wanted, dtype=np.intp)[:, None]
        if rebuilt:
            values = self._rebuilt(estimate, sets)
            singles = self._rebuilt(estimate, alone)
        else:
            values, _ = each_without(estimate, sets, quick, "leaving two out")
            singles, _ = each_without(estimate, alone, quick, "leaving one out")
            if quick is not None:
                values = _held(estimate, sets, values, quick)
        return self._found(estimate, sets, values, dict(zip(wanted, singles, strict=True)))

    def _check_size(self, estimate: Estimate, n: int) -> None:
        pilots = estimate.sample.n_pilots
        if self.units == "pilots" and pilots < 3:
            raise InferenceError(
                needed="at least three pilots",
                found=str(pilots),
                where="LeaveTwoOut",
                todo="use LeaveTwoOut('comparators'), or LeaveOneOut()",
            )
        if n < 3:
            raise InferenceError(
                needed="at least three units to leave two out of",
                found=str(n),
                where=repr(self),
                todo="use LeaveOneOut()",
            )

    def _rebuilt(self, estimate: Estimate, sets: Any) -> Any:
        """Return estimates without sets of units, comparators rebuilt for the other pilots."""
        made = np.full(len(sets), np.nan)
        for i, members in enumerate(steps(list(sets), "leaving out, comparators rebuilt")):
            design = estimate.design
            try:
                for j in members:
                    unit = estimate.sample.units[j]
                    if unit in design.starts:
                        design = design.without_pilot(unit)
                    elif unit in design.comparators:
                        design = design.drop(unit)
                made[i] = main_value(estimate, estimate.refit(design))
            except (DesignError, EstimationError):
                continue
        return made

    def _found(self, estimate: Estimate, sets: Any, values: Any, singles: Any) -> Finding:
        sample, unit = estimate.sample, unit_of(estimate.metric)
        full = float(estimate.values[estimate.place_of(None, where="LeaveTwoOut")])
        names, codes = np.array(sample.names, dtype=object), np.array(sample.units, dtype=object)
        arm = np.where(sample.pilot, "pilot", "comparator")
        first, second = sets.T
        alone = np.array([singles[j] for j in first]), np.array([singles[j] for j in second])
        table = pd.DataFrame(
            {
                "left_out": codes[first],
                "name": names[first],
                "arm": arm[first],
                "left_out_2": codes[second],
                "name_2": names[second],
                "arm_2": arm[second],
                "estimate": values,
                "shift": values - full,
                "beyond": values - alone[0] - alone[1] + full,
            }
        )
        there = table[table["estimate"].notna()].sort_values("estimate", kind="stable")
        if there.empty:
            raise InferenceError(
                needed="an estimate without at least one of the pairs",
                found="none",
                where=repr(self),
                todo="every pair left out is one that nothing can be estimated without",
            )
        low, high = there.iloc[0], there.iloc[-1]
        least, most = float(low["estimate"]), float(high["estimate"])
        headline = (
            f"Without two {_WHAT[self.units]} the estimate of {signed(full)} {unit} runs from "
            f"{signed(least)} (without {low['name']} and {low['name_2']}) to {signed(most)} "
            f"(without {high['name']} and {high['name_2']}), of {len(table):,} pairs"
        )
        crossed = int((there["estimate"] * full < 0).sum())
        if crossed:
            headline += f"; without {crossed:,} of them its sign is the other."
        else:
            headline += "; its sign stays."
        lost = len(table) - len(there)
        return Finding(
            check=self,
            estimate=estimate,
            question="Do two authorities together decide the answer?",
            headline=headline,
            table=table,
            facts={
                "full": full,
                "lowest": least,
                "highest": most,
                "pairs": float(len(table)),
                "sign_changes": float(crossed),
            },
            notes=(f"no estimate without {lost} of the pairs",) if lost else (),
            cannot_show="which of the answers is right: with many pairs some move the estimate far "
            "by chance, and what all units share stays in every one of them",
            alternatives=(least, most),
        )


def _held(estimate: Estimate, sets: Any, values: Any, quick: Equations) -> Any:
    """Refit the two worst pairs; where algebra and refit differ, refuse."""
    made = values.copy()
    there = np.flatnonzero(np.isfinite(values))
    for i in (there[values[there].argmin()], there[values[there].argmax()]) if len(there) else ():
        made[i] = refit_without(estimate, sets[i].tolist())[0]
        if not same(made[i], values[i], quick.scale):
            raise InferenceError(
                needed="a refit equal to the algebra of its removal",
                found=f"{made[i]:.6g} and {values[i]:.6g}",
                where="LeaveTwoOut",
                todo="use units='pilots', or LeaveOneOut('all'), which refits",
            )
    return made
