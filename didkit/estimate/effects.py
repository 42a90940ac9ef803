"""Which effects two-way least squares takes out: units, trends, cohorts, periods by group.

And what a cell counts for. All of it is one small operator a unit, which turns its path into rows
that are weighted and free of the unit's own effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few

__all__ = [
    "Effects",
    "PeriodsBy",
    "Trends",
    "UnitEffects",
    "cell_weights",
    "check_effects",
    "effects_of",
    "enough_for_trends",
    "notes_of",
    "one_pool",
    "operators",
    "who_counts",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Trends = Literal["none", "unit"]
UnitEffects = Literal["unit", "cohort"]
PeriodsBy = str | Mapping[Any, str] | None
_LEAST_FOR_TREND = 3  #: cells below which a line leaves nothing of a unit


@dataclass(frozen=True, eq=False)
class Effects:
    """What is taken out beside one effect a unit and one a period.

    Parameters
    ----------
    trends : bool
        A straight line over time for each unit.
    cohort : bool
        Effects of cohorts (each start, and those that never start) instead of units.
    group : int array (J,) or None
        Each unit's group, for period effects by group; None: the same for all.
    labels : tuple of str
        Of the groups.
    """

    trends: bool = False
    cohort: bool = False
    group: Ints | None = None
    labels: tuple[str, ...] = ()

    def take(self, units: Bools) -> Effects:
        """Return the effects of some units only."""
        if self.group is None:
            return self
        kept, group = np.unique(self.group[units], return_inverse=True)
        labels = tuple(self.labels[g] for g in kept)
        return Effects(self.trends, self.cohort, group.astype(np.intp), labels)


def check_effects(
    where: str,
    cells: str,
    *,
    sampling: object = None,
    population: object = None,
    trends: object = "none",
    periods_by: Any = None,
    effects: object = "unit",
) -> None:
    """Refuse unknown options, and those that do not go together.

    Raises
    ------
    EstimationError
        Naming the option.
    """
    for name, given, known in (
        ("trends", trends, ("none", "unit")),
        ("effects", effects, ("unit", "cohort")),
    ):
        if given not in known:
            raise EstimationError(
                needed=f"{name}: " + " or ".join(map(repr, known)),
                found=repr(given),
                where=f"{where}({name}=)",
                todo="choose one",
            )
    for name, given in (("sampling", sampling), ("population", population)):
        if given is not None and (not isinstance(given, str) or not given):
            raise EstimationError(
                needed=f"{name}: the name of a metric of the panel, or None",
                found=repr(given),
                where=f"{where}({name}=)",
                todo="weights are a metric like any other: name it",
            )
    if periods_by is not None and not (isinstance(periods_by, str | Mapping) and periods_by):
        raise EstimationError(
            needed="periods_by: a column of panel.units, 'set', or a mapping of unit to group",
            found=repr(periods_by),
            where=f"{where}(periods_by=)",
            todo="for example periods_by='region'",
        )
    asked = {
        "sampling=": sampling is not None,
        "population=": population is not None,
        "trends='unit'": trends == "unit",
        "periods_by=": periods_by is not None,
        "effects='cohort'": effects == "cohort",
    }
    given = [name for name, there in asked.items() if there]
    if cells == "complete" and given:
        raise EstimationError(
            needed="cells='observed' with " + ", ".join(given),
            found="cells='complete': one long difference a unit, which counts each unit once",
            where=where,
            todo="use cells='observed', or leave the option out",
        )
    if effects == "cohort" and (trends == "unit" or periods_by is not None):
        raise EstimationError(
            needed="effects='cohort' alone",
            found="with trends='unit'" if trends == "unit" else "with periods_by=",
            where=where,
            todo="trends and periods by group go with effects='unit'",
        )


def effects_of(
    design: Design,
    sample: Sample,
    where: str,
    *,
    trends: Trends = "none",
    periods_by: PeriodsBy = None,
    effects: UnitEffects = "unit",
) -> Effects | None:
    """Return what is asked for beside unit and period effects; None where nothing is.

    Raises
    ------
    EstimationError
        A unit without a group, matched sets that share a unit or weigh unevenly, or matched sets
        with any option but ``periods_by="set"``.
    """
    asked = trends == "unit" or effects == "cohort" or sample.w is not None
    if sample.sets is not None and periods_by != "set" and (asked or periods_by is not None):
        raise EstimationError(
            needed="one pool of comparators",
            found="matched sets: a regression in each set has too few units for weights, trends "
            "or periods by group",
            where=where,
            todo="use periods_by='set', one regression with period effects by set; or one pool",
        )
    if periods_by is not None:
        label = _labels(design, sample, periods_by, where)
        labels, group = np.unique(np.array(label, dtype=str), return_inverse=True)
        return Effects(trends == "unit", False, group.astype(np.intp), tuple(labels.tolist()))
    return Effects(trends == "unit", effects == "cohort") if asked else None


def _labels(design: Design, sample: Sample, by: str | Mapping[Any, str], where: str) -> list[str]:
    """Return the group of each unit, by name."""
    panel = design.panel
    if by == "set":
        return _sets(sample, where)
    if isinstance(by, str):
        if by not in panel.units.columns:
            raise EstimationError(
                needed="a column of panel.units, 'set', or a mapping of unit to group",
                found=repr(by),
                where=f"{where}(periods_by=)",
                todo="the columns are: " + ", ".join(panel.units.columns),
            )
        given: dict[Any, Any] = panel.units[by].to_dict()
    else:
        given = {panel.canonical(unit): label for unit, label in by.items()}
    found = [given.get(unit) for unit in sample.units]
    made = ["" if pd.isna(label) else str(label).strip() for label in found]
    without = [unit for unit, label in zip(sample.units, made, strict=True) if not label]
    if without:
        raise EstimationError(
            needed="a group for every unit of the sample",
            found=f"none for {first_few(without)}",
            where=f"{where}(periods_by=)",
            todo=f"give each a group, or leave it out: design.drop({without[0]!r})",
        )
    return made


def _sets(sample: Sample, where: str) -> list[str]:
    """Return each unit's matched set, by its pilot; sets apart, with equal weights, only."""
    if sample.sets is None:
        raise EstimationError(
            needed="a design against matched sets",
            found="one pool of comparators",
            where=f"{where}(periods_by='set')",
            todo="leave periods_by= out, or match",
        )
    at = np.flatnonzero(sample.pilot)
    member = sample.sets > 0
    member[np.arange(len(at)), at] = True
    shared = [u for u, n in zip(sample.units, member.sum(axis=0), strict=True) if n > 1]
    size = (sample.sets > 0).sum(axis=1, keepdims=True)
    uneven = (np.abs(sample.sets * size - 1) > 1e-9) & (sample.sets > 0)
    if shared or uneven.any():
        raise EstimationError(
            needed="matched sets that share nobody, and weigh their comparators alike",
            found=f"in several sets: {first_few(shared)}" if shared else "uneven weights in a set",
            where=f"{where}(periods_by='set')",
            todo="match without replacement, or leave periods_by= out: the mean over pilots of "
            "each one's own regression",
        )
    return [sample.units[at[k]] for k in member.argmax(axis=0)]


