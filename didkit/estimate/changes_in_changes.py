"""Changes-in-changes: comparators at the same level say where each pilot would have gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_number, is_whole
from didkit.estimate.aggregation import (
    Aggregated,
    By,
    aggregate,
    check_aggregation,
    check_by,
    event_name,
)
from didkit.estimate.published import Published
from didkit.estimate.quantile_map import Effect, Four, Steps, mean_effect, quantile_effect
from didkit.estimate.wording import counted, plural
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["ChangesInChanges"]

Floats = NDArray[np.float64]
_FEW = 20  #: pilots below which quantiles between them are said to be crude


@dataclass(frozen=True)
class ChangesInChanges:
    """The effect on the pilots where each level of the outcome may change in its own way.

    Parameters
    ----------
    quantiles : sequence of float
        Shares between 0 and 1: effects at these quantiles of the pilots' distribution, as further
        terms of ``by="simple"`` ("quantile 0.5").
    reference : int, default −1
        Event time of the distributions before.
    comparison : {"never", "not_yet"}, optional
        Whom pilots are compared with: who never starts, or also who has not yet. By default what
        the design says.
    by, overall, balance, aggregation
        As for `GroupTime`: one number, by time since the start, by start, by period, or all.
    sampling, population : str, optional
        Metrics that say what cells and units count for.

    Notes
    -----
    A pilot that stood at some value before would, without the programme, have gone where
    comparators at that value went: the counterfactual of y is ``F01⁻¹(F00(y))``, of the
    comparators' distributions before (00) and after (01). Unlike a difference-in-differences this
    means the same in levels, in logs and on any scale (`FunctionalForm`); where comparators only
    shift, the two agree. It assumes that an outcome is a rising function of one unobserved thing,
    the same function in both arms in each period, whose distribution in each arm does not change.

    It fails where pilots stood outside the comparators' range before (the share is in
    ``glance()``, their counterfactual is that of the nearest comparator), where the order of units
    inside an arm changes for reasons of the arm, and with outcomes of few values: where values of
    the two arms tie, the effect is known to lie between ``bound_low`` and ``bound_high`` only.
    Pilots need not be the same units before and after: repeated cross-sections serve.
    With nine pilots a distribution has nine steps: effects at quantiles are crude, and so are
    their standard errors, which need the pilots' density.

    Standard errors come from the influence of theorem 5.1, summed by unit (density by a normal
    kernel, Silverman's width). It is not linear in the outcome: no weights, and no permutation.

    References
    ----------
    Athey & Imbens (2006), theorems 3.1, 4.1 (bounds) and 5.1 (variance).

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design
    >>> frame = pd.DataFrame(
    ...     [
    ...         (u, t, first, n * (2 if t == 2019 else 1) + 5 * (t == 2019) * (first > 0))
    ...         for u, first, n in (("a", 2019, 3.0), ("b", 0, 3.0), ("c", 0, 9.0), ("d", 0, 1.0))
    ...         for t in (2018, 2019)
    ...     ],
    ...     columns=["la", "year", "first", "cin"],
    ... )
    >>> design = Design.from_frame(
    ...     frame, unit="la", period="year", start="first", metrics=["cin"], selection="unknown"
    ... )
    >>> round(ChangesInChanges().fit(design, "cin").values.item(), 10)
    5.0
    """

    quantiles: Sequence[float] = field(default=(), kw_only=True)
    reference: int = field(default=-1, kw_only=True)
    comparison: Literal["never", "not_yet"] | None = field(default=None, kw_only=True)
    by: By = field(default="simple", kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        given: object = self.quantiles
        shares = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
        fine = all(is_number(one) and 0 < one < 1 for one in shares)
        if not fine or (not shares and given not in ((), [])) or len(set(shares)) < len(shares):
            raise EstimationError(
                needed="quantiles between 0 and 1, each once, such as (0.25, 0.5, 0.75)",
                found=repr(given),
                where="ChangesInChanges(quantiles=)",
                todo="give a tuple of shares",
            )
        object.__setattr__(self, "quantiles", tuple(float(one) for one in shares))
        check_by(self.by, self.balance, self.overall, "ChangesInChanges")
        check_aggregation(self.aggregation, "ChangesInChanges")
        if shares and self.by != "simple":
            raise EstimationError(
                needed="quantiles= with by='simple'",
                found=f"by={self.by!r}",
                where="ChangesInChanges(quantiles=)",
                todo="leave one of them out",
            )
        if self.comparison not in (None, "never", "not_yet"):
            raise EstimationError(
                needed="comparison='never' or comparison='not_yet'",
                found=repr(self.comparison),
                where="ChangesInChanges(comparison=)",
                todo="leave it out to compare as the design says",
            )
        if not is_whole(self.reference) or self.reference >= 0:
            raise EstimationError(
                needed="a reference before the start: −1, −2, …",
                found=repr(self.reference),
                where="ChangesInChanges(reference=)",
                todo="event time 0 is the first treated period; use −1",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects.

        Raises
        ------
        PanelError
            If a metric is unknown.
        DesignError, EstimationError
            Matched sets; a reference outside the window; nobody to compare with.
        """
        sample = design.sample(metric, sampling=self.sampling, population=self.population)
        if sample.sets is not None:
            raise EstimationError(
                needed="one pool of comparators, whose distribution is one",
                found="matched sets",
                where="ChangesInChanges",
                todo="compare with one pool: against=Pool() or union()",
            )
        comparison = self.comparison or ("not_yet" if sample.not_yet else "never")
        sample = sample.keep(
            np.asarray(sample.mask.any(axis=1)),
            "no cell with a value",
            advice="choose another metric",
        )
        fours = self._fours(sample, comparison)
        g = np.array([one[0] for one in fours], dtype=np.intp)
        t = np.array([one[1] for one in fours], dtype=np.intp)
        w = np.where(sample.mask, 1.0 if sample.w is None else sample.w, 0.0)
        count = np.array([w[sample.cohort == h, at].sum() for h, at in zip(g, t, strict=True)])
        found = aggregate(
            sample,
            g,
            t,
            self.by,
            size=np.ones(len(sample.starts)),
            balance=self.balance,
            overall=self.overall,
            cell_size=count if self.aggregation == "pilots" else None,
        )
        values, influence = self._effects(sample, fours, found.matrix)
        terms = self._terms(found.terms)
        inside = (found.matrix > 0).astype(np.int64)
        pilots = [sample.mask[:, at] & (sample.cohort == h) for h, at in zip(g, t, strict=True)]
        others = [four[3] & sample.mask[:, four[1]] for four in fours]
        n_pilots, n_others = (
            (inside @ np.array(who, dtype=np.int64) > 0).sum(axis=1) for who in (pilots, others)
        )
        times = len(terms) // len(found.terms)
        facts, notes = _support(fours, found.matrix, values)
        unit = sample.metric.unit or "units of the metric"
        return Published(
            values=values,
            influence=influence,
            n_pilots=np.tile(n_pilots, times),
            n_comparators=np.tile(n_others, times),
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"mean change in {tables.inside(sample.metric.label)} ({unit})"
            " of the pilots beyond "
            "where comparators at the same level went; "
            + counted(sample, self.aggregation, self.by),
            terms=terms,
            reference=self._reference(sample),
            facts=facts,
            notes=(*notes, *self._crude(sample), *_lacking(sample)),
        )

    def _fours(
        self, sample: Sample, comparison: str
    ) -> list[tuple[int, int, Four, NDArray[np.bool_]]]:
        """Return each cohort's and period's four distributions, and who compares."""
        made = []
        n = len(sample.periods)
        first = np.array([*sample.starts, n + 1])[sample.cohort]  # n + 1: never
        short = [sample.periods[s] for s in sample.starts if s + self.reference < 0]
        if short:
            raise EstimationError(
                needed=f"{-self.reference} periods before every start",
                found=f"fewer before the start in {', '.join(short)}",
                where="ChangesInChanges(reference=)",
                todo="choose a later reference, or a longer window",
            )
        w = np.ones(sample.y.shape) if sample.w is None else sample.w
        for g, start in enumerate(sample.starts):
            base = start + int(self.reference)
            for t in range(n):
                if t == base:
                    continue
                others = first > n if comparison == "never" else first > max(t, base)
                others = others & (sample.cohort != g)
                cells = [
                    (who & sample.mask[:, at], at)
                    for who in (others, sample.cohort == g)
                    for at in (base, t)
                ]
                if all(who.any() for who, _ in cells):
                    four = Four(*(Steps(sample.y[who, at], w[who, at]) for who, at in cells))
                    made.append((g, t, four, others))
        if not any(t >= sample.starts[g] for g, t, _, _ in made):
            raise EstimationError(
                needed="pilots and comparators with values in the reference and after the start",
                found=f"no such period with comparison={comparison!r}",
                where=f"ChangesInChanges, metric {sample.metric.name!r}",
                todo="choose another reference, or comparison='not_yet' where all units start",
            )
        return made

    def _effects(
        self,
        sample: Sample,
        fours: list[tuple[int, int, Four, NDArray[np.bool_]]],
        matrix: Floats,
    ) -> tuple[Floats, Floats]:
        """Put the effects of cells together: the mean first, then each quantile."""
        values, influence = [], []
        for share in (None, *self.quantiles):
            each = [
                mean_effect(four) if share is None else quantile_effect(four, share)
                for _, _, four, _ in fours
            ]
            values.append(matrix @ np.array([value for value, _ in each]))
            parts = np.stack([
                _by_unit(sample, int(self.reference), cell, effect)
                for cell, effect in zip(fours, each, strict=True)
            ])  # fmt: skip
            influence.append(np.einsum("kc,cj->jk", matrix, parts))
        return np.concatenate(values), np.concatenate(influence, axis=1)

    def _terms(self, terms: pd.DataFrame) -> pd.DataFrame:
        """Return the terms of the mean, then those of the quantiles."""
        if not self.quantiles:
            return terms
        further = [
            terms.assign(term=f"quantile {share:g}", position=i + 1)
            for i, share in enumerate(self.quantiles)
        ]
        return pd.concat([terms, *further], ignore_index=True)

    def _reference(self, sample: Sample) -> pd.DataFrame | None:
        """Return the row of the reference of an event study."""
        if self.by != "dynamic" or self.overall:
            return None
        e = int(self.reference)
        period = sample.periods[sample.starts[0] + e] if len(sample.starts) == 1 else ""
        return pd.DataFrame(
            {
                "term": [event_name(e)],
                "position": [e],
                "event_time": [e],
                "period": [period],
                "phase": ["reference"],
            }
        )

    def _crude(self, sample: Sample) -> tuple[str, ...]:
        if not self.quantiles or sample.n_pilots >= _FEW:
            return ()
        return (
            f"a distribution of {plural(sample.n_pilots, 'pilot')} has as many steps: effects at "
            "quantiles, and their standard errors, are crude",
        )


def _by_unit(
    sample: Sample, reference: int, cell: tuple[int, int, Four, NDArray[np.bool_]], effect: Effect
) -> Floats:
    """Sum the influence of a cell's four distributions by unit, (J,)."""
    g, t, _, others = cell
    base = sample.starts[g] + reference
    made = np.zeros(len(sample.units))
    places = [(who, at) for who in (others, sample.cohort == g) for at in (base, t)]
    for (who, at), part in zip(places, effect[1], strict=True):
        made[who & sample.mask[:, at]] += part
    return made


def _support(
    fours: list[tuple[int, int, Four, NDArray[np.bool_]]], matrix: Floats, values: Floats
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return how much of the first term lies outside the comparators' range, and its bounds."""
    row = matrix[0]
    outside, tied, low = np.zeros(len(fours)), np.zeros(len(fours)), np.zeros(len(fours))
    for c, (_, _, four, _) in enumerate(fours):
        before, others = four.pilot_before, four.other_before.y
        out = (before.y < others.min()) | (before.y > others.max())
        outside[c] = before.share @ out
        tied[c] = before.share @ np.isin(before.y, others)
        low[c] = before.share @ (four.moved(before.y) - four.moved(before.y, below=True))
    facts = {"out_of_support": float(row @ outside), "tied": float(row @ tied)}
    notes = []
    if facts["out_of_support"] > 0:
        notes.append(
            f"{facts['out_of_support'] * 100:.0f}% of the pilots' values before lie outside the "
            "comparators' range: the nearest comparator stands for them"
        )
    if facts["tied"] > 0:
        facts["bound_low"] = float(values[0])
        facts["bound_high"] = float(values[0] + row @ low)
        notes.append(
            f"{facts['tied'] * 100:.0f}% of the pilots' values before tie with a comparator's; if "
            f"the outcome is discrete, the effect lies between {facts['bound_low']:.4g} and "
            f"{facts['bound_high']:.4g}"
        )
    return facts, tuple(notes)


def _lacking(sample: Sample) -> tuple[str, ...]:
    """Say who is not seen in every period; distributions are of those who are."""
    gaps = ~sample.mask.all(axis=1)
    if not gaps.any():
        return ()
    return (
        f"{first_few(np.array(sample.units)[gaps])} without a value in some period: each period's "
        "distribution is of those seen in it",
    )
