"""What would change our mind, what was planned beside, and sizes in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from helpers import codes, design_of
from report.places import make_design

import didkit as dk
from didkit import plot
from didkit.report import Evaluation, evaluate
from didkit.report.doubts import chosen_in_words, speaks_against
from didkit.report.findable import findable
from didkit.report.first_page import first_page
from didkit.report.methods import methods_note
from didkit.report.numerals import more, share_in_words, share_text
from didkit.report.record import PlanRecord
from didkit.report.text import facts, sensitivity_table
from didkit.report.words import (
    bottom_line,
    compared,
    frozen_in_words,
    not_the_difference,
    sentences,
    short,
    unlimited,
)

CR2 = dk.ClusterRobust("CR2")
COLUMNS = ["name", "metric", "estimate", "conf_low", "conf_high", "p_value", "n_pilots"]


def answers(evaluation: Evaluation) -> dict[str, str]:
    return {
        answer.question: " ".join([answer.text, *(text for _, text in answer.lines)])
        for answer in first_page(evaluation)
    }


def others(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    made = [(name, "cla", value, low, high, 0.5, 3) for name, value, low, high in rows]
    return pd.DataFrame(made, columns=COLUMNS).assign(n_comparators=12, refused="")


def with_change(
    evaluation: Evaluation, value: float, low: float, high: float, **record: object
) -> Evaluation:
    """The same evaluation with another change and interval, and another record."""
    result = evaluation["cla"]
    sure = replace(result.did.attached, conf_low=np.array([low]), conf_high=np.array([high]))
    did = replace(result.did, values=np.array([value])).with_uncertainty(sure)
    assert evaluation.record is not None
    return replace(
        evaluation,
        results={"cla": replace(result, did=did)},
        record=replace(evaluation.record, **record),  # type: ignore[arg-type]
    )


# -- how the pilots were chosen ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"bias": 3.0, "actual": -2.0}, "would by itself show +3.0, more than the change itself."),
        ({"bias": -2.0, "actual": 2.0}, "would by itself show −2.0, as much as the change itself."),
        ({"bias": 1.0, "actual": -2.0}, ""),
        ({"bias": 0.0, "actual": 0.0}, ""),
        (
            {"bias": np.nan, "bias_lowest": -4.0, "bias_highest": 1.0, "actual": -2.0},
            "could by itself show anything from −4.0 to +1.0 (had the most extreme been taken), "
            "more than the change itself.",
        ),
        ({"bias": np.nan, "bias_lowest": -1.0, "bias_highest": 1.5, "actual": -2.0}, ""),
    ],
)
def test_the_choice_of_pilots_is_a_doubt_where_it_is_as_large_as_the_change(
    evaluation: Evaluation, facts: dict[str, float], expected: str
) -> None:
    result = evaluation["cla"]
    found = result.findings["RegressionToTheMean"]
    told = replace(found, facts={**found.facts, **facts})
    mine = replace(result, findings={"RegressionToTheMean": told})
    made = replace(evaluation, results={"cla": mine}, record=None)
    said = chosen_in_words(mine)
    assert said == (f"The choice of pilots {expected}" if expected else "")
    assert speaks_against(made, "cla") == bool(expected)
    mind = answers(made)["What would change our mind?"]
    if expected:
        assert said in mind
        assert said in sentences(made, "cla")["What would change our mind"]
    else:
        assert "Looked at: how the pilots were chosen" in mind
        assert "The choice of pilots" not in mind
    without = replace(mine, findings={})
    assert chosen_in_words(without) == ""


def test_of_matched_sets_the_choice_of_pilots_says_nothing() -> None:
    y = np.random.default_rng(6).normal(50, 3, (12, 6))
    ids = codes(12)
    sets = {one: dict.fromkeys(ids[3:], 1 / 9) for one in ids[:3]}
    check = dk.RegressionToTheMean(draws=100)
    for against, expected in ((dk.Pool(), True), (dk.MatchedSets(sets), False)):
        design = design_of(y, dict.fromkeys(range(3), 3), against=against)
        made = evaluate(design, ["m"], inference=dk.Jackknife(), checks=[check])["m"]
        low, high = (made.findings["RegressionToTheMean"].facts[f"bias_{n}"] for n in _ENDS)
        assert max(abs(low), abs(high)) > abs(float(made.did.values[0]))
        assert bool(chosen_in_words(made)) == expected


_ENDS = ("lowest", "highest")


# -- the alternatives of the plan ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "other", "expected"),
    [
        (
            (2.5, -6.0, 11.0),
            (-5.7, -11.1, -0.33),
            "is −5.7 (−11.1 to −0.33): its interval does",
        ),
        ((-5.0, -9.0, -1.0), (-4.0, -9.0, 1.0), "is −4.0 (−9.0 to +1.0): its interval holds zero."),
        ((-5.0, -9.0, -1.0), (4.0, 1.0, 9.0), "is +4.0 (+1.0 to +9.0): its interval does not hold"),
        ((-5.0, -9.0, 1.0), (4.0, -1.0, 9.0), "'later' its sign turns (+4.0)."),
        ((-5.0, -9.0, 1.0), (-4.0, -9.0, 1.0), ""),
        ((-5.0, -9.0, 1.0), (np.nan, np.nan, np.nan), ""),
    ],
)
def test_an_alternative_that_tells_another_story_is_on_the_first_page(
    planned: Evaluation,
    change: tuple[float, float, float],
    other: tuple[float, float, float],
    expected: str,
) -> None:
    made = with_change(planned, *change, sensitivity=others(("later", *other)))
    mind = answers(made)["What would change our mind?"]
    assert ("With the planned alternative 'later'" in mind) is bool(expected)
    assert expected in mind
    assert expected in made.in_words()


def test_alternatives_stand_in_a_table_of_their_own_in_every_form(
    planned: Evaluation, tmp_path: Path
) -> None:
    table = others(("later <b>", -4.25, -9.0, 1.0), ("earlier", np.nan, np.nan, np.nan))
    table.loc[1, ["n_pilots", "n_comparators"]] = np.nan
    table.loc[1, "refused"] = "needed two periods; found 1"
    assert planned.record is not None
    made = replace(planned, record=replace(planned.record, sensitivity=table))
    shown = sensitivity_table(made)
    assert shown["Alternative"].tolist() == ["as planned", "later <b>", "earlier"]
    assert shown["Change"].tolist()[1:] == ["−4.25", "not made"]
    assert shown["Refused because"].tolist()[2] == "needed two periods; found 1"
    page = made.to_html()
    assert page.index("t-complete-caption") < page.index("t-alternatives-caption")
    assert "later &lt;b&gt;" in page
    assert "later <b>" not in page
    assert "With the alternatives that the plan names:" in made.to_markdown()
    assert r"later \textless{}b\textgreater{}" in made.to_latex()
    book = openpyxl.load_workbook(made.to_excel(tmp_path / "x.xlsx"))
    rows = list(book["Alternatives"].iter_rows(min_row=2, values_only=True))
    assert rows[0][:3] == ("Children looked after", "later <b>", -4.25)
    assert rows[1][2] is None
    assert "under each of which it was estimated again in the same way: later <b>; earlier." in (
        methods_note(made)
    )
    assert sensitivity_table(planned).empty
    assert "t-alternatives" not in planned.to_html()


# -- several measures ----------------------------------------------------------------------------


def test_a_change_that_adjustment_takes_away_is_said_to_be_none(planned: Evaluation) -> None:
    made = with_change(planned, -5.0, -9.0, -1.0, adjusted={"cla": 0.1})
    told = "after adjustment for several measures (p adjusted .10) this is not evidence of a change"
    assert told in answers(made)["What changed?"]
    assert told in made.in_words()
    assert told in short(made, "cla")
    assert told in bottom_line(made, "cla")
    kept = with_change(planned, -5.0, -9.0, -1.0, adjusted={"cla": 0.04})
    assert "after adjustment" not in " ".join(answers(kept).values()) + short(kept, "cla")


def test_a_secondary_measure_is_called_one(planned: Evaluation) -> None:
    made = with_change(planned, -5.0, -9.0, 1.0, roles={"cla": "secondary"})
    labels = {answer.question: [label for label, _ in answer.lines] for answer in first_page(made)}
    assert labels["In short"] == labels["What changed?"] == ["Children looked after (secondary)"]
    assert short(made, "cla").startswith("Children looked after (secondary): ")
    assert "This is a secondary measure of the plan." in made.in_words()
    assert "primary" not in planned.in_words()  # one family: no role to tell apart


# -- what the plan says of itself ----------------------------------------------------------------


def test_the_first_page_says_when_the_plan_was_frozen_and_what_it_notes(
    planned: Evaluation, record: PlanRecord
) -> None:
    assert frozen_in_words(replace(record, frozen_on="2026-11-22T05:00:00+00:00")) == (
        "The plan was frozen on 22 November 2026, with the data at hand"
    )
    early = replace(record, before_data=True)
    assert frozen_in_words(early).endswith(
        ", before the data were published, so files, values and units were not compared"
    )
    plan = replace(record.plan, statements={"notes": "Written afterwards, so it plans\nnothing"})
    made = replace(planned, record=replace(record, plan=plan))
    told = "The plan notes: Written afterwards, so it plans nothing."
    assert told in answers(made)["What was compared?"]
    assert "The plan notes" not in answers(planned)["What was compared?"]


# -- before the start ----------------------------------------------------------------------------


def test_the_largest_movement_before_the_start_stands_beside_the_change(
    evaluation: Evaluation,
) -> None:
    largest = evaluation["cla"].findings["PreTrends"].facts["largest"]
    change = abs(evaluation["cla"].did.values[0])
    than = "more" if largest >= change else "less"
    mind = answers(evaluation)["What would change our mind?"]
    assert "Before the start the gap had moved by up to " in mind
    assert f"{than} than the change itself (test of all earlier years together, p = " in mind


def test_where_nothing_speaks_against_it_what_was_looked_at_is_named() -> None:
    made = evaluate(make_design(shift=-30.0), ["cla"])
    mind = answers(made)["What would change our mind?"]
    assert "Looked at: the years before the start, earlier starts, leaving one out, " in mind
    assert "Nothing there speaks against it." in mind
    assert "less than the change itself" in mind


# -- sizes ---------------------------------------------------------------------------------------


def test_missing_cells_and_staggered_starts_explain_why_the_gaps_do_not_add_up() -> None:
    y = np.random.default_rng(3).normal(100, 2, (14, 5))
    even = evaluate(design_of(y, {0: 2, 1: 2, 2: 2}), ["m"], inference=CR2, checks=[])
    assert not_the_difference(even, ("m",)) == ""
    y[0, 0] = np.nan
    holes = evaluate(design_of(y, {0: 2, 1: 2, 2: 2}), ["m"], inference=CR2, checks=[])
    told = "The change is not simply the gap after less the gap before, because cells are missing."
    assert told in answers(holes)["What changed?"]
    both = evaluate(design_of(y, {0: 2, 1: 2, 2: 3}), ["m"], inference=CR2, checks=[])
    assert "because cells are missing and starts are staggered." in both.in_words()


def test_shares_are_told_in_percentage_points() -> None:
    rng = np.random.default_rng(5)
    rows = [(301 + j, 2011 + t, 20 + rng.normal()) for j in range(12) for t in range(5)]
    frame = pd.DataFrame(rows, columns=["la", "year", "again"])
    metric = dk.Metric(name="again", label="Referrals again", kind="percent", unit="% of referrals")
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics={metric.name: metric})
    starts = dict.fromkeys(("301", "302", "303"), 2014)
    design = dk.Design(panel, dk.Rollout(starts), against=dk.Pool(), selection="unknown")
    made = evaluate(design, ["again"], inference=CR2)
    words = made.in_words() + " ".join(answers(made).values()) + short(made, "again")
    assert " percentage points lower than" in words or " percentage points higher than" in words
    assert "% of referrals:" not in words
    change = answers(made)["What changed?"]
    assert " percentage points" in change
    assert " percentage points (" in made.in_words()


def test_a_gap_that_has_almost_gone_has_no_absurd_share() -> None:
    assert share_in_words(37.2, 1.0) == "all of the gap was there before, and most of it has gone"
    assert share_text(37.2) == "all (over 200%)"
    assert share_text(-0.001) == "0%"
    assert share_in_words(0.001, 1.0) == "hardly any of the gap was there before"
    assert share_in_words(-0.999, -1.0) == "all of the gap was there before"
    assert more(dk.Metric.named("cla"), 0.0) == "0 more"


def test_a_design_that_could_find_nothing_says_so() -> None:
    y = np.abs(np.random.default_rng(1).normal(10, 12, (9, 4)))
    y[:, 2:] = np.abs(np.random.default_rng(2).normal(10, 12, (9, 2)))
    rows = [(301 + j, 2011 + t, y[j, t]) for j in range(9) for t in range(4)]
    frame = pd.DataFrame(rows, columns=["la", "year", "n"])
    metric = dk.Metric(name="n", label="Cases", kind="count", unit="cases")
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics={metric.name: metric})
    starts = dict.fromkeys(("301", "302"), 2013)
    design = dk.Design(panel, dk.Rollout(starts), against=dk.Pool(), selection="unknown")
    made = evaluate(design, ["n"], inference=CR2)
    assert made.to_frame()["detectable_percent"][0] > 100
    told = "Not even a fall to zero would probably (80%) have been found"
    assert findable(made["n"]).startswith(told)
    assert told in made.in_words()
    assert "even a fall to zero could have been missed" in bottom_line(made, "n")
    result = replace(made["n"], findings={})
    assert findable(result) == "What could have been found was not computed."


def test_an_interval_without_ends_is_explained() -> None:
    assert unlimited(-1.0, 1.0) == unlimited(np.nan, np.nan) == ""
    assert unlimited(-np.inf, np.inf).startswith("An interval from −∞ to +∞: ")
    y = np.random.default_rng(4).normal(100, 1, (5, 4))
    made = evaluate(design_of(y, {0: 2}), ["m"])
    assert "no change can be ruled out" in answers(made)["How sure is that?"]


def test_units_that_were_named_but_not_used_are_counted() -> None:
    y = np.random.default_rng(4).normal(100, 1, (10, 4))
    assert "used" not in compared(evaluate(design_of(y, {0: 2, 1: 2}), ["m"], checks=[]))
    y[9] = np.nan
    made = evaluate(design_of(y, {0: 2, 1: 2}), ["m"], inference=CR2, checks=[])
    assert "compared with eight comparators (seven used), 2011 to" in compared(made)
    assert facts(made)["Seeds"] == "none drawn"


def test_one_pilot_in_a_note_is_one_pilot() -> None:
    y = np.random.default_rng(3).normal(100, 0.5, (14, 4))
    y[0, 0] = np.nan
    made = evaluate(design_of(y, {0: 2, 1: 2}), ["m"], checks=[])
    strip = next(one for one in made.pictures() if one.kind == "long_differences")
    assert strip.note.startswith("Only the 1 pilot and 12 comparators observed in every period")


# -- the picture ---------------------------------------------------------------------------------


def test_labels_of_the_overview_keep_clear_of_zero_and_of_the_edge(evaluation: Evaluation) -> None:
    ax = evaluation.plot()
    figure = ax.figure
    figure.canvas.draw()
    zero = ax.transData.transform((0.0, 0.0))[0]
    left, right = ax.get_window_extent().x0, ax.get_window_extent().x1
    for text in ax.texts:
        box = text.get_window_extent()
        assert left <= box.x0 < box.x1 <= right + 1
        assert box.x1 <= zero or box.x0 >= zero
    assert "Numbers: per 10,000 children." in " ".join(ax.get_xlabel().split())
    assert 72 * figure.get_size_inches()[0] * 0.95 <= 390 - 2 * 0.9 * 16 - 2 * 8 - 2


@pytest.mark.parametrize(
    "gaps", [[(-2.0, -6.0), (1.5, 0.2), (0.4, -0.3)], [(5.0, 5.0)], [(0.0, 0.0)], [(-9.0, 2.0)]]
)
def test_labels_keep_clear_on_both_sides_of_zero(
    gaps: list[tuple[float, float]],
) -> None:
    class Told:
        def to_frame(self) -> pd.DataFrame:
            frame = pd.DataFrame(gaps, columns=["gap_before", "gap_after"])
            names = [f"Measure {k}" for k in range(len(gaps))]
            units = ["per 10,000 children", "% of referrals", "working days"][: len(gaps)]
            level = {"comparators_before": 20.0, "comparators_after": 25.0}
            return frame.assign(metric=names, label=names, unit=units, **level)

        def in_words(self) -> str:
            return ""

    ax = plot.overview(Told())
    ax.figure.canvas.draw()
    zero, frame = ax.transData.transform((0.0, 0.0))[0], ax.get_window_extent()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert all(frame.x0 <= box.x0 < box.x1 <= frame.x1 + 1 for box in boxes)
    assert all(box.x1 <= zero + 1 or box.x0 >= zero - 1 for box in boxes)
    names = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
    assert ("working days" in names[0]) is (len(gaps) == 3)
