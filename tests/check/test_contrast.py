"""Two against two: every number by hand, by another program, or by a theorem."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.meta_analysis import combine_effects

import didkit as dk
from didkit.check.contrast import between_sites, detectable_in_sds
from didkit.check.contrast_reference import Others, ranked
from didkit.errors import InferenceError
from didkit.inference.samples import TwoSamples

YEARS = (2016, 2017, 2018, 2019)
SITES = {"A": 6.0, "B": 5.0, "C": 0.0, "D": 0.0}
WAI = dk.Metric(name="wai", label="Alliance", unit="points", direction="higher")


def people(sites: dict[str, float], seed: int, *, n: int = 40) -> pd.DataFrame:
    """Individuals of each site and year; from 2018 on with the site's effect."""
    rng = np.random.default_rng(seed)
    rows = [
        (site, year, 50 + own + effect * (year >= 2018) + 8 * rng.normal())
        for site, effect in sites.items()
        for year, own in zip(YEARS, 2 * rng.normal(size=4), strict=True)
        for _ in range(n)
    ]
    return pd.DataFrame(rows, columns=["site", "year", "wai"])


def panel_of(sites: dict[str, float], seed: int, *, metric: dk.Metric = WAI) -> dk.Panel:
    frame = people(sites, seed)
    return dk.site_means(frame, unit="site", period="year", scores={"wai": metric})


def design_of(panel: dk.Panel, pilots=("A", "B")) -> dk.Design:
    rollout = dk.Rollout(dict.fromkeys(pilots, 2018))
    return dk.Design(panel, rollout, against=dk.Pool(), selection="bid")


def study(**options) -> dk.Estimate:
    return dk.DiD(**options).fit(design_of(panel_of(SITES, 1)), "wai")


def others(n: int = 6, seed: int = 9, **options) -> dk.Panel:
    return panel_of({f"R{i:02d}": 0.0 for i in range(n)}, seed, **options)


def changes(panel: dk.Panel, metric: str = "wai") -> pd.Series:
    wide = panel.wide(metric)
    return wide[["2018", "2019"]].mean(axis=1) - wide[["2016", "2017"]].mean(axis=1)


def test_paths_and_the_pooled_t_are_those_of_another_program():
    estimate = study()
    found = estimate.check(dk.ContrastStudy(level=0.9))
    change = changes(estimate.design.panel)
    table = found.table.set_index("unit")
    assert table["change"].to_dict() == pytest.approx(change.to_dict())
    assert table["arm"].tolist() == ["pilot"] * 2 + ["comparator"] * 2
    assert (table["after"] - table["before"]).tolist() == pytest.approx(table["change"].tolist())
    theirs = scipy.stats.ttest_ind(change[["A", "B"]], change[["C", "D"]])
    ends = theirs.confidence_interval(0.9)
    facts = found.facts
    assert facts["p_value"] == pytest.approx(theirs.pvalue)
    assert [facts["conf_low"], facts["conf_high"]] == pytest.approx([ends.low, ends.high])
    assert facts["df"] == 2
    assert facts["estimate"] == pytest.approx(change[:2].mean() - change[2:].mean())
    within = [change[["A", "B"]].var(), change[["C", "D"]].var()]
    assert facts["site_sd"] == pytest.approx(np.mean(within) ** 0.5)
    assert found.estimate.attached.inference == dk.DonaldLang()


def test_the_least_p_of_two_against_two_is_a_third_and_is_said():
    found = study().check(dk.ContrastStudy())
    assert found.facts["least_p"] == pytest.approx(1 / 3)
    assert found.notes[0].startswith("no distribution-free test at 5% exists")
    assert "equal-variance normal site shocks" in found.headline
    assert "0.333" in found.headline
    # at 50 % such a test exists, and nothing else is said
    wide = study().check(dk.ContrastStudy(level=0.5))
    assert not any("distribution-free" in note for note in wide.notes)


def test_three_against_three_and_one_against_three():
    six = panel_of({**SITES, "E": 3.0, "F": 0.0}, 2)
    three = dk.DiD().fit(design_of(six, "ABE"), "wai").check(dk.ContrastStudy()).facts
    assert three["least_p"] == pytest.approx(0.10)
    assert three["df"] == 4
    one = dk.DiD().fit(design_of(panel_of(SITES, 1), "A"), "wai").check(dk.ContrastStudy())
    assert one.facts["least_p"] == pytest.approx(0.25)
    assert one.facts["df"] == 2


