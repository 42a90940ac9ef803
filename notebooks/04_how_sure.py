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
# # How sure can one be with nine pilots?
#
# For analysts and teachers. An estimate comes with an interval and a p-value, and these come from
# a recipe. With hundreds of pilots most recipes agree. With nine they do not, with one most of
# them do not exist, and with two against two none of them decides anything. Here you see why, and
# what each recipe takes for granted.
#
# The data are those of the other notebooks: made up, with **a true effect of zero**. So whenever an
# interval leaves zero out, you know that it misses. Run one cell at a time. Where a cell asks for
# a prediction, write one before you go on, or leave `None` if you only want to look.

# %%
import html

import pandas as pd
from scipy import stats

import didkit as dk
from didkit.simulate import LongDifferences

pd.set_option("display.max_colwidth", None)
panel, design = dk.datasets.load_evaluation()
late = [unit for unit in design.pilots if design.starts[unit] != "2018"]
nine = design
for unit in late:
    nine = nine.without_pilot(unit)
nine

# %% [markdown]
# One of the ten pilots started a year after the others. It is left out here, so that every method
# below has one number an authority to work with: its own change, after less before.
#
# ## 1. One estimate, a dozen answers
#
# `.infer()` without a method follows a rule that looks at the design only, and says which case
# applied. The metric is children looked after. It was chosen for the lesson: here it matters which
# method is asked.

# %%
change = dk.DiD("complete").fit(nine, "cla")
did = change.infer()
print(did.summary())

# %% [markdown]
# `inference_table()` puts the usual methods beside it: the same data, the same estimate. Predict:
# of a dozen intervals at level 0.95, how many leave zero out?

# %%
outside = None  # for example 3

# %%
table = did.inference_table()
did.plot(kind="forest").figure

# %%
leave_out = (table["conf_low"] > 0) | (table["conf_high"] < 0)
print(
    f"{leave_out.sum()} of {len(table)} intervals leave zero out, which is the truth. "
    f"p runs from {table['p_value'].min():.3f} to {table['p_value'].max():.3f}."
)
if outside is not None:
    print(f"You said {outside}.")

# %% [markdown]
# **Nobody may choose a row afterwards.** A rule, or a plan, chooses one before the outcomes are
# there. What each row takes for granted:

# %%
table[["method", "p_value", "assumes"]].round(3)

# %% [markdown]
# Two questions tell the rows apart:
#
# * *Whose spread measures the noise?* Some take one spread for all (permutation of the estimate,
#   pooled t), or the comparators' alone (Conley–Taber, Ferman–Pinto, Lau–Li). In the others the
#   nine pilots have a spread of their own. Hollow dots in the picture: a pilot is taken to be as
#   noisy as a comparator.
# * *What is the result held against?* A normal or a t curve with many degrees of freedom, one with
#   few, or ranks among other choices of pilots.
#
# The next two sections take one question each.
#
# ## 2. Why the usual test fails with few pilots
#
# The usual robust standard error, CR1, is what most software prints. To see whether a test holds
# its size, apply it where the truth is known: draw one number an authority, all alike, with a true
# effect of zero, many times, and count how often it rejects at 5 %. `dk.study` does that. Predict
# for three pilots against sixty comparators: in what share of the draws does CR1 reject?

# %%
rate = None  # for example 0.05

# %%
METHODS = {
    "CR1": dk.ClusterRobust("CR1"),
    "CR2": dk.ClusterRobust("CR2"),
    "permutation of t": dk.Permutation("t"),
}
three, more = (
    dk.study(dk.DiD("complete"), METHODS, LongDifferences(n1, n0), seeds=seeds, draws=199)
    for n1, n0, seeds in ((3, 60, 150), (9, 90, 60))
)
three.plot().figure

# %%
sizes = pd.DataFrame(
    {
        "3 v 60": three.table.set_index("method")["rejects"],
        "9 v 90": more.table.set_index("method")["rejects"],
        "error, 3 v 60": three.table.set_index("method")["rejects_mc_error"],
        "error, 9 v 90": more.table.set_index("method")["rejects_mc_error"],
    }
)
print(f"CR1 with three pilots rejects a true null in {sizes.loc['CR1', '3 v 60']:.0%} of draws.")
if rate is not None:
    print(f"You said {rate:.0%}.")
