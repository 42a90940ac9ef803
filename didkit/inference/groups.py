"""Clusters other than the design's: units, periods, matched sets, or groups above the unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few
from didkit.inference.arms import counted
from didkit.inference.samples import set_differences
from didkit.linear import Normal
from didkit.results import Estimate, Labels

__all__ = ["By", "Groups", "Part", "both", "by_in_words", "check_by", "groups_of", "part_of"]

Floats = NDArray[np.float64]
By = str | Mapping[Any, str]
_SHORT = 4  #: labels up to which a mapping is shown in full


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each cell belongs to.

    ``name`` in words; ``codes`` (J, T), from 0; ``labels`` of the codes; ``whole``: each unit is in
    one group throughout.
    """

    name: str
    codes: Labels
    labels: tuple[str, ...]
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Part:
    """What a variance is made of: cross-products by group, or only scores (G, k) by group."""

    count: int
    labels: tuple[str, ...]
    normal: Normal | None
    contrast: Floats | None
    scores: Floats | None = None


def check_by(given: Any) -> By | tuple[By, By] | None:
    """Return `by` as it is kept: None, one way, or two; a pandas Series becomes a mapping.

    Raises
    ------
    InferenceError
        If it is neither a name, nor a mapping of unit to label, nor two of these.
    """
    ways = tuple(given) if isinstance(given, tuple | list) else (given,)
    ways = tuple(way.to_dict() if isinstance(way, pd.Series) else way for way in ways)
    known = given is None or (
        len(ways) in (1, 2)
        and all(
            (isinstance(way, str) and way) or (isinstance(way, Mapping) and way) for way in ways
        )
        and (len(ways) == 1 or ways[0] != ways[1])
    )
    if not known:
        raise InferenceError(
            needed="one way to cluster, or two different ones: 'unit', 'period', 'set', a column "
            "of panel.units, or a mapping (or Series) of unit to label",
            found=by_in_words(given),
            where="ClusterRobust(by=)",
            todo="for example by='region' or by=('unit', 'period')",
        )
    kept = [way if isinstance(way, str) else dict(way) for way in ways if way is not None]
    if not kept:
        return None
    return kept[0] if len(kept) == 1 else (kept[0], kept[1])


def by_in_words(by: Any) -> str:
    """Show `by`, a long mapping by its numbers only.

    Examples
    --------
    >>> by_in_words(("unit", "period")), by_in_words(dict.fromkeys(range(153), "a"))
    ("('unit', 'period')", '{153 units: 1 label}')
    """
    if isinstance(by, tuple | list) and any(isinstance(way, Mapping | pd.Series) for way in by):
        return "(" + ", ".join(by_in_words(way) for way in by) + ")"
    if isinstance(by, pd.Series):
        by = by.to_dict()
    if isinstance(by, Mapping) and len(by) > _SHORT:
        labels = counted(len({str(label) for label in by.values()}), "label")
        return f"{{{len(by)} units: {labels}}}"
    return repr(by)


def groups_of(estimate: Estimate, by: By, who: str) -> Groups:
    """Return the group of each cell.

    Raises
    ------
    InferenceError
        If there is no such grouping, a unit has no label, a unit is in several sets, or groups
        split the design's clusters.
    """
    sample = estimate.sample
    n, t = sample.y.shape
    if by == "period":
        codes = np.broadcast_to(np.arange(t, dtype=np.int64), (n, t))
        return Groups("period", codes, sample.periods, whole=False)
    if by == "unit":
        name, label = "unit", list(sample.units)
    elif by == "set":
        name, label = "matched set", _sets(estimate, who)
    else:
        name = by if isinstance(by, str) else "group"
        label = _labels(estimate, by, who)
    labels, codes = np.unique(np.array(label, dtype=str), return_inverse=True)
    _nested(estimate, codes, name, who)
    cells = np.broadcast_to(codes.astype(np.int64).reshape(n, 1), (n, t))
    return Groups(name, cells, tuple(labels.tolist()))


def _labels(estimate: Estimate, by: By, who: str) -> list[str]:
    """Return each unit's label, from a column of the panel's units or from a mapping."""
    panel = estimate.design.panel
    if isinstance(by, str):
        table = panel.units
        if by not in table.columns:
            raise InferenceError(
                needed="'unit', 'period', 'set', a column of panel.units, or unit → label",
                found=repr(by),
                where=f"{who} of {estimate.metric.name!r}",
                todo="choose one; the columns are: " + ", ".join(table.columns),
            )
        given: dict[Any, Any] = table[by].to_dict()
    else:
        given = {panel.canonical(unit): label for unit, label in by.items()}
    found = [given.get(unit) for unit in estimate.sample.units]
    made = ["" if pd.isna(label) else str(label).strip() for label in found]
    without = [u for u, label in zip(estimate.sample.units, made, strict=True) if not label]
    if without:
        column = f"the column {by!r} of panel.units" if isinstance(by, str) else "the mapping"
        raise InferenceError(
            needed="a label for every unit of the sample",
            found=f"none for {first_few(without)}",
            where=f"{who} of {estimate.metric.name!r}",
            todo=f"give each a label in {column}, or leave it out: design.drop({without[0]!r})",
        )
    return made


