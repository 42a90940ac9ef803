"""Removals are refits by hand, the smallest set is the smallest of all, and says so when it is."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise, spread, treated, with_gaps

import didkit as dk
from didkit.check.removal_search import Candidates, fewest_of_means, most_refits, search_sign
from didkit.check.removed import dropped, equations, refit_without
from didkit.check.removed_cells import cell_equations, cells_of, refit_without_cells
from didkit.errors import DesignError, InferenceError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import signs_of_safety as example

N, T, START = 14, 7, 4
ONE = spread(N, 4, START)
SEVERAL = dict(zip(ONE, (3, 3, 5, 5), strict=True))
PILOT = np.isin(np.arange(N), list(ONE))
IDS = codes(N)


def outcome(seed: int = 6, effect: float = -5.0) -> np.ndarray:
    return noise(N, T, seed) + effect * treated((N, T), ONE)


def gapped(seed: int = 6) -> np.ndarray:
    return with_gaps(outcome(seed), seed, share=0.15, whole=list(ONE))


def by_dummies(y: np.ndarray, starts: dict[int, int]) -> float:
    """Two-way fixed effects with a dummy for each unit and period: another way to the same."""
    d = treated(y.shape, starts)
    unit, period = np.nonzero(np.isfinite(y))
    X = np.column_stack([d[unit, period], np.eye(len(y))[unit], np.eye(y.shape[1])[period]])
    return float(np.linalg.lstsq(X, y[unit, period], rcond=None)[0][0])


def without(y: np.ndarray, rows) -> float:
    """Two-way by dummies without some units."""
    kept = y.copy()
    kept[list(rows)] = np.nan
    return by_dummies(kept, ONE)


# -- the algebra ---------------------------------------------------------------------

ESTIMATORS = {
    "observed": dk.DiD(),
    "complete": dk.DiD("complete"),
    "events": dk.EventStudy(),
    "trends": dk.DiD(trends="unit"),
}


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_algebra_of_a_removal_is_a_refit(name, size):
    made = ESTIMATORS[name].fit(design_of(outcome(), ONE), "m").infer(None)
    quick = equations(made)
    rng = np.random.default_rng(size)
    sets = np.array([rng.choice(N, size, replace=False) for _ in range(5)])
    by_refit = [refit_without(made, one.tolist())[0] for one in sets]
    np.testing.assert_allclose(quick.without(sets), by_refit, rtol=1e-9, atol=1e-9)


def test_the_algebra_is_least_squares_by_dummies_with_gaps():
    y = gapped()
    made = dk.DiD().fit(design_of(y, ONE), "m").infer(None)
    quick = equations(made)
    sets = np.array(list(itertools.combinations(range(N), 2)))[::7]
    expected = [without(y, one) for one in sets]
    np.testing.assert_allclose(quick.without(sets), expected, rtol=1e-9, atol=1e-9)


def test_the_spread_of_a_removal_is_cr0_of_the_refit():
    made = dk.DiD().fit(design_of(gapped(), ONE), "m").infer(None)
    values, errors = equations(made).spread(np.array([[0, 3], [4, 9]]))
    for one, value, error in zip(([0, 3], [4, 9]), values, errors, strict=True):
        refit = made.refit(dropped(made.design, [made.sample.units[j] for j in one]))
        row = refit.infer(dk.ClusterRobust("CR0"))["att"]
        assert (value, error) == pytest.approx((row["estimate"], row["std_error"]), rel=1e-9)


def test_where_shares_change_there_is_no_algebra():
    y = noise(N, T, 3)
    assert equations(dk.DiD("complete").fit(design_of(y, SEVERAL), "m")) is None
    assert equations(dk.Gap().fit(design_of(y, ONE), "m")) is None
    assert equations(dk.DiD().fit(design_of(y, SEVERAL), "m")) is not None


def test_removing_all_pilots_leaves_nothing():
    made = dk.DiD().fit(design_of(outcome(), ONE), "m").infer(None)
    assert np.isnan(equations(made).without(np.array([list(ONE)]))[0])
    assert refit_without(made, list(ONE))[4].startswith("no estimate")


@pytest.mark.parametrize("maker", [dk.DiD(), dk.EventStudy(), dk.DiD(covariates=["c"])])
def test_the_algebra_of_cells_is_a_refit(maker):
    y = gapped()
    frame = pd.DataFrame(
        [
            (IDS[j], FIRST + t, y[j, t], np.sin(j * t) * 300)
            for j in range(N)
            for t in range(T)
        ],
        columns=["la", "year", "m", "c"],
    )  # fmt: skip
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "c"])
    rollout = dk.Rollout({IDS[j]: FIRST + t for j, t in ONE.items()})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    made = maker.fit(design, "m").infer(None)
    quick, at = cell_equations(made), cells_of(made)
    assert (at[0] == 5).sum() > 3
    rng = np.random.default_rng(1)
    for size in (1, 2, 3):
        sets = np.array([rng.choice(len(at[0]), size, replace=False) for _ in range(4)])
        sets[0] = np.flatnonzero(at[0] == 5)[:size]  # cells of one unit, some of which stay
        by_refit = [refit_without_cells(made, at, one.tolist())[0] for one in sets]
        np.testing.assert_allclose(quick.without(sets), by_refit, rtol=1e-9, atol=1e-9)
        another = [quick.with_another(one[:-1].tolist())[one[-1]] for one in sets]
        np.testing.assert_allclose(another, by_refit, rtol=1e-9, atol=1e-9)


# -- leave one out: periods, regions, sets, intervals --------------------------------


@pytest.mark.parametrize("cells", ["observed", "complete"])
def test_a_period_left_out_is_least_squares_without_it(cells):
    y = outcome()
    made = dk.DiD(cells).fit(design_of(y, ONE), "m").infer(None)
    table = made.check(dk.LeaveOneOut("periods")).tidy()
    assert table["left_out"].tolist() == [str(FIRST + t) for t in range(T)]
    for t, value in enumerate(table["estimate"]):
        kept = y.copy()
        kept[:, t] = np.nan
        assert value == pytest.approx(by_dummies(kept, ONE), abs=1e-9)


def test_a_period_left_out_keeps_the_panel_and_its_bounds():
    design = design_of(outcome(), ONE)
    before = {k: v.copy() for k, v in vars(design.panel.cells("m")).items()}
    dk.DiD().fit(design, "m").infer(None).check(dk.LeaveOneOut("periods"))
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(design.panel.cells("m"), name), values)


def test_the_only_period_before_cannot_go():
    y = outcome()[:, 3:]
    made = dk.DiD().fit(design_of(y, dict.fromkeys(ONE, 1)), "m").infer(None)
    found = made.check(dk.LeaveOneOut("periods"))
    assert np.isnan(found.table["estimate"].iloc[0])
    assert any(f"no estimate without {FIRST}" in note for note in found.notes)


def test_regions_leave_as_a_whole():
    y = outcome()
    made = dk.DiD().fit(design_of(y, ONE), "m").infer(None)
    by = {unit: "north" if j % 3 == 0 else "south" for j, unit in enumerate(IDS)}
    found = made.check(dk.LeaveOneOut("regions", by=by))
    for label, row in found.tidy().set_index("left_out").iterrows():
        gone = [j for j in range(N) if by[IDS[j]] == label]
        assert row["estimate"] == pytest.approx(without(y, gone), abs=1e-9)
        assert (row["pilots"], row["comparators"]) == (PILOT[gone].sum(), (~PILOT[gone]).sum())
    assert "one group" in found.headline
    everyone = {unit: "a" if PILOT[j] else "b" for j, unit in enumerate(IDS)}
    with pytest.raises(InferenceError, match="without at least one"):
        made.check(dk.LeaveOneOut("regions", by=everyone))


def test_sets_leave_with_their_comparators():
    free = [j for j in range(N) if j not in ONE]
    own = {IDS[j]: {IDS[free[2 * i]]: 0.5, IDS[free[2 * i + 1]]: 0.5} for i, j in enumerate(ONE)}
    y = outcome()
    made = dk.DiD().fit(design_of(y, ONE, against=dk.MatchedSets(own)), "m").infer(None)
    table = made.check(dk.LeaveOneOut("sets")).tidy()
    w = y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)
    each = {IDS[j]: w[j] - (w[free[2 * i]] + w[free[2 * i + 1]]) / 2 for i, j in enumerate(ONE)}
    for row in table.itertuples():
        others = [value for unit, value in each.items() if unit != row.left_out]
        assert row.estimate == pytest.approx(np.mean(others), abs=1e-9)
        assert (row.pilots, row.comparators) == (1, 2)
    pool = dk.DiD().fit(design_of(y, ONE), "m").infer(None)
    with pytest.raises(InferenceError, match="matched sets"):
        pool.check(dk.LeaveOneOut("sets"))


@pytest.mark.parametrize("own", [dk.ClusterRobust("CR2"), dk.Permutation(draws=199, seed=3)])
def test_intervals_of_refits_are_those_of_the_refits(own):
    made = dk.DiD().fit(design_of(outcome(), ONE), "m").infer(own, level=0.9)
    found = made.check(dk.LeaveOneOut(inference="own"))
    row = found.table.iloc[1]
    refit = made.refit(made.design.drop(row["left_out"])).infer(own, level=0.9)["att"]
    for name in ("conf_low", "conf_high", "p_value"):
        assert row[name] == pytest.approx(refit[name])
    inside = (found.table["conf_low"] <= 0) & (found.table["conf_high"] >= 0)
    was = made["att"]["conf_low"] <= 0 <= made["att"]["conf_high"]
    assert found.facts["zero_moves"] == (inside != was).sum()
    assert "90% interval" in found.headline
    with pytest.raises(InferenceError, match="needed: an estimate with an inference"):
        made.infer(None).check(dk.LeaveOneOut(inference="own"))


def test_what_leave_one_out_refuses():
    made = dk.DiD().fit(design_of(outcome(), ONE), "m").infer(None)
    with pytest.raises(InferenceError, match=r"a column of panel\.units"):
        made.check(dk.LeaveOneOut("regions"))
    with pytest.raises(InferenceError, match="label for every unit"):
        made.check(dk.LeaveOneOut("regions", by={IDS[0]: "a"}))
    with pytest.raises(InferenceError, match="at least two groups"):
        made.check(dk.LeaveOneOut("regions", by=dict.fromkeys(IDS, "a")))
    with pytest.raises(InferenceError, match="units='regions' only"):
        dk.LeaveOneOut("pilots", by="county")
    with pytest.raises(InferenceError, match="mapping of unit to group"):
        dk.LeaveOneOut("regions", by=3)
    with pytest.raises(InferenceError, match="inference=None, 'own'"):
        dk.LeaveOneOut(inference="CR2")


# -- leave two out -------------------------------------------------------------------


@pytest.mark.parametrize("units", ["pilots", "comparators", "all"])
def test_leave_two_out_is_least_squares_without_each_pair(units):
    y = gapped()
    found = dk.DiD().fit(design_of(y, ONE), "m").infer(None).check(dk.LeaveTwoOut(units))
    wanted = {"pilots": PILOT, "comparators": ~PILOT, "all": np.ones(N, dtype=bool)}[units]
    pairs = list(itertools.combinations(np.flatnonzero(wanted), 2))
    assert len(found.table) == len(pairs) == found.facts["pairs"]
    expected = np.array([without(y, pair) for pair in pairs])
    np.testing.assert_allclose(found.table["estimate"], expected, atol=1e-9)
    assert found.alternatives == pytest.approx((expected.min(), expected.max()))
    full = by_dummies(y, ONE)
    a, b = pairs[0]
    beyond = expected[0] - without(y, [a]) - without(y, [b]) + full
    assert found.table["beyond"].iloc[0] == pytest.approx(beyond, abs=1e-9)
    assert found.facts["sign_changes"] == (expected * full < 0).sum()


def test_leave_two_out_refits_where_there_is_no_algebra():
    y = noise(N, T, 3)
    made = dk.DiD("complete").fit(design_of(y, SEVERAL), "m").infer(None)
    found = made.check(dk.LeaveTwoOut())
    row = found.table.iloc[2]
    refit = made.refit(dropped(made.design, [row["left_out"], row["left_out_2"]]))
    assert row["estimate"] == pytest.approx(refit.values[0])
    rebuilt = made.check(dk.LeaveTwoOut(comparators="rebuilt"))
    np.testing.assert_allclose(rebuilt.table["estimate"], found.table["estimate"])
    with pytest.raises(InferenceError, match="at most 5 pairs") as caught:
        made.check(dk.LeaveTwoOut(most=5))
    assert "most=6" in str(caught.value)
    two = design_of(y, dict(list(ONE.items())[:2]))
    with pytest.raises(InferenceError, match="at least three pilots"):
        dk.DiD().fit(two, "m").infer(None).check(dk.LeaveTwoOut())


def test_a_pair_that_hides_itself_is_seen():
    """Two comparators that cancel: alone each moves a little, together nothing else does."""
    y = np.zeros((10, 4))
    y[:3, 2:] = 1.0
    y[[5, 6], 2:] = 20.0
    found = dk.DiD().fit(design_of(y, {0: 2, 1: 2, 2: 2}), "m").infer(None)
    found = found.check(dk.LeaveTwoOut("comparators"))
    worst = found.table.loc[found.table["estimate"].idxmax()]
    assert {worst["left_out"], worst["left_out_2"]} == {codes(10)[5], codes(10)[6]}
    assert worst["estimate"] == pytest.approx(1.0)


# -- the smallest removal ------------------------------------------------------------


def smallest_by_brute_force(value, n: int, full: float) -> tuple[int, float]:
    """Try every set, smallest first."""
    for size in range(1, n - 1):
        turned = [v for s in itertools.combinations(range(n), size) if (v := value(s)) * full < 0]
        if turned:
            return size, max(turned, key=abs)
    return 0, full


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cells", ["observed", "complete"])
def test_the_smallest_removal_is_the_smallest_of_all(cells, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(9, 4)) * 3
    starts = dict.fromkeys((0, 2, 5, 7), 2)
    y += 2.5 * treated(y.shape, starts)
    pilot = np.isin(np.arange(9), list(starts))
    w = y[:, 2:].mean(axis=1) - y[:, :2].mean(axis=1)

    def value(gone) -> float:
        kept = ~np.isin(np.arange(9), gone)
        if not (kept & pilot).any() or not (kept & ~pilot).any():
            return 0.0
        return float(w[kept & pilot].mean() - w[kept & ~pilot].mean())

    size, left = smallest_by_brute_force(value, 9, value(()))
    made = dk.DiD(cells).fit(design_of(y, starts), "m").infer(None)
    found = made.check(dk.SmallestRemoval(largest=8))
    assert (found.facts["size"], found.facts["proven"]) == (size, 1.0)
    assert found.facts["left"] == pytest.approx(left)
    assert found.table["estimate"].iloc[0] == pytest.approx(value(()))
    assert len(found.table) == size + 1
    assert found.facts["share"] == pytest.approx(size / 9)


@pytest.mark.parametrize("seed", range(6))
def test_fewest_of_means_is_brute_force(seed):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=9) + rng.uniform(0, 2)
    pilot = np.arange(9) < 4
    numbers[pilot] += 1.5

    def value(gone) -> float:
        kept = ~np.isin(np.arange(9), gone)
        if not (kept & pilot).any() or not (kept & ~pilot).any():
            return 0.0
        return float(numbers[kept & pilot].mean() - numbers[kept & ~pilot].mean())

    size, left = smallest_by_brute_force(value, 9, value(()))
    found = fewest_of_means(numbers, pilot, np.ones(9, dtype=bool), value(()))
    assert len(found) == size
    assert value(list(found)) == pytest.approx(left)


def test_cells_one_by_one_and_in_pairs_are_brute_force():
    rng = np.random.default_rng(5)
    y = rng.normal(size=(6, 3))
    starts = {1: 1, 4: 1, 5: 1}
    y += -0.6 * treated(y.shape, starts)
    made = dk.DiD().fit(design_of(y, starts), "m").infer(None)
    full = made.values.item()
    at = cells_of(made)
    found = made.check(dk.SmallestRemoval("cells"))
    size = int(found.facts["size"])
    assert size == 2
    assert found.facts["proven"] == 1

    def value(cells) -> float:
        kept = y.copy()
        kept[at[0][list(cells)], at[1][list(cells)]] = np.nan
        for j, start in starts.items():  # a pilot without one side leaves
            if not np.isfinite(kept[j, :start]).any() or not np.isfinite(kept[j, start:]).any():
                kept[j] = np.nan
        return by_dummies(kept, starts)

    assert not any(value([c]) * full < 0 for c in range(18))
    values = np.array([value(pair) for pair in itertools.combinations(range(18), 2)])
    turned = values * full < 0
    assert found.facts["left"] == pytest.approx(values[turned][np.abs(values[turned]).argmax()])
    assert found.facts["others"] == turned.sum() - 1
    assert set(found.table["period"].iloc[1:]) <= {str(FIRST + t) for t in range(3)}


def test_a_pilot_that_loses_a_side_is_refitted():
    """It leaves the sample then, which the algebra of its cell does not know."""
    starts = {1: 1, 4: 1, 5: 1}
    y = np.random.default_rng(5).normal(size=(6, 3))
    made = dk.DiD().fit(design_of(y, starts), "m").infer(None)
    _, of, _ = dk.SmallestRemoval("cells")._candidates(made, None, 0.95)
    place = {pair: i for i, pair in enumerate(zip(*cells_of(made), strict=True))}
    alone = np.array([[place[1, 0]], [place[1, 2]], [place[0, 0]]])
    np.testing.assert_array_equal(np.isnan(of.without(alone)), [True, False, False])
    pairs = np.array([[place[1, 1], place[1, 2]], [place[1, 1], place[4, 2]]])
    np.testing.assert_array_equal(np.isnan(of.without(pairs)), [True, False])


def test_a_found_set_that_is_not_proven_says_so_and_is_minimal():
    """Beyond what is tried throughout, nothing in the set can be put back."""
    made = dk.DiD("complete").fit(design_of(outcome(effect=-6.0), SEVERAL), "m").infer(None)
    found = made.check(dk.SmallestRemoval(most=14, largest=12))
    gone = found.table["unit"].iloc[1:].tolist()
    assert found.facts["proven"] == 0
    assert "a smaller one may exist" in found.headline
    assert found.facts["left"] == pytest.approx(made.refit(dropped(made.design, gone)).values[0])
    assert found.facts["left"] * made.values[0] < 0
    for unit in gone:
        left = [one for one in gone if one != unit]
        assert made.refit(dropped(made.design, left)).values[0] * made.values[0] > 0


def test_nothing_turns_what_all_pilots_share():
    y = np.zeros((8, 4))
    y[:3, 2:] = 1.0
    made = dk.DiD().fit(design_of(y, {0: 2, 1: 2, 2: 2}), "m").infer(None)
    found = made.check(dk.SmallestRemoval())
    assert np.isnan(found.facts["size"])
    assert found.alternatives is None
    assert "keeps its sign" in found.headline


@pytest.mark.parametrize("effect", [-2.0, -3.0], ids=["inside", "outside"])
@pytest.mark.parametrize("most", [40, 4], ids=["all pairs", "ranked"])
def test_zero_moves_without_the_smallest_set(effect, most):
    own = dk.ClusterRobust("CR2")
    starts = dict.fromkeys((0, 2, 5, 6), 2)
    y = np.random.default_rng(8).normal(size=(8, 4)) + effect * treated((8, 4), starts)
    made = dk.DiD().fit(design_of(y, starts), "m").infer(own)
    row = made["att"]
    inside = row["conf_low"] <= 0 <= row["conf_high"]
    assert inside == (effect == -2)
    found = made.check(dk.SmallestRemoval("units", "zero", most=most, largest=5))
    last = found.table.iloc[-1]
    assert (last["conf_low"] <= 0 <= last["conf_high"]) != inside
    refit = made.refit(dropped(made.design, found.table["unit"].iloc[1:])).infer(own)["att"]
    assert (last["conf_low"], last["conf_high"]) == pytest.approx(
        (refit["conf_low"], refit["conf_high"])
    )
    assert found.facts["proven"] == (most == 40)
    for size in range(1, int(found.facts["size"])) if most == 40 else ():  # no smaller set does
        for one in itertools.combinations(range(8), size):
            again = refit_without(made, one, own)
            assert not np.isfinite(again[1]) or (again[1] <= 0 <= again[2]) == inside


def test_the_real_evaluation_hangs_on_norfolk_one_way_and_west_sussex_the_other(shared_data):
    """Children in need; leave-one-out of the known numbers: −12.5 to +16.1."""
    panel = example.load(shared_data)
    design = example.design(panel, shared_data, start=2018, periods=(2013, 2020))
    made = dk.DiD().fit(design, "cin").infer(None)
    found = made.check(dk.SmallestRemoval())
    assert (found.facts["size"], found.facts["proven"]) == (1, 1)
    assert found.table["name"].iloc[1] == "Norfolk"
    assert found.facts["left"] == pytest.approx(16.1, abs=0.05)
    said = " ".join(found.notes)
    assert "Norfolk moves the estimate furthest up, to +16.1" in said
    assert "West Sussex furthest down, to −12.5" in said
    cells = made.check(dk.SmallestRemoval("cells"))
    assert cells.table["name"].iloc[1] == "Norfolk"


@pytest.mark.parametrize(("n", "most"), [(8, 2000), (12, 2000), (12, 30), (6, 3)])
def test_no_search_by_refits_takes_more_than_the_bound(n, most):
    def refit(places):
        return (1.0, np.nan, np.nan, np.nan, "")  # nothing turns it

    of = Candidates(n, refit)
    search_sign(of, 1.0, most=most, largest=n // 2)
    assert n // 2 <= len(of._seen) <= most_refits(n, most=most, largest=n // 2)


def test_what_the_smallest_removal_refuses():
    y = outcome()
    made = dk.DiD("complete").fit(design_of(y, ONE), "m").infer(None)
    with pytest.raises(InferenceError, match="the whole authority goes"):
        made.check(dk.SmallestRemoval("cells"))
    with pytest.raises(InferenceError, match="needed: an estimate with an inference"):
        made.check(dk.SmallestRemoval(conclusion="zero"))
    flat = dk.DiD().fit(design_of(np.zeros((N, T)), ONE), "m").infer(None)
    with pytest.raises(InferenceError, match="no sign to change"):
        flat.check(dk.SmallestRemoval())
    gap = dk.Gap().fit(design_of(y, ONE), "m").infer(None)
    with pytest.raises(InferenceError, match="at most 3 refits"):
        gap.check(dk.SmallestRemoval(most=3))
    for options in (
        {"of": "periods"},
        {"conclusion": "p"},
        {"most": 0},
        {"largest": 1.5},
        {"inference": dk.ClusterRobust()},
        {"conclusion": "zero", "inference": "own"},
    ):
        with pytest.raises(InferenceError):
            dk.SmallestRemoval(**options)
    for options in ({"units": "periods"}, {"comparators": "new"}, {"most": True}):
        with pytest.raises(InferenceError):
            dk.LeaveTwoOut(**options)


def test_labels_not_positions():
    """Rows in another order: the same units are found."""
    y = outcome(effect=-1.0)
    order = np.random.default_rng(0).permutation(N)
    one = dk.DiD().fit(design_of(y, ONE), "m").infer(None).check(dk.SmallestRemoval())
    back = {int(np.flatnonzero(order == j)[0]): t for j, t in ONE.items()}
    other = dk.DiD().fit(design_of(y[order], back), "m").infer(None).check(dk.SmallestRemoval())
    was = [IDS.index(unit) for unit in one.table["unit"].iloc[1:]]
    now = [int(order[IDS.index(unit)]) for unit in other.table["unit"].iloc[1:]]
    assert was == now
    assert one.facts["left"] == pytest.approx(other.facts["left"])


def test_dropped_refuses_to_leave_nothing():
    with pytest.raises(DesignError, match="at least one pilot"):
        dropped(design_of(outcome(), ONE), [IDS[j] for j in ONE])
