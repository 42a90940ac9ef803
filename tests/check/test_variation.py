"""Variation: known moments, an identity with the analysis of variance, and the published series."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import FIRST, codes, design_of, panel_of

from didkit.check import Variation
from didkit.design import Design, Pool, Rollout
from didkit.errors import InferenceError

N, T, START = 40, 8, 5
ONE = {3: START, 9: START, 30: START + 1}


def drawn(
    seed: int,
    n: int = N,
    t: int = T,
    *,
    between: float = 10.0,
    within: float = 7.0,
    ar1: float = 0.5,
) -> np.ndarray:
    """Draw the model, with period effects."""
    rng = np.random.default_rng(seed)
    e = np.empty((n, t))
    e[:, 0] = rng.normal(size=n)
    for k in range(1, t):
        e[:, k] = ar1 * e[:, k - 1] + (1 - ar1**2) ** 0.5 * rng.normal(size=n)
    return 300 + between * rng.normal(size=(n, 1)) + within * e + 30 * rng.normal(size=t)


def of(y: np.ndarray, start: int = START, **options: object) -> Variation:
    return Variation.of(design_of(y, {1: start, 4: start, 7: start}), "m", **options)


def numbers(made: Variation) -> tuple[float, float, float]:
    return made.between, made.within, made.ar1


# -- what it is -------------------------------------------------------------------------------


def test_two_periods_balanced_are_the_analysis_of_variance():
    y = drawn(1, t=3, ar1=0.0)
    made = of(y, start=2)
    left = y[:, :2] - y[:, :2].mean(axis=0)
    half = (left[:, 1] - left[:, 0]) / 2
    within = 2 * (half**2).sum() / (N - 1)
    of_means = left.mean(axis=1).var(ddof=1)
    assert made.within == pytest.approx(within**0.5, rel=1e-4)
    assert made.between == pytest.approx((of_means - within / 2) ** 0.5, rel=1e-4)
    assert made.ar1 == 0
    assert any("two periods" in note for note in made.notes)


@pytest.mark.parametrize(("n", "t", "seed"), [(60, 4, 2), (25, 6, 3)])
def test_it_is_the_largest_restricted_likelihood_written_out_in_full(n, t, seed):
    """The likelihood of error contrasts, from an explicit basis of them, no profile."""
    rng = np.random.default_rng(seed)
    y = drawn(seed, n, t + 1)[:, :t]
    y[rng.random(y.shape) < 0.15] = np.nan
    y[0] = drawn(seed, n, t + 1)[0, :t]
    made = of(np.column_stack([y, y[:, -1]]), start=t)
    rows, cols = np.nonzero(np.isfinite(y))
    fixed = np.equal.outer(cols, np.arange(t)).astype(float)
    basis = np.linalg.svd(fixed, full_matrices=True)[0][:, t:]
    contrasts = basis.T @ y[rows, cols]
    same = np.equal.outer(rows, rows)
    apart = np.abs(np.subtract.outer(cols, cols))

    def likelihood(between: float, within: float, ar1: float) -> float:
        sigma = same * (between**2 + within**2 * ar1**apart)
        reduced = basis.T @ sigma @ basis
        quadratic = contrasts @ np.linalg.solve(reduced, contrasts)
        return -0.5 * float(np.linalg.slogdet(reduced)[1] + quadratic)

    best = likelihood(*numbers(made))
    for shift in np.vstack([np.eye(3), -np.eye(3)]) * [0.02, 0.02, 0.004]:
        moved = np.array(numbers(made)) * (1 + shift * [1, 1, 0]) + shift * [0, 0, 1]
        assert likelihood(*moved) < best
    assert made.n_units == n
    assert made.n_periods == t


@pytest.mark.parametrize(
    ("n", "t", "between", "sd_b", "ar1", "sd_r", "draws"),
    [
        (150, 4, 1.01, 0.09, 0.49, 0.09, 15),
        (150, 8, 0.99, 0.07, 0.51, 0.04, 15),
        pytest.param(150, 3, 0.96, 0.14, 0.49, 0.14, 100, marks=pytest.mark.slow),
        pytest.param(150, 4, 1.01, 0.09, 0.49, 0.09, 100, marks=pytest.mark.slow),
        pytest.param(30, 4, 0.88, 0.33, 0.50, 0.20, 100, marks=pytest.mark.slow),
    ],
)
def test_bias_and_spread_are_those_of_the_docstring(n, t, between, sd_b, ar1, sd_r, draws):
    """The docstring's own come from 100 panels: both sides have Monte Carlo error."""
    values = np.array(
        [
            numbers(of(drawn(1000 + seed, n, t + 1, between=1, within=0.7), start=t))
            for seed in range(draws)
        ]
    )
    error = (1 / draws + 1 / 100) ** 0.5
    for k, mean, sd in ((0, between, sd_b), (2, ar1, sd_r)):
        assert values[:, k].mean() == pytest.approx(mean, abs=3 * sd * error + 0.005)
        assert values[:, k].std(ddof=1) == pytest.approx(sd, rel=3 * error)


