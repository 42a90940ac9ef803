"""The estimate under many assignments of the pilots at once: a vectorised refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "Exchange", "Labels", "OneByOne"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Draws:
    """Estimates and their variances for B assignments × k terms, at every hypothesised effect.

    For the hypothesis that the term's effect is θ, the outcome less θ times the actual treatment
    is refitted with the pilots of each draw: its estimate is ``b - θ a`` and its variance (CR0;
    for matched sets that of `Exchange`) ``v0 - 2 θ v1 + θ² v2``. With the actual assignment a = 1
    and v1 = v2 = 0.

    Parameters
    ----------
    b, a, v0, v1, v2 : array (B, k)
        NaN for a term that does not exist under an assignment.
    """

    b: Floats
    a: Floats
    v0: Floats
    v1: Floats
    v2: Floats

    def statistic(self, term: int, theta: float, *, studentised: bool) -> Floats:
        """Return the (absolute) statistic of each draw for the hypothesis that the effect is theta.

        A draw without variance has statistic NaN when studentised.
        """
        top = np.abs(self.b[:, term] - theta * self.a[:, term])
        if not studentised:
            return top
        variance = self.v0[:, term] - 2 * theta * self.v1[:, term] + theta**2 * self.v2[:, term]
        # a difference of squares: below rounding it is no variance
        floor = 1e-14 * (self.v0[:, term] + theta**2 * self.v2[:, term])
        with np.errstate(divide="ignore", invalid="ignore"):
            made: Floats = top / np.sqrt(np.where(variance > floor, variance, np.nan))
        return made

    @classmethod
    def stack(cls, parts: list[Draws]) -> Draws:
        """Put chunks of draws together."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("b", "a", "v0", "v1", "v2")
            )
        )


@dataclass(frozen=True, eq=False)
class OneByOne:
    """Refits that cost a fit a draw: whoever chooses how many draws to ask for should know.

    Parameters
    ----------
    run : callable
        Labels (B, J) → `Draws`.
    """

    run: Callable[[Labels], Draws]

    def __call__(self, labels: Labels) -> Draws:
        """Refit for each row of labels."""
        return self.run(labels)


@dataclass(frozen=True, eq=False)
class Exchange:
    """Matched sets in which units trade places: who with whom, and the estimate when they do.

    The J places (roles) stay as they are: which is that of pilot k, which that of a comparator with
    which weights in which sets. An order says which unit is in each place.

    Parameters
    ----------
    blocks : int array (J,)
        Units of one block may trade places: those of sets that are linked by a comparator that
        they share, inside the design's strata.
    fixed : int
        Units that keep their place, each a block alone: those without the cells of some term.
    roles : mapping of statistic ("t", "beta") to int array (J,)
        Places with one code are alike: swapping their units leaves the statistic as it is.
    mirrored : mapping of statistic to bool
        Whether each order has a mirror image with the same absolute statistic.
    refit : callable
        Orders (B, J), of positions of units, → `Draws`.
    """

    blocks: Labels
    fixed: int
    roles: Mapping[str, Labels]
    mirrored: Mapping[str, bool]
    refit: Callable[[Labels], Draws]
