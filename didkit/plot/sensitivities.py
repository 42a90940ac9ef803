"""How far trends may differ: the interval at each size of violation, and where zero enters it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check.restrictions import RelativeMagnitudes, Smoothness
from didkit.check.sensitivity_words import AS_PRINTED
from didkit.plot.style import (
    COMPARATOR,
    HALO,
    INK,
    PILOT,
    SMALL,
    EndLabel,
    canvas,
    end_labels,
    finish,
    is_narrow,
    points,
    rows,
)
from didkit.plot.words import inside
from didkit.results import Finding, tables

__all__ = ["sensitivity"]

_COLOURS = (PILOT, COMPARATOR)


def sensitivity(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the interval at each size of violation, the printed one first.

    Parameters
    ----------
    finding : Finding
        Of `Sensitivity`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: the finding's table with ``x``, where each interval stands, and ``main``
        (whether the headline is by its method). The interval as printed has a hollow marker; thin
        lines are intervals, thick ones what the effect could be if the terms had no error. A
        vertical line marks the size at which zero enters. Ends that are open run to the edge.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.Permutation(draws=99))
    >>> found = events.check(dk.Sensitivity(sizes=(0, 1), method="permutation"))
    >>> sensitivity(found).data["x"].tolist()
    [-0.5, 0.0, 1.0]
    """
    restriction = getattr(finding.check, "restriction", None) or RelativeMagnitudes()
    ax = canvas(ax, height=4.4)
    data = _placed(finding, 0.32 if is_narrow(ax) else 0.17)
    methods = [one for one in dict.fromkeys(data["method"]) if one != AS_PRINTED]
    main = next(name for name in methods if data.loc[data["method"] == name, "main"].all())
    colours = dict(zip([main, *(name for name in methods if name != main)], _COLOURS, strict=False))
    ax.axhline(0, color=INK, linewidth=0.9, zorder=1)
    low, high = _limits(data)
    ax.set_ylim(low, high)
    sizes = sorted({row.size for row in rows(data) if row.method != AS_PRINTED})
    first = float(data["x"].iloc[0])
    reach = sizes[-1] if sizes[-1] > 0 else 1.0
    ax.set_xlim(first - 0.06 * reach, sizes[-1] + 0.05 * reach)
    for row in rows(data):
        colour = INK if row.method == AS_PRINTED else colours[row.method]
        _interval(ax, row, colour, (low, high))
    _ticks(ax, first, sizes)
    broken = finding.facts["breakdown"]
    if np.isfinite(broken) and 0 < broken <= sizes[-1]:
        late = broken > 0.6 * sizes[-1]
        ax.axvline(broken, color=colours[main], linewidth=1.2, linestyle=(0, (4, 3)), zorder=1.5)
        ax.annotate(
            f"zero enters\nat {tables.number(broken)}",
            (broken, 0.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if late else 4, 3),
            textcoords="offset points",
            ha="right" if late else "left",
            va="bottom",
            fontsize=SMALL,
            color=colours[main],
            bbox=HALO,
            zorder=6,
        )
    unit = finding.unit
    ax.set_xlabel(_axis(restriction, unit))
    label = inside(finding.estimate.metric.label)
    finish(
        ax,
        _title(restriction, finding, label),
        data.drop(columns=["offset"]),
        foot="Thin: intervals; thick: without sampling error. Hollow: the estimate as printed.",
        ylabel=f"Effect, {unit}",
    )
    ends = []
    for name, colour in colours.items():
        last = data[(data["method"] == name) & data["conf_high"].notna()]
        if len(last):
            top = float(np.clip(last["conf_high"].iloc[-1], low, high))
            ends.append(EndLabel(name.replace("_", " ").replace(" ", "\n", 1), top, colour))
    end_labels(ax, sizes[-1] + 0.05 * reach, ends)
    return ax


