"""Rollouts as they are: leaving, doses, later exposure, contamination; and their samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.check import PlaceboPilots, PlaceboStart
from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import DesignError, EstimationError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.panel import Metric, Panel

IDS = codes(8)
A, B, C, D, E = IDS[:5]
N, T = 8, 7


def refused(call, *texts: str, kind: type[Exception] = DesignError) -> None:
    with pytest.raises(kind) as caught:
        call()
    for text in texts:
        assert text in str(caught.value)
    for part in ("needed", "found", "where", "todo"):
        assert getattr(caught.value, part)


def year(t: int) -> int:
    return FIRST + t


def additive(seed: int = 3, n: int = N, t: int = T) -> np.ndarray:
    """Unit and period effects, and nothing else."""
    rng = np.random.default_rng(seed)
    return 300 + 40 * rng.normal(size=(n, 1)) + 10 * rng.normal(size=(1, t))


def made(rollout: Rollout, y: np.ndarray | None = None, **options) -> Design:
    panel = panel_of(additive() if y is None else y)
    return Design(panel, rollout, **{"against": Pool(), "selection": "unknown", **options})


def two_kinds(stock: np.ndarray, flow: np.ndarray) -> Panel:
    """A panel with one metric of each kind."""
    frame = frame_of(stock, column="s").merge(frame_of(flow, column="f"), on=["la", "year"])
    return Panel.from_frame(
        frame,
        unit="la",
        period="year",
        metrics={
            "s": Metric(name="stock", timing="stock"),
            "f": Metric(name="flow", timing="flow"),
        },
    )


# -- the record -----------------------------------------------------------------------------------


FULL = Rollout(
    {A: 2014, B: 2015},
    stops={A: 2016},
    dose={A: 0.5, B: {2015: 0.2, 2016: 0.4}},
    first_exposed={"flow": {A: 2015}},
    contaminated={B: 2012, C: None},
)


def test_equality_hash_and_repr_know_every_field():
    same = Rollout(
        {int(B): 2015, int(A): 2014},
        stops={int(A): 2016},
        dose={B: {2016: 0.4, 2015: 0.2}, int(A): 0.5},
        first_exposed={"flow": {int(A): 2015}},
        contaminated={C: None, int(B): 2012},
    )
    assert same == FULL
    assert hash(FULL) == hash(same)
    text = repr(FULL)
    for part in ("stops", "dose", "first_exposed", "contaminated"):
        assert f"{part}={{" in text
    assert "stops" not in repr(Rollout({A: 2014}))
    fields = {
        "stops": {A: 2017},
        "dose": {A: 0.6},
        "first_exposed": {"stock": {A: 2015}},
        "contaminated": {C: 2013},
    }
    known = {
        "stops": FULL.stops,
        "dose": FULL.dose,
        "first_exposed": FULL.first_exposed,
        "contaminated": FULL.contaminated,
    }
    for name, other in fields.items():
        changed = Rollout(FULL.starts, **{**known, name: other})
        assert changed != FULL
        assert hash(changed) != hash(FULL)
    assert Rollout({A: 2014}, stops={}, dose={}, first_exposed={}, contaminated={}) == Rollout(
        {A: 2014}
    )


def test_one_period_of_first_exposure_is_that_of_every_pilot():
    one = Rollout({A: 2014, B: 2014}, first_exposed={"flow": 2015})
    assert one == Rollout({A: 2014, B: 2014}, first_exposed={"flow": {A: 2015, B: 2015}})
    assert one.starts_of("flow") == {A: 2015, B: 2015}
    assert one.starts_of("stock") == {A: 2014, B: 2014}
    assert FULL.starts_of("flow") == {A: 2015, B: 2015}


def test_without_a_pilot_the_rest_of_the_record_stays():
    assert FULL.without(A) == Rollout(
        {B: 2015}, dose={B: {2015: 0.2, 2016: 0.4}}, contaminated={B: 2012, C: None}
    )
    assert FULL.without(B) == Rollout(
        {A: 2014},
        stops={A: 2016},
        dose={A: 0.5},
        first_exposed={"flow": {A: 2015}},
        contaminated={B: 2012, C: None},
    )


def test_moved_is_the_same_record_for_others():
    assert FULL.moved({A: D, B: int(E)}) == Rollout(
        {D: 2014, E: 2015},
        stops={D: 2016},
        dose={D: 0.5, E: {2015: 0.2, 2016: 0.4}},
        first_exposed={"flow": {D: 2015}},
        contaminated={B: 2012, C: None},
    )
    assert FULL.moved({A: B, B: A}).moved({A: B, B: A}) == FULL
    assert FULL.moved({A: A}) == FULL.without(B)
    refused(lambda: FULL.moved({C: D}), f"no pilot: 1 ({C})", f"{A}, {B}")
    refused(lambda: FULL.moved({A: D, B: D}), f"two pilots moved to 1 ({D})")
    refused(lambda: FULL.moved({}), "for each pilot to be moved", "none")


def test_records_that_cannot_be():
    one = {A: 2014}
    refused(lambda: Rollout(one, dose={B: 1.0}), f"dose without a start: 1 ({B})", "Rollout(dose=)")
    for bad in (-0.1, float("nan"), float("inf"), "much", True, None):
        refused(
            lambda bad=bad: Rollout(one, dose={A: bad}), "numbers of zero or more", f"for {A!r}"
        )
    refused(lambda: Rollout(one, dose={A: {2014: -1}}), f"-1 for {A!r} in 2014")
    refused(lambda: Rollout(one, dose={A: {}}), "a dose for every period", f"none for {A!r}")
    refused(lambda: Rollout(one, dose=0.5), "a mapping of pilot to number", "float")
    refused(lambda: Rollout(one, dose={A: 1, int(A): 1}), f"{A!r} twice")
    refused(
        lambda: Rollout(one, first_exposed={"rate": 2015}), "'stock' or 'flow'", "'rate'", "timing"
    )
    refused(lambda: Rollout(one, first_exposed=2015), "a mapping of kind of metric", "int")
    refused(
        lambda: Rollout(one, first_exposed={"flow": {B: 2015}}),
        f"first_exposed without a start: 1 ({B})",
    )
    refused(lambda: Rollout(one, first_exposed={"flow": None}), f"none for {A!r}")
    refused(lambda: Rollout(one, contaminated=[B]), "or to None for throughout", "list")
    refused(lambda: Rollout(one, contaminated={B: float("nan")}), f"none for {B!r}", "None for")
    refused(lambda: Rollout(one, contaminated={B: 2013, int(B): 2014}), f"{B!r} twice")


def test_records_that_do_not_go_with_the_panel():
    def of(**parts):
        return lambda: made(Rollout({A: 2014, B: 2015}, **parts))

    refused(
        of(first_exposed={"flow": 2014}),
        f"{B!r} starts in 2015, first exposed (flow) in 2014, before it starts",
        "first_exposed={'flow': {" + repr(B),
    )
    refused(of(first_exposed={"flow": {A: 2019}}), f"first_exposed of {A!r}", "2019")
    refused(
        lambda: made(Rollout({A: 2014}, first_exposed={"flow": 2016}), periods=(2011, 2015)),
        "after the window",
        "widen periods=",
    )
    refused(of(dose={A: {2014: 0.5, 2016: 0.5}}), f"none for {A!r} in 2 (2015, 2017)")
    refused(of(dose={A: {2014: 0.5, 2016: 0.5, 2017: 1}}), f"none for {A!r} in 1 (2015)")
    refused(
        of(dose={A: {2013: 0.5, 2014: 1, 2015: 1, 2016: 1, 2017: 1}}),
        f"0.5 for {A!r} in 2013, before it starts",
        "contaminated=",
    )
    refused(of(dose={A: {2014: 1, "2014": 1, 2015: 1, 2016: 1, 2017: 1}}), "which is there twice")
    refused(of(dose={A: {2014: 1, 2031: 1}}), f"the dose of {A!r}", "2031")
    refused(of(contaminated={"999": None}), "contaminated units that are in the panel", "'999'")
    refused(of(contaminated={C: 2031}), f"the contamination of {C!r}", "2031")
    for since in (2014, 2016):
        refused(
            of(contaminated={A: since}),
            "for a pilot, contamination before its start",
            f"{A!r} starts in 2014 and is contaminated since {since}",
        )
    refused(lambda: made(Rollout({A: 2014}), treatment="per_protocol"), "'per_protocol'")
    refused(
        lambda: made(Rollout({A: 2014})).with_treatment("itt"),
        "'itt'",
        "Design.with_treatment",
        "until the pilot left",
    )


# -- who was treated when -------------------------------------------------------------------------


def test_the_table_says_who_was_treated_when():
    design = made(
        Rollout(
            {A: 2014, B: 2015},
            stops={A: 2016},
            dose={A: {2014: 0.3, 2015: 0.6}},
            first_exposed={"flow": {A: 2015}},
            contaminated={B: 2013, C: None, D: 2016},
        )
    )
    table = design.treated()
    assert list(table.columns) == [
        "unit", "name", "arm", "period", "intention_to_treat", "as_treated", "dose",
        "contaminated", "stock", "flow",
    ]  # fmt: skip
    assert len(table) == N * T
    assert table["unit"].tolist()[::T] == IDS
    own = {unit: rows.set_index("period") for unit, rows in table.groupby("unit")}
    years = [str(year(t)) for t in range(T)]

    def when(unit: str, column: str) -> list[str]:
        return [p for p in years if own[unit].loc[p, column]]

    assert when(A, "intention_to_treat") == years[3:]
    assert when(A, "as_treated") == ["2014", "2015"]
    assert own[A]["dose"].tolist() == [0, 0, 0, 0.3, 0.6, 0, 0]
    assert own[A]["flow"].tolist() == ["untreated"] * 3 + ["partly"] + ["treated"] * 3
    assert own[A]["stock"].tolist() == ["untreated"] * 3 + ["treated"] * 4
    assert when(B, "contaminated") == ["2013", "2014"]
    assert own[B]["dose"].isna().tolist() == [False] * 4 + [True] * 3
    assert when(C, "contaminated") == years
    assert when(D, "contaminated") == ["2016", "2017"]
    assert not table.loc[table["unit"] == E, ["intention_to_treat", "contaminated"]].any().any()
    assert (table.loc[table["arm"] == "comparator", "dose"] == 0).all()
    assert "flow" not in made(Rollout({A: 2014})).treated()
    who = design.who().set_index("unit")["contaminated"]
    assert who.to_dict() == {**dict.fromkeys(IDS, ""), B: "2013", C: "throughout", D: "2016"}
    text = " | ".join(design.notes)
    assert f"1 ({B} since 2013) of the pilots had the programme before the start" in text
    assert f"2 ({C} throughout, {D} since 2016) of 6 comparators use the practice" in text
    assert f"in flow metrics first exposed after the start: 1 ({A} (2015))" in text


def test_contamination_since_before_the_window_is_throughout():
    design = made(Rollout({A: 2015}, contaminated={C: 2012, D: 2016}), periods=(2013, 2015))
    table = design.treated().groupby("unit")["contaminated"].sum()
    assert (table[C], table[D]) == (3, 0)
    assert design.sample("m").contaminated.sum() == 3


def test_rows_in_another_order_change_nothing():
    frame = frame_of(noise(N, T, 2))
    shuffled = frame.sample(frac=1, random_state=1)
    found = []
    for rows, rollout in ((frame, FULL), (shuffled, FULL.moved({B: B, A: A}))):
        panel = Panel.from_frame(rows, unit="la", period="year", metrics=["m"])
        small = Rollout(rollout.starts, stops=rollout.stops, contaminated=rollout.contaminated)
        design = Design(panel, small, against=Pool(), selection="unknown", treatment="as_treated")
        found.append((design.treated(), DiD().fit(design, "m").values))
    pd.testing.assert_frame_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


# -- what a sample makes of it --------------------------------------------------------------------


def test_a_sample_knows_stops_doses_and_contamination():
    design = made(
        Rollout(
            {B: 2014, D: 2015},
            stops={B: 2016},
            dose={B: 2.0},
            contaminated={C: 2015, D: 2013},
        )
    )
    sample = design.sample("m")
    assert sample.treatment == "intention_to_treat"
    assert sample.stops.tolist() == [T, 5, T, T, T, T, T, T]
    assert sample.dose[1].tolist() == [0, 0, 0, 2, 2, 0, 0]
    assert np.isnan(sample.dose[3]).tolist() == [False] * 4 + [True] * 3
    assert sample.contaminated[2].tolist() == [False] * 4 + [True] * 3
    assert sample.contaminated[3].tolist() == [False, False, True, True] + [False] * 3
    assert sample.contaminated.sum() == 5
    assert not sample.partly.any()
    kept = sample.keep(np.arange(N) != 0, "for the test")
    assert kept.stops.tolist() == [5, T, T, T, T, T, T]
    np.testing.assert_array_equal(kept.dose, sample.dose[1:])
    np.testing.assert_array_equal(kept.contaminated, sample.contaminated[1:])
    assert kept.partly.shape == kept.y.shape
    plain = made(Rollout({B: 2014})).sample("m")
    assert plain.dose is None
    assert plain.stops.tolist() == [T] * N


def test_stock_and_flow_are_both_exact_with_a_half_treated_year():
    """A programme from mid-2014 on: that year's flow has half the effect, its stock all of it."""
    effect = np.zeros((N, T))
    effect[[0, 1], 3:] = -6.0
    half = effect.copy()
    half[[0, 1], 3] = -3.0
    panel = two_kinds(additive(1) + effect, additive(2) + half)
    plain = Design(panel, Rollout({A: 2014, B: 2014}), against=Pool(), selection="bid")
    said = Rollout({A: 2014, B: 2014}, first_exposed={"flow": 2015})
    design = Design(panel, said, against=Pool(), selection="bid")
    sets = Design(
        panel,
        said,
        against=MatchedSets({A: {C: 0.5, D: 0.5}, B: {D: 0.25, E: 0.75}}),
        selection="bid",
    )
    for estimator in (DiD(), DiD("complete")):
        for one in (design, sets):
            assert estimator.fit(one, "stock").values[0] == pytest.approx(-6, abs=1e-10)
            assert estimator.fit(one, "flow").values[0] == pytest.approx(-6, abs=1e-10)
        assert estimator.fit(plain, "flow").values[0] == pytest.approx(-5.25, abs=1e-10)
    assert Gap().fit(design, "flow")["change"]["estimate"] == pytest.approx(-6, abs=1e-10)
    for cells in ("observed", "complete"):
        event = EventStudy(reference=-2, cells=cells).fit(design, "flow")
        after = event.terms["event_time"] >= 0
        np.testing.assert_allclose(event.values[after], -6, atol=1e-9)
        before = event.terms["event_time"] < -1
        np.testing.assert_allclose(event.values[before], 0, atol=1e-9)
    assert design.starts == {A: "2014", B: "2014"}
    assert design.starts_of("stock") == {A: "2014", B: "2014"}
    assert design.starts_of("flow") == {A: "2015", B: "2015"}


