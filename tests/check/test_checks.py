"""Each check measures what it says: refits by hand, closed forms, data that it must ignore."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import FIRST, codes, design_of, noise, panel_of, spread, treated
from scipy import stats

from didkit.check import DetectableEffect, LeaveOneOut, PlaceboPilots, PlaceboStart, PreTrends
from didkit.check.detectable_effect import never_found
from didkit.design import Covariates, Design, MatchedSets, Pool, Rollout, SyntheticWeights
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, Jackknife, Permutation
from didkit.inference.assignments import assignments

N, T, START = 14, 7, 4
ONE = spread(N, 4, START)
PILOT = np.isin(np.arange(N), list(ONE))
IDS = codes(N)


def outcome(seed: int = 6, effect: float = -5.0) -> np.ndarray:
    return noise(N, T, seed) + effect * treated((N, T), ONE)


def did(y: np.ndarray, rows: np.ndarray | None = None, start: int = START) -> float:
    """The difference of mean long differences, by hand."""
    keep = np.ones(N, dtype=bool) if rows is None else rows
    w = y[:, start:].mean(axis=1) - y[:, :start].mean(axis=1)
    return float(w[keep & PILOT].mean() - w[keep & ~PILOT].mean())


def own_sets() -> MatchedSets:
    free = [j for j in range(N) if j not in ONE]
    return MatchedSets(
        {IDS[j]: {IDS[free[2 * i]]: 0.5, IDS[free[2 * i + 1]]: 0.5} for i, j in enumerate(ONE)}
    )


# -- leave one out --------------------------------------------------------------------------------


@pytest.mark.parametrize("units", ["pilots", "comparators", "all"])
def test_leave_one_out_is_refits_by_hand(units):
    y = outcome()
    found = DiD().fit(design_of(y, ONE), "m").check(LeaveOneOut(units))
    table = found.tidy().set_index("left_out")
    wanted = {"pilots": PILOT, "comparators": ~PILOT, "all": np.ones(N, dtype=bool)}[units]
    assert list(table.index) == [IDS[j] for j in np.flatnonzero(wanted)]
    for unit, row in table.iterrows():
        expected = did(y, np.array([u != unit for u in IDS]))
        assert row["estimate"] == pytest.approx(expected, abs=1e-9)
        assert row["shift"] == pytest.approx(expected - did(y), abs=1e-9)
        assert row["arm"] == ("pilot" if PILOT[IDS.index(unit)] else "comparator")
    assert found.facts["full"] == pytest.approx(did(y))
    assert found.facts["lowest"] == table["estimate"].min()
    assert found.facts["highest"] == table["estimate"].max()


def test_leave_one_out_kept_or_rebuilt():
    y = outcome()
    made = DiD().fit(design_of(y, ONE, against=own_sets()), "m")
    kept = made.check(LeaveOneOut()).tidy()
    for unit, value in zip(kept["left_out"], kept["estimate"], strict=True):
        assert value == pytest.approx(made.refit(made.design.drop(unit)).values[0])
    rebuilt = made.check(LeaveOneOut(comparators="rebuilt")).tidy()
    for unit, value in zip(rebuilt["left_out"], rebuilt["estimate"], strict=True):
        assert value == pytest.approx(made.refit(made.design.without_pilot(unit)).values[0])


def test_one_authority_that_decides_the_sign_is_told():
    y = np.zeros((8, 4))
    y[0, 2:] = 9.0
    y[1:3, 2:] = -1.0
    words = "its sign hangs on one of them"
    made = DiD("complete").fit(design_of(y, {0: 2, 1: 2, 2: 2}), "m").check(LeaveOneOut())
    assert words in made.headline
    assert f"(without {codes(8)[0]})" in made.headline
    y[0, 2:] = 1.0
    y[1:3, 2:] = 2.0
    calm = DiD("complete").fit(design_of(y, {0: 2, 1: 2, 2: 2}), "m").check(LeaveOneOut())
    assert words not in calm.headline


def test_a_refit_that_does_not_exist_is_nan_with_a_reason():
    against = MatchedSets({IDS[j]: {IDS[0]: 1.0} for j in ONE})
    made = DiD().fit(design_of(outcome(), ONE, against=against), "m")
    found = made.check(LeaveOneOut("all"))
    table = found.tidy().set_index("left_out")
    assert np.isnan(table.loc[IDS[0], "estimate"])
    assert any(f"no estimate without {IDS[0]}" in note for note in found.notes)
    assert table["estimate"].notna().sum() == 4


def test_leave_one_out_of_one_pilot_is_refused():
    made = DiD().fit(design_of(outcome(), {5: START}), "m")
    with pytest.raises(InferenceError, match="at least two pilots") as caught:
        made.check(LeaveOneOut())
    assert "units='comparators'" in str(caught.value)
    assert len(made.check(LeaveOneOut("comparators")).tidy()) == N - 1


# -- placebo start --------------------------------------------------------------------------------


def test_placebo_starts_are_did_on_untreated_periods():
    y = outcome()
    made = DiD().fit(design_of(y, ONE), "m").infer(ClusterRobust("CR2"), level=0.9)
    table = made.check(PlaceboStart()).tidy()
    assert table["moved_by"].tolist() == [-3, -2, -1]
    assert table["start"].tolist() == ["2012", "2013", "2014"]
    for moved, row in zip((-3, -2, -1), table.itertuples(), strict=True):
        assert row.estimate == pytest.approx(did(y[:, :START], start=START + moved), abs=1e-9)
        again = DiD().fit(made.design.shift(moved), "m").infer(ClusterRobust("CR2"), level=0.9)
        assert (row.conf_low, row.conf_high) == pytest.approx(
            (again.uncertainty.conf_low[0], again.uncertainty.conf_high[0])
        )


@pytest.mark.parametrize("starts", [ONE, {1: 4, 5: 5, 9: 4, 13: 6}], ids=["one", "staggered"])
def test_placebo_starts_do_not_see_the_effect(starts):
    """Anything added from the first start on, to anybody, moves nothing."""
    y = noise(N, T, 6)
    later = y.copy()
    later[:, 4:] += 100 * np.random.default_rng(1).normal(size=(N, T - 4))
    one, other = (
        DiD().fit(design_of(x, starts), "m").infer(Permutation(draws=99)).check(PlaceboStart())
        for x in (y, later)
    )
    for column in ("estimate", "conf_low", "conf_high", "p_value"):
        np.testing.assert_allclose(one.tidy()[column], other.tidy()[column], rtol=1e-9, atol=1e-9)
    assert one.facts["actual"] != other.facts["actual"]


def test_placebo_start_headline_gives_the_largest():
    y = np.zeros((N, T))
    y += np.random.default_rng(0).normal(size=y.shape) * 0.01
    y[PILOT, 3] += 7  # the last period before the start
    found = DiD().fit(design_of(y, ONE), "m").infer(None).check(PlaceboStart())
    assert found.facts["largest"] == pytest.approx(7, abs=0.05)
    assert "(start 2014)" in found.headline
    assert found.tidy()["p_value"].isna().all()


def chosen_by(design, first, last):
    seen = {"m": (2011 + first, 2011 + last)}
    how = SyntheticWeights(Covariates.from_panel(design.panel, values=seen))
    return design.compared_with(how)


def test_placebo_starts_that_the_comparators_have_seen_are_refused():
    """They are fitted on 2011 to 2012: starts 2013 and 2014 stay, 2012 would be fitted on."""
    design = chosen_by(design_of(outcome(), ONE), 0, 1)
    found = DiD().fit(design, "m").infer(None).check(PlaceboStart())
    assert found.tidy()["start"].tolist() == ["2013", "2014"]
    assert found.notes == (
        "no placebo 3 periods earlier: comparators chosen by 1 (m 2012 (up to 2012))",
    )
    for sets in (design, design.compared_with(design.matched_sets())):
        again = DiD().fit(sets, "m").infer(None).check(PlaceboStart())
        np.testing.assert_allclose(again.tidy()["estimate"], found.tidy()["estimate"], atol=1e-9)


def test_comparators_that_have_seen_all_before_leave_no_placebo_start():
    made = DiD().fit(chosen_by(design_of(outcome(), ONE), 0, START - 1), "m").infer(None)
    with pytest.raises(InferenceError, match="an earlier start that can be estimated") as caught:
        made.check(PlaceboStart())
    assert "none of 3: no placebo 1 periods earlier" in str(caught.value)
    assert "match on earlier periods" in str(caught.value)


def test_placebo_start_needs_two_periods_before_and_one_change():
    made = DiD().fit(design_of(outcome(), dict.fromkeys(ONE, 1)), "m").infer(None)
    with pytest.raises(InferenceError, match="at least two periods before"):
        made.check(PlaceboStart())
    events = EventStudy().fit(design_of(outcome(), ONE), "m").infer(None)
    with pytest.raises(InferenceError, match="DiD or Gap"):
        events.check(PlaceboStart())
    gap = Gap().fit(design_of(outcome(), ONE), "m").infer(None).check(PlaceboStart()).tidy()
    plain = DiD().fit(design_of(outcome(), ONE), "m").infer(None).check(PlaceboStart()).tidy()
    np.testing.assert_allclose(gap["estimate"], plain["estimate"], atol=1e-9)


# -- placebo pilots -------------------------------------------------------------------------------


def test_placebo_pilots_are_all_choices_of_comparators():
    y = outcome()
    found = DiD().fit(design_of(y, ONE), "m").check(PlaceboPilots())
    w = (y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1))[~PILOT]
    every = []
    for chosen in itertools.combinations(range(10), 4):
        a, b = w[list(chosen)], np.delete(w, chosen)
        error = np.sqrt((a.var() / 4 + b.var() / 6) * 10 / 9)
        every.append((a.mean() - b.mean(), (a.mean() - b.mean()) / error))
    values, t = np.array(every).T
    table = found.tidy()
    np.testing.assert_allclose(np.sort(table["estimate"]), np.sort(values), atol=1e-9)
    np.testing.assert_allclose(np.sort(table["statistic"]), np.sort(t), rtol=1e-7, atol=1e-9)
    facts = found.facts
    assert facts["draws"] == 210
    assert facts["share_as_large"] == pytest.approx((np.abs(values) >= abs(did(y))).mean())
    assert facts["sd"] == pytest.approx(values.std())
    assert facts["share_5"] == pytest.approx((np.abs(t) > stats.t.ppf(0.975, 9)).mean())
    assert "210 sets of 4 placebo pilots" in found.headline


@pytest.mark.parametrize("estimator", [DiD(), DiD("complete"), EventStudy(), Gap()], ids=str)
@pytest.mark.parametrize("starts", [ONE, {1: 4, 5: 5, 9: 4, 13: 6}], ids=["one", "staggered"])
def test_placebo_pilots_ignore_the_real_ones(estimator, starts):
    y = noise(N, T, 6)
    other = y.copy()
    rows = list(starts)
    other[rows] += 500 * np.random.default_rng(1).normal(size=(len(rows), T))
    one, two = (
        estimator.fit(design_of(x, starts), "m").check(PlaceboPilots(draws=99, seed=2)).tidy()
        for x in (y, other)
    )
    np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-8)


def test_placebo_pilots_stay_in_the_strata_of_the_real_ones():
    """Pilots only in the south: placebos come from there too, and the wild north is never one."""
    y = outcome()
    north = [0, 2, 3]
    assert not PILOT[north].any()
    y[north, START:] += 1e6
    strata = {unit: "north" if j in north else "south" for j, unit in enumerate(IDS)}
    design = Design(
        panel_of(y),
        Rollout({IDS[j]: FIRST + START for j in ONE}),
        against=Pool(),
        selection="bid",
        strata=strata,
    )
    table = DiD().fit(design, "m").check(PlaceboPilots()).tidy()
    assert len(table) == 35  # 4 of the 7 in the south
    assert (table["estimate"] < 0).all()  # the north is always a comparator


def test_placebo_pilots_need_stand_ins_in_every_stratum():
    strata = {unit: "south" if PILOT[j] or j == 0 else "north" for j, unit in enumerate(IDS)}
    made = DiD().fit(design_of(outcome(), ONE, strata=strata), "m")
    with pytest.raises(InferenceError, match="in every stratum") as caught:
        made.check(PlaceboPilots())
    assert f"too few in the stratum of {IDS[sorted(ONE)[1]]!r}" in str(caught.value)


def test_placebo_pilots_are_as_many_as_those_that_carry_the_estimate():
    """A pilot with a gap is not in a complete estimate, and has no stand-in."""
    y = outcome()
    y[next(iter(ONE)), 0] = np.nan
    found = DiD("complete").fit(design_of(y, ONE), "m").check(PlaceboPilots())
    assert found.facts["draws"] == 120  # 3 of 10
    assert "sets of 3 placebo pilots" in found.headline


def test_placebo_pilots_are_refused_without_enough_comparators_or_a_pool():
    few = DiD().fit(design_of(outcome()[:9], {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}), "m")
    with pytest.raises(InferenceError, match="twice as many comparators") as caught:
        few.check(PlaceboPilots())
    assert "5 pilots, 4 comparators" in str(caught.value)
    sets = DiD().fit(design_of(outcome(), ONE, against=own_sets()), "m")
    with pytest.raises(InferenceError, match="one pool"):
        sets.check(PlaceboPilots())


@pytest.mark.parametrize("draws", [0, -5, 18, 99.5, "99"])
def test_placebo_draws_are_a_whole_number(draws):
    with pytest.raises(InferenceError, match="PlaceboPilots\\(draws=\\)"):
        PlaceboPilots(draws=draws)


# -- pre-trends -----------------------------------------------------------------------------------


def test_joint_test_is_hotelling_by_hand():
    """One sample of differences: pilots' mean vector against comparators', CR2, T² with η.

    With two terms, T² (η − q + 1)/(η q) is F(q, η − q + 1); η as the covariance of CR2 has it.
    """
    from didkit import linear

    made = EventStudy().fit(design_of(outcome(), ONE, periods=(2012, 2017)), "m")
    found = made.infer(ClusterRobust("CR2")).check(PreTrends())
    y = made.sample.y
    before = [t for t in range(3) if t != 2]
    w = np.stack([y[:, t] - y[:, 2] for t in before], axis=1)
    one, other = w[PILOT], w[~PILOT]
    gap = one.mean(axis=0) - other.mean(axis=0)
    v = np.cov(one, rowvar=False) / 4 + np.cov(other, rowvar=False) / 10
    at = [list(made.terms["event_time"]).index(e) for e in (-3, -2)]
    eta = linear.df_hotelling(made.normal, made.contrast[at], "CR2")
    f = gap @ np.linalg.inv(v) @ gap * (eta - 1) / (2 * eta)
    assert found.facts["p_value"] == pytest.approx(stats.f.sf(f, 2, eta - 1), rel=1e-6)
    assert found.facts["terms"] == 2


def test_joint_test_by_permutation_is_the_rank():
    y = outcome()
    made = EventStudy().fit(design_of(y, ONE), "m").infer(Permutation("t"))
    found = made.check(PreTrends())
    w = np.stack([y[:, t] - y[:, 3] for t in range(3)], axis=1)

    def vector(chosen: tuple[int, ...]) -> np.ndarray:
        a, b = w[list(chosen)], np.delete(w, chosen, axis=0)
        return (a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(a.var(axis=0) / 4 + b.var(axis=0) / 10)

    every = np.array([vector(c) for c in itertools.combinations(range(N), 4)])
    inverse = np.linalg.inv(np.cov(every, rowvar=False))
    size = np.einsum("bi,ij,bj->b", every, inverse, every)
    mine = vector(tuple(np.flatnonzero(PILOT)))
    expected = (size >= mine @ inverse @ mine * (1 - 1e-9)).mean()
    assert found.facts["p_value"] == pytest.approx(expected, abs=1e-12)


def test_largest_and_slope_of_a_straight_pre_trend():
    y = noise(N, T, 1, scale=0.0)
    y[PILOT] += 2.0 * np.arange(T)
    y += 1e-6 * np.random.default_rng(0).normal(size=y.shape)
    found = EventStudy().fit(design_of(y, ONE), "m").infer(ClusterRobust()).check(PreTrends())
    assert found.facts["slope"] == pytest.approx(2, abs=1e-4)
    assert found.facts["largest"] == pytest.approx(6, abs=1e-4)
    assert found.facts["p_value"] < 0.001
    assert found.tidy()["term"].tolist() == ["event time -4", "event time -3", "event time -2"]
    assert "The gap already moved before the start" in found.headline
    calm = outcome()
    p = EventStudy().fit(design_of(calm, ONE), "m").infer(ClusterRobust()).check(PreTrends())
    assert p.facts["p_value"] > 0.05
    assert "Not rejecting does not show that trends were parallel" in p.headline


def test_pre_trends_do_not_see_the_effect():
    y = outcome()
    later = y.copy()
    later[:, START:] += 50 * np.random.default_rng(3).normal(size=(N, T - START))
    for inference in (ClusterRobust("CR2"), Permutation(draws=199)):
        one, other = (
            EventStudy().fit(design_of(x, ONE), "m").infer(inference).check(PreTrends()).facts
            for x in (y, later)
        )
        for name in ("statistic", "p_value", "largest", "slope"):
            assert one[name] == pytest.approx(other[name], rel=1e-7)


def test_terms_of_one_pilot_are_not_in_the_joint_test():
    starts = {1: 3, 5: 4, 9: 3, 13: 3}
    made = EventStudy().fit(design_of(noise(N, T, 2), starts), "m").infer(ClusterRobust("CR2"))
    found = made.check(PreTrends())
    assert found.facts["terms"] == 2
    assert any("terms carried by one pilot (1)" in note for note in found.notes)
    assert len(found.tidy()) == 3
    carried = made.terms[(made.terms["phase"] == "before") & (made.terms["n_pilots"] > 1)].index
    assert found.facts["largest"] == pytest.approx(np.abs(made.values[carried]).max())


def test_pre_trends_refuse_what_has_none():
    for estimate in (
        DiD().fit(design_of(outcome(), ONE), "m").infer(ClusterRobust()),
        EventStudy().fit(design_of(outcome(), ONE), "m").infer(None),
        EventStudy().fit(design_of(outcome(), dict.fromkeys(ONE, 1)), "m").infer(ClusterRobust()),
    ):
        with pytest.raises(InferenceError, match="an event study with terms before the start"):
            estimate.check(PreTrends())


def test_pre_trends_borrow_a_joint_test_and_say_so():
    """A method that tests no terms together lends the question to permutation of t."""
    made = EventStudy().fit(design_of(outcome(), ONE), "m").infer(Jackknife())
    found = made.check(PreTrends())
    assert (
        found.facts["p_value"] == made.infer(Permutation("t")).check(PreTrends()).facts["p_value"]
    )
    assert any("tests no terms together: the joint test is Permutation" in n for n in found.notes)


# -- detectable effect ----------------------------------------------------------------------------


def test_detectable_effect_is_the_formula():
    """(t(.975, ν) + t(.8, ν)) × CR2, with Bell–McCaffrey's ν (Bloom 1995, equation 1)."""
    y = outcome()
    made = DiD().fit(design_of(y, ONE), "m")
    w = y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)
    error = np.sqrt(w[PILOT].var(ddof=1) / 4 + w[~PILOT].var(ddof=1) / 10)
    nu = (1 / 4 + 1 / 10) ** 2 / (1 / (16 * 3) + 1 / (100 * 9))
    for power, level in ((0.8, 0.95), (0.9, 0.9)):
        found = made.check(DetectableEffect(power=power, level=level))
        expected = (stats.t.ppf((1 + level) / 2, nu) + stats.t.ppf(power, nu)) * error
        assert found.facts["detectable"] == pytest.approx(expected, rel=1e-7)
        base = y[~PILOT][:, START:].mean()
        assert found.facts["percent"] == pytest.approx(100 * expected / base, rel=1e-7)
        assert f"or more would probably ({power:.0%}) have been found, a smaller" in found.headline
        assert found.facts["level"] == level


