"""Lists of neighbours: cut by rank or closeness, weighted, counted, refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, noise, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.design import Covariates, Design, Neighbours, Pool, Rollout, compute_neighbours
from didkit.design.neighbours import CLOSENESS
from didkit.errors import DesignError
from didkit.estimate import DiD
from didkit.panel import Panel

IDS = codes(10)
A, B, C, D, E, F, G, H, _, J = IDS
BANDS = ("Very close", "Close", "Close", "Somewhat close", "Not close")


def lists(**options) -> Neighbours:
    """A lists B (a pilot too), C, D, E, F; B lists A, D, G, H, …; J's list is all "Not close"."""
    of = {A: (B, C, D, E, F), B: (A, D, G, H, IDS[8]), J: (C, D)}
    rows = [
        (unit, rank, other, BANDS[rank - 1] if unit != J else "Not close")
        for unit, others in of.items()
        for rank, other in enumerate(others, 1)
    ]
    table = pd.DataFrame(rows, columns=["unit", "rank", "neighbour", "closeness"])
    return Neighbours(table, **{"release": "made", **options})


def made(against, pilots=(A, B), **options) -> Design:
    y = noise(10, 6, 3)
    return design_of(y, {IDS.index(p): 3 for p in pilots}, against=against, **options)


def random_lists(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for unit in IDS:
        others = rng.permutation([one for one in IDS if one != unit])[: rng.integers(1, 10)]
        bands = rng.choice(CLOSENESS, size=len(others))
        away = rng.choice([0.0, 0.5, 1.0, 3.0], size=len(others))
        rows += [(unit, r, *row) for r, row in enumerate(zip(others, bands, away, strict=True), 1)]
    columns = ["unit", "rank", "neighbour", "closeness", "distance"]
    return pd.DataFrame(rows, columns=columns).astype({"neighbour": object, "closeness": object})


SEEDS = st.integers(0, 10**6)


# -- cut ------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 10))
def test_the_closest_are_the_first_of_each_list(seed, k):
    table = random_lists(seed)
    whole = Neighbours(table)
    cut = whole.closest(k)
    for unit in IDS:
        assert cut.of(unit) == whole.of(unit)[:k]


@settings(max_examples=30)
@given(SEEDS, st.sampled_from(CLOSENESS))
def test_bands_keep_order_and_say_the_same_in_two_ways(seed, band):
    table = random_lists(seed)
    whole = Neighbours(table)
    below = CLOSENESS[CLOSENESS.index(band) + 1 :]
    kept = set(table.loc[~table["closeness"].isin(below), "neighbour"])
    if not kept:
        with pytest.raises(DesignError, match="at least one neighbour"):
            whole.at_least(band)
        return
    cut = whole.at_least(band)
    known = table[~table["closeness"].isin(below)].sort_values(["unit", "rank"])
    pd.testing.assert_frame_equal(cut.table, known.reset_index(drop=True))
    if below:
        assert whole.without(*below).table.equals(cut.table)
    lost = {unit for unit in IDS if not cut.of(unit)}
    assert set(cut.unlisted) == lost


@settings(max_examples=30)
@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_with_ties_either(seed, random):
    table = random_lists(seed)
    table["rank"] = (table["rank"] + 1) // 2  # two of each rank
    order = list(range(len(table)))
    random.shuffle(order)
    one, other = Neighbours(table), Neighbours(table.iloc[order])
    assert one.table.equals(other.table)
    assert one.closest(3).table.equals(other.closest(3).table)
    tied = one.table.groupby(["unit", "rank"])["neighbour"]
    assert tied.apply(lambda ids: ids.is_monotonic_increasing).all()


def test_case_and_blanks_of_bands_do_not_matter():
    table = lists().table.assign(closeness=lists().table["closeness"].str.upper() + " ")
    assert Neighbours(table).without(" not CLOSE").of(A) == (B, C, D, E)


def test_the_words_of_a_design_name_the_cut():
    cut = lists().without("Not close").closest(2)
    words = "list: made, without 'Not close', the closest 2 of each list"
    assert cut.union().describe().endswith(words)
    assert cut.per_pilot(aggregate="mean").describe().endswith(words)
    assert "at least 'Close'" in lists().at_least("close").union().describe()


@pytest.mark.parametrize("against", ["union", "per_pilot"])
def test_a_pilot_that_loses_its_whole_list_is_refused_by_name(against):
    cut = lists().without("Not close")
    chosen = cut.union() if against == "union" else cut.per_pilot(aggregate="mean")
    words = rf"none for 1 \({J} \(2 listed, none left without 'Not close': 2 Not close\)\)"
    with pytest.raises(DesignError, match=words) as error:
        made(chosen, pilots=(A, J))
    assert "leave these pilots out by name" in error.value.todo
    assert made(chosen, pilots=(A,)).pilots == (A,)
    again = cut.closest(1).union()  # a second cut remembers the first
    with pytest.raises(DesignError, match="2 listed, none left without 'Not close'"):
        made(again, pilots=(A, J))


def test_a_unit_that_never_had_a_list_is_told_otherwise():
    with pytest.raises(DesignError, match="a year in which these authorities existed"):
        made(lists().without("Not close").union(), pilots=(A, C))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda n: n.closest(0), "found: 0"),
        (lambda n: n.closest(2.5), r"found: 2\.5"),
        (lambda n: n.at_least("Near"), r"found: 1 \('Near'\)"),
        (lambda n: n.without(), r"found: 0 \(\)"),
        (lambda n: n.without(*CLOSENESS), "none of 12 left"),
        (
            lambda n: Neighbours(n.table.drop(columns="closeness")).at_least("Close"),
            r"found: 1 \(''\)",
        ),
        (lambda n: n.union(most=0), "most= as a whole number"),
        (lambda n: n.per_pilot(aggregate="mean", most=True), "most= as a whole number"),
        (lambda n: n.per_pilot(aggregate="weighted"), "weights= with aggregate='weighted'"),
        (lambda n: n.per_pilot(aggregate="mean", weights="rank"), "and nowhere else"),
        (lambda n: n.per_pilot(aggregate="weighted", weights="size"), "found: 'size'"),
        (lambda n: n.per_pilot(aggregate="weighted", weights="distance"), "without distances"),
        (lambda n: n.per_pilot(aggregate="weighted", weights={"Near": 1}), r"found: 1 \('Near'\)"),
        (lambda n: n.per_pilot(aggregate="weighted", weights={"Close": -1}), "Close': -1"),
        (lambda n: n.per_pilot(aggregate="weighted", weights={"Close": 0}), "all 0"),
        (lambda n: n.per_pilot(aggregate="middle"), "found: 'middle'"),
        (lambda n: n.closeness([C]), rf"none for 1 \({C}\)"),
    ],
)
def test_what_cannot_be_is_refused(act, words):
    with pytest.raises(DesignError, match=words):
        act(lists())


