"""Sign flips: brute force in plain Python, least p, interval, bands, joint test, size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import codes, design_of, noise, treated
from hypothesis import given, settings
from hypothesis import strategies as st

import didkit as dk
from didkit.design import MatchedSets
from didkit.errors import InferenceError
from didkit.inference import SignFlips
from didkit.inference.sign_flips import _Test

START = 2


def paired(n: int, y: np.ndarray, **options):
    """Pilots are the first n rows, each with one or two rows of its own."""
    ids = codes(len(y))
    size = (len(y) - n) // n
    weights = {ids[k]: {ids[n + size * k + i]: 1 / size for i in range(size)} for k in range(n)}
    return design_of(y, dict.fromkeys(range(n), START), against=MatchedSets(weights), **options)


def differences(n: int, w: np.ndarray) -> np.ndarray:
    size = (len(w) - n) // n
    return w[:n] - w[n:].reshape(n, size).mean(axis=1)


def changes(y: np.ndarray) -> np.ndarray:
    return y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)


def by_hand(d: list[float], statistic) -> float:
    """p by all sign vectors; ties (within rounding) count."""
    own = statistic(d)
    every = [
        statistic([s * x for s, x in zip(signs, d, strict=True)])
        for signs in itertools.product((1, -1), repeat=len(d))
    ]
    return sum(one >= own * (1 - 1e-9) for one in every) / len(every)


def mean(d: list[float]) -> float:
    return abs(sum(d) / len(d))


def t(d: list[float]) -> float:
    centre = sum(d) / len(d)
    return abs(centre) / (sum((x - centre) ** 2 for x in d) / (len(d) - 1) / len(d)) ** 0.5


def fitted(y: np.ndarray, n: int):
    return dk.DiD().fit(paired(n, y), "m")


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("size", [1, 2])
def test_p_is_that_of_all_sign_vectors_in_plain_python(n: int, size: int) -> None:
    y = noise(n * (1 + size), 4, n)
    y[:n, START:] += 4
    made = fitted(y, n).infer(SignFlips())
    d = differences(n, changes(y)).tolist()
    assert made["att"]["estimate"] == pytest.approx(sum(d) / n, rel=1e-9)
    assert made["att"]["p_value"] == by_hand(d, mean)
    assert made["att"]["p_value"] == by_hand(d, t)
    facts = made.attached.facts
    assert (facts["draws"], facts["exact"], facts["seed"]) == (2**n, True, None)
    assert facts["least_p"] == 2 / 2**n
    assert len(made.attached.null) == 2**n
    assert np.isnan(made["att"]["std_error"])


@given(d=st.lists(st.integers(-6, 6), min_size=2, max_size=7))
def test_studentising_orders_the_flips_alike_and_ties_count(d: list[int]) -> None:
    """Flips leave the sum of squares as it is, so t rises with the mean alone."""
    values = np.array(d, dtype=float)
    n = len(d)
    flips = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.int8)
    ours = _Test(values, np.arange(n), flips, exact=True).p(0.0)
    assert ours == by_hand([float(x) for x in d], mean)
    if np.ptp(np.abs(values)) > 0:  # otherwise some flip has no spread to divide by
        assert ours == by_hand([float(x) for x in d], t)


@settings(max_examples=60)
@given(
    d=st.lists(st.integers(-40, 40), min_size=2, max_size=8),
    level=st.sampled_from([0.5, 0.75, 0.8, 0.9, 0.95]),
    exact=st.booleans(),
)
def test_the_interval_is_exactly_where_p_exceeds_alpha(d, level, exact) -> None:
    values, n = np.array(d, dtype=float) / 8, len(d)
    flips = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.int8)
    if not exact:
        flips = np.random.default_rng(n).integers(0, 2, size=(99, n), dtype=np.int8)
    test, alpha = _Test(values, np.arange(n), flips, exact), round(1 - level, 12)
    low, high = test.interval(alpha)
    assert low <= values.mean() <= high
    for end, side in ((low, -1), (high, 1)):
        if np.isfinite(end):
            assert test.p(end + side * 1e-4) <= alpha
            assert test.p(end) > alpha
            if abs(end - values.mean()) > 1e-3:
                assert test.p(end - side * 1e-4) > alpha
        else:
            assert test.p(values.mean() + side * 1e6) > alpha
    if exact:  # p of an effect is p of no effect after it is taken off
        for theta in (-1.3, 0.0, 0.77):
            assert test.p(theta) == by_hand((values - theta).tolist(), mean)


@pytest.mark.parametrize("n", [2, 5, 6])
def test_five_sets_cannot_reject_at_five_percent_and_six_can(n: int) -> None:
    y = noise(2 * n, 4, 1)
    y[:n, START:] += 300
    made = fitted(y, n).infer(SignFlips())
    row = made["att"]
    assert row["p_value"] == 2 / 2**n
    said = any("the least p attainable" in note for note in made.attached.notes)
    assert said == (n < 6)
    assert (row["conf_low"] == -np.inf and row["conf_high"] == np.inf) == (n < 6)
    if n == 6:
        assert 0 < row["conf_low"] < 300 < row["conf_high"]
    if n == 5:  # at a level that five sets attain
        assert fitted(y, n).infer(SignFlips(), level=1 - 2 / 32)["att"]["conf_low"] > 0


def test_at_the_least_p_the_ends_are_the_extreme_differences() -> None:
    """Only all signs alike reject: up to the smallest difference."""
    y = noise(12, 4, 3)
    row = fitted(y, 6).infer(SignFlips(), level=1 - 2 / 64)["att"]
    d = differences(6, changes(y))
    assert row["conf_low"] == pytest.approx(d.min(), rel=1e-9)
    assert row["conf_high"] == pytest.approx(d.max(), rel=1e-9)


@pytest.mark.parametrize("effect", [-60.0, 0.0, 60.0])
@pytest.mark.parametrize("method", [SignFlips(), SignFlips(draws=199, seed=4)])
def test_direction_scale_and_agreement_through_designs(effect, method) -> None:
    n, y = 9, noise(18, 4, 3)
    on = treated(y.shape, dict.fromkeys(range(n), START))
    row = fitted(y + effect * on, n).infer(method)["att"]
    assert row["conf_low"] < effect < row["conf_high"]
    assert (row["p_value"] <= 0.05) == (effect != 0)
    scaled = fitted(-3 * (y + effect * on), n).infer(method)["att"]
    assert scaled["p_value"] == row["p_value"]
    assert scaled["conf_low"] == pytest.approx(-3 * row["conf_high"], rel=1e-8)
    for end in ("conf_low", "conf_high"):
        for by, rejected in ((1.001, True), (0.999, False)):
            theta = row["estimate"] + by * (row[end] - row["estimate"])
            p = fitted(y + (effect - theta) * on, n).infer(method)["att"]["p_value"]
            assert (p <= 0.05) == rejected


def test_drawn_flips_come_near_the_list_and_depend_on_the_seed_alone() -> None:
    y = noise(22, 4, 5)
    y[:11, START:] += 3
    made = fitted(y, 11)
    listed, drawn = made.infer(SignFlips()), made.infer(SignFlips(draws=1999, seed=3))
    p, q = listed["att"]["p_value"], drawn["att"]["p_value"]
    error = drawn.attached.facts["mc_error"]
    assert error == pytest.approx(np.sqrt(q * (1 - q) / 1999))
    assert 0 < abs(p - q) < 4 * error
    assert (q * 2000) == pytest.approx(round(q * 2000), abs=1e-9)
    assert drawn.attached.facts["exact"] is False
    assert made.infer(SignFlips(draws=1999, seed=3))["att"]["p_value"] == q
    assert made.infer(SignFlips(draws=1999, seed=4))["att"]["p_value"] != q
    width = listed["att"]["conf_high"] - listed["att"]["conf_low"]
    for end in ("conf_low", "conf_high"):
        assert abs(drawn["att"][end] - listed["att"][end]) < 0.05 * width


def test_many_pilots_and_blocks_of_flips_are_drawn() -> None:
    n = 45
    y = noise(2 * n, 4, 5)
    made = fitted(y, n).infer(SignFlips(draws=20000, seed=1))
    d = differences(n, changes(y))
    flips = np.random.default_rng(1).integers(0, 2, size=(20000, n), dtype=np.int8)
    sums = np.abs((1 - 2.0 * flips) @ d)
    count = (sums >= abs(d.sum()) * (1 - 1e-9)).sum()
    assert made["att"]["p_value"] == (1 + count) / 20001


def test_event_times_are_flipped_together_inside_a_uniform_band() -> None:
    n = 9
    y = noise(2 * n, 5, 2)
    made = dk.EventStudy().fit(paired(n, y), "m").infer(SignFlips(), level=0.9)
    table = made.tidy().dropna(subset=["p_value"])
    assert (table["band_low"] <= table["conf_low"]).all()
    assert (table["band_high"] >= table["conf_high"]).all()
    assert (table["band_low"] < table["conf_low"]).any()
    d = np.array([differences(n, y[:, c] - y[:, 1]) for c in (0, 2, 3, 4)])
    np.testing.assert_allclose(made.values, d.mean(axis=1), rtol=1e-9)
    assert list(table["p_value"]) == [by_hand(row.tolist(), mean) for row in d]
    # the same flips for all terms: each row of `null` is one sign vector
    signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    np.testing.assert_allclose(made.attached.null, signs @ d.T / n, atol=1e-9)


def test_the_band_rejects_a_true_null_anywhere_at_most_at_its_level() -> None:
    """Over all flips of one data set, which are equally likely: exact, by listing them."""
    n, level = 5, 0.6
    rng = np.random.default_rng(3)
    d = rng.normal(size=(n, 3))
    outside = 0
    for signs in itertools.product((1, -1), repeat=n):
        y = np.zeros((2 * n, 5))
        y[:n, 2:] = d * np.array(signs)[:, None]
        made = dk.EventStudy().fit(paired(n, y), "m").infer(SignFlips(), level=level)
        table = made.tidy()
        after = table[table["phase"] == "after"]
        outside += bool(((after["band_low"] > 0) | (after["band_high"] < 0)).any())
    assert 0 < outside / 2**n <= 1 - level + 1e-12


def test_the_joint_test_is_a_rank_among_all_flips() -> None:
    n = 7
    y = noise(2 * n, 5, 2)
    made = dk.EventStudy().fit(paired(n, y), "m")
    terms = tuple(made.terms["term"])[1:3]
    d = np.array([differences(n, y[:, c] - y[:, 1]) for c in (2, 3)]).T
    inverse = np.linalg.inv(d.T @ d)
    own = d.sum(axis=0) @ inverse @ d.sum(axis=0)
    every = [
        (np.array(s) @ d) @ inverse @ (np.array(s) @ d)
        for s in itertools.product((1, -1), repeat=n)
    ]
    found = SignFlips().joint(made, terms)
    assert found.terms == terms
    assert found.statistic == pytest.approx(own, rel=1e-9)
    assert found.p_value == np.mean(np.array(every) >= own * (1 - 1e-9))
    one = SignFlips().joint(made, terms[:1])
    assert one.p_value == made.infer(SignFlips())[terms[0]]["p_value"]
    drawn = SignFlips(draws=99, seed=2).joint(made, terms)
    assert drawn.p_value * 100 == pytest.approx(round(drawn.p_value * 100), abs=1e-9)


def test_as_many_terms_as_sets_have_no_joint_test() -> None:
    made = dk.EventStudy().fit(paired(3, noise(6, 5, 2)), "m")
    with pytest.raises(InferenceError, match="more sets than terms"):
        SignFlips().joint(made, tuple(made.terms["term"])[:3])


def test_one_set_shared_sets_and_a_pool_are_refused() -> None:
    with pytest.raises(InferenceError, match="at least two matched sets"):
        fitted(noise(3, 4, 1), 1).infer(SignFlips())
    ids = codes(5)
    weights = {ids[0]: {ids[2]: 0.5, ids[3]: 0.5}, ids[1]: {ids[3]: 0.5, ids[4]: 0.5}}
    shared = design_of(noise(5, 4, 1), {0: 2, 1: 2}, against=MatchedSets(weights))
    with pytest.raises(InferenceError, match="sets that share nobody"):
        dk.DiD().fit(shared, "m").infer(SignFlips())
    with pytest.raises(InferenceError, match="matched sets"):
        dk.DiD().fit(design_of(noise(8, 4, 1), {0: 2, 3: 2}), "m").infer(SignFlips())


@pytest.mark.parametrize(
    "options", [{"draws": 18}, {"draws": 9.5}, {"draws": True}, {"seed": -1}, {"seed": "1"}]
)
def test_wrong_options_are_refused(options) -> None:
    with pytest.raises(InferenceError, match="draws="):
        SignFlips(**options)


def test_another_order_of_units_changes_nothing() -> None:
    n = 6
    y = noise(12, 4, 4)
    order = np.random.default_rng(2).permutation(12)
    place = np.argsort(order)
    ids = codes(12)
    sets = MatchedSets({ids[place[k]]: {ids[place[n + k]]: 1.0} for k in range(n)})
    moved = design_of(y[order], {int(place[k]): START for k in range(n)}, against=sets)
    one, other = fitted(y, n).infer(SignFlips())["att"], dk.DiD().fit(moved, "m")
    other = other.infer(SignFlips())["att"]
    for name in ("estimate", "p_value", "conf_low", "conf_high"):
        assert other[name] == pytest.approx(one[name], rel=1e-9)


@pytest.mark.parametrize("sds", [[1] * 8, [1, 1, 1, 1, 1, 1, 5, 10]])
def test_its_size_is_exact_whatever_the_variances(sds) -> None:
    """A nominal 6.25 % test, 16 of 256, rejects so often: within three Monte Carlo errors."""
    rng, reps, n = np.random.default_rng(4), 3000, 8
    flips = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.int8)
    signs = 1 - 2.0 * flips
    d = rng.normal(size=(reps, n)) * sds
    p = (np.abs(d @ signs.T) >= np.abs(d.sum(axis=1))[:, None] * (1 - 1e-9)).mean(axis=1)
    for row, ours in zip(d[:50], p[:50], strict=True):
        assert _Test(row, np.arange(n), flips, exact=True).p(0.0) == ours
    alpha = 16 / 256
    assert abs((p <= alpha).mean() - alpha) <= 3 * np.sqrt(alpha * (1 - alpha) / reps)


@pytest.mark.parametrize(("each", "least", "most"), [(3, 0.050, 0.072), (10, 0.070, 0.094)])
def test_skewed_noise_rejects_more_in_larger_sets(each, least, most) -> None:
    """Why the rule flips signs in small sets only: 6.1 % with three comparators, 8.2 with ten.

    The bounds are three Monte Carlo errors around both; without skew the size holds.
    """
    rng, reps, n = np.random.default_rng(7), 6000, 9
    flips = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.int8)
    signs = 1 - 2.0 * flips

    def rejects(draw) -> float:
        d = draw((reps, n)) - draw((reps, n, each)).mean(axis=2)
        p = (np.abs(d @ signs.T) >= np.abs(d.sum(axis=1))[:, None] * (1 - 1e-9)).mean(axis=1)
        assert _Test(d[0], np.arange(n), flips, exact=True).p(0.0) == p[0]
        return float((p <= 0.05).mean())

    assert least <= rejects(lambda size: (rng.chisquare(2, size=size) - 2) / 2) <= most
    assert 0.04 <= rejects(lambda size: rng.normal(size=size)) <= 0.06
