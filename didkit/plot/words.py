"""Words for titles: numbers with their direction, labels inside a sentence."""

from __future__ import annotations

from didkit.panel import Metric
from didkit.results import tables
from didkit.results.tables import inside, signed

__all__ = ["axis_label", "difference", "inside", "short", "signed", "subject"]


def short(name: str, most: int = 28) -> str:
    """Cut a long name.

    Examples
    --------
    >>> short("Bristol, City of", 10)
    'Bristol, …'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def difference(metric: Metric, value: float) -> str:
    """Say how far pilots are from comparators: "9.64 fewer", "1.2 higher".

    Examples
    --------
    >>> difference(Metric.named("cla"), -9.64), difference(Metric(name="score"), 2.0)
    ('9.64 fewer', '2.00 higher')
    """
    down, up = ("fewer", "more") if metric.kind in ("rate", "count") else ("lower", "higher")
    return f"{tables.number(abs(value))} {down if value < 0 else up}"


def subject(metric: Metric) -> str:
    """Name what is counted, with its unit: "children in need per 10,000 children"."""
    if metric.kind == "rate":
        return f"{inside(metric.label)} {metric.unit}".strip()
    return inside(metric.label)


def axis_label(metric: Metric) -> str:
    """Label an axis: what, and in which unit."""
    if not metric.unit or metric.unit in metric.label:
        return metric.label
    joined = f"{metric.label} {metric.unit}" if metric.kind == "rate" else ""
    return joined or f"{metric.label} ({metric.unit})"
