"""The fixed-length interval: its worst bias, its optimum and its coverage, each by another way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from scipy.stats import foldnorm, norm

from didkit.check.fixed_length import fixed_length, folded_quantile
from didkit.check.restrictions import RelativeMagnitudes, Smoothness
from didkit.errors import InferenceError

TIMES = np.array([-5, -4, -3, -2, 0, 1, 2])
AFTER = TIMES >= 0
MEAN = AFTER / AFTER.sum()


def terms(seed: int, k: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k)) + np.eye(k)
    return rng.normal(size=k), root @ root.T / k


def interval(values, covariance, size, weights=MEAN, times=TIMES, reference=-1, level=0.95):
    return fixed_length(values, covariance, weights, times, reference, 0, size, level)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("mean", [0.0, 0.01, 0.5, 2.0, -3.0, 9.0])
def test_folded_quantile(level, mean):
    assert folded_quantile(level, mean) == pytest.approx(foldnorm.ppf(level, abs(mean)), rel=1e-9)


def test_folded_quantile_far():
    """Far off, one tail is all: z + bias."""
    assert folded_quantile(0.95, 41.0) == pytest.approx(41.0 + norm.ppf(0.95), abs=1e-12)
    assert folded_quantile(0.95, 39.9) == pytest.approx(39.9 + norm.ppf(0.95), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [0.02, 0.2, 1.0])
def test_worst_bias_by_programme_and_coverage(seed, size):
    """The largest a'δ over the restriction, and the probability to cover there."""
    made = interval(*terms(seed), size)
    (piece,) = Smoothness().pieces(TIMES, -1, 0, size)
    worst = -linprog(-made.combination, piece.A, piece.d, bounds=(None, None)).fun
    assert made.worst_bias == pytest.approx(worst, rel=1e-8)
    covered = norm.cdf((made.half_length - worst) / made.std_error) - norm.cdf(
        (-made.half_length - worst) / made.std_error
    )
    assert covered == pytest.approx(0.95, abs=1e-9)
    assert made.combination[AFTER] == pytest.approx(MEAN[AFTER])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [0.01, 0.05, 0.3])
def test_nothing_is_shorter(seed, size):
    """Minimised again, over weights before the start that undo a line, by another programme."""
    values, covariance = terms(seed)
    made = interval(values, covariance, size)
    bends = Smoothness().pieces(TIMES, -1, 0, size)[0].A[:6].T
    before = TIMES[~AFTER]

    def half(free: np.ndarray) -> float:
        early = np.r_[0.0, free]
        early[0] = -(MEAN @ (TIMES + 1) + early[1:] @ (before[1:] + 1)) / (before[0] + 1)
        a = np.r_[early, MEAN[AFTER]]
        bias = size * np.abs(np.linalg.pinv(bends) @ a).sum()  # held against a programme above
        sd = np.sqrt(a @ covariance @ a)
        return folded_quantile(0.95, bias / sd) * sd

    start = made.combination[1:4]
    found = [
        minimize(half, s, method="Nelder-Mead", options={"maxiter": 150}).fun
        for s in (start, start + 0.3)
    ]
    assert half(start) == pytest.approx(made.half_length, rel=1e-7)
    assert min(found) >= made.half_length * (1 - 1e-7)
    rng = np.random.default_rng(seed)
    for step in (1e-3, 1e-1):
        assert half(start + step * rng.normal(size=3)) >= made.half_length * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_straight_line(seed):
    """Size 0: generalised least squares of a line before and free effects after."""
    values, covariance = terms(seed)
    made = interval(values, covariance, 0.0)
    X = np.column_stack([TIMES + 1.0, np.eye(7)[:, AFTER]])
    weighted = X.T @ np.linalg.inv(covariance)
    variance = np.linalg.inv(weighted @ X)
    b = variance @ weighted @ values
    l = np.r_[0.0, MEAN[AFTER]]  # noqa: E741
    assert made.estimate == pytest.approx(l @ b, rel=1e-9)
    half = norm.ppf(0.975) * np.sqrt(l @ variance @ l)
    assert made.half_length == pytest.approx(half, rel=1e-9)
    assert interval(values, covariance, 1e-9).half_length == pytest.approx(half, rel=1e-6)


