"""The sweep: every value at once, against the same question asked value by value."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from didkit.linear.sweep import Compared, Steps, hull, power_of_two


def random_draws(seed, n=60, *, flat=False):
    """Give variances that are quadratics without a negative value, as all are."""
    rng = np.random.default_rng(seed)
    p, q = rng.normal(size=(2, n, 4)) * (0 if flat else 1)
    p += rng.normal(size=(n, 1))
    e0, e1, e2 = (p**2).sum(1), 2 * (p * q).sum(1), (q**2).sum(1)
    return Compared(3 * rng.normal(size=n), rng.normal(size=n), e0, e1, e2, 0.7)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    side=st.sampled_from(["two", "above", "below"]),
    strict=st.booleans(),
    flat=st.booleans(),
)
def test_counts_are_those_asked_one_by_one(seed, side, strict, flat):
    """At places near and far, and on both sides of every break."""
    draws = random_draws(seed, flat=flat)
    steps = draws.sweep(side=side, strict=strict)
    assert (np.diff(steps.breaks) >= 0).all()
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(size=40) * 10.0 ** rng.uniform(-3, 6, 40), [-1e8, 1e8]])
    gaps = np.diff(steps.breaks) > 1e-6 * (1 + np.abs(steps.breaks[1:]))
    x = np.concatenate([x, ((steps.breaks[1:] + steps.breaks[:-1]) / 2)[gaps]])
    # not within rounding of a break
    near = np.abs(x[:, None] - steps.breaks).min(axis=1, initial=np.inf) < 1e-9 * (1 + np.abs(x))
    asked = [draws.count(float(value), side=side, strict=strict) for value in x[~near]]
    assert steps.at(x[~near]).tolist() == asked


def test_roots_are_those_of_the_companion_matrix():
    draws = random_draws(5, n=200)
    tied = 1 - 1e-9
    expected = []
    for n0, n1, e0, e1, e2 in zip(draws.n0, draws.n1, draws.e0, draws.e1, draws.e2, strict=True):
        top = np.polymul([n1, n0], [n1, n0]) * draws.v
        found = np.roots(np.polysub(top, np.polymul([tied, 0, 0], [e2, e1, e0])))
        expected += found.real[np.abs(found.imag) < 1e-9].tolist()
    assert len(expected) >= 400
    assert_allclose(draws.sweep().breaks, np.sort(expected), rtol=1e-7)


def test_a_draw_that_is_the_data_counts_everywhere():
    zero = np.zeros(1)
    same = Compared(zero, zero + 1, zero + 0.7, zero, zero, 0.7)
    for sign in (1, -1):
        for side, counts in (("two", [1]), ("above", [1] if sign > 0 else [1, 0])):
            steps = Compared(zero, zero + sign, zero + 0.7, zero, zero, 0.7).sweep(side=side)
            assert steps.counts.tolist() == counts
    assert same.sweep(strict=True).counts.tolist() == [0]


def test_no_draw_without_variance_is_lost():
    """Variance (x − 2)²: at 2 it is nothing, so the draw is extreme around 2 and around 0."""
    one = np.ones(1)
    draw = Compared(one, 0 * one, 4 * one, -4 * one, one, 1.0)
    # 1 = x² (x − 2)²: x = 1 twice, 1 ± √2; ties widen x = 1
    steps = draw.sweep()
    assert_allclose(steps.breaks, [1 - np.sqrt(2), 1 + np.sqrt(2)], atol=1e-8)
    assert steps.counts.tolist() == [0, 1, 0]


def test_hull():
    rejected = np.zeros(4, dtype=bool)
    breaks = np.array([-2.0, 1.0, 5.0])
    assert np.isnan(hull(breaks, rejected)[:2]).all()
    assert hull(breaks, np.array([0, 1, 0, 0], dtype=bool)) == (-2, 1, True)
    assert hull(breaks, np.array([1, 0, 1, 0], dtype=bool)) == (-np.inf, 5, False)
    # a hole, and a piece, where two draws change places by rounding
    breaks = np.array([-2.0, 1.0, 1.0 + 1e-12, 5.0])
    assert hull(breaks, np.array([0, 1, 0, 1, 0], dtype=bool)) == (-2, 5, True)
    assert np.isnan(hull(breaks, np.array([0, 0, 1, 0, 0], dtype=bool))[0])
    assert hull(np.zeros(0), np.array([True])) == (-np.inf, np.inf, True)


def test_steps():
    steps = Steps(np.array([0.0, 1.0]), np.array([5, 6, 7]))
    assert steps.at(np.array([-np.inf, -1.0, 0.0, 0.5, 1.0])).tolist() == [5, 5, 6, 6, 7]


@pytest.mark.parametrize("size", [1e-300, 1e-150, 0.3, 1.0, 1e150, 1e300])
def test_powers_of_two(size):
    found = power_of_two(size)
    assert 0.7 < size / found < 1.5
    assert np.frexp(found)[0] == 0.5


def test_memory_is_bounded():
    draws = random_draws(1, n=99_999)
    tracemalloc.start()
    steps = draws.sweep()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(steps.breaks) > 99_999
    assert peak < 40e6
