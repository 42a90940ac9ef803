"""10,000 permutations of t of one metric with two covariates, beside refits by another program.

The peer is a loop over pyfixest, or over linearmodels where pyfixest is not installed, timed in the
same run on the first 30 draws and scaled. pyfixest's small-sample factor is left out (with two
fixed effects, one of them the cluster, its K depends on the hash seed of the process), so that the
statistics differ by one known constant.
"""

from __future__ import annotations

import importlib.util
import time
import tracemalloc

import numpy as np
import pandas as pd

import didkit as dk
from didkit.inference.assignments import assignments

N_UNITS, N_PERIODS, N_PILOTS, START = 152, 12, 10, 7
DRAWS, REFITS, MANY = 10_000, 30, 99_999
COVARIATES = ("population", "poverty")


def made(seed: int = 1, missing: int = 5) -> dk.Design:
    """Return a design on noise, with a few cells missing so that nothing is balanced."""
    rng = np.random.default_rng(seed)
    shape = (N_UNITS, N_PERIODS)
    values = rng.normal(300, 40, shape) + rng.normal(0, 90, (N_UNITS, 1))
    values[rng.integers(0, N_UNITS, missing), rng.integers(0, N_PERIODS, missing)] = np.nan
    people = rng.uniform(2e4, 2e5, (N_UNITS, 1)) * np.exp(0.01 * rng.normal(size=shape).cumsum(1))
    frame = pd.DataFrame(
        {
            "la": np.repeat(np.arange(201, 201 + N_UNITS), N_PERIODS),
            "year": np.tile(np.arange(2009, 2009 + N_PERIODS), N_UNITS),
            "cin": values.ravel(),
            "population": people.ravel(),
            "poverty": rng.normal(20, 3, shape).ravel(),
        }
    )
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["cin", *COVARIATES])
    pilots = dict.fromkeys((str(code) for code in range(201, 201 + N_PILOTS)), 2009 + START)
    return dk.Design(panel, dk.Rollout(pilots), against=dk.Pool(), selection="unknown")


def rows_of(design: dk.Design, covariates: tuple[str, ...]) -> pd.DataFrame:
    """Lay the sample out as rows: unit, period, outcome and covariates."""
    sample = design.sample("cin", covariates=covariates)
    n, t = sample.y.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), t),
            "period": np.tile(np.arange(t), n),
            "y": sample.y.ravel(),
            **{name: sample.x[:, c].ravel() for c, name in enumerate(covariates)},
        }
    )
    return frame[frame["y"].notna()]


def by_pyfixest(design: dk.Design, labels: np.ndarray, covariates: tuple[str, ...]) -> np.ndarray:
    """Return t statistics (CRV1 by unit, factor left out) from one regression a draw."""
    import pyfixest

    rows = rows_of(design, covariates)
    formula = " + ".join(["y ~ d", *covariates]) + " | unit + period"
    plain = pyfixest.ssc(k_adj=False, G_adj=False)
    found = []
    for row in labels:
        d = (row[rows["unit"]] >= 0) & (rows["period"] >= START)
        fit = pyfixest.feols(
            formula,
            data=rows.assign(d=d.astype(float)),
            vcov={"CRV1": "unit"},
            ssc=plain,
        )
        found.append(fit.tstat()["d"])
    return np.array(found)


def by_linearmodels(
    design: dk.Design, labels: np.ndarray, covariates: tuple[str, ...]
) -> np.ndarray:
    """Return t statistics (clustered by unit) from one regression a draw."""
    from linearmodels import PanelOLS

    rows = rows_of(design, covariates).set_index(["unit", "period"], drop=False)
    found = []
    for row in labels:
        d = (row[rows["unit"]] >= 0) & (rows["period"] >= START)
        right = rows[list(covariates)].assign(d=d.astype(float))
        model = PanelOLS(rows["y"], right, entity_effects=True, time_effects=True)
        found.append(model.fit(cov_type="clustered", cluster_entity=True).tstats["d"])
    return np.array(found)


def compared(design: dk.Design, covariates: tuple[str, ...]) -> None:
    """Time both in one run, and hold the statistics against each other."""
    estimate = dk.DiD(covariates=covariates).fit(design, "cin")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        chosen = assignments(estimate.sample, draws=DRAWS, seed=1)
        labels = chosen.labels
        drawn = estimate.reassigned(labels)
        t = drawn.b[:, 0] / np.sqrt(drawn.v0[:, 0])
        times.append(time.perf_counter() - start)
    ours = float(np.median(times))
    start = time.perf_counter()
    whole = estimate.infer(dk.Permutation("t", draws=DRAWS, seed=1))
    inverted = time.perf_counter() - start
    peer = "pyfixest" if importlib.util.find_spec("pyfixest") else "linearmodels"
    refit = by_pyfixest if peer == "pyfixest" else by_linearmodels
    refit(design, labels[:2], covariates)  # compiled and imported before the clock
    start = time.perf_counter()
    theirs_t = refit(design, labels[:REFITS], covariates)
    theirs = (time.perf_counter() - start) * DRAWS / REFITS
    ratio = t[:REFITS] / theirs_t  # one constant: the small-sample factor
    spread = np.ptp(ratio) / np.abs(ratio).mean()
    if spread > 1e-6:
        raise SystemExit(f"the statistics disagree: {spread:.0e} of their ratio")
    print(
        f"{N_UNITS} × {N_PERIODS}, {len(covariates)} covariates, {DRAWS:,} permutations of t: "
        f"didkit {ours:.3f} s, with the interval inverted {inverted:.3f} s (p = "
        f"{whole['att']['p_value']:.3f}); a loop over {peer} {theirs:.0f} s (scaled from "
        f"{REFITS}): {theirs / ours:,.0f} times; statistics agree, up to the constant "
        f"{ratio.mean():.6f}, to {spread:.0e}"
    )


def bounded(design: dk.Design) -> None:
    """Say how much memory many draws take, their labels and the null distribution included."""
    estimate = dk.DiD(covariates=COVARIATES).fit(design, "cin")
    start = time.perf_counter()
    estimate.infer(dk.Permutation("t", draws=MANY, seed=1))
    took = time.perf_counter() - start
    tracemalloc.start()
    estimate.infer(dk.Permutation("t", draws=MANY, seed=1))
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(
        f"{MANY:,} draws with two covariates and the interval inverted: {took:.1f} s, {peak:.0f} MB"
    )


def main() -> None:
    """Without covariates and with two."""
    design = made()
    for covariates in (COVARIATES, ()):
        compared(design, covariates)
    bounded(design)


if __name__ == "__main__":
    main()
