"""Power from real pre-periods for a design with sets: one pool, and a note that says so."""

from __future__ import annotations

from helpers import codes, design_of, noise, spread

from didkit.check import DetectableEffect
from didkit.design import MatchedSets, Pool

N, T, START = 30, 8, 5
PILOTS = spread(N, 6, START)


def test_sets_of_the_design_are_not_used_and_a_note_says_so():
    ids, rows = codes(N), list(PILOTS)
    free = [ids[j] for j in range(N) if j not in PILOTS]
    sets = {ids[j]: {free[0]: 0.5, free[i + 1]: 0.5} for i, j in enumerate(rows)}
    made, pool = (
        DetectableEffect().resampled(
            design_of(noise(N, T, 4), PILOTS, against=one), "m", pilots=3, draws=99
        )
        for one in (MatchedSets(sets), Pool(free[:7]))
    )
    words = "comparators as one pool; the design's own sets are not used"
    assert (words in made.notes, words in pool.notes) == (True, False)
    assert made.table.equals(pool.table)
