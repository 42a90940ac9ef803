"""Two vintages of one series: which cells were revised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import PanelError, first_few
from didkit.markup import number, page, paragraph, shortened, table
from didkit.panel.calendar import Calendar
from didkit.panel.metric import Metric
from didkit.panel.status import Cells
from didkit.panel.tables import LABELS

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["Comparison", "compare", "plain"]

_SAME = 1e-9  # relative: what writing a number as text and reading it again may move
_LONGEST = 48
_SHOWN = 5  # cells of a metric in the short text
_UNLIKE = ("revised", "only_here", "only_there", "status_changed")
_KINDS = ("value only here", "value only there", "other status")
_SUMMARY = (
    "metric",
    "release",
    "other_release",
    "compared",
    "equal",
    "revised",
    "largest",
    "only_here",
    "only_there",
    "neither",
    "status_changed",
)
_OTHER = (
    "metric",
    "unit",
    "name",
    "period",
    "kind",
    "value",
    "other",
    "status",
    "other_status",
)
_REVISED = (
    "metric",
    "unit",
    "name",
    "period",
    "value",
    "other",
    "difference",
    "percent",
    "status",
    "other_status",
)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Cells of two vintages, held against each other; made by `Panel.compare`.

    Parameters
    ----------
    summary : DataFrame
        One row a metric that both have, over the units and periods that both have.
        ``metric, release, other_release``; ``compared``: cells with a value on both sides, of
        which ``equal`` and ``revised``; ``largest``: the largest absolute difference (NaN where
        nothing was compared); ``only_here, only_there``: cells with a value on one side only;
        ``neither``: cells without a value on both. These last three and ``compared`` add up to
        all common cells. ``status_changed``: cells of ``equal`` and ``neither`` whose status is
        another on the other side.
    revised : DataFrame
        One row a cell that differs: ``metric, unit, name, period, value, other, difference``
        (other − value), ``percent`` (of `value`; NaN where that is zero), ``status,
        other_status``.
    other : DataFrame
        One row a cell that is unlike without being revised: ``metric, unit, name, period, kind,
        value, other, status, other_status``. Its ``kind`` is "value only here", "value only
        there" or "other status", as counted in `summary`.
    outside : DataFrame
        What only one side has: ``what`` (metric, unit or period), ``side`` (here or there),
        ``id``. None of its cells is in the other tables. Metrics only where none were named.
    """

    summary: pd.DataFrame
    revised: pd.DataFrame
    other: pd.DataFrame
    outside: pd.DataFrame

    @property
    def _sides(self) -> tuple[str, str]:
        """What to call the sides: by their releases, if each has one and they are not the same."""
        releases = [set(self.summary[column]) for column in ("release", "other_release")]
        one, other = (names.pop() if len(names) == 1 else "" for names in releases)
        return (one, other) if one and other and one != other else ("here", "there")

    @property
    def _quiet(self) -> pd.DataFrame:
        """Metrics that were compared and in which nothing differs, where there are several."""
        same = (self.summary["compared"] > 0) & (self.summary[list(_UNLIKE)] == 0).all(axis=1)
        return self.summary[same] if same.sum() > 1 else self.summary.head(0)

    @property
    def _loud(self) -> pd.DataFrame:
        return self.summary[~self.summary["metric"].isin(self._quiet["metric"])]

    def __repr__(self) -> str:
        sides, lines = self._sides, []
        for row in _records(self._loud):
            name = row["metric"]
            lines.append(
                "{metric}, {release} and {other_release}: ".format(**row) + _counted(row, sides)
            )
            for listed, called, write in (
                (_largest(self.revised), "revised", _cell),
                (self.other, "other", lambda cell: _other_cell(cell, sides)),
            ):
                cells = listed[listed["metric"] == name]
                lines += [f"  {write(cell)}" for cell in _records(cells.head(_SHOWN))]
                if len(cells) > _SHOWN:
                    lines.append("  " + _further(len(cells) - _SHOWN, called))
        return "\n".join([*lines, *_alike(self._quiet), *_left_out(self.outside, sides)])

    def _repr_html_(self) -> str:
        sides = self._sides
        counts = [
            [
                *(shortened(row[key], _LONGEST) for key in ("metric", "release", "other_release")),
                *(f"{row[key]:,}" for key in ("compared", "revised")),
                number(row["largest"]),
                *(f"{row[key]:,}" for key in ("only_here", "only_there", "status_changed")),
            ]
            for row in _records(self._loud)
        ]
        heads = ("metric", "release", "other release", "compared", "revised", "largest difference")
        only = (f"value only {_in(side)}" for side in sides)
        largest = _largest(self.revised).groupby("metric", sort=False).head(_SHOWN)
        cells = [
            [*_named(row), *(plain(row[key]) for key in ("value", "other")), number(row["percent"])]
            for row in _records(largest)
        ]
        values = sides if sides != ("here", "there") else ("value", "other")
        found = ("metric", "unit", "period", *values, "change in %")
        first = self.other.groupby("metric", sort=False).head(_SHOWN)
        unlike = [
            [*_named(row), *_states(row), _kind(row["kind"], sides)] for row in _records(first)
        ]
        return page(
            table(
                (*heads, *only, "other status"),
                counts,
                caption="Two vintages, cell by cell",
                numeric=range(3, 9),
                named=True,
            )
            if counts
            else "",
            *(paragraph(line) for line in _alike(self._quiet)),
            table(found, cells, caption="Revised: the largest of each metric", numeric=range(3, 6))
            if cells
            else paragraph("No common cell differs."),
            paragraph(_further(len(self.revised) - len(cells), "revised")),
            table((*found[:5], "what is unlike"), unlike, caption="Otherwise unlike")
            if unlike
            else "",
            paragraph(_further(len(self.other) - len(unlike), "other")),
            *(paragraph(line) for line in _left_out(self.outside, sides)),
        )


