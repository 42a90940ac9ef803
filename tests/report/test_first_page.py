"""The first page says in plain words what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import design_of
from report.places import make_design

import didkit as dk
from didkit.report import Evaluation, evaluate, numerals
from didkit.report.first_page import first_page
from didkit.report.methods import methods_note
from didkit.report.record import PlanRecord
from didkit.report.words import out_of_reach

FORBIDDEN = ("no effect", "significant", "passed", "proves", "impact")


def said(evaluation: Evaluation) -> dict[str, str]:
    return {
        answer.question: " ".join([answer.text, *(text for _, text in answer.lines)])
        for answer in first_page(evaluation)
    }


def test_each_question_has_an_answer_with_numbers(evaluation: Evaluation) -> None:
    answers, number = said(evaluation), numerals.said
    row = evaluation.to_frame().iloc[0]
    before = answers["How much was there before?"]
    assert f"{number(-row['gap_before'])} fewer per 10,000 children than their" in before
    assert f"{number(-row['gap_after'])} fewer after it" in before
    assert "in all six periods" in before
    assert "no evidence of a change" in answers["What changed?"]
    assert "No evidence of a change is not evidence of no change." in answers["What changed?"]
    sure = answers["How sure is that?"]
    assert f"{number(row['conf_low'])} to +{number(row['conf_high'])}" in sure
    assert f"A change of {number(row['detectable'])} (" in sure
    found = evaluation["cla"].findings["LeaveOneOut"].facts
    assert number(found["lowest"]) in answers["What would change our mind?"]
    assert "Four pilots that started in 2014" in answers["What was compared?"]


@pytest.mark.parametrize("shift", [-12.0, 0.0, 12.0])
def test_words_that_are_never_said(shift: float) -> None:
    made = evaluate(make_design(shift=shift), ["cla"], inference=dk.ClusterRobust("CR2"))
    text = " ".join([*said(made).values(), methods_note(made)]).lower()
    assert not [word for word in FORBIDDEN if word in text]
    if shift:
        sign = "+" if shift > 0 else "−"
        assert f"from the start on the gap changed by {sign}1" in text
        assert "no evidence" not in said(made)["What changed?"]


def test_the_share_follows_its_three_stories() -> None:
    def share(shift: float) -> str:
        made = evaluate(
            make_design(shift=shift), ["cla"], inference=dk.ClusterRobust("CR2"), checks=[]
        )
        return said(made)["How much was there before?"]

    assert "% of the gap was there before" in share(-20.0)
    assert "all" not in share(-20.0).partition("They")[0]
    assert "all of the gap was there before (" in share(10.0)
    assert "it has narrowed" in share(10.0)
    assert "the sign of the gap turned" in share(45.0)


def test_a_gap_that_moved_before_comes_first_among_the_doubts() -> None:
    y = np.random.default_rng(8).normal(100, 0.5, (16, 6))
    y[:4] -= 4 * np.arange(6)
    made = evaluate(design_of(y, dict.fromkeys(range(4), 4)), ["m"])
    assert said(made)["What would change our mind?"].lstrip().startswith("Before the start the gap")


def test_without_checks_nobody_claims_any() -> None:
    made = evaluate(make_design(), ["cla"], inference=dk.ClusterRobust("CR2"), checks=[])
    assert "No check was asked for." in said(made)["What would change our mind?"]


def test_the_note_names_recipe_seed_level_and_versions(evaluation: Evaluation) -> None:
    note = methods_note(evaluation)
    did = evaluation["cla"].did
    assert str(evaluation.to_frame()["method"][0]) in note
    assert "95% intervals" in note
    assert f"numpy {np.__version__}" in note
    assert "LeaveOneOut(" in note
    used = int(did.glance()["cells_used"].iloc[0])
    assert f"{used} (0)" in note


# -- with a plan ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((-1.0, 1.5), "Changes as large as 2, the smallest of interest, are outside"),
        ((-1.0, 2.5), "the interval reaches to or beyond +2, so a change that large cannot be"),
        ((-2.5, 1.0), "the interval reaches to or beyond −2, so a change that large cannot be"),
        ((-2.0, 2.0), "the interval reaches to or beyond −2 and +2, so changes that large cannot"),
        ((-np.inf, np.inf), "reaches to or beyond −2 and +2"),
        ((2.0, 5.0), "the whole interval is at least as far from zero"),
        ((-5.0, -2.5), "the whole interval is at least as far from zero"),
        ((np.nan, np.nan), "without an interval it cannot be ruled out"),
    ],
)
def test_the_smallest_change_of_interest_is_held_against_the_interval(
    planned: Evaluation, limits: tuple[float, float], expected: str
) -> None:
    result = planned["cla"]
    sure = replace(
        result.did.attached, conf_low=np.array([limits[0]]), conf_high=np.array([limits[1]])
    )
    other = replace(result, did=result.did.with_uncertainty(sure))
    made = replace(planned, results={"cla": other})
    assert expected in out_of_reach(made, "cla")
    assert expected in made.in_words()
    assert expected in said(made)["How sure is that?"]


def test_without_a_plan_no_smallest_change_is_named(evaluation: Evaluation) -> None:
    assert out_of_reach(evaluation, "cla") == ""


def test_the_frame_says_what_was_planned(planned: Evaluation, evaluation: Evaluation) -> None:
    row = planned.to_frame().iloc[0]
    assert (row["role"], row["p_adjusted"], row["smallest_effect"]) == ("primary", 0.75, 2.0)
    assert "role" not in evaluation.to_frame().columns


def test_the_page_leads_with_the_question_and_lists_deviations_first(
    planned: Evaluation, record: PlanRecord
) -> None:
    first = said(planned)["What was compared?"]
    assert first.startswith(
        "Did the rate change? The plan was frozen on 1 January 2026, with the data at hand: 1 "
        "deviation, listed below. "
    )
    assert ", adjusted p = .75)" in said(planned)["How sure is that?"]
    page = planned.to_html()
    assert 'href="#plan"' in page
    assert "<title>A pilot &lt;b&gt;: how much" in page
    assert page.index("t-deviations-caption") < page.index("t-protocol-caption")
    assert record.digest in page
    text = planned.to_markdown()
    assert "### Deviations\n\n| What | Planned | Found |" in text
    assert text.index("### Deviations") < text.index("### Protocol")
    unfrozen = replace(planned, record=replace(record, frozen=False, deviations=()))
    assert "was not frozen: no deviation" in said(unfrozen)["What was compared?"]
    assert "Nothing deviates from the plan." in unfrozen.to_html()
