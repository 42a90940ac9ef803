"""The term that a check is about, and numbers with their sign."""

from __future__ import annotations

from didkit.results import Estimate, tables

__all__ = ["main_term", "signed"]


def main_term(estimate: Estimate) -> str:
    """Return the only term, the change of a gap, or the first term from the start on.

    Examples
    --------
    >>> main_term.__name__
    'main_term'
    """
    return estimate.main_term


def signed(value: float) -> str:
    """Write a number with its sign, + included.

    Examples
    --------
    >>> signed(16.1), signed(-0.5)
    ('+16.1', '−0.500')
    """
    text = tables.number(value)
    return f"+{text}" if value > 0 and text.strip("0.") else text
