"""Write docs/inference.md: which inference for whom, and what each says on the real evaluation.

    python docs/inference.py SHARED

SHARED is the folder with `data`: the published tables and the lists of neighbours. It takes
about two minutes. docs/inference_sizes.md, which it points to, has a script of its own.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

import didkit as dk
from didkit.inference.assumptions import assumes
from didkit.results.tables import number, p_value, signed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import signs_of_safety as example

METRICS = ("cin", "icpc", "cpp", "cla")
ALONE = "935"  # Suffolk, a large authority
METHODS: dict[str, dk.ClusterRobust | object] = {
    "permutation of t": dk.Permutation("t"),
    "CR2, Bell–McCaffrey": dk.ClusterRobust("CR2"),
    "Welch": dk.ClusterRobust("CR2", df="welch"),
    "wild bootstrap, restricted": dk.WildBootstrap(),
    "CR3": dk.ClusterRobust("CR3"),
    "Ibragimov–Müller": dk.IbragimovMuller(),
    "Ferman–Pinto": dk.FermanPinto(),
    "permutation of the estimate": dk.Permutation("beta"),
    "Conley–Taber": dk.ConleyTaber(),
    "pooled t (Donald–Lang)": dk.DonaldLang(),
    "Lau–Li, ratio 1": dk.LauLi(),
    "CR1 (conventional)": dk.ClusterRobust("CR1"),
}

HEAD = """\
# How sure can one be with nine pilots?

Written by `python docs/inference.py SHARED`. The usual clustered test is made for many treated areas. With nine pilots
of 150 it rejects a true null in 9 % of evaluations where 5 % are promised, with three in 22 %, with one in 87 %. So
`.infer()` without an argument chooses by the design and says why, and `estimate.inference_table()` puts every method
that suits the design side by side, with what each takes for granted. How often each is wrong, simulated:
[inference_sizes.md](inference_sizes.md).

## Which one is chosen

n1 pilots and n0 comparators carry the term. The first case that matches names one method; `estimate.infer(other)`
overrules it.

| case | chosen | because |
|---|---|---|
| 1. one pilot | `FermanPinto()` where sizes are known and differ and n0 ≥ 20; otherwise `Permutation("beta")`, the rank among placebo pilots | no cluster-robust variance exists; the comparators' noise at the pilot's size stands in for it |
| 2. n1 ≤ 3 and n0 ≤ 3, or n0 = 1 | `DonaldLang()`, the pooled t, with its condition | no distribution-free 5 % test exists: the least p by permutation is 1/3 at 2 v 2. See `ContrastStudy` ([contrast.md](contrast.md)) |
| 3. matched sets, n1 ≥ 6 | sets of at most four comparators that share nobody: `SignFlips()`; larger ones, and shared ones with enough effective comparators: `Permutation("t")` within sets | sets are independent, or their dependence is counted; with more comparators a set, skewed noise makes sign flips reject 7 to 8 % |
| 4. n1 ≥ 6 and n0 ≥ 2 n1 | `Permutation("t")` | holds its size where pilots are noisier, smaller or skewed |
| 5. n1 ≤ 5 and n0 ≥ 20 | `Permutation("t")` | the restricted wild bootstrap never rejects with two or three pilots and is unreliable with four or five: it is withheld |
| 6. otherwise, or strata in which no p can be small | `ClusterRobust("CR2")` with Bell–McCaffrey degrees of freedom; sets: `Jackknife()` | known before the data |

