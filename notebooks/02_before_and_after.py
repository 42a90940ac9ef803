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
# # Before and after: predict, then reveal
#
# For a class, or for yourself. Ten authorities piloted a programme from 2018 on. You will read
# the numbers as a press release would, write down what you believe, and then see how much of it
# was there before. At the end one number is yours to work out, and the notebook tells you whether
# it is right.
#
# The data are made up, so there is something here that no real evaluation has: the true effect is
# known. **Run one cell at a time, and do not scroll ahead of your prediction.**

# %%
import html

import pandas as pd

import didkit as dk

evaluation = dk.datasets.load_evaluation()
panel, design = evaluation
design

# %% [markdown]
# ## 1. Three readings, all naive
#
# Each is an honest sum on honest data, and each has been printed about real programmes:
#
# 1. **Before and after, pilots only.** What the pilots' number did.
# 2. **Pilots against comparators, afterwards.** Where they stand once the programme runs.
# 3. **"Faster than England".** What the pilots' number did, less what the mean of all
#    authorities did.

# %%
LABELS = {name: panel.metrics[name].label.lower() for name in ("cin", "icpc", "cpp", "cla")}
first_start = min(design.starts.values())
years_before = [year for year in panel.periods if year < first_start]
years_after = [year for year in panel.periods if year >= first_start]


def all_england(metric: str) -> float:
    """Change in the mean of all authorities, each counting once."""
    rates = panel.wide(metric)
    return float(rates[years_after].mean().mean() - rates[years_before].mean().mean())


gaps = {metric: dk.Gap().fit(design, metric).infer(None) for metric in LABELS}
naive = pd.DataFrame(
    {
        "1. pilots, after less before": {m: gaps[m]["before_after"]["estimate"] for m in LABELS},
        "2. pilots less comparators, after": {m: gaps[m]["gap_after"]["estimate"] for m in LABELS},
        "3. pilots' change less England's": {
            m: gaps[m]["before_after"]["estimate"] - all_england(m) for m in LABELS
        },
    }
).rename(index=LABELS)
naive.round(1)


# %% [markdown]
# Per 10,000 children. This is how they read in a press release:


# %%
def fell(change: float) -> str:
    """A change in words."""
    return f"{'fell' if change < 0 else 'rose'} by {abs(change):.1f}"


def lower(gap: float) -> str:
    """A gap in words."""
    return f"{abs(gap):.1f} {'lower' if gap < 0 else 'higher'}"


cin, cpp = naive.loc[LABELS["cin"]], naive.loc[LABELS["cpp"]]
print(f"1. “In pilots, children in need {fell(cin.iloc[0])} per 10,000 since the programme began.”")
print(
    f"2. “Child protection plans are {lower(cpp.iloc[1])} in pilots than in similar authorities.”"
)
print(
    f"3. “Against England as a whole, children in need in pilots {fell(cin.iloc[2])}, and children "
    f"looked after {fell(naive.loc[LABELS['cla']].iloc[2])}.”"
)

# %% [markdown]
# ## 2. Your prediction
#
# Take the second sentence, on child protection plans. Write into the next cell:
#
# * `share_before`: of the gap that you see *afterwards*, how much was there *before* the
#   programme? 0 is none of it, 1 is all of it.
# * `change`: by how much did the programme change the number of plans per 10,000 children? Minus
#   is fewer.
#
# Then run it. Leave `None` if you only want to look.

# %%
share_before = None  # for example 0.5
change = None  # for example -4

# %% [markdown]
# ## 3. Reveal: the gap afterwards, beside the gap before

# %%
gap = gaps["cpp"]
gap.plot().figure

# %%
found = gap.facts["share_before"]
print(
    f"Pilots had {abs(gap['gap_before']['estimate']):.1f} plans per 10,000 fewer before the start "
    f"and {abs(gap['gap_after']['estimate']):.1f} fewer after it."
)
print(f"{found:.0%} of the gap afterwards was there before.")
if share_before is not None:
    print(f"You said {share_before:.0%}: {abs(share_before - found) * 100:.0f} points away.")

