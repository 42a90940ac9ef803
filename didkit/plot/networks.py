"""Who is compared with whom, without a map."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch

from didkit.design import Design
from didkit.design.alike import effective_size
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    GREY,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    points,
    rows,
)
from didkit.plot.words import short
from didkit.results.tables import number

__all__ = ["neighbour_graph"]

_SWEEPS = 8  # passes that bring each end of a line nearer to the other
_LEFT, _RIGHT = 0.0, 1.0
_FEW = 16  # with fewer comparators than this every one is named
_HEAVIEST = 15  # comparators named in a set that all pilots share
_MOST_PILOTS = 30  # beside it; more are counted
_HUB = 0.14  # where the lines of a set that all pilots share begin
_SAME = 1e-9  # of a weight: what counts as the same


def neighbour_graph(design: Design, ax: Axes | None = None) -> Axes:
    """Draw pilots on the left, comparators on the right, and a line from each to each it serves.

    Comparators that serve two pilots or more are larger and named (all, where they are few); a
    dashed curve joins a pilot to another pilot on its list, which may not serve. Where all pilots
    have one and the same set (entropy balancing, cardinality matching, a pooled synthetic control)
    it is drawn once: the pilots as a block, the 15 heaviest comparators with their weights (ties by
    id), and how many others there are with how much weight.

    Parameters
    ----------
    design : Design
        With a set for each pilot: lines are as wide as weights. Against a union of neighbours: a
        line joins a pilot to each comparator on its own list, though in the union every
        comparator serves all pilots alike, and the picture says so. Against any other pool there
        are no lines to draw, and the title says so.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a line, ``pilot, pilot_name, other, other_name, kind`` (serves, or
        barred: a pilot on another's list), ``weight`` (within the pilot's set; equal shares of
        the list in a union; 0 if barred), ``serves`` (lines that end at `other`).

    Raises
    ------
    DidkitError
        If given something else than a design.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> ax = neighbour_graph(design)
    >>> ax.data.columns.tolist()
    ['pilot', 'pilot_name', 'other', 'other_name', 'kind', 'weight', 'serves']
    """
    given: object = design
    if not isinstance(given, Design):
        raise DidkitError(
            needed="a Design",
            found=type(given).__name__,
            where="neighbour_graph(design)",
            todo="of an estimate give estimate.design",
        )
    data = _lines(design)
    n, m = len(design.pilots), len(design.comparators)
    if data.empty:
        ax = canvas(ax, height=1.1)
        ax.set_axis_off()
        each = f"each of {m} comparators serves" if m != 1 else "one comparator serves"
        whom = f"each of {n} pilots" if n != 1 else "one pilot"
        return finish(ax, f"One pool: {each} {whom}; there are no lists", data)
    if _is_one_set(data):
        return _one_set(design, data, ax)
    ax = canvas(ax, width=6.6, height=7.2 if m > 25 else 2.4 + 0.17 * max(m, n))
    served = data[data["kind"] == "serves"]
    left, right = _order(served, design.pilots)
    named = _named(served)
    size = _letters(ax, len(named), len(right))
    letters = int(15 * TEXT / size) if is_narrow(ax) else 24
    _margins(ax, letters, size)
    places = _heights(left), _spread(ax, right, named, size)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xticks([])
    ax.set_yticks([])
    names = dict(zip(data["pilot"], data["pilot_name"], strict=True))
    _edges(ax, data, *places)
    shared = _comparators(ax, served, places[1])
    ax.plot([_LEFT] * n, list(places[0].values()), "o", color=PILOT, markersize=8, zorder=4)
    for pilot, y in places[0].items():
        _write(ax, short(names[pilot], letters), (_LEFT, y), "left", min(size + 0.5, TEXT))
    counts = dict(zip(served["other"], served["serves"], strict=True))
    for unit, name in named.items():
        count = f"{counts[unit]} " if counts[unit] > 1 else ""
        _write(ax, short(count + name, letters + 2), (_RIGHT, places[1][unit]), "right", size)
    finish(ax, _title(design, data, shared), data, foot=_foot(design, data, shared))
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def _lines(design: Design) -> pd.DataFrame:
    """List who serves whom, and pilots on lists of other pilots."""
    neighbours = getattr(design.against, "neighbours", None)
    sets, panel = design.sets, design.panel
    made: list[tuple[str, str, str, str, str, float]] = []
    for pilot in design.pilots:
        listed = () if neighbours is None else neighbours.of(pilot)
        serving = (
            dict(sets[pilot])
            if sets is not None
            else {one: 1.0 for one in listed if one in set(design.comparators)}
        )
        total = sum(serving.values())
        barred = [one for one in listed if one in set(design.pilots) and one not in serving]
        for other in (*serving, *barred):
            kind = "serves" if other in serving else "barred"
            weight = serving[other] / total if other in serving else 0.0
            made.append((pilot, panel.name_of(pilot), other, panel.name_of(other), kind, weight))
    columns = ["pilot", "pilot_name", "other", "other_name", "kind", "weight"]
    data = pd.DataFrame(made, columns=columns)
    data["serves"] = data.groupby(["other", "kind"])["pilot"].transform("size") if made else 0
    return data


def _is_one_set(data: pd.DataFrame) -> bool:
    """Whether several pilots have the same comparators with the same weights, and no more."""
    if (data["kind"] != "serves").any() or data["pilot"].nunique() < 2:
        return False
    weights = data.pivot(index="pilot", columns="other", values="weight").to_numpy(dtype=float)
    return bool((np.isfinite(weights) & (np.ptp(weights, axis=0) <= _SAME)).all())


def _one_set(design: Design, data: pd.DataFrame, ax: Axes | None) -> Axes:
    """Draw the set that all pilots share: a block of pilots, and its heaviest comparators."""
    each = data[data["pilot"] == data["pilot"].iloc[0]]
    each = each.assign(order=-each["weight"].round(12)).sort_values(["order", "other"])
    top = len(each) if len(each) <= _HEAVIEST + 1 else _HEAVIEST
    others = each["weight"].iloc[top:]
    lines = top + (len(others) > 0)
    names = data.drop_duplicates("pilot").sort_values("pilot")["pilot_name"].tolist()
    n = len(names)
    left = names if n <= _MOST_PILOTS else [f"{n} pilots"]
    ax = canvas(ax, width=6.6, height=2.2 + 0.22 * max(lines, len(left)))
    ax.set_ylim(-0.03, 1.03)
    ax.set_xticks([])
    ax.set_yticks([])
    finish(ax, _title_of_one(design, each, n), data, foot=_foot_of_one(each, top))
    size = _letters(ax, max(lines, len(left)), max(lines, len(left)))
    letters = int(15 * TEXT / size) if is_narrow(ax) else 24
    _margins(ax, letters + 2, size)
    at_left = list(_heights([str(i) for i in range(len(left))]).values())
    at_right = list(_heights([str(i) for i in range(lines)]).values())
    ax.plot([_HUB, _HUB], [at_left[0], at_left[-1]], color=PILOT, linewidth=1.4, zorder=3)
    ax.plot([_HUB], [0.5], "s", color=PILOT, markersize=5, zorder=4)
    for name, y in zip(left, at_left, strict=True):
        ax.plot([_LEFT, _HUB], [y, y], color=PILOT, linewidth=1.0, zorder=3)
        ax.plot(_LEFT, y, "o", color=PILOT, markersize=7, zorder=4)
        _write(ax, short(name, letters), (_LEFT, y), "left", size)
    weight = each["weight"].to_numpy(dtype=float)
    even = np.ptp(weight) <= _SAME
    ax.add_collection(
        LineCollection(
            [[(_HUB, 0.5), (_RIGHT, y)] for y in at_right[:top]],
            linewidths=[1.1 if even else 0.5 + 3.5 * w / weight.max() for w in weight[:top]],
            colors=[(*to_rgb(COMPARATOR), 0.6)],
            zorder=2,
        )
    )
    for row, y in zip(rows(each.head(top)), at_right, strict=False):
        ax.plot(_RIGHT, y, "o", color=COMPARATOR, markersize=5, zorder=5)
        words = short(f"{row.weight:.1%} {row.other_name}", letters + 4)
        _write(ax, words, (_RIGHT, y), "right", size)
    if len(others):
        ends = [at_right[-1]] * 2
        ax.plot([_HUB, _RIGHT], [0.5, ends[0]], color=GREY, linewidth=0.9, linestyle=(0, (1, 2)))
        _write(ax, f"{others.sum():.1%} {len(others)} others", (_RIGHT, ends[0]), "right", size)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def _title_of_one(design: Design, each: pd.DataFrame, n: int) -> str:
    """Say how many comparators all pilots share, and for how many they count."""
    m = len(each)
    counted = f"{m} comparator{'s' * (m != 1)}"
    if design.matched_sets().aggregate == "median":
        return f"One set for all {n} pilots: the median of {counted}"
    weight = each["weight"].to_numpy(dtype=float)
    if np.ptp(weight) <= _SAME:
        return f"One set of weights for all {n} pilots: {counted}, weighed alike"
    ess = number(effective_size(weight))
    return f"One set of weights for all {n} pilots: {counted} count for {ess}"


def _foot_of_one(each: pd.DataFrame, top: int) -> str:
    """Say what is named, what the percentages are, and what counting for means."""
    more = len(each) - top
    weight = each["weight"].to_numpy(dtype=float)
    even = np.ptp(weight) <= _SAME
    parts = ["Percentages: weight in the set."]
    if more:
        parts.append(f"The {top} {'first by id' if even else 'heaviest'} are named.")
    if not even:
        parts.append("Count for: effective number, 1 / sum of squared weights.")
    return " ".join(parts)


def _order(served: pd.DataFrame, pilots: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Order both sides from the top, each unit near the mean of those it is joined to."""
    left = list(pilots)
    right: list[str] = sorted(set(served["other"]))
    at_left = dict(zip(left, range(len(left)), strict=True))
    at_right: dict[str, int] = {}
    for _ in range(_SWEEPS):
        middle = served["pilot"].map(at_left).groupby(served["other"]).mean()
        right = sorted(right, key=lambda unit: (round(float(middle[unit]), 9), unit))
        at_right = dict(zip(right, range(len(right)), strict=True))
        middle = served["other"].map(at_right).groupby(served["pilot"]).mean()
        left = sorted(left, key=lambda unit: (round(float(middle[unit]), 9), unit))
        at_left = dict(zip(left, range(len(left)), strict=True))
    return left, right


