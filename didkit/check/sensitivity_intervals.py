"""Intervals of a sensitivity analysis, by method: each gives one for any size of violation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from didkit.check.conditional import conditional_set, identified_set
from didkit.check.event_terms import EventTerms
from didkit.check.fixed_length import fixed_length
from didkit.check.restrictions import RelativeMagnitudes, Smoothness
from didkit.check.sensitivity_permuted import Between, Shuffled, between, duals, held

__all__ = ["ByNormal", "ByShuffling", "Way", "breakdown", "identified", "largest_before"]

Floats = NDArray[np.float64]
Restriction = RelativeMagnitudes | Smoothness
_FIRST = 0.1  #: share of the error rate that the first step of a hybrid uses
_NEAR = 1e-3  #: of the breakdown size itself, to which it is found


class Way(Protocol):
    """A method: intervals at any size, and whether one holds zero."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def interval(self, size: float) -> tuple[float, float]:
        """Return the ends at a size; ±∞ where open, NaN where nothing is accepted."""
        ...

    def holds_zero(self, size: float) -> bool:
        """Say whether zero is inside at a size."""
        ...


@dataclass(frozen=True, eq=False)
class ByNormal:
    """Intervals that take the terms as normal with known covariance.

    Parameters
    ----------
    name : str
        "fixed_length", "hybrid", "conditional", "least_favourable" or "conditional_fixed_length".
    terms : EventTerms
        Terms, covariance and the combination asked for.
    restriction : RelativeMagnitudes or Smoothness
        On the path of violations.
    level : float
        Of the intervals.
    seed : int
        Of draws behind least favourable critical values.
    """

    name: str
    terms: EventTerms
    restriction: Restriction
    level: float
    seed: int
    found: dict[float, tuple[float, float]] = field(default_factory=dict, repr=False)

    def interval(self, size: float) -> tuple[float, float]:
        """Return the ends at a size."""
        if size not in self.found:
            self.found[size] = self._interval(size)
        return self.found[size]

    def _interval(self, size: float) -> tuple[float, float]:
        t, r = self.terms, self.restriction
        where = (t.values, t.covariance, t.weights, t.times, t.reference, t.first)
        if self.name == "fixed_length":
            fixed = fixed_length(*where, size, self.level, r if isinstance(r, Smoothness) else None)
            return fixed.low, fixed.high
        pieces = r.pieces(t.times, t.reference, t.first, size)
        inner = None
        if self.name == "conditional_fixed_length":
            inner = fixed_length(*where, size, 1 - _FIRST * (1 - self.level))
        made = conditional_set(
            *where, pieces, self.level, self.name, share=_FIRST, fixed=inner, seed=self.seed
        )
        return made.low, made.high

    def holds_zero(self, size: float) -> bool:
        """Say whether zero is inside at a size."""
        low, high = self.interval(size)
        return low <= 0 <= high

    def outside_by(self, size: float) -> float:
        """Return how far the nearer end is from zero; negative where zero is inside."""
        low, high = self.interval(size)
        return max(low, -high)


