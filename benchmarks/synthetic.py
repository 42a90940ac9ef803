"""Synthetic DiD with its placebo variance beside PyPI's ``synthdid`` and ``diff-diff``, in one run.

California's tobacco control programme, 39 states and 31 years: the data of R's synthdid, at
shared/reference/data/california_prop99.csv beside the repository, or named as the first argument.
200 placebos each: didkit would list the 38 that there are, so it is made to draw 200 as the others
do (the same state many times). Processor time, the least of three; one BLAS thread is best:
OPENBLAS_NUM_THREADS=1. A peer that is not installed is left out, with a word.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import didkit as dk

PLACEBOS, REPEATS = 200, 3
OPTIMUM = -15.605397916331810  # R's quadprog on the same objective


def timed(work: Callable[[], float], repeats: int = REPEATS) -> tuple[float, float]:
    """Return what a piece of work gives, and the least time that it took."""
    times, found = [], float("nan")
    for _ in range(repeats):
        start = time.process_time()
        found = work()
        times.append(time.process_time() - start)
    return found, min(times)


def ours(frame: pd.DataFrame) -> Callable[[], float]:
    """Give the work of didkit, from the long frame: weights, estimate and 200 placebos."""

    def work() -> float:
        design = dk.Design.from_frame(
            frame.assign(first=np.where(frame["State"] == "California", 1989, 0)),
            unit="State",
            period="Year",
            start="first",
            metrics=["PacksPerCapita"],
            selection="unknown",
        )
        made = dk.SyntheticDiD().fit(design, "PacksPerCapita").infer(None)
        others = np.flatnonzero(~made.sample.pilot)
        labels = np.where(made.sample.pilot, -2, np.full((PLACEBOS, 39), -1))
        stand_in = np.random.default_rng(1).choice(others, PLACEBOS)
        labels[np.arange(PLACEBOS), stand_in] = 0
        assert made.placebos is not None
        made.placebos(labels)[0].std()
        return float(made.values[0])

    return work


def synthdid_py(frame: pd.DataFrame) -> Callable[[], float]:
    """Give the work of PyPI's synthdid."""
    from synthdid.synthdid import Synthdid

    def work() -> float:
        made = Synthdid(frame, "State", "Year", "treated", "PacksPerCapita")
        made = made.fit().vcov(method="placebo", n_reps=PLACEBOS)
        return float(np.ravel(made.att)[0])

    return work


def diff_diff(frame: pd.DataFrame) -> Callable[[], float]:
    """Give the work of PyPI's diff-diff."""
    from diff_diff import SyntheticDiD

    state = frame.assign(treated=(frame["State"] == "California").astype(int))

    def work() -> float:
        made = SyntheticDiD(variance_method="placebo", n_bootstrap=PLACEBOS, seed=1).fit(
            state,
            outcome="PacksPerCapita",
            treatment="treated",
            unit="State",
            time="Year",
            post_periods=list(range(1989, 2001)),
        )
        return float(made.att)

    return work


def main() -> None:
    """Print a line a program."""
    beside = Path(__file__).resolve().parents[2] / "shared/reference/data/california_prop99.csv"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else beside
    if not path.is_file():
        print(f"{path.name}: not there; name it as the first argument")
        return
    frame = pd.read_csv(path)
    value, short = timed(ours(frame))
    print(f"didkit: {short:.3f} s, {value:.6f}, {abs(value - OPTIMUM):.1e} from the optimum")
    peers = {"synthdid": (synthdid_py, 1), "diff_diff": (diff_diff, REPEATS)}
    for name, (work, repeats) in peers.items():
        if importlib.util.find_spec(name) is None:
            print(f"{name}: not installed, left out")
            continue
        value, long = timed(work(frame), repeats)
        print(
            f"{name}: {long:.2f} s, {value:.6f}, {abs(value - OPTIMUM):.1e} from the optimum; "
            f"{long / short:.0f} times didkit's time"
        )


if __name__ == "__main__":
    main()
