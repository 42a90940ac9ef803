"""Each pilot beside its own comparators, period by period: small multiples inside one Axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from didkit.design import Design
from didkit.errors import DidkitError
from didkit.panel import Metric
from didkit.plot.style import (
    COMPARATOR,
    GREY,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    points,
)
from didkit.plot.words import axis_label, short, signed
from didkit.results.tables import number

__all__ = ["matched"]

_MOST_PANELS = 12
_MOST_LINES = 12  # comparators of one pilot that are drawn one by one
_TALL = 1.3  # inches of a panel
_NARROWEST = 90.0  # points
_SAME = 1e-9  # of a weight: what counts as the same

Floats = NDArray[np.float64]


def matched(design: Design, metric: str, ax: Axes | None = None) -> Axes:
    """Draw each pilot's path beside the path of its own comparators, a small panel each.

    Parameters
    ----------
    design : Design
        Against sets; against one pool every panel has the same comparators.
    metric : str
        A metric of the panel.
    ax : Axes, optional
        Where to draw: it becomes the frame of the panels. By default a new figure, as tall as
        they need.

    Returns
    -------
    Axes
        ``ax.data``: one row a pilot and period, ``pilot, name, period, value, comparators``
        (weighted mean, or median, of those of its set with a value), ``low, high`` (least and
        largest of them; 10th and 90th percentile in sets of more than 12), ``n_comparators,
        start, gap_before`` (pilot less comparators, mean of the periods before its start),
        ``shown``. The pilots that stood furthest from their comparators come first, ties by id;
        twelve are shown. All panels have one scale: ``ax.child_axes``.

    Raises
    ------
    DidkitError
        If given something else than a design, or no pilot has a value beside its comparators.
    PanelError
        If the metric is unknown.

    Examples
    --------
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> data = matched(design, "cla").data
    >>> data["pilot"].nunique() == len(design.pilots)
    True
    """
    given: object = design
    if not isinstance(given, Design):
        raise DidkitError(
            needed="a Design",
            found=type(given).__name__,
            where="matched(design, metric)",
            todo="of an estimate give estimate.design",
        )
    kind = design.panel.metric(metric)
    data, members = _frame(design, kind)
    if not (data["value"].notna() & data["comparators"].notna()).any():
        raise DidkitError(
            needed="a pilot and its comparators with values in the same period",
            found="none",
            where=f"matched(design, {metric!r})",
            todo="see design.audit()",
        )
    pilots = list(dict.fromkeys(data.loc[data["shown"], "pilot"]))
    ax = canvas(ax, height=1.9 + _TALL * -(-len(pilots) // 3))
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    finish(ax, _title(data), data, foot=_foot(data, members, design), ylabel=axis_label(kind))
    limits = _limits(data, members, pilots)
    for inner, pilot, wide, (left, bottom) in _panels(ax, pilots):
        mine = data[data["pilot"] == pilot]
        inner.set_ylim(*limits)
        _panel(inner, mine, members[pilot], design.panel.name_of(pilot), wide)
        inner.tick_params(labelleft=left, labelbottom=bottom)
    return ax


def _frame(design: Design, kind: Metric) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Lay out both paths of each pilot, and the paths of its comparators (members × periods)."""
    panel, periods = design.panel, design.periods
    at = np.array([panel.calendar.position(p) for p in periods], dtype=np.intp)
    cells = pd.DataFrame(panel.cells(kind).value[:, at], index=list(panel.unit_ids))
    sets = design.matched_sets()
    frames: dict[str, pd.DataFrame] = {}
    members: dict[str, Floats] = {}
    far: dict[str, float] = {}
    for pilot in design.pilots:
        others = sorted(sets.weights[pilot])
        weights = np.array([sets.weights[pilot][unit] for unit in others])
        paths, own = cells.loc[others].to_numpy(), cells.loc[pilot].to_numpy()
        path = _aggregated(paths, weights, median=sets.aggregate == "median")
        low, high = _spread(paths)
        gaps = (own - path)[: periods.index(design.starts[pilot])]
        gap = float(np.nanmean(gaps)) if np.isfinite(gaps).any() else float("nan")
        frames[pilot] = pd.DataFrame(
            {
                "pilot": pilot,
                "name": panel.name_of(pilot),
                "period": list(periods),
                "value": own,
                "comparators": path,
                "low": low,
                "high": high,
                "n_comparators": np.isfinite(paths).sum(axis=0),
                "start": design.starts[pilot],
                "gap_before": gap,
            }
        )
        members[pilot] = paths
        far[pilot] = -1.0 if np.isnan(gap) else round(abs(gap), 9)
    order = sorted(far, key=lambda pilot: (-far[pilot], pilot))
    data = pd.concat([frames[pilot] for pilot in order], ignore_index=True)
    data["shown"] = data["pilot"].isin(order[:_MOST_PANELS])
    return data, members


