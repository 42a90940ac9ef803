"""The files that a run of a plan leaves: every one of them, or none."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from didkit.errors import PlanError
from didkit.report.escaped import escaped, escaped_table
from didkit.report.files import write_whole
from didkit.report.plan_file import there
from didkit.report.protocol import deviation_table, protocol_table
from didkit.report.record import NOT_COMPARED
from didkit.report.spreadsheet import safe_csv

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation
    from didkit.report.plan import Plan

__all__ = ["NAMES", "estimates_table", "protocol_markdown", "refuse_among_data", "write_outputs"]

NAMES = (
    "report.html",
    "report.md",
    "report.tex",
    "tables.xlsx",
    "estimates.csv",
    "protocol.md",
)
"""Every file of a run."""


def refuse_among_data(plan: Plan, folder: Path) -> None:
    """Refuse to write a report where the next run would read it as data.

    Raises
    ------
    PlanError
        If the folder is, or lies in, one of the plan's folders of data, or holds a data file of
        a name that the report has.
    """
    out = folder.resolve()
    named: list[tuple[str, tuple[str | int, ...]]] = [
        (one.path, ("data", "files", n, "path")) for n, one in enumerate(plan.data.files)
    ]
    if plan.comparators.file:
        named.append((plan.comparators.file, ("comparators", "file")))
    for n, other in enumerate(plan.sensitivity):
        if other.comparators is not None and other.comparators.file:
            named.append((other.comparators.file, ("sensitivity", n, "comparators", "file")))
    for path, keys in named:
        place = (plan.folder / path).resolve()
        among = there(place) and place.is_dir() and out.is_relative_to(place)
        over = place.parent == out and place.name in NAMES
        if among or over:
            raise PlanError(
                needed="a folder for the report apart from the data",
                found=f"one {'in the folder of data' if among else 'with the data file'} {path} "
                f"({plan.where(*keys)})",
                where=f"--out {folder}",
                todo="name another folder: a report among the data would be read as new data, or "
                "written over them",
            )


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
    write_whole(folder / "estimates.csv", safe_csv(estimates_table(evaluation)))
    write_whole(folder / "protocol.md", protocol_markdown(evaluation))
    evaluation.to_html(folder / "report.html")
    return tuple(name for name in NAMES if (folder / name).exists()), left_out


def estimates_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return every estimate, and after them those of the plan's alternatives, marked.

    Parameters
    ----------
    evaluation : Evaluation
        Best one that was run from a plan.

    Returns
    -------
    DataFrame
        ``alternative, metric, estimator, term``, then as `Evaluation.tidy`; at the end
        ``refused``. ``alternative`` is empty for what was estimated as planned; ``refused`` says
        why an alternative has no estimate. Without a plan as `Evaluation.tidy`.

    Examples
    --------
    >>> import didkit as dk
    >>> design = dk.datasets.load_evaluation().design
    >>> made = dk.evaluate(design, ["cpp"], inference=dk.ClusterRobust("CR2"), checks=[])
    >>> estimates_table(made).equals(made.tidy())
    True
    """
    planned, record = evaluation.tidy(), evaluation.record
    if record is None:
        return planned
    others = record.alternatives
    names = dict.fromkeys(("alternative", *planned.columns, *others.columns, "refused"))
    order = [*(name for name in names if name != "refused"), "refused"]
    marked = planned.assign(alternative="", refused="")
    return pd.DataFrame(
        {
            name: [value for part in (marked, others) for value in _column(part, name)]
            for name in order
        }
    )


def _column(part: pd.DataFrame, name: str) -> list[object]:
    return part[name].tolist() if name in part.columns else [math.nan] * len(part)


def protocol_markdown(evaluation: Evaluation) -> str:
    """Write the deviations and the filled protocol table as Markdown."""
    record = evaluation.record
    lines = ["# Protocol"]
    if record is not None:
        lines += [
            "",
            f"Plan: {escaped(record.plan.title)} (SHA-256 {record.digest}), {record.said}.",
        ]
        lines += ["", "## Deviations", ""]
        lines += [escaped_table(deviation_table(record)) if record.deviations else "None."]
        if record.before_data:
            lines += ["", f"Frozen before the data: {NOT_COMPARED}."]
        if record.refused:
            lines += ["", "Refused, and not named by the plan:", ""]
            lines += [f"- {escaped(str(one))}" for one in record.refused]
        lines += ["", "## Planned and done"]
    return "\n".join([*lines, "", escaped_table(protocol_table(evaluation)), ""])
