"""The files that a run of a plan leaves: every one of them, or none."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from didkit.report.files import write_whole
from didkit.report.protocol import deviation_table, protocol_table
from didkit.report.spreadsheet import safe_csv
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["NAMES", "protocol_markdown", "write_outputs"]

NAMES = (
    "report.html",
    "report.md",
    "report.tex",
    "tables.xlsx",
    "estimates.csv",
    "protocol.md",
)
"""Every file of a run."""


def write_outputs(evaluation: Evaluation, folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Write the report in every form into a folder, best the one that `staged` yields.

    Parameters
    ----------
    evaluation : Evaluation
        Best one that was run from a plan.
    folder : Path
        It exists.

    Returns
    -------
    written : tuple of str
        Names of the files.
    left_out : dict of str to str
        What could not be written for want of a package, and which one.

    Raises
    ------
    OSError, DidkitError
        If a file cannot be written.
    """
    left_out: dict[str, str] = {}
    evaluation.to_markdown(folder / "report.md")
    evaluation.to_latex(folder / "report.tex")
    if importlib.util.find_spec("xlsxwriter") is None:
        left_out["tables.xlsx"] = "the package xlsxwriter is not installed"
    else:
        evaluation.to_excel(folder / "tables.xlsx")
    write_whole(folder / "estimates.csv", safe_csv(evaluation.tidy()))
    write_whole(folder / "protocol.md", protocol_markdown(evaluation))
    evaluation.to_html(folder / "report.html")
    return tuple(name for name in NAMES if (folder / name).exists()), left_out


def protocol_markdown(evaluation: Evaluation) -> str:
    """Write the deviations and the filled protocol table as Markdown."""
    record = evaluation.record
    lines = ["# Protocol"]
    if record is not None:
        said = f"frozen on {record.frozen_on}" if record.frozen else "not frozen before this run"
        lines += ["", f"Plan: {_one_line(record.plan.title)} (SHA-256 {record.digest}), {said}."]
        lines += ["", "## Deviations", ""]
        lines += [tables.to_markdown(deviation_table(record)) if record.deviations else "None."]
        lines += ["", "## Planned and done"]
    return "\n".join([*lines, "", tables.to_markdown(protocol_table(evaluation)), ""])


def _one_line(text: str) -> str:
    return " ".join(text.replace("<", "&lt;").split())
