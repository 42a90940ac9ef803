"""Ferman–Pinto: the fit, the rescaling, brute force, refusals, and how often it rejects."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise, spread, treated

from didkit.design import Design, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy
from didkit.inference import ConleyTaber, FermanPinto
from didkit.inference.ferman_pinto import _rescaled
from didkit.inference.placebo_errors import errors_of
from didkit.inference.samples import Placebos, placebos
from didkit.panel import Panel

N, T = 30, 5


def some_sizes(n: int, seed: int) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(3, 0.9, n)).round(3)


def named(sizes: np.ndarray) -> dict[str, float]:
    return dict(zip(codes(len(sizes)), sizes.tolist(), strict=True))


def sized_noise(sizes: np.ndarray, t: int, seed: int) -> np.ndarray:
    """Noise whose variance falls with size."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(len(sizes), t)) * np.sqrt(0.5 + 40 / sizes)[:, None]
    return 100 + 10 * rng.normal(size=(len(sizes), 1)) + made


def fitted(y, starts, inference, estimator=None, level=0.95):
    return (estimator or DiD()).fit(design_of(y, starts), "m").infer(inference, level=level)


def non_negative(squares: np.ndarray, inverse: np.ndarray) -> tuple[float, float]:
    """Least squares of squares on 1 and 1/M with both coefficients at least 0: every corner."""
    x = np.column_stack([np.ones(len(inverse)), inverse])
    tries = [np.linalg.lstsq(x, squares, rcond=None)[0]]
    tries.append(np.array([squares.mean(), 0.0]))
    tries.append(np.array([0.0, (squares @ inverse) / (inverse @ inverse)]))
    allowed = [c for c in tries if (c >= 0).all()]
    best = min(allowed, key=lambda c: ((squares - x @ c) ** 2).sum())
    return float(best[0]), float(best[1])


def by_hand(w: np.ndarray, pilots: list[int], sizes: np.ndarray) -> tuple[float, list[float]]:
    """The estimate, and every error that it could have had."""
    rest = [j for j in range(len(w)) if j not in pilots]
    e = w[rest] - w[rest].mean()
    a, b = non_negative(e**2, 1 / sizes[rest])
    z = e / np.sqrt(a + b / sizes[rest])
    errors = []
    for chosen in itertools.permutations(range(len(rest)), len(pilots)):
        pairs = zip(pilots, chosen, strict=True)
        errors.append(np.mean([np.sqrt(a + b / sizes[j]) * z[i] for j, i in pairs]))
    return float(w[pilots].mean() - w[rest].mean()), [abs(v) for v in errors]


@pytest.mark.parametrize("n1", [1, 2])
def test_p_and_interval_are_brute_force(n1):
    for seed in range(4):
        sizes = some_sizes(N, seed)
        starts = spread(N, n1, 2)
        y = sized_noise(sizes, T, seed) + 2 * treated((N, T), starts)
        w = y[:, 2:].mean(axis=1) - y[:, :2].mean(axis=1)
        theta, errors = by_hand(w, list(starts), sizes)
        sure = fitted(y, starts, FermanPinto(named(sizes)), level=0.9).uncertainty
        assert sure.facts["exact"]
        assert sure.facts["draws"] == len(errors)
        p = (1 + sum(v >= abs(theta) - 1e-9 for v in errors)) / (1 + len(errors))
        assert sure.p_value[0] == pytest.approx(p, abs=1e-12)
        kept = sorted(errors, reverse=True)
        reach = next(v for i, v in enumerate(kept) if (i + 2) / (len(errors) + 1) > 0.1 + 1e-12)
        np.testing.assert_allclose(
            [sure.conf_low[0], sure.conf_high[0]], [theta - reach, theta + reach], rtol=1e-6
        )


def test_the_fit_is_the_best_of_every_corner():
    """Free, a alone, b alone: least squares under a, b ≥ 0 is one of them."""
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sizes = some_sizes(25, seed)
        kind = seed % 3
        sd = [np.ones(24), np.sqrt(1 / sizes[1:]), np.sqrt(sizes[1:])][kind]
        row = rng.normal(size=24) * sd
        placebo = Placebos((row - row.mean())[None], np.array([0]), np.arange(1, 25), 0)
        _, fit = _rescaled(placebo, sizes)
        expected = non_negative(placebo.deviations[0] ** 2, 1 / sizes[1:])
        np.testing.assert_allclose(fit[0], expected, rtol=1e-7, atol=1e-12)
        seen.add((expected[0] > 0, expected[1] > 0))
    assert seen == {(True, True), (True, False), (False, True)}


