"""What a cell counts for: sampling weights by cell, and people by unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from didkit.panel import Panel

__all__ = ["weights_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def weights_of(
    panel: Panel,
    rows: Ints,
    cols: Ints,
    before: int,
    sampling: str | None,
    population: str | None,
    aside: dict[str, NDArray[np.bool_]],
) -> Floats | None:
    """Return the weight of each cell (J, T), or None; cells without one go to `aside`.

    Parameters
    ----------
    panel : Panel
        Holds the two metrics.
    rows, cols : int array
        Units and periods of the sample.
    before : int
        Position in `cols` of the period in which people are counted.
    sampling, population : str or None
        Names of metrics; see `Design.sample`.
    aside : dict
        Reason → cells left out; what has no positive weight is added to it.

    Raises
    ------
    PanelError
        If a metric is unknown.
    """
    if sampling is None and population is None:
        return None
    made = np.ones((len(rows), len(cols)))
    if sampling is not None:
        cell = panel.cells(panel.metric(sampling)).value[np.ix_(rows, cols)]
        aside[f"no positive sampling weight {sampling!r}"] = ~(cell > 0)
        made *= np.where(cell > 0, cell, 1.0)
    if population is not None:
        people = panel.cells(panel.metric(population)).value[rows, cols[before]]
        none = np.broadcast_to(~(people > 0)[:, None], made.shape)
        aside[f"no {population!r} in the last period before the first start"] = none
        made *= np.where(people > 0, people, 1.0)[:, None]
    return made
