"""Two groups, one change, covariates: the kernels of Sant'Anna & Zhao (2020) for panel data.

Every method is a weighted sum of the units' changes once the covariates are given, so that one
logit and one factorisation serve many outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError
from didkit.estimate.propensity import Propensity, propensity, standardised

__all__ = ["LOGIT", "Method", "TwoByTwo", "check_method", "panel", "projection"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: dr: doubly robust, logit by maximum likelihood and least squares (traditional); dr_improved:
#: inverse probability tilting and weighted least squares; …_comparators: the same, in repeated
#: cross-sections without an outcome model of the pilots; regression: outcome regression; ipw:
#: inverse probability weights that add up to 1; ipw_unnormalised: that do not; two_way: two-way
#: least squares with covariates in levels (rows only)
Method = Literal[
    "dr",
    "dr_improved",
    "dr_comparators",
    "dr_improved_comparators",
    "regression",
    "ipw",
    "ipw_unnormalised",
    "two_way",
]

_BLOCK = 16_384  # rows

#: methods that model who is a pilot
LOGIT = frozenset(get_args(Method)) - {"regression", "two_way"}


@dataclass(frozen=True, eq=False)
class TwoByTwo:
    """Estimates of m outcomes, as weighted sums, with the influence of each row.

    Parameters
    ----------
    values : array (m,)
        The effects on pilots, in the outcomes' unit.
    influence : array (n, m)
        Each row's contribution to the error: standard error² is the sum of squares (n inside).
    weights : array (n,)
        The values are the weighted sums of the outcomes.
    facts : dict
        ``n_treated, n_comparators``; with a propensity ``largest_propensity, n_trimmed,
        iterations`` and ``effective_comparators``, (Σ weight)² / Σ weight².
    """

    values: Floats
    influence: Floats
    weights: Floats
    facts: dict[str, float]


def check_method(method: object, where: str) -> None:
    """Refuse an unknown method.

    Raises
    ------
    EstimationError
        If there is no such method.
    """
    if method not in get_args(Method):
        raise EstimationError(
            needed="method: " + ", ".join(map(repr, get_args(Method))),
            found=repr(method),
            where=where,
            todo="'dr_improved' is the doubly robust one that its authors recommend",
        )


def panel(
    change: Floats,
    treated: Bools,
    X: Floats,
    w: Floats | None = None,
    method: Method = "dr_improved",
    *,
    names: Sequence[str] = (),
    where: str = "two_by_two.panel",
) -> TwoByTwo:
    """Estimate the effect on pilots from one change a unit.

    Parameters
    ----------
    change : array (n, m)
        Change of m outcomes in n units, without NaN; (n,) for one.
    treated : bool array (n,)
        Pilots.
    X : array (n, p)
        Covariates; the first column is 1 in every row.
    w : array (n,), optional
        Positive weights.
    method : str
        See `Method`.
    names : sequence of str
        Of the covariates, without the constant, for errors.
    where : str
        Which groups, for errors.

    Returns
    -------
    TwoByTwo

    Raises
    ------
    EstimationError
        If a group is smaller than the number of coefficients, a covariate is collinear, or pilots
        and comparators do not overlap.

    Notes
    -----
    With q the difference of the two groups' weights (pilots alike, comparators by the odds) and b
    the least-squares coefficients among comparators, the estimate is ``q'(Δ − X b)``; "ipw" has
    b = 0, "regression" no weights on comparators. Comparators with a propensity of 0.995 or more
    get no weight. The influence of "dr_improved" leaves the estimation of both models out, which
    does not matter to first order if both are right.

    Examples
    --------
    >>> X = np.column_stack([np.ones(5), [0.0, 1.0, 0.0, 1.0, 2.0]])
    >>> change = np.array([5.0, 7.0, 0.0, 2.0, 4.0])
    >>> made = panel(change, np.arange(5) < 2, X, method="regression")
    >>> made.values.round(10).tolist()
    [5.0]
    """
    check_method(method, where)
    if method == "two_way":
        raise EstimationError(
            needed="a method for one change a unit",
            found="method='two_way', which needs levels",
            where=where,
            todo="method='regression', or cells='observed'",
        )
    Y = change[:, None] if change.ndim == 1 else change
    if X.shape[1] == 1:
        method = "regression"  # without covariates all methods are the difference of means
    w = np.ones(len(Y)) if w is None else w
    d, p = treated.astype(np.float64), X.shape[1]
    counts = {"n_treated": int(treated.sum()), "n_comparators": int((~treated).sum())}
    check_sizes(counts, p, method, where)
    facts = {name: float(count) for name, count in counts.items()}
    X = standardised(X, names, where)
    qt = w * d
    total = qt.sum()
    qt /= total
    model: Propensity | None = None
    if method == "regression":
        qc, omega = np.zeros(len(w)), w * (1 - d)
    else:
        improved = method in ("dr_improved", "dr_improved_comparators")
        model = propensity(X, treated, w, tilted=improved, names=names, where=where)
        qc = w * (1 - d) * model.odds
        facts |= {**model.facts, "effective_comparators": qc.sum() ** 2 / (qc @ qc)}
        qc /= total if method == "ipw_unnormalised" else qc.sum()
        omega = w * (1 - d) * (model.whole if improved else 1.0)
        if improved:
            model = None  # its estimation does not matter to first order
    q = qt - qc
    if method in ("ipw", "ipw_unnormalised"):
        u, b = q, np.zeros((p, Y.shape[1]))
    else:
        inverse = projection(X, omega, names, where)
        u = q - omega * (X @ (inverse @ (X.T @ q)))
        b = inverse @ ((X * omega[:, None]).T @ Y)
    values = u @ Y
    own = q if method in ("dr_improved", "dr_improved_comparators") else u
    mean_t = qt @ Y - (qt @ X) @ b
    mean_c = qc @ Y - (qc @ X) @ b
    if method == "ipw_unnormalised":
        mean_t, mean_c = values, np.zeros_like(values)
    # influence = own (Y − X b) − qt mean_t + qc mean_c − score X H M: one product
    left = [*(own * X.T), qt, qc]
    right = [-b, -mean_t[None], mean_c[None]]
    if model is not None:
        qx = X * qc[:, None]
        M = qx.T @ Y - (qx.T @ X) @ b - np.outer(qx.sum(axis=0), mean_c)
        left.extend(model.score * X.T)
        right.append(-model.inverse @ M)
    influence = np.stack(left).T @ np.vstack(right)
    for at in range(0, len(Y), _BLOCK):  # what is in the cache stays there
        part = slice(at, at + _BLOCK)
        influence[part] += own[part, None] * Y[part]
    return TwoByTwo(values, influence, u, facts)


def check_sizes(counts: dict[str, int], p: int, method: Method, where: str) -> None:
    """Refuse groups with fewer rows than coefficients.

    Raises
    ------
    EstimationError
        Which group, and how many there are.
    """
    for name, count in counts.items():
        pilots = name.startswith("n_treated")
        modelled = method in LOGIT or not pilots
        least = p if modelled else 1
        if count < least:
            raise EstimationError(
                needed=f"at least {least} {'pilots' if pilots else 'comparators'}"
                + (f" for a constant and {p - 1} covariates" if p > 1 else ""),
                found=f"{count} ({name.removeprefix('n_').replace('_', ' ')})",
                where=where,
                todo="use fewer covariates" if p > 1 else "choose other periods or groups",
            )


def projection(X: Floats, omega: Floats, names: Sequence[str], where: str) -> Floats:
    """Return the inverse of ``X' diag(omega) X``, (p, p).

    Raises
    ------
    EstimationError
        If a covariate is collinear among the rows with weight.
    """
    gram = (X * omega[:, None]).T @ X
    size = np.sqrt(np.diag(gram))
    known = [str(name) for name in names] or [f"covariate {j}" for j in range(1, X.shape[1])]
    left = gram.copy()
    for j in range(len(gram)):
        if not left[j, j] > 1e-11 * size[j] ** 2:
            raise EstimationError(
                needed="covariates that vary, each by itself, in every group that is modelled",
                found=f"{known[j - 1]!r} does not",
                where=where,
                todo="leave it out, or widen the comparison",
            )
        left = left - np.outer(left[:, j], left[j]) / left[j, j]
    scaled = gram / np.outer(size, size)
    made: Floats = np.linalg.inv(scaled) / np.outer(size, size)
    return made
