"""The pictures of power: every number drawn is one of the table, and the title says it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from plot.places import (
    foot,
    make_design,
    phone,
    texts,
    title,
    values,
)

import didkit as dk
from didkit import plot
from didkit.check import DetectableEffect, Variation
from didkit.plot.style import PILOT

D = DetectableEffect()
NOISE = Variation(between=5, within=2, ar1=0.3)


def lines(ax):  # type: ignore[no-untyped-def]
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def test_one_design_is_power_by_effect() -> None:
    made = D.expected(NOISE, pilots=5, comparators=20, before=4, after=2, base=100)
    ax = made.plot()
    size = made.facts["detectable"]
    (curve,) = lines(ax)
    x, y = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    assert np.interp(size, x, y) == pytest.approx(0.8, abs=0.005)
    assert y.min() == pytest.approx(0.05, abs=1e-6)
    dots = sorted(float(p.get_xdata()[0]) for p in ax.lines if p.get_marker() == "o")
    assert dots == pytest.approx([-size, size])
    assert all(p.get_ydata()[0] == 0.8 for p in ax.lines if p.get_marker() == "o")
    written = f"{size:.2f}"
    assert f"+{written}" in texts(ax)
    assert f"−{written}" in texts(ax)
    assert f"Changes of {written} ({made.facts['percent']:.0f}%) or more" in title(ax)
    assert "By formula" in foot(ax)
    assert not ax.collections  # nothing drawn by lot, so no band
    assert ax.data["effect"].tolist() == x.tolist()


def test_simulation_has_a_band_of_two_errors() -> None:
    made = D.simulated(NOISE, pilots=3, comparators=6, before=2, after=1, replications=20)
    ax = plot.power(made)
    assert ax.data["power"].tolist() == made.tidy()["power"].tolist()
    band = ax.collections[0].get_paths()[0].vertices
    k = int(np.argmax(made.table["mc_error"].to_numpy()))
    row = made.table.iloc[k]
    at = band[np.isclose(band[:, 0], row["effect"])][:, 1]
    assert at.max() == pytest.approx(min(1, row["power"] + 2 * row["mc_error"]))
    assert at.min() == pytest.approx(max(0, row["power"] - 2 * row["mc_error"]))
    assert "20 simulated panels" in foot(ax)
    assert f"{made.facts['size']:.1%}" in foot(ax)


def test_several_designs_are_a_curve_of_the_smallest_effect() -> None:
    made = D.expected(NOISE, pilots=range(4, 12), comparators=30, before=4, after=2)
    ax = plot.power(made)
    (curve,) = lines(ax)
    assert list(curve.get_xdata()) == list(range(4, 12))
    assert list(curve.get_ydata()) == made.designs()["detectable"].tolist()
    assert to_hex(curve.get_color()).upper() == PILOT
    first, last = made.designs()["detectable"].iloc[[0, -1]]
    assert f"{first:.2f} with 4 pilots, {last:.2f} with 11 pilots" in title(ax)
    assert "30 comparators, 4 periods before, 2 periods after." in foot(ax)
    assert ax.get_ylim()[0] == 0


def test_a_second_quantity_gives_named_lines() -> None:
    made = D.expected(NOISE, pilots=[3, 9], comparators=30, before=range(1, 8), after=2)
    ax = plot.power(made)
    assert [len(line.get_xdata()) for line in lines(ax)] == [7, 7]
    assert {"3 pilots", "9 pilots"} <= set(texts(ax))
    colours = {to_hex(line.get_color()) for line in lines(ax)}
    assert len(colours) == 2
    three = made.designs().query("pilots == 3")["detectable"].tolist()
    assert list(lines(ax)[0].get_ydata()) == three
    assert "(3 pilots)" in title(ax)


def test_what_is_far_larger_leaves_the_frame_and_is_counted() -> None:
    made = D.expected(NOISE, pilots=range(2, 21), comparators=100, before=4, after=2)
    ax = plot.power(made)
    assert made.designs()["detectable"].iloc[0] > ax.get_ylim()[1]
    assert "1 point above the frame" in foot(ax)


def test_real_pre_periods_and_what_is_never_found() -> None:
    design = make_design(values())
    made = D.resampled(design, "m", pilots=[2, 3], before=2, after=1, draws=99)
    ax = plot.power(made)
    assert ax.data["pilots"].tolist() == [2, 3]
    assert "placebo designs from real pre-periods" in foot(ax).lower()
    none = D.resampled(design, "m", pilots=1, before=2, after=1)
    ax = none.plot()
    assert title(ax).replace("\n", " ").startswith("No change in m, however large")
    assert not [p for p in ax.lines if p.get_marker() == "o"]


@pytest.mark.parametrize("n", [1, 4])
def test_on_a_phone_nothing_leaves_the_picture(n: int) -> None:
    made = D.expected(
        NOISE, pilots=[3, 9][: 1 + (n > 1)], comparators=30, before=range(1, n + 1), after=2
    )
    ax = phone()
    plot.power(made, ax)
    figure = ax.figure
    figure.canvas.draw()
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1
    assert ax.title.get_window_extent().x1 <= figure.bbox.width + 1


def test_the_front_door_draws_it() -> None:
    made = D.expected(NOISE, pilots=5, comparators=20, before=4, after=2)
    assert title(plot.draw(made)) == title(made.plot())
    with pytest.raises(dk.DidkitError, match="matplotlib Axes"):
        made.plot(ax=3)


def test_given_effects_without_zero_have_the_level_all_the_same() -> None:
    """Between −3 and 3 the curve goes down to what is rejected with no effect."""
    made = D.simulated(
        NOISE, pilots=3, comparators=6, before=2, after=1, replications=40, effects=[3, 9]
    )
    assert made.table["effect"].tolist() == [-9, -3, 0, 3, 9]
    (curve,) = lines(plot.power(made))
    at = dict(zip(curve.get_xdata(), curve.get_ydata(), strict=True))
    assert at[0.0] == made.facts["size"] == made.table["power"].iloc[2]
    assert not np.signbit(made.table["effect"].iloc[2])
    assert foot(plot.power(made)).endswith("Between the effects asked about the curve is straight.")
    formula = D.expected(NOISE, pilots=5, comparators=20, before=4, after=2, effects=[6, 9])
    (curve,) = lines(plot.power(formula))
    x, y = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    assert x.min() == -x.max()
    assert x.max() == pytest.approx(max(9, 1.6 * formula.facts["detectable"]))
    assert y.min() == pytest.approx(0.05, abs=1e-6)
    assert np.interp(9, x, y) == pytest.approx(formula.table["power"].iloc[-1], abs=0.005)


def test_title_and_marks_have_the_same_numbers_in_both_directions() -> None:
    made = D.simulated(NOISE, pilots=3, comparators=6, before=2, after=1, replications=30)
    fall, rise = made.table["detectable"].iloc[0], made.table["detectable"].iloc[-1]
    assert f"{fall:.2f}" != f"{rise:.2f}"
    ax = plot.power(made)
    assert {f"−{fall:.2f}", f"+{rise:.2f}"} <= set(texts(ax))
    assert f"Falls of {fall:.2f} or more and rises of {rise:.2f} or more" in title(ax)
    assert f"a fall of {fall:.2f} or more and a rise of {rise:.2f} or more" in made.headline
    one = made.table["effect"] > 0
    blind = replace(made, table=made.table.assign(detectable=made.table["detectable"].where(
        ~one, np.inf)))  # fmt: skip
    assert f"Falls of {fall:.2f} or more, and no rise, however large," in title(plot.power(blind))


@pytest.mark.parametrize("on_phone", [False, True])
def test_the_labels_of_near_marks_stay_apart(on_phone: bool) -> None:
    made = D.simulated(
        NOISE, pilots=3, comparators=6, before=2, after=1, replications=30, effects=[5, 15]
    )
    ax = plot.power(made, phone() if on_phone else None)
    ax.figure.canvas.draw()
    one, other = (text.get_window_extent() for text in ax.texts)
    assert one.x1 < other.x0 or other.x1 < one.x0
    written = ax._left_title.get_window_extent()
    assert written.x1 <= ax.figure.bbox.x1 + 1
