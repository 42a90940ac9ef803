"""The estimate under each choice of comparators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from didkit.errors import DidkitError
from didkit.plot.style import (
    GREY,
    INK,
    PILOT,
    SMALL,
    TEXT,
    TITLE,
    canvas,
    finish,
    name_length,
    row_size,
    rows,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding

__all__ = ["choices_by_metric", "other_comparators"]


def other_comparators(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimate under each choice of comparators, the one as designed on top.

    Parameters
    ----------
    finding : Finding
        Of `OtherComparators`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a choice, from the top, with the columns of the finding's table, ``y``
        and ``drawn`` (False where there is no estimate: its place says so).

    Raises
    ------
    DidkitError
        If not given a finding of `OtherComparators`.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> check = dk.OtherComparators({"five others": dk.Pool(design.comparators[:5])})
    >>> finding = dk.DiD().fit(design, "cpp").infer(None).check(check)
    >>> other_comparators(finding).data["choice"].tolist()
    ['as designed', 'five others']
    """
    data = _data(finding, "other_comparators(finding)")
    ax = canvas(ax, height=1.9 + 0.36 * len(data))
    metric = finding.estimate.metric
    _draw(ax, data, most=name_length(ax) + 4)
    _say(ax, data)
    got = data[data["drawn"]]
    least, most = float(got["estimate"].min()), float(got["estimate"].max())
    ax.set_xlabel(f"Change, {metric.unit or 'units of the metric'}")
    others = int(got.shape[0]) - 1
    finish(
        ax,
        f"With {others} other choice{'s' * (others != 1)} of comparators, the change in "
        f"{inside(metric.label)} runs from {signed(least)} to {signed(most)}"
        + ("; its sign changes" if least < 0 < most else ""),
        data,
        foot=_foot(finding, data),
    )
    _mark_rows(ax, data)
    return ax


