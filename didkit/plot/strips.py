"""The strip of long differences: one number a unit, which is all that the comparison is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from didkit.plot.style import (
    COMPARATOR,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    points,
    rows,
)
from didkit.plot.words import inside, short, signed, subject
from didkit.results import Estimate, tables

__all__ = ["long_differences"]

Floats = NDArray[np.float64]

_LARGEST = 260.0  # area of the largest dot, in square points, where units are few
_COLOURS = {"pilot": PILOT, "comparator": COMPARATOR}


def long_differences(estimate: Estimate, term: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the one number a unit that the estimate compares, pilots above comparators.

    Parameters
    ----------
    estimate : Estimate
        One that compares one number a unit, such as `DiD` or `Gap`.
    term : str, optional
        By default ``estimate.main_term``.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a unit, ``unit, name, arm, value, weight, exposure, y``. The area of a
        dot is proportional to the unit's population, or alike for all where the panel does not
        know it, which the foot says. `y` only keeps dots apart. The bars are the plain means of
        the arms, each unit counted once.

    Raises
    ------
    EstimationError
        If the estimate does not compare one number a unit, or has no such term.

    Examples
    --------
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> long_differences(DiD().fit(design, "cla").infer(None)).data["arm"].nunique()
    2
    """
    name = estimate.main_term if term is None else term
    data = estimate.long_differences(name)
    ax = canvas(ax, height=4.9)
    area = _areas(data)
    arms = [arm for arm in ("comparator", "pilot") if (data["arm"] == arm).any()]
    ax.set_xlim(*_limits(data["value"].to_numpy(dtype=float)))
    narrow = is_narrow(ax)
    words = [_arm_words(data, arm, _level(name), narrow) for arm in arms]
    ax.set_yticks(range(len(arms)), words)
    data["y"], centres = _places(ax, data, arms, area)
    ax.set_yticks(list(centres.values()), words)
    _dots(ax, data, area)
    means = {arm: _mean(data, arm) for arm in arms}
    for arm in arms:
        _mark_mean(ax, means[arm], centres[arm], _COLOURS[arm])
    _extremes(ax, data, arms, area)
    if len(arms) > 1:
        _difference(ax, means, sum(centres.values()) / 2, above=narrow)
    ax.tick_params(axis="y", length=0)
    if _low(ax) < 0 < ax.get_xlim()[1]:
        ax.axvline(0, color=GREY, linewidth=0.9, zorder=0.5)
    kind = "Level" if _level(name) else "Change"
    ax.set_xlabel(f"{kind} in each authority, {estimate.metric.unit or 'units of the metric'}")
    finish(ax, _title(estimate, name, means), data, foot=_foot(estimate, data, name, means))
    for label, arm in zip(ax.get_yticklabels(), arms, strict=True):
        label.set_color(_COLOURS[arm])
    _size_key(ax, estimate, data, area)
    return ax


def _low(ax: Axes) -> float:
    return float(ax.get_xlim()[0])


def _level(term: str) -> bool:
    """Whether a term compares levels rather than changes."""
    return term.startswith(("gap_", "gap in "))


def _areas(data: pd.DataFrame) -> Floats:
    """Area of each dot in square points, proportional to population where it is known."""
    known = data["exposure"].to_numpy(dtype=float)
    largest = float(np.clip(20_000 / max(len(data), 1), 60, _LARGEST))
    if not np.isfinite(known).all() or not (known > 0).all():
        return np.full(len(data), 0.4 * largest)
    made: Floats = largest * known / known.max()
    return made


def _limits(values: Floats) -> tuple[float, float]:
    """Leave room to the left and right for the dots of the extremes."""
    low, high = float(values.min()), float(values.max())
    pad = 0.06 * ((high - low) or 1.0)
    return low - pad, high + pad


def _places(
    ax: Axes, data: pd.DataFrame, arms: Sequence[str], area: Floats
) -> tuple[Floats, dict[str, float]]:
    """Give every dot a height, and every arm its centre, the arms one above the other."""
    width, height = points(ax)
    low, high = ax.get_xlim()
    across = (data["value"].to_numpy(dtype=float) - low) / (high - low) * width
    radius = np.sqrt(area / np.pi)
    offset, half = np.zeros(len(data)), {}
    for arm in arms:
        mine = np.flatnonzero(data["arm"] == arm)
        offset[mine] = apart(across[mine], radius[mine])
        half[arm] = float((np.abs(offset[mine]) + radius[mine]).max())
    key, between, above = 30.0, 46.0, 18.0  # points: the key of sizes, the difference, names
    room = max(height - key - between * (len(arms) - 1) - 2 * above * len(arms), 40.0)
    need = 2 * sum(half.values())
    squeeze = min(1.0, room / need)
    above += max(room - need, 0.0) / (2 * len(arms))
    centres, bottom = {}, key
    for arm in arms:
        mine = np.flatnonzero(data["arm"] == arm)
        offset[mine] *= squeeze
        centres[arm] = bottom + above + squeeze * half[arm]
        offset[mine] += centres[arm]
        bottom = centres[arm] + squeeze * half[arm] + above + between
    ax.set_ylim(0, bottom - between)
    return offset, centres


