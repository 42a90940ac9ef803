"""Power before the data, four ways, on the packaged evaluation: writes docs/power.md.

python docs/power.py --replications 500
"""

from __future__ import annotations

import argparse
from pathlib import Path

import didkit as dk
from didkit.check import Variation

METRICS = ("cin", "icpc", "cpp", "cla")
PILOTS = (2, 3, 5, 10, 15, 20)
SHAPES = ((9, 141), (9, 9), (5, 145), (3, 147), (1, 149), (4, 4), (2, 2))
CHECK = dk.DetectableEffect()


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _said(power: dk.Power) -> str:
    return f"{power.facts['detectable']:.1f}"


def ways(design: dk.Design, replications: int) -> str:
    """Return the four ways side by side: by metric, on the design's window and the placebo one."""
    rows = []
    for metric in METRICS:
        found = CHECK.resampled(design, metric)
        like = {k: int(found.facts[k]) for k in ("pilots", "comparators", "before", "after")}
        noise = Variation.of(design, metric)
        own = CHECK.before(design, metric, variation=noise)
        simulated = CHECK.simulated(noise, **like, replications=replications)
        rows.append(
            [
                metric,
                f"{noise.icc:.2f}, {noise.ar1:.2f}",
                f"{_said(own)} ({own.facts['percent']:.0f}%)",
                _said(CHECK.before(design, metric, variation=noise, **like)),
                _said(CHECK.before(design, metric, variation=noise, **like, test="pooled")),
                _said(simulated),
                _said(found),
                f"{simulated.facts['size']:.1%}",
            ]
        )
    return _table(
        [
            "metric",
            "ICC, AR1",
            "`before`, own window",
            "`before`, placebo window",
            "the same, pooled t",
            "`simulated`",
            "`resampled`",
            "size, simulated",
        ],
        rows,
    )


def curves(design: dk.Design) -> str:
    """Return the curve over numbers of pilots for child protection plans."""
    found = CHECK.resampled(design, "cpp", pilots=PILOTS)
    like = {k: int(found.facts[k]) for k in ("before", "after")}
    noise, rows = Variation.of(design, "cpp"), []
    for row in found.designs().itertuples():
        numbers = {"pilots": int(row.pilots), "comparators": int(row.comparators), **like}
        rows.append(
            [
                f"{int(row.pilots)} v {int(row.comparators)}",
                *(_said(CHECK.expected(noise, **numbers, test=test)) for test in ("CR2", "pooled")),
                f"{row.detectable:.1f}",
            ]
        )
    return _table(["pilots v comparators", "formula, CR2", "formula, pooled", "`resampled`"], rows)


def shapes() -> str:
    """Return the table in standard deviations of the long difference."""
    one, rows = Variation(between=0, within=0.5**0.5), []
    for n1, n0 in SHAPES:
        cells = [f"{n1} v {n0}"]
        for test in ("pooled", "CR2"):
            for multiplier in ("noncentral", "Bloom"):
                made = CHECK.expected(
                    one, pilots=n1, comparators=n0, before=1, after=1, test=test,
                    multiplier=multiplier,
                )  # fmt: skip
                cells.append(f"{made.facts['detectable']:.2f}")
        rows.append(cells)
    return _table(["pilots v comparators", "pooled", "… Bloom", "CR2", "… Bloom"], rows)


def windows() -> str:
    """Return the effect of more periods before, without and with serial correlation."""
    rows = []
    for after in (1, 3):
        for ar1 in (0.0, 0.5):
            noise = Variation.from_icc(1.0, 0.5, ar1)
            made = CHECK.expected(
                noise, pilots=9, comparators=141, before=[1, 2, 4, 8], after=after
            )
            found = made.designs()["detectable"]
            rows.append([f"{after} after, AR1 {ar1:g}", *(f"{x:.2f}" for x in found)])
    return _table(["", "1 before", "2", "4", "8"], rows)


def main() -> None:
    """Compute and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("power.md"))
    options = parser.parse_args()
    _, design = dk.datasets.load_evaluation()
    n = options.replications
    error = (0.8 * 0.2 / n) ** 0.5
    options.out.write_text(
        f"""# Power before the data

Written by `python docs/power.py --replications {n}` from the packaged evaluation. What is the
smallest effect that a design would find with probability 80 %, testing at 5 %? Four ways to ask,
none of which looks at a cell from the first start on:

```python
import didkit as dk
from didkit.check import Variation

panel, design = dk.datasets.load_evaluation()
check = dk.DetectableEffect(power=0.8, level=0.95)

noise = Variation.from_icc(sd=18, icc=0.4, ar1=0.5)
check.expected(noise, pilots=range(2, 21), comparators=140, before=5, after=3)  # numbers alone
check.before(design, "cpp")  # the design's numbers, the variation of its pre-periods
check.simulated(design, "cpp", estimator=dk.DiD(), inference=dk.ClusterRobust("CR2"))
check.resampled(design, "cpp", pilots=[3, 5, 10])  # placebo pilots in real pre-periods
```

Each returns a `Power`: `.headline`, `.designs()`, `.tidy()`, `.plot()`.

## The four ways on one evaluation

Per 10,000 children; in brackets percent of the comparators' level. The design's own window is
five periods before and three after; placebo designs have the five periods before only (three and
two), so the four columns after it are computed for that window. Error of a simulated power of 80
%: ± {error:.1%}.

{ways(design, n)}

* **`before` and `simulated`** answer the same question with the same noise, and differ by the
  error of the simulation (one seed for all metrics). Simulation is for estimators and inferences
  without a formula.
* **`resampled`** keeps the real skewness and serial correlation, and drops authorities with a gap.
  It is 7 to 12 % below the formula for three metrics, and 28 % above it for `cla`, whose AR1 is at
  its end (.95): there lasting and passing parts cannot be told apart in five periods, and the
  formula should not be relied on. It says nothing about what sets the real pilots apart, and its
  draws share their units: more draws do not make the authorities more.

## By the number of pilots

Child protection plans, placebo window; every authority that is not a placebo pilot is a
comparator.

{curves(design)}

With two or three pilots the CR2 test leans on the pilots' own spread and has hardly a degree of
freedom: more comparators do not help it. The pooled t borrows the comparators' spread, and is
wrong when pilots are noisier. The permutation of t lies between.

## In standard deviations of the long difference

{shapes()}

With the noncentral t the pooled column is exact for normal outcomes. Bloom's `t(1−α/2) +
t(power)` is smaller: by 0.1 % at 9 v 141, 5 % at 3 v 147 and 2 v 2. didkit uses the noncentral t.

## More periods do not always help

Standard deviation 1, ICC .5, 9 v 141. Without serial correlation the variance is `σ² (1/before +
1/after)`; with it (Burlig, Preonas & Woerman 2020) older periods tell less about the coming ones:

{windows()}
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