def _heights(order: list[str]) -> dict[str, float]:
    n = len(order)
    return {unit: 1 - (i + 0.5) / n for i, unit in enumerate(order)}


def _edges(ax: Axes, data: pd.DataFrame, left: dict[str, float], right: dict[str, float]) -> None:
    """Draw lines as wide as weights, and dashed curves between pilots."""
    served = data[data["kind"] == "serves"]
    ends = [[(_LEFT, left[row.pilot]), (_RIGHT, right[row.other])] for row in rows(served)]
    wide = served["weight"].to_numpy(dtype=float)
    many = served["serves"].to_numpy() > 1
    ax.add_collection(
        LineCollection(
            ends,
            linewidths=0.5 + 2.2 * wide / max(float(wide.max()), 1e-12)
            if np.ptp(wide) > 1e-9
            else [1.1 if one else 0.7 for one in many],
            colors=[(*to_rgb(COMPARATOR), 0.75 if one else 0.28) for one in many],
            zorder=2,
        )
    )
    done = set()
    for row in rows(data[data["kind"] == "barred"]):
        pair = frozenset((row.pilot, row.other))
        if pair in done:
            continue
        done.add(pair)
        low, high = sorted((left[row.pilot], left[row.other]))
        ax.add_patch(
            FancyArrowPatch(
                (_LEFT, low), (_LEFT, high), connectionstyle="arc3,rad=0.35", arrowstyle="-",
                linestyle=(0, (4, 2.5)), color=PILOT, linewidth=1.4, zorder=3,
            )
        )  # fmt: skip


