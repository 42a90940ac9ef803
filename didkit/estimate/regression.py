"""The same two-way regression by linearmodels: to be looked at, and to be checked against.

Small-sample factors (linearmodels 7): both are asked for none, so that their clustered standard
errors are those of ``ClusterRobust("CR0")``; ``CR1`` is these times the root of ``G/(G − 1)``, and
with ``factor="nested"`` or ``"full"`` of ``(N − 1)/(N − K)`` too (`didkit.linear`,
``small_sample_factor``). `PanelOLS` left to itself counts unit effects, whatever the clusters:
``N/(N − K)``, which is 6 % in the standard error of a panel of 50 units and 11 periods.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.estimate.effects import Effects, cell_weights
from didkit.estimate.windows import Windows

__all__ = ["fitted", "long_frame"]

Floats = NDArray[np.float64]


def long_frame(sample: Sample, windows: Windows, effects: Effects | None) -> pd.DataFrame:
    """Lay the cells of a regression out, one row each.

    Returns
    -------
    DataFrame
        ``unit, period`` (positions), ``y``, ``term_1, …``, the covariates by name, ``cluster``,
        ``cohort`` (−1: never starting), ``group`` of the period effects, and ``weight``.
    """
    unit, period = np.nonzero(sample.mask)
    acts = np.zeros((len(sample.units), *windows.acts.shape[1:]))
    acts[sample.pilot] = windows.acts[sample.cohort[sample.pilot]]
    weight = cell_weights(sample)
    group = None if effects is None else effects.group
    made = {"unit": unit, "period": period, "y": sample.y[unit, period]}
    made |= {f"term_{m + 1}": acts[unit, m, period] for m in range(acts.shape[1])}
    if sample.x is not None:
        made |= {name: sample.x[unit, c, period] for c, name in enumerate(sample.covariates)}
    made |= {
        "cluster": sample.clusters[unit],
        "cohort": sample.cohort[unit],
        "group": np.zeros(len(unit), dtype=np.intp) if group is None else group[unit],
        "weight": np.ones(len(unit)) if weight is None else weight[unit, period],
    }
    return pd.DataFrame(made)


def fitted(sample: Sample, windows: Windows, effects: Effects | None) -> Any:
    """Fit the two-way regression by linearmodels, clustered as the design says.

    Returns
    -------
    PanelEffectsResults or AbsorbingLSResults
        ``PanelOLS`` for effects of units and periods; ``AbsorbingLS`` with trends, cohorts or
        periods by group.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.DiD().fit(design, "cpp")
    >>> bool(abs(made.regression().params["term_1"] - made["att"]["estimate"]) < 1e-8)
    True
    """
    from linearmodels.iv.absorbing import AbsorbingLS, Interaction
    from linearmodels.panel import PanelOLS

    frame = long_frame(sample, windows, effects)
    regressors = [f"term_{m + 1}" for m in range(len(windows.terms))] + list(sample.covariates)
    plain = effects is None or not (effects.trends or effects.cohort or effects.group is not None)
    if plain:
        panel = frame.set_index(["unit", "period"])
        model = PanelOLS(
            panel["y"],
            panel[regressors],
            entity_effects=True,
            time_effects=True,
            weights=None if sample.w is None else panel["weight"],
        )
        return model.fit(
            cov_type="clustered",
            clusters=panel[["cluster"]],
            debiased=False,
            auto_df=False,
            count_effects=False,
        )
    held = "cohort" if effects is not None and effects.cohort else "unit"
    periods = frame["group"] * len(sample.periods) + frame["period"]
    absorb = pd.DataFrame({held: frame[held].astype(str), "period": periods.astype(str)})
    lines = None
    if effects is not None and effects.trends:
        lines = [
            Interaction(frame[["unit"]].astype("category"), frame[["period"]].astype(np.float64))
        ]
    absorbing = AbsorbingLS(
        frame["y"],
        frame[regressors],
        absorb=absorb.astype("category"),
        interactions=lines,
        weights=None if sample.w is None else frame["weight"],
    )
    return absorbing.fit(
        cov_type="clustered",
        clusters=frame["cluster"],
        debiased=False,
        method="lsmr",
        absorb_options={"atol": 1e-14, "btol": 1e-14, "conlim": 1e14},
    )
