"""Each estimate is also something else: two-way least squares elsewhere, a mean of differences."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.formula.api as smf
from helpers import codes, design_of, long_of, noise, spread, treated, with_gaps
from linearmodels.panel import PanelOLS

from didkit.design import MatchedSets
from didkit.errors import EstimationError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust

N, T = 15, 7
ONE = spread(N, 4, 4)
STAGGERED = {1: 3, 4: 4, 7: 3, 9: 5, 13: 4}
WHOLE = (0, 1, 2, 4, 9)  #: 9 alone carries the longest lead; the others are of either arm
CASES = [
    pytest.param(starts, gaps, id=f"{name}, {'gaps' if gaps else 'balanced'}")
    for name, starts in (("one start", ONE), ("staggered", STAGGERED))
    for gaps in (False, True)
]


def outcome(starts: dict[int, int], gaps: bool, seed: int = 1) -> np.ndarray:
    y = noise(N, T, seed) - 4 * treated((N, T), starts)
    return with_gaps(y, seed + 1, whole=WHOLE) if gaps else y


def error_of(estimate, kind: str, **options) -> np.ndarray:
    return estimate.infer(ClusterRobust(kind, **options)).uncertainty.std_error


# -- other programs ----------------------------------------------------------------------------


@pytest.mark.parametrize(("starts", "gaps"), CASES)
def test_did_is_linearmodels(starts, gaps):
    """PanelOLS with both effects: the estimate, and its clustered variance after its factor.

    With entity *and* time effects linearmodels 7.1 counts every effect: its debiasing factor is
    ``N/(N−K)``, K = J + T (J unit effects, T − 1 period effects, one regressor), times nothing;
    ``group_debias=True`` multiplies by ``G/(G−1) (N−1)/N``, which makes it the factor "full".
    """
    y = outcome(starts, gaps)
    ours = DiD().fit(design_of(y, starts), "m")
    table = long_of(y, starts).set_index(["unit", "period"])
    model = PanelOLS(table["y"], table[["d"]], entity_effects=True, time_effects=True)
    plain = model.fit(cov_type="clustered", cluster_entity=True)
    debiased = model.fit(cov_type="clustered", cluster_entity=True, group_debias=True)
    assert ours.values[0] == pytest.approx(plain.params["d"], rel=0, abs=1e-10)
    n, k = len(table), N + T
    theirs = plain.std_errors["d"] ** 2 * (n - k) / n  # without any factor
    assert error_of(ours, "CR0")[0] ** 2 == pytest.approx(theirs, rel=1e-8)
    assert error_of(ours, "CR1")[0] ** 2 == pytest.approx(theirs * N / (N - 1), rel=1e-8)
    full = error_of(ours, "CR1", factor="full")[0]
    assert full == pytest.approx(debiased.std_errors["d"], rel=1e-8)


@pytest.mark.parametrize(("starts", "gaps"), CASES)
def test_did_is_least_squares_with_dummies(starts, gaps):
    y = outcome(starts, gaps)
    ours = DiD().fit(design_of(y, starts), "m")
    table = long_of(y, starts)
    theirs = smf.ols("y ~ d + C(unit) + C(period)", table).fit(
        cov_type="cluster", cov_kwds={"groups": table["unit"]}
    )
    assert ours.values[0] == pytest.approx(theirs.params["d"], rel=0, abs=1e-10)
    assert error_of(ours, "CR1", factor="full")[0] == pytest.approx(theirs.bse["d"], rel=1e-8)


@pytest.mark.parametrize(("starts", "gaps"), CASES)
def test_event_study_is_least_squares_with_dummies(starts, gaps):
    y = outcome(starts, gaps)
    ours = EventStudy().fit(design_of(y, starts), "m")
    table = long_of(y, starts)
    names = []
    for e in ours.terms["event_time"]:
        names.append(f"e{e}".replace("-", "m"))
        table[names[-1]] = (table["event"] == e).astype(float)
    theirs = smf.ols("y ~ " + " + ".join(names) + " + C(unit) + C(period)", table).fit(
        cov_type="cluster", cov_kwds={"groups": table["unit"]}
    )
    np.testing.assert_allclose(ours.values, theirs.params[names], rtol=0, atol=1e-9)
    several = (ours.terms["n_pilots"] > 1).to_numpy()
    assert several.sum() >= 5
    sure = ours.infer(ClusterRobust("CR1", factor="full")).uncertainty
    np.testing.assert_allclose(sure.std_error[several], theirs.bse[names][several], rtol=1e-8)
    covariance = theirs.cov_params().loc[names, names].to_numpy()
    np.testing.assert_allclose(
        sure.covariance.to_numpy()[np.ix_(several, several)],
        covariance[np.ix_(several, several)],
        rtol=1e-7,
        atol=1e-9,
    )


def test_calendar_event_study_is_least_squares_with_dummies():
    y = outcome(ONE, gaps=True)
    ours = EventStudy(time="calendar", reference=2012).fit(design_of(y, ONE), "m")
    table = long_of(y, ONE)
    table["arm"] = table["unit"].isin(list(ONE)).astype(float)
    names = []
    for label in ours.terms["period"]:
        names.append(f"p{label}")
        table[names[-1]] = table["arm"] * (table["period"] == int(label) - 2011)
    theirs = smf.ols("y ~ " + " + ".join(names) + " + C(unit) + C(period)", table).fit()
    np.testing.assert_allclose(ours.values, theirs.params[names], rtol=0, atol=1e-9)


def test_a_unit_without_any_value_is_no_cluster():
    """The two-way regression never sees it, so neither does any factor."""
    y = outcome(ONE, gaps=False)
    y[0] = np.nan
    ours = DiD().fit(design_of(y, ONE), "m")
    table = long_of(y, ONE)
    theirs = smf.ols("y ~ d + C(unit) + C(period)", table).fit(
        cov_type="cluster", cov_kwds={"groups": table["unit"]}
    )
    assert ours.values[0] == pytest.approx(theirs.params["d"], rel=0, abs=1e-10)
    assert error_of(ours, "CR1", factor="full")[0] == pytest.approx(theirs.bse["d"], rel=1e-8)


# -- the estimate, once more ---------------------------------------------------------------------


def test_did_is_the_difference_of_long_differences():
    y = outcome(ONE, gaps=False)
    pilot = np.isin(np.arange(N), list(ONE))
    w = y[:, 4:].mean(axis=1) - y[:, :4].mean(axis=1)
    for estimator in (DiD(), DiD("complete")):
        made = estimator.fit(design_of(y, ONE), "m")
        assert made.values[0] == pytest.approx(w[pilot].mean() - w[~pilot].mean(), abs=1e-11)
        table = made.long_differences()
        np.testing.assert_allclose(table["value"], w, rtol=0, atol=1e-11)
        assert (table["value"] * table["weight"]).sum() == pytest.approx(made.values[0], abs=1e-11)
        assert list(table["arm"] == "pilot") == pilot.tolist()


def test_complete_and_observed_are_one_on_a_balanced_panel_with_one_start():
    design = design_of(outcome(ONE, gaps=False), ONE)
    for one, other in (
        (DiD("observed"), DiD("complete")),
        (EventStudy(cells="observed"), EventStudy(cells="complete")),
        (EventStudy(time="calendar"), EventStudy(cells="complete")),
    ):
        left, right = one.fit(design, "m"), other.fit(design, "m")
        np.testing.assert_allclose(left.values, right.values, rtol=0, atol=1e-10)
        np.testing.assert_allclose(left.weights, right.weights, rtol=0, atol=1e-12)
        np.testing.assert_allclose(left.influence, right.influence, rtol=0, atol=1e-10)
        for kind in ("CR0", "CR1", "CR2", "CR3", "CR3J"):
            np.testing.assert_allclose(error_of(left, kind), error_of(right, kind), rtol=1e-9)
        a, b = (e.infer(ClusterRobust("CR2")).uncertainty.df for e in (left, right))
        np.testing.assert_allclose(a, b, rtol=1e-8)


def test_complete_leaves_out_the_units_with_gaps_and_says_so():
    y = outcome(ONE, gaps=False)
    y[0, 3] = y[6, 6] = np.nan
    made = DiD("complete").fit(design_of(y, ONE), "m")
    kept = [j for j in range(N) if j not in (0, 6)]
    again = {kept.index(j): t for j, t in ONE.items() if j in kept}
    assert made.values[0] == pytest.approx(DiD().fit(design_of(y[kept], again), "m").values[0])
    gone = [codes(N)[0], codes(N)[6]]
    assert made.sample.units == tuple(u for u in codes(N) if u not in gone)
    assert any(f"2 ({', '.join(gone)}) left out" in note for note in made.sample.notes)


def test_staggered_complete_averages_each_cohorts_own_comparison():
    y = outcome(STAGGERED, gaps=False)
    never = [j for j in range(N) if j not in STAGGERED]
    own = [
        (y[j, s:].mean() - y[j, :s].mean())
        - (y[never, s:].mean(axis=1) - y[never, :s].mean(axis=1)).mean()
        for j, s in STAGGERED.items()
    ]
    made = DiD("complete").fit(design_of(y, STAGGERED), "m")
    assert made.values[0] == pytest.approx(np.mean(own), abs=1e-10)
    events = EventStudy(cells="complete").fit(design_of(y, STAGGERED), "m")
    for e, value in zip(events.terms["event_time"], events.values, strict=True):
        there = {j: s for j, s in STAGGERED.items() if 0 <= s + e < T}
        cohort = [
            (y[j, s + e] - y[j, s - 1]) - (y[never, s + e] - y[never, s - 1]).mean()
            for j, s in there.items()
        ]
        assert value == pytest.approx(np.mean(cohort), abs=1e-10)
    np.testing.assert_array_equal(
        events.terms["n_pilots"],
        [sum(0 <= s + e < T for s in STAGGERED.values()) for e in events.terms["event_time"]],
    )


@pytest.mark.parametrize("cells", ["observed", "complete"])
@pytest.mark.parametrize("reference", [-1, -3])
def test_mean_after_less_mean_before_is_did(cells, reference):
    """Terms before the start count the reference as 0."""
    design = design_of(outcome(ONE, gaps=False), ONE)
    events = EventStudy(cells=cells, reference=reference).fit(design, "m")
    after = (events.terms["phase"] == "after").to_numpy()
    before = np.append(events.values[~after], 0.0)
    found = events.values[after].mean() - before.mean()
    assert found == pytest.approx(DiD().fit(design, "m").values[0], abs=1e-10)


def test_gap_change_is_did():
    design = design_of(outcome(ONE, gaps=False), ONE)
    gap = dict(
        zip(Gap().fit(design, "m").terms["term"], Gap().fit(design, "m").values, strict=True)
    )
    assert gap["change"] == pytest.approx(DiD().fit(design, "m").values[0], abs=1e-10)
    assert gap["change"] == pytest.approx(gap["gap_after"] - gap["gap_before"], abs=1e-10)


def whole_pool(starts: dict[int, int]) -> MatchedSets:
    ids = codes(N)
    free = [ids[j] for j in range(N) if j not in starts]
    return MatchedSets({ids[j]: dict.fromkeys(free, 1 / len(free)) for j in starts})


@pytest.mark.parametrize("starts", [ONE, STAGGERED], ids=["one start", "staggered"])
@pytest.mark.parametrize(
    "estimator", [Gap(), DiD("complete"), EventStudy(cells="complete")], ids=str
)
def test_sets_that_are_the_whole_pool_are_the_pool(estimator, starts):
    y = outcome(starts, gaps=False)
    sets = estimator.fit(design_of(y, starts, against=whole_pool(starts)), "m")
    pool = estimator.fit(design_of(y, starts), "m")
    np.testing.assert_allclose(sets.values, pool.values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(sets.weights, pool.weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("estimator", [DiD(), EventStudy()], ids=str)
def test_observed_sets_that_are_the_whole_pool_are_the_pool(estimator):
    y = outcome(ONE, gaps=False)
    sets = estimator.fit(design_of(y, ONE, against=whole_pool(ONE)), "m")
    pool = estimator.fit(design_of(y, ONE), "m")
    np.testing.assert_allclose(sets.values, pool.values, rtol=0, atol=1e-10)


def test_a_pilot_lacks_the_terms_in_which_none_of_its_set_is_observed():
    """The other pilots carry the term alone; every other term has both."""
    y = outcome(ONE, gaps=False)
    ids = codes(N)
    rows = list(ONE)
    y[0, 6] = np.nan
    sets = {ids[rows[0]]: {ids[0]: 1.0}, **{ids[j]: {ids[2]: 0.5, ids[3]: 0.5} for j in rows[1:]}}
    made = EventStudy().fit(design_of(y, ONE, against=MatchedSets(sets)), "m")
    assert made.terms["n_pilots"].tolist() == [4] * 5 + [3]
    w = y[:, 6] - y[:, 3]
    expected = w[rows[1:]].mean() - w[[2, 3]].mean()
    assert made.values[-1] == pytest.approx(expected)
    assert any(
        f"pilots that lack cells that a term needs: 1 ({ids[rows[0]]})" in note
        for note in made.notes
    )


def test_a_comparator_without_cells_before_is_not_in_the_change():
    """In one pool as in a set, where its weight goes to the others; and it counts for nothing."""
    y = outcome(STAGGERED, gaps=False)
    y[0, :5] = np.nan  # nothing before any start
    ids = codes(N)
    share = {ids[0]: 0.5, ids[2]: 0.3, ids[3]: 0.2}
    sets = MatchedSets({ids[j]: share for j in STAGGERED})
    for against in (None, sets):
        made = Gap().fit(design_of(y, STAGGERED, against=against), "m")
        without = Gap().fit(design_of(y, STAGGERED, against=against).drop(ids[0]), "m")
        at = list(made.terms["term"]).index("change")
        assert made.values[at] == pytest.approx(without.values[at], abs=1e-10)
        n0 = 2 if against is not None else N - 6
        assert made.terms["n_comparators"][at] == without.terms["n_comparators"][at] == n0
        if against is None:
            one, other = (error_of(e, "CR2")[at] for e in (made, without))
            assert one == pytest.approx(other, rel=1e-9)


def test_least_squares_finds_a_term_that_no_single_unit_shows():
    """No pilot has both the reference and the last lead; others tie the two together."""
    y = outcome(ONE, gaps=False)
    rows = list(ONE)
    y[rows[:2], 3] = y[rows[2:], 0] = np.nan
    made = EventStudy().fit(design_of(y, ONE), "m")
    table = long_of(y, ONE)
    names = [f"e{e}".replace("-", "m") for e in made.terms["event_time"]]
    for name, e in zip(names, made.terms["event_time"], strict=True):
        table[name] = (table["event"] == e).astype(float)
    theirs = smf.ols("y ~ " + " + ".join(names) + " + C(unit) + C(period)", table).fit()
    np.testing.assert_allclose(made.values, theirs.params[names], rtol=0, atol=1e-9)
    with pytest.raises(EstimationError, match="one number a unit"):
        made.long_differences()


def test_observed_sets_are_weighted_two_way_regressions_pilot_by_pilot():
    """With gaps: statsmodels' weighted least squares in each set, then the plain mean."""
    y = outcome(ONE, gaps=True)
    ids = codes(N)
    rng = np.random.default_rng(5)
    free = [j for j in range(N) if j not in ONE]
    sets, own = {}, []
    for j in ONE:
        members = sorted(rng.choice(free, 4, replace=False).tolist())
        share = rng.dirichlet(np.full(4, 5.0))
        sets[ids[j]] = {ids[u]: w for u, w in zip(members, share, strict=True)}
        rows = [j, *members]
        table = long_of(y[rows], {0: ONE[j]})
        weight = np.array([1.0, *share])[table["unit"]]
        fitted = smf.wls("y ~ d + C(unit) + C(period)", table, weights=weight).fit()
        own.append(fitted.params["d"])
    made = DiD().fit(design_of(y, ONE, against=MatchedSets(sets)), "m")
    assert made.values[0] == pytest.approx(np.mean(own), abs=1e-9)


