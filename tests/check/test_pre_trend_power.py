"""The power of tests before the start: against pretrends (R), brute force and closed forms."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy
from helpers import design_of, noise, spread
from scipy.stats import multivariate_normal

import didkit as dk
from didkit.check.event_terms import EventTerms
from didkit.check.passing import ByDraws, ByEach, Jointly, rectangle, slope_at
from didkit.errors import InferenceError

PACKAGE = 2 * scipy.special.ndtr(1.96) - 1  #: pretrends compares |t| with 1.96, not 1.959964
ROOT = 1.22e-4  #: the default tolerance of R's uniroot, with which pretrends looks for the slope
CASES = {"hw_p50": 0.5, "hw_p65": 0.65, "hw_p80": 0.8, "hw_2pre_p50": 0.5}


def extra(text: str, key: str) -> float:
    return float(dict(part.split("=") for part in text.split(";"))[key])


def he_and_wang(folder: Path, first: int) -> EventTerms:
    beta = pd.read_csv(folder / "data" / "HeAndWang_beta.csv").set_index("time")["beta"]
    sigma = pd.read_csv(folder / "data" / "HeAndWang_sigma.csv").to_numpy()
    sigma = pd.DataFrame((sigma + sigma.T) / 2, beta.index, beta.index)
    keep = [time for time in beta.index if time >= first]
    return EventTerms.given(beta[keep], sigma.loc[keep, keep])


@pytest.mark.parametrize("case", CASES)
def test_slope_power_and_means_are_those_of_pretrends(shared_reference, case):
    """slope_for_power(sigma, targetPower) and pretrends(betahat, sigma, deltatrue), R 0.1.0."""
    table = pd.read_csv(shared_reference / "pretrends.csv")
    table = table[table["case"].str.startswith(case)].set_index("term")
    terms = he_and_wang(shared_reference, -3 if "2pre" in case else -4)
    check = dk.PreTrendPower((CASES[case],), level=PACKAGE)
    label = f"{100 * CASES[case]:g}"
    facts = check.on(terms).facts
    assert facts[f"slope_{label}"] == pytest.approx(table.loc["slope", "estimate"], abs=ROOT)
    # at the slope that the package was given, not at ours
    slope = extra(table.loc["Power", "extra"], "slope")
    made = check.path_at(terms, slope)
    own = dk.PreTrendPower((), slopes=(slope,), level=PACKAGE).on(terms)
    assert own.table["power"].tolist()[len(terms.times) + 1] == made["power"].iloc[0]
    mc = extra(table.loc["Power", "extra"], "range") + 1e-6
    assert made["power"].iloc[0] == pytest.approx(table.loc["Power", "estimate"], abs=mc)
    for time, value in zip(terms.times, made["expected"].iloc[1:], strict=True):
        row = table.loc[f"meanAfterPretesting|t={time}"]
        assert value == pytest.approx(row["estimate"], abs=extra(row["extra"], "range") + 1e-6)
    # the two ratios hang on the slope only through a smooth function: at the package's slope
    size = check.on(terms).facts["size"]
    bayes = table.loc["Bayes.Factor"]
    ours = (1 - made["power"].iloc[0]) / (1 - size)
    assert ours == pytest.approx(bayes["estimate"], abs=extra(bayes["extra"], "range") + 1e-5)
    at = dk.PreTrendPower((made["power"].iloc[0],), level=PACKAGE).on(terms).facts
    (ratio,) = [value for name, value in at.items() if name.startswith("likelihood_ratio")]
    assert ratio == pytest.approx(table.loc["Likelihood.Ratio", "estimate"], rel=1e-4)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_the_rectangle_is_scipys(k):
    rng = np.random.default_rng(k)
    a = rng.normal(size=(k, k))
    s, mean = a @ a.T / k + 0.3 * np.eye(k), rng.normal(size=k)
    reach = 1.96 * np.sqrt(np.diag(s))
    p, _ = rectangle(mean, s, reach)
    theirs = multivariate_normal.cdf(
        reach - mean, np.zeros(k), s, lower_limit=-reach - mean, maxpts=10**6, abseps=1e-7
    )
    assert p == pytest.approx(theirs, abs=3e-5)


def test_the_mean_inside_is_that_of_draws_inside():
    s = np.array([[1.0, 0.6, 0.3], [0.6, 2.0, -0.4], [0.3, -0.4, 0.5]])
    mean, reach = np.array([0.8, -1.0, 0.4]), np.array([1.5, 2.0, 1.0])
    draws = np.random.default_rng(1).multivariate_normal(mean, s, size=400_000)
    kept = draws[(np.abs(draws) <= reach).all(axis=1)]
    p, inside = rectangle(mean, s, reach)
    assert p == pytest.approx(len(kept) / len(draws), abs=4 * 0.5 / np.sqrt(len(draws)))
    np.testing.assert_allclose(inside, kept.mean(axis=0), atol=4 * np.sqrt(2 / len(kept)))


def test_the_order_of_terms_does_not_matter_and_nothing_is_drawn():
    s = np.array([[1.0, 0.6, 0.3], [0.6, 2.0, -0.4], [0.3, -0.4, 0.5]])
    mean, reach = np.array([0.8, -1.0, 0.4]), np.array([1.5, 2.1, 1.0])
    turn = np.array([2, 0, 1])
    p, inside = rectangle(mean, s, reach)
    q, turned = rectangle(mean[turn], s[np.ix_(turn, turn)], reach[turn])
    assert p == pytest.approx(q, rel=1e-12)
    np.testing.assert_allclose(inside[turn], turned, rtol=1e-12)


def test_two_terms_that_are_one_leave_the_rectangle_of_one():
    p, inside = rectangle(np.full(2, 0.7), np.ones((2, 2)), np.full(2, 1.96))
    one, mean = rectangle(np.array([0.7]), np.eye(1), np.array([1.96]))
    assert p == pytest.approx(one, abs=1e-12)
    np.testing.assert_allclose(inside, mean[0], atol=1e-6)


def test_the_joint_test_is_that_of_draws():
    s = np.array([[1.0, 0.5, 0.4], [0.5, 2.0, 0.3], [0.4, 0.3, 1.5]])
    tested, path = np.array([True, True, False]), np.array([1.2, -1.0, 0.5])
    draws = np.random.default_rng(2).multivariate_normal(path, s, size=400_000)
    own = np.linalg.inv(s[:2, :2])
    wald = np.einsum("bi,ij,bj->b", draws[:, :2], own, draws[:, :2])
    kept = draws[wald <= scipy.stats.chi2.ppf(0.95, 2)]
    found = Jointly(s, tested, 0.95)(path)
    assert 1 - found.rejected == pytest.approx(len(kept) / len(draws), abs=3e-3)
    np.testing.assert_allclose(found.expected, kept.mean(axis=0), atol=8e-3)


def test_drawn_noise_and_the_normal_agree_where_noise_is_normal():
    s = np.array([[1.0, 0.5, 0.4], [0.5, 2.0, 0.3], [0.4, 0.3, 1.5]])
    tested, path = np.array([True, True, False]), np.array([1.2, -1.0, 0.5])
    draws = np.random.default_rng(3).multivariate_normal(np.zeros(3), s, size=100_000)
    for joint, exact in (
        (False, ByEach(s, tested, 1.959964)),
        (True, Jointly(s, tested, 0.95)),
    ):
        drawn = ByDraws(draws, np.ones(draws.shape), tested, 0.95, joint=joint)(path)
        assert drawn.rejected == pytest.approx(exact(path).rejected, abs=0.01)
        np.testing.assert_allclose(drawn.expected, exact(path).expected, atol=0.03)
        nothing = ByDraws(draws, np.ones(draws.shape), tested, 0.95, joint=joint)(np.zeros(3))
        assert np.abs(nothing.expected).max() < 1e-12  # either direction alike


def test_of_one_term_the_slope_has_a_closed_form():
    values = pd.Series({-2: 0.3, 0: 1.0})
    terms = EventTerms.given(values, pd.DataFrame(0.04 * np.eye(2), values.index, values.index))
    slope = dk.PreTrendPower((0.5,)).on(terms).facts["slope_50"]
    z = slope / 0.2  # the earlier term is one period from the reference
    power = scipy.stats.norm.sf(1.959964 - z) + scipy.stats.norm.cdf(-1.959964 - z)
    assert power == pytest.approx(0.5, abs=1e-6)


def test_unit_and_path():
    rng = np.random.default_rng(5)
    a = rng.normal(size=(6, 6))
    values = pd.Series(rng.normal(size=6), [-4, -3, -2, 0, 1, 2])
    s = pd.DataFrame(a @ a.T / 6 + 0.1 * np.eye(6), values.index, values.index)
    one = dk.PreTrendPower().on(EventTerms.given(values, s)).facts
    ten = dk.PreTrendPower().on(EventTerms.given(10 * values, 100 * s)).facts
    for name, value in one.items():
        power = 10 if name.split("_")[0] in ("slope", "bias", "expected", "estimate") else 1
        assert ten[name] == pytest.approx(power * value, rel=1e-5), name
    line = {int(time): float(time + 1) for time in values.index}
    same = dk.PreTrendPower(path=line).on(EventTerms.given(values, s)).facts
    assert same["slope_50"] == pytest.approx(one["slope_50"], rel=1e-6)
    turned = values.iloc[::-1]
    again = dk.PreTrendPower().on(EventTerms.given(turned, s.loc[turned.index, :])).facts
    assert again == one


def test_of_an_estimate_with_permutations():
    y, starts = noise(150, 8, 7), spread(150, 50, 5)  # many pilots: t is nearly normal
    design = design_of(y, starts)
    events = dk.EventStudy().fit(design, "m").infer(dk.Permutation(draws=999))
    found = events.check(dk.PreTrendPower())
    normal = events.check(dk.PreTrendPower(noise="normal"))
    assert any("permutations of the pilots" in note for note in found.notes)
    assert not any("doubtful" in note for note in normal.notes)
    few = dk.EventStudy().fit(design_of(noise(30, 5, 2), spread(30, 6, 3)), "m")
    few = few.check(dk.PreTrendPower(noise="normal"))
    assert any("with 6 pilots that is doubtful" in note for note in few.notes)
    # normal data: the two noises say about the same
    assert found.facts["slope_50"] == pytest.approx(normal.facts["slope_50"], rel=0.2)
    asked = found.table[found.table["asked"] & found.table["position"].isna()]
    np.testing.assert_allclose(asked["power"], [found.facts["size"], 0.5, 0.8], atol=2e-3)
    joint = events.check(dk.PreTrendPower(test="joint"))
    assert joint.facts["size"] == pytest.approx(0.05, abs=2e-3)
    # a violation that is in the data is no noise
    y[np.array(sorted(starts))] += 3.0 * np.arange(8)
    moved = dk.EventStudy().fit(design_of(y, starts), "m")
    moved = moved.infer(dk.Permutation(draws=999)).check(dk.PreTrendPower())
    assert moved.facts["slope_50"] == pytest.approx(found.facts["slope_50"], rel=1e-3)
    assert moved.facts["estimate"] != pytest.approx(found.facts["estimate"])


def test_words():
    values = pd.Series({-3: 0.1, -2: 0.2, 0: -1.0, 1: -2.0})
    terms = EventTerms.given(
        values, pd.DataFrame(0.04 * np.eye(4), values.index, values.index), unit="per 1,000"
    )
    answer = dk.PreTrendPower().on(terms)
    found = re.match(
        r"A trend of (\S+) per 1,000 a period would be missed half the time by the intervals of "
        r"the earlier terms; it would move the estimate \(mean of event times 0 to 1, "
        r"less event time −1\) by (\S+) per 1,000, (\S+) times its −1.50, "
        r"and by \S+ per 1,000 on average where it is missed. "
        r"(\S+) per 1,000 a period would be found in 80 % of cases.",
        answer.headline,
    )
    assert found is not None, answer.headline
    assert repr(answer) == answer.headline
    assert answer.cannot_show in answer.summary()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"power": (1.2,)}, "probabilities between 0 and 1"),
        ({"power": ("half",)}, "power=\\(0.5, 0.8\\)"),
        ({"power": ()}, "a power or a slope to evaluate"),
        ({"test": "any"}, "'each' or 'joint'"),
        ({"noise": "t"}, "'normal' or 'permutation'"),
        ({"level": 95}, "a level between 0 and 1"),
        ({"path": [1, 2]}, "a mapping of event times"),
        ({"slopes": (np.nan,)}, "numbers"),
    ],
)
def test_options_are_refused_by_name(options, text):
    with pytest.raises(InferenceError, match=text):
        dk.PreTrendPower(**options)


def test_refusals_of_terms():
    values = pd.Series({-3: 0.1, -2: 0.2, 0: -1.0})
    s = pd.DataFrame(0.04 * np.eye(3), values.index, values.index)
    terms = EventTerms.given(values, s)
    with pytest.raises(InferenceError, match=r"a power above 0\.09\d, with which the test rejects"):
        dk.PreTrendPower((0.05,)).on(terms)
    with pytest.raises(InferenceError, match="terms from elsewhere"):
        dk.PreTrendPower(noise="permutation").on(terms)
    with pytest.raises(InferenceError, match=r"missing 1 \(-2\)"):
        dk.PreTrendPower(path={-3: 1.0, 0: 0.0}).on(terms)
    with pytest.raises(InferenceError, match="not zero at all tested terms"):
        dk.PreTrendPower(path={-3: 0.0, -2: 0.0, 0: 1.0}).on(terms)
    with pytest.raises(InferenceError, match="at least two periods before the start"):
        EventTerms.given(values[[0]], s.loc[[0], [0]])
    y = noise(20, 3, 1)
    one = dk.EventStudy().fit(design_of(y, spread(20, 3, 1)), "m")
    with pytest.raises(InferenceError, match="at least two periods before the start"):
        one.check(dk.PreTrendPower())
    with pytest.raises(InferenceError, match="which have none"):
        EventTerms.given([0.1, 0.2], np.eye(2))  # type: ignore[arg-type]


def test_slope_at_finds_what_was_put_in():
    test = ByEach(np.diag([1.0, 4.0]), np.array([True, True]), 1.96)
    shape = np.array([-2.0, -1.0])
    slope = slope_at(0.7, test, shape, 1e-3)
    assert test(slope * shape).rejected == pytest.approx(0.7, abs=1e-6)


def test_the_bias_of_a_did_is_what_the_line_moves_it_by():
    """It compares with the mean of all periods before, not with the reference."""
    starts = spread(40, 9, 5)
    y = noise(40, 8, 3)
    did = dk.DiD().fit(design_of(y, starts), "m").infer(dk.ClusterRobust("CR2"))
    facts = did.check(dk.PreTrendPower()).facts
    moved = y.copy()
    moved[sorted(starts)] += facts["slope_50"] * np.arange(8)
    again = dk.DiD().fit(design_of(moved, starts), "m")
    assert facts["estimate"] == pytest.approx(float(did.values[0]))
    assert facts["bias_50"] == pytest.approx(float(again.values[0] - did.values[0]))
    events = dk.EventStudy().fit(did.design, "m").infer(dk.ClusterRobust("CR2"))
    terms = events.check(dk.PreTrendPower(of="mean")).facts  # times 0 to 2 less −1; −5 to −1
    assert terms["bias_50"] == pytest.approx(facts["bias_50"] / 2)
