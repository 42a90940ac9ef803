"""A long frame with a column of starts becomes a design, or is refused by name."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest

import didkit as dk
from didkit.design import Design
from didkit.design.laid import Ids, Laid
from didkit.errors import DesignError, PanelError

HERE = importlib.import_module("didkit.design.from_frame")


def frame(n: int = 12, t: int = 5, *, seed: int = 0, never: object = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    first = [2014 if j % 4 == 0 else 2015 if j % 4 == 1 else never for j in range(n)]
    return pd.DataFrame(
        [
            (100 + 7 * j, 2011 + s, first[j], rng.normal() + j, 1.0 + j % 3, rng.normal())
            for j in range(n)
            for s in range(t)
        ],
        columns=["county", "year", "first", "y", "w", "x"],
    )


def made(given: pd.DataFrame, **options) -> Design:
    options = {"metrics": ["y", "w", "x"], "selection": "unknown", **options}
    return Design.from_frame(given, unit="county", period="year", start="first", **options)


@pytest.mark.parametrize("never", [0, np.nan, np.inf, None, pd.NA])
def test_missing_zero_and_infinite_mean_never_treated(never):
    design = made(frame(never=never))
    assert len(design.pilots) == 6
    assert len(design.comparators) == 6
    assert set(design.starts.values()) == {"2014", "2015"}


def test_dates_of_starts_are_to_be_made_periods():
    given = frame(never=None)
    given["first"] = [
        pd.NaT if pd.isna(year) else pd.Timestamp(int(year), 4, 1) for year in given["first"]
    ]
    with pytest.raises(DesignError) as caught:
        made(given)
    assert "2014-04-01" in caught.value.found
    assert "missing start stays" in caught.value.todo


def test_other_codes_are_named():
    given = frame(never=10_000)
    with pytest.raises(DesignError) as caught:
        made(given)
    assert "10000" in caught.value.found
    assert "never=" in caught.value.todo
    assert len(made(given, never=[10_000]).comparators) == 6


def test_a_start_that_varies_within_a_unit_is_refused():
    given = frame()
    given.loc[given.index[2], "first"] = 2013
    with pytest.raises(DesignError) as caught:
        made(given)
    assert "one start for each unit" in caught.value.needed
    assert "100" in caught.value.found


def test_nobody_starts():
    with pytest.raises(DesignError) as caught:
        made(frame().assign(first=0))
    assert "at least one unit with a start" in caught.value.needed


def test_nobody_never_starts():
    given = frame()
    given = given[given["first"] > 0]
    with pytest.raises(DesignError) as caught:
        made(given)
    assert "NotYetTreated()" in caught.value.todo
    design = made(given, against=dk.NotYetTreated())
    assert design.comparators == ()
    assert design.not_yet
    with pytest.raises(DesignError) as caught:  # one start for all: nobody is ever untreated
        made(given[given["first"] == 2014], against=dk.NotYetTreated())
    assert "start at different times" in caught.value.needed


@pytest.mark.parametrize("column", ["county", "year", "first"])
def test_a_column_that_is_not_there(column):
    with pytest.raises(DesignError) as caught:
        made(frame().rename(columns={column: "else"}))
    assert repr(column) in caught.value.needed


def test_a_gap_in_periods_that_are_numbers():
    given = frame()
    given["year"] -= 2010
    given["first"] = np.where(given["first"] > 0, given["first"] - 2010, 0)
    assert made(given).periods == ("1", "2", "3", "4", "5")
    with pytest.raises(DesignError) as caught:
        made(given[given["year"] != 2])
    assert "consecutive" in caught.value.needed
    assert "2" in caught.value.found


def test_rows_without_a_unit_are_units():
    design = Design.from_frame(
        frame(),
        unit=None,
        period="year",
        start="first",
        metrics=["y"],
        selection="unknown",
        attributes=["county"],
        clusters="county",
    )
    sample = design.sample("y")
    assert sample.y.shape == (60, 5)
    assert (sample.mask.sum(axis=1) == 1).all()
    assert len(sample.cluster_labels) == 12


def both(given: pd.DataFrame, monkeypatch, **options) -> tuple[Design, Design]:
    slow = made(given, **options)
    monkeypatch.setattr(HERE, "_LARGE", 1)
    quick = made(given, **options)
    assert isinstance(quick, Laid)
    assert not isinstance(slow, Laid)
    return quick, slow


@pytest.mark.parametrize("kind", ["in order", "shuffled", "gaps", "far ids"])
def test_large_frames_are_laid_out_alike(kind, monkeypatch):
    given = frame(16)
    if kind == "gaps":
        given = given.drop(index=[3, 17, 41])
        given.loc[given.index[5], "y"] = np.nan
    if kind == "far ids":
        given["county"] = given["county"] ** 4
    if kind != "in order":
        given = given.sample(frac=1, random_state=1)
    quick, slow = both(given, monkeypatch)
    for options in ({}, {"covariates": ("x",)}, {"sampling": "w"}, {"population": "w"}):
        mine, theirs = quick.sample("y", **options), slow.sample("y", **options)
        order = [mine.units.index(unit) for unit in theirs.units]
        np.testing.assert_array_equal(mine.y[order], theirs.y)
        np.testing.assert_array_equal(mine.cohort[order], theirs.cohort)
        for one in ("w", "x"):
            a, b = getattr(mine, one), getattr(theirs, one)
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                np.testing.assert_array_equal(
                    np.where(mine.mask, a.swapaxes(-1, 0).T if a.ndim == 2 else a[:, 0], 0)[order],
                    np.where(theirs.mask, b if b.ndim == 2 else b[:, 0], 0),
                )
        assert mine.starts == theirs.starts
        assert mine.periods == theirs.periods
        used = mine.log.loc[mine.log["reason"] == "used", "cells"].sum()
        assert used == theirs.log.loc[theirs.log["reason"] == "used", "cells"].sum()
    np.testing.assert_allclose(
        dk.DiD().fit(quick, "y").values, dk.DiD().fit(slow, "y").values, rtol=1e-12
    )


def test_what_needs_a_panel_makes_one(monkeypatch):
    quick, slow = both(frame(16), monkeypatch)
    assert set(quick.pilots) == set(slow.pilots)
    assert quick.starts == slow.starts
    pd.testing.assert_frame_equal(quick.audit(), slow.audit())
    assert len(quick.drop(quick.comparators[0]).comparators) == 7


def test_a_sample_of_very_many_units_keeps_its_log(monkeypatch):
    quick, _ = both(frame(16), monkeypatch)
    sample = quick.sample("y")
    keep = np.ones(16, dtype=bool)
    keep[[1, 5]] = False
    left = sample.keep(keep, "not wanted")
    assert isinstance(left.units, Ids)
    assert left.units[1] == sample.units[2]
    counts = left.log.set_index("reason")["cells"]
    assert counts["not wanted"] == 10
    assert counts.sum() == 80
    assert "107" in left.notes[-1]


@pytest.mark.parametrize("kind", ["twice", "text", "varies", "first period", "infinite"])
def test_large_frames_with_something_odd_go_the_long_way(kind, monkeypatch):
    given = frame(16)
    if kind == "twice":
        given = pd.concat([given, given.iloc[[4]]])
    elif kind == "text":
        given["y"] = given["y"].astype(str)
    elif kind == "varies":
        given.loc[2, "first"] = 2013
    elif kind == "first period":
        given["first"] = given["first"].replace({2014: 2011})
    else:
        given.loc[2, "y"] = np.inf
    with pytest.raises((DesignError, PanelError)) as slow:
        made(given)
    monkeypatch.setattr(HERE, "_LARGE", 1)
    with pytest.raises((DesignError, PanelError)) as quick:
        made(given)
    assert str(quick.value) == str(slow.value)


def test_weights_must_be_positive():
    given = frame()
    given.loc[given["county"] == 107, "w"] = 0.0
    sample = made(given).sample("y", population="w")
    assert "107" not in sample.units
    reasons = set(sample.log.loc[sample.log["unit"] == "107", "reason"])
    assert any("'w'" in reason for reason in reasons)
    given = frame()
    given.loc[7, "w"] = -1.0
    sample = made(given).sample("y", sampling="w")
    assert sample.mask.sum() == 59
    assert sample.w is not None
    assert (sample.w[sample.mask] > 0).all()


def test_people_are_counted_before_the_first_start():
    given = frame()
    given["w"] = given["year"] - 2000.0
    sample = made(given).sample("y", population="w")
    assert sample.w is not None
    np.testing.assert_array_equal(sample.w, 13.0)  # 2013, the last period before 2014


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("kind", ["in order", "shuffled"])
def test_large_frames_with_clusters_and_later_starters_are_laid_out_alike(kind, text, monkeypatch):
    given = frame(16)
    given["group"] = given["county"] % 5
    if text:
        given["group"] = "g" + given["group"].astype(str)
    given = given[given["first"] > 0]  # nobody never starts
    if kind == "shuffled":
        given = given.sample(frac=1, random_state=1)
    options = {"against": dk.NotYetTreated(), "clusters": "group"}
    quick, slow = both(given, monkeypatch, **options)
    mine, theirs = quick.sample("y"), slow.sample("y")
    assert mine.units == theirs.units or list(mine.units) == list(theirs.units)
    np.testing.assert_array_equal(mine.clusters, theirs.clusters)
    assert mine.cluster_labels == theirs.cluster_labels
    assert mine.not_yet
    assert mine.pilot.all()
    assert repr(quick) == repr(slow)
    a, b = (dk.GroupTime().fit(one, "y").infer(dk.ClusterRobust("CR1")) for one in (quick, slow))
    np.testing.assert_allclose(a.tidy()["std_error"], b.tidy()["std_error"], rtol=1e-12)
    assert quick._made is None


def test_clusters_that_split_a_unit_go_the_long_way(monkeypatch):
    given = frame(16)
    given["group"] = np.arange(len(given)) % 3
    with pytest.raises((DesignError, PanelError)) as slow:
        made(given, clusters="group")
    monkeypatch.setattr(HERE, "_LARGE", 1)
    with pytest.raises((DesignError, PanelError)) as quick:
        made(given, clusters="group")
    assert str(quick.value) == str(slow.value)
