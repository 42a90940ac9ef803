"""The solver of weights: the conditions of Karush, Kuhn and Tucker, and another solver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from didkit.estimate import simplex as room
from didkit.estimate.simplex import simplex


def problem(seed: int, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw a problem, and the rows that its weights are judged by."""
    rng = np.random.default_rng(seed)
    rows, n = rng.integers(2, 40), rng.integers(1, 30)
    gap = rng.normal(size=(rows, n)) + rng.normal() * 3
    return gap, gap - gap.mean(axis=0) if intercept else gap


@given(
    seed=st.integers(0, 10_000),
    ridge=st.sampled_from([0.0, 1e-12, 1e-4, 1.0, 100.0]),
    intercept=st.booleans(),
)
def test_the_optimum(seed, ridge, intercept):
    """A convex problem: slopes alike where there is weight, none lower where there is not."""
    gap, used = problem(seed, intercept)
    weights = simplex(gap, ridge, intercept=intercept)
    slope = used.T @ (used @ weights) / len(used) + ridge * weights
    level = weights @ slope
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    scale = (used**2).mean() + ridge
    assert (slope - level).min() >= -1e-9 * scale
    assert np.abs((slope - level)[weights > 0]).max() <= 1e-9 * scale


@pytest.mark.parametrize("seed", range(6))
def test_beside_a_solver_for_any_smooth_function(seed):
    from scipy.optimize import minimize

    gap, used = problem(seed + 100, False)
    n = gap.shape[1]

    def objective(w):
        return ((used @ w) ** 2).mean() + 0.3 * (w @ w)

    theirs = minimize(
        objective,
        np.full(n, 1 / n),
        method="SLSQP",
        bounds=[(0, None)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    made = simplex(gap, 0.3)
    assert objective(made) <= theirs.fun * (1 + 1e-10)
    np.testing.assert_allclose(made, theirs.x, atol=1e-4)


def test_blocks_and_one_at_a_time_end_at_the_same_place():
    for seed in range(40):
        gap, used = problem(seed, True)
        gram = used.T @ used / len(used) + 0.05 * np.eye(gap.shape[1])
        floor = room.TOLERANCE * gram.diagonal().max()
        np.testing.assert_allclose(
            room._one_by_one(gram, floor), room._exchange(gram), rtol=0, atol=1e-10
        )


def test_where_blocks_cycle_one_at_a_time_takes_over(monkeypatch):
    gap, _ = problem(7, False)
    usual = simplex(gap, 0.5)
    monkeypatch.setattr(room, "_ROUNDS", 0)
    np.testing.assert_allclose(simplex(gap, 0.5), usual, atol=1e-12)


def test_known_answers():
    np.testing.assert_allclose(simplex(np.array([[-1.0, 3.0]]), 0.0), [0.75, 0.25])
    np.testing.assert_allclose(simplex(np.array([[2.0], [1.0]])), [1.0])
    np.testing.assert_allclose(simplex(np.full((3, 4), 5.0), intercept=True), 0.25)
    # by hand: gaps 1 and 2, ridge r: w1 = (4 − 2 + r) / (1 + 4 − 4 + 2 r), at most 1
    np.testing.assert_allclose(simplex(np.array([[1.0, 2.0]]), 4.0), [6 / 9, 3 / 9])
    np.testing.assert_allclose(simplex(np.array([[1.0, 2.0]]), 0.5), [1.0, 0.0])
