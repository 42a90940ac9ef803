"""Conformal over time: brute force, the interval on a fine grid, exactness, and refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise, spread, treated
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import Conformal
from didkit.panel import Metric, Panel

N, T, START = 12, 10, 7


def path_of(y: np.ndarray, pilots: list[int]) -> list[float]:
    rest = [j for j in range(len(y)) if j not in pilots]
    return (y[pilots].mean(axis=0) - y[rest].mean(axis=0)).tolist()


def by_hand(path: list[float], start: int, theta: float, kind: str, order: int) -> float:
    """Residuals under a constant effect, and every permutation of time, in plain Python."""
    n = len(path)
    under = [v - theta if t >= start else v for t, v in enumerate(path)]
    mean = sum(under) / n
    u = [v - mean for v in under]

    def size(chosen) -> float:
        return sum(abs(u[t]) ** order for t in chosen)

    if kind == "moving_block":
        twice = list(range(n)) * 2
        places = [twice[s : s + n - start] for s in range(n)]
    else:
        places = list(itertools.combinations(range(n), n - start))
    mine = size(range(start, n))
    return sum(size(c) >= mine - 1e-9 * (1 + mine) for c in places) / len(places)


def fitted(y, starts, inference, level=0.95, estimator=None):
    made = (estimator or DiD()).fit(design_of(y, starts), "m")
    return made.infer(inference, level=level).uncertainty


@pytest.mark.parametrize("kind", ["moving_block", "all"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("n1", [1, 3])
def test_p_is_brute_force(kind, order, n1):
    for seed in range(4):
        starts = spread(N, n1, START)
        y = noise(N, T, seed) + 6 * treated((N, T), starts)
        path = path_of(y, list(starts))
        sure = fitted(y, starts, Conformal(kind, order=order))
        assert sure.facts["exact"]
        assert sure.facts["draws"] == (T if kind == "moving_block" else 120)
        expected = by_hand(path, START, 0.0, kind, order)
        assert sure.p_value[0] == pytest.approx(expected, abs=1e-12)
        u = np.array(path) - np.mean(path)
        size = ((np.abs(u[START:]) ** order).sum() / np.sqrt(T - START)) ** (1 / order)
        assert sure.statistic[0] == pytest.approx(size)


@pytest.mark.parametrize("kind", ["moving_block", "all"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("start", [7, 9])
def test_interval_is_the_hull_on_a_fine_grid(kind, order, start):
    for seed in range(4):
        starts = {4: start}
        y = noise(N, T, seed) + 6 * treated((N, T), starts)
        path = path_of(y, [4])
        sure = fitted(y, starts, Conformal(kind, order=order), level=0.8)
        low, high = sure.conf_low[0], sure.conf_high[0]
        grid = np.linspace(-60, 70, 651)
        kept = np.array([by_hand(path, start, v, kind, order) > 0.2 + 1e-12 for v in grid])
        assert kept.any()
        assert -60 < low < high < 70
        step = grid[1] - grid[0]
        assert grid[kept][0] - step < low <= grid[kept][0] + 1e-9
        assert grid[kept][-1] - 1e-9 <= high < grid[kept][-1] + step
        holes = not kept[np.flatnonzero(kept)[0] : np.flatnonzero(kept)[-1] + 1].all()
        if holes:
            assert any("its hull is given" in note for note in sure.notes)


@settings(max_examples=40)
@given(
    values=st.lists(st.integers(-20, 20), min_size=9, max_size=9),
    kind=st.sampled_from(["moving_block", "all"]),
    order=st.sampled_from([1, 2]),
    part=st.sampled_from([-4.0, -0.51, 0.51, 1.0, 4.0]),
)
def test_outside_the_interval_p_is_at_most_alpha(values, kind, order, part):
    y = np.zeros((3, 9))
    y[1] = np.array(values) / 4
    sure = fitted(y, {1: 7}, Conformal(kind, order=order), level=0.8)
    low, high = sure.conf_low[0], sure.conf_high[0]
    if not np.isfinite([low, high]).all() or high - low < 1e-6:
        return
    theta = (low + high) / 2 + part * (high - low)
    p = fitted(y - theta * treated(y.shape, {1: 7}), {1: 7}, Conformal(kind, order=order))
    assert p.p_value[0] <= 0.2


@settings(max_examples=30)
@given(
    values=st.lists(st.integers(-20, 20), min_size=9, max_size=9),
    kind=st.sampled_from(["moving_block", "all"]),
    order=st.sampled_from([1, 2]),
    inside=st.sampled_from([-0.49, -0.2, 0.0, 0.3, 0.49]),
)
def test_inside_an_interval_without_holes_p_is_above_alpha(values, kind, order, inside):
    y = np.zeros((3, 9))
    y[1] = np.array(values) / 4
    sure = fitted(y, {1: 7}, Conformal(kind, order=order), level=0.8)
    low, high = sure.conf_low[0], sure.conf_high[0]
    if not np.isfinite([low, high]).all() or any("hull" in note for note in sure.notes):
        return
    theta = (low + high) / 2 + inside * (high - low)
    p = fitted(y - theta * treated(y.shape, {1: 7}), {1: 7}, Conformal(kind, order=order))
    assert p.p_value[0] > 0.2


def rank_rejections(kind: str, correlation: float, replications: int, alpha: float) -> float:
    """Share of true nulls rejected on one pilot's path of twenty periods, four treated."""
    rng = np.random.default_rng(7)
    n, start = 20, 16
    frame = frame_of(np.zeros((3, n)))[["la", "year"]]
    columns = {}
    for i in range(replications):
        e = rng.normal(size=(3, n))
        for t in range(1, n):
            e[:, t] = correlation * e[:, t - 1] + np.sqrt(1 - correlation**2) * e[:, t]
        columns[f"m{i}"] = e.ravel()
    frame = pd.concat([frame, pd.DataFrame(columns)], axis=1)
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=list(columns))
    rollout = Rollout({codes(3)[0]: FIRST + start})
    design = Design(panel, rollout, against=Pool(), selection="unknown")
    inference = Conformal(kind, draws=199)
    count = 0
    for metric in columns:
        p = DiD("complete").fit(design, metric).infer(inference, level=0.5).uncertainty.p_value[0]
        count += p <= alpha + 1e-12
    return count / replications


