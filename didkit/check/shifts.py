"""The smallest shift of one unit's outcome that changes whether zero is inside the interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError, InferenceError
from didkit.inference import Permutation
from didkit.inference.invert import Test
from didkit.inference.permutation import Redrawn
from didkit.progress import steps
from didkit.results import Draws, Estimate
from didkit.results.protocols import Inference

__all__ = ["Shocks", "least_shocks"]

Floats = NDArray[np.float64]
_GRID = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
_FINE = tuple(np.geomspace(0.02, 20.0, 36).tolist())  #: where a step costs no refit
_FEW = 499  #: draws of the search, where the method draws and each step is a refit
_LAW = 1e-6  #: relatively, how well a law must foretell a refit


@dataclass(frozen=True, eq=False)
class Shocks:
    """What was found, and at what cost.

    Parameters
    ----------
    values : array (n,)
        Signed shifts in the metric's unit, ∞ where none was found.
    refits : int
        How many refits it took.
    notes : tuple of str
        How the shifts were sought.
    """

    values: Floats
    refits: int
    notes: tuple[str, ...]


def least_shocks(
    estimate: Estimate, m: int, wanted: NDArray[np.intp], *, tolerance: float = 0.01
) -> Shocks:
    """Find for each unit the smallest shift that changes whether zero is inside the interval.

    Parameters
    ----------
    estimate : Estimate
        With its inference.
    m : int
        Which term.
    wanted : int array
        Positions of the units in the sample.
    tolerance : float, default 0.01
        To how much of itself a shift is found.

    Notes
    -----
    Where a shift acts by a law, the law is solved and the answer confirmed by one refit:

    * after `Permutation` each draw's estimate is linear in the shift and its variance quadratic, so
      that the refits at −1, 0 and 1 give the test at every shift;
    * where the middle of the interval is linear in the shift and its squared length quadratic, as
      after cluster-robust, jackknife and closed-form methods, four refits give every interval (the
      fourth is held against what the other three foretell).

    Otherwise each step is a refit; a method that draws searches with 499 draws, and the shift is
    then found again near by with all of them.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cla").infer(dk.ClusterRobust("CR2"))
    >>> one = np.flatnonzero(did.sample.pilot)[:1]
    >>> found = least_shocks(did, 0, one, tolerance=0.5)
    >>> len(found.values), 0 < found.refits < 10
    (1, True)
    """
    sure, sample = estimate.attached, estimate.sample
    low, high = float(sure.conf_low[m]), float(sure.conf_high[m])
    near = min(abs(low), abs(high))
    found = np.full(len(wanted), np.inf)
    if near == 0:
        return Shocks(np.zeros(len(wanted)), 0, ("zero is an end of the interval already",))
    if np.isinf(near):
        why = f"the interval has no end by {sure.method}: no shift can move it past zero"
        return Shocks(found, 0, (why,))
    shifted = _Shifted(estimate, m)
    largest = _largest_t(estimate, m)
    n1, n0 = (int(estimate.terms[f"n_{arm}"].iloc[m]) for arm in ("pilots", "comparators"))
    ways: set[str] = set()
    for i, j in enumerate(steps(wanted.tolist(), "shifting one site at a time")):
        unit = near * (n1 if sample.pilot[j] else n0)
        found[i], how = _one(shifted, j, unit, float(largest[j]), tolerance)
        ways.add(how)
    said = f"shocks: {shifted.count} refits, each inferred by {sure.method}"
    return Shocks(found, shifted.count, (said, *sorted(ways)))


def _one(
    shifted: _Shifted, j: int, unit: float, largest: float, tolerance: float
) -> tuple[float, str]:
    """Find one unit's shift: by a law where there is one, confirmed by a refit; else by refits."""
    law = shifted.redrawn(j, unit) or shifted.quadratic(j, unit)
    if law is not None:
        found = law.smallest(largest, tolerance)
        if np.isinf(found) or shifted.outside(j, found * (1 + tolerance)) != shifted.first:
            return found, law.told
    few = shifted.with_few_draws()
    if few is None or few.first != shifted.first:
        found = _search(lambda s: shifted.changed(j, s), unit, _sizes(unit, largest), tolerance)
        return found, f"each step a refit, to {tolerance:.0%} of itself"
    found = _search(lambda s: few.changed(j, s), unit, _sizes(unit, largest), tolerance)
    shifted.count += few.count
    told = (
        f"sought with {_FEW} draws and found again near by with all, to {tolerance:.0%} of itself"
    )
    return _again(lambda s: shifted.changed(j, s), found, tolerance), told


