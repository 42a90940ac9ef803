"""The refit for many assignments at once equals refitting one by one through the design."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import FIRST, codes, design_of, noise, spread, treated, with_gaps

from didkit.design import Rollout
from didkit.estimate import DiD, EventStudy, Gap
from didkit.estimate import cells as cells_module
from didkit.estimate.two_way import two_way
from didkit.inference import ClusterRobust

N, T = 14, 6
ONE = spread(N, 4, 3)
STAGGERED = {1: 2, 4: 3, 7: 2, 10: 4, 12: 3, 13: 4}


def outcome(starts: dict[int, int], gaps: bool, seed: int) -> np.ndarray:
    y = noise(N, T, seed) + 6 * treated((N, T), starts)
    return with_gaps(y, seed + 1) if gaps else y


def outcome_for(estimator, starts: dict[int, int], gaps: bool, seed: int) -> np.ndarray:
    """Give gaps; where only whole units count, to two comparators."""
    y = outcome(starts, gaps, seed)
    if gaps and getattr(estimator, "cells", "") == "complete":
        kept = [j for j in range(N) if j not in (0, 5)]
        y[kept] = outcome(starts, False, seed)[kept]
        y[[0, 5], [1, 4]] = np.nan
    return y


def draws(starts: dict[int, int], n: int, seed: int) -> np.ndarray:
    """Labels (n, N): the actual assignment first, then the cohorts shuffled."""
    cohorts = sorted(set(starts.values()))
    actual = np.full(N, -1)
    for j, t in starts.items():
        actual[j] = cohorts.index(t)
    rng = np.random.default_rng(seed)
    return np.stack([actual, *(rng.permutation(actual) for _ in range(n))])


def rollout_of(labels: np.ndarray, starts: dict[int, int]) -> Rollout:
    cohorts = sorted(set(starts.values()))
    return Rollout({codes(N)[j]: FIRST + cohorts[g] for j, g in enumerate(labels) if g >= 0})


def refit(estimator, design, labels, starts):
    """Estimate and CR0 variance under one assignment, through the public door."""
    made = estimator.fit(design.reassign(rollout_of(labels, starts)), "m")
    return made.terms["term"].tolist(), made.values, (made.influence**2).sum(axis=0)


CASES = [
    pytest.param(estimator, starts, gaps, id=f"{estimator}, {name}, {'gaps' if gaps else 'whole'}")
    for name, starts in (("one start", ONE), ("staggered", STAGGERED))
    for gaps in (False, True)
    for estimator in (
        DiD(),
        DiD("complete"),
        EventStudy(),
        EventStudy(time="calendar"),
        EventStudy(cells="complete"),
    )
]
CASES += [
    pytest.param(Gap(), starts, gaps, id=f"Gap, {name}, {'gaps' if gaps else 'whole'}")
    for name, starts, gaps in (
        ("one start", ONE, False),
        ("one start", ONE, True),
        ("staggered", STAGGERED, False),
    )
]


@pytest.mark.parametrize(("estimator", "starts", "gaps"), CASES)
def test_reassigned_is_the_refit(estimator, starts, gaps):
    y = outcome_for(estimator, starts, gaps, seed=11)
    design = design_of(y, starts)
    made = estimator.fit(design, "m")
    kept = [codes(N).index(unit) for unit in made.sample.units]
    labels = draws(starts, 6, seed=3)
    labels = labels[(labels[:, kept] >= 0).sum(axis=1) == len(starts)]
    found = made.reassigned(labels[:, kept])
    assert np.isnan(found.b[:, ~_compared(made)]).all()
    for i, row in enumerate(labels):
        terms, values, variances = refit(estimator, design, row, starts)
        assert terms == made.terms["term"].tolist()
        at = _compared(made)
        np.testing.assert_allclose(found.b[i, at], values[at], rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.v0[i, at], variances[at], rtol=1e-7, atol=1e-10)


def _compared(made) -> np.ndarray:
    return (made.terms["n_comparators"] > 0).to_numpy()


@pytest.mark.parametrize(("estimator", "starts", "gaps"), CASES)
def test_the_actual_assignment_has_the_estimate_and_its_variance(estimator, starts, gaps):
    made = estimator.fit(design_of(outcome_for(estimator, starts, gaps, seed=5), starts), "m")
    found = made.reassigned(made.sample.cohort[None].astype(np.int64))
    at = _compared(made)
    np.testing.assert_allclose(found.b[0, at], made.values[at], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        found.v0[0, at], (made.influence[:, at] ** 2).sum(axis=0), rtol=1e-8, atol=1e-10
    )
    np.testing.assert_allclose(found.a[0, at], 1, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.v1[0, at], 0, atol=1e-8)
    np.testing.assert_allclose(found.v2[0, at], 0, atol=1e-8)


@pytest.mark.parametrize(("estimator", "starts", "gaps"), CASES)
def test_a_hypothesised_effect_is_a_shifted_outcome(estimator, starts, gaps):
    """b − θa and v0 − 2θv1 + θ²v2 are those of y − θ × the term's treatment."""
    y = outcome_for(estimator, starts, gaps, seed=23)
    made = estimator.fit(design_of(y, starts), "m")
    kept = [codes(N).index(unit) for unit in made.sample.units]
    labels = draws(starts, 3, seed=8)
    labels = labels[(labels[:, kept] >= 0).sum(axis=1) == len(starts)]
    found = made.reassigned(labels[:, kept])
    thetas = {0: -9.0, made.n_terms - 1: 30.0} if made.n_terms > 1 else {0: -9.0}
    for m, theta in thetas.items():
        shifted = design_of(y - theta * acts(made, m, starts), starts)
        for i, row in enumerate(labels):
            _, values, variances = refit(estimator, shifted, row, starts)
            b = found.b[i, m] - theta * found.a[i, m]
            v = found.v0[i, m] - 2 * theta * found.v1[i, m] + theta**2 * found.v2[i, m]
            assert b == pytest.approx(values[m], rel=0, abs=1e-8)
            assert v == pytest.approx(variances[m], rel=1e-6, abs=1e-9)


