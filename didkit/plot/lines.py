"""Trends: pilots against comparators, with what the pilots would have done."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.design import Design, Sample
from didkit.errors import EstimationError
from didkit.panel import Metric
from didkit.plot.paths import Paths, counterfactual, paths
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    PILOT,
    TEXT,
    EndLabel,
    canvas,
    end_labels,
    finish,
    mark_starts,
    period_ticks,
)
from didkit.plot.words import axis_label, inside, signed
from didkit.results import Estimate, tables

__all__ = ["trends"]


def trends(
    result: Design | Estimate, metric: str | Metric | None = None, ax: Axes | None = None
) -> Axes:
    """Draw pilots' and comparators' means over time, every authority in grey behind them.

    Parameters
    ----------
    result : Design or Estimate
        A design, with `metric`; or an estimate. One with a single term (`DiD`) adds a dotted
        line: the pilots had they moved with their comparators. The mean distance of the treated
        pilots from it is the estimate.
    metric : str or Metric, optional
        Required with a design.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a period, ``period, pilots, comparators, counterfactual, n_pilots,
        n_comparators``, in the metric's unit.

    Raises
    ------
    EstimationError
        If a design is given without a metric.

    Notes
    -----
    The axis holds the means and the middle 96% of the authorities' values; the foot says how
    many authorities go beyond it, and which periods lack pilots.

    Examples
    --------
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> ax = trends(evaluation_design(draw(EvaluationProcess(), seed=1)), "cpp")
    >>> bool((ax.data["pilots"] < ax.data["comparators"]).all())
    True
    """
    other = ""
    if isinstance(result, Estimate):
        sample = result.sample
        own = result.design.panel.metric(result.metric)
        alike = result.metric.unit == own.unit  # a ratio cannot be taken off a line of rates
        shown_metric = sample.metric if alike else own
        if result.n_terms == 1 and not alike:
            other = f"; estimate: {signed(float(result.values[0]))} ({result.metric.unit})"
        change = float(result.values[0]) if result.n_terms == 1 and alike else None
    else:
        if metric is None:
            raise EstimationError(
                needed="a metric: a design serves every one",
                found="none",
                where="trends(design, metric)",
                todo="choose one of: " + ", ".join(result.panel.metrics),
            )
        sample, change = result.sample(metric), None
        shown_metric = sample.metric
    ax = canvas(ax)
    found = paths(sample)
    missing = np.full(len(sample.periods), np.nan)
    without = missing if change is None else counterfactual(sample, found, change)
    data = pd.DataFrame(
        {
            "period": list(sample.periods),
            "pilots": found.pilots,
            "comparators": found.comparators,
            "counterfactual": without,
            "n_pilots": found.n_pilots,
            "n_comparators": found.n_comparators,
        }
    )
    x = np.arange(len(sample.periods))
    beyond = _authorities(ax, sample, x, data)
    ax.plot(x, found.comparators, color=COMPARATOR, linewidth=2.6, marker="o", markersize=4)
    ax.plot(x, found.pilots, color=PILOT, linewidth=2.6, marker="o", markersize=4)
    labels = [
        EndLabel(f"Comparators {_last(found.comparators)}", _end(found.comparators), COMPARATOR),
        EndLabel(f"Pilots {_last(found.pilots)}", _end(found.pilots), PILOT),
    ]
    if np.isfinite(without).any():
        ax.plot(x, without, color=PILOT, linewidth=1.8, linestyle=(0, (1, 1.4)))
        text = f"Pilots, had they\nmoved with\ncomparators {_last(without)}"
        labels.append(EndLabel(text, _end(without), PILOT))
    ax.set_xlim(-0.25, len(x) - 0.9)
    shown = [label for label in labels if np.isfinite(label.y)]
    lines = [line for label in shown for line in label.text.split("\n")]
    period_ticks(
        ax, x.tolist(), list(sample.periods), beside=0.6 * TEXT * max(map(len, lines), default=0)
    )
    mark_starts(ax, _starts(sample))
    finish(
        ax,
        _title(sample, found, change) + other,
        data,
        foot=_foot(data, beyond, starts_at=ax.get_ylim()[0]),
        ylabel=axis_label(shown_metric),
    )
    end_labels(ax, x[-1], shown)
    return ax


def _authorities(ax: Axes, sample: Sample, x: np.ndarray, data: pd.DataFrame) -> int:
    """Draw every authority thin and grey, set the axis, and count those that go beyond it."""
    for row in sample.y:
        ax.plot(x, row, color=FAINT, linewidth=0.7, zorder=1)
    seen = sample.y[np.isfinite(sample.y)]
    means = data[["pilots", "comparators", "counterfactual"]].to_numpy(dtype=float)
    means = means[np.isfinite(means)]
    low = float(min(np.quantile(seen, 0.02), means.min()))
    high = float(max(np.quantile(seen, 0.98), means.max()))
    pad = 0.04 * (high - low) or 1.0
    low, high = low - pad, high + 2 * pad
    if sample.metric.non_negative:
        low = max(low, 0.0)
    ax.set_ylim(low, high)
    with np.errstate(invalid="ignore"):
        return int(((sample.y > high) | (sample.y < low)).any(axis=1).sum())


def _end(path: np.ndarray) -> float:
    there = path[np.isfinite(path)]
    return float(there[-1]) if len(there) else float("nan")


def _last(path: np.ndarray) -> str:
    return tables.number(_end(path))


def _starts(sample: Sample) -> list[tuple[float, str]]:
    """Place each start between the last period before it and its first period."""
    counts = [int((sample.cohort == g).sum()) for g in range(len(sample.starts))]
    if len(counts) == 1:
        return [(sample.starts[0] - 0.5, "start")]
    return [
        (start - 0.5, f"{n} pilot{' starts' if n == 1 else 's start'}")
        for start, n in zip(sample.starts, counts, strict=True)
    ]


def _title(sample: Sample, found: Paths, change: float | None) -> str:
    """Say in how many periods the pilots were below or above, and what changed."""
    with np.errstate(invalid="ignore"):
        gaps = (found.pilots - found.comparators)[
            np.isfinite(found.pilots) & np.isfinite(found.comparators)
        ]
    below, above, n = int((gaps < 0).sum()), int((gaps > 0).sum()), len(gaps)
    down, up = ("fewer", "more") if sample.metric.kind in ("rate", "count") else ("lower", "higher")
    word, other, k = (down, up, below) if below >= above else (up, down, above)
    what = inside(sample.metric.label)
    where = f"in all {n} periods" if k == n else f"in {k} of {n} periods"
    if n == 1:
        where = "in the one period"
    elif below == above:
        where += f", {other} in as many"
    if sample.metric.kind in ("rate", "count"):
        title = f"Pilots had {word} {what} than comparators {where}"
    else:
        title = f"Pilots were {word} than comparators on {what} {where}"
    return title if change is None else f"{title}; change from the start on: {signed(change)}"


def _foot(data: pd.DataFrame, beyond: int, *, starts_at: float) -> str:
    """Say what is grey, which periods lack units, and where the axis is cut."""
    parts = ["Grey: each authority."]
    full = int(data["n_pilots"].max())
    short = data[data["n_pilots"] < full]
    if len(short):
        few = [f"{p}: {n}" for p, n in zip(short["period"], short["n_pilots"], strict=True)]
        parts.append(f"Pilots with a value, of {full}: {', '.join(few[:4])}.")
    cut = ["starts above 0"] if starts_at > 0 else []
    if beyond:
        cut.append(f"{beyond} {'authority goes' if beyond == 1 else 'authorities go'} beyond it")
    if cut:
        parts.append(f"The axis is cut: {'it ' if starts_at > 0 else ''}{' and '.join(cut)}.")
    return " ".join(parts)
