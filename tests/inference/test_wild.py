"""The wild bootstrap as an inference: what it takes, refuses and says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import codes, design_of, frame_of, long_of, noise, spread, treated, with_gaps
from numpy.testing import assert_allclose

from didkit.design import Design, MatchedSets, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, WildBootstrap
from didkit.linear import Normal, Signs, wild_draws, wild_joint
from didkit.panel import Panel

STARTS = spread(12, 5, 3)
ALL = [
    WildBootstrap(draws=199),
    WildBootstrap("unrestricted", draws=199),
    WildBootstrap(signs="webb", draws=199),
    WildBootstrap(signs="mammen", draws=199, seed=4),
    WildBootstrap(statistic="CR3", draws=199),
    WildBootstrap(scores="jackknife", draws=199),
    WildBootstrap(subclusters="cells", draws=199),
    WildBootstrap(ties="strict"),
    WildBootstrap(),
]


def rows_of(y, starts):
    """Two-way fixed effects on rows: D and periods as columns, units absorbed."""
    table = long_of(y, starts)
    period = table["period"].to_numpy()
    X = np.column_stack([table["d"], period[:, None] == np.arange(1, y.shape[1])])
    return X.astype(float), table["y"].to_numpy(), table["unit"].to_numpy()


@pytest.mark.parametrize("inference", ALL, ids=repr)
@pytest.mark.parametrize("gaps", [False, True])
def test_did_is_the_bootstrap_of_its_regression(inference, gaps):
    y = noise(12, 6, 3)
    y = with_gaps(y, 1) if gaps else y
    made = DiD().fit(design_of(y, STARTS), "m").infer(inference)
    if inference.subclusters:
        return  # against rows in tests/linear, and below
    X, outcome, unit = rows_of(y, STARTS)
    kernel = wild_draws(
        Normal.from_rows(X, outcome, unit, absorb=unit),
        np.eye(X.shape[1])[0],
        restricted=inference.null == "restricted",
        signs=inference.signs,
        scores=inference.scores,
        variance="CR1" if inference.statistic == "CR1" else "CR3J",
        draws=inference.draws,
        seed=inference.seed,
    )[0]
    sure = made.uncertainty
    assert_allclose(made.values[0], kernel.estimate, rtol=1e-8)
    assert_allclose(sure.std_error[0], np.sqrt(kernel.variance), rtol=1e-7)
    assert_allclose(sure.statistic[0], kernel.estimate / np.sqrt(kernel.variance), rtol=1e-7)
    assert sure.p_value[0] == kernel.p_value(ties=inference.ties)
    found = kernel.interval(0.95, ties=inference.ties)
    assert_allclose([sure.conf_low[0], sure.conf_high[0]], [found.low, found.high], rtol=1e-6)
    assert_allclose(sure.null[:, 0], kernel.statistics(), rtol=1e-6)
    assert sure.facts["exact"] == (inference.draws == 9999)
    assert sure.facts["draws"] == (4096 if sure.facts["exact"] else 199)


def test_standard_errors_are_those_of_cluster_robust():
    made = EventStudy().fit(design_of(noise(12, 6, 3), STARTS), "m")
    for statistic, kind in (("CR1", "CR1"), ("CR3", "CR3J")):
        sure = made.infer(WildBootstrap(statistic=statistic, draws=19)).uncertainty
        other = made.infer(ClusterRobust(kind)).uncertainty
        assert_allclose(sure.std_error, other.std_error, rtol=1e-9)


@pytest.mark.parametrize("inference", ALL, ids=repr)
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_inverts_the_test(inference, level):
    """Take the effect away from the pilots' cells, and p is on the right side of alpha."""
    y = noise(12, 6, 8)
    sure = DiD().fit(design_of(y, STARTS), "m").infer(inference, level=level).uncertainty
    low, high = sure.conf_low[0], sure.conf_high[0]
    for end, out in ((low, -1), (high, 1)):
        for step in (-1e-4, 1e-4):
            shifted = y - (end + out * step * (high - low)) * treated(y.shape, STARTS)
            p = DiD().fit(design_of(shifted, STARTS), "m").infer(inference).uncertainty.p_value[0]
            assert (p <= round(1 - level, 12)) == (step > 0)


