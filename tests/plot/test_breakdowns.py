"""The picture of a breakdown: dots where the table says, smallest shift at the top."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, noise, spread, treated
from plot.places import foot, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.plot.style import COMPARATOR, PILOT

N, T, START = 12, 6, 4
STARTS = spread(N, 3, START)


def finding(effect: float = -12.0, units: str = "all", n: int = N) -> dk.Finding:
    starts = spread(n, 3, START)
    y = noise(n, T, 6) + effect * treated((n, T), starts)
    made = dk.DiD().fit(design_of(y, starts), "m").infer(dk.DonaldLang())
    return made.check(dk.Breakdown(units=units))


def test_dots_stand_at_the_shifts_smallest_at_the_top():
    found = finding()
    ax = found.plot()
    sites = found.table[found.table["unit_id"] != ""].set_index("name")
    names = dict(zip(ax.get_yticks(), (t.get_text() for t in ax.get_yticklabels()), strict=True))
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert len(dots) == N
    for dot in dots:
        (x,), (y,) = dot.get_xdata(), dot.get_ydata()
        assert x == sites.loc[names[y], "value"]
        colour = PILOT if sites.loc[names[y], "arm"] == "pilot" else COMPARATOR
        assert dot.get_color() == colour
    sizes = [abs(dot.get_xdata()[0]) for dot in sorted(dots, key=lambda d: -d.get_ydata()[0])]
    assert sizes == sorted(sizes)
    assert ax.data["value"].abs().is_monotonic_increasing


def test_the_title_names_the_easiest_site_and_the_foot_the_noise():
    found = finding(units="pilots")
    ax = plot.breakdown(found)
    first = ax.data.iloc[0]
    assert f"in {first['name']} alone would put zero inside" in title(ax)
    assert "Orange" not in foot(ax)
    assert f"{found.facts['ratio_needed']:.2f}" in foot(ax)
    low, high = ax.get_xlim()
    assert low < ax.data["value"].min() < ax.data["value"].max() < high
    (band,) = ax.patches
    assert band.get_width() == pytest.approx(2 * abs(first["value"]) / first["in_sds"])


def test_where_none_is_found_it_says_so():
    found = finding(effect=0.0)
    none = int(np.isinf(found.table["value"]).sum())
    assert none > 0
    ax = found.plot()
    assert texts(ax).count("none found") == none
    assert title(ax).startswith("A shift" if none < N else "No shift of one site alone was found")
    assert "puts zero outside" in title(ax) or "put zero outside" in title(ax)


def test_thirty_sites_are_drawn_and_the_others_counted():
    ax = finding(n=40).plot()
    assert int(ax.data["shown"].sum()) == 30
    assert "10 sites that need larger shifts are not shown." in foot(ax)
    shown = ax.data["shown"]
    assert ax.data.loc[shown, "value"].abs().max() <= ax.data.loc[~shown, "value"].abs().min()


@pytest.mark.parametrize("where", [lambda: None, phone])
@pytest.mark.parametrize("effect", [-12.0, 0.0])
def test_no_words_leave_the_figure(where, effect):
    ax = plot.breakdown(finding(effect, "pilots"), where())
    ax.figure.draw_without_rendering()
    page = ax.figure.bbox
    for text in (ax._left_title, ax.xaxis.label, *ax.get_yticklabels(), *ax.texts):
        box = text.get_window_extent()
        assert box.x0 >= page.x0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y0 >= page.y0 - 1
        assert box.y1 <= page.y1 + 1


def quiet(starts=None, seed: int = 9) -> dk.Finding:
    y = noise(N, T, seed)
    made = dk.DiD().fit(design_of(y, starts or STARTS), "m").infer(dk.Permutation())
    return made.check(dk.Breakdown())


@pytest.mark.parametrize("where", [lambda: None, phone])
def test_without_any_shift_the_ratio_of_noise_is_drawn(where):
    found = quiet()
    assert np.isinf(found.facts["smallest_shock"])
    ax = plot.breakdown(found, where())
    assert title(ax).startswith("No shift of one site alone was found that puts zero outside")
    assert ax.data["name"].tolist() == ["noise needed", "noise observed"]
    assert ax.data["value"].tolist() == [found.facts["ratio_needed"], found.facts["ratio_observed"]]
    (dot,) = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert dot.get_xdata()[0] == found.facts["ratio_observed"]
    assert not any("none found" in text for text in texts(ax))
    ax.figure.draw_without_rendering()
    page = ax.figure.bbox
    for text in (ax._left_title, ax.xaxis.label, *ax.texts):
        box = text.get_window_extent()
        assert box.x0 >= page.x0 - 1
        assert box.x1 <= page.x1 + 1


def test_without_a_shift_and_without_a_ratio_it_is_refused_by_name():
    found = quiet({1: 3, 5: START, 9: START}).estimate.check(dk.Breakdown(0.9999))
    assert np.isinf(found.facts["smallest_shock"])
    with pytest.raises(dk.DidkitError, match="no shift was found, and the ratio is not defined"):
        plot.breakdown(found)