def test_partly_treated_cells_are_logged_by_name_and_never_used():
    y = noise(N, T, 4)
    panel = two_kinds(y, y)
    said = Rollout({A: 2013, B: 2014}, first_exposed={"flow": {A: 2015, B: 2015}})
    design = Design(panel, said, against=Pool(), selection="bid")
    flow, stock = design.sample("flow"), design.sample("stock")
    assert (flow.starts, stock.starts) == ((4,), (2, 3))
    assert [tuple(x) for x in np.argwhere(~flow.mask)] == [(0, 2), (0, 3), (1, 3)]
    assert stock.mask.all()
    log = flow.log[flow.log["reason"] == "partly treated, first exposed later (flow)"]
    assert dict(zip(log["unit"], log["cells"], strict=True)) == {A: 2, B: 1}
    assert flow.log["cells"].sum() == N * T
    assert any(f"3 cells of 2 ({A}, {B}) left out: partly treated" in note for note in flow.notes)
    assert not any("left out" in note for note in stock.notes)
    moved = y.copy()
    moved[0, 2:4] += 50
    moved[1, 3] += 50
    other = Design(two_kinds(y, moved), said, against=Pool(), selection="bid")
    for estimator in (DiD(), DiD("complete"), Gap()):
        np.testing.assert_array_equal(
            estimator.fit(design, "flow").values, estimator.fit(other, "flow").values
        )


