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
# # Pilots that start at different times
#
# For analysts and teachers. If all pilots start in the same year, one regression is enough. If they
# do not, the same regression also compares pilots with pilots, and its answer can be far from every
# effect that there is. Here you see how that happens, what other estimators do instead, and how
# little it matters with ten pilots of which nine start together.
#
# The data are made up, so the truth is known. Run one cell at a time. Where a cell asks for a
# prediction, write one before you go on, or leave `None` if you only want to look.

# %%
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

import didkit as dk
from didkit.simulate import PanelProcess

pd.set_option("display.max_colwidth", None)
process = PanelProcess(
    pilots=60,
    comparators=10,
    before=3,
    after=6,
    starts=(0.25, 0.25, 0.25, 0.25),
    ar1=0.4,
    effect=-1.0,
    growth=-0.5,
)
drawn = process.draw(0)
design, metric = drawn.design, drawn.metric
design

# %% [markdown]
# Sixty areas start in one of four periods; ten never start. The effect is −1 in an area's first
# treated period, and falls by 0.5 more in each period after that. It is the same for every start:
# growth is all that makes it differ.

# %%
dk.plot.draw(design, kind="rollout").figure

# %% [markdown]
# ## 1. One regression
#
# Two-way fixed effects: an effect for each area, one for each period, and one number for "started".
# The mean of the true effects over all treated cells is in `drawn.truth`. Predict: what will the
# regression say, if the truth is as follows?

# %%
print(f"The truth: {drawn.truth['att']:+.2f}")

# %%
predicted = None  # for example -1.8

# %%
two_way = dk.DiD().fit(design, metric).infer(dk.ClusterRobust("CR1"))
told = two_way["att"]
print(
    f"Two-way: {told['estimate']:+.2f} ({told['conf_low']:+.2f} to {told['conf_high']:+.2f}); "
    f"the truth is {drawn.truth['att']:+.2f}."
)
if predicted is not None:
    print(f"You said {predicted:+.2f}.")

# %% [markdown]
# The number is nearer to zero than the truth, and its interval leaves the truth out. More data
# would not help: the interval would become shorter around the wrong number. Why?
#
# ## 2. Who is compared with whom
#
# Every estimate that is linear in the outcome publishes its weights: one number a cell, and the
# estimate is the weighted sum. Look at those of treated cells. An average of effects would give
# each a positive weight. Predict: how many of the treated cells have a negative one?

# %%
how_many = None  # for example 10

# %%
weights = pd.DataFrame(
    two_way.weights[0], index=two_way.sample.units, columns=two_way.sample.periods
)
starts = pd.Series(design.starts).reindex(weights.index)
rows = []
for start in sorted(starts.dropna().unique(), key=list(weights.columns).index):
    mine = weights[(starts == start).to_numpy()]
    first = list(weights.columns).index(start)
    treated = mine.iloc[:, first:]
    rows.append(treated.sum().reindex(weights.columns).rename(start))
by_start = pd.DataFrame(rows)
by_start.index.name = "start"
cells = pd.concat(
    [
        weights.loc[unit].iloc[list(weights.columns).index(start) :]
        for unit, start in design.starts.items()
    ]
)
negative = int((cells < 0).sum())
print(f"{negative} of {len(cells)} treated cells have a negative weight.")
if how_many is not None:
    print(f"You said {how_many}.")
by_start.round(3)

# %% [markdown]
# The table adds up the weights of each start in each period. Those of the earliest start become
# negative in late periods: there these areas serve as *comparators* for those that start later.
# Their outcome is still falling, because the effect grows. So the later ones seem to fall less than
# they do. Nothing is wrong with the data. The regression answers another question: it takes one
# effect for granted, the same in every period since the start.
#
# The same, by pairs of starts:

# %%
two_way.check(dk.GoodmanBacon()).table.groupby("kind")[["weight"]].sum().round(2)

# %% [markdown]
# With one start nobody serves who has already started, and the problem is not there. With many
# that never start it is small: they carry most of the comparison.
#
# ## 3. What the others do
#
# All of the following compare with nobody who has started already. They differ in whom they take
# and from when:
#
# * `GroupTime` takes each start by itself: its change since the last period before, less that of
#   areas that never start (or, on request, have not started yet). Then it averages.
# * `SunAbraham` does the same by one regression with an effect for each start and period.
# * `Imputation` learns area and period effects from untreated cells only, and says what treated
#   cells would have been. It uses all periods before the start, not one.
# * `RothSantAnna` takes the *time* of the start as good as random. That is more than parallel
#   trends, and buys shorter intervals.

# %%
ESTIMATORS = {
    "two-way": dk.DiD(),
    "group-time": dk.GroupTime(),
    "group-time, not yet": dk.GroupTime(comparison="not_yet"),
    "Sun & Abraham": dk.SunAbraham(),
    "imputation": dk.Imputation(),
    "Roth & Sant'Anna": dk.RothSantAnna(),
}


def side_by_side(design, metric, estimators):
    """Fit each estimator; one row each, all with the same kind of interval."""
    rows = {}
    for name, estimator in estimators.items():
        row = estimator.fit(design, metric).infer(dk.ClusterRobust("CR0"))["att"]
        rows[name] = row[["estimate", "std_error", "conf_low", "conf_high"]].astype(float)
    return pd.DataFrame(rows).T


table = side_by_side(design, metric, ESTIMATORS)
table["holds the truth"] = table["conf_low"].le(drawn.truth["att"]) & table["conf_high"].ge(
    drawn.truth["att"]
)
table.round(2)

