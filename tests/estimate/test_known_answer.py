"""Without noise every estimator gives the exact effect."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import FIRST, codes, design_of, panel_of, spread, treated

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.estimate import DiD, EventStudy, Gap

TIGHT = 1e-12
SHAPE = (12, 7)
ONE = spread(12, 3, 4)
STAGGERED = {1: 3, 5: 4, 8: 3, 11: 5}
EFFECT = -7.25


def clean(seed: int = 0) -> np.ndarray:
    """Give unit effects plus period effects, no noise; numbers of size one."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(SHAPE[0], 1)) + rng.normal(size=(1, SHAPE[1]))


def sets_of(starts: dict[int, int], rows: int = SHAPE[0], **options) -> MatchedSets:
    """Give each pilot two or three comparators with unequal weights."""
    ids = codes(rows)
    free = [j for j in range(rows) if j not in starts]
    made = {}
    for i, j in enumerate(sorted(starts)):
        chosen = [free[(2 * i + k) % len(free)] for k in range(3)]
        weights = [1 / 3] * 3 if options.get("aggregate") == "median" else [0.5, 0.3, 0.2]
        made[ids[j]] = {ids[u]: w for u, w in zip(chosen, weights, strict=True)}
    return MatchedSets(made, **options)


@pytest.mark.parametrize("starts", [ONE, STAGGERED], ids=["one start", "staggered"])
@pytest.mark.parametrize(
    "estimator", [Gap(), DiD("observed"), DiD("complete")], ids=["Gap", "observed", "complete"]
)
def test_a_constant_effect_is_found_exactly(estimator, starts):
    y = clean() + EFFECT * treated(SHAPE, starts)
    made = estimator.fit(design_of(y, starts), "m")
    term = "change" if isinstance(estimator, Gap) else "att"
    found = dict(zip(made.terms["term"], made.values, strict=True))
    assert abs(found[term] - EFFECT) < TIGHT


@pytest.mark.parametrize("starts", [ONE, STAGGERED], ids=["one start", "staggered"])
def test_a_constant_effect_is_found_exactly_with_gaps(starts):
    y = clean() + EFFECT * treated(SHAPE, starts)
    y[0, 2] = y[1, 0] = y[3, 6] = y[8, 4] = np.nan
    assert abs(DiD("observed").fit(design_of(y, starts), "m").values[0] - EFFECT) < TIGHT
    assert abs(DiD("complete").fit(design_of(y, starts), "m").values[0] - EFFECT) < TIGHT


def test_the_naive_numbers_are_the_levels():
    """Pilots 2 lower throughout, an effect of −3 and a common rise of 5."""
    y = np.zeros((4, 4))
    y[:2] = 10.0
    y[2:] = 8.0
    y[:, 2:] += 5.0
    y[2:, 2:] -= 3.0
    made = Gap().fit(design_of(y, {2: 2, 3: 2}), "m")
    assert list(made.terms["term"]) == ["gap_before", "gap_after", "before_after", "change"]
    np.testing.assert_allclose(made.values, [-2, -5, 2, -3], rtol=0, atol=TIGHT)
    assert made.facts["share_before"] == pytest.approx(0.4, abs=TIGHT)


def test_no_share_before_when_the_gaps_differ_in_sign():
    y = np.array([[1.0, 1.0], [0.0, 3.0]])
    made = Gap().fit(design_of(y, {1: 1}), "m")
    np.testing.assert_allclose(made.values, [-1, 2, 3, 3], rtol=0, atol=TIGHT)
    assert np.isnan(made.facts["share_before"])
    assert any("differ in sign" in note for note in made.notes)


def test_gap_by_period_is_the_gap_of_each_period():
    y = clean()
    y[list(ONE)] += np.arange(7.0)
    made = Gap(by="period").fit(design_of(y, ONE), "m")
    pilot = np.isin(np.arange(12), list(ONE))
    np.testing.assert_allclose(
        made.values, y[pilot].mean(axis=0) - y[~pilot].mean(axis=0), rtol=0, atol=TIGHT
    )
    assert list(made.terms["phase"]) == ["before"] * 4 + ["after"] * 3


PATH = np.array([0.5, -0.25, 0.75, 0.0, 2.0, 3.0, 5.0])  # event times −4 … 2; −1 is zero


@pytest.mark.parametrize("cells", ["observed", "complete"])
@pytest.mark.parametrize("time", ["event", "calendar"])
def test_event_study_gives_back_dynamic_effects(time, cells):
    y = clean()
    y[list(ONE)] += PATH
    made = EventStudy(time=time, cells=cells).fit(design_of(y, ONE), "m")
    np.testing.assert_allclose(made.values, np.delete(PATH, 3), rtol=0, atol=TIGHT)
    if time == "event":
        assert list(made.terms["event_time"]) == [-4, -3, -2, 0, 1, 2]
    assert list(made.terms["period"]) == ["2011", "2012", "2013", "2015", "2016", "2017"]
    table = made.infer(None).tidy()
    assert table.loc[3, "phase"] == "reference"
    assert table.loc[3, "estimate"] == 0


@pytest.mark.parametrize("cells", ["observed", "complete"])
@pytest.mark.parametrize(
    ("time", "reference", "at"), [("event", -2, 2), ("event", -4, 0), ("calendar", 2012, 1)]
)
def test_event_study_subtracts_the_reference_asked_for(time, reference, at, cells):
    y = clean()
    y[list(ONE)] += PATH
    made = EventStudy(reference=reference, time=time, cells=cells).fit(design_of(y, ONE), "m")
    np.testing.assert_allclose(made.values, np.delete(PATH - PATH[at], at), rtol=0, atol=TIGHT)