def one_pool(sample: Sample, effects: Effects | None, where: str) -> Sample:
    """Return the sample for one regression; refuse groups with pilots and nobody to compare.

    Raises
    ------
    EstimationError
        Naming the groups and their pilots.
    """
    if effects is None or effects.group is None:
        return sample
    alone: list[str] = []
    pilots: list[str] = []
    for g, label in enumerate(effects.labels):
        inside = effects.group == g
        kinds = set(sample.cohort[inside].tolist())
        if inside.any() and max(kinds) >= 0 and len(kinds) < 2:
            alone.append(label)
            pilots += [sample.units[j] for j in np.flatnonzero(inside)]
    if alone:
        raise EstimationError(
            needed="in every group with pilots somebody to compare them with",
            found=f"none in {first_few(alone)}: period effects of the group hold the effect on "
            f"{first_few(pilots)}",
            where=f"{where}(periods_by=), metric {sample.metric.name!r}",
            todo="use coarser groups, or leave these pilots out with design.drop",
        )
    return replace(sample, sets=None) if sample.sets is not None else sample


def enough_for_trends(sample: Sample, effects: Effects | None) -> tuple[Sample, Effects | None]:
    """Leave out, with the log, units with too few cells for a line of their own."""
    if effects is None or not effects.trends:
        return sample, effects
    kept = np.asarray(sample.mask.sum(axis=1) >= _LEAST_FOR_TREND)
    left = sample.keep(
        kept,
        f"fewer than {_LEAST_FOR_TREND} cells with a value: its own trend holds them all",
        advice="leave trends= out, or choose a window in which units are observed more often",
    )
    return left, effects.take(kept)


