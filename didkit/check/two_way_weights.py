"""By how much each treated cell counts in an estimate, and which count backwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.results import Estimate, Finding
from didkit.results.tables import number, signed, with_unit

__all__ = ["TwoWayWeights"]

_TINY = 1e-10  # of a weight, relative to the mean one: rounding
Floats = NDArray[np.float64]
_CELLS = ["unit", "name", "period", "event_time", "weight", "share"]
_TERMS = ["term", "start", "event_time", "phase", "weight", "n_cells", "own"]


@dataclass(frozen=True)
class TwoWayWeights:
    """Ask how the effects in treated cells are averaged: by which weights, and are some negative.

    Parameters
    ----------
    stable : bool, default False
        Suppose that each unit's effect does not change over time: one weight a unit, the sum of
        those of its treated cells.

    Notes
    -----
    Under parallel trends an estimate that is linear in the outcome has as its mean Σ w × effect
    over the treated cells, w being its weights. A two-way regression gives cells of early starts
    in late periods little weight, or less than none: with effects that differ the estimate may
    then have the opposite sign of every one of them. Two numbers say how far that is from the
    data: ``sigma_zero``, the least standard deviation of effects over treated cells at which their
    mean could be zero; and ``sigma_opposite``, at which all effects could have the opposite sign
    (not defined where no weight is negative). Large beside plausible effects: the estimate stands.

    An estimate of several terms (`EventStudy`) has the weights of each term on each start and
    event time instead: those on other event times than its own are contamination, which sums to
    zero only if the effects are alike for all starts (Sun & Abraham 2021).

    It fails where parallel trends do, and for estimators that are not linear in the outcome, which
    are refused by name. TwoWayFEWeights 2.0.4 has the same as ``type="feTR"``; for
    ``type="feS"`` it takes the mean of the weights of a unit's treated periods where
    ``stable=True`` takes their sum, which is what a constant effect is multiplied by.

    References
    ----------
    de Chaisemartin & D'Haultfœuille (2020), American Economic Review 110; Sun & Abraham (2021),
    Journal of Econometrics 225, for event studies.

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> frame = pd.DataFrame(
    ...     [
    ...         (u, t, s, u * t)
    ...         for u, s in ((1, 2002), (2, 2003), (3, 0))
    ...         for t in range(2001, 2006)
    ...     ],
    ...     columns=["la", "year", "start", "y"],
    ... )
    >>> design = dk.Design.from_frame(
    ...     frame, unit="la", period="year", start="start", metrics=["y"], selection="unknown"
    ... )
    >>> finding = dk.DiD().fit(design, "y").infer(None).check(TwoWayWeights())
    >>> round(float(finding.table["weight"].sum()), 10), len(finding.table)
    (1.0, 7)
    """

    stable: bool = False

    def __post_init__(self) -> None:
        given: object = self.stable
        if not isinstance(given, bool):
            raise InferenceError(
                needed="stable=True or stable=False",
                found=repr(given),
                where="TwoWayWeights(stable=)",
                todo="True: one weight a unit, for effects that do not change over time",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Lay the weights out.

        Returns
        -------
        Finding
            One term: a row a treated cell, ``unit, name, period, event_time, weight, share``, the
            largest weight first; ``share`` is its share of all treated cells (by the sampling
            weights and population, where there are any), by which ``weight`` would average all
            alike; weights sum to one. With ``stable``, a row a unit, without period. Facts:
            ``estimate, n_weights, n_positive, n_negative, sum_positive, sum_negative, sigma_zero,
            sigma_opposite``. Several terms: a row a term, start and event time,
            ``term, start, event_time, phase, weight, n_cells, own``. Facts: ``largest`` weight (in
            size) of an event time that is not the term's own, and ``sum_negative`` of the terms
            from the start on.

        Raises
        ------
        InferenceError
            If the estimate has no weights, or those on treated cells do not sum to one.
        """
        if estimate.weights is None:
            raise InferenceError(
                needed="an estimate that is linear in the outcome and publishes its weights",
                found=repr(estimate.estimator),
                where=f"TwoWayWeights of {estimate.sample.metric.name!r}",
                todo="fit DiD(), EventStudy() or another regression to the same design",
            )
        return _of_terms(self, estimate) if estimate.n_terms > 1 else _of_cells(self, estimate)


