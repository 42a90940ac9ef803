"""The histogram of what p counts: assignments, bootstrap draws, sign flips or placebo errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.inference import (
    ConleyTaber,
    FermanPinto,
    Permutation,
    SignFlips,
    WildBootstrap,
    WildRandomisation,
)
from didkit.inference.invert import TIES
from didkit.plot.style import (
    FAINT,
    HALO,
    INK,
    PILOT,
    SMALL,
    TAIL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    points,
)
from didkit.plot.words import signed
from didkit.results import Estimate, Uncertainty, tables

__all__ = ["permutation"]

Floats = NDArray[np.float64]
_BINS = 40
_SAME = 1e-9  # a share and the p that was made of it
_TICK = 0.1  # height of the ticks of the most extreme draw, of the Axes


@dataclass(frozen=True)
class _Words:
    """What is counted, one of them, how each comes about, and what several do."""

    many: str
    one: str
    under: str
    does: tuple[str, str] = ("gives", "give")


_PLACEBO = _Words("placebo errors", "placebo error", "of each placebo", ("is", "are"))
_WORDS: dict[type, _Words] = {
    Permutation: _Words("assignments", "assignment", "under each assignment"),
    WildBootstrap: _Words("bootstrap draws", "bootstrap draw", "in each bootstrap draw"),
    WildRandomisation: _Words(
        "bootstrap draws of placebo pilots", "bootstrap draw", "in each bootstrap draw"
    ),
    SignFlips: _Words("sign flips", "sign flip", "under each sign flip"),
    ConleyTaber: _PLACEBO,
    FermanPinto: _PLACEBO,
}


def permutation(estimate: Estimate, term: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the statistic in every draw, with the actual one and the least p attainable.

    Parameters
    ----------
    estimate : Estimate
        With `Permutation`, `WildBootstrap`, `WildRandomisation`, `SignFlips`, `ConleyTaber` or
        `FermanPinto` attached: the statistic under each assignment, in each bootstrap draw, under
        each sign flip, or the error of each placebo.
    term : str, optional
        By default ``estimate.main_term``.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a draw, ``draw, statistic, as_large``: whether p counts it. A draw
        without a statistic counts, cannot be drawn, and stands in the foot. The ticks at both ends
        stand at the most extreme draw: beyond them p is the least attainable.

    Raises
    ------
    InferenceError
        If the inference is none of these or kept no draws, or the term has no test.
    EstimationError
        If there is no such term.

    Examples
    --------
    >>> from didkit.estimate import DiD
    >>> from didkit.inference import Permutation
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> did = DiD().fit(design, "cla").infer(Permutation(draws=199))
    >>> len(permutation(did).data)
    199
    """
    sure, m, words = _drawn(estimate, term)
    null = np.asarray(sure.null, dtype=float)[:, m]
    if isinstance(sure.inference, WildRandomisation):  # terms may have fewer draws than the table
        null = null[: int(np.flatnonzero(np.isfinite(null)).max(initial=-1)) + 1]
    actual = float(sure.statistic[m])
    finite = np.isfinite(null)
    ties = TIES if _strict(sure) else -TIES
    with np.errstate(invalid="ignore"):
        large = ~finite | (null**2 >= actual**2 * (1 + ties))
    data = pd.DataFrame({"draw": np.arange(len(null)), "statistic": null, "as_large": large})
    ax = canvas(ax, height=4.3)
    shown, counted = null[finite], large[finite]
    edges = _edges(shown, actual)
    ax.hist(
        [shown[~counted], shown[counted]],
        bins=edges.tolist(),
        stacked=True,
        color=[FAINT, TAIL],
        edgecolor="white",
        linewidth=0.5,
    )
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, ax.get_ylim()[1] * 1.2)
    name = _statistic_name(estimate, sure, m)
    _mark_actual(ax, actual, name)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    least = _least(ax, sure, shown, edges)
    unit = f", {estimate.metric.unit or 'units of the metric'}" if name != "t" else ""
    shown_name = {"t": "t", "estimate": "Error" if words is _PLACEBO else "Estimate"}[name]
    ax.set_xlabel(f"{shown_name} {words.under}{unit}")
    return finish(
        ax,
        _title(estimate, data, sure, m, name, words),
        data,
        foot=_foot(
            sure, m, data["as_large"].to_numpy(dtype=bool), int((~finite).sum()), least, words
        ),
        ylabel=f"{words.one[:1].upper()}{words.one[1:]}s",
    )


def _drawn(estimate: Estimate, term: str | None) -> tuple[Uncertainty, int, _Words]:
    """Return the draws, the place of the term, and their words; refuse what has none."""
    m = estimate.place_of(term, where="the picture of a permutation")
    sure = estimate.uncertainty
    words = None if sure is None else _WORDS.get(type(sure.inference))
    if sure is None or sure.null is None or words is None:
        raise InferenceError(
            needed="an inference that kept its draws: a permutation, a bootstrap, sign flips or "
            "placebo errors",
            found="no inference" if sure is None else sure.method,
            where="the picture of a permutation",
            todo="write estimate.infer(Permutation(draws=9999, seed=1))",
        )
    tested = np.isfinite(sure.statistic[m]) and np.isfinite(sure.p_value[m])
    if not tested or not np.isfinite(np.asarray(sure.null)[:, m]).any():
        raise InferenceError(
            needed="a term with a test by draws",
            found=f"{estimate.terms['term'].iloc[m]!r} without one",
            where="the picture of a permutation",
            todo="see the notes of the estimate, or choose another term",
        )
    return sure, m, words


