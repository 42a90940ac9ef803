"""Which authorities and years make the estimate: a grid coloured by contribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

from didkit.check.driving_cells import DrivingCells
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    name_length,
    period_ticks,
    points,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding

__all__ = ["driving_cells"]

_MOST_ROWS = 14
_MOST_LABELS = 10


def driving_cells(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the authorities whose cells add up to most, a cell a period, coloured by contribution.

    Parameters
    ----------
    finding : Finding
        Of `DrivingCells`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a cell drawn, ``unit, name, period, arm, contribution`` (the metric's
        unit), ``total`` (of the unit) and ``labelled``: the ten largest contributions of
        the finding have their number written in them, or a dot where there is no room.
        Authorities from the top by the size of their total, 14 at most; cells without weight are
        grey.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cpp").infer(None).check(dk.DrivingCells())
    >>> int(driving_cells(finding).data["labelled"].sum()) <= 10
    True
    """
    check = getattr(finding, "check", None)
    if not isinstance(check, DrivingCells):
        raise DidkitError(
            needed="a finding of DrivingCells",
            found=type(finding).__name__,
            where="driving_cells(finding)",
            todo="draw estimate.check(DrivingCells())",
        )
    estimate = finding.estimate
    cells, units = check.cells(estimate), check.units(estimate)
    shown = units.iloc[:_MOST_ROWS]
    order = {unit: i for i, unit in enumerate(shown["unit"])}
    periods = list(estimate.sample.periods)
    cells["labelled"] = np.arange(len(cells)) < min(_MOST_LABELS, check.most)
    data = cells[cells["unit"].isin(order)].merge(
        shown[["unit", "contribution"]].rename(columns={"contribution": "total"}), on="unit"
    )
    keep = ["unit", "name", "period", "arm", "contribution", "total", "labelled"]
    place = data["unit"].map(order)
    when = data["period"].map({period: t for t, period in enumerate(periods)})
    data = data.assign(row=place, column=when).sort_values(["row", "column"])
    data = data.reset_index(drop=True)
    grid = np.full((len(shown), len(periods)), np.nan)
    grid[data["row"], data["column"]] = data["contribution"]
    ax = canvas(ax, height=2.0 + 0.3 * len(shown))
    largest = float(np.nanmax(np.abs(grid))) if np.isfinite(grid).any() else 0.0
    norm = TwoSlopeNorm(0.0, -largest or -1.0, largest or 1.0)
    three = [COMPARATOR, "#FFFFFF", PILOT]
    colours = LinearSegmentedColormap.from_list("didkit", three).with_extremes(bad=FAINT)
    edges = np.arange(len(periods) + 1) - 0.5, np.arange(len(shown) + 1) - 0.5
    ax.pcolormesh(*edges, np.ma.masked_invalid(grid), cmap=colours, norm=norm,
                  edgecolors="white", linewidth=1.2)  # fmt: skip
    ax.set_ylim(len(shown) - 0.5, -0.5)
    label = [short(name or unit, name_length(ax)) for unit, name in
             zip(shown["unit"], shown["name"], strict=True)]  # fmt: skip
    ax.set_yticks(np.arange(len(shown)), label)
    ax.set_xlim(-0.5, len(periods) - 0.5 + (1.1 if is_narrow(ax) else 0.9))
    ax.set_xlabel(f"Contribution, {estimate.metric.unit or 'units of the metric'}")
    finish(ax, _title(finding, cells), data[keep], foot=_foot(finding, units))
    ax.tick_params(axis="both", length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    period_ticks(ax, np.arange(len(periods)).tolist(), periods)
    for tick, arm in zip(ax.get_yticklabels(), shown["arm"], strict=True):
        tick.set(fontsize=SMALL, color=PILOT if arm == "pilot" else COMPARATOR)
    room = points(ax)[0] / (len(periods) + 1)
    _write(ax, data, largest, room)
    for i, total in enumerate(shown["contribution"]):
        ax.annotate(signed(float(total)), (len(periods) - 0.4, i), fontsize=SMALL, color=INK,
                    ha="left", va="center", weight="bold", annotation_clip=False)  # fmt: skip
    ax.annotate("sum", (len(periods) - 0.4, -0.55), fontsize=SMALL, color=GREY, ha="left",
                va="bottom", annotation_clip=False)  # fmt: skip
    return ax


def _write(ax: Axes, data: pd.DataFrame, largest: float, room: float) -> None:
    """Write the largest contributions into their cells, where these are wide enough."""
    for row in data[data["labelled"]].to_dict("records"):
        value = float(row["contribution"])
        text = signed(value)
        size = min(SMALL, room / (0.62 * len(text)))
        if size < 0.6 * SMALL:
            text, size = "•", TEXT
        dark = abs(value) > 0.55 * largest
        ax.annotate(text, (row["column"], row["row"]), ha="center", va="center", fontsize=size,
                    color="white" if dark else INK)  # fmt: skip


def _title(finding: Finding, cells: pd.DataFrame) -> str:
    """Say the estimate and the cells that contribute most."""
    what, value = inside(finding.estimate.metric.label), signed(finding.facts["estimate"])
    if not np.isfinite(finding.facts["top_share"]):
        return f"No cell contributes to the change in {what} of {value}"
    top = [
        f"{short(name or unit)} in {period} ({signed(float(part))})"
        for unit, name, period, part in zip(
            cells["unit"][:2], cells["name"][:2], cells["period"][:2], cells["contribution"][:2],
            strict=True,
        )
    ]  # fmt: skip
    return f"Change in {what}: {value}; the cells that drive it most: {' and '.join(top)}"


def _foot(finding: Finding, units: pd.DataFrame) -> str:
    """Say what is not drawn, and how cells are measured."""
    rest = units["contribution"].iloc[_MOST_ROWS:]
    others = (
        f"The other {len(rest)} authorities add {signed(float(rest.sum()))} together. "
        if len(rest)
        else ""
    )
    return (
        f"{others}Weight × deviation from unit and period effects; orange raises the estimate, "
        "blue lowers it. Names: pilots orange, comparators blue."
    )
