"""Write docs/bounds.md and docs/bounds.csv: what cells that are not known exactly can do.

python docs/bounds.py [--data ../shared/data] [--seeds 24]
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import didkit as dk
from didkit.results.tables import p_value, signed

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import signs_of_safety as example  # noqa: E402

START = 2015
METRICS = ("cpp", "icpc", "cin")
COMPLETIONS = 200
IDS = [str(301 + i) for i in range(8)]

TEXT = """\
# What hidden, rounded and missing cells can do to an estimate

Written by `python docs/bounds.py`; every number is in docs/bounds.csv.

`estimate.check(dk.Bounds())` takes each cell as an interval. A hidden count lies between what the
release's rule and the published totals leave for it; a rate with one decimal within ± 0.05. The
estimate is a weighted sum of cells, so its lowest and highest values follow from the signs of the
weights. A hidden cell counts as present: units that were left out for it come back.

## The real evaluation, with City of London and the Isles of Scilly kept in

Ten pilots, start {start}, against all other authorities ({n} comparators), release of 2020,
2013 to 2020. City of London (201) and Isles of Scilly (420) are tiny and mostly hidden: an
evaluator would leave them out, and here it is shown what keeping them costs. Intervals: 95 %,
CR2 with Bell and McCaffrey's degrees of freedom, at the ends by Imbens and Manski. *p found*:
the permutation p of t ({draws} draws) as published, and the largest of the completions looked at;
*p at most*: its upper bound over all completions, which lets standard errors be at their widest
and is loose where one cell can be almost anything.
"With totals" is the linear programme over the counts, tied by the regional and national totals
(published to 10, so ± 5): the reader has used these for each cell by itself, the programme uses
them for all cells together.

{real}

{words}

{completions} random completions of the plans panel (each interval cell drawn anew, near an end more
often than not) gave estimates from {least} to {most}, all inside the bounds of the rung "rounded
too" without totals, {low} to {high}. In the table that rung has the totals, which narrow it to
{linked_low} to {linked_high}; the completions do not keep to them.

## Small panels, where every completion can be looked at

{seeds} panels of {units} units and {periods} periods (Poisson counts with mean 12, two pilots,
seeds 0 to {last}), three cells hidden within 1 to 5: 125 completions each, and every choice of
pilots.

{toy}

*Excess* is the bound less the true largest p. The bound asks of each assignment by itself whether
some completion makes it as large as the actual one, and for t it takes standard errors at their
widest: it is never too small, and may be too large. It cannot be more than the largest p that any
test gives, 1, and then says nothing.

## What it cannot show

