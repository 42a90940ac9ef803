"""Breakdown: the shift it names is where the conclusion changes, and no smaller one does it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise, spread, treated

import didkit as dk
from didkit.check import Breakdown
from didkit.check.breakdown import noise_ratio, pooled_shocks
from didkit.check.shifts import _Shifted, least_shocks
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy
from didkit.inference import (
    ClusterRobust,
    ConleyTaber,
    DonaldLang,
    LauLi,
    Permutation,
    WildBootstrap,
)
from didkit.inference.samples import TwoSamples, two_samples

N, T, START = 9, 6, 4
STARTS = spread(N, 3, START)
LATE = {1: 3, 4: START, 7: START}
CR2 = ClusterRobust("CR2")


def outcome(effect: float = -12.0, seed: int = 6) -> np.ndarray:
    return noise(N, T, seed) + effect * treated((N, T), STARTS)


def zero_outside(y: np.ndarray, inference, starts=None, **options) -> bool:
    sure = DiD().fit(design_of(y, starts or STARTS), "m").infer(inference, **options).attached
    return bool(sure.conf_low[0] > 0 or sure.conf_high[0] < 0)


def shifted(y: np.ndarray, unit: str, by: float) -> np.ndarray:
    made = y.copy()
    made[codes(len(y)).index(unit), START:] += by
    return made


@pytest.mark.parametrize("effect", [-12.0, -6.0])
@pytest.mark.parametrize("inference", [CR2, DonaldLang()])
def test_the_conclusion_changes_there_and_not_before(effect, inference):
    y = outcome(effect)
    now = zero_outside(y, inference)
    found = DiD().fit(design_of(y, STARTS), "m").infer(inference).check(Breakdown(units="all"))
    assert bool(found.facts["zero_outside"]) == now == (effect == -12.0)
    sites = found.table[found.table["unit_id"] != ""]
    some = sites[np.isfinite(sites["value"])]
    assert len(some) > 2
    for unit, value in zip(some["unit_id"], some["value"], strict=True):
        assert zero_outside(shifted(y, unit, 1.0001 * value), inference) != now
        for part in (-1.0, -0.5, 0.5, 0.98):  # none smaller, of either sign
            assert zero_outside(shifted(y, unit, 0.9899 * part * value), inference) == now


def test_the_search_finds_the_roots_of_the_pooled_t():
    for seed, effect in ((1, -12.0), (6, -6.0)):
        made = DiD().fit(design_of(outcome(effect, seed), STARTS), "m").infer(DonaldLang())
        both = two_samples(made, 0, "a test")
        at = np.concatenate([both.pilot_at, both.comparator_at])
        sought = least_shocks(made, 0, at, tolerance=0.001)
        searched, refits = sought.values, sought.refits
        exact = pooled_shocks(both, 0.95)
        assert np.isfinite(exact).any()
        assert searched == pytest.approx(exact, rel=1.1e-3)
        assert refits > len(at)


def test_pooled_shocks_put_zero_at_an_end_of_the_interval():
    at = np.arange(2)
    both = TwoSamples(np.array([50.0, 52.0]), np.array([0.0, 1.0]), at, at)
    numbers = np.array([50.0, 52.0, 0.0, 1.0])
    for j, shift in enumerate(pooled_shocks(both, 0.9)):
        moved = numbers.copy()
        moved[j] += shift
        y = np.column_stack([np.zeros(4), moved])
        made = DiD().fit(design_of(y, {0: 1, 1: 1}), "m").infer(DonaldLang(), level=0.9)
        ends = [made.attached.conf_low[0], made.attached.conf_high[0]]
        assert np.abs(ends).min() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n1", [1, 3])
def test_the_noise_ratio_is_that_of_lau_and_li(n1):
    starts = spread(N, n1, START)
    y = noise(N, T, 6) - 12.0 * treated((N, T), starts)
    made = DiD().fit(design_of(y, starts), "m")
    both = two_samples(made, 0, "a test")
    for level in (0.5, 0.8):
        needed, observed = noise_ratio(both, level)
        assert needed > 0
        # at this ratio zero is an end of the interval
        sure = made.infer(LauLi(needed), level=level).attached
        assert min(abs(sure.conf_low[0]), abs(sure.conf_high[0])) == pytest.approx(0, abs=1e-9)
        assert sure.facts["breakdown_ratio"] == pytest.approx(needed)
        if n1 == 1:
            assert np.isnan(observed)
        else:
            ratio = both.pilots.std(ddof=1) / both.comparators.std(ddof=1)
            assert observed == pytest.approx(ratio)


def test_it_is_zero_where_even_quiet_pilots_are_inside():
    both = TwoSamples(np.array([0.1]), np.array([-1.0, 0.0, 1.0]), np.arange(1), np.arange(3))
    assert noise_ratio(both, 0.95)[0] == 0
    alike = TwoSamples(np.array([0.1]), np.ones(3), np.arange(1), np.arange(3))
    assert np.isnan(noise_ratio(alike, 0.95)).all()


def test_facts_table_and_headline_agree():
    found = DiD().fit(design_of(outcome(), STARTS), "m").infer(CR2).check(Breakdown())
    sites = found.table[found.table["unit_id"] != ""]
    assert set(sites["arm"]) == {"pilot"}
    first = sites.iloc[sites["value"].abs().to_numpy().argmin()]
    assert found.facts["smallest_shock"] == first["value"]
    assert found.facts["smallest_in_sds"] == first["in_sds"]
    theirs = two_samples(found.estimate, 0, "a test").comparators
    assert first["in_sds"] == pytest.approx(abs(first["value"]) / theirs.std(ddof=1))
    assert f"in {first['name']} alone" in found.headline
    assert found.headline.startswith("Zero is outside the interval")
    noisy = found.table.set_index("question")["value"]
    assert noisy["noise needed"] == found.facts["ratio_needed"]
    assert noisy["noise observed"] == found.facts["ratio_observed"]
    for word in ("significant", "robust", "fail", "pass"):
        assert word not in found.summary()


def test_the_level_is_asked_of_the_estimate_s_own_inference():
    made = DiD().fit(design_of(outcome(-5.0), STARTS), "m").infer(CR2)
    wide, short = (made.check(Breakdown(level, tolerance=0.3)).facts for level in (0.999, 0.3))
    assert (wide["zero_outside"], short["zero_outside"]) == (0.0, 1.0)
    assert (wide["level"], short["level"]) == (0.999, 0.3)
    assert made.check(Breakdown(tolerance=0.3)).facts["level"] == 0.95


def test_scale_and_order_tell_nothing():
    y = outcome()
    first = DiD().fit(design_of(y, STARTS), "m").infer(CR2).check(Breakdown(tolerance=0.1))
    larger = DiD().fit(design_of(1000 * y, STARTS), "m").infer(CR2).check(Breakdown(tolerance=0.1))
    assert larger.table["value"][2:].to_numpy() == pytest.approx(
        1000 * first.table["value"][2:].to_numpy()
    )
    assert larger.facts["smallest_in_sds"] == pytest.approx(first.facts["smallest_in_sds"])
    order = np.random.default_rng(1).permutation(N)
    moved = {int(np.flatnonzero(order == j)[0]): t for j, t in STARTS.items()}
    other = DiD().fit(design_of(y[order], moved), "m").infer(CR2).check(Breakdown(tolerance=0.1))
    assert sorted(other.table["value"][2:]) == pytest.approx(sorted(first.table["value"][2:]))


def test_one_pilot_and_a_permutation_that_can_never_reject():
    starts = {3: START}
    y = noise(N, T, 6) - 40.0 * treated((N, T), starts)
    found = DiD().fit(design_of(y, starts), "m").infer(Permutation()).check(Breakdown())
    assert np.isnan(found.facts["ratio_observed"])
    assert "one pilot" in " ".join(found.notes)
    # 1 of 9: the least p is .11, so no shift puts zero outside
    assert found.facts["zero_outside"] == 0
    assert np.isinf(found.facts["smallest_shock"])
    assert found.facts["refits"] == 0
    assert "no shift of one site alone was found" in found.headline


def test_event_studies_and_comparators_are_served():
    made = EventStudy().fit(design_of(outcome(-15.0), STARTS), "m").infer(CR2)
    found = made.check(Breakdown(units="comparators", tolerance=0.3))
    sites = found.table[found.table["unit_id"] != ""]
    assert set(sites["arm"]) == {"comparator"}
    assert len(sites) == N - len(STARTS)
    assert np.isfinite(sites["value"]).any()


def test_without_one_number_a_unit_the_ratio_is_nan_and_a_note_says_why():
    starts = {1: 2, 5: 2, 7: 4}
    y = noise(N, T, 6) - 12.0 * treated((N, T), starts)
    found = DiD().fit(design_of(y, starts), "m").infer(CR2).check(Breakdown(tolerance=0.2))
    assert np.isnan(found.facts["ratio_needed"])
    assert any(note.startswith("no ratio of noise") for note in found.notes)
    assert np.isfinite(found.facts["smallest_shock"])


@pytest.mark.parametrize(
    "options", [{"level": 1.0}, {"tolerance": 0.0}, {"units": "sites"}, {"level": "95%"}]
)
def test_unknown_options_are_refused(options):
    with pytest.raises(InferenceError):
        Breakdown(**options)


def test_an_estimate_without_an_interval_is_refused():
    with pytest.raises(InferenceError, match="an estimate with an inference"):
        DiD().fit(design_of(outcome(), STARTS), "m").infer(None).check(Breakdown())


def test_a_window_between_two_steps_of_the_grid_is_found_by_way_of_the_largest_t():
    y = np.column_stack([np.zeros(4), [0.0, 10.0, 8.0, 8.5]])
    made = DiD().fit(design_of(y, {0: 1, 1: 1}), "m").infer(DonaldLang())
    exact = pooled_shocks(two_samples(made, 0, "a test"), 0.95)
    searched = least_shocks(made, 0, np.arange(1), tolerance=0.001).values
    assert 9 < exact[0] < 10
    assert searched[0] == pytest.approx(exact[0], rel=1.1e-3)


@pytest.mark.parametrize(("effect", "starts"), [(-12.0, STARTS), (-12.0, LATE), (-3.5, LATE)])
def test_after_a_permutation_the_shift_is_where_the_full_method_changes(effect, starts):
    inference = Permutation(draws=60, seed=3)  # 84 assignments or more: these are drawn
    y = noise(N, T, 6) + effect * treated((N, T), starts)
    made = DiD().fit(design_of(y, starts), "m").infer(inference, level=0.9)
    now = zero_outside(y, inference, starts, level=0.9)
    found = made.check(Breakdown())
    assert bool(found.facts["zero_outside"]) == now
    at = np.flatnonzero(made.sample.pilot)
    shocks = least_shocks(made, 0, at).values
    assert np.isfinite(shocks).any()
    assert found.facts["refits"] <= 3 * len(at)  # by the law; a search takes some 20 a site
    for unit, j, value in zip(np.array(made.sample.units)[at], at, shocks, strict=True):
        if np.isinf(value):
            continue
        first = starts[int(j)]
        for part, then in ((1.002, not now), (0.98, now), (-0.98, now), (0.5, now)):
            other = y.copy()
            other[codes(N).index(unit), first:] += part * value
            assert zero_outside(other, inference, starts, level=0.9) == then


def test_draws_at_a_shift_are_those_of_a_refit():
    y = outcome(-6.0)
    made = DiD().fit(design_of(y, STARTS), "m").infer(Permutation(draws=60, seed=3))
    j = int(np.flatnonzero(made.sample.pilot)[0])
    law = _Shifted(made, 0).redrawn(j, 5.0)
    assert law is not None
    other = DiD().fit(design_of(shifted(y, made.sample.units[j], 13.0), STARTS), "m")
    theirs = made.attached.inference.redrawn(other)
    mine = law._at(13.0 / 5.0, "drawn")
    for name in ("b", "a", "v0", "v1", "v2"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs.drawn, name), abs=1e-9)


def test_the_packaged_ten_pilots_take_two_refits_a_site_and_no_search():
    _, design = dk.datasets.load_evaluation()
    made = DiD().fit(design, "cla").infer(Permutation(draws=999))
    found = made.check(Breakdown())
    assert found.facts["refits"] <= 30
    assert np.isfinite(found.facts["smallest_shock"])
    assert any("confirmed" in note for note in found.notes)


def test_closed_forms_take_few_refits_and_a_bootstrap_a_search():
    starts = {3: START}
    y = noise(26, T, 6) - 25.0 * treated((26, T), starts)
    for inference in (ConleyTaber(), LauLi()):
        made = DiD("complete").fit(design_of(y, starts), "m").infer(inference, level=0.8)
        low, high = made.attached.conf_low[0], made.attached.conf_high[0]
        found = made.check(Breakdown())
        # comparators alone make the length: the interval moves with the pilot
        assert found.facts["smallest_shock"] == pytest.approx(-high if low < high < 0 else -low)
        assert found.facts["refits"] <= 5
    boot = DiD().fit(design_of(outcome(-8.0), STARTS), "m").infer(WildBootstrap(draws=999))
    found = boot.check(Breakdown(tolerance=0.1))
    assert found.facts["refits"] > 15
    assert any("499 draws" in note for note in found.notes) or boot.attached.facts["exact"]


def test_where_no_site_has_a_shift_one_row_and_one_sentence_say_it():
    found = DiD().fit(design_of(noise(12, T, 9), spread(12, 3, START)), "m").infer(Permutation())
    found = found.check(Breakdown())
    (row,) = found.table[found.table["question"] == "shock of one site"].to_dict("records")
    assert np.isinf(row["value"])
    assert row["unit_id"] == ""
    assert row["means"].startswith("no shift of any one of 3 pilots alone was found")
    assert np.isinf(found.facts["smallest_shock"])
    assert found.headline.count("no shift") == 1


def test_what_has_no_ratio_of_noise_says_what_has_one():
    starts = {1: 2, 5: 2, 7: 4}
    y = noise(N, T, 6) - 12.0 * treated((N, T), starts)
    found = DiD().fit(design_of(y, starts), "m").infer(CR2).check(Breakdown())
    means = found.table["means"].iloc[0]
    assert means.startswith("not defined for this estimate: DiD('complete') on a design of the")
    assert "one start" in means
