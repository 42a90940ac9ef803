"""Reuse: how many pilots each comparator serves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from didkit.design import Design
from didkit.errors import DidkitError
from didkit.plot.style import COMPARATOR, INK, SMALL, canvas, finish, name_length, row_size, rows
from didkit.plot.words import short

__all__ = ["reuse"]

_MOST_ROWS = 30


def reuse(design: Design, ax: Axes | None = None) -> Axes:
    """Draw how often comparators serve: the more pilots share one, the less there is to compare.

    Parameters
    ----------
    design : Design
        With a set for each pilot: how many pilots a comparator serves, and its weight. Against a
        union of neighbours, where all serve all pilots alike: of how many pilots it is a published
        neighbour. Against any other pool there is nothing to draw, and the title says so.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a comparator, the busiest first and among them the one of most weight,
        ties by id, ``unit, name, pilots_served, weight, neighbour_of`` (NaN without a list),
        ``shown``: those with two pilots or more, at most 30. Where all serve as many pilots, but
        with different weights, bars are weights.

    Raises
    ------
    DidkitError
        If given something else than a design.

    Examples
    --------
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> ax = reuse(design)
    >>> ax.data["neighbour_of"].is_monotonic_decreasing
    True
    """
    given: object = design
    if not isinstance(given, Design):
        raise DidkitError(
            needed="a Design",
            found=type(given).__name__,
            where="reuse(design)",
            todo="of an estimate give estimate.design",
        )
    data = design.reuse()
    data["neighbour_of"] = _neighbour_of(design, data["unit"].tolist())
    by = "pilots_served" if design.sets is not None else "neighbour_of"
    counted = data[by].notna().all()
    if counted:
        order = data.assign(size=data["weight"].round(12)).sort_values(
            [by, "size", "unit"], ascending=[False, False, True]
        )
        data = data.loc[order.index].reset_index(drop=True)
    data["shown"] = (data[by] >= 2) & (np.arange(len(data)) < _MOST_ROWS)
    shown = data[data["shown"]]
    n = len(design.pilots)
    if not counted or shown.empty:
        return _only_words(ax, data, _alike(data, n) if not counted else _nobody(data, by, n))
    if design.sets is not None and _only_weights_differ(data):
        return _by_weight(ax, data, n)
    ax = canvas(ax, height=1.9 + 0.25 * len(shown))
    y, size = np.arange(len(shown))[::-1], row_size(ax, len(shown))
    ax.barh(y, shown[by], color=COMPARATOR, height=0.7)
    for place, row in zip(y, rows(shown), strict=True):
        count = int(getattr(row, by))
        text = f"{count} ({row.weight:.1%})" if by == "pilots_served" else f"{count}"
        ax.annotate(
            text,
            (count, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=min(SMALL, size),
            color=COMPARATOR,
        )
    ax.set_yticks(y, [short(name, name_length(ax)) for name in shown["name"]])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.7, len(shown) - 0.3)
    ax.set_xlim(0, float(shown[by].max()) * (1.3 if by == "pilots_served" else 1.12))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    ax.set_xlabel(
        "Pilots that the comparator serves"
        if by == "pilots_served"
        else "Pilots whose published neighbour it is"
    )
    finish(ax, _title(data, by, n), data, foot=_foot(data, by, n))
    ax.tick_params(axis="y", labelsize=row_size(ax, len(shown)))
    return ax


def _only_weights_differ(data: pd.DataFrame) -> bool:
    """Whether all comparators serve as many pilots, two or more, with different weights."""
    alike = data["pilots_served"].nunique() == 1
    return alike and float(data["weight"].max() - data["weight"].min()) > 1e-9


def _by_weight(ax: Axes | None, data: pd.DataFrame, n: int) -> Axes:
    """Draw the weights, where the number of pilots served tells nothing."""
    shown = data[data["shown"]]
    ax = canvas(ax, height=1.9 + 0.25 * len(shown))
    y = np.arange(len(shown))[::-1]
    ax.barh(y, 100 * shown["weight"], color=COMPARATOR, height=0.7)
    equal = 100 / len(data)
    ax.axvline(equal, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), zorder=3)
    ax.set_yticks(y, [short(name, name_length(ax)) for name in shown["name"]])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.7, len(shown) - 0.3)
    ax.set_xlim(0, 1.06 * 100 * float(data["weight"].max()))
    ax.set_xlabel("Weight in the comparison, %")
    served = int(data["pilots_served"].iloc[0])
    effective = 1 / float((data["weight"] ** 2).sum())
    whom = f"all {n} pilots" if served == n else f"{served} of {n} pilots"
    foot = f"Dashed: 1/{len(data)}, if all weighed alike."
    if len(shown) < len(data):
        left = data.loc[~data["shown"], "weight"].sum()
        foot += f" {len(data) - len(shown)} more, {left:.1%} together, are not shown."
    title = (
        f"Each of {len(data)} comparators serves {whom}; by their weights they count for "
        f"{effective:.1f}, and {short(data['name'].iloc[0])} has {data['weight'].iloc[0]:.1%}"
    )
    finish(ax, title, data, foot=foot)
    ax.tick_params(axis="y", labelsize=row_size(ax, len(shown)))
    return ax


def _neighbour_of(design: Design, units: list[str]) -> list[float]:
    """Count the pilots on whose published list each comparator stands; NaN without a list."""
    neighbours = getattr(design.against, "neighbours", None)
    if neighbours is None:
        return [float("nan")] * len(units)
    lists = [set(neighbours.of(pilot)) for pilot in design.pilots]
    return [float(sum(unit in listed for listed in lists)) for unit in units]


def _title(data: pd.DataFrame, by: str, n: int) -> str:
    """Say how many serve two pilots or more, and who serves most."""
    served = by == "pilots_served"
    count, most = int((data[by] >= 2).sum()), int(data[by].iloc[0])
    tied = int((data[by] == most).sum())
    name = short(data["name"].iloc[0])
    one, many = ("serves", "serve") if served else ("is a neighbour of", "are neighbours of")
    who = f"{name} {one} {most}" if tied == 1 else f"{name} and {tied - 1} more {many} {most}"
    does = "serve" if served else "are published neighbours of"
    if count == 1:
        does = "serves" if served else "is a published neighbour of"
    return f"{count} of {len(data)} comparators {does} two of {n} pilots or more; {who}"


def _foot(data: pd.DataFrame, by: str, n: int) -> str:
    parts = ["In brackets: its weight in the comparison."] if by == "pilots_served" else []
    if by == "neighbour_of":
        parts.append(
            f"One pool: each of the {len(data)} serves all {n} pilots with the same weight, "
            f"1/{len(data)}."
        )
    once = int((data[by] == 1).sum())
    if once:
        parts.append(f"{once} with one pilot are not shown.")
    hidden = int(((data[by] >= 2) & ~data["shown"]).sum())
    if hidden:
        parts.append(f"{hidden} more with two or more are not shown.")
    return " ".join(parts)


def _alike(data: pd.DataFrame, n: int) -> str:
    pilots = f"all {n} pilots" if n != 1 else "the one pilot"
    return (
        f"One pool: each of {len(data)} comparators serves {pilots} with the same weight, "
        f"1/{len(data)}; none is used more than another"
    )


def _nobody(data: pd.DataFrame, by: str, n: int) -> str:
    verb = "serves" if by == "pilots_served" else "is a published neighbour of"
    return f"None of {len(data)} comparators {verb} more than one of {n} pilots"


def _only_words(ax: Axes | None, data: pd.DataFrame, words: str) -> Axes:
    """Say what there is to say where there is nothing to draw."""
    ax = canvas(ax, height=1.1)
    ax.set_axis_off()
    return finish(ax, words, data)
