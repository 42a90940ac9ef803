"""Two-way fixed effects for many units, on sums over units that are alike.

A unit's swept regressors depend only on its cohort, on which of its cells have a value and, with
periods by group, on its group. So the cross-products are those of a few thousand kinds of unit,
each times the number (or weight) of its units, and outcomes enter through their sums by kind. No
array has more than one number a cell. Values and influence are exactly those of
`didkit.estimate.two_way`; cross-products by cluster would be one matrix a unit, and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError
from didkit.estimate.effects import Effects, cell_weights, operators
from didkit.linear import Normal

__all__ = ["Summed", "is_large", "two_way_by_pattern"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LARGE = 2_000_000  #: numbers in the cross-products of all units, above which they are not made
MOST_WEIGHTS = 30_000_000  #: numbers in the weights, above which they are not published
_CHUNK = 4_000_000  #: numbers in the swept regressors of one chunk of kinds


@dataclass(frozen=True, eq=False)
class Summed:
    """Values (k,), influence (J, k), and weights (k, J, T) where they are not too many."""

    values: Floats
    influence: Floats
    weights: Floats | None


def is_large(sample: Sample, acts: Bools, effects: Effects | None) -> bool:
    """Whether the regression is made by sums: many units, no covariates, units weigh as one."""
    n, t = sample.y.shape
    groups = 1 if effects is None or effects.group is None else len(effects.labels)
    p = acts.shape[1] + groups * (t - 1)
    if n * p * max(p, t) <= LARGE or sample.x is not None or groups * t > n:
        return False
    if effects is not None and effects.cohort:
        return False
    return sample.w is None or _unit_weights(sample) is not None


def _unit_weights(sample: Sample) -> Floats | None:
    """Return one weight a unit, (J,), where its cells all weigh the same; None otherwise."""
    w = cell_weights(sample)
    if w is None:
        return np.ones(len(sample.units))
    top = w.max(axis=1)
    alike = np.abs(w - top[:, None]) <= 1e-12 * top[:, None]
    return top if bool((alike | ~sample.mask).all()) else None


def two_way_by_pattern(
    sample: Sample, acts: Bools, names: tuple[str, ...], effects: Effects | None
) -> Summed:
    """Regress the outcome on unit effects, period effects and k treatment paths.

    Takes what `two_way` takes, but no covariates, no weights that change within a unit, and no
    effects of cohorts.

    Raises
    ------
    EstimationError
        If a term is not identified, or the periods are not connected through the units.
    """
    return _Sums(sample, acts, names, effects or Effects()).fit()


class _Sums:
    """Kinds of units, and their sums: C kinds, T periods, p columns, terms first."""

    def __init__(
        self, sample: Sample, acts: Bools, names: tuple[str, ...], effects: Effects
    ) -> None:
        weight = _unit_weights(sample)
        if weight is None or sample.x is not None or effects.cohort:
            raise EstimationError(
                needed="no covariates, one weight a unit and effects of units",
                found="a regression in which every unit is a kind of its own",
                where=f"metric {sample.metric.name!r}",
                todo="use didkit.estimate.two_way",
            )
        self.sample, self.effects, self.weight = sample, effects, weight
        mask = sample.mask
        self.n_obs = int(mask.sum())
        self.k = acts.shape[1]
        t = mask.shape[1]
        group = np.zeros(len(mask), dtype=np.int64) if effects.group is None else effects.group
        kind = _codes(mask) * (len(acts) + 1) + (sample.cohort + 1)
        kind = kind * (int(group.max()) + 1) + group
        first, of_unit, self.order = _distinct(kind)
        self.of_unit = of_unit
        self.ends = np.append(0, np.cumsum(np.bincount(of_unit, minlength=len(first))))
        self.masks, self.cohort, self.group = mask[first], sample.cohort[first], group[first]
        paths = np.concatenate([acts, np.zeros((1, *acts.shape[1:]), dtype=bool)])  # −1 comes last
        self.paths = paths.astype(np.float64)
        drop = 2 if effects.trends else 1
        self.columns = []
        for g in range(int(group.max()) + 1):
            seen = self.masks[self.group == g].any(axis=0)
            self.columns += [(g, s) for s in np.flatnonzero(seen)[drop:].tolist()]
        by = effects.labels
        self.names = (
            *names,
            *(
                f"period {sample.periods[s]}" + (f" in {by[g]}" if by else "")
                for g, s in self.columns
            ),
        )
        self.y = sample.y[self.order]
        seen = mask[self.order]
        self.y[~seen] = 0.0
        ones = np.ones(t)
        self.y -= ((self.y @ ones) / np.maximum(seen @ ones, 1.0))[:, None]
        self.y *= seen
        self.w = weight[self.order]
        self.size = max(1, _CHUNK // (t * max(len(self.names), t)))

    def _swept(self, part: slice) -> Floats:
        """Return the swept regressors of a chunk of kinds, (c, T, p)."""
        masks = self.masks[part]
        raw = np.zeros((len(masks), masks.shape[1], len(self.names)))
        raw[:, :, : self.k] = self.paths[self.cohort[part]].transpose(0, 2, 1)
        for i, (g, s) in enumerate(self.columns, start=self.k):
            raw[:, s, i] = self.group[part] == g
        return np.asarray(operators(masks, None, self.effects) @ raw)

    def fit(self) -> Summed:
        """Solve the normal equations, then go through the units once more for their influence."""
        n_kinds, p, t = len(self.masks), len(self.names), self.masks.shape[1]
        parts = [slice(i, i + self.size) for i in range(0, n_kinds, self.size)]
        starts = self.ends[:-1]
        count = np.add.reduceat(self.w, starts)
        # sums of weighted outcomes by kind; where all weigh 1 nothing is copied
        scaled = self.y if self.sample.w is None else self.y * self.w[:, None]
        sums = np.add.reduceat(scaled, starts, axis=0)
        squares = float(np.einsum("jt,jt->", scaled, self.y))
        del scaled
        A, b = np.zeros((p, p)), np.zeros(p)
        for part in parts:
            x = self._swept(part)
            root = (x * np.sqrt(count[part])[:, None, None]).reshape(-1, p)
            A += root.T @ root
            b += x.reshape(-1, p).T @ sums[part].ravel()
        normal = Normal(
            A=A[None],
            b=b[None],
            yy=np.array([squares]),
            n_obs=self.n_obs,
            n_absorbed=len(self.sample.units),
            names=self.names,
        )
        n_units = len(self.sample.units)
        influence = np.empty((n_units, self.k))
        many = self.k * n_units * t > MOST_WEIGHTS
        table = None if many else np.empty((self.k, n_kinds, t))
        lead = normal.M[:, : self.k]
        for part in parts:
            x = self._swept(part)
            rows, path = x @ lead, x @ normal.beta  # (c, T, k), (c, T)
            fitted = np.einsum("ctk,ct->ck", rows, path)
            if table is not None:
                table[:, part] = rows.transpose(2, 0, 1)
            for i in range(len(x)):
                a, z = self.ends[part.start + i], self.ends[part.start + i + 1]
                influence[a:z] = self.y[a:z] @ rows[i] - fitted[i]
        if self.sample.w is not None:
            influence *= self.w[:, None]
        back = np.empty_like(influence)
        back[self.order] = influence
        weights = None
        if table is not None:
            weights = table[:, self.of_unit]
            if self.sample.w is not None:
                weights *= self.weight[:, None]
        return Summed(normal.beta[: self.k].copy(), back, weights)


def _distinct(
    kind: NDArray[np.int64],
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp]]:
    """Return one unit of each kind, each unit's kind from 0, and the units in order of kind."""
    most = int(kind.max()) + 1
    if most < 4 * len(kind):  # a table of all kinds is shorter than a sort
        there = np.bincount(kind, minlength=most) > 0
        kind = (np.cumsum(there) - 1)[kind]
    else:
        kind = np.unique(kind, return_inverse=True)[1].ravel()
    small = kind.astype(np.uint16) if int(kind.max()) < 2**16 else kind
    order = np.argsort(small, kind="stable")
    first = order[np.flatnonzero(np.diff(small[order].astype(np.int64), prepend=-1))]
    return first, kind, order


def _codes(mask: Bools) -> NDArray[np.int64]:
    """Number the rows of a mask, the same number for the same cells."""
    if mask.shape[1] < 40:
        return np.asarray(mask.astype(np.float64) @ 2.0 ** np.arange(mask.shape[1])).astype(
            np.int64
        )
    packed = np.ascontiguousarray(np.packbits(mask, axis=1))
    whole = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    return np.asarray(np.unique(whole, return_inverse=True)[1].ravel(), dtype=np.int64)
