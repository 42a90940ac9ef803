"""The arithmetic of merged units: counts add, rates are computed again, nothing twice."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import DidkitWarning, PanelError, first_few
from didkit.panel.metric import Metric
from didkit.panel.rates import derived, roofed
from didkit.panel.source import Source
from didkit.panel.status import Cells, Status

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["Form", "Merger", "merge_units", "with_rows"]

_NO_ROW = (Status.ABSENT, Status.NOT_APPLICABLE)
# The status of a sum is the worst of its parts', in this order.
_ORDER = (
    Status.OBSERVED,
    Status.ROUNDED,
    Status.LOW_RELIABILITY,
    Status.SUPPRESSED,
    Status.NOT_AVAILABLE,
)
_RANK = np.array([_ORDER.index(s) if s in _ORDER else len(_ORDER) - 1 for s in Status])
_BACK = np.array(_ORDER, dtype=np.int8)


@dataclass(frozen=True)
class Form:
    """Units that add up to a whole area, and the era that they belong to."""

    units: tuple[str, ...]
    era: int


@dataclass(frozen=True)
class Merger:
    """One unit to make.

    Parameters
    ----------
    unit, name : str
        Its id and name.
    forms : tuple of Form
        The ways in which the panel holds it; in each period one of them is used.
    law : tuple of int
        For each period the era in force, which is used where several would do.
    members : tuple of str
        The units of the panel that it replaces.
    parts : tuple of str
        The codes that it goes by.
    only : str, optional
        The one member that has rows, where there is but one: its cells stay as they are.
    """

    unit: str
    name: str
    forms: tuple[Form, ...]
    law: tuple[int, ...]
    members: tuple[str, ...]
    parts: tuple[str, ...]
    only: str | None = None


@dataclass
class _Record:
    """What is to be said of one merger: which form was used when, and of how many cells."""

    used: dict[int, set[int]] = field(default_factory=dict)
    halves: set[int] = field(default_factory=set)
    cells: int = 0


def with_rows(panel: Panel) -> frozenset[str]:
    """Return the units for which a source has a row that applies, in any metric."""
    seen = np.zeros(len(panel.unit_ids), dtype=bool)
    for key in panel.metrics:
        seen |= (~np.isin(panel.cells(key).status, _NO_ROW)).any(axis=1)
    return frozenset(unit for unit, there in zip(panel.unit_ids, seen, strict=True) if there)


def merge_units(panel: Panel, mergers: Sequence[Merger], *, mixed: bool) -> Panel:
    """Return the panel with some units merged and all others as they are.

    Parameters
    ----------
    mixed : bool
        Whether a rate may be computed over a denominator of another release.

    Raises
    ------
    PanelError
        If the old and the new codes of an area both have values in a period, and these disagree,
        or a rate and its denominator are of different releases, unless `mixed`.
    """
    if not mergers:
        return panel
    gone = {member for one in mergers for member in one.members}
    ids = sorted({*(set(panel.unit_ids) - gone), *(one.unit for one in mergers)})
    row = {unit: i for i, unit in enumerate(panel.unit_ids)}
    place = {unit: i for i, unit in enumerate(ids)}
    source = {unit: unit for unit in ids} | {one.unit: one.only or "" for one in mergers}
    take = np.array([row.get(source[unit], -1) for unit in ids], dtype=np.intp)
    columns = np.arange(len(panel.periods), dtype=np.intp)
    cells = {key: panel.cells(key).take(take, columns) for key in panel.metrics}
    summed = [one for one in mergers if one.only is None]
    records = {one.unit: _Record() for one in summed}
    for one in summed:
        for key, metric in panel.metrics.items():
            if metric.kind == "count":
                made = _sum(panel, key, one, row, records[one.unit])
                _put(cells[key], place[one.unit], made)
    sources = dict(panel.sources)
    notes: list[dict[str, object]] = []
    lost: list[str] = []
    for key, metric in panel.metrics.items():
        if metric.kind != "count" and summed:
            told = _not_a_count(panel, metric, summed, cells, place, row, mixed)
            sources[key] = (*sources[key], *told.sources)
            notes += told.log
            lost += told.lost
    if lost:
        warnings.warn(
            "Panel.harmonise: merged units have no value of what does not add up: "
            f"{first_few(lost, 20)}",
            DidkitWarning,
            stacklevel=3,
        )
    log = [
        *(_line(panel, one, records.get(one.unit), row) for one in mergers),
        *notes,
    ]
    return panel.replaced(
        units=_units(panel.units, ids, mergers),
        cells=cells,
        sources=sources,
        log=pd.concat([panel.log, pd.DataFrame(log)], ignore_index=True),
        parts={
            **{unit: codes for unit, codes in panel.parts.items() if unit not in gone},
            **{one.unit: one.parts for one in mergers},
        },
    )


# -- counts --------------------------------------------------------------------------------------


def _rows(units: Iterable[str], row: Mapping[str, int]) -> NDArray[np.intp]:
    return np.array([row.get(unit, -1) for unit in units], dtype=np.intp)


def _put(cells: Cells, at: int, made: Cells) -> None:
    """Write the cells of one unit into those of all."""
    cells.value[at], cells.status[at] = made.value[0], made.status[0]
    cells.lower[at], cells.upper[at] = made.lower[0], made.upper[0]


def _total(cells: Cells) -> Cells:
    """Add the units of one form: values and bounds add, the status is the worst of them.

    A part that is hidden makes the sum an interval; a part of which nothing is known makes it not
    available. A form of which a part has no row is no whole area: absent.
    """
    blank = ~np.isfinite(cells.value)
    bare = blank & np.isnan(cells.lower) & np.isnan(cells.upper)
    status = np.where(blank & np.isin(cells.status, _ORDER[:3]), Status.SUPPRESSED, cells.status)
    status = np.where(bare & (cells.status != Status.SUPPRESSED), Status.NOT_AVAILABLE, status)
    made: NDArray[np.int8] = _BACK[_RANK[status].max(axis=0, keepdims=True)]
    made[:, np.isin(cells.status, _NO_ROW).any(axis=0)] = Status.ABSENT
    known = np.isin(made, _ORDER[:3])
    some = known | (made == Status.SUPPRESSED)
    return Cells(
        np.where(known, cells.value.sum(axis=0), np.nan),
        made,
        np.where(some, cells.lower.sum(axis=0), np.nan),
        np.where(some, cells.upper.sum(axis=0), np.nan),
    )


def _nothing(status: NDArray[np.int8]) -> Cells:
    """Cells without a value: not available where a part has a row, else as the parts are."""
    n_periods = status.shape[1]
    made = Cells.empty(1, n_periods)
    made.status[0, (status == Status.NOT_APPLICABLE).any(axis=0)] = Status.NOT_APPLICABLE
    made.status[0, (~np.isin(status, _NO_ROW)).any(axis=0)] = Status.NOT_AVAILABLE
    return made


def _sum(panel: Panel, key: str, one: Merger, row: Mapping[str, int], record: _Record) -> Cells:
    """Add up one count of one unit, in each period over the codes of one era."""
    cells, periods = panel.cells(key), np.arange(len(panel.periods), dtype=np.intp)
    status = cells.status[_rows(one.members, row)]
    record.cells += int((~np.isin(status, _NO_ROW)).sum())
    made = _nothing(status)
    sums = [_total(cells.take(_rows(form.units, row), periods)) for form in one.forms]
    _refuse_two_truths(panel, key, one, sums)
    for t in periods.tolist():
        whole = [k for k, total in enumerate(sums) if total.status[0, t] != Status.ABSENT]
        if not whole:
            if made.status[0, t] == Status.NOT_AVAILABLE:
                record.halves.add(t)
            continue
        k = min(
            whole,
            key=lambda k: (_known(sums[k], t), one.forms[k].era != one.law[t]),
        )
        record.used.setdefault(k, set()).add(t)
        for mine, theirs in (
            (made.value, sums[k].value),
            (made.status, sums[k].status),
            (made.lower, sums[k].lower),
            (made.upper, sums[k].upper),
        ):
            mine[0, t] = theirs[0, t]
    return made


def _known(total: Cells, t: int) -> int:
    """Rank how much is known of a sum: 0 its value, 1 that it is hidden, 2 nothing."""
    if np.isfinite(total.value[0, t]):
        return 0
    return 1 if total.status[0, t] == Status.SUPPRESSED else 2


def _refuse_two_truths(panel: Panel, key: str, one: Merger, sums: Sequence[Cells]) -> None:
    """Refuse an area whose old and new codes both have values, and not the same."""
    low = np.vstack([np.where(np.isnan(s.lower), s.value, s.lower) for s in sums])
    high = np.vstack([np.where(np.isnan(s.upper), s.value, s.upper) for s in sums])
    floor = np.where(np.isnan(low), -np.inf, low).max(axis=0)
    roof = np.where(np.isnan(high), np.inf, high).min(axis=0)
    differ = np.flatnonzero(floor > roof + 1e-9 * (1 + np.abs(roof)))
    if len(differ):
        t = int(differ[0])
        found = [
            f"{' + '.join(form.units)}: {_written(total, t)}"
            for form, total in zip(one.forms, sums, strict=True)
            if total.status[0, t] != Status.ABSENT
        ]
        raise PanelError(
            needed="one number for one area, or the same from its old and its new codes",
            found=f"{'; '.join(found)} in {panel.periods[t]}, and "
            f"{first_few(panel.periods[i] for i in differ)} periods in all",
            where=f"Panel.harmonise, metric {key!r}",
            todo="take the rows of the codes that were not in force out before, or give them the "
            "status 'not applicable'",
        )


def _written(total: Cells, t: int) -> str:
    if np.isfinite(total.value[0, t]):
        return f"{total.value[0, t]:g}"
    return f"between {total.lower[0, t]:g} and {total.upper[0, t]:g}"


# -- rates and the rest --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Told:
    sources: tuple[Source, ...] = ()
    log: tuple[dict[str, object], ...] = ()
    lost: tuple[str, ...] = ()


def _not_a_count(
    panel: Panel,
    metric: Metric,
    mergers: Sequence[Merger],
    cells: Mapping[str, Cells],
    place: Mapping[str, int],
    row: Mapping[str, int],
    mixed: bool,
) -> _Told:
    """Compute a rate again for merged units, or leave it without a value and say so."""
    parts = _counts_of(panel, metric)
    touched, lost = [], 0
    for one in mergers:
        made = _nothing(panel.cells(metric.name).status[_rows(one.members, row)])
        applies = made.status[0] == Status.NOT_AVAILABLE
        if parts is not None:
            top, bottom = (_unit(cells[part], place[one.unit]) for part in parts)
            made = _where(applies, _ratio(top, bottom, metric), made)
        _put(cells[metric.name], place[one.unit], made)
        if applies.any():
            touched.append(one.unit)
            lost += int(applies.sum())
    if not touched:
        return _Told()
    units = ", ".join(touched)
    if parts is None:
        todo = _first_join(panel, metric)
        what = f"cells not available for the merged units {units}: {todo}"
        return _Told(
            log=({"source": metric.name, "what": what, "rows": lost},),
            lost=(f"{metric.name!r} for {units} ({todo})",),
        )
    return _Told(sources=_sources(panel, metric, parts, units, mixed))


def _sources(
    panel: Panel, metric: Metric, parts: tuple[str, str], units: str, mixed: bool
) -> tuple[Source, ...]:
    """Say where the rates of merged units come from; two vintages are refused unless asked for.

    A rate that was computed here names its denominator, which may be of another release than its
    count; it has to be the one that the panel holds.
    """
    own = dict.fromkeys(s.release for s in panel.sources[metric.name])
    base = dict.fromkeys(s.release for s in panel.sources[parts[1]])
    same = derived(*parts, base, metric.per) == metric.derivation or own.keys() == base.keys()
    if not (same or mixed):
        made = metric.derivation if metric.derivation != "published" else f"from {first_few(own)}"
        raise PanelError(
            needed=f"{metric.name!r} of merged units over a denominator of its own vintage",
            found=f"{metric.name!r} {made}, and {parts[1]!r} from {first_few(base)}",
            where=f"Panel.harmonise, metric {metric.name!r}, units {units}",
            todo=f"take {metric.name!r} out with select() (compute_rate can make it from "
            f"{parts[1]!r}), join the {parts[1]!r} of its own release, or ask for the mixture by "
            "name: vintages='mixed'",
        )
    note = (
        f"for the merged units {units} computed: {parts[0]} / {parts[1]} "
        f"({', '.join(base)}) × {metric.per:,}"
    )
    if own.keys() == base.keys():
        return (Source(next(iter(own), "computed"), note=note),)
    known = panel.sources[metric.name]
    others = dict.fromkeys(s for part in parts for s in panel.sources[part] if s not in known)
    return (*others, Source("computed", note=note))


def _counts_of(panel: Panel, metric: Metric) -> tuple[str, str] | None:
    """Return the two counts that a rate is made of, where the panel holds both."""
    names = (metric.numerator or "", metric.denominator or "")
    if all(name in panel.metrics and panel.metrics[name].kind == "count" for name in names):
        return names
    return None


def _first_join(panel: Panel, metric: Metric) -> str:
    """Say what would make a metric computable for merged units."""
    names = [name for name in (metric.numerator, metric.denominator) if name]
    lost = [name for name in names if name not in panel.metrics]
    if len(names) == 2 and lost:
        return f"join {' and '.join(lost)} first"
    if metric.kind == "value":
        return (
            f"if it is a number of something, join it as Metric(name={metric.name!r}, "
            "kind='count') first"
        )
    return "it is not made of two counts, so there is nothing to join"


def _unit(cells: Cells, at: int) -> Cells:
    """Take the cells of one unit."""
    here = slice(at, at + 1)
    return Cells(cells.value[here], cells.status[here], cells.lower[here], cells.upper[here])


def _where(chosen: NDArray[np.bool_], one: Cells, other: Cells) -> Cells:
    """Choose between two rows of cells, period by period."""
    return Cells(
        np.where(chosen, one.value, other.value),
        np.where(chosen, one.status, other.status).astype(np.int8),
        np.where(chosen, one.lower, other.lower),
        np.where(chosen, one.upper, other.upper),
    )


def _ratio(top: Cells, bottom: Cells, metric: Metric) -> Cells:
    """Divide two counts; the bounds are those of the counts at their worst."""
    per = metric.per
    status = _BACK[np.maximum(_RANK[top.status], _RANK[bottom.status])]
    status = np.where(bottom.value == 0, Status.NOT_AVAILABLE, status).astype(np.int8)
    known = np.isin(status, _ORDER[:3])
    some = known | (status == Status.SUPPRESSED)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = top.value / bottom.value * per
        low = top.lower / np.where(bottom.upper > 0, bottom.upper, np.nan) * per
        high = top.upper / np.where(bottom.lower > 0, bottom.lower, np.nan) * per
    high = roofed(metric, value, low, high)
    return Cells(
        np.where(known, value, np.nan),
        status,
        np.where(some, low, np.nan),
        np.where(some, high, np.nan),
    )


# -- the table of units and the log --------------------------------------------------------------


def _units(table: pd.DataFrame, ids: Sequence[str], mergers: Sequence[Merger]) -> pd.DataFrame:
    """Names and attributes; those of a merged unit are kept where all its members agree."""
    made = table.reindex(pd.Index(ids, name=table.index.name)).astype(object)
    for one in mergers:
        members = table.loc[list(one.members)]
        for column in table.columns:
            alike = members[column].astype(object).drop_duplicates()
            made.loc[one.unit, column] = alike.iloc[0] if len(alike) == 1 else ""
        made.loc[one.unit, "name"] = one.name
    kinds = {
        column: kind
        for column, kind in table.dtypes.items()
        if pd.api.types.is_string_dtype(kind) or not (made[column] == "").any()
    }
    return made.astype(kinds)


def _line(
    panel: Panel, one: Merger, record: _Record | None, row: Mapping[str, int]
) -> dict[str, object]:
    """Say in the log what one unit was made of, and of how many cells."""
    if record is None:
        cells = sum(
            int((panel.cells(key).status[row[one.only or one.unit]] != Status.ABSENT).sum())
            for key in panel.metrics
        )
        now = "" if one.only == one.unit else f", now called {one.unit}"
        what = f"cells of {one.only}{now}: codes {', '.join(one.parts)}"
        return {"source": "harmonise", "what": what, "rows": cells}
    labels = panel.periods
    used = [
        f"{' + '.join(one.forms[k].units)} in {_spans(labels, at)}"
        for k, at in sorted(record.used.items(), key=lambda item: min(item[1]))
    ]
    if not used:  # no count: nothing was added up
        used = [" + ".join(form.units) for form in one.forms]
    halves = f"; no whole set of codes in {_spans(labels, record.halves)}" if record.halves else ""
    cells = record.cells + sum(
        int((~np.isin(panel.cells(key).status[_rows(one.members, row)], _NO_ROW)).sum())
        for key, metric in panel.metrics.items()
        if metric.kind != "count"
    )
    what = f"cells merged into {one.unit}: {', '.join(used)}{halves}"
    return {"source": "harmonise", "what": what, "rows": cells}


def _spans(labels: Sequence[str], at: Iterable[int]) -> str:
    """Write positions of periods as spans: "2013 to 2019 and 2021"."""
    spans: list[list[int]] = []
    for t in sorted(at):
        if spans and spans[-1][1] == t - 1:
            spans[-1][1] = t
        else:
            spans.append([t, t])
    return " and ".join(labels[i] if i == j else f"{labels[i]} to {labels[j]}" for i, j in spans)
