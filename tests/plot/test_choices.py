"""The estimate by choice of comparators: what is drawn is what was found."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from plot.places import IDS, foot, make_design, neighbours, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.plot.words import signed
from didkit.results import Finding

CHOICES = {
    "two others": dk.Pool(IDS[3:5]),
    "union of lists": neighbours().union(),
    "lists without one": dk.Neighbours(neighbours().table.iloc[4:]).union(),
}


def finding(choices=None, *, sure: dk.Permutation | None = None) -> Finding:
    made = dk.DiD().fit(make_design(), "m").infer(sure)
    return made.check(dk.OtherComparators(choices or CHOICES))


def dots(ax: Axes) -> dict[float, float]:
    """Height and place of each dot."""
    return {
        float(line.get_ydata()[0]): float(line.get_xdata()[0])
        for line in ax.lines
        if line.get_marker() == "o"
    }


def test_dots_are_the_estimates_from_the_top() -> None:
    found = finding()
    ax = found.plot()
    data = ax.data
    assert data["choice"].tolist() == ["as designed", *CHOICES]
    assert data["y"].tolist() == [3.0, 2.0, 1.0, 0.0]
    assert data["drawn"].tolist() == [True, True, True, False]
    shown = data[data["drawn"]]
    assert dots(ax) == dict(zip(shown["y"], shown["estimate"], strict=True))
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == list(data["choice"])
    assert "no estimate" in texts(ax)
    assert "1 could not be fitted; the finding's table says why." in foot(ax)
    assert "the range is no interval" in foot(ax)


def test_the_title_has_the_range_and_the_sign() -> None:
    found = finding()
    low, high = found.facts["lowest"], found.facts["highest"]
    said = title(found.plot())
    assert said.startswith("With 2 other choices of comparators, the change in m runs from")
    assert said.endswith("its sign changes") == (low < 0 < high)
    for number in (low, high):
        assert signed(number) in said


def test_intervals_are_drawn_where_there_are_any() -> None:
    sure = dk.Permutation(draws=99)
    found = finding({"two others": CHOICES["two others"]}, sure=sure)
    ax = found.plot()
    rows = found.table
    lines = {
        float(line.get_ydata()[0]): tuple(line.get_xdata())
        for line in ax.lines
        if line.get_marker() == "None" and len(set(line.get_ydata())) == 1
    }
    low, high = ax.get_xlim()
    for y, row in zip((1.0, 0.0), rows.itertuples(), strict=True):
        if np.isfinite([row.conf_low, row.conf_high]).all():
            assert lines[y] == pytest.approx((row.conf_low, row.conf_high))
            assert low < row.conf_low < row.conf_high < high
    assert lines
    assert "95% intervals" in foot(ax)
    assert "intervals" not in foot(finding().plot())


def test_it_works_on_a_phone() -> None:
    ax = finding().plot(phone(4.5))
    ax.figure.canvas.draw()
    assert ax.data["drawn"].sum() == 3


def test_one_panel_a_metric_and_names_once_a_row() -> None:
    found = [finding(), finding(), finding()]
    axes = plot.choices_by_metric(found)
    assert len(axes) == 3
    figure = axes[0].figure
    assert all(ax.figure is figure for ax in axes)
    figure.canvas.draw()
    named = [bool([t for t in ax.get_yticklabels() if t.get_text() and t.get_visible()])
             for ax in axes]  # fmt: skip
    assert named == [True, False, True]
    for ax, one in zip(axes, found, strict=True):
        assert ax.data["estimate"].equals(one.table["estimate"])
        assert dots(ax)[3.0] == one.facts["full"]
    assert figure.get_suptitle().startswith("2 other choices of comparators: the sign changes for")
    assert len({ax.get_position().x0 for ax in plot.choices_by_metric(found, columns=1)}) == 1


def test_what_is_no_such_finding_is_refused() -> None:
    other = dk.DiD().fit(make_design(), "m").infer(None).check(dk.LeaveOneOut())
    with pytest.raises(DidkitError, match="found: LeaveOneOut"):
        plot.other_comparators(other)
    with pytest.raises(DidkitError, match="found: Design"):
        plot.other_comparators(make_design())  # type: ignore[arg-type]
    with pytest.raises(DidkitError, match="2 lists of choices"):
        plot.choices_by_metric([finding(), finding({"two": dk.Pool(IDS[3:5])})])
    with pytest.raises(DidkitError, match="0 lists of choices"):
        plot.choices_by_metric([])
