"""An evaluation: estimates and findings for several metrics, ready to show."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from didkit.design import Design
from didkit.errors import DidkitError, EstimationError
from didkit.markup import items, table
from didkit.markup import page as block
from didkit.panel import Metric, Period
from didkit.report.files import write_whole
from didkit.report.markdown import to_markdown
from didkit.report.pictures import Album, Picture, draw_pictures
from didkit.report.text import reader_table, title
from didkit.report.words import sentences
from didkit.results import Estimate, Finding, hooks, tables

if TYPE_CHECKING:
    from didkit.report.record import PlanRecord

__all__ = ["Evaluation", "MetricResult"]


@dataclass(frozen=True, eq=False)
class MetricResult:
    """Everything about one metric.

    Parameters
    ----------
    gap : Estimate
        Of ``Gap()``: the naive numbers.
    gap_by_period : Estimate or None
        Of ``Gap(by="period")``.
    did : Estimate
        Of ``DiD()``, with its inference: the change.
    did_complete : Estimate or None
        Of ``DiD(cells="complete")``, beside it.
    events : Estimate or None
        Of ``EventStudy()``.
    findings : mapping of str to Finding
        By the name of the check.
    refused : mapping of str to str
        What could not be made, and why.
    methods : DataFrame
        ``did.inference_table(…)`` at the report's level: other ways to say how sure.
    """

    gap: Estimate
    gap_by_period: Estimate | None
    did: Estimate
    did_complete: Estimate | None
    events: Estimate | None
    findings: Mapping[str, Finding]
    refused: Mapping[str, str]
    methods: pd.DataFrame

    @property
    def metric(self) -> Metric:
        """What is measured."""
        return self.did.metric

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Those that were made, by a name for readers."""
        named = {
            "Gap": self.gap,
            "Gap by period": self.gap_by_period,
            "DiD, observed cells": self.did,
            "DiD, complete cells": self.did_complete,
            "Event study": self.events,
        }
        return {name: made for name, made in named.items() if made is not None}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Estimates and findings for several metrics of one design.

    Made by `evaluate`.

    Parameters
    ----------
    design : Design
        Who is compared with whom.
    results : mapping of str to MetricResult
        By metric, in the order of the report.
    level : float
        Of the intervals.
    between : (str, str)
        The two periods between which rising pilots are counted.
    truth : mapping of str to float
        True effects where they are known; empty otherwise.
    description : str
        What the data are, in words; shown under the title.
    record : PlanRecord, optional
        What was planned and what differed, where the evaluation was run from a plan.
    """

    design: Design
    results: Mapping[str, MetricResult]
    level: float
    between: tuple[str, str]
    truth: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    record: PlanRecord | None = None
    _memory: dict[str, Album] = field(default_factory=dict, repr=False)

    # -- looked at ---------------------------------------------------------------------------

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in order."""
        return tuple(self.results)

    def __getitem__(self, metric: str) -> MetricResult:
        """Return the results of one metric.

        Raises
        ------
        EstimationError
            If it was not evaluated.
        """
        given: object = metric
        if not isinstance(given, str) or given not in self.results:
            raise EstimationError(
                needed="a metric of this evaluation",
                found=repr(metric),
                where="Evaluation",
                todo="choose one of: " + ", ".join(self.results),
            )
        return self.results[metric]

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of all estimates and findings; those of one metric only start with its label."""
        found: dict[str, list[str]] = {}
        for result in self.results.values():
            mine = [note for made in result.estimates.values() for note in made.all_notes]
            mine += [note for finding in result.findings.values() for note in finding.notes]
            for note in dict.fromkeys(mine):
                found.setdefault(note, []).append(result.metric.label)
        n = len(self.results)
        return tuple(
            note if len(labels) == n else f"{', '.join(labels)}: {note}"
            for note, labels in found.items()
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """Design, sources with hashes, estimators, inferences and seeds by metric, versions."""
        sources = self.design.panel.provenance()
        used = sources[sources["metric"].isin(self.metrics)]
        made = {name: result.did.provenance for name, result in self.results.items()}
        versions = dict(next(iter(made.values()))["versions"])
        return {
            "design": repr(self.design),
            "selection": self.design.selection,
            "level": self.level,
            "sources": used.reset_index(drop=True),
            "inference": {name: one["inference"] for name, one in made.items()},
            "seeds": {name: one["seed"] for name, one in made.items()},
            "checks": {
                name: [repr(finding.check) for finding in result.findings.values()]
                for name, result in self.results.items()
            },
            "versions": {**versions, "python": platform.python_version()},
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a metric that a reader understands.

        Returns
        -------
        DataFrame
            ``metric, label, unit``; means ``pilots_before, comparators_before, pilots_after,
            comparators_after`` and their differences ``gap_before, gap_after`` in the metric's
            unit; ``share_before``, the share of the gap afterwards that was there before (NaN
            where the two differ in sign); ``change`` (`DiD`) with ``conf_low, conf_high,
            p_value, method``; ``detectable`` and ``detectable_percent`` of the comparators'
            level; ``n_pilots, n_comparators, first, last, periods, cells_without_value``;
            ``truth`` where one is known; and after a plan ``role, p_adjusted, smallest_effect``.
            Where cells are missing, change need not be the difference of the two gaps.
        """
        rows = []
        for name, result in self.results.items():
            gaps = dict(zip(result.gap.terms["term"], result.gap.values.astype(float), strict=True))
            levels = result.gap.facts
            change = result.did.tidy().iloc[0]
            facts = result.did.glance().iloc[0]
            found = result.findings.get("DetectableEffect")
            rows.append(
                {
                    "metric": name,
                    "label": result.metric.label,
                    "unit": result.metric.unit,
                    "pilots_before": levels["pilots_before"],
                    "comparators_before": levels["comparators_before"],
                    "gap_before": gaps["gap_before"],
                    "pilots_after": levels["pilots_after"],
                    "comparators_after": levels["comparators_after"],
                    "gap_after": gaps["gap_after"],
                    "share_before": levels["share_before"],
                    "change": float(change["estimate"]),
                    "conf_low": float(change["conf_low"]),
                    "conf_high": float(change["conf_high"]),
                    "p_value": float(change["p_value"]),
                    "method": str(facts["inference"]),
                    "detectable": found.facts["detectable"] if found else np.nan,
                    "detectable_percent": found.facts["percent"] if found else np.nan,
                    "n_pilots": int(facts["pilots"]),
                    "n_comparators": int(facts["comparators"]),
                    "first": str(facts["first"]),
                    "last": str(facts["last"]),
                    "periods": int(facts["periods"]),
                    "cells_without_value": int(facts["cells_without_value"]),
                    **({"truth": self.truth.get(name, np.nan)} if self.truth else {}),
                    **self._planned(name),
                }
            )
        return pd.DataFrame(rows)

    def _planned(self, metric: str) -> dict[str, Any]:
        """Return what the plan says of a metric; nothing without a plan."""
        if self.record is None:
            return {}
        return {
            "role": str(self.record.roles.get(metric, "")),
            "p_adjusted": float(self.record.adjusted.get(metric, np.nan)),
            "smallest_effect": float(self.record.smallest_effect.get(metric, np.nan)),
        }

    def tidy(self) -> pd.DataFrame:
        """One row a metric, estimate and term: ``metric, estimator``, then as `Estimate.tidy`."""
        parts = [
            made.tidy().assign(estimator=repr(made.estimator))
            for result in self.results.values()
            for made in result.estimates.values()
        ]
        names = dict.fromkeys(column for part in parts for column in part.columns)
        lead = ["metric", "estimator", "term"]
        order = [*lead, *(name for name in names if name not in lead)]
        # concat takes no part that is empty of a column's values: fill by column instead
        return pd.DataFrame(
            {name: [value for part in parts for value in _column(part, name)] for name in order}
        )

    def checks(self) -> pd.DataFrame:
        """One row a metric and check; a refused one says so.

        Returns
        -------
        DataFrame
            ``metric, check, question, found, cannot_show``: the last completes "It cannot
            show: …".
        """
        rows = []
        for name, result in self.results.items():
            for check, finding in result.findings.items():
                rows.append((name, check, finding.question, finding.headline, finding.cannot_show))
            for what, reason in result.refused.items():
                rows.append((name, what, "", f"Refused: {reason}.", ""))
        return pd.DataFrame(rows, columns=["metric", "check", "question", "found", "cannot_show"])

    def risers(
        self, metric: str, first: Period | None = None, last: Period | None = None
    ) -> pd.DataFrame:
        """Show which pilots and comparators rose between two periods.

        Parameters
        ----------
        metric : str
            A metric of the evaluation. Its count is used where the panel holds it, otherwise the
            metric itself.
        first, last : period, optional
            By default those of the evaluation.

        Returns
        -------
        DataFrame
            One row a unit with a value in both: ``unit, name, arm, first, last, change, rose``.
            In children where the count is held. A rise is no effect: comparators rise too.

        Raises
        ------
        EstimationError
            If the metric was not evaluated.
        PanelError
            If a period is unknown.
        """
        sample, panel = self[metric].did.sample, self.design.panel
        counted = self.counted(metric)
        cells, calendar = panel.cells(counted).value, panel.calendar
        at = [
            calendar.position(given if given is not None else known, where="risers")
            for given, known in zip((first, last), self.between, strict=True)
        ]
        place = {unit: i for i, unit in enumerate(panel.unit_ids)}
        rows = np.array([place[unit] for unit in sample.units], dtype=np.intp)
        start, end = cells[rows, at[0]], cells[rows, at[1]]
        made = pd.DataFrame(
            {
                "unit": sample.units,
                "name": sample.names,
                "arm": np.where(sample.pilot, "pilot", "comparator"),
                "first": start,
                "last": end,
                "change": end - start,
                "rose": end > start,
            }
        )
        return made[made["change"].notna()].reset_index(drop=True)

    def counted(self, metric: str) -> str:
        """Name the metric that `risers` compares: the count where the panel holds it."""
        count = self[metric].metric.numerator
        return count if count is not None and count in self.design.panel.metrics else metric

    # -- shown -------------------------------------------------------------------------------

    def in_words(self, metric: str | None = None) -> str:
        """Say in plain sentences what was compared, what was there before, what changed, how sure.

        Parameters
        ----------
        metric : str, optional
            By default every metric, one paragraph each.

        Raises
        ------
        EstimationError
            If the metric was not evaluated.
        """
        wanted = self.metrics if metric is None else (metric,)
        return "\n\n".join(
            f"{self[name].metric.label}. {' '.join(sentences(self, name).values())}"
            for name in wanted
        )

    def pictures(self) -> tuple[Picture, ...]:
        """Every picture of the report as PNG, with alternative text and the frame behind it."""
        return self.album().pictures

    def album(self) -> Album:
        """Every picture of the report, and those that were refused, with the reasons."""
        if "pictures" not in self._memory:
            self._memory["pictures"] = draw_pictures(self)
        return self._memory["pictures"]

    def to_markdown(self, path: str | PathLike[str] | None = None) -> str:
        """Write the report as Markdown, without pictures.

        Parameters
        ----------
        path : str or path, optional
            Where to write it, in a folder that exists; a reader never sees a half-written file.

        Raises
        ------
        DidkitError
            If the folder does not exist, or the file cannot be written.
        """
        _usable(path, "to_markdown")
        return _written(path, to_markdown(self), "to_markdown")

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """Write the report as one self-contained page.

        Parameters
        ----------
        path : str or path, optional
            Where to write it, in a folder that exists; a reader never sees a half-written file.

        Returns
        -------
        str
            The page. Two pages of one evaluation differ in their time stamp only.

        Raises
        ------
        DidkitError
            If the folder does not exist, or the file cannot be written.
        """
        from didkit.report.page import to_html

        _usable(path, "to_html")  # before the pictures, not after
        return _written(path, to_html(self), "to_html")

    def to_latex(self, path: str | PathLike[str] | None = None) -> str:
        """Write the report as a LaTeX document, without pictures.

        Parameters
        ----------
        path : str or path, optional
            Where to write it, in a folder that exists; a reader never sees a half-written file.

        Returns
        -------
        str
            A document for ``pdflatex``, with the packages booktabs and longtable.

        Raises
        ------
        DidkitError
            If the folder does not exist, or the file cannot be written.
        """
        from didkit.report.latex import to_latex

        _usable(path, "to_latex")
        return _written(path, to_latex(self), "to_latex")

    def to_excel(self, path: str | PathLike[str]) -> Path:
        """Write the report as a workbook: numbers as numbers, and nothing that is run.

        Parameters
        ----------
        path : str or path
            Where to write it, in a folder that exists; a reader never sees a half-written file.

        Returns
        -------
        Path
            Where it was written. Two workbooks of one evaluation are the same bytes.

        Raises
        ------
        DidkitError
            If xlsxwriter is not installed, the folder does not exist, or the file cannot be
            written.
        """
        from didkit.report.workbook import to_excel

        _usable(path, "to_excel")
        try:
            return write_whole(path, to_excel(self))
        except OSError as error:
            raise _unwritable(repr(str(path)), error.strerror or str(error), "to_excel") from error

    def plot(self, ax: Any = None) -> Any:
        """Draw every metric's gap before and after; returns the Axes, shows and saves nothing."""
        return hooks.draw(self, ax)

    def summary(self) -> str:
        """Return the table of metrics and the words."""
        return f"{tables.to_markdown(self.to_frame())}\n\n{self.in_words()}"

    def __repr__(self) -> str:
        return f"Evaluation({', '.join(self.metrics)}; {self.design!r})"

    def _repr_html_(self) -> str:
        """Small: the table, and the first thing to know of each metric; everything escaped."""
        frame = reader_table(self)
        wanted = [frame.columns[0], *frame.columns[1:7]]
        said = [
            f"{result.metric.label}: {next(iter(sentences(self, name).values()))}"
            for name, result in self.results.items()
        ]
        return block(
            table(
                wanted,
                frame[wanted].to_numpy().tolist(),
                caption=title(self),
                numeric=range(1, len(wanted)),
                named=True,
            ),
            items(said, most=8, what="measure"),
        )


