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
# # Your own file, from CSV to report
#
# You work in a local authority, or for several. Ten authorities piloted a way of working from
# 2018 on. A colleague sends a spreadsheet and asks: *did it bring the number of child protection
# plans down?*
#
# This notebook goes the whole way once:
#
# **CSV → panel → design → answer → checks → report.**
#
# Run it from top to bottom. Then put your own files in and run it again; the end says how.

# %%
import textwrap
from pathlib import Path

import pandas as pd

import didkit as dk

# The report goes here: a folder beside this notebook, made now if it is not there yet. The
# made-up files go into a folder inside it, so that they never overwrite yours.
folder = Path("my-evaluation")
sent = folder / "made-up"
sent.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## 0. The spreadsheet
#
# The next cell stands in for your colleague. It writes three files: a sheet with the years across
# the columns, the list of pilots, and the list of statistical neighbours. You can skip reading
# it. The authorities and their numbers are made up (they come with didkit), and the true effect
# of the programme is zero: whatever comes out below, the programme did not do it.

# %%
made_up = dk.datasets.load_evaluation()
MEASURES = {
    "CP plans per 10,000": "cpp",
    "Looked after per 10,000": "cla",
    "Children aged 0-17": "population",
}
SYMBOLS = {"suppressed": "c", "not available": "", "not applicable": "z", "absent": "z"}


def as_a_sheet(measure: str, metric: str) -> pd.DataFrame:
    """One measure as a colleague would send it: text, symbols, years across."""
    status = made_up.panel.wide(metric, what="status")
    text = made_up.panel.wide(metric).map("{:g}".format)
    text = text.where(status == "observed", status.replace(SYMBOLS))
    names = [made_up.panel.name_of(unit) for unit in text.index]
    text.insert(0, "Measure", measure)
    text.insert(0, "Authority", names)
    return text.rename_axis("LA code").reset_index()


sheets = [as_a_sheet(measure, metric) for measure, metric in MEASURES.items()]
footnote = pd.DataFrame({"LA code": ["c = hidden, 1 to 5 children; z = does not apply"]})
pd.concat([*sheets, footnote]).to_csv(sent / "our_numbers.csv", index=False)

rollout = made_up.design.rollout
pd.DataFrame(
    {
        "code": rollout.pilots,
        "start": [rollout.starts[unit] for unit in rollout.pilots],
        "left": [rollout.stops.get(unit, "") for unit in rollout.pilots],
    }
).to_csv(sent / "pilots.csv", index=False)

made_up.neighbours.table.rename(columns={"unit": "la_code", "neighbour": "sn_code"})[
    ["la_code", "rank", "sn_code", "closeness"]
].to_csv(sent / "neighbours.csv", index=False)

# %% [markdown]
# ## 1. Read the file, as text
#
# `dtype=str` keeps codes and symbols as they were typed. Then look at it: years across the
# columns, a `c` here and there, an empty cell, and a footnote in the last line.

# %%
sheet = pd.read_csv(sent / "our_numbers.csv", dtype=str)
sheet.tail(4)

# %% [markdown]
# The footnote is no authority. Everything with a three-digit code stays:

# %%
sheet = sheet[sheet["LA code"].str.fullmatch(r"\d{3}")]
print(f"{len(sheet)} rows, {sheet['LA code'].nunique()} authorities")

# %% [markdown]
# ## 2. Two errors that everybody meets
#
# A panel has one row for each authority and year. This sheet has one column for each year. didkit
# does not guess; it says what it needed, what it found, where, and what to do:

# %%
try:
    dk.Panel.from_frame(sheet, unit="LA code", period="year", metrics=["2018"])
except dk.PanelError as error:
    print(error)

# %% [markdown]
# So do what it says in the last line:

# %%
long = sheet.melt(
    id_vars=["LA code", "Authority", "Measure"], var_name="year", value_name="as typed"
)
long["metric"] = long["Measure"].map(MEASURES)

