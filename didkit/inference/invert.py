"""From a permutation test of every hypothesised effect to the interval of those not rejected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from didkit.linear.sweep import ROUNDING, TIES, Compared, Steps, power_of_two, values
from didkit.results import Draws

__all__ = ["TIES", "Inverted", "Test", "invert"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Inverted:
    """p of no effect, and the hull of the effects that the test does not reject."""

    p_value: float
    low: float
    high: float
    notes: tuple[str, ...]


def invert(
    drawn: Draws,
    actual: Draws,
    term: int,
    *,
    studentised: bool,
    exact: bool,
    level: float,
    least_p: float,
) -> Inverted:
    """Invert the permutation test of one term.

    Parameters
    ----------
    drawn, actual : Draws
        Refits under the assignments (B) and under the actual one (1).
    term : int
        Which term.
    studentised : bool
        Whether the statistic is t or the estimate.
    exact : bool
        Whether the draws are all the assignments.
    level : float
        Of the interval.
    least_p : float
        The least p attainable.
    """
    test = Test(drawn, actual, term, studentised=studentised, exact=exact)
    return test.inverted(level, least_p=least_p)


class Test:
    """The p-value of one term as a function of the hypothesised effect; one sweep, any level.

    Parameters
    ----------
    drawn, actual, term, studentised, exact
        As for `invert`.
    """

    __test__ = False  #: not one of pytest's

    def __init__(
        self, drawn: Draws, actual: Draws, term: int, *, studentised: bool, exact: bool
    ) -> None:
        names = ("b", "a", "v0", "v1", "v2")
        columns = [getattr(drawn, name)[:, term] for name in names]
        usable = np.isfinite(columns[0])
        if studentised:
            usable &= np.isfinite(columns[2])
        b, a, v0, v1, v2 = (column[usable] for column in columns)
        self.n, self.exact = len(usable), exact
        self.lost = int((~usable).sum())  # a draw without the statistic counts as extreme
        self.estimate = e = float(actual.b[0, term])
        variance = float(actual.v0[0, term]) if studentised else 0.0
        largest = float(np.abs(b).max(initial=abs(e)))
        # divided first: squares of outcomes of 1e-150 or 1e150 are no numbers
        shape = largest * float(np.std(b / largest)) if largest > 0 and len(b) else 0.0
        self.unit = u = power_of_two(max(shape, np.sqrt(max(variance, 0.0)), 1e-12 * largest))
        n0 = (b - e * a) / u
        if studentised:
            # at effect θ the variance is v0 − 2θ v1 + θ² v2; here in powers of estimate − θ
            bent = v2 > ROUNDING * np.abs(v2).max(initial=0.0)
            e2 = np.where(bent, v2, 0.0)
            e1 = np.where(bent, 2 * (v1 / u - e / u * v2), 0.0)
            e0 = v0 / u / u - e / u * (2 * v1 / u - e / u * v2)
            self.compared = Compared(n0, a, e0, e1, e2, variance / u / u)
        else:
            flat = np.zeros(len(b))
            self.compared = Compared(n0, a, flat + 1.0, flat, flat, 1.0)

    def p(self, theta: float) -> float:
        """Return the p-value of one hypothesised effect."""
        return float(self._share(self.compared.count((self.estimate - theta) / self.unit)))

    def inverted(self, level: float, *, least_p: float) -> Inverted:
        """Return p of no effect, and the hull of the effects not rejected at a level."""
        p_value = self.p(0.0)
        alpha = round(1 - level, 12)  # 1 − 0.9 is less than 0.1 in binary
        if least_p > alpha:
            why = f"no effect can be rejected at level {level:g}: the least p attainable is"
            return Inverted(p_value, -np.inf, np.inf, (f"{why} {least_p:.3f}",))
        steps = self._steps
        accepted = self._share(steps.counts) > alpha
        low, high, whole = values(
            self.p, steps.breaks, accepted, estimate=self.estimate, unit=self.unit, alpha=alpha
        )
        why = "the effects not rejected are not one interval; its hull is given"
        return Inverted(p_value, low, high, () if whole else (why,))

    @cached_property
    def _steps(self) -> Steps:
        return self.compared.sweep()

    def _share(self, count: int | NDArray[np.int64]) -> Floats:
        large = np.asarray(count) + self.lost
        return np.asarray(large / self.n if self.exact else (1 + large) / (1 + self.n))
