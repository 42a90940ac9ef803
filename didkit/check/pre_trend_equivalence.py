"""Equivalence: how small movements before the start can be said to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.answers import Answer
from didkit.check.asked import check_inference
from didkit.check.combined import combined, intervals, own_permutation, whole_matrix
from didkit.check.equivalent import (
    check_inside,
    check_margin,
    folded_margin,
    folded_p,
    largest_root,
    two_sided_by_permutation,
    two_sided_margin,
    two_sided_p,
)
from didkit.check.event_terms import EventTerms
from didkit.check.path_words import amount, percent, times
from didkit.check.pre_trend_power import earlier_terms
from didkit.check.trend_adjusted import less_mean_before
from didkit.errors import InferenceError, is_number
from didkit.estimate import DiD
from didkit.inference import Permutation
from didkit.results import Estimate, Finding, Inference, tables

__all__ = ["PreTrendEquivalence"]

Floats = NDArray[np.float64]
_MEASURES = {
    "max": "the largest movement before the start",
    "mean": "the mean movement before the start",
    "rms": "the root mean square of movements before the start",
}


@dataclass(frozen=True)
class PreTrendEquivalence:
    """Ask how small movements before the start can be said to be.

    A test of no movement that does not reject shows nothing: few data do not reject either. Here
    the hypothesis is turned round: that pilots and comparators moved apart by the margin or more.

    Parameters
    ----------
    margin : float
        A movement that would not matter, in the unit of the outcome. There is no default: only
        who knows the outcome can say it. A margin above the range of the outcome in the sample
        (a rate or count: above its mean) is refused as being in another unit.
    measure : {"max", "mean", "rms"}
        What the margin is for; all three stand in the table. The largest movement of a term from
        the reference; the mean of the terms, with their signs, so that movements up and down
        cancel; the root of their mean square.
    level : float, default 0.95
        1 − the size of the test: 0.95 tests at 5 %, by intervals of 90 %.
    inference : Inference, optional
        As for `EventTerms.of`; or a `Permutation`. By default the estimate's own.

    Notes
    -----
    The **smallest margin** at which movements could be said to be inside is what is measured, and
    it is always given: a far end of an interval, in the unit of the outcome.

    * max: two one-sided tests of each term (Hartman & Hidalgo 2018), all of which must reject, so
      that nothing is adjusted for their number (intersection–union).
    * mean: the same for the mean of the terms.
    * rms: with b the k terms, ``(|b| + t √λ) / √k`` with λ the largest eigenvalue of the
      covariance. It is conservative: |b| is at least its component in the direction of the true
      path, whose variance is at most λ. Dette & Schumann's pivotal statistic needs the estimate on
      growing subsets of the units, which few pilots do not have.

    t with the combination's own degrees of freedom where the covariance has them, else the normal.
    Where the inference is a permutation, max and mean are by the interval that inverts it (mean:
    with one start and complete cells); rms stays with the covariance. ``sharper_margin`` and
    ``sharper_p`` are Dette & Schumann's (2024) first test, by the folded normal: its size is
    exact, and so an estimate that happens to be near zero is inside any margin, however noisy.

    References
    ----------
    Dette & Schumann (2024), JBES; Hartman & Hidalgo (2018), AJPS.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.ClusterRobust("CR2"))
    >>> found = events.check(dk.PreTrendEquivalence(5.0))
    >>> found.facts["smallest_mean"] < found.facts["smallest_max"]
    True
    """

    margin: float
    measure: Literal["max", "mean", "rms"] = field(default="max", kw_only=True)
    level: float = field(default=0.95, kw_only=True)
    inference: Inference | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_inference(self.inference, "PreTrendEquivalence(inference=)")
        object.__setattr__(self, "margin", check_margin(self.margin, "PreTrendEquivalence"))
        if self.measure not in _MEASURES:
            raise InferenceError(
                needed="measure: " + ", ".join(_MEASURES),
                found=repr(self.measure),
                where="PreTrendEquivalence",
                todo="choose one; the table has all",
            )
        if not is_number(self.level) or not 0.5 < self.level < 1:
            raise InferenceError(
                needed="a level between 0.5 and 1",
                found=repr(self.level),
                where="PreTrendEquivalence",
                todo="0.95 tests at 5 %",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Ask for an estimate.

        Returns
        -------
        Finding
            Table: one row a tested term and one each for max, mean and rms: ``measure, term,
            position, estimate, std_error, df, conf_low, conf_high`` (at 2 × level − 1),
            ``smallest_margin, p_value`` (of a movement of the margin or more), ``sharper_margin,
            sharper_p, method``. Facts: ``margin, smallest_margin, p_value`` (of the measure),
            ``smallest_max, smallest_mean, smallest_rms, largest, times`` (smallest margin over
            the estimate's size).

        Raises
        ------
        InferenceError
            If the terms are refused by `EventTerms`, or the margin is clearly in another unit.
        """
        asked = None if isinstance(self.inference, Permutation) else self.inference
        terms = EventTerms.of(estimate, inference=asked)
        if isinstance(estimate.estimator, DiD):
            terms = less_mean_before(terms)  # so that movements stand beside what is printed
        return self.on(terms).finding(self, estimate)

    def on(self, terms: EventTerms) -> Answer:
        """Ask for terms, which another program may have estimated.

        Parameters
        ----------
        terms : EventTerms
            ``EventTerms.of(estimate)`` or ``EventTerms.given(values, covariance)``.

        Returns
        -------
        Answer
            As `run`.
        """
        check_inside(self.margin, terms, "PreTrendEquivalence")
        tested, notes = earlier_terms(terms, "PreTrendEquivalence")
        matrix = np.vstack([np.eye(len(tested))[tested], tested / tested.sum()])
        k = len(matrix) - 1
        table, asked = self._by_covariance(terms, matrix, tested)
        table, said = self._by_permutation(terms, matrix, table)
        each = table.iloc[:k]
        worst = int(each["smallest_margin"].to_numpy().argmax())
        largest = int(each["estimate"].abs().to_numpy().argmax())
        top = each.iloc[[worst]].assign(
            measure="max",
            term=f"largest of {k}",
            position=np.nan,
            estimate=each["estimate"].iloc[largest],
            p_value=each["p_value"].max(),
            sharper_margin=each["sharper_margin"].max(),
            sharper_p=each["sharper_p"].max(),
            std_error=np.nan,
            df=np.nan,
            conf_low=np.nan,
            conf_high=np.nan,
        )
        root = self._root(terms, tested, asked)
        table = pd.concat([each, top, table.iloc[[k]], root], ignore_index=True)
        rows = {name: table[table["measure"] == name].iloc[0] for name in _MEASURES}
        mine = rows[self.measure]
        size = abs(terms.estimate)
        facts = {
            "margin": self.margin,
            "smallest_margin": float(mine["smallest_margin"]),
            "p_value": float(mine["p_value"]),
            **{f"smallest_{name}": float(row["smallest_margin"]) for name, row in rows.items()},
            "largest": abs(float(rows["max"]["estimate"])),
            "estimate": terms.estimate,
            "times": float(mine["smallest_margin"]) / size if size else np.inf,
            "terms": float(k),
        }
        return Answer(
            question="How small can movements before the start be said to be?",
            headline=self._headline(terms, mine, facts, str(each["term"].iloc[largest])),
            table=table,
            facts=facts,
            notes=(
                *terms.notes,
                *notes,
                *said,
                "the root mean square is tested conservatively, by the noisiest direction",
            ),
            cannot_show="whether trends would have stayed as near after the start, nor whether a "
            "movement of the margin is small enough to leave aside",
        )

    def _by_covariance(
        self, terms: EventTerms, matrix: Floats, tested: NDArray[np.bool_]
    ) -> tuple[pd.DataFrame, Floats]:
        """Return the rows of the terms and of their mean, and the degrees of freedom."""
        found = intervals(terms, matrix, 2 * self.level - 1, inference=self._covariance_by())
        names = [name for name, use in zip(terms.names, tested, strict=True) if use]
        k = len(names)
        table = pd.DataFrame(
            {
                "measure": ["term"] * k + ["mean"],
                "term": [*names, f"mean of {k}"],
                "position": [*terms.times[tested].astype(float), np.nan],
                "estimate": found.values,
                "std_error": found.std_errors,
                "df": found.df,
                "conf_low": found.low,
                "conf_high": found.high,
                "smallest_margin": two_sided_margin(
                    found.values, found.std_errors, found.df, self.level
                ),
                "p_value": two_sided_p(found.values, found.std_errors, found.df, self.margin),
                "sharper_margin": folded_margin(found.values, found.std_errors, self.level),
                "sharper_p": folded_p(found.values, found.std_errors, self.margin),
                "method": [found.method] * (k + 1),
            }
        )
        return table, found.df

    def _covariance_by(self) -> Inference | None:
        return None if isinstance(self.inference, Permutation) else self.inference

    def _by_permutation(
        self, terms: EventTerms, matrix: Floats, table: pd.DataFrame
    ) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Put the permutation's intervals in place of the covariance's, where they exist."""
        by = self.inference if isinstance(self.inference, Permutation) else None
        if by is None and self.inference is None:
            by = own_permutation(terms)
        if by is None or terms.events is None:
            return table, ()
        events, k = terms.events, len(matrix) - 1
        names = list(events.terms["term"].astype(str))
        at = [names.index(str(name)) for name in table["term"].iloc[:k]]
        mean = combined(events, whole_matrix(terms, matrix[k:]), ["mean"])
        asked: list[tuple[Estimate, list[int], list[int]]] = [(events, at, list(range(k)))]
        notes = ["max and mean are by permutation of the pilots, rms by the covariance"]
        if mean.reassigned is not None:
            asked.append((mean, [0], [k]))
        else:
            notes = [
                "max is by permutation of the pilots; mean and rms by the covariance, as there is "
                "no one complete number a unit to permute"
            ]
        for estimate, places, rows in asked:
            again = by.redrawn(estimate)
            for m, row in zip(places, rows, strict=True):
                low, high, p = two_sided_by_permutation(again, m, self.level, self.margin)
                table.loc[row, ["conf_low", "conf_high"]] = low, high
                table.loc[row, ["smallest_margin", "p_value"]] = max(abs(low), abs(high)), p
                table.loc[row, ["std_error", "df"]] = np.nan
                table.loc[row, "method"] = f"inverted {by!r}"
        return table, tuple(notes)

    def _root(self, terms: EventTerms, tested: NDArray[np.bool_], df: Floats) -> pd.DataFrame:
        """Return the row of the root mean square."""
        own = terms.covariance[np.ix_(tested, tested)]
        k = len(own)
        value = np.array([float(np.sqrt(np.mean(terms.values[tested] ** 2)))])
        error = np.array([largest_root(own) / np.sqrt(k)])
        least = np.array([df[:k].min()])
        margin = float(two_sided_margin(value, error, least, self.level)[0])
        return pd.DataFrame(
            {
                "measure": ["rms"],
                "term": [f"root mean square of {k}"],
                "position": [np.nan],
                "estimate": value,
                "std_error": error,
                "df": least,
                "conf_low": [np.nan],
                "conf_high": [margin],
                "smallest_margin": [margin],
                "p_value": two_sided_p(value, error, least, self.margin),
                "sharper_margin": [np.nan],
                "sharper_p": [np.nan],
                "method": [f"{terms.method}; noisiest direction"],
            }
        )

    def _headline(
        self, terms: EventTerms, row: pd.Series, facts: dict[str, float], name: str
    ) -> str:
        """Say the smallest margin, and where the one given stands."""
        what = _MEASURES[self.measure]
        value = tables.number(abs(float(row["estimate"])))
        seen = f"{value} ({name})" if self.measure == "max" else value
        smallest = facts["smallest_margin"]
        said = tables.p_equals(facts["p_value"])
        if not np.isfinite(smallest):
            return (
                f"{what[0].upper()}{what[1:]} is {seen}; with these pilots no margin can be said "
                f"to hold it at {percent(self.level)}."
            )
        where = "lies above" if smallest < self.margin else "lies below"
        ratio = (
            f", {times(smallest, terms.estimate)} the estimate of {tables.number(terms.estimate)}"
            if terms.estimate
            else ""
        )
        return (
            f"{what[0].upper()}{what[1:]} is {seen}, and can be said at {percent(self.level)} to "
            f"be below {amount(terms, smallest)}{ratio}; the margin of "
            f"{tables.number(self.margin)} {where} that ({said})."
        )
