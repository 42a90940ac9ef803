"""How often a true null is rejected at 5 %: nine pilots and thirty-six comparators."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, frame_of, spread

from didkit.design import Design, Pool, Rollout
from didkit.estimate import DiD
from didkit.inference import ClusterRobust, Permutation
from didkit.panel import Panel

N1, N0, T, START = 9, 36, 4, 2
METHODS = {
    "permutation t": Permutation("t", draws=99, seed=1),
    "CR2-BM": ClusterRobust("CR2"),
    "CR1 normal": ClusterRobust("CR1", df="normal"),
}


def rejections(seeds: range) -> dict[str, float]:
    """Shares of rejections; unit effects, period effects and noise, no effect of treatment."""
    starts = spread(N1 + N0, N1, START)
    found = dict.fromkeys(METHODS, 0)
    frame = frame_of(np.zeros((N1 + N0, T)))[["la", "year"]]
    columns = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        y = rng.normal(size=(N1 + N0, 1)) + rng.normal(size=T) + rng.normal(size=(N1 + N0, T))
        columns[f"m{seed}"] = y.ravel()
    frame = pd.concat([frame, pd.DataFrame(columns)], axis=1)
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=list(columns))
    rollout = Rollout({codes(N1 + N0)[j]: FIRST + t for j, t in starts.items()})
    design = Design(panel, rollout, against=Pool(), selection="random")
    for metric in columns:
        made = DiD("complete").fit(design, metric)  # balanced: two-way fixed effects
        for name, inference in METHODS.items():
            found[name] += made.infer(inference).uncertainty.p_value[0] <= 0.05
    return {name: count / len(seeds) for name, count in found.items()}


def hold(found: dict[str, float], low: float, high: float) -> None:
    assert low <= found["permutation t"] <= high
    assert low <= found["CR2-BM"] <= high
    assert found["CR1 normal"] > found["CR2-BM"] + 0.01
    assert found["CR1 normal"] > 0.06


def test_permutation_and_cr2_hold_their_size_and_cr1_does_not():
    hold(rejections(range(400)), 0.02, 0.08)


@pytest.mark.slow
def test_size_with_ten_times_as_many_seeds():
    hold(rejections(range(4000)), 0.04, 0.06)
