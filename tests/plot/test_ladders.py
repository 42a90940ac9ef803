"""The ladder: what is drawn is what was found, from the top."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from plot.places import foot, phone, texts, title

import didkit as dk
from didkit.errors import DidkitError
from didkit.plot.ladders import bounds
from didkit.plot.words import signed
from didkit.results import Finding

PANEL, DESIGN = dk.datasets.load_evaluation()


def finding(sure: dk.ClusterRobust | None = None, **options) -> Finding:
    return dk.DiD().fit(DESIGN, "cpp").infer(sure).check(dk.Bounds(**options))


def bars(ax: Axes, width: float) -> dict[float, tuple[float, float]]:
    """Height and ends of the lines of one width."""
    return {
        float(line.get_ydata()[0]): tuple(float(x) for x in line.get_xdata())
        for line in ax.lines
        if line.get_linewidth() == width and line.get_linestyle() != "None"
    }


def test_rungs_from_the_top_with_their_bounds_and_intervals() -> None:
    found = finding(dk.ClusterRobust("CR2"), missing="change")
    ax = bounds(found)
    data = ax.data
    assert data["rung"].tolist() == found.table["rung"].tolist()
    assert data["y"].tolist() == [3.0, 2.0, 1.0, 0.0]
    above = data[data["kind"] == "sharp"]
    thick = dict(zip(above["y"], zip(above["low"], above["high"], strict=True), strict=True))
    assert bars(ax, 9) == thick
    thin = dict(zip(data["y"], zip(data["conf_low"], data["conf_high"], strict=True), strict=True))
    assert bars(ax, 1.3) == thin
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [float(dots[0].get_xdata()[0]), float(dots[0].get_ydata()[0])] == [
        found.facts["estimate"], 3.0,
    ]  # fmt: skip
    names = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
    assert names == [
        "as published", "2 hidden cells in their bounds", "588 rounded cells too",
        "2 missing cells too",
    ]  # fmt: skip
    assert "Thin: 95% intervals." in foot(ax)


def test_the_title_and_the_right_hand_side_have_the_numbers() -> None:
    found = finding()
    ax = found.plot()
    low, high = signed(found.facts["lowest"]), signed(found.facts["highest"])
    assert title(ax).endswith(f"child protection plans between {low} and {high}")
    assert f"{low} to {high}" in texts(ax)
    assert signed(found.facts["estimate"]) in texts(ax)
    assert "Thin" not in foot(ax)


def test_units_that_come_back_are_counted() -> None:
    made = dk.DiD("complete").fit(DESIGN, "cpp").infer(None).check(dk.Bounds())
    assert "As published: 9 pilots and 61 comparators; lowest rung: 9 and 63." in foot(made.plot())


def test_nothing_to_bound() -> None:
    made = dk.DiD().fit(DESIGN, "cpp").infer(None)
    whole = PANEL.refilled(PANEL.metric("cpp"), np.nan_to_num(PANEL.cells("cpp").value, nan=40.0))
    found = made.refit(DESIGN.on_panel(whole)).infer(None).check(dk.Bounds())
    assert title(found.plot()).startswith("No hidden or rounded cell is known behind")


def test_on_a_phone() -> None:
    ax = finding().plot(phone())
    assert sum("\nto " in text for text in texts(ax)) == 2


def test_of_another_check_it_is_refused() -> None:
    other = dk.DiD().fit(DESIGN, "cpp").infer(None).check(dk.PlaceboStart())
    with pytest.raises(DidkitError, match="a Finding of Bounds"):
        bounds(other)
