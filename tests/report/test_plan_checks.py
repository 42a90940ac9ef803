"""Checks that a plan names: their options, what they cannot do without, and the suited set."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.conftest import PLAN
from report.places import make_design

import didkit as dk
from didkit.errors import PlanError
from didkit.report import evaluate
from didkit.report.pictures import KINDS, kind_name
from didkit.report.plan import Plan


def plan_of(folder: Path, checks: str) -> Plan:
    file = folder / "plan.toml"
    file.write_text(f"{PLAN}\n[checks]\n{checks}\n", encoding="utf-8")
    return Plan.read(file)


@pytest.mark.parametrize(
    ("written", "check"),
    [
        ("PreTrendEquivalence = {margin = 5}", lambda: dk.PreTrendEquivalence(5)),
        ("PreTrendPower = {power = [0.8], level = 0.9}",
         lambda: dk.PreTrendPower((0.8,), level=0.9)),
        ('Sensitivity = {restriction = "smoothness", sizes = [0.5, 1]}',
         lambda: dk.Sensitivity(dk.Smoothness(), (0.5, 1))),
        ("Sensitivity = true", dk.Sensitivity),
        ('Sensitivity = {direction = "positive"}',
         lambda: dk.Sensitivity(dk.RelativeMagnitudes(direction="positive"))),
        ("Bounds = {rounded = false, draws = 99}", lambda: dk.Bounds(rounded=False, draws=99)),
        ('LeaveOneOut = {units = "periods"}', lambda: dk.LeaveOneOut(units="periods")),
        ('WithoutBreaks = {leave_out = ["units"]}',
         lambda: dk.WithoutBreaks(leave_out=("units",))),
        ('Checks = {leave_out = ["Bounds"]}', lambda: dk.Checks(leave_out=("Bounds",))),
        ('UnaffectedOutcomes = {metrics = ["cin"]}', lambda: dk.UnaffectedOutcomes(("cin",))),
    ],
)  # fmt: skip
def test_options_in_a_file_are_options_in_code(tmp_path: Path, written: str, check) -> None:
    plan = plan_of(tmp_path, written)
    assert [repr(one) for one in plan.checks] == [repr(check())]
    assert any(key.startswith(f"checks.{type(check()).__name__}") for key in plan.content())


@pytest.mark.parametrize(
    ("written", "found", "todo"),
    [
        ("PreTrendEquivalence = true", "PreTrendEquivalence with margin", "{margin = 5}"),
        ("PreTrendEquivalence = {}", "PreTrendEquivalence with margin", "{margin = 5}"),
        ('PreTrendEquivalence = {margin = "10%"}', "a number for PreTrendEq", "help"),
        ("PreTrendEquivalence = {margin = -5}", "margin", ""),
        ("UnaffectedOutcomes = {metrics = 3}", "a list of texts", "help"),
        ('Sensitivity = {restriction = "smooth"}', "one of: relative_magnitudes", "smoothness"),
        ('Bounds = {rounded = "yes"}', "true or false for Bounds", "rounded = true"),
        ("Sensitivity = {sizes = [-1]}", "sizes", ""),
        ('Checks = {leave_out = ["Bound"]}', "names of checks", "did you mean Bounds"),
        ("TrendAdjustd = true", "a key of", "did you mean TrendAdjusted"),
    ],
)
def test_mistakes_name_the_line(tmp_path: Path, written: str, found: str, todo: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(tmp_path, written)
    error = caught.value
    assert found in f"{error.needed} {error.found} {error.where}"
    assert todo in error.todo
    assert f"line {PLAN.count(chr(10)) + 3}" in error.where


def test_the_suited_set_fills_the_section_of_checks() -> None:
    made = evaluate(
        make_design(), ["cla"], inference=dk.ClusterRobust("CR2"), checks=[
            dk.Checks(only=["LeaveOneOut of comparators", "GoodmanBacon", "Contamination"])
        ],
    )  # fmt: skip
    result = made["cla"]
    assert {"LeaveOneOut of comparators", "Checks", "DetectableEffect"} <= set(result.findings)
    assert result.refused["Contamination"].startswith("needed units that are known")
    listed = made.checks().set_index("check")
    alone = result.findings["LeaveOneOut of comparators"]
    row = listed.loc["LeaveOneOut of comparators"]
    assert (row["found"], row["cannot_show"]) == (alone.headline, alone.cannot_show)
    kinds = [one.kind for one in made.pictures()]
    assert {"leave_one_out_of_comparators", "checks"} <= set(kinds)
    page, words = made.to_html(), made.to_markdown()
    assert f"It cannot show: {alone.cannot_show}." in page
    assert "Leaving out one comparator" in page
    assert "It cannot show" in words


def test_suited_is_the_only_word_for_checks() -> None:
    with pytest.raises(dk.errors.InferenceError, match='checks="suited"'):
        evaluate(make_design(), ["cla"], checks="all")  # type: ignore[arg-type]


def test_each_public_check_has_a_picture_by_name() -> None:
    assert kind_name("pre_trend_equivalence") == KINDS["pre_trend_equivalence"]
    assert kind_name("leave_one_out") == "Leaving one out"
    assert kind_name("regression_to_the_mean").startswith("What the choice")
