"""Which cells a change is estimated on, and what two-way least squares makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few
from didkit.estimate.covariates import refuse_here
from didkit.estimate.effects import Effects, effects_of, enough_for_trends, notes_of, one_pool
from didkit.estimate.patterns import is_large, two_way_by_pattern
from didkit.estimate.published import Published
from didkit.estimate.regression import fitted
from didkit.estimate.two_groups import two_groups
from didkit.estimate.two_way import two_way, two_way_weights
from didkit.estimate.windows import Windows
from didkit.results import Estimate, Estimator

__all__ = [
    "CellsUsed",
    "carried",
    "change",
    "check_cells",
    "coefficients",
    "covariate_notes",
    "with_values",
]

Floats = NDArray[np.float64]
CellsUsed = Literal["observed", "complete"]


def check_cells(cells: str, where: str) -> None:
    """Refuse an unknown option."""
    if cells not in ("observed", "complete"):
        raise EstimationError(
            needed="cells='observed' or cells='complete'",
            found=repr(cells),
            where=where,
            todo="choose one: every cell with a value, or units observed throughout the window",
        )


def change(
    estimator: Estimator,
    design: Design,
    sample: Sample,
    windows: Callable[[Sample], Windows],
    cells: CellsUsed,
    *,
    estimand: str,
    reference: pd.DataFrame | None = None,
    options: Mapping[str, Any] | None = None,
) -> Estimate:
    """Estimate changes on the cells asked for.

    ``complete``: one number a unit, on units observed in every period of the window.
    ``observed``: two-way fixed effects on every cell with a value. Both are one thing on a
    balanced panel with one start. Covariates of the sample are held constant by ``observed``;
    `options` are those of `effects_of`.
    """
    refuse_here(sample.covariates, sample, repr(estimator))
    effects = effects_of(design, sample, repr(estimator), **(options or {}))
    sample = one_pool(sample, effects, repr(estimator))
    facts: dict[str, float] = {}
    regression = None
    if cells == "complete":
        sample = _complete(sample)
        made, lost = _with_cells(sample, windows(sample))
        parts = two_groups(sample, made)
        notes: tuple[str, ...] = ()
    elif sample.sets is not None:
        if sample.aggregate == "median":
            raise EstimationError(
                needed="cells='complete' when a pilot faces the median of its neighbours",
                found="cells='observed'",
                where=repr(estimator),
                todo="write cells='complete', or aggregate='mean'",
            )
        made, lost = _with_cells(sample, windows(sample))
        parts, notes = _by_set(sample, sample.sets, made)
    else:
        sample, effects, made, lost = _with_effects(sample, windows, effects)
        parts = _observed(sample, made, effects)
        notes = (
            *_two_way_notes(sample, parts),
            *covariate_notes(sample),
            *notes_of(sample, effects),
        )
        facts = coefficients(sample, parts)
        regression = partial(fitted, sample, made, effects)
    estimate = parts.to_estimate(
        estimator,
        design,
        sample,
        estimand=estimand,
        terms=made.terms,
        reference=reference,
        facts=facts,
        notes=(*lost, *notes),
    )
    return estimate if regression is None else replace(estimate, fitted=regression)


def _with_effects(
    sample: Sample, windows: Callable[[Sample], Windows], effects: Effects | None
) -> tuple[Sample, Effects | None, Windows, tuple[str, ...]]:
    """Leave out what carries no change, with the effects of those that stay."""
    if effects is not None and effects.cohort:  # a unit seen once carries a change of its cohort
        sample = sample.keep(np.asarray(sample.mask.any(axis=1)), "no cell with a value")
        made, lost = _with_cells(sample, windows(sample))
        return sample, effects, made, lost
    before = sample
    sample, made, lost = with_values(sample, windows)
    effects = effects if effects is None else effects.take(_still(before, sample))
    sample, effects = enough_for_trends(sample, effects)
    if effects is None or not effects.trends:
        return sample, effects, made, lost
    made, lost = _with_cells(sample, windows(sample))
    return sample, effects, made, lost


def _still(before: Sample, after: Sample) -> NDArray[np.bool_]:
    """Whether each unit of one sample is still in another, (J,)."""
    if len(before.units) == len(after.units):
        return np.ones(len(before.units), dtype=bool)
    there = set(after.units)
    return np.array([unit in there for unit in before.units])


def with_values(
    sample: Sample, windows: Callable[[Sample], Windows]
) -> tuple[Sample, Windows, tuple[str, ...]]:
    """Leave out what carries no change on observed cells: units, then terms, with notes on these.

    Raises
    ------
    DesignError
        If no pilot, or no comparator, carries one.
    """
    sample = _carrying(sample, windows(sample))
    made, lost = _with_cells(sample, windows(sample))
    return sample, made, lost


def carried(sample: Sample, windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the pilots and comparators of each term in two-way fixed effects."""
    # a pilot carries a term with cells in it; together they need cells where nothing acts
    total, base, mask = np.zeros(len(windows.terms), dtype=np.int64), 0, sample.mask
    for g, acts in enumerate(windows.acts):
        seen = mask[sample.cohort == g]
        total += _meets(seen, acts).sum(axis=0)
        base += int(_meets(seen, ~acts.any(axis=0)[None]).sum())
    n_pilots = np.minimum(total, base)
    serve = sample.n_comparators + (base if sample.not_yet else 0)
    return n_pilots, np.full(len(windows.terms), serve)


