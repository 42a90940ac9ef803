"""One number an authority: all that a difference-in-differences compares.

python examples/plot_long_differences.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk


def main() -> None:
    """Draw each authority's own change in child protection plans in the synthetic evaluation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    did = dk.DiD(cells="complete").fit(design, "cpp").infer(None)
    axes = did.plot(kind="long_differences")
    file = folder / "long_differences.png"
    axes.figure.savefig(file, dpi=110)
    means = axes.data.groupby("arm")["value"].mean()
    print(f"{file}: {means['pilot']:+.2f} in the pilots, {means['comparator']:+.2f} elsewhere")


if __name__ == "__main__":
    main()
