"""Bias and coverage of every staggered estimator where effects differ by start and grow.

    python docs/estimators.py [--seeds 500] [--jobs 2]

writes docs/estimators.csv, which docs/estimators.md shows between its marks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import didkit as dk
from didkit.simulate import PanelProcess

HERE = Path(__file__).parent
MARKS = ("<!-- table: begin -->", "<!-- table: end -->")

MANY = PanelProcess(
    pilots=60,
    comparators=90,
    before=4,
    after=4,
    starts=(1 / 3, 1 / 3, 1 / 3),
    ar1=0.4,
    effect=-1.0,
    growth=-0.5,
    by_start=-0.5,
)
FEW = PanelProcess(
    pilots=9,
    comparators=141,
    before=4,
    after=4,
    starts=(1 / 3, 1 / 3, 1 / 3),
    ar1=0.4,
    effect=-1.0,
    growth=-0.5,
    by_start=-0.5,
)
MOSTLY = PanelProcess(
    pilots=60,
    comparators=10,
    before=4,
    after=7,
    starts=(1 / 5, 1 / 5, 1 / 5, 1 / 5, 1 / 5),
    ar1=0.4,
    effect=-1.0,
    growth=-0.5,
    by_start=-0.5,
)
DESIGNS = {"60 v 90": MANY, "9 v 141": FEW, "60 v 10": MOSTLY}
ESTIMATORS = {
    "two-way fixed effects: DiD()": dk.DiD(),
    "GroupTime()": dk.GroupTime(),
    'GroupTime(comparison="not_yet")': dk.GroupTime(comparison="not_yet"),
    "SunAbraham()": dk.SunAbraham(),
    "Imputation()": dk.Imputation(),
    "TwoStage()": dk.TwoStage(),
    "ExtendedTwoWay()": dk.ExtendedTwoWay(),
    "RothSantAnna()": dk.RothSantAnna(),
}
BY_TIME = {
    "two-way event study: EventStudy()": dk.EventStudy(),
    'GroupTime(by="dynamic")': dk.GroupTime(by="dynamic"),
    'SunAbraham(by="dynamic")': dk.SunAbraham(by="dynamic"),
    'Stacked(after=1, by="dynamic")': dk.Stacked(after=1, by="dynamic"),
    'LPDiD(by="dynamic")': dk.LPDiD(by="dynamic"),
    "Switching()": dk.Switching(),
}
TERM = "event time +1"  # reached by every cohort


def measured(seeds: int, jobs: int) -> pd.DataFrame:
    """Study every estimator on every design."""
    rows = []
    for design, process in DESIGNS.items():
        for table, term in ((ESTIMATORS, "att"), (BY_TIME, TERM)):
            for name, estimator in table.items():
                methods = {"normal": dk.ClusterRobust("CR0")}
                made = dk.study(
                    estimator, methods, process, seeds=seeds, jobs=jobs, terms=[term]
                ).table.iloc[0]
                rows.append(
                    {
                        "design": design,
                        "term": term,
                        "estimator": name,
                        "truth": made["truth"],
                        "bias": made["bias"],
                        "bias_mc_error": made["bias_mc_error"],
                        "covers": made["covers"],
                        "covers_mc_error": made["covers_mc_error"],
                        "seeds": int(made["seeds"]),
                    }
                )
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def in_words(table: pd.DataFrame) -> str:
    """Write the table as Markdown."""
    lines = [
        "| design | term | estimator | truth | bias (error) | 95 % interval holds the truth |",
        "|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        lines.append(
            f"| {row['design']} | {row['term']} | `{row['estimator']}` | {row['truth']:.2f} | "
            f"{row['bias']:+.3f} ({row['bias_mc_error']:.3f}) | {100 * row['covers']:.1f} % |"
        )
    error = 100 * table["covers_mc_error"].max()
    known = f"coverage is known to {error:.1f} points (one standard error) or better"
    lines += ["", f"{table['seeds'].min()} draws a row; {known}."]
    return "\n".join(lines)


def main() -> None:
    """Measure, and put the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    table = measured(given.seeds, given.jobs)
    table.to_csv(HERE / "estimators.csv", index=False, float_format="%.6g")
    page = HERE / "estimators.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    page.write_text(
        f"{before}{MARKS[0]}\n{in_words(table)}\n{MARKS[1]}{after}", encoding="utf-8", newline="\n"
    )


if __name__ == "__main__":
    main()
