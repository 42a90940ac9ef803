"""Cases that a review found wrong once, so that they stay right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise

import didkit as dk

STARTS = {1: 4, 5: 4, 9: 4, 13: 4, 17: 4}


def test_units_with_one_cell_move_nothing():
    y = noise(24, 8, 7)
    alone = np.vstack([y, np.full((20, 8), np.nan)])
    alone[24:, 3] = 300 + np.arange(20)
    for inference in (dk.Permutation(draws=999, seed=1), dk.ClusterRobust("CR1")):
        one, other = (
            dk.DiD().fit(design_of(values, STARTS), "m").infer(inference).tidy().iloc[0]
            for values in (y, alone)
        )
        for column in ("estimate", "p_value", "conf_low", "conf_high"):
            assert one[column] == pytest.approx(other[column], rel=1e-9)


def test_a_pilot_seen_on_one_side_only_carries_nothing_and_is_named():
    y = noise(30, 8, 1)
    y[4, :4] = np.nan
    made = dk.DiD().fit(design_of(y, {1: 4, 4: 4}), "m")
    assert made.terms["n_pilots"].tolist() == [1]
    assert made.infer(dk.Permutation("beta", draws=199)).tidy()["p_value"].notna().all()
    assert any(f"1 ({codes(30)[4]}) left out" in note for note in made.all_notes)
    with pytest.raises(dk.InferenceError, match="use Permutation"):
        made.infer(dk.ClusterRobust("CR1"))


def test_comparators_seen_on_one_side_are_no_placebo_pilots():
    y = noise(30, 8, 2)
    y[20:25, :4] = np.nan
    made = dk.DiD().fit(design_of(y, STARTS), "m")
    assert made.assignable is not None
    assert np.flatnonzero(~made.assignable).tolist() == list(range(20, 25))
    assert any("take no part as placebo pilots" in note for note in made.all_notes)


def test_a_dropped_pilot_never_comes_back():
    ids = codes(14)
    design = design_of(noise(14, 8, 1), {1: 4, 4: 4, 7: 4})
    edited = design.drop(ids[1]).without_pilot(ids[4])
    assert ids[1] not in edited.comparators
    assert ids[4] not in edited.comparators
    assert ids[0] not in design.drop(ids[0]).without_pilot(ids[1]).comparators
    with pytest.raises(dk.DesignError, match="excluded or dropped"):
        design.drop(ids[1]).reassign(dk.Rollout({ids[1]: FIRST + 4}))


@pytest.mark.parametrize("by", ["window", "period"])
def test_a_staggered_gap_with_gaps_is_refitted_exactly(by):
    y = noise(10, 6, 4)
    y[2, :2] = np.nan
    design = design_of(y, {2: 2, 5: 4})
    made = dk.Gap(by=by).fit(design, "m")
    units = made.sample.units
    for a, b in ((0, 7), (7, 2), (2, 9), (5, 2)):
        labels = np.full((1, 10), -1)
        labels[0, a], labels[0, b] = 0, 1
        refit = dk.Gap(by=by).fit(
            design.reassign(dk.Rollout({units[a]: FIRST + 2, units[b]: FIRST + 4})), "m"
        )
        drawn = made.reassigned(labels).b[0]
        place = {term: m for m, term in enumerate(refit.terms["term"])}
        for m, term in enumerate(made.terms["term"]):
            if np.isfinite(drawn[m]):
                assert drawn[m] == pytest.approx(refit.values[place[term]], abs=1e-9)


def test_a_term_whose_pilots_share_a_cluster_has_no_variance():
    ids = codes(30)
    y = noise(30, 9, 5)
    base = design_of(y, {0: 3, 1: 3, 9: 6, 15: 6})
    design = dk.Design(
        base.panel,
        base.rollout,
        against=dk.Pool(),
        selection="unknown",
        clusters={unit: f"c{i // 3}" for i, unit in enumerate(ids)},
    )
    made = dk.EventStudy(cells="complete").fit(design, "m")
    table = made.infer(dk.ClusterRobust("CR1")).tidy()
    late = table[table["event_time"] >= 3]  # carried by the two of the first start alone
    assert late["p_value"].isna().all()
    assert table["p_value"].notna().any()


def test_a_joint_test_of_more_terms_than_clusters_is_refused():
    made = dk.EventStudy().fit(design_of(noise(6, 12, 2), {0: 9, 2: 9, 4: 9}), "m")
    for kind in ("CR0", "CR1", "CR3"):
        with pytest.raises(dk.InferenceError, match=r"full rank|Permutation"):
            made.infer(dk.ClusterRobust(kind)).check(dk.PreTrends())


def test_the_detectable_effect_is_that_of_the_main_term():
    made = dk.EventStudy().fit(design_of(noise(24, 8, 3), STARTS), "m")
    found = made.check(dk.DetectableEffect())
    table = found.table.set_index("term")
    assert found.facts["detectable"] == table.loc["event time 0", "detectable"]


@pytest.mark.filterwarnings("ignore:cla. 1 cells have a count:didkit.errors.DidkitWarning")
def test_a_count_without_population_is_in_the_log():
    rows = [(u, 2016 + t, 50.0 + t) for u in (303, 304, 305, 306) for t in range(4)]
    counts = pd.DataFrame(rows, columns=["la", "year", "cla_count"])
    children = counts.assign(population=5e3).drop(columns="cla_count")
    children = children[~((children["la"] == 304) & (children["year"] == 2017))]
    first, second = (
        dk.Panel.from_frame(f, unit="la", period="year", metrics=[f.columns[-1]])
        for f in (counts, children)
    )
    panel = (first | second).compute_rate("cla")
    design = dk.Design(panel, dk.Rollout({303: 2018}), against=dk.Pool(), selection="unknown")
    log = design.sample("cla").log
    assert int(log["cells"].sum()) == 16
    assert "no value: not available" in set(log["reason"])


def test_leaving_out_what_nothing_can_be_estimated_without():
    made = dk.DiD().fit(design_of(noise(6, 8, 1), dict.fromkeys(range(5), 4)), "m").infer(None)
    with pytest.raises(dk.InferenceError, match="at least one of the units"):
        made.check(dk.LeaveOneOut(units="comparators"))


def test_welch_where_a_term_has_no_variance():
    y = noise(20, 8, 1)
    y[1, :4] = np.nan
    made = dk.Gap().fit(design_of(y, {1: 4, 5: 4}), "m")
    table = made.infer(dk.ClusterRobust("CR2", df="welch")).tidy().set_index("term")
    assert np.isnan(table.loc["gap_before", "df"])
    assert table.loc["gap_after", "df"] > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.shift(-1.0),
        lambda d: d.reassign({"303": 2018}),
        lambda d: dk.DiD().fit(d, "m").infer(level="95"),
        lambda d: dk.DiD().fit(d, "m").check(dk.LeaveOneOut),
        lambda d: dk.DiD().fit(d, "m").infer(dk.Permutation),
        lambda d: dk.Permutation(seed=-1),
        lambda d: dk.MatchedSets({"303": ["304"]}),
        lambda d: dk.Design(d.panel, d.rollout, against=dk.Pool, selection="bid"),
        lambda d: dk.Design(d.panel, d.rollout, against=dk.Pool(), selection="bid", periods=2013),
        lambda d: dk.DetectableEffect(power="a"),
    ],
)
def test_plausible_slips_are_refused_in_words(make):
    with pytest.raises(dk.DidkitError, match="what to do"):
        make(design_of(noise(24, 8, 3), STARTS))


def test_one_unit_to_leave_out_may_be_a_number():
    base = design_of(noise(24, 8, 3), STARTS)
    unit = int(codes(24)[0])
    made = dk.Design(base.panel, base.rollout, against=dk.Pool(), selection="bid", exclude=unit)
    assert str(unit) not in made.comparators


def test_a_stratum_that_is_missing_is_refused():
    base = design_of(noise(24, 8, 3), STARTS)
    strata = {unit: (np.nan if i == 3 else "a") for i, unit in enumerate(codes(24))}
    with pytest.raises(dk.DesignError, match="a label for every unit"):
        dk.Design(base.panel, base.rollout, against=dk.Pool(), selection="bid", strata=strata)
