"""The estimate under many assignments of the pilots, by running its kernel once for each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from didkit.progress import steps
from didkit.results import Draws, Labels, OneByOne

__all__ = ["Kernel", "refits"]

Floats = NDArray[np.float64]

_MANY = 100  #: draws from which it is worth saying how far they are

#: (cohort (J,), outcomes (O, J, T)) → values (O, k) and influence (O, J, k)
Kernel = Callable[[NDArray[np.intp], Floats], tuple[Floats, Floats]]


def refits(kernel: Kernel, y: Floats, actual: Floats) -> OneByOne:
    """Return what `Estimate.reassigned` asks for, from a kernel that is linear in the outcome.

    Every draw costs one run of the kernel on 1 + k outcomes. An estimator whose estimate depends
    on units only through sums by cohort has a faster way: one matrix product for all draws.

    Parameters
    ----------
    kernel : callable
        ``kernel(cohort, outcomes)``: cohort (J,) is an index into the starts, −1 for a comparator;
        outcomes (O, J, T), NaN where there is no value. Returns the k estimates of each outcome,
        (O, k), NaN for a term that does not exist, and each unit's influence, (O, J, k).
    y : array (J, T)
        The outcome.
    actual : array (k, J, T)
        Where the actual treatment acts in each term, as 0 and 1: the effect that is taken out of
        the outcome under a hypothesis. The estimate of term m from ``actual[m]`` is 1 under the
        actual assignment.

    Returns
    -------
    callable
        Labels (B, J) → `Draws`.
    """
    k = len(actual)
    seen = np.isfinite(y)
    outcomes = np.concatenate([y[None], np.where(seen, actual, np.nan)])
    each = np.arange(k)

    def reassigned(labels: Labels) -> Draws:
        b, a, v0, v1, v2 = (np.full((len(labels), k), np.nan) for _ in range(5))
        rows = labels if len(labels) < _MANY else steps(labels, "draws, each a fit")
        for i, row in enumerate(rows):
            values, influence = kernel(row.astype(np.intp), outcomes)
            own = influence[1 + each, :, each].T  # (J, k)
            b[i], a[i] = values[0], values[1 + each, each]
            v0[i] = (influence[0] ** 2).sum(axis=0)
            v1[i] = (influence[0] * own).sum(axis=0)
            v2[i] = (own**2).sum(axis=0)
        return Draws(b=b, a=a, v0=v0, v1=v1, v2=v2)

    return OneByOne(reassigned)
