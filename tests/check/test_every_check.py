"""What every check owes its user: one list, one suite; a new check joins it by one line.

A check measures. It says what it asked, what it found and what it cannot show; it gives the same
answer to the same question, whatever the order of the rows; it edits nothing; and it draws itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, noise, treated
from matplotlib.axes import Axes

import didkit as dk
from didkit.results.asking import CHECKS

N, T, START = 26, 9, 5
ONE = {3: START, 7: START, 12: START, 16: START, 21: START, 24: START}
SEVERAL = {3: 4, 7: 4, 12: 4, 16: 6, 21: 6, 24: 6}
IDS = codes(N)
COMPLETE = dk.DiD("complete")
VERDICTS = re.compile(
    r"\b(passed|fails?|failed|robust|significant\w*|no effect|valid|invalid|reliable|holds)\b", re.I
)


@dataclass(frozen=True)
class Case:
    """A check, what it is asked of, and what it promises."""

    check: Callable[[], Any]
    estimator: Any = COMPLETE
    starts: str = "one"
    scale: bool = True  #: k times the outcome: k times every alternative and placebo
    shift: bool = True  #: what is added to all cells of a period changes nothing
    bounds: bool = False  #: is asked of a panel with hidden cells
    contaminated: bool = False  #: is asked of a rollout that marks some units


CASES = {
    "Breakdown": Case(dk.Breakdown),
    "Contamination": Case(dk.Contamination, contaminated=True),
    "DetectableEffect": Case(dk.DetectableEffect),
    "FunctionalForm": Case(dk.FunctionalForm, scale=False, shift=False),
    "GoodmanBacon": Case(dk.GoodmanBacon, dk.DiD(), "several"),
    "LeaveOneOut": Case(dk.LeaveOneOut),
    "LeaveOneOut comparators": Case(lambda: dk.LeaveOneOut("comparators")),
    "LeaveOneOut periods": Case(lambda: dk.LeaveOneOut("periods")),
    "LeaveOneOut regions": Case(lambda: dk.LeaveOneOut("regions")),
    "LeaveTwoOut": Case(dk.LeaveTwoOut),
    "OtherComparators": Case(
        lambda: dk.OtherComparators(
            {"some": dk.Pool([i for i in IDS if i not in ("301", "304")][:12])}
        )
    ),
    "PlaceboPilots": Case(lambda: dk.PlaceboPilots(draws=99)),
    "PlaceboStart": Case(dk.PlaceboStart),
    "PreTrends": Case(dk.PreTrends, dk.EventStudy()),
    "PreTrendPower": Case(dk.PreTrendPower, dk.EventStudy()),
    "PreTrendEquivalence": Case(lambda: dk.PreTrendEquivalence(20.0), dk.EventStudy(), scale=False),
    "TrendAdjusted": Case(dk.TrendAdjusted, dk.EventStudy()),
    "TrendAdjusted of DiD": Case(dk.TrendAdjusted),
    "Sensitivity": Case(lambda: dk.Sensitivity(sizes=(0.5, 1.0), draws=99)),
    "Sensitivity smoothness": Case(
        lambda: dk.Sensitivity(dk.Smoothness(), draws=99), dk.EventStudy()
    ),
    "RegressionToTheMean": Case(dk.RegressionToTheMean, scale=False, shift=False),
    "SmallestRemoval": Case(dk.SmallestRemoval),
    "TwoWayWeights": Case(dk.TwoWayWeights, dk.DiD(), "several"),
    "UnaffectedOutcomes": Case(lambda: dk.UnaffectedOutcomes(["cla"]), scale=False, shift=False),
    "DrivingCells": Case(dk.DrivingCells),
    "RateSplit": Case(dk.RateSplit, scale=False, shift=False),
    "WithoutBreaks": Case(dk.WithoutBreaks, scale=False, shift=False),
    "OtherDenominator": Case(
        lambda: dk.OtherDenominator("cla_population"), scale=False, shift=False
    ),
    "Bounds": Case(lambda: dk.Bounds(draws=99), scale=False, shift=False, bounds=True),
    "SpecificationCurve": Case(
        lambda: dk.SpecificationCurve(
            windows={"one year less": (FIRST + 1, FIRST + T - 1)},
            estimators={"every cell": dk.DiD()},
            draws=99,
        )
    ),
    "Checks": Case(lambda: dk.Checks(only=["LeaveOneOut", "PlaceboStart"])),
}


def outcome(starts: dict[int, int]) -> np.ndarray:
    return noise(N, T, 11) - 20.0 * treated((N, T), starts)


def frame_of(rates: np.ndarray, *, hidden: bool = False) -> pd.DataFrame:
    """Lay out rates, their counts, two populations and another outcome, with regions."""
    rng = np.random.default_rng(5)
    people = np.round(rng.uniform(2e4, 9e4, size=(N, 1)) * (1 + 0.004 * np.arange(T)))
    count = np.round(rates * people / 1e4)
    other = noise(N, T, 23) / 4
    rows = [
        {
            "la": IDS[j],
            "year": FIRST + t,
            "name": f"Authority <b>{IDS[j]}</b>",
            "region": ("North", "Middle", "South")[j % 3],
            "cin": count[j, t] / people[j, t] * 1e4,
            "cin_count": count[j, t],
            "population": people[j, t],
            "cla_population": np.round(people[j, t] * (1.02 - 0.001 * (j % 7) * t)),
            "cla": other[j, t],
            "status": "observed",
            "lower": np.nan,
            "upper": np.nan,
        }
        for j in range(N)
        for t in range(T)
    ]
    frame = pd.DataFrame(rows)
    if hidden:
        gone = [5 * T + 2, 5 * T + 7, 12 * T + 1]
        low = frame["cin"].iloc[gone] - 4
        frame.loc[gone, "lower"], frame.loc[gone, "upper"] = low, low + 8
        frame.loc[gone, "status"] = "suppressed"
        frame.loc[gone, ["cin", "cin_count"]] = np.nan
        seen = frame["cin"].notna()
        frame.loc[seen, "lower"] = frame.loc[seen, "cin"] - 0.05
        frame.loc[seen, "upper"] = frame.loc[seen, "cin"] + 0.05
    return frame


def design_of(case: Case, rates: np.ndarray | None = None, order: int | None = None) -> dk.Design:
    starts = ONE if case.starts == "one" else SEVERAL
    frame = frame_of(outcome(starts) if rates is None else rates, hidden=case.bounds)
    if order is not None:
        frame = frame.sample(frac=1, random_state=order)
    extra: dict[str, Any] = {}
    metrics = ["cin", "cin_count", "population", "cla_population", "cla"]
    if case.bounds:
        metrics = ["cin"]
        extra = {"status": {"cin": "status"}, "lower": {"cin": "lower"}, "upper": {"cin": "upper"}}
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics=metrics, name="name", attributes=["region"],
        **extra,
    )  # fmt: skip
    marked = {"contaminated": {IDS[1]: FIRST + 6}} if case.contaminated else {}
    rollout = dk.Rollout({IDS[j]: FIRST + t for j, t in starts.items()}, **marked)
    return dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")


def asked(case: Case, **options: Any) -> dk.Finding:
    estimate = case.estimator.fit(design_of(case, **options), "cin")
    return estimate.infer(dk.ClusterRobust("CR2")).check(case.check())


@functools.cache
def found(name: str) -> dk.Finding:
    return asked(CASES[name])


every = pytest.mark.parametrize("name", CASES)


def test_every_public_check_is_here():
    here = {type(case.check()).__name__ for case in CASES.values()} | {"ContrastStudy"}
    assert set(CHECKS) <= here


@every
def test_it_says_what_it_asked_what_it_found_and_what_it_cannot_show(name):
    finding = found(name)
    assert finding.question.endswith("?"), finding.question
    assert finding.headline.endswith("."), finding.headline
    assert re.search(r"\d", finding.headline), "a measurement has a number"
    assert len(finding.cannot_show) > 20, "what no answer to this question can show"
    assert not finding.cannot_show.endswith(".")
    assert not finding.cannot_show.startswith("It ")
    for text in (finding.headline, finding.question, *finding.notes):
        assert not VERDICTS.search(text), f"a verdict: {text}"
    assert "nan" not in finding.headline.lower()


@every
def test_its_facts_are_numbers_and_its_table_is_a_copy(name):
    finding = found(name)
    assert finding.facts
    for key, value in finding.facts.items():
        assert isinstance(value, float), (key, value)
    assert len(finding.table) > 0
    mine = finding.tidy()
    mine["new"] = 0.0
    assert "new" not in finding.table
    glance = finding.glance()
    assert len(glance) == 1
    assert glance["check"].item() == type(finding.check).__name__


@every
def test_ranges_are_ordered_and_hold_finite_or_infinite_numbers(name):
    finding = found(name)
    for pair in (finding.alternatives, finding.placebos):
        if pair is not None:
            assert not np.isnan(pair).any()
            assert pair[0] <= pair[1]


@every
def test_the_same_question_has_the_same_answer(name):
    again = asked(CASES[name])
    pd.testing.assert_frame_equal(_timeless(again.table), _timeless(found(name).table))
    assert dict(again.facts) == pytest.approx(dict(found(name).facts), nan_ok=True, abs=1e-12)


@every
def test_the_order_of_rows_is_nothing(name):
    other = asked(CASES[name], order=3)
    assert dict(other.facts) == pytest.approx(
        dict(found(name).facts), nan_ok=True, rel=1e-6, abs=1e-8
    )


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.scale])
def test_ten_times_the_outcome_is_ten_times_every_number_on_its_scale(name):
    case = CASES[name]
    y = outcome(ONE if case.starts == "one" else SEVERAL)
    large = asked(case, rates=10 * y)
    for mine, theirs in (
        (found(name).alternatives, large.alternatives),
        (found(name).placebos, large.placebos),
    ):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            # counts are whole numbers, so that rates move in small steps
            np.testing.assert_allclose(np.multiply(mine, 10), theirs, rtol=2e-2, atol=1.0)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.shift])
def test_what_all_units_share_in_a_period_changes_nothing(name):
    case = CASES[name]
    y = outcome(ONE if case.starts == "one" else SEVERAL)
    moved = asked(case, rates=y + 40 * np.arange(T))
    for mine, theirs in (
        (found(name).alternatives, moved.alternatives),
        (found(name).placebos, moved.placebos),
    ):
        if mine is not None:
            np.testing.assert_allclose(mine, theirs, rtol=2e-2, atol=0.5)


@every
def test_nothing_is_edited(name):
    case = CASES[name]
    design = design_of(case)
    estimate = case.estimator.fit(design, "cin").infer(dk.ClusterRobust("CR2"))
    before = (estimate.values.copy(), design.panel.cells("cin").value.copy(), repr(design))
    estimate.check(case.check())
    np.testing.assert_array_equal(estimate.values, before[0])
    np.testing.assert_array_equal(design.panel.cells("cin").value, before[1])
    assert repr(design) == before[2]


@every
def test_it_is_shown_in_full_and_escaped(name):
    finding = found(name)
    text = finding.summary()
    assert finding.headline in text
    assert finding.cannot_show in text
    html = finding._repr_html_()
    assert "<b>" not in html
    assert "cannot show" in html
    assert type(finding.check).__name__ in repr(finding)


@every
def test_it_draws_itself(name):
    axes = found(name).plot()
    try:
        assert isinstance(axes, Axes)
        assert axes.get_title(loc="left") or axes.figure.get_suptitle()
        assert isinstance(axes.data, pd.DataFrame)
        assert len(axes.data) > 0
    finally:
        plt.close("all")


def _timeless(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[c for c in table if c == "seconds"])
