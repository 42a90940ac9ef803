"""What must hold of all matched sets, however they were made: one checker for every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from didkit.design import Covariates, Design, Matched, MatchedSets

Sets = Mapping[str, Mapping[str, float]]


def check_sets(sets: MatchedSets, pilots: Sequence[str], candidates: Sequence[str]) -> None:
    """Hold sets to what a design needs of them.

    Weights positive, adding up to 1 per pilot; no pilot in its own set, nor in any other unless
    allowed by name; comparators among the candidates; every pilot matched or left out with a
    reason, none both.
    """
    matched, out = set(sets.weights), set(sets.unmatched)
    assert matched | out == set(pilots)
    assert not matched & out
    assert all(reason.strip() for reason in sets.unmatched.values())
    for pilot, members in sets.weights.items():
        assert members
        assert all(weight > 0 for weight in members.values())
        assert sum(members.values()) == pytest.approx(1, abs=1e-9)
        assert set(members) <= set(candidates)
        assert pilot not in members
        if not sets.include_pilots:
            assert not set(members) & set(pilots)
    table = sets.table
    assert not table.duplicated(["pilot", "comparator"]).any()
    assert len(table) == sum(len(members) for members in sets.weights.values())
    if sets.distances is not None:
        assert {p: set(d) for p, d in sets.distances.items()} == {
            p: set(m) for p, m in sets.weights.items()
        }
        assert (table["distance"] >= 0).all()


def check_design(design: Design) -> MatchedSets:
    """Hold the sets of a design to the same, and return them."""
    sets = design.matched_sets()
    check_sets(sets, design.pilots, design.comparators)
    members = {unit for one in sets.weights.values() for unit in one}
    assert members == set(design.comparators)
    return sets


def same(one: Sets, other: Sets, *, within: float = 1e-9) -> None:
    """Assert that two sets of sets have the same members and weights."""
    assert set(one) == set(other)
    for pilot, members in one.items():
        for unit in set(members) | set(other[pilot]):
            assert members.get(unit, 0.0) == pytest.approx(
                other[pilot].get(unit, 0.0), abs=within
            ), (pilot, unit)


def check_moves(
    make: Callable[[Covariates], Matched],
    on: Covariates,
    pilots: Sequence[str],
    candidates: Sequence[str],
    *,
    scale: bool = True,
    within: float = 1e-9,
    columns: Sequence[str] | None = None,
) -> MatchedSets:
    """Change what must not matter, one at a time, and find the same sets; return them.

    The order of the rows, the order of the columns, ids (kept in order), a constant added to a
    covariate and, with `scale`, its unit.

    Parameters
    ----------
    make : callable
        Covariates to matching.
    columns : sequence of str, optional
        Numbers that may be shifted and rescaled; all by default.
    """
    numbers = list(on.columns if columns is None else columns)

    def found(table: Any, whom: Sequence[str], among: Sequence[str]) -> MatchedSets:
        sets = make(Covariates(table)).match(sorted(whom), sorted(among))
        check_sets(sets, whom, among)
        return sets

    plain = found(on.table, pilots, candidates)
    rng = np.random.default_rng(7)
    shuffled = on.table.iloc[rng.permutation(len(on.table))]
    same(plain.weights, found(shuffled, pilots, candidates).weights, within=within)
    turned = on.table[list(on.columns)[::-1]]
    same(plain.weights, found(turned, pilots, candidates).weights, within=within)

    new = {unit: f"x{i:04d}" for i, unit in enumerate(sorted(on.units))}
    called = found(
        on.table.rename(index=new), [new[u] for u in pilots], [new[u] for u in candidates]
    )
    back = {code: unit for unit, code in new.items()}
    named = {back[p]: {back[u]: w for u, w in m.items()} for p, m in called.weights.items()}
    same(plain.weights, named, within=within)

    moved = on.table.copy()
    moved[numbers] = moved[numbers] + 250.0
    same(plain.weights, found(moved, pilots, candidates).weights, within=within)
    if scale:
        wider = on.table.copy()
        wider[numbers] = wider[numbers] * [7.0, 0.01, 1000.0, 3.0, 0.2, 90.0][: len(numbers)]
        same(plain.weights, found(wider, pilots, candidates).weights, within=within)
    return plain
