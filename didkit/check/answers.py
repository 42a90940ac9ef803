"""An answer about terms by event time: a finding without an estimate behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from didkit.markup import items, page, paragraph
from didkit.results import Estimate, Finding, tables

if TYPE_CHECKING:
    import pandas as pd

    from didkit.results import Check

__all__ = ["Answer"]

_SHOWN = 10  # rows of the table in a notebook


@dataclass(frozen=True, eq=False)
class Answer:
    """What a check measured on `EventTerms`, which another program may have estimated.

    Parameters
    ----------
    question : str
        What was asked, in plain words.
    headline : str
        What was found, with numbers.
    table : DataFrame
        One row a measurement.
    facts : mapping of str to number
        The few numbers that sum it up.
    notes : tuple of str
        What a reader must know.
    cannot_show : str
        What no answer to this question can show: completes "It cannot show: …".
    alternatives, placebos : (float, float), optional
        As in `Finding`.

    Examples
    --------
    >>> import pandas as pd
    >>> Answer("How far apart?", "They are 2 apart.", pd.DataFrame({"apart": [2.0]}))
    They are 2 apart.
    """

    question: str
    headline: str
    table: pd.DataFrame
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cannot_show: str = ""
    alternatives: tuple[float, float] | None = None
    placebos: tuple[float, float] | None = None

    def finding(self, check: Check, estimate: Estimate) -> Finding:
        """Return the finding that this answer is for an estimate.

        Parameters
        ----------
        check : Check
            What was run.
        estimate : Estimate
            Whose terms were asked.
        """
        return Finding(
            check=check,
            estimate=estimate,
            question=self.question,
            headline=self.headline,
            table=self.table,
            facts=self.facts,
            notes=self.notes,
            cannot_show=self.cannot_show,
            alternatives=self.alternatives,
            placebos=self.placebos,
        )

    def tidy(self) -> pd.DataFrame:
        """One row a measurement (a copy)."""
        return self.table.copy()

    def to_markdown(self) -> str:
        """Write the table as Markdown."""
        return tables.to_markdown(self.table)

    def summary(self) -> str:
        """Question, headline, table and notes as text."""
        return "\n".join(
            [
                self.question,
                self.headline,
                "",
                self.to_markdown(),
                *((f"It cannot show: {self.cannot_show}.",) if self.cannot_show else ()),
                *(f"Note: {note}." for note in self.notes),
            ]
        )

    def __repr__(self) -> str:
        return self.headline

    def _repr_html_(self) -> str:
        return page(
            paragraph(self.question),
            paragraph(self.headline, strong=True),
            tables.head_to_html(self.table, most=_SHOWN, caption=self.question),
            paragraph(f"It cannot show: {self.cannot_show}." if self.cannot_show else ""),
            items(self.notes),
        )
