"""Write docs/pre_trends.md: what looking at the periods before the start can and cannot tell.

python docs/pre_trends.py --seeds 4000 --permuted 1000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

import didkit as dk
from didkit import linear
from didkit.check.combined import combined
from didkit.check.equivalent import folded_p, two_sided_margin
from didkit.check.event_terms import EventTerms
from didkit.check.trend_adjusted import line_rows
from didkit.inference.student import t_quantile

HERE = Path(__file__).resolve().parent
Floats = NDArray[np.float64]
N, N1, SD, AR1 = 150, 9, 10.0, 0.5
TIMES = np.array([-6, -5, -4, -3, -2, 0, 1, 2])
LEVEL, MARGIN, DRAWS = 0.95, 15.0, 199
NEAR = 10.0  #: margin of the difference between adjusted and estimated
SINCE = (TIMES + 1).astype(float)
BENT = np.where(TIMES > -4, SINCE, -2.0)  # begins three periods before the start
ROOT = float(np.sqrt(np.mean(SINCE[:5] ** 2)))
DRIFTS = {
    "flat": 0.0 * SINCE,
    "linear, 1 a year": 1.0 * SINCE,
    "linear, 2 a year": 2.0 * SINCE,
    "linear, 3 a year (largest: the margin)": MARGIN / 5 * SINCE,
    "linear, 4.52 a year (root mean square: the margin)": MARGIN / ROOT * SINCE,
    "linear, 5 a year (mean: the margin)": MARGIN / 3 * SINCE,
    "bent, 3 a year from −3 on": 3.0 * BENT,
    "from the start on only, 5 a year": 5.0 * np.where(TIMES >= 0, SINCE, 0.0),
}
NOISE = {"normal": "normal", "skewed": "exponential, centred"}

TEXT = """\
# What the periods before the start can tell

Written by `python docs/pre_trends.py --seeds {seeds} --permuted {permuted}`; the numbers are in
docs/pre_trends.csv. {n1} pilots among {n} authorities, six years before the start and three from it
on; no programme has any effect. Noise within an authority has standard deviation {sd:g} and
autocorrelation {ar1:g}; pilots drift by the path named. Seed 0 for normal noise, 1 for skewed
({skewed}). {seeds:,} data sets a row (Monte Carlo error at most {mc:.1f} points; near 5 %,
{mc5:.1f}); permutations: {permuted:,} data sets ({mcp:.1f}), {draws} draws each.

## How often each test rejects

Percent of data sets, at 5 %. Rows other than *flat* are power. *χ²* takes the covariance as known;
Hotelling's T² and the permutations are what `PreTrends` uses; *any* is any earlier term's own
interval (t with {df:.1f} degrees of freedom).

{tests}

The χ² test of five terms with nine pilots rejects {chi:.0f} % of true nulls, and looking at each
interval {any:.0f} %. `PreTrends` uses neither, and `PreTrendPower` with normal noise is too hopeful
with so few pilots. A drift of 2 a year, which moves the mean of the three years from the start on
by 4, is missed by Hotelling's test in {miss_t:.0f} % of data sets, and by the permutations in
{miss_p:.0f} %.

## How often movements can be said to be small

