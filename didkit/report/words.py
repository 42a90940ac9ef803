"""Plain sentences with numbers: what was compared, what was there before, what changed, how sure.

The words never say "no effect", "significant" or "passed". Where the interval holds zero they say
that there is no evidence of a change, with the change that would have been found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from didkit.panel import Metric
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation, MetricResult

__all__ = [
    "cells_in_words",
    "compared",
    "equals",
    "findable",
    "gap_before_and_after",
    "methods_in_words",
    "moved_before",
    "out_of_reach",
    "sentences",
    "share_in_words",
    "share_text",
    "short",
    "signed",
    "throughout",
    "truths",
]

_SMALL = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def compared(evaluation: Evaluation) -> str:
    """Say in one sentence who was compared with whom, and when."""
    design = evaluation.design
    starts = sorted(set(design.starts.values()), key=design.periods.index)
    when = f"in {starts[0]}" if len(starts) == 1 else f"between {starts[0]} and {starts[-1]}"
    chosen = {
        "random": "at random",
        "latest_value": "for their latest value",
        "average": "for their level over several years",
        "bid": "by their own bid",
        "unknown": "in a way that nobody has recorded",
    }[design.selection]
    n, m = len(design.pilots), len(design.comparators)
    who = f"{_count(n).capitalize()} {'pilot' if n == 1 else 'pilots'} that started {when}"
    return (
        f"{who} {'is' if n == 1 else 'are'} compared with {_count(m)} "
        f"{'comparator' if m == 1 else 'comparators'}, {design.periods[0]} to "
        f"{design.periods[-1]}: {design.against.describe()}. The "
        f"{'pilot was' if n == 1 else 'pilots were'} chosen {chosen}."
    )


def short(evaluation: Evaluation, metric: str) -> str:
    """Say one metric in one line: both gaps, the change, what stands against it or was findable."""
    result = evaluation[metric]
    gaps = _gaps(result)
    row = result.did.tidy().iloc[0]
    low, high = float(row["conf_low"]), float(row["conf_high"])
    holds = "changed"
    if np.isnan(low) or np.isnan(high):
        holds, interval = "no interval exists", ""
    else:
        interval = f" ({signed(low)} to {signed(high)})"
    if low <= 0 <= high:
        holds = "no evidence of a change"
        found = findable(result)
        if found:
            holds += f"; {_inside(found).rstrip('.')}"
    share = result.gap.facts["share_before"]
    there = "the sign turned" if np.isnan(share) else f"{share_text(share)} there before"
    truth = evaluation.truth.get(metric)
    known = "" if truth is None else f"; true effect: {signed(truth)}"
    moved = moved_before(result, evaluation.level)
    return (
        f"{result.metric.label}: {_more(result.metric, gaps['gap_before'])} before, "
        f"{_more(result.metric, gaps['gap_after'])} after ({there}); change "
        f"{signed(float(row['estimate']))}{interval}: {holds}{known}."
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
        f"Here the truth is known: {_count(missed)} of {_count(n)} intervals "
        f"{'misses' if missed == 1 else 'miss'} it. This is what one draw can do; with {_count(n)} "
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
            _change(result, level),
            out_of_reach(evaluation, metric),
            _truth(evaluation, metric),
        ],
        "What could have been found": [_detectable(result)],
        "What would change our mind": [
            cells_in_words(result, level),
            methods_in_words(result, level),
            _left_out(result),
            _placebos(result),
            _pre_trends(result, level),
        ],
        "Pilots and comparators that rose": [_counted(evaluation, metric)],
    }
    joined = {question: " ".join(filter(None, found)) for question, found in made.items()}
    return {question: text for question, text in joined.items() if text}


# -- what was there before -----------------------------------------------------------------------


def gap_before_and_after(result: MetricResult) -> str:
    """Say both gaps in one short sentence, without a full stop."""
    gaps, metric = _gaps(result), result.metric
    verb = "had" if metric.kind in ("rate", "count") else "were"
    unit = f" {metric.unit}" if metric.unit else ""
    return (
        f"Pilots {verb} {_more(metric, gaps['gap_before'])}{unit} than their comparators before "
        f"the start, {_more(metric, gaps['gap_after'])} after it"
    )


def share_in_words(share: float) -> str:
    """Say how much of the gap afterwards was there before, without a full stop."""
    if np.isnan(share):
        return "the sign of the gap turned"
    if share < 1:
        return f"{share:.0%} of the gap was there before"
    if share_text(share) == "all":
        return "all of the gap was there before"
    return f"all of the gap was there before ({share:.0%}), and it has narrowed"


def _before(result: MetricResult) -> str:
    metric = result.metric
    gaps = _gaps(result)
    before, after = gaps["gap_before"], gaps["gap_after"]
    what = f"{_inside(metric.label)} {metric.unit}" if metric.kind == "rate" else ""
    if metric.kind in ("rate", "count"):
        first = f"Before the start pilots had {_more(metric, before)} "
        first += f"{what or _inside(metric.label)} than their comparators, afterwards "
        first += _more(metric, after)
    else:
        first = (
            f"Before the start pilots were {_more(metric, before)} than their comparators on "
            f"{_inside(metric.label)} ({metric.unit or 'units of the metric'}), afterwards "
            f"{_more(metric, after)}"
        )
    share = result.gap.facts["share_before"]
    if np.isnan(share):
        return f"{first}: the sign of the gap turned."
    if share > 1 and share_text(share) != "all":
        return (
            f"{first}: all of the gap seen afterwards was there before ({share:.0%}), and the gap "
            "has narrowed."
        )
    if share >= 1:
        return f"{first}: all of the gap seen afterwards was there before."
    return f"{first}: {share:.0%} of the gap seen afterwards was there before."


def throughout(result: MetricResult) -> str:
    """Say in how many periods pilots had fewer, or more."""
    by_period = result.gap_by_period
    if by_period is None:
        return ""
    values = by_period.values
    n, below, above = len(values), int((values < 0).sum()), int((values > 0).sum())
    down, up = _directions(result.metric)
    word, k = (down, below) if below >= above else (up, above)
    verb = "had" if result.metric.kind in ("rate", "count") else "were"
    if n < 2 or k == 0:
        return ""
    if below == above:
        return f"They {verb} as often {up} as {down}: in {_count(k)} of {_count(n)} periods each."
    if k == n:
        return f"They {verb} {word} throughout: in all {_count(n)} periods."
    return f"They {verb} {word} in {_count(k)} of {_count(n)} periods."


# -- what changed, and how sure ------------------------------------------------------------------


def _change(result: MetricResult, level: float) -> str:
    row, sure = result.did.tidy().iloc[0], result.did.uncertainty
    unit = result.metric.unit
    value, low, high = float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"])
    size = f"{signed(value)} {unit}".strip()
    method = sure.method.split(",")[0] if sure is not None else "no inference"
    p = f", p {equals(float(row['p_value']))}" if np.isfinite(row["p_value"]) else ""
    if np.isnan(low) or np.isnan(high):
        return (
            f"From the start on the gap changed by {size} ({method}{p}); no interval exists, and "
            "the notes say why."
        )
    where = f"{level * 100:g}% interval {signed(low)} to {signed(high)}; {method}{p}"
    if low <= 0 <= high:
        return (
            f"The gap moved by {size} ({where}): no evidence of a change beyond what authorities "
            "show without a programme."
        )
    return f"From the start on the gap changed by {size} ({where})."


def _truth(evaluation: Evaluation, metric: str) -> str:
    if metric not in evaluation.truth:
        return ""
    truth = evaluation.truth[metric]
    row = evaluation[metric].did.tidy().iloc[0]
    size = "zero" if truth == 0 else signed(truth)
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


def _detectable(result: MetricResult) -> str:
    finding = result.findings.get("DetectableEffect")
    if finding is None:
        return ""
    size, percent = finding.facts["detectable"], finding.facts["percent"]
    power = f"{finding.facts['power']:.0%} probability"
    if not np.isfinite(size):
        return f"No change, however large, would have been found with {power}."
    level = f" ({percent:.0f}% of the comparators' level)" if np.isfinite(percent) else ""
    what = f"{tables.number(size)} {result.metric.unit}".strip()
    return (
        f"A change of {what}{level} would have been found with {power}, a smaller one less often."
    )


def findable(result: MetricResult) -> str:
    """Name the change that would have been found, in a short sentence; none where none is known."""
    finding = result.findings.get("DetectableEffect")
    if finding is None or not np.isfinite(finding.facts["detectable"]):
        return ""
    percent = finding.facts["percent"]
    level = f" ({percent:.0f}%)" if np.isfinite(percent) else ""
    return (
        f"A change of {tables.number(finding.facts['detectable'])}{level} would have been found "
        f"with {finding.facts['power']:.0%} probability."
    )


def out_of_reach(evaluation: Evaluation, metric: str) -> str:
    """Say whether changes as large as the plan's smallest effect of interest can be ruled out."""
    record = evaluation.record
    if record is None or metric not in record.smallest_effect:
        return ""
    size = abs(record.smallest_effect[metric])
    row = evaluation[metric].did.tidy().iloc[0]
    low, high = float(row["conf_low"]), float(row["conf_high"])
    text = tables.number(size)
    named = f"The smallest change of interest is {text}"
    if np.isnan(low) or np.isnan(high):
        return f"{named}; without an interval it cannot be ruled out."
    if low >= size or high <= -size:
        return f"{named}: the whole interval is at least as far from zero."
    beyond = [limit for limit, out in ((-size, low <= -size), (size, high >= size)) if out]
    if beyond:
        reached = " and ".join(signed(limit) for limit in beyond)
        which = "changes that large" if len(beyond) > 1 else "a change that large"
        return f"{named}: the interval reaches beyond {reached}, so {which} cannot be ruled out."
    return f"Changes as large as {text}, the smallest of interest, are outside the interval."


