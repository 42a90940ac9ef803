"""The real lists of neighbours, and what each choice of comparators does to the four estimates."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import didkit as dk

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))
import designs

PILOTS = designs.example.PILOTS
FILES = {
    2021: "statistical_neighbours_april2021_long.csv",
    2025: "statistical_neighbours_2025_long.csv",
}


@pytest.fixture(scope="module")
def lists(shared_data):
    return {year: dk.read_neighbours(shared_data / "neighbours" / f) for year, f in FILES.items()}


@pytest.fixture(scope="module")
def rows(shared_data):
    """Lines of the file, read without didkit."""
    with (shared_data / "neighbours" / FILES[2021]).open(encoding="utf-8-sig", newline="") as file:
        return [row for row in csv.DictReader(file) if row["la_code"] in PILOTS]


@pytest.fixture(scope="module")
def panel(shared_data):
    return designs.example.load(shared_data)


@pytest.fixture(scope="module")
def design(panel, shared_data):
    return designs.example.design(panel, shared_data)


def test_who_stands_on_the_ten_lists(lists, rows, design):
    slots = [other for pilot in PILOTS for other in lists[2021].of(pilot)]
    assert sorted(slots) == sorted(row["sn_code"] for row in rows)
    assert len(slots) == 100
    assert len(set(slots)) == 76
    assert sum(other in PILOTS for other in slots) == 8
    counts = Counter(slots)
    assert counts["885"] == 4  # Worcestershire
    assert max(count for unit, count in counts.items() if unit != "885") == 3
    assert len(design.comparators) == 68
    table = lists[2021].closeness(design.pilots, design.panel).set_index("pilot")
    assert (table["listed"] == 10).all()
    assert table["pilots"].sum() == 8


def test_closeness_by_pilot(lists, rows):
    table = lists[2021].closeness(PILOTS).set_index("pilot")
    assert table.loc["304", "Not close"] == 7  # Brent
    assert table["Not close"].drop("304").eq(0).all()
    known = Counter((row["la_code"], row["closeness"].strip().capitalize()) for row in rows)
    for pilot in PILOTS:
        for band in ("Extremely close", "Very close", "Close", "Somewhat close", "Not close"):
            assert table.loc[pilot, band] == known[pilot, band]


def test_the_lists_of_two_years_share_about_half(lists):
    def shared(units):
        return np.mean([len(set(lists[2021].of(u)) & set(lists[2025].of(u))) for u in units])

    both = [u for u in dict.fromkeys(lists[2021].table["unit"]) if lists[2025].of(u)]
    assert round(shared(both), 1) == 5.4
    assert round(shared(PILOTS), 1) == 5.6


def test_without_not_close_only_brent_loses_neighbours(lists, design):
    cut = design.compared_with(lists[2021].without("Not close").union())
    gone = set(design.comparators) - set(cut.comparators)
    brent = lists[2021].table.query("unit == '304' and closeness == 'Not close'")
    assert gone == set(brent["neighbour"])
    with pytest.raises(dk.DesignError, match="none for 1 \\(304 \\(10 listed"):
        design.compared_with(lists[2021].at_least("Close").union())


def test_the_closest_that_may_serve_are_five_of_each(lists, design):
    sets = design.compared_with(lists[2021].per_pilot(aggregate="mean", most=5)).sets
    barred = set(PILOTS) | set(designs.example.EXCLUDE)
    for pilot in PILOTS:
        may = [o for o in lists[2021].of(pilot) if o not in barred and o in design.panel]
        assert list(sets[pilot]) == may[:5]
        assert set(sets[pilot].values()) == {0.2}


@pytest.fixture(scope="module")
def chosen(panel, design, lists, shared_data):
    on = designs.covariates(panel, shared_data)
    learnt = dk.learn_weights(design, on, designs.METRICS, periods=(2013, 2017), rounds=2)
    return designs.choices(panel, lists, on, learnt)


@pytest.mark.parametrize("metric", designs.METRICS)
def test_each_choice_is_fitted_and_is_what_a_design_of_its_own_gives(
    metric, design, chosen, panel, lists
):
    check = dk.OtherComparators(chosen, original=designs.ORIGINAL)
    found = dk.DiD().fit(design, metric).infer(None).check(check)
    table = found.tidy().set_index("choice")
    assert found.facts["refused"] == 0
    assert list(table.index) == [designs.ORIGINAL, *chosen]
    assert table.loc["every other authority", "comparators"] == 137
    own = dk.Design(
        panel,
        dk.Rollout(dict.fromkeys(PILOTS, 2018)),
        against=lists[2021].closest(5).union(),
        selection="bid",
        exclude=designs.example.EXCLUDE,
    )
    alone = dk.DiD().fit(own, metric).values.item()
    assert table.loc["closest 5 of each list", "estimate"] == pytest.approx(alone, rel=1e-10)
    assert table["estimate"].nunique() == len(table)
    assert (table["gap_before"] < 0).drop(
        [name for name in table.index if "matched" in name or "computed" in name]
    ).all()  # fmt: skip


def test_the_median_of_sets_needs_units_observed_throughout(design, lists):
    median = lists[2021].per_pilot(aggregate="median")
    check = dk.OtherComparators({"median": median})
    complete = dk.DiD(cells="complete").fit(design, "cla").infer(None).check(check)
    assert complete.facts["refused"] == 0
    wide = design.panel.wide("cla")
    periods = [str(year) for year in range(2013, 2021)]
    sets = design.compared_with(median).sets
    # the median of each year's levels, then the change
    gap = np.mean([wide.loc[p] - wide.loc[list(sets[p])].median() for p in PILOTS], axis=0)
    known = gap[5:].mean() - gap[:5].mean()
    assert wide.columns.tolist() == periods
    assert complete.table["estimate"].iloc[1] == pytest.approx(known, rel=1e-9)


def test_deprivation_has_every_authority_of_the_panel(panel, shared_data):
    on = designs.deprivation(shared_data)
    assert len(on.units) == 151
    without = set(panel.unit_ids) - set(on.units)
    assert without <= {"201", "420", "835", "836", "837"}  # tiny, or gone before 2019
    assert on.table.loc["304"].item() == pytest.approx(25.558, abs=0.001)
