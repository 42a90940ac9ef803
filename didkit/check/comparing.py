"""Several estimators on one design and metric: their answers side by side, refusals beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from didkit import estimate as room
from didkit.check.admitting import Asked, admitted, estimator_for
from didkit.design import Design
from didkit.errors import (
    DesignError,
    DidkitError,
    EstimationError,
    InferenceError,
    is_number,
    is_whole,
)
from didkit.inference import Jackknife, PlaceboVariance
from didkit.inference.rule import recommend
from didkit.panel import Metric
from didkit.progress import steps
from didkit.results import Estimate, Estimator, Finding, Inference
from didkit.results.tables import signed

__all__ = ["Comparison", "compare"]

_COLUMNS = ["estimator", "term", "estimate", "conf_low", "conf_high", "p_value", "inference",
            "n_pilots", "n_comparators", "phase", "event_time", "notes", "refused"]  # fmt: skip
# terms in another unit, of another question, or by event time, which is asked for by name
_NOT_ALIKE = ("Gap", "PoissonDiD", "DoseResponse", "TripleDifference", "EventStudy", "Switching")


@dataclass(frozen=True)
class Comparison:
    """Fit several estimators where one was fitted; see `compare`.

    Parameters
    ----------
    estimators : tuple of Estimator, optional
        By default those that the design admits and that answer one question: the mean effect from
        the start on, in the metric's unit. Not `Gap`, `PoissonDiD`, `DoseResponse`,
        `TripleDifference`, and the event studies, which may be named.
    inference : Inference, None or "recommended"
        The same for all, none, or for each its own.
    level : float, default 0.95
        Of the intervals.
    refits : int, default 200
        The most fits for the interval of one estimator, where ``"recommended"`` means fitting
        again: placebo draws are cut to it, and a jackknife that needs more is not run; a note
        says so.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.DiD().fit(design, "cpp").infer(None)
    >>> check = Comparison((dk.DiD(), dk.DiD("complete")), inference=None)
    >>> made.check(check).table["estimator"].tolist()
    ['DiD()', "DiD(cells='complete')"]
    """

    estimators: tuple[Estimator, ...] | None = None
    inference: Any = field(default="recommended", kw_only=True)
    level: float = field(default=0.95, kw_only=True)
    refits: int = field(default=200, kw_only=True)

    def __post_init__(self) -> None:
        given: object = self.estimators
        if given is not None:
            good = isinstance(given, list | tuple) and len(given) > 0
            if not good or not all(
                hasattr(one, "fit") and not isinstance(one, type) for one in self.estimators or ()
            ):
                raise EstimationError(
                    needed="estimators, such as [DiD(), GroupTime()]",
                    found=repr(given),
                    where="compare(estimators=)",
                    todo="make each: DiD(), not DiD or 'DiD'; leave it out for all admitted",
                )
            object.__setattr__(self, "estimators", tuple(given))  # type: ignore[arg-type]
        known = self.inference is None or self.inference == "recommended"
        if not known and (
            isinstance(self.inference, type) or not hasattr(self.inference, "attach")
        ):
            raise InferenceError(
                needed="an inference, None or 'recommended'",
                found=repr(self.inference),
                where="compare(inference=)",
                todo="say Permutation(), not its name",
            )
        if not is_number(self.level) or not 0 < self.level < 1:
            raise InferenceError(
                needed="a level between 0 and 1",
                found=repr(self.level),
                where="compare(level=)",
                todo="0.95 is usual",
            )
        if not is_whole(self.refits) or self.refits < 19:
            raise InferenceError(
                needed="a whole number of refits, 19 or more",
                found=repr(self.refits),
                where="compare(refits=)",
                todo="19 is the least with which a 5% test exists; inference=None fits none",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Compare on the design and metric of an estimate.

        Raises
        ------
        EstimationError
            If every estimator refuses.
        """
        return self.on(estimate.design, estimate.metric)

    def on(self, design: Design, metric: str | Metric) -> Finding:
        """Compare on a design and metric; returns and raises what `compare` does."""
        chosen = self.estimators
        if chosen is None:
            asked = Asked(design, design.sample(metric))
            names = [name for name in room.__all__ if name not in _NOT_ALIKE]
            chosen = tuple(
                estimator_for(name, asked) for name in names if not admitted(name, asked)
            )
        made: list[Estimate] = []
        rows: list[dict[str, object]] = []
        for one in steps(chosen, "comparing estimators"):
            name = label(one)
            try:
                fitted = one.fit(design, metric)
            except (EstimationError, DesignError) as error:
                rows.append({"estimator": name, "refused": f"{error.needed}: {error.found}"})
                continue
            fitted, why = self._inferred(fitted)
            made.append(fitted)
            rows += _rows(name, fitted, why)
        if not made:
            raise EstimationError(
                needed="an estimator that this design admits",
                found="; ".join(f"{row['estimator']}: {row['refused']}" for row in rows[:3])
                or "none",
                where="compare",
                todo="see recommend_estimator(design), which says why not",
            )
        table = pd.DataFrame(rows, columns=_COLUMNS)
        table[["notes", "refused"]] = table[["notes", "refused"]].fillna("")
        return _finding(self, made, table)

    def _inferred(self, fitted: Estimate) -> tuple[Estimate, str]:
        """Attach the inference, within the number of refits; else none, and why."""
        try:
            if self.inference != "recommended":
                return fitted.infer(self.inference, level=self.level), ""
            advice = recommend(fitted)
            n = len(fitted.sample.cluster_labels)
            if isinstance(advice.inference, Jackknife) and n > self.refits:
                return fitted.infer(None), (
                    f"no interval: the jackknife would fit {n} times, refits={self.refits}"
                )
            if isinstance(advice.inference, PlaceboVariance):
                draws = advice.inference.draws
                if draws > self.refits:
                    fewer: Inference = replace(advice.inference, draws=self.refits)
                    return (
                        fitted.infer(fewer, level=self.level),
                        f"{self.refits} placebos of {draws}: refits={self.refits}",
                    )
            return fitted.infer(level=self.level), ""
        except DidkitError as error:
            return fitted.infer(None), f"no interval: {error.found}"


