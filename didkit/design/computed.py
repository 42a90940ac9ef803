"""Computed neighbours: the nearest units by a weighted distance that is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.covariates import Covariates
from didkit.design.learnt import LearntWeights, Scale, complete, scaled
from didkit.design.neighbours import Neighbours
from didkit.errors import DesignError, first_few, is_number, is_whole, kind_of

__all__ = ["compute_neighbours"]

Floats = NDArray[np.float64]
_DECIMALS = 10  # distances that agree so far are ties


def compute_neighbours(
    on: Covariates,
    *,
    most: int = 10,
    weights: Mapping[str, float] | LearntWeights | None = None,
    scale: Scale = "sd",
    missing: Literal["refuse", "leave_out"] = "refuse",
) -> Neighbours:
    """List for every unit its nearest others by weighted Euclidean distance.

    The distance of units i and j is ``sqrt(Σ_c w_c (x_ic − x_jc)² / s_c²)``: s the standard
    deviation over all units, w the weights divided by their sum. It is the form of the published
    model of statistical neighbours; its weights are not published with the lists, so they are
    given, equal, or learnt (`learn_weights`) here, and the list says which.

    Parameters
    ----------
    on : Covariates
        Numbers. Periods that they have seen are remembered: a design that starts by then refuses
        the list.
    most : int, default 10
        Neighbours of each unit; fewer where there are fewer units.
    weights : mapping of covariate to number, or LearntWeights, optional
        At least 0, a number for each covariate; one of weight 0 is not used, and may be missing.
        By default equal. Learnt weights given as `LearntWeights` keep the periods that they were
        learnt from; as a plain mapping, such as ``dict(learnt.weights)``, nobody can know them.
    scale : {"sd", "rank"}
        ``"rank"`` replaces values by their ranks first (ties share the mean), against outliers.
    missing : {"refuse", "leave_out"}
        What becomes of a unit without one of the covariates.

    Returns
    -------
    Neighbours
        With a column ``distance``, in standard deviations; ties (to ten decimals) stand in the
        order of ids. It has no bands of closeness.

    Raises
    ------
    DesignError
        A covariate that is the same for all units or holds labels, a unit without one, a weight
        that is missing, unknown or negative, or fewer than two units.

    Examples
    --------
    >>> table = pd.DataFrame({"imd": [10.0, 11.0, 14.0]}, index=["303", "304", "305"])
    >>> made = compute_neighbours(Covariates(table))
    >>> made.of("304")
    ('303', '305')
    >>> made.table["distance"].round(2).tolist()
    [0.48, 1.92, 0.48, 1.44, 1.44, 1.92]
    """
    given: Any = on
    if not isinstance(given, Covariates):
        raise DesignError(
            needed="Covariates, such as Covariates.from_panel(panel, means={'cin': (2013, 2014)})",
            found=kind_of(given),
            where="compute_neighbours",
            todo="make them of a DataFrame with Covariates.from_frame",
        )
    if not is_whole(most) or most < 1:
        raise DesignError(
            needed="most= as a whole number of at least 1",
            found=repr(most),
            where="compute_neighbours",
            todo="write most=10",
        )
    shares = _shares(on, weights)
    used = on.select([name for name, share in shares.items() if share > 0])
    units, gone = complete(used, missing, "compute_neighbours")
    x = scaled(used.numbers(units), used.columns, scale)
    x *= np.sqrt([shares[name] for name in used.columns])
    table = _nearest(x, units, most)
    equal = len({round(share, 12) for share in shares.values()}) == 1
    learnt = isinstance(weights, LearntWeights)
    named = ", ".join(
        name if equal and not learnt else f"{name} {shares[name]:.2f}" for name in used.columns
    )
    how = "learnt weights" if learnt else "equal weights" if equal else "given weights"
    what = "ranks of " if scale == "rank" else ""
    until = dict(used.until) | (dict(weights.until) if isinstance(weights, LearntWeights) else {})
    notes = [f"no computed neighbours for {first_few(gone)}: a covariate is missing"] * bool(gone)
    unstated = used.unstated()
    if unstated:
        notes.append(
            f"the periods of {first_few(unstated, 3)} are not stated: nobody checked that they "
            "precede the start (Covariates.from_frame(until=) states them)"
        )
    return Neighbours(
        table,
        f"computed neighbours on {what}{named} ({how})",
        until=until,
        unlisted=dict.fromkeys(gone, "a covariate is missing"),
        notes=tuple(notes),
    )


def _nearest(x: Floats, units: tuple[str, ...], most: int) -> pd.DataFrame:
    """List each unit's nearest others; ties in the order of ids, which `units` is in."""
    from scipy.spatial.distance import cdist

    distance = cdist(x, x)
    np.fill_diagonal(distance, np.inf)
    kept = min(most, len(units) - 1)
    order = np.argsort(distance.round(_DECIMALS), axis=1, kind="stable")[:, :kept]
    ids = np.array(units, dtype=object)
    return pd.DataFrame(
        {
            "unit": np.repeat(ids, kept),
            "rank": np.tile(np.arange(1, kept + 1), len(units)),
            "neighbour": ids[order].ravel(),
            "distance": np.take_along_axis(distance, order, axis=1).ravel(),
        }
    )


def _shares(on: Covariates, given: Mapping[str, float] | LearntWeights | None) -> dict[str, float]:
    """Return the weights divided by their sum, in the order of the covariates."""
    if given is None:
        return dict.fromkeys(on.columns, 1 / len(on.columns))
    weights = given.weights if isinstance(given, LearntWeights) else given
    lacking = [name for name in on.columns if name not in weights]
    unknown = [name for name in weights if name not in on.columns]
    wrong = [f"{n}: {w!r}" for n, w in weights.items() if not is_number(w) or not 0 <= w < np.inf]
    found = (
        (f"none for {first_few(lacking)}" if lacking else "")
        or (f"one for {first_few(unknown)}, no such covariate" if unknown else "")
        or first_few(wrong)
        if lacking or unknown or wrong
        else ""
    )
    if found or not any(weights.values()):
        raise DesignError(
            needed="a weight of at least 0 for each covariate, not all of them 0",
            found=found or "weights that are all 0",
            where="compute_neighbours(weights=)",
            todo="the covariates are: " + ", ".join(on.columns),
        )
    total = float(sum(weights.values()))
    return {name: float(weights[name]) / total for name in on.columns}
