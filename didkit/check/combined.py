"""Combinations of an event study's terms as an estimate of their own, so that any inference fits.

A mean of terms, or the reported combination less a fitted line, is linear in the terms: its cells'
weights, influence and contrast are those of the terms, combined. Its degrees of freedom and its
permutations are then its own, not borrowed from a term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.event_terms import EventTerms
from didkit.errors import InferenceError
from didkit.inference import ClusterRobust, Jackknife, Permutation
from didkit.inference.student import t_quantile
from didkit.results import Draws, Estimate, Inference, Labels

__all__ = [
    "Intervals",
    "combined",
    "intervals",
    "own_permutation",
    "permutable",
    "whole_matrix",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Intervals:
    """Combinations with their standard errors and intervals.

    Parameters
    ----------
    values, std_errors, df : array (m,)
        Degrees of freedom are infinite where the covariance comes with none.
    low, high : array (m,)
        Ends at the level.
    method : str
        What the ends are by.
    """

    values: Floats
    std_errors: Floats
    df: Floats
    low: Floats
    high: Floats
    method: str


def combined(events: Estimate, matrix: Floats, names: Sequence[str]) -> Estimate:
    """Return an estimate whose terms are combinations of another's.

    Parameters
    ----------
    events : Estimate
        With k terms.
    matrix : array (m, k)
        A row a combination.
    names : sequence of str
        Of the m combinations.

    Returns
    -------
    Estimate
        Bare. It can be asked what the terms can: cluster-robust methods where they publish
        cross-products or influence; permutations where there is one number a unit, complete, and
        one start. It cannot be refitted.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla")
    >>> mean = combined(events, np.full((1, 7), 1 / 7), ["mean"])
    >>> bool(np.isclose(mean.values[0], events.values.mean()))
    True
    """
    used = matrix != 0
    fewest = {
        name: [int(events.terms[name].to_numpy()[row].min(initial=10**9)) for row in used]
        for name in ("n_pilots", "n_comparators")
    }
    terms = pd.DataFrame({"term": list(names), **fewest})
    weights, numbers = events.weights, events.contributions
    made = None
    if numbers is not None:
        # 0 × NaN: a unit without a term that a combination leaves out still has the others
        filled = np.where(np.isfinite(numbers), numbers, 0.0) @ matrix.T
        lost = ~np.isfinite(numbers).astype(bool)
        made = np.where(lost.astype(float) @ used.T.astype(float) > 0, np.nan, filled)
    whole = made is not None and bool(np.isfinite(made).all())
    alike = len(set(events.sample.cohort[events.sample.pilot].tolist())) == 1
    return events.changed(
        terms=terms,
        values=matrix @ events.values,
        weights=None if weights is None else np.einsum("mk,kjt->mjt", matrix, weights),
        laid_out=None,
        influence=None if events.influence is None else events.influence @ matrix.T,
        contrast=None if events.contrast is None else matrix @ events.contrast,
        contributions=made,
        reassigned=_Reassigned(made, events.sample.pilot)
        if made is not None and whole and alike and events.reassigned is not None
        else None,
        exchanged=None,
        resampled=None,
        placebos=None,
        reference=None,
        fitted=None,
        _attached=None,
        _bare=True,
        _memory={},
    )


class _Reassigned:
    """Two groups of one number a unit, under many assignments."""

    def __init__(self, numbers: Floats, pilot: NDArray[np.bool_]) -> None:
        self.numbers, self.pilot = numbers, pilot.astype(float)

    def __call__(self, labels: Labels) -> Draws:
        """Return the difference of means and its CR0 variance, quadratic in the effect."""
        d = (np.asarray(labels) >= 0).astype(float)  # (B, J)
        n1 = d.sum(axis=1)[:, None]
        n0 = d.shape[1] - n1
        x, z = self.numbers, self.pilot[:, None]
        x = x - x.mean(axis=0)  # differences of squares lose fewer digits

        def spread(u: Floats, w: Floats) -> Floats:
            """Sum of products about each group's mean, over its size squared."""
            products = u * w
            one = d @ products - (d @ u) * (d @ w) / n1
            all_u, all_w = u.sum(axis=0), w.sum(axis=0)
            none = (products.sum(axis=0) - d @ products) - (all_u - d @ u) * (all_w - d @ w) / n0
            found: Floats = np.maximum(one, 0.0) / n1**2 + np.maximum(none, 0.0) / n0**2
            signed: Floats = one / n1**2 + none / n0**2
            return signed if u is not w else found

        def apart(u: Floats) -> Floats:
            made: Floats = d @ u / n1 - (u.sum(axis=0) - d @ u) / n0
            return made

        k = x.shape[1]
        each = np.ones((1, k))
        return Draws(
            b=apart(x),
            a=apart(z) * each,
            v0=spread(x, x),
            v1=spread(x, z * each),
            v2=spread(z, z) * each,
        )


