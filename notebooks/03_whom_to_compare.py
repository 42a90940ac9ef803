# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Whom to compare: choose, then look
#
# For a class, or for whoever has to plan an evaluation. Most mistakes in evaluations of pilots are
# made before anything is estimated: in who the pilots are, and in who stands beside them. Here
# you look at one design from all sides, change it, and at the end write it down.
#
# The data are those of the first two notebooks: made up, ten pilots from 2018 on, and **a true
# effect of zero**. Run one cell at a time. Where a cell asks for a prediction, write one before
# you go on, or leave `None` if you only want to look.

# %%
import tomllib

import pandas as pd

import didkit as dk
from didkit.plot import draw

evaluation = dk.datasets.load_evaluation()
panel, design = evaluation
neighbours = evaluation.neighbours
LABELS = {name: panel.metrics[name].label.lower() for name in ("cin", "icpc", "cpp", "cla")}
design

# %% [markdown]
# ## 1. Who serves whom
#
# Each authority has a published list of ten *statistical neighbours*. The lists were not made for
# this evaluation: nothing keeps a pilot off another pilot's list, or one authority off several.

# %%
neighbours.closeness(design.pilots, panel)

# %% [markdown]
# Ten lists of ten are a hundred places. Predict:
#
# * `comparators`: how many different authorities are left, once pilots are taken out?
# * `busiest`: on how many of the ten lists does the busiest of them stand?

# %%
comparators = None  # for example 90
busiest = None  # for example 2

# %%
own = design.compared_with(neighbours.per_pilot(aggregate="mean"))
draw(own, kind="neighbour_graph").figure

# %%
served = own.reuse()
places = [other for pilot in design.pilots for other in neighbours.of(pilot)]
taken = sum(other in design.pilots for other in places)
top = served.iloc[0]
print(
    f"{len(places)} places, {taken} of them taken by pilots, who may not serve. "
    f"{len(own.comparators)} different comparators are left;\n"
    f"{(served['pilots_served'] > 1).sum()} serve two pilots or more, {top['name']} serves "
    f"{top['pilots_served']}."
)
if comparators is not None:
    print(f"You said {comparators} comparators: {abs(comparators - len(own.comparators))} off.")
if busiest is not None:
    print(f"You said {busiest} lists: {abs(busiest - top['pilots_served'])} off.")

# %% [markdown]
# What follows depends on how the lists are used:
#
# * **all in one pool** (as this design has it): every comparator counts once, and all pilots are
#   compared with the same mean;
# * **each pilot with its own list**: who stands on several lists counts several times. If its
#   records break, several comparisons break together, so they are not independent, and inference
#   must know it.

# %%
once = 1 / len(design.comparators)
print(
    f"Weight of {top['name']}: {once:.1%} in the pool, {top['weight']:.1%} with lists of their "
    f"own: as much as {top['weight'] / once:.1f} comparators of the pool."
)
served.head(5)

# %% [markdown]
# ## 2. How unlike were they before?
#
# Lists of neighbours are made so that they are alike: in deprivation, incomes, density. Predict:
# in how many of twelve measures (level, last value and slope before the start, of four metrics)
# are the pilots nearer to their neighbours than to all other authorities together?

# %%
nearer = None  # for example 10

# %%
balance = design.balance(list(LABELS))
draw(balance).figure

# %%
measures = balance.tidy()
closer = measures["smd_after"].abs() < measures["smd_before"].abs()
beyond = measures["smd_after"].abs() > measures["smd_se"]
print(
    f"Nearer to their neighbours than to all others: in {closer.sum()} of {len(measures)}.\n"
    f"Further from their neighbours than one standard error of chance: in {beyond.sum()}."
)
if nearer is not None:
    print(f"You said {nearer}.")

# %% [markdown]
# Only in those of children looked after. Alike in what the lists go by is not alike in the outcome.
#
# Three things that this picture does not say:
#
# * **No line is a threshold.** Ten pilots differ from any others by chance alone, by about as
#   much as the grey band is wide.
# * **A difference in level is not by itself a bias of DiD.** It compares changes, and takes levels
#   out. A difference in *slope* is one, if it would have gone on; nobody knows whether it would.
# * **Nearness in these twelve is not fairness.** What would have happened without the programme is
#   not among them.
#
# ## 3. Other comparators
#
# In the second notebook the interval for children looked after missed the truth, by chance. Were
# the neighbours to blame? Below are other choices, each with something to be said for it. Predict:
# will some of them bring the estimate to zero or above?

# %%
reaches_zero = None  # True or False

