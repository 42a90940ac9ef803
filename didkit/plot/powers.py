"""What a design can find: by the number of units or periods, or by the size of the effect."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from didkit.check import Power
from didkit.check.curves import Size
from didkit.check.expected import power_of_t
from didkit.plot.style import (
    COMPARATOR,
    GREY,
    INK,
    PILOT,
    TEXT,
    EndLabel,
    canvas,
    end_labels,
    finish,
    is_narrow,
    points,
    rows,
)
from didkit.plot.words import inside
from didkit.results import tables

__all__ = ["power"]

# Okabe & Ito's, in the order in which they are told apart best
_COLOURS = (PILOT, COMPARATOR, "#00795C", "#8F4A78", "#9A7500", INK)
_MOST = 6  # lines with a name of their own
_NAMES = {
    "pilots": "pilots",
    "comparators": "comparators",
    "before": "periods before",
    "after": "periods after",
}
_POINTS = 81
_ROOM = 130.0  # points between the two marks, for both their labels
_FEW_EFFECTS = 20  # of a curve from draws, whose corners then show
_FRAME = 5.0  # times the middle value: what is larger leaves the frame


def power(power: Power, ax: Axes | None = None) -> Axes:
    """Draw the smallest detectable effect of several designs, or the power of one by its effect.

    Several designs: the smallest effect found in either direction against what varies most, a line
    for each value of the rest; what is far larger than the rest leaves the frame. One design: power
    against the effect, with the power asked for and where it is reached; the band is two Monte
    Carlo standard errors on each side.

    Parameters
    ----------
    power : Power
        From `DetectableEffect`'s ways to ask before the data.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: the rows drawn, of ``power.designs()`` or ``power.tidy()``, with ``line``.

    Examples
    --------
    >>> from didkit.check import DetectableEffect, Variation
    >>> made = DetectableEffect().expected(
    ...     Variation(between=0, within=1), pilots=range(2, 9), comparators=50, before=4, after=4
    ... )
    >>> len(power(made).data)
    7
    """
    designs = power.designs()
    if len(designs) > 1:
        return _by_size(power, designs, canvas(ax))
    return _by_effect(power, canvas(ax))


def _varied(designs: pd.DataFrame) -> list[str]:
    """Name what differs between the designs, what has most values first."""
    counts = {name: designs[name].nunique() for name in Size._fields}
    if counts["pilots"] > 1 and designs.groupby("pilots")["comparators"].nunique().max() == 1:
        counts["comparators"] = 1  # all the others compare: pilots tell it
    found = [name for name in Size._fields if counts[name] > 1]
    return sorted(found, key=lambda name: -counts[name])


def _named(frame: pd.DataFrame, names: list[str]) -> pd.Series:
    """Name each row by some of its numbers."""

    def one(row: object, name: str) -> str:
        n = getattr(row, name)
        word = _NAMES[name] if n != 1 else _NAMES[name].replace("s", "", 1)
        return f"{tables.number(n) if n % 1 else f'{n:,.0f}'} {word}"

    return pd.Series(
        [", ".join(one(row, name) for name in names) for row in rows(frame)],
        index=frame.index,
        dtype=object,
    )


def _unit(power: Power) -> str:
    if power.metric is None:
        return "unit of the standard deviations given"
    return power.metric.unit or "units of the metric"


def _size(power: Power, value: float) -> str:
    """Write a size with its percentage, where the level is known."""
    if not np.isfinite(value):
        return "no size"
    base = power.facts.get("base", np.nan)
    percent = f" ({100 * value / abs(base):.0f}%)" if np.isfinite(base) and base else ""
    return f"{tables.number(value)}{percent}"


def _subject(power: Power) -> str:
    return "" if power.metric is None else f" in {inside(power.metric.label)}"


def _by_size(power: Power, designs: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the smallest detectable effect against what varies most."""
    varied = _varied(designs) or ["pilots"]
    across, others = varied[0], varied[1:]
    data = designs.assign(line=_named(designs, others)).sort_values(
        [*others, across], ignore_index=True
    )
    lines = list(dict.fromkeys(data["line"]))
    labels = []
    for i, name in enumerate(lines):
        mine = data[data["line"] == name]
        colour = _COLOURS[i] if len(lines) <= _MOST else GREY
        ax.plot(
            mine[across],
            mine["detectable"],
            color=colour,
            linewidth=2,
            marker="o",
            markersize=5 if len(mine) <= 30 else 0,
        )
        ends = i in (0, len(lines) - 1)
        if name and (len(lines) <= _MOST or ends):
            text = "\n".join(textwrap.wrap(name, 15)) if is_narrow(ax) else name
            labels.append(EndLabel(text, float(mine["detectable"].iloc[-1]), colour))
    shown = data.loc[np.isfinite(data["detectable"]), "detectable"]
    top = 1.06 * min(float(shown.max()), _FRAME * float(shown.median())) if len(shown) else 1.0
    ax.set_ylim(0, top)
    out = int((data["detectable"] > top).sum())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5 if is_narrow(ax) else 9))
    end_labels(ax, float(data[across].max()), labels)
    ax.set_xlabel(_NAMES[across][:1].upper() + _NAMES[across][1:])
    mine = data[data["line"] == lines[0]]
    first, last = mine.iloc[0], mine.iloc[-1]
    with_line = f" ({lines[0]})" if lines[0] else ""
    title = (
        f"Smallest change found with {power.check.power:.0%} power{_subject(power)}: "
        f"{_size(power, float(first['detectable']))} with {_count(first, across)}, "
        f"{_size(power, float(last['detectable']))} with {_count(last, across)}{with_line}"
    )
    fixed = [name for name in Size._fields if name not in varied]
    foot = _foot(power)
    if fixed and power.how != "resampled":
        foot += f" {_sentence(str(_named(designs.head(1), fixed).iloc[0]))}"
    if out:
        foot += f" {out} {'point' if out == 1 else 'points'} above the frame."
    return finish(ax, title, data, foot=foot, ylabel=f"Smallest change found, {_unit(power)}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _count(row: pd.Series, name: str) -> str:
    return str(_named(row.to_frame().T.infer_objects(), [name]).iloc[0])


def _curve(power: Power) -> pd.DataFrame:
    """Return the rows of the curves; by formula, made from the standard error."""
    row = power.table.iloc[0]
    reach = max(1.6 * float(row["detectable"]), float(power.table["effect"].abs().max()))
    if power.how not in ("expected", "before") or not np.isfinite(reach):
        return power.tidy()
    effect = np.linspace(-reach, reach, _POINTS)
    found = power_of_t(effect / float(row["std_error"]), float(row["df"]), power.check.level)
    base = power.facts.get("base", np.nan)
    percent = 100 * effect / abs(base) if base else np.nan
    made = power.table.iloc[np.zeros(_POINTS, dtype=int)].reset_index(drop=True)
    return made.assign(effect=effect, percent=percent, power=found)


def _by_effect(power: Power, ax: Axes) -> Axes:
    """Draw the power of one design against the effect."""
    data = _curve(power).assign(line="").sort_values("effect", ignore_index=True)
    asked = power.check.power
    x, y = data["effect"].to_numpy(), data["power"].to_numpy()
    error = 2 * data["mc_error"].to_numpy()
    if (error > 0).any():
        low, high = np.clip(y - error, 0, 1), np.clip(y + error, 0, 1)
        ax.fill_between(x, low, high, color=PILOT, alpha=0.18, linewidth=0)
    ax.plot(x, y, color=PILOT, linewidth=2)
    reach = float(np.abs(x).max()) or 1.0
    ends = {float(np.sign(e)): float(d) for e, d in zip(x, data["detectable"], strict=True) if e}
    apart = sum(min(size, reach) for size in ends.values()) / (2 * reach) * points(ax)[0]
    inside_out = -1 if apart < _ROOM else 1  # labels between the marks, or where these are too near
    for sign, size in ends.items():
        if size > reach:
            continue
        ax.plot(sign * size, asked, "o", color=PILOT, markersize=7, zorder=5)
        ax.annotate(
            f"{'−' if sign < 0 else '+'}{tables.number(size)}",
            (sign * size, asked),
            xytext=(-9 * sign * inside_out, 4 * inside_out),
            textcoords="offset points",
            ha="right" if sign * inside_out > 0 else "left",
            va="bottom" if inside_out > 0 else "top",
            fontsize=TEXT,
            weight="bold",
            color=PILOT,
            zorder=6,
        )
    ax.set_ylim(0, 1.02)
    ax.set_xlim(-reach, reach)
    ax.axhline(asked, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1.5)
    ax.axhline(1 - power.check.level, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1.5)
    ax.set_yticks([k / 5 for k in range(6)], [f"{k / 5:.0%}" for k in range(6)])
    ax.set_xlabel(f"Effect, {_unit(power)}")
    with_what = f"{asked:.0%} probability with {_count(data.iloc[0], 'pilots')}"
    title = f"{_found(power, ends)} would be found with {with_what}"
    level = f"Dotted: {1 - power.check.level:.0%}, what may be rejected with no effect."
    foot = f"{_foot(power)} {level}"
    if power.how in ("simulated", "resampled") and len(x) < _FEW_EFFECTS:
        foot += " Between the effects asked about the curve is straight."
    return finish(ax, title, data, foot=foot, ylabel="Probability of finding it")


def _found(power: Power, ends: dict[float, float]) -> str:
    """Say which changes are found, falls and rises apart where they differ as written."""
    fall, rise = (_size(power, ends.get(sign, power.facts["detectable"])) for sign in (-1.0, 1.0))
    subject = _subject(power)
    if fall == rise:
        if not np.isfinite(power.facts["detectable"]):
            return f"No change{subject}, however large,"
        return f"Changes of {rise} or more{subject}"
    if "no size" in (fall, rise):
        seen, never = ("Rises", "fall") if fall == "no size" else ("Falls", "rise")
        size = rise if fall == "no size" else fall
        return f"{seen} of {size} or more{subject}, and no {never}, however large,"
    return f"Falls of {fall} or more and rises of {rise} or more{subject}"


def _foot(power: Power) -> str:
    """Say how it was made."""
    if power.how == "simulated":
        return (
            f"{power.facts['replications']:,.0f} simulated panels; band: ± 2 Monte Carlo standard "
            f"errors. With no effect {power.facts['size']:.1%} were rejected."
        )
    if power.how == "resampled":
        several = power.table["pilots"].nunique() > 1
        count = "Placebo" if several else f"{power.facts['draws']:,.0f} placebo"
        return f"{count} designs from real pre-periods, ranked by a permutation."
    return "By formula: normal, both arms alike."
