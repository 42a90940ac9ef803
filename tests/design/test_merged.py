"""Old and new codes of reorganised authorities: a design takes both for the merged unit."""

from __future__ import annotations

import pandas as pd
import pytest

from didkit.design import Design, MatchedSets, Neighbours, Pool, Rollout
from didkit.errors import DesignError, DidkitWarning
from didkit.estimate import DiD
from didkit.panel import Panel

WHOLE = "940+941"
IDS = ("303", "304", "305", "306", WHOLE)


def panel() -> Panel:
    """Four authorities and Northamptonshire, which is split in 2022."""
    rows = [
        (code, year, 10.0 * i + year % 7)
        for i, code in enumerate(IDS[:4])
        for year in range(2019, 2024)
    ]
    rows += [(928, year, 50) for year in (2019, 2020, 2021)]
    rows += [(code, year, 30) for code in (940, 941) for year in (2022, 2023)]
    frame = pd.DataFrame(rows, columns=["la", "year", "n"])
    made = Panel.from_frame(frame, unit="la", period="year", metrics={"n": "cin_count"})
    return made.harmonise()


PANEL = panel()


def design(starts, against=None, **options) -> Design:
    return Design(PANEL, Rollout(starts), against=against or Pool(), selection="unknown", **options)


def half(*args, **options) -> Design:
    """Make a design of which a pilot is part of a merged unit."""
    with pytest.warns(DidkitWarning, match="is only part of the pilot"):
        return design(*args, **options)


def lists(rows: list[tuple]) -> Neighbours:
    return Neighbours(pd.DataFrame(rows, columns=["unit", "rank", "neighbour"]))


@pytest.mark.parametrize("code", ["928", 940, "941", WHOLE])
def test_a_pilot_may_be_named_by_any_code(code):
    made = (half if str(code) in ("940", "941") else design)({code: 2021})
    assert made.pilots == (WHOLE,)
    assert made.comparators == IDS[:4]
    assert made.starts == {WHOLE: "2021"}
    said = [note for note in made.notes if f"{code} → {WHOLE}" in note]
    assert len(said) == (code != WHOLE)
    assert made.sample("cin_count").y[-1].tolist() == [50, 50, 50, 60, 60]


def test_two_parts_are_one_pilot_if_they_started_together():
    made = design({940: 2021, "941": "2021", 303: 2022})
    assert made.pilots == ("303", WHOLE)
    assert "940 → 940+941, 941 → 940+941" in made.notes[0]
    with pytest.raises(DesignError, match="one start for each unit") as caught:
        design({940: 2021, 941: 2022})
    assert "'941' with start 2022" in caught.value.found


@pytest.mark.parametrize(("code", "other"), [("940", "941"), (941, "940")])
def test_half_a_unit_as_pilot_is_warned_of_and_noted(code, other):
    with pytest.warns(DidkitWarning) as caught:
        made = design({code: 2021, 303: 2021})
    said = f"{code} is only part of the pilot {WHOLE}, of which the panel has no separate numbers"
    said += f": {other} counts as treated too"
    assert [str(one.message).split(". ")[0] for one in caught] == [f"Design: {said}"]
    assert caught[0].filename == __file__
    assert said in made.notes
    estimate = DiD().fit(made, "cin_count")
    assert said in estimate.sample.notes
    assert said in estimate.all_notes
    assert said in made.drop(304).notes  # no second warning
    assert not any(WHOLE in note for note in made.without_pilot(code).notes[:-1])
    with pytest.warns(DidkitWarning, match="Design.reassign: ") as caught:
        again = made.reassign(Rollout({code: 2022}))
    assert caught[0].filename == __file__
    assert said in again.notes


def test_all_parts_of_a_unit_need_no_warning():
    for starts in ({940: 2021, 941: 2021}, {928: 2021}, {928: 2021, 940: 2021}):
        assert not any("only part" in note for note in design(starts).notes)
    assert not any("only part" in note for note in design({WHOLE: 2021, 940: 2021}).notes)
    tiny = Panel.from_frame(
        pd.DataFrame({"la": [201, 204, 303] * 2, "year": [2020] * 3 + [2021] * 3, "n": 1.0}),
        unit="la",
        period="year",
        metrics={"n": "cin_count"},
    ).harmonise(merge={201: 204})
    rest = {"against": Pool(), "selection": "unknown"}
    assert Design(tiny, Rollout({204: 2021, 201: 2021}), **rest).pilots == ("204",)
    assert Design(tiny, Rollout({204: 2021}), **rest).pilots == ("204",)
    with pytest.warns(DidkitWarning, match="201 is only part of the pilot 204"):
        Design(tiny, Rollout({201: 2021}), **rest)


