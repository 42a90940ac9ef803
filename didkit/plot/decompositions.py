"""What a two-way estimate is made of: its comparisons, and its weights on treated cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check.goodman_bacon import ALWAYS, BOTH, EARLIER, LATER, NEVER, GoodmanBacon
from didkit.check.two_way_weights import TwoWayWeights
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    canvas,
    finish,
    rows,
)
from didkit.plot.words import inside, signed
from didkit.results import Finding

__all__ = ["goodman_bacon", "two_way_weights"]

_LOOK = {
    NEVER: (COMPARATOR, "o"),
    EARLIER: (INK, "^"),
    LATER: (PILOT, "D"),
    ALWAYS: (PILOT, "s"),
    BOTH: (PILOT, "D"),
}
_NAMED = 6  # of the heaviest comparisons


def goodman_bacon(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw each comparison of two starts by its weight and its estimate.

    Parameters
    ----------
    finding : Finding
        Of `GoodmanBacon`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: the finding's table.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> for unit in ("584", "609", "616", "637"):  # without a value in some period
    ...     design = design.drop(unit)
    >>> finding = dk.DiD().fit(design, "cpp").infer(None).check(dk.GoodmanBacon())
    >>> list(goodman_bacon(finding).data.columns[:3])
    ['treated', 'against', 'kind']
    """
    _check(finding, GoodmanBacon, "goodman_bacon")
    data, metric = finding.table, finding.estimate.metric
    ax = canvas(ax)
    value = finding.facts["estimate"]
    ax.axhline(0, color=FAINT, linewidth=0.9, zorder=1)
    ax.axhline(value, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1.5)
    heavy = data["weight"].nlargest(_NAMED).index
    for kind, mine in data.groupby("kind", sort=False):
        colour, marker = _LOOK[str(kind)]
        ax.scatter(100 * mine["weight"], mine["estimate"], s=42, marker=marker, color=colour,
                   edgecolors="white", linewidths=0.6, zorder=3)  # fmt: skip
        share, mean = finding.facts[f"weight of {kind}"], finding.facts[f"estimate of {kind}"]
        place = sum(text.get_gid() == "kind" for text in ax.texts)
        ax.annotate(
            f"{_shape(marker)} {kind}: {share:.0%}, {signed(mean)}",
            (0.99, 0.98),
            xycoords="axes fraction",
            xytext=(0, -place * SMALL * 1.4),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=SMALL,
            color=colour,
            bbox=HALO,
            gid="kind",
            zorder=5,
        )
    for row in rows(data.loc[heavy]):
        ax.annotate(
            f"{row.treated} v {row.against}",
            (100 * row.weight, row.estimate),
            xytext=(6, 4),
            textcoords="offset points",
            fontsize=SMALL,
            color=_LOOK[row.kind][0],
            zorder=4,
        )
    low, high = ax.get_ylim()  # room for the kinds above the highest point
    ax.set_ylim(low, high + (high - low) * 0.07 * (1 + data["kind"].nunique()))
    ax.margins(x=0.12)
    ax.set_xlabel("Weight, %")
    again = finding.facts.get(f"weight of {LATER}", 0.0) + finding.facts.get(
        f"weight of {ALWAYS}", 0.0
    )
    said = (
        f"; {again:.0%} compares with pilots already treated"
        if again
        else ""
        if BOTH in set(data["kind"])
        else "; no pilot is compared with one already treated"
    )
    foot = "Dashed: the two-way estimate, the weighted mean of all points."
    within = finding.facts.get("within_weight")
    if within:
        foot = (
            f"Dashed: the two-way estimate. Points average to {1 - within:.1%} of it; the rest "
            "comes from units of the same start whose covariates differ."
        )
    finish(
        ax,
        f"Change in {inside(metric.label)}: {signed(value)}{said}",
        data,
        foot=foot,
        ylabel=f"Difference in differences, {metric.unit or 'units of the metric'}",
    )
    return ax


