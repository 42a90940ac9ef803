"""Every estimator and every bad input: a right answer with a note, or a refusal in four parts.

The frames have no noise, so that a right answer is exact, whichever units and cells it rests on.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from estimate.bad_inputs import (
    BAD,
    COMPARATOR,
    ONE,
    PILOT,
    SEVERAL,
    Bad,
    T,
    at,
    clean,
    design_of,
    treated_throughout,
)
from estimate.test_every_estimator import CASES

import didkit as dk
from didkit.design.laid import Laid
from didkit.errors import DidkitError, EstimationError, PanelError

HERE = importlib.import_module("didkit.design.from_frame")
REFUSED = [key for key, bad in BAD.items() if bad.refused]
SERVED = [key for key, bad in BAD.items() if not bad.refused and not bad.covariates]
COVARIATES = [key for key, bad in BAD.items() if bad.covariates]
#: promises no exact effect on such a frame: chooses weights of comparators, compares levels,
#: distributions or ratios
LEVELS = {case for case, one in CASES.items() if one.exact > 1e-6 or not one.levels} - {
    "RothSantAnna", "RothSantAnna dynamic",
}  # fmt: skip
LEVELS_BAD = {"no value", "one treated", "never NaN", "nobody never, said"}  # the dear ones
#: takes effects of starts for effects of units, and says so, unless it is told not to
COHORT = {"ExtendedTwoWay", "ExtendedTwoWay dynamic"}


def four_parts(error: DidkitError) -> None:
    assert all((error.needed, error.found, error.where, error.todo))
    assert len(str(error)) < 2000


def flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Take the growth of the effect out, so that one number can be right for all cells."""
    since = frame["year"] - frame["first"]
    there = (frame["first"] > 0) & (since >= 0)
    return frame.assign(y=frame["y"] + (2.0 * since).where(there, 0.0))


@functools.cache
def designed(key: str, staggered: bool, grows: bool) -> dk.Design:
    frame = clean(SEVERAL if staggered else ONE)
    return design_of(BAD[key], BAD[key].make(frame if grows else flat(frame)))


@functools.cache
def unharmed(case: str) -> dk.Estimate:
    return CASES[case].estimator.fit(designed("never 0", CASES[case].staggered, False), "y")


@pytest.mark.parametrize("key", REFUSED)
@pytest.mark.parametrize("large", [False, True])
def test_no_design_is_made_of_it(key, large, monkeypatch):
    bad = BAD[key]
    if large:
        monkeypatch.setattr(HERE, "_LARGE", 0)
    frame = bad.make(clean())
    before = frame.copy()
    with pytest.raises(DidkitError) as caught:
        design_of(bad, frame)
    four_parts(caught.value)
    assert bad.refused in caught.value.needed
    assert bad.found in caught.value.found
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("key", SERVED)
def test_a_large_frame_is_answered_like_a_small_one(key, monkeypatch):
    bad, given = BAD[key], BAD[key].make(clean())
    small = dk.Imputation(by="dynamic").fit(design_of(bad, given), "y")
    monkeypatch.setattr(HERE, "_LARGE", 0)
    design = design_of(bad, given)
    plain = key != "text years"
    assert isinstance(design, Laid) == plain
    large = dk.Imputation(by="dynamic").fit(design, "y")
    assert list(large.terms["term"]) == list(small.terms["term"])
    np.testing.assert_allclose(large.values, small.values, atol=1e-9)
    assert large.sample.notes == small.sample.notes
    assert bad.note in " ".join(large.sample.notes)


