"""Checks: the set that suits an estimate, in one table."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from didkit.check.event_terms import EventTerms
from didkit.check.pre_trends import PreTrends
from didkit.check.suited import INTERVALS, LABELS, NEED, SUITED, Suited, suits
from didkit.errors import DidkitError, InferenceError, first_few
from didkit.progress import steps
from didkit.results import Check, Estimate, Finding
from didkit.results.asking import CHECKS
from didkit.results.tables import signed, with_unit

__all__ = ["Checks"]

_COLUMNS = (
    "check",
    "asked",
    "found",
    "low",
    "high",
    "which",
    "unit",
    "cannot_show",
    "refused",
    "seconds",
)
_Task = tuple[str, Callable[[Estimate], Check]]


@dataclass(frozen=True)
class Checks:
    """Run the checks that suit an estimate, one after the other, and lay them in one table.

    Parameters
    ----------
    only : sequence of str or Check, optional
        These and no others: names of rows, such as ``"LeaveOneOut"`` (of pilots) or ``"LeaveOneOut
        of comparators"``, or checks with options of their own. They are run whether they suit or
        not.
    leave_out : sequence of str
        Names of rows to leave out.
    more : sequence of Check
        Run beside those that suit: checks that need an argument, such as
        ``PreTrendEquivalence(5)``.
    slow : bool, default False
        Also those that refit hundreds of times: `Breakdown`, and `SmallestRemoval` where the
        estimator has to be refitted and that may take more than 300 times (150 for synthetic
        controls, whose fits are slow).

    Raises
    ------
    InferenceError
        If a name is unknown, the nearest are suggested; or something is no check.

    Notes
    -----
    Which suit is a list of rules (``didkit.check.suited.SUITED``): those about the time before the
    start need two periods of it, `Bounds` a hidden or rounded cell, `Contamination` marked units,
    and so on. Nothing is chosen by what it finds. A check that the estimate does not bear keeps
    its row, with the reason. An interruption (Ctrl-C) ends all of them.

    The rows share one data set: that many of them point one way is not many pieces of evidence, and
    among twenty of them something looks odd by chance.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(dk.ClusterRobust("CR2"))
    >>> found = did.check(Checks(only=["LeaveOneOut", "DetectableEffect"]))
    >>> found.table[["check", "which", "refused"]].values.tolist()
    [['LeaveOneOut', 'alternatives', ''], ['DetectableEffect', '', '']]
    """

    only: Sequence[str | Check] | None = field(default=None, kw_only=True)
    leave_out: Sequence[str] = field(default=(), kw_only=True)
    more: Sequence[Check] = field(default=(), kw_only=True)
    slow: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("only", "leave_out", "more"):
            given: Any = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _several(given, name))
        named = [one for one in self.only or () if isinstance(one, str)]
        for option, names in (("only", named), ("leave_out", self.leave_out)):
            for name in names:
                _known(name, option)
        for option, objects in (("only", self.only or ()), ("more", self.more)):
            for one in objects:
                if option == "more" or not isinstance(one, str):
                    _is_check(one, option)
        if not isinstance(self.slow, bool):
            raise InferenceError(
                needed="slow=True or slow=False",
                found=repr(self.slow),
                where="Checks(slow=)",
                todo="write slow=True to run those that refit hundreds of times",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Run them.

        Returns
        -------
        Finding
            Table: one row a check, ``check, asked, found, low, high, which, unit, cannot_show,
            refused, seconds``. ``low, high`` in the metric's unit: other values of the main term
            (``which`` "alternatives"), an interval that allows for other trends ("interval"), or
            what is found where nothing should be ("placebos"); NaN where a check gives none.
            ``refused``: why there is no finding, otherwise "". ``parts``: each check's own
            finding by the name of its row. Facts: ``n_run, n_refused`` and ``lowest, highest`` of
            all alternatives, intervals not among them (NaN without any).

        Raises
        ------
        InferenceError
            If nothing is left to run.
        """
        tasks, notes = self._tasks(estimate)
        if not tasks:
            raise InferenceError(
                needed="at least one check to run",
                found="none: all are left out, or none suits",
                where="Checks",
                todo="name fewer in leave_out=, or give checks in only=",
            )
        rows: list[dict[str, Any]] = []
        parts: dict[str, Finding] = {}
        for name, make in steps(tasks, "checks"):
            began = time.perf_counter()
            named = steps([make], LABELS.get(name, name).lower())  # its name beside the bar
            [(found, refused)] = [_one(estimate, one) for one in named]
            if found is not None:
                parts[name] = found
            rows.append(_row(estimate, name, found, refused, time.perf_counter() - began))
        table = pd.DataFrame(rows, columns=list(_COLUMNS))
        others = {name: one for name, one in parts.items() if not _is_interval(one)}
        alternatives = _hull([found.alternatives for found in others.values()])
        placebos = _hull([found.placebos for found in parts.values()])
        low, high = (np.nan, np.nan) if alternatives is None else alternatives
        return Finding(
            check=self,
            estimate=estimate,
            question="What do the checks that suit this estimate find?",
            headline=_headline(estimate, parts, len(rows) - len(parts)),
            table=table,
            facts={
                "n_run": float(len(parts)),
                "n_refused": float(len(rows) - len(parts)),
                "lowest": low,
                "highest": high,
            },
            notes=tuple(notes),
            cannot_show="that the comparison is right, however many checks agree: they share its "
            "data, and most of them its assumption",
            alternatives=alternatives,
            placebos=placebos,
            parts=parts,
        )

    def _tasks(self, estimate: Estimate) -> tuple[list[_Task], list[str]]:
        """Return what is to be run, by name of its row, and what is said of the rest."""
        notes: list[str] = []
        tasks: dict[str, Callable[[Estimate], Check]] = {}
        if self.only is not None:
            named = {one.name: one for one in SUITED}
            for one in self.only:
                _add(tasks, named[one] if isinstance(one, str) else one)
        else:
            fit, unfit = suits(estimate)
            long = [one for one in fit if not self.slow and one.slow(estimate)]
            for suited in fit:
                if suited not in long:
                    _add(tasks, suited)
            if unfit:
                lacking = (f"{one.name} (needs {one.rule})" for one in unfit)
                notes.append("not asked of this estimate: " + ", ".join(lacking))
            given = {type(one).__name__ for one in self.more}
            asking = (f"{name} ({what})" for name, what in NEED.items() if name not in given)
            notes.append(
                "not run, as they need something from you: " + ", ".join(asking) + "; give them in "
                "more="
            )
            if long:
                names = ", ".join(one.name for one in long)
                notes.append(f"not run, as they refit hundreds of times: {names}; slow=True does")
        for check in self.more:
            _add(tasks, check)
        for name in self.leave_out:
            tasks.pop(name, None)
        if self.leave_out:
            notes.append(f"left out by name: {', '.join(self.leave_out)}")
        return list(tasks.items()), notes


