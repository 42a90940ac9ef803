"""The report as Markdown, without pictures: everything escaped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from didkit.report.first_page import first_page
from didkit.report.methods import methods, methods_note
from didkit.report.protocol import deviation_table, protocol_table
from didkit.report.text import (
    HEADS,
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
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["to_markdown"]


def to_markdown(evaluation: Evaluation) -> str:
    """Write the report as Markdown, without pictures; everything escaped."""
    pilots, comparators = who_tables(evaluation)
    lines = [f"# {_safe(title(evaluation))}", ""]
    lines += [_safe(origin(evaluation)), ""] if origin(evaluation) else []
    for answer in first_page(evaluation):
        lines += [f"## {_safe(answer.question)}", ""]
        lines += [_safe(answer.text), ""] if answer.text else []
        lines += [f"- **{_safe(label)}.** {_safe(said)}" for label, said in answer.lines]
        lines += [""] if answer.lines else []
    lines += ["## The answer in one table", "", _table(reader_table(evaluation)), ""]
    lines += [_safe(caption(evaluation)), "", "On authorities observed in every period:", ""]
    lines += [_table(complete_table(evaluation)), ""]
    others = sensitivity_table(evaluation)
    lines += ["With the alternatives that the plan names:", ""] if len(others) else []
    lines += [_table(others), ""] if len(others) else []
    lines += ["## In words", ""]
    for name, result in evaluation.results.items():
        lines += [f"### {_safe(result.metric.label)}", ""]
        for question, answer_text in sentences(evaluation, name).items():
            lines += [f"**{question}.** {_safe(answer_text)}", ""]
    lines += ["## Checks", "", _table(checks_table(evaluation)), ""]
    lines += _plan(evaluation)
    lines += ["## Who is compared with whom", "", _table(pilots), ""]
    lines += [_table(comparators), "", "## How it was made", "", _safe(methods_note(evaluation))]
    lines += ["", _table(basis_table(evaluation)), "", *_list(methods(evaluation)), ""]
    lines += ["## All rows", "", _table(rows_table(evaluation)), "", "## Notes", ""]
    for part, notes in notes_by_part(evaluation).items():
        lines += [f"### {part}", "", *_list(notes), ""]
    lines += ["## Provenance", "", _table(sources_table(evaluation)), ""]
    lines += [f"- {name}: {_safe(value)}" for name, value in facts(evaluation).items()]
    whose = attribution(evaluation)
    return "\n".join([*lines, *(["", _safe(whose)] if whose else []), ""])


def _plan(evaluation: Evaluation) -> list[str]:
    """Write the plan: deviations first, then the protocol."""
    record = evaluation.record
    if record is None:
        return []
    lines = [
        "## The plan",
        "",
        f"{frozen_in_words(record)}; its digest: {_safe(record.digest)}.",
        "",
    ]
    if record.deviations:
        lines += ["### Deviations", "", _table(deviation_table(record)), ""]
    else:
        lines += ["Nothing deviates from the plan.", ""]
    lines += [*_list(record.notes), ""] if record.notes else []
    return [*lines, "### Protocol", "", _table(protocol_table(evaluation)), ""]


def _list(items: Iterable[str]) -> list[str]:
    return [f"- {_safe(item)}" for item in items]


def _table(frame: pd.DataFrame) -> str:
    """Write a frame as a Markdown table in which a name cannot be a link either."""
    rows = [[HEADS.get(str(name), str(name)) for name in frame.columns], *tables.cells(frame)]
    lines = [f"| {' | '.join(map(_safe, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(frame.columns), *lines[1:]])


def _safe(text: str) -> str:
    """Escape what Markdown or HTML would act on."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    for letter in "\\`*_[]|#":
        safe = safe.replace(letter, f"\\{letter}")
    return safe
