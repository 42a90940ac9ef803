"""How large one site's shock would have to be: a dot a site, in the metric's unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    PILOT,
    SMALL,
    canvas,
    finish,
    name_length,
    row_size,
    rows,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding, tables

__all__ = ["breakdown"]

_MOST_ROWS = 30
_COLOURS = {"pilot": PILOT, "comparator": COMPARATOR}


def breakdown(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the smallest shift of each site that changes the conclusion, smallest at the top.

    Parameters
    ----------
    finding : Finding
        Of `Breakdown`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a site, from the smallest shift to the largest, ``unit_id, name, arm,
        value, in_sds, shown``. Sites for which no shift was found stand at the bottom, without a
        dot; with more than 30 sites the 30 smallest are shown. Where no site has a shift, the
        ratio of noise alone is drawn: needed and observed, without a site.

    Raises
    ------
    DidkitError
        If there is nothing to draw: no site has a shift, and the ratio of noise is not defined.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> one_start = design.drop("522")
    >>> did = dk.DiD("complete").fit(one_start, "cla").infer(dk.DonaldLang())
    >>> breakdown(did.check(dk.Breakdown())).data["arm"].unique().tolist()
    ['pilot']
    """
    estimate = finding.estimate
    data = finding.table[finding.table["unit_id"] != ""]
    if not np.isfinite(data["value"]).any():
        return _noise(finding, ax)
    data = data[["unit_id", "name", "arm", "value", "in_sds"]]
    data = data.assign(size=data["value"].abs()).sort_values(["size", "unit_id"], kind="stable")
    data = data.drop(columns="size").reset_index(drop=True)
    data["shown"] = np.arange(len(data)) < _MOST_ROWS
    shown = data[data["shown"]]
    ax = canvas(ax, height=max(2.8, 1.9 + 0.27 * len(shown)))
    place = len(shown) - 1 - np.arange(len(shown))
    finite = shown["value"].to_numpy(dtype=float)
    ax.set_yticks(place, [short(name, name_length(ax)) for name in shown["name"]])
    ax.set_ylim(-0.7, len(shown) - 0.3)
    reach = max([*np.abs(finite[np.isfinite(finite)]), 0.0])
    sd = _one_sd(shown)
    if np.isfinite(sd):
        ax.axvspan(-sd, sd, color=FAINT, alpha=0.55, linewidth=0, zorder=0)
        reach = max(reach, sd)
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    sides, room = np.sign(finite[np.isfinite(finite)]), 1.45 * (reach or 1.0)
    least = max(0.3 * room, 1.15 * sd if np.isfinite(sd) else 0.0)
    ax.set_xlim(
        -room if (sides < 0).any() else -least,
        room if (sides > 0).any() else least,
    )
    for y, row in zip(place.tolist(), rows(shown), strict=True):
        _site(ax, y, row.value, _COLOURS[row.arm])
    outside = finding.facts["zero_outside"] == 1
    ax.set_xlabel(f"Shift of one site, {estimate.metric.unit or 'units of the metric'}")
    finish(ax, _title(finding, data, outside), data, foot=_foot(finding, data, sd))
    ax.tick_params(axis="y", labelsize=row_size(ax, len(shown)))
    for label, row in zip(ax.get_yticklabels(), rows(shown), strict=True):
        label.set_color(_COLOURS[row.arm])
    return ax


