"""Pooled t: a difference of two means of one number a unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from didkit.errors import InferenceError
from didkit.inference.by_term import by_term, product_covariance
from didkit.inference.samples import TwoSamples, two_samples
from didkit.inference.student import from_covariance
from didkit.results import Estimate

__all__ = ["DonaldLang"]

_NEEDS = "needs equal-variance normal site shocks: pilots and comparators alike"


@dataclass(frozen=True)
class DonaldLang:
    """Pooled t: a difference of two means of one number a unit.

    The two-sample t test of long differences with one variance for pilots and comparators and
    n1 + n0 − 2 degrees of freedom. It exists with one pilot (n0 − 1 degrees of freedom) and with
    two sites against two.

    Notes
    -----
    Exact, with few units too, when every unit's number is independent and normal with the *same*
    variance. It fails where pilots are noisier or smaller than comparators. Rejections of a true
    null at 5 % (simulated in ``tests/inference/test_donald_lang.py``; "small": pilots smaller):

    ======================  ======  =======  ======  =====
    pilots v comparators    normal  sd × 2   skewed  small
    ======================  ======  =======  ======  =====
    9 v 141                 4.8     27.8     4.9     11.8
    3 v 147                 5.0     –        –       12.6
    1 v 149                 5.1     –        –       12.9
    2 v 2                   5.0     –        –       –
    ======================  ======  =======  ======  =====

    Refused for matched sets, staggered starts, clusters above units, and unless the term is the
    difference of two means (``cells="complete"``). Where the pilots' noise is in doubt `LauLi`
    gives the ratio at which the conclusion changes.

    References
    ----------
    Donald & Lang (2007).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> one_start = design.drop("522")  # the late pilot
    >>> made = dk.DiD("complete").fit(one_start, "cpp").infer(dk.DonaldLang())
    >>> int(made["att"]["df"]) == int(made["att"]["n_pilots"] + made["att"]["n_comparators"] - 2)
    True
    """

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach pooled t tests and intervals.

        Raises
        ------
        InferenceError
            If no term compares one number a unit between two groups of three units or more.
        """
        taken, lost = by_term(estimate, _enough, repr(self))
        shape = (len(estimate.sample.units), estimate.n_terms)
        loadings, residuals = np.zeros(shape), np.zeros(shape)
        df = np.full(estimate.n_terms, np.nan)
        for m, both in taken.items():
            for numbers, at in (
                (both.pilots, both.pilot_at),
                (both.comparators, both.comparator_at),
            ):
                loadings[at, m] = 1 / len(numbers)  # a unit has one sign in all terms: of its arm
                residuals[at, m] = numbers - numbers.mean()
            df[m] = len(both.pilots) + len(both.comparators) - 2
        return from_covariance(
            estimate,
            self,
            product_covariance(loadings, residuals, df),
            df,
            level=level,
            method="pooled t (Donald–Lang), n1 + n0 − 2 degrees of freedom; " + _NEEDS,
            notes=(f"pooled t {_NEEDS}", *lost),
        )


def _enough(estimate: Estimate, m: int, who: str) -> TwoSamples:
    """Return both arms' numbers, if they leave a degree of freedom."""
    both = two_samples(estimate, m, who)
    if len(both.pilots) + len(both.comparators) < 3:
        raise InferenceError(
            needed="at least three units, which leave one degree of freedom",
            found="1 pilot and 1 comparator",
            where=who,
            todo="add comparators: two numbers alone have no spread",
        )
    return both
