"""t on one number a group, with few degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.inference.arms import counted
from didkit.inference.by_term import by_term
from didkit.inference.samples import set_differences, two_samples
from didkit.inference.student import from_covariance
from didkit.results import Estimate

__all__ = ["IbragimovMuller"]

Floats = NDArray[np.float64]
Groups = tuple[tuple[Floats, NDArray[np.intp]], ...]

_LARGEST = 0.08326  #: 2Φ(−√3): the one-sample test is conservative up to here


@dataclass(frozen=True)
class IbragimovMuller:
    """t on one number a group, with few degrees of freedom.

    **Matched sets** that share nobody: a t test of the sets' differences, one a pilot, with n − 1
    degrees of freedom (Ibragimov & Müller 2010). **One pool**: Welch's statistic on one number a
    unit with min(n1, n0) − 1 degrees of freedom (Ibragimov & Müller 2016); units are the groups.

    Notes
    -----
    Groups are independent and their numbers normal; variances may differ as they like between
    sets, and between pilots and comparators. With unequal variances the one-sample test rejects a
    true null *less* often than its level, for levels up to 8.3 % (2Φ(−√3); Bakirov & Székely
    2005): with few sets it is then cautious. Two samples are cautious too, the more so the fewer
    the units: with normal noise a 5 % test rejects 0.6 % of true nulls at 2 v 2, 1.9 % at 4 v 4,
    3.9 % at 3 v 147 and 4.6 % at 9 v 141 (5.0 % with pilots twice as noisy; 40,000 data sets or
    more, reduced in ``tests/inference/test_ibragimov_muller.py``). It fails with one pilot or one
    comparator, which have no spread: refused; and where the noise is skewed.

    References
    ----------
    Ibragimov & Müller (2010, 2016); Bakirov & Székely (2005).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> one_start = design.drop("522")  # the late pilot
    >>> made = dk.DiD("complete").fit(one_start, "cpp").infer(dk.IbragimovMuller())
    >>> float(made["att"]["df"] - made["att"]["n_pilots"])
    -1.0
    """

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach t tests and intervals.

        Raises
        ------
        InferenceError
            With one pilot or one comparator, sets that share somebody, several starts against one
            pool, or a term that is neither a mean of differences nor a difference of two means.
        """
        sets = estimate.sample.sets is not None
        taken, lost = by_term(estimate, _sets if sets else _arms, repr(self))
        parts = np.zeros((len(estimate.sample.units), estimate.n_terms))
        df = np.full(estimate.n_terms, np.nan)
        for m, groups in taken.items():
            for numbers, at in groups:
                n = len(numbers)
                parts[at, m] = (numbers - numbers.mean()) / np.sqrt(n * (n - 1))
            df[m] = min(len(numbers) for numbers, _ in groups) - 1
        covariance = parts.T @ parts
        covariance[np.isnan(df)] = np.nan
        covariance[:, np.isnan(df)] = np.nan
        notes = list(lost)
        if sets:
            notes.append("needs sets that are independent of each other, with normal differences")
            if round(1 - level, 12) > _LARGEST:
                notes.append(
                    "with sets of unequal variance the test is cautious at levels up to 8.3 % only"
                )
        else:
            notes.append(
                "needs independent units with normal noise; the arms' variances may differ"
            )
        return from_covariance(
            estimate,
            self,
            covariance,
            df,
            level=level,
            method="Ibragimov–Müller, t of the sets' differences, n − 1 degrees of freedom"
            if sets
            else "Ibragimov–Müller, Welch's t with min(n1, n0) − 1 degrees of freedom",
            notes=tuple(notes),
        )


def _sets(estimate: Estimate, m: int, who: str) -> Groups:
    """Return the sets' differences as one group."""
    differences, at = set_differences(estimate, m, who)
    if len(differences) < 2:
        raise InferenceError(
            needed="at least two matched sets",
            found=counted(len(differences), "matched set"),
            where=who,
            todo="one number has no spread; use Permutation(), or LauLi() with one pool of "
            "comparators, which states how noisy the pilot may be",
        )
    return ((differences, at),)


def _arms(estimate: Estimate, m: int, who: str) -> Groups:
    """Return pilots and comparators as two groups."""
    both = two_samples(estimate, m, who)
    n1, n0 = len(both.pilots), len(both.comparators)
    if min(n1, n0) < 2:
        raise InferenceError(
            needed="at least two pilots and two comparators",
            found=f"{counted(n1, 'pilot')} and {counted(n0, 'comparator')}",
            where=who,
            todo="one number has no spread; " + _one_alone(n1, n0),
        )
    return ((both.pilots, both.pilot_at), (both.comparators, both.comparator_at))


def _one_alone(n1: int, n0: int) -> str:
    """Say what serves where an arm has one unit."""
    if n0 >= 2:
        return "use LauLi(), which states how noisy the pilot may be, or Permutation()"
    if n1 >= 2:
        return "use DonaldLang(), which takes the comparator to be as noisy as the pilots"
    return "add comparators"
