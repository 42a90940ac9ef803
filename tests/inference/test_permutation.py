"""Permutation: brute force in plain Python, least p, strata, seeds, and the interval it inverts."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from helpers import FIRST, codes, design_of, noise, panel_of, spread, treated, with_gaps

from didkit.design import Design, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import Permutation
from didkit.inference.assignments import assignments


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def brute_force(w: list[float], pilots: set[int], studentised: bool) -> float:
    """Exact two-sided p of a difference of two means, in plain Python."""

    def statistic(chosen: set[int]) -> float:
        one = [v for j, v in enumerate(w) if j in chosen]
        other = [v for j, v in enumerate(w) if j not in chosen]
        difference = abs(mean(one) - mean(other))
        if not studentised:
            return difference
        variance = sum((v - mean(one)) ** 2 for v in one) / len(one) ** 2
        variance += sum((v - mean(other)) ** 2 for v in other) / len(other) ** 2
        return difference / variance**0.5

    mine = statistic(pilots)
    every = [set(c) for c in itertools.combinations(range(len(w)), len(pilots))]
    return mean([statistic(c) >= mine * (1 - 1e-9) for c in every])


@pytest.mark.parametrize("statistic", ["t", "beta"])
@pytest.mark.parametrize(("n1", "n0"), [(2, 5), (3, 4), (2, 2)])
@pytest.mark.parametrize("cells", ["observed", "complete"])
def test_exact_p_is_brute_force(n1, n0, statistic, cells):
    for seed in range(4):
        y = noise(n1 + n0, 4, seed)
        starts = spread(n1 + n0, n1, 2)
        y += 6 * treated(y.shape, starts)
        w = (y[:, 2:].mean(axis=1) - y[:, :2].mean(axis=1)).tolist()
        made = DiD(cells).fit(design_of(y, starts), "m").infer(Permutation(statistic))
        assert made.uncertainty.facts["exact"]
        assert made.uncertainty.facts["draws"] == comb(n1 + n0, n1)
        expected = brute_force(w, set(starts), statistic == "t")
        assert made.uncertainty.p_value[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("n1", "n0", "least"), [(2, 2, 1 / 3), (3, 3, 0.1), (4, 4, 2 / 70), (1, 19, 0.05)]
)
def test_least_attainable_p(n1, n0, least):
    """Attained by an effect that no other assignment can match."""
    n = n1 + n0
    starts = dict.fromkeys(range(1, 2 * n1, 2), 2) if n1 > 1 else {7: 2}
    y = noise(n, 4, 1) + 1e4 * treated((n, 4), starts)
    made = DiD().fit(design_of(y, starts), "m").infer(Permutation("beta"))
    assert made.uncertainty.facts["least_p"] == pytest.approx(least)
    assert made.uncertainty.p_value[0] == pytest.approx(least)
    assert any(f"least p attainable is {least:.3f}" in note for note in made.uncertainty.notes)


def test_least_p_with_strata():
    """A mirror image exists only if every stratum can be turned round, those without pilots too."""

    def least(labels: list[str], pilots: list[int]) -> float:
        n = len(labels)
        y = noise(n, 4, 2) + 1e4 * treated((n, 4), dict.fromkeys(pilots, 2))
        design = design_of(
            y,
            dict.fromkeys(pilots, 2),
            strata=dict(zip(codes(n), labels, strict=True)),
        )
        sure = DiD().fit(design, "m").infer(Permutation("beta")).uncertainty
        assert sure.p_value[0] == pytest.approx(sure.facts["least_p"])
        return sure.facts["least_p"]

    assert least(list("aaaabb"), [0, 1, 4]) == pytest.approx(2 / 12)
    assert least(list("aaaabbb"), [0, 1]) == pytest.approx(1 / 6)


def test_no_effect_can_be_rejected_with_two_and_two():
    y = noise(4, 4, 1) + 1e4 * treated((4, 4), {0: 2, 2: 2})
    sure = DiD().fit(design_of(y, {0: 2, 2: 2}), "m").infer(Permutation()).uncertainty
    assert sure.conf_low[0] == -np.inf
    assert sure.conf_high[0] == np.inf
    assert any("no effect can be rejected at level 0.95" in note for note in sure.notes)
    wide = DiD().fit(design_of(y, {0: 2, 2: 2}), "m").infer(Permutation("beta"), level=0.6)
    assert np.isfinite(wide.uncertainty.conf_low[0])


# -- draws ----------------------------------------------------------------------------------------

N, T = 24, 5
ONE = spread(N, 7, 3)
STAGGERED = {1: 2, 4: 3, 7: 2, 10: 4, 12: 3, 13: 4}


def test_sampled_p_is_one_plus_count_over_one_plus_draws():
    made = DiD().fit(design_of(noise(N, T, 3), ONE), "m")
    for statistic in ("t", "beta"):
        inference = Permutation(statistic, draws=199, seed=4)
        sure = made.infer(inference).uncertainty
        assert not sure.facts["exact"]
        labels = assignments(made.sample, draws=199, seed=4).labels
        assert labels.shape == (199, N)
        y = made.sample.y
        w = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)

        def size(chosen: np.ndarray, w=w, statistic=statistic) -> float:
            a, b = w[chosen], w[~chosen]
            spread_ = a.var() / len(a) + b.var() / len(b)
            return abs(a.mean() - b.mean()) / (spread_**0.5 if statistic == "t" else 1)

        count = sum(size(row >= 0) >= size(made.sample.pilot) for row in labels)
        assert sure.p_value[0] == pytest.approx((1 + count) / 200, abs=1e-12)
        p = sure.p_value[0]
        assert sure.facts["mc_error"] == pytest.approx((p * (1 - p) / 199) ** 0.5)


def test_the_statistic_is_t_with_cr1():
    from didkit.inference import ClusterRobust

    made = DiD().fit(design_of(noise(N, T, 3), ONE), "m")
    t = made.infer(ClusterRobust("CR1")).uncertainty.statistic[0]
    sure = made.infer(Permutation("t", draws=99)).uncertainty
    assert sure.statistic[0] == pytest.approx(t, rel=1e-9)
    beta = made.infer(Permutation("beta", draws=99)).uncertainty
    assert beta.statistic[0] == pytest.approx(made.values[0])
    assert np.isnan(sure.std_error).all()
    assert np.isnan(made.infer(Permutation(draws=99)).covariance.to_numpy()).all()
    assert any("no standard error" in note for note in sure.notes)


def test_same_seed_same_number_other_seed_another():
    made = DiD().fit(design_of(noise(N, T, 3) + 2 * treated((N, T), ONE), ONE), "m")
    one, same, other = (made.infer(Permutation(draws=299, seed=s)).uncertainty for s in (5, 5, 6))
    np.testing.assert_array_equal(one.null, same.null)
    assert (one.p_value[0], one.conf_low[0], one.conf_high[0]) == (
        same.p_value[0],
        same.conf_low[0],
        same.conf_high[0],
    )
    assert not np.array_equal(one.null, other.null)
    assert one.facts["seed"] == 5


def strata_design(y: np.ndarray, starts: dict[int, int], labels: list[str]) -> Design:
    ids = codes(len(y))
    return Design(
        panel_of(y),
        Rollout({ids[j]: FIRST + t for j, t in starts.items()}),
        against=Pool(),
        selection="random",
        strata=dict(zip(ids, labels, strict=True)),
    )


@pytest.mark.parametrize("draws", [99, 10**6])
@pytest.mark.parametrize("starts", [{0: 2, 1: 2, 5: 2}, {0: 2, 1: 3, 5: 2}])
def test_no_draw_moves_a_pilot_out_of_its_stratum(starts, draws):
    """Counts by stratum and start are those of the actual rollout, in every draw."""
    labels = list("aaaabbbbbbccc")
    design = strata_design(noise(13, 5, 1), starts, labels)
    sample = DiD().fit(design, "m").sample
    found = assignments(sample, draws=draws, seed=1)
    stratum = np.array(labels)
    for g, start in enumerate(sorted(set(starts.values()))):
        for s in "abc":
            expected = sum(labels[j] == s and t == start for j, t in starts.items())
            counted = (found.labels[:, stratum == s] == g).sum(axis=1)
            assert (counted == expected).all()
    two_starts = len(set(starts.values())) > 1
    total = comb(4, 2) * (2 if two_starts else 1) * comb(6, 1)
    assert found.total == total
    assert found.exact
    assert len(np.unique(found.labels, axis=0)) == total
    assert (found.labels == sample.cohort).all(axis=1).any()


def test_sampled_draws_respect_strata_and_are_uniform():
    """Every unit of a stratum is drawn equally often, and every start equally often on each."""
    starts = {0: 2, 1: 3, 2: 2, 12: 3, 13: 2}
    labels = ["a"] * 12 + ["b"] * 12
    sample = DiD().fit(strata_design(noise(24, 5, 1), starts, labels), "m").sample
    found = assignments(sample, draws=6000, seed=2)
    assert not found.exact
    for g, counts in ((0, (2, 1)), (1, (1, 1))):
        for half, count in zip((slice(0, 12), slice(12, 24)), counts, strict=True):
            part = found.labels[:, half] == g
            assert (part.sum(axis=1) == count).all()
            rate = part.mean(axis=0)
            np.testing.assert_allclose(rate, count / 12, atol=5 * (count / 12 / 6000) ** 0.5)


def test_exact_staggered_assignments_are_all_and_once():
    sample = DiD().fit(design_of(noise(7, 5, 1), {0: 2, 3: 3, 6: 3}), "m").sample
    found = assignments(sample, draws=9999, seed=0)
    expected = {
        tuple(0 if j == a else 1 if j in pair else -1 for j in range(7))
        for a in range(7)
        for pair in itertools.combinations([j for j in range(7) if j != a], 2)
    }
    assert {tuple(row) for row in found.labels.tolist()} == expected
    assert found.total == len(expected) == len(found.labels)
    assert found.least_p == pytest.approx(1 / len(expected))


def test_as_many_draws_as_assignments_is_exact():
    sample = DiD().fit(design_of(noise(7, 5, 1), {0: 2, 3: 2}), "m").sample
    assert assignments(sample, draws=21, seed=0).exact
    assert not assignments(sample, draws=20, seed=0).exact


def test_least_p_when_drawn_is_one_over_one_plus_draws():
    made = DiD().fit(design_of(noise(N, T, 3) + 1e4 * treated((N, T), ONE), ONE), "m")
    sure = made.infer(Permutation("beta", draws=39)).uncertainty
    assert sure.p_value[0] == pytest.approx(1 / 40)
    assert sure.facts["least_p"] == pytest.approx(1 / 40)


# -- the interval ---------------------------------------------------------------------------------


def acts(made, m: int, starts: dict[int, int], shape: tuple[int, int]) -> np.ndarray:
    """The term's treatment, over the cells."""
    on = np.zeros(shape)
    for j, s in starts.items():
        if isinstance(made.estimator, EventStudy):
            if 0 <= s + made.terms["position"][m] < shape[1]:
                on[j, s + made.terms["position"][m]] = 1
        else:
            on[j, s:] = 1
    return on


