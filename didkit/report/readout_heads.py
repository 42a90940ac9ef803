"""How the columns behind a picture are called for readers, and which are only for drawing."""

from __future__ import annotations

import re

__all__ = ["heads_of", "only_drawn"]

_HEADS = {
    "when": "When",
    "pilots": "Pilots",
    "comparators": "Comparators",
    "gap": "Gap",
    "period": "Period",
    "counterfactual": "Pilots, had they moved with comparators",
    "neighbours_of": "Neighbour of",
    "neighbour_of": "Neighbour of",
    "n_pilots": "Pilots with a value",
    "n_comparators": "Comparators with a value",
    "label": "What is shown",
    "phase": "When",
    "estimate": "Estimate",
    "conf_low": "Interval from",
    "conf_high": "Interval to",
    "band_low": "Band from",
    "band_high": "Band to",
    "metric": "Measure",
    "gap_before": "Gap before",
    "gap_after": "Gap after",
    "percent_before": "Before, % of comparators",
    "percent_after": "After, % of comparators",
    "unit": "Code",
    "unit_id": "Code",
    "in_sds": "In SD of comparators",
    "name": "Authority",
    "arm": "Arm",
    "value": "Value",
    "weight": "Weight",
    "exposure": "Children",
    "left_out": "Code",
    "shift": "Shift",
    "method": "Method",
    "std_error": "Standard error",
    "p_value": "p",
    "interval": "Interval",
    "assumes": "Takes for granted, or why there is no number",
    "size": "Violation",
    "cluster": "Cluster",
    "share": "Share of the whole",
    "pilots_served": "Pilots served",
    "status": "Status",
    "as_large": "Counted in p",
    "statistic": "Statistic",
    "selection": "If pilots were chosen",
    "estimator": "Comparison",
    "bias": "Shows without any effect",
    "mc_error": "Monte Carlo error (0: exact)",
    "rank": "Had the most extreme been taken",
    "covariate": "Before the start",
    "pool": "All who could serve",
    "smd_before": "SD from all who could serve",
    "smd_after": "SD from comparators",
    "smd_se": "By chance alone, SD",
    "var_ratio_before": "Variance over that of all who could serve",
    "var_ratio_after": "Variance over that of comparators",
    "ess": "Effective comparators",
    "position": "Periods since start",
    "restriction": "If",
    "zero_inside": "Zero inside",
    "identified_low": "Without sampling error, from",
    "identified_high": "Without sampling error, to",
    "p_permutation": "p among permutations",
    "same_as": "Same number as",
    "left_out_2": "Code of the second",
    "name_2": "The second",
    "arm_2": "Its arm",
    "low": "From",
    "high": "To",
    "n_cells": "Cells",
    "event_time": "Periods since start",
    "says": "In words",
}
_OF_KIND = {
    "events": {"label": "Period, periods since start"},
    "forest": {"size": "Rejects a true null at 5%, simulated in the nearest design"},
    "specification_curve": {
        "id": "Row",
        "unit": "Unit",
        "n_pilots": "Number of pilots",
        "n_comparators": "Number of comparators",
        "estimator": "Estimator",
    },
    "overview": {"label": "Measure"},
    "love": {"label": "Measure"},
}
_PLACES = ["y", "shown", "drawn"]  # what only the drawing needs
_DROPPED = {
    "events": ["term", "position", "n_pilots", "n_comparators"],
    "leave_one_out": ["shown", "drawn", "y"],
    "reuse": ["shown", "drawn", "y"],
    "breakdown": ["shown"],
    "regression_to_the_mean": ["y"],
    "love": [
        "kind",
        "metric",
        "unit",
        "difference",
        "n_pilots",
        "n_comparators",
        "n_pool",
        "shown",
    ],
    "overview": ["metric"],
    "long_differences": ["y", "weight"],
    "specification_curve": ["x", "own"],
    "sensitivity": ["x", "main"],
    "sensitivity_smoothness": ["x", "main"],
    "driving_cells": ["labelled"],
    "rate_split": ["begin", "end"],
    "leave_two_out": ["beyond"],
    "bounds": ["kind"],
    "without_breaks": ["original", "at_start"],
    "other_denominator": ["original"],
}
_WORDS = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")


def heads_of(kind: str, columns: list[str]) -> dict[str, str]:
    """Return the heads of the columns of one kind of picture; those without one are spelt out.

    Examples
    --------
    >>> heads_of("forest", ["size", "p_found"])["p_found"]
    'P found'
    """
    spelt = {
        name: name.replace("_", " ").capitalize() for name in columns if _WORDS.fullmatch(name)
    }
    return spelt | _HEADS | _OF_KIND.get(kind, {})


def only_drawn(kind: str) -> list[str]:
    """Return the columns that only the drawing needs."""
    return list(_DROPPED.get(kind, _PLACES))