def test_a_reference_that_is_partly_treated_is_refused():
    y = noise(N, T, 4)
    said = Rollout({A: 2014, B: 2014}, first_exposed={"flow": 2015})
    design = Design(two_kinds(y, y), said, against=Pool(), selection="bid")
    for time in ("event", "calendar"):
        refused(
            lambda time=time: EventStudy(time=time).fit(design, "flow"),
            "at least one pilot has a value",
            "none in 2014, in which pilots are partly treated",
            "reference=-2",
            kind=EstimationError,
        )
    assert EventStudy().fit(design, "stock").n_terms == T - 1
    short = design.sample("flow")
    from didkit.estimate.event_study import _by_event
    from didkit.estimate.two_groups import two_groups

    refused(
        lambda: two_groups(short, _by_event(short, reference=-1, anticipation=0)),
        "in which no pilot is partly treated",
        "only 2014",
        kind=EstimationError,
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    start=st.integers(1, T - 2),
    lag=st.integers(0, 2),
    partial=st.floats(-10, 10),
)
def test_whatever_happens_in_the_partly_treated_year_the_effect_is_exact(seed, start, lag, partial):
    first = min(start + lag, T - 1)
    y = additive(seed)
    y[[2, 5], start:first] += partial
    y[[2, 5], first:] += 4.0
    said = Rollout(
        dict.fromkeys((IDS[2], IDS[5]), year(start)), first_exposed={"flow": year(first)}
    )
    design = Design(two_kinds(y, y), said, against=Pool(), selection="bid")
    for estimator in (DiD(), DiD("complete")):
        assert estimator.fit(design, "flow").values[0] == pytest.approx(4, abs=1e-8)


