"""Other denominator: the estimate with another vintage of the population."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.again import NUMBERS, again, own_cells, row_of
from didkit.check.rate_split import refuse_cells
from didkit.errors import InferenceError, PanelError, first_few
from didkit.panel import Cells, Metric, Panel
from didkit.panel.rates import roofed
from didkit.results import Estimate, Finding
from didkit.results.tables import number, signed

__all__ = ["AS_ESTIMATED", "OTHER", "OWN", "OtherDenominator"]

AS_ESTIMATED, OWN, OTHER = "as estimated", "own population, computed", "other population, computed"
Floats = NDArray[np.float64]
_COLUMNS = ["rate", "over", *NUMBERS, "shift", "n_pilots", "n_comparators", "method", "note"]
_TRIED = "_other_vintage"


@dataclass(frozen=True)
class _Vintage:
    """One vintage of the population: units × periods of the panel, and what it is called."""

    people: Floats
    called: str


@dataclass(frozen=True, eq=False)
class OtherDenominator:
    """Recompute the rate over another vintage of the population, and refit.

    Parameters
    ----------
    population : str, DataFrame or Panel
        The other vintage: the name of a metric of the panel; a frame with columns ``unit, period,
        value``; or a panel of another release, of which the rate's own denominator is taken, or
        ``population`` where it does not have that.

    Raises
    ------
    InferenceError
        If it is none of these.

    Notes
    -----
    Populations between two censuses are estimates; after a census those of ten years are made
    again. A rate then moves in each authority by another amount, and by more the longer ago the
    last census was: an error that grows with time, in pilots and comparators alike or not. Counts
    are the same in all rows, so that only the population moves the estimate.

    The rate is count / population × base in every cell that has a rate; nothing is rounded. The
    second row says what recomputing alone does, over the panel's own population. Which vintage is
    nearer to the truth is not known from either; the later one has usually seen the later census.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> other = panel.wide("population").stack().rename("value").reset_index()
    >>> other.loc[other["period"] >= "2018", "value"] *= 1.02  # everywhere alike, from 2018 on
    >>> did = dk.DiD().fit(design, "cin").infer(None)
    >>> found = did.check(dk.OtherDenominator(other))
    >>> round(found.facts["largest"], 2)  # % of a rate: 1 / 1.02
    1.96
    """

    population: Any

    def __post_init__(self) -> None:
        given = self.population
        if isinstance(given, str) and given:
            return
        if isinstance(given, Panel):
            return
        if isinstance(given, pd.DataFrame) and {"unit", "period", "value"} <= set(given.columns):
            object.__setattr__(self, "population", given[["unit", "period", "value"]].copy())
            return
        raise InferenceError(
            needed="another vintage of the population: the name of a metric, a frame with columns "
            "unit, period and value, or a panel of another release",
            found=f"columns {first_few(given.columns)}"
            if isinstance(given, pd.DataFrame)
            else repr(given)[:80],
            where="OtherDenominator(population)",
            todo="for example OtherDenominator(read_dfe('…/cin_2025'))",
        )

    def run(self, estimate: Estimate) -> Finding:
        """Refit the rate over both vintages; the first row is the estimate as it is.

        Returns
        -------
        Finding
            Table ``rate, over`` (which population), ``estimate, std_error, conf_low, conf_high,
            shift`` (main term, the metric's unit), ``n_pilots, n_comparators, method, note``: why
            there is no estimate or interval. Facts: ``full, own`` (NaN where the panel does not
            hold its population), ``other, shift`` (of the other from the estimate), ``vintage``
            (of the other from its own, both computed), ``lowest, highest``, ``n_cells`` compared,
            ``largest`` and ``median`` (of the changes of a cell's rate, in % and in size),
            ``pilots`` and ``comparators`` (by how many % the other vintage moves the mean rate
            from the start on, against before it).

        Raises
        ------
        InferenceError
            If the metric is no rate of a count of the panel, the population named is its own, or a
            cell with a rate lacks the count or the other population.
        """
        where = f"OtherDenominator of {estimate.metric.name!r}"
        rows, columns = own_cells(estimate, "OtherDenominator")
        panel, sample = estimate.design.panel, estimate.sample
        metric = panel.metric(estimate.metric)
        other = self._other(panel, metric, where)
        top = _count_of(panel, metric, where)
        at = np.ix_(rows, columns)
        count = panel.cells(top).value[at]
        people = other.people[at]
        todo = "choose a window in which both are known, or leave those authorities out with "
        todo += "design.drop"
        lacking = sample.mask & ~np.isfinite(count)
        refuse_cells(estimate, lacking, f"a {top!r} in every cell that has a rate", where, todo)
        lacking = sample.mask & ~(np.isfinite(people) & (people > 0))
        said = f"a population of {other.called} in every cell that has a rate"
        refuse_cells(estimate, lacking, said, where, todo)
        own = self._own(panel, metric, sample.mask, at)
        with np.errstate(divide="ignore", invalid="ignore"):
            base = sample.y if own is None else metric.per * count / own.people[at]
            change = np.where(sample.mask, metric.per * count / people / base - 1, np.nan)
        table = [{"rate": AS_ESTIMATED, "over": f"as {metric.derivation}", "shift": 0.0,
                  **row_of(estimate)}]  # fmt: skip
        full = float(table[0]["estimate"])
        for label, vintage in ((OWN, own), (OTHER, other)):
            if vintage is None:
                continue
            made = again(estimate, _over(estimate, metric, top, vintage))
            shift = float(made["estimate"]) - full
            table.append({"rate": label, "over": vintage.called, "shift": shift, **made})
        frame = pd.DataFrame(table, columns=_COLUMNS)
        facts = _facts(estimate, frame, change)
        notes = _notes(estimate, facts, sample.mask, change, own)
        notes += _apart(panel, metric, other)
        return Finding(
            check=self,
            estimate=estimate,
            question="Does the answer hang on the vintage of the population?",
            headline=_headline(estimate, facts, change, other.called),
            table=frame,
            facts=facts,
            notes=tuple(notes),
            cannot_show="which vintage is nearer to the truth, nor errors that both share",
            alternatives=(facts["lowest"], facts["highest"]),
        )

    def _other(self, panel: Panel, metric: Metric, where: str) -> _Vintage:
        """Lay the other vintage out over the panel's units and periods."""
        given = self.population
        if isinstance(given, str):
            if given == metric.denominator:
                raise InferenceError(
                    needed="another population than the rate's own",
                    found=f"{given!r}: the same population, which {metric.name!r} is over already",
                    where=where,
                    todo="name another metric of the panel, or give the frame or the panel of "
                    "another vintage",
                )
            if given not in panel.metrics:
                raise InferenceError(
                    needed="a metric of the panel",
                    found=repr(given),
                    where=where,
                    todo="choose one of: " + ", ".join(panel.metrics),
                )
            return _Vintage(panel.cells(given).value, _called(panel, given))
        if isinstance(given, pd.DataFrame):
            kind = panel.calendar.kind
            given = Panel.from_frame(
                given,
                unit="unit",
                period="period",
                metrics={"value": "population"},
                identity=panel.identity,
                calendar=panel.calendar.labels if kind == "declared" else kind,
                release="the frame given",
            )
        own = _people_of(given, metric)
        if own not in given.metrics:
            raise InferenceError(
                needed=f"{metric.denominator or 'population'!r} in the other panel",
                found=f"{first_few(given.metrics)}",
                where=where,
                todo="give a panel that holds the population, or a frame of unit, period, value",
            )
        cells = given.spread(own, panel.unit_ids, panel.calendar)
        return _Vintage(cells.value, _called(given, own))

    def _own(
        self, panel: Panel, metric: Metric, mask: NDArray[np.bool_], at: Any
    ) -> _Vintage | None:
        """Return the panel's own population, where it has one for every cell with a rate."""
        name = _people_of(panel, metric)
        if name not in panel.metrics:
            return None
        people = panel.cells(name).value
        known = np.isfinite(people[at]) & (people[at] > 0)
        return _Vintage(people, _called(panel, name)) if known[mask].all() else None


def _people_of(panel: Panel, metric: Metric) -> str:
    """Return the name of a rate's denominator in a panel; "population" where it has none."""
    own = metric.denominator
    return own if own is not None and own in panel.metrics else "population"


def _count_of(panel: Panel, metric: Metric, where: str) -> str:
    """Return the name of the count of a rate; refuse where the panel has none."""
    if metric.kind in ("rate", "percent") and metric.numerator in panel.metrics:
        return str(metric.numerator)
    raise InferenceError(
        needed="a rate and, in the same panel, the count it is made of",
        found=f"{metric.name!r}, a {metric.kind}"
        + (f" of {metric.numerator!r}, which is not there" if metric.numerator else ""),
        where=where,
        todo="read the count too, or give the metric a numerator: Metric(numerator=…)",
    )


def _called(panel: Panel, name: str) -> str:
    """Name a vintage: its metric and the releases that it is from."""
    releases = dict.fromkeys(source.release for source in panel.sources[name])
    return f"{name} ({', '.join(releases)})"


def _over(estimate: Estimate, metric: Metric, top: str, vintage: _Vintage) -> Any:
    """Return the design on a panel in which the rate is the count over this vintage."""
    panel = estimate.design.panel
    count, held = panel.cells(top), panel.cells(metric)
    with np.errstate(divide="ignore", invalid="ignore"):
        by = metric.per / np.where(vintage.people > 0, vintage.people, np.nan)
        value = np.where(np.isfinite(held.value), count.value * by, np.nan)
        low, high = count.lower * by, count.upper * by
    # a cell without this population keeps what it had: no estimate uses it (run refuses)
    lost = np.isfinite(held.value) & ~np.isfinite(value)
    value = np.where(lost, held.value, value)
    low = np.where(np.isfinite(low) & ~lost, low, held.lower)
    high = np.where(np.isfinite(high) & ~lost, high, held.upper)
    high = roofed(metric, value, low, high)
    made = metric.computed(
        f"computed: {top} / {vintage.called} × {metric.per:,}", metric.denominator or "population"
    )
    cells = {key: panel.cells(key) for key in panel.metrics}
    cells[metric.name] = Cells(value, held.status, low, high)
    edited = panel.replaced(metrics={**panel.metrics, metric.name: made}, cells=cells)
    return estimate.design.on_panel(edited)


def _facts(estimate: Estimate, frame: pd.DataFrame, change: Floats) -> dict[str, float]:
    by = frame.set_index("rate")["estimate"]
    got = frame["estimate"].dropna()
    full, other = float(by[AS_ESTIMATED]), float(by[OTHER])
    sample, size = estimate.sample, np.abs(change)
    known = np.isfinite(change)
    moved = {}
    for name, arm in (("pilots", sample.pilot), ("comparators", ~sample.pilot)):
        after = np.arange(change.shape[1]) >= min(sample.starts)
        here = known & arm[:, None]
        late, early = here & after, here & ~after
        moved[name] = (
            100 * float(change[late].mean() - change[early].mean())
            if late.any() and early.any()
            else float("nan")
        )
    return {
        "full": full,
        "own": float(by.get(OWN, np.nan)),
        "other": other,
        "shift": other - full,
        "vintage": other - float(by.get(OWN, np.nan)),
        "lowest": float(got.min()),
        "highest": float(got.max()),
        "n_cells": float(known.sum()),
        "largest": 100 * float(size[known].max()) if known.any() else float("nan"),
        "median": 100 * float(np.median(size[known])) if known.any() else float("nan"),
        **moved,
    }


def _headline(estimate: Estimate, facts: dict[str, float], change: Floats, called: str) -> str:
    """Say both estimates, and which cell moves most."""
    unit = estimate.metric.unit
    value = f"{signed(facts['full'])}{' ' + unit if unit else ''}"
    told = f"Over {called} the estimate of {value} is {signed(facts['other'])}"
    if np.isfinite(facts["own"]) and number(facts["own"]) != number(facts["full"]):
        told += f" (recomputed over its own population: {signed(facts['own'])})"
    if not facts["largest"] > 0:
        return f"{told}: no cell of the rate changes."
    sample = estimate.sample
    j, t = np.unravel_index(int(np.nanargmax(np.abs(change))), change.shape)
    return (
        f"{told}. A cell of the rate changes by {number(facts['median'], 2)}% (median), at most by "
        f"{signed(100 * float(change[j, t]))}% in {sample.names[j] or sample.units[j]} in "
        f"{sample.periods[t]}."
    )


def _notes(
    estimate: Estimate,
    facts: dict[str, float],
    mask: NDArray[np.bool_],
    change: Floats,
    own: _Vintage | None,
) -> list[str]:
    """Say why the estimate moves, and what does not."""
    notes = []
    if np.isfinite([facts["pilots"], facts["comparators"]]).all():
        notes.append(
            "from the first start on, against before it, the other population moves the rate of "
            f"pilots by {signed(facts['pilots'])}% on average and that of comparators by "
            f"{signed(facts['comparators'])}%"
        )
    if own is None:
        notes.append(
            "the panel does not hold the rate's own population for every cell: changes are from "
            "the published rate, and hold its rounding"
        )
    empty = int((mask & ~np.isfinite(change)).sum())
    if empty:
        notes.append(f"{empty} cells have a rate of zero, which no population changes")
    if estimate.sample.sampling or estimate.sample.population:
        notes.append("weights of cells and authorities stay as they are in every row")
    return notes


def _apart(panel: Panel, metric: Metric, other: _Vintage) -> list[str]:
    """Ask the detector of denominator breaks where the two vintages part."""
    cells = {key: panel.cells(key) for key in panel.metrics}
    status = np.zeros(other.people.shape, dtype=np.int8)
    absent = Cells.empty(*other.people.shape)
    known = np.isfinite(other.people)
    status = np.where(known, status, absent.status).astype(np.int8)
    cells[_TRIED] = Cells(other.people, status, other.people, other.people)
    tried = replace(metric, denominator=_TRIED, derivation="published")
    both = panel.replaced(
        metrics={**panel.metrics, metric.name: tried, _TRIED: Metric(name=_TRIED)},
        cells=cells,
        sources={**panel.sources, _TRIED: ()},
    )
    try:
        found = both.denominator_breaks(metric.name)
    except PanelError as error:
        return [f"where the vintages part was not sought: {error.found}; {error.needed} needed"]
    ratio = found[found["basis"] != "implied"]
    flagged = ratio.loc[ratio["flagged"], "period"].tolist()
    spread = ratio["spread"].dropna()
    if spread.empty:
        return []
    said = (
        f"over a year the population implied by the rate and {other.called} grow apart by "
        f"{number(spread.min(), 2)} to {number(spread.max(), 2)}% (spread over all "
        "authorities of the panel)"
    )
    return [said + (f", by more than usual in {', '.join(flagged)}" if flagged else "")]