def test_a_known_variance_is_found_again():
    rng = np.random.default_rng(3)
    sizes = np.exp(rng.normal(0, 0.9, 40_001))
    row = rng.normal(size=40_000) * np.sqrt(0.2 + 0.8 / sizes[1:])
    placebo = Placebos(row[None], np.array([0]), np.arange(1, 40_001), 0)
    made, fit = _rescaled(placebo, sizes)
    np.testing.assert_allclose(fit[0], [0.2, 0.8], atol=0.06)
    assert made[0].std() == pytest.approx(np.sqrt(0.2 + 0.8 / sizes[0]), rel=0.03)


def test_smaller_pilots_have_wider_intervals():
    starts = spread(N, 3, 2)
    sizes = some_sizes(N, 5)
    y = sized_noise(sizes, T, 5)
    widths = []
    for factor in (0.2, 1.0, 20.0):
        given = sizes.copy()
        given[list(starts)] *= factor
        row = fitted(y, starts, FermanPinto(named(given), draws=999))["att"]
        widths.append(row["conf_high"] - row["conf_low"])
    assert widths[0] > 1.2 * widths[1] > 1.2 * widths[2]


def test_where_size_tells_nothing_it_is_conley_taber():
    """Noise that grows with size: b is 0, and nothing is rescaled."""
    sizes = some_sizes(N, 6)
    starts = spread(N, 3, 2)
    rng = np.random.default_rng(6)
    y = rng.normal(size=(N, T)) * sizes[:, None]
    ours = fitted(y, starts, FermanPinto(named(sizes), draws=499)).uncertainty
    theirs = fitted(y, starts, ConleyTaber(draws=499)).uncertainty
    assert ours.facts["variance_b"] == 0
    assert ours.facts["variance_ratio"] == pytest.approx(1)
    assert ours.p_value[0] == theirs.p_value[0]
    assert ours.conf_low[0] == pytest.approx(theirs.conf_low[0])
    assert any("the test is ConleyTaber's" in note for note in ours.notes)
    assert "noise does not fall with size here: as Conley–Taber" in ours.method
    assert "rescaled" not in ours.method


def test_facts_and_notes_say_what_was_fitted():
    sizes = some_sizes(N, 7)
    starts = spread(N, 3, 2)
    y = sized_noise(sizes, T, 7)
    sizes[list(starts)] = sizes.min() / np.array([1.5, 1, 1])
    sure = fitted(y, starts, FermanPinto(named(sizes), draws=199)).uncertainty
    w = y[:, 2:].mean(axis=1) - y[:, :2].mean(axis=1)
    rest = np.delete(np.arange(N), list(starts))
    a, b = non_negative((w[rest] - w[rest].mean()) ** 2, 1 / sizes[rest])
    assert sure.facts["variance_a"] == pytest.approx(a, abs=1e-9)
    assert sure.facts["variance_b"] == pytest.approx(b, rel=1e-6)
    ratio = (a + b * (1 / sizes[list(starts)]).mean()) / (a + b * (1 / sizes[rest]).mean())
    assert sure.facts["variance_ratio"] == pytest.approx(ratio)
    outside = (sizes[list(starts)] < sizes[rest].min()).sum()
    assert outside >= 1
    said = "1 pilot smaller" if outside == 1 else f"{outside} pilots smaller"
    assert any(f"{said} or larger than every" in n for n in sure.notes)


