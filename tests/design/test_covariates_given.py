"""Covariates: what may stand in them, gaps, and which periods they have seen."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, noise, panel_of

from didkit.design import (
    Covariates,
    Design,
    Matching,
    Pool,
    Rollout,
    SyntheticWeights,
    compute_neighbours,
)
from didkit.errors import DesignError

N, T = 20, 8
IDS = codes(N)
Y = noise(N, T, 5)
PILOTS = IDS[:4]
ROLLOUT = Rollout(dict.fromkeys(PILOTS, FIRST + 5))


def design(against: Any, y: np.ndarray = Y) -> Design:
    return Design(panel_of(y), ROLLOUT, against=against, selection="unknown")


# -- what may stand in them --


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("kind", [float, object])
def test_infinite_values_are_refused_by_column_and_unit(value, kind):
    table = pd.DataFrame({"a": [1.0, value, np.nan], "b": [1.0, 2, 3]}, index=["301", "302", "303"])
    with pytest.raises(DesignError, match=r"infinite ones.* in 1 \(a: 1 \(302\)\)"):
        Covariates(table.astype({"a": kind}))


@pytest.mark.parametrize("blank", [np.nan, None, "", "  ", pd.NA])
def test_a_row_without_a_unit_is_refused(blank):
    index = pd.Index(["301", blank], dtype=object)
    with pytest.raises(DesignError, match=r"none in 1 \(row 2\)"):
        Covariates(pd.DataFrame({"a": [1.0, 2.0]}, index=index))


def test_truth_values_are_numbers_and_dates_are_not():
    table = pd.DataFrame({"a": [True, False]}, index=["301", "302"])
    assert Covariates(table).numbers(["302", "301"]).tolist() == [[0.0], [1.0]]
    for column in (pd.date_range("2020-01-01", periods=2), [1j, 2j], pd.to_timedelta([1, 2])):
        made = Covariates(pd.DataFrame({"a": column}, index=["301", "302"]))
        with pytest.raises(DesignError, match=r"covariates that are numbers\n  found: 1 \(a \("):
            made.numbers(["301"])


def test_one_name_is_one_column():
    panel = panel_of(Y)
    assert Covariates.from_panel(panel, columns="name").columns == ("name",)
    frame = pd.DataFrame({"la": IDS, "imd": range(N), "x": 1})
    made = Covariates.from_frame(frame, unit="la", columns="imd")
    assert made.columns == ("imd",)
    assert made.select("imd").columns == ("imd",)
    with pytest.raises(DesignError, match="at least one covariate"):
        made.select([])


@pytest.mark.parametrize("asked", ["m", ["m"]])
@pytest.mark.parametrize("argument", ["means", "values", "slopes"])
def test_metrics_without_periods_are_refused(argument, asked):
    with pytest.raises(DesignError, match=f"{argument}= a mapping of metric to period"):
        Covariates.from_panel(panel_of(Y), **{argument: asked})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"exact": None}, "exact= the name of a column"),
        ({"exact": 3}, "exact= the name of a column"),
        ({"calipers": None}, "calipers= a mapping"),
        ({"calipers": [("a", 1)]}, "calipers= a mapping"),
    ],
)
def test_odd_options_of_matching_are_refused_by_name(options, text):
    with pytest.raises(DesignError, match=text):
        Matching(Covariates(pd.DataFrame({"a": range(N)}, index=IDS)), **options)


# -- gaps --


def gappy() -> np.ndarray:
    y = Y.copy()
    y[0, 2] = np.nan  # a pilot, in the third period
    y[9, [1, 2]] = np.nan
    return y


def test_the_error_names_unit_column_period_and_the_way_on():
    panel = panel_of(gappy())
    on = Covariates.from_panel(panel, means={"m": (FIRST + 2, FIRST + 3)}, values={"m": FIRST})
    with pytest.raises(DesignError) as caught:
        design(Matching(on), gappy())
    text = str(caught.value)
    assert f"1 lack at least one: {IDS[0]}: m mean 2013 to 2014 (no value in 2013)" in text
    assert "periods='present'" in text
    kept = on.select(["m 2011"])
    assert design(Matching(kept), gappy()).pilots == tuple(PILOTS)
    plain = Covariates(on.table)  # why is not known here, and the option would not help
    with pytest.raises(DesignError) as caught:
        design(Matching(plain), gappy())
    assert "periods='present'" not in str(caught.value)


def test_means_and_slopes_of_the_periods_that_are_there():
    panel = panel_of(gappy())
    window = {"m": (FIRST + 1, FIRST + 3)}
    made = Covariates.from_panel(panel, means=window, slopes=window, periods="present")
    mean, slope = "m mean 2012 to 2014 (periods present)", "m slope 2012 to 2014 (periods present)"
    assert made.columns == (mean, slope)
    assert dict(made.until) == {mean: "2014", slope: "2014"}
    table = made.table
    assert table.loc[IDS[0], mean] == pytest.approx((Y[0, 1] + Y[0, 3]) / 2)
    assert table.loc[IDS[0], slope] == pytest.approx((Y[0, 3] - Y[0, 1]) / 2)
    assert table.loc[IDS[9], mean] == pytest.approx(Y[9, 3])
    assert np.isnan(table.loc[IDS[9], slope])
    assert {name: set(of) for name, of in made.gaps.items()} == {mean: set(), slope: {IDS[9]}}
    assert made.lacking(IDS[9]) == f"{IDS[9]}: {slope} (no value in 2012, 2013)"
    for i, unit in enumerate(IDS[10:], 10):
        fit = np.polyfit(range(3), Y[i, 1:4], 1)[0]
        assert table.loc[unit].tolist() == pytest.approx([Y[i, 1:4].mean(), fit])
    whole = Covariates.from_panel(panel, means=window, slopes=window)
    assert whole.table.loc[IDS[0]].isna().all()
    np.testing.assert_allclose(whole.table.loc[IDS[10:]], table.loc[IDS[10:]])
    with pytest.raises(DesignError, match="periods='all' or"):
        Covariates.from_panel(panel, means=window, periods="some")


# -- which periods they have seen --


def test_columns_whose_periods_nobody_states_are_noted():
    frame = pd.DataFrame({"la": IDS, "imd": np.arange(N) ** 1.5, "late": Y[:, 6]})
    on = Covariates.from_frame(frame, unit="la")
    said = re.compile(r"the periods of 2 \(imd, late\) are not stated")
    assert any(said.search(note) for note in design(Matching(on)).notes)
    assert any(said.search(n) for n in design(compute_neighbours(on).union()).notes)
    stated = Covariates.from_frame(frame, unit="la", until={"imd": None, "late": FIRST + 4})
    notes = [*design(Matching(stated)).notes, *design(compute_neighbours(stated).union()).notes]
    assert not any("not stated" in note for note in notes)
    early = Covariates.from_frame(frame, unit="la", columns="imd", until={"imd": FIRST - 4})
    assert design(Matching(early)).pilots == tuple(PILOTS)
    seen = Covariates.from_frame(frame, unit="la", until={"imd": None, "late": FIRST + 6})
    for against in (Matching(seen), compute_neighbours(seen).union()):
        with pytest.raises(DesignError, match=r"1 \(late \(up to 2017\)\)"):
            design(against)
    after = Covariates.from_frame(frame, unit="la", until={"imd": None, "late": FIRST + 40})
    with pytest.raises(DesignError, match=r"late \(up to 2051\)"):
        design(Matching(after))
    with pytest.raises(DesignError, match=r"none called 1 \(lat\)"):
        Covariates.from_frame(frame, unit="la", until={"lat": FIRST})


def test_labels_and_periods_of_a_panel_need_no_statement():
    on = Covariates.from_panel(panel_of(Y), values={"m": FIRST}).join(
        Covariates(pd.DataFrame({"r": ["a", "b"] * (N // 2)}, index=IDS))
    )
    assert on.unstated() == ()
    assert not any("not stated" in n for n in design(Matching(on, exact="r")).notes)


def chosen(first: int, last: int) -> Covariates:
    return Covariates.from_panel(panel_of(Y), values={"m": (FIRST + first, FIRST + last)})


@pytest.mark.parametrize(
    "made",
    [
        Matching,
        SyntheticWeights,
        lambda on: compute_neighbours(on).union(),
        lambda on: compute_neighbours(on).per_pilot(aggregate="mean"),
        lambda on: design(Matching(on)).matched_sets(),
        lambda on: design(compute_neighbours(on).union()).matched_sets(),
        lambda on: design(compute_neighbours(on).per_pilot(aggregate="mean")).matched_sets(),
        lambda on: design(design(Matching(on)).matched_sets()).matched_sets(),
        lambda on: Matching(on).match(PILOTS, IDS[4:]),
    ],
)
def test_a_start_is_moved_no_further_than_the_comparators_have_seen(made):
    """They were chosen on 2011 to 2013; the start is 2016."""
    whole = design(made(chosen(0, 2)))
    assert whole.shift(-1).starts == dict.fromkeys(PILOTS, "2015")
    assert whole.shift(-2).starts == dict.fromkeys(PILOTS, "2014")
    with pytest.raises(DesignError, match=r"chosen from before the moved start, 2013") as caught:
        whole.shift(-3)
    assert "2013 (up to 2013)" in str(caught.value)
    assert caught.value.where == "Design.shift"


def test_sets_refuse_an_earlier_start_than_they_were_chosen_for():
    sets = design(Matching(chosen(0, 4))).matched_sets()
    assert dict(sets.until) == {f"m {year}": str(year) for year in range(2011, 2016)}
    early = Rollout(dict.fromkeys(PILOTS, FIRST + 3))
    with pytest.raises(DesignError, match="sets chosen by what was known before"):
        Design(panel_of(Y), early, against=sets, selection="unknown")
    with pytest.raises(DesignError, match="sets chosen by what was known before"):
        design(sets).reassign(early)
    with pytest.raises(DesignError, match="neighbours computed from what was known before"):
        design(compute_neighbours(chosen(0, 4)).union()).reassign(early)
    assert design(Pool()).reassign(early).starts[PILOTS[0]] == "2014"


# -- far apart --


def test_the_farthest_pair_and_the_worst_followed_are_named():
    x = np.array([0.0, 100.0, 1, 2, 3, 4, 5, 6])
    on = Covariates(pd.DataFrame({"a": x}, index=codes(8)), until={"a": ""})
    pilots, rest = codes(8)[:2], codes(8)[2:]
    sets = Matching(on, distance="euclidean").match(pilots, rest)
    sd = np.sqrt((x[:2].var() * 2 + x[2:].var() * 6) / 6)
    (note,) = sets.notes
    assert note == (
        f"the farthest of the matched: {pilots[1]} and {rest[-1]}, "
        f"{94 / sd:.3g} standard deviations apart"
    )
    followed = SyntheticWeights(on, standardise=False).match(pilots, rest).notes
    assert f"followed worst: {pilots[1]}, 94 units of the covariates away" in followed
