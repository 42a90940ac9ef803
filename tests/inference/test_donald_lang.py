"""Pooled t: scipy's two-sample test, one pilot, two against two, and the sizes of the table."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, noise, spread, treated
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import didkit as dk
from didkit.errors import InferenceError
from didkit.inference import ClusterRobust, DonaldLang, LauLi

START = 2


def changes(y: np.ndarray) -> np.ndarray:
    return y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)


@pytest.mark.parametrize(("n", "n1"), [(4, 2), (8, 4), (12, 3), (9, 1), (3, 1), (10, 8), (7, 6)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_it_is_the_pooled_t_test_of_scipy(n: int, n1: int, level: float) -> None:
    y, starts = noise(n, 5, n), spread(n, n1, START) if n1 > 1 else {1: START}
    row = dk.DiD().fit(design_of(y, starts), "m").infer(DonaldLang(), level=level)["att"]
    pilot = np.isin(np.arange(n), list(starts))
    theirs = stats.ttest_ind(changes(y)[pilot], changes(y)[~pilot], equal_var=True)
    ends = theirs.confidence_interval(level)
    assert row["df"] == n - 2
    np.testing.assert_allclose(row["p_value"], theirs.pvalue, rtol=1e-9)
    np.testing.assert_allclose(row["statistic"], theirs.statistic, rtol=1e-9)
    np.testing.assert_allclose([row["conf_low"], row["conf_high"]], [*ends], rtol=1e-9)


def test_each_event_time_is_its_own_pooled_t_test() -> None:
    n, t = 14, 6
    y, starts = noise(n, t, 2), spread(n, 4, 3)
    made = dk.EventStudy().fit(design_of(y, starts), "m").infer(DonaldLang())
    pilot = np.isin(np.arange(n), list(starts))
    for column, event in ((0, -3), (3, 0), (5, 2)):
        w = y[:, column] - y[:, 2]
        theirs = stats.ttest_ind(w[pilot], w[~pilot], equal_var=True)
        row = made[f"event time {event:+d}" if event else "event time 0"]
        np.testing.assert_allclose(row["p_value"], theirs.pvalue, rtol=1e-9)


def test_the_covariance_of_terms_is_the_pooled_one() -> None:
    n, starts = 14, spread(14, 4, 3)
    y = noise(n, 6, 3)
    made = dk.EventStudy().fit(design_of(y, starts), "m").infer(DonaldLang())
    pilot = np.isin(np.arange(n), list(starts))
    w = y[:, [0, 1, 3, 4, 5]] - y[:, [2]]
    r = w - np.where(pilot[:, None], w[pilot].mean(axis=0), w[~pilot].mean(axis=0))
    np.testing.assert_allclose(
        made.covariance.to_numpy(), (1 / 4 + 1 / 10) * r.T @ r / (n - 2), rtol=1e-8
    )
    table = made.tidy().dropna(subset=["p_value"])
    assert (table["band_low"] < table["conf_low"]).all()
    assert (table["band_high"] > table["conf_high"]).all()


def test_with_equal_arms_the_standard_error_is_that_of_cr2() -> None:
    """Pooled and separate variances agree when the arms are alike in number."""
    made = dk.DiD().fit(design_of(noise(12, 4, 5), spread(12, 6, START)), "m")
    pooled, separate = made.infer(DonaldLang())["att"], made.infer(ClusterRobust("CR2"))["att"]
    assert pooled["std_error"] == pytest.approx(separate["std_error"], rel=1e-9)


def test_it_says_what_it_needs_and_warns_of_nothing_else() -> None:
    made = dk.DiD().fit(design_of(noise(4, 4, 1), {0: 2, 2: 2}), "m").infer(DonaldLang())
    sure = made.attached
    assert "equal-variance normal site shocks" in sure.method
    assert any("equal-variance normal site shocks" in note for note in sure.notes)


def test_one_pilot_against_one_comparator_is_refused() -> None:
    made = dk.DiD().fit(design_of(noise(2, 4, 1), {0: 2}), "m")
    with pytest.raises(InferenceError, match="at least three units"):
        made.infer(DonaldLang())


def test_terms_that_compare_no_two_means_are_refused_with_a_way_out() -> None:
    y = noise(12, 6, 1)
    staggered = dk.DiD().fit(design_of(y, {1: 2, 4: 3, 7: 4}), "m")
    with pytest.raises(InferenceError, match="Permutation"):
        staggered.infer(DonaldLang())
    regions = {str(301 + 3 * i): "ab"[i % 2] for i in range(12)}
    with pytest.raises(InferenceError, match="independent one by one"):
        dk.DiD().fit(design_of(y, spread(12, 4, 2), clusters=regions), "m").infer(DonaldLang())


def test_outcomes_all_alike_give_no_standard_error() -> None:
    made = dk.DiD().fit(design_of(np.ones((6, 4)), {1: 2, 3: 2}), "m").infer(DonaldLang())
    assert np.isnan(made["att"]["p_value"])
    assert any("no spread" in note for note in made.attached.notes)


@settings(max_examples=40)
@given(
    y=st.lists(st.integers(-50, 50), min_size=28, max_size=28),
    starts=st.sampled_from([{1: 2}, {1: 2, 5: 2}, {0: 2, 3: 2, 6: 2}]),
    method=st.sampled_from([DonaldLang(), LauLi(), LauLi(2.5)]),
    part=st.sampled_from([-2.0, -0.51, -0.49, 0.2, 0.49, 0.51]),
    factor=st.sampled_from([-3.0, 1e-5, 1e4]),
)
def test_p_and_interval_agree_and_scale(y, starts, method, part, factor) -> None:
    y = np.array(y, dtype=float).reshape(7, 4) / 4
    row = dk.DiD().fit(design_of(y, starts), "m").infer(method, level=0.9)["att"]
    low, high = row["conf_low"], row["conf_high"]
    if not high - low > 1e-6:
        return
    theta = (low + high) / 2 + part * (high - low)
    moved = design_of(y - theta * treated(y.shape, starts), starts)
    p = dk.DiD().fit(moved, "m").infer(method)["att"]["p_value"]
    assert (p <= 0.1) == (abs(part) > 0.5)
    scaled = dk.DiD().fit(design_of(factor * y, starts), "m").infer(method, level=0.9)["att"]
    assert scaled["p_value"] == pytest.approx(row["p_value"], rel=1e-6)
    ends = sorted([factor * low, factor * high])
    np.testing.assert_allclose([scaled["conf_low"], scaled["conf_high"]], ends, rtol=1e-6)


@pytest.mark.parametrize("effect", [-60.0, 0.0, 60.0])
@pytest.mark.parametrize("starts", [{4: 2}, {4: 2, 9: 2}])
def test_a_large_effect_of_either_sign_is_found_on_its_side(effect, starts) -> None:
    y = noise(16, 4, 8) + effect * treated((16, 4), starts)
    row = dk.DiD().fit(design_of(y, starts), "m").infer(DonaldLang())["att"]
    assert row["conf_low"] < effect < row["conf_high"]
    assert (row["p_value"] <= 0.05) == (effect != 0)
    assert np.sign(row["statistic"]) == np.sign(row["estimate"])


def test_another_order_of_units_changes_nothing() -> None:
    y, starts = noise(10, 4, 4), {2: 2, 5: 2}
    order = np.random.default_rng(1).permutation(10)
    moved = {int(np.flatnonzero(order == j)[0]): t for j, t in starts.items()}
    one = dk.DiD().fit(design_of(y, starts), "m").infer(DonaldLang())["att"]
    other = dk.DiD().fit(design_of(y[order], moved), "m").infer(DonaldLang())["att"]
    for name in ("estimate", "p_value", "conf_low", "conf_high"):
        assert other[name] == pytest.approx(one[name], rel=1e-9)


def small(rng: np.random.Generator, reps: int, n1: int, n0: int) -> tuple[np.ndarray, np.ndarray]:
    """Variance .2 + .8/M; pilots are smaller (the process of the table)."""
    m1 = np.exp(rng.normal(-0.9, 0.4, (reps, n1)))
    m0 = np.exp(rng.normal(0, 0.9, (reps, n0)))
    return tuple(rng.normal(size=m.shape) * np.sqrt(0.2 + 0.8 / m) for m in (m1, m0))  # type: ignore[return-value]


def rejects(first: np.ndarray, second: np.ndarray) -> float:
    """Share of 5 % tests that reject, in percent; the test is scipy's, which is ours (above)."""
    return float(100 * (stats.ttest_ind(first, second, axis=1).pvalue <= 0.05).mean())


