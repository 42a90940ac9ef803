"""Placebo variance: each comparator once, R's numbers, ranks by hand, and a null that is true."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise, treated
from synthetic_reference import load, numbers

import didkit as dk
from didkit.errors import InferenceError

ONE = {4: 7}
THREE = {3: 7, 9: 7, 15: 7}


def fit(y, starts=ONE, estimator=None, **options):
    return (estimator or dk.SyntheticDiD()).fit(design_of(y, starts, **options), "m")


@pytest.mark.parametrize(
    ("estimator", "kind", "apart"),
    [(dk.SyntheticDiD(), "sdid", 3e-5), (dk.SyntheticControl(pooled=True), "sc", 2e-3)],
)
def test_each_state_in_turn(shared_reference, estimator, kind, apart):
    """R: enumerated placebo of prop99, every control once as pseudo-treated, divisor N0.

    The package starts each placebo at the actual weights and stops before the optimum; here each is
    at its optimum. The standard errors are 9.3710 (R) and 9.3712, for sc 10.615 and 10.633; of the
    38 placebos (published for sdid only) the largest difference is 0.052.
    """
    given = numbers(shared_reference, f"prop99__{kind}")
    made = estimator.fit(*load(shared_reference, "prop99"))
    sure = made.infer(dk.PlaceboVariance()).attached
    assert sure.std_error[0] == pytest.approx(given["se_placebo_enumerated"], rel=apart)
    assert sure.facts["exact"]
    assert sure.facts["draws"] == 38
    theirs = np.sort([v for term, v in given.items() if term.startswith("placebo|")])
    if kind == "sdid":
        assert np.abs(np.sort(sure.null[:, 0]) - theirs).max() == pytest.approx(0.0522, rel=0.01)


def test_each_comparator_in_turn_by_hand():
    """The pilot left out, the comparator refitted as a pilot with the same ridge."""
    y = noise(16, 11, 1)
    made = fit(y)
    zeta = made.facts["zeta"]
    found = []
    for j in [j for j in range(16) if j != 4]:
        rest = np.delete(y, 4, axis=0)
        found.append(fit(rest, {j - (j > 4): 7}, dk.SyntheticDiD(zeta=zeta)).values[0])
    sure = made.infer(dk.PlaceboVariance()).attached
    np.testing.assert_allclose(np.sort(sure.null[:, 0]), np.sort(found), rtol=1e-8)
    assert sure.std_error[0] == pytest.approx(np.std(found), rel=1e-8)
    z = made.values[0] / np.std(found)
    from scipy.stats import norm

    assert sure.p_value[0] == pytest.approx(2 * norm.sf(abs(z)), rel=1e-8)
    assert sure.conf_high[0] - made.values[0] == pytest.approx(norm.ppf(0.975) * np.std(found))
    ranked = made.infer(dk.PlaceboVariance(test="rank")).attached
    larger = (np.abs(found) >= abs(made.values[0])).sum()
    assert ranked.p_value[0] == pytest.approx((1 + larger) / 16)
    assert np.isnan(ranked.conf_low[0])
    assert ranked.facts["least_p"] == 1 / 16


def test_the_ratio_of_gaps_by_hand():
    """Abadie et al. (2010): root mean squares after and before the start, for each unit."""
    y = noise(12, 11, 2) + 30 * treated((12, 11), ONE)
    how = dk.SyntheticControl()
    made = fit(y, estimator=how)

    def ratio(values, pilot):
        one = fit(values, {pilot: 7}, dk.SyntheticControl(by="dynamic"))
        after = (one.terms["phase"] == "after").to_numpy()
        return np.sqrt((one.values[after] ** 2).mean() / (one.values[~after] ** 2).mean())

    own, rest = ratio(y, 4), np.delete(y, 4, axis=0)
    others = np.array([ratio(rest, j) for j in range(11)])
    assert made.facts["rmspe_ratio"] == pytest.approx(own, rel=1e-8)
    sure = made.infer(dk.PlaceboVariance(test="ratio")).attached
    assert sure.statistic[0] == pytest.approx(own, rel=1e-8)
    assert sure.p_value[0] == pytest.approx((1 + (others >= own).sum()) / 12)


def test_several_pilots_are_drawn_and_the_seed_is_all():
    y = noise(20, 11, 3)
    made = fit(y, THREE)
    first, same, other = (
        made.infer(dk.PlaceboVariance(draws=50, seed=s)).attached for s in (1, 1, 2)
    )
    assert first.std_error == pytest.approx(same.std_error, rel=0)
    assert first.std_error != other.std_error
    assert not first.facts["exact"]
    labels = made.infer(dk.PlaceboVariance(draws=1000)).attached
    assert labels.facts["exact"]
    assert labels.facts["draws"] == 680  # 17 choose 3


def test_starts_move_inside_strata():
    """Comparators of the other stratum never stand in."""
    y = noise(20, 11, 4)
    y[10:, 7:] += 1000 * np.random.default_rng(4).normal(size=(10, 4))
    ids = codes(20)
    strata = {u: "a" if j < 10 else "b" for j, u in enumerate(ids)}
    panel = design_of(y, ONE).panel
    design = dk.Design(
        panel, dk.Rollout({ids[4]: 2018}), against=dk.Pool(), selection="unknown", strata=strata
    )
    made = dk.SyntheticDiD(zeta=10.0).fit(design, "m")
    assert len(made.infer(dk.PlaceboVariance()).attached.null) == 9
    whole = dk.SyntheticDiD(zeta=10.0).fit(design_of(y, ONE), "m")
    assert len(whole.infer(dk.PlaceboVariance()).attached.null) == 19


@pytest.mark.parametrize(
    "estimator",
    [
        dk.SyntheticDiD(by="dynamic"),
        dk.SyntheticControl(by="dynamic"),
        dk.AugmentedSyntheticControl(by="dynamic", penalty=100.0),
        dk.MatrixCompletion(by="dynamic", penalty=20.0),
    ],
)
def test_every_member_has_it_by_default(estimator):
    made = fit(noise(20, 11, 5), {3: 6, 9: 8}, estimator)
    sure = made.infer(dk.PlaceboVariance(draws=30)).attached
    assert np.isfinite(sure.std_error).all()
    assert sure.band_low is not None
    assert sure.covariance.shape == (made.n_terms,) * 2
    assert isinstance(dk.inference.recommend(made).inference, dk.PlaceboVariance)


def test_refusals_and_options():
    y = noise(20, 11, 6)
    with pytest.raises(InferenceError, match="chosen by the outcome"):
        dk.DiD().fit(design_of(y, ONE), "m").infer(dk.PlaceboVariance())
    few = fit(y[:5], {0: 7, 1: 7, 2: 7})
    with pytest.raises(InferenceError, match="more comparators than pilots"):
        few.infer(dk.PlaceboVariance())
    with pytest.raises(InferenceError, match="one term"):
        fit(y, estimator=dk.SyntheticDiD(by="dynamic")).infer(dk.PlaceboVariance(test="ratio"))
    for options in ({"draws": 5}, {"seed": -1}, {"test": "t"}):
        with pytest.raises(InferenceError):
            dk.PlaceboVariance(**options)
    with pytest.raises(InferenceError, match="refitted"):
        fit(y).infer(dk.Permutation("beta"))


def test_size_under_a_null_that_is_true():
    """Pilots drawn at random, noise alike: the rank is exact, the normal near its level.

    100 data sets, one pilot of 20: of 19 placebos and itself a true null is at rank 1 in 1 of 20.
    Binomial limits with three standard errors.
    """
    ranks, normal = [], []
    for seed in range(100):
        made = fit(noise(20, 9, seed), {seed % 20: 6})
        ranks.append(made.infer(dk.PlaceboVariance(test="rank")).attached.p_value[0])
        normal.append(made.infer(dk.PlaceboVariance()).attached.p_value[0])
    within = 3 * np.sqrt(0.05 * 0.95 / 100)
    assert abs(np.mean(np.array(ranks) <= 0.05 + 1e-9) - 0.05) < within
    assert np.mean(np.array(normal) <= 0.05) < 0.05 + within + 0.03


def test_who_lacks_a_side_of_a_start_is_no_stand_in():
    """A start in the second period: comparators without the first could not have been pilots."""
    y = noise(16, 8, 9)
    y[[6, 7], 0] = np.nan
    made = dk.MatrixCompletion(penalty=1e3).fit(design_of(y, {2: 1, 3: 5}), "m")
    assert made.assignable.tolist() == [j not in (6, 7) for j in range(16)]
    sure = made.infer(dk.PlaceboVariance(draws=1000)).attached
    assert len(sure.null) == 12 * 11  # of 14 comparators 12
    assert np.isfinite(sure.std_error).all()
    assert any(f"2 ({codes(16)[6]}, {codes(16)[7]})" in note for note in sure.notes)
