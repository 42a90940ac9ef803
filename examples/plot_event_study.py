"""The event study with one period of anticipation: intervals, uniform band, hollow reference.

python examples/plot_event_study.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk


def main() -> None:
    """Draw children in need in the synthetic evaluation, whose true effect is zero."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    _, design = dk.datasets.load_evaluation()
    events = dk.EventStudy(anticipation=1).fit(design, "cin")
    axes = events.infer(dk.Permutation(draws=1999, seed=1)).plot()
    file = folder / "event_study.png"
    axes.figure.savefig(file, dpi=110)
    print(f"{file}: {len(axes.data)} periods, {axes.data['label'].iloc[0]} to the last")


if __name__ == "__main__":
    main()