def two_way_weights(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the weights of treated cells, sorted, those below zero shaded; or a term's own effects.

    Of an event study: each term's weights on event times that are not its own, as dots.

    Parameters
    ----------
    finding : Finding
        Of `TwoWayWeights`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: the finding's table.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cpp").infer(None).check(dk.TwoWayWeights())
    >>> two_way_weights(finding).get_xlabel().splitlines()[0][:13]
    'Treated cells'
    """
    _check(finding, TwoWayWeights, "two_way_weights")
    ax = canvas(ax)
    return _contaminated(finding, ax) if "term" in finding.table else _sorted(finding, ax)


def _sorted(finding: Finding, ax: Axes) -> Axes:
    """Bars of all weights, in order, beside what an even mean would give."""
    data, facts = finding.table, finding.facts
    weight = 100 * data["weight"].to_numpy()
    below = weight < 0
    places = np.arange(len(data))
    ax.bar(places, weight, width=1.0 if len(data) > 40 else 0.86, linewidth=0,
           color=[PILOT if one else COMPARATOR for one in below], zorder=2)  # fmt: skip
    ax.plot(places, 100 * data["share"], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=3)
    ax.axhline(0, color=GREY, linewidth=0.9, zorder=1)
    ax.annotate(
        "all alike",
        (places[-1], 100 * float(data["share"].iloc[-1])),
        xytext=(0, 5),
        textcoords="offset points",
        ha="right",
        fontsize=SMALL,
        color=INK,
        bbox=HALO,
    )
    if below.any():
        ax.fill_between(
            [float(places[below].min()) - 0.5, float(places[-1]) + 0.5], 0, 1,
            transform=ax.get_xaxis_transform(), color=FAINT, alpha=0.45, linewidth=0, zorder=0,
        )  # fmt: skip
    what = "treated units" if "period" not in data else "treated cells"
    ax.set_xticks([])
    ax.set_xlabel(f"{what.capitalize()}, by weight")
    n, k = int(facts["n_negative"]), int(facts["n_weights"])
    said = (
        f"{n} of {k} {what} count backwards, {abs(facts['sum_negative']):.1%} in all"
        if n
        else f"all {k} {what} count forwards"
    )
    zero = facts["sigma_zero"]
    foot = "Dashed: weights of a plain mean."
    if np.isfinite(zero):
        foot += f" Their plain mean could be zero if effects had a standard deviation of {zero:.3g}"
        opposite = facts["sigma_opposite"]
        foot += f", all of the opposite sign at {opposite:.3g}." if np.isfinite(opposite) else "."
    label = inside(finding.estimate.metric.label)
    title = f"Change in {label}, {signed(facts['estimate'])}: {said}"
    return finish(ax, title, data, foot=foot, ylabel="Weight, %")


def _contaminated(finding: Finding, ax: Axes) -> Axes:
    """Dots: each term's weight on each start and event time from the start on, own ones hollow."""
    data = finding.table
    terms = list(dict.fromkeys(data["term"]))
    shown = data[data["phase"] == "after"]
    y = -shown["term"].map({term: i for i, term in enumerate(terms)}).to_numpy(dtype=float)
    own = shown["own"].to_numpy()
    weight = shown["weight"].to_numpy()
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    ax.scatter(weight[~own], y[~own], s=24, color=PILOT, alpha=0.75, linewidths=0, zorder=3)
    ax.scatter(weight[own], y[own], s=26, facecolors="white", edgecolors=COMPARATOR, zorder=2)
    ax.set_yticks([-i for i in range(len(terms))], terms)
    ax.set_ylim(-len(terms) + 0.4, 0.6)
    ax.set_xlabel("Weight on the effect of a start at an event time")
    size = finding.facts["largest"]
    label = inside(finding.estimate.metric.label)
    title = f"Terms of {label}: up to {signed(size)} of an effect that is not their own"
    if size == 0:
        title = f"Terms of {label} hold no effects that are not their own"
    return finish(
        ax, title, data,
        foot="Hollow: the term's own event time, by start. Filled: others, from the start on.",
    )  # fmt: skip


def _shape(marker: str) -> str:
    """The marker as a letter of the label."""
    return {"o": "●", "^": "▲", "D": "◆", "s": "■"}[marker]


def _check(finding: Finding, kind: type, name: str) -> None:
    """Refuse another finding."""
    table = getattr(finding, "table", None)
    if not isinstance(table, pd.DataFrame) or type(finding.check).__name__ != kind.__name__:
        raise DidkitError(
            needed=f"a finding of {kind.__name__}",
            found=type(finding).__name__,
            where=f"{name}(finding)",
            todo=f"draw estimate.check({kind.__name__}())",
        )
