"""Trend-adjusted: the effect less what a trend from before the start would have brought."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.answers import Answer
from didkit.check.asked import check_inference
from didkit.check.combined import intervals, own_permutation, permutable
from didkit.check.equivalent import (
    check_inside,
    check_margin,
    two_sided_by_permutation,
    two_sided_margin,
    two_sided_p,
)
from didkit.check.event_terms import PRINTED, EventTerms, Of
from didkit.check.path_words import amount, change_of_rate, percent
from didkit.errors import InferenceError, is_number, is_whole
from didkit.estimate import DiD
from didkit.inference import Permutation
from didkit.results import Estimate, Finding, Inference, tables

__all__ = ["TrendAdjusted", "less_mean_before", "line_rows"]

Floats = NDArray[np.float64]
_SHAPES = {1: "straight line", 2: "parabola"}
_REPORTED = ("as estimated", "less the mean before", "line", "adjusted", "difference")


@dataclass(frozen=True)
class TrendAdjusted:
    """Take out what a line through the periods before the start would have brought after it.

    Parameters
    ----------
    degree : {1, 2}, default 1
        A straight line; or a parabola, which needs four periods before the start.
    margin : float, optional
        A difference between adjusted and estimated that would not matter, in the outcome's unit:
        the non-inferiority question of Bilinski & Hatfield. Without it the smallest margin is
        given all the same.
    level : float, optional
        Of the intervals and, as 1 − the size, of the non-inferiority test; by default that of the
        estimate's intervals.
    of, inference : optional
        As for `EventTerms.of`; `inference` may be a `Permutation`.

    Notes
    -----
    The line is fitted by least squares, slope and intercept, to all periods before the start, the
    reference among them at 0 by construction. So it is the model of Bilinski & Hatfield (2018): a
    trend of the pilots' own and a free effect in each period from the start on; in a balanced panel
    with one start the adjusted terms are that regression's coefficients. With a free intercept the
    result does not hang on which period is the reference; a line forced through the reference
    would, as it would take that one period's noise for none. Each quantity is a linear combination
    of the terms, ``a'β``, and its standard error is from their whole covariance: a line carried
    forward is much less certain than the terms, and the further the less.

    ``difference`` is adjusted less estimated. What is estimated is the combination less the
    reference; for an estimate that compares with the mean of all periods before (`DiD`), less
    their mean: the intercept then is no part of the difference. Its smallest margin is by two
    one-sided tests.

    Where the inference is a permutation, the rows of the reported combination are by permutation
    of the pilots (one start and complete cells), the others by the covariance. Whether to adjust
    must not be decided by looking at the trend: choosing the estimate that suits by a pre-test
    makes both intervals wrong.

    References
    ----------
    Bilinski & Hatfield (2018), arXiv:1805.03273.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.ClusterRobust("CR2"))
    >>> found = events.check(dk.TrendAdjusted())
    >>> round(found.facts["adjusted"] - found.facts["original"], 3) == round(
    ...     found.facts["difference"], 3
    ... )
    True
    """

    degree: int = field(default=1, kw_only=True)
    margin: float | None = field(default=None, kw_only=True)
    level: float | None = field(default=None, kw_only=True)
    of: Of = field(default=None, kw_only=True, hash=False)
    inference: Inference | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_inference(self.inference, "TrendAdjusted(inference=)")
        if not is_whole(self.degree) or self.degree not in _SHAPES:
            raise InferenceError(
                needed="degree=1 (a straight line) or degree=2 (a parabola)",
                found=repr(self.degree),
                where="TrendAdjusted(degree=)",
                todo="use 1: a curve carried forward is hardly ever worth its noise",
            )
        if self.margin is not None:
            object.__setattr__(self, "margin", check_margin(self.margin, "TrendAdjusted"))
        if self.level is not None and not (is_number(self.level) and 0.5 < self.level < 1):
            raise InferenceError(
                needed="a level between 0.5 and 1",
                found=repr(self.level),
                where="TrendAdjusted(level=)",
                todo="0.95 is usual",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Adjust an estimate.

        Returns
        -------
        Finding
            Table: ``quantity, term, position, estimate, std_error, df, conf_low, conf_high,
            method``. For the reported combination the quantities are "as estimated" (less the
            reference), "less the mean before", "line" (what is taken out), "adjusted" and
            "difference"; for each term "as estimated", "line" and "adjusted". Facts: ``original,
            adjusted, difference`` with ``_low`` and ``_high``, ``slope`` (a period; of a parabola
            at the reference), ``smallest_margin``, ``first`` (the event
            time from which on an effect is possible), and with a margin ``margin`` and ``p_value``.

        Raises
        ------
        InferenceError
            If the terms are refused by `EventTerms`, there are too few periods before for the
            degree, or the margin is clearly in another unit.
        """
        asked = None if isinstance(self.inference, Permutation) else self.inference
        terms = EventTerms.of(estimate, of=self.of, inference=asked)
        against = isinstance(estimate.estimator, DiD)  # others compare with the reference too
        answer = self._on(_noted(terms) if against else terms, mean=against)
        printed = float(estimate.values[estimate.place_of(None, where="TrendAdjusted")])
        if against and not np.isclose(answer.facts["original"], printed, rtol=1e-6, atol=0.0):
            said = (
                f"the printed estimate is {tables.number(printed)}: its own weights of starts and "
                f"periods are not those of the terms, by which it is "
                f"{tables.number(answer.facts['original'])}"
            )
            answer = replace(answer, notes=(*answer.notes, said))
        return answer.finding(self, estimate)

    def on(self, terms: EventTerms) -> Answer:
        """Adjust terms, which another program may have estimated.

        Parameters
        ----------
        terms : EventTerms
            ``EventTerms.of(estimate)`` or ``EventTerms.given(values, covariance)``.

        Returns
        -------
        Answer
            As `run`; what is estimated is the combination less the reference.
        """
        return self._on(terms, mean=False)

    def _on(self, terms: EventTerms, *, mean: bool) -> Answer:
        level = terms.level if self.level is None else self.level
        if self.margin is not None:
            check_inside(self.margin, terms, "TrendAdjusted")
        n_before = int(terms.before.sum())
        if n_before < self.degree + (self.degree > 1):
            raise InferenceError(
                needed="at least four periods before the start for a parabola (three terms and "
                "the reference)",
                found=f"{n_before + 1}",
                where="TrendAdjusted(degree=2)",
                todo="use degree=1, or a longer window",
            )
        line, slope = line_rows(terms, self.degree)
        flat, _ = line_rows(terms, 0)
        own, k = np.eye(len(terms.times)), len(terms.times)
        w = terms.weights
        original = w - w @ flat if mean else w
        reported = np.vstack([w, w - w @ flat, w @ line, w - w @ line, w - w @ line - original])
        matrix = np.vstack([reported, own, line, own - line])
        asked = None if isinstance(self.inference, Permutation) else self.inference
        found = intervals(terms, matrix, level, inference=asked)
        quantities = ["as estimated", "line", "adjusted"]
        table = pd.DataFrame(
            {
                "quantity": [*_REPORTED, *(one for one in quantities for _ in range(k))],
                "term": [terms.label] * len(_REPORTED) + list(terms.names) * 3,
                "position": [np.nan] * len(_REPORTED) + terms.times.astype(float).tolist() * 3,
                "estimate": found.values,
                "std_error": found.std_errors,
                "df": found.df,
                "conf_low": found.low,
                "conf_high": found.high,
                "method": [found.method] * len(matrix),
            }
        )
        last = slice(len(_REPORTED) - 1, len(_REPORTED))
        value, error, df = found.values[last], found.std_errors[last], found.df[last]
        smallest = float(two_sided_margin(value, error, df, level)[0])
        p = np.nan
        if self.margin is not None:
            p = float(two_sided_p(value, error, df, self.margin)[0])
        table, smallest, p, notes = self._permuted(terms, reported, level, table, smallest, p)
        facts = self._facts(table, float(slope @ terms.values), smallest, mean=mean)
        facts["first"] = float(terms.first)
        if self.margin is not None:
            facts |= {"margin": self.margin, "p_value": p}
        if n_before == self.degree:
            notes = (*notes, "the line goes through every period before: nothing checks it")
        return Answer(
            question="What is left of the effect if the trend before the start had gone on?",
            headline=self._headline(terms, facts, level, n_before + 1),
            table=table,
            facts=facts,
            notes=(*terms.notes, *notes),
            cannot_show="whether the trend before the start would have gone on: a line carried "
            "forward is an assumption as much as parallel trends are",
            alternatives=(facts["adjusted_low"], facts["adjusted_high"]),
        )

    def _permuted(
        self,
        terms: EventTerms,
        reported: Floats,
        level: float,
        table: pd.DataFrame,
        smallest: float,
        p: float,
    ) -> tuple[pd.DataFrame, float, float, tuple[str, ...]]:
        """Put intervals by permutation in place, where the inference is one and they exist."""
        by: Any = self.inference if isinstance(self.inference, Permutation) else None
        if by is None and self.inference is None:
            by = own_permutation(terms)
        if by is None:
            return table, smallest, p, ()
        made = permutable(terms, reported)
        if made is None:
            why = "there is no one complete number a unit, or no common start, to permute"
            return table, smallest, p, (f"intervals are by the covariance: {why}",)
        again = by.redrawn(made)
        for m in range(len(reported)):
            found = again.invert(m, level)
            table.loc[m, ["conf_low", "conf_high"]] = found.low, found.high
        table.loc[: len(reported) - 1, "method"] = f"inverted {by!r}"
        table.loc[: len(reported) - 1, "df"] = np.nan
        low, high, p = two_sided_by_permutation(again, len(reported) - 1, level, self.margin)
        said = "intervals of the reported combination are by permutation of the pilots"
        return table, max(abs(low), abs(high)), p, (said,)

    def _facts(
        self, table: pd.DataFrame, slope: float, smallest: float, *, mean: bool
    ) -> dict[str, float]:
        facts: dict[str, float] = {}
        for name, quantity in (
            ("original", "less the mean before" if mean else "as estimated"),
            ("adjusted", "adjusted"),
            ("difference", "difference"),
        ):
            row = table.iloc[_REPORTED.index(quantity)]
            facts[name] = float(row["estimate"])
            facts[f"{name}_low"] = float(row["conf_low"])
            facts[f"{name}_high"] = float(row["conf_high"])
        return {**facts, "slope": slope, "smallest_margin": smallest}

    def _headline(self, terms: EventTerms, facts: dict[str, float], level: float, n: int) -> str:
        """Say what the line takes out, and what is left."""
        shape = _SHAPES[self.degree]
        rises = (
            f" moves by {change_of_rate(terms, facts['slope'])}" if self.degree == 1 else " is bent"
        )
        said = (
            f"A {shape} through the {n} periods before the start{rises}; carried forward and taken "
            f"out of the estimate ({terms.label}), it leaves {amount(terms, facts['adjusted'])} "
            f"({percent(level)} {tables.number(facts['adjusted_low'])} to "
            f"{tables.number(facts['adjusted_high'])}) of {tables.number(facts['original'])}. "
            f"The difference of {tables.number(facts['difference'])} can be said at "
            f"{percent(level)} to be within ±{tables.number(facts['smallest_margin'])}"
        )
        if self.margin is None:
            return f"{said}."
        where = "lies above" if facts["smallest_margin"] < self.margin else "lies below"
        equals = tables.p_equals(facts["p_value"])
        return f"{said}; the margin of {tables.number(self.margin)} {where} that ({equals})."


