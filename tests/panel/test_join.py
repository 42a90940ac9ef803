"""Panels joined over a gap or cut: what stands in between, what is refused, and what is logged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import panel_of

import didkit as dk
from didkit.errors import PanelError
from didkit.panel import Calendar, Metric, Panel

Y = np.arange(1.0, 13.0).reshape(2, 6)


def years(first: int, last: int, values: np.ndarray = Y, **options: object) -> Panel:
    """Cut a panel of 2011 to 2016 to some of its years."""
    return panel_of(values, **options).select(periods=range(first, last + 1))


def split_years(labels: list[str], values: list[float]) -> Panel:
    frame = pd.DataFrame({"la": ["301"] * len(labels), "year": labels, "m": values})
    return Panel.from_frame(frame, unit="la", period="year", metrics=["m"])


def refused(one: Panel, other: Panel, **options: object) -> PanelError:
    with pytest.raises(PanelError) as caught:
        one.join(other, **options)  # type: ignore[arg-type]
    return caught.value


# -- a gap ----------------------------------------------------------------------------------


@pytest.mark.parametrize("swapped", [False, True])
def test_periods_in_neither_stand_without_a_value(swapped: bool):
    one, other = years(2011, 2012), years(2015, 2016)
    if swapped:
        one, other = other, one
    made = one.join(other, gaps="not available")
    assert made.periods == ("2011", "2012", "2013", "2014", "2015", "2016")
    assert made.calendar.kind == "year"
    expected = Y.copy()
    expected[:, 2:4] = np.nan
    np.testing.assert_array_equal(made.wide("m"), expected)
    status = made.wide("m", what="status")
    assert (status[["2013", "2014"]] == "absent").all(axis=None)
    assert (status[["2011", "2012", "2015", "2016"]] == "observed").all(axis=None)
    said = made.log[made.log["source"] == "join"]
    assert said["what"].tolist() == [
        "no source for period 2013 when joined: its cells are absent",
        "no source for period 2014 when joined: its cells are absent",
    ]
    assert said["rows"].tolist() == [0, 0]
    assert made.log["rows"].dtype == "int64"
    # another release fills them: nothing of the gap is left
    whole = made.join(years(2013, 2014))
    np.testing.assert_array_equal(whole.wide("m"), Y)


def test_without_a_gap_the_option_changes_nothing():
    one, other = years(2011, 2013), years(2013, 2016)
    made = one.join(other, gaps="not available")
    pd.testing.assert_frame_equal(made.tidy(), (one | other).tidy())
    pd.testing.assert_frame_equal(made.log, (one | other).log)


def test_a_gap_is_refused_with_the_option_that_allows_it():
    error = refused(years(2011, 2012), years(2015, 2016))
    assert error.found == "a gap: 2012 → 2015"
    assert "covers 2013, 2014 as well" in error.todo
    assert "gaps='not available'" in error.todo
    with pytest.raises(PanelError, match="a gap: 2012 → 2015"):
        _ = years(2015, 2016) | years(2011, 2012)
    assert "'fill'" in refused(years(2011, 2012), years(2013, 2014), gaps="fill").found


def test_split_years_have_gaps_too():
    one, other = split_years(["2011-12"], [1.0]), split_years(["2013-14"], [3.0])
    assert refused(one, other).found == "a gap: 2011-12 → 2013-14"
    made = one.join(other, gaps="not available")
    assert made.periods == ("2011-12", "2012-13", "2013-14")
    np.testing.assert_array_equal(made.wide("m"), [[1, np.nan, 3]])


def test_a_calendar_names_each_gap_without_counting_it():
    with pytest.raises(PanelError, match="found: a gap: 2011 → 2013, 2013 → 2015\n"):
        Calendar.of([2011, 2013, 2015])
    assert Calendar.of([2012]).span == "2012"
    assert Calendar.of([2012, 2013]).span == "2012 to 2013"


# -- cells that differ ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "theirs", "line", "do"),
    [
        (
            (2011, 2014),
            (2013, 2016),
            "a.{early}.join(b{how})",
            lambda a, b, how: a.select(periods=range(2011, 2013)).join(b, **how),
        ),
        (
            (2013, 2016),
            (2011, 2014),
            "a.{late}.join(b{how})",
            lambda a, b, how: a.select(periods=range(2015, 2017)).join(b, **how),
        ),
        (
            (2011, 2016),
            (2013, 2014),
            "a.{early}.join(b{how}).join(a.{late}{how})",
            lambda a, b, how: (
                a.select(periods=range(2011, 2013))
                .join(b, **how)
                .join(a.select(periods=range(2015, 2017)), **how)
            ),
        ),
        (
            (2013, 2014),
            (2011, 2016),
            "a.join(b.{early}{how}).join(b.{late}{how})",
            lambda a, b, how: a.join(b.select(periods=range(2011, 2013)), **how).join(
                b.select(periods=range(2015, 2017)), **how
            ),
        ),
    ],
)
@pytest.mark.parametrize("releases", ["same", "mixed"])
def test_the_ready_line_joins_all_periods(
    mine: tuple[int, int],
    theirs: tuple[int, int],
    line: str,
    do: Callable[..., Panel],
    releases: str,
):
    names = ("old", "new") if releases == "mixed" else ("made", "made")
    one = years(*mine, release=names[0])
    other = years(*theirs, Y + 0.5, release=names[1])
    error = refused(one, other, releases=releases)
    expected = line.format(
        early="select(periods=range(2011, 2013))",
        late="select(periods=range(2015, 2017))",
        how=", releases='mixed'" if releases == "mixed" else "",
    )
    assert error.todo.endswith("e.g. " + expected)
    assert "periods that both have: 2013 to 2014" in error.where
    made = do(one, other, {"releases": releases})
    assert made.periods == ("2011", "2012", "2013", "2014", "2015", "2016")
    assert np.isfinite(made.wide("m")).all(axis=None)


def test_each_side_is_called_by_its_release():
    one = years(2011, 2014, release="old")
    other = years(2014, 2016, Y + 1000, release="new")
    error = refused(one, other, releases="mixed")
    assert error.found == "old says 4, new says 1,004 for 301 in 2014; 10 and 1,010 for 304 in 2014"
    assert "2 of the cells" in error.where
    assert error.where.endswith("periods that both have: 2014")
    many = panel_of(np.ones((9, 1)), release="new")
    assert refused(
        panel_of(np.zeros((9, 1)), release="old"), many, releases="mixed"
    ).found.endswith("for 313 in 2011; and 4 more")


def test_a_cell_without_a_value_is_told_by_its_status():
    frame = pd.DataFrame({"la": ["301"], "year": [2011], "m": [np.nan]})
    one, other = (
        Panel.from_frame(
            frame.assign(m=value, why=why),
            unit="la",
            period="year",
            metrics=["m"],
            status={"m": "why"},
            release=why,
        )
        for value, why in ((np.nan, "suppressed"), (5.0, "low reliability"))
    )
    error = refused(one, other, releases="mixed")
    assert error.found == "suppressed says suppressed, low reliability says 5 for 301 in 2011"
    observed = Panel.from_frame(
        frame.assign(m=5.0), unit="la", period="year", metrics=["m"], release="observed"
    )
    found = refused(observed, other, releases="mixed").found
    assert "says 5 (observed), low reliability says 5 (low reliability)" in found


def test_the_same_periods_have_no_ready_line_of_periods():
    error = refused(panel_of(Y), panel_of(Y + 1))
    assert "range" not in error.todo
    assert "a.select(metrics=[…])" in error.todo


def test_split_years_are_written_as_labels():
    one = split_years(["2011-12", "2012-13"], [1.0, 2.0])
    other = split_years(["2012-13", "2013-14"], [2.5, 3.0])
    assert "a.select(periods=['2011-12']).join(b)" in refused(one, other).todo


# -- cut ------------------------------------------------------------------------------------


def two_metrics() -> Panel:
    frame = pd.DataFrame({"la": ["303", "303", "926", "926"], "year": [2018, 2019] * 2})
    return Panel.from_frame(
        frame.assign(cin_count=[1.0, 2, 3, 4], cpp=5.0, cla=6.0),
        unit="la",
        period="year",
        metrics=["cin_count", "cpp", "cla"],
    )


def test_a_single_name_period_or_unit_is_one_thing():
    panel = two_metrics()
    for name in ("cin_count", Metric.named("cin_count")):
        assert list(panel.select(metrics=name).metrics) == ["cin_count"]
    for period in (2019, "2019"):
        assert panel.select(periods=period).periods == ("2019",)
    for unit in (926, "926"):
        assert panel.select(units=unit).unit_ids == ("926",)
    assert panel.select(units=iter(["926"]), periods=np.array([2018])).periods == ("2018",)


def test_all_metrics_left_out_are_one_line():
    log = two_metrics().select(metrics="cpp", periods=2018).log
    assert log.iloc[1:].to_dict("records") == [
        {"what": "cells left out by select", "source": "cpp", "rows": 2},
        {"what": "2 metrics not selected: cin_count, cla", "source": "select", "rows": 8},
    ]
    assert len(two_metrics().select(metrics=["cin_count", "cpp", "cla"]).log) == 1


def test_the_log_printed_shows_what_and_how_many():
    panel = two_metrics().select(metrics="cpp")
    assert list(panel.log.columns) == ["what", "source", "rows"]
    source = "a release with a name that fills the line to its end, and more"
    long = panel.replaced(log=panel.log[["source", "rows", "what"]].assign(source=source))
    with pd.option_context("display.width", 80, "display.max_columns", 0):
        text = str(long.log)
    assert "2 metrics not selected: cin_count, cla" in text
    assert "rows" in text


def test_many_metrics_and_a_single_period_are_written_short():
    frame = pd.DataFrame({"la": ["303"], "year": [2012], **{f"m{k}": [1.0] for k in range(10)}})
    names = [f"m{k}" for k in range(10)]
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=names)
    shown = ", ".join(names[:8])
    assert repr(panel) == f"Panel(1 units × 1 periods (2012); metrics: {shown}, … 2 more)"
    assert repr(panel.select(metrics=names[:8])).endswith("m6, m7)")
    assert "2012 to 2012" not in panel._repr_html_()


def test_an_e_code_is_answered_with_what_to_use():
    panel = two_metrics()
    for act in (lambda: panel.find("E10000020"), lambda: panel.select(units=["E10000020"])):
        with pytest.raises(PanelError, match="use the 3-digit code, not the E-code"):
            act()
    with pytest.raises(PanelError, match="did you mean 926"):
        panel.find("E926")
    any_id = panel_of(Y, ["E10000019", "E10000021"], identity="any")
    with pytest.raises(PanelError, match="did you mean E100000"):
        any_id.find("E10000020")


# -- published tables -----------------------------------------------------------------------


def test_releases_of_2012_and_2018_are_joined_over_the_years_between(shared_data: Path):
    folder = shared_data / "dfe"
    old = dk.read_dfe(folder / "sfr_cla" / "SFR20_CLA2012.csv")
    new = dk.read_dfe(folder / "cla_2021")
    assert refused(old, new, releases="mixed").found == "a gap: 2012 → 2018"
    made = old.join(new, releases="mixed", gaps="not available")
    assert len(made.periods) == 10
    for part in (old, new):
        back = made.select(periods=part.periods, units=part.unit_ids).wide("cla_count")
        pd.testing.assert_frame_equal(back, part.wide("cla_count"))
    assert (made.wide("cla", what="status")[["2013", "2017"]] == "absent").all(axis=None)


def test_releases_that_revised_a_count_name_it_and_the_line_works(shared_data: Path):
    folder = shared_data / "dfe"
    old = dk.read_dfe(folder / "sfr_cla" / "CLA2019.csv").select(metrics="cla_count")
    new = dk.read_dfe(folder / "cla_2021").select(metrics="cla_count")
    error = refused(old, new, releases="mixed")
    assert error.found.startswith("sfr_cla_2019 says 191, cla_2021 says 189 for 202 in 2019")
    line = "a.select(periods=range(2015, 2018)).join(b, releases='mixed')"
    assert error.todo.endswith(line)
    made = old.select(periods=range(2015, 2018)).join(new, releases="mixed")
    assert made.periods == tuple(str(year) for year in range(2015, 2022))
    assert made.wide("cla_count").loc["202", "2019"] == 189