# -- weights and influence -----------------------------------------------------------------------


EVERY = [
    Gap(),
    Gap(by="period"),
    DiD(),
    DiD("complete"),
    EventStudy(),
    EventStudy(cells="complete"),
]


@pytest.mark.parametrize(("starts", "gaps"), CASES)
@pytest.mark.parametrize("estimator", EVERY, ids=str)
@pytest.mark.parametrize("sets", [False, True], ids=["pool", "sets"])
def test_weights_reproduce_the_estimate(estimator, starts, gaps, sets):
    y = outcome(starts, gaps) / 300
    design = design_of(y, starts, against=whole_pool(starts) if sets else None)
    made = estimator.fit(design, "m")
    cells = np.where(made.sample.mask, made.sample.y, 0.0)
    again = (made.weights * cells).sum(axis=(1, 2))
    np.testing.assert_allclose(again, made.values, rtol=0, atol=1e-12)
    assert (made.weights[:, ~made.sample.mask] == 0).all()


@pytest.mark.parametrize(("starts", "gaps"), CASES)
@pytest.mark.parametrize("cells", ["observed", "complete"])
def test_weights_of_did_sum_as_they_must(starts, gaps, cells):
    y = outcome(starts, gaps)
    made = DiD(cells).fit(design_of(y, starts), "m")
    w = made.weights[0]
    np.testing.assert_allclose(w.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(w.sum(axis=0), 0, atol=1e-12)
    assert (w * made.sample.treated).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("starts", "gaps"), CASES)
