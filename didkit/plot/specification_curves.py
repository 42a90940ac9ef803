"""The specification curve: estimates in order, and below each the choices that it rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from didkit.check import SpecificationCurve
from didkit.check.choices_crossed import COLUMNS, OWN
from didkit.check.curve_words import chance, side
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
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
    points,
    row_size,
)
from didkit.plot.words import short, signed
from didkit.results import Finding

__all__ = ["specification_curve"]

_HEADINGS = {
    "pilots": "Pilots",
    "comparators": "Comparators",
    "window": "Window",
    "metric": "Metric",
    "form": "Form",
    "estimator": "Estimator",
    "cells": "Cells",
    "inference": "Inference",
}
_UPPER = 2.5  #: inches of the estimates
_ROW = 0.185  #: inches of a choice
_GAP = 0.9  #: rows between the choices and the estimates
_MANY = 150  #: specifications from which marks are bars, and not part of the vector graphic


def specification_curve(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimates from the lowest to the highest, and the choices of each below it.

    Parameters
    ----------
    finding : Finding
        Of `SpecificationCurve`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its choices need.

    Returns
    -------
    Axes
        ``ax.data``: one row a specification, from the lowest estimate to the highest, each number
        once: ``x, own``, then the columns of the finding's table. A choice has a mark wherever it
        gives the number, also where ``same_as`` says that another specification gives it too.

    Raises
    ------
    DidkitError
        If not given a finding of `SpecificationCurve`.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> curve = dk.SpecificationCurve(windows=[(2015, 2020)], cells=["complete"], draws=99)
    >>> finding = dk.DiD().fit(design, "cla").infer(None).check(curve)
    >>> specification_curve(finding).data["estimate"].is_monotonic_increasing
    True
    """
    if not isinstance(finding.check, SpecificationCurve):
        raise DidkitError(
            needed="a finding of SpecificationCurve",
            found=f"one of {type(finding.check).__name__}",
            where="specification_curve(finding)",
            todo="draw it with finding.plot()",
        )
    table = finding.table
    data = _data(table)
    labels, marks = _dashboard(table, data)
    n_rows = len(labels)
    ax = canvas(ax, height=1.35 + _UPPER + _ROW * (n_rows + _GAP))
    most = name_length(ax) - 1
    ax.set_yticks(
        range(n_rows), [name if head else short(name, most) for name, head in labels][::-1]
    )
    many = len(data) >= _MANY
    title = f"{side(finding.facts)}, from {signed(finding.facts['lowest'])} to "
    title += signed(finding.facts["highest"])
    if said := chance(finding.facts):
        title += f"; {said}"
    ax.set_xlabel(_foot(finding, data))
    finish(ax, title, data, foot=" ")
    share = _share_of_rows(ax, n_rows)
    ax.set_ylim(-0.7, -0.7 + (n_rows + _GAP) / share)
    ax.set_xlim(*_limits(len(data)))
    ax.set_xticks([])
    own = int(np.flatnonzero(data["own"])[0])
    _draw_marks(ax, marks, own, share, many=many)
    wide, tall = points(ax)
    upper = ax.inset_axes((0.0, share, 1.0, 1.0 - share - 1.7 * SMALL / tall))
    _draw_curve(upper, data, finding, own, many=many)
    _label_curve(upper, data, finding, own, wide)
    _letters(ax, labels, points(ax)[1] * share)
    for spine in ("left", "bottom"):
        ax.spines[spine].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _data(table: pd.DataFrame) -> pd.DataFrame:
    """Return each number once, in order."""
    kept = table[(table["refused"] == "") & (table["same_as"] == 0)]
    kept = kept.sort_values(["estimate", "id"], ignore_index=True)
    kept.insert(0, "own", kept["id"] == 1)
    kept.insert(0, "x", np.arange(len(kept)))
    return kept


def _dashboard(
    table: pd.DataFrame, data: pd.DataFrame
) -> tuple[list[tuple[str, bool]], list[NDArray[np.intp]]]:
    """Return the rows from the top (name, whether a heading), and where each has marks."""
    got = table[table["refused"] == ""]
    place = dict(zip(data["id"].tolist(), data["x"].tolist(), strict=True))
    number = got["same_as"].where(got["same_as"] > 0, got["id"]).map(place).to_numpy(dtype=np.intp)
    labels: list[tuple[str, bool]] = []
    marks: list[NDArray[np.intp]] = []
    for column in COLUMNS.values():
        if column not in table:
            continue
        labels.append((_HEADINGS[column], True))
        marks.append(np.zeros(0, dtype=np.intp))
        given = got[column].to_numpy()
        for name in dict.fromkeys([OWN, *table[column]]):
            labels.append((str(name), False))
            marks.append(np.unique(number[given == name]))
    return labels, marks


def _foot(finding: Finding, data: pd.DataFrame) -> str:
    """Say what is drawn, what is not, and what a range is not."""
    n, refused = len(data), int(finding.facts["refused"])
    said = f"{n:,} specification{'s' * (n != 1)}, from the lowest estimate to the highest"
    same = int((finding.table["same_as"] > 0).sum())
    more = []
    if same:
        more.append(
            f"{same} more {'has' if same == 1 else 'have'} the number of another by construction"
        )
    if refused:
        more.append(f"{refused} could not be fitted")
    if data["conf_low"].notna().any():
        more.append(f"lines: {100 * _level(finding):g}% intervals")
    return f"{'; '.join([said, *more])}."


def _level(finding: Finding) -> float:
    sure = finding.estimate.uncertainty
    return 0.95 if sure is None else sure.level


