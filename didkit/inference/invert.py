"""From a permutation test of every hypothesised effect to the interval of those not rejected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.results import Draws

__all__ = ["Inverted", "invert"]

Floats = NDArray[np.float64]
TIES = 1e-9  #: statistics within this, relatively, are tied, and ties count
GRID = 48  #: hypotheses looked at before the ends are bisected
REACH = 8.0  #: how many times the width of the interval is searched for effects accepted again
BISECTIONS = 60
ROOM = 50_000  #: numbers held at once: hypotheses × draws


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
    test = _Test(drawn, actual, term, studentised, exact)
    p_value = float(test.p(np.zeros(1))[0])
    alpha = round(1 - level, 12)  # 1 − 0.9 is less than 0.1 in binary
    if least_p > alpha:
        why = f"no effect can be rejected at level {level:g}: the least p attainable is"
        return Inverted(p_value, -np.inf, np.inf, (f"{why} {least_p:.3f}",))
    low, low_whole = _end(test, alpha, -1.0)
    high, high_whole = _end(test, alpha, 1.0)
    whole = low_whole and high_whole
    if p_value > alpha and not low <= 0 <= high:
        low, high, whole = min(low, 0.0), max(high, 0.0), False
    if p_value <= alpha and low <= 0 <= high:
        whole = False
    notes = () if whole else ("the effects not rejected are not one interval; its hull is given",)
    return Inverted(p_value, low, high, notes)


class _Test:
    """The p-value as a function of the hypothesised effect."""

    def __init__(
        self, drawn: Draws, actual: Draws, term: int, studentised: bool, exact: bool
    ) -> None:
        columns = [getattr(drawn, name)[:, term] for name in ("b", "a", "v0", "v1", "v2")]
        usable = np.isfinite(columns[0])
        self.b, self.a, self.v0, self.v1, self.v2 = (column[usable] for column in columns)
        self.n, self.exact, self.studentised = len(usable), exact, studentised
        self.lost = int((~usable).sum())  # a draw without the statistic counts as extreme
        self.estimate = float(actual.b[0, term])
        self.variance = float(actual.v0[0, term])
        spread = float(np.std(self.b)) if len(self.b) else 0.0
        self.unit = max(spread, np.sqrt(self.variance), 1e-12 * (1 + abs(self.estimate)))

    def p(self, thetas: Floats) -> Floats:
        """Return the p-value of each hypothesised effect."""
        rows = max(1, ROOM // max(len(self.b), 1))
        count = np.concatenate(
            [self._as_large(thetas[i : i + rows, None]) for i in range(0, len(thetas), rows)]
        )
        count += self.lost
        return np.asarray(count / self.n if self.exact else (1 + count) / (1 + self.n))

    def _as_large(self, theta: Floats) -> NDArray[np.int64]:
        """Count the draws whose statistic is as large as the actual one, for each of (m, 1)."""
        top = (self.b - theta * self.a) ** 2
        mine = (self.estimate - theta) ** 2 * (1 - TIES)
        if not self.studentised:
            return np.asarray(np.count_nonzero(top >= mine, axis=1))
        # compare squares without dividing: a draw without variance is extreme
        against = self.v0 - theta * (2 * self.v1 - theta * self.v2)
        return np.asarray(np.count_nonzero(top * self.variance >= mine * against, axis=1))


def _end(test: _Test, alpha: float, side: float) -> tuple[float, bool]:
    """Find the accepted effect farthest from the estimate on one side.

    Returns
    -------
    (float, bool)
        The end, ±∞ if none is rejected; and whether everything between was accepted.
    """
    step = test.unit
    while test.p(np.array([test.estimate + side * step]))[0] > alpha:
        step *= 2
        if step > 1e9 * test.unit:
            return side * np.inf, True
    reach = REACH * step
    grid = np.concatenate([np.linspace(0, step, GRID // 2), np.geomspace(step, reach, GRID // 2)])
    accepted = test.p(test.estimate + side * grid) > alpha
    last = int(np.flatnonzero(accepted)[-1]) if accepted.any() else 0
    whole = bool(accepted[: last + 1].all())
    if last + 1 == len(grid):  # accepted again, as far as the search goes
        return side * np.inf, whole
    inside, outside = grid[last], grid[last + 1]
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if test.p(np.array([test.estimate + side * middle]))[0] > alpha:
            inside = middle
        else:
            outside = middle
        if outside - inside <= 1e-9 * test.unit:
            break
    return float(test.estimate + side * inside), whole