# %% [markdown]
# These pilots had few plans to begin with. That is common: who volunteers for a programme, or is
# chosen for it, is rarely an average authority. The second reading sees *where they stand* and
# calls it *what happened*.
#
# ## 4. Reveal: the strip
#
# So compare changes. Each dot is one authority, its mean after the start less its mean before.
# Both rows scatter, pilots and comparators alike; what a programme did must be seen as a distance
# between the rows.

# %%
did = dk.DiD().fit(design, "cpp").infer()
did.plot(kind="long_differences").figure

# %%
strip = did.long_differences()
spread = strip.groupby("arm")["value"].agg(["count", "mean", "std", "min", "max"])
spread.round(1)

# %% [markdown]
# ## 5. Reveal: the change, with its interval, and the truth

# %%
answer = did["att"]
truth = evaluation.truth["cpp"]
print(
    f"Difference-in-differences: {answer['estimate']:+.1f} plans per 10,000 children, interval "
    f"{answer['conf_low']:+.1f} to {answer['conf_high']:+.1f}."
)
print(f"The true effect: {truth:g}.")
if change is not None:
    inside = answer["conf_low"] <= change <= answer["conf_high"]
    print(
        f"You said {change:+.1f}: {'inside' if inside else 'outside'} the interval, and "
        f"{abs(change - truth):.1f} from the truth."
    )

# %% [markdown]
# (The distance in the strip differs a little: there each authority has one number, while DiD also
# weighs missing cells and the pilot that started later.)
#
# The interval is wide. It says what these data cannot rule out, and a modest effect in either
# direction is among it. That is different from having shown that nothing happened.
#
# ## 6. Does the method always get it right? Here it does not
#
# The same comparison for all four metrics. The true effect is zero on each of them.

# %%
rows = {}
for metric, label in LABELS.items():
    row = dk.DiD().fit(design, metric).infer()["att"]
    rows[label] = {
        "change": row["estimate"],
        "from": row["conf_low"],
        "to": row["conf_high"],
        "truth": evaluation.truth[metric],
        "interval holds the truth": row["conf_low"] <= evaluation.truth[metric] <= row["conf_high"],
    }
four = pd.DataFrame.from_dict(rows, orient="index")
missed = [label for label, row in rows.items() if not row["interval holds the truth"]]
print(f"{len(missed)} of {len(rows)} intervals miss the truth: {', '.join(missed)}.")
four.round(1)

# %% [markdown]
# How can that be, with parallel trends and a true effect of zero? Mostly by chance, and for
# children in need a record did its part.
#
# **Records.** One pilot misrecorded its children in need: in two years *before* the start it
# counted too many. DiD cannot know that this was a clerk and not a programme. A made-up world can
# be drawn once more with clean records and everything else the same:

# %%
from dataclasses import replace

from didkit.simulate import EvaluationProcess, draw, evaluation_design, evaluation_panel

as_recorded = draw(EvaluationProcess(), seed=evaluation.seed)
clean = draw(replace(EvaluationProcess(), recording_break=None), seed=evaluation.seed)
broken, culprit = as_recorded.broken, panel.name_of(as_recorded.broken)
both = pd.DataFrame(
    {
        "recorded": evaluation_panel(as_recorded).wide("cin").loc[broken],
        "clean": evaluation_panel(clean).wide("cin").loc[broken],
    }
)
both["too many"] = both["recorded"] - both["clean"]
print(f"{culprit}, children in need per 10,000 children, year by year:")
both.T.round(1)

