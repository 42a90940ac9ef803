"""How alike two groups are on one covariate, one of them weighted: arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Alike", "Standardise", "alike", "effective_size", "variance"]

Floats = NDArray[np.float64]
Standardise = Literal["pilots", "pooled", "pool"]


@dataclass(frozen=True)
class Alike:
    """Means, standardised differences and variance ratios of one covariate."""

    pilots: float
    comparators: float
    pool: float
    smd_before: float
    smd_after: float
    var_ratio_before: float
    var_ratio_after: float
    ess: float


def effective_size(weights: Floats) -> float:
    """Return the effective sample size of weights, ``(sum w)^2 / sum w^2`` (Kish 1965).

    Examples
    --------
    >>> import numpy as np
    >>> effective_size(np.array([1.0, 1.0])), effective_size(np.array([3.0, 1.0]))
    (2.0, 1.6)
    """
    square = float((weights**2).sum())
    return float(weights.sum()) ** 2 / square if square > 0 else 0.0


def variance(x: Floats, weights: Floats, *, binary: bool = False) -> float:
    """Return the variance of x with reliability weights, as MatchIt does.

    Parameters
    ----------
    x : array (n,)
        Values, all finite.
    weights : array (n,)
        Not negative; only their proportions matter.
    binary : bool, default False
        Whether x is 0 or 1: then ``p (1 - p)``.

    Returns
    -------
    float
        ``sum w (x - m)^2 / (1 - sum w^2)`` with the w adding up to 1, which is the usual
        variance, with n - 1, where all weights are equal. NaN where one unit has all the weight.

    Examples
    --------
    >>> import numpy as np
    >>> round(variance(np.array([1.0, 2.0, 6.0]), np.ones(3)), 12), np.var([1, 2, 6], ddof=1).item()
    (7.0, 7.0)
    """
    kept = weights > 0
    x, w = x[kept], weights[kept]
    if not len(x):
        return float("nan")
    w = w / w.sum()
    mean = float(w @ x)
    if binary:
        return max(mean * (1 - mean), 0.0)
    if len(x) == 1:
        return float("nan")
    if x.min() == x.max():
        return 0.0
    return float(w @ (x - mean) ** 2 / (1 - w @ w))


def alike(
    pilots: Floats,
    pool: Floats,
    comparators: Floats,
    weights: Floats,
    *,
    standardise: Standardise = "pilots",
) -> Alike:
    """Compare pilots with a pool, and with weighted comparators, on one covariate.

    Parameters
    ----------
    pilots, pool, comparators : array
        Values, all finite; lengths may differ. A covariate of 0 and 1 only is binary.
    weights : array
        Of the comparators.
    standardise : {"pilots", "pooled", "pool"}
        By whose standard deviation differences are divided, before and after alike: the pilots'
        (MatchIt's for the effect on the treated), the root of the mean of the variances of pilots
        and pool, or the pool's.

    Returns
    -------
    Alike
        A standardised difference is NaN where the standard deviation is 0 or does not exist; a
        variance ratio (pilots' over the others') also for a binary covariate.

    Notes
    -----
    Standardised differences and variance ratios after Stuart (2010), with MatchIt's conventions:
    one denominator, from the unmatched groups; ``p (1 - p)`` for binary covariates.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> made = alike(x + 1, x, x, np.array([0.0, 0.0, 1.0]))
    >>> round(made.smd_before, 12), round(made.smd_after, 12), made.ess
    (1.0, 0.0, 1.0)
    """
    binary = all(bool(np.isin(x, (0.0, 1.0)).all()) for x in (pilots, pool, comparators))
    own = variance(pilots, np.ones(len(pilots)), binary=binary)
    whole = variance(pool, np.ones(len(pool)), binary=binary)
    served = variance(comparators, weights, binary=binary)
    squares = {"pilots": own, "pool": whole, "pooled": (own + whole) / 2}
    scale = float(np.sqrt(squares[standardise]))
    total = float(weights.sum())
    mean_p = float(pilots.mean()) if len(pilots) else float("nan")
    mean_c = float(weights @ comparators) / total if total > 0 else float("nan")
    mean_0 = float(pool.mean()) if len(pool) else float("nan")
    return Alike(
        pilots=mean_p,
        comparators=mean_c,
        pool=mean_0,
        smd_before=_ratio(mean_p - mean_0, scale),
        smd_after=_ratio(mean_p - mean_c, scale),
        var_ratio_before=float("nan") if binary else _ratio(own, whole),
        var_ratio_after=float("nan") if binary else _ratio(own, served),
        ess=effective_size(weights),
    )


def _ratio(above: float, below: float) -> float:
    """Divide; NaN by zero or by what does not exist."""
    return above / below if below > 0 else float("nan")
