"""Write docs/inference_sizes.md: how often tests reject a true null, method by method.

python docs/inference_sizes.py --seeds 3000 --jobs 2

Every finished cell goes into docs/inference_sizes.csv at once, and is not run again: a long run can
be cut in pieces. `--only 9v141` runs the cells whose name holds a text; `--write` runs none. The
page and didkit/inference/sizes.csv are made of what is there.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import didkit as dk
from didkit.progress import steps
from didkit.simulate import (
    PACKAGED_SEED,
    EvaluationProcess,
    LongDifferences,
    OwnPanel,
    PanelProcess,
    Process,
    draw,
    evaluation_neighbours,
    evaluation_panel,
    study,
)
from didkit.simulate.places import TINY

HERE = Path(__file__).resolve()
FOUND = HERE.with_suffix(".csv")
PAGE = HERE.with_suffix(".md")
SIZES = HERE.parents[1] / "didkit" / "inference" / "sizes.csv"

DRAWS = 599  # of the printed table
DRAWS_NEW = 399  # of the others
MOST_NEW = 1000  # seeds of the others
LONG = dk.DiD("complete")
PLAIN: dict[str, Any] = {
    "CR1": dk.ClusterRobust("CR1"),
    "CR3": dk.ClusterRobust("CR3J"),
    "CR2-BM": dk.ClusterRobust("CR2"),
    "Welch": dk.ClusterRobust("CR2", df="welch"),
    "pooled t": dk.DonaldLang(),
    "wild restricted": dk.WildBootstrap(draws=DRAWS),
    "permutation β": dk.Permutation("beta", draws=DRAWS),
    "Conley–Taber": dk.ConleyTaber(draws=DRAWS),
    "permutation t": dk.Permutation("t", draws=DRAWS),
}
SIZED: dict[str, Any] = {"Ferman–Pinto": dk.FermanPinto(draws=DRAWS)}
MORE: dict[str, Any] = {
    "wild unrestricted": dk.WildBootstrap("unrestricted", draws=DRAWS),
    "Ibragimov–Müller": dk.IbragimovMuller(),
    "Lau–Li, ratio 1": dk.LauLi(),
}
CELLS_TOO: dict[str, Any] = {  # needs the cells themselves: two-way, not one number a unit
    "wild subcluster": dk.WildBootstrap(subclusters="cells", draws=DRAWS),
}
SETS: dict[str, Any] = {
    "permutation β": dk.Permutation("beta", draws=DRAWS),
    "permutation t": dk.Permutation("t", draws=DRAWS),
    "Ibragimov–Müller": dk.IbragimovMuller(),
    "sign flips": dk.SignFlips(draws=DRAWS),
}
RECOMMENDED: dict[str, Any] = {"recommended": None}
OLD_COLUMNS = [*PLAIN, *SIZED]
NEW_COLUMNS = [*MORE, *CELLS_TOO]

#: the table of the project's methods page, simulated before didkit was written: % rejected
PRINTED: dict[str, dict[str, str]] = {
    name: dict(zip(OLD_COLUMNS, row.split(), strict=True))
    for name, row in {
        "9v141 normal": "9.2 6.4 4.9 5.2 4.8 4.8 4.9 6.7 5.0 –",
        "9v141 noisier": "9.7 7.1 5.4 5.2 27.8 5.4 27.8 34.8 5.7 –",
        "9v141 skewed": "13.4 10.7 9.0 9.7 4.9 9.1 5.4 7.6 5.1 –",
        "9v141 small": "8.1 5.8 5.0 5.0 11.8 4.5 11.8 15.1 4.7 7.6",
        "9v9 normal": "5.5 4.5 5.0 4.8 4.9 5.0 4.9 invalid 4.9 invalid",
        "3v147 normal": "22.5 12.4 4.2 6.7 5.0 0.0 5.3 6.2 4.4 –",
        "3v147 small": "22.5 12.4 4.3 6.1 12.6 0.0 11.7 13.2 6.0 6.7",
        "1v149 normal": "87 refuse refuse refuse 5.1 0.0 4.7 5.6 4.7 –",
        "1v149 small": "89 refuse refuse refuse 12.9 0.0 10.7 11.8 10.7 5.7",
        "2v2 normal": "12.6 6.1 4.9 2.2 5.0 0 0 – 0 invalid",
        "4v4 normal": "7.5 4.9 4.9 4.1 5.3 6.2 3.0 – 3.0 invalid",
    }.items()
}
THEIRS, THEIRS_MANY = 3000, 40_000  # replications of the printed numbers
PRECISE = ("CR2-BM", "Welch")  # … of which these have many
APART = 3.0


class Cell(NamedTuple):
    """One process, and what is counted on it."""

    name: str
    block: str
    pilots: int
    comparators: int
    noise: str
    process: Process
    methods: dict[str, Any]
    cells_too: bool = False


def cells() -> dict[str, Cell]:
    """Return every cell of the page, by name."""
    made: list[Cell] = []
    for n1, n0, noise in (
        *((9, 141, noise) for noise in ("normal", "noisier", "skewed", "small")),
        (9, 9, "normal"),
        *((n1, 150 - n1, noise) for n1 in (3, 1) for noise in ("normal", "small")),
        (2, 2, "normal"),
        (4, 4, "normal"),
    ):
        methods = PLAIN | (SIZED if noise == "small" else {}) | MORE
        process = LongDifferences(n1, n0, noise)
        both = n1 == 3
        made.append(Cell(f"{n1}v{n0} {noise}", "printed", n1, n0, noise, process, methods, both))
    panel = {"pilots": 9, "comparators": 141, "before": 4, "after": 3}
    regions = {"regions": 9, "region_correlation": 0.3}
    for noise, process, methods in (
        ("staggered", PanelProcess(**panel, starts=(1 / 3,) * 3), PLAIN),
        ("AR1 .6", PanelProcess(**panel, ar1=0.6), PLAIN),
        ("regions", PanelProcess(**panel, **regions), PLAIN),
        ("regions, together", PanelProcess(**panel, **regions, pilots_together=True), PLAIN),
        ("small and skewed", LongDifferences(9, 141, "small and skewed"), PLAIN | SIZED),
    ):
        made.append(Cell(f"9v141 {noise}", "new", 9, 141, noise, process, methods))
    for n0, size, shared in ((27, 3, False), (12, 3, True), (76, 8, True)):
        process = PanelProcess(
            pilots=9, comparators=n0, before=4, after=3, sets=size, shared=shared
        )
        noise = f"sets of {size}, {'shared' if shared else 'own'}"
        made.append(Cell(f"9v{n0} {noise}", "sets", 9, n0, noise, process, SETS))
    for regime in REGIMES:
        for noise in ("normal", "skewed", "sizes"):
            made.append(coverage(regime, noise))
    return {cell.name: cell for cell in made}


REGIMES = ("9v141", "3v147", "1v149", "9 own sets", "9 neighbours' lists")
METRIC = "cpp"
OF_SIZE = 0.8  # share of the mean variance that falls with size


@cache
def regime_design(regime: str) -> dk.Design:
    """One design on the packaged evaluation's process, drawn once: levels, gaps and sizes."""
    evaluation = draw(EvaluationProcess().clean(), PACKAGED_SEED)
    panel, neighbours = evaluation_panel(evaluation), evaluation_neighbours(evaluation)
    first = str(min(evaluation.pilots.values()))
    together = sorted(unit for unit, start in evaluation.pilots.items() if str(start) == first)
    tiny = [evaluation.units[i] for i in TINY]
    n1 = int(regime[0])
    against: Any = dk.Pool()
    if regime == "9 own sets":
        against = own_sets(together[:n1], neighbours, barred={*tiny, *evaluation.pilots})
    elif regime == "9 neighbours' lists":
        against = neighbours.per_pilot(aggregate="mean")
    return dk.Design(
        panel,
        dk.Rollout(dict.fromkeys(together[:n1], first)),
        against=against,
        selection="random",
        exclude=dict.fromkeys(tiny, "tiny"),
    )