# %%
history = dk.Covariates.from_panel(panel, means={"cla": (2013, 2017)})
CHOICES = {
    "closest five of each list": neighbours.closest(5).union(),
    "each its own ten, mean": neighbours.per_pilot(aggregate="mean"),
    "each its own ten, by rank": neighbours.per_pilot(aggregate="weighted", weights="rank"),
    "computed neighbours": dk.compute_neighbours(history, missing="leave_out").union(),
    "three matched on 2013 to 2017": dk.Matching(history, ratio=3, missing="leave_out"),
    "every other authority": dk.Pool(),
}
looked_after = dk.DiD().fit(design, "cla").infer()
choice = looked_after.check(dk.OtherComparators(CHOICES, original="all ten lists, one pool"))
choice.plot().figure

# %%
moved = choice.tidy()
low, high = choice.facts["lowest"], choice.facts["highest"]
missed = (moved["conf_low"] > 0) | (moved["conf_high"] < 0)
print(
    f"The estimate runs from {low:+.1f} to {high:+.1f}. The gap before the start runs from "
    f"{moved['gap_before'].min():+.1f} to {moved['gap_before'].max():+.1f}.\n"
    f"The truth is {evaluation.truth['cla']:g}: {missed.sum()} of {len(moved)} intervals miss it."
)
if reaches_zero is not None:
    print("You were right." if reaches_zero == (high >= 0) else "It is the other way round.")
moved[["choice", "comparators", "estimate", "conf_low", "conf_high", "gap_before"]].round(1)

# %% [markdown]
# The gap before moves with whom one asks, the estimate much less: **all seven are off on the same
# side, by nearly the same amount.** They share the ten pilots, and even against the mean of every
# other authority, which chance hardly moves, it was a good few years for these ten. A narrow range
# says that the answer does not hang on the comparators. It does not say that the answer is right,
# and seven estimates are not seven pieces of evidence.
#
# Look at the ends of the intervals, too. Whether zero is inside depends on the row, so whoever may
# choose a row afterwards may choose what to report. That is why the choice belongs in a plan. The
# other metrics, under the choices that do not go by looked-after children:

# %%
OWN = ("computed", "three matched")  # made from children looked after
rows = {}
for metric, label in LABELS.items():
    finding = (
        dk.DiD()
        .fit(design, metric)
        .infer(None)
        .check(
            dk.OtherComparators(
                {name: one for name, one in CHOICES.items() if not name.startswith(OWN)},
                original="all ten lists, one pool",
            )
        )
    )
    table = finding.tidy().set_index("choice")["estimate"]
    rows[label] = {
        "as designed": finding.facts["full"],
        "lowest": finding.facts["lowest"],
        "found with": table.idxmin(),
        "highest": finding.facts["highest"],
        "found with ": table.idxmax(),
        "truth": evaluation.truth[metric],
    }
pd.DataFrame.from_dict(rows, orient="index").round(1)

# %% [markdown]
# ## 4. The trap: matching on last year's value
#
# It seems natural to give each pilot the comparators that stood where it stood, in the year before
# the start. See what that does to child protection plans:

# %%
last_year = dk.Covariates.from_panel(panel, values={"cpp": 2017})
matched = design.compared_with(dk.Matching(last_year, ratio=3, missing="leave_out"))
balanced = {
    "one pool": design.balance(["cpp"]).tidy().set_index("kind")["smd_after"],
    "matched on 2017": matched.balance(["cpp"]).tidy().set_index("kind")["smd_after"],
}
pd.DataFrame(balanced).loc[["last", "level", "slope"]].round(2)

# %% [markdown]
# In standard deviations of the pilots. In the year of matching nothing is left of the difference,
# and level and slope are nearer too: it looks as if the design had become fair. That is the trap.
#
# A number of one year has a lasting part and a passing part. Who stands beside a pilot that is low
# *for good* may be low *by chance*, in that year; the next, it is back at its own level. The
# comparator moves, the pilot does not, and the difference reads like an effect.
#
# Whether that happens depends on **how the pilots were chosen**. So draw panels in which no
# programme does anything, choose pilots in four ways, and compare in every way. Numbers are in
# standard deviations of the lasting part, and the *highest* are chosen. Predict the first: pilots
# have the worst numbers of last year, and nothing is done. By how much does their number change,
# from last year to the mean of the three years after?

# %%
fall = None  # for example -0.2

# %%
from didkit.simulate import SelectionProcess, selection_study

