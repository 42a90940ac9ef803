"""Words of a sensitivity analysis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from didkit.check.event_terms import EventTerms
from didkit.check.restrictions import RelativeMagnitudes, Smoothness
from didkit.estimate import EventStudy
from didkit.results.tables import number, signed

__all__ = ["AS_PRINTED", "breaking", "headline", "named", "notes_on", "span"]

Restriction = RelativeMagnitudes | Smoothness
AS_PRINTED = "as printed"
_CALLED = {
    "fixed_length": "fixed length",
    "least_favourable": "least favourable",
    "conditional_fixed_length": "conditional within fixed length",
}
_FEW = 30  #: pilots below which a normal interval is called doubtful


def named(restriction: Restriction) -> str:
    """Name a restriction shortly.

    Examples
    --------
    >>> named(RelativeMagnitudes()), named(Smoothness(monotone="increasing"))
    ('relative magnitudes', 'smoothness, increasing')
    """
    parts = ["smoothness" if isinstance(restriction, Smoothness) else "relative magnitudes"]
    if isinstance(restriction, RelativeMagnitudes) and restriction.of == "second":
        parts.append("of changes of slope")
    parts += [one for one in (restriction.direction, restriction.monotone) if one is not None]
    return ", ".join(parts)


def span(low: float, high: float) -> str:
    """Write an interval.

    Examples
    --------
    >>> span(-9.13, -1.5), span(float("-inf"), 2.0)
    ('−9.13 to −1.50', 'no lower end to +2.00')
    """
    if np.isnan(low) or np.isnan(high):
        return "no effect at all"
    if np.isinf(low) and np.isinf(high):
        return "any effect"
    return (
        f"{'no lower end' if np.isinf(low) else signed(low)} to "
        f"{'no upper end' if np.isinf(high) else signed(high)}"
    )


def breaking(restriction: Restriction, size: float, in_unit: float, unit: str) -> str:
    """Say a size of violation in words, without its subject.

    Examples
    --------
    >>> breaking(RelativeMagnitudes(), 0.6, 1.8, "per 10,000")
    '0.600 times the largest before it (1.80 per 10,000)'
    >>> breaking(Smoothness(), 1.8, 1.8, "per 10,000")
    '1.80 per 10,000 from one period to the next'
    """
    if isinstance(restriction, Smoothness):
        return f"{number(size)} {unit} from one period to the next"
    seen = f" ({number(in_unit)} {unit})" if np.isfinite(in_unit) else ""
    return f"{number(size)} times the largest before it{seen}"


def _subject(restriction: Restriction, *, may: bool) -> str:
    """Say what is bounded after the start."""
    given = [one for one in (restriction.direction, restriction.monotone) if one is not None]
    shape = f" ({', '.join(given)})" if given else ""
    if isinstance(restriction, Smoothness):
        return f"the slope of the difference in trends{shape} {'may change' if may else 'changes'}"
    what = "differential jumps" if restriction.of == "first" else "changes of differential slope"
    return f"{what} after the start{shape} {'may be' if may else 'are'}"


def headline(
    terms: EventTerms, restriction: Restriction, main: str, facts: Mapping[str, float]
) -> str:
    """Say at which size zero enters the interval of what was asked."""
    broken, unit = facts["breakdown"], terms.unit
    at = span(facts["at_low"], facts["at_high"])
    size = breaking(restriction, facts["at"], facts["at"] * _unit(restriction, facts), unit)
    printed = span(facts["printed_low"], facts["printed_high"])
    then = (
        f"At {number(facts['at'])} times it runs from {at}."
        if isinstance(restriction, RelativeMagnitudes)
        else f"At {size} it runs from {at}."
    )
    if broken == 0:
        none = (
            "trends that differ by a straight line"
            if isinstance(restriction, Smoothness) or restriction.of == "second"
            else "no differential jump at all"
        )
        return (
            f"Zero is inside the interval for {terms.label} already with {none} after the start "
            f"(as printed {printed}). {then}"
        )
    said = breaking(restriction, broken, facts["breakdown_in_unit"], unit)
    if not np.isfinite(broken):
        tried = facts["tried"]
        most = breaking(restriction, tried, tried * _unit(restriction, facts), unit)
        return (
            f"Zero is still outside the interval for {terms.label} (as printed {printed}) when "
            f"{_subject(restriction, may=False)} up to {most}, the most that was tried. {then}"
        )
    return (
        f"Zero enters the interval for {terms.label} (as printed {printed}) once "
        f"{_subject(restriction, may=True)} {'by ' * isinstance(restriction, Smoothness)}{said}. "
        f"{then}"
    )


def _unit(restriction: Restriction, facts: Mapping[str, float]) -> float:
    if isinstance(restriction, Smoothness):
        return 1.0
    return facts["largest_jump"] if restriction.of == "first" else facts["largest_bend"]


def notes_on(
    terms: EventTerms,
    restriction: Restriction,
    table: pd.DataFrame,
    main: str,
    how: str,
    facts: Mapping[str, float],
) -> list[str]:
    """Say which interval is the main one, and what makes it doubtful."""
    methods = list(dict.fromkeys(table["method"]))[1:]
    notes = [f"as printed: {how}"]
    called = {one: _CALLED.get(one, one) for one in methods}
    shown = " and ".join(called.values())
    events = terms.events
    n1 = None if events is None else int(events.terms["n_pilots"].max())
    if "permutation" not in methods or len(methods) > 1:
        few = n1 is not None and n1 < _FEW
        pilots = "one pilot" if n1 == 1 else f"{n1} pilots"
        notes.append(
            f"the normal interval ({next(called[m] for m in methods if m != 'permutation')}) takes "
            f"the terms as normal with known covariance ({terms.method})"
            + (f", which is doubtful with {pilots}" if few else "")
        )
    if len(methods) > 1:
        other = next(m for m in methods if m != main)
        broken = facts[f"breakdown_{other}"]
        unit = _unit(restriction, facts)
        said = (
            "already without a violation"
            if broken == 0
            else f"beyond {number(facts['tried'])}"
            if not np.isfinite(broken)
            else f"at {breaking(restriction, broken, broken * unit, terms.unit)}"
        )
        notes.append(
            f"of {shown}, the headline is by {called[main]}, as the estimate's own inference "
            f"{'is' if main == 'permutation' else 'is not'} a permutation; by {called[other]} zero "
            "enters "
            f"{said}"
        )
    if not np.isnan(facts["largest_jump"]) and isinstance(restriction, RelativeMagnitudes):
        what = "jump" if restriction.of == "first" else "change of slope"
        notes.append(
            f"the largest {what} before the start, {number(_unit(restriction, facts))} "
            f"{terms.unit}, is as estimated, with its noise: intervals allow for it"
        )
    mine = table[table["method"] == main]
    gone = mine.loc[mine["conf_low"].isna(), "size"]
    if len(gone):
        notes.append(
            "no interval where the terms before the start reject the restriction: size "
            + ", ".join(number(one) for one in gone)
        )
    again = mine[~mine["zero_inside"] & (mine["size"] > facts["breakdown"])]
    if len(again):
        notes.append(
            "intervals of larger sizes are wider but have another middle, as another combination "
            "of terms is best for each: zero is outside again at "
            + ", ".join(number(one) for one in again["size"])
        )
    if np.isinf(mine[["conf_low", "conf_high"]].to_numpy(dtype=float)).any():
        notes.append("an end without a number is open: the level cannot be attained there")
    return [*notes, *_carried(terms)]


def _carried(terms: EventTerms) -> list[str]:
    """Say which terms few pilots carry, and whether terms mix cohorts."""
    events = terms.events
    if events is None:
        return []
    notes = []
    counts = events.terms["n_pilots"]
    most = int(counts.max())
    few = events.terms[counts <= max(1, most // 3)]
    if len(few) and most > 1:
        listed = ", ".join(
            f"{name} ({n})" for name, n in zip(few["term"], few["n_pilots"], strict=True)
        )
        notes.append(f"carried by few of {most} pilots, so that its jumps are noisy: {listed}")
    maker = events.estimator
    if (
        isinstance(maker, EventStudy)
        and maker.time == "event"
        and maker.cells == "observed"
        and len(events.sample.starts) > 1
    ):
        notes.append(
            "pilots start at several times: the terms of this event study mix cohorts, and so do "
            "their jumps; GroupTime(by='dynamic') does not"
        )
    return notes
