"""Weights of covariates learnt from how well neighbours foretell, with the overfitting shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.covariates import Covariates
from didkit.design.design import Design
from didkit.errors import DesignError, first_few, is_whole
from didkit.panel import Metric, Panel

if TYPE_CHECKING:
    from didkit.design.neighbours import Neighbours
    from didkit.panel import Period

__all__ = ["LearntWeights", "Scale", "complete", "learn_weights", "scaled"]

Floats = NDArray[np.float64]
Scale = Literal["sd", "rank"]
_CROWD = 6  # members of the search for each covariate


@dataclass(frozen=True, eq=False)
class LearntWeights:
    """Weights of covariates, and how well they foretell beside other choices.

    Parameters
    ----------
    weights : mapping of covariate to number
        At least 0, adding up to 1.
    table : DataFrame
        One row a choice of neighbours: ``neighbours, error_in_sample, error_cross_validated,
        units``; see `learn_weights`.
    by_fold : DataFrame
        The weights learnt without each fold: columns ``fold`` and the covariates. Weights that
        differ much between folds are not known well.
    until : mapping of str to period label
        The last period that the weights have seen.
    notes : tuple of str
        What was left out, and what the numbers are.
    """

    weights: Mapping[str, float]
    table: pd.DataFrame
    by_fold: pd.DataFrame
    until: Mapping[str, str]
    notes: tuple[str, ...] = ()


def learn_weights(
    panel: Panel | Design,
    on: Covariates,
    metrics: str | Metric | Sequence[str | Metric],
    *,
    periods: tuple[Period, Period],
    outcome: Literal["changes", "levels"] = "changes",
    most: int = 10,
    scale: Scale = "sd",
    missing: Literal["refuse", "leave_out"] = "refuse",
    published: Neighbours | None = None,
    exclude: Iterable[object] = (),
    folds: int = 5,
    seed: int = 0,
    rounds: int = 25,
) -> LearntWeights:
    """Learn weights under which a unit's nearest `most` foretell its outcome before the start.

    A unit's path is foretold by the mean path of its nearest others; the error is the root of the
    mean squared difference over units, periods and metrics. By default paths are changes from one
    period to the next, since a difference-in-differences needs neighbours that change alike, not
    ones at the same level. Period means are taken out and each metric is divided by its standard
    deviation, so that an error of 1 is that of foretelling the mean of all for everybody.

    The weights are non-negative and add up to 1; scipy's differential evolution looks for them,
    starting from equal weights and each covariate alone among others. The error that it minimises
    flatters them. ``error_cross_validated`` does not: units are dealt into folds, weights are
    learnt on the units of the other folds alone, and the error is that of the units left out.
    Where nothing is learnt (equal weights, a published list, everyone) the two are the same.

    Parameters
    ----------
    panel : Panel or Design
        Where the outcomes are. With a design `periods` must lie before the first start, and units
        that it excludes are left out. With a panel the result remembers `periods`, and a design
        that starts by then refuses neighbours that are computed with it.
    on : Covariates
        The covariates to weigh.
    metrics : str, Metric or sequence of these
        Whose paths are to be foretold.
    periods : (first, last)
        The periods to learn from, all before any start.
    outcome : {"changes", "levels"}
        What is foretold.
    most : int, default 10
        Neighbours of each unit.
    scale, missing
        As for `compute_neighbours`. A unit without an outcome in every period is left out.
    published : Neighbours, optional
        A list to compare with, on the units of which it has a list.
    exclude : iterable of unit
        Units to leave out.
    folds : int, default 5
        At least 2.
    seed : int, default 0
        For the folds and the search; the same seed gives the same weights.
    rounds : int, default 25
        Generations of the search; 150 units and 4 covariates take some 10 ms a round and fold.

    Returns
    -------
    LearntWeights
        Its table has the rows ``learnt weights, equal weights, everyone`` and, if given,
        ``published list``. The errors of a published list are those of fewer units if it lacks
        some: ``units`` says of how many.

    Raises
    ------
    DesignError
        Periods from the first start on, fewer than two periods for changes, too few units for
        the folds, a covariate that is the same for all or missing.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> on = dk.Covariates.from_panel(panel, values={"cin": 2013, "cla": 2013})
    >>> asked = {"periods": (2013, 2017), "missing": "leave_out", "rounds": 1}
    >>> made = learn_weights(design, on, "cin", **asked)
    >>> round(sum(made.weights.values()), 6)
    1.0
    >>> made.table["neighbours"].tolist()
    ['learnt weights', 'equal weights', 'everyone']
    """
    _check_options(outcome, most, folds, seed, rounds)
    out: set[str] = set()
    if isinstance(panel, Design):
        out |= set(panel._spec.exclude) | set(panel._spec.barred)
        _check_before(panel, periods)
        panel = panel.panel
    on = on.among(panel)
    out |= {panel.canonical(unit) for unit in exclude}
    listed = [metrics] if isinstance(metrics, str | Metric) else list(metrics)
    kept_on, gone = complete(on, missing, "learn_weights")
    units = [unit for unit in kept_on if unit in panel and unit not in out]
    paths, labels = _paths(panel, listed, units, periods, outcome)
    seen = np.asarray(np.isfinite(paths).all(axis=1), dtype=bool)
    lost = [unit for unit, whole in zip(units, seen, strict=True) if not whole]
    units = [unit for unit, whole in zip(units, seen, strict=True) if whole]
    if len(units) < max(2 * folds, most + folds + 1):
        raise DesignError(
            needed=f"at least {max(2 * folds, most + folds + 1)} units with covariates and "
            "outcomes",
            found=f"{len(units)}",
            where=f"learn_weights(folds={folds}, most={most})",
            todo="use fewer folds or neighbours, other periods, or covariates that more units have",
        )
    y = _standard(paths[seen], len(listed))
    x = scaled(on.numbers(units), on.columns, scale)
    apart = (x[:, None, :] - x[None, :, :]) ** 2
    everyone = np.arange(len(units))
    fold = np.random.default_rng(seed).permutation(len(units)) % folds
    chosen = _search(apart, y, everyone, most, seed, rounds)
    squared = np.empty(len(units))
    found = []
    for k in range(folds):
        train, test = everyone[fold != k], everyone[fold == k]
        weights = _search(apart, y, train, most, seed, rounds)
        found.append({"fold": k + 1, **dict(zip(on.columns, weights, strict=True))})
        squared[test] = _errors(apart @ weights, y, test, everyone, most)
    equal = np.full(len(on.columns), 1 / len(on.columns))
    n = len(units)
    whole = (n / (n - 1) * y) ** 2  # the mean of all others
    alike = _root(_errors(apart @ equal, y, everyone, everyone, most))
    table = [
        (
            "learnt weights",
            _root(_errors(apart @ chosen, y, everyone, everyone, most)),
            _root(squared),
            n,
        ),
        ("equal weights", alike, alike, n),
        ("everyone", _root(whole.mean(axis=1)), _root(whole.mean(axis=1)), n),
    ]
    if published is not None:
        theirs = _of_list(published.among(panel).closest(most), units, y)
        error = _root(theirs) if len(theirs) else float("nan")
        table.append(("published list", error, error, len(theirs)))
    notes = [
        f"errors of {outcome} from {labels[0]} to {labels[-1]} in standard deviations of these",
    ]
    if gone:
        notes.append(f"{first_few(gone)} left out: a covariate is missing")
    if lost:
        notes.append(f"{first_few(lost)} left out: an outcome is missing")
    return LearntWeights(
        MappingProxyType(dict(zip(on.columns, map(float, chosen), strict=True))),
        pd.DataFrame(
            table, columns=["neighbours", "error_in_sample", "error_cross_validated", "units"]
        ),
        pd.DataFrame(found),
        MappingProxyType({"weights": labels[-1]}),
        tuple(notes),
    )


# -- what computed neighbours and learnt weights share ---------------------------------------------


def complete(on: Covariates, missing: str, where: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the units with all covariates, sorted, and those without.

    Raises
    ------
    DesignError
        If there are some and `missing` is "refuse", or fewer than two are left.
    """
    if missing not in ("refuse", "leave_out"):
        raise DesignError(
            needed="missing='refuse' or missing='leave_out'",
            found=repr(missing),
            where=where,
            todo="choose one",
        )
    lacks = on.table.isna().any(axis=1)
    gone = [str(unit) for unit in on.table.index[lacks]]
    if gone and missing == "refuse":
        raise DesignError(
            needed=f"the covariates {first_few(on.columns)} of every unit",
            found=f"{first_few(gone)} lack at least one",
            where=where,
            todo="write missing='leave_out' to go on without them, or choose other covariates",
        )
    units = tuple(str(unit) for unit in on.table.index[~lacks])
    if len(units) < 2:
        raise DesignError(
            needed="at least two units with all covariates",
            found=f"{len(units)}",
            where=where,
            todo="use covariates that more units have",
        )
    return units, gone


