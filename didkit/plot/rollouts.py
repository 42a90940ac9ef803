"""Who was treated when: a calendar of pilots, and of comparators that use the practice."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from numpy.typing import NDArray

from didkit.design import Design
from didkit.errors import DidkitError
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
from didkit.plot.words import short

__all__ = ["rollout"]

_MOST_USERS = 25
_LIGHT = "#F7DCC6"  # a dose of zero
# One colour and one letter a state, so that the calendar can be read without colour.
_STATES = {
    "untreated": ("#E9ECEF", "", "untreated"),
    "partly": ("#EBA673", "p", "partly treated"),
    "treated": (PILOT, "", "treated"),
    "left": ("#707070", "×", "left the programme"),
    "contaminated": ("#56B4E9", "c", "outside the programme"),
}


def rollout(design: Design, ax: Axes | None = None) -> Axes:
    """Draw who was treated in which period: pilots by start, contaminated comparators below.

    Parameters
    ----------
    design : Design
        Of any kind.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: ``design.treated()`` with ``state`` ("untreated", "partly" for a pilot that
        is exposed later in stocks or flows, "treated", "left", "contaminated") and ``shown``.
        The key says in which of the two. Where the rollout has doses the shade is the dose, which
        stands in the cell. At most 25 contaminated comparators are shown, the earliest first, then
        by id; the foot counts the others.

    Raises
    ------
    DidkitError
        If given no design.

    Examples
    --------
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> data = rollout(design).data
    >>> sorted(set(data["state"]))
    ['left', 'treated', 'untreated']
    """
    if not isinstance(design, Design):
        raise DidkitError(
            needed="a Design",
            found=type(design).__name__,
            where="rollout(design)",
            todo="give a design; of an estimate give estimate.design",
        )
    data = _frame(design)
    begun = {u: (design.periods.index(p), u) for u, p in design.starts.items()}
    pilots = sorted(design.pilots, key=begun.__getitem__)
    users = [u for u in data["unit"].drop_duplicates() if u not in begun]
    since = data[data["state"] == "contaminated"].groupby("unit")["period"].first()
    since = since.map(design.periods.index)
    users = sorted((u for u in users if u in since), key=lambda u: (since[u], u))
    drawn = [*pilots, *users[:_MOST_USERS]]
    data["shown"] = data["unit"].isin(drawn)
    ax = canvas(ax, height=1.9 + 0.26 * len(drawn))
    by = data.set_index(["unit", "period"])
    shape = (len(drawn), len(design.periods))
    cells = pd.MultiIndex.from_product([drawn, design.periods])
    state = np.array(by["state"].reindex(cells).tolist(), dtype=np.str_).reshape(shape)
    dose = by["dose"].reindex(cells).to_numpy(dtype=float).reshape(shape)
    _map(ax, state, dose if design.rollout.dose else None, min(SMALL - 1, row_size(ax, len(drawn))))
    if len(drawn) > len(pilots):
        ax.axhline(len(pilots) - 0.5, color=INK, linewidth=1.4)
    names = [short(design.panel.name_of(unit), name_length(ax)) for unit in drawn]
    ax.set_yticks(range(len(drawn)), names)
    period_ticks(ax, list(range(len(design.periods))), list(design.periods))
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("bottom")
    finish(ax, _title(design, data, users), data, foot=_foot(design, users))
    ax.tick_params(axis="both", length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    for i, tick in enumerate(ax.get_yticklabels()):
        tick.set_color(PILOT if i < len(pilots) else COMPARATOR)
        tick.set_fontsize(min(SMALL, row_size(ax, len(drawn))))
    _key(ax, state, dose if design.rollout.dose else None, _partly(data[data["shown"]]))
    return ax


def _frame(design: Design) -> pd.DataFrame:
    """Return the table of treatment with one state a cell."""
    data = design.treated()
    later = np.zeros(len(data), dtype=bool)
    for kind in ("stock", "flow"):
        if kind in data:
            later |= (data[kind] == "partly").to_numpy()
    ever = data["intention_to_treat"].to_numpy()
    now = data["as_treated"].to_numpy()
    data["state"] = np.select(
        [data["contaminated"].to_numpy(), ever & ~now, later, now],
        ["contaminated", "left", "partly", "treated"],
        default="untreated",
    )
    return data


def _map(ax: Axes, state: NDArray[np.str_], dose: np.ndarray | None, size: float) -> None:
    """Paint the cells, and write each one's letter or dose into it."""
    image = np.array([[to_rgb(_STATES[one][0]) for one in row] for row in state.tolist()])
    top = float(np.nanmax(dose)) if dose is not None and np.isfinite(dose).any() else 0.0
    for i, t in np.ndindex(*state.shape):
        one = str(state[i, t])
        letter = _STATES[one][1]
        dark = one in ("treated", "left")
        if dose is not None and one in ("treated", "partly"):
            known = bool(np.isfinite(dose[i, t]))
            share = float(dose[i, t] / top) if known and top > 0 else 0.0
            image[i, t] = (1 - share) * np.array(to_rgb(_LIGHT)) + share * np.array(to_rgb(PILOT))
            letter = (letter + (f"{dose[i, t]:.2g}" if known else "?")).strip()
            dark = share > 0.8
        if letter:
            ax.text(t, i, letter, ha="center", va="center", fontsize=size,
                    color="white" if dark else INK)  # fmt: skip
    ax.imshow(image, aspect="auto", interpolation="nearest")
    for x in range(1, state.shape[1]):
        ax.axvline(x - 0.5, color="white", linewidth=1.2)
    for y in range(1, state.shape[0]):
        ax.axhline(y - 0.5, color="white", linewidth=1.2)


