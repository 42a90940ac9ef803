"""Several inferences of one term side by side; those refused say why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from didkit.errors import InferenceError
from didkit.inference.cluster import ClusterRobust
from didkit.inference.jackknife import Jackknife
from didkit.inference.permutation import Permutation
from didkit.inference.rule import recommend
from didkit.results import Estimate, Inference

__all__ = ["inference_table"]

_NUMBERS = ("std_error", "statistic", "p_value", "conf_low", "conf_high", "df")


def inference_table(
    estimate: Estimate,
    methods: Sequence[Inference] | None = None,
    *,
    term: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Attach several inferences to an estimate and put one term's numbers side by side.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator.
    methods : sequence of Inference, optional
        By default the one that the estimate has, the one that the design recommends, then
        permutation of t, CR2, CR3, permutation of the estimate and CR1 (conventional, for
        comparison); the jackknife where there are no cross-products.
    term : str, optional
        By default ``estimate.main_term``.
    level : float, default 0.95
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a method: ``method, estimate, std_error, statistic, p_value, conf_low, conf_high,
        df`` (estimate and error in the metric's unit), ``level``, ``used`` and ``recommended``
        (True in one row at most: the method that the estimate has; that the design recommends),
        ``refused`` (why there is no number; empty where there is one), ``inference``.

    Raises
    ------
    EstimationError
        If there is no such term.
    InferenceError
        If something given is no inference, or the level is not inside (0, 1).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> methods = [dk.ClusterRobust("CR2"), dk.Permutation(draws=199)]
    >>> table = inference_table(dk.DiD().fit(design, "cpp"), methods)
    >>> table["refused"].tolist()
    ['', '']
    """
    m = estimate.place_of(term, where="inference_table")
    if methods is not None and not isinstance(methods, Sequence):
        raise InferenceError(
            needed="a list of inferences such as [ClusterRobust('CR2')]",
            found=f"a {type(methods).__name__}",
            where="inference_table(methods=)",
            todo="put it into a list",
        )
    for one in methods if methods is not None else ():
        given: object = one
        if isinstance(given, type) or not isinstance(given, Inference):
            raise InferenceError(
                needed="inferences such as ClusterRobust('CR2')",
                found=f"the class {given.__name__}" if isinstance(given, type) else repr(given),
                where="inference_table(methods=)",
                todo="give objects, in a list",
            )
    primary = recommend(estimate).inference
    held = estimate.uncertainty
    used = [] if held is None else [held.inference]
    wanted = list(methods) if methods is not None else [*used, primary, *_usual(estimate)]
    rows = []
    for one in dict.fromkeys(wanted):
        row = _row(estimate, one, m, level)
        marks = {"used": one in used, "recommended": one == primary}
        rows.append(row | marks | {"level": level, "inference": repr(one)})
    marked = ["level", "used", "recommended", "refused", "inference"]
    return pd.DataFrame(rows, columns=["method", "estimate", *_NUMBERS, *marked])


def _usual(estimate: Estimate) -> list[Inference]:
    """List what readers of other software expect to see."""
    permuted: list[Inference] = [Permutation("t"), ClusterRobust("CR2"), ClusterRobust("CR3")]
    permuted += [Permutation("beta"), ClusterRobust("CR1")]
    return permuted if estimate.normal is not None else [*permuted, Jackknife()]


def _row(estimate: Estimate, inference: Inference, m: int, level: float) -> dict[str, object]:
    value = float(estimate.values[m])
    empty = dict.fromkeys(_NUMBERS, np.nan)
    held = estimate.uncertainty
    try:
        again = held is None or held.inference != inference or held.level != level
        sure = estimate.infer(inference, level=level).attached if again else estimate.attached
    except InferenceError as error:
        if error.where == "infer(level=)":
            raise
        why = f"needed {error.needed}; found {error.found}"
        return {"method": _name(inference), "estimate": value, **empty, "refused": why}
    found = {
        name: np.nan if getattr(sure, name) is None else float(getattr(sure, name)[m])
        for name in _NUMBERS
    }
    why = ""
    if not np.isfinite(found["p_value"]):
        why = "; ".join(sure.notes) or "no test exists for this term"
    return {"method": sure.method, "estimate": value, **found, "refused": why}


def _name(inference: Inference) -> str:
    """Name an inference that made nothing."""
    if isinstance(inference, ClusterRobust):
        return inference.kind
    if isinstance(inference, Permutation):
        return f"permutation of {'t' if inference.statistic == 't' else 'the estimate'}"
    return "cluster jackknife" if isinstance(inference, Jackknife) else repr(inference)
