"""How much of the information each cluster carries."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from didkit.linear.normal import Normal

__all__ = ["effective_clusters", "leverage", "partial_leverage"]


def leverage(normal: Normal) -> NDArray[np.float64]:
    """Leverage of each cluster: the trace of its block of the hat matrix.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.

    Returns
    -------
    array (G,)
        Non-negative; they sum to p. A cluster's absorbed effects are not counted: add their
        number (1 for a unit that is a cluster) for the leverage with effects as columns.

    Raises
    ------
    InferenceError
        One cluster only, or absorbed effects that cross clusters.

    Notes
    -----
    ``L_g = tr(H_g) = tr(M A_g)`` (MacKinnon, Nielsen & Webb 2023, section on leverage). Equal
    leverage (p/G) is reassuring; it says nothing of one term: see `partial_leverage`.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((4, 1)), np.arange(4.0), cluster=[0, 0, 0, 1])
    >>> leverage(normal).round(6).tolist()
    [0.75, 0.25]
    """
    normal.require("leverage", whole_clusters=True)
    return np.asarray(np.einsum("gij,ij->g", normal.A, normal.M))


def partial_leverage(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Share of each cluster in the information on each term.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (G, k)
        Shares; each column sums to 1.

    Notes
    -----
    ``c' M A_g M c / c' M c``: for one parameter, the sum of squares in cluster g of its
    regressor, all others partialled out, over the whole (MacKinnon, Nielsen & Webb 2023, section
    on partial leverage). With one start date and a balanced panel each pilot has
    ``n0 / (G n1)`` and each comparator ``n1 / (G n0)``.

    Examples
    --------
    One pilot among four carries three quarters.

    >>> import numpy as np
    >>> X = np.column_stack([np.ones(4), [1, 0, 0, 0]])
    >>> normal = Normal.from_rows(X, np.arange(4.0), cluster=range(4))
    >>> partial_leverage(normal, [0, 1]).round(6).ravel().tolist()
    [0.75, 0.083333, 0.083333, 0.083333]
    """
    terms = normal.terms(R)
    lines = terms @ normal.root @ normal.root.T
    parts = np.einsum("ki,gij,kj->gk", lines, normal.A, lines, optimize=True)
    return np.asarray(parts / np.einsum("ki,ki->k", lines, terms))


def effective_clusters(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Effective number of clusters for each term, G*(0).

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (k,)
        Between 1 and G.

    Notes
    -----
    ``G* = G / (1 + Gamma)``, ``Gamma`` the squared coefficient of variation of the partial
    leverages, so ``G* = 1 / sum L_g^2`` (Carter, Schnepel & Steigerwald 2017; MacKinnon, Nielsen
    & Webb 2023, errors uncorrelated inside clusters). With one start date and a balanced panel it
    is ``G^2 / (n0^2/n1 + n1^2/n0)``: 10.2 of 150 for 9 pilots and 141 comparators. A description,
    not a number of degrees of freedom.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.column_stack([np.ones(150), np.arange(150) < 9])
    >>> normal = Normal.from_rows(X, np.zeros(150), cluster=range(150))
    >>> effective_clusters(normal, [0, 1]).round(1).tolist()
    [10.2]
    """
    return np.asarray(1 / (partial_leverage(normal, R) ** 2).sum(axis=0))