def test_as_treated_leaves_out_what_follows_the_stop():
    """The effect wears off once a pilot has left: as treated is exact, intention to treat mixes."""
    y = additive(5)
    y[0, 3:5] += 8.0  # leaves in the sixth period, and nothing is left of it
    y[1, 3:] += 8.0
    rollout = Rollout({A: 2014, B: 2014}, stops={A: 2016})
    design = made(rollout, y)
    other = design.with_treatment("as_treated")
    assert DiD().fit(other, "m").values[0] == pytest.approx(8, abs=1e-10)
    assert DiD().fit(design, "m").values[0] == pytest.approx(6, abs=1e-10)
    direct = made(rollout, y, treatment="as_treated")
    np.testing.assert_array_equal(DiD().fit(direct, "m").values, DiD().fit(other, "m").values)
    sets = MatchedSets({A: {C: 0.5, D: 0.5}, B: {D: 0.25, E: 0.75}})
    assert DiD().fit(other.compared_with(sets), "m").values[0] == pytest.approx(8, abs=1e-10)
    sample = other.sample("m")
    assert sample.treated[0].tolist() == [False] * 3 + [True, True, False, False]
    assert sample.mask[0].tolist() == [True] * 5 + [False] * 2
    assert design.sample("m").treated[0].tolist() == [False] * 3 + [True] * 4
    log = sample.log[sample.log["reason"] == "left the programme"]
    assert log.to_dict("records") == [
        {"stage": "sample", "unit": A, "reason": "left the programme", "cells": 2}
    ]
    assert sample.log["cells"].sum() == N * T
    assert any("left out (as treated)" in note for note in other.notes)
    assert any("(intention to treat)" in note for note in design.notes)
    assert repr(other).endswith("; as treated)")
    assert "as treated" not in repr(design)
    assert "as treated" in other._repr_html_()
    assert other.with_treatment("intention_to_treat").notes == design.notes
    nobody = made(Rollout({A: 2014}), treatment="as_treated")
    assert any("no pilot left" in note for note in nobody.notes)