def _counted(evaluation: Evaluation, metric: str) -> str:
    """Count the pilots that rose, and the comparators beside them."""
    table = evaluation.risers(metric)
    arms = {arm: table.loc[table["arm"] == arm, "rose"] for arm in ("pilot", "comparator")}
    pilots, others = arms["pilot"], arms["comparator"]
    if pilots.empty:
        return ""
    kind = evaluation.design.panel.metric(evaluation.counted(metric)).kind
    label = _inside(evaluation[metric].metric.label)
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
        f"{_count(int(pilots.sum())).capitalize()} of {_count(len(pilots))} pilots{both} had "
        f"{more} in {last} than in {first}{beside}."
    )


# -- what would change our mind ------------------------------------------------------------------


def cells_in_words(result: MetricResult, level: float) -> str:
    """Give the estimate on complete cells where it tells another story."""
    other = result.did_complete
    if other is None:
        return ""
    mine, theirs = result.did.tidy().iloc[0], other.tidy().iloc[0]
    turned = mine["estimate"] * theirs["estimate"] < 0
    alpha = 1 - level
    crossed = (mine["p_value"] < alpha) != (theirs["p_value"] < alpha)
    if not turned and not crossed:
        return ""
    p = float(theirs["p_value"])
    says = f" (p {equals(p)})" if np.isfinite(p) else ""
    why = "the sign" if turned else f"which side of {tables.p_value(alpha)} p falls on"
    n, m = int(theirs["n_pilots"]), int(theirs["n_comparators"])
    return (
        f"On the {n} {'pilot' if n == 1 else 'pilots'} and {m} "
        f"{'comparator' if m == 1 else 'comparators'} observed in every period the change is "
        f"{signed(float(theirs['estimate']))}{says}: "
        f"{why} hangs on which cells are used."
    )


