"""Leave one out: whether one authority decides the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from didkit.errors import DesignError, EstimationError, InferenceError
from didkit.progress import steps
from didkit.results import Estimate, Finding
from didkit.results.tables import signed

__all__ = ["LeaveOneOut"]


@dataclass(frozen=True)
class LeaveOneOut:
    """Refit without each pilot (or comparator, or both) in turn.

    Parameters
    ----------
    units : {"pilots", "comparators", "all"}
        Which to leave out, one at a time.
    comparators : {"kept", "rebuilt"}
        When a pilot is left out: keep all comparators (``design.drop``) or rebuild them for the
        others (``design.without_pilot``).

    Notes
    -----
    A range that crosses zero says that the sign hangs on one authority; it is not an interval,
    and a narrow range does not make a biased comparison right.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(dk.LeaveOneOut())
    >>> len(found.table)
    10
    """

    units: Literal["pilots", "comparators", "all"] = "pilots"
    comparators: Literal["kept", "rebuilt"] = "kept"

    def __post_init__(self) -> None:
        if self.units not in ("pilots", "comparators", "all") or self.comparators not in (
            "kept",
            "rebuilt",
        ):
            raise InferenceError(
                needed="units='pilots', 'comparators' or 'all', comparators='kept' or 'rebuilt'",
                found=f"{self.units!r}, {self.comparators!r}",
                where="LeaveOneOut",
                todo="choose one of each",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Refit without each unit; one row a unit and term.

        Returns
        -------
        Finding
            Table ``left_out, name, arm, term, estimate, shift`` (the metric's unit); facts
            ``full, lowest, highest`` of the main term; a refit that does not exist is NaN, and a
            note says why.

        Raises
        ------
        InferenceError
            If there is only one pilot and pilots are to be left out.
        """
        sample, design = estimate.sample, estimate.design
        if sample.n_pilots < 2 and self.units != "comparators":
            raise InferenceError(
                needed="at least two pilots",
                found="1",
                where="LeaveOneOut",
                todo="use LeaveOneOut(units='comparators') or PlaceboPilots()",
            )
        wanted = [
            j
            for j in range(len(sample.units))
            if self.units == "all" or sample.pilot[j] == (self.units == "pilots")
        ]
        rows, notes = [], []
        for j in steps(wanted, "leaving one out"):
            unit = sample.units[j]
            try:
                rebuilt = self.comparators == "rebuilt" and sample.pilot[j]
                edited = design.without_pilot(unit) if rebuilt else design.drop(unit)
                refit = estimate.refit(edited)
                found = dict(zip(refit.terms["term"], refit.values, strict=True))
            except (DesignError, EstimationError) as error:
                notes.append(f"no estimate without {unit}: {error.found}")
                found = {}
            for m, term in enumerate(estimate.terms["term"]):
                value = float(found.get(term, np.nan))
                rows.append(
                    {
                        "left_out": unit,
                        "name": sample.names[j],
                        "arm": "pilot" if sample.pilot[j] else "comparator",
                        "term": term,
                        "estimate": value,
                        "shift": value - estimate.values[m],
                    }
                )
        table = pd.DataFrame(rows)
        term = estimate.main_term
        m = list(estimate.terms["term"]).index(term)
        mine = table[(table["term"] == term) & table["estimate"].notna()].sort_values("estimate")
        if mine.empty:
            raise InferenceError(
                needed="an estimate without at least one of the units",
                found=f"none: {notes[0]}" if notes else "none",
                where=repr(self),
                todo="every unit left out is one that nothing can be estimated without",
            )
        low, high = mine.iloc[0], mine.iloc[-1]
        what = {"pilots": "pilot", "comparators": "comparator", "all": "authority"}[self.units]
        headline = (
            f"Without one {what} the estimate of {signed(float(estimate.values[m]))} runs from "
            f"{signed(float(low['estimate']))} (without {low['name']}) to "
            f"{signed(float(high['estimate']))} (without {high['name']})"
        )
        least, most = float(low["estimate"]), float(high["estimate"])
        if least < 0 < most:
            headline += ": its sign hangs on one of them."
        elif least == most == 0:
            headline += "; it stays zero."
        else:
            headline += "; its sign stays." if least * most else "; without one of them it is zero."
        return Finding(
            check=self,
            estimate=estimate,
            question="Does one authority decide the answer?",
            headline=headline,
            table=table,
            facts={
                "full": float(estimate.values[m]),
                "lowest": float(low["estimate"]),
                "highest": float(high["estimate"]),
            },
            notes=tuple(notes),
        )
