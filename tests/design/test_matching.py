"""Matching: what must hold of every kind, known answers, brute force, and what is refused."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from design.invariants import check_design, check_moves, check_sets
from helpers import codes, design_of, noise, panel_of
from hypothesis import given
from hypothesis import strategies as st

from didkit.design import Covariates, Design, Matching, Neighbours, Pool, Rollout
from didkit.design.assign import assign_all, nearest_each, nearest_in_turn
from didkit.design.distances import euclidean, mahalanobis, propensity
from didkit.errors import DesignError


def drawn(n: int, k: int, seed: int, *, shift: float = 0.3) -> tuple[Covariates, list, list]:
    """Draw correlated covariates of n units; every fourth is a pilot, moved up by `shift`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k)) @ (np.eye(k) + 0.4) + 5
    ids = codes(n)
    x[::4] += shift
    on = Covariates(pd.DataFrame(x, index=ids, columns=[f"c{i}" for i in range(k)]))
    return on, ids[::4], [u for i, u in enumerate(ids) if i % 4]


def line(**at: float) -> Covariates:
    """Put units on a line: one covariate, ``x``."""
    return Covariates(pd.DataFrame({"x": at}))


def members(sets) -> dict[str, list[str]]:
    return {pilot: sorted(m) for pilot, m in sets.weights.items()}


