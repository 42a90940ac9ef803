"""One number a unit, two groups: every comparison of long differences, and of levels.

A term gives each unit a number ``X`` (a mean over one window less a mean over another). Pilots
have the number of their own start, less what comparators changed more between its windows than
between those of the other starts; a comparator has the mean of those of all starts, weighted by
the pilots that have them. The estimate is the difference of two means, so with one start date and
a balanced panel it is two-way fixed effects, and Welch's, Bell and McCaffrey's and the permutation
test see all there is to see.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import EstimationError, InferenceError, first_few
from didkit.estimate.exchange import exchange
from didkit.estimate.published import Published
from didkit.estimate.windows import Windows
from didkit.linear import Normal
from didkit.results import Draws, Labels

__all__ = ["two_groups"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp] | Labels


def two_groups(sample: Sample, windows: Windows) -> Published:
    """Compare pilots with comparators on one number a unit.

    Parameters
    ----------
    sample : Sample
        One pool, or sets aggregated by their mean or median.
    windows : Windows
        What each term compares.

    Returns
    -------
    Published
        With sets values, weights and what happens when units trade places (median: values): a
        comparator's number then enters several differences, and the spread between sets is not
        noise.

    Raises
    ------
    EstimationError
        If a term has no pilot or no comparator with the cells that it needs.
    """
    kept = windows.without(sample.set_aside)
    if (kept.level & ~windows.level).any():
        raise _no_before(sample, windows, kept)
    windows = kept
    if sample.sets is not None and sample.aggregate == "median":
        return _median_sets(sample, sample.sets, windows)
    cells = _cell_weights(sample.mask, windows)
    numbers = _numbers(cells, sample.y)
    if sample.sets is not None:
        return _mean_sets(sample, sample.sets, windows, cells, numbers)
    return _pool(sample, windows, cells, numbers)


def _no_before(sample: Sample, windows: Windows, kept: Windows) -> EstimationError:
    """Say that nothing is left to compare with once partly treated periods are out."""
    lost = windows.terms["term"][kept.level & ~windows.level]
    where = np.flatnonzero(sample.set_aside.any(axis=0))
    aside = [sample.periods[t] for t in where]
    return EstimationError(
        needed="a period to compare with in which no pilot is partly treated",
        found=f"only {', '.join(aside)} for {first_few(lost)}",
        where=f"metric {sample.metric.name!r}",
        todo="choose an earlier reference, such as EventStudy(reference=-2), or a longer window",
    )


def _cell_weights(mask: NDArray[np.bool_], windows: Windows) -> Floats:
    """Weight of each cell in each unit's number, (J, G, k, T); NaN where it does not exist."""
    seen = mask[:, None, None, :]

    def mean(window: NDArray[np.bool_]) -> Floats:
        used = seen & window
        count = used.sum(axis=3, keepdims=True)
        made: Floats = np.divide(used, count, out=np.full(used.shape, np.nan), where=count > 0)
        return made

    plus, minus = mean(windows.plus), mean(windows.minus)
    plus[:, ~windows.carried] = np.nan
    return plus - np.where(windows.level[:, None], 0.0, minus)


def _numbers(cells: Floats, y: Floats) -> Floats:
    """Each unit's number for each cohort and term, (J, G, k)."""
    made: Floats = np.einsum("jgmt,jt->jgm", cells, np.where(np.isfinite(y), y, 0.0))
    return made


def _own(numbers: Floats, cohort: Ints) -> Floats:
    """Numbers of the pilots for their own start, (J, k); NaN for comparators."""
    made = np.full((len(cohort), *numbers.shape[2:]), np.nan)
    pilot = cohort >= 0
    made[pilot] = numbers[pilot, cohort[pilot]]
    return made


def _shares(own: Floats, cohort: Ints, n_cohorts: int) -> Floats:
    """Share of each cohort among the pilots that carry each term, (G, k)."""
    there = np.isfinite(own)
    count = np.stack([there[cohort == g].sum(axis=0) for g in range(n_cohorts)])
    total = count.sum(axis=0)
    made: Floats = np.divide(count, total, out=np.zeros(count.shape), where=total > 0)
    return made


def _averaged(values: Floats, shares: Floats) -> Floats:
    """Average over cohorts with their shares, (J, k, …); a cohort without share is left out."""
    extra = (1,) * (values.ndim - 3)
    weight = shares.reshape(1, *shares.shape, *extra)
    made: Floats = np.where(weight > 0, weight * values, 0.0).sum(axis=1)
    return made