CASES = [
    pytest.param(estimator, starts, gaps, inference, id=f"{estimator} {inference} {gaps}")
    for estimator, starts, gaps in (
        (DiD(), ONE, False),
        (DiD(), STAGGERED, True),
        (DiD("complete"), STAGGERED, False),
        (EventStudy(), ONE, True),
        (EventStudy(cells="complete"), ONE, False),
    )
    for inference in (
        Permutation("t", draws=199, seed=1),
        Permutation("beta", draws=199, seed=2),
    )
]
SMALL = [
    pytest.param(DiD(), {1: 2, 4: 2, 6: 2}, False, Permutation(s), id=f"exact {s}")
    for s in ("t", "beta")
]


@pytest.mark.parametrize(("estimator", "starts", "gaps", "inference"), CASES + SMALL)
def test_rejected_means_outside_the_interval(estimator, starts, gaps, inference):
    """p(θ0) ≤ α exactly when θ0 is outside, by testing the outcome less θ0 × treatment."""
    n = N if len(starts) > 3 else 9
    y = noise(n, T, 5) + 4 * treated((n, T), starts)
    if gaps:
        y = with_gaps(y, 5, share=0.08, whole=list(starts))
    made = estimator.fit(design_of(y, starts), "m")
    m = made.n_terms - 1
    for level in (0.9, 0.8):
        sure = made.infer(inference, level=level).uncertainty
        low, high = sure.conf_low[m], sure.conf_high[m]
        assert np.isfinite([low, high]).all()
        assert low < made.values[m] < high
        hull = any(
            "its hull" in note and note.startswith(made.terms["term"][m]) for note in sure.notes
        )
        width = high - low
        inside = [low + f * width for f in (1e-5, 0.2, 0.5, 0.9, 1 - 1e-5)]
        outside = [low - f * width for f in (1e-5, 0.3, 4.0)]
        outside += [high + f * width for f in (1e-5, 0.3, 4.0)]
        alpha = round(1 - level, 12)
        for theta in inside + outside:
            shifted = design_of(y - theta * acts(made, m, starts, y.shape), starts)
            p = estimator.fit(shifted, "m").infer(inference).uncertainty.p_value[m]
            if theta in outside:
                assert p <= alpha
            elif not hull:
                assert p > alpha


