"""Normal equations by cluster: what least squares keeps of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from didkit.errors import EstimationError, InferenceError, first_few
from didkit.linear.roots import dependence, inverse_root

__all__ = ["Normal"]

Floats = NDArray[np.float64]

#: Norm of a swept column over the norm of the raw one, below which nothing is left of it.
ABSORBED = 1e-10

#: An eigenvalue of a cluster's share within this of 1: the cluster alone identifies a direction.
ALONE = 1e-10


@dataclass(frozen=True, eq=False)
class Normal:
    """The normal equations of a least-squares fit, kept cluster by cluster.

    Estimates, CR0 to CR3, degrees of freedom, leverage and the estimates without each cluster
    follow from these numbers exactly, whatever the number of rows. If a `Normal` exists, its
    parameters are identified.

    Parameters
    ----------
    A : array (G, p, p)
        Each cluster's cross-products of the regressors, absorbed effects swept out.
    b : array (G, p)
        Each cluster's cross-products of the regressors with the outcome.
    yy : array (G,)
        Each cluster's sum of squares of the (swept) outcome.
    n_obs : int
        Rows.
    n_absorbed : int, default 0
        Absorbed effects, for the factor ``(N-1)/(N-K)`` only.
    nested : bool, default True
        Every absorbed effect lies inside one cluster. Where it does not, CR0, CR1 and partial
        leverage hold, and CR2, CR3, degrees of freedom, leverage and deletion are refused.
    labels : tuple of str, optional
        Names of the clusters, used in errors.
    names : tuple of str, optional
        Names of the parameters, used in errors.

    Raises
    ------
    EstimationError
        Shapes disagree, a number is not finite, or regressors are collinear (``1 - R^2`` below
        1e-10): the message names the columns and those that they repeat.

    Notes
    -----
    ``A = sum A_g``, ``M = A^-1``, ``beta = M b``, ``s_g = b_g - A_g beta`` (Frisch-Waugh-Lovell
    for the absorbed effects). ``A`` is equilibrated and factored by Cholesky; ``beta`` has one
    step of refinement; a pseudo-inverse is never used. Cross-products square the condition
    number: regressors on very different origins (a calendar year beside a constant) cost digits,
    so centre them or absorb the effects.

    Rows scaled by the root of a weight give weighted least squares; CR2 and the degrees of
    freedom then take the *scaled* errors as independent with equal variance (variance one
    over the weight), which is not clubSandwich's default for ``lm`` weights.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]])
    >>> normal = Normal.from_rows(X, [1.0, 3.0, 4.0, 8.0], cluster=[1, 2, 3, 4])
    >>> normal.beta.round(6).tolist()
    [2.0, 4.0]
    """

    A: Floats
    b: Floats
    yy: Floats
    n_obs: int
    n_absorbed: int = 0
    nested: bool = True
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("A", "b", "yy"):
            object.__setattr__(self, field, _read_only(getattr(self, field), field))
        shape = self.A.shape
        fits = len(shape) == 3 and shape[1] == shape[2] and min(shape) > 0
        if not fits or self.b.shape != shape[:2] or self.yy.shape != shape[:1]:
            raise EstimationError(
                needed="A of shape (G, p, p), b of shape (G, p) and yy of shape (G,), none empty",
                found=f"shapes {shape}, {self.b.shape} and {self.yy.shape}",
                where="Normal",
                todo="build it with Normal.from_rows, or sum cross-products cluster by cluster",
            )
        for what, given, size in (
            ("labels", self.labels, self.n_clusters),
            ("names", self.names, self.n_params),
        ):
            if given and len(given) != size:
                raise EstimationError(
                    needed=f"{size} {what}, or none",
                    found=first_few(given),
                    where=f"argument {what} of Normal",
                    todo="give one for each, in order",
                )
        if self.n_obs < 1 or self.n_absorbed < 0:
            raise EstimationError(
                needed="n_obs of at least 1 and n_absorbed of at least 0",
                found=f"n_obs={self.n_obs}, n_absorbed={self.n_absorbed}",
                where="Normal",
                todo="count the rows and the absorbed effects",
            )
        spread = np.sqrt(np.abs(np.diagonal(self.total)))
        skew = np.abs(self.A - self.A.transpose(0, 2, 1))
        if np.any(skew > 1e-8 * np.outer(spread, spread)):
            raise EstimationError(
                needed="symmetric cross-products",
                found=f"not symmetric: {first_few(np.unique(np.argwhere(skew)[:, 0]))}",
                where="argument A of Normal, by cluster",
                todo="sum z z' over the rows of each cluster",
            )
        _ = self.root

    @classmethod
    def from_rows(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        cluster: ArrayLike,
        *,
        n_absorbed: int = 0,
        nested: bool = True,
        absorb: ArrayLike | None = None,
        names: tuple[str, ...] = (),
    ) -> Normal:
        """Sum rows into normal equations by cluster.

        Parameters
        ----------
        X : array (n, p)
            Regressors; the constant is a column like any other (leave it out where effects are
            absorbed: they hold it).
        y : array (n,)
            Outcome, in its own units.
        cluster : array (n,)
            Each row's cluster: integers or strings. Clusters are kept in sorted order.
        n_absorbed : int, default 0
            Effects that the *caller* has already swept out of ``X`` and ``y``.
        nested : bool, default True
            Whether those lie inside clusters. With `absorb` this is found, not asked.
        absorb : array (n,), optional
            Codes of one set of effects (units), swept out here, exactly.
        names : tuple of str, optional
            Names of the columns of ``X``.

        Returns
        -------
        Normal
            Its ``labels`` are the clusters, as text.

        Raises
        ------
        EstimationError
            Lengths disagree, a cell is missing or infinite, both `n_absorbed` and `absorb` are
            given, or columns are collinear with each other or with the absorbed effects.

        Notes
        -----
        Sweeping one set of effects is subtracting their means (Frisch-Waugh-Lovell); it is done
        twice, which removes the rounding of the first pass. A column of which less than 1e-10
        (in norm) is left is held by the effects and refused.

        Examples
        --------
        >>> import numpy as np
        >>> post = np.array([0.0, 1, 0, 1, 0, 1])
        >>> treated = np.array([1.0, 1, 0, 0, 0, 0])
        >>> X = np.column_stack([treated * post, post])
        >>> unit = ["a", "a", "b", "b", "c", "c"]
        >>> y = [5.0, 9.0, 1.0, 2.0, 2.0, 3.0]
        >>> Normal.from_rows(X, y, unit, absorb=unit).beta.round(6).tolist()
        [3.0, 1.0]
        """
        regressors, outcome = _rows(X, y)
        labels, group = _codes(cluster, len(outcome), "cluster")
        if absorb is not None:
            if n_absorbed:
                raise EstimationError(
                    needed="either absorb (effects to sweep out) or n_absorbed (already swept)",
                    found=f"both: absorb and n_absorbed={n_absorbed}",
                    where="Normal.from_rows",
                    todo="leave one out",
                )
            effects, effect = _codes(absorb, len(outcome), "absorb")
            raw = np.linalg.norm(regressors, axis=0)
            regressors = _sweep(regressors, effect)
            outcome = _sweep(outcome[:, None], effect)[:, 0]
            regressors[:, np.linalg.norm(regressors, axis=0) <= ABSORBED * raw] = 0.0
            n_absorbed = len(effects)
            nested = len(np.unique(effect * len(labels) + group)) == n_absorbed
        A, b, yy = _sums(regressors, outcome, group)
        return cls(
            A=A,
            b=b,
            yy=yy,
            n_obs=len(outcome),
            n_absorbed=n_absorbed,
            nested=nested,
            labels=labels,
            names=names,
        )

    @property
    def n_clusters(self) -> int:
        """Clusters, G."""
        return int(self.A.shape[0])

    @property
    def n_params(self) -> int:
        """Parameters, p (absorbed effects are not among them)."""
        return int(self.A.shape[1])

    @cached_property
    def total(self) -> Floats:
        """``A = sum A_g``, (p, p)."""
        return np.asarray(self.A.sum(axis=0), dtype=float)

    @cached_property
    def root(self) -> Floats:
        """``S`` with ``S S' = M = A^-1``, (p, p); collinear regressors are refused here."""
        root = inverse_root(self.total)
        if root is None:
            raise _collinear(self)
        return root

    @cached_property
    def M(self) -> Floats:
        """``M = A^-1``, (p, p)."""
        return np.asarray(self.root @ self.root.T)

    @cached_property
    def beta(self) -> Floats:
        """Least-squares coefficients ``beta = M b`` (p,), with one step of refinement."""
        b = self.b.sum(axis=0)
        beta = self.M @ b
        return np.asarray(beta + self.M @ (b - self.total @ beta))

    @cached_property
    def scores(self) -> Floats:
        """``s_g = b_g - A_g beta`` (G, p): each cluster's regressors times its residuals."""
        return np.asarray(self.b - self.A @ self.beta)

    @cached_property
    def shares(self) -> tuple[Floats, Floats]:
        """Eigenvalues (G, p) and eigenvectors (G, p, p) of ``B_g = S' A_g S``.

        ``B_g`` is each cluster's share of the information: ``sum B_g = I``, eigenvalues in
        [0, 1]; the non-zero ones are those of the cluster's block of the hat matrix,
        ``H_gg = X_g M X_g'``. Those within ``max(1e-10, 4 cond(E) 2.2e-16)`` of 1 (``E`` the
        equilibrated ``A``) are set to exactly 1: a direction that this cluster alone identifies.
        """
        values, vectors = np.linalg.eigh(self.root.T @ self.A @ self.root)
        T = np.sqrt(np.diagonal(self.total))[:, None] * self.root  # E^-1 = T T'
        singular = np.linalg.svd(T, compute_uv=False)
        rounding = 4 * (singular[0] / singular[-1]) ** 2 * np.finfo(float).eps
        tolerance = max(ALONE, rounding)
        if np.abs(values - 0.5).max() > 0.5 + 1e4 * tolerance:
            raise EstimationError(
                needed="each A_g a sum of squares (no negative eigenvalue)",
                found=f"a share of the information of {_extreme(values):.3g}, outside 0 to 1",
                where="argument A of Normal",
                todo="sum z z' over the rows of each cluster",
            )
        values[values > 1 - tolerance] = 1.0
        return values, vectors

    def label(self, g: int) -> str:
        """Name cluster ``g`` (its position where no labels were given)."""
        return self.labels[g] if self.labels else str(g)

    def terms(self, R: ArrayLike) -> Floats:
        """Check linear combinations of the parameters: one row a term.

        Parameters
        ----------
        R : array (k, p) or (p,)
            Linear combinations; a single one may be a vector.

        Returns
        -------
        array (k, p)
            The same, two-dimensional.

        Raises
        ------
        EstimationError
            Wrong width, a number that is not finite, no row, or a row of zeros.

        Examples
        --------
        >>> import numpy as np
        >>> normal = Normal(np.eye(2)[None], np.ones((1, 2)), np.ones(1), n_obs=2)
        >>> normal.terms([0, 1]).tolist()
        [[0.0, 1.0]]
        """
        rows = np.atleast_2d(np.asarray(R, dtype=float))
        p = self.n_params
        if rows.ndim != 2 or rows.shape[1] != p or len(rows) == 0 or not np.isfinite(rows).all():
            raise EstimationError(
                needed=f"at least one combination of {p} parameters, every number finite",
                found=f"an array of shape {rows.shape}",
                where="argument R",
                todo="give one row a term, one column a parameter",
            )
        if not rows.any(axis=1).all():
            raise EstimationError(
                needed="terms that combine at least one parameter",
                found=f"rows of zeros: {first_few(np.flatnonzero(~rows.any(axis=1)))}",
                where="argument R",
                todo="leave these terms out",
            )
        return rows

    def require(self, what: str, *, whole_clusters: bool) -> None:
        """Refuse inference that these clusters cannot carry.

        Parameters
        ----------
        what : str
            What was asked for, for the message.
        whole_clusters : bool
            It needs each cluster's own rows: absorbed effects that cross clusters are refused.

        Raises
        ------
        InferenceError
            One cluster only, or absorbed effects that cross clusters.

        Examples
        --------
        >>> import numpy as np
        >>> normal = Normal(np.ones((3, 1, 1)), np.ones((3, 1)), np.ones(3), n_obs=3)
        >>> normal.require("CR2", whole_clusters=True)
        """
        if self.n_clusters < 2:
            raise InferenceError(
                needed="at least 2 clusters",
                found=f"{self.n_clusters}",
                where=what,
                todo="cluster on a finer unit, or report the estimate without a standard error",
            )
        if whole_clusters and not self.nested:
            raise InferenceError(
                needed="absorbed effects that lie inside clusters",
                found="effects that cross clusters",
                where=what,
                todo="give these effects as columns of X, or use CR1",
            )


