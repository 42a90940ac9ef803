"""2,000 specifications, each with 999 permutations: 150 authorities × 10 years."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

import didkit as dk

N_UNITS, N_PERIODS, N_PILOTS, START = 150, 10, 9, 2016
DRAWS = 999


def made(seed: int = 1) -> dk.Design:
    """Return a design on noise that carries over, with two definitions of one outcome."""
    rng = np.random.default_rng(seed)
    level = 300 + 40 * rng.normal(size=(N_UNITS, 1))
    noise = rng.normal(size=(2, N_UNITS, N_PERIODS))
    for t in range(1, N_PERIODS):
        noise[:, :, t] += 0.5 * noise[:, :, t - 1]
    frame = pd.DataFrame(
        {
            "la": np.repeat(np.arange(201, 201 + N_UNITS), N_PERIODS),
            "year": np.tile(np.arange(2010, 2010 + N_PERIODS), N_UNITS),
            "cin": (level + 10 * noise[0]).ravel(),
            "open": (level + 10 * noise.mean(axis=0)).ravel(),
        }
    )
    units = {name: dk.Metric(name=name, label=name, unit="per 10,000") for name in ("cin", "open")}
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=units)
    pilots = dict.fromkeys((str(code) for code in range(201, 201 + N_PILOTS)), START)
    return dk.Design(panel, dk.Rollout(pilots), against=dk.Pool(), selection="unknown")


def curve(design: dk.Design, *, jobs: int) -> dk.SpecificationCurve:
    """Cross 10 choices of pilots, 5 of comparators, 5 windows, 2 metrics, 2 forms, 2 estimators."""
    others = design.comparators
    return dk.SpecificationCurve(
        pilots=list(design.pilots),
        comparators={f"first {n}": dk.Pool(others[:n]) for n in (30, 60, 90, 120)},
        windows=[(2010, 2018), (2011, 2019), (2012, 2019), (2012, 2018)],
        metrics=["open"],
        forms=["rank"],
        estimators=[dk.GroupTime()],
        standardise=True,
        draws=DRAWS,
        jobs=jobs,
    )


def main() -> None:
    """Time the curve in one process and in two, without and with intervals."""
    did = dk.DiD().fit(made(), "cin")
    ways = {
        "no intervals": did.infer(None),
        "CR2": did.infer(dk.ClusterRobust("CR2")),
        "Permutation('t')": did.infer(dk.Permutation()),
    }
    for jobs in (1, 2):
        for name, estimate in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            found = estimate.check(curve(estimate.design, jobs=jobs))
            took, busy = time.perf_counter() - start, time.process_time() - busy
            print(
                f"{len(found.table):,} specifications ({found.facts['n']:.0f} different) × {DRAWS} "
                f"permutations, intervals by {name}, jobs={jobs}: {took:.1f} s "
                f"({busy:.1f} s of this process)",
                flush=True,
            )


if __name__ == "__main__":
    main()
