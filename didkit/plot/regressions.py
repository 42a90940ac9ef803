"""What selection alone would show: the bias of each comparison, beside the estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from didkit.check import RegressionToTheMean
from didkit.check.selected import ESTIMATORS
from didkit.check.selection_words import in_use
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    HALO,
    INK,
    PILOT,
    SMALL,
    TEXT,
    canvas,
    finish,
    is_narrow,
    row_size,
    rows,
)
from didkit.plot.words import inside, signed
from didkit.results import Finding

__all__ = ["regression_to_the_mean"]

_LABELS = {
    "before_after_last": "before-after, last",
    "before_after_mean": "before-after, mean",
    "post_gap": "gap afterwards",
    "did": "DiD",
    "did_without_last": "DiD without last",
    "matched_last": "matched on last",
    "matched_mean": "matched on mean",
}
_GROUPS = {
    "random": "If pilots were chosen at random",
    "latest_value": "If chosen by the last year before",
    "average": "If chosen by the mean of the years before",
    "permanent": "If they differ for good, by the gap before",
}


def regression_to_the_mean(finding: Finding, ax: Axes | None = None) -> Axes:
    """Draw what each comparison would show without any effect, beside the estimate.

    Parameters
    ----------
    finding : Finding
        Of `RegressionToTheMean`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: one row a selection and way of comparing, from the top, ``selection,
        estimator, bias, mc_error, rank, y``. ``bias`` is that at the observed strength of
        selection, exact where it can be; ``rank`` that of the most extreme units (a hollow
        diamond; NaN where there is none), in the metric's unit. Bold is the row that stands for
        the estimate: DiD, or a matched one where its design matches on the metric before.

    Raises
    ------
    DidkitError
        If the finding is of another check.

    Examples
    --------
    >>> from didkit.check import RegressionToTheMean
    >>> from didkit.estimate import DiD
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> finding = DiD().fit(design, "cla").infer(None).check(RegressionToTheMean(draws=100))
    >>> len(regression_to_the_mean(finding).data) % 7
    0
    """
    if not isinstance(finding.check, RegressionToTheMean):
        raise DidkitError(
            needed="a finding of RegressionToTheMean",
            found=f"one of {type(finding.check).__name__}",
            where="regression_to_the_mean(finding)",
            todo="give estimate.check(RegressionToTheMean())",
        )
    data, used = _data(finding.table), in_use(finding.estimate)
    groups = list(dict.fromkeys(data["selection"]))
    top = float(data["y"].max()) + 1
    ax = canvas(ax, height=2.0 + 0.27 * (top + 1.6))
    estimate, actual = finding.estimate, finding.facts["actual"]
    ax.set_ylim(-0.7, top + 1.5)
    ax.set_yticks(data["y"], [_LABELS[name] for name in data["estimator"]])
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    ax.axvline(actual, color=PILOT, linewidth=1.4, zorder=1)
    for row in rows(data):
        colour = INK if row.estimator == used else COMPARATOR
        ax.plot([0, row.bias], [row.y, row.y], color=FAINT, linewidth=2, zorder=1.5)
        ax.plot(row.rank, row.y, "D", color=GREY, markersize=5.5, fillstyle="none", zorder=2)
        reach = 1.96 * row.mc_error
        ax.plot([row.bias - reach, row.bias + reach], [row.y] * 2, color=colour, lw=2.2, zorder=3)
        ax.plot(row.bias, row.y, "o", color=colour, markersize=7, zorder=4)
    _widen(ax, data, actual)
    size = min(SMALL, row_size(ax, int(top) + 2))
    for group in groups:
        above = float(data.loc[data["selection"] == group, "y"].max()) + 0.95
        _head(ax, _GROUPS[group], above, size)
    _numbers(ax, data, used)
    right = actual > sum(ax.get_xlim()) / 2
    ax.annotate(
        f"estimate {signed(actual)}", (actual, 1.0), xycoords=("data", "axes fraction"),
        xytext=(-4 if right else 4, -1), textcoords="offset points",
        ha="right" if right else "left", va="top", fontsize=SMALL,
        color=PILOT, bbox=HALO, zorder=5,
    )  # fmt: skip
    ax.set_xlabel(f"Without any effect, {estimate.metric.unit or 'units of the metric'}")
    finish(ax, _title(finding, data, used), data, foot=_foot(data))
    ax.tick_params(axis="y", length=0, labelsize=row_size(ax, int(top) + 1))
    for tick, name in zip(ax.get_yticklabels(), data["estimator"], strict=True):
        tick.set_fontweight("bold" if name == used else "normal")
    return ax


def _data(table: pd.DataFrame) -> pd.DataFrame:
    """One row a selection and way of comparing, with its height."""
    exact = table["closed_form"].notna()
    table = table.assign(
        bias=table["closed_form"].fillna(table["bias"]),
        mc_error=table["mc_error"].where(~exact, 0.0),
    )
    keys = ["selection", "estimator"]
    extreme = table[table["strength"] == "rank"].set_index(keys)["bias"]
    main = table.drop_duplicates(keys)  # observed comes before rank
    made = main[[*keys, "bias", "mc_error"]].reset_index(drop=True)
    rank = extreme.reindex(pd.MultiIndex.from_frame(made[keys])).to_numpy()
    only = (main["strength"] == "rank").to_numpy()  # the dot is the extreme itself
    made["rank"] = np.where(only, np.nan, rank)
    place = {name: i for i, name in enumerate(dict.fromkeys(made["selection"]))}
    step = len(_LABELS) + 1.3
    order = made["estimator"].map({name: i for i, name in enumerate(_LABELS)})
    depth = made["selection"].map(place) * step + order
    made["y"] = (depth.max() - depth).astype(float)
    return made


def _widen(ax: Axes, data: pd.DataFrame, actual: float) -> None:
    """Make room for all that is drawn and for the numbers on the right."""
    ends = np.append(data[["bias", "rank"]].to_numpy(dtype=float).ravel(), [0.0, actual])
    ends = ends[np.isfinite(ends)]
    pad = 0.08 * (float(ends.max() - ends.min()) or 1.0)
    ax.set_xlim(float(ends.min()) - pad, float(ends.max()) + pad)


def _head(ax: Axes, text: str, y: float, size: float) -> None:
    """Write what a group of rows supposes above it, from the left of their names."""
    widest = max(len(label) for label in _LABELS.values())
    ax.annotate(
        text, (0.0, y), xycoords=("axes fraction", "data"), xytext=(-0.56 * TEXT * widest, 0),
        textcoords="offset points", va="center", ha="left", fontsize=size, color=INK,
        style="italic", bbox=HALO, zorder=5, annotation_clip=False,
    )  # fmt: skip


def _numbers(ax: Axes, data: pd.DataFrame, used: str) -> None:
    """Write each number in a column on the right."""
    size = min(TEXT, row_size(ax, int(data["y"].max()) + 2))
    digits = _digits(data)
    for row in rows(data):
        ax.annotate(
            _written(row.bias, digits), (1.0, row.y), xycoords=("axes fraction", "data"),
            xytext=(42 if is_narrow(ax) else 46, 0), textcoords="offset points", va="center",
            ha="right", fontsize=size, color=INK if row.estimator == used else COMPARATOR,
            weight="bold" if row.estimator == used else "normal", annotation_clip=False,
        )  # fmt: skip


def _digits(data: pd.DataFrame) -> int:
    """Decimals that give the largest number three digits; all rows have the same."""
    largest = float(data["bias"].abs().max())
    return int(np.clip(2 - np.floor(np.log10(largest)), 0, 6)) if largest > 0 else 0


def _written(value: float, digits: int) -> str:
    """Write a number with its sign, or plain 0."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return "0"
    return f"{'+' if value > 0 else '−'}{text}"