# -- what it must ignore --------------------------------------------------------------------------


def test_periods_from_the_first_start_on_are_not_seen():
    y = drawn(4)
    later = y.copy()
    later[:, START:] = np.random.default_rng(5).normal(size=later[:, START:].shape) * 1e3
    one, other = (Variation.of(design_of(v, ONE), "m") for v in (y, later))
    assert one == other
    assert one.n_periods == START


def test_period_effects_levels_and_the_order_of_units_do_not_matter():
    y = drawn(6)
    moved = y + 1e3 + 50 * np.arange(T)
    assert numbers(of(moved)) == pytest.approx(numbers(of(y)), rel=1e-4)
    assert numbers(of(-3 * y)) == pytest.approx(
        (3 * of(y).between, 3 * of(y).within, of(y).ar1), rel=1e-4
    )
    again = Variation.of(design_of(y[::-1], {2: START, 5: START}), "m")
    assert numbers(again) == pytest.approx(numbers(of(y)), rel=1e-4)


def test_a_gap_in_a_unit_is_a_longer_lag_not_a_shorter_series():
    y = drawn(7, 220, 7, ar1=0.7)
    y[:, 2] = np.nan
    holed = of(y, start=6)
    assert holed.n_periods == 5
    assert holed.ar1 == pytest.approx(0.7, abs=0.12)


def test_only_units_of_the_design_count():
    y = drawn(8)
    few = Pool(codes(N)[:20])
    made = Variation.of(design_of(y, {1: START, 4: START}, against=few), "m")
    assert made.n_units == 20
    assert numbers(made) == pytest.approx(
        numbers(Variation.of(design_of(y[:20], {1: START, 4: START}), "m"))
    )


def test_periods_may_be_fewer_or_outside_the_window():
    y = drawn(9)
    ids = codes(N)
    rollout = Rollout({ids[1]: FIRST + 6})
    window = (FIRST + 3, FIRST + 7)
    narrow = Design(panel_of(y), rollout, against=Pool(), selection="bid", periods=window)
    whole = Design(panel_of(y), rollout, against=Pool(), selection="bid")
    assert Variation.of(narrow, "m").n_periods == 3
    wider = Variation.of(narrow, "m", periods=(FIRST, FIRST + 5))
    assert wider == Variation.of(whole, "m")


# -- refusals -------------------------------------------------------------------------------------


def test_one_period_before_the_start_is_refused_by_name():
    with pytest.raises(InferenceError, match="at least two periods before") as caught:
        of(drawn(1), start=1)
    assert caught.value.found == f"1 before {FIRST + 1}"


@pytest.mark.parametrize("periods", [(FIRST, FIRST + START), (FIRST + 1, FIRST, FIRST + 2)])
def test_treated_or_jumbled_periods_are_refused(periods):
    with pytest.raises(InferenceError, match="consecutive periods before the first start"):
        of(drawn(1), periods=periods)


def test_units_without_two_values_are_refused():
    y = drawn(1)
    y[2:, 1:START] = np.nan
    with pytest.raises(InferenceError, match="at least three units") as caught:
        of(y)
    assert "2 from" in str(caught.value)


@pytest.mark.parametrize("y", [np.zeros((N, T)), np.add.outer(np.arange(N), np.arange(T)) * 2.0])
def test_values_that_do_not_vary_within_units_are_refused(y):
    with pytest.raises(InferenceError, match="vary within units"):
        of(y)


def test_a_drift_of_each_unit_is_told():
    rng = np.random.default_rng(3)
    y = 100 + rng.normal(size=(N, 1)) + rng.normal(size=(N, 1)) * np.arange(T)
    made = of(y + 0.01 * rng.normal(size=y.shape))
    assert 0.9 < made.ar1 <= 0.95
    assert any("near its end" in note for note in made.notes)


# -- published series -----------------------------------------------------------------------------


def test_published_series_have_the_moments_that_the_model_implies(shared_data):
    """ICC there: sd of unit means over sd of what two-way effects leave, not the model's own."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
    import signs_of_safety as example

    panel = example.load(shared_data)
    pilots = Rollout(dict.fromkeys(example.PILOTS, 2018))
    design = Design(panel, pilots, against=Pool(), selection="bid", exclude=example.EXCLUDE)
    for metric in ("cin", "icpc", "cpp", "cla"):
        made = Variation.of(design, metric)
        y = panel.wide(metric).loc[sorted({*design.pilots, *design.comparators})]
        y = y[list(design.periods[: made.n_periods])].dropna().to_numpy()
        t = made.n_periods
        left = y - y.mean(axis=0)
        of_means = left.mean(axis=1).std(ddof=1)
        inside = (left - left.mean(axis=1, keepdims=True)).std() * (t / (t - 1)) ** 0.5
        kept = np.eye(t) - 1 / t
        implied = np.trace(kept @ made.covariance(t) @ kept) / (t - 1)
        assert made.variance_of(np.full(t, 1 / t)) ** 0.5 == pytest.approx(of_means, rel=0.06)
        assert implied**0.5 == pytest.approx(inside, rel=0.06)