@dataclass(frozen=True, eq=False)
class ByShuffling:
    """Intervals by other choices of pilots.

    Parameters
    ----------
    terms, restriction, level
        As for `ByNormal`.
    drawn : Shuffled
        The terms under other choices of pilots.
    """

    terms: EventTerms
    restriction: Restriction
    level: float
    drawn: Shuffled
    name: str = "permutation"
    known: dict[float, list[list[Between]]] = field(default_factory=dict, repr=False)

    def interval(self, size: float) -> tuple[float, float]:
        """Return the ends at a size."""
        ways = self._pieces(size)
        return self.drawn.ends(ways, self.level) if ways else (-np.inf, np.inf)

    def holds_zero(self, size: float) -> bool:
        """Say whether zero is inside at a size."""
        ways = self._pieces(size)
        return self.drawn.holds(ways, 0.0, self.level) if ways else True

    def _pieces(self, size: float) -> list[list[Between]]:
        """Return what holds the effect in each piece; none where some piece does not bound it."""
        if size not in self.known:
            self.known[size] = self._held(size)
        return self.known[size]

    @cached_property
    def _gammas(self) -> list[tuple[Floats, Floats] | None]:
        t = self.terms
        pieces = self.restriction.pieces(t.times, t.reference, t.first, 1.0)
        return [duals(piece, t.weights, t.before) for piece in pieces]

    def _held(self, size: float) -> list[list[Between]]:
        t, r = self.terms, self.restriction
        plain = isinstance(r, Smoothness) and not r.direction and not r.monotone
        made: list[list[Between]] = []
        pieces = () if plain else r.pieces(t.times, t.reference, t.first, size)
        if isinstance(r, RelativeMagnitudes) and size > 0:
            # what binds terms after the start is the same at every size: so are its dual weights
            for piece, gammas in zip(pieces, self._gammas, strict=True):
                if gammas is None:
                    return []
                made.append([held(piece, gammas, t.weights, t.before)])
            return made
        for piece in pieces:
            ways = between(piece, t.weights, t.before)
            if ways is None:
                return []
            made.append([ways])
        if isinstance(r, Smoothness):
            # chosen by what the draws have in common: the pilots' own covariance would favour
            # combinations that are quiet in these data only
            shared, where = self.drawn.covariance(), (t.times, t.reference, t.first)
            best = fixed_length(t.values, shared, t.weights, *where, size, self.level)
            bias = best.worst_bias
            line = Between(best.combination, -bias, best.combination, bias)
            made = [[*ways, line] for ways in made] or [[line]]
        return made


def breakdown(way: Way, sizes: tuple[float, ...], cap: float) -> float:
    """Return the least size at which zero is inside.

    Parameters
    ----------
    way : Way
        Tested at sizes between the given ones, until the answer is known to a thousandth.
    sizes : tuple of float
        Rising; between two that differ the answer is halved.
    cap : float
        The largest size tried.

    Returns
    -------
    float
        0 where zero is inside without any violation; infinite where it is outside at `cap`.
    """
    outside, inside = 0.0, cap
    if way.holds_zero(outside):
        return 0.0
    for size in sizes:
        if size > 0 and way.holds_zero(size):
            inside = size
            break
        outside = max(outside, size)
    else:
        if outside >= cap or not way.holds_zero(cap):
            return float("inf")
    if isinstance(way, ByNormal):
        ends = [way.outside_by(one) for one in (outside, inside)]
        if np.isfinite(ends).all() and ends[0] > 0 > ends[1]:
            from scipy.optimize import brentq

            return float(brentq(way.outside_by, outside, inside, xtol=_NEAR * inside / 4))
    return _halved(way.holds_zero, outside, inside)


def _halved(inside: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a question turns from no (at low) to yes (at high)."""
    while high - low > _NEAR * high:
        middle = (low + high) / 2
        if inside(middle):
            high = middle
        else:
            low = middle
    return high


def identified(terms: EventTerms, restriction: Restriction, size: float) -> tuple[float, float]:
    """Return what the effect could be if the terms had no error, from the terms as they are.

    Parameters
    ----------
    terms : EventTerms
        Taken as exact.
    restriction : RelativeMagnitudes or Smoothness
        On the path of violations.
    size : float
        Of the restriction.

    Returns
    -------
    (float, float)
        In the metric's unit.
    """
    pieces = restriction.pieces(terms.times, terms.reference, terms.first, size)
    return identified_set(terms.values, terms.weights, terms.times, terms.first, pieces)


def largest_before(terms: EventTerms, order: int) -> float:
    """Return the largest jump (order 1) or change of slope (2) of the path before the start.

    Parameters
    ----------
    terms : EventTerms
        With the reference at 0.
    order : int
        Of the differences.

    Returns
    -------
    float
        In the metric's unit; NaN where there are too few periods.
    """
    times = np.append(terms.times[terms.before], terms.reference)
    path = np.append(terms.values[terms.before], 0.0)[np.argsort(times)]
    steps = np.diff(path, n=order) if len(path) > order else np.array([])
    return float(np.abs(steps).max()) if len(steps) else float("nan")
