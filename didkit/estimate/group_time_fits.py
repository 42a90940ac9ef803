"""Group-time effects with covariates: one two-by-two fit for all periods that share its units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from didkit.estimate.group_time_pairs import Pairs
from didkit.estimate.two_by_two import Method, panel
from didkit.estimate.two_by_two_rows import rows

__all__ = ["Cells", "Fitted", "fit_changes", "fit_rows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_AT_ONCE = 64  #: fits whose weights are kept until they are laid out


@dataclass(frozen=True, eq=False)
class Cells:
    """What a fit may see: outcomes (O, J, T), covariates (J, P, T), weights (J, T); and names."""

    y: Floats
    x: Floats
    w: Floats
    names: tuple[str, ...]
    starts: tuple[str, ...]
    periods: tuple[str, ...]

    def regressors(self, units: Ints, t: int) -> Floats:
        """Return a constant and the covariates as they are in one period, (n, 1 + P)."""
        return np.column_stack([np.ones(len(units)), self.x[units, :, t]])


@dataclass(frozen=True, eq=False)
class Fitted:
    """Effects (O, C), influence (O, J, k), how to lay out weights (k, J, T) or None, and facts."""

    effects: Floats
    influence: Floats
    weights: Callable[[], Floats] | None
    facts: Mapping[str, float]


def fit_changes(
    cells: Cells, pairs: Pairs, matrix: Floats, kind: Ints, method: Method, *, lay_out: bool
) -> Fitted:
    """Fit changes between two periods of units that have both.

    Parameters
    ----------
    cells : Cells
        No NaN in what the comparisons use. Covariates and weights are those of the base period.
    pairs : Pairs
        The comparisons.
    matrix : array (k, C)
        Each term's weight on each.
    kind : int array (J,)
        Cohort of each unit; G for one that never starts.
    method : str
        Of the two-by-two.
    lay_out : bool
        Whether to return the weights of cells.

    Raises
    ------
    EstimationError
        Collinear covariates, too few units, or no overlap; it names the start.
    """
    n_outcomes, n_units, n_periods = cells.y.shape
    k = len(matrix)
    effects = np.full((n_outcomes, len(pairs)), np.nan)
    influence = np.zeros((n_outcomes, k, n_units))
    laid: list[tuple[Ints, Floats, Floats]] = []
    shape, ready = (k, n_units, n_periods), None
    seen: list[dict[str, float]] = []
    for at in _alike(pairs):
        g, base = int(pairs.g[at[0]]), int(pairs.base[at[0]])
        units = np.flatnonzero((kind == g) | pairs.serves[at[0]][kind])
        # each term's combination of periods: values and influence are linear in the outcome
        spread = np.zeros((k, n_periods))
        spread[:, pairs.t[at]] = matrix[:, at]
        spread[:, base] = -matrix[:, at].sum(axis=1)
        used = np.flatnonzero(matrix[:, at].any(axis=1))
        paths = [y[units] for y in cells.y]
        made = panel(
            np.hstack([path @ spread[used].T for path in paths]),
            kind[units] == g,
            cells.regressors(units, base),
            cells.w[units, base],
            method,
            names=cells.names,
            where=f"GroupTime, start {cells.starts[g]}, covariates of {cells.periods[base]}",
        )
        seen.append(made.facts)
        for o, path in enumerate(paths):
            total = made.weights @ path
            effects[o, at] = total[pairs.t[at]] - total[base]
            for i, m in enumerate(used):
                influence[o, m, units] += made.influence[:, o * len(used) + i]
        if lay_out:
            laid.append((units, made.weights, spread))
            if len(laid) == _AT_ONCE:
                ready, laid = _laid_out(laid, shape, ready), []
    weights = partial(_laid_out, laid, shape, ready) if lay_out else None
    return Fitted(effects, influence.transpose(0, 2, 1), weights, _extremes(seen))


def _laid_out(
    fits: list[tuple[Ints, Floats, Floats]], shape: tuple[int, int, int], ready: Floats | None
) -> Floats:
    """Add up each fit's weights of units (n,) times what its periods do in each term (k, T)."""
    if not fits:
        return np.zeros(shape) if ready is None else ready
    of_units = np.zeros((shape[1], len(fits)))
    for i, (units, given, _) in enumerate(fits):
        of_units[units, i] = given
    made: Floats = of_units @ np.stack([spread for _, _, spread in fits], axis=1)
    return made if ready is None else made + ready


def fit_rows(
    cells: Cells, pairs: Pairs, matrix: Floats, kind: Ints, method: Method, *, lay_out: bool
) -> Fitted:
    """Fit rows of two periods: repeated cross-sections, or a panel with gaps.

    Parameters are those of `fit_changes`. A row is a cell with a value, with its own covariates
    and weight; a unit's influence is the sum over its rows.

    Raises
    ------
    EstimationError
        As `fit_changes`.
    """
    n_outcomes, n_units, n_periods = cells.y.shape
    k = len(matrix)
    effects = np.full((n_outcomes, len(pairs)), np.nan)
    influence = np.zeros((n_outcomes, n_units, k))
    weights = np.zeros((k, n_units, n_periods)) if lay_out else None
    there = np.isfinite(cells.y[0])
    seen: list[dict[str, float]] = []
    for c in range(len(pairs)):
        g, when = int(pairs.g[c]), (int(pairs.t[c]), int(pairs.base[c]))
        inside = (kind == g) | pairs.serves[c][kind]
        after, before = (np.flatnonzero(inside & there[:, t]) for t in when)
        both = np.concatenate([after, before])
        period = np.repeat(when, [len(after), len(before)])
        made = rows(
            cells.y[:, both, period].T,
            np.arange(len(both)) < len(after),
            kind[both] == g,
            np.vstack([cells.regressors(after, when[0]), cells.regressors(before, when[1])]),
            cells.w[both, period],
            method,
            names=cells.names,
            where=f"GroupTime, start {cells.starts[g]}, periods "
            f"{cells.periods[when[0]]} and {cells.periods[when[1]]}",
        )
        seen.append(made.facts)
        effects[:, c] = made.values
        used = np.flatnonzero(matrix[:, c])
        for o in range(n_outcomes):
            by_unit = np.bincount(both, made.influence[:, o], minlength=n_units)
            influence[o][:, used] += by_unit[:, None] * matrix[used, c]
        if weights is not None:
            for m in used:
                weights[m, both, period] += matrix[m, c] * made.weights
    laid = None if weights is None else partial(_same, weights)
    return Fitted(effects, influence, laid, _extremes(seen))


def _same(weights: Floats) -> Floats:
    """Return weights that lie ready."""
    return weights


def _alike(pairs: Pairs) -> Iterator[Ints]:
    """Give the comparisons that share cohort, base and comparators, together."""
    kinds: dict[tuple[int, int, bytes], list[int]] = {}
    for c in range(len(pairs)):
        key = int(pairs.g[c]), int(pairs.base[c]), pairs.serves[c].tobytes()
        kinds.setdefault(key, []).append(c)
    yield from (np.array(found, dtype=np.intp) for found in kinds.values())


def _extremes(seen: list[dict[str, float]]) -> dict[str, float]:
    """Return the largest propensity and number of comparators trimmed of any fit."""
    return {
        name: max(facts[name] for facts in seen)
        for name in ("largest_propensity", "n_trimmed")
        if seen and all(name in facts for facts in seen)
    }