sizes.round(3)

# %% [markdown]
# So few draws show a large fault and no more: look at the Monte Carlo errors. The full numbers,
# with more draws and methods, are in `docs/inference_sizes.md`: there CR1 with three pilots rejects
# in more than a fifth. Why?

# %%
drawn = LongDifferences(3, 60).draw(0)
first = dk.DiD("complete").fit(drawn.design, drawn.metric)
freedom = first.inference_table([METHODS["CR1"], METHODS["CR2"]])
freedom[["method", "std_error", "df", "conf_low", "conf_high"]].round(2)

# %% [markdown]
# Nearly all of the estimate's noise is that of the mean of three pilots, and three numbers say
# little about their own spread. CR1 acts as if all sixty-three did (`df`), and it measures the
# spread around a mean that the three have pulled towards themselves. CR2 mends the second, and the
# Bell–McCaffrey degrees of freedom the first: about two, so a much wider interval. A permutation
# asks something else: where does the t of these pilots stand among those of other choices of
# three?
#
# More comparators do not help. It is the pilots that are few.
#
# ## 3. What if pilots are noisier?
#
# One way out seems to be the comparators: there are many, so their spread is well known. Rank the
# estimate itself among placebo pilots (permutation of the estimate), or compare it with the
# comparators' deviations (Conley–Taber). Both say: *a pilot is as noisy as a comparator*. But
# pilots are often small, or in trouble, or new to something. Here pilots have twice the standard
# deviation. Predict: in what share of draws does permutation of the estimate reject a true null?

# %%
noisier_rate = None  # for example 0.1

# %%
noisier = dk.study(
    dk.DiD("complete"),
    {
        "permutation of the estimate": dk.Permutation("beta"),
        "Conley–Taber": dk.ConleyTaber(),
        "permutation of t": dk.Permutation("t"),
    },
    LongDifferences(9, 90, noise="noisier"),
    seeds=60,
    draws=199,
)
noisier.plot().figure

# %%
rejects = noisier.table.set_index("method")["rejects"]
print(f"Permutation of the estimate: {rejects['permutation of the estimate']:.0%}.")
if noisier_rate is not None:
    print(f"You said {noisier_rate:.0%}.")

# %% [markdown]
# t is the estimate over a standard error in which the pilots' own spread counts, so with noisier
# pilots it does not grow. That is why the rule permutes t once there are enough pilots. And our
# nine?

# %%
spread = did.long_differences().groupby("arm")["value"].std()
n1, n0 = len(nine.pilots), len(nine.comparators)
ratio = spread["pilot"] / spread["comparator"]
ends = [ratio / stats.f.ppf(p, n1 - 1, n0 - 1) ** 0.5 for p in (0.975, 0.025)]
print(
    f"The pilots look {ratio:.2f} times as noisy. With normal noise and level 0.95 the ratio lies "
    f"between {ends[0]:.2f} and {ends[1]:.2f}."
)

# %% [markdown]
# Alike, as far as one can see, and nine pilots do not let one see far. Whoever looked at the ratio
# first, and took a shorter interval where it is near one, would often miss noisy pilots.
# Conley–Taber and Ferman–Pinto were shorter for one more reason. They say it themselves:

# %%
print(change.infer(dk.ConleyTaber()).attached.notes[-1])

# %% [markdown]
# ## 4. One pilot
#
# Now there is no spread of pilots at all. Each of the nine will be evaluated by itself, against
# every other authority (dropped pilots do not serve). The cluster-robust methods refuse:

# %%
everyone = nine.compared_with(dk.Pool())


def alone(pilot):
    """Estimate the change of one pilot, as if it had been the only one."""
    design = everyone
    for other in everyone.pilots:
        if other != pilot:
            design = design.without_pilot(other)
    return dk.DiD("complete").fit(design, "cla")


one = alone(nine.pilots[0])
try:
    one.infer(dk.ClusterRobust("CR2"))
except dk.InferenceError as error:
    print(error)