def _add(tasks: dict[str, Callable[[Estimate], Check]], one: Suited | Check) -> None:
    """Name a row: by its class, or by all its options where that name is taken."""
    if isinstance(one, Suited):
        tasks.setdefault(one.name, one.make)
        return
    name = type(one).__name__
    if name in tasks:
        name = repr(one)
    tasks[name] = lambda estimate: one


def _one(estimate: Estimate, make: Callable[[Estimate], Check]) -> tuple[Finding | None, str]:
    """Run one check; a refusal is an answer too."""
    try:
        check = make(estimate)
        events = isinstance(check, PreTrends) and _has_no_path(estimate)
        asked = EventTerms.of(estimate).events if events else estimate
        return asked.check(check), ""
    except DidkitError as error:
        return None, f"needed {error.needed}; found {error.found}"


def _has_no_path(estimate: Estimate) -> bool:
    """Whether the test before the start needs the event study that belongs to the estimate."""
    return estimate.reference is None or not (estimate.terms["phase"] == "before").any()


def _row(
    estimate: Estimate, name: str, found: Finding | None, refused: str, seconds: float
) -> dict[str, Any]:
    unit = estimate.metric.unit or "units of the metric"
    if found is None:
        blank = dict.fromkeys(("asked", "found", "which", "cannot_show"), "")
        return {"check": name, **blank, "low": np.nan, "high": np.nan, "unit": unit,
                "refused": refused, "seconds": seconds}  # fmt: skip
    ends = found.alternatives or found.placebos
    return {
        "check": name,
        "asked": found.question,
        "found": found.headline,
        "low": np.nan if ends is None else float(ends[0]),
        "high": np.nan if ends is None else float(ends[1]),
        "which": _which(found),
        "unit": unit,
        "cannot_show": found.cannot_show,
        "refused": "",
        "seconds": seconds,
    }


