"""Dots: the estimate without each unit in turn, and under earlier starts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check.leave_one_out import what_is_left_out
from didkit.plot.style import (
    FAINT,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    name_length,
    period_ticks,
    points,
    row_size,
    rows,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding

__all__ = ["leave_one_out", "placebo_start"]

_MOST_ROWS = 30


def leave_one_out(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimate without each unit, group or period in turn, smallest at the bottom.

    Periods stay in their order, the first on top; where refits have intervals these are drawn.

    Parameters
    ----------
    finding : Finding
        Of `LeaveOneOut`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a unit, from the smallest estimate to the largest (periods: from the
        last to the first), ``left_out, name, arm, estimate, shift, shown``, and ``conf_low,
        conf_high`` where there are intervals. With more than 30 units the 15 smallest and the 15
        largest are shown.

    Examples
    --------
    >>> from didkit.check import LeaveOneOut
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> finding = DiD().fit(design, "cla").infer(None).check(LeaveOneOut())
    >>> leave_one_out(finding).data["estimate"].is_monotonic_increasing
    True
    """
    estimate = finding.estimate
    table = finding.table[finding.table["term"] == estimate.main_term]
    units, what = str(getattr(finding.check, "units", "all")), what_is_left_out(finding.check)
    data = table[table["estimate"].notna()]
    data = data[::-1] if units == "periods" else data.sort_values("estimate", kind="stable")
    ends_of = [name for name in ("conf_low", "conf_high") if name in data]
    data = data[["left_out", "name", "arm", "estimate", "shift", *ends_of]].reset_index(drop=True)
    place = np.arange(len(data))
    half = _MOST_ROWS // 2
    many = len(data) > _MOST_ROWS
    data["shown"] = (place < half) | (place >= len(data) - half) if many else True
    shown = data[data["shown"]].reset_index(drop=True)
    ax = canvas(ax, height=max(2.8, 1.6 + 0.26 * len(shown)))
    full = finding.facts["full"]
    height = np.arange(len(shown))
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    ax.axvline(full, color=PILOT, linewidth=1.4, zorder=1)
    ax.hlines(height, full, shown["estimate"], color=FAINT, linewidth=2, zorder=2)
    ax.plot(shown["estimate"], height, "o", color=PILOT, markersize=7, zorder=3)
    if ends_of:
        both = shown[ends_of].to_numpy(dtype=float)
        bounded = np.isfinite(both).all(axis=1)
        ends_at = both[bounded].T
        ax.hlines(height[bounded], *ends_at, color=PILOT, linewidth=1.2, zorder=2.5)
    ax.set_yticks(height, [f"without {short(name, name_length(ax))}" for name in shown["name"]])
    ax.set_ylim(-0.7, len(shown) - 0.1)
    ax.annotate(
        f"all: {signed(full)}",
        (full, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, -1),
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize=SMALL,
        color=PILOT,
        bbox=HALO,
    )
    low, high = finding.facts["lowest"], finding.facts["highest"]
    ends = f"{signed(low)} to {signed(high)}"
    sign = "; its sign hangs on one of them" if low < 0 < high else ""
    ax.set_xlabel(f"Change, {estimate.metric.unit or 'units of the metric'}")
    finish(
        ax,
        f"Without one {what} at a time, the change in {inside(estimate.metric.label)} runs "
        f"from {ends}{sign}",
        data,
        foot=" ".join(
            [
                *(("Thin lines: intervals of the refits.",) if ends_of else ()),
                *((f"{len(data) - len(shown)} units between are not shown.",) if many else ()),
            ]
        ),
    )
    ax.tick_params(axis="y", labelsize=row_size(ax, len(shown)))
    return ax


def placebo_start(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimates under earlier starts, beside the actual one.

    Parameters
    ----------
    finding : Finding
        Of `PlaceboStart`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a start, ``start, kind`` (placebo or actual), ``estimate, conf_low,
        conf_high``, in the metric's unit.

    Examples
    --------
    >>> from didkit.check import PlaceboStart
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> finding = DiD().fit(design, "cla").infer(None).check(PlaceboStart())
    >>> placebo_start(finding).data["kind"].tolist()
    ['placebo', 'placebo', 'placebo', 'placebo', 'actual']
    """
    estimate = finding.estimate
    own = estimate.tidy()
    own = own[own["term"] == estimate.main_term]
    numbers = ["estimate", "conf_low", "conf_high"]
    starts = sorted(set(estimate.design.starts.values()), key=estimate.design.periods.index)
    real = starts[0] if len(starts) == 1 else f"{starts[0]} on"
    data = pd.concat(
        [
            finding.table.assign(kind="placebo")[["start", "kind", *numbers]],
            own.assign(start=real, kind="actual")[["start", "kind", *numbers]],
        ],
        ignore_index=True,
    )
    ax = canvas(ax, height=3.9)
    narrow = points(ax)[0] / len(data) < 6.5 * TEXT
    ax.axhline(0, color=INK, linewidth=0.9, zorder=1)
    for x, row in enumerate(rows(data)):
        colour = PILOT if row.kind == "actual" else GREY
        if np.isfinite(row.conf_low) and np.isfinite(row.conf_high):
            ax.plot([x, x], [row.conf_low, row.conf_high], color=colour, linewidth=2, zorder=2)
        ax.plot(x, row.estimate, "o", color=colour, markersize=8, zorder=3)
        top = row.conf_high if np.isfinite(row.conf_high) else row.estimate
        ax.annotate(
            signed(row.estimate),
            (x, top if narrow else row.estimate),
            xytext=(0, 7) if narrow else (8, 0),
            textcoords="offset points",
            ha="center" if narrow else "left",
            va="bottom" if narrow else "center",
            fontsize=SMALL if narrow else TEXT,
            color=colour,
            bbox=HALO,
        )
    ax.margins(y=0.18)
    ax.set_xlim(-0.5, len(data) - 0.35)
    labels = [
        start if narrow else f"{start}\n{'actual' if kind == 'actual' else 'earlier'}"
        for start, kind in zip(data["start"], data["kind"], strict=True)
    ]
    period_ticks(ax, list(range(len(data))), labels)
    ax.set_xlabel("Start")
    largest, actual = finding.facts["largest"], finding.facts["actual"]
    return finish(
        ax,
        f"With an earlier start, the largest change in {inside(estimate.metric.label)} is "
        f"{signed(largest)}; the actual one is {signed(actual)}",
        data,
        foot="Grey: earlier starts, without a programme." if narrow else "",
        ylabel=f"Change, {estimate.metric.unit or 'units of the metric'}",
    )