def test_sizes_are_the_mean_exposure_by_default():
    starts = spread(N, 3, 2)
    y = sized_noise(some_sizes(N, 8), T, 8)
    rng = np.random.default_rng(8)
    children = 1000.0 * rng.integers(5, 90, size=(N, T))
    children[4, 1] = np.nan
    ids = codes(N)
    frame = pd.DataFrame(
        [(ids[j], FIRST + t, y[j, t], children[j, t]) for j in range(N) for t in range(T)],
        columns=["la", "year", "m", "children"],
    )
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"], exposure="children")
    rollout = Rollout({ids[j]: FIRST + t for j, t in starts.items()})
    design = Design(panel, rollout, against=Pool(), selection="unknown")
    mean = dict(zip(ids, np.nanmean(children, axis=1).tolist(), strict=True))
    estimate = DiD().fit(design, "m")
    found, given = (
        estimate.infer(f).uncertainty
        for f in (FermanPinto(draws=199), FermanPinto(mean, draws=199))
    )
    assert found.p_value[0] == given.p_value[0]
    assert found.conf_low[0] == pytest.approx(given.conf_low[0], rel=1e-9)
    assert any("mean exposure over the window" in note for note in found.notes)


def test_ids_of_sizes_may_be_numbers():
    sizes = some_sizes(N, 9)
    starts = spread(N, 2, 2)
    y = sized_noise(sizes, T, 9)
    as_text = fitted(y, starts, FermanPinto(named(sizes))).uncertainty
    as_number = FermanPinto({int(unit): size for unit, size in named(sizes).items()})
    assert fitted(y, starts, as_number).uncertainty.p_value[0] == as_text.p_value[0]


def test_staggered_places_have_their_own_fit():
    starts = {2: 1, 20: 4}
    sizes = some_sizes(N, 10)
    y = sized_noise(sizes, T, 10)
    estimate = DiD().fit(design_of(y, starts), "m")
    placebo = placebos(estimate, 0, "a test")
    rest = placebo.comparator_at
    scaled = []
    for row, j in zip(placebo.deviations, placebo.pilot_at, strict=True):
        a, b = non_negative(row**2, 1 / sizes[rest])
        scaled.append(row * np.sqrt((a + b / sizes[j]) / (a + b / sizes[rest])))
    pairs = itertools.permutations(range(len(rest)), 2)
    errors = np.array([abs(scaled[0][i] + scaled[1][j]) / 2 for i, j in pairs])
    p = (1 + (errors >= abs(estimate.values[0])).sum()) / (1 + len(errors))
    sure = estimate.infer(FermanPinto(named(sizes))).uncertainty
    assert sure.p_value[0] == pytest.approx(p, abs=1e-12)


def test_scale_changes_nothing():
    starts = spread(N, 3, 2)
    sizes = some_sizes(N, 11)
    y = sized_noise(sizes, T, 11)
    one = fitted(y, starts, FermanPinto(named(sizes), draws=199)).uncertainty
    for factor, size in ((-1e-6, 1.0), (1e5, 1e6), (1.0, 1e-5)):
        other = fitted(factor * y, starts, FermanPinto(named(size * sizes), draws=199)).uncertainty
        assert other.p_value[0] == one.p_value[0]
        ends = sorted([factor * one.conf_low[0], factor * one.conf_high[0]])
        np.testing.assert_allclose([other.conf_low[0], other.conf_high[0]], ends, rtol=1e-6)


def test_p_at_any_effect_agrees_with_the_interval():
    starts = {4: 2, 13: 2}
    sizes = some_sizes(N, 12)
    y = sized_noise(sizes, T, 12)
    inference = FermanPinto(named(sizes))
    row = fitted(y, starts, inference, level=0.8)["att"]
    low, high = row["conf_low"], row["conf_high"]
    for part in (-0.6, -0.501, -0.499, 0.0, 0.499, 0.501, 0.6):
        theta = (low + high) / 2 + part * (high - low)
        p = fitted(y - theta * treated(y.shape, starts), starts, inference)["att"]["p_value"]
        assert (p <= 0.2) == (abs(part) > 0.5)


def test_an_event_study_has_a_band():
    starts = spread(N, 3, 2)
    sizes = some_sizes(N, 13)
    y = sized_noise(sizes, T, 13)
    sure = fitted(y, starts, FermanPinto(named(sizes), draws=999), EventStudy()).uncertainty
    assert np.isfinite(sure.p_value).all()
    assert (sure.band_low <= sure.conf_low).all()
    assert (sure.band_high > sure.conf_high).any()
    reach = sure.band_high - sure.statistic
    assert 0.02 < (np.abs(sure.null) > reach).any(axis=1).mean() <= 0.05 + 1e-9


# -- refused ------------------------------------------------------------------------------------