def _sets(estimate: Estimate, who: str) -> list[str]:
    """Return each unit's set, by its pilot; refuse units that are in several."""
    sample = estimate.sample
    if sample.sets is None:
        raise InferenceError(
            needed="a design against matched sets",
            found=f"a design against {estimate.design.against.describe()}",
            where=f"{who} of {estimate.metric.name!r}",
            todo="leave by= out, or use by='unit'",
        )
    at = np.flatnonzero(sample.pilot)
    member = sample.sets > 0
    member[np.arange(len(at)), at] = True
    split = [u for u, n in zip(sample.units, member.sum(axis=0), strict=True) if n > 1]
    if split:
        raise InferenceError(
            needed="units that are in one matched set each",
            found=f"in several sets: {first_few(split)}",
            where=f"{who} of {estimate.metric.name!r}",
            todo="use Permutation('t'), which counts what sets share, or match without replacement",
        )
    return [sample.units[at[k]] for k in member.argmax(axis=0)]


def _nested(estimate: Estimate, codes: NDArray[np.intp], name: str, who: str) -> None:
    """Refuse groups that split the design's clusters."""
    sample = estimate.sample
    pairs = np.unique(np.stack([sample.clusters, codes]), axis=1)
    cluster, times = np.unique(pairs[0], return_counts=True)
    split = [sample.cluster_labels[c] for c in cluster[times > 1]]
    if split:
        raise InferenceError(
            needed=f"groups by {name} that hold whole clusters of the design",
            found=f"clusters that are split: {first_few(split)}",
            where=f"{who} of {estimate.metric.name!r}",
            todo="leave by= out, use larger groups, or a design without clusters=",
        )


def both(a: Groups, b: Groups) -> Groups:
    """Return the groups in which two groupings meet.

    Examples
    --------
    >>> units = Groups("unit", np.array([[0, 0], [1, 1]]), ("a", "b"))
    >>> periods = Groups("period", np.array([[0, 1], [0, 1]]), ("1", "2"), whole=False)
    >>> both(units, periods).labels
    ('a × 1', 'a × 2', 'b × 1', 'b × 2')
    """
    codes = a.codes * len(b.labels) + b.codes
    kinds, again = np.unique(codes, return_inverse=True)
    labels = tuple(f"{a.labels[c // len(b.labels)]} × {b.labels[c % len(b.labels)]}" for c in kinds)
    whole = a.whole and b.whole
    return Groups(f"{a.name} × {b.name}", again.reshape(codes.shape), labels, whole=whole)


def part_of(estimate: Estimate, groups: Groups, who: str) -> Part | None:
    """Sum what an estimate publishes over groups; None where it publishes nothing that serves.

    Cross-products of any groups of cells come from ``regroup``; of matched sets from the pilots'
    own differences; without cross-products, groups of whole units have scores from ``influence``.
    """
    if estimate.sample.sets is not None and groups.name == "matched set":
        return _of_sets(estimate, who)
    if estimate.regroup is not None and estimate.contrast is not None:
        normal = estimate.regroup(groups.codes)
        labels = tuple(groups.labels[int(code)] for code in normal.labels)
        return Part(len(labels), labels, replace(normal, labels=labels), estimate.contrast)
    if estimate.influence is None or not groups.whole:
        return None
    scores = np.zeros((len(groups.labels), estimate.n_terms))
    np.add.at(scores, groups.codes[:, 0], estimate.influence)
    return Part(len(groups.labels), groups.labels, None, None, scores)


def _of_sets(estimate: Estimate, who: str) -> Part:
    """Regress the pilots' differences from their sets on a constant, one a term."""
    k = estimate.n_terms
    rows = [set_differences(estimate, m, who) for m in range(k)]
    which = np.concatenate([np.full(len(d), m) for m, (d, _) in enumerate(rows)])
    pilot = np.concatenate([at for _, at in rows])
    names = tuple(str(term) for term in estimate.terms["term"])
    normal = Normal.from_rows(
        np.eye(k)[which], np.concatenate([d for d, _ in rows]), pilot, names=names
    )
    labels = tuple(estimate.sample.units[int(at)] for at in normal.labels)
    return Part(len(labels), labels, replace(normal, labels=labels), np.eye(k))
