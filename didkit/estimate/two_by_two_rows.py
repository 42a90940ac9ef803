"""Two groups, before and after, covariates: the kernels of Sant'Anna & Zhao (2020) for rows.

Repeated cross-sections, or an unbalanced panel: a row is seen once, before or after. Influence is
by row; whoever knows which rows belong to one unit adds them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError
from didkit.estimate.propensity import TRIM, Propensity, propensity, standardised
from didkit.estimate.two_by_two import LOGIT, Method, TwoByTwo, check_method, projection
from didkit.estimate.two_by_two import check_sizes as check

__all__ = ["rows"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Group = tuple[bool, bool]  #: pilots, after

_GROUPS: tuple[Group, ...] = ((True, True), (True, False), (False, True), (False, False))


def rows(
    y: Floats,
    post: Bools,
    treated: Bools,
    X: Floats,
    w: Floats | None = None,
    method: Method = "dr_improved",
    *,
    names: Sequence[str] = (),
    where: str = "two_by_two.rows",
    drdid: bool = False,
) -> TwoByTwo:
    """Estimate the effect on pilots from rows that are seen before or after.

    Parameters
    ----------
    y : array (n, m)
        m outcomes of n rows, without NaN; (n,) for one.
    post : bool array (n,)
        Rows seen after the start.
    treated : bool array (n,)
        Rows of pilots, before the start too.
    X : array (n, p)
        Covariates; the first column is 1 in every row.
    w : array (n,), optional
        Positive weights.
    method : str
        See `Method`; all serve.
    names : sequence of str
        Of the covariates, without the constant, for errors.
    where : str
        Which groups, for errors.
    drdid : bool
        The influence of "dr" and "dr_comparators" as R's DRDID 1.2.3 (and so did 2.5.1) has it:
        what the comparators' outcome model before the start adds through the difference of the
        two groups' covariate means is added there, while the derivative subtracts it. The
        estimate is the same, and so is the influence where the logit balances the covariates.

    Returns
    -------
    TwoByTwo

    Raises
    ------
    EstimationError
        As `panel`; each of the four groups must be large enough for its own model.

    Notes
    -----
    Pilots and comparators are assumed to be made of the same kind of people before and after
    (stationarity); a composition that changes is taken for an effect. "dr" and "dr_improved" are
    the locally efficient ones, with an outcome model of the pilots too; "…_comparators" do without.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 11.0, 12.0, 0.0, 1.0, 4.0, 5.0])
    >>> post = np.array([False, False, True, True] * 2)
    >>> rows(y, post, np.arange(8) < 4, np.ones((8, 1))).values.round(10).tolist()
    [6.0]
    """
    check_method(method, where)
    Y = y[:, None] if y.ndim == 1 else y
    w = np.ones(len(Y)) if w is None else w
    p = X.shape[1]
    if p == 1 and method not in ("ipw_unnormalised", "two_way"):
        method = "regression"  # without covariates the others are the difference of means
    counts = {
        "n_treated_before": int((treated & ~post).sum()),
        "n_treated_after": int((treated & post).sum()),
        "n_comparators_before": int((~treated & ~post).sum()),
        "n_comparators_after": int((~treated & post).sum()),
    }
    check(counts, p, method, where)
    facts = {name: float(count) for name, count in counts.items()}
    X = standardised(X, names, where)
    if method == "two_way":
        return replace(_two_way(Y, post, treated, X, w), facts=facts)
    model: Propensity | None = None
    improved = method in ("dr_improved", "dr_improved_comparators")
    if method in LOGIT:
        model = propensity(X, treated, w, tilted=improved, names=names, where=where)
        facts |= model.facts
    if method == "ipw_unnormalised" and model is not None:
        made = _unnormalised(Y, post, treated, X, w, model)
    else:
        means = _means(post, treated, w, model, method, where)
        omega = _regressions(post, treated, w, model if improved else None, means)
        inverse = {g: projection(X, omega[g], names, f"{where}: {_said(g)}") for g in omega}
        score = None if model is None else (model.score, model.inverse)
        made = _summed(Y, X, means, omega, inverse, score, first_step=not improved)
        if drdid and method in ("dr", "dr_comparators"):
            made = replace(made, influence=_as_drdid(made.influence, Y, X, means, omega, inverse))
    return replace(made, facts=facts)


@dataclass(frozen=True, eq=False)
class _Mean:
    """A term of the estimate: ± the weighted mean of the outcome or of what models predict.

    Parameters
    ----------
    sign : float
    weight : array (n,)
        Adds up to 1.
    outcome : bool
        Whether the outcome is in it.
    models : dict
        Group (pilots, after) → how often its model's prediction is added.
    odds : bool
        Whether the weight rests on the estimated odds.
    """

    sign: float
    weight: Floats
    outcome: bool
    models: dict[Group, float]
    odds: bool = False


def _means(
    post: Bools, treated: Bools, w: Floats, model: Propensity | None, method: Method, where: str
) -> list[_Mean]:
    """Write the estimate as a sum of means."""
    raw = w * np.where(treated, 1.0, 1.0 if model is None else model.odds)
    q: dict[Group, Floats] = {}
    for group in _GROUPS:
        one = np.where(_inside(group, treated, post), raw, 0.0)
        if not one.any():
            raise EstimationError(
                needed=f"{_said(group)} the start with a propensity below {TRIM}",
                found="none",
                where=where,
                todo="use fewer covariates, method='regression', or more comparators",
            )
        q[group] = one / one.sum()
    pilots = w * treated / (w @ treated)
    made: list[_Mean] = []
    for group in _GROUPS:
        d, t = group
        sign = 1.0 if d == t else -1.0
        if d or method != "regression":
            own = {
                "dr": group,
                "dr_improved": group,
                "dr_comparators": (False, t),
                "dr_improved_comparators": (False, t),
            }.get(method)
            less = {} if own is None else {own: -1.0}
            made.append(_Mean(sign, q[group], True, less, odds=not d))
    if method in ("dr", "dr_improved"):
        made.append(_Mean(1.0, pilots, False, {g: 1.0 if g[0] == g[1] else -1.0 for g in _GROUPS}))
    if method == "regression":
        made.append(_Mean(1.0, pilots, False, {(False, True): -1.0, (False, False): 1.0}))
    return made


def _summed(
    Y: Floats,
    X: Floats,
    means: list[_Mean],
    omega: dict[Group, Floats],
    inverse: dict[Group, Floats],
    score: tuple[Floats, Floats] | None,
    *,
    first_step: bool,
) -> TwoByTwo:
    """Add the means up: the values, each row's weight, and its influence.

    With `first_step` the influence holds the estimation of the outcome models and of the logit
    (`score`: ``w (d − p)`` by row, and the inverse Hessian).
    """
    b = {g: inverse[g] @ ((X * omega[g][:, None]).T @ Y) for g in omega}
    asked = {g: np.zeros(len(X)) for g in omega}  # the weight of each row's prediction by model g
    u, slope = np.zeros(len(X)), np.zeros((X.shape[1], Y.shape[1]))
    influence = np.zeros(Y.shape)
    for mean in means:
        of = X @ sum((k * b[g] for g, k in mean.models.items()), np.zeros_like(slope))
        if mean.outcome:
            of += Y
            u += mean.sign * mean.weight
        of -= mean.weight @ of
        of *= mean.sign * mean.weight[:, None]
        influence += of
        if mean.odds:
            slope += X.T @ of
        for g, k in mean.models.items():
            asked[g] += mean.sign * k * mean.weight
    for g, weight in asked.items():
        row = omega[g] * (X @ (inverse[g] @ (X.T @ weight)))
        u += row
        if first_step:
            influence += row[:, None] * (Y - X @ b[g])
    if first_step and score is not None:
        influence += (X * score[0][:, None]) @ (score[1] @ slope)
    return TwoByTwo(u @ Y, influence, u, {})


def _regressions(
    post: Bools, treated: Bools, w: Floats, model: Propensity | None, means: list[_Mean]
) -> dict[Group, Floats]:
    """Return the weights of the least squares of each group whose model is asked for."""
    needed = sorted({g for mean in means for g in mean.models})
    odds = np.ones(len(w)) if model is None else np.where(treated, 1.0, model.whole)
    return {g: np.where(_inside(g, treated, post), w * odds, 0.0) for g in needed}


def _as_drdid(
    influence: Floats,
    Y: Floats,
    X: Floats,
    means: list[_Mean],
    omega: dict[Group, Floats],
    inverse: dict[Group, Floats],
) -> Floats:
    """Give the comparators' model before the start the sign that DRDID gives it."""
    pilots = next(mean.weight for mean in means if not mean.odds and mean.sign < 0)
    others = next(mean.weight for mean in means if mean.odds and mean.sign > 0)
    before: Group = (False, False)
    row = omega[before] * (X @ (inverse[before] @ (X.T @ (pilots - others))))
    b = inverse[before] @ ((X * omega[before][:, None]).T @ Y)
    return np.asarray(influence - 2 * row[:, None] * (Y - X @ b))


