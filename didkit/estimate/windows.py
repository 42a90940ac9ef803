"""Which periods a term compares: a window after, a window before, and where treatment acts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Windows"]

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Windows:
    """The comparisons of k terms, for each of G cohorts, over T periods.

    A term compares, unit by unit, the mean over ``plus`` with the mean over ``minus``.

    Parameters
    ----------
    plus, minus : bool array (G, k, T)
        An empty `plus` means that the cohort does not carry the term; a term whose `minus` is
        empty for every cohort is a level, not a change.
    acts : bool array (G, k, T)
        Where the hypothesised effect of the term is present for a pilot of the cohort.
    compared : bool array (k,)
        Whether comparators are subtracted; False for pilots alone.
    terms : DataFrame
        One row a term: ``term, position`` and extras.
    """

    plus: Bools
    minus: Bools
    acts: Bools
    compared: Bools
    terms: pd.DataFrame

    def without(self, aside: Bools) -> Windows:
        """Return the windows without some periods of each cohort (G, T), for both arms."""
        if not aside.any():
            return self
        kept = ~aside[:, None]
        return replace(self, plus=self.plus & kept, minus=self.minus & kept)

    @property
    def carried(self) -> Bools:
        """Whether a cohort carries a term (G, k)."""
        return np.asarray(self.plus.any(axis=2))

    @property
    def level(self) -> Bools:
        """Whether a term is a level (k,)."""
        return np.asarray(~self.minus.any(axis=(0, 2)))
