"""Time reading of published files, side by side with pandas taking the same bytes as text.

    python benchmarks/reading.py --data ../shared/data

pandas only splits the files; didkit recognises the release, parses numbers and symbols, bounds what
is hidden, checks published rates against counts, and makes a panel. Processor time, least of five.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import didkit as dk

FOLDERS = ("cin_2020", "cin_2022", "cin_2025", "cla_2021", "cla_2025", "sfr_cin", "sfr_cla")


def least(work: Callable[[], object], times: int = 5) -> float:
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def with_pandas(files: list[Path]) -> None:
    for file in files:
        try:
            pd.read_csv(file, dtype=str)
        except UnicodeDecodeError:
            pd.read_csv(file, dtype=str, encoding="cp1252")


def with_didkit(folder: Path, files: list[Path]) -> None:
    """Read a release as a folder; first releases are one file each."""
    if folder.name.startswith("sfr"):
        for file in files:
            dk.read_dfe(file)
    else:
        dk.read_dfe(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    dfe: Path = parser.parse_args().data / "dfe"
    warnings.simplefilter("ignore", dk.DidkitWarning)
    ours = theirs = 0.0
    print("| files | didkit | pandas.read_csv(dtype=str) | ratio |\n| --- | ---: | ---: | ---: |")
    for name in FOLDERS:
        folder = dfe / name
        files = sorted(one for one in folder.iterdir() if one.suffix.casefold() == ".csv")
        a = least(lambda folder=folder, files=files: with_didkit(folder, files))  # type: ignore[misc]
        b = least(lambda files=files: with_pandas(files))  # type: ignore[misc]
        ours, theirs = ours + a, theirs + b
        print(f"| {name} | {1e3 * a:.0f} ms | {1e3 * b:.0f} ms | {a / b:.2f} |")
    print(f"| all CSV files | {1e3 * ours:.0f} ms | {1e3 * theirs:.0f} ms | {ours / theirs:.2f} |")
    start = time.perf_counter()
    dk.read_dfe(dfe / "lait")
    lait = time.perf_counter() - start
    print(f"\nLAIT (641,070 rows of parquet): {lait:.2f} s. All vintages: {ours + lait:.2f} s.")


if __name__ == "__main__":
    main()