def _title(finding: Finding, data: pd.DataFrame, used: str) -> str:
    """Say what the row in use would show without an effect, and what the estimate shows."""
    label, facts = inside(finding.estimate.metric.label), finding.facts
    mine = data[data["estimator"] == used]
    ends = [signed(facts["seen_lowest"]), signed(facts["seen_highest"])]
    span = ends[0] if len(mine) == 1 else " to ".join(ends)
    how = ESTIMATORS[used].replace(",", "")
    by = {
        "random": "chosen at random",
        "latest_value": "chosen by the last year",
        "average": "chosen by the years before",
    }
    far = "pilots as far out as they were" if mine["rank"].notna().any() else "the most extreme"
    one = f"pilots {by[mine['selection'].iloc[0]]}" if len(mine) == 1 else far
    return (
        f"Without any effect, {one} would give {how} {span} in {label}; the estimate is "
        f"{signed(facts['actual'])}"
    )


def _foot(data: pd.DataFrame) -> str:
    parts = [
        "Last: the last year before the start. Bars: 95% Monte Carlo error of matched rows; the "
        "others are exact."
    ]
    if data["rank"].notna().any():
        parts.append(
            "Dots: pilots as far out as they were. Diamonds: had the most extreme been taken."
        )
    return " ".join(parts)
