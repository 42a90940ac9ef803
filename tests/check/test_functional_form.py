"""Functional form: the same estimator on three scales, and the implied distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, spread

from didkit.check import FunctionalForm
from didkit.check.implied import implied_shares, lowest_p_value
from didkit.design import MatchedSets, NotYetTreated
from didkit.errors import DidkitError, InferenceError
from didkit.estimate import DiD, EventStudy, PoissonDiD
from didkit.inference import ClusterRobust
from didkit.plot.functional_forms import functional_form


def positive(seed: int, n: int = 30, t: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(size=(n, 1)) + 0.2 * rng.normal(size=(n, t)) + 3)


STARTS = spread(30, 8, 2)


def test_each_form_is_the_estimator_on_transformed_cells():
    y = positive(1)
    found = DiD().fit(design_of(y, STARTS), "m").check(FunctionalForm(draws=200))
    table = found.table.set_index("form")
    rank = 100 * (pd.DataFrame(y).rank().to_numpy() - 0.5) / 30
    for form, values in (("level", y), ("log", np.log(y)), ("rank", rank)):
        direct = DiD().fit(design_of(values, STARTS), "m")
        assert table.loc[form, "estimate"] == pytest.approx(direct.values[0], rel=1e-10)
        tidy = direct.infer().tidy().iloc[0]
        assert table.loc[form, "conf_low"] == pytest.approx(tidy["conf_low"], rel=1e-6)
        assert found.facts[form] == table.loc[form, "estimate"]
    assert table.loc["log", "change"] == pytest.approx(np.expm1(table.loc["log", "estimate"]))


def test_it_is_the_same_estimator_and_inference():
    y = positive(2)
    made = EventStudy().fit(design_of(y, STARTS), "m").infer(None)
    found = made.check(FunctionalForm(inference=ClusterRobust("CR2"), draws=50))
    term = made.main_term
    direct = EventStudy().fit(design_of(np.log(y), STARTS), "m").infer(ClusterRobust("CR2"))
    log = found.table.set_index("form").loc["log"]
    assert log["estimate"] == pytest.approx(direct[term]["estimate"])
    assert log["std_error"] == pytest.approx(direct[term]["std_error"])


def test_a_common_ratio_is_no_effect_in_logs_only():
    base = np.exp(np.linspace(1, 4, 30))
    y = np.outer(base, [1, 1, 1.5, 1.5])
    found = DiD().fit(design_of(y, STARTS), "m").infer(None).check(FunctionalForm(draws=50))
    assert abs(found.facts["log"]) < 1e-10
    assert abs(found.facts["rank"]) < 1e-10
    assert abs(found.facts["level"]) > 0.1


def test_zeros_have_no_log():
    y = positive(3)
    y[0, 1] = 0
    found = DiD().fit(design_of(y, STARTS), "m").infer(None).check(FunctionalForm(draws=50))
    assert np.isnan(found.facts["log"])
    assert "1 cells are zero or below" in found.notes[0]
    assert "No estimate by log" in found.headline or "no estimate by log" in found.headline


def test_the_implied_distribution_is_its_formula():
    y = positive(4)
    edges = np.array([-np.inf, 10, 20, 40, np.inf])
    pilot = np.isin(np.arange(30), list(STARTS))
    made = FunctionalForm(bins=(10, 20, 40)).implied(DiD().fit(design_of(y, STARTS), "m"))
    for b in range(4):
        inside = (y >= edges[b]) & (y < edges[b + 1])
        before, after = inside[:, :2].mean(axis=1), inside[:, 2:].mean(axis=1)
        change = (after - before)[~pilot]
        implied = before[pilot].mean() + change.mean()
        assert made["implied"][b] == pytest.approx(implied, abs=1e-12)
        assert made["pilots_after"][b] == pytest.approx(after[pilot].mean())
        variance = before[pilot].var() / pilot.sum() + change.var() / (~pilot).sum()
        assert made["std_error"][b] == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert made["implied"].sum() == pytest.approx(1.0, abs=1e-12)
    total = made["pilots_before"] + made["comparators_after"] - made["comparators_before"]
    assert made["implied"].to_numpy() == pytest.approx(total.to_numpy())


def test_implied_shares_are_what_did_of_a_bin_says():
    """Pilots after less the implied share is DiD of the indicator, on a balanced panel."""
    y = positive(5)
    made = FunctionalForm(bins=(20,)).implied(DiD().fit(design_of(y, STARTS), "m"))
    indicator = (y >= 20).astype(float)
    effect = DiD().fit(design_of(indicator, STARTS), "m").values[0]
    assert made["pilots_after"][1] - made["implied"][1] == pytest.approx(effect, abs=1e-12)


def test_cohorts_each_have_their_own_windows():
    rng = np.random.default_rng(6)
    y = rng.normal(size=(20, 5))
    starts = {1: 1, 2: 1, 5: 3}
    made = FunctionalForm(bins=(0.0,)).implied(DiD().fit(design_of(y, starts), "m"))
    inside = y >= 0
    others = [j for j in range(20) if j not in starts]
    expected = 0.0
    for j, s in starts.items():
        drift = inside[others, s:].mean() - inside[others, :s].mean()
        expected += (inside[j, :s].mean() + drift) / 3
    assert made["implied"][1] == pytest.approx(expected, abs=1e-12)


def test_matched_sets_weigh_their_own_comparators():
    y = np.random.default_rng(7).normal(size=(9, 2))
    ids = codes(9)
    sets = MatchedSets({ids[1]: {ids[0]: 0.7, ids[2]: 0.3}, ids[4]: {ids[2]: 1.0}})
    estimate = DiD().fit(design_of(y, {1: 1, 4: 1}, against=sets), "m")
    made = FunctionalForm(bins=(0.0,)).implied(estimate)
    inside = (y >= 0).astype(float)
    d = inside[:, 1] - inside[:, 0]
    expected = (inside[1, 0] + 0.7 * d[0] + 0.3 * d[2] + inside[4, 0] + d[2]) / 2
    assert made["implied"][1] == pytest.approx(expected, abs=1e-12)


def test_impossible_trends_are_found():
    """Comparators leave a bin in which pilots never were: a negative share."""
    rng = np.random.default_rng(8)
    y = np.empty((60, 2))
    starts = spread(60, 20, 1)
    pilot = np.isin(np.arange(60), list(starts))
    y[pilot] = 10 + rng.normal(size=(20, 2))
    y[~pilot, 0] = rng.uniform(0, 20, 40)
    y[~pilot, 1] = rng.uniform(10, 20, 40)
    found = DiD().fit(design_of(y, starts), "m").infer(None).check(FunctionalForm(bins=(5, 15)))
    assert found.facts["lowest_share"] < -0.1
    assert found.facts["lowest_to"] == 5
    assert found.facts["p_value"] < 0.01
    assert found.facts["negative_share"] >= -found.facts["lowest_share"] - 1e-12
    assert "below 5" in found.headline
    ax = found.plot()
    hatched = [bar for bar in ax.patches if bar.get_hatch()]
    assert len(hatched) == int((ax.data["implied"] < 0).sum())
    assert ax.data["label"].tolist() == ["under 5", "5–15", "15 on"]


def test_p_values_are_those_of_the_largest_normal():
    """One share: the one-sided normal; two independent ones: one less the product."""
    from scipy.stats import norm

    one = lowest_p_value(np.array([-1.6]), np.eye(1), 200_000, 1)
    assert one == pytest.approx(norm.sf(1.6), abs=0.002)
    two = lowest_p_value(np.array([-1.6, 3.0]), np.eye(2), 200_000, 1)
    assert two == pytest.approx(1 - norm.cdf(1.6) ** 2, abs=0.003)
    tied = lowest_p_value(np.array([-1.6, -1.6]), np.ones((2, 2)), 200_000, 1)
    assert tied == pytest.approx(norm.sf(1.6), abs=0.003)
    assert np.isnan(lowest_p_value(np.array([0.0]), np.zeros((1, 1)), 10, 1))


def _rejections(n1: int, n: int, draws: int, seed: int) -> float:
    """Share of p-values of 5% or less where one bin's implied share is truly zero.

    Pilots were never below −0.8 and comparators' distribution does not move, so that one bin of
    three is at its limit; the other two are not.
    """
    rng = np.random.default_rng(seed)
    edges = np.array([-np.inf, -0.8, 0.5, np.inf])
    found = 0
    sample = design_of(np.zeros((n, 2)), dict.fromkeys(range(n1), 1)).sample("m")
    for i in range(draws):
        y = rng.normal(size=(n, 2))
        y[sample.pilot] = np.abs(y[sample.pilot])
        shares, covariance, _ = implied_shares(replace(sample, y=y), edges)
        found += lowest_p_value(shares["implied"].to_numpy(), covariance, 400, i) <= 0.05
    return found / draws


def test_the_p_value_holds_its_size():
    """9 of 80, one share at its limit of three: rejected about 0.05/3 to 0.05 of the time."""
    assert _rejections(9, 80, 300, 9) <= 0.07


@pytest.mark.slow
def test_the_p_value_holds_its_size_closely():
    assert _rejections(9, 150, 2000, 10) <= 0.055


def test_ties_and_gaps():
    y = np.round(positive(11), -1)
    y[3, 2] = np.nan
    y[next(iter(STARTS)), :2] = np.nan
    estimate = DiD().fit(design_of(y, STARTS), "m").infer(None)
    found = estimate.check(FunctionalForm(draws=50))
    assert found.check.implied(estimate)["implied"].sum() == pytest.approx(1)
    rank = 100 * (pd.DataFrame(y).rank().to_numpy() - 0.5) / np.isfinite(y).sum(axis=0)
    direct = DiD().fit(design_of(rank, STARTS), "m")
    assert found.facts["rank"] == pytest.approx(direct.values[0])


def test_without_comparators_there_is_no_implied_distribution():
    y = positive(12, n=8)
    starts = {j: 1 if j < 4 else 3 for j in range(8)}
    estimate = DiD().fit(design_of(positive(12), STARTS), "m").infer(None)
    alone = design_of(y, starts, against=NotYetTreated())
    from didkit.estimate import ChangesInChanges

    later = ChangesInChanges().fit(alone, "m").infer(None).check(FunctionalForm(draws=50))
    assert "lowest_share" not in later.facts
    assert any(note.startswith("no implied distribution") for note in later.notes)
    with pytest.raises(DidkitError, match="with an implied distribution"):
        functional_form(later)
    assert "lowest_share" in estimate.check(FunctionalForm(draws=50)).facts


def test_what_it_refuses():
    counts = np.round(positive(13)) + 1
    ratio = PoissonDiD().fit(design_of(counts, STARTS), "m")
    with pytest.raises(InferenceError, match="in its own unit"):
        ratio.check(FunctionalForm())
    for bins in (1, (), (3, 2), "five", (1, "a")):
        with pytest.raises(InferenceError, match="bins"):
            FunctionalForm(bins=bins)
    with pytest.raises(InferenceError, match="draws of at least 1"):
        FunctionalForm(draws=0)
    with pytest.raises(DidkitError, match="a finding of FunctionalForm"):
        functional_form(ratio)
