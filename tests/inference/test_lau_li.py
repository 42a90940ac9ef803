"""Lau and Li's t: the paper's tables, Donald–Lang at ratio 1, the breakdown ratio, and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise, spread, treated
from scipy import stats

import didkit as dk
from didkit.design import MatchedSets
from didkit.errors import InferenceError
from didkit.inference import DonaldLang, LauLi
from didkit.inference.lau_li import largest_level

START = 2
NAMES = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df"]


def fitted(y: np.ndarray, starts: dict[int, int]):
    return dk.DiD().fit(design_of(y, starts), "m")


@pytest.mark.parametrize("n", [3, 5, 30])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_one_pilot_at_ratio_one_is_the_pooled_t(n: int, level: float) -> None:
    made = fitted(noise(n, 5, n), {1: START})
    one, other = (made.infer(m, level=level)["att"] for m in (LauLi(), DonaldLang()))
    for name in NAMES:
        assert one[name] == pytest.approx(other[name], rel=1e-9)


def test_so_it_is_for_every_event_time_and_their_covariance_and_bands() -> None:
    made = dk.EventStudy().fit(design_of(noise(20, 6, 1), {3: 3}), "m")
    one, other = made.infer(LauLi()), made.infer(DonaldLang())
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-9)
    columns = [*NAMES, "band_low", "band_high"]
    np.testing.assert_allclose(one.tidy()[columns], other.tidy()[columns], rtol=1e-9)


@pytest.mark.parametrize(
    ("m", "ratio", "level", "critical"),
    [
        (5, 1.0, 0.95, 3.041),
        (5, 0.6, 0.95, 2.078),
        (10, 2.0, 0.95, 4.581),
        (50, 5.0, 0.95, 10.052),
        (5, 1.0, 0.99, 5.044),
        (25, 2.0, 0.99, 5.622),
    ],
)
def test_the_interval_has_the_papers_critical_value(m, ratio, level, critical) -> None:
    """Their Table 1, printed to three places: half a width of critical value times spread."""
    y = noise(m + 1, 5, m)
    row = fitted(y, {2: START}).infer(LauLi(ratio), level=level)["att"]
    w = y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)
    spread_ = np.delete(w, 2).std(ddof=1)
    assert (row["conf_high"] - row["estimate"]) / spread_ == pytest.approx(critical, abs=6e-4)


@pytest.mark.parametrize(
    ("m", "ratio", "known"),
    [(5, 1, 9.456), (5, 5, 12.693), (10, 1, 9.026), (20, 2, 6.829), (25, 3, 6.350), (50, 1, 5.330)],
)
def test_the_largest_level_is_the_papers(m, ratio, known) -> None:
    """Their Table 2 searches a grid, which can only round the level down."""
    ours = 100 * largest_level(m, ratio)
    assert known <= ours + 1e-9 <= known + 0.1


def test_with_few_comparators_no_level_is_known() -> None:
    assert largest_level(3, 1.0) == 0.0
    notes = fitted(noise(4, 4, 1), {1: 2}).infer(LauLi()).attached.notes
    assert any("for four or more only" in note for note in notes)
    notes = fitted(noise(31, 4, 1), {1: 2}).infer(LauLi(0.2)).attached.notes
    assert any("known only up to 4.8 %" in note for note in notes)
    notes = fitted(noise(31, 4, 1), {1: 2}).infer(LauLi(1)).attached.notes
    assert not any("known" in note for note in notes)


@pytest.mark.parametrize("starts", [{4: 2}, {4: 2, 9: 2, 11: 2}])
@pytest.mark.parametrize("effect", [-60.0, 60.0])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_conclusion_changes_at_the_breakdown_ratio(starts, effect, level) -> None:
    y = noise(20, 4, 8) + effect * treated((20, 4), starts)
    made = fitted(y, starts)
    found = made.infer(LauLi(2.0), level=level).attached
    ratio = found.facts["breakdown_ratio"]
    assert found.facts["ratio"] == 2.0
    assert ratio > 1
    for by, rejected in ((0.999, True), (1.001, False)):
        row = made.infer(LauLi(by * ratio), level=level)["att"]
        assert (row["p_value"] <= 1 - level) == rejected
        assert (row["conf_low"] <= 0 <= row["conf_high"]) != rejected
    assert any(f"ratios up to {ratio:.2f}" in note for note in found.notes)


def test_the_breakdown_ratio_is_0_where_nothing_is_rejected_at_any() -> None:
    y = noise(20, 4, 8)
    y[4] = np.delete(y, 4, axis=0).mean(axis=0)
    found = fitted(y, {4: 2}).infer(LauLi()).attached
    assert found.facts["breakdown_ratio"] == 0
    assert any("at any ratio" in note for note in found.notes)


def test_the_breakdown_is_that_of_the_main_term_and_the_note_has_all() -> None:
    y = noise(20, 5, 2)
    y[3, 3:] += 80
    made = dk.EventStudy().fit(design_of(y, {3: 3}), "m").infer(LauLi())
    one = dk.EventStudy().fit(design_of(y, {3: 3}), "m")
    assert one.main_term == "event time 0"
    ratio = made.attached.facts["breakdown_ratio"]
    t = stats.t.ppf(0.975, 18)
    w = y[:, 3] - y[:, 2]
    others = np.delete(w, 3)
    statistic = (w[3] - others.mean()) / others.std(ddof=1)
    assert ratio == pytest.approx(np.sqrt((statistic / t) ** 2 - 1 / 19), rel=1e-9)
    assert any(f"event time 0 {ratio:.2f}, event time +1" in note for note in made.attached.notes)


@pytest.mark.parametrize("ratio", [0, -1.0, np.nan, np.inf, "1", True, None])
def test_a_ratio_that_is_none_is_refused(ratio) -> None:
    with pytest.raises(InferenceError, match="ratio above 0"):
        LauLi(ratio)


def test_one_comparator_and_matched_sets_are_refused() -> None:
    with pytest.raises(InferenceError, match="at least two comparators"):
        fitted(noise(3, 4, 1), {0: 2, 1: 2}).infer(LauLi())
    ids = codes(4)
    sets = MatchedSets({ids[0]: {ids[1]: 0.5, ids[2]: 0.5}})
    made = dk.DiD().fit(design_of(noise(4, 4, 1), {0: 2}, against=sets), "m")
    with pytest.raises(InferenceError, match="two groups"):
        made.infer(LauLi())


def test_several_pilots_are_labelled_as_an_extension() -> None:
    y = noise(12, 4, 1)
    for starts, said in (({1: 2}, False), (spread(12, 3, 2), True)):
        notes = fitted(y, starts).infer(LauLi()).attached.notes
        assert any("extension" in note for note in notes) == said


def test_the_pilots_own_spread_is_not_used() -> None:
    """Opposite shocks to two pilots leave estimate, interval and p as they are."""
    y = noise(12, 4, 1)
    moved = y.copy()
    moved[2, 2:] += 30
    moved[7, 2:] -= 30
    one, other = (fitted(z, {2: 2, 7: 2}).infer(LauLi())["att"] for z in (y, moved))
    for name in NAMES:
        assert other[name] == pytest.approx(one[name], rel=1e-8, nan_ok=name == "std_error")
    assert np.isnan(one["std_error"])  # it would not move with the pilots


def size(sds: list[float], pilot: float, ratio: float, n1: int = 1, reps: int = 20000) -> float:
    """Percent of true nulls rejected at 5 %, by the formula that the tests above hold to."""
    rng, m = np.random.default_rng(5), len(sds)
    b, a = rng.normal(size=(reps, m)) * sds, rng.normal(size=(reps, n1)).mean(axis=1) * pilot
    statistic = np.abs(a - b.mean(axis=1)) / b.std(axis=1, ddof=1)
    critical = np.sqrt(ratio**2 / n1 + 1 / m) * stats.t.ppf(0.975, m - 1)
    return float(100 * (statistic > critical).mean())


@pytest.mark.parametrize(
    ("sds", "pilot", "ratio", "n1", "known"),
    [
        ([1.0] * 10, 1, 1, 1, 5.0),
        ([1.0] * 10, 2, 2, 1, 5.0),
        ([1.0] * 10, 2, 2, 3, 5.0),
        ([1.0] * 10, 0.5, 0.5, 2, 5.0),
        ([1.0] + [0.1] * 9, 1, 1, 1, 54.5),
        ([1.0] * 5 + [0.1] * 5, 1, 1, 1, 16.1),
    ],
)
def test_sizes_that_the_docstring_gives(sds, pilot, ratio, n1, known) -> None:
    error = np.sqrt(known * (100 - known) * (1 / 20000 + 1 / 200000))
    assert abs(size(sds, pilot, ratio, n1) - known) <= 3 * error


def test_noisier_comparators_than_the_ratio_says_do_no_harm() -> None:
    for sds in ([1.0] * 5 + [3.0] * 5, [1.0] * 9 + [10.0], [1.0, 1.5, 2, 2.5, 3] * 2):
        assert size(sds, 1, 1) <= 5 + 3 * np.sqrt(5 * 95 / 20000)


def test_a_ratio_of_one_is_said_as_alike() -> None:
    made = fitted(noise(20, 4, 1), {1: 2})
    one, two = (made.infer(LauLi(ratio)).attached for ratio in (1, 2))
    assert "pilots as noisy as comparators" in one.method
    assert "pilots at most 2 times as noisy as comparators" in two.method
    assert not any("1 times" in text for text in (one.method, *one.notes))
