"""Matched paths: a panel each, its own comparators, one scale, the furthest first."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from plot.places import IDS, PILOTS, foot, make_design, neighbours, phone, title, values

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError, PanelError
from didkit.plot.style import COMPARATOR, PILOT

SETS = {IDS[0]: {IDS[3]: 0.75, IDS[4]: 0.25}, IDS[1]: {IDS[4]: 1.0}, IDS[2]: {IDS[5]: 1.0}}


def lines(inner: Axes, colour: str, style: str) -> list[np.ndarray]:
    return [
        np.asarray(line.get_ydata(), dtype=float)
        for line in inner.get_lines()
        if to_hex(line.get_color()).upper() == colour and line.get_linestyle() == style
        if len(line.get_ydata()) > 2
    ]


def panels(ax: Axes) -> list[Axes]:
    return list(ax.child_axes)


def test_each_pilot_beside_its_own_weighted_comparators() -> None:
    y = values()
    ax = plot.matched(make_design(y, against=dk.MatchedSets(SETS)), "m")
    paths = {
        IDS[0]: 0.75 * y[3] + 0.25 * y[4],
        IDS[1]: y[4],
        IDS[2]: y[5],
    }
    gaps = {p: float((y[i] - paths[p])[:3].mean()) for i, p in enumerate(PILOTS)}
    order = sorted(PILOTS, key=lambda p: -abs(gaps[p]))
    assert list(dict.fromkeys(ax.data["pilot"])) == order
    assert len(panels(ax)) == 3
    for inner, pilot in zip(panels(ax), order, strict=True):
        (own,), (others,) = lines(inner, PILOT, "-"), lines(inner, COMPARATOR, "--")
        assert own == pytest.approx(y[IDS.index(pilot)])
        assert others == pytest.approx(paths[pilot])
        assert len(lines(inner, COMPARATOR, "-")) == len(SETS[pilot])
        row = ax.data[ax.data["pilot"] == pilot].iloc[0]
        assert row["gap_before"] == pytest.approx(gaps[pilot])
        assert inner.get_title(loc="left").startswith(row["name"])


def test_all_panels_have_one_scale_and_their_own_start() -> None:
    starts = {IDS[0]: 2013, IDS[1]: 2014, IDS[2]: 2016}
    ax = plot.matched(make_design(starts=starts, against=dk.MatchedSets(SETS)), "m")
    assert len({inner.get_ylim() for inner in panels(ax)}) == 1
    order = list(dict.fromkeys(ax.data["pilot"]))
    for inner, pilot in zip(panels(ax), order, strict=True):
        (start,) = {
            float(line.get_xdata()[0])
            for line in inner.get_lines()
            if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
        }
        assert start == starts[pilot] - 2011 - 0.5


def test_the_title_names_the_furthest_and_the_nearest() -> None:
    y = values()
    ax = plot.matched(make_design(y, against=dk.MatchedSets(SETS)), "m")
    gaps = ax.data.drop_duplicates("pilot")
    far, near = gaps.iloc[0], gaps.iloc[-1]
    assert abs(far["gap_before"]) > abs(near["gap_before"])
    said = title(ax)
    assert f"{far['name']} stood {abs(far['gap_before']):.1f} below its own" in said
    assert said.endswith("(the nearest)")
    assert near["name"] in said
    one = plot.matched(make_design(y, starts={IDS[0]: 2014}), "m")
    assert "nearest" not in title(one)
    lifted = y.copy()
    lifted[0] += 500
    above = plot.matched(make_design(lifted, starts={IDS[0]: 2014}), "m")
    assert "above its own comparators" in title(above)


def test_a_median_is_a_median_and_says_so() -> None:
    against = neighbours().per_pilot(aggregate="median")
    y = values()
    ax = plot.matched(make_design(y, against=against), "m")
    mine = ax.data[ax.data["pilot"] == IDS[0]]
    assert mine["comparators"].tolist() == pytest.approx(np.median(y[[3, 4, 5, 6]], axis=0))
    assert "the median of its comparators" in foot(ax)
    assert mine["low"].tolist() == pytest.approx(y[[3, 4, 5, 6]].min(axis=0))
    assert mine["high"].tolist() == pytest.approx(y[[3, 4, 5, 6]].max(axis=0))


def test_missing_values_are_counted_and_their_weight_goes_to_the_others() -> None:
    y = values()
    gaps = {(3, 1): "suppressed", (4, 2): "suppressed", (0, 4): "suppressed"}
    ax = plot.matched(make_design(y, against=dk.MatchedSets(SETS), statuses=gaps), "m")
    mine = ax.data[ax.data["pilot"] == IDS[0]]
    assert mine["comparators"].iloc[1] == pytest.approx(y[4, 1])
    assert mine["comparators"].iloc[2] == pytest.approx(y[3, 2])
    assert mine["n_comparators"].tolist() == [2, 1, 1, 2, 2, 2]
    assert np.isnan(mine["value"].iloc[4])
    assert "3 of 24 values of comparators are missing: weighted mean of the others." in foot(ax)
    other = ax.data[ax.data["pilot"] == IDS[1]]  # of one comparator, without a value once
    assert np.isnan(other["comparators"].iloc[2])
    assert other["gap_before"].iloc[0] == pytest.approx((y[1] - y[4])[:2].mean())


def test_twelve_are_drawn_and_the_others_counted() -> None:
    starts = dict.fromkeys(range(15), 3)
    ax = plot.matched(design_of(noise(40, 6, 1), starts), "m")
    assert len(panels(ax)) == 12
    assert "3 pilots that stood nearer are not shown." in foot(ax)
    assert ax.data.drop_duplicates("pilot")["shown"].tolist() == [True] * 12 + [False] * 3
    assert "band: the middle 80%" in foot(ax)
    y = noise(40, 6, 1)[15:]
    assert ax.data["low"].iloc[0] == pytest.approx(np.percentile(y[:, 0], 10))
    assert ax.data["high"].iloc[0] == pytest.approx(np.percentile(y[:, 0], 90))


def test_ties_are_broken_by_id() -> None:
    y = np.full((8, 6), 10.0)
    y[:3] = 12.0
    ax = plot.matched(design_of(y, {2: 3, 0: 3, 1: 3}), "m")
    assert list(dict.fromkeys(ax.data["pilot"])) == codes(3)


@pytest.mark.parametrize("where", [lambda: None, phone])
def test_panels_and_words_stay_inside(where) -> None:
    ax = plot.matched(make_design(against=dk.MatchedSets(SETS)), "m", where())
    ax.figure.draw_without_rendering()
    page = ax.figure.bbox
    written = [ax._left_title, ax.xaxis.label, ax.yaxis.label]
    for inner in panels(ax):
        written += [inner._left_title, *inner.get_xticklabels(), *inner.get_yticklabels()]
    for text in written:
        if text.get_visible() and text.get_text():
            box = text.get_window_extent()
            assert page.x0 - 1 <= box.x0, text.get_text()
            assert box.x1 <= page.x1 + 1, text.get_text()
            assert page.y0 - 1 <= box.y0, text.get_text()
            assert box.y1 <= page.y1 + 1, text.get_text()
    boxes = [inner.get_tightbbox() for inner in panels(ax)]
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            down = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(across, down) < 3


def test_it_is_drawn_by_name_and_refuses_the_rest() -> None:
    design = make_design()
    assert "gap_before" in plot.draw(design, kind="matched", metric="m").data.columns
    with pytest.raises(PanelError):
        plot.matched(design, "nobody")
    with pytest.raises(DidkitError, match=r"estimate\.design"):
        plot.matched(dk.DiD().fit(design, "m"), "m")  # type: ignore[arg-type]
    y = values()
    y[:3] = np.nan
    with pytest.raises(DidkitError, match=r"audit\(\)"):
        plot.matched(design_of(y, {0: 3, 1: 3, 2: 3}), "m")


def test_a_weighted_mean_is_called_one() -> None:
    ax = plot.matched(make_design(against=dk.MatchedSets(SETS)), "m")
    assert "Dashed: the weighted mean of its comparators" in foot(ax)
    even = {pilot: {IDS[3]: 0.5, IDS[4 + k]: 0.5} for k, pilot in enumerate(PILOTS)}
    plain = plot.matched(make_design(against=dk.MatchedSets(even)), "m")
    assert "Dashed: the mean of its comparators" in foot(plain)


def test_one_is_said_in_the_singular() -> None:
    ax = plot.matched(design_of(noise(40, 6, 1), dict.fromkeys(range(13), 3)), "m")
    assert "One pilot that stood nearer is not shown." in foot(ax)
    gap = {(3, 1): "suppressed"}
    one = plot.matched(make_design(statuses=gap, starts={IDS[0]: 2014}), "m")
    assert "1 of 66 values of comparators is missing" in foot(one)
