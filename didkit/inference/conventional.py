"""Standard errors that ignore clusters: iid, heteroskedastic, Newey–West, Driscoll–Kraay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, is_whole
from didkit.inference.arms import lost_in_words, with_variance
from didkit.inference.groups import groups_of
from didkit.inference.student import from_covariance
from didkit.linear import Normal
from didkit.results import Estimate

__all__ = ["Conventional"]

Floats = NDArray[np.float64]
Kind = Literal["iid", "hetero", "newey-west", "driscoll-kraay"]
_WORDS = {
    "iid": "independent errors with one variance",
    "hetero": "independent errors, HC1",
    "newey-west": "Newey–West",
    "driscoll-kraay": "Driscoll–Kraay",
}
_SERIAL = (
    "for comparison only: what lasts inside a unit is ignored{}, so that these standard errors "
    "are as a rule too small (Bertrand, Duflo & Mullainathan 2004)"
)
_LAGGED = ("newey-west", "driscoll-kraay")
_MOST = 50_000_000  #: numbers in the cross-products by cell, above which they are not made


@dataclass(frozen=True)
class Conventional:
    """Conventional standard errors of a two-way regression, to be held against clustered ones.

    Parameters
    ----------
    kind : {"iid", "hetero", "newey-west", "driscoll-kraay"}
        Independent errors with one variance; independent with any variances (HC1); Newey & West
        (1987) inside each unit; Driscoll & Kraay (1998), by period, with lags between periods.
    lags : int, optional
        Of "newey-west" and "driscoll-kraay", with Bartlett's weights ``1 − l/(L + 1)``; by
        default the whole part of ``T**0.25``, T the periods.

    Notes
    -----
    Small-sample factors are those of fixest 0.14: N/(N − K) for "iid" and "hetero" (with N − K
    degrees of freedom), ``(N − 1)/(N − K) · T/(T − 1)`` for the others (with T − 1), K counting
    all effects. Lags are of the calendar: a gap stays a gap.

    All but Driscoll–Kraay take units as independent, and the first two take the cells of one unit
    as independent too. Outcomes of an authority are alike from year to year, so that a nominal
    5 % test by these rejects far more often (Bertrand, Duflo & Mullainathan 2004). Driscoll–Kraay
    needs many periods; where each term has one period per start it does not exist.

    Needs cross-products by cell (``regroup``), which `DiD` and `EventStudy` publish for one pool,
    up to some tens of thousands of cells.

    References
    ----------
    Bertrand, Duflo & Mullainathan (2004); Driscoll & Kraay (1998); Newey & West (1987).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.DiD().fit(design, "cpp").infer(Conventional("hetero"))
    >>> "for comparison only" in made.attached.notes[0]
    True
    """

    kind: Kind = "iid"
    lags: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InferenceError(
                needed="kind: " + ", ".join(map(repr, get_args(Kind))),
                found=repr(self.kind),
                where="Conventional",
                todo="choose one; ClusterRobust() is what the design asks for",
            )
        if self.lags is not None and (
            self.kind not in _LAGGED or not is_whole(self.lags) or int(self.lags) < 0
        ):
            raise InferenceError(
                needed="lags: a whole number, 0 or more, of 'newey-west' or 'driscoll-kraay'",
                found=f"lags={self.lags!r} with kind={self.kind!r}",
                where="Conventional(lags=)",
                todo="leave it out",
            )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach standard errors, tests and intervals.

        Raises
        ------
        InferenceError
            If the estimate has no cross-products by cell or too many cells, one pilot or one
            comparator, or (Driscoll–Kraay) one period on a side of the start.
        """
        if estimate.regroup is None or estimate.contrast is None:
            raise InferenceError(
                needed="cross-products by cell",
                found=f"{type(estimate.estimator).__name__} against "
                f"{estimate.design.against.describe()} publishes none",
                where=repr(self),
                todo="use ClusterRobust(), or DiD() against one pool",
            )
        by_period = self.kind == "driscoll-kraay"
        groups = [groups_of(estimate, "period", repr(self))] if by_period else []
        exists = with_variance(estimate, repr(self), groups)
        rows = estimate.contrast[exists]
        n, t = estimate.sample.y.shape
        if self.kind == "iid":
            normal = estimate.regroup(np.repeat(np.arange(n)[:, None], t, axis=1))
            left = self._left(estimate, normal)
            rss = float(normal.yy.sum() - normal.b.sum(axis=0) @ normal.beta)
            made = rss / left * (rows @ normal.M @ rows.T)
        else:
            if estimate.sample.mask.sum() * len(estimate.contrast[0]) ** 2 > _MOST:
                raise InferenceError(
                    needed=f"at most {_MOST:,} numbers in the cross-products by cell",
                    found=f"{int(estimate.sample.mask.sum()):,} cells, {rows.shape[1]} parameters",
                    where=repr(self),
                    todo="use ClusterRobust(), or Conventional('iid')",
                )
            normal = estimate.regroup(np.arange(n * t).reshape(n, t))
            left = self._left(estimate, normal)
            moved = normal.scores @ (rows @ normal.M).T
            scores = np.zeros((n * t, len(rows)))
            scores[np.array(normal.labels, dtype=np.int64)] = moved
            made = self._spread(scores.reshape(n, t, -1), normal.n_obs, left)
        covariance = np.full((estimate.n_terms,) * 2, np.nan)
        covariance[np.ix_(exists, exists)] = made
        df = np.full(estimate.n_terms, np.nan)
        df[exists] = t - 1.0 if self.kind in _LAGGED else float(left)
        lags = f" with {self._lags(t)} lags" if self.kind in _LAGGED else ""
        beyond = " beyond these lags" if lags else ""
        return from_covariance(
            estimate,
            self,
            covariance,
            df,
            level=level,
            method=f"{_WORDS[self.kind]}{lags}, t with {int(np.nanmax(df))} degrees of freedom",
            notes=(_SERIAL.format(beyond), *lost_in_words(estimate, exists)),
        )

    def _lags(self, t: int) -> int:
        """Return the number of lags, given or by rule."""
        return min(int(t**0.25) if self.lags is None else int(self.lags), t - 1)

    def _left(self, estimate: Estimate, normal: Normal) -> int:
        """Return the residual degrees of freedom N − K, all effects counted."""
        left = normal.n_obs - normal.n_params - normal.n_absorbed
        if left < 1:
            raise InferenceError(
                needed="more cells than parameters and effects",
                found=f"{normal.n_obs} cells, {normal.n_params + normal.n_absorbed} effects",
                where=f"{self!r} of {estimate.metric.name!r}",
                todo="use ClusterRobust() or Permutation()",
            )
        return left

    def _spread(self, scores: Floats, n_obs: int, left: int) -> Floats:
        """Sum products of scores (J, T, k), with those of neighbouring periods."""
        if self.kind == "hetero":
            flat = scores.reshape(-1, scores.shape[2])
            return np.asarray(flat.T @ flat * (n_obs / left))
        t = scores.shape[1]
        parts = scores.sum(axis=0, keepdims=True) if self.kind == "driscoll-kraay" else scores
        made = np.einsum("jta,jtb->ab", parts, parts)
        lags = self._lags(t)
        for lag in range(1, lags + 1):
            cross = np.einsum("jta,jtb->ab", parts[:, lag:], parts[:, :-lag])
            made += (1 - lag / (lags + 1)) * (cross + cross.T)
        return np.asarray(made * ((n_obs - 1) / left) * (t / (t - 1)))