def scaled(x: Floats, names: Sequence[str], scale: Scale) -> Floats:
    """Divide each covariate by its standard deviation over the units, ranked first if asked.

    Raises
    ------
    DesignError
        If one is the same for all units, or the scale is unknown.
    """
    if scale not in ("sd", "rank"):
        raise DesignError(
            needed="scale='sd' or scale='rank'",
            found=repr(scale),
            where="the distance between units",
            todo="choose one",
        )
    if scale == "rank":
        from scipy.stats import rankdata

        x = np.asarray(rankdata(x, axis=0), dtype=float)
    spread = x.std(axis=0, ddof=1)
    flat = [name for name, one in zip(names, np.ptp(x, axis=0) == 0, strict=True) if one]
    if flat or not np.isfinite(spread).all():
        raise DesignError(
            needed="covariates that differ between units, all finite",
            found=f"{first_few(flat)} the same for all" if flat else "infinite values",
            where="the distance between units",
            todo="leave them out with Covariates.select",
        )
    made: Floats = x / spread
    return made


# -- learning --------------------------------------------------------------------------------------


def _errors(distance: Floats, y: Floats, of: Any, among: Any, most: int) -> Floats:
    """Return the mean squared error of each unit of `of`, foretold by its nearest in `among`."""
    d = distance[np.ix_(of, among)]
    d[of[:, None] == among[None, :]] = np.inf
    nearest = np.argsort(d.round(12), axis=1, kind="stable")[:, :most]
    foretold = y[among[nearest]].mean(axis=1)
    made: Floats = ((y[of] - foretold) ** 2).mean(axis=1)
    return made