def _inside(group: Group, treated: Bools, post: Bools) -> Bools:
    return np.asarray((treated == group[0]) & (post == group[1]))


def _said(group: Group) -> str:
    return f"{'pilots' if group[0] else 'comparators'} {'after' if group[1] else 'before'}"


def _unnormalised(
    Y: Floats, post: Bools, treated: Bools, X: Floats, w: Floats, model: Propensity
) -> TwoByTwo:
    """Abadie (2005): weights over the estimated share of rows after."""
    share = float(w @ post) / float(w.sum())
    pilots = w * treated / (w @ treated)
    when = (post - share) / (share * (1 - share))
    comparators = w * ~treated * model.odds / (w @ treated)
    u = (pilots - comparators) * when
    values = u @ Y
    influence = u[:, None] * Y - pilots[:, None] * values
    slope = (X * (comparators * when)[:, None]).T @ Y
    influence -= (X * model.score[:, None]) @ (model.inverse @ slope)
    weight = pilots - comparators
    by_share = -(weight * (post / share**2 + ~post / (1 - share) ** 2)) @ Y
    influence += (w * (post - share) / w.sum())[:, None] * by_share
    return TwoByTwo(values, influence, u, {})


def _two_way(Y: Floats, post: Bools, treated: Bools, X: Floats, w: Floats) -> TwoByTwo:
    """Least squares on pilots, after, their product and the covariates; the product's."""
    Z = np.column_stack([X, treated, post, treated & post]).astype(np.float64)
    root = np.sqrt(w)[:, None]
    Q, R = np.linalg.qr(Z * root)
    u = (Q[:, -1] / R[-1, -1]) * root[:, 0]
    b = np.linalg.solve(R, Q.T @ (Y * root))
    return TwoByTwo(u @ Y, u[:, None] * (Y - Z @ b), u, {})
