"""Logit and its calibrated kin by Newton's method: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LogitFit", "logit", "tilt"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_STEP = 1e-7  # of a coefficient; the next step would be of its square


@dataclass(frozen=True, eq=False)
class LogitFit:
    """Coefficients of ``P(d = 1 | x) = 1 / (1 + exp(−x b))``.

    Parameters
    ----------
    coefficients : array (p,)
        One a column.
    index : array (n,)
        The linear index x b; the odds are its exponential.
    inverse : array (p, p)
        Inverse of the Hessian of the negative objective, a sum over rows.
    iterations : int
        Newton steps taken.
    converged : bool
        False where no finite solution was found: the groups are separated, or columns collinear.
    """

    coefficients: Floats
    index: Floats
    inverse: Floats
    iterations: int
    converged: bool

    @property
    def odds(self) -> Floats:
        """Odds of each row (n,)."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.index))

    @property
    def probability(self) -> Floats:
        """Probability of each row (n,)."""
        return _inverse_logit(self.index)


def logit(X: Floats, d: Bools, w: Floats, *, iterations: int = 50) -> LogitFit:
    """Fit a weighted logit by maximum likelihood.

    Parameters
    ----------
    X : array (n, p)
        Regressors of similar scale, the first of them 1 in every row.
    d : bool array (n,)
        What is explained; both values occur.
    w : array (n,)
        Positive weights.
    iterations : int
        At most so many steps.

    Returns
    -------
    LogitFit

    Notes
    -----
    Newton's method, which for a logit is iteratively reweighted least squares; a step that takes
    the likelihood's slope further from zero is halved.

    Examples
    --------
    >>> X = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    >>> fit = logit(X, np.array([True, False, True, False]), np.array([1.0, 1.0, 3.0, 1.0]))
    >>> fit.odds.round(10).tolist()
    [1.0, 1.0, 3.0, 3.0]
    """
    ones = float(w @ d)
    start = np.zeros(X.shape[1])
    start[0] = np.log(ones / (float(w.sum()) - ones))
    wd = w * d

    def slope(index: Floats) -> tuple[Floats, Floats]:
        p = _inverse_logit(index)
        wp = w * p
        return X.T @ (wd - wp), _gram(X, wp * (1 - p))

    return _newton(X, start, slope, iterations)


def tilt(X: Floats, d: Bools, w: Floats, start: Floats, *, iterations: int = 100) -> LogitFit:
    """Fit the logit whose odds give the rows with d = 0 the column means of those with d = 1.

    Inverse probability tilting (Graham, Pinto & Egel 2012), as in Sant'Anna & Zhao (2020): the
    minimum of ``Σ w [(1 − d) exp(x b) − d x b]``, which is convex.

    Parameters
    ----------
    X, d, w
        As in `logit`.
    start : array (p,)
        Coefficients to start from: those of the logit.
    iterations : int
        At most so many steps.

    Returns
    -------
    LogitFit
        ``converged`` is False where no positive weights balance the columns: the means of the
        rows with d = 1 lie outside the hull of the others.

    Examples
    --------
    >>> X = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    >>> d = np.array([True, False, True, False])
    >>> tilt(X, d, np.ones(4), np.zeros(2)).odds.round(10).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    total = X.T @ (w * d)
    others = ~d
    Z, v = X[others], w[others]

    def slope(index: Floats) -> tuple[Floats, Floats]:
        with np.errstate(over="ignore"):
            weight = v * np.exp(index)
        return total - Z.T @ weight, _gram(Z, weight)

    made = _newton(Z, start, slope, iterations)
    return LogitFit(
        made.coefficients,
        X @ made.coefficients,
        made.inverse,
        made.iterations,
        made.converged,
    )


def _newton(
    X: Floats, start: Floats, slope: Callable[[Floats], tuple[Floats, Floats]], iterations: int
) -> LogitFit:
    """Go to where the slope is zero."""
    b, index = start, X @ start
    gradient, hessian = slope(index)
    p = len(b)
    done, count = False, 0
    while count < iterations and not done:
        count += 1
        step = _solve(hessian, gradient)
        if step is None:
            break
        # at most 5 units of the index at once: further the quadratic says little
        step *= 5.0 / max(float(np.abs(step).max()), 5.0)
        least = float(gradient @ step)
        done = float(np.abs(step).max()) < _STEP
        for _ in range(30):
            trial = X @ (b + step)
            moved = slope(trial)
            # convex: far past the minimum the slope along the step has changed its sign; in a
            # last small step it is rounding
            if np.isfinite(moved[1]).all() and (done or float(moved[0] @ step) >= -0.9 * least):
                break
            step, least = step / 2, least / 2
        b, index = b + step, trial
        gradient, hessian = moved
    inverse = _solve(hessian, np.eye(p)) if done else None
    if inverse is None or not _well_posed(hessian):
        return LogitFit(b, index, np.full((p, p), np.nan), count, False)
    return LogitFit(b, index, inverse, count, True)


def _solve(hessian: Floats, right: Floats) -> Floats | None:
    """Solve, or say with None that there is no solution."""
    try:
        made = np.asarray(np.linalg.solve(hessian, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return made if np.isfinite(made).all() else None


def _well_posed(hessian: Floats) -> bool:
    """Whether the matrix is far from singular, whatever the scale of its columns."""
    size = np.sqrt(np.diag(hessian))
    return bool((size > 0).all() and np.linalg.cond(hessian / np.outer(size, size)) < 1e12)


def _gram(X: Floats, v: Floats) -> Floats:
    return np.asarray((X * v[:, None]).T @ X)


def _inverse_logit(index: Floats) -> Floats:
    with np.errstate(over="ignore"):
        made: Floats = 1.0 / (1.0 + np.exp(-index))
    return made
