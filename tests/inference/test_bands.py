"""Uniform bands: all terms together, by theorem where every assignment can be listed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from helpers import design_of, noise, spread
from scipy.stats import multivariate_normal, norm

import didkit as dk
from didkit.inference.bands import level_from_covariance, level_from_permutations


def test_one_term_needs_no_more_than_its_interval() -> None:
    assert level_from_covariance(np.array([[4.0]]), 0.9) == 0.9


def test_independent_terms_give_sidak_and_one_term_twice_gives_itself() -> None:
    k, alpha = 4, 0.05
    a = 1 - level_from_covariance(np.diag([1.0, 4.0, 9.0, 0.25]), 1 - alpha)
    assert a == pytest.approx(1 - (1 - alpha) ** (1 / k), rel=0.04)  # 50,000 draws
    a = 1 - level_from_covariance(np.ones((k, k)), 1 - alpha)
    assert a == pytest.approx(alpha, rel=0.04)


def test_correlated_terms_are_inside_together_with_the_level() -> None:
    root = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [-0.3, 0.5, 0.9]])
    covariance = root @ root.T
    a = 1 - level_from_covariance(covariance, 0.95)
    error = np.sqrt(np.diagonal(covariance))
    c = norm.ppf(1 - a / 2)
    inside = multivariate_normal(cov=covariance / np.outer(error, error), seed=1).cdf(
        np.full(3, c), lower_limit=np.full(3, -c)
    )
    assert inside == pytest.approx(0.95, abs=0.003)


@pytest.mark.parametrize(
    "inference",
    [
        dk.Permutation(draws=499, seed=3),
        dk.Permutation("beta", draws=499, seed=3),
        dk.ClusterRobust("CR2"),
        dk.ClusterRobust("CR0"),
        dk.Jackknife(),
    ],
)
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_a_band_is_never_narrower_than_its_intervals(
    inference: dk.results.Inference, level: float
) -> None:
    design = design_of(noise(24, 6, 3), spread(24, 6, 3))
    table = dk.EventStudy().fit(design, "m").infer(inference, level=level).tidy()
    table = table[table["phase"] != "reference"]
    assert (table["band_low"] <= table["conf_low"]).all()
    assert (table["band_high"] >= table["conf_high"]).all()
    assert (table["band_low"] < table["conf_low"]).any()
    both = table[["band_low", "band_high"]].to_numpy()
    assert ((both[:, 0] < table["estimate"]) & (table["estimate"] < both[:, 1])).all()


def test_one_term_has_no_band() -> None:
    design = design_of(noise(24, 6, 3), spread(24, 6, 3))
    for inference in (dk.Permutation(draws=99), dk.ClusterRobust()):
        assert "band_low" not in dk.DiD().fit(design, "m").infer(inference).tidy()


@pytest.mark.parametrize("statistic", ["t", "beta"])
def test_listed_assignments_are_rejected_somewhere_in_no_more_than_alpha(statistic: str) -> None:
    """With every assignment in turn the actual one, the share rejected anywhere is at most α."""
    y, level = noise(9, 4, 11), 0.9
    rejected = 0
    subsets = list(combinations(range(9), 3))
    for chosen in subsets:
        design = design_of(y, dict.fromkeys(chosen, 2))
        events = dk.EventStudy().fit(design, "m").infer(dk.Permutation(statistic), level=level)
        sure = events.attached
        assert sure.facts["exact"]
        assert sure.band_low is not None
        assert sure.band_high is not None
        rejected += bool(((sure.band_low > 0) | (sure.band_high < 0)).any())
    allowed = int((1 - level) * len(subsets))
    assert 0 < rejected <= allowed
    assert rejected >= allowed - 4  # ties of the smallest p are rejected together or not at all


def test_the_band_excludes_zero_where_the_smallest_p_says_so() -> None:
    """Brute force: rank the smallest p of the actual assignment among those of all draws."""
    rng = np.random.default_rng(5)
    null = rng.standard_normal((999, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]])
    for actual in (np.array([2.6, 0, 0]), np.array([0.0, 2.2, 1.0]), np.array([0, 0, 3.4])):
        pooled = np.abs(np.vstack([null, actual]))
        p = np.array([[(column >= cell).mean() for cell in column] for column in pooled.T]).T
        smallest = p.min(axis=1)
        adjusted = float((smallest <= smallest[-1]).mean())
        within = level_from_permutations(null, actual, 0.95, exact=False)
        assert within is not None
        assert (smallest[-1] <= 1 - within) == (adjusted <= 0.05)


def test_too_few_assignments_leave_the_band_without_ends() -> None:
    design = design_of(noise(5, 4, 1), {0: 2, 1: 2})
    events = dk.EventStudy().fit(design, "m").infer(dk.Permutation())
    assert np.isneginf(events.attached.band_low).all()
    assert np.isposinf(events.attached.band_high).all()
    assert any("too few assignments for a uniform band" in note for note in events.all_notes)
    assert level_from_permutations(np.zeros((9, 2)), np.zeros(2), 0.95, exact=False) is None


def test_a_term_of_one_pilot_stays_outside() -> None:
    y = noise(20, 6, 2)
    design = design_of(y, {0: 2, 1: 3, 2: 3, 3: 3})
    events = dk.EventStudy(reference=-1).fit(design, "m").infer(dk.Permutation(draws=199))
    table = events.tidy()
    alone = table[(table["n_pilots"] == 1) & (table["phase"] != "reference")]
    assert len(alone)
    assert alone["band_low"].isna().all()
    others = table[(table["n_pilots"] > 1) & (table["phase"] != "reference")]
    assert np.isfinite(others["band_low"]).all()
    assert any("outside the uniform band" in note for note in events.all_notes)


@pytest.mark.slow
def test_a_true_null_is_rejected_anywhere_in_one_of_twenty() -> None:
    rejected = {"permutation": 0, "CR2": 0}
    n = 1000
    for seed in range(n):
        design = design_of(noise(40, 6, 1000 + seed), spread(40, 8, 3))
        events = dk.EventStudy().fit(design, "m")
        for name, inference in (
            ("permutation", dk.Permutation(draws=399, seed=seed)),
            ("CR2", dk.ClusterRobust("CR2")),
        ):
            sure = events.infer(inference).attached
            rejected[name] += bool(((sure.band_low > 0) | (sure.band_high < 0)).any())
    error = np.sqrt(0.05 * 0.95 / n)
    assert abs(rejected["permutation"] / n - 0.05) < 3.5 * error
    assert abs(rejected["CR2"] / n - 0.05) < 4 * error
