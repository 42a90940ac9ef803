"""Pilots that start at different times, from a long frame: group-time effects with a uniform band.

python examples/staggered.py --out FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import didkit as dk


def main() -> None:
    """Make a panel in which the effect starts at −1 and grows by −0.5 a year; estimate it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    rng = np.random.default_rng(1)
    starts = np.repeat([2016, 2018, 2020, 0], [15, 15, 15, 45])  # 0: never
    areas = pd.DataFrame({"area": [f"area {i:02d}" for i in range(90)], "start": starts})
    frame = areas.merge(pd.DataFrame({"year": range(2013, 2023)}), how="cross")
    since = (frame["year"] - frame["start"]).where(frame["start"].gt(0), -1)
    effect = (-1 - 0.5 * since).where(since.ge(0), 0.0)
    frame["rate"] = 50 + effect + rng.normal(size=len(frame))

    columns = {"unit": "area", "period": "year", "start": "start", "metrics": ["rate"]}
    design = dk.Design.from_frame(frame, **columns, selection="random")
    found = dk.GroupTime(by="dynamic").fit(design, "rate").infer(dk.Bootstrap(seed=1))
    axes = found.plot()
    axes.figure.savefig(file := folder / "staggered.png", dpi=110)
    print(f"{file}: two years after the start {found['event time +2']['estimate']:+.2f}; truth −2")


if __name__ == "__main__":
    main()
