"""Two vintages of one series: which cells were revised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import PanelError, first_few
from didkit.markup import more, number, page, paragraph, shortened, table
from didkit.panel.calendar import Calendar
from didkit.panel.metric import Metric
from didkit.panel.status import Cells
from didkit.panel.tables import LABELS

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["Comparison", "compare"]

_SAME = 1e-9  # relative: what writing a number as text and reading it again may move
_LONGEST = 48
_SHOWN = 5  # cells of a metric in the short text
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
    outside : DataFrame
        What only one side has: ``what`` (metric, unit or period), ``side`` (here or there),
        ``id``. None of its cells is in the other tables.
    """

    summary: pd.DataFrame
    revised: pd.DataFrame
    outside: pd.DataFrame

    def __repr__(self) -> str:
        lines = []
        for row in _records(self.summary):
            lines.append("{metric}, {release} and {other_release}: ".format(**row) + _counted(row))
            cells = self.revised[self.revised["metric"] == row["metric"]]
            lines += [f"  {_cell(cell)}" for cell in _records(cells.head(_SHOWN))]
            if len(cells) > _SHOWN:
                lines.append(f"  {more(len(cells) - _SHOWN, 'cell')} in .revised")
        return "\n".join(lines + _left_out(self.outside))

    def _repr_html_(self) -> str:
        counts = [
            [
                *(shortened(row[key], _LONGEST) for key in ("metric", "release", "other_release")),
                *(f"{row[key]:,}" for key in ("compared", "revised")),
                number(row["largest"]),
                *(f"{row[key]:,}" for key in ("only_here", "only_there", "status_changed")),
            ]
            for row in _records(self.summary)
        ]
        heads = ("metric", "release", "other release", "compared", "revised", "largest difference")
        cells = [
            [
                shortened(row["metric"], _LONGEST),
                shortened(row["name"] or row["unit"], _LONGEST),
                row["period"],
                *(_plain(row[key]) for key in ("value", "other")),
                number(row["percent"]),
            ]
            for row in _records(self.revised.head(2 * _SHOWN))
        ]
        found = ("metric", "unit", "period", "value", "other", "change in %")
        return page(
            table(
                (*heads, "value only here", "value only there", "other status"),
                counts,
                caption="Two vintages, cell by cell",
                numeric=range(3, 9),
                named=True,
            ),
            table(found, cells, caption="Revised", numeric=range(3, 6))
            if cells
            else paragraph("No common cell differs."),
            paragraph(more(len(self.revised) - len(cells), "cell")),
            *(paragraph(line) for line in _left_out(self.outside)),
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
        ``summary`` with one row a metric, ``revised`` with one row a cell that differs, and
        ``outside``, what only one of them has.

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
    summary, revised = [], []
    for name in names:
        here, there = panel.spread(name, ids, calendar), other.spread(name, ids, calendar)
        counts, differ = _held_against(here, there)
        summary.append(
            {"metric": name, "release": _release(panel, name)}
            | {"other_release": _release(other, name)}
            | counts
        )
        revised.append(_revised(name, panel, ids, labels, here, there, differ))
    return Comparison(
        pd.DataFrame(summary, columns=list(_SUMMARY)),
        pd.concat(revised, ignore_index=True),
        _outside(panel, other),
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


def _held_against(here: Cells, there: Cells) -> tuple[dict[str, object], NDArray[np.bool_]]:
    """Count the cells of one metric by how the two sides agree, and say which differ."""
    a, b = here.value, there.value
    seen, known = np.isfinite(a), np.isfinite(b)
    both = seen & known
    gap = np.where(both, np.abs(a - b), 0.0)
    differ = both & (gap > _SAME * np.fmax(np.abs(a), np.abs(b)))
    alike = (both & ~differ) | ~(seen | known)
    counts: dict[str, object] = {
        "compared": int(both.sum()),
        "equal": int((both & ~differ).sum()),
        "revised": int(differ.sum()),
        "largest": float(np.where(differ, gap, 0.0).max()) if both.any() else np.nan,
        "only_here": int((seen & ~known).sum()),
        "only_there": int((known & ~seen).sum()),
        "neither": int((~seen & ~known).sum()),
        "status_changed": int((alike & (here.status != there.status)).sum()),
    }
    return counts, differ


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
    i, t = np.nonzero(differ)
    names = panel.units["name"]
    value, other = here.value[i, t], there.value[i, t]
    percent = np.full(len(i), np.nan)
    np.divide(100 * (other - value), value, out=percent, where=value != 0)
    return pd.DataFrame(
        {
            "metric": pd.Series([name] * len(i), dtype=str),
            "unit": pd.Series([ids[k] for k in i], dtype=str),
            "name": pd.Series([names[ids[k]] for k in i], dtype=str),
            "period": pd.Series([labels[k] for k in t], dtype=str),
            "value": value,
            "other": other,
            "difference": other - value,
            "percent": percent,
            "status": pd.Series(LABELS[here.status[i, t]], dtype=str),
            "other_status": pd.Series(LABELS[there.status[i, t]], dtype=str),
        },
        columns=list(_REVISED),
    )


def _outside(panel: Panel, other: Panel) -> pd.DataFrame:
    """List the metrics, units and periods that only one side has."""
    rows = [
        (what, side, key)
        for what, mine, theirs in (
            ("metric", tuple(panel.metrics), tuple(other.metrics)),
            ("unit", panel.unit_ids, other.unit_ids),
            ("period", panel.periods, other.periods),
        )
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


def _counted(row: dict[str, Any]) -> str:
    """Say how many common cells of a metric differ, and what else is not alike."""
    compared, revised = row["compared"], row["revised"]
    if not compared:
        said = "no common cell has a value on both sides"
    elif not revised:
        said = f"no common cell differs ({compared:,} compared)"
    else:
        said = f"{revised:,} of {compared:,} common cells {'differ' if revised > 1 else 'differs'}"
    for column, words in (
        ("only_here", "with a value only here"),
        ("only_there", "with a value only there"),
        ("status_changed", "of another status"),
    ):
        if row[column]:
            said += f"; {row[column]:,} {words}"
    return said


def _cell(cell: dict[str, Any]) -> str:
    """Write one revised cell."""
    percent = cell["percent"]
    change = f" ({percent:+.1f} %)".replace("-", "−") if np.isfinite(percent) else ""
    called = cell["unit"] if cell["name"] in ("", cell["unit"]) else "{unit} {name}".format(**cell)
    return f"{called}, {cell['period']}: {_plain(cell['value'])} → {_plain(cell['other'])}{change}"


def _plain(value: float) -> str:
    """Write a published number: whole where it is whole."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,g}"


def _left_out(outside: pd.DataFrame) -> list[str]:
    """Say what only one side has."""
    return [
        f"only {side}: {what}s {first_few(part['id'])}"
        for (side, what), part in outside.groupby(["side", "what"], sort=False)
    ]
