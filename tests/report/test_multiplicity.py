"""P-values are adjusted inside each family, over the tests that there are."""

from __future__ import annotations

import pytest

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
