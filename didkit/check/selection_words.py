"""Words of regression to the mean: what stands for an estimate, what follows, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from didkit.check.selected import ESTIMATORS, Scenario
from didkit.check.variation import Variation
from didkit.design import Matched
from didkit.design.shown import counted
from didkit.errors import first_few
from didkit.results import Estimate, tables

__all__ = ["WAYS", "advice", "caveats", "headline", "in_use", "of_reliability", "stands_for"]

#: What an analyst would do, by way of comparing; in this order where two are as good.
ADVICE = {
    "did": "no matching, all years before kept",
    "did_without_last": "dropping the last year before the start",
    "matched_mean": "matching on the mean of the years before",
    "matched_last": "matching on the last year",
}
#: Why it has it, by selection and way of comparing.
_BECAUSE = {
    ("latest_value", "did_without_last"): "the year in which they were extreme by chance is left "
    "out",
    ("latest_value", "matched_last"): "a comparator as extreme in that year returns alike",
    ("average", "matched_mean"): "a comparator as extreme in those years returns alike",
    ("average", "matched_last"): "a comparator as extreme in the last of those years returns in "
    "part alike",
    **dict.fromkeys(
        [("permanent", "did"), ("permanent", "did_without_last")],
        "matched comparators are extreme by chance and return to their own mean",
    ),
    **{("random", how): "there is nothing to remove" for how in ADVICE},
}
WAYS = {
    "random": "at random",
    "latest_value": "by the last year before",
    "average": "by the mean of the years before",
    "permanent": "for reasons that last",
}


def in_use(estimate: Estimate) -> str:
    """Name the row of the table that the estimate is nearest to.

    Parameters
    ----------
    estimate : Estimate
        Any.

    Returns
    -------
    str
        ``matched_last`` if its design matches on one period's level of its metric,
        ``matched_mean`` if on levels of several periods, else ``did``. Sets made by hand
        (`MatchedSets`) do not say what they were matched on: ``did``.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> on = dk.Covariates.from_panel(panel, means={"cin": (2014, 2017)})
    >>> matched = design.compared_with(dk.Matching(on, ratio=3, missing="leave_out"))
    >>> [in_use(dk.DiD().fit(one, "cin").infer(None)) for one in (design, matched)]
    ['did', 'matched_mean']
    """
    seen = {period for periods in _matched_on(estimate).values() for period in periods}
    return "did" if not seen else "matched_last" if len(seen) == 1 else "matched_mean"


def _matched_on(estimate: Estimate) -> dict[str, tuple[str, ...]]:
    """Return the covariates that are levels of the metric, with the periods they have seen."""
    against, metric = estimate.design.against, estimate.metric.name
    if not isinstance(against, Matched):
        return {}
    known = against.on.levels
    return {
        one: known[one][1:] for one in against.used() if one in known and known[one][0] == metric
    }


def stands_for(estimate: Estimate, used: str, n_all: int) -> tuple[str, ...]:
    """Say which row is nearest to the estimate, and why it is not the estimate itself."""
    name, sample, against = (
        type(estimate.estimator).__name__,
        estimate.sample,
        estimate.design.against,
    )
    why, made = [], []
    if isinstance(against, Matched):
        levels = _matched_on(estimate)
        rest = [one for one in against.used() if one not in levels]
        if levels:
            why.append(f"it is matched on {_named(levels)}")
            if rest:
                why.append(f"the covariates {_named(rest)} are not simulated")
        else:
            why.append(
                f"it is matched on {_named(rest)}, which are no levels of this metric: DiD "
                "without matching is the nearest that is simulated"
            )
    elif sample.sets is not None:
        why.append(
            "its comparators are matched sets; if they were matched on the outcome before, read "
            "the matched rows"
        )
    if name not in ("DiD", "Gap"):
        why.append(f"it is the term {estimate.main_term} of {name}")
    if why:
        made.append(
            f"the row {used} ({ESTIMATORS[used]}) stands for the estimate in use: {'; '.join(why)}"
        )
    if sample.n_comparators != n_all:
        made.append(
            f"the choice is simulated among all {n_all} that could have been compared with the "
            f"pilots; the estimate compares them with {sample.n_comparators}"
        )
    return tuple(made)


def _named(items: Iterable[str]) -> str:
    """Name up to three, else how many there are and the first few."""
    items = list(items)
    return ", ".join(items) if len(items) <= 3 else first_few(items)


def _at_least(share: float) -> str:
    """Say by how much of its size the lasting gap must change."""
    if share < 0.005:
        return "afterwards, however little: nearly all of it lasts"
    return f"by at least {share:.0%} of its size afterwards"


def of_reliability(
    variation: Variation, n_before: int, selection: str, table: pd.DataFrame
) -> tuple[str, ...]:
    """Say what lasts, and what follows for matching on it where pilots differ for good."""
    one, mean = variation.reliability(1), variation.reliability(n_before)
    made = [
        f"{mean:.0%} of the differences between authorities in the mean of {n_before} years last "
        f"(reliability, in variance), {one:.0%} of those in one year"
        if n_before > 1
        else f"{one:.0%} of the differences between authorities in one year last (reliability, "
        "in variance)"
    ]
    if selection != "random":
        made.append(
            "where pilots differ for reasons that last, matching on "
            f"{'that mean' if n_before > 1 else 'that year'} reduces the bias of DiD only if the "
            f"lasting gap itself, without the programme, changes {_at_least(1 - mean)} (Ham & "
            "Miratrix 2024)"
        )
    lasting = table[(table["selection"] == "permanent") & (table["estimator"] == "matched_mean")]
    if len(lasting):
        made.append(
            "if pilots come from a population with another level and parallel trends, DiD without "
            "matching has no bias and matching on the level makes one (Daw & Hatfield 2018): here "
            f"{tables.signed(float(lasting['bias'].iloc[0]))}, matched on the mean before"
        )
    return tuple(made)


def caveats(estimate: Estimate, given: tuple[str, ...], prior: tuple[str, ...]) -> tuple[str, ...]:
    """Say what the simulation takes for granted, where it matters here."""
    design = estimate.design
    made = []
    if design.selection in ("latest_value", "average"):
        made.append(f"it is taken that pilots were chosen by {estimate.metric.label!r} itself")
    first = min(design.starts.values(), key=design.periods.index)
    if len(set(design.starts.values())) > 1:
        made.append(f"pilots start in different periods: all are treated as from {first}")
    if prior:
        made.append(
            f"{counted(len(prior), 'pilot')} had the programme in some of the years before: "
            f"{_named(prior)}; "
            "their level, and what lasts, may hold part of its effect"
        )
    if any(ADVICE["did_without_last"] in one for one in given):
        n = design.periods.index(first)
        made.append(
            "dropping the last year takes the bias away only as far as the years kept on both "
            f"sides of it are alike: {n - 1} before, {len(design.periods) - n} after"
        )
    return tuple(made)


def advice(table: pd.DataFrame, stated: Scenario, open_: bool) -> tuple[str, ...]:
    """Say which way has the smallest bias under each selection shown, at observed strength."""
    exact = table["closed_form"].notna()
    shown = table.assign(
        bias=table["closed_form"].fillna(table["bias"]),
        mc_error=table["mc_error"].where(~exact, 0.0),
    )
    shown = shown[shown["estimator"].isin(ADVICE) & shown["bias"].notna()]
    several = "did_without_last" in set(shown["estimator"])
    if not several:  # one year before is its own mean
        shown = shown[shown["estimator"] != "matched_mean"]
    best: dict[str, str] = {}
    for (key, strength), rows in shown.groupby(["selection", "strength"], sort=False):
        name = str(key)
        if strength == "rank" and name in best:
            continue
        size, error = rows["bias"].abs().to_numpy(), rows["mc_error"].to_numpy()
        least = int(np.argmin(size))
        slack = 2 * np.hypot(error, error[least]) + 1e-9 * float(shown["bias"].abs().max())
        close = rows.loc[size <= size[least] + slack, "estimator"].tolist()
        if len(close) < len(rows):
            named = " or ".join(ADVICE[how] for how in ADVICE if how in close)
            words = f"the bias is smallest for {named}"
        else:
            words = "no way has a clearly smaller bias: matching " + (
                "and dropping the last year change it little" if several else "changes it little"
            )
        as_one = name if several or name != "average" else "latest_value"
        known = {how: _BECAUSE.get((as_one, how), "") for how in close}
        if len(set(known.values())) == 1:
            why = next(iter(known.values()))
            best[name] = f"{words}, because {why}" if why else words
        else:  # they have different reasons: that of the first which has one
            how = next(how for how in ADVICE if known.get(how))
            best[name] = words
            if len(close) < len(rows):
                best[name] += f" ({ADVICE[how]}: {known[how]})"
    if not open_:
        return (f"under these assumptions {best[stated.name]}",)
    return (
        "on what grounds pilots were chosen is not known, so no single choice is right",
        *(f"if chosen {WAYS[name]}, {words}" for name, words in best.items()),
    )


def headline(
    estimate: Estimate,
    facts: Mapping[str, float],
    used: str,
    scenarios: Sequence[Scenario],
    given: tuple[str, ...],
    open_: bool,
) -> str:
    """Say the bias of the row in use, and what has the smallest."""
    unit = tables.unit_of(estimate.metric)
    actual = tables.signed(facts["actual"])
    how = ESTIMATORS[used].replace(",", "")
    ends = {
        kind: " to ".join(tables.signed(facts[f"{kind}_{end}"]) for end in ("lowest", "highest"))
        for kind in ("seen", "bias")
    }
    if open_:
        sides = {one.strength for one in scenarios if one.strength}
        out = "pilots as far out as they were" if "observed" in sides else "the most extreme"
        found = f"{out} would give {how} from {ends['seen']} {unit} over the selections shown"
        if ends["bias"] != ends["seen"]:
            found += f" ({ends['bias']} had the most extreme been taken)"
    else:
        stated = scenarios[0]
        strength = {"observed": ", as far out as they were,", "rank": ", the most extreme,"}
        found = (
            f"pilots chosen {WAYS[stated.name]}{strength.get(stated.strength, '')} would give "
            f"{how} {tables.signed(facts['bias'])} {unit}"
        )
    said = given[0][:1].upper() + given[0][1:]
    return f"Without any effect, {found}; the estimate is {actual}. {said}."