def methods_in_words(result: MetricResult, level: float) -> str:
    """Say that methods of inference stand on both sides of the level, where they do.

    CR0 and CR1 have no voice: with few pilots they reject a true null too often.
    """
    table = result.methods
    loud = table["method"].str.startswith(("CR0", "CR1"))
    heard = table[np.isfinite(table["p_value"].astype(float)) & ~loud].sort_values("p_value")
    alpha = round(1 - level, 12)
    if heard.empty or not heard["p_value"].iloc[0] <= alpha < heard["p_value"].iloc[-1]:
        return ""
    ends = [
        f"{equals(float(row['p_value']))} by {str(row['method']).partition(', ')[0]}"
        for row in (heard.iloc[0], heard.iloc[-1])
    ]
    return (
        f"p {ends[0]}, but {ends[1]}: which side of {tables.p_value(alpha)} it falls on hangs on "
        "the method."
    )


def _left_out(result: MetricResult) -> str:
    finding = result.findings.get("LeaveOneOut")
    return finding.headline if finding is not None else ""


def _placebos(result: MetricResult) -> str:
    """Compare with starts that never were, and with pilots that never were."""
    parts = []
    start = result.findings.get("PlaceboStart")
    if start is not None:
        largest, actual = start.facts["largest"], start.facts["actual"]
        than = "larger" if abs(largest) > abs(actual) else "smaller"
        n = len(start.table)
        parts.append(
            f"With a start that never was ({_count(n)} earlier period{'' if n == 1 else 's'} "
            f"tried) the largest change is {signed(largest)}, {than} than the actual one."
        )
    pilots = result.findings.get("PlaceboPilots")
    if pilots is not None:
        parts.append(
            f"Of {int(pilots.facts['draws']):,} sets of comparators taken as pilots, "
            f"{pilots.facts['share_as_large']:.0%} moved at least as far."
        )
    return " ".join(parts)