def _read_only(values: Any, field: str) -> Floats:
    """View an array of finite numbers, closed to writing."""
    array = np.asarray(values, dtype=float).view()
    if not np.isfinite(array).all():
        raise EstimationError(
            needed="finite numbers",
            found=f"{int((~np.isfinite(array)).sum())} missing or infinite",
            where=f"argument {field} of Normal",
            todo="drop rows with missing values first, and count them",
        )
    array.flags.writeable = False
    return array


def _rows(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Check regressors and outcome."""
    regressors, outcome = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if regressors.ndim != 2 or outcome.ndim != 1 or len(regressors) != len(outcome):
        raise EstimationError(
            needed="X of shape (n, p) and y of shape (n,)",
            found=f"shapes {regressors.shape} and {outcome.shape}",
            where="Normal.from_rows",
            todo="give one row an observation in both",
        )
    bad = ~(np.isfinite(regressors).all(axis=1) & np.isfinite(outcome))
    if bad.any():
        raise EstimationError(
            needed="finite numbers in every row",
            found=f"rows with a missing or infinite cell: {first_few(np.flatnonzero(bad))}",
            where="Normal.from_rows",
            todo="drop these rows first, and count them",
        )
    return regressors, outcome


def _codes(values: ArrayLike, n: int, argument: str) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Turn codes into labels in sorted order and positions."""
    given = np.asarray(values)
    missing = np.zeros(given.shape, dtype=bool)
    if given.dtype.kind in "fOM":
        missing = np.array([v is None or v != v for v in given.ravel()]).reshape(given.shape)
    if given.shape != (n,) or missing.any():
        raise EstimationError(
            needed=f"one code for each of the {n} rows, none missing",
            found=f"shape {given.shape}, {int(missing.sum())} missing",
            where=f"argument {argument} of Normal.from_rows",
            todo="give integers or strings, one a row",
        )
    labels, positions = np.unique(given, return_inverse=True)
    return tuple(str(label) for label in labels.tolist()), positions


def _sweep(columns: Floats, effect: NDArray[np.intp]) -> Floats:
    """Subtract each effect's mean from every column, twice (the second removes rounding)."""
    count = np.bincount(effect)
    for _ in range(2):
        sums = np.stack([np.bincount(effect, weights=column) for column in columns.T], axis=1)
        columns = columns - (sums / count[:, None])[effect]
    return columns


def _sums(X: Floats, y: Floats, group: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """Sum ``z z'``, ``z y`` and ``y y`` over each cluster's rows: one product a cluster size."""
    order, count = np.argsort(group, kind="stable"), np.bincount(group)
    start = np.cumsum(count) - count
    A, b = np.empty((len(count), X.shape[1], X.shape[1])), np.empty((len(count), X.shape[1]))
    for size in np.unique(count):
        same = np.flatnonzero(count == size)
        rows = order[start[same, None] + np.arange(size)]
        Z = X[rows]
        A[same] = Z.transpose(0, 2, 1) @ Z
        b[same] = np.einsum("gnp,gn->gp", Z, y[rows])
    return A, b, np.asarray(np.bincount(group, weights=y**2), dtype=float)


def _extreme(values: Floats) -> float:
    """The value farthest from one half."""
    flat = values.ravel()
    return float(flat[np.argmax(np.abs(flat - 0.5))])


def _collinear(normal: Normal) -> EstimationError:
    """Name the collinear columns."""

    def name(j: int) -> str:
        return f"column {j} ({normal.names[j]})" if normal.names else f"column {j}"

    found = []
    for j, others in dependence(normal.total):
        held = " and ".join(name(i) for i in others)
        found.append(f"{name(j)} is " + (f"a combination of {held}" if others else "all zero"))
    absorbed = " once absorbed effects are swept out" if normal.n_absorbed else ""
    return EstimationError(
        needed=f"regressors of which none is a combination of the others{absorbed}",
        found=first_few(found) if found else "a cross-product that is not positive definite",
        where=f"{normal.n_params} parameters, {normal.n_obs} rows, {normal.n_clusters} clusters",
        todo="leave these columns out; a column that the absorbed effects hold has no estimate",
    )
