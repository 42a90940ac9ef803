"""What one two-way coefficient is made of: every comparison of two starts, with its weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few
from didkit.estimate import DiD
from didkit.results import Estimate, Finding
from didkit.results.tables import number, signed, with_unit

__all__ = ["ALWAYS", "BOTH", "EARLIER", "LATER", "NEVER", "NEVER_LABEL", "GoodmanBacon"]

NEVER = "treated v never treated"
EARLIER = "earlier v later, before its start"
LATER = "later v earlier, already treated"
ALWAYS = "later v always treated"
BOTH = "both treated"
NEVER_LABEL = "never"

_COLUMNS = ["treated", "against", "kind", "weight", "estimate", "n_treated", "n_against"]
_NEVER_FIRST = (NEVER, EARLIER, LATER, ALWAYS, BOTH)
_TINY = 1e-12  # of a share of the variance
_EXACT = 1e-8  # the sum of the parts, against the estimate, relative to its parts
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class GoodmanBacon:
    """Split a two-way estimate into the comparisons of two starts that it averages.

    Notes
    -----
    ``DiD(cells="observed")`` on a balanced panel is a weighted mean of all differences in
    differences of two groups: pilots of one start against those that never start; of an earlier
    start against a later one, in the periods before the later one begins; and of a later start
    against an earlier one that is treated already. The last kind takes the change of the effect in
    the earlier pilots off the estimate: with effects that grow it is too small, whatever the
    numbers of pilots. A weight grows with the size of the two groups and with how near to the
    middle of the window the treatment changes; all are positive and sum to one.

    With covariates the weights are those of the treatment that covariates and both effects leave
    over, and pairs of pilots are not split further. A part of the estimate then comes from units
    of the same start whose covariates differ, which compares no treatments: it stands in the facts
    as ``within_weight`` and ``within_estimate``, and pairs sum to the rest.

    It is exact for a balanced panel without weights; anything else is refused by name, and
    `TwoWayWeights` serves there. It says what was compared with what, not what is right:
    `GroupTime` and others compare no pilots with pilots that have started.

    References
    ----------
    Goodman-Bacon (2021), Journal of Econometrics 225, theorem 1; section 5.2 for covariates.

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> y = {1: (0, 0, 1, 3), 2: (0, 0, 0, 1), 3: (0, 0, 0, 0)}  # an effect that grows
    >>> frame = pd.DataFrame(
    ...     [(u, 2001 + t, {1: 2003, 2: 2004, 3: 0}[u], v) for u in y for t, v in enumerate(y[u])],
    ...     columns=["la", "year", "start", "y"],
    ... )
    >>> design = dk.Design.from_frame(
    ...     frame, unit="la", period="year", start="start", metrics=["y"], selection="unknown"
    ... )
    >>> finding = dk.DiD().fit(design, "y").infer(None).check(GoodmanBacon())
    >>> finding.table[["treated", "against", "weight", "estimate"]].round(3).values.tolist()
    [['2003', 'never', 0.4, 2.0], ['2004', 'never', 0.3, 1.0], ['2003', '2004', 0.2, 1.0], \
['2004', '2003', 0.1, -1.0]]
    """

    def run(self, estimate: Estimate) -> Finding:
        """Split the estimate.

        Returns
        -------
        Finding
            Table ``treated, against`` (labels of starts, or "never"), ``kind, weight, estimate``
            (in the metric's unit), ``n_treated, n_against`` (units), by kind and start; Σ weight ×
            estimate is the estimate, or, with covariates, ``between`` of it. Facts: ``estimate``,
            for each kind that there is its weight and mean estimate, and with covariates
            ``within_weight, within_estimate``.

        Raises
        ------
        InferenceError
            If it is not a `DiD` on observed cells of one pool, balanced and without weights,
            trends or groups.
        """
        _refuse(estimate)
        table, within, within_value = (
            _with_covariates(estimate)
            if estimate.sample.covariates
            else (
                _plain(estimate),
                0.0,
                0.0,
            )
        )
        value = float(estimate.values[0])
        parts = (1 - within) * (table["weight"] * table["estimate"]).sum() + within * within_value
        _check_sum(estimate, float(parts), value)
        facts = {"estimate": value, "n_comparisons": float(len(table))}
        kinds = []
        for kind in _NEVER_FIRST:
            mine = table[table["kind"] == kind]
            if len(mine):
                weight = float(mine["weight"].sum())
                mean = float((mine["weight"] * mine["estimate"]).sum() / weight)
                kinds.append((kind, weight, mean))
                facts |= {f"weight of {kind}": weight, f"estimate of {kind}": mean}
        if estimate.sample.covariates:
            facts |= {"within_weight": within, "within_estimate": within_value}
        return Finding(
            check=self,
            estimate=estimate,
            question="Which comparisons is the two-way estimate an average of?",
            headline=_headline(with_unit(signed(value), estimate.metric), kinds, within),
            table=table,
            facts=facts,
            notes=_notes(kinds, within, within_value),
            cannot_show="whether any of the comparisons is fair: each rests on parallel trends of "
            "its own",
        )


def _refuse(estimate: Estimate) -> None:
    """Refuse what the theorem does not cover, by name."""
    made, sample = estimate.estimator, estimate.sample
    where = f"GoodmanBacon of {sample.metric.name!r}"
    if not isinstance(made, DiD) or made.cells != "observed":
        raise InferenceError(
            needed="a static two-way estimate: DiD(cells='observed')",
            found=repr(made),
            where=where,
            todo="fit DiD() to the same design; other estimators are no average of these pairs",
        )
    odd = [
        name
        for name, there in (
            ("sampling", made.sampling is not None),
            ("population", made.population is not None),
            ("trends", made.trends != "none"),
            ("periods_by", made.periods_by is not None),
            ("effects", made.effects != "unit"),
        )
        if there
    ]
    if odd or sample.sets is not None:
        raise InferenceError(
            needed="one pool of comparators, without weights, trends or groups",
            found=", ".join(f"{name}={getattr(made, name)!r}" for name in odd) or "matched sets",
            where=where,
            todo="use TwoWayWeights(), which serves any weights, or fit DiD() without them",
        )
    empty = np.asarray(~sample.mask.all(axis=1))
    if empty.any():
        who = [unit for unit, is_one in zip(sample.units, empty, strict=True) if is_one]
        raise InferenceError(
            needed="a balanced panel: a value in every period for every unit",
            found=f"{int((~sample.mask).sum())} cells without one, of {first_few(who)}",
            where=where,
            todo="leave those units out with design.drop, choose a window in which all are "
            "observed, or use TwoWayWeights()",
        )


def _check_sum(estimate: Estimate, parts: float, value: float) -> None:
    """Demand that the parts are the whole: an error here is one of this program."""
    size = max(abs(value), float(np.abs(estimate.sample.y).max()) * 1e-3)
    if abs(parts - value) > _EXACT * size:
        raise InferenceError(
            needed="comparisons that sum to the estimate",
            found=f"{parts!r}, the estimate {value!r}",
            where=f"GoodmanBacon of {estimate.sample.metric.name!r}",
            todo="report it: the estimate was made in another way than the check supposes",
        )


def _groups(estimate: Estimate) -> list[tuple[str, int, float, NDArray[np.bool_]]]:
    """Each start with its label, units, share of periods treated and members; never last."""
    sample = estimate.sample
    t = len(sample.periods)
    made = [
        (sample.periods[s], int((sample.cohort == g).sum()), (t - s) / t, sample.cohort == g)
        for g, s in enumerate(sample.starts)
    ]
    if (~sample.pilot).any():
        made.append((NEVER_LABEL, sample.n_comparators, 0.0, ~sample.pilot))
    return made


def _frame(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    """Lay comparisons out by kind, then start; weights sum to one, empty ones are left out."""
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table["weight"] /= table["weight"].sum()
    table = table[table["weight"] > _TINY]
    place = table["kind"].map({kind: i for i, kind in enumerate(_NEVER_FIRST)})
    return table.assign(place=place).sort_values("place", kind="stable").drop(
        columns="place"
    ).reset_index(drop=True)  # fmt: skip


def _plain(estimate: Estimate) -> pd.DataFrame:
    """Every two-by-two of two groups, weighted by its share of the variance of treatment."""
    sample = estimate.sample
    t = len(sample.periods)
    starts = [*sample.starts, t]
    groups = _groups(estimate)
    paths = [sample.y[members].mean(axis=0) for *_, members in groups]
    when = np.arange(t)
    rows: list[tuple[object, ...]] = []

    def add(a: int, b: int, kind: str, weight: float, after: Bools, before: Bools) -> None:
        gap = paths[a] - paths[b]
        value = gap[after].mean() - gap[before].mean()
        rows.append((groups[a][0], groups[b][0], kind, weight, value, groups[a][1], groups[b][1]))

    for a, (_, n_a, share_a, _) in enumerate(groups):
        for b, (label_b, n_b, share_b, _) in enumerate(groups):
            if b <= a:
                continue
            pairs, own, other = n_a * n_b, when >= starts[a], when >= starts[b]
            if label_b == NEVER_LABEL:
                if not own.all():
                    add(a, b, NEVER, pairs * share_a * (1 - share_a), own, ~own)
                continue
            if not own.all():  # the earlier one, until the later one starts
                weight = pairs * (share_a - share_b) * (1 - share_a)
                add(a, b, EARLIER, weight, own & ~other, ~own)
            kind = ALWAYS if own.all() else LATER  # the later one, once the earlier has started
            add(b, a, kind, pairs * share_b * (share_a - share_b), other, own & ~other)
    return _frame(rows)


def _with_covariates(estimate: Estimate) -> tuple[pd.DataFrame, float, float]:
    """Pairs of groups by the treatment left over, and what comes from inside groups."""
    weights = np.asarray(estimate.weights)
    y = estimate.sample.y
    left = weights[0] / (weights[0] ** 2).sum()  # the treatment that nothing else explains
    groups = _groups(estimate)
    means = [left[members].mean(axis=0) for *_, members in groups]
    paths = [y[members].mean(axis=0) for *_, members in groups]
    inside = left.copy()
    for (*_, members), mean in zip(groups, means, strict=True):
        inside[members] -= mean
    total, own = float((left**2).sum()), float((inside**2).sum())
    rows: list[tuple[object, ...]] = []
    for a, first in enumerate(groups):
        for b in range(a + 1, len(groups)):
            second, apart = groups[b], means[a] - means[b]
            size = float(apart @ apart)
            value = float(apart @ (paths[a] - paths[b])) / size if size else np.nan
            kind = NEVER if second[0] == NEVER_LABEL else BOTH
            pairs = first[1] * second[1]
            rows.append((first[0], second[0], kind, pairs * size, value, first[1], second[1]))
    within_value = float((inside * y).sum() / own) if own > _TINY * total else 0.0
    return _frame(rows), own / total, within_value


def _headline(value: str, kinds: list[tuple[str, float, float]], within: float) -> str:
    """Say the kinds in one sentence."""
    parts = "; ".join(f"{kind} {weight:.1%}, on average {signed(mean)}"
                      for kind, weight, mean in kinds)  # fmt: skip
    rest = f" of the {1 - within:.1%} between starts" if within else ""
    return f"The estimate of {value} is an average{rest}: {parts}."


def _notes(
    kinds: list[tuple[str, float, float]], within: float, within_value: float
) -> tuple[str, ...]:
    """Say what takes the effect off, and what covariates change."""
    known = {kind: weight for kind, weight, _ in kinds}
    notes = []
    treated = known.get(LATER, 0.0) + known.get(ALWAYS, 0.0)
    if treated:
        notes.append(
            f"{treated:.1%} of the estimate compares pilots with pilots that had started already: "
            "where effects change with time, that change is taken off or put on"
        )
    if BOTH in known:
        notes.append(
            "with covariates a pair of starts is not split into before and after the later start: "
            f"part of its {known[BOTH]:.1%} compares with pilots that had started already"
        )
    if within:
        notes.append(
            f"{number(100 * within)}% of the estimate comes from units of the same start whose "
            f"covariates differ ({signed(within_value)} there), not from comparing treatments"
        )
    if len(kinds) == 1 and not notes:
        notes.append("no pilot is compared with another pilot")
    return tuple(notes)
