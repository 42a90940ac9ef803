"""The chooser says what a fit would say, and compare lays out what single fits give."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
from check.battery import BATTERY, ONE, SEVERAL, N, T, Y
from helpers import design_of, noise, with_gaps

import didkit as dk
from didkit import estimate as room
from didkit.check.admitting import Asked, admitted, estimator_for
from didkit.check.choosing import _SAID
from didkit.errors import DesignError, EstimationError, InferenceError

DESIGN = design_of(Y, SEVERAL)


def asked_of(design: dk.Design) -> Asked:
    return Asked(design, design.sample("m"))


QUICK = (
    "all start",
    "all start, late and early",
    "each its own start",
    "matched sets, median",
    "left, as treated",
    "one dose",
    "two periods before",
    "a gap in each pilot",
    "zeros",
    "partly treated",
    "repeated cross-sections",
)


@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in BATTERY],
)
def test_admitted_is_what_a_fit_says(case):
    """For each estimator: admitted if and only if it fits, with the options of the call."""
    design = BATTERY[case]()
    asked = asked_of(design)
    for name in room.__all__:
        if name == "TripleDifference":
            continue
        why = admitted(name, asked)
        estimator = estimator_for(name, asked)
        if name == "MatrixCompletion":  # without its cross-validation, which is slow
            if why:
                continue
            estimator = dataclasses.replace(estimator, penalty=5.0)
        said = ""
        try:
            estimator.fit(design, "m")
        except (DesignError, EstimationError) as error:
            said = str(error)
        assert bool(said) == bool(why), f"{name}: the chooser says {why!r}, the fit {said!r}"


@pytest.mark.parametrize(
    ("case", "call"),
    [
        ("one start", "DiD()"),
        ("several starts", "GroupTime()"),
        ("all start", "Imputation()"),
        ("matched sets", "DiD()"),
        ("matched sets, median", "DiD(cells='complete')"),
        ("left, as intended", "Switching()"),
        ("doses", "DoseResponse()"),
        ("two doses", "DoseResponse(shape='linear')"),
        ("one dose", "DiD()"),
        ("a count", "PoissonDiD()"),
        ("repeated cross-sections", "DoublyRobust(cells='observed')"),
    ],
)
def test_which_to_begin_with(case, call):
    table = dk.recommend_estimator(BATTERY[case]())
    first = table[table["role"] == "recommended"]
    assert first["call"].tolist() == [call]
    assert table["role"].iloc[0] == "recommended"
    assert first["admitted"].item()
    assert first["reason"].item()


def test_the_table_has_every_estimator_once():
    table = dk.recommend_estimator(DESIGN, "m")
    assert sorted(table["estimator"]) == sorted(room.__all__) == sorted(_SAID)
    assert ((table["why"] == "") == table["admitted"]).all()
    assert ((table["call"] != "") == table["admitted"]).all()
    assert (table["assumes"] != "").all()
    assert (table["watch"] != "").all()
    roles = table.loc[table["role"] != "", ["role", "reason"]]
    assert (roles["reason"] != "").all()


def test_who_takes_covariates():
    """``covariates`` is whether the class has the option."""
    for name, (takes, *_) in _SAID.items():
        if name == "TripleDifference":  # through its estimator
            continue
        fields = {one.name for one in dataclasses.fields(getattr(room, name))}
        assert takes == ("covariates" in fields), name


def test_one_pilot_with_a_long_past_has_synthetic_controls_beside():
    design = design_of(noise(N, 12, 1), {3: 9})
    table = dk.recommend_estimator(design).set_index("estimator")
    assert table.loc["DiD", "role"] == "recommended"
    assert table.loc[["SyntheticControl", "SyntheticDiD"], "role"].tolist() == ["beside"] * 2
    short = dk.recommend_estimator(design_of(noise(N, 12, 1), {3: 3})).set_index("estimator")
    assert short.loc["SyntheticControl", "role"] == ""


def test_of_several_metrics_it_is_asked_at_once():
    """Admitted where it is for each; who is not says for which, and the reason."""
    panel, design = dk.datasets.load_evaluation()
    every = dk.recommend_estimator(design).set_index("estimator")
    bases = {one.denominator for one in panel.metrics.values()} | {"population"}
    names = [name for name in panel.metrics if name not in bases]
    each = {name: dk.recommend_estimator(design, name).set_index("estimator") for name in names}
    for estimator, row in every.iterrows():
        admitted = {name: bool(table.loc[estimator, "admitted"]) for name, table in each.items()}
        assert row["admitted"] == all(admitted.values())
        assert bool(row["why"]) == (not row["admitted"])
        if 0 < sum(admitted.values()) < len(admitted):
            assert row["why"].startswith("not for ")
            named = row["why"].split(":")[0].removeprefix("not for ").split(", ")
            assert set(named) == {name for name, yes in admitted.items() if not yes}
    assert (every["role"] == "recommended").sum() == 1
    assert "recommended" in set(each[names[0]]["role"])


# -- compare --------------------------------------------------------------------------------------


def test_each_row_is_the_single_fit():
    those = [dk.DiD(), dk.GroupTime(), dk.DiD("complete")]
    finding = dk.compare(DESIGN, "m", estimators=those, inference=dk.ClusterRobust("CR1"))
    table = finding.table
    assert table["estimator"].tolist() == ["DiD()", "GroupTime()", "DiD(cells='complete')"]
    for row, one in zip(table.to_dict("records"), those, strict=True):
        alone = one.fit(DESIGN, "m")
        assert row["estimate"] == alone.values[0]
        sure = alone.infer(dk.ClusterRobust("CR1")).tidy().iloc[0]
        columns = ["conf_low", "conf_high", "p_value"]
        np.testing.assert_array_equal([row[c] for c in columns], list(sure[columns]))
    assert finding.facts["least"] == table["estimate"].min()
    assert finding.facts["largest"] == table["estimate"].max()


def test_recommended_inference_is_each_ones_own_and_the_level_counts():
    finding = dk.compare(DESIGN, "m", estimators=[dk.DiD()], level=0.8)
    sure = dk.DiD().fit(DESIGN, "m").infer(level=0.8).tidy().iloc[0]
    row = finding.table.iloc[0]
    assert row["conf_low"] == sure["conf_low"]
    assert row["inference"] == dk.DiD().fit(DESIGN, "m").infer().attached.method


def test_refusals_have_their_reason():
    finding = dk.compare(
        DESIGN, "m", estimators=[dk.DiD(), dk.DoublyRobust(), dk.DoseResponse()], inference=None
    )
    refused = finding.table.set_index("estimator")["refused"]
    assert refused["DiD()"] == ""
    assert "one start date" in refused["DoublyRobust()"]
    assert "doses" in refused["DoseResponse()"]
    assert finding.facts["n_refused"] == 2
    assert "2 refused" in finding.headline


def test_by_default_all_that_are_admitted_and_answer_one_question(monkeypatch):
    few = ["DiD", "DoublyRobust", "EventStudy", "Gap", "GroupTime", "Imputation", "PoissonDiD"]
    monkeypatch.setattr(room, "__all__", few)
    finding = dk.compare(DESIGN, "m", inference=None)
    assert finding.table["estimator"].tolist() == ["DiD()", "GroupTime()", "Imputation()"]


def test_no_more_refits_than_said():
    few = dk.compare(DESIGN, "m", estimators=[dk.SyntheticControl()], refits=19)
    assert "19 placebos of 200" in few.table["notes"].iloc[0]
    assert np.isfinite(few.table["p_value"].iloc[0]) or few.table["inference"].iloc[0] == "none"
    many = design_of(noise(24, T, 1), SEVERAL)
    made = dk.GroupTime(comparison="not_yet").fit(many, "m")
    left = dataclasses.replace(made, reassigned=None, normal=None, influence=None)
    assert "Jackknife" in repr(left.infer().attached.inference)

    class Made:
        def fit(self, design, metric):
            return left

    finding = dk.compare(many, "m", estimators=[Made()], refits=20)
    assert "the jackknife would fit 24 times" in finding.table["notes"].iloc[0]
    assert np.isnan(finding.table["conf_low"].iloc[0])


def test_all_refuse():
    with pytest.raises(EstimationError, match="recommend_estimator"):
        dk.compare(DESIGN, "m", estimators=[dk.DoublyRobust()])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"estimators": [dk.DiD]}, "DiD(), not DiD"),
        ({"estimators": []}, "estimators, such as"),
        ({"estimators": "DiD"}, "estimators, such as"),
        ({"inference": "CR2"}, "an inference, None or 'recommended'"),
        ({"level": 95}, "a level between 0 and 1"),
        ({"refits": 5}, "19 or more"),
    ],
)
def test_unknown_options(options, text):
    with pytest.raises((EstimationError, InferenceError)) as caught:
        dk.compare(DESIGN, "m", **options)
    assert text in str(caught.value)


def test_rows_do_not_depend_on_the_order_of_units():
    finding = dk.compare(DESIGN, "m", estimators=[dk.DiD()], inference=None)
    assert finding.glance()["check"].item() == "Comparison"
    assert finding.summary().startswith("Comparison")
    gone = dk.compare(design_of(with_gaps(Y, 1), ONE), "m", estimators=[dk.DiD()], inference=None)
    assert gone.table["estimate"].item() != finding.table["estimate"].item()


# -- pictures -------------------------------------------------------------------------------------


def test_the_forest_has_a_row_an_estimator():
    those = [dk.DiD(), dk.GroupTime(), dk.Imputation()]
    finding = dk.compare(DESIGN, "m", estimators=those, inference=dk.ClusterRobust("CR1"))
    axes = finding.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == axes.data["estimator"].tolist()
    drawn = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert drawn == finding.table["estimate"].tolist()
    assert "3 estimators" in axes.get_title(loc="left")
    plt.close(axes.figure)


def test_event_studies_are_drawn_beside_one_another():
    those = [dk.EventStudy(), dk.GroupTime(by="dynamic"), dk.Imputation(by="dynamic"), dk.DiD()]
    finding = dk.compare(DESIGN, "m", estimators=those, inference=None)
    axes = finding.plot()
    assert set(axes.data["estimator"]) == {
        "EventStudy()", "GroupTime(by='dynamic')", "Imputation(by='dynamic')"
    }  # fmt: skip
    assert "Not drawn: DiD()" in axes.get_xlabel().replace("\n", " ")
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) >= 1
    assert all(line.get_ydata()[0] == 0 for line in hollow)
    paths = [line for line in axes.lines if line.get_marker() in ("o", "s", "^")
             and line not in hollow]  # fmt: skip
    places = [{round(x - round(x), 6) for x in line.get_xdata()} for line in paths]
    assert all(len(one) == 1 for one in places)
    assert len(set.union(*places)) == 3
    study = axes.data[axes.data["estimator"] == "EventStudy()"]
    alone = dk.EventStudy().fit(DESIGN, "m")
    np.testing.assert_allclose(study["estimate"], alone.values)
    plt.close(axes.figure)


def test_six_paths_at_most():
    those = [dk.GroupTime(by="dynamic", anticipation=a, comparison=c)
             for a in (0, 1) for c in ("never", "not_yet")]  # fmt: skip
    those += [dk.EventStudy(), dk.SunAbraham(by="dynamic"), dk.Imputation(by="dynamic")]
    axes = dk.compare(DESIGN, "m", estimators=those, inference=None).plot()
    assert axes.data["estimator"].nunique() == 6
    assert "Not drawn: Imputation" in axes.get_xlabel().replace("\n", " ")
    plt.close(axes.figure)
