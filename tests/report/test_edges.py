"""Zeros, missing numbers, few authorities, hopeless paths: what the report says at its edges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import design_of
from report.places import make_design

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.panel import Metric
from didkit.report import Evaluation, evaluate
from didkit.report.doubts import (
    LESS,
    MORE,
    SAME,
    before_the_start,
    cells_in_words,
    left_out_in_words,
    sign_over,
    start_in_words,
)
from didkit.report.findable import detectable_in_words, findable, missable
from didkit.report.first_page import first_page
from didkit.report.latex import escape
from didkit.report.numerals import no_share, share_in_words
from didkit.report.readouts import numbers, readable
from didkit.report.text import reader_table
from didkit.report.words import bottom_line, compared, gap_before_and_after, short, throughout

NEVER = "o change, however large, would have been found by this test"
CR2 = dk.ClusterRobust("CR2")


@pytest.fixture(scope="module")
def alone() -> Evaluation:
    """One pilot and thirteen comparators: the least p is 1/14."""
    y = np.random.default_rng(4).normal(100, 1, (14, 6))
    return evaluate(design_of(y, {0: 3}), ["m"], checks=[dk.DetectableEffect()])


# -- a test that can never reject ----------------------------------------------------------------


def test_where_the_test_can_never_reject_no_size_is_named(alone: Evaluation) -> None:
    assert np.isinf(alone.to_frame()["conf_low"]).all()
    page = " ".join(said for answer in first_page(alone) for _, said in answer.lines)
    for words in (
        alone.in_words(),
        short(alone, "m"),
        bottom_line(alone, "m"),
        page,
        alone["m"].findings["DetectableEffect"].headline,
        alone.to_html(),
        alone.to_markdown(),
    ):
        assert NEVER in words
        assert "or more would probably" not in words
    assert "none, however large" in reader_table(alone).iloc[0].tolist()
    assert np.isinf(alone.to_frame()["detectable"].iloc[0])
    title = alone["m"].findings["DetectableEffect"].plot().get_title(loc="left")
    assert NEVER in " ".join(title.split())


def test_at_a_level_that_can_be_attained_a_size_is_named() -> None:
    y = np.random.default_rng(4).normal(100, 1, (14, 6))
    check = dk.DetectableEffect(level=0.9)
    made = evaluate(design_of(y, {0: 3}), ["m"], level=0.9, checks=[check])
    assert "or more would probably (80%) have been found" in findable(made["m"])
    assert "below" in missable(made["m"])


def test_another_level_of_the_detectable_change_is_said() -> None:
    made = evaluate(make_design(), ["cla"], inference=CR2, checks=[dk.DetectableEffect(level=0.8)])
    assert "probably (80%, at level 80%) have been found" in detectable_in_words(made["cla"])
    assert "by a two-sided test at level 80%" in made.to_markdown()
    assert "the report's level" not in made.to_markdown()


# -- zeros ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.0, 3.0, "none of the gap was there before"),
        (3.0, 0.0, "all of the gap was there before, and none is left"),
        (0.0, 0.0, "there was no gap before and none after"),
        (np.nan, 3.0, "how much of the gap was there before is not known"),
        (-3.0, 3.0, "the sign of the gap turned"),
    ],
)
def test_a_share_that_does_not_exist_says_why(before: float, after: float, said: str) -> None:
    assert share_in_words(before, after) == said
    assert no_share(before, after)


def test_a_report_of_zeros_is_made_and_turns_no_sign() -> None:
    y = np.zeros((14, 6))
    made = evaluate(design_of(y, dict.fromkeys(range(4), 3)), ["m"], inference=CR2)
    page = made.to_html()
    assert "there was no gap before and none after" in page
    for words in (page, made.in_words(), short(made, "m"), made.to_markdown()):
        assert "turned" not in words
        assert MORE not in words
    assert reader_table(made)["There before"].tolist() == ["no gap"]
    title = " ".join(made.plot().get_title(loc="left").split())
    assert title.startswith("No percentage: the comparators' mean is 0")


def test_a_measure_without_percentage_stands_beside_others_that_have_one() -> None:
    class Told:
        def to_frame(self) -> pd.DataFrame:
            frame = pd.DataFrame({"gap_before": [-2.0, 1.0], "gap_after": [-3.0, 2.0]})
            frame["comparators_before"] = [20.0, 0.0]
            frame["comparators_after"] = [20.0, np.nan]
            return frame.assign(metric=["a", "b"], label=["A", "B"], unit="%")

        def in_words(self) -> str:
            return ""

    ax = plot.overview(Told())
    ax.figure.canvas.draw()
    assert ax.data["percent_before"].isna().tolist() == [False, True]
    texts = {text.get_text() for text in ax.texts}
    assert "○ +1.00  ● +2.00\n(no percentage)" in texts
    assert np.isfinite(ax.get_xlim()).all()
    assert "−10% from" in " ".join(ax.get_title(loc="left").split())


def test_sizes_that_are_equal_are_not_larger(evaluation: Evaluation) -> None:
    result = evaluation["cla"]
    change = float(result.did.values[0])
    found = result.findings["PlaceboStart"]

    def told(largest: float, actual: float) -> str:
        facts = {**found.facts, "largest": largest, "actual": actual}
        mine = {**result.findings, "PlaceboStart": replace(found, facts=facts)}
        return start_in_words(replace(result, findings=mine), always=True)

    assert MORE in told(2.0, 1.0)
    assert SAME in told(0.0, 0.0)
    assert SAME in told(-1.0, 1.0)
    assert LESS in told(1.0, 2.0)
    trends = result.findings["PreTrends"]
    facts = {**trends.facts, "largest": abs(change)}
    mine = {**result.findings, "PreTrends": replace(trends, facts=facts)}
    assert SAME in before_the_start(replace(result, findings=mine), 0.95)


def test_a_range_at_zero_has_no_sign() -> None:
    assert sign_over(0.0, 0.0) == "it stays zero"
    assert sign_over(-2.0, 0.0) == "without one of them it is zero"
    assert sign_over(-2.0, 1.0) == "its sign hangs on one of them"


# -- small things --------------------------------------------------------------------------------


def test_a_p_that_does_not_exist_crosses_nothing(evaluation: Evaluation) -> None:
    result = evaluation["cla"]
    other = result.did.with_uncertainty(replace(result.did.attached, p_value=np.array([np.nan])))
    sure = replace(result.did.attached, p_value=np.array([0.001]))
    mine = replace(result, did=result.did.with_uncertainty(sure), did_complete=other)
    assert cells_in_words(mine, 0.95) == ""
    known = replace(result.did.attached, p_value=np.array([0.5]))
    crossed = replace(mine, did_complete=result.did.with_uncertainty(known))
    assert "which side of .050 p falls on hangs on which cells" in cells_in_words(crossed, 0.95)


@pytest.mark.parametrize(("units", "word"), [("comparators", "comparator"), ("all", "authority")])
def test_who_is_left_out_is_named(units: str, word: str) -> None:
    check = dk.LeaveOneOut(units=units)  # type: ignore[arg-type]
    made = evaluate(make_design(), ["cla"], inference=CR2, checks=[check])
    assert left_out_in_words(made["cla"]).startswith(f"Without one {word} the change")
    title = made["cla"].findings["LeaveOneOut"].plot().get_title(loc="left")
    assert " ".join(title.split()).startswith(f"Without one {word} at a time")


def test_a_duration_is_a_property_of_pilots() -> None:
    y = np.random.default_rng(3).normal(20, 0.5, (14, 4))
    y[:3] += 2
    design = design_of(y, dict.fromkeys(range(3), 2))
    made = evaluate(design, ["m"], inference=CR2, checks=[])
    named = Metric(name="m", label="Assessment duration", kind="duration", unit="working days")
    result = made["m"]
    sample = replace(result.did.sample, metric=named)
    said = replace(result, did=replace(result.did, sample=sample))
    assert said.metric.kind == "duration"
    assert gap_before_and_after(said).startswith("Pilots' assessment duration was ")
    assert " working days higher than their comparators' before the start" in (
        gap_before_and_after(said)
    )
    assert throughout(said) == "It was higher throughout: in all four periods."


def test_a_pilot_that_left_is_named_on_the_first_page() -> None:
    design = make_design()
    rollout = dk.Rollout(dict(design.rollout.starts), stops={"304": 2015})
    left = dk.Design(design.panel, rollout, against=dk.Pool(), selection="bid")
    made = evaluate(left, ["cla"], inference=CR2, checks=[])
    said = "Place 1 left in 2015; it counts as a pilot from its start on all the same."
    assert compared(made).endswith(said)
    assert said in first_page(made)[1].text


def test_letters_that_t1_fonts_lack_are_codes() -> None:
    assert escape("Ħŧ") == "(U+0126)(U+0167)"
    assert escape("éŁ") == "éŁ"


def test_a_backslash_before_a_bar_does_not_break_a_row() -> None:
    made = dk.results.tables.to_markdown(pd.DataFrame({"a": ["x\\|y"]}))
    assert made.splitlines()[-1] == "| x\\\\\\|y |"


@pytest.mark.parametrize("path", ["", "/", "a\0b", 3, "."])
@pytest.mark.parametrize("form", ["to_html", "to_latex", "to_excel", "to_markdown"])
def test_a_path_that_is_none_is_refused_in_four_parts(
    evaluation: Evaluation, form: str, path: object
) -> None:
    with pytest.raises(DidkitError, match="a file that can be written") as caught:
        getattr(evaluation, form)(path)
    assert form in str(caught.value)


def test_a_path_object_is_a_path(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.to_markdown(tmp_path / "a.md")
    assert (tmp_path / "a.md").is_file()


def test_what_is_no_name_is_refused_in_four_parts(evaluation: Evaluation) -> None:
    did = evaluation["cla"].did
    for call, needed in (
        (lambda: evaluation.in_words(["cla"]), "a metric of this evaluation"),  # type: ignore[arg-type]
        (lambda: plot.forest(did, table=[1]), "a table of methods"),  # type: ignore[arg-type]
        (lambda: plot.forest(evaluation.design), "an Estimate"),  # type: ignore[arg-type]
        (lambda: did.plot(kind=["gap"]), "a kind of picture"),  # type: ignore[arg-type]
    ):
        with pytest.raises(DidkitError, match=needed):
            call()


def test_the_forest_is_read_with_the_method_that_is_used(evaluation: Evaluation) -> None:
    data = plot.forest(evaluation["cla"].did).data
    table, _ = readable("forest", data)
    assert not {"level", "used", "main"} & set(table.columns)
    assert "(recommended" in table["method"].iloc[0]
    assert "(recommended" in numbers("forest", data)
    used = data.assign(recommended=False, used=[True] + [False] * (len(data) - 1))
    assert readable("forest", used)[0]["method"].iloc[0].endswith("(used)")
