"""The overview: every metric's gap before and after, on one scale."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.plot.style import FAINT, GREY, INK, PILOT, SMALL, TEXT, canvas, finish, points, rows
from didkit.plot.words import signed

__all__ = ["Overview", "overview"]

_WIDTH = 4.6  # inches: whole on a phone, without scrolling
_LETTER = 0.56  # mean width of a letter, of its height
_PAD = 0.03  # of the axis
_MOST_ROOM = 0.48  # of the axis, for a label on one side of zero where both have some


@runtime_checkable
class Overview(Protocol):
    """What an overview is drawn from: an `Evaluation`, of which this room knows no more."""

    def to_frame(self) -> pd.DataFrame:
        """One row a metric: ``label, gap_before, gap_after, comparators_before`` and so on."""
        ...

    def in_words(self) -> str:
        """Say it in sentences."""
        ...


def overview(evaluation: Overview, ax: Axes | None = None) -> Axes:
    """Draw how far pilots were from comparators before and after, in per cent, metric by metric.

    Parameters
    ----------
    evaluation : Evaluation
        Of `evaluate`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a metric, ``metric, label, gap_before, gap_after, percent_before,
        percent_after`` (per cent of the comparators' mean in the same window; NaN, and no mark,
        where that mean is 0 or not known).

    Examples
    --------
    >>> import pandas as pd
    >>> class Stub:
    ...     def to_frame(self):
    ...         numbers = {"gap_before": [-2.0], "comparators_before": [20.0]}
    ...         numbers |= {"gap_after": [-3.0], "comparators_after": [20.0]}
    ...         return pd.DataFrame({"metric": ["cin"], "label": ["Children in need"], **numbers})
    ...
    ...     def in_words(self):
    ...         return ""
    >>> overview(Stub()).data["percent_after"].tolist()
    [-15.0]
    """
    table = evaluation.to_frame()
    data = table[["metric", "label", "gap_before", "gap_after"]].copy()
    for when in ("before", "after"):
        level = table[f"comparators_{when}"].abs().astype(float)
        data[f"percent_{when}"] = 100 * table[f"gap_{when}"] / level.where(level > 0)
    units = [str(unit) for unit in table["unit"]] if "unit" in table.columns else []
    ax = canvas(ax, width=_WIDTH, height=2.0 + 0.72 * len(data))
    drawn = data.iloc[::-1]
    names = [_broken(name) for name in _named(data["label"].tolist(), units)]
    ax.set_yticks(range(len(drawn)), names[::-1])
    ax.tick_params(axis="y", labelsize=TEXT, length=0)  # before room is measured
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    labels = [_label(row) for row in rows(drawn)]
    middles = data[["percent_before", "percent_after"]].mean(axis=1).fillna(0.0)
    size = SMALL if (middles <= 0).any() and (middles > 0).any() else TEXT
    room = (
        max(len(line) for label in labels for line in label.split("\n"))
        * _LETTER
        * size
        / points(ax)[0]
    )
    low, high = _limits(data, room)
    ax.set_xlim(low, high)
    for y, (row, label) in enumerate(zip(rows(drawn), labels, strict=True)):
        ends = [row.percent_before, row.percent_after]
        ax.plot(ends, [y, y], color=FAINT, linewidth=4, zorder=2)
        # a NaN draws nothing
        ax.plot(row.percent_before, y, "o", mfc="white", mec=PILOT, mew=1.8, ms=13, zorder=3)
        ax.plot(row.percent_after, y, "o", color=PILOT, markersize=7.5, zorder=4)
        ax.annotate(
            label,
            (_beside(ends, low, high, room), y),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=size,
            color=INK,
        )
    ax.set_ylim(-0.5, len(drawn) - 0.35)
    ax.set_xlabel("Pilots less comparators, % of the comparators' mean")
    same = f" Numbers: {units[0]}." if len(set(units)) == 1 and units[0] else ""
    finish(ax, _title(data), data, foot=f"○ before the start, ● from the start on.{same}")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_color(GREY)
    return ax


def _label(row: SimpleNamespace) -> str:
    """Write both gaps, and say where there is no percentage, so no mark, of one or of both."""
    text = f"○ {signed(row.gap_before)}  ● {signed(row.gap_after)}"
    lacks = [np.isnan(row.percent_before), np.isnan(row.percent_after)]
    if all(lacks):
        return f"{text}\n(no percentage)"
    return f"{text}\n(no % {'before' if lacks[0] else 'after'})" if any(lacks) else text


def _named(labels: list[str], units: list[str]) -> list[str]:
    """Name the measures, with their units where these differ."""
    if len(set(units)) < 2:
        return labels
    return [
        f"{label}, {unit}" if unit else label for label, unit in zip(labels, units, strict=True)
    ]


def _limits(data: pd.DataFrame, room: float) -> tuple[float, float]:
    """Return the ends of the axis: zero in view, and room for a label on each side with a dot.

    `room`: width of the longest label as a share of the axis.
    """
    ends = data[["percent_before", "percent_after"]]
    if not ends.notna().any(axis=None):
        return -1.0, 1.0
    low, high = min(0.0, 1.15 * float(ends.min().min())), max(0.0, 1.15 * float(ends.max().max()))
    room = min(room + _PAD, _MOST_ROOM)
    middle = ends.mean(axis=1).fillna(0.0)
    if (middle <= 0).any():
        low = min(low, -high * room / (1 - room))
    if (middle > 0).any():
        high = max(high, -low * room / (1 - room))
    pad = _PAD * ((high - low) or 1.0)
    return low - pad, high + pad


def _beside(ends: list[float], low: float, high: float, room: float) -> float:
    """Place the middle of a label over its dots, beside the line at zero and inside the axis."""
    half = (room / 2 + _PAD / 2) * (high - low)
    known = [end for end in ends if np.isfinite(end)]
    middle = float(np.mean(known)) if known else 0.0
    first, last = (low, 0.0) if middle <= 0 else (0.0, high)
    return float(np.clip(middle, min(first + half, last), max(last - half, first)))


def _broken(label: str) -> str:
    words, lines = label.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > 17:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _title(data: pd.DataFrame) -> str:
    """Say how far apart the arms were before, and after."""
    whole = data[["percent_before", "percent_after"]].dropna()
    if whole.empty:
        return "No percentage: the comparators' mean is 0, or not known, before or after the start"

    def span(column: str) -> str:
        low, high = round(float(whole[column].min())), round(float(whole[column].max()))
        return _percent(high) if low == high else f"{_percent(low)[:-1]} to {_percent(high)}"

    return (
        f"Pilots stood {span('percent_before')} from their comparators before the start, and "
        f"{span('percent_after')} after"
    )


def _percent(value: int) -> str:
    """Write a rounded percentage with its sign; zero has none."""
    return f"{value:+d}%".replace("-", "−") if value else "0%"
