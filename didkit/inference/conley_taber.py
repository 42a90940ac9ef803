"""Conley and Taber: the comparators' noise stands in for the pilots'."""

from __future__ import annotations

from dataclasses import dataclass, field

from didkit.errors import InferenceError
from didkit.inference.drawing import check_draws
from didkit.inference.placebo_errors import attach_errors, too_few_comparators
from didkit.inference.samples import Placebos, placebos
from didkit.results import Estimate

__all__ = ["ConleyTaber", "placebos_by_term"]


@dataclass(frozen=True)
class ConleyTaber:
    """Put comparators' deviations into the pilots' places, and see how large errors can be.

    Parameters
    ----------
    draws : int, default 9999
        If there are no more ways than this to put comparators into the pilots' places they are
        all listed (one pilot: one for each comparator).
    seed : int, default 0
        The same seed gives the same number.

    Notes
    -----
    Each pilot's cells have weights in the estimate; a comparator's cells with the same weights,
    less the mean over comparators, are what the pilot's noise could have been. A draw puts a
    different comparator (without replacement) into each pilot's place; the mean over pilots is the
    error Γ*. ``p = (1 + #{|Γ*| ≥ |θ|}) / (1 + B)``, listed or drawn: the actual estimate is not
    among the draws, and counts as one more (one pilot: its exact rank among n0 + 1 units). The
    interval, which inverts this test, is symmetric about the
    estimate. Staggered starts and pilots' missing cells are met by the weights; comparators that
    lack a cell that a pilot has are left out.

    It is valid with few pilots and many comparators that are as noisy as the pilots. It fails
    where they are not: pilots with twice the standard deviation, a true null rejected at 5 % by
    35 % (9 pilots, 141 comparators), small pilots 15 %; `FermanPinto` allows for size,
    `Permutation` of t for any noise of several pilots. It leaves the error of the comparators' own
    mean out, so it rejects 6 to 7 % with nine pilots of 150 under equal noise (a note gives the
    rate for the design), and is refused with fewer than 20 comparators or fewer than five a pilot
    (where the rate passes 11 %; nine against nine, every draw takes all comparators and is zero).

    Draws are made in the order of the units' ids: with other ids (codes that sort otherwise) a p
    that is drawn, not listed, changes within its Monte Carlo error (``facts["mc_error"]``).

    References
    ----------
    Conley & Taber (2011).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(ConleyTaber(draws=999))
    >>> bool(did["att"]["conf_low"] < 0 < did["att"]["conf_high"])  # the true effect is zero
    True
    """

    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_draws(self.draws, self.seed, "ConleyTaber")

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach p-values and the intervals that invert them.

        Raises
        ------
        InferenceError
            Without weights, with matched sets, with clusters above units, or with fewer than 20
            comparators, or five a pilot, in every term.
        """
        found, notes = placebos_by_term(estimate, repr(self))
        return attach_errors(
            estimate,
            self,
            found,
            {m: placebo.deviations for m, placebo in found.items()},
            draws=self.draws,
            seed=self.seed,
            level=level,
            method="Conley–Taber, comparators' deviations in the pilots' places",
            facts={},
            notes=(*notes, "pilots are taken to be as noisy as comparators"),
        )


def placebos_by_term(estimate: Estimate, who: str) -> tuple[dict[int, Placebos], tuple[str, ...]]:
    """Return the placebos of each term that has enough, and notes on the others.

    Raises
    ------
    InferenceError
        If no term has enough: the reason of the first.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found, notes = placebos_by_term(dk.DiD().fit(design, "cpp"), "a test")
    >>> list(found)
    [0]
    """
    found: dict[int, Placebos] = {}
    refused: list[tuple[str, InferenceError]] = []
    for m, term in enumerate(estimate.terms["term"]):
        try:
            made = placebos(estimate, m, who)
            too_few_comparators(made, who)
        except InferenceError as error:
            refused.append((str(term), error))
            continue
        found[m] = made
    if not found:
        raise refused[0][1]
    notes = [f"{term} has no test: {error.found}" for term, error in refused]
    without = max(placebo.without for placebo in found.values())
    if without:
        those = "1 comparator lacks" if without == 1 else f"{without} comparators lack"
        some = "" if len(found) == 1 else " in some term"
        notes.append(
            f"{those} a value in a period that the pilots are measured in{some}, and "
            f"{'is' if without == 1 else 'are'} not put in their places"
        )
    return found, tuple(notes)
