"""Cardinality matching: as many comparators as can be balanced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from didkit.design.against import MatchedSets
from didkit.design.covariates import Covariates
from didkit.design.distances import nearest_mixture, refuse_constant
from didkit.design.ids import column_names
from didkit.design.matched import Matched, Missing, choice, non_negative, refuse_no_covariates
from didkit.design.shown import counted
from didkit.errors import DesignError, first_few

__all__ = ["CardinalityMatching"]

Floats = NDArray[np.float64]

_WHERE = "CardinalityMatching"
#: How long one programme may take.
_SECONDS = 60


@dataclass(frozen=True, eq=False)
class CardinalityMatching(Matched):
    """The most comparators whose plain means are within a tolerance of the pilots'.

    An integer programme chooses the largest set of comparators in which the mean of every covariate
    differs from the pilots' mean by at most the tolerance. All pilots are compared with this one
    set, equal weights. Of several largest sets it takes the one nearest the pilots' mean (least
    sum of Euclidean distances in standard deviations); any further ties fall to the solver, the
    same each time.

    Parameters
    ----------
    on : Covariates
        Numbers, and labels named in `exact`.
    tolerance : float, default 0.1
        In standard deviations of the covariate.
    sd : {"pilots", "pooled"}
        Whose: of the pilots, as balance tables have it, or within pilots and candidates pooled,
        which also exists for one pilot.
    exact : tuple of str
        Columns of labels: each label has exactly the same share among the comparators as among
        the pilots (fine balance).
    missing : {"refuse", "leave_out"}
        What becomes of a candidate without a value. A pilot without one is always refused.

    Raises
    ------
    DesignError
        No set is within the tolerance; a covariate has no standard deviation.

    Notes
    -----
    Means are balanced, not the distributions, and not each pilot. The method fails where pilots
    lie at the edge of the comparators; the error names the covariate that is furthest away.
    Solved exactly by ``scipy.optimize.milp``, which takes a fraction of a second, and seconds where
    the tolerance is tight; held to enumeration on small pools.

    References
    ----------
    Zubizarreta, Paredes and Rosenbaum (2014), Annals of Applied Statistics 8(1).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> on = dk.Covariates.from_panel(panel, means={"cin": (2014, 2016), "cla": (2014, 2016)})
    >>> how = dk.CardinalityMatching(on, tolerance=0.05, missing="leave_out")
    >>> chosen = design.compared_with(how)
    >>> 0 < len(chosen.comparators) <= len(design.compared_with(dk.Pool()).comparators)
    True
    """

    on: Covariates
    tolerance: float = field(default=0.1, kw_only=True)
    sd: Literal["pilots", "pooled"] = field(default="pilots", kw_only=True)
    exact: tuple[str, ...] = field(default=(), kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        refuse_no_covariates(self.on, _WHERE)
        choice(self.sd, ("pilots", "pooled"), "sd", _WHERE)
        choice(self.missing, ("refuse", "leave_out"), "missing", _WHERE)
        non_negative(self.tolerance, "tolerance", _WHERE)
        exact = column_names(self.exact, "exact", _WHERE)
        object.__setattr__(self, "exact", exact)
        self.on.select(exact or self.on.columns)  # refuses an unknown one

    @property
    def measured(self) -> tuple[str, ...]:
        """Name the covariates whose means are balanced: all that are not in `exact`."""
        return tuple(column for column in self.on.columns if column not in self.exact)

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Return the same comparators, equal weights, for every pilot.

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
        names = self.measured
        x1, x0 = self.on.numbers(pilots, names), self.on.numbers(candidates, names)
        sd = self._sd(x1, x0)
        gap = (x0 - x1.mean(axis=0)) / sd
        shares, labels = self._shares(pilots, candidates)
        chosen = _largest(gap, self.tolerance, shares)
        if chosen is None:
            raise _refuse_none(gap, self.tolerance, names, labels)
        kept = [unit for unit, keep in zip(candidates, chosen, strict=True) if keep]
        members = dict.fromkeys(kept, 1 / len(kept))
        return MatchedSets(dict.fromkeys(pilots, members), until=self.on.until)

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        same = "".join(f", same shares of {column}" for column in self.exact)
        return (
            "all pilots with the most comparators whose means are within "
            f"{self.tolerance:g} standard deviations of the pilots'{same} "
            f"({', '.join(self.measured)})"
        )

    def _sd(self, x1: Floats, x0: Floats) -> Floats:
        """Return the standard deviations that the tolerance is in."""
        pooled = refuse_constant(x1, x0, self.measured, where=_WHERE)
        if self.sd == "pooled":
            return pooled
        own: Floats = np.std(x1, axis=0, ddof=1) if len(x1) > 1 else np.zeros(x1.shape[1])
        same = [name for name, s in zip(self.measured, own / pooled, strict=True) if s < 1e-9]
        if same:
            raise DesignError(
                needed="covariates with a standard deviation among the pilots",
                found=f"none for {first_few(same)}, with {counted(len(x1), 'pilot')}",
                where=f"{_WHERE}(sd='pilots')",
                todo="write sd='pooled'",
            )
        return own

    def _shares(self, pilots: Sequence[str], candidates: Sequence[str]) -> tuple[Floats, list[str]]:
        """Return rows that add up to zero over a set with the pilots' share of each label.

        Whole numbers: the number of pilots where a candidate has the label, less the number of
        pilots that have it.
        """
        n1 = len(pilots)
        rows: list[Floats] = []
        names: list[str] = []
        for column in self.exact:
            ours = [one[0] for one in self.on.labels(pilots, [column])]
            theirs = [one[0] for one in self.on.labels(candidates, [column])]
            for label in sorted({*ours, *theirs}, key=str):
                share = sum(one == label for one in ours)
                rows.append(np.array([n1 * (one == label) - share for one in theirs], dtype=float))
                names.append(f"{column} = {label}")
        return np.array(rows, dtype=float).reshape(len(rows), len(candidates)), names


def _largest(gap: Floats, tolerance: float, shares: Floats) -> NDArray[np.bool_] | None:
    """Return the largest set within the tolerance, the nearest among these; None without any.

    Parameters
    ----------
    gap : array, (candidates × covariates)
        From the pilots' mean, in standard deviations.
    tolerance : float
        In standard deviations.
    shares : array, (labels × candidates)
        Each row adds up to zero over the set.
    """
    from scipy.optimize import LinearConstraint

    n = len(gap)
    rows = np.vstack([gap.T - tolerance, -gap.T - tolerance, shares, np.ones((1, n))])
    low = np.r_[np.full(2 * gap.shape[1], -np.inf), np.zeros(len(shares)), 1.0]
    high = np.r_[np.zeros(2 * gap.shape[1] + len(shares)), float(n)]
    most = _solve(-np.ones(n), LinearConstraint(rows, low, high))
    if most is None:
        return None
    low[-1] = high[-1] = float(most.sum())
    nearest = _solve(np.linalg.norm(gap, axis=1), LinearConstraint(rows, low, high))
    return most if nearest is None else nearest


def _solve(cost: Floats, constraint: Any) -> NDArray[np.bool_] | None:
    """Return the 0/1 vector of least cost, None where there is none.

    Raises
    ------
    DesignError
        Not solved in time.
    """
    from scipy.optimize import Bounds, milp

    found = milp(
        cost,
        integrality=np.ones(len(cost), dtype=int),
        bounds=Bounds(0, 1),
        constraints=constraint,
        options={"mip_rel_gap": 0.0, "time_limit": float(_SECONDS)},
    )
    if found.status == 2:
        return None
    if found.status != 0:
        raise DesignError(
            needed=f"a programme that is solved within {_SECONDS} seconds",
            found=f"{found.message}",
            where=_WHERE,
            todo="use fewer covariates, or a wider tolerance",
        )
    return np.asarray(found.x > 0.5)


def _refuse_none(
    gap: Floats, tolerance: float, names: Sequence[str], labels: Sequence[str]
) -> DesignError:
    """Return the error that says which covariate is furthest away."""
    reached = nearest_mixture(gap) if gap.shape[1] else np.zeros(1)
    worst = int(np.abs(reached).argmax())
    miss = float(np.abs(reached[worst]))
    if miss > tolerance:
        found = (
            f"{names[worst]}: even the nearest mixture of comparators is {miss:.3g} standard "
            f"deviations away, and the tolerance is {tolerance:g}"
        )
    else:
        mixed = f", although mixtures with unequal weights come within {miss:.3g}" if names else ""
        shared = f"; labels to be shared exactly: {first_few(labels)}" if labels else ""
        found = f"none{mixed}{shared}"
    return DesignError(
        needed="a set of comparators with every mean within the tolerance of the pilots'",
        found=found,
        where=_WHERE,
        todo="widen the tolerance, use fewer covariates or labels, or widen the pool",
    )