def own_sets(pilots: list[str], neighbours: Any, *, barred: set[str], size: int = 3) -> Any:
    """Give each pilot in turn its nearest neighbours that nobody has yet."""
    lists = neighbours.table.sort_values("rank", kind="stable")
    taken, made = set(barred), {}
    for pilot in pilots:
        listed = lists.loc[lists["unit"] == pilot, "neighbour"]
        own = [unit for unit in listed if unit not in taken][:size]
        taken |= set(own)
        made[pilot] = dict.fromkeys(own, 1 / len(own))
    return dk.MatchedSets(made)


def coverage(regime: str, noise: Any) -> Cell:
    """One regime of the calibrated evaluation."""
    design = regime_design(regime)
    share = OF_SIZE if noise == "sizes" else None
    process = OwnPanel(design, METRIC, noise=noise, of_size=share)
    n1, n0 = len(design.pilots), len(design.comparators)
    return Cell(f"{regime} {noise} (coverage)", "coverage", n1, n0, noise, process, RECOMMENDED)


def run(name: str, seeds: int) -> pd.DataFrame:
    """Run one cell."""
    cell = cells()[name]
    begun = time.perf_counter()
    draws = DRAWS if cell.block == "printed" else DRAWS_NEW
    first = zlib.crc32(name.encode())  # seeds of its own, so that cells are independent
    which = range(first, first + seeds)
    made = study(LONG, cell.methods, cell.process, which, draws=draws)
    table = made.table.assign(used=_used(made))
    if cell.cells_too:
        other = study(dk.DiD(), CELLS_TOO, cell.process, which, draws=draws)
        table = pd.concat([table, other.table.assign(used="WildBootstrap")], ignore_index=True)
    took = time.perf_counter() - begun
    front = {
        "cell": name, "block": cell.block, "pilots": cell.pilots,
        "comparators": cell.comparators, "noise": cell.noise,
    }  # fmt: skip
    kept = table[
        ["method", "used", "seeds", "refused", "rejects", "rejects_mc_error", "covers",
         "covers_mc_error", "bias", "sd", "half_width", "infinite"]
    ].rename(columns={"rejects_mc_error": "mc_error"})  # fmt: skip
    kept = pd.concat([pd.DataFrame([front] * len(kept)), kept], axis=1)
    return kept.assign(ms=round(1000 * took / seeds, 1))


