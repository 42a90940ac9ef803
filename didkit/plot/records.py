"""The estimate without flagged authorities, and over other populations: a dot a refit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check.other_denominator import AS_ESTIMATED, OTHER, OWN, OtherDenominator
from didkit.check.without_breaks import WithoutBreaks
from didkit.errors import DidkitError
from didkit.plot.style import (
    FAINT,
    GREY,
    HALO,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    name_length,
    row_size,
    rows,
)
from didkit.plot.words import inside, short, signed
from didkit.results import Finding
from didkit.results.tables import number

__all__ = ["other_denominator", "without_breaks"]

_MOST_ROWS = 24
_COLUMNS = ["label", "estimate", "conf_low", "conf_high", "original"]


def without_breaks(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimate as it is, and without what is flagged.

    Parameters
    ----------
    finding : Finding
        Of `WithoutBreaks`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a refit from the top, ``label, estimate, conf_low, conf_high,
        original, at_start`` (left out alone, and its flag runs into its first treated period), in
        the metric's unit. 24 rows at most: those that move the estimate least are left out.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> finding = dk.DiD().fit(design, "cin").infer(None).check(dk.WithoutBreaks())
    >>> without_breaks(finding).data["label"].iloc[0]
    'as estimated'
    """
    check = getattr(finding, "check", None)
    if not isinstance(check, WithoutBreaks):
        raise _wrong(finding, "WithoutBreaks")
    flags = check.flags(finding.estimate)
    named = set(flags.loc[flags["at_start"], "name"])
    table = finding.table
    alone = ~table["scenario"].isin([AS_ESTIMATED]) & (table["n_units"] == 1)
    data = table.assign(
        label=table["scenario"].str.removeprefix("without "),
        original=table["scenario"] == AS_ESTIMATED,
        at_start=alone & table["left_out"].isin(named),
    )[[*_COLUMNS, "at_start", "shift"]].reset_index(drop=True)
    left = 0
    if len(data) > _MOST_ROWS:
        far = data["shift"].abs().where(~data["original"], np.inf).fillna(np.inf)
        keep = far.sort_values(ascending=False, kind="stable").index[:_MOST_ROWS]
        left = len(data) - _MOST_ROWS
        data = data.loc[sorted(keep)].reset_index(drop=True)
    data = data.drop(columns="shift")
    data["label"] += np.where(data["at_start"], " *", "")
    facts, what = finding.facts, inside(finding.estimate.metric.label)
    n = int(facts["n_pilots"] + facts["n_comparators"])
    if not n:
        title = f"Change in {what}: {signed(facts['full'])}; no series behind it is flagged"
    else:
        who = f"{n} flagged authorities" if n > 1 else "the flagged authority"
        title = (
            f"Change in {what}: {signed(facts['full'])}; leaving {who} or cells out, from "
            f"{signed(facts['lowest'])} to {signed(facts['highest'])}"
        )
    said = "* jumped as the programme started there: it may be the programme. " * bool(
        data["at_start"].any()
    )
    said = "Rows: left out. " * bool(n) + said
    said += f"{left} rows that move the estimate least are not shown. " * bool(left)
    return _dots(finding, data, title, said, ax)


def other_denominator(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw the estimate as it is, and with the rate over either vintage of the population.

    Parameters
    ----------
    finding : Finding
        Of `OtherDenominator`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        ``ax.data``: one row a refit from the top, ``label, estimate, conf_low, conf_high,
        original``, in the metric's unit.

    Raises
    ------
    DidkitError
        If given something else.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cin").infer(None)
    >>> finding = did.check(dk.OtherDenominator("cla_population"))
    >>> len(other_denominator(finding).data)
    3
    """
    if not isinstance(getattr(finding, "check", None), OtherDenominator):
        raise _wrong(finding, "OtherDenominator")
    table, facts = finding.table, finding.facts
    labels = {AS_ESTIMATED: "as estimated", OWN: "computed over\nits own population",
              OTHER: "computed over\nthe other"}  # fmt: skip
    data = table.assign(
        label=table["rate"].map(labels), original=table["rate"] == AS_ESTIMATED
    )[_COLUMNS].reset_index(drop=True)  # fmt: skip
    over = str(table.loc[table["rate"] == OTHER, "over"].iloc[0])
    title = (
        f"Change in {inside(finding.estimate.metric.label)}: {signed(facts['full'])}; over the "
        f"other population {signed(facts['other'])}"
    )
    most = number(facts["largest"], 2)
    said = f"The other: {over}; it changes a cell of the rate by {most}% at most. "
    return _dots(finding, data, title, said, ax)


def _dots(finding: Finding, data: pd.DataFrame, title: str, said: str, ax: Axes | None) -> Axes:
    """Draw a dot and an interval a row, and the estimate as it is as a line through all."""
    estimate = finding.estimate
    tall = data["label"].str.count("\n").max()
    ax = canvas(ax, height=1.9 + (0.31 + 0.16 * tall) * len(data))
    full = finding.facts["full"]
    y = -np.arange(len(data), dtype=float)
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    ax.axvline(full, color=PILOT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    for at, row in zip(y, rows(data), strict=True):
        if not np.isfinite(row.estimate):
            ax.annotate("no estimate", (full, at), xytext=(5, 0), textcoords="offset points",
                        ha="left", va="center", fontsize=SMALL, color=GREY,
                        bbox=HALO)  # fmt: skip
            continue
        if np.isfinite([row.conf_low, row.conf_high]).all():
            ax.plot([row.conf_low, row.conf_high], [at, at], color=PILOT if row.original else FAINT,
                    linewidth=2, zorder=2)  # fmt: skip
        # the estimate is the reference here: hollow
        ax.plot(row.estimate, at, "o", color=PILOT, markersize=7, zorder=3,
                markerfacecolor="white" if row.original else PILOT)  # fmt: skip
        ax.annotate(
            signed(row.estimate),
            (1.0, at),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            fontsize=SMALL,
            color=PILOT,
            annotation_clip=False,
        )
    longest = name_length(ax) + 8
    ax.set_yticks(y, [label if "\n" in label else short(label, longest)
                      for label in data["label"]])  # fmt: skip
    ax.set_ylim(float(y.min()) - 0.6, 0.6)
    ax.margins(x=0.06)
    ax.set_xlabel(f"Change, {estimate.metric.unit or 'units of the metric'}")
    sure = estimate.uncertainty
    if sure is not None and np.isfinite(data["conf_low"]).any():
        said += f"Lines: {sure.level:.0%} intervals."
    finish(ax, title, data, foot=said.strip())
    ax.tick_params(axis="y", length=0, labelsize=min(row_size(ax, len(data)), TEXT))
    return ax


def _wrong(finding: object, name: str) -> DidkitError:
    return DidkitError(
        needed=f"a finding of {name}",
        found=type(finding).__name__,
        where="plot",
        todo=f"draw estimate.check({name}(…))",
    )
