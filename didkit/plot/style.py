"""The house style: two colours that everyone can tell apart, direct labels, honest titles."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform, blended_transform_factory

from didkit.errors import DidkitError

__all__ = [
    "COMPARATOR",
    "FAINT",
    "GREY",
    "HALO",
    "INK",
    "PILOT",
    "SMALL",
    "TAIL",
    "TEXT",
    "EndLabel",
    "canvas",
    "end_labels",
    "finish",
    "is_narrow",
    "key_below",
    "mark_starts",
    "name_length",
    "period_ticks",
    "points",
    "row_size",
    "rows",
    "width_of_foot",
]

# Okabe & Ito's vermilion and blue; the vermilion of thin lines and text is a shade darker, so
# that it keeps 4.5:1 against white.
PILOT = "#B84A00"
COMPARATOR = "#0072B2"
INK = "#222222"
GREY = "#6B6B6B"
FAINT = "#D3D3D3"
TAIL = "#EBA673"  # the pilots' colour, light: what is counted as being as large
HALO = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}

TITLE, TEXT, SMALL = 12.0, 10.5, 9.5
_NARROW = 340.0  # points: a figure on a phone, or made for one


@dataclass(frozen=True)
class EndLabel:
    """A label for the right-hand end of a line, at height `y`."""

    text: str
    y: float
    colour: str


class _Shown(Figure):
    """A figure that ends a notebook's cell as a picture, though pyplot knows nothing of it."""

    def _repr_png_(self) -> bytes:
        made = io.BytesIO()
        self.savefig(made, format="png")
        return made.getvalue()


def canvas(ax: Axes | None, *, width: float = 6.4, height: float = 4.3) -> Axes:
    """Return the Axes given, or those of a new figure that pyplot knows nothing of.

    Raises
    ------
    DidkitError
        If something else than Axes is given.
    """
    if ax is None:
        figure = _Shown(figsize=(width, height), layout="constrained", facecolor="white")
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
    hung = _hangs(ax)
    size = TEXT if is_narrow(ax) else TITLE
    written = ax.set_title(
        _wrapped(ax, title, size, hung), loc="left", fontsize=size, color=INK, weight="bold"
    )
    if foot:
        below = _wrapped(ax, ax.get_xlabel(), SMALL, hung)
        note = _wrapped(ax, foot, SMALL, hung)
        ax.set_xlabel(f"{below}\n{note}" if below else note, fontsize=SMALL, color=GREY, loc="left")
    elif ax.get_xlabel():
        ax.set_xlabel(_wrapped(ax, ax.get_xlabel(), TEXT, False))
        ax.xaxis.label.set(fontsize=TEXT, color=INK)
    if hung:
        _hang(ax, written, foot=bool(foot))
    for text in ax.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)  # a name with two $ is a name
    ax.data = data  # type: ignore[attr-defined]
    return ax


def is_narrow(ax: Axes) -> bool:
    """Whether the Axes stand alone in a figure as narrow as a phone."""
    return len(ax.figure.axes) == 1 and 72 * ax.figure.bbox.width / ax.figure.dpi < _NARROW


def _hangs(ax: Axes) -> bool:
    """Whether names leave so little room that title and foot begin at the figure's edge."""
    return is_narrow(ax) and _left_margin(ax) > 70


def _hang(ax: Axes, title: Text, *, foot: bool) -> None:
    """Move title and foot to the left edge of the figure."""
    figure = ax.figure
    edge = 6 / (72 * figure.bbox.width / figure.dpi)
    across = blended_transform_factory(figure.transFigure, title.get_transform())
    title.set(transform=across, x=edge)
    if foot:
        across = blended_transform_factory(figure.transFigure, IdentityTransform())
        ax.xaxis.label.set(transform=across, x=edge)


def width_of_foot(ax: Axes) -> int:
    """Letters that a line of the foot will hold, once the labels on the left are there."""
    return _per_line(ax, SMALL, _hangs(ax))


def _wrapped(ax: Axes, text: str, size: float, hung: bool) -> str:
    """Break each line of a text into lines that have room."""
    per_line = _per_line(ax, size, hung)
    parts = text.split("\n")
    return "\n".join(
        line for part in parts for line in textwrap.wrap(part, per_line, break_long_words=False)
    )


