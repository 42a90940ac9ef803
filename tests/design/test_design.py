"""A design: who is compared with whom, the log that reconciles, and the edits that refits use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise, panel_of, with_gaps

from didkit.design import Design, MatchedSets, Neighbours, Pool, Rollout
from didkit.errors import DesignError, PanelError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.panel import Panel, Status

IDS = codes(8)


def neighbours(lists: dict[int, list[int]]) -> Neighbours:
    rows = [
        (IDS[j], rank, IDS[k], "Close")
        for j, others in lists.items()
        for rank, k in enumerate(others, 1)
    ]
    columns = ["unit", "rank", "neighbour", "closeness"]
    return Neighbours(pd.DataFrame(rows, columns=columns), release="made")


LISTS = neighbours({0: [1, 2, 3], 1: [0, 2, 4], 5: [2, 6]})


def design(against=None, starts=None, **options) -> Design:
    starts = {0: 3, 1: 3} if starts is None else starts
    return design_of(noise(8, 5, 1), starts, against=against, **options)


# -- who ------------------------------------------------------------------------------------------


def test_pool_is_everyone_else():
    assert design().comparators == tuple(IDS[2:])
    assert design(exclude=[IDS[4]]).comparators == (*IDS[2:4], *IDS[5:])
    assert design(Pool((IDS[3], int(IDS[5])))).comparators == (IDS[3], IDS[5])
    assert design().sets is None


def test_union_of_neighbours_is_without_pilots_unless_asked():
    assert design(LISTS.union()).comparators == (IDS[2], IDS[3], IDS[4])
    both = design(LISTS.union(include_pilots=True))
    assert both.sets is not None
    assert set(both.sets[IDS[0]]) == {IDS[1], IDS[2], IDS[3], IDS[4]}
    assert set(both.sets[IDS[1]]) == {IDS[0], IDS[2], IDS[3], IDS[4]}
    assert both.who().set_index("unit").loc[IDS[0], "arm"] == "both"


def test_each_pilot_has_its_own_neighbours():
    sets = design(LISTS.per_pilot(aggregate="mean")).sets
    assert {p: dict(s) for p, s in sets.items()} == {
        IDS[0]: {IDS[2]: 0.5, IDS[3]: 0.5},
        IDS[1]: {IDS[2]: 0.5, IDS[4]: 0.5},
    }
    asked = design(LISTS.per_pilot(aggregate="mean", include_pilots=True)).sets
    assert dict(asked[IDS[0]]) == pytest.approx(dict.fromkeys(IDS[1:4], 1 / 3))


def test_reuse_adds_up():
    table = design(LISTS.per_pilot(aggregate="mean")).reuse()
    assert table["unit"].iloc[0] == IDS[2]
    assert table["pilots_served"].tolist() == [2, 1, 1]
    assert table["weight"].tolist() == [0.5, 0.25, 0.25]
    assert design().reuse()["weight"].sum() == pytest.approx(1)
    assert any(
        "1 comparators serve more than one pilot" in n
        for n in design(LISTS.per_pilot(aggregate="mean")).notes
    )


def test_who_and_starts():
    made = design(starts={0: 3, 5: 2})
    table = made.who().set_index("unit")
    assert made.starts == {IDS[0]: "2014", IDS[5]: "2013"}
    assert table.loc[IDS[5]].to_dict() == {
        "name": IDS[5],
        "arm": "pilot",
        "start": "2013",
        "stop": "",
        "pilots_served": 0,
        "contaminated": "",
    }
    assert any("different periods" in note for note in made.notes)


def test_comparators_without_a_row_in_the_panel_are_told():
    lists = pd.DataFrame(
        {"unit": [IDS[0]] * 2, "rank": [1, 2], "neighbour": [IDS[3], "999"], "closeness": ""}
    )
    made = design(Neighbours(lists).union(), starts={0: 3})
    assert made.comparators == (IDS[3],)
    assert any("1 (999) named as comparators have no row" in note for note in made.notes)


def test_audit_counts_by_period_and_arm():
    y = noise(8, 5, 1)
    y[0, 1] = y[3, 1] = y[4, 1] = np.nan
    table = design_of(y, {0: 3, 1: 3}).audit()
    row = table[(table["period"] == "2012") & (table["arm"] == "comparator")].iloc[0]
    assert (row["units"], row["with_value"], row["not available"]) == (6, 4, 2)
    assert row["missing"] == f"{IDS[3]}, {IDS[4]}"
    assert (table["units"] - table["with_value"]).sum() == 3


# -- the log --------------------------------------------------------------------------------------


def logged_panel() -> Panel:
    """Eight units; rows that are not there, cells suppressed, not available."""
    y = with_gaps(noise(8, 6, 1), 3, share=0.2, whole=(0, 1, 4, 7))
    frame = pd.DataFrame(
        [
            (IDS[j], FIRST + t, y[j, t], "observed" if np.isfinite(y[j, t]) else why)
            for j in range(8)
            for t in range(6)
            for why in (["suppressed", "not available"][(j + t) % 2],)
            if not (j in (2, 6) and t == 5)
        ],
        columns=["la", "year", "m", "why"],
    )
    return Panel.from_frame(frame, unit="la", period="year", metrics=["m"], status={"m": "why"})


EDITS = {
    "as it is": lambda d: d,
    "drop": lambda d: d.drop(IDS[3]),
    "two dropped": lambda d: d.drop(IDS[0]).drop(IDS[2]),
    "without pilot": lambda d: d.without_pilot(IDS[0]),
    "shift": lambda d: d.shift(-1),
    "reassign": lambda d: d.reassign(Rollout({IDS[4]: FIRST + 3})),
}
OPTIONS = {
    "all": {},
    "exclude": {"exclude": {IDS[5]: "reorganised"}},
    "window": {"periods": (2012, 2015)},
    "both": {"exclude": [IDS[6]], "periods": (FIRST, FIRST + 4)},
    "named pool": {"against": Pool((*IDS[2:5], IDS[6], IDS[7]))},
    "sets": {"against": LISTS.per_pilot(aggregate="mean")},
}


@pytest.mark.parametrize(
    ("options", "edit"),
    [
        (options, edit)
        for options in OPTIONS
        for edit in EDITS
        if (options, edit) != ("sets", "reassign")
    ],
)
def test_the_log_reconciles(options, edit):
    """Every cell of the panel that has a row is in the log once, whatever became of it."""
    panel = logged_panel()
    rollout = Rollout({IDS[0]: FIRST + 3, IDS[1]: FIRST + 3})
    given = {"against": Pool(), "selection": "unknown", **OPTIONS[options]}
    edited = EDITS[edit](Design(panel, rollout, **given))
    rows = int((panel.cells("m").status != Status.ABSENT).sum())
    assert rows == 46
    sample = edited.sample("m")
    assert sample.log["cells"].sum() == rows
    used = sample.log.loc[sample.log["reason"] == "used"]
    assert used["cells"].sum() == sample.mask.sum()
    assert set(used["unit"]) <= set(sample.units)
    complete = [DiD("complete")] if options != "sets" else []
    for estimator in (DiD(), EventStudy(), Gap(), *complete):
        estimate = estimator.fit(edited, "m")
        log = estimate.sample.log
        assert log["cells"].sum() == rows
        assert log.loc[log["reason"] == "used", "cells"].sum() == estimate.sample.mask.sum()
        glance = estimate.infer(None).glance().iloc[0]
        assert glance["cells_used"] == estimate.sample.mask.sum()
        without = log.loc[log["reason"].str.startswith("no value"), "cells"].sum()
        assert glance["cells_without_value"] == without


def test_the_log_says_why():
    made = Design(
        logged_panel(),
        Rollout({IDS[0]: FIRST + 3, IDS[1]: FIRST + 3}),
        against=Pool(tuple(IDS[2:7])),
        selection="unknown",
        exclude={IDS[5]: "reorganised"},
        periods=(FIRST + 1, FIRST + 5),
    ).drop(IDS[6])
    estimate = DiD("complete").fit(made, "m")
    log = estimate.sample.log
    assert set(log.loc[log["unit"] == IDS[5], "reason"]) == {"excluded by name: reorganised"}
    assert set(log.loc[log["unit"] == IDS[6], "reason"]) == {"dropped"}
    assert set(log.loc[log["unit"] == IDS[7], "reason"]) == {"neither pilot nor comparator"}
    assert log.loc[log["reason"] == "outside the window", "cells"].sum() == 5
    assert log.loc[log["reason"].str.startswith("no value: "), "cells"].sum() == 1
    gone = log[log["stage"] == "estimator"]
    assert set(gone["reason"]) == {"not observed in every period of the window"}
    assert set(gone["unit"]) == {IDS[2], IDS[3]}
    assert estimate.sample.units == (IDS[0], IDS[1], IDS[4])


# -- edits ----------------------------------------------------------------------------------------


def test_drop_keeps_all_others_and_shares_out_the_weights():
    made = design(LISTS.per_pilot(aggregate="mean"))
    assert dict(made.drop(IDS[2]).sets[IDS[0]]) == {IDS[3]: 1.0}
    gone = made.drop(IDS[0])
    assert gone.pilots == (IDS[1],)
    assert gone.comparators == (IDS[2], IDS[4])
    pool = design()
    assert pool.drop(IDS[0]).comparators == pool.comparators
    assert pool.drop(IDS[3]).comparators == tuple(c for c in pool.comparators if c != IDS[3])
    assert pool.comparators == tuple(IDS[2:])  # the design itself never changes


def test_without_pilot_rebuilds_the_comparators():
    """The neighbours of the one left out go; it is never a comparator itself."""
    made = design(LISTS.union()).without_pilot(IDS[0])
    assert made.pilots == (IDS[1],)
    assert made.comparators == (IDS[2], IDS[4])
    sets = design(LISTS.per_pilot(aggregate="mean", include_pilots=True)).without_pilot(IDS[0])
    assert set(sets.sets[IDS[1]]) == {IDS[2], IDS[4]}
    assert design().without_pilot(IDS[0]).comparators == tuple(IDS[2:])


def test_reassign_makes_former_pilots_comparators():
    made = design().reassign(Rollout({IDS[4]: 2013}))
    assert made.pilots == (IDS[4],)
    assert made.comparators == tuple(u for u in IDS if u != IDS[4])
    again = made.reassign(design().rollout)
    assert again.comparators == design().comparators


def test_shift_moves_starts_and_leaves_out_everything_treated():
    made = design(starts={0: 3, 1: 4}).shift(-2)
    assert made.periods == ("2011", "2012", "2013")
    assert made.starts == {IDS[0]: "2012", IDS[1]: "2012"}
    assert made.comparators == design().comparators


def test_the_sample_lays_cells_out_by_unit_and_period():
    y = noise(8, 5, 1)
    sample = design_of(y, {4: 2, 6: 3}, periods=(2012, 2015)).sample("m")
    np.testing.assert_array_equal(sample.y, y[:, 1:])
    assert sample.units == tuple(IDS)
    assert sample.starts == (1, 2)
    assert sample.cohort.tolist() == [-1, -1, -1, -1, 0, -1, 1, -1]
    assert sample.treated[4].tolist() == [False, True, True, True]
    assert sample.treated[6].tolist() == [False, False, True, True]
    assert not sample.treated[[0, 1, 2, 3, 5, 7]].any()
    assert (sample.n_pilots, sample.n_comparators) == (2, 6)


def test_strata_and_clusters_from_a_column_or_a_mapping():
    frame = pd.DataFrame(
        [
            (u, t, 1.0 * t, "north" if i < 4 else "south")
            for i, u in enumerate(IDS)
            for t in range(2011, 2015)
        ],
        columns=["la", "year", "m", "region"],
    )
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"], attributes=["region"])
    rollout = Rollout({IDS[0]: 2013})
    options = {"against": Pool(), "selection": "bid"}
    one = Design(panel, rollout, strata="region", **options).sample("m")
    other = Design(
        panel,
        rollout,
        strata={int(u): "north" if i < 4 else "south" for i, u in enumerate(IDS)},
        **options,
    ).sample("m")
    assert one.strata.tolist() == other.strata.tolist() == [0] * 4 + [1] * 4
    assert not one.clustered_above
    above = Design(panel, rollout, clusters="region", **options).sample("m")
    assert above.clustered_above
    assert above.cluster_labels == ("north", "south")


# -- refusals -------------------------------------------------------------------------------------


def refused(call, *texts: str, kind: type[Exception] = DesignError) -> None:
    with pytest.raises(kind) as caught:
        call()
    for text in texts:
        assert text in str(caught.value)
    for part in ("needed", "found", "where", "todo"):
        assert getattr(caught.value, part)


def made(starts=None, **options) -> Design:
    starts = {IDS[0]: 2014} if starts is None else starts
    return Design(
        panel_of(noise(8, 5, 1)),
        Rollout(starts),
        **{"against": Pool(), "selection": "unknown", **options},
    )


def test_a_pilot_that_is_not_in_the_panel():
    refused(
        lambda: made({"341": 2014}),
        "pilots that are in the panel",
        "'341' is not",
        "did you mean 3",
    )


@pytest.mark.parametrize("start", [2011, 2012])
def test_a_start_in_or_before_the_first_period(start):
    refused(
        lambda: made({IDS[0]: start}, periods=(2012, 2015)),
        f"{IDS[0]!r} starts in {start}, in or before the first period",
        "widen periods=",
        "treated in every period",
    )


def test_a_start_after_the_last_period_or_outside_the_panel():
    refused(lambda: made({IDS[0]: 2015}, periods=(2011, 2014)), "after the last period")
    refused(lambda: made({IDS[0]: 2019}), f"the start of {IDS[0]!r}", "2019")
    refused(lambda: made({IDS[0]: "soon"}), "'soon'", "a year (2018)")


def test_no_comparator_left():
    every = dict.fromkeys(IDS, 2014)
    refused(lambda: made(every), "at least one comparator", "widen the pool")
    refused(lambda: made(exclude=IDS[1:]), "none left of 8")
    refused(lambda: made(against=Pool((IDS[0],))), "none left of 1")


def test_a_pilot_that_is_its_own_neighbour():
    refused(lambda: neighbours({0: [0, 1]}), f"1 ({IDS[0]}) is its own neighbour")
    refused(lambda: MatchedSets({IDS[0]: {int(IDS[0]): 1.0}}), f"{IDS[0]!r} in its own set")


def test_neighbours_that_stand_twice_or_lack_a_column():
    refused(lambda: neighbours({0: [1, 1]}), f"{IDS[0]} → {IDS[1]}")
    refused(lambda: Neighbours(pd.DataFrame({"unit": ["1"]})), "2 (rank, neighbour)")
    refused(lambda: Neighbours(LISTS.table.iloc[:0]), "no row")


def test_a_pilot_without_a_list():
    refused(lambda: design(LISTS.union(), starts={4: 3}), f"none for 1 ({IDS[4]})", "made")


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ({IDS[1]: 0.5, IDS[2]: 0.4}, "weights that add up to 0.9"),
        ({IDS[1]: 1.5, IDS[2]: -0.5}, "the least -0.5"),
        ({IDS[1]: 1.0, IDS[2]: 0.0}, "the least 0"),
        ({}, "at least one comparator for every pilot"),
        ({IDS[1]: float("nan"), IDS[2]: 1.0}, "positive weights"),
    ],
)
def test_weights_that_do_not_add_up(weights, text):
    refused(lambda: MatchedSets({IDS[0]: weights}), text, repr(IDS[0]))


def test_sets_that_cannot_be_used():
    halves = {IDS[0]: {IDS[2]: 0.5, IDS[3]: 0.5}}
    refused(lambda: made({IDS[1]: 2014}, against=MatchedSets(halves)), f"none for 1 ({IDS[1]})")
    refused(
        lambda: made(
            {IDS[0]: 2014, IDS[2]: 2014}, against=MatchedSets({**halves, IDS[2]: {IDS[4]: 1.0}})
        ),
        f"1 ({IDS[2]})",
        "include_pilots=True",
    )
    refused(lambda: made(exclude=[IDS[3]], against=MatchedSets(halves)), f"1 ({IDS[3]})")
    refused(lambda: MatchedSets(halves, aggregate="mode"), "aggregate='mean' or aggregate='median'")
    refused(
        lambda: MatchedSets({IDS[0]: {IDS[2]: 0.6, IDS[3]: 0.4}}, aggregate="median"),
        "equal weights",
    )
    refused(lambda: LISTS.per_pilot(aggregate="sum"), "official tools differ")
    only = neighbours({0: [1], 1: [2]})
    refused(lambda: design(only.per_pilot(aggregate="mean")), f"the set of {IDS[0]!r}")


def test_selection_is_required_and_known():
    five = "random, latest_value, average, bid, unknown"
    alone = (panel_of(noise(8, 5, 1)), Rollout({IDS[0]: 2014}))
    refused(lambda: Design(*alone, against=Pool()), five)
    refused(lambda: Design(*alone, against=Pool()), "found: nothing")
    refused(lambda: made(selection="convenience"), "random, latest_value, average, bid, unknown")
    refused(lambda: made(selection=None), five)


def test_an_unknown_keyword_is_a_type_error():
    for call in (
        lambda: made(excluded=[IDS[3]]),
        lambda: Rollout({IDS[0]: 2014}, stop={}),
        lambda: Pool(unit=IDS),
        lambda: LISTS.union(pilots=True),
        lambda: MatchedSets({}, weight=1),
    ):
        with pytest.raises(TypeError):
            call()


def test_arguments_of_another_kind():
    panel = panel_of(noise(8, 5, 1))
    options = {"against": Pool(), "selection": "bid"}
    refused(
        lambda: Design(panel.tidy(), Rollout({IDS[0]: 2014}), **options), "a Panel", "DataFrame"
    )
    refused(lambda: Design(panel, {IDS[0]: 2014}, **options), "a Rollout", "dict")
    refused(lambda: made(against=LISTS), "Pool(), neighbours.union()", "a Neighbours")


def test_leaving_out_a_pilot_or_a_stranger():
    refused(lambda: made(exclude=[IDS[0]]), f"{IDS[0]!r} is a pilot", "without_pilot")
    refused(lambda: made(exclude=["341"]), "'341' is not in it", "did you mean 3")
    assert IDS[3] not in made(exclude=IDS[3]).comparators  # one id is one unit, not three digits


def test_windows_with_a_gap_or_of_one_period():
    refused(lambda: made(periods=[2011, 2012, 2014]), "consecutive periods", "fill the gap")
    refused(lambda: made(periods=(2014, 2012)), "in order")
    refused(lambda: made(periods="2013"), "periods=(2013, 2020)")
    refused(lambda: made(periods=[]), "the first and the last")
    refused(lambda: made(periods=(2011, 2019)), "between 2011 and 2015", kind=PanelError)
    assert made(periods=[2012, 2013, 2014]).periods == ("2012", "2013", "2014")


def test_labels_of_strata_and_clusters():
    refused(lambda: made(strata="region"), "a column of panel.units for strata=", "'region'")
    refused(
        lambda: made(clusters={IDS[0]: "a"}), "a label for every unit in clusters=", f"7 ({IDS[1]}"
    )


def test_a_rollout_that_cannot_be():
    refused(lambda: Rollout({}), "at least one pilot")
    refused(lambda: Rollout([IDS[0]]), "a mapping of unit to period", "list")
    refused(lambda: Rollout({"303": 2014, 303: 2014}), "'303' twice")
    refused(lambda: Rollout({"303": None}), "none for '303'", "comparators are not in a rollout")
    refused(lambda: Rollout({"303": float("nan")}), "none for '303'")
    refused(lambda: Rollout({"303": 2014}, stops={"304": 2015}), "1 (304)")
    panel = panel_of(noise(8, 5, 1))
    for stop in (2013, 2014):
        refused(
            lambda stop=stop: Design(
                panel,
                Rollout({IDS[0]: 2014}, stops={IDS[0]: stop}),
                against=Pool(),
                selection="bid",
            ),
            f"{IDS[0]!r} starts in 2014 and stops in {stop}",
        )


def test_edits_that_cannot_be():
    refused(lambda: design().drop("999"), "a unit of the design", "'999'", "design.who()")
    refused(lambda: made().drop(IDS[0]), "is the only one")
    refused(lambda: made().without_pilot(IDS[0]), "one of several pilots")
    refused(lambda: design().without_pilot(IDS[4]), "choose from", IDS[0])
    refused(lambda: design().shift(0), "a negative whole number of periods")
    refused(lambda: design().shift(-3), "at most 2 periods are possible")
    one = MatchedSets({IDS[0]: {IDS[2]: 1.0}})
    refused(lambda: made(against=one).drop(IDS[2]), "is the only comparator of")
    refused(lambda: made(against=Pool((IDS[2],))).drop(IDS[2]), "at least one comparator")


def test_unknown_metric():
    refused(lambda: made().sample("cin"), "choose one of: m", kind=PanelError)


def test_no_value_at_all_in_an_arm():
    y = noise(8, 5, 1)
    y[0, 3:] = np.nan
    refused(lambda: design_of(y, {0: 3}).sample("m"), "values of pilots from their start on")
    y = noise(8, 5, 1)
    y[1:] = np.nan
    refused(lambda: design_of(y, {0: 3}).sample("m"), "and of comparators", "design.audit()")


def test_same_rollouts_are_equal():
    assert Rollout({"303": 2014}) == Rollout({303: 2014})
    assert hash(Rollout({"303": 2014})) == hash(Rollout({303.0: 2014}))
    assert Rollout({"303": 2014}) != Rollout({"303": 2015})
    assert Rollout({"303": 2014, "304": 2015}).without("303") == Rollout({"304": 2015})


@pytest.mark.parametrize(
    "make",
    [
        lambda panel: MatchedSets({303: {"304": 1.0}, "303": {"305": 1.0}}),
        lambda panel: MatchedSets({303: {304: 0.5, "304": 0.5}}),
        lambda panel: _made(panel, exclude={304: "tiny", "304": "other"}),
        lambda panel: _made(panel, exclude=[304, "304"]),
        lambda panel: _made(panel, strata={**dict.fromkeys(panel.unit_ids, "a"), 304: "b"}),
        lambda panel: _made(panel, clusters={**dict.fromkeys(panel.unit_ids, "a"), 304: "b"}),
    ],
)
def test_an_id_written_in_two_ways_is_refused_not_merged(make) -> None:
    panel = panel_of(np.arange(24.0).reshape(6, 4), [303, 304, 305, 306, 307, 308])
    with pytest.raises(DesignError, match="twice"):
        make(panel)


def _made(panel, **options):
    rollout = Rollout({"303": 2013})
    return Design(panel, rollout, against=Pool(), selection="unknown", **options)
