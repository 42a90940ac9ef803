"""A finding: what a check measured. Never a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from didkit.markup import items, page, paragraph
from didkit.results import hooks, tables

if TYPE_CHECKING:
    from didkit.results.estimate import Estimate
    from didkit.results.protocols import Check

__all__ = ["Finding"]

_SHOWN = 10  # rows of the table in a notebook


@dataclass(frozen=True, eq=False)
class Finding:
    """The answer to "how fragile is it?": a measurement with the words to read it by.

    Parameters
    ----------
    check : Check
        What was run.
    estimate : Estimate
        On what.
    question : str
        What was asked, in plain words.
    headline : str
        What was found, in one sentence with numbers.
    table : DataFrame
        One row a measurement.
    facts : mapping of str to number
        The few numbers that sum it up.
    notes : tuple of str
        What a reader must know.
    cannot_show : str
        What no answer to this question can show, in one sentence.
    alternatives : (float, float), optional
        Lowest and highest value that the main term takes under the check, in the metric's unit.
    placebos : (float, float), optional
        Lowest and highest of what the method finds where there is nothing to find, in that unit.
    parts : mapping of str to Finding
        Where a check is made of others: theirs, by name.
    """

    check: Check
    estimate: Estimate
    question: str
    headline: str
    table: pd.DataFrame
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cannot_show: str = ""
    alternatives: tuple[float, float] | None = None
    placebos: tuple[float, float] | None = None
    parts: Mapping[str, Finding] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Unit of the numbers that are on the metric's scale, in words."""
        return self.estimate.metric.unit or "units of the metric"

    def tidy(self) -> pd.DataFrame:
        """One row a measurement (a copy)."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: the metric, the check and the numbers that sum it up."""
        return pd.DataFrame(
            [
                {
                    "metric": self.estimate.metric.name,
                    "check": type(self.check).__name__,
                    **dict(self.facts),
                }
            ]
        )

    def summary(self) -> str:
        """Question, headline, table and notes as text."""
        return "\n".join(
            [
                f"{type(self.check).__name__} · {self.estimate.metric.label}",
                self.question,
                self.headline,
                "",
                tables.to_markdown(self.table),
                *((f"It cannot show: {self.cannot_show}.",) if self.cannot_show else ()),
                *(f"Note: {note}." for note in self.notes),
            ]
        )

    def to_markdown(self) -> str:
        """Write the table as Markdown."""
        return tables.to_markdown(self.table)

    def to_latex(self) -> str:
        """Write the table as LaTeX."""
        return tables.to_latex(self.table)

    def plot(self, ax: Any = None) -> Any:
        """Draw it; returns the Axes, shows and saves nothing."""
        return hooks.draw(self, ax)

    def __repr__(self) -> str:
        return f"{type(self.check).__name__}({self.estimate.metric.name}): {self.headline}"

    def _repr_html_(self) -> str:
        title = f"{type(self.check).__name__} · {self.estimate.metric.label}"
        return page(
            paragraph(self.question),
            paragraph(self.headline, strong=True),
            tables.head_to_html(self.table, most=_SHOWN, caption=title),
            paragraph(f"It cannot show: {self.cannot_show}." if self.cannot_show else ""),
            items(self.notes),
        )
