"""What few-pilot methods compare: one number a unit, and each comparator in each pilot's place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError
from didkit.inference.arms import clusters_by_term, not_traded
from didkit.results import Estimate

__all__ = ["Placebos", "TwoSamples", "one_number", "placebos", "set_differences", "two_samples"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_ALIKE = 1e-9  #: relative to the largest number, what counts as rounding


@dataclass(frozen=True, eq=False)
class TwoSamples:
    """One number a unit of one term; the estimate is the difference of the two means.

    Parameters
    ----------
    pilots, comparators : array (n1,) and (n0,)
        Long differences (for a gap, levels), in the metric's unit.
    pilot_at, comparator_at : int array
        Their positions among the sample's units.
    """

    pilots: Floats
    comparators: Floats
    pilot_at: Ints
    comparator_at: Ints


@dataclass(frozen=True, eq=False)
class Placebos:
    """What each comparator would add in each pilot's place, with the pilot's own weights.

    Parameters
    ----------
    deviations : array (n1, n0)
        The comparator's cells by the pilot's weights, times n1, less the mean over comparators:
        noise alone, in the metric's unit. With one start all rows are alike.
    pilot_at, comparator_at : int array (n1,) and (n0,)
        Positions among the sample's units. Comparators that lack a cell which some pilot's weights
        need are not here.
    without : int
        How many comparators those are.
    """

    deviations: Floats
    pilot_at: Ints
    comparator_at: Ints
    without: int


def one_number(estimate: Estimate, m: int) -> bool:
    """Whether term m is the difference of the arms' means of one number a unit.

    Not where pilots of several starts are compared: a comparator's number is then a mean over
    starts, less noisy than a pilot's.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> one_number(dk.DiD("complete").fit(design, "cpp"), 0)  # two starts
    False
    >>> one_number(dk.DiD("complete").fit(design.drop("522"), "cpp"), 0)  # one
    True
    """
    if estimate.contributions is None or estimate.sample.sets is not None:
        return False
    if _several_starts(estimate, m):
        return False
    numbers, pilot = estimate.contributions[:, m], estimate.sample.pilot
    used = np.isfinite(numbers)
    first, second = numbers[used & pilot], numbers[used & ~pilot]
    if not len(first) or not len(second):
        return False
    size = np.abs(numbers[used]).max()
    return bool(abs(first.mean() - second.mean() - estimate.values[m]) <= _ALIKE * size)


def _several_starts(estimate: Estimate, m: int) -> tuple[str, ...]:
    """Return the starts of the pilots of term m if their numbers are of other cells; else none.

    Levels in one period are of the same cells whatever the start. As treated, pilots of one start
    that stop at different times count as well.
    """
    sample, numbers = estimate.sample, estimate.contributions
    if numbers is None:
        return ()
    at = np.flatnonzero(np.isfinite(numbers[:, m]) & sample.pilot)
    cohorts = np.unique(sample.cohort[at])
    if len(cohorts) < 2:
        return ()
    if estimate.weights is not None:
        own = estimate.weights[m][at]
        if np.abs(own - own[0]).max() <= _ALIKE * np.abs(own).max():
            return ()
    return tuple(sample.periods[sample.starts[g]] for g in cohorts)


def two_samples(estimate: Estimate, m: int, who: str) -> TwoSamples:
    """Return both arms' numbers of term m.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator.
    m : int
        Which term.
    who : str
        The method that asks, for the message.

    Raises
    ------
    InferenceError
        If the term is not the difference of two means of one number a unit, pilots have several
        starts, or clusters are above units.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> one_start = design.drop("522")
    >>> both = two_samples(dk.DiD("complete").fit(one_start, "cpp"), 0, "a test")
    >>> len(both.pilots)
    8
    """
    sample = estimate.sample
    if sample.clustered_above:
        raise InferenceError(
            needed="units that are independent one by one",
            found=f"{len(sample.cluster_labels)} clusters of {len(sample.units)} units",
            where=who,
            todo=_with_clusters(estimate, m),
        )
    starts = _several_starts(estimate, m)
    if starts:
        kinds = tuple(dict.fromkeys(starts))
        raise InferenceError(
            needed="one start for all pilots: with several, a comparator's number is a mean over "
            "starts and less noisy than a pilot's",
            found=f"{estimate.terms['term'].iloc[m]} of pilots "
            + (f"that start in {', '.join(kinds)}" if len(kinds) > 1 else "that stop apart"),
            where=who,
            todo="use Permutation() or ClusterRobust('CR2'), or a design of the pilots of one "
            "start: design.drop(unit)",
        )
    if not one_number(estimate, m) or estimate.contributions is None:
        cells = "" if sample.sets is not None else ", or cells='complete'"
        raise InferenceError(
            needed="a term that compares one number a unit between two groups",
            found=f"{estimate.terms['term'].iloc[m]} of {estimate.estimator!r} against "
            f"{estimate.design.against.describe()}",
            where=who,
            todo=f"use Permutation(){cells}",
        )
    numbers = estimate.contributions[:, m]
    used = np.isfinite(numbers)
    at1, at0 = np.flatnonzero(used & sample.pilot), np.flatnonzero(used & ~sample.pilot)
    return TwoSamples(numbers[at1], numbers[at0], at1, at0)


def placebos(estimate: Estimate, m: int, who: str) -> Placebos:
    """Put every comparator into every pilot's place, with the weights of term m.

    Takes and refuses what `two_samples` does, but any estimate of one pool that publishes weights
    will do: staggered starts, cells missing in pilots, and covariates (what they explain is taken
    from the comparators' outcomes) too.

    Raises
    ------
    InferenceError
        Without weights, with sets, with clusters above units, for a term of pilots alone, or with
        fewer than two comparators that have the cells.

    Examples
    --------
    With one start on complete cells, each comparator's long difference less their mean.

    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = placebos(dk.DiD().fit(design, "cpp"), 0, "a test")
    >>> bool(abs(found.deviations.mean(axis=1)).max() < 1e-9)
    True
    """
    sample, weights = estimate.sample, estimate.weights
    if weights is None or sample.sets is not None or sample.clustered_above:
        if sample.clustered_above:
            todo = _with_clusters(estimate, m)
        elif estimate.reassigned is not None or estimate.exchanged is not None:
            todo = "use Permutation(), or a design with one pool of comparators"
        elif sample.sets is None:
            todo = "use ClusterRobust('CR2'), which needs two pilots, or DiD()"
        else:
            todo = "use Permutation() with " + not_traded(estimate)[1]
        raise InferenceError(
            needed="an estimate against one pool of units, linear in the outcome",
            found=f"{estimate.estimator!r} against {estimate.design.against.describe()}"
            + (", with clusters above units" if sample.clustered_above else ""),
            where=who,
            todo=todo,
        )
    own = weights[m]
    carries = (np.abs(own) > _ALIKE * np.abs(own).max()).any(axis=1)
    if not (carries & ~sample.pilot).any():
        raise InferenceError(
            needed="a term that compares pilots with comparators",
            found=f"{estimate.terms['term'].iloc[m]}, of pilots alone",
            where=who,
            todo="read the terms that have comparators",
        )
    at1 = np.flatnonzero(sample.pilot & carries)
    form = len(at1) * own[at1]
    needed = (np.abs(form) > _ALIKE * np.abs(form).max()).any(axis=0)
    whole = ~sample.pilot & (sample.mask | ~needed).all(axis=1)
    at0 = np.flatnonzero(whole)
    if len(at0) < 2:
        raise InferenceError(
            needed="at least two comparators with every cell that a pilot's weights need",
            found=f"{len(at0)} of {sample.n_comparators}",
            where=who,
            todo="use Permutation(), or a window in which comparators are observed throughout",
        )
    numbers = form @ np.where(sample.mask, _without_covariates(estimate), 0.0)[at0].T
    centred = numbers - numbers.mean(axis=1, keepdims=True)
    return Placebos(centred, at1, at0, sample.n_comparators - len(at0))


def _with_clusters(estimate: Estimate, m: int) -> str:
    """Say what serves a term with clusters above units."""
    plain = "a design without clusters=, which takes units as independent"
    g1, g0 = clusters_by_term(estimate)
    if g1[m] < 2 or 0 < g0[m] < 2:  # no variance exists
        return "use " + plain
    serves = "Jackknife()" if estimate.normal is None else "ClusterRobust('CR2')"
    return f"use {serves}, or {plain}"


def _without_covariates(estimate: Estimate) -> Floats:
    """Return the outcomes less what the covariates explain of them, (J, T)."""
    sample = estimate.sample
    if sample.x is None:
        return sample.y
    if estimate.normal is None:
        raise InferenceError(
            needed="coefficients of the covariates",
            found=f"{estimate.estimator!r}, which publishes none",
            where="placebos",
            todo="use Permutation(), or leave covariates= out",
        )
    beta = estimate.normal.beta[-len(sample.covariates) :]
    return np.asarray(sample.y - np.einsum("c,jct->jt", beta, sample.x))


def set_differences(estimate: Estimate, m: int, who: str) -> tuple[Floats, Ints]:
    """Return each pilot's own difference from its set, for sets that share no comparator.

    Returns
    -------
    (array (n,), int array (n,))
        The differences, of which the estimate is the mean, and the pilots' positions.

    Raises
    ------
    InferenceError
        Without sets, with a comparator, pilot or cluster in several sets, without weights, or for
        a term of pilots alone.

    Examples
    --------
    >>> set_differences.__name__
    'set_differences'
    """
    sample, weights = estimate.sample, estimate.weights
    if sample.sets is None or weights is None:
        raise InferenceError(
            needed="matched sets, one a pilot, of which the estimate is the mean difference",
            found=f"{estimate.estimator!r} against {estimate.design.against.describe()}",
            where=who,
            todo="use Permutation(), or a design against matched sets",
        )
    served = (sample.sets > 0).sum(axis=0) + sample.pilot
    if (served > 1).any():
        raise InferenceError(
            needed="sets that share nobody",
            found=f"{int((served > 1).sum())} units in more than one set",
            where=who,
            todo="use Permutation('t'), which counts what sets share, or match without replacement",
        )
    filled = np.where(sample.mask, sample.y, 0.0)
    own = (weights[m] * filled).sum(axis=1)
    at = np.flatnonzero(sample.pilot)
    carries = (np.abs(weights[m][at]) > 0).any(axis=1)
    if not weights[m][~sample.pilot].any():
        raise InferenceError(
            needed="a term that compares pilots with comparators",
            found=f"{estimate.terms['term'].iloc[m]}, of pilots alone",
            where=who,
            todo="read the terms that have comparators",
        )
    member = (sample.sets > 0).astype(float)
    member[np.arange(len(at)), at] = 1.0
    in_sets = [
        len(set(member[:, sample.clusters == g].nonzero()[0])) for g in np.unique(sample.clusters)
    ]
    if max(in_sets) > 1:
        raise InferenceError(
            needed="sets that are independent: no cluster in more than one",
            found=f"{sum(n > 1 for n in in_sets)} clusters in more than one set",
            where=who,
            todo="use Jackknife(), or a design without clusters=, or match within clusters",
        )
    n = int(carries.sum())
    return np.asarray(n * (member @ own)[carries]), at[carries]
