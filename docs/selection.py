"""Write docs/selection.md: what the choice of pilots would show by itself.

python docs/selection.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from didkit.check.selected import ESTIMATORS
from didkit.simulate.selection import SelectionProcess, selection_study

PRINTED = {
    ("latest_value", "before_after_last"): "−0.56",
    ("latest_value", "post_gap"): "+1.95",
    ("latest_value", "did"): "−0.15",
    ("latest_value", "did_without_last"): "≈ 0",
    ("latest_value", "matched_last"): "−0.04",
    ("latest_value", "matched_mean"): "+0.21",
    ("average", "did"): "−0.35",
    ("average", "matched_mean"): "−0.09",
    ("permanent", "post_gap"): "+1.00",
    ("permanent", "did"): "0",
    ("permanent", "matched_mean"): "+0.14",
}
SELECTIONS = {
    "random": "at random",
    "latest_value": "the highest in the last year",
    "average": "the highest four-year mean",
    "permanent": "at random, and 1 higher for good",
}
REPLICATIONS, SEED = 10_000, 0

TEXT = """\
# What the choice of pilots would show by itself

Written by `python docs/selection.py`. No programme has any effect here.

{n_units} units with `Y_it = μ_i + e_it`: μ has standard deviation {between:g}, e is an AR(1) with
standard deviation {within:g} and coefficient {ar1:g}; {n_before} years before the start and
{n_after} after, {n_pilots} pilots. Matched pilots are compared with the mean of their {ratio}
nearest comparators in level, over all years. {replications:,} replications, seed {seed}. The
highest are chosen; where the lowest are, all signs turn. *Exact* is the expectation in closed form,
which exists where pilots are not matched. *Elsewhere* is the same process simulated before
didkit was written, with 2,000 replications (an error of 0.005 to 0.009).

{table}

With five years before and two after, DiD without the last year gives {mirror}. It is 0 above only
because the years kept, three before and three after, mirror each other about the year left out.

## What to do

No row is right for all selections: what removes the bias of one makes that of another.

| pilots were chosen | smallest bias | because |
|---|---|---|
| at random | any | there is nothing to remove |
| for their latest value | dropping that year, if as many years are kept before it as after; else \
matching on it | a comparator as extreme in that year returns alike |
| for their level over several years | matching on the mean of those years | as above |
| for reasons that last | DiD, not matched | matched comparators are extreme by chance and return \
to their own mean |
| by bid, or nobody knows | none: show all | the years before do not tell these apart |

`estimate.check(dk.RegressionToTheMean())` does this with the variation, units and years of a
design, for pilots as far out as they were and for the most extreme; its `plot()` draws it.

Matching on the outcome before is a choice between two biases. Where the lasting gap would have
changed without the programme, it has the smaller one if the reliability r of what is matched and
the ratio s of that gap before to after satisfy r ≥ 1 − |1 − s| (Ham & Miratrix 2024; derived in the
check's documentation). r is estimated. s is not known from the years before, so the check says by
how much the gap must have changed. Where the arms merely differ in level, matching makes a bias
that DiD does not have (Daw & Hatfield 2018): the rows "1 higher for good".

The process is normal, stationary and the same in all units. Differing trends, recording breaks and
choices by another metric are not in it.
"""


def table(found: pd.DataFrame) -> str:
    """Lay the study out beside the printed numbers."""
    lines = [
        "| pilots chosen | comparison | simulated | Monte Carlo error | exact | elsewhere |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in found.itertuples():
        exact = "" if pd.isna(row.closed_form) else signed(row.closed_form)
        lines.append(
            f"| {SELECTIONS[row.selection]} | {ESTIMATORS[row.estimator]} | {signed(row.mean)} | "
            f"{row.mc_error:.3f} | {exact} | {PRINTED.get((row.selection, row.estimator), '')} |"
        )
    return "\n".join(lines)


def signed(value: float) -> str:
    """Write a number with three decimals and its sign; 0 without one."""
    text = f"{abs(value):.3f}"
    return "0" if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def page() -> str:
    """Write the page."""
    process = SelectionProcess()
    found = selection_study(process, replications=REPLICATIONS, seed=SEED)
    other = selection_study(
        SelectionProcess(n_before=5, n_after=2), replications=REPLICATIONS, seed=SEED
    ).set_index(["selection", "estimator"])
    mirror = other.loc[("latest_value", "did_without_last")]
    return TEXT.format(
        n_units=process.n_units,
        n_pilots=process.n_pilots,
        n_before=process.n_before,
        n_after=process.n_after,
        ratio=process.ratio,
        between=process.variation.between,
        within=process.variation.within,
        ar1=process.variation.ar1,
        replications=REPLICATIONS,
        seed=SEED,
        table=table(found),
        mirror=f"{signed(mirror['mean'])} (exact {signed(mirror['closed_form'])}, elsewhere +0.12)",
    )


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