Pilots are rarely randomised: a permutation's p is then the rank of the estimate among placebo pilots, and is called so.
"""  # noqa: E501


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("inference.md"))
    asked = parser.parse_args()
    data = asked.shared / "data"
    panel = example.load(data)
    design = example.design(panel, data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = [
            HEAD,
            assumed(),
            side_by_side(design),
            one_pilot(design),
            together(design),
            broken(design),
            STUDY,
        ]
    asked.out.write_text("\n".join(parts), encoding="utf-8")
    print(asked.out)
    return 0


def assumed() -> str:
    lines = ["## What each takes for granted", "", "| method | takes for granted |", "|---|---|"]
    lines += [f"| {name} | {assumes(one)} |" for name, one in METHODS.items()]
    more = {
        "sign flips (matched sets)": dk.SignFlips(),
        "wild bootstrap, subcluster": dk.WildBootstrap(subclusters="cells"),
        "wild randomisation": dk.WildRandomisation(),
        "Hagemann (one pilot)": dk.Hagemann(),
        "conformal (one start, over time)": dk.Conformal(),
        "jackknife": dk.Jackknife(),
    }
    lines += [f"| {name} | {assumes(one)} |" for name, one in more.items()]
    return "\n".join([*lines, ""])


def _cell(estimate: dk.Estimate, inference: object) -> str:
    try:
        sure = estimate.infer(inference).attached
    except dk.InferenceError:
        return "–"
    ends = sure.conf_low[0], sure.conf_high[0]
    said = " to ".join(signed(end) if np.isfinite(end) else "±∞" for end in ends)
    return f"{p_value(sure.p_value[0])} ({said})"


def side_by_side(design: dk.Design) -> str:
    made = {name: dk.DiD("complete").fit(design, name) for name in METRICS}
    lines = [
        "## The real evaluation, by every method",
        "",
        'Ten pilots of round 2, start 2018, units observed throughout (`DiD("complete")`), the '
        "change from the start on and p (95 % interval):",
        "",
        "| method | " + " | ".join(made[name].metric.label for name in METRICS) + " |",
        "|---|" + "---|" * len(METRICS),
        "| *change* | " + " | ".join(f"*{signed(made[n].values[0])}*" for n in METRICS) + " |",
    ]
    lines += [
        f"| {name} | " + " | ".join(_cell(made[metric], one) for metric in METRICS) + " |"
        for name, one in METHODS.items()
    ]
    counts = ", ".join(
        f"{name} {int(made[name].terms['n_pilots'].max())} v "
        f"{int(made[name].terms['n_comparators'].max())}"
        for name in METRICS
    )
    return "\n".join(
        [
            *lines,
            "",
            f"Pilots v comparators: {counts}. The narrow intervals are those of methods that take "
            "pilots to be as noisy as comparators.",
            "",
        ]
    )


def one_pilot(design: dk.Design) -> str:
    others = [unit for unit in design.rollout.starts if unit != ALONE]
    alone = design
    for unit in others:
        alone = alone.drop(unit)
    rows = []
    for metric in METRICS:
        made = dk.DiD("complete").fit(alone, metric)
        exact = made.infer(dk.LauLi()).attached
        rows.append(
            f"| {made.metric.label} | {signed(made.values[0])} | {_cell(made, dk.FermanPinto())} | "
            f"{_cell(made, dk.Permutation('beta'))} | {_cell(made, dk.Hagemann())} | "
            f"{number(float(exact.facts['breakdown_ratio']))} |"
        )
    name = alone.panel.units.loc[ALONE, "name"]
    return "\n".join(
        [
            f"## One pilot: {name} alone",
            "",
            "Clustered errors, jackknife and wild bootstrap are refused. ρ\\* says how many times "
            "as noisy as its comparators the pilot could be with zero still outside the interval "
            "(0: it is inside whatever the noise).",
            "",
            "| metric | change | Ferman–Pinto | rank | Hagemann | Lau–Li ρ\\* |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def together(design: dk.Design) -> str:
    whole = _common(design)
    made = [
        dk.DiD("complete").fit(whole, name).infer(dk.Permutation("t", seed=1)) for name in METRICS
    ]
    table = dk.adjusted_p_values(made)
    lines = [
        "## Four measures at once",
        "",
        "The same assignments for all measures, on the authorities that all four have "
        f"({int(made[0].terms['n_pilots'].iloc[0])} pilots, "
        f"{int(made[0].terms['n_comparators'].iloc[0])} comparators):",
        "",
        "| metric | change | p | Holm | Romano–Wolf | max-t | simultaneous 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        cells = [p_value(row[c]) for c in ("p_value", "holm", "romano-wolf", "max-t")]
        ends = f"{signed(row['band_low'])} to {signed(row['band_high'])}"
        lines.append(
            f"| {row['metric']} | {signed(row['estimate'])} | {' | '.join(cells)} | {ends} |"
        )
    return "\n".join([*lines, ""])


def _common(design: dk.Design) -> dk.Design:
    """Leave out units that some metric lacks in some period."""
    kept = set.intersection(
        *(set(dk.DiD("complete").fit(design, name).sample.units) for name in METRICS)
    )
    for unit in dk.DiD().fit(design, METRICS[0]).sample.units:
        if unit not in kept:
            design = design.drop(unit)
    for metric in METRICS[1:]:
        for unit in dk.DiD().fit(design, metric).sample.units:
            if unit not in kept:
                design = design.drop(unit)
    return design


def broken(design: dk.Design) -> str:
    lines = ["## What it would take", "", "`did.check(dk.Breakdown())`:", ""]
    for metric in METRICS:
        found = dk.DiD("complete").fit(design, metric).check(dk.Breakdown())
        lines.append(f"* **{metric}**: {found.headline}")
    return "\n".join([*lines, ""])


STUDY = """\
## Your own numbers

The sizes in the table are of simulated processes. `study` asks the same of your own panel: placebo pilots among your
comparators, or noise as large, as lasting and as unequal as yours.

```python
import didkit as dk
from didkit.simulate import OwnPanel

panel, design = dk.datasets.load_evaluation()
methods = {"permutation of t": dk.Permutation(draws=599), "CR2": dk.ClusterRobust("CR2"), "CR1": dk.ClusterRobust("CR1")}
found = dk.study(dk.DiD("complete"), methods, OwnPanel(design, "cpp"), seeds=200)
print(found.summary())
found.plot()
```
"""  # noqa: E501


if __name__ == "__main__":
    raise SystemExit(main())