try:
    dk.Panel.from_frame(
        long, unit="LA code", period="year", metrics="metric", value="as typed", layout="long"
    )
except dk.PanelError as error:
    print(error)

# %% [markdown]
# Still text, with symbols among the numbers. A hidden number is not zero and not "missing"
# either: it is known to be small. So each cell gets a number **and a status**. You say what your
# symbols mean; nobody else can.
#
# If a number is written in a way that `to_numeric` does not read (`1,234`), its status says
# "observed" and its value is empty: didkit refuses that too, and names the authority and the year.
# Nothing is lost in silence.

# %%
long["value"] = pd.to_numeric(long["as typed"], errors="coerce")
long["status"] = long["as typed"].map({"c": "suppressed", "z": "not applicable"})
long.loc[long["as typed"].isna(), "status"] = "not available"
long["status"] = long["status"].fillna("observed")

panel = dk.Panel.from_frame(
    long,
    unit="LA code",
    period="year",
    metrics="metric",
    value="value",
    status="status",
    name="Authority",
    layout="long",
    release="our_numbers.csv",
)
panel

# %% [markdown]
# The names `cpp`, `cla` and `population` are in didkit's registry (`dk.METRICS`), so the panel
# knows that the first two are rates per 10,000 children. `cpp_count` would be a number of plans.
# Any other name is a plain value.
#
# `describe()` has a line for each metric, `missing()` one for each cell without a value. Read the
# second: who is missing matters as much as how many.

# %%
described = panel.describe().round(1)
described[["metric", "unit", "units", "first", "last", "mean", "sd_between", "sd_within"]]

# %%
gaps = panel.missing()
gaps = gaps[gaps["metric"] == "cpp"]
print(f"{len(gaps)} cells of {gaps['unit'].nunique()} authorities have no rate of plans")
gaps.drop(columns=["lower", "upper"]).head(8)

# %% [markdown]
# ## 3. The design: who, when, against whom
#
# Four decisions, and each is yours: who the pilots are and when each started; whom they are
# compared with; how they were chosen; and who is left out, by name and with a reason. Here the
# comparators are the statistical neighbours of any pilot. `dk.Pool()` would take every other
# authority.

# %%
pilots = pd.read_csv(sent / "pilots.csv", dtype=str)
neighbours = dk.read_neighbours(sent / "neighbours.csv")

gone = gaps.loc[gaps["status"] == "not applicable", "unit"].unique()
design = dk.Design(
    panel,
    dk.Rollout(
        dict(zip(pilots["code"], pilots["start"], strict=True)),
        stops=pilots.dropna(subset=["left"]).set_index("code")["left"].to_dict(),
    ),
    against=neighbours.union(),
    selection="average",  # they were chosen for a level that had been low for years
    exclude=dict.fromkeys(gone, "reorganised") | {"604": "tiny", "652": "tiny"},
)
design

# %% [markdown]
# `audit()` says who has no value when, for pilots and comparators apart. A pilot that is missing
# before the start cannot be compared with itself.

# %%
audit = design.audit(["cpp"])
audit.loc[audit["with_value"] < audit["units"], ["period", "arm", "units", "with_value", "missing"]]

# %% [markdown]
# ## 4. How much of the difference was there before?
#
# Look before you calculate. On the left the gap before the start, on the right the gap after it.

# %%
gap = dk.Gap().fit(design, "cpp")
gap.plot().figure

# %%
before, after = gap["gap_before"]["estimate"], gap["gap_after"]["estimate"]
share = gap.facts["share_before"]
print(f"Pilots less comparators: {before:+.1f} plans per 10,000 children before the start,")
print(f"{after:+.1f} after it.")
if pd.isna(share):
    print("The gap turned its sign: there is no share to speak of.")
else:
    print(f"{share:.0%} of the gap afterwards was there before.")

