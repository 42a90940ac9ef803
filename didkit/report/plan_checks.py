"""``[checks]`` of a plan: the checks that it can name, and how their options are read."""

from __future__ import annotations

from typing import Any

from didkit.check import (
    Bounds,
    Breakdown,
    Checks,
    Contamination,
    DetectableEffect,
    DrivingCells,
    FunctionalForm,
    GoodmanBacon,
    LeaveOneOut,
    LeaveTwoOut,
    OtherDenominator,
    PlaceboPilots,
    PlaceboStart,
    PreTrendEquivalence,
    PreTrendPower,
    PreTrends,
    RateSplit,
    RegressionToTheMean,
    RelativeMagnitudes,
    Sensitivity,
    SmallestRemoval,
    Smoothness,
    TrendAdjusted,
    TwoWayWeights,
    UnaffectedOutcomes,
    WithoutBreaks,
)
from didkit.report.plan_file import Section
from didkit.report.plan_inference import build, required
from didkit.results import Check

__all__ = ["CHECKS", "all_checks", "checks"]

_USUAL: tuple[type[Check], ...] = (
    PreTrends,
    PlaceboStart,
    PlaceboPilots,
    LeaveOneOut,
    RegressionToTheMean,
    Contamination,
)
CHECKS: dict[str, type[Check]] = {
    one.__name__: one
    for one in (
        *_USUAL,
        PreTrendPower,
        PreTrendEquivalence,
        TrendAdjusted,
        Sensitivity,
        UnaffectedOutcomes,
        LeaveTwoOut,
        SmallestRemoval,
        DrivingCells,
        RateSplit,
        Bounds,
        WithoutBreaks,
        OtherDenominator,
        GoodmanBacon,
        TwoWayWeights,
        FunctionalForm,
        Breakdown,
        Checks,
        DetectableEffect,
    )
}
"""The checks that a plan can name, in the order in which they are run."""

_RESTRICTIONS: dict[str, Any] = {
    "relative_magnitudes": RelativeMagnitudes,
    "smoothness": Smoothness,
}
_DIRECTIONS = ("positive", "negative")
_MONOTONE = ("increasing", "decreasing")
_SUCH_AS = {
    "PreTrendEquivalence": "{margin = 5}",
    "UnaffectedOutcomes": '{metrics = ["referrals"]}',
    "OtherDenominator": '{population = "cla_population"}',
}


def all_checks(level: float, *, marked: bool) -> tuple[Check, ...]:
    """Return the checks of a plan that names none, in the order in which they are run.

    `Contamination` only where contaminated units are marked: otherwise there is nothing to ask.
    All others are run only where they are named.
    """
    usual = [kind() for kind in _USUAL if marked or kind is not Contamination]
    return (*usual, DetectableEffect(level=level))


def checks(section: Section, level: float, *, named: bool, marked: bool) -> tuple[Check, ...]:
    """Read ``[checks]``; without that section the usual ones are run."""
    made: list[Check] = []
    unnamed = {type(one) for one in all_checks(level, marked=marked)} if not named else set()
    for name, kind in CHECKS.items():
        given = section.raw[name] if section.has(name) else kind in unnamed
        if isinstance(given, dict):
            inner = section.table(name)
            options = {} if "level" in given or kind is not DetectableEffect else {"level": level}
            with inner.gathered():
                made += _made(inner, kind, options)
            inner.close()
        elif not isinstance(given, bool):
            section.wrong(
                name,
                needed="true, false, or a table of its options",
                value=given,
                todo=f"write {name} = {_SUCH_AS.get(name, 'true')}, or leave it out",
            )
        elif given and required(kind):
            error = section.error(
                name,
                needed=f"{name} with {' and '.join(required(kind))}",
                found="true",
                todo=f"write {name} = {_SUCH_AS[name]}",
            )
            section.note(name, error)
        elif given:
            made.append(DetectableEffect(level=level) if kind is DetectableEffect else kind())
        elif section.has(name) and kind is DetectableEffect:
            error = section.error(
                name,
                needed="DetectableEffect, which every run computes: it stands beside an estimate "
                "that shows no evidence",
                found="false",
                todo="write DetectableEffect = true, or take the line out",
            )
            section.note(name, error)
    section.close()
    return tuple(made)


def _made(section: Section, kind: Any, options: dict[str, Any]) -> list[Check]:
    """Make a check from its table; none where an option that it cannot do without is missing."""
    lacking = [name for name in required(kind) if not section.has(name)]
    if lacking:
        error = section.error(
            needed=f"{kind.__name__} with {' and '.join(lacking)}",
            found="none",
            todo=f"write {kind.__name__} = {_SUCH_AS[kind.__name__]}",
        )
        section.note("", error)
        return []
    if kind is Sensitivity:
        options = {**options, "restriction": _restriction(section)}
    made = build(section, kind, **options)
    return [] if made is None else [made]


def _restriction(section: Section) -> Any:
    """Read what `Sensitivity` restricts: a word, and its shape."""
    kind = section.one_of("restriction", tuple(_RESTRICTIONS), "relative_magnitudes")
    shape = {
        name: section.one_of(name, words)
        for name, words in (("direction", _DIRECTIONS), ("monotone", _MONOTONE))
        if section.has(name)
    }
    return _RESTRICTIONS[kind](**shape)
