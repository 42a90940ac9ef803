"""Bad input to a panel: each refused, with what was needed, found, where, and what to do."""

from __future__ import annotations

import pickle
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from helpers import frame_of, panel_of

from didkit.errors import (
    DesignError,
    DidkitError,
    EstimationError,
    InferenceError,
    PanelError,
    ReadError,
    first_few,
)
from didkit.panel import Calendar, Metric, Panel

GOOD = frame_of(np.arange(12.0).reshape(4, 3))


def make(frame: pd.DataFrame = GOOD, **options) -> Panel:
    return Panel.from_frame(frame, **{"unit": "la", "period": "year", "metrics": ["m"], **options})


def refused(*texts: str, frame: pd.DataFrame = GOOD, **options) -> PanelError:
    with pytest.raises(PanelError) as caught:
        make(frame, **options)
    for text in texts:
        assert text in str(caught.value)
    for part in ("needed", "found", "where", "todo"):
        assert getattr(caught.value, part)
    assert isinstance(caught.value, ValueError)
    return caught.value


def put(column: str, values: dict[int, object], frame: pd.DataFrame = GOOD) -> pd.DataFrame:
    """Replace some rows of a column, whatever their type."""
    made = frame[column].astype(object)
    for row, value in values.items():
        made.iloc[row] = value
    return frame.assign(**{column: made})


def test_duplicate_rows_name_the_first_five():
    refused(
        "14 rows for 7 (301 2011, 301 2012, 301 2013, 304 2011, 304 2012, …)",
        "choose one row of each",
        frame=pd.concat([GOOD, GOOD.iloc[:7]]),
    )


def test_duplicates_are_seen_through_the_way_they_are_written():
    extra = pd.DataFrame({"la": [301.0], "year": ["2011 "], "m": [1.0]})
    refused("301 2011", frame=pd.concat([GOOD.astype({"year": object}), extra]))


def test_duplicates_in_a_long_frame():
    frame = pd.DataFrame({"la": ["303"] * 2, "year": [2018] * 2, "k": ["cin"] * 2, "v": [1.0, 2.0]})
    refused("303 2018 cin", frame=frame, layout="long", metrics="k", value="v")


@pytest.mark.parametrize("symbol", ["c", "x", "..", "-", "#VALUE!"])
def test_suppression_symbols_are_named(symbol):
    refused(
        f"suppression symbols {symbol}",
        "column 'm'",
        "didkit.read_dfe",
        frame=put("m", {4: symbol}),
    )


def test_text_in_a_number_column():
    refused(
        "text in 2 (301 in 2012: 12%, 301 in 2013: many) cells",
        frame=put("m", {1: "12%", 2: "many"}),
    )
    refused("text in 12 (301 in 2011: 0.0, ", frame=GOOD.assign(m=GOOD["m"].astype(str)))


def test_text_in_a_long_frame_names_its_cell():
    frame = pd.DataFrame(
        {"la": ["303", "926"] * 2, "year": [2018] * 4, "k": ["cin", "cin", "cla", "cla"]}
    ).assign(v=[1.0, 2.0, 3.0, "52,000"])
    error = refused("text in 1 (926 in 2018: 52,000) cells", frame=frame, layout="long",
                    metrics="k", value="v")  # fmt: skip
    assert error.where == "column 'v'"


@pytest.mark.parametrize(
    ("values", "kind"),
    [([True] * 12, "bool"), (pd.date_range("2020", periods=12), "datetime64")],
)
def test_truth_values_and_dates_are_not_numbers(values, kind):
    refused("numbers", f"a column of {kind}", "column 'm'", frame=GOOD.assign(m=values))


def test_one_truth_value_among_numbers():
    refused("text in 1 (304 in 2011: True) cells", frame=put("m", {3: True}))


def test_dates_are_not_periods():
    refused(
        "period labels (2018, 2017-18)",
        "found: dates",
        frame=GOOD.assign(year=[datetime(2018, 3, 31)] * 12),
    )


