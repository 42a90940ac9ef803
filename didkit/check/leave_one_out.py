"""Leave one out: whether one authority, region or period decides the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from didkit.check import left_out
from didkit.check.asked import check_inference
from didkit.check.removed import with_interval
from didkit.errors import DesignError, EstimationError, InferenceError, PanelError
from didkit.progress import steps
from didkit.results import Estimate, Finding, Inference
from didkit.results.tables import signed, with_unit

__all__ = ["LeaveOneOut", "what_is_left_out"]

_WHAT = {
    "pilots": "pilot",
    "comparators": "comparator",
    "all": "authority",
    "periods": "period",
    "regions": "region",
    "sets": "matched set",
}


@dataclass(frozen=True)
class LeaveOneOut:
    """Refit without each pilot (or comparator, region, set or period) in turn.

    Parameters
    ----------
    units : {"pilots", "comparators", "all", "regions", "sets", "periods"}
        What to leave out, one at a time. ``"regions"``: all units of a group, see `by`.
        ``"sets"``: a pilot with its comparators, which leave all sets that they serve in.
        ``"periods"``: a period of the window, for all units.
    comparators : {"kept", "rebuilt"}
        When a pilot is left out: keep all comparators (``design.drop``) or rebuild them for the
        others (``design.without_pilot``).
    by : str or mapping, default "region"
        With ``units="regions"``: a column of ``panel.units``, or a mapping (or Series) of unit to
        group.
    inference : {"own"}, Inference, optional
        For the interval and the p-value of each refit: ``"own"`` is the estimate's own. By default
        none, which is quicker.

    Notes
    -----
    A range that crosses zero says that the sign hangs on one authority; it is not an interval,
    and a narrow range does not make a biased comparison right. Nor is it a test: without any
    effect the range still crosses zero, or lies to one side of it, by chance (docs/removals.md
    counts how often).

    A period is left out by taking its cells away; with ``DiD(cells="complete")``, which asks for
    a value in every period, it leaves the calendar. Estimates by event time lose that term.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(dk.LeaveOneOut())
    >>> len(found.table)
    10
    """

    units: Literal["pilots", "comparators", "all", "regions", "sets", "periods"] = "pilots"
    comparators: Literal["kept", "rebuilt"] = "kept"
    by: str | Mapping[Any, Any] = field(default="region", kw_only=True, hash=False)
    inference: Literal["own"] | Inference | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.units not in left_out.KINDS or self.comparators not in ("kept", "rebuilt"):
            raise InferenceError(
                needed="units='pilots', 'comparators' or 'all', 'regions', 'sets' or 'periods'; "
                "comparators='kept' or 'rebuilt'",
                found=f"{self.units!r}, {self.comparators!r}",
                where="LeaveOneOut",
                todo="choose one of each; other groups than regions by units='regions', by=…",
            )
        given: Any = self.by
        if isinstance(given, pd.Series):
            given = given.to_dict()
        if not given or not isinstance(given, str | Mapping):
            raise InferenceError(
                needed="a column of panel.units, or a mapping of unit to group",
                found=repr(given),
                where="LeaveOneOut(by=)",
                todo="for example by='region'",
            )
        if given != "region" and self.units != "regions":
            raise InferenceError(
                needed="by= with units='regions' only",
                found=f"units={self.units!r}",
                where="LeaveOneOut(by=)",
                todo="write LeaveOneOut('regions', by=…)",
            )
        object.__setattr__(self, "by", given if isinstance(given, str) else dict(given))
        check_inference(self.inference, "LeaveOneOut(inference=)", "own")

    def __repr__(self) -> str:
        said = f"units={self.units!r}, comparators={self.comparators!r}"
        if self.by != "region":
            by = repr(self.by) if isinstance(self.by, str) else f"{{{len(self.by)} units}}"
            said += f", by={by}"
        return f"LeaveOneOut({said}" + (
            ")" if self.inference is None else f", inference={self.inference!r})"
        )

    def run(self, estimate: Estimate) -> Finding:
        """Refit without each; one row for each of them and term.

        Returns
        -------
        Finding
            Table ``left_out, name, arm, term, estimate, shift`` (the metric's unit), then, for
            groups, how many ``pilots`` and ``comparators`` went, and with `inference` ``conf_low,
            conf_high, p_value`` of the main term; facts ``full, lowest, highest`` of the main
            term, and ``zero_moves``: without how many zero is on the other side of the interval.
            A refit that does not exist is NaN, and a note says why.

        Raises
        ------
        InferenceError
            If there is only one pilot and pilots are to be left out; if there is no such grouping;
            or if an own inference is asked for of an estimate that stays bare.
        """
        sample, units = estimate.sample, self.units
        if sample.n_pilots < 2 and units in ("pilots", "all", "sets"):
            raise InferenceError(
                needed="at least two pilots",
                found="1",
                where="LeaveOneOut",
                todo="use LeaveOneOut(units='comparators') or PlaceboPilots()",
            )
        inference, level = asked_inference(estimate, self.inference)
        if units in left_out.ARMS:
            parts = left_out.units(estimate, units, rebuilt=self.comparators == "rebuilt")
        elif units == "periods":
            parts = left_out.periods(estimate)
        elif units == "sets":
            parts = left_out.sets(estimate, repr(self))
        else:
            parts = left_out.groups(estimate, self.by, repr(self))
        grouped = units in ("regions", "sets")
        term = estimate.main_term
        rows, notes = [], []
        for part in steps(parts, "leaving one out"):
            found: dict[Any, float] = {}
            low = high = p = np.nan
            try:
                refit = estimate.refit(part.edited())
                found = dict(zip(refit.terms["term"], refit.values, strict=True))
                if inference is not None:
                    _, low, high, p, why = with_interval(estimate, refit, inference, level)
                    if why:
                        notes.append(f"without {part.label}: {why}")
            except (DesignError, EstimationError, PanelError) as error:
                notes.append(f"no estimate without {part.label}: {error.found}")
            for m, name in enumerate(estimate.terms["term"]):
                value = float(found.get(name, np.nan))
                row = {
                    "left_out": part.label,
                    "name": part.name,
                    "arm": part.arm,
                    "term": name,
                    "estimate": value,
                    "shift": value - estimate.values[m],
                }
                if grouped:
                    row |= {"pilots": part.pilots, "comparators": part.comparators}
                if inference is not None:
                    here = (low, high, p) if name == term else (np.nan,) * 3
                    row |= dict(zip(("conf_low", "conf_high", "p_value"), here, strict=True))
                rows.append(row)
        return self._found(estimate, pd.DataFrame(rows), notes, level, sure=inference is not None)

    def _found(
        self, estimate: Estimate, table: pd.DataFrame, notes: list[str], level: float, *, sure: bool
    ) -> Finding:
        term = estimate.main_term
        full = float(estimate.values[estimate.place_of(None, where="LeaveOneOut")])
        mine = table[(table["term"] == term) & table["estimate"].notna()].sort_values("estimate")
        what = what_is_left_out(self)
        if mine.empty:
            raise InferenceError(
                needed="an estimate without at least one of the units",
                found=f"none: {notes[0]}" if notes else "none",
                where=repr(self),
                todo=f"every {what} left out is one that nothing can be estimated without",
            )
        low, high = mine.iloc[0], mine.iloc[-1]
        headline = (
            f"Without one {what} the estimate of "
            f"{with_unit(signed(full), estimate.metric)} runs from "
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
        facts = {"full": full, "lowest": least, "highest": most}
        if sure:
            said, facts["zero_moves"] = _zero(estimate, self.inference, mine, level)
            headline += f" {said}"
        return Finding(
            check=self,
            estimate=estimate,
            question=f"Does one {what} decide the answer?",
            headline=headline,
            table=table,
            facts=facts,
            notes=tuple(notes),
            cannot_show="a bias that all of them share, nor how sure the estimate is: the range is "
            "no interval, and without any effect it lies to one side of zero often enough",
            alternatives=(least, most),
        )


def what_is_left_out(check: Any) -> str:
    """Name in the singular what a `LeaveOneOut` leaves out.

    Examples
    --------
    >>> what_is_left_out(LeaveOneOut("regions")), what_is_left_out(LeaveOneOut())
    ('region', 'pilot')
    """
    units = str(getattr(check, "units", "all"))
    if units == "regions" and check.by != "region":
        return "group"
    return _WHAT.get(units, "authority")


def asked_inference(estimate: Estimate, given: Any) -> tuple[Inference | None, float]:
    """Return the inference of refits, and the level.

    Raises
    ------
    InferenceError
        If the estimate's own is asked for, and it was asked to stay bare.
    """
    if given is None:
        return None, 0.95
    if isinstance(given, str):
        own = estimate.attached
        return own.inference, own.level
    sure = estimate.uncertainty
    return given, 0.95 if sure is None else sure.level


def _zero(estimate: Estimate, asked: Any, mine: pd.DataFrame, level: float) -> tuple[str, float]:
    """Say without how many zero is on the other side of the interval."""
    whole = estimate if asked == "own" else estimate.infer(asked, level=level)
    row = whole[estimate.main_term]
    inside = bool(row["conf_low"] <= 0 <= row["conf_high"])
    there = mine[mine["conf_low"].notna() & mine["conf_high"].notna()]
    now = (there["conf_low"] <= 0) & (there["conf_high"] >= 0)
    moved = there[now != inside]
    held, other = ("inside", "outside") if inside else ("outside", "inside")
    start = f"Zero is {held} the {level:.0%} interval"
    if moved.empty:
        return f"{start}, and stays so.", 0.0
    names = ", ".join(moved["name"].astype(str).tolist()[:3]) + (", …" if len(moved) > 3 else "")
    return f"{start}, and {other} without {len(moved)} of {len(there)} ({names}).", float(
        len(moved)
    )
