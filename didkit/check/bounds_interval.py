"""An interval for a number that is only known to lie between two estimated bounds."""

from __future__ import annotations

import numpy as np

from didkit.results import Uncertainty

__all__ = ["bounded_interval", "imbens_manski"]


def imbens_manski(
    low: float,
    high: float,
    se_low: float,
    se_high: float,
    *,
    level: float,
    df: float = float("inf"),
) -> tuple[float, float]:
    """Return an interval for a number that is only known to lie between two estimated bounds.

    Parameters
    ----------
    low, high : float
        Estimated bounds.
    se_low, se_high : float
        Their standard errors.
    level : float
        Chance that the interval covers the number, wherever between the bounds it is.
    df : float, default infinity
        Degrees of freedom of the standard errors.

    Returns
    -------
    (float, float)
        ``low − c × se_low, high + c × se_high`` with F(c + Δ / max se) − F(−c) = level; at Δ = 0
        the usual two-sided interval, with wide bounds a one-sided one at each end.

    Examples
    --------
    >>> low, high = imbens_manski(-1.0, 1.0, 0.5, 0.5, level=0.95)
    >>> round(high - 1.0, 3)  # 1.645 × 0.5
    0.822
    """
    from scipy import stats
    from scipy.optimize import brentq

    largest = max(se_low, se_high)
    if not np.isfinite(largest) or largest <= 0:
        return (low, high) if largest == 0 else (float("nan"), float("nan"))
    law = stats.norm if np.isinf(df) else stats.t(df)
    apart = (high - low) / largest
    two, one = float(law.ppf((1 + level) / 2)), float(law.ppf(level))

    def short(c: float) -> float:
        return float(law.cdf(c + apart) - law.cdf(-c) - level)

    c = two if short(two) <= 0 else one if short(one) >= 0 else brentq(short, one, two, xtol=1e-12)
    return low - c * se_low, high + c * se_high


def bounded_interval(
    low: float, high: float, at_low: Uncertainty, at_high: Uncertainty, m: int, level: float
) -> tuple[float, float]:
    """Return the interval of a bounded term: Imbens and Manski's, or the hull of both ends'."""
    se = float(at_low.std_error[m]), float(at_high.std_error[m])
    df = min(
        (float(one.df[m]) for one in (at_low, at_high) if one.df is not None),
        default=float("inf"),
    )
    if np.isfinite(se).all() and not np.isnan(df):
        wald = float(at_low.df[m]) if at_low.df is not None else float("inf")
        own = imbens_manski(low, low, se[0], se[0], level=level, df=wald)
        if np.allclose(own, (at_low.conf_low[m], at_low.conf_high[m]), rtol=1e-6, atol=0):
            return imbens_manski(low, high, *se, level=level, df=df)
    return float(at_low.conf_low[m]), float(at_high.conf_high[m])
