"""The event study: the gap in each period less the gap in the reference period."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.errors import DidkitError, EstimationError
from didkit.plot.style import (
    GREY,
    INK,
    PILOT,
    canvas,
    finish,
    mark_starts,
    period_ticks,
    rows,
)
from didkit.plot.words import inside, signed
from didkit.results import Estimate, Finding, tables

__all__ = ["event_study", "pre_trends"]


def event_study(estimate: Estimate, ax: Axes | None = None) -> Axes:
    """Draw every term with its interval, the reference as a hollow mark, and the start.

    Parameters
    ----------
    estimate : Estimate
        Of `EventStudy`, or of ``Gap(by="period")``.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a term, ``term, position, label, phase, estimate, conf_low,
        conf_high, n_pilots``, in the metric's unit. Terms before the start are grey; those that
        one pilot carries are lighter, and the foot says so. An interval without a limit runs to
        the edge and ends in an arrow.

    Raises
    ------
    EstimationError
        If the terms are not one a period.

    Examples
    --------
    >>> from didkit.estimate import EventStudy
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> events = EventStudy().fit(design, "cla").infer(None)
    >>> event_study(events).data["position"].tolist()[:3]
    [-6, -5, -4]
    """
    data = _frame(estimate)
    return _draw(estimate, data, canvas(ax), _title(estimate, data))


def pre_trends(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the terms before the start, with their joint test in the title.

    Parameters
    ----------
    finding : Finding
        Of `PreTrends`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data`` as for `event_study`, up to the reference.

    Examples
    --------
    >>> from didkit.check import PreTrends
    >>> from didkit.estimate import EventStudy
    >>> from didkit.inference import ClusterRobust
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> events = EventStudy().fit(design, "cla").infer(ClusterRobust("CR2"))
    >>> pre_trends(events.check(PreTrends())).data["phase"].unique().tolist()
    ['before', 'reference']
    """
    estimate = finding.estimate
    data = _frame(estimate)
    data = data[data["phase"] != "after"].reset_index(drop=True)
    p = tables.p_value(finding.facts["p_value"])
    title = (
        f"{estimate.metric.label}: before the start the gap moved by at most "
        f"{tables.number(finding.facts['largest'])} from the reference (joint p "
        f"{p if p.startswith('<') else f'= {p}'})"
    )
    return _draw(estimate, data, canvas(ax), title)


def _frame(estimate: Estimate) -> pd.DataFrame:
    """Lay out the rows of the picture."""
    table = estimate.tidy()
    if "position" not in table.columns or "phase" not in table.columns or len(table) < 2:
        raise EstimationError(
            needed="one term a period",
            found=repr(estimate.estimator),
            where="the picture of an event study",
            todo="draw EventStudy().fit(design, metric)",
        )
    periods = table["period"] if "period" in table.columns else pd.Series("", index=table.index)
    timed = "event_time" in table.columns
    labels = []
    for period, position in zip(periods, table["position"], strict=True):
        time = _time(int(position)) if timed else ""
        labels.append("\n".join(part for part in (str(period), time) if part))
    return pd.DataFrame(
        {
            "term": table["term"],
            "position": table["position"].astype(int),
            "label": labels,
            "phase": table["phase"],
            "estimate": table["estimate"],
            "conf_low": table["conf_low"],
            "conf_high": table["conf_high"],
            "n_pilots": table["n_pilots"],
        }
    )


def _time(position: int) -> str:
    return f"+{position}" if position > 0 else f"−{-position}" if position < 0 else "0"


def _draw(estimate: Estimate, data: pd.DataFrame, ax: Axes, title: str) -> Axes:
    drawn = data[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float).ravel()
    bounds = np.append(drawn[np.isfinite(drawn)], 0.0)
    pad = 0.08 * (float(bounds.max() - bounds.min()) or 1.0)
    low, high = float(bounds.min()) - pad, float(bounds.max()) + 2.2 * pad
    ax.set_ylim(low, high)
    ax.axhline(0, color=INK, linewidth=0.9, zorder=1)
    solid = data[data["phase"] != "reference"]
    for row in rows(solid):
        colour = GREY if row.phase == "before" else PILOT
        light = 0.4 if row.n_pilots <= 1 else 1.0
        if not (np.isnan(row.conf_low) or np.isnan(row.conf_high)):
            ends = [max(row.conf_low, low), min(row.conf_high, high)]
            ax.plot([row.position] * 2, ends, color=colour, alpha=light, linewidth=2, zorder=2)
            for limit, end, mark in ((row.conf_low, low, "v"), (row.conf_high, high, "^")):
                if np.isinf(limit):
                    ax.plot(row.position, end, mark, color=colour, alpha=light, clip_on=False)
        ax.plot(row.position, row.estimate, "o", color=colour, alpha=light, markersize=7, zorder=3)
    for row in rows(data[data["phase"] == "reference"]):
        ax.plot(row.position, 0, "o", mfc="white", mec=INK, mew=1.6, markersize=8, zorder=4)
    places = data["position"].tolist()
    after = data.loc[data["phase"] == "after", "position"]
    ax.set_xlim(min(places) - 0.6, max(places) + (0.6 if len(after) else 1.0))
    period_ticks(ax, places, data["label"].tolist())
    edge = float(after.min()) - 0.5 if len(after) else max(places) + 0.5
    mark_starts(ax, [(edge, "start")])
    timed = "event_time" in estimate.terms.columns
    if timed and len(estimate.sample.starts) > 1:
        ax.set_xlabel("Periods since each pilot's own start (0: first period with it)")
    elif timed:
        ax.set_xlabel("Period, and periods since the start (0: first period with it)")
    return finish(ax, title, data, foot=_foot(estimate, data), ylabel=_ylabel(estimate))


def _ylabel(estimate: Estimate) -> str:
    unit = estimate.metric.unit or "units of the metric"
    if estimate.reference is None:
        return f"Pilots less comparators\n({unit})"
    return f"Gap less the reference's gap\n({unit})"


def _foot(estimate: Estimate, data: pd.DataFrame) -> str:
    try:
        sure = estimate.uncertainty
    except DidkitError:  # nobody recommends one, or none exists
        sure = None
    parts = []
    if estimate.reference is not None:
        parts.append("Hollow: the reference.")
    if sure is not None and data["conf_low"].notna().any():
        parts.append(f"Lines: {sure.level * 100:g}% intervals, {_short(sure.method)}.")
    if np.isinf(data[["conf_low", "conf_high"]].to_numpy(dtype=float)).any():
        parts.append("Arrows: the interval has no limit.")
    if (data["n_pilots"] <= 1).any():
        parts.append("Light: carried by one pilot.")
    return " ".join(parts)


def _short(method: str) -> str:
    return method.split(",")[0]


def _title(estimate: Estimate, data: pd.DataFrame) -> str:
    """Say how far the gap moved before the start and after it."""
    label = inside(estimate.metric.label)
    before = data.loc[(data["phase"] == "before"), "estimate"]
    after = data.loc[data["phase"] == "after", "estimate"]
    if estimate.reference is None:
        return f"The gap in {label} ran {_span(before)} before the start and {_span(after)} after"
    first = (
        f"Before the start the gap in {label} was {_span(before)} from the reference"
        if len(before)
        else f"No period before the reference shows how the gap in {label} moved"
    )
    return f"{first}; after it, {_span(after)}"


def _span(values: pd.Series) -> str:
    if values.empty:
        return "nowhere"
    low, high = float(values.min()), float(values.max())
    return signed(low) if low == high else f"{signed(low)} to {signed(high)}"
