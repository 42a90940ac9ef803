"""From a covariance and degrees of freedom to tests and the intervals that invert them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit.inference.bands import level_from_covariance
from didkit.results import Estimate, Inference, Uncertainty

__all__ = ["from_covariance", "t_quantile", "t_tail"]

Floats = NDArray[np.float64]


def t_tail(statistic: Floats, df: Floats) -> Floats:
    """Two-sided p-value of a t statistic; infinite degrees of freedom are the normal.

    Examples
    --------
    >>> t_tail(np.array([1.96]), np.array([np.inf])).round(3).item()
    0.05
    """
    size = -np.abs(statistic)
    return np.asarray(
        2 * np.where(np.isinf(df), scipy.special.ndtr(size), scipy.special.stdtr(df, size))
    )


def t_quantile(q: float, df: Floats) -> Floats:
    """Quantile of t; infinite degrees of freedom are the normal."""
    return np.asarray(np.where(np.isinf(df), scipy.special.ndtri(q), scipy.special.stdtrit(df, q)))


def from_covariance(
    estimate: Estimate,
    inference: Inference,
    covariance: Floats,
    df: Floats,
    *,
    level: float,
    method: str,
    notes: tuple[str, ...] = (),
) -> Estimate:
    """Attach t tests: NaN in `covariance` stays NaN, infinite `df` is the normal.

    With several terms that have a variance a uniform band is attached too; Bonferroni's, with a
    note, where the covariance has a negative eigenvalue.
    """
    variance = np.diagonal(covariance).copy()
    y = estimate.sample.y
    size = max(
        np.fmax.reduce(y, axis=None, initial=0.0), -np.fmin.reduce(y, axis=None, initial=0.0)
    )
    none = variance <= (1e-13 * size) ** 2
    if none.any():
        notes = (*notes, "no spread at all between units: a standard error of 0 is not printed")
        variance[none] = np.nan
    error = np.sqrt(variance)
    statistic = estimate.values / error
    reach = t_quantile((1 + level) / 2, df) * error
    band = np.full(len(error), np.nan)
    several = np.isfinite(error)
    if several.sum() > 1:
        theirs = covariance[np.ix_(several, several)]
        within = level_from_covariance(theirs, level)
        least, largest = np.linalg.eigvalsh(theirs / np.outer(error[several], error[several]))[
            [0, -1]
        ]
        if least < -1e-10 * largest:
            within = 1 - (1 - level) / int(several.sum())
            notes = (*notes, "the uniform band is Bonferroni's: no such joint distribution exists")
        band[several] = t_quantile((1 + within) / 2, df[several]) * error[several]
    labels = list(estimate.terms["term"])
    return estimate.with_uncertainty(
        Uncertainty(
            inference=inference,
            method=method,
            level=level,
            std_error=error,
            statistic=statistic,
            p_value=t_tail(statistic, df),
            conf_low=estimate.values - reach,
            conf_high=estimate.values + reach,
            df=df,
            band_low=estimate.values - band if several.sum() > 1 else None,
            band_high=estimate.values + band if several.sum() > 1 else None,
            covariance=pd.DataFrame(covariance, index=labels, columns=labels),
            notes=notes,
        )
    )
