"""The event study: the gap in each period less the gap in the reference period."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.errors import DidkitError, EstimationError
from didkit.estimate import Gap
from didkit.plot.style import (
    FAINT,
    GREY,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    mark_starts,
    period_ticks,
    rows,
)
from didkit.plot.words import inside, signed
from didkit.results import Estimate, Finding, tables

__all__ = ["event_study", "pre_trends"]

_ENDS = ["conf_low", "conf_high", "band_low", "band_high"]


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
        conf_high, n_pilots, band_low, band_high`` (NaN without a uniform band), in the metric's
        unit. Thick lines are intervals term by term, thin ones with caps the band that holds all
        terms at once. Terms before the start are grey, those of the shaded anticipation hollow;
        those that one pilot carries are lighter, and the foot says so. An interval without a limit
        runs to the edge and ends in an arrow.

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
    """Draw the terms before the start, with the test of them all in the title.

    Parameters
    ----------
    finding : Finding
        Of `PreTrends`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data`` as for `event_study`, up to the start.

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
        f"{estimate.metric.label}: before the start the gap had moved by up to "
        f"{tables.number(finding.facts['largest'])} (all earlier terms together, p "
        f"{p if p.startswith('<') else f'= {p}'})"
    )
    return _draw(estimate, data, canvas(ax), title)