def compare(
    panel: Panel, other: Panel, *, metrics: Iterable[str | Metric] | None = None
) -> Comparison:
    """List the cells that differ between two vintages of the same series.

    Values are compared as published: a cell counts as revised if it differs by more than 1e-9
    of its size, however little that is beside its rounding. Units are matched by id, periods by
    label; what only one side has is listed, never dropped in silence.

    Parameters
    ----------
    panel, other : Panel
        Two releases.
    metrics : iterable of str or Metric, optional
        By default every metric that both have.

    Returns
    -------
    Comparison
        ``summary`` with one row a metric, ``revised`` with one row a cell that differs, ``other``
        with one row a cell that has a value on one side only or another status, and ``outside``,
        what only one of them has.

    Raises
    ------
    PanelError
        If ids or calendars are of different kinds, a metric is on one side only or measures
        another thing there, or there is no metric, unit or period that both have.

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> frame = pd.DataFrame({"la": ["926"] * 2, "year": [2015, 2016], "cin_count": [8213, 10644]})
    >>> old = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["cin_count"])
    >>> new = dk.Panel.from_frame(
    ...     frame.assign(cin_count=[8192, 10644]), unit="la", period="year", metrics=["cin_count"]
    ... )
    >>> old.compare(new)
    cin_count, data frame and data frame: 1 of 2 common cells differs
      926, 2015: 8,213 → 8,192 (−0.3 %)
    """
    _refuse_kinds(panel, other)
    names = _common_metrics(panel, other, metrics)
    ids = [code for code in panel.unit_ids if code in set(other.unit_ids)]
    labels = [label for label in panel.periods if label in set(other.periods)]
    if not ids or not labels:
        raise _nothing("unit" if not ids else "period", panel, other)
    calendar = Calendar(tuple(labels), "declared")
    summary, revised, unlike = [], [], []
    for name in names:
        here, there = panel.spread(name, ids, calendar), other.spread(name, ids, calendar)
        counts, differ, kind = _held_against(here, there)
        summary.append(
            {"metric": name, "release": _release(panel, name)}
            | {"other_release": _release(other, name)}
            | counts
        )
        revised.append(_revised(name, panel, ids, labels, here, there, differ))
        other_cells = _cells_at(name, panel, ids, labels, here, there, kind >= 0)
        other_cells["kind"] = pd.Series([_KINDS[k] for k in kind[kind >= 0]], dtype=str)
        unlike.append(other_cells[list(_OTHER)])
    return Comparison(
        pd.DataFrame(summary, columns=list(_SUMMARY)),
        pd.concat(revised, ignore_index=True),
        pd.concat(unlike, ignore_index=True),
        _outside(panel, other, with_metrics=metrics is None),
    )


def _refuse_kinds(panel: Panel, other: Panel) -> None:
    """Refuse what is no panel, and panels whose ids or calendars are of different kinds."""
    if not isinstance(other, type(panel)):
        raise PanelError(
            needed="another Panel",
            found=f"a {type(other).__name__}",
            where="Panel.compare",
            todo="make one with Panel.from_frame or read_dfe first",
        )
    if panel.identity != other.identity:
        raise PanelError(
            needed="units identified in the same way on both sides",
            found=f"{panel.identity!r} and {other.identity!r}",
            where="Panel.compare",
            todo="give both panels 3-digit codes; never match on names",
        )
    if panel.calendar.kind != other.calendar.kind:
        raise PanelError(
            needed="two panels with the same kind of calendar",
            found=f"{panel.calendar.kind!r} ({panel.periods[0]}…) and "
            f"{other.calendar.kind!r} ({other.periods[0]}…)",
            where="Panel.compare",
            todo="read both with the same calendar=",
        )


