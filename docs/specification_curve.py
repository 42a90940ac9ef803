"""Write docs/specification_curve.md: how often the joint test is wrong, and how often it finds.

python docs/specification_curve.py [--seeds 400] [--draws 99]
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import didkit as dk
from didkit.check.curve_joint import Traded, as_large, joint_test, traded
from didkit.check.curve_run import two_way
from didkit.results.tables import to_markdown

FOLDER = Path(__file__).parent
N, T, PILOTS, START = 150, 10, 9, 6
NAMES = ("p_median", "p_small", "p_z")

Floats = NDArray[np.float64]

#: name: persistence, pilots' noise, effect in SDs of a cell's noise, how pilots were chosen
PROCESSES = {
    "no effect": (0.0, 1.0, 0.0, "random"),
    "no effect, noise that lasts (AR(1), .6)": (0.6, 1.0, 0.0, "random"),
    "no effect, two starts": (0.6, 1.0, 0.0, "random"),
    "no effect, pilots twice as noisy": (0.6, 2.0, 0.0, "random"),
    "no effect, pilots half as noisy": (0.6, 0.5, 0.0, "random"),
    "no effect, pilots chosen for their last value": (0.0, 1.0, 0.0, "latest_value"),
    "effect of 0.5 SD": (0.6, 1.0, 0.5, "random"),
    "effect of 1 SD": (0.6, 1.0, 1.0, "random"),
}

TEXT = """\
# The specification curve: how often its joint test is wrong, and how often it finds

Written by `python docs/specification_curve.py --seeds {seeds} --draws {draws}`.

`dk.SpecificationCurve` refits an estimate under every combination of choices and tests all of them
together. Units trade places with all their series, by one permutation for all specifications; three
statistics are compared with themselves over the permutations (Simonsohn, Simmons & Nelson 2020):
the median estimate, how many specifications of the more frequent sign have p ≤ .05, and the
average z.

{n} units × {t} years, {pilots} pilots, start in the seventh year (two starts: the fifth and the
seventh). A unit's level has standard deviation 1, a cell's noise 1. {specs} specifications: all
comparators, or 30 or 70 of them; all pilots, or without the first; the whole window, or without the
first two years, or without the last; the outcome, or a second definition of it (the first with as
much noise of its own); with two starts also `DiD()` or `DiD("complete")`, which are then two
numbers.
Seeds 0 to {last}, {draws} permutations each, level 5%. A share of 5% has a Monte Carlo error of
{error:.1f} percentage points.

<!-- table -->
{table}
<!-- end -->

Percentages of data sets with p ≤ .05. *Any p* is how often at least one of the specifications has
p ≤ .05 by itself: what a reader would see who looks for one. *Own p* is that of the estimate as it
is. Of one start the specifications are ranked by the estimate over its standard error; with two,
half of them (`"complete"`) by the estimate itself.

## What to read from it

* Where pilots are like the others, the joint test is wrong as often as it says, while at least one
  specification has p ≤ .05 far more often. That is what the joint test is for.
* **It takes exchangeable series for granted.** With noisier pilots the median, which has nothing to
  divide by, is too often far from zero; counts and z, made of studentised ranks, much less. With
  less noisy pilots the median finds too little.
* **Chosen pilots move all specifications together.** The choice of pilots for their last value
  (the highest of level plus noise that does not last) makes a change where there is no effect, in
  all specifications alike: no curve shows that, and the joint test finds it as if it were an
  effect. See `RegressionToTheMean`.
* The three p-values are of one null hypothesis. Choose one beforehand: the average z is nearly as
  powerful as the median here, and suffers less from noise that differs.

## What it cannot show

Whether the choices that were crossed are the right ones; whether what all share moves all of them
together; that the programme did nothing, where no p is small.

## Cost

`benchmarks/specifications.py`: 2,000 specifications (1,400 different) × 999 permutations on 150
units × 10 years, no intervals: 38 s of one processor, in one process. A fit costs most; 999
permutations of a specification are one product of matrices and a sum of some of its entries (some
3 ms).
"""


def drawn(name: str, seed: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return two outcomes (N, T), and the pilots."""
    rho, ratio, effect, chosen = PROCESSES[name]
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(N, 1))
    shocks = rng.normal(size=(2, N, T))
    for t in range(1, T):
        shocks[:, :, t] = rho * shocks[:, :, t - 1] + np.sqrt(1 - rho**2) * shocks[:, :, t]
    if chosen == "random":
        pilots = np.arange(PILOTS)
    else:
        pilots = np.sort(np.argsort((level + shocks[0])[:, START - 1])[-PILOTS:])
    shocks[:, pilots] *= ratio
    acts = np.zeros((N, T))
    acts[pilots, START:] = effect
    first = level + shocks[0] + acts
    second = level + (shocks[0] + shocks[1]) / np.sqrt(2) + acts
    return first, second, pilots


