"""How each kind of covariance adjusts a cluster's residuals, in that cluster's eigenvectors."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from didkit.errors import InferenceError
from didkit.linear.normal import Normal

__all__ = ["Kind", "adjusted_scores", "adjustment", "along"]

#: Kinds of cluster-robust covariance; CR1 adjusts as CR0 does, up to a factor.
Kind = Literal["CR0", "CR1", "CR2", "CR3"]

_POWER = {"CR0": 0.0, "CR1": 0.0, "CR2": -0.5, "CR3": -1.0}


def adjustment(normal: Normal, kind: Kind) -> NDArray[np.float64]:
    """Give the eigenvalues of ``F_g``, the adjustment of each cluster.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    kind : {"CR0", "CR1", "CR2", "CR3"}
        ``F_g = I``, ``I``, ``(I - B_g)^(-1/2)`` or ``(I - B_g)^(-1)``.

    Returns
    -------
    array (G, p)
        Eigenvalues; 0 (the pseudo-inverse) for CR2 and CR3 where ``B_g`` has eigenvalue 1.

    Raises
    ------
    InferenceError
        An unknown kind.

    Notes
    -----
    Bell & McCaffrey (2002), Pustejovsky & Tipton (2018): ``(I - H_gg)^(-1/2)`` and
    ``(I - H_gg)^(-1)`` act on a cluster's residuals; pushed through ``X_g`` they become ``F_g``
    with ``B_g = S' A_g S``, whose size does not depend on the number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((4, 1)), np.arange(4.0), cluster=[0, 1, 2, 3])
    >>> adjustment(normal, "CR3").ravel().round(6).tolist()
    [1.333333, 1.333333, 1.333333, 1.333333]
    """
    if kind not in get_args(Kind):
        raise InferenceError(
            needed=f"a kind of covariance: one of {', '.join(get_args(Kind))}",
            found=repr(kind),
            where="argument kind",
            todo="choose one of these (CR1 with any factor is CR1; CR3J adjusts as CR3 does)",
        )
    rest = 1 - normal.shares[0]
    if _POWER[kind] == 0:
        return np.ones_like(rest)
    return np.power(rest, _POWER[kind], out=np.zeros_like(rest), where=rest > 0)


def along(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Write each term ``c`` in each cluster's eigenvectors: ``Q_g' S' c``.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (G, k, p)
        Coordinates; each has squared norm ``c' M c``.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((4, 1)), np.arange(4.0), cluster=[0, 0, 1, 1])
    >>> np.abs(along(normal, [2.0])).round(6).ravel().tolist()
    [1.0, 1.0]
    """
    return np.asarray(normal.terms(R) @ normal.root @ normal.shares[1])


def adjusted_scores(normal: Normal, R: ArrayLike, kind: Kind) -> NDArray[np.float64]:
    """Give each cluster's adjusted contribution to each term, ``c' S F_g S' s_g``.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.
    kind : {"CR0", "CR1", "CR2", "CR3"}
        The adjustment.

    Returns
    -------
    array (G, k)
        In the units of the terms. Their cross-product is the covariance of that kind.

    Notes
    -----
    ``M^(1/2) F_g M^(1/2) s_g``, the same for every root of ``M``.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 6.0], cluster=[0, 1, 2])
    >>> adjusted_scores(normal, [1], "CR3").ravel().round(6).tolist()
    [-1.0, -0.5, 1.5]
    """
    _, vectors = normal.shares
    scores = np.einsum("gi,ij,gjk->gk", normal.scores, normal.root, vectors, optimize=True)
    return np.asarray(np.einsum("gkp,gp->gk", along(normal, R), adjustment(normal, kind) * scores))