def _partly(data: pd.DataFrame) -> str:
    """Say whether flows, stocks or both are partly treated in the cells so marked."""
    marked = data[data["state"] == "partly"]
    kinds = [k for k in ("flow", "stock") if k in marked and (marked[k] == "partly").any()]
    return f" ({kinds[0]}s only)" if len(kinds) == 1 else " (flows, stocks)"


def _key(ax: Axes, state: NDArray[np.str_], dose: np.ndarray | None, partly: str) -> None:
    """Say under the calendar what each colour and letter stands for."""
    more = {"treated": ", by dose" if dose is not None else "", "partly": partly}
    handles = [
        Patch(
            facecolor=colour,
            edgecolor="none",
            label=f"{letter} {words}{more.get(one, '')}".strip(),
        )
        for one, (colour, letter, words) in _STATES.items()
        if (state == one).any()
    ]
    if dose is not None and np.isnan(dose).any():
        handles.append(Patch(facecolor=_LIGHT, edgecolor="none", label="? dose not known"))
    key_below(ax, handles)


def _title(design: Design, data: pd.DataFrame, users: list[str]) -> str:
    """Say when pilots start, how many left or had it before, and who uses it besides."""
    n, periods = len(design.pilots), list(dict.fromkeys(sorted(design.starts.values())))
    who = f"{n} pilots start" if n != 1 else "One pilot starts"
    parts = [
        f"{who} in {periods[0]}"
        if len(periods) == 1
        else f"{who} in {len(periods)} different periods"
    ]
    own = data[data["unit"].isin(design.pilots)]
    left = own.loc[own["state"] == "left", "unit"].nunique()
    prior = own.loc[own["state"] == "contaminated", "unit"].nunique()
    parts += [f"{left} left"] * (left > 0) + [f"{prior} had it before"] * (prior > 0)
    if users:
        of = sum(unit not in design.starts for unit in design.comparators)
        parts.append(
            f"{len(users)} of {of} comparator{'s' * (of != 1)} "
            f"{'use' if len(users) != 1 else 'uses'} the practice"
        )
    return "; ".join(parts)


def _foot(design: Design, users: list[str]) -> str:
    """Count the comparators that are not drawn."""
    others = sum(unit not in design.starts for unit in design.comparators) - len(users)
    hidden = len(users) - _MOST_USERS
    parts = ["Pilots above the line."] if users else []
    if hidden > 0:
        parts.append(
            f"{hidden} more comparators that use the practice are not shown."
            if hidden > 1
            else "1 more comparator that uses the practice is not shown."
        )
    if others:
        plural, are = ("s", "are") if others != 1 else ("", "is")
        parts.append(
            f"{others} {'other ' if users else ''}comparator{plural}, untreated throughout, "
            f"{are} not shown."
        )
    if design.treatment == "as_treated":
        parts.append("As treated: cells after leaving are left out.")
    return " ".join(parts)