def test_negative_counts_and_infinite_values():
    as_count = {"m": Metric(name="m", kind="count", unit="children")}
    refused(
        "a count of zero or more",
        "2 (301 in 2012: -3, 304 in 2011: -1) cells",
        "metric 'm'",
        frame=put("m", {1: -3, 3: -1}),
        metrics=as_count,
    )
    assert make(put("m", {1: -3.0})).wide("m").iloc[0, 1] == -3  # a plain value may be
    refused("finite numbers", "301 in 2012: inf", frame=put("m", {1: np.inf}))


def test_bounds_that_do_not_hold_the_value():
    frame = GOOD.assign(lo=GOOD["m"], hi=GOOD["m"] + 1)
    frame.loc[2, "lo"] = 99.0
    refused(
        "values inside their bounds",
        "301 in 2013: 2",
        "mend lower= and upper=",
        frame=frame,
        lower={"m": "lo"},
        upper={"m": "hi"},
    )
    hidden = frame.assign(m=GOOD["m"].where(GOOD["m"] != 2), hi=0.0).iloc[2:3]
    refused("not above the upper", frame=hidden, lower={"m": "lo"}, upper={"m": "hi"})


def test_status_and_value_must_agree():
    status = ["observed"] * 11 + ["suppressed"]
    refused(
        "a value in 1 (310 in 2013: 11 is suppressed) cells",
        "column 'm', status 's'",
        "observed, rounded, low reliability",
        frame=GOOD.assign(s=status),
        status={"m": "s"},
    )
    refused(
        "no value in 1 (301 in 2011) cells",
        "column 'm', status 's'",
        "'52,000'",
        frame=put("m", {0: None}).assign(s="observed"),
        status={"m": "s"},
    )
    refused(
        "no value in 7 (301 in 2012, 304 in 2011, 304 in 2012, 304 in 2013, 307 in 2011, …) cells",
        frame=put("m", dict.fromkeys((1, 3, 4, 5, 6, 7, 8), np.nan)).assign(s="observed"),
        status={"m": "s"},
    )
    refused("found: 1 (lost)", "low reliability", frame=GOOD.assign(s="lost"), status={"m": "s"})


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, ""])
def test_rows_without_an_id(missing):
    refused("1 rows without one, the first is row 5", "column 'la'", frame=put("la", {5: missing}))


def test_nullable_columns_without_an_id():
    for dtype in ("string", "Int64"):
        frame = GOOD.assign(la=pd.array([pd.NA, *([301] * 11)], dtype="Int64").astype(dtype))
        refused("1 rows without one, the first is row 0", frame=frame)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_rows_without_a_period(missing):
    refused("1 rows without one", "column 'year'", frame=put("year", {5: missing}))


@pytest.mark.parametrize("wrong", ["Norfolk", "E10000020", "26", "1301", "301.5"])
def test_ids_that_are_names_are_refused(wrong):
    refused(
        "3-digit local-authority codes",
        f"1 ({wrong})",
        "two authorities are called Dorset",
        "identity='any'",
        frame=put("la", dict.fromkeys((0, 1, 2), wrong)),
    )
    assert make(put("la", dict.fromkeys((0, 1, 2), wrong)), identity="any").unit_ids


@pytest.mark.parametrize("total", ["970", "980", "985", "990", "999"])
def test_totals_among_authorities_are_refused(total):
    names = GOOD["la"].replace({"307": "Sum"})
    frame = GOOD.assign(la=GOOD["la"].replace({"307": total}), called=names)
    refused(
        "units of one level",
        f"1 ({total}: Sum) that stand for England",
        "the panel's units",
        "take these rows out",
        frame=frame,
        name="called",
    )
    alone = frame[frame["la"] == total]
    refused(f"1 ({total})", "identity='any'", frame=alone)
    assert make(frame, identity="any").unit_ids[-1] == total  # what an id of one's own means


