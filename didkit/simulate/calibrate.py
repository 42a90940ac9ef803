"""Levels and errors whose panels have the moments that the process asks for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from didkit.errors import DesignError
from didkit.simulate.process import METRICS, N_PERIODS, N_PLACES, MetricProcess

__all__ = ["IN_NEED", "PARTS", "Solved", "solve"]

Array = NDArray[np.float64]
PARTS = ("rest", "icpc", "cpp", "cla")  # "rest": in need, neither on a plan nor looked after
IN_NEED = (0, 2, 3)  # the parts that sum to cin
# correlation of the innovations of the parts, as in residuals of the published series
_TOGETHER = np.array(
    [[1.0, 0.35, 0.35, 0.1], [0.35, 1.0, 0.8, 0.1], [0.35, 0.8, 1.0, 0.1], [0.1, 0.1, 0.1, 1.0]]
)


class Solved(NamedTuple):
    """Parameters of the parts: levels (gamma above a floor), root of the errors' covariance."""

    floor: Array
    scale: Array
    pilot_scale: Array
    common: float  # gamma shape shared by all parts
    own: Array  # gamma shape of each part's own
    root: Array
    trend: Array


@functools.lru_cache(maxsize=32)
def solve(
    cin: MetricProcess,
    icpc: MetricProcess,
    cpp: MetricProcess,
    cla: MetricProcess,
    n_pilots: int,
    correlation: float,
) -> Solved:
    """Find levels and errors whose panels have the moments asked for."""
    metrics = (cin, icpc, cpp, cla)
    kernels, sd = _solve_errors(metrics)
    n = len(PARTS)
    covariance = np.block(
        [[_TOGETHER[a, b] * sd[a] * sd[b] * _cross(kernels[a], kernels[b]) for b in range(n)]
         for a in range(n)]
    )  # fmt: skip
    blocks = covariance.reshape(n, N_PERIODS, n, N_PERIODS)
    of_mean = blocks.mean(axis=(1, 3))  # covariance of the errors' means over the years

    w = n_pilots / N_PLACES
    shape = np.array([4 / metric.skew**2 for metric in metrics])
    common = correlation * float(shape.min())
    gap = np.array([metric.level_gap * metric.mean for metric in metrics])
    mean = np.array([metric.mean for metric in metrics])
    gap[0] -= gap[2] + gap[3]
    mean[0] -= mean[2] + mean[3]
    mean = mean - w * gap  # of those that are no pilots
    scale = np.zeros(n)

    def spread(part: int, value: float) -> float:
        """SD between authorities of a metric's mean, when its part has this scale."""
        trial = scale.copy()
        trial[part] = value
        members = list(IN_NEED) if part == 0 else [part]
        share = np.full((n, n), common)
        np.fill_diagonal(share, shape)
        total = w * (1 - w) * gap[members].sum() ** 2 + of_mean[np.ix_(members, members)].sum()
        for weight, one in ((1 - w, trial), (w, trial + gap / shape)):
            total += weight * (np.outer(one, one) * share)[np.ix_(members, members)].sum()
        return float(np.sqrt(total))

    for part in (1, 2, 3, 0):
        least = max(0.0, -gap[part] / shape[part])
        most = float(mean[part] / shape[part])  # the floor would be zero
        target = metrics[part].between_sd
        if not spread(part, least) < target < spread(part, most):
            raise DesignError(
                needed=f"a between_sd of {METRICS[part]} that its mean, skew, level_gap and errors "
                f"allow: {spread(part, least):.1f} to {spread(part, most):.1f}",
                found=f"{target}",
                where="MetricProcess(between_sd=)",
                todo="change it, or the mean, the skew or the gap",
            )
        scale[part] = _bisect(functools.partial(spread, part), target, least, most)
    trend = np.array([metric.trend for metric in metrics])
    trend[0] -= trend[2] + trend[3]
    floor = mean - scale * shape
    if (floor + trend.min(axis=1)).min() <= 0:
        raise DesignError(
            needed="rates above zero in the lowest authority and year, before errors",
            found=", ".join(f"{name}: {low:.1f}" for name, low in
                            zip(METRICS, floor + trend.min(axis=1), strict=True)),
            where="MetricProcess",
            todo="raise the mean or the skew, or lower between_sd or the trend",
        )  # fmt: skip
    return Solved(
        floor=floor,
        scale=scale,
        pilot_scale=scale + gap / shape,
        common=common,
        own=shape - common,
        root=np.linalg.cholesky(covariance),
        trend=trend,
    )


