"""Conley–Taber: brute force, the paper's own weights, exact ranks, and how often it rejects."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from helpers import FIRST, codes, design_of, frame_of, noise, spread, treated, with_gaps

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ConleyTaber
from didkit.inference.placebo_errors import Errors, errors_of, rejects_under_equal_noise
from didkit.inference.samples import placebos
from didkit.panel import Panel

N, T = 27, 5


def long_differences(y: np.ndarray, start: int) -> np.ndarray:
    return y[:, start:].mean(axis=1) - y[:, :start].mean(axis=1)


def fitted(y, starts, inference=None, estimator=None, level=0.95):
    made = (estimator or DiD()).fit(design_of(y, starts), "m")
    return made.infer(inference or ConleyTaber(), level=level).uncertainty


def two_way(y: np.ndarray, starts: dict[int, int]) -> tuple[np.ndarray, float]:
    """The swept treatment of two-way fixed effects and its coefficient, by dummies."""
    n, t = y.shape
    d = treated(y.shape, starts)
    units = np.kron(np.eye(n), np.ones((t, 1)))
    periods = np.kron(np.ones((n, 1)), np.eye(t)[:, 1:])
    x = np.hstack([units, periods])
    swept = d.ravel() - x @ np.linalg.lstsq(x, d.ravel(), rcond=None)[0]
    return swept.reshape(y.shape), float(swept @ y.ravel() / (swept @ swept))


@pytest.mark.parametrize("n1", [1, 2])
def test_p_and_interval_are_brute_force(n1):
    """Every choice of comparators one by one, in plain Python."""
    for seed in range(5):
        starts = spread(N, n1, 2)
        y = noise(N, T, seed) + 5 * treated((N, T), starts)
        w = long_differences(y, 2)
        rest = [float(v) for j, v in enumerate(w) if j not in starts]
        middle = sum(rest) / len(rest)
        theta = sum(w[j] for j in starts) / n1 - middle
        errors = sorted(
            (abs(sum(c) / n1 - middle) for c in itertools.combinations(rest, n1)), reverse=True
        )
        b = len(errors)
        sure = fitted(y, starts, level=0.9)
        assert sure.facts["exact"]
        assert sure.facts["draws"] == b
        p = (1 + sum(e >= abs(theta) - 1e-9 for e in errors)) / (1 + b)
        assert sure.p_value[0] == pytest.approx(p, abs=1e-12)
        assert sure.statistic[0] == pytest.approx(theta)
        reach = next(e for i, e in enumerate(errors) if (i + 2) / (b + 1) > 0.1 + 1e-12)
        assert sure.conf_low[0] == pytest.approx(theta - reach)
        assert sure.conf_high[0] == pytest.approx(theta + reach)


def test_staggered_placebos_are_the_swept_treatment_on_comparators():
    """Balanced two-way: Σ_t d̃_it (y_kt − ȳ_t) / Σ d̃², by dummy regression."""
    starts = {2: 1, 9: 2, 20: 4}
    y = noise(N, T, 3)
    estimate = DiD().fit(design_of(y, starts), "m")
    swept, coefficient = two_way(y, starts)
    assert estimate.values[0] == pytest.approx(coefficient)
    rest = np.delete(np.arange(N), list(starts))
    apart = y[rest] - y[rest].mean(axis=0)
    expected = len(starts) * swept[list(starts)] @ apart.T / (swept**2).sum()
    found = placebos(estimate, 0, "a test")
    assert found.comparator_at.tolist() == rest.tolist()
    np.testing.assert_allclose(found.deviations, expected, atol=1e-10)


def test_staggered_placebos_approach_the_papers_formula_with_many_comparators():
    """Σ_i Σ_t (d_it − d̄_i) η_kt / ΣΣ (d_it − d̄_i)²; the weights differ by a share n1 / n."""
    n, starts = 202, {2: 1, 90: 4}
    y = noise(n, T, 4)
    rest = np.delete(np.arange(n), list(starts))
    eta = y[rest] - y[rest].mean(axis=0)
    eta -= eta.mean(axis=1, keepdims=True)
    d = treated(y.shape, starts)[list(starts)]
    d = d - d.mean(axis=1, keepdims=True)
    paper = len(starts) * d @ eta.T / (d**2).sum()
    found = placebos(DiD().fit(design_of(y, starts), "m"), 0, "a test").deviations
    apart = np.abs(found - paper).max() / np.abs(paper).max()
    assert 1e-9 < apart < 4 * len(starts) / n


def test_a_staggered_draw_is_a_mean_over_the_pilots_places():
    """With two pilots of different starts the order matters: all ordered pairs, one by one."""
    starts = {2: 1, 20: 4}
    y = noise(N, T, 5)
    estimate = DiD().fit(design_of(y, starts), "m")
    numbers = placebos(estimate, 0, "a test").deviations
    pairs = itertools.permutations(range(N - 2), 2)
    errors = np.array([abs(numbers[0, i] + numbers[1, j]) / 2 for i, j in pairs])
    sure = estimate.infer(ConleyTaber()).uncertainty
    assert sure.facts["draws"] == (N - 2) * (N - 3) == len(errors)
    p = (1 + (errors >= abs(estimate.values[0]) - 1e-9).sum()) / (1 + len(errors))
    assert sure.p_value[0] == pytest.approx(p, abs=1e-12)


def test_sampled_errors_come_near_all_of_them():
    starts = spread(N, 2, 2)
    y = noise(N, T, 6) + 3 * treated((N, T), starts)
    listed, drawn = fitted(y, starts), fitted(y, starts, ConleyTaber(draws=299, seed=3))
    assert listed.facts["exact"]
    assert listed.facts["seed"] is None
    assert not drawn.facts["exact"]
    assert drawn.facts["seed"] == 3
    assert drawn.facts["least_p"] == pytest.approx(1 / 300)
    assert abs(drawn.p_value[0] - listed.p_value[0]) < 4 * drawn.facts["mc_error"]
    again = fitted(y, starts, ConleyTaber(draws=299, seed=3))
    other = fitted(y, starts, ConleyTaber(draws=299, seed=4))
    assert again.p_value[0] == drawn.p_value[0]
    assert other.conf_low[0] != drawn.conf_low[0]


@pytest.mark.parametrize("n1", [4, 8])  # drawn again on a repeat; by the order of random keys
def test_draws_are_without_replacement_and_uniform(n1):
    """A comparator that alone is large is in a draw with probability n1 / n0, never twice."""
    numbers = np.zeros((n1, 40))
    numbers[:, 7] = 1.0
    errors = errors_of(numbers, draws=20_000, seed=1)
    assert set(errors.sizes.tolist()) == {0.0, 1 / n1}
    share, rate = (errors.sizes > 0).mean(), n1 / 40
    assert abs(share - rate) < 4 * np.sqrt(rate * (1 - rate) / 20_000)


@pytest.mark.parametrize("n1", [4, 8])
def test_each_place_sees_every_comparator_alike(n1):
    numbers = np.zeros((n1, 40))
    numbers[2] = n1 * np.arange(40)
    seen = np.bincount(errors_of(numbers, draws=40_000, seed=6).sizes.astype(int), minlength=40)
    assert np.abs(seen - 1000).max() < 4.5 * np.sqrt(1000)


def test_every_comparator_takes_every_place():
    numbers = np.arange(2 * 21).reshape(2, 21) ** 2.0
    errors = errors_of(numbers, draws=50_000, seed=2)
    expected = [
        (numbers[0, i] + numbers[1, j]) / 2 for i, j in itertools.permutations(range(21), 2)
    ]
    assert errors.exact
    np.testing.assert_allclose(errors.sizes, sorted(expected, reverse=True))
    drawn = errors_of(numbers, draws=400, seed=2)
    assert not drawn.exact
    assert set(drawn.sizes.tolist()) <= set(expected)
    assert drawn.sizes.mean() == pytest.approx(np.mean(expected), rel=0.1)


def test_p_and_reach_say_the_same_at_every_level():
    rng = np.random.default_rng(8)
    errors = Errors(-np.sort(-np.abs(rng.integers(-6, 7, size=39) / 4.0)), exact=True)
    for level in (0.5, 0.8, 0.9, 0.95, 0.975):
        reach = errors.reach(level)
        assert errors.p(reach) > 1 - level + 1e-12
        assert errors.p(reach * (1 + 1e-6) + 1e-6) <= 1 - level + 1e-12
    assert errors.reach(0.98) == np.inf
    assert errors.least_p == 1 / 40


def test_p_at_any_effect_agrees_with_the_interval():
    starts = {4: 2, 13: 2}
    y = noise(N, T, 9)
    sure = fitted(y, starts, level=0.8)
    low, high = sure.conf_low[0], sure.conf_high[0]
    for part in (-0.6, -0.501, -0.499, 0.0, 0.499, 0.501, 0.6):
        theta = (low + high) / 2 + part * (high - low)
        p = fitted(y - theta * treated(y.shape, starts), starts).p_value[0]
        assert (p <= 0.2) == (abs(part) > 0.5)


def test_one_pilot_is_ranked_among_all_units():
    """An effect that no comparator matches: p is 1 of 27, and 5 % is attained, 1 % is not."""
    y = noise(N, T, 1) + 1e4 * treated((N, T), {5: 2})
    sure = fitted(y, {5: 2})
    assert sure.p_value[0] == pytest.approx(1 / 27)
    assert sure.facts["least_p"] == pytest.approx(1 / 27)
    assert any("least p attainable is 0.037" in note for note in sure.notes)
    assert 0 < sure.conf_low[0] < 1e4 < sure.conf_high[0] < 2e4
    none = fitted(y, {5: 2}, level=0.99)
    assert (none.conf_low[0], none.conf_high[0]) == (-np.inf, np.inf)
    assert any("no effect can be rejected at level 0.99" in note for note in none.notes)


def test_noisier_comparators_widen_the_interval_and_noisier_pilots_do_not():
    starts = spread(N, 3, 2)
    y = noise(N, T, 2)
    loud = y + 3 * noise(N, T, 7) * (1 - treated((N, T), dict.fromkeys(starts, 0)))
    width = {
        name: np.diff([sure.conf_low[0], sure.conf_high[0]])[0]
        for name, sure in (("usual", fitted(y, starts)), ("loud", fitted(loud, starts)))
    }
    assert width["loud"] > 1.5 * width["usual"]
    apart = y.copy()
    apart[list(starts)] += np.array([-50.0, 0.0, 50.0])[:, None] * np.arange(T)
    spoilt = fitted(apart, starts)
    assert spoilt.conf_high[0] - spoilt.conf_low[0] == pytest.approx(width["usual"])


@pytest.mark.parametrize(("n1", "n0"), [(9, 9), (2, 2), (4, 4), (1, 19), (5, 24)])
def test_too_few_comparators_are_refused(n1, n0):
    n = n1 + n0
    starts = dict.fromkeys(range(n1), 2)
    with pytest.raises(InferenceError, match=rf"{n0} comparators for {n1} pilots?\n") as caught:
        fitted(noise(n, 4, 1), starts)
    assert f"at least {max(20, 5 * n1)} comparators" in str(caught.value)
    assert "Permutation()" in str(caught.value)
    assert ("ClusterRobust('CR2')" in str(caught.value)) == (n1 > 1)  # one pilot: refused there


@pytest.mark.parametrize(("n1", "n0"), [(1, 20), (5, 25)])
def test_just_enough_comparators_are_served(n1, n0):
    sure = fitted(noise(n1 + n0, 4, 1), dict.fromkeys(range(n1), 2))
    assert np.isfinite([sure.p_value[0], sure.conf_low[0]]).all()


def test_order_of_rows_and_scale_change_nothing():
    starts = spread(N, 3, 2)
    y = noise(N, T, 11) + 2 * treated((N, T), starts)
    design = design_of(y, starts)
    one = DiD().fit(design, "m").infer(ConleyTaber(draws=199)).uncertainty
    for factor in (-1e-6, 3.0, 1e6):
        other = fitted(factor * y, starts, ConleyTaber(draws=199))
        assert other.p_value[0] == one.p_value[0]
        ends = sorted([factor * one.conf_low[0], factor * one.conf_high[0]])
        np.testing.assert_allclose([other.conf_low[0], other.conf_high[0]], ends, rtol=1e-7)


def test_comparators_without_a_cell_are_no_placebos_and_pilots_gaps_are_met():
    starts = {2: 2, 9: 2}
    y = with_gaps(noise(N, T, 12), 5, share=0.05, whole=(9,))
    y[2, 0] = np.nan
    estimate = DiD().fit(design_of(y, starts), "m")
    found = placebos(estimate, 0, "a test")
    whole = [j for j in range(N) if j not in starts and np.isfinite(y[j]).all()]
    assert [estimate.sample.units[j] for j in found.comparator_at] == [codes(N)[j] for j in whole]
    assert 0 < found.without == N - 2 - len(whole)
    apart = y[whole] - y[whole].mean(axis=0)
    own = estimate.weights[0][[2, 9]]
    np.testing.assert_allclose(found.deviations, 2 * own @ apart.T, atol=1e-10)
    assert own[0, 0] == 0.0
    if len(whole) >= 20:
        notes = estimate.infer(ConleyTaber()).uncertainty.notes
        assert any(
            f"{found.without} comparators lack a value in a period" in note for note in notes
        )


def test_terms_one_by_one_and_a_band_around_them():
    starts = spread(N, 3, 2)
    y = noise(N, T, 13)
    sure = fitted(y, starts, ConleyTaber(draws=999), EventStudy())
    assert np.isfinite(sure.p_value).all()
    assert (sure.band_low <= sure.conf_low).all()
    assert (sure.band_high >= sure.conf_high).all()
    assert (sure.band_low < sure.conf_low).any()
    # the band at its level rejects a true null somewhere in at most 5 % of the joint draws
    reach = sure.band_high - sure.statistic
    assert 0.02 < (np.abs(sure.null) > reach).any(axis=1).mean() <= 0.05 + 1e-9
    # each column is the term's own placebo errors
    w = y[:, 4] - y[:, 1]
    rest = np.delete(w, list(starts))
    assert np.abs(sure.null[:, -1]).max() <= np.sort(np.abs(rest - rest.mean()))[-3:].mean() + 1e-9
    alone = errors_of(np.tile(rest - rest.mean(), (3, 1)), draws=99_999, seed=5)
    assert np.abs(sure.null[:, -1]).mean() == pytest.approx(alone.sizes.mean(), rel=0.06)


def test_a_term_of_pilots_alone_has_no_test():
    sure = fitted(noise(N, T, 14), spread(N, 3, 2), estimator=Gap())
    table = dict(zip(("before", "after", "change", "before_after"), sure.p_value, strict=False))
    names = list(Gap().fit(design_of(noise(N, T, 14), spread(N, 3, 2)), "m").terms["term"])
    table = dict(zip(names, sure.p_value, strict=True))
    assert np.isnan(table.pop("before_after"))
    assert np.isfinite(list(table.values())).all()
    assert any("before_after has no test" in note for note in sure.notes)


def test_no_spread_is_no_test():
    y = np.add.outer(np.arange(float(N)), np.arange(float(T)) ** 2)
    y[3, 3:] += 2
    sure = fitted(y, {3: 3})
    assert np.isnan(sure.p_value[0])
    assert any("no spread at all" in note for note in sure.notes)


def test_what_covariates_explain_is_no_noise():
    """Least squares on dummies and the covariate; adding the covariate to the outcome is free."""
    starts = {2: 1, 9: 2}
    z = np.random.default_rng(5).normal(size=(N, T))
    y = noise(N, T, 16)
    rest = np.delete(np.arange(N), list(starts))
    found = []
    for outcome in (y, y + 40 * z):
        frame = frame_of(outcome)
        frame["z"] = z.ravel()
        panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m", "z"])
        rollout = Rollout({codes(N)[j]: FIRST + t for j, t in starts.items()})
        design = Design(panel, rollout, against=Pool(), selection="unknown")
        estimate = DiD(covariates=["z"]).fit(design, "m")
        found.append(placebos(estimate, 0, "a test").deviations)
    np.testing.assert_allclose(found[0], found[1], atol=1e-9)
    d = treated(y.shape, starts).ravel()
    fixed = [np.kron(np.eye(N), np.ones((T, 1))), np.kron(np.ones((N, 1)), np.eye(T)[:, 1:])]
    x = np.column_stack([d, z.ravel(), *fixed])
    beta = np.linalg.lstsq(x, y.ravel(), rcond=None)[0]
    assert estimate.values[0] == pytest.approx(beta[0])
    swept = d - x[:, 1:] @ np.linalg.lstsq(x[:, 1:], d, rcond=None)[0]
    form = (swept / (swept @ swept)).reshape(N, T)[list(starts)]
    left = (y - beta[1] * z)[rest]
    np.testing.assert_allclose(found[0], 2 * form @ (left - left.mean(axis=0)).T, atol=1e-9)


def test_sets_and_clusters_are_refused():
    y, ids = noise(N, T, 15), codes(N)
    sets = MatchedSets({ids[0]: {ids[5]: 1.0}, ids[1]: {ids[6]: 1.0}})
    design = design_of(y, {0: 2, 1: 2}, against=sets)
    with pytest.raises(InferenceError, match="against one pool"):
        DiD().fit(design, "m").infer(ConleyTaber())
    clustered = design_of(y, {0: 2}, clusters={u: str(j // 2) for j, u in enumerate(ids)})
    with pytest.raises(InferenceError, match="clusters above units"):
        DiD().fit(clustered, "m").infer(ConleyTaber())


@pytest.mark.parametrize("options", [{"draws": 18}, {"draws": 99.0}, {"seed": -1}, {"seed": True}])
def test_unknown_options_are_refused(options):
    with pytest.raises(InferenceError, match="whole numbers"):
        ConleyTaber(**options)


# -- size ---------------------------------------------------------------------------------------

#: pilots, comparators, noise, the rejection rate of methods.md, section 1
CELLS = [
    (9, 141, "normal", 6.7),
    (9, 141, "sd × 2", 34.8),
    (9, 141, "skewed", 7.6),
    (9, 141, "small", 15.1),
    (3, 147, "normal", 6.2),
    (3, 147, "small", 13.2),
    (1, 149, "normal", 5.6),
    (1, 149, "small", 11.8),
]


def draw(rng: np.random.Generator, n1: int, n0: int, kind: str) -> np.ndarray:
    """Long differences of the table's processes, pilots first."""
    if kind == "skewed":
        return (rng.chisquare(2, n1 + n0) - 2) / 2
    w = rng.normal(size=n1 + n0)
    if kind == "sd × 2":
        w[:n1] *= 2
    if kind == "small":
        m = np.r_[np.exp(rng.normal(-0.9, 0.4, n1)), np.exp(rng.normal(0, 0.9, n0))]
        w *= np.sqrt(0.2 + 0.8 / m)
    return w