Percent of data sets in which two one-sided tests at 5 % put the movement inside the margin of
{margin:g}. At the edge (marked in the row's name) it is the test's size, which should not exceed
5 %.

{equivalence}

Even where nothing moves, the largest of five terms can be said to be below {margin:g} in
{flat_max:.0f} % of data sets: that is what nine pilots can show. *Sharper* is Dette &
Schumann's folded normal with the estimated covariance taken as known: at its edge it says so in
{sharper:.1f} % of data sets with normal noise and in {sharper_skewed:.1f} % with skewed. The root
mean square is conservative by construction.

**Where it fails.** With skewed noise the test of the mean says "small" at its edge in
{mean_skewed:.1f} % of data sets instead of 5 (normal noise: {mean_normal:.1f} %): the mean of nine
skewed numbers is skewed itself, and t does not know. With a permutation as inference the interval
is the permutation's, which is not simulated here.

## What not rejecting does to the estimate

Mean of the estimate (the mean of the three years from the start on less the reference), whose true
value is 0: over all data sets, and over those in which Hotelling's test, or every interval, does
not reject; with their shares in percent. A drift of 2 a year biases the estimate by {bias:.1f};
where no interval rejects, by {kept:.1f}: the reference year that hides the drift before the start
adds to it after (Roth 2022). Reporting only what was not rejected makes bias larger, not smaller.
"–": in fewer than ten data sets nothing was rejected. The estimate has a standard deviation of
about {spread:.1f}, so that the Monte Carlo error of a mean is at most {error:.2f} over all data
sets, {error10:.1f} over a tenth of them and {error1:.1f} over a hundredth.

{passing}

## Adjusting for a line

Coverage (percent) of intervals at 95 % for an effect of 0: as estimated, less the mean of the years
before, and less a straight line; the mean half-width of the three; and how often the difference
between adjusted and estimated is said to be within ±{near:g}.

{adjusted}

The adjusted interval covers whatever straight line there is, and costs {wider:.1f} times the width.
It fails where the drift bends: it covers {bent:.0f} % where the drift began three years before the
start, and {late:.0f} % where it began with the programme, of which no test before the start can
know.
"""


def noise(rng: np.random.Generator, kind: str) -> Floats:
    """Draw (N, 9) outcomes: AR(1) within an authority, stationary."""
    shape = (N, len(TIMES) + 1)
    shocks = rng.normal(size=shape) if kind == "normal" else rng.exponential(size=shape) - 1
    made = np.empty(shape)
    made[:, 0] = shocks[:, 0]
    for t in range(1, shape[1]):
        made[:, t] = AR1 * made[:, t - 1] + np.sqrt(1 - AR1**2) * shocks[:, t]
    return SD * made


def numbers_of(y: Floats) -> Floats:
    """One number a unit and term: its outcome less that of the reference year."""
    return np.delete(y, 5, axis=1) - y[:, [5]]


def terms_of(numbers: Floats, pilot: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the terms and their CR2 covariance: two groups of one vector a unit."""
    one, none = numbers[pilot], numbers[~pilot]
    values = one.mean(axis=0) - none.mean(axis=0)
    covariance = np.cov(one, rowvar=False) / len(one) + np.cov(none, rowvar=False) / len(none)
    return values, covariance


def by_didkit(y: Floats, pilot: NDArray[np.bool_]) -> dk.Estimate:
    """Return the same terms from a panel and a design, for the degrees of freedom."""
    frame = pd.DataFrame(
        [
            (str(301 + 3 * j), 2011 + t, y[j, t])
            for j in range(y.shape[0])
            for t in range(y.shape[1])
        ],
        columns=["la", "year", "m"],
    )
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    rollout = dk.Rollout({str(301 + 3 * int(j)): 2017 for j in np.flatnonzero(pilot)})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    return dk.EventStudy().fit(design, "m").infer(dk.ClusterRobust("CR2"))


class Permuted:
    """The joint permutation test, through the kernel that refits combinations of terms."""

    def __init__(self, events: dk.Estimate, rng: np.random.Generator) -> None:
        before = np.eye(len(TIMES))[TIMES < 0]
        self.kernel = combined(events, before, [str(t) for t in TIMES[TIMES < 0]]).reassigned
        order = np.argsort(rng.random((DRAWS, N)), axis=1)
        self.labels = np.where(order < N1, 0, -1)
        self.actual = np.where(events.sample.pilot, 0, -1)[None]

    def __call__(self, numbers: Floats) -> float:
        """Return p of the rank of ``t' S⁻¹ t``."""
        self.kernel.numbers = numbers[:, TIMES < 0]
        drawn, own = self.kernel(self.labels), self.kernel(self.actual)
        null, mine = drawn.b / np.sqrt(drawn.v0), (own.b / np.sqrt(own.v0))[0]
        inverse = np.linalg.inv(np.cov(null, rowvar=False))
        size = np.einsum("bi,ij,bj->b", null, inverse, null)
        return float((1 + (size >= mine @ inverse @ mine).sum()) / (1 + DRAWS))


def simulate(kind: str, seeds: int, permuted: int, seed: int) -> pd.DataFrame:
    """Return one row a drift: every rate and mean."""
    rng = np.random.default_rng(seed)
    pilot = np.isin(np.arange(N), np.linspace(1, N - 1, N1).astype(int))
    ys = [noise(rng, kind) for _ in range(seeds)]
    events = by_didkit(ys[0], pilot)
    values, covariance = terms_of(numbers_of(ys[0]), pilot)
    np.testing.assert_allclose(events.values, values)
    np.testing.assert_allclose(events.attached.covariance, covariance)
    before = TIMES < 0
    df = float(events.attached.df[0])
    joint_df = linear.df_hotelling(events.normal, events.contrast[before], "CR2")
    made = [terms_of(numbers_of(y), pilot) for y in ys]
    b0, v = np.array([m[0] for m in made]), np.array([m[1] for m in made])
    error = np.sqrt(np.einsum("skk->sk", v))
    terms = EventTerms.of(events, of="mean")
    line, _ = line_rows(terms, 1)
    flat, _ = line_rows(terms, 0)
    w = terms.weights
    combos = np.array([w, w - w @ flat, w - w @ line, -(w @ line)])
    combo_error = np.sqrt(np.einsum("mk,skl,ml->sm", combos, v, combos))
    inverse = np.linalg.inv(v[:, before][:, :, before])
    largest = np.sqrt(np.linalg.eigvalsh(v[:, before][:, :, before])[:, -1])
    mean_error = np.sqrt(v[:, before][:, :, before].sum(axis=(1, 2))) / 5
    t95, t90 = t_quantile(0.975, np.array([df])), np.full(seeds, df)

    test = Permuted(events, rng)
    rows = []
    for name, path in DRIFTS.items():
        b = b0 + path
        pre = b[:, before]
        squared = np.einsum("si,sij,sj->s", pre, inverse, pre)
        hotelling = np.array(
            [
                linear.hotelling(p, c, joint_df).p_value
                for p, c in zip(pre, v[:, before][:, :, before], strict=True)
            ]
        )
        each = (np.abs(pre) > t95 * error[:, before]).any(axis=1)
        dfs = np.full((seeds, 5), df)
        each_margin = two_sided_margin(pre, error[:, before], dfs, LEVEL).max(axis=1)
        folded = folded_p(pre, error[:, before], MARGIN).max(axis=1)
        mean_margin = two_sided_margin(pre.mean(axis=1), mean_error, t90, LEVEL)
        norm = np.sqrt((pre**2).sum(axis=1))
        root_margin = two_sided_margin(norm, largest, t90, LEVEL) / np.sqrt(5)
        shifted = [numbers_of(y) + np.outer(pilot, path) for y in ys[:permuted]]
        p = np.array([test(one) for one in shifted])
        values = b @ combos.T
        half = t95 * combo_error
        cover = (np.abs(values) <= half).mean(axis=0)
        apart = two_sided_margin(values[:, 3], combo_error[:, 3], t90, LEVEL)
        rows.append(
            {
                "noise": kind,
                "drift": name,
                "chi2": (squared > chi2.ppf(LEVEL, 5)).mean(),
                "hotelling": (hotelling <= 0.05).mean(),
                "permutation": (p <= 0.05).mean(),
                "any": each.mean(),
                "max": (each_margin < MARGIN).mean(),
                "max_sharper": (folded <= 1 - LEVEL).mean(),
                "mean": (mean_margin < MARGIN).mean(),
                "rms": (root_margin < MARGIN).mean(),
                "bias": values[:, 0].mean(),
                "bias_hotelling": _mean(values[hotelling > 0.05, 0]),
                "bias_each": _mean(values[~each, 0]),
                "share_hotelling": (hotelling > 0.05).mean(),
                "share_each": (~each).mean(),
                "cover_estimated": cover[0],
                "cover_mean": cover[1],
                "cover_line": cover[2],
                "half_estimated": half[:, 0].mean(),
                "half_mean": half[:, 1].mean(),
                "half_line": half[:, 2].mean(),
                "near": (apart < NEAR).mean(),
                "df": df,
                "seeds": seeds,
                "permuted": permuted,
            }
        )
    return pd.DataFrame(rows)


def _mean(values: Floats) -> float:
    """Return the mean, and NaN of fewer than ten."""
    return float(values.mean()) if len(values) >= 10 else float("nan")


def page(table: pd.DataFrame) -> str:
    """Write the page."""

    def shares(names: dict[str, str], table: pd.DataFrame = table) -> str:
        made = table[["noise", "drift"]].copy()
        for name, title in names.items():
            digits = 2 if name.startswith(("bias", "half")) else 1
            factor = 1 if name.startswith(("bias", "half")) else 100
            made[title] = [
                f"{factor * one:.{digits}f}" if np.isfinite(one) else "–" for one in table[name]
            ]
        lines = [list(made.columns), ["---", "---", *["---:"] * len(names)]]
        lines += made.to_numpy().tolist()
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    normal = table[table["noise"] == "normal"].set_index("drift")
    seeds, permuted = int(table["seeds"].iloc[0]), int(table["permuted"].iloc[0])
    skewed = table[table["noise"] == "skewed"].set_index("drift")
    edge = next(name for name in DRIFTS if "largest" in name)
    middle = next(name for name in DRIFTS if "(mean" in name)
    bent, late = list(DRIFTS)[-2:]
    spread = normal["half_estimated"].iloc[0] / t_quantile(0.975, table["df"].iloc[0])
    return TEXT.format(
        seeds=seeds,
        permuted=permuted,
        n=N,
        n1=N1,
        sd=SD,
        ar1=AR1,
        skewed=NOISE["skewed"],
        mc=100 * 0.5 / np.sqrt(seeds),
        mc5=100 * np.sqrt(0.05 * 0.95 / seeds),
        mcp=100 * np.sqrt(0.05 * 0.95 / permuted),
        draws=DRAWS,
        df=table["df"].iloc[0],
        spread=spread,
        error=spread / np.sqrt(seeds),
        error10=spread / np.sqrt(seeds / 10),
        error1=spread / np.sqrt(seeds / 100),
        margin=MARGIN,
        near=NEAR,
        chi=100 * normal.loc["flat", "chi2"],
        any=100 * normal.loc["flat", "any"],
        flat_max=100 * normal.loc["flat", "max"],
        sharper=100 * normal.loc[edge, "max_sharper"],
        miss_t=100 * (1 - normal.loc["linear, 2 a year", "hotelling"]),
        miss_p=100 * (1 - normal.loc["linear, 2 a year", "permutation"]),
        bias=normal.loc["linear, 2 a year", "bias"],
        kept=normal.loc["linear, 2 a year", "bias_each"],
        sharper_skewed=100 * skewed.loc[edge, "max_sharper"],
        mean_skewed=100 * skewed.loc[middle, "mean"],
        mean_normal=100 * normal.loc[middle, "mean"],
        wider=(normal["half_line"] / normal["half_estimated"]).iloc[0],
        bent=100 * normal.loc[bent, "cover_line"],
        late=100 * normal.loc[late, "cover_line"],
        tests=shares(
            {
                "chi2": "χ²",
                "hotelling": "Hotelling",
                "permutation": "permutation",
                "any": "any",
            }
        ),
        equivalence=shares(
            {"max": "largest", "max_sharper": "sharper", "mean": "mean", "rms": "rms"}
        ),
        passing=shares(
            {
                "bias": "all",
                "bias_hotelling": "Hotelling does not reject",
                "share_hotelling": "share",
                "bias_each": "no interval rejects",
                "share_each": "share of these",
            }
        ),
        adjusted=shares(
            {
                "cover_estimated": "estimated",
                "cover_mean": "less mean",
                "cover_line": "less line",
                "half_estimated": "half-width, estimated",
                "half_mean": "less mean: half-width",
                "half_line": "less line: half-width",
                "near": "difference small",
            }
        ),
    )


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4000)
    parser.add_argument("--permuted", type=int, default=1000)
    asked = parser.parse_args()
    table = pd.concat(
        [
            simulate(kind, asked.seeds, min(asked.permuted, asked.seeds), seed)
            for seed, kind in enumerate(NOISE)
        ],
        ignore_index=True,
    )
    table.to_csv(HERE / "pre_trends.csv", index=False, float_format="%.6g")
    (HERE / "pre_trends.md").write_text(page(table), encoding="utf-8")


if __name__ == "__main__":
    main()
