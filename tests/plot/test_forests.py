"""The forest of methods: one row a method, and a refused one has no dot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from plot.places import foot, make_design, neighbours, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import EstimationError
from didkit.plot.style import GREY, INK, PILOT


@pytest.fixture(scope="module")
def estimate() -> dk.Estimate:
    return dk.DiD().fit(make_design(), "m").infer(None)


def table() -> pd.DataFrame:
    """Four methods: the third refused though it has an estimate, the fourth without limits."""
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
    assert ax.data["y"].tolist() == [3.0, 2.0, 1.0, 0.0]
    labels = {
        float(y): label.get_text()
        for y, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    }
    assert labels == {3.0: "permutation of t\n(recommended)", 2.0: "CR2", 1.0: "CR3", 0.0: "beta"}


def test_each_row_has_its_estimate_interval_and_p(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    lines = {
        float(line.get_ydata()[0]): sorted(float(x) for x in line.get_xdata())
        for line in ax.get_lines()
        if line.get_linewidth() == 2.4 and line.get_marker() == "None"
    }
    assert lines[3.0] == [-7.5, -0.5]
    assert lines[2.0] == [-6.0, -2.0]
    said = {text.xy[1]: text.get_text() for text in ax.texts if text.get_text().startswith(".")}
    assert said == {3.0: ".041", 2.0: ".012", 0.0: ".20"}
    assert dots(ax) == {3.0: (-4.0, PILOT), 2.0: (-4.0, INK), 0.0: (-4.0, INK)}


def test_a_refused_method_has_no_dot_and_says_why_in_grey(estimate: dk.Estimate) -> None:
    ax = plot.forest(estimate, table())
    assert ax.data["drawn"].tolist() == [True, True, False, True]
    assert 1.0 not in dots(ax)
    (why,) = [text for text in ax.texts if text.get_text().startswith("refused")]
    assert why.get_text() == "refused: needed two clusters; found one"
    assert (why.xy[1], why.get_color()) == (1.0, GREY)
    assert ax.get_yticklabels()[2].get_color() == GREY
    assert title(ax).endswith("; 1 refused")
    assert "Grey: the method was refused" in foot(ax)


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
    assert weights == ["bold", "normal", "normal", "normal"]
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
    assert sum(text.startswith("refused") for text in texts(ax)) == len(refused)
    assert set(dots(ax)) == set(ax.data.loc[ax.data["refused"] == "", "y"])


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
