"""What the estimate would stand for, by how much the practice did outside the programme."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check.contamination import AS_ESTIMATED, SHARE, WITHOUT
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

__all__ = ["contamination"]


def contamination(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the effect that the estimate stands for, by share, and the refit apart.

    Parameters
    ----------
    finding : Finding
        Of `Contamination`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: of the main term, one row a scenario from the top, ``scenario, label, share,
        estimate, conf_low, conf_high``, in the metric's unit; NaN where nothing follows.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> users = dict.fromkeys(design.comparators[:4], "2018")
    >>> used = dk.Rollout(design.starts, contaminated=users)
    >>> other = dk.Design(panel, used, against=design.against, selection="unknown")
    >>> finding = dk.DiD().fit(other, "cla").infer(None).check(dk.Contamination(shares=(1.0,)))
    >>> contamination(finding).data["label"].tolist()
    ['as estimated', '100% of the effect', 'without the 4']
    """
    table = getattr(finding, "table", None)
    if not isinstance(table, pd.DataFrame) or "scenario" not in table:
        raise DidkitError(
            needed="a finding of Contamination",
            found=type(finding).__name__,
            where="contamination(finding)",
            todo="draw estimate.check(Contamination())",
        )
    facts, estimate = finding.facts, finding.estimate
    mine = table[(table["term"] == estimate.main_term)]
    mine = mine[mine["scenario"].isin((AS_ESTIMATED, SHARE, WITHOUT))]
    n = int(facts["n_contaminated_comparators"])
    labels = [
        f"{row.share:.0%} of the effect"
        if row.scenario == SHARE
        else f"without the {n}"
        if row.scenario == WITHOUT
        else row.scenario
        for row in rows(mine)
    ]
    columns = ["scenario", "label", "share", "estimate", "conf_low", "conf_high"]
    data = mine.assign(label=labels)[columns].reset_index(drop=True)
    ax = canvas(ax, height=1.9 + 0.42 * len(data))
    # the refit stands apart: it supposes nothing
    y = -np.arange(len(data)) - np.where(data["scenario"] == WITHOUT, 0.5, 0.0)
    colour = np.where(data["scenario"] == WITHOUT, COMPARATOR, PILOT)
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    for at, hue, row in zip(y, colour, rows(data), strict=True):
        if not np.isfinite(row.estimate):
            ax.annotate(
                "nothing follows" if row.scenario == SHARE else "no refit",
                (0, at),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
                color=GREY,
            )
            continue
        if np.isfinite(row.conf_low) and np.isfinite(row.conf_high):
            ax.plot([row.conf_low, row.conf_high], [at, at], color=hue, linewidth=1.8, zorder=2)
        marker = "D" if row.scenario == WITHOUT else "o"
        hollow = row.scenario == SHARE
        ax.plot(row.estimate, at, marker, color=hue, markersize=7, zorder=3,
                markerfacecolor="white" if hollow else hue)  # fmt: skip
        ax.annotate(
            signed(row.estimate),
            (row.estimate, at),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=hue,
            bbox=HALO,
        )
    ax.set_yticks(y, data["label"])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(float(y.min()) - 0.5, 0.75)
    ax.margins(x=0.08)
    ax.set_xlabel(f"Effect, {estimate.metric.unit or 'units of the metric'}")
    finish(ax, _title(finding), data, foot=_foot(finding))
    ax.tick_params(axis="y", labelsize=row_size(ax, len(data)), colors=INK)
    return ax


def _title(finding: Finding) -> str:
    """Say what the estimate would stand for."""
    facts, what = finding.facts, inside(finding.estimate.metric.label)
    value, n = signed(facts["estimate"]), int(facts["n_contaminated_comparators"])
    if finding.estimate.weights is None:
        out = facts["without"]
        found = signed(out) if np.isfinite(out) else "not known"
        who = f"{n} comparators that use" if n != 1 else "one comparator that uses"
        return f"Change in {what}: {value}; without the {who} the practice {found}"
    if facts["weight"] == 0:
        return f"Change in {what}: {value}, whatever contamination does: it cancels out"
    if not np.isfinite(facts["implied"]):
        return (
            f"Change in {what}: {value}; with the whole effect in contaminated cells nothing "
            "follows from it"
        )
    return (
        f"Change in {what}: {value}; with the whole effect in contaminated cells too, it would "
        f"stand for {signed(facts['implied'])}"
    )


def _foot(finding: Finding) -> str:
    """Count who is contaminated, and say whether there are intervals."""
    facts = finding.facts
    n, k = int(facts["n_contaminated_comparators"]), int(facts["n_contaminated_pilots"])
    throughout = int(facts["n_throughout"]) if facts["weight"] else 0
    cancels = "cancels" if throughout == 1 else "cancel"
    also = f" ({throughout} throughout, which {cancels})" if throughout else ""
    who = [
        f"{n} comparator{'s' if n != 1 else ''} that use{'s' if n == 1 else ''} the practice{also}"
    ]
    who = who if n else []
    who += [f"{k} pilot{'s' if k != 1 else ''} that had it before"] if k else []
    sure = finding.estimate.uncertainty
    line = (
        "No interval."
        if sure is None or not np.isfinite(finding.table["conf_low"]).any()
        else f"Lines: {sure.level:.0%} intervals, contamination taken as known."
    )
    return f"Contaminated: {', '.join(who)}. {line}"
