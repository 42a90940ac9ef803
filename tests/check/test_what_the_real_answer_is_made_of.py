"""The real evaluation: what drives it, and what breaks and populations do to it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import didkit as dk

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import signs_of_safety as example


@pytest.fixture(scope="module")
def design(shared_data):
    return example.design(example.load(shared_data), shared_data, periods=(2013, 2020))


def estimate(design: dk.Design, metric: str) -> dk.Estimate:
    return dk.DiD().fit(design, metric).infer(None)


def test_norfolk_and_west_sussex_are_found_without_being_named(design):
    """The two largest cells and the two largest authorities of the change in children in need."""
    found = estimate(design, "cin").check(dk.DrivingCells())
    top = found.table.iloc[:2]
    assert list(zip(top["name"], top["period"], strict=True)) == [
        ("Norfolk", "2016"),
        ("West Sussex", "2018"),
    ]
    units = dk.DrivingCells().units(found.estimate)
    assert units["name"].tolist()[:2] == ["Norfolk", "West Sussex"]
    assert units["contribution"].iloc[0] < 0 < units["contribution"].iloc[1]
    for name in ("Norfolk", "West Sussex"):
        assert name in found.headline


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (
            "cin",
            {
                "Norfolk": ("2017", "2016"),
                "Leicestershire": ("2015", "2014"),
                "West Sussex": ("2018", "2017"),
            },
        ),
        ("cpp", {"Wakefield": ("2019", "2017")}),
    ],
)
def test_the_documented_breaks_of_pilots_are_left_out(design, metric, expected):
    made = estimate(design, metric)
    found = made.check(dk.WithoutBreaks())
    flags = found.check.flags(made)
    mine = flags[flags["arm"] == "pilot"].set_index("name")
    assert {n: (r["period"], r["since"]) for n, r in mine.iterrows()} == expected
    for unit in mine["unit"]:
        left = dk.DiD().fit(design.drop(unit), metric).values[0]
        assert np.isclose(found.table["estimate"], left, rtol=1e-12).any()


def test_children_in_need_over_the_populations_after_the_census(design, shared_data):
    """2020 and 2022 hold one vintage; that of 2025 was made after the census of 2021."""
    made = estimate(design, "cin")
    releases = {name: dk.read_dfe(shared_data / "dfe" / name) for name in ("cin_2022", "cin_2025")}
    same, later = (made.check(dk.OtherDenominator(one)) for one in releases.values())
    assert same.facts["largest"] == 0
    sample = made.sample
    at = list(sample.units), list(sample.periods)
    people = releases["cin_2025"].wide("population").loc[at]
    rate = np.where(sample.mask, 1e4 * design.panel.wide("cin_count").loc[at] / people, 0.0)
    assert later.facts["other"] == pytest.approx(float((made.weights[0] * rate).sum()), abs=1e-9)
    assert 1 < later.facts["largest"] < 10


@pytest.mark.parametrize("metric", ["cin", "icpc", "cpp", "cla"])
def test_the_published_rates_split_exactly(design, metric):
    made = estimate(design, metric)
    facts = made.check(dk.RateSplit()).facts
    parts = facts["count"] + facts["population"] + facts["rounding"]
    assert parts == pytest.approx(made.values[0], abs=1e-9)
    assert facts["log_rate"] == pytest.approx(facts["log_count"] - facts["log_population"])
