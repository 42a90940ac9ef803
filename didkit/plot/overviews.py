"""The overview: every metric's gap before and after, on one scale."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.plot.style import FAINT, GREY, INK, PILOT, TEXT, canvas, finish, rows
from didkit.plot.words import signed

__all__ = ["Overview", "overview"]


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
        percent_after`` (per cent of the comparators' mean in the same window).

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
        data[f"percent_{when}"] = 100 * table[f"gap_{when}"] / table[f"comparators_{when}"].abs()
    ax = canvas(ax, height=1.9 + 0.72 * len(data))
    drawn = data.iloc[::-1]
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    for y, row in enumerate(rows(drawn)):
        ends = [row.percent_before, row.percent_after]
        ax.plot(ends, [y, y], color=FAINT, linewidth=4, zorder=2)
        ax.plot(row.percent_before, y, "o", mfc="white", mec=PILOT, mew=2, markersize=9, zorder=4)
        ax.plot(row.percent_after, y, "o", color=PILOT, markersize=10, zorder=3)
        ax.annotate(
            f"{signed(row.gap_before)} before, {signed(row.gap_after)} after",
            (float(np.mean(ends)), y),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=TEXT,
            color=INK,
        )
    ax.set_yticks(range(len(drawn)), [_broken(label) for label in drawn["label"]])
    ax.set_ylim(-0.5, len(drawn) - 0.35)
    ax.margins(x=0.22)
    ax.set_xlabel("Pilots less comparators, % of the comparators' mean")
    finish(ax, _title(data), data, foot="Hollow: before the start. Filled: from the start on.")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_color(GREY)
    return ax


def _broken(label: str) -> str:
    words, lines = label.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > 17:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _title(data: pd.DataFrame) -> str:
    """Say how far apart the arms were before, and after."""

    def span(column: str) -> str:
        low, high = float(data[column].min()), float(data[column].max())
        if round(low) == round(high):
            return f"{low:+.0f}%".replace("-", "−")
        return f"{low:+.0f} to {high:+.0f}%".replace("-", "−")

    return (
        f"Pilots stood {span('percent_before')} from their comparators before the start, and "
        f"{span('percent_after')} after"
    )
