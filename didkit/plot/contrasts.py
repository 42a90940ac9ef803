"""The contrast study: the paths of the sites, and their contrast among those of other sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import (
    Affine2D,
    BboxTransformTo,
    ScaledTranslation,
    blended_transform_factory,
)

from didkit.check import ContrastStudy
from didkit.check.contrast_reference import Reference
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    INK,
    PILOT,
    SMALL,
    TAIL,
    EndLabel,
    canvas,
    end_labels,
    finish,
    is_narrow,
    mark_starts,
    period_ticks,
)
from didkit.plot.words import axis_label, inside, short, signed
from didkit.results import Estimate, Finding, tables

__all__ = ["contrast_study"]

_COLOURS = {"pilot": PILOT, "comparator": COMPARATOR}
_DODGE = 0.035  # of a period: what sites stand apart, so that none hides another
_ABOVE, _STRIP = 46.0, 66.0  # points: labels of the periods and the heading, the strip itself


def contrast_study(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw each site's path, and below it the contrast among those of the reference.

    Parameters
    ----------
    finding : Finding
        Of `ContrastStudy`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a site and period, ``unit, name, arm, period, value, error`` (the
        standard error of the mean, where the panel has numbers and spreads of individuals; drawn
        as ±1.96 of it). With a reference the contrasts are drawn in an inset below.

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> frame = pd.DataFrame({"site": [*"ABCD"] * 2, "year": [2018] * 4 + [2019] * 4})
    >>> frame["wai"] = [50.0, 51, 50, 49, 58, 61, 52, 50]
    >>> panel = dk.Panel.from_frame(
    ...     frame, unit="site", period="year", metrics=["wai"], identity="any"
    ... )
    >>> rollout = dk.Rollout({"A": 2019, "B": 2019})
    >>> design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    >>> found = dk.DiD().fit(design, "wai").check(dk.ContrastStudy())
    >>> len(contrast_study(found).data)
    8
    """
    check = finding.check
    if not isinstance(check, ContrastStudy):
        raise DidkitError(
            needed="a finding of ContrastStudy",
            found=f"one of {type(check).__name__}",
            where="plot.contrast_study",
            todo="use finding.plot(), which knows its picture",
        )
    estimate, data = finding.estimate, _paths(finding)
    found = check.ranked(estimate)
    ax = canvas(ax, height=4.6 if found is None else 6.0)
    periods, metric = list(estimate.sample.periods), estimate.metric
    narrow = is_narrow(ax)
    labels = _lines(ax, data, finding.table)
    ax.margins(x=0.04, y=0.12)
    names = max(len(label.text) for label in labels) * 6.4 + 12
    period_ticks(ax, range(len(periods)), periods, beside=names)
    written = (metric.unit or metric.label) if narrow else axis_label(metric)
    finish(ax, _title(finding, found), data, foot=_foot(finding, data, found), ylabel=written)
    if found is not None:
        _strip(ax, found, estimate)
    starts = sorted(set(estimate.sample.starts))
    mark_starts(ax, [(at - 0.5, "start") for at in starts])
    end_labels(ax, len(periods) - 1 + _DODGE * 2, labels)
    return ax


def _paths(finding: Finding) -> pd.DataFrame:
    """Lay the sites' means out, with the standard error of each where it is known."""
    estimate = finding.estimate
    sample, panel = estimate.sample, estimate.design.panel
    n, sd = (f"{estimate.metric.name}{end}" for end in ("_n", "_sd"))
    known = n in panel.metrics and sd in panel.metrics
    made = []
    for row in finding.table.to_dict("records"):
        j = sample.units.index(str(row["unit"]))
        i = panel.unit_ids.index(str(row["unit"]))
        for t, label in enumerate(sample.periods):
            at = panel.calendar.position(label)
            error = float("nan")
            if known and panel.cells(n).value[i, at] > 0:
                error = panel.cells(sd).value[i, at] / np.sqrt(panel.cells(n).value[i, at])
            made.append((row["unit"], row["name"], row["arm"], label, sample.y[j, t], error))
    return pd.DataFrame(made, columns=["unit", "name", "arm", "period", "value", "error"])


def _lines(ax: Axes, data: pd.DataFrame, table: pd.DataFrame) -> list[EndLabel]:
    """Draw one path a site, and return the labels of their ends."""
    labels = []
    sites = list(data.groupby("unit", sort=False))
    for k, (_, own) in enumerate(sites):
        colour = _COLOURS[str(own["arm"].iloc[0])]
        value, error = own["value"].to_numpy(dtype=float), own["error"].to_numpy(dtype=float)
        x = np.arange(len(own)) + _DODGE * (k - (len(sites) - 1) / 2)
        if np.isfinite(error).any():
            reach = 1.96 * error
            ax.vlines(x, value - reach, value + reach, color=colour, alpha=0.35, linewidth=2)
        ax.plot(x, value, color=colour, linewidth=2.2, marker="o", markersize=5, zorder=3)
        change = float(table["change"].iloc[k])
        name = short(str(own["name"].iloc[0]), 9 if is_narrow(ax) else 16)
        text = f"{name} {signed(change)}"
        end = value[np.isfinite(value)][-1]
        labels.append(EndLabel(text, float(end), colour))
    return labels


