"""The words have the signs of the numbers, and say neither too much nor too little."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import design_of
from report.places import make_design

import didkit as dk
from didkit.report import Evaluation, evaluate
from didkit.report.first_page import first_page
from didkit.report.numerals import said, said_signed
from didkit.report.words import bottom_line, compared, short, truths

FORBIDDEN = ("no effect", "significant", "passed", "proves", "impact")


def words_of(shift: float, **options: object) -> str:
    made = evaluate(make_design(shift=shift), ["cla"], truth={"cla": shift})
    return made.in_words("cla")


def test_no_evidence_of_a_change_stands_beside_what_could_have_been_found(
    evaluation: Evaluation,
) -> None:
    words = evaluation.in_words()
    row = evaluation.to_frame().iloc[0]
    assert row["conf_low"] < 0 < row["conf_high"]
    assert "no evidence of a change beyond" in words
    assert f"A change of {said(row['detectable'])} per 10,000 children (" in words
    assert "of the comparators' level) or more would probably (80%) have been found" in words
    assert f"Before the start pilots had {said(-row['gap_before'])} fewer children looked" in words
    assert "They had fewer throughout: in all six periods." in words
    assert "The true effect is zero: the interval holds it." in words


@pytest.mark.parametrize(("shift", "sign"), [(-12.0, "−"), (12.0, "+")])
def test_a_change_is_called_one_with_its_sign_and_interval(shift: float, sign: str) -> None:
    words = words_of(shift)
    assert f"From the start on the gap changed by {sign}1" in words
    assert "95% interval" in words
    assert "no evidence" not in words
    assert f"The true effect is {sign}12.0: the interval holds it." in words


@pytest.mark.parametrize("shift", [-12.0, 0.0, 12.0])
def test_words_that_are_never_said(shift: float) -> None:
    words = words_of(shift).lower()
    assert not [word for word in FORBIDDEN if word in words]


def test_the_share_that_was_there_before() -> None:
    lower = evaluate(make_design(shift=-20.0), ["cla"]).in_words()
    assert "% of the gap was there before" in lower
    assert "all of the gap" not in lower
    nearer = evaluate(make_design(shift=10.0), ["cla"]).in_words()
    assert "all of the gap was there before (" in nearer
    assert "and it has narrowed" in nearer
    turned = evaluate(make_design(shift=45.0), ["cla"]).in_words()
    assert "the sign of the gap turned" in turned
    assert "They had as often more as fewer: in three of six periods each." in turned


def test_rising_pilots_are_counted_beside_rising_comparators() -> None:
    words = evaluate(make_design(shift=40.0), ["cla"]).in_words()
    assert (
        "Four of four pilots had more children looked after in 2016 than in 2011; so had" in words
    )
    down = evaluate(make_design(shift=-40.0), ["cla"], between=(2012, 2016)).in_words()
    assert "None of four pilots had more children looked after in 2016 than in 2012" in down


def test_cells_that_turn_the_answer_are_told() -> None:
    """One pilot with a hole carries the sign."""
    y = np.random.default_rng(3).normal(100, 0.5, (14, 4))
    y[0, 2:] -= 12
    y[1:4, 2:] += 1.5
    y[0, 0] = np.nan
    made = evaluate(design_of(y, {0: 2, 1: 2, 2: 2, 3: 2}), ["m"])
    assert made["m"].did.values[0] < 0
    words = made.in_words()
    assert "On the 3 pilots and 10 comparators observed in every period the change is +" in words
    assert "the sign hangs on which cells are used" in words
    left = made["m"].findings["LeaveOneOut"].facts
    span = f"{said_signed(left['lowest'])} to {said_signed(left['highest'])}"
    assert f"Without one pilot the change is anything from {span}: its sign hangs" in words
    assert "its sign hangs on one of them" in words


def test_a_missed_truth_is_said_to_be_missed() -> None:
    made = evaluate(make_design(shift=-12.0), ["cla"], truth={"cla": 0.0})
    assert (
        "The true effect is zero: the interval misses it. In the long run 5% of such intervals "
        "do; a recording error adds to it where there is one." in made.in_words()
    )


def test_an_interval_without_limits_is_no_evidence() -> None:
    y = np.random.default_rng(4).normal(100, 1, (5, 4))
    made = evaluate(design_of(y, {0: 2}), ["m"])
    row = made.to_frame().iloc[0]
    assert np.isinf(row["conf_low"])
    assert "no evidence of a change" in made.in_words()


def test_a_gap_that_moved_before_the_start_is_said_to_speak_against_the_change() -> None:
    """A pilot arm that falls steadily before the start."""
    y = np.random.default_rng(8).normal(100, 0.5, (16, 6))
    y[:4] -= 4 * np.arange(6)
    made = evaluate(design_of(y, dict.fromkeys(range(4), 4)), ["m"])
    p = made["m"].findings["PreTrends"].facts["p_value"]
    assert p < 0.05
    tested = f"(test of all earlier years together, p = {dk.results.tables.p_value(p)})"
    words = made.in_words()
    assert f"{tested}: the change rests on an assumption that these data speak" in words
    assert "stayed parallel" not in words
    assert f"Before the start the gap had already moved {tested}." in short(made, "m")
    assert "it had already moved before the start." in bottom_line(made, "m")


def test_a_gap_that_stayed_is_not(evaluation: Evaluation) -> None:
    assert evaluation["cla"].findings["PreTrends"].facts["p_value"] >= 0.05
    assert "does not show that trends would have stayed parallel" in evaluation.in_words()
    assert "speak against" not in evaluation.in_words() + short(evaluation, "cla")


def test_what_could_be_found_is_in_short_only_without_evidence(evaluation: Evaluation) -> None:
    assert "or more would probably (80%) have been found" in short(evaluation, "cla")
    changed = evaluate(make_design(shift=-12.0), ["cla"])
    assert "have been found" not in short(changed, "cla")
    assert "% there before)" in short(changed, "cla")


def test_one_pilot_is_one_pilot() -> None:
    y = np.random.default_rng(4).normal(100, 1, (6, 4))
    made = evaluate(design_of(y, {0: 2}), ["m"])
    assert compared(made).startswith("One pilot that started in 2013 is compared with five")
    words = made.in_words()
    assert "The one pilot " in words
    assert "One of one" not in words
    assert "  " not in words


def test_misses_of_known_truths_are_counted() -> None:
    y = np.random.default_rng(5).normal(100, 1, (16, 5))
    y[:4, 3:] -= 12
    other = np.random.default_rng(6).normal(50, 1, (16, 5))
    rows = [(301 + 3 * j, 2011 + t, y[j, t], other[j, t]) for j in range(16) for t in range(5)]
    frame = pd.DataFrame(rows, columns=["la", "year", "m", "k"])
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "k"])
    starts = {str(301 + 3 * j): 2014 for j in range(4)}
    design = dk.Design(panel, dk.Rollout(starts), against=dk.Pool(), selection="unknown")
    made = evaluate(design, ["m", "k"], truth={"m": 0.0, "k": 0.0}, inference=dk.ClusterRobust())
    frame = made.to_frame()
    missed = int(((frame["conf_low"] > 0) | (frame["conf_high"] < 0)).sum())
    assert missed >= 1
    told = truths(made)
    assert told.startswith(f"Here the truth is known: {('none', 'one', 'two')[missed]} of two")
    assert "about 10% of draws" in told
    assert told in made.to_html()
    alone = evaluate(design, ["m"], truth={"m": 0.0}, inference=dk.ClusterRobust())
    assert truths(alone) == ""


def test_methods_on_both_sides_of_the_level_are_told() -> None:
    """Pilots that vary less than comparators: t says one thing, the estimate's rank another."""
    rng = np.random.default_rng(3)
    y = np.zeros((30, 4))
    y[:, 2:] = rng.normal(scale=10, size=(30, 1))
    y[8:, 2:] -= y[8:, 2:].mean()
    y[:8, 2:] = 5 + rng.normal(scale=0.5, size=(8, 1))
    y += 100 + 0.01 * rng.normal(size=y.shape)
    made = evaluate(design_of(y, dict.fromkeys(range(8), 2)), ["m"])
    table = made["m"].methods.set_index("inference")["p_value"]
    t = table["Permutation(statistic='t', draws=9999, seed=0)"]
    beta = table["Permutation(statistic='beta', draws=9999, seed=0)"]
    assert t < 0.05 < beta
    number = dk.results.tables.p_value
    told = f"but = {number(beta)} by permutation of the estimate: which side of .050"
    assert told in made.in_words()
    assert told in dict(first_page(made)[-1].lines)["m"]


def test_methods_that_agree_are_not_told(evaluation: Evaluation) -> None:
    assert "hangs on the method" not in evaluation.in_words()


def test_the_methods_stand_at_the_level_of_the_report(design: dk.Design) -> None:
    made = evaluate(design, ["cla"], level=0.8)
    row = made["cla"].methods.iloc[0]
    assert row["recommended"]
    own = made["cla"].did.tidy().iloc[0]
    assert (row["conf_low"], row["conf_high"]) == (own["conf_low"], own["conf_high"])
    drawn = made["cla"].did.plot(kind="forest").data.iloc[0]
    assert (drawn["conf_low"], drawn["conf_high"]) == (own["conf_low"], own["conf_high"])
