"""The 2×2 for panel data under thousands of assignments at once: `panel`, draw by draw, in batches.

Covariates and outcomes are those of the units; only who is a pilot changes. So every sum over units
is a matrix product of draws × units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError
from didkit.estimate.propensity import TRIM, standardised
from didkit.estimate.two_by_two import Method, panel
from didkit.results import Draws, Labels

__all__ = ["draws_of_panel"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CELLS = 400_000  # draws × units at once
_STEPS = 25
_STEP = 1e-7


def draws_of_panel(
    Y: Floats, X: Floats, w: Floats | None, method: Method
) -> Callable[[Labels], Draws]:
    """Return what `Estimate.reassigned` asks for.

    Parameters
    ----------
    Y : array (J, 2)
        Change of the outcome, and of the actual treatment (1 for a pilot).
    X : array (J, p)
        Covariates; the first column is 1.
    w : array (J,), optional
        Positive weights.
    method : str
        As for `panel`.

    Returns
    -------
    callable
        Labels (B, J) → `Draws` of one term. A draw whose pilots the covariates tell from the
        comparators has no estimate: NaN.
    """
    w = np.ones(len(Y)) if w is None else w
    if X.shape[1] == 1:
        method = "regression"
    batch = _Batch(Y, standardised(X, (), "reassigned"), w, method)

    def reassigned(labels: Labels) -> Draws:
        size = max(_CELLS // len(Y), 1)
        parts = [batch.draws(labels[at : at + size] >= 0) for at in range(0, len(labels), size)]
        return Draws.stack(parts)

    return reassigned


@dataclass(frozen=True, eq=False)
class _Batch:
    """What all draws share."""

    Y: Floats
    X: Floats
    w: Floats
    method: Method

    def draws(self, treated: Bools) -> Draws:
        """Return the draws of some assignments (B, J)."""
        values, moments = self._fit(treated)
        for i in np.flatnonzero(~np.isfinite(moments).all(axis=1)):
            values[i], moments[i] = self._alone(treated[i])
        return Draws(
            b=values[:, :1],
            a=values[:, 1:],
            v0=moments[:, :1],
            v1=moments[:, 1:2],
            v2=moments[:, 2:],
        )

    def _alone(self, treated: Bools) -> tuple[Floats, Floats]:
        """Fit one draw with all the care of `panel`."""
        try:
            made = panel(self.Y, treated, self.X, self.w, self.method)
        except EstimationError:
            return np.full(2, np.nan), np.full(3, np.nan)
        one, two = made.influence.T
        return made.values, np.array([one @ one, one @ two, two @ two])

    def _fit(self, treated: Bools) -> tuple[Floats, Floats]:
        """Fit a batch: values (B, 2) and moments of the influence (B, 3); NaN where in doubt."""
        X, w, method = self.X, self.w, self.method
        d = treated.astype(np.float64)
        qt = w * d
        total = qt.sum(axis=1, keepdims=True)
        improved = method in ("dr_improved", "dr_improved_comparators")
        omega = w * (1 - d)
        with np.errstate(all="ignore"):  # what overflows is fitted alone
            qt = qt / total
            score, inverse = None, None
            qc = np.zeros_like(qt)
            if method != "regression":
                b, inverse = self._newton(self._start(total), w * d, w, tilted=False)
                if improved:
                    b, inverse = self._newton(b, w * d, omega, tilted=True)
                index = b @ X.T
                p, odds = 1 / (1 + np.exp(-index)), np.exp(index)
                qc = omega * np.where(p >= TRIM, 0.0, odds)
                qc /= total if method == "ipw_unnormalised" else qc.sum(axis=1, keepdims=True)
                score = None if improved else w * (d - p)
                omega = omega * odds if improved else omega
            q = qt - qc
            plain = method in ("ipw", "ipw_unnormalised")
            own, gram = q, None
            if not plain:
                gram = self._inverse(omega)
                u = q - omega * (np.einsum("bij,bj->bi", gram, q @ X) @ X.T)
                own = q if improved else u
            values, parts = np.empty((len(d), 2)), []
            for m, y in enumerate(self.Y.T):
                rest = np.broadcast_to(y, d.shape)
                if gram is not None:
                    rest = y - np.einsum("bij,bj->bi", gram, (omega * y) @ X) @ X.T
                mean_t, mean_c = ((v * rest).sum(axis=1, keepdims=True) for v in (qt, qc))
                values[:, m] = (mean_t - mean_c)[:, 0]
                if method == "ipw_unnormalised":
                    mean_t, mean_c = mean_t - mean_c, np.zeros_like(mean_c)
                psi = own * rest - qt * mean_t + qc * mean_c
                if score is not None and inverse is not None:
                    slope = (qc * (rest - mean_c)) @ X
                    psi -= score * (np.einsum("bij,bj->bi", inverse, slope) @ X.T)
                parts.append(psi)
            one, two = parts
            pairs = ((one, one), (one, two), (two, two))
            moments = np.column_stack([np.einsum("bj,bj->b", v, z) for v, z in pairs])
        few = np.minimum(treated.sum(axis=1), (~treated).sum(axis=1)) < X.shape[1]
        moments[few] = np.nan
        return values, moments

    def _start(self, total: Floats) -> Floats:
        """Begin with the share of pilots."""
        b = np.zeros((len(total), self.X.shape[1]))
        b[:, 0] = np.log(total / (self.w.sum() - total))[:, 0]
        return b

    def _newton(
        self, b: Floats, ones: Floats, weight: Floats, *, tilted: bool
    ) -> tuple[Floats, Floats]:
        """Fit the logit, or the tilting, of each draw; NaN where it does not converge."""
        X = self.X
        target = ones @ X
        moving = np.ones(len(b), dtype=bool)
        b = b.copy()
        weight = np.broadcast_to(weight, ones.shape)
        for _ in range(_STEPS):
            at = np.flatnonzero(moving)
            if len(at) == 0:
                break
            index = b[at] @ X.T
            mean = np.exp(index) if tilted else 1 / (1 + np.exp(-index))
            slope = target[at] - (weight[at] * mean) @ X
            curve = weight[at] * (mean if tilted else mean * (1 - mean))
            step = np.einsum("bij,bj->bi", self._inverse(curve), slope)
            large = np.abs(step).max(axis=1, keepdims=True)
            b[at] += step * np.minimum(1.0, 5.0 / np.maximum(large, 1e-300))
            moving[at] = ~(large[:, 0] < _STEP) & np.isfinite(large[:, 0])
        index = b @ X.T
        mean = np.exp(index) if tilted else 1 / (1 + np.exp(-index))
        inverse = self._inverse(weight * (mean if tilted else mean * (1 - mean)))
        b[moving] = np.nan
        return b, inverse

    def _inverse(self, weight: Floats) -> Floats:
        """Invert the weighted cross-products of each draw; NaN where they are near singular."""
        X, p = self.X, self.X.shape[1]
        products = (X[:, :, None] * X[:, None, :]).reshape(len(X), -1)
        gram = (weight @ products).reshape(-1, p, p)
        size = np.sqrt(np.einsum("bii->bi", gram))
        scaled = gram / (size[:, :, None] * size[:, None, :])
        bad = ~np.isfinite(scaled).all(axis=(1, 2))
        scaled[bad] = np.eye(p)
        bad |= np.linalg.cond(scaled) > 1e10
        scaled[bad] = np.eye(p)
        made = np.linalg.inv(scaled) / (size[:, :, None] * size[:, None, :])
        made[bad] = np.nan
        return np.asarray(made)
