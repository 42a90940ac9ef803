"""Leaving flagged recording breaks out: what it does to an estimate, in data with a known answer.

    python docs/record_checks.py --seeds 400 [--data FOLDER]

Writes docs/record_checks.csv and the tables between the marks in docs/record_checks.md. With
``--data`` (the folder of published files) the tables of the real evaluation are written too;
without it they stay as they are. Seeded: the same number of seeds gives the same page.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from break_study import published, series
from numpy.typing import NDArray

import didkit as dk
from didkit.panel import Panel
from didkit.progress import steps
from didkit.results.tables import to_markdown

Array = NDArray[np.float64]
START, METRIC, PILOTS, LEVEL = 2018, "cin", 10, 0.05
ROWS = ("as estimated", "without flagged authorities", "without flagged cells",
        "without the planted ones")  # fmt: skip
STUDY = ("<!-- study: begin -->\n", "<!-- study: end -->\n")
REAL = ("<!-- real: begin -->\n", "<!-- real: end -->\n")


@dataclass(frozen=True)
class Scenario:
    """What is planted: in how many units of which arm, by which factor, from when, and the truth.

    `year` is the first one in the new way, "any": drawn anew for each unit, before the start or
    after; `once`: for one year only. `truth` is the effect as a share of the level (in planted
    units, where the factor is the effect itself).
    """

    name: str
    pilots: int = 0
    comparators: int = 0
    factor: float = 1.0
    year: str = "any"
    once: bool = False
    effect: bool = False


SCENARIOS = (
    Scenario("no break"),
    Scenario("1 pilot halves before the start", pilots=1, factor=0.5, year="before"),
    Scenario("1 pilot falls by a third before the start", pilots=1, factor=2 / 3, year="before"),
    Scenario("1 pilot halves at the start", pilots=1, factor=0.5, year="start"),
    Scenario("1 pilot doubles for one year after it", pilots=1, factor=2, year="after", once=True),
    Scenario("5 comparators halve in any year", comparators=5, factor=0.5),
    Scenario(
        "the programme halves 3 pilots", pilots=3, factor=0.5, year="start", effect=True
    ),
    Scenario(
        "the programme lowers all pilots by a tenth", pilots=10, factor=0.9, year="start",
        effect=True,
    ),
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def _base(seed: int) -> Panel:
    """Draw the panel without a break; all scenarios of a seed plant into the same."""
    return series(seed, METRIC, "in proportion")


def drawn(seed: int, scenario: Scenario) -> tuple[Panel, list[str], list[str], float]:
    """Draw a panel with pilots at random; return it, pilots, planted units and the true effect.

    The truth is the mean, over pilots and years from the start on, of what the programme did to
    the published rate.
    """
    base = _base(seed)
    random = np.random.default_rng([seed, 77])
    count = base.cells(f"{METRIC}_count").value
    years = np.array([int(label) for label in base.periods])
    whole = np.flatnonzero(np.isfinite(count).all(axis=1) & (count.min(axis=1) >= 30))
    chosen = random.permutation(whole)
    pilots, others = chosen[:PILOTS], chosen[PILOTS:]
    planted = [*pilots[: scenario.pilots], *others[: scenario.comparators]]
    changed = count.copy()
    span = {
        "before": range(years[0] + 1, START - 1),  # some years on both sides
        "start": [START],
        "after": range(START, years[-1] + 1),
        "any": range(years[0] + 1, years[-1] + 1),
    }[scenario.year]
    for unit in planted:
        year = int(random.choice(list(span)))
        hit = years == year if scenario.once else years >= year
        changed[unit, hit] *= scenario.factor
    people = base.cells("population").value
    after = years >= START
    gap = 1e4 * ((changed - count) / people)[np.ix_(pilots, after)]
    truth = float(gap.mean()) if scenario.effect else 0.0
    ids = base.unit_ids
    return (
        published(base, METRIC, changed, people),
        [ids[j] for j in pilots],
        [ids[j] for j in planted],
        truth,
    )


def one(seed: int, scenario: Scenario) -> Iterator[dict[str, object]]:
    """Estimate one data set in each way."""
    panel, pilots, planted, truth = drawn(seed, scenario)
    counts = _base(seed).wide(f"{METRIC}_count")
    small = [unit for unit, n in counts.min(axis=1, skipna=False).items() if not n >= 30]
    design = dk.Design(
        panel, dk.Rollout(dict.fromkeys(pilots, START)), against=dk.Pool(), selection="random",
        exclude=dict.fromkeys(small, "fewer than 30 children, or a gap"),
    )  # fmt: skip
    made = dk.DiD().fit(design, METRIC).infer(dk.ClusterRobust("CR2"))
    # found once and handed on: WithoutBreaks() would find the same
    flags = panel.recording_breaks(METRIC)
    found = made.check(dk.WithoutBreaks(breaks=flags, leave_out=("units", "cells")))
    flagged = set(found.check.flags(made)["unit"])
    table = found.table.set_index("scenario")
    known = design
    for unit in planted:
        known = known.drop(unit) if len(planted) < PILOTS else known
    oracle = made.refit(known).infer(dk.ClusterRobust("CR2"))["att"]
    for row in ROWS:
        # where nothing is flagged, the answer without what is flagged is the answer
        got = oracle if row == ROWS[-1] else table.loc[row if row in table.index else ROWS[0]]
        yield {
            "scenario": scenario.name,
            "row": row,
            "seed": seed,
            "error": float(got["estimate"]) - truth,
            "truth": truth,
            "outside": not got["conf_low"] <= truth <= got["conf_high"],
            "flags": len(flagged),
            "found": len(flagged & set(planted)) / max(len(planted), 1),
            "false": len(flagged - set(planted)),
        }


def summary(draws: pd.DataFrame) -> pd.DataFrame:
    """Average the draws: bias, spread, how often the interval misses the truth."""
    plain = (draws["scenario"] == SCENARIOS[0].name) & (draws["row"] == ROWS[0])
    # pilots are drawn at random, so that this error is zero on average: a control for the others
    control = draws[plain].set_index("seed")["error"]
    draws = draws.assign(moved=draws["error"] - draws["seed"].map(control))
    by = draws.groupby(["scenario", "row"], sort=False)
    table = by.agg(
        draws=("error", "count"), truth=("truth", "mean"), bias=("moved", "mean"),
        spread=("moved", "std"), sd=("error", "std"), missed=("outside", "mean"),
        found=("found", "mean"), false=("false", "mean"),
    ).reset_index()  # fmt: skip
    table["error_of_bias"] = table["spread"] / np.sqrt(table["draws"])
    return table


def study_in_words(table: pd.DataFrame, seeds: int) -> str:
    """Lay the summary out."""
    error = 100 * float(np.sqrt(LEVEL * (1 - LEVEL) / seeds))
    lines = [
        f"Written by `python docs/record_checks.py --seeds {seeds}`: {seeds} data sets a row, the",
        f"same panels in each. The Monte Carlo error of a rate of 5 % is {error:.1f} points.",
        "",
        "| what was planted | true effect | estimate | bias (Monte Carlo error) | SD | interval "
        "misses the truth (%) | planted ones flagged (%) | others flagged |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in table.to_dict("records"):
        first = row["row"] == ROWS[0]
        nothing = row["scenario"] == SCENARIOS[0].name
        if row["row"] == ROWS[-1] and (nothing or "all pilots" in str(row["scenario"])):
            continue
        cells = [
            row["scenario"] if first else "",
            f"{row['truth']:.1f}" if first else "",
            row["row"],
            f"{row['bias']:+.1f} ({row['error_of_bias']:.1f})",
            f"{row['sd']:.1f}",
            f"{100 * row['missed']:.1f}",
            f"{100 * row['found']:.0f}" if first and not nothing else "",
            f"{row['false']:.2f}" if first else "",
        ]
        lines.append("| " + " | ".join(re.sub("^-", "−", str(cell)) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def real(folder: Path) -> str:
    """Ask the four questions of the real evaluation."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
    import signs_of_safety as example

    design = example.design(example.load(folder), folder, start=START, periods=(2013, 2020))
    later = {name: dk.read_dfe(folder / "dfe" / name) for name in ("cin_2022", "cin_2025")}
    parts = ["Written by `python docs/record_checks.py --data FOLDER`.", ""]
    for metric in ("cin", "icpc", "cpp", "cla"):
        made = dk.DiD().fit(design, metric).infer(dk.ClusterRobust("CR2"))
        parts += [f"### {made.metric.label}", ""]
        for check in (dk.DrivingCells(), dk.RateSplit(), dk.WithoutBreaks()):
            found = made.check(check)
            parts.append(f"* **{type(check).__name__}.** {found.headline}")
        for panel in later.values():
            found = made.check(dk.OtherDenominator(panel))
            parts.append(f"* **OtherDenominator.** {found.headline}")
        breaks = made.check(dk.WithoutBreaks())
        if len(breaks.table) > 1:
            columns = ["scenario", "left_out", "estimate", "conf_low", "conf_high"]
            parts += ["", to_markdown(breaks.table[columns])]
        parts.append("")
    return "\n".join(parts)


def into(page: Path, marks: tuple[str, str], text: str) -> None:
    """Write a text between two marks of a page."""
    old = page.read_text(encoding="utf-8")
    new = re.sub(
        f"({re.escape(marks[0])}).*?({re.escape(marks[1])})",
        lambda found: f"{found[1]}{text}{found[2]}",
        old,
        flags=re.DOTALL,
    )
    page.write_text(new, encoding="utf-8")


def main() -> None:
    """Run what was asked, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=400, help="0: leave the study as it is")
    parser.add_argument("--data", type=Path, default=None, help="the folder of published files")
    parser.add_argument("--page", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    if options.seeds:
        rows = [
            row
            for seed in steps(range(1, options.seeds + 1), "drawing panels", total=options.seeds)
            for scenario in SCENARIOS
            for row in one(seed, scenario)
        ]
        table = summary(pd.DataFrame(rows))
        table.round(4).to_csv(options.page.with_suffix(".csv"), index=False)
        into(options.page, STUDY, study_in_words(table, options.seeds))
    if options.data is not None:
        into(options.page, REAL, real(options.data))


if __name__ == "__main__":
    main()
