"""Sets of effects that trends within a restriction leave possible: conditional and identified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from didkit.check.conditional_test import Statistics, statistics
from didkit.check.fixed_length import FixedLength, _level, checked
from didkit.check.restrictions import Piece
from didkit.errors import InferenceError, is_number, is_whole

__all__ = ["Accepted", "conditional_set", "identified_set"]

Floats = NDArray[np.float64]
Interval = tuple[float, float]
METHODS = ("hybrid", "conditional", "least_favourable", "conditional_fixed_length")
_DRAWS = 5_000  #: each in the tail: the critical value is known to about 0.01
_GRID = 401  #: values tried between the ends of the search, beside every corner
_REACH = 20.0  #: standard errors searched beyond what is surely accepted
_NEAR = 1e6  #: standard errors; where statistics cross farther off, their slopes are the same
_DOUBLINGS = 40  #: of a standard error, of the search beyond that
_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class Accepted:
    """The values of a combination of effects that a test does not reject.

    Parameters
    ----------
    low, high : float
        Ends of the hull of all intervals, in the metric's unit; NaN where every value is rejected.
    open_low, open_high : bool
        Whether the set has no end there (then ±∞).
    intervals : tuple of (float, float)
        The set, as the union over pieces: apart and ascending; none where it is empty.
    pieces : tuple of tuple of (float, float)
        What each polyhedron of the restriction accepts.
    """

    low: float
    high: float
    open_low: bool
    open_high: bool
    intervals: tuple[Interval, ...]
    pieces: tuple[tuple[Interval, ...], ...]

    @property
    def contiguous(self) -> bool:
        """Whether the set is one interval; where it is not, `low` to `high` is its hull."""
        return len(self.intervals) == 1


def conditional_set(
    values: Floats,
    covariance: Floats,
    weights: Floats,
    times: Sequence[int] | NDArray[np.int64],
    reference: int,
    first: int,
    pieces: Sequence[Piece],
    level: float,
    method: str = "hybrid",
    *,
    share: float = 0.1,
    fixed: FixedLength | None = None,
    draws: int = _DRAWS,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Accepted:
    """Invert a test of the combination of effects under trends that differ within polyhedra.

    Parameters
    ----------
    values : array (k,)
        Terms, in the metric's unit.
    covariance : array (k, k)
        Of the terms.
    weights : array (k,)
        The combination l'τ, with zero for terms before `first`.
    times : int array (k,)
        Event times of the terms, ascending.
    reference, first : int
        Event time at which the path is 0, and the first with a possible effect.
    pieces : sequence of Piece
        From ``restriction.pieces(times, reference, first, size)``. A value is accepted if one of
        them accepts it.
    level : float
        Of the set, between 0.5 and 1.
    method : str, default "hybrid"
        ``"conditional"``: the largest studentised violation given which conditions bind.
        ``"least_favourable"``: against its quantile when all conditions bind.
        ``"hybrid"``: least favourable first, at a small share of the error, then conditional.
        ``"conditional_fixed_length"``: within a fixed-length interval first, then conditional.
    share : float, default 0.1
        Of the error rate that the first step of a hybrid uses.
    fixed : FixedLength, optional
        For ``"conditional_fixed_length"``: the interval at level 1 − share · (1 − level).
    draws, seed : int
        Of the least favourable critical value.
    tolerance : float, default 1e-6
        To which ends are found, in standard errors of the combination.

    Returns
    -------
    Accepted

    Raises
    ------
    InferenceError
        If an option or input is malformed, a condition has no variance, or there are too many
        vertices (many periods after the start with a sign or a monotone path).

    Notes
    -----
    Assumes normal terms with a known covariance. Andrews, Roth & Pakes (2023); Rambachan & Roth
    (2023, section 3). Conditions that hold no term from `first` on do not enter. The accepted set
    need not be one interval; values are tried on a fine grid and wherever another condition
    becomes the binding one, and each change is then located by halving.

    Examples
    --------
    One term after the start, jumps of up to half the jump before:

    >>> from didkit.check.restrictions import RelativeMagnitudes
    >>> times = np.array([-2, 0])
    >>> made = conditional_set(
    ...     np.array([0.2, 2.0]),
    ...     0.04 * np.eye(2),
    ...     np.array([0.0, 1.0]),
    ...     times,
    ...     -1,
    ...     0,
    ...     RelativeMagnitudes().pieces(times, -1, 0, 0.5),
    ...     0.95,
    ... )
    >>> made.contiguous, made.low < 1.6 and made.high > 2.4
    (True, True)
    """
    beta, sigma, chosen = checked(values, covariance, weights, times, first)
    alpha = 1.0 - _level(level)
    _check_options(method, share, fixed, draws, tolerance, seed)
    if not len(pieces):
        raise _wrong("pieces", "at least one polyhedron", "none")
    after = np.asarray(times) >= first
    noise = None
    if method in ("hybrid", "least_favourable"):
        noise = _noise(sigma, draws, seed)
    scale = float(np.sqrt(chosen @ sigma @ chosen))
    found: dict[bytes, tuple[Interval, ...]] = {}
    each = []
    for piece in pieces:
        rows = (piece.A[:, after] != 0.0).any(axis=1)
        same = piece.A[rows].tobytes() + piece.d[rows].tobytes()
        if same not in found:
            made = statistics(piece, beta, sigma, chosen, after)
            found[same] = _accepted(
                made, alpha, method, share, fixed, noise, scale, tolerance, seed
            )
        each.append(found[same])
    intervals = _union([one for some in each for one in some])
    if not intervals:
        return Accepted(np.nan, np.nan, False, False, (), tuple(each))
    low, high = intervals[0][0], intervals[-1][1]
    return Accepted(
        low, high, bool(np.isneginf(low)), bool(np.isposinf(high)), intervals, tuple(each)
    )


def identified_set(
    values: Floats,
    weights: Floats,
    times: Sequence[int] | NDArray[np.int64],
    first: int,
    pieces: Sequence[Piece],
    *,
    every: bool = False,
) -> Interval:
    """Give the ends of what a combination of effects can be if the terms were without error.

    Parameters
    ----------
    values, weights : array (k,)
        Terms, and the combination, with zero for terms before `first`.
    times : int array (k,)
        Event times of the terms, ascending.
    first : int
        First event time with a possible effect.
    pieces : sequence of Piece
        The union of these holds the violation.
    every : bool, default False
        Hold conditions among terms before `first` too. Estimated terms rarely obey those of
        `Smoothness`: then nothing is possible. Without them terms before `first` are taken as
        they are.

    Returns
    -------
    (float, float)
        ±∞ where there is no end, NaN where nothing is possible.

    Examples
    --------
    A jump of 0.2 before the start, so one of at most 0.1 after it:

    >>> from didkit.check.restrictions import RelativeMagnitudes
    >>> times = np.array([-2, 0])
    >>> pieces = RelativeMagnitudes().pieces(times, -1, 0, 0.5)
    >>> low, high = identified_set(np.array([0.2, 2.0]), np.array([0.0, 1.0]), times, 0, pieces)
    >>> round(low, 9), round(high, 9)
    (1.9, 2.1)
    """
    k = len(np.asarray(times))
    beta, _, chosen = checked(values, np.eye(k), weights, times, first)
    after = np.asarray(times) >= first
    low, high = np.inf, -np.inf
    for piece in pieces:
        rows = (piece.A[:, after] != 0.0).any(axis=1) | every
        room = piece.d[rows] - piece.A[rows][:, ~after] @ beta[~after]
        for sign in (1.0, -1.0):
            solved = linprog(
                -sign * chosen[after],
                A_ub=piece.A[rows][:, after],
                b_ub=room,
                bounds=(None, None),
                method="highs",
            )
            if solved.status == 2:
                break
            if solved.status not in (0, 3):
                raise _wrong("a linear programme", "a solution", solved.message)
            most = (
                np.inf if solved.status == 3 else sign * float(chosen[after] @ np.asarray(solved.x))
            )
            end = float(chosen @ beta) - sign * most
            low, high = min(low, end), max(high, end)
    return (low, high) if low <= high else (np.nan, np.nan)


def _accepted(
    made: Statistics,
    alpha: float,
    method: str,
    share: float,
    fixed: FixedLength | None,
    noise: Floats | None,
    scale: float,
    tolerance: float,
    seed: int,
) -> tuple[Interval, ...]:
    """Return the accepted intervals of one polyhedron, ascending."""
    if not made.possible:
        return ()
    cap, band, size = np.inf, None, alpha
    within: Interval | None = (-np.inf, np.inf)
    if noise is not None:
        if method == "least_favourable":
            within = made.below(made.critical(alpha, noise, seed))
            return () if within is None else (within,)
        cap = made.critical(share * alpha, noise, seed)
        within = made.below(cap)
    if method == "conditional_fixed_length" and fixed is not None:
        band = (fixed.combination, fixed.estimate, fixed.half_length)
        within = (fixed.low, fixed.high)
    if cap < np.inf or band is not None:
        size = (alpha - share * alpha) / (1.0 - share * alpha)
    if within is None:
        return ()

    def accepts(theta: Floats) -> NDArray[np.bool_]:
        return made.p_values(theta, cap, band) >= size

    theta, free = _tried(made, within, accepts, scale)
    good = accepts(theta)
    flips = np.where(good[1:] != good[:-1])[0]
    left, right = theta[flips].copy(), theta[flips + 1].copy()
    for _ in range(_HALVINGS):
        if not len(left) or float((right - left).max()) <= tolerance * scale:
            break
        middle = (left + right) / 2.0
        like_left = accepts(middle) == good[flips]
        left, right = np.where(like_left, middle, left), np.where(like_left, right, middle)
    edges = np.where(good[flips], left, right) if len(flips) else np.zeros(0)
    ends = ([theta[0]] if good[0] else []) + edges.tolist() + ([theta[-1]] if good[-1] else [])
    made_of = [[a, b] for a, b in zip(ends[::2], ends[1::2], strict=True)]
    if made_of and good[0] and free[0]:
        made_of[0][0] = -np.inf
    if made_of and good[-1] and free[1]:
        made_of[-1][1] = np.inf
    return tuple((float(a), float(b)) for a, b in made_of)


def _tried(
    made: Statistics,
    within: Interval,
    accepts: Callable[[Floats], NDArray[np.bool_]],
    scale: float,
) -> tuple[Floats, tuple[bool, bool]]:
    """Return the values to try, ascending, and whether there is no end on either side.

    Where a first step gives ends they are the ends of the search. Where not, it goes out from what
    is surely accepted until a value is rejected; after many doublings there is no end.
    """
    corners = made.crossings()
    sure = made.below(0.0)
    if sure is None:
        lowest = made.at(corners).max(axis=0) if len(corners) else np.zeros(0)
        middle = float(corners[lowest.argmin()]) if len(corners) else made.estimate
        sure = (middle, middle)
    inner = [one for one in sure if np.isfinite(one)] or [made.estimate]
    near = corners[(np.abs(corners - inner[0]) <= _NEAR * scale)]
    around = (near[:, None] + scale * np.array([-3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0])).ravel()
    sides, free, more = [], [False, False], [around]
    for side, sign in ((0, -1.0), (1, 1.0)):
        if np.isfinite(within[side]):
            sides.append(within[side])
            continue
        start = (min if side == 0 else max)(*inner, *inner, *near) + sign * _REACH * scale
        steps = start + sign * scale * np.r_[0.0, 2.0 ** np.arange(_DOUBLINGS)]
        good = accepts(steps)
        sides.append(start)
        free[side] = bool(good[-1])
        more.append(steps[: int(np.where(good)[0].max(initial=-1)) + 2] if not free[side] else [])
    theta = np.unique(
        np.concatenate([np.linspace(sides[0], sides[1], _GRID), *map(np.asarray, more)])
    )
    clipped = theta[(theta >= within[0]) & (theta <= within[1])]
    return clipped, (free[0], free[1])


def _noise(sigma: Floats, draws: int, seed: int) -> Floats:
    """Return draws (b, k) of the terms around zero, in pairs of opposite sign."""
    values, vectors = np.linalg.eigh(sigma)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    half = np.random.default_rng(seed).standard_normal((-(-draws // 2), len(sigma))) @ root.T
    return np.vstack([half, -half])[:draws]


def _union(intervals: list[Interval]) -> tuple[Interval, ...]:
    """Return the union, ascending and apart."""
    joined: list[Interval] = []
    for low, high in sorted(intervals):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def _check_options(
    method: object, share: object, fixed: object, draws: object, tolerance: object, seed: object
) -> None:
    if method not in METHODS:
        raise _wrong("method", f"one of {', '.join(METHODS)}", repr(method))
    if not _between(share):
        raise _wrong("share", "a number between 0 and 1", repr(share))
    if not is_whole(draws) or int(draws) < 1000:  # type: ignore[call-overload]
        raise _wrong("draws", "a whole number from 1,000 on", repr(draws))
    if not _between(tolerance):
        raise _wrong("tolerance", "a number between 0 and 1", repr(tolerance))
    if not is_whole(seed) or int(seed) < 0:  # type: ignore[call-overload]
        raise _wrong("seed", "a whole number from 0 on", repr(seed))
    if (method == "conditional_fixed_length") != isinstance(fixed, FixedLength):
        raise _wrong(
            "fixed",
            "a FixedLength for 'conditional_fixed_length', and none for other methods",
            f"{type(fixed).__name__} with {method!r}",
        )


def _wrong(where: str, needed: str, found: str) -> InferenceError:
    return InferenceError(needed=needed, found=found, where=where, todo="give one of these")


def _between(value: object) -> bool:
    """Tell a number between 0 and 1."""
    return is_number(value) and 0.0 < float(value) < 1.0  # type: ignore[arg-type]
