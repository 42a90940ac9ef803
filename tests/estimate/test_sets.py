"""Matched sets when units trade places: the same as trading the outcomes and fitting again."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise, treated, with_gaps
from scipy import stats

from didkit.design import MatchedSets
from didkit.errors import DesignError, EstimationError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust

N, T = 16, 6
ONE = {1: 3, 5: 3, 9: 3, 12: 3}
STAGGERED = {1: 2, 5: 3, 9: 3, 12: 4}
FREE = [j for j in range(N) if j not in ONE]
IDS = codes(N)

OWN = {j: FREE[3 * i : 3 * i + 3] for i, j in enumerate(ONE)}
SHARED = {1: FREE[:3], 5: FREE[1:5], 9: FREE[4:7], 12: [FREE[0], FREE[9]]}
SINGLE = {1: FREE[:1], 5: FREE[:1], 9: FREE[1:2], 12: FREE[2:5]}
ALL = dict.fromkeys(ONE, FREE)


def sets_of(members: dict[int, list[int]], *, even: bool = False, **options) -> MatchedSets:
    """Uneven weights that depend on the place in the set only; even ones if asked."""
    made = {}
    for j, rows in members.items():
        share = np.ones(len(rows)) if even else 1.0 + np.arange(len(rows))
        made[IDS[j]] = {IDS[u]: w for u, w in zip(rows, share / share.sum(), strict=True)}
    return MatchedSets(made, **options)


def used(design) -> np.ndarray:
    """Rows of the units that the design has: those of sets, and the pilots."""
    return np.array([IDS.index(u) for u in sorted({*design.pilots, *design.comparators})])


ESTIMATORS = [DiD(), DiD("complete"), EventStudy(), EventStudy(cells="complete"), Gap()]
SETS = {"own": OWN, "shared": SHARED, "single": SINGLE, "all": ALL}


@pytest.mark.parametrize("members", SETS.values(), ids=SETS)
@pytest.mark.parametrize("starts", [ONE, STAGGERED], ids=["one start", "staggered"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_an_order_is_the_estimate_of_the_outcomes_in_that_order(estimator, starts, members):
    """Values, variance, and both again when an effect is taken out of the outcome first."""
    y = noise(N, T, 3) + 4 * treated((N, T), starts)
    design = design_of(y, starts, against=sets_of(members))
    made = estimator.fit(design, "m")
    rows = used(design)
    m = list(made.terms["term"]).index(made.main_term)
    at = len(rows)
    rng = np.random.default_rng(1)
    orders = np.stack([np.arange(at), rng.permutation(at)])
    drawn = made.exchanged.refit(orders)
    np.testing.assert_allclose(drawn.b[0, m], made.values[m], rtol=0, atol=1e-9)
    assert (drawn.a[0, m], drawn.v1[0, m], drawn.v2[0, m]) == (1, 0, 0)
    theta = 2.5
    for i, order in enumerate(orders):
        for effect in (0.0, theta):
            without = y.copy()
            cells = acts(made, m, starts) if effect else np.zeros((N, T))
            without -= effect * cells
            traded = without.copy()
            traded[rows] = without[rows[order]]
            again = estimator.fit(design_of(traded, starts, against=sets_of(members)), "m")
            value = drawn.b[i, m] - effect * drawn.a[i, m]
            assert value == pytest.approx(again.values[m], abs=1e-9)
            variance = drawn.v0[i, m] - 2 * effect * drawn.v1[i, m] + effect**2 * drawn.v2[i, m]
            its = again.exchanged.refit(np.arange(at)[None]).v0[0, m]
            assert variance == pytest.approx(its, rel=1e-7)


def acts(made, m: int, starts: dict[int, int]) -> np.ndarray:
    """Cells in which the main term's effect is present."""
    on = np.zeros((N, T))
    for j, s in starts.items():
        if isinstance(made.estimator, EventStudy):
            on[j, s + int(made.terms["position"][m])] = 1
        else:
            on[j, s:] = 1
    return on


