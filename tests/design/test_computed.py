"""Computed neighbours and learnt weights: other programs, invariances, and what noise learns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import codes, noise, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from didkit.design import (
    Covariates,
    Design,
    Neighbours,
    Pool,
    Rollout,
    compute_neighbours,
    learn_weights,
)
from didkit.errors import DesignError

N = 24
IDS = codes(N)


def frame(seed: int = 1, n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(n, 3)), index=codes(n), columns=["a", "b", "c"])


def distances(made: Neighbours) -> dict[tuple[str, str], float]:
    columns = ["unit", "neighbour", "distance"]
    return {(u, n): d for u, n, d in made.table[columns].itertuples(index=False)}


# -- computed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, {"a": 1, "b": 2, "c": 5}, {"a": 1, "b": 0, "c": 0.5}])
def test_distances_are_those_of_scipy(weights):
    table = frame()
    made = compute_neighbours(Covariates(table), most=5, weights=weights)
    w = np.array(list((weights or {"a": 1, "b": 1, "c": 1}).values()), dtype=float)
    known = cdist(table, table, "minkowski", p=2, w=w / w.sum() / table.var(ddof=1).to_numpy())
    np.fill_diagonal(known, np.inf)
    for i, unit in enumerate(IDS):
        nearest = np.argsort(known[i])[:5]
        assert made.of(unit) == tuple(IDS[j] for j in nearest)
        for j in nearest:
            assert distances(made)[unit, IDS[j]] == pytest.approx(known[i, j], rel=1e-12)
    assert made.table.groupby("unit")["rank"].apply(list).tolist() == [[1, 2, 3, 4, 5]] * N


def test_ties_stand_in_the_order_of_ids():
    x = pd.DataFrame({"x": [0.0, 0.1, 0.2, 0.3, 0.4]}, index=["3", "1", "5", "2", "4"])
    made = compute_neighbours(Covariates(x), most=4)
    assert made.of("5") == ("1", "2", "3", "4")  # 0.1 and 0.3, then 0.0 and 0.4
    assert made.of("1") == ("3", "5", "2", "4")


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_of_measurement_and_order_do_not_matter(seed, factor, shift):
    table = frame(seed)
    made = compute_neighbours(Covariates(table))
    other = table.assign(a=factor * table["a"] + shift).sample(frac=1, random_state=seed)
    again = compute_neighbours(Covariates(other))
    assert again.table[["unit", "neighbour"]].equals(made.table[["unit", "neighbour"]])
    assert np.allclose(again.table["distance"], made.table["distance"], rtol=1e-7)


def test_ranks_do_not_see_outliers():
    table = frame()
    ranked = compute_neighbours(Covariates(table), scale="rank")
    bent = compute_neighbours(Covariates(table.assign(a=np.exp(3 * table["a"]))), scale="rank")
    assert bent.table.equals(ranked.table)
    assert "on ranks of a, b, c" in ranked.release
    plain = compute_neighbours(Covariates(table.assign(a=np.exp(3 * table["a"]))))
    assert not plain.table.equals(compute_neighbours(Covariates(table)).table)


def test_the_list_says_what_it_is_made_of():
    made = compute_neighbours(Covariates(frame()), weights={"a": 3, "b": 1, "c": 0})
    assert made.release == "computed neighbours on a 0.75, b 0.25 (given weights)"
    equal = compute_neighbours(Covariates(frame()))
    assert equal.release == "computed neighbours on a, b, c (equal weights)"
    assert equal.union().describe().endswith(equal.release)
    assert (equal.table["closeness"] == "").all()
    panel = panel_of(noise(N, 6, 2))
    on = Covariates.from_panel(panel, means={"m": (2011, 2012)}).join(Covariates(frame()))
    some = compute_neighbours(on, weights={"m mean 2011 to 2012": 0, "a": 1, "b": 1, "c": 1})
    assert not some.until  # not used, so not seen
    assert dict(compute_neighbours(on).until) == {"m mean 2011 to 2012": "2012"}


def test_a_unit_without_a_covariate_is_refused_or_named():
    table = frame()
    table.loc[IDS[3], "b"] = np.nan
    with pytest.raises(DesignError, match=rf"1 \({IDS[3]}\) lack at least one"):
        compute_neighbours(Covariates(table))
    made = compute_neighbours(Covariates(table), missing="leave_out")
    assert not made.of(IDS[3])
    assert IDS[3] not in set(made.table["neighbour"])
    panel = panel_of(noise(N, 6, 2))

    def design(pilot):
        return Design(panel, Rollout({pilot: 2014}), against=made.union(), selection="unknown")

    assert (
        f"no computed neighbours for 1 ({IDS[3]}): a covariate is missing" in design(IDS[0]).notes
    )
    with pytest.raises(DesignError, match=rf"none for 1 \({IDS[3]} \(a covariate is missing\)\)"):
        design(IDS[3])
    # a covariate of weight 0 may be missing
    assert compute_neighbours(Covariates(table), weights={"a": 1, "b": 0, "c": 1}).of(IDS[3])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"most": 0}, "most= as a whole number"),
        ({"weights": {"a": 1, "b": 1}}, r"none for 1 \(c\)"),
        ({"weights": {"a": 1, "b": 1, "c": 1, "d": 1}}, "no such covariate"),
        ({"weights": {"a": 1, "b": 1, "c": -1}}, "c: -1"),
        ({"weights": {"a": 0, "b": 0, "c": 0}}, "weights that are all 0"),
        ({"scale": "log"}, "found: 'log'"),
        ({"missing": "fill"}, "found: 'fill'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(DesignError, match=words):
        compute_neighbours(Covariates(frame()), **options)


def test_covariates_that_cannot_be_are_refused():
    with pytest.raises(DesignError, match=r"1 \(b\) the same for all"):
        compute_neighbours(Covariates(frame().assign(b=1.5)))
    with pytest.raises(DesignError, match=r"labels in 1 \(b\)"):
        compute_neighbours(Covariates(frame().assign(b="north")))
    with pytest.raises(DesignError, match="at least two units"):
        compute_neighbours(Covariates(frame(n=1)))
    with pytest.raises(DesignError, match="found: a DataFrame"):
        compute_neighbours(frame())


# -- learnt ---------------------------------------------------------------------------------------

MANY, PERIODS = 60, 8


def drift(seed: int = 4, *, noisy: float = 0.3) -> tuple[np.ndarray, pd.DataFrame]:
    """Outcomes whose changes follow the covariate "telling"; "idle" has no part in them."""
    rng = np.random.default_rng(seed)
    telling, idle = rng.normal(size=(2, MANY))
    path = np.cumsum(rng.normal(1, 0.5, size=PERIODS))
    y = 300 + 30 * rng.normal(size=(MANY, 1)) + np.outer(telling, path)
    y += noisy * rng.normal(size=(MANY, PERIODS))
    table = pd.DataFrame({"telling": telling, "idle": idle}, index=codes(MANY))
    return y, table


def learnt(y, table, **options):
    asked = {"periods": (2011, 2014), "rounds": 6, "most": 5, **options}
    return learn_weights(panel_of(y), Covariates(table), "m", **asked)


def test_noise_gets_little_weight_and_the_errors_are_in_their_order():
    made = learnt(*drift())
    assert sum(made.weights.values()) == pytest.approx(1, abs=1e-12)
    assert min(made.weights.values()) >= 0
    assert made.weights["telling"] > 0.85
    assert (made.by_fold["telling"] > 0.75).all()
    errors = made.table.set_index("neighbours")
    inside = errors["error_in_sample"]
    assert inside["learnt weights"] < 0.9 * inside["equal weights"] < 0.9 * inside["everyone"]
    assert errors.loc["learnt weights", "error_cross_validated"] < inside["equal weights"]


def test_the_search_starts_from_equal_weights_so_it_is_never_worse_in_sample():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame(rng.normal(size=(MANY, 3)), index=codes(MANY), columns=list("abc"))
        made = learnt(noise(MANY, PERIODS, seed), table, rounds=1)
        inside = made.table.set_index("neighbours")["error_in_sample"]
        assert inside["learnt weights"] <= inside["equal weights"]


def test_what_is_learnt_from_noise_does_not_carry_over():
    """Where nothing can be foretold, the error in sample falls and that across folds does not.

    Each difference is at least that of the better of few candidates on 60 units; over four
    simulations the mean difference is many times its own noise.
    """
    gap = []
    for seed in range(4):
        rng = np.random.default_rng(100 + seed)
        table = pd.DataFrame(rng.normal(size=(MANY, 3)), index=codes(MANY), columns=list("abc"))
        made = learnt(noise(MANY, PERIODS, seed), table).table.set_index("neighbours")
        inside, across = made.loc["learnt weights", ["error_in_sample", "error_cross_validated"]]
        gap.append(across - inside)
        assert made.loc["equal weights", "error_in_sample"] > inside
    assert np.mean(gap) > 0.01


def test_the_errors_without_learning_are_those_by_hand():
    y, table = drift()
    lists = compute_neighbours(Covariates(table), most=5)
    made = learnt(y, table, published=lists).table.set_index("neighbours")
    change = np.diff(y[:, :4], axis=1)
    change = change - change.mean(axis=0)
    change /= np.sqrt((change**2).mean())
    place = {unit: i for i, unit in enumerate(codes(MANY))}
    errors = [
        change[i] - change[[place[other] for other in lists.of(unit)]].mean(axis=0)
        for unit, i in place.items()
    ]
    others = [change[i] - np.delete(change, i, axis=0).mean(axis=0) for i in range(MANY)]
    for name in ("equal weights", "published list"):
        known = np.sqrt(np.mean(np.square(errors)))
        assert made.loc[name, "error_in_sample"] == pytest.approx(known, rel=1e-12)
        assert made.loc[name, "error_cross_validated"] == pytest.approx(known, rel=1e-12)
    assert made.loc["everyone", "error_in_sample"] == pytest.approx(
        np.sqrt(np.mean(np.square(others))), rel=1e-12
    )
    assert (made["units"] == MANY).all()


def test_one_seed_one_answer_and_later_periods_are_not_seen():
    y, table = drift()
    first = learnt(y, table)
    later = y.copy()
    later[:, 4:] += 1000 * np.random.default_rng(0).normal(size=(MANY, PERIODS - 4))
    again = learnt(later, table.sample(frac=1, random_state=1))
    assert dict(again.weights) == dict(first.weights)
    assert again.table.equals(first.table)
    assert again.by_fold.equals(first.by_fold)
    assert not learnt(y, table, seed=1).by_fold.equals(first.by_fold)
    levels = learnt(y, table, outcome="levels")
    shifted = learnt(y + np.arange(MANY)[:, None] ** 2, table)
    assert dict(shifted.weights) == dict(first.weights)  # levels of units do not matter
    assert levels.table.loc[0, "error_in_sample"] > first.table.loc[0, "error_in_sample"]
    assert "errors of levels from 2011 to 2014" in levels.notes[0]


def test_a_design_refuses_weights_that_have_seen_its_start():
    y, table = drift()
    made = learnt(y, table)
    assert dict(made.until) == {"weights": "2014"}
    lists = compute_neighbours(Covariates(table), weights=made)
    assert lists.release.startswith("computed neighbours on telling ")
    assert lists.release.endswith("(learnt weights)")
    panel = panel_of(y)

    def design(start, against):
        rollout = Rollout({codes(MANY)[0]: start})
        return Design(panel, rollout, against=against, selection="unknown")

    assert len(design(2015, lists.union()).comparators) == 10
    with pytest.raises(DesignError, match=r"weights \(up to 2014\)"):
        design(2014, lists.union())
    with pytest.raises(DesignError, match="periods before the first start, 2014"):
        learn_weights(design(2014, Pool()), Covariates(table), "m", periods=(2011, 2014))


def test_units_left_out_are_named_and_excluded_ones_not_used():
    y, table = drift()
    y[7, 1] = np.nan
    table.loc[codes(MANY)[9], "idle"] = np.nan
    made = learnt(y, table, missing="leave_out", exclude=[codes(MANY)[11]])
    assert f"1 ({codes(MANY)[9]}) left out: a covariate is missing" in made.notes
    assert f"1 ({codes(MANY)[7]}) left out: an outcome is missing" in made.notes
    assert (made.table["units"] == MANY - 3).all()
    rollout = Rollout({codes(MANY)[0]: 2016})
    out = {codes(MANY)[11]: "tiny"}
    design = Design(panel_of(y), rollout, against=Pool(), selection="unknown", exclude=out)
    asked = {"periods": (2011, 2014), "rounds": 6, "most": 5, "missing": "leave_out"}
    by_design = learn_weights(design, Covariates(table), "m", **asked)
    assert by_design.table.equals(made.table)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outcome": "ranks"}, "outcome='ranks'"),
        ({"folds": 1}, "folds=1"),
        ({"rounds": 0}, "rounds=0"),
        ({"seed": -1}, "seed=-1"),
        ({"folds": 40}, "at least 80 units"),
        ({"periods": (2014, 2014)}, "two periods or more"),
        ({"missing": "fill"}, "found: 'fill'"),
    ],
)
def test_learning_that_cannot_be_is_refused(options, words):
    with pytest.raises(DesignError, match=words):
        learnt(*drift(), **options)


def test_the_same_path_for_all_teaches_nothing():
    _, table = drift()
    with pytest.raises(DesignError, match="the same path for all"):
        learnt(np.tile(np.arange(PERIODS, dtype=float), (MANY, 1)), table)