def test_two_parts_are_one_pilot_if_they_stopped_together():
    def stopped(**stops):
        rollout = Rollout({"940": 2020, "941": 2020}, stops=stops)
        return Design(PANEL, rollout, against=Pool(), selection="unknown")

    assert dict(stopped(**{"940": 2022, "941": "2022"}).rollout.stops) == {WHOLE: 2022}
    for stops in ({"940": 2022}, {"941": 2022}, {"940": 2022, "941": 2023}):
        with pytest.raises(DesignError, match="one stop for each unit"):
            stopped(**stops)


def test_units_are_left_out_by_any_code():
    assert design({303: 2021}, exclude=[928]).comparators == IDS[1:4]
    made = design({303: 2021}, exclude={940: "tiny", "941": "far", 304: ""})
    assert made.comparators == ("305", "306")
    assert f"{WHOLE}: tiny; far" in " ".join(made.notes)
    with pytest.raises(DesignError, match=r"'940\+941' is a pilot"):
        half({940: 2021}, exclude=[941])


@pytest.mark.parametrize("argument", ["strata", "clusters"])
def test_labels_are_given_by_any_code(argument):
    labels = {303: "a", 304: "a", 305: "b", 306: "b"}
    made = design({303: 2021}, **{argument: {**labels, 940: "c", 928: "c"}})
    assert getattr(made.sample("cin_count"), argument).tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(DesignError, match=f"one label for each unit in {argument}="):
        design({303: 2021}, **{argument: {**labels, 940: "c", 941: "b"}})
    with pytest.raises(DesignError, match="a label for every unit"):
        design({303: 2021}, **{argument: labels})


def test_a_pool_is_named_by_any_code():
    pool = Pool((940, 941, 305))
    assert design({303: 2021}, pool).comparators == ("305", WHOLE)
    assert design({303: 2021}, Pool((304, 305))).against == Pool((304, 305))


def test_a_merged_unit_stands_once_in_a_list_at_its_best_rank():
    near = lists([(303, r, n) for r, n in enumerate((304, 941, 305, 940), 1)]).table.astype(
        {"unit": str, "neighbour": str}
    )
    listed = Neighbours(near, release="made")
    assert listed.among(PANEL).of("303") == ("304", WHOLE, "305")
    sets = design({303: 2021}, listed.per_pilot(aggregate="mean")).sets
    assert sets == {"303": dict.fromkeys(("304", WHOLE, "305"), 1 / 3)}
    assert design({303: 2021}, listed.union()).comparators == ("304", "305", WHOLE)
    assert listed.among(PANEL).release == "made"


def test_the_lists_of_all_parts_are_taken_in_order_of_rank():
    rows = [("940", 1, "941"), ("940", 2, "305"), ("940", 3, "303")]
    rows += [("941", 1, "304"), ("941", 2, "940"), ("941", 3, "305")]
    listed = lists([*rows, ("303", 1, "306")])
    assert listed.among(PANEL).of(WHOLE) == ("304", "305", "303")  # never itself
    assert listed.among(PANEL).of("303") == ("306",)
    only = lists([("928", 1, "306"), ("928", 2, "303")])
    assert only.among(PANEL).of(WHOLE) == ("306", "303")
    assert half({941: 2021}, only.union()).comparators == ("303", "306")
    best = lists(
        [*zip(["940"] * 3, (1, 2, 3), ("304", "305", "306"), strict=True), ("941", 1, "306")]
    )
    assert best.among(PANEL).of(WHOLE) == ("304", "306", "305")
    tie = lists([("941", 1, "304"), ("940", 1, "306")])
    assert tie.among(PANEL).of(WHOLE) == ("306", "304")


@pytest.mark.parametrize(
    ("codes", "used"),
    [
        (("928", "940", "941"), {"940", "941"}),  # the newest era of which every code has a list
        (("928", "940"), {"928"}),
        (("941",), {"941"}),  # no era as a whole: the oldest with any
        (("928", WHOLE), {WHOLE}),
        (("928", "940", "941", WHOLE), {WHOLE}),
    ],
)
def test_the_lists_of_one_era_are_taken(codes, used):
    near = dict(zip(("928", "940", "941", WHOLE), IDS[:4], strict=True))
    listed = lists([(code, 1, near[code]) for code in codes]).among(PANEL)
    assert set(listed.of(WHOLE)) == {near[code] for code in used}
    assert listed.among(PANEL).of(WHOLE) == listed.of(WHOLE)


def test_the_oldest_era_with_lists_comes_before_halves_of_the_newer():
    rows = [(code, 2019, 1.0) for code in (835, 836, 837, 303, 304, 305)]
    rows += [(code, 2020, 1.0) for code in (838, 839, 303, 304, 305)]
    frame = pd.DataFrame(rows, columns=["la", "year", "n"])
    made = Panel.from_frame(frame, unit="la", period="year", metrics={"n": "cin_count"})
    dorset = made.harmonise()
    half_of_both = lists([("836", 1, "303"), ("837", 2, "305"), ("838", 1, "304")])
    assert half_of_both.among(dorset).of("838") == ()  # by the panel's units only
    assert half_of_both.among(dorset).of("838+839") == ("303", "305")


