"""An evaluation holds what its parts say, and refuses by name what cannot be made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import design_of

import didkit as dk
from didkit.errors import DidkitError
from didkit.report import Evaluation, evaluate
from didkit.report.numerals import signed
from didkit.report.text import complete_table

COLUMNS = """
    metric label unit pilots_before comparators_before gap_before pilots_after
    comparators_after gap_after share_before change conf_low conf_high p_value method
    detectable detectable_percent n_pilots n_comparators first last periods
    cells_without_value truth
"""


def test_the_frame_says_what_the_estimates_say(evaluation: Evaluation, design: dk.Design) -> None:
    frame = evaluation.to_frame()
    assert frame.columns.tolist() == COLUMNS.split()
    row = frame.iloc[0]
    did = dk.DiD().fit(design, "cla").infer()
    gap = dk.Gap().fit(design, "cla")
    assert row["change"] == pytest.approx(did.values[0])
    assert row["gap_before"] == pytest.approx(gap.values[0])
    assert row["gap_after"] - row["gap_before"] == pytest.approx(row["change"])  # balanced
    assert row["pilots_before"] - row["comparators_before"] == pytest.approx(row["gap_before"])
    assert row["pilots_after"] - row["comparators_after"] == pytest.approx(row["gap_after"])
    assert row["share_before"] == pytest.approx(row["gap_before"] / row["gap_after"])
    assert row["pilots_before"] == pytest.approx(
        design.panel.wide("cla").loc[list(design.pilots), ["2011", "2012", "2013"]].mean(axis=None)
    )
    tidy = did.tidy().iloc[0]
    for name in ("conf_low", "conf_high", "p_value"):
        assert row[name] == pytest.approx(tidy[name])
    assert row["detectable"] == did.check(dk.DetectableEffect()).facts["detectable"]
    assert (row["n_pilots"], row["n_comparators"], row["periods"]) == (4, 12, 6)
    assert row["truth"] == 0
    assert set(evaluation["cla"].findings) == {
        "PreTrends",
        "PlaceboStart",
        "PlaceboPilots",
        "RegressionToTheMean",
        "LeaveOneOut",
        "DetectableEffect",
    }
    assert not evaluation["cla"].refused


def test_contamination_is_asked_where_the_rollout_marks_somebody(design: dk.Design) -> None:
    marked = dk.Design(
        design.panel,
        dk.Rollout(design.starts, contaminated={design.comparators[0]: 2015}),
        against=dk.Pool(),
        selection="bid",
    )
    made = evaluate(marked, ["cla"], inference=dk.ClusterRobust("CR2"))
    assert list(made["cla"].findings)[-2:] == ["Contamination", "DetectableEffect"]
    assert made["cla"].findings["Contamination"].facts["n_contaminated_comparators"] == 1
    assert not made["cla"].refused


def test_without_a_truth_there_is_no_such_column(design: dk.Design) -> None:
    made = evaluate(design, "cla", inference=dk.ClusterRobust("CR2"), level=0.9)
    assert "truth" not in made.to_frame().columns
    assert made["cla"].did.uncertainty is not None
    assert made["cla"].did.uncertainty.level == 0.9
    assert made.to_frame()["method"][0].startswith("CR2")


def test_what_cannot_be_made_is_refused_with_its_reason() -> None:
    y = np.random.default_rng(2).normal(50, 3, (8, 2))
    made = evaluate(design_of(y, {0: 1}), ["m"])
    refused = made["m"].refused
    assert {"PreTrends", "PlaceboStart", "LeaveOneOut"} <= set(refused)
    assert "two pilots" in refused["LeaveOneOut"]
    listed = made.checks()
    assert listed["found"].str.startswith("Refused: ").sum() == len(refused)
    assert "Refused" in made.to_markdown()
    assert made.in_words()
    assert "Refused" in made.to_html()


def test_errors_name_the_metric_or_what_is_wrong(design: dk.Design) -> None:
    with pytest.raises(DidkitError, match="cin"):
        evaluate(design, ["cin"])
    with pytest.raises(DidkitError, match="at least one metric"):
        evaluate(design, [])
    with pytest.raises(DidkitError, match="truth"):
        evaluate(design, ["cla"], truth={"cin": 0.0})
    with pytest.raises(DidkitError, match="2030"):
        evaluate(design, ["cla"], between=(2011, 2030))
    y = np.full((6, 4), np.nan)
    y[:, 2:] = np.arange(12.0).reshape(6, 2)
    with pytest.raises(DidkitError, match="'m'"):
        evaluate(design_of(y, {0: 2}), ["m"])


def test_risers_count_numbers_where_the_panel_has_them(
    evaluation: Evaluation, design: dk.Design
) -> None:
    table = evaluation.risers("cla", 2011, 2013)
    counts = design.panel.wide("cla_count")
    rose = (counts["2013"] > counts["2011"])[list(design.pilots)]
    assert table.loc[table["arm"] == "pilot", "rose"].tolist() == rose.tolist()
    assert evaluation.counted("cla") == "cla_count"
    assert len(table) == 16
    assert evaluation.risers("cla")["first"].tolist() == counts["2011"].tolist()
    with pytest.raises(DidkitError, match="one of: cla"):
        evaluation.risers("cin")


def test_tidy_holds_every_term_of_every_estimate(evaluation: Evaluation) -> None:
    table = evaluation.tidy()
    assert table.columns[:4].tolist() == ["metric", "estimator", "term", "estimate"]
    wanted = sum(len(made.tidy()) for made in evaluation["cla"].estimates.values())
    assert len(table) == wanted
    assert table["estimate"].notna().all()


def test_notes_and_provenance_travel(evaluation: Evaluation, design: dk.Design) -> None:
    assert any("inference by rule" in note for note in evaluation.notes)
    assert set(evaluation["cla"].did.all_notes) <= set(evaluation.notes)
    facts = evaluation.provenance
    assert facts["design"] == repr(design)
    assert {"numpy", "pandas", "python"} <= set(facts["versions"])
    assert facts["sources"]["metric"].tolist() == ["cla"]


def test_overview_puts_metrics_on_one_scale(evaluation: Evaluation) -> None:
    ax = evaluation.plot()
    row, drawn = evaluation.to_frame().iloc[0], ax.data.iloc[0]
    assert drawn["percent_before"] == pytest.approx(
        100 * row["gap_before"] / row["comparators_before"]
    )
    assert "before the start" in " ".join(ax.get_title(loc="left").split())


def test_the_real_report_says_what_the_published_one_said(shared_data: Path) -> None:
    """Fewer of all throughout, no change; six of nine with more children looked after."""
    cin = dk.read_dfe(shared_data / "dfe" / "cin_2020")
    cla: dk.Panel | None = None
    for file, years in (
        ("sfr_cla/SFR36_CLA2013.csv", [2013]),
        ("sfr_cla/CLA2018.csv", [2014]),
        ("sfr_cla/CLA2019.csv", range(2015, 2020)),
        ("cla_2021", [2020]),
    ):
        part = dk.read_dfe(shared_data / "dfe" / file).select(metrics=["cla_count"], periods=years)
        cla = part if cla is None else cla.join(part, releases="mixed")
    assert cla is not None
    listed = dk.read_neighbours(
        shared_data / "neighbours" / "statistical_neighbours_april2021_long.csv"
    )
    pilots = (303, 304, 801, 855, 925, 926, 935, 384, 938, 872)
    design = dk.Design(
        (cin | cla).compute_rate("cla"),
        dk.Rollout(dict.fromkeys(pilots, 2018)),
        against=listed.union(),
        selection="bid",
        periods=(2013, 2020),
        exclude=["201", "420", "835", "836", "837", "838", "839"],
    ).without_pilot(384)
    made = evaluate(design, inference=dk.ClusterRobust("CR2"), between=(2014, 2019))
    for name in ("cin", "icpc", "cpp"):
        words = made.in_words(name)
        assert "They had fewer throughout: in all eight periods." in words
        assert "no evidence of a change beyond" in words
    assert "no evidence of a change beyond" in made.in_words("cla")
    assert (
        "Six of nine pilots had more children looked after in 2019 than in 2014"
        in made.in_words("cla")
    )
    assert "Contains public sector information" in made.to_markdown()
    frame = made.to_frame().set_index("metric")
    assert frame.loc["cla", "change"] == pytest.approx(-2.758395183, abs=1e-6)
    assert isinstance(frame, pd.DataFrame)


def test_the_default_metrics_are_the_usual_ones_that_the_panel_holds(design: dk.Design) -> None:
    made = evaluate(design, inference=dk.ClusterRobust("CR2"), description="Made <up>.")
    assert made.metrics == ("cla",)
    assert "Made &lt;up&gt;." in made.to_html()
    assert "Made &lt;up&gt;." in made.to_markdown()
    with pytest.raises(DidkitError, match="choose from: m"):
        evaluate(design_of(np.random.default_rng(1).normal(50, 3, (8, 4)), {0: 2}))


def test_the_change_on_complete_cells_is_always_beside(evaluation: Evaluation) -> None:
    table = complete_table(evaluation)
    made = evaluation["cla"].did_complete
    assert made is not None
    assert table["Change"].tolist() == [signed(float(made.values[0]))]
    assert table["Pilots"].tolist() == ["4"]
