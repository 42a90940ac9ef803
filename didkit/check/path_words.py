"""Words of checks of a path: amounts in the outcome's unit, periods, shares."""

from __future__ import annotations

from didkit.check.event_terms import EventTerms
from didkit.results import tables

__all__ = ["a_period", "amount", "change_of_rate", "percent", "times"]


def amount(terms: EventTerms, value: float) -> str:
    """Write a number with the unit of the terms.

    Examples
    --------
    >>> import numpy as np
    >>> times, flat = np.array([-2, 0]), np.array([0.0, 1.0])
    >>> made = EventTerms(("a", "b"), times, -1, 0, flat, np.eye(2), flat, "b", "per 1,000")
    >>> amount(made, 1.5)
    '1.50 per 1,000'
    """
    return f"{tables.number(value)} {unit_of(terms)}".strip()


def unit_of(terms: EventTerms) -> str:
    """Name the unit of differences between terms."""
    return terms.unit if terms.events is None else tables.unit_of(terms.events.metric)


def a_period(terms: EventTerms) -> str:
    """Name one step of event time: "year" or "period"."""
    if terms.events is None or terms.events.design.panel.calendar.kind == "declared":
        return "period"
    return "year"


def change_of_rate(terms: EventTerms, slope: float) -> str:
    """Write a slope: "1.90 per 10,000 a year"."""
    return f"{amount(terms, slope)} a {a_period(terms)}"


def percent(share: float) -> str:
    """Write a share as a percentage without needless digits.

    Examples
    --------
    >>> percent(0.5), percent(0.142)
    ('50 %', '14 %')
    """
    return f"{100 * share:.0f} %"


def times(part: float, whole: float) -> str:
    """Write how many times as large a number is as another: "0.800 times".

    Examples
    --------
    >>> times(5.7, -7.125)
    '0.800 times'
    """
    return f"{tables.number(abs(part / whole))} times" if whole else "beyond any multiple of"