def choices_by_metric(findings: Sequence[Finding], *, columns: int = 2) -> tuple[Axes, ...]:
    """Draw the same choices for several metrics, a panel each, the names written once a row.

    Parameters
    ----------
    findings : sequence of Finding
        Of `OtherComparators`, all with the same choices in the same order.
    columns : int, default 2
        Panels beside one another; 1 for a phone.

    Returns
    -------
    tuple of Axes
        One a finding, all of one figure (``axes[0].figure``), each with its frame as ``ax.data``.

    Raises
    ------
    DidkitError
        If there is none, one is of another check, or the choices differ.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> check = dk.OtherComparators({"five others": dk.Pool(design.comparators[:5])})
    >>> of = [dk.DiD().fit(design, m).infer(None).check(check) for m in ("cin", "cpp")]
    >>> len(choices_by_metric(of))
    2
    """
    where = "choices_by_metric(findings)"
    data = [_data(finding, where) for finding in findings]
    lists = {tuple(one["choice"]) for one in data}
    if len(lists) != 1 or columns < 1:
        raise DidkitError(
            needed="findings with the same choices, and columns= of at least 1",
            found=f"{len(lists)} lists of choices, columns={columns!r}",
            where=where,
            todo="run one OtherComparators on each estimate",
        )
    across = min(columns, len(data))
    down = -(-len(data) // across)
    height = down * (1.2 + 0.31 * len(data[0]))
    figure = Figure(
        figsize=(2.4 + 3.5 * across, height + 0.5), layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    made = []
    for place, (finding, one) in enumerate(zip(findings, data, strict=True)):
        ax = figure.add_subplot(down, across, place + 1)
        _draw(ax, one, most=34)
        metric = finding.estimate.metric
        got = one[one["drawn"]]
        least, most = float(got["estimate"].min()), float(got["estimate"].max())
        ax.set_xlabel(f"Change, {metric.unit or 'units of the metric'}")
        finish(ax, "", one)
        says = f"{metric.label}\n{signed(least)} to {signed(most)}"
        ax.set_title(says, loc="left", fontsize=TEXT, color=INK)
        _mark_rows(ax, one)
        if place % across:
            ax.tick_params(axis="y", labelleft=False)
        ax.xaxis.label.set(fontsize=SMALL, color=GREY)
        _say(ax, one)
        made.append(ax)
    turned = sum(bool(one["estimate"].min() < 0 < one["estimate"].max()) for one in data)
    count = max(int(one["drawn"].sum()) for one in data) - 1
    title = (
        f"{count} other choices of comparators: the sign changes for {turned} of {len(data)} "
        f"measures"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=TITLE, weight="bold", color=INK)
    return tuple(made)


def _data(finding: Finding, where: str) -> pd.DataFrame:
    """Return the finding's table with places from the top down."""
    given: object = finding
    table = finding.table if isinstance(given, Finding) else pd.DataFrame()
    if not {"choice", "estimate", "conf_low", "share_before"} <= set(table.columns):
        raise DidkitError(
            needed="a Finding of OtherComparators",
            found=type(finding.check).__name__
            if isinstance(given, Finding)
            else type(given).__name__,
            where=where,
            todo="write estimate.check(OtherComparators({…}))",
        )
    data = table.reset_index(drop=True).copy()
    data["y"] = np.arange(len(data))[::-1].astype(float)
    data["drawn"] = np.isfinite(data["estimate"])
    return data


def _draw(ax: Axes, data: pd.DataFrame, *, most: int) -> None:
    """Draw a dot and an interval a row, the first in the pilots' colour, and its value down."""
    shown = data[data["drawn"]]
    ends = shown[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float).ravel()
    ends = np.append(ends[np.isfinite(ends)], 0.0)
    pad = 0.07 * (float(ends.max() - ends.min()) or 1.0)
    limits = float(ends.min()) - pad, float(ends.max()) + pad
    ax.set_xlim(*limits)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))  # labels have room
    ax.set_ylim(-0.6, len(data) - 0.4)
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    first = float(data["estimate"].iloc[0])
    ax.axvline(first, color=PILOT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    for place, row in enumerate(rows(data)):
        colour = PILOT if place == 0 else INK
        if not row.drawn:
            ax.annotate(
                "no estimate", (0.0, row.y), xycoords=("axes fraction", "data"), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=SMALL, color=GREY,
            )  # fmt: skip
            continue
        interval = [row.conf_low, row.conf_high]
        if not np.isnan(interval).any():
            ax.plot(np.clip(interval, *limits), [row.y, row.y], color=colour, linewidth=2, zorder=2)
            for end, edge, mark in zip(interval, limits, "<>", strict=True):
                if np.isinf(end):
                    ax.plot(edge, row.y, mark, color=colour, markersize=7, clip_on=False, zorder=3)
        ax.plot(row.estimate, row.y, "o", color=colour, markersize=7, zorder=3)
    ax.set_yticks(data["y"], [short(name, most) for name in data["choice"]])


def _say(ax: Axes, data: pd.DataFrame) -> None:
    """Write the estimates down the right-hand side."""
    for place, row in enumerate(rows(data[data["drawn"]])):
        ax.annotate(
            signed(row.estimate),
            (1.0, row.y),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=row_size(ax, len(data)),
            color=PILOT if place == 0 else INK,
            annotation_clip=False,
        )


def _mark_rows(ax: Axes, data: pd.DataFrame) -> None:
    """Name the rows: the original in the pilots' colour, one without an estimate in grey."""
    ax.tick_params(axis="y", length=0, labelsize=row_size(ax, len(data)))
    for label, row in zip(ax.get_yticklabels(), rows(data), strict=True):
        first = row.y == len(data) - 1
        label.set_color(PILOT if first else INK if row.drawn else GREY)
        label.set_fontweight("bold" if first else "normal")


def _foot(finding: Finding, data: pd.DataFrame) -> str:
    sure = finding.estimate.uncertainty
    drawn = data[data["drawn"]]
    lines = bool(np.isfinite(drawn["conf_low"]).any())
    level = 0.95 if sure is None else sure.level
    methods = len(set(drawn["method"]) - {""})
    parts = [f"Lines: {level * 100:g}% intervals" + (
        ", by the method that suits each." if methods > 1 else "."
    )] if lines else []  # fmt: skip
    refused = int((~data["drawn"]).sum())
    if refused:
        parts.append(f"{refused} could not be fitted; the finding's table says why.")
    return " ".join([*parts, "The choices share their pilots: the range is no interval."])
