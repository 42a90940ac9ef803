"""Synthetic-control weights: a mix of comparators that follows each pilot before its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from didkit.design.against import MatchedSets
from didkit.design.covariates import Covariates
from didkit.design.distances import refuse_constant
from didkit.design.matched import Matched, Missing, choice, non_negative, refuse_no_covariates
from didkit.errors import DesignError, first_few

__all__ = ["SyntheticWeights"]

Floats = NDArray[np.float64]

_WHERE = "SyntheticWeights"
#: A fit is exact when it misses by less than this share of the candidates' own distance.
_EXACT = 1e-7
#: A weight below this is what rounding left of zero.
_ROUNDING = 1e-12
#: Rows whose slope is this near to the least (gaps of mean square 1) lie on the face.
_FACE = 1e-9
#: How nearly the weights of least squares make the same mixture.
_FITTED = 1e-12
#: Equations whose singular value is below this share of the largest follow from the others.
_TIED = 1e-11
#: Proximal terms, one after the other.
_PROXIMAL = (*(10.0**-e for e in range(5, 12)), *([1e-11] * 50))
_STEPS = 100
_HALVINGS = 40


@dataclass(frozen=True, eq=False)
class SyntheticWeights(Matched):
    """For each pilot the mixture of comparators nearest to it, typically in pre-period values.

    Weights w, not negative and adding up to 1, that minimise the mean over covariates of
    (pilot − Σ w·comparator)² plus ``ridge`` times Σ w². With outcomes before the
    start these are the synthetic control of Abadie, Diamond and Hainmueller (2010) with all
    predictors weighted alike: no V is searched for.

    Parameters
    ----------
    on : Covariates
        Numbers only; ``Covariates.from_panel(panel, values={"cin": (2014, 2017)})`` takes the
        outcome of each period.
    pooled : bool, default False
        One mixture for the pilots' mean instead of one for each pilot.
    ridge : float, default 0
        Draws weights towards equal ones, at the price of the fit.
    standardise : bool, default True
        Divide each covariate by its standard deviation within pilots and candidates, pooled.
        Without it covariates count by their units, which suits values of one metric.
    missing : {"refuse", "leave_out"}
        What becomes of a candidate without a value. A pilot without one is always refused.

    Raises
    ------
    DesignError
        An unknown option, or a covariate that does not vary.

    Notes
    -----
    How well each pilot is followed, the root mean squared difference over the covariates, stands in
    the notes. The method fails where a pilot lies outside the comparators: the fit is then
    poor, and the difference that remains is bias, not effect. Where a pilot lies inside, with
    fewer covariates than comparators, many mixtures fit exactly, and their estimates differ. The
    one returned has the least sum of squared weights, that is the least variance if all
    comparators vary alike: it is unique, whatever ids or order, and has many members. A note
    says so. The same holds wherever several mixtures fit equally well. Comparators without
    weight, or with one below 1e-12, which is rounding, are not in the set.

    Solved by an active-set method for non-negative least squares (``scipy.optimize.nnls``), which
    ends at the exact minimum; the least sum of squares by Newton's method on its dual.
    Agrees with the quadratic programme of the synthdid reference
    (California, weights to 1e-6).

    References
    ----------
    Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association
    105(490).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> before = dk.Covariates.from_panel(panel, values={"cin": (2014, 2017)})
    >>> how = dk.SyntheticWeights(before, missing="leave_out")
    >>> synthetic = design.compared_with(how)
    >>> [round(sum(s.values()), 9) for s in synthetic.sets.values()][:2]
    [1.0, 1.0]
    """

    on: Covariates
    pooled: bool = field(default=False, kw_only=True)
    ridge: float = field(default=0.0, kw_only=True)
    standardise: bool = field(default=True, kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        refuse_no_covariates(self.on, _WHERE)
        choice(self.missing, ("refuse", "leave_out"), "missing", _WHERE)
        non_negative(self.ridge, "ridge", _WHERE)
        for name in ("pooled", "standardise"):
            if not isinstance(getattr(self, name), bool):
                raise DesignError(
                    needed=f"{name}=True or {name}=False",
                    found=repr(getattr(self, name)),
                    where=_WHERE,
                    todo="choose one",
                )

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Return a mixture for each pilot, or one for all.

        Parameters
        ----------
        pilots, candidates : sequence of str
            Ids, sorted, none in both.

        Returns
        -------
        MatchedSets

        Raises
        ------
        DesignError
            As for the class.
        """
        x1, x0 = self._numbers(pilots), self._numbers(candidates)
        sd = refuse_constant(x1, x0, self.on.columns, where=_WHERE)
        scale = sd if self.standardise else np.ones(len(sd))
        targets = x1.mean(axis=0, keepdims=True) if self.pooled else x1
        named = ["the pilots' mean"] if self.pooled else list(pilots)
        made: list[dict[str, float]] = []
        fits: list[str] = []
        missed: list[float] = []
        exact: list[str] = []
        for name, target in zip(named, targets, strict=True):
            gap = (x0 - target) / scale
            weights = nearest_point(gap, self.ridge)
            made.append({u: float(w) for u, w in zip(candidates, weights, strict=True) if w > 0})
            rmse = float(np.sqrt(np.mean((weights @ gap) ** 2)))
            is_exact = rmse <= _EXACT * float(np.sqrt(np.mean(gap**2)))
            fits.append(f"{name}: {0 if is_exact else rmse:.3g}")
            missed.append(0.0 if is_exact else float(f"{rmse:.9g}"))
            if is_exact and self.ridge == 0:
                exact.append(name)
        unit = "standard deviations" if self.standardise else "units of the covariates"
        notes = [f"root mean squared difference in {unit}: {'; '.join(fits)}"]
        if max(missed) > 0:
            worst = missed.index(max(missed))
            notes.append(f"followed worst: {named[worst]}, {missed[worst]:.3g} {unit} away")
        if exact:
            notes.append(
                f"reproduced exactly: {first_few(exact)}; of all weights that do so, these have "
                "the least sum of squares"
            )
        sets = made * len(pilots) if self.pooled else made
        return MatchedSets(
            dict(zip(pilots, sets, strict=True)), notes=tuple(notes), until=self.on.until
        )

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        whom = "the pilots' mean" if self.pooled else "each pilot"
        return f"for {whom} the nearest mixture of comparators ({', '.join(self.on.columns)})"


