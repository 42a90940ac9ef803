"""A metric: what is counted, over what, per how many, and which way is called better."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal

from didkit.errors import PanelError

__all__ = ["METRICS", "Metric"]

Kind = Literal["rate", "count", "percent", "duration", "value"]
Timing = Literal["stock", "flow"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured thing and how it was made.

    Parameters
    ----------
    name : str
        Short name used in calls: ``"cin"``.
    label : str
        Name for readers: ``"Children in need"``.
    kind : {"rate", "count", "percent", "duration", "value"}
        Counts, rates, percentages and durations cannot be negative; a ``"value"`` can.
    unit : str
        Unit of the numbers, for axes: ``"per 10,000 children"``.
    timing : {"stock", "flow"}
        Measured on one day (31 March), or over the period.
    numerator, denominator : str, optional
        Names of the metrics it is made of.
    per : int, default 1
        Base of a rate: 10,000 children.
    direction : {"lower", "higher"}, optional
        What the programme's supporters call an improvement. Nothing is computed from it.
    decimals : int, optional
        Digits after the point as published; gives the bounds of a rounded value.
    derivation : str, default "published"
        ``"published"``, or how it was computed.

    Examples
    --------
    >>> Metric.named("cin").unit
    'per 10,000 children'
    """

    name: str
    label: str = ""
    kind: Kind = "value"
    unit: str = ""
    timing: Timing = "stock"
    numerator: str | None = None
    denominator: str | None = None
    per: int = 1
    direction: Literal["lower", "higher"] | None = None
    decimals: int | None = None
    derivation: str = "published"

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.name)
        if self.kind not in ("rate", "count", "percent", "duration", "value"):
            raise PanelError(
                needed="a kind of metric: rate, count, percent, duration or value",
                found=repr(self.kind),
                where=f"Metric({self.name!r})",
                todo="choose one of the five",
            )

    @property
    def non_negative(self) -> bool:
        """Whether a negative number is impossible."""
        return self.kind != "value"

    @classmethod
    def named(cls, name: str) -> Metric:
        """Look a metric of children's social care up by name.

        Raises
        ------
        PanelError
            If it is not in the registry; the nearest names are suggested.
        """
        if name not in METRICS:
            near = difflib.get_close_matches(name, METRICS, n=3)
            raise PanelError(
                needed="the name of a metric in didkit's registry",
                found=repr(name),
                where="Metric.named",
                todo=(f"did you mean {' or '.join(near)}?" if near else "define Metric(name=…)"),
            )
        return METRICS[name]

    def computed(self, derivation: str, denominator: str) -> Metric:
        """Return the same metric, marked as computed rather than published."""
        return replace(self, derivation=derivation, denominator=denominator, decimals=None)


_PER = "per 10,000 children"


def _family(
    name: str, label: str, timing: Timing, *, denominator: str = "population", decimals: int = 1
) -> tuple[Metric, Metric]:
    """Return a rate per 10,000 children and the count it is made of."""
    rate = Metric(
        name=name,
        label=label,
        kind="rate",
        unit=_PER,
        timing=timing,
        numerator=f"{name}_count",
        denominator=denominator,
        per=10_000,
        direction="lower",
        decimals=decimals,
    )
    count = Metric(
        name=f"{name}_count",
        label=f"{label} (number)",
        kind="count",
        unit="children" if name != "referrals" else "referrals",
        timing=timing,
        direction="lower",
    )
    return rate, count


_ALL: tuple[Metric, ...] = (
    *_family("cin", "Children in need", "stock"),
    *_family("icpc", "Initial child protection conferences", "flow"),
    *_family("cpp", "Child protection plans", "stock"),
    *_family("cla", "Children looked after", "stock", denominator="cla_population", decimals=0),
    *_family("section47", "Section 47 enquiries", "flow"),
    *_family("referrals", "Referrals", "flow"),
    Metric(
        name="rereferrals",
        label="Re-referrals within 12 months",
        kind="percent",
        unit="% of referrals",
        timing="flow",
        numerator="rereferrals_count",
        denominator="referrals_count",
        per=100,
        direction="lower",
        decimals=1,
    ),
    Metric(
        name="rereferrals_count",
        label="Re-referrals within 12 months (number)",
        kind="count",
        unit="referrals",
        timing="flow",
        direction="lower",
    ),
    Metric(
        name="assessment_duration",
        label="Duration of assessments (median)",
        kind="duration",
        unit="working days",
        timing="flow",
        direction="lower",
        decimals=0,
    ),
    Metric(
        name="population",
        label="Children aged 0 to 17 (mid-year, as in the children-in-need release)",
        kind="count",
        unit="children",
    ),
    Metric(
        name="cla_population",
        label="Children aged 0 to 17 (mid-year, as in the looked-after release)",
        kind="count",
        unit="children",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Registry of the metrics of children's social care that the readers know."""