def test_weights_of_an_event_study_pick_out_their_own_term(starts, gaps):
    made = EventStudy().fit(design_of(outcome(starts, gaps), starts), "m")
    w = made.weights
    np.testing.assert_allclose(w.sum(axis=2), 0, atol=1e-11)
    np.testing.assert_allclose(w.sum(axis=1), 0, atol=1e-11)
    start = np.array([*made.sample.starts, 0])[made.sample.cohort]
    event = np.arange(T) - start[:, None]
    own = np.stack(
        [
            (w * ((event == e) & made.sample.pilot[:, None])).sum(axis=(1, 2))
            for e in made.terms["event_time"]
        ]
    )
    np.testing.assert_allclose(own, np.eye(len(own)), atol=1e-11)


def test_weights_of_levels():
    """A gap: pilots add up to 1, comparators to −1; pilots alone have no comparators."""
    made = Gap().fit(design_of(outcome(ONE, gaps=True), ONE), "m")
    total = made.weights.sum(axis=2)
    pilot = made.sample.pilot
    np.testing.assert_allclose(total[:2, pilot].sum(axis=1), 1)
    np.testing.assert_allclose(total[:2, ~pilot].sum(axis=1), -1)
    np.testing.assert_allclose(total[2:], 0, atol=1e-12)
    assert not made.weights[2, ~pilot].any()


