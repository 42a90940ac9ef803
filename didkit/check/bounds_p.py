"""The largest p of a permutation test over all that the cells can be: bounds, and a search.

With cells y = c + Σ r_i δ_i, each δ_i between −1 and 1, the estimate under an assignment π is
linear, b_π(y) = b_π(c) + Σ a_πi r_i δ_i, and its standard error is a norm of a linear map, so
that by the triangle inequality it stays within s_π(c) ± R_π. An assignment counts where
|T_π(y)| ≥ |T(y)| for some y; that cannot be unless

    |b_π(y)| × (s(c) + R)  ≥  |b(y)| × (s_π(c) − R_π)⁺   for some y,

and this is settled exactly: with v and u its two sides before the bars, {(u, v)} is a convex
set, and it meets v ≥ |u| if and only if max over y of v + μ u is not negative for any μ between
−1 and 1. One μ with a negative maximum proves that the assignment never counts; the maximum is
convex in μ and its least value is found by bisection. So the count is never too small. With the
estimate itself as statistic (s = 1, R = 0) it is the exact worst case of each assignment by
itself; the cells that are worst for one need not be worst for another, so that the bound may not
be attained.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from didkit.check.bounds_moves import Moves, two_way_moves
from didkit.errors import DidkitError, InferenceError
from didkit.inference.permutation import Permutation, Redrawn
from didkit.linear.sweep import TIES
from didkit.results import Estimate

__all__ = ["LargestP", "largest_p"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_HALVINGS = 48
_PROBES = 60  #: cells moved one at a time, where the estimate is not one number a unit
_EXACT = 4096  #: completions in whole numbers that are all looked at
_WORK = 4_000_000_000  #: products that this may take
_CLOSE = 1e-7


@dataclass(frozen=True)
class LargestP:
    """What is known of the largest p.

    ``upper``: never below it. ``found``: the largest p of the completions that were looked at, a
    lower bound; the largest p itself where ``exact``.
    """

    upper: float
    found: float
    exact: bool


def largest_p(
    middle: Estimate,
    ends: tuple[Estimate, Estimate],
    lower: Floats,
    upper: Floats,
    *,
    inference: Permutation,
    term: int,
    whole: Floats | None,
    linked: bool,
    seed: int,
) -> LargestP:
    """Bound the largest p over all completions, and search for it.

    Parameters
    ----------
    middle, ends : Estimate
        With each cell in the middle of its interval; with those that make the term least and
        largest.
    lower, upper : array (J, T)
        Intervals of the sample's cells.
    inference : Permutation
        Whose p.
    term : int
        Which term.
    whole : array (J, T), optional
        Step between the numbers that a hidden cell can be (1 for a count); NaN for other cells.
        None: cells are not whole numbers.
    linked : bool
        Whether totals tie cells together, so that not every corner of the intervals is a
        completion: then only the ends and what lies between them are looked at.
    seed : int
        Of the completions drawn in the search.

    Raises
    ------
    InferenceError
        If there is no bound, with the reason.
    """
    if inference.caliper:
        raise _unbounded("the caliper of the permutation moves with the cells")
    again = inference.redrawn(middle)
    studentised = bool(again.studentised[term])
    if not np.isfinite(again.actual.b[0, term]):
        raise _unbounded("the term has no permutation test")
    lone = _one_number_a_unit(middle, again, term)
    if lone is not None:
        moves = _of_units(middle, again, lone, lower, upper, studentised=studentised)
    elif studentised and middle.exchanged is not None:
        raise _unbounded("the spread between matched sets is not bounded; ask Permutation('beta')")
    else:
        half = np.where(middle.sample.mask, (upper - lower) / 2, 0.0)
        found_moves = two_way_moves(middle, again, half, studentised=studentised)
        moves = found_moves or _of_cells(
            middle, ends, again, lower, upper, term, studentised=studentised
        )
    bound = _share(_count(again, moves, term, studentised=studentised), again)
    if lone is not None and not linked:
        found, exact = _search_units(
            middle, again, lone, lower, upper, whole, seed, studentised=studentised
        )
    else:
        found, exact = _search_ends(middle, ends, again, term), False
    return LargestP(bound, found, exact)


def _share(count: int, again: Redrawn) -> float:
    """Return p from the number of assignments that count, as the test itself does."""
    n = len(again.chosen)
    return count / n if again.chosen.exact else (1 + count) / (1 + n)


def _count(again: Redrawn, moves: Moves, term: int, *, studentised: bool) -> int:
    """Count the assignments that some completion may make as large as the actual one."""
    theirs, own = again.drawn.b[:, term], float(again.actual.b[0, term])
    high, low = np.ones(1), np.ones(len(theirs))
    lost = ~np.isfinite(theirs)
    if studentised:
        with np.errstate(invalid="ignore"):
            high = np.sqrt(again.actual.v0[:, term]) + moves.own_blur
            low = np.maximum(np.sqrt(again.drawn.v0[:, term]) - moves.blur, 0.0)
        lost |= ~np.isfinite(low)
    v, u = theirs * high, own * low
    a_v, a_u = moves.theirs * high[:, None], moves.own * low[:, None]
    # as it is in the middle, an assignment may count already
    can = lost | (np.abs(v) >= np.abs(u))
    for sign in (1.0, -1.0):
        open_ = np.flatnonzero(~can)
        if len(open_):
            parts = (v[open_] * sign, u[open_], a_v[open_] * sign, a_u[open_], moves.radius[open_])
            can[open_] = ~_never(*parts)
    return int(can.sum())


def _never(v: Floats, u: Floats, a_v: Floats, a_u: Floats, radius: Floats) -> Bools:
    """Tell the rows in which v ≥ |u| for no completion: a proof, by some μ between −1 and 1."""
    size = np.abs(v) + np.abs(u) + (radius * (np.abs(a_v) + np.abs(a_u))).sum(axis=1)
    low, high = np.full(len(v), -1.0), np.full(len(v), 1.0)
    least = np.full(len(v), np.inf)

    def at(mu: Floats) -> tuple[Floats, Floats]:
        inner = a_v + mu[:, None] * a_u
        value = v + mu * u + (radius * np.abs(inner)).sum(axis=1)
        slope = u + (radius * a_u * np.sign(inner)).sum(axis=1)
        return value, slope

    enough = -10 * TIES * size
    for mu in (low, high):
        least = np.fmin(least, at(mu)[0])
    left = np.flatnonzero(~(least < enough))  # the others are settled
    if 0 < len(left) < len(v):
        done: Bools = least < enough
        done[left] = _never(v[left], u[left], a_v[left], a_u[left], radius[left])
        return done
    for _ in range(_HALVINGS):
        mu = (low + high) / 2
        value, slope = at(mu)
        least = np.fmin(least, value)
        low, high = np.where(slope < 0, mu, low), np.where(slope < 0, high, mu)
    made: Bools = least < enough
    return made


# -- one number a unit -------------------------------------------------------------------------


def _one_number_a_unit(middle: Estimate, again: Redrawn, term: int) -> Floats | None:
    """Return what each cell adds to its unit's number (J, T), where the estimate is made so.

    One start, one pool, every cell there: then the estimate is the pilots' mean of these numbers
    less the comparators', whoever the pilots are. Held against the refits themselves.
    """
    sample = middle.sample
    if (
        middle.contributions is None
        or middle.weights is None
        or sample.sets is not None
        or len(sample.starts) != 1
        or not sample.mask.all()
        or not np.isfinite(middle.contributions[:, term]).all()
    ):
        return None
    n1, n0 = sample.n_pilots, sample.n_comparators
    share = np.where(sample.pilot, 1 / n1, -1 / n0)
    cells: Floats = middle.weights[term] / share[:, None]
    numbers = (cells * sample.y).sum(axis=1)
    pilots = again.chosen.labels >= 0
    b, v = _statistics(numbers[None], pilots)
    scale = 1 + float(np.abs(numbers).max())
    for mine, theirs in ((b[:, 0], again.drawn.b[:, term]), (v[:, 0], again.drawn.v0[:, term])):
        gap = np.abs(mine - theirs)
        if not (np.isfinite(gap).all() and gap.max() < _CLOSE * scale**2):
            return None
    return cells


def _statistics(numbers: Floats, pilots: Bools) -> tuple[Floats, Floats]:
    """Return estimates and variances (B, C) of C sets of numbers (C, J) under B assignments."""
    n1 = pilots.sum(axis=1, keepdims=True).astype(float)
    n0 = pilots.shape[1] - n1
    centred = numbers - numbers.mean(axis=1, keepdims=True)
    who = pilots.astype(float)
    first, square = who @ centred.T, who @ (centred**2).T
    rest, left = -first, (centred**2).sum(axis=1) - square
    spread1 = np.maximum(square - first**2 / n1, 0.0)
    spread0 = np.maximum(left - rest**2 / n0, 0.0)
    return first / n1 - rest / n0, spread1 / n1**2 + spread0 / n0**2


def _radius(cells: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return how far each unit's number can move from its middle, (J,)."""
    half = np.where(cells != 0, (upper - lower) / 2, 0.0)
    made: Floats = (np.abs(cells) * half).sum(axis=1)
    return made


