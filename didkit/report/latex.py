"""The report as a LaTeX document, without pictures: everything escaped."""

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

__all__ = ["escape", "to_latex"]

_LETTERS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}",
    "−": "$-$", "∞": r"$\infty$", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$",
    "≤": r"$\leq$", "·": r"\textperiodcentered{}", "…": r"\ldots{}", "′": r"$'$", "²": "$^2$",
    "–": "--", "—": "---", "’": "'", "‘": "`", "“": "``", "”": "''", "→": r"$\rightarrow$",
    "ρ": r"$\rho$", "θ": r"$\theta$", "α": r"$\alpha$", "\n": " ", "\t": " ", "\r": " ",
    "-": "{-}",
}  # fmt: skip
_LATIN = 0x17F  # letters that pdflatex with T1 fonts knows, but for these
_LACKING = frozenset("ĦħĸĿŀŉŦŧſ")
_HEAD = r"""\documentclass[10pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage[margin=18mm]{geometry}
\usepackage{array,booktabs,longtable}
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt}
\setlength{\tabcolsep}{3pt}
\setlength{\emergencystretch}{3em}
\raggedright
\begin{document}"""
_LINE = 0.98  # of the width of the text, for the columns of a table without their gaps
_WIDE = {
    "Measure": 2.0, "Made by": 1.7, "Term": 1.7, "Comparators": 1.75, "n_comparators": 1.75,
    "Comparators before": 1.75, "Statistic": 1.35, "Estimate": 1.3, "Change": 1.2, "p": 0.7,
    "p_value": 0.7, "Pilots": 0.9, "n_pilots": 0.9, "Band from": 0.9, "Band to": 0.9,
    "Question": 2.0, "Found": 5.0, "Check": 1.5,
    "Interval and p by": 4.0, "Alternative": 2.5, "SHA-256": 3.0, "File": 2.0, "Note": 1.5,
    "Pilot": 4.0, "Comparator": 4.0, "planned": 2.0, "done": 2.0, "found": 2.0,
    "Would probably (80%) be found": 1.6,
}  # fmt: skip
_GAP = 0.013  # of the width of the text: the gap beside a column, twice


def to_latex(evaluation: Evaluation) -> str:
    """Write the report as a document for pdflatex; names and notes are only ever set as text.

    Parameters
    ----------
    evaluation : Evaluation
        Of `evaluate`.

    Returns
    -------
    str
        A whole document, with the packages booktabs and longtable. A letter that T1 fonts lack
        stands as its code.
    """
    pilots, comparators = who_tables(evaluation)
    body = [
        _HEAD,
        rf"{{\Large\bfseries {escape(title(evaluation))}\par}}",
        *([escape(origin(evaluation)), ""] if origin(evaluation) else []),
        r"\section*{The answer in plain words}",
    ]
    for answer in first_page(evaluation):
        body += [rf"\subsection*{{{escape(answer.question)}}}"]
        body += [escape(answer.text), ""] if answer.text else []
        lines = [rf"\textbf{{{escape(label)}.}} {escape(said)}" for label, said in answer.lines]
        body += _items(lines) if lines else []
    body += [
        r"\section*{The answer in one table}",
        _table(reader_table(evaluation)),
        _small(caption(evaluation)),
        r"\subsection*{On authorities observed in every period}",
        _table(complete_table(evaluation)),
        *_alternatives(evaluation),
        r"\section*{In words}",
    ]
    for name, result in evaluation.results.items():
        body += [rf"\subsection*{{{escape(result.metric.label)}}}"]
        for question, said in sentences(evaluation, name).items():
            body += [rf"\textbf{{{escape(question)}.}} {escape(said)}", ""]
    body += [
        r"\section*{Checks}",
        _table(checks_table(evaluation)),
        *_plan(evaluation),
        r"\section*{Who is compared with whom}",
        _table(pilots),
        _table(comparators),
        r"\section*{How it was made}",
        escape(methods_note(evaluation)),
        _table(basis_table(evaluation)),
        *_items(map(escape, methods(evaluation))),
        r"\section*{All rows}",
        _table(rows_table(evaluation)),
        r"\section*{Notes}",
    ]
    for part, notes in notes_by_part(evaluation).items():
        body += [rf"\subsection*{{{escape(part)}}}", *_items(map(escape, notes))]
    body += [
        r"\section*{Provenance}",
        _table(sources_table(evaluation), breakable=("SHA-256", "File")),
        *_items(
            f"{escape(name)}: {_breakable(value)}" for name, value in facts(evaluation).items()
        ),
        escape(attribution(evaluation)),
        r"\end{document}",
        "",
    ]
    return "\n".join(body)