def own_permutation(terms: EventTerms) -> Permutation | None:
    """Return the permutation that is the estimate's own inference, if it is one."""
    if terms.events is None or terms.events.uncertainty is None:
        return None
    own: Any = terms.events.uncertainty.inference
    return own if isinstance(own, Permutation) else None


def intervals(
    terms: EventTerms, matrix: Floats, level: float, *, inference: Inference | None
) -> Intervals:
    """Return combinations of the terms with intervals from their covariance.

    t with the combination's own degrees of freedom where the covariance has them
    (Bell–McCaffrey's of the contrast, or the terms' common ones); the normal otherwise.

    Parameters
    ----------
    terms : EventTerms
        With k terms.
    matrix : array (m, k)
        A row a combination.
    level : float
        Of the intervals.
    inference : Inference, optional
        As it was given to ``EventTerms.of``.

    Examples
    --------
    >>> given = pd.Series({-2: 0.5, 0: 2.0})
    >>> noise = pd.DataFrame(np.eye(2), given.index, given.index)
    >>> made = intervals(
    ...     EventTerms.given(given, noise), np.array([[1.0, -1.0]]), 0.9, inference=None
    ... )
    >>> made.values.tolist(), made.std_errors.round(3).tolist()
    ([-1.5], [1.414])
    """
    values = matrix @ terms.values
    errors = np.sqrt(np.maximum(np.einsum("mk,kl,ml->m", matrix, terms.covariance, matrix), 0.0))
    df = _degrees(terms, matrix, inference)
    reach = t_quantile((1 + level) / 2, df) * errors
    free = df[np.isfinite(df)]
    law = "normal" if not len(free) else f"t with {free.min():.1f} degrees of freedom at least"
    return Intervals(values, errors, df, values - reach, values + reach, f"{terms.method}; {law}")


def _degrees(terms: EventTerms, matrix: Floats, inference: Inference | None) -> Floats:
    """Return each combination's degrees of freedom; infinite where there are none."""
    without = np.full(len(matrix), np.inf)
    events = terms.events
    if events is None:
        return without
    sure = events.uncertainty
    by: Any = inference
    if by is None and sure is not None and sure.covariance is not None:
        by = sure.inference
    if by is None:
        by = ClusterRobust("CR2") if events.normal is not None else Jackknife()
    if isinstance(by, ClusterRobust):
        whole = whole_matrix(terms, matrix)
        names = [f"combination {m}" for m in range(len(matrix))]
        found = by.attach(combined(events, whole, names), level=terms.level).attached.df
        return without if found is None else np.where(np.isfinite(found), found, np.inf)
    found = by.attach(events, level=terms.level).attached.df if hasattr(by, "attach") else None
    if found is None:
        return without
    least = float(np.nanmin(found)) if np.isfinite(found).any() else np.inf
    return np.full(len(matrix), least)


def whole_matrix(terms: EventTerms, matrix: Floats) -> Floats:
    """Lay rows over the terms of a path out over those of its event study."""
    events = terms.events
    if events is None:
        raise InferenceError(
            needed="terms of an estimate",
            found="terms from elsewhere",
            where="combinations of terms",
            todo="use EventTerms.of(estimate)",
        )
    names = list(events.terms["term"].astype(str))
    made = np.zeros((len(matrix), len(names)))
    made[:, [names.index(name) for name in terms.names]] = matrix
    return made


def permutable(terms: EventTerms, matrix: Floats) -> Estimate | None:
    """Return combinations as an estimate that permutations can be asked of.

    None where there is no one complete number a unit, or pilots start at several times.
    """
    if terms.events is None:
        return None
    names = [f"combination {m}" for m in range(len(matrix))]
    made = combined(terms.events, whole_matrix(terms, matrix), names)
    return made if made.reassigned is not None else None