def test_event_study_terms_and_band():
    made = EventStudy().fit(design_of(noise(12, 6, 3), STARTS), "m")
    for inference in (WildBootstrap(), WildBootstrap("unrestricted"), WildBootstrap(draws=199)):
        sure = made.infer(inference).uncertainty
        one = wild_draws(
            made.normal,
            made.contrast[2],
            restricted=inference.null == "restricted",
            draws=inference.draws,
        )[0]
        assert sure.p_value[2] == one.p_value()
        assert (sure.band_low <= sure.conf_low).all()
        assert (sure.band_high >= sure.conf_high).all()
        assert (sure.band_high > sure.conf_high + 1e-6).any()


def test_joint():
    """The Wald statistic with the null imposed on all terms; one term is its own test."""
    made = EventStudy().fit(design_of(noise(12, 6, 3), STARTS), "m")
    names = tuple(made.terms["term"])
    inference = WildBootstrap(statistic="CR3")
    found = inference.joint(made, names[1:4])
    kernel = wild_joint(made.normal, made.contrast[1:4], variance="CR3J")
    assert found.statistic == kernel.statistic
    assert found.p_value == kernel.p_value()
    assert "3 terms" in found.method
    assert "CR3" in found.method
    alone = inference.joint(made, names[3:4])
    sure = made.infer(inference).uncertainty
    assert alone.p_value == sure.p_value[3]
    assert_allclose(alone.statistic, sure.statistic[3] ** 2)


def test_cells_draw_their_own_signs():
    """By hand: residuals of the restricted regression, a sign for each cell, refitted."""
    y = with_gaps(noise(12, 6, 5), 2)
    made = DiD().fit(design_of(y, STARTS), "m")
    sure = made.infer(WildBootstrap(subclusters="cells", draws=30)).uncertainty
    X, outcome, unit = rows_of(y, STARTS)
    full = np.column_stack([X, unit[:, None] == np.arange(12)]).astype(float)
    rest = full[:, 1:]
    fitted = rest @ np.linalg.lstsq(rest, outcome, rcond=None)[0]
    found = []
    for v in next(Signs(len(unit), draws=30).chunks(30)):
        star = fitted + v * (outcome - fitted)
        beta = np.linalg.lstsq(full, star, rcond=None)[0]
        M = np.linalg.pinv(full.T @ full)
        score = np.array([full[unit == j].T @ (star - full @ beta)[unit == j] for j in range(12)])
        found.append(beta[0] / np.sqrt(12 / 11 * ((score @ M[0]) ** 2).sum()))
    assert_allclose(sure.null[:, 0], found, rtol=1e-6)
    assert "signs by cell" in sure.method


def test_units_below_regions():
    y = noise(18, 6, 5)
    design = design_of(y, dict.fromkeys([0, 1, 6, 12, 13], 3), clusters=by_threes(18))
    made = DiD().fit(design, "m")
    plain = made.infer(WildBootstrap()).uncertainty
    below = made.infer(WildBootstrap(subclusters="units", draws=199)).uncertainty
    assert plain.facts["draws"] == 2**6
    assert below.facts["draws"] == 199
    assert_allclose(below.std_error, plain.std_error)
    assert below.p_value[0] != plain.p_value[0]
    alone = DiD().fit(design_of(y, dict.fromkeys([0, 1, 6, 12, 13], 3)), "m")
    with pytest.raises(InferenceError, match="clusters above units"):
        alone.infer(WildBootstrap(subclusters="units"))