def _drift(numbers: Floats, pooled: Floats, shares: Floats) -> Floats:
    """Comparators' mean number for each start, less its average over starts, (G, k).

    Without it period effects would look like a spread between pilots of different starts.
    """
    used = np.isfinite(pooled)[:, None] & (shares > 0)
    count = used.sum(axis=0)
    total = np.where(used, numbers, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.zeros(count.shape), where=count > 0)
    made: Floats = mean - (shares * mean).sum(axis=0)
    return made


def _require(there: NDArray[np.bool_], sample: Sample, windows: Windows, arm: str) -> None:
    """Refuse a term that nobody in an arm carries."""
    empty = ~there.any(axis=0) & (windows.compared | (arm == "pilot"))
    if empty.any():
        names = [t for t, gone in zip(windows.terms["term"], empty, strict=True) if gone]
        raise EstimationError(
            needed=f"at least one {arm} with the cells that each term compares",
            found=f"none for {', '.join(names)}",
            where=f"metric {sample.metric.name!r}",
            todo="see design.audit(), and choose a window in which they are observed",
        )


@dataclass(frozen=True, eq=False)
class _Arms:
    """Both arms' numbers under one assignment, (J, k), and the difference of their means."""

    values: Floats
    influence: Floats
    numbers: Floats
    used: NDArray[np.bool_]
    share: Floats
    cohorts: Floats
    n_pilots: NDArray[np.int64]
    n_comparators: NDArray[np.int64]


def _arms(numbers: Floats, cohort: Ints, compared: NDArray[np.bool_]) -> _Arms:
    """Take the mean of the pilots less the mean of the comparators."""
    pilot = cohort >= 0
    own = _own(numbers, cohort)
    shares = _shares(own, cohort, numbers.shape[1])
    pooled = _averaged(numbers, shares)
    pooled[pilot] = np.nan
    pooled[:, ~compared] = np.nan
    own[pilot] -= _drift(numbers, pooled, shares)[cohort[pilot]]
    both = np.where(pilot[:, None], own, pooled)
    used = np.isfinite(both)
    n1 = (used & pilot[:, None]).sum(axis=0)
    n0 = (used & ~pilot[:, None]).sum(axis=0)
    filled = np.where(used, both, 0.0)
    mean1 = np.divide(filled[pilot].sum(axis=0), n1, out=np.full(len(n1), np.nan), where=n1 > 0)
    mean0 = np.divide(filled[~pilot].sum(axis=0), n0, out=np.zeros(len(n0)), where=n0 > 0)
    share = np.where(pilot[:, None], 1 / np.maximum(n1, 1), -1 / np.maximum(n0, 1))
    centre = np.where(pilot[:, None], mean1, mean0)
    values = np.where(compared & (n0 == 0), np.nan, mean1 - mean0)
    influence = np.where(used, share * (filled - centre), 0.0)
    return _Arms(values, influence, both, used, share, shares, n1, n0)


def _pool(sample: Sample, windows: Windows, cells: Floats, numbers: Floats) -> Published:
    """Compare with one pool: the mean of the pilots less the mean of the comparators."""
    pilot = sample.pilot
    made = _arms(numbers, sample.cohort, windows.compared)
    _require(made.used & pilot[:, None], sample, windows, "pilot")
    _require(made.used & ~pilot[:, None], sample, windows, "comparator")
    own_cells = np.zeros((len(pilot), *cells.shape[2:]))
    own_cells[pilot] = cells[pilot, sample.cohort[pilot]]
    cell = np.where(pilot[:, None, None], own_cells, _averaged(cells, made.cohorts))
    weights = np.where(made.used[:, :, None], made.share[:, :, None] * cell, 0.0)
    filled = np.where(made.used, made.numbers, 0.0)
    by_group = functools.partial(_normal, sample, windows, filled, made.used)
    normal, contrast = by_group(np.array(sample.cluster_labels)[sample.clusters])
    return Published(
        values=made.values,
        weights=weights.transpose(1, 0, 2),
        influence=made.influence,
        normal=normal,
        contrast=contrast,
        contributions=made.numbers,
        regroup=lambda codes: by_group(_of_units(codes, sample.mask))[0],
        reassigned=_Reassign(sample, windows, cells, numbers, made.cohorts),
        n_pilots=made.n_pilots,
        n_comparators=made.n_comparators,
    )