def _used(made: Any) -> list[str]:
    """Name the inference behind each row."""
    by = made.used.groupby("method")["inference"].agg(", ".join)
    return [str(by.get(method, "")) for method in made.table["method"]]


def stored() -> pd.DataFrame:
    """Return what has been run."""
    return pd.read_csv(FOUND, keep_default_na=True) if FOUND.exists() else pd.DataFrame()


def todo(names: list[str], seeds: int, found: pd.DataFrame) -> dict[str, int]:
    """Return the cells that have not been run with so many seeds, and how many each needs."""
    every = cells()
    wanted = {
        name: seeds if every[name].block == "printed" else min(seeds, MOST_NEW) for name in names
    }
    if found.empty:
        return wanted
    done = (found["seeds"] + found["refused"]).groupby(found["cell"]).min()
    return {name: n for name, n in wanted.items() if done.get(name, 0) < n}


def run_all(names: list[str], seeds: int, jobs: int) -> None:
    """Run cells, `jobs` at a time, and store each as it is done."""
    waiting = todo(names, seeds, stored())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(run, name, n) for name, n in waiting.items()]
        try:
            for future in steps(as_completed(futures), "cells", total=len(futures)):
                new, found = future.result(), stored()
                if not found.empty:
                    found = found[found["cell"] != new["cell"].iloc[0]]
                order = list(cells())
                both = pd.concat([found, new], ignore_index=True)
                both = both.sort_values("cell", key=lambda c: c.map(order.index), kind="stable")
                both.to_csv(FOUND, index=False, float_format="%.6g", lineterminator="\n")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


# -- the page -------------------------------------------------------------------------------------


def share_error(percent: float, n: int) -> float:
    """Monte Carlo error of a percentage, not 0 where none or all were counted."""
    p = (percent / 100 * n + 1) / (n + 2)
    return float(100 * (p * (1 - p) / n) ** 0.5)


def compare(cell: str, method: str, percent: float, seeds: int) -> float:
    """How many combined Monte Carlo errors ours is from the printed number; NaN if none is."""
    text = PRINTED.get(cell, {}).get(method, "–")
    if not text[:1].isdigit() or np.isnan(percent):
        return float("nan")
    theirs, n = float(text), THEIRS_MANY if method in PRECISE else THEIRS
    rounding = (1.0 if text.strip("0").isdigit() and "." not in text else 0.1) / 12**0.5
    together = (percent * seeds + theirs * n) / (seeds + n)  # the share, if the two are one
    error = share_error(together, seeds + n) * ((seeds + n) ** 2 / (seeds * n)) ** 0.5
    return float((percent - theirs) / np.hypot(error, rounding))


