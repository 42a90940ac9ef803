"""The report as a workbook: numbers as numbers, texts as texts, nothing that is run."""

from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from didkit.errors import DidkitError
from didkit.report.doubts import alternatives
from didkit.report.first_page import first_page
from didkit.report.methods import methods_note
from didkit.report.protocol import deviation_table, protocol_table
from didkit.report.text import (
    HEADS,
    attribution,
    caption,
    checks_table,
    facts,
    notes_by_part,
    origin,
    sources_table,
    title,
)
from didkit.report.words import sentences

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["to_excel"]

_CREATED = datetime(2000, 1, 1)
_WIDEST, _NARROWEST = 70, 9
_MOST = 32_767  # letters that a cell holds
_FORMATS = {"p": "0.000", "percent": "0%", "count": "#,##0", "number": "#,##0.00"}
_HEADS = {
    **HEADS,
    "label": "Measure",
    "unit": "Unit",
    "pilots_before": "Pilots before",
    "comparators_before": "Comparators before",
    "gap_before": "Gap before",
    "pilots_after": "Pilots after",
    "comparators_after": "Comparators after",
    "gap_after": "Gap after",
    "share_before": "There before",
    "change": "Change",
    "conf_low": "Interval from",
    "conf_high": "Interval to",
    "p_adjusted": "p adjusted",
    "method": "Interval and p by",
    "detectable": "Change that would have been found",
    "detectable_percent": "the same, % of comparators",
    "first": "First period",
    "last": "Last period",
    "periods": "Periods",
    "cells_without_value": "Cells without a value",
    "truth": "True effect",
    "role": "Role",
    "smallest_effect": "Smallest effect of interest",
}

_WHO = {
    "unit": "Code",
    "name": "Name",
    "arm": "Arm",
    "start": "Start",
    "stop": "Left",
    "pilots_served": "Pilots served",
}


def to_excel(evaluation: Evaluation) -> bytes:
    """Write the workbook: the answer, words, estimates, checks, who, notes, plan, provenance.

    Parameters
    ----------
    evaluation : Evaluation
        Of `evaluate`.

    Returns
    -------
    bytes
        Of the file; the same for the same evaluation.

    Raises
    ------
    DidkitError
        If xlsxwriter is not installed.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise DidkitError(
            needed="the package xlsxwriter",
            found="not installed",
            where="to_excel",
            todo="install the extra 'excel' of didkit-evaluation, or use to_html()",
        ) from error
    made = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": False,
    }
    with xlsxwriter.Workbook(made, options) as book:
        book.set_properties({"title": title(evaluation), "created": _CREATED})
        styles = _styles(book)
        for name, frame in _sheets(evaluation).items():
            _write(book.add_worksheet(name), frame, styles)
    return made.getvalue()


def _sheets(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Return the frame of every sheet, in order."""
    sheets = {
        "Answer": evaluation.to_frame().drop(columns="metric"),
        "Words": _words(evaluation),
        **_alternatives(evaluation),
        "Estimates": evaluation.tidy(),
        "Checks": checks_table(evaluation),
        "Who": evaluation.design.who().rename(columns=_WHO),
        "Notes": pd.DataFrame(
            [(part, note) for part, notes in notes_by_part(evaluation).items() for note in notes],
            columns=["Part", "Note"],
        ),
    }
    if evaluation.record is not None:
        sheets["Plan"] = _plan(evaluation)
    sheets["Provenance"] = _provenance(evaluation)
    return sheets


