"""Several outcomes and horizons at once: p-values that hold over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few, is_number
from didkit.inference.cluster import ClusterRobust
from didkit.inference.invert import TIES
from didkit.inference.permutation import Permutation
from didkit.results import Estimate

__all__ = ["adjusted_p_values"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Tail = Callable[[int, Ints], float]

METHODS = ("holm", "benjamini-hochberg", "romano-wolf", "max-t")
_OURS = {"holm": "holm", "benjamini-hochberg": "fdr_bh"}  #: as statsmodels calls them
_DRAWS, _SEED = 50_000, 0


@dataclass(frozen=True, eq=False)
class _Joint:
    """The hypotheses' statistics, and how often the largest of some of them is as large.

    ``size`` (S,): larger is further from no effect. ``tail(j, of)``: p of hypothesis j's statistic
    in the distribution of the largest over the hypotheses `of`. ``intervals(level)``: low and high
    (S,) that hold all effects together.
    """

    size: Floats
    tail: Tail
    intervals: Callable[[float], tuple[Floats, Floats]]


def adjusted_p_values(
    estimates: Estimate | Sequence[Estimate],
    *,
    methods: Sequence[str] = METHODS,
    terms: Sequence[str] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Adjust p-values for having looked at several metrics and terms.

    Parameters
    ----------
    estimates : Estimate or sequence of Estimate
        One or more, each with its inference; one that was not given any has that which its design
        recommends (``estimate.uncertainty``).
    methods : sequence of str
        ``"holm"``: over any dependence, the chance of any false rejection. ``"romano-wolf"``: the
        same, step-down, from joint draws, and ``"max-t"`` in a single step, with a simultaneous
        interval; smaller than Holm's where estimates move together.
        ``"benjamini-hochberg"``: the expected share of false rejections among the rejections, where
        p-values are independent or positively dependent.
    terms : sequence of str, optional
        Which terms make the family (of each estimate that has them); by default all, those before
        the start too.
    level : float, default 0.95
        Of the simultaneous interval.

    Returns
    -------
    DataFrame
        One row a metric and term: ``metric, term, estimate, p_value``, a column a method with the
        adjusted p-value, and with "max-t" ``band_low, band_high``: all effects are inside together
        at the level. A term without a p-value is outside the family: NaN.

    Raises
    ------
    InferenceError
        No estimate, an unknown method or term, an estimate asked to stay bare (``infer(None)``), no
        p-value at all, or joint draws that do not exist: inferences that differ, or are neither
        `Permutation` nor `ClusterRobust` one way; with `Permutation`, metrics with other units,
        starts or strata.

    Notes
    -----
    **Joint draws.** With `Permutation` all metrics get the same assignments, and an adjusted p is
    the rank of ``|t|`` in the largest over the family, the actual assignment counted; it is exact
    where all assignments are listed and no unit is affected. Terms that are ranked by the estimate
    are divided by its root mean square over the assignments first. The interval of a term is the
    permutation interval at the p that the critical value of the largest has in that term alone, so
    that zero is outside exactly when the adjusted p is at most 1 − level. With `ClusterRobust` the
    largest of correlated normals is drawn 50,000 times with a fixed seed (Monte Carlo error .001 at
    p = .05), the correlation from the clusters' joint scores over metrics (CR0; a cluster that a
    metric lacks adds nothing), and each term's p, with its own degrees of freedom, takes the place
    of its statistic.

    Step-down over hypotheses ordered by statistic: the p of each in the largest of itself and those
    behind it, never below that of one before it. It controls the chance of any false rejection
    where the joint distribution of the true nulls does not depend on the others (subset pivotality;
    under permutation an effect on one metric does not change another's draws). Fails where least p
    is above 1 − level: no interval has ends then.

    References
    ----------
    Romano & Wolf (2005, 2016); Westfall & Young (1993); Holm (1979); Benjamini & Hochberg (1995).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> how = dk.Permutation(draws=199, seed=1)
    >>> fits = [dk.DiD().fit(design, m).infer(how) for m in ("cin", "cpp")]
    >>> table = adjusted_p_values(fits)
    >>> bool((table["romano-wolf"] <= table["max-t"]).all())
    True
    """
    estimates = _check(estimates, methods, level)
    rows = _rows(estimates, terms)
    table = pd.DataFrame(
        {
            "metric": [estimates[i].metric.name for i, _ in rows],
            "term": [str(estimates[i].terms["term"].iloc[m]) for i, m in rows],
            "estimate": [estimates[i].values[m] for i, m in rows],
            "p_value": [estimates[i].attached.p_value[m] for i, m in rows],
        }
    )
    p = table["p_value"].to_numpy()
    family = np.flatnonzero(np.isfinite(p))
    if not len(family):
        raise InferenceError(
            needed="at least one p-value",
            found=f"none in {len(rows)} rows",
            where="adjusted_p_values",
            todo="choose an inference that exists for these estimates",
        )
    for method in dict.fromkeys(methods):
        if method in _OURS:
            from statsmodels.stats.multitest import multipletests

            table[method] = np.nan
            table.loc[family, method] = multipletests(p[family], method=_OURS[method])[1]
    if {"romano-wolf", "max-t"} & set(methods):
        joint = _joint(estimates, [rows[f] for f in family])
        everyone = np.arange(len(family), dtype=np.intp)
        alone = p[family]
        if "romano-wolf" in methods:
            table["romano-wolf"] = np.nan
            table.loc[family, "romano-wolf"] = _step_down(joint, alone)
        if "max-t" in methods:
            single = [max(joint.tail(j, everyone), alone[j]) for j in range(len(family))]
            table["max-t"] = np.nan
            table.loc[family, "max-t"] = single
        if "max-t" in methods:
            table["band_low"] = table["band_high"] = np.nan
            low, high = joint.intervals(level)
            table.loc[family, "band_low"], table.loc[family, "band_high"] = low, high
    names = list(dict.fromkeys(methods))
    ends = ["band_low", "band_high"] if "max-t" in names else []
    return table[["metric", "term", "estimate", "p_value", *names, *ends]]


