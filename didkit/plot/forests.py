"""The forest of methods: one estimate, several ways to say how sure; who refused stands below."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.errors import EstimationError
from didkit.plot.style import (
    GREY,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    points,
    rows,
    width_of_foot,
)
from didkit.plot.words import inside, signed
from didkit.results import Estimate, tables

__all__ = ["forest"]

_LETTERS, _LINES = 23, 2  #: of a label
_ROW = 0.56  #: inches
_COLUMNS = ("method", "estimate", "p_value", "conf_low", "conf_high", "recommended", "refused")


def forest(estimate: Estimate, table: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes:
    """Draw one row a method of inference, with its interval and p; below, why others have none.

    Parameters
    ----------
    estimate : Estimate
        Of one term, or of which ``estimate.main_term`` is asked.
    table : DataFrame, optional
        Of ``estimate.inference_table(…)``, which is made, at the level of the estimate's own
        inference, where none is given.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: the table, in its order from top to bottom, with ``y`` (NaN where nothing is
        drawn), ``drawn`` (False for a refused method) and ``main`` (the method that the estimate
        has, or the recommended one). An interval without a limit runs to the edge and ends in an
        arrow. A hollow dot: the method takes pilots to be as noisy as comparators. Methods that
        were refused or withheld stand in the foot, those with one reason together.

    Raises
    ------
    EstimationError
        If not given an estimate, or if the table is none, lacks a column or has no row.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cla")
    >>> table = did.inference_table([dk.ClusterRobust("CR2"), dk.ClusterRobust("CR3")])
    >>> forest(did, table).data["drawn"].tolist()
    [True, True]
    """
    whole: object = estimate
    if not isinstance(whole, Estimate):
        raise EstimationError(
            needed="an Estimate",
            found=type(whole).__name__,
            where="forest(estimate)",
            todo="of a design give for example DiD().fit(design, metric)",
        )
    given = _own_table(estimate) if table is None else table
    if not isinstance(given, pd.DataFrame):
        raise EstimationError(
            needed="a table of methods",
            found=type(given).__name__,
            where="forest(table=)",
            todo="give estimate.inference_table(), or leave table= out",
        )
    lacking = [name for name in _COLUMNS if name not in given.columns]
    if lacking or given.empty:
        raise EstimationError(
            needed="a table of methods with the columns " + ", ".join(_COLUMNS),
            found=f"without {', '.join(lacking)}" if lacking else "no row",
            where="forest(table=)",
            todo="give estimate.inference_table(), or leave table= out",
        )
    data = given.reset_index(drop=True).copy()
    data["refused"] = data["refused"].fillna("").astype(str)
    if "used" not in data.columns:
        data["used"] = False
    # the method that the estimate has stands out; without one, the recommended one
    used = data["used"].astype(bool)
    data["main"] = used if used.any() else data["recommended"].astype(bool)
    data["drawn"] = (data["refused"] == "") & np.isfinite(data["estimate"].astype(float))
    if "equal_noise" not in data.columns:
        data["equal_noise"] = False
    data["y"] = np.nan
    n = int(data["drawn"].sum())
    data.loc[data["drawn"], "y"] = np.arange(n)[::-1].astype(float)
    without = _reasons(data)
    ax = canvas(ax, height=1.9 + _ROW * max(n, 1) + 0.32 * len(without))
    low, high = _limits(data)
    ax.set_xlim(low, high)
    ax.set_ylim(-0.65, n - 0.25 if n else 0.75)
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    drawn = rows(data[data["drawn"]])
    ax.set_yticks([row.y for row in drawn], [_label(row)[0] for row in drawn])
    across = max(16, int((points(ax)[0] - 30) / (SMALL * 0.51)))
    for row in drawn:
        _row(ax, row, (low, high))
        _recipe(ax, row, across)
    ax.tick_params(axis="y", length=0)
    if drawn:
        ax.annotate(
            "p", (1.0, n - 0.45), xycoords=("axes fraction", "data"), xytext=(8, 0),
            textcoords="offset points", va="center", fontsize=SMALL, color=GREY, style="italic",
            annotation_clip=False,
        )  # fmt: skip
    levels = sorted(set(data["level"])) if "level" in data.columns else []
    which = f"{levels[0] * 100:g}% interval" if len(levels) == 1 else "interval"
    ax.set_xlabel(f"Estimate and {which}, {estimate.metric.unit or 'units of the metric'}")
    longest = 2 * width_of_foot(ax) - 4
    lines = [textwrap.shorten(one, max(longest, 40), placeholder=" …") for one in without]
    finish(ax, _title(estimate, data), data, foot="\n".join([*_foot(data), *lines]))
    for tick, row in zip(ax.get_yticklabels(), drawn, strict=True):
        tick.set_color(PILOT if row.main else INK)
        tick.set_fontweight("bold" if row.main else "normal")
        if is_narrow(ax):
            tick.set_fontsize(SMALL)
    return ax


def _own_table(estimate: Estimate) -> pd.DataFrame:
    sure = estimate.uncertainty
    return estimate.inference_table(level=0.95 if sure is None else sure.level)


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    """Hold every finite end, and 0."""
    drawn = data[data["drawn"]]
    ends = drawn[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float).ravel()
    ends = np.append(ends[np.isfinite(ends)], 0.0)
    pad = 0.1 * (float(ends.max() - ends.min()) or 1.0)
    return float(ends.min()) - pad, float(ends.max()) + pad


def _reasons(data: pd.DataFrame) -> list[str]:
    """Say why methods have no row, those with one reason in one sentence."""
    found: dict[str, list[str]] = {}
    known: dict[str, set[str]] = {}  # what is said of each name: an interval, or why there is none
    for row in rows(data[~data["drawn"]]):
        why = str(row.refused) or "no estimate"
        if not why.startswith(("withheld: ", "no estimate")):
            why = f"refused: {why}"
        found.setdefault(why, []).append(str(row.method))
        known.setdefault(_name(str(row.method))[0], set()).add(why)
    for method in data.loc[data["drawn"], "method"]:
        known.setdefault(_name(str(method))[0], set()).add("")
    said = []
    for why, methods in found.items():
        listed = list(dict.fromkeys(_in_full(method, known) for method in methods))
        who = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
        said.append(f"{who[:1].upper()}{who[1:]} {why}")
    return said


def _in_full(method: str, known: Mapping[str, Collection[str]]) -> str:
    """Add the recipe to a name of which different things are said."""
    name, recipe = _name(method)
    return f"{name} ({recipe})" if recipe and len(known[name]) > 1 else name


def _name(method: str) -> tuple[str, str]:
    """Part a method's words into a name of two short lines, and the recipe."""
    name, _, recipe = method.partition(", ")
    for cut in (" (", " within ", " over "):
        if len(_wrapped(name)) > _LINES and cut in name:
            name, _, more = name.partition(cut)
            recipe = ", ".join(filter(None, [f"{cut}{more}".strip(" ").strip("()"), recipe]))
    return name, recipe


