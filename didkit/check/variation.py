"""Variation of a metric: how much lies between authorities, how much within, how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, is_number

if TYPE_CHECKING:
    from didkit.design import Design
    from didkit.panel import Metric, Period

__all__ = ["Variation"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Variation:
    """``Y_it = period effect + μ_i + e_it``: the spread of μ and e, and how e carries over.

    Parameters
    ----------
    between : float
        Standard deviation of the lasting level μ between units, in the metric's unit.
    within : float
        Standard deviation of the passing part e, in the metric's unit.
    ar1 : float, default 0
        Correlation of e between one period and the next (an AR(1)), between −1 and 1.

    Examples
    --------
    >>> made = Variation(between=1.0, within=0.7, ar1=0.5)
    >>> round(made.icc, 3), round(made.reliability(4), 3)
    (0.671, 0.801)
    """

    between: float
    within: float
    ar1: float = 0.0

    def __post_init__(self) -> None:
        numbers = is_number(self.between) and is_number(self.within) and is_number(self.ar1)
        if not (numbers and self.between >= 0 and self.within > 0 and -1 < self.ar1 < 1):
            raise InferenceError(
                needed="between= of at least 0, within= above 0, ar1= between −1 and 1",
                found=f"between={self.between!r}, within={self.within!r}, ar1={self.ar1!r}",
                where="Variation",
                todo="estimate them: Variation.of(design, metric)",
            )

    @classmethod
    def from_icc(cls, sd: float, icc: float, ar1: float = 0.0) -> Variation:
        """Make it from the standard deviation of one period and the intra-cluster correlation.

        Parameters
        ----------
        sd : float
            Of the units' values in one period.
        icc : float
            Share of that variance that lasts, from 0 to below 1.
        ar1 : float
            Of the passing part.

        Raises
        ------
        InferenceError
            If one of them is out of range.

        Examples
        --------
        >>> Variation.from_icc(10.0, 0.64).between
        8.0
        """
        if not (is_number(sd) and is_number(icc) and sd > 0 and 0 <= icc < 1):
            raise InferenceError(
                needed="sd above 0 and icc from 0 to below 1",
                found=f"sd={sd!r}, icc={icc!r}",
                where="Variation.from_icc",
                todo="for example Variation.from_icc(22.0, 0.68, 0.2)",
            )
        return cls(between=sd * icc**0.5, within=sd * (1 - icc) ** 0.5, ar1=ar1)

    @classmethod
    def of(
        cls, design: Design, metric: str | Metric, *, periods: Sequence[Period] | None = None
    ) -> Variation:
        """Stub: being written. Estimate it from the periods before the first start."""
        raise NotImplementedError

    @property
    def icc(self) -> float:
        """Share of the variance of one period that lasts."""
        return self.between**2 / (self.between**2 + self.within**2)

    def covariance(self, n_periods: int) -> Floats:
        """Covariance of e over consecutive periods, (n × n)."""
        apart = np.abs(np.subtract.outer(np.arange(n_periods), np.arange(n_periods)))
        made: Floats = self.within**2 * self.ar1**apart
        return made

    def variance_of(self, contrast: Floats) -> float:
        """Variance between units of a weighted sum of consecutive periods; μ counts its weights."""
        spread = contrast @ self.covariance(len(contrast)) @ contrast
        return float(spread + self.between**2 * contrast.sum() ** 2)

    def reliability(self, n_periods: int = 1) -> float:
        """Share of the variance of a mean over n periods that lasts."""
        mean = np.full(n_periods, 1 / n_periods)
        return self.between**2 / self.variance_of(mean)