def _aggregated(paths: Floats, weights: Floats, *, median: bool) -> Floats:
    """Weighted mean, or median, of those with a value in each period; NaN where nobody has one."""
    seen = np.isfinite(paths)
    made = np.full(paths.shape[1], np.nan)
    there = seen.any(axis=0)
    if median:
        made[there] = np.nanmedian(paths[:, there], axis=0)
        return made
    share = np.where(seen, weights[:, None], 0.0)
    total = (share * np.where(seen, paths, 0.0)).sum(axis=0)
    made[there] = total[there] / share.sum(axis=0)[there]
    return made


def _spread(paths: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the set in each period, or of its middle 80 per cent where it is large."""
    there = np.isfinite(paths).any(axis=0)
    ends = (0.1, 0.9) if len(paths) > _MOST_LINES else (0.0, 1.0)
    made = np.full((2, paths.shape[1]), np.nan)
    made[:, there] = np.nanquantile(paths[:, there], ends, axis=0)
    return made[0], made[1]


def _limits(
    data: pd.DataFrame, members: dict[str, Floats], pilots: list[str]
) -> tuple[float, float]:
    """Return one scale for all panels."""
    shown = data[data["pilot"].isin(pilots)]
    values = shown[["value", "comparators", "low", "high"]].to_numpy()
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = 0.06 * ((high - low) or 1.0)
    return low - pad, high + pad


def _panels(ax: Axes, pilots: list[str]) -> list[tuple[Axes, str, float, tuple[bool, bool]]]:
    """Make a panel for each pilot inside the Axes, of which it tells the width in points.

    And whether it stands leftmost, and lowest.
    """
    wide, tall = points(ax)
    n_cols = min(len(pilots), max(1, min(3, int(wide / _NARROWEST))))
    n_rows = -(-len(pilots) // n_cols)
    left, bottom = 3.2 * SMALL / wide, 1.7 * SMALL / tall  # numbers and periods
    across, down = (1 - left) / n_cols, (1 - bottom) / n_rows
    head = min(1.6 * SMALL / tall, 0.4 * down)
    made = []
    for k, pilot in enumerate(pilots):
        row, column = divmod(k, n_cols)
        inner = ax.inset_axes(
            (
                left + column * across,
                1 - (row + 1) * down,
                across * (0.94 if n_cols > 1 else 1.0),
                down - head,
            )
        )
        made.append((inner, pilot, across * wide, (column == 0, k + n_cols >= len(pilots))))
    return made


def _panel(inner: Axes, mine: pd.DataFrame, paths: Floats, name: str, wide: float) -> None:
    """Draw one pilot: its comparators faint, their path, its own path, and its start.

    `wide`: points that there are for its name.
    """
    x = np.arange(len(mine))
    if len(paths) > _MOST_LINES:
        inner.fill_between(x, mine["low"], mine["high"], color=COMPARATOR, alpha=0.15, lw=0)
    else:
        inner.plot(x, paths.T, color=COMPARATOR, alpha=0.28, linewidth=0.8, zorder=1)
    lines = ((mine["comparators"], COMPARATOR, "--"), (mine["value"], PILOT, "-"))
    for values, colour, style in lines:
        alone = _alone(values.to_numpy())
        inner.plot(x, values, color=colour, linewidth=1.8, linestyle=style, zorder=3)
        inner.plot(x[alone], values.to_numpy()[alone], "o", color=colour, ms=3, zorder=3)
    periods = mine["period"].tolist()
    start = periods.index(mine["start"].iloc[0])
    inner.axvline(start - 0.5, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
    gap = float(mine["gap_before"].iloc[0])
    words = "" if np.isnan(gap) else f" {signed(gap)}"
    room = max(6, int(wide / (0.56 * SMALL)) - len(words))
    inner.set_title(f"{short(name, room)}{words}", loc="left", fontsize=SMALL, color=INK, pad=2)
    ends = [0, len(periods) - 1]
    inner.set_xticks(ends, [periods[i] for i in ends])
    first, last = inner.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    inner.set_xlim(-0.2, len(periods) - 0.8)
    inner.yaxis.set_major_locator(MaxNLocator(nbins=3))
    inner.tick_params(labelsize=SMALL - 1, colors=INK, color=GREY, length=2, pad=2)
    inner.set_facecolor("none")
    for side in ("top", "right"):
        inner.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        inner.spines[side].set_color(GREY)


def _alone(values: Floats) -> NDArray[np.bool_]:
    """Whether a value has no neighbour in time: a line would not show it."""
    seen = np.isfinite(values)
    beside = np.zeros_like(seen)
    beside[1:] |= seen[:-1]
    beside[:-1] |= seen[1:]
    return seen & ~beside


def _title(data: pd.DataFrame) -> str:
    """Say who stood furthest from its comparators before the start, and who nearest."""
    gaps = data.drop_duplicates("pilot").set_index("name")["gap_before"].dropna()
    if gaps.empty:
        return "No pilot has a value beside its comparators before its start (0 gaps)"
    first = f"On average before the start {_stood(gaps, 0)} its own comparators"
    return first if len(gaps) == 1 else f"{first} (the furthest), {_stood(gaps, -1)} (the nearest)"


def _stood(gaps: pd.Series, at: int) -> str:
    """Say where a pilot stood: "Ashby stood 12.0 below"."""
    gap, name = float(gaps.iloc[at]), short(str(gaps.index[at]))
    verb = " stood" if at == 0 else ""
    return f"{name}{verb} {number(abs(gap))} {'below' if gap < 0 else 'above'}"


def _foot(data: pd.DataFrame, members: dict[str, Floats], design: Design) -> str:
    """Name lines, band and numbers, and count what is not shown or not there."""
    how = _aggregate(design)
    sizes = {len(paths) > _MOST_LINES for paths in members.values()}
    thin = {False: "thin: each of them", True: "band: the middle 80% of them"}
    parts = [
        f"Solid: the pilot. Dashed: the {how} of its comparators; "
        + ", ".join(thin[large] for large in sorted(sizes))
        + ". Beside the name: pilot less comparators, mean before its start (upright line)."
    ]
    hidden = data.loc[~data["shown"], "pilot"].nunique()
    if hidden:
        parts.append(
            f"{hidden} pilots that stood nearer are not shown."
            if hidden > 1
            else "One pilot that stood nearer is not shown."
        )
    gone = sum(int((~np.isfinite(paths)).sum()) for paths in members.values())
    if gone:
        whole = sum(paths.size for paths in members.values())
        are = "are" if gone != 1 else "is"
        parts.append(f"{gone} of {whole} values of comparators {are} missing: {how} of the others.")
    return " ".join(parts)


def _aggregate(design: Design) -> str:
    """Name what the dashed line is: mean or median, weighted where weights in a set differ."""
    sets = design.matched_sets()
    if sets.aggregate == "median":
        return "median"
    uneven = any(np.ptp(list(one.values())) > _SAME for one in sets.weights.values())
    return "weighted mean" if uneven else "mean"