@pytest.mark.parametrize("key", SERVED)
@pytest.mark.parametrize("case", list(CASES))
def test_a_right_answer_with_a_note_or_a_refusal(case, key):
    if case in LEVELS and key not in LEVELS_BAD:
        pytest.skip("dear; and it reads the same sample as the others")
    bad, one = BAD[key], CASES[case]
    n = sum(bad.make(clean(SEVERAL if one.staggered else ONE))["y"].notna())
    try:
        design = designed(key, one.staggered, False)  # one start and nobody else is none
        made = one.estimator.fit(design, "y")
    except DidkitError as error:
        four_parts(error)
        assert key not in {"never 0", "never NaN", "never inf", "never 10000, said", "text years"}
        assert key != "shuffled"
        return
    assert np.isfinite(made.values).all()
    said = " ".join((*made.sample.notes, *made.notes))
    assert bad.note in said
    log = made.sample.log
    assert int(log.loc[log["reason"] == "used", "cells"].sum()) == made.sample.mask.sum() <= n
    same = key.startswith("never") or key in ("text years", "shuffled")
    if same:
        np.testing.assert_allclose(made.values, unharmed(case).values, rtol=1e-9)
    if case in LEVELS:
        return
    after = (made.terms["phase"] == "after").to_numpy()
    wrong = np.abs(np.where(after, made.values + 7.5, made.values)).max()
    if wrong > 1e-6:  # only where its notes own up to it
        assert case in COHORT
        assert key in ("unbalanced", "no value")
        assert "effects='unit' takes them out" in said
        again = dataclasses.replace(one.estimator, effects="unit").fit(design, "y")
        after = (again.terms["phase"] == "after").to_numpy()
        np.testing.assert_allclose(again.values[after], -7.5, atol=1e-6)


def test_one_treated_unit_is_one():
    made = dk.GroupTime(by="dynamic").fit(designed("one treated", True, True), "y")
    assert set(made.terms["n_pilots"]) == {1}
    row = made.terms["event_time"].to_numpy() == 1
    np.testing.assert_allclose(made.values[row], -9.5)


WITH = [c for c, one in CASES.items() if hasattr(one.estimator, "covariates")]


@pytest.mark.parametrize("key", COVARIATES)
@pytest.mark.parametrize("case", WITH)
def test_covariates_that_cannot_be_borne(case, key):
    bad, one = BAD[key], CASES[case]
    design = designed(key, one.staggered and bad.starts is SEVERAL, False)
    try:
        estimator = dataclasses.replace(one.estimator, covariates=bad.covariates)
        made = estimator.fit(design, "y")
    except DidkitError as error:
        four_parts(error)
        return
    after = (made.terms["phase"] == "after").to_numpy()
    if case not in LEVELS:
        np.testing.assert_allclose(made.values[after], -7.5, atol=1e-6)
    if key == "collinear" and case not in LEVELS:
        said = " ".join((*made.sample.notes, *made.notes))
        assert any(word in said for word in ("'z'", "z ", "x ", "covariate")), said


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("who", ["pilots", "comparators", "everybody"])
def test_nobody_with_a_value(case, who):
    gone = {
        "pilots": lambda f: f["first"] > 0,
        "comparators": lambda f: f["first"] == 0,
        "everybody": lambda f: f["first"] >= 0,
    }[who]
    frame = clean(SEVERAL if CASES[case].staggered else ONE)
    design = design_of(BAD["never 0"], frame.assign(y=frame["y"].mask(gone(frame))))
    with pytest.raises(DidkitError) as caught:
        CASES[case].estimator.fit(design, "y")
    four_parts(caught.value)
    assert "values of pilots" in caught.value.needed


@pytest.mark.parametrize("who", ["pilots", "comparators", "before"])
def test_nobody_with_a_value_in_a_large_frame(who, monkeypatch):
    frame = clean(ONE)
    gone = frame["first"] == 0 if who == "comparators" else frame["first"] > 0
    if who == "before":
        gone &= frame["year"] < frame["first"]
    frame = frame.assign(y=frame["y"].mask(gone))
    with pytest.raises(DidkitError) as small:
        design_of(BAD["never 0"], frame).sample("y")
    monkeypatch.setattr(HERE, "_LARGE", 0)
    design = design_of(BAD["never 0"], frame)
    assert isinstance(design, Laid)
    with pytest.raises(DidkitError) as large:
        design.sample("y")
    assert str(large.value) == str(small.value)