KINDS = {
    "mahalanobis": {},
    "euclidean": {"distance": "euclidean", "ratio": 3},
    "propensity": {"distance": "propensity", "ratio": 2},
    "once": {"replace": False, "ratio": 2},
    "largest first": {"replace": False, "order": "largest"},
    "propensity, smallest first": {
        "replace": False,
        "order": "smallest",
        "distance": "propensity",
    },
    "optimal": {"method": "optimal", "ratio": 2},
    "caliper": {"caliper": 0.6, "unmatched": "leave_out", "ratio": 2},
    "caliper on one": {"calipers": {"c1": 0.3}, "unmatched": "leave_out"},
    "optimal in caliper": {"method": "optimal", "caliper": 0.5, "unmatched": "leave_out"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_must_not_matter(kind, seed):
    on, pilots, candidates = drawn(60, 3, seed)
    sets = check_moves(lambda made: Matching(made, **KINDS[kind]), on, pilots, candidates)
    assert sets.distances is not None
    for pilot, near in sets.weights.items():
        assert len(set(near.values())) == 1, pilot


@pytest.mark.parametrize("against", ["pool", "union", "per pilot", "matching"])
def test_one_checker_serves_every_comparison(against):
    ids = codes(12)
    rows = [(ids[j], r, ids[(j + r) % 12], "Close") for j in (0, 4) for r in (1, 2, 3, 4)]
    lists = Neighbours(
        pd.DataFrame(rows, columns=["unit", "rank", "neighbour", "closeness"]), release="made"
    )
    on = Covariates(pd.DataFrame({"x": np.arange(12.0) ** 1.5}, index=ids))
    made = {
        "pool": Pool(),
        "union": lists.union(),
        "per pilot": lists.per_pilot(aggregate="mean"),
        "matching": Matching(on, ratio=2),
    }[against]
    check_design(design_of(noise(12, 5, 1), {0: 3, 4: 3}, against=made))


# -- distances -----------------------------------------------------------------------------------


def test_mahalanobis_by_its_definition():
    on, pilots, candidates = drawn(40, 3, 4)
    x1, x0 = on.numbers(pilots), on.numbers(candidates)
    centred = np.vstack([x1 - x1.mean(0), x0 - x0.mean(0)])
    inverse = np.linalg.inv(centred.T @ centred / (len(centred) - 2))
    by_hand = [[np.sqrt((a - b) @ inverse @ (a - b)) for b in x0] for a in x1]
    np.testing.assert_allclose(mahalanobis(x1, x0, on.columns, where=""), by_hand, rtol=1e-10)


def test_euclidean_by_its_definition_and_as_mahalanobis_of_one():
    on, pilots, candidates = drawn(40, 3, 5)
    x1, x0 = on.numbers(pilots), on.numbers(candidates)
    centred = np.vstack([x1 - x1.mean(0), x0 - x0.mean(0)])
    sd = np.sqrt((centred**2).sum(0) / (len(centred) - 2))
    by_hand = [[np.sqrt((((a - b) / sd) ** 2).sum()) for b in x0] for a in x1]
    np.testing.assert_allclose(euclidean(x1, x0, on.columns, where=""), by_hand, rtol=1e-10)
    np.testing.assert_allclose(
        euclidean(x1[:, :1], x0[:, :1], ["c0"], where=""),
        mahalanobis(x1[:, :1], x0[:, :1], ["c0"], where=""),
        rtol=1e-12,
    )


def test_propensity_solves_the_equations_of_the_logistic_fit():
    on, pilots, candidates = drawn(80, 3, 6)
    x1, x0 = on.numbers(pilots), on.numbers(candidates)
    p1, p0 = propensity(x1, x0, on.columns, where="")
    design = np.column_stack([np.ones(len(x1) + len(x0)), np.vstack([x1, x0])])
    left = np.r_[1 - p1, -p0]  # the score is zero, and the logit is linear
    np.testing.assert_allclose(design.T @ left, 0, atol=1e-8)
    p = np.r_[p1, p0]
    logit = np.log(p / (1 - p))
    fitted = design @ np.linalg.lstsq(design, logit, rcond=None)[0]
    np.testing.assert_allclose(fitted, logit, atol=1e-8)


def test_the_propensity_distance_is_the_difference_of_probabilities():
    on, pilots, candidates = drawn(60, 2, 8)
    sets = Matching(on, distance="propensity", ratio=2).match(pilots, candidates)
    p1, p0 = propensity(on.numbers(pilots), on.numbers(candidates), on.columns, where="")
    for i, pilot in enumerate(pilots):
        nearest = np.sort(np.abs(p1[i] - p0))[:2]
        np.testing.assert_allclose(sorted(sets.distances[pilot].values()), nearest, atol=1e-12)


# -- who goes with whom ----------------------------------------------------------------------------

tables = st.integers(1, 3).flatmap(
    lambda rows: st.lists(
        st.lists(st.one_of(st.integers(0, 9).map(float), st.just(np.inf)), min_size=5, max_size=5),
        min_size=rows,
        max_size=rows,
    ).map(np.array)
)


def best(cost: np.ndarray, ratio: int) -> tuple[int, float]:
    """Find by trying all: the most pairs, and the least sum among those."""
    owners = np.repeat(np.arange(len(cost)), ratio)
    columns = [*range(cost.shape[1]), *[None] * len(owners)]
    made = set()
    for chosen in set(permutations(columns, len(owners))):
        pairs = [(o, c) for o, c in zip(owners, chosen, strict=True) if c is not None]
        if all(np.isfinite(cost[pair]) for pair in pairs):
            made.add((-len(pairs), sum(cost[pair] for pair in pairs)))
    most, least = min(made)
    return -most, least


@given(tables)
def test_optimal_is_the_best_of_all(cost):
    found = assign_all(cost, 1)
    pairs = [(row, c) for row, chosen in enumerate(found) for c in chosen]
    assert len({c for _, c in pairs}) == len(pairs)
    assert (len(pairs), sum(cost[pair] for pair in pairs)) == best(cost, 1)


def test_optimal_with_several_each_is_the_best_of_all():
    rng = np.random.default_rng(3)
    for _ in range(5):
        cost = rng.random((2, 5)).round(2)
        cost[0, :2] = np.inf
        found = assign_all(cost, 2)
        total = sum(cost[row, c] for row, chosen in enumerate(found) for c in chosen)
        assert (sum(map(len, found)), total) == pytest.approx(best(cost, 2))


@given(tables)
def test_optimal_is_never_longer_than_greedy_with_as_many_pairs(cost):
    greedy = nearest_in_turn(cost, 1, list(range(len(cost))))
    optimal = assign_all(cost, 1)

    def total(found):
        return sum(cost[row, c] for row, chosen in enumerate(found) for c in chosen)

    assert sum(map(len, optimal)) >= sum(map(len, greedy))
    if sum(map(len, optimal)) == sum(map(len, greedy)):
        assert total(optimal) <= total(greedy)


@given(tables, st.integers(1, 3))
def test_nearest_takes_the_least_and_of_ties_the_first(cost, ratio):
    for row, chosen in zip(cost, nearest_each(cost, ratio), strict=True):
        by_sort = sorted((d, at) for at, d in enumerate(row) if np.isfinite(d))[:ratio]
        assert chosen == [at for _, at in by_sort]


def test_ties_fall_to_the_first_id_as_text():
    on = line(p=0.0, b=1.0, a=-1.0, c=1.0, **{"10": 1.0, "9": 1.0})
    assert members(Matching(on).match(["p"], sorted(["a", "b", "c", "9", "10"]))) == {"p": ["10"]}
    assert members(Matching(on, ratio=3).match(["p"], ["a", "b", "c"])) == {"p": ["a", "b", "c"]}


def test_a_billionth_is_a_tie_and_a_thousandth_is_none():
    assert nearest_each(np.array([[1.0 + 1e-13, 1.0]]), 1) == [[0]]
    assert nearest_each(np.array([[1.001, 1.0]]), 1) == [[1]]
    assert nearest_in_turn(np.array([[1e-13, 0.0]]), 1, [0]) == [[0]]


def test_a_tie_is_a_tie_even_where_arithmetic_makes_it_uneven():
    on = line(p=0.1 + 0.2, a=0.3 + 1.0, b=0.3 - 1.0, z=5.0)
    assert members(Matching(on).match(["p"], ["a", "b", "z"])) == {"p": ["a"]}
    on = line(p=0.1 + 0.2, b=0.3 + 1.0, a=0.3 - 1.0, z=5.0)
    assert members(Matching(on).match(["p"], ["a", "b", "z"])) == {"p": ["a"]}


ROAD = line(p=0.0, q=1.0, a=1.4, b=4.0, c=-9.0)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, {"p": ["a"], "q": ["a"]}),
        ({"replace": False}, {"p": ["a"], "q": ["b"]}),
        ({"replace": False, "order": "smallest"}, {"p": ["b"], "q": ["a"]}),
        ({"replace": False, "order": "largest"}, {"p": ["a"], "q": ["b"]}),
        ({"ratio": 2}, {"p": ["a", "b"], "q": ["a", "b"]}),
        # With replacement q's second is b; alone, p would take a and b, and q is left with c.
        (
            {"replace": False, "ratio": 2, "unmatched": "leave_out"},
            {"p": ["a", "c"], "q": ["b"]},
        ),
    ],
)
def test_a_known_road(options, found):
    assert members(Matching(ROAD, **options).match(["p", "q"], ["a", "b", "c"])) == found