def _of_units(codes: Labels, mask: NDArray[np.bool_]) -> Labels:
    """Return each unit's group; refuse groups of cells that split a unit's one number."""
    seen = np.where(mask, codes, -1)
    whole = np.where(mask.any(axis=1), seen.max(axis=1), codes[:, 0])
    split = (mask & (codes != whole[:, None])).any(axis=1)
    if split.any():
        raise InferenceError(
            needed="groups of whole units: each has one number over all its periods",
            found=f"{int(split.sum())} units whose cells are in several groups",
            where="an estimate of one number a unit",
            todo="use cells='observed', or groups of units",
        )
    return np.asarray(whole)


def _normal(
    sample: Sample,
    windows: Windows,
    numbers: Floats,
    used: NDArray[np.bool_],
    groups: NDArray[Any],
) -> tuple[Normal, Floats]:
    """Regress the numbers on a constant and a pilot dummy, one block of parameters a term."""
    k = len(windows.terms)
    width = np.where(windows.compared, 2, 1)
    at = np.concatenate([[0], np.cumsum(width)])
    p = int(at[-1])
    design = np.zeros((len(sample.units), k, p))
    contrast = np.zeros((k, p))
    names = []
    for m, term in enumerate(windows.terms["term"]):
        design[:, m, at[m]] = 1.0
        if windows.compared[m]:
            design[:, m, at[m] + 1] = sample.pilot
            names.append(f"{term}: comparators")
        contrast[m, at[m + 1] - 1] = 1.0
        names.append(str(term))
    design *= used[:, :, None]
    rows = used.ravel()
    normal = Normal.from_rows(
        design.reshape(-1, p)[rows],
        numbers.ravel()[rows],
        np.repeat(groups, k)[rows],
        names=tuple(names),
    )
    return normal, contrast


def _mean_sets(
    sample: Sample, sets: Floats, windows: Windows, cells: Floats, numbers: Floats
) -> Published:
    """Compare each pilot with the weighted mean of its set, then average over pilots."""
    at = np.flatnonzero(sample.pilot)
    k, n_periods = cells.shape[2:]
    differences = np.full((len(at), k), np.nan)
    weights = np.zeros((len(at), k, len(sample.units), n_periods))
    shares = np.zeros((len(at), len(sample.units), k))
    for row, j in enumerate(at):
        g = sample.cohort[j]
        mine = numbers[:, g]
        share = np.where(np.isfinite(mine), sets[row][:, None], 0.0)
        total = share.sum(axis=0)
        share = np.divide(share, total, out=np.zeros(share.shape), where=total > 0)
        against = np.where(share > 0, share * np.where(np.isfinite(mine), mine, 0.0), 0.0).sum(0)
        there = np.isfinite(mine[j]) & ((total > 0) | ~windows.compared)
        differences[row] = np.where(
            there, mine[j] - np.where(windows.compared, against, 0.0), np.nan
        )
        cell = np.where(np.isfinite(cells[:, g]), cells[:, g], 0.0)
        signed = -np.where(windows.compared[None], share, 0.0)
        signed[j] += 1.0
        weights[row] = np.where(there[:, None, None], (signed[:, :, None] * cell).swapaxes(0, 1), 0)
        shares[row] = np.where(there, share, 0.0)
    there = np.isfinite(differences)
    _require(there, sample, windows, "pilot")
    n1 = there.sum(axis=0)
    values = np.where(there, differences, 0.0).sum(axis=0) / n1
    served = np.asarray((sets > 0).any(axis=0))[:, None] & np.isfinite(numbers).any(axis=1)
    return Published(
        values=values,
        weights=weights.sum(axis=0) / n1[:, None, None],
        exchanged=exchange(sample, windows, cells, numbers, shares),
        n_pilots=n1,
        n_comparators=np.where(windows.compared, served.sum(axis=0), 0),
    )


def _median_sets(sample: Sample, sets: Floats, windows: Windows) -> Published:
    """Compare each pilot with the median path of its set; not linear in the outcome."""
    at = np.flatnonzero(sample.pilot)
    k = len(windows.terms)
    differences = np.full((len(at), k), np.nan)
    for row, j in enumerate(at):
        members = sample.y[sets[row] > 0]
        path = np.full(members.shape[1], np.nan)
        seen = np.isfinite(members).any(axis=0)
        path[seen] = np.nanmedian(members[:, seen], axis=0)
        both = np.stack([sample.y[j], path])
        cells = _cell_weights(np.isfinite(both), windows)
        mine = _numbers(cells, both)[:, sample.cohort[j]]
        differences[row] = mine[0] - np.where(windows.compared, mine[1], 0.0)
    there = np.isfinite(differences)
    _require(there, sample, windows, "pilot")
    n1 = there.sum(axis=0)
    served = (sets > 0).any(axis=0).sum()
    return Published(
        values=np.where(there, differences, 0.0).sum(axis=0) / n1,
        n_pilots=n1,
        n_comparators=np.where(windows.compared, served, 0),
    )