@pytest.mark.parametrize("size", [0.0, 0.1])
def test_equivariance(size):
    values, covariance = terms(3)
    made = interval(values, covariance, size)
    moved = interval(values + 2.0 * AFTER, covariance, size)
    assert (moved.low, moved.high) == pytest.approx((made.low + 2, made.high + 2))
    tilted = interval(values + 0.7 * (TIMES + 1), covariance, size)  # a line changes nothing
    assert (tilted.low, tilted.high) == pytest.approx((made.low, made.high))
    scaled = interval(-3 * values, 9 * covariance, 3 * size)
    assert (scaled.low, scaled.high) == pytest.approx((-3 * made.high, -3 * made.low))
    # another period as the reference: the same path, less another constant
    R = np.eye(7)
    R[:, 3] = -1.0  # less the term at −2
    times = np.array([-5, -4, -3, -1, 0, 1, 2])
    R[3] = 0.0
    R[3, 3] = -1.0  # period −1, now a term
    other = interval(R @ values, R @ covariance @ R.T, size, times=times, reference=-2)
    assert (other.low, other.high) == pytest.approx((made.low, made.high))


def test_longer_in_size_and_level():
    values, covariance = terms(1)
    lengths = [interval(values, covariance, size).half_length for size in (0, 0.01, 0.1, 1, 10)]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]
    levels = [interval(values, covariance, 0.1, level=p).half_length for p in (0.8, 0.9, 0.99)]
    assert levels == sorted(levels)


def test_one_period_before():
    """The line through the term and the reference, taken on: weights 1, 2, … on the term."""
    times = np.array([-2, 0, 1])
    made = fixed_length(
        np.array([0.5, 1.0, 2.0]), np.eye(3), np.array([0, 0, 1.0]), times, -1, 0, 0.1, 0.95
    )
    assert made.combination == pytest.approx([2.0, 0.0, 1.0])
    assert made.worst_bias == pytest.approx(0.1 * (1 + 2))


def test_refused():
    values, covariance = terms(1)
    arguments = (values, covariance, MEAN, TIMES, -1, 0, 0.1, 0.95)
    for restriction in (
        RelativeMagnitudes(),
        Smoothness(direction="positive"),
        Smoothness(monotone="increasing"),
    ):
        with pytest.raises(InferenceError, match="plain smoothness") as raised:
            fixed_length(*arguments, restriction)
        raised.match("choose method='hybrid'")
    with pytest.raises(InferenceError, match="known without error"):
        interval(values, np.ones((7, 7)), 0.1)
    with pytest.raises(InferenceError, match="a size of 0 or more"):
        interval(values, covariance, -0.1)
    with pytest.raises(InferenceError, match="a level between"):
        interval(values, covariance, 0.1, level=95)
    with pytest.raises(InferenceError, match="weights that are 0 before event time 0"):
        interval(values, covariance, 0.1, weights=np.ones(7))
    with pytest.raises(InferenceError, match="weights that are 0 before event time 0"):
        interval(values, covariance, 0.1, weights=np.zeros(7))
    with pytest.raises(InferenceError, match="finite values"):
        interval(values * np.nan, covariance, 0.1)
    with pytest.raises(InferenceError, match="7 values and weights"):
        interval(values[:6], covariance, 0.1)


def test_an_estimator_without_error_is_refused():
    root = np.array([1.0, 0.4, 2.0, 3.0])  # one source of noise: some combination has none of it
    with pytest.raises(InferenceError, match="the estimator has an error") as caught:
        fixed_length(
            np.array([0.2, 0.1, 1.0, 2.0]), np.outer(root, root), np.array([0.0, 0.0, 0.5, 0.5]),
            [-3, -2, 0, 1], -1, 0, 0.0, 0.95,
        )  # fmt: skip
    assert "rounding" in caught.value.found