# -- the closest that may serve -------------------------------------------------------------------


def test_the_next_on_the_list_replaces_who_may_not_serve():
    by_rank = made(lists().closest(2).per_pilot(aggregate="mean"))
    assert {p: set(m) for p, m in by_rank.sets.items()} == {A: {C}, B: {D}}
    serving = made(lists().per_pilot(aggregate="mean", most=2))
    assert {p: set(m) for p, m in serving.sets.items()} == {A: {C, D}, B: {D, G}}
    excluded = made(lists().per_pilot(aggregate="mean", most=2), exclude={D: "tiny"})
    assert {p: set(m) for p, m in excluded.sets.items()} == {A: {C, E}, B: {G, H}}
    with_pilots = made(lists().per_pilot(aggregate="mean", most=2, include_pilots=True))
    assert {p: set(m) for p, m in with_pilots.sets.items()} == {A: {B, C}, B: {A, D}}
    assert "2 closest" in serving.against.describe()
    assert "gives its place to the next on the list" in serving.against.describe()


def test_the_union_of_the_closest_that_may_serve():
    assert made(lists().union(most=2)).comparators == (C, D, G)
    assert made(lists().closest(2).union()).comparators == (C, D)
    assert made(lists().union(most=2), exclude={D: "tiny"}).comparators == (C, E, G, H)
    assert made(lists().union(most=99)).comparators == made(lists().union()).comparators
    absent = lists().table.replace({"neighbour": {C: "999"}})  # no row in the panel
    design = made(Neighbours(absent).union(most=2))
    assert design.comparators == (D, E, G)
    assert any("999" in note for note in design.notes)