def _search(
    changed: Callable[[float], bool], unit: float, sizes: list[float], tolerance: float
) -> float:
    """Step outward in both directions, then halve the stretch in which the conclusion changes."""
    kept = 0.0
    for size in sizes:
        both = [s for s in (1, -1) if changed(s * size * unit)]
        if both:
            return min((_edge(changed, s * unit, kept, size, tolerance) for s in both), key=abs)
        kept = size
    return float("inf")


def _again(changed: Callable[[float], bool], found: float, tolerance: float) -> float:
    """Find a shift again by another oracle, from half of it to twice as much; ∞ if not there."""
    if np.isinf(found):
        return found
    kept = 0.5
    for size in (0.9, 1.0, 1.1, 1.25, 1.5, 2.0):
        if changed(size * found):
            return _edge(changed, found, kept, size, tolerance)
        kept = size
    return float("inf")


def _sizes(unit: float, largest: float, grid: tuple[float, ...] = _GRID) -> list[float]:
    """Return the steps outward, in units, by way of the largest t."""
    extra = [abs(largest) / unit] if np.isfinite(largest) else []
    return sorted({*grid, *extra} - {0.0})


def _edge(
    changed: Callable[[float], bool], unit: float, kept: float, reached: float, tolerance: float
) -> float:
    """Halve the stretch between a shift that keeps the conclusion and one that changes it."""
    while reached - kept > tolerance * reached:
        middle = (kept + reached) / 2
        if changed(middle * unit):
            reached = middle
        else:
            kept = middle
    return reached * unit


def _largest_t(estimate: Estimate, m: int) -> Floats:
    """Return for each unit the shift at which the pooled t is largest; NaN where not defined.

    In the notation of `pooled_shocks` the square of t is in proportion to ``(c + x/n)² / (S + 2 x e
    + x² (n − 1)/n)``, whose only maximum is at ``x = (S/n − c e) / (c (n − 1)/n − e/n)``.
    """
    made = np.full(len(estimate.sample.units), np.nan)
    if estimate.contributions is None:
        return made
    numbers, pilot = estimate.contributions[:, m], estimate.sample.pilot
    used = np.isfinite(numbers)
    arms = [np.flatnonzero(used & pilot), np.flatnonzero(used & ~pilot)]
    if not all(len(arm) for arm in arms):
        return made
    c = float(numbers[arms[0]].mean() - numbers[arms[1]].mean())
    within = sum(float(((numbers[arm] - numbers[arm].mean()) ** 2).sum()) for arm in arms)
    for arm, sign in zip(arms, (1, -1), strict=True):
        n, e = len(arm), numbers[arm] - numbers[arm].mean()
        slope = sign * c * (n - 1) / n - e / n
        top = within / n - sign * c * e
        made[arm] = np.divide(top, slope, out=np.full(n, np.nan), where=slope != 0)
    return made


class _Law(Protocol):
    """How a shift of one unit acts, so that shifts cost no refit."""

    told: str

    def smallest(self, largest: float, tolerance: float) -> float:
        """Return the smallest shift that changes the conclusion, or ∞."""
        ...