# -- the variance ---------------------------------------------------------------------------------


def one_number(members: dict[int, list[int]], **options):
    """A fitted design, its refit, and a way to put in any one number a unit."""
    design = design_of(noise(N, 2, 1), dict.fromkeys(ONE, 1), against=sets_of(members, **options))
    made = DiD("complete").fit(design, "m")
    refit = made.exchanged.refit

    def drawn(x: np.ndarray):
        refit.x = np.zeros((2, len(x), 1, 1))
        refit.x[0, :, 0, 0] = x
        return refit(np.arange(len(x))[None])

    return made, drawn


@pytest.mark.parametrize("members", SETS.values(), ids=SETS)
@pytest.mark.parametrize("noisy", [1.0, 4.0])
def test_the_variance_is_unbiased_when_pilots_are_noisier(members, noisy):
    """It is a quadratic form: its mean is the sum of its diagonal over the units' variances."""
    made, drawn = one_number(members)
    n = len(made.sample.units)
    variances = np.where(made.sample.pilot, noisy, 1.0)
    basis = np.eye(n)
    diagonal = np.array([drawn(e).v0[0, 0] for e in basis])
    weight = np.array([drawn(e).b[0, 0] for e in basis])
    assert diagonal @ variances == pytest.approx((weight**2) @ variances, rel=1e-9)


def test_sets_that_share_nothing_have_the_paired_t():
    made, drawn = one_number(OWN, even=True)
    x = np.random.default_rng(2).normal(size=len(made.sample.units))
    found = drawn(x)
    rows = {int(IDS.index(u)): i for i, u in enumerate(made.sample.units)}
    pilots = [x[rows[j]] for j in OWN]
    means = [np.mean([x[rows[u]] for u in members]) for members in OWN.values()]
    t = stats.ttest_rel(pilots, means).statistic
    assert found.b[0, 0] / found.v0[0, 0] ** 0.5 == pytest.approx(t, rel=1e-9)


@pytest.mark.parametrize("estimator", [DiD(), EventStudy(), Gap("period")], ids=str)
def test_one_set_for_all_has_welch(estimator):
    """The standard error of CR2 against the pool."""
    y = noise(N, T, 5)
    sets = estimator.fit(design_of(y, ONE, against=sets_of(ALL, even=True)), "m")
    pool = estimator.fit(design_of(y, ONE), "m").infer(ClusterRobust("CR2"))
    if not isinstance(estimator, EventStudy):  # its regression has several terms in one residual
        error = sets.exchanged.refit(np.arange(N)[None]).v0[0] ** 0.5
        np.testing.assert_allclose(error, pool.uncertainty.std_error, rtol=1e-9)
    np.testing.assert_allclose(sets.values, pool.values, atol=1e-9)


def test_what_a_set_has_in_common_is_in_neither_estimate_nor_variance():
    made, drawn = one_number(OWN)
    blocks = made.exchanged.blocks
    assert len(np.unique(blocks)) == 4
    x = np.random.default_rng(2).normal(size=len(blocks))
    one, other = drawn(x), drawn(x + np.array([0.0, 500.0, -80.0, 3.0])[blocks])
    assert other.b[0, 0] == pytest.approx(one.b[0, 0])
    assert other.v0[0, 0] == pytest.approx(one.v0[0, 0], rel=1e-6)


def test_a_lone_comparator_of_all_shows_no_variance():
    _, drawn = one_number(dict.fromkeys(ONE, FREE[:1]))
    assert np.isnan(drawn(np.arange(5.0)).v0[0, 0])


# -- who may trade --------------------------------------------------------------------------------


def names(made) -> list[set[str]]:
    blocks = made.exchanged.blocks
    return [
        {u for u, b in zip(made.sample.units, blocks, strict=True) if b == one}
        for one in np.unique(blocks)
    ]


