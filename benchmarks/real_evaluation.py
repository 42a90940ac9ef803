"""The whole real evaluation without drawing: four metrics, permutations with inverted intervals."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import signs_of_safety as example

import didkit as dk

METRICS = ("cin", "icpc", "cpp", "cla")


def main() -> None:
    """Time reading, then the evaluation, three times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    for _ in range(3):
        start = time.perf_counter()
        panel = example.load(options.data)
        design = example.design(panel, options.data)
        read = time.perf_counter() - start
        start = time.perf_counter()
        permutation = dk.Permutation("t", draws=9999, seed=1)
        for metric in METRICS:
            for estimator in (dk.Gap(), dk.DiD(), dk.EventStudy()):
                made = estimator.fit(design, metric).infer(permutation)
                assert made.tidy()["p_value"].notna().any()
            bare = dk.DiD().fit(design, metric).infer(None)
            bare.check(dk.LeaveOneOut())
            bare.check(dk.PlaceboStart())
        spent = time.perf_counter() - start
        print(
            f"read {read:.2f} s; Gap, DiD, EventStudy × {len(METRICS)} metrics, 9,999 "
            f"permutations each, intervals inverted, leave-one-out and placebo starts "
            f"{spent:.2f} s"
        )


if __name__ == "__main__":
    main()
