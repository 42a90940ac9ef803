"""The gap picture, which asks how much of the difference was there before."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from didkit.errors import EstimationError
from didkit.plot.style import (
    COMPARATOR,
    INK,
    PILOT,
    TEXT,
    EndLabel,
    canvas,
    end_labels,
    finish,
    points,
    rows,
)
from didkit.plot.words import axis_label, difference, inside, signed, subject
from didkit.results import Estimate, tables

__all__ = ["gap"]

_ROOM = 12.0  # points between a label and what stands beside it


def gap(estimate: Estimate, ax: Axes | None = None) -> Axes:
    """Draw the gap before the start beside the gap after it.

    Parameters
    ----------
    estimate : Estimate
        Of `Gap()`.
    ax : Axes, optional
        Where to draw; by default a new figure. In one less than 5 inches wide the means stand in
        two lines and the letters keep their size.

    Returns
    -------
    Axes
        ``ax.data``: two rows, ``when, pilots, comparators, gap``, in the metric's unit.

    Raises
    ------
    EstimationError
        If the estimate has no gap before and after.

    Examples
    --------
    >>> from didkit.estimate import Gap
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> gap(Gap().fit(design, "cla")).data["when"].tolist()
    ['before', 'after']
    """
    found = dict(zip(estimate.terms["term"], estimate.values.tolist(), strict=True))
    if not {"gap_before", "gap_after"} <= set(found):
        raise EstimationError(
            needed="an estimate of the gap before and after: Gap()",
            found=repr(estimate.estimator),
            where="the gap picture",
            todo="draw Gap().fit(design, metric)",
        )
    means = estimate.facts
    data = pd.DataFrame(
        {
            "when": ["before", "after"],
            "pilots": [means["pilots_before"], means["pilots_after"]],
            "comparators": [means["comparators_before"], means["comparators_after"]],
            "gap": [found["gap_before"], found["gap_after"]],
        }
    )
    places = _places(data)
    ax = canvas(ax, width=max(6.4, (places.total + 90) / 72), height=4.1)
    narrow = points(ax)[0] < 0.9 * places.total
    if narrow:
        places = _places(data, narrow=True).spread(points(ax)[0])
    values = data[["pilots", "comparators"]].to_numpy()
    pad = 0.22 * (float(values.max() - values.min()) or 1.0)
    ax.set_ylim(values.min() - pad, values.max() + pad)
    ax.set_xlim(0, places.total)
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    marks = [places.before, places.after]
    ax.set_xticks(marks, [_when(estimate, phase, narrow) for phase in ("before", "after")])
    finish(ax, _title(estimate, found), data, ylabel=axis_label(estimate.metric))
    between = "\n" if narrow else " "
    for x, row in zip((places.before, places.after), rows(data), strict=True):
        ax.plot([x, x], [row.pilots, row.comparators], color=INK, linewidth=2.2, zorder=2)
        ax.plot(x, row.comparators, "o", color=COMPARATOR, markersize=11, zorder=3)
        ax.plot(x, row.pilots, "o", color=PILOT, markersize=11, zorder=3)
        end_labels(
            ax,
            x,
            [
                EndLabel(f"Comparators{between}{tables.number(row.comparators)}", row.comparators,
                         COMPARATOR),
                EndLabel(f"Pilots{between}{tables.number(row.pilots)}", row.pilots, PILOT),
            ],
        )  # fmt: skip
        ax.annotate(
            f"gap {signed(row.gap)}",
            (x, (row.pilots + row.comparators) / 2),
            xytext=(7 if narrow else -9, 0),
            textcoords="offset points",
            ha="left" if narrow else "right",
            va="center",
            fontsize=TEXT + 1,
            weight="bold",
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},  # over the line, if ever
            zorder=5,
        )
    ax.axvline(places.start, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    return ax


@dataclass(frozen=True)
class _Places:
    """Where both windows and the start stand, in points from the left, and how wide all is."""

    before: float
    start: float
    after: float
    total: float

    def spread(self, width: float) -> _Places:
        """Move all inwards by the same share of what the Axes are wider."""
        quarter = max(0.0, width - self.total) / 4
        return _Places(
            self.before + quarter,
            self.start + 2 * quarter,
            self.after + 3 * quarter,
            self.total + 4 * quarter,
        )


def _places(data: pd.DataFrame, *, narrow: bool = False) -> _Places:
    """Give every label the room that its letters need, so that none reaches the start's line.

    Where there is little room all labels stand to the right, the means in two lines.
    """

    def gap_text(value: float) -> float:
        return (TEXT + 1) * 0.66 * len(f"gap {signed(value)}")

    def gap_room(value: float) -> float:
        return _ROOM if narrow else gap_text(value) + 9 + _ROOM

    def mean_room(row: pd.Series) -> float:
        between = "\n" if narrow else " "
        said = "\n".join(
            f"{arm}{between}{tables.number(row[arm.lower()])}" for arm in ("Comparators", "Pilots")
        )
        room = TEXT * 0.6 * max(map(len, said.split("\n"))) + 7
        return (max(room, gap_text(row["gap"]) + 7) if narrow else room) + _ROOM

    first, second = data.iloc[0], data.iloc[1]
    before = gap_room(first["gap"])
    start = before + mean_room(first)
    after = start + gap_room(second["gap"])
    return _Places(before, start, after, after + mean_room(second))


def _when(estimate: Estimate, phase: str, narrow: bool) -> str:
    """Label a window with its periods, where all pilots share it."""
    sample = estimate.sample
    start = sample.starts[0]
    if len(sample.starts) > 1:
        return f"{phase} each\npilot's start" if narrow else f"{phase} each pilot's start"
    window = sample.periods[:start] if phase == "before" else sample.periods[start:]
    span = window[0] if len(window) == 1 else f"{window[0]} to {window[-1]}"
    return f"{phase} the start\n({span})"


def _title(estimate: Estimate, found: dict[str, float]) -> str:
    """Say how large the gap was before and after."""
    metric, before, after = estimate.metric, found["gap_before"], found["gap_after"]
    later = difference(metric, after)
    if metric.kind in ("rate", "count"):
        title = f"Pilots had {difference(metric, before)} {subject(metric)} before the start"
        return f"{title}, and {later} after"
    return (
        f"Pilots were {difference(metric, before)} on {inside(metric.label)} before the start, "
        f"and {later} after ({metric.unit or 'units of the metric'})"
    )