def test_one_side_of_the_start_only_is_said_of_a_large_frame(monkeypatch):
    frame = clean()
    early = at(frame, PILOT) & (frame["year"] < frame["first"])
    frame = frame.assign(y=frame["y"].mask(early | at(frame, COMPARATOR)))
    small = design_of(BAD["never 0"], frame).sample("y")
    monkeypatch.setattr(HERE, "_LARGE", 0)
    large = design_of(BAD["never 0"], frame).sample("y")
    assert large.notes == small.notes
    assert any(f"({PILOT}) of the pilots has no value of y before its start" in one
               for one in large.notes)  # fmt: skip


@pytest.mark.parametrize("staggered", [True, False])
def test_an_outcome_that_never_changes(staggered):
    frame = clean(SEVERAL if staggered else ONE).assign(y=3.0)
    design = design_of(BAD["never 0"], frame)
    for case, one in CASES.items():
        if one.staggered != staggered or case in LEVELS - {"Gap"}:
            continue
        try:
            made = one.estimator.fit(design, "y")
        except EstimationError as error:
            four_parts(error)
            assert case == "FGLS", case
            continue
        np.testing.assert_allclose(made.values, 0.0, atol=1e-10)


WRITTEN = {
    "a list": (lambda f: [1, 2], {}, "a pandas DataFrame"),
    "a dict": (lambda f: {"id": [1]}, {}, "a pandas DataFrame"),
    "two columns of starts": (lambda f: pd.concat([f, f[["first"]]], axis=1), {}, "one column"),
    "no metrics": (lambda f: f, {"metrics": None}, "the names of the columns"),
    "never not a list": (lambda f: f, {"never": 10000}, "a list of the values"),
    "never a word": (lambda f: f, {"never": "never"}, "a list of the values"),
    "metrics as objects": (lambda f: f, {"metrics": [dk.Metric(name="y")]}, "the names of the col"),
    "truth values": (lambda f: f.assign(y=f["y"] > 300), {}, "numbers"),
    "complex": (lambda f: f.assign(y=f["y"] + 1j), {}, "numbers"),
    "lengths of time": (lambda f: f.assign(y=pd.to_timedelta(f["y"], "D")), {}, "numbers"),
    "treated, 0 and 1": (
        lambda f: f.assign(first=((f["first"] > 0) & (f["year"] >= f["first"])).astype(int)),
        {},
        "one start for each unit",
    ),
    "ever treated, 0 and 1": (
        lambda f: f.assign(first=(f["first"] > 0) * 1),
        {},
        "starts that are",
    ),
    "after the end": (lambda f: f.replace({"first": {2017: 2030}}), {}, "starts that are"),
    "no such metric": (lambda f: f, {"metrics": ["z"]}, "one column 'z'"),
    "before the beginning": (lambda f: f.replace({"first": {2017: 2005}}), {}, "starts that are"),
    "no period": (lambda f: f.assign(year=f["year"].where(f.index != 3)), {}, "a period in every"),
    "no unit": (lambda f: f.assign(id=f["id"].where(f.index != 3)), {}, "an id in every row"),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("what", list(WRITTEN))
def test_further_slips_are_refused_in_four_parts(what, large, monkeypatch):
    make, options, needed = WRITTEN[what]
    if large:
        monkeypatch.setattr(HERE, "_LARGE", 0)
    with pytest.raises(DidkitError) as caught:
        design_of(Bad("", lambda f: f), make(clean()), **options)
    four_parts(caught.value)
    assert needed in caught.value.needed


@pytest.mark.parametrize("kind", ["object", "category", "Int64"])
def test_a_nought_means_never_whatever_the_column_is_kept_as(kind):
    frame = clean()
    made = design_of(BAD["never 0"], frame.assign(first=frame["first"].astype(kind)))
    assert made.notes[0] == "14 of 18 units are never treated: 'first' is 0 (14)"


@pytest.mark.parametrize("large", [False, True])
def test_several_signs_of_never_are_counted_apart(large, monkeypatch):
    if large:
        monkeypatch.setattr(HERE, "_LARGE", 0)
    frame = clean().astype({"first": float})
    for unit, value in ((100, np.nan), (101, np.inf), (103, 10000)):
        frame["first"] = frame["first"].mask(at(frame, unit), value)
    sample = design_of(BAD["never 10000, said"], frame).sample("y")
    assert sample.notes[0] == (
        "14 of 18 units are never treated: 'first' is 0 (11), 10000 (1), infinite (1), missing (1)"
    )


@pytest.mark.parametrize("large", [False, True])
def test_period_nought_means_never_when_it_is_said(large, monkeypatch):
    if large:
        monkeypatch.setattr(HERE, "_LARGE", 0)
    frame = clean()
    frame = frame.assign(year=frame["year"] - 2011, first=(frame["first"] - 2011).clip(lower=0))
    made = dk.GroupTime(by="dynamic").fit(design_of(BAD["never 0"], frame, never=[0]), "y")
    np.testing.assert_allclose(made.values[made.terms["event_time"] == 1], -9.5)
    assert len(made.design.pilots) == 4


def test_metrics_by_column_are_kept():
    design = design_of(
        BAD["never 0"], clean(), metrics={"y": dk.Metric(name="cases", unit="cases a year")}
    )
    assert design.panel.metric("cases").unit == "cases a year"


def test_metrics_as_a_list_of_objects():
    with pytest.raises(PanelError) as caught:
        dk.Panel.from_frame(
            clean(), unit="id", period="year", metrics=[dk.Metric(name="y")], identity="any"
        )
    four_parts(caught.value)
    assert "y" in caught.value.found
    assert "metrics={" in caught.value.todo


def test_who_leaves_is_said_by_rollout():
    """What the refusal of a start that turns to 0 sends to: stops, which every estimator knows."""
    frame = clean()
    panel = dk.Panel.from_frame(frame, unit="id", period="year", metrics=["y"], identity="any")
    starts = {str(100 + j): 2011 + s for j, s in SEVERAL.items()}
    design = dk.Design(
        panel,
        dk.Rollout(starts, stops={str(PILOT): 2017}),
        against=dk.Pool(),
        selection="unknown",
    )
    made = dk.GroupTime(by="dynamic").fit(design, "y")
    assert any("left the programme" in note for note in made.sample.notes)
    np.testing.assert_allclose(made.values[made.terms["event_time"] == 1], -9.5)


def test_the_frames_have_the_fault_that_they_are_named_after():
    f = clean()
    assert f.shape == (18 * T, 5)
    assert len(BAD["unbalanced"].make(f)) < len(f)
    kept = BAD["no value"].make(f).dropna()
    pd.testing.assert_frame_equal(kept, BAD["unbalanced"].make(f))
    assert (
        treated_throughout(f).loc[at(f, COMPARATOR), "y"].iloc[0]
        < f.loc[at(f, COMPARATOR), "y"].iloc[0] - 9
    )


def test_the_page_shows_what_didkit_answers():
    docs = Path(__file__).parents[2] / "docs" / "bad_input.py"
    spec = importlib.util.spec_from_file_location("docs_bad_input", docs)
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    found = pd.read_csv(page.TABLE)
    assert page.written(found) == page.PAGE.read_text(encoding="utf-8")
    now = page.ask_didkit().set_index("input")[["answer", "verdict"]]
    then = found[found["program"] == "didkit"].set_index("input")[["answer", "verdict"]]
    pd.testing.assert_frame_equal(now, then, check_dtype=False)
    assert set(now["verdict"]) == {"right", "refused"}
    asked = {key for key, bad in BAD.items() if not bad.options}
    for program, theirs in found[found["program"] != "didkit"].groupby("program"):
        assert set(theirs["input"]) == asked, program