@pytest.mark.parametrize("estimator", [DiD("complete"), DiD(), Gap(), EventStudy()])
def test_clusters_are_found_by_name(estimator):
    """Twelve regions, of which r10 comes before r2 in the alphabet; units without cells."""
    y = noise(36, 6, 5)
    y[5, 2] = np.nan
    y[20, :4] = np.nan
    pilots = dict.fromkeys([0, 1, 6, 12, 13, 30], 3)
    made = estimator.fit(design_of(y, pilots, clusters=by_threes(36)), "m")
    plain, below = (
        made.infer(WildBootstrap(subclusters=s, draws=99)).uncertainty for s in (None, "units")
    )
    assert_allclose(below.std_error, plain.std_error)
    assert np.isfinite(below.p_value).all()


def by_threes(n):
    return {u: f"r{j // 3}" for j, u in enumerate(codes(n))}


def test_one_number_a_unit_has_no_cells():
    made = DiD("complete").fit(design_of(noise(12, 6, 5), STARTS), "m")
    assert made.infer(WildBootstrap(draws=99)).uncertainty.p_value[0] > 0
    with pytest.raises(InferenceError, match="groups of whole units"):
        made.infer(WildBootstrap(subclusters="cells"))


def test_one_pilot_is_refused():
    made = DiD().fit(design_of(noise(12, 6, 5), {4: 3}), "m")
    for inference in (WildBootstrap(), WildBootstrap("unrestricted")):
        with pytest.raises(InferenceError, match=r"1 pilot[\s\S]*use .*Permutation"):
            made.infer(inference)


def test_matched_sets_publish_no_cross_products():
    y = noise(12, 6, 5)
    ids = codes(12)
    sets = MatchedSets({ids[1]: {ids[0]: 1.0}, ids[4]: {ids[3]: 1.0}})
    made = DiD().fit(design_of(y, {1: 3, 4: 3}, against=sets), "m")
    with pytest.raises(InferenceError, match=r"publishes none[\s\S]*use Permutation\(\) or Jack"):
        made.infer(WildBootstrap())


def test_few_pilots_are_named():
    y = noise(40, 4, 1)
    few = DiD().fit(design_of(y, spread(40, 3, 2)), "m")
    nine = DiD().fit(design_of(y, spread(40, 9, 2)), "m")
    for null, said in (("restricted", "hardly ever rejects"), ("unrestricted", "far too often")):
        notes = few.infer(WildBootstrap(null, draws=99)).uncertainty.notes
        assert any(said in n and "3 clusters of pilots among 40" in n for n in notes)
        notes = nine.infer(WildBootstrap(null, draws=99)).uncertainty.notes
        assert not any("MacKinnon" in n for n in notes)


def test_clusters_with_both_are_counted_once():
    """Nine regions of three units; three of them have one pilot each, and two comparators."""
    y = noise(27, 6, 5)
    made = DiD().fit(design_of(y, {0: 3, 3: 3, 6: 3}, clusters=by_threes(27)), "m")
    notes = made.infer(WildBootstrap(draws=99)).uncertainty.notes
    assert any("3 clusters of pilots among 9 the restricted" in n for n in notes)
    assert any("read ClusterRobust('CR2') instead" in n for n in notes)  # units are not permuted
    assert not any("Permutation" in n for n in notes)


def test_few_clusters_are_named_with_signs_by_unit_too():
    pilots = dict.fromkeys(range(9), 3)
    made = DiD().fit(design_of(noise(27, 6, 5), pilots, clusters=by_threes(27)), "m")
    notes = made.infer(WildBootstrap(subclusters="units", draws=99)).uncertainty.notes
    said = "3 clusters of pilots among 9 the restricted wild bootstrap with signs by unit is unrel"
    assert any(said in n for n in notes)


