"""What would change our mind: sentences with numbers, and what was looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from didkit.report.numerals import (
    count,
    equals,
    interval,
    joined,
    plural,
    said,
    said_signed,
)
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation, MetricResult

__all__ = [
    "LESS",
    "MORE",
    "SAME",
    "alternatives",
    "alternatives_in_words",
    "before_the_start",
    "cells_in_words",
    "chosen_in_words",
    "left_out_in_words",
    "looked_at",
    "methods_in_words",
    "moved_before",
    "sign_over",
    "speaks_against",
    "start_in_words",
]

MORE, LESS = "more than the change itself", "less than the change itself"
SAME = "as much as the change itself"
_NEAR = 1e-9  # two sizes that differ by rounding only
_SIDES = ("does not hold zero", "holds zero")
_LEFT_OUT = {"pilots": "pilot", "comparators": "comparator", "all": "authority"}


def alternatives(evaluation: Evaluation, metric: str) -> pd.DataFrame:
    """Return the planned alternatives of one metric, a row each; empty without any."""
    record = evaluation.record
    if record is None or record.sensitivity.empty:
        return pd.DataFrame()
    table = record.sensitivity
    return table[table["metric"] == metric].reset_index(drop=True)


def alternatives_in_words(evaluation: Evaluation, metric: str) -> str:
    """Name each planned alternative under which the sign turns, or the interval crosses zero."""
    row = evaluation[metric].did.tidy().iloc[0]
    mine = _side(float(row["conf_low"]), float(row["conf_high"]))
    parts, turned = [], []
    for other in alternatives(evaluation, metric).to_dict("records"):
        value, low, high = (float(other[name]) for name in ("estimate", "conf_low", "conf_high"))
        theirs = _side(low, high)
        if None not in (mine, theirs) and mine != theirs:
            parts.append(
                f"With the planned alternative '{other['name']}' the change is "
                f"{said_signed(value)} ({interval(low, high)}): its interval "
                f"{_SIDES[int(theirs == 0)]}."
            )
        elif float(row["estimate"]) * value < 0:
            turned.append((f"'{other['name']}'", said_signed(value)))
    if turned:
        names, values = [name for name, _ in turned], [value for _, value in turned]
        some = "alternative" if len(turned) == 1 else "alternatives"
        parts.append(
            f"With the planned {some} {joined(names)} its sign turns ({', '.join(values)})."
        )
    return " ".join(parts)


def _side(low: float, high: float) -> int | None:
    """Which side of zero an interval lies on: 0 where it holds zero, None where there is none."""
    if np.isnan(low) or np.isnan(high):
        return None
    return int(low > 0) - int(high < 0)


def cells_in_words(result: MetricResult, level: float) -> str:
    """Give the estimate on complete cells where it tells another story."""
    other = result.did_complete
    if other is None:
        return ""
    mine, theirs = result.did.tidy().iloc[0], other.tidy().iloc[0]
    turned = mine["estimate"] * theirs["estimate"] < 0
    alpha = 1 - level
    both = np.isfinite(mine["p_value"]) and np.isfinite(theirs["p_value"])
    crossed = both and (mine["p_value"] < alpha) != (theirs["p_value"] < alpha)
    if not turned and not crossed:
        return ""
    p = float(theirs["p_value"])
    says = f" (p {equals(p)})" if np.isfinite(p) else ""
    why = "the sign" if turned else f"which side of {tables.p_value(alpha)} p falls on"
    return (
        f"On the {plural(int(theirs['n_pilots']), 'pilot')} and "
        f"{plural(int(theirs['n_comparators']), 'comparator')} observed in every period the "
        f"change is {said_signed(float(theirs['estimate']))}{says}: "
        f"{why} hangs on which cells are used."
    )


_LOUD = (
    "ClusterRobust(kind='CR0'",
    "ClusterRobust(kind='CR1'",
    "ConleyTaber",
    "DonaldLang",
    "Hagemann",
    "LauLi",
)


def methods_in_words(result: MetricResult, level: float) -> str:
    """Say that methods of inference stand on both sides of the level, where they do.

    CR0 and CR1, and closed forms that take pilots to be as noisy as comparators, have no voice
    unless one of them is the recommended one: they reject a true null too often.
    """
    table = result.methods
    loud = table["inference"].str.startswith(_LOUD) & ~table["recommended"].astype(bool)
    heard = table[np.isfinite(table["p_value"].astype(float)) & ~loud].sort_values("p_value")
    alpha = round(1 - level, 12)
    if heard.empty or not heard["p_value"].iloc[0] <= alpha < heard["p_value"].iloc[-1]:
        return ""
    ends = [
        f"{equals(float(row['p_value']))} by {str(row['method']).partition(', ')[0]}"
        for row in (heard.iloc[0], heard.iloc[-1])
    ]
    return (
        f"p {ends[0]}, but {ends[1]}: which side of {tables.p_value(alpha)} it falls on hangs on "
        "the method."
    )


def left_out_in_words(result: MetricResult) -> str:
    """Give the span of the change without one unit after the other."""
    left = result.findings.get("LeaveOneOut")
    if left is None:
        return ""
    low, high = left.facts["lowest"], left.facts["highest"]
    what = _LEFT_OUT[str(getattr(left.check, "units", "pilots"))]
    return (
        f"Without one {what} the change is anything from {interval(low, high)}: "
        f"{sign_over(low, high)}."
    )


def sign_over(low: float, high: float) -> str:
    """Say what becomes of the sign of a change over a range of values.

    Examples
    --------
    >>> sign_over(-1.0, 2.0), sign_over(1.0, 2.0)
    ('its sign hangs on one of them', 'its sign stays')
    >>> sign_over(0.0, 0.0), sign_over(0.0, 2.0)
    ('it stays zero', 'without one of them it is zero')
    """
    if low < 0 < high:
        return "its sign hangs on one of them"
    if low == high == 0:
        return "it stays zero"
    return "without one of them it is zero" if 0 in (low, high) else "its sign stays"


def _than(size: float, change: float) -> str:
    """Compare two sizes; equal ones are neither more nor less."""
    size, change = abs(size), abs(change)
    if abs(size - change) <= _NEAR * max(size, change):
        return SAME
    return MORE if size > change else LESS


def _as_large(size: float, change: float) -> bool:
    """Whether a movement without a programme is as large as the change, and not nothing."""
    return size != 0 and _than(size, change) != LESS


def start_in_words(result: MetricResult, *, always: bool) -> str:
    """Compare with the largest change at an earlier start; where it is smaller, only on request."""
    start = result.findings.get("PlaceboStart")
    if start is None:
        return ""
    largest, actual = start.facts["largest"], start.facts["actual"]
    if not _as_large(largest, actual) and not always:
        return ""
    n = len(start.table)
    tried = f" ({count(n)} tried)" if always else ""
    than = _than(largest, actual)
    return (
        f"With an earlier start, among {_periods(result)} without a programme{tried}, the method "
        f"finds {said_signed(largest)}, {than}."
    )


def chosen_in_words(result: MetricResult) -> str:
    """Compare with what the choice of the pilots alone would show, where that is as large.

    Of a selection that is not known by its values (a bid) the range over those simulated is given.
    Nothing is said of matched sets: the number is that of a comparison with a pool.
    """
    found = result.findings.get("RegressionToTheMean")
    if found is None or result.did.sample.sets is not None:
        return ""
    bias, actual = found.facts["bias"], found.facts["actual"]
    if np.isfinite(bias):
        if not _as_large(bias, actual):
            return ""
        return (
            f"The choice of pilots would by itself show {said_signed(bias)}, {_than(bias, actual)}."
        )
    low, high = found.facts["bias_lowest"], found.facts["bias_highest"]
    far = max(low, high, key=abs)
    if not _as_large(far, actual):
        return ""
    return (
        f"The choice of pilots could by itself show anything from {interval(low, high)} (had the "
        f"most extreme been taken), {_than(far, actual)}."
    )


# -- before the start ----------------------------------------------------------------------------


def moved_before(result: MetricResult, level: float) -> str:
    """Say that the gap already moved before the start, where the joint test says so."""
    finding = result.findings.get("PreTrends")
    p = finding.facts["p_value"] if finding is not None else np.nan
    if not p <= round(1 - level, 12):
        return ""
    return f"Before the start the gap had already moved ({_tested(result, p)})"


def before_the_start(result: MetricResult, level: float) -> str:
    """Compare the largest movement before the start with the change; empty without the test."""
    finding = result.findings.get("PreTrends")
    if finding is None:
        return ""
    largest, p = finding.facts["largest"], finding.facts["p_value"]
    than = _than(largest, float(result.did.values[0]))
    moved = f"Before the start the gap had moved by up to {said(largest)}, {than}"
    if not np.isfinite(p):
        return f"{moved}."
    if moved_before(result, level):
        return (
            f"{moved} ({_tested(result, p)}): the change rests on an assumption that these data "
            "speak against."
        )
    return f"{moved} ({_tested(result, p)})."


def _tested(result: MetricResult, p: float) -> str:
    return f"test of all earlier {_periods(result)} together, p {equals(p)}"


def _periods(result: MetricResult) -> str:
    """Call periods years where they are."""
    kind = result.did.design.panel.calendar.kind
    return "periods" if kind == "declared" else "years"


def speaks_against(evaluation: Evaluation, metric: str) -> bool:
    """Whether anything that was looked at speaks against the answer."""
    result, level = evaluation[metric], evaluation.level
    tested, left = result.findings.get("PreTrends"), result.findings.get("LeaveOneOut")
    change = float(result.did.values[0])
    return bool(
        moved_before(result, level)
        or (tested is not None and _as_large(tested.facts["largest"], change))
        or (left is not None and left.facts["lowest"] < 0 < left.facts["highest"])
        or alternatives_in_words(evaluation, metric)
        or cells_in_words(result, level)
        or methods_in_words(result, level)
        or start_in_words(result, always=False)
        or chosen_in_words(result)
    )


def looked_at(evaluation: Evaluation, metric: str) -> list[str]:
    """Name what was looked at for one metric, for a sentence."""
    result = evaluation[metric]
    named = {
        "PlaceboStart": "earlier starts",
        "LeaveOneOut": "leaving one out",
        "RegressionToTheMean": "how the pilots were chosen",
    }
    found = [words for name, words in named.items() if name in result.findings]
    if "PreTrends" in result.findings:
        found.insert(0, f"the {_periods(result)} before the start")
    if result.did_complete is not None:
        found.append("authorities observed in every period")
    if len(result.methods) > 1:
        found.append("other methods of inference")
    if not alternatives(evaluation, metric).empty:
        found.append("the planned alternatives")
    return found
