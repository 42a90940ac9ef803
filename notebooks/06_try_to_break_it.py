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
# # Try to break it
#
# For analysts and teachers. An estimate and an interval are a beginning. Then one attacks: without
# this authority, without that year, with other comparators, with trends that were not parallel.
# Here you see what each attack can find, and what it cannot, on an answer of which you know that it
# is wrong.
#
# The data are those of the other notebooks: made up, with **a true effect of zero**. Run one cell
# at a time. Where a cell asks for a prediction, write one before you go on, or leave `None` if
# you only want to look.

# %%
import html
from dataclasses import replace

import numpy as np
import pandas as pd

import didkit as dk
from didkit.simulate import PanelProcess

pd.set_option("display.max_colwidth", None)
panel, every = dk.datasets.load_evaluation()
late = [unit for unit in every.pilots if every.starts[unit] != "2018"]
design = every.drop(*late)
did = dk.DiD().fit(design, "cin").infer(dk.ClusterRobust("CR2"))
answer = did["att"]
print(
    f"Children in need: {answer['estimate']:+.1f} per 10,000 children "
    f"({answer['conf_low']:+.1f} to {answer['conf_high']:+.1f})."
)

# %% [markdown]
# Nine pilots that start in 2018. (The tenth starts a year later and is left out, so that there is
# one path before the start and one after it.) The interval leaves zero out, by far. The truth is
# zero. Which attack will say so?
#
# ## 1. Take somebody away
#
# Leave out one pilot after the other. Predict: how far does the estimate get towards zero? (A
# number, such as −20.)

# %%
nearest = None

# %%
one_out = did.check(dk.LeaveOneOut())
print(one_out.headline)
if nearest is not None:
    off = nearest - one_out.facts["highest"]
    print(f"You said {nearest:+.1f}: {abs(off):.1f} off.")
one_out.plot().figure

# %% [markdown]
# Now not one but as few as it takes, pilots or comparators, chosen against the answer. Predict: how
# many of the 73 authorities have to go before the estimate has the other sign?

# %%
how_few = None

# %%
removal = did.check(dk.SmallestRemoval())
print(removal.headline)
if how_few is not None:
    print(f"You said {how_few:.0f}.")

# %% [markdown]
# So it stands? Ask what leaving one out says where *nothing happened*: nine pilots, thirty
# comparators, noise, twenty times. Predict: in what share of these data sets has the estimate the
# same sign whichever pilot is left out?

# %%
stays = None  # for example 0.1

# %%
nothing = PanelProcess(pilots=9, comparators=30, before=5, after=3, ar1=0.5)
same_sign = []
for seed in range(20):
    drawn = nothing.draw(seed)
    fit = dk.DiD("complete").fit(drawn.design, drawn.metric).infer(None)
    low, high = fit.check(dk.LeaveOneOut()).alternatives
    same_sign.append(not low <= 0 <= high)
print(f"The sign stays in {np.mean(same_sign):.0%} of 20 data sets without any effect.")
if stays is not None:
    print(f"You said {stays:.0%}.")

# %% [markdown]
# "The sign stays" is what one finds mostly, effect or none. Leaving one out tells whether one
# authority decides. What all of them share stays in every row, and chance is shared.
# `docs/removals.md` counts it in more data sets. didkit prints this beside each finding:

# %%
print(f"It cannot show: {one_out.cannot_show}.")

# %% [markdown]
# ## 2. Ask the years before
#
# Did pilots and comparators move alike before the start? The test of the four earlier years
# together:

# %%
events = dk.EventStudy().fit(design, "cin").infer(dk.ClusterRobust("CR2"))
before = events.check(dk.PreTrends())
print(before.headline)

# %% [markdown]
# Many a report stops here, with "parallel trends were tested". But what could the test have seen?
# Take a trend that it misses every other time, and let it go on after the start. Predict: how far
# would it move the estimate, as a share of the estimate itself?

# %%
share = None  # for example 0.1

# %%
missed = did.check(dk.PreTrendPower())
print(missed.headline)
if share is not None:
    print(f"You said {share:.0%}; it is {abs(missed.facts['times_50']):.0%}.")

# %% [markdown]
# A trend large enough to make all of the answer, and more, would be overlooked as often as not. The
# test is not wrong. It has nine pilots, and little to see with.
#
# Instead of testing a trend one can take it out: a straight line through the years before, carried
# on.

