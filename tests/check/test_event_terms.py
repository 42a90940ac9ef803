"""Terms by event time: taken from estimates, or given by other programs, and refused by name."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from helpers import design_of, noise, spread

import didkit as dk
from didkit.check import EventTerms
from didkit.errors import InferenceError

N, T, START = 16, 8, 4
ONE = spread(N, 5, START)
SEVERAL = {1: 3, 5: 3, 9: 5, 13: 5, 15: 5}
LABELS = [-3, -2, 0, 1]


def events(**options) -> dk.Estimate:
    return dk.EventStudy(**options).fit(design_of(noise(N, T, 3), ONE), "m")


def covariance(seed: int = 0) -> pd.DataFrame:
    root = np.random.default_rng(seed).normal(size=(4, 6))
    return pd.DataFrame(root @ root.T, LABELS, LABELS)


def terms() -> pd.Series:
    return pd.Series([0.3, -0.2, -1.0, -2.0], LABELS)


# -- from an estimate -----------------------------------------------------------------------------


def test_an_event_study_gives_its_own_terms_and_covariance():
    made = events().infer(dk.ClusterRobust("CR2"), level=0.9)
    found = EventTerms.of(made)
    assert found.events is made
    assert found.names == tuple(made.terms["term"])
    assert found.times.tolist() == [-4, -3, -2, 0, 1, 2, 3]
    assert (found.reference, found.first, found.level) == (-1, 0, 0.9)
    np.testing.assert_array_equal(found.values, made.values)
    np.testing.assert_array_equal(found.covariance, made.covariance.to_numpy())
    assert found.label == made.main_term == "event time 0"
    assert found.estimate == pytest.approx(float(made["event time 0"]["estimate"]))
    assert found.std_error == pytest.approx(float(made["event time 0"]["std_error"]))
    assert found.notes == ()


def test_a_difference_in_differences_lends_its_event_study_and_reports_the_mean():
    did = dk.DiD("complete").fit(design_of(noise(N, T, 3), ONE), "m").infer(dk.ClusterRobust("CR2"))
    found = EventTerms.of(did)
    own = dk.EventStudy(cells="complete").fit(did.design, "m").infer(dk.ClusterRobust("CR2"))
    after = own.terms["phase"] == "after"
    assert found.estimate == pytest.approx(float(own.values[after].mean()))
    np.testing.assert_allclose(found.covariance, own.covariance.to_numpy())
    assert found.label == "mean of event times 0 to 3"
    assert "EventStudy(" in found.notes[0]
    # the mean after less the mean of all before, the reference as 0, is the estimate itself
    before = own.values[~after].sum() / START
    assert found.estimate - before == pytest.approx(float(did.values[0]))


def test_the_mean_with_several_starts_counts_each_pilot_once():
    design = design_of(noise(N, T, 5), SEVERAL)
    found = EventTerms.of(dk.GroupTime().fit(design, "m"), inference=dk.ClusterRobust("CR1"))
    simple = dk.GroupTime().fit(design, "m")
    assert found.estimate == pytest.approx(float(simple.values[0]), abs=1e-10)


def test_terms_that_one_pilot_carries_have_no_variance_and_go_by_name():
    design = design_of(noise(N, T, 5), {1: 3, 5: 3, 9: 5, 13: 5, 15: 6})
    made = dk.GroupTime(by="dynamic").fit(design, "m")
    found = EventTerms.of(made, inference=dk.ClusterRobust("CR1"))
    assert found.times.tolist() == [-5, -4, -3, -2, 0, 1, 2, 3, 4]
    assert any(note.startswith("event time -6: left out") for note in found.notes)


def test_an_inference_without_covariance_is_replaced_by_name():
    found = EventTerms.of(events().infer(dk.Permutation("t", draws=99)))
    own = events().infer(dk.ClusterRobust("CR2"))
    np.testing.assert_allclose(found.covariance, own.covariance.to_numpy())
    assert "covariance of the terms by CR2" in found.notes[0]
    assert "permutation of t" in found.notes[0]
    asked = EventTerms.of(events(), inference=dk.ClusterRobust("CR1"))
    np.testing.assert_allclose(
        asked.covariance, events().infer(dk.ClusterRobust("CR1")).covariance.to_numpy()
    )
    with pytest.raises(InferenceError, match="an inference with a covariance"):
        EventTerms.of(events(), inference=dk.Permutation("t", draws=99))


@pytest.mark.parametrize(
    ("of", "weights", "label"),
    [
        ("event time +1", [0, 1, 0, 0], "event time +1"),
        ("mean", [0.25] * 4, "mean of event times 0 to 3"),
        (
            {"event time +1": 0.5, "event time +3": 0.5},
            [0, 0.5, 0, 0.5],
            "0.5 × event time +1 + 0.5 × event time +3",
        ),
        ({"event time +3": 1, "event time 0": -1}, [-1, 0, 0, 1], None),
    ],
)
def test_the_reported_combination_is_the_one_asked_for(of, weights, label):
    found = EventTerms.of(events(), of=of, inference=dk.ClusterRobust("CR1"))
    assert found.weights.tolist() == [0, 0, 0, *weights]
    assert label is None or found.label == label


@pytest.mark.parametrize("of", ["event time -2", "change", {}, {"event time 0": "1"}, {"x": 1.0}])
def test_a_combination_that_does_not_exist_is_refused(of):
    with pytest.raises(InferenceError, match="the name of a term from the start on") as caught:
        EventTerms.of(events(), of=of, inference=dk.ClusterRobust("CR1"))
    assert "event time +3" in caught.value.todo
    assert "event time -2" not in caught.value.todo


def test_terms_of_anticipation_may_hold_an_effect():
    made = events(anticipation=1).infer(dk.ClusterRobust("CR2"))
    found = EventTerms.of(made)
    assert (found.reference, found.first) == (-2, -1)
    assert found.before.tolist() == [True, True, False, False, False, False, False]
    assert found.weights[found.times.tolist().index(-1)] == 0
    assert EventTerms.of(made, of="mean").label == "mean of event times 0 to 3"


def test_calendar_terms_are_terms_by_event_time_where_all_start_together():
    made = events(time="calendar").infer(dk.ClusterRobust("CR2"))
    found = EventTerms.of(made)
    np.testing.assert_allclose(
        found.values, EventTerms.of(events(), inference=dk.ClusterRobust("CR2")).values
    )


# -- what has no path -----------------------------------------------------------------------------


def test_one_period_before_the_start_is_refused():
    y = noise(N, 5, 3)
    short = dict.fromkeys(ONE, 1)
    for estimator in (dk.DiD(), dk.EventStudy()):
        with pytest.raises(InferenceError, match="at least two periods before") as caught:
            EventTerms.of(estimator.fit(design_of(y, short), "m"))
        assert "widen the window" in caught.value.todo


def test_an_estimate_without_a_path_is_refused():
    made = dk.SyntheticDiD().fit(design_of(noise(N, T, 3), ONE), "m")
    with pytest.raises(InferenceError, match="terms before and after the start") as caught:
        EventTerms.of(made)
    assert "EventStudy()" in caught.value.todo


# -- from elsewhere -------------------------------------------------------------------------------


def test_labels_decide_and_not_order():
    made = EventTerms.given(terms(), covariance())
    other = EventTerms.given(
        terms().sample(frac=1, random_state=1), covariance().loc[LABELS[::-1], LABELS[::-1]]
    )
    np.testing.assert_array_equal(made.values, other.values)
    np.testing.assert_array_equal(made.covariance, other.covariance)
    assert made.estimate == pytest.approx(-1.5)
    assert EventTerms.given(terms(), covariance(), of={1: 1.0}).estimate == -2.0


@pytest.mark.parametrize(
    ("values", "matrix", "needed"),
    [
        (np.zeros(4), covariance(), "a Series of terms indexed by event time"),
        (terms(), covariance().to_numpy(), "a Series of terms indexed by event time"),
        (pd.Series(0.0, list("abcd")), covariance(), "event times as labels"),
        (terms(), covariance().iloc[:3, :3], "the same labels"),
        (pd.concat([terms(), terms()]), covariance(), "the same labels"),
    ],
)
def test_terms_without_labels_are_refused(values, matrix, needed):
    with pytest.raises(InferenceError, match=needed):
        EventTerms.given(values, matrix)


def test_a_matrix_that_is_no_covariance_is_refused_and_by_how_much_is_said():
    wrong = covariance()
    wrong.loc[0, 1] = wrong.loc[1, 0] = 100.0
    least = np.linalg.eigvalsh(wrong.to_numpy())[0]
    with pytest.raises(InferenceError, match="a positive semi-definite covariance") as caught:
        EventTerms.given(terms(), wrong)
    assert f"{least:.3g}" in caught.value.found
    assert "not repaired" in caught.value.todo
    bent = covariance()
    bent.loc[0, 1] += 0.25
    with pytest.raises(InferenceError, match="a symmetric covariance") as caught:
        EventTerms.given(terms(), bent)
    assert "0.25" in caught.value.found


def test_a_singular_covariance_is_one():
    flat = pd.DataFrame(np.ones((4, 4)), LABELS, LABELS)
    assert EventTerms.given(terms(), flat).std_error == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "options", "needed"),
    [
        ([-4, -2, 0, 1], {}, "no gap between them"),
        ([-3, -2, -1, 0], {}, "no gap between them"),
        ([-3, -2, 0, 1], {"reference": 1}, "each event time once"),
        ([0, 1, 2, 3], {}, "at least two periods before the start"),
        ([-5, -4, -3, -2], {}, "a term from the start on"),
        ([-2, -1, 1, 2], {"reference": 0, "first": -5}, "a reference before event time -5"),
    ],
)
def test_a_path_with_holes_or_without_a_side_is_refused(labels, options, needed):
    matrix = pd.DataFrame(np.eye(4), labels, labels)
    with pytest.raises(InferenceError, match=re.escape(needed)):
        EventTerms.given(pd.Series(1.0, labels), matrix, **options)


def test_terms_without_a_value_are_refused():
    holed = terms()
    holed.loc[1] = np.nan
    with pytest.raises(InferenceError, match="finite terms"):
        EventTerms.given(holed, covariance())


def test_of_did_a_note_says_that_the_terms_are_another_number_than_the_printed_one():
    did = dk.DiD("complete").fit(design_of(noise(N, T, 3), ONE), "m").infer(dk.ClusterRobust("CR2"))
    (said,) = [note for note in EventTerms.of(did).notes if "the printed estimate" in note]
    assert "the terms compare with event time −1 alone" in said
    own = EventTerms.of(dk.EventStudy().fit(did.design, "m").infer(dk.ClusterRobust("CR2")))
    assert not any("the printed estimate" in note for note in own.notes)


@pytest.mark.parametrize("maker", [dk.Gap(), dk.PoissonDiD()])
def test_an_estimate_without_a_path_is_sent_to_one_that_has_it(maker):
    made = maker.fit(design_of(np.exp(noise(N, T, 3) / 50), ONE), "m").infer(None)
    with pytest.raises(dk.InferenceError, match=r"run it on (EventStudy|PoissonDiD\(terms)"):
        EventTerms.of(made)


def test_weights_without_names_are_refused():
    with pytest.raises(dk.InferenceError, match=r"of=\{'event time 0': 1.0\}"):
        EventTerms.of(events().infer(dk.ClusterRobust("CR2")), of=[1, 2])
