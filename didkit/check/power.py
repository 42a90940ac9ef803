"""Power: what a design can be expected to find, before the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from didkit.markup import items, page, paragraph
from didkit.results import hooks, tables

if TYPE_CHECKING:
    from didkit.check.detectable_effect import DetectableEffect
    from didkit.panel import Metric

__all__ = ["Power"]

_DESIGN = ["pilots", "comparators", "before", "after"]
_SHOWN = 12  # rows of the table in a notebook


@dataclass(frozen=True, eq=False)
class Power:
    """The answer to "what could this design find?": a curve, and the number read off it.

    Parameters
    ----------
    check : DetectableEffect
        With what power and at what level.
    how : {"expected", "before", "simulated", "resampled"}
        Which of its methods made it: by formula from given variation, by formula from the
        pre-periods, by simulation, by placebo pilots.
    question : str
        What was asked, in plain words.
    headline : str
        What was found, in one sentence with numbers.
    table : DataFrame
        One row a design and effect: ``pilots, comparators, before, after`` (units and periods),
        ``effect`` (the metric's unit, signed), ``percent`` (of the level; NaN where none is
        known), ``power`` (probability that the test rejects), ``mc_error`` (standard error of
        ``power`` from simulation; 0 by formula), ``detectable`` (of that design, in the direction
        of the effect; ∞ where none is found) and, by formula, ``std_error, df``.
    facts : mapping of str to number
        ``detectable, percent, power, level, pilots, comparators, before, after`` of the first
        design, and what is peculiar to the way.
    notes : tuple of str
        What a reader must know.
    metric : Metric, optional
        What is measured, where it is known.
    """

    check: DetectableEffect
    how: Literal["expected", "before", "simulated", "resampled"]
    question: str
    headline: str
    table: pd.DataFrame
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    metric: Metric | None = None

    def tidy(self) -> pd.DataFrame:
        """One row a design and effect (a copy)."""
        return self.table.copy()

    def designs(self) -> pd.DataFrame:
        """One row a design: the smallest effect that is found in either direction.

        Returns
        -------
        DataFrame
            ``pilots, comparators, before, after, detectable, percent``, in the order in which
            the designs were given.

        Examples
        --------
        >>> from didkit.check import DetectableEffect, Variation
        >>> made = DetectableEffect().expected(
        ...     Variation(between=0, within=1), pilots=[2, 9], comparators=141, before=4, after=4
        ... )
        >>> made.designs()[["pilots", "detectable"]].round(2).to_numpy().tolist()
        [[2.0, 7.71], [9.0, 0.77]]
        """
        found = self.table.groupby(_DESIGN, sort=False)[["detectable"]].max().reset_index()
        base = self.facts.get("base", np.nan)
        return found.assign(percent=100 * found["detectable"] / abs(base) if base else np.nan)

    def glance(self) -> pd.DataFrame:
        """One row: the metric, the way and the numbers that sum it up."""
        name = "" if self.metric is None else self.metric.name
        return pd.DataFrame([{"metric": name, "how": self.how, **dict(self.facts)}])

    def summary(self) -> str:
        """Question, headline, one row a design, and notes as text."""
        return "\n".join(
            [
                self._title(),
                self.question,
                self.headline,
                "",
                self.to_markdown(),
                *(f"Note: {note}." for note in self.notes),
            ]
        )

    def to_markdown(self) -> str:
        """Write one row a design as Markdown."""
        return tables.to_markdown(self._shown())

    def to_latex(self) -> str:
        """Write one row a design as LaTeX."""
        return tables.to_latex(self._shown())

    def plot(self, ax: Any = None) -> Any:
        """Draw it; returns the Axes, shows and saves nothing."""
        return hooks.draw(self, ax)

    def _shown(self) -> pd.DataFrame:
        found = self.designs()
        return found if found["percent"].notna().any() else found.drop(columns="percent")

    def _title(self) -> str:
        label = "" if self.metric is None else f" · {self.metric.label}"
        return f"{type(self.check).__name__}.{self.how}{label}"

    def __repr__(self) -> str:
        return f"Power({self.how}): {self.headline}"

    def _repr_html_(self) -> str:
        return page(
            paragraph(self.question),
            paragraph(self.headline, strong=True),
            tables.head_to_html(self._shown(), most=_SHOWN, caption=self._title()),
            items(self.notes),
        )
