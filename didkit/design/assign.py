"""Who goes with whom, from a table of distances: greedily, or all at once.

Kernels: arrays in, lists of positions out. A distance of infinity is a pair that may not be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["assign_all", "nearest_each", "nearest_in_turn"]

Floats = NDArray[np.float64]


def _nearest(row: Floats) -> int | None:
    """Return the position of the least distance; of equal ones the first, None if all infinite."""
    least = row.min(initial=np.inf)
    if not np.isfinite(least):
        return None
    return int(np.flatnonzero(row <= least + 1e-12 + 1e-9 * least)[0])


def nearest_each(distances: Floats, ratio: int) -> list[list[int]]:
    """Return the nearest columns of each row; a column may serve several rows.

    Distances that differ by less than a billionth are equal; of equal ones the first column wins.

    Parameters
    ----------
    distances : array, (pilots × candidates)
        Infinite where a pair may not be.
    ratio : int
        How many a row, at most.

    Examples
    --------
    >>> import numpy as np
    >>> nearest_each(np.array([[1.0, 3.0, 1.0], [np.inf, 2.0, np.inf]]), 2)
    [[0, 2], [1]]
    """
    found: list[list[int]] = []
    for given in distances:
        row = given.copy()
        chosen: list[int] = []
        while len(chosen) < ratio and (at := _nearest(row)) is not None:
            chosen.append(at)
            row[at] = np.inf
        found.append(chosen)
    return found


def nearest_in_turn(distances: Floats, ratio: int, order: list[int]) -> list[list[int]]:
    """Return the nearest columns of each row, each column once: first come, first served.

    Rows choose in the given order, one column each; then the round begins again until each has
    `ratio` or none is left for it.

    Examples
    --------
    >>> import numpy as np
    >>> near = np.array([[1.0, 2.0, 9.0], [1.0, 5.0, 6.0]])
    >>> nearest_in_turn(near, 1, [0, 1]), nearest_in_turn(near, 1, [1, 0])
    ([[0], [1]], [[1], [0]])
    """
    left = distances.copy()
    found: list[list[int]] = [[] for _ in distances]
    for _ in range(ratio):
        for row in order:
            at = _nearest(left[row])
            if at is not None:
                found[row].append(at)
                left[:, at] = np.inf
    return found


def assign_all(distances: Floats, ratio: int) -> list[list[int]]:
    """Return the columns of each row, each column once, with the least sum of distances.

    As many pairs as can be are made, at most `ratio` a row; among these the sum is the least.
    Rosenbaum (1989) calls it optimal matching; the assignment is scipy's.

    Examples
    --------
    >>> import numpy as np
    >>> assign_all(np.array([[1.0, 2.0, 9.0], [1.0, 5.0, 6.0]]), 1)
    [[1], [0]]
    """
    from scipy.optimize import linear_sum_assignment

    n_rows = len(distances)
    if not np.isfinite(distances).any():
        return [[] for _ in range(n_rows)]
    owners = np.repeat(np.arange(n_rows), ratio)
    cost = distances[owners]
    finite = np.isfinite(cost)
    # One forbidden pair costs more than all allowed ones together: there are as few as can be.
    forbidden = 1.0 + float(np.where(finite, cost, 0.0).max(axis=1).sum())
    rows, columns = linear_sum_assignment(np.where(finite, cost, forbidden))
    found: list[list[int]] = [[] for _ in range(n_rows)]
    for row, column in zip(rows, columns, strict=True):
        if finite[row, column]:
            found[owners[row]].append(int(column))
    for given, chosen in zip(distances, found, strict=True):
        chosen.sort(key=given.__getitem__)
    return found