def rejected(n1: int, n0: int, kind: str, replications: int) -> float:
    rng = np.random.default_rng(20261122)
    count = 0
    for seed in range(replications):
        w = draw(rng, n1, n0, kind)
        deviations = np.tile(w[n1:] - w[n1:].mean(), (n1, 1))
        errors = errors_of(deviations, draws=599, seed=seed)
        count += errors.p(w[:n1].mean() - w[n1:].mean()) <= 0.05
    return count / replications


def test_the_rate_that_the_notes_give_is_what_happens():
    """Six pilots, thirty comparators: 11 % where 5 % was asked, as 2 Φ(−1.96 √(24 / 36))."""
    rate = rejects_under_equal_noise(6, 30, 0.95)
    assert rate == pytest.approx(2 * scipy.stats.norm.sf(1.959964 * np.sqrt(24 / 36)), rel=1e-5)
    found = rejected(6, 30, "normal", 1000)
    assert abs(found - rate) < 3 * np.sqrt(rate * (1 - rate) / 1000) + 0.01
    notes = fitted(noise(36, 4, 1), dict.fromkeys(range(6), 2)).notes
    assert any("6 pilots and 30 comparators" in n and f"{rate:.3f}" in n for n in notes)


def near(found: float, table: float, replications: int) -> bool:
    """Within three combined Monte Carlo errors of a rate from 3,000 replications."""
    rate = table / 100
    return abs(found - rate) <= 3 * np.sqrt(rate * (1 - rate) * (1 / 3000 + 1 / replications))


