"""A panel as tables: every cell, every metric in a line, what is missing, where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from didkit.markup import more, number, page, paragraph, shortened, table
from didkit.panel.status import Cells, Floats, Status

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["LABELS", "describe", "missing", "provenance", "tidy", "to_html"]

LABELS = np.array([status.label for status in Status], dtype=object)
_TIDY = ("unit", "name", "period", "metric", "value", "status", "lower", "upper", "release")
_SHOWN = 10  # metrics in a notebook
_LONGEST = 48
_COUNTED = ("metric", "unit", "release", "units", "with a value", "cells by status", "mean")


def _cells(panel: Panel) -> Iterator[tuple[str, Cells]]:
    """Yield each metric's name and cells."""
    return ((key, panel.cells(key)) for key in panel.metrics)


def tidy(panel: Panel) -> pd.DataFrame:
    """Lay every cell that a source has a row for out, one row a unit, period and metric."""
    n, t = len(panel.units), len(panel.calendar)
    unit, period = np.repeat(np.arange(n), t), np.tile(np.arange(t), n)
    ids, labels = np.array(panel.unit_ids), np.array(panel.periods)
    parts = []
    for key, cells in _cells(panel):
        there = cells.status.ravel() != Status.ABSENT
        parts.append(
            pd.DataFrame(
                {
                    "unit": ids[unit[there]],
                    "name": panel.units["name"].to_numpy()[unit[there]],
                    "period": labels[period[there]],
                    "metric": key,
                    "value": cells.value.ravel()[there],
                    "status": LABELS[cells.status.ravel()[there]],
                    "lower": cells.lower.ravel()[there],
                    "upper": cells.upper.ravel()[there],
                    "release": " + ".join(dict.fromkeys(s.release for s in panel.sources[key])),
                    **{
                        column: panel.units[column].to_numpy()[unit[there]]
                        for column in panel.units.columns
                        if column not in _TIDY
                    },
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def describe(panel: Panel) -> pd.DataFrame:
    """Say of each metric what it is, its cells by status, its level and spread, its source."""
    rows = []
    for key, cells in _cells(panel):
        metric = panel.metrics[key]
        seen = np.isfinite(cells.value)
        columns = np.flatnonzero((cells.status != Status.ABSENT).any(axis=0))
        means = _row_means(cells.value)
        within = (cells.value - means[:, None])[seen]
        spare = int(seen.sum() - seen.any(axis=1).sum())
        rows.append(
            {
                "metric": key,
                "label": metric.label,
                "unit": metric.unit,
                "timing": metric.timing,
                "derivation": metric.derivation,
                "release": " + ".join(dict.fromkeys(s.release for s in panel.sources[key])),
                "units": int(seen.any(axis=1).sum()),
                "first": panel.periods[columns[0]] if len(columns) else "",
                "last": panel.periods[columns[-1]] if len(columns) else "",
                **{s.label: int((cells.status == s).sum()) for s in Status},
                "mean": float(cells.value[seen].mean()) if seen.any() else np.nan,
                "sd_between": float(np.nanstd(means, ddof=1))
                if np.isfinite(means).sum() > 1
                else np.nan,
                "sd_within": float(np.sqrt((within**2).sum() / spare)) if spare > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)


def missing(panel: Panel) -> pd.DataFrame:
    """List the cells without a value."""
    parts = []
    for key, cells in _cells(panel):
        i, t = np.nonzero(~np.isfinite(cells.value))
        parts.append(
            pd.DataFrame(
                {
                    "metric": key,
                    "unit": np.array(panel.unit_ids)[i],
                    "name": panel.units["name"].to_numpy()[i],
                    "period": np.array(panel.periods)[t],
                    "status": LABELS[cells.status[i, t]],
                    "lower": cells.lower[i, t],
                    "upper": cells.upper[i, t],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def provenance(panel: Panel) -> pd.DataFrame:
    """List the sources of every metric."""
    return pd.DataFrame(
        [
            {
                "metric": key,
                "release": source.release,
                "table": source.table,
                "file": source.file,
                "sha256": source.sha256,
                "note": source.note,
                "derivation": panel.metrics[key].derivation,
            }
            for key in panel._cells
            for source in panel.sources[key]
        ]
    )


def to_html(panel: Panel) -> str:
    """Write the first metrics of a panel, and how much of each there is, for a notebook."""
    every = len(panel.unit_ids) * len(panel.periods)
    rows = []
    for line in describe(panel).head(_SHOWN).to_dict("records"):
        seen = int(np.isfinite(panel.cells(line["metric"]).value).sum())
        rows.append(
            [
                shortened(line["metric"], _LONGEST),
                shortened(line["unit"], _LONGEST),
                shortened(line["release"], _LONGEST),
                f"{line['units']:,}",
                _share(seen, every),
                ", ".join(f"{line[s.label]:,} {s.label}" for s in Status if line[s.label]),
                number(line["mean"]),
            ]
        )
    title = (
        f"Panel · {len(panel.unit_ids):,} units × {len(panel.periods)} periods "
        f"({panel.calendar.span})"
    )
    return page(
        table(_COUNTED, rows, caption=title, numeric={3, 4, 6}, named=True),
        paragraph(more(len(panel.metrics) - len(rows), "metric")),
        paragraph("See describe(), missing(), provenance() and wide(metric)."),
    )


def _share(part: int, whole: int) -> str:
    """Write a share in per cent: 100% only where nothing lacks, 0% only where nothing is there."""
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "under 0.1%"
    if 99.95 <= percent < 100:
        return "over 99.9%"
    return f"{percent:.1f}%" if part != whole else "100%"


def _row_means(value: Floats) -> Floats:
    """Mean of each row over its finite entries; NaN for a row without one."""
    seen = np.isfinite(value)
    counts = seen.sum(axis=1)
    sums = np.where(seen, value, 0.0).sum(axis=1)
    means: Floats = np.divide(sums, counts, out=np.full(len(value), np.nan), where=counts > 0)
    return means