def _of_cells(check: TwoWayWeights, estimate: Estimate) -> Finding:
    """Weights of treated cells in the one term."""
    sample, weights = estimate.sample, np.asarray(estimate.weights)
    there = sample.treated & sample.mask
    unit, period = np.nonzero(there)
    w = weights[0][there]
    if abs(w.sum() - 1) > 1e-6:
        raise InferenceError(
            needed="an estimate whose weights on treated cells sum to one: an average effect",
            found=f"{number(float(w.sum()))} for {estimate.main_term!r}",
            where=f"TwoWayWeights of {sample.metric.name!r}",
            todo="fit DiD() to the same design",
        )
    natural = np.ones(len(w)) if sample.w is None else sample.w[there]
    natural = natural / natural.sum()
    begin = np.array([*sample.starts, 0])[sample.cohort]
    table = pd.DataFrame(
        {
            "unit": np.array(sample.units)[unit],
            "name": np.array(sample.names)[unit],
            "period": np.array(sample.periods)[period],
            "event_time": period - begin[unit],
            "weight": np.where(np.abs(w) < _TINY / len(w), 0.0, w),
            "share": natural,
        },
        columns=_CELLS,
    )
    if check.stable:
        table = table.groupby(["unit", "name"], as_index=False)[["weight", "share"]].sum()
    table = table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)
    value = float(estimate.values[0])
    w, natural = table["weight"].to_numpy(), table["share"].to_numpy()
    zero, opposite = _sensitivity(value, w, natural)
    facts = {
        "estimate": value,
        "n_weights": float(len(w)),
        "n_positive": float((w > 0).sum()),
        "n_negative": float((w < 0).sum()),
        "sum_positive": float(w[w > 0].sum()),
        "sum_negative": float(w[w < 0].sum()),
        "sigma_zero": zero,
        "sigma_opposite": opposite,
    }
    what = "treated units" if check.stable else "treated cells"
    return Finding(
        check=check,
        estimate=estimate,
        question=f"How are the effects in {what} averaged, and do some count backwards?",
        headline=_headline(facts, what, estimate),
        table=table,
        facts=facts,
        notes=_notes(facts, what, estimate),
        cannot_show="how much the effects differ: it says what follows if they do",
    )


