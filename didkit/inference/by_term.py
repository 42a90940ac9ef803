"""What closed-form methods share: terms served one by one, and a covariance of several terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few
from didkit.results import Estimate

__all__ = ["breakdown_in_words", "by_term", "product_covariance"]

Floats = NDArray[np.float64]
Taken = TypeVar("Taken")


def by_term(
    estimate: Estimate, take: Callable[[Estimate, int, str], Taken], who: str
) -> tuple[dict[int, Taken], tuple[str, ...]]:
    """Take what a method compares from each term that has it.

    Parameters
    ----------
    estimate : Estimate
        With any number of terms.
    take : callable
        Estimate, place of the term and asking method → what is compared, or `InferenceError`.
    who : str
        The method that asks, for the messages.

    Returns
    -------
    (dict, tuple of str)
        What was taken, by place of the term; and a note for each reason to leave terms out.

    Raises
    ------
    InferenceError
        If no term has it: why the first has not.

    Examples
    --------
    >>> import didkit as dk
    >>> from didkit.inference.samples import two_samples
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD("complete").fit(design.drop("522"), "cpp")
    >>> both, notes = by_term(did, two_samples, "a test")
    >>> list(both), notes
    ([0], ())
    """
    taken: dict[int, Taken] = {}
    refused: dict[str, tuple[InferenceError, list[str]]] = {}
    for m, term in enumerate(estimate.terms["term"]):
        try:
            taken[m] = take(estimate, m, who)
        except InferenceError as error:
            refused.setdefault(error.needed, (error, []))[1].append(str(term))
    if not taken:
        raise next(iter(refused.values()))[0]
    return taken, tuple(
        f"{first_few(terms)}: no test, which needs {needed}"
        for needed, (_, terms) in refused.items()
    )


def product_covariance(loadings: Floats, residuals: Floats, df: Floats) -> Floats:
    """Covariance of weighted sums whose summands have one common variance.

    Each entry is the shared part of the weights times the pooled covariance of the residuals; the
    diagonal is ``Σ a² · Σ r² / df``. The product of two Gram matrices has no negative eigenvalue.

    Parameters
    ----------
    loadings, residuals : array (J, k)
        Each unit's weight in a term, and its distance from its group's mean; 0 for a unit that
        the term does not use.
    df : array (k,)
        Degrees of freedom of each term's residuals.

    Examples
    --------
    >>> product_covariance(np.full((4, 1), 0.25), np.array([[1.0], [-1], [1], [-1]]), np.array([3]))
    array([[0.33333333]])
    """
    return np.asarray(
        (loadings.T @ loadings) * (residuals.T @ residuals) / np.sqrt(np.outer(df, df))
    )


def breakdown_in_words(terms: Sequence[object], ratios: Floats, level: float) -> tuple[str, ...]:
    """Say at which ratio of noise the conclusion on each term changes.

    Examples
    --------
    >>> breakdown_in_words(["att"], np.array([1.5]), 0.95)
    ('a zero effect is rejected at level 0.95 for ratios up to 1.50',)
    >>> breakdown_in_words(["a", "b"], np.array([1.5, 0]), 0.95)[1]
    'a zero effect is not rejected at level 0.95 at any ratio: b'
    """
    alone = len(terms) == 1
    found = [(str(term), ratio) for term, ratio in zip(terms, ratios, strict=True)]
    over = [
        f"{ratio:.2f}" if alone else f"{term} {ratio:.2f}" for term, ratio in found if ratio > 0
    ]
    never = [term for term, ratio in found if ratio == 0]
    made = []
    if over:
        most = ", ".join(over)
        made.append(f"a zero effect is rejected at level {level:g} for ratios up to {most}")
    if never:
        which = "" if alone else ": " + ", ".join(never)
        made.append(f"a zero effect is not rejected at level {level:g} at any ratio{which}")
    return tuple(made)
