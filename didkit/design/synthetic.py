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
        Draws weights towards equal ones; above 0 they are unique.
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
    fewer covariates than comparators, many mixtures fit exactly; the one returned has few
    members, always the same for the same ids, and a note says so. Comparators without weight, or
    with one below 1e-12, which is rounding, are not in the set.

    Solved by an active-set method for non-negative least squares (``scipy.optimize.nnls``), which
    ends at the exact minimum. Agrees with the quadratic programme of the synthdid reference
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
        exact: list[str] = []
        for name, target in zip(named, targets, strict=True):
            gap = (x0 - target) / scale
            weights = nearest_point(gap, self.ridge)
            made.append({u: float(w) for u, w in zip(candidates, weights, strict=True) if w > 0})
            rmse = float(np.sqrt(np.mean((weights @ gap) ** 2)))
            is_exact = rmse <= _EXACT * float(np.sqrt(np.mean(gap**2)))
            fits.append(f"{name}: {0 if is_exact else rmse:.3g}")
            if is_exact and self.ridge == 0:
                exact.append(name)
        unit = "standard deviations" if self.standardise else "units of the covariates"
        notes = [f"root mean squared difference in {unit}: {'; '.join(fits)}"]
        if exact:
            notes.append(
                f"reproduced exactly: {first_few(exact)}; other weights may do as well "
                "(ridge= above 0 makes them unique)"
            )
        sets = made * len(pilots) if self.pooled else made
        return MatchedSets(dict(zip(pilots, sets, strict=True)), notes=tuple(notes))

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        whom = "the pilots' mean" if self.pooled else "each pilot"
        return f"for {whom} the nearest mixture of comparators ({', '.join(self.on.columns)})"


def nearest_point(gap: Floats, ridge: float = 0.0) -> Floats:
    """Return weights of the mixture of rows nearest to zero: min mean((w′gap)²) + ridge Σ w².

    With B = gap′ (and the ridge's rows below it), min ‖B u‖² + (1 − Σu)² over u ≥ 0 has its
    minimum at a multiple of the w that minimises ‖B w‖² with Σw = 1: for u = s·w, the best s leaves
    ‖B w‖² / (1 + ‖B w‖²), which rises with ‖B w‖². So non-negative least squares solves it
    exactly.

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
    found[found < _ROUNDING * found.sum()] = 0.0
    return np.asarray(found / found.sum(), dtype=float)