def _is_interval(found: Finding) -> bool:
    return type(found.check).__name__ in INTERVALS


def _which(found: Finding) -> str:
    """Say what the two ends of a row are."""
    if found.alternatives is not None:
        return "interval" if _is_interval(found) else "alternatives"
    return "" if found.placebos is None else "placebos"


def _hull(ranges: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    """Return the lowest and the highest end; None where there is none."""
    ends = [end for one in ranges if one is not None for end in one if not np.isnan(end)]
    return (float(min(ends)), float(max(ends))) if ends else None


def _headline(estimate: Estimate, parts: dict[str, Finding], refused: int) -> str:
    """Say how many were run, and how far other values and placebos reach."""
    n = len(parts)
    said = f"{n} check{'s' * (n != 1)} of the estimate of "
    said += with_unit(signed(_main(estimate)), estimate.metric)
    said += f", and {refused} that it does not bear." if refused else "."
    plain = {name: one for name, one in parts.items() if not _is_interval(one)}
    span = _span({name: one.alternatives for name, one in plain.items()})
    if span:
        said += f" Other values of it run from {span}."
    span = _span({name: one.placebos for name, one in parts.items()})
    if span:
        said += f" Where nothing should be found, the method finds {span}."
    return said


def _span(ranges: dict[str, tuple[float, float] | None]) -> str:
    """Write the outermost ends, and whose they are."""
    low = [(one[0], name) for name, one in ranges.items() if one and not np.isnan(one[0])]
    high = [(one[1], name) for name, one in ranges.items() if one and not np.isnan(one[1])]
    if not low or not high:
        return ""
    (least, first), (most, last) = min(low), max(high)
    return f"{signed(least)} ({first}) to {signed(most)} ({last})"


def _main(estimate: Estimate) -> float:
    return float(estimate.values[estimate.place_of(None, where="Checks")])


# -- what is asked ---------------------------------------------------------------------------------


def _several(given: Any, option: str) -> tuple[Any, ...]:
    """Return a tuple; one name or check alone need not stand in a list."""
    if isinstance(given, str) or hasattr(given, "run"):
        return (given,)
    if not isinstance(given, Sequence):
        raise InferenceError(
            needed="a list of names or checks",
            found=f"{type(given).__name__}: {given!r}"[:120],
            where=f"Checks({option}=)",
            todo=f'write {option}=["LeaveOneOut"]' if option != "more" else "write more=[…]",
        )
    return tuple(given)


def _known(name: object, option: str) -> None:
    """Refuse a name that is no row's."""
    names = [one.name for one in SUITED]
    if name in names:
        return
    where = f"Checks({option}=)"
    if name in NEED:
        raise InferenceError(
            needed=f"{name} with {NEED[str(name)]}",
            found="its name alone",
            where=where,
            todo=f"write {option}=[{name}(…)]"
            if option == "only"
            else "take it out: it is not run by itself",
        )
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4)
    raise InferenceError(
        needed="names of checks that need nothing from you",
        found=repr(name),
        where=where,
        todo=f"did you mean {' or '.join(near)}?" if near else f"choose from: {', '.join(names)}",
    )


def _is_check(given: object, option: str) -> None:
    """Refuse what is no check, or is this one."""
    if not isinstance(given, type) and hasattr(given, "run") and not isinstance(given, Checks):
        return
    shown = f"the class {given.__name__}" if isinstance(given, type) else repr(given)[:80]
    if isinstance(given, str) and given in CHECKS:
        shown = f"the name {given}"
    raise InferenceError(
        needed="a check such as LeaveOneOut(), other than Checks itself",
        found=shown,
        where=f"Checks({option}=)",
        todo=f"choose from: {first_few(CHECKS, 40)}",
    )
