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
    assert caught.value.found.startswith("a gap: 1 (")
    assert "periods=(first, last)" in caught.value.todo


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
        ("2017-18", "Academic year"),
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
