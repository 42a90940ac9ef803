"""The forest of methods: one row a method, and a refused one has no dot."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from plot.places import foot, make_design, many, neighbours, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import EstimationError
from didkit.plot.style import GREY, INK, PILOT


@pytest.fixture(scope="module")
def estimate() -> dk.Estimate:
    return dk.DiD().fit(make_design(), "m").infer(None)


def table() -> pd.DataFrame:
    """Four methods: the third refused though it has an estimate, the fourth without limits.

    The fourth takes pilots to be as noisy as comparators.
    """
    return pd.DataFrame(
        {
            "method": ["permutation of t, 9,999 draws, seed 0", "CR2, degrees", "CR3", "beta"],
            "estimate": [-4.0] * 4,
            "std_error": [np.nan, 1.0, np.nan, np.nan],
            "statistic": [-2.0] * 4,
            "p_value": [0.041, 0.012, np.nan, 0.2],
            "conf_low": [-7.5, -6.0, np.nan, -np.inf],
            "conf_high": [-0.5, -2.0, np.nan, np.inf],
            "recommended": [True, False, False, False],
            "refused": ["", "", "needed two clusters; found one", ""],
            "equal_noise": [False, False, True, True],
        }
    )


def dots(ax: Axes) -> dict[float, tuple[float, str]]:
    """Height of each dot → its place and colour."""
    return {
        float(line.get_ydata()[0]): (float(line.get_xdata()[0]), line.get_color())
        for line in ax.get_lines()
        if line.get_marker() == "o"
    }


def test_rows_stand_in_the_order_of_the_table_from_the_top(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    assert ax.data["method"].tolist() == table()["method"].tolist()
    np.testing.assert_array_equal(ax.data["y"], [2.0, 1.0, np.nan, 0.0])
    labels = {
        float(y): label.get_text()
        for y, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    }
    assert labels == {2.0: "permutation of t\n(recommended)", 1.0: "CR2", 0.0: "beta"}


def test_each_row_has_its_estimate_interval_and_p(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    lines = {
        float(line.get_ydata()[0]): sorted(float(x) for x in line.get_xdata())
        for line in ax.get_lines()
        if line.get_linewidth() == 2.4 and line.get_marker() == "None"
    }
    assert lines[2.0] == [-7.5, -0.5]
    assert lines[1.0] == [-6.0, -2.0]
    said = {text.xy[1]: text.get_text() for text in ax.texts if text.get_text().startswith(".")}
    assert said == {2.0: ".041", 1.0: ".012", 0.0: ".20"}
    assert dots(ax) == {2.0: (-4.0, PILOT), 1.0: (-4.0, INK), 0.0: (-4.0, INK)}


def test_a_refused_method_has_no_row_and_the_foot_says_why(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    assert ax.data["drawn"].tolist() == [True, True, False, True]
    assert len(dots(ax)) == len(ax.get_yticks()) == 3
    assert foot(ax).endswith("CR3 refused: needed two clusters; found one")
    assert ax.xaxis.label.get_color() == GREY
    assert title(ax).endswith("; 1 refused")


def test_methods_with_one_reason_stand_together_and_withheld_is_not_refused(
    estimate: dk.Estimate,
) -> None:
    why = ["", "needed six; found two", "needed six; found two", "withheld: it misleads"]
    ax = plot.forest(estimate, table().assign(refused=why))
    lines = ax.get_xlabel().split("\n")
    assert lines[-2:] == [
        "CR2 and CR3 refused: needed six; found two",
        "Beta withheld: it misleads",
    ]
    assert title(ax).endswith("; 2 refused; 1 withheld")
    alike = table().assign(
        method=["CR2, t", "CR2, Welch", "CR3", "CR2, other"], refused=["", "no", "no", "none"]
    )
    said = foot(plot.forest(estimate, alike))
    assert "CR2 (Welch) and CR3 refused: no" in said
    assert "CR2 (other) refused: none" in said


def test_a_reason_has_two_lines_at_most(estimate: dk.Estimate) -> None:
    long = "needed " + "many words " * 60
    for ax in (None, phone(height=8)):
        short = plot.forest(estimate, table(), ax).get_xlabel().count("\n")
        again = None if ax is None else phone(height=8)
        made = plot.forest(estimate, table().assign(refused=["", "", long, ""]), again)
        assert made.get_xlabel().count("\n") <= short + 1
        assert made.get_xlabel().endswith("…")


def test_a_hollow_dot_takes_pilots_to_be_as_noisy(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    inside = {
        float(line.get_ydata()[0]): line.get_markerfacecolor()
        for line in ax.get_lines()
        if line.get_marker() == "o"
    }
    assert inside == {2.0: PILOT, 1.0: INK, 0.0: "white"}
    said = "Hollow dot: takes pilots to be as noisy as comparators."
    assert said in foot(ax)
    assert said not in foot(plot.forest(estimate, table().drop(columns="equal_noise")))


@pytest.mark.parametrize("width", [6.4, 3.6])
def test_all_methods_are_readable_and_no_label_has_three_lines(width: float) -> None:
    did = dk.DiD(cells="complete").fit(many(-5.0), "m").infer(None)
    ax = plot.forest(did, ax=phone(height=9, width=width))
    ax.figure.draw_without_rendering()
    assert ax.data["drawn"].sum() > 8
    assert set(ax.data.loc[ax.data["equal_noise"], "method"].str.partition(",")[0]) >= {
        "permutation of the estimate", "Conley–Taber", "Lau–Li", "pooled t (Donald–Lang)",
    }  # fmt: skip
    labels = [tick for tick in ax.get_yticklabels() if tick.get_text()]
    assert max(tick.get_text().count("\n") for tick in labels) == 1
    ends = sorted(tick.get_window_extent().intervaly.tolist() for tick in labels)
    assert all(low[1] <= high[0] + 1 for low, high in pairwise(ends))
    for text in ax.texts:
        assert text.get_window_extent().x1 <= ax.figure.bbox.x1 + 1


def test_an_interval_without_limits_ends_in_arrows_at_the_edges(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    arrows = {
        line.get_marker(): (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in ax.get_lines()
        if line.get_marker() in ("<", ">")
    }
    low, high = ax.get_xlim()
    assert arrows == {"<": (low, 0.0), ">": (high, 0.0)}
    assert "Arrows: the interval has no limit." in foot(ax)
    assert low < -7.5
    assert high > 0


def test_the_recommended_one_is_bold_and_in_the_title(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    weights = [label.get_fontweight() for label in ax.get_yticklabels()]
    assert weights == ["bold", "normal", "normal"]
    assert title(ax).startswith("p for m runs from .012 to .20 over 3 methods")
    assert "the recommended one says −4.00 (−7.50 to −0.500)" in title(ax)
    swapped = table().assign(recommended=[False, True, False, False])
    assert "(−6.00 to −2.00)" in title(plot.forest(estimate, swapped))


def test_its_own_table_is_that_of_the_estimate() -> None:
    did = dk.DiD().fit(make_design(), "m")
    data = plot.forest(did).data
    own = did.inference_table()
    pd.testing.assert_frame_equal(data[own.columns.tolist()], own)
    assert data["recommended"].sum() == 1
    against = neighbours().per_pilot(aggregate="mean")
    matched = dk.DiD(cells="complete").fit(make_design(against=against), "m")
    ax = plot.forest(matched)
    refused = ax.data[ax.data["refused"] != ""]
    assert len(refused) > 1
    assert "Sign flips and Ibragimov–Müller refused: needed sets" in foot(ax)
    assert set(dots(ax)) == set(ax.data.loc[ax.data["refused"] == "", "y"])
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert "permutation of the\nestimate" in labels  # within matched sets: in the recipe
    assert any(text.startswith("within matched sets, ") for text in texts(ax))


def test_a_table_without_its_columns_is_refused(estimate: dk.Estimate) -> None:
    with pytest.raises(EstimationError, match="without refused"):
        plot.forest(estimate, table().drop(columns="refused"))
    with pytest.raises(EstimationError, match="no row"):
        plot.forest(estimate, table().iloc[:0])


def test_when_all_refuse_nothing_is_claimed(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table().assign(refused="no"))
    assert not dots(ax)
    assert title(ax) == "None of 4 methods gives a p for m"


def test_the_method_in_use_stands_out_where_another_is_recommended(estimate: dk.Estimate) -> None:
    chosen = estimate.infer(dk.ClusterRobust("CR0"), level=0.5)
    ax = plot.forest(chosen)
    data = ax.data
    assert data["method"].iloc[0].startswith("CR0")
    assert data["main"].tolist() == [True] + [False] * (len(data) - 1)
    assert data["recommended"].sum() == 1
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels[0] == "CR0\n(used)"
    assert sum("(recommended)" in label for label in labels) == 1
    own = chosen.tidy().iloc[0]
    assert (data["conf_low"].iloc[0], data["conf_high"].iloc[0]) == (
        own["conf_low"],
        own["conf_high"],
    )
    assert "the one used says" in title(ax)
    assert "50% interval" in ax.get_xlabel()
