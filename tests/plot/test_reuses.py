"""Reuse: who serves how many pilots, the busiest on top."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from plot.places import IDS, foot, make_design, neighbours, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError


def bars(ax: Axes) -> list[tuple[str, float]]:
    """Label and length of each bar, from the top."""
    names = {
        float(y): label.get_text()
        for y, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    }
    found = sorted((p.get_y() + p.get_height() / 2, p.get_width()) for p in ax.patches)
    return [(names[round(y, 6)], width) for y, width in found[::-1]]


def test_sets_show_who_serves_two_pilots_or_more_with_the_weight() -> None:
    design = make_design(against=neighbours().per_pilot(aggregate="mean"))
    ax = plot.reuse(design)
    assert bars(ax) == [("Place D", 3.0), ("Place E", 2.0)]
    own = design.reuse()
    data = ax.data.set_index("unit")
    assert data["pilots_served"].to_dict() == own.set_index("unit")["pilots_served"].to_dict()
    weight = (1 / 4 + 1 / 4 + 1 / 3) / 3  # a pilot in the third list is no comparator
    assert data.loc[IDS[3], "weight"] == pytest.approx(weight)
    assert texts(ax) == [f"3 ({weight:.1%})", f"2 ({1 / 6:.1%})"]
    assert title(ax) == "2 of 8 comparators serve two of 3 pilots or more; Place D serves 3"
    assert "6 with one pilot are not shown." in foot(ax)
    assert ax.data["shown"].tolist() == [True, True] + [False] * 6


def test_a_union_shows_whose_published_neighbour_each_is() -> None:
    ax = plot.reuse(make_design(against=neighbours().union()))
    assert bars(ax) == [("Place D", 3.0), ("Place E", 2.0)]
    assert set(ax.data["pilots_served"]) == {3}
    assert ax.data["neighbour_of"].tolist() == [3.0, 2.0] + [1.0] * 6
    assert (
        "are published neighbours of two of 3 pilots or more; Place D is a neighbour of 3"
        in title(ax)
    )
    assert "each of the 8 serves all 3 pilots with the same weight, 1/8" in foot(ax)


def test_a_pool_has_nothing_to_draw_and_says_so() -> None:
    ax = plot.reuse(make_design())
    assert not ax.patches
    assert ax.data["neighbour_of"].isna().all()
    assert title(ax).startswith("One pool: each of 9 comparators serves all 3 pilots")
    assert not ax.axison


def test_ties_and_single_use_are_said() -> None:
    sets = {
        IDS[0]: {IDS[3]: 0.5, IDS[4]: 0.5},
        IDS[1]: {IDS[3]: 0.5, IDS[4]: 0.5},
        IDS[2]: {IDS[5]: 1.0},
    }
    ax = plot.reuse(make_design(against=dk.MatchedSets(sets)))
    assert title(ax).endswith("Place D and 1 more serve 2")
    apart = {pilot: {IDS[3 + k]: 1.0} for k, pilot in enumerate(IDS[:3])}
    nobody = plot.reuse(make_design(against=dk.MatchedSets(apart)))
    assert title(nobody) == "None of 3 comparators serves more than one of 3 pilots"


def test_as_busy_comparators_stand_by_weight_then_id() -> None:
    sets = {
        IDS[0]: {IDS[3]: 0.2, IDS[4]: 0.4, IDS[5]: 0.4},
        IDS[1]: {IDS[3]: 0.2, IDS[4]: 0.4, IDS[5]: 0.4},
        IDS[2]: {IDS[6]: 1.0},
    }
    ax = plot.reuse(make_design(against=dk.MatchedSets(sets)))
    assert ax.data["unit"].tolist() == [IDS[4], IDS[5], IDS[3], IDS[6]]


def test_where_all_serve_all_the_weights_are_drawn() -> None:
    weights = {unit: (j + 1) / 45 for j, unit in enumerate(IDS[3:])}
    design = make_design(against=dk.MatchedSets(dict.fromkeys(IDS[:3], weights)))
    ax = plot.reuse(design)
    drawn = [width for _, width in bars(ax)]
    assert drawn == pytest.approx([100 * (9 - j) / 45 for j in range(9)])
    effective = 45**2 / sum(k**2 for k in range(1, 10))
    assert (
        f"Each of 9 comparators serves all 3 pilots; by their weights they count for "
        f"{effective:.1f}, and Place L has 20.0%" == title(ax)
    )
    (line,) = ax.get_lines()
    assert float(line.get_xdata()[0]) == pytest.approx(100 / 9)
    alike = dict.fromkeys(IDS[3:], 1 / 9)
    same = plot.reuse(make_design(against=dk.MatchedSets(dict.fromkeys(IDS[:3], alike))))
    assert [width for _, width in bars(same)] == [3.0] * 9


def test_what_is_no_design_is_refused() -> None:
    with pytest.raises(DidkitError, match=r"estimate\.design"):
        plot.reuse(dk.DiD().fit(make_design(), "m"))  # type: ignore[arg-type]
