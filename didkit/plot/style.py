"""The house style: two colours that everyone can tell apart, direct labels, honest titles."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from didkit.errors import DidkitError

__all__ = [
    "COMPARATOR",
    "FAINT",
    "GREY",
    "INK",
    "PILOT",
    "SMALL",
    "TEXT",
    "EndLabel",
    "canvas",
    "end_labels",
    "finish",
    "mark_starts",
    "period_ticks",
    "rows",
]

# Okabe & Ito's vermilion and blue; the vermilion of thin lines and text is a shade darker, so
# that it keeps 4.5:1 against white.
PILOT = "#B84A00"
COMPARATOR = "#0072B2"
INK = "#222222"
GREY = "#6B6B6B"
FAINT = "#D3D3D3"

TITLE, TEXT, SMALL = 12.0, 10.5, 9.5


@dataclass(frozen=True)
class EndLabel:
    """A label for the right-hand end of a line, at height `y`."""

    text: str
    y: float
    colour: str


def canvas(ax: Axes | None, *, width: float = 6.4, height: float = 4.3) -> Axes:
    """Return the Axes given, or those of a new figure that pyplot knows nothing of.

    Raises
    ------
    DidkitError
        If something else than Axes is given.
    """
    if ax is None:
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        return figure.add_subplot()
    given: object = ax
    if not isinstance(given, Axes):
        raise DidkitError(
            needed="matplotlib Axes, or None for a new figure",
            found=type(ax).__name__,
            where="ax=",
            todo="give one Axes, for example figure.add_subplot()",
        )
    return ax


def finish(ax: Axes, title: str, data: pd.DataFrame, *, foot: str = "", ylabel: str = "") -> Axes:
    """Give the Axes the title, spines, fonts and the frame behind it."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GREY)
    ax.tick_params(labelsize=TEXT, colors=INK, color=GREY)
    if ylabel:
        across = max(16, int(_height(ax) / (TEXT * 0.58)))
        lines = [one for part in ylabel.split("\n") for one in textwrap.wrap(part, across)]
        ax.set_ylabel("\n".join(lines), fontsize=TEXT, color=INK)
    ax.set_title(_wrapped(ax, title, TITLE), loc="left", fontsize=TITLE, color=INK, weight="bold")
    if foot:
        below = ax.get_xlabel()
        note = _wrapped(ax, foot, SMALL)
        ax.set_xlabel(f"{below}\n{note}" if below else note, fontsize=SMALL, color=GREY, loc="left")
    elif ax.get_xlabel():
        ax.xaxis.label.set(fontsize=TEXT, color=INK)
    for text in ax.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)  # a name with two $ is a name
    ax.data = data  # type: ignore[attr-defined]
    return ax


def _wrapped(ax: Axes, text: str, size: float) -> str:
    """Break a text into lines that reach from the Axes' left to its right, or the figure's."""
    points = _width(ax)
    if len(ax.figure.axes) == 1:  # a title may run over the labels at the ends of lines
        points = 72 * ax.figure.bbox.width / ax.figure.dpi - _left_margin(ax)
    per_line = max(24, int(points / (size * (0.59 if size == TITLE else 0.54))))
    return "\n".join(textwrap.wrap(text, per_line, break_long_words=False)) if text else ""


def _left_margin(ax: Axes) -> float:
    """Width in points of what stands to the left of the Axes, before the layout is known."""
    written = [tick.get_text() for tick in ax.get_yticklabels()]
    longest = max((len(line) for text in written for line in text.split("\n")), default=0)
    label = ax.get_ylabel()
    return 18 + TEXT * (0.58 * max(longest, 5) + (1.4 * (1 + label.count("\n")) if label else 0))


def _height(ax: Axes) -> float:
    """Height of the Axes in points, as far as it is known before the layout."""
    return float(72 * ax.bbox.height / ax.figure.dpi)


def _width(ax: Axes) -> float:
    """Width of the Axes in points, as far as it is known before the layout."""
    return float(72 * ax.bbox.width / ax.figure.dpi)


def end_labels(ax: Axes, x: float, labels: Sequence[EndLabel], *, side: str = "right") -> None:
    """Write labels beside the ends of lines, moved apart where they would overlap."""
    low, high = ax.get_ylim()
    point = (high - low) / max(_height(ax), 1.0)
    order = sorted(labels, key=lambda label: label.y)
    tall = [TEXT * 1.25 * (1 + label.text.count("\n")) * point for label in order]
    places = _apart([label.y for label in order], tall)
    for label, y in zip(order, places, strict=True):
        ax.annotate(
            label.text,
            (x, y),
            xytext=(7 if side == "right" else -7, 0),
            textcoords="offset points",
            ha="left" if side == "right" else "right",
            va="center",
            fontsize=TEXT,
            color=label.colour,
            linespacing=1.1,
            annotation_clip=False,
        )


def _apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Move rising positions as little as needed for none to overlap (pool adjacent groups)."""
    groups: list[tuple[list[int], float]] = []  # members, centre of the group
    offsets = np.cumsum([0.0, *heights])[:-1] + np.array(heights) / 2

    def centre(members: list[int]) -> float:
        base = offsets[members[0]]
        return float(np.mean([wanted[i] - (offsets[i] - base) for i in members]))

    for i in range(len(wanted)):
        groups.append(([i], wanted[i]))
        while len(groups) > 1:
            (left, at_left), (right, at_right) = groups[-2:]
            end = at_left + offsets[left[-1]] - offsets[left[0]]
            need = (heights[left[-1]] + heights[right[0]]) / 2
            if at_right - end >= need:
                break
            both = left + right
            groups[-2:] = [(both, centre(both))]
    made = [0.0] * len(wanted)
    for members, at in groups:
        for i in members:
            made[i] = at + float(offsets[i] - offsets[members[0]])
    return made


def mark_starts(ax: Axes, starts: Sequence[tuple[float, str]]) -> None:
    """Mark where the programme starts: a thin vertical line each, with its label at the top."""
    for row, (x, label) in enumerate(starts):
        ax.axvline(x, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1.5)
        ax.annotate(
            label,
            (x, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(4, -2 - row * SMALL * 1.25),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=SMALL,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8},
            zorder=6,
        )


def rows(frame: pd.DataFrame) -> list[SimpleNamespace]:
    """Lay a frame out as its rows, each with the columns as attributes."""
    return [
        SimpleNamespace(**{str(name): value for name, value in row.items()})
        for row in frame.to_dict("records")
    ]


def period_ticks(ax: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Put a tick at every period, or at every second or third where they are many."""
    longest = max((len(part) for label in labels for part in label.split("\n")), default=1)
    room = max(1, int(_width(ax) / (TEXT * 0.62 * (longest + 1.5))))
    step = max(1, -(-len(places) // room))
    ax.set_xticks(list(places)[::step], list(labels)[::step])
