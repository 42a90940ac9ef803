"""Matching: each pilot with its nearest comparators, one by one or all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from didkit.design.against import MatchedSets
from didkit.design.assign import assign_all, nearest_each, nearest_in_turn
from didkit.design.covariates import Covariates
from didkit.design.distances import euclidean, mahalanobis, propensity
from didkit.design.ids import column_names
from didkit.design.matched import (
    Matched,
    Missing,
    Unmatched,
    choice,
    non_negative,
    refuse_no_covariates,
)
from didkit.design.shown import counted
from didkit.errors import DesignError, first_few, is_whole

__all__ = ["Matching"]

Floats = NDArray[np.float64]

#: A pair at the caliper is inside it, whatever the last digit of its distance.
_EDGE = 1 + 1e-9


@dataclass(frozen=True, eq=False)
class Matching(Matched):
    """Each pilot with its nearest comparators, equal weights within a set.

    Ids are compared as text, and of equally near candidates (to a billionth) the first id is
    taken; in what order the rows stand never matters. Where several optimal matchings have the
    same sum of distances, one of them is returned, the same each time.

    Parameters
    ----------
    on : Covariates
        What the distance is made of. Columns named in `exact` are labels and no part of it.
    method : {"nearest", "optimal"}
        ``"nearest"``: each pilot takes its nearest (Stuart 2010, section 3). ``"optimal"``: the
        sum of all distances is the least there can be without using a comparator twice
        (Rosenbaum 1989), by ``scipy.optimize.linear_sum_assignment``; with a caliper or `exact`,
        the least sum among the matchings with the most pairs.
    distance : {"mahalanobis", "euclidean", "propensity"}
        ``"mahalanobis"`` uses the covariance pooled within pilots and candidates; ``"euclidean"``
        divides each covariate by the square root of that covariance's diagonal; ``"propensity"``
        is the difference of fitted probabilities of a logistic regression. The first two are in
        standard deviations. These are MatchIt's mahalanobis, scaled_euclidean and glm.
    ratio : int, default 1
        Comparators for each pilot.
    replace : bool, optional
        Whether a comparator may serve several pilots. By default yes for nearest matching, and
        no for optimal matching, which knows no other.
    order : {"id", "largest", "smallest"}
        In which order pilots choose, without replacement; the result depends on it. By id; or
        by propensity; for the other distances by the distance to the nearest candidate
        (``"largest"``: who is hardest to match chooses first). With ``ratio > 1`` every pilot
        chooses once before any chooses again, as in MatchIt.
    caliper : float, optional
        No pair is further apart than this: in standard deviations. For the propensity these are
        of the fitted probabilities of pilots and candidates together; the other distances are
        in standard deviations already.
    calipers : mapping of covariate to float, optional
        The same for single covariates, in standard deviations over pilots and candidates.
    exact : tuple of str
        Columns in which a pair must agree.
    unmatched : {"refuse", "leave_out"}
        What becomes of a pilot without any comparator inside the calipers and its stratum.
        Left out, it is not in the design and its notes say why. ``"refuse"`` also refuses an
        optimal or exclusive matching in which a pilot gets none because others took them.
    missing : {"refuse", "leave_out"}
        What becomes of a candidate without a value. A pilot without one is always refused.

    Raises
    ------
    DesignError
        An unknown option; a constant or redundant covariate; pilots and comparators that a
        propensity tells apart without error; a pilot that cannot be matched; more matches asked
        for than there are candidates.

    Notes
    -----
    A pilot with fewer than `ratio` candidates inside its calipers keeps those it has, with a
    note; optimal matching refuses it unless ``unmatched="leave_out"``. The method fails where
    nobody is near: with a few pilots at the edge of the distribution the nearest unit may be far,
    so read the distances. Matching on the outcome just before the start invites regression to
    the mean.

    Agrees with R's MatchIt 4.5.1 to 1e-6: Mahalanobis, with and without replacement, several
    each, optimal (by optmatch), and the fitted propensities. MatchIt 4.5.1's matches on a
    propensity do not agree, and are not the nearest: it takes the first unit with a lower
    propensity wherever there is one, however much nearer the next higher one is, and ignores
    calipers (its issue 163, versions 4.5.1 to 4.5.3). The tests reproduce its matches by that rule.
    Calipers are held to their definition only.

    References
    ----------
    Stuart (2010), Statistical Science 25(1); Rosenbaum (1989), Journal of the American
    Statistical Association 84(408); Rosenbaum and Rubin (1985), The American Statistician 39(1),
    for Mahalanobis matching within calipers.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> on = dk.Covariates.from_panel(panel, means={"cin": (2014, 2016), "cla": (2014, 2016)})
    >>> matched = design.compared_with(dk.Matching(on, ratio=2, missing="leave_out"))
    >>> sets = matched.matched_sets()
    >>> sets.table.groupby("pilot").size().unique().tolist()
    [2]
    >>> dk.Matching(on, method="optimal", ratio=2).describe()
    'for each pilot the mean of 2 comparators by optimal matching (mahalanobis distance; cin \
mean 2014 to 2016, cla mean 2014 to 2016)'
    """

    on: Covariates
    method: Literal["nearest", "optimal"] = field(default="nearest", kw_only=True)
    distance: Literal["mahalanobis", "euclidean", "propensity"] = field(
        default="mahalanobis", kw_only=True
    )
    ratio: int = field(default=1, kw_only=True)
    replace: bool | None = field(default=None, kw_only=True)
    order: Literal["id", "largest", "smallest"] = field(default="id", kw_only=True)
    caliper: float | None = field(default=None, kw_only=True)
    calipers: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    exact: tuple[str, ...] = field(default=(), kw_only=True)
    unmatched: Unmatched = field(default="refuse", kw_only=True)
    missing: Missing = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        refuse_no_covariates(self.on, "Matching")
        choice(self.method, ("nearest", "optimal"), "method", "Matching")
        choice(self.distance, ("mahalanobis", "euclidean", "propensity"), "distance", "Matching")
        choice(self.order, ("id", "largest", "smallest"), "order", "Matching")
        choice(self.unmatched, ("refuse", "leave_out"), "unmatched", "Matching")
        choice(self.missing, ("refuse", "leave_out"), "missing", "Matching")
        exact = column_names(self.exact, "exact", "Matching")
        object.__setattr__(self, "exact", exact)
        calipers: Any = self.calipers
        if not isinstance(calipers, Mapping):
            raise DesignError(
                needed="calipers= a mapping of covariate to number",
                found=repr(calipers),
                where="Matching",
                todo="write calipers={'cin mean 2013 to 2014': 0.5}, or leave it out",
            )
        object.__setattr__(self, "calipers", MappingProxyType(dict(calipers)))
        if self.replace is None:
            object.__setattr__(self, "replace", self.method == "nearest")
        self.on.select(exact or self.on.columns)  # refuses an unknown one
        if not is_whole(self.ratio) or self.ratio < 1:
            raise DesignError(
                needed="ratio= a whole number from 1 on",
                found=repr(self.ratio),
                where="Matching",
                todo="say how many comparators each pilot is to have",
            )
        if self.caliper is not None:
            non_negative(self.caliper, "caliper", "Matching", positive=True)
        for column, width in self.calipers.items():
            non_negative(width, f"calipers[{column!r}]", "Matching", positive=True)
        unknown = [column for column in self.calipers if column not in self.measured]
        if unknown or not self.measured:
            raise DesignError(
                needed="at least one covariate in the distance, and calipers on those only",
                found=f"calipers on {first_few(unknown)}"
                if unknown
                else f"all of {first_few(self.on.columns)} in exact=",
                where="Matching",
                todo="choose from: " + ", ".join(self.on.columns),
            )
        if self.replace and (self.method == "optimal" or self.order != "id"):
            raise DesignError(
                needed="matching without replacement for method='optimal' and for an order in "
                "which pilots choose",
                found=f"replace=True, method={self.method!r}, order={self.order!r}",
                where="Matching",
                todo="write replace=False",
            )

    @property
    def measured(self) -> tuple[str, ...]:
        """Name the covariates in the distance: all that are not in `exact`."""
        return tuple(column for column in self.on.columns if column not in self.exact)

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Return the sets of these pilots among these candidates, with their distances.

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
        needed = self.ratio if self.replace else self.ratio * len(pilots)
        if needed > len(candidates) and (self.replace or self.unmatched == "refuse"):
            raise DesignError(
                needed=f"at least {needed} possible comparators for "
                f"{counted(len(pilots), 'pilot')}, {self.ratio} each"
                + ("" if self.replace else ", none of them twice"),
                found=f"{len(candidates)}",
                where="Matching(ratio=)",
                todo="ask for fewer" + ("" if self.replace else ", or write replace=True"),
            )
        apart, allowed, score = self._apart(pilots, candidates)
        if self.unmatched == "refuse":
            self._refuse_alone(pilots, candidates, apart, allowed)
        cost = np.where(allowed, apart, np.inf)
        if self.method == "optimal":
            found = assign_all(cost, self.ratio)
        elif self.replace:
            found = nearest_each(cost, self.ratio)
        else:
            found = nearest_in_turn(cost, self.ratio, self._turns(cost, score))
        return self._sets(pilots, candidates, apart, allowed, found)

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        many = f"{self.ratio} comparators" if self.ratio > 1 else "one comparator"
        how = [f"{self.distance} distance"]
        if self.method == "nearest" and not self.replace:
            how.append("each comparator once")
        if self.caliper is not None:
            how.append(f"caliper {self.caliper:g}")
        how += [f"caliper {width:g} on {column}" for column, width in self.calipers.items()]
        how += [f"same {column}" for column in self.exact]
        whose = f"for each pilot the mean of {many}" if self.ratio > 1 else f"for each pilot {many}"
        return f"{whose} by {self.method} matching ({', '.join(how)}; {', '.join(self.measured)})"

    # -- steps -------------------------------------------------------------------------------------

    def _apart(
        self, pilots: Sequence[str], candidates: Sequence[str]
    ) -> tuple[Floats, NDArray[np.bool_], Floats | None]:
        """Return distances, which pairs may be, and the pilots' propensities where fitted."""
        names = self.measured
        x1, x0 = self.on.numbers(pilots, names), self.on.numbers(candidates, names)
        score: Floats | None = None
        width = self.caliper
        if self.distance == "propensity":
            score, other = propensity(x1, x0, names, where="Matching(distance='propensity')")
            apart: Floats = np.abs(score[:, None] - other)
            if width is not None:
                width *= float(np.std(np.r_[score, other], ddof=1))
        elif self.distance == "mahalanobis":
            apart = mahalanobis(x1, x0, names, where="Matching(distance='mahalanobis')")
        else:
            apart = euclidean(x1, x0, names, where="Matching(distance='euclidean')")
        allowed = self._same(pilots, candidates)
        if width is not None:
            allowed &= apart <= width * _EDGE
        for column, wide in self.calipers.items():
            at = names.index(column)
            limit = wide * float(np.std(np.r_[x1[:, at], x0[:, at]], ddof=1))
            allowed &= np.abs(x1[:, at, None] - x0[:, at]) <= limit * _EDGE
        return apart, allowed, score

    def _same(self, pilots: Sequence[str], candidates: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which pairs agree in the columns of `exact`."""
        if not self.exact:
            return np.ones((len(pilots), len(candidates)), dtype=bool)
        ours = self.on.labels(pilots, self.exact)
        theirs = self.on.labels(candidates, self.exact)
        return np.array([[one == other for other in theirs] for one in ours], dtype=bool)

    def _refuse_alone(
        self,
        pilots: Sequence[str],
        candidates: Sequence[str],
        apart: Floats,
        allowed: NDArray[np.bool_],
    ) -> None:
        """Refuse pilots with no candidate at all inside stratum and calipers."""
        alone = [i for i, row in enumerate(allowed) if not row.any()]
        if not alone:
            return
        reasons = self._reasons([pilots[i] for i in alone], candidates, apart[alone])
        raise DesignError(
            needed="a comparator inside the caliper and the stratum of every pilot",
            found=f"none for {first_few(reasons.values())}",
            where="Matching",
            todo="widen the caliper or the strata, or write unmatched='leave_out' to go on "
            "without these pilots and say so",
        )

    def _reasons(
        self, pilots: Sequence[str], candidates: Sequence[str], apart: Floats
    ) -> dict[str, str]:
        """Say of each pilot without a possible comparator why it has none."""
        made: dict[str, str] = {}
        for pilot, row, same in zip(pilots, apart, self._same(pilots, candidates), strict=True):
            if not same.any():
                label = ", ".join(map(str, self.on.labels([pilot], self.exact)[0]))
                made[pilot] = f"{pilot}: no comparator with {', '.join(self.exact)} = {label}"
                continue
            near = int(np.where(same, row, np.inf).argmin())
            widths = [f"{self.caliper:g}"] if self.caliper is not None else []
            widths += [f"{width:g} on {column}" for column, width in self.calipers.items()]
            unit = " in probability" if self.distance == "propensity" else ""
            made[pilot] = (
                f"{pilot}: the nearest is {candidates[near]} at {row[near]:.3g}{unit} and the "
                f"caliper is {' and '.join(widths)} standard deviations"
            )
        return made

    def _turns(self, cost: Floats, score: Floats | None) -> list[int]:
        """Return the positions of the pilots in the order in which they choose."""
        if self.order == "id":
            return list(range(len(cost)))
        key = cost.min(axis=1) if score is None else score
        key = np.where(np.isfinite(key), key, 0.0)
        # Rounded, so that ties stay ties and fall to the id.
        scale = max(float(np.abs(key).max()), np.finfo(float).tiny)
        key = np.round(key / scale, 9)
        return [
            int(at) for at in np.argsort(-key if self.order == "largest" else key, kind="stable")
        ]

    def _sets(
        self,
        pilots: Sequence[str],
        candidates: Sequence[str],
        apart: Floats,
        allowed: NDArray[np.bool_],
        found: list[list[int]],
    ) -> MatchedSets:
        """Make matched sets of positions; say who has none, and who has fewer than asked for."""
        weights: dict[str, dict[str, float]] = {}
        distances: dict[str, dict[str, float]] = {}
        alone = [i for i, row in enumerate(allowed) if not row.any()]
        unmatched = self._reasons([pilots[i] for i in alone], candidates, apart[alone])
        unmatched = {pilot: why.partition(": ")[2] for pilot, why in unmatched.items()}
        for i, (pilot, chosen) in enumerate(zip(pilots, found, strict=True)):
            if chosen:
                members = [candidates[at] for at in chosen]
                weights[pilot] = dict.fromkeys(members, 1 / len(members))
                distances[pilot] = {candidates[at]: float(apart[i, at]) for at in chosen}
            elif pilot not in unmatched:
                unmatched[pilot] = "every comparator that it could have serves another pilot"
        taken = [pilot for i, pilot in enumerate(pilots) if pilot in unmatched and i not in alone]
        if taken and self.unmatched == "refuse":
            raise DesignError(
                needed="a comparator for every pilot, none of them used twice",
                found=f"none left for {first_few(taken)}: those inside their calipers and strata "
                "serve other pilots",
                where="Matching",
                todo="write replace=True, widen the caliper, or write unmatched='leave_out'",
            )
        if not weights:
            raise DesignError(
                needed="at least one pilot with a comparator",
                found=f"none of {len(pilots)}: "
                + first_few(f"{pilot}: {why}" for pilot, why in unmatched.items()),
                where="Matching",
                todo="widen the caliper or the strata",
            )
        few = [f"{p} ({len(m)})" for p, m in weights.items() if len(m) < self.ratio]
        if few and self.method == "optimal" and self.unmatched == "refuse":
            raise DesignError(
                needed=f"{self.ratio} comparators for every pilot",
                found=f"fewer for {first_few(few)} inside their calipers and strata",
                where="Matching(method='optimal')",
                todo="ask for fewer, widen the caliper, or write unmatched='leave_out' to keep "
                "what there is, with a note",
            )
        note = f"fewer than {self.ratio} comparators could be matched to {first_few(few, 8)}"
        return MatchedSets(
            weights,
            distances=distances,
            unmatched=unmatched,
            notes=(*((note,) if few else ()), self._farthest(distances)),
            until=self.on.until,
        )

    def _farthest(self, distances: Mapping[str, Mapping[str, float]]) -> str:
        """Say which pair is farthest apart; of ties (to nine digits) the first by ids."""
        pairs = [
            (float(f"{apart:.9g}"), pilot, other)
            for pilot, members in sorted(distances.items())
            for other, apart in sorted(members.items())
        ]
        apart, pilot, other = max(pairs, key=lambda pair: pair[0])
        unit = " in probability" if self.distance == "propensity" else " standard deviations apart"
        name = ", Mahalanobis" if self.distance == "mahalanobis" else ""
        return f"the farthest of the matched: {pilot} and {other}, {apart:.3g}{unit}{name}"
