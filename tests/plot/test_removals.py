"""Pictures of removals: titles with the numbers, rows in order, names that fit a phone."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import didkit as dk
from didkit.plot import draw


@pytest.fixture(scope="module")
def did():
    _, design = dk.datasets.load_evaluation()
    return dk.DiD().fit(design, "cin").infer(dk.ClusterRobust("CR2"))


def labels(ax) -> list[str]:
    return [tick.get_text() for tick in ax.get_yticklabels()]


def narrow():
    return Figure(figsize=(4, 5), layout="constrained").add_subplot()


def test_periods_stay_in_order_with_their_intervals(did):
    found = did.check(dk.LeaveOneOut("periods", inference="own"))
    ax = draw(found)
    assert ax.data["left_out"].tolist() == list(did.sample.periods)[::-1]
    assert labels(ax)[-1] == f"without {did.sample.periods[0]}"
    assert "one period at a time" in ax.get_title(loc="left")
    assert {"conf_low", "conf_high"} <= set(ax.data)
    assert "intervals of the refits" in ax.get_xlabel()


def test_regions_are_called_regions(did):
    ax = draw(did.check(dk.LeaveOneOut("regions")))
    assert "one region at a time" in ax.get_title(loc="left")
    assert ax.data["estimate"].is_monotonic_increasing
    assert "conf_low" not in ax.data


@pytest.mark.parametrize("units", ["pilots", "all"])
def test_the_worst_pairs_stand_at_the_ends(did, units):
    found = did.check(dk.LeaveTwoOut(units))
    ax = draw(found)
    shown = ax.data[ax.data["shown"]]
    assert len(shown) == 16 == len(labels(ax))
    assert shown["estimate"].iloc[0] == found.facts["lowest"]
    assert shown["estimate"].iloc[-1] == found.facts["highest"]
    between = f"{len(ax.data) - 16:,} pairs between"
    assert any(text.get_text() == between for text in ax.texts)
    assert labels(ax)[0].startswith(str(shown["name"].iloc[0])[:6])


def test_the_path_of_a_removal_starts_with_nobody_and_turns_at_its_end(did):
    found = did.check(dk.SmallestRemoval())
    ax = draw(found)
    assert labels(ax)[0] == "nobody removed"
    assert labels(ax)[1] == f"− {found.table['name'].iloc[1]}"
    assert ax.data["estimate"].iloc[0] * ax.data["estimate"].iloc[-1] < 0
    words = " ".join(ax.get_title(loc="left").split())
    assert f"Without {int(found.facts['size'])} of {int(found.facts['of'])} authorities" in words


def test_cells_keep_their_period_on_a_phone(did):
    found = did.check(dk.SmallestRemoval("cells"))
    ax = draw(found, narrow())
    for label, period in zip(labels(ax)[1:], found.table["period"].iloc[1:], strict=True):
        assert label.endswith(period)
        assert len(label) <= 19


def test_intervals_are_drawn_where_zero_is_asked_about(did):
    ax = draw(did.check(dk.SmallestRemoval("pilots", "zero")))
    assert "zero is on the other side" in " ".join(ax.get_title(loc="left").split())
    assert np.isfinite(ax.data["conf_low"]).all()
    assert "95% intervals" in ax.get_xlabel()


def test_unaffected_outcomes_stand_under_the_main_one(did):
    found = did.check(dk.UnaffectedOutcomes(["cla", "icpc", "cpp"]))
    for ax in (draw(found), draw(found, narrow())):
        assert ax.data["kind"].tolist() == ["main", *["unaffected"] * 3]
        assert ax.data["standardised"].iloc[1:].abs().is_monotonic_decreasing
        assert "joint p" in " ".join(ax.get_title(loc="left").split())
    main = ax.data.iloc[0]
    ratio = main["standardised"] / did.values[0]
    assert main["standardised_low"] == pytest.approx(did["att"]["conf_low"] * ratio)
