"""The first page in plain English: one sentence a measure, then five questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from didkit.report.doubts import (
    MORE,
    SAME,
    alternatives_in_words,
    before_the_start,
    cells_in_words,
    chosen_in_words,
    left_out_in_words,
    looked_at,
    methods_in_words,
    speaks_against,
    start_in_words,
)
from didkit.report.findable import findable
from didkit.report.numerals import equals, interval, joined, plural
from didkit.report.words import (
    NO_PROOF,
    adjusted,
    at_once,
    bottom_line,
    compared,
    frozen_in_words,
    gap_before_and_after,
    labelled,
    not_the_difference,
    out_of_reach,
    share_there_before,
    standing,
    throughout,
    truths,
    unlimited,
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
    """Say the answer in a sentence a measure, then answer the five questions, with numbers.

    Parameters
    ----------
    evaluation : Evaluation
        Of `evaluate`.

    Returns
    -------
    tuple of Answer
        In short; then what was compared, how much was there before, what changed, how sure that
        is, and what would change our mind.

    Examples
    --------
    >>> from didkit.inference import ClusterRobust
    >>> from didkit.report import evaluate
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> made = first_page(evaluate(design, ["cla"], inference=ClusterRobust("CR2")))
    >>> [answer.question for answer in made][:2]
    ['In short', 'What was compared?']
    """
    makers = {
        "In short": bottom_line,
        "What was compared?": None,
        "How much was there before?": _before,
        "What changed?": at_once,
        "How sure is that?": _sure,
        "What would change our mind?": _mind,
    }
    text = {
        "What was compared?": _what(evaluation),
        "How much was there before?": _all_throughout(evaluation),
        "What changed?": _read_change(evaluation),
        "How sure is that?": truths(evaluation),
    }
    return tuple(
        Answer(question, text.get(question, ""), _lines(evaluation, question, maker))
        for question, maker in makers.items()
    )


def _lines(
    evaluation: Evaluation, question: str, maker: Callable[[Evaluation, str], str] | None
) -> tuple[tuple[str, str], ...]:
    """Answer one question for each measure, under its label; the role stands where it matters."""
    if maker is None:
        return ()
    roles = question in ("In short", "What changed?")
    return tuple(
        (labelled(evaluation, name) if roles else result.metric.label, maker(evaluation, name))
        for name, result in evaluation.results.items()
    )


def _what(evaluation: Evaluation) -> str:
    return " ".join([*_planned(evaluation), compared(evaluation)])


def _planned(evaluation: Evaluation) -> list[str]:
    """Give the question of the plan, whether the run kept to it, and what the plan notes."""
    record = evaluation.record
    if record is None:
        return []
    said = [_sentence(record.plan.question)]
    n = len(record.deviations)
    kept = "no deviation" if n == 0 else f"{plural(n, 'deviation')}, listed below"
    said.append(f"{frozen_in_words(record)}: {kept}.")
    notes = _sentence(record.plan.statements.get("notes", ""))
    if notes:
        said.append(f"The plan notes: {notes}")
    return [one for one in said if one]


def _sentence(text: str) -> str:
    """End a text of the plan as a sentence ends."""
    text = " ".join(text.split())
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."


def _before(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    said = [f"{gap_before_and_after(result)}: {share_there_before(result)}."]
    if not _all_throughout(evaluation):
        said.append(throughout(result))
    return " ".join(filter(None, said))


def _all_throughout(evaluation: Evaluation) -> str:
    """Say once in how many periods pilots had fewer, where that is so of every measure."""
    found = {throughout(result) for result in evaluation.results.values()}
    if len(evaluation.results) < 2 or len(found) > 1:
        return ""
    said = found.pop()
    if said.startswith("It"):
        return said.replace("It", "On every measure the pilots' mean", 1)
    return said.replace("They", "On every measure pilots", 1)


def _read_change(evaluation: Evaluation) -> str:
    """Say once how the changes are to be read."""
    unclear = any(standing(evaluation, name) == "unclear" for name in evaluation.metrics)
    said = [NO_PROOF if unclear else "", not_the_difference(evaluation, evaluation.metrics)]
    return " ".join(filter(None, said))


def _sure(evaluation: Evaluation, metric: str) -> str:
    result = evaluation[metric]
    row = result.did.tidy().iloc[0]
    low, high, p = (float(row[name]) for name in ("conf_low", "conf_high", "p_value"))
    tested = f" (p {equals(p)}{_adjusted(evaluation, metric)})" if np.isfinite(p) else ""
    if np.isnan(low) or np.isnan(high):
        said = [f"No interval exists{tested}; the notes say why."]
    else:
        level = f"{evaluation.level * 100:g}% interval"
        said = [f"{level} {interval(low, high)}{tested}.", unlimited(low, high)]
        if standing(evaluation, metric) == "unclear" or "DetectableEffect" in result.findings:
            said.append(findable(result))
    return " ".join(filter(None, [*said, out_of_reach(evaluation, metric)]))


def _adjusted(evaluation: Evaluation, metric: str) -> str:
    """Give the p-value adjusted for several metrics, where the plan asks for one."""
    p = adjusted(evaluation, metric)
    return f", adjusted p {equals(p)}" if np.isfinite(p) else ""


def _mind(evaluation: Evaluation, metric: str) -> str:
    """Say what speaks against the answer; where nothing does, say what was looked at."""
    result, level = evaluation[metric], evaluation.level
    made = set(result.findings) - {"DetectableEffect"}  # made always, asked for or not
    if not made:
        looked = "No check could be made." if result.refused else "No check was asked for."
    elif speaks_against(evaluation, metric):
        looked = ""
    else:
        looked = (
            f"Looked at: {joined(looked_at(evaluation, metric))}. Nothing there speaks against it."
        )
    before = before_the_start(result, level)
    said = [
        looked,
        before,
        alternatives_in_words(evaluation, metric),
        cells_in_words(result, level),
        methods_in_words(result, level),
        left_out_in_words(result),
        "" if MORE in before or SAME in before else start_in_words(result, always=False),
        chosen_in_words(result),
    ]
    return " ".join(filter(None, said))
