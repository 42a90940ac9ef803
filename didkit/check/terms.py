"""The term that a check is about."""

from __future__ import annotations

from didkit.results import Estimate

__all__ = ["main_term"]


def main_term(estimate: Estimate) -> str:
    """Return the only term, the change of a gap, or the first term from the start on.

    Examples
    --------
    >>> main_term.__name__
    'main_term'
    """
    return estimate.main_term