def test_exchangeable_errors_are_rejected_as_often_as_asked():
    """p is exact: P(p ≤ α) ≤ α, and at 1/T multiples equal to it (no ties)."""
    rng = np.random.default_rng(3)
    n, start, replications = 10, 8, 1500
    blocks, subsets = np.empty(replications), np.empty(replications)
    for i in range(replications):
        u = rng.normal(size=n)
        u -= u.mean()
        blocks[i] = by_hand(u.tolist(), start, 0.0, "moving_block", 1)
        subsets[i] = by_hand(u.tolist(), start, 0.0, "all", 1)
    for p, steps in ((blocks, n), (subsets, 45)):
        for k in (1, 2, 5):
            alpha = k * (1 if steps == n else 4) / steps
            rate = (p <= alpha + 1e-12).mean()
            assert abs(rate - alpha) < 4 * np.sqrt(alpha * (1 - alpha) / replications)


@pytest.mark.slow
def test_the_class_holds_its_size_with_exchangeable_errors():
    rate = rank_rejections("all", 0.0, 800, 0.2)
    assert abs(rate - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 800)


@pytest.mark.slow
def test_blocks_stand_correlation_better_than_single_periods():
    """AR(1) of .6, 10 % asked: 11.6 and 15.6 % in 6,000 paths drawn apart from this test."""
    n = 800
    blocks = rank_rejections("moving_block", 0.6, n, 0.1)
    alone = rank_rejections("all", 0.6, n, 0.1)
    for found, rate in ((blocks, 0.116), (alone, 0.156)):
        assert abs(found - rate) < 3 * np.sqrt(rate * (1 - rate) * (1 / n + 1 / 6000))
    assert alone > blocks


def test_drawn_choices_come_near_all_of_them():
    starts = {4: START}
    y = noise(N, T, 5) + 5 * treated((N, T), starts)
    listed = fitted(y, starts, Conformal("all"), level=0.8)
    drawn = fitted(y, starts, Conformal("all", draws=99, seed=2), level=0.8)
    assert listed.facts["exact"]
    assert not drawn.facts["exact"]
    assert drawn.facts["seed"] == 2
    assert drawn.facts["least_p"] == pytest.approx(0.01)
    assert drawn.p_value[0] * 100 == pytest.approx(round(drawn.p_value[0] * 100))
    assert abs(drawn.p_value[0] - listed.p_value[0]) < 5 * drawn.facts["mc_error"] + 0.01
    same = fitted(y, starts, Conformal("all", draws=99, seed=2), level=0.8)
    assert (same.conf_low[0], same.conf_high[0]) == (drawn.conf_low[0], drawn.conf_high[0])
    for end in (drawn.conf_low[0] - 1e-4, drawn.conf_high[0] + 1e-4):
        out = fitted(y - end * treated((N, T), starts), starts, Conformal("all", draws=99, seed=2))
        assert out.p_value[0] <= 0.2


def test_many_draws_are_inverted_quickly_and_alike():
    """Eight of twenty-four periods: 735,471 choices."""
    y = noise(6, 24, 5) + 20 * treated((6, 24), {1: 16})
    sure = fitted(y, {1: 16}, Conformal("all", draws=4999), level=0.95)
    assert sure.facts["draws"] == 4999
    low, high = sure.conf_low[0], sure.conf_high[0]
    for inside, theta in ((True, low + 1e-3), (True, high - 1e-3), (False, low - 1e-3)):
        moved = y - theta * treated(y.shape, {1: 16})
        p = fitted(moved, {1: 16}, Conformal("all", draws=4999)).p_value[0]
        assert (p > 0.05) == inside


