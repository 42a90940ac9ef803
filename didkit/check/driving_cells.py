"""Driving cells: which cells make the estimate what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few, is_whole
from didkit.results import Estimate, Finding
from didkit.results.tables import number, signed, unit_of

__all__ = ["DrivingCells", "additive_residual"]

Floats = NDArray[np.float64]
_COLUMNS = ["unit", "name", "period", "arm", "weight", "deviation", "contribution", "share"]
_CANCELS = 1e-8  # of the sum of absolute weights
_NONE = 1e-10  # contributions below this share of weight × value are rounding


@dataclass(frozen=True)
class DrivingCells:
    """Split the main term into what each cell contributes: its weight times its deviation.

    Parameters
    ----------
    most : int, default 20
        Cells in the finding's table; the others stand in one row, so that the table sums to the
        estimate. `cells` has all of them.

    Raises
    ------
    InferenceError
        If `most` is no whole number of 1 or more.

    Notes
    -----
    An estimate that is linear in the outcome is Σ w·y. Since the weights of a unit sum to zero,
    and those of a period, an authority's level and a period's level cancel, so that w·y of one
    cell means nothing by itself. Each cell is therefore measured from what its unit and its period
    predict: a unit effect plus a period effect, fitted by least squares (with the sample's cell
    weights, where there are any) to *all* cells of the sample, treated ones too. The contributions
    w × deviation still sum to the estimate.

    With treated cells in the fit, an effect stands half before the start (cells higher than a
    level that the effect has lowered) and half after; so does a value that was out of line before.
    Nothing is said about why a cell deviates.

    A pilot's cell has a large weight, being one of few: pilots lead this list in any data. The
    unit's share of all contributions is given beside its share of all weights.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(None)
    >>> found = did.check(dk.DrivingCells(most=5))
    >>> bool(abs(found.table["contribution"].sum() - did.values[0]) < 1e-10), len(found.table)
    (True, 6)
    """

    most: int = 20

    def __post_init__(self) -> None:
        if not is_whole(self.most) or self.most < 1:
            raise InferenceError(
                needed="a whole number of cells, 1 or more",
                found=repr(self.most),
                where="DrivingCells(most=)",
                todo="20 is usual; cells() gives all of them",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Rank the cells by the size of their contribution.

        Returns
        -------
        Finding
            Table ``unit, name, period, arm, weight, deviation, contribution, share``: the largest
            contributions, then one row for all other cells (unit ""); deviation and contribution
            in the metric's unit, ``share`` of the sum of absolute contributions. Facts:
            ``estimate, n_cells`` (with a weight), ``n_half`` (fewest cells with half of the
            absolute sum), ``top_share`` (of the first cell), ``unit_total, unit_share,
            unit_weight`` (of the unit whose contributions add up to most: their signed sum,
            their share in size, and its share of absolute weights).

        Raises
        ------
        InferenceError
            If the estimate has no weights, or its weights do not cancel by unit and period.
        """
        cells, units = self.cells(estimate), self.units(estimate)
        value = float(estimate.values[estimate.place_of(None, where="DrivingCells")])
        size = cells["contribution"].abs().to_numpy()
        total, first = float(size.sum()), units.iloc[0]
        some = np.isfinite(cells["share"].iloc[0])
        n_half = 0
        if some:
            n_half = int(np.searchsorted(np.cumsum(size), total / 2 * (1 - 1e-12)) + 1)
        facts = {
            "estimate": value,
            "n_cells": float(len(cells)),
            "n_half": float(n_half),
            "top_share": float(cells["share"].iloc[0]),
            "unit_total": float(first["contribution"]),
            "unit_share": float(first["share"]),
            "unit_weight": float(first["weight_share"]),
        }
        return Finding(
            check=self,
            estimate=estimate,
            question="Which authorities and years make the estimate what it is?",
            headline=_headline(cells, units, facts, unit_of(estimate.metric)),
            table=_shown(cells, self.most),
            facts=facts,
            notes=_notes(estimate, units),
            cannot_show="why a cell deviates: an effect, an error and chance contribute alike, and "
            "some cells are the largest in any data",
        )

    def cells(self, estimate: Estimate) -> pd.DataFrame:
        """Return every cell that the main term weighs, the largest contribution first.

        Returns
        -------
        DataFrame
            Columns as in the finding's table; contributions sum to the estimate.

        Raises
        ------
        InferenceError
            As `run`.
        """
        weight = _weights(estimate)
        sample = estimate.sample
        deviation = additive_residual(sample.y, sample.mask, sample.w)
        contribution = weight * deviation
        rounding = _NONE * np.abs(weight * np.where(sample.mask, sample.y, 0.0)).max()
        size = np.abs(contribution)
        total = float(size.sum()) if (size > rounding).any() else np.nan
        j, t = np.nonzero(weight)
        table = pd.DataFrame(
            {
                "unit": np.array(sample.units, dtype=object)[j],
                "name": np.array(sample.names, dtype=object)[j],
                "period": np.array(sample.periods, dtype=object)[t],
                "arm": np.where(sample.pilot[j], "pilot", "comparator"),
                "weight": weight[j, t],
                "deviation": deviation[j, t],
                "contribution": contribution[j, t],
                "share": size[j, t] / total,
            }
        )
        # contributions that differ by rounding are ties, which go by unit and period
        ranked = table.assign(
            size=-(size[j, t] / max(total, rounding)).round(12) if np.isfinite(total) else 0.0,
            place=t,
        ).sort_values(["size", "unit", "place"])
        return ranked[_COLUMNS].reset_index(drop=True)

    def units(self, estimate: Estimate) -> pd.DataFrame:
        """Sum the contributions by unit, the unit whose cells add up to most first.

        Returns
        -------
        DataFrame
            ``unit, name, arm, contribution`` (their signed sum), ``share`` (of all absolute
            contributions) and ``weight_share`` (of all absolute weights).

        Raises
        ------
        InferenceError
            As `run`.
        """
        cells = self.cells(estimate)
        cells["weight"] = cells["weight"].abs() / cells["weight"].abs().sum()
        made = cells.groupby(["unit", "name", "arm"], sort=True, as_index=False).agg(
            contribution=("contribution", "sum"),
            share=("share", lambda x: x.sum(skipna=False)),
            weight_share=("weight", "sum"),
        )
        size = made["contribution"].abs()
        made["size"] = -(size / max(float(size.max()), 1e-300)).round(12)
        ranked = made.sort_values(["size", "unit"])
        return ranked.drop(columns="size").reset_index(drop=True)