def test_detectable_effect_does_not_depend_on_the_effect_found():
    one, other = (
        DiD().fit(design_of(outcome(effect=e), ONE), "m").check(DetectableEffect())
        for e in (0.0, 80.0)
    )
    assert one.facts["detectable"] == pytest.approx(other.facts["detectable"])


def test_detectable_effect_of_one_pilot_borrows_the_comparators_noise():
    y = noise(N, T, 6)
    made = DiD().fit(design_of(y, {5: START}), "m")
    found = made.check(DetectableEffect())
    w = np.delete(y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1), 5)
    nu = N - 2
    error = w.std(ddof=1) * np.sqrt(1 + 1 / (N - 1))
    expected = (stats.t.ppf(0.975, nu) + stats.t.ppf(0.8, nu)) * error
    assert found.table["detectable"].iloc[0] == pytest.approx(expected, rel=1e-8)
    assert "as if pilots were as noisy" in found.notes[0]
    bare = made.infer(None).check(DetectableEffect())
    assert bare.facts["detectable"] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("level", "never"), [(0.95, True), (0.9, False)])
def test_a_test_that_can_never_reject_finds_no_change_however_large(level, never):
    """One pilot among fourteen: the least p is 1/14, above .05 and below .10."""
    made = DiD().fit(design_of(noise(N, T, 6), {5: START}), "m").infer(level=level)
    found = made.check(DetectableEffect(level=level))
    said = "No change, however large, would have been found by this test."
    assert (found.headline == said) is never
    assert np.isinf(found.facts["detectable"]) is np.bool_(never)
    assert never_found(made, level=level) == (said[:-1] if never else "")
    assert never_found(made.infer(None), level=level) == ""