def compared(found: pd.DataFrame) -> pd.DataFrame:
    """Hold every cell of the printed table against ours: ``cell, method, ours, printed, apart``."""
    rows = []
    for cell, printed in PRINTED.items():
        mine = found[found["cell"] == cell].set_index("method")
        for method, text in printed.items():
            if method not in mine.index:
                continue
            row = mine.loc[method]
            ours = 100 * float(row["rejects"]) if row["seeds"] else float("nan")
            apart = compare(cell, method, ours, int(row["seeds"]))
            rows.append((cell, method, ours, text, apart))
    return pd.DataFrame(rows, columns=["cell", "method", "ours", "printed", "apart"])


def _line(cells_of_row: list[str]) -> str:
    return "| " + " | ".join(cells_of_row) + " |"


def _share(found: pd.DataFrame, cell: str, method: str) -> str:
    mine = found[(found["cell"] == cell) & (found["method"] == method)]
    if mine.empty:
        return ""
    row = mine.iloc[0]
    return f"{100 * row['rejects']:.1f}" if row["seeds"] else "refused"


def printed_table(found: pd.DataFrame) -> str:
    """Lay ours beside the printed numbers."""
    apart = compared(found).set_index(["cell", "method"])["apart"]
    lines = [_line(["pilots v comparators, noise", *OLD_COLUMNS])]
    lines.append("|---|" + "---:|" * len(OLD_COLUMNS))
    for cell, printed in PRINTED.items():
        row = [cell]
        for method, text in printed.items():
            ours = _share(found, cell, method)
            far = abs(apart.get((cell, method), np.nan)) > APART
            shown = f"**{ours}** ⚑" if far else ours
            row.append(f"{shown} ({text})" if ours else f"({text})")
        lines.append(_line(row))
    return "\n".join(lines)


def plain_table(found: pd.DataFrame, names: list[str], columns: list[str]) -> str:
    """Lay rejection rates out, a row a cell."""
    lines = [_line(["pilots v comparators, noise", *columns]), "|---|" + "---:|" * len(columns)]
    lines += [_line([name, *(_share(found, name, m) for m in columns)]) for name in names]
    return "\n".join(lines)


def coverage_table(found: pd.DataFrame) -> str:
    """Lay coverage of the recommended method out."""
    lines = [
        "| design | noise | recommended | holds the truth % | Monte Carlo error | half width |",
        "|---|---|---|---:|---:|---:|",
    ]
    for row in found[found["block"] == "coverage"].itertuples():
        percent = 100 * row.covers
        flag = "" if 93 <= percent <= 97 else " ⚑"
        design = row.cell.removesuffix(f" {row.noise} (coverage)")
        lines.append(
            f"| {design} | {row.noise} | {row.used} | {percent:.1f}{flag} | "
            f"{100 * row.covers_mc_error:.1f} | {row.half_width:.1f} |"
        )
    return "\n".join(lines)


def flags(found: pd.DataFrame) -> str:
    """Say in words how many cells are apart, and which."""
    table = compared(found)
    held = table[table["apart"].notna()]
    far = held[held["apart"].abs() > APART]
    said = (
        f"{len(held)} cells have a number on both sides; {len(far)} are further apart than "
        f"{APART:g} combined Monte Carlo errors."
    )
    lines = [
        f"* {row.cell}, {row.method}: {row.ours:.1f} here, {row.printed} printed "
        f"({row.apart:+.1f} errors)"
        for row in far.itertuples()
    ]
    return "\n".join([said, *([""] if lines else []), *lines])


