"""Reorganised authorities: what is merged, when, and what becomes of every number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.errors import DidkitWarning, PanelError
from didkit.panel import Cells, Metric, Panel, Status, codes_by_era

NAN = float("nan")
ARRAYS = ("value", "status", "lower", "upper")
TABLE = Path("geography") / "la_changes.csv"
CIN = Path("dfe") / "cin_2025" / "b1_children_in_need_2013_to_2025.csv"


def panel_of(rows: list[tuple], metric: str | Metric = "cin_count", **options) -> Panel:
    """Make a panel of one metric from (code, year, value[, status, lower, upper])."""
    filled = [(*row, *("", NAN, NAN)[len(row) - 3 :]) for row in rows]
    frame = pd.DataFrame(filled, columns=["la", "year", "n", "status", "lower", "upper"])
    missing = frame["n"].isna().map({True: "not available", False: "observed"})
    frame["status"] = frame["status"].where(frame["status"] != "", missing)
    name = metric.name if isinstance(metric, Metric) else metric
    options.setdefault("calendar", "reporting year")
    sides = {side: {name: side} for side in ("status", "lower", "upper")}
    return Panel.from_frame(
        frame, unit="la", period="year", metrics={"n": metric}, **sides, **options
    )


def cell(panel: Panel, unit: str, period: object, metric: str = "cin_count") -> tuple:
    """Give value, status, lower and upper of one cell."""
    i, t = panel.unit_ids.index(panel.find(unit)), panel.calendar.position(period)
    cells = panel.cells(metric)
    return (
        float(cells.value[i, t]),
        Status(int(cells.status[i, t])),
        float(cells.lower[i, t]),
        float(cells.upper[i, t]),
    )


def assert_same_cells(one: Cells, other: Cells) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)


def assert_same(one: Panel, other: Panel) -> None:
    pd.testing.assert_frame_equal(one.units, other.units)
    assert one.parts == other.parts
    assert one.periods == other.periods
    for key in one.metrics:
        assert_same_cells(one.cells(key), other.cells(key))


NORTHANTS = [(928, 2020, 50), (928, 2021, 60), (940, 2022, 30), (941, 2022, 40)]
DORSET = [(835, 2019, 1), (836, 2019, 2), (837, 2019, 4), (838, 2020, 10), (839, 2020, 20)]
OTHER = [(303, y, y) for y in (2019, 2020, 2021, 2022)]


# -- which units -----------------------------------------------------------------------------------


def test_counts_of_an_area_add_up_in_each_era():
    panel = panel_of([*OTHER, *NORTHANTS, *DORSET]).harmonise()
    assert panel.unit_ids == ("303", "838+839", "940+941")
    counts = panel.wide("cin_count")
    assert counts.loc["940+941", ["2020", "2021", "2022"]].tolist() == [50, 60, 70]
    assert counts.loc["838+839", ["2019", "2020"]].tolist() == [7, 30]
    assert panel.wide("cin_count", what="status").loc["838+839", "2021"] == "absent"
    assert cell(panel, "940+941", 2022) == (70, Status.OBSERVED, 70, 70)


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [
        (("820",), ("822", "823"), 2010),
        (("875",), ("895", "896"), 2010),
        (("835", "836", "837"), ("838", "839"), 2020),
        (("928",), ("940", "941"), 2022),
        (("909",), ("942", "943"), 2024),
    ],
)
def test_every_known_change(old, new, first):
    rows = [(code, first - 1, 2 * i + 1) for i, code in enumerate(old)]
    rows += [(code, first, 10 * (i + 1)) for i, code in enumerate(new)]
    panel = panel_of(rows)
    made = panel.harmonise()
    assert made.unit_ids == ("+".join(new),)
    sums = [sum(2 * i + 1 for i in range(len(old))), 30.0]
    assert made.wide("cin_count").loc["+".join(new)].tolist() == sums
    before, after = panel.harmonise(to=first - 1), panel.harmonise(to=first)
    assert before.unit_ids == ("+".join(old),)
    assert after.unit_ids == ("+".join(new),)
    assert before.wide("cin_count").to_numpy().tolist() == [sums]
    for code in (*old, *new):
        assert made.find(code) == "+".join(new)
        assert code in before


def test_one_era_is_comparable_as_it_stands():
    early = panel_of([*OTHER[:3], *NORTHANTS[:2]])
    late = panel_of([*OTHER, *NORTHANTS[2:]])
    assert early.harmonise() is early
    assert late.harmonise() is late
    assert early.harmonise(to=2021) is early  # the same codes in every period and in 2021
    assert late.harmonise(to="2021").unit_ids == ("303", "928")  # 2021 lies outside the panel


def test_a_year_outside_the_periods_renames_an_authority_that_alone_is_the_area():
    panel = panel_of([(928, 2018, 5), (928, 2019, NAN, "suppressed", 1, 5), (303, 2018, 1)])
    made = panel.harmonise(to=2023)
    assert made.unit_ids == ("303", "940+941")
    assert_same_cells(made.cells("cin_count"), panel.cells("cin_count").take(*_rows(panel, 0, 1)))
    assert made.find(928) == "940+941"


def _rows(panel: Panel, *rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array(rows, dtype=np.intp), np.arange(len(panel.periods), dtype=np.intp)


def test_years_are_read_in_the_style_of_the_calendar():
    rows = [(928, "2020-21", 5), (940, "2021-22", 2), (941, "2021-22", 4)]
    panel = panel_of(rows, calendar="split year")
    assert panel.harmonise("2020-21").unit_ids == ("928",)
    assert panel.harmonise("2021-22").unit_ids == ("940+941",)
    with pytest.raises(PanelError, match="to='comparable', or a year"):
        panel.harmonise(2021)
    assert panel_of(NORTHANTS).harmonise("2020-21").unit_ids == ("928",)
    with pytest.raises(PanelError, match="to='comparable', or a year") as caught:
        panel.harmonise("comparble")
    assert "'comparble'" in caught.value.found


def test_declared_periods_must_be_years_where_an_area_changed():
    rows = [(928, "before", 5), (940, "after", 2), (941, "after", 4)]
    with pytest.raises(PanelError, match="periods that are years"):
        panel_of(rows, calendar=["before", "after"]).harmonise()
    rows = [(928, "2021", 5), (940, "2022", 2), (941, "2022", 4)]
    assert panel_of(rows, calendar=["2021", "2022"]).harmonise(to=2020).unit_ids == ("928",)


def test_ids_of_another_kind_are_refused():
    with pytest.raises(PanelError, match="3-digit") as caught:
        panel_of(NORTHANTS, identity="any").harmonise()
    assert "identity='any'" in caught.value.found


# -- which codes in which period -------------------------------------------------------------------


def test_a_release_may_change_codes_a_year_early_or_late():
    early = panel_of(
        [(928, 2020, 9), (940, 2021, 1), (941, 2021, 2), (940, 2022, 3), (941, 2022, 4)]
    )
    assert early.harmonise().wide("cin_count").loc["940+941"].tolist() == [9, 3, 7]
    late = panel_of([(928, 2021, 9), (928, 2022, 8), (940, 2023, 3), (941, 2023, 4)])
    assert late.harmonise().wide("cin_count").loc["940+941"].tolist() == [9, 8, 7]


def test_codes_that_did_not_exist_are_not_applicable_and_not_half_of_anything():
    z = (NAN, "not applicable")
    rows = [(928, 2021, 9), (940, 2021, *z), (941, 2021, *z), (928, 2022, *z), (940, 2022, 3)]
    panel = panel_of([*rows, (941, 2022, 4), (303, 2021, *z)]).harmonise()
    assert panel.wide("cin_count").loc["940+941"].tolist() == [9, 7]
    assert cell(panel, "303", 2021)[1] is Status.NOT_APPLICABLE  # untouched
    only_z = [(928, 2020, *z), (940, 2020, *z)]
    panel = panel_of([*only_z, *rows, (941, 2022, 4)]).harmonise()
    assert cell(panel, "928", 2020)[1] is Status.NOT_APPLICABLE


def test_a_child_is_never_counted_twice():
    rows = [(928, 2021, 7), (940, 2021, 3), (941, 2021, 4), (928, 2022, 7), (940, 2022, 3)]
    panel = panel_of([*rows, (941, 2022, 4)]).harmonise()
    assert panel.wide("cin_count").loc["940+941"].tolist() == [7, 7]
    with pytest.raises(PanelError, match="one number for one area") as caught:
        panel_of([*rows, (941, 2022, 5)]).harmonise()
    assert "928: 7; 940 + 941: 8 in 2022" in caught.value.found
    hidden = [(940, 2021, NAN, "suppressed", 1, 5), (941, 2021, 4)]
    made = panel_of([(928, 2021, 9), *hidden, *NORTHANTS[2:]]).harmonise()
    assert cell(made, "928", 2021)[0] == 9  # known from one side, hidden on the other
    with pytest.raises(PanelError, match="between 5 and 9 in 2021"):
        panel_of([(928, 2021, 10), *hidden, *NORTHANTS[2:]]).harmonise()


def test_not_available_beside_a_value_of_the_other_codes_says_nothing():
    rows = [(928, 2021, 9), (940, 2021, NAN), (941, 2021, NAN), (928, 2022, NAN), (940, 2022, 3)]
    rows += [(941, 2022, 4), (928, 2023, 8), (940, 2023, NAN), (941, 2023, NAN)]
    panel = panel_of(rows).harmonise()
    assert panel.wide("cin_count").loc["940+941"].tolist() == [9, 7, 8]


def test_the_codes_in_force_are_used_where_both_are_known():
    rows = [(928, y, 7, "rounded", 5, 15) for y in (2021, 2022)]
    rows += [(code, y, n) for code, n in ((940, 3), (941, 4)) for y in (2021, 2022)]
    panel = panel_of(rows).harmonise()
    assert cell(panel, "928", 2021) == (7, Status.ROUNDED, 5, 15)
    assert cell(panel, "928", 2022) == (7, Status.OBSERVED, 7, 7)


def test_half_an_authority_does_not_stand_for_the_whole():
    panel = panel_of([(940, 2022, 3), (303, 2022, 1)])
    assert panel.harmonise() is panel
    with pytest.warns(DidkitWarning, match=r"928 is made of 940 \+ 941.*no row of 1 \(941\)"):
        made = panel.harmonise(to=2019)
    assert cell(made, "928", 2022)[1] is Status.NOT_AVAILABLE
    assert np.isnan(cell(made, "928", 2022)[0])


def test_half_an_authority_is_never_used():
    with pytest.warns(DidkitWarning, match=r"no row of 1 \(941\).*half an auth") as caught:
        panel = panel_of([*NORTHANTS[:3], *OTHER]).harmonise()
    assert caught[0].filename == __file__
    value, status, low, high = cell(panel, "940+941", 2022)
    assert status is Status.NOT_AVAILABLE
    assert np.isnan([value, low, high]).all()
    assert cell(panel, "940+941", 2019)[1] is Status.ABSENT
    line = panel.log["what"].iloc[-1]
    assert line == ("cells merged into 940+941: 928 in 2020 to 2021; no whole set of codes in 2022")


def test_each_metric_finds_its_own_codes():
    counts = panel_of([(928, 2021, 9), (928, 2022, 8), (940, 2023, 3), (941, 2023, 4)])
    rows = [(928, 2021, 90), (940, 2022, 30), (941, 2022, 40), (940, 2023, 31), (941, 2023, 41)]
    panel = (counts | panel_of(rows, "population")).harmonise()
    assert panel.wide("cin_count").loc["940+941"].tolist() == [9, 8, 7]
    assert panel.wide("population").loc["940+941"].tolist() == [90, 70, 72]
    assert "928 in 2021 to 2022, 940 + 941 in 2022 to 2023" in panel.log["what"].iloc[-1]


# -- statuses and bounds ---------------------------------------------------------------------------

OBSERVED = (5, "observed", 5, 5)
ROUNDED = (10, "rounded", 5, 15)
UNSURE = (7, "low reliability", 7, 7)
HIDDEN = (NAN, "suppressed", 1, 5)
OPEN = (NAN, "suppressed", 0, NAN)
DARK = (NAN, "suppressed", NAN, NAN)
LOST = (NAN, "not available", NAN, NAN)


@pytest.mark.parametrize(
    ("one", "other", "value", "status", "low", "high"),
    [
        (OBSERVED, OBSERVED, 10, Status.OBSERVED, 10, 10),
        (OBSERVED, ROUNDED, 15, Status.ROUNDED, 10, 20),
        (ROUNDED, UNSURE, 17, Status.LOW_RELIABILITY, 12, 22),
        (OBSERVED, HIDDEN, NAN, Status.SUPPRESSED, 6, 10),
        (UNSURE, HIDDEN, NAN, Status.SUPPRESSED, 8, 12),
        (HIDDEN, HIDDEN, NAN, Status.SUPPRESSED, 2, 10),
        (OBSERVED, OPEN, NAN, Status.SUPPRESSED, 5, NAN),
        (OBSERVED, DARK, NAN, Status.SUPPRESSED, NAN, NAN),
        (OBSERVED, LOST, NAN, Status.NOT_AVAILABLE, NAN, NAN),
        (HIDDEN, LOST, NAN, Status.NOT_AVAILABLE, NAN, NAN),
        (LOST, LOST, NAN, Status.NOT_AVAILABLE, NAN, NAN),
    ],
)
def test_status_and_bounds_of_a_sum(one, other, value, status, low, high):
    for first, second in ((one, other), (other, one)):
        panel = panel_of([(928, 2021, 1), (940, 2022, *first), (941, 2022, *second)]).harmonise()
        np.testing.assert_array_equal(
            cell(panel, "940", 2022), (value, status, low, high), strict=False
        )


# -- rates -----------------------------------------------------------------------------------------


def family(rows: list[tuple], **options) -> Panel:
    """Make a panel of (code, year, count, population, published rate, median)."""
    frame = pd.DataFrame(rows, columns=["la", "year", "n", "pop", "rate", "median"])
    columns = {"n": "cin_count", "pop": "population", "rate": "cin"}
    if frame["median"].notna().any():
        columns["median"] = "assessment_duration"
    return Panel.from_frame(
        frame, unit="la", period="year", metrics=columns, calendar="reporting year", **options
    )


RATES = [
    (303, 2021, 33, 1000, 331.7, NAN),
    (303, 2022, 44, 1000, 442.1, NAN),
    (928, 2021, 60, 3000, 200.4, NAN),
    (940, 2022, 20, 1000, 200.1, NAN),
    (941, 2022, 90, 3000, 300.3, NAN),
]


def test_a_rate_is_that_of_the_summed_counts_and_says_so():
    panel = family(RATES)
    made = panel.harmonise()
    assert made.wide("cin").loc["940+941"].tolist() == [200.0, 275.0]
    assert made.wide("cin").loc["303"].tolist() == [331.7, 442.1]  # as published
    assert [s.note for s in made.sources["cin"]] == [
        "",
        "for the merged units 940+941 computed: cin_count / population (data frame) × 10,000",
    ]
    assert made.metrics == panel.metrics
    assert made.sources["cin_count"] == panel.sources["cin_count"]
    made | made.select(metrics=["cin"])  # still of one release


def test_an_area_that_is_only_called_otherwise_keeps_what_was_published():
    panel = family([(*row[:5], 30) for row in RATES if row[0] == 928])
    made = panel.harmonise(to=2023)  # no warning: nothing was added up
    assert made.unit_ids == ("940+941",)
    for key in panel.metrics:
        assert_same_cells(made.cells(key), panel.cells(key))
    assert made.sources == panel.sources
    assert made.log["what"].iloc[-1].startswith("cells of 928, now called 940+941")


def test_a_rate_has_the_bounds_of_its_counts():
    rows = [(928, 2021, 60), (940, 2022, NAN, "suppressed", 1, 5), (941, 2022, 90)]
    people = [(928, 2021, 3000), (940, 2022, 1000, "rounded", 900, 1100), (941, 2022, 3000)]
    rates = [(928, 2021, 200), (940, 2022, NAN, "suppressed", 0, 50), (941, 2022, 300)]
    panel = panel_of(rows) | panel_of(people, "population") | panel_of(rates, "cin")
    value, status, low, high = cell(panel.harmonise(), "940", 2022, "cin")
    assert np.isnan(value)
    assert status is Status.SUPPRESSED
    assert low == pytest.approx(91 / 4100 * 10_000, rel=1e-15)
    assert high == pytest.approx(95 / 3900 * 10_000, rel=1e-15)


@pytest.mark.parametrize("people", [LOST, (0,)])
def test_a_rate_without_a_population_is_not_available(people):
    rows = [(928, 2021, 60), (940, 2022, 0), (941, 2022, 0)]
    known = [(928, 2021, 3000), (940, 2022, *people), (941, 2022, 0)]
    rates = [(928, 2021, 200), (940, 2022, 200), (941, 2022, 300)]
    panel = panel_of(rows) | panel_of(known, "population") | panel_of(rates, "cin")
    made = cell(panel.harmonise(), "940", 2022, "cin")
    np.testing.assert_array_equal(made, (NAN, Status.NOT_AVAILABLE, NAN, NAN))


def test_a_rate_is_computed_only_where_it_was_published():
    panel = family(RATES).select(metrics=["cin_count", "population"])
    rates = panel_of([(303, 2021, 1), (303, 2022, 1), (940, 2022, 2), (941, 2022, 3)], "cin")
    made = (panel | rates).harmonise()
    assert cell(made, "940", 2021, "cin")[1] is Status.ABSENT
    assert cell(made, "940", 2022, "cin")[0] == 275


def test_a_rate_over_a_count_named_by_hand_is_computed_from_that_count():
    mine = Metric(name="mine", kind="count")
    rows = [(928, 2021, 6), (940, 2022, 2), (941, 2022, 9)]
    counts = family(RATES).select(metrics=["cin_count", "population"])
    panel = counts | panel_of([*rows, (303, 2021, 3), (303, 2022, 4)], mine)
    made = panel.compute_rate("cin", numerator="mine").harmonise()
    assert made.wide("cin").loc["940+941"].tolist() == [20.0, 27.5]


def test_what_does_not_add_up_has_no_value_and_a_reason():
    rows = [(*row[:5], 30 + i) for i, row in enumerate(RATES)]
    panel = family(rows)
    with pytest.warns(DidkitWarning, match=r"'assessment_duration' for 940\+941 \(it is not"):
        made = panel.harmonise()
    assert (
        made.wide("assessment_duration", what="status").loc["940+941"].tolist()
        == ["not available"] * 2
    )
    assert made.wide("assessment_duration").loc["303"].tolist() == [30, 31]
    line = made.log.iloc[-1]
    assert line["source"] == "assessment_duration"
    assert line["rows"] == 2
    with pytest.warns(DidkitWarning) as caught:
        panel.select(metrics=["cin", "assessment_duration"]).harmonise()
    assert len(caught) == 1  # one warning for all of them, at the line that called
    assert caught[0].filename == __file__
    assert "'cin' for 940+941 (join cin_count and population first)" in str(caught[0].message)
    assert "'assessment_duration'" in str(caught[0].message)
    with pytest.warns(DidkitWarning, match="join population first"):
        panel.select(metrics=["cin", "cin_count"]).harmonise()
    with pytest.warns(DidkitWarning, match="kind='count'"):
        panel_of(NORTHANTS, Metric(name="plain")).harmonise()


def test_a_metric_without_rows_of_the_merged_units_is_no_doubt():
    panel = panel_of(NORTHANTS) | panel_of([(303, 2020, 3)], "assessment_duration")
    made = panel.harmonise()  # no warning
    assert cell(made, "940", 2020, "assessment_duration")[1] is Status.ABSENT


def of_two_releases() -> Panel:
    """Make a panel of a published rate and its count, and the population of another release."""
    panel = family(RATES, release="old")
    other = family([(*row[:3], 2 * row[3], *row[4:]) for row in RATES], release="new")
    return panel.select(metrics=["cin", "cin_count"]) | other.select(metrics=["population"])


def test_a_population_of_another_release_is_refused():
    mixed = of_two_releases()
    for merge in (None, {303: 940}):
        with pytest.raises(PanelError) as caught:
            mixed.harmonise(merge=merge)
        error = caught.value
        assert error.found == "'cin' from 1 (old), and 'population' from 1 (new)"
        assert "metric 'cin', units 940+941" in error.where
        for way in ("select()", "'population' of its own release", "vintages='mixed'"):
            assert way in error.todo
    only = mixed.select(units=[303, 928])  # nothing to merge, nothing to refuse
    assert only.harmonise() is only
    assert mixed.select(metrics=["cin_count", "population"]).harmonise().unit_ids == (
        "303",
        "940+941",
    )
    with pytest.raises(PanelError, match="vintages='same' or vintages='mixed'"):
        mixed.harmonise(vintages="any")


def test_two_releases_of_a_rate_are_not_those_of_one_population():
    both = (
        family(RATES, release="old")
        .select(periods=[2021])
        .join(family(RATES, release="new").select(periods=[2022]), releases="mixed")
    )
    assert both.harmonise().wide("cin").loc["940+941"].tolist() == [200.0, 275.0]
    new = family(RATES, release="new").select(metrics=["population"])
    with pytest.raises(PanelError, match=r"'cin' from 2 \(old, new\), and 'population' from 1"):
        (both.select(metrics=["cin", "cin_count"]) | new).harmonise()


def test_a_mixture_asked_for_by_name_is_computed_and_told():
    mixed = of_two_releases()
    made = mixed.harmonise(vintages="mixed", merge={303: 940})
    assert made.wide("cin").loc["940+941"].tolist() == [
        pytest.approx(93 / 8000 * 10_000),
        pytest.approx(154 / 10_000 * 10_000),
    ]
    assert mixed.sources["population"][0] in made.sources["cin"]
    added = [s for s in made.sources["cin"] if s.note]
    assert {s.release for s in added} == {"computed"}
    assert added[0].note == (
        "for the merged units 940+941 computed: cin_count / population (new) × 10,000"
    )
    assert made.sources["population"] == mixed.sources["population"]
    with pytest.raises(PanelError, match="of its own vintage"):  # asked for each time
        mixed.harmonise(vintages="mixed").harmonise(merge={303: 940})


def test_a_rate_computed_over_a_population_of_another_release_stays_so():
    mixed = of_two_releases().select(metrics=["cin_count", "population"])
    panel = mixed.compute_rate("cin")
    made = panel.harmonise()
    assert made.wide("cin").loc["940+941"].tolist() == [100.0, 137.5]
    assert made.sources["cin"][-1].release == "computed"
    assert made.harmonise(merge={303: 940}).wide("cin").loc["940+941"].tolist() == [
        pytest.approx(93 / 8000 * 10_000),
        pytest.approx(154 / 10_000 * 10_000),
    ]
    # but not over the population of the count's release, which the rate does not name
    own = family(RATES, release="old").select(metrics=["population"])
    other = panel.select(metrics=["cin", "cin_count"]) | own
    with pytest.raises(PanelError, match=r"population \(new\) × 10,000, and 'population' from 1"):
        other.harmonise()


def test_a_merged_percentage_ends_at_a_hundred():
    share = Metric(name="s", kind="percent", numerator="part", denominator="whole", per=100)
    counts = {n: Metric(name=n, kind="count") for n in ("part", "whole")}
    low = (NAN, "suppressed", 1, 5)
    years = range(2021, 2026)
    old = [(928, year, 1) for year in years if year < 2022]
    parts = [low, (9, "rounded", 5, 15), (12, "rounded", 9, 15), low]
    wholes = [(10, "rounded", 1, 12), (10, "rounded", 5, 15), (10, "rounded", 5, 15), low]
    panel = None
    for name, cells in (("part", parts), ("whole", wholes), ("s", None)):
        rows = [*old, *((941, year, 0) for year in years if year > 2021)]
        for i, year in enumerate(range(2022, 2026)):
            rows.append((940, year, 50) if cells is None else (940, year, *cells[i]))
        one = panel_of(rows, counts.get(name, share))
        panel = one if panel is None else panel | one
    made = panel.harmonise()
    found = [cell(made, "940", year, "s") for year in range(2022, 2026)]
    assert found[0][2:] == (pytest.approx(100 / 12), 100)
    assert found[1] == (90, Status.ROUNDED, pytest.approx(500 / 15), 100)
    assert found[2] == (120, Status.ROUNDED, 60, 300)  # no part of a whole: as computed
    assert found[3][2:] == (20, 100)
    plain = panel.replaced(metrics={**panel.metrics, "s": replace(share, kind="rate")}).harmonise()
    assert cell(plain, "940", 2023, "s")[3] == 300


def test_the_codes_of_each_era():
    assert codes_by_era(["942", "909", "943"]) == (("909",), ("942", "943"))
    assert codes_by_era(["835", "836", "837", "838", "839", "303"]) == (
        ("303", "835", "836", "837"),
        ("303", "838", "839"),
    )
    assert codes_by_era(["940", "941"]) == (("940", "941"),)
    assert codes_by_era(["836", "837"]) == (("836", "837"),)
    two = ["835", "836", "837", "838", "839", "928", "940", "941"]
    assert codes_by_era(two) == (
        ("835", "836", "837", "928"),
        ("838", "839", "928"),
        ("838", "839", "940", "941"),
    )


# -- by name ---------------------------------------------------------------------------------------

TINY = [(201, 2021, 1), (201, 2022, 2), (204, 2021, 10), (204, 2022, 20), (420, 2021, 3)]


def test_tiny_authorities_are_merged_only_by_name():
    panel = panel_of([*TINY, (908, 2021, 100)])
    assert panel.harmonise() is panel
    made = panel.harmonise(merge={"201": 204, 420: "908"})
    assert made.unit_ids == ("204", "908")
    assert made.wide("cin_count").loc["204"].tolist() == [11, 22]
    assert made.wide("cin_count", what="status").loc["908"].tolist() == ["observed", "absent"]
    assert made.find(201) == "204"
    assert made.harmonise(merge={"201": 204, 420: "908"}) is made


def test_by_name_half_is_nothing_and_several_go_into_one():
    made = panel_of([*TINY, (204, 2023, 5)]).harmonise(merge={201: 204, 420: 204})
    assert made.wide("cin_count").loc["204"].tolist()[0] == 14
    status = made.wide("cin_count", what="status").loc["204"].tolist()
    assert status == ["observed", "not available", "not available"]
    assert made.parts == {"204": ("201", "204", "420")}


def test_a_merged_area_takes_in_a_named_unit():
    rows = [*NORTHANTS, (303, 2020, 1), (303, 2021, 2), (303, 2022, 3)]
    made = panel_of(rows).harmonise(to=2020, merge={303: 941})
    assert made.wide("cin_count").loc["928"].tolist() == [51, 62, 73]
    assert made.parts == {"928": ("303", "928", "940", "941")}
    again = panel_of(rows).harmonise(merge={303: 941}).harmonise(to=2020)
    assert again.parts == made.parts
    assert panel_of(rows).harmonise(merge={940: 928}).unit_ids == ("303", "940+941")


@pytest.mark.parametrize(
    ("merge", "words"),
    [
        ({999: 204}, "units of the panel"),
        ([201, 204], "a mapping of unit"),
        ({201: "Hackney"}, "units of the panel"),
        ({201: 201}, "another one to merge it into"),
        ({201: 204, "201": 420}, "another one to merge it into"),
        ({201: 204, 204: 420}, "not merged into others"),
    ],
)
def test_merging_by_name_is_held_to_its_words(merge, words):
    with pytest.raises(PanelError, match=words):
        panel_of(TINY).harmonise(merge=merge)


# -- what is said ----------------------------------------------------------------------------------


def test_names_attributes_log_and_table():
    frame = pd.DataFrame([*DORSET, *NORTHANTS, *TINY], columns=["la", "year", "n"])
    names = {838: "Dorset", 839: "Bournemouth, Christchurch and Poole", 928: "Northamptonshire"}
    frame["name"] = frame["la"].map(names).fillna("Somewhere")
    frame["region"] = np.where(frame["la"] < 900, "South West", "East Midlands")
    frame["old"] = np.where(frame["la"].isin([201, 838, 839]), "no", "yes")
    panel = Panel.from_frame(
        frame,
        unit="la",
        period="year",
        metrics={"n": "cin_count"},
        name="name",
        attributes=["region", "old"],
        calendar="reporting year",
    )
    made = panel.harmonise(merge={201: 204})
    units = made.units
    assert units.loc["838+839", "name"] == "Dorset + Bournemouth, Christchurch and Poole"
    assert made.harmonise(to=2021).name_of("940") == "Somewhere + Somewhere"
    assert panel.harmonise(to=2021).name_of("940") == "Northamptonshire"
    assert units.loc["838+839", "region"] == "South West"
    assert units["old"].to_dict() == {"204": "", "420": "yes", "838+839": "", "940+941": "yes"}
    assert units.dtypes.equals(panel.units.dtypes)
    assert made.merged()["unit"].tolist() == ["204", "838+839", "940+941"]
    assert made.merged()["parts"].tolist() == [
        "201, 204",
        "835, 836, 837, 838, 839",
        "928, 940, 941",
    ]
    assert made.log["what"].tolist()[1:] == [
        "cells merged into 838+839: 835 + 836 + 837 in 2019, 838 + 839 in 2020",
        "cells merged into 940+941: 928 in 2020 to 2021, 940 + 941 in 2022",
        "cells merged into 204: 204 + 201 in 2021 to 2022",
    ]
    assert made.log["rows"].tolist()[1:] == [5, 4, 4]
    assert panel.merged().empty


def test_without_names_the_name_is_the_id():
    assert panel_of(NORTHANTS).harmonise().name_of("928") == "940+941"


def test_ids_of_merged_units_survive_a_table():
    made = panel_of([*OTHER, *NORTHANTS, *DORSET]).harmonise()
    again = Panel.from_frame(
        made.tidy(),
        layout="long",
        unit="unit",
        period="period",
        metrics="metric",
        value="value",
        status="status",
        lower="lower",
        upper="upper",
        name="name",
        calendar="reporting year",
    )
    assert again.unit_ids == made.unit_ids
    assert_same_cells(again.cells("cin_count"), made.cells("cin_count"))
    assert again.harmonise().find("836") == "838+839"  # the codes are known again
    assert_same(again.harmonise(), made)
    assert_same(again.harmonise(to=2019), made.harmonise(to=2019))
    for wrong in ("838+", "+838", "838+83", "838 + 839"):
        with pytest.raises(PanelError, match="3-digit"):
            panel_of([(wrong, 2020, 1)])


# -- properties ------------------------------------------------------------------------------------

AREAS = {"838+839": (("835", "836", "837"), ("838", "839")), "940+941": (("928",), ("940", "941"))}
YEARS = range(2019, 2024)
SHOWN = ("observed", "observed", "suppressed", "not available")


@st.composite
def frames(draw) -> pd.DataFrame:
    """Draw counts of two areas that change codes in any year, with truth, symbols and bounds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    firsts = {area: draw(st.sampled_from(YEARS[1:])) for area in AREAS}
    areas = {**AREAS, "303": (("303",),) * 2, "926": (("926",),) * 2}
    rows = [
        (code, year, area)
        for area, eras in areas.items()
        for year in YEARS
        for code in eras[int(year >= firsts.get(area, 0))]
    ]
    frame = pd.DataFrame(rows, columns=["la", "year", "area"])
    frame["truth"] = rng.integers(1, 400, len(frame)).astype(float)
    frame["pop"] = rng.integers(500, 5000, len(frame)).astype(float)
    frame["status"] = rng.choice(SHOWN, len(frame))
    hidden = frame["status"] == "suppressed"
    frame["low"] = (frame["truth"] - rng.integers(0, 5, len(frame))).clip(lower=0).where(hidden)
    frame["high"] = (frame["truth"] + rng.integers(0, 5, len(frame))).where(hidden)
    frame["n"] = frame["truth"].where(frame["status"] == "observed")
    frame["rate"] = 1e4 * frame["truth"] / frame["pop"]
    return frame


