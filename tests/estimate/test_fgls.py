"""FGLS: the autoregression without its bias, generalised least squares by another program, size."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from helpers import codes, design_of, noise, spread, treated, with_gaps

from didkit.design import MatchedSets
from didkit.errors import EstimationError, InferenceError
from didkit.estimate import FGLS, DiD
from didkit.estimate.autoregression import (
    autocovariances,
    autoregression,
    from_partial,
    whitening,
)
from didkit.inference import ClusterRobust, Permutation

N, T = 14, 8
ONE = spread(N, 4, 4)
STAGGERED = {1: 2, 4: 3, 7: 2, 10: 4, 12: 3, 13: 5}


def persistent(n: int, t: int, coefficients: list[float], rng: np.random.Generator) -> np.ndarray:
    """Draw stationary autoregressive errors with innovations of variance 1."""
    cover = scipy.linalg.toeplitz(autocovariances(np.array(coefficients), t))
    return rng.normal(size=(n, t)) @ np.linalg.cholesky(cover).T


def test_autocovariances_are_those_of_a_long_simulation():
    """An oracle apart from the formula: the process run forward."""
    rng = np.random.default_rng(1)
    phi = np.array([0.5, 0.3])
    e = rng.normal(size=(4000, 160))
    for t in range(2, 160):
        e[:, t] += phi[0] * e[:, t - 1] + phi[1] * e[:, t - 2]
    found = [(e[:, 100:150] * e[:, 100 - h : 150 - h]).mean() for h in range(4)]
    np.testing.assert_allclose(autocovariances(phi, 4), found, rtol=0.05)


def test_partial_autocorrelations_give_the_process_that_has_them():
    """The last coefficient of the best predictor from h values is the h-th partial."""
    partial = np.array([0.6, -0.4, 0.2])
    by_lag = autocovariances(from_partial(partial), 4)
    for h in (1, 2, 3):
        best = np.linalg.solve(scipy.linalg.toeplitz(by_lag[:h]), by_lag[1 : h + 1])
        assert best[-1] == pytest.approx(partial[h - 1], abs=1e-12)


@pytest.mark.parametrize("coefficients", [[0.7], [0.5, 0.3]])
def test_whitened_rows_have_unit_variance_and_no_unit_effect(coefficients):
    mask = np.array([[True] * 6, [True, True, False, True, False, True]])
    cover = scipy.linalg.toeplitz(autocovariances(np.array(coefficients), 6))
    for seen, rows in zip(mask, whitening(np.array(coefficients), mask), strict=True):
        n = int(seen.sum())
        spectrum = np.linalg.eigvalsh(rows @ cover @ rows.T)
        np.testing.assert_allclose(spectrum, [0] * (6 - n + 1) + [1] * (n - 1), atol=1e-12)
        np.testing.assert_allclose(rows @ np.ones(6), 0, atol=1e-12)
        assert not rows[:, ~seen].any()
        assert not rows[~seen].any()


def test_one_lag_without_gaps_is_prais_and_winsten():
    """Before the effect goes: √(1 − ρ²) times the first cell, then quasi-differences."""
    rho, y = 0.6, np.arange(5.0) ** 2
    steps = np.array([np.sqrt(1 - rho**2) * y[0], *(y[1:] - rho * y[:-1])])
    effect = np.array([np.sqrt(1 - rho**2), *[1 - rho] * 4])
    free = steps - effect * (effect @ steps) / (effect @ effect)
    made = whitening(np.array([rho]), np.ones((1, 5), dtype=bool))[0] @ y
    np.testing.assert_allclose(made, free, atol=1e-12)


@pytest.mark.parametrize(
    ("estimator", "starts", "gaps"),
    [
        (FGLS(), ONE, False),
        (FGLS(), ONE, True),
        (FGLS(), STAGGERED, True),
        (FGLS(2), STAGGERED, False),
        (FGLS(2), ONE, True),
    ],
    ids=str,
)
def test_it_is_generalised_least_squares_with_dummies(estimator, starts, gaps):
    """statsmodels' GLS on the cells, with the covariance of the fitted autoregression."""
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    y = noise(N, T, 3) + 4 * persistent(N, T, [0.6], rng)
    y = with_gaps(y, 6) if gaps else y
    made = estimator.fit(design_of(y, starts), "m")
    sample = made.sample
    n = len(sample.units)
    seen = sample.mask
    phi = np.array([made.facts[f"ar_{i}"] for i in range(1, estimator.lags + 1)])
    by_lag = autocovariances(phi, T)
    on = treated((N, T), starts)[[codes(N).index(unit) for unit in sample.units]]
    unit, period = np.nonzero(seen)
    X = np.column_stack([on[seen], np.eye(n)[unit], np.eye(T)[period][:, 1:]])
    cover = np.where(unit[:, None] == unit, by_lag[np.abs(period[:, None] - period)], 0.0)
    theirs = sm.GLS(sample.y[seen], X, sigma=cover).fit()
    assert made.values[0] == pytest.approx(theirs.params[0], abs=1e-9)
    white = theirs.model.wexog * theirs.wresid[:, None]
    scores = np.stack([white[unit == j].sum(axis=0) for j in range(n)])
    cr0 = (scores @ np.linalg.inv(theirs.model.wexog.T @ theirs.model.wexog))[:, 0]
    np.testing.assert_allclose(made.influence[:, 0], cr0, rtol=0, atol=1e-9)
    error = made.infer(ClusterRobust("CR1")).uncertainty.std_error[0]
    assert error == pytest.approx(np.sqrt((cr0**2).sum() * n / (n - 1)), rel=1e-8)


