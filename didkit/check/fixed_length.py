"""The shortest fixed-length interval when trends may bend: an estimator chosen for its worst case.

A linear estimator a'β that weighs the terms from the start on as the reported combination does, and
terms before it so that no straight line matters, can be written as c'(second differences of the
path). Its worst bias under |second differences| ≤ M is M Σ|c|, its variance c'Ωc. The parts of c
that belong to second differences which end after the start are fixed by the combination; the
others are free. Half the length of the interval, cv(bias / sd) · sd, rises in both and is convex,
so its minimum lies on the path of c'Ωc / 2 + λ Σ|c| over λ, which is a lasso: piecewise linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, ndtri

from didkit.check.restrictions import RelativeMagnitudes, Smoothness, _path, _size
from didkit.errors import InferenceError, is_number

__all__ = ["FixedLength", "fixed_length", "folded_quantile"]

Floats = NDArray[np.float64]
_SINGULAR = 1e-13  #: a variance below this share of the largest is rounding
_SAME = 1e-12  #: λ closer than this share of the largest are one
_STEPS = 10_000  #: corners of a path; real ones have a few times as many as terms


@dataclass(frozen=True, eq=False)
class FixedLength:
    """A fixed-length interval and the estimator behind it.

    Parameters
    ----------
    low, high : float
        Ends, in the metric's unit: `estimate` ± `half_length`.
    estimate : float
        The combination of the terms that the interval is centred on.
    half_length : float
        Half the length of the interval.
    combination : array (k,)
        Weights of the terms: the reported combination from the start on, and what undoes a
        straight line before it.
    worst_bias : float
        Of the estimate, over all violations that the restriction allows.
    std_error : float
        Of the estimate.
    level : float
        Of the interval.
    """

    low: float
    high: float
    estimate: float
    half_length: float
    combination: Floats
    worst_bias: float
    std_error: float
    level: float


def folded_quantile(level: float, mean: float) -> float:
    """Give the quantile of |Z + mean|, Z standard normal.

    Parameters
    ----------
    level : float
        Between 0 and 1.
    mean : float
        Bias in standard errors; its sign does not matter.

    Examples
    --------
    >>> round(folded_quantile(0.95, 0.0), 4), round(folded_quantile(0.95, 5.0) - 5.0, 4)
    (1.96, 1.6449)
    """
    mean = abs(mean)
    if mean > 40.0:
        return float(mean + ndtri(level))
    low, high = mean + ndtri(level), mean + ndtri(0.5 + level / 2)
    if mean == 0.0:
        return float(high)

    def over(x: float) -> float:
        return float(ndtr(mean - x) + ndtr(-mean - x) - (1.0 - level))

    # P(|Z + mean| > x) lies between P(Z > x − mean) and twice that; rounding may hide it.
    if over(low) <= 0.0:
        return float(low)
    return float(brentq(over, low, high, xtol=1e-14, rtol=1e-14))


def fixed_length(
    values: Floats,
    covariance: Floats,
    weights: Floats,
    times: Sequence[int] | NDArray[np.int64],
    reference: int,
    first: int,
    size: float,
    level: float,
    restriction: Smoothness | RelativeMagnitudes | None = None,
) -> FixedLength:
    """Give the shortest fixed-length interval for a combination of effects under smoothness.

    Parameters
    ----------
    values : array (k,)
        Terms, in the metric's unit.
    covariance : array (k, k)
        Of the terms.
    weights : array (k,)
        The combination: l'τ, with zero for terms before `first`.
    times : int array (k,)
        Event times of the terms, ascending; with the reference they have no gap.
    reference, first : int
        Event time at which the path is 0, and the first with a possible effect.
    size : float
        Largest change of slope of the violation, in the metric's unit a period, a period.
    level : float
        Of the interval, between 0.5 and 1.
    restriction : Smoothness, optional
        A plain one: no sign, no monotone path.

    Returns
    -------
    FixedLength

    Raises
    ------
    InferenceError
        If the restriction is of another kind (the worst bias of every linear estimator is
        infinite, or a sign makes a fixed length wasteful: use a conditional set), the second
        differences before the start have a singular covariance, or an input is malformed.

    Notes
    -----
    Assumes normal terms with a known covariance. Armstrong & Kolesár (2018) and Rambachan & Roth
    (2023, section 4): the length is near the best possible under smoothness. One term before the
    start leaves nothing to choose: the line through it and the reference is taken on.

    Examples
    --------
    The last term less the line through the one before and the reference, which bends by up to 0.1:

    >>> made = fixed_length(
    ...     np.array([0.5, 2.0]), 0.01 * np.eye(2), np.array([0.0, 1.0]), [-2, 0], -1, 0, 0.1, 0.95
    ... )
    >>> round(made.estimate, 6), round(made.worst_bias, 6), round(made.half_length, 4)
    (2.5, 0.1, 0.3341)
    """
    if not isinstance(restriction, Smoothness | None) or (
        restriction is not None and (restriction.direction or restriction.monotone)
    ):
        raise InferenceError(
            needed="plain smoothness: no direction=, no monotone=",
            found=repr(restriction),
            where="a fixed-length interval",
            todo="choose method='hybrid'",
        )
    beta, sigma, chosen = checked(values, covariance, weights, times, first)
    level = _level(level)
    size = _size(size)
    embedded, path = _path(times, reference, first)
    bends = np.diff(embedded, n=2, axis=0)  # (n − 2, k)
    late = path[2:] >= first
    after = np.asarray(times) >= first
    fixed = np.linalg.solve(bends[np.ix_(late, after)].T, chosen[after])
    omega = bends @ sigma @ bends.T
    best = _shortest(
        omega[np.ix_(~late, ~late)],
        omega[np.ix_(~late, late)] @ fixed,
        float(fixed @ omega[np.ix_(late, late)] @ fixed),
        float(np.abs(fixed).sum()),
        size,
        level,
    )
    c = np.zeros(len(bends))
    c[late], c[~late] = fixed, best
    combination = c @ bends
    combination[after] = chosen[after]
    variance = float(combination @ sigma @ combination)
    if variance <= _SINGULAR * float(np.abs(combination) @ np.abs(sigma) @ np.abs(combination)):
        raise InferenceError(
            needed="a covariance under which the estimator has an error",
            found=f"a variance of {variance:.3g}, which is rounding",
            where="a fixed-length interval",
            todo="use an inference whose covariance is of full rank (as many clusters as terms, "
            "or more), or method='permutation'",
        )
    deviation = float(np.sqrt(variance))
    bias = float(size * np.abs(c).sum())
    half = _half(bias, deviation, level)
    centre = float(combination @ beta)
    return FixedLength(
        centre - half, centre + half, centre, half, combination, bias, deviation, level
    )


def checked(
    values: Floats,
    covariance: Floats,
    weights: Floats,
    times: Sequence[int] | NDArray[np.int64],
    first: int,
) -> tuple[Floats, Floats, Floats]:
    """Return terms, covariance and weights of one shape, or say what is wrong with them."""
    beta, sigma, chosen = (np.asarray(one, dtype=float) for one in (values, covariance, weights))
    k = len(np.asarray(times))
    if beta.shape != (k,) or sigma.shape != (k, k) or chosen.shape != (k,):
        raise _wrong(
            f"{k} values and weights and a {k} × {k} covariance, as there are {k} times",
            f"shapes {beta.shape}, {chosen.shape} and {sigma.shape}",
        )
    if not all(np.isfinite(one).all() for one in (beta, sigma, chosen)):
        raise _wrong("finite values, covariance and weights", "some that are not")
    early = chosen[np.asarray(times) < first]
    if early.any() or not chosen.any():
        raise _wrong(
            f"weights that are 0 before event time {first}, and not all 0",
            f"{int(np.count_nonzero(early))} before it, {int(np.count_nonzero(chosen))} in all",
        )
    return beta, (sigma + sigma.T) / 2.0, chosen


def _half(bias: float, deviation: float, level: float) -> float:
    """Return half the length: the quantile of |N(bias, deviation²)|."""
    if deviation == 0.0:
        return bias
    return folded_quantile(level, bias / deviation) * deviation


def _shortest(
    omega: Floats, cross: Floats, square: float, floor: float, size: float, level: float
) -> Floats:
    """Return the free c that minimises half the length.

    The variance is c'Ωc + 2 c'cross + square, the bias size · (Σ|c| + floor).
    """
    if not len(omega):
        return np.zeros(0)
    values = np.linalg.eigvalsh(omega)
    if values[0] <= _SINGULAR * max(values[-1], 0.0):
        raise InferenceError(
            needed="a covariance under which no combination of second differences before the "
            "start is known without error",
            found=f"a smallest variance of {values[0]:.3g}, against a largest of {values[-1]:.3g}",
            where="the covariance of the terms",
            todo="use fewer periods before the start, or an inference with more clusters than "
            "terms",
        )
    if size == 0.0:
        return np.asarray(-np.linalg.solve(omega, cross))

    def half(c: Floats) -> float:
        variance = float(c @ omega @ c + 2.0 * c @ cross + square)
        bias = size * (float(np.abs(c).sum()) + floor)
        return _half(bias, np.sqrt(max(variance, 0.0)), level)

    corners = _lasso(omega, cross)
    best, least = corners[0], half(corners[0])
    for one, other in pairwise(corners):
        step = other - one

        def along(share: float, one: Floats = one, step: Floats = step) -> float:
            return half(one + share * step)

        found = minimize_scalar(along, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9})
        for share in (float(found.x), 1.0):
            if along(share) < least:
                best, least = one + share * step, along(share)
    return best


def _lasso(omega: Floats, cross: Floats) -> list[Floats]:
    """Return the corners of the path of min c'Ωc / 2 + c'cross + λ Σ|c|, from c = 0 to λ = 0.

    Between corners the path is linear in λ; where nothing is active c = 0.
    """
    n = len(cross)
    c = np.zeros(n)
    lam = float(np.abs(cross).max())
    corners = [c.copy()]
    if lam == 0.0:
        return corners
    top = lam
    active = np.zeros(n, dtype=bool)
    sign = np.zeros(n)
    j = int(np.abs(cross).argmax())
    active[j], sign[j] = True, -np.sign(cross[j])
    for _ in range(_STEPS):
        inner = omega[np.ix_(active, active)]
        at = np.where(active)[0]
        base = -np.linalg.solve(inner, cross[active])  # c at λ = 0 with these active
        slope = -np.linalg.solve(inner, sign[active])  # c = base + λ slope
        # Where an active one reaches zero, and where another's gradient reaches ±λ.
        g0 = cross[~active] + omega[np.ix_(~active, active)] @ base
        g1 = omega[np.ix_(~active, active)] @ slope
        events: list[tuple[float, int, float]] = []
        for i, (b, s) in enumerate(zip(base, slope, strict=True)):
            if s != 0.0:
                events.append((-b / s, int(at[i]), 0.0))
        for i, (a, b) in enumerate(zip(g0, g1, strict=True)):
            k = int(np.where(~active)[0][i])
            for which in (1.0, -1.0):  # gradient = which · λ: the sign of c is −which
                if which - b != 0.0:
                    events.append((a / (which - b), k, -which))
        ahead = [e for e in events if 0.0 < e[0] < lam - _SAME * top]
        if not ahead:
            c = np.zeros(n)
            c[active] = base
            corners.append(c)
            return corners
        lam, k, enters = max(ahead)
        c = np.zeros(n)
        c[active] = base + lam * slope
        active[k], sign[k] = enters != 0.0, enters
        if enters == 0.0:
            c[k] = 0.0
        corners.append(c)
    raise InferenceError(
        needed=f"a path of at most {_STEPS} corners",
        found="more",
        where="the covariance of the terms",
        todo="use fewer periods before the start",
    )


def _level(level: float) -> float:
    if not is_number(level) or not 0.5 < level < 1.0:
        raise _wrong("a level between 0.5 and 1", repr(level))
    return float(level)


def _wrong(needed: str, found: str) -> InferenceError:
    return InferenceError(
        needed=needed,
        found=found,
        where="terms by event time",
        todo="use the terms of one event study; EventTerms.of(estimate) makes them",
    )