@pytest.mark.parametrize("cells", ["observed", "complete"])
def test_event_study_with_staggered_starts_and_alike_dynamics(cells):
    """The same path since each start: every event time is exact."""
    y = clean()
    path = {-1: 0.0, 0: 1.0, 1: 3.0, 2: 4.0, 3: 4.5}
    for j, start in STAGGERED.items():
        for t in range(start, SHAPE[1]):
            y[j, t] += path[t - start]
    made = EventStudy(cells=cells).fit(design_of(y, STAGGERED), "m")
    found = dict(zip(made.terms["event_time"], made.values, strict=True))
    assert sorted(found) == [-5, -4, -3, -2, 0, 1, 2, 3]
    for e, value in found.items():
        assert abs(value - path.get(e, 0.0)) < 10 * TIGHT


@pytest.mark.parametrize("starts", [ONE, STAGGERED], ids=["one start", "staggered"])
@pytest.mark.parametrize(
    ("estimator", "aggregate"),
    [
        (DiD("observed"), "mean"),
        (DiD("complete"), "mean"),
        (DiD("complete"), "median"),
        (EventStudy(cells="observed"), "mean"),
        (EventStudy(cells="complete"), "mean"),
        (EventStudy(cells="complete"), "median"),
        (Gap(), "mean"),
        (Gap(), "median"),
    ],
    ids=str,
)
def test_sets_give_the_exact_effect(estimator, aggregate, starts):
    y = clean() + EFFECT * treated(SHAPE, starts)
    made = estimator.fit(design_of(y, starts, against=sets_of(starts, aggregate=aggregate)), "m")
    if isinstance(estimator, Gap):
        assert abs(made.values[list(made.terms["term"]).index("change")] - EFFECT) < TIGHT
    else:
        expected = np.where(made.terms["phase"] == "after", EFFECT, 0.0)
        np.testing.assert_allclose(made.values, expected, rtol=0, atol=TIGHT)


def test_sets_average_the_pilots_own_effects():
    """Effects differ between pilots: each counts once."""
    y = clean()
    for j, size in zip(ONE, (1.0, 2.0, 6.0), strict=True):
        y[j, 4:] += size
    for aggregate in ("mean", "median"):
        design = design_of(y, ONE, against=sets_of(ONE, aggregate=aggregate))
        assert abs(DiD("complete").fit(design, "m").values[0] - 3.0) < TIGHT
    assert abs(DiD().fit(design_of(y, ONE, against=sets_of(ONE)), "m").values[0] - 3.0) < TIGHT


def test_median_of_a_set_ignores_one_wild_comparator():
    """The median of the levels in each period, then its change; the mean is pulled away."""
    y = np.zeros((5, 4))
    y[0, 2:] = 1.0
    y[1:4] = np.array([[1.0], [2.0], [3.0]])
    y[3, 2:] += 90
    ids = codes(5)
    against = {ids[0]: dict.fromkeys(ids[1:4], 1 / 3)}
    median = MatchedSets(against, aggregate="median")
    mean = MatchedSets(against)
    assert DiD("complete").fit(design_of(y, {0: 2}, against=median), "m").values[0] == 1.0
    found = DiD("complete").fit(design_of(y, {0: 2}, against=mean), "m").values[0]
    assert found == pytest.approx(1 - 30)


def test_median_of_those_that_are_observed():
    """A gap in one comparator leaves the median of the others; nobody observed leaves a gap."""
    y = np.zeros((6, 4))
    y[0, 2:] = 5.0
    y[1:4] = np.array([[1.0], [2.0], [6.0]])
    ids = codes(6)
    against = MatchedSets({ids[0]: dict.fromkeys(ids[1:4], 1 / 3)}, aggregate="median")
    y[1, 0] = np.nan  # 2011: the median of 2 and 6
    made = Gap().fit(design_of(y, {0: 2}, against=against), "m")
    np.testing.assert_allclose(made.values, [-3, 3, 5, 6], rtol=0, atol=TIGHT)
    assert made.terms["n_comparators"].tolist() == [3, 3, 0, 3]
    assert made.terms["n_pilots"].tolist() == [1] * 4
    y[1:4, 3] = np.nan  # nobody in 2014: the pilot's 9 there still counts, the path's is 2013's
    y[0, 3] = 9.0
    made = Gap().fit(design_of(y, {0: 2}, against=against), "m")
    np.testing.assert_allclose(made.values, [-3, 7 - 2, 7, 8], rtol=0, atol=TIGHT)


def test_a_rise_in_the_pilots_is_positive_in_every_estimator():
    rng = np.random.default_rng(3)
    for starts in (ONE, STAGGERED):
        y = rng.normal(size=SHAPE) + 20 * treated(SHAPE, starts)
        for against in (None, sets_of(starts)):
            design = design_of(y, starts, against=against)
            for estimator in (DiD(), DiD("complete"), EventStudy(), EventStudy(cells="complete")):
                made = estimator.fit(design, "m")
                assert (made.values[(made.terms["phase"] == "after").to_numpy()] > 10).all()
            made = Gap().fit(design, "m")
            gap = dict(zip(made.terms["term"], made.values, strict=True))
            assert gap["gap_after"] > 10
            assert gap["before_after"] > 10
            assert gap["change"] > 10
            assert abs(gap["gap_before"]) < 5


def test_a_pilot_that_left_counts_as_treated():
    y = clean() + EFFECT * treated(SHAPE, ONE)
    ids = codes(12)
    starts = {ids[j]: FIRST + t for j, t in ONE.items()}
    left = next(iter(starts))
    design = Design(
        panel_of(y), Rollout(starts, stops={left: FIRST + 6}), against=Pool(), selection="unknown"
    )
    made = DiD().fit(design, "m")
    assert abs(made.values[0] - EFFECT) < TIGHT
    assert any("left the programme" in note for note in made.sample.notes)