def test_unknown_sizes_are_refused():
    y, starts = noise(N, T, 1), spread(N, 3, 2)
    with pytest.raises(InferenceError, match="the panel holds no number of children"):
        fitted(y, starts, FermanPinto())
    sizes = named(some_sizes(N, 1))
    gone = codes(N)[5]
    del sizes[gone]
    with pytest.raises(InferenceError, match=rf"none for 1 \({gone}\)") as caught:
        fitted(y, starts, FermanPinto(sizes))
    assert "sizes={unit: number}" in str(caught.value)


def test_sizes_all_alike_are_refused_for_conley_taber():
    with pytest.raises(InferenceError, match="all 30 of size 7") as caught:
        fitted(noise(N, T, 1), spread(N, 3, 2), FermanPinto(dict.fromkeys(codes(N), 7)))
    assert "ConleyTaber()" in str(caught.value)


def test_too_few_comparators_are_refused():
    sizes = some_sizes(18, 1)
    with pytest.raises(InferenceError, match="9 comparators for 9 pilots"):
        fitted(noise(18, 4, 1), dict.fromkeys(range(9), 2), FermanPinto(named(sizes)))


def test_a_variance_of_zero_is_refused():
    y = np.add.outer(np.arange(float(N)), np.arange(float(T)) ** 2)
    y[3, 3:] += 2
    with pytest.raises(InferenceError, match="the fitted variance is 0"):
        fitted(y, {3: 3}, FermanPinto(named(some_sizes(N, 1))))


@pytest.mark.parametrize("size", [0, -1.0, np.nan, np.inf, "5", True, None])
def test_a_size_that_is_no_size_is_refused(size):
    with pytest.raises(InferenceError, match=r"none for 1 \(304\)"):
        FermanPinto({"301": 4.0, "304": size})


def test_options_are_checked():
    with pytest.raises(InferenceError, match="a mapping of unit"):
        FermanPinto([1.0, 2.0])
    with pytest.raises(InferenceError, match="whole numbers"):
        FermanPinto(draws=5)
    given = {"301": 4.0}
    kept = FermanPinto(given)
    given["301"] = 9.0
    assert kept.sizes == {"301": 4.0}
    assert hash(kept) == hash(FermanPinto())


# -- size ---------------------------------------------------------------------------------------

#: pilots, comparators, the rejection rate of methods.md for small pilots; Conley–Taber's beside it
CELLS = [(9, 141, 7.6, 15.1), (3, 147, 6.7, 13.2), (1, 149, 5.7, 11.8)]


def rejected(n1: int, n0: int, replications: int) -> float:
    """Comparators' M = exp(N(0, .9²)), pilots' exp(N(−.9, .4²)), W ~ N(0, .2 + .8 / M)."""
    rng = np.random.default_rng(20261123)
    count = 0
    for seed in range(replications):
        m = np.r_[np.exp(rng.normal(-0.9, 0.4, n1)), np.exp(rng.normal(0, 0.9, n0))]
        w = rng.normal(size=n1 + n0) * np.sqrt(0.2 + 0.8 / m)
        deviations = np.tile(w[n1:] - w[n1:].mean(), (n1, 1))
        placebo = Placebos(deviations, np.arange(n1), np.arange(n1, n1 + n0), 0)
        numbers, _ = _rescaled(placebo, m)
        errors = errors_of(numbers, draws=599, seed=seed)
        count += errors.p(w[:n1].mean() - w[n1:].mean()) <= 0.05
    return count / replications


def near(found: float, table: float, replications: int) -> bool:
    """Within three combined Monte Carlo errors of a rate from 3,000 replications."""
    rate = table / 100
    return abs(found - rate) <= 3 * np.sqrt(rate * (1 - rate) * (1 / 3000 + 1 / replications))


@pytest.mark.parametrize(("n1", "n0", "table", "unscaled"), CELLS)
def test_size_is_that_of_the_table(n1, n0, table, unscaled):
    found = rejected(n1, n0, 400)
    assert near(found, table, 400)
    assert found < unscaled / 100


@pytest.mark.slow
@pytest.mark.parametrize(("n1", "n0", "table", "unscaled"), CELLS)
def test_size_is_that_of_the_table_in_full(n1, n0, table, unscaled):
    found = rejected(n1, n0, 3000)
    assert near(found, table, 3000)
    assert not near(found, unscaled, 3000)
