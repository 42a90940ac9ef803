"""From effects by cohort and period to the terms that are asked for: one matrix, and its names.

Every estimator with an effect for each cohort g and period t (group-time, interaction-weighted,
imputation, extended two-way, …) ends here, so that all have the same terms, names and weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, is_whole

__all__ = [
    "Aggregated",
    "Aggregation",
    "By",
    "aggregate",
    "check_aggregation",
    "check_by",
    "cohort_sizes",
    "event_name",
    "phase_of",
    "shares_by_kind",
    "unit_weights",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
By = Literal["simple", "dynamic", "group", "calendar", "none"]


def check_by(by: object, balance: object, overall: object, where: str) -> None:
    """Refuse an unknown way to aggregate, or options that do not go with it.

    Raises
    ------
    EstimationError
        The options do not exist, or not together.
    """
    if by not in get_args(By):
        raise EstimationError(
            needed="by: " + ", ".join(map(repr, get_args(By))),
            found=repr(by),
            where=f"{where}(by=)",
            todo="'simple' is one number, 'dynamic' an event study, 'group' by start, 'calendar' "
            "by period, 'none' every cohort and period",
        )
    if balance is not None and (by != "dynamic" or not is_whole(balance) or int(str(balance)) < 0):
        raise EstimationError(
            needed="balance: a whole number of periods after the start, with by='dynamic'",
            found=f"balance={balance!r}, by={by!r}",
            where=f"{where}(balance=)",
            todo="balance=1 keeps the cohorts that are seen one period after their start",
        )
    if not isinstance(overall, bool) or (overall and by in ("simple", "none")):
        raise EstimationError(
            needed="overall=True with by='dynamic', 'group' or 'calendar'",
            found=f"overall={overall!r}, by={by!r}",
            where=f"{where}(overall=)",
            todo="by='simple' is one number already",
        )


def event_name(e: int) -> str:
    """Name a time since the start."""
    return f"event time {e:+d}" if e else "event time 0"


def phase_of(e: int, anticipation: int = 0) -> str:
    """Name the time of a period, counted from the start."""
    if e >= 0:
        return "after"
    return "anticipation" if e >= -anticipation else "before"


@dataclass(frozen=True, eq=False)
class Aggregation:
    """k terms as combinations of C effects.

    Parameters
    ----------
    terms : DataFrame
        ``term, position, phase`` and, by kind, ``event_time``, ``group`` (label of the start) and
        ``period``.
    matrix : array (k, C)
        Each term's weight on each cell; rows add up to 1.
    size : array (G,)
        What cohorts count for, as used.
    members : bool array (k, C)
        Cells that enter a term.
    """

    terms: pd.DataFrame
    matrix: Floats
    size: Floats
    members: Bools
    g: Ints
    #: cohorts are averaged by size, the cells of a cohort alike: by="group", overall=True
    nested: bool = False
    #: what one average is the plain mean of: by="dynamic" or "calendar", overall=True
    parts: Aggregation | None = None

    def share_influence(self, effects: Floats, shares: Floats) -> Floats:
        """Return what the estimation of the cohorts' shares adds to the influence, (J, k).

        Callaway & Sant'Anna (2021), after their theorem 2 (corollary 2): terms are averages
        with weights P(G = g), which are estimated too.

        Parameters
        ----------
        effects : array (C,)
            The effects of the cells.
        shares : array (J, G)
            Each unit's part in each cohort's size, of mean zero in the sample: for n units that
            count alike, ``(1{G_j = g} − n_g/n) / n``.

        Returns
        -------
        array (J, k)
            Zero for terms of one cohort, and where `size` is not estimated.
        """
        if self.parts is not None:
            return np.asarray(
                self.parts.share_influence(effects, shares).mean(axis=1, keepdims=True)
            )
        k = len(self.matrix)
        made = np.zeros((len(shares), k))
        for m in range(k):
            inside = self.members[m]
            if len(np.unique(self.g[inside])) < 2:
                continue
            value = float(self.matrix[m] @ effects)
            if self.nested:
                kinds = np.unique(self.g[inside])
                means = np.array([effects[inside & (self.g == g)].mean() for g in kinds])
                total = self.size[kinds].sum()
                made[:, m] = shares[:, kinds] @ ((means - value) / total)
                continue
            total = self.size[self.g[inside]].sum()
            made[:, m] = shares[:, self.g[inside]] @ ((effects[inside] - value) / total)
        return made


def aggregate(
    sample: Sample,
    g: Ints,
    t: Ints,
    by: By,
    *,
    size: Floats,
    starts: Ints | None = None,
    anticipation: int = 0,
    balance: int | None = None,
    overall: bool = False,
    cell_size: Floats | None = None,
) -> Aggregation:
    """Say which terms there are, and each as a combination of the effects of C cells.

    Parameters
    ----------
    sample : Sample
        Names the periods.
    g, t : int array (C,)
        Cohort (index into ``sample.starts``) and period (position) of each effect.
    by : {"simple", "dynamic", "group", "calendar", "none"}
        One number over the cells from the start on; by periods since the start, before it too; by
        start; by period, from the start on; or every cell.
    size : array (G,)
        What each cohort counts for: its number of pilots, its people, or 1 for all.
    starts : int array (G,), optional
        Positions of the starts; by default ``sample.starts``.
    anticipation : int
        Periods before the start in which the programme may act; they are no part of an average.
    balance : int, optional
        ``by="dynamic"``: only cohorts that are seen so many periods after their start, and terms
        up to there, so that the composition does not change from the start on. Before it, a term
        has those of these cohorts that are seen so early (as in R's did).
    overall : bool
        One average: of the terms from the start on, all alike, for "dynamic" and "calendar"; of
        the cohorts' own averages by their size for "group".
    cell_size : array (C,), optional
        What each cell counts for, instead of its cohort's `size`: where pilots have gaps, their
        number with a value.

    Returns
    -------
    Aggregation

    Raises
    ------
    EstimationError
        If no cell enters any term.
    """
    starts = np.array(sample.starts, dtype=np.intp) if starts is None else starts
    e = t - starts[g]
    count = size[g] if cell_size is None else cell_size
    rows: list[dict[str, object]] = []
    members: list[Bools] = []
    last = np.array([t[g == h].max() if (g == h).any() else -1 for h in range(len(starts))])
    after = e >= 0
    if by == "simple":
        rows.append({"term": "att", "position": 0, "phase": "after"})
        members.append(after)
    elif by == "none":
        for c in range(len(g)):
            start, period = sample.periods[starts[g[c]]], sample.periods[t[c]]
            rows.append(
                {
                    "term": f"start {start}, period {period}",
                    "position": c,
                    "event_time": int(e[c]),
                    "group": start,
                    "period": period,
                    "phase": phase_of(int(e[c]), anticipation),
                }
            )
            members.append(np.arange(len(g)) == c)
    elif by == "dynamic":
        kept = np.ones(len(g), dtype=bool)
        if balance is not None:
            full = last - starts >= balance
            kept = full[g] & (e <= balance)
        one = len(np.unique(g)) == 1
        for time in np.unique(e[kept]).tolist():
            at = int(starts[g[0]] + time) if one else -1
            rows.append(
                {
                    "term": event_name(time),
                    "position": time,
                    "event_time": time,
                    "period": sample.periods[at] if one else "",
                    "phase": phase_of(time, anticipation),
                }
            )
            members.append(kept & (e == time))
    elif by == "group":
        for h in np.unique(g[after]).tolist():
            start = sample.periods[starts[h]]
            rows.append({"term": f"start {start}", "position": h, "group": start, "phase": "after"})
            members.append(after & (g == h))
    else:
        for when in np.unique(t[after]).tolist():
            rows.append(
                {
                    "term": f"period {sample.periods[when]}",
                    "position": when,
                    "period": sample.periods[when],
                    "phase": "after",
                }
            )
            members.append(after & (t == when))
    if not rows or not any(inside.any() for inside in members):
        raise EstimationError(
            needed="an effect from the start on",
            found="none that is identified"
            + ("" if balance is None else f", of cohorts seen {balance} periods after their start"),
            where=f"metric {sample.metric.name!r}",
            todo="widen the window or the comparison, or use a smaller balance=",
        )
    inside: Bools = np.stack(members)
    matrix: Floats = np.where(inside, np.asarray(count, dtype=np.float64), 0.0)
    if by == "group":  # within a cohort periods count alike, whatever its size
        matrix = np.where(inside, np.ones(len(g)) if cell_size is None else cell_size, 0.0)
    matrix = matrix / matrix.sum(axis=1, keepdims=True)
    terms = pd.DataFrame({name: [row[name] for row in rows] for name in rows[0]})
    if not overall:
        return Aggregation(terms, matrix, size, inside, g)
    counted = (terms["phase"] == "after").to_numpy()
    average = pd.DataFrame([{"term": "att", "position": 0, "phase": "after"}])
    if by == "group":
        weight = np.array([size[h] for h in terms["position"].to_numpy()])
        row = (weight / weight.sum()) @ matrix
        return Aggregation(
            average, row[None], size, np.atleast_2d(inside.any(axis=0)), g, nested=True
        )
    row = matrix[counted].mean(axis=0)
    parts = Aggregation(terms[counted], matrix[counted], size, inside[counted], g)
    return Aggregation(
        average, row[None], size, np.atleast_2d(inside[counted].any(axis=0)), g, parts=parts
    )


Aggregated = Literal["pilots", "cohorts"]


def check_aggregation(aggregation: object, where: str) -> None:
    """Refuse an unknown weighting of cohorts.

    Raises
    ------
    EstimationError
        If it is neither "pilots" nor "cohorts".
    """
    if aggregation not in get_args(Aggregated):
        raise EstimationError(
            needed="aggregation='pilots' or aggregation='cohorts'",
            found=repr(aggregation),
            where=f"{where}(aggregation=)",
            todo="each pilot counts once, or each cohort; for people write population=",
        )


def cohort_sizes(sample: Sample, aggregation: Aggregated) -> tuple[Floats, Floats]:
    """Return what each cohort counts for, (G,), and each unit's part in it, (J, G).

    ``"pilots"``: the share of all units (weighted, where the sample is) that is in the cohort, an
    estimate whose error `Aggregation.share_influence` carries on. ``"cohorts"``: all alike.
    """
    size, shares = shares_by_kind(sample, aggregation)
    return size, unit_weights(sample)[:, None] * shares[sample.cohort]


def shares_by_kind(sample: Sample, aggregation: Aggregated) -> tuple[Floats, Floats]:
    """Return what each cohort counts for, (G,), and a unit's part in it by its kind, (G + 1, G).

    As `cohort_sizes`, for a unit of weight 1 of each cohort; the last row is for comparators. It
    is what an estimator needs that meets a million units.
    """
    n_cohorts = len(sample.starts)
    if aggregation == "cohorts":
        return np.ones(n_cohorts), np.zeros((n_cohorts + 1, n_cohorts))
    weight = unit_weights(sample)
    total = np.bincount(sample.cohort + 1, weight, minlength=n_cohorts + 1)[1:]
    size: Floats = total / weight.sum()
    return size, (np.eye(n_cohorts + 1)[:, :n_cohorts] - size) / weight.sum()


def unit_weights(sample: Sample) -> Floats:
    """Return each unit's weight, (J,): the mean over its cells with a value; 1 without weights."""
    if sample.w is None:
        return np.ones(len(sample.units))
    seen = sample.mask
    made: Floats = np.where(seen, sample.w, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return made
