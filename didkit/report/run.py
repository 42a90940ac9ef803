"""Evaluate: every estimator and check of a design, metric by metric, or all that a plan names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pandas as pd

from didkit.check import (
    Contamination,
    DetectableEffect,
    LeaveOneOut,
    PlaceboPilots,
    PlaceboStart,
    PreTrends,
    RegressionToTheMean,
)
from didkit.design import Design
from didkit.errors import DidkitError, EstimationError, PlanError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.panel import Metric, Period
from didkit.progress import steps
from didkit.report.asked import (
    check_between,
    check_checks,
    check_design,
    check_metrics,
    check_rest,
)
from didkit.report.evaluation import Evaluation, MetricResult
from didkit.report.multiplicity import adjust, not_adjusted
from didkit.report.plan import Plan
from didkit.report.plan_data import load
from didkit.report.plan_freeze import Comparison, compare, refusals
from didkit.report.plan_specifications import curves
from didkit.report.record import PlanRecord, Role
from didkit.results import Check, Estimate, Estimator, Finding, Inference

__all__ = ["evaluate"]

_USUAL = ("cin", "icpc", "cpp", "cla")
_LEVEL = 0.95
_OF_ALTERNATIVE = ("estimate", "conf_low", "conf_high", "p_value", "n_pilots", "n_comparators")


def evaluate(
    design: Design | Plan,
    metrics: Sequence[str | Metric] | None = None,
    *,
    inference: Inference | None = None,
    level: float | None = None,
    between: tuple[Period, Period] | None = None,
    checks: Sequence[Check] | Literal["suited"] | None = None,
    truth: Mapping[str, float] | None = None,
    description: str | None = None,
) -> Evaluation:
    """Evaluate a design: gap before and after, change, event study and checks for each metric.

    Parameters
    ----------
    design : Design or Plan
        Who is compared with whom; or a plan, which says that and everything else. Of the other
        arguments a plan leaves only `truth` and `description` free.
    metrics : sequence of str or Metric, optional
        Metrics of the design's panel, in the order of the report; by default those of "cin",
        "icpc", "cpp" and "cla" that the panel holds.
    inference : Inference, optional
        For the change and the event study; by default what the design recommends.
    level : float, optional
        Of the intervals; by default 0.95.
    between : (period, period), optional
        The two periods of the sentence that counts the pilots that rose; by default the first and
        the last of the window.
    checks : sequence of Check or "suited", optional
        At most one of a kind; "suited": those that suit each estimate, as ``estimate.checks()``
        chooses them (some 20 s a metric); by default `PreTrends`, `PlaceboStart`, `PlaceboPilots`,
        `LeaveOneOut`, `RegressionToTheMean` and `DetectableEffect`, and `Contamination` where
        the rollout marks contaminated units. `PreTrends` is asked of the event study, the others
        of the change. `DetectableEffect` is made also where it is not named: it stands beside
        every estimate that shows no evidence of a change.
    truth : mapping of str to float, optional
        True effects in the metrics' units, for data whose answer is known; shown beside the
        intervals.
    description : str, optional
        What the data are, in words; shown under the report's title.

    Returns
    -------
    Evaluation
        Ready to show: ``to_frame()``, ``in_words()``, ``to_markdown()``, ``to_html()``. Run from a
        plan, its ``record`` lists every deviation from the frozen plan, and adjusted p-values.

    Raises
    ------
    DesignError
        If `design` is neither a design nor a plan.
    EstimationError
        If no metric is named and the panel holds no usual one, a metric of `truth` is not
        evaluated, `between` is not two periods in their order, or an argument is of another kind.
    InferenceError
        If `checks` is no list, holds something else, or two checks of one kind.
    PanelError
        If a metric or period is unknown.
    PlanError
        If an argument is given that the plan fixes, or the plan's data cannot be read; the line
        of the plan is named.
    DidkitError
        If a metric's gap or change cannot be estimated; the error names the metric. A check or
        second estimate that cannot be made is listed as refused, with its reason.

    Examples
    --------
    >>> from didkit.inference import ClusterRobust
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> made = evaluate(
    ...     design, ["cla"], inference=ClusterRobust("CR2"), checks=[], truth={"cla": 0.0}
    ... )
    >>> made.to_frame()[["metric", "n_pilots", "truth"]].values.tolist()
    [['cla', 10, 0.0]]
    """
    check_design(design)
    check_rest(truth, description)
    if isinstance(design, Plan):
        fixed = {
            "metrics": metrics,
            "inference": inference,
            "level": level,
            "between": between,
            "checks": checks,
        }
        _refuse_fixed(design, [name for name, given in fixed.items() if given is not None])
        return _planned(design, truth, description)
    metrics = _usual(design) if metrics is None else check_metrics(metrics)
    level = _LEVEL if level is None else level
    return _run(
        design,
        tuple(dict.fromkeys(design.panel.metric(one).name for one in metrics)),
        inference=inference,
        level=level,
        between=between,
        checks=_all_checks(design, level) if checks is None else check_checks(checks),
        truth=truth,
        description=description or "",
    )


def _run(
    design: Design,
    names: tuple[str, ...],
    *,
    inference: Inference | None,
    level: float,
    between: tuple[Period, Period] | None,
    checks: Sequence[Check],
    truth: Mapping[str, float] | None,
    description: str,
    more: Mapping[str, Check] | None = None,
) -> Evaluation:
    strange = sorted(set(truth or {}) - set(names))
    if not names or strange:
        raise EstimationError(
            needed="at least one metric, and a truth for metrics that are evaluated",
            found=f"metrics {', '.join(names) or 'none'}; truth for {', '.join(strange) or 'none'}",
            where="evaluate",
            todo="choose from: " + ", ".join(names or design.panel.metrics),
        )
    ends = check_between(between, design)
    if not any(isinstance(one, DetectableEffect) for one in checks):
        checks = (*checks, DetectableEffect(level=level))
    results = {
        name: _evaluate_one(design, name, inference, level, _with(checks, more, name))
        for name in steps(names, "evaluating")
    }
    return Evaluation(
        design=design,
        results=results,
        level=level,
        between=ends,
        truth={name: float(truth[name]) for name in names if name in truth} if truth else {},
        description=description,
    )


def _with(
    checks: Sequence[Check], more: Mapping[str, Check] | None, metric: str
) -> tuple[Check, ...]:
    """Return the checks of one metric: those of all, and its own."""
    return (*checks, *([more[metric]] if more and metric in more else []))


def _usual(design: Design) -> tuple[str, ...]:
    """Choose the usual metrics that the panel holds."""
    held = tuple(design.panel.metrics)
    chosen = tuple(name for name in _USUAL if name in held)
    if not chosen:
        raise EstimationError(
            needed=f"metrics, where the panel holds none of {', '.join(_USUAL)}",
            found="none named",
            where="evaluate(metrics=)",
            todo="choose from: " + ", ".join(held),
        )
    return chosen


def _all_checks(design: Design, level: float) -> tuple[Check, ...]:
    marked = (Contamination(),) if design.rollout.contaminated else ()
    return (
        PreTrends(),
        PlaceboStart(),
        PlaceboPilots(),
        LeaveOneOut(),
        RegressionToTheMean(),
        *marked,
        DetectableEffect(level=level),
    )


# -- a plan ------------------------------------------------------------------------------------


def _refuse_fixed(plan: Plan, given: list[str]) -> None:
    if given:
        raise PlanError(
            needed="a plan alone: it fixes metrics, inference, level, between and checks",
            found=", ".join(f"{name}=" for name in given),
            where=f"evaluate({plan.source.name})",
            todo="write it into the plan, where it can be frozen; or evaluate plan.design()",
        )


def _planned(plan: Plan, truth: Mapping[str, float] | None, description: str | None) -> Evaluation:
    """Run what a plan names, and record what differs from the frozen plan."""
    data = load(plan)
    compared = compare(plan, data)
    between = plan.window.between
    made = _run(
        data.design,
        plan.all_metrics,
        inference=plan.inference.method,
        level=plan.inference.level,
        between=(between[0], between[1]) if between else None,
        checks=plan.checks,
        truth=truth,
        description=plan.data.description if description is None else description,
        more=curves(plan, data.variants),
    )
    others = _alternatives(plan, data.variants)
    record = _record(plan, compared, made, others)
    return replace(made, record=record, results=_specified(made.results, record))


def _specified(results: Mapping[str, MetricResult], record: PlanRecord) -> dict[str, MetricResult]:
    """Say with each specification curve whether its choices were named before the run."""
    found = dict(results)
    for metric in record.crossed:
        curve = found[metric].findings.get("SpecificationCurve")
        if curve is not None:
            told = replace(curve, notes=(record.specified, *curve.notes))
            findings = {**found[metric].findings, "SpecificationCurve": told}
            found[metric] = replace(found[metric], findings=findings)
    return found


def _alternatives(plan: Plan, designs: Mapping[str, Design]) -> pd.DataFrame:
    """Estimate the change of every metric under every alternative design."""
    rows: list[dict[str, Any]] = []
    tasks = [(name, metric) for name in designs for metric in plan.all_metrics]
    method = plan.inference.method
    for name, metric in steps(tasks, "alternatives"):
        row: dict[str, Any] = {"alternative": name, "estimator": repr(DiD()), "metric": metric}
        try:
            did = DiD().fit(designs[name], metric)
            sure = did.infer(
                "recommended" if method is None else method, level=plan.inference.level
            )
            found = sure.tidy().iloc[0].to_dict()
            row |= {**{str(key): value for key, value in found.items()}, "refused": ""}
        except DidkitError as error:
            row["refused"] = _reason(error)
        rows.append(row)
    first = ("alternative", "estimator", "metric", *_OF_ALTERNATIVE)
    names = dict.fromkeys((*first, *(key for row in rows for key in row)))
    order = [*(name for name in names if name != "refused"), "refused"]
    return pd.DataFrame(
        [[row.get(name, math.nan) for name in order] for row in rows], columns=order
    )


def _record(plan: Plan, compared: Comparison, made: Evaluation, others: pd.DataFrame) -> PlanRecord:
    families: dict[Role, tuple[str, ...]] = {
        "primary": plan.metrics.primary,
        "secondary": plan.metrics.secondary,
    }
    p_values = {
        name: float(result.did.attached.p_value[0]) for name, result in made.results.items()
    }
    adjusted, notes = adjust(
        p_values,
        {str(role): names for role, names in families.items()},
        plan.multiplicity,
        {name: result.did for name, result in made.results.items()},
    )
    refused = {name: result.refused for name, result in made.results.items()}
    not_made = refusals(_only(refused, plan.named_checks, named=True))
    noted = refusals(_only(refused, plan.named_checks, named=False), planned="tried")
    for row in others[others["refused"] != ""].itertuples():
        called = f"alternative {row.alternative!r}"
        not_made += refusals({str(row.metric): {called: str(row.refused)}})
    for name, value in adjusted.items():
        if math.isnan(value) and math.isfinite(p_values[name]):
            family = next(role for role, names in families.items() if name in names)
            begins = not_adjusted(family, plan.multiplicity)
            said = next((note for note in notes if note.startswith(begins)), begins)
            not_made += refusals({name: {f"multiplicity {plan.multiplicity!r}": said}})
    return PlanRecord(
        plan=plan,
        frozen=compared.frozen,
        frozen_on=compared.frozen_on,
        digest=plan.digest,
        deviations=(*compared.deviations, *not_made),
        roles={name: role for role, names in families.items() for name in names},
        smallest_effect=dict(plan.metrics.smallest_effect),
        multiplicity=plan.multiplicity,
        adjusted=adjusted,
        notes=notes,
        sensitivity=others[["alternative", "metric", *_OF_ALTERNATIVE, "refused"]].rename(
            columns={"alternative": "name"}
        ),
        alternatives=others,
        before_data=compared.before_data,
        refused=noted,
    )


def _only(
    refused: Mapping[str, Mapping[str, str]], names: frozenset[str], *, named: bool
) -> dict[str, dict[str, str]]:
    """Keep of what was refused, metric by metric, what the plan names, or what it does not."""
    return {
        metric: {name: reason for name, reason in reasons.items() if (name in names) == named}
        for metric, reasons in refused.items()
    }


# -- one metric --------------------------------------------------------------------------------


def _evaluate_one(
    design: Design,
    metric: str,
    inference: Inference | None,
    level: float,
    checks: Sequence[Check],
) -> MetricResult:
    """Make every estimate and finding of one metric; what cannot be made is refused by name."""
    refused: dict[str, str] = {}

    def infer(estimate: Estimate) -> Estimate:
        return estimate.infer("recommended" if inference is None else inference, level=level)

    def attempt(name: str, estimator: Estimator, *, bare: bool = False) -> Estimate | None:
        try:
            made = estimator.fit(design, metric)
            return made.infer(None) if bare else infer(made)
        except DidkitError as error:
            refused[name] = _reason(error)
            return None

    try:
        gap = Gap().fit(design, metric).infer(None)
        did = infer(DiD().fit(design, metric))
    except DidkitError as error:
        raise _named(error, metric) from error
    events = attempt("EventStudy", EventStudy())
    complete = attempt("DiD(cells='complete')", DiD(cells="complete"))
    by_period = attempt("Gap(by='period')", Gap(by="period"), bare=True)
    findings: dict[str, Finding] = {}
    for check in checks:
        name = type(check).__name__
        estimate: Estimate | None = did
        if isinstance(check, PreTrends):
            estimate = events
        elif isinstance(check, PlaceboStart):
            estimate = did.infer(None)
        if estimate is None:
            refused[name] = "there is no event study to test"
            continue
        try:
            findings[name] = estimate.check(check)
        except DidkitError as error:
            refused[name] = _reason(error)
    suited = findings.get("Checks")
    if suited is not None:  # each check that it ran stands for itself, once
        findings = {**suited.parts, **findings}
        rows = suited.table[suited.table["refused"] != ""]
        refused |= {
            name: reason
            for name, reason in zip(rows["check"], rows["refused"], strict=True)
            if name not in findings
        }
    return MetricResult(
        gap=gap,
        gap_by_period=by_period,
        did=did,
        did_complete=complete,
        events=events,
        findings=findings,
        refused=refused,
        methods=did.inference_table(level=level),
    )


def _reason(error: DidkitError) -> str:
    return f"needed {error.needed}; found {error.found}"


def _named(error: DidkitError, metric: str) -> DidkitError:
    """Return the error with the metric in it, since one report asks for several."""
    if repr(metric) in error.where:
        return error
    return type(error)(
        needed=error.needed,
        found=error.found,
        where=f"{error.where}; metric {metric!r}",
        todo=error.todo,
    )
