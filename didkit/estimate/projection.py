"""Covariates projected out of the outcome, with coefficients from the untreated cells alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, first_few

__all__ = ["project_out"]

Floats = NDArray[np.float64]
_TIED = 1e-9


def project_out(sample: Sample, where: str) -> tuple[Floats, dict[str, float]]:
    """Return the outcome less what covariates explain, and their coefficients.

    Least squares of the outcome on covariates, unit and period effects over the cells that are not
    treated (Kranz 2022): of units that never start, and of pilots before their start.

    Parameters
    ----------
    sample : Sample
        With covariates.
    where : str
        Who asks, for the message.

    Returns
    -------
    (array (J, T), dict)

    Raises
    ------
    EstimationError
        If a covariate does not vary beyond unit and period effects, or is a combination of others.
    """
    x = np.asarray(sample.x)  # (J, C, T)
    cells = sample.mask & ~sample.treated
    j, t = np.nonzero(cells)
    columns = np.column_stack([sample.y[cells], *(x[j, c, t] for c in range(x.shape[1]))])
    within = _within(columns, j, t, len(sample.units), len(sample.periods))
    own, others = within[:, 0], within[:, 1:]
    size = np.linalg.norm(others, axis=0)
    whole = np.linalg.norm(columns[:, 1:] - columns[:, 1:].mean(axis=0), axis=0)
    tied = [n for n, s, w in zip(sample.covariates, size, whole, strict=True) if s <= _TIED * w]
    if tied or np.linalg.matrix_rank(others / np.where(size > 0, size, 1.0), tol=_TIED) < len(size):
        raise EstimationError(
            needed="covariates that vary beyond unit and period effects, and not together",
            found=f"collinear: {first_few(tied or sample.covariates)}",
            where=f"{where}(covariates=)",
            todo="leave out what does not change over time, or what others imply",
        )
    slopes, *_ = np.linalg.lstsq(others / size, own, rcond=None)
    slopes = slopes / size
    return sample.y - np.einsum("jct,c->jt", x, slopes), {
        name: float(slope) for name, slope in zip(sample.covariates, slopes, strict=True)
    }


def _within(
    columns: Floats, j: NDArray[np.intp], t: NDArray[np.intp], n_units: int, n_periods: int
) -> Floats:
    """Return what unit and period effects leave: unit means taken out, then period dummies."""
    dummies = np.zeros((len(t), n_periods))
    dummies[np.arange(len(t)), t] = 1.0
    both = np.column_stack([columns, dummies])
    count = np.bincount(j, minlength=n_units)[:, None]
    total = np.zeros((n_units, both.shape[1]))
    np.add.at(total, j, both)
    both = both - (total / np.maximum(count, 1))[j]
    k = columns.shape[1]
    found, *_ = np.linalg.lstsq(both[:, k:], both[:, :k], rcond=None)
    made: Floats = both[:, :k] - both[:, k:] @ found
    return made