def _step_down(joint: _Joint, alone: Floats) -> Floats:
    """Return step-down p-values: each in the largest of itself and those behind it."""
    order = np.argsort(-joint.size, kind="stable")
    made, least = np.empty(len(order)), 0.0
    for place, j in enumerate(order):
        least = max(least, joint.tail(int(j), order[place:]), float(alone[j]))
        made[j] = least
    return made


def _check(
    estimates: Estimate | Sequence[Estimate], methods: Sequence[str], level: float
) -> Sequence[Estimate]:
    """Refuse what is no list of estimates, an unknown method, and a level out of range."""
    given: object = estimates
    of: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
    if not of or not all(isinstance(one, Estimate) for one in of):
        kinds = dict.fromkeys(type(one).__name__ for one in of)
        raise InferenceError(
            needed="at least one Estimate",
            found=first_few(kinds) if kinds else "none",
            where="adjusted_p_values",
            todo="give a list, for example [DiD().fit(design, m).infer() for m in metrics]",
        )
    unknown = [m for m in methods if m not in METHODS]
    if isinstance(methods, str) or unknown or not len(methods):
        raise InferenceError(
            needed="methods: some of " + ", ".join(METHODS),
            found=repr(methods),
            where="adjusted_p_values",
            todo="for example methods=('holm', 'romano-wolf')",
        )
    if not is_number(level) or not 0 < level < 1:
        raise InferenceError(
            needed="a level between 0 and 1, such as 0.95",
            found=repr(level),
            where="adjusted_p_values(level=)",
            todo="give the level of the interval, not its complement",
        )
    return of


def _rows(estimates: Sequence[Estimate], terms: Sequence[str] | None) -> list[tuple[int, int]]:
    """Return which estimate and which of its terms each row is."""
    names = [list(map(str, one.terms["term"])) for one in estimates]
    wanted = None if terms is None else ([terms] if isinstance(terms, str) else list(terms))
    every = {name for found in names for name in found}
    unknown = [] if wanted is None else [name for name in wanted if name not in every]
    if unknown or wanted == []:
        raise InferenceError(
            needed="terms of the estimates",
            found=first_few(unknown) if unknown else "none",
            where="adjusted_p_values(terms=)",
            todo="choose from: " + ", ".join(sorted(every)),
        )
    return [
        (i, m)
        for i, found in enumerate(names)
        for m, name in enumerate(found)
        if wanted is None or name in wanted
    ]


