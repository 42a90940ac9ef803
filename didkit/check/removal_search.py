"""The search for the fewest units or cells whose removal turns a conclusion.

Small sets are all tried. Beyond them units are removed one after another, each time the one that
brings the estimate furthest (re-ranked after every removal, by exact algebra where it holds), and
what is not needed is put back. Broderick, Giordano & Meager (2020) rank once, by influence; ranking
again sees units that hide each other. What is found is refitted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from didkit.progress import steps

__all__ = ["Candidates", "Found", "fewest_of_means", "most_refits", "search_sign", "search_zero"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Row = tuple[float, float, float, float, str]

_SETS = 1_000_000  #: sets of one size that algebra goes through
_SIZES = 8  #: largest size that is tried throughout
_PUT_BACK = 40  #: elements of a set up to which each is tried to be put back


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be removed, by place 0 to n − 1.

    Parameters
    ----------
    n : int
    refit : callable
        Places → estimate, interval, p, why not.
    without : callable or None
        Places (B, s) → estimates (B,), NaN where a refit decides. None: only refits.
    another : callable or None
        Places gone → estimates (n,) without these and each other one.
    spread : callable or None
        Places (B, s) → estimates and standard errors (B,) both, for ranking only.
    """

    n: int
    refit: Callable[[Sequence[int]], Row]
    without: Callable[[Ints], Floats] | None = None
    another: Callable[[list[int]], Floats] | None = None
    spread: Callable[[Ints], tuple[Floats, Floats]] | None = None
    _seen: dict[frozenset[int], Row] = field(default_factory=dict)

    def made(self, places: Sequence[int]) -> Row:
        """Refit without some, remembered."""
        key = frozenset(int(i) for i in places)
        if key not in self._seen:
            self._seen[key] = self.refit(sorted(key))
        return self._seen[key]

    def values(self, sets: Ints, label: str, *, most: int) -> Floats | None:
        """Return the estimate without each set, by algebra where it holds.

        None where more than `most` would have to be refitted.
        """
        made = np.full(len(sets), np.nan) if self.without is None else self.without(sets)
        if np.isnan(made).sum() > most:
            return None
        for i in steps(np.flatnonzero(np.isnan(made)).tolist(), label):
            made[i] = self.made(sets[i].tolist())[0]
        return made


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    ``places`` (empty: nothing), in the order of removal; ``proven``: no smaller set does;
    ``upto``: size up to which all sets were tried; ``tried``: how many those were; ``alike``:
    other sets of the same size, where all were tried; ``path``: what was removed where nothing
    was found.
    """

    places: tuple[int, ...]
    proven: bool
    upto: int
    tried: int
    alike: tuple[tuple[int, ...], ...] = ()
    path: tuple[int, ...] = ()
    exact: bool = False


def _sets(n: int, size: int) -> Ints:
    if size == 1:
        return np.arange(n, dtype=np.intp)[:, None]
    if size == 2:
        return np.stack(np.triu_indices(n, 1), axis=1).astype(np.intp)
    flat = itertools.chain.from_iterable(itertools.combinations(range(n), size))
    return np.fromiter(flat, dtype=np.intp).reshape(-1, size)


def most_refits(n: int, *, most: int, largest: int) -> int:
    """Return how many refits a search by refits alone takes where nothing is found early.

    Examples
    --------
    >>> most_refits(20, most=2000, largest=10)  # 20 + 190 + 1,140, then 10 and 9 put back
    1369
    """
    tried = 0
    for size in range(1, min(_SIZES, largest) + 1):
        if tried + math.comb(n, size) > most:
            break
        tried += math.comb(n, size)
    after = max(0, min(largest, n - 2, most))
    return tried + after + (after - 1 if 1 < after <= _PUT_BACK else 0)


def _best(sets: Ints, gain: Floats) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Return the set with the largest gain, and the others above zero, best first."""
    order = np.argsort(-gain, kind="stable")
    good = [tuple(sets[i].tolist()) for i in order if gain[i] > 0]
    return (good[0], tuple(good[1:])) if good else ((), ())


