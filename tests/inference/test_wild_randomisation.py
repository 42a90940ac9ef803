"""Wild bootstrap randomisation inference: by hand, against a permutation, and its size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import design_of, noise, spread, treated
from numpy.testing import assert_allclose

from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy
from didkit.inference import Permutation, WildRandomisation
from didkit.inference.wild_randomisation import randomised
from didkit.linear import Signs


def every(n, n1):
    made = np.zeros((0, n), dtype=bool)
    for chosen in itertools.combinations(range(n), n1):
        row = np.zeros((1, n), dtype=bool)
        row[0, list(chosen)] = True
        made = np.concatenate([made, row])
    return made


def t_of(numbers, pilot):
    """The difference of means over the CR1 standard error of its regression."""
    arms, n = (numbers[pilot], numbers[~pilot]), len(numbers)
    squares = sum(((arm - arm.mean()) ** 2).sum() / len(arm) ** 2 for arm in arms)
    return arms[0].mean() - arms[1].mean(), np.sqrt(n / (n - 1) * squares)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("studentised", [True, False])
@pytest.mark.parametrize("theta", [0.0, 1.3])
def test_every_draw_by_hand(listed, studentised, theta):
    rng = np.random.default_rng(3)
    numbers, pilot = rng.normal(size=9), np.isin(np.arange(9), [2, 5])
    placebo = every(9, 2) if listed else every(9, 2)[rng.integers(0, 36, 50)]
    made = randomised(
        numbers,
        pilot,
        placebo,
        listed=listed,
        studentised=studentised,
        draws=100,
        seed=5,
    )
    null = numbers - theta * pilot
    rest = null - null.mean()
    found = []
    signs = next(Signs(9, draws=3 if listed else 50, seed=5).chunks(50))
    pairs = itertools.product(signs, placebo) if listed else zip(signs, placebo, strict=True)
    for v, others in pairs:
        b, error = t_of(v * rest, others)
        found.append(b / (error if studentised else 1.0))
    own = t_of(null, pilot)
    unit = 1.0 if studentised else np.sqrt(made.variance)
    assert_allclose(made.statistics(theta) * unit, found, rtol=1e-8)
    assert_allclose(made.estimate, own[0] + theta)
    mine = own[0] / (own[1] if studentised else 1.0)
    count = np.sum(np.abs(found) >= abs(mine) * (1 - 1e-9))
    assert made.p_value(theta) == (1 + count) / (1 + len(found))


def test_all_pairs_of_two_against_two():
    rng = np.random.default_rng(1)
    numbers, pilot = rng.normal(size=4), np.array([True, False, True, False])
    made = randomised(numbers, pilot, every(4, 2), listed=True, studentised=True, draws=999, seed=0)
    assert made.exact
    assert len(made.n0) == 6 * 16
    assert made.p_value() >= made.least_p == 2 / 96


def test_ties_of_a_permutation_are_broken():
    """One pilot of twenty: a permutation moves in twentieths."""
    made = DiD().fit(design_of(noise(20, 6, 2), {7: 3}), "m")
    ranks = made.infer(Permutation("beta")).uncertainty
    wild = made.infer(WildRandomisation("beta", draws=4000)).uncertainty
    assert ranks.facts["least_p"] == 1 / 20
    assert wild.facts["least_p"] == 1 / 4001
    assert wild.facts["draws"] == 4000
    assert abs(wild.p_value[0] - ranks.p_value[0]) < 0.1
    assert "20 assignments" in wild.method
    t = made.infer(WildRandomisation("t", draws=4000)).uncertainty
    assert t.p_value[0] == wild.p_value[0]
    assert any("ranked by the estimate" in n for n in t.notes)
    assert_allclose(t.statistic, made.values)
    assert_allclose(
        np.abs(t.null[:, 0]) >= abs(made.values[0]), np.abs(wild.null[:, 0]) >= abs(made.values[0])
    )


@pytest.mark.parametrize("inference", [WildRandomisation(draws=499), WildRandomisation("beta")])
@pytest.mark.parametrize("n1", [1, 2, 5])
def test_interval_inverts_the_test(inference, n1):
    starts, y = spread(16, n1, 3) if n1 > 1 else {6: 3}, noise(16, 6, 4)
    sure = DiD().fit(design_of(y, starts), "m").infer(inference, level=0.9).uncertainty
    low, high = sure.conf_low[0], sure.conf_high[0]
    assert np.isfinite([low, high]).all()
    for end, out in ((low, -1), (high, 1)):
        for step in (-1e-4, 1e-4):
            shifted = y - (end + out * step * (high - low)) * treated(y.shape, starts)
            p = DiD().fit(design_of(shifted, starts), "m").infer(inference).uncertainty.p_value[0]
            assert (p <= 0.1) == (step > 0)


def test_scale_direction_and_seed():
    y, starts = noise(20, 6, 9), spread(20, 4, 3)
    inference = WildRandomisation(draws=499, seed=3)
    one, other = (
        DiD().fit(design_of(k * y, starts), "m").infer(inference).uncertainty for k in (1, -2)
    )
    assert other.p_value[0] == one.p_value[0]
    assert_allclose(other.conf_low, -2 * one.conf_high, rtol=1e-6)
    again = DiD().fit(design_of(y, starts), "m").infer(WildRandomisation(draws=499, seed=4))
    assert (again.uncertainty.null != one.null).any()
    moved = y + 60 * treated(y.shape, starts)
    far = DiD().fit(design_of(moved, starts), "m").infer(inference).uncertainty
    assert far.p_value[0] < 0.02
    assert_allclose([far.conf_low, far.conf_high], [one.conf_low + 60, one.conf_high + 60])


@pytest.mark.parametrize("inference", [WildRandomisation(draws=499), WildRandomisation("beta")])
@pytest.mark.parametrize("factor", [2.0**-490, 1e-150, 1e150])
def test_units_do_not_matter(inference, factor):
    """Squares of such outcomes are no numbers: p was 1 without a word."""
    y, starts = noise(12, 6, 8) - 300, spread(12, 4, 3)
    one, other = (
        DiD().fit(design_of(k * y, starts), "m").infer(inference).uncertainty for k in (1, factor)
    )
    assert 0.1 < one.p_value[0] < 0.9
    assert other.p_value[0] == one.p_value[0]
    found = np.array([other.conf_low[0], other.conf_high[0]]) / factor
    assert_allclose(found, [one.conf_low[0], one.conf_high[0]], rtol=1e-7)


@pytest.mark.parametrize("studentised", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_p_and_interval_agree_far_out(studentised, listed):
    rng = np.random.default_rng(3)
    pilot = np.isin(np.arange(9), [2, 5])
    placebo = every(9, 2) if listed else every(9, 2)[rng.integers(0, 36, 400)]
    for seed in range(4):
        made = randomised(
            rng.normal(size=9),
            pilot,
            placebo,
            listed=listed,
            studentised=studentised,
            draws=400,
            seed=seed,
        )
        error = np.sqrt(made.variance)
        for level in (0.5, 0.8, 0.95, 0.99):
            found = made.interval(level)
            ends = [end for end in (found.low, found.high) if np.isfinite(end)]
            near = [end + side * 1e-8 * error for end in ends for side in (-1, 1)]
            far = error * rng.normal(size=30) * 10 ** rng.uniform(-1, 4, 30)
            for r in [*near, *(made.estimate + far)]:
                accepted = made.p_value(r) > round(1 - level, 12)
                inside = found.low <= r <= found.high
                assert accepted <= inside
                if found.whole:
                    assert accepted == inside


def test_several_terms_have_a_band():
    made = EventStudy().fit(design_of(noise(20, 6, 1), spread(20, 6, 3)), "m")
    sure = made.infer(WildRandomisation(draws=499)).uncertainty
    assert np.isfinite(sure.p_value).all()
    assert (sure.band_low <= sure.conf_low).all()
    assert (sure.band_high >= sure.conf_high).all()
    assert (sure.band_high > sure.conf_high).any()


def test_refusals():
    y = noise(16, 6, 1)
    staggered = DiD("complete").fit(design_of(y, {1: 2, 4: 3, 8: 3}), "m")
    with pytest.raises(InferenceError, match=r"2 starts[\s\S]*Permutation"):
        staggered.infer(WildRandomisation())
    gaps = y.copy()
    gaps[1, 5] = gaps[9, 0] = np.nan
    with pytest.raises(InferenceError, match="one number a unit"):
        DiD().fit(design_of(gaps, {1: 3, 4: 3}), "m").infer(WildRandomisation())
    for options, text in (
        ({"statistic": "z"}, "'t' or"),
        ({"draws": 3}, "at least 19"),
        ({"seed": 1.5}, "whole numbers"),
    ):
        with pytest.raises(InferenceError, match=text):
            WildRandomisation(**options)


def rejections(n1, n0, scale, seeds):
    """Shares of t, beta and the permutation of beta at 5 %; the pilots' noise times `scale`."""
    pilot, placebo = np.arange(n1 + n0) < n1, every(n1 + n0, n1)
    rng, found = np.random.default_rng(1), []
    for _ in range(seeds):
        numbers = rng.normal(size=n1 + n0)
        numbers[:n1] *= scale
        made = [
            randomised(
                numbers, pilot, placebo, listed=True, studentised=s, draws=999, seed=0
            ).p_value()
            for s in (True, False)
        ]
        b = np.abs(np.where(placebo, 1 / n1, -1 / n0) @ numbers)
        own = abs(numbers[:n1].mean() - numbers[n1:].mean())
        found.append([*made, np.mean(b >= own * (1 - 1e-9))])
    return np.mean(np.array(found) <= 0.05, axis=0)