@pytest.mark.parametrize("code", ["969", "971", "979", "991", "926"])
def test_neighbouring_codes_are_no_totals(code):
    assert code in make(GOOD.assign(la=GOOD["la"].replace({"307": code})))


def ids(*units: str) -> pd.DataFrame:
    return frame_of(np.ones((len(units), 2)), units)


@pytest.mark.parametrize(
    ("units", "totals"),
    [
        (("E06000001", "E06000002", "E92000001"), "1 (E92000001)"),
        (("E06000001", "E12000001", "E13000002"), "2 (E12000001, E13000002)"),
        (("own-1", "own-2", "E12000003"), "1 (E12000003)"),
        (("Bexley", "Kent", "England"), "1 (England)"),
        (("Bexley", "Kent", "united kingdom"), "1 (united kingdom)"),
        (("W06000001", "W92000004"), "1 (W92000004)"),
        (("E12000001", "E92000001"), "1 (E92000001)"),
        (("E92000001", "S92000003", "K03000001"), "1 (K03000001)"),
    ],
)
def test_codes_that_hold_other_units_are_refused(units, totals):
    error = refused(f"found: {totals} that", frame=ids(*units), identity="any")
    assert "identity" not in error.todo


def test_a_total_is_known_by_its_name_too():
    frame = ids("1", "2").assign(called=["Kent"] * 2 + ["ENGLAND "] * 2)
    refused("1 (2: ENGLAND )", frame=frame, identity="any", name="called")


@pytest.mark.parametrize(
    "units",
    [
        tuple(f"E1200000{k}" for k in range(1, 10)),
        ("E12000001", "E12000002", "S92000003", "W92000004"),
        ("E92000001", "S92000003", "W92000004"),
        ("W06000001", "W06000002", "E92000001"),  # does not hold Welsh authorities
        ("North East", "Centre", "South West"),  # of a town, perhaps
        ("E92000001",),
    ],
)
def test_regions_or_nations_alone_are_units(units):
    assert make(ids(*units), identity="any").unit_ids == tuple(sorted(units))


def test_a_total_does_not_come_in_by_joining():
    joined = [make(ids("E06000001"), identity="any"), make(ids("E92000001"), identity="any")]
    with pytest.raises(PanelError, match="units of one level"):
        joined[0] | joined[1]


@pytest.mark.parametrize("wrong", ["2011Q1", "spring", "2011-13", "11", 20112, True])
def test_periods_that_do_not_parse(wrong):
    refused(
        "a year (2018) or two years in a row",
        repr(wrong if wrong is not True else "True"),
        "calendar=[…]",
        frame=put("year", {0: wrong}),
    )


def test_mixed_styles_of_period():
    frame = put("year", dict.fromkeys((2, 5, 8, 11), "2012-13"))
    refused("single years beside split ones: 1 (2012-13)", "calendar='reporting year'", frame=frame)
    assert make(frame, calendar="reporting year").periods == ("2011", "2012", "2013")


def test_a_gap_in_the_calendar():
    frame = GOOD.assign(year=GOOD["year"].replace({2013: 2015}))
    refused("a gap: 2012 → 2015", "gaps='not available'", frame=frame)


def test_a_declared_calendar_must_be_exact():
    refused("undeclared: 1 (2013)", calendar=[2011, 2012])
    refused("declared, without any row: 1 (2014)", calendar=[2011, 2012, 2013, 2014])
    refused("a kind of calendar", "'weekly'", calendar="weekly")


def test_an_empty_frame_and_no_frame():
    refused("at least one row", "found: none", frame=GOOD.iloc[:0])
    refused("a pandas DataFrame", "dict", frame={"la": [1]})


def test_columns_that_are_not_there_or_stand_twice():
    refused("one column 'authority'", "3 (la, year, m)", unit="authority")
    refused("one column 'k'", "metrics=", metrics=["k"])
    twice = pd.concat([GOOD, GOOD[["m"]]], axis=1)
    refused("one column 'm'", "found: 2 of that name", frame=twice)
    refused("at least one metric", metrics=[])
    refused("each metric from one column", metrics={"m": "cin", "year": "cin"})


