"""The neighbour graph: a line for each place in a set or list, and who serves several."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import FancyArrowPatch
from plot.places import IDS, PILOTS, foot, make_design, neighbours, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError


def lines(ax: Axes) -> LineCollection:
    (made,) = [one for one in ax.collections if isinstance(one, LineCollection)]
    return made


def dashed(ax: Axes) -> list[FancyArrowPatch]:
    return [one for one in ax.patches if isinstance(one, FancyArrowPatch)]


def served(ax: Axes) -> pd.DataFrame:
    return ax.data[ax.data["kind"] == "serves"]


@pytest.mark.parametrize("kind", ["union", "mean", "rank"])
def test_a_line_joins_each_pilot_to_each_comparator_on_its_list(kind: str) -> None:
    listed = neighbours()
    against = {
        "union": listed.union(),
        "mean": listed.per_pilot(aggregate="mean"),
        "rank": listed.per_pilot(aggregate="weighted", weights="rank"),
    }[kind]
    design = make_design(against=against)
    ax = plot.neighbour_graph(design)
    pairs = {(p, o) for p in PILOTS for o in listed.of(p) if o not in PILOTS}
    found = served(ax)
    assert set(zip(found["pilot"], found["other"], strict=True)) == pairs
    assert len(lines(ax).get_segments()) == len(pairs) == 11
    assert found.groupby("pilot")["weight"].sum().to_numpy() == pytest.approx(np.ones(3))
    if design.sets is not None:
        for row in found.itertuples():
            assert row.weight == pytest.approx(design.sets[row.pilot][row.other])
    counts = found.drop_duplicates("other").set_index("other")["serves"]
    assert counts[IDS[3]] == 3
    assert counts[IDS[4]] == 2
    assert (counts.drop([IDS[3], IDS[4]]) == 1).all()


def test_lines_are_as_wide_as_weights() -> None:
    against = neighbours().per_pilot(aggregate="weighted", weights="rank")
    ax = plot.neighbour_graph(make_design(against=against))
    wide, weight = lines(ax).get_linewidths(), served(ax)["weight"].to_numpy()
    assert np.corrcoef(wide, weight)[0, 1] == pytest.approx(1)
    assert "Width: weight in the pilot's set." in foot(ax)
    even = make_design(against=neighbours().union())
    assert "as one pool, all serve every pilot alike" in foot(plot.neighbour_graph(even))


def test_a_pilot_on_a_list_is_dashed_and_not_a_comparator() -> None:
    ax = plot.neighbour_graph(make_design(against=neighbours().union()))
    barred = ax.data[ax.data["kind"] == "barred"]
    assert barred[["pilot", "other", "weight"]].to_numpy().tolist() == [[IDS[2], IDS[0], 0.0]]
    assert len(dashed(ax)) == 1
    assert "Dashed: one place on a list is a pilot, who may not serve." in foot(ax)
    allowed = neighbours().per_pilot(aggregate="mean", include_pilots=True)
    both = plot.neighbour_graph(make_design(against=allowed))
    assert not dashed(both)
    assert (IDS[2], IDS[0]) in set(zip(served(both)["pilot"], served(both)["other"], strict=True))


def test_title_and_names_count_who_stands_beside_several() -> None:
    ax = plot.neighbour_graph(make_design(against=neighbours().union()))
    assert title(ax) == (
        "3 pilots and 8 comparators: 2 stand beside two pilots or more, Place D beside 3"
    )
    said = texts(ax)
    assert "3 Place D" in said
    assert "2 Place E" in said
    assert "Place F" in said  # few enough for every name
    assert {"Place A", "Place B", "Place C"} <= set(said)
    apart = {pilot: {IDS[3 + k]: 1.0} for k, pilot in enumerate(PILOTS)}
    alone = plot.neighbour_graph(make_design(against=dk.MatchedSets(apart)))
    assert title(alone).endswith("none stands beside more than one pilot")


def wide_design() -> dk.Design:
    """Ten pilots and 70 comparators, five of them shared by two pilots."""
    n, periods = 90, 6
    y = 100 + np.random.default_rng(2).normal(size=(n, periods))
    ids = [str(301 + 3 * i) for i in range(n)]
    lists = {
        ids[k]: {ids[10 + (7 * k + j) % 65]: 1 / 7.5 for j in range(7)} | {ids[80 + k // 2]: 1 / 15}
        for k in range(10)
    }
    frame = pd.DataFrame(
        [
            (ids[i], f"Place number {i}", 2011 + t, y[i, t])
            for i in range(n)
            for t in range(periods)
        ],
        columns=["la", "name", "year", "m"],
    )
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"], name="name")
    rollout = dk.Rollout(dict.fromkeys(ids[:10], 2014))
    return dk.Design(panel, rollout, against=dk.MatchedSets(lists), selection="unknown")


@pytest.mark.parametrize("on_phone", [False, True])
def test_many_stay_apart_and_only_the_shared_are_named(on_phone: bool) -> None:
    ax = plot.neighbour_graph(wide_design(), phone(6.5) if on_phone else None)
    shared = ax.data.loc[ax.data["serves"] > 1, "other"].nunique()
    assert shared == 10
    named = [text for text in ax.texts if text.get_horizontalalignment() == "left"]
    assert len(named) == shared
    ax.figure.canvas.draw()
    boxes = sorted((t.get_window_extent() for t in named), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    edge = ax.figure.bbox.x1
    assert max(box.x1 for box in boxes) <= edge


def test_shuffled_lists_make_the_same_picture() -> None:
    table = neighbours().table
    one = plot.neighbour_graph(make_design(against=dk.Neighbours(table).union()))
    other = plot.neighbour_graph(
        make_design(against=dk.Neighbours(table.sample(frac=1, random_state=3)).union())
    )
    assert one.data.equals(other.data)
    assert np.array_equal(lines(one).get_segments(), lines(other).get_segments())


def test_a_pool_without_lists_has_words_only() -> None:
    ax = plot.neighbour_graph(make_design())
    assert title(ax) == (
        "One pool: each of 9 comparators serves each of 3 pilots; there are no lists"
    )
    assert not ax.collections
    assert not ax.axison
    assert ax.data.empty


def test_what_is_no_design_is_refused() -> None:
    with pytest.raises(DidkitError, match=r"estimate\.design"):
        plot.neighbour_graph(dk.DiD().fit(make_design(), "m"))  # type: ignore[arg-type]


def one_set(n: int = 40, pilots: int = 9, *, even: bool = False) -> dk.Design:
    """Every pilot has the same set: weights that double from one to the next, or even ones."""
    base = wide_design()
    ids = base.panel.unit_ids
    size = np.ones(n) if even else 1.1 ** np.arange(n)
    shared = dict(zip(ids[10 : 10 + n], (size / size.sum()).tolist(), strict=True))
    return dk.Design(
        base.panel,
        dk.Rollout(dict.fromkeys(ids[:pilots], 2014)),
        against=dk.MatchedSets(dict.fromkeys(ids[:pilots], shared)),
        selection="unknown",
    )


@pytest.mark.parametrize("on_phone", [False, True])
def test_one_set_for_all_is_drawn_once(on_phone: bool) -> None:
    design = one_set()
    ax = plot.neighbour_graph(design, phone(5.5) if on_phone else None)
    weight = np.array(list(design.sets[design.pilots[0]].values()))
    ess = 1 / (weight**2).sum()
    assert title(ax) == (f"One set of weights for all 9 pilots: 40 comparators count for {ess:.1f}")
    assert len(lines(ax).get_segments()) == 15
    heaviest = np.sort(weight)[::-1]
    wide = lines(ax).get_linewidths()
    assert np.corrcoef(wide, heaviest[:15])[0, 1] == pytest.approx(1)
    right = [t for t in ax.texts if t.get_horizontalalignment() == "left"]
    assert [t.get_text().split("%")[0] for t in right] == [
        *(f"{100 * w:.1f}" for w in heaviest[:15]),
        f"{100 * heaviest[15:].sum():.1f}",
    ]
    assert right[-1].get_text().endswith("25 others")
    assert "The 15 heaviest are named." in foot(ax)
    assert len(ax.data) == 9 * 40
    ax.figure.canvas.draw()
    for side in ("left", "right"):
        written = [t for t in ax.texts if t.get_horizontalalignment() == side]
        boxes = sorted((t.get_window_extent() for t in written), key=lambda box: box.y0)
        assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
        assert min(box.x0 for box in boxes) >= -1
        assert max(box.x1 for box in boxes) <= ax.figure.bbox.x1 + 1


def test_one_set_of_even_weights_and_many_pilots() -> None:
    even = plot.neighbour_graph(one_set(16, 2, even=True))
    assert title(even) == "One set of weights for all 2 pilots: 16 comparators, weighed alike"
    assert len(lines(even).get_segments()) == 16  # nobody is left over for one line
    assert "named" not in foot(even)
    many = one_set(20, 2)
    panel, ids = many.panel, many.panel.unit_ids
    crowd = dk.Design(
        panel,
        dk.Rollout(dict.fromkeys(ids[:31], 2014)),
        against=dk.MatchedSets({one: {ids[40]: 0.75, ids[41]: 0.25} for one in ids[:31]}),
        selection="unknown",
    )
    ax = plot.neighbour_graph(crowd)
    assert [t for t in texts(ax) if "pilot" in t] == ["31 pilots"]
    assert "2 comparators count for 1.60" in title(ax)


def test_sets_that_differ_are_drawn_one_by_one() -> None:
    ids = IDS
    near = {PILOTS[0]: {ids[3]: 0.5, ids[4]: 0.5}, PILOTS[1]: {ids[3]: 0.6, ids[4]: 0.4}}
    near[PILOTS[2]] = near[PILOTS[0]]
    ax = plot.neighbour_graph(make_design(against=dk.MatchedSets(near)))
    assert len(lines(ax).get_segments()) == 6
    assert "One set" not in title(ax)


def test_entropy_balancing_is_one_set() -> None:
    panel, design = dk.datasets.load_evaluation()
    on = dk.Covariates.from_panel(panel, means={"cin": (2014, 2016)})
    made = design.compared_with(dk.EntropyBalancing(on, missing="leave_out"))
    ax = plot.neighbour_graph(made)
    assert len(ax.texts) == len(made.pilots) + 16
    assert "One set of weights for all" in title(ax)


def test_one_comparator_and_one_pilot_are_said_in_the_singular() -> None:
    pool = dk.Pool([IDS[5]])
    ax = plot.neighbour_graph(make_design(starts={IDS[0]: 2014}, against=pool))
    assert title(ax) == "One pool: one comparator serves one pilot; there are no lists"