def additive_residual(y: Floats, mask: NDArray[np.bool_], w: Floats | None) -> Floats:
    """Return what a unit effect plus a period effect leave of each cell; 0 without a value.

    Least squares over the cells with a value, weighted by `w`: the period effects solve
    ``(diag(c) − Wᵀ diag(1/r) W) p = Wᵀ(y − unit mean)``, r and c being the sums of the weights by
    unit and period.
    """
    weight = mask.astype(float) if w is None else np.where(mask, w, 0.0)
    own = np.where(mask, y, 0.0)
    centred = np.where(mask, own - (weight * own).sum() / weight.sum(), 0.0)
    by_unit = weight.sum(axis=1, keepdims=True)
    share = weight / np.where(by_unit > 0, by_unit, 1.0)
    left = centred - (share * centred).sum(axis=1, keepdims=True)
    normal = np.diag(weight.sum(axis=0)) - share.T @ weight
    period, *_ = np.linalg.lstsq(normal, (weight * left).sum(axis=0), rcond=None)
    left = np.where(mask, centred - period, 0.0)
    unit = (share * left).sum(axis=1, keepdims=True)
    return np.asarray(np.where(mask, left - unit, 0.0))


def _weights(estimate: Estimate) -> Floats:
    """Return the main term's weights (J, T); refuse where units and periods do not cancel."""
    sample, where = estimate.sample, f"DrivingCells of {estimate.metric.name!r}"
    if estimate.weights is None:
        raise InferenceError(
            needed="an estimate that is linear in the outcome and publishes its weights",
            found=f"{estimate.estimator!r} against {estimate.design.against.describe()}",
            where=where,
            todo="use DiD, EventStudy or another linear estimator; LeaveOneOut() serves the others",
        )
    m = estimate.place_of(None, where=where)
    weight = np.where(sample.mask, estimate.weights[m], 0.0)
    slack = _CANCELS * np.abs(weight).sum()
    odd = [
        label
        for labels, axis in ((sample.units, 1), (sample.periods, 0))
        for label, total in zip(labels, weight.sum(axis=axis), strict=True)
        if abs(total) > slack
    ]
    if odd:
        raise InferenceError(
            needed="weights that sum to zero over each unit and over each period, so that levels "
            "cancel",
            found=f"{estimate.estimator!r}, term {estimate.main_term!r}: other sums in "
            f"{first_few(odd)}",
            where=where,
            todo="fit a change to units without gaps, such as DiD() or Gap(by='window') on a "
            "design from which those that lack cells are dropped: a gap in level holds the level "
            "of every authority",
        )
    weight[np.abs(weight) <= 1e-14 * np.abs(weight).max()] = 0.0
    return weight


