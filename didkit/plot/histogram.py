"""The histogram of placebo pilots, with the actual estimate marked."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from didkit.plot.style import FAINT, GREY, PILOT, TEXT, canvas, finish
from didkit.plot.words import inside, signed
from didkit.results import Finding

__all__ = ["placebo_pilots"]


def placebo_pilots(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw what the method finds among comparators, and where the actual estimate stands.

    Parameters
    ----------
    finding : Finding
        Of `PlaceboPilots`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a placebo, ``draw, estimate, statistic``.

    Examples
    --------
    >>> from didkit.check import PlaceboPilots
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> finding = DiD().fit(design, "cla").infer(None).check(PlaceboPilots(draws=99))
    >>> len(placebo_pilots(finding).data)
    99
    """
    estimate, data = finding.estimate, finding.tidy()
    ax = canvas(ax, height=3.9)
    values = data["estimate"].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    actual = finding.facts["actual"]
    bins = min(40, max(8, int(np.sqrt(len(values)) * 1.3)))
    ax.hist(values, bins=bins, color=FAINT, edgecolor=GREY, linewidth=0.5)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    top = ax.get_ylim()[1]
    ax.set_ylim(0, top * 1.14)
    ax.axvline(actual, color=PILOT, linewidth=2.2)
    left, right = ax.get_xlim()
    on_right = actual > (left + right) / 2
    ax.annotate(
        f"actual {signed(actual)}",
        (actual, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if on_right else 6, -2),
        textcoords="offset points",
        ha="right" if on_right else "left",
        va="top",
        fontsize=TEXT,
        weight="bold",
        color=PILOT,
    )
    ax.set_xlabel(f"Change, {estimate.metric.unit or 'units of the metric'}")
    share = finding.facts["share_as_large"]
    return finish(
        ax,
        f"{share:.0%} of {len(data):,} sets of placebo pilots moved as far as the actual ones in "
        f"{inside(estimate.metric.label)}",
        data,
        ylabel="Sets of placebo pilots",
    )
