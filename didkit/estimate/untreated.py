"""Unit and period effects learnt from untreated cells alone, and what they say of treated ones.

Units are swept out by their means, periods by the Schur complement of the period dummies, with
covariates as further equations (as in `two_way`). Nothing here depends on the outcome but `fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, first_few
from didkit.estimate.covariates import refuse_collinear

__all__ = ["Untreated", "check_anticipation", "learnable", "leave_out", "of_treatment"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


class Untreated:
    """Least squares of y = unit + period + covariates on untreated cells, ready for any outcome.

    Parameters
    ----------
    use : bool array (J, T)
        The untreated cells.
    w : array (J, T)
        Weights, positive in every cell of `use` and wherever an effect is averaged.
    sample : Sample
        For its covariates and names only.

    Raises
    ------
    EstimationError
        A covariate is held by the effects or by another.

    Notes
    -----
    An effect is known up to a constant in each group of periods that units connect. A cell is
    `imputable` where its unit and its period belong to one such group.
    """

    def __init__(self, use: Bools, w: Floats, sample: Sample) -> None:
        self.use, self.w = use, np.where(use, w, 0.0)
        total = self.w.sum(axis=1)
        self.rate = self.w / np.where(total > 0, total, 1.0)[:, None]
        group = _groups(use)
        first = np.argmax(use, axis=1)
        own = np.where(use.any(axis=1), group[first], -2)
        self.imputable: Bools = own[:, None] == group
        kept = [
            int(t) for t in np.flatnonzero(group >= 0) if t != np.flatnonzero(group == group[t])[0]
        ]
        self.kept = np.array(kept, dtype=np.intp)
        self.x = None if sample.x is None else np.where(sample.mask[:, None], sample.x, 0.0)
        self.n_x = 0 if self.x is None else self.x.shape[1]
        crossed = np.diag(self.w.sum(axis=0)) - self.w.T @ self.rate
        s = len(self.kept)
        total_products = np.zeros((s + self.n_x,) * 2)
        total_products[:s, :s] = crossed[np.ix_(self.kept, self.kept)]
        if self.x is not None:
            self.x_mean = np.einsum("jt,jct->jc", self.rate, self.x)
            within = np.where(use[:, None], self.x - self.x_mean[:, :, None], 0.0)
            self.wx = within * self.w[:, None]
            total_products[:s, s:] = self.wx.sum(axis=0).T[self.kept]
            total_products[s:, :s] = total_products[:s, s:].T
            total_products[s:, s:] = np.einsum("jct,jdt->cd", self.wx, within)
            level = np.where(use[:, None], self.x, 0.0)
            refuse_collinear(sample, level, within, total_products, s)
        self.root = scipy.linalg.cho_factor(total_products, lower=True) if s + self.n_x else None

    def _solve(self, right: Floats) -> Floats:
        """Solve the equations for rows of (K, P)."""
        if self.root is None:
            return right
        return np.asarray(scipy.linalg.cho_solve(self.root, right.T).T)

    def _path(self, theta: Floats) -> Floats:
        """Return period effects and covariates, less their mean over the unit's untreated cells.

        Coefficients (K, P) → (K, J, T).
        """
        periods = np.zeros((len(theta), self.use.shape[1]))
        s = len(self.kept)
        periods[:, self.kept] = theta[:, :s]
        made = periods[:, None] - (periods @ self.rate.T)[:, :, None]
        if self.x is not None:
            made += np.einsum("kc,jct->kjt", theta[:, s:], self.x - self.x_mean[:, :, None])
        return np.asarray(made)

    def fit(self, y: Floats) -> tuple[Floats, Floats]:
        """Return the untreated outcome of every cell and the covariates' coefficients.

        Parameters
        ----------
        y : array (O, J, T)
            Outcomes, finite in `use`; read there only.

        Returns
        -------
        arrays (O, J, T) and (O, C)
            The first is meaningful where `imputable`.
        """
        y = np.where(self.use, y, 0.0)
        mean = np.einsum("jt,ojt->oj", self.rate, y)
        within = np.where(self.use, y - mean[:, :, None], 0.0)
        right = np.einsum("jt,ojt->ot", self.w, within)
        columns = [right[:, self.kept]]
        if self.x is not None:
            columns.append(np.einsum("jct,ojt->oc", self.wx, within))
        theta = self._solve(np.concatenate(columns, axis=1))
        return mean[:, :, None] + self._path(theta), theta[:, len(self.kept) :]

    def weights(self, a: Floats) -> Floats:
        """Return the weights (K, J, T), in `use`, of what is taken off Σ a y when imputing.

        ``Σ a (y − ŷ0) = Σ (a + weights) y`` for any `a` (K, J, T) that is zero outside `imputable`.
        """
        total = a.sum(axis=2)
        q = a.sum(axis=1) - total @ self.rate
        columns = [q[:, self.kept]]
        if self.x is not None:
            columns.append(np.einsum("kjt,jct->kc", a, self.x) - total @ self.x_mean)
        path = self._path(self._solve(np.concatenate(columns, axis=1)))
        return np.asarray(-(total[:, :, None] * self.rate + self.w * path))


def _groups(use: Bools) -> Ints:
    """Number the groups of periods that units connect, (T,); −1 for a period without a cell."""
    seen = use.any(axis=0)
    if (use.sum(axis=1) == seen.sum()).any():  # somebody is seen throughout
        return np.where(seen, 0, -1).astype(np.intp)
    from scipy.sparse.csgraph import connected_components

    _, group = connected_components(use.T.astype(np.float64) @ use, directed=False)
    return np.where(seen, group, -1).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Timing:
    """Which cells are untreated, and the effects that there are to learn, by cohort and period."""

    untreated: Bools  # (J, T)
    acted: Bools  # (J, T): from the start, less the anticipation, on


def of_treatment(cohort: Ints, starts: Ints, seen: Bools, anticipation: int) -> Timing:
    """Split cells with a value into untreated and treated ones."""
    n = seen.shape[1]
    start = np.append(starts, n + anticipation)[cohort]
    acted = np.arange(n) >= start[:, None] - anticipation
    return Timing(untreated=seen & ~acted, acted=seen & acted)


def learnable(sample: Sample, anticipation: int, where: str) -> tuple[Sample, tuple[str, ...]]:
    """Leave out what has no untreated outcome to be learnt: units, then single treated cells.

    Raises
    ------
    EstimationError
        Matched sets; or no treated cell from the start on has one.
    DesignError
        No pilot or comparator is left.
    """
    if sample.sets is not None:
        raise EstimationError(
            needed="one pool of comparators",
            found="matched sets",
            where=where,
            todo="use against=NotYetTreated() or Pool(), or DiD, which serves matched sets",
        )
    starts = np.array(sample.starts, dtype=np.intp)
    advice = "widen the window: effects of units and periods are learnt from untreated cells"
    untreated = of_treatment(sample.cohort, starts, sample.mask, anticipation).untreated
    sample = sample.keep(
        sample.pilot | (sample.mask.sum(axis=1) > 1),
        "fewer than two cells with a value carry no change",
        advice=advice,
    )
    untreated = of_treatment(sample.cohort, starts, sample.mask, anticipation).untreated
    sample = sample.keep(
        np.asarray(~sample.pilot | untreated.any(axis=1)),
        "no untreated cell to learn the unit's level from",
        advice=advice,
    )
    starts = np.array(sample.starts, dtype=np.intp)
    when = of_treatment(sample.cohort, starts, sample.mask, anticipation)
    w = np.ones(sample.y.shape) if sample.w is None else sample.w
    model = Untreated(when.untreated, w, sample)
    lost = when.acted & ~model.imputable
    notes: tuple[str, ...] = ()
    if lost.any():
        cells = [f"{sample.units[j]} in {sample.periods[t]}" for j, t in np.argwhere(lost)]
        notes = (
            f"{first_few(cells)} treated cells left out: their untreated outcome cannot be learnt "
            "(nobody is untreated in their period, or no unit links it to the pilot's own "
            "untreated periods)",
        )
        sample = leave_out(sample, lost, "treated cell whose untreated outcome cannot be learnt")
    after = (
        np.arange(sample.y.shape[1]) >= np.append(starts, sample.y.shape[1])[sample.cohort][:, None]
    )
    if not (sample.mask & after).any():
        raise EstimationError(
            needed="a treated cell whose untreated outcome can be learnt",
            found="none" + (f": {notes[0]}" if notes else ""),
            where=f"{where}, metric {sample.metric.name!r}",
            todo="widen the window, or compare with units that are untreated in these periods",
        )
    return sample, notes


def leave_out(sample: Sample, cells: Bools, reason: str) -> Sample:
    """Return the sample without some cells (J, T), which stand in its log."""
    count = (cells & sample.mask).sum(axis=1)
    log = sample.log.copy()
    gone = dict(zip(sample.units, count.tolist(), strict=True))
    used = log["reason"] == "used"
    log.loc[used, "cells"] -= log.loc[used, "unit"].map(gone).fillna(0).astype(int)
    more = pd.DataFrame(
        [("estimator", unit, reason, n) for unit, n in gone.items() if n],
        columns=["stage", "unit", "reason", "cells"],
    )
    return replace(
        sample,
        log=pd.concat([log[log["cells"] > 0], more], ignore_index=True),
        y=np.where(cells, np.nan, sample.y),
        lower=np.where(cells, np.nan, sample.lower),
        upper=np.where(cells, np.nan, sample.upper),
    )


def check_anticipation(anticipation: object, where: str) -> None:
    """Refuse what is not a whole number of periods, 0 or more.

    Raises
    ------
    EstimationError
        If it is not.
    """
    from didkit.errors import is_whole

    if not is_whole(anticipation) or int(str(anticipation)) < 0:
        raise EstimationError(
            needed="a whole number of periods, 0 or more",
            found=repr(anticipation),
            where=f"{where}(anticipation=)",
            todo="0 if the programme cannot act before it starts",
        )