def _placed(finding: Finding, room: float) -> pd.DataFrame:
    """Say where each interval stands: its size, methods side by side, the printed one first."""
    data = finding.table.reset_index(drop=True)
    methods = [one for one in dict.fromkeys(data["method"]) if one != AS_PRINTED]
    sizes = np.unique(data["size"].dropna().to_numpy(dtype=float))
    reach = float(sizes.max()) or 1.0
    apart = float(np.diff(sizes).min()) if len(sizes) > 1 else reach
    step = min(apart / 3, 0.025 * reach) if len(methods) > 1 else 0.0
    middle = (len(methods) - 1) / 2
    offset = [
        0.0 if m == AS_PRINTED else (methods.index(m) - middle) * step for m in data["method"]
    ]
    gap = -max(room * reach, min(apart, reach) / 2)
    data["offset"] = offset
    data["x"] = data["size"].fillna(gap) + data["offset"]
    main = _main(finding, methods)
    data["main"] = data["method"] == main
    return data


def _main(finding: Finding, methods: list[str]) -> str:
    """Name the method of the headline."""
    facts = finding.facts
    rest = finding.table
    for name in methods:
        mine = rest[(rest["method"] == name) & (rest["size"] == facts["at"])]
        ends = mine[["conf_low", "conf_high"]].to_numpy(dtype=float)
        if np.array_equal(ends[0], [facts["at_low"], facts["at_high"]], equal_nan=True):
            return name
    return methods[0]


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    """Return the range of all finite ends, zero included, with a margin."""
    ends = data[["conf_low", "conf_high", "identified_low", "identified_high"]].to_numpy(float)
    finite = np.append(ends[np.isfinite(ends)], 0.0)
    low, high = float(finite.min()), float(finite.max())
    room = 0.08 * ((high - low) or 1.0)
    return low - room, high + room


def _interval(ax: Axes, row: SimpleNamespace, colour: str, limits: tuple[float, float]) -> None:
    """Draw one interval, and what the effect could be without sampling error."""
    if np.isfinite(row.conf_low) or np.isfinite(row.conf_high) or row.conf_low < row.conf_high:
        ends = np.clip([row.conf_low, row.conf_high], *limits)
        ax.plot([row.x, row.x], ends, color=colour, linewidth=1.6, zorder=2)
    if not np.isfinite(row.identified_low):
        return
    if row.method == AS_PRINTED:
        ax.plot(
            row.x, row.identified_low, "o", markersize=8, markerfacecolor="white",
            markeredgecolor=colour, markeredgewidth=1.6, zorder=3,
        )  # fmt: skip
        return
    inner = [row.identified_low, row.identified_high]
    if inner[0] == inner[1]:
        ax.plot(row.x, inner[0], "o", color=colour, markersize=5, zorder=3)
    else:
        ax.plot([row.x, row.x], inner, color=colour, linewidth=5, solid_capstyle="butt", zorder=3)


def _ticks(ax: Axes, first: float, sizes: list[float]) -> None:
    """Put a tick at each size that has room, and one at the printed interval."""
    beside = 70  # points of the labels on the right
    across = (points(ax)[0] - beside) / (ax.get_xlim()[1] - ax.get_xlim()[0])
    named = [(first, "as\nprinted")]
    taken = first * across + 22
    for size in sizes:
        text = f"{size:g}"
        half = 3.2 * len(text)
        if size * across - half > taken or size == 0:
            named.append((size, text))
            taken = size * across + half + 4
    ax.set_xticks([x for x, _ in named], [text for _, text in named])


def _axis(restriction: RelativeMagnitudes | Smoothness, unit: str) -> str:
    """Label the sizes."""
    if isinstance(restriction, Smoothness):
        return f"Change of the slope of the difference in trends, {unit} a period"
    what = "jump" if restriction.of == "first" else "change of slope"
    return f"Violation after the start, in times of the largest {what} before it"


def _title(restriction: RelativeMagnitudes | Smoothness, finding: Finding, label: str) -> str:
    """Say when zero enters the interval."""
    broken, unit = finding.facts["breakdown"], finding.unit
    bent = isinstance(restriction, Smoothness) or restriction.of == "second"
    what = "trends may bend apart" if bent else "trends may jump apart"

    def much(size: float) -> str:
        if isinstance(restriction, Smoothness):
            return f"by {tables.number(size)} {unit} a period"
        return f"{tables.number(size)} times as far as before"

    if broken == 0:
        none = "differed by a straight line" if bent else "ran parallel"
        return f"Zero is inside the interval for {label} even if trends {none} after the start"
    if not np.isfinite(broken):
        tried = much(finding.facts["tried"])
        return f"Zero stays outside the interval for {label} even where {what} {tried}"
    return f"Zero enters the interval for {label} once {what} {much(broken)}"