def _statistic_name(estimate: Estimate, sure: Uncertainty, m: int) -> str:
    """Name the statistic: a term carried by one pilot is ranked by the estimate."""
    chosen: Any = sure.inference
    if isinstance(chosen, WildBootstrap):
        return "t"
    if isinstance(chosen, ConleyTaber | FermanPinto | SignFlips):
        return "estimate"
    studentised = chosen.statistic == "t" and int(estimate.terms["n_pilots"].iloc[m]) > 1
    return "t" if studentised else "estimate"


def _edges(values: Floats, actual: float) -> Floats:
    """Edges of bins, alike on both sides of 0, with one at the actual statistic if it can be."""
    reach = float(max(np.abs(values).max(initial=0.0), abs(actual))) or 1.0
    width = 2 * reach / _BINS
    if abs(actual) > width:
        width = abs(actual) * (1 - TIES) / round(abs(actual) / width)  # a tie falls in the tail
    n = int(np.ceil(reach * (1 + 1e-9) / width)) + 1
    made: Floats = np.linspace(-n * width, n * width, 2 * n + 1)
    return made


def _mark_actual(ax: Axes, actual: float, name: str) -> None:
    """Mark the actual statistic, and its mirror image as where the other tail begins."""
    ax.axvline(actual, color=PILOT, linewidth=2.2, zorder=4)
    if actual:
        ax.axvline(-actual, color=PILOT, linewidth=1.1, linestyle=(0, (2, 2)), zorder=4)
    left = actual <= 0
    ax.annotate(
        f"actual {name} {signed(actual)}",
        (actual, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(6 if left else -6, -2),
        textcoords="offset points",
        ha="left" if left else "right",
        va="top",
        fontsize=TEXT,
        weight="bold",
        color=PILOT,
        bbox=HALO,
        zorder=5,
    )


def _least(ax: Axes, sure: Uncertainty, shown: Floats, edges: Floats) -> str:
    """Mark the most extreme draw on both sides: beyond it p is the least attainable."""
    least = tables.p_value(float(str(sure.facts["least_p"])))
    far = float(np.abs(shown).max(initial=0.0))
    for side in (-far, far):
        ax.plot([side, side], [0, _TICK], color=INK, linewidth=2, zorder=4,
                transform=ax.get_xaxis_transform())  # fmt: skip
    words = f"no p below {least.lstrip('< ')} is possible"
    text = f"no p below {least.lstrip('< ')}\nis possible"
    width, _ = points(ax)
    reach = 0.6 * SMALL * max(map(len, text.split("\n"))) * float(edges[-1] - edges[0]) / width
    if is_narrow(ax):  # no room: the foot says it
        return words
    counts = np.histogram(shown, bins=edges)[0]
    under = (edges[1:] > far - reach) & (edges[:-1] < far)
    above = float(counts[under].max(initial=0)) / ax.get_ylim()[1]
    ax.annotate(
        text,
        (far, max(above, _TICK)),
        xycoords=("data", "axes fraction"),
        xytext=(2, 4),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=SMALL,
        color=INK,
        linespacing=1.1,
        bbox=HALO,
        zorder=5,
    )
    return words


def _title(
    estimate: Estimate, data: pd.DataFrame, sure: Uncertainty, m: int, name: str, words: _Words
) -> str:
    """Say how many draws give as large a statistic."""
    count, said = int(data["as_large"].sum()), tables.p_value(float(sure.p_value[m]))
    actual = float(sure.statistic[m])
    does = words.does[0 if count == 1 else 1]
    given = "" if words is _PLACEBO else f"{_an(name)} "
    return (
        f"{estimate.metric.label}: {count:,} of {len(data):,} {words.many} {does} {given}"
        f"{_as_far(sure)} {signed(actual)}, so p {said if said.startswith('<') else f'= {said}'}"
    )


def _strict(sure: Uncertainty) -> bool:
    """Whether p counts only draws that are larger."""
    return getattr(sure.inference, "ties", "count") == "strict"


def _as_far(sure: Uncertainty) -> str:
    return "further from 0 than" if _strict(sure) else "as far from 0 as"


def _an(name: str) -> str:
    return "an estimate" if name == "estimate" else "a t"


def _foot(
    sure: Uncertainty, m: int, large: NDArray[np.bool_], lost: int, least: str, words: _Words
) -> str:
    """Say how p follows from what is shaded, as far as it does."""
    count, n, p = int(large.sum()), len(large), float(sure.p_value[m])
    if abs(p - count / n) < _SAME:
        among = ", the actual one among them" if isinstance(sure.inference, Permutation) else ""
        how = f"Every {words.one} is listed{among}: p is the share shaded."
    elif abs(p - (1 + count) / (1 + n)) < _SAME:
        drawn = "listed" if sure.facts["exact"] else "drawn"
        actual = "assignment" if isinstance(sure.inference, Permutation) else "one"
        how = f"p counts the actual {actual} too: (1 + shaded) / (1 + {drawn})."
    else:
        how = f"Shaded here: {count / n:.2%}; p is of the test's own draws."
    parts = [f"Shaded: {_as_far(sure)} the actual one.", how]
    if lost:
        parts.append(f"{lost:,} draws without a statistic count as shaded and are not drawn.")
    parts.append(f"Black ticks: the most extreme draw; {least}.")
    return " ".join(parts)
