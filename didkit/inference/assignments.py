"""Other pilots: every way, or many ways, in which the starts could have been handed out.

For matched sets, other orders: every way in which units could have traded places.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.results import Exchange, Labels

__all__ = ["Assignments", "assignments", "least_of_assignments", "least_of_orders", "orders"]

Ints = NDArray[np.intp]
Compact = NDArray[np.signedinteger[Any]]
Accept = Callable[[Labels], NDArray[np.bool_]]

CHUNK = 1_000_000  #: codes held as int64 at once
TRIES = (
    100  #: assignments tried for each one that is wanted, before the search for plausible ones ends
)


@dataclass(frozen=True, eq=False)
class Assignments:
    """Codes (B, J) of cohorts, −1 for comparators; for matched sets the unit in each place.

    ``exact``: every assignment once, the actual one among them; otherwise B draws at random.
    ``total``: how many there are (of plausible ones, where they were drawn: how many different ones
    were seen). ``mirrored``: each has a mirror image with the same absolute difference (as many
    pilots as comparators), so that the least p is twice as large. ``tried``: how many were looked
    at, of which the B were plausible; equal to B where nothing was asked of them.

    Codes are held in two bytes each (four with more than 32,767 units).
    """

    codes: Compact
    exact: bool
    total: int
    mirrored: bool
    tried: int

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def labels(self) -> Labels:
        """All codes at once, (B, J)."""
        return self.codes.astype(np.int64)

    def chunks(self) -> Iterator[Labels]:
        """Give the codes some rows at a time, about a million codes."""
        step = max(1, CHUNK // max(1, self.codes.shape[1]))
        for first in range(0, len(self.codes), step):
            yield self.codes[first : first + step].astype(np.int64)

    @property
    def least_p(self) -> float:
        """The least p-value that can be attained."""
        least = (2 if self.mirrored else 1) / self.total
        return least if self.exact else max(least, 1 / (1 + len(self)))


def assignments(
    sample: Sample,
    *,
    draws: int,
    seed: int,
    assignable: NDArray[np.bool_] | None = None,
    accept: Accept | None = None,
) -> Assignments:
    """Hand the starts out again: inside strata, as many pilots of each start as there are.

    Parameters
    ----------
    sample : Sample
        Pilots, cohorts and strata.
    draws : int
        If there are no more assignments than this, all are listed; otherwise so many are drawn.
    seed : int
        Of the generator.
    assignable : bool array (J,), optional
        Units that could have been pilots; by default all.
    accept : callable, optional
        Labels (B, J) → which of them are plausible. Listed assignments are filtered; otherwise they
        are drawn until `draws` are plausible, or a hundred times as many were tried.
    """
    n_units = len(sample.units)
    could = np.ones(n_units, dtype=bool) if assignable is None else assignable
    strata = [np.flatnonzero((sample.strata == s) & could) for s in np.unique(sample.strata)]
    held = [sample.cohort[members][sample.cohort[members] >= 0] for members in strata]
    total = math.prod(_ways(len(m), h) for m, h in zip(strata, held, strict=True))
    # who could not have been a pilot is a comparator in every mirror image
    mirrored = (
        len(sample.starts) == 1
        and bool(could.all())
        and all(len(h) * 2 == len(m) for m, h in zip(strata, held, strict=True))
    )
    parts = [(m, h) for m, h in zip(strata, held, strict=True) if len(h)]
    kind = _kind(len(sample.starts))
    if total <= draws:
        listed = _all(n_units, parts, total, kind)
        if accept is None:
            return Assignments(listed, True, total, mirrored, total)
        every = Assignments(listed, True, total, mirrored, total)
        kept = listed[np.concatenate([accept(labels) for labels in every.chunks()])]
        mirrored = mirrored and _closed(kept)
        return Assignments(kept, True, len(kept), mirrored, total)
    found: list[Compact] = []
    count = tried = 0
    tries = draws if accept is None else TRIES * draws
    for labels in _drawn(n_units, parts, tries, seed):
        chosen = labels.astype(kind)
        tried += len(labels)
        if accept is not None:
            plausible = np.flatnonzero(accept(labels))
            if len(plausible) > draws - count:
                tried -= len(labels) - int(plausible[draws - count - 1]) - 1
                plausible = plausible[: draws - count]
            chosen = chosen[plausible]
        found.append(chosen)
        count += len(chosen)
        if count == draws:
            break
    codes = np.concatenate(found)
    if accept is not None:
        total, mirrored = len({row.tobytes() for row in codes}), False
    return Assignments(codes, False, max(total, 1), mirrored, tried)


def least_of_assignments(
    sample: Sample, *, draws: int, assignable: NDArray[np.bool_] | None = None
) -> float:
    """Return the least p that `assignments` can attain, without listing them."""
    could = np.ones(len(sample.units), dtype=bool) if assignable is None else assignable
    ways, halves = 1, len(sample.starts) == 1 and bool(could.all())
    for stratum in np.unique(sample.strata):
        members = np.flatnonzero((sample.strata == stratum) & could)
        held = sample.cohort[members][sample.cohort[members] >= 0]
        ways *= _ways(len(members), held)
        halves &= 2 * len(held) == len(members)
    least = (2 if halves else 1) / ways
    return least if ways <= draws else max(least, 1 / (1 + draws))


def _drawn(n_units: int, parts: list[tuple[Ints, Ints]], draws: int, seed: int) -> Iterator[Labels]:
    """Draw assignments, some rows at a time; the numbers do not depend on how many rows those are.

    Each stratum has its own place in the stream of random numbers: after those of the strata before
    it, for all draws.
    """
    streams = []
    before = 0
    for members, _ in parts:
        bits = np.random.PCG64(seed)
        bits.advance(before)
        streams.append(np.random.Generator(bits))
        before += draws * len(members)
    step = max(1, CHUNK // n_units)
    for first in range(0, draws, step):
        n = min(step, draws - first)
        labels = np.full((n, n_units), -1, dtype=np.int64)
        rows = np.arange(n)[:, None]
        for rng, (members, cohorts) in zip(streams, parts, strict=True):
            keys = rng.random((n, len(members)))
            n1 = len(cohorts)
            chosen = (
                np.argpartition(keys, n1 - 1, axis=1)[:, :n1]
                if n1 < len(members)
                else np.broadcast_to(np.arange(n1), (n, n1))
            )
            order = np.argsort(keys[rows, chosen], axis=1)  # uniformly random among the chosen
            labels[rows, members[np.take_along_axis(chosen, order, axis=1)]] = cohorts
        yield labels


def _closed(codes: Compact) -> bool:
    """Whether the mirror image of every assignment (pilots and comparators swapped) is listed."""
    pilots = {(row >= 0).tobytes() for row in codes}
    return all((row < 0).tobytes() in pilots for row in codes)


def _kind(largest: int) -> type[np.signedinteger[Any]]:
    """Return the smaller of two integer types that holds codes up to `largest`."""
    return np.int16 if largest <= np.iinfo(np.int16).max else np.int32


def orders(exchange: Exchange, statistic: str, *, draws: int, seed: int) -> Assignments:
    """Let the units of each block trade places.

    Parameters
    ----------
    exchange : Exchange
        Blocks and places.
    statistic : {"t", "beta"}
        Places alike for this statistic count once.
    draws : int
        If there are no more orders than this, all are listed; otherwise so many are drawn.
    seed : int
        Of the generator.

    Returns
    -------
    Assignments
        ``labels`` (B, J): the position of the unit in each place.
    """
    role, total = exchange.roles[statistic], _n_orders(exchange, statistic)
    blocks = [np.flatnonzero(exchange.blocks == b) for b in np.unique(exchange.blocks)]
    mirrored, n_units = exchange.mirrored[statistic], len(role)
    kind = _kind(n_units)
    step = max(1, CHUNK // n_units)
    if total <= draws:
        parts = [(members, role[members]) for members in blocks]
        roles = _all(n_units, parts, total, _kind(int(role.max(initial=0))))
        places = np.argsort(role, kind="stable")
        made = np.empty((total, n_units), dtype=kind)
        for first in range(0, total, step):
            rows = slice(first, first + step)
            # the units with a role, in order, go to the places of that role
            made[rows, places] = np.argsort(roles[rows], axis=1, kind="stable")
        return Assignments(made, True, total, mirrored, total)
    made = np.tile(np.arange(n_units, dtype=kind), (draws, 1))
    rng = np.random.default_rng(seed)
    for members in blocks:
        if len(members) > 1:
            for first in range(0, draws, step):  # in order, so that the stream is one
                n = min(step, draws - first)
                keys = rng.random((n, len(members)))
                made[first : first + n, members] = members[np.argsort(keys, axis=1)]
    return Assignments(made, False, total, mirrored, draws)


def least_of_orders(exchange: Exchange, statistic: str, *, draws: int) -> float:
    """Return the least p that `orders` can attain, without listing them."""
    total = _n_orders(exchange, statistic)
    least = (2 if exchange.mirrored[statistic] else 1) / total
    return least if total <= draws else max(least, 1 / (1 + draws))


def _n_orders(exchange: Exchange, statistic: str) -> int:
    """Count the orders in which different units have a role."""
    blocks, role = exchange.blocks, exchange.roles[statistic]
    inside = (role[blocks == b] for b in np.unique(blocks))
    return math.prod(_ways(len(codes), codes) for codes in inside)


def _ways(n: int, cohorts: Ints) -> int:
    """Number of ways to hand `cohorts` out to n units."""
    ways, left = 1, n
    for g in np.unique(cohorts):
        count = int((cohorts == g).sum())
        ways *= math.comb(left, count)
        left -= count
    return ways


def _all(
    n_units: int, parts: list[tuple[Ints, Ints]], total: int, kind: type[np.signedinteger[Any]]
) -> Compact:
    """List every assignment."""
    labels = np.full((total, n_units), -1, dtype=kind)
    for row, choice in enumerate(itertools.product(*(_one(m, h) for m, h in parts))):
        for units, cohorts in choice:
            labels[row, list(units)] = cohorts
    return labels


def _one(members: Ints, cohorts: Ints) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """List the assignments inside one stratum as (units, cohorts)."""
    made: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((), ())]
    for g in np.unique(cohorts):
        count = int((cohorts == g).sum())
        made = [
            ((*units, *chosen), (*labels, *(int(g),) * count))
            for units, labels in made
            for chosen in itertools.combinations([u for u in members if u not in units], count)
        ]
    return made