def test_detectable_effects_are_those_of_the_noncentral_t():
    assert detectable_in_sds(2, 2) == pytest.approx(5.65, abs=0.05)  # 5.7 in the size study
    for n1, n0 in ((2, 2), (3, 3), (1, 3)):
        size = detectable_in_sds(n1, n0, level=0.9, power=0.7)
        df, away = n1 + n0 - 2, size / (1 / n1 + 1 / n0) ** 0.5
        limit = scipy.stats.t.ppf(0.95, df)
        upper = scipy.stats.nct.sf(limit, df, away) + scipy.stats.nct.cdf(-limit, df, away)
        assert upper == pytest.approx(0.7, abs=2e-4)


def test_the_rank_among_listed_contrasts_is_that_by_hand():
    estimate, reference = study(), others(5)
    found = estimate.check(dk.ContrastStudy(reference=(reference, "wai")))
    pool = np.concatenate([changes(estimate.design.panel), changes(reference)])
    at, actual = range(len(pool)), abs(pool[:2].mean() - pool[2:4].mean())
    made = [
        pool[list(p)].mean() - pool[list(c)].mean()
        for p in itertools.combinations(at, 2)
        for c in itertools.combinations([i for i in at if i not in p], 2)
    ]
    by_hand = np.mean([abs(one) >= actual - 1e-9 for one in made])
    assert found.facts["n_contrasts"] == len(made) == 36 * 21
    assert found.facts["rank_p"] == pytest.approx(by_hand, abs=1e-12)
    assert by_hand >= 2 / len(made)  # its own and its mirror image
    assert (found.facts["mc_error"], found.facts["n_reference"]) == (0.0, 5)
    listed = found.check.ranked(estimate).contrasts
    assert np.sort(listed) == pytest.approx(np.sort(made))


def test_drawn_contrasts_agree_with_listed_ones_and_repeat():
    estimate, reference = study(), (others(9), "wai")
    full = estimate.check(dk.ContrastStudy(reference, draws=10_000)).facts
    drawn = [
        estimate.check(dk.ContrastStudy(reference, draws=4000, seed=s)).facts for s in (1, 1, 2)
    ]
    assert full["n_contrasts"] == 78 * 55  # 13 sites
    assert drawn[0]["n_contrasts"] == 4000
    assert drawn[0]["rank_p"] == drawn[1]["rank_p"] != drawn[2]["rank_p"]
    p = full["rank_p"]
    assert drawn[0]["mc_error"] == pytest.approx((p * (1 - p) / 4000) ** 0.5, rel=0.2)
    for one in drawn:
        assert one["rank_p"] == pytest.approx(p, abs=4 * one["mc_error"] + 1 / 4000)
        as_count = one["rank_p"] * 4001
        assert as_count == pytest.approx(round(as_count))
        assert as_count >= 1  # (1 + #) / (1 + draws)


def test_exchangeable_sites_are_ranked_uniformly():
    """All ways to choose the study among seven sites, each once: p ≤ a in at most a of them."""
    rng = np.random.default_rng(4)
    numbers = rng.normal(size=7)
    ranks = []
    for p in itertools.combinations(range(7), 2):
        for c in itertools.combinations([i for i in range(7) if i not in p], 2):
            rest = [i for i in range(7) if i not in (*p, *c)]
            at = np.arange(2)
            both = TwoSamples(numbers[list(p)], numbers[list(c)], at, at)
            ranks.append(ranked(both, Others(numbers[rest], None, ()), draws=999, seed=0).p_value)
    for alpha in (0.05, 0.1, 0.25, 0.5):
        assert np.mean(np.array(ranks) <= alpha) <= alpha
    assert min(ranks) == pytest.approx(2 / 210)


def test_a_design_serves_with_its_comparators_only():
    panel = others(8)
    reference = dk.Design(panel, dk.Rollout({"R00": 2018}), against=dk.Pool(), selection="unknown")
    found = study().check(dk.ContrastStudy(reference))
    without = panel.select(units=[u for u in panel.unit_ids if u != "R00"])
    same = study().check(dk.ContrastStudy((without, "wai")))
    assert found.facts["n_reference"] == 7
    assert found.facts["rank_p"] == same.facts["rank_p"]
    assert any("1 pilot of the reference does not serve" in note for note in found.notes)


