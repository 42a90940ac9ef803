"""What estimators say of their estimates in the same words: who counts, who is alone, who moves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import first_few

__all__ = ["alone_in_start", "alone_in_term", "come_and_go", "counted", "levels_left_in", "plural"]

Bools = NDArray[np.bool_]


def counted(sample: Sample, aggregation: str, by: str) -> str:
    """Say in words what counts once in the estimand.

    Where one number is made of starts that are treated for different numbers of periods, or of
    pilots that lack some, each counts by its treated periods.

    Parameters
    ----------
    sample : Sample
        Starts, gaps and weights.
    aggregation : {"pilots", "cohorts"}
        What an average is taken over.
    by : str
        Only "simple" pools periods.

    Returns
    -------
    str
        Such as "each authority counts once".
    """
    gaps = bool((sample.treated & ~sample.mask)[sample.pilot].any())
    when = " in each period from its start on" if _many(sample, by) or (_pools(by) and gaps) else ""
    if when and gaps:
        when += " in which it has a value"
    if aggregation == "cohorts":
        return f"each start counts once{when}"
    if sample.population is not None:
        return f"each person counts once{' a period' if when else ''} ({sample.population})"
    if sample.sampling is not None:
        return f"each authority counts for {sample.sampling}{when}"
    return f"each authority counts once{when}"


def _pools(by: str) -> bool:
    return by == "simple"


def _many(sample: Sample, by: str) -> bool:
    """Whether one number pools starts that are treated for different numbers of periods."""
    return _pools(by) and len(np.unique(sample.cohort[sample.pilot])) > 1


def come_and_go(sample: Sample) -> tuple[str, ...]:
    """Name units with values in several periods, but not in all in which others have one."""
    n, live = sample.mask.sum(axis=1), int(sample.mask.any(axis=0).sum())
    return tuple(u for u, k in zip(sample.units, n.tolist(), strict=True) if 1 < k < live)


def levels_left_in(units: tuple[str, ...], how: str, instead: str) -> tuple[str, ...]:
    """Say that units come and go, and that their lasting levels move the estimate.

    Parameters
    ----------
    units : tuple of str
        Those that do; none: nothing is said.
    how : str
        The option by which their levels stay in.
    instead : str
        What is free of it.
    """
    if not units:
        return ()
    return (
        f"{how}, and some units have a value in several periods but not in all that are compared: "
        f"{first_few(units)}; lasting differences in level between units are then part of the "
        f"estimate, as who is observed changes; free of it: {instead}",
    )


def alone_in_start(sample: Sample, starts: Iterable[int]) -> tuple[str, ...]:
    """Name the starts (positions in the sample's) that have one pilot: it shows no spread."""
    alone = [sample.periods[sample.starts[g]] for g in starts if (sample.cohort == g).sum() == 1]
    if not alone:
        return ()
    return (
        f"one pilot in start {', '.join(alone)}: it has no spread of its own, and standard "
        "errors from influence leave it out",
    )


def alone_in_term(terms: Iterable[str], n_pilots: Iterable[int]) -> tuple[str, ...]:
    """Name the terms that one pilot carries: it shows no spread there."""
    alone = [str(term) for term, n in zip(terms, n_pilots, strict=True) if n == 1]
    if not alone:
        return ()
    return (
        f"carried by one pilot, which has no spread of its own there: {first_few(alone)}; standard "
        "errors from influence leave it out",
    )


def plural(n: int, one: str, many: str = "") -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> plural(1, "pilot"), plural(9, "pilot"), plural(2, "unit that is", "units that are")
    ('1 pilot', '9 pilots', '2 units that are')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"
