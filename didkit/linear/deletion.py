"""Estimates without each cluster, and the terms that a cluster alone identifies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from didkit.errors import InferenceError, first_few
from didkit.linear.adjust import adjusted_scores, along
from didkit.linear.normal import Normal

__all__ = ["delete_one", "require_shared", "sole_identifier"]

#: Part of a term (in norm) that may lie in directions that one cluster alone identifies.
PART = 1e-6


def sole_identifier(normal: Normal, R: ArrayLike) -> NDArray[np.bool_]:
    """Find the clusters without which a term is not identified.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (G, k) of bool
        True where the term has no estimate once the cluster is deleted (the only pilot).

    Raises
    ------
    InferenceError
        One cluster only, or absorbed effects that cross clusters.

    Notes
    -----
    ``A - A_g`` is singular along ``S u`` for each eigenvector ``u`` of ``B_g = S' A_g S`` with
    eigenvalue 1, so a term ``c`` stays identified when ``c' S u = 0`` for all of these (to a
    part 1e-6 of ``|S' c|``). A parameter that is not part of the term, such as the dummy of a
    deleted unit, may be lost without harm.

    Examples
    --------
    One pilot: the difference of means is lost with it.

    >>> import numpy as np
    >>> X = np.array([[1.0, 1], [1, 0], [1, 0]])
    >>> normal = Normal.from_rows(X, [3.0, 1.0, 2.0], cluster=[0, 1, 2])
    >>> sole_identifier(normal, [0, 1]).ravel().tolist()
    [True, False, False]
    """
    normal.require("deleting a cluster", whole_clusters=True)
    term = along(normal, R)
    lost = term * (normal.shares[0] == 1.0)[:, None, :]
    return np.asarray(np.linalg.norm(lost, axis=2) > PART * np.linalg.norm(term, axis=2))


def require_shared(normal: Normal, R: ArrayLike, what: str) -> None:
    """Refuse terms that one cluster alone identifies, naming it.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms.
    what : str
        What was asked for, for the message.

    Raises
    ------
    InferenceError
        A term that is not identified without some cluster.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 3.0], cluster=[0, 1, 2])
    >>> require_shared(normal, [1], "CR3")
    """
    sole = sole_identifier(normal, R)
    if sole.any():
        cases = [f"term {k} without cluster {normal.label(g)}" for g, k in np.argwhere(sole)]
        raise InferenceError(
            needed="terms that stay identified when any one cluster is left out",
            found=f"not identified: {first_few(cases)}",
            where=what,
            todo="with one pilot no cluster-robust variance exists: use a permutation test",
        )


def delete_one(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Estimate each term without each cluster.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (G, k)
        ``R beta_(-g)``, in the units of the terms.

    Raises
    ------
    InferenceError
        A term is not identified without some cluster (the message names it), one cluster only,
        or absorbed effects that cross clusters.

    Notes
    -----
    ``beta_(-g) = (A - A_g)^-1 (b - b_g) = beta - (A - A_g)^-1 s_g`` (MacKinnon, Nielsen & Webb
    2023, "Leverage, influence, and the jackknife in clustered regression models", section on
    influence; the second form is algebra), computed as ``beta - S (I - B_g)^+ S' s_g``: the
    pseudo-inverse does not move a term that stays identified, so a lost nuisance parameter does
    no harm.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 6.0], cluster=[0, 1, 2])
    >>> delete_one(normal, [1]).ravel().round(6).tolist()
    [4.0, 3.5, 1.5]
    """
    require_shared(normal, R, "estimates without each cluster")
    return np.asarray(normal.terms(R) @ normal.beta - adjusted_scores(normal, R, "CR3"))