def test_zero_is_inside_exactly_when_p_exceeds_alpha():
    for seed in range(25):
        y = noise(N, T, seed) + 3.2 * treated((N, T), ONE)
        for statistic in ("t", "beta"):
            sure = (
                DiD()
                .fit(design_of(y, ONE), "m")
                .infer(Permutation(statistic, draws=99), level=0.9)
                .uncertainty
            )
            hull = any("its hull" in note for note in sure.notes)
            holds = sure.conf_low[0] <= 0 <= sure.conf_high[0]
            assert holds == (sure.p_value[0] > 0.1) or (hull and holds)


def test_alpha_is_not_one_minus_level_in_binary():
    """1 − 0.9 is a little less than .1 in floating point: p = .1 rejects at level .9 all the same.

    Three against three: the least p is 2/20.
    """
    y = noise(6, 4, 1) + 1e3 * treated((6, 4), {0: 2, 2: 2, 4: 2})
    made = DiD().fit(design_of(y, {0: 2, 2: 2, 4: 2}), "m")
    sure = made.infer(Permutation("beta"), level=0.9).uncertainty
    assert sure.p_value[0] == 0.1
    assert sure.conf_low[0] > 0


def test_a_higher_level_gives_a_wider_interval():
    made = DiD().fit(design_of(noise(N, T, 5), ONE), "m")
    ends = [made.infer(Permutation(draws=499), level=one).uncertainty for one in (0.5, 0.9, 0.99)]
    low, high = [e.conf_low[0] for e in ends], [e.conf_high[0] for e in ends]
    assert low == sorted(low, reverse=True)
    assert high == sorted(high)