def test_as_treated_with_complete_cells_drops_the_pilot_and_says_so():
    y = additive(5)
    y[0, 3:5] += 8.0
    y[1, 3:] += 2.0
    design = made(Rollout({A: 2014, B: 2014}, stops={A: 2016}), y, treatment="as_treated")
    estimate = DiD("complete").fit(design, "m")
    assert estimate.values[0] == pytest.approx(2, abs=1e-10)
    assert A not in estimate.sample.units
    assert any(f"1 ({A}) left out: left the programme" in n for n in estimate.sample.notes)
    alone = made(Rollout({A: 2014}, stops={A: 2016}), y, treatment="as_treated")
    refused(lambda: DiD("complete").fit(alone, "m"), "left the programme", "cells='observed'")
    y[1, 3:] -= 2.0
    at_the_end = made(Rollout({A: 2014}, stops={A: 2017}), y, periods=(2011, 2016))
    at_the_end = at_the_end.with_treatment("as_treated")
    assert DiD("complete").fit(at_the_end, "m").values[0] == pytest.approx(16 / 3, abs=1e-10)


# -- edits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.drop(D),
        lambda d: d.drop(A),
        lambda d: d.without_pilot(B),
        lambda d: d.shift(-1),
        lambda d: d.reassign(Rollout({D: 2014})),
        lambda d: d.compared_with(Pool(tuple(IDS[4:]))),
    ],
)
def test_every_edit_keeps_the_definition_of_treatment(edit):
    design = made(Rollout({A: 2014, B: 2014}, stops={A: 2016}), treatment="as_treated")
    assert edit(design).treatment == "as_treated"
    assert edit(design).sample("m").treatment == "as_treated"
    assert edit(design.with_treatment("intention_to_treat")).treatment == "intention_to_treat"


