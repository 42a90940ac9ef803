"""One estimate, several methods of inference, and who carries the information.

python examples/plot_methods.py --out FOLDER
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import didkit as dk


def main() -> None:
    """Draw the forest of methods beside the partial leverages in the synthetic evaluation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    did = dk.DiD().fit(design, "cla")
    figure = Figure(figsize=(14, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    did.plot(left, kind="forest")
    did.plot(right, kind="leverage")
    file = folder / "methods.png"
    figure.savefig(file, dpi=110)
    p = left.data["p_value"]
    print(f"{file}: p from {p.min():.3f} to {p.max():.3f} over {len(p)} methods")


if __name__ == "__main__":
    main()
