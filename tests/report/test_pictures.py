"""The frames behind the pictures as readers get them, and pictures that are refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import design_of
from plot.places import IDS, make_design, make_panel, neighbours

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.report import Evaluation, evaluate
from didkit.report.numerals import signed
from didkit.report.pictures import KINDS, _whole
from didkit.report.readouts import numbers, readable

CR2 = dk.ClusterRobust("CR2")
BARE = Evaluation(design=make_design(), results={}, level=0.95, between=("2011", "2016"))


def test_draws_are_counted_in_bins_without_losing_one() -> None:
    statistic = np.append(np.linspace(-3, 3, 500), np.nan)
    large = ~np.isfinite(statistic) | (np.abs(statistic) >= 2)
    frame = pd.DataFrame({"draw": range(501), "statistic": statistic, "as_large": large})
    table, _ = readable("permutation", frame)
    assert len(table) == 20
    assert table["Draws"].sum() == 500  # the one without a statistic cannot be placed
    assert table["of these counted in p"].sum() == large[:-1].sum()
    assert numbers("permutation", frame) == f"{large.sum()} of 501 draws are counted in p."


def test_only_gaps_among_the_cells_are_listed() -> None:
    rows = [(u, f"Place {u}", "pilot", p, "observed") for u in "abc" for p in ("2013", "2014")]
    frame = pd.DataFrame(rows, columns=["unit", "name", "arm", "period", "status"])
    frame.loc[frame["unit"].eq("b") & frame["period"].eq("2014"), "status"] = "suppressed"
    table, _ = readable("missing", frame)
    assert table.to_numpy().tolist() == [["b", "Place b", "", "suppressed"]]
    assert numbers("missing", frame) == "Cells shown: 5 observed, 1 suppressed."


def test_units_that_are_drawn_together_stand_together() -> None:
    frame = pd.DataFrame(
        {
            "cluster": ["a", "b", "c", "d"],
            "name": ["A", "B", "C", "D"],
            "arm": ["pilot", "comparator", "comparator", "comparator"],
            "share": [0.7, 0.2, 0.06, 0.04],
            "shown": [True, True, False, False],
        }
    )
    table, heads = readable("leverage", frame)
    assert table["name"].tolist() == ["A", "B", "2 others, mean"]
    assert table["share"].tolist() == pytest.approx([0.7, 0.2, 0.05])
    assert heads["share"] == "Share of the whole"


def rolled_out(starts: dict[str, int], **options: Any) -> dk.Design:
    """Twelve places from 2011 to 2016, against all others."""
    return dk.Design(
        make_panel(), dk.Rollout(starts, **options), against=dk.Pool(), selection="unknown"
    )


def test_the_calendar_is_laid_out_by_period() -> None:
    first, second, _, other, always = IDS[:5]
    design = rolled_out(
        {second: 2014, first: 2013}, stops={first: 2016}, contaminated={other: 2015, always: None}
    )
    data = plot.rollout(design).data
    table, _ = readable("rollout", data)
    assert table.columns.tolist() == ["unit", "name", *design.periods]
    assert {row[0]: row[1:] for row in table.to_numpy().tolist()} == {
        first: ["Place A", "", "", *["treated"] * 3, "left"],
        second: ["Place B", "", "", "", *["treated"] * 3],
        other: ["Place D", "", "", "", "", *["contaminated"] * 2],
        always: ["Place E", *["contaminated"] * 6],
    }
    assert numbers("rollout", data) == (
        "start in 2013: Place A; start in 2014: Place B; left by 2016: Place A; use it outside "
        "the programme from 2011: Place E; use it outside the programme from 2015: Place D."
    )
    many = plot.rollout(rolled_out(dict.fromkeys(IDS[:6], 2014))).data
    assert numbers("rollout", many) == "start in 2014: 6 authorities."


@pytest.mark.parametrize(
    ("doses", "expected"), [((0.5, 2.0), "treated (0.500)"), ((2.0, 2.0), "treated")]
)
def test_doses_stand_in_the_calendar_where_they_differ(
    doses: tuple[float, float], expected: str
) -> None:
    dose = dict(zip(IDS[:2], doses, strict=True))
    data = plot.rollout(rolled_out(dict.fromkeys(IDS[:2], 2014), dose=dose)).data
    table, _ = readable("rollout", data)
    assert table.loc[table["unit"] == IDS[0], "2016"].tolist() == [expected]
    assert table.loc[table["unit"] == IDS[0], "2011"].tolist() == [""]


def test_lists_and_sets_stand_in_a_row_a_pilot() -> None:
    data = plot.neighbour_graph(make_design(against=neighbours().union())).data
    table, _ = readable("neighbour_graph", data)
    assert table["Pilot"].tolist() == ["Place A", "Place B", "Place C"]
    assert table["Comparators beside it"].tolist() == [
        "Place D, Place E, Place F, Place G",
        "Place D, Place E, Place H, Place I",
        "Place D, Place J, Place K",
    ]
    assert table.iloc[:, 2].tolist() == ["", "", "Place A"]
    assert numbers("neighbour_graph", data) == (
        "Place D beside 3 pilots; Place E beside 2 pilots; 1 place on lists held by pilots."
    )
    sets = {IDS[0]: {IDS[4]: 0.25, IDS[3]: 0.75}, IDS[1]: {IDS[4]: 1.0}, IDS[2]: {IDS[5]: 1.0}}
    data = plot.neighbour_graph(make_design(against=dk.MatchedSets(sets))).data
    table, _ = readable("neighbour_graph", data)
    assert table.to_numpy().tolist() == [
        ["Place A", "Place D (75%), Place E (25%)"],
        ["Place B", "Place E (100%)"],
        ["Place C", "Place F (100%)"],
    ]
    assert numbers("neighbour_graph", data) == "Place E beside 2 pilots."


def test_balance_is_read_out_by_measure_and_kind() -> None:
    design = make_design(against=neighbours().union())
    data = plot.love(design.balance(["m"])).data
    table, heads = readable("love", data)
    assert heads[table.columns[0]] == "Measure"
    assert table["covariate"].tolist() == ["mean 2011 to 2013", "last value, 2013",
                                           "slope 2011 to 2013"]  # fmt: skip
    assert table["smd_after"].tolist() == data["smd_after"].tolist()
    label = design.panel.metric("m").label
    said = numbers("love", data)
    before, after = (float(data[f"smd_{when}"].iloc[0]) for when in ("before", "after"))
    assert before != after
    assert said.startswith(
        f"{label}, mean before: {signed(before)} from the pool, {signed(after)} from comparators; "
    )
    assert [one.partition(":")[0] for one in said.split("; ")] == [
        f"{label}, {what}" for what in ("mean before", "last value", "slope")
    ]


def test_the_choice_of_pilots_is_read_out_for_the_estimator_in_use() -> None:
    finding = dk.DiD().fit(make_design(), "m").infer(None).check(
        dk.RegressionToTheMean(draws=100)
    )  # fmt: skip
    data = finding.plot().data
    table, heads = readable("regression_to_the_mean", data)
    assert len(table) == 28
    assert table["selection"].unique().tolist() == [
        "at random", "by the last year before", "by the mean of the years before",
        "for a gap that lasts",
    ]  # fmt: skip
    assert table["bias"].tolist() == data["bias"].tolist()
    assert heads["bias"] == "Shows without any effect"
    said = numbers("regression_to_the_mean", data)
    assert said.count("DiD, if chosen ") == 4
    row = data[(data["estimator"] == "did") & (data["selection"] == "average")].iloc[0]
    assert (
        f"by the mean of the years before: {signed(row['bias'])} ({signed(row['rank'])} had the "
        "most extreme been taken)" in said
    )
    assert "at random: 0;" in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"reuse", "love"}),
        ({"stops": {IDS[0]: 2016}}, {"reuse", "love", "rollout"}),
        ({"contaminated": {IDS[4]: None}}, {"reuse", "love", "rollout"}),
        ({"dose": {IDS[0]: 0.5}}, {"reuse", "love", "rollout"}),
        ({"first_exposed": {"flow": 2015}}, {"reuse", "love", "rollout"}),
    ],
)
def test_the_calendar_is_drawn_where_there_is_more_than_one_start_to_see(
    options: dict[str, Any], expected: set[str]
) -> None:
    design = rolled_out(dict.fromkeys(IDS[:2], 2014), **options)
    assert set(_whole(replace(BARE, design=design))) == expected


def test_the_calendar_is_drawn_where_starts_differ() -> None:
    design = rolled_out({IDS[0]: 2013, IDS[1]: 2014})
    assert list(_whole(replace(BARE, design=design))) == ["rollout", "love", "reuse"]


@pytest.mark.parametrize(
    "against",
    [neighbours().union(), dk.MatchedSets({one: {IDS[4]: 1.0} for one in IDS[:3]})],
    ids=["list", "sets"],
)
def test_who_stands_beside_whom_is_drawn_where_there_are_lists_or_sets(against: Any) -> None:
    made = replace(BARE, design=make_design(against=against))
    assert list(_whole(made)) == ["love", "neighbour_graph", "reuse"]


def test_the_pictures_of_the_design_stand_together() -> None:
    design = dk.Design(
        make_panel(),
        dk.Rollout(dict.fromkeys(IDS[:3], 2014), contaminated={IDS[5]: 2015}),
        against=neighbours().union(),
        selection="unknown",
    )
    made = evaluate(design, ["m"], inference=CR2, checks=[])
    kinds = [one.kind for one in made.album().of("")]
    assert kinds == ["overview", "rollout", "love", "neighbour_graph", "reuse"]
    page = made.to_html()
    places = [page.index(f'id="p-{kind.replace("_", "-")}"') for kind in kinds]
    assert places == sorted(places)
    assert page.index("<h3>The design in pictures</h3>") < places[1]
    assert "Where a cell is blank the authority is untreated" in page


def test_the_table_beside_a_picture_holds_its_numbers(evaluation: Evaluation) -> None:
    by_kind = {one.kind: one for one in evaluation.pictures()}
    assert list(by_kind) == [kind for kind in KINDS if kind in by_kind]
    gap, _ = readable("gap", by_kind["gap"].data)
    assert gap["pilots"].tolist() == by_kind["gap"].data["pilots"].tolist()
    left, _ = readable("leave_one_out", by_kind["leave_one_out"].data)
    assert "Lowest" in by_kind["leave_one_out"].alt
    assert len(left) == 4
    forest, _ = readable("forest", by_kind["forest"].data)
    names = [name.partition(" (recommended")[0] for name in forest["method"]]
    assert names == by_kind["forest"].data["method"].tolist()
    assert "(recommended, used)" in by_kind["forest"].alt


def test_a_breakdown_that_was_asked_for_is_drawn_and_read_out() -> None:
    y = np.random.default_rng(2).normal(50, 3, (8, 4))
    y[:2, 2:] -= 30
    made = evaluate(
        design_of(y, {0: 2, 1: 2}), ["m"], inference=CR2, checks=[dk.Breakdown(tolerance=0.2)]
    )
    (picture,) = [one for one in made.pictures() if one.kind == "breakdown"]
    table, heads = readable("breakdown", picture.data)
    assert heads["value"] == "Shift that changes the conclusion"
    assert table["name"].tolist() == picture.data["name"].tolist()
    lost = ~np.isfinite(picture.data["value"])
    assert ((table["value"] == "none found") == lost).all()
    for row in picture.data[~lost].itertuples():
        assert f"{row.name}: {signed(row.value)}" in picture.alt
    assert "What would change it" in made.to_html()
    gone = numbers("breakdown", picture.data.assign(value=np.inf))
    assert gone == "no shift found for 2 sites."


def test_a_picture_that_is_refused_is_listed_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y = np.random.default_rng(2).normal(50, 3, (8, 4))
    made = evaluate(design_of(y, {0: 2, 1: 2}), ["m"], inference=dk.ClusterRobust("CR2"), checks=[])
    did = type(made["m"].did)
    drawn = did.plot

    def plot(self: object, ax: object = None, *, kind: str | None = None) -> object:
        if kind == "leverage":
            raise DidkitError(needed="patience", found="none", where="here", todo="wait")
        return drawn(self, ax, kind=kind)  # type: ignore[arg-type]

    monkeypatch.setattr(did, "plot", plot)
    assert made.album().refused == {("m", "leverage"): "needed patience; found none"}
    assert "leverage" not in {one.kind for one in made.pictures()}
    page = made.to_html()
    assert "Pictures that could not be drawn:" in page
    assert "<li>Who carries the answer: needed patience; found none.</li>" in page


def test_the_strip_says_which_cells_it_holds() -> None:
    y = np.random.default_rng(3).normal(100, 0.5, (14, 4))
    y[0, 0] = np.nan
    made = evaluate(design_of(y, {0: 2, 1: 2, 2: 2, 3: 2}), ["m"], checks=[])
    strip = next(one for one in made.pictures() if one.kind == "long_differences")
    assert strip.note.startswith("Only the 3 pilots and 10 comparators observed in every period")
    assert strip.note in strip.alt
    assert strip.note in made.to_html()


def test_heavy_packages_are_imported_when_a_report_is_written_and_not_before() -> None:
    code = (
        "import sys, didkit, didkit.report; heavy = {'jinja2', 'great_tables', 'xlsxwriter', "
        "'matplotlib', 'PIL', 'openpyxl'}; print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_columns_have_the_head_of_their_own_picture() -> None:
    """A column may mean one thing here and another there: a size, a unit, a label."""
    frame = pd.DataFrame({"label": ["a"], "size": [1.0], "unit": ["per 1,000"], "p_found": [0.5]})
    frame = frame.assign(x=[0.0], own=[True], main=[True])
    table, heads = readable("specification_curve", frame)
    assert "x" not in table
    assert "own" not in table
    assert heads["unit"] == "Unit"
    table, heads = readable("sensitivity", frame)
    assert "main" not in table
    assert heads["size"] == "Violation"
    assert heads["p_found"] == "P found"
    assert heads["unit"] == "Code"
    assert "Period" not in readable("rate_split", frame)[1]["label"]