class _Reassign:
    """The comparison under other assignments of the pilots, many at once.

    The sums over the comparators are those over everybody less those over the pilots of the draw,
    so the work is B × n1 × k whatever the number of units. Where starts are staggered and cells
    missing, the shares of the cohorts change with the draw, and each draw is made by itself.
    """

    def __init__(
        self, sample: Sample, windows: Windows, cells: Floats, numbers: Floats, shares: Floats
    ) -> None:
        acts = np.zeros((len(sample.units), *windows.acts.shape[1:]))
        acts[sample.pilot] = windows.acts[sample.cohort[sample.pilot]]
        treated = np.einsum("jgmt,jmt->jgm", cells, acts)
        pooled = _averaged(numbers, shares)
        centre = np.nanmean(pooled, axis=0) if len(pooled) else 0.0
        carried = windows.carried & windows.compared
        self.varying = len(sample.starts) > 1 and bool(np.isnan(numbers[:, carried]).any())
        self.own = np.stack([numbers - centre, treated])
        self.pool = np.stack([pooled - centre, _averaged(treated, shares)])
        used = np.isfinite(pooled)[:, None] & (shares > 0)
        self.level = np.where(used, self.own, 0.0)  # (2, J, G, k), for the drift of each draw
        self.shares = shares
        self.compared = windows.compared

    def __call__(self, labels: Labels) -> Draws:
        """Return the draws for labels (B, J): a cohort, or −1 for a comparator."""
        if self.varying:
            return Draws.stack([self._one(row) for row in labels])
        n_draws = len(labels)
        at = np.nonzero(labels >= 0)
        n1 = len(at[0]) // n_draws
        where = at[1].reshape(n_draws, n1)
        cohort = labels[at].reshape(n_draws, n1)
        mine = self.own[:, where, cohort]  # (2, B, n1, k)
        theirs = self.pool[:, where]
        everyone = self.pool[:, None]
        n_all, sum_all, square_all = _sums(everyone)
        n_t, sum_t, square_t = _sums(theirs)
        if len(self.shares) > 1:
            level = self.level.sum(axis=1)[:, None] - self.level[:, where].sum(axis=2)
            count = (n_all - n_t)[:, None]
            level = np.divide(level, count, out=np.zeros(level.shape), where=count > 0)
            level -= (self.shares * level).sum(axis=2, keepdims=True)  # `_drift`, draw by draw
            mine = mine - level[:, np.arange(n_draws)[:, None], cohort]
        n_p, sum_p, square_p = _sums(mine)
        n_c, sum_c, square_c = n_all - n_t, sum_all - sum_t, square_all - square_t
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_p, mean_c = sum_p / n_p, sum_c / n_c
            difference = mean_p - mean_c
            spread_p = (square_p - _products(mean_p) * n_p) / n_p**2
            spread_c = (square_c - _products(mean_c) * n_c) / n_c**2
            spread = spread_p + spread_c
        for part in (difference, spread):
            part[..., ~self.compared] = np.nan
        return Draws(
            b=difference[0],
            a=difference[1],
            v0=np.maximum(spread[0], 0.0),
            v1=spread[1],
            v2=np.maximum(spread[2], 0.0),
        )

    def _one(self, cohort: Ints) -> Draws:
        """Return one draw, shares and all made anew."""
        y, d = (_arms(part, cohort, self.compared) for part in self.own)
        gone = np.where(self.compared & np.isfinite(y.values), 0.0, np.nan)
        return Draws(
            b=(y.values + gone)[None],
            a=(d.values + gone)[None],
            v0=(y.influence**2).sum(axis=0)[None],
            v1=(y.influence * d.influence).sum(axis=0)[None],
            v2=(d.influence**2).sum(axis=0)[None],
        )


def _sums(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Count (…, k), sums (2, …, k), and sums of yy, yD, DD (3, …, k) over the last-but-one axis."""
    there = np.isfinite(x[0])
    filled = np.where(there, x, 0.0)
    return (
        there.sum(axis=-2).astype(np.float64),
        filled.sum(axis=-2),
        np.stack(
            [
                np.einsum("...jk,...jk->...k", filled[a], filled[b])
                for a, b in ((0, 0), (0, 1), (1, 1))
            ]
        ),
    )


def _products(means: Floats) -> Floats:
    return np.stack([means[0] ** 2, means[0] * means[1], means[1] ** 2])