@pytest.mark.parametrize(("starts", "gaps"), CASES)
@pytest.mark.parametrize("estimator", EVERY, ids=str)
def test_influence_reproduces_cr0(estimator, starts, gaps):
    made = estimator.fit(design_of(outcome(starts, gaps), starts), "m")
    sure = made.infer(ClusterRobust("CR0")).uncertainty
    there = np.isfinite(sure.std_error)
    assert there.any()
    np.testing.assert_allclose(
        sure.covariance.to_numpy()[np.ix_(there, there)],
        (made.influence.T @ made.influence)[np.ix_(there, there)],
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose(made.influence.sum(axis=0), 0, atol=1e-9)


def test_influence_is_the_derivative_of_a_refit():
    """Doubling one comparator's weight moves the estimate by its influence, to first order.

    On one number a unit the mean with weight 1 + ε has derivative share × (value − mean).
    """
    y = outcome(ONE, gaps=False)
    made = DiD("complete").fit(design_of(y, ONE), "m")
    w = y[:, 4:].mean(axis=1) - y[:, :4].mean(axis=1)
    pilot = made.sample.pilot
    weight = np.ones(N)
    for j in (0, 1, 8):
        change = weight.copy()
        change[j] += 1e-6
        moved = np.average(w[pilot], weights=change[pilot]) - np.average(
            w[~pilot], weights=change[~pilot]
        )
        assert (moved - made.values[0]) / 1e-6 == pytest.approx(made.influence[j, 0], rel=1e-4)


def test_counts_of_pilots_and_comparators_that_carry_a_term():
    y = outcome(ONE, gaps=False)
    rows = list(ONE)
    y[rows[0], 4:] = np.nan  # a pilot with nothing from the start on
    y[0, :6] = np.nan  # a comparator with one cell
    y[2] = np.nan  # a comparator with none
    made = DiD().fit(design_of(y, ONE), "m")
    assert made.terms["n_pilots"].tolist() == [3]
    assert made.terms["n_comparators"].tolist() == [N - 4 - 2]
    assert any("fewer than two cells with a value" in note for note in made.all_notes)
    assert any("a pilot without values both" in note for note in made.all_notes)
    log = made.sample.log
    assert int(log["cells"].sum()) == int(np.isfinite(y).sum() + np.isnan(y).sum())


def test_negative_weight_of_staggered_starts_is_told():
    """Two cohorts and one late comparator: the classic case, checked against its own weights."""
    y = noise(3, 10, 1)
    starts = {0: 1, 1: 8}
    made = DiD().fit(design_of(y, starts), "m")
    w = np.where(made.sample.treated, made.weights[0], 0.0)
    share = -w[w < 0].sum() / np.abs(w).sum()
    assert share > 0
    assert any(f"{share:.0%} of the absolute weight" in note for note in made.notes)