def _with_cells(sample: Sample, windows: Windows) -> tuple[Windows, tuple[str, ...]]:
    """Leave out, by name, terms without a pilot and some comparator of it seen in one period.

    Where no term is left all of them stay, and are refused with the reason.
    """
    mask = sample.mask
    carried_in = [mask[sample.cohort == g].any(axis=0) & w for g, w in enumerate(windows.acts)]
    if sample.sets is None:  # in two-way a pilot on which the term does not act compares too
        others = np.broadcast_to(mask[~sample.pilot].any(axis=0), windows.acts.shape[1:]).copy()
        for g, acts in enumerate(windows.acts):
            others |= mask[sample.cohort == g].any(axis=0) & ~acts
        kept = np.any([(there & others).any(axis=1) for there in carried_in], axis=0)
    else:
        theirs = (sample.sets > 0).astype(np.int64) @ mask > 0  # (pilots, T)
        acts = _acts(sample, windows)[sample.pilot] & mask[sample.pilot][:, None]
        kept = np.asarray((acts & theirs[:, None]).any(axis=(0, 2)))
    if kept.all() or not kept.any():
        return windows, ()
    gone = [str(term) for term in windows.terms["term"][~kept]]
    left = replace(
        windows,
        plus=windows.plus[:, kept],
        minus=windows.minus[:, kept],
        acts=windows.acts[:, kept],
        compared=windows.compared[kept],
        terms=windows.terms[kept].reset_index(drop=True),
    )
    return left, (f"{first_few(gone)} left out: no pilot and comparator have values there",)


def _where_values(sample: Sample) -> str:
    """Say in which periods each arm has values, as advice."""
    said = []
    for arm, who in (("pilots", sample.pilot), ("comparators", ~sample.pilot)):
        seen = np.flatnonzero(sample.mask[who].any(axis=0))
        runs = np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1) if len(seen) else []
        ends = [list(dict.fromkeys((sample.periods[r[0]], sample.periods[r[-1]]))) for r in runs]
        said.append(f"{arm} have values in {', '.join(map(' to '.join, ends)) or 'no period'}")
    starts = ", ".join(sample.periods[start] for start in sample.starts)
    return (
        f"{'; '.join(said)}; starts in {starts}: choose a window or a start with values on both "
        "sides, or another metric"
    )


def _complete(sample: Sample) -> Sample:
    """Keep units observed in every period; partly treated ones are not asked of their pilots."""
    sample = sample.keep(
        ~sample.left, "left the programme, so not observed throughout (as treated)"
    )
    needed = np.ones(sample.mask.shape, dtype=bool)
    needed[sample.pilot] = ~sample.set_aside[sample.cohort[sample.pilot]]
    return sample.keep(
        np.asarray((sample.mask | ~needed).all(axis=1)),
        "not observed in every period of the window",
    )


