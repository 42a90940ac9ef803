"""Which cells a curve looks at, who trades places, and what is counted of what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.choices_crossed import OWN
from didkit.check.curve_joint import Joint, as_large, joint_test
from didkit.check.curve_run import Fitted, Task, inferred, main_of
from didkit.design import Design
from didkit.errors import DesignError, InferenceError
from didkit.results import Estimate

__all__ = [
    "as_it_is",
    "everybody",
    "facts_of",
    "first_of",
    "formed",
    "jointly",
    "periods_of",
    "scale_of",
    "why_nobody",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_SAME = 1e-9  #: relative difference of weights up to which two specifications are one
_NEAR = 1e-9  #: of the largest estimate: only those as near as this can be one


def everybody(task: Task) -> tuple[set[str], set[str]]:
    """Return the units of all designs, and all that are pilots in one of them."""
    units, pilots = set[str](), set[str]()
    for pilot_choice in (OWN, *task.choices["pilots"]):
        for against in (OWN, *task.choices["comparators"]):
            try:
                design = task.base({"pilots": pilot_choice, "comparators": against})
            except DesignError:  # a row of its own says why
                continue
            units |= {*design.pilots, *design.comparators}
            pilots |= set(design.pilots)
    return units, pilots


def periods_of(design: Design, windows: Mapping[str, Any]) -> Ints:
    """Return the columns of the panel that are in some window."""
    calendar = design.panel.calendar
    found = {calendar.position(period) for period in design.periods}
    for first, last in windows.values():
        found |= set(range(calendar.position(first), calendar.position(last) + 1))
    return np.array(sorted(found), dtype=np.intp)


def formed(values: Floats, form: str) -> Floats | str:
    """Return values in a form; for the log of zero or less, why there are none.

    Examples
    --------
    >>> formed(np.array([[1.0], [3.0]]), "rank").ravel().tolist()
    [25.0, 75.0]
    >>> formed(np.array([[0.0], [1.0]]), "log")
    '1 cells are zero or below'
    """
    if form == "level":
        return values
    if form == "rank":
        rank = pd.DataFrame(values).rank(axis=0).to_numpy()
        return np.asarray(100 * (rank - 0.5) / np.maximum(np.isfinite(values).sum(axis=0), 1))
    low = int((values <= 0).sum())
    return f"{low} cells are zero or below" if low else np.log(values)


def scale_of(values: Floats, columns: Ints) -> float:
    """Return the standard deviation between units in some periods, their means taken out.

    Examples
    --------
    >>> scale_of(np.array([[1.0, 11.0, 0.0], [3.0, 13.0, 9.0]]), np.array([0, 1]))
    1.0
    """
    part = values[:, columns]
    seen = np.isfinite(part)
    filled = np.where(seen, part, 0.0)
    left = np.where(seen, filled - filled.sum(axis=0) / np.maximum(seen.sum(axis=0), 1), 0.0)
    return float(np.sqrt((left**2).sum() / max(int(seen.sum()), 1)))


def why_nobody(estimate: Estimate, trading: Sequence[str], pilots: set[str]) -> str:
    """Say why no units trade places; empty where some do."""
    if estimate.sample.clustered_above:
        return (
            f"units are in {len(estimate.sample.cluster_labels)} clusters, and do not trade places "
            "one by one"
        )
    if len(trading) < 3:
        return f"{len(trading)} units have every cell of every metric over all windows"
    if not pilots & set(trading):
        return "no pilot has every cell of every metric over all windows"
    if not set(trading) - pilots:
        return "no comparator has every cell of every metric over all windows"
    return ""


def as_it_is(first: Fitted, estimate: Estimate) -> Fitted:
    """Put the estimate's own uncertainty in the place of that of its refit."""
    sure = estimate.uncertainty
    if sure is None or first.refused:
        return first
    own = inferred(sure, main_of(estimate), OWN)
    return replace(first, inferred=(own, *first.inferred[1:]))


def first_of(made: Sequence[Fitted], task: Task) -> list[int]:
    """Return for each fit the first that has the same weights on the same outcome.

    Those whose number differs cannot be alike: only neighbours in order of the estimate are held
    against each other.
    """
    first = list(range(len(made)))
    groups: dict[tuple[str, str], list[tuple[float, int, Floats]]] = {}
    for i, one in enumerate(made):
        if one.weights is not None:
            found = groups.setdefault(task.outcome(one.names), [])
            found.append((one.estimate, i, one.weights))
    for members in groups.values():
        ordered = sorted(members, key=lambda one: one[:2])
        near = _NEAR * max(abs(one[0]) for one in ordered)
        for place, (value, i, mine) in enumerate(ordered):
            size = _SAME * float(np.abs(mine).max())
            for other, k, theirs in reversed(ordered[:place]):
                if value - other > near:
                    break
                if np.abs(mine - theirs).max() <= size:
                    first[i] = first[k]
                    break
    lowest: dict[int, int] = {}
    for i, k in enumerate(first):
        lowest.setdefault(k, i)
    return [lowest[k] for k in first]


def jointly(
    made: Sequence[Fitted],
    first: Sequence[int],
    scales: Sequence[float],
) -> tuple[Floats, Joint | None, int]:
    """Return p of each fit by permutation, the joint test, and how many fits are in it."""
    p = np.full(len(made), np.nan)
    values = {
        i: (one.values, one.statistic)
        for i, one in enumerate(made)
        if one.values is not None and one.statistic is not None and first[i] == i
    }
    if not values:
        return p, None, 0
    kept = list(values)
    statistics = np.stack([values[i][1] for i in kept], axis=1)
    estimates = np.stack([values[i][0] / scales[i] for i in kept], axis=1)
    drawn = as_large(statistics)
    place = {i: k for k, i in enumerate(kept)}
    for i in range(len(made)):
        if first[i] in place:
            p[i] = drawn[0, place[first[i]]]
    return p, joint_test(estimates, drawn), len(kept)


def facts_of(table: pd.DataFrame, once: NDArray[np.bool_]) -> dict[str, float]:
    """Count what was found, each number once.

    Parameters
    ----------
    table : DataFrame
        One row a specification.
    once : bool array
        Rows of the first specification of each number, one for each inference.

    Raises
    ------
    InferenceError
        If there is no estimate at all.
    """
    got = table["refused"] == ""
    values = table.loc[got & (table["same_as"] == 0), "estimate"].to_numpy(dtype=float)
    if not len(values):
        raise InferenceError(
            needed="at least one specification with an estimate",
            found="none",
            where="SpecificationCurve",
            todo="look at why: run OtherComparators, or fit one of the choices",
        )
    median = float(np.median(values))
    low, high = (table.loc[got & once, one].to_numpy(float) for one in ("conf_low", "conf_high"))
    there = ~np.isnan(low) & ~np.isnan(high)
    outside = (low > 0) | (high < 0)
    return {
        "rows": float(len(table)),
        "refused": float(len(table) - int(got.sum())),
        "n": float(len(values)),
        "median": median,
        "lowest": float(values.min()),
        "highest": float(values.max()),
        "below_zero": float((values < 0).sum()),
        "above_zero": float((values > 0).sum()),
        "share_sign": float((np.sign(values) == np.sign(median)).mean()),
        "share_outside": float(outside[there].mean()) if there.any() else float("nan"),
    }
