"""The wild cluster bootstrap from normal equations: no row is touched again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from didkit.errors import InferenceError
from didkit.linear.adjust import adjustment
from didkit.linear.deletion import require_shared
from didkit.linear.normal import Normal
from didkit.linear.robust import Factor, small_sample_factor
from didkit.linear.signs import SignKind, Signs
from didkit.linear.sweep import ROUNDING, TIES, Compared, Side, Steps, power_of_two, values

__all__ = [
    "Accepted",
    "JointDraws",
    "Parts",
    "Scores",
    "Tail",
    "Ties",
    "Variance",
    "WildDraws",
    "wild_draws",
    "wild_joint",
]

Floats = NDArray[np.float64]
Variance = Literal["CR0", "CR1", "CR3", "CR3J"]
Scores = Literal["plain", "jackknife"]
Tail = Literal["two", "equal"]
Ties = Literal["count", "strict"]

_SIDES: dict[Tail, tuple[Side, ...]] = {"two": ("two",), "equal": ("above", "below")}
NUMBERS = 2**17  #: numbers of one array of a chunk: what a processor holds close by


@dataclass(frozen=True)
class Accepted:
    """Hull of the hypothesised values that a test does not reject; `whole`: it has no holes."""

    low: float
    high: float
    whole: bool


@dataclass(frozen=True, eq=False)
class Parts:
    """Groups below the clusters, whose signs are drawn one by one.

    Parameters
    ----------
    normal : Normal
        Cross-products by group, of the same regression.
    cluster : int array (H,)
        The position of each group's cluster.
    """

    normal: Normal
    cluster: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class WildDraws:
    """One term under every draw, at every hypothesised value r.

    With ``d = estimate - r``, a draw's numerator is ``n0 + d n1`` and its variance
    ``e0 + d e1 + d² e2``: imposing the null makes residuals, and so everything, linear in r.

    Parameters
    ----------
    estimate, variance : float
        Of the data.
    n0, n1, e0, e1, e2 : array (B,)
        Coefficients; n1, e1 and e2 are zero where the null is not imposed.
    exact : bool
        Whether all vectors of signs are listed.
    least_p : float
        The least p-value attainable, ties counted.
    counted : bool
        Whether the data are one of the vectors listed: with the null imposed and plain scores
        the two vectors of equal signs give the statistic of the data at every value. Elsewhere
        (no null imposed, scores of the jackknife) they do not.
    """

    estimate: float
    variance: float
    n0: Floats
    n1: Floats
    e0: Floats
    e1: Floats
    e2: Floats
    exact: bool
    least_p: float
    counted: bool = True
    _swept: dict[tuple[Tail, Ties], Steps] = field(default_factory=dict, init=False, repr=False)

    def statistics(self, r: float = 0.0) -> Floats:
        """Return the signed t of each draw (B,); infinite for a draw without variance."""
        found = self._compared
        x = (self.estimate - r) / self._unit
        variance = np.maximum(found.e0 + x * (found.e1 + x * found.e2), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((found.n0 + x * found.n1) / np.sqrt(variance))

    @cached_property
    def _unit(self) -> float:
        return power_of_two(np.sqrt(self.variance) or float(np.abs(self.n0).max(initial=0.0)))

    @cached_property
    def _compared(self) -> Compared:
        """The draws in a unit of their own: squares of outcomes of 1e150 are no numbers."""
        u = self._unit
        parts = (self.n0 / u, self.n1, self.e0 / u / u, self.e1 / u, self.e2)
        return Compared(*parts, self.variance / u / u)

    def _share(self, count: NDArray[np.int64] | int, ties: Ties) -> Floats:
        n = len(self.n0)
        share = self.exact and (self.counted or ties == "strict")
        return np.asarray(count / n if share else (1 + np.asarray(count)) / (1 + n))

    def p_value(self, r: float = 0.0, *, tail: Tail = "two", ties: Ties = "count") -> float:
        """Return the p-value of the hypothesis that the term is r.

        Parameters
        ----------
        r : float
            Hypothesised value, in the term's unit.
        tail : {"two", "equal"}
            ``"two"``: the share of draws whose t is as large in size. ``"equal"``: twice the
            smaller of the shares above and below t.
        ties : {"count", "strict"}
            Whether draws that are tied with the data count. ``"strict"`` is fwildclusterboot's.

        Returns
        -------
        float
            ``#/2^G`` where all vectors are listed and the data are one of them (`counted`), else
            ``(1 + #)/(1 + B)``: the data always count; at most 1. With ``ties="strict"``
            ``#/2^G`` wherever all are listed, as fwildclusterboot has it: it can be 0.

        Raises
        ------
        InferenceError
            An unknown tail, or unknown ties.

        Examples
        --------
        >>> normal = Normal.from_rows(np.ones((5, 1)), [1.0, 2, 4, 2, 3], cluster=range(5))
        >>> wild_draws(normal, [1.0])[0].p_value()
        0.0625
        """
        _known("tail", tail, Tail)
        _known("ties", ties, Ties)
        x, strict = (self.estimate - r) / self._unit, ties == "strict"
        count = min(self._compared.count(x, side=side, strict=strict) for side in _SIDES[tail])
        return min(1.0, len(_SIDES[tail]) * float(self._share(count, ties)))

    def interval(self, level: float, *, tail: Tail = "two", ties: Ties = "count") -> Accepted:
        """Return the hull of the values that the test does not reject: all of them, by one sweep.

        The same draws serve every value, and every level: nothing is multiplied again.

        Parameters
        ----------
        level : float
            Inside (0, 1).
        tail, ties
            As in `p_value`.

        Returns
        -------
        Accepted
            An end is infinite where the farthest values are not rejected on that side.
        """
        alpha = round(1 - level, 12)  # 1 - 0.9 is less than 0.1 in binary
        if (self.least_p if ties == "count" else 0.0) > alpha:
            return Accepted(-np.inf, np.inf, True)
        steps = self._steps(tail, ties)
        share = len(_SIDES[tail]) * self._share(steps.counts, ties)
        return Accepted(
            *values(
                lambda r: self.p_value(r, tail=tail, ties=ties),
                steps.breaks,
                share > alpha,
                estimate=self.estimate,
                unit=self._unit,
                alpha=alpha,
            )
        )

    def _steps(self, tail: Tail, ties: Ties) -> Steps:
        """Return the count behind p at every value; the smaller one with two sides."""
        if (tail, ties) not in self._swept:
            strict = ties == "strict"
            found = [self._compared.sweep(side=side, strict=strict) for side in _SIDES[tail]]
            breaks = np.unique(np.concatenate([steps.breaks for steps in found]))
            # counts of the piece that begins at each, and of the one before all
            starts = np.append(-np.inf, breaks)
            counts = np.min([steps.at(starts) for steps in found], axis=0)
            self._swept[tail, ties] = Steps(breaks, counts)
        return self._swept[tail, ties]


@dataclass(frozen=True, eq=False)
class JointDraws:
    """The Wald statistic of several terms, and the same under every draw.

    Parameters
    ----------
    statistic : float
        ``(Rβ - r)' V⁻¹ (Rβ - r)``.
    null : array (B,)
        Infinite for a draw whose variance has not full rank.
    exact : bool
        Whether all vectors of signs are listed.
    counted : bool
        Whether the data are one of them.
    """

    statistic: float
    null: Floats
    exact: bool
    counted: bool = True

    def p_value(self, *, ties: Ties = "count") -> float:
        """Return the share of draws as large, as in `WildDraws.p_value`."""
        _known("ties", ties, Ties)
        own = self.statistic
        larger = self.null >= own * (1 - TIES) if ties == "count" else self.null > own * (1 + TIES)
        count, n = int(np.count_nonzero(larger)), len(self.null)
        share = self.exact and (self.counted or ties == "strict")
        return count / n if share else (1 + count) / (1 + n)


def wild_draws(
    normal: Normal,
    R: ArrayLike,
    *,
    restricted: bool = True,
    signs: SignKind = "rademacher",
    variance: Variance = "CR1",
    factor: Factor = "clusters",
    scores: Scores = "plain",
    draws: int = 9999,
    seed: int = 0,
    parts: Parts | None = None,
) -> list[WildDraws]:
    """Draw the wild cluster bootstrap of each term, the null imposed on one term at a time.

    Parameters
    ----------
    normal : Normal
        Normal equations by cluster.
    R : array (k, p)
        Terms: linear combinations of the parameters.
    restricted : bool, default True
        Whether residuals are those of the regression with the null imposed.
    signs : {"rademacher", "webb", "mammen"}
        Distribution of the weights; Rademacher's are listed where there are no more than `draws`.
    variance : {"CR0", "CR1", "CR3", "CR3J"}
        Under the root of t, in the data and in each draw.
    factor : {"clusters", "full", "nested"}
        Of CR1; p does not depend on it.
    scores : {"plain", "jackknife"}
        ``"jackknife"``: each cluster's residuals are those about the estimate without it.
    draws, seed : int
        How many, and the seed. All terms share them.
    parts : Parts, optional
        Groups below the clusters, with signs of their own; the variance stays by cluster
        (MacKinnon & Webb 2018). Plain scores only.

    Returns
    -------
    list of WildDraws
        One a term.

    Raises
    ------
    InferenceError
        One cluster; an unknown option; a term that one cluster alone identifies, or effects that
        cross clusters (CR3, CR3J, jackknife scores); parts that are not parts of these clusters.

    Notes
    -----
    Cameron, Gelbach & Miller (2008), from cross-products as in MacKinnon, Nielsen & Webb (2023,
    "Fast and reliable jackknife and bootstrap methods for cluster-robust inference"). With
    ``s̃_g = b_g - A_g β̃`` and signs v: numerator ``c'M Σ v_g s̃_g``, and cluster g's part of the
    variance ``l_g'(v_g s̃_g - A_g M Σ v_h s̃_h)``, with ``l_g = M c`` for CR1 and
    ``(A - A_g)⁻¹ c`` for CR3. fwildclusterboot's types 11, 13, 31, 33: scores plain (1) or
    jackknife (3), then CR1 (1) or CR3 (3). Time and memory do not depend on the number of rows;
    signs are drawn in chunks, so memory grows by five numbers a draw and term only.

    Fails with few pilots (MacKinnon & Webb 2017): with two or three of 150 it hardly ever rejects
    when restricted, and rejects 18 and 10 % of true nulls at 5 % when not.

    Examples
    --------
    >>> normal = Normal.from_rows(np.ones((4, 1)), [1.0, 2.0, 3.0, 4.0], cluster=range(4))
    >>> wild_draws(normal, [1.0])[0].p_value()  # all 16 vectors of signs
    0.125
    """
    rows, scale = _checked(normal, R, variance, factor, scores, parts)
    pieces = [_Pieces(normal, row[None], restricted, variance, scores, parts) for row in rows]
    drawn = Signs(pieces[0].n_parts, signs, draws, seed)
    made = np.empty((len(rows), 5, drawn.total))
    at = 0
    for v in drawn.chunks(_rows_of(pieces[0], 1)):
        for m, piece in enumerate(pieces):
            made[m, :, at : at + len(v)] = piece.coefficients(v)
        at += len(v)
    made[:, 2:] *= scale
    terms = zip(rows, pieces, made, strict=True)
    return [_one(float(row @ normal.beta), piece, c, scale, drawn.exact) for row, piece, c in terms]


def _one(estimate: float, piece: _Pieces, made: Floats, scale: float, exact: bool) -> WildDraws:
    """Return the draws of one term, and whether the first of those listed is the data."""
    n0, n1, e0, e1, e2 = made
    bent = e2 > ROUNDING**2 * e2.max(initial=0.0)  # a square of what rounding leaves
    e1, e2 = np.where(bent, e1, 0.0), np.where(bent, e2, 0.0)
    variance = float((piece.own**2).sum()) * scale
    error = np.sqrt(variance)
    counted = exact and bool(
        abs(n0[0]) <= TIES * error
        and not bent[0]
        and abs(n1[0] ** 2 * variance - e0[0]) <= TIES * e0[0]
    )
    # equal signs, all plus or all minus, give the data
    least = 2 / len(n0) if counted else 1 / (1 + len(n0))
    return WildDraws(estimate, variance, n0, n1, e0, e1, e2, exact, least, counted)


def wild_joint(
    normal: Normal,
    R: ArrayLike,
    *,
    values: ArrayLike | None = None,
    restricted: bool = True,
    signs: SignKind = "rademacher",
    variance: Variance = "CR1",
    factor: Factor = "clusters",
    scores: Scores = "plain",
    draws: int = 9999,
    seed: int = 0,
    parts: Parts | None = None,
) -> JointDraws:
    """Draw the wild cluster bootstrap of several terms together, by their Wald statistic.

    Parameters
    ----------
    normal, R
        As in `wild_draws`; the rows of R must be independent.
    values : array (k,), optional
        Hypothesised values; by default zero.
    restricted, signs, variance, factor, scores, draws, seed, parts
        As in `wild_draws`; the null is imposed on all terms at once.

    Returns
    -------
    JointDraws
        The statistic and its draws.

    Raises
    ------
    InferenceError
        As `wild_draws`, or a covariance without full rank (more terms than clusters allow).

    Examples
    --------
    >>> X = np.column_stack([np.ones(6), [0, 0, 1, 1, 0, 1], [0, 1, 0, 1, 1, 0]])
    >>> normal = Normal.from_rows(X, [1.0, 2, 4, 8, 3, 5], cluster=range(6))
    >>> 0 < wild_joint(normal, np.eye(3)[1:]).p_value() <= 1
    True
    """
    rows, scale = _checked(normal, R, variance, factor, scores, parts)
    piece = _Pieces(normal, rows, restricted, variance, scores, parts)
    null_values = np.zeros(len(rows)) if values is None else np.asarray(values, dtype=float)
    away = rows @ normal.beta - null_values
    own = _wald(away[None], piece.own.T[None] @ piece.own[None] * scale)[0]
    if not np.isfinite(own):
        raise InferenceError(
            needed=f"a covariance of full rank for {len(rows)} terms",
            found=f"{variance} from {normal.n_clusters} clusters without it",
            where="a joint wild bootstrap",
            todo="test fewer terms together",
        )
    drawn = Signs(piece.n_parts, signs, draws, seed)
    null = np.empty(drawn.total)
    at = 0
    for v in drawn.chunks(_rows_of(piece, len(rows))):
        top, each = piece.together(v, away)
        null[at : at + len(v)] = _wald(top, each.transpose(0, 2, 1) @ each * scale)
        at += len(v)
    counted = drawn.exact and bool(abs(null[0] - own) <= TIES * own)  # the first: all plus
    return JointDraws(float(own), null, drawn.exact, counted)


class _Pieces:
    """Scores, lines and their products, in the coordinates of ``S`` (``S S' = M``).

    Lower case as in the notes of `wild_draws`: ``gamma = S'R'`` (p, k), ``first`` + ``second`` d
    the scores of the parts, ``line`` (G, p, k), ``cross = S'A_g S line`` (G, p, k), ``own`` each
    cluster's part of the data's own statistic.
    """

    def __init__(
        self,
        normal: Normal,
        rows: Floats,
        restricted: bool,
        variance: Variance,
        scores: Scores,
        parts: Parts | None,
    ) -> None:
        root = normal.root
        p, k, G = normal.n_params, len(rows), normal.n_clusters
        self.gamma = root.T @ rows.T
        below = normal if parts is None else parts.normal
        of = np.arange(G) if parts is None else np.asarray(parts.cluster)
        order = np.argsort(of, kind="stable")  # parts of a cluster side by side
        of, A, b = of[order], below.A[order], below.b[order]
        self.n_parts, self.n_clusters = len(of), G
        self.present, self.starts = np.unique(of, return_index=True)
        self.alone = parts is None

        def share(cross: Floats, x: Floats) -> Floats:
            """``S' A_g S x_g`` for x (G or 1, p, k)."""
            return np.asarray(root.T @ (cross @ (root @ x)))

        whole = (normal.scores @ root)[:, :, None]  # (G, p, 1)
        gamma = np.broadcast_to(self.gamma, (G, p, k))
        self.line = gamma if variance in ("CR0", "CR1") else _without(normal, gamma)
        self.cross = share(normal.A, self.line)
        self.own = np.einsum("gpk,gp->gk", self.line, whole[:, :, 0])
        first = ((b - A @ normal.beta) @ root)[:, :, None]
        second = np.zeros((self.n_parts, p, k))
        if scores == "plain":
            if restricted:
                inverse = np.linalg.inv(self.gamma.T @ self.gamma)
                second = share(A, (self.gamma @ inverse)[None])
        else:
            moved, lines = _without(normal, whole), _without(normal, gamma)
            if restricted:
                inner = np.linalg.inv(gamma.transpose(0, 2, 1) @ lines)  # (G, k, k)
                moved = moved - lines @ (inner @ (gamma.transpose(0, 2, 1) @ moved))
                second = share(A, lines @ inner)
            first = first + share(A, moved)
        self.first, self.second = first[:, :, 0], second
        self.restricted = restricted
        self.mine = self.line[of]  # (H, p, k)

    def _summed(self, values: Floats) -> Floats:
        """Sum the parts (axis 1) of each cluster."""
        if self.alone:
            return values
        made = np.zeros((len(values), self.n_clusters, *values.shape[2:]))
        made[:, self.present] = np.add.reduceat(values, self.starts, axis=1)
        return made

    def coefficients(self, v: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return n0, n1, e0, e1, e2 of one term for a chunk of signs (n, H)."""
        gamma, cross, mine = self.gamma[:, 0], self.cross[:, :, 0].T, self.mine[:, :, 0]
        z0 = v @ self.first
        part0 = self._summed(v * np.einsum("hp,hp->h", mine, self.first)) - z0 @ cross
        e0 = np.einsum("ng,ng->n", part0, part0)
        if not self.restricted:
            zero = np.zeros(len(v))
            return z0 @ gamma, zero, e0, zero, zero
        second = self.second[:, :, 0]
        z1 = v @ second
        part1 = self._summed(v * np.einsum("hp,hp->h", mine, second)) - z1 @ cross
        e1, e2 = 2 * np.einsum("ng,ng->n", part0, part1), np.einsum("ng,ng->n", part1, part1)
        return z0 @ gamma, z1 @ gamma, e0, e1, e2

    def together(self, v: Floats, away: Floats) -> tuple[Floats, Floats]:
        """Return the numerators (n, k) and each cluster's part (n, G, k) at ``Rβ - r = away``."""
        scores = self.first + self.second @ away
        z = v @ scores
        p, k = self.gamma.shape
        mine = np.einsum("hpk,hp->hk", self.mine, scores)
        across = z @ self.cross.transpose(1, 0, 2).reshape(p, -1)
        part = self._summed(v[:, :, None] * mine) - across.reshape(len(v), self.n_clusters, k)
        return z @ self.gamma, part


def _without(normal: Normal, x: Floats) -> Floats:
    """``(I - B_g)^+ x_g`` for x (G, p, k): what the inverse without cluster g does to x."""
    vectors = normal.shares[1]
    inside = adjustment(normal, "CR3")[:, :, None] * (vectors.transpose(0, 2, 1) @ x)
    return np.asarray(vectors @ inside)


def _wald(top: Floats, covariance: Floats) -> Floats:
    """``n' V⁻¹ n`` for each draw; infinite where V (scaled to unit diagonal) lacks full rank."""
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    lost: NDArray[np.bool_] = np.asarray(~(spread > 0).all(axis=1))
    spread = np.where(lost[:, None], 1.0, spread)
    scaled = covariance / (spread[:, :, None] * spread[:, None, :])
    values, vectors = np.linalg.eigh(scaled)
    lost |= values[:, 0] <= 1e-12 * values[:, -1]
    along = np.einsum("nkj,nk->nj", vectors, top / spread)
    made = (along**2 / np.where(lost[:, None], 1.0, values)).sum(axis=1)
    return np.where(lost, np.inf, made)


def _rows_of(piece: _Pieces, k: int) -> int:
    """Rows of a chunk."""
    return max(16, NUMBERS // max(piece.n_parts * k, piece.n_clusters * k * k))


def _known(name: str, given: object, choices: object) -> None:
    if given not in get_args(choices):
        raise InferenceError(
            needed=f"{name}: one of {', '.join(map(str, get_args(choices)))}",
            found=repr(given),
            where="wild bootstrap",
            todo="choose one of these",
        )


def _checked(
    normal: Normal,
    R: ArrayLike,
    variance: Variance,
    factor: Factor,
    scores: Scores,
    parts: Parts | None,
) -> tuple[Floats, float]:
    """Refuse what does not exist; return the terms and the factor of the variance."""
    _known("variance", variance, Variance)
    _known("scores", scores, Scores)
    rows = normal.terms(R)
    normal.require("a wild bootstrap", whole_clusters=False)
    if variance in ("CR3", "CR3J") or scores == "jackknife":
        require_shared(normal, rows, "a wild bootstrap with " + ", ".join((variance, scores)))
    if parts is not None:
        _require_parts(normal, parts, scores)
    G = normal.n_clusters
    scale = {"CR0": 1.0, "CR1": 0.0, "CR3": 1.0, "CR3J": (G - 1) / G}[variance]
    return rows, scale or small_sample_factor(normal, factor)


def _require_parts(normal: Normal, parts: Parts, scores: Scores) -> None:
    """Refuse groups that are not parts of the clusters."""
    at = np.asarray(parts.cluster)
    summed = np.zeros_like(normal.A)
    inside = at.shape == (parts.normal.n_clusters,) and set(at.tolist()) <= set(range(len(summed)))
    if inside and parts.normal.n_params == normal.n_params:
        np.add.at(summed, at, parts.normal.A)
    size = np.sqrt(np.diagonal(normal.total))
    if scores != "plain" or np.any(np.abs(summed - normal.A) > 1e-8 * np.outer(size, size)):
        raise InferenceError(
            needed="groups whose cross-products add up to those of the clusters, and plain scores",
            found=f"{parts.normal.n_clusters} groups of {normal.n_clusters} clusters, "
            f"{scores} scores",
            where="wild bootstrap with parts",
            todo="make the groups of the same rows and regressors, each inside one cluster",
        )