def _strip(ax: Axes, found: Reference, estimate: Estimate) -> None:
    """Draw the contrasts as a histogram below the paths, those as far from zero in colour."""
    down = (
        Affine2D().scale(1 / 72)
        + ax.figure.dpi_scale_trans
        + ScaledTranslation(0, 0, BboxTransformTo(ax.bbox))
    )
    below = ax.inset_axes(
        (0.0, -(_ABOVE + _STRIP), 1.0, _STRIP),
        transform=blended_transform_factory(ax.transAxes, down),
    )
    lines = int(np.ceil((_ABOVE + _STRIP) / (SMALL * 1.2)))
    ax.xaxis.label.set_text("\n" * lines + ax.get_xlabel())  # the foot stands below the strip
    size = float(np.abs(found.contrasts).max()) * 1.02
    bar = size / 30
    if abs(found.actual) > bar:  # the study's own at an edge, so that no bar is of two colours
        bar = abs(found.actual) / np.floor(abs(found.actual) / bar)
    edges = bar * np.arange(-np.ceil(size / bar), np.ceil(size / bar) + 1)
    count, _ = np.histogram(found.contrasts, edges)
    far = np.abs(found.contrasts) >= abs(found.actual) * (1 - 1e-9)
    tail, _ = np.histogram(found.contrasts[far], edges)
    below.bar(edges[:-1], count, bar, align="edge", color=FAINT)
    below.bar(edges[:-1], tail, bar, align="edge", color=TAIL)
    below.axvline(found.actual, color=PILOT, linewidth=1.8)
    left = found.actual > 0.35 * size
    below.annotate(
        f"these sites: {signed(found.actual)}",
        (found.actual, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=SMALL,
        color=PILOT,
    )
    for side in ("top", "right", "left"):
        below.spines[side].set_visible(False)
    below.spines["bottom"].set_color(GREY)
    below.set_yticks([])
    below.set_xlim(-size, size)
    below.set_ylim(0, float(count.max()) * 1.45)
    below.tick_params(labelsize=SMALL, colors=INK, color=GREY)
    unit = "SDs of individuals" if found.standardised else estimate.metric.unit
    below.set_title(
        f"Contrasts of as many sites{f', {unit}' if unit else ''}",
        loc="left",
        fontsize=SMALL,
        color=GREY,
        pad=3,
    )


def _title(finding: Finding, found: Reference | None) -> str:
    """Say the contrast and its interval with its label, or its rank."""
    facts, metric = finding.facts, inside(finding.estimate.metric.label)
    n = finding.table["arm"].value_counts()
    said = (
        f"{int(n['pilot'])} sites against {int(n['comparator'])}: a contrast of "
        f"{signed(facts['estimate'])} in {metric}"
    )
    if found is None:
        if np.isnan(facts["conf_low"]):
            return f"{said}, without an interval"
        return f"{said} (pooled t: {signed(facts['conf_low'])} to {signed(facts['conf_high'])})"
    return f"{said}; {percent(found.p_value)} of contrasts are as far from zero"


def percent(share: float) -> str:
    """Write a share in whole percent, or in tenths of one where it is small.

    Examples
    --------
    >>> percent(0.25), percent(0.0042)
    ('25%', '0.4%')
    """
    if share < 0.001:
        return "under 0.1%"
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _foot(finding: Finding, data: pd.DataFrame, found: Reference | None) -> str:
    """Say what bars are, what the pooled t needs, and what does not exist."""
    facts = finding.facts
    parts = ["Orange: pilots; blue: comparators; numbers: each site's change."]
    if data["error"].notna().any():
        parts.append("Upright lines: ±1.96 standard errors of the mean of individuals.")
    if found is not None:
        kind = "All" if found.exact else f"{len(found.contrasts):,} drawn"
        parts.append(
            f"{kind} contrasts of {found.n_sites} reference sites and these: a p-value only if "
            "their changes are exchangeable."
        )
    parts.append(
        "No pooled t: changes within the arms do not differ."
        if np.isnan(facts["conf_low"])
        else f"Pooled t: {signed(facts['conf_low'])} to {signed(facts['conf_high'])}, needs "
        "equal-variance normal site shocks."
    )
    alpha = 1 - facts["level"]
    if facts["least_p"] > alpha:
        parts.append(
            f"No distribution-free {alpha:.0%} test exists: the least p is "
            f"{tables.number(facts['least_p'])}."
        )
    return " ".join(parts)
