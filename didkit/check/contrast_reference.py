"""The contrasts of a reference panel: as many sites, chosen in every way or in many ways."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design
from didkit.design.shown import counted
from didkit.errors import InferenceError, first_few
from didkit.inference.invert import TIES
from didkit.inference.samples import TwoSamples
from didkit.panel import Metric, Panel
from didkit.results import Estimate

__all__ = ["Others", "Reference", "ranked", "reference_sites"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Others:
    """Changes of the sites of a reference, in order of id, and what the study's are divided by.

    Parameters
    ----------
    changes : array (n,)
        In the unit in which they are compared.
    divisor : float
        The study's standard deviation of individuals; None where both are in one metric.
    notes : tuple of str
        Who serves and who does not.
    """

    changes: Floats
    divisor: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Reference:
    """The contrasts of a reference and where the study's stands among them.

    Parameters
    ----------
    contrasts : array (B,)
        Signed; listed, the study's is among them.
    actual : float
        The study's own, in the same unit.
    p_value, mc_error : float
        Share as far from zero; Monte Carlo error, 0 where all are listed.
    exact : bool
        Whether all are listed.
    n_sites : int
        Sites of the reference.
    standardised : bool
        Whether both are in standard deviations of individuals.
    notes : tuple of str
        What a reader must know.
    """

    contrasts: Floats
    actual: float
    p_value: float
    mc_error: float
    exact: bool
    n_sites: int
    standardised: bool
    notes: tuple[str, ...]


def reference_sites(
    estimate: Estimate,
    reference: Design | tuple[Panel, str | Metric],
    form: Floats,
    standardise: str,
) -> Others:
    """Measure the change of every site of the reference with the study's weights of periods.

    Parameters
    ----------
    estimate : Estimate
        The study.
    reference : Design or (Panel, metric)
        The others; a unit with the id of one of the study's is taken to be that site.
    form : array (T,)
        Weight of each of the study's periods.
    standardise : {"no", "individuals"}
        As in `ContrastStudy`.

    Raises
    ------
    InferenceError
        If the metric is another and not standardised, periods are lacking, or fewer sites than
        the study's have them all.
    """
    if isinstance(reference, Design):
        panel, metric = reference.panel, reference.panel.metric(estimate.metric)
        serving = set(reference.comparators)
        n = len(reference.pilots)
        verb = "does" if n == 1 else "do"
        gone = f"{counted(n, 'pilot')} of the reference {verb} not serve"
    else:
        panel, metric = reference[0], reference[0].metric(reference[1])
        serving, gone = set(panel.unit_ids), ""
    mine, sample = estimate.metric, estimate.sample
    if standardise == "no" and (metric.name, metric.unit) != (mine.name, mine.unit):
        raise InferenceError(
            needed=f"a reference in the study's metric: {mine.name!r} ({mine.unit or 'no unit'})",
            found=f"{metric.name!r} ({metric.unit or 'no unit'})",
            where="ContrastStudy(reference=)",
            todo="choose the same metric, or standardise='individuals' where both panels are of "
            "site_means",
        )
    needed = [label for label, w in zip(sample.periods, form, strict=True) if w]
    lacking = [label for label in needed if label not in panel.periods]
    if lacking:
        raise InferenceError(
            needed="the study's periods in the reference",
            found=f"without {first_few(lacking)}; it has {panel.periods[0]} to {panel.periods[-1]}",
            where="ContrastStudy(reference=)",
            todo="choose a reference over the same periods",
        )
    cols = [panel.calendar.position(label) for label in needed]
    weight = form[form != 0]
    ids = np.array(panel.unit_ids)
    values = panel.cells(metric).value[:, cols]
    able = np.array([unit in serving and unit not in sample.units for unit in ids])
    whole = np.isfinite(values).all(axis=1)
    chosen = np.flatnonzero(able & whole)
    if len(chosen) < len(sample.units):
        raise InferenceError(
            needed=f"at least {len(sample.units)} sites of the reference with every period",
            found=f"{len(chosen)} of {int(able.sum())}",
            where="ContrastStudy(reference=)",
            todo="choose a larger reference, or periods that its sites have",
        )
    chosen = chosen[np.argsort(ids[chosen], kind="stable")]
    changes = values[chosen] @ weight
    notes = [gone] if gone else []
    if (able & ~whole).any():
        short = int((able & ~whole).sum())
        lack = "lacks" if short == 1 else "lack"
        notes.append(f"{counted(short, 'site')} of the reference {lack} a period")
    same = sum(unit in sample.units for unit in ids)
    if same:
        have = "has the id of one" if same == 1 else "have ids"
        notes.append(
            f"{counted(same, 'site')} of the reference {have} of the study: not counted twice"
        )
    divisor = None
    if standardise == "individuals":
        before = [label for label, w in zip(sample.periods, form, strict=True) if w < 0]
        divisor = _individual_sd(estimate.design.panel, mine, sample.units, before)
        theirs = _individual_sd(panel, metric, tuple(ids[chosen]), before)
        changes = changes / theirs
        notes.append("contrasts are in standard deviations of individuals before the start")
    return Others(changes, divisor, tuple(notes))


def _individual_sd(
    panel: Panel, metric: Metric, units: tuple[str, ...], periods: list[str]
) -> float:
    """Root mean square of the individuals' standard deviations, over sites and periods."""
    name = f"{metric.name}_sd"
    if name not in panel.metrics:
        raise InferenceError(
            needed=f"the standard deviation of individuals, metric {name!r}",
            found="a panel without it",
            where="ContrastStudy(standardise='individuals')",
            todo="make both panels with site_means",
        )
    rows = [panel.unit_ids.index(unit) for unit in units]
    cols = [panel.calendar.position(label) for label in periods]
    cells = panel.cells(name).value[np.ix_(rows, cols)]
    size = (
        float(np.sqrt((cells[np.isfinite(cells)] ** 2).mean())) if np.isfinite(cells).any() else 0
    )
    if not size > 0:
        raise InferenceError(
            needed="individuals who differ before the start",
            found=f"no spread in {name!r}",
            where="ContrastStudy(standardise='individuals')",
            todo="look at the scores, or leave standardise= out",
        )
    return size


