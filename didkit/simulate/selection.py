"""Pilots chosen for their own values, with no effect: what each way of comparing would show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from didkit.check.selected import ESTIMATORS, Chosen, biases, closed_forms
from didkit.check.variation import Variation
from didkit.errors import DesignError, is_whole

__all__ = ["SelectionProcess", "selection_study"]


@dataclass(frozen=True, kw_only=True)
class SelectionProcess:
    """Units with a lasting level and a passing part, of which some become pilots; no effect.

    ``Y_it = μ_i + e_it`` with normal μ and an AR(1) in e. "Worst" is the highest value: for the
    lowest all signs turn.

    Parameters
    ----------
    variation : Variation
        Of μ and e.
    n_units, n_pilots : int
        All units, and those chosen.
    n_before, n_after : int
        Periods before and after the start.
    ratio : int
        Nearest comparators, with replacement, where pilots are matched.
    lift : float
        How much higher "permanently higher" pilots are, in the metric's unit.

    Raises
    ------
    DesignError
        If a number is out of range.

    Examples
    --------
    >>> SelectionProcess().n_units
    150
    """

    variation: Variation = field(default_factory=lambda: Variation(1.0, 0.7, 0.5))
    n_units: int = 150
    n_pilots: int = 9
    n_before: int = 4
    n_after: int = 3
    ratio: int = 3
    lift: float = 1.0

    def __post_init__(self) -> None:
        counts = (self.n_units, self.n_pilots, self.n_before, self.n_after, self.ratio)
        if not (
            all(is_whole(n) and n >= 1 for n in counts)
            and self.n_before >= 2
            and self.n_pilots + self.ratio <= self.n_units
            and np.isfinite(self.lift)
        ):
            raise DesignError(
                needed="n_pilots + ratio of at most n_units, n_before of 2 or more, the others 1",
                found=f"n_units={self.n_units!r}, n_pilots={self.n_pilots!r}, "
                f"n_before={self.n_before!r}, n_after={self.n_after!r}, ratio={self.ratio!r}, "
                f"lift={self.lift!r}",
                where="SelectionProcess",
                todo="SelectionProcess() is the one of the documentation",
            )


def selection_study(
    process: SelectionProcess, *, replications: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Draw panels without an effect and compare in every way under every selection.

    Parameters
    ----------
    process : SelectionProcess
        What is drawn.
    replications : int, default 2000
        Panels, the same for every selection.
    seed : int, default 0
        Of the generator.

    Returns
    -------
    DataFrame
        ``selection`` (random, latest_value, average, permanent), ``estimator, mean, mc_error,
        sd`` (over panels), ``closed_form`` (NaN where pilots are matched); the metric's unit.

    Raises
    ------
    DesignError
        If `replications` or `seed` is out of range.

    Examples
    --------
    >>> found = selection_study(SelectionProcess(), replications=200, seed=1)
    >>> by = found.set_index(["selection", "estimator"])["mean"]
    >>> bool(by["latest_value", "before_after_last"] < -0.4)
    True
    """
    if not (is_whole(replications) and replications >= 2 and is_whole(seed) and seed >= 0):
        raise DesignError(
            needed="replications= of 2 or more and seed= of 0 or more, whole numbers",
            found=f"replications={replications!r}, seed={seed!r}",
            where="selection_study",
            todo="2000 and 0 are usual",
        )
    ways = {
        "random": Chosen("random"),
        "latest_value": Chosen("latest_value"),
        "average": Chosen("average"),
        "permanent": Chosen("random", lift=process.lift),
    }
    n_comparators = process.n_units - process.n_pilots
    drawn = biases(
        process.variation,
        ways,
        n_pilots=process.n_pilots,
        n_comparators=n_comparators,
        n_before=process.n_before,
        n_after=process.n_after,
        ratio=process.ratio,
        draws=replications,
        seed=seed,
    )
    rows = []
    for name, way in ways.items():
        exact = closed_forms(
            process.variation,
            way,
            n_pilots=process.n_pilots,
            n_comparators=n_comparators,
            n_before=process.n_before,
            n_after=process.n_after,
        )
        for how in ESTIMATORS:
            values = drawn[name][how]
            sd = float(values.std(ddof=1))
            mean = float(values.mean())
            rows.append((name, how, mean, sd / replications**0.5, sd, exact[how]))
    return pd.DataFrame(
        rows, columns=["selection", "estimator", "mean", "mc_error", "sd", "closed_form"]
    )