def panel_from(frame: pd.DataFrame) -> Panel:
    return Panel.from_frame(
        frame,
        unit="la",
        period="year",
        metrics={"n": "cin_count", "pop": "population", "rate": "cin"},
        status={"cin_count": "status"},
        lower={"cin_count": "low"},
        upper={"cin_count": "high"},
        calendar="reporting year",
    )


@settings(max_examples=15)
@given(frames())
def test_totals_are_kept_and_bounds_hold_the_truth(frame):
    panel = panel_from(frame)
    made = panel.harmonise()
    assert set(made.parts) == set(AREAS)
    truth = frame.groupby(["area", "year"])[["truth", "pop"]].sum().unstack("year")
    worst = frame.groupby(["area", "year"])["status"].agg(set).unstack("year")
    for unit in made.unit_ids:
        for year in YEARS:
            value, status, low, high = cell(made, unit, year)
            kinds, count = worst.loc[unit, year], truth.loc[unit, ("truth", year)]
            if kinds == {"observed"}:
                assert value == count
                assert status is Status.OBSERVED
            elif "not available" in kinds:
                assert status is Status.NOT_AVAILABLE
                assert np.isnan(value)
            else:
                assert status is Status.SUPPRESSED
                assert np.isnan(value)
            if status is not Status.NOT_AVAILABLE:
                assert low <= count <= high
            if unit in made.parts:
                rate = cell(made, unit, year, "cin")
                exact = 1e4 * count / truth.loc[unit, ("pop", year)]
                assert rate[1] is status
                assert status is not Status.OBSERVED or rate[0] == pytest.approx(exact, rel=1e-14)
                if status is Status.SUPPRESSED:
                    assert rate[2] - 1e-9 <= exact <= rate[3] + 1e-9
    people = [p.wide("population").sum().tolist() for p in (panel, made)]
    assert people[0] == people[1]


