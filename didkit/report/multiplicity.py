"""Multiplicity: p-values adjusted inside a family of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["adjust"]

_NAMES = {"holm": "holm", "benjamini-hochberg": "fdr_bh"}
_SAID = {"holm": "Holm", "benjamini-hochberg": "Benjamini–Hochberg"}


def adjust(
    p_values: Mapping[str, float], families: Mapping[str, Sequence[str]], method: str
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Adjust p-values inside each family.

    Parameters
    ----------
    p_values : mapping of str to float
        By metric; NaN where there is no test.
    families : mapping of str to sequence of str
        Metrics of each family: primary, secondary.
    method : {"none", "holm", "benjamini-hochberg"}
        Holm bounds the probability of one false rejection in the family, Benjamini–Hochberg the
        expected share of false ones among the rejections.

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
        if tested:
            made = multipletests([p_values[name] for name in tested], method=_NAMES[method])[1]
            adjusted.update(zip(tested, map(float, made), strict=True))
        n = len(tested)
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