def test_scores_of_the_jackknife_with_gaps_never_have_a_p_of_zero():
    """Five units with gaps: no vector is the data, which count beside the 32."""
    starts, finite = {1: 2, 3: 3}, 0
    for seed in range(4):
        y = with_gaps(noise(5, 6, seed), seed, share=0.3, whole=(1, 3))
        y = y + 400 * treated(y.shape, starts)
        for inference in (WildBootstrap(scores="jackknife"), WildBootstrap("unrestricted")):
            made = DiD().fit(design_of(y, starts), "m")
            sure = made.infer(inference, level=0.9).uncertainty
            assert sure.facts["exact"]
            assert sure.facts["least_p"] == 1 / 33
            assert sure.p_value[0] >= 1 / 33
            outside = not sure.conf_low[0] <= 0 <= sure.conf_high[0]
            assert outside == (sure.p_value[0] <= 0.1)
            finite += outside
            strict = replace(inference, ties="strict")
            assert made.infer(strict).uncertainty.facts["least_p"] == 0
    assert finite > 0


@pytest.mark.parametrize("inference", ALL, ids=repr)
@pytest.mark.parametrize("factor", [2.0**-490, 1e-150, 1e150])
def test_units_do_not_matter(inference, factor):
    """Squares of such outcomes are no numbers: p was 1 without a word."""
    y = noise(12, 6, 8) - 300
    one, other = (
        DiD().fit(design_of(k * y, STARTS), "m").infer(inference).uncertainty for k in (1, factor)
    )
    assert 0.1 < one.p_value[0] < 0.95
    assert other.p_value[0] == one.p_value[0]
    found = np.array([other.conf_low[0], other.conf_high[0]]) / factor
    assert_allclose(found, [one.conf_low[0], one.conf_high[0]], rtol=1e-7)


@pytest.mark.parametrize("seed", [1, 4, 16])
def test_an_effect_beyond_a_gap_is_inside(seed):
    """p rises again behind a gap: whatever is accepted is inside, and the hull is said."""
    below = WildBootstrap(subclusters="cells", draws=199)
    made = DiD().fit(design_of(noise(12, 3, seed), {0: 1, 1: 1}), "m")
    sure = made.infer(below, level=0.9).uncertainty
    parts = below._parts(made, made.normal)
    drawn = wild_draws(made.normal, made.contrast[:1], draws=199, parts=parts)[0]
    r = made.values[0] + sure.std_error[0] * np.linspace(-15, 15, 6001)
    accepted = np.array([drawn.p_value(x) for x in r]) > 0.1
    inside = (sure.conf_low[0] <= r) & (r <= sure.conf_high[0])
    assert not (accepted & ~inside).any()
    assert (inside & ~accepted).any()
    assert any("its hull is given" in n for n in sure.notes)
    step = 2 * (r[1] - r[0])
    assert_allclose(r[accepted][[0, -1]], [sure.conf_low[0], sure.conf_high[0]], atol=step)


def rejections(n1, seeds):
    """Shares at 5 %, restricted and not: long differences of noise, n1 pilots of 150."""
    X = np.column_stack([np.arange(150) < n1, np.ones(150)]).astype(float)
    rng, found = np.random.default_rng(0), []
    for _ in range(seeds):
        normal = Normal.from_rows(X, rng.normal(size=150), range(150))
        both = [wild_draws(normal, [1, 0], restricted=r, draws=199)[0] for r in (True, False)]
        found.append([one.p_value() <= 0.05 for one in both])
    return np.mean(found, axis=0)


def test_two_pilots_never_reject_when_restricted_and_too_often_when_not():
    """MacKinnon & Webb (2017)."""
    restricted, unrestricted = rejections(2, 150)
    assert restricted == 0
    assert unrestricted > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n1", "restricted", "unrestricted"),
    [(2, 0.0, 0.18), (3, 0.0, 0.10), (4, 0.039, 0.063), (5, 0.064, 0.062), (6, 0.044, 0.049)],
)
def test_size_as_documented(n1, restricted, unrestricted):
    found = rejections(n1, 1000)
    for share, said in zip(found, (restricted, unrestricted), strict=True):
        assert abs(share - said) <= 3 * np.sqrt(said * (1 - said) * (1 / 1000 + 1 / 800))