def ranked(both: TwoSamples, others: Others, *, draws: int, seed: int) -> Reference:
    """Rank the study's contrast among all of as many sites, the reference's and its own.

    Where sites' changes are exchangeable, each way to choose n1 and n0 of all sites is as likely
    to be the study: the share of contrasts as far from zero, its own among them, is a p-value.

    Parameters
    ----------
    both : TwoSamples
        The study's changes.
    others : Others
        The reference's.
    draws : int
        Listed if there are no more than this; otherwise so many are drawn, and
        p = (1 + #) / (1 + draws).
    seed : int
        Of the generator.

    Examples
    --------
    >>> at = np.arange(1)
    >>> study = TwoSamples(np.array([9.0]), np.array([0.0, 1.0]), at, at)
    >>> found = ranked(study, Others(np.arange(2.0, 5.0), None, ()), draws=99, seed=0)
    >>> len(found.contrasts), found.p_value == 1 / 60, found.exact
    (60, True, True)
    """
    by = 1.0 if others.divisor is None else others.divisor
    first, second = both.pilots / by, both.comparators / by
    n1, n0 = len(first), len(second)
    pool = np.concatenate([first, second, others.changes])
    actual = float(first.mean() - second.mean())
    total = math.comb(len(pool), n1) * math.comb(len(pool) - n1, n0)
    exact = total <= draws
    contrasts = _listed(pool, n1, n0) if exact else _drawn(pool, n1, n0, draws, seed)
    far = int((np.abs(contrasts) >= abs(actual) - TIES * np.abs(pool).max()).sum())
    p = far / total if exact else (1 + far) / (1 + draws)
    error = 0.0 if exact else math.sqrt(p * (1 - p) / draws)
    notes = (
        f"all {total:,} contrasts are listed"
        if exact
        else f"{draws:,} of {total:,} contrasts are drawn, seed {seed}; Monte Carlo error of the "
        f"rank {error:.2g}",
        "the rank is a p-value only if changes of these sites and of the reference are "
        "exchangeable without a programme: to be argued",
        *others.notes,
    )
    return Reference(
        contrasts=contrasts,
        actual=actual,
        p_value=p,
        mc_error=error,
        exact=exact,
        n_sites=len(others.changes),
        standardised=others.divisor is not None,
        notes=notes,
    )


def _listed(pool: Floats, n1: int, n0: int) -> Floats:
    """Every contrast: each choice of sites, and each way to call n1 of them pilots."""
    k = n1 + n0
    chosen = np.array(list(itertools.combinations(range(len(pool)), k)), dtype=np.intp)
    ways = np.array(list(itertools.combinations(range(k), n1)), dtype=np.intp)
    split = np.full((k, len(ways)), -1 / n0)
    split[ways.T, np.arange(len(ways))] = 1 / n1
    made: Floats = (pool[chosen] @ split).ravel()
    return made


def _drawn(pool: Floats, n1: int, n0: int, draws: int, seed: int) -> Floats:
    """Contrasts of sites drawn without replacement; rows that name a site twice are drawn again."""
    rng = np.random.default_rng(seed)
    k = n1 + n0
    chosen = rng.integers(len(pool), size=(draws, k))
    while True:
        ordered = np.sort(chosen, axis=1)
        twice = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(twice):
            break
        chosen[twice] = rng.integers(len(pool), size=(len(twice), k))
    values = pool[chosen]
    made: Floats = values[:, :n1].mean(axis=1) - values[:, n1:].mean(axis=1)
    return made