def apart(across: Floats, radius: Floats) -> Floats:
    """Move dots up or down as little as needed for none to overlap, in the order of their values.

    Examples
    --------
    >>> apart(np.array([0.0, 0.0, 50.0]), np.array([5.0, 5.0, 5.0])).tolist()
    [0.0, 10.0, 0.0]
    """
    made = np.zeros(len(across))
    placed: list[int] = []
    for i in np.argsort(across, kind="stable"):
        near = [j for j in placed if across[i] - across[j] < radius[i] + radius[j]]
        if near:
            gap = np.array([across[i] - across[j] for j in near])
            touch = np.array([radius[i] + radius[j] for j in near])
            at = made[near]
            reach = np.sqrt(np.maximum(touch**2 - gap**2, 0.0))
            options = np.concatenate([[0.0], at + reach, at - reach])
            clear = (
                np.hypot(options[:, None] - at[None], gap[None]) >= touch[None] * (1 - 1e-9)
            ).all(axis=1)
            options = options[clear]
            made[i] = options[np.argmin(np.abs(options))]
        placed.append(int(i))
    return made


def _dots(ax: Axes, data: pd.DataFrame, area: Floats) -> None:
    ax.scatter(
        data["value"],
        data["y"],
        s=area,
        c=[_COLOURS[arm] for arm in data["arm"]],
        alpha=0.72,
        edgecolors="white",
        linewidths=0.6,
        zorder=3,
    )


def _mean(data: pd.DataFrame, arm: str) -> float:
    """Sum of weight × value of an arm, without the sign of the comparators."""
    mine = data[data["arm"] == arm]
    return float((mine["weight"].abs() * mine["value"]).sum())


def _mark_mean(ax: Axes, mean: float, centre: float, colour: str) -> None:
    """Mark a mean: a bold upright bar on white, so that it is seen among the dots."""
    for width, hue in ((6.5, "white"), (3.6, colour)):
        ax.plot([mean, mean], [centre - 15, centre + 15], color=hue, linewidth=width, zorder=4)


def _difference(ax: Axes, means: dict[str, float], y: float, *, above: bool) -> None:
    """Draw the difference from the comparators' mean to the pilots', with its number."""
    start, end = means["comparator"], means["pilot"]
    ax.annotate(
        "",
        (end, y),
        xytext=(start, y),
        arrowprops={
            "arrowstyle": "-|>",
            "color": INK,
            "linewidth": 1.8,
            "shrinkA": 0,
            "shrinkB": 0,
        },
        zorder=5,
    )
    for x, arm in ((start, "comparator"), (end, "pilot")):
        ax.plot([x, x], [y - 7, y + 7], color=_COLOURS[arm], linewidth=1.6, zorder=5)
    on_right = max(start, end) > sum(ax.get_xlim()) / 2
    leftmost = on_right != above  # beside the arrow on the wider side; or above it, inwards
    ax.annotate(
        f"difference {signed(end - start)}",
        (min(start, end) if leftmost else max(start, end), y),
        xytext=(0, 8) if above else (-8 if on_right else 8, 0),
        textcoords="offset points",
        ha="right" if on_right else "left",
        va="bottom" if above else "center",
        fontsize=SMALL if above else TEXT,
        weight="bold",
        color=INK,
        bbox=HALO,
        zorder=6,
    )


