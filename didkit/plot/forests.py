"""The forest of methods: one estimate, several ways to say how sure, and those that refuse."""

from __future__ import annotations

import textwrap
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.errors import EstimationError
from didkit.plot.style import GREY, INK, PILOT, SMALL, TEXT, canvas, finish, points, rows
from didkit.plot.words import inside, signed
from didkit.results import Estimate, tables

__all__ = ["forest"]

_COLUMNS = ("method", "estimate", "p_value", "conf_low", "conf_high", "recommended", "refused")


def forest(estimate: Estimate, table: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes:
    """Draw one row a method of inference, with its interval and p; refused methods say why.

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
        ``ax.data``: the table, in its order from top to bottom, with ``y``, ``drawn`` (False for
        a refused method) and ``main`` (the method that the estimate has, or the recommended one).
        An interval without a limit runs to the edge and ends in an arrow.

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
    ax = canvas(ax, height=1.9 + 0.6 * len(data))
    data["y"] = np.arange(len(data))[::-1].astype(float)
    low, high = _limits(data)
    ax.set_xlim(low, high)
    ax.set_ylim(-0.65, len(data) - 0.25)
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    labels = [_label(row) for row in rows(data)]
    ax.set_yticks(data["y"], labels)
    across = max(16, int((points(ax)[0] - 30) / (SMALL * 0.54)))
    for row in rows(data):
        if row.drawn:
            _row(ax, row, (low, high))
            _recipe(ax, row, across)
        else:
            _refusal(ax, row, across, int(points(ax)[1] / len(data) / (1.25 * SMALL)))
    ax.tick_params(axis="y", length=0)
    ax.annotate(
        "p", (1.0, len(data) - 0.45), xycoords=("axes fraction", "data"), xytext=(8, 0),
        textcoords="offset points", va="center", fontsize=SMALL, color=GREY, style="italic",
        annotation_clip=False,
    )  # fmt: skip
    levels = sorted(set(data["level"])) if "level" in data.columns else []
    which = f"{levels[0] * 100:g}% interval" if len(levels) == 1 else "interval"
    ax.set_xlabel(f"Estimate and {which}, {estimate.metric.unit or 'units of the metric'}")
    finish(ax, _title(estimate, data), data, foot=_foot(data))
    for tick, row in zip(ax.get_yticklabels(), rows(data), strict=True):
        tick.set_color(GREY if not row.drawn else PILOT if row.main else INK)
        tick.set_fontweight("bold" if row.main else "normal")
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


def _label(row: SimpleNamespace) -> str:
    """Name a method without its recipe, and say if it is the recommended one, or that used."""
    name = "\n".join(textwrap.wrap(str(row.method).partition(", ")[0], 22))
    if row.recommended:
        return f"{name}\n(recommended)"
    return f"{name}\n(used)" if row.used else name


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
    ax.plot(value, y, "o", color=colour, markersize=9, zorder=4)
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
    recipe = str(row.method).partition(", ")[2]
    _write(ax, float(row.y) - 0.33, textwrap.shorten(recipe, across, placeholder=" …"))


def _refusal(ax: Axes, row: SimpleNamespace, across: int, room: int) -> None:
    """Write why a method was refused where its interval would be."""
    lines = textwrap.wrap(f"refused: {row.refused}" if row.refused else "no estimate", across)
    most = min(max(room, 1), 3)
    _write(ax, float(row.y), "\n".join(lines[:most]) + (" …" if len(lines) > most else ""))


def _write(ax: Axes, y: float, text: str) -> None:
    ax.annotate(
        text,
        (0.0, y),
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
    refused = int((data["refused"] != "").sum())
    return said + (f"; {refused} refused" if refused else "")


def _foot(data: pd.DataFrame) -> str:
    parts = []
    if np.isinf(data.loc[data["drawn"], ["conf_low", "conf_high"]].to_numpy(dtype=float)).any():
        parts.append("Arrows: the interval has no limit.")
    if (~data["drawn"]).any():
        parts.append("Grey: the method was refused, and why.")
    return " ".join(parts)
