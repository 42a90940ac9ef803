"""P-values are adjusted inside each family, over the tests that there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import codes, noise, spread

import didkit as dk
from didkit.report.multiplicity import adjust


def test_adjusted_inside_each_family() -> None:
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.04, "e": float("nan")}
    families = {"primary": ["a", "b", "c"], "secondary": ["d", "e"]}
    holm, notes = adjust(p, families, "holm")
    assert holm["a"] == pytest.approx(0.03)
    assert holm["c"] == holm["b"] == pytest.approx(0.06)
    assert holm["d"] == 0.04
    assert holm["e"] != holm["e"]
    assert any("e without a p-value, not counted" in note for note in notes)
    assert any("intervals are not adjusted" in note for note in notes)
    hochberg, _ = adjust(p, families, "benjamini-hochberg")
    assert hochberg["a"] == pytest.approx(0.03)
    assert hochberg["b"] == hochberg["c"] == pytest.approx(0.04)
    assert adjust(p, families, "none") == ({}, ())


def together(gap: bool) -> dict[str, dk.Estimate]:
    """Two metrics of the same units; with a gap the second lacks a unit's cell."""
    n, ids = 30, codes(30)
    y = {"m": noise(n, 4, 1), "k": noise(n, 4, 2)}
    if gap:
        y["k"][3, 0] = np.nan
    rows = [
        {"la": ids[j], "year": 2011 + t} | {name: one[j, t] for name, one in y.items()}
        for j in range(n)
        for t in range(4)
    ]
    panel = dk.Panel.from_frame(pd.DataFrame(rows), unit="la", period="year", metrics=list(y))
    starts = {ids[j]: 2011 + t for j, t in spread(n, 7, 2).items()}
    design = dk.Design(panel, dk.Rollout(starts), against=dk.Pool(), selection="unknown")
    estimator = dk.DiD("complete")
    return {name: estimator.fit(design, name).infer(dk.Permutation(draws=199)) for name in y}


def test_joint_methods_draw_from_the_estimates() -> None:
    made = together(gap=False)
    p = {name: float(one.attached.p_value[0]) for name, one in made.items()}
    adjusted, notes = adjust(p, {"primary": list(made)}, "romano-wolf", made)
    expected = dk.adjusted_p_values(list(made.values()), methods=("romano-wolf",))
    assert adjusted == dict(zip(expected["metric"], expected["romano-wolf"], strict=True))
    assert all(adjusted[name] >= p[name] for name in p)
    assert any("adjusted together by Romano and Wolf's step-down" in note for note in notes)


def test_what_cannot_be_drawn_together_is_not_adjusted_and_says_why() -> None:
    made = together(gap=True)
    p = {name: float(one.attached.p_value[0]) for name, one in made.items()}
    adjusted, notes = adjust(p, {"primary": list(made)}, "max-t", made)
    assert np.isnan(list(adjusted.values())).all()
    assert any(
        note.startswith("primary metrics are not adjusted by the largest t") for note in notes
    )
