"""Periods of open-data tables: their order, their gaps, and what is not understood."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from didkit.errors import ReadError
from didkit.read.ees_time import CODES, dated


def parts(pairs: Iterable[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    periods, identifiers = zip(*pairs, strict=True)
    return np.array(periods, dtype=object), np.array(identifiers, dtype=object)


def test_terms_months_weeks_and_quarters_are_in_order() -> None:
    terms = [("201718", "Spring term"), ("201718", "Autumn term"), ("201617", "Summer term")]
    assert dated(*parts(terms), within=None, where="f").calendar.labels == (
        "2016-17 Summer term",
        "2017-18 Autumn term",
        "2017-18 Spring term",
    )
    months = [("2018", "January"), ("2017", "December"), ("2017", "November")]
    assert dated(*parts(months), within=None, where="f").calendar.labels == (
        "2017 November",
        "2017 December",
        "2018 January",
    )
    quarters = [("201718", "Financial year Q1"), ("201617", "Financial year Q4")]
    assert dated(*parts(quarters), within=None, where="f").calendar.labels == (
        "2016-17 Financial year Q4",
        "2017-18 Financial year Q1",
    )
    for last in (52, 53):
        weeks = [("2020", f"Week {last}"), ("2021", "Week 1"), ("2021", "Week 2")]
        assert dated(*parts(weeks), within=None, where="f").calendar.labels == (
            f"2020 Week {last}",
            "2021 Week 1",
            "2021 Week 2",
        )


@pytest.mark.parametrize(
    "pairs",
    [
        [("2020", "Week 3"), ("2020", "Week 5")],
        [("2020", "Week 51"), ("2021", "Week 1")],
        [("2012", "Week 3"), ("2014", "Week 3")],
        [("2019", "January"), ("2019", "March")],
        [("201819", "Autumn term"), ("201819", "Summer term")],
        [("201819", "Academic year"), ("202021", "Academic year")],
    ],
)
def test_gaps_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ReadError) as caught:
        dated(*parts(pairs), within=None, where="f")
    first, second = (f"{one[:4]}" for one, _ in pairs)
    assert caught.value.found.startswith(f"a gap: {first}")
    assert f"→ {second}" in caught.value.found
    assert "periods=(first, last)" in caught.value.todo
    assert "gaps='not available'" in caught.value.todo


@pytest.mark.parametrize(
    ("pairs", "filled"),
    [
        ([("2020", "Week 3"), ("2020", "Week 5")], ["2020 Week 4"]),
        ([("2020", "Week 51"), ("2021", "Week 1")], ["2020 Week 52"]),
        ([("2012", "Week 3"), ("2014", "Week 3")], ["2013 Week 3"]),
        ([("2019", "November"), ("2020", "February")], ["2019 December", "2020 January"]),
        ([("201819", "Autumn term"), ("201819", "Summer term")], ["2018-19 Spring term"]),
        ([("199899", "Autumn term"), ("200001", "Autumn term")], ["1999-00 Autumn term"]),
        (
            [("201819", "Financial year Q4"), ("201920", "Financial year Q3")],
            ["2019-20 Financial year Q1", "2019-20 Financial year Q2"],
        ),
        ([("201819", "Academic year"), ("202122", "Academic year")], ["2019-20", "2020-21"]),
        ([("201819", "Financial year"), ("202021", "Financial year")], ["2020"]),
        ([("2018", "Calendar year"), ("2020", "Calendar year")], ["2019"]),
        ([("2018", "Calendar year"), ("2019", "Calendar year")], []),
    ],
)
def test_gaps_may_be_filled(pairs: list[tuple[str, str]], filled: list[str]) -> None:
    made = dated(*parts(pairs), within=None, where="f", gaps="not available")
    first, last = made.labels
    assert made.calendar.labels == (first, *filled, last)
    assert made.filled == tuple(filled)
    assert made.keep.all()


def test_only_gaps_within_the_span_are_filled() -> None:
    years = [(one, "Calendar year") for one in ("2010", "2012", "2013", "2016")]
    made = dated(*parts(years), within=(2010, 2013), where="f", gaps="not available")
    assert made.calendar.labels == ("2010", "2011", "2012", "2013")
    assert made.filled == ("2011",)
    with pytest.raises(ReadError, match=r"gaps: 2 \(2010 → 2012, 2013 → 2016\)"):
        dated(*parts(years), within=None, where="f")
    with pytest.raises(ReadError, match="gaps='refuse' or"):
        dated(*parts(years), within=None, where="f", gaps="fill")  # type: ignore[arg-type]


@pytest.mark.parametrize("identifier", ["Academic year", "Financial year", "Autumn term"])
@pytest.mark.parametrize("period", ["2016/17", "2016-17", "2016–17", "2016/2017"])
def test_years_of_two_as_periods_are_asked_for(period: str, identifier: str) -> None:
    one, other = (
        dated(*parts([(text, identifier)]), within=None, where="f") for text in ("201617", period)
    )
    assert one.calendar == other.calendar


@pytest.mark.parametrize(
    "pairs",
    [
        [("2018", "Reporting year"), ("2018", "Calendar year")],
        [("201819", "Academic year"), ("201819", "Autumn term")],
        [("201819", "Academic year Q1"), ("201819", "Financial year Q1")],
    ],
)
def test_mixed_periods_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ReadError, match="several"):
        dated(*parts(pairs), within=None, where="f")


@pytest.mark.parametrize(
    ("period", "identifier"),
    [
        ("2018", "Academic year"),
        ("2018", "Financial year"),
        ("201718", "Calendar year"),
        ("201719", "Academic year"),
        ("2017-19", "Academic year"),
        ("2017/19", "Academic year"),
        ("2017/18", "Calendar year"),
        ("2016/2117", "Academic year"),
        ("2017 18", "Academic year"),
        (" 201718", "Academic year"),
        ("17", "Calendar year"),
        ("", "Calendar year"),
        ("２０１８", "Calendar year"),
        ("2018", "Autumn term"),
        ("201718", "Week 3"),
        ("201718", "Two weeks"),
        ("2018", "Week 54"),
        ("201718", "Autumn and spring term"),
        ("201718", ""),
    ],
)
def test_periods_that_do_not_parse(period: str, identifier: str) -> None:
    with pytest.raises(ReadError) as caught:
        dated(*parts([(period, identifier)]), within=None, where="f")
    assert identifier in caught.value.found


def test_codes_of_the_interface_are_identifiers_that_are_read() -> None:
    assert (CODES["RY"], CODES["AYQ3"], CODES["W12"]) == (
        "Reporting year",
        "Academic year Q3",
        "Week 12",
    )
    for identifier in CODES.values():
        made = [period for period in ("2018", "201718") if _reads(period, identifier)]
        assert len(made) == (2 if identifier == "Reporting year" else 1), identifier


def _reads(period: str, identifier: str) -> bool:
    try:
        dated(*parts([(period, identifier)]), within=None, where="f")
    except ReadError:
        return False
    return True