# %%
rise = both.loc[years_after].mean() - both.loc[years_before].mean()
print(
    f"Mean after the start less mean before it, in {culprit}: {rise['recorded']:+.1f} as recorded, "
    f"{rise['clean']:+.1f} with clean records.\n"
    f"One pilot of {len(design.pilots)}: that moves the pilots' mean change by about "
    f"{rise['too many'] / len(design.pilots):+.1f}.\n"
)
recorded_or_clean = {}
for how, one in (("as recorded", as_recorded), ("with clean records", clean)):
    row = dk.DiD().fit(evaluation_design(one), "cin").infer()["att"]
    recorded_or_clean[how] = row
    print(
        f"Change in children in need, {how}: {row['estimate']:+.1f}, "
        f"interval {row['conf_low']:+.1f} to {row['conf_high']:+.1f}"
    )

# %% [markdown]
# The number of this pilot *rose* over the start, in truth more than twice as far as on record.
# Too many before makes the rise look smaller, and the mean of the ten pilots a little lower. That
# is a small part of the distance from zero, but the interval ended near zero, and the record
# decided on which side. The large part is chance: with clean records the estimate is still far
# from zero, and the interval holds zero only just.
#
# A real evaluation has no second drawing. It has its pilots, which can be looked at one by one.
# The usual check leaves each out in turn:

# %%
finding = dk.DiD().fit(design, "cin").infer(None).check(dk.LeaveOneOut())
finding.plot().figure

# %%
shifts = finding.tidy().set_index("name")["shift"]
print(f"The pilot that moves the estimate most is {shifts.abs().idxmax()}. Misrecorded: {culprit}.")
print(f"Without {culprit} the estimate moves by {shifts[culprit]:+.1f}, away from the truth.")

# %% [markdown]
# So this check says who carries the answer, not who made a mistake. A break in one's own records
# is found by reading the series and asking the authority; no comparator group protects against
# it.
#
# **Chance.** For children looked after nobody misrecorded anything, and the interval misses all
# the same. An interval at level 0.95 misses one time in twenty with everything right, and whoever
# looks at four metrics has four tickets.
#
# ## 7. What one draw can do
#
# One evaluation is one draw. Here are forty worlds like this one, each with other authorities,
# other luck, and a true effect of zero. In each, somebody reads the gap afterwards, and somebody
# else takes DiD; both put an interval around it. An interval that leaves zero out would be
# reported as an effect. (Both use `ClusterRobust("CR2")` here: the same recipe for both, and
# quick.)

# %%
SEEDS = range(1, 41)
recipe = dk.ClusterRobust("CR2")
worlds = []
for seed in SEEDS:
    world = evaluation_design(draw(EvaluationProcess(), seed=seed))
    read = {
        "gap afterwards": dk.Gap().fit(world, "cpp").infer(recipe)["gap_after"],
        "DiD": dk.DiD().fit(world, "cpp").infer(recipe)["att"],
    }
    for way, row in read.items():
        claimed = not row["conf_low"] <= 0 <= row["conf_high"]
        worlds.append((seed, way, row["estimate"], claimed))
worlds = pd.DataFrame(worlds, columns=["seed", "way", "estimate", "claimed"])
claims = worlds.groupby("way")["claimed"].sum()
for way in ("gap afterwards", "DiD"):
    print(f"{way}: an effect is claimed in {claims[way]} of {len(SEEDS)} worlds")
print(f"expected of a sound interval at level 0.95: about {0.05 * len(SEEDS):.0f}")

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for height, way in enumerate(("DiD", "gap afterwards")):
    mine = worlds[worlds["way"] == way].sort_values("estimate", ignore_index=True)
    place = height + 0.12 * (mine.index % 5 - 2)
    for claimed, fill in ((False, "none"), (True, "#0072b2")):
        some = mine["claimed"] == claimed
        axes.scatter(
            mine["estimate"][some], place[some], facecolor=fill, edgecolor="#0072b2", linewidth=1.2
        )
axes.axvline(0, color="#333333", linewidth=1)
axes.set_yticks([0, 1], ["DiD", "gap afterwards"])
axes.set_xlabel("plans per 10,000 children; the truth is 0")
axes.set_title(
    f"Filled: the interval leaves zero out. The gap: {claims['gap afterwards']} of {len(SEEDS)}; "
    f"DiD: {claims['DiD']}",
    loc="left",
    fontsize=10,
)
plt.close(figure)
figure