@dataclass(frozen=True, eq=False)
class _Assignments:
    """A permutation test at every shift: b is linear in it, v0 quadratic, v1 linear.

    Parameters
    ----------
    parts : three Redrawn
        The assignments at shifts −1, 0 and 1, in units of `unit`.
    m : int
        Which term.
    level, unit : float
        Of the interval; of the shifts.
    first : bool
        Whether zero is outside without a shift.
    """

    parts: tuple[Redrawn, Redrawn, Redrawn]
    m: int
    level: float
    unit: float
    first: bool
    told = "after a permutation every shift follows from three refits; each shift found confirmed"

    def holds(self) -> bool:
        """Whether the three refits obey the law, and the test says what the interval says."""
        back, here, on = (np.concatenate([p.drawn.b, p.actual.b])[:, self.m] for p in self.parts)
        off = np.abs(back + on - 2 * here)
        a = [np.concatenate([p.drawn.a, p.actual.a])[:, self.m] for p in self.parts]
        there = np.isfinite(here)
        size = np.abs(on[there]).max(initial=0.0) + np.abs(here[there]).max(initial=0.0)
        linear = bool((off[there] <= _LAW * size).all())
        alike = all(np.allclose(one[there], a[1][there], rtol=0, atol=_LAW) for one in a)
        return linear and alike and not self.changed(0.0)

    def changed(self, shift: float) -> bool:
        """Whether the test of zero says otherwise after a shift."""
        at = shift / self.unit
        here = self.parts[1]
        test = Test(
            self._at(at, "drawn"),
            self._at(at, "actual"),
            self.m,
            studentised=bool(here.studentised[self.m]),
            exact=here.chosen.exact,
        )
        return (test.p(0.0) <= round(1 - self.level, 12)) != self.first

    def smallest(self, largest: float, tolerance: float) -> float:
        return _search(
            self.changed, self.unit, _sizes(self.unit, largest, _FINE), min(tolerance, 0.001)
        )

    def _at(self, s: float, which: str) -> Draws:
        """Return the draws at a shift of s units, from those at −1, 0 and 1."""
        parts: list[Draws] = [getattr(part, which) for part in self.parts]
        back, here, on = parts
        line = {name: (getattr(on, name) - getattr(back, name)) / 2 for name in ("b", "v0", "v1")}
        bend = (on.v0 + back.v0 - 2 * here.v0) / 2
        return replace(
            here,
            b=here.b + s * line["b"],
            v0=np.maximum(here.v0 + s * line["v0"] + s**2 * bend, 0.0),
            v1=here.v1 + s * line["v1"],
        )


@dataclass(frozen=True, eq=False)
class _Quadratic:
    """An interval at every shift: its middle is linear, the square of its half length quadratic.

    Parameters
    ----------
    middle : array (2,)
        Slope and constant.
    square : array (3,)
        Coefficients of the square of the half length, highest power first.
    unit : float
        Of the shifts.
    first : bool
        Whether zero is outside without a shift.
    """

    middle: Floats
    square: Floats
    unit: float
    first: bool
    told = "each shift is the root of a quadratic from four refits, confirmed by a fifth"

    def smallest(self, largest: float, tolerance: float) -> float:
        difference = np.polysub(np.polymul(self.middle, self.middle), self.square)
        roots = np.roots(difference)
        real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
        for root in sorted(real.tolist(), key=abs):
            if (np.polyval(difference, root * (1 + _LAW)) > 0) != self.first:
                return float(root * self.unit)
        return float("inf")


