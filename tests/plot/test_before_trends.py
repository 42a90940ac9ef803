"""Pictures of trends before the start: the curve, the margin, the line."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, noise, spread
from plot.places import foot, phone, texts, title

import didkit as dk

STARTS = spread(40, 7, 6)


def events(slope: float = 1.5) -> dk.Estimate:
    y = noise(40, 9, 4)
    y[sorted(STARTS)] += slope * np.arange(9)
    return dk.EventStudy().fit(design_of(y, STARTS), "m").infer(dk.ClusterRobust("CR2"))


def test_the_curve_is_marked_where_the_powers_are():
    found = events().check(dk.PreTrendPower((0.5, 0.9)))
    ax = found.plot()
    marks = [line.get_xydata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
    assert (found.facts["slope_50"], 0.5) in [tuple(mark) for mark in marks]
    assert (found.facts["slope_90"], 0.9) in [tuple(mark) for mark in marks]
    assert (0.0, found.facts["size"]) in [tuple(mark) for mark in marks]
    assert "would be missed in 50 % of cases" in title(ax)
    assert any("90 %" in text and "moves the estimate" in text for text in texts(ax))
    assert "Hollow" in foot(ax)
    assert ax.data["slope"].is_monotonic_increasing


def test_without_a_power_and_with_a_path_the_axis_says_so():
    times = [int(t) for t in events().terms["position"]]
    path = {t: float(t + 1) ** 2 for t in times}
    ax = events().check(dk.PreTrendPower(path=path)).plot()
    assert ax.get_xlabel().startswith("Multiple of the path")
    assert "times the path" in title(ax)
    only = events().check(dk.PreTrendPower((), slopes=(1.0,))).plot()
    assert title(only).startswith("How often the test would find a trend")


@pytest.mark.parametrize("measure", ["max", "mean", "rms"])
def test_the_margin_and_the_smallest_margin_stand_at_both_sides(measure):
    found = events().check(dk.PreTrendEquivalence(12.0, measure=measure))
    ax = found.plot()
    (band,) = ax.patches
    assert (band.get_x(), band.get_width()) == (-12.0, 24.0)
    smallest = found.facts["smallest_margin"]
    dashed = [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == "--"]
    assert sorted(dashed) == [-smallest, smallest]
    low, high = ax.get_xlim()
    assert low < -smallest < smallest < high
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names[0].startswith("event time -6")
    assert dict(zip(names, ax.get_yticks(), strict=True))["mean of 5"] == 1
    assert "the margin is 12" in title(ax)


def test_no_margin_at_all_is_said():
    y = noise(12, 6, 4)
    few = dk.EventStudy().fit(design_of(y, spread(12, 2, 4)), "m")
    few = few.infer(dk.Permutation(draws=19))
    found = few.check(dk.PreTrendEquivalence(50.0, level=0.99))
    assert found.facts["smallest_margin"] == np.inf
    assert "no margin can be said" in found.headline
    assert "cannot be said to be below anything" in title(found.plot())


def test_the_line_is_carried_forward_and_the_reference_is_hollow():
    found = events(4.0).check(dk.TrendAdjusted())
    ax = found.plot()
    data = ax.data
    steps = np.diff(data["line"])
    np.testing.assert_allclose(steps, found.facts["slope"])
    np.testing.assert_allclose(data["estimate"] - data["line"], data["adjusted"])
    table = found.table[found.table["quantity"] == "adjusted"].set_index("position")
    both = data.set_index("position").loc[table.index.dropna()]
    np.testing.assert_allclose(both["adjusted"], table.loc[table.index.dropna(), "estimate"])
    reference = data[data["reference"]]
    assert reference[["position", "estimate"]].to_numpy().tolist() == [[-1.0, 0.0]]
    assert data["conf_low"].notna().tolist() == (data["position"] >= 0).tolist()
    hollow = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]
    assert [line.get_xydata()[0].tolist() for line in hollow] == [[-1.0, 0.0]]
    assert {"estimated", "line", "adjusted"} <= set(texts(ax))
    assert title(ax).startswith("Less a straight line")
    bent = events(4.0).check(dk.TrendAdjusted(degree=2)).plot()
    assert "a parabola" in title(bent)
    curve = np.diff(bent.data["line"], 3)
    np.testing.assert_allclose(curve, 0.0, atol=1e-9)


@pytest.mark.parametrize(
    "check", [dk.PreTrendPower(), dk.PreTrendEquivalence(12.0), dk.TrendAdjusted()]
)
def test_on_a_phone_nothing_is_lost(check):
    ax = events().check(check).plot(phone())
    ax.figure.canvas.draw()
    box = ax.title.get_window_extent() if ax.get_title() else ax._left_title.get_window_extent()
    assert box.x1 <= ax.figure.bbox.width + 1