def test_unknown_metric_suggests_the_nearest():
    refused("did you mean cin", metrics={"m": "cinn"})
    with pytest.raises(PanelError, match="choose one of: m"):
        make().wide("k")
    with pytest.raises(PanelError, match="did you mean cla") as caught:
        Metric.named("clas")
    assert "'clas'" in str(caught.value)


def test_unknown_options():
    refused("layout='wide' or layout='long'", layout="tall")
    refused("identity='la_code' or identity='any'", identity="name")
    refused("status= for metrics of this panel", "found: 1 (k)", status={"k": "m"})
    refused("naming the column of metric names", layout="long", metrics=["m"])
    refused("exposure='m'", layout="long", metrics="la", value="m", exposure="m")
    with pytest.raises(PanelError, match="what='value'"):
        make().wide("m", what="values")
    with pytest.raises(PanelError, match="releases='same' or releases='mixed'"):
        make().join(make(), releases="any")
    with pytest.raises(PanelError, match="a kind of metric"):
        Metric(name="x", kind="ratio")


@pytest.mark.parametrize("call", [lambda: make(unti="la"), lambda: make().join(make(), release=1)])
def test_an_unknown_keyword_is_a_type_error(call):
    with pytest.raises(TypeError):
        call()


def test_attributes_that_change_over_time():
    refused(
        "one 'region' for each unit",
        "more than one for 1 (301) units",
        frame=GOOD.assign(region=["A", "B"] + ["A"] * 10),
        attributes=["region"],
    )


def test_a_unit_that_is_not_there_suggests_the_nearest():
    frame = GOOD.assign(called=GOOD["la"].map({"301": "Bexley", "304": "Norfolk"}).fillna("Kent"))
    panel = make(frame, name="called")
    for wanted in ("Norfolc", "340"):
        with pytest.raises(PanelError, match=r"did you mean .*304 \(Norfolk\)"):
            panel.find(wanted)


def test_selecting_nothing_or_the_unknown():
    panel = panel_of(np.ones((2, 4)))
    with pytest.raises(PanelError, match="0 units"):
        panel.select(units=[])
    with pytest.raises(PanelError, match="a unit of the panel"):
        panel.select(units=["999"])
    with pytest.raises(PanelError, match="between 2011 and 2014"):
        panel.select(periods=[2019])
    with pytest.raises(PanelError, match="a gap"):
        panel.select(periods=[2011, 2014])


def test_windows_of_a_calendar():
    calendar = Calendar.of([2017, 2018, 2019])
    assert calendar.window(2017, 2018) == ("2017", "2018")
    with pytest.raises(PanelError, match="swap them"):
        calendar.window(2019, 2017)
    with pytest.raises(PanelError, match="a single year"):
        calendar.position("2017-18")
    with pytest.raises(PanelError, match="write 2017-18 or 2018-19"):
        Calendar.of(["2017-18", "2018-19"]).position(2018)


@pytest.mark.parametrize(
    "kind", [DidkitError, PanelError, ReadError, DesignError, EstimationError, InferenceError]
)
def test_errors_travel_between_processes(kind):
    error = kind(needed="a", found="b", where="c", todo="d")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is kind
    assert (again.needed, again.found, again.where, again.todo) == ("a", "b", "c", "d")
    assert str(again) == str(error) == "needed: a\n  found: b\n  where: c\n  what to do: d"
    assert isinstance(error, DidkitError)
    assert isinstance(error, ValueError) == (kind is not DidkitError)


def test_a_real_error_travels_too():
    error = refused("one column", unit="authority")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


def test_first_few_counts_and_shows():
    assert first_few(range(7)) == "7 (0, 1, 2, 3, 4, …)"
    assert first_few(["a"]) == "1 (a)"


def test_an_exposure_is_one_column_by_name():
    refused("a dict", 'exposure="children"', exposure={"m": "children"})
