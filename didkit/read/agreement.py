"""What a release says twice: published rates against the counts and the population they are of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from didkit.errors import DidkitWarning, ReadError, first_few
from didkit.panel import METRICS, Cells, Panel, Source, Status

__all__ = ["bound_rates", "check_rates"]


def bound_rates(
    cells: Mapping[str, Cells], sources: Mapping[str, tuple[Source, ...]]
) -> dict[str, Cells]:
    """Bound hidden rates by the bounds of the counts that they are made of.

    Parameters
    ----------
    cells : mapping of str to Cells
        By metric, on one grid.
    sources : mapping of str to tuple of Source
        Of each metric; a count and a population of other releases bound nothing.
    """
    made = dict(cells)
    for key, rate in cells.items():
        metric = METRICS[key]
        hidden = rate.status == Status.SUPPRESSED
        top, bottom = metric.numerator, metric.denominator
        if top is None or bottom is None or not {top, bottom} <= set(cells) or not hidden.any():
            continue
        if len({source.release for part in (key, top, bottom) for source in sources[part]}) > 1:
            continue
        part, whole = cells[top], cells[bottom]
        with np.errstate(invalid="ignore", divide="ignore"):
            low = np.where(whole.upper > 0, part.lower / whole.upper * metric.per, np.nan)
            high = np.where(whole.lower > 0, part.upper / whole.lower * metric.per, np.nan)
        lower = np.where(hidden, np.fmax(rate.lower, low), rate.lower)
        upper = np.where(hidden, np.fmin(rate.upper, high), rate.upper)
        made[key] = Cells(rate.value, rate.status, lower, upper)
    return made


def check_rates(panel: Panel, name: str) -> None:
    """Hold published rates against counts and denominator of the same release.

    A denominator of the wrong year (a stale year in a column's name) shows here: most rates then
    differ, and the file is refused. A few that differ are warned of.
    """
    for key, metric in panel.metrics.items():
        top, bottom = metric.numerator, metric.denominator
        if top is None or bottom is None or metric.decimals is None:
            continue
        if top not in panel.metrics or bottom not in panel.metrics:
            continue
        releases = {source.release for part in (key, top, bottom) for source in panel.sources[part]}
        if len(releases) > 1:
            continue
        rate, over = panel.cells(key), panel.cells(bottom)
        with np.errstate(invalid="ignore", divide="ignore"):
            made = panel.cells(top).value / over.value * metric.per
            # A population that was rounded is an interval, and so is the quotient.
            least = panel.cells(top).value / over.upper * metric.per
            most = panel.cells(top).value / over.lower * metric.per
        checked = np.isfinite(made) & np.isfinite(rate.value)
        half = 0.5 * 10.0**-metric.decimals + 1e-9 * (1 + np.abs(rate.value))
        with np.errstate(invalid="ignore"):
            differ = checked & ((rate.value < least - half) | (rate.value > most + half))
        if not differ.any():
            continue
        at = [
            f"{panel.unit_ids[i]} in {panel.periods[t]}: {rate.value[i, t]:g} published, "
            f"{made[i, t]:.{metric.decimals + 1}f} computed"
            for i, t in np.argwhere(differ)
        ]
        found = f"{int(differ.sum())} of {int(checked.sum())} differ: {first_few(at)}"
        if differ.sum() > 0.05 * checked.sum():
            raise ReadError(
                needed=f"published {key} that equals {top} / {bottom} × {metric.per:,}, rounded",
                found=found,
                where=name,
                todo="check that counts and denominators are of the years they are named after, "
                "and that the file is as published",
            )
        warnings.warn(
            f"{name}: published {key} and {top} / {bottom} × {metric.per:,} disagree. {found}. "
            "Both are kept as published.",
            DidkitWarning,
            stacklevel=3,
        )
