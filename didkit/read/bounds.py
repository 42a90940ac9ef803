"""Bounds of hidden counts, from a published total less the published siblings.

Arrays in, arrays out. Of the cells that add up to a total, some are published (p), some are hidden
and some are not available. The total lies within ``half`` of its published value T, so the hidden
cells x, each between l and u, obey

    T − half − Σ p  ≤  Σ x + (what the unavailable add)  ≤  T + half − Σ p

and with the others at their ends, x_i ≤ T + half − Σ p − Σ_{j≠i} l_j. From below,
x_i ≥ T − half − Σ p − Σ_{j≠i} u_j, but only where no sibling is unavailable or without a row: it
may be inside the total, and nobody knows with how much.

A hidden count is taken to be 0 or more unless the caller says more. The releases say that a zero
which is shown is a true zero, and not that a true zero is always shown: the "next smallest item",
hidden to protect another, may be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from didkit.errors import PanelError

__all__ = ["Bounds", "Parent", "by_group", "from_totals", "tighten"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Parent:
    """One way in which cells add up: which total each belongs to, and the totals.

    Parameters
    ----------
    group : array of int (cells)
        Number of the total that each cell is part of; −1 for none.
    totals : array (groups)
        Published totals; NaN where one is hidden or not published.
    half : float or array (groups)
        How far the true total may be from the published one: 5 where it is rounded to 10. Both
        ends are allowed, since releases do not say how they round a tie.
    whole : bool or array (groups)
        Whether the cells are all of which the total is the sum. Where an authority may have no row
        (an extract, a file that was cut), it is not, and nothing is bounded from below.
    """

    group: ArrayLike
    totals: ArrayLike
    half: ArrayLike = 0.0
    whole: ArrayLike = True


@dataclass(frozen=True, eq=False)
class Bounds:
    """What totals say about hidden cells.

    Parameters
    ----------
    lower, upper : array (cells)
        Bounds of each hidden cell, ``upper`` NaN where nothing bounds it; both NaN for a cell that
        is not hidden.
    inconsistent : tuple of array of bool
        For each parent, the groups whose total contradicts its cells, or what the totals asked
        before say of them. No bound is taken from a total that does.
    """

    lower: Floats
    upper: Floats
    inconsistent: tuple[Bools, ...]


def from_totals(
    value: ArrayLike, hidden: ArrayLike, unknown: ArrayLike, total: float, half: float
) -> tuple[Floats, Floats]:
    """Bound the hidden cells of one set of siblings by their total.

    Parameters
    ----------
    value : array (cells)
        Published counts; what stands in a hidden or unknown cell is not looked at.
    hidden : array of bool (cells)
        Suppressed: part of the total, number not published.
    unknown : array of bool (cells)
        Not available: may or may not be inside the total.
    total : float
        The published total; NaN where there is none.
    half : float
        How far the true total may be from it.

    Returns
    -------
    lower, upper : array (cells)
        As in `Bounds`. If the total contradicts the published cells, 0 and NaN.

    Raises
    ------
    PanelError
        If arrays differ in shape, a cell is both hidden and unknown, or a published cell has no
        number of zero or more.

    Examples
    --------
    >>> import numpy as np
    >>> value = [120, 81, np.nan]
    >>> lower, upper = from_totals(value, [0, 0, 1], [0, 0, 0], total=210, half=5)
    >>> float(lower[2]), float(upper[2])
    (4.0, 14.0)
    """
    group = np.zeros(np.shape(value), dtype=np.int64)
    made = by_group(value, hidden, unknown, group, [total], half)
    return made.lower, made.upper


def by_group(
    value: ArrayLike,
    hidden: ArrayLike,
    unknown: ArrayLike,
    group: ArrayLike,
    totals: ArrayLike,
    half: ArrayLike,
    *,
    lower: ArrayLike = 0.0,
    upper: ArrayLike = np.nan,
) -> Bounds:
    """Bound the hidden cells of many sets of siblings at once.

    Rows whose categories add up to a published column are such sets too: one group a row, and
    ``half=0``.

    Parameters
    ----------
    value, hidden, unknown
        As in `from_totals`; arrays of any one shape.
    group, totals, half
        As in `Parent`.
    lower, upper : float or array (cells), optional
        What is known of hidden cells already: 1 and 5 where a release hides only such counts;
        NaN in ``upper`` for nothing.

    Returns
    -------
    Bounds
        Never wider than what was known already.

    Raises
    ------
    PanelError
        As `from_totals`; or a group without a total, a half-width that is negative, or bounds
        that are crossed.

    Examples
    --------
    Two regions; the second has an authority whose number is not available.

    >>> import numpy as np
    >>> made = by_group(
    ...     [120, np.nan, 90, np.nan, np.nan],
    ...     hidden=[0, 1, 0, 1, 0],
    ...     unknown=[0, 0, 0, 0, 1],
    ...     group=[0, 0, 1, 1, 1],
    ...     totals=[130, 120],
    ...     half=5,
    ... )
    >>> made.lower[[1, 3]].tolist(), made.upper[[1, 3]].tolist()
    ([5.0, 0.0], [15.0, 35.0])
    """
    return tighten(
        value, hidden, unknown, [Parent(group, totals, half)], lower=lower, upper=upper, passes=1
    )


def tighten(
    value: ArrayLike,
    hidden: ArrayLike,
    unknown: ArrayLike,
    parents: Sequence[Parent],
    *,
    lower: ArrayLike = 0.0,
    upper: ArrayLike = np.nan,
    passes: int = 3,
) -> Bounds:
    """Bound hidden cells by several totals at once: the region's, the nation's, the row's.

    What one total says is known when the next is asked, so that the bounds from all of them are
    intersected, and the nation's residual is shared out among cells that their regions bound.

    Parameters
    ----------
    value, hidden, unknown, lower, upper
        As in `by_group`.
    parents : sequence of Parent
        The totals.
    passes : int, default 3
        How often each is asked. Every pass is linear in the number of cells, and valid by itself.

    Returns
    -------
    Bounds

    Raises
    ------
    PanelError
        As `by_group`.

    Examples
    --------
    One cell is hidden in each of two regions. The nation's total says less about either than its
    region does, but it narrows both.

    >>> import numpy as np
    >>> cells = dict(value=[50, np.nan, 40, np.nan], hidden=[0, 1, 0, 1], unknown=[0] * 4)
    >>> regions = Parent([0, 0, 1, 1], [60, 50], half=5)
    >>> nation = Parent([0] * 4, [120], half=5)
    >>> tighten(**cells, parents=[regions]).upper[[1, 3]].tolist()
    [15.0, 15.0]
    >>> tighten(**cells, parents=[regions, nation]).lower[[1, 3]].tolist()
    [10.0, 10.0]
    """
    cells = _cells(value, hidden, unknown, lower, upper)
    sums = [_sums(parent, cells) for parent in parents]
    wrong = [np.zeros(len(one.least), dtype=np.bool_) for one in sums]
    for _ in range(passes):
        # What contradicts once does so from then on: bounds only narrow.
        wrong = [_narrow(one, cells) for one in sums]
    made = np.where(cells.hidden, cells.lower, np.nan)
    most = np.where(cells.hidden & np.isfinite(cells.upper), cells.upper, np.nan)
    shape = np.shape(value)
    return Bounds(made.reshape(shape), most.reshape(shape), tuple(wrong))


@dataclass(eq=False)
class _Cells:
    """Flat cells; ``lower`` and ``upper`` are narrowed in place, infinite for unknown."""

    value: Floats
    hidden: Bools
    unknown: Bools
    lower: Floats
    upper: Floats


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the hidden cells of each group add up to: between ``least`` and ``most``."""

    group: NDArray[np.int64]
    least: Floats
    most: Floats


