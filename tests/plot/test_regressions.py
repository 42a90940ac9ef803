"""What selection alone would show: every dot at its number, the estimate, the words."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from plot.places import foot, make_panel, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.check import RegressionToTheMean, Variation
from didkit.errors import DidkitError
from didkit.plot.style import PILOT
from didkit.results import Finding
from didkit.results.tables import signed

VARIATION = Variation(10.0, 6.0, 0.3)


def found(selection: str = "bid", **options: object) -> Finding:
    design = dk.Design(
        make_panel(),
        dk.Rollout({"301": 2014, "304": 2014, "307": 2014}),
        against=dk.Pool(),
        selection=selection,  # type: ignore[arg-type]
    )
    check = RegressionToTheMean(**{"draws": 100, "variation": VARIATION, **options})  # type: ignore[arg-type]
    return dk.DiD().fit(design, "m").infer(None).check(check)


def dots(ax: Axes, marker: str) -> list[tuple[float, float]]:
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in ax.get_lines()
        if line.get_marker() == marker and np.isfinite(line.get_xdata()[0])
    ]


def test_every_comparison_is_a_dot_at_its_exact_number_where_there_is_one() -> None:
    finding = found()
    ax = plot.regression_to_the_mean(finding)
    data, table = ax.data, finding.table
    assert sorted(dots(ax, "o")) == sorted(zip(data["bias"], data["y"], strict=True))
    main = table[table["strength"] != "rank"].reset_index(drop=True)
    assert data["bias"].tolist() == main["closed_form"].fillna(main["bias"]).tolist()
    assert data["estimator"].tolist() == main["estimator"].tolist()
    assert ((data["mc_error"] > 0) == main["closed_form"].isna()).all()


def test_diamonds_are_the_most_extreme_of_the_same_row() -> None:
    finding = found("average")
    ax = plot.regression_to_the_mean(finding)
    table = finding.table[finding.table["strength"] == "rank"]
    wanted = table["closed_form"].fillna(table["bias"]).tolist()
    assert [x for x, _ in dots(ax, "D")] == wanted == ax.data["rank"].tolist()
    assert "Diamonds" in foot(ax)


def test_where_only_the_worst_case_is_known_it_is_the_dot() -> None:
    finding = found("average", worst="highest")  # the pilots were low
    ax = plot.regression_to_the_mean(finding)
    assert dots(ax, "D") == []
    assert (
        ax.data["bias"].tolist()
        == finding.table["closed_form"].fillna(finding.table["bias"]).tolist()
    )
    assert "Diamonds" not in foot(ax)


def test_bars_are_the_monte_carlo_error() -> None:
    ax = plot.regression_to_the_mean(found("average"))
    bars = {
        round(float(line.get_ydata()[0]), 6): np.diff(line.get_xdata()).item()
        for line in ax.get_lines()
        if line.get_linewidth() == 2.2
    }
    for y, error in zip(ax.data["y"], ax.data["mc_error"], strict=True):
        assert bars[round(y, 6)] == pytest.approx(2 * 1.96 * error)


def test_rows_are_named_from_the_top_and_no_two_overlap() -> None:
    ax = plot.regression_to_the_mean(found())
    assert ax.data["y"].is_monotonic_decreasing
    assert (np.diff(ax.data["y"]) <= -1 + 1e-9).all()
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[:2] == ["before-after, last", "before-after, mean"]
    assert ax.get_yticks().tolist() == ax.data["y"].tolist()


def test_each_selection_has_a_head_above_its_rows() -> None:
    ax = plot.regression_to_the_mean(found())
    heads = {t.get_text(): t.xy[1] for t in ax.texts if t.get_text().startswith("If ")}
    assert list(heads) == [
        "If pilots were chosen at random",
        "If chosen by the last year before",
        "If chosen by the mean of the years before",
        "If they differ for good, by the gap before",
    ]
    tops = ax.data.groupby("selection", sort=False)["y"].max()
    assert (np.array(list(heads.values())) > tops.to_numpy()).all()
    assert (np.array(list(heads.values())) < tops.to_numpy() + 1).all()


def test_the_estimate_is_a_line_with_its_number() -> None:
    finding = found()
    ax = plot.regression_to_the_mean(finding)
    line = next(one for one in ax.get_lines() if one.get_color() == PILOT)
    assert line.get_xdata()[0] == finding.facts["actual"]
    assert any(text.startswith("estimate −") for text in texts(ax))
    low, high = ax.get_xlim()
    assert low < min(ax.data["bias"].min(), finding.facts["actual"]) < high


def test_the_title_says_what_did_would_show_and_what_it_shows() -> None:
    finding = found(variation=Variation(60.0, 30.0, 0.3))  # the pilots are not the most extreme
    assert finding.facts["seen_highest"] < finding.facts["bias_highest"]
    words = title(plot.regression_to_the_mean(finding))
    span = " to ".join(signed(finding.facts[f"seen_{end}"]) for end in ("lowest", "highest"))
    assert words.startswith(
        f"Without any effect, pilots as far out as they were would give DiD {span}"
    )
    assert f"DiD from {span} " in finding.headline
    dots = plot.regression_to_the_mean(finding).data.query("estimator == 'did'")["bias"]
    assert [signed(dots.min()), signed(dots.max())] == span.split(" to ")
    one = title(plot.regression_to_the_mean(found("average")))
    assert one.startswith("Without any effect, pilots chosen by the years before would give DiD +")


def test_the_row_that_stands_for_a_matched_estimate_is_bold_and_in_the_title() -> None:
    panel = make_panel()
    on = dk.Covariates.from_panel(panel, means={"m": (2011, 2013)})
    design = dk.Design(
        panel,
        dk.Rollout({"301": 2014, "304": 2014, "307": 2014}),
        against=dk.Matching(on, ratio=2),
        selection="average",
    )
    check = RegressionToTheMean(draws=100, variation=VARIATION, ratio=2)
    finding = dk.DiD().fit(design, "m").infer(None).check(check)
    ax = plot.regression_to_the_mean(finding)
    bold = [t.get_text() for t in ax.get_yticklabels() if t.get_fontweight() == "bold"]
    assert bold == ["matched on mean"]
    one = ax.data.set_index("estimator").loc["matched_mean", "bias"]
    assert f"would give DiD matched on the mean before {signed(one)} in" in title(ax)
    assert f"would give DiD matched on the mean before {signed(one)} " in finding.headline


def test_it_is_the_finding_s_own_picture_and_stands_on_a_phone() -> None:
    finding = found("latest_value")
    ax = finding.plot(phone())
    ax.figure.canvas.draw()
    box = ax.figure.bbox
    for text in ax.texts:
        extent = text.get_window_extent()
        assert extent.x0 >= box.x0 - 1
        assert extent.x1 <= box.x1 + 1


def test_another_check_is_refused() -> None:
    other = found().estimate.check(dk.LeaveOneOut())
    with pytest.raises(DidkitError, match="a finding of RegressionToTheMean"):
        plot.regression_to_the_mean(other)