def escape(text: str) -> str:
    r"""Make every letter of a text one that LaTeX only sets.

    Examples
    --------
    >>> print(escape("50% of A_B & −3"))
    50\% of A\_B \& $-$3
    """
    return "".join(_letter(one) for one in text)


def _letter(one: str) -> str:
    if one in _LETTERS:
        return _LETTERS[one]
    code = ord(one)
    if code < 0x20 or 0x7F <= code < 0xA0 or code > _LATIN or one in _LACKING:
        return f"(U+{code:04X})"
    return one


def _breakable(text: str) -> str:
    """Escape a long word so that a line may break after every fourth letter of it."""
    made, run = [], 0
    for one in text:
        run = 0 if one.isspace() else run + 1
        made.append(_letter(one))
        if run and run % 4 == 0:
            made.append(r"\allowbreak{}")
    return "".join(made)


def _small(text: str) -> str:
    return rf"{{\footnotesize {escape(text)}\par}}"


def _items(items: Iterable[str]) -> list[str]:
    found = [rf"\item {item}" for item in items]
    return [r"\begin{itemize}", *found, r"\end{itemize}"] if found else ["None.", ""]


def _alternatives(evaluation: Evaluation) -> list[str]:
    """Write the change under each planned alternative; nothing without any."""
    others = sensitivity_table(evaluation)
    if others.empty:
        return []
    return [r"\subsection*{With the alternatives that the plan names}", _table(others)]


def _plan(evaluation: Evaluation) -> list[str]:
    """Write the plan: deviations first, then the protocol."""
    record = evaluation.record
    if record is None:
        return []
    lines = [
        r"\section*{The plan}",
        f"{escape(frozen_in_words(record))}; its digest: {_breakable(record.digest)}.",
        r"\subsection*{Deviations}",
    ]
    if record.deviations:
        lines.append(_table(deviation_table(record), breakable=("planned", "found")))
    else:
        lines += ["Nothing deviates from the plan.", ""]
    lines += _items(map(escape, record.notes)) if record.notes else []
    protocol = protocol_table(evaluation)
    return [
        *lines,
        r"\subsection*{Protocol}",
        _table(protocol, breakable=("planned", "done")),
    ]


def _table(
    frame: pd.DataFrame,
    *,
    breakable: tuple[str, ...] = (),
) -> str:
    """Write a frame as a long table over the width of the page, heads repeated.

    A column takes the share of the width that its name has in ``_WIDE``.
    """
    if frame.empty:
        return "None.\n"
    n = frame.shape[1]
    shares = [_WIDE.get(str(name), 1.0) for name in frame.columns]
    room = _LINE - n * _GAP
    columns = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{room * share / sum(shares):.4f}\linewidth}}"
        for share in shares
    )
    head = " & ".join(rf"\textbf{{{escape(HEADS.get(str(c), str(c)))}}}" for c in frame.columns)
    rows = [
        " & ".join(
            _breakable(cell) if str(column) in breakable else escape(cell)
            for column, cell in zip(frame.columns, row, strict=True)
        )
        for row in tables.cells(frame)
    ]
    return "\n".join(
        [
            r"{\scriptsize",
            rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *(rf"{row} \\" for row in rows),
            r"\end{longtable}}",
        ]
    )
