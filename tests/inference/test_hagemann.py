"""Hagemann's rearrangement test: all rearrangements by hand, known numbers, size by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import codes, design_of, noise, treated
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm

import didkit as dk
from didkit.design import MatchedSets
from didkit.errors import InferenceError
from didkit.inference import Hagemann
from didkit.inference.hagemann import _all_below, weight

START = 2


def bound(w: float, q: int, ratio: float, exempt: int) -> float:
    """The bound on the size of the one-sided test, by general quadrature and search."""
    n = q - exempt
    inside = quad(lambda y: norm.cdf((1 - w) * ratio * y) ** n * norm.pdf(y), 0, np.inf)[0]

    def bracket(b: float) -> float:
        lost = 0.0 if exempt else norm.cdf(-w * np.sqrt(q) * b) ** q
        return norm.cdf(w * np.sqrt(n) * b) ** n - lost + 2 * norm.cdf(-b * q)

    starts = np.linspace(0, 10 / q, 200)
    best = starts[np.argmin([bracket(b) for b in starts])]
    near = minimize_scalar(
        bracket, bounds=(max(best - 0.1 / q, 0), best + 0.1 / q), method="bounded"
    )
    return 2.0 ** (-q - 1) + inside + min(near.fun, bracket(best))


@pytest.mark.parametrize(("ratio", "alpha", "least"), [(2.0, 0.025, 14), (2.0, 0.01, 17)])
def test_it_needs_as_many_comparators_as_lau_and_li_say(ratio, alpha, least) -> None:
    """Their footnote 1 and introduction, for all comparators but one."""
    assert np.isnan(weight(least - 1, ratio, alpha))
    assert 0 < weight(least, ratio, alpha) < 1


def test_the_docstrings_least_numbers_of_comparators() -> None:
    for ratio, least in ((1.0, 13), (2.0, 14), (3.0, 15)):
        assert np.isnan(weight(least - 1, ratio, 0.025))
        assert np.isfinite(weight(least, ratio, 0.025))


@pytest.mark.parametrize("exempt", [0, 1])
@pytest.mark.parametrize(
    ("q", "ratio", "alpha"),
    [(14, 2.0, 0.05), (20, 2.0, 0.025), (40, 3.0, 0.025), (149, 2.0, 0.025)],
)
def test_the_weight_is_the_least_that_keeps_the_bound(q, ratio, alpha, exempt) -> None:
    w = weight(q, ratio, alpha, exempt=exempt)
    assert bound(w, q, ratio, exempt) == pytest.approx(alpha, abs=1e-5)
    for part in (0.2, 0.6, 0.9, 0.99):
        assert bound(part * w, q, ratio, exempt) > alpha


def test_without_need_of_a_weight_it_is_0_and_the_bound_is_the_papers() -> None:
    """At w = 0: 5 / 2^(q+1) and the integral."""
    q, ratio = 60, 0.8
    assert weight(q, ratio, 0.025) == 0
    inside = quad(lambda y: norm.cdf(ratio * y) ** (q - 1) * norm.pdf(y), 0, np.inf)[0]
    assert bound(0.0, q, ratio, 1) == pytest.approx(5 / 2 ** (q + 1) + inside, rel=1e-6)


@pytest.mark.parametrize("n", [2, 20, 148])
def test_the_integral_is_that_of_general_quadrature_for_any_ratio(n) -> None:
    s = np.array([0.0, 0.3, 0.999, 1.001, 4.0, 30.0, 400.0])
    for one, made in zip(s, _all_below(s, n), strict=True):
        parts = np.array([0, 1e-3, 1e-2, 0.1, 0.3, 1, 3, 12])
        whole = sum(
            quad(lambda y, k=one: norm.cdf(k * y) ** n * norm.pdf(y), a, b)[0]
            for a, b in itertools.pairwise(parts)
        )
        assert made == pytest.approx(whole, rel=1e-7, abs=1e-12)


def by_rearranging(first: float, others: np.ndarray, w: float) -> bool:
    """Whether the first two of S less the rest is the largest of all choices of two."""
    shifted = first - others.mean()
    s = np.array([(1 + w) * shifted, (1 - w) * shifted, *(others - others.mean())])
    every = [s[list(two)].sum() for two in itertools.combinations(range(len(s)), 2)]
    return bool(shifted > 0 and s[:2].sum() >= max(every) - 1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_the_decision_is_that_of_all_rearrangements(seed) -> None:
    q, alpha = 20, 0.05
    y = noise(q + 1, 4, seed)
    y[5, START:] += (-1) ** seed * 7 * (seed // 2)
    made = dk.DiD().fit(design_of(y, {5: START}), "m").infer(Hagemann(1.5))["att"]
    w = y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)
    others, omega = np.delete(w, 5), weight(q, 1.5, alpha / 2)
    rejects = by_rearranging(w[5], others, omega) or by_rearranging(-w[5], -others, omega)
    assert (made["p_value"] <= alpha) == rejects
    assert (not made["conf_low"] <= 0 <= made["conf_high"]) == rejects


def test_the_seeds_above_reject_and_do_not() -> None:
    p = []
    for seed in range(12):
        y = noise(21, 4, seed)
        y[5, START:] += (-1) ** seed * 7 * (seed // 2)
        made = dk.DiD().fit(design_of(y, {5: START}), "m").infer(Hagemann(1.5))["att"]
        p.append(made["p_value"] <= 0.05)
    assert 2 < sum(p) < 10


@pytest.mark.parametrize("effect", [-80.0, 80.0])
@pytest.mark.parametrize("exempt", [0, 1])
def test_direction_breakdown_scale_and_agreement(effect, exempt) -> None:
    y, starts = noise(25, 4, 3), {8: START}
    on = treated(y.shape, starts)

    def row(z: np.ndarray, ratio: float = 1.0):
        return dk.DiD().fit(design_of(z, starts), "m").infer(Hagemann(ratio, exempt=exempt))

    made = row(y + effect * on)["att"]
    assert made["conf_low"] < effect < made["conf_high"]
    assert made["p_value"] <= 0.05
    assert np.sign(made["statistic"]) == np.sign(effect)
    ratio = row(y + effect * on).attached.facts["breakdown_ratio"]
    assert row(y + effect * on, 0.999 * ratio)["att"]["p_value"] <= 0.05
    assert row(y + effect * on, 1.001 * ratio)["att"]["p_value"] > 0.05
    scaled = row(-3 * (y + effect * on))["att"]
    assert scaled["p_value"] == pytest.approx(made["p_value"], rel=1e-6)
    assert scaled["conf_low"] == pytest.approx(-3 * made["conf_high"], rel=1e-6)
    for end in ("conf_low", "conf_high"):
        for by, rejected in ((1.001, True), (0.999, False)):
            theta = made["estimate"] + by * (made[end] - made["estimate"])
            p = row(y + (effect - theta) * on)["att"]["p_value"]
            assert (p <= 0.05) == rejected


def test_a_noisier_pilot_is_given_a_larger_p_and_a_wider_interval() -> None:
    y = noise(30, 4, 3)
    y[8, START:] += 60
    made = dk.DiD().fit(design_of(y, {8: START}), "m")
    rows = [made.infer(Hagemann(ratio))["att"] for ratio in (0.5, 1.0, 2.0, 4.0)]
    assert all(np.diff([row["p_value"] for row in rows]) > 0)
    assert all(np.diff([row["conf_low"] for row in rows]) < 0)
    assert all(np.diff([row["conf_high"] for row in rows]) > 0)


def test_an_effect_beyond_all_measure_has_an_infinite_breakdown_ratio() -> None:
    y = noise(25, 4, 3)
    y[8, START:] += 1e13
    made = dk.DiD().fit(design_of(y, {8: START}), "m").infer(Hagemann())
    assert made.attached.facts["breakdown_ratio"] == np.inf


def test_too_few_comparators_give_an_infinite_interval_and_say_so() -> None:
    y = noise(13, 4, 3)
    y[8, START:] += 500
    made = dk.DiD().fit(design_of(y, {8: START}), "m").infer(Hagemann())
    assert made["att"]["conf_low"] == -np.inf
    assert made["att"]["conf_high"] == np.inf
    assert made["att"]["p_value"] > 0.05
    assert made.attached.facts["least_p"] > 0.05
    assert made.attached.facts["breakdown_ratio"] < 1  # though some ratio below 1 would do
    assert any("12 comparators are too few" in note for note in made.attached.notes)


def test_several_terms_are_tested_one_by_one() -> None:
    y = noise(25, 5, 4)
    made = dk.EventStudy().fit(design_of(y, {8: 3}), "m").infer(Hagemann())
    alone = dk.EventStudy().fit(design_of(y[:, [2, 4]], {8: 1}), "m").infer(Hagemann())
    for name in ("p_value", "conf_low", "conf_high"):
        assert made["event time +1"][name] == pytest.approx(alone["event time 0"][name], rel=1e-9)


def test_several_pilots_sets_and_wrong_options_are_refused() -> None:
    y = noise(20, 4, 1)
    with pytest.raises(InferenceError, match="one pilot and at least three comparators"):
        dk.DiD().fit(design_of(y, {1: 2, 5: 2}), "m").infer(Hagemann())
    ids = codes(4)
    sets = MatchedSets({ids[0]: {ids[1]: 0.5, ids[2]: 0.5}})
    with pytest.raises(InferenceError, match="two groups"):
        dk.DiD().fit(design_of(y[:4], {0: 2}, against=sets), "m").infer(Hagemann())
    for ratio in (0, np.nan, np.inf, "2", True):
        with pytest.raises(InferenceError, match="ratio above 0"):
            Hagemann(ratio)
    for exempt in (2, -1, True, "all"):
        with pytest.raises(InferenceError, match="exempt"):
            Hagemann(exempt=exempt)


def test_comparators_all_alike_give_no_test() -> None:
    y = np.ones((20, 4))
    y[3, 2:] += 1
    made = dk.DiD().fit(design_of(y, {3: 2}), "m").infer(Hagemann())
    assert np.isnan(made["att"]["p_value"])
    assert any("no spread" in note for note in made.attached.notes)


def size(sds: list[float], pilot: float, ratio: float, exempt: int = 1, reps: int = 20000) -> float:
    """Percent of true nulls rejected at 5 %, by the rule shown above to be ours."""
    rng, q = np.random.default_rng(6), len(sds)
    b, a = rng.normal(size=(reps, q)) * sds, rng.normal(size=reps) * pilot
    w, centre = weight(q, ratio, 0.025, exempt=exempt), b.mean(axis=1)
    high = (1 - w) * (a - centre) > (b.max(axis=1) - centre)
    low = (1 - w) * (centre - a) > (centre - b.min(axis=1))
    return float(100 * (high | low).mean())


@pytest.mark.parametrize(
    ("sds", "pilot", "ratio", "known"),
    [
        ([1.0] * 20, 1, 1, 4.4),
        ([1.0] * 20, 2, 2, 3.9),
        ([0.0] + [1.0] * 19, 1, 1, 4.8),
        ([1.0] * 10 + [0.1] * 10, 1, 1, 11.0),
    ],
)
def test_sizes_that_the_docstring_gives(sds, pilot, ratio, known) -> None:
    error = np.sqrt(known * (100 - known) * (1 / 20000 + 1 / 200000))
    assert abs(size(sds, pilot, ratio) - known) <= 3 * error + 0.05


@pytest.mark.parametrize("exempt", [0, 1])
def test_it_keeps_its_size_wherever_the_ratio_holds(exempt) -> None:
    for sds in ([1.0] * 15 + [4.0] * 5, [1.0, 2, 3, 4] * 5, [1.0] * 19 + [50.0]):
        assert size(sds, 2, 2, exempt) <= 5 + 3 * np.sqrt(5 * 95 / 20000)


@pytest.mark.parametrize(
    ("n", "starts", "named", "served"),
    [
        (20, {1: 2, 5: 2}, "LauLi()", dk.LauLi()),
        (3, {1: 2}, "LauLi()", dk.LauLi()),
        (3, {0: 2, 1: 2}, "DonaldLang()", dk.DonaldLang()),
        (2, {1: 2}, "add comparators", None),
    ],
)
def test_what_is_named_instead_serves(n, starts, named, served) -> None:
    made = dk.DiD().fit(design_of(noise(n, 4, 1), starts), "m")
    with pytest.raises(InferenceError) as caught:
        made.infer(Hagemann())
    assert named in caught.value.todo
    assert "1 pilots" not in str(caught.value)
    assert "1 comparators" not in str(caught.value)
    if served is not None:
        assert np.isfinite(made.infer(served).attached.p_value[0])
    else:
        for method in (dk.LauLi(), dk.DonaldLang()):
            with pytest.raises(InferenceError, match="add comparators"):
                made.infer(method)


def test_a_ratio_of_one_is_said_as_alike() -> None:
    made = dk.DiD().fit(design_of(noise(20, 4, 1), {1: 2}), "m")
    one, two = (made.infer(Hagemann(ratio)).attached for ratio in (1, 2))
    assert "at most as noisy as all comparators but one" in one.method
    assert "at most 2 times as noisy as all comparators but one" in two.method
    assert not any("1 times" in text for text in (one.method, *one.notes))