def _frame(estimate: Estimate) -> pd.DataFrame:
    """Lay out the rows of the picture."""
    table = estimate.tidy()
    needs = {"position", "phase"} - set(table.columns)
    if needs or "group" in table.columns or len(table) < 2:
        raise EstimationError(
            needed="one term a period",
            found=repr(estimate.estimator),
            where="the picture of an event study",
            todo="draw EventStudy().fit(design, metric); any terms, one row each: kind='terms'",
        )
    periods = table["period"] if "period" in table.columns else pd.Series("", index=table.index)
    timed = "event_time" in table.columns
    labels = []
    for period, position in zip(periods, table["position"], strict=True):
        time = _time(int(position)) if timed else ""
        labels.append("\n".join(part for part in (str(period), time) if part))
    made = pd.DataFrame(
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
    for name in ("band_low", "band_high"):
        made[name] = table[name].astype(float) if name in table.columns else np.nan
    return made


def _time(position: int) -> str:
    return f"+{position}" if position > 0 else f"−{-position}" if position < 0 else "0"


def _draw(estimate: Estimate, data: pd.DataFrame, ax: Axes, title: str) -> Axes:
    low, high = _limits(data)
    ax.set_ylim(low, high)
    ax.axhline(0, color=INK, linewidth=0.9, zorder=1)
    for row in rows(data[data["phase"] != "reference"]):
        colour = GREY if row.phase == "before" else PILOT
        light = 0.4 if row.n_pilots <= 1 else 1.0
        for ends, width, cap in (
            ((row.band_low, row.band_high), 1.0, "_"),
            ((row.conf_low, row.conf_high), 2.6, ""),
        ):
            _interval(ax, row.position, ends, (low, high), colour, light, width, cap)
        fill = "white" if row.phase == "anticipation" else colour
        ax.plot(row.position, row.estimate, "o", mfc=fill, mec=colour, mew=1.6, alpha=light,
                markersize=6.5, zorder=3)  # fmt: skip
    for row in rows(data[data["phase"] == "reference"]):
        ax.plot(row.position, 0, "o", mfc="white", mec=INK, mew=1.6, markersize=8, zorder=4)
    places = data["position"].tolist()
    after = data.loc[data["phase"] == "after", "position"]
    ax.set_xlim(min(places) - 0.6, max(places) + (0.6 if len(after) else 1.0))
    period_ticks(ax, places, data["label"].tolist())
    edge = float(after.min()) - 0.5 if len(after) else max(places) + 0.5
    mark_starts(ax, [(edge, "start")])
    _shade(ax, data.loc[data["phase"] == "anticipation", "position"], edge)
    timed = "event_time" in estimate.terms.columns
    if timed and len(estimate.sample.starts) > 1:
        ax.set_xlabel("Periods since each pilot's own start (0: first period with it)")
    elif timed:
        ax.set_xlabel("Period, and periods since the start (0: first period with it)")
    return finish(ax, title, data, foot=_foot(estimate, data), ylabel=_ylabel(estimate))


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    """Hold every finite end of a term, and 0."""
    ends = data[["estimate", *_ENDS]].to_numpy(dtype=float).ravel()
    ends = np.append(ends[np.isfinite(ends)], 0.0)
    pad = 0.08 * (float(ends.max() - ends.min()) or 1.0)
    return float(ends.min()) - pad, float(ends.max()) + 2.2 * pad


def _interval(
    ax: Axes,
    x: float,
    ends: tuple[float, float],
    limits: tuple[float, float],
    colour: str,
    alpha: float,
    width: float,
    cap: str,
) -> None:
    """Draw an interval as an upright line; an end without a limit is an arrow at the edge."""
    if np.isnan(ends).any():
        return
    inner = [max(ends[0], limits[0]), min(ends[1], limits[1])]
    ax.plot([x, x], inner, color=colour, alpha=alpha, linewidth=width, zorder=2,
            marker=cap or None, markersize=7, solid_capstyle="butt")  # fmt: skip
    for end, edge, mark in zip(ends, limits, "v^", strict=True):
        if np.isinf(end):
            ax.plot(x, edge, mark, color=colour, alpha=alpha, clip_on=False)


def _shade(ax: Axes, window: pd.Series, start: float) -> None:
    """Shade the periods in which the programme may already have acted."""
    if window.empty:
        return
    left = float(window.min()) - 0.5
    ax.axvspan(left, start, color=FAINT, alpha=0.45, linewidth=0, zorder=0)
    ax.annotate(
        "anticipation",
        (start, 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=SMALL,
        color=INK,
    )


def _ylabel(estimate: Estimate) -> str:
    unit = estimate.metric.unit or "units of the metric"
    if estimate.reference is None:
        other = "comparators" if _is_level(estimate) else "what comparators say"
        return f"Pilots less {other}\n({unit})"
    return f"Gap less the reference's gap\n({unit})"


def _foot(estimate: Estimate, data: pd.DataFrame) -> str:
    try:
        sure = estimate.uncertainty
    except DidkitError:  # nobody recommends one, or none exists
        sure = None
    parts = []
    if estimate.reference is not None:
        early = (data["phase"] == "anticipation").any()
        parts.append(f"Hollow{', black' if early else ''}: the reference.")
    if sure is not None and data["conf_low"].notna().any():
        level, method = f"{sure.level * 100:g}%", _short(sure.method)
        if data["band_low"].notna().any():
            parts.append(f"Thick: {level} intervals, term by term, {method}.")
            parts.append(f"Thin, with caps: {level} uniform band, all terms at once.")
        else:
            parts.append(f"Lines: {level} intervals, {method}.")
    if np.isinf(data[_ENDS].to_numpy(dtype=float)).any():
        parts.append("Arrows: the interval has no limit.")
    if (data["n_pilots"] <= 1).any():
        alone = "" if (data["n_pilots"] <= 1).all() else ", not in the title"
        parts.append(f"Light: carried by one pilot{alone}.")
    return " ".join(parts)


def _short(method: str) -> str:
    return method.split(",")[0]


def _title(estimate: Estimate, data: pd.DataFrame) -> str:
    """Say how far the gap moved before the start and after it, over terms of several pilots."""
    label, unit = inside(estimate.metric.label), estimate.metric.unit
    if unit != estimate.design.panel.metric(estimate.metric).unit:  # such as a log of a ratio
        label += f" ({unit})"
    carried = data[data["n_pilots"] > 1]
    told = carried if len(carried) else data[data["phase"] != "reference"]
    before, early, after = (
        told.loc[told["phase"] == phase, "estimate"]
        for phase in ("before", "anticipation", "after")
    )
    if estimate.reference is None and not _is_level(estimate):
        said = f"{estimate.metric.label} of the pilots: {_span(after)} from what comparators say"
        return f"{said}; before the start, {_span(before)}" if len(before) else said
    if estimate.reference is None:
        return f"The gap in {label} ran {_span(before)} before the start and {_span(after)} after"
    begin = "the anticipation" if len(early) else "the start"
    first = (
        f"Before {begin} the gap in {label} was {_span(before)} from the reference"
        if len(before)
        else f"No period before the reference shows how the gap in {label} moved"
    )
    if len(early):
        first += f"; in the anticipation, {_span(early)}"
    return f"{first}; after {'the start' if len(early) else 'it'}, {_span(after)}"


def _is_level(estimate: Estimate) -> bool:
    """Whether terms are gaps in the level, not effects."""
    return isinstance(estimate.estimator, Gap)


def _span(values: pd.Series) -> str:
    if values.empty:
        return "nowhere"
    low, high = float(values.min()), float(values.max())
    return signed(low) if low == high else f"{signed(low)} to {signed(high)}"