Whether the numbers that were published are right, or recorded alike in all places and years. The
intervals say how a number was published. Bounds are sharp where weights do not depend on the
outcome and populations are known: not for Poisson, logs, synthetic control or matching on the
outcome, where `Bounds(search=200)` tries completions and says at least how wide.
"""


def totals(data: Path) -> pd.DataFrame:
    """Regional and national totals of children on plans, and which authorities they hold."""
    file = data / "dfe" / "cin_2020" / "d1_child_protection_plans_2013_to_2020.csv"
    table = pd.read_csv(file, dtype=str, encoding="utf-8-sig")
    column = next(name for name in table.columns if name.lower() == "cpp_at31")
    own = table[table["geographic_level"] == "Local authority"]
    made = []
    for level, key in (("Regional", "region_code"), ("National", "country_code")):
        for row in table[table["geographic_level"] == level].to_dict("records"):
            same = (own["time_period"] == row["time_period"]) & (own[key] == row[key])
            if not same.any():  # London: its authorities are rows of inner or outer London
                continue
            number = float(row[column])
            made.append(
                {
                    "period": int(row["time_period"]),
                    "units": own.loc[same, "old_la_code"].tolist(),
                    "lower": number - 5,
                    "upper": number + 5,
                }
            )
    return pd.DataFrame(made)


def design(data: Path) -> dk.Design:
    """All others as comparators, the two tiny authorities among them."""
    panel = dk.read_dfe(data / "dfe" / "cin_2020")
    out = {unit: why for unit, why in example.EXCLUDE.items() if unit not in ("201", "420")}
    return dk.Design(
        panel,
        dk.Rollout(dict.fromkeys(example.PILOTS, START)),
        against=dk.Pool(),
        selection="bid",
        exclude=out,
    )


def real(made: dk.Design, data: Path, draws: int) -> pd.DataFrame:
    """Bounds of each metric by rung, with intervals and the bound of p."""
    parts = []
    for metric, cells in itertools.product(METRICS, ("observed", "complete")):
        fitted = dk.DiD(cells).fit(made, metric)
        options = {"missing": "change"}
        if metric == "cpp":
            options["totals"] = totals(data)
        found = fitted.infer(dk.ClusterRobust("CR2")).check(dk.Bounds(**options)).table
        by = fitted.infer(dk.Permutation(draws=draws))
        ranked = by.check(dk.Bounds(**options)).table
        found["p_found"], found["p_upper_bound"] = ranked["p_found"], ranked["p_upper_bound"]
        found.insert(0, "cells", cells)
        found.insert(0, "metric", metric)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


def completions(made: dk.Design, seed: int = 0) -> tuple[list[float], pd.Series]:
    """Refit on random completions of the plans panel."""
    found = dk.DiD().fit(made, "cpp").infer(None).check(dk.Bounds())
    cells, panel = made.panel.cells("cpp"), made.panel
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(COMPLETIONS):
        share = rng.beta(0.2, 0.2, size=cells.value.shape)
        filled = cells.lower + share * (cells.upper - cells.lower)
        again = made.on_panel(panel.refilled(panel.metric("cpp"), filled))
        values.append(float(dk.DiD().fit(again, "cpp").values[0]))
    return values, found.table.iloc[-1]


def toy(seed: int) -> list[dict[str, object]]:
    """One small panel: bounds and p of both statistics against every completion."""
    rng = np.random.default_rng(seed)
    y = rng.poisson(12, size=(8, 3)).astype(float)
    at = [divmod(int(i), 3) for i in rng.choice(24, size=3, replace=False)]
    frame = pd.DataFrame(
        [(IDS[j], 2011 + t, y[j, t]) for j in range(8) for t in range(3)],
        columns=["la", "year", "m"],
    )
    frame["low"] = frame["high"] = frame["m"]
    frame["status"] = "observed"
    for j, t in at:
        row = 3 * j + t
        frame.loc[row, ["m", "low", "high"]] = np.nan, 1, 5
        frame.loc[row, "status"] = "suppressed"
    metric = dk.Metric(name="m", kind="count")
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics={"m": metric}, status={"m": "status"},
        lower={"m": "low"}, upper={"m": "high"},
    )  # fmt: skip
    made = dk.Design(
        panel, dk.Rollout({IDS[1]: 2012, IDS[4]: 2012}), against=dk.Pool(), selection="unknown"
    )
    fits = []
    for numbers in itertools.product(range(1, 6), repeat=3):
        filled = y.copy()
        for cell, number in zip(at, numbers, strict=True):
            filled[cell] = number
        fits.append(dk.DiD().fit(made.on_panel(panel.refilled(metric, filled)), "m"))
    values = [float(one.values[0]) for one in fits]
    rows = []
    for statistic in ("t", "beta"):
        by = dk.Permutation(statistic)
        found = dk.DiD().fit(made, "m").infer(by).check(dk.Bounds()).facts
        again = by.redrawn(fits[0])
        ps = [again.at(one).invert(0, 0.95).p_value for one in fits]
        rows.append(
            {
                "seed": seed,
                "statistic": statistic,
                "error_low": found["lowest"] - min(values),
                "error_high": found["highest"] - max(values),
                "largest_p": max(ps),
                "p_found": found["p_found"],
                "p_upper_bound": found["p_upper_bound"],
            }
        )
    return rows


def real_table(found: pd.DataFrame) -> str:
    """Lay the rungs out."""
    lines = [
        "| metric | cells used | rung | new cells | low | high | interval | p found | p at most |",
        "|---|---|---|---:|---:|---:|---|---:|---:|",
    ]
    for row in found.itertuples():
        p = p_value(row.p_upper_bound) if np.isfinite(row.p_upper_bound) else ""
        lines.append(
            f"| {row.metric} | {row.cells} | {row.rung} | {row.n_cells} | {signed(row.low)} | "
            f"{signed(row.high)} | {signed(row.conf_low)} to {signed(row.conf_high)} | "
            f"{p_value(row.p_found)} | {p} |"
        )
    return "\n".join(lines)


def toy_table(found: pd.DataFrame) -> str:
    """Say how far bounds are from the truth."""
    lines = [
        "| statistic | panels | bounds of the estimate off by | largest p found exactly | bound "
        "below the largest p | mean excess | largest excess | bound below 1 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for statistic, rows in found.groupby("statistic"):
        off = float(rows[["error_low", "error_high"]].abs().max().max())
        excess = rows["p_upper_bound"] - rows["largest_p"]
        exact = int((rows["p_found"] - rows["largest_p"]).abs().lt(1e-9).sum())
        lines.append(
            f"| {statistic} | {len(rows)} | {'at most 1e-9' if off < 1e-9 else f'{off:.2g}'} | "
            f"{exact} | {int((excess < -1e-9).sum())} | {excess.mean():.3f} | {excess.max():.3f} | "
            f"{int((rows['p_upper_bound'] < 1 - 1e-9).sum())} |"
        )
    return "\n".join(lines)


def words(found: pd.DataFrame) -> str:
    """Say the first metric's rungs in a sentence."""
    rows = found[(found["metric"] == "cpp") & (found["cells"] == "observed")]
    first, hidden = rows.iloc[0], rows.iloc[1]
    linked = rows[rows["rung"] == "hidden cells, with totals"].iloc[0]
    return (
        f"For plans on every observed cell: as published {signed(first['low'])}; with the "
        f"{hidden['n_cells']} hidden cells present {signed(hidden['low'])} to "
        f"{signed(hidden['high'])}; with the totals of all cells together {signed(linked['low'])} "
        f"to {signed(linked['high'])}. The same count is a large rate in a small population, so "
        "that a few hidden children in two tiny authorities weigh as much as a whole city."
    )


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--draws", type=int, default=999)
    options = parser.parse_args()
    made = design(options.data)
    found = real(made, options.data, options.draws)
    values, last = completions(made)
    toys = pd.DataFrame([row for seed in range(options.seeds) for row in toy(seed)])
    here = Path(__file__)
    both = pd.concat([found.assign(part="real"), toys.assign(part="small panels")])
    both.to_csv(here.with_suffix(".csv"), index=False, float_format="%.6g", lineterminator="\n")
    plans = found[(found["metric"] == "cpp") & (found["cells"] == "observed")]
    rounded = plans[plans["rung"] == "rounded too"].iloc[0]
    page = TEXT.format(
        start=START,
        n=len(made.comparators),
        draws=options.draws,
        real=real_table(found),
        words=words(found),
        completions=COMPLETIONS,
        least=signed(min(values)),
        most=signed(max(values)),
        low=signed(last["low"]),
        high=signed(last["high"]),
        linked_low=signed(rounded["low"]),
        linked_high=signed(rounded["high"]),
        seeds=options.seeds,
        units=8,
        periods=3,
        last=options.seeds - 1,
        toy=toy_table(toys),
    )
    here.with_suffix(".md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
