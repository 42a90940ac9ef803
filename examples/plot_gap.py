"""How much of the difference was there before? Trends, and the gap before beside the gap after.

python examples/plot_gap.py --out FOLDER
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import didkit as dk


def main() -> None:
    """Draw children looked after in the synthetic evaluation, whose true effect is zero."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    gap = dk.Gap().fit(design, "cla").infer(None)
    figure = Figure(figsize=(13.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    gap.plot(left)
    dk.DiD().fit(design, "cla").infer(None).plot(right)
    file = folder / "gap.png"
    figure.savefig(file, dpi=110)
    before, after = gap["gap_before"]["estimate"], gap["gap_after"]["estimate"]
    print(f"{file}: {before:+.1f} per 10,000 before the start, {after:+.1f} after")


if __name__ == "__main__":
    main()
