"""What every method of inference owes every estimate: one list, one suite; a new method joins it.

A method either serves an estimate, and then all of this holds, or refuses it in four parts.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from helpers import codes, frame_of, noise, spread, treated

import didkit as dk
from didkit.errors import InferenceError

N, T, START = 24, 5, 3
PILOTS = spread(N, 7, START)

METHODS = [
    dk.ClusterRobust("CR0"),
    dk.ClusterRobust("CR1"),
    dk.ClusterRobust("CR2"),
    dk.ClusterRobust("CR2", df="welch"),
    dk.ClusterRobust("CR3"),
    dk.ClusterRobust("CR3J"),
    dk.Conventional("iid"),
    dk.Conventional("hetero"),
    dk.Conventional("newey-west"),
    dk.Jackknife(),
    dk.Permutation("t", draws=399, seed=3),
    dk.Permutation("beta", draws=399, seed=3),
    dk.WildBootstrap(draws=399, seed=3),
    dk.WildBootstrap("unrestricted", draws=399, seed=3),
    dk.WildBootstrap(signs="webb", statistic="CR3", draws=399, seed=3),
    dk.WildBootstrap(signs="mammen", draws=399, seed=3),
    dk.WildBootstrap(subclusters="cells", draws=399, seed=3),
    dk.WildRandomisation(draws=399, seed=3),
    dk.DonaldLang(),
    dk.IbragimovMuller(),
    dk.SignFlips(draws=399, seed=3),
    dk.LauLi(ratio=1.5),
    dk.Hagemann(),
    dk.ConleyTaber(draws=399, seed=3),
    dk.FermanPinto(draws=399, seed=3),
    dk.Conformal(draws=399, seed=3),
    dk.Bootstrap(draws=399, seed=3),
    dk.Bootstrap(signs="rademacher", draws=399, seed=3),
]
DRAWN = (dk.Permutation, dk.WildBootstrap, dk.WildRandomisation, dk.SignFlips, dk.ConleyTaber)
DRAWN += (dk.FermanPinto, dk.Conformal, dk.Bootstrap)


def sets_of(ids: list[str], pilots: list[int], each: int) -> dk.MatchedSets:
    """Two comparators for each pilot that serve nobody else."""
    rest = [j for j in range(len(ids)) if j not in pilots]
    return dk.MatchedSets(
        {
            ids[j]: {ids[c]: 1 / each for c in rest[each * i : each * (i + 1)]}
            for i, j in enumerate(pilots)
        }
    )


def design(y: np.ndarray, starts: dict[int, int], *, kind: str, ids: list[str], order=None):
    """Rates with known exposures, so that every method may be asked."""
    frame = frame_of(y, ids)
    size = 200 + 37.0 * (np.arange(len(ids)) * 7 % len(ids))
    frame["children"] = frame["la"].map(dict(zip(ids, size, strict=True)))
    if order is not None:
        frame = frame.iloc[order].reset_index(drop=True)
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"], exposure="children")
    first = int(frame["year"].min())
    rollout = dk.Rollout({ids[j]: first + t for j, t in starts.items()})
    against = sets_of(ids, list(starts), 2) if kind == "sets" else dk.Pool()
    return dk.Design(panel, rollout, against=against, selection="random")


def staggered() -> dict[int, int]:
    rows = list(PILOTS)
    return {j: (2 if i < 3 else 3) for i, j in enumerate(rows)}


ESTIMATES = {
    "did": (dk.DiD(), "pool", PILOTS),
    "complete": (dk.DiD("complete"), "pool", PILOTS),
    "staggered": (dk.DiD(), "pool", staggered()),
    "events": (dk.EventStudy(), "pool", PILOTS),
    "gap": (dk.Gap(), "pool", PILOTS),
    "sets": (dk.DiD("complete"), "sets", PILOTS),
    "one pilot": (dk.DiD(), "pool", {5: START}),
    "two pilots": (dk.DiD(), "pool", {5: START, 11: START}),
}


@functools.cache
def outcome(seed: int) -> np.ndarray:
    return noise(N, T, seed)


def fitted(case: str, y: np.ndarray, *, ids=None, order=None) -> dk.Estimate:
    estimator, kind, starts = ESTIMATES[case]
    made = design(y, starts, kind=kind, ids=codes(N) if ids is None else ids, order=order)
    return estimator.fit(made, "m")


@functools.lru_cache(maxsize=256)
def usual(case: str, seed: int) -> dk.Estimate:
    return fitted(case, outcome(seed))


def attach(method, made: dk.Estimate, *, level: float = 0.9):
    """Attach; None where the method refuses this estimate (the refusal has a test of its own)."""
    try:
        return made.infer(method, level=level).attached
    except InferenceError:
        return None


every = pytest.mark.parametrize("method", METHODS, ids=repr)
everywhere = pytest.mark.parametrize("case", list(ESTIMATES))


@every
@everywhere
def test_it_serves_or_refuses_in_four_parts(method, case):
    made = attach(method, usual(case, 1))
    if made is not None:
        assert np.isfinite(made.p_value).any()
        assert made.method
        return
    with pytest.raises(InferenceError) as caught:
        usual(case, 1).infer(method)
    refused = caught.value
    assert all((refused.needed, refused.found, refused.where, refused.todo))
    if case == "one pilot":
        assert any(word in refused.todo for word in ("Permutation", "FermanPinto", "complete"))


@every
def test_it_serves_some_estimate(method):
    assert any(attach(method, usual(case, 1)) is not None for case in ESTIMATES)


@every
@everywhere
def test_p_is_small_exactly_outside_the_interval(method, case):
    """Take an effect θ out of the outcome: p of what is left is p(θ)."""
    made = attach(method, usual(case, 2))
    if made is None:
        return
    m = 1 if case == "gap" else len(made.p_value) - 1
    low, high = made.conf_low[m], made.conf_high[m]
    if not np.isfinite([low, high]).all():
        return
    on = treated((N, T), ESTIMATES[case][2])
    if case == "events":
        on[:, : T - 1] = 0
    for part in (-0.6, 0.25, 0.6):
        theta = (low + high) / 2 + part * (high - low)
        p = attach(method, fitted(case, outcome(2) - theta * on)).p_value[m]
        if abs(part) > 0.5:
            assert p <= 0.1 + 1e-12
        elif not any("hull" in note for note in made.notes):
            assert p > 0.1 - 1e-12


@every
@everywhere
def test_what_is_said_moves_when_a_pilots_outcome_moves(method, case):
    if case == "gap":  # its first term is a level before
        return
    moved = outcome(3).copy()
    moved[next(iter(ESTIMATES[case][2])), START:] += 40.0
    one, other = attach(method, usual(case, 3)), attach(method, fitted(case, moved))
    if one is None:
        return
    m = len(one.p_value) - 1
    if np.isfinite(one.std_error[m]) and len(ESTIMATES[case][2]) > 1:
        assert abs(one.std_error[m] - other.std_error[m]) > 1e-6 * one.std_error[m]
    assert one.conf_low[m] != other.conf_low[m] or np.isinf(one.conf_low[m])
    assert one.statistic[m] != other.statistic[m]


@every
@everywhere
def test_units_of_measurement_do_not_matter(method, case):
    one = attach(method, usual(case, 4))
    if one is None:
        return
    for factor in (-1.0, 1e-4, 1e5):
        other = attach(method, fitted(case, factor * outcome(4)))
        np.testing.assert_allclose(other.p_value, one.p_value, rtol=1e-6)
        np.testing.assert_allclose(other.std_error, abs(factor) * one.std_error, rtol=1e-6)
        ends = np.sort([factor * one.conf_low, factor * one.conf_high], axis=0)
        atol = 1e-7 * abs(factor) * np.abs(outcome(4)).max()
        np.testing.assert_allclose(other.conf_low, ends[0], rtol=1e-6, atol=atol)
        np.testing.assert_allclose(other.conf_high, ends[1], rtol=1e-6, atol=atol)


@every
@everywhere
def test_order_and_names_do_not_matter(method, case):
    """Rows in another order, other codes in the same order: the same numbers.

    Codes in another order: for a method that draws, other draws; for the others the same again.
    """
    y = outcome(5)
    one = attach(method, usual(case, 5))
    if one is None:
        return
    order = np.random.default_rng(1).permutation(N * T)
    renamed = [str(900 + 2 * j) for j in range(N)]
    for options in ({}, {"order": order}, {"ids": renamed}):
        other = attach(method, fitted(case, y, **options))
        np.testing.assert_array_equal(other.p_value, one.p_value)
        np.testing.assert_array_equal(other.conf_low, one.conf_low)
    if not isinstance(method, DRAWN):
        turned = attach(method, fitted(case, y, ids=[str(900 - 2 * j) for j in range(N)]))
        np.testing.assert_allclose(turned.p_value, one.p_value, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(turned.conf_low, one.conf_low, rtol=1e-7, atol=1e-9)


@every
@everywhere
def test_bands_are_never_narrower_than_intervals(method, case):
    made = attach(method, usual(case, 7))
    if made is None or made.band_low is None:
        return
    there = np.isfinite(made.conf_low) & np.isfinite(made.band_low)
    assert (made.band_low[there] <= made.conf_low[there] + 1e-9).all()
    assert (made.band_high[there] >= made.conf_high[there] - 1e-9).all()


@every
@pytest.mark.parametrize("case", ["did", "complete", "sets"])
def test_a_large_effect_is_seen_on_its_side(method, case):
    for effect in (-60.0, 60.0):
        y = outcome(9) + effect * treated((N, T), ESTIMATES[case][2])
        made = attach(method, fitted(case, y))
        if made is None:
            return
        if np.isinf([made.conf_low[0], made.conf_high[0]]).any():
            assert made.facts["least_p"] > 0.1  # it can reject nothing here
            continue
        assert made.p_value[0] < 0.1
        assert (made.conf_low[0] > 0) if effect > 0 else (made.conf_high[0] < 0)
