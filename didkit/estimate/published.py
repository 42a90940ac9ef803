"""What a kernel publishes about its terms, and the estimate made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.linear import Normal
from didkit.results import Draws, Estimate, Estimator, Exchange, Labels

__all__ = ["Published"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Published:
    """Values of k terms and whatever inference may use; see `Estimate` for the shapes."""

    values: Floats
    n_pilots: NDArray[np.int64]
    n_comparators: NDArray[np.int64]
    weights: Floats | None = None
    laid_out: Callable[[], Floats] | None = None
    influence: Floats | None = None
    normal: Normal | None = None
    contrast: Floats | None = None
    contributions: Floats | None = None
    regroup: Callable[[Labels], Normal] | None = None
    reassigned: Callable[[Labels], Draws] | None = None
    exchanged: Exchange | None = None
    assignable: NDArray[np.bool_] | None = None
    resampled: Callable[[Labels], Floats] | None = None
    placebos: Callable[[Labels], tuple[Floats, Floats]] | None = None

    def to_estimate(
        self,
        estimator: Estimator,
        design: Design,
        sample: Sample,
        *,
        estimand: str,
        terms: pd.DataFrame,
        reference: pd.DataFrame | None = None,
        facts: Mapping[str, float] | None = None,
        notes: tuple[str, ...] = (),
        synthetic: pd.DataFrame | None = None,
    ) -> Estimate:
        """Put the one shape of answer together."""
        return Estimate(
            estimator=estimator,
            design=design,
            sample=sample,
            estimand=estimand,
            terms=terms.assign(n_pilots=self.n_pilots, n_comparators=self.n_comparators),
            values=self.values,
            weights=self.weights,
            laid_out=self.laid_out,
            influence=self.influence,
            normal=self.normal,
            contrast=self.contrast,
            contributions=self.contributions,
            regroup=self.regroup,
            reassigned=self.reassigned,
            exchanged=self.exchanged,
            assignable=self.assignable,
            resampled=self.resampled,
            placebos=self.placebos,
            synthetic=synthetic,
            reference=reference,
            facts=facts or {},
            notes=notes,
        )