# %%
adjusted = did.check(dk.TrendAdjusted())
print(adjusted.headline)

# %% [markdown]
# The interval is several times as wide and holds zero. That is the price of not assuming parallel
# trends; and that the line would have gone on is an assumption too.
#
# ## 3. How far may trends differ?
#
# Nobody knows how trends would have differed after the start. But one can say how much it takes:
# let the difference jump from year to year by at most M times its largest jump before the start
# (Rambachan & Roth). From which M on is zero inside the interval? Predict.

# %%
times = None  # for example 1.5

# %%
jumps = did.check(dk.Sensitivity(sizes=(0, 0.5, 1), method="hybrid"))
print(jumps.headline)
if times is not None:
    print(f"You said {times:g}; it is {jumps.facts['breakdown']:.2f}.")
jumps.plot().figure

# %% [markdown]
# At M = 0 already. How, if the printed interval leaves zero out? The path is measured from one
# year, the last before the start; the estimate from the mean of five. In that one year the pilots
# stood lower, so less of a fall is left, and one year is noisier than five. The answer hung on
# the base, and no row of section 1 could say so: all of them had the same base.
#
# Does it take nothing to break a true effect as well? The same noise, with effects put in:

# %%
rows = []
for effect in (-1.5, -2.5, -4.0):
    drawn = replace(nothing, comparators=60, effect=effect).draw(0)
    fit = dk.DiD().fit(drawn.design, drawn.metric).infer(dk.ClusterRobust("CR2"))
    found = fit.check(dk.Sensitivity(sizes=(0, 1), method="hybrid"))
    row = fit["att"]
    rows.append(
        {
            "true effect": effect,
            "estimate": row["estimate"],
            "conf_low": row["conf_low"],
            "conf_high": row["conf_high"],
            "zero enters at M": found.facts["breakdown"],
        }
    )
true_effects = pd.DataFrame(rows)
true_effects.round(2)

# %% [markdown]
# All three effects are there, and all three intervals leave zero out. The smallest is broken by far
# smaller jumps than the largest. So a small M is not evidence that there is nothing: it says that
# this design cannot tell an effect of this size from such jumps. Whether jumps like these are
# likely is a question about the authorities, not about the numbers.
#
# ## 4. Records
#
# A recording break is a jump by a clerk. One pilot *did* misrecord its children in need here, in
# two years before the start (the second notebook shows it), and the check flags it. Predict: does
# leaving it out bring the estimate nearer to zero?

# %%
nearer = None  # True or False

# %%
records = did.check(dk.WithoutBreaks())
print(records.headline)
without = records.table.set_index("scenario").loc["without flagged pilots"]
if nearer is not None:
    yes = abs(without["estimate"]) < abs(answer["estimate"])
    print(f"You said {'yes' if nearer else 'no'}; it is {'yes' if yes else 'no'}.")

# %% [markdown]
# The flag is right. Without the pilot the estimate is *farther* from the truth. Its mistake had
# pulled the estimate down a little; but its number rose over these years, mistake or not, and
# whoever leaves it out loses that rise as well. Which rows to leave out is decided by what the
# authority says of its records, not by where the estimate goes.
#
# ## 5. Every choice at once
#
# Two pilots that one might leave out, other comparators, a shorter window, other cells. Cross all
# of them. Predict: of the specifications, what share is below zero?

# %%
below = None  # for example 0.6

# %%
curve = did.check(
    dk.SpecificationCurve(
        pilots={f"without {panel.name_of(unit)}": [unit] for unit in design.pilots[:2]},
        comparators={"every other authority": dk.Pool()},
        windows={"without the first two years": (design.periods[2], design.periods[-1])},
        cells=["complete"],
        draws=99,
    )
)
print(curve.headline)
if below is not None:
    n = curve.facts["below_zero"] + curve.facts["above_zero"]
    print(f"You said {below:.0%}; it is {curve.facts['below_zero'] / n:.0%}.")
curve.plot().figure

# %% [markdown]
# All of them, and the joint test finds it rare, too. Rows of a curve are not votes: they share the
# pilots, and nearly all the years. Here they share a mistake of chance, one that comes about in
# some draws and came about in this one. A curve shows whether the answer hangs on a choice that was
# crossed.
#
# ## 6. Side by side
#
# `estimate.checks()` runs what suits the design. Here a few of them, on one scale: other values of
# the estimate, intervals that allow for other trends, and what the method finds where nothing
# should be.

