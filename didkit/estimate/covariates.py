"""Covariates beside unit and period effects: which may be had, and the refit for many pilots.

Covariates are nuisance columns like the period dummies: swept within units, then held constant by
the same equations (Frisch-Waugh-Lovell). With them every unit has cross-products of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, first_few
from didkit.linear.normal import ABSORBED
from didkit.linear.roots import dependence
from didkit.results import Draws, Labels

__all__ = [
    "CovariateRefits",
    "check_covariates",
    "inverse_or_lost",
    "refuse_collinear",
    "refuse_here",
    "shown",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_QUIET = ("covariates", "sampling", "population", "trends", "periods_by", "effects", "ends")


def check_covariates(given: object, cells: str, where: str) -> tuple[str, ...]:
    """Return the names of covariates as a tuple; refuse what cannot be served.

    Raises
    ------
    EstimationError
        Not names, a name twice, or ``cells="complete"``.
    """
    names: tuple[object, ...] = ()
    if isinstance(given, Sequence) and not isinstance(given, str):
        names = tuple(given)
    words = tuple(name for name in names if isinstance(name, str))
    if (not names and given not in ((), [])) or len(set(words)) != len(names):
        raise EstimationError(
            needed="names of metrics of the panel, each once, such as covariates=('population',)",
            found=repr(given),
            where=where,
            todo="give a tuple of names; one name needs its comma",
        )
    if words and cells == "complete":
        raise EstimationError(
            needed="cells='observed' with covariates, which change from cell to cell",
            found="cells='complete': one long difference a unit has no cells left to hold them "
            "constant in",
            where=where,
            todo="use cells='observed', or leave covariates= out",
        )
    return words


def refuse_here(covariates: tuple[str, ...], sample: Sample, where: str) -> None:
    """Refuse covariates with matched sets, and the outcome as a covariate of itself.

    Raises
    ------
    EstimationError
        In both cases.
    """
    if covariates and sample.sets is not None:
        raise EstimationError(
            needed="one pool of comparators with covariates",
            found="matched sets: a regression in each set has too few units to hold covariates "
            "constant",
            where=where,
            todo="match on them instead, or compare with one pool: against=Pool() or union()",
        )
    if sample.metric.name in covariates:
        raise EstimationError(
            needed="covariates other than the outcome",
            found=f"{sample.metric.name!r} is both",
            where=where,
            todo="leave it out: held constant, the outcome shows no change at all",
        )


def shown(estimator: Any) -> str:
    """Write an estimator as a call; covariates, weights and effects only where there are some."""
    options = [
        f"{one.name}={getattr(estimator, one.name)!r}"
        for one in fields(estimator)
        if one.name not in _QUIET or getattr(estimator, one.name) != one.default
    ]
    return f"{type(estimator).__name__}({', '.join(options)})"


def refuse_collinear(
    sample: Sample, level: Floats, within: Floats, total: Floats, n_periods: int
) -> None:
    """Refuse, by name, covariates that the effects or the covariates before them hold.

    Parameters
    ----------
    sample : Sample
        With its covariates.
    level, within : array (J, C, T)
        The covariates as they are, and swept within units; zero where a cell is not used.
    total : array (S + C, S + C)
        Cross-products of S period dummies and C covariates, swept within units.
    n_periods : int
        S.

    Raises
    ------
    EstimationError
        Naming each and what holds it.
    """
    names = sample.covariates
    raw = np.sqrt((level**2).sum(axis=(0, 2)))
    left = np.sqrt((within**2).sum(axis=(0, 2)))
    fixed = left <= ABSORBED * raw
    found = [
        f"{name!r} does not change over time in any authority: unit effects hold it"
        for name, gone in zip(names, fixed, strict=True)
        if gone
    ]
    kept = [*range(n_periods), *(n_periods + np.flatnonzero(~fixed))]
    for j, others in dependence(total[np.ix_(kept, kept)]):
        if kept[j] < n_periods:  # the periods themselves: refused with their own reason
            continue
        held = [names[kept[i] - n_periods] for i in others if kept[i] >= n_periods]
        periods = ["period effects"] if any(kept[i] < n_periods for i in others) else []
        by = " and ".join([*(repr(name) for name in held), *periods])
        found.append(f"{names[kept[j] - n_periods]!r} changes only as {by or 'unit effects'} do")
    if found:
        raise EstimationError(
            needed="covariates that change over time, each in its own way",
            found=first_few(found),
            where=f"covariates of metric {sample.metric.name!r}",
            todo="leave them out: they have no coefficient, and the estimate is the same without",
        )


def inverse_or_lost(gram: Floats, n1: int) -> tuple[Floats, Bools]:
    """Invert the cross-products (B, k, k) of the terms; say which terms a draw lost (B, k)."""
    k = gram.shape[-1]
    lost = np.diagonal(gram, axis1=1, axis2=2) <= 1e-10 * n1
    gram = gram + np.where(lost, 1.0, 0.0)[:, :, None] * np.eye(k)
    scale = np.diagonal(gram, axis1=1, axis2=2)
    # terms that are combinations of each other: where a pilot has no reference, say
    alike = np.linalg.det(gram) == 0
    inverse = np.linalg.inv(np.where(alike[:, None, None], np.eye(k), gram))
    alike |= (np.diagonal(inverse, axis1=1, axis2=2) * scale > 1e10).any(axis=1)
    return inverse, lost | alike[:, None]


@dataclass(frozen=True, eq=False)
class CovariateRefits:
    """The regression with covariates under other assignments, many at once.

    Columns to hold constant are ``z_j`` (P: period dummies and covariates, swept within unit j).
    With ``V = (Σ zz')^-1 Σ zx'`` the regressors are ``D_j = x_j − V' z_j``; ``M = (Σ DD')^-1``,
    ``L = M V'``, and the score of a unit that is not a pilot is ``−L (z_j ỹ_j + zz_j V β)``. The
    last product is linear in the unit's own ``zz_j``, so that all units under all draws are one
    matrix product, of P (P + 1)/2 columns. A pilot adds ``M (x_j ỹ_j − x_j x_j' β + x_j z_j' V β)
    + L (z_j x_j') β`` to it. Outcomes are y and each term's actual treatment, both residualised on
    unit effects and all of z (Frisch-Waugh-Lovell), and variances are CR0.

    Parameters
    ----------
    zz, zx, xx : array (J, P, P), (J, G, P, k), (J, G, k, k)
        Each unit's cross-products, with the k paths of each cohort.
    zo : array (J, P, 1 + k)
        z with the outcomes: y, then the actual treatment of each term.
    xo : array (J, G, k, 1 + k)
        The paths with the outcomes.
    solve : callable
        Solves the equations Σ zz for (…, P, m).
    """

    zz: Floats
    zx: Floats
    xx: Floats
    zo: Floats
    xo: Floats
    solve: Callable[[Floats], Floats]

    def width(self, n1: int) -> int:
        """Numbers that the largest array holds for one draw."""
        n_units, p, k = len(self.zz), self.zz.shape[1], self.xx.shape[-1]
        return int(max(n_units, n1 * k * (k + p + 1), p * (p + 1) // 2 + p))

    def packed(self) -> Floats:
        """Return the lower triangles of ``zz_j`` as columns, (P (P + 1)/2, J)."""
        low = np.tril_indices(self.zz.shape[1])
        return np.ascontiguousarray(self.zz[:, low[0], low[1]].T)

    def chunk(self, labels: Labels, packed: Floats) -> Draws:
        """Refit a chunk of B draws; `packed` is `packed()`, made once."""
        n_draws, k = len(labels), self.xx.shape[-1]
        at = np.nonzero(labels >= 0)
        n1 = len(at[0]) // n_draws
        unit, cohort = at[1].reshape(n_draws, n1), labels[at].reshape(n_draws, n1)
        zx_own = self.zx[unit, cohort]  # (B, n1, P, k)
        xx_own, xo_own = self.xx[unit, cohort], self.xo[unit, cohort]
        zx = zx_own.sum(axis=1)
        effect = self.solve(zx)  # V (B, P, k)
        inverse, lost = inverse_or_lost(xx_own.sum(axis=1) - zx.swapaxes(1, 2) @ effect, n1)
        slope = inverse @ xo_own.sum(axis=1)  # β of each outcome, (B, k, 1 + k)
        slope = np.where(lost[:, :, None], 0.0, slope)
        lead = inverse @ effect.swapaxes(1, 2)  # L (B, k, P)
        held = effect @ slope  # V β (B, P, 1 + k)
        v0, v1, v2 = (np.empty((n_draws, k)) for _ in range(3))
        for m in range(k):
            own = [
                self._scores(m, o, unit, packed, inverse, lead, slope, held, xx_own, xo_own, zx_own)
                for o in (0, 1 + m)
            ]
            for into, first, second in ((v0, 0, 0), (v1, 0, 1), (v2, 1, 1)):
                into[:, m] = np.einsum("bj,bj->b", own[first], own[second])
        gone = np.where(lost, np.nan, 0.0)  # a term that nobody carries in this draw
        return Draws(
            b=slope[:, :, 0] + gone,
            a=np.diagonal(slope[:, :, 1:], axis1=1, axis2=2) + gone,
            v0=v0,
            v1=v1,
            v2=v2,
        )

    def _scores(
        self,
        m: int,
        o: int,
        unit: Labels,
        packed: Floats,
        inverse: Floats,
        lead: Floats,
        slope: Floats,
        held: Floats,
        xx_own: Floats,
        xo_own: Floats,
        zx_own: Floats,
    ) -> Floats:
        """Return every unit's score in term m for outcome o, (B, J)."""
        row, beta, by_z = lead[:, m], slope[:, :, o], held[:, :, o]
        p = row.shape[1]
        a, c = np.tril_indices(p)
        form = row[:, a] * by_z[:, c]
        off = a != c
        form[:, off] += row[:, c[off]] * by_z[:, a[off]]
        made = form @ packed
        made += row @ self.zo[:, :, o].T
        np.negative(made, out=made)
        crossed = (zx_own @ beta[:, None, :, None])[..., 0]  # z x' β (B, n1, P)
        inner = xo_own[..., o] - (xx_own @ beta[:, None, :, None])[..., 0]
        inner += (by_z[:, None, None, :] @ zx_own)[:, :, 0]
        added = (inner @ inverse[:, m, :, None])[..., 0] + (crossed @ row[:, :, None])[..., 0]
        made[np.arange(len(unit))[:, None], unit] += added
        return np.asarray(made)