def test_blocks_are_sets_linked_by_a_comparator_inside_strata():
    two = {1: FREE[:2], 5: FREE[1:3], 9: FREE[3:5], 12: FREE[5:7]}
    y = noise(N, T, 1)
    made = DiD().fit(design_of(y, ONE, against=sets_of(two)), "m")
    expected = [[1, 5, *FREE[:3]], [9, *FREE[3:5]], [12, *FREE[5:7]]]
    assert sorted(map(sorted, names(made))) == sorted(sorted(IDS[j] for j in b) for b in expected)
    strata = {u: "a" if j in (1, *FREE[:3]) else "b" for j, u in enumerate(IDS)}
    cut = DiD().fit(design_of(y, ONE, against=sets_of(two), strata=strata), "m")
    assert {IDS[5]} in names(cut)
    assert {IDS[j] for j in (1, *FREE[:3])} in names(cut)


def test_a_unit_without_a_term_keeps_its_place_and_the_estimate_is_the_same():
    y = noise(N, T, 1)
    y[FREE[0], :3] = np.nan  # no value before
    made = Gap().fit(design_of(y, ONE, against=sets_of(SHARED)), "m")
    assert made.exchanged.fixed == 1
    assert {IDS[FREE[0]]} in names(made)
    now = made.exchanged.refit(np.arange(len(made.sample.units))[None])
    there = made.terms["term"] != "before_after"
    np.testing.assert_allclose(now.b[0, there], made.values[there], atol=1e-9)
    assert np.isnan(now.b[0, ~there]).all()


def test_nothing_is_published_where_places_are_not_alike():
    y = noise(N, T, 1)
    gaps = with_gaps(y, 2, whole=list(ONE))
    assert DiD().fit(design_of(gaps, ONE, against=sets_of(SHARED)), "m").exchanged is None
    median = sets_of(SHARED, even=True, aggregate="median")
    assert DiD("complete").fit(design_of(y, ONE, against=median), "m").exchanged is None
    both = {**SHARED, 12: [1, FREE[9]]}
    design = design_of(y, ONE, against=sets_of(both, include_pilots=True))
    assert DiD().fit(design, "m").exchanged is None
    assert DiD().fit(design_of(y, ONE), "m").exchanged is None


# -- terms and cells that are not there ------------------------------------------------------------


@pytest.mark.parametrize("against", [None, sets_of(SHARED)], ids=["pool", "sets"])
def test_a_term_that_nobody_carries_is_left_out_by_name(against):
    y = noise(N, T, 1)
    y[:, 5] = np.nan
    whole = EventStudy().fit(design_of(y[:, :5], ONE, against=against), "m")
    made = EventStudy().fit(design_of(y, ONE, against=against), "m")
    assert list(made.terms["term"]) == list(whole.terms["term"])
    np.testing.assert_allclose(made.values, whole.values, atol=1e-9)
    assert any("1 (event time +2) left out" in note for note in made.notes)
    assert not any("left out" in note for note in whole.notes)
    for arm in (list(ONE), FREE):  # one arm alone compares nothing
        y = noise(N, T, 1)
        y[arm, 5] = np.nan
        alone = EventStudy().fit(design_of(y, ONE, against=against), "m")
        assert list(alone.terms["term"]) == list(whole.terms["term"])


def test_with_no_term_left_all_are_refused():
    y = noise(N, T, 1)
    y[FREE, 3:] = np.nan
    with pytest.raises((EstimationError, DesignError)) as caught:
        DiD().fit(design_of(y, ONE, against=sets_of(SHARED)), "m")
    text = str(caught.value)
    assert "pilots have values in 2011 to 2016; comparators have values in 2011 to 2013" in text
    assert "starts in 2014" in text