def _of_units(
    middle: Estimate,
    again: Redrawn,
    cells: Floats,
    lower: Floats,
    upper: Floats,
    *,
    studentised: bool,
) -> Moves:
    """Moves of the units' numbers, in four groups: pilots or not, under π or not."""
    r = _radius(cells, lower, upper)
    actual = middle.sample.pilot
    pilots = again.chosen.labels >= 0
    radius = np.stack(
        [
            (pilots == mine) @ np.where(actual == own, r, 0.0)
            for own in (True, False)
            for mine in (True, False)
        ],
        axis=1,
    )
    n1 = float(actual.sum())
    n0 = len(actual) - n1
    own = np.array([1 / n1, 1 / n1, -1 / n0, -1 / n0])
    theirs = np.array([[1 / n1, -1 / n0, 1 / n1, -1 / n0]])
    blur, own_blur = np.zeros(len(pilots)), 0.0
    if studentised:
        blur = _blur(r, pilots)
        own_blur = float(_blur(r, actual[None])[0])
    return Moves(own, np.broadcast_to(theirs, radius.shape), radius, blur, own_blur)


def _blur(r: Floats, pilots: Bools) -> Floats:
    """Return how far the standard error can move, (B,): the norm of the largest changes by unit."""
    total = np.zeros(len(pilots))
    for arm in (pilots, ~pilots):
        who = arm.astype(float)
        n = who.sum(axis=1)
        first, square = who @ r, who @ r**2
        keep = np.abs(1 - 2 / n)
        total += (keep**2 * square + 2 * keep * first**2 / n + first**2 / n) / n**2
    made: Floats = np.sqrt(total)
    return made


