"""Unaffected outcomes: what is found where the programme cannot act, on one scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.plot.style import (
    COMPARATOR,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    name_length,
    row_size,
    rows,
)
from didkit.plot.words import inside, short
from didkit.results import Finding
from didkit.results.tables import p_value, with_sign

__all__ = ["unaffected_outcomes"]


def unaffected_outcomes(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw each outcome's difference in standard deviations, the main one on top.

    Parameters
    ----------
    finding : Finding
        Of `UnaffectedOutcomes`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row an outcome, the main one first, then from the largest: ``metric,
        label, kind`` (main or unaffected), ``standardised, standardised_low,
        standardised_high``.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(dk.ClusterRobust("CR2"))
    >>> drawn = unaffected_outcomes(did.check(dk.UnaffectedOutcomes(["cla", "icpc"])))
    >>> drawn.data["kind"].tolist()
    ['main', 'unaffected', 'unaffected']
    """
    estimate = finding.estimate
    columns = ["standardised", "standardised_low", "standardised_high"]
    others = finding.table[finding.table["standardised"].notna()].assign(kind="unaffected")
    others = others.sort_values("standardised", key=lambda s: -s.abs(), kind="stable")
    full = float(estimate.values[estimate.place_of(None, where="plot")])
    scale = full / finding.facts["main"] if finding.facts["main"] else np.nan
    own = estimate[estimate.main_term]
    main = pd.DataFrame(
        [
            {
                "metric": estimate.metric.name,
                "label": estimate.metric.label,
                "kind": "main",
                "standardised": finding.facts["main"],
                "standardised_low": float(own["conf_low"]) / scale,
                "standardised_high": float(own["conf_high"]) / scale,
            }
        ]
    )
    data = pd.concat([main, others[["metric", "label", "kind", *columns]]], ignore_index=True)
    ax = canvas(ax, height=max(2.6, 1.7 + 0.42 * len(data)))
    height = -np.arange(len(data), dtype=float)
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    for y, row in zip(height, rows(data), strict=True):
        colour = PILOT if row.kind == "main" else COMPARATOR
        if np.isfinite(row.standardised_low) and np.isfinite(row.standardised_high):
            ends = [row.standardised_low, row.standardised_high]
            ax.plot(ends, [y, y], color=colour, linewidth=2, zorder=2)
        ax.plot(
            row.standardised, y, "o", color=colour, markersize=8, zorder=3,
            markerfacecolor="white" if row.kind == "main" else colour,
        )  # fmt: skip
        ax.annotate(
            _two(row.standardised),
            (row.standardised, y),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=colour,
            bbox=HALO,
            zorder=4,
        )
    if len(data) > 1:
        ax.axhline(-0.5, color=GREY, linewidth=0.6, linestyle=(0, (2, 3)), zorder=1)
    ax.set_yticks(height, [short(label, name_length(ax)) for label in data["label"]])
    ax.set_ylim(height[-1] - 0.6, 0.9)
    ax.margins(x=0.08)
    ax.set_xlabel("Change, standard deviations between comparators")
    joint, n = finding.facts["joint_p"], int(finding.facts["metrics"])
    said = f"; joint p {p_value(joint)}" if np.isfinite(joint) else ""
    sure = estimate.uncertainty
    lines = "" if sure is None else f" Lines: {sure.level:.0%} intervals."
    finish(
        ax,
        f"Where the programme cannot act, the largest change of {n} is "
        f"{_two(finding.facts['largest'])} standard deviations{said}; in "
        f"{inside(estimate.metric.label)} {_two(finding.facts['main'])}",
        data,
        foot=f"Hollow: the outcome asked about.{lines}",
    )
    ax.tick_params(axis="y", labelsize=row_size(ax, len(data)))
    return ax


def _two(value: float) -> str:
    """Write standard deviations with two decimals."""
    return with_sign(value, f"{value:.2f}".replace("-", "−"))