def test_optimal_undoes_what_greed_does():
    on = line(p=0.0, q=2.0, a=1.0, b=-1.2, z=40.0)
    pilots, rest = ["q", "p"], ["a", "b", "z"]
    greedy = Matching(on, replace=False, order="id").match(sorted(pilots), rest)
    optimal = Matching(on, method="optimal").match(sorted(pilots), rest)
    assert members(greedy) == {"p": ["a"], "q": ["b"]}
    assert members(optimal) == {"p": ["b"], "q": ["a"]}
    assert optimal.table["distance"].sum() < greedy.table["distance"].sum()


def test_the_propensity_order_is_by_probability():
    on, pilots, candidates = drawn(60, 2, 9)
    p1, _ = propensity(on.numbers(pilots), on.numbers(candidates), on.columns, where="")
    first = pilots[int(p1.argmax())]
    matching = Matching(on, distance="propensity", replace=False, order="largest")
    free = Matching(on, distance="propensity").match(pilots, candidates)
    chosen = matching.match(pilots, candidates)
    assert members(chosen)[first] == members(free)[first]
    assert members(chosen) != members(
        Matching(on, distance="propensity", replace=False, order="smallest").match(
            pilots, candidates
        )
    )


def test_the_propensity_order_is_not_by_who_is_hardest_to_match():
    # p has the higher propensity, q is further from the a that both want.
    on = line(p=2.0, q=1.0, a=1.9, b=-1.0, c=-2.0, d=3.0)
    matching = Matching(on, distance="propensity", replace=False, order="largest")
    assert members(matching.match(["p", "q"], list("abcd"))) == {"p": ["a"], "q": ["b"]}
    matching = Matching(on, replace=False, order="largest")
    assert members(matching.match(["p", "q"], list("abcd"))) == {"p": ["d"], "q": ["a"]}


# -- calipers and strata ---------------------------------------------------------------------------


