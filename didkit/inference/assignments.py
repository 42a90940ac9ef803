"""Other pilots: every way, or many ways, in which the starts could have been handed out.

For matched sets, other orders: every way in which units could have traded places.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.results import Exchange, Labels

__all__ = ["Assignments", "assignments", "least_of_orders", "orders"]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Assignments:
    """Labels (B, J) of cohorts, −1 for comparators; for matched sets the unit in each place.

    ``exact``: every assignment once, the actual one among them; otherwise B draws at random.
    ``total``: how many there are. ``mirrored``: each has a mirror image with the same absolute
    difference (as many pilots as comparators), so that the least p is twice as large.
    """

    labels: Labels
    exact: bool
    total: int
    mirrored: bool

    @property
    def least_p(self) -> float:
        """The least p-value that can be attained."""
        least = (2 if self.mirrored else 1) / self.total
        return least if self.exact else max(least, 1 / (1 + len(self.labels)))


def assignments(
    sample: Sample, *, draws: int, seed: int, assignable: NDArray[np.bool_] | None = None
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
    """
    could = np.ones(len(sample.units), dtype=bool) if assignable is None else assignable
    strata = [np.flatnonzero((sample.strata == s) & could) for s in np.unique(sample.strata)]
    held = [sample.cohort[members][sample.cohort[members] >= 0] for members in strata]
    total = math.prod(_ways(len(m), h) for m, h in zip(strata, held, strict=True))
    mirrored = len(sample.starts) == 1 and all(
        len(h) * 2 == len(m) for m, h in zip(strata, held, strict=True)
    )
    parts = [(m, h) for m, h in zip(strata, held, strict=True) if len(h)]
    if total <= draws:
        return Assignments(_all(len(sample.units), parts, total), True, total, mirrored)
    rng = np.random.default_rng(seed)
    labels = np.full((draws, len(sample.units)), -1, dtype=np.int64)
    rows = np.arange(draws)[:, None]
    for members, cohorts in parts:
        keys = rng.random((draws, len(members)))
        n1 = len(cohorts)
        first = (
            np.argpartition(keys, n1 - 1, axis=1)[:, :n1]
            if n1 < len(members)
            else np.broadcast_to(np.arange(n1), (draws, n1))
        )
        order = np.argsort(keys[rows, first], axis=1)  # uniformly random among the chosen
        labels[rows, members[np.take_along_axis(first, order, axis=1)]] = cohorts
    return Assignments(labels, False, total, mirrored)


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
    if total <= draws:
        roles = _all(n_units, [(members, role[members]) for members in blocks], total)
        made = np.empty_like(roles)
        # the units with a role, in order, go to the places of that role
        made[:, np.argsort(role, kind="stable")] = np.argsort(roles, axis=1, kind="stable")
        return Assignments(made, True, total, mirrored)
    rng = np.random.default_rng(seed)
    made = np.tile(np.arange(n_units, dtype=np.int64), (draws, 1))
    for members in blocks:
        if len(members) > 1:
            made[:, members] = members[np.argsort(rng.random((draws, len(members))), axis=1)]
    return Assignments(made, False, total, mirrored)


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


def _all(n_units: int, parts: list[tuple[Ints, Ints]], total: int) -> Labels:
    """List every assignment."""
    labels = np.full((total, n_units), -1, dtype=np.int64)
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
