"""Rates from counts and a population, with the bounds of both."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from didkit.errors import DidkitWarning, PanelError, first_few
from didkit.panel.metric import Metric
from didkit.panel.source import Source
from didkit.panel.status import Cells, Floats, Status

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["compute_rate", "derived", "roofed"]


def compute_rate(
    panel: Panel,
    metric: str | Metric,
    *,
    numerator: str | None = None,
    denominator: str | None = None,
    replace_published: bool = False,
    vintages: Literal["same", "mixed"] = "same",
) -> Panel:
    """Compute a rate from counts and one vintage of the population.

    The population of a year that ends on 31 March is the mid-year estimate of the year
    before; the readers place it so, and `from_frame` takes it as given for the same row.

    Parameters
    ----------
    metric : str or Metric
        The rate to make: a name in the registry, or a `Metric` with ``per``.
    numerator : str, optional
        The count; by default the metric's own ``numerator``.
    denominator : str, optional
        The population metric; its release is the one vintage. By default the metric's own
        ``denominator``, or ``population`` where the panel does not have that.
    replace_published : bool, default False
        Whether a published rate of that name may be replaced.
    vintages : {"same", "mixed"}
        ``"same"`` refuses a population put together from several releases, since a census
        moves it. ``"mixed"`` asks for it by name; the vintages stay in the derivation.

    Returns
    -------
    Panel
        With the rate, its bounds from the bounds of both counts (those of a percentage end at
        100, unless it is above), and how it was made.

    Raises
    ------
    PanelError
        If a part is missing, the rate exists, the denominator mixes releases, or is zero.

    Warns
    -----
    DidkitWarning
        Cells have a count and no population: they have no rate.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame(
    ...     {"la": ["303"] * 2, "year": [2018, 2019], "cla_count": [50, 60], "pop": [5000] * 2}
    ... )
    >>> columns = {"cla_count": "cla_count", "pop": "population"}
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=columns)
    >>> panel.compute_rate("cla").wide("cla").loc["303", "2019"].item()
    120.0
    """
    if vintages not in ("same", "mixed"):
        raise PanelError(
            needed="vintages='same' or vintages='mixed'",
            found=repr(vintages),
            where="Panel.compute_rate",
            todo="choose one",
        )
    rate = Metric.named(metric) if isinstance(metric, str) else metric
    if rate.name in panel.metrics and not replace_published:
        raise PanelError(
            needed=f"a panel without {rate.name!r}, or replace_published=True",
            found=f"{rate.name!r}, {panel.metrics[rate.name].derivation}",
            where="Panel.compute_rate",
            todo="keep the published rate, or replace it by name",
        )
    top_name = numerator or rate.numerator
    if top_name is None:
        raise PanelError(
            needed=f"the count that {rate.name!r} is made of",
            found="none named",
            where="Panel.compute_rate",
            todo="say numerator=",
        )
    if denominator is None:
        own = rate.denominator
        denominator = own if own in panel.metrics or own is None else "population"
        denominator = denominator or "population"
    if denominator not in panel.metrics:
        raise PanelError(
            needed=f"the population that {rate.name!r} is over, in the panel",
            found=f"no {denominator!r} among {first_few(panel.metrics, 8)} metrics",
            where="Panel.compute_rate",
            todo="join the population of one release, or say denominator=",
        )
    top, bottom = panel.cells(top_name), panel.cells(denominator)
    known = dict.fromkeys(source.release for source in panel.sources[denominator])
    if len(known) > 1 and vintages != "mixed":
        raise PanelError(
            needed="one vintage of the population",
            found=f"{len(known)}: {first_few(known)}",
            where=f"the sources of {denominator!r}",
            todo="compute from a population of one release, or ask for the mixture by name: "
            "vintages='mixed'",
        )
    zero = np.argwhere(bottom.value <= 0)
    if len(zero):
        at = [f"{panel.unit_ids[i]} in {panel.periods[t]}" for i, t in zero]
        raise PanelError(
            needed="a positive population",
            found=f"zero or less: {first_few(at)}",
            where=repr(denominator),
            todo="mend the population, or leave these units out by name",
        )
    derivation = derived(top_name, denominator, known, rate.per)
    with np.errstate(invalid="ignore"):
        value = top.value / bottom.value * rate.per
        low = top.lower / bottom.upper * rate.per
        high = top.upper / np.where(bottom.lower > 0, bottom.lower, np.nan) * rate.per
    high = roofed(rate, value, low, high)
    unknown = ~np.isfinite(bottom.value) & np.isfinite(top.value)
    if unknown.any():
        _warn_of_lost(panel, rate, unknown, denominator)
    lost = np.where(bottom.status == Status.ABSENT, Status.NOT_AVAILABLE, bottom.status)
    status = np.where(unknown, lost, top.status).astype(np.int8)
    cells = Cells(value, status, low, high)
    made = replace(rate, numerator=top_name).computed(derivation, denominator)
    note = Source("computed", note=derivation)
    return panel.replaced(
        metrics={**panel.metrics, rate.name: made},
        cells={**{name: panel.cells(name) for name in panel.metrics}, rate.name: cells},
        sources={
            **panel.sources,
            rate.name: (*panel.sources[top_name], *panel.sources[denominator], note),
        },
    )


def _warn_of_lost(panel: Panel, rate: Metric, lost: NDArray[np.bool_], denominator: str) -> None:
    """Say which cells have a count and no rate, since there is nothing to divide by."""
    named = [
        f"{panel.unit_ids[i]} {panel.periods[t[0]]}"
        + (f" to {panel.periods[t[-1]]}" if len(t) > 1 else "")
        for i in np.flatnonzero(lost.any(axis=1))
        if len(t := np.flatnonzero(lost[i]))
    ]
    releases = dict.fromkeys(source.release for source in panel.sources[denominator])
    warnings.warn(
        f"{rate.name}: {int(lost.sum())} cells have a count and no {denominator} in "
        f"{', '.join(releases)}, so that they have no rate: {first_few(named)} units. A release "
        "whose population covers them may be used in its place.",
        DidkitWarning,
        stacklevel=3,
    )


def derived(numerator: str, denominator: str, releases: Iterable[str], per: int) -> str:
    """Say how a rate is computed, and over which release of the denominator."""
    return f"computed: {numerator} / {denominator} ({', '.join(releases)}) × {per:,}"


def roofed(metric: Metric, value: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return upper bounds; those of a percentage end at 100, since a part is not above its whole.

    A percentage that is above 100 by its value or its lower bound is no part of a whole, or of
    another table: its bounds stay as computed. A cell without a lower bound is not known at all.
    """
    if metric.kind != "percent":
        return upper
    part = np.isfinite(lower) & (lower <= 100) & ~(value > 100)
    return np.where(part, np.fmin(upper, 100), upper)
