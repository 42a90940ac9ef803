"""The terms of an estimate, one row each: by start, by period, by dose, at quantiles."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from didkit.errors import DidkitError
from didkit.plot.style import FAINT, GREY, INK, PILOT, canvas, finish, row_size, rows
from didkit.plot.words import inside, short, signed
from didkit.results import Estimate

__all__ = ["terms"]

_MOST = 40  #: rows that a picture holds


def terms(estimate: Estimate, ax: Axes | None = None) -> Axes:
    """Draw one row a term with its interval, in the order of the table.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator, with 40 terms at most.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a term, from top to bottom, ``term, phase, estimate, conf_low,
        conf_high, n_pilots``. Terms before the start are grey, the reference is hollow; an
        interval without a limit runs to the edge.

    Raises
    ------
    DidkitError
        If there are more terms than rows.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> terms(dk.GroupTime(by="group").fit(design, "cpp").infer(None)).data["term"].tolist()
    ['start 2018', 'start 2019']
    """
    table = estimate.tidy()
    if len(table) > _MOST:
        raise DidkitError(
            needed=f"at most {_MOST} terms",
            found=f"{len(table)} of {type(estimate.estimator).__name__}",
            where="plot(kind='terms')",
            todo="aggregate them, as by='group' or by='dynamic' does, or draw tidy()",
        )
    columns = ["term", "phase", "estimate", "conf_low", "conf_high", "n_pilots"]
    data = table.reindex(columns=columns).reset_index(drop=True)
    ax = canvas(ax, height=1.7 + 0.32 * len(data))
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    ends = data[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float).ravel()
    ends = np.append(ends[np.isfinite(ends)], 0.0)
    pad = 0.06 * (float(ends.max() - ends.min()) or 1.0)
    low, high = float(ends.min()) - pad, float(ends.max()) + pad
    for i, row in enumerate(rows(data)):
        colour = PILOT if row.phase == "after" else GREY
        if not np.isnan([row.conf_low, row.conf_high]).any():
            inner = [max(row.conf_low, low), min(row.conf_high, high)]
            ax.plot(inner, [i, i], color=colour, linewidth=2.2, zorder=2, solid_capstyle="butt")
        fill, edge = ("white", INK) if row.phase == "reference" else (colour, colour)
        ax.plot(row.estimate, i, "o", mfc=fill, mec=edge, mew=1.4, markersize=6.5, zorder=3)
    ax.set_xlim(low, high)
    ax.set_ylim(len(data) - 0.5, -0.5)
    ax.set_yticks(np.arange(len(data)), [short(str(term), 32) for term in data["term"]])
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel(f"Estimate, {estimate.metric.unit or 'units of the metric'}")
    finish(ax, _title(estimate), data, foot=_foot(estimate))
    ax.tick_params(axis="y", labelsize=row_size(ax, len(data)), colors=INK)
    return ax


def _title(estimate: Estimate) -> str:
    """Say how far the terms from the start on lie apart."""
    after = estimate.values[(estimate.terms["phase"] == "after").to_numpy()]
    values = after if len(after) else estimate.values
    label = inside(estimate.metric.label)
    name = type(estimate.estimator).__name__
    if len(values) == 1:
        return f"{name}, {label}: {signed(float(values[0]))}"
    low, high = signed(float(values.min())), signed(float(values.max()))
    return f"{name}, {label}: {len(values)} terms, {low} to {high}"


def _foot(estimate: Estimate) -> str:
    """Say what the lines are."""
    sure = estimate.uncertainty
    parts = []
    if sure is not None and np.isfinite(sure.conf_low).any():
        parts.append(f"Lines: {sure.level * 100:g}% intervals, {sure.method.split(',')[0]}.")
    if estimate.reference is not None:
        parts.append("Hollow: the reference.")
    return " ".join(parts)
