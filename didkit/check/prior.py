"""Who had the programme before its start: said wherever the periods before are read."""

from __future__ import annotations

from didkit.design import Design
from didkit.errors import first_few

__all__ = ["prior_exposure", "prior_in_words"]


def prior_exposure(design: Design) -> tuple[str, ...]:
    """Name the pilots that used the practice in some period of the window before their start.

    Parameters
    ----------
    design : Design
        With ``contaminated=`` in its rollout.

    Examples
    --------
    >>> import didkit as dk
    >>> prior_exposure(dk.datasets.load_evaluation().design)
    ()
    """
    table = design.treated()
    before = table["contaminated"] & ~table["intention_to_treat"] & (table["arm"] != "comparator")
    return tuple(dict.fromkeys(table.loc[before, "unit"]))


def prior_in_words(design: Design, what: str) -> tuple[str, ...]:
    """Say in one note how many had it, and what that means for `what`; empty if nobody did."""
    units = prior_exposure(design)
    if not units:
        return ()
    return (
        f"{first_few(units)} of {len(design.pilots)} pilots had the programme in some of the years "
        f"before: {what}",
    )
