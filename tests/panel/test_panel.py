"""The panel: made, looked at, cut and joined; frames go in unchanged and come out as copies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import panel_of

from didkit.errors import DidkitWarning, PanelError
from didkit.panel import METRICS, Calendar, Metric, Panel, Status


def wide_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "la": ["303", "303", "926", "926"],
            "year": [2018, 2019, 2018, 2019],
            "cin": [310.0, 305.5, np.nan, 277.0],
            "why": ["observed", "low reliability", "suppressed", "observed"],
            "lo": [np.nan, 300.0, 1.0, np.nan],
            "hi": [np.nan, 311.0, 5.0, np.nan],
            "called": ["Bexley", "Bexley", "Norfolk", "Norfolk"],
            "region": ["London", "London", "East", "East"],
            "children": [60000, 60100, 170000, 170500],
        }
    )


def full_panel(frame: pd.DataFrame | None = None) -> Panel:
    return Panel.from_frame(
        wide_frame() if frame is None else frame,
        unit="la",
        period="year",
        metrics=["cin"],
        exposure="children",
        status={"cin": "why"},
        lower={"cin": "lo"},
        upper={"cin": "hi"},
        name="called",
        attributes=["region"],
        release="made",
    )


def test_values_status_and_bounds_lie_where_they_belong():
    panel = full_panel()
    assert panel.unit_ids == ("303", "926")
    assert panel.periods == ("2018", "2019")
    expected = np.array([[310.0, 305.5], [np.nan, 277.0]])
    np.testing.assert_array_equal(panel.wide("cin"), expected)
    assert panel.wide("cin", what="status").to_numpy().tolist() == [
        ["observed", "low reliability"],
        ["suppressed", "observed"],
    ]
    np.testing.assert_array_equal(panel.wide("cin", what="lower"), [[310, 300], [1, 277]])
    np.testing.assert_array_equal(panel.wide("cin", what="upper"), [[310, 311], [5, 277]])
    np.testing.assert_array_equal(panel.wide("population"), [[60000, 60100], [170000, 170500]])
    assert panel.metric("cin") is METRICS["cin"]
    assert panel.name_of(926) == "Norfolk"
    assert 926 in panel
    assert "927" not in panel
    assert panel.units.loc["926"].to_dict() == {"name": "Norfolk", "region": "East"}


def test_tidy_is_one_row_a_cell():
    table = full_panel().tidy()
    assert list(table.columns) == [
        *("unit", "name", "period", "metric", "value", "status", "lower", "upper", "release"),
        "region",
    ]
    assert len(table) == 8
    hidden = table[table["status"] == "suppressed"].iloc[0]
    assert (hidden["unit"], hidden["period"], hidden["lower"], hidden["upper"]) == (
        "926",
        "2018",
        1,
        5,
    )
    assert np.isnan(hidden["value"])
    assert set(table["release"]) == {"made"}


def test_long_and_wide_frames_make_the_same_panel():
    wide = wide_frame()
    long = wide.melt(id_vars=["la", "year"], value_vars=["cin", "children"])
    long["variable"] = long["variable"].replace("children", "population")
    one = Panel.from_frame(wide, unit="la", period="year", metrics=["cin"], exposure="children")
    other = Panel.from_frame(
        long.sample(frac=1, random_state=1),
        unit="la",
        period="year",
        layout="long",
        metrics="variable",
        value="value",
    )
    for metric in ("cin", "population"):
        pd.testing.assert_frame_equal(one.wide(metric), other.wide(metric))
        assert one.metric(metric) == other.metric(metric)


def test_a_long_frame_carries_status_and_bounds_in_columns():
    frame = pd.DataFrame(
        {
            "la": ["303", "303"],
            "year": [2018, 2019],
            "what": ["cin", "cin"],
            "n": [np.nan, 4.0],
            "why": ["Suppressed", "OBSERVED"],
            "lo": [1, 3.5],
            "hi": [5, 4.5],
        }
    )
    panel = Panel.from_frame(
        frame,
        unit="la",
        period="year",
        layout="long",
        metrics="what",
        value="n",
        status="why",
        lower="lo",
        upper="hi",
    )
    assert panel.wide("cin", what="status").to_numpy().tolist() == [["suppressed", "observed"]]
    np.testing.assert_array_equal(panel.wide("cin", what="upper"), [[5, 4.5]])


def test_a_missing_row_is_absent_and_a_missing_value_not_available():
    frame = wide_frame().iloc[[0, 1, 2]]
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    assert panel.wide("cin", what="status").to_numpy().tolist() == [
        ["observed", "observed"],
        ["not available", "absent"],
    ]
    table = panel.missing()
    assert table[["unit", "period", "status"]].to_numpy().tolist() == [
        ["926", "2018", "not available"],
        ["926", "2019", "absent"],
    ]
    assert len(panel.tidy()) == 3


def test_describe_counts_and_measures():
    row = full_panel().describe().set_index("metric").loc["cin"]
    assert (row["observed"], row["suppressed"], row["low reliability"]) == (2, 1, 1)
    assert row["mean"] == pytest.approx((310 + 305.5 + 277) / 3)
    assert row["sd_between"] == pytest.approx(np.std([307.75, 277.0], ddof=1))
    assert row["sd_within"] == pytest.approx(np.sqrt(2 * 2.25**2 / 1))
    assert (row["first"], row["last"], row["units"]) == ("2018", "2019", 2)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "int64", "float32", "category", "object"])
def test_numeric_columns_of_any_kind(dtype):
    frame = wide_frame()
    values = [310, 305, 290, 277] if dtype == "int64" else [310, 305, None, 277]
    series = pd.Series(values, dtype="Float64" if dtype == "category" else None)
    frame["cin"] = series.astype(dtype)
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    expected = [[310, 305], [290 if dtype == "int64" else np.nan, 277]]
    np.testing.assert_array_equal(panel.wide("cin"), expected)


@pytest.mark.parametrize(
    "ids",
    [
        ["303", "303", "926", "926"],
        [303, 303, 926, 926],
        [303.0, 303.0, 926.0, 926.0],
        pd.Categorical(["303", "303", "926", "926"], categories=["926", "303"]),
        pd.array([303, 303, 926, 926], dtype="Int64"),
        pd.array(["303", "303 ", " 926", "926"], dtype="string"),
    ],
    ids=["text", "integers", "floats", "categories", "nullable", "padded"],
)
def test_ids_of_any_kind_are_the_same_units(ids):
    panel = Panel.from_frame(wide_frame().assign(la=ids), unit="la", period="year", metrics=["cin"])
    assert panel.unit_ids == ("303", "926")
    assert panel.wide("cin").loc["926", "2019"] == 277


def test_frames_are_never_changed_and_come_out_as_copies():
    frame = wide_frame()
    before = frame.copy(deep=True)
    panel = full_panel(frame)
    pd.testing.assert_frame_equal(frame, before)
    tidy = panel.tidy()
    frame.loc[:, "cin"] = -1.0
    for view in (panel.units, panel.log, panel.wide("cin"), panel.tidy(), panel.missing()):
        view.iloc[:, :] = view.iloc[::-1].to_numpy()
    pd.testing.assert_frame_equal(panel.tidy(), tidy)
    assert panel.units.loc["303", "name"] == "Bexley"
    assert panel.log["rows"].tolist() == [4]


# -- cut and joined -------------------------------------------------------------------------------


def test_select_keeps_and_logs():
    panel = full_panel().select(metrics=["cin"], units=[926], periods=[2019])
    assert panel.unit_ids == ("926",)
    assert panel.periods == ("2019",)
    assert list(panel.metrics) == ["cin"]
    assert panel.wide("cin").to_numpy().tolist() == [[277.0]]
    logged = {row.what: row.rows for row in panel.log.itertuples()}
    assert logged["cells left out by select"] == 3
    assert logged["1 metric not selected: population"] == 4


def test_panels_of_other_metrics_units_and_periods_join():
    one = panel_of([[1.0, 2.0], [3.0, 4.0]])
    frame = pd.DataFrame({"la": ["304", "900"], "year": [2012, 2013], "k": [5.0, 6.0]})
    other = Panel.from_frame(frame, unit="la", period="year", metrics=["k"])
    both = one | other
    assert both.unit_ids == ("301", "304", "900")
    assert both.periods == ("2011", "2012", "2013")
    assert list(both.metrics) == ["m", "k"]
    np.testing.assert_array_equal(both.wide("m"), [[1, 2, np.nan], [3, 4, np.nan], [np.nan] * 3])
    np.testing.assert_array_equal(
        both.wide("k"), [[np.nan] * 3, [np.nan, 5, np.nan], [np.nan, np.nan, 6]]
    )
    pd.testing.assert_frame_equal(both.wide("m"), (other | one).wide("m"))


def test_panels_that_agree_join_and_those_that_do_not_are_refused():
    y = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    whole = panel_of(y)
    early, late = whole.select(periods=[2011, 2012]), whole.select(periods=[2012, 2013])
    pd.testing.assert_frame_equal((early | late).wide("m"), whole.wide("m"))
    y[1, 1] = 5.5
    with pytest.raises(PanelError, match="cells that agree") as caught:
        _ = panel_of(y) | late
    assert (
        "data frame on the left says 5.5, data frame on the right says 5 for 304 in 2012"
        in caught.value.found
    )
    assert caught.value.todo.endswith("a.select(periods=range(2011, 2012)).join(b)")


def test_two_releases_are_mixed_by_name_only_and_kept_in_provenance():
    one = panel_of([[1.0, 2.0]], release="2019")
    other = panel_of([[1.0, 2.0]], release="2020").select(periods=[2012])
    with pytest.raises(PanelError, match="one release") as caught:
        _ = one | other
    assert "releases='mixed'" in str(caught.value)
    assert "2 (2019, 2020)" in str(caught.value)
    both = one.join(other, releases="mixed")
    assert both.provenance()["release"].tolist() == ["2019", "2020"]
    assert set(both.tidy()["release"]) == {"2019 + 2020"}


def test_one_name_for_two_things_is_refused():
    frame = pd.DataFrame(
        {"la": ["303"], "year": [2019], "cin_count": [50], "population": [5000], "cin": [99.0]}
    )
    columns = ["cin_count", "population"]
    computed = Panel.from_frame(frame, unit="la", period="year", metrics=columns).compute_rate(
        "cin"
    )
    published = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    with pytest.raises(PanelError, match="one meaning for each metric name") as caught:
        published.join(computed.select(metrics=["cin"]), releases="mixed")
    assert "published" in str(caught.value)
    assert "computed" in str(caught.value)


def test_joining_ids_of_two_kinds_is_refused():
    one = panel_of([[1.0, 2.0]])
    other = panel_of([[1.0, 2.0]], ids=["Norfolk"], identity="any")
    with pytest.raises(PanelError, match="never join on names"):
        _ = one | other


@pytest.mark.parametrize("join", [lambda a, b: a | b, lambda a, b: a.join(b)])
def test_joining_something_else_is_refused(join):
    with pytest.raises(PanelError, match="a DataFrame"):
        join(panel_of([[1.0, 2.0]]), wide_frame())


def test_joining_other_calendars_or_leaving_a_gap_is_refused():
    years = panel_of([[1.0, 2.0]])
    split = panel_of([[1.0, 2.0]], calendar="reporting year")
    with pytest.raises(PanelError, match="same kind of calendar"):
        _ = years | split
    later = Panel.from_frame(
        pd.DataFrame({"la": ["301"], "year": [2015], "m": [1.0]}),
        unit="la",
        period="year",
        metrics=["m"],
    )
    with pytest.raises(PanelError, match="a gap: 2012 → 2015"):
        _ = years | later


# -- rates ----------------------------------------------------------------------------------------


def counts() -> Panel:
    frame = pd.DataFrame(
        {
            "la": ["303", "303", "926", "926"],
            "year": [2018, 2019] * 2,
            "n": [50, np.nan, 20, 30],
            "why": ["observed", "suppressed", "rounded", "not available"],
            "lo": [np.nan, 1, 15, np.nan],
            "hi": [np.nan, 5, 25, np.nan],
            "pop": [5000, 5000, 4000, 4000],
        }
    )
    frame.loc[3, "n"] = np.nan
    return Panel.from_frame(
        frame,
        unit="la",
        period="year",
        metrics={"n": "cla_count", "pop": "population"},
        status={"cla_count": "why"},
        lower={"cla_count": "lo"},
        upper={"cla_count": "hi"},
        release="2019",
    )


def test_a_rate_is_count_over_population_with_its_bounds():
    panel = counts().compute_rate("cla")
    np.testing.assert_allclose(panel.wide("cla"), [[100, np.nan], [50, np.nan]])
    np.testing.assert_allclose(panel.wide("cla", what="lower"), [[100, 2], [37.5, np.nan]])
    np.testing.assert_allclose(panel.wide("cla", what="upper"), [[100, 10], [62.5, np.nan]])
    status = panel.wide("cla", what="status").to_numpy().tolist()
    assert status == [["observed", "suppressed"], ["rounded", "not available"]]
    assert panel.metric("cla").derivation == "computed: cla_count / population (2019) × 10,000"
    assert panel.metric("cla").denominator == "population"


@pytest.mark.filterwarnings("ignore:cla. 1 cells have a count:didkit.errors.DidkitWarning")
def test_a_rate_has_the_status_of_the_population_where_that_is_missing():
    frame = pd.DataFrame(
        {"la": ["303"] * 2, "year": [2018, 2019], "cla_count": [5, 6], "population": [900, None]}
    )
    panel = Panel.from_frame(
        frame, unit="la", period="year", metrics=["cla_count", "population"]
    ).compute_rate("cla")
    assert panel.wide("cla", what="status").to_numpy().tolist() == [["observed", "not available"]]


def test_a_percentage_ends_at_a_hundred_unless_it_is_above():
    frame = pd.DataFrame(
        {
            "la": ["303"] * 5,
            "year": range(2015, 2020),
            "part": [9, None, 12, None, None],
            "lo": [5, 1, 9, 30, None],
            "hi": [15, 5, 15, 40, None],
            "whole": [10, None, 10, 10, 10],
            "wlo": [5, 0, 5, 5, 5],
            "whi": [15, 5, 15, 15, 15],
        }
    )
    panel = Panel.from_frame(
        frame.assign(
            why=["rounded", "suppressed", "rounded", "suppressed", "not available"],
            wwhy=["rounded", "suppressed", *["rounded"] * 3],
        ),
        unit="la",
        period="year",
        metrics={n: Metric(name=n, kind="count") for n in ("part", "whole")},
        lower={"part": "lo", "whole": "wlo"},
        upper={"part": "hi", "whole": "whi"},
        status={"part": "why", "whole": "wwhy"},
    )
    share = Metric(name="s", kind="percent", numerator="part", per=100)
    made = panel.compute_rate(share, denominator="whole")
    assert made.wide("s").iloc[0, [0, 2]].tolist() == [90, 120]
    np.testing.assert_allclose(made.wide("s", what="upper"), [[100, 100, 300, 800, np.nan]])
    np.testing.assert_allclose(made.wide("s", what="lower"), [[500 / 15, 20, 60, 200, np.nan]])


def test_rates_that_cannot_be_made_are_refused():
    panel = counts().compute_rate("cla")
    with pytest.raises(PanelError, match="replace_published=True"):
        panel.compute_rate("cla")
    assert panel.compute_rate("cla", replace_published=True).wide("cla").loc["303", "2018"] == 100
    with pytest.raises(PanelError, match="cin_count"):
        counts().compute_rate("cin")
    with pytest.raises(PanelError, match="say numerator="):
        counts().compute_rate(Metric(name="x", kind="rate"))
    zero = Panel.from_frame(
        pd.DataFrame({"la": ["303"], "year": [2018], "cla_count": [5], "population": [0]}),
        unit="la",
        period="year",
        metrics=["cla_count", "population"],
    )
    with pytest.raises(PanelError, match="zero or less: 1 \\(303 in 2018\\)"):
        zero.compute_rate("cla")


def test_a_rate_takes_one_vintage_of_the_population():
    frame = pd.DataFrame({"la": ["303"], "year": [2018], "population": [900]})
    other = Panel.from_frame(
        frame, unit="la", period="year", metrics=["population"], release="2020"
    )
    mixed = counts().select(units=["926"]).join(other, releases="mixed")
    with pytest.raises(PanelError, match="one vintage") as caught:
        mixed.compute_rate("cla")
    assert "2 (2019, 2020)" in str(caught.value)


# -- calendars ------------------------------------------------------------------------------------


def test_calendars_read_labels_in_any_order_and_style():
    assert Calendar.of([2019, "2017", 2018.0]).labels == ("2017", "2018", "2019")
    assert Calendar.of(["2018-19", "201718", "2016/17"]).labels == (
        "2016-17",
        "2017-18",
        "2018-19",
    )
    both = Calendar.of(["2017-18", 2019], kind="reporting year")
    assert both.labels == ("2018", "2019")
    assert both.position("2018/19") == 1
    assert "2017-18" in both
    declared = Calendar.of(["before", "after"], kind="declared")
    assert declared.labels == ("before", "after")
    assert declared.position("after") == 1
    assert Calendar.of(["1999-2000", "2000-01"]).labels == ("1999-00", "2000-01")


def test_a_declared_calendar_orders_the_periods():
    frame = pd.DataFrame({"la": ["303"] * 2, "wave": ["late", "early"], "m": [2.0, 1.0]})
    panel = Panel.from_frame(
        frame, unit="la", period="wave", metrics=["m"], calendar=["early", "late"]
    )
    assert panel.wide("m").to_numpy().tolist() == [[1.0, 2.0]]


def test_statuses_by_label():
    assert Status.from_label(" Low Reliability ") is Status.LOW_RELIABILITY
    assert Status.NOT_APPLICABLE.label == "not applicable"
    with pytest.raises(KeyError):
        Status.from_label("lost")


def test_a_count_without_a_population_has_no_rate_and_says_so() -> None:
    frame = pd.DataFrame(
        {
            "la": ["303", "303", "926", "926"],
            "year": [2018, 2019] * 2,
            "cla_count": [50, 60, 70, 80],
            "population": [5000, None, 7000, 8000],
        }
    )
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cla_count", "population"])
    with pytest.warns(DidkitWarning, match=r"cla: 1 cells have a count .* \(303 2019\)"):
        made = panel.compute_rate("cla")
    assert np.isnan(made.wide("cla").loc["303", "2019"])
    assert made.wide("cla").loc["926", "2019"] == 100


def test_a_rate_is_over_its_own_denominator_where_the_panel_has_it() -> None:
    frame = pd.DataFrame(
        {"la": ["303"], "year": [2018], "suspensions": [5], "pupils": [200], "population": [400]}
    )
    columns = {"suspensions": "suspensions", "pupils": "pupils", "population": "population"}
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=columns)
    rate = Metric(
        name="per_100", kind="rate", per=100, numerator="suspensions", denominator="pupils"
    )
    assert panel.compute_rate(rate).wide("per_100").loc["303", "2018"] == 2.5
    assert panel.compute_rate(rate, denominator="population").wide("per_100").iloc[0, 0] == 1.25
    with pytest.raises(PanelError, match="no 'pupils' among"):
        panel.select(metrics=["suspensions", "population"]).compute_rate(rate, denominator="pupils")