@settings(max_examples=8)
@given(frames(), st.randoms(use_true_random=False))
def test_order_repetition_and_bystanders_change_nothing(frame, random):
    panel = panel_from(frame)
    made = panel.harmonise()
    assert made.harmonise() is made
    order = list(range(len(frame)))
    random.shuffle(order)
    assert_same(panel_from(frame.iloc[order]).harmonise(), made)
    alone = panel.select(units=["303", "926"])
    assert alone.harmonise() is alone
    for key in panel.metrics:
        assert_same_cells(made.select(units=["303", "926"]).cells(key), alone.cells(key))
    by_year = panel.harmonise(to=2019)
    assert by_year.harmonise(to=2019) is by_year
    assert by_year.unit_ids == ("303", "835+836+837", "926", "928")
    for key in panel.metrics:  # under the codes of another year, the same cells
        assert_same_cells(
            made.harmonise(to=2019).select(units=[303, 926, 837, 940]).cells(key),
            by_year.select(units=[303, 926, 835, 941]).cells(key),
        )


# -- real data -------------------------------------------------------------------------------------


def published(folder: Path) -> pd.DataFrame:
    frame = pd.read_csv(folder / CIN, dtype=str, encoding="utf-8-sig")
    frame = frame[frame["geographic_level"] == "Local authority"]
    text = frame["At31_episodes"]
    made = frame[["old_la_code", "time_period", "la_name"]].assign(
        n=pd.to_numeric(text, errors="coerce")
    )
    made["status"] = np.where(made["n"].notna(), "observed", "not available")
    made.loc[text == "c", "status"] = "suppressed"
    return made


