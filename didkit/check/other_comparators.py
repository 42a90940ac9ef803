"""Other comparators: what each choice of whom to compare with does to the estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from didkit.check.asked import check_inference
from didkit.design import Against, Pool
from didkit.errors import DesignError, EstimationError, InferenceError, first_few, kind_of
from didkit.estimate import Gap
from didkit.progress import steps
from didkit.results import Estimate, Finding, Inference
from didkit.results.tables import signed, with_unit

__all__ = ["OtherComparators"]

_NUMBERS = ("estimate", "conf_low", "conf_high")


def _everybody() -> dict[str, Against]:
    return {"every other authority": Pool()}


@dataclass(frozen=True, eq=False)
class OtherComparators:
    """Refit with each of other choices of comparators, all else as it is.

    Parameters
    ----------
    choices : mapping of name to Against, optional
        For example ``{"closest 5": neighbours.closest(5).union(), "every other": Pool()}``; by
        default every other authority.
    original : str, default "as designed"
        What to call the comparators that the estimate has.
    inference : Inference, None or "recommended"
        For the refits, at the level of the estimate's own. By default each has the inference that
        suits its design (methods then differ between rows: the column ``method`` says which), or
        none if the estimate has none (``infer(None)``). None: no intervals, and no waiting;
        the jackknife of matched sets takes some seconds each.

    Raises
    ------
    InferenceError
        If there is no choice, one is no comparison, or one is called as the original.

    Notes
    -----
    The choices share pilots and most of their data: a narrow range does not make a biased
    comparison right, and the range is no interval. Which choice is right is a matter of who
    would have fared alike, to be settled before the outcomes are seen.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> choices = {"first five others": dk.Pool(design.comparators[:5])}
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(OtherComparators(choices))
    >>> found.table["comparators"].tolist()[1:]
    [5]
    """

    choices: Mapping[str, Against] = field(default_factory=_everybody)
    original: str = field(default="as designed", kw_only=True)
    inference: Inference | Literal["recommended"] | None = field(
        default="recommended", kw_only=True
    )

    def __post_init__(self) -> None:
        check_inference(self.inference, "OtherComparators(inference=)", "recommended")
        given: Any = self.choices
        wrong = (
            [f"{name!r}: {kind_of(one)}" for name, one in given.items()
             if not isinstance(one, Against)]
            if isinstance(given, Mapping)
            else [kind_of(given)]
        )  # fmt: skip
        same = isinstance(given, Mapping) and self.original in given
        if wrong or same or not given:
            raise InferenceError(
                needed="a mapping of names to comparisons, such as {'every other': Pool()}, none "
                f"called {self.original!r}",
                found=first_few(wrong)
                if wrong
                else f"one called {self.original!r}"
                if same
                else "none",
                where="OtherComparators(choices)",
                todo="name each choice, and give Pool(), neighbours.union(), … as its value",
            )
        object.__setattr__(self, "choices", MappingProxyType(dict(given)))

    def run(self, estimate: Estimate) -> Finding:
        """Refit with each choice; the first row is the estimate as it is.

        Returns
        -------
        Finding
            Table ``choice, described, comparators`` (units, pilots in sets included),
            ``estimate, conf_low, conf_high`` (main term, the metric's unit), ``method,
            gap_before`` (the gap in level before the start, the metric's unit), ``share_before``
            (of the gap after; NaN where the two differ in sign) and ``note``: why there is no
            estimate, or no interval; a row without an estimate has NaN. Facts ``full, lowest,
            highest`` over all rows, ``choices`` with an estimate beside the original,
            ``refused``.
        """
        term = estimate.main_term
        rows = [_row(self.original, estimate, term)]
        for name, against in steps(list(self.choices.items()), "other comparators"):
            rows.append(self._refit(name, against, estimate, term))
        table = pd.DataFrame(rows)
        others = table.iloc[1:]
        got = table[table["estimate"].notna()]
        full = float(table["estimate"].iloc[0])
        n = int(others["estimate"].notna().sum())
        refused = len(others) - n
        notes = [f"{row['choice']}: {row['note']}" for _, row in others.iterrows() if row["note"]]
        return Finding(
            check=self,
            estimate=estimate,
            question="Does the answer hang on whom the pilots are compared with?",
            headline=_headline(got, with_unit(signed(full), estimate.metric), n, refused),
            table=table,
            facts={
                "full": full,
                "lowest": float(got["estimate"].min()),
                "highest": float(got["estimate"].max()),
                "choices": float(n),
                "refused": float(refused),
            },
            notes=tuple(notes),
            cannot_show="which choice is right, or that any is: all of them share the pilots",
            alternatives=(float(got["estimate"].min()), float(got["estimate"].max())),
        )

    def _refit(self, name: str, against: Against, estimate: Estimate, term: str) -> dict[str, Any]:
        sure = estimate.uncertainty
        level = 0.95 if sure is None else sure.level
        bare = self.inference is None or (sure is None and self.inference == "recommended")
        try:
            design = estimate.design.compared_with(against)
            refit = estimate.refit(design)
            if term not in set(refit.terms["term"]):
                raise EstimationError(
                    needed=f"the term {term!r}",
                    found="none such with these comparators",
                    where=name,
                    todo="choose comparators with data in the same periods",
                )
        except (DesignError, EstimationError) as error:
            return {
                "choice": name,
                "described": against.describe(),
                "comparators": 0,
                **dict.fromkeys(_NUMBERS, np.nan),
                "method": "",
                "gap_before": np.nan,
                "share_before": np.nan,
                "note": f"{error.found}; {error.needed} needed",
            }
        why = ""
        try:
            refit = refit.infer(None if bare else self.inference, level=level)
        except InferenceError as error:
            why = f"no interval: {error.found}"
            refit = refit.infer(None)
        return _row(name, refit, term, why)


def _row(name: str, estimate: Estimate, term: str, why: str = "") -> dict[str, Any]:
    found, sure = estimate[term], estimate.uncertainty
    before = share = float("nan")
    try:
        gap = Gap().fit(estimate.design, estimate.metric)
        before = float(gap.values[list(gap.terms["term"]).index("gap_before")])
        share = float(gap.facts.get("share_before", np.nan))
    except EstimationError as error:
        why = "; ".join(one for one in (why, f"no gap before: {error.found}") if one)
    return {
        "choice": name,
        "described": estimate.design.against.describe(),
        "comparators": len(estimate.design.comparators),
        **{number: float(found.get(number, np.nan)) for number in _NUMBERS},
        "method": "" if sure is None else sure.method,
        "gap_before": before,
        "share_before": share,
        "note": why,
    }


def _headline(got: pd.DataFrame, full: str, n: int, refused: int) -> str:
    """Say the range, who is at its ends, and whether the sign changes."""
    gone = f" {refused} could not be fitted." if refused else ""
    if not n:
        return f"No other choice of comparators gives an estimate beside {full}.{gone}"
    ordered = got.sort_values("estimate", kind="stable")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    least, most = float(low["estimate"]), float(high["estimate"])
    zero = 1e-9 * max(abs(least), abs(most))  # what arithmetic leaves of nothing
    sign = (
        "its sign changes"
        if least < -zero and most > zero
        else "its sign stays"
        if least > zero or most < -zero
        else "with one of them it is zero"
    )
    choices = "1 other choice" if n == 1 else f"{n} other choices"
    return (
        f"With {choices} of comparators the estimate of {full} runs from "
        f"{signed(least)} ({low['choice']}) to {signed(most)} ({high['choice']}); {sign}.{gone}"
    )
