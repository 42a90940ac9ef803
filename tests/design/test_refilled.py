"""A design on other numbers: what simulation needs, and nothing chosen again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import didkit as dk
from didkit.errors import DesignError, PanelError

rng = np.random.default_rng(5)
Y = 50 + rng.normal(size=(12, 5)).cumsum(axis=1)


def panel_of(y: np.ndarray, first: int = 2014) -> dk.Panel:
    frame = pd.DataFrame(
        [
            (f"{300 + j}", first + t, y[j, t])
            for j in range(y.shape[0])
            for t in range(y.shape[1])
            if np.isfinite(y[j, t])
        ],
        columns=["la", "year", "m"],
    )
    return dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"])


def design_of(panel: dk.Panel) -> dk.Design:
    on = dk.Covariates.from_panel(panel, values={"m": (2014, 2015)})
    return dk.Design(
        panel,
        dk.Rollout({"300": 2017, "301": 2017, "302": 2018}),
        against=dk.Matching(on, ratio=2),
        selection="unknown",
    )


def test_a_refilled_panel_is_the_panel_of_those_numbers() -> None:
    panel = panel_of(Y)
    other = Y**2
    other[4, 2] = np.nan
    made = panel.refilled(panel.metric("m"), other)
    pd.testing.assert_frame_equal(made.wide("m"), panel_of(other).wide("m"))
    np.testing.assert_array_equal(panel.cells("m").value, Y)  # the first is as it was
    assert made.cells("m").status[4, 2] == dk.Status.NOT_AVAILABLE


def test_comparators_are_not_chosen_again() -> None:
    design = design_of(panel_of(Y))
    panel = design.panel.refilled(design.panel.metric("m"), Y[::-1])
    moved = design.on_panel(panel)
    assert moved.sets == design.sets
    assert moved.starts == design.starts
    again = design_of(panel_of(Y[::-1]))
    assert again.sets != design.sets  # matched anew they would be others
    mine, theirs = (dk.DiD().fit(d, "m").values for d in (moved, again))
    assert not np.allclose(mine, theirs)
    fixed = again.compared_with(dk.MatchedSets(design.sets))
    np.testing.assert_allclose(dk.DiD().fit(fixed, "m").values, mine, rtol=1e-12)


def test_other_shapes_units_and_periods_are_refused() -> None:
    design = design_of(panel_of(Y))
    with pytest.raises(PanelError, match="12 × 5 numbers"):
        design.panel.refilled(design.panel.metric("m"), Y[:3])
    for other in (panel_of(Y[:11]), panel_of(Y, first=2013)):
        with pytest.raises(DesignError, match="a panel of the same units and periods"):
            design.on_panel(other)
