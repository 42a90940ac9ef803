"""The mixture nearest to zero: weights that are not negative and add up to 1, at the optimum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from didkit.design.synthetic import nearest_point
from didkit.errors import EstimationError

__all__ = ["simplex"]

Floats = NDArray[np.float64]

#: How far a slope may fall below the least one allowed, as a share of the largest cross-product.
TOLERANCE = 1e-12
_ROUNDS = 50
#: A ridge below this share of the mean square leaves a problem with many solutions alike.
_SMALL = 1e-9
#: Distances below this share of the largest are what rounding left of none.
_NOTHING = 1e-14


def simplex(gap: Floats, ridge: float = 0.0, *, intercept: bool = False) -> Floats:
    """Return w ≥ 0 with Σ w = 1 that minimises mean((gap w)²) + ridge Σ w².

    As Σ w = 1, ``A w − b = (A − b 1′) w``, so that ``gap = A − b 1′`` is all there is. With
    ``M = gap′gap / rows + ridge I`` the minimum has ``M w = μ`` where w > 0 and ``M w ≥ μ = w′M w``
    elsewhere (Karush, Kuhn and Tucker). Sets of positive weights are exchanged in blocks (Portugal,
    Júdice & Vicente 1994) until both hold, the second to 1e-12 of the largest cross-product;
    where blocks cycle, one at a time, which always ends. A problem that is close to having many
    solutions (more weights than rows, hardly a ridge) is solved by non-negative least squares
    on the rows themselves, without cross-products (`didkit.design.synthetic.nearest_point`).

    Parameters
    ----------
    gap : array (rows, n)
        Each column a candidate less the target.
    ridge : float
        Not negative, in squared units of the outcome.
    intercept : bool
        Whether a constant may stand between mixture and target: rows are then centred.

    Returns
    -------
    array (n,)

    Raises
    ------
    EstimationError
        If rounding keeps it from being solved.

    Examples
    --------
    >>> simplex(np.array([[-1.0, 3.0, 5.0]])).round(6).tolist()
    [0.75, 0.25, 0.0]
    """
    rows, n = gap.shape
    rounding = (_NOTHING * float(np.abs(gap).max(initial=0.0))) ** 2
    if intercept:
        gap = gap - gap.mean(axis=0)
    if n == 1:
        return np.ones(1)
    square = float(np.mean(gap**2))
    if square <= rounding:  # all candidates are the target
        return np.full(n, 1.0 / n)
    if ridge < _SMALL * square and n >= rows - intercept:
        return nearest_point(gap.T, ridge)
    gram = gap.T @ gap / rows
    gram.flat[:: n + 1] += ridge
    return _exchange(gram)


def _exchange(gram: Floats) -> Floats:
    """Return the weights for a matrix of cross-products that has an inverse."""
    n = len(gram)
    floor = TOLERANCE * float(gram.diagonal().max())
    inside = np.ones(n, dtype=bool)
    fewest, spare = n + 1, 3
    for _ in range(_ROUNDS):
        weights, slope = _on(gram, inside)
        wrong = np.where(inside, weights < 0, slope < -floor)
        count = int(wrong.sum())
        if count == 0:
            return weights
        if count < fewest:
            fewest, spare = count, 3
        elif spare:
            spare -= 1
        else:
            break
        inside = inside ^ wrong
        if not inside.any():
            inside[int(np.argmin(gram.diagonal()))] = True
    return _one_by_one(gram, floor)


def _on(gram: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the weights that minimise with these only, and how far each slope is above μ."""
    at = np.flatnonzero(inside)
    weights = np.zeros(len(gram))
    own = np.linalg.solve(gram[np.ix_(at, at)], np.ones(len(at)))
    weights[at] = own / own.sum()
    slope = gram[:, at] @ weights[at]
    return weights, slope - weights @ slope


def _one_by_one(gram: Floats, floor: float) -> Floats:
    """Return the weights by moving one candidate in, or out, at a time: the objective falls."""
    n = len(gram)
    weights = np.zeros(n)
    weights[int(np.argmin(gram.diagonal()))] = 1.0
    inside = weights > 0
    for _ in range(30 * n):
        wanted, slope = _on(gram, inside)
        while (wanted[inside] < 0).any():
            down = inside & (wanted < 0)
            step = np.full(n, np.inf)
            step[down] = weights[down] / (weights[down] - wanted[down])
            out = int(np.argmin(step))
            weights = weights + step[out] * (wanted - weights)
            inside[out], weights[out] = False, 0.0
            wanted, slope = _on(gram, inside)
        weights = wanted
        least = int(np.argmin(np.where(inside, np.inf, slope)))
        if inside.all() or slope[least] >= -floor:
            return weights
        inside[least] = True
    raise EstimationError(
        needed="weights at the optimum",
        found=f"none to working precision after {30 * n} exchanges",
        where="synthetic control weights",
        todo="look for units with (nearly) the same values, or use a larger ridge",
    )
