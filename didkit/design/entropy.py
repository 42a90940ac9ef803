"""Entropy balancing: one set of weights under which comparators look like the pilots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit.design.against import MatchedSets
from didkit.design.covariates import Covariates
from didkit.design.distances import nearest_mixture, refuse_constant
from didkit.design.matched import Matched, Missing, choice, refuse_no_covariates
from didkit.errors import DesignError, first_few

__all__ = ["EntropyBalancing"]

Floats = NDArray[np.float64]

_WHERE = "EntropyBalancing"
#: Weighted means differ from the pilots' by no more than this, in standard deviations.
_CLOSE = 1e-9
#: Newton's steps at most, and halvings of one step.
_STEPS, _HALVINGS = 200, 60


@dataclass(frozen=True, eq=False)
class EntropyBalancing(Matched):
    """Weights of all comparators that give them the pilots' means, as even as can be.

    Of all positive weights under which the comparators' weighted means equal the pilots' means,
    those with the least Kullback–Leibler distance from equal weights (Hainmueller 2012). Every
    pilot has the same weights: only the average of the pilots is balanced, not each of them.

    Parameters
    ----------
    on : Covariates
        Numbers only.
    moments : {1, 2}
        ``1`` balances means; ``2`` also the means of the squares, and with them the variances
        (sums of squares over n). Squares that say the same as the means, as those of a column
        of 0 and 1, count once.
    missing : {"refuse", "leave_out"}
        What becomes of a candidate without a value. A pilot without one is always refused.

    Raises
    ------
    DesignError
        No overlap: the pilots' means cannot be reached with any weights (found by a linear
        programme); a covariate that does not vary; two moments with one pilot.

    Notes
    -----
    The weights are exp(λ′x), scaled to add up to 1; λ is found by Newton's method on the convex
    dual, to 1e-9 standard deviations in every mean. The method fails without overlap, and where the
    means are barely reachable few comparators carry nearly all weight: read the effective sample
    size. Weights below machine precision are set out, with a note that names the comparators.
    With one moment it agrees with ebal 0.1-8 to 1e-6; with two it is held to the equations
    that it solves.

    References
    ----------
    Hainmueller (2012), Political Analysis 20(1).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> on = dk.Covariates.from_panel(panel, means={"cin": (2014, 2016)})
    >>> balanced = design.compared_with(dk.EntropyBalancing(on, missing="leave_out"))
    >>> sets = balanced.matched_sets()
    >>> value = dict(zip(on.units, on.numbers(on.units)[:, 0]))
    >>> pilots = sum(value[p] for p in sets.weights) / len(sets.weights)
    >>> one = sets.weights[min(sets.weights)]
    >>> bool(abs(sum(w * value[u] for u, w in one.items()) - pilots) < 1e-6)
    True
    """

    on: Covariates
    moments: Literal[1, 2] = field(default=1, kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        refuse_no_covariates(self.on, _WHERE)
        choice(self.missing, ("refuse", "leave_out"), "missing", _WHERE)
        if self.moments not in (1, 2) or isinstance(self.moments, bool):
            raise DesignError(
                needed="moments=1 or moments=2",
                found=repr(self.moments),
                where=_WHERE,
                todo="choose one of them",
            )

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Return the same weights for every pilot.

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
        if self.moments == 2 and len(pilots) < 2:
            raise DesignError(
                needed="at least two pilots, whose variances can be balanced",
                found=first_few(pilots),
                where=f"{_WHERE}(moments=2)",
                todo="write moments=1",
            )
        x1, x0 = self._numbers(pilots), self._numbers(candidates)
        names = list(self.on.columns)
        sd = refuse_constant(x1, x0, names, where=_WHERE)
        centre = x1.mean(axis=0)
        z1, z0 = (x1 - centre) / sd, (x0 - centre) / sd
        if self.moments == 2:
            z1, z0 = np.hstack([z1, z1**2]), np.hstack([z0, z0**2])
            names += [f"{name} squared" for name in names]
        gap = z0 - z1.mean(axis=0)
        _refuse_out_of_reach(gap, names)
        weights = _tilted(gap)
        kept = weights > np.finfo(float).eps
        shares = weights / weights[kept].sum()
        out = [unit for unit, keep in zip(candidates, kept, strict=True) if not keep]
        note = f"{first_few(out)} have a weight below machine precision and are set out"
        members = {u: float(w) for u, w, keep in zip(candidates, shares, kept, strict=True) if keep}
        return MatchedSets(
            dict.fromkeys(pilots, members), notes=(note,) if out else (), until=self.on.until
        )

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        what = "means" if self.moments == 1 else "means and variances"
        return (
            f"all pilots with comparators weighted to the pilots' {what} by entropy balancing "
            f"({', '.join(self.on.columns)})"
        )


def _refuse_out_of_reach(gap: Floats, names: Sequence[str]) -> None:
    """Refuse a target outside the candidates' convex hull; say which covariate is furthest."""
    reached = nearest_mixture(gap)
    if np.abs(reached).max() <= 1e-7:
        return
    worst = int(np.abs(reached).argmax())
    beyond = [name for name, c in zip(names, gap.T, strict=True) if c.min() > 0 or c.max() < 0]
    raise DesignError(
        needed="overlap: the pilots' means among the mixtures of comparators",
        found=(
            f"the pilots' mean of {first_few(beyond)} beyond every comparator; "
            if beyond
            else "each mean within the comparators' range, but not all at once; "
        )
        + f"the nearest mixture misses {names[worst]} by {abs(reached[worst]):.3g} standard "
        "deviations",
        where=_WHERE,
        todo="balance fewer covariates or moments=1, widen the pool, or take Matching, which "
        "shows how far the nearest are",
    )


def _tilted(gap: Floats) -> Floats:
    """Return weights exp(λ′gap), adding up to 1, under which the mean gap is zero.

    λ minimises log Σ exp(λ′gap), a convex function whose gradient is the weighted mean and whose
    Hessian is the weighted covariance: Newton's method with halved steps.

    Raises
    ------
    DesignError
        The means are on the edge of what can be reached: the weights run off.
    """

    def at(lam: Floats) -> tuple[float, Floats]:
        score = gap @ lam
        top = float(score.max())
        raw = np.exp(score - top)
        return top + float(np.log(raw.sum())), raw / raw.sum()

    lam: Floats = np.zeros(gap.shape[1])
    value, weights = at(lam)
    for _ in range(_STEPS):
        mean = weights @ gap
        if np.abs(mean).max() <= _CLOSE * 1e-3:
            return weights
        spread = (gap - mean).T @ ((gap - mean) * weights[:, None])
        step = np.linalg.lstsq(spread, mean, rcond=1e-13)[0]
        for _ in range(_HALVINGS):
            new, tried = at(lam - step)
            if new <= value:
                break
            step = step / 2
        else:
            break
        lam, value, weights = lam - step, new, tried
    mean = weights @ gap
    if np.abs(mean).max() <= _CLOSE:
        return weights
    raise DesignError(
        needed="pilots' means well within the reach of the comparators",
        found=f"means on the edge: still {np.abs(mean).max():.2g} standard deviations away when "
        "nearly all weight lies on few comparators",
        where=_WHERE,
        todo="balance fewer covariates or moments=1, or widen the pool",
    )