# -- weighted -------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(SEEDS, st.sampled_from(["rank", "distance", "bands"]))
def test_weights_are_positive_and_add_up_to_one(seed, by):
    table = random_lists(seed)
    weights = {band: 5 - i for i, band in enumerate(CLOSENESS)} if by == "bands" else by
    chosen = Neighbours(table).per_pilot(aggregate="weighted", weights=weights)
    sets = chosen.resolve(IDS[:1], IDS, frozenset()).sets
    for members in sets.values():
        assert sum(members.values()) == pytest.approx(1, abs=1e-12)
        assert min(members.values()) > 0


def test_weights_by_rank_band_and_distance_are_the_formulas():
    by_rank = made(lists().per_pilot(aggregate="weighted", weights="rank"), pilots=(A,))
    raw = {B: 1, C: 1 / 2, D: 1 / 3, E: 1 / 4, F: 1 / 5}
    assert dict(by_rank.sets[A]) == pytest.approx(
        {u: w / sum(raw.values()) for u, w in raw.items()}
    )
    # without the pilot B the others keep their ranks on the whole list
    both = made(lists().per_pilot(aggregate="weighted", weights="rank"))
    del raw[B]
    assert dict(both.sets[A]) == pytest.approx({u: w / sum(raw.values()) for u, w in raw.items()})
    bands = {"very close": 4, "Close": 2, "Somewhat close": 1, "Not close": 0}
    banded = made(lists().per_pilot(aggregate="weighted", weights=bands), pilots=(A,))
    assert dict(banded.sets[A]) == pytest.approx({B: 4 / 9, C: 2 / 9, D: 2 / 9, E: 1 / 9})
    table = lists().table.assign(distance=[1.0, 2.0, 4.0, 5.0, 10.0] * 2 + [0.0, 3.0])
    near = made(Neighbours(table).per_pilot(aggregate="weighted", weights="distance"), (A, J))
    raw = {B: 1, C: 1 / 2, D: 1 / 4, E: 1 / 5, F: 1 / 10}
    assert dict(near.sets[A]) == pytest.approx({u: w / sum(raw.values()) for u, w in raw.items()})
    assert dict(near.sets[J]) == {C: 1.0}  # at distance 0, alone
    assert near.matched_sets().distances[A][E] == 5.0
    assert near.matched_sets().aggregate == "mean"