def _joint(estimates: Sequence[Estimate], rows: list[tuple[int, int]]) -> _Joint:
    """Return the joint distribution that the estimates' common inference gives."""
    used = list(dict.fromkeys(i for i, _ in rows))
    methods = [estimates[i].attached.inference for i in used]
    first = methods[0]
    if any(one != first for one in methods):
        found = first_few(dict.fromkeys(map(repr, methods)))
    elif isinstance(first, Permutation):
        return _permuted(estimates, rows, first)
    elif isinstance(first, ClusterRobust) and not isinstance(first.by, tuple):
        return _correlated(estimates, rows, first)
    else:
        found = repr(first)
    raise InferenceError(
        needed="one inference for all, with joint draws: the same Permutation (statistic, draws, "
        "seed), or the same ClusterRobust, one way",
        found=found,
        where="adjusted_p_values, romano-wolf and max-t",
        todo="infer all with one Permutation() (the same statistic, draws and seed) or with one "
        "ClusterRobust('CR2'), by one way; or methods=('holm', 'benjamini-hochberg'), which take "
        "the p-values of any inference",
    )


# -- permutations -----------------------------------------------------------------------------


def _permuted(
    estimates: Sequence[Estimate], rows: list[tuple[int, int]], inference: Permutation
) -> _Joint:
    """Rank the largest of the statistics over assignments that all metrics share."""
    used = list(dict.fromkeys(i for i, _ in rows))
    first = estimates[used[0]]
    for i in used[1:]:
        _alike(first, estimates[i], inference)
    exact = bool(first.attached.facts["exact"])
    null = np.stack([np.asarray(estimates[i].attached.null)[:, m] for i, m in rows], axis=1)
    mine = np.array([estimates[i].attached.statistic[m] for i, m in rows])
    pooled = np.abs(null if exact else np.vstack([null, mine]))
    pooled = np.where(np.isfinite(pooled), pooled, np.inf)  # a draw without the statistic
    usable = np.where(np.isfinite(pooled), pooled, 0.0)
    scale = np.sqrt((usable**2).mean(axis=0))
    ranked = _by_estimate(estimates, rows, inference)
    scale = np.where(ranked & (scale > 0), scale, 1.0)
    pooled, size, n = pooled / scale, np.abs(mine) / scale, len(pooled)

    def reached(column: Floats, value: float) -> int:
        # ties count, as in the test of one term, which compares squares
        return int(np.count_nonzero(column >= value * (1 - TIES / 2)))

    def tail(j: int, of: Ints) -> float:
        return reached(pooled[:, of].max(axis=1), float(size[j])) / n

    def intervals(level: float) -> tuple[Floats, Floats]:
        allowed = int(np.floor(round((1 - level) * n, 9)))  # draws that may be rejected somewhere
        largest = np.sort(pooled.max(axis=1))[::-1]
        critical = largest[allowed] if allowed < n else 0.0
        beyond = np.count_nonzero(pooled * (1 - TIES / 2) > critical, axis=0)
        # between two attainable p-values, so that rounding decides nothing
        within = 1 - np.minimum((beyond + 0.5) / n, round(1 - level, 12))
        low, high = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        for i in used:
            at = [r for r, (which, _) in enumerate(rows) if which == i]
            levels = np.full(estimates[i].n_terms, np.nan)
            levels[[rows[r][1] for r in at]] = within[at]
            ends = inference.intervals(estimates[i], levels)
            for r in at:
                low[r], high[r] = ends[0][rows[r][1]], ends[1][rows[r][1]]
        return low, high

    return _Joint(size, tail, intervals)


def _by_estimate(
    estimates: Sequence[Estimate], rows: list[tuple[int, int]], inference: Permutation
) -> NDArray[np.bool_]:
    """Which rows are ranked by the estimate itself, in the metric's unit."""
    found = []
    for i, m in rows:
        one = estimates[i]
        as_it_is = abs(one.attached.statistic[m] - one.values[m]) <= 1e-12 * abs(one.values[m])
        found.append(
            inference.statistic == "beta" or one.terms["n_pilots"].iloc[m] <= 1 or as_it_is
        )
    return np.array(found)