def test_detectable_effect_of_sets_uses_the_jackknife():
    made = DiD().fit(design_of(outcome(), ONE, against=own_sets()), "m")
    found = made.check(DetectableEffect())
    error = made.infer(Jackknife()).uncertainty.std_error[0]
    assert found.tidy()["std_error"].iloc[0] == pytest.approx(error)
    assert "jackknife" in found.notes[0]


def test_detectable_effect_of_a_gap_is_that_of_its_change():
    y = outcome()
    gap = Gap().fit(design_of(y, ONE), "m").check(DetectableEffect())
    plain = DiD().fit(design_of(y, ONE), "m").check(DetectableEffect())
    assert gap.facts["detectable"] == pytest.approx(plain.facts["detectable"], rel=1e-7)


@pytest.mark.parametrize("options", [{"power": 0.4}, {"power": 1}, {"level": 0}, {"level": 95}])
def test_detectable_effect_refuses_powers_and_levels(options):
    with pytest.raises(InferenceError, match="a power from"):
        DetectableEffect(**options)


# -- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check", [LeaveOneOut(), PlaceboPilots(draws=99), DetectableEffect(), PlaceboStart()], ids=str
)
def test_findings_measure_and_give_no_verdict(check):
    found = DiD().fit(design_of(outcome(), ONE), "m").infer(ClusterRobust()).check(check)
    text = found.summary()
    assert found.question.endswith("?")
    assert any(letter.isdigit() for letter in found.headline)
    for word in ("significant", "passed", "failed", "valid", "robust result"):
        assert word not in text.lower()
    glance = found.glance()
    assert len(glance) == 1
    assert glance["check"].iloc[0] == type(check).__name__
    table = found.tidy()
    table.iloc[:, -1] = 0
    assert not (found.tidy().iloc[:, -1] == 0).all()


def test_an_unknown_option_is_refused():
    with pytest.raises(InferenceError, match="units='pilots', 'comparators' or 'all'"):
        LeaveOneOut("everyone")
    with pytest.raises(InferenceError, match="comparators='kept' or 'rebuilt'"):
        LeaveOneOut(comparators="new")
    for make in (lambda: LeaveOneOut(who="all"), lambda: PlaceboPilots(99), lambda: PreTrends(1)):
        with pytest.raises(TypeError):
            make()


def test_same_seed_same_placebos():
    made = DiD().fit(design_of(outcome(), ONE), "m")
    one, same, other = (
        made.check(PlaceboPilots(draws=50, seed=s)).tidy()["estimate"].to_numpy() for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert assignments(made.sample, draws=10**4, seed=0).exact