def search_sign(of: Candidates, full: float, *, most: int, largest: int) -> Found:
    """Find a small set without which the estimate has the other sign."""
    towards = -np.sign(full)
    tried, upto = 0, 0
    limit = most if of.without is None else _SETS
    alone = np.full(of.n, np.nan)
    for size in range(1, min(_SIZES, largest) + 1):
        count = math.comb(of.n, size)
        if count > limit or (of.without is None and tried + count > most):
            break
        sets = _sets(of.n, size)
        values = of.values(sets, "removing", most=most)
        if values is None:
            break
        gain = np.nan_to_num(towards * values, nan=-np.inf)
        if size == 1:
            alone = gain
        tried, upto = tried + count, size
        while gain.max(initial=-np.inf) > 0:
            best, others = _best(sets, gain)
            if towards * of.made(best)[0] > 0:  # the refit decides
                return Found(_ordered(best, alone), True, upto, tried, others)
            gain[(sets == np.array(best)).all(axis=1)] = -np.inf
    return _one_by_one(of, alone, towards, Found((), False, upto, tried), most, largest)


def _one_by_one(
    of: Candidates, alone: Floats, towards: float, far: Found, most: int, largest: int
) -> Found:
    """Remove one after another, the furthest first, until the sign turns."""
    gone: list[int] = []
    order = np.argsort(-alone, kind="stable").tolist()
    done = False
    longest = min(largest, of.n - 2) if of.another else min(largest, of.n - 2, most)
    for _ in steps(range(longest), "removing one after another"):
        if of.another is not None:
            gain = np.nan_to_num(towards * of.another(gone), nan=-np.inf)
            gain[gone] = -np.inf
            if not np.isfinite(gain).any():
                break
            gone.append(int(gain.argmax()))
            done = bool(gain.max() > 0)
        else:
            gone.append(order[len(gone)])
            done = True
        if done and towards * of.made(gone)[0] > 0:
            break
        done = False
    if not done:
        return Found((), False, far.upto, far.tried, path=tuple(gone))
    kept = _put_back(gone, lambda left: towards * of.made(left)[0] > 0)
    return Found(tuple(kept), len(kept) == far.upto + 1, far.upto, far.tried)


def _put_back(gone: list[int], turned: Callable[[list[int]], bool]) -> list[int]:
    """Put back, latest first, what is not needed."""
    kept = list(gone)
    if len(kept) > _PUT_BACK:
        return kept
    for one in steps(gone[-2::-1], "putting back"):
        left = [i for i in kept if i != one]
        if left and turned(left):
            kept = left
    return kept


def _ordered(places: Sequence[int], alone: Floats) -> tuple[int, ...]:
    return tuple(sorted(places, key=lambda i: (-alone[i], i)))


def fewest_of_means(
    numbers: Floats, pilot: NDArray[np.bool_], free: NDArray[np.bool_], full: float
) -> tuple[int, ...]:
    """Find the fewest units without which a difference of two means has the other sign.

    The mean of an arm falls most when its largest numbers leave. So for each number of pilots and
    of comparators the best set is known, and the smallest of these is the smallest of all.

    Parameters
    ----------
    numbers : array (J,)
        One a unit.
    pilot, free : bool array (J,)
        Who is a pilot, and who may leave.
    full : float
        The difference of the means.

    Returns
    -------
    tuple of int
        Units, in the order in which they leave; empty if no set does it.

    Examples
    --------
    >>> numbers, pilot = np.array([9.0, -1, -1, 0, 0]), np.array([True] * 3 + [False] * 2)
    >>> fewest_of_means(numbers, pilot, np.full(5, True), 7 / 3)
    (0,)
    """
    down = np.sign(full)  # pilots with large numbers, comparators with small ones
    means, orders = [], []
    for arm, sign in ((pilot, down), (~pilot, -down)):
        may = np.flatnonzero(arm & free)
        order = may[np.argsort(-sign * numbers[may], kind="stable")]
        count, total = int(arm.sum()), float(numbers[arm].sum())
        n = min(len(order), count - 1)
        gone = np.concatenate([[0.0], np.cumsum(numbers[order[:n]])])
        means.append((total - gone) / (count - np.arange(n + 1)))
        orders.append(order)
    left = -down * (means[0][:, None] - means[1][None])
    a, b = np.nonzero(left > 0)
    if not len(a):
        return ()
    size = a + b
    i = min(np.flatnonzero(size == size.min()), key=lambda i: -left[a[i], b[i]])
    return (*orders[0][: a[i]].tolist(), *orders[1][: b[i]].tolist())


