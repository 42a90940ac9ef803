"""Two vintages held against each other: every common cell counted once, every other one named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import codes, panel_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

import didkit as dk
from didkit.errors import PanelError
from didkit.panel import Metric, Panel

Y = np.array([[10.0, 11.0, 12.0], [20.0, 21.0, 22.0], [30.0, 31.0, 0.0]])


def row_of(comparison: dk.panel.Comparison, metric: str = "m") -> dict[str, object]:
    return comparison.summary.set_index("metric").loc[metric].to_dict()


def test_a_panel_does_not_differ_from_itself():
    panel = panel_of(Y)
    found = panel.compare(panel)
    assert row_of(found)["compared"] == row_of(found)["equal"] == 9
    assert row_of(found)["largest"] == 0
    assert found.revised.empty
    assert found.outside.empty
    assert "no common cell differs (9 compared)" in repr(found)
    assert "No common cell differs" in found._repr_html_()


def test_a_revised_cell_is_listed_with_its_direction_and_size():
    new = Y.copy()
    new[1, 2], new[2, 2] = 33.0, 4.0
    found = panel_of(Y).compare(panel_of(new))
    assert found.revised[["unit", "period"]].to_numpy().tolist() == [
        ["304", "2013"],
        ["307", "2013"],
    ]
    assert found.revised["value"].tolist() == [22.0, 0.0]
    assert found.revised["other"].tolist() == [33.0, 4.0]
    assert found.revised["difference"].tolist() == [11.0, 4.0]
    assert found.revised["percent"].iloc[0] == pytest.approx(50.0)
    assert np.isnan(found.revised["percent"].iloc[1])  # nothing is a share of zero
    assert row_of(found)["revised"] == 2
    assert row_of(found)["equal"] == 7
    assert row_of(found)["largest"] == 11.0
    assert "2 of 9 common cells differ" in repr(found)
    assert "304, 2013: 22 → 33 (+50.0 %)" in repr(found)
    assert "304" in found._repr_html_()


def test_the_other_way_round_it_is_the_same_with_signs_changed():
    new = Y * np.array([[1.0, 1.1, 0.9]])
    here, there = panel_of(Y).compare(panel_of(new)), panel_of(new).compare(panel_of(Y))
    np.testing.assert_array_equal(here.revised["difference"], -there.revised["difference"])
    assert here.revised[["unit", "period"]].equals(there.revised[["unit", "period"]])


@pytest.mark.parametrize(("factor", "revised"), [(1 + 1e-10, 0), (1 + 1e-8, 1), (1 - 1e-8, 1)])
def test_a_cell_differs_by_more_than_a_billionth(factor: float, revised: int):
    new = Y.copy()
    new[0, 0] *= factor
    assert row_of(panel_of(Y).compare(panel_of(new)))["revised"] == revised


def test_units_periods_and_metrics_of_one_side_are_named():
    here = panel_of(Y)
    frame = pd.DataFrame({"la": ["301", "999x"], "year": [2013, 2014], "m": [12.0, 1.0], "k": 0.0})
    there = Panel.from_frame(
        frame.assign(la=["301", "310"]), unit="la", period="year", metrics=["m", "k"]
    )
    found = here.compare(there)
    assert row_of(found)["compared"] == 1
    assert set(map(tuple, found.outside.to_numpy())) == {
        ("metric", "there", "k"),
        ("unit", "here", "304"),
        ("unit", "here", "307"),
        ("unit", "there", "310"),
        ("period", "here", "2011"),
        ("period", "here", "2012"),
        ("period", "there", "2014"),
    }
    for text in ("only here: units 2 (304, 307)", "only there: metrics 1 (k)"):
        assert text in repr(found)
    assert "only there: units 1 (310)" in found._repr_html_()


def status_panel(values: list[float], status: list[str]) -> Panel:
    frame = pd.DataFrame({"la": ["301"] * len(values), "year": range(2011, 2011 + len(values))})
    return Panel.from_frame(
        frame.assign(cin_count=values, why=status),
        unit="la",
        period="year",
        metrics=["cin_count"],
        status={"cin_count": "why"},
    )


def test_statuses_are_compared_where_values_are_not_revised():
    nan = np.nan
    here = status_panel(
        [5, nan, nan, 7, nan, 9, 11],
        [
            "observed",
            "suppressed",
            "not available",
            "observed",
            "suppressed",
            "observed",
            "observed",
        ],
    )
    there = status_panel(
        [5, nan, nan, nan, 8, 10, 11],
        [
            *("low reliability", "suppressed", "not applicable", "suppressed"),
            *("observed", "low reliability", "observed"),
        ],
    )
    row = row_of(here.compare(there), "cin_count")
    assert (row["compared"], row["equal"], row["revised"]) == (3, 2, 1)
    assert (row["only_here"], row["only_there"], row["neither"]) == (1, 1, 2)
    assert row["status_changed"] == 2  # the first (same value) and the third (no value)
    text = repr(here.compare(there))
    assert "1 with a value only here; 1 with a value only there; 2 of another status" in text
    other = here.compare(there).other
    assert other[["period", "kind", "status", "other_status"]].to_numpy().tolist() == [
        ["2011", "other status", "observed", "low reliability"],
        ["2013", "other status", "not available", "not applicable"],
        ["2014", "value only here", "observed", "suppressed"],
        ["2015", "value only there", "suppressed", "observed"],
    ]
    np.testing.assert_array_equal(other["value"], [5, nan, 7, nan])
    np.testing.assert_array_equal(other["other"], [5, nan, nan, 8])
    for line in (
        "301, 2011: observed → low reliability (other status)",
        "301, 2014: 7 → suppressed (value only here)",
        "301, 2015: suppressed → 8 (value only there)",
    ):
        assert line in text
    assert "value only here</td>" in here.compare(there)._repr_html_()
    revised = here.compare(there).revised
    assert revised[["status", "other_status"]].to_numpy().tolist() == [
        ["observed", "low reliability"]
    ]


matrices = st_np.arrays(
    float, (4, 3), elements=st.sampled_from([np.nan, 0.0, 1.0, 2.0, 2.5, 1000.0])
)


@given(matrices, matrices)
def test_every_common_cell_is_counted_once(one: np.ndarray, two: np.ndarray):
    # the first row keeps all units and periods in both panels
    one[:, 0], two[:, 0] = 1.0, 1.0
    one[0], two[0] = 1.0, 1.0
    found = panel_of(one).compare(panel_of(two))
    row = row_of(found)
    assert row["compared"] + row["only_here"] + row["only_there"] + row["neither"] == one.size
    assert row["equal"] + row["revised"] == row["compared"]
    differ = np.isfinite(one) & np.isfinite(two) & (one != two)
    assert row["revised"] == len(found.revised) == differ.sum()
    counts = found.other["kind"].value_counts()
    for kind, column in (
        ("value only here", "only_here"),
        ("value only there", "only_there"),
        ("other status", "status_changed"),
    ):
        assert counts.get(kind, 0) == row[column]
    listed = pd.concat([found.revised, found.other])[["unit", "period"]]
    assert not listed.duplicated().any()
    gaps = np.abs(one - two)[differ]
    assert row["largest"] == (gaps.max() if differ.any() else 0.0)


def test_rows_in_another_order_change_nothing():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(6, 4))
    new = y + (rng.random(size=y.shape) < 0.3)
    found = panel_of(y).compare(panel_of(new))
    order = rng.permutation(6)
    ids = [codes(6)[k] for k in order]
    again = panel_of(y).compare(panel_of(new[order], ids))
    pd.testing.assert_frame_equal(found.revised, again.revised)
    assert len(found.revised) > 0


def test_many_cells_are_counted_and_a_few_are_shown():
    found = panel_of(Y).compare(panel_of(Y + 1))
    assert len(repr(found).splitlines()) == 1 + 5 + 1
    assert "… 4 more cells in .revised" in repr(found)


def test_one_metric_may_be_asked_for_by_its_name():
    for metrics in ("m", ["m"], [Metric(name="m")]):
        assert panel_of(Y).compare(panel_of(Y), metrics=metrics).summary["metric"].tolist() == ["m"]


def test_html_of_names_is_escaped():
    frame = pd.DataFrame(
        {"la": ["301"], "year": [2011], "m": [1.0], "name": ["<script>x</script>"]}
    )
    here, there = (
        Panel.from_frame(one, unit="la", period="year", metrics=["m"], name="name")
        for one in (frame, frame.assign(m=2.0))
    )
    assert "<script>" not in here.compare(there)._repr_html_()
    assert "&lt;script&gt;" in here.compare(there)._repr_html_()


def refused(here: Panel, there: object, **options: object) -> str:
    with pytest.raises(PanelError) as caught:
        here.compare(there, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_what_cannot_be_compared_is_refused_in_words():
    panel = panel_of(Y)
    assert "found: a DataFrame" in refused(panel, pd.DataFrame())
    assert "never match on names" in refused(panel, panel_of(Y, identity="any"))
    assert "same kind of calendar" in refused(panel, panel_of(Y, calendar="reporting year"))
    assert "'k' here" in refused(panel, panel, metrics=["k"])
    assert "no name" in refused(panel, panel, metrics=[])
    late = panel_of(np.ones((3, 9))).select(periods=range(2017, 2020))
    assert "needed: a period that both panels have" in refused(panel, late)
    assert "needed: a unit that both panels have" in refused(
        panel, panel_of(Y, ["901", "902", "903"])
    )
    other = Panel.from_frame(
        pd.DataFrame({"la": ["301"], "year": [2011], "k": [1.0]}),
        unit="la",
        period="year",
        metrics=["k"],
    )
    assert "needed: a metric that both panels have" in refused(panel, other)
    frame = pd.DataFrame({"la": ["301"], "year": [2011], "m": [1.0]})
    rate = Metric(name="m", kind="rate", unit="per 10,000 children", per=10_000)
    meant = Panel.from_frame(frame, unit="la", period="year", metrics={"m": rate})
    assert "one meaning for each metric name" in refused(panel, meant)


def two_releases(metrics: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[Panel, Panel]:
    """Make an old and a new release of these metrics."""
    made = []
    for k, release in enumerate(("old", "new")):
        first = next(iter(metrics.values()))[0]
        frame = pd.DataFrame(
            {
                "la": np.repeat(codes(len(first)), first.shape[1]),
                "year": np.tile(np.arange(2011, 2011 + first.shape[1]), len(first)),
                **{name: pair[k].ravel() for name, pair in metrics.items()},
            }
        )
        made.append(
            Panel.from_frame(
                frame, unit="la", period="year", metrics=list(metrics), release=release
            )
        )
    return made[0], made[1]


def test_sides_are_called_by_their_releases():
    new = Y.copy()
    new[0, 0], new[1, 1] = np.nan, 99.0
    old_panel, new_panel = two_releases({"m": (Y, new)})
    found = old_panel.compare(new_panel.select(units=["301", "304"]))
    text, html = repr(found), found._repr_html_()
    assert "1 with a value only in old" in text
    assert "301, 2011: 10 → not available (value only in old)" in text
    assert "only in old: units 1 (307)" in text
    for head in ("value only in old", "value only in new", ">old<", ">new<"):
        assert head in html
    back = new_panel.compare(old_panel)
    assert "1 with a value only in old" in repr(back)
    assert back.other["kind"].tolist() == ["value only there"]


def test_the_largest_differences_of_each_metric_are_shown():
    small, large = np.arange(1.0, 13.0).reshape(3, 4), 1000.0 * np.ones((3, 4))
    pairs = {"k": (10_000 + 0 * small, 10_000 + small), "l": (large, large + 2 * small[::-1])}
    old, new = two_releases(pairs)
    found = old.compare(new)
    html, text = found._repr_html_(), repr(found)
    for value in ("10,012", "10,008", "1,024", "1,016"):
        assert f">{value}<" in html
        assert f"→ {value} (" in text
    for value in ("10,007", "10,001", "1,014", "1,002"):
        assert f">{value}<" not in html
        assert f"→ {value} (" not in text
    assert "… 14 more cells in .revised" in html
    assert text.count("… 7 more cells in .revised") == 2


def test_metrics_without_a_difference_are_said_in_one_line():
    status = Y.copy()
    status[0, 0] = np.nan
    pairs = dict.fromkeys("abcdefg", (Y, Y)) | {"m": (Y, Y + 1), "n": (Y, status)}
    old, new = two_releases(pairs)
    found = old.compare(new)
    line = "no cell differs in 7 metrics (a, b, c, d, e, …; 63 cells compared)"
    assert line in repr(found)
    assert line in found._repr_html_()
    assert len(found.summary) == 9
    assert "a, old and new" not in repr(found)
    assert "n, old and new: no common cell differs (8 compared); 1 with a value only" in repr(found)
    only = old.compare(new, metrics=["a", "b"])
    assert repr(only) == "no cell differs in 2 metrics (a, b; 18 cells compared)"
    assert "only in" not in only._repr_html_()


def test_with_metrics_named_the_others_are_not_outside():
    old, new = two_releases({"a": (Y, Y), "b": (Y, Y)})
    lacking = new.select(metrics="a")
    assert old.compare(lacking).outside["id"].tolist() == ["b"]
    assert old.compare(lacking, metrics="a").outside.empty


def test_thousands_have_commas():
    y = np.full((1500, 2), 1.0)
    frame = pd.DataFrame({"u": np.repeat(np.arange(1500), 2), "y": np.tile([2011, 2012], 1500)})
    one, two = (
        Panel.from_frame(
            frame.assign(m=m.ravel()), unit="u", period="y", metrics=["m"], identity="any"
        )
        for m in (y, 20_000 * y)
    )
    text = repr(one.compare(two))
    assert "3,000 of 3,000 common cells differ" in text
    assert "1 → 20,000 (+1,999,900.0 %)" in text
    assert "… 2,995 more cells in .revised" in text


# -- published vintages ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def dfe(shared_data: Path) -> Path:
    return shared_data / "dfe"


@pytest.mark.parametrize(
    ("one", "two", "compared"),
    [
        ("cin_2020", "cin_2022", 1210),
        ("cin_2020", "cin_2025", 1210),
        ("cin_2022", "cin_2025", 1511),
    ],
)
def test_counts_in_need_agree_in_every_release_since_2020(
    dfe: Path, one: str, two: str, compared: int
):
    found = dk.read_dfe(dfe / one).compare(dk.read_dfe(dfe / two), metrics=["cin_count"])
    row = row_of(found, "cin_count")
    assert (row["compared"], row["equal"], row["revised"]) == (compared, compared, 0)
    assert f"no common cell differs ({compared:,} compared)" in repr(found)


@pytest.mark.parametrize(
    ("file", "unit", "period", "before", "after"),
    [
        ("SFR41-2015_Underlying_data.csv", "926", "2015", 8213, 8192),
        ("SFR61-2017_UD.CSV", "938", "2017", 4802, 4548),
    ],
)
def test_earlier_counts_in_need_were_revised_by_2020(
    dfe: Path, file: str, unit: str, period: str, before: int, after: int
):
    old, new = dk.read_dfe(dfe / "sfr_cin" / file), dk.read_dfe(dfe / "cin_2020")
    revised = old.compare(new, metrics=["cin_count"]).revised
    cell = revised[(revised["unit"] == unit) & (revised["period"] == period)]
    assert cell[["value", "other"]].to_numpy().tolist() == [[before, after]]


@pytest.mark.parametrize(("other", "differ"), [("lait", 86), ("cla_2021", 85)])
def test_counts_looked_after_of_2019_differ_between_releases(dfe: Path, other: str, differ: int):
    old, new = dk.read_dfe(dfe / "sfr_cla" / "CLA2019.csv"), dk.read_dfe(dfe / other)
    found = old.select(periods=[2019]).compare(new.select(periods=[2019]), metrics=["cla_count"])
    row = row_of(found, "cla_count")
    assert (row["compared"], row["revised"]) == (152, differ)
    assert f"{differ} of 152 common cells differ" in repr(found)