def _acts(sample: Sample, windows: Windows) -> NDArray[np.bool_]:
    """Where each term's treatment acts, (J, k, T); nowhere for comparators."""
    acts = np.zeros((len(sample.units), *windows.acts.shape[1:]), dtype=bool)
    acts[sample.pilot] = windows.acts[sample.cohort[sample.pilot]]
    return acts


def _meets(mask: NDArray[np.bool_], acts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether units have a cell with a value in each of k windows (k, T): (J, k)."""
    return np.asarray(mask.astype(np.float64) @ acts.T.astype(np.float64) > 0)


def _varies(mask: NDArray[np.bool_], acts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether some treatment path (k, T) changes over a unit's observed cells, (J,)."""
    return np.asarray((_meets(mask, acts) & _meets(mask, ~acts)).any(axis=1))


def _carrying(sample: Sample, windows: Windows) -> Sample:
    """Leave out what carries no change: units with one cell, pilots seen on one side only."""
    advice = _where_values(sample)
    sample = sample.keep(
        np.asarray(sample.mask.sum(axis=1) > 1),
        "fewer than two cells with a value carry no change",
        advice=advice,
    )
    moves, mask = ~sample.pilot, sample.mask
    for g, acts in enumerate(windows.acts):
        mine = sample.cohort == g
        moves[mine] = _varies(mask[mine], acts)
    return sample.keep(
        moves, "a pilot without values both before and after its start", advice=advice
    )


def _assignable(sample: Sample, windows: Windows) -> NDArray[np.bool_]:
    """Units that could have been pilots of every start: observed on both sides of it."""
    n = len(sample.units)
    made = np.ones(n, dtype=bool)
    for acts in windows.acts:
        made &= _varies(sample.mask, acts)
    return made | sample.pilot


def _observed(sample: Sample, windows: Windows, effects: Effects | None) -> Published:
    """Two-way fixed effects; the long differences beside them, to look at."""
    n_pilots, n_comparators = carried(sample, windows)
    names = tuple(windows.terms["term"])
    if is_large(sample, windows.acts, effects):
        summed = two_way_by_pattern(sample, windows.acts, names, effects)
        return Published(
            values=summed.values,
            weights=summed.weights,
            influence=summed.influence,
            n_pilots=n_pilots,
            n_comparators=n_comparators,
        )
    fitted = two_way(sample, windows.acts, names, effects=effects)
    pairs = None
    if sample.x is None and effects is None:  # otherwise no one number a unit is compared
        with suppress(EstimationError):  # least squares finds a term that no single unit shows
            pairs = two_groups(sample, windows)
    balanced = bool(sample.mask.all()) and len(sample.starts) == 1
    return Published(
        values=fitted.values,
        weights=fitted.weights,
        influence=fitted.influence,
        normal=fitted.normal,
        contrast=fitted.contrast,
        contributions=pairs.contributions if pairs is not None else None,
        regroup=fitted.regroup,
        # balanced with one start: the same refits, without least squares
        reassigned=pairs.reassigned if balanced and pairs is not None else fitted.reassigned,
        n_pilots=n_pilots,
        n_comparators=n_comparators,
        assignable=None if fitted.reassigned is None else _assignable(sample, windows),
    )


def covariate_notes(sample: Sample) -> tuple[str, ...]:
    """Say what holding covariates constant can do to an estimate."""
    if not sample.covariates:
        return ()
    return (
        f"held constant: {', '.join(sample.covariates)}; what the programme itself changes in them "
        "is taken out of its effect",
    )


def coefficients(sample: Sample, parts: Published) -> dict[str, float]:
    """Return each covariate's coefficient, in units of the metric for one of the covariate's."""
    if not sample.covariates or parts.normal is None:
        return {}
    beta = parts.normal.beta[-len(sample.covariates) :]
    return {
        f"coefficient_{name}": float(value)
        for name, value in zip(sample.covariates, beta, strict=True)
    }


def _two_way_notes(sample: Sample, parts: Published) -> tuple[str, ...]:
    """Say how far staggered starts bend the weights, and who could not have been a pilot."""
    notes = []
    if len(sample.starts) > 1 and parts.weights is not None:
        treated = np.where(sample.treated, parts.weights, 0.0)
        negative = np.abs(np.minimum(treated, 0.0)).sum(axis=(1, 2))
        total = np.abs(treated).sum(axis=(1, 2))
        share = float((negative / total).max()) if (total > 0).all() else 0.0
        notes.append(
            "starts are staggered: two-way fixed effects also compare pilots with pilots that "
            f"started earlier; {share:.0%} of the absolute weight on treated cells is negative "
            "(cells='complete' compares with units that never start)"
        )
    if parts.assignable is not None and not parts.assignable.all():
        gone = [u for u, could in zip(sample.units, parts.assignable, strict=True) if not could]
        notes.append(
            f"{first_few(gone)} comparators, seen on one side of a start only, take no part as "
            "placebo pilots"
        )
    return tuple(notes)


def _by_set(sample: Sample, sets: Floats, windows: Windows) -> tuple[Published, tuple[str, ...]]:
    """Two-way fixed effects within each pilot's set, then the mean over pilots."""
    k = len(windows.terms)
    at = np.flatnonzero(sample.pilot)
    total = np.zeros((k, *sample.y.shape))
    count = np.zeros(k, dtype=np.int64)
    served = np.zeros((len(sample.units), k), dtype=bool)
    lost: list[str] = []
    made: dict[tuple[int, bytes, bytes], tuple[int, Floats]] = {}
    for row, j in enumerate(at.tolist()):
        share = sets[row].copy()
        share[j] = 1.0
        alone = np.zeros(len(sample.units), dtype=bool)
        alone[j] = True
        # a cell of the pilot in a period without any of its comparators carries nothing
        seen = sample.mask[j] & sample.mask[(share > 0) & ~alone].any(axis=0)
        acts = windows.acts[sample.cohort[j]] & seen
        after = acts.any(axis=1)
        base = seen & ~windows.acts[sample.cohort[j]].any(axis=0)
        there = after & bool(base.any())
        if not there.all():
            lost.append(sample.units[j])
        if not there.any():
            continue
        # weights do not depend on the outcome: pilots alike in set, start and cells share them
        alike = (int(sample.cohort[j]), sets[row].tobytes(), sample.mask[j].tobytes())
        if alike not in made:
            made[alike] = j, _weights_of(sample, j, share, windows, there)
        first, weights = made[alike]
        total[there] += weights
        if first != j:
            total[there, first] -= weights[:, first]
            total[there, j] += weights[:, first]
        count[there] += 1
        served[:, there] |= ((share > 0) & ~alone)[:, None]
    if (count == 0).any():
        raise EstimationError(
            needed="for each term a pilot observed both in it and outside it",
            found=f"none for {first_few(windows.terms['term'][count == 0])}",
            where=f"metric {sample.metric.name!r}",
            todo=_where_values(sample),
        )
    mean = total / count[:, None, None]
    notes = (f"pilots that lack cells that a term needs: {first_few(lost)}",) if lost else ()
    return (
        Published(
            values=np.einsum("mjt,jt->m", mean, np.where(sample.mask, sample.y, 0.0)),
            weights=mean,
            n_pilots=count,
            n_comparators=served.sum(axis=0),
            # without gaps two-way in a set is a difference of long differences
            exchanged=two_groups(sample, windows).exchanged if sample.mask.all() else None,
        ),
        notes,
    )


def _weights_of(
    sample: Sample, j: int, share: Floats, windows: Windows, there: NDArray[np.bool_]
) -> Floats:
    """Weights of two-way fixed effects on one pilot and its set, (terms there, J, T)."""
    used = np.flatnonzero(share > 0)
    g = sample.cohort[j]
    alone = used == j
    units = tuple(sample.units[i] for i in used)
    mine = replace(
        sample,
        units=units,
        names=tuple(sample.names[i] for i in used),
        y=sample.y[used],
        pilot=alone,
        starts=(sample.starts[g],),
        cohort=np.where(alone, 0, -1).astype(np.intp),
        sets=None,
        strata=sample.strata[used],
        clusters=np.arange(len(used), dtype=np.intp),
        cluster_labels=units,
    )
    names = tuple(np.array(windows.terms["term"])[there])
    weights = np.zeros((int(there.sum()), *sample.y.shape))
    weights[:, used] = two_way_weights(mine, windows.acts[[g]][:, there], names, share[used])
    return weights