def test_two_against_two():
    made = DiD().fit(design_of(noise(4, 4, 1), {0: 2, 2: 2}), "m").infer(WildBootstrap())
    sure = made.uncertainty
    assert sure.facts["least_p"] == 1 / 8
    assert (sure.conf_low[0], sure.conf_high[0]) == (-np.inf, np.inf)
    assert any("least p attainable is 0.125" in n for n in sure.notes)
    assert any("no effect is rejected" in n for n in sure.notes)
    assert "all 16 vectors" in sure.method


def test_a_term_of_one_pilot_has_no_test_and_others_do():
    starts = {1: 2, 4: 3, 8: 3}
    made = EventStudy().fit(design_of(noise(14, 6, 2), starts), "m")
    sure = made.infer(WildBootstrap(draws=99)).uncertainty
    lone = made.terms["n_pilots"].to_numpy() == 1
    assert lone.any()
    assert np.isnan(sure.p_value[lone]).all()
    assert np.isfinite(sure.p_value[~lone]).all()
    assert any("carried by one pilot" in n for n in sure.notes)
    with pytest.raises(InferenceError, match="a variance for every term"):
        WildBootstrap(draws=99).joint(made, tuple(made.terms["term"]))


def test_no_spread_is_said():
    y = np.zeros((8, 4)) + treated((8, 4), {0: 2, 3: 2})
    sure = DiD().fit(design_of(y, {0: 2, 3: 2}), "m").infer(WildBootstrap()).uncertainty
    assert np.isnan(sure.p_value[0])
    assert any("no spread" in n for n in sure.notes)


@pytest.mark.parametrize("inference", ALL, ids=repr)
def test_scale_and_order(inference):
    y = noise(12, 6, 7)
    one = DiD().fit(design_of(y, STARTS), "m").infer(inference).uncertainty
    other = DiD().fit(design_of(-3 * y, STARTS), "m").infer(inference).uncertainty
    assert other.p_value[0] == one.p_value[0]
    assert_allclose(other.conf_low, -3 * one.conf_high, rtol=1e-6)
    assert_allclose(other.std_error, 3 * one.std_error)
    frame = frame_of(y).sample(frac=1, random_state=1)
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    ids = codes(12)
    design = design_of(y, STARTS)
    shuffled = Design(
        panel,
        Rollout({ids[j]: 2011 + t for j, t in STARTS.items()}),
        against=design.against,
        selection="unknown",
    )
    again = DiD().fit(shuffled, "m").infer(inference).uncertainty
    assert_allclose(again.p_value, one.p_value)
    assert_allclose(again.conf_low, one.conf_low, rtol=1e-9)


def test_the_seed_decides():
    made = DiD().fit(design_of(noise(20, 6, 7), spread(20, 8, 3)), "m")
    one, same, other = (made.infer(WildBootstrap(draws=199, seed=s)).uncertainty for s in (1, 1, 2))
    assert (one.null == same.null).all()
    assert (one.null != other.null).any()
    p = one.p_value[0]
    assert one.facts["mc_error"] == pytest.approx(np.sqrt(p * (1 - p) / 199))
    assert one.facts["seed"] == 1
    assert one.facts["least_p"] == 1 / 200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"null": "imposed"}, "restricted, unrestricted"),
        ({"signs": "normal"}, "webb"),
        ({"statistic": "CR2"}, "CR1, CR3"),
        ({"scores": "x"}, "jackknife"),
        ({"subclusters": "region"}, "cells, units"),
        ({"ties": True}, "count, strict"),
        ({"draws": 18}, "at least 19"),
        ({"draws": 99.0}, "whole numbers"),
        ({"seed": -1}, "at least 0"),
        ({"scores": "jackknife", "subclusters": "cells"}, "leave one of them out"),
    ],
)
def test_unknown_options(options, text):
    with pytest.raises(InferenceError, match=text):
        WildBootstrap(**options)
