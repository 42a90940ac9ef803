"""Where the actual pilots stand among thousands of other choices of pilots.

python examples/plot_permutation.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk


def main() -> None:
    """Permute the pilots of the synthetic evaluation, whose true effect is zero."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    did = dk.DiD().fit(design, "cla").infer(dk.Permutation(draws=9999, seed=1))
    axes = did.plot(kind="permutation")
    file = folder / "permutation.png"
    axes.figure.savefig(file, dpi=110)
    large = int(axes.data["as_large"].sum())
    print(f"{file}: {large} of {len(axes.data)} as far from 0, p = {did['att']['p_value']:.4f}")


if __name__ == "__main__":
    main()
