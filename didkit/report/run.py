"""Evaluate: every estimator and check of a design, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from didkit.check import DetectableEffect, LeaveOneOut, PlaceboPilots, PlaceboStart, PreTrends
from didkit.design import Design
from didkit.errors import DidkitError, EstimationError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.panel import Metric, Period
from didkit.report.evaluation import Evaluation, MetricResult
from didkit.results import Check, Estimate, Estimator, Finding, Inference

__all__ = ["evaluate"]

_USUAL = ("cin", "icpc", "cpp", "cla")


def evaluate(
    design: Design,
    metrics: Sequence[str | Metric] | None = None,
    *,
    inference: Inference | None = None,
    level: float = 0.95,
    between: tuple[Period, Period] | None = None,
    truth: Mapping[str, float] | None = None,
    description: str = "",
) -> Evaluation:
    """Evaluate a design: gap before and after, change, event study and checks for each metric.

    Parameters
    ----------
    design : Design
        Who is compared with whom.
    metrics : sequence of str or Metric, optional
        Metrics of the design's panel, in the order of the report; by default those of "cin",
        "icpc", "cpp" and "cla" that the panel holds.
    inference : Inference, optional
        For the change and the event study; by default what the design recommends.
    level : float, default 0.95
        Of the intervals.
    between : (period, period), optional
        The two periods of the sentence that counts the pilots that rose; by default the first and
        the last of the window.
    truth : mapping of str to float, optional
        True effects in the metrics' units, for data whose answer is known; shown beside the
        intervals.
    description : str, optional
        What the data are, in words; shown under the report's title.

    Returns
    -------
    Evaluation
        Ready to show: ``to_frame()``, ``in_words()``, ``to_markdown()``, ``to_html()``.

    Raises
    ------
    EstimationError
        If no metric is named and the panel holds no usual one, or a metric of `truth` is not
        evaluated.
    PanelError
        If a metric or period is unknown.
    DidkitError
        If a metric's gap or change cannot be estimated; the error names the metric. A check or
        second estimate that cannot be made is listed as refused, with its reason.

    Examples
    --------
    >>> from didkit.inference import ClusterRobust
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> made = evaluate(design, ["cla"], inference=ClusterRobust("CR2"), truth={"cla": 0.0})
    >>> made.to_frame()[["metric", "n_pilots", "truth"]].values.tolist()
    [['cla', 10, 0.0]]
    """
    if metrics is None:
        metrics = _usual(design)
    if isinstance(metrics, (str, Metric)):
        metrics = (metrics,)
    names = tuple(dict.fromkeys(design.panel.metric(one).name for one in metrics))
    strange = sorted(set(truth or {}) - set(names))
    if not names or (truth is not None and set(truth).isdisjoint(names)):
        raise EstimationError(
            needed="at least one metric, and a truth for metrics that are evaluated",
            found=f"metrics {', '.join(names) or 'none'}; truth for {', '.join(strange) or 'none'}",
            where="evaluate",
            todo="choose from: " + ", ".join(design.panel.metrics),
        )
    first, last = between if between is not None else (design.periods[0], design.periods[-1])
    calendar = design.panel.calendar
    ends = tuple(
        calendar.labels[calendar.position(one, where="evaluate(between=)")] for one in (first, last)
    )
    return Evaluation(
        design=design,
        results={name: _evaluate_one(design, name, inference, level) for name in names},
        level=level,
        between=(ends[0], ends[1]),
        truth={name: float(truth[name]) for name in names if name in truth} if truth else {},
        description=description,
    )


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


def _evaluate_one(
    design: Design, metric: str, inference: Inference | None, level: float
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
    asked: list[tuple[Check, Estimate | None]] = [
        (PreTrends(), events),
        (PlaceboStart(), did.infer(None)),
        (PlaceboPilots(), did),
        (LeaveOneOut(), did),
        (DetectableEffect(level=level), did),
    ]
    findings: dict[str, Finding] = {}
    for check, estimate in asked:
        name = type(check).__name__
        if estimate is None:
            refused[name] = "there is no event study to test"
            continue
        try:
            findings[name] = estimate.check(check)
        except DidkitError as error:
            refused[name] = _reason(error)
    return MetricResult(
        gap=gap,
        gap_by_period=by_period,
        did=did,
        did_complete=complete,
        events=events,
        findings=findings,
        refused=refused,
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
