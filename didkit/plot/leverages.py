"""Leverage: which units carry the information on a term, and whom they serve."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    HALO,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    name_length,
    points,
    row_size,
    rows,
)
from didkit.plot.words import short
from didkit.results import Estimate, tables
from didkit.results.leverage import leverage_table

__all__ = ["leverage"]

_MOST_ROWS = 20


def leverage(estimate: Estimate, term: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw each cluster's share of the information on a term, the largest on top.

    Parameters
    ----------
    estimate : Estimate
        By least squares against one pool, or linear against sets: see `Estimate.leverage`.
    term : str, optional
        By default ``estimate.main_term``.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a cluster, the largest first, ``cluster, name, arm, share,
        pilots_served, shown``; the shares add up to 1. Twenty are shown, the mean of the others
        as one grey bar. The dashed line is 1/G, the share of each if all carried alike. With a
        set for each pilot, beside the bar stands how many pilots a comparator serves.

    Raises
    ------
    InferenceError
        If the estimate has neither cross-products by cluster nor weights.
    EstimationError
        If there is no such term.

    Examples
    --------
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> data = leverage(DiD().fit(design, "cla").infer(None)).data
    >>> round(float(data["share"].sum()), 10), data["arm"].iloc[0]
    (1.0, 'pilot')
    """
    data = leverage_table(estimate, term)
    most = _MOST_ROWS if len(data) > _MOST_ROWS + 1 else len(data)
    data["shown"] = np.arange(len(data)) < most
    effective = 1 / float((data["share"] ** 2).sum())  # G*(0), see linear.effective_clusters
    shown = data[data["shown"]]
    rest = data[~data["shown"]]
    bars = len(shown) + (1 if len(rest) else 0)
    ax = canvas(ax, height=max(2.8, 1.7 + 0.24 * bars))
    colours = {"pilot": PILOT, "comparator": COMPARATOR}
    y = np.arange(bars)[::-1]
    ax.barh(
        y[: len(shown)],
        100 * shown["share"],
        color=[colours[arm] for arm in shown["arm"]],
        height=0.72,
    )
    labels = [short(label, name_length(ax)) for label in shown["name"]]
    if len(rest):
        ax.barh(y[-1], 100 * float(rest["share"].mean()), color=FAINT, height=0.72)
        labels.append(f"{len(rest)} others (mean)")
    ax.set_yticks(y, labels)
    ax.set_ylim(-0.7, bars - 0.1)
    ax.tick_params(axis="y", length=0)
    equal = 1 / len(data)
    ax.axvline(100 * equal, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), zorder=3)
    longest = max(100 * float(data["share"].max()), 100 * equal)
    ax.set_xlim(0, longest * 1.06)
    marked = estimate.sample.sets is not None
    if marked:
        _mark_served(ax, y, shown, longest)
    _key(ax, data, equal, terse=marked and is_narrow(ax))
    ax.set_xlabel("Share of the information on the term, %")
    finish(ax, _title(estimate, data, effective), data, foot=_foot(rest, equal, len(data)))
    ax.tick_params(axis="y", labelsize=row_size(ax, bars))
    return ax


def _mark_served(ax: Axes, y: np.ndarray, shown: pd.DataFrame, longest: float) -> None:
    """Write beside each comparator's bar how many pilots it serves."""
    size = min(SMALL, row_size(ax, len(y)))
    room = 1 + 9 * 0.56 * size / points(ax)[0]
    ax.set_xlim(0, longest * max(1.06, room))
    for place, row in zip(y, rows(shown), strict=False):
        if row.pilots_served:
            ax.annotate(
                f"serves {row.pilots_served}",
                (100 * row.share, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=size,
                color=COMPARATOR,
                bbox=HALO,
                zorder=4,
            )


def _key(ax: Axes, data: pd.DataFrame, equal: float, *, terse: bool) -> None:
    """Name the colours and the line inside the picture; terse beside labels of bars."""
    lines = []
    for arm, colour in (("pilot", PILOT), ("comparator", COMPARATOR)):
        mine = data.loc[data["arm"] == arm, "share"]
        carried = "" if terse else f": {mine.sum():.0%}"
        if len(mine):
            lines.append((f"{len(mine)} {arm}s{carried}", colour))
    lines.append((f"- -  equal shares, {equal:.1%}", INK))
    for i, (words, colour) in enumerate(lines):
        ax.annotate(
            words,
            (1.0, 0.0),
            xycoords="axes fraction",
            xytext=(-4, 6 + (len(lines) - 1 - i) * TEXT * 1.45),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=TEXT if i < 2 else SMALL,
            color=colour,
            weight="bold" if i < 2 else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9},
            zorder=5,
        )


def _title(estimate: Estimate, data: pd.DataFrame, effective: float) -> str:
    """Say for how many units they count, and how much the pilots carry."""
    who = "clusters" if estimate.sample.clustered_above else "authorities"
    carried = float(data.loc[data["arm"] == "pilot", "share"].sum())
    n = int((data["arm"] == "pilot").sum())
    which = f"the {n} pilots" if n != 1 else "the one pilot"
    return (
        f"{estimate.metric.label}: {len(data)} {who} count for about {effective:.0f}; {which} "
        f"{'carry' if n != 1 else 'carries'} {carried:.0%} of the information"
    )


def _foot(rest: pd.DataFrame, equal: float, n: int) -> str:
    parts = [f"Dashed: 1/{n}, if all carried alike."]
    if len(rest):
        low, high = (
            f"{tables.number(100 * end, 2)}%" for end in (rest["share"].min(), rest["share"].max())
        )
        each = low if low == high else f"{low} to {high}"
        parts.append(
            f"The {len(rest)} others carry {each} each, {rest['share'].sum():.0%} together."
        )
    return " ".join(parts)