def _common_metrics(
    panel: Panel, other: Panel, metrics: Iterable[str | Metric] | None
) -> list[str]:
    """Return the names to compare; refuse one that a side lacks or that means another thing."""
    if metrics is None:
        names = [name for name in panel.metrics if name in other.metrics]
        if not names:
            raise _nothing("metric", panel, other)
    else:
        asked = [metrics] if isinstance(metrics, str | Metric) else list(metrics)
        names = list(dict.fromkeys(m.name if isinstance(m, Metric) else m for m in asked))
        lacking = [
            f"{name!r} {side}"
            for side, one in (("here", panel), ("on the other side", other))
            for name in names
            if name not in one.metrics
        ]
        if lacking or not names:
            raise PanelError(
                needed="names of metrics that both panels have",
                found=f"not there: {first_few(lacking)}" if lacking else "no name",
                where="Panel.compare(metrics=)",
                todo="choose among: "
                + (", ".join(n for n in panel.metrics if n in other.metrics) or "none is common"),
            )
    for name in names:
        one, two = panel.metrics[name], other.metrics[name]
        if (one.kind, one.unit, one.per) != (two.kind, two.unit, two.per):
            raise PanelError(
                needed="one meaning for each metric name",
                found=f"{name!r} is a {one.kind} ({one.unit or 'no unit'}) on one side and a "
                f"{two.kind} ({two.unit or 'no unit'}) on the other",
                where="Panel.compare",
                todo="make both the same way, or name the metrics to compare",
            )
    return names


def _nothing(what: str, panel: Panel, other: Panel) -> PanelError:
    """Say that the panels have nothing in common."""
    held = {"metric": "metrics", "unit": "unit_ids", "period": "periods"}[what]
    return PanelError(
        needed=f"a {what} that both panels have",
        found=f"{first_few(getattr(panel, held))} and {first_few(getattr(other, held))}",
        where="Panel.compare",
        todo="compare two releases of the same series",
    )


def _held_against(
    here: Cells, there: Cells
) -> tuple[dict[str, object], NDArray[np.bool_], NDArray[np.int8]]:
    """Count the cells of one metric by how the two sides agree.

    Returns the counts, which cells differ, and of the others the place in `_KINDS` (−1: alike).
    """
    a, b = here.value, there.value
    seen, known = np.isfinite(a), np.isfinite(b)
    both = seen & known
    gap = np.where(both, np.abs(a - b), 0.0)
    differ = both & (gap > _SAME * np.fmax(np.abs(a), np.abs(b)))
    alike = (both & ~differ) | ~(seen | known)
    kinds = (seen & ~known, known & ~seen, alike & (here.status != there.status))
    counts: dict[str, object] = {
        "compared": int(both.sum()),
        "equal": int((both & ~differ).sum()),
        "revised": int(differ.sum()),
        "largest": float(np.where(differ, gap, 0.0).max()) if both.any() else np.nan,
        "only_here": int(kinds[0].sum()),
        "only_there": int(kinds[1].sum()),
        "neither": int((~seen & ~known).sum()),
        "status_changed": int(kinds[2].sum()),
    }
    return counts, differ, np.select(kinds, range(len(kinds)), default=-1).astype(np.int8)


def _revised(
    name: str,
    panel: Panel,
    ids: list[str],
    labels: list[str],
    here: Cells,
    there: Cells,
    differ: NDArray[np.bool_],
) -> pd.DataFrame:
    """List the cells of one metric that differ, by unit and period."""
    made = _cells_at(name, panel, ids, labels, here, there, differ)
    value, other = made["value"].to_numpy(), made["other"].to_numpy()
    percent = np.full(len(made), np.nan)
    np.divide(100 * (other - value), value, out=percent, where=value != 0)
    return made.assign(difference=other - value, percent=percent)[list(_REVISED)]


def _cells_at(
    name: str,
    panel: Panel,
    ids: list[str],
    labels: list[str],
    here: Cells,
    there: Cells,
    at: NDArray[np.bool_],
) -> pd.DataFrame:
    """List cells of one metric with what both sides have, by unit and period."""
    i, t = np.nonzero(at)
    names = panel.units["name"]
    return pd.DataFrame(
        {
            "metric": pd.Series([name] * len(i), dtype=str),
            "unit": pd.Series([ids[k] for k in i], dtype=str),
            "name": pd.Series([names[ids[k]] for k in i], dtype=str),
            "period": pd.Series([labels[k] for k in t], dtype=str),
            "value": here.value[i, t],
            "other": there.value[i, t],
            "status": pd.Series(LABELS[here.status[i, t]], dtype=str),
            "other_status": pd.Series(LABELS[there.status[i, t]], dtype=str),
        }
    )


