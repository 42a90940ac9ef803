"""Contamination: what an estimate stands for when the practice worked outside the programme."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import FIRST, codes, noise, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.check import Contamination
from didkit.check.contamination import ADDITIVE, AS_ESTIMATED, SHARE, WITHOUT
from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, Jackknife

N, T, START = 10, 7, 4
IDS = codes(N)
P, Q, R = IDS[1], IDS[4], IDS[8]  # pilots
U, V, W = IDS[0], IDS[3], IDS[6]  # comparators that use the practice
STARTS = {P: FIRST + START, Q: FIRST + START, R: FIRST + START}
SETS = MatchedSets(
    {
        P: {U: 0.5, IDS[2]: 0.25, IDS[9]: 0.25},
        Q: {V: 0.25, IDS[5]: 0.75},
        R: {W: 0.5, IDS[7]: 0.5},
    }
)
HALF = MatchedSets({P: {U: 0.5, IDS[2]: 0.5}, Q: {V: 0.5, IDS[5]: 0.5}, R: {IDS[7]: 1.0}},
                   aggregate="median")  # fmt: skip


def made(y: np.ndarray, contaminated, *, starts=None, stops=None, **options) -> Design:
    rollout = Rollout(starts or STARTS, stops=stops, contaminated=contaminated)
    return Design(panel_of(y), rollout, **{"against": Pool(), "selection": "unknown", **options})


def planted(design: Design, tau: float, share: float, *, seed: int = 1) -> Design:
    """The same design without noise: tau in treated cells, a share of it in contaminated ones."""
    rng = np.random.default_rng(seed)
    y = 100 + 30 * rng.normal(size=(N, 1)) + 10 * rng.normal(size=(1, T))
    table = design.treated().set_index(["unit", "period"])
    for column, size in (("intention_to_treat", tau), ("contaminated", share * tau)):
        cells = table[column].astype(float).unstack().reindex(IDS).fillna(0.0)
        y = y + size * cells.to_numpy()
    return Design(
        panel_of(y),
        design.rollout,
        against=design.against,
        selection="unknown",
        treatment=design.treatment,
    )


def facts_of(design: Design, estimator, **options):
    return estimator.fit(design, "m").infer(None).check(Contamination(**options))


USED = {U: FIRST + 5, V: FIRST + 2, W: None, Q: FIRST + 1}
DESIGNS = {
    "pool": {},
    "staggered": {"starts": {**STARTS, R: FIRST + 3}},
    "sets": {"against": SETS},
    "as treated": {"stops": {R: FIRST + 6}, "treatment": "as_treated"},
}


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (estimator, options)
        for estimator in (DiD(), DiD("complete"), EventStudy(), Gap())
        for options in DESIGNS
        # a Gap of a pilot that left takes fewer periods of it than of its comparators
        if not (options == "as treated" and isinstance(estimator, Gap))
    ],
    ids=repr,
)
def test_the_effect_that_was_planted_is_the_one_implied(estimator, options):
    """Without noise: tau in treated cells, s x tau in contaminated ones; implied at s is tau."""
    tau = -7.0
    design = made(noise(N, T, 3), USED, **DESIGNS[options])
    for share in (0.3, 1.0):
        found = facts_of(planted(design, tau, share), estimator, shares=(share, 0.6))
        estimate = found.estimate
        table = found.table
        if isinstance(estimator, Gap):  # levels are no effect: only the change is
            table = table[table["term"] == "change"]
        mine = table[(table["scenario"] == SHARE) & (table["share"] == share)]
        after = set(estimate.terms.loc[estimate.terms["phase"] == "after", "term"])
        rows = mine[mine["term"].isin(after)]
        assert len(rows) >= 1
        np.testing.assert_allclose(rows["estimate"], tau, atol=1e-10)
        others = mine[~mine["term"].isin(after)]
        assert others["estimate"].isna().all()
        if share == 1.0:
            assert found.facts["implied"] == pytest.approx(tau, abs=1e-8)
        assert abs(found.facts["estimate"] - tau) > 0.1


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.05, 1.5),
    since=st.lists(st.one_of(st.none(), st.integers(0, T - 1)), min_size=3, max_size=3),
)
def test_implied_is_exact_whoever_is_contaminated_and_since_when(seed, share, since):
    used = {
        unit: None if t is None else FIRST + t for unit, t in zip((U, V, W), since, strict=True)
    }
    design = planted(made(noise(N, T, 3), used), 5.0, share, seed=seed)
    found = facts_of(design, DiD(), shares=(share,))
    row = found.table[found.table["scenario"] == SHARE].iloc[0]
    assert row["estimate"] == pytest.approx(5.0, abs=1e-9)


def test_the_weight_is_by_hand_and_one_unit_moves_the_estimate_by_it():
    y = noise(N, T, 5)
    used = {U: FIRST + 5, W: FIRST + 2}
    found = facts_of(made(y, used), DiD())
    # 7 comparators, 3 periods after and 4 before: U has 2 cells after; W 3 after and 2 before
    c = -(2 / 3 + 1 - 2 / 4) / 7
    assert found.facts["weight"] == pytest.approx(c, abs=1e-12)
    more = y.copy()
    more[0, 5:] += 1
    more[6, 2:] += 1
    moved = DiD().fit(made(more, used), "m").values[0] - found.facts["estimate"]
    rows = found.table.set_index("scenario")
    assert rows.loc[ADDITIVE, "estimate"] == pytest.approx(moved, abs=1e-9)
    assert moved == pytest.approx(c, abs=1e-9)
    said = (
        "weight −0.167 of 'att', the sum of its weights on contaminated cells: were the metric 1 "
        "higher in every one of them, the estimate would be 0.167 lower"
    )
    assert said in found.notes
    assert found.facts["n_throughout"] == 0
    b = found.facts["estimate"]
    shares = found.table[found.table["scenario"] == SHARE]
    assert shares["share"].tolist() == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(shares["estimate"], [b / (1 + s * c) for s in shares["share"]])
    assert rows.loc[AS_ESTIMATED, "estimate"] == b
    assert found.facts["implied"] == pytest.approx(b / (1 + c))
    assert (
        found.facts["n_contaminated_comparators"], found.facts["n_contaminated_pilots"]
    ) == (2, 0)  # fmt: skip


def test_intervals_are_divided_by_the_same_number():
    y = noise(N, T, 5)
    estimate = DiD().fit(made(y, {U: FIRST + 5, W: FIRST + 2}), "m").infer(ClusterRobust("CR2"))
    found = estimate.check(Contamination(shares=(1.0,)))
    rows = found.table.set_index("scenario")
    by = 1 + found.facts["weight"]
    for end in ("conf_low", "conf_high"):
        own = estimate.tidy()[end].iloc[0]
        assert rows.loc[AS_ESTIMATED, end] == own
        assert rows.loc[SHARE, end] == pytest.approx(own / by)
        assert np.isnan(rows.loc[ADDITIVE, end])
    dropped = estimate.refit(estimate.design.drop(U).drop(W)).infer(ClusterRobust("CR2"))
    assert rows.loc[WITHOUT, "estimate"] == pytest.approx(dropped.values[0])
    assert rows.loc[WITHOUT, "conf_low"] == pytest.approx(dropped.tidy()["conf_low"].iloc[0])
    assert rows.loc[WITHOUT, "weight"] == 0
    bare = facts_of(estimate.design, DiD())
    assert bare.table[["conf_low", "conf_high"]].isna().all().all()


def test_contamination_throughout_cancels_out_and_the_headline_says_what_that_shows():
    y = noise(N, T, 5)
    found = facts_of(made(y, {U: None, W: None}), DiD())
    assert found.facts["weight"] == 0
    assert found.facts["implied"] == pytest.approx(found.facts["estimate"])
    assert "cancels out" in found.headline
    assert "effects that grew or faded it shows nothing" in found.headline
    assert any("in every period observed" in note for note in found.notes)
    some = facts_of(made(y, {U: FIRST + 5, W: None}), DiD())
    assert "would stand for an effect of" in some.headline
    assert some.headline.startswith(
        "With as much effect in 1 comparator (1 more throughout, which cancels) as in treated cells"
    )
    assert "without all 2 comparators the estimate is" in some.headline
    assert some.facts["n_throughout"] == 1
    assert some.facts["n_contaminated_comparators"] == 2
    assert found.facts["n_throughout"] == 2
    both = facts_of(made(y, {Q: FIRST + 2, U: None, W: None}), DiD())
    assert "1 pilot before the start (2 comparators throughout, which cancel)" in both.headline
    assert any(f"1 ({W}) used the practice in every period" in note for note in some.notes)


def test_pilots_that_had_it_before_weigh_on_the_estimate_too():
    found = facts_of(made(noise(N, T, 5), {Q: FIRST + 2}), DiD())
    assert found.facts["weight"] == pytest.approx(-(2 / 4) / 3)
    assert found.facts["n_contaminated_comparators"] == 0
    assert found.facts["n_contaminated_pilots"] == 1
    assert WITHOUT not in set(found.table["scenario"])
    assert np.isnan(found.facts["without"])
    assert "1 pilot before the start" in found.headline


def test_where_contaminated_cells_outweigh_treated_ones_nothing_follows():
    everyone = {unit: FIRST + START for unit in IDS if unit not in STARTS}
    found = facts_of(made(noise(N, T, 5), everyone), DiD(), shares=(0.5, 1.0))
    assert found.facts["weight"] == pytest.approx(-1)
    assert np.isnan(found.facts["implied"])
    rows = found.table[found.table["scenario"] == SHARE].set_index("share")
    assert rows.loc[0.5, "estimate"] == pytest.approx(2 * found.facts["estimate"])
    assert rows.loc[1.0, ["estimate", "conf_low", "conf_high"]].isna().all()
    assert "no effect would follow" in found.headline
    assert any("att from a share of 1" in note for note in found.notes)
    assert any("no estimate without 7" in note for note in found.notes)


def test_an_estimate_without_weights_has_the_refit_only_and_says_why():
    y = noise(N, T, 5)
    found = facts_of(made(y, {U: FIRST + 5}, against=HALF), DiD("complete"))
    assert found.table["scenario"].tolist() == [AS_ESTIMATED, WITHOUT]
    refit = found.estimate.refit(found.estimate.design.drop(U))
    assert found.facts["without"] == pytest.approx(refit.values[0])
    assert np.isnan(found.facts["weight"])
    assert np.isnan(found.facts["implied"])
    assert any("not linear in the outcome" in note for note in found.notes)


def test_a_refit_that_does_not_exist_is_nan_with_a_reason():
    alone = MatchedSets({P: {U: 1.0}, Q: {V: 1.0}, R: {IDS[7]: 1.0}})
    found = facts_of(made(noise(N, T, 5), {U: FIRST + 5}, against=alone), DiD())
    assert np.isnan(found.facts["without"])
    assert any(f"no estimate without 1 ({U})" in note for note in found.notes)
    assert found.facts["weight"] == pytest.approx(-(2 / 3) / 3)
    sets = DiD().fit(made(noise(N, T, 5), {U: FIRST + 5}, against=SETS), "m").infer(Jackknife())
    wide = sets.check(Contamination()).table.set_index("scenario")
    assert np.isfinite(wide.loc[WITHOUT, "conf_low"])


def test_an_event_study_has_every_term_and_no_effect_before_the_start():
    found = facts_of(made(noise(N, T, 5), {U: FIRST + 5}), EventStudy(), shares=(1.0,))
    rows = found.table[found.table["scenario"] == SHARE].set_index("term")
    assert list(rows.index) == list(found.estimate.terms["term"])
    before = [f"event time {e}" for e in (-4, -3, -2)]
    assert rows.loc[before, "estimate"].isna().all()
    assert rows["weight"].round(10).tolist() == [0, 0, 0, 0, *[round(-1 / 7, 10)] * 2]
    assert found.facts["estimate"] == found.estimate["event time 0"]["estimate"]
    assert "cancels out" in found.headline
    assert any("hold no treated cells on balance" in note for note in found.notes)


def test_rows_and_labels_in_another_order_change_nothing():
    y = noise(N, T, 5)
    one = facts_of(made(y, USED), DiD())
    order = np.random.default_rng(2).permutation(N)
    panel = panel_of(y[order], [IDS[j] for j in order])
    rollout = Rollout(STARTS, contaminated=dict(reversed(USED.items())))
    other = facts_of(Design(panel, rollout, against=Pool(), selection="unknown"), DiD())
    np.testing.assert_allclose(
        one.table["estimate"].to_numpy(float), other.table["estimate"].to_numpy(float), rtol=1e-9
    )
    assert one.headline == other.headline


@pytest.mark.parametrize("bad", [(), 0.5, (0.0,), (-1.0,), (float("nan"),), ("half",), (True,)])
def test_shares_that_cannot_be(bad):
    with pytest.raises(InferenceError, match="shares of the effect above zero") as caught:
        Contamination(shares=bad)
    assert "Contamination(shares=)" in str(caught.value)
    assert caught.value.todo


def test_nothing_marked_is_refused():
    estimate = DiD().fit(made(noise(N, T, 5), None), "m").infer(None)
    with pytest.raises(InferenceError, match="known to use the practice") as caught:
        estimate.check(Contamination())
    for text in ("found: none", "Contamination of 'm'", "Rollout(…, contaminated="):
        assert text in str(caught.value)
    far = made(noise(N, T, 5), {U: FIRST + 6}, periods=(FIRST, FIRST + 5))
    with pytest.raises(InferenceError, match=rf"1 \({U}\), none with such a value"):
        DiD().fit(far, "m").infer(None).check(Contamination())


def test_shares_stand_in_order_once():
    assert Contamination(shares=(1, 0.5, 1.0)).shares == (0.5, 1.0)
