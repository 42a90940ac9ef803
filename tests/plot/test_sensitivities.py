"""The picture of a sensitivity: intervals where the table says, and where zero enters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import design_of, noise, spread, treated
from plot.places import foot, phone, texts, title

import didkit as dk
from didkit.plot.sensitivities import sensitivity

N, T, START = 14, 7, 4
STARTS = spread(N, 4, START)


@pytest.fixture(scope="module", name="events")
def events_() -> dk.Estimate:
    y = noise(N, T, 4, scale=2.0) - 14 * treated((N, T), STARTS)
    return dk.EventStudy().fit(design_of(y, STARTS), "m").infer(dk.Permutation(draws=99, seed=1))


@pytest.fixture(scope="module", name="found")
def found_(events: dk.Estimate) -> dk.Finding:
    return events.check(dk.Sensitivity(sizes=(0, 1, 3)))


def intervals(ax) -> dict[float, tuple[float, float]]:
    """Thin vertical lines by where they stand."""
    return {
        line.get_xdata()[0]: tuple(line.get_ydata())
        for line in ax.get_lines()
        if line.get_linewidth() == 1.6 and line.get_marker() == "None"
    }


def test_intervals_stand_at_their_sizes_and_the_printed_one_first(found):
    ax = sensitivity(found)
    drawn = intervals(ax)
    assert len(drawn) == len(ax.data) == 7
    for row in ax.data.itertuples():
        assert drawn[row.x] == (row.conf_low, row.conf_high)
    assert ax.data["x"].idxmin() == 0
    assert ax.data["x"].iloc[0] < 0
    (hollow,) = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]
    assert hollow.get_ydata()[0] == pytest.approx(found.estimate.values[3])
    thick = [line for line in ax.get_lines() if line.get_linewidth() == 5]
    assert {tuple(line.get_ydata()) for line in thick} == {
        (row.identified_low, row.identified_high) for row in ax.data.itertuples() if row.size > 0
    }


def test_methods_are_told_apart_by_labels_not_a_legend(found):
    ax = found.plot()
    assert {"permutation", "hybrid"} <= set(texts(ax))
    assert ax.get_legend() is None
    places = ax.data[ax.data["size"] == 1].set_index("method")["x"]
    assert places["permutation"] < 1 < places["hybrid"]
    assert ax.data.groupby("method")["main"].all().to_dict() == {
        "as printed": False, "hybrid": False, "permutation": True,
    }  # fmt: skip
    assert "Hollow" in foot(ax)


def test_the_breakdown_is_marked_and_in_the_title(found):
    ax = found.plot()
    size = found.facts["breakdown"]
    said = dk.results.tables.number(size)
    assert f"zero enters\nat {said}" in texts(ax)
    assert f"may jump apart {said} times as far as before" in " ".join(title(ax).split())
    (mark,) = [line for line in ax.get_lines() if list(line.get_xdata()) == [size, size]]
    assert mark.get_linestyle() == "--"


def test_titles_at_the_beginning_and_beyond(events):
    none = events.refit(design_of(noise(N, T, 4), STARTS)).infer(dk.Permutation(draws=99))
    inside = none.check(dk.Sensitivity(sizes=(0, 1), method="permutation")).plot()
    assert "even if trends ran parallel" in " ".join(title(inside).split())
    far = noise(N, T, 4, scale=0.1) - 900 * treated((N, T), STARTS)
    far_off = dk.EventStudy().fit(design_of(far, STARTS), "m").infer(dk.ClusterRobust("CR2"))
    beyond = far_off.check(dk.Sensitivity(dk.Smoothness(), method="fixed_length")).plot()
    assert "stays outside" in title(beyond)
    assert not [text for text in texts(beyond) if "zero enters" in text]
    assert "fixed\nlength" in texts(beyond)


def test_open_ends_run_to_the_edge(events):
    y = noise(5, T, 1) - 9 * treated((5, T), {2: START})
    few = dk.EventStudy().fit(design_of(y, {2: START, 4: START}), "m")
    ax = few.check(dk.Sensitivity(sizes=(0, 1), method="permutation")).plot()
    low, high = ax.get_ylim()
    assert intervals(ax)[1.0] == (low, high)
    assert np.isfinite([low, high]).all()


def test_one_size_alone_and_a_phone(found, events):
    single = events.check(dk.Sensitivity(sizes=(0,), method="permutation")).plot()
    assert intervals(single).keys() == set(single.data["x"])
    ax = sensitivity(found, phone(4.6))
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.get_xticklabels() if text.get_text()]
    apart = [b.x0 - a.x1 for a, b in itertools.pairwise(boxes)]
    assert min(apart) > 0
