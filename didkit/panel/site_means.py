"""From scores of individuals to a panel of sites: means, how many answered, how they spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from didkit.errors import PanelError, first_few, is_whole
from didkit.panel.build import numbers
from didkit.panel.calendar import Calendar, Kind
from didkit.panel.frames import to_pandas
from didkit.panel.identity import Identity, unit_ids
from didkit.panel.metric import Metric
from didkit.panel.panel import Panel
from didkit.panel.source import Source
from didkit.panel.status import Status

__all__ = ["site_means"]

_N, _SD = "_n", "_sd"
_SEEN, _FEW = Status.OBSERVED.label, Status.LOW_RELIABILITY.label
_NONE = Status.NOT_AVAILABLE.label


def site_means(
    frame: Any,
    *,
    unit: str,
    period: str,
    scores: Sequence[str] | Mapping[str, Metric],
    minimum: int = 10,
    name: str | None = None,
    attributes: Sequence[str] = (),
    release: str | None = None,
    identity: Identity = "any",
    calendar: Kind | Sequence[object] | None = None,
) -> Panel:
    """Make a panel of sites from one row an individual and period.

    For each score three metrics: the site's mean (``wai``), how many answered (``wai_n``) and the
    standard deviation of their scores (``wai_sd``, divisor n − 1; not available with one answer).

    Parameters
    ----------
    frame : DataFrame of pandas, polars or pyarrow, or DuckDB relation
        One row an individual and period (or an answer).
    unit, period : str
        Columns with the site's id and the period's label.
    scores : sequence of str or mapping of str to Metric
        Columns with scale scores, computed from the items as the scale's manual says; a mapping
        gives the metric its label, unit and direction. Without one a score is a plain value of
        the column's name, and nobody knows which way is better; without a unit it is in points.
    minimum : int, default 10
        A mean of fewer answers has the status ``low reliability``; it keeps its value.
    name : str, optional
        Column with the site's name.
    attributes : sequence of str, optional
        Columns that describe the site.
    release : str, optional
        What to call the source. Default "scores of individuals".
    identity : {"any", "la_code"}
        What the ids are, as in `Panel.from_frame`.
    calendar : str or sequence, optional
        As in `Panel.from_frame`.

    Returns
    -------
    Panel
        Cells of sites and periods without a row are absent, those with rows but no score not
        available. The log counts every row once for each score: used, used in a mean of low
        reliability, or without a score.

    Raises
    ------
    PanelError
        If a score is text or infinite (the message counts such rows and shows none: they are
        individuals'), or not among the columns; if two columns would give metrics
        of one name; if a site has two names; or as `Panel.from_frame`.

    Notes
    -----
    Individuals who leave or do not answer are not like those who do: a mean of those who answered
    can move because other people answered. Compare ``wai_n`` between periods before the means.

    Repeated cross-sections, with other people in each period, come down to this panel: with each
    mean weighted by its number, ``DiD(sampling="wai_n")`` is the least-squares regression of
    people's scores on effects of site and period, with the same standard error by site. Without
    it each site counts once.

    Examples
    --------
    >>> frame = pd.DataFrame(
    ...     {
    ...         "site": ["A"] * 4 + ["B"] * 4,
    ...         "wave": [2018, 2018, 2019, 2019] * 2,
    ...         "wai": [50.0, 54, 60, 62, 48, 52, 49, np.nan],
    ...     }
    ... )
    >>> panel = site_means(frame, unit="site", period="wave", scores=["wai"], minimum=2)
    >>> panel.wide("wai").loc["A"].tolist(), panel.wide("wai_n").loc["B"].tolist()
    ([52.0, 61.0], [2.0, 1.0])
    """
    metrics = _metrics(scores)
    if not is_whole(minimum) or minimum < 1:
        raise PanelError(
            needed="a whole number of answers, at least 1",
            found=repr(minimum),
            where="site_means(minimum=)",
            todo="10 is usual; 1 marks nothing",
        )
    described = [*([] if name is None else [name]), *attributes]
    rows = to_pandas(frame, columns=(unit, period, list(metrics), described))
    _refuse_columns(rows, [unit, period, *metrics, *described])
    ids = unit_ids(rows[unit], identity=identity, where=f"column {unit!r}")
    when = _labels(rows[period], calendar)
    base = pd.DataFrame({"unit": ids, "period": when})
    about = {column: rows[column].astype(str) for column in described}
    for column, values in about.items():
        _refuse_two(ids, values, column)
    # one row a cell, in the order of the labels: the order of the rows tells nothing
    cells = base.drop_duplicates().sort_values(["unit", "period"], ignore_index=True)
    keys = pd.MultiIndex.from_frame(cells)
    made: dict[str, np.ndarray] = {}
    status: dict[str, np.ndarray] = {}
    log: list[tuple[str, str, int]] = []
    source = release or "scores of individuals"
    for column, metric in metrics.items():
        score = _score(rows[column], column)
        count, mean, sd = _moments(base.assign(score=score), keys)
        few = (count > 0) & (count < minimum)
        marks = np.select([count == 0, few], [_NONE, _FEW], _SEEN)
        made |= {metric.name: mean, metric.name + _N: count, metric.name + _SD: sd}
        status |= {
            metric.name: marks,
            metric.name + _N: np.full(len(count), _SEEN),
            metric.name + _SD: np.where(count < 2, _NONE, marks),
        }
        log += [
            (f"{metric.name}: used", source, int(count[~few].sum())),
            (f"{metric.name}: used, in a cell of low reliability", source, int(count[few].sum())),
            (f"{metric.name}: no score", source, int(len(rows) - count.sum())),
        ]
    wide = pd.DataFrame({"unit": cells["unit"], "period": cells["period"], **made})
    for key, marks in status.items():
        wide[f"{key} status"] = marks
    for column, values in about.items():
        wide[f"about {column}"] = wide["unit"].map(dict(zip(ids, values, strict=True)))
    panel = Panel.from_frame(
        wide,
        unit="unit",
        period="period",
        metrics=_three(metrics),
        status={key: f"{key} status" for key in status},
        name=None if name is None else f"about {name}",
        attributes=[f"about {column}" for column in attributes],
        release=source,
        identity=identity,
        calendar=calendar,
    )
    return panel.replaced(
        units=panel.units.rename(columns={f"about {column}": column for column in attributes}),
        sources=dict.fromkeys(panel.metrics, (Source(source),)),
        log=pd.DataFrame(log, columns=["what", "source", "rows"]),
    )


def _metrics(scores: Sequence[str] | Mapping[str, Metric]) -> dict[str, Metric]:
    """Return the metric of each column of scores."""
    named = {scores: None} if isinstance(scores, str) else scores
    found = dict(named) if isinstance(named, Mapping) else dict.fromkeys(named)
    wrong = [c for c, m in found.items() if not (m is None or isinstance(m, Metric))]
    if not found or wrong:
        raise PanelError(
            needed="columns of scores, or a mapping of column to Metric",
            found=first_few(wrong) if wrong else "none",
            where="site_means(scores=)",
            todo="write scores=['wai'] or scores={'wai': Metric(name='wai', …)}",
        )
    made = {
        column: replace(
            metric or Metric(name=column),
            unit=(metric.unit if metric else "") or "points",
            derivation="mean of individuals' scores",
            decimals=None,
        )
        for column, metric in found.items()
    }
    names = [m.name + end for m in made.values() for end in ("", _N, _SD)]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise PanelError(
            needed="a name of its own for each mean, number and standard deviation",
            found=f"{first_few(twice)} more than once",
            where="site_means(scores=)",
            todo="give one score another name: scores={'wai': Metric(name=…)}",
        )
    return made


def _three(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return the metrics of the panel: mean, number and standard deviation of each score."""
    made: dict[str, Metric] = {}
    for metric in metrics.values():
        label = metric.label
        made[metric.name] = metric
        made[metric.name + _N] = Metric(
            name=metric.name + _N,
            label=f"{label} (number of answers)",
            kind="count",
            unit="answers",
            timing=metric.timing,
            derivation="number of individuals' scores",
        )
        made[metric.name + _SD] = Metric(
            name=metric.name + _SD,
            label=f"{label} (standard deviation of individuals)",
            unit=metric.unit,
            timing=metric.timing,
            derivation="standard deviation of individuals' scores",
        )
    return made


def _refuse_columns(rows: pd.DataFrame, wanted: Sequence[str]) -> None:
    """Refuse a frame that is empty or lacks a column."""
    missing = [c for c in wanted if int((rows.columns == c).sum()) != 1]
    if missing or rows.empty:
        raise PanelError(
            needed="one row an individual, and one column each of: " + ", ".join(map(str, wanted)),
            found="no row"
            if rows.empty
            else f"not once: {first_few(missing)}; the columns are {first_few(rows.columns, 8)}",
            where="site_means",
            todo="name columns of the frame",
        )


def _labels(periods: pd.Series, calendar: Kind | Sequence[object] | None) -> list[str]:
    """Write periods as the calendar does, so that 2018 and "2018" are one cell."""
    if periods.isna().any():
        raise PanelError(
            needed="a period in every row",
            found=f"{int(periods.isna().sum())} rows without one",
            where=f"column {periods.name!r}",
            todo="fill the periods, or take these rows out before",
        )
    found = list(dict.fromkeys(periods.tolist()))
    if calendar is None or isinstance(calendar, str):
        made = Calendar.of(found, kind=cast("Kind | None", calendar))
    else:
        made = Calendar.of(calendar, kind="declared")
    return [made.canonical(one) for one in periods]


def _refuse_two(ids: Sequence[str], values: pd.Series, column: str) -> None:
    """Refuse a site with two names, or two regions."""
    kinds = pd.DataFrame({"unit": ids, "value": values.to_numpy()}).drop_duplicates()
    twice = sorted(kinds.loc[kinds["unit"].duplicated(), "unit"].unique())
    if twice:
        raise PanelError(
            needed=f"one {column!r} for each site",
            found=f"more than one for {first_few(twice)} sites",
            where=f"column {column!r}",
            todo="write the name of a site in the same way in every row",
        )


def _score(column: pd.Series, name: str) -> np.ndarray:
    """Return scores as numbers; text and infinite ones are counted, as they are individuals'."""
    where = f"column {name!r}"
    text = [one for one in column.dropna().tolist() if isinstance(one, str)]
    if text:
        written = int(pd.to_numeric(pd.Series(text), errors="coerce").notna().sum())
        raise PanelError(
            needed="scores that are numbers",
            found=f"text in {len(text)} of {len(column)} rows, {written} of them a number written "
            "as text",
            where=where,
            todo=f"make numbers of the column first: frame[{name!r}] = pandas.to_numeric("
            f"frame[{name!r}]"
            + (
                ")"
                if written == len(text)
                else ", errors='coerce'), which leaves out what is no number: look at it before"
            ),
        )
    score = numbers(column, at=lambda i: "a row", where=where)
    endless = int(np.isinf(score).sum())
    if endless:
        raise PanelError(
            needed="finite scores",
            found=f"infinite ones in {endless} of {len(column)} rows",
            where=where,
            todo="look at how the score was computed (a mean over no items?)",
        )
    return score


def _moments(rows: pd.DataFrame, keys: pd.MultiIndex) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return number, mean and standard deviation of the scores of each cell.

    Scores are put in order first: sums of the same numbers are then the same to the last digit.
    """
    scored = rows.dropna(subset="score").sort_values(["unit", "period", "score"])
    found = scored.groupby(["unit", "period"])["score"]
    count = found.size().reindex(keys, fill_value=0).to_numpy(dtype=np.float64)
    mean = found.mean().reindex(keys).to_numpy(dtype=np.float64)
    sd = found.std(ddof=1).reindex(keys).to_numpy(dtype=np.float64)
    return count, mean, sd
