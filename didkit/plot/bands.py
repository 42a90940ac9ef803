"""The detectable effect: the interval beside what this design would mostly have missed."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from didkit.check.detectable_effect import never_found
from didkit.plot.style import FAINT, GREY, INK, PILOT, SMALL, TEXT, canvas, finish, rows
from didkit.plot.words import inside, signed
from didkit.results import Finding, tables

__all__ = ["detectable_effect"]


def detectable_effect(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimate and its interval over the band of changes too small to be found.

    Parameters
    ----------
    finding : Finding
        Of `DetectableEffect`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a term, ``term, estimate, conf_low, conf_high, detectable``.

    Examples
    --------
    >>> from didkit.check import DetectableEffect
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> finding = DiD().fit(design, "cla").infer(None).check(DetectableEffect())
    >>> detectable_effect(finding).data.columns.tolist()
    ['term', 'estimate', 'conf_low', 'conf_high', 'detectable']
    """
    estimate = finding.estimate
    own = estimate.tidy()[["term", "estimate", "conf_low", "conf_high"]]
    data = own.merge(finding.table[["term", "detectable"]], on="term", how="inner")
    data = data[np.isfinite(data["detectable"])].reset_index(drop=True)
    ax = canvas(ax, height=1.9 + 0.5 * len(data))
    for y, row in enumerate(rows(data.iloc[::-1])):
        ax.barh(y, 2 * row.detectable, left=-row.detectable, height=0.62, color=FAINT, zorder=1)
        if np.isfinite(row.conf_low) and np.isfinite(row.conf_high):
            ax.plot([row.conf_low, row.conf_high], [y, y], color=PILOT, linewidth=3, zorder=3)
        ax.plot(row.estimate, y, "o", color=PILOT, markersize=10, zorder=4)
    ax.use_sticky_edges = False
    ax.margins(x=0.06)
    ax.axvline(0, color=INK, linewidth=0.9, zorder=2)
    ax.set_ylim(-0.6, len(data) - 0.1)
    main = data[data["detectable"] == finding.facts["detectable"]]
    row = (main if len(main) else data).iloc[0]
    size = float(row["detectable"])
    ax.annotate(
        "grey: mostly missed",
        (-size, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(2, -1),
        textcoords="offset points",
        va="top",
        fontsize=SMALL,
        color=GREY,
    )
    if len(data) == 1:
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    else:
        ax.set_yticks(range(len(data)), data["term"].iloc[::-1].tolist(), fontsize=TEXT)
    ax.set_xlabel(f"Change, {estimate.metric.unit or 'units of the metric'}")
    never = never_found(estimate, level=finding.facts["level"])
    missed = (
        f"{never[:1].lower()}{never[1:]} (grey: by a t-test)"
        if never
        else f"changes under {tables.number(size)} would mostly have been missed"
    )
    return finish(
        ax,
        f"The change in {inside(estimate.metric.label)} is {signed(float(row['estimate']))}"
        f"{_interval(row['conf_low'], row['conf_high'])}; {missed}",
        data,
    )


def _interval(low: float, high: float) -> str:
    if np.isnan(low) or np.isnan(high):
        return ""
    return f" ({signed(low)} to {signed(high)})"