def _usable(path: str | PathLike[str] | None, where: str) -> None:
    """Refuse, before any work is done, what cannot be the name of a file."""
    given: object = path
    if path is None:
        return
    if not isinstance(given, str | PathLike):
        raise _unwritable(repr(given), f"a {type(given).__name__}, not a path", where)
    name = os.fsdecode(path)
    if not name or "\0" in name or not Path(name).name:
        raise _unwritable(repr(name), "no name of a file", where)
    if Path(name).is_dir():
        raise _unwritable(repr(name), "a folder", where)
    if not Path(name).parent.is_dir():
        raise _unwritable(repr(name), "no such folder", where, folder=str(Path(name).parent))


def _written(path: str | PathLike[str] | None, made: str, where: str) -> str:
    if path is not None:
        try:
            write_whole(path, made)
        except OSError as error:
            raise _unwritable(repr(str(path)), error.strerror or str(error), where) from error
    return made


def _unwritable(path: str, found: str, where: str, *, folder: str = "") -> DidkitError:
    return DidkitError(
        needed="a file that can be written, in a folder that exists",
        found=found,
        where=f"{where}({path})",
        todo=f"make the folder {folder!r}, or name another file" if folder else "name another file",
    )


def _column(part: pd.DataFrame, name: str) -> list[Any]:
    return part[name].tolist() if name in part.columns else [np.nan] * len(part)
