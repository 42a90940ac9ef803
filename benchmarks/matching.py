"""Matching of 150 units: 10 pilots by every kind, and optimal matching of 75 with 75."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from didkit.design import (
    CardinalityMatching,
    Covariates,
    EntropyBalancing,
    Matched,
    Matching,
    SyntheticWeights,
)

N_UNITS, N_COVARIATES, N_PILOTS, RUNS = 150, 5, 10, 21


def made(seed: int = 1) -> Covariates:
    """Return correlated covariates, the first units a little higher than the others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N_UNITS, N_COVARIATES)) @ (np.eye(N_COVARIATES) + 0.3)
    x[:N_PILOTS] += 0.3
    index = [str(201 + i) for i in range(N_UNITS)]
    return Covariates(pd.DataFrame(x, index=index, columns=[f"c{i}" for i in range(N_COVARIATES)]))


def timed(matching: Matched, on: Covariates, n_pilots: int, runs: int = RUNS) -> float:
    """Return the median time of one matching, in milliseconds; the first run is not counted."""
    pilots, candidates = on.units[:n_pilots], on.units[n_pilots:]
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        matching.match(pilots, candidates)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[1:]))


def main() -> None:
    """Time each kind."""
    on = made()
    optimal = Matching(on, method="optimal")
    print(f"optimal, {N_UNITS // 2} with {N_UNITS // 2}: {timed(optimal, on, N_UNITS // 2):.1f} ms")
    kinds = {
        "optimal": optimal,
        "optimal, 5 each": Matching(on, method="optimal", ratio=5),
        "nearest, 5 each": Matching(on, ratio=5),
        "nearest, 5 each, once": Matching(on, ratio=5, replace=False),
        "propensity": Matching(on, distance="propensity"),
        "entropy balancing": EntropyBalancing(on),
        "synthetic weights": SyntheticWeights(on),
    }
    for name, matching in kinds.items():
        print(f"{name}, {N_PILOTS} pilots: {timed(matching, on, N_PILOTS):.1f} ms")
    for tolerance in (0.1, 0.05, 0.02):
        cardinality = CardinalityMatching(on, tolerance=tolerance)
        spent = timed(cardinality, on, N_PILOTS, runs=3)
        print(f"cardinality within {tolerance}, {N_PILOTS} pilots: {spent:.0f} ms")


if __name__ == "__main__":
    main()
