"""The bound of p: never below the largest p of any completion."""

from __future__ import annotations

import numpy as np
import pytest
from check.hidden_cells import ONE, SEVERAL, N, completed, counts, every, hiding, on
from helpers import codes, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import didkit as dk
from didkit.check.bounds_moves import two_way_moves
from didkit.check.bounds_p import _never, _of_cells, _with


def largest(design, y, cells, ranges, estimator, inference):
    return max(
        fitted["p_value"]
        for _, made in every(design, y, cells, ranges)
        for estimate in [estimator.fit(made, "m").infer(inference)]
        for fitted in [estimate[estimate.main_term]]
    )


@settings(max_examples=5)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["t", "beta"]),
    st.sampled_from(["observed", "complete"]),
    st.sampled_from([9999, 19]),
)
def test_the_bound_of_p_is_never_below_the_largest(seed, statistic, cells_used, draws):
    """One number a unit: every completion is looked at, and the bound holds all of them."""
    rng = np.random.default_rng(seed)
    y = counts(seed, 6, 3)
    cells = [divmod(int(i), 3) for i in rng.choice(18, size=3, replace=False)]
    ranges = [(1, 3), (2, 4), (1, 2)]
    design = hiding(y, dict(zip(cells, ranges, strict=True)), {1: 1, 4: 1})
    estimator = dk.DiD(cells_used)
    inference = dk.Permutation(statistic, draws=draws)
    full = estimator.fit(completed(design, y, cells, [2, 3, 2]), "m")
    found = on(full, design).infer(inference).check(dk.Bounds(rounded=False))
    truth = largest(design, y, cells, ranges, estimator, inference)
    assert found.facts["p_found"] == pytest.approx(truth)
    assert found.facts["p_upper_bound"] >= truth - 1e-12
    assert any("every completion in whole numbers" in note for note in found.notes)


@settings(max_examples=4)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["t", "beta"]),
    st.sampled_from([dk.DiD(), dk.EventStudy()]),
)
def test_the_bound_of_p_with_several_starts(seed, statistic, estimator):
    """Not one number a unit: followed by projection, or with cells moved one at a time."""
    y = counts(seed, 6, 4)
    cells, ranges = [(1, 0), (4, 3), (5, 2)], [(1, 3), (1, 3), (2, 4)]
    starts = {1: 2, 4: 1}
    design = hiding(y, dict(zip(cells, ranges, strict=True)), starts)
    inference = dk.Permutation(statistic)
    found = estimator.fit(design, "m").infer(inference).check(dk.Bounds())
    truth = largest(design, y, cells, ranges, estimator, inference)
    assert found.facts["p_found"] <= truth + 1e-12
    assert found.facts["p_upper_bound"] >= truth - 1e-12


@pytest.mark.parametrize("starts", [ONE, SEVERAL], ids=["one start", "several starts"])
def test_cells_followed_by_projection_are_cells_moved_one_at_a_time(starts):
    y = counts(15)
    empty = {(5, 2): "not available", (6, 0): "not available"}
    middle = dk.DiD().fit(hiding(y, {}, starts, empty=empty), "m")
    again = dk.Permutation(draws=30).redrawn(middle)
    half = np.where(middle.sample.mask, 0.05, 0.0)
    half[1, 0], half[4, 1] = 2.0, 3.0
    quick = two_way_moves(middle, again, half, studentised=True)
    lower, upper = middle.sample.y - half, middle.sample.y + half
    slow = _of_cells(middle, (middle, middle), again, lower, upper, 0, studentised=True)
    np.testing.assert_allclose(quick.own, slow.own, atol=1e-12)
    np.testing.assert_allclose(quick.theirs, slow.theirs, atol=1e-12)
    np.testing.assert_allclose(quick.radius, slow.radius)
    # two wide cells by themselves, the rest together: never less than a random change makes
    rng = np.random.default_rng(0)
    for _ in range(8):
        change = rng.choice([-1.0, 1.0], size=half.shape) * half
        moved = again.at(_with(middle, np.where(middle.sample.mask, change, np.nan)))
        assert (np.sqrt(moved.drawn.v0[:, 0]) <= quick.blur + 1e-12).all()
        assert np.sqrt(moved.actual.v0[0, 0]) <= quick.own_blur + 1e-12