def _named(served: pd.DataFrame) -> dict[str, str]:
    """Return the comparators to name: those beside several pilots, or all where they are few."""
    each = served.drop_duplicates("other").sort_values("other")
    chosen = each if len(each) < _FEW else each[each["serves"] > 1]
    return dict(zip(chosen["other"], chosen["other_name"], strict=True))


def _letters(ax: Axes, named: int, of: int) -> float:
    """Size of letters at which the names have room, and the others some, on the right."""
    room = 0.92 * points(ax)[1] - 2.5 * (of - named)
    return float(np.clip(room / (1.3 * max(named, 1)), 5.0, SMALL if is_narrow(ax) else TEXT))


def _spread(ax: Axes, order: list[str], named: dict[str, str], size: float) -> dict[str, float]:
    """Place units from 1 down to 0; one with a name takes the room of a line."""
    line = min(1.3 * size / (0.92 * points(ax)[1]), 1 / len(order) if named else 1.0)
    if len(named) < len(order):
        line = min(1.3 * size / (0.92 * points(ax)[1]), 0.8 / max(len(named), 1))
    other = (1 - line * len(named)) / max(len(order) - len(named), 1)
    thick = np.array([line if unit in named else other for unit in order])
    thick = thick / thick.sum()
    return dict(zip(order, map(float, 1 - np.cumsum(thick) + thick / 2), strict=True))


