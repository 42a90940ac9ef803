"""Removals: the estimate without the worst pairs, and as units leave one after another."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    is_narrow,
    name_length,
    row_size,
    rows,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding

__all__ = ["leave_two_out", "smallest_removal"]

_EACH_END = 8
_MOST_STEPS = 24


def leave_two_out(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimate without the pairs that move it furthest, smallest at the bottom.

    Parameters
    ----------
    finding : Finding
        Of `LeaveTwoOut`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a pair, from the smallest estimate to the largest: the table's columns
        and ``shown``: the 8 at each end.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cla").infer(None).check(dk.LeaveTwoOut())
    >>> int(leave_two_out(finding).data["shown"].sum())
    16
    """
    estimate = finding.estimate
    table = finding.table[finding.table["estimate"].notna()]
    data = table.sort_values("estimate", kind="stable").reset_index(drop=True)
    place = np.arange(len(data))
    data["shown"] = (place < _EACH_END) | (place >= len(data) - _EACH_END)
    shown = data[data["shown"]].reset_index(drop=True)
    ax = canvas(ax, height=max(2.8, 1.9 + 0.26 * len(shown)))
    full = finding.facts["full"]
    height = np.arange(len(shown), dtype=float)
    hidden = len(data) - len(shown)
    if hidden:
        height[_EACH_END:] += 1.0
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    ax.axvline(full, color=PILOT, linewidth=1.4, zorder=1)
    ax.hlines(height, full, shown["estimate"], color=FAINT, linewidth=2, zorder=2)
    ax.plot(shown["estimate"], height, "o", color=PILOT, markersize=7, zorder=3)
    # two names on a line
    most = max(8, name_length(ax) // 2 + (0 if is_narrow(ax) else 4))
    labels = [f"{short(row.name, most)} & {short(row.name_2, most)}" for row in rows(shown)]
    ax.set_yticks(height, labels)
    ax.set_ylim(-0.7, height[-1] + 0.9)
    if hidden:
        ax.annotate(
            f"{hidden:,} pairs between",
            (0.01, _EACH_END),
            xycoords=("axes fraction", "data"),
            ha="left",
            va="center",
            fontsize=SMALL,
            color=GREY,
            bbox=HALO,
            zorder=4,
        )
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
    units = str(getattr(finding.check, "units", "all"))
    what = {"pilots": "pilots", "comparators": "comparators"}.get(units, "authorities")
    low, high = finding.facts["lowest"], finding.facts["highest"]
    ax.set_xlabel(f"Change, {finding.unit}")
    finish(
        ax,
        f"Without two {what} at a time, the change in {inside(estimate.metric.label)} runs from "
        f"{signed(low)} to {signed(high)}",
        data,
        foot="Each row: the estimate without the two named. The range is no interval.",
    )
    ax.tick_params(axis="y", labelsize=row_size(ax, len(shown) + (1 if hidden else 0)))
    return ax


def smallest_removal(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimate as units or cells leave, one after another, until the conclusion turns.

    Parameters
    ----------
    finding : Finding
        Of `SmallestRemoval`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a step, from nothing removed on (at the top): the table's columns,
        ``label`` and ``shown``. With more than 24 steps the 12 first and the 12 last are shown.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cpp").infer(None).check(dk.SmallestRemoval())
    >>> smallest_removal(finding).data["label"].iloc[0]
    'nobody removed'
    """
    estimate, size = finding.estimate, finding.facts["size"]
    data = finding.table.reset_index(drop=True)
    ax = canvas(ax, height=max(2.8, 1.9 + 0.3 * min(len(data), _MOST_STEPS + 1)))
    most = name_length(ax) - 2
    data["label"] = [
        "nobody removed" if row.removed == 0 else _called(row.name, row.period, most)
        for row in rows(data)
    ]
    place = np.arange(len(data))
    half = _MOST_STEPS // 2
    many = len(data) > _MOST_STEPS + 1
    data["shown"] = (place <= half) | (place >= len(data) - half) if many else True
    shown = data[data["shown"]].reset_index(drop=True)
    height = -np.arange(len(shown), dtype=float)
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    ax.plot(shown["estimate"], height, color=FAINT, linewidth=2, zorder=1.5)
    first = shown["estimate"].iloc[0]
    zero = str(getattr(finding.check, "conclusion", "sign")) == "zero"
    for y, row in zip(height, rows(shown), strict=True):
        turned = row.removed == size
        colour = INK if row.removed == 0 else PILOT if row.arm == "pilot" else COMPARATOR
        if np.isfinite(row.conf_low) and np.isfinite(row.conf_high):
            ax.plot([row.conf_low, row.conf_high], [y, y], color=colour, linewidth=2, zorder=2)
        ax.plot(
            row.estimate, y, "o", color=colour, markersize=8 if turned else 6.5, zorder=3,
            markerfacecolor="white" if row.removed == 0 else colour,
        )  # fmt: skip
        if y in (0, height[-1]):
            ax.annotate(
                signed(row.estimate),
                (row.estimate, y),
                xytext=(0, 7 if y == 0 else -7),
                textcoords="offset points",
                ha="center",
                va="bottom" if y == 0 else "top",
                fontsize=SMALL,
                color=colour,
                bbox=HALO,
                zorder=4,
            )
    ax.set_yticks(height, [t if i == 0 else f"− {t}" for i, t in enumerate(shown["label"])])
    ax.set_ylim(height[-1] - 0.95, 0.95)
    ax.margins(x=0.1)
    ax.set_xlabel(f"Change, {finding.unit}")
    arms = set(shown["arm"]) - {""}
    said = "Hollow: nobody removed."
    if arms == {"pilot", "comparator"}:
        said += " Orange: pilots; blue: comparators."
    if zero:
        said += f" Lines: {estimate.attached.level:.0%} intervals."
    if many:
        said += f" {len(data) - len(shown)} steps between are not shown."
    finish(ax, _title(finding, float(first)), data, foot=said)
    ax.tick_params(axis="y", labelsize=row_size(ax, len(shown)))
    return ax


def _called(name: str, period: str, most: int) -> str:
    """Write a unit or cell, a long name cut, its period never."""
    return f"{short(name, most - len(period) - 2)}, {period}" if period else short(name, most)


def _title(finding: Finding, full: float) -> str:
    """Say how many it takes."""
    size, n, left = (finding.facts[key] for key in ("size", "of", "left"))
    of, conclusion = (str(getattr(finding.check, name, "")) for name in ("of", "conclusion"))
    one, many = {
        "units": ("authority", "authorities"),
        "pilots": ("pilot", "pilots"),
        "comparators": ("comparator", "comparators"),
    }.get(of, ("cell", "cells"))
    label = inside(finding.estimate.metric.label)
    if not np.isfinite(size):
        return f"No few {many} of {n:,.0f} were found that decide the change in {label}"
    who = f"{size:,.0f} of {n:,.0f} {one if n == 1 else many}"
    if conclusion == "zero":
        return f"Without {who}, zero is on the other side of the interval of the change in {label}"
    return f"Without {who}, the change in {label} turns from {signed(full)} to {signed(left)}"
