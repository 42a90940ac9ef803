"""What trends before the start could have hidden, could be, and would bring if they went on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    EndLabel,
    canvas,
    end_labels,
    finish,
    is_narrow,
    name_length,
    row_size,
    rows,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding, tables

__all__ = ["pre_trend_equivalence", "pre_trend_power", "trend_adjusted"]


def pre_trend_power(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the power of the test over the slope, with what each slope would do to the estimate.

    Parameters
    ----------
    finding : Finding
        Of `PreTrendPower`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a slope, ``slope, power, violation, expected`` (of the reported
        combination, in the metric's unit), ``asked``. Below the slopes stands what they would add
        to the estimate.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.ClusterRobust("CR2"))
    >>> pre_trend_power(events.check(dk.PreTrendPower())).data["power"].is_monotonic_increasing
    True
    """
    table = finding.table[finding.table["position"].isna()]
    columns = ["slope", "power", "violation", "expected", "asked"]
    data = table[columns].sort_values("slope", kind="stable").reset_index(drop=True)
    ax = canvas(ax, height=4.1)
    narrow = is_narrow(ax)
    curve = data[~data["asked"]]
    ax.plot(curve["slope"], curve["power"], color=COMPARATOR, linewidth=2, zorder=2)
    largest = float(curve["slope"].max())
    found = {
        name.removeprefix("slope_"): value
        for name, value in finding.facts.items()
        if name.startswith("slope_")
    }
    for label, slope in found.items():
        power = float(label) / 100
        ax.plot([slope, slope, 0], [0, power, power], color=FAINT, linewidth=1.2, zorder=1)
        ax.plot(slope, power, "o", color=COMPARATOR, markersize=8, zorder=3)
        bias = finding.facts[f"bias_{label}"]
        moved = f"moves the estimate\nby {tables.number(abs(bias))}"
        ax.annotate(
            f"{label} %: {tables.number(slope)}" + ("" if narrow else f",\n{moved}"),
            (slope, power),
            xytext=(9, -4),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=SMALL,
            color=COMPARATOR,
            bbox=HALO,
            zorder=4,
        )
    size = finding.facts["size"]
    ax.plot(0, size, "o", color="white", markeredgecolor=COMPARATOR, markersize=8, zorder=3)
    ax.set_xlim(-0.02 * largest, 1.02 * largest)
    ax.set_ylim(0, 1.03)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    straight = getattr(finding.check, "path", None) is None
    unit = _unit(finding)
    ax.set_xlabel(f"Slope, {unit} a period" if straight else "Multiple of the path")
    first = next(iter(found), None)
    metric = inside(finding.estimate.metric.label)
    if first is None:
        title = f"How often the test would find a trend before the start in {metric}"
    else:
        missed = 100 - float(first)
        what = tables.number(found[first])
        own, bias = finding.facts["estimate"], abs(finding.facts[f"bias_{first}"])
        trend = f"A trend of {what} a period" if straight else f"{what} times the path"
        title = (
            f"{trend} in {metric} would be missed in {missed:.0f} % of cases; it would move "
            f"{_moved(finding, own)} by {tables.number(bias)}"
        )
    return finish(
        ax,
        title,
        data,
        foot=f"Hollow: how often the test rejects with no trend at all ({100 * size:.0f} %).",
        ylabel="Trend found",
    )


def _moved(finding: Finding, own: float) -> str:
    """Name what a trend moves: the estimate, or terms that are another number than it."""
    estimate = finding.estimate
    printed = float(estimate.values[estimate.place_of(None, where="plot")])
    if np.isclose(own, printed, rtol=1e-6, atol=0.0):
        return f"the estimate of {signed(own)}"
    return f"{signed(own)}, the terms by period together,"