def _extremes(ax: Axes, data: pd.DataFrame, arms: Sequence[str], area: Floats) -> None:
    """Name the smallest and the largest unit of each arm, above the dots beside it."""
    low, high = ax.get_xlim()
    per_point = (high - low) / points(ax)[0]
    top = data["y"] + np.sqrt(area / np.pi)
    for arm in arms:
        mine = data[data["arm"] == arm].sort_values("value", kind="stable")
        ends = mine.iloc[[0, -1]] if len(mine) > 1 else mine
        for row in rows(ends):
            left = row.value < (low + high) / 2
            text = short(row.name or row.unit, 24)
            across = per_point * SMALL * 0.62 * len(text) * (1 if left else -1)
            span = sorted((row.value - across / 8, row.value + across))
            under = (data["arm"] == arm) & data["value"].between(*span)
            height = float(top[under].max()) + 5.0
            own = float(top[(data["arm"] == arm) & (data["unit"] == row.unit)].iloc[0])
            ax.plot([row.value] * 2, [own, height + 7.0], color=_COLOURS[arm], linewidth=0.8)
            ax.annotate(
                text,
                (row.value, height),
                xytext=(3 if left else -3, 0),
                textcoords="offset points",
                ha="left" if left else "right",
                va="bottom",
                fontsize=SMALL,
                color=_COLOURS[arm],
                zorder=5,
            )


def _arm_words(data: pd.DataFrame, arm: str, level: bool, narrow: bool) -> str:
    """Say how many units an arm has and, of changes, how many fell."""
    values = data.loc[data["arm"] == arm, "value"]
    words = f"{len(values)} {arm}{'s' if len(values) != 1 else ''}"
    if level or narrow:
        return words.replace(" ", "\n") if narrow else words
    return f"{words}:\n{int((values < 0).sum())} fell,\n{int((values > 0).sum())} rose"


def _title(estimate: Estimate, term: str, means: dict[str, float]) -> str:
    """Say what each arm did on average, and how far apart that is."""
    metric = estimate.metric
    if _level(term):
        said = [f"{tables.number(m)} in the {arm}s" for arm, m in reversed(means.items())]
        title = f"{metric.label}: on average {' and '.join(said)}"
    else:
        said = [f"{signed(m)} in the {arm}s" for arm, m in reversed(means.items())]
        title = f"{_capital(subject(metric))} changed on average by {' and '.join(said)}"
    if len(means) < 2:
        return title
    return f"{title}: a difference of {signed(means['pilot'] - means['comparator'])}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _foot(estimate: Estimate, data: pd.DataFrame, term: str, means: dict[str, float]) -> str:
    """Say what bars and sizes are, and where the estimate is not the difference of the means."""
    parts = ["Bars: means, each authority counted once."]
    if len(means) > 1:
        value = float(estimate.values[list(estimate.terms["term"]).index(term)])
        apart = means["pilot"] - means["comparator"]
        if not np.isclose(
            value, apart, rtol=1e-6, atol=1e-9 * (1 + float(data["value"].abs().max()))
        ):
            parts.append(
                f"The estimate, {signed(value)}, also uses units with gaps and is not exactly this "
                "difference."
                if len(estimate.sample.starts) == 1
                else f"The estimate, {signed(value)}, weighs starts and gaps otherwise and is not "
                "exactly this difference."
            )
    if _population(data) is None:
        parts.append("Dots are alike: the panel does not hold every unit's population.")
    else:
        parts.append(f"Area of a dot: {_base_label(estimate)}.")
    return " ".join(parts)


def _base_label(estimate: Estimate) -> str:
    """Name what the areas are proportional to."""
    held = estimate.design.panel.metrics
    base = estimate.metric.denominator or "population"
    base = base if base in held else "population"
    if base in held and base not in ("population", "cla_population"):
        return inside(held[base].label)
    return "child population"


def _population(data: pd.DataFrame) -> Floats | None:
    known = data["exposure"].to_numpy(dtype=float)
    return known if np.isfinite(known).all() and (known > 0).all() else None


def _size_key(ax: Axes, estimate: Estimate, data: pd.DataFrame, area: Floats) -> None:
    """Show two round sizes with what they stand for."""
    known = _population(data)
    if known is None:
        return
    scale = float(area.max() / known.max())
    largest = _round(float(known.max()))
    what = _base_label(estimate).removeprefix("child ")
    sizes = {largest / 4: f"{largest / 4:,.0f}", largest: f"{largest:,.0f} ({what})"}
    handles = [
        ax.scatter([], [], s=scale * size, color=GREY, alpha=0.72, label=label)
        for size, label in sizes.items()
    ]
    ax.legend(
        handles=handles,
        loc="lower right",
        ncols=2,
        frameon=False,
        fontsize=SMALL,
        labelcolor=GREY,
        borderaxespad=0.1,
        handletextpad=0.3,
        columnspacing=1.2,
    )


def _round(value: float) -> float:
    """Round down to one significant digit: 189,797 → 100,000."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(np.floor(value / power) * power)
