"""The square root of the inverse of a cross-product, or the columns that have none.

Everything in this room is built on one factorisation: ``S`` with ``S S' = A^-1``. Any two
such roots differ by a rotation, and no result here depends on which one is used.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

__all__ = ["COLLINEAR", "Dependence", "dependence", "inverse_root"]

#: A column is collinear when ``1 - R^2`` on the columns before it is below this. Cross-products
#: lose twice the digits of rows: at 1e-10 about six digits of an estimate are left.
COLLINEAR = 1e-10

#: One dependent column, and the earlier columns that it is a combination of.
Dependence = tuple[int, tuple[int, ...]]


def inverse_root(A: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Find ``S`` with ``S S' = A^-1``: equilibrate, then Cholesky.

    Parameters
    ----------
    A : array (p, p)
        A symmetric cross-product.

    Returns
    -------
    array (p, p) or None
        The root; None where ``A`` is not positive definite to `COLLINEAR`.

    Notes
    -----
    With ``E = D A D`` (unit diagonal) and ``E = L L'``, ``S = D L^-T``. Relative errors are near
    ``cond(E)`` times 1e-16, the rounding of ``A`` itself; refining the root does not lower them.

    Examples
    --------
    >>> import numpy as np
    >>> S = inverse_root(np.array([[4.0, 0.0], [0.0, 25.0]]))
    >>> (S @ S.T).round(6).tolist()
    [[0.25, 0.0], [0.0, 0.04]]
    """
    diagonal = np.diagonal(A)
    if not np.all(diagonal > 0):
        return None
    scale = 1 / np.sqrt(diagonal)
    E = A * scale[:, None] * scale
    try:
        L = np.linalg.cholesky(E)
    except np.linalg.LinAlgError:
        return None
    if np.min(np.diagonal(L)) ** 2 < COLLINEAR:
        return None
    return np.asarray(
        scale[:, None] * scipy.linalg.solve_triangular(L, np.eye(len(A)), lower=True).T
    )


def dependence(A: NDArray[np.float64]) -> list[Dependence]:
    """Name the columns of a singular cross-product that earlier columns already hold.

    Parameters
    ----------
    A : array (p, p)
        A symmetric cross-product.

    Returns
    -------
    list of (int, tuple of int)
        Each dependent column, with the earlier columns that it is a combination of (none for
        a column of zeros). The first of a collinear set is kept, so the order of the columns
        decides which is named. Empty where nothing is dependent.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 1.0, 2.0], [1.0, 0.0, 1.0], [1.0, 3.0, 4.0]])
    >>> dependence(X.T @ X)
    [(2, (0, 1))]
    """
    diagonal = np.diagonal(A)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    E = A * scale[:, None] * scale
    kept: list[int] = []
    found: list[Dependence] = []
    for j in range(len(A)):
        if diagonal[j] <= 0:
            found.append((j, ()))
            continue
        share = np.linalg.solve(E[np.ix_(kept, kept)], E[kept, j])
        if 1 - E[kept, j] @ share < COLLINEAR:
            found.append((j, tuple(i for i, c in zip(kept, share, strict=True) if abs(c) > 1e-5)))
        else:
            kept.append(j)
    return found