def test_the_other_definition_keeps_units_that_were_dropped_out():
    design = made(Rollout({A: 2014, B: 2014}, stops={A: 2016})).drop(D).drop(B)
    other = design.with_treatment("as_treated")
    assert (other.pilots, other.comparators) == (design.pilots, design.comparators)
    sets = MatchedSets({A: {C: 0.5, D: 0.5}})
    small = made(Rollout({A: 2014}), against=sets).drop(C).with_treatment("as_treated")
    assert small.sets == {A: {D: 1.0}}


def test_a_shifted_design_has_no_stops_and_keeps_contamination():
    rollout = Rollout(
        {A: 2015, B: 2015},
        stops={A: 2016},
        dose={A: 1.0},
        first_exposed={"flow": 2016},
        contaminated={A: 2014, C: 2012},
    )
    shifted = made(rollout).shift(-2)
    assert shifted.rollout == Rollout({A: "2013", B: "2013"}, contaminated={A: 2014, C: 2012})
    sample = shifted.sample("m")
    assert sample.contaminated[2].tolist() == [False, True, True, True]
    assert not sample.contaminated[0].any()  # a placebo pilot from 2013 on


def test_placebo_pilots_leave_out_the_cells_that_the_pilots_lack():
    """A placebo copies the record: without noise and with an odd year, it finds nothing."""
    n = 14
    ids = codes(n)
    y = additive(7, n)
    panel = two_kinds(y, y)
    said = Rollout({ids[1]: 2014, ids[2]: 2014}, first_exposed={"flow": 2015})
    estimate = DiD().fit(Design(panel, said, against=Pool(), selection="bid"), "flow").infer(None)
    check = PlaceboPilots(draws=99, seed=1)
    placebo = check._without_pilots(estimate)
    assert placebo.design.rollout == said.moved({ids[1]: ids[0], ids[2]: ids[3]})
    assert (~placebo.sample.mask).sum() == 2
    assert abs(check.run(estimate).table["estimate"]).max() < 1e-9
    assert estimate.check(PlaceboStart()).facts


