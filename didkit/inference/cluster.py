"""Cluster-robust standard errors, CR0 to CR3J, with degrees of freedom said by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit import linear
from didkit.errors import InferenceError, first_few
from didkit.inference.arms import lost_in_words, with_variance
from didkit.inference.groups import (
    By,
    Groups,
    Part,
    both,
    by_in_words,
    check_by,
    groups_of,
    part_of,
)
from didkit.inference.student import from_covariance
from didkit.linear import Normal
from didkit.results import Estimate, JointTest

__all__ = ["ClusterRobust"]

Floats = NDArray[np.float64]
Kind = Literal["CR0", "CR1", "CR2", "CR3", "CR3J"]
Degrees = Literal["bell-mccaffrey", "welch", "g-1", "normal"]
Factor = Literal["clusters", "full", "nested", "fixest"]

_DEFAULT_DF: dict[str, Degrees] = {
    "CR0": "normal",
    "CR1": "g-1",
    "CR2": "bell-mccaffrey",
    "CR3": "g-1",
    "CR3J": "g-1",
}
_DF_WORDS = {
    "bell-mccaffrey": "Bell–McCaffrey degrees of freedom",
    "welch": "Welch's degrees of freedom",
    "g-1": "G − 1 degrees of freedom",
    "normal": "normal",
}
_ALSO_CALLED = {"satterthwaite": "bell-mccaffrey", "bm": "bell-mccaffrey", "z": "normal"}
_FEW = 10  #: clusters below which t with one degree of freedom less than clusters is unreliable
_INDEFINITE = 1e-10  #: of the largest eigenvalue: a smaller negative one is rounding
_FACTOR_WORDS = {
    "clusters": "G/(G−1)",
    "full": "(N−1)/(N−K)·G/(G−1), K with the unit effects",
    "nested": "(N−1)/(N−K)·G/(G−1), K without the unit effects",
    "fixest": "(N−1)/(N−K)·G/(G−1), G the fewest, K without effects nested in clusters",
}


@dataclass(frozen=True)
class ClusterRobust:
    """Standard errors robust to anything inside a cluster (by default, an authority).

    Parameters
    ----------
    kind : {"CR0", "CR1", "CR2", "CR3", "CR3J"}
        CR2 (Bell & McCaffrey 2002) is unbiased when errors are alike; CR3 is clubSandwich's, CR3J
        the cluster jackknife, CR3 × (G−1)/G (summclust). CR0 and CR1 need cross-products or
        influence; CR2, CR3 and CR3J need cross-products.
    df : {"bell-mccaffrey", "welch", "g-1", "normal"}, optional
        By default Bell–McCaffrey with CR2, normal with CR0, G − 1 with the others. Welch's exists
        for comparisons of one number a unit.
    factor : {"clusters", "full", "nested", "fixest"}
        Small-sample factor of CR1: G/(G−1); the same times (N−1)/(N−K) with K counting the
        absorbed unit effects (Stata's and statsmodels' regression with dummies); or not counting
        them (fixest, Stata's xtreg). ``"fixest"`` is for two ways: what fixest does by default,
        G the fewer clusters in all three parts, and K without unit effects and, where one way is
        "period", without period effects.
    by : str, mapping, or two of these, optional
        What is a cluster, by default what the design says (a unit). ``"unit"``; ``"period"``;
        ``"set"`` (a pilot and its matched set); a column of ``panel.units`` such as ``"region"``;
        or a mapping (or pandas Series) of unit to label. Two of these are two-way clustering, with
        CR0 or CR1.

    Notes
    -----
    **Two ways** (Cameron, Gelbach & Miller 2011): ``V = V_a + V_b − V_ab``, each part with its own
    small-sample factor (``G_a/(G_a−1)``, …; with ``factor="full"`` statsmodels'
    ``cov_cluster_2groups``), and min(G_a, G_b) − 1 degrees of freedom. V may have a negative
    eigenvalue: nothing is repaired; a note gives the number, a term without a positive variance has
    no standard error, and the uniform band is Bonferroni's.

    **Groups above the unit** must hold whole clusters of the design. Two of them must hold pilots
    and two comparators, and t with CR2 has few degrees of freedom where pilots lie in few groups.
    **Periods**: the pilots' cells on each side of the start must lie in two periods at least (so an
    event study with one start has no variance by period), and by period alone whatever lasts
    inside a unit is ignored.

    **What an estimate must publish.** One way above units: CR0 and CR1 with G/(G−1) need
    `influence` or cross-products, all else cross-products. Cells in groups (periods) need
    ``regroup``. Sets that share nobody need `weights`: CR2 is then the paired t test.

    Fails with few pilots: nominal 5 % tests with CR1 and t(G−1) reject a true null 9 % of the time
    with nine pilots of 150, 22 % with three; with one pilot no variance exists and it is refused.
    CR2 with Bell–McCaffrey holds its size from two pilots on when errors are near normal.

    References
    ----------
    Cameron, Gelbach & Miller (2011); Bell & McCaffrey (2002); Imbens & Kolesár (2016);
    Pustejovsky & Tipton (2018); MacKinnon, Nielsen & Webb (2023). The formulas stand in
    `didkit.linear`.

    Examples
    --------
    >>> ClusterRobust("CR2").df_used
    'bell-mccaffrey'
    """

    kind: Kind = "CR2"
    df: Degrees | None = field(default=None, kw_only=True)
    factor: Factor = field(default="clusters", kw_only=True)
    by: By | tuple[By, By] | None = field(default=None, kw_only=True, hash=False)

    def __repr__(self) -> str:
        said = "" if self.by is None else f", by={by_in_words(self.by)}"
        return f"ClusterRobust(kind={self.kind!r}, df={self.df!r}, factor={self.factor!r}{said})"

    def __post_init__(self) -> None:
        for given, known, name in (
            (self.kind, _DEFAULT_DF, "kind"),
            (self.df, (*_DF_WORDS, None), "df"),
            (self.factor, _FACTOR_WORDS, "factor"),
        ):
            if given not in tuple(known):
                raise InferenceError(
                    needed=f"{name}: " + ", ".join(str(k) for k in known if k),
                    found=repr(given),
                    where="ClusterRobust",
                    todo=_nearest(given, [str(k) for k in known if k]),
                )
        if self.factor != "clusters" and self.kind != "CR1":
            raise InferenceError(
                needed="factor= with kind='CR1' only",
                found=f"factor={self.factor!r} with kind={self.kind!r}",
                where="ClusterRobust",
                todo="leave factor= out: the other kinds have their own adjustment",
            )
        object.__setattr__(self, "by", check_by(self.by))
        if self._two and self.kind not in ("CR0", "CR1"):
            raise InferenceError(
                needed="kind='CR0' or kind='CR1' with two ways to cluster",
                found=f"kind={self.kind!r}",
                where="ClusterRobust(by=)",
                todo="for example ClusterRobust('CR1', by=('unit', 'period'))",
            )
        if not self._two and self.factor == "fixest":
            raise InferenceError(
                needed="factor='fixest' with two ways to cluster only",
                found=f"by={by_in_words(self.by)}",
                where="ClusterRobust(factor=)",
                todo="one way, fixest's factor is factor='nested'",
            )
        if self._two and self.factor == "nested":
            raise InferenceError(
                needed="factor='clusters' or factor='full' with two ways to cluster",
                found="factor='nested': units lie inside the clusters of one way only",
                where="ClusterRobust(by=)",
                todo="choose one of the two, or factor='fixest'",
            )
        only = ("g-1", "normal") if self._two else tuple(one for one in _DF_WORDS if one != "welch")
        if self.by is not None and self.df_used not in only:
            raise InferenceError(
                needed="df: " + " or ".join(only),
                found=f"df={self.df_used!r} with by={self.by!r}",
                where="ClusterRobust(by=)",
                todo="choose one, or leave df= out",
            )

    @property
    def _two(self) -> bool:
        return isinstance(self.by, tuple)

    @property
    def df_used(self) -> Degrees:
        """The degrees of freedom in use."""
        return self.df or _DEFAULT_DF[self.kind]

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach standard errors, tests and intervals.

        Raises
        ------
        InferenceError
            If the estimate lacks what the kind needs, or has one pilot or one comparator.
        """
        groups, parts = self._parts(estimate)
        exists = with_variance(estimate, repr(self), groups)
        covariance = np.full((estimate.n_terms,) * 2, np.nan)
        made = sum(
            sign * self._covariance(estimate, part, exists, parts)
            for sign, part in zip((1, 1, -1), parts, strict=False)
        )
        said: tuple[str, ...] = lost_in_words(estimate, exists)
        if self._two:
            made, indefinite = self._two_way(estimate, np.asarray(made), exists)
            said += indefinite
        covariance[np.ix_(exists, exists)] = made
        df = np.full(estimate.n_terms, np.nan)
        df[exists] = self._degrees(estimate, parts, exists)
        recipe = f"{self.kind}, {_DF_WORDS[self.df_used]}"
        if self._two and self.df_used == "g-1":
            recipe = f"{self.kind}, min(G) − 1 degrees of freedom"
        if self.kind == "CR1":
            recipe += f", factor {_FACTOR_WORDS[self.factor]}"
        if any(not one.whole for one in groups) and not self._two:
            said += ("clusters are periods: what lasts inside a unit is ignored",)
        said += self._few(estimate, groups, parts)
        return from_covariance(
            estimate,
            self,
            covariance,
            df,
            level=level,
            method=f"{recipe}; {_clusters_in_words(estimate, groups, parts)}",
            notes=said,
        )

    def _few(self, estimate: Estimate, groups: list[Groups], parts: list[Part]) -> tuple[str, ...]:
        """Warn of few clusters above units, unless the degrees of freedom allow for them."""
        fewest = _fewest(parts[: max(len(groups), 1)])
        above = bool(groups) or estimate.sample.clustered_above
        if not above or fewest >= _FEW or self.df_used not in ("g-1", "normal"):
            return ()
        names = [one.name for one in groups] or ["cluster"]
        at = [part.count for part in parts[: len(names)]].index(fewest)
        by = "" if names[at] == "cluster" else f" by {names[at]}"
        law = "the normal" if self.df_used == "normal" else f"t with {fewest - 1}"
        return (f"{fewest} clusters{by}: {law} is unreliable with fewer than {_FEW} clusters",)

    def _parts(self, estimate: Estimate) -> tuple[list[Groups], list[Part]]:
        """Return the groupings asked for (none: the design's), and what the variance is made of."""
        if self.by is None:
            labels = estimate.sample.cluster_labels
            if estimate.normal is not None and estimate.contrast is not None:
                return [], [Part(len(labels), labels, estimate.normal, estimate.contrast)]
            if estimate.influence is None:
                # one pilot is refused for what it is, before what the estimate lacks
                with_variance(estimate, repr(self))
                raise self._lacks(estimate, "cross-products by cluster")
            member, scores = estimate.sample.clusters, estimate.influence
            if len(labels) < len(scores) or not np.array_equal(member, np.arange(len(member))):
                scores = np.stack(
                    [np.bincount(member, own, len(labels)) for own in scores.T], axis=1
                )
            return [], [Part(len(labels), labels, None, None, scores)]
        ways = self.by if isinstance(self.by, tuple) else (self.by,)
        groups = [groups_of(estimate, way, repr(self)) for way in ways]
        every = [*groups, both(*groups)] if len(groups) == 2 else groups
        parts = [part_of(estimate, one, repr(self)) for one in every]
        there = [part for part in parts if part is not None]
        if len(there) < len(parts):
            raise self._lacks(estimate, "cross-products by groups of cells")
        return groups, there

    def _covariance(
        self, estimate: Estimate, part: Part, exists: NDArray[np.bool_], parts: list[Part]
    ) -> Floats:
        normal = part.normal
        if normal is not None and part.contrast is not None:
            rows = part.contrast[exists]
            if self.kind == "CR0":
                return linear.cr0(normal, rows)
            if self.kind == "CR1" and self.factor == "fixest":
                fewest, free = _fewest(parts), _free(normal, part.contrast, self.by)
                scale = (normal.n_obs - 1) / (normal.n_obs - free) * fewest / (fewest - 1)
                return np.asarray(scale * linear.cr0(normal, rows))
            if self.kind == "CR1" and self.factor != "fixest":
                return linear.cr1(normal, rows, self.factor)
            if self.kind == "CR2":
                return linear.cr2(normal, rows)
            return linear.cr3(normal, rows) if self.kind == "CR3" else linear.cr3j(normal, rows)
        if part.scores is None or self.kind not in ("CR0", "CR1"):
            raise self._lacks(estimate, "cross-products by cluster")
        if self.factor != "clusters":
            raise self._lacks(estimate, "the number of parameters")
        scores, n = part.scores if exists.all() else part.scores[:, exists], part.count
        return np.asarray(scores.T @ scores * (n / (n - 1) if self.kind == "CR1" else 1.0))

    def _two_way(
        self, estimate: Estimate, covariance: Floats, exists: NDArray[np.bool_]
    ) -> tuple[Floats, tuple[str, ...]]:
        """Take out terms without a positive variance, and say whether V has a negative eigenvalue.

        Raises
        ------
        InferenceError
            If no term has a positive variance.
        """
        names = [t for t, there in zip(estimate.terms["term"], exists, strict=True) if there]
        variance = np.diagonal(covariance).copy()
        none = variance <= 0
        found = [f"{t}: {v:.4g}" for t, v, gone in zip(names, variance, none, strict=True) if gone]
        if none.all():
            raise InferenceError(
                needed="a positive variance V_a + V_b − V_ab",
                found=first_few(found),
                where=f"{self!r} of {estimate.metric.name!r}",
                todo="cluster one way: by='unit' or the other",
            )
        said = []
        if found:
            said.append(f"V_a + V_b − V_ab is not positive ({first_few(found)}): no standard error")
        least, largest = np.linalg.eigvalsh(covariance)[[0, -1]]
        if least < -_INDEFINITE * largest:
            said.append(
                f"the two-way covariance has a negative eigenvalue, {least:.3g} (the largest is "
                f"{largest:.3g}); nothing is repaired"
            )
        made = covariance.copy()
        made[none] = np.nan
        made[:, none] = np.nan
        return made, tuple(said)

    def _degrees(self, estimate: Estimate, parts: list[Part], exists: NDArray[np.bool_]) -> Floats:
        """Degrees of freedom of the terms that have a variance."""
        if self.df_used == "normal":
            return np.full(int(exists.sum()), np.inf)
        if self.df_used == "g-1":
            return np.full(int(exists.sum()), _fewest(parts) - 1.0)
        if self.df_used == "welch":
            return _welch(estimate, self, exists)
        normal, contrast = parts[0].normal, parts[0].contrast
        if normal is None or contrast is None:
            raise self._lacks(estimate, "cross-products by cluster")
        return linear.df_satterthwaite(normal, contrast[exists], self._adjustment)

    @property
    def _adjustment(self) -> Literal["CR0", "CR1", "CR2", "CR3"]:
        """The kind whose adjustment of residuals gives the degrees of freedom."""
        return "CR3" if self.kind == "CR3J" else self.kind

    def _lacks(self, estimate: Estimate, what: str) -> InferenceError:
        return InferenceError(
            needed=what,
            found=f"{type(estimate.estimator).__name__} against "
            f"{estimate.design.against.describe()} publishes none",
            where=repr(self),
            todo="use Jackknife(), which refits"
            if self.by is None
            else "use ClusterRobust without by=, or Jackknife() on a design with clusters=",
        )

    def joint(self, estimate: Estimate, terms: tuple[str, ...]) -> JointTest:
        """Test that several terms are zero together, with the same covariance.

        Hotelling's T² with the approximate degrees of freedom of Pustejovsky & Tipton (2018)
        (with "g-1" an F with G − 1, with "normal" a χ²).

        Raises
        ------
        InferenceError
            If a term has no variance or the degrees of freedom do not suffice.
        """
        made = self.attach(estimate)
        parts = self._parts(estimate)[1]
        at = [list(estimate.terms["term"]).index(term) for term in terms]
        covariance = made.covariance.to_numpy()[np.ix_(at, at)]
        values, q = estimate.values[at], len(at)
        if not np.isfinite(covariance).all():
            raise InferenceError(
                needed="a variance for every term tested together",
                found="terms without one: carried by one pilot, or not positive",
                where=repr(self),
                todo="test fewer terms, or use Permutation",
            )
        if self.df_used in ("bell-mccaffrey", "welch"):
            normal, contrast = parts[0].normal, parts[0].contrast
            if normal is None or contrast is None:
                raise self._lacks(estimate, "cross-products by cluster")
            df = linear.df_hotelling(normal, contrast[at], self._adjustment)
            found = linear.hotelling(values, covariance, df)
            return JointTest(
                terms,
                float(found.statistic),
                float(found.p_value),
                f"{self.kind}, Hotelling's T² with {df:.1f} degrees of freedom",
            )
        fewest = _fewest(parts)
        least, largest = np.linalg.eigvalsh(covariance)[[0, -1]]
        if least < -_INDEFINITE * largest:
            raise InferenceError(
                needed="a covariance without negative eigenvalues",
                found=f"an eigenvalue of {least:.3g} (the largest is {largest:.3g})",
                where=repr(self),
                todo="test fewer terms together, or cluster one way",
            )
        rank = np.linalg.matrix_rank(covariance, hermitian=True)
        if rank < q:
            raise InferenceError(
                needed=f"a covariance of full rank for {q} terms",
                found=f"rank {rank}, from {fewest} clusters",
                where=repr(self),
                todo="test fewer terms together, or use Permutation()",
            )
        wald = float(values @ np.linalg.solve(covariance, values))
        if self.df_used == "normal":
            p = float(scipy.special.chdtrc(q, wald))
            return JointTest(terms, wald, p, f"{self.kind}, χ² with {q} degrees of freedom")
        p = float(scipy.special.fdtrc(q, fewest - 1, wald / q))
        last = "min(G) − 1" if self._two else "G − 1"
        return JointTest(terms, wald / q, p, f"{self.kind}, F with {q} and {last}")

    def scores(self, estimate: Estimate) -> pd.DataFrame:
        """Return what each cluster contributes to each term's sampling error.

        Returns
        -------
        DataFrame
            Indexed by cluster, a column a term, in the metric's unit: the sum of squares of a
            column is the CR0 variance.

        Raises
        ------
        InferenceError
            With two ways to cluster, or an estimate that publishes nothing to make them of.

        Examples
        --------
        >>> import didkit as dk
        >>> panel, design = dk.datasets.load_evaluation()
        >>> did = dk.DiD().fit(design, "cpp")
        >>> table = ClusterRobust("CR0").scores(did)
        >>> error = did.infer(ClusterRobust("CR0"))["att"]["std_error"]
        >>> bool(abs((table["att"] ** 2).sum() ** 0.5 - error) < 1e-9)
        True
        """
        if self._two:
            raise InferenceError(
                needed="one way to cluster",
                found=f"by={self.by!r}",
                where=f"scores of {estimate.metric.name!r}",
                todo="cluster one way",
            )
        part = self._parts(estimate)[1][0]
        if part.scores is not None:
            made = part.scores
        elif part.normal is not None and part.contrast is not None:
            made = part.normal.scores @ (part.contrast @ part.normal.M).T
        else:
            raise self._lacks(estimate, "cross-products by cluster")
        return pd.DataFrame(made, index=list(part.labels), columns=list(estimate.terms["term"]))