def _cells(
    value: ArrayLike, hidden: ArrayLike, unknown: ArrayLike, lower: ArrayLike, upper: ArrayLike
) -> _Cells:
    number = np.asarray(value, dtype=np.float64)
    secret, lost = np.asarray(hidden, dtype=np.bool_), np.asarray(unknown, dtype=np.bool_)
    if not number.shape == secret.shape == lost.shape:
        raise _refused(
            "value, hidden and unknown of one shape",
            f"{number.shape}, {secret.shape} and {lost.shape}",
        )
    shown = ~secret & ~lost
    if np.any(secret & lost) or not np.all(number[shown] >= 0):
        raise _refused(
            "each cell hidden, or unknown, or published as a number of zero or more",
            f"{int(np.sum(secret & lost))} both hidden and unknown, "
            f"{int(np.sum(~(number[shown] >= 0)))} published without such a number",
        )
    low = np.broadcast_to(np.asarray(lower, dtype=np.float64), number.shape).ravel().copy()
    high = np.broadcast_to(np.asarray(upper, dtype=np.float64), number.shape).ravel().copy()
    high[np.isnan(high)] = np.inf
    crossed = secret.ravel() & ~((low >= 0) & (low <= high))
    if crossed.any():
        raise _refused(
            "lower bounds of zero or more, not above the upper ones",
            f"{int(crossed.sum())} hidden cells with others",
        )
    return _Cells(np.where(shown, number, 0.0).ravel(), secret.ravel(), lost.ravel(), low, high)


