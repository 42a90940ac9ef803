"""The pictures of a report: asked for through the hook that the front door fills."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from didkit.results import Estimate, hooks, tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["Picture", "draw_pictures"]

_DPI = 130


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture.

    Parameters
    ----------
    metric : str
        What it is about.
    kind : {"trends", "gap", "events"}
        Which picture.
    title : str
        What is seen, with numbers.
    alt : str
        The title, and the numbers behind it.
    png : bytes
        The picture; the same bytes for the same evaluation.
    data : DataFrame
        The frame behind it.
    """

    metric: str
    kind: str
    title: str
    alt: str
    png: bytes
    data: pd.DataFrame


def draw_pictures(evaluation: Evaluation) -> tuple[Picture, ...]:
    """Draw the gap, the trends and the event study of every metric."""
    made = []
    for name, result in evaluation.results.items():
        drawn: list[tuple[str, Estimate | None]] = [
            ("gap", result.gap),
            ("trends", result.did),
            ("events", result.events),
        ]
        made += [_picture(name, kind, one) for kind, one in drawn if one is not None]
    return tuple(made)


def _picture(metric: str, kind: str, estimate: Estimate) -> Picture:
    axes = hooks.draw(estimate)
    file = io.BytesIO()
    axes.figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    title = " ".join(axes.get_title(loc="left").split())
    data: pd.DataFrame = axes.data
    return Picture(metric, kind, title, f"{title}. {_numbers(kind, data)}", file.getvalue(), data)


def _numbers(kind: str, data: pd.DataFrame) -> str:
    """Read the frame out, for those who do not see the picture."""
    number = tables.number
    if kind == "gap":
        parts = [
            f"{when} the start: pilots {number(pilots)}, comparators {number(others)}"
            for when, pilots, others in zip(
                data["when"], data["pilots"], data["comparators"], strict=True
            )
        ]
    elif kind == "trends":
        parts = [
            f"{period}: pilots {number(pilots)}, comparators {number(others)}"
            for period, pilots, others in zip(
                data["period"], data["pilots"], data["comparators"], strict=True
            )
        ]
    else:
        parts = [
            f"{term}: {number(value)}"
            for term, value in zip(data["term"], data["estimate"], strict=True)
        ]
    return "; ".join(parts) + "."