def _sensitivity(value: float, w: Floats, natural: Floats) -> tuple[float, float]:
    """Return the spread of effects at which their mean may be 0, and all the opposite sign.

    `w` sums to one, and so does `natural`; the ratio is how many times a cell counts.
    """
    times = w / natural
    spread = float(np.sqrt((natural * (times - 1) ** 2).sum()))
    zero = abs(value) / spread if spread > _TINY else float("inf")
    if not (w < 0).any():
        return zero, float("nan")
    order = np.argsort(-times, kind="stable")
    times, natural = times[order], natural[order]
    # sums over a cell and all that weigh less
    p, s, t = (
        np.cumsum(part[::-1])[::-1] for part in (natural, natural * times, natural * times**2)
    )
    rest = np.maximum(1 - p, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = (rest > 0) & (times < -s / rest)
    first = int(np.flatnonzero(reached)[0])
    return zero, float(abs(value) / np.sqrt(t[first] + s[first] ** 2 / rest[first]))


def _headline(facts: dict[str, float], what: str, estimate: Estimate) -> str:
    """Say how many count backwards."""
    n, k = int(facts["n_negative"]), int(facts["n_weights"])
    value, others = with_unit(signed(facts["estimate"]), estimate.metric), what.split()[-1]
    if n == 0:
        return f"All {k} {what} count forwards in the estimate of {value}."
    return (
        f"{n} of {k} {what} count backwards in the estimate of {value}: their weights sum to "
        f"{signed(facts['sum_negative'])}, those of the other {others} to "
        f"{signed(facts['sum_positive'])}."
    )


def _notes(facts: dict[str, float], what: str, estimate: Estimate) -> tuple[str, ...]:
    """Put the two measures into words."""
    zero, opposite = facts["sigma_zero"], facts["sigma_opposite"]
    notes = []
    if np.isfinite(zero):
        notes.append(
            f"were effects to differ between {what} with a standard deviation of "
            f"{number(zero)} or more, their plain mean could be zero"
        )
    else:
        notes.append(f"all {what} count alike: the estimate is the plain mean of their effects")
    if np.isfinite(opposite):
        notes.append(
            f"with {number(opposite)} or more, the effect could have the opposite sign in every one"
        )
    if estimate.sample.covariates:
        notes.append("with covariates, trends are supposed parallel once these are held constant")
    return tuple(notes)


def _of_terms(check: TwoWayWeights, estimate: Estimate) -> Finding:
    """Weights of each term on each start and event time."""
    if check.stable:
        raise InferenceError(
            needed="an estimate of one term with stable=True",
            found=f"{estimate.n_terms} terms",
            where=f"TwoWayWeights of {estimate.sample.metric.name!r}",
            todo="fit DiD(), or leave stable= out",
        )
    sample, weights, terms = estimate.sample, np.asarray(estimate.weights), estimate.terms
    rows = []
    for m, term in enumerate(_rows_of(terms)):
        for g, start in enumerate(sample.starts):
            members = sample.mask & (sample.cohort == g)[:, None]
            for at in range(len(sample.periods)):
                cells = members[:, at]
                if not cells.any():
                    continue
                own = _is_own(term, sample.periods[start], sample.periods[at], at - start)
                weight = float(weights[m][cells, at].sum())
                phase = "before" if at < start else "after"
                weight = 0.0 if abs(weight) < _TINY else weight
                name, n = term["term"], int(cells.sum())
                rows.append((name, sample.periods[start], at - start, phase, weight, n, own))
    table = pd.DataFrame(rows, columns=_TERMS)
    other = table[~table["own"] & (table["phase"] == "after")]
    after = set(terms.loc[terms["phase"] == "after", "term"])
    backwards = table[table["own"] & table["term"].isin(after) & (table["weight"] < 0)]
    largest = other.iloc[int(np.argmax(other["weight"].abs()))] if len(other) else None
    size = 0.0 if largest is None else float(largest["weight"])
    if largest is None or size == 0:
        headline = "No term holds effects of other event times than its own."
    else:
        headline = (
            f"{str(largest['term']).replace(' -', ' −')} holds {signed(size)} of the "
            f"effect of start {largest['start']} "
            f"at {_event_time(int(largest['event_time']))}, the most that any term holds of "
            "effects that are not its own."
        )
    return Finding(
        check=check,
        estimate=estimate,
        question="Which effects, of which start and event time, does each term hold?",
        headline=headline,
        table=table,
        facts={
            "n_terms": float(estimate.n_terms),
            "largest": size,
            "sum_negative": float(backwards["weight"].sum()),
        },
        notes=(
            "a term's weights on other event times from the start on cancel where effects are "
            "alike for all starts, and contaminate it where they are not",
        ),
        cannot_show="how much the effects differ between starts: it says what follows if they do",
    )


def _event_time(time: int) -> str:
    return f"event time {time:+d}".replace("-", "−") if time else "event time 0"


def _rows_of(terms: pd.DataFrame) -> list[dict[str, object]]:
    """Lay terms out as their rows."""
    return [{str(name): value for name, value in row.items()} for row in terms.to_dict("records")]


def _is_own(term: dict[str, object], start: str, period: str, event_time: int) -> bool:
    """Whether a start and period are what the term is about."""
    if "period" in term and isinstance(term["period"], str) and term["period"]:
        if term["period"] != period:
            return False
        return not term.get("group") or term["group"] == start
    if term.get("group"):
        return term["group"] == start and event_time >= 0
    at = term.get("event_time")
    return isinstance(at, int | float | np.number) and float(at) == event_time
