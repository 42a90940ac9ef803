"""How sure: what an inference attaches to an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from didkit.results.protocols import Inference

__all__ = ["JointTest", "Uncertainty"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard errors, tests and intervals of k terms.

    Parameters
    ----------
    inference : Inference
        What made it.
    method : str
        In words, with the recipe: kind, degrees of freedom, small-sample factor, draws.
    level : float
        Of the intervals, e.g. 0.95. Intervals invert the printed test.
    std_error, statistic, p_value, conf_low, conf_high : array (k,)
        NaN where not computed, and the notes say why; ±∞ where the level cannot be attained.
    df : array (k,), optional
        Degrees of freedom.
    covariance : DataFrame, optional
        Labelled by term; None after a method that has none.
    null : array (B, k), optional
        The statistic under each assignment, for the histogram; signed.
    band_low, band_high : array (k,), optional
        Ends of the uniform band: all terms are inside it together at the level.
    facts : mapping
        Draws, whether exact, the least attainable p, Monte Carlo error, seed.
    notes : tuple of str
        What a reader must know.
    """

    inference: Inference
    method: str
    level: float
    std_error: Floats
    statistic: Floats
    p_value: Floats
    conf_low: Floats
    conf_high: Floats
    df: Floats | None = None
    covariance: pd.DataFrame | None = None
    null: Floats | None = None
    band_low: Floats | None = None
    band_high: Floats | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JointTest:
    """A test of several terms at once.

    Parameters
    ----------
    terms : tuple of str
        The terms tested to be zero together.
    statistic, p_value : float
        NaN where not computed.
    method : str
        In words.
    """

    terms: tuple[str, ...]
    statistic: float
    p_value: float
    method: str
