"""What a reader of any estimate from a design must know, in words."""

from __future__ import annotations

from collections.abc import Mapping

from didkit.design.against import Comparison
from didkit.design.parts import halves
from didkit.design.spec import Spec
from didkit.errors import first_few
from didkit.panel import Period

__all__ = ["notes_of", "served"]


def served(comparison: Comparison, n_pilots: int) -> dict[str, int]:
    """How many pilots each comparator serves."""
    sets = comparison.sets
    if sets is None:
        return dict.fromkeys(comparison.comparators, n_pilots)
    return {u: sum(u in members for members in sets.values()) for u in comparison.comparators}


def _of_rollout(spec: Spec, comparison: Comparison) -> list[str]:
    """Say who left, who is exposed later in one kind of metric, and who is contaminated."""
    notes, rollout = [], spec.rollout
    if rollout.stops:
        left = first_few(f"{u} ({p})" for u, p in rollout.stops.items())
        notes.append(
            f"{left} left the programme; the cells from then on are left out (as treated), so that "
            "cells='complete' leaves these pilots out, and a level takes fewer periods of "
            "them than of their comparators"
            if spec.treatment == "as_treated"
            else f"{left} left the programme; counted as treated from their start on "
            "(intention to treat)"
        )
    elif spec.treatment == "as_treated":
        notes.append("as treated, but no pilot left: the same as by intention to treat")
    for kind, periods in rollout.first_exposed.items():
        later = [f"{u} ({p})" for u, p in periods.items() if str(p) != str(rollout.starts[u])]
        if later:
            notes.append(f"in {kind} metrics first exposed after the start: {first_few(later)}")
    prior = [_since(u, p) for u, p in rollout.contaminated.items() if u in rollout.starts]
    if prior:
        notes.append(f"{first_few(prior)} of the pilots had the programme before the start")
    serving = set(comparison.comparators) - set(rollout.starts)
    users = [_since(u, p) for u, p in rollout.contaminated.items() if u in serving]
    if users:
        notes.append(
            f"{first_few(users)} of {len(serving)} comparators use the practice outside the "
            "programme; nothing is left out for it"
        )
    return notes


def _since(unit: str, period: Period | None) -> str:
    return f"{unit} throughout" if period is None else f"{unit} since {period}"


def notes_of(spec: Spec, comparison: Comparison, starts: Mapping[str, int]) -> tuple[str, ...]:
    """Say what is not as one would think: merged, absent, left out, stopped, staggered, reused."""
    notes = list(spec.said)
    named = {whole: codes for whole, codes in spec.named.items() if whole in starts}
    if named:
        stand = [f"{code} → {w}" for w, codes in named.items() for code in codes if code != w]
        notes.append(
            f"pilots that are parts of a merged unit: {first_few(stand, 8)}; the whole "
            "unit counts as a pilot"
        )
        notes += halves(spec.panel, named)
    if comparison.absent:
        notes.append(
            f"{first_few(comparison.absent)} named as comparators have no row in the panel"
        )
    if spec.exclude:
        why = [f"{unit}: {reason}" if reason else unit for unit, reason in spec.exclude.items()]
        notes.append(f"left out by name: {first_few(why, 8)}")
    unmatched = [u for u in spec.left_out if u in spec.barred and u not in spec.dropped]
    if unmatched:
        why = [f"{unit}: {spec.left_out[unit]}" for unit in unmatched]
        notes.append(f"pilots left out: {first_few(why, 8)}")
    notes += comparison.notes
    if spec.dropped:
        notes.append(f"dropped: {first_few(spec.dropped, 8)}")
    notes += _of_rollout(spec, comparison)
    if len(set(starts.values())) > 1:
        notes.append("pilots start in different periods")
    if comparison.sets is not None:
        shared = [n for n in served(comparison, len(starts)).values() if n > 1]
        first, *others = comparison.sets.values()
        if others and all(dict(one) == dict(first) for one in others):
            notes.append(f"one set of weights for all pilots ({len(first)} comparators)")
        elif shared:
            notes.append(
                f"{len(shared)} comparators serve more than one pilot (at most {max(shared)})"
            )
    return tuple(notes)