def _comparators(ax: Axes, served: pd.DataFrame, right: dict[str, float]) -> pd.DataFrame:
    """Draw the comparators, those beside several pilots larger; return these, the busiest first."""
    each = served.drop_duplicates("other").sort_values(["serves", "other"], ascending=[False, True])
    shared = each[each["serves"] > 1]
    once = each[each["serves"] == 1]
    at = [right[unit] for unit in once["other"]]
    ax.plot([_RIGHT] * len(at), at, "o", color=COMPARATOR, markersize=3, zorder=4)
    for row in rows(shared):
        size = min(4.0 + 1.2 * row.serves, 11.0)
        ax.plot(_RIGHT, right[row.other], "o", color=COMPARATOR, markersize=size, zorder=5)
    return shared


def _margins(ax: Axes, letters: int, size: float) -> None:
    """Widen the axis so that names have room inside the Axes."""
    share = min(0.36, letters * size * 0.55 / max(points(ax)[0], 1.0))
    inner = 1 - 2 * share
    ax.set_xlim(_LEFT - share / inner, _RIGHT + share / inner)


def _write(ax: Axes, text: str, at: tuple[float, float], side: str, size: float) -> None:
    ax.annotate(
        text,
        at,
        xytext=(9 if side == "right" else -9, 0),
        textcoords="offset points",
        ha="left" if side == "right" else "right",
        va="center",
        fontsize=size,
        color=COMPARATOR if side == "right" else PILOT,
        annotation_clip=False,
    )


def _title(design: Design, data: pd.DataFrame, shared: pd.DataFrame) -> str:
    n, m = len(design.pilots), data.loc[data["kind"] == "serves", "other"].nunique()
    pilots = f"{n} pilot{'s' * (n != 1)} and {m} comparator{'s' * (m != 1)}"
    if shared.empty:
        words = "none stands beside more than one pilot"
    else:
        most = int(shared["serves"].max())
        tied = int((shared["serves"] == most).sum())
        top = short(str(shared["other_name"].iloc[0]))
        who = top if tied == 1 else f"{top} and {tied - 1} more"
        words = f"{len(shared)} stand beside two pilots or more, {who} beside {most}"
    return f"{pilots}: {words}"


def _foot(design: Design, data: pd.DataFrame, shared: pd.DataFrame) -> str:
    """Say what the lines, dashes and numbers are."""
    barred = data[data["kind"] == "barred"]
    parts = []
    if design.sets is None:
        parts.append("Lines: lists of neighbours; as one pool, all serve every pilot alike.")
    elif np.ptp(data.loc[data["kind"] == "serves", "weight"].to_numpy(dtype=float)) > 1e-9:
        parts.append("Width: weight in the pilot's set.")
    if len(barred):
        parts.append(
            f"Dashed: {len(barred)} places on lists are pilots, who may not serve."
            if len(barred) > 1
            else "Dashed: one place on a list is a pilot, who may not serve."
        )
    if len(shared):
        parts.append("Number: pilots beside whom a comparator stands.")
    return " ".join(parts)