# -- zero and the interval ---------------------------------------------------------------------


def _gain(row: Row, outside: bool) -> float:
    """How far zero is on the wanted side of the interval: above 0 it has moved.

    `outside`: it was outside, and is wanted inside.
    """
    low, high = row[1], row[2]
    if np.isnan(low) or np.isnan(high):
        return -np.inf
    beyond = max(low, -high)  # above 0: zero is outside
    if outside:
        return -beyond if beyond < 0 else (1e-300 if beyond == 0 else -beyond)
    return beyond if beyond != 0 else -1e-300


def search_zero(of: Candidates, full: Row, *, most: int, largest: int) -> Found:
    """Find a small set without which zero is on the other side of the interval."""
    outside = not full[1] <= 0 <= full[2]
    tried, upto = 0, 0
    alone: dict[int, Row] = {}
    for size in range(1, min(_SIZES, largest) + 1):
        count = math.comb(of.n, size)
        if tried + count > most:
            break
        sets = _sets(of.n, size)
        rows = [of.made(one) for one in steps(sets.tolist(), "removing")]
        gain = np.array([_gain(row, outside) for row in rows])
        if size == 1:
            alone = dict(enumerate(rows))
        tried, upto = tried + count, size
        best, others = _best(sets, gain)
        if best:
            by = np.array([_gain(alone[i], outside) for i in range(of.n)])
            return Found(_ordered(best, by), True, upto, tried, others)
    routes = []
    for towards in (-np.sign(full[0]),) if outside else (1.0, -1.0):
        gone = _route(of, full, alone, towards, outside, min(largest, of.n - 2, most))
        if gone and _gain(of.made(gone), outside) > 0:
            routes.append(_put_back(gone, lambda left: _gain(of.made(left), outside) > 0))
        else:
            path = tuple(gone)
    if not routes:
        return Found((), False, upto, tried, path=path)
    kept = min(routes, key=len)
    return Found(tuple(kept), len(kept) == upto + 1, upto, tried)


def _route(
    of: Candidates, full: Row, alone: dict[int, Row], towards: float, outside: bool, largest: int
) -> list[int]:
    """Remove one after another until zero has moved, or as many as may be.

    Ranked by the estimate less so many standard errors that with nobody removed it is the
    interval's end; by the interval's own end, once, where there is no algebra.
    """
    value, low, high = full[:3]
    end = low if (towards < 0) == outside else high
    order = sorted(alone, key=lambda i: -towards * alone[i][0] if np.isfinite(alone[i][0]) else 0)
    reach = abs(value - end)
    error = float("nan")
    if of.spread is not None:
        error = float(of.spread(np.zeros((1, 0), dtype=np.intp))[1][0])
    gone: list[int] = []
    for _ in steps(range(largest), "removing one after another"):
        rest = [i for i in range(of.n) if i not in gone]
        if of.spread is not None:
            values, errors = of.spread(np.array([[*gone, i] for i in rest], dtype=np.intp))
            edge = (1 if outside else -1) * reach * errors / error
            score = np.nan_to_num(towards * values + edge, nan=-np.inf)
            gone.append(rest[int(score.argmax())])
        elif of.another is not None:
            score = np.nan_to_num(towards * of.another(gone), nan=-np.inf)
            score[gone] = -np.inf
            gone.append(int(score.argmax()))
        elif len(gone) < len(order):
            gone.append(order[len(gone)])
        else:
            break
        if _gain(of.made(gone), outside) > 0:
            break
    return gone
