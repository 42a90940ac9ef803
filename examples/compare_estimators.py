"""Several estimators on one staggered panel: one table and one picture.

python examples/compare_estimators.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk
from didkit.simulate import PanelProcess

ESTIMATORS = (dk.EventStudy(), dk.GroupTime(by="dynamic"), dk.Imputation(by="dynamic"))
PROCESS = PanelProcess(
    pilots=60,
    comparators=10,
    before=3,
    after=6,
    starts=(0.25,) * 4,
    within=0.5,
    effect=-1.0,
    by_start=-1.0,
)


def main() -> None:
    """Compare where the effect is −1 for the first of four starts and −4 for the last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    drawn = PROCESS.draw(1)
    found = dk.compare(drawn.design, drawn.metric, estimators=ESTIMATORS)
    found.table.to_csv(folder / "compare_estimators.csv", index=False)
    found.plot().figure.savefig(file := folder / "compare_estimators.png", dpi=110)
    print(f"{file}: {found.headline}")


if __name__ == "__main__":
    main()