class _Shifted:
    """The estimate and its inference with one unit's cells from the start on shifted."""

    def __init__(self, estimate: Estimate, m: int) -> None:
        self.estimate, self.m, self.count = estimate, m, 0
        sample, panel = estimate.sample, estimate.design.panel
        sure = estimate.attached
        self.first = not sure.conf_low[m] <= 0 <= sure.conf_high[m]
        self.values = panel.cells(estimate.metric).value
        first = np.full(len(sample.units), min(sample.starts))
        first[sample.pilot] = np.array(sample.starts)[sample.cohort[sample.pilot]]
        self.rows = [panel.unit_ids.index(unit) for unit in sample.units]
        at = [panel.calendar.position(label) for label in sample.periods]
        self.columns = [at[start:] for start in first.tolist()]
        self._here: Redrawn | None = None
        self._lawless = False  #: some site's ends have moved by no quadratic law

    def refit(self, j: int, shift: float) -> Estimate:
        """Return the estimate after the shift, without an inference."""
        self.count += 1
        estimate, moved = self.estimate, self.values.copy()
        moved[self.rows[j], self.columns[j]] += shift
        panel = estimate.design.panel.refilled(replace(estimate.metric, kind="value"), moved)
        return estimate.refit(estimate.design.on_panel(panel))

    def ends(self, j: int, shift: float) -> tuple[float, float]:
        """Return the interval after the shift; NaN where there is none."""
        given = self.estimate.attached
        try:
            sure = self.refit(j, shift).infer(given.inference, level=given.level).attached
        except (EstimationError, InferenceError):
            return float("nan"), float("nan")
        return float(sure.conf_low[self.m]), float(sure.conf_high[self.m])

    def outside(self, j: int, shift: float) -> bool:
        """Whether zero is outside the interval after the shift; False where there is none."""
        low, high = self.ends(j, shift)
        return low > 0 or high < 0

    def changed(self, j: int, shift: float) -> bool:
        """Whether the conclusion is another after the shift."""
        return self.outside(j, shift) != self.first

    def redrawn(self, j: int, unit: float) -> _Assignments | None:
        """Return the law of a permutation test, or None if the inference is another."""
        given = self.estimate.attached
        if not isinstance(given.inference, Permutation):
            return None
        if self._here is None:
            self._here = given.inference.redrawn(self.estimate)
        back, on = (self._here.at(self.refit(j, s * unit)) for s in (-1, 1))
        made = _Assignments((back, self._here, on), self.m, given.level, unit, self.first)
        return made if made.holds() else None

    def quadratic(self, j: int, unit: float) -> _Quadratic | None:
        """Return the law of an interval whose ends move so, or None if they do not."""
        given = self.estimate.attached
        if self._lawless or isinstance(given.inference, Permutation):
            return None
        here = float(given.conf_low[self.m]), float(given.conf_high[self.m])
        sizes = np.array([-1.0, 0.0, 1.0, 3.0])
        ends = np.array([here if s == 0 else self.ends(j, s * unit) for s in sizes.tolist()])
        if not np.isfinite(ends).all():
            return None
        middle, square = ends.mean(axis=1), ((ends[:, 1] - ends[:, 0]) / 2) ** 2
        line = np.array([(middle[2] - middle[0]) / 2, middle[1]])
        bend = (square[2] + square[0]) / 2 - square[1]
        curve = np.array([bend, (square[2] - square[0]) / 2, square[1]])
        foretold = np.polyval(line, sizes), np.polyval(curve, sizes)
        off = [np.abs(one - two).max() for one, two in zip(foretold, (middle, square), strict=True)]
        if off[0] > _LAW * np.abs(ends).max() or off[1] > _LAW * np.abs(ends).max() ** 2:
            self._lawless = True
            return None
        return _Quadratic(line, curve, unit, self.first)

    def with_few_draws(self) -> _Shifted | None:
        """Return the same with fewer draws, where the method draws many and the level allows it."""
        given = self.estimate.attached
        drawn = given.facts.get("draws")
        many = getattr(given.inference, "draws", 0) > _FEW and not given.facts.get("exact", False)
        if not many or not isinstance(drawn, int) or drawn <= _FEW or 1 - given.level < 0.01:
            return None
        fewer: Inference = replace(given.inference, draws=_FEW)  # type: ignore[type-var]
        return _Shifted(self.estimate.infer(fewer, level=given.level), self.m)