# %%
together = did.checks(
    only=[
        "TrendAdjusted",
        dk.Sensitivity(sizes=(0, 1), method="hybrid"),
        "PlaceboStart",
        "PlaceboPilots",
        "LeaveOneOut",
        "LeaveOneOut of regions",
        "LeaveTwoOut",
    ]
)
together.plot().figure

# %%
together.table[["check", "low", "high", "which", "cannot_show"]].round(1)

# %% [markdown]
# All that leave somebody out keep the sign. The two that let trends differ hold zero. That is not
# a vote of three against two: the rows answer different questions. Read them by what they cannot
# show. Together they say: no authority decides; the years before the start are too noisy to rule
# out trends as large as the answer; and placebo pilots are seldom as far from zero, but they are.
#
# A report can say that. "The result stood all checks" it cannot.
#
# ## 7. Your turn
#
# Another evaluation. The estimate is the mean effect of the first three years from the start on:
# −7, with an interval from −10 to −4. Before the start the difference between pilots and
# comparators never jumped by more than 2 from one year to the next. After the start each jump may
# be M times as large. Take the 2 as known without error, and let the jumps move the interval
# without making it wider. At which M does zero enter?

# %%
my_times = None

# %% [markdown]
# The next cell checks it. It is folded, because the sum stands in it: run it, and read the sentence
# below it.


# %% jupyter={"source_hidden": true}
def breaks_at(near_end, jump):
    """Ask didkit: three years at the interval's near end, hardly any noise."""
    values = pd.Series({-3: 0.0, -2: jump, 0: near_end, 1: near_end, 2: near_end})
    covariance = pd.DataFrame(1e-8 * np.eye(5), values.index, values.index)
    terms = dk.EventTerms.given(values, covariance)
    return dk.Sensitivity(sizes=(0, 1), method="hybrid").on(terms).facts["breakdown"]


BREAKS_AT = breaks_at(-4.0, 2.0)
SLIPS = {
    2.0: "a jump stays. After three years there are three of them, one on top of the other.",
    1.75: "zero has to enter the interval; it is the end near zero that has to be moved.",
    3.5: "the end near zero has to be moved, and jumps add up from year to year.",
    2.5: "that moves the far end. Which end is near zero?",
    2 / 3: "that is the third year; the estimate is the mean of the three.",
}


def check_times(given):
    """Say whether zero enters there, and if not what was forgotten."""
    if given is None:
        return "No answer yet: write a number into my_times."
    if not isinstance(given, (int, float)) or isinstance(given, bool):
        return f"A number is needed, such as 1.5; this is {given!r}."
    if abs(given - BREAKS_AT) < 0.01:
        return "Right: one, two and three jumps are two on average; 2 × 2 × M reaches 4 at M = 1."
    for slip, why in SLIPS.items():
        if abs(given - slip) < 0.01:
            return f"Not yet: {why}"
    return "Not yet: how far can the difference be after one year, two, three? And their mean?"


print(check_times(my_times))

# %% [markdown]
# Done, or stuck? Run the next cell, folded too, and open what it shows:


# %% jupyter={"source_hidden": true}
class Folded:
    """A text that a reader opens."""

    def __init__(self, title: str, text: str) -> None:
        self.title, self.text = title, text

    def _repr_html_(self) -> str:
        return (
            f"<details><summary>{html.escape(self.title)}</summary>"
            f"<p>{html.escape(self.text)}</p></details>"
        )


Folded(
    "Solution",
    "Jumps of 2M a year put the difference at 2M, 4M and 6M after one, two and three years: 4M on "
    f"average. The end near zero is −4, so zero enters at M = {BREAKS_AT:.2f}. didkit "
    "also allows for the noise in the jumps, which the sum left out: the interval becomes wider.",
)

# %% [markdown]
# A question without a sum, for a class: you have the findings of this notebook and do not know the
# truth. Write the three sentences of the report.
#
# ## To take away
#
# * A check measures something. Ask what it could have found before you read what it did.
# * Leaving out shows whether few decide. What all share it cannot find, chance least of all.
# * A test before the start that does not reject shows little with few pilots. Ask for the trend
#   that it would miss.
# * Say how far trends would have to differ, in the unit of the measure, and let the reader judge.
# * Many checks are not much evidence: all of them have the same data.
