"""The map of what is missing: every authority in every period, by the status of its cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch

from didkit.design import Design
from didkit.errors import DidkitError
from didkit.panel import Metric, Panel, Status
from didkit.plot.style import (
    COMPARATOR,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    key_below,
    name_length,
    period_ticks,
    row_size,
)
from didkit.plot.words import inside, short

__all__ = ["missing"]

_MANY, _MOST = 40, 60

# One colour and one letter a status, so that the map can be read without colour.
_COLOURS = {
    Status.OBSERVED: "#E9ECEF",
    Status.SUPPRESSED: "#E69F00",
    Status.ROUNDED: "#F0E442",
    Status.NOT_AVAILABLE: "#8C3B6E",
    Status.NOT_APPLICABLE: "#999999",
    Status.LOW_RELIABILITY: "#56B4E9",
    Status.ABSENT: "#333333",
}
_LETTERS = {
    Status.OBSERVED: "",
    Status.SUPPRESSED: "s",
    Status.ROUNDED: "r",
    Status.NOT_AVAILABLE: "n",
    Status.NOT_APPLICABLE: "–",
    Status.LOW_RELIABILITY: "l",
    Status.ABSENT: "a",
}
_WHITE_ON = (Status.NOT_AVAILABLE, Status.ABSENT)


def missing(panel_or_design: Panel | Design, metric: str | Metric, ax: Axes | None = None) -> Axes:
    """Draw the status of every authority in every period, pilots on top.

    Parameters
    ----------
    panel_or_design : Panel or Design
        A panel: every unit and period. A design: its pilots and comparators, in its window.
    metric : str or Metric
        Of the panel.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a unit and period, ``unit, name, arm`` (empty without a design),
        ``period, status, shown``. Of more than 40 units only those with a cell that is not
        observed are shown, at most 60, and the foot says how many are not.

    Raises
    ------
    PanelError
        If the metric is unknown.
    DidkitError
        If given neither a panel nor a design.

    Examples
    --------
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> missing(design, "cpp").data["arm"].iloc[0]
    'pilot'
    """
    panel, units, arms, periods = _who(panel_or_design)
    kind = panel.metric(metric)
    cells = panel.cells(kind)
    at = {unit: i for i, unit in enumerate(panel.unit_ids)}
    rows = np.array([at[unit] for unit in units], dtype=np.intp)
    cols = np.array([panel.calendar.position(p) for p in periods], dtype=np.intp)
    status = cells.status[np.ix_(rows, cols)]
    lacking = ~np.isfinite(cells.value[np.ix_(rows, cols)])
    shown = _shown(status)
    data = _frame(panel, units, arms, periods, status, shown)
    drawn = np.flatnonzero(shown)
    ax = canvas(ax, height=1.9 + 0.22 * max(len(drawn), 1))
    if len(drawn):
        labels = [short(panel.name_of(units[i]), name_length(ax)) for i in drawn]
        _map(ax, status[drawn])
        _letters(ax, status[drawn])
        n_pilots = sum(arms[i] == "pilot" for i in drawn)
        if 0 < n_pilots < len(drawn):
            ax.axhline(n_pilots - 0.5, color=INK, linewidth=1.4)
        colours = {"pilot": PILOT, "comparator": COMPARATOR, "": INK}
        hues = [colours[arms[i]] for i in drawn]
    else:
        labels, hues = [f"all {len(units)} authorities"], [INK]
        _map(ax, np.zeros((1, len(periods)), dtype=np.int8))
    ax.set_yticks(range(len(labels)), labels)
    period_ticks(ax, list(range(len(periods))), list(periods))
    ax.xaxis.tick_top()
    foot = _foot(data, len(drawn))
    ax.xaxis.set_label_position("bottom")
    finish(ax, _title(kind, lacking, periods, len(units)), data, foot=foot)
    ax.tick_params(axis="both", length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    for tick, hue in zip(ax.get_yticklabels(), hues, strict=True):
        tick.set_color(hue)
        tick.set_fontsize(min(SMALL, row_size(ax, len(labels))))
    _key(ax, status)
    return ax


def _who(given: Panel | Design) -> tuple[Panel, list[str], list[str], tuple[str, ...]]:
    """Return the panel, its units in order with their arms, and the periods."""
    if isinstance(given, Panel):
        return given, list(given.unit_ids), [""] * len(given.unit_ids), given.periods
    if not isinstance(given, Design):
        raise DidkitError(
            needed="a Panel or a Design",
            found=type(given).__name__,
            where="missing(panel_or_design, metric)",
            todo="give panel or design; of an estimate give estimate.design",
        )
    pilots = list(given.pilots)
    others = [unit for unit in given.comparators if unit not in set(pilots)]
    arms = ["pilot"] * len(pilots) + ["comparator"] * len(others)
    return given.panel, pilots + others, arms, given.periods


def _shown(status: np.ndarray) -> np.ndarray:
    """Choose rows: all of few; of many those with a gap, the widest gaps if still too many."""
    if len(status) <= _MANY:
        return np.ones(len(status), dtype=bool)
    gaps = (status != Status.OBSERVED).sum(axis=1)
    made: np.ndarray = gaps > 0
    if made.sum() > _MOST:
        widest = np.argsort(-gaps, kind="stable")[:_MOST]
        made = np.isin(np.arange(len(status)), widest)
    return made


def _frame(
    panel: Panel,
    units: list[str],
    arms: list[str],
    periods: tuple[str, ...],
    status: np.ndarray,
    shown: np.ndarray,
) -> pd.DataFrame:
    n = len(periods)
    return pd.DataFrame(
        {
            "unit": np.repeat(units, n),
            "name": np.repeat([panel.name_of(unit) for unit in units], n),
            "arm": np.repeat(arms, n),
            "period": list(periods) * len(units),
            "status": [Status(int(code)).label for code in status.ravel()],
            "shown": np.repeat(shown, n),
        }
    )


def _map(ax: Axes, status: np.ndarray) -> None:
    colours = ListedColormap([_COLOURS[one] for one in Status])
    edges = BoundaryNorm(np.arange(-0.5, len(Status)), len(Status))
    ax.imshow(status, cmap=colours, norm=edges, aspect="auto", interpolation="nearest")
    n, t = status.shape
    for x in range(1, t):
        ax.axvline(x - 0.5, color="white", linewidth=1.2)
    for y in range(1, n):
        ax.axhline(y - 0.5, color="white", linewidth=1.2)


def _letters(ax: Axes, status: np.ndarray) -> None:
    """Write the letter of each status into its cell."""
    for i, t in zip(*np.nonzero(status != Status.OBSERVED), strict=True):
        one = Status(int(status[i, t]))
        ax.text(t, i, _LETTERS[one], ha="center", va="center", fontsize=SMALL - 1,
                color="white" if one in _WHITE_ON else INK)  # fmt: skip


def _key(ax: Axes, status: np.ndarray) -> None:
    """Say under the map what each colour and letter stands for, and of how many cells."""
    found = [one for one in Status if (status == one).any()]
    handles = [
        Patch(
            facecolor=_COLOURS[one],
            edgecolor="none",
            label=f"{_LETTERS[one]} {one.label} ({int((status == one).sum()):,})".strip(),
        )
        for one in found
    ]
    key_below(ax, handles)


def _title(metric: Metric, lacking: np.ndarray, periods: tuple[str, ...], n: int) -> str:
    """Say how many authorities lack a value, and when most do."""
    what = inside(metric.label)
    where = f"all {len(periods)} periods" if len(periods) > 1 else periods[0]
    count = int(lacking.any(axis=1).sum())
    if not count:
        return f"All {n} authorities have a value of {what} in {where}"
    by_period = lacking.sum(axis=0)
    worst = int(by_period.argmax())
    title = (
        f"{count} of {n} authorities {'lack' if count != 1 else 'lacks'} a value of {what} in at "
        f"least one of {len(periods)} periods"
    )
    if by_period.min() == by_period.max():
        return f"{title}: {by_period[worst]} in each"
    return f"{title}, most in {periods[worst]} ({by_period[worst]})"


def _foot(data: pd.DataFrame, drawn: int) -> str:
    parts = []
    if {"pilot", "comparator"} <= set(data.loc[data["shown"], "arm"]):
        parts.append("Pilots above the line.")
    hidden = data.loc[~data["shown"]]
    if len(hidden) and drawn:
        gap = hidden.groupby("unit")["status"].agg(lambda s: bool((s != "observed").any()))
        whole = int((~gap).sum())
        if whole:
            parts.append(f"{whole} authorities observed in every period are not shown.")
        if gap.any():
            parts.append(f"{int(gap.sum())} with fewer gaps than these are not shown.")
    return " ".join(parts)
