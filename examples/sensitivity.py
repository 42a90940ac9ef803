"""How far trends may differ before zero enters the interval: a picture and a table.

python examples/sensitivity.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk


def main() -> None:
    """Ask it of the synthetic evaluation, twice: of jumps, and of slopes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    one_start = design.drop("522")  # one pilot starts a year later: its terms would mix in
    events = dk.EventStudy().fit(one_start, "cla").infer(dk.Permutation(draws=999, seed=1))

    jumps = events.check(dk.Sensitivity(dk.RelativeMagnitudes()))
    slopes = events.check(dk.Sensitivity(dk.Smoothness()))
    print(jumps.headline)
    print(slopes.headline)
    file = folder / "sensitivity.png"
    jumps.plot().figure.savefig(file, dpi=110)
    table = folder / "sensitivity.csv"
    jumps.table.to_csv(table, index=False)
    print(file)
    print(table)


if __name__ == "__main__":
    main()
