"""The one shape of answer: columns, copies, words, and what stands where there is no number."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, noise, spread, treated

from didkit.design import MatchedSets
from didkit.errors import DidkitError, EstimationError, InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, Permutation
from didkit.results import Check, Draws, Estimate, Estimator, Inference, hooks, tables

FIRST_COLUMNS = ["term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
STARTS = spread(14, 4, 3)


def fitted(estimator=None, **options) -> Estimate:
    y = noise(14, 6, 3) + 4 * treated((14, 6), STARTS)
    return (estimator or DiD()).fit(design_of(y, STARTS, **options), "m")


@pytest.mark.parametrize("estimator", [DiD(), EventStudy(), Gap(), Gap(by="period")], ids=str)
@pytest.mark.parametrize("inference", [ClusterRobust("CR2"), Permutation(draws=99), None], ids=str)
def test_tidy_starts_with_the_same_columns(estimator, inference):
    made = fitted(estimator).infer(inference)
    table = made.tidy()
    assert list(table.columns[:7]) == FIRST_COLUMNS
    assert set(table["metric"]) == {"m"}
    assert len(table) == made.n_terms + isinstance(estimator, EventStudy)
    glance = made.glance()
    assert len(glance) == 1
    row = glance.iloc[0]
    assert (row["pilots"], row["comparators"]) == (4, 10)
    assert (row["clusters_pilots"], row["clusters_comparators"]) == (4, 10)
    assert (row["periods"], row["first"], row["last"]) == (6, "2011", "2016")
    assert row["cells_used"] == 84


def test_the_reference_stands_in_its_place_with_zero():
    table = fitted(EventStudy()).infer(ClusterRobust()).tidy()
    assert table["position"].tolist() == [-3, -2, -1, 0, 1, 2]
    row = table.iloc[2]
    assert (row["term"], row["phase"], row["estimate"]) == ("event time -1", "reference", 0)
    assert row[FIRST_COLUMNS[2:]].isna().all()


def test_tables_are_copies():
    made = fitted(EventStudy()).infer(ClusterRobust())
    before = made.tidy()
    for table in (made.tidy(), made.covariance, made.long_differences(), made.glance()):
        for column in table.columns:
            table[column] = 0
    made.tidy().to_numpy()[:] = 0
    pd.testing.assert_frame_equal(made.tidy(), before)
    assert made.covariance.to_numpy()[0, 0] > 0


def test_terms_are_found_by_their_exact_name():
    made = fitted(EventStudy()).infer(ClusterRobust())
    assert made["event time +1"]["estimate"] == made.values[3]
    with pytest.raises(EstimationError, match="'event time 1'") as caught:
        made["event time 1"]
    assert "choose one of: event time -3, " in str(caught.value)
    with pytest.raises(EstimationError, match="choose one of"):
        made.long_differences("att")


def test_long_differences_of_each_term():
    made = fitted(EventStudy())
    for m, term in enumerate(made.terms["term"]):
        table = made.long_differences(term)
        assert (table["value"] * table["weight"]).sum() == pytest.approx(made.values[m])
    ids = codes(14)
    against = MatchedSets({ids[j]: {ids[0]: 1.0} for j in STARTS})
    with pytest.raises(EstimationError, match="one number a unit"):
        fitted(against=against).long_differences()


def test_effective_clusters_in_closed_form():
    """G² / (n0²/n1 + n1²/n0), the closed form."""
    expected = 14**2 / (10**2 / 4 + 4**2 / 10)
    assert fitted().effective_clusters() == pytest.approx(expected)
    assert fitted(DiD("complete")).effective_clusters() == pytest.approx(expected)
    one = DiD().fit(design_of(noise(14, 6, 3), {2: 3}), "m")
    assert one.effective_clusters() == pytest.approx(14**2 / (13**2 + 1 / 13))


def test_refit_makes_it_again():
    made = fitted(EventStudy())
    again = made.refit(made.design)
    np.testing.assert_array_equal(again.values, made.values)
    assert again.estimator == made.estimator
    fewer = made.refit(made.design.drop(made.sample.units[0]))
    assert len(fewer.sample.units) == 13


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, float("nan")])
def test_a_level_out_of_range(level):
    with pytest.raises(InferenceError, match="between 0 and 1") as caught:
        fitted().infer(ClusterRobust(), level=level)
    assert repr(level) in str(caught.value)
    assert "write level=0.95" in str(caught.value)


def test_inference_is_an_object_not_a_name():
    with pytest.raises(InferenceError, match=r"write infer\(ClusterRobust\('CR2'\)\)"):
        fitted().infer("CR2")
    with pytest.raises(TypeError):
        fitted().infer(ClusterRobust(), alpha=0.05)


def test_the_level_is_the_one_printed():
    made = fitted().infer(ClusterRobust(), level=0.8)
    assert made.uncertainty.level == 0.8
    assert "level 0.8" in made.summary()
    wide = fitted().infer(ClusterRobust(), level=0.99)
    assert wide.uncertainty.conf_low[0] < made.uncertainty.conf_low[0]


def test_summary_says_what_who_and_how():
    made = fitted().infer(Permutation(draws=99, seed=3))
    text = made.summary()
    for part in (
        "DiD · m",
        "average change in m",
        "each authority counts once",
        "4 pilots, 10 comparators, 2011 to 2016",
        "against every other authority",
        "permutation of t, 99 draws, seed 3",
        "pilots were not randomised",
        "no standard error and no covariance",
    ):
        assert part in text
    assert "*" not in text.replace("**", "")
    assert repr(made).startswith("DiD(m): 1 (att ")
    assert "<table>" in made._repr_html_()
    assert made.to_markdown().count("\n") == 2
    assert r"\toprule" in made.to_latex()


def test_provenance_names_everything():
    made = fitted().infer(Permutation(draws=99, seed=3))
    found = made.provenance
    assert found["estimator"] == "DiD(cells='observed')"
    assert found["inference"] == "Permutation(statistic='t', draws=99, seed=3)"
    assert found["seed"] == 3
    assert found["sources"] == [{"release": "data frame", "file": "", "sha256": ""}]
    assert {"numpy", "pandas", "scipy"} <= set(found["versions"])
    assert fitted().infer(None).provenance["inference"] == "none"


def test_notes_of_sample_estimator_and_inference_travel_once():
    made = fitted(exclude={codes(14)[0]: "tiny"}).infer(Permutation(draws=99))
    notes = made.all_notes
    assert len(set(notes)) == len(notes)
    assert any("left out by name" in note for note in notes)
    assert any("placebo pilots" in note for note in notes)


NO_PROTOCOL = ("Advice", "EventTerms", "Power", "RelativeMagnitudes", "Smoothness", "Variation")
NEEDED = {
    "OtherDenominator": {"population": "other"},
    "PreTrendEquivalence": {"margin": 1.0},
    "SpecificationCurve": {"cells": ["complete"]},
    "TripleDifference": {"against_metric": "other"},
    "UnaffectedOutcomes": {"metrics": ["other"]},
}


def test_protocols_are_held():
    from didkit import check, estimate, inference

    for room, protocol in ((estimate, Estimator), (inference, Inference), (check, Check)):
        for name in room.__all__:
            made = getattr(room, name)
            if isinstance(made, type) and name not in NO_PROTOCOL:
                assert isinstance(made(**NEEDED.get(name, {})), protocol)


def test_without_the_front_door_results_stands_alone(monkeypatch):
    monkeypatch.setattr(hooks, "_filled", {})
    made = fitted()
    with pytest.raises(InferenceError, match="import didkit"):
        made.infer()
    with pytest.raises(DidkitError, match="who draws"):
        made.plot()
    assert made.infer(ClusterRobust()).tidy()["p_value"].notna().all()
    with pytest.raises(KeyError):
        hooks.fill("anything", print)


def test_draws_at_an_effect_are_quadratic():
    """|b − θa| and v0 − 2θv1 + θ²v2, term by term; no variance gives NaN."""
    arrays = [np.array([[1.0], [5.0]]), np.array([[0.5], [1.0]]), np.array([[4.0], [1.0]])]
    drawn = Draws(*arrays, np.array([[1.0], [1.0]]), np.array([[2.0], [1.0]]))
    np.testing.assert_allclose(drawn.statistic(0, 3.0, studentised=False), [0.5, 2.0])
    np.testing.assert_allclose(
        drawn.statistic(0, 3.0, studentised=True), [0.5 / 16**0.5, 2.0 / 4**0.5]
    )
    assert np.isnan(drawn.statistic(0, 1.0, studentised=True)[1])
    stacked = Draws.stack([drawn, drawn])
    assert stacked.b.shape == (4, 1)
    np.testing.assert_array_equal(stacked.v2, [[2], [1], [2], [1]])


# -- tables as text -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.0000001, "0"),
        (12.345, "12.3"),
        (99.96, "100"),
        (-1234567.0, "−1,234,567"),
        (0.5, "0.500"),
        (-0.9, "−0.900"),
        (0.27, "0.270"),
        (9.996, "10.0"),
        (float("inf"), "∞"),
        (float("-inf"), "−∞"),
        (float("nan"), ""),
    ],
)
def test_numbers_for_readers(value, text):
    assert tables.number(value) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.05, ".050"), (1.0, "1.0"), (0.0004, ".0004"), (0.00009, "< .0001"), (0.1, ".10")],
)
def test_p_values_for_readers(p, text):
    assert tables.p_value(p) == text


def test_tables_escape_what_is_in_the_data():
    frame = pd.DataFrame({"name": ["A & B_1 | <b>x</b> 5%"], "p_value": [0.041], "yes": [True]})
    assert "&lt;b&gt;" in tables.to_html(frame)
    assert "<b>" not in tables.to_html(frame)
    markdown = tables.to_markdown(frame)
    assert r"\|" in markdown
    assert ".041" in markdown
    assert "<b>" not in markdown
    assert r"A \& B\_1" in tables.to_latex(frame)
    assert r"5\%" in tables.to_latex(frame)


def test_results_can_be_imported_alone():
    code = "import didkit.results.estimate as e; print(e.Estimate.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "Estimate"
    assert importlib.import_module("didkit.results").Estimate is Estimate


def test_glance_says_who_carries_the_estimate():
    """Leverage and partial leverage in closed form; influence by refitting without each unit."""
    made = fitted(DiD("complete")).infer(None)
    row = made.glance().iloc[0]
    # one mean and one difference: each pilot has leverage 1/n1, and most of the information
    assert row["leverage"] == pytest.approx(1 / 4)
    assert row["partial_leverage"] == pytest.approx(10 / (14 * 4))
    first = codes(14)[min(STARTS)]  # all pilots alike: the first by id
    assert row["leverage_of"] == row["partial_leverage_of"] == first
    moved = {
        unit: made.refit(made.design.drop(unit)).values[0] - made.values[0]
        for unit in made.sample.units
    }
    most = max(moved, key=lambda unit: abs(moved[unit]))
    assert row["influence_of"] == most
    assert row["influence"] == pytest.approx(moved[most], rel=1e-9)


@pytest.mark.parametrize("estimator", [DiD(), EventStudy()], ids=str)
def test_glance_is_the_largest_of_the_tables(estimator):
    made = fitted(estimator).infer(None)
    row, table = made.glance().iloc[0], made.leverage()
    assert row["partial_leverage"] == pytest.approx(table["share"].iloc[0], rel=1e-12)
    assert row["partial_leverage_of"] == table["cluster"].iloc[0]
    m = list(made.terms["term"]).index(made.main_term)
    moved = [
        abs(made.refit(made.design.drop(unit)).values[m] - made.values[m])
        for unit in made.sample.units
    ]
    assert abs(row["influence"]) == pytest.approx(max(moved), rel=1e-8)
    assert row["influence_of"] == made.sample.units[int(np.argmax(moved))]


def test_glance_without_cross_products_or_a_second_pilot_has_nan():
    ids = codes(14)
    free = [unit for j, unit in enumerate(ids) if j not in STARTS]
    against = MatchedSets({ids[j]: {free[0]: 0.5, free[1]: 0.5} for j in STARTS})
    row = fitted(against=against).infer(None).glance().iloc[0]
    for name in ("leverage", "partial_leverage", "influence"):
        assert np.isnan(row[name])
        assert row[f"{name}_of"] == ""
    one = DiD().fit(design_of(noise(14, 6, 3), {2: 3}), "m").infer(None).glance().iloc[0]
    assert one["partial_leverage_of"] == ids[2]
    assert one["partial_leverage"] == pytest.approx(13 / 14)
    assert np.isnan(one["influence"])  # without its only pilot there is no estimate
    assert one["influence_of"] == ""
