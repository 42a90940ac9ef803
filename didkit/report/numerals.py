"""Numbers, sizes, shares and dates as they stand in a sentence."""

from __future__ import annotations

import re

import numpy as np

from didkit.panel import Metric
from didkit.results import tables
from didkit.results.tables import inside, signed

__all__ = [
    "adjusted_p",
    "amount",
    "change_of",
    "count",
    "day",
    "directions",
    "equals",
    "inside",
    "interval",
    "joined",
    "more",
    "no_share",
    "plural",
    "said",
    "said_signed",
    "share_in_words",
    "share_text",
    "signed",
    "with_unit",
]

_SMALL = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_HALF_GONE = 2.0  # a gap before of twice the gap after: most of it has gone
_TWO_PLACES = 10  # below it two digits, from it on three: never more than one decimal


def said(value: float) -> str:
    """Write a number for a sentence: one decimal at most, two digits below one.

    Examples
    --------
    >>> said(9.64), said(9.97), said(52.43), said(343.2), said(-0.3331), said(0.0)
    ('9.6', '10', '52.4', '343', '−0.33', '0')
    """
    return tables.number(value, 2 if abs(value) < _TWO_PLACES else 3)


def said_signed(value: float) -> str:
    """Write a number for a sentence with its sign, + included.

    Examples
    --------
    >>> said_signed(1.751), said_signed(-3.94), said_signed(-0.0)
    ('+1.8', '−3.9', '0')
    """
    return tables.with_sign(value, said(value))


def interval(low: float, high: float) -> str:
    """Write the two ends of an interval for a sentence.

    Examples
    --------
    >>> interval(-1.24, 0.5)
    '−1.2 to +0.50'
    """
    return f"{said_signed(low)} to {said_signed(high)}"


def amount(metric: Metric, value: float) -> str:
    """Write how large something is, without a sign, with its unit; shares in percentage points.

    Examples
    --------
    >>> amount(Metric.named("cla"), -9.64), amount(Metric(name="m", kind="percent", unit="%"), 1.53)
    ('9.6 per 10,000 children', '1.5 percentage points')
    """
    return with_unit(metric, said(abs(value)))


def change_of(metric: Metric, value: float) -> str:
    """Write a change with its sign and unit; of shares in percentage points.

    Examples
    --------
    >>> change_of(Metric(name="m", kind="percent", unit="% of referrals"), 1.46)
    '+1.5 percentage points'
    """
    return with_unit(metric, said_signed(value))


def with_unit(metric: Metric, text: str) -> str:
    """Put the unit of a difference after its number."""
    unit = "percentage points" if metric.kind == "percent" else metric.unit
    return f"{text} {unit}".strip()


def directions(metric: Metric) -> tuple[str, str]:
    """Return the words for less and for more of a metric."""
    return ("fewer", "more") if metric.kind in ("rate", "count") else ("lower", "higher")


def more(metric: Metric, value: float, *, unit: bool = False) -> str:
    """Say how far pilots are from comparators, and in which direction.

    Examples
    --------
    >>> more(Metric.named("cla"), -9.64, unit=True)
    '9.6 fewer per 10,000 children'
    >>> more(Metric(name="wait", kind="duration", unit="working days"), 2.04, unit=True)
    '2.0 working days higher'
    """
    down, up = directions(metric)
    size = said(abs(value))
    way = down if value < 0 else up
    if metric.kind in ("rate", "count"):
        return f"{size} {way} {metric.unit}".strip() if unit else f"{size} {way}"
    return f"{with_unit(metric, size) if unit else size} {way}"


def share_text(share: float) -> str:
    """Write the share of a gap that was there before; more than all of it is all.

    Examples
    --------
    >>> share_text(0.714), share_text(1.27), share_text(40.0), share_text(0.0)
    ('71%', 'all (127%)', 'all (over 200%)', '0%')
    """
    text = f"{abs(share):.0%}"
    if text == "100%":
        return "all"
    if share < 1:
        return text
    return f"all ({text})" if share <= _HALF_GONE else f"all (over {_HALF_GONE:.0%})"


def no_share(before: float, after: float) -> str:
    """Say in a few words why a gap has no share that was there before; "" where it has one.

    Examples
    --------
    >>> no_share(-2.0, 1.0), no_share(0.0, 0.0), no_share(-2.0, -3.0)
    ('sign turned', 'no gap', '')
    >>> no_share(-2.0, 0.0), no_share(0.0, 1.0), no_share(float("nan"), 1.0)
    ('all, none left', 'none', 'not known')
    """
    if np.isnan(before) or np.isnan(after):
        return "not known"
    if before == 0:
        return "no gap" if after == 0 else "none"
    if after == 0:
        return "all, none left"
    return "sign turned" if (before > 0) != (after > 0) else ""


_NO_SHARE = {
    "not known": "how much of the gap was there before is not known",
    "no gap": "there was no gap before and none after",
    "none": "none of the gap was there before",
    "all, none left": "all of the gap was there before, and none is left",
    "sign turned": "the sign of the gap turned",
}


def share_in_words(before: float, after: float) -> str:
    """Say how much of the gap afterwards was there before, without a full stop.

    Examples
    --------
    >>> share_in_words(-7.14, -10.0)
    '71% of the gap was there before'
    >>> share_in_words(8.0, 0.2)
    'all of the gap was there before, and most of it has gone'
    >>> share_in_words(8.0, 0.0)
    'all of the gap was there before, and none is left'
    """
    why = no_share(before, after)
    if why:
        return _NO_SHARE[why]
    share = before / after
    text = share_text(share)
    if text == "0%":
        return "hardly any of the gap was there before"
    if text == "all":
        return "all of the gap was there before"
    if share < 1:
        return f"{text} of the gap was there before"
    if share > _HALF_GONE:
        return "all of the gap was there before, and most of it has gone"
    return f"all of the gap was there before ({share:.0%}), and it has narrowed"


def count(n: int) -> str:
    """Write a small count as a word.

    Examples
    --------
    >>> count(0), count(8), count(1200)
    ('none', 'eight', '1,200')
    """
    return _SMALL[n] if 0 <= n < len(_SMALL) else f"{n:,}"


def plural(n: int, word: str) -> str:
    """Write a number in figures with its noun.

    Examples
    --------
    >>> plural(1, "pilot"), plural(12, "pilot")
    ('1 pilot', '12 pilots')
    """
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def joined(items: list[str]) -> str:
    """Join with commas and an "and".

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def equals(p: float) -> str:
    """Write a p-value after the letter p.

    Examples
    --------
    >>> equals(0.0374), equals(0.00001)
    ('= .037', '< .0001')
    """
    text = tables.p_value(p)
    return text if text.startswith("<") else f"= {text}"


def adjusted_p(p: float) -> str:
    """Write an adjusted p-value in brackets.

    Examples
    --------
    >>> adjusted_p(0.1), adjusted_p(0.00001)
    ('p adjusted .10', 'p adjusted < .0001')
    """
    return f"p adjusted {tables.p_value(p)}"


def day(stamp: str) -> str:
    """Write the day of an ISO date or time for readers; anything else as it is.

    Examples
    --------
    >>> day("2026-11-22T05:05:34+00:00"), day("last week")
    ('22 November 2026', 'last week')
    """
    found = _DATE.match(stamp)
    if found is None or not 1 <= int(found.group(2)) <= len(_MONTHS):
        return stamp
    year, month, number = found.groups()
    return f"{int(number)} {_MONTHS[int(month) - 1]} {year}"