SIZES = [
    (1, 13, 1.0, None, 0.052, 0.0),
    (1, 19, 1.0, None, 0.050, 0.042),
    (1, 19, 0.5, None, 0.003, 0.003),
    (1, 19, 2.0, None, 0.314, 0.288),
    (2, 18, 1.0, 0.046, 0.053, 0.044),
    (2, 18, 0.5, 0.014, 0.003, 0.002),
    (2, 18, 2.0, 0.128, 0.251, 0.230),
    (3, 17, 1.0, 0.050, 0.054, 0.050),
    (3, 17, 2.0, 0.098, 0.223, 0.213),
]


def hold(found, said, seeds):
    for share, expected in zip(found, said, strict=True):
        if expected is not None:
            error = np.sqrt(max(expected, 0.005) * (1 - expected) * (1 / seeds + 1 / 2000))
            assert abs(share - expected) < 3.5 * error


@pytest.mark.parametrize(("n1", "n0", "scale", "t", "beta", "rank"), SIZES[:2] + SIZES[4:5])
def test_size(n1, n0, scale, t, beta, rank):
    hold(rejections(n1, n0, scale, 300), (t, beta, rank), 300)


@pytest.mark.slow
@pytest.mark.parametrize(("n1", "n0", "scale", "t", "beta", "rank"), SIZES)
def test_size_as_documented(n1, n0, scale, t, beta, rank):
    hold(rejections(n1, n0, scale, 2000), (t, beta, rank), 2000)