def _search_units(
    middle: Estimate,
    again: Redrawn,
    cells: Floats,
    lower: Floats,
    upper: Floats,
    whole: Floats | None,
    seed: int,
    *,
    studentised: bool,
) -> tuple[float, bool]:
    """Return the largest p found, and whether every completion was looked at."""
    sample = middle.sample
    free = np.argwhere((upper > lower) & (cells != 0))
    listed = _whole_numbers(free, lower, upper, whole)
    pilots = again.chosen.labels >= 0
    work = len(pilots) * len(sample.units)
    exact = listed is not None and len(listed) * work <= _WORK
    base = np.where(np.isfinite(lower + upper), lower / 2 + upper / 2, 0.0)
    numbers = (np.where(cells != 0, cells, 0.0) * base).sum(axis=1)
    rows, cols = free[:, 0], free[:, 1]
    if listed is None or not exact:
        rng = np.random.default_rng(seed)
        n = int(np.clip(_WORK / 8 / max(work, 1), 8, 200))
        weight = np.sign(cells[rows, cols]) * np.where(sample.pilot[rows], 1, -1)
        towards = np.where(weight > 0, upper[rows, cols], lower[rows, cols])
        away = np.where(weight > 0, lower[rows, cols], upper[rows, cols])
        parts = np.linspace(0, 1, 21)[:, None]
        corner = rng.random((n, len(free))) < 0.5
        listed = np.concatenate(
            [
                parts * towards + (1 - parts) * away,
                np.where(corner, upper[rows, cols], lower[rows, cols]),
            ]
        )
    unit = np.zeros((len(free), len(sample.units)))
    unit[np.arange(len(free)), rows] = cells[rows, cols]
    largest = 0.0
    step = max(1, 4_000_000 // len(pilots))
    for first in range(0, len(listed), step):
        moved = numbers + (listed[first : first + step] - base[rows, cols]) @ unit
        largest = max(
            largest, float(_p_values(moved, pilots, sample.pilot, again, studentised).max())
        )
    return largest, exact


def _p_values(
    numbers: Floats, pilots: Bools, actual: Bools, again: Redrawn, studentised: bool
) -> Floats:
    """Return p (C,) of C sets of numbers, ties counted."""
    b, v = _statistics(numbers, pilots)
    own_b, own_v = _statistics(numbers, actual[None])
    if studentised:  # without division: a variance of nothing makes the statistic extreme
        large = b**2 * own_v >= own_b**2 * v * (1 - TIES)
    else:
        large = b**2 >= own_b**2 * (1 - TIES)
    count = large.sum(axis=0)
    n = len(pilots)
    made: Floats = np.asarray(count / n if again.chosen.exact else (1 + count) / (1 + n))
    return made


def _whole_numbers(
    free: NDArray[np.intp], lower: Floats, upper: Floats, whole: Floats | None
) -> Floats | None:
    """List every completion in whole numbers, if they are few; None if not, or not whole."""
    if whole is None or not len(free):
        return None
    choices, total = [], 1
    for j, t in free:
        step = whole[j, t]
        if not np.isfinite(step):
            return None
        first = int(np.ceil(lower[j, t] / step - _CLOSE))
        last = int(np.floor(upper[j, t] / step + _CLOSE))
        choices.append(np.arange(first, last + 1) * step)
        total *= len(choices[-1])
        if not 0 < total <= _EXACT:
            return None
    return np.array(list(itertools.product(*choices)))


# -- cells moved one at a time -----------------------------------------------------------------


def _of_cells(
    middle: Estimate,
    ends: tuple[Estimate, Estimate],
    again: Redrawn,
    lower: Floats,
    upper: Floats,
    term: int,
    *,
    studentised: bool,
) -> Moves:
    """Refit with one in one cell and nothing elsewhere, for each cell that can move."""
    sample = middle.sample
    free = np.argwhere(sample.mask & (upper > lower))
    if len(free) > _PROBES:
        raise _unbounded(
            f"{len(free)} cells can move, and this estimate is not one number a unit (one start, "
            f"all cells there): up to {_PROBES} are moved one at a time"
        )
    own, theirs = np.zeros(len(free)), np.zeros((len(again.chosen), len(free)))
    blur, own_blur = np.zeros(len(again.chosen)), 0.0
    half = np.array([(upper[j, t] - lower[j, t]) / 2 for j, t in free])
    for i, (j, t) in enumerate(free):
        alone = np.where(sample.mask, 0.0, np.nan)
        alone[j, t] = 1.0
        try:
            probe = again.at(_with(middle, alone))
        except DidkitError as error:
            why = f"the estimator refuses to be moved one cell at a time: {error.found}"
            raise _unbounded(why) from error
        own[i], theirs[:, i] = probe.actual.b[0, term], probe.drawn.b[:, term]
        if studentised:
            blur += half[i] * np.sqrt(probe.drawn.v0[:, term])
            own_blur += float(half[i] * np.sqrt(probe.actual.v0[0, term]))
    at = tuple(free.T)
    for end in ends:
        moved = end.sample.y[at] - middle.sample.y[at]
        gap = again.at(end).drawn.b[:, term] - again.drawn.b[:, term] - theirs @ moved
        size = 1 + float(np.nanmax(np.abs(again.drawn.b[:, term]), initial=0.0))
        if np.nanmax(np.abs(gap), initial=0.0) > _CLOSE * size:
            raise _unbounded("under other assignments the estimate is not linear in the cells")
    radius = np.broadcast_to(half, theirs.shape)
    return Moves(own, theirs, radius, blur, own_blur)


def _with(middle: Estimate, y: Floats) -> Estimate:
    """Refit with other numbers in the sample's cells."""
    design, sample = middle.design, middle.sample
    panel = design.panel
    values = panel.cells(sample.metric.name).value.copy()
    row = {unit: i for i, unit in enumerate(panel.unit_ids)}
    rows = [row[unit] for unit in sample.units]
    cols = [panel.calendar.position(period) for period in sample.periods]
    block = values[np.ix_(rows, cols)]
    # cells that the design leaves out keep their numbers
    values[np.ix_(rows, cols)] = np.where(np.isfinite(y), y, block)
    metric = replace(sample.metric, kind="value")
    return middle.estimator.fit(design.on_panel(panel.refilled(metric, values)), metric.name)


def _search_ends(
    middle: Estimate, ends: tuple[Estimate, Estimate], again: Redrawn, term: int
) -> float:
    """Return the largest p at the middle, at the ends, and between them."""
    tried = [again, again.at(ends[0]), again.at(ends[1])]
    low, high = (float(one.actual.b[0, term]) for one in tried[1:])
    if low < 0 < high:  # where the estimate is zero, or between
        part = -low / (high - low)
        y = (1 - part) * ends[0].sample.y + part * ends[1].sample.y
        tried.append(again.at(_with(middle, y)))
    return max(one.invert(term, 0.95).p_value for one in tried)


def _unbounded(why: str) -> InferenceError:
    """Say why there is no bound of p."""
    return InferenceError(
        needed="a permutation whose statistic can be followed from cell to cell",
        found=why,
        where="Bounds",
        todo="use DiD('complete') with one start, or read p_found, a lower bound",
    )
