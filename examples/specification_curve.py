"""Every choice crossed: one estimate under 32 combinations, drawn and tested together.

python examples/specification_curve.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk


def main() -> None:
    """Cross pilots, comparators, windows and policies of cells on the packaged evaluation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    panel, design = dk.datasets.load_evaluation()
    curve = dk.SpecificationCurve(
        pilots={f"without {panel.name_of(unit)}": [unit] for unit in design.pilots[:3]},
        comparators={"every other authority": dk.Pool()},
        windows={"without the first two years": (design.periods[2], design.periods[-1])},
        cells=["complete"],
        draws=999,
    )
    found = dk.DiD().fit(design, "cla").infer(dk.ClusterRobust("CR2")).check(curve)
    axes = found.plot()
    axes.figure.savefig(file := folder / "specification_curve.png", dpi=110)
    print(f"{file}: {found.headline}")
    print(f"It cannot show: {found.cannot_show}.")


if __name__ == "__main__":
    main()
