"""Cluster-robust covariance of linear combinations: CR0, CR1, CR2, CR3, CR3J."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from didkit.errors import InferenceError
from didkit.linear.adjust import adjusted_scores
from didkit.linear.deletion import require_shared
from didkit.linear.normal import Normal

__all__ = ["Factor", "cr0", "cr1", "cr2", "cr3", "cr3j", "small_sample_factor"]

#: Small-sample factors of CR1.
Factor = Literal["clusters", "full", "nested"]


def small_sample_factor(normal: Normal, factor: Factor = "clusters") -> float:
    """Give the factor that turns CR0 into CR1.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    factor : {"clusters", "full", "nested"}, default "clusters"
        ``"clusters"``: ``G/(G-1)``. ``"full"``: ``G/(G-1) (N-1)/(N-K)`` with
        ``K = p + n_absorbed``. ``"nested"``: the same with absorbed effects that lie inside
        clusters counted as one, their constant: ``K = p + 1`` (``p`` when nothing is absorbed,
        ``p + n_absorbed`` when they cross clusters).

    Returns
    -------
    float
        A pure number, above 1.

    Raises
    ------
    InferenceError
        An unknown factor, one cluster only, or no degree of freedom left (``N <= K``).

    Notes
    -----
    What other programs do, with units absorbed, periods as columns, clusters the units:

    * fixest >= 0.13: ``"nested"`` (``K.fixef="nonnested"``); ``K.fixef="full"`` is ``"full"``;
      ``K.adj=FALSE`` is ``"clusters"``. fixest 0.14 counts the constant of nested effects too.
    * Stata: ``xtreg, fe vce(cluster)`` and ``reghdfe`` count like ``"nested"``; ``areg`` and
      ``regress`` with unit dummies count like ``"full"``.
    * statsmodels OLS with dummies, ``cov_type="cluster"``: ``"full"``.
    * linearmodels ``PanelOLS``, entity effects, ``cov_type="clustered", cluster_entity=True``:
      ``N/(N-p)`` by default, *without* ``G/(G-1)``; ``group_debias=True`` makes it
      ``G/(G-1) (N-1)/(N-p)``, and ``auto_df=False, count_effects=True`` besides ``"full"``.
      ``AbsorbingLS``: none by default (`cr0`); ``debiased=True`` gives ``G/(G-1) (N-1)/(N-p)``
      (version 7.1).
    * clubSandwich: ``CR1`` is ``"clusters"``; ``CR1S`` on ``lm`` with dummies is ``"full"``, on
      ``plm`` it is ``G/(G-1) (N-1)/(N-p)``, absorbed effects not counted at all.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((4, 1)), np.arange(4.0), cluster=[0, 0, 1, 1])
    >>> small_sample_factor(normal), small_sample_factor(normal, "full")
    (2.0, 2.0)
    """
    normal.require("CR1", whole_clusters=False)
    if factor not in get_args(Factor):
        raise InferenceError(
            needed=f"a factor: one of {', '.join(get_args(Factor))}",
            found=repr(factor),
            where="argument factor",
            todo="choose one of these",
        )
    G, N = normal.n_clusters, normal.n_obs
    if factor == "clusters":
        return G / (G - 1)
    alone = factor == "nested" and normal.nested
    K = normal.n_params + (min(normal.n_absorbed, 1) if alone else normal.n_absorbed)
    if N <= K:
        raise InferenceError(
            needed="more rows than parameters and absorbed effects",
            found=f"{N} rows, K = {K}",
            where=f"the factor (N-1)/(N-K) of CR1, factor={factor!r}",
            todo='use factor="clusters", CR2 or CR3',
        )
    return G / (G - 1) * (N - 1) / (N - K)


def cr0(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Cluster-robust covariance without correction.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (k, k)
        Covariance of the terms, in their units squared.

    Raises
    ------
    InferenceError
        One cluster only.

    Notes
    -----
    ``R M (sum s_g s_g') M R'`` (Liang & Zeger 1986; Cameron & Miller 2015). Too small
    when clusters are few or unequal, and badly so with few pilots: a nominal 5 % test rejects
    22 % of true nulls with 3 pilots and 147 comparators, and its variance for a single pilot's
    effect holds nothing of that pilot (see `sole_identifier`).

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 6.0], cluster=[0, 1, 2])
    >>> round(float(cr0(normal, [1])[0, 0]), 6)
    1.555556
    """
    normal.require("CR0", whole_clusters=False)
    moved = normal.scores @ (normal.terms(R) @ normal.M).T
    return np.asarray(moved.T @ moved)


