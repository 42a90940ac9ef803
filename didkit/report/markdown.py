"""The report as Markdown, without pictures: everything escaped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from didkit.report.escaped import escaped, escaped_table
from didkit.report.first_page import first_page
from didkit.report.methods import methods, methods_note
from didkit.report.protocol import deviation_table, protocol_table
from didkit.report.text import (
    attribution,
    basis_table,
    caption,
    checks_table,
    complete_table,
    facts,
    notes_by_part,
    origin,
    reader_table,
    rows_table,
    sensitivity_table,
    sources_table,
    title,
    who_tables,
)
from didkit.report.words import frozen_in_words, sentences

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["to_markdown"]


def to_markdown(evaluation: Evaluation) -> str:
    """Write the report as Markdown, without pictures; everything escaped."""
    pilots, comparators = who_tables(evaluation)
    lines = [f"# {escaped(title(evaluation))}", ""]
    lines += [escaped(origin(evaluation)), ""] if origin(evaluation) else []
    for answer in first_page(evaluation):
        lines += [f"## {escaped(answer.question)}", ""]
        lines += [escaped(answer.text), ""] if answer.text else []
        lines += [f"- **{escaped(label)}.** {escaped(said)}" for label, said in answer.lines]
        lines += [""] if answer.lines else []
    lines += ["## The answer in one table", "", escaped_table(reader_table(evaluation)), ""]
    lines += [escaped(caption(evaluation)), "", "On authorities observed in every period:", ""]
    lines += [escaped_table(complete_table(evaluation)), ""]
    others = sensitivity_table(evaluation)
    lines += ["With the alternatives that the plan names:", ""] if len(others) else []
    lines += [escaped_table(others), ""] if len(others) else []
    lines += ["## In words", ""]
    for name, result in evaluation.results.items():
        lines += [f"### {escaped(result.metric.label)}", ""]
        for question, answer_text in sentences(evaluation, name).items():
            lines += [f"**{question}.** {escaped(answer_text)}", ""]
    lines += ["## Checks", "", escaped_table(checks_table(evaluation)), ""]
    lines += _plan(evaluation)
    lines += ["## Who is compared with whom", "", escaped_table(pilots), ""]
    lines += [
        escaped_table(comparators),
        "",
        "## How it was made",
        "",
        escaped(methods_note(evaluation)),
    ]
    lines += ["", escaped_table(basis_table(evaluation)), "", *_list(methods(evaluation)), ""]
    lines += ["## All rows", "", escaped_table(rows_table(evaluation)), "", "## Notes", ""]
    for part, notes in notes_by_part(evaluation).items():
        lines += [f"### {part}", "", *_list(notes), ""]
    lines += ["## Provenance", "", escaped_table(sources_table(evaluation)), ""]
    lines += [f"- {name}: {escaped(value)}" for name, value in facts(evaluation).items()]
    whose = attribution(evaluation)
    return "\n".join([*lines, *(["", escaped(whose)] if whose else []), ""])


def _plan(evaluation: Evaluation) -> list[str]:
    """Write the plan: deviations first, then the protocol."""
    record = evaluation.record
    if record is None:
        return []
    lines = [
        "## The plan",
        "",
        f"{frozen_in_words(record)}; its digest: {escaped(record.digest)}.",
        "",
    ]
    if record.deviations:
        lines += ["### Deviations", "", escaped_table(deviation_table(record)), ""]
    else:
        lines += ["Nothing deviates from the plan.", ""]
    lines += [*_list(record.notes), ""] if record.notes else []
    return [*lines, "### Protocol", "", escaped_table(protocol_table(evaluation)), ""]


def _list(items: Iterable[str]) -> list[str]:
    return [f"- {escaped(item)}" for item in items]