def _outside(panel: Panel, other: Panel, *, with_metrics: bool) -> pd.DataFrame:
    """List the units and periods, and the metrics if asked for, that only one side has."""
    rows = [
        (what, side, key)
        for what, mine, theirs in (
            ("metric", tuple(panel.metrics), tuple(other.metrics)),
            ("unit", panel.unit_ids, other.unit_ids),
            ("period", panel.periods, other.periods),
        )
        if what != "metric" or with_metrics
        for side, one, two in (("here", mine, theirs), ("there", theirs, mine))
        for key in one
        if key not in set(two)
    ]
    return pd.DataFrame(rows, columns=["what", "side", "id"], dtype=str)


def _release(panel: Panel, name: str) -> str:
    return " + ".join(dict.fromkeys(source.release for source in panel.sources[name]))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table by column."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _largest(revised: pd.DataFrame) -> pd.DataFrame:
    """Sort revised cells by the size of the difference; metrics stay where they are."""
    order = revised["difference"].abs().sort_values(ascending=False, kind="stable").index
    return revised.loc[order]


def _in(side: str) -> str:
    return side if side in ("here", "there") else f"in {side}"


def _kind(kind: str, sides: tuple[str, str]) -> str:
    """Name the kind of an unlike cell with the sides as they are called."""
    if kind == "other status":
        return kind
    return f"value only {_in(sides[_KINDS.index(kind)])}"


def _counted(row: dict[str, Any], sides: tuple[str, str]) -> str:
    """Say how many common cells of a metric differ, and what else is not alike."""
    compared, revised = row["compared"], row["revised"]
    if not compared:
        said = "no common cell has a value on both sides"
    elif not revised:
        said = f"no common cell differs ({compared:,} compared)"
    else:
        said = f"{revised:,} of {compared:,} common cells {'differ' if revised > 1 else 'differs'}"
    for column, words in (
        ("only_here", f"with a value only {_in(sides[0])}"),
        ("only_there", f"with a value only {_in(sides[1])}"),
        ("status_changed", "of another status"),
    ):
        if row[column]:
            said += f"; {row[column]:,} {words}"
    return said


def _alike(quiet: pd.DataFrame) -> list[str]:
    """Say of all metrics without a difference that there is none."""
    if quiet.empty:
        return []
    names = ", ".join(quiet["metric"].head(_SHOWN)) + (", …" if len(quiet) > _SHOWN else "")
    cells = f"{quiet['compared'].sum():,} cells compared"
    return [f"no cell differs in {len(quiet):,} metrics ({names}; {cells})"]


def _further(n: int, table: str) -> str:
    """Say how many cells are not shown, and where they are."""
    return f"… {n:,} more cell{'s' if n > 1 else ''} in .{table}" if n > 0 else ""


def _called(cell: dict[str, Any]) -> str:
    unit = cell["unit"] if cell["name"] in ("", cell["unit"]) else "{unit} {name}".format(**cell)
    return f"{unit}, {cell['period']}"


def _cell(cell: dict[str, Any]) -> str:
    """Write one revised cell."""
    percent = cell["percent"]
    change = f" ({percent:+,.1f} %)".replace("-", "−") if np.isfinite(percent) else ""
    return f"{_called(cell)}: {plain(cell['value'])} → {plain(cell['other'])}{change}"


def _states(cell: dict[str, Any]) -> list[str]:
    """Write what each side has: its value, or the status that says why there is none."""
    pairs = [(cell["value"], cell["status"]), (cell["other"], cell["other_status"])]
    if cell["kind"] == "other status":
        return [status for _, status in pairs]
    return [plain(value) if np.isfinite(value) else status for value, status in pairs]


def _other_cell(cell: dict[str, Any], sides: tuple[str, str]) -> str:
    """Write one cell that is unlike without being revised."""
    here, there = _states(cell)
    return f"{_called(cell)}: {here} → {there} ({_kind(cell['kind'], sides)})"


def _named(cell: dict[str, Any]) -> list[str]:
    """Write which cell it is, for a row of a table."""
    name = shortened(cell["name"] or cell["unit"], _LONGEST)
    return [shortened(cell["metric"], _LONGEST), name, cell["period"]]


def plain(value: float) -> str:
    """Write a published number: whole where it is whole.

    Examples
    --------
    >>> plain(10644.0), plain(22.1)
    ('10,644', '22.1')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.10g}"


def _left_out(outside: pd.DataFrame, sides: tuple[str, str]) -> list[str]:
    """Say what only one side has."""
    called = dict(zip(("here", "there"), sides, strict=True))
    return [
        f"only {_in(called[str(side)])}: {what}s {first_few(part['id'])}"
        for (side, what), part in outside.groupby(["side", "what"], sort=False)
    ]
