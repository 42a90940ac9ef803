"""Without breaks: the estimate with flagged authorities or cells left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from didkit.check.again import NUMBERS, again, own_cells, row_of
from didkit.check.breaks_left_out import cells_left_out, flags_of, without_cells
from didkit.design import Design
from didkit.errors import DesignError, InferenceError, first_few, is_number, kind_of
from didkit.progress import steps
from didkit.results import Estimate, Finding
from didkit.results.tables import signed, unit_of

__all__ = ["AS_ESTIMATED", "CHOICES", "WithoutBreaks"]

AS_ESTIMATED = "as estimated"
CHOICES = {
    "units": "without flagged authorities",
    "pilots": "without flagged pilots",
    "comparators": "without flagged comparators",
    "cells": "without flagged cells",
    "each": "without",
}
_THRESHOLD = 4.0
_COLUMNS = ["scenario", "left_out", "n_units", "n_cells", *NUMBERS, "shift",
            "n_pilots", "n_comparators", "method", "note"]  # fmt: skip


@dataclass(frozen=True, eq=False)
class WithoutBreaks:
    """Refit without the authorities, or the cells, whose series look like a break in recording.

    Parameters
    ----------
    threshold : float, default 4.0
        Of ``panel.recording_breaks``: how many times its spread a change must be to be flagged.
    breaks : DataFrame, optional
        Breaks that are known, in place of those that are flagged: columns ``unit, period`` (the
        first one recorded in the new way, or the one that is out of line) and, where they are
        there, ``kind`` ("step", "two-period step" or "spike"; by default step) and ``since`` (the
        last period recorded in the old way).
    leave_out : str or sequence of str, default all
        ``"units"``: all flagged authorities; ``"pilots"``, ``"comparators"``: those of one arm
        (no row of their own where these are all);
        ``"each"``: one at a time; ``"cells"``: of a spike its cell, of a step the cells on that
        side of it on which the authority has no period before, or none from, the start (an
        authority with both on neither side is left out).

    Raises
    ------
    InferenceError
        If an option is unknown or out of range.

    Notes
    -----
    Flags are sought with the programme's own effect in the data. A pilot whose series jumps in its
    first treated period may have done what the programme is for: leaving it out then takes the
    effect away. Such flags are named. A flag before the start cannot be an effect (unless the
    programme was anticipated).

    Nothing is edited, and no row is the right one: a flag is a reason to ask the authority. How
    often series without a break are flagged, and what leaving flagged authorities out does to
    estimates, is in docs/breaks.md and docs/record_checks.md: it takes away most of the bias of
    one large break, and as well most of a true effect that is large, sudden and in some pilots
    only.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cin").infer(None)
    >>> found = did.check(dk.WithoutBreaks(leave_out=("units", "cells")))
    >>> found.table["scenario"].tolist()
    ['as estimated', 'without flagged authorities', 'without flagged cells']
    """

    threshold: float = _THRESHOLD
    breaks: pd.DataFrame | None = field(default=None, kw_only=True)
    leave_out: str | Sequence[str] = field(default=tuple(CHOICES), kw_only=True)

    def __post_init__(self) -> None:
        if not is_number(self.threshold) or not 0 < self.threshold < np.inf:
            raise InferenceError(
                needed="a threshold above 0",
                found=repr(self.threshold),
                where="WithoutBreaks(threshold=)",
                todo="4 is the detector's own",
            )
        given: Any = self.leave_out
        chosen = (given,) if isinstance(given, str) else tuple(given)
        if not chosen or set(chosen) - set(CHOICES):
            raise InferenceError(
                needed="what to leave out: " + ", ".join(repr(one) for one in CHOICES),
                found=repr(given),
                where="WithoutBreaks(leave_out=)",
                todo="choose one or more of them",
            )
        object.__setattr__(self, "leave_out", tuple(one for one in CHOICES if one in chosen))
        table: Any = self.breaks
        if table is None:
            return
        if not isinstance(table, pd.DataFrame) or not {"unit", "period"} <= set(table.columns):
            raise InferenceError(
                needed="a DataFrame with columns unit and period",
                found=f"columns {first_few(table.columns)}"
                if isinstance(table, pd.DataFrame)
                else kind_of(table),
                where="WithoutBreaks(breaks=)",
                todo="pd.DataFrame({'unit': ['303'], 'period': [2016]}), one row a break",
            )
        if self.threshold != _THRESHOLD:
            raise InferenceError(
                needed="a threshold, or breaks that are known",
                found=f"threshold={self.threshold!r} and breaks=",
                where="WithoutBreaks",
                todo="leave one of them out: known breaks have no threshold",
            )
        object.__setattr__(self, "breaks", table.copy())

    def flags(self, estimate: Estimate) -> pd.DataFrame:
        """Return the flags that touch the estimate.

        Returns
        -------
        DataFrame
            ``unit, name, arm, period, kind, since, percent`` (the change), ``statistic`` (NaN
            where breaks were given) and ``at_start``: a pilot's, that runs into its first treated
            period.

        Raises
        ------
        InferenceError
            As `run`.
        """
        return flags_of(estimate, self.threshold, self.breaks)[0]

    def run(self, estimate: Estimate) -> Finding:
        """Refit without what is flagged; the first row is the estimate as it is.

        Returns
        -------
        Finding
            Table ``scenario, left_out`` (names), ``n_units, n_cells`` (left out), ``estimate,
            std_error, conf_low, conf_high, shift`` (main term, the metric's unit), ``n_pilots,
            n_comparators, method, note``: why there is no estimate or interval. Facts: ``full,
            lowest, highest`` over all rows, ``without_units, without_cells`` (NaN where not asked
            or not there), ``n_flags, n_pilots, n_comparators`` (flagged), ``n_at_start``,
            ``n_elsewhere`` (flags of units and periods that the estimate does not use).

        Raises
        ------
        InferenceError
            If the estimate is not of the panel's own metric, the detector does not serve it, or a
            break that was given names a unit or period that the panel does not have.
        """
        rows, columns = own_cells(estimate, "WithoutBreaks")
        flags, elsewhere = flags_of(estimate, self.threshold, self.breaks)
        table = [{"scenario": AS_ESTIMATED, "left_out": "", "n_units": 0, "n_cells": 0,
                  "shift": 0.0, **row_of(estimate)}]  # fmt: skip
        full = float(table[0]["estimate"])
        jobs: list[tuple[str, list[str]]] = []
        for choice in self.leave_out:
            arms = {"pilots": ("pilot",), "comparators": ("comparator",)}
            mine = flags[flags["arm"].isin(arms.get(choice, ("pilot", "comparator")))]
            units = list(dict.fromkeys(mine["unit"]))
            if choice == "each":
                jobs += [(choice, [unit]) for unit in units] if len(units) > 1 else []
            elif units and (choice == "cells" or ("units", units) not in jobs):
                jobs.append((choice, units))
        for choice, units in steps(jobs, "without breaks"):
            names = [_name(flags, unit) for unit in units]
            n_cells = 0
            if choice == "cells":
                out = cells_left_out(estimate, flags)
                n_cells = int(out.sum())
                made = again(estimate, without_cells(estimate, rows, columns, out))
            else:
                made = self._without(estimate, units)
            each = f"{CHOICES[choice]} {names[0]}"
            table.append(
                {
                    "scenario": each if choice == "each" else CHOICES[choice],
                    "left_out": ", ".join(names),
                    "n_units": 0 if choice == "cells" else len(units),
                    "n_cells": n_cells,
                    "shift": float(made["estimate"]) - full,
                    **made,
                }
            )
        frame = pd.DataFrame(table, columns=_COLUMNS)
        facts = _facts(frame, flags, elsewhere)
        others = frame["estimate"].iloc[1:].notna().any()
        return Finding(
            check=self,
            estimate=estimate,
            question="Does the answer hang on authorities whose recording may have changed?",
            headline=_headline(frame, flags, facts, unit_of(estimate.metric)),
            table=frame,
            facts=facts,
            notes=(*_notes(flags, facts, known=self.breaks is not None), *_failed(frame)),
            cannot_show="whether a flagged change was recording or practice, nor what a break too "
            "small or too slow to be flagged does to the estimate",
            alternatives=(facts["lowest"], facts["highest"]) if others else None,
        )

    def _without(self, estimate: Estimate, units: list[str]) -> dict[str, Any]:
        """Refit without some units."""
        design: Design = estimate.design
        try:
            for unit in units:
                design = design.drop(unit)
        except DesignError as error:
            why = f"no estimate: {error.found}; {error.needed} needed"
            return {**dict.fromkeys(NUMBERS, np.nan), "n_pilots": 0, "n_comparators": 0,
                    "method": "", "note": why}  # fmt: skip
        return again(estimate, design)


def _name(flags: pd.DataFrame, unit: str) -> str:
    """Return the name of a flagged unit, or its id where it has none."""
    return str(flags.loc[flags["unit"] == unit, "name"].iloc[0]) or unit


def _facts(frame: pd.DataFrame, flags: pd.DataFrame, elsewhere: int) -> dict[str, float]:
    got = frame["estimate"].dropna()
    by = frame.drop_duplicates("scenario").set_index("scenario")["estimate"]
    units = flags.drop_duplicates("unit")["arm"].value_counts()
    return {
        "full": float(frame["estimate"].iloc[0]),
        "lowest": float(got.min()),
        "highest": float(got.max()),
        "without_units": float(by.get(CHOICES["units"], np.nan)),
        "without_cells": float(by.get(CHOICES["cells"], np.nan)),
        "n_flags": float(len(flags)),
        "n_pilots": float(units.get("pilot", 0)),
        "n_comparators": float(units.get("comparator", 0)),
        "n_at_start": float(flags["at_start"].sum()),
        "n_elsewhere": float(elsewhere),
    }


def _headline(frame: pd.DataFrame, flags: pd.DataFrame, facts: dict[str, float], unit: str) -> str:
    """Say what is flagged, and from where to where the estimate runs."""
    value = f"{signed(facts['full'])} {unit}"
    if flags.empty:
        return f"No series behind the estimate of {value} is flagged; nothing was left out."
    pilots, others = int(facts["n_pilots"]), int(facts["n_comparators"])
    named = list(dict.fromkeys(flags.loc[flags["arm"] == "pilot", "name"]))
    told = f" ({', '.join(named[:4])}{', …' if len(named) > 4 else ''})" if named else ""
    who = " and ".join(
        f"{n} {what}{'s' if n > 1 else ''}{whom}"
        for n, what, whom in ((pilots, "pilot", told), (others, "comparator", ""))
        if n
    )
    if not frame["estimate"].iloc[1:].notna().any():
        return f"Flagged: {who}. No estimate without them exists beside {value}."
    got = frame[frame["estimate"].notna()]
    ordered = got.sort_values("estimate", kind="stable")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    return (
        f"Flagged: {who}. The estimate of {value} runs from {signed(low['estimate'])} "
        f"({low['scenario']}) to {signed(high['estimate'])} ({high['scenario']})."
    )


def _notes(flags: pd.DataFrame, facts: dict[str, float], *, known: bool) -> list[str]:
    """Say which flags may be the programme, and what was not used."""
    notes = []
    mine = flags[flags["at_start"]]
    if len(mine):
        named = [
            f"{row['name'] or row['unit']} in {row['period']}"
            + (f" ({signed(float(row['percent']))}%)" if np.isfinite(row["percent"]) else "")
            for row in mine.to_dict("records")
        ]
        notes.append(
            f"{', '.join(named)} changed as the programme started there: that may be the "
            "programme, and leaving it out may take the effect away"
        )
    if not known:
        notes.append(
            "flags were sought with the programme's own effect in the data, and some are expected "
            "without any break (docs/breaks.md says how many)"
        )
    if facts["n_elsewhere"]:
        n = int(facts["n_elsewhere"])
        notes.append(
            f"{n:,} flag{'s' if n > 1 else ''} of authorities or periods that the estimate "
            "does not use"
        )
    return notes


def _failed(frame: pd.DataFrame) -> list[str]:
    """Say which rows have no estimate or interval, and why."""
    return [f"{row['scenario']}: {row['note']}" for row in frame.to_dict("records") if row["note"]]