# -- merged units ---------------------------------------------------------------------------------


def test_parts_of_a_merged_unit_must_agree_on_everything():
    frame = frame_of(noise(6, T, 1), ["940", "941", *codes(4)])
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    from didkit.design.parts import rollout_by_unit

    class Merged:
        """A panel in which 940 and 941 are one unit."""

        calendar = panel.calendar
        parts = {"W": ("940", "941")}  # noqa: RUF012

        @staticmethod
        def canonical(unit: object) -> str:
            return "W" if str(unit) in ("940", "941") else str(unit)

    both = {"940": 2014, "941": "2014"}

    def whole(**parts) -> Rollout:
        return rollout_by_unit(Merged, Rollout(both, **parts))[0]  # type: ignore[arg-type]

    agree = whole(
        dose={"940": {2014: 1, 2015: 2}, "941": {"2014": 1, "2015": 2}},
        first_exposed={"flow": 2015},
        contaminated={"940": 2012, "941": "2012"},
    )
    assert agree.pilots == ("W",)
    assert dict(agree.contaminated) == {"W": 2012}
    assert {k: dict(v) for k, v in agree.first_exposed.items()} == {"flow": {"W": 2015}}
    assert agree.dose["W"] == {2014: 1, 2015: 2}
    assert dict(whole(contaminated={"941": None}).contaminated) == {"W": None}
    for parts, word in (
        ({"dose": {"940": 1.0}}, "one dose for each unit"),
        ({"dose": {"940": 1.0, "941": 0.5}}, "'941' with dose 0.5"),
        ({"dose": {"940": 1.0, "941": {2014: 1.0}}}, "one dose"),
        ({"first_exposed": {"flow": {"940": 2015}}}, "one first_exposed (flow) for each unit"),
        ({"contaminated": {"940": 2012, "941": None}}, "'941' with contamination throughout"),
    ):
        refused(lambda parts=parts: whole(**parts), word, "both parts of 'W'")


# -- pilots with one side only --------------------------------------------------------------------


def test_pilots_seen_on_one_side_are_named_and_left_out():
    y = noise(N, T, 6)
    y[0, :3] = np.nan
    y[1, 3:] = np.nan
    design = design_of(y, {0: 3, 1: 3, 2: 3})
    notes = " | ".join(design.sample("m").notes)
    assert f"1 ({A}) of the pilots has no value of m before its start: it can show a" in notes
    assert f"1 ({B}) of the pilots has no value of m from its start on" in notes
    estimate = DiD().fit(design, "m")
    assert estimate.sample.units == tuple(IDS[2:])
    log = estimate.sample.log
    assert set(log.loc[log["reason"].str.contains("both before and after"), "unit"]) == {A, B}


def test_a_design_in_which_no_pilot_has_a_before_is_refused():
    y = noise(N, T, 6)
    y[[0, 1], :3] = np.nan
    refused(
        lambda: design_of(y, {0: 3, 1: 3}).sample("m"),
        "a pilot with a value of 'm' before its start",
        f"none: 2 ({A} starts in 2014, {B} starts in 2014)",
        "metric 'm'",
        "a level to compare, not a change",
    )
    y[1, 2] = 300.0
    assert "1 (301)" in " ".join(design_of(y, {0: 3, 1: 3}).sample("m").notes)
