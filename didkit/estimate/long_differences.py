"""Regressions of long differences on starting, with effects of the period of the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.linear import Normal

__all__ = ["Horizon", "LongDifferences", "Weighting"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Weighting = Literal["variance", "equal"]
_LARGE = 5_000_000  #: numbers in the cross-products of all clusters, above which there are none


@dataclass(frozen=True)
class Horizon:
    """One regression: mean outcome over event times `first` to `last`, less the base.

    `clear`: controls have not started, nor are about to, so many periods after the start.
    """

    first: int
    last: int
    clear: int


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of one start in one regression, one a unit.

    ``own`` (J,): who starts; ``w`` (J,): weights, zero for who has no row; ``after``: its periods;
    ``before``: those of the base, and each one's part in it, (J, periods).
    """

    own: Bools
    w: Floats
    after: slice
    before: slice
    part: Floats

    @property
    def top(self) -> float:
        """Weight of those that start."""
        return float(self.w[self.own].sum())

    @property
    def low(self) -> float:
        """Weight of their controls."""
        return float(self.w[~self.own].sum())

    def change(self, y: Floats) -> Floats:
        """Return the long differences of (…, J, T)."""
        late = y[..., self.after].mean(axis=-1)
        return np.asarray(late - (y[..., self.before] * self.part).sum(axis=-1))

    def add(self, into: Floats, omega: Floats) -> None:
        """Add what long differences weighted by omega (J,) make of each cell, (J, T)."""
        n = self.after.stop - self.after.start
        into[:, self.after] += omega[:, None] / n
        into[:, self.before] -= omega[:, None] * self.part


