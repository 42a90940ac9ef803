"""Variation of a metric: how much lies between authorities, how much within, how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few, is_number

if TYPE_CHECKING:
    from didkit.design import Design
    from didkit.panel import Metric, Period

__all__ = ["Variation"]

Floats = NDArray[np.float64]

_MOST_AR1 = 0.95  # beyond it a passing part cannot be told from a lasting one in a few periods
_NEAR_END = 0.9
_MOST_ICC = 0.9999
_GRID = (0.05, 0.3, 0.6, 0.9)  # where the search for the likelihood's maximum may begin


@dataclass(frozen=True)
class Variation:
    """``Y_it = period effect + μ_i + e_it``: the spread of μ and e, and how e carries over.

    Parameters
    ----------
    between : float
        Standard deviation of the lasting level μ between units, in the metric's unit.
    within : float
        Standard deviation of the passing part e, in the metric's unit.
    ar1 : float, default 0
        Correlation of e between one period and the next (an AR(1)), between −1 and 1.
    n_units, n_periods : int, keyword-only, default 0
        What it was estimated from (`of`); 0 where it was given.
    notes : tuple of str, keyword-only
        What a reader of an estimated one must know.

    Examples
    --------
    >>> made = Variation(between=1.0, within=0.7, ar1=0.5)
    >>> round(made.icc, 3), round(made.reliability(4), 3)
    (0.671, 0.798)
    """

    between: float
    within: float
    ar1: float = 0.0
    n_units: int = field(default=0, kw_only=True)
    n_periods: int = field(default=0, kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        numbers = is_number(self.between) and is_number(self.within) and is_number(self.ar1)
        if not (numbers and self.between >= 0 and self.within > 0 and -1 < self.ar1 < 1):
            raise InferenceError(
                needed="between= of at least 0, within= above 0, ar1= between −1 and 1",
                found=f"between={self.between!r}, within={self.within!r}, ar1={self.ar1!r}",
                where="Variation",
                todo="estimate them: Variation.of(design, metric)",
            )

    @classmethod
    def from_icc(cls, sd: float, icc: float, ar1: float = 0.0) -> Variation:
        """Make it from the standard deviation of one period and the intra-cluster correlation.

        Parameters
        ----------
        sd : float
            Of the units' values in one period.
        icc : float
            Share of that variance that lasts, from 0 to below 1.
        ar1 : float
            Of the passing part.

        Raises
        ------
        InferenceError
            If one of them is out of range.

        Examples
        --------
        >>> Variation.from_icc(10.0, 0.64).between
        8.0
        """
        if not (is_number(sd) and is_number(icc) and sd > 0 and 0 <= icc < 1):
            raise InferenceError(
                needed="sd above 0 and icc from 0 to below 1",
                found=f"sd={sd!r}, icc={icc!r}",
                where="Variation.from_icc",
                todo="for example Variation.from_icc(22.0, 0.68, 0.2)",
            )
        return cls(between=sd * icc**0.5, within=sd * (1 - icc) ** 0.5, ar1=ar1)

    @classmethod
    def of(
        cls, design: Design, metric: str | Metric, *, periods: Sequence[Period] | None = None
    ) -> Variation:
        """Estimate it from the periods before the first start, when nobody was treated.

        Pilots and comparators of the design, whatever cells they have; period effects are
        taken out.

        Parameters
        ----------
        design : Design
            Its units and its periods before the first start.
        metric : str or Metric
            A metric of its panel.
        periods : (first, last) or sequence of periods, optional
            Others of the panel's periods before the first start, consecutive; by default those
            of the window.

        Returns
        -------
        Variation
            In the metric's unit, with ``n_units``, ``n_periods`` and ``notes``.

        Raises
        ------
        InferenceError
            Fewer than two periods before the first start; fewer than three units with two values;
            a unit's values that never differ once period effects are out; a period of `periods`
            that is not before the first start.
        PanelError
            If the metric or a period is unknown.

        Notes
        -----
        Restricted maximum likelihood (Patterson & Thompson 1971) of the normal model, unbalanced
        cells as they are. Autocorrelations of residuals from unit means are too low in short
        series (Nickell 1981); the covariances of the model itself are not. With two periods the
        AR1 cannot be told from the lasting part: it is taken to be 0, and a note says so. In
        simulation (100 panels of 150 units, between 1, within .7, AR1 .5) the AR1 has mean .49
        and standard deviation .14 with three periods, .49 and .09 with four, .51 and .04 with
        eight; between .96 (.14), 1.01 (.09), .99 (.07). With 30 units and four periods between
        is .88 (.33). It fails where levels drift apart (a trend of a unit's own is read as an
        AR1 near its end, .95, which a note tells) and where a few recording breaks make most of
        the variance: the model is normal.

        References
        ----------
        Patterson & Thompson (1971); Nickell (1981).

        Examples
        --------
        >>> import didkit as dk
        >>> panel, design = dk.datasets.load_evaluation()
        >>> made = Variation.of(design, "cpp")
        >>> made.n_periods, 0 < made.icc < 1
        (5, True)
        """
        labels = _before(design, periods)
        panel = design.panel
        units = sorted(set(design.pilots) | set(design.comparators))
        place = {unit: i for i, unit in enumerate(panel.unit_ids)}
        rows = np.array([place[unit] for unit in units], dtype=np.intp)
        cols = np.array([panel.calendar.position(p) for p in labels], dtype=np.intp)
        values = panel.cells(panel.metric(metric)).value[np.ix_(rows, cols)]
        return _fitted(values, labels, panel.metric(metric).name)

    @property
    def icc(self) -> float:
        """Share of the variance of one period that lasts."""
        return self.between**2 / (self.between**2 + self.within**2)

    def covariance(self, n_periods: int) -> Floats:
        """Covariance of e over consecutive periods, (n × n)."""
        apart = np.abs(np.subtract.outer(np.arange(n_periods), np.arange(n_periods)))
        made: Floats = self.within**2 * self.ar1**apart
        return made

    def variance_of(self, contrast: Floats) -> float:
        """Variance between units of a weighted sum of consecutive periods; μ counts its weights."""
        spread = contrast @ self.covariance(len(contrast)) @ contrast
        return float(spread + self.between**2 * contrast.sum() ** 2)

    def reliability(self, n_periods: int = 1) -> float:
        """Share of the variance of a mean over n periods that lasts."""
        mean = np.full(n_periods, 1 / n_periods)
        return self.between**2 / self.variance_of(mean)


def _before(design: Design, periods: Sequence[Period] | None) -> tuple[str, ...]:
    """Return the periods to use, all before the first start."""
    calendar = design.panel.calendar
    first = min(calendar.position(start) for start in design.starts.values())
    where = "Variation.of"
    if periods is None:
        at = [calendar.position(p) for p in design.periods]
        at = [i for i in at if i < first]
    else:
        given = [periods] if isinstance(periods, str) else list(periods)
        at = [calendar.position(p, where="Variation.of(periods=)") for p in given]
        if len(at) == 2 and at[1] > at[0]:
            at = list(range(at[0], at[1] + 1))
        where = "Variation.of(periods=)"
        late = [calendar.labels[i] for i in at if i >= first]
        if late or at != list(range(at[0], at[0] + len(at))):
            raise InferenceError(
                needed=f"consecutive periods before the first start, {calendar.labels[first]}",
                found=first_few(late) if late else ", ".join(map(str, given)),
                where=where,
                todo="write the first and the last; pilots are treated from their start on",
            )
    if len(at) < 2:
        raise InferenceError(
            needed="at least two periods before the first start: one does not tell what lasts",
            found=f"{len(at)} before {calendar.labels[first]}",
            where=where,
            todo="widen the design's periods=, or write Variation(between, within, ar1)",
        )
    return tuple(calendar.labels[i] for i in at)


class _Cells(NamedTuple):
    """What the likelihood needs of the units with one pattern of observed periods."""

    seen: NDArray[np.intp]
    n: int
    mean: Floats
    spread: Floats  # sum over units of the outer products of deviations from `mean`


def _fitted(values: Floats, labels: tuple[str, ...], metric: str) -> Variation:
    """Fit the model to units × periods with NaN where nothing was published."""
    seen = np.isfinite(values)
    enough = seen.sum(axis=1) >= 2
    if enough.sum() < 3 or (seen[enough].sum(axis=0) > 0).sum() < 2:
        raise InferenceError(
            needed="at least three units with values in two periods before the first start",
            found=f"{int(enough.sum())} from {labels[0]} to {labels[-1]}",
            where=f"Variation.of, metric {metric!r}",
            todo="widen the window, or write Variation(between, within, ar1)",
        )
    kept = seen.any(axis=0)
    values, seen = values[:, kept], seen[:, kept]
    at = np.flatnonzero(kept)
    level = np.nanmean(values, axis=0)
    scale = float(np.nanstd(values - level))
    still = not scale > 1e-12 * max(1.0, float(np.abs(level).max()))
    most = int(seen.sum(axis=1).max())
    if not still:
        patterns = _patterns((values - level) / scale, seen)
        icc, ar1, variance = _maximum(patterns, at, with_ar1=most >= 3)
    if still or icc >= _MOST_ICC - 1e-9:
        raise InferenceError(
            needed="values that vary within units from period to period",
            found="less than 1 part in 10,000 of the variance, once period effects are out",
            where=f"Variation.of, metric {metric!r}",
            todo="look for copied values: design.panel.wide(metric)",
        )
    notes: list[str] = []
    if most < 3:
        notes.append(
            "two periods before the start do not tell how long the passing part lasts: its AR1 is "
            "taken to be 0, which makes the lasting part look larger"
        )
    elif most < 5:
        notes.append(f"an AR1 from {most} periods is uncertain, and so is what lasts")
    if ar1 >= _NEAR_END:
        notes.append(
            f"an AR1 of {ar1:.2f} is near its end ({_MOST_AR1:g}): lasting and passing parts can "
            "hardly be told apart in these periods"
        )
    total = scale * variance**0.5
    return Variation(
        between=total * icc**0.5,
        within=total * (1 - icc) ** 0.5,
        ar1=ar1,
        n_units=int(seen.any(axis=1).sum()),
        n_periods=int(kept.sum()),
        notes=tuple(notes),
    )


def _patterns(values: Floats, seen: NDArray[np.bool_]) -> list[_Cells]:
    """Collect the units by which periods they have; the order of units does not matter."""
    made = []
    for pattern in np.unique(seen[seen.any(axis=1)], axis=0):
        mine = values[(seen == pattern).all(axis=1)][:, pattern]
        mean = mine.mean(axis=0)
        made.append(
            _Cells(np.flatnonzero(pattern), len(mine), mean, (mine - mean).T @ (mine - mean))
        )
    return made


def _maximum(
    patterns: list[_Cells], at: NDArray[np.intp], *, with_ar1: bool
) -> tuple[float, float, float]:
    """Return ICC, AR1 and the variance of one period at the largest restricted likelihood."""
    from scipy.optimize import minimize

    def objective(x: Floats) -> float:
        return _deviance(x, patterns, at)[0]

    bounds = [(0.0, _MOST_ICC), (-_MOST_AR1, _MOST_AR1) if with_ar1 else (0.0, 0.0)]
    grid = [(icc, ar1) for icc in _GRID for ar1 in ((-0.3, *_GRID) if with_ar1 else (0.0,))]
    tried = sorted(grid, key=lambda one: objective(np.array(one)))[:2]
    found = [
        minimize(objective, np.array(start), method="L-BFGS-B", bounds=bounds) for start in tried
    ]
    best = min(found, key=lambda one: float(one.fun)).x
    return float(best[0]), float(best[1]), _deviance(best, patterns, at)[1]


def _deviance(x: Floats, patterns: list[_Cells], at: NDArray[np.intp]) -> tuple[float, float]:
    """Minus twice the restricted log-likelihood, and the variance at which it is largest.

    With C the correlation of a unit's cells, ``icc + (1 − icc)·ar1^|s−t|``, and period effects
    β by generalised least squares: ``(N−T) log s² + Σ log|C_i| + log|Σ S_i' C_i⁻¹ S_i|``, where
    ``s² = Σ r_i' C_i⁻¹ r_i / (N−T)``.
    """
    icc, ar1 = float(x[0]), float(x[1])
    n_periods = len(at)
    correlation = icc + (1 - icc) * ar1 ** np.abs(np.subtract.outer(at, at)).astype(float)
    squares, cross = np.zeros((n_periods, n_periods)), np.zeros(n_periods)
    total, logs, n_cells = 0.0, 0.0, 0
    for cells in patterns:
        block = np.ix_(cells.seen, cells.seen)
        inverse = np.linalg.inv(correlation[block])
        logs += cells.n * float(np.linalg.slogdet(correlation[block])[1])
        squares[block] += cells.n * inverse
        cross[cells.seen] += cells.n * inverse @ cells.mean
        total += float((inverse * cells.spread).sum() + cells.n * cells.mean @ inverse @ cells.mean)
        n_cells += cells.n * len(cells.seen)
    left = total - float(cross @ np.linalg.solve(squares, cross))
    free = n_cells - n_periods
    variance = left / free
    logs += float(np.linalg.slogdet(squares)[1])
    return free * float(np.log(variance)) + logs, variance