def nearest_point(gap: Floats, ridge: float = 0.0) -> Floats:
    """Return weights of the mixture of rows nearest to zero: min mean((w′gap)²) + ridge Σ w².

    With B = gap′ (and the ridge's rows below it), min ‖B u‖² + (1 − Σu)² over u ≥ 0 has its
    minimum at a multiple of the w that minimises ‖B w‖² with Σw = 1: for u = s·w, the best s leaves
    ‖B w‖² / (1 + ‖B w‖²), which rises with ‖B w‖². So non-negative least squares solves it
    exactly. Without a ridge several mixtures may be nearest; of these it is that with the
    least sum of squared weights.

    Parameters
    ----------
    gap : array, (candidates × covariates)
        Candidates less the target.
    ridge : float
        Not negative.

    Returns
    -------
    array, (candidates,)
        Not negative, adding up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> nearest_point(np.array([[-1.0], [3.0]])).round(6).tolist()
    [0.75, 0.25]
    """
    from scipy.optimize import nnls

    n, k = gap.shape
    scale = max(float(np.sqrt(np.mean(gap**2))), np.finfo(float).tiny)
    parts = [gap.T / np.sqrt(k) / scale]
    if ridge > 0:
        parts.append(np.sqrt(ridge) / scale * np.eye(n))
    rows = np.vstack([*parts, np.ones((1, n))])
    found, _ = nnls(rows, np.r_[np.zeros(len(rows) - 1), 1.0], maxiter=30 * n)
    weights: Floats = np.asarray(found / found.sum(), dtype=float)
    if ridge == 0:
        weights = _least_squares(gap / scale, weights)
    weights[weights < _ROUNDING] = 0.0
    return np.asarray(weights / weights.sum(), dtype=float)


def _least_squares(gap: Floats, weights: Floats) -> Floats:
    """Return the weights with the least sum of squares that make the same mixture of rows.

    All nearest mixtures are the same point, and only rows on the face of the hull that it lies on,
    those of least slope, can have weight. min Σ w² over w ≥ 0 with E w = f (the point, and the sum
    1) has the solution w = max(E′λ, 0) with λ maximising f′λ − ½ Σ max(E′λ, 0)²: concave, with
    as many unknowns as there are covariates and one. Newton's method with halved steps solves
    it with a proximal term that is renewed, and shrinks, until E w = f.

    Raises
    ------
    DesignError
        Rounding keeps it from being solved.
    """
    slope = gap @ (weights @ gap) / gap.shape[1]
    face = (slope <= slope[weights > 0].max() + _FACE) | (weights > 0)
    size = np.maximum(np.linalg.norm(gap, axis=0), np.finfo(float).tiny) / np.sqrt(len(gap))
    rows = np.vstack([(gap[face] / size).T, np.ones((1, int(face.sum())))])
    _, spread, basis = np.linalg.svd(rows, full_matrices=False)
    rows = basis[spread > _TIED * spread[0]]  # the same equations, none of them near another
    if rows.shape[0] == rows.shape[1]:  # no other mixture makes the point
        return weights
    target = rows @ weights[face]
    centre = np.zeros(len(rows))
    found = np.zeros(rows.shape[1])
    miss = float("inf")
    for proximal in _PROXIMAL:
        centre = _dual(rows, target, centre, proximal)
        found = np.maximum(rows.T @ centre, 0.0)
        miss = float(np.abs(rows @ found - target).max())
        if miss <= _FITTED:
            break
    else:
        raise DesignError(
            needed="the weights of least sum of squares among those that fit as well",
            found=f"none to working precision: still {miss:.2g} away",
            where=_WHERE,
            todo="write ridge=1e-6, or use fewer covariates",
        )
    made = np.zeros(len(weights))
    made[face] = found
    return made


def _dual(rows: Floats, target: Floats, centre: Floats, proximal: float) -> Floats:
    """Return λ maximising target′λ − ½ Σ max(rows′λ, 0)² − ½ proximal ‖λ − centre‖²."""

    def at(lam: Floats) -> tuple[float, Floats]:
        w = np.maximum(rows.T @ lam, 0.0)
        moved = lam - centre
        value = 0.5 * float(w @ w) - float(target @ lam) + 0.5 * proximal * float(moved @ moved)
        return value, rows @ w - target + proximal * moved

    lam = centre
    value, uphill = at(lam)
    for _ in range(_STEPS):
        active = rows[:, rows.T @ lam > 0]
        step = np.linalg.solve(active @ active.T + proximal * np.eye(len(lam)), uphill)
        size = 1.0
        for _ in range(_HALVINGS):
            tried, new = at(lam - size * step)
            if tried < value or float(np.abs(new).max()) < float(np.abs(uphill).max()):
                break
            size /= 2
        else:
            break
        lam, value, uphill = lam - size * step, tried, new
        if float(np.abs(uphill).max()) <= _FITTED * 1e-2:
            break
    return lam