def _share_of_rows(ax: Axes, n_rows: int) -> float:
    """Share of the height that the choices take; the estimates keep two fifths."""
    tall = points(ax)[1] / 72
    return float(np.clip(_ROW * (n_rows + _GAP) / tall, 0.2, 0.62))


def _limits(n: int) -> tuple[float, float]:
    pad = 0.5 + 0.012 * n
    return -pad, n - 1 + pad


def _draw_marks(
    ax: Axes, marks: list[NDArray[np.intp]], own: int, share: float, *, many: bool
) -> None:
    """Draw a mark for each choice of each specification; the estimate's own in colour."""
    rows = len(marks)
    wide, tall = points(ax)
    row = tall * share / (rows + _GAP)
    each = wide / max(sum(_limits(max((int(m.max()) for m in marks if len(m)), default=0) + 1)), 1)
    size = float(np.clip(0.55 * min(row, each), 1.5, 6.0))
    for i, x in enumerate(marks):
        y = rows - 1 - i
        if len(x) == 0:
            continue
        ax.axhline(y, color=FAINT, linewidth=0.5, zorder=0.5)
        if many:
            thin = float(np.clip(0.9 * each, 0.25, 2.0))
            ax.vlines(
                x, y - 0.32, y + 0.32, color=COMPARATOR, linewidth=thin, zorder=1, rasterized=True
            )
        else:
            ax.plot(x, np.full(len(x), y), "o", color=COMPARATOR, markersize=size, zorder=2)
        if own in x:
            ax.plot(own, y, "o", color=PILOT, markersize=max(size, 4.0), zorder=3)


def _draw_curve(upper: Axes, data: pd.DataFrame, finding: Finding, own: int, *, many: bool) -> None:
    """Draw the estimates with their intervals, zero, the median, and the estimate as it is."""
    x, value = data["x"].to_numpy(), data["estimate"].to_numpy(dtype=float)
    low, high = (data[name].to_numpy(dtype=float) for name in ("conf_low", "conf_high"))
    ends = np.concatenate([value, low[np.isfinite(low)], high[np.isfinite(high)], [0.0]])
    bottom, top = float(ends.min()), float(ends.max())
    pad = 0.09 * ((top - bottom) or 1.0)
    upper.set_ylim(bottom - pad, top + 1.6 * pad)
    upper.set_xlim(*_limits(len(data)))
    there = ~np.isnan(low) & ~np.isnan(high)
    inside = [np.clip(one[there], bottom - pad, top + 1.6 * pad) for one in (low, high)]
    upper.vlines(
        x[there], *inside, color=FAINT, linewidth=0.6 if many else 2, zorder=1, rasterized=many
    )
    upper.axhline(0, color=INK, linewidth=0.9, zorder=1.5)
    median = finding.facts["median"]
    upper.axhline(median, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1.6)
    upper.plot(
        x, value, "o", color=COMPARATOR, markersize=2.2 if many else 5, zorder=3, rasterized=many
    )
    mine = float(value[own])
    if there[own]:
        upper.vlines(
            own, *np.clip([low[own], high[own]], *upper.get_ylim()), color=PILOT, linewidth=1.6,
            zorder=3.5,
        )  # fmt: skip
    upper.plot(own, mine, "o", color=PILOT, markersize=7, zorder=4)
    for side_ in ("top", "right", "bottom"):
        upper.spines[side_].set_visible(False)
    upper.spines["left"].set_color(GREY)
    upper.set_xticks([])
    upper.yaxis.set_major_locator(MaxNLocator(5))
    upper.tick_params(labelsize=SMALL, colors=INK, color=GREY)
    upper.set_title(
        f"Change, {data['unit'].iloc[0]}", loc="left", fontsize=SMALL, color=GREY, pad=3
    )


def _label_curve(upper: Axes, data: pd.DataFrame, finding: Finding, own: int, wide: float) -> None:
    """Write the estimate as it is, and the median, where no other estimate can be.

    Estimates rise: to the right of one there is room below it, to its left above.
    """
    low, high = _limits(len(data))
    value, median = float(data["estimate"].iloc[own]), finding.facts["median"]
    right = own < 0.5 * len(data)
    text = f"{OWN}: {signed(value)}"
    room = 0.58 * TEXT * len(text)
    at = wide * (own - low) / (high - low)
    edge = min(at + 8, wide - room) if right else max(at - 8 - room, 0.0)
    upper.annotate(
        text,
        (edge / wide, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, -8 if right else 8),
        textcoords="offset points",
        ha="left",
        va="top" if right else "bottom",
        fontsize=TEXT,
        color=PILOT,
        bbox=HALO,
        zorder=5,
    )
    upper.annotate(
        f"median {signed(median)}",
        (0.0 if right else 1.0, median),
        xycoords=("axes fraction", "data"),
        xytext=(4 if right else -2, 4 if right else -4),
        textcoords="offset points",
        ha="left" if right else "right",
        va="bottom" if right else "top",
        fontsize=SMALL,
        color=GREY,
        bbox=HALO,
        zorder=4.5,
    )


def _letters(ax: Axes, labels: list[tuple[str, bool]], tall: float) -> None:
    """Set the letters of the rows, headings in bold."""
    size = min(row_size(ax, len(labels)), 0.86 * tall / (len(labels) + _GAP))
    for (_, head), text in zip(labels[::-1], ax.get_yticklabels(), strict=True):
        text.set(fontsize=max(size, 4.5), color=INK if head else GREY)
        text.set_fontweight("bold" if head else "normal")
