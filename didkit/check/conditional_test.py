"""Moment inequalities with nuisance terms: every vertex of the dual once, then only products.

For one polyhedron A δ ≤ d and a value θ of the reported combination l'τ, the terms β = δ + τ obey
A(β − τ) ≤ d for some τ with l'τ = θ. The largest studentised violation left after the best choice
of τ is η = min over (η, x) of η such that Y − A₁θ − X x ≤ η σ, with Y = Aβ − d. By duality it is
the largest of γ'(Y − A₁θ) over the vertices of {γ ≥ 0, γ'X = 0, γ'σ = 1}. Neither θ nor β is in
that set, so its vertices are found once: each is one linear statistic of β and θ, and the least
favourable and conditional critical values (Andrews, Roth & Pakes 2023) are products of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

from didkit.check.restrictions import Piece
from didkit.errors import InferenceError

__all__ = ["Statistics", "statistics", "vertices"]

Floats = NDArray[np.float64]
_ZERO = 1e-10  #: of its terms: a sum below this share of their size is zero
_RAYS = 3_000  #: more are not enumerated
_PAIRS = 150_000  #: of rays to be tried at a cut
_BLOCK = 4_000_000  #: entries of a matrix of pairs at once
_CONSTANT = 1e-18  #: variance, as a share of the largest, of a statistic without noise


@dataclass(frozen=True, eq=False)
class Statistics:
    """The statistics whose largest is tested: each W β − e − q θ, with their covariance.

    Parameters
    ----------
    value : array (v,)
        At the terms, for θ = 0, in standard errors as the moments are studentised.
    slope : array (v,)
        What a unit of θ takes off.
    gram : array (v, v)
        Covariance of the statistics.
    load : array (v, k)
        Weights of the terms.
    covariance : array (k, k)
        Of the terms.
    estimate : float
        The combination at the terms.
    """

    value: Floats
    slope: Floats
    gram: Floats
    load: Floats
    covariance: Floats
    estimate: float

    @property
    def possible(self) -> bool:
        """Whether no statistic without noise is violated: else no path obeys the conditions."""
        quiet = np.diag(self.gram) <= _CONSTANT * max(float(self.gram.max()), 1e-300)
        return not bool((self.value[quiet & (self.slope == 0.0)] > 0.0).any())

    def at(self, theta: Floats) -> Floats:
        """Every statistic at every value (v, t)."""
        return np.asarray(self.value[:, None] - self.slope[:, None] * theta[None, :])

    def critical(self, error: float, noise: Floats, seed: int) -> float:
        """Give the value that the largest statistic exceeds with a probability, all θ being true.

        The event that a maximum of normals is above c is a union of half-spaces. One statistic is
        picked by its own chance to be above a low c, its value drawn from that tail and the others
        given it; a draw weighs one over the number that are above (Owen, Maximov & Chertkov
        2019). So every draw is in the tail that counts.

        Parameters
        ----------
        error : float
            Probability.
        noise : array (b, k)
            Draws of the terms around zero.
        seed : int
            Of the tails.
        """
        sd = np.sqrt(np.maximum(np.diag(self.gram), 0.0))
        low = float(sd.max() * ndtri(1.0 - error))  # one statistic alone is above it so often
        if low <= 0.0:
            return 0.0
        with np.errstate(divide="ignore"):
            tail = np.exp(log_ndtr(-low / np.where(sd > 0.0, sd, np.inf))) * (sd > 0.0)
        n, total = len(noise), float(tail.sum())
        rng = np.random.default_rng(seed)
        picked = np.searchsorted(np.cumsum(tail) / total, (np.arange(n) + 0.5) / n)
        picked = np.minimum(picked, len(sd) - 1)
        above = -sd[picked] * ndtri(tail[picked] * rng.uniform(size=n))
        drawn = noise @ self.load.T
        now = drawn[np.arange(n), picked]
        share = self.gram[picked] / np.diag(self.gram)[picked][:, None]
        drawn += share * (above - now)[:, None]
        count = np.maximum((drawn >= low).sum(axis=1), 1)
        largest = drawn.max(axis=1)
        order = np.argsort(-largest, kind="stable")
        chance = np.cumsum(total / n / count[order])
        return float(largest[order][min(int(np.searchsorted(chance, error)), n - 1)])

    def below(self, limit: float) -> tuple[float, float] | None:
        """Give the ends of the values at which no statistic is above a limit; None if none."""
        if (self.value[self.slope == 0.0] > limit).any():
            return None
        up, down = self.slope > 0.0, self.slope < 0.0
        low = float(((self.value[up] - limit) / self.slope[up]).max(initial=-np.inf))
        high = float(((self.value[down] - limit) / self.slope[down]).min(initial=np.inf))
        return None if low > high else (low, high)

    def crossings(self) -> Floats:
        """Values at which one statistic takes over from another as the largest, ascending."""
        found: list[float] = []
        order = np.lexsort((-self.value, -self.slope))  # steepest decline last is right
        now = int(order[0])  # largest as θ → −∞
        theta = -np.inf
        while True:
            flatter = np.where(self.slope < self.slope[now])[0]
            if not len(flatter):
                return np.array(found)
            cross = (self.value[now] - self.value[flatter]) / (
                self.slope[now] - self.slope[flatter]
            )
            theta = max(float(cross.min()), theta)
            ties = flatter[cross <= theta]
            now = int(ties[self.slope[ties].argmin()])
            found.append(theta)

    def p_values(
        self, theta: Floats, cap: float = np.inf, band: tuple[Floats, float, float] | None = None
    ) -> Floats:
        """Give the conditional p-value at each value; 2 where the largest is not positive.

        Given which statistic is largest and what is independent of it, its value is a truncated
        normal. `cap` truncates it further (a first step rejected above), and `band` (weights of
        the terms, centre and half-length) to values within a fixed-length interval.
        """
        values = self.at(theta)
        top = values.argmax(axis=0)
        t = values[top, np.arange(len(theta))]
        variance = self.gram[top, top]
        noisy = variance > _CONSTANT * max(float(self.gram.max()), 1e-300)
        scale = np.where(noisy, variance, 1.0)
        share = self.gram[:, top] / scale  # of each statistic on the largest
        free = values - share * t
        low, high = _limits(share - 1.0, -free)
        if band is not None:
            weights, centre, half = band
            on = (self.load @ self.covariance @ weights)[top] / scale
            rest = centre - theta - on * t
            for sign in (1.0, -1.0):
                lo, hi = _limits((sign * on)[None, :], (half - sign * rest)[None, :])
                low, high = np.maximum(low, lo), np.minimum(high, hi)
        low, high = np.minimum(low, t), np.maximum(np.minimum(high, cap), t)
        p = _upper(t, low, high, np.sqrt(scale))
        p = np.where(noisy, p, 0.0)  # without noise it is violated or not
        return np.asarray(np.where(t > 0.0, p, 2.0))


def _limits(slope: Floats, room: Floats) -> tuple[Floats, Floats]:
    """Return the ends of t with slope · t ≤ room for every row (columns apart)."""
    flat = np.abs(slope) < _ZERO
    with np.errstate(divide="ignore", invalid="ignore"):
        at = room / np.where(flat, 1.0, slope)
    low = np.where(~flat & (slope < 0.0), at, -np.inf).max(axis=0)
    high = np.where(~flat & (slope > 0.0), at, np.inf).min(axis=0)
    return low, high


def _upper(t: Floats, low: Floats, high: Floats, sd: Floats) -> Floats:
    """Return P(N > t) of a N(0, sd²) within [low, high], low ≤ t ≤ high."""
    at, start, end = (log_ndtr(-x / sd) for x in (t, low, high))
    with np.errstate(divide="ignore", invalid="ignore"):
        above = at + np.log1p(-np.exp(np.minimum(end - at, 0.0)))
        whole = start + np.log1p(-np.exp(np.minimum(end - start, 0.0)))
        p = np.exp(above - whole)
    return np.where(high > low, np.where(t >= high, 0.0, p), 1.0)


def statistics(
    piece: Piece,
    values: Floats,
    covariance: Floats,
    weights: Floats,
    after: NDArray[np.bool_],
) -> Statistics:
    """Make the statistics of one polyhedron.

    Only conditions that hold a term from the start on are used, as in the authors' program: the
    others do not move with θ.
    """
    rows = (piece.A[:, after] != 0.0).any(axis=1)
    A, d = piece.A[rows], piece.d[rows]
    if not len(A):
        raise InferenceError(
            needed="a restriction on the violation from the start on",
            found="none",
            where="the piece",
            todo="use a restriction that bounds it",
        )
    variance = np.einsum("ij,jk,ik->i", A, covariance, A)
    scale = np.einsum("ij,jk,ik->i", np.abs(A), np.abs(covariance), np.abs(A))
    if (variance <= 1e-12 * scale).any():
        raise InferenceError(
            needed="a covariance under which every jump of the path is uncertain",
            found=f"{int((variance <= 1e-12 * scale).sum())} of {len(A)} conditions without "
            "variance",
            where="the covariance of the terms",
            todo="use an inference with more clusters than terms, or fewer periods",
        )
    pivot = int(np.abs(weights).argmax())
    one = A[:, pivot] / weights[pivot]
    others = [j for j in np.where(after)[0] if j != pivot]
    X = A[:, others] - one[:, None] * weights[others]
    gamma = vertices(X, np.sqrt(variance))
    load, e, slope = gamma @ A, gamma @ d, gamma @ one
    slope[np.abs(slope) <= _ZERO * (gamma @ np.abs(one))] = 0.0
    load[np.abs(load) <= _ZERO * (gamma @ np.abs(A))] = 0.0
    keep = _distinct(np.column_stack([load, e, slope]))
    load, e, slope = load[keep], e[keep], slope[keep]
    gram = load @ covariance @ load.T
    estimate = float(weights @ values)
    return Statistics(load @ values - e, slope, gram, load, covariance, estimate)


def vertices(X: Floats, sd: Floats) -> Floats:
    """Give the vertices of {γ ≥ 0, γ'X = 0, γ'sd = 1}.

    Double description: from the rays of γ ≥ 0, one column of X after the other cuts the cone; a
    ray on each side of the cut that are neighbours make a new one on it.

    Parameters
    ----------
    X : array (m, r)
    sd : array (m,)
        Positive.

    Returns
    -------
    array (v, m)

    Raises
    ------
    InferenceError
        If there are too many.

    Examples
    --------
    >>> vertices(np.array([[1.0], [-1.0], [0.0]]), np.ones(3)).tolist()
    [[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]
    """
    rays = np.eye(len(sd))
    left = list(range(X.shape[1]))
    while left:
        sides = rays @ X[:, left]
        sides[np.abs(sides) <= _ZERO * (rays @ np.abs(X[:, left]))] = 0.0
        pairs = (sides > 0.0).sum(axis=0) * (sides < 0.0).sum(axis=0)
        least = int(pairs.argmin())
        side = sides[:, least]
        left.pop(least)
        on, up, down = (np.where(test)[0] for test in (side == 0.0, side > 0.0, side < 0.0))
        made = [rays[on]]
        support = rays > 0.0
        if len(up) * len(down) > _PAIRS:
            raise _too_many(len(up) * len(down), X)
        i, j = (part.ravel() for part in np.meshgrid(up, down, indexing="ij"))
        block = max(1, _BLOCK // max(len(rays), 1))
        for begin in range(0, len(i), block):
            a, b = i[begin : begin + block], j[begin : begin + block]
            outside = ~(support[a] | support[b])
            inside = (outside.astype(np.float32) @ support.T.astype(np.float32)) == 0.0
            meet = inside.sum(axis=1) == 2
            a, b = a[meet], b[meet]
            made.append(rays[a] * -side[b][:, None] + rays[b] * side[a][:, None])
        rays = np.vstack(made)
        if len(rays) > _RAYS:
            raise _too_many(len(rays), X)
        rays = rays / rays.max(axis=1, initial=0.0)[:, None]
    return np.asarray(rays / (rays @ sd)[:, None])


def _too_many(found: int, X: Floats) -> InferenceError:
    return InferenceError(
        needed=f"a dual programme of at most {_RAYS} vertices",
        found=f"{found} on the way, with more to come",
        where=f"{len(X)} conditions on {X.shape[1] + 1} terms from the start on",
        todo="leave the sign or the monotone path out, report one term in place of a mean, "
        "or use fewer periods after the start",
    )


def _distinct(rows: Floats) -> NDArray[np.int64]:
    """Return the first of rows that are the same up to rounding."""
    size = np.abs(rows).max(axis=0)
    scaled = np.round(rows / np.where(size > 0.0, size, 1.0), 10) + 0.0
    return np.sort(np.unique(scaled, axis=0, return_index=True)[1])