# %% [markdown]
# ## 5. What changed, and how sure is that?
#
# Difference-in-differences (DiD) asks how the gap *changed*. Each dot below is one authority: its
# mean after the start less its mean before. The programme has to show up as a distance between
# the two rows, beyond the scatter within them.

# %%
did = dk.DiD().fit(design, "cpp").infer()
did.plot(kind="long_differences").figure

# %%
did

# %%
change = did["att"]
print(
    f"The gap changed by {change['estimate']:+.1f} plans per 10,000 children; the interval runs "
    f"from {change['conf_low']:+.1f} to {change['conf_high']:+.1f}."
)

# %% [markdown]
# `.infer()` chose the method; the notes above say which and why. With ten pilots the usual
# standard error can be too small, so didkit asks instead: how often would ten *other*
# authorities, called pilots, show a change as large?
#
# ## 6. Year by year
#
# The event study shows the gap in every year, less the gap in the year before the start. To the
# left of the start there is no programme: whatever moves there is noise, or trouble.

# %%
events = dk.EventStudy().fit(design, "cpp").infer()
events.plot().figure

# %% [markdown]
# ## 7. Try to break it
#
# A check measures; it gives no verdict. Did the two arms move alike before? Does one authority
# decide the answer? And what is the smallest change that this design could have found? Without
# the last, "no evidence of a change" says little.

# %%
for estimate, check in [
    (events, dk.PreTrends()),
    (did, dk.LeaveOneOut()),
    (did, dk.DetectableEffect()),
]:
    finding = estimate.check(check)
    print(finding.question)
    print(textwrap.fill(finding.headline, 88, initial_indent="  ", subsequent_indent="  "), "\n")

# %%
did.check(dk.LeaveOneOut())

# %% [markdown]
# ## 8. The report
#
# `evaluate` does all of this for several metrics, and writes one page that opens without a
# network: words first, then tables and pictures, then every note.

# %%
evaluation = dk.evaluate(design, ["cpp", "cla"])
report = folder / "report.html"
evaluation.to_html(report)
print(textwrap.fill(evaluation.in_words("cpp"), 88))
print(f"\n{report} ({report.stat().st_size / 1024:,.0f} KB): open it in your browser")

# %%
evaluation

# %% [markdown]
# Now look at the second line, children looked after, and remember that the true effect is zero.

# %%
looked_after = evaluation["cla"].did["att"]
truth = made_up.truth["cla"]
holds = looked_after["conf_low"] <= truth <= looked_after["conf_high"]
print(
    f"Interval for children looked after: {looked_after['conf_low']:+.1f} to "
    f"{looked_after['conf_high']:+.1f}. The truth, {truth:g}, lies "
    f"{'inside' if holds else 'outside'}."
)

# %% [markdown]
# An interval at level 0.95 misses the truth in one evaluation of twenty even when everything is
# right, and a report with four metrics has four chances. Notebook `02_before_and_after` shows
# what one draw can do.
#
# ## And now your own
#
# * Put your own files into the folder `my-evaluation`, and read them with `folder /` in place of
#   `sent /`. The report is there already.
# * Your file instead of `our_numbers.csv`; your symbols in the line with `"suppressed"`. A file
#   that has one row for each authority and year already needs no `melt`: leave `layout` out and
#   name the columns, `metrics={"your column": "cpp"}`.
# * Published tables of the Department for Education need none of section 2: `dk.read_dfe(folder)`
#   knows their symbols.
# * A row for England or for a region is no authority: didkit refuses it, so take it out first.
# * Codes that are not the three-digit ones, such as E06000023: `identity="any"`, in pilots too.
# * A measure that didkit has no name for: `dk.Metric(name="exclusions", label="Exclusions",
#   kind="rate", unit="per 1,000 pupils")` in place of `"cpp"`.
# * Write down pilots, comparators and metrics *before* you look at the answer (`dk.Plan`).
