"""The means that a picture draws, period by period and before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample

__all__ = ["Paths", "counterfactual", "paths"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Paths:
    """Means by period.

    Parameters
    ----------
    pilots, comparators : array (T,)
        Plain means over the units with a value; with matched sets the comparators' mean is that
        over pilots of each pilot's own set.
    own, theirs : array (n_pilots, T)
        Each pilot's values, and the mean path of who it is compared with.
    n_pilots, n_comparators : int array (T,)
        Units with a value.
    """

    pilots: Floats
    comparators: Floats
    own: Floats
    theirs: Floats
    n_pilots: NDArray[np.intp]
    n_comparators: NDArray[np.intp]


def _mean(values: Floats) -> Floats:
    """Mean over rows of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    made: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return made


def paths(sample: Sample) -> Paths:
    """Average pilots and comparators period by period."""
    own = sample.y[sample.pilot]
    if sample.sets is None:
        others = sample.y[~sample.pilot]
        serving = others
        theirs = np.repeat(_mean(others)[None], len(own), axis=0)
    else:
        serving = sample.y[(sample.sets > 0).any(axis=0)]
        theirs = np.stack([_set_path(sample, row) for row in sample.sets])
    compared = theirs if sample.sets is None else np.where(np.isfinite(own), theirs, np.nan)
    return Paths(
        pilots=_mean(own),
        comparators=_mean(compared),
        own=own,
        theirs=theirs,
        n_pilots=np.isfinite(own).sum(axis=0),
        n_comparators=np.isfinite(serving).sum(axis=0),
    )


def _set_path(sample: Sample, weights: Floats) -> Floats:
    """Mean or median path of one pilot's set, over the members with a value."""
    members = sample.y[weights > 0]
    if sample.aggregate == "median":
        seen = np.isfinite(members).any(axis=0)
        path = np.full(members.shape[1], np.nan)
        path[seen] = np.nanmedian(members[:, seen], axis=0)
        return path
    share = weights[weights > 0][:, None] * np.isfinite(members)
    total = share.sum(axis=0)
    top = (share * np.where(np.isfinite(members), members, 0.0)).sum(axis=0)
    made: Floats = np.divide(top, total, out=np.full(total.shape, np.nan), where=total > 0)
    return made


def counterfactual(sample: Sample, found: Paths, change: float) -> Floats:
    """Mean of the pilots had they moved with their comparators, from the first start on.

    A treated cell becomes its comparators' value plus the pilot's own distance before the start;
    then all treated cells are moved by one constant, so that the mean distance of the treated
    cells from what was seen is the estimate. With one start and a balanced panel the constant
    is 0.

    Returns
    -------
    array (T,)
        NaN before the last period without treatment.
    """
    treated = sample.treated[sample.pilot]
    seen = np.isfinite(found.own) & np.isfinite(found.theirs)
    before = np.where(seen & ~treated, found.own - found.theirs, np.nan)
    distance = _mean(before.T)[:, None]
    made = np.where(treated, found.theirs + distance, found.own)
    made = np.where(np.isfinite(found.own), made, np.nan)
    cells = treated & np.isfinite(made)
    shift = float((found.own - made)[cells].mean()) - change if cells.any() else np.nan
    path = _mean(np.where(cells, made + shift, np.where(treated, np.nan, made)))
    path[: max(min(sample.starts) - 1, 0)] = np.nan
    return path