def test_the_bound_of_p_for_matched_sets():
    y = counts(3)
    ids = codes(N)
    sets = dk.MatchedSets(
        {ids[1]: {ids[0]: 0.5, ids[2]: 0.5}, ids[4]: {ids[3]: 0.5, ids[5]: 0.5},
         ids[6]: {ids[7]: 1.0}}
    )  # fmt: skip
    cells, ranges = [(1, 0), (3, 3)], [(1, 5), (1, 5)]
    design = hiding(y, dict(zip(cells, ranges, strict=True)), ONE, against=sets)
    inference = dk.Permutation("beta")
    fitted = dk.DiD("complete").fit(completed(design, y, cells, (3, 3)), "m")
    found = on(fitted, design).infer(inference).check(dk.Bounds())
    truth = largest(design, y, cells, ranges, dk.DiD("complete"), inference)
    assert truth - 1e-12 <= found.facts["p_upper_bound"] <= 1
    studentised = on(fitted, design).infer(dk.Permutation("t")).check(dk.Bounds())
    assert np.isnan(studentised.facts["p_upper_bound"])
    assert any("spread between matched sets" in note for note in studentised.notes)


def test_one_interval_alone_is_the_exact_worst_case():
    """One hidden cell and the estimate as statistic: each assignment against a fine grid."""
    y = counts(12, 7, 3)
    design = hiding(y, {(1, 2): (0, 40)}, {1: 1, 4: 1})
    inference = dk.Permutation("beta")
    found = dk.DiD().fit(design, "m").infer(inference).check(dk.Bounds())
    again = inference.redrawn(dk.DiD().fit(completed(design, y, [(1, 2)], [0]), "m"))
    other = again.at(dk.DiD().fit(completed(design, y, [(1, 2)], [40]), "m"))
    part = np.linspace(0, 1, 4001)  # linear between the two ends
    b = np.outer(1 - part, again.drawn.b[:, 0]) + np.outer(part, other.drawn.b[:, 0])
    own = (1 - part) * again.actual.b[0, 0] + part * other.actual.b[0, 0]
    counted = (np.abs(b) >= np.abs(own)[:, None] * (1 - 1e-9)).any(axis=0)
    assert found.facts["p_upper_bound"] >= counted.mean() - 1e-12
    # the grid misses an assignment only if its interval lies between two of its points
    assert found.facts["p_upper_bound"] <= counted.mean() + 1 / len(counted) + 1e-12


def test_an_assignment_is_settled_exactly():
    """Whether some change δ gives v ≥ |u|: the same as a linear programme says."""
    rng = np.random.default_rng(0)
    n, k = 150, 4
    v, u = rng.normal(-2, 1, n), rng.normal(0, 1, n)
    a_v, a_u = rng.normal(size=(2, n, k))
    radius = rng.uniform(0.2, 1, size=(n, k))
    can = []
    for i in range(n):
        up, down = (a_v[i] - a_u[i]) * radius[i], (a_v[i] + a_u[i]) * radius[i]
        fits = optimize.linprog(
            np.zeros(k), A_ub=-np.stack([up, down]), b_ub=[v[i] - u[i], v[i] + u[i]],
            bounds=(-1, 1),
        )  # fmt: skip
        can.append(fits.status == 0)
    assert 20 < sum(can) < 130
    assert (~_never(v, u, a_v, a_u, radius)).tolist() == can
    ends_only = np.min(
        [v + m * u + (radius * np.abs(a_v + m * a_u)).sum(axis=1) for m in (-1, 1)], 0
    )
    assert (ends_only >= 0).sum() > sum(can)  # and between the ends of μ there is more to see


def test_a_permutation_that_moves_with_the_cells_has_no_bound():
    y = noise(24, 4, 3, scale=30)
    metric = dk.Metric(name="m", kind="value")
    design = hiding(y, {(5, 2): (280, 300)}, {1: 2, 4: 2}, metric=metric)
    by = dk.Permutation(caliper={"m": 2.0})
    found = dk.DiD().fit(design, "m").infer(by).check(dk.Bounds())
    assert np.isnan(found.facts["p_upper_bound"])
    assert any("caliper of the permutation moves" in note for note in found.notes)