def moved_before(result: MetricResult, level: float) -> str:
    """Say that the gap moved before the start where the joint test speaks against parallel trends.

    Without a full stop; empty where it does not.
    """
    finding = result.findings.get("PreTrends")
    p = float(finding.facts["p_value"]) if finding is not None else np.nan
    if not p < round(1 - level, 12):
        return ""
    return f"Before the start the gap already moved (joint p {equals(p)})"


def _pre_trends(result: MetricResult, level: float) -> str:
    finding = result.findings.get("PreTrends")
    if finding is None:
        return ""
    moved = moved_before(result, level)
    if moved:
        return f"{moved}: the change rests on an assumption that these data speak against."
    return (
        f"Before the start the gap moved by at most {tables.number(finding.facts['largest'])} "
        f"from its last value (joint p {equals(finding.facts['p_value'])}); that does not show "
        "that trends would have stayed parallel."
    )


# -- small words ---------------------------------------------------------------------------------


def _count(n: int) -> str:
    return _SMALL[n] if 0 <= n < len(_SMALL) else f"{n:,}"


def _directions(metric: Metric) -> tuple[str, str]:
    return ("fewer", "more") if metric.kind in ("rate", "count") else ("lower", "higher")


def _more(metric: Metric, value: float) -> str:
    down, up = _directions(metric)
    return f"{tables.number(abs(value))} {down if value < 0 else up}"


def share_text(share: float) -> str:
    """Write the share of a gap that was there before; more than all of it is all."""
    text = f"{share:.0%}"
    if share < 1:
        return text
    return "all" if text == "100%" else f"all ({text})"


def signed(value: float) -> str:
    """Write a number with its sign, + included."""
    text = tables.number(value)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _inside(label: str) -> str:
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def equals(p: float) -> str:
    """Write a p-value after the letter p."""
    text = tables.p_value(p)
    return text if text.startswith("<") else f"= {text}"