def test_the_advice_is_not_what_was_done_already():
    """cells='observed' finds no pilot on both sides: it says where values are instead."""
    y = noise(N, T, 1)
    for i, j in enumerate(ONE):  # two values before and none after, or the other way round
        y[j] = np.where(np.arange(T) < 3 if i % 2 else np.arange(T) >= 4, y[j], np.nan)
    with pytest.raises(DesignError) as caught:
        DiD().fit(design_of(y, ONE), "m")
    assert "cells='observed'" not in str(caught.value)
    assert "pilots have values in 2011 to 2013, 2015 to 2016" in caught.value.todo
    with pytest.raises(DesignError, match="use cells='observed'"):
        DiD("complete").fit(design_of(y, ONE), "m")


# -- each pilot's own fit -------------------------------------------------------------------------


def by_dummies(y: np.ndarray, pilot: int, start: int, share: np.ndarray) -> float:
    """Weighted least squares on unit and period dummies, one pilot and its set."""
    rows = [(j, t) for j in np.flatnonzero(share) for t in range(T) if np.isfinite(y[j, t])]
    unit = np.eye(len(y))[[j for j, _ in rows]]
    period = np.eye(T)[[t for _, t in rows]]
    d = [[float(j == pilot and t >= start)] for j, t in rows]
    root = np.sqrt([share[j] for j, _ in rows])[:, None]
    x = np.hstack([d, unit, period]) * root
    return np.linalg.lstsq(x, root[:, 0] * [y[j, t] for j, t in rows], rcond=None)[0][0]


SAME_CELLS = {"all": {}, "one of them": {1: (1,)}, "two alike": {1: (1,), 9: (1,), 5: (4,)}}


@pytest.mark.parametrize("gone", SAME_CELLS.values(), ids=SAME_CELLS)
@pytest.mark.parametrize("starts", [ONE, STAGGERED], ids=["one start", "staggered"])
def test_pilots_alike_in_set_and_cells_share_a_fit_and_nothing_changes(gone, starts, monkeypatch):
    """The estimate is the mean of each pilot's own least squares, however many are computed."""
    from didkit.estimate import cells

    y = noise(N, T, 5)
    y[FREE[2], 1] = y[FREE[4], 5] = np.nan
    for j, periods in gone.items():
        y[j, list(periods)] = np.nan
    made = []
    alone = cells.two_way_weights
    monkeypatch.setattr(cells, "two_way_weights", lambda *a: made.append(a) or alone(*a))
    fitted = DiD().fit(design_of(y, starts, against=sets_of(ALL)), "m")
    assert len(made) == len({(starts[j], gone.get(j)) for j in ONE})
    share = (1.0 + np.arange(len(FREE))) / sum(1.0 + np.arange(len(FREE)))
    own = []
    for j in ONE:
        weight = np.zeros(N)
        weight[FREE] = share
        weight[j] = 1.0
        own.append(by_dummies(y, j, starts[j], weight))
    assert fitted.values[0] == pytest.approx(np.mean(own), abs=1e-8)
    np.testing.assert_allclose(
        (fitted.weights[0] * np.nan_to_num(y[used(fitted.design)])).sum(), fitted.values[0]
    )
    for j in ONE:  # each pilot's own cells weigh a quarter, after less before
        row = fitted.weights[0, fitted.sample.units.index(IDS[j])]
        assert row[starts[j] :].sum() == pytest.approx(0.25)
        assert row[: starts[j]].sum() == pytest.approx(-0.25)


def test_weights_alone_are_those_of_the_fit():
    from didkit.estimate.two_way import two_way, two_way_weights

    sample = design_of(with_gaps(noise(N, T, 6), 2), ONE).sample("m")
    acts = np.zeros((1, 2, T), dtype=bool)
    acts[0, 0, 3] = acts[0, 1, 4:] = True
    share = np.random.default_rng(1).uniform(0.5, 2, len(sample.units))
    alone = two_way_weights(sample, acts, ("a", "b"), share)
    whole = two_way(sample, acts, ("a", "b"), share=share)
    np.testing.assert_allclose(alone, whole.weights, rtol=0, atol=1e-13)
    acts[0, 1] = acts[0, 0]
    with pytest.raises(EstimationError, match="is a combination of"):
        two_way_weights(sample, acts, ("a", "b"), share)