# %% [markdown]
# A number could be computed, and other programs print one: it leaves the pilot's noise out, as a
# single number fits its own mean. What is left has to take the pilot's noise from elsewhere:
#
# * `Permutation("beta")` ranks the pilot among the others, each as if it had been the pilot;
# * `FermanPinto` takes the comparators' noise at the pilot's *size*: small authorities move more;
# * `LauLi(ratio)` says: at most so many times as noisy as any comparator.
#
# Predict: of nine pilots, each by itself, in how many does Ferman–Pinto's interval leave zero out?

# %%
how_many = None  # for example 2

# %%
rows = []
for pilot in nine.pilots:
    single = alone(pilot)
    sized = single.infer(dk.FermanPinto())["att"]
    rows.append(
        {
            "pilot": panel.name_of(pilot),
            "estimate": sized["estimate"],
            "low": sized["conf_low"],
            "high": sized["conf_high"],
            "p, Ferman–Pinto": sized["p_value"],
            "p, rank": single.infer(dk.Permutation("beta"))["att"]["p_value"],
            "Lau–Li ratio": single.infer(dk.LauLi()).attached.facts["breakdown_ratio"],
        }
    )
singles = pd.DataFrame(rows)
missed = (singles["low"] > 0) | (singles["high"] < 0)
print(f"{missed.sum()} of {len(singles)} leave zero out.")
if how_many is not None:
    print(f"You said {how_many}.")
singles.round(2)

# %% [markdown]
# The truth is zero for each. Whoever evaluates nine single pilots has nine tickets. The last column
# is Lau and Li's *breakdown ratio*: zero is outside the interval as long as the pilot is less than
# so many times as noisy as the comparators; 0 says that it is inside whatever the noise. The first
# pilot at other ratios:

# %%
RATIOS = (0.5, 1, 1.5, 2)
at_ratio = {ratio: one.infer(dk.LauLi(ratio))["att"] for ratio in RATIOS}
pd.DataFrame(at_ratio).T[["estimate", "conf_low", "conf_high", "p_value"]].astype(float).round(3)

# %% [markdown]
# No data can say which row is right: one pilot has no spread. So argue for a ratio, and print the
# one at which the answer changes. Where does this pilot stand?

# %%
one.infer(dk.Permutation("beta")).plot(kind="permutation").figure

# %% [markdown]
# `Breakdown` asks the same in another way: what would have to happen in that one authority, besides
# the programme, for the conclusion to change?

# %%
with_sizes = one.infer(dk.FermanPinto())
breakdown = with_sizes.check(dk.Breakdown())
breakdown.plot().figure

# %%
print(breakdown.headline)
for note in with_sizes.attached.notes:
    print("*", note)

# %% [markdown]
# A shift within the grey band is nothing unusual: comparators move as far without any programme.
# And read the notes. For this metric the fitted noise does not fall with size, so Ferman–Pinto has
# nothing to rescale, and is Conley–Taber's test.
#
# ## 5. Two against two
#
# Some programmes are tried in two sites and compared with two. Take the first two pilots and the
# first two comparators:

# %%
sites = [*nine.pilots[:2], *nine.comparators[:2]]
four = dk.Design(
    panel.select(units=sites),
    dk.Rollout(dict.fromkeys(nine.pilots[:2], 2018)),
    against=dk.Pool(),
    selection="unknown",
)
two = dk.DiD("complete").fit(four, "cla")
ranked = two.infer(dk.Permutation("beta"))
facts = ranked.attached.facts
print(f"{facts['draws']} choices of two out of four; the least p is {facts['least_p']:.3f}.")

# %% [markdown]
# There are six ways to choose two out of four. Each has a mirror image, with the same distance from
# zero, so two of six are always at least as far as the farthest: **1/3 is the smallest p there
# is**, however large the effect. `ContrastStudy` shows what is left:

# %%
contrast = two.check(dk.ContrastStudy(reference=nine))
contrast.plot().figure

# %%
print(contrast.headline)
for note in contrast.notes[:3]:
    print("*", note)

# %% [markdown]
# The pooled t gives an interval, and can reject. But it takes normal shocks of one variance for
# granted, and four numbers cannot show that. The rank among other sites is a p-value only if all
# of them are alike without the programme. Both have to be argued; the paths are there to look at.
#
# ## 6. Several measures
#
# Four metrics are four tickets. With a permutation all four get the same placebo pilots, so that
# their joint movement is known:

