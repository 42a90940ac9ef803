"""What a plan expects to find: the noise that is assumed, and what could be seen through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from didkit.report.plan_file import Section

__all__ = ["Noise", "PowerPart", "power"]


@dataclass(frozen=True)
class Noise:
    """What is assumed of a metric before its data: spread, how much of it lasts, how long."""

    sd: float
    icc: float
    ar1: float = 0.0


@dataclass(frozen=True)
class PowerPart:
    """What the design was expected to find, before the data."""

    assumed: Mapping[str, Noise] = field(default_factory=dict)
    comparators: int = 0
    before: int = 0
    after: int = 0
    power: float = 0.8
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.assumed)


def power(section: Section) -> PowerPart:
    """Read ``[power]``: what is assumed of each metric, and how many and how long.

    Parameters
    ----------
    section : Section
        Keys ``power, comparators, before, after, reason``; a table of ``sd, icc, ar1`` a metric.
    """
    counts = {}
    for key in ("comparators", "before", "after"):
        value = section.number(key, 0.0, such_as=5)
        if section.has(key) and key not in section.refused and (value < 1 or value % 1):
            section.wrong(
                key, needed="a whole number above 0", value=value, todo=f"write {key} = 5"
            )
        counts[key] = int(value)
    chance = section.number("power", PowerPart.power)
    if not 0.5 <= chance < 1 and "power" not in section.refused:
        section.wrong(
            "power", needed="a power from 0.5 to below 1", value=chance, todo="write power = 0.8"
        )
    reason = section.text("reason", "")
    assumed = {}
    for metric, value in section.raw.items():
        if isinstance(value, dict):
            with section.gathered():
                assumed[metric] = _noise(section.table(metric))
    section.close()
    lacking = [key for key, n in counts.items() if not n]
    if assumed and lacking:
        raise section.error(
            needed="how many comparators, and periods before and after",
            found=f"no {', '.join(lacking)}",
            todo="write comparators = 60, before = 5 and after = 3, or what is expected",
        )
    return PowerPart(assumed=assumed, power=chance, reason=reason, **counts)


def _noise(section: Section) -> Noise:
    sd, icc = section.number("sd", 0.0, such_as=20), section.number("icc", -1.0, such_as=0.7)
    ar1 = section.number("ar1", 0.0)
    section.close()
    if not section.refused and not (sd > 0 and 0 <= icc < 1 and -1 < ar1 < 1):
        raise section.error(
            needed="sd above 0 in the metric's unit, icc from 0 to below 1, ar1 between −1 and 1",
            found=f"sd = {sd:g}, icc = {icc:g}, ar1 = {ar1:g}",
            todo="write for example sd = 15, icc = 0.7, ar1 = 0.2",
        )
    return Noise(sd, icc, ar1)
