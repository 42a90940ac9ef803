"""Processes draw what they say: moments, sizes, correlation, starts, effects, sets, gaps."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

import didkit as dk
from didkit.design import Sample
from didkit.errors import DesignError
from didkit.simulate import LongDifferences, OwnPanel, PanelProcess, PlaceboPanel
from didkit.simulate.own import _relative_variance

SEEDS = range(150)


def sample_of(process, seed):
    drawn = process.draw(seed)
    return drawn.design.sample(drawn.metric)


def changes(process, seeds=SEEDS):
    """W of pilots and comparators over many seeds, and their sizes."""
    samples = [sample_of(process, seed) for seed in seeds]
    w = np.array([s.y[:, 1] - s.y[:, 0] for s in samples])
    m = np.array([s.exposure[:, 0] for s in samples])
    pilot = samples[0].pilot
    assert all((s.y[:, 0] == 0).all() for s in samples)
    return w[:, pilot], w[:, ~pilot], m[:, pilot], m[:, ~pilot]


def close(found, expected, n, spread):
    """Within four standard errors."""
    assert abs(found - expected) < 4 * spread / n**0.5


@pytest.mark.parametrize(
    ("noise", "pilots", "skew"), [("normal", 1.0, 0.0), ("noisier", 4.0, 0.0), ("skewed", 1.0, 2.0)]
)
def test_long_differences_have_the_moments_of_the_page(noise, pilots, skew):
    w1, w0, m1, m0 = changes(LongDifferences(9, 60, noise))
    for w, variance in ((w1, pilots), (w0, 1.0)):
        close(w.mean(), 0.0, w.size, variance**0.5)
        kurtosis = 9.0 if skew else 3.0
        close((w**2).mean() / variance, 1.0, w.size, (kurtosis - 1) ** 0.5)
    close((w0**3).mean(), skew, w0.size, 265**0.5 if skew else 15**0.5)
    assert (m1 == 1).all()
    assert (m0 == 1).all()


def test_small_pilots_have_the_sizes_and_variances_of_the_page():
    w1, w0, m1, m0 = changes(LongDifferences(9, 60, "small"))
    for m, mean, sd in ((m1, -0.9, 0.4), (m0, 0.0, 0.9)):
        close(np.log(m).mean(), mean, m.size, sd)
        close((np.log(m) - mean).std(), sd, m.size, sd)
    for w, m in ((w1, m1), (w0, m0)):
        close((w**2 / (0.2 + 0.8 / m)).mean(), 1.0, w.size, 2**0.5)
    z1, *_ = changes(LongDifferences(9, 60, "small and skewed"))
    assert (z1**3).mean() > 2 > abs((w1**3).mean())


def test_one_seed_is_one_draw_and_an_effect_shifts_the_pilots_alone():
    process = LongDifferences(4, 11, "small")
    one, again, other = sample_of(process, 3), sample_of(process, 3), sample_of(process, 4)
    assert (one.y == again.y).all()
    assert (one.exposure == again.exposure).all()
    assert not (one.y == other.y).any(axis=0)[1]
    moved = sample_of(replace(process, effect=2.5), 3).y - one.y
    np.testing.assert_allclose(moved, np.outer(2.5 * one.pilot, [0, 1]), atol=1e-12)
    assert process.draw(0).truth == 0.0


def same(one: Sample, other: Sample) -> None:
    """Every array and note of two samples."""
    for field in fields(Sample):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        elif isinstance(a, pd.DataFrame):
            pd.testing.assert_frame_equal(a, b)
        else:
            assert a == b, field.name


def evaluation():
    panel, design = dk.datasets.load_evaluation()
    return panel, design


PROCESSES = {
    "long": LongDifferences(3, 9, "small"),
    "staggered": PanelProcess(pilots=4, comparators=9, before=2, after=3, starts=(0.5, 0.25, 0.25)),
    "sets": PanelProcess(pilots=3, comparators=6, before=2, after=2, sets=4, shared=True),
}


@pytest.mark.parametrize("name", [*PROCESSES, "own", "own, window"])
def test_the_short_way_lays_out_what_the_long_way_does(name):
    """The sample lies ready; laid out anew it is the same, and so are those of edited designs."""
    if name.startswith("own"):
        _, design = evaluation()
        if name == "own, window":
            design = dk.Design(
                design.panel, design.rollout, against=dk.Pool(), selection="bid",
                periods=(2015, 2019),
            )  # fmt: skip
        process = OwnPanel(design, "cpp", noise="sizes")
    else:
        process = PROCESSES[name]
    for seed in (1, 2):
        drawn = process.draw(seed)
        anew = drawn.design.on_panel(drawn.design.panel)
        same(drawn.design.sample(drawn.metric), anew.sample(drawn.metric))
        gone = sorted(set(drawn.design.comparators))[0]
        same(drawn.design.drop(gone).sample(drawn.metric), anew.drop(gone).sample(drawn.metric))
        if name != "sets":
            start = dict.fromkeys(drawn.design.comparators[:2], drawn.design.periods[-1])
            traded = dk.Rollout(start)
            one, other = (d.reassign(traded).sample(drawn.metric) for d in (drawn.design, anew))
            same(one, other)


def test_the_passing_part_is_an_ar1_of_its_variance():
    process = PanelProcess(
        pilots=2, comparators=300, before=6, after=6, between=0, within=2.0, ar1=0.6
    )
    y = np.concatenate([sample_of(process, seed).y for seed in range(20)])
    np.testing.assert_allclose(y.var(axis=0), 4.0, rtol=0.08)  # stationary from the first period
    for lag in (1, 2):
        r = (y[:, lag:] * y[:, :-lag]).mean() / 4
        assert abs(r - 0.6**lag) < 0.02
    lasting = PanelProcess(pilots=2, comparators=300, before=6, after=6, between=3.0, within=0.1)
    y = np.concatenate([sample_of(lasting, seed).y for seed in range(20)])
    assert abs(y.mean(axis=1).std() - 3) < 0.1
    assert abs((y - y.mean(axis=1, keepdims=True)).std() * (12 / 11) ** 0.5 - 0.1) < 0.005


@pytest.mark.parametrize("together", [True, False])
def test_units_of_a_region_share_shocks(together):
    process = PanelProcess(
        pilots=10, comparators=90, before=5, after=5, between=0, regions=10,
        region_correlation=0.3, pilots_together=together,
    )  # fmt: skip
    samples = [sample_of(process, seed) for seed in range(400)]
    pilot = samples[0].pilot
    e = np.stack([s.y for s in samples])
    assert abs(e.var() - 1) < 0.03

    def correlation(block):  # mean over pairs, from the variance of the mean
        n = block.shape[1]
        return ((block.mean(axis=1) ** 2).mean() * n - 1) / (n - 1)

    expected = 0.3 if together else 0.3 * 9 / 99  # chance that two units lie in one region
    assert abs(correlation(e[:, pilot]) - expected) < 0.03
    assert abs(correlation(e) - 0.3 * 9 / 99) < 0.01


def test_pilots_start_when_the_shares_say_and_the_effect_begins_there():
    shares = (0.5, 0.25, 0.25)
    process = PanelProcess(pilots=9, comparators=20, before=3, after=4, starts=shares)
    assert process.cohorts == (4, 3, 2)
    assert sum(process.cohorts) == 9
    sample = sample_of(process, 1)
    assert sample.starts == (3, 4, 5)
    assert np.bincount(sample.cohort[sample.pilot]).tolist() == [4, 3, 2]
    moved = sample_of(replace(process, effect=7.0), 1).y - sample.y
    np.testing.assert_allclose(moved, 7.0 * sample.treated, atol=1e-12)


def test_sets_are_own_or_shared():
    own = PanelProcess(pilots=4, comparators=12, before=2, after=2, sets=3)
    used = (sample_of(own, 1).sets > 0).sum(axis=0)
    assert used.max() == 1
    assert used.sum() == 12
    shared = replace(own, comparators=5, shared=True)
    weights = sample_of(shared, 1).sets
    assert (weights > 0).sum(axis=0).max() > 1
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert ((weights > 0).sum(axis=1) == 3).all()
    np.testing.assert_array_equal(weights, sample_of(shared, 2).sets)  # the design's, not noise


def test_a_calibrated_process_has_the_variation_and_the_counts_of_the_panel():
    _, design = evaluation()
    found = dk.Variation.of(design, "cpp")
    made = PanelProcess.calibrated(design, "cpp", effect=-8.0)
    assert (made.pilots, made.comparators) == (10, len(design.comparators))
    assert (made.before, made.after, made.cohorts) == (5, 3, (9, 1))
    assert (made.between, made.within, made.ar1, made.effect) == (
        found.between, found.within, found.ar1, -8.0,
    )  # fmt: skip


def test_own_panel_draws_the_variation_that_was_fitted_with_the_gaps_that_there_are():
    panel, design = evaluation()
    truth = dk.Variation.of(design, "cpp")
    process = OwnPanel(design, "cpp", noise="skewed")
    seen = panel.wide("cpp").notna()
    drawn = [process.draw(seed).design for seed in range(25)]
    assert (drawn[0].panel.wide("cpp").notna() == seen).all(axis=None)
    found = [dk.Variation.of(one, "cpp") for one in drawn]
    for name, within in (("between", 0.06), ("within", 0.06), ("ar1", 0.1)):
        mean = np.mean([getattr(one, name) for one in found])
        assert abs(mean / getattr(truth, name) - 1) < within or (
            name == "ar1" and abs(mean - truth.ar1) < within
        )
    level = np.mean([one.panel.wide("cpp").mean() for one in drawn], axis=0)
    np.testing.assert_allclose(level, panel.wide("cpp").mean(), rtol=0.06)
    shifted = OwnPanel(design, "cpp", noise="skewed", effect=-8.0).draw(3)
    plain = process.draw(3).design.sample("cpp")
    moved = shifted.design.sample("cpp").y - plain.y
    np.testing.assert_allclose(moved[plain.mask], -8.0 * plain.treated[plain.mask], atol=1e-9)


def test_noise_by_size_is_drawn_as_asked_and_found_again_by_the_fit():
    _, design = evaluation()
    process = OwnPanel(
        design, "cpp", noise="sizes", of_size=0.7,
        variation=dk.Variation(between=5.0, within=3.0),
    )  # fmt: skip
    samples = [sample_of(process, seed) for seed in range(300)]
    y = np.stack([s.y for s in samples])[:, :, :5]
    y = y - np.nanmean(y, axis=(0, 1))  # what periods have in common
    e = y - y.mean(axis=2, keepdims=True)
    spread = np.nansum(e**2, axis=(0, 2)) / 300 / 4  # within-unit variance
    whole = samples[0].mask[:, :5].all(axis=1)
    inverse = np.nanmean(1 / samples[0].exposure[:, :5], axis=1)
    expected = 9.0 * (0.3 + 0.7 * inverse / inverse.mean())
    np.testing.assert_allclose(spread[whole], expected[whole], rtol=0.2)
    flat, steep = (_relative_variance(process.draw(5).design, "cpp", share) for share in (0.0, 1.0))
    assert flat.min() == flat.max() == 1.0
    fitted = np.mean([_relative_variance(process.draw(s).design, "cpp") for s in range(40)], axis=0)
    wanted = 0.3 + 0.7 * steep
    assert np.corrcoef(fitted, wanted)[0, 1] > 0.99
    assert abs(np.polyfit(wanted, fitted, 1)[0] - 1) < 0.25


def test_placebo_pilots_have_the_real_numbers_and_the_real_starts():
    panel, design = evaluation()
    process = PlaceboPanel(design, "cpp")
    chosen = []
    for seed in range(6):
        made = process.draw(seed).design
        assert not set(made.pilots) & set(design.pilots)
        assert not set(made.comparators) & set(design.pilots)
        assert set(made.pilots) <= set(design.comparators)
        assert sorted(made.starts.values()) == sorted(design.starts.values())
        assert made.panel is panel
        chosen.append(made.pilots)
    assert len(set(chosen)) == 6
    effect = PlaceboPanel(design, "cpp", effect=4.0).draw(2).design.sample("cpp")
    plain = process.draw(2).design.sample("cpp")
    np.testing.assert_allclose((effect.y - plain.y)[plain.mask], 4.0 * plain.treated[plain.mask])


def test_placebo_pilots_have_no_effect_on_average():
    _, design = evaluation()
    made = dk.study(dk.DiD("complete"), dk.ClusterRobust("CR2"), PlaceboPanel(design, "cpp"), 60)
    row = made.table.iloc[0]
    assert abs(row["bias"]) < 4 * row["bias_mc_error"]


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda d: LongDifferences(0, 9), "pilots=0"),
        (lambda d: LongDifferences(3, 9, "loud"), "noise='loud'"),
        (lambda d: LongDifferences(3, 9, effect=np.nan), "effect=nan"),
        (lambda d: LongDifferences(3, 9).draw(-1), "-1"),
        (lambda d: PROCESSES["sets"].draw(1.5), "1.5"),
        (lambda d: replace(PROCESSES["staggered"], ar1=1.0), "ar1=1.0"),
        (lambda d: replace(PROCESSES["staggered"], starts=(0.5, 0.4)), "starts=(0.5, 0.4)"),
        (lambda d: replace(PROCESSES["staggered"], starts=(0.25,) * 4), "starts="),
        (lambda d: replace(PROCESSES["staggered"], region_correlation=0.2), "without regions"),
        (lambda d: replace(PROCESSES["staggered"], sets=3), "sets=3 of 9 comparators"),
        (lambda d: replace(PROCESSES["staggered"], shared=True), "without sets"),
        (lambda d: replace(PROCESSES["staggered"], before=0), "before=0"),
        (lambda d: OwnPanel(d.design, "cpp", noise="small"), "'small'"),
        (lambda d: OwnPanel(d.design, "cpp", of_size=0.5), "of_size=0.5"),
        (lambda d: OwnPanel(d.design, "cpp", noise="sizes", of_size=1.5), "of_size=1.5"),
        (lambda d: OwnPanel(d.design, "cpp", effect="big"), "effect='big'"),
        (lambda d: OwnPanel(d.bare, "cpp", noise="sizes"), "not for all"),
        (lambda d: PlaceboPanel(d.matched, "cpp"), "a set given by weight"),
        (lambda d: PlaceboPanel(d.few, "cpp"), "15 ("),
    ],
)
def test_what_makes_no_process_is_refused_by_name(make, found):
    with pytest.raises(DesignError) as refused:
        make(Designs())
    assert found in str(refused.value)


class Designs:
    """The packaged evaluation against others, or without its exposure."""

    def __init__(self) -> None:
        self.panel, self.design = evaluation()
        self.ids = self.design.comparators

    @property
    def bare(self):
        return self._against(dk.Pool(), self.panel.select(metrics=["cpp"]))

    @property
    def few(self):
        return self._against(dk.Pool(self.ids[:15]))

    @property
    def matched(self):
        pairs = {p: {u: 1.0} for p, u in zip(self.design.pilots, self.ids, strict=False)}
        return self._against(dk.MatchedSets(pairs))

    def _against(self, against, panel=None):
        panel = self.panel if panel is None else panel
        return dk.Design(panel, self.design.rollout, against=against, selection="bid")
