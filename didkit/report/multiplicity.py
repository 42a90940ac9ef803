"""Multiplicity: p-values adjusted inside a family of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from didkit.errors import InferenceError, first_few
from didkit.inference import adjusted_p_values
from didkit.report.plan_inference import JOINTLY
from didkit.results import Estimate

__all__ = ["JOINT", "MULTIPLICITY", "adjust", "not_adjusted"]

_NAMES = {"holm": "holm", "benjamini-hochberg": "fdr_bh"}
JOINT = ("romano-wolf", "max-t")  #: from joint draws, so they need the estimates themselves
MULTIPLICITY = ("none", *_NAMES, *JOINT)
_SAID = {
    "holm": "Holm",
    "benjamini-hochberg": "Benjamini–Hochberg",
    "romano-wolf": "Romano and Wolf's step-down",
    "max-t": "the largest t",
}


def adjust(
    p_values: Mapping[str, float],
    families: Mapping[str, Sequence[str]],
    method: str,
    estimates: Mapping[str, Estimate] | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Adjust p-values inside each family.

    Parameters
    ----------
    p_values : mapping of str to float
        By metric; NaN where there is no test.
    families : mapping of str to sequence of str
        Metrics of each family: primary, secondary.
    method : {"none", "holm", "benjamini-hochberg", "romano-wolf", "max-t"}
        Holm, Romano–Wolf and max-t bound the probability of one false rejection in the family,
        Benjamini–Hochberg the expected share of false ones among the rejections.
    estimates : mapping of str to Estimate, optional
        By metric: what Romano–Wolf and max-t draw from (`didkit.adjusted_p_values`). Where they
        cannot be drawn together there is no adjusted p-value, and a note says why.

    Returns
    -------
    dict, tuple of str
        Adjusted p-values (empty for "none"), and notes. A family has as many tests as it has
        p-values: NaN stays NaN and is not counted.

    References
    ----------
    Holm (1979); Benjamini & Hochberg (1995), for independent or positively dependent tests;
    computed by statsmodels.

    Examples
    --------
    >>> adjust({"cpp": 0.02, "icpc": 0.04}, {"primary": ["cpp", "icpc"]}, "holm")[0]
    {'cpp': 0.04, 'icpc': 0.04}
    """
    if method == "none":
        return {}, ()
    from statsmodels.stats.multitest import multipletests

    adjusted: dict[str, float] = {}
    notes: list[str] = []
    for family, metrics in families.items():
        tested = [name for name in metrics if not math.isnan(p_values[name])]
        adjusted.update(dict.fromkeys(metrics, math.nan))
        n = len(tested)
        if tested and method in JOINT:
            try:
                adjusted.update(_jointly(tested, method, estimates or {}))
            except InferenceError as error:
                why = _why(tested, estimates or {}, error)
                notes.append(f"{not_adjusted(family, method)}: {why}")
                continue
        elif tested:
            made = multipletests([p_values[name] for name in tested], method=_NAMES[method])[1]
            adjusted.update(zip(tested, map(float, made), strict=True))
        words = (
            f"{n} p-value{'s' * (n != 1)} of {family} metrics adjusted together by {_SAID[method]}"
        )
        without = [name for name in metrics if name not in tested]
        if without:
            words += f"; {', '.join(without)} without a p-value, not counted"
        if metrics:
            notes.append(words)
    notes.append(
        "intervals are not adjusted: each holds its level for its own metric, so an interval and "
        "an adjusted p-value can disagree"
    )
    return adjusted, tuple(notes)


def not_adjusted(family: str, method: str) -> str:
    """Begin the note on a family of metrics that could not be adjusted.

    Examples
    --------
    >>> not_adjusted("primary", "max-t")
    'primary metrics are not adjusted by the largest t'
    """
    return f"{family} metrics are not adjusted by {_SAID[method]}"


def _why(metrics: Sequence[str], estimates: Mapping[str, Estimate], error: InferenceError) -> str:
    """Say for the author of a plan why metrics have no joint draws, and what to plan instead."""
    made = [estimates[name] for name in metrics if name in estimates]
    if len(made) < len(metrics):
        return error.found
    by = [one.attached.inference for one in made]
    pairs = zip(metrics, made, strict=True)
    judged = ", ".join(f"{name} by {one.attached.method}" for name, one in pairs)
    if not all(isinstance(one, tuple(JOINTLY.values())) for one in by):
        return (
            f"it draws for all metrics together, which {' and '.join(JOINTLY)} do and other "
            f"methods do not ({judged}); plan one of these two, or holm"
        )
    if any(one != by[0] for one in by):
        return (
            f"the metrics are judged in different ways ({judged}); plan one method for all of "
            "them, or holm"
        )
    units = [frozenset(one.sample.units) for one in made]
    every = frozenset[str]().union(*units)
    beside = sorted(every - every.intersection(*units))
    if beside and isinstance(by[0], JOINTLY["permutation"]):
        return (
            f"not all metrics are observed in the same authorities: {first_few(beside)} lack one; "
            "leave these authorities out, or plan cluster_robust or holm"
        )
    return f"{error.found}; plan holm instead"


def _jointly(
    metrics: Sequence[str], method: str, estimates: Mapping[str, Estimate]
) -> dict[str, float]:
    """Adjust the main term of each metric's estimate by joint draws."""
    made = adjusted_p_values(
        [estimates[name] for name in metrics],
        methods=(method,),
        terms=list(dict.fromkeys(estimates[name].main_term for name in metrics)),
    )
    return dict(zip(made["metric"], map(float, made[method]), strict=True))
