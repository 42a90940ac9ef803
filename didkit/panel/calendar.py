"""Periods: ordered labels, declared once, never arithmetic on 201718."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Literal

from didkit.errors import PanelError, first_few

__all__ = ["Calendar", "Period"]

Period = str | int
Gaps = Literal["refuse", "not available"]
Kind = Literal["reporting year", "split year", "year", "declared"]

_FEW = 5
_CONSECUTIVE = "consecutive periods, since event time counts positions"

_YEAR = re.compile(r"(?:18|19|20|21)\d\d", re.ASCII)
_SPLIT = re.compile(r"((?:18|19|20|21)\d\d)[-/–]?(\d\d)", re.ASCII)
_LONG_SPLIT = re.compile(r"((?:18|19|20|21)\d\d)[-/–]((?:18|19|20|21)\d\d)", re.ASCII)


def _text(raw: object) -> str:
    """Write a raw period as text: 2018, 2018.0 and " 2018 " are the same."""
    if type(raw) is int or type(raw) is str:  # nearly all: without asking the abstract classes
        return str(raw).strip()
    if isinstance(raw, Real) and not isinstance(raw, Integral) and float(raw).is_integer():
        return str(int(float(raw)))
    return str(raw).strip()


def _shown(texts: Sequence[str]) -> str:
    """Show the first few, with their number only where some are not shown."""
    return ", ".join(texts) if len(texts) <= _FEW else first_few(texts, _FEW)


def _unparsed(raw: object, needed: str, todo: str) -> PanelError:
    return PanelError(needed=needed, found=repr(raw), where="a period label", todo=todo)


def _end_year(raw: object) -> tuple[int, bool]:
    """Return the last year that a label names, and whether it names two years."""
    text = _text(raw)
    if _YEAR.fullmatch(text):
        return int(text), False
    split = _SPLIT.fullmatch(text)
    if split and (int(split[1]) + 1) % 100 == int(split[2]):
        return int(split[1]) + 1, True
    split = _LONG_SPLIT.fullmatch(text)
    if split and int(split[1]) + 1 == int(split[2]):
        return int(split[2]), True
    raise _unparsed(
        raw,
        "a year (2018) or two years in a row (2017-18, 2017/18, 201718)",
        "mend the label, or declare the periods in order with calendar=[…]",
    )


@dataclass(frozen=True)
class Calendar:
    """The periods of a panel, in order and without a gap.

    Parameters
    ----------
    labels : tuple of str
        In order.
    kind : {"reporting year", "split year", "year", "declared"}
        ``"reporting year"``: the year that ends on 31 March, so 2018 and 2017-18 are one period.
        ``"split year"``: labels such as 2017-18; a single year would be ambiguous and is refused.
        ``"year"``: calendar years. ``"declared"``: labels taken as they are, in the order given.

    Raises
    ------
    PanelError
        If a label does not parse, stands twice, or the years have a gap.

    Examples
    --------
    >>> Calendar.of(["2018", "2017", "2019"], kind="reporting year").position("2017-18")
    1
    """

    labels: tuple[str, ...]
    kind: Kind
    _place: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in ("reporting year", "split year", "year", "declared"):
            raise PanelError(
                needed="a kind of calendar: 'reporting year', 'split year', 'year', or a list",
                found=repr(self.kind),
                where="calendar=",
                todo="choose one, or give the ordered labels themselves",
            )
        place = {label: i for i, label in enumerate(self.labels)}
        if len(place) != len(self.labels) or not self.labels:
            twice = [label for label in place if self.labels.count(label) > 1]
            raise PanelError(
                needed="at least one period, each named once",
                found=f"periods named twice: {first_few(twice)}" if twice else "no period",
                where="the calendar",
                todo="give each period one label",
            )
        object.__setattr__(self, "_place", place)
        if self.kind != "declared":
            ends = [_end_year(label)[0] for label in self.labels]
            gaps = [
                f"{self.labels[i]} → {self.labels[i + 1]}"
                for i in range(len(ends) - 1)
                if ends[i + 1] != ends[i] + 1
            ]
            if gaps:
                raise PanelError(
                    needed=_CONSECUTIVE,
                    found=f"a gap: {_shown(gaps)}",
                    where="the calendar",
                    todo="choose periods on one side of the gap, or make a panel of each side and "
                    "join them: one.join(other, gaps='not available')",
                )

    @classmethod
    def of(cls, raw: Iterable[object], *, kind: Kind | None = None) -> Calendar:
        """Make a calendar from the periods found in data, in any order.

        Parameters
        ----------
        raw : iterable
            Period labels: 2018, "2018", "2017-18", 201718.
        kind : optional
            As for the class; by default told from the labels.

        Raises
        ------
        PanelError
            If a label does not parse, single and double years are mixed, or years are missing.
        """
        if kind == "declared":
            return cls(tuple(dict.fromkeys(_text(label) for label in raw)), kind)
        parsed = {_text(label): _end_year(_text(label)) for label in raw}
        styles = {split for _, split in parsed.values()}
        if kind is None:
            if len(styles) > 1:
                mixed = [label for label, (_, split) in parsed.items() if split]
                raise PanelError(
                    needed="one style of period, or calendar='reporting year'",
                    found=f"single years beside split ones: {first_few(mixed)}",
                    where="the period column",
                    todo="say calendar='reporting year' if 2018 means the year that ends "
                    "in March 2018; otherwise mend the labels",
                )
            kind = "split year" if styles == {True} else "year"
        ends = sorted({end for end, _ in parsed.values()})
        return cls(tuple(cls._label(end, kind) for end in ends), kind)

    @staticmethod
    def _label(end: int, kind: Kind) -> str:
        return f"{end - 1}-{end % 100:02d}" if kind == "split year" else str(end)

    def canonical(self, raw: object) -> str:
        """Return the label, in this calendar's own style, of a period written in another.

        Raises
        ------
        PanelError
            If it does not parse, or would be ambiguous here.
        """
        if self.kind == "declared":
            return _text(raw)
        end, split = _end_year(raw)
        if self.kind == "split year" and not split:
            raise _unparsed(
                raw,
                "a period in the style of this panel's calendar, e.g. " + self.labels[0],
                f"write {end - 1}-{end % 100:02d} or {end}-{(end + 1) % 100:02d}",
            )
        if self.kind == "year" and split:
            raise _unparsed(
                raw,
                "a single year, since this panel's calendar has " + self.labels[0],
                "write one year, or make the panel with calendar='reporting year'",
            )
        return self._label(end, self.kind)

    def position(self, raw: object, *, where: str = "a period") -> int:
        """Return the place of a period, from 0.

        Raises
        ------
        PanelError
            If it does not parse or is not in the calendar.
        """
        label = self.canonical(raw)
        if label not in self._place:
            raise PanelError(
                needed=f"a period between {self.labels[0]} and {self.labels[-1]}",
                found=repr(raw),
                where=where,
                todo="choose one of "
                + ", ".join(self.labels)
                + "; a unit whose start lies outside "
                "them cannot be a pilot here",
            )
        return self._place[label]

    def __contains__(self, raw: object) -> bool:
        return self.canonical(raw) in self._place

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def span(self) -> str:
        """The first and the last label in words; the label itself where there is one."""
        first, last = self.labels[0], self.labels[-1]
        return first if first == last else f"{first} to {last}"

    def union(self, other: Calendar, *, gaps: Gaps = "refuse") -> Calendar:
        """Join two calendars of one kind.

        Parameters
        ----------
        other : Calendar
            Of the same kind.
        gaps : {"refuse", "not available"}
            What to do about periods between the two that neither has: refuse, or let them stand.

        Raises
        ------
        PanelError
            If the kinds differ or the union has a gap that was not asked for.

        Examples
        --------
        >>> one, other = Calendar.of([2011, 2012]), Calendar.of([2014])
        >>> one.union(other, gaps="not available").labels
        ('2011', '2012', '2013', '2014')
        """
        if self.kind != other.kind:
            raise PanelError(
                needed="two panels with the same kind of calendar",
                found=f"{self.kind!r} ({self.labels[0]}…) and {other.kind!r} ({other.labels[0]}…)",
                where="joining panels",
                todo="read both with the same calendar=",
            )
        if self.kind == "declared":
            if self.labels != other.labels:
                raise PanelError(
                    needed="the same declared periods on both sides",
                    found=f"{self.labels[:3]}… and {other.labels[:3]}…",
                    where="joining panels",
                    todo="declare one calendar for both",
                )
            return self
        ends = {_end_year(label)[0] for label in (*self.labels, *other.labels)}
        every = range(min(ends), max(ends) + 1)
        lacking = [self._label(end, self.kind) for end in every if end not in ends]
        if lacking and gaps == "refuse":
            # neither side has a gap of its own, so there is one, between the two
            before = self._label(_end_year(lacking[0])[0] - 1, self.kind)
            after = self._label(_end_year(lacking[-1])[0] + 1, self.kind)
            raise PanelError(
                needed=_CONSECUTIVE,
                found=f"a gap: {before} → {after}",
                where="joining panels",
                todo=f"join a release that covers {_shown(lacking)} as well, or let the cells in "
                "between stand without a value: join(…, gaps='not available')",
            )
        return Calendar(tuple(self._label(end, self.kind) for end in every), self.kind)

    def window(self, first: object, last: object) -> Sequence[str]:
        """Return the labels from `first` to `last`, both included."""
        i, j = self.position(first), self.position(last)
        if i > j:
            raise PanelError(
                needed="a window whose first period is not after its last",
                found=f"{first!r} to {last!r}",
                where="periods=",
                todo="swap them",
            )
        return self.labels[i : j + 1]
