"""A rate's change as the sum of its count's part and its population's part."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check.rate_split import COUNT, POPULATION, ROUNDING, TOTAL, RateSplit
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    TAIL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    rows,
)
from didkit.plot.words import inside, signed
from didkit.results import Finding

__all__ = ["rate_split"]

_COLOURS = {COUNT: TAIL, POPULATION: COMPARATOR, ROUNDING: GREY, TOTAL: PILOT}


def rate_split(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw two bars that add up to the estimate, each with its interval.

    Parameters
    ----------
    finding : Finding
        Of `RateSplit`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: from the top ``part`` (count, population, rounding where it is more than a
        hundredth of the parts, rate), ``label, estimate, conf_low, conf_high, begin, end`` of its
        bar, in the metric's unit.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cla").infer(None).check(dk.RateSplit())
    >>> rate_split(finding).data["part"].tolist()
    ['count', 'population', 'rate']
    """
    if not isinstance(getattr(finding, "check", None), RateSplit):
        raise DidkitError(
            needed="a finding of RateSplit",
            found=type(finding).__name__,
            where="rate_split(finding)",
            todo="draw estimate.check(RateSplit())",
        )
    facts, estimate = finding.facts, finding.estimate
    data = _bars(finding)
    ax = canvas(ax, height=1.9 + 0.55 * len(data))
    y = -np.arange(len(data), dtype=float)
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    for at, row in zip(y, rows(data), strict=True):
        hue = _COLOURS[row.part]
        ax.barh(at, row.end - row.begin, left=row.begin, height=0.5, color=hue, zorder=2)
        low, high = row.begin + row.conf_low, row.begin + row.conf_high
        if np.isfinite([low, high]).all():
            ax.plot([low, high], [at, at], color=INK, linewidth=1.4, zorder=3)
        ax.annotate(
            signed(row.estimate),
            (row.end, at + 0.25),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=INK,
            bbox=HALO,
        )
    for at, row in zip(y[:-1], rows(data.iloc[:-1]), strict=True):  # where the next bar begins
        ax.plot([row.end, row.end], [at - 0.25, at - 0.75], color=GREY, linewidth=0.9,
                linestyle=(0, (2, 2)), zorder=1.5)  # fmt: skip
    ax.set_yticks(y, data["label"])
    ax.set_ylim(float(y.min()) - 0.5, 0.8)
    ax.margins(x=0.08)
    ax.set_xlabel(f"Change, {estimate.metric.unit or 'units of the metric'}")
    what = inside(estimate.metric.label)
    sure = estimate.uncertainty
    drawn = np.isfinite(data["conf_low"]).any()
    foot = (
        f"Lines: {sure.level:.0%} intervals of each part, from where its bar begins."
        if sure is not None and drawn
        else "No intervals."
    )
    finish(
        ax,
        f"Change in {what}: {signed(facts['estimate'])}, of which {signed(facts['count'])} is the "
        f"count and {signed(facts['population'])} the population",
        data,
        foot=foot,
    )
    ax.tick_params(axis="y", length=0, labelsize=SMALL if is_narrow(ax) else TEXT)
    return ax


def _bars(finding: Finding) -> pd.DataFrame:
    """Lay the bars out: each part begins where the one before it ends, the total at zero."""
    table = finding.table[finding.table["scale"] == "rate"]
    known = {str(row["part"]): row for row in table.to_dict("records")}
    facts = finding.facts
    parts = [COUNT, POPULATION]
    both = abs(facts["count"]) + abs(facts["population"])
    if abs(facts["rounding"]) > 0.01 * both:
        parts.append(ROUNDING)
    labels = {COUNT: "count", POPULATION: "population", ROUNDING: "rounding", TOTAL: "rate"}
    made, begin = [], 0.0
    for part in [*parts, TOTAL]:
        row = known[part]
        start = 0.0 if part == TOTAL else begin
        value = float(row["estimate"])
        made.append(
            {
                "part": part,
                "label": labels[part],
                "estimate": value,
                "conf_low": float(row["conf_low"]),
                "conf_high": float(row["conf_high"]),
                "begin": start,
                "end": start + value,
            }
        )
        begin += value
    return pd.DataFrame(made)
