"""The event study: bands beside intervals, and the window of anticipation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from plot.places import foot, make_design, texts, title, values

import didkit as dk
from didkit import plot
from didkit.plot.style import GREY, PILOT
from didkit.results import tables

CR2 = dk.ClusterRobust("CR2")


def study(anticipation: int = 0, y: np.ndarray | None = None) -> dk.Estimate:
    return dk.EventStudy(anticipation=anticipation).fit(make_design(y), "m").infer(CR2)


def lines(ax: Axes, width: float) -> dict[int, tuple[float, float]]:
    """Position → ends of the upright lines of a width."""
    return {
        round(float(line.get_xdata()[0])): tuple(float(y) for y in line.get_ydata())
        for line in ax.get_lines()
        if line.get_linewidth() == width and len(line.get_xdata()) == 2
    }


def test_bands_are_thin_with_caps_and_hold_the_thick_intervals() -> None:
    estimate = study()
    ax = plot.event_study(estimate)
    data = ax.data.set_index("position")
    own = estimate.tidy().set_index("position")
    for name in ("conf_low", "conf_high", "band_low", "band_high"):
        assert data[name].tolist() == pytest.approx(own[name].tolist(), nan_ok=True)
    thick, thin = lines(ax, 2.6), lines(ax, 1.0)
    solid = data[data["phase"] != "reference"]
    assert thick == {p: (r["conf_low"], r["conf_high"]) for p, r in solid.iterrows()}
    assert thin == {p: (r["band_low"], r["band_high"]) for p, r in solid.iterrows()}
    assert all(thin[p][0] < thick[p][0] and thin[p][1] > thick[p][1] for p in thin)
    capped = [line for line in ax.get_lines() if line.get_marker() == "_"]
    assert {line.get_linewidth() for line in capped} == {1.0}
    assert "Thick: 95% intervals, term by term, CR2." in foot(ax)
    assert "Thin, with caps: 95% uniform band, all terms at once." in foot(ax)
    low, high = ax.get_ylim()
    assert low < solid["band_low"].min()
    assert high > solid["band_high"].max()


def test_without_bands_the_columns_are_empty_and_the_foot_speaks_of_lines() -> None:
    estimate = study()
    bare = estimate.with_uncertainty(replace(estimate.attached, band_low=None, band_high=None))
    ax = plot.event_study(bare)
    assert ax.data[["band_low", "band_high"]].isna().all().all()
    assert not lines(ax, 1.0)
    assert "Lines: 95% intervals, CR2." in foot(ax)


def test_a_band_without_limits_ends_in_arrows() -> None:
    estimate = study()
    sure = estimate.attached
    wide = np.full(len(sure.conf_low), np.inf)
    ax = plot.event_study(estimate.with_uncertainty(replace(sure, band_low=-wide, band_high=wide)))
    low, high = ax.get_ylim()
    assert np.isfinite([low, high]).all()
    marks = [line for line in ax.get_lines() if line.get_marker() in ("v", "^")]
    assert {float(line.get_ydata()[0]) for line in marks} == {low, high}
    assert "Arrows" in foot(ax)


@pytest.mark.parametrize("anticipation", [1, 2])
def test_the_anticipation_is_shaded_hollow_and_neither_before_nor_after(anticipation: int) -> None:
    ax = plot.event_study(study(anticipation))
    data = ax.data.set_index("position")
    early = list(range(-anticipation, 0))
    assert data.index[data["phase"] == "anticipation"].tolist() == early
    assert data.loc[-1 - anticipation, "phase"] == "reference"
    (window,) = ax.patches
    assert window.get_x() == pytest.approx(-anticipation - 0.5)
    assert window.get_x() + window.get_width() == pytest.approx(-0.5)
    assert "anticipation" in texts(ax)
    dots = {
        round(float(line.get_xdata()[0])): (line.get_markerfacecolor(), line.get_markeredgecolor())
        for line in ax.get_lines()
        if line.get_marker() == "o"
    }
    assert all(dots[p] == ("white", PILOT) for p in early)
    assert all(dots[p] == (PILOT, PILOT) for p in (0, 1, 2))
    assert all(dots[p] == (GREY, GREY) for p in data.index[data["phase"] == "before"])
    assert dots[-1 - anticipation][0] == "white"
    assert dots[-1 - anticipation][1] not in (PILOT, GREY)
    told = data.loc[early, "estimate"]
    assert f"in the anticipation, {'−' if told.min() < 0 else '+'}" in title(ax)
    assert tables.number(abs(float(told.min()))) in title(ax)


def test_without_anticipation_nothing_is_shaded() -> None:
    ax = plot.event_study(study())
    assert not ax.patches
    assert "anticipation" not in texts(ax)
    assert "anticipation" not in title(ax)


def test_terms_stand_on_the_side_of_their_sign() -> None:
    up, down = (plot.event_study(study(y=values(change))) for change in (20.0, -20.0))
    for ax, sign in ((up, 1), (down, -1)):
        after = ax.data.loc[ax.data["phase"] == "after", ["position", "estimate"]]
        assert (np.sign(after["estimate"]) == sign).all()
        drawn = {
            round(float(line.get_xdata()[0])): float(line.get_ydata()[0])
            for line in ax.get_lines()
            if line.get_marker() == "o"
        }
        assert [drawn[p] for p in after["position"]] == after["estimate"].tolist()
        assert f"after it, {'+' if sign > 0 else '−'}" in title(ax)


def test_the_title_leaves_out_what_one_pilot_carries() -> None:
    y = values()
    y[0, 0] -= 80  # what only the late starter shows, four periods before its start
    starts = {"301": 2015, "304": 2014, "307": 2014}
    estimate = dk.EventStudy().fit(make_design(y, starts=starts), "m").infer(None)
    ax = plot.event_study(estimate)
    data = ax.data
    alone = data[data["n_pilots"] == 1]
    assert alone["position"].tolist() == [-4]
    told = data[(data["phase"] == "before") & (data["n_pilots"] > 1)]["estimate"]
    assert alone["estimate"].item() < told.min() - 20
    assert tables.number(abs(float(told.min()))) in title(ax)
    assert tables.number(abs(float(alone["estimate"].item()))) not in title(ax)
    assert "Light: carried by one pilot, not in the title." in foot(ax)


def test_an_interval_open_on_one_side_has_its_arrow_there() -> None:
    estimate = study()
    sure = estimate.attached
    wide = np.full(len(sure.conf_low), np.inf)
    ax = plot.event_study(estimate.with_uncertainty(replace(sure, conf_high=wide)))
    marks = [line for line in ax.get_lines() if line.get_marker() in ("v", "^")]
    assert {line.get_marker() for line in marks} == {"^"}
    assert {float(line.get_ydata()[0]) for line in marks} == {ax.get_ylim()[1]}
