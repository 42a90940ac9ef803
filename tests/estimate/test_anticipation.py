"""Anticipation moves the base back and takes its periods out of the pre-trend test."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, noise, spread

import didkit as dk
from didkit.errors import EstimationError


@pytest.fixture(scope="module")
def design() -> dk.Design:
    return design_of(noise(20, 8, 3), spread(20, 5, 5))


@pytest.mark.parametrize("time", ["event", "calendar"])
@pytest.mark.parametrize("k", [1, 2])
def test_it_is_an_earlier_reference_with_other_phases(design: dk.Design, time: str, k: int) -> None:
    moved = dk.EventStudy(anticipation=k, time=time).fit(design, "m").infer(None)
    reference = -1 - k if time == "event" else design.periods[4 - k]
    plain = dk.EventStudy(reference=reference, time=time).fit(design, "m").infer(None)
    np.testing.assert_array_equal(moved.values, plain.values)
    table = moved.tidy()
    n_before = 5 - k - 1
    assert table["phase"].tolist() == (
        ["before"] * n_before + ["reference"] + ["anticipation"] * k + ["after"] * 3
    )
    assert set(plain.tidy()["phase"]) == {"before", "reference", "after"}


def test_the_pre_trend_test_leaves_it_out(design: dk.Design) -> None:
    events = dk.EventStudy(anticipation=2).fit(design, "m").infer(dk.ClusterRobust())
    finding = events.check(dk.PreTrends())
    assert finding.facts["terms"] == 2
    assert finding.table["term"].tolist() == ["event time -5", "event time -4"]
    assert events.main_term == "event time 0"


def test_staggered_starts_each_have_their_own() -> None:
    design = design_of(noise(20, 8, 3), {1: 3, 5: 3, 8: 5, 12: 5})
    table = dk.EventStudy(anticipation=1).fit(design, "m").infer(None).tidy()
    phases = dict(zip(table["event_time"], table["phase"], strict=True))
    assert phases[-1] == "anticipation"
    assert phases[-2] == "reference"
    assert phases[-3] == "before"
    assert phases[0] == "after"


def test_an_explicit_earlier_reference_is_kept(design: dk.Design) -> None:
    table = dk.EventStudy(-4, anticipation=1).fit(design, "m").infer(None).tidy()
    assert table.loc[table["phase"] == "reference", "event_time"].tolist() == [-4]


@pytest.mark.parametrize("options", [{"anticipation": -1}, {"anticipation": 1.5}])
def test_no_number_of_periods_is_refused(options: dict) -> None:
    with pytest.raises(EstimationError, match="whole number of periods"):
        dk.EventStudy(**options)


def test_a_reference_inside_it_is_refused() -> None:
    with pytest.raises(EstimationError, match="before the 2 periods of anticipation"):
        dk.EventStudy(-2, anticipation=2)


@pytest.mark.parametrize("time", ["event", "calendar"])
def test_no_period_left_before_it_is_refused(design: dk.Design, time: str) -> None:
    with pytest.raises(EstimationError, match="before"):
        dk.EventStudy(anticipation=5, time=time).fit(design, "m")


def test_a_calendar_reference_inside_it_is_refused(design: dk.Design) -> None:
    with pytest.raises(EstimationError, match="its anticipation"):
        dk.EventStudy(design.periods[4], anticipation=2, time="calendar").fit(design, "m")


@pytest.mark.parametrize("time", ["event", "calendar"])
def test_comparators_that_have_seen_the_anticipation_are_refused(time: str) -> None:
    """The start is in the sixth period: a covariate of the fifth has seen one period before it."""
    y, pilots = noise(20, 8, 3), spread(20, 5, 5)
    panel = design_of(y, pilots).panel
    for latest in (2014, 2015):
        on = dk.Covariates.from_panel(panel, means={"m": (2012, latest)})
        design = design_of(y, pilots, against=dk.Matching(on, ratio=2))
        for k in (0, 1, 2):
            study = dk.EventStudy(anticipation=k, time=time)
            if 2016 - k > latest:
                assert np.isfinite(study.fit(design, "m").values).all()
                continue
            with pytest.raises(EstimationError) as error:
                study.fit(design, "m")
            assert f"before the anticipation, from {2016 - k} on" in str(error.value)
            assert str(latest) in error.value.found
            assert f"EventStudy(anticipation={k})" in error.value.where