def _alternatives(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Return the sheet of the planned alternatives; none without any."""
    parts = [
        alternatives(evaluation, name).assign(label=result.metric.label)
        for name, result in evaluation.results.items()
    ]
    parts = [part for part in parts if "name" in part.columns]
    if not parts:
        return {}
    stacked = pd.concat(parts, ignore_index=True)
    lead = ["label", "name", "estimate"]
    rest = [name for name in stacked.columns if name not in (*lead, "metric")]
    heads = {"name": "Alternative", "estimate": "Change", "refused": "Refused because"}
    return {"Alternatives": stacked[[*lead, *rest]].rename(columns=heads)}


def _words(evaluation: Evaluation) -> pd.DataFrame:
    rows = [("", "What this is", title(evaluation)), ("", "", origin(evaluation))]
    for answer in first_page(evaluation):
        rows += [("", answer.question, answer.text)] if answer.text else []
        rows += [(label, answer.question, said) for label, said in answer.lines]
    for name, result in evaluation.results.items():
        rows += [(result.metric.label, q, said) for q, said in sentences(evaluation, name).items()]
    rows += [("", "How to read the answers", caption(evaluation))]
    rows += [("", "Methods, to paste into a report", methods_note(evaluation))]
    kept = [row for row in rows if row[2]]
    return pd.DataFrame(kept, columns=["Measure", "Question", "Answer"])


def _plan(evaluation: Evaluation) -> pd.DataFrame:
    """Stack deviations, then the protocol."""
    record = evaluation.record
    parts = []
    if record is not None:
        deviations = deviation_table(record).rename(columns={"what": "item", "found": "done"})
        parts.append(deviations.assign(part="Deviation"))
        digest = {"item": ["Digest of the plan"], "planned": [""], "done": [record.digest]}
        parts.append(pd.DataFrame({**digest, "part": ["Plan"]}))
        parts.append(protocol_table(evaluation).assign(part="Protocol"))
    stacked = pd.concat([part.astype(object) for part in parts if len(part)], ignore_index=True)
    return stacked[["part", "item", "planned", "done"]].rename(columns={"part": "Part"})


def _provenance(evaluation: Evaluation) -> pd.DataFrame:
    sources = sources_table(evaluation)
    rows = [
        (f"Source: {row['File']}", f"{column}: {row[column]}")
        for row in sources.to_dict("records")
        for column in sources.columns
        if column != "File" and row[column]
    ]
    rows += list(facts(evaluation).items())
    whose = attribution(evaluation)
    rows += [("Attribution", whose)] if whose else []
    return pd.DataFrame(rows, columns=["What", "Value"])


# -- cells ---------------------------------------------------------------------------------------


def _styles(book: Any) -> dict[str, Any]:
    top = {"valign": "top"}
    return {
        "head": book.add_format({"bold": True, "text_wrap": True, "valign": "bottom", "bottom": 1}),
        "text": book.add_format({**top, "text_wrap": True}),
        **{name: book.add_format({**top, "num_format": code}) for name, code in _FORMATS.items()},
    }


def _write(sheet: Any, frame: pd.DataFrame, styles: dict[str, Any]) -> None:
    """Write one frame: heads frozen, columns as wide as their longest text, up to a limit."""
    sheet.freeze_panes(1, 1)
    for j, column in enumerate(frame.columns):
        name = str(column)
        head = _HEADS.get(name, name)
        sheet.write_string(0, j, head, styles["head"])
        longest = max([len(head) // 2, *(len(_text(value)) for value in frame[column])])
        sheet.set_column(j, j, min(_WIDEST, max(_NARROWEST, longest + 2)))
        kind = styles[_kind(name)]
        for i, value in enumerate(frame[column], start=1):
            _write_cell(sheet, i, j, value, kind, styles["text"])


def _write_cell(sheet: Any, i: int, j: int, value: object, kind: Any, text: Any) -> None:
    """Write a finite number as one; all else as text, whatever it starts with."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        if np.isfinite(value):
            sheet.write_number(i, j, float(value), kind)
            return
        if np.isnan(value):
            return  # no number: an empty cell
    sheet.write_string(i, j, _text(value), text)


def _text(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, float) and np.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return str(value)[:_MOST]


def _kind(column: str) -> str:
    if column.startswith("p_"):
        return "p"
    if column == "share_before":
        return "percent"
    counts = ("n_", "cells_", "periods", "Pilots served", "event_time", "position")
    return "count" if column.startswith(counts) else "number"
