"""Functional form: level, log and rank side by side, and what all of them at once would imply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.asked import check_inference
from didkit.check.implied import bin_edges, implied_shares, lowest_p_value
from didkit.design import Design
from didkit.errors import DesignError, EstimationError, InferenceError, is_number, is_whole
from didkit.panel import Metric
from didkit.results import Estimate, Finding, Inference
from didkit.results.tables import p_equals, signed, unit_of

__all__ = ["FunctionalForm"]

Floats = NDArray[np.float64]
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")
_BY = {"level": "level", "log": "logs", "rank": "rank"}
_ASSUMES = {
    "level": "without the programme both arms would have changed by the same amount",
    "log": "without the programme both arms would have changed by the same ratio",
    "rank": "without the programme pilots would have kept, or moved, their place among all "
    "authorities as comparators did",
}


@dataclass(frozen=True, eq=False)
class FunctionalForm:
    """Refit in levels, logs and ranks, and hold the data against parallel trends in all of them.

    Parameters
    ----------
    bins : int or sequence of numbers, default 5
        Bins of the outcome for the implied distribution: how many, with as many cells in each, or
        the edges between them, in the metric's unit.
    inference : Inference, None or "recommended"
        For the refits, as in `OtherComparators`.
    draws : int, default 20000
        Draws of the p-value of the implied distribution.
    seed : int, default 0
        Of these draws.

    Raises
    ------
    InferenceError
        Fewer than two bins, edges out of order, or no draws.

    Notes
    -----
    Parallel trends in levels and in logs are different assumptions, and at most one holds, unless
    the distributions themselves make trends parallel on *every* scale. That is so if and only if
    ``F10 + F01 − F00`` (pilots before, comparators after, comparators before) is the distribution
    that the pilots would have had. A negative share in some bin is therefore evidence against
    parallel trends on every scale: the answer then hangs on the form, and the form has to be
    argued for. No negative share does not show that the form does not matter.

    Distributions are means over a unit's cells before and after its start. The p-value compares
    the most negative share, over its standard error by unit, with the largest of as many normals
    with their correlation (least favourable: every share zero), so that it is conservative where
    shares are above zero: in simulation, with one bin of three at its limit, it is at most 5% in
    1.7% of draws with 9 pilots of 150, and in 2.2% with 4. A bin that holds no pilot before the
    start is judged by comparators alone.

    Log refuses cells of zero or below; rank is the percentile among the design's authorities in
    the same period, and depends on who they are.

    References
    ----------
    Roth & Sant'Anna (2023), propositions on insensitivity to functional form.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(FunctionalForm(draws=500))
    >>> found.table["form"].tolist()
    ['level', 'log', 'rank']
    >>> round(float(FunctionalForm().implied(found.estimate)["implied"].sum()), 9)
    1.0
    """

    bins: int | Sequence[float] = 5
    inference: Inference | Literal["recommended"] | None = field(
        default="recommended", kw_only=True
    )
    draws: int = field(default=20_000, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_inference(self.inference, "FunctionalForm(inference=)", "recommended")
        given: Any = self.bins
        edges = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else None
        fine = (
            is_whole(given) and given >= 2
            if edges is None
            else bool(edges) and all(map(is_number, edges)) and sorted(set(edges)) == edges
        )
        if not fine:
            raise InferenceError(
                needed="bins: at least 2, or the edges between them in rising order",
                found=repr(given),
                where="FunctionalForm(bins=)",
                todo="5 is usual; with nine pilots more bins are empty ones",
            )
        if not is_whole(self.draws) or self.draws < 1 or not is_whole(self.seed) or self.seed < 0:
            raise InferenceError(
                needed="draws of at least 1, and a seed of 0 or more",
                found=f"draws={self.draws!r}, seed={self.seed!r}",
                where="FunctionalForm",
                todo="leave them out",
            )
        if edges is not None:
            object.__setattr__(self, "bins", tuple(float(one) for one in edges))

    def run(self, estimate: Estimate) -> Finding:
        """Refit in each form, and measure the implied distribution.

        Returns
        -------
        Finding
            Table ``form, unit, estimate, std_error, conf_low, conf_high`` (main term, in the
            form's unit), ``change`` (the log estimate as a ratio less 1; NaN elsewhere),
            ``assumes`` and ``note``: why there is no estimate. Facts: the estimates by form;
            ``lowest_share`` (the lowest implied share of pilots in a bin, of 1), ``lowest_from``,
            ``lowest_to`` (its edges, the metric's unit), ``negative_share`` (all of it),
            ``p_value``.

        Raises
        ------
        InferenceError
            If the estimate is not of the metric as the panel holds it (a ratio, a difference of
            two metrics).
        """
        term = estimate.main_term
        panel_y = _own_cells(estimate)
        rows = [_row("level", estimate, estimate.metric.unit, term)]
        rows += [self._refit(estimate, form, panel_y, term) for form in ("log", "rank")]
        table = pd.DataFrame(rows)
        facts = {str(row["form"]): float(row["estimate"]) for row in rows}
        notes = [f"{row['form']}: {row['note']}" for row in rows if row["note"]]
        told = ""
        try:
            shares, covariance, lost = implied_shares(estimate.sample, self._edges(estimate))
        except EstimationError as error:
            notes.append(f"no implied distribution: {error.found}")
        else:
            low = int(shares["implied"].to_numpy().argmin())
            worst = shares.iloc[low]
            implied = shares["implied"].to_numpy()
            facts |= {
                "lowest_share": float(worst["implied"]),
                "lowest_from": float(worst["low"]),
                "lowest_to": float(worst["high"]),
                "negative_share": float(-implied[implied < 0].sum()) + 0.0,
                "p_value": lowest_p_value(implied, covariance, self.draws, self.seed),
            }
            told = _told(facts, estimate.metric.unit)
            notes.extend(lost)
            notes.append(
                "the p-value of the implied distribution is conservative: a high one shows little"
            )
        return Finding(
            check=self,
            estimate=estimate,
            question="Does the answer hang on the scale on which trends are taken to be parallel?",
            headline=f"{_said(rows, unit_of(estimate.metric))}{told}",
            table=table,
            facts=facts,
            notes=tuple(notes),
            cannot_show="on which scale trends would have been parallel: after the start no data "
            "say so",
        )

    def implied(self, estimate: Estimate) -> pd.DataFrame:
        """Return the distribution that parallel trends on every scale would imply.

        Returns
        -------
        DataFrame
            One row a bin: ``low, high`` (edges; the first and last are infinite), shares of 1:
            ``pilots_before, pilots_after, comparators_before, comparators_after, implied`` and
            ``std_error`` of the last.

        Raises
        ------
        EstimationError
            If no comparator, or no pilot, has values on both sides of the start.
        """
        return implied_shares(estimate.sample, self._edges(estimate))[0]

    def _edges(self, estimate: Estimate) -> Floats:
        if isinstance(self.bins, Sequence):
            return np.array([-np.inf, *self.bins, np.inf])
        return bin_edges(estimate.sample, int(self.bins))

    def _refit(self, estimate: Estimate, form: str, values: Floats, term: str) -> dict[str, Any]:
        """Refit on transformed cells; say why where there is no estimate."""
        kind = estimate.metric
        unit = {"log": "log points", "rank": "percentile points"}[form]
        sure = estimate.uncertainty
        level = 0.95 if sure is None else sure.level
        bare = self.inference is None or (sure is None and self.inference == "recommended")
        low = int((values <= 0).sum())
        if form == "log" and low:
            why = f"{low} cells are zero or below, and have no log"
            return _empty(form, unit, why)
        made = np.log(values) if form == "log" else _percentiles(values)
        try:
            refit = estimate.refit(_with(estimate.design, kind, made, unit))
            if term not in set(refit.terms["term"]):
                return _empty(form, unit, f"no term {term!r}")
        except (DesignError, EstimationError) as error:
            return _empty(form, unit, f"{error.found}; {error.needed} needed")
        try:
            refit = refit.infer(None if bare else self.inference, level=level)
        except InferenceError as error:
            return {**_row(form, refit.infer(None), unit, term), "note": str(error.found)}
        return _row(form, refit, unit, term)


def _own_cells(estimate: Estimate) -> Floats:
    """Return the panel's values of the design's authorities in its window; NaN elsewhere."""
    panel, design = estimate.design.panel, estimate.design
    value = panel.cells(estimate.metric).value
    ids = list(panel.unit_ids)
    inside = np.zeros(value.shape, dtype=bool)
    rows = [ids.index(unit) for unit in (*design.pilots, *design.comparators)]
    columns = [panel.calendar.position(period) for period in design.periods]
    inside[np.ix_(rows, columns)] = True
    sample = estimate.sample
    at = np.ix_([ids.index(unit) for unit in sample.units], columns)
    own = np.where(sample.mask, value[at], np.nan)
    same = np.array_equal(own, sample.y, equal_nan=True)
    if not same or panel.metric(estimate.metric).unit != estimate.metric.unit:
        raise InferenceError(
            needed="an estimate of the metric as the panel holds it, in its own unit",
            found=f"{type(estimate.estimator).__name__} in {estimate.metric.unit or 'other units'}",
            where="FunctionalForm",
            todo="run it on DiD or EventStudy of the metric",
        )
    return np.where(inside, value, np.nan)


def _percentiles(values: Floats) -> Floats:
    """Return each value's percentile in its period; ties share theirs."""
    rank = pd.DataFrame(values).rank(axis=0).to_numpy()
    return np.asarray(100 * (rank - 0.5) / np.maximum(np.isfinite(values).sum(axis=0), 1))


def _with(design: Design, kind: Metric, values: Floats, unit: str) -> Design:
    """Return the design on a panel with other values of the metric."""
    plain = replace(kind, kind="value", unit=unit, decimals=None)
    return design.on_panel(design.panel.refilled(plain, values))


def _empty(form: str, unit: str, why: str) -> dict[str, Any]:
    return {
        "form": form,
        "unit": unit,
        **dict.fromkeys(_NUMBERS, np.nan),
        "change": np.nan,
        "assumes": _ASSUMES[form],
        "note": why,
    }


def _row(form: str, estimate: Estimate, unit: str, term: str) -> dict[str, Any]:
    found = estimate[term]
    made = {name: float(found.get(name, np.nan)) for name in _NUMBERS}
    change = float(np.expm1(made["estimate"])) if form == "log" else float("nan")
    return {**_empty(form, unit or "units of the metric", ""), **made, "change": change}


def _said(rows: list[dict[str, Any]], own: str) -> str:
    """Say the estimates in one sentence."""
    parts = []
    for row in rows:
        unit = own if row["form"] == "level" else row["unit"]
        if np.isnan(row["estimate"]):
            parts.append(f"no estimate by {_BY[row['form']]}")
        elif row["form"] == "log":
            parts.append(f"by logs {signed(row['estimate'])} ({signed(100 * row['change'])}%)")
        else:
            parts.append(f"by {_BY[row['form']]} {signed(row['estimate'])} {unit}")
    signs = {np.sign(row["estimate"]) for row in rows if np.isfinite(row["estimate"])}
    alike = "one sign" if len(signs) == 1 else "signs differ"
    return f"{'; '.join(parts)[0].upper()}{'; '.join(parts)[1:]}: {alike}."


def _told(facts: dict[str, float], unit: str) -> str:
    """Say the lowest implied share, and where."""
    low, high = facts["lowest_from"], facts["lowest_to"]
    where = (
        f"below {high:.4g}"
        if np.isinf(low)
        else f"from {low:.4g}{' ' + unit if unit else ''} on"
        if np.isinf(high)
        else f"from {low:.4g} to {high:.4g}"
    )
    of = f" {unit}" if unit and not np.isinf(high) else ""
    share = f"{100 * facts['lowest_share']:.1f}%".replace("-", "−")
    p = f" ({p_equals(facts['p_value'])})" if np.isfinite(facts["p_value"]) else ""
    return (
        " Parallel trends on every scale would put "
        f"{share} of pilots {where}{of}, the "
        f"lowest share of a bin{p}."
    )