def _per_line(ax: Axes, size: float, hung: bool) -> int:
    """Letters from the Axes' left to its right, or the figure's."""
    across = _width(ax)
    if len(ax.figure.axes) == 1:  # a title may run over the labels at the ends of lines
        taken = 12 if hung else _left_margin(ax)
        across = 72 * ax.figure.bbox.width / ax.figure.dpi - taken
    letter = 0.54 if size == SMALL else 0.62 if hung else 0.59  # bold ones are wider
    return max(24, int(across / (size * letter)))


def _left_margin(ax: Axes) -> float:
    """Width in points of what stands to the left of the Axes, before the layout is known."""
    written = [tick.get_text() for tick in ax.get_yticklabels()]
    longest = max((len(line) for text in written for line in text.split("\n")), default=0)
    label = ax.get_ylabel()
    return 18 + TEXT * (0.58 * max(longest, 3) + (1.4 * (1 + label.count("\n")) if label else 0))


def _height(ax: Axes) -> float:
    """Height of the Axes in points, as far as it is known before the layout."""
    return float(72 * ax.bbox.height / ax.figure.dpi)


def _width(ax: Axes) -> float:
    """Width of the Axes in points, as far as it is known before the layout."""
    return float(72 * ax.bbox.width / ax.figure.dpi)


def points(ax: Axes) -> tuple[float, float]:
    """Width and height of the Axes in points, as far as they are known before the layout.

    Labels of the vertical axis take their room from the width, title and foot from the height:
    what is asked once they are there is nearer to what will be drawn.
    """
    width, height = _width(ax), 0.88 * _height(ax)
    if len(ax.figure.axes) == 1:
        box, inch = ax.figure.bbox, 72 / ax.figure.dpi
        width = inch * box.width - _left_margin(ax) - 8
        title, below = ax.get_title(loc="left"), ax.get_xlabel()
        taken = TITLE * 1.35 * (1 + title.count("\n")) if title else 0.0
        taken += SMALL * 1.35 * (1 + below.count("\n")) if below else 0.0
        height = min(height, inch * box.height - taken - 32)
    return max(width, 60.0), max(height, 40.0)


def end_labels(ax: Axes, x: float, labels: Sequence[EndLabel], *, side: str = "right") -> None:
    """Write labels beside the ends of lines, moved apart where they would overlap."""
    low, high = ax.get_ylim()
    point = (high - low) / points(ax)[1]
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
        ).set_parse_math(False)


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


def name_length(ax: Axes) -> int:
    """Letters of a name that have room beside the Axes."""
    return 17 if is_narrow(ax) else 28


def row_size(ax: Axes, n: int) -> float:
    """Size of letters at which n rows have room below one another."""
    return float(np.clip(0.8 * points(ax)[1] / max(n, 1), 5.0, TEXT))


def rows(frame: pd.DataFrame) -> list[SimpleNamespace]:
    """Lay a frame out as its rows, each with the columns as attributes."""
    return [
        SimpleNamespace(**{str(name): value for name, value in row.items()})
        for row in frame.to_dict("records")
    ]


def period_ticks(
    ax: Axes, places: Sequence[float], labels: Sequence[str], *, beside: float = 0.0
) -> None:
    """Put a tick at every period, or at every second or third where they are many.

    `beside`: points that labels to the right of the Axes will take.
    """
    longest = max((len(part) for label in labels for part in label.split("\n")), default=1)
    room = max(1, int((points(ax)[0] - beside) / (TEXT * 0.62 * (longest + 0.8))))
    step = max(1, -(-len(places) // room))
    ax.set_xticks(list(places)[::step], list(labels)[::step])


def key_below(ax: Axes, handles: Sequence[Patch]) -> None:
    """Say under a map what each colour stands for, in as many columns as have room."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    width, height = points(ax)
    columns = int(np.clip(width / (SMALL * 0.56 * (longest + 4)), 1, len(handles)))
    ax.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(0.0, -4 / height),
        borderaxespad=0,
        borderpad=0,
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        handlelength=1.2,
        columnspacing=1.2,
    )
    ax.xaxis.labelpad = 8 + -(-len(handles) // columns) * SMALL * 1.75
