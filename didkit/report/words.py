"""Plain sentences with numbers: what was compared, what was there before, what changed, how sure.

The words never say "no effect", "significant" or "passed". Where the interval holds zero they say
that there is no evidence of a change, with the change that would have been found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from didkit.report.doubts import (
    alternatives_in_words,
    before_the_start,
    cells_in_words,
    chosen_in_words,
    left_out_in_words,
    methods_in_words,
    moved_before,
    start_in_words,
)
from didkit.report.findable import detectable_in_words, findable, missable
from didkit.report.numerals import (
    adjusted_p,
    change_of,
    count,
    day,
    directions,
    equals,
    inside,
    interval,
    joined,
    more,
    no_share,
    said,
    said_signed,
    share_in_words,
    share_text,
)
from didkit.report.record import NOT_COMPARED

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation, MetricResult
    from didkit.report.record import PlanRecord

__all__ = [
    "adjusted",
    "at_once",
    "bottom_line",
    "compared",
    "frozen_in_words",
    "gap_before_and_after",
    "labelled",
    "not_the_difference",
    "out_of_reach",
    "sentences",
    "share_there_before",
    "short",
    "standing",
    "throughout",
    "truths",
    "unlimited",
]

Standing = Literal["none", "unclear", "adjusted away", "changed"]
NO_PROOF = "No evidence of a change is not evidence of no change."
_MOST_NAMED = 3  # pilots that left in one period, by name
_NEAR = 1e-9  # two numbers that differ by rounding only


def compared(evaluation: Evaluation) -> str:
    """Say in one sentence who was compared with whom, and when."""
    design = evaluation.design
    starts = sorted(set(design.starts.values()), key=design.periods.index)
    when = f"in {starts[0]}" if len(starts) == 1 else f"between {starts[0]} and {starts[-1]}"
    whose = "its" if len(design.pilots) == 1 else "their"
    chosen = {
        "random": "at random",
        "latest_value": f"for {whose} latest value",
        "average": f"for {whose} level over several years",
        "bid": f"by {whose} own bid",
        "unknown": "in a way that nobody has recorded",
    }[design.selection]
    n, m = len(design.pilots), len(design.comparators)
    against = design.against.describe().partition("; list: ")[0]
    return (
        f"{count(n).capitalize()} {'pilot' if n == 1 else 'pilots'}"
        f"{_used(evaluation, n, 'pilots')} that started {when} "
        f"{'is' if n == 1 else 'are'} compared with {count(m)} "
        f"{'comparator' if m == 1 else 'comparators'}{_used(evaluation, m, 'comparators')}, "
        f"{design.periods[0]} to {design.periods[-1]}: {against}. The "
        f"{'pilot was' if n == 1 else 'pilots were'} chosen {chosen}.{_left(evaluation)}"
    )


def _left(evaluation: Evaluation) -> str:
    """Say which pilots left, when, and that they count on; "" where none did."""
    stops = evaluation.design.rollout.stops
    if not stops:
        return ""
    name = dict(zip(*(evaluation.design.who()[column] for column in ("unit", "name")), strict=True))
    when: dict[str, list[str]] = {}
    for unit, period in stops.items():
        when.setdefault(str(period), []).append(str(name.get(unit, unit)))
    parts = [f"{_some(names)} left in {period}" for period, names in sorted(when.items())]
    it = "it counts as a pilot from its" if len(stops) == 1 else "each counts as a pilot from its"
    return f" {joined(parts)}; {it} start on all the same."


def _some(names: list[str]) -> str:
    return joined(names) if len(names) <= _MOST_NAMED else f"{count(len(names))} pilots"


def _used(evaluation: Evaluation, named: int, arm: str) -> str:
    """Say how many of an arm were used, where that is not all that are named."""
    used = [int(result.did.glance().iloc[0][arm]) for result in evaluation.results.values()]
    low, high = min(used), max(used)
    if low == named:
        return ""
    return f" ({count(low)} used)" if low == high else f" ({low:,} to {high:,} used, by measure)"


def frozen_in_words(record: PlanRecord) -> str:
    """Say whether and when the plan was frozen, without a full stop."""
    if not record.frozen:
        return "The plan of this run was not frozen"
    data = "with the data at hand"
    if record.before_data:
        data = f"before the data were published, so {NOT_COMPARED}"
    return f"The plan was frozen on {day(record.frozen_on)}, {data}"


def labelled(evaluation: Evaluation, metric: str) -> str:
    """Name a measure, with its role where the plan has two."""
    label, role = evaluation[metric].metric.label, _role(evaluation, metric)
    return f"{label} ({role})" if role else label


def _role(evaluation: Evaluation, metric: str) -> str:
    """Return the role of a measure; nothing where the plan has one family only."""
    record = evaluation.record
    if record is None or "secondary" not in record.roles.values():
        return ""
    return str(record.roles.get(metric, ""))


def bottom_line(evaluation: Evaluation, metric: str) -> str:
    """Say one measure in one line: both gaps, and what happened or could have been missed."""
    result = evaluation[metric]
    gaps = _gaps(result)
    both = (
        f"{more(result.metric, gaps['gap_before'])} before, "
        f"{more(result.metric, gaps['gap_after'])} after."
    )
    return f"{both} {_what_happened(evaluation, metric)}"


def _what_happened(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    row, holds = result.did.tidy().iloc[0], standing(evaluation, metric)
    size = change_of(result.metric, float(row["estimate"]))
    if holds == "none":
        return f"The gap moved by {size}; no interval exists."
    if holds == "unclear":
        return f"No sign that it changed; {missable(result)}."
    limits = interval(float(row["conf_low"]), float(row["conf_high"]))
    said = f"The gap changed by {size} ({evaluation.level * 100:g}% interval {limits})"
    if holds == "adjusted away":
        said += f"; {_not_after_adjustment(evaluation, metric)}"
    if moved_before(result, evaluation.level):
        said += "; it had already moved before the start"
    return f"{said}."


def short(evaluation: Evaluation, metric: str) -> str:
    """Say one metric in one line: both gaps, the change, what stands against it or was findable."""
    result = evaluation[metric]
    gaps = _gaps(result)
    row = result.did.tidy().iloc[0]
    standing_now = standing(evaluation, metric)
    limits = f" ({interval(float(row['conf_low']), float(row['conf_high']))})"
    holds = {
        "none": "no interval exists",
        "unclear": f"no evidence of a change; {inside(findable(result)).rstrip('.')}",
        "adjusted away": f"changed; {_not_after_adjustment(evaluation, metric)}",
        "changed": "changed",
    }[standing_now]
    before, after = gaps["gap_before"], gaps["gap_after"]
    without = {"no gap": "no gap at all", "sign turned": "the sign turned"}
    why = no_share(before, after)
    there = without.get(why, f"{why or share_text(before / after)} there before")
    there = "all there before, none left" if why == "all, none left" else there
    truth = evaluation.truth.get(metric)
    known = "" if truth is None else f"; true effect: {said_signed(truth)}"
    moved = moved_before(result, evaluation.level)
    return (
        f"{labelled(evaluation, metric)}: {more(result.metric, gaps['gap_before'])} before, "
        f"{more(result.metric, gaps['gap_after'])} after ({there}); change "
        f"{change_of(result.metric, float(row['estimate']))}"
        f"{'' if standing_now == 'none' else limits}: {holds}{known}."
        f"{f' {moved}.' if moved else ''}"
    )


def truths(evaluation: Evaluation) -> str:
    """Say how many intervals miss a known truth; nothing where fewer than two could."""
    frame = evaluation.to_frame()
    if "truth" not in frame:
        return ""
    known = frame[frame[["truth", "conf_low", "conf_high"]].notna().all(axis=1)]
    n = len(known)
    if n < 2:
        return ""
    missed = n - int(known["truth"].between(known["conf_low"], known["conf_high"]).sum())
    return (
        f"Here the truth is known: {count(missed)} of {count(n)} intervals "
        f"{'misses' if missed == 1 else 'miss'} it. This is what one draw can do; with {count(n)} "
        f"measures at least one misses in about {1 - evaluation.level**n:.0%} of draws if they "
        "were independent."
    )


def _gaps(result: MetricResult) -> dict[str, float]:
    return dict(zip(result.gap.terms["term"], result.gap.values.tolist(), strict=True))


def sentences(evaluation: Evaluation, metric: str) -> dict[str, str]:
    """Return the sentences of one metric under the questions that they answer, in order."""
    result, level = evaluation[metric], evaluation.level
    made = {
        "There before": [_before(result), throughout(result)],
        "What changed": [
            _change(evaluation, metric),
            not_the_difference(evaluation, (metric,)),
            out_of_reach(evaluation, metric),
            _truth(evaluation, metric),
        ],
        "What could have been found": [detectable_in_words(result)],
        "What would change our mind": [
            before_the_start(result, level),
            _not_parallel(result, level),
            alternatives_in_words(evaluation, metric),
            cells_in_words(result, level),
            methods_in_words(result, level),
            left_out_in_words(result),
            start_in_words(result, always=True),
            chosen_in_words(result),
            _placebos(result),
        ],
        "Pilots and comparators that rose": [_counted(evaluation, metric)],
    }
    joined = {question: " ".join(filter(None, found)) for question, found in made.items()}
    return {question: text for question, text in joined.items() if text}


# -- what was there before -----------------------------------------------------------------------


def share_there_before(result: MetricResult) -> str:
    """Say how much of the gap afterwards was there before, without a full stop."""
    gaps = _gaps(result)
    return share_in_words(gaps["gap_before"], gaps["gap_after"])


def gap_before_and_after(result: MetricResult) -> str:
    """Say both gaps in one short sentence, without a full stop."""
    gaps, metric = _gaps(result), result.metric
    before = more(metric, gaps["gap_before"], unit=True)
    after = more(metric, gaps["gap_after"])
    if metric.kind in ("rate", "count"):
        return f"Pilots had {before} than their comparators before the start, {after} after it"
    return (
        f"Pilots' {inside(metric.label)} was {before} than their comparators' before the start, "
        f"{after} after it"
    )


def _before(result: MetricResult) -> str:
    metric = result.metric
    gaps = _gaps(result)
    before, after = gaps["gap_before"], gaps["gap_after"]
    share = share_there_before(result)
    if metric.kind in ("rate", "count"):
        what = inside(metric.label)
        what += f" {metric.unit}" if metric.kind == "rate" else ""
        return (
            f"Before the start pilots had {more(metric, before)} {what} than their comparators, "
            f"afterwards {more(metric, after)}: {share}."
        )
    unit = f" ({metric.unit})" if metric.kind == "percent" and metric.unit else ""
    return (
        f"Before the start pilots' {inside(metric.label)}{unit} was "
        f"{more(metric, before, unit=True)} than their comparators', afterwards "
        f"{more(metric, after, unit=True)}: {share}."
    )


def throughout(result: MetricResult) -> str:
    """Say in how many periods pilots had fewer, or more."""
    by_period = result.gap_by_period
    if by_period is None:
        return ""
    values = by_period.values
    n, below, above = len(values), int((values < 0).sum()), int((values > 0).sum())
    down, up = directions(result.metric)
    word, k = (down, below) if below >= above else (up, above)
    they = "They had" if result.metric.kind in ("rate", "count") else "It was"
    if n < 2 or k == 0:
        return ""
    if below == above:
        return f"{they} as often {up} as {down}: in {count(k)} of {count(n)} periods each."
    if k == n:
        return f"{they} {word} throughout: in all {count(n)} periods."
    return f"{they} {word} in {count(k)} of {count(n)} periods."


# -- what changed, and how sure ------------------------------------------------------------------


def standing(evaluation: Evaluation, metric: str) -> Standing:
    """Say where the interval stands, and whether the adjusted p-value stands with it."""
    row = evaluation[metric].did.tidy().iloc[0]
    low, high = float(row["conf_low"]), float(row["conf_high"])
    if np.isnan(low) or np.isnan(high):
        return "none"
    if low <= 0 <= high:
        return "unclear"
    return "adjusted away" if adjusted(evaluation, metric) > 1 - evaluation.level else "changed"


def adjusted(evaluation: Evaluation, metric: str) -> float:
    """Return the p-value adjusted for several measures; NaN where the plan asks for none."""
    record = evaluation.record
    return np.nan if record is None else float(record.adjusted.get(metric, np.nan))


def _not_after_adjustment(evaluation: Evaluation, metric: str) -> str:
    return (
        f"after adjustment for several measures ({adjusted_p(adjusted(evaluation, metric))}) this "
        "is not evidence of a change"
    )


def at_once(evaluation: Evaluation, metric: str) -> str:
    """Say the change of one measure with its standing, for the first page."""
    result = evaluation[metric]
    size = change_of(result.metric, float(result.did.values[0]))
    return {
        "none": f"The gap moved by {size}.",
        "unclear": f"The gap moved by {size}: no evidence of a change.",
        "adjusted away": f"From the start on the gap changed by {size}; "
        f"{_not_after_adjustment(evaluation, metric)}.",
        "changed": f"From the start on the gap changed by {size}.",
    }[standing(evaluation, metric)]


def _change(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    row, sure = result.did.tidy().iloc[0], result.did.uncertainty
    value, low, high = float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"])
    size = change_of(result.metric, value)
    method = sure.method.split(",")[0] if sure is not None else "no inference"
    p = f", p {equals(float(row['p_value']))}" if np.isfinite(row["p_value"]) else ""
    where = f"{evaluation.level * 100:g}% interval {interval(low, high)}; {method}{p}"
    changed = f"From the start on the gap changed by {size}"
    said = {
        "none": f"{changed} ({method}{p}); no interval exists, and the notes say why.",
        "unclear": f"The gap moved by {size} ({where}): no evidence of a change beyond what "
        "authorities show without a programme.",
        "adjusted away": f"{changed} ({where}); {_not_after_adjustment(evaluation, metric)}.",
        "changed": f"{changed} ({where}).",
    }[standing(evaluation, metric)]
    role = _role(evaluation, metric)
    named = f"This is a {role} measure of the plan." if role else ""
    return " ".join(filter(None, [said, unlimited(low, high), named]))


def unlimited(low: float, high: float) -> str:
    """Explain an interval that has no end on one side, or on both; nothing for any other."""
    if not (np.isinf(low) or np.isinf(high)):
        return ""
    if np.isinf(low) and np.isinf(high):
        return "An interval from −∞ to +∞: with so few authorities no change can be ruled out."
    return "An end at ∞: with so few authorities no change on that side can be ruled out."


def not_the_difference(evaluation: Evaluation, metrics: tuple[str, ...]) -> str:
    """Say for which measures the change is not the gap after less the gap before, and why."""
    labels, reasons = [], {}
    for name in metrics:
        result = evaluation[name]
        gaps, change = _gaps(result), float(result.did.values[0])
        simple = gaps["gap_after"] - gaps["gap_before"]
        near = abs(simple - change) <= _NEAR * max(abs(change), *map(abs, gaps.values()))
        if near or said(simple) == said(change):
            continue
        labels.append(inside(result.metric.label))
        if result.did.glance().iloc[0]["cells_without_value"] > 0:
            reasons["cells are missing"] = True
    if not labels:
        return ""
    if len(set(evaluation.design.starts.values())) > 1:
        reasons["starts are staggered"] = True
    if evaluation.design.sets is not None:
        reasons["each pilot has comparators of its own"] = True
    why = f", because {' and '.join(reasons)}" if reasons else ""
    which = "" if len(labels) == len(metrics) else f" ({', '.join(labels)})"
    return f"The change{which} is not simply the gap after less the gap before{why}."


def _truth(evaluation: Evaluation, metric: str) -> str:
    if metric not in evaluation.truth:
        return ""
    truth = evaluation.truth[metric]
    row = evaluation[metric].did.tidy().iloc[0]
    size = "zero" if truth == 0 else said_signed(truth)
    if not (np.isfinite(row["conf_low"]) and np.isfinite(row["conf_high"])):
        return f"The true effect is {size}."
    inside = row["conf_low"] <= truth <= row["conf_high"]
    if inside:
        return f"The true effect is {size}: the interval holds it."
    return (
        f"The true effect is {size}: the interval misses it. In the long run "
        f"{100 * (1 - evaluation.level):.3g}% of such intervals do; a recording error adds to it "
        "where there is one."
    )


def out_of_reach(evaluation: Evaluation, metric: str) -> str:
    """Say whether changes as large as the plan's smallest effect of interest can be ruled out."""
    record = evaluation.record
    if record is None or metric not in record.smallest_effect:
        return ""
    size = abs(record.smallest_effect[metric])
    row = evaluation[metric].did.tidy().iloc[0]
    low, high = float(row["conf_low"]), float(row["conf_high"])
    text = f"{size:,g}"  # as the plan says it
    named = f"The smallest change of interest is {text}"
    if np.isnan(low) or np.isnan(high):
        return f"{named}; without an interval it cannot be ruled out."
    if low >= size or high <= -size:
        return f"{named}: the whole interval is at least as far from zero."
    beyond = [sign for sign, out in (("−", low <= -size), ("+", high >= size)) if out]
    if beyond:
        reached = " and ".join(f"{sign}{text}" for sign in beyond)
        which = "changes that large" if len(beyond) > 1 else "a change that large"
        return (
            f"{named}: the interval reaches to or beyond {reached}, so {which} cannot be ruled out."
        )
    return f"Changes as large as {text}, the smallest of interest, are outside the interval."


