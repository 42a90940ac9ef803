"""The picture of a contrast study: four labelled paths, and the contrast among the others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from plot.places import foot, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.plot.contrasts import percent
from didkit.plot.style import COMPARATOR, PILOT

YEARS = (2016, 2017, 2018, 2019)
SITES = ("Alder", "Beech", "Cedar", "Doveton")


def panel_of(sites: tuple[str, ...], seed: int) -> dk.Panel:
    rng = np.random.default_rng(seed)
    rows = [
        (site, year, 50 + own + 8 * rng.normal() + 6 * (site in SITES[:2] and year >= 2018))
        for site in sites
        for year, own in zip(YEARS, 2 * rng.normal(size=4), strict=True)
        for _ in range(30)
    ]
    frame = pd.DataFrame(rows, columns=["site", "year", "wai"])
    wai = dk.Metric(name="wai", label="Working alliance", unit="points")
    return dk.site_means(frame, unit="site", period="year", scores={"wai": wai})


REFERENCE = panel_of(tuple(f"R{i}" for i in range(8)), 5)


def finding(*, reference: bool = True, individuals: bool = True) -> dk.Finding:
    panel = panel_of(SITES, 1)
    panel = panel if individuals else panel.select(metrics=["wai"])
    rollout = dk.Rollout(dict.fromkeys(SITES[:2], 2018))
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="bid")
    check = dk.ContrastStudy((REFERENCE, "wai") if reference else None)
    return dk.DiD().fit(design, "wai").check(check)


def paths(ax) -> list:
    return [line for line in ax.get_lines() if line.get_marker() == "o"]


def test_four_paths_in_the_colours_of_their_arms_with_their_changes():
    found = finding()
    ax = found.plot()
    wide = found.estimate.design.panel.wide("wai")
    drawn = paths(ax)
    assert [line.get_color() for line in drawn] == [PILOT] * 2 + [COMPARATOR] * 2
    for site, line in zip(SITES, drawn, strict=True):
        assert line.get_ydata().tolist() == wide.loc[site].tolist()
        change = found.table.set_index("unit").loc[site, "change"]
        (label,) = [one for one in texts(ax) if one.startswith(site)]
        assert float(label.split()[1].replace("−", "-")) == pytest.approx(change, rel=0.01)
    assert len(ax.data) == 16


def test_upright_lines_are_the_standard_errors_of_individuals():
    ax = finding().plot()
    panel = panel_of(SITES, 1)
    error = panel.wide("wai_sd") / panel.wide("wai_n") ** 0.5
    assert ax.data["error"].tolist() == pytest.approx(error.to_numpy().ravel().tolist())
    bars = [seg for group in ax.collections for seg in group.get_segments()]
    lengths = sorted(float(seg[1, 1] - seg[0, 1]) for seg in bars)
    assert lengths == pytest.approx(sorted((2 * 1.96 * error).to_numpy().ravel()))
    assert "standard errors" in foot(ax)
    without = finding(individuals=False).plot()
    assert not without.collections
    assert "standard errors" not in foot(without)


def test_the_strip_counts_every_contrast_and_colours_those_as_far():
    found = finding()
    ax = found.plot()
    (below,) = ax.child_axes
    n = found.facts["n_contrasts"]
    heights = {}
    for bars in below.containers:
        heights[bars.patches[0].get_facecolor()] = sum(bar.get_height() for bar in bars.patches)
    total, tail = sorted(heights.values(), reverse=True)
    assert total == n
    assert tail == round(found.facts["rank_p"] * n)
    (mark,) = [line for line in below.get_lines() if line.get_color() == PILOT]
    assert mark.get_xdata()[0] == pytest.approx(found.facts["estimate"])
    assert not finding(reference=False).plot().child_axes


def test_the_words_say_what_holds_and_what_does_not_exist():
    found = finding()
    ax = found.plot()
    assert title(ax).startswith("2 sites against 2: a contrast of +")
    assert f"{percent(found.facts['rank_p'])} of contrasts are as far from zero" in title(ax)
    assert [percent(p) for p in (0.104, 0.0042, 0.0001)] == ["10%", "0.4%", "under 0.1%"]
    words = foot(ax)
    assert "needs equal-variance normal site shocks" in words
    assert "No distribution-free 5% test exists: the least p is 0.333." in words
    assert "only if their changes are exchangeable" in words
    assert "pooled t" in title(finding(reference=False).plot())


@pytest.mark.parametrize("where", [lambda: None, lambda: phone(5.8)])
@pytest.mark.parametrize("reference", [True, False])
def test_no_words_leave_the_figure_and_labels_do_not_overlap(where, reference):
    ax = plot.contrast_study(finding(reference=reference), where())
    ax.figure.draw_without_rendering()
    page = ax.figure.bbox
    ends = [text for text in ax.texts if text.get_text().split()[0] in SITES]
    for text in (ax._left_title, ax.xaxis.label, *ends):
        box = text.get_window_extent()
        assert box.x0 >= page.x0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y0 >= page.y0 - 1
        assert box.y1 <= page.y1 + 1
    boxes = sorted((text.get_window_extent() for text in ends), key=lambda box: box.y0)
    for low, high in pairwise(boxes):
        assert high.y0 >= low.y1 - 0.35 * low.height
    if reference:
        strip = ax.child_axes[0].get_tightbbox()
        paths_box = ax.get_window_extent()
        assert strip.y1 < paths_box.y0


def test_another_finding_is_refused():
    other = finding().estimate.check(dk.Breakdown())
    with pytest.raises(DidkitError, match="a finding of ContrastStudy"):
        plot.contrast_study(other)