@pytest.mark.parametrize(("n", "least"), [(10, 0.1), (19, 1 / 19)])
def test_least_p_of_blocks_is_one_in_t_and_the_interval_infinite(n, least):
    y = noise(N, n, 1) + 1e4 * treated((N, n), {4: n - 2})
    sure = fitted(y, {4: n - 2}, Conformal())
    assert sure.p_value[0] == pytest.approx(least)
    assert sure.facts["least_p"] == pytest.approx(least)
    assert (sure.conf_low[0], sure.conf_high[0]) == (-np.inf, np.inf)
    assert any(f"least p attainable is {least:.3f}, of {n} periods" in x for x in sure.notes)
    bounded = fitted(y, {4: n - 2}, Conformal(), level=0.9 if n == 10 else 0.94)
    assert 0 < bounded.conf_low[0] < 1e4 + 100


def test_with_twenty_periods_five_percent_is_attained():
    y = noise(N, 20, 1) + 1e4 * treated((N, 20), {4: 18})
    sure = fitted(y, {4: 18}, Conformal())
    assert sure.p_value[0] == pytest.approx(0.05)
    assert 9_000 < sure.conf_low[0] < sure.conf_high[0] < 11_000


def test_treated_for_half_the_time_bounds_nothing():
    y = noise(N, 20, 1) + 1e4 * treated((N, 20), {4: 8})
    sure = fitted(y, {4: 8}, Conformal())
    assert (sure.conf_low[0], sure.conf_high[0]) == (-np.inf, np.inf)
    assert any("12 of 20 periods are treated" in note for note in sure.notes)


def test_a_larger_effect_has_no_larger_p_and_the_interval_follows_it():
    y = noise(N, 20, 2)
    on = treated((N, 20), {4: 17})
    at = [fitted(y + size * on, {4: 17}, Conformal(), level=0.9) for size in (0.0, 20.0, 200.0)]
    assert at[2].p_value[0] <= at[1].p_value[0] <= at[0].p_value[0]
    for sure, size in zip(at, (0.0, 20.0, 200.0), strict=True):
        assert sure.conf_low[0] - size == pytest.approx(at[0].conf_low[0], abs=1e-6)
        assert sure.conf_high[0] - size == pytest.approx(at[0].conf_high[0], abs=1e-6)


def test_noisier_years_before_widen_the_interval():
    y = noise(N, 20, 3)
    loud = y.copy()
    loud[4, :17] += 30 * np.random.default_rng(1).normal(size=17)
    one, other = (fitted(v, {4: 17}, Conformal(), level=0.9) for v in (y, loud))
    assert other.conf_high[0] - other.conf_low[0] > 1.5 * (one.conf_high[0] - one.conf_low[0])


def test_two_opposite_years_leave_two_pieces_and_their_hull():
    """50 and −50, nothing before: near either of them only (to 62.5, by hand) it is not rejected.

    With θ ≥ 50 the treated periods have S = 1.8 θ; a shift that keeps one of them 50 + θ.
    """
    y = np.zeros((3, 20))
    y[1, 18:] = [50.0, -50.0]
    sure = fitted(y, {1: 18}, Conformal())
    assert sure.p_value[0] == pytest.approx(0.05)
    np.testing.assert_allclose([sure.conf_low[0], sure.conf_high[0]], [-62.5, 62.5])
    assert any("its hull is given" in note for note in sure.notes)


def test_treated_years_that_differ_among_themselves_leave_no_constant_effect():
    y = np.zeros((3, 20))
    y[1] = np.tile([0.01, -0.01], 10)
    y[1, 17:] = [50.0, -50.0, 0.5]
    sure = fitted(y, {1: 17}, Conformal(), level=0.9)
    assert sure.p_value[0] <= 0.1
    assert np.isnan([sure.conf_low[0], sure.conf_high[0]]).all()
    assert any("every constant effect is rejected" in note for note in sure.notes)
    path = path_of(y, [1])
    for theta in np.linspace(-200, 200, 401):
        assert by_hand(path, 17, theta, "moving_block", 1) <= 0.1 + 1e-12


def test_without_noise_one_effect_is_left():
    y = np.add.outer(np.arange(4.0), np.arange(20.0) ** 2) + 3 * treated((4, 20), {1: 18})
    sure = fitted(y, {1: 18}, Conformal())
    assert sure.p_value[0] == pytest.approx(0.05)
    np.testing.assert_allclose([sure.conf_low[0], sure.conf_high[0]], 3.0)


