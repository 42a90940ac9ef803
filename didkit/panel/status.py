"""What is known of one cell: its value, its status, and the bounds of its true value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "Status"]

Floats = NDArray[np.float64]


class Status(IntEnum):
    """Why a cell holds what it holds.

    ``OBSERVED``: a value was published (a rate still has bounds of half its last digit).
    ``SUPPRESSED``: hidden to protect confidentiality; bounds are what the release's rule implies.
    ``ROUNDED``: published after rounding coarser than the unit (to 10, say).
    ``NOT_AVAILABLE``: not collected, not submitted, or withheld for quality.
    ``NOT_APPLICABLE``: the cell has no meaning (the authority did not exist).
    ``LOW_RELIABILITY``: published, and marked as of low reliability.
    ``ABSENT``: the source has no row for this unit and period.
    """

    OBSERVED = 0
    SUPPRESSED = 1
    ROUNDED = 2
    NOT_AVAILABLE = 3
    NOT_APPLICABLE = 4
    LOW_RELIABILITY = 5
    ABSENT = 6

    @property
    def label(self) -> str:
        """The status in words: lower case, with spaces."""
        return self.name.lower().replace("_", " ")

    @classmethod
    def from_label(cls, label: str) -> Status:
        """Find a status by its label or name, whatever the case.

        Raises
        ------
        KeyError
            If there is no such status.
        """
        return cls[label.strip().upper().replace(" ", "_")]


@dataclass(frozen=True, eq=False)
class Cells:
    """One metric of a panel: four arrays of units × periods.

    Parameters
    ----------
    value : array (units, periods)
        NaN where no value was published.
    status : array (units, periods) of int8
        `Status` codes.
    lower, upper : array (units, periods)
        The true value lies in ``[lower, upper]``; NaN where nothing is known.
    """

    value: Floats
    status: NDArray[np.int8]
    lower: Floats
    upper: Floats

    @classmethod
    def empty(cls, n_units: int, n_periods: int) -> Cells:
        """Cells for which the source has no row."""
        nan = np.full((n_units, n_periods), np.nan)
        status = np.full((n_units, n_periods), Status.ABSENT, dtype=np.int8)
        return cls(nan, status, nan.copy(), nan.copy())

    def take(self, units: NDArray[np.intp], periods: NDArray[np.intp]) -> Cells:
        """Rearrange to other units and periods; position −1 makes an absent cell."""
        made = Cells.empty(len(units), len(periods))
        rows, cols = np.flatnonzero(units >= 0), np.flatnonzero(periods >= 0)
        into = np.ix_(rows, cols)
        source = np.ix_(units[rows], periods[cols])
        made.value[into] = self.value[source]
        made.status[into] = self.status[source]
        made.lower[into] = self.lower[source]
        made.upper[into] = self.upper[source]
        return made
