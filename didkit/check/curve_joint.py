"""Series that trade places: every specification under one permutation, and the joint test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from didkit.linear.sweep import TIES

__all__ = ["Joint", "Traded", "as_large", "joint_test", "traded"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

SMALL = 0.05  #: the p up to which the second statistic counts a specification
_NONE = 1e-14  #: a variance below this share of the squared estimate is none
_KEPT = 4  #: layouts of samples that are held at once


class Joint(NamedTuple):
    """The three statistics of the joint test, and their p.

    ``median``: in the unit of the estimates; ``small``: specifications of the more frequent sign
    with p of at most .05; ``average``: of z, over the root of the number (Stouffer).
    """

    median: float
    small: float
    average: float
    p_median: float
    p_small: float
    p_average: float


@dataclass(frozen=True, eq=False)
class Traded:
    """Who trades places with whom, in every order that is looked at.

    Parameters
    ----------
    units : tuple of str
        Ids of the n units that trade places.
    orders : int array (B, n)
        Whose series stands in each place; the first row is the data as they are.
    """

    units: tuple[str, ...]
    orders: Ints
    _laid: dict[tuple[str, ...], tuple[Ints, Ints, Floats]] = field(
        default_factory=dict, repr=False
    )

    def places(self, units: Sequence[str]) -> tuple[Ints, Ints, Floats]:
        """Return which units of a sample trade, their flat places in (m, n), and who is drawn in.

        Returns
        -------
        (int array (m,), int array (B, m), array (B, n))
            Positions in the sample; positions in a matrix of m places × n units, laid out flat;
            1 where a unit's series is in the sample.
        """
        key = tuple(units)
        if key not in self._laid:
            place = {unit: i for i, unit in enumerate(self.units)}
            mine = np.array([j for j, unit in enumerate(key) if unit in place], dtype=np.intp)
            at = np.array([place[key[j]] for j in mine.tolist()], dtype=np.intp)
            drawn = self.orders[:, at]
            inside = np.zeros(self.orders.shape)
            np.put_along_axis(inside, drawn, 1.0, axis=1)
            flat = drawn + len(self.units) * np.arange(len(mine))
            while len(self._laid) >= _KEPT:
                del self._laid[next(iter(self._laid))]
            self._laid[key] = mine, flat, inside
        return self._laid[key]

    def estimates(
        self,
        weights: Floats,
        units: Sequence[str],
        own: Floats,
        series: Floats,
        treated: Floats | None = None,
    ) -> tuple[Floats, Floats]:
        """Return a linear estimate, and its statistic, in every order.

        With weights W of the sample's cells and series Y the estimate under an order π is
        ``Σ_i K[i, π(i)]``, ``K = W Y'``: one product of matrices, and a sum of some of its
        entries for each order.

        Parameters
        ----------
        weights : array (J, T)
            Of the cells, in the order of `units`.
        units : sequence of str
            Of the sample.
        own : array (J, T)
            Its cells; NaN for none.
        series : array (n, T)
            Of the units that trade, in the same periods.
        treated : array (J, T), optional
            Where the estimate is a two-way regression on one pool, every cell observed: its
            regressor with unit and period means taken out. The statistic is then the estimate
            over its cluster-robust standard error.

        Returns
        -------
        (array (B,), array (B,))
            Estimates, and the absolute statistic: of the estimate itself, or of its t.
        """
        mine, flat, inside = self.places(units)
        stay = np.ones(len(units), dtype=bool)
        stay[mine] = False
        fixed = np.where(weights[stay] != 0, weights[stay] * own[stay], 0.0).sum(axis=1)
        drawn = (weights[mine] @ series.T).ravel()[flat]
        values = drawn.sum(axis=1) + fixed.sum()
        if treated is None:
            return values, np.abs(values)
        n = len(units)
        means = (inside @ series + own[stay].sum(axis=0)) / n  # of each period, in every order
        share = (weights * treated).sum(axis=1)
        parts = drawn - means @ weights[mine].T - values[:, None] * share[mine]
        kept = fixed - means @ weights[stay].T - values[:, None] * share[stay]
        variance = np.einsum("bi,bi->b", parts, parts) + np.einsum("bi,bi->b", kept, kept)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(values) / np.sqrt(np.where(variance > _NONE * values**2, variance, np.nan))
        return values, t


def traded(units: Sequence[str], draws: int, seed: int, strata: Mapping[str, str] | None) -> Traded:
    """Draw the orders: units trade places inside their stratum, with all their series.

    Examples
    --------
    >>> made = traded(["a", "b", "c"], 5, 0, None)
    >>> made.orders.shape, made.orders[0].tolist()
    ((6, 3), [0, 1, 2])
    """
    rng = np.random.default_rng(seed)
    orders = np.tile(np.arange(len(units), dtype=np.intp), (draws + 1, 1))
    labels = np.array(["" if strata is None else strata[unit] for unit in units])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        keys = rng.random((draws, len(members)))
        orders[1:, members] = members[np.argsort(keys, axis=1)]
    return Traded(tuple(units), orders)


def as_large(statistics: Floats) -> Floats:
    """Return for each entry the share of its column that is as large, ties counted.

    A statistic that does not exist counts as the largest.

    Parameters
    ----------
    statistics : array (B, m)
        Absolute statistics.

    Examples
    --------
    >>> as_large(np.array([[3.0], [1.0], [2.0], [2.0]])).ravel().tolist()
    [0.25, 1.0, 0.75, 0.75]
    """
    n = len(statistics)
    made = np.empty_like(statistics)
    for s, column in enumerate(np.where(np.isnan(statistics), np.inf, statistics).T):
        made[:, s] = (n - np.searchsorted(np.sort(column), column * (1 - TIES / 2))) / n
    return made


def joint_test(estimates: Floats, p: Floats) -> Joint:
    """Test m specifications together; the first of B orders is the data as they are.

    Parameters
    ----------
    estimates, p : array (B, m)
        Of each specification in each order.

    Notes
    -----
    All B orders are alike if series are exchangeable, and each statistic is the same function of
    each, so that the rank of the first among all is uniform: P(p ≤ α) ≤ α.

    Examples
    --------
    >>> b = np.array([[4.0, 5.0], [1.0, -1.0], [-2.0, 2.0], [0.5, 1.0]])
    >>> found = joint_test(b, as_large(np.abs(b)))
    >>> found.median, found.p_median
    (4.5, 0.25)
    """
    from scipy.special import ndtri

    median = np.median(estimates, axis=1)
    sign = np.sign(estimates)
    counted = [((sign == s) & (p <= SMALL)).sum(axis=1) for s in (-1, 1)]
    of_sign = [(sign == s).sum(axis=1) for s in (-1, 1)]
    count = np.where(
        of_sign[0] == of_sign[1],
        np.maximum(*counted),
        np.where(of_sign[0] > of_sign[1], *counted),
    ).astype(np.float64)
    z = -ndtri(p / 2) * sign
    average = z.sum(axis=1) / np.sqrt(p.shape[1])
    ranks = as_large(np.abs(np.stack([median, count, average], axis=1)))[0]
    return Joint(
        float(median[0]), float(count[0]), float(average[0]), *(float(one) for one in ranks)
    )