def _noise(finding: Finding, ax: Axes | None) -> Axes:
    """Draw the ratio of noise at which the conclusion changes, and the one seen."""
    needed, observed = finding.facts["ratio_needed"], finding.facts["ratio_observed"]
    if np.isnan(needed):
        raise DidkitError(
            needed="a shift of some site, or a ratio of noise, that changes the conclusion",
            found="neither: no shift was found, and the ratio is "
            + str(finding.table["means"].iloc[0]),
            where="plot.breakdown",
            todo="read finding.headline and finding.table",
        )
    named = {"noise needed": needed, "noise observed": observed}
    data = pd.DataFrame(
        [("", name, "", value, np.nan, True) for name, value in named.items() if value >= 0],
        columns=["unit_id", "name", "arm", "value", "in_sds", "shown"],
    )
    ax = canvas(ax, height=2.8)
    reach = 1.5 * max(needed, observed if np.isfinite(observed) else 0.0, 1.0)
    ax.axvspan(0, needed, color=FAINT, alpha=0.55, linewidth=0, zorder=0)
    ax.axvline(needed, color=GREY, linewidth=1.2, zorder=1)
    left = needed > 0.5 * reach
    for height, value, colour, text in (
        (0.75, needed, GREY, f"zero at an end: {tables.number(needed)}"),
        (0.3, observed, PILOT, f"as the pilots look: {tables.number(observed)}"),
    ):
        if np.isnan(value) or (colour == GREY and value == 0):
            continue
        if colour == PILOT:
            ax.plot(value, height, "o", color=colour, markersize=7, zorder=3)
            left = value > 0.5 * reach
        ax.annotate(
            text,
            (value, height),
            xytext=(-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=SMALL,
            color=colour,
            zorder=4,
        )
    ax.set_xlim(0, reach)
    ax.set_ylim(0, 1)
    ax.set_yticks([])
    ax.set_xlabel("Pilots' standard deviation / comparators'")
    then = "inside" if finding.facts["zero_outside"] == 1 else "outside"
    metric = inside(finding.estimate.metric.label)
    title = f"No shift of one site alone was found that puts zero {then} the interval ({metric})"
    said = (
        f"Grey: ratios of noise at which zero is outside, by Lau and Li's formula "
        f"(below {tables.number(needed)})."
        if needed > 0
        else "By Lau and Li's formula zero is inside however quiet the pilots are."
    )
    alone = "" if np.isfinite(observed) else " One pilot: how noisy it is cannot be seen."
    return finish(ax, title, data, foot=f"{said}{alone}")


def _site(ax: Axes, y: float, value: float, colour: str) -> None:
    """Draw one site's shift from zero, with its number; or say that there is none."""
    none = not np.isfinite(value)
    if not none:
        ax.hlines(y, 0, value, color=colour, linewidth=2, alpha=0.4, zorder=2)
        ax.plot(value, y, "o", color=colour, markersize=7, zorder=3)
    left = not none and value < 0
    ax.annotate(
        "none found" if none else signed(value),
        (0 if none else value, y),
        xytext=(-8 if left else 8, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=SMALL,
        color=GREY if none else colour,
        zorder=4,
    )


def _one_sd(shown: pd.DataFrame) -> float:
    """Return the comparators' standard deviation, as the table's two columns imply it."""
    table = shown[np.isfinite(shown["value"]) & (shown["in_sds"] > 0)]
    if not len(table):
        return float("nan")
    return float(abs(table["value"].iloc[0]) / table["in_sds"].iloc[0])


def _title(finding: Finding, data: pd.DataFrame, outside: bool) -> str:
    """Say which site breaks the conclusion most easily."""
    metric = inside(finding.estimate.metric.label)
    first = rows(data)[0]
    then = "inside" if outside else "outside"
    by = f", {tables.number(first.in_sds)} SD of comparators," if first.in_sds > 0 else ""
    return (
        f"A shift of {signed(first.value)}{by} in {first.name} alone would put zero {then} the "
        f"interval of the change in {metric}"
    )


def _foot(finding: Finding, data: pd.DataFrame, sd: float) -> str:
    """Say what the band is, and how the noise stands."""
    parts = ["Orange: pilots; blue: comparators."] if data["arm"].nunique() > 1 else []
    if not np.isnan(sd):
        parts.append(f"Grey: ±1 SD of comparators' changes ({tables.number(sd)}).")
    needed, observed = finding.facts["ratio_needed"], finding.facts["ratio_observed"]
    seen = "" if np.isnan(observed) else f"; they look {tables.number(observed)} times as noisy"
    if needed > 0:
        parts.append(
            f"Noise (Lau and Li): zero is outside while pilots are less than "
            f"{tables.number(needed)} times as noisy as comparators{seen}."
        )
    elif needed == 0:
        parts.append(f"Noise (Lau and Li): zero is inside however quiet the pilots are{seen}.")
    hidden = int((~data["shown"]).sum())
    if hidden:
        parts.append(f"{hidden} sites that need larger shifts are not shown.")
    return " ".join(parts)
