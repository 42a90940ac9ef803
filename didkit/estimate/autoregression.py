"""Autoregressive errors in short panels: their coefficients without the bias of fixed effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.errors import EstimationError

__all__ = ["Autoregression", "autocovariances", "autoregression", "from_partial", "whitening"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Partial autocorrelations are held inside this: beyond it a short panel cannot tell the process
#: from a random walk, whose levels have no variance.
EDGE = 0.98


@dataclass(frozen=True, eq=False)
class Autoregression:
    """Coefficients of a stationary autoregression, pooled over units.

    Parameters
    ----------
    coefficients : array (p,)
        Corrected for the bias of fixed effects.
    uncorrected : array (p,)
        Least squares on the residuals.
    at_edge : bool
        No stationary process has residuals with the uncorrected coefficients: the corrected ones
        are the nearest with partial autocorrelations up to 0.98.
    """

    coefficients: Floats
    uncorrected: Floats
    at_edge: bool


def from_partial(partial: Floats) -> Floats:
    """Turn partial autocorrelations inside (−1, 1) into the coefficients of a stationary process.

    The recursion of Durbin and Levinson.

    Examples
    --------
    >>> import numpy as np
    >>> from_partial(np.array([0.5, 0.2])).round(6).tolist()
    [0.4, 0.2]
    """
    made = np.zeros(0)
    for r in partial:
        made = np.append(made - r * made[::-1], r)
    return made


def autocovariances(coefficients: Floats, n: int) -> Floats:
    """Return the autocovariances at lags 0 … n − 1 when innovations have variance 1.

    The Yule–Walker equations up to lag p, then their recursion.

    Examples
    --------
    >>> import numpy as np
    >>> autocovariances(np.array([0.5]), 3).round(6).tolist()
    [1.333333, 0.666667, 0.333333]
    """
    p = len(coefficients)
    equations = np.eye(p + 1)
    for h in range(p + 1):
        for lag, value in enumerate(coefficients, start=1):
            equations[h, abs(h - lag)] -= value
    made = list(np.linalg.solve(equations, np.eye(p + 1)[0]))
    while len(made) < n:
        made.append(float(coefficients @ np.array(made[-1 : -p - 1 : -1])))
    return np.array(made[:n])


def autoregression(residual: Floats, regressors: Floats, mask: Bools, lags: int) -> Autoregression:
    """Pool the autoregression of least-squares residuals, and take the bias of fixed effects out.

    Parameters
    ----------
    residual : array (J, T)
        Residuals of the outcome on unit effects and p regressors; zero where a cell is not used.
    regressors : array (J, p, T)
        The regressors, swept within units.
    mask : bool array (J, T)
        The cells used.
    lags : int
        Order of the autoregression.

    Raises
    ------
    EstimationError
        If there are no fewer lags than one less than the periods, or too few cells follow each
        other.

    Notes
    -----
    Residuals of a short window are negatively related because they sum to zero within units, so
    least squares on them converges, as units grow in number, to ``b(α)`` and not to α (Nickell
    1981). Hansen (2007) inverts b, which follows from α alone; here too. His b sweeps the unit
    effects; this one sweeps every regressor, and a unit's gaps, exactly: with errors of
    autocovariance Γ, ``e_j = Q_j u_j − X_j A^-1 Σ X_i'u_i`` and
    ``E e_j e_j' = Q_j Γ Q_j' − F − F' + X_j A^-1 (Σ X_i' Γ X_i) A^-1 X_j'``, with
    ``F = Q_j Γ X_j A^-1 X_j'``. b is then the ratio of expected cross-products, which is linear
    in the autocovariances above and below. Cells whose p predecessors are all observed count.
    """
    n_periods = mask.shape[1]
    if lags >= n_periods - 1:  # residuals sum to zero: the last follows from the others
        raise EstimationError(
            needed="fewer lags than one less than the periods",
            found=f"{lags} lag{'' if lags == 1 else 's'} and {n_periods} periods",
            where=f"FGLS(lags={lags})",
            todo=f"use at most {n_periods - 2} lags, or a longer window"
            if n_periods > 2
            else "use DiD(): three periods are the least that show how errors persist",
        )
    complete = np.zeros_like(mask)
    complete[:, lags:] = mask[:, lags:]
    for lag in range(1, lags + 1):
        complete[:, lags:] &= mask[:, lags - lag : n_periods - lag]
    if int(complete.sum()) <= lags:
        raise EstimationError(
            needed=f"units observed in {lags + 1} periods in a row",
            found=f"{int(complete.sum())} cells whose {lags} periods before are observed too",
            where=f"FGLS(lags={lags})",
            todo="use fewer lags, or a longer window",
        )
    moments = _lagged(residual[:, :, None] * residual[:, None], complete, lags)
    if np.linalg.matrix_rank(moments[1:, 1:]) < lags:
        raise EstimationError(
            needed="residuals that differ, from which to learn how errors persist",
            found="none left: unit, period and programme explain the outcome entirely",
            where=f"FGLS(lags={lags})",
            todo="look at the outcome (is it constant?); DiD() needs no residuals",
        )
    actual = _solved(moments)
    basis = _expected(regressors, mask, complete, lags)

    def gap(partial: Floats) -> Floats:
        by_lag = autocovariances(from_partial(partial), n_periods)
        return _solved(np.einsum("h,hab->ab", by_lag, basis)) - actual

    found = scipy.optimize.least_squares(
        gap, np.zeros(lags), bounds=(-EDGE, EDGE), xtol=1e-12, ftol=1e-14, gtol=1e-12
    )
    return Autoregression(
        coefficients=from_partial(found.x),
        uncorrected=actual,
        at_edge=bool(np.abs(found.fun).max() > 1e-6),
    )


def whitening(coefficients: Floats, mask: Bools) -> Floats:
    """Return what turns each unit's path into independent rows free of its effect, (J, T, T).

    ``(I − q q') C^-1`` with ``C C'`` the exact covariance of the unit's observed cells, gaps and
    all, and q the unit's whitened effect (Prais & Winsten 1954 is the case of one lag without
    gaps); zero in rows and columns of cells that are not used.

    Examples
    --------
    >>> import numpy as np
    >>> made = whitening(np.array([0.5]), np.array([[True, True, False]]))
    >>> bool(np.abs(made @ np.ones(3)).max() < 1e-12)  # the unit's effect is gone
    True
    """
    n_periods = mask.shape[1]
    cover = scipy.linalg.toeplitz(autocovariances(coefficients, n_periods))
    made = np.zeros((*mask.shape, n_periods))
    patterns, which = np.unique(mask, axis=0, return_inverse=True)
    for i, seen in enumerate(patterns):
        at = np.flatnonzero(seen)
        if not len(at):
            continue
        root = np.linalg.cholesky(cover[np.ix_(at, at)])
        rows = scipy.linalg.solve_triangular(root, np.eye(len(at)), lower=True)
        effect = rows.sum(axis=1)
        rows -= np.outer(effect, effect @ rows) / (effect @ effect)
        own = np.zeros((n_periods, n_periods))
        own[np.ix_(at, at)] = rows
        made[which.ravel() == i] = own
    return made


def _lagged(products: Floats, complete: Bools, lags: int) -> Floats:
    """Sum products (J, T, T) of cells t − a and t − b over the complete t, (1 + p, 1 + p)."""
    made = np.empty((lags + 1, lags + 1))
    unit, t = np.nonzero(complete)
    for a in range(lags + 1):
        for b in range(lags + 1):
            made[a, b] = products[unit, t - a, t - b].sum()
    return made


def _solved(moments: Floats) -> Floats:
    """Least squares of a cell on those before it."""
    return np.asarray(np.linalg.solve(moments[1:, 1:], moments[1:, 0]))


def _expected(regressors: Floats, mask: Bools, complete: Bools, lags: int) -> Floats:
    """Expected sums of products of residuals for a unit autocovariance at each lag, (T, …)."""
    n_periods = mask.shape[1]
    scale = np.sqrt((regressors**2).sum(axis=(0, 2)))
    x = regressors.swapaxes(1, 2) / scale  # (J, T, p)
    rows = x.reshape(-1, x.shape[2])
    by_a = x @ np.linalg.inv(rows.T @ rows)
    count = np.maximum(mask.sum(axis=1), 1)[:, None, None]
    both = (mask[:, :, None] & mask[:, None]).astype(np.float64)
    sweep = np.eye(n_periods) * mask[:, None] - both / count
    made = np.empty((n_periods, lags + 1, lags + 1))
    for h in range(n_periods):
        cover = np.eye(n_periods, k=h) + (np.eye(n_periods, k=-h) if h else 0.0)
        crossed = sweep @ (cover * both) @ x @ by_a.swapaxes(1, 2)
        middle = rows.T @ (cover @ x).reshape(rows.shape)
        own = sweep @ (cover * both) @ sweep
        whole = own - crossed - crossed.swapaxes(1, 2) + by_a @ middle @ by_a.swapaxes(1, 2)
        made[h] = _lagged(whole, complete, lags)
    return made
