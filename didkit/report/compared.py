"""How comparable: balance, likeness, selection and power of one evaluation, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from didkit.check import DetectableEffect
from didkit.design import Design
from didkit.errors import DidkitError
from didkit.report.numerals import signed
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["balance_in_words", "expected_in_words", "likeness_in_words", "selection_in_words"]


def balance_in_words(evaluation: Evaluation, metric: str) -> str:
    """Give the level and the slope before the start: the difference, and how many deviations.

    The standard deviations are the pilots', before and after comparators are chosen (`Balance`).
    """
    result = evaluation[metric]
    facts, unit = result.gap.facts, result.metric.unit
    before, beside = facts["pilots_before"], facts["comparators_before"]
    words = [
        f"mean before the start: pilots {tables.number(before)}, comparators "
        f"{tables.number(beside)} {unit}; difference {signed(before - beside)}"
    ]
    try:
        table = evaluation.design.balance([metric]).table
    except DidkitError as error:
        return f"{words[0]}; standard deviations: none ({error.found})"
    called = {"level": "mean of the years", "last": "last period", "slope": "slope"}
    for row in table.to_dict("records"):
        if not np.isfinite(row["smd_after"]):
            continue
        words.append(
            f"{called.get(row['kind'], row['covariate'])}: {signed(float(row['smd_after']))} "
            "standard deviations from the comparators, "
            f"{signed(float(row['smd_before']))} from all who could have served "
            f"(chance alone: about ±{float(row['smd_se']):.2g})"
        )
    return "; ".join(words)


def likeness_in_words(design: Design) -> str:
    """Say how near the comparators are: closeness bands of a list, or distances of matched sets."""
    neighbours = getattr(design.against, "neighbours", None)
    shared = design.reuse()
    many = int((shared["pilots_served"] > 1).sum())
    words = []
    if neighbours is not None:
        table = neighbours.closeness(design.pilots, design.panel)
        bands = [c for c in table.columns if c not in _NOT_BANDS]
        counts = [f"{int(table[band].sum())} {band or 'without a band'}" for band in bands]
        slots = int(table["listed"].sum())
        words.append(f"{slots} places on the pilots' lists: {', '.join(counts)}")
        words.append(f"{int(table['pilots'].sum())} of them are pilots")
        if "Not close" in bands:
            worst = table.sort_values("Not close", ascending=False).iloc[0]
            if worst["Not close"]:
                name = worst.get("name", worst["pilot"])
                words.append(f"most not close: {name}, {int(worst['Not close'])}")
    elif design.sets is not None:
        distance = design.matched_sets().table["distance"].to_numpy(dtype=float)
        if np.isfinite(distance).any():
            words.append(
                f"distance from pilot to comparator: median {np.nanmedian(distance):.3g}, largest "
                f"{np.nanmax(distance):.3g}"
            )
    if design.sets is not None:
        words.append(f"{many} of {len(shared)} comparators serve more than one pilot")
    return "; ".join(words) or "no list and no distance: each comparator has the same weight"


_NOT_BANDS = ("pilot", "name", "listed", "pilots", "without_data")


def selection_in_words(evaluation: Evaluation, metric: str) -> str:
    """Say what the way in which pilots were chosen would show without any effect."""
    found = evaluation[metric].findings.get("RegressionToTheMean")
    if found is not None:
        return found.headline
    reason = evaluation[metric].refused.get("RegressionToTheMean")
    return f"refused: {reason}" if reason else "not asked for"


def expected_in_words(evaluation: Evaluation, metric: str) -> str:
    """Give the smallest detectable effect by the noise before the start, as if nothing came after.

    The variation between and within authorities is estimated before the start; pilots,
    comparators and periods are those of the design (`DetectableEffect.before`).
    """
    at_end = evaluation[metric].findings.get("DetectableEffect")
    check = at_end.check if at_end is not None else None
    mine = (
        check if isinstance(check, DetectableEffect) else DetectableEffect(level=evaluation.level)
    )
    try:
        found = mine.before(evaluation.design, metric)
    except DidkitError as error:
        return f"none ({error.found})"
    size, percent = float(found.facts["detectable"]), float(found.facts["percent"])
    words = f"{tables.number(size)} {evaluation[metric].metric.unit}".strip()
    return words + (f" ({percent:.0f}% of the level then)" if np.isfinite(percent) else "")
