"""10,000 placebo designs for each of several numbers of pilots: a power curve from pre-periods."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

import didkit as dk

N_UNITS, N_PERIODS, N_PILOTS, START = 152, 12, 10, 8
PILOTS = [3, 5, 7, 9, 12, 15, 20, 30]
DRAWS = 10_000


def made(seed: int = 1) -> dk.Design:
    """Return a design on skewed noise that carries over from year to year."""
    rng = np.random.default_rng(seed)
    values = np.empty((N_UNITS, N_PERIODS))
    values[:, 0] = rng.gamma(4, 20, N_UNITS)
    for t in range(1, N_PERIODS):
        values[:, t] = 0.5 * values[:, t - 1] + rng.gamma(4, 10, N_UNITS)
    frame = pd.DataFrame(
        {
            "la": np.repeat(np.arange(201, 201 + N_UNITS), N_PERIODS),
            "year": np.tile(np.arange(2009, 2009 + N_PERIODS), N_UNITS),
            "cin": 300 + values.ravel(),
        }
    )
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    pilots = dict.fromkeys((str(code) for code in range(201, 201 + N_PILOTS)), 2009 + START)
    return dk.Design(panel, dk.Rollout(pilots), against=dk.Pool(), selection="unknown")


def main() -> None:
    """Time the curve over numbers of pilots, and one simulated design beside it."""
    design = made()
    check = dk.DetectableEffect()
    for statistic in ("t", "beta"):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            power = check.resampled(
                design, "cin", pilots=PILOTS, draws=DRAWS, statistic=statistic, seed=1
            )
            times.append(time.perf_counter() - start)
        found = ", ".join(
            f"{int(row.pilots)}: {row.detectable:.1f}" for row in power.designs().itertuples()
        )
        print(
            f"{len(PILOTS)} numbers of pilots × {DRAWS:,} placebo designs × "
            f"{len(power.table) // len(PILOTS)} effects, {statistic}: {np.median(times):.2f} s "
            f"(smallest detectable effect by pilots {found})"
        )
    start, replications = time.perf_counter(), 100
    check.simulated(design, "cin", replications=replications)
    each = (time.perf_counter() - start) / replications
    print(f"simulated, DiD with CR2: {1000 * each:.0f} ms a panel")


if __name__ == "__main__":
    main()