def _nearest(given: object, known: list[str]) -> str:
    """Name the option that was probably meant."""
    text = str(given).strip().lower()
    by_lower = {one.lower(): one for one in known}
    other = _ALSO_CALLED.get(text)
    near = [other] if other in known else difflib.get_close_matches(text, by_lower, n=1)
    return f"did you mean {by_lower[near[0]]!r}?" if near and near[0] else "choose one"


def _fewest(parts: list[Part]) -> int:
    """Clusters of the way that has fewest."""
    return min(part.count for part in parts)


def _free(normal: Normal, contrast: Floats, by: object) -> int:
    """Count parameters without effects nested in clusters: fixest's K, with its constant.

    Unit effects always are; period effects where a way to cluster is "period".
    """
    nested = isinstance(by, tuple) and "period" in by
    held = [
        name.startswith("period ") and not contrast[:, i].any()
        for i, name in enumerate(normal.names)
    ]
    return normal.n_params - (sum(held) if nested else 0) + 1


def _clusters_in_words(estimate: Estimate, groups: list[Groups], parts: list[Part]) -> str:
    """Say how many clusters there are, and of what."""
    sample = estimate.sample
    if len(groups) == 2:
        counted = " and ".join(
            f"{part.count} by {one.name}" for one, part in zip(groups, parts, strict=False)
        )
        return f"clusters: {counted} (V_a + V_b − V_ab)"
    if groups and (not groups[0].whole or sample.sets is not None):
        return f"{parts[0].count} clusters by {groups[0].name}"
    codes = groups[0].codes[:, 0] if groups else sample.clusters
    pilots = int(np.count_nonzero(np.bincount(codes[sample.pilot])))
    by = f" by {groups[0].name}" if groups else ""
    if parts[0].count < len(sample.units):
        some = "all" if pilots == parts[0].count else str(pilots)
        return f"{parts[0].count} clusters{by}, {some} with pilots"
    return f"{pilots} + {parts[0].count - pilots} clusters{by}"


