"""A metric: what is counted, over what, per how many, and which way is called better."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal

from didkit.errors import PanelError

__all__ = ["METRICS", "Metric"]

Kind = Literal["rate", "count", "percent", "duration", "value"]
Timing = Literal["stock", "flow"]
Direction = Literal["lower", "higher"]


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
    direction: Direction | None = None
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
    name: str,
    label: str,
    timing: Timing,
    *,
    unit: str = "children",
    denominator: str = "population",
    decimals: int = 1,
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
        unit=unit,
        timing=timing,
        direction="lower",
    )
    return rate, count


def _share(
    name: str, label: str, timing: Timing, *, of: str, unit: str, direction: Direction | None
) -> tuple[Metric, Metric]:
    """Return a percentage of a count, and the count that is the part."""
    percent = Metric(
        name=name,
        label=label,
        kind="percent",
        unit=f"% of {unit}",
        timing=timing,
        numerator=f"{name}_count",
        denominator=of,
        per=100,
        direction=direction,
        decimals=1,
    )
    count = Metric(
        name=f"{name}_count",
        label=f"{label} (number)",
        kind="count",
        unit=unit,
        timing=timing,
        direction=direction,
    )
    return percent, count


def _plans(name: str, label: str) -> tuple[Metric, Metric]:
    """Return plans of some length on 31 March: share and number."""
    return _share(
        f"cpp_{name}",
        f"Child protection plans of {label}",
        "stock",
        of="cpp_count",
        unit="plans",
        direction=None,
    )


_ALL: tuple[Metric, ...] = (
    *_family("cin", "Children in need", "stock"),
    *_family("icpc", "Initial child protection conferences", "flow"),
    *_family("cpp", "Child protection plans", "stock"),
    *_family("cla", "Children looked after", "stock", denominator="cla_population", decimals=0),
    *_family("section47", "Section 47 enquiries", "flow"),
    *_family("referrals", "Referrals", "flow", unit="referrals"),
    *_share(
        "rereferrals",
        "Re-referrals within 12 months",
        "flow",
        of="referrals_count",
        unit="referrals",
        direction="lower",
    ),
    *_share(
        "no_further_action",
        "Referrals closed with no further action",
        "flow",
        of="referrals_count",
        unit="referrals",
        direction=None,
    ),
    *_share(
        "not_in_need",
        "Referrals assessed as not in need",
        "flow",
        of="referrals_count",
        unit="referrals",
        direction=None,
    ),
    *_family("assessments", "Assessments completed", "flow", unit="assessments"),
    Metric(
        name="assessment_duration",
        label="Duration of assessments (median)",
        kind="duration",
        unit="working days",
        timing="flow",
        direction="lower",
        decimals=0,
    ),
    *_family("cin_during", "Episodes of need in the year", "flow", unit="episodes"),
    *_family("cin_started", "Episodes of need started", "flow", unit="episodes"),
    *_family("cin_ended", "Episodes of need ended", "flow", unit="episodes"),
    *_family("cpp_during", "Child protection plans in the year", "flow", unit="plans"),
    *_family("cpp_started", "Child protection plans started", "flow", unit="plans"),
    *_family("cpp_ended", "Child protection plans ended", "flow", unit="plans"),
    *_share(
        "cpp_subsequent",
        "Second or subsequent child protection plans",
        "flow",
        of="cpp_started_count",
        unit="plans",
        direction="lower",
    ),
    *_plans("to_3_months", "3 months or less"),
    *_plans("3_to_6_months", "over 3 months, to 6"),
    *_plans("6_to_12_months", "over 6 months, under a year"),
    *_plans("1_to_2_years", "one year, under two"),
    *_plans("2_years_or_more", "two years or more"),
    *_family(
        "cla_started",
        "Children who started to be looked after",
        "flow",
        denominator="cla_population",
        decimals=0,
    ),
    *_family(
        "cla_ceased",
        "Children who ceased to be looked after",
        "flow",
        denominator="cla_population",
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