TEXT = """\
# What nominal 5 % tests do with few pilots

Written by `python docs/inference_sizes.py --seeds {seeds}`; every number stands with its Monte
Carlo error in `docs/inference_sizes.csv`. Share of {seeds:,} data sets without an effect in which a
5 % test rejects, in per cent; a share of 5 has a Monte Carlo error of {error:.1f}. In brackets the
number of the project's methods page, simulated before didkit was written (3,000 data sets or more).
⚑: further from it than three combined Monte Carlo errors.

One number a unit, the long difference `W`, independent (`LongDifferences`). *normal*: N(0, 1).
*noisier*: pilots N(0, 4). *skewed*: (χ²₂ − 2)/2. *small*: sizes M = exp(N(0, .9²)) of comparators,
exp(N(−.9, .4²)) of pilots, `W ~ N(0, .2 + .8/M)`. CR1 with the factor G/(G−1) and t(G−1); CR3 with
the jackknife's factor and t(G−1). {draws} draws; where there are fewer assignments or sign vectors
all are listed, and ties count.

{printed}

{flags}

*refused*: the method does not exist there and says so; at 1v149 the printed 87 and 89 of CR1 are
what other programs would give, and the printed 0.0 of the wild bootstrap what it would do.

## Further methods on the same data

{more}

## Further processes

Panels of four periods before and three after (`PanelProcess`), analysed by one long difference a
unit; {seeds_new:,} data sets and {draws_new} draws, here and below.
*staggered*: three pilots start in each of three periods. *AR1 .6*:
the passing part carries over. *regions*: nine regions, in which shocks correlate by .3, pilots in
random ones, or *together* in the same one; nobody told the design. *small and skewed*: one number a
unit, as small, with skewed noise.

{new}

## Matched sets

Nine pilots, each with its own comparators (*own*), or drawn out of the same few, so that some serve
several (*shared*).

{sets}

## Coverage of the recommended interval

The packaged synthetic evaluation without its faults: levels, variation before the start ({metric}:
standard deviation between authorities {between:.1f}, within {within:.1f} per 10,000, AR1 {ar1:.2f})
and sizes are those of one draw, and the cells are drawn anew (`OwnPanel`) with no effect,
{seeds_new:,} times. *sizes*: noise of variance a + b/M of the number of children M, b/M being
{of_size:.0%} of the mean variance. *9 own sets*: three neighbours each that nobody shares. Share of
nominal 95 % intervals that hold the truth; ⚑: outside 93 to 97.

{coverage}

## Reading it

* A test that rejects more than 5 % here finds effects that are not there; one that rejects less is
  wide, and finds little.
* The printed 95 % interval of each method inverts its test, so 100 less a rate is its coverage.
* Shocks that pilots share, and nobody else has, can be told from an effect by none of these
  methods: see *regions, together*.
"""


def page(found: pd.DataFrame) -> str:
    """Write the page."""
    every = cells()
    run_with = (found["seeds"] + found["refused"])[found["block"] == "printed"]
    seeds = int(run_with.min())
    variation = every[f"{REGIMES[0]} normal (coverage)"].process.variation  # type: ignore[attr-defined]
    names = {
        block: [name for name, cell in every.items() if cell.block == block]
        for block in ("printed", "new", "sets")
    }
    return TEXT.format(
        seeds=seeds,
        error=share_error(5.0, seeds),
        draws=DRAWS,
        draws_new=DRAWS_NEW,
        seeds_new=min(seeds, MOST_NEW),
        printed=printed_table(found),
        flags=flags(found),
        more=plain_table(found, names["printed"], NEW_COLUMNS),
        new=plain_table(found, names["new"], OLD_COLUMNS),
        sets=plain_table(found, names["sets"], list(SETS)),
        coverage=coverage_table(found),
        metric=METRIC,
        of_size=OF_SIZE,
        between=variation.between,
        within=variation.within,
        ar1=variation.ar1,
    )


def sizes(found: pd.DataFrame) -> str:
    """Write the table that didkit's inference table shows, as CSV."""
    kept = found[(found["block"] != "coverage") & (found["seeds"] > 0)]
    columns = ["pilots", "comparators", "noise", "method", "rejects", "mc_error", "seeds"]
    return kept[columns].to_csv(index=False, float_format="%.5f", lineterminator="\n")


def write() -> None:
    """Write both."""
    found = stored()
    PAGE.write_text(page(found), encoding="utf-8")
    SIZES.write_text(sizes(found), encoding="utf-8")


def main() -> None:
    """Run what is not there yet, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="cells whose name holds this text")
    parser.add_argument("--again", action="store_true", help="run them although they are there")
    parser.add_argument("--write", action="store_true", help="only write the page")
    options = parser.parse_args()
    names = [name for name in cells() if options.only in name]
    if options.again and FOUND.exists():
        found = stored()
        found[~found["cell"].isin(names)].to_csv(FOUND, index=False, lineterminator="\n")
    if not options.write:
        run_all(names, options.seeds, options.jobs)
    write()


if __name__ == "__main__":
    main()