@pytest.mark.parametrize(
    ("n1", "n0", "process", "known", "reps0"),
    [
        (9, 141, "normal", 4.8, 4000),
        (9, 141, "sd", 27.8, 4000),
        (9, 141, "skewed", 4.9, 4000),
        (9, 141, "small", 11.8, 4000),
        (3, 147, "normal", 5.0, 4000),
        (3, 147, "small", 12.6, 4000),
        (1, 149, "normal", 5.1, 4000),
        (1, 149, "small", 12.9, 4000),
        (2, 2, "normal", 5.0, 4000),
        (4, 4, "normal", 5.3, 4000),
    ],
)
def test_sizes_of_the_table(n1, n0, process, known, reps0) -> None:
    """Within three combined Monte Carlo errors of the known rates."""
    rng, reps = np.random.default_rng(7), 5000
    if process == "small":
        first, second = small(rng, reps, n1, n0)
    elif process == "skewed":
        first, second = ((rng.chisquare(2, (reps, n)) - 2) / 2 for n in (n1, n0))
    else:
        first = rng.normal(size=(reps, n1)) * (2 if process == "sd" else 1)
        second = rng.normal(size=(reps, n0))
    error = np.sqrt(known * (100 - known) * (1 / reps + 1 / reps0))
    assert abs(rejects(first, second) - known) <= 3 * error