def test_a_list_of_each_era_in_the_published_workbook(shared_data):
    from didkit.read import read_neighbours

    listed = read_neighbours(shared_data / "neighbours" / "sn_may_2025.xlsx")
    rows = [(c, 2019, 1.0) for c in (835, 836, 837)] + [(c, 2020, 1.0) for c in (838, 839)]
    frame = pd.DataFrame(rows, columns=["la", "year", "n"])
    made = Panel.from_frame(frame, unit="la", period="year", metrics={"n": "cin_count"})
    taken = listed.among(made.harmonise()).of("838+839")
    assert {"835", "836", "837"} & set(listed.table["unit"])  # lists of both eras
    both = {*listed.of("838"), *listed.of("839")}
    assert set(taken) == both - {"835", "836", "837", "838", "839"}
    assert len(taken) == len(set(taken)) <= 20


def test_names_in_a_list_follow_the_units():
    table = pd.DataFrame({"unit": ["303"], "rank": [1], "neighbour": ["940"]})
    listed = Neighbours(table.assign(unit_name="Bexley", neighbour_name="North"))
    made = listed.among(PANEL).table
    assert made[["unit_name", "neighbour_name"]].to_numpy().tolist() == [["Bexley", WHOLE]]


def test_lists_without_old_or_new_codes_stay_as_they_are():
    listed = lists([("303", 1, "304")])
    assert listed.among(PANEL) is listed
    union = listed.union()
    assert design({303: 2021}, union).against is union


def test_weights_of_parts_add_up():
    sets = MatchedSets({303: {940: 0.25, 941: 0.25, 304: 0.5}})
    assert design({303: 2021}, sets).sets == {"303": {WHOLE: 0.5, "304": 0.5}}
    median = MatchedSets({303: dict.fromkeys((940, 941, 304, 305), 0.25)}, aggregate="median")
    assert design({303: 2021}, median).sets == {"303": dict.fromkeys((WHOLE, "304", "305"), 1 / 3)}
    one = {940: {304: 1.0}, 941: {304: 1.0}}
    assert design({940: 2021, 941: 2021}, MatchedSets(one)).sets == {WHOLE: {"304": 1.0}}
    with pytest.raises(DesignError, match="one set for each unit"):
        half({940: 2021}, MatchedSets({940: {304: 1.0}, 941: {305: 1.0}}))
    with pytest.raises(DesignError, match="other than the pilot itself"):
        half({940: 2021}, MatchedSets({940: {941: 0.5, 304: 0.5}}))


def test_sets_by_parts_keep_all_that_they_know():
    sets = MatchedSets(
        {303: {940: 0.25, 941: 0.25, 304: 0.5}},
        distances={"303": {"940": 0.2, "941": 0.3, "304": 0.1}},
        unmatched={"928": "too far away"},
        notes=("made by hand",),
        until={"cin 2019": "2019"},
    )
    made = sets.among(PANEL)
    assert made.distances == {"303": {WHOLE: 0.2, "304": 0.1}}
    assert dict(made.unmatched) == {WHOLE: "too far away"}
    assert made.notes == ("made by hand",)
    assert dict(made.until) == {"cin 2019": "2019"}
    kept = design({303: 2021, 940: 2021, 941: 2021}, sets)
    assert kept.pilots == ("303",)
    assert {"made by hand", f"pilots left out: 1 ({WHOLE}: too far away)"} <= set(kept.notes)
    both = MatchedSets({940: {304: 1.0}}, unmatched={"941": "too far away"})
    with pytest.raises(DesignError, match="one set for each unit"):
        both.among(PANEL)


def test_edits_take_any_code():
    made = design({928: 2021, 303: 2021})
    assert made.without_pilot(941).pilots == ("303",)
    assert made.drop("940").pilots == ("303",)
    assert design({303: 2021}).drop(928).comparators == IDS[1:4]
    again = made.reassign(Rollout({"941": 2022, "940": 2022}))
    assert again.pilots == (WHOLE,)
    assert again.comparators == IDS[:4]
    with pytest.raises(DesignError, match="not left out"):
        design({303: 2021}, exclude=[928]).reassign(Rollout({928: 2021}))
    listed = lists([(unit, 1, "304") for unit in ("303", "940")])
    first = design({303: 2021}, listed.per_pilot(aggregate="mean"))
    assert first.reassign(Rollout({928: 2021})).sets == {WHOLE: {"304": 1.0}}
