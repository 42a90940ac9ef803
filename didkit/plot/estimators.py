"""Several estimators of one effect: a forest, or event studies on one picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check.comparing import Comparison
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    row_size,
    rows,
)
from didkit.plot.words import inside, signed
from didkit.results import Finding

__all__ = ["comparison"]

# Okabe & Ito's, darker where they are thin on white; each with a marker of its own
_LOOKS = ((PILOT, "o"), (COMPARATOR, "s"), ("#007A5A", "^"), ("#A2487C", "D"), (INK, "v"),
          ("#8A6D00", "P"))  # fmt: skip
_DODGE = 0.6  # of a period, for all estimators together


def comparison(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the answers of several estimators.

    One term each: a forest, a row an estimator. Where two or more have terms by event time: their
    paths, beside one another in each period, six at most.

    Parameters
    ----------
    finding : Finding
        Of `compare`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: the rows drawn, ``estimator, term, event_time, estimate, conf_low,
        conf_high``.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> both = [dk.DiD(), dk.GroupTime()]
    >>> comparison(dk.compare(design, "cpp", estimators=both, inference=None)).data.shape[0]
    2
    """
    if type(getattr(finding, "check", None)).__name__ != Comparison.__name__:
        raise DidkitError(
            needed="a finding of compare",
            found=type(finding).__name__,
            where="comparison(finding)",
            todo="draw compare(design, metric)",
        )
    table = finding.table[finding.table["refused"] == ""]
    times = table.assign(event_time=pd.to_numeric(table["event_time"]))
    several = times.dropna(subset="event_time").groupby("estimator", sort=False).size()
    paths = list(several[several > 1].index)
    if paths:
        return _paths(finding, times, paths, ax)
    return _forest(finding, table, ax)


def _forest(finding: Finding, table: pd.DataFrame, ax: Axes | None) -> Axes:
    """Draw the main term of each, a row an estimator."""
    after = table[table["phase"] == "after"]
    mine = after.groupby("estimator", sort=False).head(1)
    columns = ["estimator", "term", "event_time", "estimate", "conf_low", "conf_high"]
    data = mine[columns].reset_index(drop=True)
    ax = canvas(ax, height=1.9 + 0.36 * len(data))
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    for i, row in enumerate(rows(data)):
        if np.isfinite(row.conf_low) and np.isfinite(row.conf_high):
            ax.plot([row.conf_low, row.conf_high], [-i, -i], color=PILOT, linewidth=1.6, zorder=2)
        ax.plot(row.estimate, -i, "o", color=PILOT, markersize=6, zorder=3)
        ax.annotate(
            signed(row.estimate),
            (row.estimate, -i),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=PILOT,
            bbox=HALO,
        )
    ax.set_yticks(-np.arange(len(data)), data["estimator"])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-len(data) + 0.5, 0.8)
    ax.margins(x=0.08)
    metric = finding.estimate.metric
    ax.set_xlabel(f"Effect, {metric.unit or 'units of the metric'}")
    finish(ax, _title(finding), data, foot=_foot(finding, data))
    ax.tick_params(axis="y", labelsize=row_size(ax, len(data)), colors=INK)
    return ax


def _paths(finding: Finding, table: pd.DataFrame, names: list[str], ax: Axes | None) -> Axes:
    """Draw event studies beside one another."""
    shown = names[: len(_LOOKS)]
    data = table[table["estimator"].isin(shown) & table["event_time"].notna()]
    columns = ["estimator", "term", "event_time", "estimate", "conf_low", "conf_high"]
    data = data[columns].sort_values(["estimator", "event_time"], kind="stable")
    data = data.reset_index(drop=True)
    ax = canvas(ax, height=4.6)
    ax.axhline(0, color=GREY, linewidth=0.9, zorder=1)
    ax.axvline(-0.5, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    reference = False
    for i, name in enumerate(shown):
        colour, marker = _LOOKS[i]
        mine = data[data["estimator"] == name]
        x = mine["event_time"].to_numpy(dtype=float) + _DODGE * ((i + 0.5) / len(shown) - 0.5)
        y = mine["estimate"].to_numpy(dtype=float)
        low, high = (mine[c].to_numpy(dtype=float) for c in ("conf_low", "conf_high"))
        there = np.isfinite(low) & np.isfinite(high)
        ax.vlines(x[there], low[there], high[there], color=colour, linewidth=1.4, zorder=2)
        ax.plot(x, y, marker, color=colour, markersize=5.5, zorder=3)
        if -1 not in set(mine["event_time"]) and (mine["event_time"] < -1).any():
            reference = True
            at = -1 + _DODGE * ((i + 0.5) / len(shown) - 0.5)
            ax.plot(at, 0.0, marker, color=colour, markerfacecolor="white", markersize=5.5,
                    zorder=3)  # fmt: skip
        letter = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚"}[marker]
        ax.annotate(
            f"{letter} {name}",
            (0.01, 0.99),
            xycoords="axes fraction",
            xytext=(0, -i * SMALL * 1.4),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=SMALL,
            color=colour,
            bbox=HALO,
            zorder=5,
        )
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + (top - bottom) * 0.06 * len(shown))
    ends = data["event_time"].astype(int)
    ax.set_xticks(range(ends.min(), ends.max() + 1))
    ax.set_xlabel("Periods since the start")
    metric = finding.estimate.metric
    out = [name for name in dict.fromkeys(table["estimator"]) if name not in shown]
    foot = "Hollow: the reference, 0 by construction. " if reference else ""
    foot += f"Not drawn: {', '.join(out)}. " if out else ""
    ylabel = f"Effect, {metric.unit or 'units of the metric'}"
    return finish(ax, _title(finding), data, foot=foot + _foot(finding, data), ylabel=ylabel)


def _title(finding: Finding) -> str:
    """Say between what the answers lie."""
    facts, what = finding.facts, inside(finding.estimate.metric.label)
    n = int(facts["n_estimators"])
    least, largest = signed(facts["least"]), signed(facts["largest"])
    term = finding.estimate.main_term
    when = f" at {term}" if term.startswith("event time") else ""
    if least == largest:
        by = f" by each of {n} estimators" if n > 1 else ""
        return f"Change in {what}{when}: {least}{by}"
    return f"Change in {what}{when}: {n} estimators, from {least} to {largest}"


def _foot(finding: Finding, data: pd.DataFrame) -> str:
    """Say what the lines are, and who refused."""
    check, refused = finding.check, int(finding.facts["n_refused"])
    level = float(getattr(check, "level", np.nan))
    said = f"{refused} refused: see the table." if refused else ""
    if not np.isfinite(data["conf_low"].to_numpy(dtype=float)).any():
        return f"No intervals. {said}".strip()
    return f"Lines: {level:.0%} intervals. {said}".strip()
