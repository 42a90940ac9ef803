"""Scores of individuals become site means, numbers and spreads: by hand, and every row counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import didkit as dk
from didkit.errors import PanelError
from didkit.panel import Panel, Status, site_means


def people(seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "site": rng.choice(["North", "South", "West"], size=300, p=[0.5, 0.4, 0.1]),
            "year": rng.choice([2018, 2019], size=300),
            "wai": rng.normal(50, 8, size=300).round(1),
            "trust": rng.integers(1, 6, size=300).astype(float),
        }
    )
    frame.loc[rng.random(300) < 0.1, "wai"] = np.nan
    return frame


def made(frame: pd.DataFrame, **options) -> Panel:
    options.setdefault("scores", ["wai", "trust"])
    return site_means(frame, unit="site", period="year", **options)


def test_means_numbers_and_spreads_are_those_by_hand():
    frame, panel = people(), made(people())
    assert list(panel.metrics) == ["wai", "wai_n", "wai_sd", "trust", "trust_n", "trust_sd"]
    for site in ("North", "South", "West"):
        for year in (2018, 2019):
            own = frame[(frame["site"] == site) & (frame["year"] == year)]["wai"].dropna()
            cell = [panel.wide(m).loc[site, str(year)] for m in ("wai", "wai_n", "wai_sd")]
            own = own.to_list()
            mean = sum(own) / len(own)
            sd = (sum((x - mean) ** 2 for x in own) / (len(own) - 1)) ** 0.5
            assert cell == pytest.approx([mean, len(own), sd], rel=1e-12)


def test_the_log_counts_every_row_once_for_each_score():
    frame, panel = people(), made(people(), minimum=15)
    log = panel.log.set_index("what")["rows"]
    for score in ("wai", "trust"):
        mine = log[log.index.str.startswith(f"{score}:")]
        assert mine.sum() == len(frame)
    assert log["wai: no score"] == frame["wai"].isna().sum() > 0
    few = panel.wide("wai_n")
    assert log["wai: used, in a cell of low reliability"] == few.where(few < 15).sum().sum() > 0


def test_few_answers_are_marked_and_keep_their_value():
    panel = made(people(), minimum=15)
    count = panel.wide("wai_n")
    status = panel.wide("wai", what="status")
    assert (count.loc["West"] < 15).all()
    assert set(status.loc["West"]) == {Status.LOW_RELIABILITY.label}
    assert set(status.loc["North"]) == {Status.OBSERVED.label}
    assert panel.wide("wai").notna().all().all()
    exactly = int(count.loc["West", "2018"])
    edge = made(people(), minimum=exactly).wide("wai", what="status")
    assert edge.loc["West", "2018"] == Status.OBSERVED.label


def test_no_score_one_score_and_no_row_are_three_things():
    frame = pd.DataFrame(
        {
            "site": ["A", "A", "B", "A", "C", "C"],
            "year": [2018, 2018, 2018, 2019, 2019, 2019],
            "wai": [50.0, np.nan, np.nan, 40.0, 30.0, 34.0],
        }
    )
    panel = made(frame, scores=["wai"], minimum=1)
    status = {m: panel.wide(m, what="status") for m in panel.metrics}
    assert status["wai"].loc["B", "2018"] == "not available"
    assert panel.wide("wai_n").loc["B", "2018"] == 0
    assert status["wai"].loc["B", "2019"] == "absent" == status["wai_n"].loc["B", "2019"]
    assert status["wai"].loc["A", "2018"] == "observed"
    assert status["wai_sd"].loc["A", "2018"] == "not available"
    assert panel.wide("wai_sd").loc["C", "2019"] == pytest.approx(8**0.5)


def test_the_order_of_the_rows_and_the_library_tell_nothing():
    frame = people()
    first = made(frame).tidy()
    pd.testing.assert_frame_equal(made(frame.sample(frac=1, random_state=1)).tidy(), first)
    pl = pytest.importorskip("polars")
    pd.testing.assert_frame_equal(made(pl.from_pandas(frame)).tidy(), first)


def test_a_metric_keeps_its_label_unit_and_direction():
    wai = dk.Metric(name="wai", label="Alliance", unit="points", direction="higher", decimals=1)
    panel = made(people(), scores={"wai": wai})
    mean, n, sd = (panel.metric(name) for name in ("wai", "wai_n", "wai_sd"))
    assert (mean.label, mean.unit, mean.direction) == ("Alliance", "points", "higher")
    assert mean.derivation == "mean of individuals' scores"
    assert n.kind == "count"
    assert (n.direction, sd.direction) == (None, None)
    assert (sd.unit, mean.decimals) == ("points", None)


def test_names_and_attributes_of_sites_go_along():
    frame = people().assign(called=lambda d: d["site"] + " End", kind="team")
    panel = made(frame, name="called", attributes=["kind"])
    assert panel.name_of("West") == "West End"
    assert panel.units["kind"].tolist() == ["team"] * 3
    frame.loc[frame.index[0], "called"] = "Another"
    with pytest.raises(PanelError, match="one 'called' for each site"):
        made(frame, name="called")


def test_it_feeds_a_design():
    design = dk.Design(
        made(people()), dk.Rollout({"North": 2019}), against=dk.Pool(), selection="bid"
    )
    wide = made(people()).wide("wai")
    change = wide["2019"] - wide["2018"]
    by_hand = change["North"] - change[["South", "West"]].mean()
    assert dk.DiD().fit(design, "wai").values[0] == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"wai": "often"}, {}, "text in"),
        ({"wai": np.inf}, {}, "infinite"),
        ({"year": None}, {}, "rows without one"),
        ({"site": None}, {}, "an id in every row"),
        ({}, {"scores": ["alliance"]}, "not once: 1 .alliance"),
        ({}, {"scores": []}, "columns of scores"),
        ({}, {"scores": {"wai": "wai"}}, "mapping of column to Metric"),
        ({"wai_n": 1.0}, {"scores": ["wai", "wai_n"]}, "wai_n"),
        ({}, {"minimum": 0}, "at least 1"),
        ({}, {"minimum": 2.5}, "at least 1"),
    ],
)
def test_what_cannot_be_a_mean_is_refused(change, options, words):
    frame = people()
    for column, value in change.items():
        frame[column] = frame[column].astype(object) if column in frame else value
        frame.loc[7, column] = value
    with pytest.raises(PanelError, match=words):
        made(frame, **options)


def test_text_is_counted_and_no_individual_is_shown():
    frame = people()
    frame["wai"] = frame["wai"].astype(object)
    frame.loc[[7, 8], "wai"] = ["refused 31", "31.5"]
    with pytest.raises(PanelError) as told:
        made(frame)
    said = str(told.value)
    assert "text in 2 of 300 rows, 1 of them a number written as text" in said
    assert "column 'wai'" in said
    assert "errors='coerce'" in said
    for secret in ("31", *frame["site"].unique()):
        assert secret not in said


def test_numbers_written_as_text_get_advice_that_works():
    frame = people()
    text = frame.assign(wai=[None if np.isnan(one) else str(one) for one in frame["wai"]])
    with pytest.raises(PanelError) as told:
        made(text)
    said = str(told.value)
    assert "read_dfe" not in said
    assert "status=" not in said
    assert "frame['wai'] = pandas.to_numeric(frame['wai'])" in said
    text["wai"] = pd.to_numeric(text["wai"])
    pd.testing.assert_frame_equal(made(text).tidy(), made(frame).tidy())


def test_infinite_scores_are_counted_and_not_located():
    frame = people()
    frame.loc[7, "wai"] = np.inf
    with pytest.raises(PanelError, match="infinite ones in 1 of 300 rows") as told:
        made(frame)
    assert not any(site in str(told.value) for site in frame["site"].unique())


def test_without_a_unit_scores_are_in_points():
    panel = made(people(), scores=["wai"])
    assert [panel.metric(m).unit for m in ("wai", "wai_n", "wai_sd")] == [
        "points",
        "answers",
        "points",
    ]
    own = made(people(), scores={"wai": dk.Metric(name="wai", unit="marks")})
    assert own.metric("wai").unit == "marks"
    design = dk.Design(
        made(people()), dk.Rollout({"North": 2019}), against=dk.Pool(), selection="bid"
    )
    assert dk.DiD().fit(design, "wai").summary().startswith("DiD · wai (points)")


def test_an_empty_frame_is_refused():
    with pytest.raises(PanelError, match="no row"):
        made(people().iloc[:0])