def _search(apart: Floats, y: Floats, units: Any, most: int, seed: int, rounds: int) -> Floats:
    """Find the weights of least error on these units: a step function, so without derivatives."""
    from scipy.optimize import Bounds, differential_evolution

    n = apart.shape[2]
    if n == 1:
        return np.ones(1)
    start = np.vstack([np.full(n, 0.5), np.eye(n)])
    more = np.random.default_rng(seed).dirichlet(np.ones(n), size=max(_CROWD * n - len(start), 5))

    def error(raw: Floats) -> float:
        total = raw.sum()
        if total <= 0:
            return float("inf")
        return float(_errors(apart @ (raw / total), y, units, units, most).mean())

    found = differential_evolution(
        error,
        Bounds(np.zeros(n), np.ones(n)),
        init=np.vstack([start, more]),
        maxiter=rounds,
        seed=seed,
        polish=False,
        tol=1e-6,
    )
    made: Floats = found.x / found.x.sum()
    return made


def _paths(
    panel: Panel,
    metrics: Sequence[str | Metric],
    units: Sequence[str],
    periods: tuple[Period, Period],
    outcome: str,
) -> tuple[Floats, list[str]]:
    """Return outcomes side by side, (units × metrics' periods), and the labels of the periods."""
    first, last = (panel.calendar.position(one, where="learn_weights(periods=)") for one in periods)
    if last - first < (outcome == "changes"):
        raise DesignError(
            needed="(first, last), with two periods or more for changes",
            found=f"{periods[0]} to {periods[1]}",
            where="learn_weights(periods=)",
            todo="choose a longer window before the start",
        )
    place = {unit: i for i, unit in enumerate(panel.unit_ids)}
    rows = [place[unit] for unit in units]
    made = []
    for metric in metrics:
        values = panel.cells(metric).value[rows, first : last + 1]
        made.append(np.diff(values, axis=1) if outcome == "changes" else values)
    return np.hstack(made), list(panel.periods[first : last + 1])


def _standard(paths: Floats, n_metrics: int) -> Floats:
    """Take period means out, and divide each metric by its standard deviation."""
    made = []
    for block in np.hsplit(paths - paths.mean(axis=0), n_metrics):
        spread = float(np.sqrt((block**2).mean()))
        if not spread > 0:
            raise DesignError(
                needed="outcomes that differ between units",
                found="the same path for all",
                where="learn_weights",
                todo="choose other metrics or periods",
            )
        made.append(block / spread)
    return np.hstack(made)


def _of_list(published: Neighbours, units: Sequence[str], y: Floats) -> Floats:
    """Return the mean squared error of each unit that has listed neighbours among the units."""
    place = {unit: i for i, unit in enumerate(units)}
    made = []
    for unit in units:
        rows = [place[other] for other in published.of(unit) if other in place]
        if rows:
            made.append(float(((y[place[unit]] - y[rows].mean(axis=0)) ** 2).mean()))
    return np.array(made)


def _root(squared: Floats) -> float:
    return float(np.sqrt(np.mean(squared)))


def _check_options(outcome: str, most: object, folds: object, seed: object, rounds: object) -> None:
    counts: Any = (most, folds, seed, rounds)
    whole = all(is_whole(one) for one in counts)
    enough = whole and all(one >= least for one, least in zip(counts, (1, 2, 0, 1), strict=True))
    if outcome not in ("changes", "levels") or not enough:
        raise DesignError(
            needed="outcome='changes' or 'levels', most= and rounds= of at least 1, folds= of at "
            "least 2, seed= of at least 0",
            found=f"outcome={outcome!r}, most={most!r}, folds={folds!r}, seed={seed!r}, "
            f"rounds={rounds!r}",
            where="learn_weights",
            todo="mend them",
        )


def _check_before(design: Design, periods: tuple[Period, Period]) -> None:
    """Refuse periods from the first start on."""
    calendar = design.panel.calendar
    first = min(calendar.position(start) for start in design.starts.values())
    last = calendar.position(periods[1], where="learn_weights(periods=)")
    if last >= first:
        raise DesignError(
            needed=f"periods before the first start, {design.panel.periods[first]}",
            found=f"{periods[0]} to {periods[1]}",
            where="learn_weights(periods=)",
            todo="learn from earlier periods only: what comes after the start may be an effect",
        )
