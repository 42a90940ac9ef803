"""Several estimators on one staggered panel: one table and one picture.

python examples/compare_estimators.py --out FOLDER
"""

import argparse
from pathlib import Path

import didkit as dk
from didkit.simulate import PanelProcess

ESTIMATORS = (
    dk.EventStudy(),
    dk.GroupTime(by="dynamic"),
    dk.Imputation(by="dynamic"),
    dk.SunAbraham(by="dynamic"),
)
PROCESS = PanelProcess(
    pilots=60, comparators=10, before=3, after=6, starts=(0.25,) * 4, effect=-1.0, growth=-0.5
)


def main() -> None:
    """Draw a panel in which the effect starts at −1 and grows by −0.5 a year; compare."""
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
