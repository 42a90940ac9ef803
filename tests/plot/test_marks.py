"""Marks of the pictures stand where the numbers of their frames are: on the right side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from plot.places import PILOTS, foot, make_design, phone, texts, title, values

import didkit as dk
from didkit import plot
from didkit.plot.style import COMPARATOR, PILOT

CR2 = dk.ClusterRobust("CR2")


def dots(ax: Axes) -> list[tuple[float, float]]:
    """Places of the single round marks."""
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in ax.get_lines()
        if line.get_marker() == "o" and len(line.get_xdata()) == 1
    ]


def fitted(change: float = -5.0) -> dk.Estimate:
    return dk.DiD().fit(make_design(values(change)), "m").infer(CR2)


def test_trends_are_bold_means_in_the_colours_of_the_arms_with_the_dotted_line() -> None:
    ax = plot.trends(fitted())
    bold = {line.get_color(): line.get_ydata() for line in ax.get_lines()
            if line.get_linewidth() == 2.6}  # fmt: skip
    assert list(bold[PILOT]) == ax.data["pilots"].tolist()
    assert list(bold[COMPARATOR]) == ax.data["comparators"].tolist()
    (dotted,) = [line for line in ax.get_lines() if line.get_linewidth() == 1.8]
    assert list(dotted.get_ydata()) == pytest.approx(
        ax.data["counterfactual"].tolist(), nan_ok=True
    )
    assert {text.xy[1] for text in ax.texts if text.get_text().startswith(("Pil", "Comp"))} >= {
        float(dotted.get_ydata()[-1])
    }


@pytest.mark.parametrize("change", [-5.0, 9.0])
def test_leave_one_out_dots_stand_at_their_estimates(change: float) -> None:
    finding = fitted(change).check(dk.LeaveOneOut())
    ax = finding.plot()
    (line,) = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert line.get_xdata().tolist() == ax.data["estimate"].tolist()
    assert line.get_ydata().tolist() == list(range(len(ax.data)))
    marks = [float(one.get_xdata()[0]) for one in ax.get_lines() if one.get_color() == PILOT]
    assert finding.facts["full"] in marks
    assert np.sign(ax.data["estimate"]).eq(np.sign(change)).all()
    assert "sign" not in title(ax)


def test_leave_one_out_says_what_the_finding_says_of_the_sign() -> None:
    finding = fitted(0.0).check(dk.LeaveOneOut())
    low, high = finding.facts["lowest"], finding.facts["highest"]
    assert low < 0 < high
    words = "its sign hangs on one of them"
    assert words in finding.headline
    assert " ".join(title(finding.plot()).split()).endswith(words)


@pytest.mark.parametrize("place", [None, phone])
def test_placebo_starts_stand_at_their_estimates_with_their_intervals(place: object) -> None:
    design = make_design(starts=dict.fromkeys(PILOTS, 2016))
    finding = dk.DiD().fit(design, "m").infer(CR2).check(dk.PlaceboStart())
    ax = plot.placebo_start(finding, phone() if place else None)
    data = ax.data
    assert dots(ax) == list(enumerate(data["estimate"].tolist()))
    upright = [
        tuple(float(y) for y in line.get_ydata())
        for line in ax.get_lines()
        if len(line.get_xdata()) == 2 and line.get_linewidth() == 2
    ]
    assert upright == list(zip(data["conf_low"], data["conf_high"], strict=True))
    labels = [label.get_text().split("\n") for label in ax.get_xticklabels()]
    if place:
        assert {parts[0] for parts in labels} <= set(data["start"])
        assert "Grey: earlier starts, without a programme." in foot(ax)
    else:
        assert [parts[0] for parts in labels] == data["start"].tolist()
        assert [parts[1] for parts in labels] == ["earlier"] * 4 + ["actual"]


def test_placebo_pilots_are_counted_where_they_are() -> None:
    finding = fitted().check(dk.PlaceboPilots(draws=99))
    ax = finding.plot()
    held = np.zeros(len(ax.patches), dtype=int)
    values_of = ax.data["estimate"].to_numpy()
    for i, bar in enumerate(ax.patches):
        low, high = bar.get_x(), bar.get_x() + bar.get_width()
        last = i == len(ax.patches) - 1
        held[i] = ((values_of >= low) & ((values_of < high) | last)).sum()
    assert np.abs(held - [bar.get_height() for bar in ax.patches]).max() <= 1  # at an edge
    assert abs(int(held.sum()) - len(ax.data)) <= 1
    assert all(float(tick).is_integer() for tick in ax.get_yticks())


@pytest.mark.parametrize("change", [-5.0, 9.0])
def test_the_detectable_effect_has_the_estimate_and_its_interval(change: float) -> None:
    ax = fitted(change).check(dk.DetectableEffect()).plot()
    row = ax.data.iloc[0]
    assert dots(ax) == [(row["estimate"], 0.0)]
    (line,) = [line for line in ax.get_lines() if line.get_linewidth() == 3]
    assert line.get_xdata().tolist() == [row["conf_low"], row["conf_high"]]
    assert np.sign(row["estimate"]) == np.sign(change)


class Told:
    """Two metrics, the second with pilots above their comparators before and after."""

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "metric": ["a", "b"],
                "label": ["First", "Second"],
                "gap_before": [-2.0, 4.0],
                "gap_after": [-6.0, 1.0],
                "comparators_before": [20.0, 40.0],
                "comparators_after": [30.0, -50.0],
            }
        )

    def in_words(self) -> str:
        return ""


def test_the_overview_has_the_first_metric_on_top_and_hollow_dots_before() -> None:
    ax = plot.overview(Told())
    assert ax.data["percent_before"].tolist() == [-10.0, 10.0]
    assert ax.data["percent_after"].tolist() == [-20.0, 2.0]
    hollow = {
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in ax.get_lines()
        if line.get_markerfacecolor() == "white" and line.get_marker() == "o"
    }
    assert hollow == {(-10.0, 1.0), (10.0, 0.0)}
    assert set(dots(ax)) - hollow == {(-20.0, 1.0), (2.0, 0.0)}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Second", "First"]
    assert "○ −2.00  ● −6.00" in texts(ax)
    assert title(ax).startswith("Pilots stood −10 to +10% from their comparators before")


@pytest.mark.parametrize("width", [3.6, 4.6])
def test_the_gap_on_a_phone_has_the_same_numbers_in_two_lines(width: float) -> None:
    gap = dk.Gap().fit(make_design(), "m").infer(None)
    wide, narrow = plot.gap(gap), plot.gap(gap, phone(width=width))
    pd.testing.assert_frame_equal(wide.data, narrow.data)
    one_line = {text.replace("\n", " ") for text in texts(narrow)}
    assert one_line == set(texts(wide))
    assert any("\n" in text for text in texts(narrow))
    narrow.figure.draw_without_rendering()
    start = next(line for line in narrow.get_lines() if line.get_linestyle() == "--")
    edge = start.get_window_extent().x0
    for text in narrow.texts:
        box = text.get_window_extent()
        assert box.x1 < edge or box.x0 > edge, text.get_text()
        assert box.x1 <= narrow.figure.bbox.x1, text.get_text()
    frame = narrow.get_window_extent()
    assert edge == pytest.approx((frame.x0 + frame.x1) / 2, abs=0.02 * frame.width)
    said = narrow.get_title(loc="left")
    (written,) = narrow.findobj(lambda one: isinstance(one, Text) and one.get_text() == said)
    assert written.get_window_extent(None).x1 <= narrow.figure.bbox.x1