def test_a_caliper_holds_in_the_unit_it_says():
    on, pilots, candidates = drawn(80, 2, 10, shift=0.8)
    plain = Matching(on, ratio=3).match(pilots, candidates).table
    sets = Matching(on, ratio=3, caliper=0.2, unmatched="leave_out").match(pilots, candidates)
    kept = plain[plain["distance"] <= 0.2]
    assert 0 < len(kept) < len(plain)
    assert set(zip(sets.table["pilot"], sets.table["comparator"], strict=True)) == set(
        zip(kept["pilot"], kept["comparator"], strict=True)
    )
    assert set(sets.unmatched) == set(pilots) - set(kept["pilot"])
    p = np.r_[propensity(on.numbers(pilots), on.numbers(candidates), on.columns, where="")]
    sd = np.std(np.concatenate(p) if p.ndim > 1 else p, ddof=1)
    by_score = Matching(on, distance="propensity", ratio=3, caliper=0.05, unmatched="leave_out")
    apart = by_score.match(pilots, candidates).table["distance"]
    free = Matching(on, distance="propensity", ratio=3).match(pilots, candidates).table
    assert len(apart) == (free["distance"] <= 0.05 * sd).sum() < len(free)


def test_a_caliper_on_one_covariate_is_in_its_own_standard_deviations():
    on, pilots, candidates = drawn(80, 2, 11)
    sets = Matching(on, calipers={"c1": 0.1}, unmatched="leave_out").match(pilots, candidates)
    value = on.table["c1"]
    limit = 0.1 * value.std()
    x1, x0 = on.numbers(pilots), on.numbers(candidates)
    apart = mahalanobis(x1, x0, on.columns, where="")
    for i, pilot in enumerate(pilots):
        near = [j for j, u in enumerate(candidates) if abs(value[pilot] - value[u]) <= limit]
        if near:
            best_one = min(near, key=lambda j, i=i: apart[i, j])
            assert members(sets)[pilot] == [candidates[best_one]]
        else:
            assert pilot in sets.unmatched


def test_the_standard_deviation_of_a_caliper_on_one_is_over_pilots_and_candidates():
    on = line(p=0.0, q=100.0, a=10.0, b=60.0, c=90.0)
    sd = np.std([0.0, 100.0, 10.0, 60.0, 90.0], ddof=1)
    sets = Matching(on, calipers={"x": 10.0 / sd}).match(["p", "q"], ["a", "b", "c"])
    assert members(sets) == {"p": ["a"], "q": ["c"]}
    refused("p: the nearest is a", on, calipers={"x": 9.99 / sd})


def test_exact_columns_agree_and_are_no_part_of_the_distance():
    on, pilots, candidates = drawn(60, 2, 12)
    region = pd.Series(["north", "south", "east"] * 20, index=on.units)
    table = on.table.assign(region=region)
    sets = Matching(Covariates(table), exact=("region",), ratio=2).match(pilots, candidates)
    check_sets(sets, pilots, candidates)
    x1, x0 = on.numbers(pilots), on.numbers(candidates)
    apart = mahalanobis(x1, x0, on.columns, where="")
    for i, pilot in enumerate(pilots):
        near = [j for j, u in enumerate(candidates) if region[u] == region[pilot]]
        near.sort(key=lambda j, i=i: apart[i, j])
        assert members(sets)[pilot] == sorted(candidates[j] for j in near[:2])
        for j in near[:2]:
            assert sets.distances[pilot][candidates[j]] == pytest.approx(apart[i, j])


def test_fewer_than_asked_for_are_kept_with_a_note():
    on = line(p=0.0, q=10.0, a=0.1, b=10.1, c=10.2, d=30.0)
    sets = Matching(on, ratio=2, caliper=0.5).match(["p", "q"], ["a", "b", "c", "d"])
    assert members(sets) == {"p": ["a"], "q": ["b", "c"]}
    assert sets.notes[0] == "fewer than 2 comparators could be matched to 1 (p (1))"
    assert sets.weights["q"] == {"b": 0.5, "c": 0.5}


