"""Cluster-robust standard errors, CR0 to CR3J, with degrees of freedom said by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit import linear
from didkit.errors import InferenceError
from didkit.inference.arms import lost_in_words, with_variance
from didkit.inference.student import from_covariance
from didkit.results import Estimate, JointTest

__all__ = ["ClusterRobust"]

Floats = NDArray[np.float64]
Kind = Literal["CR0", "CR1", "CR2", "CR3", "CR3J"]
Degrees = Literal["bell-mccaffrey", "welch", "g-1", "normal"]
Factor = Literal["clusters", "full", "nested"]

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
_FACTOR_WORDS = {
    "clusters": "G/(G−1)",
    "full": "(N−1)/(N−K)·G/(G−1), K with the unit effects",
    "nested": "(N−1)/(N−K)·G/(G−1), K without the unit effects",
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
    factor : {"clusters", "full", "nested"}
        Small-sample factor of CR1: G/(G−1); the same times (N−1)/(N−K) with K counting the
        absorbed unit effects (Stata's and statsmodels' regression with dummies); or not counting
        them (fixest, Stata's xtreg).

    Notes
    -----
    Fails with few pilots: nominal 5 % tests with CR1 and t(G−1) reject a true null 9 % of the time
    with nine pilots of 150, 22 % with three; with one pilot no variance exists and it is refused.
    CR2 with Bell–McCaffrey holds its size from two pilots on when errors are near normal.

    References
    ----------
    Bell & McCaffrey (2002); Imbens & Kolesár (2016); Pustejovsky & Tipton (2018); MacKinnon,
    Nielsen & Webb (2023). The formulas stand in `didkit.linear`.

    Examples
    --------
    >>> ClusterRobust("CR2").df_used
    'bell-mccaffrey'
    """

    kind: Kind = "CR2"
    df: Degrees | None = field(default=None, kw_only=True)
    factor: Factor = field(default="clusters", kw_only=True)

    def __post_init__(self) -> None:
        for given, known, name in (
            (self.kind, _DEFAULT_DF, "kind"),
            (self.df, (*_DF_WORDS, None), "df"),
            (self.factor, _FACTOR_WORDS, "factor"),
        ):
            if given not in known:
                raise InferenceError(
                    needed=f"{name}: " + ", ".join(str(k) for k in known if k),
                    found=repr(given),
                    where="ClusterRobust",
                    todo="choose one",
                )
        if self.factor != "clusters" and self.kind != "CR1":
            raise InferenceError(
                needed="factor= with kind='CR1' only",
                found=f"factor={self.factor!r} with kind={self.kind!r}",
                where="ClusterRobust",
                todo="leave factor= out: the other kinds have their own adjustment",
            )

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
        exists = with_variance(estimate, repr(self))
        covariance = np.full((estimate.n_terms,) * 2, np.nan)
        covariance[np.ix_(exists, exists)] = self._covariance(estimate, exists)
        df = np.full(estimate.n_terms, np.nan)
        df[exists] = self._degrees(estimate, exists)
        n_clusters = len(estimate.sample.cluster_labels)
        recipe = f"{self.kind}, {_DF_WORDS[self.df_used]}"
        if self.kind == "CR1":
            recipe += f", factor {_FACTOR_WORDS[self.factor]}"
        pilots = len(np.unique(estimate.sample.clusters[estimate.sample.pilot]))
        return from_covariance(
            estimate,
            self,
            covariance,
            df,
            level=level,
            method=f"{recipe}; {pilots} + {n_clusters - pilots} clusters",
            notes=lost_in_words(estimate, exists),
        )

    def _covariance(self, estimate: Estimate, exists: NDArray[np.bool_]) -> Floats:
        normal, contrast = estimate.normal, estimate.contrast
        if normal is not None and contrast is not None:
            rows = contrast[exists]
            if self.kind == "CR0":
                return linear.cr0(normal, rows)
            if self.kind == "CR1":
                return linear.cr1(normal, rows, self.factor)
            if self.kind == "CR2":
                return linear.cr2(normal, rows)
            return linear.cr3(normal, rows) if self.kind == "CR3" else linear.cr3j(normal, rows)
        if estimate.influence is None or self.kind not in ("CR0", "CR1"):
            raise self._lacks(estimate, "cross-products by cluster")
        if self.factor != "clusters":
            raise self._lacks(estimate, "the number of parameters")
        member = np.eye(len(estimate.sample.cluster_labels))[estimate.sample.clusters]
        scores = member.T @ estimate.influence[:, exists]
        n = len(scores)
        return np.asarray(scores.T @ scores * (n / (n - 1) if self.kind == "CR1" else 1.0))

    def _degrees(self, estimate: Estimate, exists: NDArray[np.bool_]) -> Floats:
        """Degrees of freedom of the terms that have a variance."""
        if self.df_used == "normal":
            return np.full(int(exists.sum()), np.inf)
        if self.df_used == "g-1":
            return np.full(int(exists.sum()), len(estimate.sample.cluster_labels) - 1.0)
        if self.df_used == "welch":
            return _welch(estimate, self, exists)
        if estimate.normal is None or estimate.contrast is None:
            raise self._lacks(estimate, "cross-products by cluster")
        return linear.df_satterthwaite(estimate.normal, estimate.contrast[exists], self._adjustment)

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
            todo="use Jackknife(), which refits",
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
        at = [list(estimate.terms["term"]).index(term) for term in terms]
        covariance = made.covariance.to_numpy()[np.ix_(at, at)]
        values, q = estimate.values[at], len(at)
        if not np.isfinite(covariance).all():
            raise InferenceError(
                needed="a variance for every term tested together",
                found="terms carried by one pilot",
                where=repr(self),
                todo="test fewer terms, or use Permutation",
            )
        if self.df_used in ("bell-mccaffrey", "welch"):
            if estimate.normal is None or estimate.contrast is None:
                raise self._lacks(estimate, "cross-products by cluster")
            df = linear.df_hotelling(estimate.normal, estimate.contrast[at], self._adjustment)
            found = linear.hotelling(values, covariance, df)
            return JointTest(
                terms,
                float(found.statistic),
                float(found.p_value),
                f"{self.kind}, Hotelling's T² with {df:.1f} degrees of freedom",
            )
        if np.linalg.matrix_rank(covariance, hermitian=True) < q:
            raise InferenceError(
                needed=f"a covariance of full rank for {q} terms",
                found=f"rank {np.linalg.matrix_rank(covariance, hermitian=True)}, from "
                f"{len(estimate.sample.cluster_labels)} clusters",
                where=repr(self),
                todo="test fewer terms together, or use Permutation()",
            )
        wald = float(values @ np.linalg.solve(covariance, values))
        if self.df_used == "normal":
            p = float(scipy.special.chdtrc(q, wald))
            return JointTest(terms, wald, p, f"{self.kind}, χ² with {q} degrees of freedom")
        p = float(scipy.special.fdtrc(q, len(estimate.sample.cluster_labels) - 1, wald / q))
        return JointTest(terms, wald / q, p, f"{self.kind}, F with {q} and G − 1")


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
