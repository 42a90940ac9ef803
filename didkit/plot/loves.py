"""The love plot: standardised differences before and after, covariate by covariate."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from didkit.design import Balance
from didkit.errors import DidkitError
from didkit.plot.style import (
    COMPARATOR,
    FAINT,
    GREY,
    INK,
    canvas,
    finish,
    is_narrow,
    name_length,
    row_size,
    rows,
)
from didkit.plot.words import inside, short

__all__ = ["love"]

_MOST_ROWS = 30
_LEAST = 12  # letters of a metric beside its window
_HEADS = {
    "level": "Mean before the start",
    "last": "Last value before it",
    "slope": "Slope before it",
    "covariate": "Other covariates",
}
_WHOSE = {"pilots": "of the pilots", "pooled": "of pilots and pool", "pool": "of the pool"}


def love(balance: Balance, ax: Axes | None = None) -> Axes:
    """Draw how far pilots were from the pool and from their comparators, in standard deviations.

    Parameters
    ----------
    balance : Balance
        Of `Design.balance`.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as its rows need.

    Returns
    -------
    Axes
        ``ax.data``: the rows of ``balance.table`` with a standardised difference, as drawn from
        the top, and ``label, shown``. Hollow: pilots less the pool; filled: pilots less their
        comparators. The band is one standard error, what chance alone gives. Rows stand by kind
        and fall by size; with more than 30 those that differ most are shown.

    Raises
    ------
    DidkitError
        If given something else than a balance, or no difference could be standardised.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> data = love(design.balance(["cin", "cla"])).data
    >>> data["kind"].tolist()
    ['level', 'level', 'last', 'last', 'slope', 'slope']
    """
    given: object = balance
    if not isinstance(given, Balance):
        raise DidkitError(
            needed="a Balance",
            found=type(given).__name__,
            where="love(balance)",
            todo="give design.balance()",
        )
    data = _frame(balance)
    if data.empty:
        raise DidkitError(
            needed="at least one standardised difference",
            found="none",
            where="love(balance)",
            todo="see balance.notes; with one pilot write balance(standardise='pool')",
        )
    shown = data[data["shown"]].reset_index(drop=True)
    kinds = list(dict.fromkeys(shown["kind"]))
    lines = len(shown) + len(kinds)
    ax = canvas(ax, width=7.6, height=2.1 + 0.25 * lines)
    places, heads = _places(shown, kinds)
    _band(ax, shown, places)
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    for y, row in zip(places, rows(shown), strict=True):
        ends = [row.smd_before, row.smd_after]
        ax.plot(ends, [y, y], color=GREY, linewidth=1.2, zorder=2)  # a NaN draws nothing
        ax.plot(ends[0], y, "o", mfc="white", mec=COMPARATOR, mew=1.6, ms=8.5, zorder=3)
        ax.plot(ends[1], y, "o", color=COMPARATOR, ms=5.0, zorder=4)
    room = name_length(ax) + (6 if is_narrow(ax) else 10)
    names = [_cut(row.label, _window(row.covariate, balance), room) for row in rows(shown)]
    titles = [_head(kind, shown, balance) for kind in kinds]
    if is_narrow(ax):
        titles = [short(_HEADS[kind], room) for kind in kinds]
    ax.set_yticks([*places, *heads], [*names, *titles])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.7, lines - 0.3)
    both = shown[["smd_before", "smd_after"]]
    band = float(shown["smd_se"].fillna(0.0).max())
    low, high = min(float(both.min().min()), -band), max(float(both.max().max()), band)
    ax.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    ax.set_xlabel(f"Pilots less the others, standard deviations {_WHOSE[balance.standardise]}")
    finish(ax, _title(data), data, foot=_foot(data))
    size = row_size(ax, lines)
    ax.tick_params(axis="y", labelsize=size)
    for text, place in zip(ax.get_yticklabels(), [*places, *heads], strict=True):
        if place in heads:
            text.set(weight="bold", fontsize=size)
    return ax


def _frame(balance: Balance) -> pd.DataFrame:
    """Return the rows with a difference, by kind, the largest first, and which of them to show."""
    table = balance.table
    data = table[table[["smd_before", "smd_after"]].notna().any(axis=1)].copy()
    panel = balance.design.panel
    data["label"] = [
        panel.metric(row.metric).label if row.metric else _words(row.covariate, balance)
        for row in rows(data)
    ]
    size = data[["smd_before", "smd_after"]].abs().max(axis=1).round(12)
    rank = size.rank(method="first", ascending=False)
    data["shown"] = rank <= _MOST_ROWS
    order = pd.DataFrame(
        {"kind": [list(_HEADS).index(kind) for kind in data["kind"]], "rank": rank.to_numpy()},
        index=data.index,
    ).sort_values(["kind", "rank"])
    return data.loc[order.index].reset_index(drop=True)


def _window(covariate: str, balance: Balance) -> str:
    """Return what follows the metric in the name of a covariate made from it; "" in any other."""
    panel = balance.design.panel
    name, _, window = covariate.partition(" ")
    made = window.startswith(("mean ", "slope ")) or window in panel.periods
    return window if made and name in panel.metrics else ""


def _words(covariate: str, balance: Balance) -> str:
    """Name a covariate; one made from a metric by its label."""
    window = _window(covariate, balance)
    if not window:
        return covariate
    return f"{balance.design.panel.metric(covariate.partition(' ')[0]).label}, {window}"


def _cut(label: str, window: str, room: int) -> str:
    """Cut a label so that its window stays, or where there is little room its first word."""
    if not window or not label.endswith(f", {window}") or len(label) <= room:
        return short(label, room)
    metric = label.removesuffix(f", {window}")
    for words in (window, window.replace(" to ", "–"), window.split()[0]):
        left = room - len(words) - 2
        if left >= _LEAST:
            return f"{short(metric, left)}, {words}"
    return short(label, room)


def _places(shown: pd.DataFrame, kinds: list[str]) -> tuple[list[float], list[float]]:
    """Return the heights of the rows and of the headings, from the top."""
    y = float(len(shown) + len(kinds) - 1)
    places: list[float] = []
    heads: list[float] = []
    for kind in kinds:
        heads.append(y)
        n = int((shown["kind"] == kind).sum())
        places += [y - 1 - k for k in range(n)]
        y -= n + 1
    return places, heads


def _band(ax: Axes, shown: pd.DataFrame, places: list[float]) -> None:
    """Shade what chance alone gives, row by row."""
    half = shown["smd_se"].fillna(0.0).to_numpy()
    ax.barh(places, 2 * half, left=-half, height=1.0, color=FAINT, alpha=0.55, zorder=0.5)


def _head(kind: str, shown: pd.DataFrame, balance: Balance) -> str:
    """Name a kind, with its periods where all its rows share them."""
    mine = shown[shown["kind"] == kind]
    spans = {row.covariate.removeprefix(row.metric).strip() for row in rows(mine) if row.metric}
    if kind == "covariate" or len(spans) != 1:
        return _HEADS[kind]
    span = spans.pop().removeprefix("mean ").removeprefix("slope ")
    return f"{_HEADS[kind]}, {span}"


def _title(data: pd.DataFrame) -> str:
    """Say the largest difference before and after, and of what."""
    words: list[str] = []
    for when, whom in (("before", "from the pool"), ("after", "from their comparators")):
        smd = data[f"smd_{when}"]
        if smd.notna().any():
            at = int(smd.abs().round(12).to_numpy(na_value=-1.0).argmax())
            size = f"{float(smd.iloc[at]):+.2f}".replace("-", "−")
            what = inside(str(data["label"].iloc[at])) + _of_kind(str(data["kind"].iloc[at]))
            unit = "" if words else " standard deviations"
            words.append(f"{size}{unit} {whom} ({what})")
    return "Pilots' largest difference: " + ", ".join(words)


def _of_kind(kind: str) -> str:
    return {"level": ", mean", "last": ", last value", "slope": ", slope"}.get(kind, "")


def _foot(data: pd.DataFrame) -> str:
    low, high = float(data["smd_se"].min()), float(data["smd_se"].max())
    size = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
    parts = [
        "○ from the pool, ● from their comparators.",
        f"Band: one standard error, ±{size}, what chance alone gives.",
    ]
    hidden = int((~data["shown"]).sum())
    if hidden:
        parts.append(f"{hidden} that differ less are not shown.")
    return " ".join(parts)
