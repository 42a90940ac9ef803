"""The first page in plain English: five questions, one line a measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from didkit.report.words import (
    cells_in_words,
    compared,
    equals,
    findable,
    gap_before_and_after,
    methods_in_words,
    moved_before,
    out_of_reach,
    share_in_words,
    signed,
    throughout,
    truths,
)

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["Answer", "first_page"]


@dataclass(frozen=True)
class Answer:
    """One question of the first page with its answers.

    Parameters
    ----------
    question : str
        In plain words.
    text : str
        What holds for all measures; empty where nothing does.
    lines : tuple of (str, str)
        A measure's label, and its answer in one or two sentences.
    """

    question: str
    text: str
    lines: tuple[tuple[str, str], ...] = ()


def first_page(evaluation: Evaluation) -> tuple[Answer, ...]:
    """Answer the five questions of the first page, with numbers.

    Parameters
    ----------
    evaluation : Evaluation
        Of `evaluate`.

    Returns
    -------
    tuple of Answer
        What was compared, how much was there before, what changed, how sure that is, and what
        would change our mind.

    Examples
    --------
    >>> from didkit.inference import ClusterRobust
    >>> from didkit.report import evaluate
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> made = first_page(evaluate(design, ["cla"], inference=ClusterRobust("CR2")))
    >>> [answer.question for answer in made][:2]
    ['What was compared?', 'How much was there before?']
    """
    makers = {
        "How much was there before?": _before,
        "What changed?": _changed,
        "How sure is that?": _sure,
        "What would change our mind?": _mind,
    }
    text = {"How sure is that?": truths(evaluation)}
    return (
        Answer("What was compared?", _what(evaluation)),
        *(
            Answer(
                question,
                text.get(question, ""),
                tuple(
                    (result.metric.label, maker(evaluation, name))
                    for name, result in evaluation.results.items()
                ),
            )
            for question, maker in makers.items()
        ),
    )


def _what(evaluation: Evaluation) -> str:
    return " ".join([*_planned(evaluation), compared(evaluation)])


def _planned(evaluation: Evaluation) -> list[str]:
    """Give the question of the plan, and say whether the run kept to it."""
    record = evaluation.record
    if record is None:
        return []
    question = record.plan.question.strip()
    said = [f"{question.rstrip('.')}{'' if question.endswith('?') else '.'}"] if question else []
    n = len(record.deviations)
    kept = "no deviation" if n == 0 else f"{n} deviation{'' if n == 1 else 's'}, listed below"
    if record.frozen:
        said.append(f"The plan was written down and frozen before this run: {kept}.")
    else:
        said.append(f"The plan of this run was not frozen: {kept}.")
    return said


def _before(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    share = share_in_words(result.gap.facts["share_before"])
    said = [f"{gap_before_and_after(result)}: {share}.", throughout(result)]
    return " ".join(filter(None, said))


def _changed(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    row = result.did.tidy().iloc[0]
    size = f"{signed(float(row['estimate']))} {result.metric.unit}".strip()
    if row["conf_low"] > 0 or row["conf_high"] < 0:
        return f"From the start on the gap changed by {size}."
    if np.isnan(row["conf_low"]):
        return f"The gap moved by {size}."
    return f"The gap moved by {size}: no evidence of a change."


def _sure(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    row = result.did.tidy().iloc[0]
    low, high, p = (float(row[name]) for name in ("conf_low", "conf_high", "p_value"))
    tested = f" (p {equals(p)}{_adjusted(evaluation, metric)})" if np.isfinite(p) else ""
    if np.isnan(low) or np.isnan(high):
        said = [f"No interval exists{tested}; the notes say why."]
    else:
        level = f"{evaluation.level * 100:g}% interval"
        said = [f"{level} {signed(low)} to {signed(high)}{tested}.", findable(result)]
    return " ".join(filter(None, [*said, out_of_reach(evaluation, metric)]))


def _adjusted(evaluation: Evaluation, metric: str) -> str:
    """Give the p-value adjusted for several metrics, where the plan asks for one."""
    record = evaluation.record
    p = np.nan if record is None else float(record.adjusted.get(metric, np.nan))
    return f", adjusted p {equals(p)}" if np.isfinite(p) else ""


def _mind(evaluation: Evaluation, metric: str) -> str:
    """Say what speaks against the answer; where little does, say what was looked at."""
    result, said = evaluation[metric], []
    moved = moved_before(result, evaluation.level)
    if moved:
        said.append(f"{moved}: the change rests on an assumption that these data speak against.")
    cells = cells_in_words(result, evaluation.level)
    methods = methods_in_words(result, evaluation.level)
    said += [one for one in (cells, methods) if one]
    left = result.findings.get("LeaveOneOut")
    if left is not None:
        low, high = left.facts["lowest"], left.facts["highest"]
        turned = low < 0 < high
        said.append(
            f"Without one pilot the change is anything from {signed(low)} to {signed(high)}: "
            f"{'its sign hangs on one of them' if turned else 'its sign stays'}."
        )
    start = result.findings.get("PlaceboStart")
    if start is not None and abs(start.facts["largest"]) >= abs(start.facts["actual"]):
        said.append(
            f"A start that never was gives {signed(start.facts['largest'])}, larger than the "
            "change itself."
        )
    if not said and not result.findings:
        return "No check could be made." if result.refused else "No check was asked for."
    return " ".join(said) or "Nothing that was looked at speaks against it."