def test_interval_of_beta_with_one_pilot_is_order_statistics():
    """One pilot of 20, level .90: reject θ where at most 2 of 20 placebos are as large.

    The pilot, less θ, has the third-largest |deviation| at the ends.
    """
    n = 20
    y = noise(n, 2, 3)
    w = y[:, 1] - y[:, 0]
    made = DiD().fit(design_of(y, {8: 1}), "m").infer(Permutation("beta"), level=0.9)
    sure = made.uncertainty

    def p(theta: float) -> float:
        shifted = w.copy()
        shifted[8] -= theta
        each = np.abs([v - np.delete(shifted, j).mean() for j, v in enumerate(shifted)])
        return float((each >= each[8] * (1 - 1e-9)).mean())

    for end, out in ((sure.conf_low[0], -1e-6), (sure.conf_high[0], 1e-6)):
        assert p(end + out) <= 0.1
        assert p(end - out) > 0.1
    assert sure.p_value[0] == pytest.approx(p(0.0))


# -- what it says, what it refuses ----------------------------------------------------------------


def test_pilots_that_were_not_randomised_have_a_placebo_rank():
    y = noise(N, T, 3)
    for selection, told in (("bid", True), ("random", False)):
        design = design_of(y, ONE, selection=selection)
        notes = DiD().fit(design, "m").infer(Permutation(draws=99)).uncertainty.notes
        assert any("not randomised" in note for note in notes) == told


