"""The distribution that parallel trends on every scale would imply, and the estimate by form."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check import FunctionalForm
from didkit.errors import DidkitError
from didkit.plot.style import COMPARATOR, GREY, INK, PILOT, SMALL, canvas, finish
from didkit.plot.words import inside, signed
from didkit.results import Finding

__all__ = ["functional_form"]


def functional_form(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the implied share of pilots in each bin, below zero hatched, and the share seen.

    Parameters
    ----------
    finding : Finding
        Of `FunctionalForm`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a bin, from the lowest, as `FunctionalForm.implied`, and ``label``.

    Raises
    ------
    DidkitError
        If given something else, or the finding has no implied distribution.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cpp").infer(None).check(dk.FunctionalForm(draws=100))
    >>> len(functional_form(finding).data)
    5
    """
    given: object = finding
    check = given.check if isinstance(given, Finding) else None
    if not isinstance(check, FunctionalForm) or "lowest_share" not in finding.facts:
        raise DidkitError(
            needed="a finding of FunctionalForm with an implied distribution",
            found=type(given).__name__ if check is None else type(check).__name__,
            where="functional_form(finding)",
            todo="write estimate.check(FunctionalForm()); its notes say why there is none",
        )
    data = check.implied(finding.estimate).assign(label=_labels)
    ax = canvas(ax)
    place = np.arange(len(data))
    share = 100 * data["implied"].to_numpy()
    below = share < 0
    ax.bar(place[~below], share[~below], width=0.7, color=COMPARATOR, alpha=0.35)
    ax.bar(place[below], share[below], width=0.7, facecolor="white", edgecolor=PILOT, hatch="///")
    ax.vlines(
        place, share - 196 * data["std_error"], share + 196 * data["std_error"], color=COMPARATOR
    )
    seen = 100 * data["pilots_after"].to_numpy()
    ax.plot(place, seen, "o", color=PILOT, markersize=7, zorder=3)
    ax.axhline(0, color=INK, linewidth=0.9)
    ax.set_xlim(-0.6, len(data) - 0.4)
    ax.set_xticks(place, data["label"].tolist())
    metric = finding.estimate.metric
    ax.set_xlabel(f"{metric.label}, {metric.unit or 'units of the metric'}")
    lowest = data.iloc[int(data["implied"].to_numpy().argmin())]
    percent = f"{100 * lowest['implied']:.0f}%".replace("-", "−")
    finish(
        ax,
        f"Parallel trends on every scale would put {percent} of pilots in one bin of "
        f"{inside(metric.label)}, {lowest['label']}",
        data,
        foot=_foot(finding),
        ylabel="Share of pilots, %",
    )
    ax.tick_params(axis="x", labelsize=SMALL, color=GREY)
    return ax


def _labels(bins: pd.DataFrame) -> list[str]:
    """Name the bins by their edges."""
    made = []
    for low, high in zip(bins["low"], bins["high"], strict=True):
        if np.isinf(low):
            made.append(f"under {high:.3g}")
        else:
            made.append(f"{low:.3g} on" if np.isinf(high) else f"{low:.3g}–{high:.3g}")
    return made


def _foot(finding: Finding) -> str:
    """Say the estimates by form, and what the bars are."""
    said = []
    for row in finding.table.itertuples():
        value = float(str(row.estimate))
        said.append(f"{row.form} " + ("none" if np.isnan(value) else f"{signed(value)} {row.unit}"))
    return (
        "Bars: the implied share of pilots, with 1.96 standard errors; hatched: below zero, which "
        f"no share can be. Dots: the share seen after. Estimates: {'; '.join(said)}."
    )
