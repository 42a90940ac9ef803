"""Small panels with hidden cells, and every way to fill them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from helpers import FIRST, codes, frame_of

import didkit as dk

N, T = 8, 4
COUNT = dk.Metric(name="m", label="Plans", kind="count", unit="plans")
ONE = {1: 2, 4: 2, 6: 2}
SEVERAL = {1: 2, 4: 3, 6: 2}
HIDDEN = [(1, 0), (4, 3), (5, 2), (0, 1)]


def counts(seed: int, n: int = N, t: int = T) -> np.ndarray:
    return np.random.default_rng(seed).poisson(12, size=(n, t)).astype(float)


def hiding(
    y: np.ndarray,
    hidden: dict[tuple[int, int], tuple[float, float]],
    starts: dict[int, int],
    *,
    metric: dk.Metric = COUNT,
    empty: dict[tuple[int, int], str] | None = None,
    rounding: float = 0.0,
    seed: int | None = None,
    against: object = None,
) -> dk.Design:
    """Make a design in which some cells are suppressed within bounds, and others are empty."""
    frame = frame_of(y).assign(s="observed")
    frame["lo"], frame["hi"] = frame["m"] - rounding, frame["m"] + rounding
    for (j, t), (low, high) in hidden.items():
        row = (frame["la"] == codes(len(y))[j]) & (frame["year"] == FIRST + t)
        frame.loc[row, ["m", "lo", "hi"]] = np.nan, low, high
        frame.loc[row, "s"] = "suppressed"
    for (j, t), status in (empty or {}).items():
        row = (frame["la"] == codes(len(y))[j]) & (frame["year"] == FIRST + t)
        frame.loc[row, ["m", "lo", "hi"]] = np.nan
        frame.loc[row, "s"] = status
    if seed is not None:
        frame = frame.sample(frac=1, random_state=seed)
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics={"m": metric}, status={"m": "s"},
        lower={"m": "lo"}, upper={"m": "hi"},
    )  # fmt: skip
    rollout = dk.Rollout({codes(len(y))[j]: FIRST + t for j, t in starts.items()})
    return dk.Design(panel, rollout, against=against or dk.Pool(), selection="unknown")


def completed(design: dk.Design, y: np.ndarray, cells, numbers) -> dk.Design:
    """Fill hidden cells with numbers."""
    filled = y.copy()
    for (j, t), number in zip(cells, numbers, strict=True):
        filled[j, t] = number
    panel = design.panel
    return design.on_panel(panel.refilled(panel.metric("m"), filled))


def every(design, y, cells, ranges):
    """Give the design with every completion in whole numbers."""
    for numbers in itertools.product(*(range(int(a), int(b) + 1) for a, b in ranges)):
        yield numbers, completed(design, y, cells, numbers)


def on(estimate: dk.Estimate, design: dk.Design) -> dk.Estimate:
    """The estimate, as made on a design whose panel hides some of its cells."""
    return replace(estimate, design=design)