def test_the_estimate_is_that_of_the_weighted_mean():
    y = noise(10, 6, 3)
    chosen = lists().per_pilot(aggregate="weighted", weights="rank")
    design = design_of(y, {0: 3}, against=chosen)
    change = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)
    raw = np.array([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    known = change[0] - (raw / raw.sum()) @ change[1:6]
    assert DiD("complete").fit(design, "m").values[0] == pytest.approx(known, abs=1e-10)
    assert "the weighted mean of its own" in design.against.describe()
    assert ", weights 1/rank" in design.against.describe()


def test_a_band_without_a_weight_and_a_set_without_any_are_refused():
    half = lists().per_pilot(aggregate="weighted", weights={"Very close": 1, "Close": 1})
    with pytest.raises(DesignError, match="none for 2 \\('Somewhat close', 'Not close'\\)"):
        made(half, pilots=(A,))
    none = {**dict.fromkeys(CLOSENESS, 1), "Not close": 0}
    with pytest.raises(DesignError, match="none of 2: 2 Not close") as error:
        made(lists().per_pilot(aggregate="weighted", weights=none), pilots=(J,))
    assert f"the set of '{J}'" in error.value.where


# -- counted --------------------------------------------------------------------------------------


def test_closeness_counts_bands_pilots_and_units_without_data():
    y = noise(8, 6, 3)
    y[2] = np.nan  # C has a row and no value; I and J have none
    panel = panel_of(y, IDS[:8])
    table = lists().closeness([B, A], panel)
    assert table.to_dict("records") == [
        {"pilot": B, "listed": 5, "Very close": 1, "Close": 2, "Somewhat close": 1, "Not close": 1,
         "pilots": 1, "without_data": 1},
        {"pilot": A, "listed": 5, "Very close": 1, "Close": 2, "Somewhat close": 1, "Not close": 1,
         "pilots": 1, "without_data": 1},
    ]  # fmt: skip
    assert "without_data" not in lists().closeness([A])
    assert lists().closeness([int(A)])["pilot"].tolist() == [A]


def test_cuts_follow_a_merged_unit():
    rows = [(c, t, 10.0 * i + t % 7) for i, c in enumerate(IDS[:5]) for t in range(2019, 2024)]
    rows += [("928", t, 50) for t in (2019, 2020, 2021)]
    rows += [(c, t, 30) for c in ("940", "941") for t in (2022, 2023)]
    frame = pd.DataFrame(rows, columns=["la", "year", "n"])
    panel = Panel.from_frame(frame, unit="la", period="year", metrics={"n": "cin_count"})
    panel, whole = panel.harmonise(), "940+941"
    listed = [("940", 1, "941", "Close"), ("940", 2, C, "Close"), ("941", 1, D, "Close")]
    listed += [("941", 1, B, "Close"), (A, 1, "940", "Not close"), (A, 2, C, "Close")]
    columns = ["unit", "rank", "neighbour", "closeness"]
    whole_list = Neighbours(pd.DataFrame(listed, columns=columns)).among(panel)
    assert whole_list.of(whole) == (B, D, C)
    assert whole_list.closest(2).of(whole) == (B, D)
    assert whole_list.at_least("Close").of(A) == (C,)
    counted = whole_list.closeness(["928"], panel)
    assert counted[["pilot", "listed"]].to_numpy().tolist() == [[whole, 3]]
    lost = pd.DataFrame([("928", 1, C, "Not close"), (A, 1, C, "Close")], columns=columns)
    cut = Neighbours(lost).without("Not close").union()
    with pytest.raises(DesignError, match=r"940\+941 \(1 listed, none left without 'Not close'"):
        Design(panel, Rollout({"928": 2021}), against=cut, selection="unknown")


# -- computed lists and the start -----------------------------------------------------------------


def test_a_design_refuses_neighbours_computed_from_later_periods():
    y = noise(10, 6, 3)
    panel = panel_of(y)
    early = compute_neighbours(Covariates.from_panel(panel, means={"m": (2011, 2013)}), most=3)
    late = compute_neighbours(Covariates.from_panel(panel, means={"m": (2012, 2014)}), most=3)
    for cut in (late, late.closest(2)):
        for against in (cut.union(), cut.per_pilot(aggregate="mean"), cut.union(most=1)):
            words = r"m mean 2012 to 2014 \(up to 2014\)"
            with pytest.raises(DesignError, match=words) as error:
                Design(panel, Rollout({A: 2014}), against=against, selection="unknown")
            assert "before the first start, 2014" in error.value.needed
    design = Design(panel, Rollout({A: 2014}), against=early.union(), selection="unknown")
    assert len(design.comparators) == 3
    with pytest.raises(DesignError, match="up to 2014"):
        design.compared_with(late.union())
    assert (
        design.compared_with(Pool()).compared_with(early.closest(1).union()).comparators
        == (early.of(A)[:1])
    )


def test_a_list_is_shown_in_a_line():
    assert repr(lists()).startswith("Neighbours(")
    assert len(repr(lists())) < 120
    assert f"{len(lists().table)} neighbours" in repr(lists())


def test_forgetting_what_to_make_of_a_list_is_told():
    y = noise(6, 5, 1)
    for other in (lists(), Covariates(pd.DataFrame({"a": range(6)}, index=codes(6)))):
        with pytest.raises(DesignError, match="EntropyBalancing, CardinalityMatching") as caught:
            design_of(y, {0: 3}, against=other)
        word = "neighbours.union()" if isinstance(other, Neighbours) else "Matching(covariates)"
        assert word in caught.value.todo
    with pytest.raises(DesignError, match="EntropyBalancing") as caught:
        design_of(y, {0: 3}).compared_with(lists())
    assert "neighbours.union()" in caught.value.todo


def test_closeness_of_a_design_asks_for_its_pilots():
    for other in (design_of(noise(6, 5, 1), {0: 3}), "303", None):
        with pytest.raises(DesignError, match=r"such as design\.pilots"):
            lists().closeness(other)