def test_a_pilot_left_out_is_in_the_notes_of_the_design_and_in_no_sample():
    ids = codes(8)
    on = Covariates(pd.DataFrame({"x": [0.0, 50.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, index=ids))
    y, starts = noise(8, 5, 1), {0: 3, 1: 3}
    matching = Matching(on, caliper=0.5, unmatched="leave_out")
    made = design_of(y, starts, against=matching)
    assert made.pilots == (ids[0],)
    assert any(ids[1] in note and "the caliper is 0.5" in note for note in made.notes)
    check_design(made)
    with pytest.raises(DesignError, match=r"and the caliper is 0\.5 standard"):
        design_of(y, starts, against=Matching(on, caliper=0.5))


def test_pilots_choose_anew_when_they_are_reassigned():
    ids = codes(8)
    on = Covariates(pd.DataFrame({"x": np.arange(8.0) ** 2}, index=ids))
    made = design_of(noise(8, 5, 1), {0: 3, 7: 3}, against=Matching(on))
    assert {p: list(m) for p, m in made.sets.items()} == {ids[0]: [ids[1]], ids[7]: [ids[6]]}
    again = made.reassign(Rollout({ids[1]: 2014, ids[6]: 2014}))
    assert {p: list(m) for p, m in again.sets.items()} == {ids[1]: [ids[0]], ids[6]: [ids[5]]}


# -- refused ---------------------------------------------------------------------------------------


def refused(text: str, on: Covariates, pilots=("p", "q"), rest=("a", "b", "c"), **options) -> None:
    with pytest.raises(DesignError) as error:
        Matching(on, **options).match(list(pilots), list(rest))
    assert text in str(error.value), str(error.value)


def table(**columns) -> Covariates:
    return Covariates(pd.DataFrame(columns, index=["p", "q", "a", "b", "c"]))


def test_outside_the_caliper_names_pilot_nearest_distance_and_caliper():
    on = line(p=0.0, q=9.0, a=0.5, b=1.0, c=-1.0)
    distance = Matching(on).match(["p", "q"], ["a", "b", "c"]).distances["q"]["b"]
    text = f"q: the nearest is b at {distance:.3g} and the caliper is 0.25 standard deviations"
    refused(text, on, caliper=0.25)
    refused(text, on, caliper=0.25, method="optimal")
    refused("and the caliper is 0.01 on x standard deviations", on, calipers={"x": 0.01})
    with pytest.raises(DesignError, match=r"none of 2: 2 \(p: the nearest is a at"):
        Matching(on, caliper=1e-3, unmatched="leave_out").match(["p", "q"], ["a", "b", "c"])


def test_an_empty_stratum_is_named():
    on = table(x=[1.0, 2, 3, 4, 6], band=["low", "high", "low", "low", "mid"])
    refused("q: no comparator with band = high", on, exact=("band",))
    sets = Matching(on, exact="band", unmatched="leave_out").match(["p", "q"], ["a", "b", "c"])
    assert dict(sets.unmatched) == {"q": "no comparator with band = high"}


@pytest.mark.parametrize("distance", ["mahalanobis", "euclidean", "propensity"])
def test_a_constant_covariate_is_named(distance):
    on = table(x=[1.0, 2, 1.5, 2.5, 0.5], flat=[3.0] * 5)
    refused("1 (flat) the same for all", on, distance=distance)


@pytest.mark.parametrize("distance", ["mahalanobis", "propensity"])
def test_tied_covariates_are_named_and_others_are_not(distance):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 2))
    ids = codes(20)
    made = pd.DataFrame({"one": x[:, 0], "other": x[:, 1], "twice": 2 * x[:, 0] + 3}, index=ids)
    refused("2 (one, twice) tied", Covariates(made), ids[:5], ids[5:], distance=distance)
    sets = Matching(Covariates(made), distance="euclidean").match(ids[:5], ids[5:])
    check_sets(sets, ids[:5], ids[5:])


def test_more_covariates_than_units_are_named():
    made = np.random.default_rng(1).normal(size=(5, 4))
    on = Covariates(pd.DataFrame(made, index=["p", "q", "a", "b", "c"]))
    refused("with 5 units and 4 covariates", on)


def test_no_overlap_is_named():
    on = table(x=[5.0, 6, 1, 2, 3], y=[0.0, 1, 0.5, 1, 0])
    refused("1 (x) alone does", on, distance="propensity")
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 2))
    ids = codes(30)
    apart = (x @ [1.0, 1.0]).argsort()
    pilots = sorted(ids[i] for i in apart[:8])
    rest = sorted(set(ids) - set(pilots))
    both = Covariates(pd.DataFrame(x, index=ids, columns=["x", "y"]))
    refused("one of 2 (x, y) does", both, pilots, rest, distance="propensity")


