"""Two-way fixed effects on every observed cell, exactly and without iteration.

Units are swept out by their means, periods by the Schur complement of the period dummies
(Frisch-Waugh-Lovell; one period dropped, T−1 equations). Regressors act on pilots from their
start, so a cohort's regressor is one path over the periods. Covariates stand beside the period
dummies, as further equations. Weights of cells and trends of units are swept by one operator a
unit (`didkit.estimate.effects`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError
from didkit.estimate.covariates import CovariateRefits, inverse_or_lost, refuse_collinear
from didkit.estimate.effects import Effects, cell_weights, operators
from didkit.linear import Normal
from didkit.linear.roots import COLLINEAR
from didkit.results import Draws, Labels

__all__ = ["TwoWay", "two_way", "two_way_weights"]

Floats = NDArray[np.float64]
CHUNK = 1_000_000  #: numbers in the largest array of a chunk of draws


@dataclass(frozen=True, eq=False)
class TwoWay:
    """What two-way least squares publishes; see `Estimate` for the shapes.

    `residual` (J, T) and `regressors` (J, p, T), terms first, are those of the normal equations;
    zero where a cell is not used.
    """

    values: Floats
    weights: Floats
    influence: Floats
    normal: Normal
    contrast: Floats
    residual: Floats
    regressors: Floats
    regroup: Callable[[Labels], Normal]
    reassigned: Callable[[Labels], Draws] | None


def two_way(
    sample: Sample,
    acts: NDArray[np.bool_],
    names: tuple[str, ...],
    *,
    share: Floats | None = None,
    whiten: Floats | None = None,
    effects: Effects | None = None,
) -> TwoWay:
    """Regress the outcome on unit effects, period effects, covariates and k treatment paths.

    Parameters
    ----------
    sample : Sample
        The cells; those without a value are left out.
    acts : bool array (G, k, T)
        Each cohort's k treatment paths.
    names : tuple of str
        Names of the k terms, for errors.
    share : array (J,), optional
        Weight of each unit (a matched set); by default all alike.
    whiten : array (J, T, T), optional
        What takes each unit's path to rows free of its effect, for generalised least squares; by
        default its mean over observed cells is subtracted.
    effects : Effects, optional
        Trends, cohorts or groups, with the weights of the sample: see `didkit.estimate.effects`.
        Without it the sample's weights are not used.

    Returns
    -------
    TwoWay
        With `share` or weights, cross-products are those of rows scaled by the root of the
        weight. With `whiten`, weights are those of the whitened rows.

    Raises
    ------
    EstimationError
        If a term is not identified, the periods are not connected through the units, or a
        covariate is held by the effects or by another.
    """
    return _Sweep(sample, acts, names, share, whiten, effects).fit()


def two_way_weights(
    sample: Sample, acts: NDArray[np.bool_], names: tuple[str, ...], share: Floats
) -> Floats:
    """Return only the weights (k, J, T) of `two_way`, with nothing that inference needs.

    Takes and raises what `two_way` does.
    """
    return _Sweep(sample, acts, names, share).weights()


class _Sweep:
    """The swept arrays: J units, T periods, G cohorts, k terms, S = T − 1 period dummies.

    C covariates follow the dummies: P = S + C columns to hold constant.
    """

    def __init__(
        self,
        sample: Sample,
        acts: NDArray[np.bool_],
        names: tuple[str, ...],
        share: Floats | None,
        whiten: Floats | None = None,
        effects: Effects | None = None,
    ) -> None:
        self.sample, self.acts, self.names = sample, acts.astype(np.float64), names
        share = np.ones(len(sample.units)) if share is None else share
        self.mask = sample.mask & (share > 0)[:, None]
        seen = np.flatnonzero(self.mask.any(axis=0))
        # the first observed period is dropped; a line that all share lies in the units' trends
        self.first = 2 if effects is not None and effects.trends else 1
        self.kept = seen[self.first :]
        self.share, self.whiten, self.effects = share, whiten, effects
        if effects is not None:
            self.whiten = operators(self.mask, cell_weights(sample), effects)
        counts = np.maximum(self.mask.sum(axis=1), 1)
        self.rate = self.mask / counts[:, None]  # averages over a unit's observed cells
        y = np.where(self.mask, sample.y, 0.0)
        self.y = self._within(self._centred(y))
        dummies, self.columns = self._dummies()
        self.z = self._within(dummies)  # (J, S, T)
        self.level = None if sample.x is None else np.where(self.mask[:, None], sample.x, 0.0)
        if self.level is not None:
            self.z = np.concatenate([self.z, self._within(self._centred(self.level))], axis=1)
        self.x = self._within(self.acts[None])  # (J, G, k, T)
        weighted = self.z * share[:, None, None]
        self.zz = np.einsum("jst,jut->jsu", weighted, self.z)
        self.zx = np.einsum("jst,jgmt->jgsm", weighted, self.x)
        self.xx = np.einsum("jgmt,jgnt->jgmn", self.x * share[:, None, None, None], self.x)
        self.schur = self._schur()
        self.y_swept = self._sweep_periods(self.y)

    @property
    def held(self) -> tuple[str, ...]:
        """Names of the P columns that are held constant."""
        return (*self.columns, *self.sample.covariates)

    @property
    def absorbed(self) -> int:
        """Effects that are swept out of the rows: one or two a unit."""
        if self.effects is not None and self.effects.cohort:
            return 0
        each = 2 if self.effects is not None and self.effects.trends else 1
        return each * int(self.mask.any(axis=1).sum())

    def _dummies(self) -> tuple[Floats, tuple[str, ...]]:
        """Return the columns of the effects to hold, (J or 1, S, T), and their names."""
        sample, effects, t = self.sample, self.effects, self.mask.shape[1]
        if effects is None or effects.group is None:
            made = np.eye(t)[self.kept][None]
            names = tuple(f"period {sample.periods[s]}" for s in self.kept)
            if effects is None or not effects.cohort:
                return made, names
            inside = np.eye(len(sample.starts) + 1)[sample.cohort]  # never starting comes last
            there = inside.any(axis=0)
            cohorts = np.repeat(inside[:, there][:, :, None], t, axis=2)
            every = np.concatenate(
                [cohorts, np.broadcast_to(made, (len(inside), *made.shape[1:]))], 1
            )
            labels = [*(f"start {sample.periods[s]}" for s in sample.starts), "never starting"]
            return every, (*np.array(labels)[there].tolist(), *names)
        columns = []
        for g in range(len(effects.labels)):
            seen = np.flatnonzero(self.mask[effects.group == g].any(axis=0))
            columns += [(g, s) for s in seen[self.first :].tolist()]
        dummies = np.zeros((len(self.mask), len(columns), t))
        for i, (g, s) in enumerate(columns):
            dummies[effects.group == g, i, s] = 1.0
        return dummies, tuple(
            f"period {sample.periods[s]} in {effects.labels[g]}" for g, s in columns
        )

    def _centred(self, values: Floats) -> Floats:
        """Subtract plain means of units where their effects are swept anyway: fewer digits lost."""
        if self.effects is None or self.effects.cohort:
            return values
        rate = self.rate.reshape(len(self.rate), *(1,) * (values.ndim - 2), -1)
        mean = (values * rate).sum(axis=-1, keepdims=True)
        return np.where(rate > 0, values - mean, 0.0)

    def _within(self, values: Floats) -> Floats:
        """Subtract each unit's mean over its observed cells, or whiten; zero elsewhere."""
        if self.whiten is not None:
            return np.asarray(np.einsum("jst,j...t->j...s", self.whiten, values))
        middle = (1,) * (values.ndim - 2)
        rate = self.rate.reshape(len(self.rate), *middle, -1)
        mask = self.mask.reshape(rate.shape)
        mean = (values * rate).sum(axis=-1, keepdims=True)
        made: Floats = np.where(mask, values - mean, 0.0)
        return made

    def _schur(self) -> tuple[Floats, bool]:
        """Cholesky factor of the period equations."""
        total = self.zz.sum(axis=0)
        if self.level is not None:
            n = len(self.columns)
            refuse_collinear(self.sample, self.level, self.z[:, n:], total, n)
        try:
            return scipy.linalg.cho_factor(total, lower=True)
        except np.linalg.LinAlgError as error:
            raise EstimationError(
                needed="periods that are connected through units observed in several of them",
                found="periods whose effects cannot be told apart",
                where=f"metric {self.sample.metric.name!r}",
                todo="choose a window in which units are observed in more than one period",
            ) from error

    def _solve(self, right: Floats) -> Floats:
        """Solve the period equations for the columns of (…, S, m)."""
        flat = np.moveaxis(right, -2, 0).reshape(right.shape[-2], -1)
        made = scipy.linalg.cho_solve(self.schur, flat).reshape(
            right.shape[-2], *right.shape[:-2], right.shape[-1]
        )
        return np.moveaxis(made, 0, -2)

    def _sweep_periods(self, swept: Floats) -> Floats:
        """Take the period effects out of an array (J, T) that is already within units."""
        right = np.einsum("jst,jt->s", self.z * self.share[:, None, None], swept)
        effect = self._solve(right[:, None])[:, 0]
        made: Floats = swept - np.einsum("s,jst->jt", effect, self.z)
        return made

    def _actual(self) -> Floats:
        """The k regressors of the actual assignment, within units, (J, k, T)."""
        sample = self.sample
        made = np.zeros((len(sample.units), *self.acts.shape[1:]))
        made[sample.pilot] = self.x[sample.pilot, sample.cohort[sample.pilot]]
        return made

    def _residualised(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the regressors residualised on both effects, (J, k, T), and their products."""
        effect = self._solve(np.einsum("jst,jmt->sm", self.z * self.share[:, None, None], x))
        d = x - np.einsum("sm,jst->jmt", effect, self.z)
        return d, np.einsum("jmt,jnt->mn", d * self.share[:, None, None], d)

    def _weights(self, d: Floats, gram: Floats) -> Floats:
        """Return each cell's weight in each term, (k, J, T)."""
        scaled = d * self.share[:, None, None]
        return np.asarray(np.einsum("mn,jnt->mjt", np.linalg.inv(gram), scaled))

    def weights(self) -> Floats:
        """Return the weights alone; what looks collinear goes to `fit`, which says what is."""
        x = self._actual()
        d, gram = self._residualised(x)
        own = np.einsum("jmt,jmt,j->m", x, x, self.share)
        alone = np.linalg.eigvalsh(gram / np.sqrt(np.outer(own, own))) if own.all() else [0.0]
        if min(alone) < np.sqrt(COLLINEAR):
            return self.fit().weights
        return self._weights(d, gram)

    def fit(self) -> TwoWay:
        """Estimate the k terms."""
        sample, k = self.sample, self.acts.shape[1]
        x = self._actual()
        z = self.z
        both = np.concatenate([x, z], axis=1)  # (J, k + S, T)
        scaled = both * self.share[:, None, None]
        by_unit = np.einsum("jpt,jqt->jpq", scaled, both)
        into = np.einsum("jpt,jt->jp", scaled, self.y)
        squares = np.einsum("jt,jt->j", self.y * self.share[:, None], self.y)
        n_clusters = len(sample.cluster_labels)

        def by_cluster(values: Floats) -> Floats:
            made = np.zeros((n_clusters, *values.shape[1:]))
            np.add.at(made, sample.clusters, values)
            return made

        normal = Normal(
            A=by_cluster(by_unit),
            b=by_cluster(into),
            yy=by_cluster(squares),
            n_obs=int(self.mask.sum()),
            n_absorbed=self.absorbed,
            labels=sample.cluster_labels,
            names=(*self.names, *self.held),
        )
        d, gram = self._residualised(x)
        weights = self._weights(d, gram)
        values = np.einsum("mjt,jt->m", weights, self.y_swept)
        residual = self.y_swept - np.einsum("m,jmt->jt", values, d)
        contrast = np.zeros((k, normal.n_params))
        contrast[:, :k] = np.eye(k)
        by_cell = weights
        if self.effects is not None and self.whiten is not None:  # from rows back to cells
            by_cell = np.einsum("mjs,jst->mjt", weights, self.whiten)
        return TwoWay(
            values=values,
            weights=by_cell,
            influence=np.einsum("mjt,jt->jm", weights, residual),
            normal=normal,
            contrast=contrast,
            residual=residual,
            regressors=both,
            regroup=self.regroup,
            # effects of cohorts move with the assignment
            reassigned=None if self.effects is not None and self.effects.cohort else self.reassign,
        )

    def regroup(self, codes: Labels) -> Normal:
        """Sum cross-products over groups of cells, codes (J, T), whatever the clusters."""
        used = self.mask
        root = np.sqrt(self.share)[:, None]
        both = np.concatenate([self._actual(), self.z], axis=1) * root[:, None]
        labels, group = np.unique(codes[used], return_inverse=True)
        X, y = both.swapaxes(1, 2)[used], (self.y * root)[used]
        n, p = len(labels), X.shape[1]
        A = np.zeros((n, p, p))
        order = np.argsort(group, kind="stable")
        first = np.searchsorted(group[order], np.arange(n))
        for a in range(p):  # one column of products at a time: rows × p numbers, not rows × p²
            A[:, a] = np.add.reduceat((X[:, [a]] * X)[order], first, axis=0)
        unit = np.broadcast_to(np.arange(len(used))[:, None], used.shape)[used]
        pairs = len(np.unique(unit * n + group))
        return Normal(
            A=(A + A.swapaxes(1, 2)) / 2,
            b=np.add.reduceat((X * y[:, None])[order], first, axis=0),
            yy=np.add.reduceat((y**2)[order], first),
            n_obs=int(used.sum()),
            n_absorbed=self.absorbed,
            nested=pairs == len(np.unique(unit)),
            labels=tuple(str(label) for label in labels),
            names=(*self.names, *self.held),
        )

    def reassign(self, labels: Labels) -> Draws:
        """Return the draws for labels (B, J): a cohort, or −1 for a comparator."""
        if self.level is not None or self.effects is not None:
            refits = self._covariate_refits()
            packed = refits.packed()
            n1 = max(1, int(self.sample.pilot.sum()))
            size = max(1, CHUNK // refits.width(n1))
            parts = (labels[i : i + size] for i in range(0, len(labels), size))
            return Draws.stack([refits.chunk(part, packed) for part in parts])
        plain = _Refits(self)
        size = max(1, CHUNK // plain.width)
        return Draws.stack([plain.chunk(labels[i : i + size]) for i in range(0, len(labels), size)])

    def _covariate_refits(self) -> CovariateRefits:
        """What the refits with covariates need; outcomes are y and the actual treatments."""
        actual = self._actual()
        treated = [self._sweep_periods(actual[:, m]) for m in range(actual.shape[1])]
        outcomes = np.stack([self.y_swept, *treated], axis=-1)  # (J, T, 1 + k)
        return CovariateRefits(
            zz=self.zz,
            zx=self.zx,
            xx=self.xx,
            zo=self.z @ outcomes,
            xo=self.x @ outcomes[:, None],
            solve=self._solve,
        )


class _Refits:
    """The same regression under other assignments, many at once, without the J units.

    Units that are observed in the same periods share their swept regressors. With ``V`` the period
    effects of the regressors and ``M`` the inverse of their cross-products, the score of a unit
    that is not a pilot is ``−(L z + c)``: ``L = M V'``, z its swept outcome, and c one vector a
    pattern. So the sum of squared scores needs only the sums of z and zz' by pattern, and the
    pilots of the draw one by one (computation of CR0 by cross-products; Frisch-Waugh-Lovell).
    Outcomes are y and, to test effects other than zero, each term's actual treatment.
    """

    def __init__(self, sweep: _Sweep) -> None:
        self.sweep = sweep
        actual = sweep._actual()
        k = actual.shape[1]
        treated = [sweep._sweep_periods(actual[:, m]) for m in range(k)]
        y, d = sweep.y_swept, np.stack(treated, axis=-1)  # (J, T), (J, T, k)
        every = np.concatenate([y[..., None], d], axis=-1)
        self.into = np.einsum("jgmt,jto->jgmo", sweep.x, every)
        # z'o is o itself on the kept periods: swept outcomes add up to zero within a unit
        self.zy, self.zd = (
            y[:, sweep.kept],
            d[:, sweep.kept].transpose(0, 2, 1),
        )  # (J, S), (J, k, S)
        _, first, self.pattern = np.unique(
            sweep.mask, axis=0, return_index=True, return_inverse=True
        )
        self.pattern = self.pattern.ravel()
        self.zz, self.xx, self.zx = sweep.zz[first], sweep.xx[first], sweep.zx[first]
        groups = [np.flatnonzero(self.pattern == i) for i in range(len(first))]
        self.count = np.array([len(g) for g in groups], dtype=float)
        self.sum_y = np.stack([self.zy[g].sum(axis=0) for g in groups])  # (P, S)
        self.sum_d = np.stack([self.zd[g].sum(axis=0) for g in groups])  # (P, k, S)
        self.yy = np.stack([self.zy[g].T @ self.zy[g] for g in groups])  # (P, S, S)
        self.yd = np.stack([np.einsum("js,jmt->mst", self.zy[g], self.zd[g]) for g in groups])
        self.dd = np.stack([np.einsum("jms,jmt->mst", self.zd[g], self.zd[g]) for g in groups])
        n1 = max(1, int(sweep.sample.pilot.sum()))
        self.width = n1 * k * (k + self.zy.shape[1] + 1)

    def chunk(self, labels: Labels) -> Draws:
        """Refit a chunk of B draws; every step is a product of arrays."""
        k, n_draws = self.sweep.acts.shape[1], len(labels)
        at = np.nonzero(labels >= 0)
        n1 = len(at[0]) // n_draws
        unit, cohort = at[1].reshape(n_draws, n1), labels[at].reshape(n_draws, n1)
        kind = self.pattern[unit]
        zx = self.zx[kind, cohort].sum(axis=1)  # (B, S, k)
        effect = self.sweep._solve(zx)  # V (B, S, k)
        gram = self.xx[kind, cohort].sum(axis=1) - zx.swapaxes(1, 2) @ effect
        inverse, lost = inverse_or_lost(gram, n1)  # M
        into = self.into[unit, cohort]  # (B, n1, k, 1 + k)
        slope = inverse @ into.sum(axis=1)
        slope = np.where(lost[:, :, None], 0.0, slope)
        by_y, by_d = slope[:, :, 0], slope[:, :, 1:]
        lead = inverse @ effect.swapaxes(1, 2)  # L (B, k, S)

        def constants(square: Floats) -> Floats:
            """M D'D β, for y and, row by row, for each term's own treatment (2, B, k)."""
            turned = inverse @ square
            by_own = (turned * by_d.swapaxes(1, 2)).sum(axis=-1)
            return np.stack([(turned * by_y[:, None]).sum(axis=-1), by_own])

        v0, v1, v2 = (np.zeros((n_draws, k)) for _ in range(3))
        outside, inside = [], []  # the constants by pattern, and by pattern and cohort
        for i, n in enumerate(self.count):
            square = effect.swapaxes(1, 2) @ (self.zz[i] @ effect)  # D'D of a unit not a pilot
            c_y, c_d = constants(square)
            outside.append(np.stack([c_y, c_d]))
            for g in range(self.zx.shape[1]):
                cross = self.zx[i, g].T @ effect
                own = self.xx[i, g] - cross - cross.swapaxes(1, 2) + square
                inside.append(constants(own))
            l_y, l_d = lead @ self.sum_y[i], np.einsum("bms,ms->bm", lead, self.sum_d[i])
            v0 += _form(lead, self.yy[i]) + 2 * c_y * l_y + n * c_y**2
            v1 += _form(lead, self.yd[i]) + c_d * l_y + c_y * l_d + n * c_y * c_d
            v2 += _form(lead, self.dd[i]) + 2 * c_d * l_d + n * c_d**2
        # the pilots of the draw: out as comparators, in as pilots; (2, B, n1, k)
        rows = np.arange(n_draws)[:, None]
        n_cohorts = self.zx.shape[1]
        drift = np.stack(
            [
                (lead @ self.zy[unit].swapaxes(1, 2)).swapaxes(1, 2),
                np.einsum("bms,bims->bim", lead, self.zd[unit]),
            ]
        )
        flat = into.swapaxes(1, 2).reshape(n_draws, k, -1)
        turned = (inverse @ flat).reshape(n_draws, k, n1, 1 + k)
        reach = np.stack([turned[..., 0], np.einsum("bmim->bmi", turned[..., 1:])])
        taken = drift + np.stack(outside)[kind, :, rows].transpose(2, 0, 1, 3)
        given = (
            reach.swapaxes(2, 3)
            - drift
            - np.stack(inside)[kind * n_cohorts + cohort, :, rows].transpose(2, 0, 1, 3)
        )
        v0 += (given[0] ** 2 - taken[0] ** 2).sum(axis=1)
        v1 += (given[0] * given[1] - taken[0] * taken[1]).sum(axis=1)
        v2 += (given[1] ** 2 - taken[1] ** 2).sum(axis=1)
        gone = np.where(lost, np.nan, 0.0)  # a term that nobody carries in this draw
        return Draws(
            b=by_y + gone,
            a=np.diagonal(by_d, axis1=1, axis2=2) + gone,
            v0=np.maximum(v0, 0.0),
            v1=v1,
            v2=np.maximum(v2, 0.0),
        )


def _form(lead: Floats, matrix: Floats) -> Floats:
    """Quadratic forms L m L' row by row; `matrix` is (S, S), or (k, S, S) for each term."""
    if matrix.ndim == 2:
        return np.asarray(((lead @ matrix) * lead).sum(axis=-1))
    turned = (lead.swapaxes(0, 1) @ matrix).swapaxes(0, 1)
    return np.asarray((turned * lead).sum(axis=-1))