class Layout:
    """The weights of every specification, fitted once by didkit: they do not depend on outcomes."""

    def __init__(self, two_starts: bool) -> None:
        ids = [str(1000 + j) for j in range(N)]
        frame = pd.DataFrame(
            [(ids[j], 2010 + t, float(j + t)) for j in range(N) for t in range(T)],
            columns=["la", "year", "m"],
        )
        panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"], identity="any")
        starts = [START - 2 * (two_starts and j % 2) for j in range(PILOTS)]
        rollout = dk.Rollout({ids[j]: 2010 + s for j, s in enumerate(starts)})
        base = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
        others = base.comparators
        pilots = [base, base.without_pilot(ids[0])]
        pools = [None, dk.Pool(others[:30]), dk.Pool(others[-70:])]
        windows = [None, (2012, 2019), (2010, 2018)]
        self.ids = tuple(ids)
        self.parts = []
        for design, pool, window, cells in itertools.product(
            pilots, pools, windows, ("observed", "complete")
        ):
            if cells == "complete" and not two_starts:
                continue  # the same number by construction
            edited = design if pool is None else design.compared_with(pool)
            edited = edited if window is None else edited.within(*window)
            fitted = dk.DiD(cells).fit(edited, "m")
            sample = fitted.sample
            rows = np.array([ids.index(unit) for unit in sample.units])
            columns = np.array([int(p) - 2010 for p in sample.periods])
            inside = two_way(sample, fitted.weights[0])
            self.parts.append((fitted.weights[0], sample.units, rows, columns, inside))

    def p_values(self, outcomes: tuple[Floats, Floats], orders: Traded) -> dict[str, float]:
        """Return the joint p of all specifications, and what each says by itself."""
        values, statistics = [], []
        for (weights, units, rows, columns, inside), y in itertools.product(self.parts, outcomes):
            found = orders.estimates(
                weights, units, y[np.ix_(rows, columns)], y[:, columns], inside
            )
            values.append(found[0])
            statistics.append(found[1])
        p = as_large(np.stack(statistics, axis=1))
        joint = joint_test(np.stack(values, axis=1), p)
        return {
            "p_median": joint.p_median,
            "p_small": joint.p_small,
            "p_z": joint.p_average,
            "any_p": float(p[0].min()),
            "own_p": float(p[0, 0]),
            "median": joint.median,
        }


def _text(value: float, column: str) -> str:
    """Write a percentage with one digit, a mean with two."""
    text = f"{value:.2f}" if column.startswith("mean") else f"{value:.1f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def main() -> None:
    """Simulate, and write the page and the table behind it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--draws", type=int, default=99)
    asked = parser.parse_args()
    layouts = {two: Layout(two) for two in (False, True)}
    rows = []
    for name in PROCESSES:
        layout = layouts["two starts" in name]
        for seed in range(asked.seeds):
            *outcomes, pilots = drawn(name, seed)
            # pilots stand in the first places of the layout
            order = np.concatenate([pilots, np.setdiff1d(np.arange(N), pilots)])
            orders = traded(layout.ids, asked.draws, seed, None)
            made = layout.p_values((outcomes[0][order], outcomes[1][order]), orders)
            rows.append({"process": name, "seed": seed, **made})
        print(name, flush=True)
    every = pd.DataFrame(rows)
    grouped = every.groupby("process", sort=False)
    sizes = grouped[[*NAMES, "any_p", "own_p"]].agg(lambda one: 100 * (one <= 0.05 + 1e-9).mean())
    sizes["mean of medians"] = grouped["median"].mean()
    sizes = sizes.reset_index()
    sizes.round(3).to_csv(FOLDER / "specification_curve.csv", index=False)
    shown = sizes.rename(
        columns={
            "process": "data",
            "p_median": "median",
            "p_small": "count",
            "p_z": "average z",
            "any_p": "any p",
            "own_p": "own p",
            "mean of medians": "mean of medians, SD",
        }
    )
    shown = shown.apply(lambda one: [v if isinstance(v, str) else _text(v, one.name) for v in one])
    specs = {2 * len(layout.parts) for layout in layouts.values()}
    page = TEXT.format(
        seeds=asked.seeds,
        draws=asked.draws,
        last=asked.seeds - 1,
        n=N,
        t=T,
        pilots=PILOTS,
        specs=" or ".join(str(one) for one in sorted(specs)),
        error=100 * np.sqrt(0.05 * 0.95 / asked.seeds),
        table=to_markdown(shown),
    )
    (FOLDER / "specification_curve.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
