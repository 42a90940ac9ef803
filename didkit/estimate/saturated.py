"""Least squares with one effect for each cohort and period, and what inference needs of it.

A row is a unit (or a unit in a stack) with its path over the periods; a column is a regressor.
Unit effects are swept out by the row's (weighted) mean, all other effects are columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import EstimationError
from didkit.linear import Normal
from didkit.linear.normal import ABSORBED
from didkit.linear.roots import COLLINEAR, dependence
from didkit.results import Labels

__all__ = ["Fitted", "Rows", "normal_by", "refuse_dependent"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """R rows of W periods and p columns, the row's own effect swept out where asked.

    Parameters
    ----------
    x : array (R, p, W)
        Columns; zero where a cell is not used.
    weight : array (R, W)
        A cell's weight, positive; zero where it is not used.
    names : tuple of str
        Of the p columns.
    absorbed : bool
        Whether each row has an effect of its own, taken out here.
    """

    x: Floats
    weight: Floats
    names: tuple[str, ...]
    absorbed: bool

    @classmethod
    def of(cls, x: Floats, weight: Floats, names: tuple[str, ...], *, absorb: bool) -> Rows:
        """Sweep the columns.

        A column of which less than 1e-10 is left is zero from here on: the effects hold it.
        """
        if not absorb:
            return cls(x, weight, names, absorb)
        raw = np.sqrt((x**2).sum(axis=(0, 2)))
        made = _within(x.swapaxes(0, 1), weight).swapaxes(0, 1)
        left = np.sqrt((made**2).sum(axis=(0, 2)))
        made[:, left <= ABSORBED * raw] = 0.0
        return cls(made, weight, names, absorb)

    def swept(self, y: Floats) -> Floats:
        """Return outcomes (…, R, W) without the rows' effects; zero where a cell is not used."""
        used = np.where(self.weight > 0, y, 0.0)
        return _within(used, self.weight) if self.absorbed else used

    @property
    def products(self) -> Floats:
        """Each row's cross-products, (R, p, p)."""
        made: Floats = (self.x * self.weight[:, None]) @ self.x.swapaxes(1, 2)
        return made

    @property
    def total(self) -> Floats:
        """Their sum, (p, p)."""
        flat = self.x.swapaxes(0, 1).reshape(self.x.shape[1], -1)
        made: Floats = (flat * self.weight.ravel()) @ flat.T
        return (made + made.T) / 2

    def without(self, columns: Ints) -> Rows:
        """Return the rows without some columns."""
        kept = np.setdiff1d(np.arange(len(self.names)), columns)
        names = tuple(self.names[i] for i in kept)
        return Rows(self.x[:, kept], self.weight, names, self.absorbed)

    def dependent(self) -> Ints:
        """Return the columns that earlier columns, or the rows' effects, hold."""
        return np.array([j for j, _ in dependence(self.total)], dtype=np.intp)

    def normal(self, y: Floats, cluster: Ints, labels: tuple[str, ...]) -> Normal:
        """Sum the normal equations by cluster (R,).

        Raises
        ------
        EstimationError
            If columns are collinear: they are named.
        """
        swept = self.swept(y)
        scaled = self.x * self.weight[:, None]
        products, into = self.products, np.einsum("rpw,rw->rp", scaled, swept)
        squares = (self.weight * swept**2).sum(axis=1)
        if len(labels) != len(cluster) or (cluster != np.arange(len(cluster))).any():
            products, into, squares = (
                _by_group(values, cluster, len(labels)) for values in (products, into, squares)
            )
        return Normal(
            A=(products + products.swapaxes(1, 2)) / 2,
            b=into,
            yy=squares,
            n_obs=int((self.weight > 0).sum()),
            n_absorbed=int((self.weight > 0).any(axis=1).sum()) if self.absorbed else 0,
            labels=labels,
            names=self.names,
        )

    def weights(self, lead: Floats) -> Floats:
        """Return each cell's weight in the terms ``lead = contrast @ M`` (k, p), (k, R, W)."""
        made: Floats = np.einsum("kp,rpw->krw", lead, self.x * self.weight[:, None])
        return made

    def estimates(self, outcomes: Floats, contrast: Floats) -> tuple[Floats, Floats] | None:
        """Return the k terms of O outcomes, (O, k), and each row's influence, (O, R, k).

        None where the columns are collinear.
        """
        inverse = _inverse(self.total)
        if inverse is None:
            return None
        swept = self.swept(outcomes)
        scaled = self.x * self.weight[:, None]
        beta = np.einsum("rpw,orw->op", scaled, swept) @ inverse
        residual = swept - np.einsum("op,rpw->orw", beta, self.x)
        weights = self.weights(contrast @ inverse)
        return beta @ contrast.T, np.einsum("krw,orw->ork", weights, residual)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit of `Rows` publishes; see `Estimate` for the shapes, with rows for units."""

    rows: Rows
    y: Floats
    contrast: Floats
    normal: Normal
    values: Floats
    weights: Floats
    influence: Floats

    @classmethod
    def of(
        cls, rows: Rows, y: Floats, contrast: Floats, cluster: Ints, labels: tuple[str, ...]
    ) -> Fitted:
        """Fit, and take k terms (k, p) of the parameters.

        Raises
        ------
        EstimationError
            If columns are collinear.
        """
        normal = rows.normal(y, cluster, labels)
        weights = rows.weights(contrast @ normal.M)
        residual = rows.swept(y) - np.einsum("p,rpw->rw", normal.beta, rows.x)
        return cls(
            rows=rows,
            y=y,
            contrast=contrast,
            normal=normal,
            values=contrast @ normal.beta,
            weights=weights,
            influence=np.einsum("krw,rw->rk", weights, residual),
        )


def normal_by(rows: Rows, y: Floats, codes: Labels) -> Normal:
    """Sum the normal equations over groups of cells, codes (R, W), whatever the clusters."""
    used = rows.weight > 0
    root = np.sqrt(rows.weight)[used]
    columns = rows.x.swapaxes(1, 2)[used] * root[:, None]
    group = codes[used]
    row = np.broadcast_to(np.arange(len(used))[:, None], used.shape)[used]
    pairs = len(np.unique(np.column_stack([row, group]), axis=0))
    n_rows = len(np.unique(row)) if rows.absorbed else 0
    return Normal.from_rows(
        columns,
        rows.swept(y)[used] * root,
        group,
        n_absorbed=n_rows,
        nested=not rows.absorbed or pairs == n_rows,
        names=rows.names,
    )


def refuse_dependent(rows: Rows, where: str) -> None:
    """Refuse collinear columns, by name.

    Raises
    ------
    EstimationError
        Naming each, and what holds it.
    """
    found = dependence(rows.total)
    if not found:
        return
    said = [
        f"{rows.names[j]} is "
        + (
            "a combination of " + " and ".join(rows.names[i] for i in others[:3])
            if others
            else "held by the effects"
        )
        for j, others in found
    ]
    raise EstimationError(
        needed="effects and covariates of which none is a combination of the others",
        found="; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else ""),
        where=where,
        todo="leave the covariate out, or use a window in which units are seen in more periods",
    )


def _inverse(A: Floats) -> Floats | None:
    """Invert a cross-product; None where columns are collinear, by the rule of `inverse_root`."""
    diagonal = np.diagonal(A)
    if not np.all(diagonal > 0):
        return None
    scale = 1 / np.sqrt(diagonal)
    equal = A * scale[:, None] * scale
    try:
        pivots = np.diagonal(np.linalg.cholesky(equal))
    except np.linalg.LinAlgError:
        return None
    if pivots.min() ** 2 < COLLINEAR:
        return None
    return np.asarray(np.linalg.inv(equal) * scale[:, None] * scale)


def _within(values: Floats, weight: Floats) -> Floats:
    """Subtract each row's weighted mean over its used cells; zero elsewhere.

    Values (…, R, W).
    """
    total = weight.sum(axis=-1, keepdims=True)
    rate = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    for _ in range(2):  # the second takes out the rounding of the first
        mean = (values * rate).sum(axis=-1, keepdims=True)
        values = np.where(weight > 0, values - mean, 0.0)
    return values


def _by_group(values: Floats, group: Ints, n: int) -> Floats:
    made = np.zeros((n, *values.shape[1:]))
    np.add.at(made, group, values)
    return made
