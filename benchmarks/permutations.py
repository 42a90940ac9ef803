"""10,000 permutations of t of one metric, beside refitting linearmodels (scaled from 30)."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from linearmodels import PanelOLS

import didkit as dk
from didkit.inference.assignments import assignments

N_UNITS, N_PERIODS, N_PILOTS, START = 152, 12, 10, 7
DRAWS, REFITS = 10_000, 30


def made(seed: int = 1, missing: int = 5) -> dk.Design:
    """Return a design on noise, with a few cells missing so that nothing is balanced."""
    rng = np.random.default_rng(seed)
    values = rng.normal(300, 40, (N_UNITS, N_PERIODS)) + rng.normal(0, 90, (N_UNITS, 1))
    values[rng.integers(0, N_UNITS, missing), rng.integers(0, N_PERIODS, missing)] = np.nan
    frame = pd.DataFrame(
        {
            "la": np.repeat(np.arange(201, 201 + N_UNITS), N_PERIODS),
            "year": np.tile(np.arange(2009, 2009 + N_PERIODS), N_UNITS),
            "cin": values.ravel(),
        }
    )
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    pilots = dict.fromkeys((str(code) for code in range(201, 201 + N_PILOTS)), 2009 + START)
    return dk.Design(panel, dk.Rollout(pilots), against=dk.Pool(), selection="unknown")


def refit_linearmodels(design: dk.Design, labels: np.ndarray) -> np.ndarray:
    """Return t statistics from one regression a draw."""
    sample = design.sample("cin")
    index = pd.MultiIndex.from_product([sample.units, range(len(sample.periods))])
    y = pd.Series(sample.y.ravel(), index=index, name="y")
    keep = y.notna()
    post = np.arange(len(sample.periods)) >= START
    found = []
    for row in labels:
        d = pd.Series(((row >= 0)[:, None] & post).ravel().astype(float), index=index, name="d")
        model = PanelOLS(y[keep], d[keep].to_frame(), entity_effects=True, time_effects=True)
        fit = model.fit(cov_type="clustered", cluster_entity=True)
        found.append(fit.tstats["d"])
    return np.array(found)


def main() -> None:
    """Time both in one run, and hold the statistics against each other."""
    design = made()
    estimate = dk.DiD().fit(design, "cin")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        chosen = assignments(estimate.sample, draws=DRAWS, seed=1)
        drawn = estimate.reassigned(chosen.labels)
        t = drawn.b[:, 0] / np.sqrt(drawn.v0[:, 0])
        times.append(time.perf_counter() - start)
    ours = float(np.median(times))
    start = time.perf_counter()
    whole = estimate.infer(dk.Permutation("t", draws=DRAWS, seed=1))
    inverted = time.perf_counter() - start
    start = time.perf_counter()
    theirs_t = refit_linearmodels(design, chosen.labels[:REFITS])
    theirs = (time.perf_counter() - start) * DRAWS / REFITS
    ratio = t[:REFITS] / theirs_t  # one constant: the small-sample factor
    assert np.ptp(ratio) < 1e-6 * np.abs(ratio).mean()
    print(
        f"{N_UNITS} × {N_PERIODS}, {DRAWS:,} permutations of t: didkit {ours:.3f} s, with the "
        f"interval inverted {inverted:.3f} s (p = {whole['att']['p_value']:.3f}); "
        f"linearmodels.PanelOLS {theirs:.0f} s (scaled from {REFITS}): {theirs / ours:,.0f} times; "
        f"statistics agree to {np.ptp(ratio) / np.abs(ratio).mean():.0e}"
    )


if __name__ == "__main__":
    main()