def acts(made, m: int, starts: dict[int, int]) -> np.ndarray:
    """Where the term's effect is present, over all units of the panel."""
    on = np.zeros((N, T))
    term = made.terms.iloc[m]
    for j, s in starts.items():
        if isinstance(made.estimator, EventStudy):
            t = term["position"] + (s if made.estimator.time == "event" else 0)
            if 0 <= t < T:
                on[j, t] = 1
        elif term["term"] == "gap_before":
            on[j, :s] = 1
        else:
            on[j, s:] = 1
    return on


@pytest.mark.parametrize("estimator", [DiD(), EventStudy()], ids=str)
def test_both_kernels_agree_on_a_balanced_panel_with_one_start(estimator):
    """The two-way path, called by hand, against the two-group path that the estimate uses."""
    made = estimator.fit(design_of(outcome(ONE, False, seed=2), ONE), "m")
    assert type(made.reassigned).__name__ == "_Reassign"
    after = np.zeros((1, made.n_terms, T), dtype=bool)
    if isinstance(estimator, DiD):
        after[0, 0, 3:] = True
    else:
        after[0, np.arange(made.n_terms), made.terms["position"] + 3] = True
    fitted = two_way(made.sample, after, tuple(made.terms["term"]))
    np.testing.assert_allclose(fitted.values, made.values, rtol=0, atol=1e-10)
    labels = draws(ONE, 40, seed=1)
    one, other = made.reassigned(labels), fitted.reassigned(labels)
    for name in ("b", "a", "v0", "v1", "v2"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=1e-8, atol=1e-9, err_msg=name
        )


def test_chunks_do_not_matter(monkeypatch):
    made = DiD().fit(design_of(outcome(STAGGERED, True, seed=4), STAGGERED), "m")
    labels = draws(STAGGERED, 30, seed=1)
    whole = made.reassigned(labels)
    monkeypatch.setattr("didkit.estimate.two_way.CHUNK", 200)
    parts = made.reassigned(labels)
    assert cells_module.two_way is two_way
    for name in ("b", "a", "v0", "v1", "v2"):
        np.testing.assert_allclose(
            getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-12
        )


def test_a_term_that_nobody_carries_under_a_draw_is_nan():
    """One pilot: a unit without its reference cell, or without the cell of a term."""
    y = noise(8, 4, 3)
    y[5, 1] = y[6, 3] = np.nan
    starts = {1: 2}
    made = EventStudy().fit(design_of(y, starts), "m")
    assert list(made.terms["event_time"]) == [-2, 0, 1]
    labels = np.full((3, 8), -1)
    labels[0, 1] = labels[1, 5] = labels[2, 6] = 0
    found = made.reassigned(labels)
    assert np.isnan(found.b).tolist() == [[False] * 3, [True] * 3, [False, False, True]]


def test_permuted_t_uses_the_same_variance_as_cr0():
    made = DiD().fit(design_of(outcome(ONE, True, seed=9), ONE), "m")
    actual = made.reassigned(made.sample.cohort[None].astype(np.int64))
    error = made.infer(ClusterRobust("CR0")).uncertainty.std_error[0]
    assert actual.v0[0, 0] == pytest.approx(error**2, rel=1e-9)