# %% [markdown]
# The naive reading is not unlucky; it is off in the same direction nearly every time, because
# these pilots start lower in every world. More data would only make it more certain of the wrong
# number. DiD scatters around the truth, and its interval says how far.
#
# ## 8. Your turn
#
# Initial child protection conferences *rose* in the pilots. Did the programme make things worse?
# From these four means, work out the number that compares the pilots' change with the
# comparators' change, and write it into `my_answer`. (One decimal will do.)

# %%
exercise = gaps["icpc"]
pd.DataFrame(
    {
        "before": [exercise.facts["pilots_before"], exercise.facts["comparators_before"]],
        "after": [exercise.facts["pilots_after"], exercise.facts["comparators_after"]],
    },
    index=["pilots", "comparators"],
).round(2)

# %%
my_answer = None

# %% [markdown]
# The next cell checks it. It is folded, because the sum stands in it: run it, and read the
# sentence below it. (Where it stands open, as it may in VS Code, look away.)


# %% jupyter={"source_hidden": true}
def check(answer, gap):
    """Say whether an answer is the difference of the differences, and if not what it is."""
    if answer is None:
        return "No answer yet: write a number into my_answer, and run both cells again."
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        return f"A number is needed, such as -1.5; this is {answer!r}."
    level = gap.facts
    pilots = level["pilots_after"] - level["pilots_before"]
    comparators = level["comparators_after"] - level["comparators_before"]
    right = pilots - comparators
    before = level["pilots_before"] - level["comparators_before"]
    after = level["pilots_after"] - level["comparators_after"]
    slips = {
        "what the pilots' number did. Comparators moved too: take their change off": pilots,
        "what the comparators' number did. It is the other half of the sum": comparators,
        "the gap afterwards. Some of it was there before": after,
        "the gap before. The question is how it changed": before,
        "the right size with the wrong sign: pilots less comparators, after less before": -right,
        "the two changes added up: take one from the other": pilots + comparators,
    }
    near = 0.15  # the answer, or the means that it came from, rounded to one decimal
    if abs(answer - right) <= near:
        return (
            f"Right: {pilots:+.2f} for the pilots less {comparators:+.2f} for the comparators is "
            f"{right:+.2f}. What the pilots' number did, the others' did too."
        )
    what = min(slips, key=lambda slip: abs(answer - slips[slip]))
    if abs(answer - slips[what]) <= near:
        return f"Not yet: {answer:g} is {what}."
    return "Not yet: after less before for the pilots; the same for the comparators; subtract."


print(check(my_answer, exercise))

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


level = exercise.facts
up_pilots = level["pilots_after"] - level["pilots_before"]
up_others = level["comparators_after"] - level["comparators_before"]
interval = dk.DiD().fit(design, "icpc").infer()["att"]
Folded(
    "Solution",
    f"Pilots: {level['pilots_after']:.2f} − {level['pilots_before']:.2f} = {up_pilots:+.2f}. "
    f"Comparators: {level['comparators_after']:.2f} − {level['comparators_before']:.2f} = "
    f"{up_others:+.2f}. The first less the second: {up_pilots - up_others:+.2f} per 10,000. "
    f"dk.DiD() says {interval['estimate']:+.2f} (it uses every observed cell and each pilot's own "
    f"start), with an interval from {interval['conf_low']:+.1f} to {interval['conf_high']:+.1f}. "
    "Conferences rose everywhere; the pilots went along.",
)

# %% [markdown]
# ## To take away
#
# * A difference afterwards is a question: **how much of it was there before?**
# * A change in the pilots is a question too: what changed elsewhere?
# * One interval can miss, by chance or by a break in somebody's records. Look at the units.
# * A wide interval around a small number is no proof that nothing happened.