study = selection_study(SelectionProcess(), replications=2000, seed=0)
WAYS = {
    "before_after_last": "before-after, from the last year",
    "did": "DiD",
    "did_without_last": "DiD without the last year",
    "matched_last": "DiD, matched on the last year",
    "matched_mean": "DiD, matched on the mean of four years",
}
CHOSEN = {
    "random": "at random",
    "latest_value": "worst last year",
    "average": "worst over four years",
    "permanent": "1 higher for good",
}
bias = study.pivot(index="estimator", columns="selection", values="mean")
bias = bias.loc[list(WAYS), list(CHOSEN)].rename(index=WAYS, columns=CHOSEN)
alone = bias.loc[WAYS["before_after_last"], CHOSEN["latest_value"]]
print(f"Chosen for a bad last year, left alone: {alone:+.2f} standard deviations.")
if fall is not None:
    print(f"You said {fall:+.2f}.")
bias.round(2)

# %% [markdown]
# Read it column by column; nought is right. **No row is near nought in every column.** Matching on
# the last year removes most of the bias where pilots were chosen for that year, none of it where
# they were chosen for their level over four years, and in the last column, where DiD has no bias,
# it makes one; matching on four years makes a larger one there. So the first thing to find out is
# not a number at all. It is how the pilots were chosen, and a design asks for it:

# %%
plans = dk.DiD().fit(design, "cpp").infer(None)
regression = plans.check(dk.RegressionToTheMean())
print(f"selection={design.selection!r}: {regression.headline}")
regression.plot().figure

# %% [markdown]
# The same for this design: as many units and years as it has, and with as much lasting and passing
# variation as its years before the start show. It was told that pilots were chosen for their
# average over years, and what it says follows from that: tell it otherwise, and another way has
# the smallest bias. The data cannot say which is true. (In this made-up world the pilots were
# drawn lower for good: the last column.)
#
# ## 5. What could this design have found?
#
# Before there are outcomes. Child protection plans stand near fifty per 10,000 children. Predict:
# what is the smallest change that ten pilots and their neighbours would probably (in four cases
# out of five) have shown?

# %%
smallest = None  # for example 5

# %%
power = dk.DetectableEffect(power=0.8)
expected = power.before(design, "cpp")
print(expected.headline)
if smallest is not None:
    print(f"You said {smallest:g}: {expected.facts['detectable'] / smallest:.1f} times that.")

# %%
curve = power.before(design, "cpp", pilots=[3, 4, 5, 6, 8, 10, 12, 15, 20])
curve.plot().figure

# %%
n_pilots, n_others = len(design.pilots), len(design.comparators)
twice = {
    f"twice the pilots ({2 * n_pilots})": power.before(design, "cpp", pilots=2 * n_pilots),
    f"twice the comparators ({2 * n_others})": power.before(
        design, "cpp", comparators=2 * n_others
    ),
}
for what, one in twice.items():
    print(f"{what}: {one.facts['detectable']:.1f} per 10,000")

# %% [markdown]
# Nothing from 2018 on was used: this can be asked before a single pilot has begun. With few
# pilots it is the pilots that limit what can be seen; more comparators hardly help. If the change
# that is hoped for is much smaller than this number, "no evidence of a change" is the likely answer
# even if it comes, and it is better to know that in advance.
#
# ## 6. Write it down
#
# Who is compared, why, what else will be tried, and what could be found: before the outcomes. This
# is how it stands in a plan (`didkit template` writes a whole one):

# %%
spread = dk.Variation.of(design, "cpp")
LINES = f"""\
[comparators]
against = "union"
file = "neighbours/statistical_neighbours.csv"
reason = "Published before the programme. Not matched on plans: the pilots are low for good"

[[sensitivity]]
name = "closest five of each list"
[sensitivity.comparators]
against = "union"
file = "neighbours/statistical_neighbours.csv"
closest = 5

[[sensitivity]]
name = "every other authority"
[sensitivity.comparators]
against = "pool"                # without a list: everybody else

[power]
comparators = {n_others}
before = {int(expected.facts["before"])}
after = {int(expected.facts["after"])}
reason = "Variation of 2013 to 2017, the years before the start"

[power.cpp]
sd = {(spread.between**2 + spread.within**2) ** 0.5:.1f}
icc = {spread.icc:.2f}
ar1 = {spread.ar1:.2f}
"""
planned = tomllib.loads(LINES)  # it reads as TOML
print(LINES)

# %% [markdown]
# `didkit freeze` seals it; the report then lists everything that was done otherwise.
#
# ## To take away
#
# * Look at who serves whom before looking at any result.
# * Balance is measured; no picture of it says that a comparison is fair.
# * Other comparators can agree and be wrong together.
# * Ask how the pilots were chosen. It decides whether matching removes a bias or makes one.
# * Ask what the design could find, and write down all of it, before the outcomes are there.