def cell_weights(sample: Sample) -> Floats | None:
    """Return the weight of each cell (J, T), of mean 1 over the cells used; None without."""
    if sample.w is None:
        return None
    made: Floats = np.where(sample.mask, sample.w, 0.0)
    return np.asarray(made / made[sample.mask].mean())


def operators(mask: Bools, w: Floats | None, effects: Effects) -> Floats:
    """Return what turns each unit's path into rows: weighted, its own effects swept out.

    ``(I − Π) diag(√w)``, with Π the projection on ``√w`` and, with trends, on ``√w·t``, over the
    observed cells (Frisch-Waugh-Lovell for weighted least squares).

    Parameters
    ----------
    mask : bool array (J, T)
        Cells with a value.
    w : array (J, T) or None
        Weights of cells.
    effects : Effects
        Whether units have a trend, or no effect of their own.

    Returns
    -------
    array (J, T, T)
        Zero in the rows and columns of cells without a value.

    Examples
    --------
    >>> made = operators(np.array([[True, True, True]]), None, Effects(trends=True))
    >>> bool(np.abs(made @ np.array([5.0, 7.0, 9.0])).max() < 1e-12)
    True
    """
    root = np.where(mask, 1.0 if w is None else np.sqrt(np.where(mask, w, 0.0)), 0.0)
    n, t = mask.shape
    made = np.broadcast_to(np.eye(t), (n, t, t)).copy()
    if not effects.cohort:
        size = (root**2).sum(axis=1, keepdims=True)
        first = root / np.sqrt(np.where(size > 0, size, 1.0))
        made -= first[:, :, None] * first[:, None]
        if effects.trends:
            time = (
                np.arange(t)
                - ((root**2) @ np.arange(t) / np.where(size > 0, size, 1.0)[:, 0])[:, None]
            )
            line = root * time
            length = np.sqrt((line**2).sum(axis=1, keepdims=True))
            second = line / np.where(length > 0, length, 1.0)
            made -= second[:, :, None] * second[:, None]
    made *= root[:, None]
    return made


def who_counts(sample: Sample) -> str:
    """Say what counts once in the estimand."""
    if sample.population is not None:
        return f"each person counts once ({sample.population}, as before the first start)"
    return "each authority counts once"


def notes_of(sample: Sample, effects: Effects | None) -> tuple[str, ...]:
    """Say what is weighted and taken out."""
    said = []
    if sample.sampling is not None:
        said.append(f"cells are weighted by {sample.sampling}")
    if sample.population is not None:
        said.append(f"units are weighted by {sample.population}: large ones count for more")
    if effects is None:
        return tuple(said)
    if effects.trends:
        said.append(
            "each unit has a trend of its own, estimated on treated cells too: of an effect that "
            "grows over time a part is taken for trend"
        )
    if effects.group is not None:
        said.append(f"period effects by group ({len(effects.labels)} groups)")
    if effects.cohort:
        said.append(
            "effects of cohorts instead of units: who is in the sample is taken to change alike "
            "in pilots and comparators"
        )
    return tuple(said)
