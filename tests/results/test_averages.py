"""The average authority and the average child: two numbers, both named."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, frame_of, noise, spread

import didkit as dk
from didkit.errors import EstimationError

N, T, START = 20, 6, 4
PILOTS = spread(N, 6, START)
SIZES = 1000.0 + 400.0 * (np.arange(N) * 7 % N)


def design(*, exposure: bool = True, growth: float = 0.0) -> dk.Design:
    """Authorities of different size; `growth` moves people in after the start."""
    frame = frame_of(noise(N, T, 3))
    sizes = dict(zip(codes(N), SIZES, strict=True))
    frame["children"] = frame["la"].map(sizes) * (1 + growth * (frame["year"] >= 2011 + START))
    panel = dk.Panel.from_frame(
        frame,
        unit="la",
        period="year",
        metrics=["m"],
        exposure="children" if exposure else None,
    )
    rollout = dk.Rollout({codes(N)[j]: 2011 + t for j, t in PILOTS.items()})
    return dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")


def by_hand(weight: np.ndarray) -> float:
    """Weighted means of the long differences, pilots less comparators."""
    y = noise(N, T, 3)
    long = y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)
    pilot = np.isin(np.arange(N), list(PILOTS))
    return float(
        np.average(long[pilot], weights=weight[pilot])
        - np.average(long[~pilot], weights=weight[~pilot])
    )


def test_both_are_weighted_means_of_the_long_differences():
    made = dk.DiD().fit(design(), "m").infer(dk.ClusterRobust("CR2"), level=0.9)
    both = made.averages().set_index("average")
    assert both.index.tolist() == ["average authority", "average child"]
    assert both.loc["average authority", "estimate"] == pytest.approx(by_hand(np.ones(N)))
    assert both.loc["average child", "estimate"] == pytest.approx(by_hand(SIZES))
    own = made.tidy().iloc[0]
    for name in ("estimate", "std_error", "p_value", "conf_low", "conf_high"):
        assert both.loc["average authority", name] == pytest.approx(own[name], rel=1e-12)
    other = dk.DiD(population="population").fit(design(), "m").infer(dk.ClusterRobust("CR2"))
    assert both.loc["average child", "std_error"] == pytest.approx(other.tidy()["std_error"][0])
    assert (both["inference"] == made.attached.method).all()


def test_asked_of_the_weighted_estimate_it_gives_the_same_table():
    plain = dk.DiD().fit(design(), "m").infer(dk.ClusterRobust("CR2"))
    weighted = dk.DiD(population="population").fit(design(), "m").infer(dk.ClusterRobust("CR2"))
    columns = ["estimate", "std_error", "conf_low", "conf_high"]
    np.testing.assert_allclose(plain.averages()[columns], weighted.averages()[columns], rtol=1e-10)


def test_people_who_move_in_after_the_start_change_nothing():
    still, moving = (dk.DiD().fit(design(growth=g), "m").infer(None) for g in (0.0, 0.5))
    np.testing.assert_allclose(still.averages()["estimate"], moving.averages()["estimate"])


def test_terms_stand_together_in_their_order():
    made = dk.EventStudy().fit(design(), "m").infer(dk.ClusterRobust("CR1"))
    both = made.averages()
    assert both["term"].tolist() == [t for t in made.terms["term"] for _ in range(2)]
    assert both["average"].tolist() == ["average authority", "average child"] * made.n_terms
    assert both["std_error"].notna().all()


def test_the_summary_prints_the_other():
    made = dk.DiD().fit(design(), "m").infer(None)
    (line,) = [line for line in made.summary().splitlines() if line.startswith("Average")]
    assert line.startswith("Average child (weighted by population): att ")
    assert "averages() shows both" in line
    weighted = dk.DiD(population="population").fit(design(), "m").infer(None)
    assert "Average authority: att " in weighted.summary()
    assert "each person counts once" in weighted.estimand
    without = dk.DiD().fit(design(exposure=False), "m").infer(None)
    assert "Average" not in without.summary().replace("average change", "")
    assert "Average" not in dk.Gap().fit(design(), "m").infer(None).summary()


def test_refusals_say_what_to_do():
    with pytest.raises(EstimationError) as caught:
        dk.Gap().fit(design(), "m").averages()
    assert "population=" in caught.value.needed
    with pytest.raises(EstimationError) as caught:
        dk.DiD().fit(design(exposure=False), "m").infer(None).averages()
    assert "counts people" in caught.value.needed
    assert "exposure=" in caught.value.todo