def compare(
    design: Design,
    metric: str | Metric,
    *,
    estimators: Sequence[Estimator] | None = None,
    inference: Any = "recommended",
    level: float = 0.95,
    refits: int = 200,
) -> Finding:
    """Fit several estimators to one design and metric, and lay their answers side by side.

    Parameters
    ----------
    design : Design
        Who is compared with whom.
    metric : str or Metric
        What is measured.
    estimators, inference, level, refits
        As for `Comparison`.

    Returns
    -------
    Finding
        Table: a row an estimator and term, ``estimator, term, estimate, conf_low, conf_high,
        p_value, inference, n_pilots, n_comparators, phase, event_time, notes``, in the metric's
        unit; one that refuses has a row with the reason in ``refused``. Facts: ``n_estimators,
        n_refused`` and ``least, largest`` of the main terms. Its picture has all of them:
        `didkit.plot.estimators`. ``estimate`` is the first that did not refuse.

    Raises
    ------
    EstimationError
        If every estimator refuses.
    PanelError
        If the metric is unknown.

    Notes
    -----
    Estimators differ in what they assume and whom they weigh: answers that differ say that this
    matters here, answers that agree that it does not, not that they are right. All share the same
    pilots and comparators, and much of the noise. An estimator chosen because of its answer has an
    interval that is too short: choose by `recommend_estimator` before looking.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = compare(design, "cpp", estimators=[dk.DiD(), dk.DoublyRobust()], inference=None)
    >>> found.table[["estimator", "refused"]].values.tolist()
    [['DiD()', ''], ['DoublyRobust()', 'one start date: 2: 2 (2018, 2019)']]
    """
    given: Any = estimators
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = tuple(given)
    check = Comparison(given, inference=inference, level=level, refits=refits)
    return check.on(design, metric)


def label(estimator: Estimator) -> str:
    """Name an estimator by the options that are not as they come.

    Examples
    --------
    >>> import didkit as dk
    >>> label(dk.GroupTime(by="dynamic"))
    "GroupTime(by='dynamic')"
    """
    fields = getattr(estimator, "__dataclass_fields__", {})
    said = []
    for name, one in fields.items():
        value = getattr(estimator, name)
        if not one.repr or name.startswith("_"):
            continue
        if value != one.default and (value not in ((), None)):
            said.append(f"{name}={value!r}")
    return f"{type(estimator).__name__}({', '.join(said)})"


def _rows(name: str, fitted: Estimate, why: str) -> list[dict[str, object]]:
    """One row a term; the notes on the first."""
    sure = fitted.uncertainty
    method = "none" if sure is None else sure.method
    table = fitted.tidy()
    table = table[table["term"].isin(fitted.terms["term"])]
    notes = "; ".join(part for part in (why, *fitted.notes) if part)
    if sure is not None and method == "none":
        notes = "; ".join(part for part in (*sure.notes, notes) if part)
    keep = [column for column in _COLUMNS if column in table.columns]
    rows = table[keep].to_dict("records")
    return [
        {**{str(k): v for k, v in row.items()}, "estimator": name, "inference": method,
         "notes": notes if i == 0 else "", "refused": ""}
        for i, row in enumerate(rows)
    ]  # fmt: skip


def _finding(check: Comparison, made: list[Estimate], table: pd.DataFrame) -> Finding:
    """Sum up the main terms."""
    main = [float(one.values[one.place_of(None, where="compare")]) for one in made]
    least, largest = min(main), max(main)
    refused = int((table["refused"] != "").sum())
    n = len(made)
    spread = (
        f"from {signed(least)} to {signed(largest)}"
        if not math.isclose(least, largest, rel_tol=1e-9)
        else f"{signed(least)}"
    )
    terms = {one.main_term for one in made}
    term = next(iter(terms)) if len(terms) == 1 and terms != {"att"} else ""
    headline = f"{n} estimator{'s' if n != 1 else ''}: {spread}" + (f" at {term}" if term else "")
    headline += f"; {refused} refused." if refused else "."
    notes = ["all share the same pilots, comparators and much of the noise: agreement is no test"]
    estimands = {one.estimand for one in made}
    if len(estimands) > 1:
        notes.append("they do not all weigh pilots and periods alike: see each one's estimand")
    signs = {float(np.sign(value)) for value in main if value}
    if len(signs) > 1:
        notes.append("they do not agree on the sign")
    return Finding(
        check=check,
        estimate=made[0],
        question="How much does the answer depend on the estimator?",
        headline=headline,
        table=table,
        facts={
            "n_estimators": float(n),
            "n_refused": float(refused),
            "least": least,
            "largest": largest,
        },
        notes=tuple(notes),
        cannot_show="that the change is right: estimators that share their pilots and comparators "
        "share what is wrong with them",
        alternatives=(least, largest),
    )
