"""The protocol table: every item that an evaluation protocol asks for, planned beside done."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from didkit.report.compared import (
    balance_in_words,
    expected_in_words,
    likeness_in_words,
    selection_in_words,
)
from didkit.report.findable import never
from didkit.report.numerals import inside, signed
from didkit.report.planned import CURVE, SHORT, SILENT, called, other_in_words, pairs, planned
from didkit.report.record import NOT_COMPARED
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.design import Design, Sample
    from didkit.panel import Period
    from didkit.report.evaluation import Evaluation, MetricResult
    from didkit.report.plan import Plan
    from didkit.report.record import PlanRecord

__all__ = ["SILENT", "deviation_table", "icc", "planned_table", "protocol_table"]

_ABOVE = "as above"
_COLUMNS = ["item", "planned", "done"]


def deviation_table(record: PlanRecord) -> pd.DataFrame:
    """Return one row a deviation: ``what, planned, found``.

    Examples
    --------
    >>> from didkit.report.record import Deviation
    >>> class Record:
    ...     deviations = (Deviation("window.last", "2020", "2019"),)
    >>> deviation_table(Record()).values.tolist()
    [['window.last', '2020', '2019']]
    """
    return pd.DataFrame(
        [(one.what, one.planned, one.found) for one in record.deviations],
        columns=["what", "planned", "found"],
    )


def planned_table(plan: Plan) -> pd.DataFrame:
    """Return the protocol table before the run: ``item, planned, done``; nothing is done yet."""
    rows = [(name, said, "") for name, said in planned(plan).items()]
    return pd.DataFrame(rows, columns=_COLUMNS)


def protocol_table(evaluation: Evaluation) -> pd.DataFrame:
    """Fill the protocol table with what was done.

    Parameters
    ----------
    evaluation : Evaluation
        Run from a plan, or not: then every item says "not planned".

    Returns
    -------
    DataFrame
        ``item, planned, done``: text for readers. Items that hold for each metric have one row a
        metric, the item followed by the metric's label. The intra-cluster correlation is that of
        `icc`; the detectable effect "at design" takes its noise from before the start, "at
        analysis" from the whole window.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.evaluate(design, ["cpp"], inference=dk.ClusterRobust("CR2"), checks=[])
    >>> table = protocol_table(made)
    >>> table.columns.tolist(), table["planned"].unique().tolist()
    (['item', 'planned', 'done'], ['not planned'])
    """
    record = evaluation.record
    intended = {} if record is None else planned(record.plan)
    rows = []
    for name, done in _done(evaluation).items():
        rows.append((name, intended.get(name, SILENT), done))
    for name, fill in _BY_METRIC.items():
        said = intended.get(name, SILENT)
        for n, (metric, result) in enumerate(evaluation.results.items()):
            shown = said if n == 0 or said == SILENT else _ABOVE
            own = intended.get(f"{name}: {metric}", shown)
            rows.append((f"{name}: {result.metric.label}", own, fill(evaluation, metric)))
    if record is not None:
        rows += _alternatives(evaluation, record)
        rows += _crossed(evaluation, record, intended.get(CURVE, SILENT))
    rows.append(("Deviations", intended.get("Deviations", SILENT), _deviations(evaluation)))
    if "Notes" in intended:
        rows.append(("Notes", intended["Notes"], ""))
    return pd.DataFrame(rows, columns=_COLUMNS)


# -- done --------------------------------------------------------------------------------------


def _grouped(sample: Sample) -> str:
    """Say how many strata and clusters there are, where they are not one and the units."""
    strata, clusters = len(set(sample.strata)), len(set(sample.clusters))
    words = f"; {strata} strata" if strata > 1 else ""
    return words + (f"; {clusters} clusters" if clusters < len(sample.units) else "")


def _besides(design: Design) -> str:
    """Say what else is known of who was treated when."""
    rollout = design.rollout
    words = "" if design.treatment == "intention_to_treat" else "; as treated"
    if rollout.first_exposed:
        named = (f"{kind} from {_from(when)}" for kind, when in rollout.first_exposed.items())
        words += f"; first exposed: {', '.join(named)}"
    marked = [
        unit for unit in rollout.contaminated if unit in {*design.pilots, *design.comparators}
    ]
    if marked:
        pilots = sum(unit in design.starts for unit in marked)
        words += (
            f"; use the practice outside the programme: {pilots} pilots before their start, "
            f"{len(marked) - pilots} comparators"
        )
    return words


def _from(when: Mapping[str, Period]) -> str:
    """Name the periods from which pilots are treated."""
    return ", ".join(sorted({str(period) for period in when.values()}))


def _done(evaluation: Evaluation) -> dict[str, str]:
    """Return what was done, for the items that hold for all metrics."""
    design, record = evaluation.design, evaluation.record
    first = next(iter(evaluation.results.values()))
    starts: dict[str, int] = {}
    for start in design.starts.values():
        starts[start] = starts.get(start, 0) + 1
    sources = evaluation.provenance["sources"]
    files = dict.fromkeys(
        f"{file} ({sha[:SHORT]}…)" if sha else str(release)
        for release, file, sha in zip(
            sources["release"], sources["file"], sources["sha256"], strict=True
        )
        if file or release != "computed"
    )
    frozen = "" if record is None else record.said
    if record is not None and record.frozen:
        n = len(record.deviations)
        frozen += f"; {n} deviation{'s' * (n != 1)}"
    labels = [f"{name} ({result.metric.unit})" for name, result in evaluation.results.items()]
    return {
        "Question": "as in the plan" if record else "",
        "Estimand": first.did.estimand
        + ("; of the other metrics likewise" if len(evaluation.results) > 1 else ""),
        "Plan": f"SHA-256 {record.digest[:SHORT]}…; {frozen}" if record else "no plan",
        "Pilots": f"{len(design.pilots)}, start "
        + ", ".join(f"{start} ({n})" for start, n in sorted(starts.items()))
        + f"; selection: {design.selection}"
        + (f"; stop: {pairs(design.rollout.stops)}" if design.rollout.stops else "")
        + _besides(design),
        "Comparators": f"{len(design.comparators)}, {design.against.describe()}",
        "Likeness of the comparators": likeness_in_words(design),
        "Window": f"{design.periods[0]} to {design.periods[-1]}, {len(design.periods)} periods",
        "Data": "; ".join(files),
        "Metrics": ", ".join(labels),
        "Smallest effect of interest": _ruled_out(evaluation),
        "Inference": "; ".join(
            f"{name}: {result.did.attached.method}" for name, result in evaluation.results.items()
        )
        + f"; level {evaluation.level:g}"
        + _grouped(first.did.sample),
        "Multiplicity": "no adjustment"
        if record is None or record.multiplicity == "none"
        else "; ".join(record.notes),
    }


def _ruled_out(evaluation: Evaluation) -> str:
    """Say where the intervals lie beside the smallest effects of interest."""
    record = evaluation.record
    found = []
    for name, size in record.smallest_effect.items() if record else ():
        sure = evaluation[name].did.attached
        low, high = float(sure.conf_low[0]), float(sure.conf_high[0])
        if np.isnan(low) or np.isnan(high):
            words = "there is no interval"
        else:
            inside = -size < low and high < size
            reaches = "stays inside" if inside else "reaches to or beyond"
            words = f"the interval {signed(low)} to {signed(high)} {reaches} ±{tables.number(size)}"
        found.append(f"{name}: {words}")
    return "; ".join(found) or "none named"


def _units(evaluation: Evaluation, metric: str) -> str:
    """Say how many units and cells there are at each stage."""
    result, panel = evaluation[metric], evaluation.design.panel
    sample = result.did.sample
    there = int(np.isfinite(panel.cells(metric).value).any(axis=1).sum())
    facts = result.did.glance().iloc[0]
    stages = [
        f"data: {there} authorities with a value",
        f"design: {len(evaluation.design.pilots)} pilots, "
        f"{len(evaluation.design.comparators)} comparators",
        f"estimate: {facts['pilots']} pilots, {facts['comparators']} comparators, "
        f"{facts['cells_used']:,} cells of {len(sample.units) * len(sample.periods):,}",
    ]
    if result.did_complete is not None:
        whole = result.did_complete.glance().iloc[0]
        stages.append(
            f"observed in every period: {whole['pilots']} pilots, "
            f"{whole['comparators']} comparators"
        )
    return "; ".join(stages)


def _missing(evaluation: Evaluation, metric: str) -> str:
    """Count the cells without a value, by status and arm."""
    audit = evaluation.design.audit([metric])
    counted = audit.columns.difference(
        ["metric", "period", "arm", "units", "with_value", "missing"], sort=False
    )
    words = []
    for arm in ("pilot", "comparator"):
        mine = audit[audit["arm"] == arm]
        sums = mine[list(counted)].sum()
        parts = [f"{int(n)} {status}" for status, n in sums.items() if n]
        cells = int(mine["units"].sum())
        empty = int((mine["units"] - mine["with_value"]).sum())
        detail = f" ({', '.join(parts)})" if parts else ""
        words.append(f"{arm}s: {empty} of {cells} cells without a value{detail}")
    return "; ".join(words)


def _before(sample: Sample) -> np.ndarray:
    """Return the cells of the periods before the first start."""
    made: np.ndarray = sample.y[:, : min(sample.starts)]
    return made


def icc(sample: Sample) -> float:
    """Return the intra-cluster correlation of one metric before the start.

    The share of variance that lies between authorities: one-way analysis of variance by authority
    of the values before the first start less their period's mean, ``(B − W) / (B + (n₀ − 1) W)``
    with mean squares B between and W within authorities and n₀ periods an authority (averaged for
    unequal numbers). NaN with fewer than two periods before the start, or two authorities.

    Parameters
    ----------
    sample : Sample
        From ``design.sample(metric)``.

    Returns
    -------
    float
        Between −1/(n₀ − 1) and 1.

    References
    ----------
    Donner (1986), the analysis-of-variance estimator.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> 0.3 < icc(design.sample("cpp")) < 1
    True
    """
    values = _before(sample)
    seen = np.isfinite(values)
    values, seen = values[:, seen.any(axis=0)], seen[:, seen.any(axis=0)]
    if values.shape[1] < 2:
        return float("nan")
    filled = np.where(seen, values, 0.0)
    period = filled.sum(axis=0) / seen.sum(axis=0)
    filled = np.where(seen, values - period, 0.0)
    n = seen.sum(axis=1)
    filled, seen, n = filled[n > 0], seen[n > 0], n[n > 0]
    units, cells = len(n), int(n.sum())
    if units < 2 or cells <= units:
        return float("nan")
    means = filled.sum(axis=1) / n
    within = float((np.where(seen, filled - means[:, None], 0.0) ** 2).sum()) / (cells - units)
    grand = float(filled.sum()) / cells
    between = float((n * (means - grand) ** 2).sum()) / (units - 1)
    size = (cells - float((n**2).sum()) / cells) / (units - 1)
    total = between + (size - 1) * within
    return (between - within) / total if total > 0 else float("nan")


def _icc(evaluation: Evaluation, metric: str) -> str:
    found = icc(evaluation[metric].did.sample)
    if np.isnan(found):
        return "not computed: fewer than two periods before the start"
    return f"{tables.number(found)}, before the start, by authority"


def _detectable(evaluation: Evaluation, metric: str) -> str:
    """Give the smallest detectable effect from the noise before the start, and from all of it."""
    result = evaluation[metric]
    at_end = result.findings.get("DetectableEffect")
    if at_end is not None and (said := never(result)):
        return f"at design and at analysis: {inside(said)}"
    expected = expected_in_words(evaluation, metric)
    words = f"at design, from the periods before the start: {expected}"
    if at_end is None:
        return f"{words}; at analysis: {_not_made(result, 'DetectableEffect')}"
    facts = at_end.facts
    found = f"{tables.number(facts['detectable'])} {result.metric.unit}".strip()
    if np.isfinite(facts["percent"]):
        found += f" ({facts['percent']:.0f}% of the comparators' level)"
    return f"{words}; at analysis: {found}, with {facts['power'] * 100:g}% probability"


def _pre_trends(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    found = result.findings.get("PreTrends")
    if found is None:
        return _not_made(result, "PreTrends")
    facts = found.facts
    return (
        f"joint p {_p(facts['p_value'])} of {facts['terms']:.0f} terms; largest movement "
        f"{signed(facts['largest'])} {result.metric.unit}".strip()
    )


def _sensitivity(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    whole = result.did_complete
    words = [
        "authorities observed in every period: "
        + (
            _not_made(result, "DiD(cells='complete')")
            if whole is None
            else signed(float(whole.values[0]))
        )
    ]
    found = result.findings.get("LeaveOneOut")
    words.append(
        f"leaving one out: {_not_made(result, 'LeaveOneOut')}"
        if found is None
        else f"leaving one out: {signed(found.facts['lowest'])} to {signed(found.facts['highest'])}"
    )
    found = result.findings.get("PlaceboStart")
    words.append(
        f"earlier starts: {_not_made(result, 'PlaceboStart')}"
        if found is None
        else f"earlier starts, the largest: {signed(found.facts['largest'])}"
    )
    found = result.findings.get("PlaceboPilots")
    words.append(
        f"placebo pilots: {_not_made(result, 'PlaceboPilots')}"
        if found is None
        else f"placebo pilots as far from zero: {found.facts['share_as_large']:.1%}"
    )
    return "; ".join(words)


def _alternatives(evaluation: Evaluation, record: PlanRecord) -> list[tuple[str, str, str]]:
    """Return one row an alternative and metric: item, planned, done."""
    planned = {one.name: other_in_words(one) for one in record.plan.sensitivity}
    rows, told = [], set()
    for row in record.sensitivity.to_dict("records"):
        name, label = str(row["name"]), evaluation[str(row["metric"])].metric.label
        said = _ABOVE if name in told else planned.get(name, SILENT)
        told.add(name)
        rows.append((f"{called(name)}: {label}", said, _alternative(row)))
    return rows


def _crossed(evaluation: Evaluation, record: PlanRecord, said: str) -> list[tuple[str, str, str]]:
    """Return one row a metric of which the plan asks for a specification curve."""
    rows: list[tuple[str, str, str]] = []
    name = "SpecificationCurve"
    for metric in record.crossed:
        result = evaluation[metric]
        found = result.findings.get(name)
        done = _not_made(result, name) if found is None else found.headline
        item, planned = f"{CURVE}: {result.metric.label}", _ABOVE if rows else said
        rows.append((item, planned, f"{record.specified}. {done}"))
    return rows


def _alternative(row: Mapping[Hashable, Any]) -> str:
    if row["refused"]:
        return f"refused: {row['refused']}"
    low, high = signed(row["conf_low"]), signed(row["conf_high"])
    interval = f" ({low} to {high})" if low and high else ""
    p = "" if np.isnan(row["p_value"]) else f"; p {_p(float(row['p_value']))}"
    return (
        f"{signed(row['estimate'])}{interval}{p}; {row['n_pilots']:.0f} pilots, "
        f"{row['n_comparators']:.0f} comparators"
    )


def _not_made(result: MetricResult, name: str) -> str:
    return f"refused: {result.refused[name]}" if name in result.refused else "not asked for"


def _few(evaluation: Evaluation, metric: str) -> str:
    facts = evaluation[metric].did.glance().iloc[0]
    words = (
        f"{facts['clusters_pilots']} clusters of pilots, {facts['clusters_comparators']} of "
        "comparators"
    )
    if np.isfinite(facts["effective_clusters"]):
        words += f"; effective clusters {facts['effective_clusters']:.1f}"
    least = facts.get("least_p", np.nan)
    if np.isfinite(least):
        words += f"; least p that can be attained {_p(float(least))}"
    return words


def _result(evaluation: Evaluation, metric: str) -> str:
    record, did = evaluation.record, evaluation[metric].did
    sure = did.attached
    p = float(sure.p_value[0])
    words = (
        f"{signed(float(did.values[0]))} ({evaluation.level * 100:g}% interval "
        f"{signed(float(sure.conf_low[0]))} to {signed(float(sure.conf_high[0]))}); "
        + ("no p-value" if np.isnan(p) else f"p {_p(p)}")
    )
    if record is not None:
        role = record.roles.get(metric, "")
        adjusted = record.adjusted.get(metric, float("nan"))
        if not np.isnan(adjusted):
            words += f"; adjusted inside the {role} metrics: p {_p(adjusted)}"
        words = f"{role}: {words}" if role else words
    return words


def _p(value: float) -> str:
    text = tables.p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _deviations(evaluation: Evaluation) -> str:
    record = evaluation.record
    if record is None:
        return "no plan to deviate from"
    words = "; ".join(map(str, record.deviations)) or "none"
    if record.before_data:
        words += f"; {NOT_COMPARED}: the plan was frozen before its data"
    if record.refused:
        words += "; noted, not named by the plan: " + "; ".join(map(str, record.refused))
    return words


_BY_METRIC: dict[str, Callable[[Evaluation, str], str]] = {
    "Units and cells": _units,
    "Missing data": _missing,
    "Balance before the start": balance_in_words,
    "Selection of the pilots": selection_in_words,
    "Intra-cluster correlation": _icc,
    "Smallest detectable effect": _detectable,
    "Pre-trends": _pre_trends,
    "Few clusters": _few,
    "Estimate and p-value": _result,
    "Sensitivity": _sensitivity,
}
