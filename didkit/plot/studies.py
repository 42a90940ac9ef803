"""What tests do where the answer is known: dots with Monte Carlo bars, and the nominal line."""

from __future__ import annotations

import textwrap
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    GREY,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    rows,
)
from didkit.results import tables
from didkit.simulate.studies import Study, reach_of

__all__ = ["study"]

_ERRORS = 2.0  #: Monte Carlo standard errors on each side
_LEAST_REACH = 0.12


def study(study: Study, ax: Axes | None = None) -> Axes:
    """Draw the share of replications in which each method rejects.

    Bars are two Monte Carlo standard errors on each side; beside a share of 0 or 1, which has none,
    3/n (the rule of three). The line is the nominal share. A method that gave no p-value at all
    says so in grey.

    Parameters
    ----------
    study : Study
        Of any process: with a true effect of zero the shares are sizes, otherwise power.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: the table drawn, with ``y``, ``low`` and ``high`` (ends of the bar) and ``far``
        (all of the bar is above the nominal share, where the true effect is zero).

    Raises
    ------
    DidkitError
        If no method gave a p-value.

    Examples
    --------
    >>> import didkit as dk
    >>> from didkit.simulate import LongDifferences
    >>> process = LongDifferences(pilots=3, comparators=30)
    >>> made = dk.study(dk.DiD("complete"), dk.ClusterRobust("CR2"), process, seeds=20)
    >>> len(dk.plot.study(made).data)
    1
    """
    data = study.tidy()
    data["drawn"] = data["seeds"] > 0
    if not data["drawn"].any():
        raise DidkitError(
            needed="a study in which at least one method gave a p-value",
            found="none of " + ", ".join(data["method"].unique()),
            where="plot",
            todo="see study.refusals",
        )
    alpha = study.alpha
    null = data["truth"].fillna(0.0) == 0
    cells = zip(data["rejects"], data["rejects_mc_error"], data["seeds"], strict=True)
    ends = [reach_of(share, error, n, errors=_ERRORS) for share, error, n in cells]
    data["low"], data["high"] = np.array(ends).T
    data.loc[~data["drawn"], ["low", "high"]] = np.nan
    data["far"] = null & (data["low"] > alpha)
    data["y"] = np.arange(len(data))[::-1].astype(float)
    ax = canvas(ax, height=1.7 + 0.42 * len(data))
    reach = max(float(data["high"].max()), 2 * alpha, _LEAST_REACH if study.null else 1.0)
    ax.set_xlim(0, min(1.12 * reach, 1.12))
    ax.set_ylim(-0.6, len(data) - 0.4)
    ax.axvline(alpha, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1.5)
    several = data["term"].nunique() > 1
    wide = 16 if is_narrow(ax) else 30
    ax.set_yticks(data["y"], [_label(row, several, wide) for row in rows(data)])
    for row in rows(data):
        _row(ax, row, null=study.null)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=4 if is_narrow(ax) else 7))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}%"))
    what = "true nulls rejected" if study.null else "replications in which the test rejects"
    ax.set_xlabel(f"Share of {what}")
    return finish(ax, _title(study, data), data, foot=_foot(study, data))


def _label(row: SimpleNamespace, several: bool, wide: int) -> str:
    """Name a method, and its term where there are several."""
    name = str(row.method) + (f": {row.term}" if several else "")
    return "\n".join(textwrap.wrap(name, wide))


def _row(ax: Axes, row: SimpleNamespace, *, null: bool) -> None:
    """Draw the dot, its bar and its number; or why there is none."""
    y = float(row.y)
    if not row.drawn:
        ax.annotate(
            f"no p-value in {row.refused:,} replications",
            (0.0, y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
        return
    value = float(row.rejects)
    colour = PILOT if row.far else COMPARATOR
    ends = [float(row.low), float(row.high)]
    ax.plot(ends, [y, y], color=colour, linewidth=2.4, solid_capstyle="butt", zorder=2)
    ax.plot(value, y, "o", color=colour, markersize=8, zorder=3, clip_on=False)
    ax.annotate(
        _percent(value) + (f", {row.refused:,} refused" if row.refused else ""),
        (ends[1], y),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        fontsize=TEXT,
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
        annotation_clip=False,
        zorder=4,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%" if share < 0.1 else f"{100 * share:.0f}%"


def _title(study: Study, data: pd.DataFrame) -> str:
    """Say how far the shares run, and between whom."""
    drawn = data[data["drawn"]]
    order = drawn.sort_values("rejects", kind="stable")
    low, high = order.iloc[0], order.iloc[-1]
    several = data["term"].nunique() > 1

    def who(row: pd.Series) -> str:
        return str(row["method"]) + (f", {row['term']}" if several else "")

    if len(drawn) == 1:
        found = f"{_percent(float(low['rejects']))} ({who(low)})"
    elif low["rejects"] == high["rejects"]:
        found = f"{_percent(float(low['rejects']))} (all {len(drawn)} methods drawn)"
    else:
        found = (
            f"{_percent(float(low['rejects']))} ({who(low)}) to "
            f"{_percent(float(high['rejects']))} ({who(high)})"
        )
    nominal = f"{100 * study.alpha:g}%"
    if study.null:
        return f"Tests at {nominal} reject a true null in {found}"
    truths = drawn["truth"].unique()
    of = f" of {tables.number(float(truths[0]))}" if len(truths) == 1 else ""
    return f"Tests at {nominal} find a true effect{of} in {found}"


def _foot(study: Study, data: pd.DataFrame) -> str:
    seeds = study.draws["seed"].nunique()
    ends = data.loc[data["drawn"], "rejects"].isin([0.0, 1.0]).any()
    said = (
        f"{seeds:,} replications; bars: ± 2 Monte Carlo standard errors"
        + (" (3/n at 0% and 100%)" if ends else "")
        + f"; dashed: {100 * study.alpha:g}%."
    )
    if data["far"].any():
        said += " Orange-brown: above it by more than the bar."
    return said
