"""The map of what is missing: every colour and letter stands where its status is."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from plot.places import IDS, NAMES, foot, make_design, make_panel, title, values

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError, PanelError
from didkit.panel import Status
from didkit.plot.statuses import _COLOURS, _LETTERS
from didkit.plot.style import COMPARATOR, PILOT

CELLS = {
    (0, 0): "suppressed",
    (5, 1): "not available",
    (5, 2): "not applicable",
    (8, 4): "suppressed",
    (11, 5): "not available",
}


def drawn(ax: Axes) -> np.ndarray:
    """The colour of every cell of the map."""
    (image,) = ax.images
    rgba = image.cmap(image.norm(np.asarray(image.get_array())))
    return np.array([[to_hex(cell).upper() for cell in row] for row in rgba])


def labels(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_colours_and_letters_are_the_statuses_by_position() -> None:
    ax = plot.missing(make_panel(statuses=CELLS), "m")
    hues = drawn(ax)
    assert hues.shape == (12, 6)
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text()
               for t in ax.texts}  # fmt: skip
    for j in range(12):
        for t in range(6):
            status = Status.from_label(CELLS.get((j, t), "observed"))
            assert hues[j, t] == _COLOURS[status].upper()
            assert written.get((j, t), "") == _LETTERS[status]
    assert labels(ax) == list(NAMES)
    assert ax.yaxis_inverted()
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(2011 + t) for t in range(6)]


def test_the_frame_is_the_statuses_of_the_panel() -> None:
    panel = make_panel(statuses=CELLS)
    data = plot.missing(panel, "m").data
    wide = data.pivot_table(index="unit", columns="period", values="status", aggfunc="first")
    assert (wide.to_numpy() == panel.wide("m", what="status").to_numpy()).all()
    assert data["shown"].all()
    assert set(data["arm"]) == {""}


def test_colours_and_letters_differ_between_statuses() -> None:
    assert len(set(_COLOURS.values())) == len(Status) == len(_COLOURS)
    assert len(set(_LETTERS.values())) == len(Status) == len(_LETTERS)


def test_pilots_stand_on_top_in_their_colour() -> None:
    starts = {IDS[11]: 2014, IDS[5]: 2014}
    design = dk.Design(
        make_panel(statuses=CELLS), dk.Rollout(starts), against=dk.Pool(), selection="unknown"
    )
    ax = plot.missing(design, "m")
    pilots = sorted([NAMES[11], NAMES[5]])
    assert labels(ax)[:2] == pilots
    hues = [label.get_color() for label in ax.get_yticklabels()]
    assert hues == [PILOT] * 2 + [COMPARATOR] * 10
    assert ax.data["arm"].tolist() == ["pilot"] * 12 + ["comparator"] * 60
    at = labels(ax).index(NAMES[5])
    assert drawn(ax)[at, 1] == _COLOURS[Status.NOT_AVAILABLE].upper()
    assert "Pilots above the line." in foot(ax)
    cut = [line for line in ax.get_lines() if line.get_linewidth() == 1.4]
    assert [float(line.get_ydata()[0]) for line in cut] == [1.5]


def test_the_window_of_a_design_is_what_is_drawn() -> None:
    design = dk.Design(
        make_panel(statuses=CELLS),
        dk.Rollout({"304": 2014}),
        against=dk.Pool(),
        selection="unknown",
        periods=(2012, 2015),
    )
    ax = plot.missing(design, "m")
    assert ax.data["period"].unique().tolist() == ["2012", "2013", "2014", "2015"]
    assert title(ax) == (
        "2 of 12 authorities lack a value of m in at least one of 4 periods, most in 2012 (1)"
    )


def test_the_title_counts_authorities_and_names_the_worst_period() -> None:
    worst = CELLS | {(2, 1): "suppressed", (3, 1): "suppressed"}
    ax = plot.missing(make_panel(statuses=worst), "m")
    assert title(ax) == (
        "6 of 12 authorities lack a value of m in at least one of 6 periods, most in 2012 (3)"
    )
    one = plot.missing(make_panel(statuses={(3, 2): "suppressed"}), "m")
    assert title(one).startswith("1 of 12 authorities lacks a value")


def test_the_key_names_what_is_there_with_the_number_of_cells() -> None:
    key = plot.missing(make_panel(statuses=CELLS), "m").get_legend()
    said = {
        text.get_text(): to_hex(patch.get_facecolor()).upper()
        for text, patch in zip(key.get_texts(), key.get_patches(), strict=True)
    }
    assert said == {
        "observed (67)": _COLOURS[Status.OBSERVED].upper(),
        "s suppressed (2)": _COLOURS[Status.SUPPRESSED].upper(),
        "n not available (2)": _COLOURS[Status.NOT_AVAILABLE].upper(),
        "– not applicable (1)": _COLOURS[Status.NOT_APPLICABLE].upper(),
    }


def many(statuses: dict[tuple[int, int], str], n: int) -> dk.Panel:
    y = np.tile(values(), (n // 12 + 1, 1))[:n]
    return make_panel(y, statuses=statuses, names=tuple(f"Place {j}" for j in range(n)))


def test_of_many_only_those_with_a_gap_are_shown_and_the_foot_counts_the_others() -> None:
    ax = plot.missing(many({(7, 0): "suppressed", (44, 3): "not available"}, 50), "m")
    assert labels(ax) == ["Place 7", "Place 44"]
    assert drawn(ax)[0, 0] == _COLOURS[Status.SUPPRESSED].upper()
    assert drawn(ax)[1, 3] == _COLOURS[Status.NOT_AVAILABLE].upper()
    assert "48 authorities observed in every period are not shown." in foot(ax)
    shown = ax.data.loc[ax.data["shown"], "name"].unique().tolist()
    assert shown == ["Place 7", "Place 44"]
    assert len(ax.data) == 50 * 6


def test_of_very_many_the_widest_gaps_are_shown() -> None:
    cells = {(j, t): "suppressed" for j in range(70) for t in range(1 + (j % 7 == 0))}
    ax = plot.missing(many(cells, 80), "m")
    assert len(labels(ax)) == 60
    wide = [f"Place {j}" for j in range(0, 70, 7)]
    assert set(wide) <= set(labels(ax))
    assert "10 with fewer gaps than these are not shown." in foot(ax)


def test_when_nothing_is_missing_it_says_so() -> None:
    ax = plot.missing(make_design(), "m")
    assert title(ax) == "All 12 authorities have a value of m in all 6 periods"
    ax = plot.missing(many({}, 50), "m")
    assert title(ax) == "All 50 authorities have a value of m in all 6 periods"
    assert labels(ax) == ["all 50 authorities"]
    assert (drawn(ax) == _COLOURS[Status.OBSERVED].upper()).all()


def test_what_is_neither_panel_nor_design_is_refused() -> None:
    with pytest.raises(DidkitError, match=r"estimate\.design"):
        plot.missing(dk.DiD().fit(make_design(), "m"), "m")  # type: ignore[arg-type]
    with pytest.raises(PanelError):
        plot.missing(make_panel(), "nothing")
