"""A ladder: what each further thing that is not known does to an estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from didkit.errors import DidkitError
from didkit.plot.style import (
    GREY,
    INK,
    PILOT,
    SMALL,
    TAIL,
    canvas,
    finish,
    is_narrow,
    row_size,
    rows,
)
from didkit.plot.words import inside, signed
from didkit.results import Finding

__all__ = ["bounds"]

_WORDS = {
    "as published": "as published",
    "hidden cells within their bounds": "{n:,} hidden cell{s}\nin {its} bounds",
    "hidden cells, with totals": "{n:,} hidden cell{s},\nwith totals",
    "rounded too": "{n:,} rounded\ncell{s} too",
    "missing too": "{n:,} missing\ncell{s} too",
}


def bounds(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the rungs from the top: bounds thick, the interval thin around them.

    Parameters
    ----------
    finding : Finding
        Of `Bounds`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rungs need.

    Returns
    -------
    Axes
        ``ax.data``: one row a rung for the main term, from the top, with the columns of the
        finding's table, ``label`` and ``y``.

    Raises
    ------
    DidkitError
        If not given a finding of `Bounds`.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cpp").infer(None).check(dk.Bounds())
    >>> bounds(finding).data["rung"].tolist()
    ['as published', 'hidden cells within their bounds', 'rounded too']
    """
    data = _data(finding)
    ax = canvas(ax, height=1.9 + 0.55 * len(data))
    metric = finding.estimate.metric
    _draw(ax, data)
    ax.set_yticks(data["y"], data["label"].tolist())
    ax.set_xlabel(f"Change, {metric.unit or 'units of the metric'}")
    low, high = finding.facts["lowest"], finding.facts["highest"]
    told = signed(finding.facts["estimate"])
    at_least = "at least " if (data["kind"] == "search").any() else ""
    label = inside(metric.label)
    title = (
        f"No hidden or rounded cell is known behind the change in {label} of {told}"
        if len(data) == 1
        else f"Cells that are not known exactly leave the change in {label} {at_least}"
        f"between {signed(low)} and {signed(high)}"
    )
    finish(ax, title, data, foot=_foot(finding, data))
    size = row_size(ax, 2 * len(data))
    ax.tick_params(axis="y", length=0, labelsize=size)
    for name, row in zip(ax.get_yticklabels(), rows(data), strict=True):
        name.set_color(PILOT if row.kind != "published" else INK)
    _say(ax, data, size)
    return ax


def _data(finding: Finding) -> pd.DataFrame:
    """Return the rungs of the main term with their places and words."""
    given: object = finding
    table = finding.table if isinstance(given, Finding) else pd.DataFrame()
    if not {"rung", "term", "low", "high", "p_upper_bound"} <= set(table.columns):
        raise DidkitError(
            needed="a Finding of Bounds",
            found=type(finding.check).__name__
            if isinstance(given, Finding)
            else type(given).__name__,
            where="bounds(finding)",
            todo="write estimate.check(Bounds())",
        )
    data = table[table["term"] == finding.estimate.main_term].reset_index(drop=True).copy()
    data["label"] = [
        _WORDS[row.rung].format(
            n=int(row.n_cells),
            s="" if row.n_cells == 1 else "s",
            its="its" if row.n_cells == 1 else "their",
        )
        for row in rows(data)
    ]
    data["y"] = np.arange(len(data))[::-1].astype(float)
    return data


def _draw(ax: Axes, data: pd.DataFrame) -> None:
    """Draw zero, the estimate as published, and a bar and an interval a rung."""
    ends = data[["low", "high", "conf_low", "conf_high"]].to_numpy(dtype=float).ravel()
    ends = np.append(ends[np.isfinite(ends)], 0.0)
    pad = 0.07 * (float(ends.max() - ends.min()) or 1.0)
    limits = float(ends.min()) - pad, float(ends.max()) + pad
    ax.set_xlim(*limits)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    ax.set_ylim(-0.6, len(data) - 0.4)
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    first = float(data["low"].iloc[0])
    ax.axvline(first, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    for row in rows(data):
        colour = INK if row.kind == "published" else PILOT
        interval = [row.conf_low, row.conf_high]
        if not np.isnan(interval).any():
            ax.plot(
                np.clip(interval, *limits), [row.y, row.y], color=colour, linewidth=1.3, zorder=2
            )
            for end, edge, mark in zip(interval, limits, "<>", strict=True):
                if np.isinf(end):
                    ax.plot(edge, row.y, mark, color=colour, markersize=7, clip_on=False, zorder=3)
        if row.kind == "published":
            ax.plot(row.low, row.y, "o", color=colour, markersize=7, zorder=4)
        elif np.isfinite(row.low):
            fill = TAIL if row.kind == "search" else colour
            ax.plot(
                [row.low, row.high], [row.y, row.y], color=fill, linewidth=9,
                solid_capstyle="butt", zorder=3,
            )  # fmt: skip
            # bounds narrower than the picture can show still have a place
            ax.plot([row.low, row.high], [row.y, row.y], "|", color=fill, markersize=9, zorder=3)


def _say(ax: Axes, data: pd.DataFrame, size: float) -> None:
    """Write the bounds down the right-hand side."""
    narrow = is_narrow(ax)
    for row in rows(data):
        text = signed(row.low)
        if row.kind != "published":
            text += f"{chr(10) if narrow else ' '}to {signed(row.high)}"
        ax.annotate(
            text,
            (1.0, row.y),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=min(size, SMALL) if narrow else size,
            color=INK if row.kind == "published" else PILOT,
            annotation_clip=False,
        )


def _foot(finding: Finding, data: pd.DataFrame) -> str:
    parts = []
    if (data["kind"] == "sharp").any():
        parts.append("Thick: what the cells can make of the estimate.")
    if (data["kind"] == "search").any():
        parts.append("Thick: the least and the most that a search found.")
    if np.isfinite(data["conf_low"]).any():
        own, sure = getattr(finding.check, "level", None), finding.estimate.uncertainty
        level = float(own or (0.95 if sure is None else sure.level))
        parts.append(f"Thin: {level * 100:g}% intervals.")
    if len(data) > 1:
        changed = data["n_pilots"].nunique() > 1 or data["n_comparators"].nunique() > 1
        first, last = data.iloc[0], data.iloc[-1]
        if changed:
            parts.append(
                f"As published: {int(first['n_pilots'])} pilots and "
                f"{int(first['n_comparators'])} comparators; lowest rung: "
                f"{int(last['n_pilots'])} and {int(last['n_comparators'])}."
            )
    return " ".join(parts)
