"""What a specification curve found, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import pandas as pd

from didkit.check.choices_crossed import OWN
from didkit.check.curve_run import Fitted, Task
from didkit.errors import first_few
from didkit.results.tables import signed

__all__ = [
    "chance",
    "headline",
    "left_out_in_words",
    "refused_in_words",
    "side",
    "traded_in_words",
]


_NAMED = 5  #: refused choices that are named


def side(facts: Mapping[str, float]) -> str:
    """Say how many specifications are on the more frequent side of zero.

    Examples
    --------
    >>> side({"n": 3.0, "below_zero": 2.0, "above_zero": 1.0})
    'Of 3 specifications 2 are below zero'
    """
    n = int(facts["n"])
    low, high = int(facts["below_zero"]), int(facts["above_zero"])
    count, where = (low, "below") if low >= high else (high, "above")
    if n == 1:
        return f"The one specification is {where if count else 'at'} zero"
    how = "all" if count == n else "none" if not count else f"{count:,}"
    return f"Of {n:,} specifications {how} {'is' if how == '1' else 'are'} {where} zero"


def chance(facts: Mapping[str, float]) -> str:
    """Say how often a permutation has a median as far from zero; empty where none was made.

    Examples
    --------
    >>> chance({"p_median": 0.031, "draws": 999.0})
    'a median this far from zero comes about in 3.1% of permutations'
    """
    if "p_median" not in facts:
        return ""
    return (
        f"a median this far from zero comes about in {_percent(facts['p_median'])} of permutations"
    )


def _percent(p: float) -> str:
    """Write a share, with a decimal below ten percent."""
    return f"{p:.1%}" if p < 0.1 else f"{p:.0%}"


def headline(table: pd.DataFrame, facts: Mapping[str, float]) -> str:
    """Say how many are on which side, from where to where, and the joint test."""
    own = float(table["estimate"].iloc[0])
    unit = str(table["unit"].iloc[0])
    said = (
        f"{side(facts)}, from {signed(facts['lowest'])} to {signed(facts['highest'])} {unit} "
        f"around a median of {signed(facts['median'])}; as designed {signed(own)}."
    )
    if "p_median" not in facts:
        return said
    share = chance(facts)
    few = int(facts["small_p"])
    small = f"as many as {few} of one sign with p ≤ .05 in {_percent(facts['p_small'])}, "
    return (
        f"{said} If the programme moved nobody and pilots were any of the units that trade places, "
        f"{share}, {small if few else ''}and an average z this far from zero in "
        f"{_percent(facts['p_z'])}{'' if few else '; none of them has p ≤ .05'}."
    )


def traded_in_words(task: Task, once: Sequence[Fitted]) -> list[str]:
    """Say who trades places, and what that takes for granted."""
    traded = task.traded
    if traded is None:
        return []
    inside = " inside the design's strata" if task.design.strata is not None else ""
    studentised = sum(one.studentised for one in once)
    there = sum(one.values is not None for one in once)
    notes = [
        f"joint test: {len(traded.units)} units trade places{inside}, with all their series; it "
        "takes for granted that pilots' series might have been those of any of them",
        _ranked(studentised, there),
    ]
    if task.design.selection != "random":
        notes.append("pilots were not randomised: each p is a rank among placebos")
    alike = (traded.orders[1:] == traded.orders[0]).all(axis=1).mean()
    if alike > 0.01:
        notes.append(f"{alike:.1%} of the permutations are the data as they are: few units trade")
    return notes


def _ranked(studentised: int, there: int) -> str:
    """Say by what the specifications are ranked among the permutations."""
    if studentised == there:
        return "every specification is ranked by the estimate over its standard error"
    if not studentised:
        return "every specification is ranked by the estimate itself"
    return (
        f"{studentised} of {there} specifications are ranked by the estimate over its standard "
        "error, the others by the estimate itself"
    )


def left_out_in_words(table: pd.DataFrame, left: Sequence[Fitted]) -> list[str]:
    """Say what was refused, what counts once, and what is no part of the joint test."""
    notes = []
    same = int((table["same_as"] > 0).sum())
    if same:
        notes.append(
            f"{same} rows have the number of another by construction (column 'same_as') and "
            "count once"
        )
    gone = table[table["refused"] != ""]
    for why, rows in groupby(sorted(gone["refused"])):
        notes.append(f"{len(list(rows))} refused: {why}")
    bare = table[table["note"] != ""]
    for why, rows in groupby(sorted(bare["note"])):
        notes.append(f"{len(list(rows))} rows, {why}")
    if left:
        kinds = dict.fromkeys(_called(one) for one in left)
        notes.append(
            f"{len(left)} specifications are no part of the joint test: not linear in the outcome, "
            f"each draw would cost a fit (refits=): {first_few(kinds)}"
        )
    return notes


def refused_in_words(refused: Sequence[Fitted]) -> str:
    """Name the choices that were refused, and why.

    Examples
    --------
    >>> refused_in_words([Fitted({"windows": "2020 to 2013"}, refused="nothing between them")])
    'all others refused: 2020 to 2013 (nothing between them)'
    """
    why = {
        ", ".join(name for name in one.names.values() if name != OWN): one.refused
        for one in refused
    }
    said = [f"{names} ({reason})" for names, reason in list(why.items())[:_NAMED]]
    more = f"; {len(why) - _NAMED} more" if len(why) > _NAMED else ""
    return f"all others refused: {'; '.join(said)}{more}"


def _called(one: Fitted) -> str:
    """Name a specification by its estimator."""
    name = one.names.get("estimators", OWN)
    return one.estimator if name in (OWN, one.estimator) else f"{name} ({one.estimator})"