# %% [markdown]
# One draw shows one draw. `docs/estimators.md` has many: mean error and how often the intervals
# hold the truth.
#
# ## 4. One picture
#
# Would an event study in one regression have done? Here yes: the path since the start is the same
# for every start, and the regression has a number for each period of it. So make starts differ:
# each later start has an effect larger by 1. And take nearly all noise away: what is left between
# an estimate and the truth is not chance. Before the start the truth is zero. Predict: what will
# the two-way event study show there?

# %%
differ = replace(process, by_start=-1.0, within=0.05).draw(0)
EVENTS = {
    "two-way event study": dk.EventStudy(),
    "group-time": dk.GroupTime(by="dynamic"),
    "imputation": dk.Imputation(by="dynamic", pretrends=2),
}
paths = {}
for name, estimator in EVENTS.items():
    shown = estimator.fit(differ.design, differ.metric).infer(None).tidy()
    paths[name] = pd.Series(shown["estimate"].to_numpy(float), shown["event_time"].astype(int))
paths = pd.DataFrame(paths).sort_index()
truth = pd.Series(
    {
        int(term.removeprefix("event time ")): value
        for term, value in differ.truth.items()
        if term != "att"
    }
)
figure = Figure(figsize=(9, 5), layout="constrained")
axes = figure.subplots()
axes.plot(truth.index, truth, color="black", linewidth=1, label="truth")
for name, marker in zip(paths, "os^", strict=True):
    axes.plot(paths.index, paths[name], marker, fillstyle="none", label=name)
axes.axhline(0, color="grey", linewidth=0.5)
axes.set_xlabel("periods since the start")
axes.set_ylabel("effect")
axes.legend()
figure

# %%
off = paths.sub(truth, axis=0).abs()
print("Farthest from the truth:")
off.max().round(2)

# %% [markdown]
# The two-way event study is off before the start too. There it shows a trend that is not in the
# data: effects of other starts stand in its terms. So whether terms before the start are flat in
# *that* regression says little about parallel trends.
#
# The true path is level from the third treated period on, though the effect grows in every area.
# Who is seen so late started early, and early starts have the smaller effects: the areas behind the
# points change. `GroupTime(by="dynamic", balance=2)` stops there, where all starts are still seen.
#
# ## 5. Who counts how often
#
# "The average effect" is not one number. Each pilot may count once, or each start, or each child;
# each treated cell, or each pilot whatever the length of its time. Predict: the mean over all
# treated cells is the first row. Is the mean over starts, each start by the mean of its own cells,
# larger or smaller in size?

# %%
larger = None  # True or False

# %%
AVERAGES = {
    "treated cells": dk.GroupTime(by="simple"),
    "starts": dk.GroupTime(by="group", overall=True, aggregation="cohorts"),
    "periods since the start": dk.GroupTime(by="dynamic", overall=True),
    "calendar periods": dk.GroupTime(by="calendar", overall=True),
}
averages = pd.Series(
    {
        name: (fit := estimator.fit(design, metric)).infer(None)[fit.main_term]["estimate"]
        for name, estimator in AVERAGES.items()
    }
).astype(float)
if larger is not None:
    print("Larger." if abs(averages["starts"]) > abs(averages["treated cells"]) else "Smaller.")
averages.round(2)

# %% [markdown]
# Early starts have more treated cells, and the late ones among these have the largest effects. So
# the mean over cells leans towards early starts. None of the rows is the right one. Say which one
# you mean before you look.
#
# ## 6. Ten pilots, nine of which start together
#
# Now the evaluation of the other notebooks: ten pilots, one of which starts a year later, against
# many that never start. The true effect is zero. Predict: does the choice of the estimator move
# the number of children looked after by more than one standard error?

# %%
moves = None  # True or False

# %%
panel, evaluation = dk.datasets.load_evaluation()
real = side_by_side(evaluation, "cla", ESTIMATORS)
spread = real["estimate"].max() - real["estimate"].min()
typical = real["std_error"].median()
print(f"From the least to the largest: {spread:.1f}; standard errors are near {typical:.1f}.")
if moves is not None:
    print(f"You said {'yes' if moves else 'no'}.")
real.round(2)

# %% [markdown]
# With nearly one start, and many that never start, there is little to mix. What remains are
# different questions (all periods before the start, or the last one), and each authority with a gap
# counts in one and not in another: read the notes.
#
# Which estimators does this design admit at all? The design is asked, nothing is fitted:

# %%
admits = dk.recommend_estimator(evaluation, "cla")
admits[["estimator", "admitted", "why", "role", "reason"]]

# %% [markdown]
# One pilot left the programme, so an estimator that knows of leaving comes first. (`dk.compare`
# makes tables and pictures like those above in one call.)
#
# And a warning about the standard errors. They come from the same formula, for ten pilots, where it
# is too small (`04_how_sure`). `.infer()` without a method takes the permutation, for most of them.

# %%
recommended = dk.GroupTime().fit(evaluation, "cla").infer()
print(recommended.summary())

# %% [markdown]
# ## To take away
#
# * Two-way fixed effects is fine with one start. With several starts and an effect that grows it
#   also compares with areas that have started already.
# * Look at the weights, not at the label of the method.
# * The others agree with each other where their assumptions hold. Where they do not agree, ask what
#   each assumes, before you ask which one you like.
# * Choose what counts once: cell, start, authority or child.
# * With few pilots inference is the harder question.
