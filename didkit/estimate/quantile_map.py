"""Changes-in-changes of four groups: how comparators' outcomes moved, level by level."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Four", "Steps", "mean_effect", "quantile_effect"]

Floats = NDArray[np.float64]
_TIE = 1e-12  #: two shares of units closer than this are one


@dataclass(frozen=True, eq=False)
class Steps:
    """The distribution of n values, each with a weight: a step function.

    Parameters
    ----------
    y, w : array (n,)
        Values, and weights above zero.
    """

    y: Floats
    w: Floats

    @cached_property
    def _steps(self) -> tuple[Floats, Floats]:
        """The values in order, and the share of weight up to each."""
        order = np.argsort(self.y, kind="stable")
        summed = np.cumsum(self.w[order])
        return self.y[order], summed / summed[-1]

    @property
    def share(self) -> Floats:
        """Each value's share of the weights, (n,)."""
        return np.asarray(self.w / self.w.sum())

    @property
    def mean(self) -> float:
        """Weighted mean."""
        return float(self.share @ self.y)

    def at(self, y: Floats, *, below: bool = False) -> Floats:
        """Share of values up to y; with `below`, under y."""
        values, total = self._steps
        place = np.searchsorted(values, y, side="left" if below else "right")
        return np.asarray(np.concatenate([[0.0], total])[place])

    def inverse(self, share: Floats) -> Floats:
        """Return the smallest value up to which the share is reached."""
        values, total = self._steps
        place = np.searchsorted(total, np.asarray(share) - _TIE, side="left")
        return np.asarray(values[np.minimum(place, len(values) - 1)])

    def density(self, at: Floats) -> Floats:
        """Return a normal kernel estimate, by Silverman's rule of thumb for its width."""
        low, high = self.inverse(np.array([0.25, 0.75]))
        spread = float(np.sqrt(self.share @ (self.y - self.mean) ** 2))
        size = min(spread, (high - low) / 1.349) or spread
        n = 1.0 / float(self.share @ self.share)
        width = 0.9 * size * n**-0.2
        if not width > 0:
            return np.full(np.shape(at), np.nan)
        z = (np.asarray(at)[:, None] - self.y) / width
        return np.asarray(np.exp(-(z**2) / 2) @ self.share / (width * np.sqrt(2 * np.pi)))


@dataclass(frozen=True, eq=False)
class Four:
    """Four distributions: comparators and pilots, before and after."""

    other_before: Steps
    other_after: Steps
    pilot_before: Steps
    pilot_after: Steps

    def moved(self, y: Floats, *, below: bool = False) -> Floats:
        """Where comparators at the same place of their distribution went: F01⁻¹(F00(y))."""
        return self.other_after.inverse(self.other_before.at(y, below=below))


#: effect, and the influence of the values of the four distributions, in the order of `Four`
Effect = tuple[float, tuple[Floats, Floats, Floats, Floats]]


def mean_effect(four: Four) -> Effect:
    """Return the mean effect on the pilots after (Athey & Imbens 2006, theorem 5.1)."""
    before, after = four.pilot_before, four.pilot_after
    moved = four.moved(before.y)
    place = four.other_before.at(before.y)
    with np.errstate(divide="ignore"):
        slope = before.share / four.other_after.density(moved)  # (n10,)
    middle = float(before.share @ moved)
    p = (four.other_before.y[:, None] <= before.y) - place
    q = (four.other_after.y[:, None] <= moved) - place
    return after.mean - middle, (
        -four.other_before.share * (p @ slope),
        four.other_after.share * (q @ slope),
        -before.share * (moved - middle),
        after.share * (after.y - after.mean),
    )


def quantile_effect(four: Four, share: float) -> Effect:
    """Return the difference of the pilots' quantile after and the one they would have had."""
    at = np.array([share])
    seen, base = four.pilot_after.inverse(at), four.pilot_before.inverse(at)
    moved = four.moved(base)
    place = four.other_before.at(base)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_after = 1.0 / four.pilot_after.density(seen)
        by_moved = 1.0 / four.other_after.density(moved)
        by_base = four.other_before.density(base) * by_moved / four.pilot_before.density(base)
    return float(seen[0] - moved[0]), (
        -four.other_before.share * ((four.other_before.y <= base) - place) * by_moved,
        four.other_after.share * ((four.other_after.y <= moved) - place) * by_moved,
        four.pilot_before.share * ((four.pilot_before.y <= base) - share) * by_base,
        -four.pilot_after.share * ((four.pilot_after.y <= seen) - share) * by_after,
    )