def _sums(parent: Parent, cells: _Cells) -> _Sums:
    """Take the published cells off each total; NaN where there is none."""
    group = np.asarray(parent.group, dtype=np.int64).ravel()
    totals = np.asarray(parent.totals, dtype=np.float64).ravel()
    half = np.broadcast_to(np.asarray(parent.half, dtype=np.float64), totals.shape)
    n = len(totals)
    if group.shape != cells.value.shape or np.any((group < -1) | (group >= n)):
        raise _refused(
            f"a group of 0 to {n - 1}, or −1, for each of {len(cells.value)} cells",
            f"{len(group)} groups"
            + (f" from {group.min()} to {group.max()}" if len(group) else ""),
        )
    if not np.all(half >= 0):
        raise _refused("half-widths of zero or more", f"{int(np.sum(~(half >= 0)))} others")
    inside = group >= 0
    published = np.bincount(group[inside], cells.value[inside], n)
    open_below = np.bincount(group[inside & cells.unknown], minlength=n) > 0
    open_below |= ~np.broadcast_to(np.asarray(parent.whole, dtype=np.bool_), totals.shape)
    # Counts are whole.
    least = np.ceil(totals - half - published)
    most = np.floor(totals + half - published)
    return _Sums(group, np.where(open_below, -np.inf, least), most)


def _narrow(sums: _Sums, cells: _Cells) -> Bools:
    """Narrow the hidden cells by one parent; say which groups contradict themselves."""
    n = len(sums.least)
    here = np.flatnonzero(cells.hidden & (sums.group >= 0))
    group = sums.group[here]
    low = np.bincount(group, cells.lower[here], n)
    # Without a total there is nothing to contradict: comparisons with NaN are false.
    with np.errstate(invalid="ignore"):
        wrong = (low > sums.most) | (sums.least > sums.most)
        wrong |= np.bincount(group, cells.upper[here], n) < sums.least
    used = ~wrong[group] & ~np.isnan(sums.most[group])
    here, group = here[used], group[used]
    cells.upper[here] = np.minimum(
        cells.upper[here], sums.most[group] - (low[group] - cells.lower[here])
    )
    # Every upper bound is finite from here on.
    high = np.bincount(group, cells.upper[here], n)
    cells.lower[here] = np.maximum(
        cells.lower[here], sums.least[group] - (high[group] - cells.upper[here])
    )
    return wrong


def _refused(needed: str, found: str) -> PanelError:
    return PanelError(
        needed=needed,
        found=found,
        where="bounds from totals",
        todo="lay the cells and their totals out anew",
    )