# %%
METRICS = ("cin", "icpc", "cpp", "cla")
fits = [dk.DiD().fit(nine, metric).infer(dk.Permutation("t", draws=1999)) for metric in METRICS]
adjusted = dk.adjusted_p_values(fits)
adjusted.drop(columns="term").round(3)

# %% [markdown]
# * `holm` and `romano-wolf` bound the chance of *any* false rejection among the four. Romano–Wolf
#   uses how the metrics move together, so it gives away less.
# * `benjamini-hochberg` bounds the expected share of false ones among the rejections.
# * `band_low` to `band_high` hold all four effects together, at level 0.95.
#
# The truth is zero for all four, and for children in need even the wide band leaves it out. An
# adjustment bounds how often that happens; when it happens, nothing in the table tells you. (The
# second notebook looks for what else was wrong with this metric.)
#
# Which metrics make the family is part of the plan. A main outcome named beforehand needs no
# adjustment, and whoever names it afterwards has none.
#
# ## 7. Your turn
#
# 1. One pilot is ranked among its comparators. How many comparators are needed at least, for its p
#    to reach .05?
# 2. Three sites against three: what is the smallest p by rearranging the programme?

# %%
my_comparators = None
my_least_p = None

# %% [markdown]
# The next cell checks both. It is folded, because the sums stand in it: run it, and read the
# sentences below it.


# %% jupyter={"source_hidden": true}
def least_p(n1, n0):
    """Smallest p of a permutation of the estimate, n1 sites against n0."""
    made = LongDifferences(n1, n0).draw(0)
    fit = dk.DiD("complete").fit(made.design, made.metric)
    return fit.infer(dk.Permutation("beta")).attached.facts["least_p"]


def is_number(answer):
    """Whether it is a number."""
    return isinstance(answer, (int, float)) and not isinstance(answer, bool)


def check_comparators(answer):
    """Say whether so many comparators are enough, and no more than needed."""
    if answer is None:
        return "1. No answer yet: write a number into my_comparators."
    if not is_number(answer) or answer not in range(1, 10_000):
        return f"1. A whole number is needed; this is {answer!r}."
    enough, fewer = (1 / (n + 1) <= 0.05 for n in (answer, answer - 1))
    if enough and not fewer:
        return "1. Right: with the pilot itself there are twenty places, and the first is 1/20."
    if answer == 20:
        return "1. Not yet: the pilot has a place of its own. One comparator fewer would do."
    return f"1. Not yet: with {answer} the least p is 1/{answer + 1} = {1 / (answer + 1):.3f}."


def check_least(answer):
    """Say whether it is the least p of three against three, and if not what it is."""
    if answer is None:
        return "2. No answer yet: write a number into my_least_p."
    if not is_number(answer):
        return f"2. A number is needed, such as 0.33; this is {answer!r}."
    if abs(answer - least_p(3, 3)) < 0.002:
        return "2. Right: twenty choices of three out of six, and each has its mirror image."
    if abs(answer - 1 / 20) < 0.002:
        return "2. Not yet: 1/20 forgets the mirror image, which is as far from zero."
    return "2. Not yet: how many choices of three out of six are there, and how many are as far?"


print(check_comparators(my_comparators))
print(check_least(my_least_p))

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
    "1. Nineteen. Among m comparators and itself the pilot has m + 1 places, so the least p is "
    f"1/(m + 1); with 19 it is {least_p(1, 19):.3f}, with 18 {least_p(1, 18):.3f}. "
    "2. Six over three is twenty choices, and two of them are at least as far from zero as the "
    f"farthest: 2/20 = {least_p(3, 3):.3f}. Of equal arms four against four is the first "
    f"that can go below .05: {least_p(4, 4):.3f}.",
)

# %% [markdown]
# A question without a sum, for a class: the pilots of section 1 can be reported with p = .01 or
# p = .06. Write the sentence that you would put into the report, and what it takes for granted.
#
# ## To take away
#
# * With few pilots the recipe matters as much as the data. Choose it before the outcomes are there.
# * It is the pilots that are few. More comparators do not mend that.
# * Short intervals take something for granted. Ask what, and whether it can be seen in the data.
# * With one pilot say how noisy, or how large one shock, it would have to be.
# * With two against two, look at the paths, and do not promise a test.
