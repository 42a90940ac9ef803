"""Kernels of equivalence: the smallest margin that a movement can be said to lie inside."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from didkit.check.event_terms import EventTerms
from didkit.check.path_words import amount
from didkit.errors import InferenceError, is_number
from didkit.inference.invert import Test
from didkit.inference.permutation import Redrawn
from didkit.inference.student import t_quantile
from didkit.results.tables import number

__all__ = [
    "check_inside",
    "check_margin",
    "folded_margin",
    "folded_p",
    "largest_root",
    "two_sided_by_permutation",
    "two_sided_margin",
    "two_sided_p",
]

Floats = NDArray[np.float64]


def two_sided_margin(values: Floats, errors: Floats, df: Floats, level: float) -> Floats:
    """Return the smallest margin by two one-sided tests: the far end of the interval.

    Hartman & Hidalgo's (2018) equivalence interval is ± this number: the interval at 2 × level − 1
    lies inside it.

    Examples
    --------
    >>> inf = np.array([np.inf])
    >>> two_sided_margin(np.array([-1.0]), np.array([1.0]), inf, 0.95).round(3).tolist()
    [2.645]
    """
    made: Floats = np.abs(values) + t_quantile(level, df) * errors
    return made


def two_sided_p(values: Floats, errors: Floats, df: Floats, margin: float) -> Floats:
    """Return p of two one-sided tests of a movement of the margin or more.

    Examples
    --------
    >>> inf = np.array([np.inf])
    >>> two_sided_p(np.array([-1.0]), np.array([1.0]), inf, 2.644854).round(3).tolist()
    [0.05]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (np.abs(values) - margin) / errors
    return np.asarray(np.where(np.isinf(df), scipy.special.ndtr(t), scipy.special.stdtr(df, t)))


def two_sided_by_permutation(
    again: Redrawn, m: int, level: float, margin: float | None
) -> tuple[float, float, float]:
    """Return a term's interval by permutation at 2 × level − 1, and p of the margin or more.

    p is half the two-sided p of the margin's nearer end; NaN without a margin.
    """
    test = Test(
        again.drawn,
        again.actual,
        m,
        studentised=bool(again.studentised[m]),
        exact=again.chosen.exact,
    )
    found = test.inverted(round(2 * level - 1, 12), least_p=again.chosen.least_p)
    if margin is None:
        return found.low, found.high, float("nan")
    if abs(test.estimate) >= margin:
        return found.low, found.high, 1 - test.p(float(np.copysign(margin, test.estimate))) / 2
    return found.low, found.high, max(test.p(margin), test.p(-margin)) / 2


def folded_p(values: Floats, errors: Floats, margin: float) -> Floats:
    """Return p of the uniformly most powerful test: P(|N(margin, error)| ≤ |value|).

    Examples
    --------
    >>> folded_p(np.array([0.0]), np.array([1.0]), 0.5).tolist()
    [0.0]
    """
    size = np.abs(values)
    low, high = (-size - margin) / errors, (size - margin) / errors
    return np.asarray(scipy.special.ndtr(high) - scipy.special.ndtr(low))


def folded_margin(values: Floats, errors: Floats, level: float) -> Floats:
    """Return the smallest margin that the folded normal's test accepts; 0 where all are.

    Its size is exact, which has a price: an estimate within .063 standard errors of zero is
    "equivalent" with any margin, however noisy it is.

    Examples
    --------
    >>> folded_margin(np.array([0.01, 3.0]), np.ones(2), 0.95).round(3).tolist()
    [0.0, 4.645]
    """
    from scipy.optimize import brentq  # slow to import

    made = np.zeros(len(values))
    for m, (value, error) in enumerate(zip(values, errors, strict=True)):
        one, noise = np.array([value]), np.array([error])

        def over(margin: float, one: Floats = one, noise: Floats = noise) -> float:
            return float(folded_p(one, noise, margin)[0]) - (1 - level)

        if over(0.0) > 0:
            high = abs(value) + float(scipy.special.ndtri(level)) * error
            made[m] = brentq(over, 0.0, high * (1 + 1e-9), xtol=1e-12 * high)
    return made


def largest_root(covariance: Floats) -> float:
    """Return the standard error in the noisiest direction: the root of the largest eigenvalue.

    Examples
    --------
    >>> largest_root(np.diag([1.0, 4.0]))
    2.0
    """
    return float(np.sqrt(max(float(np.linalg.eigvalsh(covariance)[-1]), 0.0)))


def check_margin(margin: object, who: str) -> float:
    """Return a margin, or refuse what is none.

    Raises
    ------
    InferenceError
        If it is no number above zero: a text such as "10%" too.

    Examples
    --------
    >>> check_margin(5, "PreTrendEquivalence")
    5.0
    """
    if not is_number(margin) or not 0 < float(margin) < float("inf"):  # type: ignore[arg-type]
        share = isinstance(margin, str) and "%" in margin
        raise InferenceError(
            needed="a margin above zero in the unit of the outcome, as a number",
            found=f"{margin!r}" + (", a share" if share else ""),
            where=f"{who}(margin=)",
            todo="say how large a movement would not matter, for example 5 (per 10,000 children)"
            + ("; multiply the share with the level that it is a share of" if share else ""),
        )
    return float(margin)  # type: ignore[arg-type]


def check_inside(margin: float, terms: EventTerms, who: str) -> None:
    """Refuse a margin that cannot be in the outcome's unit.

    Raises
    ------
    InferenceError
        If it is larger than the whole range of the outcome in the sample, or for a rate or count
        larger than its mean.
    """
    if terms.events is None:
        return
    y = terms.events.sample.y
    span = float(np.nanmax(y) - np.nanmin(y))
    mean = float(np.nanmean(y))
    bounded = terms.events.metric.kind in ("rate", "count")
    limit, what = span, f"from {number(float(np.nanmin(y)))} to {number(float(np.nanmax(y)))}"
    if bounded and 0 < mean < span:
        limit, what = mean, f"{number(mean)} on average"
    if margin > limit:
        raise InferenceError(
            needed=f"a margin in the unit of the outcome ({terms.unit}), below {number(limit)}",
            found=f"{amount(terms, margin)}, while the outcome is {what}",
            where=f"{who}(margin=)",
            todo="is it in another unit, such as percent or a count? say how large a movement of "
            "the outcome would not matter",
        )