def test_the_kernel_is_what_the_class_does():
    starts = dict.fromkeys(range(3), 1)
    w = draw(np.random.default_rng(1), 3, 30, "normal")
    y = np.column_stack([np.zeros(33), w])
    errors = errors_of(np.tile(w[3:] - w[3:].mean(), (3, 1)), draws=599, seed=4)
    sure = fitted(y, starts, ConleyTaber(draws=599, seed=4))
    assert sure.p_value[0] == errors.p(w[:3].mean() - w[3:].mean())


@pytest.mark.parametrize(("n1", "n0", "kind", "table"), [CELLS[0], CELLS[1], CELLS[6]])
def test_size_is_that_of_the_table(n1, n0, kind, table):
    assert near(rejected(n1, n0, kind, 400), table, 400)


@pytest.mark.slow
@pytest.mark.parametrize(("n1", "n0", "kind", "table"), CELLS)
def test_size_is_that_of_the_table_in_full(n1, n0, kind, table):
    assert near(rejected(n1, n0, kind, 3000), table, 3000)


def test_one_comparator_that_lacks_a_cell_is_said_in_the_singular():
    y = noise(30, 5, 1)
    y[29, 0] = np.nan
    notes = fitted(y, {1: 3, 4: 3}).notes
    said = [note for note in notes if "lacks a value" in note]
    assert said == [
        "1 comparator lacks a value in a period that the pilots are measured in, and is not put "
        "in their places"
    ]
    assert any("with 2 pilots and 27 comparators of equal" in note for note in notes)
    assert any("with 1 pilot and" in note for note in fitted(y, {1: 3}).notes)