def _welch(estimate: Estimate, inference: ClusterRobust, exists: NDArray[np.bool_]) -> Floats:
    """Welch's degrees of freedom, estimated from the spread of each arm (Welch 1947)."""
    numbers, pilot = estimate.contributions, estimate.sample.pilot
    if numbers is None or estimate.sample.clustered_above or not _one_number(estimate, numbers):
        raise InferenceError(
            needed="an estimate that compares one number a unit",
            found=f"{estimate.estimator!r}",
            where=repr(inference),
            todo="use df='bell-mccaffrey', or cells='complete'",
        )
    made = []
    for m in np.flatnonzero(exists):
        used = np.isfinite(numbers[:, m])
        arms = [numbers[used & pilot, m], numbers[used & ~pilot, m]]
        parts = [(arm.var(ddof=1) / len(arm), len(arm) - 1) for arm in arms if len(arm) > 1]
        spread = sum(v**2 / d for v, d in parts)
        made.append(sum(v for v, _ in parts) ** 2 / spread if spread > 0 else np.nan)
    return np.array(made)


def _one_number(estimate: Estimate, numbers: Floats) -> bool:
    """Whether the estimate is the difference of the arms' means of one number a unit."""
    pilot = estimate.sample.pilot
    table = pd.DataFrame(numbers)
    theirs = table[~pilot].mean()
    means = table[pilot].mean() - theirs.where(theirs.notna(), 0.0)
    size = np.nanmax(np.abs(numbers))
    return bool(np.allclose(means, estimate.values, rtol=0, atol=1e-9 * size))
