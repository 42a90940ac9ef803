"""Whom to compare with: what each choice does, and how unlike the pilots were before.

python examples/plot_comparators.py --out FOLDER
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import didkit as dk
from didkit.plot import love


def main() -> None:
    """Draw other comparators above the balance before the start in the synthetic evaluation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    panel, design = evaluation = dk.datasets.load_evaluation()
    history = dk.Covariates.from_panel(panel, means={"cla": (2013, 2017)})
    choices = {
        "closest five of each list": evaluation.neighbours.closest(5).union(),
        "each its own ten": evaluation.neighbours.per_pilot(aggregate="mean"),
        "three matched on 2013–17": dk.Matching(history, ratio=3, missing="leave_out"),
        "every other authority": dk.Pool(),
    }
    found = dk.DiD().fit(design, "cla").infer().check(dk.OtherComparators(choices))
    figure = Figure(figsize=(8.5, 10.5))
    figure.subplots_adjust(left=0.38, right=0.93, top=0.93, bottom=0.09, hspace=0.55)
    above, below = figure.subplots(2, height_ratios=(2, 3))
    found.plot(above)
    love(design.balance(["cin", "icpc", "cpp", "cla"]), below)
    figure.savefig(file := folder / "comparators.png", dpi=110)
    print(f"{file}: {found.headline}")


if __name__ == "__main__":
    main()