def test_terms_carried_by_one_pilot_are_ranked_by_the_estimate():
    starts = {1: 2, 4: 3, 7: 3, 10: 3}
    made = EventStudy().fit(design_of(noise(12, 5, 3), starts), "m")
    t = made.infer(Permutation("t", draws=199)).uncertainty
    beta = made.infer(Permutation("beta", draws=199)).uncertainty
    alone = (made.terms["n_pilots"] == 1).to_numpy()
    assert alone.sum() == 1
    np.testing.assert_allclose(t.p_value[alone], beta.p_value[alone])
    np.testing.assert_allclose(t.statistic[alone], made.values[alone])
    assert any("1 terms carried by one pilot" in note for note in t.notes)


def test_before_after_has_no_permutation_test():
    made = Gap().fit(design_of(noise(N, T, 3), ONE), "m").infer(Permutation(draws=99))
    table = made.tidy().set_index("term")
    assert np.isnan(table.loc["before_after", "p_value"])
    assert np.isfinite(table["p_value"].drop("before_after")).all()
    assert any("before_after has no comparators" in n for n in made.uncertainty.notes)


def test_p_does_not_depend_on_scale():
    y = noise(N, T, 3) + 2 * treated((N, T), ONE)
    one, other = (
        DiD().fit(design_of(k * y, ONE), "m").infer(Permutation(draws=99)).uncertainty
        for k in (1, 1e-7)
    )
    assert other.p_value[0] == one.p_value[0]
    assert other.conf_low[0] == pytest.approx(1e-7 * one.conf_low[0], rel=1e-6)
    assert other.statistic[0] == pytest.approx(one.statistic[0])


def test_joint_rank_is_brute_force():
    """t' S⁻¹ t over all assignments, with NumPy from the long differences."""
    n, starts = 8, {1: 2, 5: 2, 6: 2}
    y = noise(n, 4, 8)
    made = EventStudy().fit(design_of(y, starts), "m")
    terms = ("event time 0", "event time +1")
    w = np.stack([y[:, 2] - y[:, 1], y[:, 3] - y[:, 1]], axis=1)

    def vector(chosen: list[int]) -> np.ndarray:
        a = w[chosen]
        b = np.delete(w, chosen, axis=0)
        error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
        return (a.mean(axis=0) - b.mean(axis=0)) / error

    every = np.array([vector(list(c)) for c in itertools.combinations(range(n), 3)])
    inverse = np.linalg.inv(np.cov(every, rowvar=False))
    size = np.array([v @ inverse @ v for v in every])
    own = vector(list(starts)) @ inverse @ vector(list(starts))
    found = Permutation("t").joint(made, terms)
    assert found.statistic == pytest.approx(own, rel=1e-8)
    assert found.p_value == pytest.approx((size >= own * (1 - 1e-9)).mean(), abs=1e-12)


@pytest.mark.parametrize("draws", [18, 0, -1, 99.0, "99", True])
def test_too_few_draws_are_refused(draws):
    with pytest.raises(InferenceError, match="at least 19") as caught:
        Permutation(draws=draws)
    assert repr(draws) in str(caught.value)


def test_unknown_statistic_is_refused():
    with pytest.raises(InferenceError, match="statistic='t' or statistic='beta'"):
        Permutation("wild")


def test_clusters_are_refused():
    ids = codes(N)
    clusters = {unit: str(j // 2) for j, unit in enumerate(ids)}
    design = design_of(noise(N, T, 1), ONE, clusters=clusters)
    with pytest.raises(InferenceError, match="12 clusters of 24 units") as caught:
        DiD().fit(design, "m").infer(Permutation())
    assert "strata=" in str(caught.value)