def test_the_study_s_own_sites_are_not_counted_twice():
    both = panel_of(SITES, 1) | others(6)
    found = study().check(dk.ContrastStudy((both, "wai")))
    alone = study().check(dk.ContrastStudy((others(6), "wai")))
    assert found.facts["n_reference"] == 6
    assert found.facts["rank_p"] == alone.facts["rank_p"]
    assert any("not counted twice" in note for note in found.notes)


def test_another_metric_is_refused_unless_standardised():
    other = dk.Metric(name="engagement", unit="points")
    reference = others(6, metric=other)
    with pytest.raises(InferenceError, match="standardise='individuals'"):
        study().check(dk.ContrastStudy((reference, "engagement")))
    check = dk.ContrastStudy((reference, "engagement"), standardise="individuals")
    found = study().check(check)
    before = ["2016", "2017"]
    mine = study().design.panel.wide("wai_sd")[before].to_numpy()
    divisor = np.sqrt((mine**2).mean())
    made = check.ranked(study())
    assert made.standardised
    assert made.actual == pytest.approx(found.facts["estimate"] / divisor)
    theirs = np.sqrt((reference.wide("engagement_sd")[before].to_numpy() ** 2).mean())
    pool = np.concatenate(
        [changes(study().design.panel) / divisor, changes(reference, "engagement") / theirs]
    )
    largest = np.sort(pool)
    assert made.contrasts.max() == pytest.approx(largest[-2:].mean() - largest[:2].mean())


def test_standardising_needs_the_individuals():
    wide = others(6).select(metrics=["wai"])
    with pytest.raises(InferenceError, match="wai_sd"):
        study().check(dk.ContrastStudy((wide, "wai"), standardise="individuals"))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (lambda: (others(6).select(periods=(2016, 2017, 2018)), "wai"), "without 1 .2019"),
        (lambda: (others(3), "wai"), "at least 4 sites"),
    ],
)
def test_a_reference_over_other_years_or_too_small_is_refused(reference, words):
    with pytest.raises(InferenceError, match=words):
        study().check(dk.ContrastStudy(reference()))


def test_sampling_errors_and_shrinkage_are_those_by_hand():
    estimate = study()
    found = estimate.check(dk.ContrastStudy())
    panel = estimate.design.panel
    n, sd = panel.wide("wai_n"), panel.wide("wai_sd")
    variance = (0.25 * sd**2 / n).sum(axis=1)
    table = found.table.set_index("unit")
    assert (table["sampling_sd"] ** 2).to_dict() == pytest.approx(variance.to_dict())
    assert table["n_before"].tolist() == [80.0] * 4
    assert found.facts["sampling_sd"] == pytest.approx(np.sqrt(variance.mean()))
    tau2 = found.facts["between_sd"] ** 2
    for arm in (["A", "B"], ["C", "D"]):
        w = 1 / (tau2 + variance[arm])
        centre = (w * table.loc[arm, "change"]).sum() / w.sum()
        kept = tau2 / (tau2 + variance[arm])
        by_hand = centre + kept * (table.loc[arm, "change"] - centre)
        assert table.loc[arm, "shrunken"].tolist() == pytest.approx(by_hand.tolist())
    assert any("a description, not a test" in note for note in found.notes)


def test_the_variance_between_sites_of_one_arm_is_dersimonian_and_laird_s():
    change, variance = np.array([1.0, 2.0, 5.0, 9.0]), np.array([1.0, 0.5, 2.0, 1.5])
    theirs = combine_effects(change, variance, method_re="dl")
    tau2, shrunken = between_sites(change, variance, np.ones(4, dtype=bool))
    assert theirs.tau2 > 0
    assert tau2 == pytest.approx(theirs.tau2)
    weight = tau2 / (tau2 + variance)
    by_hand = weight * change + (1 - weight) * theirs.mean_effect_re
    assert shrunken == pytest.approx(by_hand)


def test_the_variance_between_sites_is_unbiased_within_arms():
    rng = np.random.default_rng(8)
    pilot = np.array([True, True, True, False, False, False])
    variance = np.array([1.0, 2.0, 1.5, 1.0, 0.5, 2.0])
    draws = 4000
    noise = rng.normal(size=(draws, 6)) * np.sqrt(100 + variance)  # τ² = 100: rarely cut at zero
    made = np.array([between_sites(one + 7 * pilot, variance, pilot)[0] for one in noise])
    assert made.mean() == pytest.approx(100, abs=4 * made.std() / draws**0.5)


