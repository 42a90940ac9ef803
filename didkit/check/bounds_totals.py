"""Known totals: what sums of counts say about hidden cells, by linear programming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.interval_cells import Rung, denominator, own_bounds
from didkit.design import Design
from didkit.errors import InferenceError, first_few, kind_of
from didkit.panel import Metric, Status

__all__ = ["Totals", "checked_totals"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_COLUMNS = ("period", "units", "lower", "upper")
_WHERE = "Bounds(totals=)"
_SLACK = 1e-7  #: of a total, for rounding in the programme


def checked_totals(given: object) -> pd.DataFrame | None:
    """Return `totals=` with its columns, or refuse it.

    Raises
    ------
    InferenceError
        If it is no frame with ``period, units, lower, upper``, or bounds are crossed.
    """
    if given is None:
        return None
    columns = list(given.columns) if isinstance(given, pd.DataFrame) else []
    if not isinstance(given, pd.DataFrame) or not set(_COLUMNS) <= set(columns) or given.empty:
        raise InferenceError(
            needed="a frame with one row a total: period, units (a list of unit ids), lower, upper",
            found=f"columns {first_few(columns)}" if columns else kind_of(given),
            where=_WHERE,
            todo="give the count that the units add up to, as lower and upper",
        )
    made = given[list(_COLUMNS)].reset_index(drop=True).copy()
    low = pd.to_numeric(made["lower"], errors="coerce").to_numpy(dtype=float)
    high = pd.to_numeric(made["upper"], errors="coerce").to_numpy(dtype=float)
    good = np.isfinite(low) & np.isfinite(high) & (low <= high)
    lists = [isinstance(one, list | tuple | set | frozenset) and len(one) > 0
             for one in made["units"]]  # fmt: skip
    if not good.all() or not all(lists):
        wrong = [str(i) for i in np.flatnonzero(~good | ~np.array(lists))]
        raise InferenceError(
            needed="in each row a list of units, and numbers lower ≤ upper",
            found=f"others in rows {first_few(wrong)}",
            where=_WHERE,
            todo="mend these rows",
        )
    return made.assign(lower=low, upper=high)


@dataclass(frozen=True, eq=False)
class Totals:
    """Count cells of a panel, and sums of them that are known within bounds.

    Parameters
    ----------
    lower, upper : array (units, periods)
        Bounds of each count, ``upper`` infinite for nothing known.
    factor : array (units, periods)
        What one of the count adds to the metric: 1 for a count, per / population for a rate; NaN
        where the population is not known.
    member : bool array (totals, units × periods)
        Which cells each total is the sum of.
    least, most : array (totals)
        Bounds of each total.
    is_count : bool
        Whether the metric is the count itself.
    """

    lower: Floats
    upper: Floats
    factor: Floats
    member: Bools
    least: Floats
    most: Floats
    is_count: bool

    @classmethod
    def of(cls, design: Design, metric: Metric, table: pd.DataFrame) -> Totals:
        """Lay out the counts behind a metric and the totals that hold them.

        Raises
        ------
        InferenceError
            If the metric is neither a count nor a rate whose count and population the panel has;
            if a unit or a period is unknown, or a total contradicts its cells.
        """
        panel = design.panel
        is_count = metric.kind == "count"
        name = metric.name if is_count else metric.numerator
        base = denominator(panel, metric)
        if name not in panel.metrics or (not is_count and base not in panel.metrics):
            raise InferenceError(
                needed="a count, or a rate whose count and population are in the panel",
                found=f"{metric.name!r}, a {metric.kind}"
                + ("" if metric.numerator is None else f" of {metric.numerator!r}"),
                where=_WHERE,
                todo="join the count and the population to the panel, or leave totals= out",
            )
        count = panel.cells(str(name))
        shape = count.value.shape
        factor = np.ones(shape)
        low, high = own_bounds(design, panel.metric(str(name)))
        if not is_count:
            people = panel.cells(base)
            if (people.lower < people.upper).any():
                raise InferenceError(
                    needed="a population that is known, to link rates to totals of counts",
                    found=f"{base!r}, known within bounds only",
                    where=_WHERE,
                    todo="use a population that was not rounded",
                )
            with np.errstate(invalid="ignore", divide="ignore"):
                factor = metric.per / np.where(people.value > 0, people.value, np.nan)
                mine = [one / factor for one in own_bounds(design, metric)]
            secret = panel.cells(metric.name).status == Status.SUPPRESSED
            low = np.where(secret, np.fmax(low, mine[0]), low)
            high = np.where(secret, np.fmin(high, mine[1]), high)
        low = np.where(np.isfinite(low), low, 0.0)
        high = np.where(np.isfinite(high), high, np.inf)
        member = np.zeros((len(table), *shape), dtype=bool)
        row = {unit: i for i, unit in enumerate(panel.unit_ids)}
        for n, one in enumerate(table.to_dict("records")):
            column = panel.calendar.position(one["period"])
            codes = [panel.canonical(unit) for unit in one["units"]]
            strange = [unit for unit, code in zip(one["units"], codes, strict=True)
                       if code not in row]  # fmt: skip
            if strange or len(set(codes)) < len(codes):
                raise InferenceError(
                    needed="units of the panel, each once",
                    found=f"{first_few(strange)} unknown" if strange else "one of them twice",
                    where=f"{_WHERE}, {one['period']}",
                    todo="a total that holds units without a row here cannot be used as it is: "
                    "take off what they add, or widen its lower end to what the others add",
                )
            member[n, [row[code] for code in codes], column] = True
        made = cls(
            low,
            high,
            factor,
            member.reshape(len(table), -1),
            table["lower"].to_numpy(dtype=float),
            table["upper"].to_numpy(dtype=float),
            is_count,
        )
        made._check(table)
        return made

    def _check(self, table: pd.DataFrame) -> None:
        """Refuse totals that their own cells contradict."""
        low, high = self.lower.ravel(), self.upper.ravel()
        wrong = []
        for n, cells in enumerate(self.member):
            least, most = float(low[cells].sum()), float(high[cells].sum())
            slack = _SLACK * max(1.0, abs(self.most[n]))
            if least > self.most[n] + slack or most < self.least[n] - slack:
                wrong.append(
                    f"{table['period'].iloc[n]}: {self.least[n]:g} to {self.most[n]:g}, its cells "
                    f"add up to {least:g} to {most:g}"
                )
        if wrong:
            raise _contradiction(first_few(wrong, 3))

    def hidden(self) -> tuple[Floats, Floats]:
        """Bounds of each cell of the metric, by what its totals leave for it.

        Returns
        -------
        (array, array)
            Units × periods in the metric's unit; NaN where no total holds the cell.

        Raises
        ------
        InferenceError
            If the totals contradict one another.
        """
        low, high = self.lower.ravel().copy(), self.upper.ravel().copy()
        for n, cells in enumerate(self.member):
            at = np.flatnonzero(cells)
            high[at] = np.minimum(high[at], self.most[n] - (low[at].sum() - low[at]))
        for n, cells in enumerate(self.member):
            at = np.flatnonzero(cells)
            low[at] = np.maximum(low[at], self.least[n] - (high[at].sum() - high[at]))
        crossed = low > high + _SLACK * np.maximum(1.0, np.abs(high))
        if crossed.any():
            raise _contradiction(
                f"no counts that fit all {len(self.least)} totals together: they leave nothing for "
                f"{int(crossed.sum())} of the cells"
            )
        held = self.member.any(axis=0) & np.isfinite(high) & np.isfinite(self.factor.ravel())
        scale = self.factor.ravel()
        shape = self.lower.shape
        return (
            np.where(held, low * scale, np.nan).reshape(shape),
            np.where(held, high * scale, np.nan).reshape(shape),
        )

    def ends(self, weights: Floats, rung: Rung, hidden: Bools) -> tuple[Floats, Floats]:
        """Return the completions at which a weighted sum of cells is least and largest.

        Parameters
        ----------
        weights : array (units, periods)
            Of the metric's cells.
        rung : Rung
            Intervals of the cells that no total holds.
        hidden : bool array (units, periods)
            Cells of the metric whose number is the count's, and not a published one.

        Returns
        -------
        (array, array)
            Units × periods: the cells at each of the two ends.

        Raises
        ------
        InferenceError
            If the totals contradict one another.
        """
        from scipy.optimize import linprog

        free = rung.upper > rung.lower
        down = np.where(weights > 0, rung.lower, rung.upper)
        up = np.where(weights > 0, rung.upper, rung.lower)
        counted = (hidden | self.is_count) & free & (weights != 0) & np.isfinite(self.factor)
        flat = counted.ravel()
        at = np.flatnonzero(self.member.any(axis=0) | flat)
        if not flat.any():
            return down, up
        low, high = self.lower.ravel()[at].copy(), self.upper.ravel()[at].copy()
        # bounds of the rung hold too: those of a cell that no total holds are all there is
        mine = flat[at]
        with np.errstate(invalid="ignore"):
            scale = self.factor.ravel()[at]
            low[mine] = np.fmax(low[mine], (rung.lower.ravel()[at] / scale)[mine])
            high[mine] = np.fmin(high[mine], (rung.upper.ravel()[at] / scale)[mine])
        cost = np.where(mine, weights.ravel()[at] * np.where(mine, scale, 0.0), 0.0)
        size = float(np.abs(cost).max())
        rows = self.member[:, at].astype(float)
        made = []
        for sign in (1.0, -1.0):
            solved = linprog(
                sign * cost / size,
                A_ub=np.concatenate([rows, -rows]),
                b_ub=np.concatenate([self.most, -self.least]),
                bounds=list(zip(low.tolist(), high.tolist(), strict=True)),
                method="highs",
            )
            if solved.x is None:
                raise _contradiction(f"no counts that fit all {len(self.least)} totals together")
            cells = (down if sign > 0 else up).copy().ravel()
            cells[at[mine]] = (solved.x * scale)[mine]
            made.append(cells.reshape(weights.shape))
        return made[0], made[1]


def _contradiction(found: str) -> InferenceError:
    """Say that totals and cells cannot both be right."""
    return InferenceError(
        needed="totals that their cells can add up to",
        found=found,
        where=_WHERE,
        todo="see that each total names all its units, is of the same release, and is as wide as "
        "its rounding",
    )