def _alike(one: Estimate, other: Estimate, inference: Permutation) -> None:
    """Refuse estimates that do not share their assignments; the text says what differs."""
    a, b = one.sample, other.sample
    what = f"{one.metric.name!r} and {other.metric.name!r}"
    if a.units != b.units:
        beside = sorted(set(a.units) ^ set(b.units))
        raise InferenceError(
            needed="the same units for all metrics, so that they share their assignments",
            found=f"{what} differ in {first_few(beside)}",
            where="adjusted_p_values, romano-wolf and max-t",
            todo="leave these units out (Design(exclude=…)), so that all metrics have one sample, "
            "or use ClusterRobust, or methods=('holm',)",
        )
    starts = [[s.periods[s.starts[g]] if g >= 0 else "" for g in s.cohort] for s in (a, b)]
    exchanges = [
        (x.exchanged.blocks, *x.exchanged.roles.values()) if x.exchanged else ()
        for x in (one, other)
    ]
    able = [
        np.ones(len(s.units), dtype=bool) if x.assignable is None else x.assignable
        for x, s in ((one, a), (other, b))
    ]
    differs = {
        "starts": starts[0] != starts[1],
        "strata": not np.array_equal(a.strata, b.strata),
        "who has the cells of a pilot": not np.array_equal(able[0], able[1]),
        "places in matched sets": len(exchanges[0]) != len(exchanges[1])
        or any(not np.array_equal(x, y) for x, y in zip(*exchanges, strict=False)),
        "periods before the start, which the caliper uses": inference.caliper is not None
        and a.periods[: min(a.starts)] != b.periods[: min(b.starts)],
    }
    found = [name for name, there in differs.items() if there]
    if found or len(np.asarray(one.attached.null)) != len(np.asarray(other.attached.null)):
        raise InferenceError(
            needed="the same assignments for all metrics",
            found=f"{what} differ in {first_few(found)}",
            where="adjusted_p_values, romano-wolf and max-t",
            todo="use one design, and a window in which units are observed in every metric "
            "(cells='complete', Design(exclude=…)), or methods=('holm',)",
        )


# -- clusters ---------------------------------------------------------------------------------


def _correlated(
    estimates: Sequence[Estimate], rows: list[tuple[int, int]], inference: ClusterRobust
) -> _Joint:
    """Draw the largest of normals that are correlated as the clusters' scores are."""
    scores = {i: inference.scores(estimates[i]) for i in dict.fromkeys(i for i, _ in rows)}
    every = sorted({label for table in scores.values() for label in table.index})
    columns: list[Any] = [scores[i].iloc[:, m].reindex(every, fill_value=0.0) for i, m in rows]
    made = np.stack([column.to_numpy(dtype=np.float64) for column in columns], axis=1)
    made = made / np.sqrt((made**2).sum(axis=0))
    # a factor with one row a cluster: correlation = made' made, whatever its rank
    factor = np.linalg.qr(made, mode="r")
    draws = np.abs(np.random.default_rng(_SEED).standard_normal((_DRAWS, len(factor))) @ factor)
    alone = np.array([estimates[i].attached.p_value[m] for i, m in rows])
    size = -scipy.special.ndtri(np.clip(alone / 2, np.finfo(float).tiny, None))

    def tail(j: int, of: Ints) -> float:
        if len(of) == 1:
            return float(alone[j])
        return float((draws[:, of].max(axis=1) >= size[j]).mean())

    def intervals(level: float) -> tuple[Floats, Floats]:
        alpha = 1 - level
        a = float(2 * scipy.special.ndtr(-np.quantile(draws.max(axis=1), level)))
        within = 1 - min(max(a, alpha / len(rows)), alpha)
        fits = {i: estimates[i].infer(inference, level=within).attached for i in scores}
        low = np.array([fits[i].conf_low[m] for i, m in rows])
        return low, np.array([fits[i].conf_high[m] for i, m in rows])

    return _Joint(size, tail, intervals)