def cr1(normal: Normal, R: ArrayLike, factor: Factor = "clusters") -> NDArray[np.float64]:
    """Cluster-robust covariance with a small-sample factor: the conventional one.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.
    factor : {"clusters", "full", "nested"}, default "clusters"
        Which factor: see `small_sample_factor`, which also says what other programs use.

    Returns
    -------
    array (k, k)
        Covariance of the terms, in their units squared.

    Raises
    ------
    InferenceError
        As `small_sample_factor`.

    Notes
    -----
    `cr0` times `small_sample_factor` (Cameron & Miller 2015). It fails where `cr0`
    does: few pilots.

    Examples
    --------
    With every row its own cluster and a constant alone, this is the variance of a mean.

    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 6.0], cluster=[0, 1, 2])
    >>> round(float(cr1(normal, [1])[0, 0]), 6)
    2.333333
    """
    return small_sample_factor(normal, factor) * cr0(normal, R)


def cr2(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Bias-reduced cluster-robust covariance (Bell & McCaffrey).

    Unbiased when the errors are independent with equal variance.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (k, k)
        Covariance of the terms, in their units squared. Use it with `df_satterthwaite`.

    Raises
    ------
    InferenceError
        A term is not identified without some cluster (one pilot): a pseudo-inverse would return
        a number that holds nothing of it. Also one cluster only, or absorbed effects that cross
        clusters.

    Notes
    -----
    Bell & McCaffrey (2002, "Bias reduction in standard errors for linear regression with
    multi-stage samples", Survey Methodology 28); Pustejovsky & Tipton (2018, JBES 36), identity
    working model. A cluster counts ``S F_g S' s_g``, ``F_g = (I - B_g)^(-1/2)``,
    ``B_g = S' A_g S``: that is ``M X_g' (I - H_gg)^(-1/2) e_g`` without a matrix as large as the
    cluster. Where ``B_g`` has eigenvalue 1 (tolerance: `Normal.shares`) the pseudo-inverse is
    taken. Effects inside clusters may be absorbed or given as columns, with the same result;
    for weighted rows that shortcut does not hold (their theorem 2, corrected in JBES 2023).

    Examples
    --------
    Two samples, every row its own cluster: Welch's standard error.

    >>> import numpy as np
    >>> X = np.array([[1.0, 0], [1, 0], [1, 1], [1, 1], [1, 1]])
    >>> y = np.array([1.0, 3.0, 4.0, 6.0, 8.0])
    >>> normal = Normal.from_rows(X, y, cluster=range(5))
    >>> welch = y[:2].var(ddof=1) / 2 + y[2:].var(ddof=1) / 3
    >>> bool(np.isclose(cr2(normal, [0, 1])[0, 0], welch))
    True
    """
    require_shared(normal, R, "CR2")
    moved = adjusted_scores(normal, R, "CR2")
    return np.asarray(moved.T @ moved)


def cr3(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Jackknife-like cluster-robust covariance, without factor (clubSandwich's CR3).

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (k, k)
        Covariance of the terms, in their units squared.

    Raises
    ------
    InferenceError
        As `delete_one`.

    Notes
    -----
    The adjustment ``(I - H_gg)^-1`` (Bell & McCaffrey 2002) makes each cluster's
    contribution its delete-one deviation, so this is
    ``sum (beta_(-g) - beta)(beta_(-g) - beta)'``, about ``beta`` and not about the mean of the
    deletions. Conservative: biased upwards, more so when clusters are few.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 6.0], cluster=[0, 1, 2])
    >>> round(float(cr3(normal, [1])[0, 0]), 6)
    3.5
    """
    require_shared(normal, R, "CR3")
    moved = adjusted_scores(normal, R, "CR3")
    return np.asarray(moved.T @ moved)


def cr3j(normal: Normal, R: ArrayLike) -> NDArray[np.float64]:
    """Cluster jackknife covariance: `cr3` times (G-1)/G (summclust's CRV3).

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.

    Returns
    -------
    array (k, k)
        Covariance of the terms, in their units squared.

    Raises
    ------
    InferenceError
        As `delete_one`.

    Notes
    -----
    ``(G-1)/G sum (beta_(-g) - beta)(beta_(-g) - beta)'`` (MacKinnon, Nielsen & Webb 2023,
    their CV3). What they and summclust call CV3J is centred on the mean of the
    ``beta_(-g)`` instead; ours is not that one. With 3 pilots and 147 comparators a nominal
    5 % test against t(G-1) still rejects 12 % of true nulls.

    Examples
    --------
    >>> import numpy as np
    >>> normal = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 6.0], cluster=[0, 1, 2])
    >>> round(float(cr3j(normal, [1])[0, 0]), 6)
    2.333333
    """
    G = normal.n_clusters
    return (G - 1) / G * cr3(normal, R)