def real(frame: pd.DataFrame) -> Panel:
    return Panel.from_frame(
        frame,
        unit="old_la_code",
        period="time_period",
        metrics={"n": "cin_count"},
        name="la_name",
        status={"cin_count": "status"},
        calendar="reporting year",
    )


def test_children_in_need_2013_to_2025_is_150_units_in_every_year(shared_data):
    frame = published(shared_data)
    made = real(frame).harmonise()
    status = made.wide("cin_count", what="status")
    assert status.shape == (150, 13)
    assert (status != "absent").all(axis=None)
    assert {"201", "420"} <= set(made.unit_ids)
    assert set(made.parts) == {"838+839", "940+941", "942+943"}
    # another program: a crosswalk by hand and a group by
    changes = pd.read_csv(shared_data / TABLE, dtype=str)
    to = {
        code: row["old_la_code_after"].replace(";", "+")
        for _, row in changes[changes["change_type"] != "recode"].iterrows()
        if row["old_la_code_before"] != row["old_la_code_after"]
        for side in ("old_la_code_before", "old_la_code_after")
        for code in row[side].split(";")
        if code not in ("822", "823", "895", "896")
    }
    crossed = frame["old_la_code"].map(to).fillna(frame["old_la_code"])
    sums = frame.assign(unit=crossed).groupby(["unit", "time_period"])["n"]
    expected = sums.agg(lambda part: part.sum(skipna=False)).unstack()
    np.testing.assert_array_equal(made.wide("cin_count"), expected.loc[list(made.unit_ids)])