def _shown(cells: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep the first cells, and put the others into one row."""
    rest = cells.iloc[most:]
    if rest.empty:
        return cells
    last = {
        **dict.fromkeys(("unit", "period", "arm"), ""),
        "name": f"{len(rest)} other cells" if len(rest) > 1 else "1 other cell",
        "weight": np.nan,
        "deviation": np.nan,
        "contribution": float(rest["contribution"].sum()),
        "share": float(rest["share"].sum(skipna=False)),
    }
    return pd.concat([cells.iloc[:most], pd.DataFrame([last])], ignore_index=True)[_COLUMNS]


def _headline(cells: pd.DataFrame, units: pd.DataFrame, facts: dict[str, float], unit: str) -> str:
    """Say the largest units, the largest cell, and how many cells hold half."""
    value = f"{signed(facts['estimate'])} {unit}"
    if not np.isfinite(facts["top_share"]):
        return (
            f"Every cell is where its unit and its period put it: none contributes to the estimate "
            f"of {value}."
        )
    first = units.iloc[0]
    others = [
        f"{name} {signed(float(total))}"
        for name, total in zip(units["name"][1:3], units["contribution"][1:3], strict=True)
    ]
    top = [
        f"{name} in {period} ({signed(float(part))})"
        for name, period, part in zip(
            cells["name"][:2], cells["period"][:2], cells["contribution"][:2], strict=True
        )
    ]
    return (
        f"Of the estimate of {value}, the cells of {first['name']} add "
        f"{signed(float(first['contribution']))}, with {first['share']:.0%} of all contributions "
        f"in size and {first['weight_share']:.0%} of the weights"
        + (f"; next: {', '.join(others)}" if others else "")
        + f". The largest cells are {' and '.join(top)}; "
        f"{int(facts['n_half'])} of {len(cells)} hold half of the sum in size."
    )


def _notes(estimate: Estimate, units: pd.DataFrame) -> tuple[str, ...]:
    """Say from what a deviation is measured, and how much weight a pilot has."""
    notes = [
        "a deviation is from unit effect + period effect, fitted to all cells of the sample, "
        "treated ones too: an effect then stands half before the start and half after"
    ]
    by = units.groupby("arm")["weight_share"].mean()
    if {"pilot", "comparator"} <= set(by.index) and by["comparator"] > 0:
        notes.append(
            f"a pilot has {number(float(by['pilot'] / by['comparator']))} times the weight of a "
            "comparator on average, so that pilots lead this list in any data"
        )
    if estimate.n_terms > 1:
        notes.append(f"of the term {estimate.main_term!r}")
    return tuple(notes)