def _solve_errors(metrics: tuple[MetricProcess, ...]) -> tuple[list[Array], Array]:
    """Find each part's autoregression (as its moving average) and its standard deviation."""
    kernels: list[Array] = [np.ones(1)] * len(PARTS)
    sd = np.zeros(len(PARTS))

    def part_alone(part: int, root: float) -> tuple[float, float]:
        kernel = _moving_average(root, metrics[part].momentum)
        variance, ar1 = _left(_cross(kernel, kernel))
        return metrics[part].within_sd / float(np.sqrt(variance)), ar1

    def in_need(part: int, root: float) -> tuple[float, float]:
        """Children in need: the part's SD that makes the whole's right, and the whole's AR1."""
        kernel = _moving_average(root, metrics[part].momentum)
        square = _cross(kernel, kernel)
        line, constant = np.zeros_like(square), np.zeros_like(square)
        for a in IN_NEED[1:]:
            both = _cross(kernel, kernels[a])
            line += _TOGETHER[part, a] * sd[a] * (both + both.T)
            for b in IN_NEED[1:]:
                constant += _TOGETHER[a, b] * sd[a] * sd[b] * _cross(kernels[a], kernels[b])
        v2, v1, v0 = (_left(one)[0] for one in (square, line, constant))
        v0 -= metrics[part].within_sd ** 2
        value = float((-v1 + np.sqrt(v1**2 - 4 * v2 * v0)) / (2 * v2)) if v0 < 0 else 0.0
        return value, _left(value**2 * square + value * line + constant)[1]

    def solve(part: int, root: float) -> tuple[float, float]:
        return in_need(part, root) if part == 0 else part_alone(part, root)

    def autocorrelation(part: int, root: float) -> float:
        return solve(part, root)[1]

    for part in (1, 2, 3, 0):
        target, least, most = metrics[part].residual_ar1, -0.5, 0.97
        lowest, highest = solve(part, least)[1], solve(part, most)[1]
        if not lowest < target < highest or (part == 0 and not solve(part, 0.0)[0] > 0):
            raise DesignError(
                needed=f"a residual_ar1 of {METRICS[part]} that {N_PERIODS} years allow: "
                f"{lowest:.2f} to {highest:.2f} (and, for cin, a within_sd above its parts')",
                found=f"residual_ar1={target}, within_sd={metrics[part].within_sd}",
                where="MetricProcess",
                todo="lower it, or give the errors momentum",
            )
        root = _bisect(functools.partial(autocorrelation, part), target, least, most)
        sd[part] = solve(part, root)[0]
        kernels[part] = _moving_average(root, metrics[part].momentum)
    return kernels, sd


def _moving_average(root: float, momentum: float) -> Array:
    """Weights of past innovations in an AR(2) with these two roots, for a variance of one."""
    lags = np.arange(600)
    if abs(root - momentum) < 1e-9:
        weights = (lags + 1.0) * root**lags
    else:
        weights = (root ** (lags + 1) - momentum ** (lags + 1)) / (root - momentum)
    scaled: Array = weights / np.sqrt((weights**2).sum())
    return scaled


def _cross(a: Array, b: Array) -> Array:
    """Covariance, year by year, of two moving averages of the same innovations: a_s with b_t."""
    ahead = [float(a @ b)] + [float(a[:-h] @ b[h:]) for h in range(1, N_PERIODS)]
    behind = [float(a @ b)] + [float(a[h:] @ b[:-h]) for h in range(1, N_PERIODS)]
    years = np.arange(N_PERIODS)
    lag = years[None, :] - years[:, None]
    lagged: Array = np.where(lag >= 0, np.array(ahead)[abs(lag)], np.array(behind)[abs(lag)])
    return lagged


def _left(covariance: Array) -> tuple[float, float]:
    """Variance and first-order autocorrelation of what a mean over the years leaves."""
    remove = np.eye(N_PERIODS) - 1 / N_PERIODS
    left = remove @ covariance @ remove
    diagonal = np.diag(left)
    return float(diagonal.mean()), float(np.diag(left, 1).sum() / diagonal[:-1].sum())


def _bisect(function: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Return where a rising function reaches the target."""
    for _ in range(60):
        middle = (low + high) / 2
        if function(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2