@pytest.mark.parametrize("release", ["cin_2022", "cla_2025"])
def test_computed_rates_of_one_code_are_the_published_ones(shared_data, release):
    """Where one code is the whole area its published rate stands beside the computed one."""
    from didkit.read import read_dfe

    panel = read_dfe(shared_data / "dfe" / release)
    rate, count, people = ("cla", "cla_count", "cla_population")
    if release.startswith("cin"):
        rate, count, people = ("cin", "cin_count", "population")
    panel = panel.select(metrics=[rate, count, people])
    made = panel.harmonise(to=2021)
    ours, theirs = made.wide(rate), panel.wide(rate)
    digits = panel.metrics[rate].decimals
    compared = 0
    for code in ("928", "909"):
        if code in made.parts:
            alone = theirs.loc[code].dropna()
            away = (ours.loc[code, alone.index] - alone).abs()
            assert (away <= 0.5 * 10.0**-digits + 1e-9).all()
            assert (away > 0).any()  # computed, not copied
            compared += len(alone)
    assert compared == {"cin_2022": 9, "cla_2025": 4}[release]


def test_the_release_of_2025_harmonised_is_150_units_in_every_year(shared_data):
    from didkit.read import read_dfe

    panel = read_dfe(shared_data / "dfe" / "cin_2025").select(metrics=["cin_count"])
    status = panel.harmonise().wide("cin_count", what="status")
    assert status.shape == (150, 13)
    assert (status != "absent").all(axis=None)


def test_the_table_of_changes_is_the_published_one(shared_data):
    from didkit.panel.geography import REORGANISED

    changes = pd.read_csv(shared_data / TABLE, dtype=str)
    moved = changes[changes["old_la_code_before"] != changes["old_la_code_after"]]
    theirs = {
        (
            frozenset(row["old_la_code_before"].split(";")),
            frozenset(row["old_la_code_after"].split(";")),
            int(row["first_reporting_year_affected"]),
        )
        for _, row in moved.iterrows()
    }
    ours = {(frozenset(o.codes), frozenset(n.codes), n.first) for o, n in REORGANISED}
    assert ours == theirs
    assert all(old.first == 0 for old, _ in REORGANISED)