def test_scale_and_common_shocks_change_nothing():
    starts = {4: START, 6: START}
    y = noise(N, T, 6) + 4 * treated((N, T), starts)
    one = fitted(y, starts, Conformal("all"), level=0.9)
    shocks = 100 * np.random.default_rng(2).normal(size=T)
    levels = 50 * np.random.default_rng(3).normal(size=(N, 1))
    for factor in (-1e-6, 1.0, 1e6):
        other = fitted(factor * (y + shocks + levels), starts, Conformal("all"), level=0.9)
        assert other.p_value[0] == pytest.approx(one.p_value[0])
        ends = sorted([factor * one.conf_low[0], factor * one.conf_high[0]])
        np.testing.assert_allclose([other.conf_low[0], other.conf_high[0]], ends, rtol=1e-6)


def test_matched_sets_have_a_path_too():
    ids = codes(N)
    sets = MatchedSets({ids[2]: {ids[5]: 0.25, ids[6]: 0.75}, ids[3]: {ids[7]: 1.0}})
    y = noise(N, T, 8)
    design = design_of(y, {2: START, 3: START}, against=sets)
    sure = DiD().fit(design, "m").infer(Conformal("all")).uncertainty
    path = (y[2] - 0.25 * y[5] - 0.75 * y[6] + y[3] - y[7]) / 2
    expected = by_hand(path.tolist(), START, 0.0, "all", 1)
    assert sure.p_value[0] == pytest.approx(expected, abs=1e-12)


def test_the_change_of_a_gap_is_served_and_its_levels_are_not():
    starts = spread(N, 3, START)
    y = noise(N, T, 9)
    estimate = Gap().fit(design_of(y, starts), "m").infer(Conformal("all"))
    table = estimate.tidy().set_index("term")["p_value"]
    did = fitted(y, starts, Conformal("all")).p_value[0]
    assert table["change"] == pytest.approx(did)
    assert table.drop("change").isna().all()
    assert any("before_after has no test" in note for note in estimate.uncertainty.notes)


def test_an_event_study_and_several_starts_are_refused():
    y = noise(N, T, 10)
    with pytest.raises(InferenceError, match="of some of the periods"):
        fitted(y, {4: START}, Conformal(), estimator=EventStudy())
    with pytest.raises(InferenceError, match="found: 2 starts") as caught:
        fitted(y, {4: START, 5: 3}, Conformal())
    assert "each start on its own" in str(caught.value)


def test_gaps_are_refused_and_complete_cells_served():
    y = noise(N, T, 11)
    y[7, 2] = np.nan
    with pytest.raises(InferenceError, match=r"with gaps: 1 .322") as caught:
        fitted(y, {4: START}, Conformal())
    assert "cells='complete'" in str(caught.value)
    sure = fitted(y, {4: START}, Conformal("all"), estimator=DiD("complete"))
    path = path_of(np.delete(y, 7, axis=0), [4])
    assert sure.p_value[0] == pytest.approx(by_hand(path, START, 0.0, "all", 1), abs=1e-12)


def test_partly_treated_periods_are_no_part_of_the_path():
    y = noise(N, T, 12)
    ids = codes(N)
    rollout = Rollout({ids[4]: FIRST + 6}, first_exposed={"flow": FIRST + 7})
    flow = {"m": Metric(name="m", timing="flow")}
    panel = Panel.from_frame(frame_of(y), unit="la", period="year", metrics=flow)
    design = Design(panel, rollout, against=Pool(), selection="unknown")
    sure = DiD("complete").fit(design, "m").infer(Conformal("all")).uncertainty
    assert (sure.facts["periods_before"], sure.facts["periods_treated"]) == (6, 3)
    path = path_of(np.delete(y, 6, axis=1), [4])
    assert sure.p_value[0] == pytest.approx(by_hand(path, 6, 0.0, "all", 1), abs=1e-12)


def test_covariates_are_refused():
    frame = frame_of(noise(N, T, 13))
    frame["z"] = np.random.default_rng(1).normal(size=len(frame))
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m", "z"])
    rollout = Rollout({codes(N)[4]: FIRST + START})
    design = Design(panel, rollout, against=Pool(), selection="unknown")
    with pytest.raises(InferenceError, match=r"holds 1 .z. constant"):
        DiD(covariates=["z"]).fit(design, "m").infer(Conformal())


@pytest.mark.parametrize(
    "options",
    [{"permutations": "cyclic"}, {"order": 3}, {"order": True}, {"order": 1.5}, {"order": np.inf}],
)
def test_unknown_options_are_refused(options):
    with pytest.raises(InferenceError, match="choose one"):
        Conformal(**options)


def test_draws_are_checked():
    with pytest.raises(InferenceError, match="whole numbers"):
        Conformal(draws=5)