def _wrapped(name: str) -> list[str]:
    return textwrap.wrap(name, _LETTERS)


def _label(row: SimpleNamespace) -> tuple[str, str]:
    """Name a method in two lines, and say in the second, or in the recipe, if it is marked."""
    name, recipe = _name(str(row.method))
    lines = textwrap.wrap(name, _LETTERS, max_lines=_LINES, placeholder=" …")
    mark = "recommended" if row.recommended else "used" if row.used else ""
    if mark and len(lines) < _LINES:
        lines.append(f"({mark})")
    elif mark:
        recipe = ", ".join(filter(None, [mark, recipe]))
    return "\n".join(lines), recipe


def _row(ax: Axes, row: SimpleNamespace, limits: tuple[float, float]) -> None:
    """Draw the dot, the interval with arrows where it has no limit, and p."""
    y, value = float(row.y), float(row.estimate)
    ends = float(row.conf_low), float(row.conf_high)
    colour = PILOT if row.main else INK
    if not np.isnan(ends).any():
        inner = [max(ends[0], limits[0]), min(ends[1], limits[1])]
        ax.plot(inner, [y, y], color=colour, linewidth=2.4, zorder=2, solid_capstyle="butt")
        for end, edge, mark in zip(ends, limits, "<>", strict=True):
            if np.isinf(end):
                ax.plot(edge, y, mark, color=colour, markersize=8, clip_on=False, zorder=3)
    inside = "white" if row.equal_noise else colour
    ax.plot(
        value, y, "o", color=colour, markersize=9, zorder=4, markerfacecolor=inside,
        markeredgewidth=2.0 if row.equal_noise else 1.0,
    )  # fmt: skip
    p = float(row.p_value)
    ax.annotate(
        tables.p_value(p) or "none",
        (1.0, y),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=TEXT,
        color=colour if np.isfinite(p) else GREY,
        weight="bold" if row.main else "normal",
        annotation_clip=False,
    )


def _recipe(ax: Axes, row: SimpleNamespace, across: int) -> None:
    """Write under an interval how it was made."""
    ax.annotate(
        textwrap.shorten(_label(row)[1], across, placeholder=" …"),
        (0.0, float(row.y) - 0.34),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        zorder=1.5,
    )


def _title(estimate: Estimate, data: pd.DataFrame) -> str:
    """Say what the recommended method gives, and how far p runs over the others."""
    label = inside(estimate.metric.label)
    if estimate.n_terms > 1 and "term" in data.columns:
        label += f" ({data['term'].iloc[0]})"
    drawn = data[data["drawn"]]
    best = drawn[drawn["main"]]
    p = drawn["p_value"].astype(float)
    p = p[np.isfinite(p)]
    if p.empty:
        return f"None of {len(data)} methods gives a p for {label}"
    span = f"{tables.p_value(float(p.min()))} to {tables.p_value(float(p.max()))}"
    said = f"p for {label} runs from {span} over {len(p)} methods" if len(p) > 1 else (
        f"p for {label} is {tables.p_value(float(p.iloc[0]))} by the one method that gives it"
    )  # fmt: skip
    if len(best):
        row = best.iloc[0]
        which = "recommended one" if row["recommended"] else "one used"
        said += (
            f"; the {which} says {signed(float(row['estimate']))} "
            f"({signed(float(row['conf_low']))} to {signed(float(row['conf_high']))})"
        )
    withheld = int(data["refused"].str.startswith("withheld: ").sum())
    refused = int((data["refused"] != "").sum()) - withheld
    counts = [f"{n} {how}" for n, how in ((refused, "refused"), (withheld, "withheld")) if n]
    return "; ".join([said, *counts])


def _foot(data: pd.DataFrame) -> list[str]:
    """Say what arrows and hollow dots mean, where there are any."""
    drawn = data[data["drawn"]]
    parts = []
    if np.isinf(drawn[["conf_low", "conf_high"]].to_numpy(dtype=float)).any():
        parts.append("Arrows: the interval has no limit.")
    if drawn["equal_noise"].astype(bool).any():
        parts.append("Hollow dot: takes pilots to be as noisy as comparators.")
    return [" ".join(parts)] if parts else []