def less_mean_before(terms: EventTerms) -> EventTerms:
    """Return terms whose combination is less the mean of all periods before, as a DiD's is.

    Examples
    --------
    >>> given = pd.Series({-2: 1.0, 0: 3.0})
    >>> noise = pd.DataFrame(np.eye(2), given.index, given.index)
    >>> less_mean_before(EventTerms.given(given, noise)).estimate
    2.5
    """
    flat, _ = line_rows(terms, 0)
    label = f"{terms.label}, less the mean before"
    return replace(_noted(terms), weights=terms.weights - terms.weights @ flat, label=label)


def _noted(terms: EventTerms) -> EventTerms:
    """Leave out the note that what is printed is another number: here it is the same."""
    notes = tuple(note for note in terms.notes if not note.startswith(PRINTED))
    return replace(terms, notes=notes)


def line_rows(terms: EventTerms, degree: int) -> tuple[Floats, Floats]:
    """Return what a polynomial through the periods before is at each term, as weights of terms.

    Parameters
    ----------
    terms : EventTerms
        With k terms.
    degree : int
        0 is the mean of the periods before.

    Returns
    -------
    (array (k, k), array (k,))
        Rows: the fitted value at each term's time, as a combination of the terms (the reference is
        0 and needs none). And the slope at the reference, likewise.

    Examples
    --------
    >>> made = pd.Series({-3: -4.0, -2: -2.0, 0: 5.0, 1: 9.0})
    >>> noise = pd.DataFrame(np.eye(4), made.index, made.index)
    >>> rows, slope = line_rows(EventTerms.given(made, noise), 1)
    >>> (rows @ made.to_numpy()).round(6).tolist(), round(float(slope @ made.to_numpy()), 6)
    ([-4.0, -2.0, 2.0, 4.0], 2.0)
    """
    since = (terms.times - terms.reference).astype(float)
    powers = np.arange(degree + 1)
    before = np.append(since[terms.before], 0.0)[:, None] ** powers
    fit = np.linalg.pinv(before)[:, :-1]  # the last column meets the reference, which is 0
    whole = np.zeros((degree + 1, len(since)))
    whole[:, terms.before] = fit
    slope = whole[1] if degree else np.zeros(len(since))
    return since[:, None] ** powers @ whole, slope