def test_almost_separated_is_refused_too():
    # One value at the border is shared: the likelihood still has no maximum.
    on = Covariates(pd.DataFrame({"x": [3.0, 4, 5, 3, 2, 1, 0]}, index=list("pqrabcd")))
    refused("1 (x) alone does", on, "pqr", "abcd", distance="propensity")


def test_too_large_a_ratio():
    on = table(x=[1.0, 2, 3, 4, 6])
    refused("at least 4 possible comparators for 2 pilots, 4 each", on, ratio=4)
    refused(
        "at least 4 possible comparators for 2 pilots, 2 each, none", on, ratio=2, replace=False
    )
    refused("ask for fewer, or write replace=True", on, ratio=2, method="optimal")


@pytest.mark.parametrize("options", [{"replace": False}, {"method": "optimal"}])
def test_pilots_with_one_comparator_between_them(options):
    on = line(p=0.0, q=0.1, a=0.05, b=50.0, c=60.0)
    refused("none left for 1 (", on, caliper=0.1, **options)
    sets = Matching(on, caliper=0.1, unmatched="leave_out", **options)
    found = sets.match(["p", "q"], ["a", "b", "c"])
    assert len(found.weights) == len(found.unmatched) == 1
    assert set(found.unmatched.values()) == {
        "every comparator that it could have serves another pilot"
    }


def test_optimal_refuses_fewer_than_asked_for():
    on = line(p=0.0, q=10.0, a=0.1, b=10.1, c=10.2, d=30.0)
    refused("fewer for 1 (p (1))", on, rest="abcd", ratio=2, caliper=0.5, method="optimal")
    matching = Matching(on, ratio=2, caliper=0.5, method="optimal", unmatched="leave_out")
    found = matching.match(["p", "q"], list("abcd"))
    assert members(found) == {"p": ["a"], "q": ["b", "c"]}
    assert found.notes[0] == "fewer than 2 comparators could be matched to 1 (p (1))"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "closest"}, "method= one of 'nearest', 'optimal'"),
        ({"distance": "cosine"}, "distance= one of"),
        ({"order": "random"}, "order= one of"),
        ({"unmatched": "drop"}, "unmatched= one of"),
        ({"missing": "zero"}, "missing= one of"),
        ({"ratio": 0}, "whole number from 1 on"),
        ({"ratio": 1.5}, "whole number from 1 on"),
        ({"ratio": True}, "whole number from 1 on"),
        ({"caliper": 0}, "caliper= a positive number"),
        ({"caliper": float("nan")}, "caliper= a positive number"),
        ({"caliper": "wide"}, "caliper= a positive number"),
        ({"calipers": {"x": -1}}, "calipers['x']= a positive number"),
        ({"calipers": {"z": 1}}, "calipers on 1 (z)"),
        ({"exact": ("z",)}, "none called 1 (z)"),
        ({"exact": ("x",)}, "all of 1 (x) in exact="),
        ({"method": "optimal", "replace": True}, "replace=True, method='optimal'"),
        ({"order": "largest"}, "write replace=False"),
    ],
)
def test_options_are_refused_by_name(options, text):
    with pytest.raises(DesignError) as error:
        Matching(ROAD, **options)
    assert text in str(error.value)


def test_a_bare_table_is_refused():
    with pytest.raises(DesignError, match=r"wrap a table of your own with Covariates\.from_frame"):
        Matching(ROAD.table)


def test_labels_in_the_distance_are_refused():
    on = table(x=[1.0, 2, 3, 4, 5], band=list("lhllm"))
    refused("labels in 1 (band)", on)


def test_what_the_programme_may_have_changed_is_refused():
    panel = panel_of(noise(8, 5, 1))
    on = Covariates.from_panel(panel, means={"m": (2012, 2014)})
    with pytest.raises(DesignError, match=r"m mean 2012 to 2014 \(up to 2014\)"):
        Design(panel, Rollout({codes(8)[0]: 2014}), against=Matching(on), selection="unknown")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "for each pilot one comparator by nearest matching (mahalanobis distance; x)"),
        (
            {"ratio": 2, "replace": False, "caliper": 0.5, "calipers": {"x": 1}},
            "for each pilot the mean of 2 comparators by nearest matching (mahalanobis distance, "
            "each comparator once, caliper 0.5, caliper 1 on x; x)",
        ),
    ],
)
def test_words(options, words):
    assert Matching(ROAD, **options).describe() == words
