"""How often the break detectors flag without a break, and how well they find one.

    python docs/break_study.py --seeds 500

Draws panels from `didkit.simulate` again and again and writes the tables between the two marks
in docs/breaks.md. Seeded: the same number of seeds gives the same page.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.panel import METRICS, Cells, Panel, Source, Status
from didkit.panel.breaks import denominator_breaks, recording_breaks
from didkit.progress import steps
from didkit.simulate import EvaluationProcess, draw, evaluation_panel

Array = NDArray[np.float64]
NAMES = ("cin", "icpc", "cpp", "cla")
START, END = "<!-- study: begin -->\n", "<!-- study: end -->\n"
THRESHOLD = 4.0
THRESHOLDS = (THRESHOLD, 4.5, 5.0)
DF = 4
ERRORS = ("as drawn", "in proportion", "in proportion, heavy tails")
REBASED = (0.0, 0.01, 0.02, 0.03)
SIZES = (150, 30)
GROWTH = ((0.007, 0.004), (0.008, 0.006))  # lasting between units, and of a single year


def series(seed: int, name: str, errors: str) -> Panel:
    """Draw the panel of one metric and its count, without any break."""
    base = evaluation_panel(draw(EvaluationProcess().clean(), seed))
    rate, children = base.cells(name).value, base.cells("population").value
    if errors != "as drawn":
        random = np.random.default_rng([seed, NAMES.index(name)])
        level = np.nanmean(rate, axis=1, keepdims=True)
        error = (rate - level) / np.nanmean(rate)  # a share, alike in units of every level
        if errors.endswith("heavy tails"):
            wide = np.sqrt(DF / random.chisquare(DF, size=error.shape))
            error = error * wide / np.sqrt(DF / (DF - 2))  # of the same standard deviation
        rate = level * np.exp(error)
    return published(base, name, rate * children / 1e4, children)


def published(base: Panel, name: str, count: Array, children: Array) -> Panel:
    """Make a panel of a rate and its count, published as the tables are."""
    count = np.rint(count)
    rate = np.round(count / children * 1e4, METRICS[name].decimals or 0)
    half = 0.5 * 10.0 ** -(METRICS[name].decimals or 0)
    status = np.where(np.isfinite(rate), Status.OBSERVED, Status.ABSENT).astype(np.int8)
    cells = {
        name: Cells(rate, status, np.maximum(rate - half, 0), rate + half),
        f"{name}_count": Cells(count, status, count, count),
        "population": Cells(children, status, children, children),
    }
    return base.replaced(
        metrics={key: METRICS[key] for key in cells},
        cells=cells,
        sources=dict.fromkeys(cells, (Source("drawn"),)),
    )


def without_break(seed: int) -> list[dict[str, object]]:
    """Count the units flagged in panels without a break."""
    rows: list[dict[str, object]] = []
    for errors in ERRORS:
        for name in NAMES:
            panel = series(seed, name, errors)
            found = recording_breaks(panel, name, threshold=THRESHOLDS[0])
            for threshold in THRESHOLDS:
                flags = int((found["statistic"].abs() > threshold).sum())
                rows.append({"errors": errors, "metric": name, "at": threshold, "flags": flags})
    return rows


def with_break(seed: int) -> list[dict[str, object]]:
    """Say whether a jump in one unit of middling or larger size is found."""
    rows: list[dict[str, object]] = []
    for name in NAMES:
        panel = series(seed, name, "in proportion")
        random = np.random.default_rng([seed, 9])
        count = panel.cells(f"{name}_count").value
        whole = np.flatnonzero(np.isfinite(count).all(axis=1) & (count.min(axis=1) >= 30))
        unit, at = int(random.choice(whole)), int(random.integers(2, count.shape[1] - 1))
        for factor in (1.5, 2.0):
            for shape in ("step", "spike"):
                changed = count.copy()
                changed[unit, at : at + 1 if shape == "spike" else None] *= factor
                new = published(panel, name, changed, panel.cells("population").value)
                found = recording_breaks(new, name, threshold=THRESHOLD)
                hit = (found["unit"] == panel.unit_ids[unit]).any()
                rows.append({"metric": name, "factor": factor, "shape": shape, "found": bool(hit)})
    return rows


def populations(seed: int, n: int, growth: tuple[float, float], rebased: float) -> Panel:
    """Draw populations of n units over 8 years, rebased from the fifth, and rates over them."""
    random = np.random.default_rng([seed, n, round(1e4 * rebased), round(1e4 * growth[1])])
    lasting, single = growth
    change = lasting * random.normal(size=(n, 1)) + single * random.normal(size=(n, 8))
    children = np.rint(62_000 * np.exp(0.6 * random.normal(size=(n, 1)) + change.cumsum(axis=1)))
    divisor = children.copy()
    divisor[:, 4:] *= np.exp(rebased * random.normal(size=(n, 1)) - rebased)
    unit, year = np.indices(children.shape)
    table = {"unit": unit.ravel(), "year": 2013 + year.ravel()}
    for name, mean in (("cin", 340.0), ("cla", 65.0)):
        level = mean * np.exp(0.3 * random.normal(size=(n, 1)))
        count = random.poisson(level * children / 1e4)
        table[f"{name}_count"] = count.ravel()
        table[name] = np.round(count / divisor * 1e4, METRICS[name].decimals or 0).ravel()
    return Panel.from_frame(
        pd.DataFrame(table),
        unit="unit",
        period="year",
        metrics=["cin", "cin_count", "cla", "cla_count"],
        identity="any",
    )


def rebasing(seed: int) -> list[dict[str, object]]:
    """Say whether a new population vintage is found, and whether another year is flagged."""
    rows: list[dict[str, object]] = []
    for n in SIZES:
        for growth in GROWTH:
            for rebased in REBASED:
                panel = populations(seed, n, growth, rebased)
                for name in ("cin", "cla"):
                    found = denominator_breaks(panel, name)
                    there = found["period"] == "2017"
                    rows.append(
                        {
                            "units": n,
                            "growth": 100 * float(np.hypot(*growth)),
                            "rebased": rebased,
                            "metric": name,
                            "found": bool(found.loc[there, "flagged"].any()),
                            "elsewhere": bool(found.loc[~there, "flagged"].any()),
                        }
                    )
    return rows


def tables(seeds: int) -> str:
    """Run the study and lay its tables out."""
    flat: list[dict[str, object]] = []
    jumps: list[dict[str, object]] = []
    moved: list[dict[str, object]] = []
    for seed in steps(range(1, seeds + 1), "drawing panels", total=seeds):
        flat += without_break(seed)
        jumps += with_break(seed)
        moved += rebasing(seed)
    return "\n".join(
        [
            f"Written by `python docs/break_study.py --seeds {seeds}`.",
            "",
            "**Recording breaks, without one**: panels with at least one flag (%), and flags a",
            "panel, by errors and threshold.",
            "",
            _false_alarms(pd.DataFrame(flat)),
            "",
            f"**Recording breaks, with one** (threshold {THRESHOLD:g}): jumps found (%), in one",
            "authority with counts of 30 or more.",
            "",
            _power(pd.DataFrame(jumps)),
            "",
            "**Denominator breaks**: panels in which a rebasing in one year is flagged there (%);",
            "in brackets, panels in which another year is. The first column with numbers has none.",
            "",
            _rebased(pd.DataFrame(moved)),
            "",
        ]
    )


def _false_alarms(flat: pd.DataFrame) -> str:
    lines = [
        "| errors | threshold | " + " | ".join(NAMES) + " |",
        "|---|---:|" + "---:|" * len(NAMES),
    ]
    for errors in ERRORS:
        for threshold in THRESHOLDS:
            part = flat[(flat["errors"] == errors) & (flat["at"] == threshold)]
            by = part.groupby("metric")["flags"]
            cells = [
                f"{100 * (by.get_group(name) > 0).mean():.1f} ({by.get_group(name).mean():.2f})"
                for name in NAMES
            ]
            lines.append(f"| {errors} | {threshold:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _power(jumps: pd.DataFrame) -> str:
    share = 100 * jumps.groupby(["shape", "factor", "metric"])["found"].mean()
    lines = ["| jump | " + " | ".join(NAMES) + " |", "|---|" + "---:|" * len(NAMES)]
    for shape in ("step", "spike"):
        for factor in (1.5, 2.0):
            cells = [f"{share[shape, factor, name]:.0f}" for name in NAMES]
            lines.append(f"| {shape} × {factor:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rebased(moved: pd.DataFrame) -> str:
    share = 100 * moved.groupby(["metric", "units", "growth", "rebased"]).mean(numeric_only=True)
    heads = [f"{100 * sd:g} %" if sd else "no rebasing" for sd in REBASED]
    lines = [
        "| rate | units | SD of growth | " + " | ".join(heads) + " |",
        "|---|---:|---:|" + "---:|" * len(REBASED),
    ]
    for name in ("cin", "cla"):
        for n in SIZES:
            for growth in sorted({float(g) for g in moved["growth"]}):
                rows = [share.loc[(name, n, growth, sd)] for sd in REBASED]
                cells = [f"{row['found']:.1f} ({row['elsewhere']:.1f})" for row in rows]
                lines.append(f"| {name} | {n} | {growth:.1f} % | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and write its tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--page", type=Path, default=Path(__file__).with_name("breaks.md"))
    options = parser.parse_args()
    text = options.page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    made = tables(options.seeds)
    options.page.write_text(f"{before}{START}{made}{END}{after}", encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
