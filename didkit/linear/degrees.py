"""Degrees of freedom of cluster-robust tests, known before the outcome is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from didkit.errors import InferenceError
from didkit.linear.adjust import Kind, adjustment, along
from didkit.linear.deletion import require_shared
from didkit.linear.normal import Normal
from didkit.linear.roots import inverse_root

__all__ = ["Hotelling", "df_hotelling", "df_satterthwaite", "hotelling"]

Floats = NDArray[np.float64]


def df_satterthwaite(normal: Normal, R: ArrayLike, kind: Kind = "CR2") -> Floats:
    """Bell-McCaffrey (Satterthwaite) degrees of freedom of each term's t test.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster; the outcome plays no part.
    R : array (k, p)
        Terms: linear combinations of the parameters.
    kind : {"CR0", "CR1", "CR2", "CR3"}, default "CR2"
        The covariance that the test uses. A factor changes nothing: CR1 with any factor has
        the degrees of freedom of CR0, CR3J those of CR3.

    Returns
    -------
    array (k,)
        Degrees of freedom.

    Raises
    ------
    InferenceError
        For CR2 and CR3, a term that one cluster alone identifies; an unknown kind; one cluster
        only; absorbed effects that cross clusters; a covariance that is 0 whatever the outcome.

    Notes
    -----
    Bell & McCaffrey (2002); Imbens & Kolesar (2016); Pustejovsky & Tipton (2018, Satterthwaite
    approximation), working model: errors independent with equal variance. The variance estimate
    is ``sum x_g^2`` with ``Cov(x_g, x_h) = P_gh``, ``df = tr(P)^2 / ||P||^2`` and

    ``P_gh = 1{g=h} w_g' A_g w_g - w_g' A_g M A_h w_h``, ``w_g = S F_g S' c``.

    With ``v_g = B_g F_g S' c``: ``||P||^2 = sum P_gg^2 + ||sum v_g v_g'||^2 - sum ||v_g||^4``,
    so no G x G matrix is formed: O(G p^2). It is the distribution under the working model: with
    errors correlated inside clusters (no effects swept out) or unequal pilots, approximate.

    Examples
    --------
    Two samples, every row its own cluster: ``(1/n1 + 1/n0)^2 / [1/(n1^2 (n1-1)) +
    1/(n0^2 (n0-1))]``.

    >>> import numpy as np
    >>> X = np.column_stack([np.ones(7), [1, 1, 0, 0, 0, 0, 0]])
    >>> normal = Normal.from_rows(X, np.zeros(7), cluster=range(7))
    >>> closed = (1 / 2 + 1 / 5) ** 2 / (1 / (4 * 1) + 1 / (25 * 4))
    >>> bool(np.isclose(df_satterthwaite(normal, [0, 1])[0], closed))
    True
    """
    own, v = _quadratic(normal, R, kind)
    diagonal = np.einsum("gkk->gk", own)
    W = np.einsum("gkp,gkq->kpq", v, v, optimize=True)
    fourth = np.einsum("gkp,gkp->gk", v, v) ** 2
    trace = diagonal.sum(axis=0)
    size = (diagonal**2).sum(axis=0) + (W**2).sum(axis=(1, 2)) - fourth.sum(axis=0)
    return np.asarray(trace**2 / size)


def df_hotelling(normal: Normal, R: ArrayLike, kind: Kind = "CR2") -> float:
    """Degrees of freedom of the joint test of all terms (clubSandwich's HTZ).

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster; the outcome plays no part.
    R : array (q, p)
        Terms tested together, linearly independent.
    kind : {"CR0", "CR1", "CR2", "CR3"}, default "CR2"
        The covariance that the test uses, whatever its factor.

    Returns
    -------
    float
        ``eta``, the `df` argument of `hotelling`; for one term, its Satterthwaite df.

    Raises
    ------
    InferenceError
        As `df_satterthwaite`, or terms of which one is a combination of the others.

    Notes
    -----
    Pustejovsky & Tipton (2018, the approximate Hotelling T-squared test, their eta_Z; Zhang
    2012): the covariance, scaled to mean I under the working model, has as much total variance
    as a Wishart with ``eta`` degrees of freedom: ``eta = q (q+1) / sum_st Var(V_st)``, with
    ``Var(V_st) = sum_gh P_ss,gh P_tt,gh + P_st,gh P_ts,gh``.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.column_stack([np.ones(9), np.arange(9) % 3 == 0, np.arange(9) % 3 == 1])
    >>> normal = Normal.from_rows(X, np.zeros(9), cluster=range(9))
    >>> bool(np.isclose(df_hotelling(normal, [0, 1, 0]), df_satterthwaite(normal, [0, 1, 0])[0]))
    True
    >>> round(df_hotelling(normal, [[0, 1, 0], [0, 0, 1]]), 6)
    4.5
    """
    own, v = _quadratic(normal, R, kind)
    root = _root(own.sum(axis=0), "df_hotelling", "the expected covariance of the terms")
    own, v = root.T @ own @ root, np.einsum("gkp,kt->gtp", v, root)
    q = own.shape[1]
    W = np.einsum("gsp,gtq->stpq", v, v, optimize=True)
    inner = v @ v.transpose(0, 2, 1)
    within, between = np.einsum("gss->gs", own), np.einsum("gss->gs", inner)
    straight = within.T @ within + (W**2).sum(axis=(2, 3)) - between.T @ between
    crossed = (own**2 - inner**2).sum(axis=0) + np.einsum("stpq,stqp->st", W, W)
    return float(q * (q + 1) / (straight + crossed).sum())


class Hotelling(NamedTuple):
    """A joint test: ``statistic`` is to be read against F(``df_num``, ``df_denom``)."""

    statistic: float
    df_num: int
    df_denom: float
    p_value: float


def hotelling(estimates: ArrayLike, covariance: ArrayLike, df: float) -> Hotelling:
    """Joint test that all terms are zero: Hotelling's T-squared, as an F.

    Parameters
    ----------
    estimates : array (q,)
        Terms tested together.
    covariance : array (q, q)
        Their covariance, in the same units squared.
    df : float
        Degrees of freedom ``nu`` of the covariance, one number for all terms: `df_hotelling`.

    Returns
    -------
    Hotelling
        ``statistic, df_num, df_denom, p_value``.

    Raises
    ------
    InferenceError
        ``nu - q + 1 <= 0`` (too many terms for so few clusters), a singular covariance, or
        numbers that are missing or of the wrong shape.

    Notes
    -----
    ``F = (nu - q + 1) / (nu q) * T^2``, ``T^2 = d' V^-1 d``, against F(q, nu - q + 1)
    (Pustejovsky & Tipton 2018). Exact for normal terms and a Wishart covariance with ``nu``
    degrees of freedom; a cluster-robust covariance is not one, and one ``nu`` stands for terms
    that may differ: an approximation. With `df_hotelling` it is clubSandwich's HTZ, and checked
    against it; with any other ``df`` it is experimental.

    Examples
    --------
    For one term, the square of t.

    >>> test = hotelling([2.0], [[1.0]], df=5)
    >>> test.statistic, test.df_num, test.df_denom, round(test.p_value, 4)
    (4.0, 1, 5.0, 0.1019)
    """
    d, V = np.asarray(estimates, dtype=float), np.asarray(covariance, dtype=float)
    q = d.size
    if d.shape != (q,) or q == 0 or V.shape != (q, q) or not np.isfinite([*d, *V.ravel()]).all():
        raise InferenceError(
            needed="estimates of shape (q,) and their covariance (q, q), every number finite",
            found=f"shapes {d.shape} and {V.shape}",
            where="hotelling",
            todo="test only terms that have an estimate and a standard error",
        )
    rest = float(df) - q + 1
    if not 0 < rest < np.inf:
        raise InferenceError(
            needed=f"more than {q - 1} degrees of freedom, and finite, to test {q} terms together",
            found=f"{float(df):.3g}",
            where="hotelling",
            todo="test fewer terms together, such as their mean, or use a permutation test",
        )
    z = d @ _root(V, "hotelling", "the covariance of the terms")
    statistic = float(rest / (df * q) * (z @ z))
    return Hotelling(statistic, q, rest, float(scipy.special.fdtrc(q, rest, statistic)))


def _quadratic(normal: Normal, R: ArrayLike, kind: Kind) -> tuple[Floats, Floats]:
    """Give ``P_st,gg`` (G, k, k) and ``v_sg`` (G, k, p), ``P_st,gh = -v_sg' v_th`` for g != h.

    In a cluster's eigenvectors, with ``a = Q' S' c``: ``v = lambda f a`` and
    ``P_st,gg = sum lambda (1 - lambda) f^2 a_s a_t``, which does not cancel as
    ``w' A_g w - w' A_g M A_g w`` does when one cluster dominates.
    """
    normal.require("degrees of freedom", whole_clusters=True)
    f = adjustment(normal, kind)
    if kind in ("CR2", "CR3"):
        require_shared(normal, R, f"degrees of freedom of {kind}")
    values, vectors = normal.shares
    a = along(normal, R)
    own = np.einsum("gsp,gp,gtp->gst", a, values * (1 - values) * f**2, a, optimize=True)
    flat = np.einsum("gkk->k", own) <= 1e-12 * np.einsum("kp,kp->k", a[0], a[0])
    if flat.any():
        raise InferenceError(
            needed="rows left over once the parameters are fitted",
            found=f"a variance of 0 whatever the outcome: terms {np.flatnonzero(flat).tolist()}",
            where=f"degrees of freedom of {kind}",
            todo="use fewer parameters, or more rows and clusters",
        )
    turned = (a * (values * f)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return np.asarray(own), np.asarray(turned)


def _root(V: Floats, where: str, what: str) -> Floats:
    """Root of the inverse of a covariance, or an error that says it is singular."""
    root = inverse_root(V)
    if root is None:
        raise InferenceError(
            needed=f"{what} that can be inverted",
            found=f"a singular one: {len(V)} terms",
            where=where,
            todo="leave out terms that others determine, or terms without variation",
        )
    return root
