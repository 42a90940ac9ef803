"""A small made-up place for the tests of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd

import didkit as dk
from didkit.panel import Metric

EVIL = '<script>alert("x")</script>'


def make_design(*, shift: float = 0.0, evil: str = "", starts: int = 2014) -> dk.Design:
    """Four of sixteen places, some 20 below; `shift` is added to them from the start on."""
    rng = np.random.default_rng(7)
    rows = []
    for j in range(16):
        for t in range(6):
            pilot = j < 4
            rate = 100 + 3 * rng.standard_normal() + 2 * t - 20 * pilot
            rate += shift * (pilot and 2011 + t >= starts)
            name = f"{evil}Place {j}" if evil else f"Place {j}"
            children = 10_000
            rows.append((301 + 3 * j, name, 2011 + t, rate, round(rate), children))
    frame = pd.DataFrame(rows, columns=["la", "name", "year", "cla", "cla_count", "population"])
    panel = dk.Panel.from_frame(
        frame,
        unit="la",
        period="year",
        metrics={"cla": Metric.named("cla"), "cla_count": Metric.named("cla_count")},
        exposure="population",
        name="name",
        release=evil or None,
    )
    return dk.Design(
        panel,
        dk.Rollout({str(301 + 3 * j): starts for j in range(4)}),
        against=dk.Pool(),
        selection="bid",
    )
