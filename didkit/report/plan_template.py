"""A plan to start from: that of the packaged evaluation, with its data beside it."""

from __future__ import annotations

import importlib.resources
import shutil
from pathlib import Path

from didkit.report.files import write_whole
from didkit.simulate import load_evaluation

__all__ = ["write_template"]

_TEXT = """\
# A plan, written down before the data are seen. Text after a # is for people only.
#
#   didkit freeze plan.toml       writes plan.frozen.toml: the plan's content and its data's hashes
#   didkit evaluate plan.toml     runs it, lists every deviation, writes the report

didkit_plan = 1
title = "Ten pilots of a synthetic evaluation"
question = "Did the pilots change the rate of child protection plans?"
estimand = "Average change in the pilots from the start on; each authority counts once"

[data]
folder = "data"                 # from where this plan lies; --data names another
description = "Synthetic: no authority, child or number is real."
# mixed = ["cla_count"]         # metrics that may come from more than one release

[[data.files]]
path = "cin"                    # a file, a folder or a zip of published tables
# metrics = ["cpp", "icpc"]     # only these
# periods = [2013, 2020]        # only from the first to the last of these

[[data.files]]
path = "cla"

# [[data.rates]]                # a rate to compute from counts and one population
# metric = "cla"
# denominator = "population"

[pilots]
selection = "average"           # random, latest_value, average, bid or unknown
reason = "Drawn with a lower level, the same in every year"

[pilots.starts]                 # 3-digit code = the first period in which the pilot is treated
{starts}

[pilots.stops]                  # code = the first period in which it is no longer in
{stops}

[comparators]
against = "union"               # pool: all others; union: of neighbours; per_pilot: each its own
file = "neighbours/statistical_neighbours.csv"
# aggregate = "mean"            # with per_pilot: mean, median or weighted
# closest = 5                   # only the first five of each list
reason = "Published before the programme; likeness in deprivation, not in the outcome"

[comparators.exclude]           # code = why it is left out
{exclude}

[window]
first = {first}
last = {last}

[metrics]
primary = ["cpp"]
secondary = ["cin", "icpc", "cla"]
direction = {{cpp = "lower"}}     # what the programme's supporters call an improvement
# smallest_effect = {{cpp = 5}}   # in the metric's unit: the smallest change that would matter
# smallest_effect_reason = "…"  # who says so, and why

[inference]
method = "recommended"          # or, with their options: permutation, cluster_robust, jackknife,
                                # wild_bootstrap, sign_flips, ferman_pinto, conley_taber,
                                # donald_lang, ibragimov_muller or lau_li
level = 0.95

[checks]                        # without this section all are run; the last one always is
PreTrends = true
PlaceboStart = true
PlaceboPilots = {{draws = 999, seed = 0}}
LeaveOneOut = {{units = "pilots"}}
RegressionToTheMean = true      # what the choice of the pilots would show by itself
DetectableEffect = {{power = 0.8}}

[[sensitivity]]                 # an alternative of which the change is estimated too
name = "short window"
first = 2015
last = 2019
# without = ["508"]             # pilots left out
# exclude = ["504"]             # further comparators left out
# start = 2018                  # another start for all pilots

# [specifications]              # choices to cross with the plan's own: a specification curve
# estimators = ["GroupTime", "DiD complete"]
# comparators = ["every other"] # or names of alternatives that change comparators only
# windows = {{"to 2019" = [2013, 2019]}}
# pilots = {{"without 508" = ["508"]}}
# draws = 999

[power]                         # what could be found, from what is assumed before the data
comparators = 60
before = 5
after = 3
reason = "Spread and persistence as in earlier releases"

[power.cpp]
sd = 18                         # between authorities, in one year
icc = 0.67                      # share of that variance that lasts
ar1 = 0.14                      # of the rest, from one year to the next

[multiplicity]
method = "holm"                 # none, holm, benjamini-hochberg, romano-wolf or max-t; the last
                                # two with permutation, cluster_robust or recommended only

[protocol]                      # what the protocol table shows as planned, in words
missing = "Cells without a value are left out; none is filled in."
balance = "Levels and slopes before the start, in standard deviations; no threshold."
sensitivity = "Without each pilot; authorities observed in every period; placebos."
deviations_allowed = "None."
"""


def write_template(folder: Path) -> Path:
    """Write ``plan.toml`` and the folder ``data`` into a folder.

    Parameters
    ----------
    folder : Path
        It exists and holds neither.

    Returns
    -------
    Path
        The plan.

    Raises
    ------
    OSError
        If they cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from didkit.report import Plan
    >>> with tempfile.TemporaryDirectory() as place:
    ...     Plan.read(write_template(Path(place)))
    Plan('Ten pilots of a synthetic evaluation': 10 pilots, against union; primary: cpp)
    """
    packaged = importlib.resources.files("didkit.simulate") / "packaged"
    with importlib.resources.as_file(packaged) as source:
        for name in ("cin", "cla", "neighbours"):
            shutil.copytree(source / name, folder / "data" / name)
    design = load_evaluation().design
    left_out = {
        str(unit): str(reason).partition(": ")[2]
        for unit, reason in design.sample("cpp").log[["unit", "reason"]].to_numpy()
        if str(reason).startswith("excluded by name")
    }
    text = _TEXT.format(
        starts=_lines(
            {unit: (start, design.panel.name_of(unit)) for unit, start in design.starts.items()}
        ),
        stops=_lines({unit: (str(stop), "") for unit, stop in design.rollout.stops.items()}),
        exclude=_lines({unit: (f'"{reason}"', "") for unit, reason in left_out.items()}),
        first=design.periods[0],
        last=design.periods[-1],
    )
    return write_whole(folder / "plan.toml", text)


def _lines(values: dict[str, tuple[str, str]]) -> str:
    return "\n".join(
        f"{unit} = {value}" + (f"  # {name}" if name else "")
        for unit, (value, name) in sorted(values.items())
    )