def pre_trend_equivalence(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the terms before the start with the margin and the smallest margin that holds them.

    Parameters
    ----------
    finding : Finding
        Of `PreTrendEquivalence`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a term and one each for the mean and the root mean square, from the
        top, ``measure, term, estimate, conf_low, conf_high, smallest_margin``, in the metric's
        unit.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.ClusterRobust("CR2"))
    >>> made = pre_trend_equivalence(events.check(dk.PreTrendEquivalence(5.0)))
    >>> made.data["measure"].tolist()[-2:]
    ['mean', 'rms']
    """
    columns = ["measure", "term", "estimate", "conf_low", "conf_high", "smallest_margin"]
    table = finding.table[finding.table["measure"] != "max"]
    data = table[columns].reset_index(drop=True)
    ax = canvas(ax, height=max(3.0, 1.9 + 0.34 * len(data)))
    margin, smallest = finding.facts["margin"], finding.facts["smallest_margin"]
    place = len(data) - 1 - np.arange(len(data))
    most = name_length(ax)
    ax.set_yticks(place, [short(str(name), most) for name in data["term"]])
    ax.set_ylim(-0.7, len(data) + 0.15)
    ax.axvspan(-margin, margin, color=FAINT, alpha=0.55, linewidth=0, zorder=0)
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    known = np.isfinite(smallest)
    reach = max(margin, smallest if known else 0.0)
    ends = data[["conf_low", "conf_high"]].to_numpy(dtype=float)
    reach = 1.12 * max(reach, float(np.abs(ends[np.isfinite(ends)]).max(initial=0.0)))
    ax.set_xlim(-reach, reach)
    if known:
        for side in (-smallest, smallest):
            ax.axvline(side, color=COMPARATOR, linewidth=1.4, linestyle=(0, (4, 3)), zorder=1)
    for y, row in zip(place.tolist(), rows(data), strict=True):
        colour = PILOT if row.measure == "term" else INK
        low = row.conf_low if row.measure != "rms" else 0.0
        low, high = np.clip([low, row.conf_high], -reach, reach)
        ax.hlines(y, low, high, color=colour, linewidth=2, zorder=2)
        hollow = "white" if row.measure != "term" else colour
        ax.plot(row.estimate, y, "o", color=hollow, markeredgecolor=colour, markersize=7, zorder=3)
    ax.annotate(
        f"margin ±{tables.number(margin)}",
        (-margin, 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 3),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=SMALL,
        color=GREY,
        bbox=HALO,
        zorder=4,
    )
    if known:
        ax.annotate(
            f"smallest: {tables.number(smallest)}",
            (smallest, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-3, -1),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=SMALL,
            color=COMPARATOR,
            bbox=HALO,
            zorder=4,
        )
    ax.set_xlabel(f"Movement from the reference, {_unit(finding)}")
    level = float(getattr(finding.check, "level", 0.95))
    what = {"max": "Movements", "mean": "The mean movement", "rms": "The root mean square movement"}
    name = what[str(getattr(finding.check, "measure", "max"))]
    metric = inside(finding.estimate.metric.label)
    said = (
        f"can be said to be below {tables.number(smallest)}"
        if known
        else "cannot be said to be below anything"
    )
    finish(
        ax,
        f"{name} of {metric} before the start {said}; the margin is {tables.number(margin)}",
        data,
        foot=f"Lines: {100 * (2 * level - 1):.0f} % intervals, which test at "
        f"{100 * (1 - level):.0f} % (root mean square: from 0 to its upper end).",
    )
    ax.tick_params(axis="y", labelsize=row_size(ax, len(data)))
    return ax


def trend_adjusted(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the terms, the line through those before the start, and what it leaves after it.

    Parameters
    ----------
    finding : Finding
        Of `TrendAdjusted`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a term and the reference, in order of time, ``position, estimate,
        line, adjusted, conf_low, conf_high`` (of the adjusted; NaN before the start), in the
        metric's unit.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.ClusterRobust("CR2"))
    >>> trend_adjusted(events.check(dk.TrendAdjusted())).data["position"].tolist()
    [-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0]
    """
    data = _adjusted_frame(finding)
    ax = canvas(ax, height=4.2)
    ax.axhline(0, color=INK, linewidth=0.9, zorder=1)
    ax.plot(data["position"], data["line"], color=GREY, linewidth=1.6, zorder=2,
            linestyle=(0, (4, 3)))  # fmt: skip
    before = data["conf_low"].isna()
    ax.plot(data.loc[before, "position"], data.loc[before, "line"], color=GREY, linewidth=2)
    known = data[data["estimate"].notna()]
    ax.plot(known["position"], known["estimate"], "o", color=COMPARATOR, markersize=7, zorder=4)
    reference = data[data["reference"]]
    ax.plot(reference["position"], reference["estimate"], "o", color="white", zorder=5,
            markeredgecolor=COMPARATOR, markersize=7)  # fmt: skip
    after = data[~before]
    x = after["position"] + 0.14
    ax.vlines(x, after["conf_low"], after["conf_high"], color=PILOT, linewidth=2, zorder=3)
    ax.plot(x, after["adjusted"], "D", color=PILOT, markersize=7, zorder=4)
    first, last = float(after["position"].min()), after.iloc[-1]
    ax.axvline(first - 0.5, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    places = data["position"].to_numpy()
    ax.set_xlim(places.min() - 0.5, places.max() + 0.16 * (len(places) + 2))
    named = {"estimate": "estimated", "line": "line", "adjusted": "adjusted"}
    colours = {"estimate": COMPARATOR, "line": GREY, "adjusted": PILOT}
    ends = [EndLabel(text, float(last[name]), colours[name]) for name, text in named.items()]
    end_labels(ax, float(last["position"]) + 0.22, ends)
    step = max(1, -(-len(places) // (7 if is_narrow(ax) else 14)))
    at = places[(np.arange(len(places)) - int(np.argmax(places == first))) % step == 0]
    ax.set_xticks(at, [f"{one:+.0f}".replace("-", "−") if one else "0" for one in at])
    ax.set_xlabel("Periods since the start")
    facts = finding.facts
    metric = inside(finding.estimate.metric.label)
    shape = "a straight line" if getattr(finding.check, "degree", 1) == 1 else "a parabola"
    return finish(
        ax,
        f"Less {shape} through the periods before the start, the change in {metric} is "
        f"{signed(facts['adjusted'])} ({tables.number(facts['adjusted_low'])} to "
        f"{tables.number(facts['adjusted_high'])}), not {signed(facts['original'])}",
        data,
        foot="Hollow: the reference. Bars: intervals of the adjusted terms, which know that the "
        "line is estimated.",
        ylabel=f"Difference, {_unit(finding)}",
    )


def _adjusted_frame(finding: Finding) -> pd.DataFrame:
    """Lay terms, line and adjusted out by event time, with the reference between them."""
    table = finding.table[finding.table["position"].notna()]
    wide = {name: part.set_index("position") for name, part in table.groupby("quantity")}
    data = pd.DataFrame(
        {
            "estimate": wide["as estimated"]["estimate"],
            "line": wide["line"]["estimate"],
            "adjusted": wide["adjusted"]["estimate"],
            "conf_low": wide["adjusted"]["conf_low"],
            "conf_high": wide["adjusted"]["conf_high"],
        }
    )
    at = data.index.to_numpy()
    path = np.arange(at.min(), at.max() + 1)
    missing = [float(one) for one in path if one not in at]
    data = data.reindex(path)
    data["reference"] = [float(one) in missing for one in path]
    data.loc[missing, "estimate"] = 0.0
    degree = int(getattr(finding.check, "degree", 1))
    exact = np.polyfit(at, wide["line"]["estimate"].to_numpy(), degree)
    data["line"] = np.polyval(exact, path)
    data["adjusted"] = data["estimate"] - data["line"]
    first = float(finding.facts["first"])
    data.loc[data.index < first, ["conf_low", "conf_high"]] = np.nan
    return data.rename_axis("position").reset_index()


def _unit(finding: Finding) -> str:
    metric = finding.estimate.metric
    return "percentage points" if metric.kind == "percent" else finding.unit