def _counted(evaluation: Evaluation, metric: str) -> str:
    """Count the pilots that rose, and the comparators beside them."""
    table = evaluation.risers(metric)
    arms = {arm: table.loc[table["arm"] == arm, "rose"] for arm in ("pilot", "comparator")}
    pilots, others = arms["pilot"], arms["comparator"]
    if pilots.empty:
        return ""
    kind = evaluation.design.panel.metric(evaluation.counted(metric)).kind
    label = inside(evaluation[metric].metric.label)
    more = f"more {label}" if kind == "count" else f"a higher rate of {label}"
    if kind not in ("count", "rate"):
        more = f"a higher value of {label}"
    first, last = evaluation.between
    named = "comparator" if len(others) == 1 else "comparators"
    rose = f"{int(others.sum())} of {len(others)} {named}"
    both = " with both numbers" if len(pilots) < evaluation[metric].did.sample.n_pilots else ""
    if len(pilots) == 1:
        had = "had" if bool(pilots.iloc[0]) else "did not have"
        beside = f"; {rose} had" if len(others) else ""
        return f"The one pilot{both} {had} {more} in {last} than in {first}{beside}."
    beside = f"; so had {rose}" if len(others) else ""
    return (
        f"{count(int(pilots.sum())).capitalize()} of {count(len(pilots))} pilots{both} had "
        f"{more} in {last} than in {first}{beside}."
    )


def _not_parallel(result: MetricResult, level: float) -> str:
    """Say what a test that does not reject leaves open."""
    if "PreTrends" not in result.findings or moved_before(result, level):
        return ""
    return "That does not show that trends would have stayed parallel."


def _placebos(result: MetricResult) -> str:
    """Compare with comparators taken as pilots."""
    pilots = result.findings.get("PlaceboPilots")
    if pilots is None:
        return ""
    return (
        f"Of {int(pilots.facts['draws']):,} sets of comparators taken as pilots, "
        f"{pilots.facts['share_as_large']:.0%} moved at least as far."
    )
