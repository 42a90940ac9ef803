"""Every check in one picture: other values of the estimate, placebos, and what is only words."""

from __future__ import annotations

import textwrap
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from didkit.check.suited import INTERVALS, LABELS
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    is_narrow,
    name_length,
    points,
    row_size,
    rows,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding

__all__ = ["all_checks"]

_HEADS = {
    "alternatives": "Other values of the estimate",
    "interval": "Intervals that allow for other trends",
    "placebos": "Where nothing should be found",
    "words": "In words",
}
_LINES = 1.7  #: rows that two lines of words take
_FAR = 4.0  #: an end further out than so many times the usual size ends in an arrow


def all_checks(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw a row a check: blue ranges beside the estimate, hollow ones around zero, and words.

    Parameters
    ----------
    finding : Finding
        Of `Checks`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a check that was made, from the top: ``check, label, group``
        (alternatives, interval, placebos or words), ``low, high`` (the metric's unit; NaN for
        words), ``says`` and ``y``. A check that gives both has two rows. Ends far out are cut, with
        an arrow; their numbers stand on the right.

    Raises
    ------
    DidkitError
        If not given a finding of `Checks`.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(dk.ClusterRobust("CR2"))
    >>> found = did.checks(only=["DetectableEffect", "PlaceboStart", "LeaveOneOut"])
    >>> all_checks(found).data["group"].tolist()
    ['alternatives', 'placebos', 'words']
    """
    data, heads = _data(finding)
    estimate = finding.estimate
    m = estimate.place_of(None, where="all_checks")
    value, sure = float(estimate.values[m]), estimate.uncertainty
    low, high = (
        (np.nan, np.nan) if sure is None else (float(sure.conf_low[m]), float(sure.conf_high[m]))
    )
    ax = canvas(ax, width=7.2, height=2.0 + 0.27 * _height(data, heads))
    narrow = is_narrow(ax)
    limits = _limits(data, (value, low, high))
    ax.set_xlim(*limits)
    bottom, top = -0.9, max(heads.values()) + 0.7
    ax.set_ylim(bottom, top)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    # lines and the interval stop above the words
    foot = (heads["words"] + 0.5 - bottom) / (top - bottom) if "words" in heads else 0.0
    if not np.isnan([low, high]).any():
        left, right = np.clip([low, high], *limits)
        ax.axvspan(left, right, ymin=foot, color=FAINT, alpha=0.45, linewidth=0, zorder=0)
    ax.axvline(0, ymin=foot, color=INK, linewidth=0.9, zorder=1)
    ax.axvline(value, ymin=foot, color=PILOT, linewidth=1.4, zorder=1)
    names = [] if narrow else [short(label, name_length(ax) + 4) for label in data["label"]]
    ax.set_yticks(data["y"][: len(names)], names)
    ax.set_xlabel(f"Change, {estimate.metric.unit or 'units of the metric'}")
    refused = finding.table.loc[finding.table["refused"] != "", "check"].tolist()
    finish(ax, _title(finding, data, value), data, foot=_foot(refused, low, high, sure))
    size = min(row_size(ax, round(top - bottom)), SMALL - 1.5 * narrow)
    ax.tick_params(axis="y", length=0, labelsize=size)
    for group, y in heads.items():
        _write(ax, _HEADS[group], y, size, colour=GREY, weight="bold")
    letters = max(24, int((points(ax)[0] + 40 * (not narrow)) / (size * 0.53)))
    for row in rows(data):
        if row.group == "words":
            said = " ".join(str(row.says).split())
            said = f"{row.label}: {said}" if narrow else said
            lines = textwrap.wrap(said, letters, max_lines=2, placeholder=" …")
            _write(ax, "\n".join(lines), row.y, size)
        else:
            _range(ax, row, limits, size, narrow=narrow)
    return ax


def _height(data: pd.DataFrame, heads: dict[str, float]) -> float:
    """Rows that the picture needs room for."""
    return max(heads.values()) + 1.6


def _data(finding: Finding) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the rows by group, with their places from the top down, and those of the heads."""
    given: object = finding
    if not isinstance(given, Finding) or not given.parts:
        raise DidkitError(
            needed="a Finding of Checks",
            found=type(given).__name__
            if not isinstance(given, Finding)
            else f"one of {type(given.check).__name__} without findings of others",
            where="all_checks(finding)",
            todo="write estimate.checks().plot()",
        )
    made: list[dict[str, object]] = []
    for name, found in given.parts.items():
        one = {"check": name, "label": LABELS.get(name, name), "says": found.headline}
        wide = type(found.check).__name__ in INTERVALS
        kind = "interval" if wide else "alternatives"
        spans = {kind: found.alternatives, "placebos": found.placebos}
        for group, ends in spans.items():
            if ends is not None and not np.isnan(ends).any():
                made.append({**one, "group": group, "low": float(ends[0]), "high": float(ends[1])})
        if not made or made[-1]["check"] != name:
            made.append({**one, "group": "words", "low": np.nan, "high": np.nan})
    order = {group: place for place, group in enumerate(_HEADS)}
    made.sort(key=lambda row: order[str(row["group"])])
    there = [group for group in _HEADS if any(row["group"] == group for row in made)]
    y, heads = 0.0, {}
    for group in there:
        heads[group] = y
        y += 0.4 * (group == "words")  # its rows are taller, not the gap above them
        for row in made:
            if row["group"] == group:
                y -= _LINES if group == "words" else 1.0
                row["y"] = y
        y -= 1.1
    last = y + 1.1
    heads = {group: at - last for group, at in heads.items()}
    for row in made:
        row["y"] = float(str(row["y"])) - last
    columns = ["check", "label", "group", "low", "high", "says", "y"]
    return pd.DataFrame(made, columns=columns), heads


def _limits(data: pd.DataFrame, own: tuple[float, float, float]) -> tuple[float, float]:
    """Hold zero, the estimate with its interval, and the ends that are not far out."""
    ends = data[["low", "high"]].to_numpy(dtype=float).ravel()
    ends = ends[np.isfinite(ends)]
    mine = [end for end in own if np.isfinite(end)]
    usual = max(
        [abs(end) for end in mine] + ([float(np.median(np.abs(ends)))] if len(ends) else [])
    )
    near = np.concatenate([ends[np.abs(ends) <= _FAR * usual], mine, [0.0]])
    pad = 0.06 * (float(near.max() - near.min()) or 1.0)
    return float(near.min()) - pad, float(near.max()) + pad


def _range(
    ax: Axes, row: SimpleNamespace, limits: tuple[float, float], size: float, *, narrow: bool
) -> None:
    """Draw one range, hollow where nothing should be found, with its ends on the right.

    On a phone its name and ends stand above it.
    """
    low, high = np.clip([row.low, row.high], *limits)
    blue = row.group != "placebos"
    colour = COMPARATOR if blue else GREY
    thin = 0.012 * (limits[1] - limits[0])  # a range without a length is a mark
    y = row.y - 0.24 * narrow
    ax.barh(
        y,
        max(high - low, thin),
        left=low if high - low > thin else (low + high - thin) / 2,
        height=(0.3 if narrow else 0.5) * (0.4 if row.group == "interval" else 1.0),
        facecolor=COMPARATOR if blue else "white",
        edgecolor=colour,
        linewidth=1.2,
        zorder=3,
    )
    for end, edge, mark in ((row.low, limits[0], "<"), (row.high, limits[1], ">")):
        if not limits[0] <= end <= limits[1]:
            ax.plot(edge, y, mark, color=colour, markersize=6, clip_on=False, zorder=4)
    said = f"{signed(row.low)} to {signed(row.high)}" if row.low != row.high else signed(row.low)
    if narrow:
        _write(ax, f"{row.label}: {said}", row.y + 0.22, size, colour=colour)
        return
    ax.annotate(
        said, (1.0, y), xycoords=("axes fraction", "data"), xytext=(8, 0),
        textcoords="offset points", va="center", fontsize=size, color=colour,
        annotation_clip=False,
    )  # fmt: skip


def _write(
    ax: Axes, text: str, y: float, size: float, *, colour: str = INK, weight: str = "normal"
) -> None:
    """Write a line or two from the left edge on."""
    ax.annotate(
        text, (0.0, y), xycoords=("axes fraction", "data"), xytext=(3, 0),
        textcoords="offset points", va="center", fontsize=size, color=colour, weight=weight,
        annotation_clip=False, zorder=5, linespacing=1.1,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
    ).set_parse_math(False)  # fmt: skip


def _title(finding: Finding, data: pd.DataFrame, value: float) -> str:
    """Say how many checks, and how far the values run."""
    n = len(finding.parts)
    what = inside(finding.estimate.metric.label)
    said = f"{n} check{'s' * (n != 1)} of the change in {what}, {signed(value)}"
    other = data[data["group"] == "alternatives"]
    if len(other):
        said += f": other values run from {signed(other['low'].min())} to "
        said += signed(float(other["high"].max()))
    return said


def _foot(refused: list[str], low: float, high: float, sure: object) -> str:
    level = getattr(sure, "level", None)
    parts = ["Vermilion: the estimate"]
    if level is not None and not np.isnan([low, high]).any():
        parts[0] += f", with its {level * 100:g}% interval in grey"
    parts[0] += "."
    if refused:
        parts.append(f"Not made: {', '.join(refused)}; the table says why.")
    return " ".join([*parts, "The rows share one data set."])
