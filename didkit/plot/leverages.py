"""Partial leverage: which units carry the information on a term."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.errors import InferenceError
from didkit.linear import effective_clusters, partial_leverage
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    name_length,
    row_size,
)
from didkit.plot.words import short
from didkit.results import Estimate, tables

__all__ = ["leverage"]

_MOST_ROWS = 20


def leverage(estimate: Estimate, term: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw each cluster's share of the information on a term, the largest on top.

    Parameters
    ----------
    estimate : Estimate
        By least squares: one that publishes ``normal`` and ``contrast``.
    term : str, optional
        By default ``estimate.main_term``.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a cluster, the largest first, ``cluster, name, arm, share, shown``;
        the shares add up to 1. Twenty are shown, the mean of the others as one grey bar. The
        dashed line is 1/G, the share of each if all carried alike.

    Raises
    ------
    InferenceError
        If the estimate has no cross-products by cluster.
    EstimationError
        If there is no such term.

    Examples
    --------
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> data = leverage(DiD().fit(design, "cla").infer(None)).data
    >>> round(float(data["share"].sum()), 10), data["arm"].iloc[0]
    (1.0, 'pilot')
    """
    m = estimate.place_of(term, where="the picture of leverage")
    if estimate.normal is None or estimate.contrast is None:
        raise InferenceError(
            needed="an estimate with cross-products by cluster",
            found=f"{type(estimate.estimator).__name__} against "
            f"{estimate.design.against.describe()}, which publishes none",
            where="the picture of leverage",
            todo="use an estimate against one pool; LeaveOneOut() shows who moves any estimate",
        )
    share = partial_leverage(estimate.normal, estimate.contrast)[:, m]
    effective = float(effective_clusters(estimate.normal, estimate.contrast)[m])
    data = _frame(estimate, share)
    shown = data[data["shown"]]
    rest = data[~data["shown"]]
    bars = len(shown) + (1 if len(rest) else 0)
    ax = canvas(ax, height=max(2.8, 1.7 + 0.24 * bars))
    colours = {"pilot": PILOT, "comparator": COMPARATOR}
    y = np.arange(bars)[::-1]
    ax.barh(
        y[: len(shown)],
        100 * shown["share"],
        color=[colours[arm] for arm in shown["arm"]],
        height=0.72,
    )
    labels = [short(label, name_length(ax)) for label in shown["name"]]
    if len(rest):
        ax.barh(y[-1], 100 * float(rest["share"].mean()), color=FAINT, height=0.72)
        labels.append(f"{len(rest)} others (mean)")
    ax.set_yticks(y, labels)
    ax.set_ylim(-0.7, bars - 0.1)
    ax.tick_params(axis="y", length=0)
    equal = 1 / len(data)
    ax.axvline(100 * equal, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), zorder=3)
    ax.set_xlim(0, max(100 * float(share.max()), 100 * equal) * 1.06)
    _key(ax, data, equal)
    ax.set_xlabel("Share of the information on the term, %")
    finish(ax, _title(estimate, data, effective), data, foot=_foot(rest, equal, len(data)))
    ax.tick_params(axis="y", labelsize=row_size(ax, bars))
    return ax


def _frame(estimate: Estimate, share: np.ndarray) -> pd.DataFrame:
    """One row a cluster, by its label, the largest share first."""
    sample, normal = estimate.sample, estimate.normal
    labels = list(normal.labels) if normal is not None and normal.labels else []
    labels = labels or list(sample.cluster_labels)
    of_unit = np.array(sample.cluster_labels)[sample.clusters]
    names = dict(zip(sample.units, sample.names, strict=True))
    piloted = set(of_unit[sample.pilot])
    data = pd.DataFrame(
        {
            "cluster": labels,
            "name": [names.get(label) or label for label in labels],
            "arm": ["pilot" if label in piloted else "comparator" for label in labels],
            "share": share,
        }
    )
    data = data.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    data["shown"] = np.arange(len(data)) < (_MOST_ROWS if len(data) > _MOST_ROWS + 1 else len(data))
    return data


def _key(ax: Axes, data: pd.DataFrame, equal: float) -> None:
    """Name the colours and the line inside the picture."""
    lines = [
        (f"{(data['arm'] == arm).sum()} {arm}s: {data.loc[data['arm'] == arm, 'share'].sum():.0%}",
         colour)
        for arm, colour in (("pilot", PILOT), ("comparator", COMPARATOR))
        if (data["arm"] == arm).any()
    ]  # fmt: skip
    lines.append((f"- -  equal shares, {equal:.1%}", INK))
    for i, (words, colour) in enumerate(lines):
        ax.annotate(
            words,
            (1.0, 0.0),
            xycoords="axes fraction",
            xytext=(-4, 6 + (len(lines) - 1 - i) * TEXT * 1.45),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=TEXT if i < 2 else SMALL,
            color=colour,
            weight="bold" if i < 2 else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9},
            zorder=5,
        )


def _title(estimate: Estimate, data: pd.DataFrame, effective: float) -> str:
    """Say for how many units they count, and how much the pilots carry."""
    who = "clusters" if estimate.sample.clustered_above else "authorities"
    carried = float(data.loc[data["arm"] == "pilot", "share"].sum())
    n = int((data["arm"] == "pilot").sum())
    which = f"the {n} pilots" if n != 1 else "the one pilot"
    return (
        f"{estimate.metric.label}: {len(data)} {who} count for about {effective:.0f}; {which} "
        f"{'carry' if n != 1 else 'carries'} {carried:.0%} of the information"
    )


def _foot(rest: pd.DataFrame, equal: float, n: int) -> str:
    parts = [f"Dashed: 1/{n}, if all carried alike."]
    if len(rest):
        low, high = (
            f"{tables.number(100 * end, 2)}%" for end in (rest["share"].min(), rest["share"].max())
        )
        each = low if low == high else f"{low} to {high}"
        parts.append(
            f"The {len(rest)} others carry {each} each, {rest['share'].sum():.0%} together."
        )
    return " ".join(parts)