@dataclass(frozen=True, eq=False)
class LongDifferences:
    """R regressions on one sample, for any assignment of the pilots.

    Parameters
    ----------
    sample : Sample
        Cells, starts and weights.
    horizons : tuple of Horizon
        The R regressions.
    mix : array (k, R) or None
        Each term as a combination of their coefficients; None: one term, by their pilots.
    weighting : {"variance", "equal"}
        How starts are averaged: as least squares does, or by their (weighted) pilots.
    base : int or "all"
        Periods before the start, and before the anticipation, whose mean is the base.
    anticipation : int
        Periods before the start in which the programme may act.
    never : bool
        Whether only units that never start are controls.
    """

    sample: Sample
    horizons: tuple[Horizon, ...]
    mix: Floats | None
    weighting: Weighting
    base: int | Literal["all"]
    anticipation: int
    never: bool

    def _rows(self, cohort: Ints, g: int, horizon: Horizon) -> _Rows | None:
        """Return the rows of a start in a regression; None without starters or controls."""
        sample, seen = self.sample, self.sample.mask
        n, start = seen.shape[1], sample.starts[g]
        first, last = start + horizon.first, start + horizon.last
        end = start - self.anticipation
        begin = 0 if self.base == "all" else end - self.base
        if first < 0 or last >= n or begin < 0 or end <= 0:
            return None
        early = seen[:, begin:end]
        count = early.sum(axis=1)
        there = seen[:, first : last + 1].all(axis=1)
        there &= count > 0 if self.base == "all" else count == end - begin
        starts = np.array([*sample.starts, 4 * n])[cohort]
        own = (cohort == g) & there
        clean = there & (starts - self.anticipation > start + horizon.clear)
        if self.never:
            clean &= cohort < 0
        if not own.any() or not clean.any():
            return None
        # the weight of the last base period: known before the start
        w = np.ones(len(own)) if sample.w is None else sample.w[:, end - 1]
        return _Rows(
            own=own,
            w=np.where(own | clean, w, 0.0),
            after=slice(first, last + 1),
            before=slice(begin, end),
            part=early / np.maximum(count, 1)[:, None],
        )

    def carried(self, cohort: Ints) -> tuple[Floats, Bools]:
        """Return the weight of pilots by regression and start (R, G), and who they are (R, J)."""
        n_starts = len(self.sample.starts)
        weight = np.zeros((len(self.horizons), n_starts))
        who = np.zeros((len(self.horizons), len(cohort)), dtype=bool)
        for r, horizon in enumerate(self.horizons):
            for g in range(n_starts):
                rows = self._rows(cohort, g, horizon)
                if rows is not None:
                    weight[r, g] = rows.top
                    who[r] |= rows.own
        return weight, who

    def fit(self, cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats, Floats]:
        """Return coefficients of the regressions (O, R), influence (O, J, R), weights (R, J, T).

        With an effect of each start's period t, least squares of the differences on starting is
        Σ_t κ_t (mean of starters less mean of controls) / Σ κ_t, κ_t = n₁n₀/(n₁ + n₀); rows of t
        weighted by (n₁ + n₀)/n₀ turn κ_t into n₁. NaN where no start has rows.
        """
        y = np.where(self.sample.mask, outcomes, 0.0)
        n_regs = len(self.horizons)
        values = np.full((len(y), n_regs), np.nan)
        influence = np.zeros((len(y), len(cohort), n_regs))
        weights = np.zeros((n_regs, *self.sample.y.shape))
        for r, horizon in enumerate(self.horizons):
            every = (self._rows(cohort, g, horizon) for g in range(len(self.sample.starts)))
            parts = [rows for rows in every if rows is not None]
            if not parts:
                continue
            kappa = np.array([one.top for one in parts])
            if self.weighting == "variance":
                kappa = kappa * [one.low / (one.top + one.low) for one in parts]
            kappa /= kappa.sum()
            omegas = [
                k * np.where(one.own, one.w / one.top, -one.w / one.low)
                for k, one in zip(kappa, parts, strict=True)
            ]
            changes = [one.change(y) for one in parts]
            values[:, r] = 0.0
            for one, omega, change in zip(parts, omegas, changes, strict=True):
                one.add(weights[r], omega)
                values[:, r] += change @ omega
            for one, omega, change in zip(parts, omegas, changes, strict=True):
                left = change - values[:, r, None] * one.own
                mean = left @ one.w / (one.top + one.low)
                influence[:, :, r] += omega * (left - mean[:, None])
        return values, influence, weights

    def terms(self, cohort: Ints) -> Floats:
        """Return each term as a combination of the regressions' coefficients, (k, R)."""
        if self.mix is not None:
            return self.mix
        weight = self.carried(cohort)[0].sum(axis=1)
        return np.asarray(weight / weight.sum())[None]

    def __call__(self, cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats]:
        """Return values (O, k) and influence (O, J, k) of the terms, for `refits`."""
        values, influence, _ = self.fit(cohort, outcomes)
        gone = np.isnan(values[0])
        if gone.all():
            k = 1 if self.mix is None else len(self.mix)
            return np.full((len(values), k), np.nan), np.full((*influence.shape[:2], k), np.nan)
        mix = self.terms(cohort)
        made = np.where(gone, 0.0, values) @ mix.T
        made[:, (mix[:, gone] != 0).any(axis=1)] = np.nan
        return made, influence @ mix.T

    def normal(self) -> tuple[Normal, Floats] | None:
        """Return the stacked regressions' cross-products by cluster, and the terms; None if large.

        One parameter for each regression, then one for each regression and start.
        """
        sample, n_regs = self.sample, len(self.horizons)
        n_groups, size = len(sample.cluster_labels), n_regs * (1 + len(sample.starts))
        if n_groups * size**2 > _LARGE:
            return None
        kept = [
            (r, g, rows)
            for r, horizon in enumerate(self.horizons)
            for g in range(len(sample.starts))
            for rows in (self._rows(sample.cohort, g, horizon),)
            if rows is not None
        ]
        y = np.where(sample.mask, sample.y, 0.0)
        size, n_obs = n_regs + len(kept), 0
        square, into = np.zeros((n_groups, size, size)), np.zeros((n_groups, size))
        yy = np.zeros(n_groups)

        def by_cluster(values: Floats) -> Floats:
            return np.asarray(np.bincount(sample.clusters, values, n_groups), dtype=np.float64)

        for i, (r, _, rows) in enumerate(kept):
            at = n_regs + i
            w, change = rows.w, rows.change(y)
            if self.weighting == "equal":
                w = w * (rows.top + rows.low) / rows.low
            n_obs += int((w > 0).sum())
            started = by_cluster(w * rows.own)
            square[:, r, r] += started
            square[:, r, at] = square[:, at, r] = started
            square[:, at, at] = by_cluster(w)
            into[:, r] += by_cluster(w * rows.own * change)
            into[:, at] = by_cluster(w * change)
            yy += by_cluster(w * change**2)
        names = [f"event times {one.first} to {one.last}" for one in self.horizons]
        names += [f"{names[r]}, start {sample.periods[sample.starts[g]]}" for r, g, _ in kept]
        mix = self.terms(sample.cohort)
        contrast = np.zeros((len(mix), size))
        contrast[:, :n_regs] = mix
        made = Normal(
            A=square,
            b=into,
            yy=yy,
            n_obs=n_obs,
            labels=sample.cluster_labels,
            names=tuple(names),
        )
        return made, contrast
