"""Synthetic control: the pilots beside the mixture that they are held against, and who is in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from didkit.errors import EstimationError
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
    name_length,
    period_ticks,
    row_size,
)
from didkit.plot.words import axis_label, short
from didkit.results import Estimate, tables

__all__ = ["donor_weights", "synthetic"]

Floats = NDArray[np.float64]
_MOST_ROWS = 20


def synthetic(estimate: Estimate, ax: Axes | None = None) -> Axes:
    """Draw the mean of the pilots and that of their mixtures, period by period.

    Parameters
    ----------
    estimate : Estimate
        Of `SyntheticControl`, `AugmentedSyntheticControl` or `SyntheticDiD`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a period, ``period, pilots, mixture``, in the metric's unit. Where
        changes are compared (weights of periods), the mixture is moved by the gap before the start,
        so that the distance of the lines after the start is the effect. Covariates that were taken
        out first are not taken out here.

    Raises
    ------
    EstimationError
        If the estimate has no such weights.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.SyntheticDiD().fit(design, "cpp").infer(None)
    >>> list(synthetic(made).data.columns)
    ['period', 'pilots', 'mixture']
    """
    sample = estimate.sample
    own, mixed = _paths(estimate, _weights_of(estimate, "synthetic"))
    data = pd.DataFrame({"period": list(sample.periods), "pilots": own, "mixture": mixed})
    ax = canvas(ax)
    x = np.arange(len(data))
    ax.plot(x, mixed, color=COMPARATOR, linewidth=2.6, marker="o", markersize=4)
    ax.plot(x, own, color=PILOT, linewidth=2.6, marker="o", markersize=4)
    ends = [
        EndLabel(f"{name} {tables.number(float(line[-1]))}", float(line[-1]), colour)
        for name, line, colour in (("Mixture", mixed, COMPARATOR), ("Pilots", own, PILOT))
    ]
    ax.set_xlim(-0.25, len(x) - 0.9)
    period_ticks(
        ax, x.tolist(), list(sample.periods), beside=0.6 * TEXT * max(len(e.text) for e in ends)
    )
    counts = np.bincount(sample.cohort[sample.pilot])
    mark_starts(
        ax,
        [
            (start - 0.5, "start" if len(counts) == 1 else f"start of {n}")
            for start, n in zip(sample.starts, counts, strict=True)
        ],
    )
    pilots = "the pilot" if sample.n_pilots == 1 else f"the {sample.n_pilots} pilots"
    finish(
        ax,
        f"{estimate.metric.label}: {pilots} beside a mixture of "
        f"{int(estimate.facts['donors_with_weight'])} units that never start",
        data,
        foot=f"Before the start the mixture is {tables.number(estimate.facts['pre_rmse'])} away "
        "(root mean square).",
        ylabel=axis_label(estimate.metric),
    )
    end_labels(ax, len(x) - 1, ends)
    return ax


def donor_weights(estimate: Estimate, ax: Axes | None = None) -> Axes:
    """Draw the weight of each donor, averaged over pilots, the largest on top.

    Parameters
    ----------
    estimate : Estimate
        Of `SyntheticControl`, `AugmentedSyntheticControl` or `SyntheticDiD`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a donor with weight, the largest first, ``label, name, weight, shown``;
        twenty are shown, the mean of the others as one grey bar.

    Raises
    ------
    EstimationError
        If the estimate has no such weights.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.SyntheticDiD().fit(design, "cpp").infer(None)
    >>> round(float(donor_weights(made).data["weight"].sum()), 9)
    1.0
    """
    each = _weights_of(estimate, "donor_weights")
    mean = np.mean([w for w, _ in each.values()], axis=0)
    used = np.flatnonzero(mean)
    names = np.array(estimate.sample.names)[used]
    data = (
        pd.DataFrame(
            {"label": np.array(estimate.sample.units)[used], "name": names, "weight": mean[used]}
        )
        .sort_values(["weight", "label"], ascending=[False, True])
        .reset_index(drop=True)
    )
    most = _MOST_ROWS if len(data) > _MOST_ROWS + 1 else len(data)
    data["shown"] = np.arange(len(data)) < most
    shown, rest = data[data["shown"]], data[~data["shown"]]
    bars = len(shown) + (1 if len(rest) else 0)
    ax = canvas(ax, height=max(2.8, 1.7 + 0.24 * bars))
    y = np.arange(bars)[::-1]
    ax.barh(y[: len(shown)], 100 * shown["weight"], color=COMPARATOR, height=0.72)
    labels = [short(name, name_length(ax)) for name in shown["name"]]
    if len(rest):
        ax.barh(y[-1], 100 * float(rest["weight"].mean()), color=FAINT, height=0.72)
        labels.append(f"{len(rest)} others (mean)")
    ax.set_yticks(y, labels)
    ax.set_ylim(-0.7, bars - 0.1)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Weight in the mixture, %")
    effective = tables.number(estimate.facts["effective_donors"], 2)
    finish(
        ax,
        f"{estimate.metric.label}: {len(data)} donors have weight, as many as {effective} alike",
        data,
        foot=""
        if not len(rest)
        else f"The {len(rest)} others: {rest['weight'].sum():.0%} together.",
    )
    ax.tick_params(axis="y", labelsize=row_size(ax, bars))
    return ax


def _weights_of(estimate: Estimate, picture: str) -> dict[int, tuple[Floats, Floats]]:
    """Return for each pilot's position its weights of units (J,) and of periods (T,)."""
    table, sample = estimate.synthetic, estimate.sample
    if table is None:
        raise EstimationError(
            needed="an estimate with weights that the data chose",
            found=f"{type(estimate.estimator).__name__}",
            where=f"plot(kind={picture!r})",
            todo="use SyntheticControl, AugmentedSyntheticControl or SyntheticDiD",
        )
    place = {unit: j for j, unit in enumerate(sample.units)}
    when = {period: t for t, period in enumerate(sample.periods)}
    made: dict[int, tuple[Floats, Floats]] = {}
    for j in np.flatnonzero(sample.pilot).tolist():
        start = sample.periods[sample.starts[sample.cohort[j]]]
        mine = table[(table["start"] == start) & table["pilot"].isin(["", sample.units[j]])]
        units, periods = np.zeros(len(place)), np.zeros(len(when))
        for kind, spots, into in (("unit", place, units), ("period", when, periods)):
            rows = mine[mine["kind"] == kind]
            into[[spots[label] for label in rows["label"]]] = rows["weight"].to_numpy(dtype=float)
        made[j] = units, periods
    return made


def _paths(estimate: Estimate, each: dict[int, tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return the mean of the pilots and of their mixtures, moved by the gap before the start."""
    y = estimate.sample.y
    filled = np.where(np.isfinite(y), y, 0.0)
    own, mixed = [], []
    for j, (units, periods) in each.items():
        line = units @ filled
        gap = float(periods @ (filled[j] - line))
        own.append(y[j])
        mixed.append(np.where(np.isfinite(y[j]), line + gap, np.nan))
    there = np.isfinite(np.array(own))
    count = np.maximum(there.sum(axis=0), 1)
    first, second = (
        np.where(there.any(axis=0), np.where(there, rows, 0.0).sum(axis=0) / count, np.nan)
        for rows in (np.array(own), np.array(mixed))
    )
    return first, second