@pytest.mark.parametrize("lags", [1, 2])
def test_the_correction_inverts_the_expectation(lags):
    """With expected products in the place of products, the process itself comes back; gaps too."""
    phi = np.array([0.6] if lags == 1 else [0.5, 0.25])
    y = with_gaps(noise(N, T, 1), 2)
    mask = np.isfinite(y)
    cover = scipy.linalg.toeplitz(autocovariances(phi, T))
    on = treated((N, T), STAGGERED)
    unit, period = np.nonzero(mask)
    X = np.column_stack([on[mask], np.eye(T)[period][:, 1:]])
    D = np.eye(N)[unit]
    swept = X - D @ np.linalg.lstsq(D, X, rcond=None)[0]
    regressors = np.zeros((N, X.shape[1], T))
    regressors[unit, :, period] = swept
    both = np.column_stack([X, D])
    maker = np.eye(len(unit)) - both @ np.linalg.pinv(both)
    errors = maker @ np.where(unit[:, None] == unit, cover[period[:, None], period], 0.0) @ maker
    # residuals of which the products are exactly expected: one "draw" a direction of the errors
    value, vector = np.linalg.eigh(errors)
    sums = 0.0
    for v, direction in zip(value.clip(min=0), vector.T, strict=True):
        sums = sums + v * _products(direction, unit, period, mask, lags)
    raw = np.linalg.solve(sums[1:, 1:], sums[1:, 0])
    found = autoregression(_with_products(sums, mask, lags), regressors, mask, lags)
    np.testing.assert_allclose(found.uncorrected, raw, atol=1e-8)
    np.testing.assert_allclose(found.coefficients, phi, atol=1e-5)
    assert not found.at_edge


def _products(rows, unit, period, mask, lags) -> np.ndarray:
    e = np.zeros(mask.shape)
    e[unit, period] = rows
    made = np.zeros((lags + 1, lags + 1))
    for j in range(len(mask)):
        for t in range(lags, mask.shape[1]):
            if mask[j, t - lags : t + 1].all():
                made += np.outer(e[j, t - np.arange(lags + 1)], e[j, t - np.arange(lags + 1)])
    return made


def _with_products(sums: np.ndarray, mask: np.ndarray, lags: int) -> np.ndarray:
    """Residuals whose least squares on the past has these coefficients exactly, of any size."""
    raw = np.linalg.solve(sums[1:, 1:], sums[1:, 0])
    rng = np.random.default_rng(0)
    made = np.zeros(mask.shape)
    for j in range(len(mask)):
        for t in range(mask.shape[1]):
            past = made[j, t - lags : t][::-1] if t >= lags else None
            made[j, t] = raw @ past if past is not None else rng.normal()
    return np.where(mask, made, 0.0)


