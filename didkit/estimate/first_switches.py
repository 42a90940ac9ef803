"""The kernel of the estimator for treatments that switch and have doses: first switches.

A unit's first switch is the first period in which its treatment is not what it was in the first
period of the window. It is compared, over the same periods, with units that had the same
treatment then and have not switched yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Paths", "Term", "effect", "paths_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Paths:
    """What each unit's treatment did.

    Parameters
    ----------
    level : array (J, T)
        The treatment.
    at_first : array (J,)
        Its level in the first period.
    switch : int array (J,)
        Position of the first switch; T where there is none.
    sign : array (J,)
        1 where it went up, −1 where it went down, 0 without a switch.
    """

    level: Floats
    at_first: Floats
    switch: Ints
    sign: Floats


@dataclass(frozen=True, eq=False)
class Term:
    """One distance from the switch.

    Parameters
    ----------
    weights : array (J, T)
        ``value = Σ weights · y``.
    influence : array (J,)
        Each unit's part in the sampling error.
    total : float
        What the switchers count for together: their number, without weights.
    dose, doses : float
        The mean over switchers of the treatment in that period less that of the first, in the
        direction of the switch, and of the sum of these since the switch.
    switchers, others : int
        How many switch, and how many units serve.
    cells : int
        Units × periods compared, each once, as R's package counts them.
    """

    weights: Floats
    influence: Floats
    total: float
    dose: float
    doses: float
    switchers: Bools
    others: Bools
    cells: int


def paths_of(level: Floats) -> Paths:
    """Find first switches; a period without a known treatment is no switch.

    Parameters
    ----------
    level : array (J, T)
        NaN where it is not known.
    """
    n, n_periods = level.shape
    known = np.isfinite(level)
    begins = known.argmax(axis=1)
    at_first = level[np.arange(n), begins]
    moved = known & (level != at_first[:, None])
    switch = np.where(moved.any(axis=1), moved.argmax(axis=1), n_periods).astype(np.intp)
    there = np.minimum(switch, n_periods - 1)
    sign = np.where(switch < n_periods, np.sign(level[np.arange(n), there] - at_first), 0.0)
    return Paths(level, at_first, switch, sign)


def effect(
    y: Floats,
    paths: Paths,
    ahead: int,
    *,
    placebo: bool,
    w: Floats | None,
    allowed: Bools,
    serves: Bools,
    pooled: bool,
) -> Term | None:
    """Compare switchers `ahead` periods from the last one before the switch with the others.

    The effect is the change from the period before the switch to the `ahead`-th from then on; the
    placebo that to the `ahead`-th before it, among the same units that have not switched by the
    period of the effect (de Chaisemartin & D'Haultfœuille 2024).

    **Variance.** Each unit's change less the mean of its cohort (same first treatment, same
    switch, same treatment there; or, of those that serve, same first treatment and period), times
    √(n/(n − 1)) for n units in the cohort. A cohort of one has no such spread: it is held
    against the mean of all that are compared in that period, or (R's package) counts as 0.

    Parameters
    ----------
    y : array (J, T)
        NaN where there is no value.
    ahead : int
        1 is the first treated period (placebo: two before it).
    w : array (J, T), optional
        Weights of cells.
    allowed : bool array (J,)
        Switchers that may enter.
    serves : bool array (J,)
        Units that may serve until they switch.
    pooled : bool
        Whether a cohort of one is held against all that are compared.

    Returns
    -------
    Term or None
        None where nobody can be compared.
    """
    n, n_periods = y.shape
    weights, influence = np.zeros((n, n_periods)), np.zeros(n)
    total = dose = doses = 0.0
    switchers, others = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    cells = 0
    for first in np.unique(paths.at_first[np.isfinite(paths.at_first)]):
        alike = paths.at_first == first
        for t in range(ahead, n_periods):
            base = t - ahead
            there = base - ahead if placebo else t
            if there < 0:
                continue
            change = y[:, there] - y[:, base]
            counted = np.ones(n) if w is None else w[:, t]
            usable = alike & np.isfinite(change) & np.isfinite(y[:, t]) & (counted > 0)
            come = usable & (paths.switch == base + 1) & allowed
            serve = usable & (paths.switch > t) & serves
            if not come.any() or not serve.any():
                continue
            amount, rest = np.where(come, counted, 0.0), np.where(serve, counted, 0.0)
            part = amount * paths.sign - rest / rest.sum() * (amount * paths.sign).sum()
            weights[:, there] += part
            weights[:, base] -= part
            spread = _within(change, counted, come, serve, paths, pooled=pooled)
            influence += part * spread
            total += amount.sum()
            moved = paths.sign[:, None] * (paths.level - paths.at_first[:, None])
            dose += amount[come] @ moved[come, t]
            doses += amount[come] @ moved[come, base + 1 : t + 1].sum(axis=1)
            switchers |= come
            others |= serve
            cells += int((come | serve).sum())
    if not total:
        return None
    return Term(
        weights / total,
        influence / total,
        total,
        dose / total,
        doses / total,
        switchers,
        others,
        cells,
    )


def _within(
    change: Floats, counted: Floats, come: Bools, serve: Bools, paths: Paths, *, pooled: bool
) -> Floats:
    """Return each unit's change less its cohort's mean, times √(n/(n − 1)); (J,)."""
    made = np.zeros(len(change))
    there = np.minimum(paths.switch, paths.level.shape[1] - 1)
    to = paths.level[np.arange(len(change)), there]
    for group in [serve, *(come & (to == level) for level in np.unique(to[come]))]:
        cohort = come | serve if pooled and group.sum() == 1 else group
        n = int(cohort.sum())
        mean = np.average(change[cohort], weights=counted[cohort])
        made[group] = (change[group] - mean) * (np.sqrt(n / (n - 1)) if n > 1 else 1.0)
    return made
