"""How far apart units are by their covariates, in standard deviations of them or by propensity.

Kernels of the kinds of matching: arrays in, arrays out. Names of columns are for the errors only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from didkit.errors import DesignError, first_few

__all__ = [
    "euclidean",
    "mahalanobis",
    "nearest_mixture",
    "pooled_covariance",
    "propensity",
    "refuse_collinear",
    "refuse_constant",
]

Floats = NDArray[np.float64]

#: Beyond this reciprocal condition of the correlations, a covariate is a combination of the others.
_SINGULAR = 1e-10


def pooled_covariance(x1: Floats, x0: Floats) -> Floats:
    """Return the covariance within groups, pooled: each group about its own mean, n − 2 below.

    Parameters
    ----------
    x1, x0 : array, (units × covariates)
        Pilots and candidates.

    Returns
    -------
    array, (covariates × covariates)

    Examples
    --------
    >>> import numpy as np
    >>> pooled_covariance(np.array([[0.0], [2.0]]), np.array([[5.0], [7.0]])).tolist()
    [[2.0]]
    """
    within = np.vstack([x1 - x1.mean(axis=0), x0 - x0.mean(axis=0)])
    return np.asarray(within.T @ within / max(len(within) - 2, 1), dtype=float)


def refuse_constant(x1: Floats, x0: Floats, names: Sequence[str], *, where: str) -> Floats:
    """Return the pooled standard deviations; refuse a covariate that does not vary in the groups.

    Raises
    ------
    DesignError
        A covariate is the same for all pilots and the same for all candidates.
    """
    sd: Floats = np.sqrt(np.diag(pooled_covariance(x1, x0)))
    size = np.maximum(np.abs(np.vstack([x1, x0])).max(axis=0), np.finfo(float).tiny)
    same = [name for name, s, m in zip(names, sd, size, strict=True) if s <= 1e-12 * m]
    if same:
        raise DesignError(
            needed="covariates that vary among pilots or among comparators",
            found=f"{first_few(same)} the same for all of a group",
            where=where,
            todo="take them out with Covariates.select, or name them in exact=",
        )
    return sd


def refuse_collinear(x1: Floats, x0: Floats, names: Sequence[str], *, where: str) -> None:
    """Refuse covariates one of which is a combination of the others (and a constant).

    Raises
    ------
    DesignError
        Names the covariates that have a part in the combination.
    """
    sd = refuse_constant(x1, x0, names, where=where)
    correlation = pooled_covariance(x1 / sd, x0 / sd)
    values, vectors = np.linalg.eigh(correlation)
    if values[0] > _SINGULAR * values[-1]:
        return
    null = vectors[:, values <= _SINGULAR * values[-1]]
    part = np.abs(null).max(axis=1) > 1e-4
    tied = [name for name, has in zip(names, part, strict=True) if has]
    few = len(x1) + len(x0) - 2 < len(names)
    raise DesignError(
        needed="covariates none of which is a combination of the others: their covariance is "
        "to be inverted",
        found=f"{first_few(tied)} tied to each other"
        + (f", with {len(x1) + len(x0)} units and {len(names)} covariates" if few else ""),
        where=where,
        todo="take one of them out with Covariates.select, or use distance='euclidean'",
    )


def mahalanobis(x1: Floats, x0: Floats, names: Sequence[str], *, where: str) -> Floats:
    """Return Mahalanobis distances by the covariance pooled within the two groups.

    The square root of (x − y)′ S⁻¹ (x − y) with S from `pooled_covariance`, as R's MatchIt takes
    it (its ``mahalanobis_dist`` with the treatment given).

    Parameters
    ----------
    x1, x0 : array, (units × covariates)
        Pilots and candidates.
    names : sequence of str
        Of the covariates.
    where : str
        For the errors.

    Returns
    -------
    array, (pilots × candidates)

    Raises
    ------
    DesignError
        The covariance cannot be inverted: a covariate is constant or tied to others.
    """
    refuse_collinear(x1, x0, names, where=where)
    sd = np.sqrt(np.diag(pooled_covariance(x1, x0)))
    centre = x0.mean(axis=0)  # differences of large numbers close together stay exact
    z1, z0 = (x1 - centre) / sd, (x0 - centre) / sd
    root = np.linalg.cholesky(pooled_covariance(z1, z0))
    return _apart(np.linalg.solve(root, z1.T).T, np.linalg.solve(root, z0.T).T)


def euclidean(x1: Floats, x0: Floats, names: Sequence[str], *, where: str) -> Floats:
    """Return Euclidean distances of covariates divided by their pooled standard deviation.

    The standard deviation within the groups, from `pooled_covariance`; R's MatchIt calls this
    the scaled Euclidean distance.

    Raises
    ------
    DesignError
        A covariate does not vary.
    """
    sd = refuse_constant(x1, x0, names, where=where)
    centre = x0.mean(axis=0)
    return _apart((x1 - centre) / sd, (x0 - centre) / sd)


def _apart(z1: Floats, z0: Floats) -> Floats:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(z1, z0), dtype=float)


def propensity(
    x1: Floats, x0: Floats, names: Sequence[str], *, where: str
) -> tuple[Floats, Floats]:
    """Return the fitted probability of being a pilot, of pilots and of candidates.

    A logistic regression on the covariates as they are, with a constant.

    Returns
    -------
    tuple of array
        Probabilities of the pilots and of the candidates.

    Raises
    ------
    DesignError
        A covariate is constant or tied to others, or the covariates tell pilots and comparators
        apart without error: no overlap, and no fit.
    """
    import statsmodels.api as sm

    refuse_collinear(x1, x0, names, where=where)
    sd = np.sqrt(np.diag(pooled_covariance(x1, x0)))
    centre = x0.mean(axis=0)
    z = (np.vstack([x1, x0]) - centre) / sd
    is_pilot = np.r_[np.ones(len(x1)), np.zeros(len(x0))]
    design = np.column_stack([np.ones(len(z)), z])
    _refuse_separated(design, is_pilot, names, where=where)
    fit = sm.GLM(is_pilot, design, family=sm.families.Binomial()).fit(tol=1e-13, maxiter=200)
    fitted = np.asarray(fit.fittedvalues, dtype=float)
    return fitted[: len(x1)], fitted[len(x1) :]


def _refuse_separated(
    design: Floats, is_pilot: Floats, names: Sequence[str], *, where: str
) -> None:
    """Refuse data for which no finite logistic fit exists (Albert & Anderson 1984).

    The fit is infinite when a plane has all pilots on one side or on it, all others on the other
    side or on it, and somebody off it. A linear programme looks for it.
    """
    from scipy.optimize import linprog

    signed = design * np.where(is_pilot > 0, 1.0, -1.0)[:, None]
    found = linprog(
        -signed.sum(axis=0),
        A_ub=np.vstack([-signed, signed]),
        b_ub=np.r_[np.zeros(len(signed)), np.ones(len(signed))],
        bounds=(None, None),
        method="highs",
    )
    if float(found.fun or 0.0) > -1e-6:
        return
    x1, x0 = design[is_pilot > 0, 1:], design[is_pilot <= 0, 1:]
    apart = (x1.min(axis=0) >= x0.max(axis=0)) | (x1.max(axis=0) <= x0.min(axis=0))
    alone = [name for name, is_apart in zip(names, apart, strict=True) if is_apart]
    raise DesignError(
        needed="overlap: no combination of covariates that tells pilots and comparators apart",
        found=f"{first_few(alone)} alone does" if alone else f"one of {first_few(names)} does",
        where=where,
        todo="use fewer covariates, or distance='mahalanobis'; where pilots lie outside the "
        "comparators' range, no matching helps",
    )


def nearest_mixture(gap: Floats) -> Floats:
    """Return how far the nearest mixture of candidates stays from zero, by covariate.

    The mixture, positive weights that add up to 1, whose greatest distance over the covariates is
    the least: a linear programme. All zero where zero is in the candidates' convex hull.

    Parameters
    ----------
    gap : array, (candidates × covariates)
        Candidates less the target.

    Examples
    --------
    >>> import numpy as np
    >>> nearest_mixture(np.array([[1.0, -1.0], [3.0, 1.0]])).tolist()
    [1.0, -1.0]
    """
    from scipy.optimize import linprog

    n, k = gap.shape
    slack = -np.ones((k, 1))
    found = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.block([[gap.T, slack], [-gap.T, slack]]),
        b_ub=np.zeros(2 * k),
        A_eq=np.r_[np.ones(n), 0.0][None, :],
        b_eq=[1.0],
        method="highs",
    )
    return np.asarray(gap.T @ np.asarray(found.x)[:n], dtype=float)