def test_without_numbers_of_individuals_there_is_no_shrinkage():
    panel = panel_of(SITES, 1).select(metrics=["wai"])
    found = dk.DiD().fit(design_of(panel), "wai").check(dk.ContrastStudy())
    assert np.isnan(found.facts["between_sd"])
    assert found.table["shrunken"].isna().all()
    assert any(note.startswith("no shrinkage") for note in found.notes)


def test_the_shocks_are_breakdown_s_and_the_one_to_zero_undoes_it():
    estimate = study()
    found = estimate.check(dk.ContrastStudy())
    other = estimate.infer(dk.DonaldLang()).check(dk.Breakdown(units="all"))
    sites = other.table[other.table["unit_id"] != ""].set_index("unit_id")["value"]
    assert found.table.set_index("unit")["shock"].to_dict() == pytest.approx(sites.to_dict())
    panel = estimate.design.panel
    for row in found.table.to_dict("records"):
        values = panel.cells("wai").value.copy()
        values[panel.unit_ids.index(row["unit"]), 2:] += row["shock_to_zero"]
        moved = estimate.design.on_panel(panel.refilled(panel.metric("wai"), values))
        assert estimate.refit(moved).values[0] == pytest.approx(0, abs=1e-9)


def test_a_gap_is_served_by_its_change():
    made = dk.Gap().fit(design_of(panel_of(SITES, 1)), "wai")
    found = made.check(dk.ContrastStudy((others(6), "wai")))
    same = study().check(dk.ContrastStudy((others(6), "wai")))
    for name in ("estimate", "p_value", "rank_p", "smallest_shock"):
        assert found.facts[name] == pytest.approx(same.facts[name])


def test_more_sites_are_refused_with_advice():
    many = panel_of({**SITES, "E": 0.0, "F": 0.0}, 2)
    with pytest.raises(InferenceError, match=r"use \.infer\(\)"):
        dk.DiD().fit(design_of(many), "wai").check(dk.ContrastStudy())
    pair = panel_of({"A": 6.0, "C": 0.0}, 2)
    with pytest.raises(InferenceError, match="at least three sites"):
        dk.DiD().fit(design_of(pair, "A"), "wai").check(dk.ContrastStudy())


@pytest.mark.parametrize(
    "options",
    [
        {"reference": "wai"},
        {"level": 95},
        {"standardise": "sd"},
        {"draws": 10},
        {"draws": 1e5},
        {"seed": -1},
    ],
)
def test_unknown_options_are_refused(options):
    with pytest.raises(InferenceError):
        dk.ContrastStudy(**options)


def test_no_site_is_drawn_twice_into_one_contrast():
    at = np.arange(2)
    both = TwoSamples(np.array([1.0, 10.0]), np.array([100.0, 1000.0]), at, at)
    rest = Others(np.array([1e4, 1e5]), None, ())
    listed = ranked(both, rest, draws=99_999, seed=0)
    drawn = ranked(both, rest, draws=80, seed=0)
    assert (listed.exact, drawn.exact) == (True, False)
    assert len(listed.contrasts) == 90
    assert set(drawn.contrasts.round(6)) <= set(listed.contrasts.round(6))


def test_without_spread_within_arms_nothing_is_a_number_that_needs_an_interval():
    frame = pd.DataFrame({"site": [*"ABCD"] * 2, "year": [2017] * 4 + [2018] * 4})
    frame["wai"] = [50.0, 50, 40, 40, 56, 56, 41, 41]
    panel = dk.Panel.from_frame(frame, unit="site", period="year", metrics=["wai"], identity="any")
    found = dk.DiD().fit(design_of(panel), "wai").check(dk.ContrastStudy())
    assert found.facts["estimate"] == 5
    assert np.isnan([found.facts[name] for name in ("p_value", "conf_low", "conf_high")]).all()
    assert np.isnan(found.facts["smallest_shock"])
    assert found.table["shock"].isna().all()
    assert found.table["shock_to_zero"].tolist() == [-10, -10, 10, 10]
    assert sum("the same number: no pooled t" in note for note in found.notes) == 1
    assert "nan" not in found.headline
    assert not any("degrees of freedom: needs" in note for note in found.notes)