def simulated(draws: int, n: int, t: int, rho: float, n1: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {k: [] for k in ("ar", "raw", "fgls", "did", "p")}
    for _ in range(draws):
        design = design_of(persistent(n, t, [rho], rng), spread(n, n1, t // 2))
        made = FGLS().fit(design, "m")
        found["ar"].append(made.facts["ar_1"])
        found["raw"].append(made.facts["ar_1_uncorrected"])
        found["fgls"].append(made.values[0])
        found["did"].append(DiD().fit(design, "m").values[0])
        found["p"].append(made.infer(ClusterRobust("CR2")).uncertainty.p_value[0])
    return {name: np.array(values) for name, values in found.items()}


def check(found: dict[str, np.ndarray], rho: float, ratio: tuple[float, float]) -> None:
    draws = len(found["ar"])
    error = found["ar"].std() / np.sqrt(draws)
    assert abs(found["ar"].mean() - rho) < max(4 * error, 0.005)
    assert found["raw"].mean() < rho - 0.15
    assert ratio[0] < found["fgls"].var() / found["did"].var() < ratio[1]
    rejected = (found["p"] < 0.05).mean()
    assert abs(rejected - 0.05) < 4 * np.sqrt(0.05 * 0.95 / draws)


def test_the_autoregression_is_free_of_bias_and_the_estimate_less_variable():
    """T = 8, ρ = 0.6: least squares gives about 0.32. Mean of the corrected within four errors."""
    check(simulated(60, 40, 8, 0.6, 6, seed=3), 0.6, (0.4, 1.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rho", "t", "ratio"), [(0.6, 8, (0.6, 0.9)), (0.8, 12, (0.38, 0.62))], ids=["short", "long"]
)
def test_bias_variance_and_size_at_length(rho, t, ratio):
    """Generalised least squares with the true ρ has 0.48 of the variance at ρ = 0.8, T = 12."""
    check(simulated(400, 60, t, rho, 9, seed=5), rho, ratio)


def test_without_noise_the_effect_is_exact():
    """The smooth part is taken out exactly; the effect of 6 is found whatever the weights."""
    rng = np.random.default_rng(2)
    y = noise(N, T, 3, scale=0.0) + 6 * treated((N, T), ONE)
    tiny = 1e-7 * persistent(N, T, [0.5], rng)
    assert FGLS().fit(design_of(y + tiny, ONE), "m").values[0] == pytest.approx(6, abs=1e-5)


def test_effects_scale_and_shuffling_change_nothing():
    y = with_gaps(noise(N, T, 5), 2)
    one = FGLS().fit(design_of(y, ONE), "m")
    moved = 3 * y + 100 * np.arange(N)[:, None] + 7 * np.arange(T) ** 2
    other = FGLS().fit(design_of(moved, ONE), "m")
    assert other.values[0] == pytest.approx(3 * one.values[0], rel=1e-6)
    assert other.facts["ar_1"] == pytest.approx(one.facts["ar_1"], abs=1e-7)


def test_a_random_walk_is_held_at_the_edge_and_said():
    rng = np.random.default_rng(7)
    walk = np.cumsum(rng.normal(size=(N, T)) + 2 * rng.normal(size=(N, 1)), axis=1)
    made = FGLS().fit(design_of(walk, ONE), "m")
    assert made.facts["ar_1"] == pytest.approx(0.98, abs=1e-3)
    assert any("no stationary autoregression" in note for note in made.notes)


def test_what_it_publishes_and_what_it_refuses():
    design = design_of(noise(N, T, 5), ONE)
    made = FGLS().fit(design, "m")
    assert made.weights is None
    assert made.reassigned is None
    assert made.contributions is None
    with pytest.raises(InferenceError, match="weights depend on the outcome"):
        made.infer(Permutation(draws=99))
    assert np.isfinite(made.infer(ClusterRobust("CR2")).uncertainty.p_value[0])
    rows = np.repeat(np.arange(N)[:, None] // 2, T, axis=1)
    assert made.regroup(rows).n_clusters == N // 2
    with pytest.raises(InferenceError, match="clusters that hold whole units"):
        made.regroup(np.tile(np.arange(T), (N, 1)))
    again = made.refit(design.drop(codes(N)[0]))
    assert len(again.sample.units) == N - 1
    assert "0." in made.notes[0]
    assert "autoregressive" in made.notes[0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: FGLS(0), "1 or more"),
        (lambda d: FGLS(1.5), "1 or more"),
        (lambda d: FGLS(T - 1).fit(d, "m"), f"{T - 1} lags and {T} periods"),
        (lambda d: FGLS(T + 1).fit(d, "m"), f"use at most {T - 2} lags"),
        (lambda d: FGLS(covariates="m"), "needs its comma"),
        (lambda d: FGLS(covariates=("m",)).fit(d, "m"), "is both"),
    ],
    ids=[
        "no lags",
        "half a lag",
        "too many lags",
        "more lags than periods",
        "a string",
        "the outcome",
    ],
)
def test_what_is_refused(make, words):
    with pytest.raises(EstimationError, match=words):
        make(design_of(noise(N, T, 5), ONE))


def test_matched_sets_are_refused():
    others = [unit for j, unit in enumerate(codes(N)) if j not in ONE][:3]
    sets = MatchedSets({codes(N)[j]: dict.fromkeys(others, 1 / 3) for j in ONE})
    with pytest.raises(EstimationError, match="one pool of comparators"):
        FGLS().fit(design_of(noise(N, T, 5), ONE, against=sets), "m")


def test_staggered_starts_are_said():
    made = FGLS().fit(design_of(noise(N, T, 5), STAGGERED), "m")
    assert any("staggered" in note for note in made.notes)


def test_a_unit_among_others_takes_part_only_where_it_is_observed():
    """Gaps at the ends of a unit's window are as if the window were shorter there."""
    y = noise(N, T, 8)
    y[0, 0] = y[0, T - 1] = np.nan
    made = FGLS().fit(design_of(y, ONE), "m")
    scaled = whitening(np.array([made.facts["ar_1"]]), np.isfinite(y[:1]))[0]
    assert not scaled[:, [0, T - 1]].any()
    assert made.normal.n_obs == N * T - 2


def test_cells_that_do_not_follow_each_other_are_refused():
    y = noise(N, T, 5)
    y[:, 2::3] = np.nan
    with pytest.raises(EstimationError, match="periods in a row"):
        FGLS(2).fit(design_of(y, ONE), "m")


def test_the_most_lags_that_are_advised_are_served():
    made = FGLS(T - 2).fit(design_of(noise(N, T, 5), ONE), "m")
    assert np.isfinite(made.values).all()
