"""Write docs/sensitivity.md and .csv: how often each sensitivity interval holds the effect.

python docs/sensitivity.py --seeds 1000 --panels 200
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.stats import norm

from didkit.check import EventTerms, RelativeMagnitudes, Smoothness
from didkit.check.conditional import conditional_set
from didkit.check.conditional_test import statistics
from didkit.check.fixed_length import fixed_length
from didkit.check.sensitivity_intervals import ByNormal, ByShuffling
from didkit.check.sensitivity_permuted import Shuffled, by_unit

LEVEL, SHARE, SEED, CHECKED = 0.95, 0.1, 0, 5
SHOWN = ("one dominant jump", "linear trend", "bent as it hurts most")  #: of panels
WIDTHS = 20  #: data sets of which the whole interval is made
UNITS, PILOTS, DRAWS = 150, 9, 499
Z = float(norm.ppf(0.5 + LEVEL / 2))
LAYOUTS = {"5 + 3": (5, 3), "3 + 1": (3, 1)}


def path_of(layout: tuple[int, int], jumps_before: list[float], jumps_after: list[float]):
    """Add jumps up to a path of violations, 0 at the reference."""
    before, after = layout
    if (len(jumps_before), len(jumps_after)) != (before - 1, after):
        raise ValueError("a jump for each period")
    early = np.append(-np.cumsum(jumps_before[::-1])[::-1], 0.0)
    return np.concatenate([early[:-1], np.cumsum(jumps_after)])


def times_of(layout: tuple[int, int]):
    """Event times of the terms."""
    return np.array([*range(-layout[0], -1), *range(layout[1])])


def weights_of(layout: tuple[int, int]):
    """The mean of the terms from the start on."""
    return np.where(times_of(layout) >= 0, 1.0 / layout[1], 0.0)


def worst_bent(layout: tuple[int, int], size: float, covariance):
    """The path inside smoothness that moves the fixed-length estimator most."""
    times, weights = times_of(layout), weights_of(layout)
    zero = np.zeros(len(times))
    made = fixed_length(zero, covariance, weights, times, -1, 0, size, LEVEL)
    (piece,) = Smoothness().pieces(times, -1, 0, size)
    # straight lines do not move the estimator: hold the one through the first term at zero
    hold = [(0.0, 0.0), *[(None, None)] * (len(times) - 1)]
    return linprog(-made.combination, A_ub=piece.A, b_ub=piece.d, bounds=hold, method="highs").x


def violations(layout: tuple[int, int], unit: float, covariance) -> Iterator[tuple]:
    """Name, restriction, size and path of each violation; `unit`: the noise of a term."""
    before, after = layout
    k = before - 1
    rm, flat = RelativeMagnitudes(), np.zeros(k + after)
    big, equal, slope = 4 * unit, 2 * unit, 1.0 * unit
    zigzag = [equal * (-1) ** i for i in range(k)]
    yield "none", rm, 1.0, flat
    yield "one dominant jump", rm, 1.0, path_of(layout, [big] + [0.0] * (k - 1), [big] * after)
    yield "equal jumps, one way", rm, 1.0, path_of(layout, [equal] * k, [equal] * after)
    yield "equal jumps, to and fro", rm, 1.0, path_of(layout, zigzag, [equal] * after)
    yield "none", Smoothness(), 0.5 * unit, flat
    yield "linear trend", Smoothness(), 0.0, path_of(layout, [slope] * k, [slope] * after)
    yield (
        "bent as it hurts most",
        Smoothness(),
        0.5 * unit,
        worst_bent(layout, 0.5 * unit, covariance),
    )


def normal_test(method, restriction, size, layout, covariance, draws=20_000) -> Callable:
    """Whether zero is inside, for many vectors of terms of one covariance at once."""
    times, weights = times_of(layout), weights_of(layout)
    zero, alpha = np.zeros(len(times)), 1 - LEVEL
    if method == "as printed":
        error = np.sqrt(weights @ covariance @ weights)
        return lambda terms: np.abs(terms @ weights) <= Z * error
    if method == "fixed length":
        made = fixed_length(zero, covariance, weights, times, -1, 0, size, LEVEL)
        return lambda terms: np.abs(terms @ made.combination) <= made.half_length
    after = times >= 0
    tests = []
    rng = np.random.default_rng(SEED)
    noise = rng.multivariate_normal(zero, covariance, size=draws)
    for piece in restriction.pieces(times, -1, 0, size):
        one = statistics(piece, zero, covariance, weights, after)
        tests.append((one, (noise @ one.load.T).max(axis=1)))

    def inside(terms):
        found = np.zeros(len(terms), dtype=bool)
        for one, drawn in tests:
            values = one.value + terms @ one.load.T
            if method == "least favourable":
                found |= values.max(axis=1) <= np.quantile(drawn, LEVEL)
                continue
            cap, level = np.inf, alpha
            if method == "hybrid":
                cap = float(np.quantile(drawn, 1 - SHARE * alpha))
                level = (alpha - SHARE * alpha) / (1 - SHARE * alpha)
            for i in np.flatnonzero(~found):
                if values[i].max() <= cap:
                    p = replace(one, value=values[i]).p_values(np.zeros(1), cap)
                    found[i] = p[0] >= level
        return found

    return inside


def kernel(seeds: int) -> pd.DataFrame:
    """Coverage with normal terms of known covariance."""
    rows = []
    for name, layout in LAYOUTS.items():
        times, weights = times_of(layout), weights_of(layout)
        covariance = (np.eye(len(times)) + 1.0) / 2  # independent cells, less the reference
        for what, restriction, size, path in violations(layout, 1.0, covariance):
            smooth = isinstance(restriction, Smoothness)
            rng = np.random.default_rng(SEED)
            terms = path + rng.multivariate_normal(np.zeros(len(times)), covariance, size=seeds)
            normal = ["conditional", "hybrid", "least favourable"]
            for method in ["as printed", *(["fixed length"] if smooth else []), *normal]:
                inside = normal_test(method, restriction, size, layout, covariance)(terms)
                for i in range(CHECKED if method in normal else 0):  # the same by the interval
                    pieces = restriction.pieces(times, -1, 0, size)
                    asked = method.replace(" ", "_")
                    made = conditional_set(
                        terms[i], covariance, weights, times, -1, 0, pieces, LEVEL, asked
                    )
                    held = any(low <= 0 <= high for low, high in made.intervals)
                    near = min(abs(end) for pair in made.intervals for end in pair) < 0.05
                    if held != inside[i] and not near:
                        raise ValueError(f"the interval says otherwise: {name} {what} {method} {i}")
                rows.append(
                    ("normal, covariance known", name, _named(restriction, size), what, method,
                     inside.mean(), np.nan, seeds)
                )  # fmt: skip
            print(name, what, flush=True)
    return _frame(rows)


def shuffled(numbers, pilot, rng) -> Shuffled:
    """The permutation of one data set, from one number a unit and term."""
    labels = np.full((DRAWS, len(pilot)), -1, dtype=np.int64)
    chosen = np.argsort(rng.random(labels.shape), axis=1)[:, : pilot.sum()]
    np.put_along_axis(labels, chosen, 0, axis=1)
    own = np.where(pilot, 0, -1)[None].astype(np.int64)
    b, a, spread = by_unit(numbers, pilot, labels)
    values, _, mine = by_unit(numbers, pilot, own)
    return Shuffled(
        values=values[0], b=b, a=a, spread=spread, own=mine, exact=False, method="permutation",
        shift=np.zeros(numbers.shape[1]), least_p=1 / (1 + DRAWS),
    )  # fmt: skip


def panels(seeds: int) -> pd.DataFrame:
    """Coverage and width with nine pilots of 150 and skewed noise; covariance by CR2."""
    layout = LAYOUTS["5 + 3"]
    times, weights = times_of(layout), weights_of(layout)
    periods = np.arange(-layout[0], layout[1])
    pilot = np.arange(UNITS) < PILOTS
    expected = (np.eye(len(times)) + 1.0) * (1 / PILOTS + 1 / (UNITS - PILOTS))
    unit = float(np.sqrt(expected[0, 0]))
    rows = []
    for noise in (1.0, 2.0):
        for what, restriction, size, path in violations(layout, unit, expected):
            if what not in SHOWN:
                continue
            smooth = isinstance(restriction, Smoothness)
            normal = "fixed length" if smooth else "hybrid"
            methods = ("as printed, CR2 and normal", f"{normal}, CR2 and normal", "permutation")
            inside = np.zeros((seeds, 3), dtype=bool)
            width = np.full((min(seeds, WIDTHS), 3), np.nan)
            for seed in range(seeds):
                rng = np.random.default_rng([SEED, seed])
                y = (rng.chisquare(2, size=(UNITS, len(periods))) - 2) / 2
                y[pilot] *= noise
                numbers = np.delete(y - y[:, [layout[0] - 1]], layout[0] - 1, axis=1)
                numbers[pilot] += path
                covariance = sum(
                    np.cov(numbers[arm], rowvar=False) / arm.sum() for arm in (pilot, ~pilot)
                )
                drawn = shuffled(numbers, pilot, rng)
                drawn = replace(drawn, shift=(weights > 0) / weights.sum())
                terms = EventTerms.given(
                    pd.Series(drawn.values, index=times), pd.DataFrame(covariance, times, times)
                )
                ways = ByShuffling(terms, restriction, LEVEL, drawn)
                for i, method in enumerate(("as printed", normal)):
                    test = normal_test(method, restriction, size, layout, covariance, 4000)
                    inside[seed, i] = test(terms.values[None])[0]
                inside[seed, 2] = ways.holds_zero(size)
                if seed < len(width):
                    where = ByNormal(normal.replace(" ", "_"), terms, restriction, LEVEL, 0)
                    ends = (where.interval(size), ways.interval(size))
                    width[seed] = [2 * Z * terms.std_error, *(b - a for a, b in ends)]
            shown = _named(restriction, size / unit if smooth else size)
            data = f"nine pilots of 150, skewed, pilots' noise × {noise:g}"
            for i, method in enumerate(methods):
                wide = float(np.median(width[:, i]) / unit)
                share = inside[:, i].mean()
                rows.append((data, "5 + 3", shown, what, method, share, wide, seeds))
            print(noise, what, flush=True)
    return _frame(rows)


def _named(restriction, size: float) -> str:
    kind = "smoothness" if isinstance(restriction, Smoothness) else "relative magnitudes"
    return f"{kind}, {size:.2g}"


def _frame(rows: list[tuple]) -> pd.DataFrame:
    names = ["data", "periods", "restriction", "violation", "method", "coverage", "width", "sets"]
    return pd.DataFrame(rows, columns=names)


def table(found: pd.DataFrame) -> str:
    """Lay coverages out, one row a violation."""
    parts = []
    for (data, periods), some in found.groupby(["data", "periods"], sort=False):
        wide = some.assign(
            shown=[
                f"{100 * c:.1f}" + ("" if np.isnan(w) else f" ({w:.1f})")
                for c, w in zip(some["coverage"], some["width"], strict=True)
            ]
        ).pivot_table(
            index=["restriction", "violation"], columns="method", values="shown",
            aggfunc="first", sort=False,
        ).fillna("")  # fmt: skip
        first = [m for m in wide.columns if m.startswith("as printed")]
        wide = wide[[*first, *(m for m in wide.columns if m not in first)]].reset_index()
        n = int(some["sets"].iloc[0])
        brackets = (
            f"In brackets: median widths ({WIDTHS} data sets) in standard deviations of a term."
        )
        parts += [
            f"**{data[:1].upper() + data[1:]}; {periods} periods; {n:,} data sets** (Monte Carlo "
            f"error {100 * np.sqrt(0.95 * 0.05 / n):.1f} at 95)",
            "",
            "| " + " | ".join(wide.columns) + " |",
            "|---|---|" + "---:|" * (wide.shape[1] - 2),
            *("| " + " | ".join(row) + " |" for row in wide.itertuples(index=False)),
            "",
            *([brackets, ""] if some["width"].notna().any() else []),
        ]
    return "\n".join(parts)


BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def main() -> None:
    """Simulate, and write the table between the page's markers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000, help="data sets with normal terms")
    parser.add_argument("--panels", type=int, default=200, help="data sets of 150 units")
    asked = parser.parse_args()
    write(pd.concat([kernel(asked.seeds), panels(asked.panels)], ignore_index=True))


def write(found: pd.DataFrame) -> None:
    """Write the numbers, and the table between the page's markers."""
    file = Path(__file__)
    found.round(4).to_csv(file.with_suffix(".csv"), index=False)
    page = file.with_suffix(".md")
    text = page.read_text(encoding="utf-8")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{head}{BEGIN}\n\n{table(found)}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
